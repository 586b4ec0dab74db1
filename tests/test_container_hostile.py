"""Files that mean harm go through every reader: typed errors, bounded time and memory.

One child process takes the whole corpus, so that its peak memory is a figure and a crash or a
hang would be seen from outside.
"""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import av
import pytest
from making import moving_square, write_video

CPU_S = 2.0
MEMORY_MB = 512

_CHILD = """
import json, resource, sys, time
from forensics import container, open_clip
from forensics.errors import ForensicsError
import av, scipy.ndimage
import numpy, PIL.Image
def slowness():
    # How much slower this core is just now than an idle one: a shared core also counts more
    # processor time for the same work.
    start, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number * number
    return max(1.0, (time.process_time() - start) / 0.05)
worst = {}
for path in sys.argv[1:]:
    taken, said, clip = [0.0], "read", None
    def timed(call, *arguments, **named):
        start = time.process_time()
        try:
            return call(*arguments, **named)
        finally:
            taken.append(time.process_time() - start)
    try:
        clip = timed(open_clip, path, metadata=False)
        said = timed(container.find_discontinuities, clip).outcome
        timed(container.find_hidden_frames, clip, max_pictures=5)
        timed(container.read_structure, clip)
        timed(container.triage, [path])
    except ForensicsError as error:
        said = type(error).__name__
    worst[path] = (max(taken) / slowness(), said)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
if sys.platform == "linux":
    # What the parent held when it forked counts in ru_maxrss, but not in the address space's peak.
    status = open("/proc/self/status").read()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({"peak_mb": peak, "files": worst}))
"""


def _box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _boundaries(data: bytes) -> list[int]:
    """Offsets at which a box begins, down to three levels."""
    found, stack = [], [(0, len(data), 0)]
    while stack:
        at, end, depth = stack.pop()
        while end - at >= 8:
            size = int.from_bytes(data[at : at + 4], "big")
            if size < 8 or at + size > end:
                break
            found.append(at)
            if depth < 6 and data[at + 4 : at + 8] in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
                stack.append((at + 8, at + size, depth + 1))
            at += size
    return sorted(found)


def _nal_lies(data: bytes) -> bytes:
    """An MP4 whose NAL lengths exceed their packets."""
    changed = bytearray(data)
    mdat = data.find(b"mdat") + 4
    for at in range(mdat, min(mdat + 4000, len(data) - 4), 97):
        changed[at : at + 4] = b"\x7f\xff\xff\xff"
    return bytes(changed)


def _built(good: bytes) -> dict[str, bytes]:
    """Files made to hurt."""
    ftyp = _box(b"ftyp", b"isom\0\0\2\0isom")
    deep = b"".join(struct.pack(">I4s", (100_000 - n) * 8, b"moov") for n in range(100_000))
    cases = {
        "empty-moov.mp4": ftyp + _box(b"moov"), "deep.mp4": ftyp + deep,
        "many.mp4": good + _box(b"free") * 60_000,
        "lies.mp4": _nal_lies(good), "beyond.mp4": good.replace(b"mdat", b"mdaX", 1),
        "zero.mp4": ftyp + bytes(5000),
        "ebml.mkv": b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff" + b"\xec\x80" * 200_000,
        "riff.avi": b"RIFF\xff\xff\xff\x7fAVI " + b"LIST\xff\xff\xff\x7fhdrl" * 5000,
        "flv.flv": b"FLV\x01\x05\0\0\0\x09\0\0\0\0" + (b"\x09" + bytes(14)) * 50_000,
        "sync.ts": (b"G" + bytes([0x40, 0x11, 0x10]) + bytes(184)) * 5000,
    }  # fmt: skip
    for kind, value in ((b"stsz", 2**31), (b"stts", 2**31), (b"stco", 2**31), (b"elst", 2**31),
                        (b"ctts", 2**32 - 1), (b"stsc", 2**32 - 1)):  # fmt: skip
        at = good.find(kind)
        if at > 0:
            changed = bytearray(good)
            where = at + 4 + (8 if kind == b"stsz" else 4)
            changed[where : where + 4] = value.to_bytes(4, "big")
            cases[f"count-{kind.decode()}.mp4"] = bytes(changed)
    for size in (0, 1, 7, 2**32 - 1):
        for kind in (b"moov", b"trak", b"stbl", b"mdat"):
            changed = bytearray(good)
            at = good.find(kind) - 4
            changed[at : at + 4] = size.to_bytes(4, "big")
            cases[f"size-{size}-{kind.decode()}.mp4"] = bytes(changed)
    for wide in (0, 8, 2**31, 2**63, 2**64 - 1):
        for kind in (b"moov", b"mdat"):
            at = good.find(kind) - 4
            head = struct.pack(">I4sQ", 1, kind, wide)
            cases[f"wide-{wide}-{kind.decode()}.mp4"] = good[:at] + head + good[at + 8 :]
    return cases | _circles(good)


def _circles(good: bytes) -> dict[str, bytes]:
    """Files whose parts point at themselves, or at each other in a ring."""
    cases = {}
    # Every sample is the index itself.
    at = good.find(b"stco")
    count = int.from_bytes(good[at + 8 : at + 12], "big")
    moov = (good.find(b"moov") - 4).to_bytes(4, "big")
    cases["stco-to-moov.mp4"] = good[: at + 12] + moov * count + good[at + 12 + 4 * count :]
    # A segment index that refers to itself, and one track that refers to itself as its chapters.
    sidx = _box(b"sidx", struct.pack(">IIIIIHH", 0, 1, 1000, 0, 0, 0, 1)
                + struct.pack(">III", 1 << 31 | 44, 1000, 0))  # fmt: skip
    cases["sidx.mp4"] = good[:32] + sidx + good[32:]
    trak = good.find(b"trak")
    size = int.from_bytes(good[trak - 4 : trak], "big")
    tref = _box(b"tref", _box(b"chap", (1).to_bytes(4, "big")) * 50)
    changed = bytearray(good)
    changed[trak - 4 : trak] = (size + len(tref)).to_bytes(4, "big")
    movie = good.find(b"moov")
    whole = int.from_bytes(good[movie - 4 : movie], "big")
    changed[movie - 4 : movie] = (whole + len(tref)).to_bytes(4, "big")
    end = trak - 4 + size
    cases["tref.mp4"] = bytes(changed[:end]) + tref + bytes(changed[end:])
    # A seek head that seeks to itself, twice over.
    seek = b"\x4d\xbb\x8b\x53\xab\x84\x11\x4d\x9b\x74\x53\xac\x81\x00"
    head = b"\x11\x4d\x9b\x74" + bytes([0x80 | 2 * len(seek)]) + seek * 2
    ebml = b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska"
    cases["seek.mkv"] = ebml + b"\x18\x53\x80\x67\x01" + bytes(7) + head * 2000
    # An AVI whose super index names itself.
    index = b"indx" + struct.pack("<IHBBI4sIII", 40, 4, 0, 0, 1, b"00dc", 0, 0, 0)
    index += struct.pack("<QII", 24, 48, 1)
    strl = b"LIST" + struct.pack("<I", 4 + len(index)) + b"strl" + index
    hdrl = b"LIST" + struct.pack("<I", 4 + len(strl)) + b"hdrl" + strl
    cases["indx.avi"] = b"RIFF" + struct.pack("<I", 4 + len(hdrl)) + b"AVI " + hdrl
    # A program stream whose map is as long as itself and whose packs stand still.
    packs = bytes.fromhex("000001ba440004000401000003f8") * 3000
    cases["packs.mpg"] = packs + b"\0\0\1\xbc\xff\xff" * 3000
    return cases


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Good files of seven kinds, cut off, mutated, and files made to hurt."""
    folder = tmp_path_factory.mktemp("hostile")
    first = write_video(folder / "good.mp4", moving_square(40, width=96, height=64),
                        options={"preset": "ultrafast", "g": "10"})  # fmt: skip
    good = first.read_bytes()
    seeds = {"mp4": good}
    for suffix in ("mkv", "ts", "flv"):
        with av.open(str(first)) as one, av.open(str(folder / f"good.{suffix}"), "w") as two:
            stream = one.streams.video[0]
            out = two.add_stream_from_template(stream)
            for packet in one.demux(stream):
                if packet.size:
                    packet.stream = out
                    two.mux(packet)
        seeds[suffix] = (folder / f"good.{suffix}").read_bytes()
    for suffix, codec in (("avi", "mpeg4"), ("mpg", "mpeg2video"), ("mov", "mpeg4")):
        clip = write_video(folder / f"good.{suffix}", moving_square(20, width=96, height=64),
                           codec=codec)  # fmt: skip
        seeds[suffix] = clip.read_bytes()
    cases = _built(good)
    for at in _boundaries(good):
        cases[f"cut-{at}.mp4"] = good[:at]
        cases[f"cut-{at}-in.mp4"] = good[: at + 6]
    rng = random.Random(7)
    for suffix, data in seeds.items():
        for number in range(12):
            changed = bytearray(data)
            # Headers are where the lengths are: half of the damage goes to the first kilobytes.
            for _ in range(rng.choice((1, 4, 30))):
                top = min(2000, len(data)) if rng.random() < 0.5 else len(data)
                changed[rng.randrange(top)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
            if number % 3 == 0:
                # The index of an MP4 stands at its end.
                for _ in range(8):
                    changed[-rng.randrange(1, min(1500, len(data)))] = rng.randrange(256)
            cases[f"mutated-{number}.{suffix}"] = bytes(changed)
    paths = []
    for name, data in cases.items():
        (folder / name).write_bytes(data)
        paths.append(folder / name)
    return paths


def _run(paths: list[Path]) -> dict[str, object]:
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *map(str, paths)], capture_output=True, timeout=540,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(
            [str(root), os.environ.get("PYTHONPATH", "")])}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-3000:]
    return dict(json.loads(done.stdout.decode().splitlines()[-1]))


def _judge(paths: list[Path]) -> dict[str, tuple[float, str]]:
    found = _run(paths)
    files: dict[str, tuple[float, str]] = found["files"]  # type: ignore[assignment]
    assert len(files) == len(paths)
    slow = {Path(p).name: round(cpu, 2) for p, (cpu, _) in files.items() if cpu > CPU_S}
    assert not slow, slow
    assert float(found["peak_mb"]) < MEMORY_MB  # type: ignore[arg-type]
    return files


def test_no_crash_no_hang_and_little_memory(corpus: list[Path]) -> None:
    files = _judge(corpus)
    # The corpus must exercise both ends: files that are refused and files that are read.
    said = {outcome for _, outcome in files.values()}
    assert {"ClipUnreadable", "found"} <= said, said


def test_real_containers_too(media: Path) -> None:
    folder = media / "containers"
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.stat().st_size < 120_000
             and p.suffix in (".mp4", ".mkv", ".mov", ".flv", ".avi", ".webm", ".wav", ".3gp")]
    assert len(paths) > 80
    _judge(paths[::6])
