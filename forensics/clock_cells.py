"""Learn a clock's digits from the clip itself: the cell that changes once a second teaches them.

Pure functions of arrays. `crops` are (n, h, w) uint8 luma of the clock's box, `times` (n,) seconds.
The units digit of the seconds runs through all ten figures every ten seconds, in order, so its
ten appearances can be learned without knowing the font; one carry into the tens says which is 0.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]

__all__ = [
    "Cell", "Segments", "Tick", "find_ticks", "follow_digit", "learn_digits", "likeness",
    "regularity", "segment_means",
]  # fmt: skip

#: How many standard deviations of similarity a wrong digit costs; found on the tuning half.
_SHARPNESS = 18.0
_STEP_COST = 2.0
_LEAP_COST = 7.0


@dataclass(frozen=True)
class Tick:
    """Something that changes once a period: where (columns x rows), when, and how clearly."""

    period_s: float
    phase_s: float
    clarity: float
    left: int
    right: int
    top: int
    bottom: int
    first: int
    last: int


@dataclass(frozen=True)
class Cell:
    """The units digit: its place in the crop and ten appearances, (k, h, w), in running order."""

    left: int
    right: int
    top: int
    bottom: int
    looks: Floats
    seen: NDArray[np.bool_]

    @property
    def cyclic(self) -> bool:
        """Whether all ten figures were seen, so that the order closes on itself."""
        return len(self.looks) == 10


@dataclass(frozen=True)
class Segments:
    """Stretches of frames with one digit: frame numbers [first, last], digit, mean crop."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    digit: NDArray[np.int64]
    fit: Floats
    means: Bytes

    def __len__(self) -> int:
        return len(self.first)


def _changes(crops: Bytes) -> Bytes:
    """|difference| to the frame before, (n, h, w) uint8; row 0 is zero."""
    import cv2
    import numpy as np

    out = np.zeros_like(crops)
    if len(crops) > 1:
        shape = crops.shape
        flat = crops.reshape(shape[0], -1)
        out[1:] = cv2.absdiff(flat[1:], flat[:-1]).reshape(-1, *shape[1:])
    return out


def _bin_of(times: Floats, period: float, bins: int) -> NDArray[np.int64]:
    """Phase bin of each time; rounded, because frames fall exactly on bin edges."""
    import numpy as np

    out: NDArray[np.int64] = np.rint(times / period * bins).astype(np.int64) % bins
    return out


def _fold(signal: Floats, times: Floats, period: float, bins: int) -> Floats:
    """Median over cycles of `signal` (n, ...) in each phase bin of one period: (bins, ...)."""
    import numpy as np

    phase = _bin_of(times, period, bins)
    shape = (bins, *signal.shape[1:])
    folded = np.zeros(shape, np.float32)
    for b in range(bins):
        rows = signal[phase == b]
        if len(rows):
            folded[b] = np.median(rows, axis=0)
    return folded


def find_ticks(
    crops: Bytes, times: Floats, *, window_s: float = 16.0, most: int = 6
) -> list[Tick]:
    """Places in the crops where something changes once a second, clearest first.

    Parameters
    ----------
    crops
        (n, h, w) uint8.
    times
        (n,) seconds, rising.
    window_s
        Seconds folded together at a time; an edit spoils only the windows it falls into.
    most
        How many places to return at most; scenery can repeat itself once a second too.
    """
    import numpy as np

    if len(crops) < 8 or times[-1] - times[0] < 3.0:
        return []
    frame_s = float(np.median(np.diff(times)))
    change = _changes(crops)
    columns = change.mean(axis=1, dtype=np.float32)
    starts = np.arange(times[0], max(times[0] + 0.1, times[-1] - window_s / 2), window_s / 2)
    found: list[Tick] = []
    for start in starts:
        inside = np.flatnonzero((times >= start) & (times < start + window_s))
        if len(inside) < 8 or times[inside[-1]] - times[inside[0]] < min(3.0, window_s / 2):
            continue
        period, phases, folded = _tick_profile(columns[inside], times[inside], frame_s)
        bins = len(folded)
        rest = np.median(folded, axis=0)
        noise = float(np.median(np.abs(folded - rest)) + 0.5)
        at = _bin_of(times[inside], period, bins)
        quiet = np.median(change[inside], axis=0)
        for phase in phases:
            beat = inside[(at == phase) & (inside > 0)]
            if not len(beat):
                continue
            rows = np.clip(np.median(change[beat], axis=0) - quiet, 0, None)
            for left, right in _groups(np.clip(folded[phase] - rest, 0, None)):
                lively = rows[:, left:right].mean(axis=1)
                tall = np.flatnonzero(lively > 0.2 * max(1e-6, float(lively.max())))
                if not len(tall):
                    continue
                top, bottom = int(tall[0]), int(tall[-1]) + 1
                # A figure is upright: neither a bar nor a speck.
                if not 0.2 <= (right - left) / (bottom - top) <= 1.5 or bottom - top < 5:
                    continue
                clear = float(folded[phase, left:right].mean() / noise)
                found.append(
                    Tick(period, phase / bins * period, clear, left, right, top, bottom,
                         int(inside[0]), int(inside[-1]))
                )  # fmt: skip
    found.sort(key=lambda tick: -tick.clarity)
    kept: list[Tick] = []
    for tick in found:
        twins = [k for k in kept if abs(k.left - tick.left) + abs(k.right - tick.right) <= 4]
        if tick.clarity >= 2.0 and len(twins) < 2:
            kept.append(tick)
    return kept[:most]


def _tick_profile(
    change: Floats, times: Floats, frame_s: float
) -> tuple[float, list[int], Floats]:
    """Best period of one window (n, w), its liveliest phase bins, and the folded columns."""
    import numpy as np

    # The second highest column counts: a lone pixel is not a figure.
    total = np.sort(change, axis=1)[:, -max(2, change.shape[1] // 40)]
    best = (0.0, 1.0)
    for period in np.r_[1.0, np.arange(0.9, 1.1001, 0.005)]:
        bins = max(4, min(25, round(period / frame_s)))
        folded = _fold(total[:, None], times, period, bins)[:, 0]
        floor = np.median(folded)
        spread = np.median(np.abs(folded - floor)) + 1.0
        clear = float((folded.max() - floor) / spread)
        # 1 s unless another period is clearly better: chance alone favours some other one.
        if clear > best[0] * (1.0 if period == 1.0 else 1.15):
            best = (clear, float(period))
    period = best[1]
    bins = max(4, min(25, round(period / frame_s)))
    folded = _fold(change, times, period, bins)
    lively = np.sort(folded, axis=1)[:, -max(2, change.shape[1] // 40)]
    return period, [int(b) for b in np.argsort(-lively)[:3]], folded


def _groups(tick: Floats) -> list[tuple[int, int]]:
    """Runs of columns [left, right) that change at the beat; holes inside a figure closed."""
    import numpy as np

    out: list[tuple[int, int]] = []
    left = tick.copy()
    for _ in range(3):
        if left.max() < 1.5:
            break
        index = np.flatnonzero(left > 0.22 * left.max())
        runs = np.split(index, np.flatnonzero(np.diff(index) > 2) + 1)
        heavy = max(runs, key=lambda run: float(left[run].sum()))
        out.append((int(heavy[0]), int(heavy[-1]) + 1))
        left[max(0, heavy[0] - 2) : heavy[-1] + 3] = 0
    return out


def regularity(segments: Segments, times: Floats, period_s: float, *, kinds: int = 10) -> float:
    """Share of the time in which the digits follow each other once a period, in order: 0 to 1."""
    import numpy as np

    if len(segments) < 3:
        return 0.0
    start = times[segments.first]
    lasted = np.diff(start)
    step = np.diff(segments.digit) % kinds
    frame_s = float(np.median(np.diff(times)))
    even = np.abs(lasted - period_s) <= max(0.12 * period_s, 1.6 * frame_s)
    good = even & (step == 1)
    # The first stretch is cut short by the start of the clip.
    return float(lasted[1:][good[1:]].sum() / max(1e-6, start[-1] - start[1]))


def _normal(images: Floats) -> Floats:
    """Each image (..., h, w) without its mean, at unit length, flattened."""
    import numpy as np

    flat = images.reshape(*images.shape[:-2], -1).astype(np.float32)
    flat = flat - flat.mean(axis=-1, keepdims=True)
    length = np.sqrt((flat * flat).sum(axis=-1, keepdims=True))
    out: Floats = flat / np.maximum(length, 1e-3)
    return out


def likeness(cells: Floats, looks: Floats) -> Floats:
    """Similarity (n, k) of cells to looks after taking away what all looks share."""
    import numpy as np

    shared = looks.mean(axis=0)
    strong = _normal(cells)
    plain = strong @ _normal(looks).T
    apart = _normal(cells.astype(np.float32) - shared) @ _normal(looks - shared).T
    out: Floats = 0.5 * (plain + apart)
    return out


def follow_digit(likeness: Floats, *, cyclic: bool = True) -> NDArray[np.int64]:
    """The likeliest run of digits for similarities (n, k): it stays, steps by one, rarely leaps."""
    import numpy as np

    n, k = likeness.shape
    cost = np.full((k, k), _LEAP_COST, np.float32)
    for a in range(k):
        cost[a, a] = 0.0
        if cyclic or a + 1 < k:
            cost[a, (a + 1) % k] = _STEP_COST
    gain = _SHARPNESS * likeness.astype(np.float32)
    back = np.zeros((n, k), np.int8)
    score = gain[0].copy()
    for i in range(1, n):
        ways = score[:, None] - cost
        best = ways.argmax(axis=0)
        back[i] = best
        score = ways[best, np.arange(k)] + gain[i]
    path = np.zeros(n, np.int64)
    path[-1] = int(score.argmax())
    for i in range(n - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path


def learn_digits(crops: Bytes, times: Floats, tick: Tick, *, rounds: int = 4) -> Cell | None:
    """Ten appearances of the units digit, learned from the window in which the tick is clearest.

    Parameters
    ----------
    crops, times
        As for `find_ticks`.
    tick
        One that `find_ticks` returned.
    rounds
        How often looks and labels are refined in turn.

    Returns
    -------
    Cell or None
        None if the stretch shows no cell whose looks repeat every ten periods.
    """
    import numpy as np

    height = tick.bottom - tick.top
    pad = max(1, round(0.08 * height))
    left, right = max(0, tick.left - 1), min(crops.shape[2], tick.right + 1)
    top, bottom = max(0, tick.top - pad), min(crops.shape[1], tick.bottom + pad)
    cells = crops[:, top:bottom, left:right].astype(np.float32)
    beat = np.floor((times - tick.phase_s) / tick.period_s + 1e-9).astype(int)
    # Frames beside a beat may belong to either side of it.
    off = np.abs((times - tick.phase_s) / tick.period_s % 1.0 - 0.5)
    frame_s = float(np.median(np.diff(times)))
    safe = off < 0.5 - 1.2 * frame_s / tick.period_s
    inside = np.zeros(len(times), bool)
    inside[tick.first : tick.last + 1] = True
    use = inside & safe
    if not use.any():
        return None
    order = beat - beat[use].min()
    count = int(order[use].max()) + 1
    kinds = min(10, count)
    looks = np.zeros((kinds, *cells.shape[1:]), np.float32)
    seen = np.zeros(kinds, bool)
    for digit in range(kinds):
        rows = cells[use & (order % kinds == digit)]
        if len(rows):
            looks[digit], seen[digit] = np.median(rows, axis=0), True
    if seen.sum() < 3:
        return None
    looks[~seen] = looks[seen].mean(axis=0)
    cyclic = kinds == 10
    for _ in range(rounds):
        path = follow_digit(likeness(cells, looks), cyclic=cyclic)
        fresh = looks.copy()
        for digit in range(kinds):
            rows = cells[path == digit]
            if len(rows) >= 2:
                # The mean over many frames takes away noise and what moves behind the figure.
                pick = rows if len(rows) <= 400 else rows[:: len(rows) // 400 + 1]
                fresh[digit], seen[digit] = pick.mean(axis=0), True
        if np.abs(fresh - looks).max() < 0.5:
            break
        looks = fresh
    return Cell(left, right, top, bottom, looks, seen)


def _hidden_cuts(crops: Bytes, cell: Cell, bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frames at which the figures left of the units change while the units stay the same.

    A step by a multiple of ten seconds shows there only. A cut too many does no harm: both halves
    are read, and joined again if they say the same.
    """
    import numpy as np

    width = cell.right - cell.left
    left = max(0, cell.left - 8 * width)
    if cell.left - left < 2 * width:
        return np.zeros(0, np.int64)
    line = crops[:, cell.top : cell.bottom, left : cell.left]
    found = []
    for a, b in itertools.pairwise(bounds.tolist()):
        if b - a < 6:
            continue
        # Three frames from either end, the very ends left out: they may blend two figures.
        head = line[a + 1 : a + 4].mean(axis=0, dtype=np.float32)
        tail = line[b - 4 : b - 1].mean(axis=0, dtype=np.float32)
        if _least_alike(head, tail, width) > 0.85:
            continue
        part = line[a:b].astype(np.float32)
        nearer = np.abs(part - tail).mean(axis=(1, 2)) - np.abs(part - head).mean(axis=(1, 2))
        # The cut that leaves the frames like the head before it and those like the tail after.
        course = np.cumsum(nearer)[:-1]
        found.append(a + 1 + int(course.argmax()))
    return np.array(found, np.int64)


def _least_alike(one: Floats, other: Floats, width: int) -> float:
    """Least correlation of two pictures over windows of one figure's width that hold contrast."""
    import numpy as np

    least = 1.0
    for x in range(0, one.shape[1] - width + 1, max(1, width // 3)):
        a, b = one[:, x : x + width].ravel(), other[:, x : x + width].ravel()
        a, b = a - a.mean(), b - b.mean()
        strong = min(float(a.std()), float(b.std()))
        if strong > 10:
            least = min(least, float((a * b).mean()) / (float(a.std()) * float(b.std())))
    return float(np.clip(least, -1, 1))


def segment_means(crops: Bytes, cell: Cell, *, chunk: int = 4000) -> Segments:
    """Cut frames into stretches of one digit each, with the mean crop of each stretch."""
    import numpy as np

    alike = np.concatenate(
        [
            likeness(
                crops[a : a + chunk, cell.top : cell.bottom, cell.left : cell.right].astype(
                    np.float32
                ),
                cell.looks,
            )
            for a in range(0, len(crops), chunk)
        ]
    )
    path = follow_digit(alike, cyclic=cell.cyclic)
    cuts = np.flatnonzero(np.diff(path)) + 1
    cuts = np.union1d(cuts, _hidden_cuts(crops, cell, np.r_[0, cuts, len(path)]))
    first = np.r_[0, cuts].astype(np.int64)
    last = np.r_[cuts - 1, len(path) - 1].astype(np.int64)
    means = np.zeros((len(first), *crops.shape[1:]), np.uint8)
    fit = np.zeros(len(first), np.float32)
    for i, (a, b) in enumerate(zip(first, last, strict=True)):
        rows = crops[a : b + 1]
        if len(rows) > 60:
            rows = rows[:: len(rows) // 60 + 1]
        means[i] = np.clip(rows.mean(axis=0, dtype=np.float32) + 0.5, 0, 255)
        fit[i] = alike[a : b + 1, path[a]].mean()
    return Segments(first, last, path[first], fit, means)
