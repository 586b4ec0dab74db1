"""Activity in a fixed view: what enters, leaves, falls, runs or stands still, and where.

Works on frames 320 pixels wide at about ten a second. What the examiner declares hidden (a tree, a
parked van) is *not testable*, so that "not seen" never reads as "not there". Trajectories carry no
identity: whether two of them are one figure is not for a machine to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from forensics.errors import SignalTooShort
from forensics.model import (
    Activity,
    Box,
    Clip,
    Coverage,
    Examination,
    NotTestable,
    Observation,
    Progress,
    Quantity,
    Region,
    Span,
    TrackPoint,
    seconds,
)
from forensics.provenance import conclude, method
from forensics.scan import Measurements, View, scan, video_stream
from forensics.video_tracks import (
    FLOOD,
    Tracker,
    Trail,
    blobs,
    learn_ground,
    moving_mask,
    smoothed,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]

__all__ = ["Event", "find_activity", "find_events_of_trail"]

WIDTH = 320
RATE_HZ = 10.0
_STRETCH_S = 120.0
_LEAST_S = 2.0

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


# -- trails to events, pure -----------------------------------------------------------------


def _inside(polygon: Sequence[tuple[float, float]], x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points lie in a polygon (even-odd rule), vectorised over points."""
    import numpy as np

    inside = np.zeros(np.shape(x), bool)
    n = len(polygon)
    for i in range(n):
        (x0, y0), (x1, y1) = polygon[i], polygon[(i + 1) % n]
        if y0 == y1:
            continue
        crosses = (y < max(y0, y1)) & (y >= min(y0, y1))
        at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        inside ^= crosses & (x < at)
    return inside


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


def find_events_of_trail(
    trail: Trail, regions: Sequence[Region], *, clip_start_s: float, clip_end_s: float,
    frame_size: tuple[float, float], hold_s: float = 0.4, run_heights: float = 1.35,
    still_heights: float = 0.18, still_s: float = 2.0,
) -> list[Event]:  # fmt: skip
    """What one trail did in each region.

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
    hold_s
        How long something must stay on one side before it counts.
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
    speed = _speed(times, foot_x, foot_y) / max(tall, 1.0)
    fall = _fall(times, boxes)
    margin = 0.02 * frame_size[0]
    events: list[Event] = []
    for region in regions:
        raw = _inside(region.polygon, foot_x, np.minimum(foot_y, frame_size[1] - 1))
        inside = _settled(raw, times, hold_s)
        for a, b in _runs(inside):
            if times[b] - times[a] < hold_s:
                continue
            if a > 0:
                events.append(Event("enters", region.name, times[a - 1], times[a], 0.9))
            elif times[0] > clip_start_s + 0.6:
                near = _at_border(boxes[0], frame_size, margin)
                note = "" if near else "first seen inside the region"
                score = 0.8 if near else 0.6
                events.append(Event("enters", region.name, times[a], times[a], score, note=note))
            if b < len(times) - 1:
                events.append(Event("leaves", region.name, times[b], times[b + 1], 0.9))
            elif times[-1] < clip_end_s - 1.2:
                near = _at_border(boxes[-1], frame_size, margin)
                note = "" if near else "last seen inside the region"
                score = 0.8 if near else 0.6
                events.append(Event("leaves", region.name, times[b], times[b], score, note=note))
            part = slice(a, b + 1)
            for c, d in _runs(speed[part] >= run_heights):
                if times[a + d] - times[a + c] >= 0.5:
                    top = float(np.median(speed[a + c : a + d + 1]))
                    score = min(1.0, 0.5 + 0.5 * (top / run_heights - 1))
                    events.append(
                        Event("runs", region.name, times[a + c], times[a + d], score, top)
                    )
            for c, d in _runs(speed[part] <= still_heights):
                if times[a + d] - times[a + c] >= still_s:
                    rest = float(np.median(speed[a + c : a + d + 1]))
                    events.append(
                        Event("stands-still", region.name, times[a + c], times[a + d], 0.7, rest)
                    )
            if fall is not None and a <= fall[0] <= b:
                events.append(
                    Event("falls", region.name, times[fall[0]], times[fall[1]], fall[2])
                )
    return sorted(events, key=lambda event: event.start)


def _at_border(box: Floats, size: tuple[float, float], margin: float) -> bool:
    x, y, w, h = (float(v) for v in box)
    return x <= margin or y <= margin or x + w >= size[0] - margin or y + h >= size[1] - margin


def _speed(times: Floats, x: Floats, y: Floats, *, over_s: float = 0.6) -> Floats:
    """Pixels per second over `over_s`, centred."""
    import numpy as np

    ahead = np.interp(times + over_s / 2, times, x), np.interp(times + over_s / 2, times, y)
    back = np.interp(times - over_s / 2, times, x), np.interp(times - over_s / 2, times, y)
    lasted = np.minimum(times + over_s / 2, times[-1]) - np.maximum(times - over_s / 2, times[0])
    out: Floats = np.hypot(ahead[0] - back[0], ahead[1] - back[1]) / np.maximum(lasted, 1e-3)
    return out


def _fall(times: Floats, boxes: Floats) -> tuple[int, int, float] | None:
    """First and last index of a fall, and its score: upright, then low and lower than wide enough.

    The head sinks while the foot stays; someone walking behind a wall sinks at the foot instead.
    """
    import numpy as np

    top, width, height = boxes[:, 1], boxes[:, 2], boxes[:, 3]
    for i in range(len(times)):
        before = (times >= times[i] - 1.2) & (times <= times[i])
        if before.sum() < 3 or times[i] - times[0] < 0.4:
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
        stay = (times >= times[k]) & (times <= times[k] + 1.5)
        if times[stay][-1] - times[k] < 0.8 or np.median(height[stay]) > 0.65 * tall:
            continue
        ratio = float(np.median(height[stay]) / max(1.0, np.median(width[stay])))
        if ratio > 1.25:
            continue
        score = float(np.clip(1.2 - 0.5 * ratio, 0.4, 0.95))
        return i, k, score
    return None


# -- a clip to trails -----------------------------------------------------------------------


class _Small:
    """A `scan` detector that keeps small upright frames of one stretch and tracks through it."""

    columns: tuple[str, ...] = ()

    def __init__(self, *, rotation: int, time_base: float, least_px: float | None) -> None:
        self._turns, self._time_base = (rotation // 90) % 4, time_base
        self._least = least_px
        self._frames: list[Bytes] = []
        self._times: list[float] = []
        self._due = -1e18
        self.tracker = Tracker()
        self.factor = 1.0
        self.size = (0.0, 0.0)
        self.flooded: list[tuple[float, float]] = []
        self.thresholds: list[Floats] = []

    def measure(self, view: View) -> Sequence[float]:
        """Keep one small frame, about ten times a second."""
        import cv2
        import numpy as np

        time = view.pts * self._time_base
        if time < self._due:
            return ()
        self._due = max(self._due, time - 1.0) if self._due > -1e17 else time
        self._due = max(self._due + 1 / RATE_HZ - 1e-4, time + 0.5 / RATE_HZ)
        luma = view.luma
        if not self.size[0]:
            height, width = luma.shape[::-1] if self._turns % 2 else luma.shape
            self.factor = min(1.0, WIDTH / width)
            self.size = (float(width), float(height))
        scaled = (max(2, round(luma.shape[1] * self.factor)),
                  max(2, round(luma.shape[0] * self.factor)))  # fmt: skip
        small = cv2.resize(luma, scaled, interpolation=cv2.INTER_AREA)
        upright = np.ascontiguousarray(np.rot90(small, -self._turns)).astype(np.uint8)
        if self._frames and upright.shape != self._frames[0].shape:
            return ()
        self._frames.append(upright)
        self._times.append(time)
        if time - self._times[0] >= _STRETCH_S:
            self.flush()
        return ()

    def flush(self) -> None:
        """Track through the stretch held, then forget it."""
        import numpy as np

        if len(self._frames) < 5:
            return
        stack = np.stack(self._frames)
        ground = learn_ground(stack)
        self.thresholds.append(ground.threshold)
        least = (self._least or 0.05 * self.size[1]) * self.factor
        step = float(np.median(np.diff(self._times)))
        for frame, time in zip(stack, self._times, strict=True):
            mask, share = moving_mask(frame, ground)
            if share > FLOOD:
                self.flooded.append((time - step / 2, time + step / 2))
                continue
            self.tracker.add(time, blobs(mask, least_px=max(4.0, least)))
        self._frames, self._times = [], []

    def trails(self) -> list[Trail]:
        """Every trail, in pixels of the displayed frame."""
        self.flush()
        scale = 1 / self.factor
        return [
            Trail(t.times, [(x * scale, y * scale, w * scale, h * scale) for x, y, w, h in t.boxes])
            for t in self.tracker.finish()
        ]


def _track_points(trail: Trail, start: float, end: float) -> tuple[TrackPoint, ...]:
    """The trail around an event, at most four points a second."""
    times, boxes = smoothed(trail)
    points, due = [], -1e18
    for time, (x, y, w, h) in zip(times, boxes, strict=True):
        if start - 2.0 <= time <= end + 2.0 and time >= due:
            box = Box(round(float(x), 1), round(float(y), 1), max(0.0, round(float(w), 1)),
                      max(0.0, round(float(h), 1)))  # fmt: skip
            points.append(TrackPoint(seconds(float(time)), box))
            due = time + 0.249
    return tuple(points)


def _share_hidden(region: Region, occluders: Sequence[Region]) -> dict[str, float]:
    """How much of a region each occluder hides, 0 to 1, by a grid of points."""
    import numpy as np

    xs, ys = (np.array([p[k] for p in region.polygon]) for k in (0, 1))
    gx, gy = np.meshgrid(np.linspace(xs.min(), xs.max(), 60), np.linspace(ys.min(), ys.max(), 60))
    inside = _inside(region.polygon, gx, gy)
    total = max(1, int(inside.sum()))
    shares = {o.name: float((inside & _inside(o.polygon, gx, gy)).sum()) / total for o in occluders}
    return {name: share for name, share in shares.items() if share > 0.005}


def _blind(
    regions: Sequence[Region], occluders: Sequence[Region], small: _Small, span: Span
) -> list[NotTestable]:
    """Where and when activity could not have been seen."""
    import numpy as np

    blind = []
    for region in regions:
        for name, share in _share_hidden(region, occluders).items():
            text = f"region {region.name!r}: {share:.0%} of it lies behind {name!r}"
            blind.append(NotTestable(span, text))
        if small.thresholds:
            threshold = np.median(np.stack(small.thresholds[:8]), axis=0)
            h, w = threshold.shape
            gx, gy = np.meshgrid((np.arange(w) + 0.5) / small.factor,
                                 (np.arange(h) + 0.5) / small.factor)  # fmt: skip
            there = _inside(region.polygon, gx, gy)
            if not there.any():
                blind.append(NotTestable(span, f"region {region.name!r} lies outside the picture"))
            elif float((threshold[there] > 45).mean()) > 0.5:
                text = f"region {region.name!r}: its own unrest (leaves, noise) hides figures"
                blind.append(NotTestable(span, text))
    for start, end in _joined_spans(small.flooded):
        low, high = max(float(span.start), start), min(float(span.end), end)
        if high > low:
            blind.append(NotTestable(Span.of(low, high), "the light of the whole picture changed"))
    return blind


def _joined_spans(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    out: list[tuple[float, float]] = []
    for start, end in spans:
        if out and start <= out[-1][1] + 0.15:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def _observation(event: Event, trail: Trail, occluders: Sequence[Region]) -> Observation:
    import numpy as np

    note = event.note
    if note:
        at = int(np.argmin(np.abs(np.array(trail.times) - event.start)))
        x, y, w, h = trail.boxes[at]
        for screen in occluders:
            gx, gy = np.meshgrid(np.linspace(x, x + w, 5), np.linspace(y, y + h, 5))
            if _inside(screen.polygon, gx, gy).any():
                note += f", beside what {screen.name!r} hides"
    measures = {}
    if event.speed is not None:
        # Heights come from boxes that are off by a pixel or two of the small frame.
        measures["speed"] = Quantity(
            event.speed, "own heights/s", max(0.0, 0.75 * event.speed), 1.3 * event.speed
        )
    said = Activity(
        event.region, event.kind, seconds(float(event.start)),
        _track_points(trail, event.start, event.end),
    )  # fmt: skip
    return Observation(
        said, Span.of(float(event.start), float(max(event.start, event.end))),
        round(event.score, 4), measures=measures, note=note, stratum=event.kind,
    )  # fmt: skip


@method("video-activity", version="1")
def find_activity(
    clip: Clip, regions: tuple[Region, ...] = (), *, occluders: tuple[Region, ...] = (),
    figure_px: float | None = None, progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Find what enters, leaves, falls, runs or stands still in regions of a fixed view.

    Parameters
    ----------
    clip
        An opened clip from a camera that does not move.
    regions
        Areas of interest, in displayed pixels; the whole picture, as "picture", if none is given.
        The foot of what moves decides whether it is inside.
    occluders
        Areas behind which nothing can be seen; what they hide of a region is not testable.
    figure_px
        Least height (or length) in displayed pixels of what is followed; 5 % of the picture's
        height by default.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Activity` findings in order of time, each with the trajectory around it, without identity.

    Raises
    ------
    SignalTooShort, StreamMissing
        Become *not applicable*: under 2 s of pictures, or none.

    When it errs
    ------------
    It calls it wrongly when two figures meet and part, as trails may be exchanged (association);
    when a shadow, a reflection or headlights move over a region; when someone bends down behind a
    thing that was not declared (misinterpretation). It misses figures as light as the ground
    behind them, what stands still for more than half of two minutes, and running straight towards
    the camera (incompleteness). It says nothing about what is hidden, how far away something is,
    or who it is; and nothing at all if the camera moves.
    """
    stream = video_stream(clip)
    small = _Small(
        rotation=stream.rotation, time_base=float(stream.time_base), least_px=figure_px
    )
    frames = scan(clip, [small], progress=progress)
    trails = small.trails()
    lasted = float(frames.time(len(frames) - 1) - frames.time(0)) if len(frames) else 0.0
    if lasted < _LEAST_S:
        raise SignalTooShort(
            f"{clip.name} shows {lasted:.2f} s: too short for a background", need_s=_LEAST_S,
            have_s=lasted,
        )  # fmt: skip
    areas = regions or (Region.of_box("picture", 0, 0, *small.size),)
    first, last = float(frames.time(0)), float(frames.time(len(frames) - 1))
    found: list[tuple[Event, Trail]] = []
    for trail in trails:
        events = find_events_of_trail(
            trail, areas, clip_start_s=first, clip_end_s=last, frame_size=small.size
        )
        found.extend((event, trail) for event in events)
    found.sort(key=lambda item: (item[0].start, item[0].region, item[0].kind))
    coverage = _cover(frames, areas, occluders, small)
    return conclude(
        [_observation(event, trail, occluders) for event, trail in found],
        coverage=coverage, stratum="fixed view",
        reason=f"{len(trails)} trails followed in {len(areas)} regions",
        measures={"trails": Quantity.exact(len(trails), "count")},
    )  # fmt: skip


def _cover(
    frames: Measurements, areas: Sequence[Region], occluders: Sequence[Region], small: _Small
) -> Coverage:
    seen = frames.coverage()
    span = seen.span or Span(Fraction(0), Fraction(0))
    blind = _blind(areas, occluders, small, span)
    return Coverage(seen.span, seen.units_seen, "frames", seen.decode_failures, tuple(blind))
