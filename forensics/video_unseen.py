"""Where activity in a fixed view could not have been seen, or not be told: stated, never skipped.

What is not said about a region must not read as "nothing was there".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from forensics.model import Coverage, NotTestable, Quantity, Region, Span
from forensics.video_acts import Event, inside
from forensics.video_courses import NOWHERE, PARTS, SANK, WITHIN, too_narrow
from forensics.video_trails import Trail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = ["find_blind", "find_doubtful", "measure_testable", "with_doubt"]

#: How far about a doubtful crossing nothing is said.
_DOUBT_S = 0.7
#: Another trail that lasted so long (s) and shares so much of the smaller box parted from this one.
_SCRAP_S, _WITHIN_SHARE = 0.4, 0.3
#: How long (s) about a crossing the foot must be seen.
_FOOT_S = 0.3


def _share_hidden(region: Region, occluders: Sequence[Region]) -> dict[str, float]:
    """How much of a region each occluder hides, 0 to 1, by a grid of points."""
    import numpy as np

    xs, ys = (np.array([p[k] for p in region.polygon]) for k in (0, 1))
    gx, gy = np.meshgrid(np.linspace(xs.min(), xs.max(), 60), np.linspace(ys.min(), ys.max(), 60))
    area = inside(region.polygon, gx, gy)
    total = max(1, int(area.sum()))
    shares = {o.name: float((area & inside(o.polygon, gx, gy)).sum()) / total for o in occluders}
    return {name: share for name, share in shares.items() if share > 0.005}


def find_blind(
    regions: Sequence[Region], occluders: Sequence[Region], span: Span, *,
    thresholds: Sequence[Floats], factor: float, flooded: Sequence[tuple[float, float]],
    heights: tuple[float, float] | None, height_px: float,
) -> list[NotTestable]:  # fmt: skip
    """Where and when activity could not have been seen.

    Parameters
    ----------
    regions, occluders
        As the examiner drew them, in displayed pixels.
    span
        What was looked at.
    thresholds
        Of each stretch's background, (h, w) grey levels of the small picture.
    factor
        Small pixels a displayed pixel.
    flooded
        Spans (s) in which the light of the whole picture changed.
    heights
        Height of an upright figure as a + b * foot row, in displayed pixels, if it is known.
    height_px
        Of the displayed picture.
    """
    import numpy as np

    blind = []
    for region in regions:
        for name, share in _share_hidden(region, occluders).items():
            text = f"region {region.name!r}: {share:.0%} of it lies behind {name!r}"
            blind.append(NotTestable(span, text))
        narrow = too_narrow(region.polygon, height_px, heights)
        if narrow:
            blind.append(NotTestable(span, f"region {region.name!r}: {narrow}"))
        if thresholds:
            threshold = np.median(np.stack(thresholds[:8]), axis=0)
            h, w = threshold.shape
            gx, gy = np.meshgrid((np.arange(w) + 0.5) / factor,
                                 (np.arange(h) + 0.5) / factor)  # fmt: skip
            there = inside(region.polygon, gx, gy)
            if not there.any():
                blind.append(NotTestable(span, f"region {region.name!r} lies outside the picture"))
            elif float((threshold[there] > 45).mean()) > 0.5:
                text = f"region {region.name!r}: its own unrest (leaves, noise) hides figures"
                blind.append(NotTestable(span, text))
    for start, end in _joined(flooded):
        low, high = max(float(span.start), start), min(float(span.end), end)
        if high > low:
            blind.append(NotTestable(Span.of(low, high), "the light of the whole picture changed"))
    return blind


def find_doubtful(events: Sequence[Event], span: Span) -> list[NotTestable]:
    """Where something happened at a region that may not be said: not seen is not *not there*.

    Enters and leaves are doubted together: a group hides both. What concerns one kind alone begins
    with its name.
    """
    spans: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for event in events:
        about = "" if event.kind in ("enters", "leaves") else f"{event.kind}: "
        low = max(float(span.start), float(event.start) - _DOUBT_S)
        high = min(float(span.end), float(event.end) + _DOUBT_S)
        key = (f"{about}region {event.region!r}: ", event.doubt)
        if high > low:
            spans.setdefault(key, []).append((low, high))
    return [
        NotTestable(Span.of(low, high), head + why)
        for (head, why), rows in sorted(spans.items())
        for low, high in _joined(sorted(rows))
    ]


def measure_testable(areas: Sequence[Region], coverage: Coverage) -> Quantity:
    """Over regions and time, how much was free of doubt about what enters and leaves, 0 to 1."""
    if coverage.span is None:
        return Quantity.exact(0.0, "share")
    whole = float(coverage.span.end - coverage.span.start) * len(areas)
    lost = 0.0
    for area in areas:
        head = f"region {area.name!r}: "
        # A tree before part of a region takes no time away; it is stated beside.
        rows = sorted(
            (float(part.span.start), float(part.span.end))
            for part in coverage.not_testable
            if part.reason.startswith("the light")
            or (part.reason.startswith(head) and " lies behind " not in part.reason)
        )
        lost += sum(high - low for low, high in _joined(rows))
    return Quantity.exact(round(max(0.0, 1 - lost / max(whole, 1e-9)), 4), "share")


def with_doubt(
    event: Event, trail: Trail, trails: Sequence[Trail], occluders: Sequence[Region], large: Floats
) -> Event:
    """Doubts who is first (or last) seen inside a region beside an occluder or another trail.

    From behind a tree one comes later than one went; and where one trail ends as another begins,
    one figure was lost and found again. A crossing whose foot an occluder hides is not said, nor
    one during which another trail begins or ends in the same box: figures part and meet there, and
    may change places. What runs or falls must not be part of what is `large` ((n, 5) times and
    boxes of things wider than a figure is tall); what only became low may have fallen.
    """
    import numpy as np

    if event.kind in ("runs", "falls") and not event.doubt:
        doubt = WITHIN if _within(event, trail, large) else ""
        if event.kind == "falls" and not doubt:
            # A box that became low: whether a body lies there is for the pictures to say.
            doubt = SANK
        return replace(event, doubt=doubt) if doubt else event
    if event.doubt or event.kind not in ("enters", "leaves"):
        return event
    if _foot_hidden(event, trail, occluders):
        return replace(event, doubt=NOWHERE)
    if _parts(event, trail, trails):
        return replace(event, doubt=PARTS)
    if "seen inside" not in event.note:
        return event
    x, y, w, h = trail.boxes[0 if event.kind == "enters" else -1]
    size = max(w, h)
    gx, gy = np.meshgrid(np.linspace(x - 0.3 * size, x + w + 0.3 * size, 9),
                         np.linspace(y, y + h, 9))  # fmt: skip
    if any(inside(screen.polygon, gx, gy).any() for screen in occluders):
        return replace(event, doubt=NOWHERE)
    for other in trails:
        near = np.abs(np.array(other.times) - event.start) <= 1.0
        if other is trail or not near.any():
            continue
        a, b, c, d = np.array(other.boxes)[near].T
        aside = np.abs(a + c / 2 - x - w / 2) - c / 2 - w / 2
        down = np.abs(b + d / 2 - y - h / 2) - d / 2 - h / 2
        if (np.maximum(aside, down) < 0.4 * size).any():
            return replace(event, doubt=NOWHERE)
    return event


def _within(event: Event, trail: Trail, large: Floats) -> bool:
    """Whether a trail lay in something larger while it ran, or shortly before or after it fell."""
    import numpy as np

    early, late = (0.0, 0.0) if event.kind == "runs" else (1.0, 1.5)
    times = np.array(trail.times)
    near = np.flatnonzero((times >= event.start - early) & (times <= event.end + late))
    hits = 0
    for k in near:
        x, y, w, h = trail.boxes[k]
        rows = large[np.abs(large[:, 0] - times[k]) < 0.01]
        across = np.minimum(x + w, rows[:, 1] + rows[:, 3]) - np.maximum(x, rows[:, 1])
        down = np.minimum(y + h, rows[:, 2] + rows[:, 4]) - np.maximum(y, rows[:, 2])
        hits += bool(((across > 0.3 * w) & (down > 0.3 * h)).any())
    return hits > 0.25 * max(1, len(near))


def _foot_hidden(event: Event, trail: Trail, occluders: Sequence[Region]) -> bool:
    """Whether the foot was behind an occluder as it crossed."""
    import numpy as np

    near = np.abs(np.array(trail.times) - event.start) <= _FOOT_S
    x, y, w, h = np.array(trail.boxes)[near].T if near.any() else np.zeros((4, 0))
    across = (x[:, None] + w[:, None] * np.linspace(0.1, 0.9, 5)).ravel()
    foot = np.repeat(y + 0.95 * h, 5)
    return any(
        float(inside(screen.polygon, across, foot).mean()) > _WITHIN_SHARE
        for screen in occluders if len(foot)
    )  # fmt: skip


def _parts(event: Event, trail: Trail, trails: Sequence[Trail]) -> bool:
    """Whether another trail began or ended in this one's box as it crossed: it took its place."""
    import numpy as np

    times = np.array(trail.times)
    for other in trails:
        if other is trail or other.times[-1] - other.times[0] < _SCRAP_S:
            continue
        for end in (0, -1):
            if abs(other.times[end] - event.start) > _DOUBT_S:
                continue
            k = int(np.argmin(np.abs(times - other.times[end])))
            x, y, w, h = trail.boxes[k]
            a, b, c, d = other.boxes[end]
            across, down = min(x + w, a + c) - max(x, a), min(y + h, b + d) - max(y, b)
            if max(0.0, across) * max(0.0, down) > _WITHIN_SHARE * min(w * h, c * d):
                return True
    return False


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    out: list[tuple[float, float]] = []
    for start, end in spans:
        if out and start <= out[-1][1] + 0.15:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out
