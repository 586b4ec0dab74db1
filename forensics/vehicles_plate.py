"""Number plates: find the line, read it with rivals for each character, and know when not to.

PP-OCRv6 (extra `ocr`) locates and reads; patterns of the countries named decide between rivals
that the picture leaves open. The verdict comes from the plate's height in pixels and from its
sharpness, never from the reader's own confidence, which stays high on wrong readings.
"""

from __future__ import annotations

import functools
import itertools
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from forensics.detector_text import LineRead, TextPlace, cut_line, find_text, read_line
from forensics.errors import RecordInvalid
from forensics.model import Box, PlateReading, Quantity, Value, from_builtins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Country", "PlatePattern", "PlateShape", "fit_pattern", "plate_verdict", "read_patterns",
    "read_plates",
]  # fmt: skip

READABLE_PX = 20.0
PARTIAL_PX = 12.0
_LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_ALIKE = ("0OQD", "1IL", "2Z", "5S", "8B", "6G", "4A", "7T", "MN", "HMN", "KX", "CG", "EF", "PR",
          "UV", "VY")  # fmt: skip
#: Letters of 76 mm on plates of 112 mm: the height of a plate follows from that of its letters.
_PLATE_OVER_LETTER = 112 / 76
_PATTERN_PRICE = math.log(60.0)


class PlateShape(Value, frozen=True):
    """One layout: N digit, L letter, R region digit, anything else itself."""

    shape: str
    use: str = ""
    since: int | None = None
    until: int | None = None


class Country(Value, frozen=True):
    """A country's plates."""

    name: str
    letters: str
    region: str
    shapes: tuple[PlateShape, ...]


@dataclass(frozen=True)
class PlatePattern:
    """A layout ready for use: for each place, the characters that may stand there."""

    label: str
    places: tuple[str, ...]


@functools.cache
def read_patterns(countries: tuple[str, ...] = (), path: Path | None = None) -> tuple[
    PlatePattern, ...
]:  # fmt: skip
    """The layouts of some countries (all of the file by default).

    Raises
    ------
    RecordInvalid
        Not a pattern file, or a country it does not hold.

    When it errs
    ------------
    Plates of countries, years or uses nobody listed fit no layout and are left out unless asked
    for (ASTM E3016: incompleteness).
    """
    place: Any = path or resources.files("forensics").joinpath("data/plates.toml")
    try:
        listed = from_builtins(tomllib.loads(place.read_text("utf-8")), dict[str, Country])
    except tomllib.TOMLDecodeError as error:
        raise RecordInvalid(f"the plate patterns are not TOML: {error}") from error
    unknown = set(countries) - set(listed)
    if unknown:
        known = ", ".join(sorted(listed))
        raise RecordInvalid(f"no plate patterns for {sorted(unknown)}; known: {known}")
    patterns = []
    for code, country in listed.items():
        if countries and code not in countries:
            continue
        sets = {"N": "0123456789", "L": country.letters, "R": country.region}
        for layout in country.shapes:
            places = tuple(sets.get(c, c) for c in layout.shape)
            patterns.append(PlatePattern(f"{code} {layout.shape}", places))
    return tuple(patterns)


def fit_pattern(read: LineRead, patterns: Sequence[PlatePattern]) -> tuple[str, tuple[str, ...]]:
    """The likeliest text that fits a layout, and all layouts it fits.

    A layout may overrule the best character only where the picture leaves a rival: the whole
    change must not cost more than a factor of 60 in the reader's shares. Otherwise the reading
    stands as it is.
    """
    raw = "".join(c for c in read.text if c in _LATIN)
    rivals = [dict(r) for c, r in zip(read.text, read.rivals, strict=True) if c in _LATIN]
    best, price = raw, _PATTERN_PRICE
    for pattern in patterns:
        if len(pattern.places) != len(rivals):
            continue
        text, cost = "", 0.0
        for shares, allowed, own in zip(rivals, pattern.places, raw, strict=True):
            top = shares[own]
            options = {c: share for c, share in shares.items() if c in allowed}
            # A twin of the same shape costs a fixed price even if the network named no rival.
            for twins in _ALIKE:
                if own in twins:
                    for c in twins:
                        if c in allowed:
                            options.setdefault(c, top / 12)
            if not options:
                cost = math.inf
                break
            c = max(options, key=lambda k: (options[k], k))
            text += c
            cost += math.log(top / options[c])
        if cost < price:
            best, price = text, cost
    fits = tuple(
        p.label for p in patterns
        if len(p.places) == len(best)
        and all(c in allowed for c, allowed in zip(best, p.places, strict=True))
    )  # fmt: skip
    return best, fits


def plate_verdict(
    height_px: float, sharpness: float
) -> Literal["readable", "partial", "insufficient"]:
    """What a plate of this height and sharpness can give, whatever the reader says.

    Sharpness is the 90th percentile of the horizontal step over the contrast, for a line scaled
    to 48 pixels: motion blur along the plate lowers it.

    When it errs
    ------------
    Calls a plate readable that is hidden by dirt or glare, or was enlarged before it was given
    (ASTM E3016: inaccuracy, existence).
    """
    if height_px < PARTIAL_PX:
        return "insufficient"
    return "readable" if height_px >= READABLE_PX and sharpness >= 0.045 else "partial"


def _letter_share(line: NDArray[np.uint8]) -> float:
    """Height of the letters over that of the cut, from where upright strokes begin and end."""
    import cv2
    import numpy as np

    grey = cv2.cvtColor(line, cv2.COLOR_RGB2GRAY).astype(np.float32)
    middle = grey[:, grey.shape[1] // 12 : grey.shape[1] - grey.shape[1] // 12]
    rows = np.abs(np.diff(cv2.GaussianBlur(middle, (0, 0), 1.0), axis=1)).mean(axis=1)
    low, high = np.percentile(rows, (8, 80))
    strokes = np.nonzero(rows >= low + 0.5 * (high - low))[0]
    return float((strokes[-1] - strokes[0] + 1) / len(rows)) if len(strokes) else 0.0


def _sharpness(line: NDArray[np.uint8]) -> float:
    import cv2
    import numpy as np

    grey = cv2.cvtColor(line, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low, high = np.percentile(grey, (3, 97))
    if high - low < 12:
        return 0.0
    return float(np.percentile(np.abs(np.diff(grey, axis=1)), 90) / (high - low))


def _alternatives(read: LineRead, text: str, verdict: str) -> tuple[str, ...]:
    rivals = [r for c, r in zip(read.text, read.rivals, strict=True) if c in _LATIN]
    listed = []
    for own, shares in itertools.zip_longest(text, rivals, fillvalue=()):
        if not isinstance(own, str):
            break
        others = [c for c, share in (shares or ()) if c != own and c in _LATIN and share >= 0.02]
        if verdict != "readable":
            others += [c for twins in _ALIKE if own in twins for c in twins if c != own]
        listed.append(own + "".join(dict.fromkeys(others)))
    return tuple(listed)


def read_plates(
    image: NDArray[np.uint8], *, countries: tuple[str, ...] = (),
    origin: tuple[float, float] = (0, 0),
    scale: float = 1.0, longest_px: int = 960, keep_unmatched: bool = False,
) -> list[PlateReading]:  # fmt: skip
    """Find and read number plates in a picture or a crop of a vehicle.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB, upright, as decoded: not enlarged.
    countries
        Codes such as ``("by", "ru")`` whose layouts are expected; all known by default.
    origin, scale
        Where the crop's corner lies in the frame, and crop pixels for one frame pixel.
    longest_px
        Longer side at which lines are looked for.
    keep_unmatched
        Also give back lines that fit no layout.

    Returns
    -------
    list of PlateReading
        One a plate; ``insufficient`` ones have a box and no text.

    Raises
    ------
    ExtraMissing
        `rapidocr` is not installed.

    When it errs
    ------------
    Reads a character wrongly, mostly among twins such as 8 and B: of 88 drawn and filmed plates of
    20 pixels and more one was, but of real photographs about one plate in six: give the
    alternatives, not the text alone (ASTM E3016: inaccuracy, association); between 12 and 20
    pixels 3 of 24 were wrong by a character; misses plates on two lines, dirty or seen obliquely
    (incompleteness); says nothing about whether the plate belongs to the vehicle.
    """
    patterns = read_patterns(countries)
    readings = []
    for place in find_text(image, longest_px=longest_px, floor=0.4):
        ratio = place.width_px / max(place.height_px, 1.0)
        if not 1.8 <= ratio <= 9.0:
            continue
        line = cut_line(image, place.corners, margin=0.05)
        letters = _letter_share(cut_line(image, place.corners, margin=0.25)) * 1.5
        height_px = place.height_px * letters * _PLATE_OVER_LETTER / scale
        read = read_line(line, allowed=_LATIN + "-")
        text, fits = fit_pattern(read, patterns)
        verdict = plate_verdict(height_px, _sharpness(line))
        if not 4 <= len(text) <= 9 or not any(c.isdigit() for c in text):
            continue
        if not fits and not keep_unmatched:
            continue
        readings.append(_reading(place, read, text, fits, verdict, height_px, origin, scale))
    return readings


def _reading(
    place: TextPlace, read: LineRead, text: str, fits: tuple[str, ...],
    verdict: Literal["readable", "partial", "insufficient"], height_px: float,
    origin: tuple[float, float], scale: float,
) -> PlateReading:  # fmt: skip
    box = Box(
        place.box.x / scale + origin[0], place.box.y / scale + origin[1],
        place.box.width / scale, place.box.height / scale,
    )  # fmt: skip
    shown = verdict != "insufficient"
    return PlateReading(
        verdict=verdict, text=text if shown else "",
        alternatives=_alternatives(read, text, verdict) if shown else (), box=box,
        height=Quantity(
            round(height_px, 1), "px", round(height_px * 0.85, 1), round(height_px * 1.15, 1),
            "from the height of the located line",
        ),
        patterns=fits if shown else (),
    )  # fmt: skip
