"""What a trajectory does in a region an examiner drew: enters, leaves, falls, runs, stands still.

Pure functions of arrays; the foot of the box decides what is inside.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from forensics.model import Region
from forensics.video_courses import EDGE, WALKING, Course, at_border, too_narrow
from forensics.video_trails import Trail, smoothed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = ["SPEED_WITHIN", "Event", "edge_distance", "find_events_of_trail", "inside"]

#: What neither comes from an edge of the picture nor goes there must last this long.
_SCRAP_S = 1.5
#: A part of a run this long must be free of doubt if all of it is not.
_CLEAR_S = 1.5
#: No wider a margin than this share of a region's smaller side.
_MARGIN_SHARE = 0.2
#: What goes back and forth at an edge this soon (s) about a crossing is that crossing.
_ALONG_S = 1.0
#: How long what fell must be followed low.
_LOW_S = 0.5
#: The 95 % interval of a speed in own heights, as shares of it: heights come from boxes that are
#: off by a pixel or two of the small frame. What runs must do so in all of it.
SPEED_WITHIN = (0.75, 1.3)

Kind = Literal["enters", "leaves", "falls", "runs", "stands-still"]


@dataclass(frozen=True)
class Event:
    """Something a trail did in a region: from, to, when (s), how clearly (0 to 1), how measured."""

    kind: Kind
    region: str
    start: float
    end: float
    score: float
    speed: float | None = None
    note: str = ""
    #: Why it may not be said; empty if nothing speaks against it.
    doubt: str = ""


def inside(polygon: Sequence[tuple[float, float]], x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points lie in a polygon (even-odd rule), vectorised over points."""
    import numpy as np

    within = np.zeros(np.shape(x), bool)
    n = len(polygon)
    for i in range(n):
        (x0, y0), (x1, y1) = polygon[i], polygon[(i + 1) % n]
        if y0 == y1:
            continue
        crosses = (y < max(y0, y1)) & (y >= min(y0, y1))
        at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        within ^= crosses & (x < at)
    return within


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of True as (first, last)."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(np.int8), 0]))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _settled(flags: NDArray[np.bool_], times: Floats, hold_s: float) -> NDArray[np.bool_]:
    """Flags with stretches shorter than `hold_s` turned over, except at the ends."""
    out = flags.copy()
    for value in (False, True):
        for a, b in _runs(out == value):
            if times[b] - times[a] < hold_s and a > 0 and b < len(out) - 1:
                out[a : b + 1] = not value
    return out


def edge_distance(polygon: Sequence[tuple[float, float]], x: Floats, y: Floats) -> Floats:
    """How far points are from a polygon's edge, in its pixels; negative outside."""
    import numpy as np

    away = np.full(np.shape(x), np.inf)
    n = len(polygon)
    for i in range(n):
        (x0, y0), (x1, y1) = polygon[i], polygon[(i + 1) % n]
        dx, dy = x1 - x0, y1 - y0
        share = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
        away = np.minimum(away, np.hypot(x - x0 - share * dx, y - y0 - share * dy))
    signed: Floats = np.where(inside(polygon, x, y), away, -away)
    return signed


def _crossed(distance: Floats, least_px: float) -> NDArray[np.bool_]:
    """Which points count as inside: a side is changed only by going `least_px` beyond the edge.

    Who stands on the edge neither enters nor leaves with every step of the measurement. The change
    is dated when the edge itself was last crossed.
    """
    import numpy as np

    within = distance > 0
    out = within.copy()
    sure = np.flatnonzero(np.abs(distance) >= least_px)
    if not len(sure):
        return np.full(len(distance), bool(np.median(distance) > 0))
    out[: sure[0]] = within[sure[0]]
    for one, other in itertools.pairwise(sure.tolist()):
        if within[one] == within[other]:
            out[one:other] = within[one]
        else:
            # The last point still on the old side, between the two sure ones.
            turn = one + int(np.flatnonzero(within[one:other] == within[one])[-1])
            out[one : turn + 1], out[turn + 1 : other] = within[one], within[other]
    out[sure[-1] :] = within[sure[-1]]
    return out


def find_events_of_trail(
    trail: Trail, regions: Sequence[Region], *, clip_start_s: float, clip_end_s: float,
    frame_size: tuple[float, float], heights: tuple[float, float] | None = None,
    hold_s: float = 0.4, edge_heights: float = 0.15, run_heights: float = 1.35,
    still_heights: float = 0.18, still_s: float = 2.0,
) -> list[Event]:  # fmt: skip
    """What one trail did in each region, and what speaks against saying so.

    Parameters
    ----------
    trail
        Times in seconds, boxes in the regions' pixels.
    regions
        Areas drawn by the examiner; the foot of the box decides what is inside.
    clip_start_s, clip_end_s
        A trail that begins or ends with the clip neither enters nor leaves then.
    frame_size
        Width and height of the picture.
    heights
        How tall an upright figure is where its foot stands: height = a + b * foot row, in the
        regions' pixels. None where it is not known: then nothing is said to run.
    hold_s
        How long something must stay on one side before it counts.
    edge_heights
        How far beyond the edge, in own heights, it must come before it counts as across; no more
        than a fifth of the region's smaller side. A foot is placed no better than that.
    run_heights, still_heights
        Speed in own heights per second from which it runs, up to which it stands still.
    still_s
        How long it must stand.
    """
    import numpy as np

    times, boxes = smoothed(trail)
    if len(times) < 4 or times[-1] - times[0] < hold_s:
        return []
    foot_x, foot_y = boxes[:, 0] + boxes[:, 2] / 2, boxes[:, 1] + boxes[:, 3]
    # Its usual height, not the current one: a fallen figure is no slower for being flat.
    tall = float(np.percentile(np.maximum(boxes[:, 3], 0.5 * boxes[:, 2]), 75))
    if heights is not None:
        # A part of a figure must not seem fast for being small.
        tall = max(tall, 0.8 * (heights[0] + heights[1] * float(np.median(foot_y))))
    speed = _speed(times, foot_x, foot_y) / max(tall, 1.0)
    falls = _falls(times, boxes)
    margin = 0.02 * frame_size[0]
    if times[-1] - times[0] < _SCRAP_S and not (
        at_border(boxes[0], frame_size, margin) or at_border(boxes[-1], frame_size, margin)
    ):
        # Nothing comes from nowhere and goes nowhere in a moment: a scrap of something else.
        return []
    course = Course(trail, times, boxes, frame_size, heights)
    events: list[Event] = []
    for region in regions:
        foot = np.minimum(foot_y, frame_size[1] - 1)
        away = edge_distance(region.polygon, foot_x, foot)
        # A narrow region leaves no room for a wide margin.
        across = min(np.ptp([x for x, _ in region.polygon]), np.ptp([y for _, y in region.polygon]))
        least_px = max(1.5, min(edge_heights * tall, _MARGIN_SHARE * float(across)))
        narrow = too_narrow(region.polygon, frame_size[1], heights)
        by_head = np.where(
            np.isnan(course.feet), np.nan,
            edge_distance(region.polygon, foot_x, np.nan_to_num(course.feet)),
        )  # fmt: skip
        within = _settled(_crossed(away, least_px), times, hold_s)
        events += _along(away, within, times, region.name, hold_s)
        for a, b in _runs(within):
            if times[b] - times[a] < hold_s:
                continue
            if a > 0:
                doubt = narrow or course.doubt(times[a])
                doubt = doubt or course.doubt_side(by_head, times[a], enters=True)
                events.append(
                    Event("enters", region.name, times[a - 1], times[a], 0.9, doubt=doubt)
                )
            elif times[0] > clip_start_s + 0.6:
                events.append(_appears(course, region.name, times[a], narrow, first=True))
            if b < len(times) - 1:
                doubt = narrow or course.doubt(times[b])
                doubt = doubt or course.doubt_side(by_head, times[b], enters=False)
                events.append(
                    Event("leaves", region.name, times[b], times[b + 1], 0.9, doubt=doubt)
                )
            elif times[-1] < clip_end_s - 1.2:
                events.append(_appears(course, region.name, times[b], narrow, first=False))
            part = slice(a, b + 1)
            for c, d in _runs(speed[part] >= run_heights):
                if times[a + d] - times[a + c] >= 0.5:
                    events.append(
                        _running(course, region.name, speed, a + c, a + d, run_heights, tall)
                    )
            for c, d in _runs(speed[part] <= still_heights):
                if times[a + d] - times[a + c] >= still_s:
                    rest = float(np.median(speed[a + c : a + d + 1]))
                    events.append(
                        Event("stands-still", region.name, times[a + c], times[a + d], 0.7, rest,
                              doubt=course.doubt_standing(a + c, a + d))
                    )  # fmt: skip
            events += [
                Event("falls", region.name, times[c], times[d], score,
                      doubt=course.doubt_falling(c, d))
                for c, d, score in falls if a <= c <= b
            ]  # fmt: skip
    return sorted(events, key=lambda event: event.start)


def _running(
    course: Course, region: str, speed: Floats, first: int, last: int, run_heights: float,
    tall: float,
) -> Event:  # fmt: skip
    """Something faster than a walk: in all of the time, or in the longest part free of doubt.

    Who runs right across the view merges with this and that on the way; a second and a half seen
    clearly is a run all the same.
    """
    import numpy as np

    def event(low: int, high: int) -> Event:
        top = float(np.median(speed[low : high + 1]))
        score = min(1.0, 0.5 + 0.5 * (top / run_heights - 1))
        doubt = course.doubt_running(low, high, run_heights * tall)
        if not doubt and SPEED_WITHIN[0] * top < run_heights:
            doubt = WALKING
        start, end = float(course.times[low]), float(course.times[high])
        return Event("runs", region, start, end, score, top, doubt=doubt)

    whole = event(first, last)
    times = course.times[first : last + 1]
    if not whole.doubt or times[-1] - times[0] <= _CLEAR_S:
        return whole
    clear: list[list[int]] = []
    for low in range(first, last, 2):
        high = first + int(np.searchsorted(times, course.times[low] + _CLEAR_S))
        if high > last:
            break
        if not event(low, high).doubt:
            if clear and low <= clear[-1][1]:
                clear[-1][1] = high
            else:
                clear.append([low, high])
    for low, high in sorted(clear, key=lambda ends: ends[0] - ends[1]):
        if not (part := event(low, high)).doubt:
            return part
    return whole


def _along(
    away: Floats, within: NDArray[np.bool_], times: Floats, region: str, hold_s: float
) -> list[Event]:
    """Where a foot changes sides without going far enough to be said to: at the edge."""
    import numpy as np

    said = times[np.flatnonzero(np.diff(within.astype(np.int8)))]
    bare = _settled(away > 0, times, hold_s)
    found = []
    for k in np.flatnonzero(np.diff(bare.astype(np.int8))).tolist():
        if not (np.abs(said - times[k]) <= _ALONG_S).any():
            kind: Kind = "leaves" if bare[k] else "enters"
            found.append(Event(kind, region, times[k], times[k + 1], 0.0, doubt=EDGE))
    return found


def _appears(course: Course, region: str, time: float, narrow: str, *, first: bool) -> Event:
    """A trail that begins (or ends) inside a region: at the picture's edge, or out of nowhere."""
    kind: Kind = "enters" if first else "leaves"
    if course.at_border(time):
        return Event(kind, region, time, time, 0.8, doubt=narrow or course.doubt(time))
    note = f"{'first' if first else 'last'} seen inside the region"
    doubt = narrow or course.doubt_appearing(time, first=first)
    return Event(kind, region, time, time, 0.6, note=note, doubt=doubt)


def _speed(times: Floats, x: Floats, y: Floats, *, over_s: float = 0.6) -> Floats:
    """Pixels per second over `over_s`, centred."""
    import numpy as np

    ahead = np.interp(times + over_s / 2, times, x), np.interp(times + over_s / 2, times, y)
    back = np.interp(times - over_s / 2, times, x), np.interp(times - over_s / 2, times, y)
    lasted = np.minimum(times + over_s / 2, times[-1]) - np.maximum(times - over_s / 2, times[0])
    out: Floats = np.hypot(ahead[0] - back[0], ahead[1] - back[1]) / np.maximum(lasted, 1e-3)
    return out


def _falls(times: Floats, boxes: Floats) -> list[tuple[int, int, float]]:
    """First and last index of each fall, and its score: upright, then low and wide enough.

    The head sinks while the foot stays; someone walking behind a wall sinks at the foot instead.
    Whether it stays low is for the boxes of the place to say: somebody may pass before it.
    """
    import numpy as np

    top, width, height = boxes[:, 1], boxes[:, 2], boxes[:, 3]
    found: list[tuple[int, int, float]] = []
    for i in range(len(times)):
        before = (times >= times[i] - 1.2) & (times <= times[i])
        if before.sum() < 3 or times[i] - times[0] < 0.4:
            continue
        if found and i <= found[-1][1]:
            continue
        tall = float(np.median(height[before]))
        wide = float(np.median(width[before]))
        if tall < 1.2 * wide:
            continue
        after = np.flatnonzero((times > times[i] + 0.2) & (times <= times[i] + 1.6))
        low = after[(height[after] < 0.62 * tall)
                    & (top[after] - np.median(top[before]) > 0.3 * tall)]  # fmt: skip
        if not len(low):
            continue
        k = int(low[0])
        stay = (times >= times[k]) & (times <= times[k] + _LOW_S)
        if times[stay][-1] - times[k] < 0.6 * _LOW_S or np.median(height[stay]) > 0.65 * tall:
            continue
        ratio = float(np.median(height[stay]) / max(1.0, np.median(width[stay])))
        if ratio > 1.25:
            continue
        found.append((i, k, float(np.clip(1.2 - 0.5 * ratio, 0.4, 0.95))))
    return found
