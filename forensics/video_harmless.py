"""Steps that are not edits, told by their cause: a fresh key picture, someone going out, a knock.

Pure functions of what `video_measure` kept. Each names a cause that is seen every day and that no
ratio to the neighbouring steps tells from a cut; what they take out is never scored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.video_light import middle, percentile, strongest, without_light

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["at_the_edge", "came_back", "only_light", "was_held", "was_knocked"]

#: More of the change than this in the outermost cells: someone comes in or goes out.
EDGE_SHARE = 0.8
#: Where other light explains a step, less than this share of its strongest part is left; where
#: figures moved, two thirds and more were.
LIGHT_LEAVES = 0.55
#: Pictures worked on at a time.
CHUNK = 512
#: A held picture changes by less grey levels than this, and by less than this share of the steps
#: around it, which are at least so large: in a still view nothing tells a picture that is held.
HELD_LEVELS, HELD_SHARE, HELD_MOVES = 0.15, 0.15, 0.3
#: Longest hold in seconds (a longer one is a freeze), and how many usual steps a frame late makes.
HELD_S, HELD_STEPS = 0.35, 1.6
#: A recorder that is late is late again: so many other doubled frames within so many seconds.
HELD_OTHERS, HELD_NEAR_S = 3, 10.0
#: Seconds within which a flash, an insect or a damaged picture is over.
OVER_S = 0.6
#: A whole view shifted by this much (pixels of the thumbnail) was knocked…
KNOCK_PX = 0.3
#: …and stands again where it stood, to so many pixels.
BACK_PX = 0.12
#: What is left of the change, once shifted back; where figures moved, all of it is.
SHIFT_LEAVES = 0.88


def at_the_edge(share: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Steps whose change lies nearly all in the outermost cells, where people come and go."""
    return share > EDGE_SHARE


def only_light(thumbs: NDArray[np.uint8], frames: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A lamp, a gain or a beat: what changed with a frame is the light on what stood there."""
    import numpy as np

    light = np.empty(len(frames), dtype=bool)
    for low in range(0, len(frames), CHUNK):
        some = frames[low : low + CHUNK]
        one, other = thumbs[some - 1], thumbs[some]
        change = (other.astype(np.float32) - one).reshape(len(some), -1)
        whole = strongest(change - middle(change)[:, None]).astype(np.float64)
        left = strongest(without_light(one, other)).astype(np.float64)
        light[low : low + CHUNK] = left < LIGHT_LEAVES * whole
    return light


def was_held(
    change: NDArray[np.float64], doubled: NDArray[np.int64], frame: int, rate_hz: float
) -> bool:
    """The pictures right before were held, and the step is no more than what they left out.

    A camera or a link that is late shows the last picture again and then the newest: k pictures
    late, the step is that of k + 1. Compared with what moved in each interval close by, and only
    in a recording that does so again and again: of a single hold nobody knows who made it.

    Parameters
    ----------
    change
        (n,) mean absolute grey difference of each frame to the one before.
    doubled
        Frames that repeat the one before, from `video_freezes.find_doubles`.
    """
    import numpy as np

    away = np.abs(doubled - frame)
    if ((away > HELD_S * rate_hz) & (away <= HELD_NEAR_S * rate_hz)).sum() < HELD_OTHERS:
        return False
    reach = max(6, round(rate_hz))
    low = max(1, frame - reach)
    near = change[low : min(len(change), frame + reach + 1)]
    at = frame - low
    moving = near[near >= HELD_MOVES]
    if len(moving) < reach // 2:
        return False
    held = near < min(HELD_LEVELS, HELD_SHARE * float(middle(moving)))
    late = 0
    while late < at and held[at - 1 - late]:
        late += 1
    before = near[max(0, at - late - 4) : at - late]
    if not 1 <= late <= HELD_S * rate_hz or not len(before) or before.max() < HELD_MOVES:
        return False
    # Each step belongs to the intervals since the last new picture.
    shown = np.flatnonzero(~held)
    per_frame = near[shown[1:]] / np.diff(shown)
    others = per_frame[shown[1:] != at]
    return bool(near[at] / (late + 1) <= HELD_STEPS * percentile(others, 75))


def came_back(thumbs: NDArray[np.uint8], frame: int, rate_hz: float) -> bool:
    """A flash, an insect or a damaged picture: half a second later all is as it was before.

    Looked at from both ends, so that the way back is recognised like the way there.
    """
    import numpy as np

    def apart(one: int, others: range) -> float:
        inside = [n for n in others if 0 <= n < len(thumbs)]
        if not inside:
            return np.inf
        change = thumbs[inside].astype(np.float32) - thumbs[one]
        flat = change.reshape(len(inside), -1)
        flat -= middle(flat)[:, None]
        np.abs(flat, out=flat)
        flat.sort(axis=1)
        return float(flat[:, -max(4, flat.shape[1] // 40) :].mean(axis=1).min())

    reach = max(4, round(OVER_S * rate_hz))
    step = apart(frame - 1, range(frame, frame + 1))
    ahead = apart(frame - 1, range(frame + 1, frame + reach + 1))
    behind = apart(frame, range(frame - reach - 1, frame - 1))
    return min(ahead, behind) < 0.5 * step


def was_knocked(thumbs: NDArray[np.uint8], frame: int, rate_hz: float) -> bool:
    """The whole view jumped aside here and swung back within a second: somebody hit the camera.

    A view that stays where it jumped to is left to be judged: a recording that was stopped, and
    started again from a camera that had been turned, does the same.
    """
    import numpy as np

    moved, left = _shift(thumbs[frame - 1], thumbs[frame])
    if moved < KNOCK_PX or left > SHIFT_LEAVES:
        return False
    reach = max(6, round(rate_hz))
    before = thumbs[max(0, frame - reach) : max(1, frame - reach // 2)]
    after = thumbs[frame + reach // 2 : frame + reach]
    if not len(after):
        return False
    rest = middle(np.moveaxis(before, 0, -1)).astype(np.uint8)
    then = middle(np.moveaxis(after, 0, -1)).astype(np.uint8)
    return _shift(rest, then)[0] < BACK_PX


def _shift(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[float, float]:
    """How far a picture as a whole moved (pixels), and the share of the change that this leaves."""
    import numpy as np

    first, second = one.astype(np.float32), other.astype(np.float32)
    change = second - first
    change -= middle(change.ravel())
    down, across = np.gradient((first + second) / 2)
    slopes, wanted = np.stack([across.ravel(), down.ravel()], axis=1), change.ravel()
    weight: NDArray[Any] = np.ones(len(wanted), np.float32)
    move: NDArray[Any] = np.zeros(2, np.float32)
    rest: NDArray[Any] = wanted
    # Figures that walk are outliers: least squares that trusts them less each time.
    for _ in range(4):
        scaled = slopes * weight[:, None]
        move = np.linalg.solve(
            scaled.T @ scaled + 1e-3 * np.eye(2, dtype=np.float32), scaled.T @ (wanted * weight)
        )
        rest = wanted - slopes @ move
        size = 3 * (float(middle(np.abs(rest))) + 0.5)
        weight = 1 / np.sqrt(1 + (rest / size) ** 2)
    left = float(np.abs(rest).sum() / (np.abs(wanted).sum() + 1e-6))
    return float(np.hypot(*move)), left
