"""Short rises of brightness: possible muzzle flash, lamp, lightning, exposure; never which one.

The picture is summed over a grid of blocks. A flash is a block, or several together, that becomes
brighter within two frames and dark again within half a second; a lamp that stays on is a *light
change*, reported apart because it can place a silent clip beside another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.errors import SignalTooShort
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
from forensics.scan import View, scan, video_stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = ["BlockLight", "FlashSeen", "LightChange", "find_flashes", "find_light_changes",
           "find_rises"]  # fmt: skip

#: Blocks across and down.
GRID = (20, 12)
_LEAST_LEVELS = 6.0
_NOISE_TIMES = 9.0
_LONGEST_S = 0.5
_LEAST_S = 1.0


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

        small = cv2.resize(view.grey, GRID, interpolation=cv2.INTER_AREA).astype(np.float32)
        # Area means come rounded to whole levels; the exact ones need the sum.
        h, w = view.grey.shape
        if h % GRID[1] == 0 and w % GRID[0] == 0:
            parts = view.grey.reshape(GRID[1], h // GRID[1], GRID[0], w // GRID[0])
            small = parts.mean(axis=(1, 3), dtype=np.float32)
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


@dataclass(frozen=True)
class FlashSeen:
    """A short rise: frames [first, last], the brightest, blocks (x, y, w, h), rise in levels."""

    first: int
    last: int
    peak: int
    blocks: tuple[int, int, int, int]
    share: float
    rise: float
    noise: float
    frames_up: int


@dataclass(frozen=True)
class LightChange:
    """Light that changed within two frames and stayed: frame, share of the picture, levels."""

    frame: int
    share: float
    rise: float


def _baseline(light: Floats, half: int) -> Floats:
    """Running median over time of each block; the window is wider than any flash."""
    from scipy.ndimage import median_filter

    size = 2 * half + 1
    out: Floats = median_filter(light, size=(min(size, 2 * len(light) - 1), 1, 1), mode="nearest")
    return out


def find_rises(light: Floats, times: Floats, *, longest_s: float = _LONGEST_S) -> list[FlashSeen]:
    """Short rises of brightness in block means.

    Parameters
    ----------
    light
        (n, rows, columns) mean grey level of each block.
    times
        (n,) seconds.
    longest_s
        What lasts longer is a change of light, not a flash.

    When it errs
    ------------
    It calls it wrongly when something bright passes fast, or a display blinks; it misses flashes
    between two frames, and those that raise no block (about 1/240 of the picture) by six levels.
    """
    import numpy as np

    n = len(light)
    if n < 8:
        return []
    frame_s = float(np.median(np.diff(times)))
    base = _baseline(light, max(4, round(1.0 / max(frame_s, 1e-3))))
    above = light - base
    noise = 1.4826 * np.median(np.abs(above), axis=0) + 0.05
    # A block that is restless in this second (a passing figure) must rise further.
    local = _local_unrest(above, max(2, round(0.8 / max(frame_s, 1e-3))))
    need = np.maximum(_LEAST_LEVELS, np.maximum(_NOISE_TIMES * noise, 3.0 * local))
    lit = above > need
    found: list[FlashSeen] = []
    lit_frames = lit.any(axis=(1, 2))
    edges = np.flatnonzero(np.diff(np.r_[0, lit_frames.astype(np.int8), 0]))
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        found.extend(_inspect(above, lit, noise, int(a), int(b) - 1, frame_s, longest_s))
    return found


def _local_unrest(above: Floats, half: int) -> Floats:
    """Median absolute deviation around each moment, the moment itself left out by the median."""
    import numpy as np
    from scipy.ndimage import median_filter

    size = min(2 * half + 1, 2 * len(above) - 1)
    out: Floats = 1.4826 * median_filter(np.abs(above), size=(size, 1, 1), mode="nearest")
    return out


def _inspect(
    above: Floats, lit: NDArray[np.bool_], noise: Floats, a: int, b: int, frame_s: float,
    longest_s: float,
) -> list[FlashSeen]:  # fmt: skip
    """The flashes in one stretch of lit frames: places that rise together, at once, and fall."""
    import numpy as np
    from scipy.ndimage import label

    where, count = label(lit[a : b + 1].any(axis=0), structure=np.ones((3, 3)))
    out = []
    for number in range(1, count + 1):
        place = where == number
        course = above[:, place].max(axis=1)
        on = np.flatnonzero((lit[a : b + 1] & place).any(axis=(1, 2))) + a
        peak = int(on[np.argmax(course[on])])
        top = float(course[peak])
        first, last = int(on[0]), int(on[-1])
        if (last - first + 1) * frame_s > longest_s + frame_s:
            continue
        start = peak
        while start > 0 and course[start - 1] > 0.35 * top and peak - start < 6:
            start -= 1
        up = peak - start + 1
        before = float(course[max(0, start - 3) : max(1, start)].max()) if start else 0.0
        after = course[last + 1 : last + 1 + max(2, round(0.2 / frame_s))]
        # A flash stands on quiet ground: dark before, rising in at most two frames, dark after.
        if up > max(2, round(0.08 / frame_s)) or before > 0.4 * top:
            continue
        if not len(after) or float(after.min()) > 0.4 * top:
            continue
        if _passes(above, place, first, last, peak, frame_s):
            continue
        rows, columns = np.nonzero(place)
        box = (int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1,
               int(np.ptp(rows)) + 1)  # fmt: skip
        share = float(place.mean())
        spread = float(np.median(noise[place]))
        out.append(FlashSeen(first, last, peak, box, share, top, spread, up))
    return out


def _passes(
    above: Floats, place: NDArray[np.bool_], first: int, last: int, peak: int, frame_s: float
) -> bool:
    """Whether something passed rather than lit up.

    Light comes and goes on the spot; a pale coat or a car is in the next block a moment later. A
    place of one or two blocks is what a figure fills, so there the blocks around it must be quiet
    too; a larger place is a flash if most of its blocks were quiet themselves.
    """
    import numpy as np
    from scipy.ndimage import binary_dilation

    span = max(3, round(0.5 / frame_s))
    # The frame on either side may hold a part of the flash: exposures and encoders smear it.
    rows = [*range(max(0, first - 1 - span), max(0, first - 1)),
            *range(min(len(above), last + 2), min(len(above), last + 2 + span))]  # fmt: skip
    if not rows:
        return False
    unrest = np.abs(above[rows]).max(axis=0)
    rise = above[peak]
    if float((unrest[place] < 0.5 * rise[place]).mean()) < 0.6:
        return True
    if place.sum() > 2:
        return False
    around = binary_dilation(place, structure=np.ones((3, 3), bool))
    return float(unrest[around].max()) > 0.45 * float(rise[place].max())


def find_light_changes(
    light: Floats, times: Floats, *, least_levels: float = 5.0
) -> list[LightChange]:
    """Light that comes on or goes out within two frames and stays so: lamps, exposure steps.

    Parameters
    ----------
    light, times
        As for `find_rises`.
    least_levels
        Least change of the blocks concerned.
    """
    import numpy as np

    n = len(light)
    frame_s = float(np.median(np.diff(times))) if n > 1 else 0.04
    half = max(3, round(0.6 / max(frame_s, 1e-3)))
    if n < 2 * half + 3:
        return []
    sums = np.concatenate([np.zeros((1, *light.shape[1:]), np.float64),
                           np.cumsum(light, axis=0, dtype=np.float64)])  # fmt: skip
    at = np.arange(half, n - half - 1)
    before = (sums[at] - sums[at - half]) / half
    after = (sums[at + 1 + half] - sums[at + 1]) / half
    step = after - before
    quick = light[at + 1] - light[at - 1]
    noise = 1.4826 * np.median(np.abs(np.diff(light, axis=0)), axis=0) + 0.3
    sudden = (np.abs(step) > np.maximum(least_levels, 6 * noise)) & (quick * step > 0.6 * step**2)
    share = sudden.mean(axis=(1, 2))
    found: list[LightChange] = []
    order = np.argsort(-share)
    for k in order:
        if share[k] < 0.03 or len(found) > 200:
            break
        frame = int(at[k])
        if all(abs(frame - f.frame) * frame_s > 0.5 for f in found):
            moved = step[k][sudden[k]]
            found.append(LightChange(frame, float(share[k]), float(np.median(moved))))
    return sorted(found, key=lambda change: change.frame)


_CAUSES = {
    "muzzle flash": (False, "a shot or blast towards or near the camera: one or two frames"),
    "lamp": (True, "a lamp, camera flash or indicator switched on and off"),
    "lightning": (True, "lightning: the whole sky or picture, often flickering several times"),
    "exposure": (True, "the camera's own exposure or gain pumped: the whole picture alike"),
    "headlights": (True, "headlights or a reflection that swept across the camera"),
}


def _explanations(flash: FlashSeen, frame_s: float) -> tuple[Explanation, ...]:
    lasted = (flash.last - flash.first + 1) * frame_s
    if flash.share > 0.6:
        order = ["exposure", "lightning", "lamp", "muzzle flash"]
    elif lasted <= 0.1 and flash.share < 0.2:
        order = ["muzzle flash", "lamp", "headlights", "lightning"]
    elif lasted <= 0.1:
        order = ["lamp", "muzzle flash", "lightning", "headlights"]
    else:
        order = ["lamp", "headlights", "lightning", "muzzle flash"]
    return tuple(
        Explanation(rank, name, *_CAUSES[name]) for rank, name in enumerate(order, start=1)
    )


@method("flashes-seen", version="2")
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
        `Flash` findings; `rise` in grey levels of the brightest block.

    Raises
    ------
    SignalTooShort, StreamMissing
        Become *not applicable*: under a second of pictures, or none.

    When it errs
    ------------
    It calls it wrongly when something bright or shiny passes fast, a display blinks or an
    indicator flashes; nothing here tells a shot from a lamp (misinterpretation). It misses what
    happens between two exposures, which at 25 frames a second is most muzzle flashes, and
    flashes under 1/240 of the picture by six grey levels (incompleteness). It says nothing about
    what lies outside the picture.
    """
    import numpy as np

    stream = video_stream(clip)
    meter = BlockLight(rotation=stream.rotation, time_base=float(stream.time_base))
    frames = scan(clip, [meter], progress=progress)
    times = meter.times
    if len(times) < 8 or times[-1] - times[0] < _LEAST_S:
        have = float(times[-1] - times[0]) if len(times) else 0.0
        raise SignalTooShort(
            f"{clip.name} shows {have:.2f} s: too short for a level to rise above",
            need_s=_LEAST_S, have_s=have,
        )  # fmt: skip
    light = meter.light
    frame_s = float(np.median(np.diff(times)))
    turned = (stream.rotation // 90) % 2 == 1
    width, height = (stream.height, stream.width) if turned else (stream.width, stream.height)
    rows, columns = light.shape[1:]
    observations = []
    for flash in find_rises(light, times, longest_s=longest_s):
        x, y, w, h = flash.blocks
        whole = flash.share > 0.6
        box = None if whole else Box(
            x * width / columns, y * height / rows, w * width / columns, h * height / rows
        )  # fmt: skip
        rise = Quantity(
            flash.rise, "grey levels", flash.rise - 2 * flash.noise, flash.rise + 2 * flash.noise
        )
        said = Flash(frames.time(flash.peak), box, rise, _explanations(flash, frame_s))
        ratio = flash.rise / max(_LEAST_LEVELS, _NOISE_TIMES * flash.noise)
        observations.append(
            Observation(
                said,
                Span(frames.time(flash.first), frames.time(flash.last)),
                round(float(1 - np.exp(-ratio / 2)), 4),
                measures={
                    "share": Quantity.exact(flash.share, "of the picture", "counted in blocks"),
                    "lasted": Quantity(
                        (flash.last - flash.first + 1) * frame_s, "s",
                        max(0.0, (flash.last - flash.first) * frame_s),
                        (flash.last - flash.first + 2) * frame_s,
                    ),
                },
                stratum="whole picture" if whole else "part of the picture",
            )
        )  # fmt: skip
    return conclude(observations, coverage=frames.coverage(), stratum="part of the picture")
