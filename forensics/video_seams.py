"""Copied stretches told by their seams: where the picture jumps, and what follows was seen before.

A copy that somebody put into a recording begins and ends with a step, unless nothing moves there.
So each step is asked whether the pictures right after it, or right before it, stand elsewhere too,
and whether that agreement begins with the very step. Whole pictures are compared, not their
motion: a loop of one second is all telling, and at ten frames a second there is no more of it.
Motion that a machine repeats by itself has no seam.

Pure functions of the thumbnails of `video_measure`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from forensics.scan_order import middle
from forensics.video_light import strongest, without_light
from forensics.video_repeats import CHUNK, COMPONENTS, Effort, Repeat, Repeats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["find_seamed"]

#: Frames at a seam that are looked for elsewhere.
PROBES = (0, 1, 3, 5)
#: Places tried for each seam and side, the most alike first.
PLACES = 6
#: Seams looked for at a time, each in every frame, and pairs of the two at the most.
BATCH, BATCH_PAIRS = 16, 200_000
#: Seams times frames at the most: of an hour 11,000 seams, of which a recording has some hundreds.
MOST_LOOKED = 1_000_000_000
#: Pairs reported at the most.
MOST = 500
#: Lags at which a copy must agree worse than at its own.
BESIDE = (-6, -4, -3, 3, 4, 6)
#: A frame tells something when the lags beside agree this many times worse, by so many levels.
TELLING, TELLING_LEVELS = 1.6, 2.0
#: …and so many seconds of frames must tell, and at least so many frames.
TELLING_S, TELLING_FRAMES = 0.28, 4
#: All telling frames together: so many times worse beside.
LEAST_SHARPNESS = 2.2
#: Two encodings of one picture differ by fewer grey levels (strongest fortieth) than this.
MOST_APART = 10.0
#: Across the seam, agreement changes so many times, and by so many levels.
LEAST_SEAM, LEAST_SEAM_LEVELS = 3.0, 4.0
#: …and beyond it the pictures agree no better than this share of how they do at the lags beside.
SEAM_SHARE = 0.4
SEAM_FRAMES = 4
#: Lags and ends so many frames apart are the same; and how they are kept, to be found again.
NEAR_END = 2
BOX = 64


def find_seamed(
    thumbs: NDArray[np.uint8], seams: NDArray[np.int64], rate_hz: float, *, least_s: float = 0.8
) -> Repeats:
    """Stretches that begin or end at one of these steps and stand elsewhere in the recording too.

    Parameters
    ----------
    thumbs
        (n, h, w) uint8.
    seams
        Frames with which something sudden begins, the surest first: of very many in a long clip
        only the first are looked for.
    rate_hz
        Frames a second.
    least_s
        Shortest copy looked for, and smallest lag.

    Returns
    -------
    Repeats
        In order of time, one for each pair of stretches.
    """
    import numpy as np

    count = len(thumbs)
    least = max(6, round(least_s * rate_hz))
    seams = seams[(seams >= 2) & (seams < count - 2)]
    if count < 2 * least or not len(seams):
        return Repeats([], [], True)
    most = max(64, MOST_LOOKED // count)
    finished = len(seams) <= most
    points = _points(thumbs)
    effort = Effort(count)
    found: list[Repeat] = []
    # The ends of what was found, by lag and place: near ones are in the same or the next box.
    ends: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for way in (1, -1):
        for seam, lags in _places(points, np.sort(seams[:most]), way, least):
            if not effort.spend(len(lags) * least):
                break
            for lag in _alike(thumbs, seam, lags, way, least):
                if _known(ends, seam, lag):
                    continue
                repeat = _follow(thumbs, seam, lag, way, rate_hz, least, effort)
                if repeat is not None:
                    found.append(repeat)
                    first, last = repeat.first, repeat.last
                    for edge in (first, last, first + repeat.lag, last + repeat.lag):
                        ends[repeat.lag // BOX, edge // BOX].append((repeat.lag, edge))
    finished = finished and effort.left >= 0
    return Repeats(_once(found), [] if finished else [(0, count)], finished)


def _points(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each picture by its strongest components, light that is the same everywhere left out."""
    import numpy as np

    count = len(thumbs)

    def flat(rows: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        pictures = thumbs[rows].reshape(-1, thumbs[0].size).astype(np.float32)
        pictures -= pictures.mean(axis=1, keepdims=True)
        return pictures

    sample = flat(np.linspace(0, count - 1, min(count, 400)).astype(np.int64))
    sample -= sample.mean(axis=0)
    _, vectors = np.linalg.eigh((sample @ sample.T).astype(np.float64))
    axes = sample.T @ vectors[:, ::-1][:, :COMPONENTS]
    axes /= np.sqrt((axes**2).sum(axis=0)) + 1e-9
    axes = axes.astype(np.float32)
    points = np.empty((count, axes.shape[1]), np.float32)
    for low in range(0, count, CHUNK):
        points[low : low + CHUNK] = flat(slice(low, low + CHUNK)) @ axes
    return points


def _places(
    points: NDArray[np.float32], seams: NDArray[np.int64], way: int, least: int
) -> Iterator[tuple[int, list[int]]]:
    """Each seam, and the lags at which the frames beside it are most alike to others."""
    import numpy as np

    count = len(points)
    squares = np.concatenate([
        (points[low : low + CHUNK] ** 2).sum(axis=1) for low in range(0, count, CHUNK)
    ])  # fmt: skip
    far = 2 * float(squares.max()) + 1
    batch = max(1, min(BATCH, BATCH_PAIRS // count))
    for low in range(0, len(seams), batch):
        some = seams[low : low + batch]
        total = np.zeros((len(some), count), np.float32)
        for probe in PROBES:
            # The first frame after the step, or the last before it, and on from there.
            away = probe if way > 0 else -1 - probe
            rows = np.clip(some + away, 0, count - 1)
            apart = squares[rows][:, None] + squares[None] - 2 * points[rows] @ points.T
            shifted = np.full_like(apart, far)
            if away >= 0:
                shifted[:, : count - away] = apart[:, away:]
            else:
                shifted[:, -away:] = apart[:, :away]
            total += shifted
        for row, seam in enumerate(some.tolist()):
            near = total[row]
            near[max(0, seam - least + 1) : seam + least] = np.inf
            yield seam, _lowest(near, seam)


def _lowest(near: NDArray[np.float32], seam: int) -> list[int]:
    """The lags of the lowest dips, each dip once."""
    import numpy as np

    inner = near[1:-1]
    dips = np.flatnonzero((inner <= near[:-2]) & (inner <= near[2:]) & np.isfinite(inner)) + 1
    if len(dips) > PLACES:
        dips = dips[np.argpartition(near[dips], PLACES)[:PLACES]]
    return [int(d) - seam for d in dips[np.argsort(near[dips], kind="stable")]]


def _known(
    ends: dict[tuple[int, int], list[tuple[int, int]]], seam: int, lag: int
) -> bool:
    """Whether a seam lies at an end of a pair already found, at the same lag."""
    lag = abs(lag)
    return any(
        abs(one - lag) <= NEAR_END and abs(edge - seam) <= NEAR_END
        for row in {(lag - NEAR_END) // BOX, (lag + NEAR_END) // BOX}
        for box in {(seam - NEAR_END) // BOX, (seam + NEAR_END) // BOX}
        for one, edge in ends.get((row, box), ())
    )


def _apart(
    thumbs: NDArray[np.uint8], frames: NDArray[np.int64], lag: int
) -> NDArray[np.float64]:
    """The strongest fortieth of the change between each frame and the one `lag` away."""
    import numpy as np

    apart = np.full(len(frames), np.inf)
    inside = (frames + lag >= 0) & (frames + lag < len(thumbs))
    places = np.flatnonzero(inside)
    for low in range(0, len(places), CHUNK):
        some = places[low : low + CHUNK]
        rows = frames[some]
        apart[some] = strongest(without_light(thumbs[rows], thumbs[rows + lag]))
    return apart


def _alike(
    thumbs: NDArray[np.uint8], seam: int, lags: list[int], way: int, least: int
) -> list[int]:
    """The lags at which not all of the first frames beyond a seam are too far apart.

    Where more than half of them are, so is their median: it need not be worked out.
    """
    import numpy as np

    frames = (seam if way > 0 else seam - 1) + way * np.arange(least)
    low, high = int(frames.min()), int(frames.max())
    lags = [g for g in lags if min(low, low + g) >= 0 and max(high, high + g) < len(thumbs)]
    if not lags:
        return []
    half = frames[: least // 2 + 1]
    there = half[None] + np.array(lags, dtype=np.int64)[:, None]
    here = np.broadcast_to(half, there.shape)
    apart = strongest(without_light(thumbs[here.ravel()], thumbs[there.ravel()]))
    near = apart.reshape(there.shape).min(axis=1, initial=np.inf) <= MOST_APART
    return [lag for lag, good in zip(lags, near.tolist(), strict=True) if good]


def _follow(
    thumbs: NDArray[np.uint8], seam: int, lag: int, way: int, rate_hz: float, least: int,
    effort: Effort,
) -> Repeat | None:  # fmt: skip
    """From the seam on, for as long as the pictures agree at this lag."""
    import numpy as np

    count = len(thumbs)
    # The first frames decide whether it is worth going on.
    start = seam if way > 0 else seam - 1
    outside = seam - 1 if way > 0 else seam
    own = _apart(thumbs, start + way * np.arange(least), lag)
    level = float(middle(own))
    if level > MOST_APART or own.max() > 2 * level + 3:
        return None
    beyond = float(_apart(thumbs, np.array([outside]), lag)[0])
    if beyond < max(LEAST_SEAM * level, level + LEAST_SEAM_LEVELS):
        return None
    reach, last = least, start + way * (least - 1)
    while True:
        more = last + way * (1 + np.arange(reach))
        more = more[(more >= 0) & (more < count)]
        if not effort.spend((len(BESIDE) + 2) * len(more)):
            return None
        bad = np.flatnonzero(_apart(thumbs, more, lag) > 2 * level + 3)
        if len(bad) or not len(more):
            last = int(more[bad[0]]) - way if len(bad) else last
            break
        last, reach = int(more[-1]), reach * 2
    low, high = (start, last + 1) if way > 0 else (last, start + 1)
    frames = np.arange(low, high)
    own = _apart(thumbs, frames, lag)
    beside = np.min([_apart(thumbs, frames, lag + away) for away in BESIDE], axis=0)
    near = beside[:SEAM_FRAMES] if way > 0 else beside[-SEAM_FRAMES:]
    near = near[np.isfinite(near)]
    if len(near) and beyond < SEAM_SHARE * float(middle(near)):
        return None
    telling = np.isfinite(beside) & (beside > TELLING * own) & (beside > own + TELLING_LEVELS)
    if telling.sum() < max(TELLING_FRAMES, round(TELLING_S * rate_hz)):
        return None
    sharpness = float((beside[telling].mean() + 0.5) / (own[telling].mean() + 0.5))
    if sharpness < LEAST_SHARPNESS:
        return None
    return Repeat(min(low, low + lag), min(high, high + lag), abs(lag), sharpness, seamed=True)


def _once(found: list[Repeat]) -> list[Repeat]:
    """Of pairs that overlap at nearly the same lag, the one that tells most."""
    kept: dict[int, list[Repeat]] = defaultdict(list)
    for one in sorted(found, key=lambda r: -(r.last - r.first) * r.sharpness):
        if not any(
            min(one.last, other.last) > max(one.first, other.first)
            for lag in range(one.lag - 2, one.lag + 3)
            for other in kept.get(lag, ())
        ):
            kept[one.lag].append(one)
    every = [one for same in kept.values() for one in same]
    every.sort(key=lambda r: -(r.last - r.first) * r.sharpness)
    return sorted(every[:MOST], key=lambda r: r.first)
