"""How fast sound dies away in the pauses: a change of room, told from a change of what is said.

Nothing dies away faster than the room lets it. In each band every fall of 13 dB and more that
begins well above the noise is measured once, where it is free; whether the falls of one stretch
are faster than those of the next is asked of their ranks. Pure functions of arrays.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]

__all__ = ["DecayFinder", "RoomChange", "find_room_changes", "measure_decays"]

_RATE_HZ = 8000
_SIZE, _HOP = 256, 64
_HOP_S = _HOP / _RATE_HZ
#: Bands, Hz; what a telephone carries.
_EDGES_HZ = (250, 400, 600, 900, 1300, 1800, 2500, 3600)
#: Rows (8 ms) of a block that are its own, and of the context on each side.
_OWN, _MARGIN = 2560, 320
#: A fall begins to be measured this far below its peak and is followed to the deepest of these
#: depths that stays clear of the noise, dB.
_FROM_DB, _DEPTHS_DB = 3.0, (23.0, 18.0, 13.0)
#: Least distance of a fall's peak from the noisier side's floor, dB.
_ABOVE_FLOOR_DB = 20.0
#: Stretches compared on each side, the least that counts, and the step of the search.
SIDE_S, _LEAST_SIDE_S, _STEP_S = 20.0, 6.0, 0.25
#: Every how many steps are asked at first; the places between only near the strongest.
_COARSE = 4
#: Falls of all bands within this time are one event; events needed on each side.
_TOGETHER_S, _LEAST_EVENTS = 0.15, 10
#: Robust enough that speech in one room passes it about once in an hour or less.
LEAST_Z = 3.8


def measure_decays(samples: Floats) -> Doubles:
    """Free falls in mono sound at 8 kHz: (n, 5) time s, band, peak dB, floor dB, log of dB/s."""
    import numpy as np
    from scipy.fft import rfft
    from scipy.ndimage import minimum_filter1d, uniform_filter1d
    from scipy.signal import find_peaks

    if len(samples) < _SIZE + 16 * _HOP:
        return np.zeros((0, 5))
    view = np.lib.stride_tricks.sliding_window_view(samples, _SIZE)[::_HOP]
    window = np.hanning(_SIZE).astype(np.float32)
    power = np.abs(rfft(view * window, axis=1)) ** 2
    edges = np.round(np.array(_EDGES_HZ) / _RATE_HZ * _SIZE).astype(int)
    bands = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    levels = 10 * np.log10(bands + 1e-9)
    found = []
    for band in range(levels.shape[1]):
        level = uniform_filter1d(levels[:, band], 3)
        floor = minimum_filter1d(uniform_filter1d(levels[:, band], 9), 2 * _MARGIN - 15)
        peaks, _ = find_peaks(level, prominence=8)
        for peak, following in itertools.pairwise([*peaks, len(level)]):
            fall = level[peak:following]
            fall = level[peak] - fall[: int(np.argmin(fall)) + 1]
            free = min(fall[-1] - 1, level[peak] - floor[peak] - 4)
            depth = next((d for d in _DEPTHS_DB if d <= free), None)
            if depth is None:
                continue
            took = _crossing(fall, depth) - _crossing(fall, _FROM_DB) + 1e-3 / _HOP_S
            rate = np.log((depth - _FROM_DB) / (took * _HOP_S))
            found.append((peak * _HOP_S, band, level[peak], floor[peak], rate))
    return np.array(found, np.float64).reshape(-1, 5)


def _crossing(fall: Floats, depth: float) -> float:
    """Row at which a fall first passes a depth, interpolated."""
    import numpy as np

    after = int(np.argmax(fall > depth))
    low, high = float(fall[after - 1]), float(fall[after])
    return after - 1 + (depth - low) / max(1e-6, high - low)


class DecayFinder:
    """Takes blocks of sound at 8 kHz in order; keeps a few numbers for every free fall."""

    #: Samples a block, and between the starts of two.
    size = (_OWN + 2 * _MARGIN) * _HOP
    step = _OWN * _HOP

    def __init__(self) -> None:
        self._parts: list[Doubles] = []
        self._reached_s = 0.0

    def push(self, samples: Floats, first: int, last: bool = False) -> None:
        """One block whose first sample has the position `first`; what overlaps counts once."""
        found = measure_decays(samples)
        found[:, 0] += first / _RATE_HZ
        until = (first + (len(samples) if last else self.size - _MARGIN * _HOP)) / _RATE_HZ
        own = (found[:, 0] >= self._reached_s) & (found[:, 0] < until)
        self._reached_s = until
        self._parts.append(found[own])

    def finish(self) -> Doubles:
        """All falls, as `measure_decays` gives them, in order of time."""
        import numpy as np

        falls = np.concatenate([*self._parts, np.zeros((0, 5))])
        return falls[np.argsort(falls[:, 0], kind="stable")]


@dataclass(frozen=True)
class RoomChange:
    """At `at_s` (between `low_s` and `high_s`) sound begins to die away at another pace.

    `before`, `after`: medians in dB/s; `ratio_low`, `ratio_high`: 95 % interval of after by before.
    """

    at_s: float
    low_s: float
    high_s: float
    z: float
    before: float
    after: float
    ratio_low: float
    ratio_high: float
    events: int


def _middle(values: Doubles) -> float:
    """The upper median: asked thousands of times, and ten times as fast as NumPy's."""
    values = values.copy()
    values.sort()
    return float(values[len(values) // 2])


def _compared(falls: Doubles, at_s: float) -> tuple[float, int, tuple[float, float]] | None:
    """(z of the ranks, events, mean log rate on each side); None where too few falls are free."""
    import numpy as np
    from scipy.stats import rankdata

    low, high = np.searchsorted(falls[:, 0], (at_s - SIDE_S, at_s + SIDE_S))
    near = falls[low:high]
    later = near[:, 0] >= at_s
    kept = np.zeros(len(near), bool)
    values = near[:, 4].copy()
    for band in range(len(_EDGES_HZ) - 1):
        own = near[:, 1] == band
        sides = (own & ~later, own & later)
        if min(s.sum() for s in sides) < 4:
            continue
        # The noisier side lets only strong falls be followed: both are held to its measure.
        floor = max(_middle(near[s, 3]) for s in sides)
        use = own & (near[:, 2] - floor >= _ABOVE_FLOOR_DB)
        if use.any():
            kept |= use
            values[use] -= _middle(values[use])
    if kept.sum() < 2 * _LEAST_EVENTS:
        return None
    slot = np.floor(near[kept, 0] / _TOGETHER_S).astype(np.int64)
    _, event = np.unique(slot, return_inverse=True)
    count = np.bincount(event)
    mean = np.bincount(event, values[kept]) / count
    after = np.bincount(event, near[kept, 0]) / count >= at_s
    n, m = int((~after).sum()), int(after.sum())
    if min(n, m) < _LEAST_EVENTS:
        return None
    ranks = rankdata(mean)
    u = ranks[after].sum() - m * (m + 1) / 2
    z = (u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)
    sides_mean = tuple(float(np.mean(near[kept & s, 4])) for s in (~later, later))
    return float(z), n + m, (sides_mean[0], sides_mean[1])


def find_room_changes(
    falls: Doubles, length_s: float
) -> tuple[list[RoomChange], list[tuple[float, float]]]:
    """Where sound begins to die away faster or more slowly, and where that cannot be told.

    Parameters
    ----------
    falls
        From `DecayFinder.finish`.
    length_s
        Seconds of sound.

    Returns
    -------
    (changes, blind)
        `blind`: stretches, in seconds, with too few free falls on one side or the other.
    """
    import numpy as np

    times = np.arange(_LEAST_SIDE_S, length_s - _LEAST_SIDE_S + 1e-9, _STEP_S)
    results = {k: _compared(falls, float(times[k])) for k in range(0, len(times), _COARSE)}
    hopeful = [k for k, r in results.items() if r is not None and abs(r[0]) > LEAST_Z - 1.2]
    for k in hopeful:
        for near in range(max(0, k - _COARSE), min(len(times), k + _COARSE + 1)):
            if near not in results:
                results[near] = _compared(falls, float(times[near]))
    z = np.array([_z(results.get(k)) for k in range(len(times))])
    found: list[RoomChange] = []
    for k in np.argsort(-np.abs(z)):
        result = results.get(int(k))
        if result is None or abs(z[k]) < LEAST_Z:
            break
        if any(abs(times[k] - f.at_s) < SIDE_S for f in found):
            continue
        # Every place that explains the ranks nearly as well.
        asked = np.array([results.get(j) is not None for j in range(len(z))])
        like = (z * np.sign(z[k]) >= np.sqrt(z[k] ** 2 - 8)) | ~asked
        low, high = int(k), int(k)
        while low > 0 and like[low - 1]:
            low -= 1
        while high + 1 < len(z) and like[high + 1]:
            high += 1
        found.append(_change(times[k], times[low] - _STEP_S, times[high] + _STEP_S, result))
    coarse = [(float(times[k]), results[k] is not None) for k in range(0, len(times), _COARSE)]
    return sorted(found, key=lambda f: f.at_s), _blind(coarse, length_s)


def _z(result: tuple[float, int, tuple[float, float]] | None) -> float:
    return result[0] if result else 0.0


def _change(
    at_s: float, low_s: float, high_s: float, result: tuple[float, int, tuple[float, float]]
) -> RoomChange:
    import numpy as np

    z, events, (before, after) = result
    error = abs(after - before) / abs(z) * 1.96
    return RoomChange(
        float(at_s), float(low_s), float(high_s), z, float(np.exp(before)), float(np.exp(after)),
        float(np.exp(after - before - error)), float(np.exp(after - before + error)), events,
    )  # fmt: skip


def _blind(asked: list[tuple[float, bool]], length_s: float) -> list[tuple[float, float]]:
    """Stretches outside every place that could be asked, joined; shorter than 2 s left out."""
    half = _COARSE * _STEP_S / 2
    joined: list[tuple[float, float]] = []
    reached = 0.0
    for at_s, able in [*asked, (length_s + half, True)]:
        if not able:
            continue
        if at_s - half - reached >= 2.0:
            joined.append((reached, min(length_s, at_s - half)))
        reached = at_s + half
    return joined
