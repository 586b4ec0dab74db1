"""What light changes and what things change: lamps, clouds, gain and mains beat taken out.

A lamp, a cloud, an automatic gain or a lamp's beat against the shutter multiplies what is there,
row by row at the most (a rolling shutter reads rows one after the other). Things that move change
part of a row. Pure functions of thumbnails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["strongest", "without_light"]

#: Pictures worked on at a time: what is needed in between is ten times as large.
CHUNK = 64
#: A pixel this bright is burnt out: more light does not change it.
BURNT = 225


def without_light(
    before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """What changed between pictures, less what other light on each row explains.

    Parameters
    ----------
    before, after
        (n, h, w) uint8.

    Returns
    -------
    ndarray
        (n, h, w) float32, signed grey levels. Where something fills more than half of a row, part
        of it is taken for light.
    """
    import numpy as np

    rest = np.empty(before.shape, np.float32)
    # One array serves all chunks: asking for it anew costs more than the arithmetic in it.
    share = np.empty((min(CHUNK, len(before)), *before.shape[1:]), np.float32)
    for low in range(0, len(before), CHUNK):
        part = slice(low, low + CHUNK)
        _without_light(before[part], after[part], rest[part], share[: len(before) - low])
    return rest


def _without_light(
    before: NDArray[np.uint8], after: NDArray[np.uint8], rest: NDArray[np.float32],
    share: NDArray[np.float32],
) -> None:  # fmt: skip
    import numpy as np

    level, change = before.astype(np.float32), after.astype(np.float32)
    change -= level
    # Halfway; a little is added, so that the noise of black is not divided by nothing.
    np.multiply(change, 0.5, out=share)
    level += share
    level += 4
    np.divide(change, level, out=share)
    burnt = np.maximum(before, after) >= BURNT
    if burnt.any():
        # Of what says nothing, every other pixel is put above all others and the rest below.
        far = np.where(np.arange(share.shape[-1]) % 2, np.float32(9), np.float32(-9))
        np.copyto(share, far, where=burnt)
    middle = share.shape[-1] // 2
    share.partition(middle, axis=-1)
    light = share[..., middle : middle + 1].copy()
    light[np.abs(light) >= 8] = 0
    # On each row the light is more or less everywhere: it explains change of its own sign.
    np.multiply(level, np.maximum(light, 0), out=share)
    np.minimum(change, share, out=share)
    level *= np.minimum(light, 0)
    np.maximum(share, level, out=share)
    np.subtract(change, share, out=rest)


def strongest(change: NDArray[np.float32], part: int = 40) -> NDArray[np.float32]:
    """The mean size of the strongest `part`-th of each picture's change, at least four pixels."""
    import numpy as np

    flat = np.abs(change).reshape(len(change), -1)
    few = max(4, flat.shape[1] // part)
    flat.partition(flat.shape[1] - few, axis=1)
    mean: NDArray[np.float32] = flat[:, -few:].mean(axis=1)
    return mean
