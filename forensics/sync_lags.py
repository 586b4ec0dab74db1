"""Motion seen, rises of sound heard, and the lag between them. Pure functions of arrays.

Nobody says where in the picture the source is. For each lag a ridge regression learns from seven
eighths of a window how the cells' motion goes with the rises of sound, and is asked about the
eighth it has not seen. Lags at which the sound cannot belong to the picture say what chance does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Singles = NDArray[np.float32]
    #: A window's first value and count on the raster; its lag, agreement and chance.
    _Found = tuple[int, int, tuple[float, float, float]]

__all__ = [
    "LEAST_STEP_S",
    "RATE_HZ",
    "REACH_S",
    "Lag",
    "Seen",
    "Step",
    "find_lags",
    "find_steps",
    "measure_onsets",
]

RATE_HZ = 8000
#: Rises of sound are measured this finely; pictures and sound are compared on the coarser raster.
_FINE_S, _RASTER_S = 0.01, 0.04
#: Lags looked at on either side; wrong ones begin a second beyond and reach this far.
REACH_S, _FAR_S = 2.0, 45.0
#: Windows, as long as the clip allows: two must fit.
_WINDOWS_S, _LEAST_WINDOW_S = (40.0, 20.0), 12.0
#: By chance a window agrees this well once in 200; over many windows once in 20 clips.
_LEAST_P, _LEAST_P_CLIP = 0.005, 0.05
#: Shrinkage of the regression, as a share of the samples; parts that take turns at being asked.
_RIDGE, _FOLDS = 2.0, 8
#: So many windows, the surest, teach the others.
_TEACHERS = 2
#: Two measurements of one step may differ so much; shorter steps are not said.
_STEP_AGREES_S, LEAST_STEP_S = 0.16, 0.18
#: Windows within so many seconds of a step must give its lags so much of their weight.
_AROUND_S, _LEAST_WEIGHT, _SAME_LAG_S = 40.0, 0.45, 0.14


#: A sound this much like itself (correlation) within two steps of the raster of a lag has a beat.
_BEAT_ALIKE, _BEAT_STEPS = 0.15, 2


@dataclass(frozen=True)
class Seen:
    """What the pictures show: (n, …) differences by cell, (n,) brightness, (n,) times in s."""

    cells: NDArray[np.float16]
    level: Doubles
    times_s: Doubles


@dataclass(frozen=True)
class Lag:
    """A window in which sound goes with the picture at one lag (s; positive: sound is later).

    ``agreement`` is the correlation on what the regression had not seen; ``chance`` how often a
    wrong lag agrees as well.
    """

    start_s: float
    end_s: float
    lag_s: float
    agreement: float
    chance: float


@dataclass(frozen=True)
class Step:
    """The lag changes by `step_s` somewhere between `low_s` and `high_s`."""

    one: Lag
    two: Lag
    step_s: float
    low_s: float
    high_s: float


def measure_onsets(samples: NDArray[np.float32]) -> Doubles:
    """Rise of sound on a raster of 10 ms, mono samples at 8 kHz; 0 where nothing rises."""
    import numpy as np
    from scipy.fft import rfft

    hop = round(_FINE_S * RATE_HZ)
    if len(samples) < 4 * hop:
        return np.zeros(0)
    view = np.lib.stride_tricks.sliding_window_view(np.pad(samples, hop), 2 * hop)[::hop]
    power = np.abs(rfft(view * np.hanning(2 * hop).astype(np.float32), axis=1)) ** 2
    edges = (1, 4, 8, 16, 32, power.shape[1])
    bands = np.log10(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)
    # Against the loudest of the 50 ms before: what merely goes on does not rise.
    before = np.stack([np.roll(bands, k, axis=0) for k in range(1, 6)]).max(axis=0)
    before[:5] = bands[:5]
    rise: Doubles = np.clip(bands - before, 0, 2).mean(axis=1).astype(np.float64)
    return rise


def _heard(onsets: Doubles, onsets_start_s: float, first_s: float, count: int) -> Singles:
    """Rises of sound on the coarse raster from `first_s` on; no single one outweighs the rest."""
    import numpy as np
    from scipy.ndimage import gaussian_filter1d

    each = round(_RASTER_S / _FINE_S)
    coarse = onsets[: len(onsets) // each * each].reshape(-1, each).max(axis=1)
    if not len(coarse) or not count:
        return np.zeros(count, np.float32)
    middles = onsets_start_s + (np.arange(len(coarse)) + 0.5) * _RASTER_S - _FINE_S / 2
    series = np.interp(first_s + np.arange(count) * _RASTER_S, middles, coarse, left=0, right=0)
    series = gaussian_filter1d(np.minimum(series, np.quantile(series, 0.995) + 1e-6), 0.5)
    found: Singles = series.astype(np.float32)
    return found


def _motion(seen: Seen, first_s: float, count: int) -> Singles:
    """How each cell's motion sets in and stops, and the light: (count, k), of unit spread."""
    import numpy as np
    from scipy.ndimage import gaussian_filter1d

    grid = first_s + np.arange(count) * _RASTER_S
    low = max(0, int(np.searchsorted(seen.times_s, grid[0])) - 2)
    high = min(len(seen.times_s), int(np.searchsorted(seen.times_s, grid[-1])) + 3)
    times = seen.times_s[low:high]
    cells = np.sqrt(seen.cells[low:high].reshape(high - low, -1).astype(np.float32))
    # Light counts as a cell: its root mean square change is of the same order.
    cells = np.concatenate([cells, seen.level[low:high, None].astype(np.float32) / 4], axis=1)
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    share = (grid - times[after - 1]) / np.maximum(times[after] - times[after - 1], 1e-6)
    share = np.clip(share, 0, 1)[:, None].astype(np.float32)
    smooth = gaussian_filter1d(cells[after - 1] * (1 - share) + cells[after] * share, 1.0, axis=0)
    change = np.gradient(smooth, axis=0)
    both = np.concatenate([np.clip(change, 0, None), np.clip(-change, 0, None)], axis=1)
    both = np.minimum(both, np.quantile(both, 0.995, axis=0) + 1e-6)
    both -= both.mean(axis=0)
    # What never moves stays 0, so that every stretch has the same columns.
    found: Singles = (both / np.maximum(both.std(axis=0), 1e-4)).astype(np.float32)
    return found


def _unit(series: Singles) -> Singles:
    """Zero mean and unit spread along axis 0."""
    shifted = series - series.mean(axis=0)
    found: Singles = shifted / (shifted.std(axis=0) + 1e-6)
    return found


def _circle(heard: Singles, at: int, count: int) -> tuple[NDArray[np.int64], Singles]:
    """(lags in steps of the raster, the sound of a window at each of them as a column)."""
    import numpy as np

    total = len(heard)
    reach = min(total // 2, round(_FAR_S / _RASTER_S))
    lags = np.arange(-reach, total - reach if 2 * reach + 1 >= total else reach + 1)
    return lags, _unit(heard[(at + lags[None, :] + np.arange(count)[:, None]) % total])


def _learned(motion: Singles, heard: Singles, at: int, shift: int) -> Singles:
    """Weights by which a window's motion tells the sound `shift` later."""
    import numpy as np

    count = len(motion)
    sound = _unit(heard[(at + shift + np.arange(count)) % len(heard)])
    own = motion.T @ motion + _RIDGE * count * np.eye(motion.shape[1], dtype=np.float32)
    weights: Singles = np.linalg.solve(own, motion.T @ sound)
    return weights


def _agreements(motion: Singles, heard: Singles, at: int) -> tuple[Doubles, Doubles]:
    """(lags, agreement at each): what was learned from the rest of a window, asked of each part.

    The sound is taken round in a circle, so that a short clip has wrong lags too.
    """
    import numpy as np

    count = len(motion)
    lags, sound = _circle(heard, at, count)
    own, cross = motion.T @ motion, motion.T @ sound
    told = np.empty_like(sound)
    edges = np.linspace(0, count, _FOLDS + 1).astype(int)
    shrink = _RIDGE * count * np.eye(len(own), dtype=np.float32)
    for k in range(_FOLDS):
        # Half a second on either side of the part is left out too: it resembles the part.
        out = slice(max(0, edges[k] - 12), min(count, edges[k + 1] + 12))
        weights = np.linalg.solve(
            own - motion[out].T @ motion[out] + shrink, cross - motion[out].T @ sound[out]
        )
        told[edges[k] : edges[k + 1]] = motion[edges[k] : edges[k + 1]] @ weights
    norm = np.sqrt((told * told).sum(axis=0) * (sound * sound).sum(axis=0)) + 1e-6
    agreement: Doubles = ((told * sound).sum(axis=0) / norm).astype(np.float64)
    return _RASTER_S * lags.astype(np.float64), agreement


def _chance(lags: Doubles, agreement: Doubles) -> tuple[float, float, float] | None:
    """(best lag, its agreement, how often wrong lags have one as high in a stretch as long).

    The highest of many is Gumbel-distributed; None where there are fewer than six stretches.
    """
    import numpy as np

    wrong = []
    for side in (-1, 1):
        edge = REACH_S + 1
        while True:
            inside = (side * lags >= edge) & (side * lags < edge + 2 * REACH_S)
            if inside.sum() * _RASTER_S < 1.96 * REACH_S:
                break
            wrong.append(float(agreement[inside].max()))
            edge += REACH_S
    if len(wrong) < 6:
        return None
    scale = max(float(np.std(wrong)) * 6**0.5 / np.pi, 0.008)
    middle = float(np.mean(wrong)) - 0.5772 * scale
    best = int(np.argmax(np.where(np.abs(lags) <= REACH_S, agreement, -9.0)))
    peak = float(agreement[best])
    chance = float(-np.expm1(-np.exp(-(peak - middle) / scale)))
    return _between(lags, agreement, best), peak, chance


def _between(lags: Doubles, values: Doubles, best: int) -> float:
    """The top of the parabola through a peak and its neighbours."""
    if not 0 < best < len(lags) - 1:
        return float(lags[best])
    left, top, right = values[best - 1 : best + 2]
    bend = left - 2 * top + right
    aside = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(lags[best] + _RASTER_S * min(0.5, max(-0.5, aside)))


def find_lags(seen: Seen, onsets: Doubles, onsets_start_s: float) -> list[Lag]:
    """Windows in which the sound goes with the pictures at one lag, in order of time.

    Parameters
    ----------
    seen
        The pictures' measurements.
    onsets, onsets_start_s
        From `measure_onsets`, and the time of its first value.
    """
    first, length = float(seen.times_s[0]), float(seen.times_s[-1] - seen.times_s[0])
    heard = _heard(onsets, onsets_start_s, first, int(length / _RASTER_S))
    found: list[_Found] = []
    left: list[tuple[int, int]] = []
    for at, count in _windows(len(heard)):
        if heard[at : at + count].std() < 1e-4:
            continue
        motion = _motion(seen, first + at * _RASTER_S, count)
        if not motion.any():
            continue
        best = _chance(*_agreements(motion, heard, at))
        if best and best[2] <= _least(count, len(heard)):
            found.append((at, count, best))
        else:
            left.append((at, count))
    found += _taught(seen, heard, first, found, left)
    lags = [
        Lag(first + at * _RASTER_S, first + (at + count) * _RASTER_S, *best)
        for at, count, best in found
    ]
    return sorted(lags, key=lambda lag: (lag.start_s, lag.end_s))


def _windows(total: int) -> list[tuple[int, int]]:
    """(first, count) of all windows of a clip, as long as it allows."""
    sizes = {min(round(size / _RASTER_S), int(total / 2.1)) for size in _WINDOWS_S}
    return [
        (at, count)
        for count in sorted(n for n in sizes if n * _RASTER_S >= _LEAST_WINDOW_S)
        for at in range(0, total - count + 1, count // 4)
    ]


def _least(count: int, total: int) -> float:
    """The chance a window must fall below."""
    return min(_LEAST_P, _LEAST_P_CLIP * count / total)


def _taught(
    seen: Seen, heard: Singles, first_s: float, known: list[_Found], left: list[tuple[int, int]]
) -> list[_Found]:
    """Windows that say nothing by themselves, asked by what the surest ones beside them learned.

    There is nothing left to learn then, so that chance agrees less.
    """
    import numpy as np

    found: list[_Found] = []
    teachers: list[tuple[int, int, Singles]] = []
    for at, count, (lag, _, _) in sorted(known, key=lambda k: k[2][2]):
        if any(at < b + c and b < at + count for b, c, _ in teachers):
            continue
        motion = _motion(seen, first_s + at * _RASTER_S, count)
        teachers.append((at, count, _learned(motion, heard, at, round(lag / _RASTER_S))))
        if len(teachers) == _TEACHERS:
            break
    for at, count in left:
        for other, size, weights in teachers:
            if at < other + size and other < at + count:
                continue
            told = _unit(_motion(seen, first_s + at * _RASTER_S, count) @ weights)
            lags, sound = _circle(heard, at, count)
            agreement: Doubles = (told @ sound / count).astype(np.float64)
            best = _chance(_RASTER_S * lags.astype(np.float64), agreement)
            if best and best[2] <= _least(count, len(heard)) / _TEACHERS:
                found.append((at, count, best))
                break
    return found


def find_steps(seen: Seen, onsets: Doubles, onsets_start_s: float, lags: list[Lag]) -> list[Step]:
    """Where the lag changes: what each of two windows learned is asked of the other.

    A window's own lag may lie aside by a beat, or because stops of motion serve it as well as
    onsets. So a step is said only where the weights of the one, asked of the other, and the
    reverse, have their common best at the step by which the two lags differ, and where no other
    lag outweighs either's among the windows on its side; never where the step is a beat of the
    sound's own.
    """
    pairs = [
        (one, two) for one in lags for two in lags
        if one.end_s <= two.start_s + 1e-6 and abs(two.lag_s - one.lag_s) >= LEAST_STEP_S
    ]  # fmt: skip
    found: list[Step] = []
    # The nearest first: between them the place is narrowest.
    for one, two in sorted(
        pairs, key=lambda p: (round((p[1].start_s - p[0].end_s) / 5), p[0].chance * p[1].chance)
    ):
        if any(s.one.start_s < two.end_s and one.start_s < s.two.end_s for s in found):
            continue
        before = [
            w for w in lags if one.start_s - _AROUND_S <= w.start_s and w.end_s <= two.start_s
        ]
        after = [w for w in lags if one.end_s <= w.start_s and w.end_s <= two.end_s + _AROUND_S]
        if min(_weight(one, before), _weight(two, after)) < _LEAST_WEIGHT:
            continue
        step = _step(seen, onsets, onsets_start_s, one, two)
        if step is not None:
            found.append(step)
    return sorted(found, key=lambda s: s.low_s)


def _weight(lag: Lag, side: list[Lag]) -> float:
    """How much of what windows on one side say is for this lag."""
    import numpy as np

    weights = [-np.log(max(w.chance, 1e-5)) for w in side]
    same = [abs(w.lag_s - lag.lag_s) <= _SAME_LAG_S for w in side]
    return float(np.dot(weights, same) / sum(weights))


def _step(seen: Seen, onsets: Doubles, onsets_start_s: float, one: Lag, two: Lag) -> Step | None:
    """The step between two windows by each other's weights; None where they do not agree on it."""
    import numpy as np

    count = int((two.end_s - one.start_s) / _RASTER_S)
    heard = _heard(onsets, onsets_start_s, one.start_s, count)
    motion = _motion(seen, one.start_s, count)
    parts = [
        (round((w.start_s - one.start_s) / _RASTER_S), int((w.end_s - w.start_s) / _RASTER_S))
        for w in (one, two)
    ]
    shifts = [round(w.lag_s / _RASTER_S) for w in (one, two)]
    told = [
        motion @ _learned(motion[at : at + size], heard, at, shift)
        for (at, size), shift in zip(parts, shifts, strict=True)
    ]
    reach = round(REACH_S / _RASTER_S)
    steps = range(-reach, reach + 1)
    forth = np.array([_same(told[0], heard, *parts[1], shifts[0] + s) for s in steps])
    back = np.array([_same(told[1], heard, *parts[0], shifts[1] - s) for s in steps])
    both = forth + back
    best = int(np.argmax(both))
    step = _between(_RASTER_S * np.arange(-reach, reach + 1.0), both, best)
    if abs(step) < LEAST_STEP_S or abs(step - (two.lag_s - one.lag_s)) > _STEP_AGREES_S:
        return None
    if _beats(heard, step):
        return None
    # Where the one's account of the sound gives way to the other's.
    low, high = parts[0][0] + parts[0][1] // 2, parts[1][0] + parts[1][1] // 2
    gain = _products(told[0], heard, shifts[0]) - _products(told[1], heard, shifts[1])
    course = np.cumsum(gain[low:high])
    at = one.start_s + (low + int(np.argmax(course)) + 1) * _RASTER_S
    near = np.flatnonzero(course >= course.max() - 0.05 * np.ptp(course)) * _RASTER_S
    start = one.start_s + low * _RASTER_S
    # Between two windows that lie apart nothing says where it is.
    low_s = min(float(start + near[0]), one.end_s)
    high_s = max(float(start + near[-1]), two.start_s)
    return Step(one, two, step, min(at, low_s), max(at, high_s))


def _beats(heard: Singles, step_s: float) -> bool:
    """Whether the sound resembles itself a step later: a beat, to which any window may slip."""
    import numpy as np

    sound = _unit(heard)
    around = round(abs(step_s) / _RASTER_S) + np.arange(-_BEAT_STEPS, _BEAT_STEPS + 1)
    alike = [float(np.mean(sound[k:] * sound[:-k])) for k in around if 0 < k < len(sound)]
    return max(alike, default=0.0) >= _BEAT_ALIKE


def _same(told: Singles, heard: Singles, at: int, count: int, shift: int) -> float:
    """Correlation of what is told with what is heard `shift` later, where there is sound."""
    import numpy as np

    low, high = max(at, -shift), min(at + count, len(heard) - shift)
    if high - low < count // 2:
        return 0.0
    one, two = told[low:high], heard[low + shift : high + shift]
    return float(np.corrcoef(one, two)[0, 1]) if one.std() > 0 and two.std() > 0 else 0.0


def _products(told: Singles, heard: Singles, shift: int) -> Singles:
    """What is told times what is heard `shift` later; 0 outside."""
    import numpy as np

    moved = np.zeros_like(heard)
    low, high = max(0, -shift), min(len(heard), len(heard) - shift)
    moved[low:high] = heard[low + shift : high + shift]
    return _unit(told) * _unit(moved)
