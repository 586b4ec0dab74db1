"""Where the clocks lie among the arrivals: several sources at different places, several offsets.

A source nearer to the first camera than to the second is heard earlier there, by 2.9 ms a metre.
One pair of clips that hears several sources shows several offsets, one while each of them is the
loudest; the offset of the clocks lies among them, and nearer to their middle than to any one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.audio_features import FRAME_S

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Arrivals", "forget_arrivals", "known_arrivals", "measure_arrivals"]

_WINDOW = int(1.0 / FRAME_S)
_STEP = int(0.5 / FRAME_S)
_MOST = 96
#: Local offsets are looked for this far from the pair's: 80 m, and their noise is judged so far.
_REACH, _WIDE = int(0.25 / FRAME_S), int(1.0 / FRAME_S)
#: A window counts whose local offset stands out this clearly, in standard deviations...
_CLEAR = 5.0
#: ...and by so much over the pair's own offset, from which it must differ by this many seconds.
_BETTER, _DIFFERENT_S = 1.0, 0.025
#: Slopes of the offset between these, in seconds a second, come from a wrong sample rate: walking
#: makes at most half the lesser. So many windows must lie on one line, to so many seconds, twice
#: as many as on any flatter one.
_STEEP, _STEEPEST, _LEAST_ON_LINE, _ON_LINE_S = 0.01, 0.04, 10, 0.02
#: Outer windows left out at either end of the ordered local offsets.
_TRIM = 0.1


@dataclass(frozen=True)
class Arrivals:
    """Local offsets minus the pair's offset, in seconds: their middle and their 10 to 90 % range.

    All zero where too few windows are clear, or all of them keep to the pair's offset. `rate` is
    how much the offset grows a second, where that is a hundredth and more: 0 otherwise.
    """

    centre_s: float
    low_s: float
    high_s: float
    windows: int
    rate: float = 0.0


_known: dict[tuple[str, str, int], Arrivals] = {}


def forget_arrivals() -> None:
    """Drop what was measured so far in this process."""
    _known.clear()


def known_arrivals(
    key: tuple[str, str], first: NDArray[Any], second: NDArray[Any], lag_s: float
) -> Arrivals:
    """`measure_arrivals`, once for each pair (by digests) and offset in this process."""
    full = (*key, round(lag_s * 1000))
    if full not in _known:
        _known[full] = measure_arrivals(first, second, lag_s=lag_s)
    return _known[full]


def measure_arrivals(first: NDArray[Any], second: NDArray[Any], *, lag_s: float) -> Arrivals:
    """Follow the local offset of two clips second by second.

    Parameters
    ----------
    first, second
        Features (frames, coefficients) from `audio_features.measure_features`.
    lag_s
        When sample 0 of the second clip is heard in the first, as found for the pair.

    When it errs
    ------------
    The middle is that of the sources that were loudest at some time: it is off by as much as all
    of them are nearer to one camera. It follows sound that repeats within a quarter of a second.
    """
    import numpy as np

    one, two = np.asarray(first, np.float32), np.asarray(second, np.float32)
    lag = round(lag_s / FRAME_S)
    low, high = max(0, -lag), min(len(two), len(one) - lag)
    count = min(_MOST, (high - low - _WINDOW) // _STEP + 1)
    if count < 2:
        return Arrivals(0.0, 0.0, 0.0, 0)
    starts = np.linspace(low, high - _WINDOW, count).astype(int)
    local, clear = _follow(one, two, lag, starts)
    if clear.sum() < 2:
        return Arrivals(0.0, 0.0, 0.0, int(clear.sum()))
    shifts = np.where(local == 0, 0.0, (local + lag) * FRAME_S - lag_s)[clear]
    shifts[np.abs(shifts) < _DIFFERENT_S] = 0.0
    ends = np.quantile(shifts, [_TRIM, 1 - _TRIM])
    rate = _rate(starts[clear] * FRAME_S, local[clear] * FRAME_S)
    return Arrivals(float(ends.mean()), float(ends[0]), float(ends[1]), int(clear.sum()), rate)


def _rate(time_s: NDArray[np.float64], local_s: NDArray[np.float64]) -> float:
    """The slope of the line that most windows lie on, if only a steep one holds that many."""
    import numpy as np

    slopes = np.arange(-_STEEPEST, _STEEPEST + 1e-9, 0.001)
    most = np.zeros(len(slopes), int)
    for number, slope in enumerate(slopes):
        rest = np.sort(local_s - slope * time_s)
        most[number] = (np.searchsorted(rest, rest + 2 * _ON_LINE_S, "right")
                        - np.arange(len(rest))).max()  # fmt: skip
    flat = np.abs(slopes) < _STEEP
    best = int(most.max())
    if best < _LEAST_ON_LINE or best < 2 * int(most[flat].max()):
        return 0.0
    return float(slopes[most == best].mean())


def _follow(
    one: NDArray[np.float32], two: NDArray[np.float32], lag: int, starts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Frames from `lag` to each window's best, 0 where `lag` is as good; which stand out."""
    import numpy as np

    padded = np.pad(one, ((_WIDE + _WINDOW, _WIDE + _WINDOW), (0, 0)))
    table = np.empty((len(starts), 2 * _WIDE + 1), np.float32)
    for number, start in enumerate(starts.tolist()):
        at = start + lag + _WINDOW  # start + lag - _WIDE in the padded array
        every = two[start : start + _WINDOW] @ padded[at : at + _WINDOW + 2 * _WIDE].T
        down, along = every.strides
        # Row r against every lag: the diagonals of the product.
        np.lib.stride_tricks.as_strided(
            every, (_WINDOW, 2 * _WIDE + 1), (down + along, along), writeable=False
        ).sum(axis=0, out=table[number])
    table -= np.median(table, axis=1, keepdims=True)
    spread = np.median(np.abs(table), axis=1, keepdims=True) * np.float32(1.4826)
    table /= np.maximum(spread, np.float32(1e-9))
    local, clear = np.zeros(len(starts)), np.zeros(len(starts), bool)
    for number, row in enumerate(table):
        near = row[_WIDE - _REACH : _WIDE + _REACH + 1]
        top = int(np.argmax(near))
        clear[number] = near[top] >= _CLEAR
        if near[top] - row[_WIDE - 2 : _WIDE + 3].max() >= _BETTER and 0 < top < len(near) - 1:
            left, mid, right = (float(x) for x in near[top - 1 : top + 2])
            bend = left - 2 * mid + right
            local[number] = top - _REACH + (0.5 * (left - right) / bend if bend < 0 else 0.0)
    return local, clear
