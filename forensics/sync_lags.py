"""Visible impacts, rises of sound, and the lag between them. Pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

__all__ = [
    "RATE_HZ",
    "REACH_S",
    "LagRun",
    "find_lags",
    "measure_onsets",
    "pick_impacts",
    "place_change",
]

RATE_HZ = 8000
#: Both series are compared on this raster.
_RASTER_S = 0.01
REACH_S = 0.7
#: A visible impact stands out this many robust deviations; the least number within a window.
_IMPACT_Z, _LEAST_IMPACTS = 6.0, 5
_WINDOW_S, _STEP_S = 20.0, 2.5
#: The lag's peak against all other places the sound could have lain (robust z).
_LEAST_Z = 6.0
#: A step is at least this long, and longer than one and a half frames.
_LEAST_STEP_S = 0.07


def measure_onsets(samples: NDArray[np.float32]) -> Doubles:
    """Rise of sound on a raster of 10 ms, mono samples at 8 kHz; 0 where nothing rises."""
    import numpy as np
    from scipy.fft import rfft

    hop = round(_RASTER_S * RATE_HZ)
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


def pick_impacts(change: Doubles, light: Doubles, times_s: Doubles) -> list[tuple[float, float]]:
    """(time, weight) of frames with which motion or light sets in at once.

    Parameters
    ----------
    change
        (n,) How much each frame differs from the one before, in its strongest part.
    light
        (n,) Mean brightness.
    times_s
        (n,) Presentation times.
    """
    import numpy as np

    if len(times_s) < 12:
        return []
    best: Doubles = np.zeros(len(times_s))
    # Below these rises, in grey levels, nothing has happened; a coder's refresh stays below.
    for series, least in ((change, 6.0), (light, 2.0)):
        values = np.asarray(series, np.float64)
        before = np.stack([np.roll(values, k) for k in (1, 2, 3)]).max(axis=0)
        rise = np.clip(values - before, 0, None)
        rise[:4] = 0
        stirring = 1.4826 * float(np.median(rise[rise > 0])) if (rise > 0).mean() > 0.2 else 0.0
        strong = np.sort(rise)[::-1][:10]
        least = max(least, _IMPACT_Z * stirring, 0.4 * float(np.median(strong)))
        best = np.maximum(best, rise / least)
    found: list[tuple[float, float]] = []
    for k in np.argsort(-best):
        if best[k] < 1:
            break
        if all(abs(times_s[k] - t) > 0.25 for t, _ in found):
            found.append((float(times_s[k]), float(min(best[k], 3.0))))
    return sorted(found)


@dataclass(frozen=True)
class LagRun:
    """A stretch over which sound follows the picture by one lag (s; positive: sound is later)."""

    start_s: float
    end_s: float
    lag_s: float
    spread_s: float
    z: float
    impacts: int


def _widened(onsets: Doubles) -> Doubles:
    """The largest rise within 20 ms of each place."""
    from scipy.ndimage import maximum_filter1d

    wide: Doubles = maximum_filter1d(onsets, 5)
    return wide


def _at(wide: Doubles, start_s: float, times: Doubles) -> Doubles:
    """Values of a series on the raster at any times (of any shape); 0 outside of it."""
    import numpy as np

    place = np.round((times - start_s) / _RASTER_S).astype(np.int64)
    inside = (place >= 0) & (place < len(wide))
    found: Doubles = np.where(inside, wide[np.clip(place, 0, len(wide) - 1)], 0.0)
    return found


def _lag(
    onsets: Doubles, start_s: float, impacts: list[tuple[float, float]]
) -> tuple[float, float, float]:
    """(lag, z, spread) of the best lag against all wrong ones from 1 to 8 s."""
    import numpy as np

    times = np.array([t for t, _ in impacts])
    lags = np.arange(-REACH_S, REACH_S + 1e-9, _RASTER_S)
    # Each impact counts alike, however loud: one bang alone must not decide.
    level = float(np.quantile(onsets, 0.98)) + 1e-9
    heard = _widened(np.minimum(onsets / level, 1.0))
    score = _at(heard, start_s, times + lags[:, None]).sum(axis=1)
    far = np.concatenate([np.arange(-8, -1, 0.03), np.arange(1, 8, 0.03)])
    wrong = _at(heard, start_s, times + far[:, None]).sum(axis=1)
    middle = float(np.median(wrong))
    spread = max(1.4826 * float(np.median(np.abs(wrong - middle))), 0.15 * len(times) ** 0.5)
    best = int(np.argmax(score))
    near = np.flatnonzero(score >= 0.9 * score[best])
    lag = float(lags[near].mean()) if np.ptp(near) * _RASTER_S <= 0.12 else float(lags[best])
    return lag, (float(score[best]) - middle) / spread, float(np.ptp(near)) * _RASTER_S


def find_lags(
    onsets: Doubles, start_s: float, impacts: list[tuple[float, float]], *, frame_s: float = 0.04
) -> list[LagRun]:
    """Stretches in which seen and heard impacts agree on one lag.

    Parameters
    ----------
    onsets, start_s
        From `measure_onsets`, and the time of its first value.
    impacts
        From `pick_impacts`.
    frame_s
        Seconds a frame.
    """
    if not impacts:
        return []
    windows: list[LagRun] = []
    at = impacts[0][0]
    while at <= impacts[-1][0]:
        inside = [i for i in impacts if at <= i[0] < at + _WINDOW_S]
        at += _STEP_S
        if len(inside) < _LEAST_IMPACTS:
            continue
        lag, z, spread = _lag(onsets, start_s, inside)
        if z >= _LEAST_Z and spread <= 0.12:
            windows.append(
                LagRun(inside[0][0], inside[-1][0], lag, spread, z, len(inside))
            )  # fmt: skip
    runs: list[LagRun] = []
    for window in windows:
        last = runs[-1] if runs else None
        if last and abs(window.lag_s - last.lag_s) < max(_LEAST_STEP_S, 1.5 * frame_s):
            stronger = max(last, window, key=lambda r: r.z)
            inside = [i for i in impacts if last.start_s <= i[0] <= window.end_s]
            runs[-1] = LagRun(
                last.start_s, window.end_s, stronger.lag_s, stronger.spread_s, stronger.z,
                len(inside),
            )  # fmt: skip
        else:
            runs.append(window)
    return runs


def place_change(
    onsets: Doubles, start_s: float, impacts: list[tuple[float, float]], one: LagRun, two: LagRun
) -> tuple[float, float]:
    """Between which impacts (s) the first lag gives way to the second."""
    import numpy as np

    times = np.array([t for t, _ in impacts if one.start_s <= t <= two.end_s])
    wide = _widened(onsets)
    gain = _at(wide, start_s, times + one.lag_s) - _at(wide, start_s, times + two.lag_s)
    score = np.concatenate([[0.0], np.cumsum(gain)])
    best = int(np.argmax(score))
    low = times[best - 1] if best else times[0]
    high = times[best] if best < len(times) else times[-1]
    return float(low), float(high)
