"""Which frames are examined, the boxes an examiner drew in them, and the crops that show them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from forensics.errors import RecordInvalid
from forensics.model import Box, Clip, Progress, SightingKind, Value
from forensics.scan import Picture, iter_pictures, read_pictures, video_stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MarkedBox", "crop_box", "frames_to_examine", "png_bytes"]

_AT_ONCE = 8


class MarkedBox(Value, frozen=True):
    """A box an examiner drew: in which frame, around what, and who drew it.

    `ordinal` and `pts` (exact seconds) identify the frame as a `Keyframe` does; `box` is in
    pixels of the upright frame, drawn close around the marking.
    """

    ordinal: int
    pts: Fraction
    box: Box
    kind: SightingKind
    examiner: str
    attributes: dict[str, str] = {}
    note: str = ""

    def __post_init__(self) -> None:
        if not self.examiner.strip():
            raise RecordInvalid("a box drawn by hand names who drew it")


def crop_box(picture: Picture, box: Box, *, margin: float = 0.0) -> NDArray[np.uint8]:
    """The part of a picture inside a box, (h, w, 3) uint8; `margin` in longer sides of the box.

    Raises
    ------
    RecordInvalid
        The box lies outside the picture.
    """
    import numpy as np

    height, width = picture.rgb.shape[:2]
    grow = margin * max(box.width, box.height)
    left, top = max(0, int(box.x - grow)), max(0, int(box.y - grow))
    right = min(width, int(np.ceil(box.x + box.width + grow)))
    bottom = min(height, int(np.ceil(box.y + box.height + grow)))
    if right - left < 2 or bottom - top < 2:
        raise RecordInvalid(
            f"the box at ({box.x:g}, {box.y:g}) lies outside the {width}x{height} frame"
        )
    return np.ascontiguousarray(picture.rgb[top:bottom, left:right])


def png_bytes(rgb: NDArray[np.uint8]) -> bytes:
    """A picture as PNG: the same bytes for the same pixels."""
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(rgb).save(packed, "PNG")
    return packed.getvalue()


def frames_to_examine(
    clip: Clip, *, frames: tuple[tuple[int, Fraction], ...], boxes: tuple[MarkedBox, ...],
    every_s: float, progress: Progress | None = None,
) -> Iterator[Picture]:  # fmt: skip
    """The named frames and those with boxes; without any, one picture every `every_s` seconds.

    Raises
    ------
    StreamMissing, ClipUnreadable, ClipChanged
    """
    stream = video_stream(clip)
    wanted = sorted({(f[0], f[1]) for f in frames} | {(b.ordinal, b.pts) for b in boxes})
    if not wanted:
        yield from iter_pictures(clip, every_s=every_s, progress=progress)
        return
    ticks = [(ordinal, round(pts / stream.time_base)) for ordinal, pts in wanted]
    for at in range(0, len(ticks), _AT_ONCE):
        # A few at a time: memory must not grow with the number of frames asked for.
        yield from read_pictures(clip, ticks[at : at + _AT_ONCE])
        if progress is not None:
            progress(min(1.0, (at + _AT_ONCE) / len(ticks)), "examining frames")
