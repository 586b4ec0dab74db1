"""Candidates: at which lags do two clips sound alike? All pairs as batched matrix products.

For every modulation frequency one complex product (clips x coefficients) times (coefficients x
clips) gives the cross-spectra of all pairs at once; an inverse FFT per pair gives the correlation
at every lag. It is divided by the square root of the overlap at that lag and expressed in robust
standard deviations, so that a lag with little overlap is not favoured; the best lags are then
weighed by the loudness that really overlaps there, so that two loud ends are not either.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.audio_features import FRAME_S
from forensics.scan_order import middle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Match", "find_likely", "match_all", "match_pair", "trials"]

#: Seconds that two clips must share, or this part of the shorter one.
MIN_OVERLAP_S, MIN_SHARE = 4.5, 0.6
#: Two peaks closer than this are one.
_APART_S = 0.4
_BLOCK_BYTES = 192 * 2**20
#: Rows averaged to one where only likely pairs are looked for.
_POOLED = 8


@dataclass(frozen=True)
class Match:
    """The best lags of a pair: `lags_s[k]` is when sample 0 of the second is heard in the first.

    `scores` in robust standard deviations over all lags, best first; `trials` is the number of
    lags searched, in seconds (lags closer than that are not independent).
    """

    lags_s: tuple[float, ...]
    scores: tuple[float, ...]
    trials: float
    overlap_s: float


def least_overlap(first: int, second: int, frame_s: float = FRAME_S) -> int:
    """Frames of overlap below which a lag is not considered."""
    return max(1, int(min(MIN_OVERLAP_S / frame_s, MIN_SHARE * min(first, second))))


def trials(first: int, second: int, frame_s: float = FRAME_S) -> float:
    """Seconds of lag searched for clips of so many frames."""
    return (first + second - 2 * least_overlap(first, second, frame_s) + 1) * frame_s


@functools.lru_cache(maxsize=512)
def _weights(first: int, second: int, frame_s: float) -> NDArray[np.float32]:
    """1 / sqrt(overlap) for each lag from the least to the greatest considered."""
    import numpy as np

    least = least_overlap(first, second, frame_s)
    lag = np.arange(least - second, first - least + 1)
    overlap = np.minimum(first, lag + second) - np.maximum(lag, 0)
    weights: NDArray[np.float32] = (1 / np.sqrt(overlap)).astype(np.float32)
    return weights


def _peaks(
    row: NDArray[np.float32], first: int, second: int, keep: int, frame_s: float
) -> Match:
    import numpy as np

    least = least_overlap(first, second, frame_s)
    low = least - second
    size = len(row)
    scores = np.concatenate([row[low % size :], row[: first - least + 1]]) if low < 0 else (
        row[low : first - least + 1]
    )
    scores = scores * _weights(first, second, frame_s)
    some = scores[:: max(1, len(scores) // 2000)]
    centre = float(middle(some))
    spread = float(middle(np.abs(some - np.float32(centre)))) * 1.4826 or 1.0
    apart = int(_APART_S / frame_s)
    lags, heights = [], []
    work = scores
    for number in range(keep):
        at = int(np.argmax(work))
        height = float(work[at])
        if height == -np.inf:
            break
        shift = 0.0
        if 0 < at < len(scores) - 1:
            left, right = float(scores[at - 1]), float(scores[at + 1])
            bend = left - 2 * height + right
            shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
        lags.append((low + at + max(-0.5, min(0.5, shift))) * frame_s)
        heights.append((height - centre) / spread)
        if number + 1 < keep:
            if work is scores:
                work = scores.copy()
            work[max(0, at - apart) : at + apart + 1] = -np.inf
    best = low + int(np.argmax(scores))
    overlap = min(first, best + second) - max(best, 0)
    return Match(
        tuple(lags), tuple(heights), trials(first, second, frame_s), overlap * frame_s
    )


def _weigh(
    match: Match, one: NDArray[np.float32], two: NDArray[np.float32], usual: float,
    frame_s: float,
) -> Match:  # fmt: skip
    """Scores for the energies that overlap at each lag, best first; `one`, `two` (frames,).

    `usual` is the product of their means.
    """
    import numpy as np

    rows = []
    for lag_s, score in zip(match.lags_s, match.scores, strict=True):
        lag = round(lag_s / frame_s)
        low, high = max(0, -lag), min(len(two), len(one) - lag)
        shared = float(np.dot(one[low + lag : high + lag], two[low:high]))
        weight = (high - low) * usual / shared if shared > 0 else 0.0
        rows.append((score * weight**0.5, lag_s, (high - low) * frame_s))
    rows.sort(key=lambda row: -row[0])
    return Match(
        tuple(r[1] for r in rows), tuple(r[0] for r in rows), match.trials,
        rows[0][2] if rows else match.overlap_s,
    )  # fmt: skip


def match_pair(
    first: NDArray[np.float16], second: NDArray[np.float16], *, keep: int = 4
) -> Match:
    """The best `keep` lags of one pair of feature arrays (frames, coefficients)."""
    return next(iter(match_all([first, second], pairs=[(0, 1)], keep=keep)))[2]


def match_all(
    features: Sequence[NDArray[np.float16]], *, pairs: Sequence[tuple[int, int]] | None = None,
    keep: int = 4, frame_s: float = FRAME_S,
) -> Iterator[tuple[int, int, Match]]:  # fmt: skip
    """Yield (i, j, match) with i < j for all pairs, or for `pairs` only.

    Memory is bounded by blocks of clips of similar length, whatever their number. `frame_s` is
    the time from one row of features to the next.
    """
    import numpy as np

    wanted = None if pairs is None else {(min(p), max(p)) for p in pairs}
    energy = [np.square(rows, dtype=np.float32).sum(axis=1) for rows in features]
    mean = [float(rows.mean()) if len(rows) else 0.0 for rows in energy]
    order = sorted(range(len(features)), key=lambda i: len(features[i]))
    if wanted is not None:
        order = _beside_partners(order, [len(rows) for rows in features], wanted)
    blocks = _blocks([len(features[i]) for i in order], features[0].shape[1] if features else 1)
    groups = [[order[k] for k in block] for block in blocks]
    for one, group in enumerate(groups):
        kept: dict[int, NDArray[np.complex64]] = {}
        for other in groups[one:]:
            todo = {
                (min(i, j), max(i, j)) for i in group for j in other
                if i != j and (wanted is None or (min(i, j), max(i, j)) in wanted)
            }  # fmt: skip
            if not todo:
                continue
            left, right = group, other
            if len(todo) < 0.1 * len(group) * len(other):
                # Few of a block are wanted: only their clips are transformed.
                used = {k for pair in todo for k in pair}
                left = [k for k in group if k in used]
                right = left if other is group else [k for k in other if k in used]
            spectra = kept if left is group else {}
            block = _match_block(features, left, right, todo, keep, spectra, frame_s)
            for i, j, match in block:
                yield i, j, _weigh(match, energy[i], energy[j], mean[i] * mean[j], frame_s)


def _beside_partners(
    order: list[int], lengths: Sequence[int], wanted: set[tuple[int, int]]
) -> list[int]:
    """`order` with clips that are to be compared brought together among those of like length.

    Then few blocks hold the wanted pairs, and few clips are transformed for more than one.
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    ends = np.asarray(sorted(wanted), np.int32).reshape(-1, 2)
    count = len(lengths)
    links = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), (count, count))
    near = reverse_cuthill_mckee((links + links.T).tocsr(), symmetric_mode=True)
    place = np.empty(count, np.int64)
    place[near] = np.arange(count)
    return sorted(order, key=lambda i: (lengths[i].bit_length(), int(place[i])))


def find_likely(
    features: Sequence[NDArray[np.float16]], *, least_score: float = 5.5,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> Iterator[tuple[int, int, float]]:  # fmt: skip
    """Yield (i, j, score) of the pairs worth a full comparison, of many clips.

    The rows are averaged to 128 ms: what two telephones agree on changes slower than 3 Hz, so the
    scores of true pairs stay as they are (tuning half: 98 of 100 above the best 5 % of strangers,
    99 in full), at an eighth of the cost. `least_score` is far below what joins a pair among so
    many.
    """
    import numpy as np

    pooled = []
    for rows in features:
        even = len(rows) // _POOLED * _POOLED
        parts = np.asarray(rows[:even], np.float32).reshape(-1, _POOLED, rows.shape[1])
        pooled.append(parts.mean(axis=1).astype(np.float16))
    for i, j, match in match_all(pooled, pairs=pairs, keep=1, frame_s=FRAME_S * _POOLED):
        if match.scores[0] >= least_score:
            yield i, j, match.scores[0]


def _blocks(lengths: Sequence[int], width: int) -> list[list[int]]:
    blocks: list[list[int]] = []
    least = most = 0
    for number, length in enumerate(lengths):
        least, most = min(least, length), max(most, length)
        if blocks:
            size = len(blocks[-1]) + 1
            products = size * size * most * 2 * 12
            spectra = size * width * most * 2 * 12
            if max(products, spectra) <= _BLOCK_BYTES and most <= 2 * least:
                blocks[-1].append(number)
                continue
        blocks.append([number])
        least = most = length
    return blocks


def _spectra(
    features: Sequence[NDArray[np.float16]], group: Sequence[int], size: int
) -> NDArray[np.complex64]:
    """(frequencies, clips, coefficients), ready for one product per frequency."""
    import numpy as np
    from scipy import fft

    width = features[group[0]].shape[1]
    out = np.empty((size // 2 + 1, len(group), width), np.complex64)
    for place, index in enumerate(group):
        out[:, place] = fft.rfft(features[index].astype(np.float32), size, axis=0)
    return out


def _match_block(
    features: Sequence[NDArray[np.float16]], group: Sequence[int], other: Sequence[int],
    todo: set[tuple[int, int]], keep: int, kept: dict[int, NDArray[np.complex64]],
    frame_s: float,
) -> Iterator[tuple[int, int, Match]]:  # fmt: skip
    import numpy as np
    from scipy import fft

    longest = max(len(features[i]) for i in group) + max(len(features[j]) for j in other)
    size = fft.next_fast_len(longest, real=True)
    if size not in kept:
        kept.clear()
        kept[size] = _spectra(features, group, size)
    left = kept[size]
    right = left.copy() if other is group else _spectra(features, other, size)
    np.conjugate(right, out=right)
    crossed = left @ right.transpose(0, 2, 1)
    del left, right
    for a, i in enumerate(group):
        columns = [b for b, j in enumerate(other) if (min(i, j), max(i, j)) in todo]
        if other is group:
            columns = [b for b in columns if b > a]
        if not columns:
            continue
        rows = fft.irfft(np.ascontiguousarray(crossed[:, a, columns].T), size, axis=1)
        for row, b in zip(rows, columns, strict=True):
            j = other[b]
            if i < j:
                yield i, j, _peaks(row, len(features[i]), len(features[j]), keep, frame_s)
            else:
                # The correlation of (j, i) is that of (i, j) read backwards: exactly symmetric.
                turned = np.concatenate([row[:1], row[:0:-1]])
                yield j, i, _peaks(turned, len(features[j]), len(features[i]), keep, frame_s)
