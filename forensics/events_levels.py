"""Band levels of sound, and how they run: what impulses are looked for in.

Pure functions of arrays. Levels are dB re full scale (a full-scale sine is -3 dBFS in energy),
hops are 4 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "BANDS_HZ",
    "HOP",
    "HOP_S",
    "RATE_HZ",
    "Levels",
    "ahead",
    "before",
    "measure_levels",
    "mirror",
    "rolling_quantiles",
]

#: All impulse work is done at this rate, mono: the recordings of phones rarely hold more.
RATE_HZ = 16000
HOP = 64
HOP_S = HOP / RATE_HZ
_WINDOW = 256
#: First and last bin of each band; a bin is 62.5 Hz.
_BINS = (
    (1, 2), (3, 4), (5, 6), (7, 9), (10, 13), (14, 18), (19, 25), (26, 34), (35, 46), (47, 62),
    (63, 84), (85, 122),
)  # fmt: skip
BANDS_HZ = tuple(((a - 0.5) * 62.5, (b + 0.5) * 62.5) for a, b in _BINS)
_FLOOR_DB = -110.0


@dataclass(frozen=True)
class Levels:
    """Band levels of a stretch of sound: `bands` (12, n) and `flatness` (n,) in dB, one a hop."""

    bands: Floats
    flatness: Floats
    empty: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Hops."""
        return int(self.bands.shape[1])


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
    count = max(0, 1 + (len(padded) - _WINDOW) // HOP)
    view = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::HOP][:count]
    window = np.hanning(_WINDOW).astype(np.float32)
    bands = np.empty((len(_BINS), count), np.float32)
    flat = np.empty(count, np.float32)
    scale = 2 / float((window**2).sum()) / _WINDOW
    edges = np.array([a for a, _ in _BINS] + [_BINS[-1][1] + 1])
    for first in range(0, count, 8192):
        part = slice(first, min(first + 8192, count))
        power = np.abs(rfft(view[part] * window, axis=1)) ** 2 * scale + 1e-13
        sums = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
        bands[:, part] = 10 * np.log10(sums).T
        middle = power[:, 5:112]
        flat[part] = 10 * (np.log10(middle).mean(axis=1) - np.log10(middle.mean(axis=1)))
    np.maximum(bands, _FLOOR_DB, out=bands)
    return Levels(bands, flat, np.all(bands <= _FLOOR_DB + 1, axis=0))


def rolling_quantiles(values: Floats, hops: int, quantiles: tuple[float, ...]) -> Floats:
    """Quantiles of rows (m, n) over ``±hops`` around each hop: (len(quantiles), m, n).

    A quantile over seconds changes slowly: it is taken on overlapping blocks of every second hop,
    and interpolated.
    """
    import numpy as np

    rows, count = values.shape
    step = max(1, hops // 4)
    centres = np.minimum(np.arange(0, count + step, step), count - 1)
    table = np.stack(
        [
            np.quantile(values[:, max(0, c - hops) : c + hops + 1 : 2], quantiles, axis=1)
            for c in centres
        ],
        axis=-1,
    )
    at = np.minimum(np.arange(count) / step, len(centres) - 1)
    left = np.minimum(at.astype(int), max(0, len(centres) - 2))
    part = (at - left).astype(np.float32)
    right = np.minimum(left + 1, len(centres) - 1)
    table = table.astype(np.float32)
    out: Floats = table[..., left] * (1 - part) + table[..., right] * part
    return out.reshape(len(quantiles), rows, count)


def mirror(values: Floats, left: int, right: int) -> Floats:
    """Values continued at both ends by their mirror image: that a file begins is no impulse."""
    import numpy as np

    mode = "reflect" if values.shape[-1] > max(left, right) else "edge"
    widths = [(0, 0)] * (values.ndim - 1) + [(left, right)]
    longer: Floats = np.pad(values, widths, mode=mode)  # type: ignore[call-overload]
    return longer


def ahead(values: Floats, hops: int) -> Floats:
    """Largest value from each hop to `hops - 1` later, along the last axis."""
    from scipy.ndimage import maximum_filter1d

    found: Floats = maximum_filter1d(values, hops, axis=-1, origin=-(hops // 2), mode="nearest")
    return found


def before(values: Floats, hops: int, gap: int) -> tuple[Floats, Floats]:
    """Mean and largest value of the `hops` hops that end `gap` hops before each hop."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    shift = gap + hops // 2
    edge = mirror(values, shift, 0)[:, : values.shape[1]]
    mean: Floats = uniform_filter1d(edge, hops, axis=-1, mode="mirror")
    peak: Floats = maximum_filter1d(edge, hops, axis=-1, mode="mirror")
    return mean, peak
