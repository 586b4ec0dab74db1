"""Keep edited clips from lying about time: the incident clock across removed stretches.

A clip from which a stretch was removed has two offsets, one on each side of the break. Its
placement holds on one side; what lies beyond the break is moved by the removed length where that
is known, and taken off the incident clock where it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from forensics.model import Alignment, ClipBreak, Discontinuity, Examination, Interval, Span

__all__ = ["breaks_of", "on_clock"]


def breaks_of(examinations: Iterable[Examination], clip: str) -> tuple[ClipBreak, ...]:
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
                found.append(ClipBreak(clip, float(seen.span.end), what.removed))
    return tuple(sorted(found, key=lambda b: b.time_s))


def on_clock(
    alignment: Alignment, clip: str, span: Span, breaks: Sequence[ClipBreak]
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
