"""Breaks of the local offset: sound dropped, or put in, in one of two clips of one event.

Two recordings of one event keep their offset, drift aside. Where the offset jumps, one of them
has lost or gained sound there. `edits` turns that into a discontinuity of the clip that jumps
against all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.audio_features import FRAME_S

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["OffsetBreak", "local_offset_breaks", "weigh_jump"]

_WINDOW = int(3.0 / FRAME_S)
_STEP = int(0.5 / FRAME_S)
#: Steps compared in one product.
_STEPS = 8
_JUMP_COST = 14.0
_CAP = 9.0
#: The place of a jump, 95 % (tuning half: 106 of 110 within it, one 2.8 s off): where both heard
#: little, any place near fits.
_PLACE_S = 0.9
#: What is weighed on either side of a known place: at most and at least so much, leaving out a bit.
_SIDE, _LEAST_SIDE, _GUARD = int(12.0 / FRAME_S), int(3.0 / FRAME_S), int(0.5 / FRAME_S)
#: Frames that sources at different places may move the offset by from one side to the other, and
#: seconds of lag that tell what is common.
_STRAY, _COMMON_S = 5, 4.0


@dataclass(frozen=True)
class OffsetBreak:
    """At `first_s` in the first and `second_s` in the second clip the offset jumps by `jump_s`.

    Positive: from there on the second clip runs ahead, so sound is missing in the second clip
    (or was put into the first). Seconds count from each clip's first sample; `jump_low_s` and
    `jump_high_s` are the 95 % interval, `time_error_s` that of the place; `gain` is how many
    standard deviations better the jump fits than one offset throughout.
    """

    first_s: float
    second_s: float
    jump_s: float
    jump_low_s: float
    jump_high_s: float
    time_error_s: float
    gain: float


def _local(
    first: NDArray[np.float32], second: NDArray[np.float32], lag: int, reach: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Robust scores (windows, 2 * reach + 1) of each window of the second clip, and its start."""
    import numpy as np

    low, high = max(0, -lag), min(len(second), len(first) - lag)
    starts = np.arange(low, high - _WINDOW + 1, _STEP)
    padded = np.pad(first, ((reach + _WINDOW, reach + _WINDOW), (0, 0)))
    whole, rest = divmod(_WINDOW, _STEP)
    # Windows overlap: what each step of rows adds at every lag is measured once, and each window is
    # the sum of its steps and of the rows left over, which are the first of the step after them.
    steps = len(starts) + whole
    parts = np.empty((steps, 2 * reach + 1), np.float32)
    over = np.empty_like(parts)
    for begin in range(0, steps, _STEPS):
        end = min(begin + _STEPS, steps)
        rows = second[low + begin * _STEP : low + end * _STEP]
        at = low + begin * _STEP + lag + _WINDOW  # the first row's lag of -reach, in the padded
        wide = padded[at : at + len(rows) + 2 * reach]
        if len(wide) < len(rows) + 2 * reach:
            wide = np.pad(wide, ((0, len(rows) + 2 * reach - len(wide)), (0, 0)))
        every = rows @ wide.T
        down, along = every.strides
        # Row r against every lag: the diagonals of the product.
        lags = np.lib.stride_tricks.as_strided(
            every, (len(rows), 2 * reach + 1), (down + along, along), writeable=False
        )
        for step in range(begin, end):
            piece = lags[(step - begin) * _STEP : (step - begin + 1) * _STEP]
            parts[step], over[step] = piece.sum(axis=0), piece[:rest].sum(axis=0)
    table = over[whole : whole + len(starts)].copy()
    for step in range(whole):
        table += parts[step : step + len(starts)]
    table -= np.median(table, axis=1, keepdims=True)
    spread = np.median(np.abs(table), axis=1, keepdims=True) * np.float32(1.4826)
    table /= np.maximum(spread, np.float32(1e-9))
    return table, starts


def _path(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The best sequence of lags: free to wander by one frame, paying for every jump."""
    import numpy as np

    gain = np.minimum(scores, _CAP)
    total = gain[0].astype(np.float64)
    back = np.zeros(scores.shape, np.int64)
    index = np.arange(scores.shape[1])
    near = np.full((3, scores.shape[1]), -np.inf)
    for number in range(1, len(scores)):
        near[0], near[1, 1:], near[2, :-1] = total, total[:-1] - 0.5, total[1:] - 0.5
        best = near.max(axis=0)
        # Of equals the first: to stay, then from below, then from above.
        source = np.where(near[0] == best, index, index + np.where(near[1] == best, -1, 1))
        top = int(np.argmax(total))
        jump = total[top] - _JUMP_COST
        jumped = jump > best
        back[number] = np.where(jumped, top, source)
        total = np.where(jumped, jump, best) + gain[number]
    path = np.empty(len(scores), np.int64)
    path[-1] = int(np.argmax(total))
    for number in range(len(scores) - 1, 0, -1):
        path[number - 1] = back[number, path[number]]
    return path


def local_offset_breaks(
    first: NDArray[Any], second: NDArray[Any], *, lag_s: float, reach_s: float = 4.0,
    least_s: float = 0.2, least_gain: float = 25.0,
) -> list[OffsetBreak]:  # fmt: skip
    """Find where the offset between two recordings of one event jumps.

    Parameters
    ----------
    first, second
        Features (frames, coefficients) from `audio_features.measure_features`.
    lag_s
        When sample 0 of the second clip is heard in the first, as found for the pair.
    reach_s
        Greatest jump looked for, either way.
    least_s
        Smallest jump reported: sources at different places shift the offset by up to 2.9 ms a
        metre when one falls silent and another is heard, and that is no break.
    least_gain
        How much better, summed over windows in standard deviations, a jump must fit.

    When it errs
    ------------
    Misses jumps below `least_s`, and those with less than about 3 s of shared sound on either
    side (incompleteness). Which of the two clips jumped needs a third.
    """
    import numpy as np

    one, two = np.asarray(first, np.float32), np.asarray(second, np.float32)
    lag, reach = round(lag_s / FRAME_S), int(reach_s / FRAME_S)
    if min(len(two), len(one) - lag) - max(0, -lag) < 2 * _WINDOW:
        return []
    scores, starts = _local(one, two, lag, reach)
    if len(scores) < 6:
        return []
    path = _path(scores)
    steps = np.flatnonzero(np.abs(np.diff(path)) > least_s / FRAME_S)
    edges = [0, *(int(s) + 1 for s in steps), len(path)]
    found = []
    for number, step in enumerate(int(s) for s in steps):
        before = slice(edges[number], step + 1)
        after = slice(step + 1, edges[number + 2])
        old, new = int(np.median(path[before])), int(np.median(path[after]))
        gain = _gain(scores, path, before, after, old, new)
        if gain < least_gain or abs(new - old) * FRAME_S < least_s:
            continue
        at = _place(one, two, lag + old - reach, lag + new - reach,
                    int(starts[step]), int(starts[min(step + 1, len(starts) - 1)]))  # fmt: skip
        jump = (_fine(scores[after], new) - _fine(scores[before], old)) * FRAME_S
        found.append(
            OffsetBreak(
                (at + lag + old - reach) * FRAME_S, at * FRAME_S, jump, jump - 0.05, jump + 0.05,
                _PLACE_S, gain,
            )
        )
    return found


def _side(
    one: NDArray[np.float32], two: NDArray[np.float32], low: int, high: int, lag: int, reach: int
) -> NDArray[np.float64] | None:
    """Scores of rows low to high of `two` at lags about one, in robust deviations."""
    import numpy as np

    low, high = max(low, 0, -lag), min(high, len(two), len(one) - lag)
    if high - low < _LEAST_SIDE:
        return None
    begin, end = low + lag - reach, high + lag + reach
    wide = one[max(0, begin) : min(len(one), end)]
    wide = np.pad(wide, ((max(0, -begin), max(0, end - len(one))), (0, 0)))
    every = two[low:high] @ wide.T
    down, along = every.strides
    sums = np.lib.stride_tricks.as_strided(
        every, (high - low, 2 * reach + 1), (down + along, along), writeable=False
    ).sum(axis=0, dtype=np.float64)
    sums -= np.median(sums)
    found: NDArray[np.float64] = sums / max(1.4826 * float(np.median(np.abs(sums))), 1e-9)
    return found


def weigh_jump(
    first: NDArray[Any], second: NDArray[Any], *, lag_s: float, at_s: float, jump_s: float
) -> float | None:
    """How much better a jump of known size and place fits the offset of two clips than none.

    Where another pair has shown the jump, much less has to be shown than to find it: this decides
    which clip it belongs to.

    Parameters
    ----------
    first, second
        Features (frames, coefficients) from `audio_features.measure_features`.
    lag_s
        When sample 0 of the second clip is heard in the first, about; true on one side at least.
    at_s, jump_s
        The time in the second clip from which on it may run ahead, and by how much.

    Returns
    -------
    float or None
        In standard deviations of both sides together, negative: it fits better without. None
        where the two share less than 3 s on either side.
    """
    import numpy as np

    one, two = np.asarray(first, np.float32), np.asarray(second, np.float32)
    lag, at, jump = (round(x / FRAME_S) for x in (lag_s, at_s, jump_s))
    near_by = abs(jump) + _STRAY
    reach = max(int(_COMMON_S / FRAME_S), near_by + abs(jump) + _STRAY)
    before = _side(one, two, at - _SIDE, at - _GUARD, lag, reach)
    after = _side(one, two, at + _GUARD, at + _SIDE, lag, reach)
    if before is None or after is None:
        return None
    near = np.arange(reach - near_by, reach + near_by + 1)
    with_it, without = (
        max(
            float((before[near] + after[near + step + stray]).max())
            for stray in range(-_STRAY, _STRAY + 1)
        )
        for step in (jump, 0)
    )
    return with_it - without


def _gain(
    scores: NDArray[np.float32], path: NDArray[np.int64], before: slice, after: slice, old: int,
    new: int,
) -> float:  # fmt: skip
    """The weaker side's advantage of its own lag over the other side's, and enough windows."""
    import numpy as np

    def own(part: slice, mine: int, other: int) -> float:
        block = np.minimum(scores[part], _CAP)
        width = 3
        best = block[:, max(0, mine - width) : mine + width + 1].max(axis=1)
        rest = block[:, max(0, other - width) : other + width + 1].max(axis=1)
        # Windows overlap sixfold: count independent ones.
        return float((best - rest).sum()) * _STEP / _WINDOW * 2 if len(block) >= 4 else 0.0

    return min(own(before, old, new), own(after, new, old))


def _place(
    one: NDArray[np.float32], two: NDArray[np.float32], old: int, new: int, low: int, high: int
) -> int:
    """The frame of the second clip from which on the new lag fits better."""
    import numpy as np

    frames = np.arange(max(0, low - _WINDOW), min(len(two), high + 2 * _WINDOW))
    products = []
    for lag in (old, new):
        at = np.clip(frames + lag, 0, len(one) - 1)
        products.append((one[at] * two[frames]).sum(axis=1))
    balance = np.cumsum(products[0] - products[1])
    return int(frames[int(np.argmax(balance))]) + 1


def _fine(scores: NDArray[np.float32], at: int) -> float:
    import numpy as np

    mean = scores.mean(axis=0)
    low, high = max(1, at - 3), min(len(mean) - 1, at + 4)
    top = low + int(np.argmax(mean[low:high]))
    left, middle, right = (float(x) for x in mean[top - 1 : top + 2])
    bend = left - 2 * middle + right
    return top + (0.5 * (left - right) / bend if bend < 0 else 0.0)
