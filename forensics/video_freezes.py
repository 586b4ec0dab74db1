"""Pictures that stand still though the view moves, and single frames shown twice.

Pure functions of the frame rows of `video_measure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.scan_order import middle, percentile
from forensics.video_measure import largest_around

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Freeze", "find_doubles", "find_freezes"]

#: Noise changes the three strongest cells by less than 2 grey levels; what moves, by 8 and more.
LEAST_PEAK = 4.0
#: What stops at once is seen so well before it stops; the last of one who walks out is not.
SURE_PEAK = 6.0
#: What was held back leaps 1.9 and more usual steps; a view that fills, less than this.
LEAST_LEAP = 1.5
#: A picture that is held stops from one frame to the next; coarse coding softens that a little.
LEAST_FALL = 4.0
#: Frames before a standstill in which a fresh coding may have begun it: B-frames spread it.
FRESH_BEFORE = 4
#: Frames at either end of a standstill that B-frames blend with the motion beside it; how long that
#: may take, since where frames are few a view empties in as many; how much of the motion they show.
BLENDED = 4
BLENDED_S = 0.2
BLEND = 0.6
#: Right beside the blends the view moves in full: what ebbs away or comes back does not.
BLENDED_FROM = 0.75
#: What is held and blended is dead within: what only stands still goes on moving a little.
BLENDED_CONTRAST = 20.0


@dataclass(frozen=True)
class Freeze:
    """Frames `first` to `last` (left out) show one picture; `contrast` motion around / inside."""

    first: int
    last: int
    contrast: float


def find_freezes(
    diff: NDArray[np.float64], rate_hz: float, *, least_s: float = 0.4,
    fresh: NDArray[np.bool_] | None = None, peak: NDArray[np.float64] | None = None,
    cells: NDArray[np.float16] | None = None,
) -> tuple[list[Freeze], list[tuple[int, int]]]:  # fmt: skip
    """Runs in which the picture stands still although it moves right before and after.

    Parameters
    ----------
    diff
        (n,) mean absolute grey difference to the frame before.
    rate_hz
        Frames a second.
    least_s
        Shortest freeze.
    fresh
        (n,) which frames are coded afresh, where known. After one a sparing encoder adds nothing
        for a while, and the next is no leap.
    peak
        (n,) mean of the three strongest cells of each step, where known: a view in which nothing
        but noise moves does not freeze.
    cells
        (n, rows, columns) change of each cell, where known. What was only held goes on where it
        stopped; one who goes out and one who comes in later are two.

    Returns
    -------
    tuple
        Freezes; and the still runs about which nothing can be said, as (first, last) frames.
    """
    import numpy as np

    fresh = np.zeros(len(diff), dtype=bool) if fresh is None else fresh.copy()
    # What B-frames make of a fresh coding shows a frame early or late.
    fresh[:-1] |= fresh[1:].copy()
    fresh[1:] |= fresh[:-1].copy()
    least = max(3, round(least_s * rate_hz))
    around = max(3, round(rate_hz))
    moving = diff[1:][diff[1:] > 0.02]
    typical = float(middle(moving)) if len(moving) else 0.0
    quiet = diff <= max(0.03, 0.08 * typical)
    quiet[0] = False
    # One key frame may freshen a frozen picture without moving it.
    for t in np.flatnonzero(~quiet[1:-1]) + 1:
        if quiet[t - 1] and quiet[t + 1] and diff[t] <= max(0.6, 0.5 * typical):
            quiet[t] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    freezes: list[Freeze] = []
    still: list[tuple[int, int]] = []
    reach = BLENDED if round(BLENDED_S * rate_hz) >= BLENDED else 0
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        core = (int(low), int(high))
        wide = _with_blends(diff, *core, reach)
        if wide[1] - wide[0] < least - 1:
            continue
        contrast = 0.0
        if core[1] - core[0] >= least - 1:
            contrast = _held(diff, core, core, around, fresh=fresh, peak=peak, cells=cells)
        if not contrast and wide != core:
            core, contrast = wide, _held(
                diff, wide, core, around, fresh=fresh, peak=peak, cells=cells
            )  # fmt: skip
        if contrast:
            freezes.append(Freeze(core[0] - 1, core[1], contrast))
        else:
            still.append(wide)
    return freezes, still


def _held(
    diff: NDArray[np.float64], span: tuple[int, int], core: tuple[int, int], around: int, *,
    fresh: NDArray[np.bool_], peak: NDArray[np.float64] | None, cells: NDArray[np.float16] | None,
) -> float:  # fmt: skip
    """Motion beside the standstill `span` over that inside its `core`; 0 if it need not be held.

    Where they differ, the frames between are blends of what is held with what moves beside it.
    """
    import numpy as np

    first, last = span
    blended = span != core
    near, far = np.arange(max(1, first - around), first), np.arange(last, min(
        last + around, len(diff)))  # fmt: skip
    before, after = diff[near[~fresh[near]]], diff[far[~fresh[far]]]
    # Where the whole clip stands still there is nothing beside.
    if len(before) < 3 or len(after) < 3:
        return 0.0
    if peak is not None and (
        percentile(peak[np.r_[near, far]], 75) < LEAST_PEAK or not _sudden(peak, first, last)
    ):
        return 0.0
    inside = float(np.mean(diff[core[0] : core[1]]))
    outside = min(float(middle(before)), float(middle(after)))
    contrast = (outside + 0.01) / (inside + 0.01)
    # In a moving view every frame moves: the quietest one outside still outdoes the freeze.
    quietest = min(percentile(before, 20), percentile(after[1:], 20) if
                   len(after) > 1 else 0.0)  # fmt: skip
    typical = float(middle(np.concatenate([before, after])))
    plain = contrast >= (BLENDED_CONTRAST if blended else 6.0)
    if not plain or quietest <= 3 * inside + 0.03 or typical < 0.1:
        return 0.0
    if not blended and _leap(diff, fresh, last, after, typical) >= LEAST_LEAP:
        return contrast
    if blended and min(before[-3:].max(), after[:3].max()) < BLENDED_FROM * typical:
        return 0.0
    coded = bool(fresh[max(0, first - FRESH_BEFORE) : first].any())
    if coded or (cells is not None and not _goes_on(cells, first, last)):
        return 0.0
    stood = inside if blended else float(diff[first : first + 2].mean())
    return contrast if _at_once(np.append(before[-5:], stood), after[:2], typical) else 0.0


def _with_blends(
    diff: NDArray[np.float64], first: int, last: int, reach: int
) -> tuple[int, int]:  # fmt: skip
    """A standstill with the frames at its ends that an encoder blended with the motion beside it.

    What B-frames show of a held picture is an average with what moved before or moves after.
    """
    low, high = first, last
    while low > max(2, first - reach):
        if diff[low - 1] > BLEND * float(diff[max(1, low - 4) : low - 1].max(initial=0.0)):
            break
        low -= 1
    while high < min(len(diff) - 2, last + reach):
        if diff[high] > BLEND * float(diff[high + 1 : high + 4].max(initial=0.0)):
            break
        high += 1
    return low, high


def _sudden(peak: NDArray[np.float64], first: int, last: int) -> bool:
    """Whether what moves most stops, or moves again, from one frame to the next and in full.

    Who walks out is seen less and less, who walks in more and more. Light comes and goes at once,
    but light changes all cells alike, and `peak` is what stands out of them.
    """

    full = float(middle(peak[max(1, first - 8) : max(2, first - 2)]))
    stop = peak[max(1, first - 5) : first + 1]
    stops = bool(((stop[:-1] >= max(SURE_PEAK, 0.5 * full)) & (stop[1:] <= 0.3 * stop[:-1])).any())
    later = peak[last + 3 : last + 9]
    again = max(full, float(middle(later)) if len(later) else 0.0)
    return stops or float(peak[last : last + 3].max(initial=0.0)) >= 0.8 * again


def _leap(
    diff: NDArray[np.float64], fresh: NDArray[np.bool_], last: int, after: NDArray[np.float64],
    typical: float,
) -> float:  # fmt: skip
    """How far what was held back leaps at a standstill's end, in usual steps after it.

    Only the next three frames can be that leap: a later one is somebody who comes in. It is no
    less than a usual step of both sides: over an emptied view, noise leaps over noise.
    """
    import numpy as np

    end = np.arange(last, min(last + 3, len(diff)))
    end = end[~fresh[end]]
    if len(after) <= 5 or not len(end):
        return 0.0
    leap = float(diff[end].max())
    return leap / max(0.05, float(middle(after[3:9]))) if leap >= typical else 0.0


def _at_once(before: NDArray[np.float64], after: NDArray[np.float64], typical: float) -> bool:
    """Whether motion stops and resumes in full and at once, as in no view that empties and fills.

    The last of `before` is the standstill: one frame of the way to it must be a fall. Who walks
    out of the picture fades over several.
    """
    import numpy as np

    level = np.maximum(0.03, before)
    falls = float((level[:-1] / level[1:]).max()) >= LEAST_FALL
    return falls and min(float(before[-4:-1].max()), float(after.max())) >= 0.5 * typical


def _goes_on(cells: NDArray[np.float16], first: int, last: int) -> bool:
    """Whether what moves right after a standstill moves where it did right before."""
    import numpy as np

    one = cells[max(1, first - 3) : first].astype(np.float32).max(axis=0)
    other = cells[last : last + 3].astype(np.float32).max(axis=0)
    # Only what stands out of the noise, and one cell on: it moves while it moves.
    one, other = one > 0.3 * one.max(), other > 0.3 * other.max()
    wide = one.copy()
    wide[1:] |= one[:-1]
    wide[:-1] |= one[1:]
    near = wide.copy()
    near[:, 1:] |= wide[:, :-1]
    near[:, :-1] |= wide[:, 1:]
    return bool((near & other).sum() >= 0.5 * other.sum())


def find_doubles(diff: NDArray[np.float64]) -> NDArray[np.int64]:
    """Frames that repeat the one before while the picture moves on both sides of them."""
    import numpy as np

    before, after = largest_around(diff, 2)
    alone = (diff < 0.03) & (diff < 0.05 * np.minimum(before, after))
    alone[:2] = False
    alone[-2:] = False
    # Two still frames in a row are a short freeze, not a doubled frame.
    alone[1:] &= ~alone[:-1]
    return np.flatnonzero(alone)
