"""Steps that stand out: features of each candidate, and what they add up to.

A step is compared with all others within a second, in the picture as a whole and cell by cell,
because what moves where differs; the second look of `video_measure` adds what motion does not
explain; the fresh key frames that encoders put in regularly are held against each other.
`score_steps` fuses all with a small forest of decision trees (``data/step_model.json``) which
`benchmarks/pictures.py` grows, and measures with every source held out in turn.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from forensics.errors import RecordInvalid
from forensics.model import from_json
from forensics.scan_order import middle
from forensics.video_fresh import codes_only, find_fresh
from forensics.video_harmless import at_the_edge, only_light, was_knocked
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
    "detail", "peak", "detail_third", "peak_third", "ceases", "cells_top", "cells_many", "even",
    "edge", "inner_left", "inner_share", "continues", "lasting", "light", "amount", "on_grid",
    "off_grid", "key_usual", "sharper", "stalled", *SECOND_LOOK,
)  # fmt: skip


#: Frames at either end of a file in which no step is judged.
CONTEXT = 6
#: Where the middling cell changes more than this share of the strongest (logarithm), the picture
#: changed all over: a knocked camera, a fresh coding, other light. A cut moves figures alone.
ALL_OVER = -1.2
#: The share of the picture that must move for the camera itself to have been knocked.
MOVED_WHOLE = 0.5
#: Seconds over which the empty view is taken, for telling who stands in it.
BACKGROUND_S = 10.0
#: Candidates worked on at a time.
CHUNK = 512


@dataclass(frozen=True)
class Steps:
    """Candidate steps: `frames` (k,) the first frame after each, `features` (k, f)."""

    frames: NDArray[np.int64]
    features: NDArray[np.float64]


def measure_candidates(measured: Measurements, rate_hz: float) -> Steps:
    """Features of every frame that got a second look, but for what is plainly harmless.

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
    # Where a file begins or ends nothing is known yet of what is usual.
    frames = frames[(frames >= CONTEXT) & (frames < len(measured) - CONTEXT)]
    if len(frames):
        frames = frames[~_harmless(measured, frames, rate_hz)]
    if not len(frames):
        return Steps(frames, np.zeros((0, len(STEP_FEATURES))))
    ratios = []
    for name in ("detail", "peak"):
        before, after = largest_around(columns[name], reach, gap=1)
        ratios.append(np.log((columns[name] + 0.3) / (np.maximum(before, after) + 0.3))[frames])
    ratios += [_beside_third(columns[name], frames, reach) for name in ("detail", "peak")]
    ratios.append(_ceases(columns["detail"], frames))
    top, many, even = _cells(measured.planes["cells"], frames, reach)
    figures = even < ALL_OVER
    frames, top, many, even = frames[figures], top[figures], many[figures], even[figures]
    ratios = [ratio[figures] for ratio in ratios]
    if not len(frames):
        return Steps(frames, np.zeros((0, len(STEP_FEATURES))))
    thumbs = measured.planes["thumbs"]
    inner_left, inner_share = _inner(thumbs, frames, round(BACKGROUND_S * rate_hz))
    lasting = np.array([_lasting(thumbs, int(t), reach) for t in frames])
    light = np.abs(columns["shift"][frames]) / (columns["diff"][frames] + 0.2)
    grid = _off_grid(measured.key)[frames]
    sharpness = np.log(columns["sharpness"] + 1.0)
    sharper = np.abs(sharpness[frames] - sharpness[np.maximum(frames - 1, 0)])
    look = [columns[name][frames] for name in SECOND_LOOK]
    look[-1] = np.log1p(look[-1])
    table = np.column_stack(
        [*ratios, top, many, even, _edge(measured.planes["cells"], frames), inner_left,
         inner_share, _continues(columns["detail"], frames), lasting, light,
         np.log(columns["peak"][frames] + 0.3), grid < 0, grid > 0,
         _beside_other_keys(columns["detail"], measured.key, frames), sharper,
         _stalled(columns["diff"], frames), *look]
    )  # fmt: skip
    return Steps(frames, table)


def _harmless(
    measured: Measurements, frames: NDArray[np.int64], rate_hz: float
) -> NDArray[np.bool_]:
    """Candidates that `video_harmless` knows the cause of."""
    import numpy as np

    columns, thumbs = measured.columns, measured.planes["thumbs"]
    fresh = find_fresh(measured.key, columns["detail"], columns["peak"])
    known = codes_only(fresh, measured.key, columns["detail"], columns["peak"], frames)
    known |= at_the_edge(_edge(measured.planes["cells"], frames))
    left = np.flatnonzero(~known)
    known[left] = only_light(thumbs, frames[left])
    # Only where motion fills the view can it be the view that moved.
    for row in np.flatnonzero(~known & (columns["flow_area"][frames] > MOVED_WHOLE)):
        known[row] = was_knocked(thumbs, int(frames[row]), rate_hz)
    return known


def _beside_third(
    series: NDArray[np.float64], frames: NDArray[np.int64], reach: int
) -> NDArray[np.float64]:
    """Against the third largest of the steps around: one other sudden frame hides nothing."""
    import numpy as np

    away = np.r_[-reach:-1, 2 : reach + 1]
    ratio = np.empty(len(frames))
    for low in range(0, len(frames), CHUNK):
        some = frames[low : low + CHUNK]
        at = some[:, None] + away
        # Where there is no frame, there is no rival.
        around = np.where((at >= 1) & (at < len(series)), series[at % len(series)], 0.0)
        around.partition(around.shape[1] - 3, axis=1)
        third = np.maximum(around[:, -3], 0.0)
        ratio[low : low + CHUNK] = np.log((series[some] + 0.3) / (third + 0.3))
    return ratio


def _ceases(detail: NDArray[np.float64], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much more moves in the five steps on one side than in the five on the other."""
    import numpy as np

    steps = np.arange(1, CONTEXT)
    before, after = (middle(detail[frames[:, None] + way * steps]) for way in (-1, 1))
    return np.abs(np.log((before + 0.3) / (after + 0.3)))


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
        even[row] = float(np.log((middle(now.ravel()) + 0.2) / (strongest + 0.2)))
    return top, many, even


def _edge(cells: NDArray[np.float16], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of what changed in the cells at the picture's edge: where people may come in."""
    import numpy as np

    now = cells[frames].astype(np.float64)
    inner = now[:, 1:-1, 1:-1].sum(axis=(1, 2))
    share: NDArray[np.float64] = 1 - (inner + 0.1) / (now.sum(axis=(1, 2)) + 0.1)
    return share


def _continues(detail: NDArray[np.float64], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much moves on the quieter side of the step, beside the step itself."""
    import numpy as np

    steps = np.arange(1, 4)
    before, after = (middle(detail[frames[:, None] + way * steps]) for way in (-1, 1))
    quieter: NDArray[np.float64] = np.minimum(before, after)
    return np.log((quieter + 0.3) / (detail[frames] + 0.3))


def _inner(
    thumbs: NDArray[np.uint8], frames: NDArray[np.int64], reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whoever appears or vanishes within the view, against the step before and the one after.

    Who stands at the picture's edge may be coming in or going out and does not count.
    """
    import numpy as np

    left, share = np.zeros(len(frames)), np.zeros(len(frames))
    block, empty = -1, thumbs[0].astype(np.float32)
    for row, t in enumerate(frames):
        if t // reach != block:
            # One empty view serves a stretch: the median of what was there around it.
            block = int(t // reach)
            low, high = max(0, (block - 1) * reach), (block + 2) * reach
            around = thumbs[low : high : max(1, reach // 16)]
            empty = middle(np.moveaxis(around, 0, -1)).astype(np.float32)
        four = thumbs[t - 2 : t + 2].astype(np.float32) - empty
        four -= middle(four.reshape(4, -1))[:, None, None]
        fronts = np.clip(np.abs(four) - 8, 0, 40)
        inside, near = [_inside(front) for front in fronts], [_widened(f) for f in fronts]
        moved = [
            float(np.maximum(fronts[i] - near[i + 1], 0)[inside[i]].sum())
            + float(np.maximum(fronts[i + 1] - near[i], 0)[inside[i + 1]].sum())
            for i in range(3)
        ]  # fmt: skip
        left[row] = np.log((moved[1] + 20.0) / (max(moved[0], moved[2]) + 20.0))
        share[row] = np.log((moved[1] + 20.0) / (fronts[1:3].sum() / 2 + 20.0))
    return left, share


def _inside(front: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where no figure is that reaches the picture's edge."""
    import cv2
    import numpy as np

    number, labels = cv2.connectedComponents((front > 0).astype(np.uint8))
    inside = np.ones(number, dtype=bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        inside[side] = False
    within: NDArray[np.bool_] = inside[labels]
    return within


def _widened(front: NDArray[np.float32]) -> NDArray[np.float32]:
    import cv2
    import numpy as np

    return cv2.dilate(front, np.ones((3, 3), np.uint8)).astype(np.float32, copy=False)


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
        place = int(np.searchsorted(keys, t))
        near = keys[max(0, place - 6) : place + 7]
        near = near[near != t]
        if len(near):
            usual = float(middle(detail[near]))
            marks[row] = float(np.log((detail[t] + 0.3) / (usual + 0.3)))
    return marks


def _stalled(diff: NDArray[np.float64], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 where the picture stood still right before: what then jumps has only caught up."""
    import numpy as np

    usual = float(middle(diff))
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
    """A forest of decision trees as flat lists; each entry is one node.

    `feature` is the column asked about (-1 for a leaf), `split` the largest value that goes to
    node `left`, all others go to `right`; `value` is the share of edits in a leaf; `roots` are the
    nodes at which the trees begin.
    """

    features: tuple[str, ...]
    feature: tuple[int, ...]
    split: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]
    roots: tuple[int, ...]
    least_score: float
    fitted: str

    def score(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean over all trees for each row of features, (k,) between 0 and 1."""
        import numpy as np

        # Rounded like the splits, so that the last bits of a machine's arithmetic decide nothing.
        table = np.round(features, 4)
        feature, split = np.array(self.feature), np.array(self.split)
        left, right, value = np.array(self.left), np.array(self.right), np.array(self.value)
        node = np.tile(np.array(self.roots), (len(table), 1))
        rows = np.arange(len(table))[:, None]
        while (inner := feature[node] >= 0).any():
            goes = table[rows, feature[node]] <= split[node]
            node = np.where(inner, np.where(goes, left[node], right[node]), node)
        scores: NDArray[np.float64] = value[node].mean(axis=1)
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
    """How many of the trees, so to say, take each candidate for an edit; (k,) between 0 and 1."""
    return (model or shipped_model()).score(steps.features)
