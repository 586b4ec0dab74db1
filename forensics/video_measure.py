"""One pass over the pictures: what every question of `video` and `edits` is answered from.

`FrameRows` measures each frame against the one before it on the 160-pixel grey view, keeps a
40-pixel thumbnail and a grid of differences of each (about 1.2 kB a frame), and takes a second,
dearer look with optical flow only where a frame stands out from the second around it.
"""

from __future__ import annotations

import functools
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics.model import Clip, Progress
from forensics.scan import Measurements, View, measurements, scan, video_stream

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
CELLS_WIDE = 16
#: A frame is looked at again when it differs this many times more than all but two others within
#: a second, in the picture or in its four most unusual cells…
LOOK = 1.25
LOOK_CELLS = 1.5
#: …or when motion begins or ends with it: this many times more than anything in the five frames on
#: one side of it…
LOOK_ONE_SIDE = 4.0
#: …and never where it changes its three strongest cells by fewer grey levels than this.
LOOK_LEAST = 3.0
#: Frames after which the slow background moves by one grey level, and the least that stands out.
BACKGROUND_STEP = 5
STANDS_OUT = 10
#: Columns of the second look; NaN where none was taken.
SECOND_LOOK = (
    "flow_ahead", "flow_back", "flow_jump", "flow_left", "front_left", "front_both", "front_share",
    "front_mass", "flow_area", "flow_moved",
)  # fmt: skip

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
        self._around: deque[NDArray[Any]] = deque(maxlen=2 * self._window + 6)
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
        detail = _detail(before, grey)
        cells = cv2.resize(detail, self._grid[::-1], interpolation=cv2.INTER_AREA)
        self._cells += cells.astype("float16").tobytes()
        self._around.append(cells)
        row_detail, row_peak = float(cv2.mean(cells)[0]), _peak(cells)
        changed, chroma = self._full_size(view)
        level = float(mean[0, 0])
        shift = level - float(cv2.mean(before)[0])
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
        previous, self._previous = self._previous, (frame, luma)
        if previous is None or previous[1].shape != luma.shape:
            return 0.0, 0.0
        if self._buffer is None or self._buffer.shape != luma.shape:
            self._buffer = np.empty_like(luma)
        cv2.compare(luma, previous[1], cv2.CMP_NE, dst=self._buffer)
        changed = cv2.countNonZero(self._buffer) / luma.size
        return changed, _chroma(frame, previous[0])

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

        first = self._count - len(self._around)
        rows = list(self._around)
        now = rows[at - first]
        before = rows[max(0, low - first) : at - 1 - first]
        after = rows[at + 2 - first : high - first]
        if not before and not after:
            return False
        most = np.maximum.reduce([*before, *after])
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


def _detail(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What changed, without what changed smoothly: a lamp or a cloud moves no edges."""
    import cv2

    change = cv2.subtract(after, before, dtype=cv2.CV_16S)
    smooth = cv2.blur(change, (15, 15))
    both: Any = cv2.absdiff(change, smooth)
    return both.astype("float32")  # type: ignore[no-any-return]


def _peak(cells: NDArray[Any]) -> float:
    import numpy as np

    flat = np.sort(cells, axis=None)
    return float(flat[-1] + flat[-2] + flat[-3]) / 3


def _chroma(frame: Any, before: Any) -> float:
    """Mean absolute change of the two colour planes, every sixteenth line."""
    import cv2
    import numpy as np

    name = frame.format.name
    if len(frame.planes) != 3 or not name.startswith("yuv") or "p1" in name:
        return 0.0
    total = 0.0
    for number in (1, 2):
        planes = []
        for picture in (frame, before):
            plane = picture.planes[number]
            rows = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
            planes.append(rows[::16, : plane.width])
        total += float(cv2.mean(cv2.absdiff(*planes))[0])
    return total


class SecondLook:
    """Does the third frame of six continue into the fourth as its neighbours continue?

    What two or three frames give is kept for the looks at the frames beside them.
    """

    def __init__(self) -> None:
        import cv2

        preset = cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST
        self._flow: Any = cv2.DISOpticalFlow_create(preset)  # type: ignore[attr-defined]
        self._known: dict[tuple[str, int], Any] = {}

    def take(
        self, first: int, frames: Sequence[NDArray[np.uint8]], view: NDArray[np.uint8]
    ) -> tuple[float, ...]:
        """The numbers for the step from the third to the fourth of six frames.

        Parameters
        ----------
        first
            Ordinal of the first of the six.
        frames
            Six grey pictures.
        view
            The slow background at that time.

        Returns
        -------
        tuple
            Logarithms of ratios, each positive if the middle step is worse than every other:
            prediction by constant motion, forwards and backwards; largest motion; what motion does
            not explain; what of the foreground is not near where it was, on the worse side of the
            step and on the better; then that share itself (0 to 2), the logarithm of how much
            foreground there is, the fraction of the picture that moved, and how far (pixels of
            160).
        """
        import math

        import cv2
        import numpy as np

        known = self._known = {k: v for k, v in self._known.items() if k[1] >= first}

        def once(what: str, i: int, make: Callable[[int], Any]) -> Any:
            if (what, first + i) not in known:
                known[what, first + i] = make(i)
            return known[what, first + i]

        # Where each pixel of frame i+1 came from in frame i, and the other way round.
        def move(i: int) -> Any:
            return once("move", i, lambda k: self._flow.calc(frames[k + 1], frames[k], None))

        def back(i: int) -> Any:
            return once("back", i, lambda k: self._flow.calc(frames[k], frames[k + 1], None))

        def ahead_of(i: int) -> float:
            return _strongest(_warp(frames[i + 1], move(i)), frames[i + 2])

        def behind(i: int) -> float:
            return _strongest(_warp(frames[i + 1], back(i + 1)), frames[i])

        def unexplained(i: int) -> float:
            return _strongest(_warp(frames[i], move(i)), frames[i + 1])

        def size(i: int) -> tuple[float, float]:
            sizes = cv2.magnitude(move(i)[..., 0], move(i)[..., 1])
            rank = sizes.size * 98 // 100
            return float(np.partition(sizes, rank, axis=None)[rank]), float((sizes > 1.0).mean())

        left = [once("left", i, unexplained) for i in range(5)]
        sizes = [once("size", i, size) for i in range(5)]
        # Frame 3 is predicted from 1 and 2, frame 2 from 3 and 4; the others lie wholly on one
        # side of the step.
        ahead = {i: once("ahead", i, ahead_of) for i in (0, 1, 3)}
        behind_ = {i: once("behind", i, behind) for i in (0, 2, 3)}
        floor = 0.5

        def ratio(value: float, others: Sequence[float], least: float) -> float:
            return math.log((value + least) / (max(others) + least))

        largest = [far for far, _ in sizes]
        return (
            ratio(ahead[1], (ahead[0], ahead[3]), floor),
            ratio(behind_[2], (behind_[0], behind_[3]), floor),
            ratio(largest[2], (*largest[:2], *largest[3:]), 0.25),
            ratio(left[2], (*left[:2], *left[3:]), floor),
            *_front(frames, view), sizes[2][1], largest[2],
        )  # fmt: skip


def _front(
    frames: Sequence[NDArray[np.uint8]], back: NDArray[np.uint8]
) -> tuple[float, float, float, float]:
    """Who was there a frame ago and is nowhere near, and who is there and was nowhere near.

    Nobody vanishes from the middle of a view or stands in it from one frame to the next, and a step
    in the light or a fresh key frame moves nobody.
    """
    import math

    import cv2
    import numpy as np

    fronts, wide, masses = [], [], []
    kernel = np.ones((7, 7), np.uint8)
    calm = cv2.blur(back, (3, 3))
    for grey in frames:
        change = cv2.subtract(cv2.blur(grey, (3, 3)), calm, dtype=cv2.CV_16S)
        light = int(np.median(change[::3, ::3]))
        away = cv2.convertScaleAbs(change, alpha=1.0, beta=-light)
        front = np.minimum(np.maximum(away, STANDS_OUT) - np.uint8(STANDS_OUT), np.uint8(40))
        fronts.append(front)
        wide.append(cv2.dilate(front, kernel))
        masses.append(float(cv2.sumElems(front)[0]))
    gone, come = [], []
    for i in range(5):
        lost = float(cv2.sumElems(cv2.subtract(fronts[i], wide[i + 1]))[0])
        new = float(cv2.sumElems(cv2.subtract(fronts[i + 1], wide[i]))[0])
        gone.append(lost / (masses[i] + 300.0))
        come.append(new / (masses[i + 1] + 300.0))
    worse = [max(pair) for pair in zip(gone, come, strict=True)]
    better = [min(pair) for pair in zip(gone, come, strict=True)]

    def ratio(series: list[float]) -> float:
        return math.log((series[2] + 0.02) / (max(*series[:2], *series[3:]) + 0.02))

    return ratio(worse), ratio(better), gone[2] + come[2], math.log(max(masses[2:4]) + 300.0)


def _warp(picture: NDArray[np.uint8], move: NDArray[np.float32]) -> NDArray[np.uint8]:
    import cv2

    where: Any = _grid(*picture.shape) + move
    warp: Any = cv2.remap  # OpenCV's stubs want both maps; one map of pairs is as good
    moved: Any = warp(
        picture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )  # fmt: skip
    return moved  # type: ignore[no-any-return]


@functools.cache
def _grid(height: int, width: int) -> NDArray[np.float32]:
    import numpy as np

    rows, columns = np.mgrid[:height, :width]
    return np.dstack([columns, rows]).astype(np.float32)


def _strongest(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    import cv2

    rest = _detail(one, other)
    rows, columns = rest.shape
    cells = cv2.resize(rest, (CELLS_WIDE, max(2, rows * CELLS_WIDE // columns)),
                       interpolation=cv2.INTER_AREA)  # fmt: skip
    return _peak(cells)


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
        return scan(clip, [FrameRows(rate if 1 <= rate <= 240 else 25.0)], progress=progress)

    return measurements(clip, FEATURES, compute)
