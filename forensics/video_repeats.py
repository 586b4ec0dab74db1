"""Pictures that come twice: stretches that stand elsewhere too.

Pure functions of the thumbnails and frame rows of `video_measure`. A copy is told by its motion:
each frame is described by how it differs from the one half a second before, so what stands still
neither helps nor hurts, and stretches in which nothing moves are never called copies. Motion that
comes again and again, as a machine's does, is looked at in three places and then left: more of the
same would tell nothing, and a whole clip of it would never end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from forensics.scan_order import middle
from forensics.video_light import without_light

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Effort", "Repeat", "Repeats", "find_repeats"]

#: Components kept of each frame's motion for the search; the check uses the whole thumbnail.
COMPONENTS = 20
#: A pair of frames is worth checking when their motion differs by less than this share of it.
NEAR = 0.45
#: …and agrees when the lags beside agree so many times worse, over five frames.
AGREES = 1.35
#: Pairs come most alike first: after so many that were no copies, the rest are none.
PATIENCE = 40
#: Up to so many moving frames, each is compared with all others; see `_neighbourhoods`.
ALL_WITH_ALL = 6000
#: Beyond it, each is compared with at most so many of its own direction, evenly over time.
MOST_BESIDE = 4000
#: A copy is this many times more alike at its own lag than at the lags beside it.
LEAST_SHARPNESS = 2.0
#: What was found at so many lags already is the scene's own, and is looked at no more.
PLACES = 3
#: Frames compared for each frame of the clip, and for any clip, before the search is given up.
EFFORT, EFFORT_ANY = 20, 50_000
#: Frames compared at a time, and of these as many as are held against all others.
CHUNK, BATCH = 512, 64


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


class Repeats(NamedTuple):
    """What was found, and (first, last) of the stretches in which a copy could not be told.

    There the same motion stands in three places or more; where the search was given up before its
    end (`finished`), that is the whole clip.
    """

    found: list[Repeat]
    everywhere: list[tuple[int, int]]
    finished: bool


class Effort:
    """Counts the frames compared: a clip made to be searched for ever is not."""

    def __init__(self, count: int) -> None:
        self.left = EFFORT * count + EFFORT_ANY

    def spend(self, frames: int) -> bool:
        """Whether as many may still be compared."""
        self.left -= frames
        return self.left >= 0


def _motion(thumbs: NDArray[np.uint8], rows: NDArray[np.int64], step: int) -> NDArray[np.float32]:
    """How each of some frames differs from the one `step` frames before it."""
    import numpy as np

    # A change of light is no motion, and the bands of a lamp's beat come again and again.
    change = without_light(thumbs[np.maximum(rows - step, 0)], thumbs[rows])
    return change.reshape(len(rows), -1)


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
) -> Repeats:
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
    Repeats
        In order of time; overlapping ones merged into the best.
    """
    import numpy as np

    count = len(thumbs)
    step = max(2, round(rate_hz / 2))
    least = max(4, round(least_s * rate_hz))
    if count < 3 * least:
        return Repeats([], [], True)
    sample = np.linspace(step, count - 1, min(count - step, 400)).astype(np.int64)
    moves = _motion(thumbs, sample, step)
    # Pixels of noise add up over a thumbnail: below this nothing can be told to move.
    floor = max(2.0 * thumbs[0].size, 3.0 * float(middle((moves**2).sum(axis=1))) * 0.05)
    axes = _principal(moves)
    points = np.empty((count, axes.shape[1]), np.float32)
    energy = np.empty(count, np.float32)
    for low in range(0, count, CHUNK):
        part = _motion(thumbs, np.arange(low, min(count, low + CHUNK)), step)
        points[low : low + len(part)] = part @ axes
        energy[low : low + len(part)] = np.square(part, out=part).sum(axis=1)
    energy[:step] = 0
    telling = energy > floor
    queries = np.flatnonzero(telling)[:: max(1, step // 3)]
    pairs = _near_pairs(points, telling, queries, least)
    at_lag: dict[int, list[Repeat]] = defaultdict(list)
    places = np.zeros(count, np.uint8)
    seen: set[tuple[int, int]] = set()
    failures, finished = 0, True
    effort = Effort(count)
    for first, lag in pairs:
        same = at_lag[lag]
        if places[first] >= PLACES or any(r.first <= first < r.last for r in same):
            continue
        mark = (lag, first // least)
        if mark in seen:
            continue
        seen.add(mark)
        repeat = _extend(thumbs, telling, first, lag, step, least, effort)
        finished = effort.left >= 0
        failures = 0 if repeat is not None else failures + 1
        if failures > PATIENCE + count // 1000 or not finished:
            break
        if repeat is not None:
            same[:] = [r for r in same if r.last < repeat.first or r.first > repeat.last]
            same.append(repeat)
            for end in (repeat.first, repeat.first + repeat.lag):
                there = places[end : end + repeat.last - repeat.first]
                np.minimum(there + 1, PLACES, out=there)
    found = [repeat for same in at_lag.values() for repeat in same]
    everywhere = _runs(places >= PLACES) if finished else [(0, count)]
    return Repeats(_without_echoes(found, most), everywhere, finished)


def _runs(marks: NDArray[np.bool_]) -> list[tuple[int, int]]:
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[0], marks.astype(np.int8), [0]])))
    return [(int(low), int(high)) for low, high in zip(edges[::2], edges[1::2], strict=True)]


def _near_pairs(
    points: NDArray[np.float32], telling: NDArray[np.bool_], queries: NDArray[np.int64],
    least: int,
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """(frame, lag > 0) of frames whose motion is much alike, the most alike first."""
    import numpy as np

    places = np.flatnonzero(telling)
    if not len(places) or not len(queries):
        return
    alike: list[tuple[NDArray[Any], ...]] = []
    for rows, others in _neighbourhoods(points, places, queries):
        for low in range(0, len(rows), BATCH):
            some = rows[low : low + BATCH]
            later = others[np.searchsorted(others, some[0] + least) :]
            if len(later):
                alike.append(_nearest(points, some, later, least))
    if not alike:
        return
    values, firsts, lags = (np.concatenate(part) for part in zip(*alike, strict=True))
    alike.clear()
    order = np.lexsort((lags, firsts, values))
    pairs = np.column_stack([firsts[order], lags[order]])
    _, once = np.unique(pairs, axis=0, return_index=True)
    pairs = pairs[np.sort(once)]
    for low in range(0, len(pairs), CHUNK):
        part = pairs[low : low + CHUNK]
        yield from part[_sharp(points, part)].tolist()


def _nearest(
    points: NDArray[np.float32], some: NDArray[np.int64], later: NDArray[np.int64], least: int
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Up to four frames for each of `some` that are nearest: how far, the frame, and the lag.

    Near is a squared distance below a share of the mean squared length. What can be near is told
    by the product of the two alone; only there the distance is worked out.
    """
    import numpy as np

    here, there = points[some], points[later]
    own, squares = (here**2).sum(axis=1), (there**2).sum(axis=1)
    product = 2 * here @ there.T
    # A little less than what is needed, as the last bits of these sums are not those below.
    least_product = np.float32((1 - NEAR / 2) * 0.9999)
    i, j = np.nonzero(product >= np.add.outer(own * least_product, squares * least_product))
    lags = later[j] - some[i]
    fit = lags >= least
    i, j, lags = i[fit], j[fit], lags[fit]
    both = own[i] + squares[j]
    apart = (both - product[i, j]) / (both / 2 + np.float32(1e-6))
    fit = apart < NEAR
    i, lags, apart = i[fit], lags[fit], apart[fit]
    order = np.lexsort((apart, i))
    i, lags, apart = i[order], lags[order], apart[order]
    rank = np.arange(len(i)) - np.searchsorted(i, i)
    few = rank < 4
    return apart[few], some[i[few]].astype(np.int32), lags[few].astype(np.int32)


def _neighbourhoods(
    points: NDArray[np.float32], places: NDArray[np.int64], queries: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Queries, and the frames each of them is to be compared with.

    All frames with all, as long as that is cheap. Beyond it, as many pivots as the square root of
    the frames divide them by direction of motion, and a query meets only the frames of its three
    nearest pivots, and of these no more than `MOST_BESIDE`: the cost then grows with the length to
    the power of one and a half, and with the length alone where all motion is much alike.
    """
    import numpy as np

    if len(places) <= ALL_WITH_ALL:
        yield queries, places
        return
    number = round(len(places) ** 0.5)
    # Evenly over time: every kind of motion that lasts has a pivot of its own.
    pivots = _unit(points[places[np.linspace(0, len(places) - 1, number).astype(np.int64)]])
    home = np.empty(len(places), np.int32)
    for low in range(0, len(places), CHUNK):
        part = _unit(points[places[low : low + CHUNK]])
        home[low : low + CHUNK] = np.argmax(part @ pivots.T, axis=1)
    nearest = np.empty((len(queries), 3), np.int32)
    for low in range(0, len(queries), CHUNK):
        part = _unit(points[queries[low : low + CHUNK]])
        nearest[low : low + CHUNK] = np.argpartition(-(part @ pivots.T), 3, axis=1)[:, :3]
    for k in range(number):
        rows, members = queries[(nearest == k).any(axis=1)], places[home == k]
        if len(rows) and len(members):
            yield rows, members[:: -(-len(members) // MOST_BESIDE)]


def _unit(points: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    length = np.sqrt((points**2).sum(axis=1, keepdims=True)) + 1e-6
    unit: NDArray[np.float32] = points / length
    return unit


def _sharp(points: NDArray[np.float32], pairs: NDArray[np.int32]) -> NDArray[np.bool_]:
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


def _compare(
    thumbs: NDArray[np.uint8], low: int, high: int, lag: int, step: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How frames `low` to `high` differ from those at the lag and at the lags beside it; a ratio.

    The ratio is above 1 where the motion agrees better at the lag than beside it.
    """
    import numpy as np

    count = len(thumbs)
    own, beside = np.empty(high - low), np.full(high - low, np.inf)
    for at in range(low, high, CHUNK):
        end = min(high, at + CHUNK)
        # The motion at the lags beside is that of the same frames, some earlier or later.
        base, top = max(0, at + lag - 6), min(count, end + lag + 6)
        here = _motion(thumbs, np.arange(at, end), step)
        there = _motion(thumbs, np.arange(base, top), step)
        own[at - low : end - low] = _apart(here, there, at + lag - base)
        for away in (-6, -4, -3, 3, 4, 6):
            if lag + away > 0:
                others = _apart(here, there, at + lag + away - base)
                least = beside[at - low : at - low + len(others)]
                np.minimum(least, others, out=least)
    beside[~np.isfinite(beside)] = 0
    # The noise of two encodings, in grey levels: below it agreement says nothing.
    return own, beside, (beside + 0.05) / (own + 0.25)


def _extend(
    thumbs: NDArray[np.uint8], telling: NDArray[np.bool_], first: int, lag: int, step: int,
    least: int, effort: Effort,
) -> Repeat | None:  # fmt: skip
    """Follow a pair both ways for as long as its own lag agrees better than those beside it."""
    import numpy as np

    count = len(thumbs)
    room = max(4 * least, 8 * step)
    # Most pairs do not even agree where they were found: five frames tell.
    near = _compare(thumbs, max(0, first - 2), min(count - lag, first + 3), lag, step)[2]
    if near.sum() / 5 < AGREES - 1e-6 or not effort.spend(2 * room):
        return None
    while True:
        low, high = max(0, first - room), min(count - lag, first + room)
        if high - low < least:
            return None
        own, beside, ratio = _compare(thumbs, low, high, lag, step)
        kernel = np.ones(min(5, len(ratio))) / min(5, len(ratio))
        good = np.convolve(ratio, kernel, "same") > AGREES
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
            if not effort.spend(min(count - lag, 2 * room)):
                return None
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
    strongest = np.empty(high - low, np.float32)
    few = max(3, thumbs[0].size // 60)
    for at in range(low, high, CHUNK):
        end = min(high, at + CHUNK)
        change = thumbs[at:end].astype(np.float32) - thumbs[at + lag : end + lag]
        flat = change.reshape(end - at, -1)
        flat = np.abs(flat - middle(flat)[:, None])
        top = np.partition(flat, flat.shape[1] - few, axis=1)[:, -few:]
        strongest[at - low : end - low] = top.mean(axis=1)
    core_low, core_high = first - low, max(first - low + 2, last - step - low)
    core = strongest[core_low:core_high]
    limit = 1.5 * float(middle(core)) + 2.0
    lowest = core_low + int(np.argmin(core))
    bad = strongest > limit
    before, after = np.flatnonzero(bad[:lowest]), np.flatnonzero(bad[lowest:])
    begin = low + (int(before[-1]) + 1 if len(before) else 0)
    finish = low + lowest + int(after[0]) if len(after) else high
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
        if len(kept) == most:
            break
    return sorted(kept, key=lambda r: r.first)
