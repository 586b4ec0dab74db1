"""How much of a fixed view stands still to the last grey level, though nobody touched it?

    python benchmarks/pictures_still.py WORK      (the material of benchmarks/pictures_make.py)

Whoever freezes a part of a view, or lays a clean plate over it, makes that part stand still. This
measures why nothing can be told from that: in how much of an untouched view noise lives in nine of
ten frames, so that its end would show, and how many cells stand exactly still from one frame to
the next. Nothing is tuned, so every fixed view counts.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pictures_make import FETCHED, NEGATIVES, STATIC, UNSEEN, Sample, measure_source

RESULTS = Path(__file__).resolve().parent / "results"
#: A cell lives where it changes by more grey levels than this in nine of ten frames…
ALIVE = 0.1
#: …and stands still where it changes by less than this: not one pixel of a hundred by two.
STILL = 0.02
#: Held in the hand, or filled by water, leaves or a face.
NOT_FIXED = ("carphone", "flower", "stream", "tree", "river", "friday", "pancake", "portrait")


def fixed_views() -> list[str]:
    named = [name for name in (*STATIC, *NEGATIVES, *UNSEEN, *FETCHED) if "(moving)" not in name]
    return [name for name in named if name not in NOT_FIXED]


def shares(sample: Sample) -> tuple[float, float]:
    """The share of cells that live, and of cells times frames that stand still."""
    cells = np.asarray(sample.measured.planes["cells"], np.float32)[1:]
    return (float((np.percentile(cells, 10, axis=0) > ALIVE).mean()),
            float((cells < STILL).mean()))  # fmt: skip


def main() -> None:
    work = Path(sys.argv[1])
    found: dict[str, list[tuple[float, float]]] = {}
    names = [name for name in fixed_views() if (work / f"{name}.recipes").exists()]
    for name in names:
        for sample in measure_source(name, work):
            if sample.edit == "untouched":
                found.setdefault(sample.profile, []).append(shares(sample))
    rows = {}
    for profile, pairs in found.items():
        alive, still = np.array(pairs).T
        rows[profile] = {
            "views": len(pairs),
            "alive, median share of the view": round(float(np.median(alive)), 3),
            "views with less than a tenth alive": int((alive < 0.1).sum()),
            "still, median share of cells and frames": round(float(np.median(still)), 3),
        }  # fmt: skip
        print(profile, rows[profile])
    said = {"measured": f"{datetime.now(UTC):%Y-%m-%d}", "views": names, "profiles": rows}
    (RESULTS / "pictures_still.json").write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
