"""What other tools find on the very clips of benchmarks/pictures.py.

    PEERS=/path/to/python python benchmarks/pictures_peers.py WORK

PySceneDetect (content and adaptive detector, defaults), ffmpeg's scdet at 10 and at 3 per cent and
its freezedetect (noise 0.001, half a second). PEERS names a Python with scenedetect. An edit counts
where the step shows (5 grey levels or more), within 2 frames of a boundary, as it does for us.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from pictures import RESULTS, VISIBLE, moving_around
from pictures_make import STATIC, Recipe, measure_source

PEERS = os.environ.get("PEERS", "")
PEER = """
import sys, json, warnings
warnings.simplefilter("ignore")
from scenedetect import detect, AdaptiveDetector, ContentDetector
for path in sys.stdin.read().splitlines():
    said = {n: [s[0].frame_num for s in detect(path, d())][1:]
            for n, d in (("PySceneDetect content", ContentDetector),
                         ("PySceneDetect adaptive", AdaptiveDetector))}
    print(json.dumps([path, said]), flush=True)
"""


def ffmpeg_says(path: Path, rate_hz: float) -> dict[str, list[int]]:
    """Frames at which scdet and freezedetect report something."""
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-i", str(path), "-vf",
         "freezedetect=n=0.001:d=0.5,scdet=t=3", "-an", "-f", "null", "-"],
        capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    cuts = re.findall(r"lavfi.scd.score: ([\d.]+), lavfi.scd.time: ([\d.]+)", said)
    still = re.findall(r"freeze_start: ([\d.]+)", said)
    return {
        "ffmpeg scdet 10": [round(float(t) * rate_hz) for s, t in cuts if float(s) >= 10],
        "ffmpeg scdet 3": [round(float(t) * rate_hz) for _, t in cuts],
        "ffmpeg freezedetect": [round(float(t) * rate_hz) for t in still],
    }


def main() -> None:
    work = Path(sys.argv[1])
    samples = [s for name in STATIC for s in measure_source(name, work) if s.profile != "native"]
    said: dict[Path, dict[str, list[int]]] = {s.path: ffmpeg_says(s.path, s.rate_hz)
                                             for s in samples}  # fmt: skip
    if PEERS:
        done = subprocess.run(
            [PEERS, "-W", "ignore", "-c", PEER], input="\n".join(str(s.path) for s in samples),
            capture_output=True, text=True, check=True,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        )  # fmt: skip
        for line in done.stdout.splitlines():
            path, reports = json.loads(line)
            said[Path(path)] |= reports
    found: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    alarms: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])
    for sample in samples:
        for tool, reports in said[sample.path].items():
            if sample.edit == "untouched":
                alarms[tool][0] += len(reports)
                alarms[tool][1] += len(sample.measured) / sample.rate_hz / 3600
                continue
            for hit in judged(sample, reports):
                row = found[tool, sample.edit, sample.profile]
                row[0] += hit
                row[1] += 1
    rows: list[dict[str, Any]] = [
        {"tool": tool, "edit": edit, "encode": profile, "found": hit, "made": made}
        for (tool, edit, profile), (hit, made) in sorted(found.items())
    ]
    false = [
        {"tool": tool, "alarms": int(n), "hours": round(hours, 4), "per_hour": round(n / hours, 1)}
        for tool, (n, hours) in sorted(alarms.items())
    ]
    for row in (*rows, *false):
        print(row)
    out = {"measured": datetime.now(UTC).date().isoformat(), "recall": rows, "alarms": false,
           "PySceneDetect": "run" if PEERS else "not run"}  # fmt: skip
    (RESULTS / "pictures_peers.json").write_text(json.dumps(out, indent=1) + "\n")


def judged(sample: Recipe, reports: list[int]) -> list[bool]:
    """For each visible edit of a clip (for each boundary of a reorder), whether it was found."""
    assert sample.plan is not None
    hits = []
    for edit, strengths in zip(sample.plan.edits, sample.visible, strict=True):
        near = [any(abs(r - b) <= 2 for r in reports) for b in edit.boundaries]
        if sample.edit == "reorder 2 s":
            hits += [h for h, s in zip(near, strengths, strict=False) if s >= VISIBLE]
        elif sample.edit == "freeze 0.6 s":
            if moving_around(sample, edit.first, edit.last):  # type: ignore[arg-type]
                hits.append(any(edit.first - 2 <= r <= edit.last + 2 for r in reports))
        elif max(strengths, default=0.0) >= VISIBLE:
            hits.append(any(near))
    return hits


if __name__ == "__main__":
    main()
