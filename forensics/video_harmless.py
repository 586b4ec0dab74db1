"""Steps that are not edits, told by their cause: a fresh key picture, someone going out, a knock.

Pure functions of what `video_measure` kept. Each names a cause that is seen every day and that no
ratio to the neighbouring steps tells from a cut; what they take out is never scored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.scan_order import middle, percentile
from forensics.video_light import strongest, without_light

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "at_the_edge", "came_back", "came_in", "find_left_out", "no_larger", "only_light",
    "passed_by", "was_held", "was_knocked",
]  # fmt: skip

#: More of the change than this in the outermost cells: someone comes in or goes out.
EDGE_SHARE = 0.8
#: One who comes in with a shadow: what changed more than it does around stands in cells that join
#: the edge and reach no deeper than so many (columns, rows); nearly all of it, and it is little
#: (sum over the cells, grey levels), as whoever is large at the edge may stand there over a cut.
EDGE_DEEP, EDGE_ALL, EDGE_LITTLE = (3, 2), 0.9, 10.0
#: Where other light explains a step, less than this share of its strongest part is left; where
#: figures moved, two thirds and more were.
LIGHT_LEAVES = 0.55
#: The same where a lamp lights part of the view from one column on; whoever walks upright through
#: a view fills most of a column too, and leaves half.
COLUMNS_LEAVE = 0.35
#: A lamp changes more than this share of the picture by more than so many grey levels.
LIT_SHARE, LIT_LEVELS = 0.1, 3
#: Steps on either side that one is held against, once light is taken out of all.
BESIDE = 3
#: Pictures worked on at a time.
CHUNK = 512
#: A held picture changes by less grey levels than this, and by less than this share of the steps
#: around it, which are at least so large: in a still view nothing tells a picture that is held.
HELD_LEVELS, HELD_SHARE, HELD_MOVES = 0.15, 0.15, 0.3
#: Longest hold in seconds (a longer one is a freeze), and how many usual steps a frame late makes.
HELD_S, HELD_STEPS = 0.35, 1.6
#: A recorder that is late is late again: so many other doubled frames within so many seconds.
HELD_OTHERS, HELD_NEAR_S = 3, 10.0
#: A conversion to these frames a second leaves out one picture every so many frames: 24 of 25, 25
#: of 30, 24 of 30 (50 of 60 and 48 of 60 alike).
CONVERSIONS = ((24.0, 24), (25.0, 5), (24.0, 4), (50.0, 5), (48.0, 4))
#: Where pictures are left out, the step is two steps' worth: in motion so many times the steps
#: beside it in the median (logarithm), in both halves of the recording, on one phase alone…
LEFT_OUT, LEFT_OUT_HALF, LEFT_OUT_ALONE = 0.34, 0.22, 3.0
#: …of which at least so many frames are known, and a step there no more than so many times those
#: beside it.
LEFT_OUT_FRAMES, LEFT_OUT_STEPS = 8, 2.6
#: Seconds within which a flash, an insect or a damaged picture is over.
OVER_S = 0.6
#: What is left of a step where all is as it was: an insect or a knock leaves 0.04 to 0.22 of it,
#: what walks to and fro beside an edit 0.32 and more.
PASSED = 0.3
#: A whole view shifted by this much (pixels of the thumbnail) was knocked…
KNOCK_PX = 0.3
#: …and stands again where it stood, to so many pixels.
BACK_PX = 0.12
#: What is left of the change, once shifted back; where figures moved, all of it is.
SHIFT_LEAVES = 0.88


def at_the_edge(share: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Steps whose change lies nearly all in the outermost cells, where people come and go."""
    return share > EDGE_SHARE


def came_in(cells: NDArray[np.float16], frame: int, reach: int) -> bool:
    """Somebody small came in or went out, shadow and all: no more than that is unusual here.

    Parameters
    ----------
    cells
        (n, rows, columns) change of each cell, from `video_measure`.
    frame
        The first frame after the step.
    reach
        Frames on either side that tell what is usual.
    """
    import cv2
    import numpy as np

    around = np.concatenate(
        [cells[max(1, frame - reach) : max(1, frame - 1)], cells[frame + 2 : frame + reach + 1]]
    )
    if not len(around):
        return False
    over = np.maximum(cells[frame].astype(np.float32) - around.max(axis=0), 0)
    over[over < 1] = 0
    number, labels = cv2.connectedComponents((over > 0).astype(np.uint8))
    rows, columns = over.shape
    inside = np.zeros(over.shape, dtype=bool)
    inside[EDGE_DEEP[1] : rows - EDGE_DEEP[1], EDGE_DEEP[0] : columns - EDGE_DEEP[0]] = True
    rim = np.ones(over.shape, dtype=bool)
    rim[1:-1, 1:-1] = False
    at_edge = sum(
        float(over[labels == k].sum()) for k in range(1, number)
        if rim[labels == k].any() and not inside[labels == k].any()
    )
    whole = float(over.sum())
    return 0 < whole < EDGE_LITTLE and at_edge >= EDGE_ALL * whole


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
        found = left < LIGHT_LEAVES * whole
        # A lamp changes whole columns; most steps change few pixels and need no look at them.
        wide = np.flatnonzero(~found & ((np.abs(change) > LIT_LEVELS).mean(axis=1) > LIT_SHARE))
        if len(wide):
            turned = without_light(one[wide].swapaxes(1, 2), other[wide].swapaxes(1, 2))
            found[wide] = strongest(turned).astype(np.float64) < COLUMNS_LEAVE * whole[wide]
        light[low : low + CHUNK] = found
    return light


def no_larger(thumbs: NDArray[np.uint8], frame: int) -> bool:
    """With light taken out, a step right beside this one changes more: it only looks different.

    A gain that pops while people walk, a picture coded afresh in the noise of night, an insect
    that flies through: the step stands out in the measures, yet nothing moved further than it
    moved a moment before or after. Where seconds are missing, it did.
    """
    import numpy as np

    low, high = max(1, frame - BESIDE), min(len(thumbs), frame + BESIDE + 1)
    rest = strongest(without_light(thumbs[low - 1 : high - 1], thumbs[low:high]))
    others = np.delete(rest, frame - low)
    return bool(len(others) and rest[frame - low] < others.max() + 0.5)


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
    frame
        The frame of the step in question.
    rate_hz
        Frames a second.
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


def find_left_out(
    change: NDArray[np.float64], key: NDArray[np.bool_], rate_hz: float
) -> NDArray[np.bool_]:
    """(n,) steps that a conversion of the rate explains: it leaves out pictures evenly.

    A recording of 25 pictures a second that is played at 24 lacks one in each second, always at
    the same place in it; each is a deletion of 40 ms that nobody meant. Key frames say nothing, as
    they change more at even distances too. A step larger than a left-out picture makes is not
    explained.
    """
    import numpy as np

    count = len(change)
    explained = np.zeros(count, dtype=bool)
    if count < 3:
        return explained
    level = np.log(change + 0.05)
    beside = np.zeros(count)
    beside[1:-1] = (level[:-2] + level[2:]) / 2
    inside = np.zeros(count, dtype=bool)
    inside[2:-2] = True
    moves = inside & ~key & (beside >= max(float(middle(beside)), np.log(HELD_MOVES)))
    over = level - beside
    for frames_hz, period in CONVERSIONS:
        if abs(rate_hz / frames_hz - 1) > 0.005:
            continue
        at = [np.flatnonzero(moves[phase::period]) * period + phase for phase in range(period)]
        # Phases on which key frames lie are short of frames; the rest decides.
        at = [rows for rows in at if len(rows) >= LEFT_OUT_FRAMES]
        if len(at) <= period // 2:
            continue
        usual = np.array([float(middle(over[rows])) for rows in at])
        best = int(np.argmax(usual))
        if usual[best] < max(LEFT_OUT, LEFT_OUT_ALONE * np.delete(usual, best).max()):
            continue
        rows = at[best]
        halves = [float(middle(over[half])) for half in np.array_split(rows, 2)]
        if min(halves) >= LEFT_OUT_HALF:
            phase = slice(rows[0] % period, None, period)
            explained[phase] = over[phase] < np.log(LEFT_OUT_STEPS)
    return explained


def came_back(thumbs: NDArray[np.uint8], frame: int, rate_hz: float) -> bool:
    """A flash, an insect or a damaged picture: half a second later all is as it was before.

    Looked at from both ends, so that the way back is recognised like the way there.
    """
    reach = max(4, round(OVER_S * rate_hz))
    step = _nearest(thumbs, frame - 1, range(frame, frame + 1))
    ahead = _nearest(thumbs, frame - 1, range(frame + 1, frame + reach + 1))
    behind = _nearest(thumbs, frame, range(frame - reach - 1, frame - 1))
    return min(ahead, behind) < 0.5 * step


def passed_by(thumbs: NDArray[np.uint8], frame: int, rate_hz: float) -> bool:
    """Something crossed the lens, or the camera shook: on both sides of it all is as it was.

    The step lies within the passage, so that neither of its two pictures comes back: those before
    what passes and after it do. Pictures that stand further apart than this are not compared, since
    what walks on is elsewhere by then.
    """
    half = max(4, round(OVER_S * rate_hz / 2))
    step = _nearest(thumbs, frame - 1, range(frame, frame + 1))
    early, late = range(frame - half, frame - 1), range(frame + 1, frame + half + 1)
    return any(_nearest(thumbs, one, late) < PASSED * step for one in early if one >= 0)


def _nearest(thumbs: NDArray[np.uint8], one: int, others: range) -> float:
    """The strongest change (grey levels) of one picture to that of the others most like it."""
    import numpy as np

    inside = [n for n in others if 0 <= n < len(thumbs)]
    if not inside:
        return float("inf")
    change = thumbs[inside].astype(np.float32) - thumbs[one]
    flat = change.reshape(len(inside), -1)
    flat -= middle(flat)[:, None]
    np.abs(flat, out=flat)
    flat.sort(axis=1)
    return float(flat[:, -max(4, flat.shape[1] // 40) :].mean(axis=1).min())


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
