"""What can be measured of a crop before anything is compared: size, sharpness, compression."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

from forensics.model import Quantity, Value, from_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.gallery_match import Comparison

__all__ = ["BUCKETS", "StrengthRow", "measure_crop", "read_strengths", "size_bucket", "strength"]

#: Lower ends of the size buckets, in pixels of the longer side.
BUCKETS = (0, 32, 48, 76, 128)


class StrengthRow(Value, frozen=True):
    """Counts of known and unknown pairs in one size bucket at or above a score, half by half."""

    bucket: str
    low: float
    high: float
    known: int
    known_pairs: int
    unknown: int
    unknown_pairs: int


def size_bucket(size_px: float) -> str:
    """The size bucket a figure was measured in, as it stands in the error-rate table."""
    low = max(b for b in BUCKETS if size_px >= b)
    above = [b for b in BUCKETS if b > low]
    return f"{low}-{above[0] - 1} px" if above else f"{low} px and more"


def measure_crop(crop: NDArray[np.uint8], *, origin_px: tuple[int, int]) -> dict[str, Quantity]:
    """Pixels on target, sharpness and blockiness of a crop, (H, W, 3) uint8 RGB.

    Sharpness is the 90th percentile of the gradient over the contrast: a step edge one pixel wide
    gives about 0.5, strong blur under 0.1. Blockiness is the mean step across the 8-pixel grid of
    the codec over the mean step elsewhere: 1 without visible blocks, and above with.
    """
    import cv2
    import numpy as np

    grey = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY).astype(np.float32)
    height, width = grey.shape
    low, high = np.percentile(grey, (2, 98))
    contrast = float(high - low)
    note = "computed from the crop's pixels, not estimated"
    measures = {
        "width": Quantity.exact(width, "px", "size of the box"),
        "height": Quantity.exact(height, "px", "size of the box"),
        "contrast": Quantity.exact(round(contrast, 2), "grey levels", note),
    }
    if min(height, width) >= 4 and contrast >= 4:
        across, down = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
        steps = np.maximum(across[:-1], down[:, :-1])
        sharpness = float(np.percentile(steps, 90)) / contrast
        measures["sharpness"] = Quantity.exact(round(sharpness, 4), "", note)
        columns = (np.arange(width - 1) + origin_px[0] + 1) % 8 == 0
        if columns.any() and not columns.all():
            seam, rest = float(across[:, columns].mean()), float(across[:, ~columns].mean())
            measures["blockiness"] = Quantity.exact(round(seam / max(rest, 1e-3), 3), "", note)
    return measures


@functools.cache
def read_strengths() -> tuple[StrengthRow, ...]:
    """The table that turns a comparison into a likelihood ratio; empty if not yet measured."""
    place = resources.files("forensics").joinpath("data/markings_lr.json")
    if not place.is_file():
        return ()
    return from_json(place.read_bytes(), tuple[StrengthRow, ...])


def evidence(comparison: Comparison) -> float:
    """One number for sorting comparisons by how strongly they point to the same design."""
    return float(comparison.inliers) + 10.0 * comparison.agreement


def strength(comparison: Comparison, size_px: float) -> Quantity | None:
    """log10 of the likelihood ratio same design : another design, or None where not measured.

    Capped by the number of unknown pairs: with none of n reaching the score the rate is taken as
    3 / n (the rule of three), never as nothing.
    """
    import math

    bucket = size_bucket(size_px)
    value = evidence(comparison)
    rows = [r for r in read_strengths() if r.bucket == bucket and r.low <= value < r.high]
    if not rows:
        return None
    row = rows[0]
    low, best, high = likelihood_ratio(row)
    note = f"{row.known_pairs} known and {row.unknown_pairs} unknown pairs, {bucket}"
    return Quantity(math.log10(best), "log10 LR", math.log10(low), math.log10(high), note)


def likelihood_ratio(row: StrengthRow) -> tuple[float, float, float]:
    """Lower end, value and upper end (95 %) of a row's likelihood ratio."""
    from scipy.stats import beta

    def share(events: int, trials: int) -> tuple[float, float, float]:
        bounds: Any = beta.ppf([0.025, 0.975], events + 0.5, trials - events + 0.5)
        middle = (events + 0.5) / (trials + 1)
        return float(bounds[0]), middle, float(bounds[1])

    known, unknown = share(row.known, row.known_pairs), share(row.unknown, row.unknown_pairs)
    floor = 3 / max(1, row.unknown_pairs)
    best = known[1] / max(unknown[1], floor)
    return known[0] / max(unknown[2], floor), best, known[2] / max(unknown[0], floor)
