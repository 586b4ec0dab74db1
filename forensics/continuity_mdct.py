"""The transforms of sound codecs, done again at any sample: AAC, Vorbis and MP3.

A frame analysed exactly where a coder analysed it gives the coder's own coefficients back, many of
them the zeros it had quantised them to; one sample off, it does not. `measure_collapse` is the mean
log magnitude: low where coefficients vanish. Pure functions of arrays.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

__all__ = ["KINDS", "controls_of", "hop_of", "length_of", "measure_collapse"]

#: Window shapes of the 2,048-sample transform (AAC: "kbd", "sine"), and MP3's filter bank.
KINDS = ("kbd", "sine", "mp3")
_HALF = 512
_LOWEST_BIN = 16
#: Rounding to 16 bits leaves about this much in each orthonormal coefficient.
_EPSILON = 2e-5
#: Rows at a time: what still fits the processor's cache is twice as fast.
_ROWS = 128
#: The first half of the prototype low-pass of MPEG-1 audio (ISO/IEC 11172-3, table 3-B.3), in
#: 65,536ths, with the alternating signs of its 64-sample blocks taken out; it is symmetric.
_PROTOTYPE = """
0 -1 -1 -1 -1 -1 -1 -2 -2 -2 -2 -3 -3 -4 -4 -5 -5 -6 -7 -7 -8 -9 -10 -11 -13 -14 -16 -17 -19 -21
-24 -26 -29 -31 -35 -38 -41 -45 -49 -53 -58 -63 -68 -73 -79 -85 -91 -97 -104 -111 -117 -125 -132
-139 -147 -154 -161 -169 -176 -183 -190 -196 -202 -208 -213 -218 -222 -225 -227 -228 -228 -227
-224 -221 -215 -208 -200 -189 -177 -163 -146 -127 -106 -83 -57 -29 2 36 72 111 153 197 244 294
347 401 459 519 581 645 711 779 848 919 991 1064 1137 1210 1283 1356 1428 1498 1567 1634 1698
1759 1817 1870 1919 1962 2001 2032 2057 2075 2085 2087 2080 2063 2037 2000 1952 1893 1822 1739
1644 1535 1414 1280 1131 970 794 605 402 185 -45 -288 -545 -814 -1095 -1388 -1692 -2006 -2330
-2663 -3004 -3351 -3705 -4063 -4425 -4788 -5153 -5517 -5879 -6237 -6589 -6935 -7271 -7597 -7910
-8209 -8491 -8755 -8998 -9219 -9416 -9585 -9727 -9838 -9916 -9959 -9966 -9935 -9863 -9750 -9592
-9389 -9139 -8840 -8492 -8092 -7640 -7134 -6574 -5959 -5288 -4561 -3776 -2935 -2037 -1082 -70 998
2122 3300 4533 5818 7154 8540 9975 11455 12980 14548 16155 17799 19478 21189 22929 24694 26482
28289 30112 31947 33791 35640 37489 39336 41176 43006 44821 46617 48390 50137 51853 53534 55178
56778 58333 59838 61289 62684 64019 65290 66494 67629 68692 69679 70590 71420 72169 72835 73415
73908 74313 74630 74856 74992 75038
"""
#: Alias reduction between neighbouring subbands (ISO/IEC 11172-3, table 3-B.9).
_ALIAS = (-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037)


def hop_of(kind: str) -> int:
    """New samples a frame: what a grid is counted modulo."""
    return 576 if kind == "mp3" else 1024


def length_of(kind: str) -> int:
    """Samples one analysis reads."""
    return 35 * 32 + 512 if kind == "mp3" else 2048


def controls_of(kind: str) -> tuple[int, ...]:
    """Offsets beside the grid at which nothing collapses, near enough to sound alike."""
    if kind == "mp3":  # whole steps of the filter bank, so that its outputs serve all of them
        return tuple(32 * d for d in range(-8, 9) if d)
    return tuple(d for d in range(-17, 18) if abs(d) > 1)


@functools.cache
def _window(kind: str) -> Floats:
    import numpy as np

    at = (np.arange(4 * _HALF) + 0.5) * np.pi / (4 * _HALF)
    if kind == "sine":
        sine: Floats = np.sin(at).astype(np.float32)
        return sine
    if kind == "vorbis":
        vorbis: Floats = np.sin(np.pi / 2 * np.sin(at) ** 2).astype(np.float32)
        return vorbis
    sums = np.cumsum(np.kaiser(2 * _HALF + 1, np.pi * 4))
    half = np.sqrt(sums[:-1] / sums[-1])
    return np.concatenate([half, half[::-1]]).astype(np.float32)


def _mean_log(coefficients: Floats) -> Floats:
    """Mean of log(|c| + epsilon) along each row; the coefficients are overwritten.

    Four are multiplied before one logarithm is taken: of the four, none under- or overflows.
    """
    import numpy as np

    np.abs(coefficients, out=coefficients)
    coefficients += np.float32(_EPSILON)
    quarter = coefficients.shape[1] // 4
    product = coefficients[:, :quarter] * coefficients[:, quarter : 2 * quarter]
    product *= coefficients[:, 2 * quarter : 3 * quarter]
    product *= coefficients[:, 3 * quarter :]
    np.log(product, out=product)
    means: Floats = product.mean(axis=1) / np.float32(4)
    return means


def _rows(view: Floats, starts: Ints, kind: str) -> Floats:
    """Mean log magnitude of the 2,048-sample MDCT from each start."""
    import numpy as np
    from scipy.fft import dct

    out = np.empty(len(starts), np.float32)
    window, h = _window(kind), _HALF
    folded = np.empty((_ROWS, 2 * h), np.float32)
    windowed = np.empty((_ROWS, 4 * h), np.float32)
    for first in range(0, len(starts), _ROWS):
        part = starts[first : first + _ROWS]
        rows = windowed[: len(part)]
        runs = [0, *(np.flatnonzero(np.diff(part) != 1) + 1).tolist(), len(part)]
        if len(runs) <= len(part) // 6:  # mostly one after the other: nothing to gather
            for low, high in itertools.pairwise(runs):
                at = int(part[low])
                np.multiply(view[at : at + high - low], window, out=rows[low:high])
        else:
            np.multiply(view[part], window, out=rows)
        fold = folded[: len(rows)]
        np.add(rows[:, 3 * h - 1 : 2 * h - 1 : -1], rows[:, 3 * h :], out=fold[:, :h])
        np.negative(fold[:, :h], out=fold[:, :h])
        np.subtract(rows[:, :h], rows[:, 2 * h - 1 : h - 1 : -1], out=fold[:, h:])
        spectrum = dct(fold, type=4, axis=1, norm="ortho", overwrite_x=True)[:, _LOWEST_BIN:]
        out[first : first + _ROWS] = _mean_log(spectrum)
    return out


@functools.cache
def _bank() -> tuple[Floats, Floats, Floats]:
    """(polyphase (512, 32), MDCT of even subbands (36, 18), of odd ones), orthonormal columns."""
    import numpy as np

    half = np.array(_PROTOTYPE.split(), np.float64)
    prototype = np.concatenate([half, half[-2:0:-1]])
    n, k = np.arange(512), np.arange(32)
    bank = prototype[:, None] * np.cos((2 * k + 1) * (n[:, None] - 16) * np.pi / 64)
    bank = bank[::-1] / np.linalg.norm(bank, axis=0)
    t, i = np.arange(36), np.arange(18)
    even = np.sin(np.pi / 36 * (t + 0.5))[:, None] * np.cos(
        np.pi / 72 * (2 * t[:, None] + 19) * (2 * i + 1)
    )
    even /= np.linalg.norm(even, axis=0)
    odd = even * (-1.0) ** t[:, None]
    return bank.astype(np.float32), even.astype(np.float32), odd.astype(np.float32)


def _granules(subbands: Floats) -> Floats:
    """Mean log magnitude of MP3's coefficients from subband samples (n, 36, 32)."""
    import numpy as np

    _, even, odd = _bank()
    found = np.empty((len(subbands), 32, 18), np.float32)
    found[:, 0::2] = subbands[:, :, 0::2].transpose(0, 2, 1) @ even
    found[:, 1::2] = subbands[:, :, 1::2].transpose(0, 2, 1) @ odd
    c = np.array(_ALIAS, np.float32)
    cs, ca = 1 / np.sqrt(1 + c**2), c / np.sqrt(1 + c**2)
    up, down = found[:, :-1, :9:-1].copy(), found[:, 1:, :8].copy()
    found[:, :-1, :9:-1] = up * cs + down * ca
    found[:, 1:, :8] = down * cs - up * ca
    return _mean_log(found.reshape(len(found), 576)[:, _LOWEST_BIN // 2 :])


def _subbands(samples: Floats, start: int, offsets: Ints) -> Floats:
    """Subband samples (n, 36, 32) of the filter bank for a granule at each offset."""
    import numpy as np

    bank = _bank()[0]
    view = np.lib.stride_tricks.sliding_window_view(samples, 512)
    out = np.empty((len(offsets), 36, 32), np.float32)
    phases = offsets % 32
    step = np.arange(36)
    for phase in np.unique(phases):
        own = np.flatnonzero(phases == phase)
        low = int(offsets[own].min())
        rows = (offsets[own] - low) // 32
        bands = view[start + low : start + low + 32 * (int(rows.max()) + 35) + 1 : 32] @ bank
        out[own] = bands[rows[:, None] + step]
    return out


def _mp3(samples: Floats, starts: Ints, offsets: Ints) -> Floats:
    """Mean log magnitude of MP3's coefficients, (starts, offsets)."""
    import numpy as np

    found = np.empty((len(starts), len(offsets)), np.float32)
    # Many small frames at a time, or a part of one large: calls cost more than sums.
    together = max(1, 2 * _ROWS // len(offsets))
    for first in range(0, len(starts), together):
        part = starts[first : first + together]
        rows = np.concatenate([_subbands(samples, int(start), offsets) for start in part])
        means = [_granules(rows[k : k + 2 * _ROWS]) for k in range(0, len(rows), 2 * _ROWS)]
        found[first : first + together] = np.concatenate(means).reshape(len(part), -1)
    return found


def measure_collapse(samples: Floats, starts: Ints, offsets: Ints, kind: str) -> Floats:
    """Mean log magnitude of the coefficients at each start and offset.

    Parameters
    ----------
    samples
        Mono.
    starts, offsets
        Positions (n,) of frames, and what is added to each (m,), in samples.
    kind
        One of `KINDS`, or "vorbis".

    Returns
    -------
    (k, m) array: the starts whose every offset lies within `samples`, in order.
    """
    import numpy as np

    starts, offsets = np.asarray(starts, np.int64), np.asarray(offsets, np.int64)
    last = starts + offsets.max() + length_of(kind)
    fits = (starts + offsets.min() >= 0) & (last <= len(samples))
    starts = starts[fits]
    if not len(starts):
        return np.zeros((0, len(offsets)), np.float32)
    samples = np.ascontiguousarray(samples, np.float32)
    if kind == "mp3":
        return _mp3(samples, starts, offsets)
    view = np.lib.stride_tricks.sliding_window_view(samples, 4 * _HALF)
    flat = _rows(view, (starts[:, None] + offsets[None]).ravel(), kind)
    found: Floats = flat.reshape(len(starts), len(offsets))
    return found
