"""A clock's line that moves sideways as its figures change: where it stands in each frame.

Pure functions of arrays. A line set flush right moves by a pixel or two whenever its last figure is
narrower or wider than the one before. Figures are learned place by place, so the line is first put
where it stood most of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]

__all__ = ["Line", "learn_line"]

#: How far a line is looked for on either side, and how finely, in pixels.
_REACH_PX, _STEP_PX = 3.0, 0.25
#: Grey levels by which coding alone moves a pixel.
_NOISE = 6.0
#: A line moves if in so many of its pictures it stands so far off, and if those are so much nearer
#: to the usual look for being moved back.
_MOVED, _OFF_PX, _NEARER = 0.04, 0.4, 0.6
_CHUNK = 500


@dataclass(frozen=True)
class Line:
    """The look of a line (h, w) where it stood most of the time, and what each pixel counts."""

    look: Floats
    weight: Floats

    def place(self, crops: NDArray[Any]) -> Floats:
        """By how many pixels the line stands to the right of its usual place, (n,)."""
        import numpy as np

        tries = np.arange(-_REACH_PX, _REACH_PX + 1e-6, _STEP_PX)
        edge = int(_REACH_PX)
        heavy = self.weight.copy()
        heavy[:, :edge] = heavy[:, -edge:] = 0  # what a move brings in from outside
        flat = heavy.reshape(-1)
        looks = np.stack([_moved(self.look[None], float(t))[0].reshape(-1) for t in tries])
        looks -= (looks @ flat / flat.sum())[:, None]
        side = looks * flat
        own = 0.5 * (side * looks).sum(axis=1)
        out = np.zeros(len(crops))
        for a in range(0, len(crops), _CHUNK):
            rows = crops[a : a + _CHUNK].reshape(len(crops[a : a + _CHUNK]), -1)
            rows = rows.astype(np.float32)
            # The mean goes: how light the picture is says nothing about where the line stands.
            rows -= (rows @ flat / flat.sum())[:, None]
            out[a : a + _CHUNK] = tries[(rows @ side.T - own).argmax(axis=1)]
        return out

    def settle(self, crops: Bytes) -> Bytes:
        """Crops (n, h, w) with the line put where it usually stands."""
        import numpy as np

        off = self.place(crops)
        out = crops.copy()
        for by in np.unique(off[off != 0]):
            pick = np.flatnonzero(off == by)
            out[pick] = np.clip(_moved(crops[pick].astype(np.float32), -float(by)) + 0.5, 0, 255)
        return out


def _moved(images: Floats, by_px: float) -> Floats:
    """Images (n, h, w) moved right by part of a pixel; the rim is repeated."""
    import numpy as np

    whole = int(np.floor(by_px))
    part = np.float32(by_px - whole)
    index = np.arange(images.shape[2]) - whole
    last = images.shape[2] - 1
    out: Floats = (1 - part) * images[:, :, np.clip(index, 0, last)]
    if part:
        out = out + part * images[:, :, np.clip(index - 1, 0, last)]
    return out


def learn_line(pictures: Floats, *, rounds: int = 3) -> Line | None:
    """The line that pictures of it, at different seconds, have in common; None if it stands still.

    Parameters
    ----------
    pictures
        (n, h, w), one of each second.
    rounds
        How often its look and its places are refined in turn.

    When it errs
    ------------
    It misses lines of which only a part moves (figures of different widths inside a line), and
    moves of more than three pixels.
    """
    import numpy as np

    if len(pictures) < 8 or pictures.shape[2] < 8 * _REACH_PX:
        return None
    plain = pictures.astype(np.float32)
    flat = plain.reshape(len(plain), -1)
    # One picture to begin with: the median of a line that stands in two places blurs both.
    apart = [np.minimum(np.abs(flat - one), 4 * _NOISE).sum() for one in flat]
    line = Line(plain[int(np.argmin(apart))], np.ones(plain.shape[1:], np.float32))
    for _ in range(rounds):
        off = line.place(plain)
        off -= np.median(off)
        placed = np.stack([
            _moved(image[None], -float(by))[0] for image, by in zip(plain, off, strict=True)
        ])  # fmt: skip
        line = Line(np.median(placed, axis=0), 1 / (_spread(placed) + _NOISE**2))
    moved = np.abs(off) >= _OFF_PX
    if moved.mean() < _MOVED:
        return None
    far, near = (
        (np.minimum((p[moved] - line.look) ** 2, 50 * _NOISE**2) * line.weight).sum()
        for p in (plain, placed)
    )
    return line if near <= _NEARER * far else None


def _spread(images: Floats) -> Floats:
    """Variance about the median picture, as far as most pictures have it: new figures are few."""
    import numpy as np

    apart = (images - np.median(images, axis=0)) ** 2
    out: Floats = np.minimum(apart, 4 * np.median(apart, axis=0) + 4 * _NOISE**2).mean(axis=0)
    return out
