"""Where an edit could not have been seen: the map that stands beside "nothing found".

For each moment the step is computed that a deletion there *would* leave, from the clip's own
thumbnails, and held against the steps around it. Where it would not stand out, because nothing
moves or because everything always jumps as much, looking was in vain and the map says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forensics.model import NotTestable, Span
from forensics.video_measure import largest_around, window_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.scan import Measurements

__all__ = [
    "INSIDE", "SLOW_HZ", "hypothetical_steps", "map_not_testable", "map_repeats", "map_standstills",
]  # fmt: skip

#: A step weaker than this (grey levels, strongest twentieth of the thumbnail) is lost in coding.
LEAST_STEP = 4.0
#: A step weaker than this is found about every second time: 9 of 18 deletions of 2 s made in ten
#: real views, in three encodings; 38 of 39 of those whose step is stronger and stands out.
CLEAR_STEP = 12.0
#: A step must exceed every other within a second this many times.
LEAST_RATIO = 1.3
#: Frames whose grey is this even hold no picture: black, white, or a lens cap.
EMPTY_SPREAD = 4.0
#: Pictures compared at a time.
CHUNK = 128
#: So few pictures a second foretell nothing of each other: whoever walks is elsewhere in each. The
#: views the model of steps was fitted and measured on have ten and more.
SLOW_HZ = 5.0

STILL = "nothing moves: a deletion, a copy or a freeze here leaves no trace in the pictures"
FAINT = "what moves is faint: a deletion here would be seen about every second time"
BUSY = "the picture always jumps as much as a deletion here would make it"
EMPTY = "the picture is empty: black, white or covered"
#: Of every clip: compression makes most of a fixed view stand still to the last grey level
#: (benchmarks/pictures_still.py), so that the standstill of a part of it tells nothing.
INSIDE = (
    "inside a picture: part of it replaced, frozen, copied from another time, blurred or painted "
    "over is not looked for, nor a clock that was written anew"
)
SLOW = "so few pictures a second that a deletion looks like what moves from one to the next"
STANDS = "the picture stands still: whether it was held or nothing moved cannot be told"
REPEATS = "the same motion comes again and again: a copy of it could not be told from it"


def hypothetical_steps(
    thumbs: NDArray[np.uint8], removed: int, stride: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The step a deletion of `removed` frames would leave, at every `stride`-th frame.

    Returns
    -------
    tuple of ndarray
        Frames after which the deletion would begin, and the strongest twentieth of the change.
    """
    import numpy as np

    places = np.arange(0, max(0, len(thumbs) - removed - 1), stride)
    strengths = np.empty(len(places))
    for low in range(0, len(places), CHUNK):
        rows = places[low : low + CHUNK]
        strengths[low : low + len(rows)] = _strength(thumbs[rows], thumbs[rows + removed + 1])
    return places, strengths


def _strength(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    import numpy as np

    flat = other.reshape(len(other), -1).astype(np.float32)
    flat -= one.reshape(len(one), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    np.abs(flat, out=flat)
    strongest = flat.shape[1] // 20
    flat.partition(flat.shape[1] - strongest, axis=1)
    result: NDArray[np.float64] = flat[:, -strongest:].mean(axis=1).astype(np.float64)
    return result


def map_not_testable(
    measured: Measurements, rate_hz: float, *, removed_s: float = 2.0, least_s: float = 1.0
) -> tuple[NotTestable, ...]:
    """Stretches in which a deletion of `removed_s` seconds would not stand out, and why.

    Parameters
    ----------
    measured
        From `video_measure.measure_frames`.
    rate_hz
        Frames a second.
    removed_s
        Length of the deletion imagined.
    least_s
        Shorter stretches are left out.
    """
    import numpy as np

    thumbs = measured.planes["thumbs"]
    count = len(thumbs)
    stride = max(1, round(rate_hz / 4))
    removed = max(1, min(round(removed_s * rate_hz), count // 3))
    if count < 3:
        return (NotTestable(measured.span(0, count - 1), "too short to compare anything"),)
    if rate_hz < SLOW_HZ:
        return (NotTestable(measured.span(0, count - 1), SLOW),)
    places, strengths = hypothetical_steps(thumbs, removed, stride)
    steps = np.zeros(count)
    for low in range(1, count, CHUNK):
        high = min(count, low + CHUNK)
        steps[low:high] = _strength(thumbs[low - 1 : high - 1], thumbs[low:high])
    before, after = largest_around(steps, window_frames(rate_hz))
    # After the imagined deletion the second that follows is the one beyond what was removed.
    around = np.maximum(before[places], after[np.minimum(places + removed, count - 1)])
    reasons = np.zeros(len(places), dtype=np.int8)
    reasons[strengths < LEAST_RATIO * (around + 0.5)] = 2
    reasons[(strengths < CLEAR_STEP) & (reasons == 0)] = 4
    reasons[strengths < LEAST_STEP] = 1
    reasons[measured.columns["spread"][places] < EMPTY_SPREAD] = 3
    texts = {1: STILL, 2: BUSY, 3: EMPTY, 4: FAINT}
    # What follows the last place that can be tried has the fate of that place.
    found: list[NotTestable] = []
    start = 0
    for row in range(1, len(reasons) + 1):
        if row < len(reasons) and reasons[row] == reasons[start]:
            continue
        last = count - 1 if row == len(reasons) else int(places[row])
        if reasons[start]:
            span = measured.span(int(places[start]), last)
            if span.length >= least_s:
                found.append(NotTestable(span, texts[int(reasons[start])]))
        start = row
    return tuple(found)


def map_repeats(
    measured: Measurements, stretches: Sequence[tuple[int, int]], *, least_s: float = 1.0
) -> tuple[NotTestable, ...]:
    """Stretches, as (first, last) frames, in which a copy could not be told, from `least_s` on."""
    last = len(measured) - 1
    spans = (measured.span(low, min(high, last)) for low, high in stretches)
    return tuple(NotTestable(span, REPEATS) for span in spans if span.length >= least_s)


def map_standstills(
    measured: Measurements, stretches: Sequence[tuple[int, int]], lost: Sequence[NotTestable],
    *, apart_s: float = 0.5,
) -> tuple[NotTestable, ...]:  # fmt: skip
    """Standstills, as (first, last) frames, of which it cannot be told whether they were held.

    Those less than `apart_s` seconds apart are one; what lies in a stretch already `lost`, because
    nothing moves or nothing is shown there, is not said twice.
    """
    said = [part.span for part in lost if part.reason in (STILL, EMPTY)]
    last = len(measured) - 1
    spans: list[Span] = []
    for low, high in stretches:
        span = measured.span(max(0, low - 1), min(high, last))
        if any(one.start <= span.start and span.end <= one.end for one in said):
            continue
        if spans and float(span.start - spans[-1].end) < apart_s:
            span = Span(spans.pop().start, span.end)
        spans.append(span)
    return tuple(NotTestable(span, STANDS) for span in spans)
