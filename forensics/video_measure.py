"""One pass over the pictures: what every question of `video` and `edits` is answered from.

`FrameRows` measures each frame against the one before it on the 160-pixel grey view, keeps a
40-pixel thumbnail and a grid of differences of each (about 1.2 kB a frame), and takes a second,
dearer look with optical flow only where a frame stands out from the second around it.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics.model import Clip, Progress
from forensics.scan import Measurements, View, measurements, one_thread, scan, video_stream
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
FEATURES = "frames-2"
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
_COLUMNS = ("diff", "detail", "peak", "shift", "level", "spread", "sharpness", "changed", "chroma")


def frame_rate_hz(pts_s: NDArray[np.float64], declared: Fraction | None = None) -> float:
    """Frames a second, from the median step of the stamps."""
    import numpy as np

    steps = np.diff(pts_s)
    steps = steps[steps > 0]
    if len(steps):
        return float(1.0 / np.median(steps))
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

    def __init__(self, rate_hz: float = 25.0) -> None:
        self._window = window_frames(rate_hz)
        self._previous: Any = None
        self._level: float | None = None
        self._grey: NDArray[np.uint8] | None = None
        self._thumbs = bytearray()
        self._cells = bytearray()
        self._shape = (0, 0)
        self._grid = (0, 0)
        self._ring: deque[NDArray[np.uint8]] = deque(maxlen=self._window + 6)
        self._detail, self._peak = array("d"), array("d")
        self._looked: dict[int, tuple[float, ...]] = {}
        self._count = 0
        self._buffer: NDArray[np.uint8] | None = None
        self._second: SecondLook | None = None
        # The cells of the frames around, in order, in an array that is refilled when it is full.
        self._around: NDArray[np.float32] | None = None
        self._first = 0
        self._back: NDArray[np.uint8] | None = None

    def measure(self, view: View) -> Sequence[float]:
        """The numbers of one frame."""
        import cv2

        grey = view.grey.copy()
        height, width = grey.shape
        if self._grey is None:
            self._shape = (max(2, round(height * THUMB_WIDE / width)), THUMB_WIDE)
            self._grid = (max(2, round(height * CELLS_WIDE / width)), CELLS_WIDE)
            self._second = SecondLook()
        thumb = cv2.resize(grey, self._shape[::-1], interpolation=cv2.INTER_AREA)
        self._thumbs += thumb.tobytes()
        mean, deviation = cv2.meanStdDev(grey)
        sharpness = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))[1]
        before = self._grey if self._grey is not None else grey
        absolute = float(cv2.mean(cv2.absdiff(grey, before))[0])
        detail = measure_detail(before, grey)
        cells = cv2.resize(detail, self._grid[::-1], interpolation=cv2.INTER_AREA)
        self._cells += cells.astype("float16").tobytes()
        self._keep(cells)
        row_detail, row_peak = float(cv2.mean(cells)[0]), measure_peak(cells)
        changed, chroma = self._full_size(view)
        level = float(mean[0, 0])
        shift = level - (level if self._level is None else self._level)
        self._level = level
        self._detail.append(row_detail)
        self._peak.append(row_peak)
        self._ring.append(grey)
        self._grey = grey
        self._settle(grey)
        self._count += 1
        self._look(self._count - 1 - self._window)
        return (
            absolute, row_detail, row_peak, shift, level, float(deviation[0, 0]),
            float(sharpness[0, 0]) ** 2, changed, chroma,
        )  # fmt: skip

    def _full_size(self, view: View) -> tuple[float, float]:
        import cv2
        import numpy as np

        luma = view.luma[::4]
        frame = view.frame
        # Keeping a reference is enough: the decoder writes the next picture elsewhere.
        colours = _colours(frame)
        previous, self._previous = self._previous, (frame, luma, colours)
        if previous is None or previous[1].shape != luma.shape:
            return 0.0, 0.0
        if self._buffer is None or self._buffer.shape != luma.shape:
            self._buffer = np.empty_like(luma)
        cv2.compare(luma, previous[1], cv2.CMP_NE, dst=self._buffer)
        changed = cv2.countNonZero(self._buffer) / luma.size
        return changed, _chroma(colours, previous[2])

    def _keep(self, cells: NDArray[Any]) -> None:
        import numpy as np

        reach = 2 * self._window + 6
        if self._around is None:
            self._around = np.empty((4 * reach, *cells.shape), np.float32)
        at = self._count - self._first
        if at == len(self._around):
            self._around[:reach] = self._around[at - reach : at]
            self._first, at = self._count - reach, reach
        self._around[at] = cells

    def _settle(self, grey: NDArray[np.uint8]) -> None:
        """Move the background a grey level towards what is seen: in time, the median."""
        if self._back is None or self._back.shape != grey.shape:
            self._back = grey.copy()
        elif self._count % BACKGROUND_STEP == 0:
            self._back = self._back + (grey > self._back) - (grey < self._back)

    def _look(self, at: int) -> None:
        """Take the second look at frame `at` if it stands out from what surrounds it."""
        if at < 3 or self._count - at < 4 or self._back is None or self._second is None:
            return
        if self._stands_out(at):
            first = self._count - len(self._ring)
            frames = [self._ring[at - first + step] for step in range(-3, 3)]
            self._looked[at] = self._second.take(at - 3, frames, self._back)

    def _stands_out(self, at: int) -> bool:
        if self._peak[at] < LOOK_LEAST:
            return False
        low, high = max(1, at - self._window), min(self._count, at + self._window + 1)
        for series in (self._detail, self._peak):
            now = series[at]
            # One or two other sudden frames nearby, such as key frames, hide nothing.
            around = sorted((*series[low : at - 1], *series[at + 2 : high], 0.15, 0.15, 0.15))
            if now > LOOK * around[-3]:
                return True
            quiet = min(max(series[max(1, at - 5) : at]), max(series[at + 1 : at + 6]))
            if now > LOOK_ONE_SIDE * max(quiet, 0.3) and now > 0.5 * around[-1]:
                return True
        return self._cells_stand_out(at, low, high)

    def _cells_stand_out(self, at: int, low: int, high: int) -> bool:
        import numpy as np

        rows, first = self._around, self._first
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
        for at in range(max(0, self._count - self._window), self._count):
            self._look(at)
        self._previous = None

    def late(self) -> dict[str, NDArray[np.float64]]:
        """The columns of the second look."""
        import numpy as np

        table = np.full((self._count, len(SECOND_LOOK)), np.nan)
        for at, numbers in self._looked.items():
            table[at] = numbers
        return {name: table[:, i].copy() for i, name in enumerate(SECOND_LOOK)}

    def planes(self) -> dict[str, NDArray[Any]]:
        """``thumbs`` (n, h, 40) uint8 and ``cells`` (n, rows, 16) float16 of every frame."""
        import numpy as np

        return {
            "thumbs": np.frombuffer(self._thumbs, np.uint8).reshape(-1, *self._shape),
            "cells": np.frombuffer(self._cells, np.float16).reshape(-1, *self._grid),
        }


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
