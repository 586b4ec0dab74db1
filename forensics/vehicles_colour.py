"""The colour of a vehicle: a palette, two candidates, or no answer.

Paint is judged on the flanks and bonnet, not on glass, tyres and road; under street lamps, in
infrared or in the dark there is no colour to judge, and none is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.model import Candidate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["COLOURS", "Colour", "name_colour"]

#: The names that can be given.
COLOURS = ("white", "grey", "black", "red", "orange-yellow", "green", "blue", "brown-beige")
_DARK = 46.0
_CAST = 17.0


@dataclass(frozen=True)
class Colour:
    """At most two candidates, the palette as ``#rrggbb share``, and why there is none."""

    candidates: tuple[Candidate, ...]
    palette: tuple[str, ...]
    abstained: str = ""


def _light(frame: NDArray[np.uint8]) -> str:
    """Why colours cannot be told in this frame, or nothing."""
    import cv2
    import numpy as np

    small = cv2.resize(frame, (96, 64), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light, a, b = (lab[..., i] for i in range(3))
    chroma = np.hypot(a, b)
    if float(np.percentile(chroma, 95)) < 4.0:
        return "the picture carries no colour (infrared or black and white)"
    if float(np.median(light)) * 2.55 < _DARK:
        return f"too dark: median lightness {float(np.median(light)):.0f} of 100"
    middle = (light > 15) & (light < 92)
    if middle.any():
        cast = float(np.hypot(np.median(a[middle]), np.median(b[middle])))
        if cast > _CAST:
            return f"coloured light: half of the picture leans by {cast:.0f} units"
    return ""


def name_colour(vehicle: NDArray[np.uint8], *, frame: NDArray[np.uint8] | None = None) -> Colour:
    """Name a vehicle's colour from a crop, (H, W, 3) uint8 RGB, closely boxed.

    Parameters
    ----------
    vehicle
        The crop.
    frame
        The whole picture, to judge the light by; the crop itself by default.

    When it errs
    ------------
    Takes white for grey and dark blue or green for black, and the reverse (ASTM E3016:
    inaccuracy, association); names what covers most of the flank, not a second colour; says
    nothing at night.
    """
    import cv2
    import numpy as np

    height, width = vehicle.shape[:2]
    if min(height, width) < 16:
        return Colour((), (), f"{width}x{height} pixels, 16 are needed")
    why = _light(vehicle if frame is None else frame)
    band = vehicle[round(0.22 * height) : round(0.82 * height),
                   round(0.10 * width) : round(0.90 * width)]  # fmt: skip
    small = cv2.resize(band, (48, 40), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (3, 3), 0)
    converted: Any = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = converted.reshape(-1, 3)
    y, x = np.mgrid[0:40, 0:48]
    # Paint is most likely a little below the middle; glass above, tyres and shadow below.
    weight = np.exp(-(((y - 20) / 15.0) ** 2) - ((x - 24) / 22.0) ** 2).ravel()
    palette = _palette(lab, weight)
    if why:
        return Colour((), palette, why)
    votes = dict.fromkeys(COLOURS, 0.0)
    light, a, b = lab.T
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    # Coloured paint outvotes the neutral reflections, glass and tyres it always comes with.
    strong = weight * np.where(chroma > 22, 3.0, 1.0)
    bright = float(np.percentile(light, 85))
    names = np.select(
        [
            (chroma > 18) & ((hue < 38) | (hue >= 335)) & (light > 12),
            (chroma > 26) & (hue >= 38) & (hue < 105) & (light > 45),
            (chroma > 10) & (hue >= 38) & (hue < 105) & (light > 15),
            (chroma > 12) & (hue >= 105) & (hue < 215),
            (chroma > 11) & (hue >= 215) & (hue < 335),
            light > max(66.0, 0.8 * bright),
            light > 30,
        ],
        [3, 4, 7, 5, 6, 0, 1], default=2,
    )  # fmt: skip
    for number, name in enumerate(COLOURS):
        votes[name] = float(strong[names == number].sum())
    # Dark pixels are glass, tyres and shadow on every vehicle: only their excess speaks of paint.
    votes["black"] *= 0.62
    total = sum(votes.values())
    ranked = sorted(votes.items(), key=lambda item: -item[1])[:2]
    candidates = tuple(
        Candidate(name, score=min(1.0, share / total)) for name, share in ranked if share > 0
    )
    return Colour(candidates, palette)


def _palette(
    lab: NDArray[np.float32], weight: NDArray[np.float64], count: int = 4
) -> tuple[str, ...]:
    import cv2
    import numpy as np

    centres = lab[np.linspace(0, len(lab) - 1, count).astype(int)].astype(np.float64)
    centres[:, 0] = np.percentile(lab[:, 0], np.linspace(10, 90, count))
    nearest = np.zeros(len(lab), dtype=int)
    for _ in range(12):
        nearest = ((lab[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        for k in range(count):
            own = nearest == k
            if own.any():
                centres[k] = np.average(lab[own], axis=0, weights=weight[own])
    shares = [float(weight[nearest == k].sum() / weight.sum()) for k in range(count)]
    rgb = cv2.cvtColor(centres[None].astype(np.float32), cv2.COLOR_LAB2RGB)[0]
    tones = np.clip(np.round(rgb * 255), 0, 255).astype(int)
    order = np.argsort(shares)[::-1]
    return tuple(
        f"#{tones[k][0]:02x}{tones[k][1]:02x}{tones[k][2]:02x} {shares[k]:.0%}"
        for k in order if shares[k] >= 0.02
    )  # fmt: skip
