"""Put clips without usable sound on the incident clock, and keep edited clips from lying.

A silent clip is placed by the flashes it shares with placed clips. A clip from which a stretch was
removed has two offsets, one on each side of the break: what lies beyond the break is moved by the
removed length where that is known, and taken off the incident clock where it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from forensics.audio_silent import pair_by_flash
from forensics.model import (
    Alignment,
    Clip,
    Discontinuity,
    Examination,
    Flash,
    Interval,
    PairEvidence,
    Placement,
    Quantity,
    Span,
    Value,
)

__all__ = ["Break", "breaks_of", "on_clock", "place_silent"]

_STRONG = 0.8
_TOGETHER_S = 0.06


class Break(Value, frozen=True):
    """A place in a clip where the recording does not go on; `removed` seconds, if known."""

    time_s: float
    removed: Quantity | None


def breaks_of(examinations: Iterable[Examination], clip: str) -> tuple[Break, ...]:
    """Where a clip was found inconsistent with an original and time may be missing."""
    found = []
    for exam in examinations:
        if exam.origin.method != "edits" or exam.origin.inputs != (clip,):
            continue
        for seen in exam.observations:
            what = seen.what
            if not isinstance(what, Discontinuity) or what.verdict != "inconsistent":
                continue
            if seen.span is not None and seen.span.length < 2:
                found.append(Break(float(seen.span.end), what.removed))
    return tuple(sorted(found, key=lambda b: b.time_s))


def _flashes(examinations: Iterable[Examination], clip: str) -> list[float]:
    times = sorted(
        float(what.time)
        for exam in examinations
        if exam.origin.method == "sound-events" and exam.origin.inputs == (clip,)
        for seen in exam.observations
        if isinstance(what := seen.what, Flash) and seen.score >= _STRONG
    )
    return _merged(times)


def _merged(times: Sequence[float]) -> list[float]:
    kept: list[float] = []
    for time in sorted(times):
        if not kept or time - kept[-1] > _TOGETHER_S:
            kept.append(time)
    return kept


def place_silent(
    alignment: Alignment, opened: Mapping[str, Clip], examinations: Sequence[Examination]
) -> Alignment:
    """Place clips that have no usable sound by flashes shared with placed clips.

    Parameters
    ----------
    alignment
        The clips placed by sound.
    opened
        The clips by the examiner's names.
    examinations
        What was found in each; flashes and discontinuities are used.

    Returns
    -------
    Alignment
        With further placements, basis ``flash``, each with its pair as evidence; the measure
        ``anchor`` of that pair is the clip time (s) the placement holds at.

    When it errs
    ------------
    As `audio_silent.pair_by_flash`: evenly blinking lamps (rivals show them), and lights that one
    camera alone can see. Fewer than two shared flashes place nothing.
    """
    clips = {clip.digest: clip for clip in opened.values()}
    shown = {
        place: _flashes(examinations, place.clip)
        for place in alignment.placements
        if place.component == 0 and place.clip in clips
    }
    shown = {place: times for place, times in shown.items() if len(times) >= 2}
    added: list[Placement] = []
    pairs: list[PairEvidence] = []
    left = []
    for missing in alignment.unplaced:
        clip = clips.get(missing.clip)
        tried: list[tuple[PairEvidence, Placement]] = []
        if clip is not None and missing.outcome == "not-applicable":
            tried = [
                (_by_flash(p, t, float(clips[p.clip].duration or 0), clip, examinations), p)
                for p, t in shown.items()
            ]
            pairs.extend(pair for pair, _ in tried)
        usable = [row for row in tried if row[0].accepted and row[0].offset is not None]
        if not usable:
            notes = "; ".join(dict.fromkeys(f"by flashes: {pair.note}" for pair, _ in tried))
            reason = f"{missing.reason}; {notes}" if notes else missing.reason
            left.append(msgspec.structs.replace(missing, reason=reason))
            continue
        pair, place = min(usable, key=_weakness)
        drift = Quantity(0.0, "ppm", note="not measurable from so few flashes; taken as none")
        offset = _sum(place.offset, pair.offset)
        added.append(Placement(missing.clip, offset, drift, "flash", (place.clip,), 0))
    if not added and not pairs:
        return alignment
    components = alignment.components
    if added and components:
        first = (*components[0], *(place.clip for place in added))
        components = (first, *components[1:])
    return msgspec.structs.replace(
        alignment, placements=(*alignment.placements, *added), unplaced=tuple(left),
        pairs=(*alignment.pairs, *pairs), components=components,
    )  # fmt: skip


def _weakness(row: tuple[PairEvidence, Placement]) -> tuple[float, float]:
    pair, place = row
    joined = pair.false_join.value if pair.false_join is not None else 1.0
    low, high = place.offset.low, place.offset.high
    return (0.0 if low is None or high is None else high - low), joined


def _sum(one: Quantity, other: Quantity | None) -> Quantity:
    assert other is not None and other.low is not None and other.high is not None
    low = other.low - other.value + (one.low - one.value if one.low is not None else 0.0)
    high = other.high - other.value + (one.high - one.value if one.high is not None else 0.0)
    value = one.value + other.value
    return Quantity(value, "s", value + low, value + high)


def _by_flash(
    place: Placement, known: list[float], seen_s: float, clip: Clip,
    examinations: Sequence[Examination],
) -> PairEvidence:  # fmt: skip
    times = _flashes(examinations, clip.digest)
    length = float(clip.duration or 0)
    edges = [0.0, *(b.time_s for b in breaks_of(examinations, clip.digest)), length]
    # Only one side of a break can be placed: the side that shows more.
    stretches = [(low, high) for low, high in pairwise(edges) if high > low] or [(0.0, length)]
    low, high = max(stretches, key=lambda s: sum(s[0] <= t <= s[1] for t in times))
    inside = [t for t in times if low <= t <= high]
    rate = clip.video.frame_rate if clip.video is not None else None
    return pair_by_flash(
        known, inside, first=place.clip, second=clip.digest,
        frame_s=float(1 / rate) if rate else 0.04, span_a=(0.0, seen_s),
        span_b=(low, high),
    )  # fmt: skip


def on_clock(
    alignment: Alignment, clip: str, span: Span, breaks: Sequence[Break]
) -> Interval | None:
    """A span of a clip's clock on the incident clock, across removed stretches.

    Returns None where the clip is not placed, or where a break of unknown length lies between the
    span and the moment the placement rests on, or may lie there because that is not known.
    """
    plain = alignment.on_incident_clock(clip, span)
    if plain is None or not breaks:
        return plain
    anchor = _anchor(alignment, clip)
    if anchor is None:
        # On which side of a break the placement holds is not known: either may be off by all of it.
        known = [b.removed for b in breaks if b.removed is not None]
        if len(known) < len(breaks):
            return None
        wide = sum(r.value if r.high is None else r.high for r in known)
        return Interval(plain.start, plain.end, plain.uncertainty + wide)
    shift, spread = 0.0, 0.0
    middle = float(span.start + span.end) / 2
    for gap in breaks:
        if (middle < gap.time_s) == (anchor < gap.time_s):
            continue
        if gap.removed is None or gap.removed.low is None or gap.removed.high is None:
            return None
        shift += gap.removed.value if anchor < gap.time_s else -gap.removed.value
        spread += (gap.removed.high - gap.removed.low) / 2
    return Interval(plain.start + shift, plain.end + shift, plain.uncertainty + spread)


def _anchor(alignment: Alignment, clip: str) -> float | None:
    for pair in alignment.pairs:
        if pair.second == clip and pair.accepted and "anchor" in pair.measures:
            return pair.measures["anchor"].value
    return None
