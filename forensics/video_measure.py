"""One pass over the pictures: what every question of `video` and `edits` is answered from.

`FrameRows` measures each frame against the one before it on the 160-pixel grey view, keeps a
40-pixel thumbnail and a grid of differences of each (about 1.2 kB a frame; of a long clip in a
file without a name), and takes a second, dearer look with optical flow only where a frame stands
out from the second around it.
"""

from __future__ import annotations

import functools
import math
from array import array
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics.model import Clip, Progress
from forensics.scan import (
    Kept,
    Measurements,
    View,
    measurements,
    one_thread,
    scan,
    video_stream,
)
from forensics.scan_order import middle
from forensics.video_fresh import quiet_keys
from forensics.video_look import (
    CELLS_WIDE,
    SECOND_LOOK,
    SecondLook,
    measure_detail,
    measure_peak,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CELLS_WIDE",
    "FEATURES",
    "LOOK",
    "SECOND_LOOK",
    "THUMB_WIDE",
    "FrameRows",
    "frame_rate_hz",
    "largest_around",
    "measure_frames",
    "window_frames",
]

#: Version of what is measured: cached measurements of another version are not used.
FEATURES = "frames-3"
THUMB_WIDE = 40
#: A frame is looked at again when it differs this many times more than all but two others within
#: a second, in the picture or in its four most unusual cells…
LOOK = 1.25
LOOK_CELLS = 1.5
#: …or when motion begins or ends with it: this many times more than anything in the five frames on
#: one side of it…
LOOK_ONE_SIDE = 4.0
#: …and never where it changes its three strongest cells by fewer grey levels than this.
LOOK_LEAST = 3.0
#: Frames after which the slow background moves by one grey level.
BACKGROUND_STEP = 5
#: Frames judged at a time.
CHUNK = 64
_COLUMNS = ("diff", "detail", "peak", "shift", "level", "spread", "sharpness", "changed", "chroma")


def frame_rate_hz(pts_s: NDArray[np.float64], declared: Fraction | None = None) -> float:
    """Frames a second, from the median step of the stamps."""
    import numpy as np

    steps = np.diff(pts_s)
    steps = steps[steps > 0]
    if len(steps):
        return float(1.0 / middle(steps))
    return float(declared) if declared else 25.0


def window_frames(rate_hz: float) -> int:
    """Frames on either side that a frame is compared with: about a second, 6 to 30."""
    return int(min(30, max(6, round(rate_hz))))


def largest_around(
    series: NDArray[np.float64], reach: int, *, gap: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest value within `reach` frames before, and after, each frame along axis 0.

    Parameters
    ----------
    series
        (n, …) numbers.
    reach
        Frames looked at on each side.
    gap
        Frames next to each one that are left out on both sides.

    Returns
    -------
    tuple of ndarray
        Before and after, like `series`; 0 where there is no frame.
    """
    import numpy as np

    def before(values: NDArray[np.float64]) -> NDArray[np.float64]:
        edge = np.zeros((reach + gap, *values.shape[1:]), dtype=values.dtype)
        padded = np.concatenate([edge, values])
        windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=0)
        largest: NDArray[np.float64] = windows[: len(values)].max(axis=-1)
        return largest

    return before(series), before(series[::-1])[::-1]


class FrameRows:
    """The standard detector. See the module for what it keeps, and `_COLUMNS` for the numbers.

    ``diff`` mean absolute grey difference to the frame before; ``detail`` the same after removing
    what changes smoothly over the picture (light); ``peak`` the mean of its three strongest cells;
    ``shift`` signed mean change; ``level``, ``spread`` mean and standard deviation of grey;
    ``sharpness`` variance of the Laplacian; ``changed`` fraction of full-resolution luma pixels
    that changed at all (every fourth line); ``chroma`` mean absolute change of colour.
    """

    columns = _COLUMNS

    def __init__(self, rate_hz: float = 25.0, *, look: bool = True) -> None:
        self._rate, self._look = rate_hz, look
        self._window = window_frames(rate_hz)
        self._previous: tuple[Any, ...] | None = None
        self._level: float | None = None
        self._thumbs, self._cells = Kept(), Kept()
        self._shape = (0, 0)
        self._grid = (0, 0)
        self._detail, self._peak = array("d"), array("d")
        self._key = bytearray()
        self._looked: dict[int, tuple[float, ...]] = {}
        self._count = 0
        self._buffer: NDArray[np.uint8] | None = None
        self._second = SecondLook()
        self._back: NDArray[np.uint8] | None = None
        # The last frames, then a chunk of new ones, in arrays that are refilled when full: small
        # pictures cost less to judge by the dozen.
        self._keep = 2 * self._window + 6
        self._first, self._judged, self._settled = 0, 0, 0
        self._grey: NDArray[np.uint8] | None = None
        self._around: NDArray[np.float32] | None = None
        self._deep: NDArray[np.int16] | None = None

    def afresh(self) -> FrameRows:
        """One that measures the same and has measured nothing yet."""
        return FrameRows(self._rate, look=self._look)

    def measure(self, view: View) -> Sequence[float]:
        """The numbers of one frame."""
        import cv2
        import numpy as np

        height, width = view.grey.shape
        if self._grey is None or self._around is None:
            self._shape = (max(2, round(height * THUMB_WIDE / width)), THUMB_WIDE)
            self._grid = (max(2, round(height * CELLS_WIDE / width)), CELLS_WIDE)
            self._grey = np.empty((self._keep + CHUNK, height, width), np.uint8)
            self._around = np.empty((self._keep + CHUNK, *self._grid), np.float32)
        at = self._count - self._first
        if at == len(self._grey):
            self._judge(self._count - self._window)
            self._grey[: self._keep] = self._grey[at - self._keep :]
            self._around[: self._keep] = self._around[at - self._keep :]
            self._first, at = self._count - self._keep, self._keep
        grey = self._grey[at]
        grey[:] = view.grey
        thumb = cv2.resize(grey, self._shape[::-1], interpolation=cv2.INTER_AREA)
        self._thumbs.add(thumb)
        mean, deviation = cv2.meanStdDev(grey)
        absolute = cv2.mean(cv2.absdiff(grey, self._grey[at - 1]))[0] if self._count else 0.0
        # Each picture is asked for its detail twice: as int16 it needs no conversion.
        deep = grey.astype(np.int16)
        detail = measure_detail(deep if self._deep is None else self._deep, deep)
        self._deep = deep
        cells = cv2.resize(detail, self._grid[::-1], interpolation=cv2.INTER_AREA)
        self._cells.add(cells.astype(np.float16))
        self._around[at] = cells
        row_detail, row_peak = cv2.mean(cells)[0], measure_peak(cells)
        level = float(mean[0, 0])
        shift = level - (level if self._level is None else self._level)
        self._level = level
        self._detail.append(row_detail)
        self._peak.append(row_peak)
        self._key.append(view.key)
        self._count += 1
        return (
            absolute, row_detail, row_peak, shift, level, float(deviation[0, 0]),
            _sharpness(grey), *self._full_size(view),
        )  # fmt: skip

    def _full_size(self, view: View) -> tuple[float, float]:
        import cv2
        import numpy as np

        luma = view.luma[::4]
        # Keeping a reference is enough: the decoder writes the next picture elsewhere.
        colours = _colours(view.frame)
        previous, self._previous = self._previous, (view.frame, luma, colours)
        if previous is None or previous[1].shape != luma.shape:
            return 0.0, 0.0
        if self._buffer is None or self._buffer.shape != luma.shape:
            self._buffer = np.empty_like(luma)
        cv2.compare(luma, previous[1], cv2.CMP_NE, dst=self._buffer)
        changed = cv2.countNonZero(self._buffer) / luma.size
        return changed, _chroma(colours, previous[2])

    def _judge(self, before: int) -> None:
        """Look again at what stands out among the frames up to `before` not judged yet."""
        import numpy as np

        if self._grey is None or before <= self._judged or not self._look:
            return
        frames = np.arange(self._judged, before)
        out = set(frames[self._stand_out(frames)].tolist())
        for at in range(self._judged, before):
            # The background is that of a second later: by then a cut has not yet become it.
            self._settle_to(min(at + self._window, self._count - 1))
            if at in out and self._back is not None:
                six = list(self._grey[at - 3 - self._first : at + 3 - self._first])
                self._looked[at] = self._second.take(at - 3, six, self._back)
        self._judged = before

    def _settle_to(self, at: int) -> None:
        """Move the background a grey level towards frame `at`: in time, the median."""
        if self._grey is None:
            return
        if self._back is None:
            self._back = self._grey[0].copy()
        while self._settled < at:
            self._settled += 1
            if self._settled % BACKGROUND_STEP == 0:
                grey = self._grey[self._settled - self._first]
                self._back = self._back + (grey > self._back) - (grey < self._back)

    def _stand_out(self, frames: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these frames differ more than those around them, in whole or in some cells."""
        import numpy as np

        reach, peak = self._window, np.frombuffer(self._peak)
        possible = (frames >= 3) & (self._count - frames >= 4) & (peak[frames] >= LOOK_LEAST)
        possible &= ~quiet_keys(np.frombuffer(self._key, np.bool_)[frames], peak[frames])
        found = np.zeros(len(frames), bool)
        if not possible.any():
            return found
        # The first frame has nothing before it; where there is no frame, there is no rival.
        first = max(1, int(frames[0]) - reach)
        last = min(self._count, int(frames[-1]) + reach + 1)
        pad = (first - int(frames[0]) + reach, int(frames[-1]) + reach + 1 - last)
        for series in (np.frombuffer(self._detail), peak):
            padded = np.pad(series[first:last], pad, constant_values=-np.inf)
            windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).copy()
            now = windows[:, reach].copy()
            ahead = windows[:, reach + 1 : reach + 6].max(axis=1)
            quiet = np.minimum(windows[:, reach - 5 : reach].max(axis=1), ahead)
            windows[:, reach - 1 : reach + 2] = -np.inf
            windows.partition(windows.shape[1] - 3, axis=1)
            # One or two other sudden frames nearby, such as key frames, hide nothing.
            third, most = np.maximum(windows[:, -3], 0.15), np.maximum(windows[:, -1], 0.15)
            found |= now > LOOK * third
            found |= (now > LOOK_ONE_SIDE * np.maximum(quiet, 0.3)) & (now > 0.5 * most)
        found &= possible
        for i in np.flatnonzero(possible & ~found):
            found[i] = self._cells_stand_out(int(frames[i]))
        return found

    def _cells_stand_out(self, at: int) -> bool:
        import numpy as np

        rows, first = self._around, self._first
        low, high = max(1, at - self._window), min(self._count, at + self._window + 1)
        if rows is None:
            return False
        now = rows[at - first]
        before = rows[low - first : max(low, at - 1) - first]
        after = rows[at + 2 - first : high - first]
        if not len(before) and not len(after):
            return False
        # No cell is negative, so that 0 changes nothing where one side is empty.
        most = np.maximum(before.max(axis=0, initial=0.0), after.max(axis=0, initial=0.0))
        ratio = ((now + 1.0) / (most + 1.0)).ravel()
        ratio.partition(ratio.size - 4)
        return float(ratio[-4:].mean()) > LOOK_CELLS

    def finish(self) -> None:
        """Look again at the last frames, which had to wait for what follows them."""
        if self._look:
            self._judge(self._count - self._window)
            self._settle_to(self._count - 1)
            self._judge(self._count)
        self._previous = None

    def late(self) -> dict[str, NDArray[np.float64]]:
        """The columns of the second look."""
        import numpy as np

        columns = {name: np.full(self._count, np.nan) for name in SECOND_LOOK}
        for at, numbers in self._looked.items():
            for name, number in zip(SECOND_LOOK, numbers, strict=True):
                columns[name][at] = number
        return columns

    def planes(self) -> dict[str, NDArray[Any]]:
        """``thumbs`` (n, h, 40) uint8 and ``cells`` (n, rows, 16) float16 of every frame."""
        return {"thumbs": self._thumbs.array(), "cells": self._cells.array()}


def _sharpness(grey: NDArray[np.uint8]) -> float:
    """The variance of the Laplacian, in whole numbers until the end."""
    import cv2

    edges = cv2.filter2D(grey, cv2.CV_16S, _laplacian())
    share = 1.0 / edges.size
    mean = cv2.sumElems(edges)[0] * share
    flat = edges.ravel().astype("float64")
    square = float(flat @ flat) * share
    # As a standard deviation squared: to the last bit what OpenCV's own would give.
    return math.sqrt(max(square - mean * mean, 0.0)) ** 2


@functools.cache
def _laplacian() -> NDArray[np.float32]:
    import numpy as np

    return np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)


def _colours(frame: Any) -> list[NDArray[np.uint8]]:
    """The two colour planes, every sixteenth line; none where they are not two planes of bytes."""
    import numpy as np

    planes, name = frame.planes, frame.format.name
    if len(planes) != 3 or not name.startswith("yuv") or "p1" in name:
        return []
    rows = []
    for plane in planes[1:]:
        whole = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
        rows.append(whole[::16, : plane.width])
    return rows


def _chroma(now: list[NDArray[np.uint8]], before: list[NDArray[np.uint8]]) -> float:
    """Mean absolute change of the two colour planes."""
    import cv2

    total = 0.0
    for one, other in zip(now, before, strict=False):
        if one.shape == other.shape:
            total += float(cv2.mean(cv2.absdiff(one, other))[0])
    return total


def measure_frames(clip: Clip, *, progress: Progress | None = None) -> Measurements:
    """Decode the clip once and measure every frame; the second question costs nothing.

    Parameters
    ----------
    clip
        An opened clip.
    progress
        Called with (fraction, text).

    Returns
    -------
    Measurements
        With the columns of `FrameRows` and `SECOND_LOOK`, and its planes.

    Raises
    ------
    StreamMissing, ClipUnreadable, ClipRefused, ClipChanged

    When it errs
    ------------
    The grey view is 160 pixels wide: what is smaller than a pixel of it is not measured (ASTM
    E3016: incompleteness). Where the decoder conceals damage, the concealment is measured
    (inaccuracy, corruption).
    """
    stream = video_stream(clip)

    def compute() -> Measurements:
        rate = float(stream.frame_rate) if stream.frame_rate else 25.0
        with one_thread():
            return scan(clip, [FrameRows(rate if 1 <= rate <= 240 else 25.0)], progress=progress)

    return measurements(clip, FEATURES, compute)
