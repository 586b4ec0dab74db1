"""Is what two clips share spread over the time both recorded, or is it one short sound?

Two telephones at one event hear the same throughout. Where all that fits lies within two seconds
of a longer time, a sound that was made twice looks the same: a cock crows alike each time, a
recording is played again. So the best two seconds are left out, and the rest has to show it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.audio_features import FRAME_S
from forensics.scan_order import middle

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BEST_S", "LEAST_LEFT", "score_left"]

#: Seconds left out, and how many must remain for their lack of likeness to mean something.
BEST_S, _LEAST_S = 2.0, 4.5
#: What remains of pairs of one event scores above this (tuning half: 88 of 88 that share 9 s and
#: more, 4.3 at least); of strangers whose whole likeness is high it does not (17 of 17, 3.2).
LEAST_LEFT = 3.8
#: Where the best seconds hold no more than this part, and the whole scores twice `LEAST_LEFT`, what
#: remains cannot be less.
_EVEN = 0.4
#: Lags that tell what is common, and those about the best that sources at other places may have.
_COMMON, _NEAR = int(4.0 / FRAME_S), int(0.128 / FRAME_S)
_ROWS = 256


def score_left(
    first: NDArray[Any], second: NDArray[Any], *, lag_s: float, score: float,
    without_s: tuple[float, float] | None = None,
) -> float | None:  # fmt: skip
    """The score at a lag when the two seconds that fit best are left out.

    Parameters
    ----------
    first, second
        Features (frames, coefficients) from `audio_features.measure_features`.
    lag_s
        When sample 0 of the second clip is heard in the first.
    score
        What the whole overlap scores, in robust standard deviations.
    without_s
        Another stretch to leave out, in seconds of the second clip.

    Returns
    -------
    float or None
        In robust standard deviations over lags within four seconds; `score` itself where the
        likeness is spread evenly. None where less than 4.5 s would remain.
    """
    import numpy as np

    lag = round(lag_s / FRAME_S)
    low, high = max(0, -lag), min(len(second), len(first) - lag)
    best = int(BEST_S / FRAME_S)
    if without_s is not None:
        begin, end = (min(max(low, round(x / FRAME_S)), high) for x in without_s)
        best = max(1, end - begin)
    if (high - low - best) * FRAME_S < _LEAST_S:
        return None
    one, two = np.asarray(first, np.float32), np.asarray(second[low:high], np.float32)
    alike = np.einsum("ij,ij->i", one[low + lag : high + lag], two)
    run = np.cumsum(np.concatenate([[0.0], alike]))
    inside = run[best:] - run[:-best]
    at = int(np.argmax(inside)) if without_s is None else begin - low
    if without_s is None and inside[at] <= _EVEN * run[-1] and score >= 2 * LEAST_LEFT:
        return score
    padded = np.pad(one, ((_COMMON, _COMMON), (0, 0)))
    total = np.zeros(2 * _COMMON + 1)
    for begin, end in ((0, at), (at + best, len(two))):
        for start in range(begin, end, _ROWS):
            stop = min(start + _ROWS, end)
            wide = padded[low + lag + start : low + lag + stop + 2 * _COMMON]
            every = two[start:stop] @ wide.T
            down, along = every.strides
            # Row r against every lag: the diagonals of the product.
            total += np.lib.stride_tricks.as_strided(
                every, (stop - start, len(total)), (down + along, along), writeable=False
            ).sum(axis=0)
    total -= middle(total)
    spread = max(1.4826 * float(middle(np.abs(total))), 1e-9)
    return float(total[_COMMON - _NEAR : _COMMON + _NEAR + 1].max()) / spread
