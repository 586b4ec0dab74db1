"""Candidates for impulses, and what is measured of each.

Pure functions of arrays. The mechanism: each band's rise is divided by how much that band rises
anyway around there (matched whitening), so that 3 dB in all bands of steady rain counts for more
than 15 dB in a band where somebody speaks.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from forensics.events_levels import (
    BANDS_HZ,
    HOP,
    HOP_S,
    Levels,
    ahead,
    before,
    mirror,
    rolling_quantiles,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["FEATURES", "REACH_S", "candidate_features"]

#: Seconds on either side over which "prominent" is judged; and what of the sound is looked at, at
#: most, to judge one candidate. What is loud for a street shows in 40 s, not in 12: a lorry, a
#: drum, a volley fills the shorter stretch alone.
_AROUND_S, REACH_S = 6.0, 20.0
#: The level is held against these quantiles of the level of the longer and the shorter stretch.
_QUANTILES, _NEAR_QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99), (0.8, 0.9, 0.99)
#: Ranks, from the lowest, of the bands' rises that are kept of the longer stretch.
_RANKS = (1, 3, 6, 9)
#: Borders, in hops from the candidate, of the stretches whose level by band is kept.
_STRETCHES = (-110, -60, -35, -20, -11, -6, -2, 0, 2, 4, 8, 16, 32, 64, 110)
#: Lengths, in hops, over which the levels before and after are also compared.
_SCALES = (2, 8, 24)
#: The five wide bands of the older measures: borders in rows of the twelve.
_WIDE = (0, 3, 6, 8, 10)
_SCALARS = (
    "novelty", "novelty_rank", "raw_novelty", "rise_db", "least_rise_db", "above_local_peak_db",
    "prominence_db", "least_prominence_db", "drop_db", "flatness_db", "flatness_gain_db",
    "sharpness_db", "above_median_db", "voicing", "voicing_before", "long_drop_db",
    "stronger_before", "stronger_after", "attack_1_ms", "attack_3_ms",
    "crest_db", "high_low_db", "flutter", "over_loudest_db",
)  # fmt: skip
#: What the score is made of, in order.
FEATURES = (
    *_SCALARS,
    *(f"z{n}" for n in range(len(BANDS_HZ))),
    *(f"ordered_z{n}" for n in range(len(BANDS_HZ))),
    *(f"z{n}_{4 * hops}_ms" for hops in _SCALES for n in range(len(BANDS_HZ))),
    *(f"novelty_{4 * hops}_ms" for hops in _SCALES),
    "novelty_against_usual",
    *(f"novelty_{4 * hops}_ms_against_usual" for hops in _SCALES),
    *(f"fine_attack{n}" for n in range(5)),
    *(f"ordered_fine_attack{n}" for n in range(5)),
    *(f"spread{n}" for n in range(len(BANDS_HZ))),
    *(f"level{n}_{k}" for n in range(len(BANDS_HZ)) for k in _STRETCHES[:-1]),
    *(f"over_{100 * q:g}_in_40_s" for q in _QUANTILES),
    *(f"over_{100 * q:g}_in_12_s" for q in _NEAR_QUANTILES),
    "novelty_in_40_s",
    *(f"ordered_z{n}_in_40_s" for n in _RANKS),
)


def _voicing(samples: Floats, starts: NDArray[np.int64]) -> Floats:
    """Largest normalised autocorrelation at pitch lags in the 48 ms from each start.

    Voices and barks ring at a pitch right after their attack; a bang does not.
    """
    import numpy as np
    from scipy.fft import irfft, rfft

    length = 768
    starts = np.clip(starts, 0, max(0, len(samples) - length))
    padded = np.pad(np.asarray(samples, np.float32), (0, max(0, length - len(samples))))
    best = np.empty(len(starts), np.float32)
    triangle = 1 - np.arange(length) / length
    for first in range(0, len(starts), 2048):
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


def _company(values: Floats, hops: NDArray[np.int64]) -> list[Floats]:
    """The strongest rival 0.05 to 0.4 s before and after, less own."""
    import numpy as np

    def around(low_s: float, high_s: float) -> tuple[Any, Any]:
        return (
            np.searchsorted(hops, hops + round(low_s / HOP_S)),
            np.searchsorted(hops, hops + round(high_s / HOP_S), side="right"),
        )

    rows: list[Floats] = []
    for low, high in (around(-0.4, -0.05), around(0.05, 0.4)):
        rows.append(
            np.array(
                [
                    values[a:b].max() - v if b > a else -10.0
                    for v, a, b in zip(values, low, high, strict=True)
                ],
                np.float32,
            )
        )
    return rows


def _over_loudest(level: Floats, hops: NDArray[np.int64]) -> Floats:
    """Level over the loudest other candidate within ±8 s (but ±0.5 s).

    That something comes again in one shape is *not* measured: so do shots.
    """
    import numpy as np

    reach, gap = round(8 / HOP_S), round(0.5 / HOP_S)
    low = np.searchsorted(hops, hops - reach)
    high = np.searchsorted(hops, hops + reach, side="right")
    out = np.full(len(hops), 30.0, np.float32)
    for k, (a, b) in enumerate(zip(low, high, strict=True)):
        far = np.abs(hops[a:b] - hops[k]) > gap
        if far.any():
            out[k] = level[k] - level[a:b][far].max()
    clipped: Floats = np.clip(out, -30, 30)
    return clipped


def _attack(samples: Floats, hops: NDArray[np.int64]) -> list[Floats]:
    """How the waveform itself sets in: gain of the loudest 1 and 3 ms over the 20 ms before, crest.

    The last two: energy above over below 1.2 kHz (by differences of samples), and how the level
    flutters at the rate of a voice's pitch pulses in the 60 ms after.
    """
    import numpy as np

    reach = 1600
    padded = mirror(np.asarray(samples, np.float32), reach, reach)
    centres = hops * HOP + reach
    rows = padded[centres[:, None] + np.arange(-480, 1120)[None]].astype(np.float64)
    rough = np.diff(rows, axis=1, prepend=rows[:, :1]) ** 2
    power = rows**2 + 1e-12
    fine = power.reshape(len(hops), -1, 16).mean(axis=2)  # 1 ms; the candidate is at 30
    cumulated = np.pad(np.cumsum(fine, axis=1), ((0, 0), (1, 0)))
    triple = (cumulated[:, 3:] - cumulated[:, :-3]) / 3
    past = fine[:, 4:22].mean(axis=1)
    attack_1 = 10 * np.log10(fine[:, 22:50].max(axis=1) / past)
    attack_3 = 10 * np.log10(triple[:, 22:50].max(axis=1) / past)
    crest = 10 * np.log10(fine[:, 22:50].max(axis=1) / fine[:, 22:72].mean(axis=1))
    tilt = 10 * np.log10((rough[:, 480:960].sum(axis=1) + 1e-12) / power[:, 480:960].sum(axis=1))
    after = 10 * np.log10(fine[:, 36:100])
    flutter = np.abs(np.diff(after, axis=1)).mean(axis=1)
    return [x.astype(np.float32) for x in (attack_1, attack_3, crest, tilt, flutter)]


def _fine_attack(samples: Floats, hops: NDArray[np.int64]) -> Floats:
    """Rise in five wide bands within 4 ms windows every 1 ms: (n, 5), dB."""
    import numpy as np
    from scipy.fft import rfft

    padded = mirror(np.asarray(samples, np.float32), 800, 800)
    out = np.empty((len(hops), 5), np.float32)
    window = np.hanning(64).astype(np.float32)
    for first in range(0, len(hops), 1024):
        centres = hops[first : first + 1024] * HOP + 800
        rows = padded[centres[:, None] + np.arange(-480, 336)[None]]
        view = np.lib.stride_tricks.sliding_window_view(rows, 64, axis=1)[:, ::16]
        power = np.abs(rfft(view * window, axis=2)) ** 2 + 1e-9
        level = 10 * np.log10(np.add.reduceat(power[..., :31], (0, 2, 4, 8, 16), axis=2))
        out[first : first + 1024] = level[:, 22:].max(axis=1) - level[:, :20].mean(axis=1)
    return np.clip(out, -5, 40)


def _whitened(rises: Floats, reach: int, *, least: float) -> Floats:
    """Rises over what each band's rises usually are, in units of how far they often go.

    The 80th percentile: a volley fills less than a fifth of the time with its rises.
    """
    import numpy as np

    usual, often = rolling_quantiles(rises, reach, (0.5, 0.8))
    scale = np.maximum(1.5 * (often - usual), least)
    whitened: Floats = np.clip((rises - usual) / scale, -2, 8)
    return whitened


def _against_peaks(novelties: Floats, reach: int) -> Floats:
    """Each novelty in units of how its peaks scatter around there: (m, n).

    In steady noise the peaks of chance are all alike and a little more is a lot; in speech they
    are not.
    """
    import numpy as np
    from scipy.ndimage import maximum_filter1d

    peaks = maximum_filter1d(novelties, 13, axis=1, mode="nearest")
    usual, often = rolling_quantiles(peaks, reach, (0.5, 0.8))
    out: Floats = np.arcsinh((novelties - usual) / np.maximum(often - usual, 0.04))
    return out.astype(np.float32)


def _scale_rise(bands: Floats, hops: int) -> Floats:
    """Mean level of the `hops` from each hop on, less that of at least as many before it."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    past = max(hops, 10)
    after = uniform_filter1d(bands, hops, axis=-1, mode="nearest")
    after = np.pad(after[:, hops // 2 :], ((0, 0), (0, hops // 2)), mode="edge")
    mean, _ = before(bands, past, 2)
    rises: Floats = after - mean
    return rises


def _wide(bands: Floats) -> Floats:
    import numpy as np

    power = 10 ** (bands / 10)
    return (10 * np.log10(np.add.reduceat(power, _WIDE, axis=0))).astype(np.float32)


def candidate_features(samples: Floats, levels: Levels) -> tuple[NDArray[np.int64], Floats]:
    """Hops where the sound rises at once in several bands, and their `FEATURES` (n, m).

    Parameters
    ----------
    samples
        Mono, at `forensics.events_levels.RATE_HZ`.
    levels
        Its `measure_levels`.

    Returns
    -------
    hops, features
        Local maxima of the whitened rise that clear a low bar; the score decides later.
    """
    import numpy as np
    from scipy.ndimage import maximum_filter1d

    bands = levels.bands
    reach = round(_AROUND_S / HOP_S)
    now = ahead(bands, 4)
    near_mean, _ = before(bands, 10, 2)
    mean, _ = before(bands, 50, 2)
    rises = np.clip(now - np.maximum(near_mean, mean), -5, 35)
    middle, loud = rolling_quantiles(bands, reach, (0.5, 0.95))
    z = _whitened(rises, reach, least=0.5)
    novelty = z.mean(axis=0)
    tops = (novelty == maximum_filter1d(novelty, 13, mode="nearest")) & (novelty > 0.7)
    chosen = np.flatnonzero(tops)
    if not len(chosen):
        return chosen, np.zeros((0, len(FEATURES)), np.float32)
    scalars = [novelty[chosen], _rank(novelty[chosen], chosen)]
    scalars += _old_measures(samples, levels, chosen, reach)
    scalars += _company(novelty[chosen], chosen)
    scalars += _attack(samples, chosen)
    spread = (loud - middle)[:, chosen]
    pad = -_STRETCHES[0]
    floor = mirror(bands, pad, _STRETCHES[-1])
    sums = np.pad(np.cumsum(floor, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    at = chosen + pad
    patch = np.stack(
        [
            (sums[:, at + b] - sums[:, at + a]) / (b - a) - middle[:, chosen]
            for a, b in itertools.pairwise(_STRETCHES)
        ],
        axis=1,
    )
    total = 10 * np.log10((10 ** (now[:, chosen] / 10)).sum(axis=0))
    scalars.append(_over_loudest(total, chosen))
    here = z[:, chosen]
    whitened = [_whitened(_scale_rise(bands, n), reach, least=0.25) for n in _SCALES]
    scaled = [rows[:, chosen] for rows in whitened]
    against = _against_peaks(np.stack([novelty, *(w.mean(axis=0) for w in whitened)]), reach)
    fine = _fine_attack(samples, chosen)
    table = np.concatenate(
        [
            np.stack(scalars, axis=1), here.T, np.sort(here, axis=0).T,
            *(rows.T for rows in scaled), *(rows.mean(axis=0)[:, None] for rows in scaled),
            against[:, chosen].T, fine, np.sort(fine, axis=1), spread.T,
            np.clip(patch, -20, 40).reshape(-1, len(chosen)).T,
            _against_the_stretch(bands, rises, chosen, reach),
        ],
        axis=1,
    )  # fmt: skip
    return chosen, table.astype(np.float32)


def _against_the_stretch(
    bands: Floats, rises: Floats, chosen: NDArray[np.int64], reach: int
) -> Floats:
    """The level over quantiles of the level of 40 and 12 s; the rises whitened by those of 40 s."""
    import numpy as np

    far = round(REACH_S / HOP_S)
    total = (10 * np.log10((10 ** (bands / 10)).sum(axis=0)))[None].astype(np.float32)
    now = ahead(total, 4)[0]
    rows = [now - q[0] for q in rolling_quantiles(total, far, _QUANTILES)]
    rows += [now - q[0] for q in rolling_quantiles(total, reach, _NEAR_QUANTILES)]
    z = _whitened(rises, far, least=0.5)
    table = [row[chosen] for row in (*rows, z.mean(axis=0))]
    table += list(np.sort(z[:, chosen], axis=0)[list(_RANKS)])
    return np.stack(table, axis=1).astype(np.float32)


def _old_measures(
    samples: Floats, levels: Levels, chosen: NDArray[np.int64], reach: int
) -> list[Floats]:
    """Rise, prominence, drop and the like in five wide bands."""
    import numpy as np

    bands = _wide(levels.bands)
    now = ahead(bands, 4)
    mean, peak = before(bands, 50, 2)
    rises = np.clip(now - mean, -5, 35)[:, chosen]
    over_peak = np.clip(now - peak, -15, 25)[:, chosen]
    median, loud = rolling_quantiles(bands, reach, (0.5, 0.95))
    prominent = np.clip(now - loud, -20, 30)[:, chosen]
    ordered = np.sort(rises, axis=0)
    raw = ordered[2:].mean(axis=0) + 0.5 * np.sort(over_peak, axis=0)[2:].mean(axis=0)
    now = now[:, chosen]
    last = levels.count - 1
    after = bands[:, np.minimum(chosen[:, None] + np.arange(20, 55), last)].mean(axis=2)
    much_later = bands[:, np.minimum(chosen[:, None] + np.arange(60, 140, 4), last)].mean(axis=2)
    flat = levels.flatness[np.minimum(chosen[:, None] + np.arange(4), last)].mean(axis=1)
    flat_before = levels.flatness[np.maximum(chosen[:, None] - np.arange(6, 30), 0)].mean(axis=1)
    sharp = np.clip(now - bands[:, np.maximum(chosen - 3, 0)], -5, 40).mean(axis=0)
    starts = chosen * HOP
    return [
        raw, rises.mean(axis=0), ordered[1], over_peak.mean(axis=0), prominent.mean(axis=0),
        np.sort(prominent, axis=0)[2], np.clip(now - after, -10, 40).mean(axis=0), flat,
        flat - flat_before, sharp, np.clip((now - median[:, chosen]).mean(axis=0), 0, 50),
        _voicing(samples, starts + 192), _voicing(samples, starts - 768 - 128),
        np.clip(now - much_later, -10, 40).mean(axis=0),
    ]  # fmt: skip
