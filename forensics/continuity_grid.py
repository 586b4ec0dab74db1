"""The frame grid a transform codec leaves in decoded sound, followed over time.

AAC codes 1,024 new samples a frame, MP3 576 a granule. Decoded and analysed at the very same
positions, many coefficients collapse again towards the zeros they were quantised to; one sample
off, they do not. The position of that collapse modulo the frame is the grid; a cut that does not
remove a whole number of frames moves it, by as many samples as were removed or added.

A search begins with every offset on few frames and goes on with the few best offsets on more and
other frames. Pure functions of arrays. Sample positions are absolute, from the first presented.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forensics.continuity_mdct import KINDS, controls_of, hop_of, length_of, measure_collapse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

__all__ = [
    "FOUND_Z",
    "SEGMENT_S",
    "Grid",
    "GridShift",
    "GridTracker",
    "Segment",
    "find_shifts",
    "layers",
    "locate_shift",
    "score_dip",
    "search_grid",
]

#: A segment is this long, and at least this many frames.
SEGMENT_S, SEGMENT_FRAMES = 2.5, 60
#: Frames of the three rounds of a search; offsets that come through, per kind, then per family.
_ROUNDS, _KEPT = (6, 12, 40), (16, 2)
#: Every so many of the controls serve the second round, which only ranks.
_SPARSE = 3
#: A new grid is taken up at this robust z in the last round, on frames no round had seen; one
#: known already is taken as present at the lower one.
FOUND_Z, PRESENT_Z = 6.5, 4.0
#: Frames that decide whether a known grid is present in a segment.
_LOOKS = 32
#: Short windows and mixed blocks throw weaker images of a grid near it.
_NEAR = 2


def score_dip(tables: Floats, kind: str, every: int = 1) -> float:
    """Robust z of the dip at the first column of (frames, 1 + controls) below the others' trend."""
    import numpy as np

    if len(tables) < 3:
        return 0.0
    curve = tables.mean(axis=0, dtype=np.float64)
    at = np.array(controls_of(kind)[::every], np.float64)
    fit = np.polynomial.polynomial.polyfit(at, curve[1:], 2)
    rest = curve[1:] - np.polynomial.polynomial.polyval(at, fit)
    spread = 1.4826 * float(np.median(np.abs(rest))) + 1e-6
    return float((fit[0] - curve[0]) / spread)


def _scores(curve: Floats) -> Floats:
    """Robust z of the dip at each of all offsets (n,), below those around it."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    wide, narrow = (uniform_filter1d(curve, size, mode="wrap") for size in (17, 3))
    dip = (17 * wide - 3 * narrow) / 14 - curve
    found: Floats = dip / (1.4826 * np.median(np.abs(dip)) + 1e-9)
    return found


def _frames(samples: Floats, hop: int) -> Ints:
    """Starts of frames with something in them, in an order that spreads over the stretch."""
    import numpy as np

    total = (len(samples) - 2 * hop - 2048) // hop
    if total < 4:
        return np.zeros(0, np.int64)
    power = (samples[: total * hop].reshape(total, hop) ** 2).mean(axis=1)
    both = power + np.append(power[1:], 0)
    alive = np.flatnonzero((both > 1e-8) & (both > 0.02 * np.median(both)))
    if len(alive) < 4:
        return np.zeros(0, np.int64)
    order = np.argsort((alive * 0.6180339887) % 1.0, kind="stable")
    found: Ints = alive[order].astype(np.int64) * hop
    return found


def _table(samples: Floats, starts: Ints, offset: int, kind: str, every: int = 1) -> Floats:
    """Collapse at one offset and every n-th of its controls, (frames, 1 + controls)."""
    import numpy as np

    hop = hop_of(kind)
    # Controls lie on both sides; an offset near 0 is looked at one frame later.
    steps = offset + hop * (offset < 256) + np.array((0, *controls_of(kind)[::every]))
    return measure_collapse(samples, starts, steps, kind)


def search_grid(
    samples: Floats, *, kinds: tuple[str, ...] = KINDS,
    masked: tuple[tuple[int, int], ...] = (), first: int = 0,
) -> list[tuple[int, str, float]]:  # fmt: skip
    """All grids of a stretch of sound: (offset modulo the frame, kind, z), strongest first.

    Parameters
    ----------
    samples
        Mono, at the rate of the coding looked for; at least 8 frames.
    kinds
        Window shapes and filter banks tried.
    masked
        (hop, offset) of grids known already; they and their neighbours are left out.
    first
        Absolute position of the first sample.
    """
    import numpy as np

    entries: list[tuple[float, int, str]] = []
    orders = {hop: _frames(samples, hop) for hop in {hop_of(k) for k in kinds}}
    for kind in kinds:
        hop = hop_of(kind)
        starts = orders[hop][: _ROUNDS[0]]
        if len(starts) < 4:
            continue
        table = measure_collapse(samples, starts, np.arange(hop), kind)
        if len(table) < 3:
            continue
        z = _scores(table.mean(axis=0))
        for known_hop, known in masked:
            if known_hop == hop:
                z[(np.arange(known - first - _NEAR, known - first + _NEAR + 1)) % hop] = 0
        entries += [(float(z[o]), int(o), kind) for o in np.argsort(-z)[: _KEPT[0]]]
    seen = _ROUNDS[0]
    for count, every in zip(_ROUNDS[1:], (_SPARSE, 1), strict=True):
        rated = []
        for _, offset, kind in entries:
            order = orders[hop_of(kind)]
            # A stretch too short for frames of its own in each round is judged on all it has.
            starts = order[seen : seen + count]
            if len(starts) < count // 2:
                starts = order[-count:]
            z_now = score_dip(_table(samples, starts, offset, kind, every), kind, every)
            rated.append((z_now, offset, kind))
        rated.sort(reverse=True)
        entries = []
        for hop in orders:
            entries += _apart([r for r in rated if hop_of(r[2]) == hop], hop)[: _KEPT[1]]
        seen += count
    found = [
        (int((offset + first) % hop_of(kind)), kind, z_last)
        for z_last, offset, kind in entries
        if z_last >= FOUND_Z
    ]
    return sorted(found, key=lambda item: -item[2])


def _apart(rated: list[tuple[float, int, str]], hop: int) -> list[tuple[float, int, str]]:
    """The best entries that are not the same grid by another window."""
    kept: list[tuple[float, int, str]] = []
    for item in rated:
        if all(_distance(item[1], k[1], hop) > _NEAR for k in kept):
            kept.append(item)
    return kept


def _distance(one: int, other: int, hop: int) -> int:
    return abs((one - other + hop // 2) % hop - hop // 2)


@dataclass
class Grid:
    """One grid: offset modulo its hop, kind of transform, its z where it was first found."""

    offset: int
    kind: str
    z: float

    @property
    def hop(self) -> int:
        """New samples a frame."""
        return hop_of(self.kind)


@dataclass
class Segment:
    """One stretch of the recording: where, whether it could be tested, the grids present (z)."""

    start: int
    stop: int
    testable: bool
    searched: bool = False
    present: dict[int, float] = field(default_factory=dict)


class GridTracker:
    """Takes sound in order, keeps what is known of its grids; memory does not grow with length.

    Known grids are looked for in every segment; a full search is made in the first segments,
    wherever a known grid is lost, and else every `every_s` seconds, so that the cost of sound
    without a trace stays bounded. A grid found late is looked for in the last segments again.
    """

    def __init__(self, rate_hz: int, *, every_s: float = 25.0) -> None:
        self.rate_hz = rate_hz
        self.every = round(every_s * rate_hz)
        self.length = max(SEGMENT_FRAMES * 1024, round(SEGMENT_S * rate_hz))
        self.grids: list[Grid] = []
        self.segments: list[Segment] = []
        self._last_search = -self.every
        self._searches = 0
        self._held: deque[tuple[Floats, Segment]] = deque(maxlen=8)

    @property
    def overlap(self) -> int:
        """Samples a segment reads beyond its end."""
        return 2048

    def _look(self, piece: Floats, segment: Segment, numbers: list[int]) -> None:
        """Write down which of the grids `numbers` are present."""
        for number in numbers:
            grid = self.grids[number]
            starts = _frames(piece, grid.hop)[:_LOOKS]
            offset = (grid.offset - segment.start) % grid.hop
            z = score_dip(_table(piece, starts, offset, grid.kind), grid.kind)
            if z >= PRESENT_Z:
                segment.present[number] = z

    def push(self, piece: Floats, first: int) -> None:
        """One segment of mono samples whose first has the absolute position `first`."""
        segment = Segment(first, first + len(piece), len(_frames(piece, 1024)) >= 4)
        self.segments.append(segment)
        if not segment.testable:
            return
        # A grid not seen for a while is looked for now and then only.
        lately = {k for s in self.segments[-12:] for k in s.present}
        numbers = [k for k in range(len(self.grids)) if k in lately or len(self.segments) % 4 == 0]
        self._look(piece, segment, numbers)
        lost = any(k not in segment.present for s in self.segments[-4:-1] for k in s.present)
        # Where some searches found nothing they become rarer: their cost must stay bounded.
        rarer = 1 if self.grids else 1 + self._searches // 4
        due = first - self._last_search >= min(3, rarer) * self.every or self._searches < 2
        # A grid lost again and again must not turn every segment into a full search.
        affordable = self._searches * self.every <= 1.2 * first + 6 * self.every
        if (lost and affordable) or due:
            self._search(piece, first, segment)
        self._held.append((piece, segment))

    def _search(self, piece: Floats, first: int, segment: Segment) -> None:
        self._searches += 1
        self._last_search = first
        segment.searched = True
        masked = tuple((self.grids[k].hop, self.grids[k].offset) for k in segment.present)
        kinds: tuple[str, ...] = KINDS
        if len(self.grids) >= 2 and self._searches % 4:
            kinds = tuple(dict.fromkeys(g.kind for g in self.grids))
        for offset, kind, z in search_grid(piece, kinds=kinds, masked=masked, first=first):
            number = next(
                (
                    k for k, g in enumerate(self.grids)
                    if g.kind == kind and _distance(g.offset, offset, g.hop) <= 1
                ),
                None,
            )  # fmt: skip
            if number is None:
                if len(self.grids) >= 16:
                    continue
                self.grids.append(Grid(offset, kind, z))
                number = len(self.grids) - 1
                for earlier, before in self._held:
                    self._look(earlier, before, [number])
            segment.present[number] = z


@dataclass(frozen=True)
class GridShift:
    """Between `low` and `high` (samples) the grid changes from one to another."""

    low: int
    high: int
    before: Grid
    after: Grid
    samples: int
    strength: float
    gap_segments: int


def layers(tracker: GridTracker) -> tuple[list[int], list[list[int]]]:
    """Grids present nearly everywhere, and groups of grids that exclude each other in time."""
    count = {k: sum(k in s.present for s in tracker.segments) for k in range(len(tracker.grids))}
    heard = sum(bool(s.present) for s in tracker.segments)
    groups: list[list[int]] = []
    for number in sorted((k for k in count if count[k]), key=lambda k: -count[k]):
        for group in groups:
            if tracker.grids[group[0]].hop != tracker.grids[number].hop:
                continue
            both = max(
                sum(number in s.present and other in s.present for s in tracker.segments)
                for other in group
            )
            if both <= max(1, 0.25 * count[number]):
                group.append(number)
                break
        else:
            groups.append([number])
    constant = [g[0] for g in groups if len(g) == 1 and count[g[0]] >= 0.8 * heard]
    return constant, groups


def find_shifts(tracker: GridTracker) -> list[GridShift]:
    """Where one grid of a group gives way to another: coarse places, to be located in the sound."""
    found = []
    for group in layers(tracker)[1]:
        if len(group) < 2:
            continue
        runs: list[tuple[int, int]] = []
        for index, segment in enumerate(tracker.segments):
            here = {k: z for k, z in segment.present.items() if k in group}
            if here:
                runs.append((index, max(here, key=lambda k: here[k])))
        for (i, one), (j, two) in itertools.pairwise(runs):
            if one == two:
                continue
            a, b = tracker.segments[i], tracker.segments[j]
            before, after = tracker.grids[one], tracker.grids[two]
            strength = min(a.present[one], b.present[two])
            shift = (after.offset - before.offset) % before.hop
            low = a.start if j - i <= 1 else (a.start + a.stop) // 2
            found.append(GridShift(low, b.stop, before, after, shift, strength, j - i - 1))
    return sorted(found, key=lambda s: s.low)


def locate_shift(samples: Floats, first: int, shift: GridShift) -> tuple[int, int, int]:
    """(best sample, earliest, latest) of the change, from every frame of the stretch.

    Parameters
    ----------
    samples, first
        The sound from `shift.low` to `shift.high`, and the position of its first sample.
    shift
        The jump of the frame grid, as far as whole frames tell where it is.
    """
    import numpy as np

    hop = shift.before.hop
    total = (len(samples) - 2 * hop - length_of(shift.before.kind)) // hop
    if total < 3:
        return (shift.low + shift.high) // 2, shift.low, shift.high
    starts = np.arange(total) * hop
    gains = []
    for grid in (shift.before, shift.after):
        table = _table(samples, starts, (grid.offset - first) % hop, grid.kind)
        dip = np.median(table[:, 1:], axis=1) - table[:, 0]
        gains.append(np.clip(dip / (table[:, 1:].std(axis=1) + 0.02), -3, 6))
    total = min(map(len, gains))
    lean = gains[0][:total] - gains[1][:total]
    score = np.concatenate([[0.0], np.cumsum(lean)]) - np.concatenate(
        [np.cumsum(lean[::-1])[::-1], [0.0]]
    )
    best = int(np.argmax(score))
    near = np.flatnonzero(score >= score[best] - 6)
    # A frame spans 2,048 samples: the last good one before ends, the first good one after begins.
    place = first + (best + 1) * hop
    return place, first + int(near[0]) * hop, first + (int(near[-1]) + 2) * hop
