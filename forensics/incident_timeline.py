"""What every examination found, on the incident clock: one list, one event once.

The same bang heard by three phones is one occurrence with three clips behind it. Events of clips
that could not be placed stay on their own clocks and decide only what is claimed of that clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from msgspec import structs

from forensics.events_count import DOUBT
from forensics.incident_breaks import breaks_of, on_clock
from forensics.incident_claims import Occurrence, Tally, Timeline
from forensics.model import (
    Activity,
    Alignment,
    Clip,
    ClipBreak,
    Cut,
    Discontinuity,
    Examination,
    Finding,
    Flash,
    Interval,
    Sighting,
    SoundEvent,
    Span,
    VehicleSighting,
)

__all__ = ["build_timeline"]

#: What one bang takes at most from one camera to another, in seconds: 60 m at 343 m/s, the travel
#: that a placement by sound holds already.
_TRAVEL_S = 0.175
#: What a method could have found, so that its silence means something.
_LOOKS_FOR = {
    "sound-events": ("impulse", "flash"),
    "video-activity": ("enters", "leaves", "falls", "runs", "stands-still"),
    "edits": ("discontinuity",),
    "video-cuts": ("cut",),
    "vehicles": ("vehicle",),
    "insignia-markings": ("marking", "possible-marking"),
}


def _labels(finding: Finding) -> Iterator[str]:
    match finding.observation.what:
        case SoundEvent(label=label):
            yield "impulse" if label == "impulse" else f"impulse:{label}"
        case Flash():
            yield "flash"
        case Activity(region=region, kind=kind):
            yield f"{kind}:{region}"
        case Discontinuity(verdict="inconsistent", kind=kind):
            yield f"discontinuity:{kind}"
        case Cut():
            yield "cut"
        case VehicleSighting(vehicle_type=kind):
            yield f"vehicle:{kind}"
        case Sighting(verdict="match_design", candidates=(best, *_)):
            yield f"marking:{best.entry}"
        case Sighting(verdict="possible_design", candidates=(best, *_)):
            yield f"possible-marking:{best.entry}"
        case Sighting(kind=kind, text=text) if text:
            yield f"marking:{kind}:{text}"
        case _:
            return


def build_timeline(
    examinations: Sequence[Examination], alignment: Alignment | None, opened: Mapping[str, Clip]
) -> Timeline:
    """Merge all findings of placed clips into one timeline.

    Parameters
    ----------
    examinations
        Everything that was looked for.
    alignment
        Where the clips lie; without one only a single clip has an incident clock, its own.
    opened
        The clips by the examiner's names.

    Returns
    -------
    Timeline
        What happened on the incident clock; each clip that has no place there has a timeline of
        its own, for claims about that clip alone.
    """
    placed = {
        name: clip for name, clip in opened.items()
        if (len(opened) == 1 if alignment is None
            else alignment.on_incident_clock(clip, Span(Fraction(0), Fraction(0))) is not None)
    }  # fmt: skip
    alone = {
        name: _timeline(examinations, None, {name: clip})
        for name, clip in opened.items() if name not in placed
    }  # fmt: skip
    return structs.replace(_timeline(examinations, alignment, placed), unplaced=alone)


def _timeline(
    examinations: Sequence[Examination], alignment: Alignment | None, opened: Mapping[str, Clip]
) -> Timeline:
    clips = {clip.digest: (name, clip) for name, clip in opened.items()}
    heard: dict[str, list[_Row]] = {}
    observed: dict[str, list[tuple[Interval, str]]] = {}
    blind: dict[str, list[str]] = {}
    doubts: list[Interval] = []
    tallies: list[Tally] = []
    breaks = {digest: breaks_of(examinations, digest) for digest in clips}
    for exam in examinations:
        digest = exam.origin.inputs[0] if len(exam.origin.inputs) == 1 else ""
        looked_for = _LOOKS_FOR.get(exam.origin.method, ())
        if not digest or digest not in clips or not looked_for:
            continue
        name, clip = clips[digest]
        if clip.audio is None:
            # A camera without a microphone has not listened, whatever else it saw.
            looked_for = tuple(label for label in looked_for if label != "impulse")
        if exam.outcome == "failed":
            for label in looked_for:
                blind.setdefault(label, []).append(f"{name}: {exam.reason}")
        if exam.outcome in ("failed", "not-applicable"):
            continue
        gaps = breaks[digest]
        covered = _whole(alignment, digest, exam.coverage.span, gaps)
        for label in looked_for:
            if covered is not None:
                observed.setdefault(label, []).append((covered, name))
            for hole in exam.coverage.not_testable:
                if hole.reason == DOUBT:
                    continue
                # "runs: ..." concerns that kind alone; any other reason concerns all.
                about = hole.reason.partition(": ")[0]
                if about == label or about not in looked_for:
                    blind.setdefault(label, []).append(f"{name} {hole.span}: {hole.reason}")
        if "impulse" in looked_for and covered is not None:
            holes = [h.span for h in exam.coverage.not_testable if h.reason == DOUBT]
            bangs = [o.span for o in exam.observations if isinstance(o.what, SoundEvent)]
            # What has no place on the clock may lie anywhere in what the clip covers.
            unsure, busy = (
                tuple(_whole(alignment, digest, s, gaps) or covered for s in spans)
                for spans in (holes, bangs)
            )
            doubts += unsure
            tallies += _tally(name, covered, exam, unsure + busy)
        for finding in exam:
            place = _place(alignment, digest, finding.observation.span, gaps)
            if place is not None:
                for label in _labels(finding):
                    score = finding.observation.score
                    heard.setdefault(label, []).append(_Row(place, name, finding.id, score))
    occurrences = [
        occurrence
        for label, rows in heard.items()
        for occurrence in _merge(label, rows, observed.get(label.partition(":")[0], []))
    ]
    return Timeline(
        occurrences=tuple(sorted(occurrences, key=lambda o: o.interval.start)),
        observed={label: tuple(i for i, _ in rows) for label, rows in observed.items()},
        blind={label: tuple(dict.fromkeys(rows)) for label, rows in blind.items()},
        doubts={"impulse": tuple(doubts)} if doubts else {},
        tallies={"impulse": tuple(tallies)} if tallies else {},
    )


def _place(
    alignment: Alignment | None, digest: str, span: Span | None, gaps: Sequence[ClipBreak]
) -> Interval | None:
    if span is None:
        return None
    if alignment is None:
        return Interval(float(span.start), float(span.end), 0.0)
    return on_clock(alignment, digest, span, gaps)


def _whole(
    alignment: Alignment | None, digest: str, span: Span | None, gaps: Sequence[ClipBreak]
) -> Interval | None:
    # Both ends on their own side of every break: what was recorded from first to last.
    if span is None:
        return None
    ends = [_place(alignment, digest, Span(time, time), gaps) for time in (span.start, span.end)]
    if ends[0] is None or ends[1] is None:
        return None
    return Interval(ends[0].start, max(ends[0].start, ends[1].end), ends[0].uncertainty)


class _Row(NamedTuple):
    place: Interval
    name: str
    finding: str
    score: float


def _tally(
    name: str, covered: Interval, exam: Examination, busy: tuple[Interval, ...]
) -> list[Tally]:
    """How many one clip may have missed; an old record does not say."""
    count = exam.measures.get("impulses")
    if count is None or count.high is None:
        return []
    return [Tally(name, covered, round(count.high - count.value), busy)]


def _merge(
    label: str, rows: list[_Row], observed: list[tuple[Interval, str]]
) -> Iterator[Occurrence]:
    # Clips on clocks known to the millisecond still hear one bang as far apart as they stand.
    travel = _TRAVEL_S if label.partition(":")[0] == "impulse" else 0.0
    groups: list[list[_Row]] = []
    for row in sorted(rows, key=lambda r: r.place.start):
        fitting = [
            group
            for group in groups
            if row.name not in {other.name for other in group}
            and abs(group[0].place.start - row.place.start)
            <= max(group[0].place.uncertainty + row.place.uncertainty, travel)
        ]
        if fitting:
            nearest = min(fitting, key=lambda g: abs(g[0].place.start - row.place.start))
            nearest.append(row)
        else:
            groups.append([row])
    for group in groups:
        names = tuple(row.name for row in group)
        best = min((row.place for row in group), key=lambda i: i.uncertainty)
        watching = {
            name
            for span, name in observed
            if span.start <= best.start - best.uncertainty
            and best.start + best.uncertainty <= span.end
        }
        yield Occurrence(
            label=label,
            interval=best,
            clips=names,
            findings=tuple(row.finding for row in group),
            missed_by=tuple(sorted(watching - set(names))),
            score=max(row.score for row in group),
        )
