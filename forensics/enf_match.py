"""Two tracks of the mains frequency: the best lag, and how often chance would do as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["MatchResult", "match_tracks"]

_SMOOTH_S = 5


@dataclass(frozen=True)
class MatchResult:
    """Best lag (s, of the track's start on the reference), its score, and chance's share of it."""

    lag_s: float
    correlation: float
    rms_hz: float
    false_match: float
    false_match_high: float
    rivals_s: tuple[float, ...]
    spread_s: float


def _curve(track: Floats, reference: Floats) -> Floats:
    """Normalised correlation (rows, lags) of tracks (rows, n) at every lag within the reference."""
    import numpy as np
    from scipy.fft import irfft, rfft

    count, total = track.shape[1], len(reference)
    size = 1 << (total + count - 1).bit_length()
    centred = track - track.mean(axis=1, keepdims=True)
    lags = total - count + 1
    product = irfft(
        np.conj(rfft(centred, size, axis=1)) * rfft(reference - reference.mean(), size), axis=1
    )[:, :lags]
    sums = np.cumsum(np.pad(reference.astype(np.float64) - reference.mean(), (1, 0)))
    squares = np.cumsum(np.pad((reference.astype(np.float64) - reference.mean()) ** 2, (1, 0)))
    mean = (sums[count:] - sums[:-count])[:lags] / count
    variance = (squares[count:] - squares[:-count])[:lags] / count - mean**2
    norm = np.sqrt(np.maximum(variance, 1e-12)) * np.sqrt((centred**2).mean(axis=1))[:, None]
    found: Floats = (product / count / (norm + 1e-12)).astype(np.float32)
    return found


def match_tracks(
    track: tuple[Floats, NDArray[np.bool_]], reference: tuple[Floats, NDArray[np.bool_]], *,
    surrogates: int = 2000, seed: int = 1,
) -> MatchResult:  # fmt: skip
    """Slide a track of mains frequency, a value a second, along a longer reference.

    Parameters
    ----------
    track, reference
        (frequency in Hz, mask of seconds that could be followed), each (n,).
    surrogates
        Tracks of the same spectrum and random phases that the best score is held against.
    seed
        Of their phases.

    Returns
    -------
    MatchResult
        `false_match` is (1 + surrogates at least as good) / (1 + surrogates): never zero.
    """
    import numpy as np
    from scipy.ndimage import uniform_filter1d
    from scipy.stats import beta

    def prepared(values: Floats, seen: NDArray[np.bool_]) -> Floats:
        at = np.arange(len(values))
        filled = np.interp(at, at[seen], values[seen]) if seen.any() else values
        smooth: Floats = uniform_filter1d(filled, _SMOOTH_S, mode="nearest").astype(np.float32)
        return smooth

    mine, other = prepared(*track), prepared(*reference)
    if len(mine) > len(other):
        mine = mine[: len(other)]
    curve = _curve(mine[None], other)[0]
    best = int(np.argmax(curve))
    piece = other[best : best + len(mine)]
    difference = (mine - mine.mean()) - (piece - piece.mean())
    rng = np.random.default_rng(seed)
    spectrum = np.abs(np.fft.rfft(mine - mine.mean()))
    scores = np.empty(surrogates, np.float32)
    for first in range(0, surrogates, 250):
        rows = min(250, surrogates - first)
        turn = np.exp(2j * np.pi * rng.random((rows, len(spectrum))))
        made = np.fft.irfft(spectrum * turn, len(mine), axis=1).astype(np.float32)
        scores[first : first + rows] = _curve(made, other).max(axis=1)
    as_good = int((scores >= curve[best]).sum())
    high = float(beta.ppf(0.975, as_good + 1, surrogates - as_good)) if surrogates else 1.0
    rest = curve.copy()
    rest[max(0, best - 15) : best + 16] = -1
    order = [int(k) for k in np.argsort(-rest)[:50] if rest[k] > curve[best] - 0.05]
    rivals: list[float] = []
    for k in order:
        if all(abs(k - r) > 15 for r in rivals):
            rivals.append(float(k))
    bend = 2 * curve[best] - curve[max(0, best - 1)] - curve[min(len(curve) - 1, best + 1)]
    noise = float(np.sqrt(max(1e-6, 1 - float(curve[best]) ** 2) / max(10, len(mine) / 10)))
    spread = 1.0 + 2 * noise / max(float(bend), 1e-3) ** 0.5
    return MatchResult(
        float(best), float(curve[best]), float(np.sqrt((difference**2).mean())),
        (1 + as_good) / (1 + surrogates), high, tuple(rivals[:5]), float(min(spread, 30.0)),
    )  # fmt: skip
