"""Damaged files through the batch: crashes, hangs, the largest memory and time one clip took.

    python benchmarks/fuzz.py [--files 400] [--seed 3] [--quick]

Prints and writes benchmarks/results/fuzz.json. Seeds are files of FORENSICS_MEDIA where it is
there, and clips made here; each is damaged by flipping bytes, cutting, repeating, zeroing and by
writing absurd values into box sizes. A *crash* is a child ended by a signal, a *hang* one ended by
its time limit, a *bug* an exception that is no ForensicsError. All three cost one row; none may
take the batch with it.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import json
import os
import random
import resource
import struct
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from batch import make_clip

from forensics import batch

STEPS = (("container.find_discontinuities", {}), ("video.find_keyframes", {}),
         ("edits.find_edits", {}), ("events.find_events", {}))  # fmt: skip
LARGEST = 3 << 20


def damage(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """One kind of damage, by name."""
    data = bytearray(content)
    kind = rng.choice(("flip", "cut", "repeat", "zero", "size", "swap", "header"))
    if kind == "flip":
        for _ in range(rng.choice((1, 8, 64, 512))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[rng.randrange(1, len(data)) :]
    elif kind == "repeat":
        at, length = rng.randrange(len(data)), rng.randrange(1, 4096)
        data[at:at] = data[at : at + length] * rng.choice((1, 3, 50))
    elif kind == "zero":
        at = rng.randrange(len(data))
        data[at : at + rng.randrange(1, 65536)] = b""
    elif kind == "size":
        names = [i for i in range(4, len(data) - 4, 1) if data[i : i + 4] in BOXES]
        at = rng.choice(names) - 4 if names else rng.randrange(max(1, len(data) - 4))
        absurd = rng.choice((0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF, rng.getrandbits(32)))
        data[at : at + 4] = struct.pack(">I", absurd)
    elif kind == "swap":
        half = len(data) // 2
        data = data[half:] + data[:half]
    else:
        for at in range(min(64, len(data))):
            if rng.random() < 0.3:
                data[at] = rng.randrange(256)
    return kind, bytes(data)


BOXES = (b"moov", b"trak", b"mdia", b"stbl", b"stts", b"stsz", b"stco", b"stsc", b"stsd", b"mdat",
         b"elst", b"ctts", b"mvhd", b"tkhd", b"avcC", b"udta", b"meta", b"moof",
         b"traf")  # fmt: skip


def seeds(place: Path) -> list[tuple[str, bytes]]:
    """Small files of many formats."""
    found = []
    for number in range(3):
        make_clip(place / "seed.mp4", number, 1.0, (128, 96))
        found.append((f"made-{number}.mp4", (place / "seed.mp4").read_bytes()))
    (place / "seed.mp4").unlink()
    named = os.environ.get("FORENSICS_MEDIA", str(ROOT.parent / "shared" / "media"))
    media = Path(named) / "containers"
    if media.is_dir():
        for path in sorted(p for p in media.rglob("*") if p.is_file()):
            if 256 < path.stat().st_size < LARGEST and path.suffix.lower() in (
                ".mp4", ".mov", ".mkv", ".webm", ".flv", ".avi", ".ts", ".wav", ".mp3", ".m4a",
                ".3gp", ".mpg", ".ogg", ".aac",
            ):  # fmt: skip
                found.append((path.name, path.read_bytes()))  # noqa: PERF401
    return found


class Timed(concurrent.futures.ThreadPoolExecutor):
    """Two children at a time, and how long each took."""

    def __init__(self) -> None:
        super().__init__(2)
        self.seconds: list[tuple[float, str]] = []

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Any:
        def timed() -> Any:
            began = time.perf_counter()
            row = function(*arguments, **named)
            self.seconds.append((time.perf_counter() - began, arguments[0].name))
            return row

        return super().submit(timed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=120.0)
    parser.add_argument("--steps", default=",".join(name for name, _ in STEPS))
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    count = 40 if chosen.quick else chosen.files
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory(prefix="forensics-fuzz-") as folder:
        place = Path(folder)
        known = seeds(place)
        files = place / "files"
        files.mkdir()
        kinds: collections.Counter[str] = collections.Counter()
        for number in range(count):
            name, content = rng.choice(known)
            kind, damaged = damage(content, rng)
            kinds[kind] += 1
            (files / f"{number:05d}-{kind}-{name}").write_bytes(damaged or b"\0")
        before = {p.name: p.stat().st_mtime_ns for p in files.iterdir()}
        began = time.perf_counter()
        workers = Timed()
        batch.run_batch(
            files, place / "rows.jsonl", executor=workers, jobs=2,
            steps=[(name, {}) for name in chosen.steps.split(",")], timeout_s=chosen.timeout,
            memory_bytes=2 << 30, keep_artefacts=False,
        )  # fmt: skip
        workers.shutdown()
        seconds = time.perf_counter() - began
        rows = [json.loads(line) for line in (place / "rows.jsonl").read_bytes().splitlines()]
        changed = before != {p.name: p.stat().st_mtime_ns for p in files.iterdir()}
    errors: collections.Counter[str] = collections.Counter(r.get("error", "") for r in rows)
    outcomes: collections.Counter[str] = collections.Counter(r["outcome"] for r in rows)
    bugs = [f"{r['clip']}: {r['error']}: {r['reason']}" for r in rows
            if "a bug at" in r.get("reason", "")]  # fmt: skip
    batch._pool.close()
    found: dict[str, Any] = {
        "files": len(rows), "steps": chosen.steps.split(","), "seeds": len(known),
        "seed": chosen.seed, "damage": dict(kinds),
        "crashes": errors["Crashed"], "hangs": errors["Timeout"], "bugs": len(bugs),
        "over_memory": errors["MemoryError"], "timeout_s": chosen.timeout,
        "outcomes": dict(outcomes), "errors": {k: v for k, v in errors.items() if k},
        "bug_list": bugs[:20], "crash_list": [r["clip"] for r in rows if r.get("error") in
                                              ("Crashed", "Timeout", "MemoryError")][:20],
        "largest_child_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "seconds": seconds, "longest_s": sorted(workers.seconds, reverse=True)[:5],
        "note": "the longest times include loading the models once for each of the two children "
                "at a time, and other work on the machine",
        "load": os.getloadavg()[0], "files_changed": changed,
        "network": batch._pool.network, "opencv": metadata.version("opencv-python-headless"),
        "av": metadata.version("av"),
    }  # fmt: skip
    print(json.dumps(found, indent=1))
    if not chosen.quick:
        target = ROOT / "benchmarks" / "results" / "fuzz.json"
        target.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
