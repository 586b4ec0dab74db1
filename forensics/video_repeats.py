"""Pictures that come twice: stretches that stand elsewhere too.

Pure functions of the thumbnails and frame rows of `video_measure`. A copy is told by its motion:
each frame is described by how it differs from the one half a second before, so what stands still
neither helps nor hurts, and stretches in which nothing moves are never called copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.video_light import without_light

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Repeat", "find_repeats"]

#: Components kept of each frame's motion for the search; the check uses the whole thumbnail.
COMPONENTS = 20
#: A pair of frames is worth checking when their motion differs by less than this share of it.
NEAR = 0.45
#: Pairs come most alike first: after so many that were no copies, the rest are none.
PATIENCE = 40
#: Up to so many moving frames, each is compared with all others; see `_neighbourhoods`.
ALL_WITH_ALL = 6000
#: A copy is this many times more alike at its own lag than at the lags beside it.
LEAST_SHARPNESS = 2.0


@dataclass(frozen=True)
class Repeat:
    """Frames `first` to `last` (left out) show again what is `lag` frames later.

    `sharpness`: how many times better they agree at this lag than at lags next to it. `seamed`:
    agreement begins or ends with a step of the picture, to the frame.
    """

    first: int
    last: int
    lag: int
    sharpness: float
    seamed: bool = False


def _motion(
    thumbs: NDArray[np.uint8], rows: NDArray[np.int64] | slice, step: int
) -> NDArray[np.float32]:
    import numpy as np

    index = np.arange(len(thumbs))[rows]
    # A change of light is no motion, and the bands of a lamp's beat come again and again.
    change = without_light(thumbs[np.maximum(index - step, 0)], thumbs[index])
    return change.reshape(len(index), -1)


def _principal(moves: NDArray[np.float32]) -> NDArray[np.float32]:
    """The directions in which motion differs most, from the smaller of the two Gram matrices."""
    import numpy as np

    centred = moves - moves.mean(axis=0)
    _, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    axes = centred.T @ vectors[:, ::-1][:, :COMPONENTS]
    sizes = np.sqrt((axes**2).sum(axis=0)) + 1e-9
    scaled: NDArray[np.float32] = (axes / sizes).astype(np.float32)
    return scaled


def find_repeats(
    thumbs: NDArray[np.uint8], rate_hz: float, *, least_s: float = 0.8, most: int = 50
) -> list[Repeat]:
    """Stretches of motion that come twice.

    Parameters
    ----------
    thumbs
        (n, h, w) uint8.
    rate_hz
        Frames a second.
    least_s
        Shortest copy looked for, and smallest lag.
    most
        Report at most this many, the longest first.

    Returns
    -------
    list of Repeat
        In order of time; overlapping ones merged into the best.
    """
    import numpy as np

    count = len(thumbs)
    step = max(2, round(rate_hz / 2))
    least = max(4, round(least_s * rate_hz))
    if count < 3 * least:
        return []
    sample = np.linspace(step, count - 1, min(count - step, 400)).astype(np.int64)
    moves = _motion(thumbs, sample, step)
    # Pixels of noise add up over a thumbnail: below this nothing can be told to move.
    floor = max(2.0 * thumbs[0].size, 3.0 * float(np.median((moves**2).sum(axis=1))) * 0.05)
    axes = _principal(moves)
    points = np.empty((count, axes.shape[1]), np.float32)
    energy = np.empty(count, np.float32)
    for low in range(0, count, 4096):
        part = _motion(thumbs, slice(low, min(count, low + 4096)), step)
        points[low : low + len(part)] = part @ axes
        energy[low : low + len(part)] = (part**2).sum(axis=1)
    energy[:step] = 0
    telling = energy > floor
    queries = np.flatnonzero(telling)[:: max(1, step // 3)]
    pairs = _near_pairs(points, telling, queries, least)
    found: list[Repeat] = []
    seen: set[tuple[int, int]] = set()
    failures = 0
    for first, lag in pairs:
        if any(r.lag == lag and r.first <= first < r.last for r in found):
            continue
        mark = (lag, first // least)
        if mark in seen:
            continue
        seen.add(mark)
        repeat = _extend(thumbs, telling, first, lag, step, least)
        failures = 0 if repeat is not None else failures + 1
        if failures > PATIENCE + count // 1000:
            break
        if repeat is not None:
            found = [r for r in found if r.lag != lag or r.last < repeat.first or
                     r.first > repeat.last] + [repeat]  # fmt: skip
    return _without_echoes(found, most)


def _near_pairs(
    points: NDArray[np.float32], telling: NDArray[np.bool_], queries: NDArray[np.int64],
    least: int,
) -> list[tuple[int, int]]:  # fmt: skip
    """(frame, lag > 0) of frames whose motion is much alike, the most alike first."""
    import numpy as np

    places = np.flatnonzero(telling)
    if not len(places) or not len(queries):
        return []
    found: list[tuple[float, int, int]] = []
    for rows, others in _neighbourhoods(points, places, queries):
        for low in range(0, len(rows), 256):
            some = rows[low : low + 256]
            apart = _relative(points[some], points[others])
            apart[others[None] - some[:, None] < least] = np.inf
            few = min(4, apart.shape[1])
            best = np.argpartition(apart, few - 1, axis=1)[:, :few]
            values = np.take_along_axis(apart, best, axis=1)
            for i, j in zip(*np.nonzero(values < NEAR), strict=True):
                lag = int(others[best[i, j]] - some[i])
                found.append((float(values[i, j]), int(some[i]), lag))
    found.sort()
    pairs = np.array([(first, lag) for _, first, lag in found], dtype=np.int64).reshape(-1, 2)
    _, once = np.unique(pairs, axis=0, return_index=True)
    pairs = pairs[np.sort(once)]
    return [(int(f), int(lag)) for f, lag in pairs[_sharp(points, pairs)]]


def _relative(here: NDArray[np.float32], there: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distance of each pair of points, as a share of their mean squared length."""
    squares, own = (there**2).sum(axis=1), (here**2).sum(axis=1)
    apart: NDArray[np.float32] = own[:, None] + squares[None] - 2 * here @ there.T
    apart /= (own[:, None] + squares[None]) / 2 + 1e-6
    return apart


def _neighbourhoods(
    points: NDArray[np.float32], places: NDArray[np.int64], queries: NDArray[np.int64]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Queries, and the frames each of them is to be compared with.

    All frames with all, as long as that is cheap. Beyond it, as many pivots as the square root of
    the frames divide them by direction of motion, and a query meets only the frames of its three
    nearest pivots: the cost then grows with the length to the power of one and a half.
    """
    import numpy as np

    if len(places) <= ALL_WITH_ALL:
        return [(queries, places)]
    length = np.sqrt((points**2).sum(axis=1, keepdims=True)) + 1e-6
    unit = points / length
    number = round(len(places) ** 0.5)
    # Evenly over time: every kind of motion that lasts has a pivot of its own.
    pivots = unit[places[np.linspace(0, len(places) - 1, number).astype(np.int64)]]
    home = np.argmax(unit[places] @ pivots.T, axis=1)
    members = [places[home == k] for k in range(number)]
    nearest = np.argpartition(-(unit[queries] @ pivots.T), 3, axis=1)[:, :3]
    parts = []
    for k in range(number):
        rows = queries[(nearest == k).any(axis=1)]
        if len(rows) and len(members[k]):
            parts.append((rows, members[k]))
    return parts


def _sharp(points: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pairs whose own lag agrees better than the lags beside it; slow motion agrees at all."""
    import numpy as np

    last = len(points) - 1

    def apart(away: int) -> NDArray[np.float64]:
        total = np.zeros(len(pairs))
        for shift in (-1, 0, 1):
            one = np.clip(pairs[:, 0] + shift, 0, last)
            other = np.clip(pairs[:, 0] + pairs[:, 1] + shift + away, 0, last)
            total += ((points[one] - points[other]) ** 2).sum(axis=1)
        return total

    if not len(pairs):
        return np.zeros(0, dtype=bool)
    beside = np.min([apart(away) for away in (-4, -3, 3, 4)], axis=0)
    sharp: NDArray[np.bool_] = beside > 1.3 * apart(0)
    return sharp


def _apart(
    here: NDArray[np.float32], there: NDArray[np.float32], begin: int
) -> NDArray[np.float64]:
    """Mean absolute difference of each row and the one of `there` that far on, while there is."""
    import numpy as np

    inside = max(0, min(len(here), len(there) - begin))
    distance: NDArray[np.float64] = np.abs(
        here[:inside] - there[begin : begin + inside]
    ).mean(axis=1).astype(np.float64)  # fmt: skip
    return distance


def _extend(
    thumbs: NDArray[np.uint8], telling: NDArray[np.bool_], first: int, lag: int, step: int,
    least: int,
) -> Repeat | None:  # fmt: skip
    """Follow a pair both ways for as long as its own lag agrees better than those beside it."""
    import numpy as np

    count = len(thumbs)
    room = max(4 * least, 8 * step)
    while True:
        low, high = max(0, first - room), min(count - lag, first + room)
        if high - low < least:
            return None
        # The motion at the lags beside is that of the same frames, some earlier or later.
        base, top = max(0, low + lag - 6), min(count, high + lag + 6)
        here = _motion(thumbs, np.arange(low, high), step)
        there = _motion(thumbs, np.arange(base, top), step)
        own = _apart(here, there, low + lag - base)
        beside = np.full(high - low, np.inf)
        for away in (-6, -4, -3, 3, 4, 6):
            if lag + away > 0:
                others = _apart(here, there, low + lag + away - base)
                beside[: len(others)] = np.minimum(beside[: len(others)], others)
        beside[~np.isfinite(beside)] = 0
        # The noise of two encodings, in grey levels: below it agreement says nothing.
        ratio = (beside + 0.05) / (own + 0.25)
        kernel = np.ones(min(5, len(ratio))) / min(5, len(ratio))
        good = np.convolve(ratio, kernel, "same") > 1.35
        still = ~telling[low:high]
        at = first - low
        if not good[at]:
            return None
        start = end = at
        patience = max(2, step // 2)
        start = _walk(good, still, at, -1, patience)
        end = _walk(good, still, at, 1, patience) + 1
        if (start == 0 and low > 0) or (end == high - low and high < count - lag):
            room *= 4
            continue
        break
    within = telling[low + start : low + end]
    own_mean = own[start:end][within]
    beside_mean = beside[start:end][within]
    if len(own_mean) < max(3, least // 3):
        return None
    sharpness = float((beside_mean.mean() + 0.05) / (own_mean.mean() + 0.05))
    begin, finish = _edges(thumbs, low + start, low + end, lag, step)
    if sharpness < LEAST_SHARPNESS or finish - begin < least:
        return None
    return Repeat(begin, finish, lag, sharpness)


def _walk(
    good: NDArray[np.bool_], still: NDArray[np.bool_], at: int, way: int, patience: int
) -> int:
    """The last frame in one direction before agreement is lost; still frames decide nothing."""
    last, missed = at, 0
    place = at
    while 0 <= place + way < len(good) and missed <= patience:
        place += way
        if good[place]:
            last, missed = place, 0
        elif not still[place]:
            missed += 1
        else:
            missed += 0.25  # type: ignore[assignment]
    return last


def _edges(
    thumbs: NDArray[np.uint8], first: int, last: int, lag: int, step: int
) -> tuple[int, int]:
    """Where the pictures themselves, not their motion, begin and cease to agree at this lag.

    Motion looks back half a second: at the beginning of a copy it still disagrees, just after its
    end it still half agrees.
    """
    import numpy as np

    low, high = max(0, first - step - 2), min(len(thumbs) - lag, last + 2)
    index = np.arange(low, high)
    change = thumbs[index].astype(np.float32) - thumbs[index + lag]
    change -= np.median(change, axis=(1, 2), keepdims=True)
    flat = np.abs(change).reshape(len(index), -1)
    few = max(3, flat.shape[1] // 60)
    strongest = np.partition(flat, flat.shape[1] - few, axis=1)[:, -few:].mean(axis=1)
    core_low, core_high = first - low, max(first - low + 2, last - step - low)
    core = strongest[core_low:core_high]
    limit = 1.5 * float(np.median(core)) + 2.0
    middle = core_low + int(np.argmin(core))
    bad = strongest > limit
    before, after = np.flatnonzero(bad[:middle]), np.flatnonzero(bad[middle:])
    begin = low + (int(before[-1]) + 1 if len(before) else 0)
    finish = low + middle + int(after[0]) if len(after) else high
    return begin, finish


def _without_echoes(found: list[Repeat], most: int) -> list[Repeat]:
    kept: list[Repeat] = []
    for one in sorted(found, key=lambda r: -(r.last - r.first) * r.sharpness):
        clash = any(
            min(one.last, other.last) - max(one.first, other.first)
            > 0.5 * min(one.last - one.first, other.last - other.first)
            and abs(one.lag - other.lag) <= 2
            for other in kept
        )
        if not clash:
            kept.append(one)
    return sorted(kept[:most], key=lambda r: r.first)
