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
_DARK = 18.0
_CAST = 24.0


@dataclass(frozen=True)
class Colour:
    """At most two candidates, the palette as ``#rrggbb share``, and why there is none."""

    candidates: tuple[Candidate, ...]
    palette: tuple[str, ...]
    abstained: str = ""


def _light(frame: NDArray[np.uint8]) -> tuple[str, tuple[float, float]]:
    """Why colours cannot be told in this frame (or nothing), and its cast in Lab units.

    The cast is that of the lower half's dull pixels: road and pavement are grey.
    """
    import cv2
    import numpy as np

    small = cv2.resize(frame, (96, 64), interpolation=cv2.INTER_AREA)
    lab: Any = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light, a, b = (lab[..., i] for i in range(3))
    chroma = np.hypot(a, b)
    if float(np.percentile(chroma, 99.9)) < 5.0:
        return "the picture carries no colour (infrared or black and white)", (0.0, 0.0)
    if float(np.median(light)) < _DARK:
        return f"too dark: median lightness {float(np.median(light)):.0f} of 100", (0.0, 0.0)
    low = np.s_[32:]
    lit = (light[low] > 10) & (light[low] < 88)
    if not lit.any():
        return "", (0.0, 0.0)
    whole = (float(np.median(a[low][lit])), float(np.median(b[low][lit])))
    if np.hypot(*whole) > _CAST:
        return f"coloured light: the street leans by {np.hypot(*whole):.0f} units", whole
    dull = lit & (chroma[low] < 18)
    if not dull.any():
        return "", (0.0, 0.0)
    return "", (float(np.median(a[low][dull])), float(np.median(b[low][dull])))


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
    Neither candidate is right for about three vehicles in ten in daylight (measured: 6 of 21):
    takes white for grey and dark blue or green for black, and the reverse (ASTM E3016:
    inaccuracy, association); names what covers most of the flank, not a second colour; says
    nothing at night.
    """
    import cv2
    import numpy as np

    height, width = vehicle.shape[:2]
    if min(height, width) < 16:
        return Colour((), (), f"{width}x{height} pixels, 16 are needed")
    why, cast = _light(vehicle if frame is None else frame)
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
    light, a, b = lab[:, 0], lab[:, 1] - cast[0], lab[:, 2] - cast[1]
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    # Coloured paint always comes with neutral reflections, glass and tyres: it counts for more.
    strong = weight * np.clip(chroma / 12.0, 0, 4) ** 2
    names = np.select(
        [
            (chroma > 13) & ((hue < 36) | (hue >= 330)) & (light > 8),
            (chroma > 28) & (hue >= 36) & (hue < 105) & (light > 45),
            (chroma > 10) & (hue >= 36) & (hue < 105) & (light > 12),
            (chroma > 12) & (hue >= 105) & (hue < 200),
            (chroma > 13) & (hue >= 200) & (hue < 330) & (light > 6),
        ],
        [3, 4, 7, 5, 6], default=-1,
    )  # fmt: skip
    for number in (3, 4, 5, 6, 7):
        votes[COLOURS[number]] = float(strong[names == number].sum())
    neutral = names == -1
    if neutral.any():
        # Glass, tyres and shadow are dark on every vehicle: the brighter part is the paint.
        share = float(weight[neutral].sum())
        paint = float(np.percentile(light[neutral], 78))
        whiter, blacker = 1 / (1 + np.exp((57 - paint) / 4)), 1 / (1 + np.exp((paint - 33) / 4))
        votes["white"] = share * float(whiter)
        votes["black"] = share * float(blacker)
        votes["grey"] = share * float(max(0.0, 1 - whiter - blacker) + 0.35 * (whiter + blacker))
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
