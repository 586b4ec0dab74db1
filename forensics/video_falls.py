"""Something of a figure's size that sinks fast: the movement of a fall, from optical flow.

Pure functions of arrays. Trails see a fall only of someone who stands alone; in a group the boxes
merge, while the downward movement of one body's upper half still stands out. Who sits down or bends
sinks alike, so that a descent alone is a reason for doubt and never a fall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.floating[Any]]
    Boxes = Sequence[tuple[float, float, float, float]]

__all__ = ["Descent", "find_descents"]

#: Heights per second a patch must sink at its fastest, and while it is followed at all.
_FAST = 0.75
_SLOW = 0.3
_LEAST_DESCENT = 0.27
#: Flow needs texture at its own scale: small figures are enlarged to about this height, in pixels.
_USUAL_PX = 60.0


@dataclass(frozen=True)
class Descent:
    """A patch that sank: from, to (s), how far in figure heights, its path [(time, x, y)]."""

    start: float
    end: float
    heights: float
    fastest: float
    path: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class _Peak:
    """Where, in one frame, a patch of something that moves sinks fastest, in heights a second."""

    time: float
    x: float
    y: float
    speed: float
    step: float
    tall: float


def find_descents(
    frames: Bytes, times: Sequence[float], boxes: Sequence[Boxes], *,
    heights: tuple[float, float], least_px: float = 24.0,
) -> list[Descent]:  # fmt: skip
    """Fast downward movement of a patch about a quarter of a figure across.

    Parameters
    ----------
    frames
        (n, h, w) uint8 of an upright, fixed view, about ten a second.
    times
        (n,) seconds.
    boxes
        What moves before the background in each frame, (x, y, w, h): where to look.
    heights
        Height of an upright figure as a + b * foot row, in pixels of `frames`.
    least_px
        Smaller figures are not looked at: flow says nothing of them.

    When it errs
    ------------
    It calls it wrongly when someone sits down fast, bends, jumps, or runs towards a camera that
    looks down; it misses falls away from the camera and behind others.
    """
    import cv2

    # OpenCV's own stubs do not know it.
    engine = cv2.DISOpticalFlow_create(  # type: ignore[attr-defined]
        cv2.DISOPTICAL_FLOW_PRESET_FAST)
    peaks: list[list[_Peak]] = []
    for i in range(1, len(frames)):
        step = float(times[i] - times[i - 1])
        here: list[_Peak] = []
        for x, y, w, h in boxes[i] if step > 0 else ():
            tall = heights[0] + heights[1] * (y + h)
            if tall < least_px or max(w, h) < 0.3 * tall:
                continue
            pad = 0.3 * tall
            top, bottom = max(0, int(y - pad)), min(frames.shape[1], int(y + h + pad))
            left, right = max(0, int(x - pad)), min(frames.shape[2], int(x + w + pad))
            peak = _peak(engine, frames[i - 1 : i + 1, top:bottom, left:right], tall, step)
            if peak is not None:
                at = (left + peak[0], top + peak[1])
                here.append(_Peak(float(times[i]), *at, peak[2], step, tall))
        peaks.append(here)
    return _string(peaks)


def _peak(engine: Any, pair: Bytes, tall: float, step: float) -> tuple[float, float, float] | None:
    """Place (x, y) and speed (heights a second) of what sinks fastest between two pictures."""
    import cv2
    import numpy as np

    if min(pair.shape[1:]) < 8:
        return None
    scale = float(np.clip(_USUAL_PX / tall, 0.4, 2.5))
    size = (max(24, round(pair.shape[2] * scale)), max(24, round(pair.shape[1] * scale)))
    before, after = (
        cv2.GaussianBlur(cv2.resize(np.ascontiguousarray(p), size), (0, 0), 1.0) for p in pair
    )
    flow = engine.calc(before, after, None)
    unit = step * tall * scale
    patch = max(5, round(0.25 * tall * scale)) | 1
    sink, side = flow[..., 1] / unit, np.abs(flow[..., 0]) / unit
    # Sinking, not passing: a fall leans, but goes down at least half as fast as aside.
    down = np.where((sink > 0.15) & (sink > 0.5 * side), sink, 0).astype(np.float32)
    moved = ((sink**2 + side**2) > 0.15**2).astype(np.float32)
    # The mean over what moves, if enough of the patch does.
    covered = cv2.boxFilter(moved, -1, (patch, patch))
    mean = cv2.boxFilter(down, -1, (patch, patch)) / np.maximum(covered, 0.4)
    row, column = divmod(int(mean.argmax()), mean.shape[1])
    speed = float(mean[row, column])
    return (column / scale, row / scale, speed) if speed >= _SLOW else None


def _string(peaks: Sequence[Sequence[_Peak]]) -> list[Descent]:
    """Peaks of successive frames near each other, strung together while they sink."""
    found: list[Descent] = []
    live: list[list[_Peak]] = []
    for here in peaks:
        free, going = list(here), []
        for run in live:
            last = run[-1]
            near = [(p.x - last.x) ** 2 + (p.y - last.y) ** 2 for p in free]
            best = min(range(len(near)), key=near.__getitem__, default=-1)
            if best >= 0 and near[best] <= (0.6 * last.tall) ** 2:
                going.append([*run, free.pop(best)])
            elif here and here[0].time - last.time <= 1.5 * last.step:
                # It may stand out again in the next frame.
                going.append(run)
            else:
                found += _descent(run)
        live = going + [[p] for p in free]
    for run in live:
        found += _descent(run)
    return sorted(found, key=lambda d: d.start)


def _descent(run: Sequence[_Peak]) -> list[Descent]:
    depth = sum(p.speed * p.step for p in run)
    fastest = max(p.speed for p in run)
    if len(run) < 3 or depth < _LEAST_DESCENT or fastest < _FAST:
        return []
    path = tuple((p.time, p.x, p.y) for p in run)
    return [Descent(run[0].time, run[-1].time, depth, fastest, path)]
