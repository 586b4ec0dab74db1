"""From small grey frames to boxes: what moves before a background, and how tall figures are.

Pure functions of arrays. Frames are (n, h, w) uint8, upright; positions are in their pixels. The
background is the median over a stretch, so brief visitors do not enter it, and every frame is
first brought to the background's exposure, so flicker and gain do not count as movement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.video_shadows import is_shadow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]

__all__ = [
    "FLOOD", "Ground", "blobs", "evened", "is_ghost", "learn_ground", "learn_heights",
    "moving_mask", "park_ground", "part_figures", "repair_ground",
]  # fmt: skip

#: Grey levels below which a difference is never movement, and multiples of a pixel's own noise.
_LEAST_LEVELS, _LEAST_SMOOTH = 11.0, 8.0
_NOISE_TIMES, _SENSOR_TIMES, _SHARED, _RARE = 4.5, 2.1, 1.3, 0.85
#: Steps from frame to frame (grey levels, 75th percentile) that need no smoothing; how many pixels
#: of smoothing each level beyond gets, and the most.
_QUIET, _BLUR_A_LEVEL, _MOST_BLUR_PX = 2.5, 0.25, 1.5
#: A frame with more than this share of moving pixels has changed its light, not its content.
FLOOD = 0.45
#: Boxes of upright figures from which their usual height is learned.
_LEAST_UPRIGHT = 60
#: They must stand at so many places; this share of the places must agree within this logarithm of
#: a factor (some are parts of figures, two figures, or figures with their shadows).
_LEAST_PLACES, _HEIGHT_SHARE, _HEIGHT_SPREAD, _NEARLY = 15, 0.4, 0.26, 0.93


@dataclass(frozen=True)
class Ground:
    """The background of a stretch: median level and the level a difference must exceed, (h, w).

    `blur_px`: both are of pictures smoothed by so much, for the sensor's noise.
    """

    level: Floats
    threshold: Floats
    blur_px: float = 0.0


def learn_ground(frames: Bytes) -> Ground:
    """Background and thresholds from a stretch of frames (n, h, w), at best over a minute long.

    When it errs
    ------------
    What stands still for more than half of the stretch becomes background, and leaves a ghost when
    it goes.
    """
    import cv2
    import numpy as np

    n = len(frames)
    # From one frame to the next, not about the median: what came and stayed is no noise.
    pairs: Any = np.unique(np.linspace(0, n - 2, min(n - 1, 30)).astype(int)) if n > 1 else []
    grain = [cv2.absdiff(frames[i + 1], frames[i])[::2, ::2] for i in pairs]
    rough = float(np.median(np.percentile(np.stack(grain), 75, axis=0))) if grain else 0.0
    blur = float(np.clip(_BLUR_A_LEVEL * (rough - _QUIET), 0.0, _MOST_BLUR_PX))
    pick = [smooth(frames[i], blur)
            for i in np.unique(np.linspace(0, n - 1, min(n, 45)).astype(int))]  # fmt: skip
    level = np.median(np.stack(pick), axis=0).astype(np.float32)
    evened = np.stack([_even(frame, level) for frame in pick])
    level = np.median(evened, axis=0).astype(np.float32)
    steps = [cv2.absdiff(smooth(frames[i + 1], blur), smooth(frames[i], blur)) for i in pairs]
    noise = np.zeros_like(level)
    if steps:
        usual, rare = np.percentile(np.stack(steps), (75, 85), axis=0)
        # Leaves in the wind are still most of the time.
        noise = 1.05 * (usual if blur < 0.3 else np.maximum(usual, _RARE * rare))
    # Leaves and edges move about: a pixel inherits the noise of its neighbours.
    spread = cv2.dilate(noise.astype(np.float32), np.ones((3, 3), np.uint8))
    # What all pixels share is the sensor's noise, whose tails are thin; what one has beyond it is
    # unrest, whose are not.
    shared = float(np.median(spread)) * _SHARED
    beyond = np.maximum(spread - shared, 0)
    threshold = np.maximum(
        _LEAST_LEVELS if blur < 0.3 else _LEAST_SMOOTH,
        _SENSOR_TIMES * np.minimum(spread, shared) + _NOISE_TIMES * beyond,
    ).astype(np.float32)
    return Ground(level, threshold, blur)


def smooth(frame: Bytes, blur_px: float) -> Floats:
    """A frame as float32, smoothed until the sensor's noise is less than figures differ by."""
    import cv2
    import numpy as np

    plain: Floats = frame.astype(np.float32)
    if blur_px < 0.3:
        return plain
    out: Floats = np.asarray(cv2.GaussianBlur(plain, (0, 0), blur_px), np.float32)
    return out


def _even(frame: Floats, level: Floats) -> Floats:
    """`frame` brought to the exposure of `level`: gain and offset from the bulk of the pixels."""
    import numpy as np

    a, b = frame[::4, ::4].ravel(), level[::4, ::4].ravel()
    low, high = np.percentile(b, (20, 80))
    dark, light = b <= low, b >= high
    if high - low < 12 or not dark.any() or not light.any():
        shifted: Floats = frame - np.median(a - b)
        return shifted
    da, la = float(np.median(a[dark])), float(np.median(a[light]))
    db, lb = float(np.median(b[dark])), float(np.median(b[light]))
    gain = float(np.clip((lb - db) / max(1.0, la - da), 0.6, 1.7))
    evened: Floats = (frame - da) * gain + db
    return evened


def evened(frame: Bytes, ground: Ground) -> Floats:
    """A frame, smoothed as its background is, at the background's exposure."""
    import numpy as np

    return np.asarray(_even(smooth(frame, ground.blur_px), ground.level), np.float32)


def moving_mask(frame: Bytes, ground: Ground) -> tuple[Bytes, float]:
    """Where a frame differs from its background: (h, w) of 0 and 1, and the share of ones."""
    import cv2
    import numpy as np

    now = evened(frame, ground)
    moving = np.abs(now - ground.level) > ground.threshold
    share = float(moving.mean())
    if moving.any():
        moving &= ~is_shadow(now, ground.level, moving, ground.blur_px)
    mask = moving.astype(np.uint8)
    # Upright grain: what is left of shadows lies flat.
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((4, 2), np.uint8)).astype(np.uint8)
    # Limbs and a coat as light as the ground break a figure apart, above all upright.
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 3), np.uint8)).astype(np.uint8)
    return mask, share


def repair_ground(frames: Bytes, ground: Ground, *, looks: int = 40) -> Ground:
    """The background without what stood in it: its holes are filled with what they showed.

    What stood still for most of the stretch is in the median. Where it is gone for at least two of
    the frames looked at, its outline is in the background and not in the frame; there the frame
    is the better background, unless four fifths of the frames show the median: a dark coat
    before leaves hides their outlines as if they had gone.
    """
    import numpy as np

    pick = np.unique(np.linspace(0, len(frames) - 1, min(looks, len(frames))).astype(int))
    total = np.zeros(ground.level.shape, np.float32)
    shown = np.zeros(ground.level.shape, np.int32)
    count = np.zeros(ground.level.shape, np.int32)
    for index in pick:
        mask, share = moving_mask(frames[index], ground)
        if share > FLOOD:
            continue
        shown += mask == 0
        now = evened(frames[index], ground)
        for box in blobs(mask, least_px=6.0):
            if is_ghost(now, ground.level, mask, box):
                x, y, w, h = (int(v) for v in box)
                here = np.zeros(mask.shape, bool)
                here[y : y + h, x : x + w] = mask[y : y + h, x : x + w] > 0
                total[here] += now[here]
                count[here] += 1
    hole = (count >= 2) & (shown < 0.8 * len(pick))
    level = np.where(hole, total / np.maximum(count, 1), ground.level).astype(np.float32)
    return Ground(level, ground.threshold, ground.blur_px)


def park_ground(
    frames: Bytes, times: Floats, ground: Ground, *, tall: tuple[float, float],
    window_s: float = 5.0,
) -> list[Ground]:  # fmt: skip
    """The background at each time of a stretch: what is parked in it for a while belongs to it.

    A vehicle that comes and stays makes one patch of movement with everybody who passes before it.
    While it stands, its picture is the background there. Only what is wider than tall and larger
    than a figure is parked: people who stand still stay in the foreground.

    Parameters
    ----------
    frames, times
        (n, h, w) uint8 and (n,) seconds.
    ground
        The background of the whole stretch.
    tall
        From `learn_heights`.
    window_s
        It must stand this long twice over.

    Returns
    -------
    list of Ground
        One a frame; the same object where nothing changed.

    When it errs
    ------------
    A row of people who do not stir for ten seconds is parked too.
    """
    import cv2
    import numpy as np

    slot = np.floor((times - times[0]) / window_s).astype(int)
    count = int(slot[-1]) + 1
    levels = []
    for k in range(count):
        members = np.flatnonzero(slot == k)
        few = np.unique(np.linspace(0, len(members) - 1, min(9, len(members))).astype(int))
        pick = members[few]
        levels.append(
            np.median(np.stack([_even(smooth(frames[i], ground.blur_px), ground.level)
                                for i in pick]), axis=0).astype(np.float32)
            if len(members)
            else ground.level
        )  # fmt: skip
    patches: list[tuple[int, NDArray[np.bool_]]] = []
    for k in range(count - 1):
        apart = np.abs(levels[k] - ground.level) > ground.threshold
        stays = np.abs(levels[k + 1] - levels[k]) <= ground.threshold
        mask = (apart & stays).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)).astype(np.uint8)
        total, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for label in range(1, total):
            _, y, w, h, area = (int(v) for v in stats[label])
            figure = max(6.0, tall[0] + tall[1] * (y + h))
            if w < 1.2 * figure or w < 1.3 * h or h < 0.5 * figure or area < 0.4 * w * h:
                continue
            where = cv2.dilate((labels == label).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            patches.append((k, where))
    grounds = [ground] * count
    for k in range(count):
        level = ground.level.copy()
        for first, where in patches:
            # Who passes before it hides part of it.
            alike = np.abs(levels[k] - levels[first])[where] <= ground.threshold[where]
            changed = np.abs(levels[k] - ground.level)[where] > ground.threshold[where]
            if float(alike.mean()) > 0.6 and float((alike & changed).mean()) > 0.3:
                level[where] = levels[first][where]
                grounds[k] = Ground(level, ground.threshold, ground.blur_px)
    return [grounds[k] for k in slot]


def is_ghost(
    now: Floats, ground: Floats, mask: Bytes, box: tuple[float, float, float, float]
) -> bool:
    """Whether a difference is a hole the background remembers: its outline is in the background.

    What stood still while the background was learned leaves such a hole when it goes. `now` is the
    frame, `evened` as the ground's levels are.
    """
    import cv2
    import numpy as np

    x, y, w, h = (int(v) for v in box)
    top, bottom = max(0, y - 2), min(mask.shape[0], y + h + 2)
    left, right = max(0, x - 2), min(mask.shape[1], x + w + 2)
    part = mask[top:bottom, left:right]
    rim = cv2.morphologyEx(part, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    if rim.sum() < 8:
        return False

    def edges(picture: Floats) -> float:
        cut = np.ascontiguousarray(picture[top:bottom, left:right], np.float32)
        across = cv2.Sobel(cut, cv2.CV_32F, 1, 0)
        down = cv2.Sobel(cut, cv2.CV_32F, 0, 1)
        return float(np.median(np.hypot(across, down)[rim]))

    sharp, then = edges(now), edges(ground)
    return then > 1.25 * sharp + 2.0


def blobs(mask: Bytes, *, least_px: float) -> list[tuple[float, float, float, float]]:
    """Boxes (x, y, w, h) of connected movement whose longer side reaches `least_px`."""
    import cv2

    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = []
    for label in range(1, count):
        x, y, w, h, area = (float(v) for v in stats[label])
        if max(w, h) >= least_px and area >= 0.15 * w * h and area >= 0.12 * least_px**2:
            found.append((x, y, w, h))
    return _joined(found)


def _joined(
    boxes: list[tuple[float, float, float, float]],
) -> list[tuple[float, float, float, float]]:
    """Parts of one figure, one above the other, as one box."""
    merged = True
    while merged:
        merged = False
        for i in range(len(boxes)):
            for j in range(i + 1, len(boxes)):
                (x, y, w, h), (a, b, c, d) = boxes[i], boxes[j]
                across = min(x + w, a + c) - max(x, a)
                gap = max(y, b) - min(y + h, b + d)
                tall = max(y + h, b + d) - min(y, b)
                if across > 0.5 * min(w, c) and gap < 0.25 * max(h, d) and tall < 1.6 * max(h, d):
                    x0, y0 = min(x, a), min(y, b)
                    boxes[i] = (x0, y0, max(x + w, a + c) - x0, max(y + h, b + d) - y0)
                    del boxes[j]
                    merged = True
                    break
            if merged:
                break
    return boxes


def learn_heights(
    boxes: Sequence[tuple[float, float, float, float]], size: tuple[int, int]
) -> tuple[float, float] | None:
    """How tall an upright figure is where its foot stands: height = a + b * foot row.

    Parameters
    ----------
    boxes
        Every box (x, y, w, h) of a stretch; those that stand upright and touch no border count.
    size
        Height and width of the picture.

    Returns
    -------
    tuple of float or None
        a and b in pixels; None where too few stood upright to say, or where what stood upright on
        one row was of so many sizes that it was parts of figures, noise, or not figures.
    """
    import numpy as np

    all_boxes = np.array(boxes, dtype=float).reshape(-1, 4)
    x, y, w, h = all_boxes.T
    upright = (h > 1.8 * w) & (h < 3.6 * w) & (y > 1) & (y + h < size[0] - 1)
    upright &= (x > 1) & (x + w < size[1] - 1)
    if upright.sum() < _LEAST_UPRIGHT:
        return None
    foot, tall, middle = (y + h)[upright], h[upright], (x + w / 2)[upright]
    # What does not stir is measured again and again, but it is one measurement.
    grain = max(2.0, 0.1 * float(np.median(tall)))
    places = np.c_[middle / grain, foot / grain, tall / grain].round()
    first = np.unique(places, axis=0, return_index=True)[1]
    foot, tall = foot[first], tall[first]
    if len(foot) < _LEAST_PLACES:
        return None
    # In a fixed view heights grow in proportion to the distance of the foot below the horizon.
    far = -np.geomspace(30 * size[0], 0.05 * size[0], 24)
    lines: list[tuple[float, float, float]] = []
    horizons = np.r_[far, np.arange(0, size[0], max(1, size[0] // 36))]
    if float(np.ptp(np.percentile(foot, (5, 95)))) < 0.5 * float(np.median(tall)):
        # All stood on one row: nothing is known of others.
        horizons = far[:1]
    for horizon in horizons.tolist():
        below = foot > horizon + 0.02 * size[0]
        ratio = np.sort(np.log(tall[below] / (foot[below] - horizon)))
        if len(ratio):
            alike = np.searchsorted(ratio, ratio + _HEIGHT_SPREAD, "right") - np.arange(len(ratio))
            k = int(alike.argmax())
            slope = float(np.exp(np.median(ratio[k : k + alike[k]])))
            lines.append((float(alike[k]) / len(foot), slope, -slope * horizon))
    best = max((share for share, _, _ in lines), default=0.0)
    if best < _HEIGHT_SHARE:
        return None
    # Of lines that nearly as much agrees with, the middle one: where all stand on a few rows, the
    # horizon is anybody's guess.
    good = sorted(line[1:] for line in lines if line[0] >= _NEARLY * best)
    slope, at = good[len(good) // 2]
    return at, slope


def part_figures(
    mask: Bytes, box: tuple[float, float, float, float], heights: tuple[float, float]
) -> list[tuple[float, float, float, float]]:
    """The figures in one box: too wide or too tall for one, it is cut where it is thinnest.

    Parameters
    ----------
    mask
        (h, w) of 0 and 1.
    box
        Of connected movement.
    heights
        From `learn_heights`.

    When it errs
    ------------
    Figures one behind the other stay one; someone with a cart or a bicycle may become two.
    """
    import numpy as np

    x, y, w, h = (int(v) for v in box)
    tall = max(6.0, heights[0] + heights[1] * (y + h))
    part = mask[y : y + h, x : x + w] > 0
    if h > 1.45 * tall:
        # The lower figure is as tall as its place says; above its head begins the other.
        low, high = int(max(1, h - 1.2 * tall)), int(min(h - 2, h - 0.85 * tall))
        # Where it is thinnest; among equals, where the head should be.
        rows = part.sum(axis=1) + 0.5 * np.abs(np.arange(h) - (h - tall)) / tall
        cut = low + int(np.argmin(rows[low : high + 1])) if high > low else 0
        above = max(6.0, heights[0] + heights[1] * (y + cut))
        if cut > 0.5 * above:
            pieces = _pieces(part, (slice(0, cut), slice(None)), (slice(cut, h), slice(None)))
            return [(x + a, y + b, c, d) for a, b, c, d in pieces]
    if w > 0.6 * tall and h > 0.6 * tall:
        # Heads and shoulders; legs swing.
        columns = part[: max(3, int(0.6 * h))].sum(axis=0).astype(float)
        columns = np.convolve(columns, np.ones(3) / 3, "same")
        side = max(2, int(0.2 * tall))
        best, cut = 1.0, 0
        for at in range(side, w - side):
            least = min(columns[:at].max(), columns[at:].max())
            depth = columns[at] / max(least, 1.0)
            if least > 0.25 * tall and depth < best:
                best, cut = float(depth), at
        if best < 0.55:
            pieces = _pieces(part, (slice(None), slice(0, cut)), (slice(None), slice(cut, w)))
            return [(x + a, y + b, c, d) for a, b, c, d in pieces]
    return [box]


def _pieces(
    part: NDArray[np.bool_], *places: tuple[slice, slice]
) -> list[tuple[float, float, float, float]]:
    """The tight box of what moves in each of two parts of a box."""
    import numpy as np

    found = []
    for rows, columns in places:
        ys, xs = np.nonzero(part[rows, columns])
        if len(ys):
            top, left = ys.min() + (rows.start or 0), xs.min() + (columns.start or 0)
            found.append((float(left), float(top), float(np.ptp(xs) + 1), float(np.ptp(ys) + 1)))
    return found
