"""Impulses in sound: candidates of a whitened rise, a learned score, then measurements.

Pure functions of arrays: samples in, impulses with measurements out. Nothing here knows of
clips, files or findings. Times are seconds from the first sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.events_features import FEATURES, candidate_features
from forensics.events_levels import HOP, HOP_S, RATE_HZ, Levels, measure_levels
from forensics.events_score import score_candidates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "Candidates",
    "Impulse",
    "best_apart",
    "classify_sound",
    "find_impulses",
    "hearing_level",
    "select_candidates",
    "weigh_candidates",
]

#: A weaker candidate this soon after a stronger one, by this much, is its echo or its body.
_ECHO_S, _ECHO_DB = 0.4, 4.0


@dataclass(frozen=True)
class Impulse:
    """One impulse: when, how sure, and what was measured of it.

    `prominence_db` is over the 95th percentile of the level of 12 s around, band by band;
    `over_usual_db` over the 90th of 40 s, in which a volley counts for less.
    """

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
    prominence_db: float
    hidden_ms: float
    over_usual_db: float


@dataclass(frozen=True)
class Candidates:
    """Where the sound rises at once in several bands: `hops`, `FEATURES` (n, m) and `scores`."""

    hops: NDArray[np.int64]
    features: Floats
    scores: Floats


def weigh_candidates(samples: Floats, levels: Levels) -> Candidates:
    """Candidates in mono samples (n,) at `RATE_HZ` and their scores; `levels` are the samples'."""
    hops, features = candidate_features(samples, levels)
    return Candidates(hops, features, score_candidates(hops, features))


def find_impulses(
    samples: Floats, *, minimum_score: float = 0.5, separation_s: float = 0.05,
    levels: Levels | None = None, candidates: Candidates | None = None,
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
    candidates
        `weigh_candidates(samples, levels)`, if at hand.

    When it errs
    ------------
    As `forensics.events.find_events`: barks, plosives and crackles pass for impulses
    (misinterpretation); what is no louder than the background's loud parts is missed
    (incompleteness). The first and last 20 s of an array are judged with less around them.
    """
    import numpy as np

    levels = levels or measure_levels(samples)
    weighed = candidates or weigh_candidates(samples, levels)
    hops, features, scores = weighed.hops, weighed.features, weighed.scores
    keep = select_candidates(hops, scores, features, minimum_score, separation_s=separation_s)
    floor = np.median(levels.bands, axis=1)
    return [
        _measure(samples, levels, int(hops[k]), float(scores[k]), features[k], floor) for k in keep
    ]


def best_apart(
    hops: NDArray[np.int64], scores: Floats, least: float, separation_s: float
) -> list[int]:
    """Indices, best first, of what scores `least` or more and has no better one too close by."""
    import numpy as np

    keep: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if scores[index] < least:
            break
        if all(abs(int(hops[k]) - int(hops[index])) * HOP_S >= separation_s for k in keep):
            keep.append(int(index))
    return keep


def select_candidates(
    hops: NDArray[np.int64], scores: Floats, features: Floats, minimum_score: float, *,
    separation_s: float = 0.05,
) -> list[int]:  # fmt: skip
    """Indices, by time, of the candidates that count singly: no doubles, no echoes.

    Of two closer than `separation_s` the better scored counts; what follows a stronger one within
    0.4 s and is 4 dB softer is its echo.
    """
    keep = best_apart(hops, scores, minimum_score, separation_s)
    loud = FEATURES.index("above_median_db")
    keep = [
        k for k in keep
        if not any(
            0 < int(hops[k] - hops[j]) * HOP_S < _ECHO_S
            and features[j, loud] - features[k, loud] >= _ECHO_DB
            for j in keep
        )
    ]  # fmt: skip
    return sorted(keep, key=lambda k: int(hops[k]))


def _measure(
    samples: Floats, levels: Levels, hop: int, score: float, features: Floats, floor: Floats
) -> Impulse:
    import numpy as np
    from scipy.signal import find_peaks

    start = max(0, (hop - 3) * HOP)
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
    roar = np.flatnonzero(ahead <= smooth[top] / 10)
    hidden = (int(roar[0]) if len(roar) else len(ahead)) * step / RATE_HZ * 1000
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
        low_hz, high_hz, centroid, share, echoes, clipped,
        float(features[FEATURES.index("prominence_db")]), hidden,
        float(features[FEATURES.index("over_90_in_40_s")]),
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
