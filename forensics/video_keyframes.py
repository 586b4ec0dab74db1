"""The frames an investigator would pick: sharp, distinct, covering shots, newcomers and events."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from forensics.model import Clip, Examination, Keyframe, Observation, Progress, Quantity, Span
from forensics.provenance import conclude, keep, method
from forensics.scan import Measurements, Picture, one_thread, read_pictures, scan
from forensics.scan_order import middle
from forensics.video_cuts import find_shots
from forensics.video_measure import FrameRows, frame_rate_hz, measure_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Pick", "find_keyframes", "pick_frames"]

Reason: TypeAlias = Literal["shot", "newcomer", "event", "interval", "sharpest"]

#: A frame is new when this much of the thumbnail (grey levels, strongest tenth) differs from
#: every frame picked before it in the same shot.
NEW_LEVELS = 16.0
#: Seconds from a picked frame within which something must be newer still to be picked.
APART_S = 2.0
#: A sudden event changes the light of the thumbnail by so much, or its strongest tenth.
EVENT_LEVELS, EVENT_PART = 3.0, 8.0
#: A thumbnail that spreads less (standard deviation, grey levels) shows next to nothing: what a
#: limited choice can do without first.
BLANK_LEVELS = 4.0


@dataclass(frozen=True)
class Pick:
    """A chosen row of the measurements, why, and how much it shows that no other does (0 to 1).

    `visit` numbers the stretch in which the view was not empty, if it ever is; -1 where it is.
    """

    row: int
    reason: Reason
    worth: float
    visit: int = -1


def _distance(one: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How different thumbnails are where they differ most: mean of the strongest tenth."""
    import numpy as np

    change = others.astype(np.float32) - one.astype(np.float32)
    change -= np.median(change, axis=(1, 2), keepdims=True)
    flat = np.abs(change).reshape(len(change), -1)
    tenth = max(1, flat.shape[1] // 10)
    part = np.partition(flat, flat.shape[1] - tenth, axis=1)[:, -tenth:]
    result: NDArray[np.float32] = part.mean(axis=1)
    return result


def _visits(thumbs: NDArray[np.uint8], rows: NDArray[np.int64], first: int
            ) -> NDArray[np.int64]:  # fmt: skip
    """Of each row the number, from `first` on, of the stretch in which something stands before the
    empty view; -1 where nothing does. A view that is never empty, or moves, is one stretch.
    """
    import numpy as np

    few = rows[:: max(1, len(rows) // 96)]
    there = _distance(middle(np.moveaxis(thumbs[few], 0, -1)), thumbs[rows]) >= NEW_LEVELS
    number = np.cumsum(np.diff(there.astype(int), prepend=0) == 1) - 1 + first
    result: NDArray[np.int64] = np.where(there, number, -1)
    return result


def _tells(thumbs: NDArray[np.uint8], at: int, reach: int) -> bool:
    """Whether a sudden event shows: in part of the picture, or as a change of light; what a coder
    does at its own key frames does not.
    """
    import numpy as np

    before = thumbs[max(0, at - reach) : at]
    light = np.abs(before.mean(axis=(1, 2)) - thumbs[at].mean()).max(initial=0.0)
    return bool(light >= EVENT_LEVELS or _distance(thumbs[at], before).max(initial=0) >= EVENT_PART)


def _sharpest(
    rows: NDArray[np.int64], sharpness: NDArray[np.float64], still: NDArray[Any]
) -> int:  # fmt: skip
    """The sharpest of some rows, what moves least preferred among equals."""
    import numpy as np

    return int(rows[np.argmax(sharpness[rows] / (1 + 0.15 * still[rows]))])


def pick_frames(
    thumbs: NDArray[np.uint8], sharpness: NDArray[np.float64], diff: NDArray[np.float64],
    bounds: list[int], rate_hz: float, between: NDArray[np.bool_] | None = None,
) -> list[Pick]:  # fmt: skip
    """Choose rows: one a shot, one for everything new in it, one for every sudden event.

    Parameters
    ----------
    thumbs, sharpness, diff
        Of each row; see `video_measure.FrameRows`.
    bounds
        First row of each shot but the first.
    rate_hz
        Rows a second.
    between
        Rows inside a fade or dissolve: blends of two shots, picked only where there is nothing
        else.

    Returns
    -------
    list of Pick
        In order of time.
    """
    import numpy as np

    reach = max(1, round(rate_hz * 0.5))
    count = len(thumbs)
    blend = np.zeros(count, bool) if between is None else between
    picks: list[Pick] = []
    for start, end in zip([0, *bounds], [*bounds, count], strict=True):
        margin = min(2, max(0, (end - start - 1) // 2))
        whole = np.arange(start + margin, max(start + margin + 1, end - margin))
        clean = whole[~blend[whole]] if not blend[whole].all() else whole
        # Nearer the beginning: the first look at a shot is what an examiner expects.
        first = _sharpest(clean[clean < clean[0] + 4 * reach], sharpness, diff)
        blank = float(thumbs[first].std()) < BLANK_LEVELS
        picks.append(Pick(first, "shot", 0.05 if blank else 1.0))
        # Farthest-point choice: always the frame least like everything chosen so far. Every
        # fourth of a second is tried, so a newcomer of half a second cannot slip through.
        rows = clean[:: max(1, reach // 2)]
        nearest = _distance(thumbs[first], thumbs[rows])
        away = np.abs(rows - first)
        visits = _visits(thumbs, rows, 1 + max((p.visit for p in picks), default=-1))
        for _ in range(min(40, len(rows))):
            # Right beside a frame already picked, only something very different is news.
            news = nearest * np.clip(away / (APART_S * rate_hz), 0.14, 1.0) ** 2
            best = int(np.argmax(news))
            if news[best] < NEW_LEVELS:
                break
            worth = float(min(1.0, nearest[best] / 80))
            at = int(rows[best])
            chosen = _sharpest(clean[np.abs(clean - at) <= reach // 2], sharpness, diff)
            # What makes the frame new must still be in the sharper one beside it.
            if _distance(thumbs[chosen], thumbs[at : at + 1])[0] > NEW_LEVELS:
                chosen = at
            picks.append(Pick(chosen, "newcomer", worth, int(visits[best])))
            nearest = np.minimum(nearest, _distance(thumbs[chosen], thumbs[rows]))
            away = np.minimum(away, np.abs(rows - chosen))
            nearest[best] = 0
    usual = float(np.median(diff[diff > 0])) if (diff > 0).any() else 0.0
    spread = float(np.median(np.abs(diff - usual))) + 0.05
    for row in np.flatnonzero((diff > usual + 12 * spread) & ~blend):
        at = int(row)
        before, after = diff[max(0, at - reach) : at], diff[at + 1 : at + 1 + reach]
        peak = diff[at] >= max(before.max(initial=0), after.max(initial=0))
        near = any(abs(p.row - at) <= reach for p in picks)
        if peak and not near and at not in bounds and _tells(thumbs, at, reach):
            picks.append(Pick(at, "event", min(1.0, float(diff[at] / 20))))
    unique = {p.row: p for p in sorted(picks, key=lambda p: p.worth)}
    return sorted(unique.values(), key=lambda p: p.row)


def _limit(picks: list[Pick], most: int, count: int) -> list[Pick]:
    """Shots first, then whoever comes into an empty view, then the worthiest, all spread over the
    clip; the sheet is in order of time.

    Ten looks at one minute are worth less than one at each: what lies nearer to a frame already
    chosen than an even spread of `most` frames over `count` rows counts for less.
    """
    apart = max(1.0, count / most)
    chosen: list[Pick] = []
    left = list(picks)
    while left and len(chosen) < most:
        def value(pick: Pick) -> tuple[bool, bool, float, int]:
            gap = min((abs(pick.row - other.row) for other in chosen), default=count)
            shows = pick.reason == "shot" and pick.worth > 0.05
            new = pick.visit >= 0 and all(pick.visit != other.visit for other in chosen)
            return (shows, new, pick.worth * min(1.0, 0.2 + gap / apart), -pick.row)

        best = max(left, key=value)
        left.remove(best)
        chosen.append(best)
    return sorted(chosen, key=lambda pick: pick.row)


def _every(seconds: NDArray[np.float64], sharpness: NDArray[np.float64], every_s: float
           ) -> list[Pick]:  # fmt: skip
    """One row for each `every_s` seconds: the first at or after each mark."""
    import numpy as np

    # By frames, not by marks: one wild stamp makes more marks than memory holds.
    _, rows = np.unique(np.floor((seconds - seconds[0] + 1e-9) / every_s), return_index=True)
    return [Pick(int(row), "interval", 0.5) for row in rows]


def _jpeg(picture: Picture, width_px: int | None) -> bytes:
    import io

    from PIL import Image

    image = Image.fromarray(picture.rgb)
    if width_px is not None and image.width > width_px:
        size = (width_px, max(1, round(image.height * width_px / image.width)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


@method("video-keyframes", version="3")
def find_keyframes(
    clip: Clip, *, max_count: int | None = None, every_s: float | None = None,
    key_frames_only: bool = False, width_px: int | None = None, progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Pick the frames worth looking at: sharp, distinct, covering every shot, newcomer and event.

    Of each shot the sharpest early frame; then, as long as something in the shot is unlike all
    frames picked so far, the frame that is least like them; then frames of sudden events. Blends
    (inside fades and dissolves) are left out, and a shot that shows next to nothing (a black one)
    is the first to go where the number is limited. Each is
    identified by ordinal, exact time, byte position and the hash of its decoded pixels, so that
    another expert lands on the same picture.

    Parameters
    ----------
    clip
        An opened clip.
    max_count
        At most so many: shots first, then by how much they show that no other does, spread over
        the clip.
    every_s
        One frame at least every so many seconds instead of a choice by content.
    key_frames_only
        Decode the stream's own key frames alone: a quick contact sheet (a tenth of the work where
        key frames are rare); newcomers between them are missed.
    width_px
        Scale the pictures kept beside the record down to this width; the hash is of the frame.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Keyframe` observations, each with its picture (JPEG) as an artefact. The score is how much
        the frame shows that no other does.

    Raises
    ------
    ValueError
        `every_s` or `max_count` is not positive.
    ClipUnreadable, ClipRefused, ClipChanged
        Recorded as *failed*. A clip without pictures is *not applicable*.

    When it errs
    ------------
    Picks what is no news when light changes part of the view; misses what is smaller than about
    a fortieth of the picture's width, what looks like its background, and newcomers that stay for
    less than a quarter of a second (ASTM E3016: incompleteness). A choice is not a summary: what
    was not picked was still recorded. Says nothing about what the pictures show.
    """
    if every_s is not None and every_s <= 0:
        raise ValueError("every_s must be positive")
    if max_count is not None and max_count < 1:
        raise ValueError("max_count must be positive")
    if key_frames_only:
        rate = float(clip.video.frame_rate or 25) if clip.video else 25.0
        with one_thread():
            measured = scan(clip, [FrameRows(rate, look=False)], keys_only=True, progress=progress)
        ordinals = measured.columns["ordinal"].astype(int).tolist()
    else:
        measured = measure_frames(clip, progress=progress)
        ordinals = list(range(len(measured)))
    picks = _choose(measured, every_s)
    if max_count is not None:
        picks = _limit(picks, max_count, len(measured))
    wanted = [(int(ordinals[p.row]), int(measured.pts[p.row])) for p in picks]
    pictures = read_pictures(clip, wanted, packets=measured.packets, progress=progress)
    seen = [
        _observe(clip, pick, picture, measured, width_px)
        for pick, picture in zip(picks, pictures, strict=True)
    ]
    return conclude(
        seen, coverage=measured.coverage(),
        reason="key frames alone were decoded" if key_frames_only else "",
        measures={"picked": Quantity.exact(len(seen), "frames")},
    )  # fmt: skip


def _choose(measured: Measurements, every_s: float | None) -> list[Pick]:
    import numpy as np

    seconds = measured.seconds
    columns, thumbs = measured.columns, measured.planes["thumbs"]
    if every_s is not None:
        return _every(seconds, columns["sharpness"], every_s)
    rate = frame_rate_hz(seconds, measured.stream.frame_rate)
    shots = find_shots(thumbs, columns["level"], columns["chroma"], rate)
    bounds = sorted({b.first for b in shots if 0 < b.first < len(thumbs)})
    between = np.zeros(len(thumbs), bool)
    for one in shots:
        if one.kind != "cut":
            between[max(0, one.start) : one.end + 1] = True
    return pick_frames(thumbs, columns["sharpness"], columns["diff"], bounds, rate, between)


def _observe(
    clip: Clip, pick: Pick, picture: Picture, measured: Measurements, width_px: int | None
) -> Observation:
    sharpness = Quantity(
        round(float(measured.columns["sharpness"][pick.row]), 3), "grey levels squared",
        note="variance of the Laplacian at 160 pixels; compares frames of one clip only",
    )  # fmt: skip
    position = picture.byte_position
    if position is None:
        position = measured.position(pick.row)
    said = Keyframe(
        ordinal=picture.ordinal, pts=picture.pts, pixel_hash=picture.pixel_hash,
        reason=pick.reason, sharpness=sharpness, byte_position=position,
    )  # fmt: skip
    step = measured.stream.time_base
    after = pick.row + 1 < len(measured)
    end = measured.time(pick.row + 1) if after else picture.pts + Fraction(step)
    shown = keep(
        _jpeg(picture, width_px), media_type="image/jpeg",
        label=f"frame {picture.ordinal} at {float(picture.pts):.3f} s",
    )  # fmt: skip
    return Observation(
        said, Span(picture.pts, max(end, picture.pts)), round(pick.worth, 4), artefacts=(shown,)
    )


