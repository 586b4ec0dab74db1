"""Steps that stand out: features of each candidate, and what they add up to.

A step is compared with all others within a second, in the picture as a whole and cell by cell,
because what moves where differs; the second look of `video_measure` adds what motion does not
explain. `score_steps` fuses them with a small logistic model whose weights `benchmarks/pictures.py`
fits and measures with every source held out in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.video_measure import SECOND_LOOK, largest_around, window_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.scan import Measurements

__all__ = ["STEP_FEATURES", "Steps", "measure_candidates", "score_steps"]

STEP_FEATURES = (
    "detail", "peak", "cells_top", "cells_many", "lasting", "light", "amount", "key",
    *SECOND_LOOK,
)  # fmt: skip


@dataclass(frozen=True)
class Steps:
    """Candidate steps: `frames` (k,) the first frame after each, `features` (k, f)."""

    frames: NDArray[np.int64]
    features: NDArray[np.float64]


def measure_candidates(measured: Measurements, rate_hz: float) -> Steps:
    """Features of every frame that got a second look.

    Parameters
    ----------
    measured
        From `video_measure.measure_frames`.
    rate_hz
        Frames a second.
    """
    import numpy as np

    reach = window_frames(rate_hz)
    columns = measured.columns
    frames = np.flatnonzero(np.isfinite(columns["flow_ahead"]))
    if not len(frames):
        return Steps(frames, np.zeros((0, len(STEP_FEATURES))))
    ratios = []
    for name in ("detail", "peak"):
        before, after = largest_around(columns[name], reach, gap=1)
        ratios.append(np.log((columns[name] + 0.3) / (np.maximum(before, after) + 0.3))[frames])
    top, many = _cells(measured.planes["cells"], frames, reach)
    lasting = np.array([_lasting(measured.planes["thumbs"], int(t), reach) for t in frames])
    light = np.abs(columns["shift"][frames]) / (columns["diff"][frames] + 0.2)
    grid = _off_grid(measured.key)
    look = [columns[name][frames] for name in SECOND_LOOK]
    look[-1] = np.log1p(look[-1])
    table = np.column_stack(
        [*ratios, top, many, lasting, light, np.log(columns["peak"][frames] + 0.3),
         grid[frames], *look]
    )  # fmt: skip
    return Steps(frames, table)


def _cells(
    cells: NDArray[np.float16], frames: NDArray[np.int64], reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cell by cell: how far the strongest stand out, and the share of change in those that do."""
    import numpy as np

    top, many = np.zeros(len(frames)), np.zeros(len(frames))
    for row, t in enumerate(frames):
        low, high = max(1, t - reach), t + reach + 1
        before, after = cells[low : max(low, t - 1)], cells[t + 2 : high]
        around = np.concatenate([before, after]).astype(np.float32)
        now = cells[t].astype(np.float32)
        most = around.max(axis=0) if len(around) else np.zeros_like(now)
        ratio = np.log((now + 1.0) / (most + 1.0))
        top[row] = np.sort(ratio, axis=None)[-4:].mean()
        many[row] = float(now[ratio > 0.3].sum() / (now.sum() + 1.0))
    return top, many


def _lasting(thumbs: NDArray[np.uint8], t: int, reach: int) -> float:
    """Does the picture come back to what it was? Near 0: what changed stays changed."""
    import numpy as np

    before = thumbs[t - 1].astype(np.float32)
    after = thumbs[t : t + reach].astype(np.float32)

    def apart(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        change = pictures - before
        change -= change.mean(axis=(1, 2), keepdims=True)
        flat = np.abs(change).reshape(len(change), -1)
        strongest: NDArray[np.float32] = np.sort(flat, axis=1)[:, -20:].mean(axis=1)
        return strongest

    ways = apart(after)
    return float(np.log((ways[1:].min() + 0.5) / (ways[0] + 0.5))) if len(ways) > 1 else 0.0


def _off_grid(key: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 for a key frame out of the regular distance, -1 for one at it, 0 for other frames."""
    import numpy as np

    marks = np.zeros(len(key))
    at = np.flatnonzero(key)
    if len(at) < 2:
        return marks
    gaps = np.diff(at)
    usual = int(np.max(gaps))
    marks[at[1:]] = np.where(gaps == usual, -1.0, 1.0)
    return marks


#: Hand-set until fitted: standardised weights of the features, and where even odds lie.
WEIGHTS: dict[str, float] = {
    "detail": 2.0, "peak": 1.5, "cells_top": 1.0, "cells_many": 1.0, "lasting": 1.0,
    "flow_ahead": 1.2, "flow_back": 1.2, "flow_jump": 0.6, "flow_left": 0.6,
}  # fmt: skip
BIAS = -2.5


def score_steps(steps: Steps) -> NDArray[np.float64]:
    """The probability that each candidate is an edit, as fitted; (k,) between 0 and 1."""
    import numpy as np

    weights = np.array([WEIGHTS.get(name, 0.0) for name in STEP_FEATURES])
    scores: NDArray[np.float64] = 1 / (1 + np.exp(-(steps.features @ weights + BIAS)))
    return scores
