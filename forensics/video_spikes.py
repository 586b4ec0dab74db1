"""Steps that stand out: features of each candidate, and what they add up to.

A step is compared with all others within a second, in the picture as a whole and cell by cell,
because what moves where differs; the second look of `video_measure` adds what motion does not
explain; the fresh key frames that encoders put in regularly are held against each other.
`score_steps` fuses all with a small logistic model (``data/step_model.json``) whose weights
`benchmarks/pictures.py` fits, and measures with every source held out in turn.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from forensics.errors import RecordInvalid
from forensics.model import from_json
from forensics.video_measure import SECOND_LOOK, largest_around, window_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.scan import Measurements

__all__ = [
    "STEP_FEATURES",
    "StepModel",
    "Steps",
    "measure_candidates",
    "score_steps",
    "shipped_model",
]

STEP_FEATURES = (
    "detail", "peak", "cells_top", "cells_many", "even", "lasting", "light", "amount", "on_grid",
    "off_grid", "key_usual", "sharper", "stalled", *SECOND_LOOK,
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
    top, many, even = _cells(measured.planes["cells"], frames, reach)
    lasting = np.array([_lasting(measured.planes["thumbs"], int(t), reach) for t in frames])
    light = np.abs(columns["shift"][frames]) / (columns["diff"][frames] + 0.2)
    grid = _off_grid(measured.key)[frames]
    sharpness = np.log(columns["sharpness"] + 1.0)
    sharper = np.abs(sharpness[frames] - sharpness[np.maximum(frames - 1, 0)])
    look = [columns[name][frames] for name in SECOND_LOOK]
    look[-1] = np.log1p(look[-1])
    table = np.column_stack(
        [*ratios, top, many, even, lasting, light, np.log(columns["peak"][frames] + 0.3),
         grid < 0, grid > 0, _beside_other_keys(columns["detail"], measured.key, frames), sharper,
         _stalled(columns["diff"], frames), *look]
    )  # fmt: skip
    return Steps(frames, table)


def _cells(
    cells: NDArray[np.float16], frames: NDArray[np.int64], reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Cell by cell: how far the strongest stand out; the share of change in those; evenness.

    Motion is somewhere; a freshly coded picture changes a little everywhere.
    """
    import numpy as np

    top, many, even = np.zeros(len(frames)), np.zeros(len(frames)), np.zeros(len(frames))
    for row, t in enumerate(frames):
        low, high = max(1, t - reach), t + reach + 1
        before, after = cells[low : max(low, t - 1)], cells[t + 2 : high]
        around = np.concatenate([before, after]).astype(np.float32)
        now = cells[t].astype(np.float32)
        most = around.max(axis=0) if len(around) else np.zeros_like(now)
        ratio = np.log((now + 1.0) / (most + 1.0))
        top[row] = np.sort(ratio, axis=None)[-4:].mean()
        many[row] = float(now[ratio > 0.3].sum() / (now.sum() + 1.0))
        strongest = float(np.sort(now, axis=None)[-3:].mean())
        even[row] = float(np.log((np.median(now) + 0.2) / (strongest + 0.2)))
    return top, many, even


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


def _beside_other_keys(
    detail: NDArray[np.float64], key: NDArray[np.bool_], frames: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How much more a key frame changes than the key frames around it; 0 for other frames."""
    import numpy as np

    keys = np.flatnonzero(key)
    keys = keys[keys > 0]
    marks = np.zeros(len(frames))
    for row, t in enumerate(frames):
        if not key[t]:
            continue
        near = keys[(np.abs(np.searchsorted(keys, t) - np.arange(len(keys))) <= 6) & (keys != t)]
        if len(near):
            usual = float(np.median(detail[near]))
            marks[row] = float(np.log((detail[t] + 0.3) / (usual + 0.3)))
    return marks


def _stalled(diff: NDArray[np.float64], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 where the picture stood still right before: what then jumps has only caught up."""
    import numpy as np

    usual = float(np.median(diff))
    before = diff[np.maximum(frames - 1, 0)]
    stalled: NDArray[np.float64] = np.clip(
        -np.log((before + 0.02) / (usual + 0.02)), 0.0, 4.0
    )  # fmt: skip
    return stalled


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


class StepModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A logistic model: standardise by `mean` and `scale`, weigh, add `bias`."""

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    least_score: float
    fitted: str

    def score(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The fitted probability of each row of features, (k,) between 0 and 1."""
        import numpy as np

        table = (features - np.array(self.mean)) / np.array(self.scale)
        # A feature far outside what was seen in fitting must not decide alone.
        table = np.clip(table, -4, 4)
        with np.errstate(over="ignore"):
            scores: NDArray[np.float64] = 1 / (1 + np.exp(-(table @ np.array(self.weights)
                                                            + self.bias)))  # fmt: skip
        return scores


@functools.cache
def shipped_model() -> StepModel:
    """The model that comes with the library."""
    data = resources.files("forensics").joinpath("data/step_model.json").read_bytes()
    model = from_json(data, StepModel)
    if model.features != STEP_FEATURES:
        raise RecordInvalid("data/step_model.json was fitted on other features")
    return model


def score_steps(steps: Steps, model: StepModel | None = None) -> NDArray[np.float64]:
    """The probability that each candidate is an edit, as fitted; (k,) between 0 and 1."""
    return (model or shipped_model()).score(steps.features)
