"""Impulses in sound: five bands, a local rise and a global prominence, then measurements.

Pure functions of arrays: samples in, candidates with measurements out. Nothing here knows of
clips, files or findings.

Conventions: levels are dB re full scale (a full-scale sine is -3 dBFS in energy), hops are 4 ms,
times are seconds from the first sample.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from forensics.errors import RecordInvalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "BANDS_HZ",
    "FEATURES",
    "HOP_S",
    "RATE_HZ",
    "Impulse",
    "Levels",
    "candidate_features",
    "classify_sound",
    "expand_features",
    "find_impulses",
    "hearing_level",
    "measure_levels",
    "score_features",
]

#: All impulse work is done at this rate, mono: the recordings of phones rarely hold more.
RATE_HZ = 16000
HOP_S = 0.004
_HOP = 64
_WINDOW = 256
BANDS_HZ = ((80, 350), (350, 900), (900, 2000), (2000, 4000), (4000, 7600))
_FLOOR_DB = -110.0
#: Seconds on either side over which "prominent" is judged.
_AROUND_S = 6.0

#: What the score is made of; see `candidate_features`.
FEATURES = (
    "rise_db", "least_rise_db", "above_local_peak_db", "prominence_db", "least_prominence_db",
    "drop_db", "flatness_db", "sharpness_db", "above_median_db", "voicing", "novelty_rank",
    "long_drop_db",
)  # fmt: skip

#: A weaker candidate this soon after a stronger one, by this much, is its echo or its body.
_ECHO_S, _ECHO_DB = 0.4, 4.0


@dataclass(frozen=True)
class Levels:
    """Band levels of a stretch of sound: `bands` (5, n) and `flatness` (n,) in dB, one a hop."""

    bands: Floats
    flatness: Floats
    empty: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Hops."""
        return int(self.bands.shape[1])


@dataclass(frozen=True)
class Impulse:
    """One impulse: when, how sure, and what was measured of it."""

    time_s: float
    score: float
    level_db: float
    above_floor_db: float
    rise_ms: float
    decay_ms: float
    decay_reached: bool
    low_hz: float
    high_hz: float
    centroid_hz: float
    low_share_db: float
    echoes_ms: tuple[float, ...]
    clipped: bool
    features: tuple[float, ...]


def measure_levels(samples: Floats) -> Levels:
    """Band levels and spectral flatness of mono samples (n,) at `RATE_HZ`, every 4 ms.

    Hop ``k`` is centred on sample ``64 k``.
    """
    import numpy as np
    from scipy.fft import rfft

    pad = _WINDOW // 2
    # Mirrored ends: that a file begins or ends is not an impulse.
    mode = "reflect" if len(samples) > pad else "constant"
    padded = np.pad(np.asarray(samples, np.float32), (pad, pad), mode=mode)  # type: ignore[call-overload]
    count = max(0, 1 + (len(padded) - _WINDOW) // _HOP)
    view = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    window = np.hanning(_WINDOW).astype(np.float32)
    bins = np.fft.rfftfreq(_WINDOW, 1 / RATE_HZ)
    select = [np.flatnonzero((bins >= low) & (bins < high)) for low, high in BANDS_HZ]
    bands = np.empty((len(BANDS_HZ), count), np.float32)
    flat = np.empty(count, np.float32)
    scale = 2 / float((window**2).sum()) / _WINDOW
    for first in range(0, count, 8192):
        part = slice(first, min(first + 8192, count))
        power = np.abs(rfft(view[part] * window, axis=1)) ** 2 * scale + 1e-13
        for row, chosen in enumerate(select):
            bands[row, part] = 10 * np.log10(power[:, chosen[0] : chosen[-1] + 1].sum(axis=1))
        middle = power[:, 5:112]
        flat[part] = 10 * (np.log10(middle).mean(axis=1) - np.log10(middle.mean(axis=1)))
    np.maximum(bands, _FLOOR_DB, out=bands)
    return Levels(bands, flat, np.all(bands <= _FLOOR_DB + 1, axis=0))


def _rolling_quantile(values: Floats, hops: int, quantile: float) -> Floats:
    # A quantile over seconds changes slowly: take it on half-overlapping blocks, interpolate.
    import numpy as np

    count = values.shape[-1]
    step = max(1, hops // 4)
    centres = np.arange(0, count + step, step)
    table = np.stack(
        [
            np.quantile(values[..., max(0, c - hops) : min(count, c + hops + 1)], quantile, axis=-1)
            for c in np.minimum(centres, count - 1)
        ],
        axis=-1,
    )
    here = np.arange(count)
    flat = table.reshape(-1, table.shape[-1])
    out = np.stack([np.interp(here, centres, row) for row in flat])
    return out.reshape(*values.shape[:-1], count).astype(np.float32)


def _ahead(values: Floats, hops: int) -> Floats:
    """Largest value from each hop to `hops - 1` later."""
    from scipy.ndimage import maximum_filter1d

    found: Floats = maximum_filter1d(values, hops, axis=-1, origin=-(hops // 2), mode="nearest")
    return found


def _before(values: Floats, hops: int, gap: int) -> tuple[Floats, Floats]:
    """Mean and largest value of the `hops` hops that end `gap` hops before each hop."""
    import numpy as np
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    shift = gap + hops // 2
    edge = np.pad(values, ((0, 0), (shift, 0)), mode="edge")[:, : values.shape[1]]
    mean: Floats = uniform_filter1d(edge, hops, axis=-1, mode="nearest")
    peak: Floats = maximum_filter1d(edge, hops, axis=-1, mode="nearest")
    return mean, peak


def _voicing(samples: Floats, hops: NDArray[np.int64]) -> Floats:
    """Largest normalised autocorrelation at pitch lags, 12 to 60 ms after each hop.

    Voices and barks ring at a pitch right after their attack; a bang does not.
    """
    import numpy as np
    from scipy.fft import irfft, rfft

    length = 768
    starts = np.clip(hops * _HOP + 192, 0, max(0, len(samples) - length))
    padded = np.pad(np.asarray(samples, np.float32), (0, max(0, length - len(samples))))
    best = np.empty(len(hops), np.float32)
    triangle = 1 - np.arange(length) / length
    for first in range(0, len(hops), 2048):
        pick = starts[first : first + 2048]
        rows = padded[pick[:, None] + np.arange(length)[None]]
        rows = rows - rows.mean(axis=1, keepdims=True)
        spectrum = np.abs(rfft(rows, 2048, axis=1)) ** 2
        auto = irfft(spectrum, axis=1)[:, :length]
        normal = auto[:, 36:230] / (auto[:, :1] * triangle[None, 36:230] + 1e-9)
        best[first : first + 2048] = normal.max(axis=1)
    return np.clip(best, 0, 1)


def _rank(values: Floats, hops: NDArray[np.int64]) -> Floats:
    """Each candidate's novelty less the 85th percentile of its neighbours' within ±8 s."""
    import numpy as np

    reach = round(8 / HOP_S)
    low = np.searchsorted(hops, hops - reach)
    high = np.searchsorted(hops, hops + reach)
    return np.array(
        [v - np.quantile(values[a:b], 0.85) for v, a, b in zip(values, low, high, strict=True)],
        np.float32,
    )


def candidate_features(samples: Floats, levels: Levels) -> tuple[NDArray[np.int64], Floats]:
    """Hops where the sound rises at once in several bands, and their `FEATURES` (n, 12).

    Parameters
    ----------
    samples
        Mono, at `RATE_HZ`.
    levels
        Its `measure_levels`.

    Returns
    -------
    hops, features
        Local maxima of the rise that clear a low bar; the score decides later.
    """
    import numpy as np
    from scipy.ndimage import maximum_filter1d

    bands = levels.bands
    now = _ahead(bands, 4)
    mean, peak = _before(bands, 50, 2)
    rises = np.clip(now - mean, -5, 35)
    over_peak = np.clip(now - peak, -15, 25)
    hops = round(_AROUND_S / HOP_S)
    loud = _rolling_quantile(bands, hops, 0.95)
    median = _rolling_quantile(bands, hops, 0.5)
    prominent = np.clip(now - loud, -20, 30)
    rise = rises.mean(axis=0)
    novelty = np.sort(rises, axis=0)[2:].mean(axis=0) + 0.5 * np.sort(over_peak, axis=0)[2:].mean(
        axis=0
    )
    tops = (novelty == maximum_filter1d(novelty, 19, mode="nearest")) & (novelty > 6) & (rise > 3)
    chosen = np.flatnonzero(tops)
    if not len(chosen):
        return chosen, np.zeros((0, len(FEATURES)), np.float32)
    later = np.minimum(chosen[:, None] + np.arange(20, 55)[None], levels.count - 1)
    after = bands[:, later].mean(axis=2)
    drop = np.clip(now[:, chosen] - after, -10, 40).mean(axis=0)
    top_hop = np.minimum(chosen[:, None] + np.arange(4)[None], levels.count - 1)
    flatness = levels.flatness[top_hop].mean(axis=1)
    two_before = bands[:, np.maximum(chosen - 3, 0)]
    sharp = np.clip(now[:, chosen] - two_before, -5, 40).mean(axis=0)
    rank = np.clip((now[:, chosen] - median[:, chosen]).mean(axis=0), 0, 50)
    much_later = np.minimum(chosen[:, None] + np.arange(60, 140, 4)[None], levels.count - 1)
    long_drop = np.clip(now[:, chosen] - bands[:, much_later].mean(axis=2), -10, 40).mean(axis=0)
    ordered_rise = np.sort(rises[:, chosen], axis=0)
    ordered_prominent = np.sort(prominent[:, chosen], axis=0)
    table = np.stack(
        [
            rise[chosen], ordered_rise[1], over_peak[:, chosen].mean(axis=0),
            prominent[:, chosen].mean(axis=0), ordered_prominent[2], drop, flatness, sharp, rank,
            _voicing(samples, chosen), _rank(novelty[chosen], chosen), long_drop,
        ],
        axis=1,
    )  # fmt: skip
    return chosen, table.astype(np.float32)


@functools.cache
def _weights() -> dict[str, NDArray[np.float64]]:
    # Fitted by ``benchmarks/events.py --fit`` on the tuning half of the sources, and only there.
    import numpy as np

    data = resources.files("forensics").joinpath("data/impulse_score.json").read_bytes()
    table = json.loads(data)
    if table["features"] != list(FEATURES):
        raise RecordInvalid("the impulse score was fitted for other features")
    return {key: np.array(table[key]) for key in ("centre", "spread", "weights")}


def expand_features(features: Floats, centre: Any, spread: Any) -> NDArray[np.float64]:
    """Standardised features with all their products and a constant: what the score weighs."""
    import numpy as np

    z = np.clip((np.asarray(features, np.float64) - centre) / spread, -4, 4)
    first, second = np.triu_indices(z.shape[1])
    return np.concatenate([z, z[:, first] * z[:, second], np.ones((len(z), 1))], axis=1)


def score_features(features: Floats) -> Floats:
    """The logistic score (n,) of candidate features (n, 12), 0 to 1."""
    import numpy as np

    table = _weights()
    total = expand_features(features, table["centre"], table["spread"]) @ table["weights"]
    return (1 / (1 + np.exp(-np.clip(total, -30, 30)))).astype(np.float32)


def find_impulses(
    samples: Floats, *, minimum_score: float = 0.5, separation_s: float = 0.05,
    levels: Levels | None = None,
) -> list[Impulse]:  # fmt: skip
    """Impulses in mono samples (n,) at `RATE_HZ`, by time.

    Parameters
    ----------
    samples
        Mono, -1…1.
    minimum_score
        Candidates below are dropped.
    separation_s
        Of two candidates closer than this the weaker is an echo or the same sound.
    levels
        `measure_levels(samples)`, if at hand.

    When it errs
    ------------
    As `forensics.events.find_events`: barks, plosives and crackles pass for impulses
    (misinterpretation); what is no louder than the background's loud parts is missed
    (incompleteness). The first and last 8 s of an array are judged with less around them.
    """
    import numpy as np

    levels = levels or measure_levels(samples)
    hops, features = candidate_features(samples, levels)
    scores = score_features(features)
    keep: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if scores[index] < minimum_score:
            break
        near = [k for k in keep if abs(int(hops[k]) - int(hops[index])) * HOP_S < separation_s]
        if not near:
            keep.append(int(index))
    floor = np.median(levels.bands, axis=1)
    loud = FEATURES.index("above_median_db")
    keep = [
        k for k in keep
        if not any(
            0 < int(hops[k] - hops[j]) * HOP_S < _ECHO_S
            and features[j, loud] - features[k, loud] >= _ECHO_DB
            for j in keep
        )
    ]  # fmt: skip
    return [
        _measure(samples, levels, int(hops[k]), float(scores[k]), features[k], floor)
        for k in sorted(keep, key=lambda k: int(hops[k]))
    ]


def _measure(
    samples: Floats, levels: Levels, hop: int, score: float, features: Floats, floor: Floats
) -> Impulse:
    import numpy as np
    from scipy.signal import find_peaks

    start = max(0, (hop - 3) * _HOP)
    piece = np.asarray(samples[start : start + RATE_HZ], np.float64)
    step = 8
    count = len(piece) // step
    fine = (piece[: count * step].reshape(count, step) ** 2).mean(axis=1) + 1e-12
    near = fine[: round(0.06 * RATE_HZ / step)]
    top = int(np.argmax(near))
    onset = int(np.argmax(near >= near[top] / 10))
    half = int(np.argmax(near >= near[top] / 4))
    under = np.flatnonzero(near[: half + 1] < near[top] / 100)
    rise_ms = max(1, half - (int(under[-1]) if len(under) else 0)) * step / RATE_HZ * 1000
    smooth = np.convolve(fine, np.ones(10) / 10, "same")
    level = 10 * np.log10(smooth[top] if top < len(smooth) else fine[top])
    before = levels.bands[:, max(0, hop - 60) : max(1, hop - 3)]
    quiet = np.median(before, axis=1) if before.shape[1] else floor
    total_floor = 10 * np.log10((10 ** (quiet / 10)).sum())
    # Below twice the background there is no decay to follow.
    least = max(smooth[top] / 100, 2 * 10 ** (total_floor / 10))
    ahead = smooth[top:]
    low = np.flatnonzero(ahead <= least)
    reached = bool(len(low)) and least <= smooth[top] / 99
    decay = (int(low[0]) if len(low) else len(ahead)) * step / RATE_HZ * 1000
    first = start + onset * step
    burst = np.asarray(samples[first : first + 512], np.float64)
    past = np.asarray(samples[max(0, first - 1600) : max(1, first - 64)], np.float64)
    centroid, low_hz, high_hz, share = _spectrum(burst, past)
    in_db = 10 * np.log10(smooth)
    peaks, _ = find_peaks(in_db[top:], prominence=6, distance=round(0.012 * RATE_HZ / step))
    strong = [p for p in peaks if in_db[top + p] > in_db[top] - 25 and p * step / RATE_HZ < 0.5]
    echoes = tuple(round(p * step / RATE_HZ * 1000, 1) for p in strong if p * step > 160)
    clipped = bool((np.abs(burst) >= 0.985 * max(np.abs(samples).max(), 0.5)).sum() >= 4)
    return Impulse(
        first / RATE_HZ, score, float(level), float(level - total_floor), rise_ms, decay, reached,
        low_hz, high_hz, centroid, share, echoes, clipped, tuple(float(x) for x in features),
    )  # fmt: skip


def _spectrum(burst: NDArray[Any], past: NDArray[Any]) -> tuple[float, float, float, float]:
    import numpy as np

    if len(burst) < 64:
        return 0.0, 0.0, 0.0, 0.0
    frequencies = np.fft.rfftfreq(512, 1 / RATE_HZ)
    taper = np.hanning(2 * len(burst))[len(burst) :]
    power = np.abs(np.fft.rfft(burst * taper, 512)) ** 2
    if len(past) >= 512:
        rows = np.lib.stride_tricks.sliding_window_view(past, 512)[::256]
        noise = np.median(np.abs(np.fft.rfft(rows * np.hanning(512), axis=1)) ** 2, axis=0)
    else:
        noise = np.full_like(power, 1e-12)
    clean = np.maximum(power - noise, 0)[2:]
    frequencies = frequencies[2:]
    total = clean.sum()
    if total <= 0:
        return 0.0, 0.0, 0.0, 0.0
    order = np.cumsum(clean) / total
    heard = np.flatnonzero(clean > 2 * noise[2:])
    low = float(frequencies[heard[0]]) if len(heard) else 0.0
    high = float(frequencies[int(np.argmax(order >= 0.99))])
    share = 10 * np.log10((clean[frequencies < 500].sum() + 1e-15) / total)
    return float((clean * frequencies).sum() / total), low, high, float(share)


def classify_sound(impulse: Impulse) -> str:
    """The class of sound: what it sounds like by rise, decay and bandwidth, never its cause.

    When it errs
    ------------
    Often: distance, walls and phones change rise, decay and bandwidth more than causes differ
    (misinterpretation); ``benchmarks/results/events.json`` holds the measured confusion.
    """
    if impulse.above_floor_db < 10 or impulse.rise_ms > 25:
        return "impulse"
    if impulse.high_hz < 2500 and impulse.decay_ms < 150:
        return "blow-like"
    if impulse.high_hz < 1500:
        return "impulse"
    if impulse.low_share_db > -3 and impulse.decay_ms >= 250:
        return "stun-grenade-like"
    if impulse.rise_ms <= 8 and impulse.high_hz >= 2500:
        return "gunshot-like"
    return "impulse"


def hearing_level(levels: Levels, *, window_s: float = 5.0, margin_db: float = 6.0) -> Floats:
    """The level (dBFS, one per window) an impulse needs to stand out of what is there.

    The 95th percentile of the total level in the window, plus a margin: what is softer than this
    could happen unheard.
    """
    import numpy as np

    total = 10 * np.log10((10 ** (levels.bands / 10)).sum(axis=0))
    hops = round(window_s / HOP_S)
    return np.array(
        [
            np.quantile(total[k : k + hops], 0.95) + margin_db
            for k in range(0, max(1, levels.count), hops)
        ],
        np.float32,
    )
