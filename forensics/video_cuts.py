"""Shot boundaries of a produced video: hard cuts, fades through black or white, dissolves.

Pure functions of the thumbnails and the frame rows. Frames are ordinals, so rotation and variable
frame rate change nothing; windows are seconds turned into frames at the clip's median rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from forensics.scan_order import middle
from forensics.video_measure import largest_around

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Boundary",
    "find_dissolves",
    "find_fades",
    "find_hard_cuts",
    "find_shots",
    "measure_steps",
    "same_place",
    "same_structure",
    "same_view",
]

#: A new shot differs by at least this many grey levels (of 255), mean over the picture…
LEAST_CHANGE = 9.0
#: …and by this many times more than any step nearby.
LEAST_RATIO = 2.2
#: Two pictures are the same view if they correlate this much, or agree in this share of what
#: there is to see.
SAME_VIEW = 0.9
SAME_SHARE = 0.65
#: Two empty views are one place if they agree in this share: on either side of real cuts at most
#: 0.17 did, around somebody who filled a fixed view at least 0.42.
SAME_PLACE = 0.3
PLACE_S = 8.0
#: Ends of a window that correlate more are one view, and nothing dissolved between them.
ONE_VIEW = 0.8
#: Pictures worked on at a time.
CHUNK = 512


@dataclass(frozen=True)
class Boundary:
    """Where one shot ends: `first` frame of the new shot; `start`…`end` the frames in between."""

    kind: Literal["cut", "fade", "dissolve"]
    first: int
    start: int
    end: int
    score: float


def measure_steps(thumbs: NDArray[np.uint8], lag: int = 1) -> NDArray[np.float64]:
    """Mean absolute difference of each thumbnail to the one `lag` frames before (0 at the start).

    Parameters
    ----------
    thumbs
        (n, h, w) uint8.
    lag
        Each picture is held against the one so many before it.

    Returns
    -------
    ndarray
        (n,) grey levels.
    """
    import cv2
    import numpy as np

    steps = np.zeros(len(thumbs))
    flat = thumbs.reshape(len(thumbs), thumbs[:1].size)
    for low in range(lag, len(thumbs), CHUNK):
        high = min(len(thumbs), low + CHUNK)
        change = cv2.absdiff(flat[low:high], flat[low - lag : high - lag])
        total = cv2.reduce(change, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
        steps[low:high] = total[:, 0] / flat.shape[1]
    return steps


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    import numpy as np

    a, b = one.astype(float).ravel(), other.astype(float).ravel()
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 1e-6 else 0.0


def same_view(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two thumbnails show one view, whatever walks through it and however bright it is."""
    import numpy as np

    if _correlation(one, other) > SAME_VIEW:
        return True
    a, b = one.astype(np.float32), other.astype(np.float32)
    return _shared(a - middle(a.ravel()), b - middle(b.ravel())) > SAME_SHARE


def same_place(thumbs: NDArray[np.uint8], at: int, rate_hz: float) -> bool:
    """Whether the seconds before and after a frame show one place, whoever fills it at that moment.

    Parameters
    ----------
    thumbs
        (n, h, w) uint8.
    at
        The first frame after what looks like a change of view.
    rate_hz
        Frames a second.
    """
    import numpy as np

    reach = max(2, round(PLACE_S * rate_hz))
    stride = max(1, reach // 24)
    sides = thumbs[max(0, at - reach) : at : stride], thumbs[at : at + reach : stride]
    if not len(sides[0]) or not len(sides[1]):
        return False
    one, other = (middle(np.moveaxis(side, 0, -1)).astype(np.float32) for side in sides)
    return _shared(one - middle(one.ravel()), other - middle(other.ravel())) > SAME_PLACE


def _shared(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The share of what stands out in either picture that is the same in both."""
    import numpy as np

    # Two dark pictures agree wherever they are dark: only what stands out counts.
    seen = (np.abs(one) > 8) | (np.abs(other) > 8)
    return float((np.abs(one - other) <= 9)[seen].mean()) if seen.mean() >= 0.05 else 0.0


def same_structure(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two thumbnails show one view in other light: what stands there still stands there.

    In blocks of five by five pixels a light that is switched changes the level and the contrast,
    not the pattern.
    """
    import numpy as np

    rows, columns = one.shape[0] // 5 * 5, one.shape[1] // 5 * 5
    if not rows or not columns:
        return False

    def blocks(thumb: NDArray[np.uint8]) -> NDArray[np.float32]:
        cut = thumb[:rows, :columns].astype(np.float32)
        parts = cut.reshape(rows // 5, 5, columns // 5, 5).swapaxes(1, 2).reshape(-1, 25)
        centred: NDArray[np.float32] = parts - parts.mean(axis=1, keepdims=True)
        return centred

    a, b = blocks(one), blocks(other)
    size_a, size_b = (a**2).sum(axis=1), (b**2).sum(axis=1)
    seen = (size_a > 25 * 9) & (size_b > 25 * 4) | (size_a > 25 * 4) & (size_b > 25 * 9)
    if seen.sum() < 4:
        return False
    alike = (a * b).sum(axis=1) / np.sqrt(size_a * size_b + 1e-6) > 0.8
    return float(alike[seen].mean()) > 0.5


def find_hard_cuts(
    thumbs: NDArray[np.uint8], chroma: NDArray[np.float64], rate_hz: float
) -> list[Boundary]:
    """Steps that stand out from everything within half a second and lead to another view.

    Parameters
    ----------
    thumbs
        (n, h, w) uint8.
    chroma
        (n,) mean absolute change of colour to the frame before.
    rate_hz
        Frames a second.
    """
    import numpy as np

    steps = measure_steps(thumbs) + chroma
    reach = int(max(3, round(rate_hz * 0.4)))
    before, after = largest_around(steps, reach)
    ratio = steps / np.maximum(np.maximum(before, after), 1.0)
    found = []
    for at in np.flatnonzero((steps >= LEAST_CHANGE) & (ratio >= LEAST_RATIO)):
        t = int(at)
        if t < 1 or t >= len(thumbs):
            continue
        # A flash or a damaged frame comes back to what was there before.
        ahead, behind = min(len(thumbs) - 1, t + 2), max(0, t - 3)
        if same_view(thumbs[t - 1], thumbs[ahead]):
            continue
        if t + 1 < len(thumbs) and same_view(thumbs[behind], thumbs[t]):
            continue
        strength = min(1.0, 0.5 + 0.1 * float(np.log2(ratio[t] / LEAST_RATIO) + steps[t] / 20))
        found.append(Boundary("cut", t, t - 1, t, strength))
    return found


def _flatness(thumb: NDArray[np.uint8]) -> float:
    """Share of the picture within six grey levels of its median: a caption may stay."""
    import numpy as np

    return float((np.abs(thumb.astype(float) - middle(thumb.ravel())) <= 6).mean())


def _is_flat(thumb: NDArray[np.uint8], beside: NDArray[np.uint8]) -> bool:
    """Flat, or all but: the darkest picture of a quick fade is not quite black."""
    import numpy as np

    if _flatness(thumb) >= 0.9:
        return True
    if 48 < middle(thumb.ravel()) < 208:
        return False
    here, there = (np.percentile(t, (5, 95)) for t in (thumb, beside))
    return float(here[1] - here[0]) < min(40.0, 0.3 * float(there[1] - there[0]))


def find_fades(
    dissolves: list[Boundary], thumbs: NDArray[np.uint8], level: NDArray[np.float64]
) -> list[Boundary]:
    """Dissolves to or from a flat picture are fades; out and in around one flat stretch are one.

    Returns
    -------
    list of Boundary
        The dissolves, those that are fades renamed; `first` is then the first frame that shows
        the new shot.
    """
    found: list[Boundary] = []
    for one in dissolves:
        ends = thumbs[one.start], thumbs[one.end]
        low, high = _is_flat(*ends), _is_flat(*ends[::-1])
        if not (low or high):
            found.append(one)
            continue
        rising = level[one.start] < level[one.end] if low and high else low
        fade = Boundary("fade", one.start + 1 if rising else one.end, one.start, one.end, one.score)
        last = found[-1] if found else None
        if last is not None and last.kind == "fade" and rising and last.first == last.end:
            between = thumbs[last.end : fade.start + 1 : 4]
            steady = level[last.end : fade.start + 1]
            # Between a quick fade out and in lies nothing; a shot between them is told by length.
            flat = fade.start - last.end <= 2 or all(_flatness(t) >= 0.9 for t in between)
            if flat and float(steady.max() - steady.min()) < 24:
                found[-1] = Boundary(
                    "fade", fade.first, last.start, fade.end, max(last.score, fade.score)
                )
                continue
        found.append(fade)
    return found


def find_dissolves(
    thumbs: NDArray[np.uint8], rate_hz: float, taken: list[Boundary]
) -> list[Boundary]:
    """Stretches in which each picture is a mixture of what is before and what is after.

    For windows of a third of a second to three seconds whose ends differ like two shots, each
    picture between is projected on the line from the first to the last. A dissolve runs along it
    evenly and leaves little beside it; motion does not.
    """
    import numpy as np

    found: list[tuple[float, Boundary]] = []
    count = len(thumbs)
    steps = measure_steps(thumbs)
    # How much lies between each frame and the one before belongs to what is taken, up to it.
    cut = np.zeros(count + 1, np.int64)
    for b in taken:
        cut[b.start + 1 : b.end + 1] = 1
    cut = np.cumsum(cut)
    for window_s in (0.35, 0.6, 1.0, 1.6, 2.5):
        length = int(max(4, round(window_s * rate_hz)))
        if count <= length + 2:
            break
        apart = measure_steps(thumbs, length)
        stride = max(1, length // 8)
        tried = np.flatnonzero(apart >= LEAST_CHANGE * 1.3)
        tried = tried[tried % stride == 0]
        tried = tried[cut[tried] == cut[tried - length]]
        for end in tried[_other_views(thumbs, tried - length, tried)]:
            start = int(end) - length
            score, begins, ends = _mixture(
                thumbs[start : int(end) + 1], steps[start + 1 : int(end) + 1]
            )
            if score > 0:
                first = start + (begins + ends + 1) // 2
                there = Boundary("dissolve", first, start + begins, start + ends, score)
                # A piece of a slow fade is as even as the whole: the whole goes further.
                found.append((score * float(apart[end]), there))
    kept: list[Boundary] = []
    used = np.zeros(count, dtype=bool)
    for _, boundary in sorted(found, key=lambda item: -item[0]):
        if not used[boundary.start : boundary.end + 1].any():
            used[boundary.start : boundary.end + 1] = True
            kept.append(boundary)
    return sorted(kept, key=lambda b: b.first)


def _other_views(
    thumbs: NDArray[np.uint8], ones: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which pairs of pictures may not correlate as one view does; the last bits are left to it."""
    import numpy as np

    apart = np.empty(len(ones), dtype=bool)
    for low in range(0, len(ones), CHUNK):
        a, b = (
            thumbs[rows[low : low + CHUNK]].reshape(-1, thumbs[0].size).astype(np.float32)
            for rows in (ones, others)
        )
        a -= a.mean(axis=1, keepdims=True)
        b -= b.mean(axis=1, keepdims=True)
        product, size_a, size_b = (np.vecdot(*pair) for pair in ((a, b), (a, a), (b, b)))
        size = np.sqrt(size_a * size_b)
        apart[low : low + CHUNK] = product <= (ONE_VIEW + 1e-4) * np.maximum(size, 1e-6)
    return apart


def _mixture(
    window: NDArray[np.uint8], steps: NDArray[np.float64]
) -> tuple[float, int, int]:
    """How well a window is one shot turning into another, and the frames where it does."""
    import numpy as np

    if _correlation(window[0], window[-1]) > ONE_VIEW:
        return 0.0, 0, 0
    flat = window.reshape(len(window), -1).astype(np.float32)
    first, last = flat[0], flat[-1]
    way = last - first
    size = float(way @ way)
    if size < 1:
        return 0.0, 0, 0
    flat -= first.copy()
    share = flat @ way / size
    even = np.diff(share)
    if even.min() < -0.03 or even.max() > max(0.35, 3.5 / len(even)):
        return 0.0, 0, 0
    # Of a mixture in equal parts nothing is left beside the line; of two unlike shots cut hard
    # neither, but then one step holds everything.
    if steps.max() > 0.4 * steps.sum():
        return 0.0, 0, 0
    flat -= share[:, None] * way
    left = float(np.sqrt((flat**2).sum(axis=1).max() / size))
    if left > 0.22:
        return 0.0, 0, 0
    moving = np.flatnonzero((share > 0.02) & (share < 0.98))
    begins, ends = int(moving[0]) - 1, int(moving[-1]) + 1
    # The window that starts and ends where the dissolve does is the one fully used.
    used = (ends - begins) / (len(share) - 1)
    score = min(1.0, (1 - left / 0.22) * 0.5 + 0.5 * used)
    return score, max(0, begins), min(len(share) - 1, ends)


def find_shots(
    thumbs: NDArray[np.uint8], level: NDArray[np.float64], chroma: NDArray[np.float64],
    rate_hz: float,
) -> list[Boundary]:  # fmt: skip
    """Cuts, fades and dissolves, each place once, in order of time."""
    import hashlib

    import numpy as np

    # Cuts, discontinuities and keyframes ask in turn about the same measurements.
    digest = hashlib.sha256(repr((thumbs.shape, rate_hz)).encode())
    for array in (thumbs, level, chroma):
        for low in range(0, len(array), CHUNK):
            digest.update(np.ascontiguousarray(array[low : low + CHUNK]).data)
    key = digest.digest()
    if key not in _known:
        _known.clear()
        _known[key] = tuple(_find_shots(thumbs, level, chroma, rate_hz))
    return list(_known[key])


#: The last answer, by what it was an answer to.
_known: dict[bytes, tuple[Boundary, ...]] = {}


def _find_shots(
    thumbs: NDArray[np.uint8], level: NDArray[np.float64], chroma: NDArray[np.float64],
    rate_hz: float,
) -> list[Boundary]:  # fmt: skip
    cuts = find_hard_cuts(thumbs, chroma, rate_hz)
    slow = find_fades(find_dissolves(thumbs, rate_hz, cuts), thumbs, level)
    # What fades in at the first frame or out at the last joins nothing to anything.
    inner = [b for b in slow if b.kind == "dissolve" or 2 < b.first < len(thumbs) - 3]
    return sorted([*cuts, *inner], key=lambda b: b.first)
