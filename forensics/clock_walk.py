"""From learned digits to wall times: which seconds are shown, and where they do not run evenly.

Pure functions of arrays. Wall times are seconds of the day until a date is known; `edges` are the
clip times at which the shown second changes, so ``wall - edge`` is constant while clip and clock
run together, whatever is cut away changes it, and its steps are measured to a frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from forensics.clock_cells import Cell, Segments, likeness
from forensics.clock_course import DAY_S, figures_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]

__all__ = [
    "Break", "Layout", "Walk", "find_breaks", "find_layout", "fit_rate", "label_digits",
    "turns_twelve", "unwrap", "walk",
]  # fmt: skip

_EVIDENCE = 10.0
_LEAP = 9.0
_READ_BONUS = 5.0
#: Weight of hours (tens, units), minutes, seconds in the geometry search.
_PLACES = ((5, 2), (4, 2), (3, 1), (2, 1), (1, 0), (0, 0))


@dataclass(frozen=True)
class Layout:
    """Columns and rows at which the figures HHMMSS stand, and how digit-like each place is."""

    columns: tuple[int, ...]
    rows: tuple[int, ...]
    quality: tuple[float, ...]
    pitch_px: float
    gap_px: float


@dataclass(frozen=True)
class Walk:
    """The second of the day each segment shows, how well it fits, and how far the next choice is.

    `legible`: what was read is the only reading that fits; it rests on `scores` (n, 6, 10).
    """

    wall: NDArray[np.int64]
    fit: Floats
    gap: Floats
    agreed: int
    read: int
    scores: Floats

    @property
    def legible(self) -> bool:
        """Whether the readings may be reported at all."""
        import numpy as np

        enough = self.agreed >= 2 and self.agreed >= 0.4 * self.read
        clear = bool(np.median(self.gap) > 0.12 and np.median(self.fit) > 0.6)
        return enough or (clear and self.agreed >= 0.3 * self.read)


def label_digits(
    segments: Segments, cell: Cell, readings: Mapping[int, int]
) -> tuple[int, float] | None:
    """Which figure the first look is: (rotation, margin in votes), or None if nothing tells.

    Parameters
    ----------
    segments, cell
        From `clock_cells`.
    readings
        Second of the day a recogniser read off some segments, by segment number.

    When it errs
    ------------
    Without readings it needs one carry into the tens, so at least ten seconds; a background that
    changes beside the digit can imitate the carry.
    """
    import numpy as np

    votes = np.zeros(10)
    for index, wall in readings.items():
        votes[(wall - int(segments.digit[index])) % 10] += 1.0
    if cell.cyclic and len(segments) > 10:
        votes += 3.0 * _carries(segments, cell)
    best = int(votes.argmax())
    rest = np.delete(votes, best).max()
    margin = float(votes[best] - rest)
    return (best, margin) if votes[best] > 0 and margin >= 1.0 else None


def _carries(segments: Segments, cell: Cell) -> Floats:
    """How much the tens change when the units step away from each look; as votes for a rotation."""
    import numpy as np

    width = cell.right - cell.left
    left = max(0, cell.left - round(1.3 * width))
    tens = segments.means[:, cell.top : cell.bottom, left : cell.left - 1].astype(np.float32)
    votes = np.zeros(10)
    if tens.shape[2] < 2:
        return votes
    change = np.abs(np.diff(tens, axis=0)).mean(axis=(1, 2))
    step = np.diff(segments.digit) % 10 == 1
    by = np.array([
        np.median(change[step & (segments.digit[:-1] == d)]) if
        np.any(step & (segments.digit[:-1] == d)) else 0.0 for d in range(10)
    ])  # fmt: skip
    top = int(by.argmax())
    others = np.delete(by, top)
    if by[top] > 2.0 * others.max() + 0.5:
        # The look that is followed by a carry is the 9.
        votes[(9 - top) % 10] = 1.0
    return votes


def _matches(image: Bytes, looks: Bytes) -> Floats:
    """Best similarity of any look at each position: (k, H, W) maps."""
    import cv2
    import numpy as np

    return np.stack(
        [cv2.matchTemplate(image, look, cv2.TM_CCOEFF_NORMED) for look in looks]
    )  # fmt: skip


def find_layout(segments: Segments, cell: Cell) -> Layout | None:
    """Where the tens and units of hours, minutes and seconds stand, from the looks alone.

    When it errs
    ------------
    It misses layouts in which the figures differ in size, and fonts whose figures differ in
    width; it takes the last place of the seconds for granted.
    """
    import numpy as np

    looks = np.clip(cell.looks, 0, 255).astype(np.uint8)
    pick = np.unique(np.linspace(0, len(segments) - 1, min(30, len(segments))).astype(int))
    top = max(0, cell.top - 1)
    bottom = min(segments.means.shape[1], cell.bottom + 1)
    maps = np.stack(
        [_matches(np.ascontiguousarray(segments.means[i, top:bottom]), looks) for i in pick]
    )
    best = maps.max(axis=1)  # over figures: (s, rows, columns)
    alike = best.mean(axis=0)
    over_rows = alike.max(axis=0)
    width, height = cell.right - cell.left, cell.bottom - cell.top
    at = cell.left
    if at >= over_rows.size:
        return None

    def like(x: float) -> float:
        a = round(x)
        return float(over_rows[max(0, a - 1) : a + 2].max()) if 0 <= a < over_rows.size else -1.0

    found: tuple[float, float, float] | None = None
    for pitch in np.arange(max(3.0, 0.62 * width), 1.7 * width + 1.0, 0.25):
        if not 0.3 * height <= pitch <= 1.3 * height:
            continue
        for gap in np.arange(0.15 * pitch, 1.45 * pitch, 0.25):
            score = sum(like(at - n * pitch - g * gap) for n, g in _PLACES)
            if found is None or score > found[0]:
                found = (score, float(pitch), float(gap))
    if found is None or found[0] < 6 * 0.5:
        return None
    _, pitch, gap = found
    columns, lines, quality = [], [], []
    for n, g in _PLACES:
        a = round(at - n * pitch - g * gap)
        near = alike[:, max(0, a - 1) : a + 2]
        row, column = np.unravel_index(int(near.argmax()), near.shape)
        columns.append(int(column) + max(0, a - 1))
        lines.append(int(row) + top)
        quality.append(float(near.max()))
    return Layout(tuple(columns), tuple(lines), tuple(quality), pitch, gap)


def _place_scores(segments: Segments, cell: Cell, layout: Layout, rotation: int) -> Floats:
    """Similarity (n, 6, 10) of each place to each figure 0 to 9."""
    import numpy as np

    height, width = cell.looks.shape[1:]
    order = (np.arange(10) - rotation) % 10
    looks = cell.looks[order]
    scores = np.zeros((len(segments), 6, 10), np.float32)
    for place, (x, y) in enumerate(zip(layout.columns, layout.rows, strict=True)):
        if layout.quality[place] < 0.45 or y + height > segments.means.shape[1]:
            continue  # a place without a figure, such as the tens of a one-digit hour
        cells = segments.means[:, y : y + height, x : x + width].astype(np.float32)
        scores[:, place] = likeness(cells, looks)
    return scores


def _guesses(scores: Floats, twelve: bool) -> list[int]:
    """The few readings of one segment that the similarities favour."""
    import itertools

    import numpy as np

    limits = (3, 10, 6, 10, 6, 10)
    picks = []
    for place, limit in enumerate(limits):
        order = np.argsort(-scores[place, :limit])
        clear = scores[place, order[0]] - scores[place, order[1]] > 0.25
        picks.append(order[: 1 if clear else 2])
    out = []
    for h1, h2, m1, m2, s1, s2 in itertools.product(*picks):
        hour = int(h1) * 10 + int(h2)
        if hour <= (12 if twelve else 23):
            base = hour * 3600 + (int(m1) * 10 + int(m2)) * 60 + int(s1) * 10 + int(s2)
            out.extend([base % DAY_S, (base + DAY_S // 2) % DAY_S] if twelve else [base])
    return out


def walk(
    segments: Segments, times: Floats, period_s: float, cell: Cell, layout: Layout | None,
    rotation: int | None, readings: Mapping[int, int], *, twelve: bool = False, beam: int = 24,
) -> Walk | None:  # fmt: skip
    """The likeliest running of the clock over all segments: one beam search, one second a step.

    Parameters
    ----------
    segments, cell, layout, rotation
        From `clock_cells`, `find_layout`, `label_digits`; `layout` or `rotation` may be None, then
        only what the recogniser read counts.
    times, period_s
        Clip time of each frame, and seconds between beats.
    readings
        Second of the day a recogniser read off some segments.
    twelve
        The clock shows hours 1 to 12.
    beam
        How many readings of a segment are followed.
    """
    import numpy as np

    n = len(segments)
    scores = (
        _place_scores(segments, cell, layout, rotation)
        if layout is not None and rotation is not None and cell.cyclic
        else np.zeros((n, 6, 10), np.float32)
    )
    start = times[segments.first]
    counts: list[NDArray[np.int64]] = []
    totals: list[Floats] = []
    back: list[NDArray[np.int64]] = []
    usual = list(readings.values())
    for i in range(n):
        options = set(_guesses(scores[i], twelve)) if scores[i].any() else set()
        if i in readings:
            options.add(readings[i] % DAY_S)
        if counts:
            lasted = max(1, round(float(start[i] - start[i - 1]) / period_s))
            ahead = counts[-1][np.argsort(-totals[-1])[:8]]
            options.update(int(w) for w in (ahead + 1) % DAY_S)
            if segments.digit[i] == segments.digit[i - 1]:
                options.update(int(w) for w in ahead)
            options.update(int(w) for w in (ahead + lasted) % DAY_S)
        elif not options and usual:
            first = min(readings)
            steps = round(float(start[first] - start[0]) / period_s)
            options.add((readings[first] - steps) % DAY_S)
        if not options:
            return None
        wall = np.array(sorted(options), np.int64)
        figures = figures_of(wall, twelve)
        gain = _EVIDENCE * scores[i][np.arange(6), figures].sum(axis=1)
        if rotation is not None and not scores[i].any():
            gain = gain + _EVIDENCE * 0.5 * ((wall - segments.digit[i]) % 10 == rotation)
        if i in readings:
            gain = gain + _READ_BONUS * (wall == readings[i] % DAY_S)
        if counts:
            lasted = max(1, round(float(start[i] - start[i - 1]) / period_s))
            step = (wall[None, :] - counts[-1][:, None]) % DAY_S
            # Halves of one second, parted where its other figures seemed to change.
            same = (step == 0) & bool(segments.digit[i] == segments.digit[i - 1])
            cost = np.where((step == lasted) | (step == 1) | same, 0.0, _LEAP)
            ways = totals[-1][:, None] - cost
            pick = ways.argmax(axis=0)
            back.append(pick.astype(np.int64))
            gain = gain + ways[pick, np.arange(len(wall))]
        keep = np.argsort(-gain)[:beam]
        keep.sort()
        if back:
            back[-1] = back[-1][keep]
        counts.append(wall[keep])
        totals.append(gain[keep])
    path = np.zeros(n, np.int64)
    at = int(totals[-1].argmax())
    for i in range(n - 1, -1, -1):
        path[i] = counts[i][at]
        if i:
            at = int(back[i - 1][at])
    figures = figures_of(path, twelve)
    chosen = np.take_along_axis(scores, figures[..., None], axis=2)[..., 0]
    others = scores.copy()
    np.put_along_axis(others, figures[..., None], -1.0, axis=2)
    used = scores.any(axis=(0, 2))
    fit = chosen[:, used].mean(axis=1) if used.any() else np.zeros(n)
    gap = (chosen - others.max(axis=2))[:, used].mean(axis=1) if used.any() else np.zeros(n)
    agreed = sum(int(path[i] == wall % DAY_S) for i, wall in readings.items())
    return Walk(path, fit, gap, agreed, len(readings), scores)


# -- does it run evenly? --------------------------------------------------------------------


@dataclass(frozen=True)
class Break:
    """A place where the clock does not follow the clip.

    `after_s`, `before_s` bound it in clip time, `likeliest_s` is where between them the frames
    speak for it most; `step_s` is how far the clock moved beyond the clip (positive: the clock is
    ahead afterwards); `stood_s` how long one second was shown.
    """

    kind: Literal["jump", "missing", "frozen", "rate"]
    before_s: float
    after_s: float
    step_s: float
    stood_s: float
    jitter_s: float
    segment: int
    likeliest_s: float | None = None


def unwrap(wall: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Seconds of the day made to run on over midnight, and from 12:59:59 to 01:00:00."""
    import numpy as np

    values = np.asarray(wall, np.int64)
    step = np.diff(values)
    # Only a fall of nearly a whole day is midnight; a smaller fall is the clock going back.
    days = np.cumsum(np.r_[0, (step < -DAY_S + 3600).astype(int) - (step > DAY_S - 3600)])
    halves = np.cumsum(np.r_[0, turns_twelve(values)])
    out: NDArray[np.int64] = values + DAY_S * days + DAY_S // 2 * halves
    return out


def turns_twelve(wall: Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a clock that shows hours 1 to 12, without AM or PM, goes from 12:59:59 to 01:00:00."""
    import numpy as np

    values = np.asarray(wall, np.int64) % DAY_S
    out: NDArray[np.bool_] = (values[:-1] == 46_799) & (values[1:] == 3_600)
    return out


def find_breaks(
    edges: Floats, wall: Floats, end_s: float, *, frame_s: float, rate: float = 1.0,
    min_step_s: float = 0.0,
) -> tuple[list[Break], float]:  # fmt: skip
    """Where a clock that shows `wall[i]` from `edges[i]` on does not run with the clip.

    Parameters
    ----------
    edges
        (n,) clip times at which a shown second begins; ``edges[0]`` is the first frame, no edge.
    wall
        (n,) the second shown, running on over midnight.
    end_s
        Clip time of the last frame.
    frame_s
        Seconds between frames: nothing finer can be told.
    rate
        Clock seconds per clip second where it runs evenly.
    min_step_s
        Smallest step reported; by default what jitter and frame rate allow.

    Returns
    -------
    breaks, jitter_s
        The breaks, and the standard deviation of the beat about its even course.
    """
    import numpy as np

    if len(edges) < 3:
        return [], frame_s / 2
    offset = wall - edges * rate
    inner = offset[1:]
    level = np.array([np.median(inner[max(0, i - 3) : i + 4]) for i in range(len(inner))])
    near = np.abs(inner - level)
    jitter = float(max(1.4826 * np.median(near), frame_s * 0.29))
    tolerance = max(min_step_s, 2.2 * frame_s, 6.0 * jitter)
    found: list[Break] = []
    current = [float(v) for v in _first_run(inner, tolerance)]
    reference = float(np.median(current))
    last_good = 0
    recent: list[float] = list(current[:1])
    i = 1
    n = len(edges)
    while i < n:
        value = float(offset[i])
        shown = float(edges[i] - edges[i - 1])
        if i > 1 and shown > 1 / rate + max(0.5, tolerance):
            found.append(
                Break("frozen", float(edges[i - 1]), float(edges[i]), 0.0, shown, jitter, i - 1)
            )
        if abs(value - reference) <= tolerance:
            recent = [*recent, value][-8:]
            reference = float(np.median(recent))
            last_good = i
            i += 1
            continue
        ahead = offset[i : i + 4]
        fresh = next(
            (
                float(np.median(ahead[a : a + 3]))
                for a in range(min(2, len(ahead)))
                if len(ahead[a:]) >= 2 and np.ptp(ahead[a : a + 3][:2]) <= tolerance
                and abs(float(np.median(ahead[a : a + 2])) - reference) > tolerance
            ),
            None,
        )  # fmt: skip
        if fresh is None:
            # One odd value: a late beat or a misreading, unless the clip ends here.
            if i == n - 1 and abs(value - reference) >= 1.5:
                found.append(_step(edges, i, last_good, value - reference, jitter))
            i += 1
            continue
        found.append(_step(edges, i, last_good, fresh - reference, jitter))
        while i < n and abs(float(offset[i]) - fresh) > tolerance:
            i += 1
        reference, recent, last_good = fresh, [fresh], i
        i += 1
    if end_s - float(edges[-1]) > 1 / rate + max(0.5, tolerance):
        found.append(
            Break("frozen", float(edges[-1]), end_s, 0.0, end_s - float(edges[-1]), jitter, n - 1)
        )
    return _merge(found), jitter


def _first_run(offset: Floats, tolerance: float) -> Floats:
    """The first values that agree among themselves; the start may be a broken second."""
    import numpy as np

    for i in range(max(1, len(offset) - 2)):
        run = offset[i : i + 3]
        if len(run) < 2 or np.ptp(run) <= tolerance:
            return run
    return offset[:1]


def _step(edges: Floats, i: int, last_good: int, step: float, jitter: float) -> Break:
    # A whole second shown short, or a beat that is none: the break lies after the last good beat.
    kind: Literal["jump", "missing"] = "missing" if 0 < step < 600 else "jump"
    return Break(kind, float(edges[last_good]), float(edges[i]), step, 0.0, jitter, i)


def _merge(found: list[Break]) -> list[Break]:
    """One place, one break: a stop with the step it causes is a stop."""
    out: list[Break] = []
    for item in found:
        last = out[-1] if out and item.before_s <= out[-1].after_s else None
        if last is not None and "frozen" in (last.kind, item.kind):
            frozen, other = (last, item) if last.kind == "frozen" else (item, last)
            step = other.step_s if other.kind != "frozen" else frozen.step_s
            out[-1] = Break("frozen", frozen.before_s, frozen.after_s, step, frozen.stood_s,
                            frozen.jitter_s, frozen.segment)  # fmt: skip
        else:
            out.append(item)
    return out


def fit_rate(
    edges: Floats, wall: Floats, breaks: Sequence[Break], frame_s: float
) -> tuple[float | None, float]:
    """Clock seconds per clip second over the longest stretch without a break, and its 95 % half
    width; None where fewer than five beats lie together.
    """
    import itertools
    import math

    import numpy as np

    inner, shown = edges[1:], wall[1:]
    bounds = [-math.inf, *(b.after_s for b in breaks), math.inf]
    runs = [
        np.flatnonzero((inner > a + 1e-9) & (inner < b - 1e-9))
        for a, b in itertools.pairwise(bounds)
    ]
    run = max(runs, key=len, default=np.zeros(0, int))
    if len(run) < 5:
        return None, 0.0
    x, y = inner[run] - inner[run].mean(), shown[run] - shown[run].mean()
    slope = float((x * y).sum() / (x * x).sum())
    rest = y - slope * x
    # A beat is seen at the next frame: uniform over one frame interval, on top of the jitter.
    spread = math.hypot(float(rest.std()), frame_s / math.sqrt(12))
    # Beats sampled at even times err together: never finer than one frame over the whole run.
    return slope, max(1.96 * spread / math.sqrt(float((x * x).sum())), frame_s / float(np.ptp(x)))
