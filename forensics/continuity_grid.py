"""The frame grid a transform codec leaves in decoded sound, followed over time.

AAC codes 1,024 new samples a frame. Decoded and analysed at the very same frame positions, many
MDCT coefficients collapse again towards the zeros they were quantised to; one sample off, they do
not. The position of that collapse modulo 1,024 is the grid; a cut that does not remove a whole
number of frames moves it, by exactly as many samples as were removed or added, modulo 1,024.

Pure functions of arrays. Sample positions are absolute, counted from the first sample presented.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "FRAME",
    "FOUND_Z",
    "Grid",
    "GridShift",
    "GridTracker",
    "Segment",
    "find_shifts",
    "measure_collapse",
    "search_grid",
    "score_offsets",
]

FRAME = 1024
#: Frames looked at in one segment; segments are this long.
_PROBES = 8
SEGMENT_S = 2.5
#: A grid is taken up at this robust z over all 1,024 offsets and confirmed on other frames.
FOUND_Z = 6.5
_CONFIRM_Z = 5.0
_CONTROLS = tuple(d for d in range(-17, 18) if abs(d) > 1)
_LOWEST_BIN = 16
#: Rounding to 16 bits leaves about this much in each orthonormal coefficient.
_EPSILON = 2e-5
SHAPES = ("kbd", "sine")


@functools.cache
def _window(shape: str) -> Floats:
    import numpy as np

    if shape == "sine":
        sine: Floats = np.sin(np.pi * (np.arange(2 * FRAME) + 0.5) / (2 * FRAME)).astype(np.float32)
        return sine
    sums = np.cumsum(np.kaiser(FRAME + 1, np.pi * 4))
    half = np.sqrt(sums[:-1] / sums[-1])
    return np.concatenate([half, half[::-1]]).astype(np.float32)


def _collapse(rows: Floats, shape: str) -> Floats:
    """Mean log magnitude of the MDCT of each row (n, 2048): low where coefficients vanish."""
    import numpy as np
    from scipy.fft import dct

    half = FRAME // 2
    rows = rows * _window(shape)
    a, b = rows[:, :half], rows[:, half:FRAME]
    c, d = rows[:, FRAME : FRAME + half], rows[:, FRAME + half :]
    folded = np.concatenate([-c[:, ::-1] - d, a - b[:, ::-1]], axis=1)
    spectrum = dct(folded, type=4, axis=1, norm="ortho")[:, _LOWEST_BIN:]
    np.abs(spectrum, out=spectrum)
    spectrum += np.float32(_EPSILON)
    np.log(spectrum, out=spectrum)
    found: Floats = spectrum.mean(axis=1)
    return found


def measure_collapse(samples: Floats, starts: NDArray[np.int64], shape: str) -> Floats:
    """`_collapse` of the 2,048 samples from each start; NaN where they run out of `samples`."""
    import numpy as np

    out = np.full(len(starts), np.nan, np.float32)
    inside = np.flatnonzero((starts >= 0) & (starts + 2 * FRAME <= len(samples)))
    view = np.lib.stride_tricks.sliding_window_view(samples, 2 * FRAME) if len(inside) else None
    for first in range(0, len(inside), 1024):
        part = inside[first : first + 1024]
        if view is not None:
            out[part] = _collapse(view[starts[part]], shape)
    return out


def score_offsets(curve: Floats) -> Floats:
    """Robust z of the dip at each offset (n,): how far below its neighbours it falls."""
    import numpy as np
    from scipy.ndimage import median_filter

    smooth = curve - median_filter(curve, 17, mode="wrap")
    spread = 1.4826 * np.median(np.abs(smooth)) + 1e-9
    found: Floats = -smooth / spread
    return found


def _pick(samples: Floats, count: int, skip: int = 0) -> NDArray[np.int64]:
    """Starts of up to `count` frames with something in them: ranks spread over the louder 60 %."""
    import numpy as np

    total = (len(samples) - 3 * FRAME) // FRAME
    if total < 2:
        return np.zeros(0, np.int64)
    power = (samples[: total * FRAME].reshape(total, FRAME) ** 2).mean(axis=1)
    both = power + np.append(power[1:], 0)
    alive = np.flatnonzero(both > 1e-8)
    if len(alive) < 4:
        return np.zeros(0, np.int64)
    ranked = alive[np.argsort(-both[alive], kind="stable")]
    usable = ranked[: max(4, int(len(ranked) * 0.6))]
    steps = np.linspace(0, len(usable) - 1, 2 * count).astype(int)[skip::2]
    return np.unique(usable[steps]) * FRAME


def search_grid(
    samples: Floats, *, shapes: tuple[str, ...] = SHAPES, masked: tuple[int, ...] = (),
    first: int = 0,
) -> list[tuple[int, str, float]]:  # fmt: skip
    """All grids of a stretch of sound: (offset modulo 1,024, window shape, z), strongest first.

    Parameters
    ----------
    samples
        Mono, at the rate of the coding looked for; at least 4 frames.
    shapes
        Window shapes tried.
    masked
        Offsets known already; they and their neighbours are left out.
    first
        Absolute position of the first sample.
    """
    import numpy as np

    found: list[tuple[int, str, float]] = []
    starts, others = _pick(samples, _PROBES), _pick(samples, _PROBES, skip=1)
    if len(starts) < 3:
        return []
    offsets = np.arange(FRAME)
    for shape in shapes:
        grid = (starts[:, None] + offsets[None]).ravel()
        curve = measure_collapse(samples, grid, shape).reshape(len(starts), FRAME).mean(axis=0)
        z = score_offsets(curve)
        for known in masked:
            z[(np.arange(known - first - 2, known - first + 3)) % FRAME] = 0
        for offset in np.argsort(-z)[:3]:
            if z[offset] < FOUND_Z:
                break
            if _presence(samples, others, int(offset), shape) >= _CONFIRM_Z:
                found.append((int((offset + first) % FRAME), shape, float(z[offset])))
    found.sort(key=lambda item: -item[2])
    distinct: list[tuple[int, str, float]] = []
    for item in found:
        if all(abs((item[0] - d[0] + 512) % FRAME - 512) > 2 for d in distinct):
            distinct.append(item)
    return distinct


def _dips(
    samples: Floats, starts: NDArray[np.int64], offset: int, shape: str
) -> tuple[Floats, Floats]:
    """(dip below the local controls, the controls' spread) of each frame at one offset."""
    import numpy as np

    steps = np.array((0, *_CONTROLS))
    grid = (starts[:, None] + offset + steps[None]).ravel()
    table = measure_collapse(samples, grid, shape).reshape(len(starts), len(steps))
    table = table[~np.isnan(table).any(axis=1)]
    if not len(table):
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    control = np.median(table[:, 1:], axis=1)
    return control - table[:, 0], table[:, 1:].std(axis=1)


def _presence(samples: Floats, starts: NDArray[np.int64], offset: int, shape: str) -> float:
    """z of the mean dip at one offset against the offsets around it, over all frames."""
    import numpy as np

    steps = np.array((0, *_CONTROLS))
    grid = (starts[:, None] + offset + steps[None]).ravel()
    table = measure_collapse(samples, grid, shape).reshape(len(starts), len(steps))
    table = table[~np.isnan(table).any(axis=1)]
    if len(table) < 3:
        return 0.0
    curve = table.mean(axis=0)
    spread = 1.4826 * np.median(np.abs(curve[1:] - np.median(curve[1:]))) + 1e-9
    return float((np.median(curve[1:]) - curve[0]) / spread)


@dataclass
class Grid:
    """One grid: offset modulo 1,024, window shape, its z where it was first found."""

    offset: int
    shape: str
    z: float


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

    Known grids are checked in every segment at 35 offsets; a full search of all 1,024 is made in
    the first segments, wherever a known grid is lost, and else every `every_s` seconds, so that
    the cost of sound without a trace stays bounded.
    """

    def __init__(self, rate_hz: int, *, every_s: float = 20.0) -> None:
        self.rate_hz = rate_hz
        self.every = round(every_s * rate_hz)
        self.length = max(12 * FRAME, round(SEGMENT_S * rate_hz))
        self.grids: list[Grid] = []
        self.segments: list[Segment] = []
        self._last_search = -self.every
        self._searches = 0

    def _known(self, piece: Floats, first: int) -> dict[int, float]:
        starts = _pick(piece, _PROBES)
        found: dict[int, float] = {}
        if len(starts) < 3:
            return found
        for number, grid in enumerate(self.grids):
            z = _presence(piece, starts, (grid.offset - first) % FRAME, grid.shape)
            if z >= _CONFIRM_Z:
                found[number] = z
        return found

    def push(self, piece: Floats, first: int) -> None:
        """One segment of mono samples whose first has the absolute position `first`."""
        segment = Segment(first, first + len(piece), len(_pick(piece, _PROBES)) >= 3)
        self.segments.append(segment)
        if not segment.testable:
            return
        segment.present = self._known(piece, first)
        previous = self.segments[-2].present if len(self.segments) > 1 else {}
        lost = any(number not in segment.present for number in previous)
        # Where a dozen looks found nothing, looks become rarer: their cost must stay bounded.
        rarer = 1 if self.grids else 1 + self._searches // 6
        due = first - self._last_search >= min(4, rarer) * self.every
        # A grid lost again and again must not turn every segment into a full search.
        affordable = self._searches * self.every <= 2 * first + 8 * self.every
        if (lost and affordable) or due:
            self._search(piece, first, segment)

    def _search(self, piece: Floats, first: int, segment: Segment) -> None:
        self._searches += 1
        self._last_search = first
        segment.searched = True
        masked = tuple(self.grids[k].offset for k in segment.present)
        shapes = SHAPES if len(self.grids) < 2 else tuple({g.shape for g in self.grids})
        for offset, shape, z in search_grid(piece, shapes=shapes, masked=masked, first=first):
            number = next(
                (
                    k for k, g in enumerate(self.grids)
                    if g.shape == shape and abs((g.offset - offset + 512) % FRAME - 512) <= 1
                ),
                None,
            )  # fmt: skip
            if number is None:
                if len(self.grids) >= 16:
                    continue
                self.grids.append(Grid(offset, shape, z))
                number = len(self.grids) - 1
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
    kept = [k for k in count if count[k] >= 1]
    groups: list[list[int]] = []
    for number in sorted(kept, key=lambda k: -count[k]):
        for group in groups:
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
            shift = (after.offset - before.offset) % FRAME
            low = a.start if j - i <= 1 else (a.start + a.stop) // 2
            found.append(GridShift(low, b.stop, before, after, shift, strength, j - i - 1))
    return sorted(found, key=lambda s: s.low)


def locate_shift(samples: Floats, first: int, shift: GridShift) -> tuple[int, int, int]:
    """(best sample, earliest, latest) of the change, from every frame of the stretch.

    Parameters
    ----------
    samples, first
        The sound from `shift.low` to `shift.high`, and the position of its first sample.
    """
    import numpy as np

    total = (len(samples) - 3 * FRAME) // FRAME
    if total < 3:
        return (shift.low + shift.high) // 2, shift.low, shift.high
    starts = np.arange(total) * FRAME
    gains = []
    for grid in (shift.before, shift.after):
        offset = (grid.offset - first) % FRAME
        dips, spread = _dips(samples, starts, offset, grid.shape)
        if len(dips) < total:
            total = min(total, len(dips))
        gains.append(np.clip(dips / (spread + 0.02), -3, 6))
    lean = gains[0][:total] - gains[1][:total]
    score = np.concatenate([[0.0], np.cumsum(lean)]) - np.concatenate(
        [np.cumsum(lean[::-1])[::-1], [0.0]]
    )
    best = int(np.argmax(score))
    near = np.flatnonzero(score >= score[best] - 6)
    # A frame spans 2,048 samples: the last good one before ends, the first good one after begins.
    place = first + (best + 1) * FRAME
    return place, first + int(near[0]) * FRAME, first + (int(near[-1]) + 2) * FRAME
