"""Bystanders covered in pictures that leave the house: faces, and number plates if readable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forensics import redact, vehicles
from forensics.detector_text import text_models
from forensics.errors import ExtraMissing
from forensics.model import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["UNREDACTED", "cover_bystanders", "say_what_is_covered"]

UNREDACTED = "UNREDACTED: faces and number plates are shown as they were seen."


def _reads_plates() -> str:
    """Why plates are not looked for; empty if they are."""
    try:
        text_models()
    except ExtraMissing as error:
        return error.hint
    return ""


def say_what_is_covered(*, plates: bool = True) -> str:
    """The line that goes with pictures given through `cover_bystanders`."""
    why = _reads_plates() if plates else ""
    if plates and not why:
        return "Faces and number plates are covered where they were found."
    return "Faces are covered where they were found; number plates were not looked for" + (
        f" ({why})." if why else "."
    )


def cover_bystanders(
    rgb: NDArray[np.uint8], *, boxes: Sequence[Box] = (), plates: bool = True
) -> NDArray[np.uint8]:
    """A copy of a picture, (H, W, 3) uint8 RGB, with faces, plates and `boxes` filled.

    Plates are looked for on vehicles only.

    When it errs
    ------------
    As `redact.redact_pictures` and `vehicles.read_plate_boxes`: what is not found stays in view
    (ASTM E3016: incompleteness). Without the extra `ocr` plates are not looked for, which
    `say_what_is_covered` tells.
    """
    hidden = list(boxes)
    if plates and not _reads_plates():
        for box in vehicles.locate_plates(rgb, anywhere=False):
            grow = 0.25 * box.height
            hidden.append(
                Box(box.x - grow, box.y - grow, box.width + 2 * grow, box.height + 2 * grow)
            )
    return redact.redact_pictures([rgb], boxes=[hidden])[0]
