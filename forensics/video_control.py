"""The control experiment of activity: figures drawn into the clip's own frames, and whether found.

That nothing was seen in a region means something only if somebody would have been. Pure functions
of arrays; the frames are copies, the evidence is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.calibration import item_rate
from forensics.model import NotTestable, Quantity, Span
from forensics.video_acts import inside
from forensics.video_tracks import Ground, blobs, moving_mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]

__all__ = [
    "SHADE", "Control", "draw_figure", "find_failed", "measure_controls", "try_figures",
]  # fmt: skip

#: The brightness of a drawn figure, as a share of that of the ground behind it.
SHADE = 0.6
#: Frames tried, and places across and down a region.
_FRAMES, _ACROSS, _DOWN = 4, 4, 3

#: So few drawn figures say nothing, and less than this share found is not enough.
_LEAST_TRIED, _LEAST_SHARE = 4, 0.5

Polygon = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Control:
    """One region in one stretch (s): drawn figures that were found, and that were drawn."""

    region: str
    start: float
    end: float
    found: int
    tried: int


def draw_figure(frame: Bytes, x: float, foot: float, tall: float, shade: float = SHADE) -> Bytes:
    """A copy of a frame with an upright figure that lets through `shade` of what is behind it."""
    import cv2
    import numpy as np

    mask = np.zeros(frame.shape, np.uint8)
    at, wide = (round(x), round(foot - 0.5 * tall)), max(1, round(0.13 * tall))
    cv2.ellipse(mask, at, (wide, max(2, round(0.4 * tall))), 0, 0, 360, 255, -1)
    head = (round(x), round(foot - 0.91 * tall))
    cv2.circle(mask, head, max(1, round(0.075 * tall)), 255, -1)
    for side in (-1, 1):
        toe = (round(x + side * 0.1 * tall), round(foot))
        cv2.line(mask, at, toe, 255, max(1, round(0.09 * tall)))
    out = frame.copy()
    out[mask > 0] = (frame[mask > 0] * shade).astype(np.uint8)
    return out


def try_figures(
    frames: Bytes, ground: Ground, polygon: Polygon, hidden: Sequence[Polygon], *,
    heights: tuple[float, float], least_px: float,
) -> tuple[int, int]:  # fmt: skip
    """How many figures drawn into a region were found, and how many were drawn.

    Parameters
    ----------
    frames
        (n, h, w) uint8 of one stretch.
    ground
        Its background.
    polygon, hidden
        The region and what hides parts of it, in pixels of `frames`; behind the latter and where
        something moves already, nothing is drawn.
    heights
        Height of an upright figure as a + b * foot row.
    least_px
        Smallest figure that is followed.

    When it errs
    ------------
    A figure is one even shade: real ones are lighter in some places and darker in others, move, and
    may wear just the brightness of what is behind them.
    """
    import numpy as np

    xs, ys = (np.array([p[k] for p in polygon]) for k in (0, 1))
    x, y = (part.ravel() for part in np.meshgrid(
        xs.min() + np.ptp(xs) * (np.arange(_ACROSS) + 0.5) / _ACROSS,
        ys.min() + np.ptp(ys) * (np.arange(_DOWN) + 0.5) / _DOWN,
    ))  # fmt: skip
    tall = np.maximum(1.0, heights[0] + heights[1] * y)
    fits = inside(polygon, x, y) & (x > 0.2 * tall) & (x < frames.shape[2] - 0.2 * tall)
    fits &= (y - tall > 1) & (y < frames.shape[1] - 2)
    for screen in hidden:
        for share in (0.1, 0.5, 0.9):
            fits &= ~inside(screen, x, y - share * tall)
    found = tried = 0
    for index in np.unique(np.linspace(0, len(frames) - 1, _FRAMES).astype(int)):
        before, _ = moving_mask(frames[index], ground)
        for a, foot, size in zip(x[fits], y[fits], tall[fits], strict=True):
            low, high = max(0, int(foot - 1.2 * size)), int(foot + 0.2 * size)
            left, right = max(0, int(a - 0.5 * size)), int(a + 0.5 * size)
            if before[low:high, left:right].any():
                continue
            drawn = draw_figure(frames[index], float(a), float(foot), float(size))
            mask, _ = moving_mask(drawn, ground)
            tried += 1
            found += any(
                abs(p + w / 2 - a) < 0.3 * size and abs(q + h - foot) < 0.25 * size
                and 0.6 * size < h < 1.4 * size
                for p, q, w, h in blobs(mask, least_px=least_px)
            )  # fmt: skip
    return found, tried


def find_failed(
    controls: Sequence[Control], regions: Sequence[str], span: Span
) -> list[NotTestable]:
    """Regions and stretches in which most drawn figures were not found, or none could be drawn.

    Silence about the latter decides nothing; what is found there stands.
    """
    lost = [
        NotTestable(
            Span.of(c.start, c.end),
            f"region {c.region!r}: of {c.tried} figures drawn into it at {SHADE:.0%} of the "
            f"ground's brightness {c.found} were found",
        )
        for c in controls
        if c.tried >= _LEAST_TRIED and c.found < _LEAST_SHARE * c.tried and c.end > c.start
    ]
    drawn = {name: sum(c.tried for c in controls if c.region == name) for name in regions}
    return lost + [
        NotTestable(
            span,
            f"no control in region {name!r}: too few figures could be drawn into it, so that "
            "whether one would be seen is not known",
        )
        for name, tried in drawn.items() if tried < _LEAST_TRIED
    ]  # fmt: skip


def measure_controls(controls: Sequence[Control]) -> dict[str, Quantity]:
    """The share of drawn figures that were found, with its 95 % interval; empty if none was."""
    found, tried = sum(c.found for c in controls), sum(c.tried for c in controls)
    if not tried:
        return {}
    rate = item_rate(found, tried)
    return {"drawn figures found": Quantity(found / tried, "share", rate.low, rate.high)}
