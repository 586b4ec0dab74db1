"""Does this crop show that design? Local features, geometry, and grey agreement after alignment.

RootSIFT (Lowe 2004; Arandjelović and Zisserman 2012) on the crop enlarged to at least 192 pixels,
against the reference blurred to what the crop can still hold; a MAGSAC homography (Barath et al.
2019) that must be possible for a flat, unmirrored emblem; then the aligned crop is correlated
with the reference inside the emblem. A shared ring or shield shape gives inliers along one curve
and a poor correlation; that is why neither counts alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CANVAS_PX", "Aligned", "Comparison", "Query", "Reference", "align", "compare", "limit_band",
    "prepare_query", "prepare_reference", "rank",
]  # fmt: skip

#: Longer side, in pixels, to which crops and references are brought before features are taken.
CANVAS_PX = 192
_FEATURES = 400
_RATIO = 0.85
_TRANSFER_PX = 5.0
_BANDS = (32, 48, 72, 108, 192)
_CELL_MINIMUM = 4
_LOCAL = 0.7


@dataclass(frozen=True)
class Comparison:
    """How one crop agrees with one reference.

    Attributes
    ----------
    inliers, votes
        Feature pairs that fit one homography; pairs before geometry.
    coverage
        Area of the inliers' hull over the emblem's, 0-1.
    correlation
        Zero-mean normalised correlation of grey inside the emblem after alignment; negative for
        an inverted colourway; 0 if there was no usable alignment.
    agreement
        Share of the reference's drawing, 0-1, whose surroundings correlate at 0.7 or more with
        the crop: a different charge on the same shield leaves its part of the drawing out.
    homography
        From reference canvas to crop pixels, row by row, or empty.
    """

    inliers: int = 0
    votes: int = 0
    coverage: float = 0.0
    correlation: float = 0.0
    agreement: float = 0.0
    homography: tuple[float, ...] = ()

    @property
    def confusable(self) -> bool:
        """Near enough that one could be taken for the other, in a worse picture than this."""
        return self.inliers >= 10 or (self.inliers >= 6 and self.agreement >= 0.4)


@dataclass
class Reference:
    """A reference picture on its canvas: RGB, emblem mask, features per bandwidth."""

    picture: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    bands: dict[int, Query] = field(default_factory=dict)

    def band(self, width_px: float) -> Query:
        """Features of the reference as it looks at about this many pixels."""
        size = min(_BANDS, key=lambda band: abs(math.log(band / max(width_px, 1.0))))
        if size not in self.bands:
            self.bands[size] = _features(limit_band(self.picture, size), self.mask)
        return self.bands[size]


@dataclass(frozen=True)
class Query:
    """Features on a canvas: points (n, 2), RootSIFT (n, 128) float32, grey, and its scale.

    `scale` is canvas pixels for one pixel of the crop.
    """

    points: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    grey: NDArray[np.uint8]
    scale: float
    width_px: float


def _to_canvas(picture: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], float]:
    import cv2

    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    canvas: Any = cv2.resize(picture, size, interpolation=method)
    return canvas, scale


def limit_band(picture: NDArray[np.uint8], width_px: int) -> NDArray[np.uint8]:
    """The picture as it would look `width_px` long, at its own size: what detail survives."""
    import cv2
    import numpy as np

    longest = max(picture.shape[:2])
    if width_px >= longest:
        return picture
    factor = width_px / longest
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    back: Any = cv2.resize(
        small, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_CUBIC
    )
    return np.asarray(back, dtype=np.uint8)


def _features(rgb: NDArray[np.uint8], mask: NDArray[np.uint8] | None, scale: float = 1.0,
              width_px: float = 0.0) -> Query:  # fmt: skip
    import cv2
    import numpy as np

    grey: Any = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    create: Any = getattr(cv2, "SIFT_create")  # noqa: B009 - the stubs do not know it
    sift = create(nfeatures=_FEATURES, contrastThreshold=0.02, edgeThreshold=15)
    keypoints, described = sift.detectAndCompute(grey, mask)
    if described is None or not len(keypoints):
        return Query(
            np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32), grey, scale, width_px
        )
    points = np.array([k.pt for k in keypoints], np.float32)
    root = np.sqrt(described / np.maximum(described.sum(axis=1, keepdims=True), 1e-9))
    return Query(points, root.astype(np.float32), grey, scale, width_px)


def prepare_reference(rgba: NDArray[np.uint8]) -> Reference:
    """Bring a reference picture, (H, W, 4) uint8, to its canvas and find the emblem in it.

    The emblem is what is opaque or, in a picture without transparency, what differs from a plain
    border of one colour.
    """
    import cv2
    import numpy as np

    alpha = rgba[..., 3]
    rgb = np.ascontiguousarray(rgba[..., :3])
    if alpha.min() < 128:
        mask = np.where(alpha >= 128, 255, 0).astype(np.uint8)
        # Transparent pixels may hold any colour; mid grey gives no edge of its own.
        rgb = np.where(mask[..., None] > 0, rgb, 120).astype(np.uint8)
    else:
        mask = _plain_border_mask(rgb)
    rows, columns = np.nonzero(mask)
    if len(rows):
        window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        rgb, mask = np.ascontiguousarray(rgb[window]), np.ascontiguousarray(mask[window])
    canvas, _ = _to_canvas(rgb, CANVAS_PX)
    shape = (canvas.shape[1], canvas.shape[0])
    small: Any = cv2.resize(mask, shape, interpolation=cv2.INTER_NEAREST)
    return Reference(canvas, small)


def _plain_border_mask(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2
    import numpy as np

    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]]).astype(np.int16)
    colour = np.median(border, axis=0)
    full = np.full(rgb.shape[:2], 255, np.uint8)
    if np.mean(np.abs(border - colour).max(axis=1) <= 12) < 0.9:
        return full
    same = (np.abs(rgb.astype(np.int16) - colour).max(axis=2) <= 14).astype(np.uint8)
    # Only what is joined to the border: the same colour inside the emblem belongs to it.
    padded = cv2.copyMakeBorder(same, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    outside = np.zeros((padded.shape[0] + 2, padded.shape[1] + 2), np.uint8)
    cv2.floodFill(padded, outside, (0, 0), 2)
    mask: NDArray[np.uint8] = np.where(padded[1:-1, 1:-1] == 2, 0, 255).astype(np.uint8)
    return mask if np.count_nonzero(mask) >= 0.05 * mask.size else full


def prepare_query(rgb: NDArray[np.uint8], *, size_px: float | None = None) -> Query:
    """Enlarge a crop, (H, W, 3) uint8 RGB, to the canvas and take its features.

    `size_px` is the longer side the emblem had in the frame: of `rgb` itself by default. A crop
    that was enlarged before, or holds the emblem small in a large picture, says so with it.
    """
    import numpy as np

    longest = max(rgb.shape[:2])
    canvas, scale = _to_canvas(np.ascontiguousarray(rgb), max(CANVAS_PX, longest))
    return _features(canvas, None, scale, float(longest if size_px is None else size_px))


def _pairs(
    query: NDArray[np.float32], reference: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import numpy as np

    if len(query) < _CELL_MINIMUM or len(reference) < _CELL_MINIMUM:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    # RootSIFT vectors have length one: nearest by angle is nearest by distance.
    likeness = query @ reference.T
    rows = np.arange(len(query))
    best = likeness.argmax(axis=1)
    first = likeness[rows, best]
    likeness[rows, best] = -2.0
    second = likeness.max(axis=1)
    near = np.sqrt(np.clip(2 - 2 * first, 0, None))
    far = np.sqrt(np.clip(2 - 2 * second, 1e-9, None))
    kept = np.nonzero(near < _RATIO * far)[0]
    # One reference point answers one query point: the nearest.
    order = kept[np.argsort(near[kept], kind="stable")]
    _, unique = np.unique(best[order], return_index=True)
    chosen = order[np.sort(unique)]
    return chosen.astype(np.int64), best[chosen].astype(np.int64)


def _possible(homography: Any, size: tuple[int, int], query: Query) -> Any:
    """The reference's corners in the query, or None if no flat emblem could look like that."""
    import cv2
    import numpy as np

    width, height = size
    corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float32)
    quad = cv2.perspectiveTransform(corners, homography)[0].astype(np.float64)
    if not np.isfinite(quad).all():
        return None
    sides = np.roll(quad, -1, axis=0) - quad
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    area = 0.5 * abs(np.dot(quad[:, 0], np.roll(quad[:, 1], -1))
                     - np.dot(quad[:, 1], np.roll(quad[:, 0], -1)))  # fmt: skip
    share = area / (width * height)
    # Turning the same way round at all corners: convex and not mirrored.
    sane = (turns > 0).all() and 0.04 <= share <= 6.0
    sane = sane and lengths.min() >= 0.2 * lengths.max() * min(width, height) / max(width, height)
    return quad if sane else None


@dataclass(frozen=True)
class Aligned:
    """Crop and reference on the reference's canvas, brought to one sharpness.

    `crop`, `drawn` (h, w) float32 grey; `inside` bool, where both are seen; `local` (h, w)
    float32, their correlation in a small window, signed like the whole; `weight` how much the
    reference shows there.
    """

    crop: NDArray[np.float32]
    drawn: NDArray[np.float32]
    inside: NDArray[np.bool_]
    local: NDArray[np.float32]
    weight: NDArray[np.float32]
    correlation: float
    agreement: float


def _refine(query: Query, reference: Reference, homography: Any) -> Any:
    """Improve an alignment by maximising grey correlation (Evangelidis and Psarakis 2008)."""
    import cv2
    import numpy as np

    half = np.diag([0.5, 0.5, 1.0])
    drawn = cv2.cvtColor(reference.picture, cv2.COLOR_RGB2GRAY)
    size = (drawn.shape[1] // 2, drawn.shape[0] // 2)
    template = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    small = (max(8, query.grey.shape[1] // 2), max(8, query.grey.shape[0] // 2))
    moving = cv2.resize(query.grey, small, interpolation=cv2.INTER_AREA)
    start = half @ homography @ np.linalg.inv(half)
    start = (start / start[2, 2]).astype(np.float32)
    mask = cv2.warpPerspective(reference.mask, start @ half.astype(np.float32), small)
    if np.count_nonzero(mask) < 64:
        return homography
    blur = max(3, 2 * round(0.25 * CANVAS_PX / max(query.width_px, 24.0)) + 1)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 25, 1e-4)
    try:
        _, better = cv2.findTransformECC(
            template, moving, start.copy(), cv2.MOTION_HOMOGRAPHY, stop, mask, blur
        )
    except cv2.error:
        # It did not converge: the alignment by features stands.
        return homography
    better = np.linalg.inv(half) @ better.astype(np.float64) @ half
    high, wide = drawn.shape[:2]
    corners = np.array([[[0, 0], [wide, 0], [wide, high], [0, high]]], np.float32)
    before = cv2.perspectiveTransform(corners, homography)[0]
    after = cv2.perspectiveTransform(corners, better)[0]
    moved = float(np.abs(after - before).max())
    # A step that carries a corner far away has left the emblem for something else.
    return better if np.isfinite(moved) and moved <= 0.2 * CANVAS_PX else homography


def align(query: Query, reference: Reference, homography: Any) -> Aligned | None:
    """Warp a crop onto the reference and correlate, whole and place by place.

    Returns None where less than 35 % of the emblem is in the crop.
    """
    import cv2
    import numpy as np

    height, width = reference.mask.shape
    aligned = cv2.warpPerspective(
        query.grey, homography, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT, borderValue=0,
    )  # fmt: skip
    seen = cv2.warpPerspective(
        np.full_like(query.grey, 255), homography, (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )  # fmt: skip
    inside = (reference.mask > 0) & (seen > 0)
    if np.count_nonzero(inside) < 0.35 * np.count_nonzero(reference.mask):
        return None
    drawn = cv2.cvtColor(reference.picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    own = aligned.astype(np.float32)
    share = inside.astype(np.float32)

    def smooth(picture: Any, sigma: float) -> Any:
        # Normalised by the mask, so that what lies outside the emblem does not leak in.
        total = cv2.GaussianBlur(picture * share, (0, 0), sigma)
        return total / np.maximum(cv2.GaussianBlur(share, (0, 0), sigma), 1e-3)

    # Both to what the crop can hold: about half a pixel of the frame.
    sigma = max(1.5, 0.5 * CANVAS_PX / max(query.width_px, 24.0))
    first, second = smooth(own, sigma), smooth(drawn, sigma)
    correlation = _zncc(first[inside], second[inside])
    window = CANVAS_PX / 32
    mean_a, mean_b = smooth(first, window), smooth(second, window)
    spread_a = np.clip(smooth(first * first, window) - mean_a**2, 0, None)
    spread_b = np.clip(smooth(second * second, window) - mean_b**2, 0, None)
    shared = smooth(first * second, window) - mean_a * mean_b
    # A few grey levels of noise floor: flat against flat is no agreement.
    local = shared / np.sqrt((spread_a + 9.0) * (spread_b + 9.0))
    local = local if correlation >= 0 else -local
    weight = np.where(inside, np.clip(np.sqrt(spread_b) - 4.0, 0, 40.0), 0.0)
    total = float(weight.sum())
    agreement = float((weight * (local >= _LOCAL)).sum() / total) if total > 0 else 0.0
    return Aligned(first, second, inside, local, weight, correlation, agreement)


def _zncc(first: Any, second: Any) -> float:
    import numpy as np

    a, b = first - first.mean(), second - second.mean()
    power = float(np.sqrt((a * a).sum() * (b * b).sum()))
    # A crop without any structure agrees with nothing.
    return float((a * b).sum() / power) if power > 1e-6 * len(a) else 0.0


@dataclass(frozen=True)
class _Fitted:
    """A possible geometry, before grey is looked at."""

    votes: int
    inliers: int = 0
    coverage: float = 0.0
    homography: Any = None


def _fit(query: Query, reference: Reference, pairs: Any) -> _Fitted:
    import cv2
    import numpy as np

    mine, theirs = pairs
    votes = len(mine)
    if votes < _CELL_MINIMUM:
        return _Fitted(votes)
    band = reference.band(query.width_px)
    source, target = band.points[theirs], query.points[mine]
    cv2.setRNGSeed(7)
    homography, kept = cv2.findHomography(
        source, target, cv2.USAC_MAGSAC, _TRANSFER_PX, maxIters=1000, confidence=0.999
    )
    if homography is None or kept is None:
        return _Fitted(votes)
    height, width = reference.mask.shape
    if _possible(homography, (width, height), query) is None:
        return _Fitted(votes)
    inside = kept.ravel() > 0
    # Several features at one place are one witness: count places, not features.
    inliers = len(np.unique(np.round(source[inside] / 2), axis=0))
    hull = cv2.contourArea(cv2.convexHull(source[inside])) if inside.sum() >= 3 else 0.0
    coverage = min(1.0, hull / max(1.0, float(np.count_nonzero(reference.mask))))
    return _Fitted(votes, inliers, coverage, homography)


def _finish(query: Query, reference: Reference, fitted: _Fitted) -> Comparison:
    """Refine the geometry by grey, and correlate."""
    import numpy as np

    if fitted.homography is None:
        return Comparison(votes=fitted.votes)
    correlation = agreement = 0.0
    homography = _refine(query, reference, fitted.homography)
    seen = align(query, reference, homography)
    if seen is not None:
        correlation, agreement = seen.correlation, seen.agreement
    to_crop = np.diag([1 / query.scale, 1 / query.scale, 1.0]) @ homography
    return Comparison(
        fitted.inliers, fitted.votes, fitted.coverage, correlation, agreement,
        tuple(float(v) for v in (to_crop / to_crop[2, 2]).ravel()),
    )  # fmt: skip


def compare(rgb: NDArray[np.uint8], reference: Reference) -> Comparison:
    """Compare one picture, (H, W, 3) uint8 RGB, with one reference."""
    query = prepare_query(rgb)
    band = reference.band(query.width_px)
    pairs = _pairs(query.descriptors, band.descriptors)
    return _finish(query, reference, _fit(query, reference, pairs))


def rank(
    query: Query, references: list[tuple[str, Reference]], *, keep: int = 8, finish: int = 3
) -> list[tuple[str, Comparison]]:
    """Compare a crop with every reference, each step only for what the step before left over.

    Geometry for the `keep` with most votes, grey for the `finish` with most points in a common
    geometry. Returns (name, comparison), best first: by agreement where points suffice, then by
    points.
    """
    voted = []
    for name, reference in references:
        pairs = _pairs(query.descriptors, reference.band(query.width_px).descriptors)
        voted.append((len(pairs[0]), name, reference, pairs))
    voted.sort(key=lambda row: (-row[0], row[1]))
    fitted = [(_fit(query, ref, pairs), name, ref) for _, name, ref, pairs in voted[:keep]]
    fitted.sort(key=lambda row: (-row[0].inliers, -row[0].votes, row[1]))
    done = [(name, _finish(query, ref, fit)) for fit, name, ref in fitted[:finish]]
    done.sort(key=lambda row: (-row[1].inliers * (0.5 + row[1].agreement), row[0]))
    done += [
        (name, Comparison(fit.inliers, fit.votes, fit.coverage)) for fit, name, _ in fitted[finish:]
    ]
    return done + [(name, Comparison(votes=votes)) for votes, name, _, _ in voted[keep:]]
