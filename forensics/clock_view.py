"""Views of a clock's crop: the one grey picture, mixed from its planes, in which figures stand out.

Pure functions of arrays. Figures as light as their ground are legible by their colour alone, and
figures that turn black or white with the ground only by how far they are from it. The figures are
learned in every such view, and the view in which they predict the frames best is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.clock_figures import Figures, average_seconds, learn_figures
from forensics.clock_steady import Line, learn_line

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]
    Bytes = NDArray[np.uint8]

__all__ = ["LUMA", "Crops", "Learned", "Mix", "join_crops", "learn_views"]

#: Grey levels by which coding alone moves the mean of a second.
_NOISE = 2.5
#: How much a plane is amplified at most: colour is coded coarsely.
_MOST_GAIN = 4.0
#: How much better than luma a mix must tell the last figures apart, and how much better, in nats a
#: frame and place, the figures must predict what is seen.
_TELLS, _BETTER = 1.15, 0.02
#: Figures that predict so well need no other view.
_FINE = -0.025
#: From which share on a pixel is ink, and up to which it is ground.
_INK, _GROUND = 0.85, 0.1
_CHUNK = 500


@dataclass(frozen=True)
class Crops:
    """Crops of frames: `luma` (n, h, w), and `chroma` (n, 2, rows, columns) as coarse as stored.

    `step` is how many rows and columns of luma share one of chroma, `start` how many of the first
    lie outside the crop.
    """

    luma: Bytes
    chroma: Bytes | None = None
    step: tuple[int, int] = (1, 1)
    start: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return len(self.luma)

    @property
    def size(self) -> int:
        """Bytes held."""
        return self.luma.nbytes + (0 if self.chroma is None else self.chroma.nbytes)

    def part(self, first: int, last: int) -> Crops:
        """Frames `first` to `last`, that one left out."""
        chroma = None if self.chroma is None else self.chroma[first:last]
        return Crops(self.luma[first:last], chroma, self.step, self.start)

    def planes(self) -> Bytes:
        """(n, 3, h, w): luma, and chroma spread to its grid."""
        import numpy as np

        n, height, width = self.luma.shape
        out = np.full((n, 3, height, width), 128, np.uint8)
        out[:, 0] = self.luma
        if self.chroma is not None:
            rows = (np.arange(height) + self.start[0]) // self.step[0]
            columns = (np.arange(width) + self.start[1]) // self.step[1]
            rows = np.minimum(rows, self.chroma.shape[2] - 1)
            columns = np.minimum(columns, self.chroma.shape[3] - 1)
            out[:, 1:] = self.chroma[:, :, rows][..., columns]
        return out

    def picture(self, index: int = 0) -> Bytes:
        """One crop as a recogniser wants it: (h, w) grey, or (h, w, 3) red, green, blue."""
        import cv2
        import numpy as np

        if self.chroma is None:
            grey: Bytes = self.luma[index]
            return grey
        y, blue, red = self.part(index, index + 1).planes()[0]
        mixed = cv2.cvtColor(np.stack([y, red, blue], axis=-1), cv2.COLOR_YCrCb2RGB)
        out: Bytes = np.asarray(mixed, np.uint8)
        return out


def join_crops(parts: Sequence[Crops]) -> Crops:
    """Crops of frames one after the other as one."""
    import numpy as np

    luma = np.concatenate([part.luma for part in parts])
    tints = [part.chroma for part in parts if part.chroma is not None]
    chroma = np.concatenate(tints) if len(tints) == len(parts) else None
    return Crops(luma, chroma, parts[0].step, parts[0].start)


@dataclass(frozen=True)
class Mix:
    """A grey picture of luma and chroma: `gains` (3,) on how far each is from mid grey, and a lift.

    `reach_px`, where it is not 0: how far the result is from its surroundings of that size, dark or
    light.
    """

    gains: tuple[float, float, float]
    lift: float = 128.0
    reach_px: int = 0

    def see(self, crops: Crops) -> Bytes:
        """The view of each crop, (n, h, w) uint8."""
        import numpy as np

        if self.gains == (1.0, 0.0, 0.0):
            out = crops.luma
        else:
            out = np.empty_like(crops.luma)
            gains = np.array(self.gains, np.float32)
            for a in range(0, len(crops), _CHUNK):
                planes = crops.part(a, a + _CHUNK).planes().astype(np.float32) - 128
                mixed = np.tensordot(planes, gains, axes=(1, 0)) + self.lift
                out[a : a + _CHUNK] = np.clip(mixed + 0.5, 0, 255)
        return out if not self.reach_px else _apart(out, self.reach_px)


LUMA = Mix((1.0, 0.0, 0.0))


def _apart(pictures: Bytes, reach_px: int) -> Bytes:
    """How far each pixel is from the median of its surroundings, doubled."""
    import cv2
    import numpy as np

    out = np.empty_like(pictures)
    size = reach_px | 1
    for i, one in enumerate(pictures):
        out[i] = cv2.absdiff(one, cv2.medianBlur(one, size))
    return np.minimum(out, 127) * np.uint8(2)


def _seconds(crops: Crops, shown: Integers) -> tuple[Floats, Integers]:
    """Mean planes (n, 3, h, w) of each stretch known to show one second, and that second."""
    import numpy as np

    spread = crops.planes()
    parts = [average_seconds(spread[:, i], shown) for i in range(3)]
    return np.stack([means for means, _ in parts], axis=1), parts[0][1]


def _unit_mix(means: Floats, seconds: Integers) -> Mix | None:
    """The mix in which the last figures differ most beside what else changes where they stand."""
    import numpy as np

    units = seconds % 10
    kinds = np.unique(units)
    if len(means) < 12 or len(kinds) < 5:
        return None
    total = np.einsum("nihw,njhw->hwij", *[means - means.mean(axis=0)] * 2) / (len(means) - 1)
    inside = np.zeros_like(total)
    for u in kinds:
        apart = means[units == u] - means[units == u].mean(axis=0)
        inside += np.einsum("nihw,njhw->hwij", apart, apart)
    inside /= max(1, len(means) - len(kinds))
    tries = _directions()
    told = _told(tries, total - inside, inside)
    best = int(told.argmax())
    return None if told[best] < _TELLS * told[0] else _scaled(tries[best], means)


def _ink_mix(means: Floats, seconds: Integers, figures: Figures, twelve: bool) -> Mix | None:
    """The mix that best parts ink from ground at every place, once the figures are known."""
    import numpy as np

    share = figures.ink(seconds, means.shape[2:], twelve)
    planes = np.moveaxis(means, 1, -1) - 128
    ink, ground = planes[share > _INK], planes[(share >= 0) & (share < _GROUND)]
    if min(len(ink), len(ground)) < 50:
        return None
    inside = np.cov(ink.T) + np.cov(ground.T) + 2 * _NOISE**2 * np.eye(3)
    way = np.linalg.solve(inside, ink.mean(axis=0) - ground.mean(axis=0))
    length = float(np.linalg.norm(way))
    return _scaled(way / length, means) if length > 0 else None


def _scaled(gains: Floats, means: Floats) -> Mix:
    """A mix along a unit vector that fills the range of grey levels but for its ends."""
    import numpy as np

    mixed = np.tensordot(means - 128, gains, axes=(1, 0))
    low, high = np.percentile(mixed, (0.5, 99.5))
    scale = min(_MOST_GAIN, 200.0 / max(1.0, float(high - low)))
    first, second, third = (float(v) for v in np.round(gains * scale, 4))
    return Mix((first, second, third), round(127.5 - scale * float(low + high) / 2, 2))


def _directions() -> Floats:
    """(k, 3) unit vectors over half a sphere, luma first."""
    import numpy as np

    count = 160
    height = (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    flat = np.sqrt(1 - height**2)
    sphere = np.stack([height, flat * np.cos(turn), flat * np.sin(turn)], axis=1)
    return np.concatenate([[[1.0, 0.0, 0.0]], sphere])


def _told(tries: Floats, between: Floats, inside: Floats) -> Floats:
    """How well each direction tells the units apart: summed over the pixels that do so best."""
    import numpy as np

    height, width = between.shape[:2]
    pixels = max(20, height * height // 8)
    out = np.zeros(len(tries))
    for k, way in enumerate(tries):
        gain = np.einsum("hwij,i,j->hw", between, way, way)
        noise = np.einsum("hwij,i,j->hw", inside, way, way) + _NOISE**2
        ratio = np.clip(gain, 0, None) / noise
        # What differs in one pixel alone is noise: a figure's strokes are wider.
        ratio = np.minimum(ratio, 50.0).reshape(-1)
        best = np.sort(ratio)[-min(pixels, height * width) :]
        out[k] = float(np.sqrt(best).sum())
    return out


@dataclass(frozen=True)
class Learned:
    """Figures, the second each frame is known to show, and the view and line they stand in."""

    figures: Figures
    shown: Integers
    view: Mix
    line: Line | None

    def see(self, crops: Crops) -> Bytes:
        """The view of crops in which the figures were learned, its line put in place."""
        plane = self.view.see(crops)
        return plane if self.line is None else self.line.settle(plane)


def learn_views(
    crops: Crops, shown: Integers, *, twelve: bool = False, units: bool = False,
    moves: bool = True, known: Learned | None = None,
) -> Learned | None:  # fmt: skip
    """Figures in the view in which they predict the frames best.

    Parameters
    ----------
    crops
        Of one stretch.
    shown, twelve, units
        As for `learn_figures`.
    moves
        The line may move sideways as its figures change.
    known
        What was learned from less: its view and line are tried first.

    Returns
    -------
    Learned or None
        None where no view shows ten figures.
    """
    task = _Task(crops, shown, twelve, units, moves)
    best = task.learn(LUMA, None) if known is None else task.again(known)
    if units:
        # Nothing but the beat vouches for what is learned: another view may find one in noise.
        return best
    if crops.chroma is not None and (shown >= 0).sum() >= 10 and _unfit(best):
        means, seconds = _seconds(crops, shown)
        best = task.better(best, _unit_mix(means, seconds))
        if best is not None and _unfit(best):
            best = task.better(best, _ink_mix(means, seconds, best.figures, twelve))
    if _unfit(best) and (best is None or not best.view.reach_px):
        tall = crops.luma.shape[1] // 2 if best is None else best.figures.means.shape[2]
        base = LUMA if best is None else best.view
        best = task.better(best, Mix(base.gains, base.lift, max(3, tall)))
    return best


def _unfit(one: Learned | None) -> bool:
    return one is None or one.figures.worth < _FINE


@dataclass(frozen=True)
class _Task:
    """What is learned from: see `learn_views`."""

    crops: Crops
    shown: Integers
    twelve: bool
    units: bool
    moves: bool

    def learn(self, view: Mix, like: Figures | None) -> Learned | None:
        """Figures in one view, at places of their own or at those of others."""
        plane = view.see(self.crops)
        line = learn_line(average_seconds(plane, self.shown)[0]) if self.moves else None
        return self._in(view, line, plane, like)

    def again(self, known: Learned) -> Learned | None:
        """The same figures from more frames."""
        return self._in(known.view, known.line, known.view.see(self.crops), None)

    def _in(self, view: Mix, line: Line | None, plane: Bytes, like: Figures | None
        ) -> Learned | None:  # fmt: skip
        settled = plane if line is None else line.settle(plane)
        figures = learn_figures(
            settled, self.shown, twelve=self.twelve, units=self.units, like=like
        )
        return None if figures is None else Learned(figures, self.shown, view, line)

    def better(self, one: Learned | None, view: Mix | None) -> Learned | None:
        """What was learned, or what another view teaches where that tells clearly more."""
        if view is None:
            return one
        best = one
        for like in (None,) if one is None or one.line is not None else (None, one.figures):
            other = self.learn(view, like)
            if other is None:
                continue
            if best is None or other.figures.worth > best.figures.worth + _BETTER:
                best = other
        return best
