"""The second, dearer look at a step: does motion continue, and who appears or vanishes with it?"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CELLS_WIDE", "SECOND_LOOK", "SecondLook", "measure_detail", "measure_peak"]

CELLS_WIDE = 16
#: The least that stands out from the background, in grey levels.
STANDS_OUT = 10
#: Columns of the second look; NaN where none was taken.
SECOND_LOOK = (
    "flow_ahead", "flow_back", "flow_jump", "flow_left", "front_left", "front_both", "front_share",
    "front_mass", "flow_area", "flow_moved",
)  # fmt: skip


def measure_detail(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float32]:
    """What changed, without what changed smoothly: a lamp or a cloud moves no edges.

    Parameters
    ----------
    before, after
        Two grey pictures of bytes, (h, w); as int16 they need no conversion.
    """
    import cv2
    import numpy as np

    change = np.subtract(after, before, dtype=np.int16)
    smooth = cv2.blur(change, (15, 15))
    both: Any = cv2.absdiff(change, smooth)
    return both.astype("float32")  # type: ignore[no-any-return]


def measure_peak(cells: NDArray[Any]) -> float:
    """The mean of the three strongest cells."""
    import numpy as np

    flat = np.sort(cells, axis=None)
    return float(flat[-1] + flat[-2] + flat[-3]) / 3


class SecondLook:
    """Does the third frame of six continue into the fourth as its neighbours continue?

    What two or three frames give is kept for the looks at the frames beside them.
    """

    def __init__(self) -> None:
        import cv2

        preset = cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST
        self._flow: Any = cv2.DISOpticalFlow_create(preset)  # type: ignore[attr-defined]
        self._known: dict[tuple[str, int], Any] = {}
        self._view: Any = None
        self._calm: Any = None

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
        if view is not self._view:
            # Who stands before the background is another question when the background is.
            self._view, self._calm = view, cv2.blur(view, (3, 3))
            known = self._known = {k: v for k, v in known.items() if k[0] != "front"}

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
            sizes = _lengths(move(i))
            rank = sizes.size * 98 // 100
            moved = cv2.countNonZero((sizes > 1.0).view(np.uint8)) / sizes.size
            return float(np.partition(sizes, rank, axis=None)[rank]), moved

        def front_of(i: int) -> _Front:
            return _figures(frames[i], self._calm)

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
            *_front([once("front", i, front_of) for i in range(6)]), sizes[2][1], largest[2],
        )  # fmt: skip


class _Front(NamedTuple):
    """Who stands before the background in one picture, the same widened, and how much it is."""

    figures: Any
    wide: Any
    mass: float


def _figures(grey: NDArray[np.uint8], calm: NDArray[np.uint8]) -> _Front:
    import cv2

    change = cv2.subtract(cv2.blur(grey, (3, 3)), calm, dtype=cv2.CV_16S)
    some = change[::3, ::3].flatten()
    # The median as NumPy takes it, without what NumPy does around it.
    half = some.size // 2
    some.partition((half - 1, half))
    middle = int(some[half]) if some.size % 2 else (int(some[half - 1]) + int(some[half])) / 2
    away = cv2.convertScaleAbs(change, alpha=1.0, beta=-int(middle))
    figures: Any = cv2.min(cv2.subtract(away, STANDS_OUT), 40)  # type: ignore[call-overload]
    wide = cv2.dilate(figures, _square())
    return _Front(figures, wide, float(cv2.sumElems(figures)[0]))


@functools.cache
def _square() -> NDArray[np.uint8]:
    import numpy as np

    return np.ones((7, 7), np.uint8)


def _front(six: Sequence[_Front]) -> tuple[float, float, float, float]:
    """Who was there a frame ago and is nowhere near, and who is there and was nowhere near.

    Nobody vanishes from the middle of a view or stands in it from one frame to the next, and a step
    in the light or a fresh key frame moves nobody.
    """
    import math

    import cv2

    gone, come = [], []
    for one, other in itertools.pairwise(six):
        lost = float(cv2.sumElems(cv2.subtract(one.figures, other.wide))[0])
        new = float(cv2.sumElems(cv2.subtract(other.figures, one.wide))[0])
        gone.append(lost / (one.mass + 300.0))
        come.append(new / (other.mass + 300.0))
    worse = [max(pair) for pair in zip(gone, come, strict=True)]
    better = [min(pair) for pair in zip(gone, come, strict=True)]

    def ratio(series: list[float]) -> float:
        return math.log((series[2] + 0.02) / (max(*series[:2], *series[3:]) + 0.02))

    masses = [front.mass for front in six]
    return ratio(worse), ratio(better), gone[2] + come[2], math.log(max(masses[2:4]) + 300.0)


def _warp(picture: NDArray[np.uint8], move: NDArray[np.float32]) -> NDArray[np.uint8]:
    import cv2

    where: Any = _grid(*picture.shape) + move
    warp: Any = cv2.remap  # OpenCV's stubs want both maps; one map of pairs is as good
    moved: Any = warp(
        picture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )  # fmt: skip
    return moved  # type: ignore[no-any-return]


def _lengths(move: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each pixel moved. The last bits of OpenCV's own depend on where in memory it is."""
    import numpy as np

    squares = np.square(move)
    lengths: NDArray[np.float32] = squares[..., 0] + squares[..., 1]
    np.sqrt(lengths, out=lengths)
    return lengths


@functools.cache
def _grid(height: int, width: int) -> NDArray[np.float32]:
    import numpy as np

    rows, columns = np.mgrid[:height, :width]
    return np.dstack([columns, rows]).astype(np.float32)


def _strongest(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    import cv2

    rest = measure_detail(one, other)
    rows, columns = rest.shape
    cells = cv2.resize(rest, (CELLS_WIDE, max(2, rows * CELLS_WIDE // columns)),
                       interpolation=cv2.INTER_AREA)  # fmt: skip
    return measure_peak(cells)
