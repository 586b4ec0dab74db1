"""Something of a figure's size that sinks fast: the movement of a fall, from optical flow.

Pure functions of arrays. Trails see a fall only of someone who stands alone; in a group the boxes
merge, while the downward movement of one body's upper half still stands out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]

__all__ = ["Descent", "find_descents"]

#: Heights per second a patch must sink at its fastest, and while it is followed at all.
_FAST = 0.75
_SLOW = 0.3
_LEAST_DESCENT = 0.27


@dataclass(frozen=True)
class Descent:
    """A patch that sank: from, to (s), how far in figure heights, its path [(time, x, y)]."""

    start: float
    end: float
    heights: float
    fastest: float
    path: tuple[tuple[float, float, float], ...]


def find_descents(
    frames: Bytes, times: Floats, *, figure_px: float, where: NDArray[np.bool_]
) -> list[Descent]:
    """Fast downward movement of a patch about a quarter of a figure across.

    Parameters
    ----------
    frames
        (n, h, w) uint8 of an upright, fixed view, about ten a second.
    times
        (n,) seconds.
    figure_px
        Height of a standing figure there, in pixels of `frames`.
    where
        (h, w): where to look.

    When it errs
    ------------
    It calls it wrongly when someone sits down fast, bends, jumps, or runs towards a camera that
    looks down; it misses falls away from the camera and behind others.
    """
    import cv2
    import numpy as np

    ys, xs = np.nonzero(where)
    if len(frames) < 4 or not len(ys):
        return []
    pad = round(figure_px)
    top, bottom = max(0, int(ys.min()) - pad), min(frames.shape[1], int(ys.max()) + pad)
    left, right = max(0, int(xs.min()) - pad), min(frames.shape[2], int(xs.max()) + pad)
    if bottom - top < 16 or right - left < 16:
        return []
    # Flow needs texture at its own scale: small figures are enlarged.
    scale = float(np.clip(60 / max(figure_px, 1.0), 1.0, 2.5))
    size = (round((right - left) * scale), round((bottom - top) * scale))
    tall = figure_px * scale
    patch = max(5, round(0.25 * tall)) | 1
    allowed = cv2.resize(where[top:bottom, left:right].astype(np.uint8), size) > 0
    reach = max(3, round(0.5 * tall)) | 1
    allowed = cv2.dilate(allowed.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    # OpenCV's own stubs do not know it.
    engine = cv2.DISOpticalFlow_create(  # type: ignore[attr-defined]
        cv2.DISOPTICAL_FLOW_PRESET_FAST)
    peaks: list[tuple[float, float, float, float, float]] = []
    last: Any = None
    for i in range(len(frames)):
        view = cv2.resize(np.ascontiguousarray(frames[i, top:bottom, left:right]), size,
                          interpolation=cv2.INTER_LINEAR)  # fmt: skip
        if last is not None:
            step = float(times[i] - times[i - 1])
            change = cv2.absdiff(view, last)
            # Nothing moves, nothing falls; and flow is dear.
            if step > 0 and float((change > 14).mean()) * change.size > 0.01 * tall * tall:
                flow = engine.calc(last, view, None)
                sink = flow[..., 1] / (step * tall)
                side = np.abs(flow[..., 0]) / (step * tall)
                # Sinking, not passing: a fall leans, but goes down at least half as fast as aside.
                down = np.where((sink > 0.15) & (sink > 0.5 * side), sink, 0).astype(np.float32)
                moved = ((sink**2 + side**2) > 0.15**2).astype(np.float32)
                covered = cv2.boxFilter(moved, -1, (patch, patch))
                # The mean over what moves, if enough of the patch does.
                mean = cv2.boxFilter(down, -1, (patch, patch)) / np.maximum(covered, 0.4)
                mean = np.where(allowed, mean, 0)
                at = int(mean.argmax())
                y, x = divmod(at, mean.shape[1])
                peaks.append((float(times[i]), float(x), float(y), float(mean.flat[at]), step))
        last = view
    return [
        Descent(d.start, d.end, d.heights, d.fastest,
                tuple((t, left + x / scale, top + y / scale) for t, x, y in d.path))
        for d in _string(peaks, tall)
    ]  # fmt: skip


def _string(peaks: list[tuple[float, float, float, float, float]], tall: float) -> list[Descent]:
    """Peaks of successive frames near each other, strung together while they sink."""
    found: list[Descent] = []
    run: list[tuple[float, float, float, float, float]] = []

    def close() -> None:
        if len(run) >= 3:
            depth = sum(p[3] * p[4] for p in run)
            fastest = max(p[3] for p in run)
            if depth >= _LEAST_DESCENT and fastest >= _FAST:
                path = tuple((p[0], p[1], p[2]) for p in run)
                found.append(Descent(run[0][0], run[-1][0], depth, fastest, path))
        run.clear()

    for peak in peaks:
        time, x, y, speed, step = peak
        if run:
            before = run[-1]
            far = ((x - before[1]) ** 2 + (y - before[2]) ** 2) ** 0.5
            if time - before[0] > 2.5 * step or far > 0.6 * tall or speed < _SLOW:
                close()
        if speed >= _SLOW:
            run.append(peak)
    close()
    return found
