"""Short rises of brightness: possible muzzle flash, lamp, lightning, exposure; never which one.

The picture is summed over a grid of blocks; where a block is brighter for a moment, the small
pictures around it are looked at in a second pass (`events_rises` says what light does and a thing
that moves does not). A lamp that stays on is a *light change*, told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from forensics.errors import SignalTooShort
from forensics.events_rises import LIMIT, Candidate, Rise, find_candidates, join, look
from forensics.model import (
    Box,
    Clip,
    Examination,
    Explanation,
    Flash,
    Observation,
    Progress,
    Quantity,
    Span,
)
from forensics.provenance import conclude, method
from forensics.scan import Measurements, View, scan, video_stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = ["BlockLight", "find_flashes"]

#: Blocks across and down.
GRID = (20, 12)
_LEAST_S = 1.0
#: A light that blinks: this many times at one place, most at one interval or multiples of it.
_BLINKS, _EVEN = 4, 0.15


class BlockLight:
    """A `scan` detector that keeps the mean brightness of each block, a byte and a half a block.

    After the scan `light` is (n, rows, columns) float32 grey levels as displayed, `times` (n,)
    seconds.
    """

    columns: tuple[str, ...] = ()

    def __init__(self, *, rotation: int = 0, time_base: float = 1.0) -> None:
        self._turns, self._time_base = (rotation // 90) % 4, time_base
        self._rows: list[NDArray[np.uint16]] = []
        self._times: list[float] = []

    def measure(self, view: View) -> Sequence[float]:
        """Sum one frame over the grid."""
        import cv2
        import numpy as np

        # As numbers with fractions: area means of bytes come rounded to whole levels.
        small = cv2.resize(view.grey.astype(np.float32), GRID, interpolation=cv2.INTER_AREA)
        self._rows.append(np.rot90(small * 128, -self._turns).astype(np.uint16))
        self._times.append(view.pts * self._time_base)
        return ()

    @property
    def light(self) -> Floats:
        """(n, rows, columns) grey levels."""
        import numpy as np

        if not self._rows:
            return np.zeros((0, GRID[1], GRID[0]), np.float32)
        out: Floats = np.stack(self._rows).astype(np.float32) / 128
        return out

    @property
    def times(self) -> Floats:
        """(n,) seconds."""
        import numpy as np

        return np.array(self._times)


class _Closer:
    """A `scan` detector that looks at each candidate again when its pictures have gone by."""

    columns: tuple[str, ...] = ()

    def __init__(self, candidates: Sequence[Candidate], *, rotation: int = 0) -> None:
        self._waiting = sorted(candidates, key=_needs, reverse=True)
        self._turns, self._start = (rotation // 90) % 4, 0
        self._keep = 3 + 2 * max((one.lasted for one in candidates), default=0)
        self._pictures: list[NDArray[np.uint8]] = []
        self.rises: list[Rise] = []
        self.waits, self.shape = bool(candidates), (1, 1)

    def measure(self, view: View) -> Sequence[float]:
        """Keep one picture; look at what is complete with it."""
        import numpy as np

        upright = np.rot90(view.grey, -self._turns).copy()
        self.shape = (upright.shape[0], upright.shape[1])
        self._pictures.append(upright)
        # All of one candidate and as much before it as it lasts.
        over = len(self._pictures) - 2 * self._keep
        if over > 0:
            del self._pictures[:over]
            self._start += over
        while self._waiting and _needs(self._waiting[-1]) < self._start + len(self._pictures):
            self.rises += look(self._pictures, self._waiting.pop(), start=self._start)
        return ()

    def finish(self) -> None:
        """What the end of the clip left incomplete."""
        while self._waiting:
            self.rises += look(self._pictures, self._waiting.pop(), start=self._start)
        self._pictures = []


def _needs(candidate: Candidate) -> int:
    """The last frame that judging it needs."""
    return candidate.last + 2 + candidate.lasted


_CAUSES = {
    "muzzle flash": (False, "a shot or blast towards or near the camera: one or two frames"),
    "lamp": (True, "a lamp, camera flash, spark or display switched on and off"),
    "blinking": (True, "an indicator, beacon, strobe or display that blinks evenly"),
    "lightning": (True, "lightning: the whole sky or picture, often flickering several times"),
    "exposure": (True, "the camera's own exposure or gain pumped: the whole picture alike"),
    "headlights": (True, "headlights that swept across the camera"),
    "reflection": (True, "sun or a lamp for a moment: between leaves, on a window, glass or metal"),
    "passing": (True, "a drop, insect, bird or thrown thing lit for one or two frames"),
    "recording": (True, "a damaged or foreign frame, dust on film, a fault of transmission"),
}


def _explanations(rise: Rise, frame_s: float, *, blinks: bool) -> tuple[Explanation, ...]:
    """What can cause it, the likelier first; what cannot be excluded is not left out."""
    lasted = (rise.last - rise.first + 1) * frame_s
    if rise.share > 0.6:
        order = ["exposure", "lightning", "lamp", "recording", "muzzle flash"]
    elif lasted <= 0.1 and rise.share < 0.2:
        order = ["muzzle flash", "lamp", "reflection", "headlights", "recording", "lightning"]
    elif lasted <= 0.1:
        order = ["lamp", "muzzle flash", "reflection", "lightning", "headlights", "recording"]
    else:
        order = ["lamp", "reflection", "headlights", "lightning", "muzzle flash"]
    if rise.tiny and lasted <= 0.1:
        order.insert(2, "passing")
    if blinks:
        order.insert(0, "blinking")
    return tuple(
        Explanation(rank, name, *_CAUSES[name]) for rank, name in enumerate(order, start=1)
    )


def _blinking(rises: Sequence[Rise], times: Floats) -> list[float]:
    """For each rise the interval (s) at which its place blinks, or 0."""
    import numpy as np

    middle = [(r.box[0] + r.box[2] / 2, r.box[1] + r.box[3] / 2) for r in rises]
    out = []
    for rise in rises:
        same = sorted({
            float(times[other.peak]) for other, (x, y) in zip(rises, middle, strict=True)
            if 0 <= x - rise.box[0] <= rise.box[2] and 0 <= y - rise.box[1] <= rise.box[3]
        })  # fmt: skip
        gaps = np.diff(same)
        if len(same) < _BLINKS:
            out.append(0.0)
            continue
        unit = float(np.median(gaps))
        turns = gaps / unit
        even = (np.abs(turns - np.round(turns)) <= _EVEN) & (np.round(turns) >= 1)
        out.append(unit if even.mean() >= 0.75 else 0.0)
    return out


@method("flashes-seen", version="3")
def find_flashes(clip: Clip, *, longest_s: float = 0.5, progress: Progress | None = None
                 ) -> Examination:  # fmt: skip
    """Find short rises of brightness, with their place and what else can cause them.

    Parameters
    ----------
    clip
        An opened clip.
    longest_s
        What stays brighter for longer is not a flash.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Flash` findings; `rise` in grey levels of the brightest patch (about 1/50 of the picture's
        width), with twice the spread that the place has without it. What cannot be excluded as its
        cause is in the explanations; a place that blinks evenly says so.

    Raises
    ------
    SignalTooShort, StreamMissing
        Become *not applicable*: under a second of pictures, or none.

    When it errs
    ------------
    It calls it wrongly when something bright is there for one frame only (a drop, an insect, dust
    on film), when sunlight falls through leaves, a display blinks or an indicator flashes: nothing
    here tells a shot from a lamp (misinterpretation). It misses what happens between two exposures,
    which at 25 frames a second is most muzzle flashes, flashes that raise no block of 1/240 of the
    picture by four grey levels, what lights only something that moves or is beside something of its
    own size that does, and what is in the first or last two frames (incompleteness). It says
    nothing about what lies outside the picture.
    """
    import numpy as np

    stream = video_stream(clip)
    meter = BlockLight(rotation=stream.rotation, time_base=float(stream.time_base))
    frames = scan(clip, [meter], progress=_half(progress, 0.0))
    times = meter.times
    if len(times) < 8 or times[-1] - times[0] < _LEAST_S:
        have = float(times[-1] - times[0]) if len(times) else 0.0
        raise SignalTooShort(
            f"{clip.name} shows {have:.2f} s: too short for a level to rise above",
            need_s=_LEAST_S, have_s=have,
        )  # fmt: skip
    frame_s = float(np.median(np.diff(times)))
    closer = _Closer(find_candidates(meter.light, times, longest_s=longest_s),
                     rotation=stream.rotation)  # fmt: skip
    if closer.waits:
        scan(clip, [closer], progress=_half(progress, 0.5))
    rises = join(closer.rises)
    turned = (stream.rotation // 90) % 2 == 1
    width, height = (stream.height, stream.width) if turned else (stream.width, stream.height)
    observations = [
        _observation(rise, interval, frames, frame_s, (width / closer.shape[1], height
                     / closer.shape[0]))
        for rise, interval in zip(rises, _blinking(rises, times), strict=True)
    ]  # fmt: skip
    return conclude(observations, coverage=frames.coverage(), stratum="part of the picture")


def _half(progress: Progress | None, start: float) -> Progress | None:
    """Progress of one of two passes."""
    if progress is None:
        return None
    return lambda fraction, text: progress(start + fraction / 2, text)


def _observation(
    rise: Rise, blinks_s: float, frames: Measurements, frame_s: float, scale: tuple[float, float]
) -> Observation:
    import numpy as np

    whole = rise.share > 0.6
    x, y, w, h = rise.box
    box = None if whole else Box(x * scale[0], y * scale[1], w * scale[0], h * scale[1])
    levels = Quantity(rise.rise, "grey levels", max(0.0, rise.rise - 2 * rise.noise),
                      rise.rise + 2 * rise.noise)  # fmt: skip
    said = Flash(frames.time(rise.peak), box, levels,
                 _explanations(rise, frame_s, blinks=blinks_s > 0))  # fmt: skip
    count = rise.last - rise.first + 1
    clear = min(1.0, rise.rise / 30) * (1 - rise.unlike / (2 * LIMIT))
    return Observation(
        said,
        Span(frames.time(rise.first), frames.time(rise.last)),
        round(float(np.clip(0.4 + 0.6 * clear, 0, 1)), 4),
        measures={
            "share": Quantity.exact(rise.share, "of the picture", "counted in pixels"),
            "lasted": Quantity(
                count * frame_s, "s", max(0.0, (count - 1) * frame_s), (count + 1) * frame_s
            ),
        },
        note=f"blinks here every {blinks_s:.2f} s" if blinks_s else "",
        stratum="whole picture" if whole else "part of the picture",
    )  # fmt: skip
