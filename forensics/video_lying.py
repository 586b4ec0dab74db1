"""Who stood a moment ago and lies now: the end of a fall, from still pictures of each second.

Pure functions of arrays. A trail breaks when a body falls, and the background takes in who stays
down; the ground of the seconds before knows neither the one nor the other. What lies there for two
seconds, flat, where nothing lay, and where somebody upright was and is no more, fell or lay down.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from forensics.video_acts import inside
from forensics.video_courses import NOWHERE, WITHIN
from forensics.video_tracks import is_ghost

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.floating[Any]]
    Flags = NDArray[np.bool_]

__all__ = ["BESIDE", "BLIND_S", "Lying", "doubt_lying", "find_lying"]

_Box = tuple[float, float, float, float]

#: Seconds of ground before, those just before that may hold the figure itself, and how many of
#: ground are the least: of fewer, whoever was there leaves a hole the shape of a body.
_GROUND, _APART, _LEAST_GROUND = 12, 3, 4
#: So long nothing can be said.
BLIND_S = float(_APART + _LEAST_GROUND - 1)
#: In heights of a figure: what lies is no higher and no longer than this, and no smaller.
_LOW, _LONG, _SHORT, _LEAST_AREA = 0.5, 1.5, 0.3, 0.06
_UPRIGHT = (0.62, 1.4)
#: How near the feet must have been, in heights, across and down the picture.
_NEAR, _DEEP = 0.45, 0.45
#: A quicker way down is a fall, a slower one may be lying down: seconds from upright to flat.
_QUICK_S = 1.6
#: Of what stood there this much must lie there, in pixels: the rest may be foreshortened.
_SHARE = 0.3
#: So near to what lies, in heights, the shadow of who stands begins; and for so much of the time
#: after.
_TOUCHES, _MOSTLY = 0.15, 0.3
BESIDE = "something upright stands where it lies: what lies there may be its shadow"


@dataclass(frozen=True)
class Lying:
    """Last upright at, first flat at (s), the box it lies in, the box it stood in, and whether
    something as tall as who stood goes on standing at what lies."""

    start: float
    end: float
    box: _Box
    stood: _Box
    beside: bool = False

    def scaled(self, factor: float) -> Lying:
        """The same in other pixels."""
        box, stood = ((x * factor, y * factor, w * factor, h * factor)
                      for x, y, w, h in (self.box, self.stood))  # fmt: skip
        return replace(self, box=box, stood=stood)


def doubt_lying(one: Lying, hidden: Sequence[Sequence[tuple[float, float]]], large: Floats) -> str:
    """Why who lies there may not have fallen; empty if nothing speaks against it.

    Parameters
    ----------
    one
        In displayed pixels.
    hidden
        Outlines of what hides what is behind it.
    large
        (n, 5) times and boxes of what is larger than a figure.
    """
    import numpy as np

    for x, y, w, h in (one.box, one.stood):
        gx, gy = np.meshgrid(np.linspace(x, x + w, 7), np.linspace(y, y + h, 7))
        if any(inside(polygon, gx, gy).any() for polygon in hidden):
            return NOWHERE
    if one.beside:
        return BESIDE
    x, y, w, h = one.box
    near = large[np.abs(large[:, 0] - one.end) < 0.6]
    across = np.minimum(x + w, near[:, 1] + near[:, 3]) - np.maximum(x, near[:, 1])
    down = np.minimum(y + h, near[:, 2] + near[:, 4]) - np.maximum(y, near[:, 2])
    carried = (across > 0.5 * w) & (down > 0.5 * h)
    return WITHIN if carried.sum() > 0.3 * max(1, len(carried)) else ""


def find_lying(
    frames: Bytes, times: Sequence[float], *, heights: tuple[float, float], least_px: float = 24.0
) -> list[Lying]:
    """What lies flat for two seconds where somebody upright was before.

    Parameters
    ----------
    frames
        (n, h, w) uint8 of an upright, fixed view, about ten a second.
    times
        (n,) seconds.
    heights
        Height of an upright figure as a + b * foot row, in pixels of `frames`.
    least_px
        Smaller figures are not looked at.

    When it errs
    ------------
    It calls it wrongly when somebody sets down something as large as a body and goes behind
    something at once, or lies down within a second and a half. Of who lies where somebody stands
    it cannot tell that it is no shadow (`beside`). It misses who goes on moving on the
    ground, who falls behind something or in the first six seconds, and who is as bright as the
    ground.
    """
    import numpy as np

    clock = np.asarray(times, float)
    if len(clock) < 20:
        return []
    second = np.floor(clock - clock[0]).astype(int)
    groups = [np.flatnonzero(second == k) for k in range(int(second[-1]) + 1)]
    still: list[Floats | None] = [
        np.median(frames[g], axis=0).astype(np.float32) if len(g) >= 3 else None for g in groups
    ]
    noise = _noise(frames)
    found: list[Lying] = []
    for k in range(int(BLIND_S), len(groups) - 1):
        here, later = still[k], still[k + 1]
        before = [p for p in still[max(0, k - _GROUND) : k - _APART + 1] if p is not None]
        if here is None or later is None or len(before) < _LEAST_GROUND:
            continue
        ground = np.median(np.stack(before), axis=0).astype(np.float32)
        limit = np.maximum(9.0, 2.5 * noise)
        stays = (np.abs(here - ground) > limit) & (np.abs(later - ground) > limit)
        stays &= np.abs(here - later) < limit
        for box in _flat(stays, heights, least_px):
            if is_ghost(here, ground, stays.astype(np.uint8), box) or any(
                _overlap(box, other.box) > 0.2 for other in found if clock[0] + k - other.end < 9
            ):
                continue
            one = _stood(frames, clock, ground, noise, box, clock[0] + k, heights)
            # Who fell may lie in two places that do not touch: legs on the grass, head on the path.
            if one is not None and not any(
                abs(one.start - other.start) < 1.0 and _overlap(one.stood, other.stood) > 0.3
                for other in found
            ):
                found.append(one)
    return found


def _noise(frames: Bytes) -> Floats:
    """What each pixel usually differs by from one picture to another, in grey levels."""
    import cv2
    import numpy as np

    some = frames[:: max(1, len(frames) // 40)]
    pairs = np.stack([np.abs(b.astype(np.int16) - a) for a, b in itertools.pairwise(some)])
    spread = np.median(pairs, axis=0).astype(np.float32) * 1.05
    out: Floats = np.maximum(np.asarray(cv2.blur(spread, (9, 9)), np.float32), 1.0)
    return out


def _parts(mask: Flags) -> list[tuple[_Box, int]]:
    """Connected places, gaps of a pixel or two closed: box and pixels."""
    import cv2
    import numpy as np

    clean = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    clean = cv2.morphologyEx(clean, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(clean)
    return [
        ((float(x), float(y), float(w), float(h)), int(area))
        for x, y, w, h, area in stats[1:count].tolist()
    ]


def _tall(box: _Box, heights: tuple[float, float]) -> float:
    return heights[0] + heights[1] * (box[1] + box[3])


def _flat(mask: Flags, heights: tuple[float, float], least_px: float) -> list[_Box]:
    """The places that lie as a body does."""
    out = []
    for box, area in _parts(mask):
        tall = _tall(box, heights)
        if tall < least_px:
            continue
        wide, high = box[2] / tall, box[3] / tall
        flat = _SHORT < wide < _LONG and high < _LOW and high < 1.1 * wide
        if flat and area > _LEAST_AREA * tall * tall:
            out.append(box)
    return out


def _overlap(one: _Box, other: _Box) -> float:
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0.0, across) * max(0.0, down)
    return shared / max(1.0, one[2] * one[3] + other[2] * other[3] - shared)


def _stood(
    frames: Bytes, clock: Floats, ground: Floats, noise: Floats, box: _Box, time: float,
    heights: tuple[float, float],
) -> Lying | None:  # fmt: skip
    """Who stood where something lies now, and when they last did; None: nobody, or still there."""
    import numpy as np

    tall = _tall(box, heights)
    reach = 2.0 * tall
    top, bottom = int(max(0, box[1] - 1.3 * tall)), int(box[1] + box[3] + 0.6 * tall)
    left, right = int(max(0, box[0] - reach)), int(box[0] + box[2] + reach)
    limit = np.maximum(14.0, 4.0 * noise[top:bottom, left:right])
    plain = ground[top:bottom, left:right]
    near: list[tuple[_Box, int] | None] = []
    about, covered, beside = [], [], []
    moments = clock[(clock >= time - 3.2) & (clock <= time + 2.0)]
    x, y, w, h = (int(v) for v in box)
    for i in np.flatnonzero((clock >= time - 3.2) & (clock <= time + 2.0)):
        mask = np.abs(frames[i, top:bottom, left:right].astype(np.float32) - plain) > limit
        parts = [((px + left, py + top, pw, ph), area) for (px, py, pw, ph), area in _parts(mask)]
        up = [(one, area) for one, area in parts if _is_upright(one, heights)]
        # A figure and its shadow are one place, too wide to be upright.
        beside.append(any(
            one[3] > _UPRIGHT[0] * _tall(one, heights) and _touches(one, box, _TOUCHES * tall)
            for one, _ in parts
        ))  # fmt: skip
        close = [(one, area) for one, area in up if _gap(one, box) < _NEAR * tall
                 and abs(one[1] + one[3] - box[1] - box[3]) < _DEEP * tall]  # fmt: skip
        near.append(close[0] if close else None)
        about.append(len(up))
        covered.append(float(mask[y - top : y + h - top, x - left : x + w - left].mean()))
    stood = np.array([one is not None for one in near])
    if not stood.any():
        return None
    last = int(np.flatnonzero(stood)[-1])
    gone = moments[last]
    cover, count = np.array(covered), np.array(about)
    until = (moments >= gone - 1.0) & (moments <= gone)
    settled = float(np.median(cover[moments >= time + 0.3]))
    lies = np.flatnonzero((cover > 0.7 * settled) & (moments > gone))
    after = count[moments > gone + 0.4]
    if gone > time + 0.3 or settled < 0.3 or not len(lies) or stood[until].mean() < 0.5:
        return None
    if moments[lies[0]] - gone > _QUICK_S or after.mean() > count[until].mean() - 0.5:
        return None
    upright = near[last]
    if upright is None or settled * w * h < _SHARE * upright[1]:
        return None
    stands = np.array(beside)[moments > max(gone + 0.4, time)]
    return Lying(
        float(gone), float(moments[lies[0]]), box, upright[0], bool(stands.mean() > _MOSTLY)
    )


def _is_upright(box: _Box, heights: tuple[float, float]) -> bool:
    tall = max(_tall(box, heights), 1.0)
    return _UPRIGHT[0] < box[3] / tall < _UPRIGHT[1] and box[2] < 0.75 * box[3]


def _touches(one: _Box, other: _Box, reach: float) -> bool:
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return across > -reach and down > -reach


def _gap(one: _Box, other: _Box) -> float:
    """How far the foot of one is beside the other, across the picture; 0: above it."""
    foot = one[0] + one[2] / 2
    return max(other[0] - foot, foot - other[0] - other[2], 0.0)
