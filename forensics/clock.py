"""The burned-in clock: find it, read it, check that it runs evenly with the clip.

The figures are learned from the clip itself, place by place: a text recogniser, where one is
installed, says which second some frames show, or else the last figure of the seconds does, which
shows all ten of them in order every ten seconds. The likeliest course of the clock over all frames
is then found; the recogniser is never trusted alone while the clip can teach. Clip
times are presentation times; a positive step means the clock is ahead of the clip afterwards.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from forensics.clock_find import ReaderName
from forensics.clock_gather import (
    Followed,
    clock_coverage,
    clock_stratum,
    crop_proofs,
    follow_clock,
    frame_at,
    rate_quantity,
    shown_date,
    text_at,
    wall_text,
)
from forensics.clock_said import break_observation, reading_note
from forensics.clock_walk import Break
from forensics.errors import RecordInvalid
from forensics.model import (
    Box,
    Clip,
    ClockReading,
    Coverage,
    Examination,
    Moment,
    Observation,
    Progress,
    Quantity,
    Span,
)
from forensics.provenance import conclude, method
from forensics.scan import video_stream

__all__ = ["anchor", "find_clock_breaks", "read_clock"]


@method(
    "clock-read", version="7",
    references=("SWGDE 23-V-001 (best practices for digital video authentication)",),
)  # fmt: skip
def read_clock(
    clip: Clip, *, box: Box | None = None, reader: ReaderName = "auto",
    progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Read the burned-in clock: first, last, and both sides of every place where it breaks.

    Parameters
    ----------
    clip
        An opened clip.
    box
        Where the clock stands, in displayed pixels, with a little room around it; None looks for
        it: by its text, or, failing that, by what changes once a second.
    reader
        Text recogniser: "rapidocr" (extra `ocr`), "tesseract", "auto" (the best installed) or
        "none" (only the figures the clip itself teaches; no date then).
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `ClockReading` findings in order of time, each with the crop of that very frame as proof;
        measures: `rate` (clock s per clip s), `offset` (clock minus clip, s of the day), `jitter`.

    Raises
    ------
    SignalTooShort, StreamMissing
        Become *not applicable*: under 3 s of pictures, or none.
    ExtraMissing, ToolMissing
        The reader named is not installed.

    When it errs
    ------------
    It calls it wrongly when other text of the form of a time stands in the picture and runs, such
    as a scoreboard that counts up, and, without a recogniser, one that counts down: hours and
    minutes may then be wrong (misinterpretation); when day and month can be exchanged, the day is
    taken first and the note says so; a clock of twelve hours without AM or PM is taken as the
    afternoon's once it has passed one. It misses clocks without seconds or with fractions of them
    (the latter are read with a recogniser), clocks with figures under about 7 px, figures as light
    as their ground where no recogniser is installed, minutes that stand on ground of their own
    colour, a line of which only a part moves sideways as its figures change, small figures over a
    moving crowd of edges, and a clock that appears after the learning stretch in another place
    (incompleteness). It says nothing about whether the clock was right, nor about its time zone.
    """
    one = follow_clock(clip, _floating(box), reader, progress)
    if isinstance(one, str):
        return conclude(
            (), coverage=Coverage(_video_span(clip), 0, "frames"),
            reason=f"{one} (reader: {reader})",
        )
    if not one.read:
        return conclude(
            (), coverage=clock_coverage(one), stratum=clock_stratum(one),
            reason="a figure changes once a second, but the clock could not be read: nothing is "
            f"guessed; its beat is examined by find_clock_breaks{_hearsay(one)}",
        )  # fmt: skip
    if not one.sure.any():
        return conclude(
            (), coverage=clock_coverage(one), stratum=clock_stratum(one),
            measures={"read_surely": _surely(one)},
            reason=f"a clock was followed over {len(one.wall)} seconds, but not one could be read "
            f"surely: no reading is given{_hearsay(one)}",
        )  # fmt: skip
    rate = rate_quantity(one)
    surely = one.sure.nonzero()[0]
    # Readings are given only where they are sure: the nearest such second on either side.
    picks = [int(surely[0]), int(surely[-1])]
    for item in one.breaks:
        picks += [int(k) for k in surely[surely <= _before(one, item)][-1:]]
        picks += [int(k) for k in surely[surely >= _after(one, item)][:1]]
    observations = []
    _, _, unsure = shown_date(one)
    for index in sorted(set(picks)):
        ordinal = frame_at(one, float(one.edges[index]))
        pts = one.frames.time(ordinal)
        following = float(one.edges[index + 1]) if index + 1 < len(one.edges) else None
        last = (
            frame_at(one, following) - 1 if following is not None else len(one.frames) - 1
        )
        said = ClockReading(
            ordinal=ordinal, pts=pts, text=text_at(one, index), wall=wall_text(one, index),
            box=one.box, rate=rate,
        )  # fmt: skip
        observations.append(
            Observation(
                said, Span(pts, max(pts, one.frames.time(max(ordinal, last)))),
                round(float(one.clear[index]), 4),
                artefacts=tuple(crop_proofs(clip, one, [ordinal], "clock")),
                note=reading_note(one.found_by, one.reader, unsure, one.twelve),
                stratum=clock_stratum(one),
            )
        )
    return conclude(
        observations, coverage=clock_coverage(one), stratum=clock_stratum(one),
        measures=_measures(one, rate),
        reason=f"{len(one.wall)} seconds read, {round(100 * one.sure_share)} % of them surely, "
        f"{len(one.breaks)} breaks; "
        + reading_note(one.found_by, one.reader, unsure, one.twelve),
    )  # fmt: skip


def _hearsay(one: Followed) -> str:
    """What a recogniser read where nothing bears it out, for the examiner to look at the crop."""
    if not one.texts:
        return ""
    order = sorted(one.texts)
    first, last = one.texts[order[0]], one.texts[order[-1]]
    lasted = float(one.times[-1] - one.times[0])
    if len(one.wall) <= 2 and lasted > 3 and first.seconds == last.seconds:
        return (f"; {one.reader} read {first.text!r} from first to last, over {lasted:.0f} s: a "
                "clock that stands still, or a caption")  # fmt: skip
    falls = ": what stands there counts down" if _falls(one) else ""
    return (f"; {one.reader} read {first.text!r} first and {last.text!r} last, which nothing else "
            f"bears out{falls}")  # fmt: skip


def _falls(one: Followed) -> bool:
    """Whether a recogniser reads one second less with each second that passes."""
    import numpy as np

    order = np.array(sorted(one.texts))
    if len(order) < 5:
        return False
    said = np.array([one.texts[int(i)].seconds or 0 for i in order])
    slopes = np.diff(said) / np.maximum(np.diff(one.edges[order]), 1e-3)
    return bool(np.mean(np.abs(slopes + 1) < 0.35) > 0.6)


def _floating(box: Box | None) -> Box | None:
    # A box given in whole numbers would be written 9 and read back 9.0.
    if box is None:
        return None
    return Box(float(box.x), float(box.y), float(box.width), float(box.height))


def _video_span(clip: Clip) -> Span:
    """The declared span of the picture stream."""
    stream = video_stream(clip)
    start = stream.start or Fraction(0)
    return Span(start, start + (stream.duration or clip.duration or Fraction(0)))


def _before(one: Followed, item: Break) -> int:
    return _index_at(one, item.before_s)


def _after(one: Followed, item: Break) -> int:
    return _index_at(one, item.after_s)


def _index_at(one: Followed, time_s: float) -> int:
    import numpy as np

    return int(np.clip(np.searchsorted(one.edges, time_s + 1e-6) - 1, 0, len(one.edges) - 1))


def _offset(one: Followed, rate: Quantity | None) -> Quantity:
    """Clock minus clip at the start, from the first even stretch of seconds read surely."""
    import numpy as np

    surely = one.sure.nonzero()[0]
    first = float(one.edges[surely[0]]) if len(surely) else 0.0
    cut = min((b.before_s for b in one.breaks if b.before_s > first), default=math.inf)
    # The first second began before the clip; what was not read surely may be another clock's.
    inner = [int(i) for i in surely if i >= 1 and one.edges[i] <= cut]
    index = inner or [int(i) for i in surely[:1]] or [0]
    values = one.wall[index] - one.edges[index] * one.rate
    # A beat is seen at the first frame after it: on average half an interval late.
    middle = float(np.median(values)) + one.frame_s / 2
    half = one.frame_s / 2 + 2 * one.jitter_s if inner else 0.5 + one.frame_s
    if rate is not None and rate.high is not None:
        # How fast it runs is known only so well, and the stretch lies some way into the clip.
        # A rate that is off by more than a hundredth would have shown itself.
        half += min(0.01, rate.high - rate.value) * max(0.0, float(np.median(one.edges[index])))
    return Quantity(middle, "s", middle - half, middle + half)


def _surely(one: Followed) -> Quantity:
    return Quantity.exact(
        round(one.sure_share, 4), "share", "of the seconds followed; the others are not testable"
    )


def _measures(one: Followed, rate: Quantity | None) -> dict[str, Quantity]:
    measures = {
        "offset": _offset(one, rate),
        "jitter": Quantity(one.jitter_s, "s", note="standard deviation of the beat about its even "
                           "course: a spread, not an estimate"),
        "seconds_read": Quantity.exact(len(one.wall), "count"),
        "read_surely": _surely(one),
    }  # fmt: skip
    if rate is not None:
        measures["rate"] = rate
    if one.read and not one.alone and one.texts:
        agreed = sum(said.seconds == int(one.wall[i]) % 86_400 for i, said in one.texts.items())
        measures["confirmed"] = Quantity.exact(
            agreed, "count", f"of {len(one.texts)} seconds read a second time by {one.reader}"
        )
    return measures


@method(
    "clock-breaks", version="7",
    references=("SWGDE 23-V-001 (best practices for digital video authentication)",),
)  # fmt: skip
def find_clock_breaks(
    clip: Clip, *, box: Box | None = None, reader: ReaderName = "auto",
    progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Find where the burned-in clock does not run with the clip: jumps, stops, missing seconds.

    Parameters
    ----------
    clip, box, reader, progress
        As for `read_clock`.

    Returns
    -------
    Examination
        `Discontinuity` findings of level "clock": `clock-missing-seconds` (the clock moves on by
        more than the clip, up to ten minutes), `clock-jump` (back, or further), `clock-frozen`
        (one second is shown for longer), `clock-rate` (it runs evenly, but not one second a
        second). The span holds the break: from the last frame sure to be before it to the first
        one sure to be after it, which is one frame apart where the figures leave no doubt; the
        measure `place` has the likeliest time in it.

    Raises
    ------
    SignalTooShort, StreamMissing
        Become *not applicable*: under 3 s of pictures, or none.
    ExtraMissing, ToolMissing
        The reader named is not installed.

    When it errs
    ------------
    It calls it wrongly when a clock is set or corrected while recording, when a recorder pauses
    without motion, or when frames were lost and stamps were not (misinterpretation): these are
    listed with each finding. It misses cuts that are shorter than about two frames, and breaks
    within four seconds of another or of an end of the clip (two where every figure is plain and a
    recogniser reads the same), or where the figures of either side cannot be told apart: these
    stretches are *not testable* (incompleteness). It says nothing where no clock can be followed,
    or read surely, which is *not applicable*, not *nothing found*.
    """
    one = follow_clock(clip, _floating(box), reader, progress)
    if isinstance(one, str):
        return conclude(
            (), coverage=Coverage(None), outcome="not-applicable",
            reason=f"{one} (reader: {reader})",
        )
    if not one.sure.any():
        return conclude(
            (), coverage=clock_coverage(one), stratum=clock_stratum(one), outcome="not-applicable",
            measures={"read_surely": _surely(one)},
            reason=f"{len(one.wall)} seconds were followed, but the figures could not be read "
            f"surely anywhere: a break seen in them would be worth nothing{_hearsay(one)}",
        )  # fmt: skip
    rate = rate_quantity(one)
    if not one.read and _falls(one):
        return conclude(
            (), coverage=clock_coverage(one), stratum=clock_stratum(one), outcome="not-applicable",
            reason="what stands there counts down: it is no clock",
        )
    observations = []
    # Without a recogniser nobody has seen that it is a clock at all: it may count goals, or down.
    witnessed = one.read and any(
        text.seconds == int(one.wall[i]) % 86_400 for i, text in one.texts.items()
    )
    for item in one.breaks:
        last, first = frame_at(one, item.before_s), frame_at(one, item.after_s)
        crops = crop_proofs(clip, one, sorted({last, first}), "clock")
        shown = text_at(one, _before(one, item)), text_at(one, _after(one, item))
        observations.append(
            break_observation(
                item, one.frames.span(last, max(last, first)), one.frame_s, one.read,
                tuple(crops), clock_stratum(one), shown if one.read else ("", ""),
                witnessed=witnessed,
            )
        )
    if rate is not None and rate.low is not None and rate.high is not None and (
        (rate.low > 1.003 or rate.high < 0.997) and one.sure.sum() >= 10 and one.sure_share >= 0.8
    ):
        seen = one.frames.coverage().span
        assert seen is not None
        item = Break("rate", float(seen.start), float(seen.end), 0.0, 0.0, one.jitter_s, 0)
        observations.append(
            break_observation(
                item, seen, one.frame_s, one.read, (), clock_stratum(one), ("", ""), rate
            )
        )
    return conclude(
        observations, coverage=clock_coverage(one), stratum=clock_stratum(one),
        measures=_measures(one, rate),
        reason=f"{len(one.wall)} seconds followed, {round(100 * one.sure_share)} % read surely"
        + ("" if one.read else "; the figures were not read: steps are known but for tens"),
    )  # fmt: skip


def anchor(
    examination: Examination, *, utc_offset_h: float | None = None, day: str | None = None
) -> Moment:
    """The wall time at clip time 0, by the clock as it runs where it is first read surely.

    Parameters
    ----------
    examination
        What `read_clock` returned.
    utc_offset_h
        Hours by which the clock's zone is ahead of UTC; None takes it as UTC and says so in the
        source: a burned-in clock never tells its zone.
    day
        ISO date, where the clock shows none or the examiner knows better.

    Returns
    -------
    Moment
        Its uncertainty is that of the reading (half a frame, the beat's jitter, the rate over the
        time to the seconds read), not that of the clock's own setting, which nobody knows. Where
        the clip begins with seconds that were not read surely, the source says from when on it
        holds: what the clock showed before is not known.

    Raises
    ------
    RecordInvalid
        Nothing was read, or no date is known.

    When it errs
    ------------
    It calls it wrongly when the clock was set wrong, stood in another zone than stated, or jumped
    before the first reading (inaccuracy, association). It says nothing about the clock's own error.
    """
    readings = [o.what for o in examination.observations if isinstance(o.what, ClockReading)]
    offset = examination.measures.get("offset")
    if not readings or offset is None or offset.high is None:
        raise RecordInvalid("no clock was read, so nothing can be anchored to it")
    first = readings[0]
    stamp = day or (first.wall.split("T")[0] if "T" in first.wall else None)
    if stamp is None:
        raise RecordInvalid(
            "the clock shows no date", hint="give the day the examiner knows: day='2021-10-14'"
        )
    shown = first.wall.split("T")[-1]
    second = sum(int(v) * f for v, f in zip(shown.split(":"), (3600, 60, 1), strict=True))
    # The offset is in seconds of the day on which the walk began: the first reading's.
    rate = first.rate.value if first.rate is not None else 1.0
    start = offset.value
    if abs(start - second) >= 43_200:
        start = second - float(first.pts) * rate
    base = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    zone = utc_offset_h or 0.0
    note = "taken as UTC" if utc_offset_h is None else f"taken as UTC{zone:+g} h"
    seen = examination.coverage.span
    if seen is not None and first.pts - seen.start > 2:
        note += (f", as it runs from {float(first.pts):.1f} s of the clip on, where it is first "
                 "read surely")  # fmt: skip
    return Moment(
        base + timedelta(seconds=start - zone * 3600), float(offset.high - offset.value),
        f"burned-in clock, {note}; the clock's own error is not known",
    )  # fmt: skip
