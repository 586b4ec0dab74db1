"""What lies behind the words: noise floor, bandwidth, digital silence, clipping ceilings.

Pure functions of arrays. Speech is masked by measuring the quiet of each band (a low quantile over
seconds), never its loudness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "BANDS",
    "CeilingChange",
    "FloorStep",
    "Silence",
    "SilenceFinder",
    "find_band_changes",
    "find_ceiling_changes",
    "find_floor_steps",
    "measure_bands",
    "measure_ceilings",
    "measure_room",
    "measure_total",
]

#: Linear bands up to half the sample rate.
BANDS = 48
HOP_S = 0.05
_SIDE_S = 3.0
_GUARD_S = 0.1


def measure_room(samples: Floats, rate_hz: int) -> Floats:
    """Levels (n, 48) in dB of 48 equal bands, one row every 50 ms of mono samples."""
    import numpy as np
    from scipy.fft import rfft

    hop = round(HOP_S * rate_hz)
    size = 1 << (hop - 1).bit_length()
    if len(samples) < hop:
        return np.zeros((0, BANDS), np.float32)
    count = len(samples) // hop
    padded = np.pad(samples, (0, max(0, (count - 1) * hop + size - len(samples))))
    view = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:count]
    window = np.hanning(size).astype(np.float32)
    power = np.abs(rfft(view * window, axis=1)) ** 2 / float((window**2).sum()) / size
    edges = np.linspace(1, power.shape[1], BANDS + 1).astype(int)
    sums = np.add.reduceat(power, edges[:-1], axis=1)
    levels: Floats = (10 * np.log10(sums + 1e-13)).astype(np.float32)
    return levels


def measure_bands(levels: Floats, quantile: float) -> Floats:
    """A quantile of each band over the whole of `levels`, (48,); one band at a time in memory."""
    import numpy as np

    return np.array([np.quantile(band, quantile) for band in levels.T], np.float32)


def measure_total(levels: Floats) -> Floats:
    """Level of all bands together, dB (n,)."""
    import numpy as np

    total = np.empty(len(levels), np.float32)
    for first in range(0, len(levels), 4096):
        piece = 10 ** (levels[first : first + 4096] / 10)
        total[first : first + 4096] = 10 * np.log10(piece.sum(axis=1) + 1e-13)
    return total


@dataclass(frozen=True)
class FloorStep:
    """At row `row` the quiet of the bands changes: mean step in dB, its strength, shared bands."""

    row: int
    step_db: float
    strength: float
    bands: float
    loud_before_db: float


def _steps(levels: Floats, quantile: float, every: int) -> tuple[NDArray[np.int64], Floats]:
    """Difference of the quiet after and before, per band, at every `every` rows."""
    import numpy as np

    side, guard = round(_SIDE_S / HOP_S), round(_GUARD_S / HOP_S)
    rows = np.arange(side + guard, len(levels) - side - guard, every)
    if not len(rows):
        return rows, np.zeros((0, levels.shape[1]), np.float32)
    (quiet,) = _quantiles(levels, (quantile,), side, every)
    # Before the guard and after it lie stretches of one length: each is measured once.
    apart = (side + 2 * guard) // every
    out: Floats = quiet[apart : apart + len(rows)] - quiet[: len(rows)]
    return rows, out


def _quantiles(
    levels: Floats, quantiles: tuple[float, ...], side: int, every: int
) -> tuple[Floats, ...]:
    """Quantiles of the `side` rows from every `every`-th row on, each (n, bands)."""
    import numpy as np

    view = np.lib.stride_tricks.sliding_window_view(levels, side, axis=0)[::every]
    found = tuple(np.empty((len(view), levels.shape[1]), np.float32) for _ in quantiles)
    places = [(side - 1) * quantile for quantile in quantiles]
    order = sorted({k for place in places for k in (int(place), min(side - 1, int(place) + 1))})
    for first in range(0, len(view), 256):
        part = np.partition(view[first : first + 256], order, axis=-1)
        for one, place in zip(found, places, strict=True):
            low, high = part[..., int(place)], part[..., min(side - 1, int(place) + 1)]
            one[first : first + 256] = low + (high - low) * np.float32(place % 1)
    return found


def find_floor_steps(levels: Floats, *, least_db: float = 6.0) -> list[FloorStep]:
    """Places where the quiet between the sounds changes at once in most bands.

    Parameters
    ----------
    levels
        From `measure_room`.
    least_db
        Smallest mean change.

    Returns
    -------
    list of FloorStep
        `strength` is the step against what this recording does anywhere else (robust z). Changes
        that take more than a quarter of a second are left out: a joint takes none.
    """
    import numpy as np

    rows, steps = _steps(levels, 0.2, 2)
    if len(rows) < 5:
        return []
    # Half the typical change goes to chance; numeric floors (empty bands) say nothing.
    alive = measure_bands(levels, 0.5) > -115
    if alive.sum() < 6:
        return []
    used = steps[:, alive]
    mean = used.mean(axis=1)
    agree = np.maximum((used > 3).mean(axis=1), (used < -3).mean(axis=1))
    usual = 1.4826 * np.median(np.abs(mean - np.median(mean))) + 1.0
    strength = np.abs(mean) / usual
    found: list[FloorStep] = []
    total = measure_total(levels)
    order = np.argsort(-strength)
    for index in order:
        if strength[index] < 4 or abs(mean[index]) < least_db or agree[index] < 0.6:
            continue
        row = int(rows[index])
        if any(abs(row - f.row) < _SIDE_S / HOP_S for f in found):
            continue
        sharp = _sharpness(levels[:, alive], row, float(mean[index]))
        if sharp is None:
            continue
        place, gradual = sharp
        if gradual:
            continue
        before = total[max(0, place - 60) : max(1, place - 1)]
        loud = float(before.max() - np.median(total)) if len(before) else 0.0
        found.append(
            FloorStep(place, float(mean[index]), float(strength[index]), float(agree[index]), loud)
        )
        if len(found) >= 50:
            break
    return sorted(found, key=lambda f: f.row)


def _sharpness(levels: Floats, row: int, step_db: float) -> tuple[int, bool] | None:
    """Where the quiet changes and whether it takes more than 0.5 s; None if it drifts."""
    import numpy as np

    side = round(_SIDE_S / HOP_S)
    low = max(0, row - side)
    piece = np.median(levels[low : row + side], axis=1)
    # The split that leaves the least spread around the two sides' own quiet.
    edge = round(0.4 / HOP_S)
    if len(piece) < 3 * edge:
        return None
    clipped = np.minimum(piece, np.quantile(piece, 0.6))
    sums, squares = np.cumsum(clipped), np.cumsum(clipped**2)
    at = np.arange(edge, len(piece) - edge)
    left = squares[at - 1] - sums[at - 1] ** 2 / at
    rest = len(piece) - at
    right = squares[-1] - squares[at - 1] - (sums[-1] - sums[at - 1]) ** 2 / rest
    place = int(at[np.argmin(left + right)])
    # Quiet of 1 s next to the change and farther off must agree, or it is a slope.
    second = round(1 / HOP_S)
    near = np.quantile(piece[place : place + second], 0.2) - np.quantile(
        piece[max(0, place - second) : max(1, place)], 0.2
    )
    if abs(near) < 0.4 * abs(step_db):
        return None
    inner = round(0.25 / HOP_S)
    quick = np.quantile(piece[place : place + inner], 0.2) - np.quantile(
        piece[max(0, place - inner) : max(1, place)], 0.2
    )
    return low + place, bool(abs(quick) < 0.5 * abs(step_db))


@dataclass(frozen=True)
class BandChange:
    """At row `row` the highest frequency heard changes from one to the other (share of Nyquist)."""

    row: int
    before: float
    after: float
    drop_db: float


def find_band_changes(levels: Floats, *, least_db: float = 15.0) -> list[BandChange]:
    """Places where the top of the spectrum appears or disappears while the rest stays.

    Parameters
    ----------
    levels
        From `measure_room`.
    least_db
        Smallest change of the top bands' loud parts.
    """
    import numpy as np

    side = round(2 * _SIDE_S / HOP_S)
    rows = np.arange(side, len(levels) - side, 4)
    if not len(rows):
        return []
    loud, quiet = _quantiles(levels, (0.97, 0.2), side, 4)
    life = loud - quiet
    apart = side // 4
    found: list[BandChange] = []
    before, after = loud[:-apart][: len(rows)], loud[apart:][: len(rows)]
    life_before, life_after = life[:-apart][: len(rows)], life[apart:][: len(rows)]
    steps = after - before
    strength = np.sort(np.abs(steps[:, BANDS // 4 :]), axis=1)[:, -3:].mean(axis=1)
    for index in np.argsort(-strength):
        if strength[index] < least_db or len(found) >= 20:
            break
        row = int(rows[index])
        if any(abs(row - f.row) < side for f in found):
            continue
        change = _band_change(row, steps[index], (life_before[index], life_after[index]), least_db)
        if change is not None:
            found.append(change)
    return sorted(found, key=lambda f: f.row)


def _band_change(
    row: int, step: Floats, life: tuple[Floats, Floats], least_db: float
) -> BandChange | None:
    """A run of bands up to the top of what is heard that comes to life or dies, the rest as before.

    Speech without an "s" for some seconds also lacks high bands; but then the bands keep some
    modulation, and what lies below fades out instead of ending at an edge.
    """
    import numpy as np

    run = np.flatnonzero(np.abs(step) >= least_db)
    if len(run) < 3 or run[0] < 4 or (np.diff(run) > 2).any():
        return None
    falls = step[run[0]] < 0
    if (np.sign(step[run]) != np.sign(step[run[0]])).any():
        return None
    dead, alive = (life[1], life[0]) if falls else (life[0], life[1])
    below = np.arange(max(0, run[0] - 6), run[0])
    if np.median(dead[run]) > 6 or np.median(alive[run]) < 10 or np.median(dead[below]) < 12:
        return None
    if np.abs(step[: run[0]]).mean() > 0.35 * np.abs(step[run]).mean():
        return None
    if np.abs(step[run[-1] + 1 :]).max(initial=0) > least_db:
        return None
    low, high = run[0] / BANDS, (run[-1] + 1) / BANDS
    return BandChange(
        row, float(high if falls else low), float(low if falls else high),
        float(np.abs(step[run]).mean()),
    )  # fmt: skip


# -- digital silence --------------------------------------------------------------------------


@dataclass(frozen=True)
class Silence:
    """A run of one and the same value from sample `first` to `last` (exclusive)."""

    first: int
    last: int
    value: float


class SilenceFinder:
    """Finds runs of exactly equal samples (all channels) in sound that arrives in pieces."""

    def __init__(self, *, least: int) -> None:
        self.least = least
        self.runs: list[Silence] = []
        self._first = 0
        self._last_value: Floats | None = None
        self._end = 0

    def push(self, samples: Floats, first: int) -> None:
        """Samples (n, channels) whose first has the absolute position `first`."""
        import numpy as np

        if not len(samples):
            return
        if self._last_value is None:
            self._last_value, self._first = samples[0], first
        joined = np.concatenate([self._last_value[None], samples])
        changes = first + np.flatnonzero((np.diff(joined, axis=0) != 0).any(axis=1))
        edges = np.concatenate([[self._first], changes])
        lengths = np.diff(edges)
        for k in np.flatnonzero(lengths >= self.least):
            inside = max(0, int(edges[k]) - first)
            value = float(samples[inside].mean())
            self.runs.append(Silence(int(edges[k]), int(edges[k + 1]), value))
        if len(changes):
            self._first = int(changes[-1])
        self._last_value = samples[-1]
        self._end = first + len(samples)

    def finish(self) -> list[Silence]:
        """All runs, the last one included."""
        if self._last_value is not None and self._end - self._first >= self.least:
            self.runs.append(Silence(self._first, self._end, float(self._last_value.mean())))
            self._first = self._end
        return self.runs


# -- clipping ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class CeilingChange:
    """Between rows `low` and `high` the level at which the sound is cut off changes."""

    low: int
    high: int
    before: float
    after: float


def measure_ceilings(samples: Floats, rate_hz: int) -> Floats:
    """Per second of mono samples: the level of flat tops, or 0 where nothing is clipped."""
    import numpy as np

    count = len(samples) // rate_hz
    rows = np.abs(samples[: count * rate_hz].reshape(count, rate_hz))
    top = rows.max(axis=1, initial=0)
    flat = (rows >= (top * 0.9985)[:, None]) & (rows > 0.05)
    runs = (flat[:, 1:] & flat[:, :-1]).sum(axis=1)
    ceilings: Floats = np.where((runs >= 8) & (top > 0.1), top, 0).astype(np.float32)
    return ceilings


def find_ceiling_changes(ceilings: Floats, *, least: float = 0.03) -> list[CeilingChange]:
    """Where one clipping ceiling gives way to another and stays so for 3 clipped seconds."""
    import numpy as np

    rows = np.flatnonzero(ceilings > 0)
    found = []
    for k in range(3, len(rows) - 2):
        left, right = ceilings[rows[k - 3 : k]], ceilings[rows[k : k + 3]]
        steady = np.ptp(left) < least / 3 and np.ptp(right) < least / 3
        if steady and abs(float(right.mean() - left.mean())) >= least:
            found.append(
                CeilingChange(
                    int(rows[k - 1]), int(rows[k]) + 1, float(left.mean()), float(right.mean())
                )
            )
    return found
