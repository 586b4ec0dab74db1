"""Where number plates are, so that they can be hidden: rather too many than too few."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from forensics import detector
from forensics.detector_text import cut_line, find_text, read_line, text_models
from forensics.model import Box, Clip, Progress
from forensics.scan import iter_pictures
from forensics.vehicles_plate import fit_pattern, read_patterns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["locate_plates", "read_plate_boxes"]

_LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"


def locate_plates(
    rgb: NDArray[np.uint8], *, countries: tuple[str, ...] = (), longest_px: int = 1280,
    anywhere: bool = True,
) -> list[Box]:  # fmt: skip
    """Boxes of what may be a number plate in one picture, (H, W, 3) uint8 RGB.

    On a vehicle every line with a digit counts, elsewhere only what fits the layout of a plate.
    Lettering without digits on a vehicle (a unit's name) is left in view. Without `anywhere` only
    pictures in which a vehicle is found are gone through, and only vehicles: five times as fast
    where there is none.

    When it errs
    ------------
    Misses plates that are oblique, dirty, dark or under about 8 pixels (ASTM E3016:
    incompleteness); boxes numbers that are no plate (inaccuracy, existence).
    """
    patterns = read_patterns(countries)
    hits = detector.detect(rgb, floor=0.25, labels=detector.VEHICLES)
    bodies = [hit.box for hit in hits]
    if not (bodies or anywhere):
        return []
    found = []
    for place in find_text(rgb, longest_px=longest_px, floor=0.35):
        if not 1.2 <= place.width_px / max(place.height_px, 1.0) <= 9.0:
            continue
        read = read_line(cut_line(rgb, place.corners, margin=0.05), allowed=_LATIN)
        digits = sum(c.isdigit() for c in read.text)
        centre = (place.box.x + place.box.width / 2, place.box.y + place.box.height / 2)
        if any(_holds(body, centre) for body in bodies):
            hide = digits > 0
        elif not anywhere:
            hide = False
        else:
            text, fits = fit_pattern(read, patterns)
            hide = bool(fits) and 4 <= len(text) <= 9 and digits > 0
        if hide:
            found.append(place.box)
    return found


def _holds(body: Box, centre: tuple[float, float]) -> bool:
    # A plate can hang just below what the detector took for the vehicle.
    wide, high = 0.05 * body.width, 0.12 * body.height
    return (
        body.x - wide <= centre[0] <= body.x + body.width + wide
        and body.y - high <= centre[1] <= body.y + body.height + high
    )


def read_plate_boxes(
    clip: Clip, *, every_s: float = 0.2, countries: tuple[str, ...] = (), longest_px: int = 1280,
    progress: Progress | None = None,
) -> tuple[tuple[Fraction, Box], ...]:  # fmt: skip
    """Where number plates may be, in pictures `every_s` seconds apart: time and box of each.

    Nothing that was read is given back: the boxes are for hiding.

    Parameters
    ----------
    clip
        An opened clip.
    every_s
        Seconds between the pictures looked at; 0 looks at every frame.
    countries
        Codes of the plate layouts expected away from vehicles; all known by default.
    longest_px
        Longer side at which lines are looked for: larger finds smaller plates, and takes longer.
    progress
        Called with (fraction, text).

    Raises
    ------
    ExtraMissing
        `rapidocr` is not installed.
    StreamMissing, ClipUnreadable

    When it errs
    ------------
    Misses plates that are oblique, dirty, dark or too small to be found as lettering (ASTM E3016:
    incompleteness), and those that come and go between two pictures; boxes numbers that are no
    plate, such as a telephone number on a van (inaccuracy, existence).
    """
    text_models()
    found: list[tuple[Fraction, Box]] = []
    for picture in iter_pictures(clip, every_s=every_s, progress=progress):
        boxes = locate_plates(picture.rgb, countries=countries, longest_px=longest_px)
        found += [(picture.pts, box) for box in boxes]
    return tuple(found)
