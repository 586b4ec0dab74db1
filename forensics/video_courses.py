"""Whether a trail may be trusted at a moment: a thing moved there, not only its outline.

A crossing is read off the foot of a box. The foot also moves when figures merge and part, when a
shadow joins, when part of a figure melts into what is behind it. A thing that moves takes all four
edges of its box along; an outline that changes moves some of them. Pure functions of arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from forensics.video_trails import Trail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = [
    "EDGE", "FEET", "NOWHERE", "PARTS", "SANK", "WITHIN", "Course", "at_border", "too_narrow",
]  # fmt: skip

#: Seconds looked at on either side of a moment, and left out right beside it.
_BESIDE_S = 0.9
_NEAR_S = 0.25
#: How differently opposite edges of a box may move, in box sizes, and against its movement.
_WARPED = 0.35
_WARPED_TIMES = 1.5
#: A leap of the foot within a tenth of a second, in box sizes.
_LEAP = 0.45
#: Logarithm of the factor by which width and height may change differently in perspective.
_ALIKE = 0.3
#: Below this share of a figure's height a thing is a part of one, or none.
_SCRAP_HEIGHTS = 0.4
#: What is upright and taller than this many figures is two, one behind the other.
_TWO_HEIGHTS = 1.3
#: Smaller than this share of the picture, a figure's speed in its own heights says little.
_LEAST_RUNNER = 0.08
#: So many times the speed that counts as running it must reach: heights are known to a quarter.
_SURELY = 1.2
#: A region narrower than this share of a figure's height, or of the picture's, is finer than a foot
#: can be placed.
_NARROW_HEIGHTS = 0.25
_NARROW_SHARE = 0.02

#: A figure's height below its head says where its feet are, if the outline is as tall within this
#: logarithm of a factor and heights do not grow faster than this a row; and for how long (s) before
#: and after a crossing sides are compared.
_HEAD_WITHIN, _STEEPEST, _SIDE_S = 0.7, 0.8, 1.5

PARTS = "what crossed there was merging, parting or in parts"
HIDDEN = "what crossed there was hidden in a group"
SCRAP = "what crossed there is smaller than a figure: part of one, a shadow, a light"
NOWHERE = "something came out of or went into what hides it, or was lost there"
FEET = "where its feet stood is not sure there: by its head they stood on another side of the edge"
EDGE = "something stood or went along its edge, closer to it than a foot can be placed"
NARROW = "the region is narrower than a foot can be placed"
UNKNOWN = "something moved quickly; how tall figures are here is not known"
SMALL = "something moved quickly that is too small to say how"
WALKING = "something moved no faster, within the error, than a quick walk"
SANK = "something sank quickly: somebody may have fallen, sat down or bent"
WITHIN = "it moved as part of something larger: a vehicle, a group"
UNLIKE = "something moved quickly that is not one upright figure seen throughout"


def at_border(box: Floats, size: tuple[float, float], margin: float) -> bool:
    """Whether a box (x, y, w, h) touches the picture's edge."""
    x, y, w, h = (float(v) for v in box)
    return x <= margin or y <= margin or x + w >= size[0] - margin or y + h >= size[1] - margin


def too_narrow(
    polygon: Sequence[tuple[float, float]], height_px: float, heights: tuple[float, float] | None
) -> str:
    """Whether a region is finer than a foot can be placed there; empty if it is not.

    Parameters
    ----------
    polygon
        Of the region, in the picture's pixels.
    height_px
        Of the picture.
    heights
        Height of an upright figure as a + b * foot row, if it is known.
    """
    xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
    least = _NARROW_SHARE * height_px
    if heights is not None:
        least = max(least, _NARROW_HEIGHTS * (heights[0] + heights[1] * max(ys)))
    return NARROW if min(max(xs) - min(xs), max(ys) - min(ys)) < least else ""


class Course:
    """One trail, and what speaks against resting a statement on it.

    Parameters
    ----------
    trail
        As it was followed.
    times, boxes
        The same, smoothed: (n,) seconds and (n, 4) pixels.
    size
        Width and height of the picture.
    heights
        Height of an upright figure as a + b * foot row, if it is known.
    """

    def __init__(
        self, trail: Trail, times: Floats, boxes: Floats, size: tuple[float, float],
        heights: tuple[float, float] | None,
    ) -> None:  # fmt: skip
        import numpy as np

        self.times, self.boxes, self.picture = times, boxes, size
        self.raw = np.array(trail.boxes, float)
        self.seen = trail.seen()
        self.tall: Floats | None = None
        if heights is not None:
            self.tall = np.maximum(1.0, heights[0] + heights[1] * (boxes[:, 1] + boxes[:, 3]))
        self.feet = self._feet_below_head(heights)

    def _feet_below_head(self, heights: tuple[float, float] | None) -> Floats:
        """Where the feet stand if the head is seen, (n,) rows; NaN where that cannot be said."""
        import numpy as np

        _, y, w, h = self.boxes.T
        if heights is None or heights[1] > _STEEPEST:
            return np.full(len(y), np.nan)
        # foot = head + height there, and the height is a line of the foot's row.
        feet = (y + heights[0]) / (1 - heights[1])
        apart = np.abs(np.log(np.maximum(h, 1.0) / np.maximum(feet - y, 1.0)))
        told = (y > 0.02 * self.picture[1]) & (h > w) & (apart < _HEAD_WITHIN)
        feet = np.minimum(feet, self.picture[1] - 1)
        out: Floats = np.where(told & self.seen, feet, np.nan)
        return out

    def doubt_side(self, away: Floats, time: float, *, enters: bool) -> str:
        """Why a change of sides may be of the outline's foot only: the head says otherwise.

        Legs melt into dark ground and shadows join them; an upright figure's head does neither.

        Parameters
        ----------
        away
            (n,) how far inside the region the feet stand that belong to the head, NaN if unknown.
        time
            Of the change.
        enters
            Into the region, or out of it.
        """
        import numpy as np

        late = self.times - time
        for part, inside_it in (((late < 0) & (late >= -_SIDE_S), not enters),
                                ((late > 0) & (late <= _SIDE_S), enters)):  # fmt: skip
            known = away[part][np.isfinite(away[part])]
            if len(known) < 3 or len(known) < 0.5 * part.sum():
                continue
            # On the way across the feet are on both sides: the farther half counts.
            far = float(np.percentile(known, 75 if inside_it else 25))
            if (far > 0) != inside_it:
                return FEET
        return ""

    def at_border(self, time: float, within_s: float = 0.0) -> bool:
        """Whether it touched the picture's edge at a time, or close to it."""
        import numpy as np

        near = np.flatnonzero(np.abs(self.times - time) <= within_s + 1e-6)
        margin = 0.02 * self.picture[0]
        return any(at_border(self.boxes[k], self.picture, margin) for k in near)

    def is_scrap(self) -> bool:
        """Whether it is too small for a figure, or a sliver at the picture's edge, all along."""
        import numpy as np

        margin, wide = 0.02 * self.picture[0], float(np.median(self.boxes[:, 2:].min(axis=1)))
        if wide < 1.5 * margin and all(at_border(b, self.picture, margin) for b in self.boxes):
            return True
        if self.tall is None:
            return False
        return float(np.percentile(self.boxes[:, 3] / self.tall, 75)) < _SCRAP_HEIGHTS

    def doubt(self, time: float) -> str:
        """Why a crossing at `time` may be of the outline only; empty if it moved as a whole."""
        import numpy as np

        if self.is_scrap():
            return SCRAP
        near = np.abs(self.times - time) <= 0.5
        if self.seen[near].mean() < 0.6:
            return HIDDEN
        if self.tall is not None:
            wide, high = self.raw[near, 2], self.raw[near, 3]
            if (high > np.maximum(_TWO_HEIGHTS * self.tall[near], 1.2 * wide)).any():
                return PARTS
        if self.at_border(time, _BESIDE_S):
            # Coming into the picture, an outline must grow.
            return ""
        return PARTS if self._leaps(time) or self._warps(time) else ""

    def _leaps(self, time: float) -> bool:
        import numpy as np

        near = np.flatnonzero(np.abs(self.times - time) <= _BESIDE_S)
        if len(near) < 2:
            return False
        x, y, w, h = self.raw[near].T
        lasted = np.maximum(np.diff(self.times[near]) / 0.1, 0.5)
        along, down = np.diff(x + w / 2) / lasted, np.diff(y + h) / lasted
        # Fast is no leap: what counts is how far a step differs from those beside it.
        step = np.hypot(along - np.median(along), down - np.median(down))
        size = max(float(np.median(w)), float(np.median(h)), 1.0)
        return bool(step.max() / size > _LEAP)

    def _warps(self, time: float) -> bool:
        import numpy as np

        late = self.times - time
        before = (late >= -_BESIDE_S) & (late <= -_NEAR_S)
        after = (late >= _NEAR_S) & (late <= _BESIDE_S)
        if not before.any() or not after.any():
            return False
        one, other = np.median(self.boxes[before], axis=0), np.median(self.boxes[after], axis=0)
        size = max(float(one[2:].max()), float(other[2:].max()), 1.0)
        left, top = (other[:2] - one[:2]) / size
        right, bottom = (other[:2] + other[2:] - one[:2] - one[2:]) / size
        warped = max(abs(float(left - right)), abs(float(top - bottom)))
        moved = float(np.hypot((left + right) / 2, bottom))
        wider, taller = np.log(np.maximum(other[2:], 1.0) / np.maximum(one[2:], 1.0))
        if abs(wider - taller) < _ALIKE and moved > 0.5:
            # Near and far: it grew or shrank as a whole on its way.
            return False
        return warped > min(_WARPED, _WARPED_TIMES * moved + 0.05)

    def doubt_appearing(self, time: float, *, first: bool) -> str:
        """Why something first (or last) seen inside a region may not have come (or gone)."""
        import numpy as np

        if self.is_scrap():
            return SCRAP
        since = (self.times - time) * (1 if first else -1)
        near = (since >= -1e-6) & (since <= 3.0)
        soon = near & (since <= 1.5)
        if self.times[near][-1] - self.times[near][0] < 1.2 or self.seen[soon].mean() < 0.8:
            return NOWHERE
        box = self.boxes[near]
        tall = float(np.median(box[:, 3]))
        size = max(tall, float(np.median(box[:, 2])), 1.0)
        spread = float(np.ptp(np.percentile(box[:, 3], (10, 90)))) / max(tall, 1.0)
        foot = np.c_[box[:, 0] + box[:, 2] / 2, box[:, 1] + box[:, 3]]
        went = float(np.hypot(*(foot - foot[0 if first else -1]).T).max()) / size
        like = self.tall is None or 0.6 < tall / float(np.median(self.tall[near])) < 1.5
        leaps = any(self._leaps(float(t)) for t in self.times[soon][::4])
        return "" if like and went > 0.5 and spread < 0.4 and not leaps else NOWHERE

    def doubt_standing(self, first: int, last: int) -> str:
        """Why what stood still or fell may not have been a figure seen by itself."""
        if self.is_scrap():
            return SCRAP
        return "" if self.seen[first : last + 1].mean() >= 0.6 else HIDDEN

    def doubt_falling(self, first: int, last: int) -> str:
        """Why what became low may not be one figure that fell: it stood, and its foot stayed."""
        import numpy as np

        if self.tall is None:
            return UNKNOWN
        if self.seen[first : last + 1].mean() < 0.6:
            return HIDDEN
        before = (self.times >= self.times[first] - 1.2) & (self.times <= self.times[first])
        stood = float(np.median(self.boxes[before, 3]) / np.median(self.tall[before]))
        if not 0.65 < stood < 1.4:
            return PARTS
        middle = float(self.times[first] + self.times[last]) / 2
        return PARTS if self._leaps(middle) else ""

    def doubt_running(self, first: int, last: int, fast_px: float) -> str:
        """Why what moved quickly is not said to run.

        Parameters
        ----------
        first, last
            Numbers of the boxes.
        fast_px
            Pixels a second from which a figure of this size runs.
        """
        import numpy as np

        if self.tall is None:
            return UNKNOWN
        part = slice(first, last + 1)
        box, tall = self.boxes[part], self.tall[part]
        lasted = float(self.times[last] - self.times[first])
        upright = (box[:, 3] > 0.6 * tall) & (box[:, 3] < 1.45 * tall) & (box[:, 2] < 0.9 * tall)
        if lasted < 0.5 or self.seen[part].mean() < 0.9 or upright.mean() < 0.8:
            return UNLIKE
        foot = np.c_[box[:, 0] + box[:, 2] / 2, box[:, 1] + box[:, 3]]
        head = np.c_[box[:, 0] + box[:, 2] / 2, box[:, 1]]
        # Its way as a whole, not the sum of the outline's jerks; head and foot alike.
        slowest = min(float(np.hypot(*(p[-1] - p[0]))) / lasted for p in (foot, head))
        middle = float(self.times[first] + self.times[last]) / 2
        if self._leaps(middle) or self._warps(middle):
            return UNLIKE
        if float(np.median(box[:, 3])) < _LEAST_RUNNER * self.picture[1]:
            return SMALL
        return WALKING if slowest < _SURELY * fast_px else ""
