"""Activity in a fixed view: what enters, leaves, falls, runs or stands still, and where.

Works on frames up to 640 pixels wide, ten a second. What the examiner declares hidden (a tree, a
parked van) is *not testable*, so that "not seen" never reads as "not there". Trajectories carry no
identity: whether two of them are one figure is not for a machine to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

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
from forensics.video_acts import SPEED_WITHIN, Event, find_events_of_trail, inside
from forensics.video_control import Control, find_failed, measure_controls, try_figures
from forensics.video_courses import SANK
from forensics.video_falls import Descent, find_descents
from forensics.video_lying import BLIND_S, Lying, doubt_lying, find_lying
from forensics.video_tracks import (
    FLOOD,
    Ground,
    blobs,
    evened,
    is_ghost,
    learn_ground,
    learn_heights,
    moving_mask,
    park_ground,
    part_figures,
    repair_ground,
)
from forensics.video_trails import Tracker, Trail, smoothed
from forensics.video_unseen import find_blind, find_doubtful, measure_testable, with_doubt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]

_Row = tuple[float, float, float, float, float]

__all__ = ["find_activity"]

#: Width at which figures are followed: those of a street view keep some thirty pixels.
WIDTH = 640
RATE_HZ = 10.0
_STRETCH_S = 120.0
_LEAST_S = 2.0
#: Figures smaller than this, in pixels of the small picture, are too small to see them fall.
_LEAST_FALLER_PX = 24.0
#: What is wider than this many figures are tall, and half as tall, is a vehicle or a group.
_LARGE_HEIGHTS = 1.3

# -- a clip to trails -----------------------------------------------------------------------


class _Small:
    """A `scan` detector that keeps small upright frames of one stretch and tracks through it."""

    columns: tuple[str, ...] = ()

    def __init__(
        self, *, rotation: int, time_base: float, least_px: float | None,
        regions: Sequence[Region] = (), occluders: Sequence[Region] = (),
    ) -> None:  # fmt: skip
        self._regions, self._occluders = regions, occluders
        self.controls: list[Control] = []
        self._turns, self._time_base = (rotation // 90) % 4, time_base
        self.descents: list[Descent] = []
        self.lying: list[Lying] = []
        self.large: list[_Row] = []
        self._least = least_px
        self._frames: list[Bytes] = []
        self._times: list[float] = []
        self._due = -1e18
        self.tracker = Tracker()
        self.factor = 1.0
        self.size = (0.0, 0.0)
        self.flooded: list[tuple[float, float]] = []
        self.learned: list[tuple[float, float]] = []
        self._before: Bytes | None = None
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
        ground = repair_ground(stack, learn_ground(self._enough(stack)))
        self.thresholds.append(ground.threshold)
        least = (self._least or 0.05 * self.size[1]) * self.factor
        step = float(np.median(np.diff(self._times)))
        size = (stack.shape[1], stack.shape[2])
        seen, lost = self._look(stack, [ground] * len(stack), max(4.0, least))
        # What one figure looks like here is known only after all of them were seen.
        heights = learn_heights([box for _, _, boxes in seen for box in boxes], size)
        if heights is not None:
            grounds = park_ground(stack, np.array(self._times), ground, tall=heights)
            if any(one is not ground for one in grounds):
                seen, lost = self._look(stack, grounds, max(4.0, least))
                heights = learn_heights([b for _, _, boxes in seen for b in boxes], size) or heights
        self.flooded += [(time - step / 2, time + step / 2) for time in lost]
        if heights is not None:
            self.learned.append(heights)
        for time, packed, boxes in seen:
            if heights is not None and boxes:
                mask = np.unpackbits(packed, count=size[0] * size[1]).reshape(size)
                self.large += [(time, *box) for box in boxes if _is_large(box, heights)]
                boxes = [part for box in boxes for part in part_figures(mask, box, heights)]
            self.tracker.add(time, boxes)
        if heights is not None:
            # A van that comes closer sinks too; without the size of figures it would fall.
            moving = {time: boxes for time, _, boxes in seen}
            self.descents += find_descents(
                stack, self._times, [moving.get(time, []) for time in self._times],
                heights=heights, least_px=_LEAST_FALLER_PX,
            )  # fmt: skip
            self.lying += [one.scaled(1 / self.factor) for one in find_lying(
                stack, self._times, heights=heights, least_px=_LEAST_FALLER_PX)]  # fmt: skip
            self._control(stack, ground, heights, max(4.0, least))
        self._frames, self._times = [], []

    def _control(
        self, stack: Bytes, ground: Ground, heights: tuple[float, float], least_px: float
    ) -> None:
        """Draws figures into this stretch and notes how many of them were found."""

        def small(region: Region) -> list[tuple[float, float]]:
            return [(x * self.factor, y * self.factor) for x, y in region.polygon]

        hidden = [small(screen) for screen in self._occluders]
        for region in self._regions or (Region.of_box("picture", 0, 0, *self.size),):
            found, tried = try_figures(
                stack, ground, small(region), hidden, heights=heights, least_px=least_px
            )
            self.controls.append(
                Control(region.name, self._times[0], self._times[-1], found, tried)
            )

    def _look(
        self, stack: Bytes, grounds: Sequence[Ground], least_px: float
    ) -> tuple[list[tuple[float, Bytes, list[tuple[float, float, float, float]]]], list[float]]:
        """Time, packed mask and boxes of each frame; and the times whose light changed."""
        import numpy as np

        seen, lost = [], []
        for frame, time, ground in zip(stack, self._times, grounds, strict=True):
            mask, share = moving_mask(frame, ground)
            if share > FLOOD:
                lost.append(time)
                continue
            boxes = blobs(mask, least_px=least_px)
            if boxes:
                now = evened(frame, ground)
                boxes = [b for b in boxes if not is_ghost(now, ground.level, mask, b)]
            seen.append((time, np.packbits(mask), boxes))
        return seen, lost

    def _enough(self, stack: Bytes) -> Bytes:
        """Frames to learn the background from: a short rest leans on the stretch before it."""
        import numpy as np

        lasted = self._times[-1] - self._times[0]
        short = self._before is not None and lasted < _STRETCH_S / 2
        whole = stack if self._before is None or not short else np.concatenate([
            self._before, stack])  # fmt: skip
        self._before = stack[:: max(1, len(stack) // 60)].copy()
        return whole

    def known(self) -> tuple[float, float] | None:
        """Height of an upright figure, a + b * foot row, in displayed pixels; None: not known."""
        import numpy as np

        if not self.learned:
            return None
        at, slope = np.median(np.array(self.learned), axis=0)
        return float(at) / self.factor, float(slope)

    def boxes(self) -> Floats:
        """(n, 5) times and boxes of what is larger than a figure, as displayed."""
        import numpy as np

        rows = np.array(self.large, float).reshape(-1, 5)
        rows[:, 1:] /= self.factor
        return rows

    def trails(self) -> list[Trail]:
        """Every trail, in pixels of the displayed frame."""
        self.flush()
        scale = 1 / self.factor
        return [
            Trail(
                t.times, [(x * scale, y * scale, w * scale, h * scale) for x, y, w, h in t.boxes],
                own=t.own, assumed=t.assumed,
            )
            for t in self.tracker.finish()
        ]  # fmt: skip


def _is_large(
    box: tuple[float, float, float, float], heights: tuple[float, float]
) -> bool:
    tall = max(6.0, heights[0] + heights[1] * (box[1] + box[3]))
    return box[2] > _LARGE_HEIGHTS * tall and box[3] > 0.5 * tall


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


def _observation(event: Event, trail: Trail, occluders: Sequence[Region]) -> Observation:
    import numpy as np

    note = event.note
    if note:
        at = int(np.argmin(np.abs(np.array(trail.times) - event.start)))
        x, y, w, h = trail.boxes[at]
        for screen in occluders:
            gx, gy = np.meshgrid(np.linspace(x, x + w, 5), np.linspace(y, y + h, 5))
            if inside(screen.polygon, gx, gy).any():
                note += f", beside what {screen.name!r} hides"
    measures = {}
    if event.speed is not None:
        low, high = (share * event.speed for share in SPEED_WITHIN)
        measures["speed"] = Quantity(event.speed, "own heights/s", low, high)
    said = Activity(
        event.region, event.kind, seconds(float(event.start)),
        _track_points(trail, event.start, event.end),
    )  # fmt: skip
    return Observation(
        said, Span.of(float(event.start), float(max(event.start, event.end))),
        round(event.score, 4), measures=measures, note=note, stratum=event.kind,
    )  # fmt: skip


@method("video-activity", version="6")
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
        Where the height of figures is known, the measure "drawn figures found" is a control
        experiment: figures drawn into the regions of this clip's own frames at 60 % of the ground's
        brightness. A region in which most are not found, or none can be drawn, is *not testable*.

    Raises
    ------
    SignalTooShort, StreamMissing
        Become *not applicable*: under 2 s of pictures, or none.

    When it errs
    ------------
    It says only what moved as a whole: a crossing of an outline that merged, parted, leapt, was
    assumed inside a group or is smaller than a figure, whose foot an occluder hides or which the
    head denies (by its height the feet stood on the other side), what is first seen beside an
    occluder or where another trail ends, and what goes along an edge, closer to it than a foot can
    be placed, is *not testable* there and then, and listed so with the region and the reason
    ("runs: ...", "falls: ..." concern that kind alone). The measure "crossings testable" is the
    share of region and time free of such doubt. It runs and falls only where the height of figures
    was learned from the view.

    It calls it wrongly when a reflection, headlights or a shadow with a sharp rim move over a
    region as a whole; when a foot is placed more than a seventh of the height from where it is;
    "falls" when somebody sets down something as large as a body and is hidden at once,
    or lies down within a second and a half (misinterpretation). It misses who walks in a crowd,
    figures as light as the ground behind them, what stands still for more than half of two minutes,
    running straight towards the camera, and falls of who goes on moving on the ground, lands behind
    something or was in view for less than three seconds (incompleteness): what is only seen to sink
    is listed as "falls: ...". It says nothing about what is hidden, how far away something is, or
    who it is; and nothing at all if the camera moves.
    """
    stream = video_stream(clip)
    small = _Small(
        rotation=stream.rotation, time_base=float(stream.time_base), least_px=figure_px,
        regions=regions, occluders=occluders,
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
    heights = small.known()
    found: list[tuple[Event, Trail]] = []
    for trail in trails:
        events = find_events_of_trail(
            trail, areas, clip_start_s=first, clip_end_s=last, frame_size=small.size,
            heights=heights,
        )
        found.extend((event, trail) for event in events)
    large = small.boxes()
    found = [
        (with_doubt(event, trail, trails, occluders, large), trail) for event, trail in found
    ]
    doubted = [event for event, _ in found if event.doubt]
    found = [item for item in found if not item[0].doubt]
    fallen = _fallen(small, areas, occluders, large)
    found += [item for item in fallen if not item[0].doubt]
    said = [event for event, _ in found if event.kind == "falls"]
    doubted += [event for event, _ in fallen if event.doubt]
    doubted = [event for event in doubted if not _told(event, said)]
    doubted += _sank(small, areas, trails, said)
    found.sort(key=lambda item: (item[0].start, item[0].region, item[0].kind))
    coverage = _cover(frames, areas, occluders, small, doubted)
    return conclude(
        [_observation(event, trail, occluders) for event, trail in found],
        coverage=coverage, stratum="fixed view",
        reason=f"{len(trails)} trails followed in {len(areas)} regions",
        measures={
            "trails": Quantity.exact(len(trails), "count"),
            "crossings testable": measure_testable(areas, coverage),
            **measure_controls(small.controls),
        },
    )  # fmt: skip


def _travels(descent: Descent, trails: Sequence[Trail], factor: float) -> bool:
    """Whether what sank went down the picture as a whole: a fall leaves the foot where it was."""
    import numpy as np

    t, x, y = (np.array([p[k] for p in descent.path]) for k in range(3))
    x, y = x / factor, y / factor
    for trail in trails:
        times, boxes = np.array(trail.times), np.array(trail.boxes)
        near = (times >= descent.start - 0.3) & (times <= descent.end + 0.3)
        if near.sum() < 3:
            continue
        left, top, wide, high = boxes[near].T
        at = np.interp(times[near], t, x), np.interp(times[near], t, y)
        there = (at[0] > left - 0.2 * wide) & (at[0] < left + 1.2 * wide)
        there &= (at[1] > top - 0.2 * high) & (at[1] < top + 1.2 * high)
        if there.mean() < 0.6:
            continue
        feet, middle, sank = top + high, left + wide / 2, float(np.ptp(y)) + 1.0
        down, aside, taller = (
            float(np.median(part[-2:]) - np.median(part[:2])) for part in (feet, middle, high)
        )
        upright = taller > -0.25 * float(np.median(high[:2]))
        if upright and (down > 0.6 * sank or abs(aside) > sank):
            return True
    return False


def _fallen(
    small: _Small, areas: Sequence[Region], occluders: Sequence[Region], large: Floats
) -> list[tuple[Event, Trail]]:
    """Who lies where somebody stood, in the regions where the foot was."""
    import numpy as np

    out = []
    for one in small.lying:
        x, y, w, h = one.stood
        foot = np.array([x + w / 2]), np.array([min(y + h, small.size[1] - 1)])
        doubt = doubt_lying(one, [screen.polygon for screen in occluders], large)
        trail = Trail([one.start, max(one.end, one.start + 0.05)], [one.stood, one.box])
        out += [
            (Event("falls", area.name, one.start, one.end, 0.8, doubt=doubt), trail)
            for area in areas if inside(area.polygon, *foot)[0]
        ]  # fmt: skip
    return out


def _told(event: Event, said: Sequence[Event]) -> bool:
    """Whether a doubtful fall is one that is said."""
    return event.kind == "falls" and any(
        other.region == event.region and abs(other.start - event.start) < 2.0 for other in said
    )


def _sank(
    small: _Small, areas: Sequence[Region], trails: Sequence[Trail], said: Sequence[Event]
) -> list[Event]:
    """Descents nobody was seen to fall in: somebody may have, or sat down, or bent."""
    import numpy as np

    doubts = []
    for descent in small.descents:
        if _travels(descent, trails, small.factor):
            continue
        x, y = (np.array([p[k] for p in descent.path]) / small.factor for k in (1, 2))
        heights = small.known() or (0.0, 0.0)
        foot = y + 0.5 * np.maximum(0.0, heights[0] + heights[1] * y)
        for area in areas:
            within = inside(area.polygon, x, y) | inside(area.polygon, x, foot)
            told = any(e.region == area.name and abs(e.start - descent.start) < 1.5 for e in said)
            if within.any() and not told:
                doubts.append(
                    Event("falls", area.name, descent.start, descent.end, 0.0, doubt=SANK)
                )
    return doubts


def _cover(
    frames: Measurements, areas: Sequence[Region], occluders: Sequence[Region], small: _Small,
    doubted: Sequence[Event],
) -> Coverage:  # fmt: skip
    seen = frames.coverage()
    span = seen.span or Span(Fraction(0), Fraction(0))
    blind = [*find_blind(areas, occluders, span, thresholds=small.thresholds, factor=small.factor,
                         flooded=small.flooded, heights=small.known(), height_px=small.size[1]),
             *find_failed(small.controls, [area.name for area in areas], span),
             *find_doubtful(doubted, span)]  # fmt: skip
    heights, least = small.known(), _LEAST_FALLER_PX / small.factor
    for start in sorted({control.start for control in small.controls}):
        begun = Span(seconds(start), min(seconds(start + BLIND_S), span.end))
        blind.append(NotTestable(begun, "falls: what the ground looked like before is not known"))
    if heights is None:
        blind.append(NotTestable(span, "falls: how tall figures are here is not known"))
    else:
        blind += [
            NotTestable(span, f"falls: region {area.name!r}: in part of it figures are too small")
            for area in areas
            if heights[0] + heights[1] * max(1.0, min(y for _, y in area.polygon)) < least
        ]
    return Coverage(seen.span, seen.units_seen, "frames", seen.decode_failures, tuple(blind))
