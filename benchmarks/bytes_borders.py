"""What is left in the bytes where ids alternate, an even number of GOPs is gone and stamps are new.

    python benchmarks/bytes_borders.py [--work DIR]

A closed GOP is predicted from nothing before it, so only what an encoder carries from one GOP to
the next can show a removal: its rate control, and through it the content. Candidates are measured
on the tuning half of the sources of bytes.py. Copying leaves packets as they are, so a removal of
two GOPs is every pair of GOPs (k, k + 3), and no file need be made. A candidate would be of use if
it found most of these above the largest value of all true borders (k, k + 1): those are under a
minute of footage, so one false alarm among them is already more than 20 an hour. Prints the
figures and writes results/bytes_borders.json; no candidate is in the library.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import av
import bytes_material as material
import numpy as np

from forensics import container, open_clip
from forensics.container_nal import Bits, read_sps, split_lengths, unescape

RESULTS = Path(__file__).resolve().parent / "results"
_SAME = ["-c:v", "libx264", "-g", "25", "-sc_threshold", "0"]
RECIPES = {
    "crf 23, veryfast, no B": [*_SAME, "-preset", "veryfast", "-bf", "0"],
    "crf 23, veryfast, B": [*_SAME, "-preset", "veryfast"],
    "300 kbit/s, veryfast": [*_SAME, "-preset", "veryfast", "-bf", "0", "-b:v", "300k"],
    "300 kbit/s constant, veryfast": [*_SAME, "-preset", "veryfast", "-bf", "0", "-b:v", "300k",
                                      "-maxrate", "300k", "-bufsize", "300k"],
    "crf 23, ultrafast": [*_SAME, "-preset", "ultrafast", "-bf", "0"],
}  # fmt: skip
#: An x264 key picture gets the running mean of the quantisers before it, less this.
KEY_OFFSET = 6 * np.log2(1.4)


def read_quantisers(path: Path) -> list[tuple[str, bool, int]]:
    """Type, IDR or not, and slice quantiser of every picture of an x264 stream without B-frames."""
    found = []
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        record = bytes(stream.codec_context.extradata or b"")
        size = int.from_bytes(record[6:8], "big")
        _, sps = read_sps(record[9 : 8 + size])
        at = 11 + size
        bits = Bits(unescape(record[at + 1 : at + int.from_bytes(record[at - 2 : at], "big")]))
        bits.ue(), bits.ue()
        cabac = bits.u(1)
        bits.u(1), bits.ue()
        usual = bits.ue() + 1
        bits.ue()
        weighted = bits.u(1)
        bits.u(2)
        base = 26 + bits.se()
        for packet in file.demux(stream):
            data = memoryview(packet)
            for start, end in split_lengths(data, 4):
                if data[start] & 31 in (1, 5):
                    head = unescape(bytes(data[start : min(end, start + 120)]))
                    found.append(_quantiser(head, sps, cabac, usual, weighted, base))
                    break
    return found


def _quantiser(
    head: bytes, sps: Any, cabac: int, usual: int, weighted: int, base: int
) -> tuple[str, bool, int]:
    bits, idr = Bits(head[1:]), head[0] & 31 == 5
    bits.ue()
    kind = "PBI"[bits.ue() % 5]
    bits.ue()
    bits.u(sps.frame_num_bits)
    if idr:
        bits.ue()
    if sps.poc_type == 0:
        bits.u(sps.poc_bits)
    if kind == "P":
        count = bits.ue() + 1 if bits.u(1) else usual
        if bits.u(1):
            while bits.ue() != 3:
                bits.ue()
        if weighted:
            bits.ue(), bits.ue()
            for _ in range(count):
                for values in (2, 4):
                    if bits.u(1):
                        for _ in range(values):
                            bits.se()
    if head[0] >> 5 & 3:
        if idr:
            bits.u(2)
        elif bits.u(1):
            while True:
                order = bits.ue()
                if not order:
                    break
                for _ in range({1: 1, 2: 1, 3: 2, 4: 1, 6: 1}.get(order, 0)):
                    bits.ue()
    if cabac and kind != "I":
        bits.ue()
    return kind, idr, base + bits.se()


def measure_sizes(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Steps of the packet sizes at true borders and at removals, in the clip's own spread."""
    table = container.read_slice_headers(open_clip(path, metadata=False))
    size = np.log(table.packets.size.astype(float))
    starts = np.flatnonzero(table.access > 0)
    gops = np.array([size[a:b] for a, b in itertools.pairwise(starts)
                     if b - a == 25])  # fmt: skip
    rest = gops[:, 1:] - np.median(gops[:, 1:], axis=0)
    steps = {
        "predicted pictures, 3 before to 4 after": lambda a, b: rest[a, -3:].mean()
        - rest[b, :4].mean(),
        "predicted pictures, 8 before to 8 after": lambda a, b: rest[a, -8:].mean()
        - rest[b, :8].mean(),
        "key picture to key picture": lambda a, b: gops[b, 0] - gops[a, 0],
    }
    found = {}
    for name, step in steps.items():
        true = np.array([abs(step(k, k + 1)) for k in range(len(gops) - 1)])
        gone = np.array([abs(step(k, k + 3)) for k in range(len(gops) - 3)])
        middle = np.median(true)
        spread = 1.4826 * np.median(abs(true - middle)) + 1e-3
        found[name] = (((true - middle) / spread).tolist(), ((gone - middle) / spread).tolist())
    return found


def measure_quantisers(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """How far key pictures stray from x264's rule, and steps of the quantiser across borders."""
    pictures = read_quantisers(path)
    level = np.array([q for _, _, q in pictures], float)
    keys = [n for n, (_, idr, _) in enumerate(pictures) if idr]
    mean = {}
    total = weight = 0.0
    for n, (kind, idr, q) in enumerate(pictures):
        if idr:
            mean[n] = total / weight if weight else q + KEY_OFFSET
        total, weight = 0.95 * total + q + (KEY_OFFSET if kind == "I" else 0), 0.95 * weight + 1

    def stray(a: int, b: int) -> float:
        return float(abs(level[keys[b]] + KEY_OFFSET - mean[keys[a + 1]]))

    def step(a: int, b: int) -> float:
        before = level[keys[a + 1] - 2 : keys[a + 1]].mean()
        return float(abs(before - level[keys[b] + 1 : keys[b] + 3].mean()))

    count = len(keys) - 1
    return {name: ([how(k, k + 1) for k in range(1, count - 1)],
                   [how(k, k + 3) for k in range(1, count - 3)])
            for name, how in (("key quantiser against the running mean", stray),
                              ("quantiser of predicted pictures", step))}  # fmt: skip


def main() -> None:
    """Measure every candidate in every recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    usual = Path(tempfile.gettempdir()) / "forensics-bytes"
    parser.add_argument("--work", type=Path, default=usual)
    work = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    sources = [s for s in material.SOURCES if material.half(s) == "tune"]
    table: dict[str, Any] = {}
    for number, (recipe, arguments) in enumerate(RECIPES.items()):
        collected: dict[str, tuple[list[float], list[float]]] = {}
        for source in sources:
            pixels = material.raw(work, source, still=False, width=256)
            path = material.encode(pixels, work / f"borders{number}-{source}.mp4", arguments)
            found = measure_sizes(path)
            if ", B" not in recipe:
                found |= measure_quantisers(path)
            for name, (true, gone) in found.items():
                both = collected.setdefault(name, ([], []))
                both[0].extend(true)
                both[1].extend(gone)
        for name, (true, gone) in collected.items():
            limit = max(true)
            area = float((np.array(gone)[:, None] > np.array(true)[None]).mean())
            row = {"borders": len(true), "removals": len(gone), "area_under_curve": round(area, 3),
                   "above_all_borders": sum(g > limit for g in gone)}  # fmt: skip
            table[f"{recipe} | {name}"] = row
            print(f"  {recipe:30} {name:42} area {area:.2f}, above all {row['borders']} borders "
                  f"{row['above_all_borders']} of {row['removals']}", flush=True)  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    whole = {"half": "tune", "sources": sources, "candidates": table}
    target = RESULTS / "bytes_borders.json"
    target.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
