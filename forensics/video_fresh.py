"""Frames coded afresh: this encoding's key pictures, and those of an older one under it.

A fresh coding of the same view looks sharper, noisier or blurred all over, and in a coarse
recording it leaps. It comes in a rhythm, which an edit does not. Pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.scan_order import middle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["codes_only", "find_fresh", "quiet_keys"]

#: Distances of older key pictures that are tried, in frames.
SHORTEST, LONGEST = 5, 300
#: An older rhythm stands out by so many standard errors, and changes this much (logarithm) more
#: than the frames between: made ones reached 25 and more, no other view more than 10.
LEAST_RHYTHM, LEAST_PULSE = 16.0, 0.2
#: A fresh coding that changes the three strongest cells by less is one whatever is usual:
#: beside slow motion it stayed below 13 grey levels, edits at key pictures began at 23.
FRESH_LEVELS = 15.0
#: One that changes more does as its neighbours do, so many times at most, beside what moves.
AS_USUAL = 1.6
NEIGHBOURS = 6
#: Frames worked on at a time.
CHUNK = 8192


def quiet_keys(key: NDArray[np.bool_], peak: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Key pictures that change so little that their coding does it, whatever is usual.

    `codes_only` is true of each of them: they need no second look.
    """
    return key & (peak < FRESH_LEVELS)


def find_fresh(
    key: NDArray[np.bool_], detail: NDArray[np.float64], peak: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which frames are coded afresh, and not for what the picture does there.

    Parameters
    ----------
    key
        (n,) this encoding's key pictures. Those at another distance than the rest may have been
        put in for a step of the picture, and count only where there is none.
    detail, peak
        (n,) what changed at each frame, on the whole and in its three strongest cells.
    """
    import numpy as np

    fresh = quiet_keys(key, peak)
    at = np.flatnonzero(key)
    if len(at) >= 3:
        gaps = np.diff(at)
        fresh[at[1:][gaps == gaps.max()]] = True
    return fresh | _older(key, detail)


def _older(key: NDArray[np.bool_], detail: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The beat of an older encoding's key pictures in the change from frame to frame, if any."""
    import numpy as np

    marks = np.zeros(len(detail), dtype=bool)
    count = len(detail)
    if count < 8 * SHORTEST:
        return marks
    level = np.log(detail + 0.2)
    pulse = np.empty(count)
    for low in range(0, count, CHUNK):
        rows = np.arange(low, min(count, low + CHUNK))
        away = np.array((-3, -2, -1, 1, 2, 3))
        beside = level[(rows[:, None] - away) % count]
        pulse[rows] = np.clip(level[rows] - middle(beside), -1.0, 2.0)
    pulse[:4] = pulse[-4:] = pulse[key] = 0.0
    size = float(pulse.std()) + 1e-6
    best, period, phase = 0.0, 0, 0
    for length in range(SHORTEST, min(LONGEST + 1, count // 8)):
        place = np.arange(count) % length
        number = np.bincount(place, minlength=length)
        mean = np.bincount(place, pulse, length) / number
        top = int(mean.argmax())
        strength = (mean[top] - mean.mean()) * np.sqrt(number[top]) / size
        if strength > best and mean[top] >= LEAST_PULSE:
            best, period, phase = float(strength), length, top
    if best >= LEAST_RHYTHM:
        marks[phase::period] = True
    return marks


def codes_only(
    fresh: NDArray[np.bool_], key: NDArray[np.bool_], detail: NDArray[np.float64],
    peak: NDArray[np.float64], frames: NDArray[np.int64],
) -> NDArray[np.bool_]:  # fmt: skip
    """Candidates that change no more than a fresh coding of the same view does.

    Parameters
    ----------
    fresh, key, detail, peak
        Of every frame.
    frames
        The candidates.
    """
    import numpy as np

    # A key picture of this encoding leaps further than what one of the older left.
    kinds = {own: np.flatnonzero(fresh & (key == own)) for own in (False, True)}
    only = np.zeros(len(frames), dtype=bool)
    for row, t in enumerate(frames.tolist()):
        if not fresh[t]:
            continue
        at = kinds[bool(key[t])]
        place = int(np.searchsorted(at, t))
        others = at[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1]
        others = others[others != t]
        beside = np.r_[max(1, t - 3) : t, t + 1 : min(len(peak), t + 4)]
        small = peak[t] < FRESH_LEVELS
        usual = len(others) >= 2 and all(
            series[t] <= AS_USUAL * middle(series[others]) + series[beside].max()
            for series in (detail, peak)
        )
        only[row] = small or usual
    return only
