"""What every export needs of an incident: the clips on one clock, and what was found in them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from forensics import provenance
from forensics.errors import RecordInvalid
from forensics.model import (
    Alignment,
    Clip,
    Discontinuity,
    ErrorRate,
    Examination,
    Sighting,
    Value,
    VehicleSighting,
    to_builtins,
)

__all__ = ["IncidentLike", "Mark", "Story", "Strip", "gather"]


class IncidentLike(Protocol):
    """What an export needs of an incident."""

    folder: Path
    plan: Any
    ledger: provenance.Ledger


class Strip(Value, frozen=True):
    """One clip on the incident clock; `start_s` is None for a clip that could not be placed."""

    name: str
    clip: Clip
    start_s: float | None
    uncertainty_s: float
    drift_ppm: float

    @property
    def length_s(self) -> float:
        """Declared seconds."""
        return float(self.clip.duration or 0)

    @property
    def rate(self) -> Fraction:
        """Frames a second as declared; 25 for sound, and the average for a variable rate."""
        stream = self.clip.video
        return stream.frame_rate if stream is not None and stream.frame_rate else Fraction(25)


class Mark(Value, frozen=True):
    """One finding: on its clip's clock, and on the incident clock if the clip is placed."""

    id: str
    clip: str
    digest: str
    method: str
    version: str
    type: str
    label: str
    start_s: float | None
    end_s: float | None
    incident_start_s: float | None
    incident_end_s: float | None
    uncertainty_s: float | None
    score: float
    error_rate: str
    note: str
    what: dict[str, Any]


class Story(Value, frozen=True):
    """The incident as exports tell it."""

    title: str
    case: str
    head: str
    strips: tuple[Strip, ...]
    marks: tuple[Mark, ...]
    examinations: tuple[tuple[int, str, Examination], ...]
    masked: int

    @property
    def placed(self) -> list[Strip]:
        """The clips that lie on the incident clock."""
        return [s for s in self.strips if s.start_s is not None]

    @property
    def origin_s(self) -> float:
        """The incident time of the earliest start: zero of timelines that know no minus."""
        return min((s.start_s for s in self.placed if s.start_s is not None), default=0.0)


def gather(incident: IncidentLike, *, unredacted: bool = False) -> Story:
    """Read plan and ledger.

    Parameters
    ----------
    incident
        Folder, plan and ledger.
    unredacted
        Let plates through as they were read; otherwise every letter of them is covered.

    Raises
    ------
    LedgerBroken
        The chain does not hold.
    RecordInvalid
        No clip is on record.
    """
    clips: dict[str, Clip] = {}
    exams: dict[str, tuple[int, str, Examination]] = {}
    alignment: Alignment | None = None
    for entry in incident.ledger:
        match entry.said:
            case Clip() as clip:
                clips[clip.digest] = clip
            case Examination() as exam:
                key = provenance.question_of(exam.origin)
                exams.pop(key, None)
                exams[key] = (entry.seq, entry.utc, exam)
            case Alignment() as found:
                alignment = found
    if not clips:
        raise RecordInvalid("no clip is on record: reconstruct the incident first")
    names = {
        (incident.folder / item.path).absolute(): item.id for item in incident.plan.clips
    }
    named = {d: names.get(c.path.absolute(), c.name) for d, c in clips.items()}
    strips = tuple(_strip(named[d], c, alignment) for d, c in clips.items())
    marks = [m for _, _, e in exams.values() for m in _marks(e, named, alignment)]
    secrets = sorted({s for m in marks for s in _plates(m.what)}, key=len, reverse=True)
    if secrets and not unredacted:
        marks = [_covered(mark, secrets) for mark in marks]
    return Story(
        incident.plan.title, incident.plan.case, incident.ledger.head, strips, tuple(marks),
        tuple(exams.values()), len(secrets) if not unredacted else 0,
    )  # fmt: skip


def _strip(name: str, clip: Clip, alignment: Alignment | None) -> Strip:
    place = alignment.placement(clip) if alignment is not None else None
    if place is None:
        return Strip(name, clip, None, 0.0, 0.0)
    low, high, value = place.offset.low, place.offset.high, place.offset.value
    spread = 0.0 if low is None or high is None else max(high - value, value - low)
    return Strip(name, clip, value, spread, place.drift_ppm.value)


def _marks(exam: Examination, names: dict[str, str], alignment: Alignment | None) -> list[Mark]:
    found = []
    for finding in exam:
        seen = finding.observation
        what = to_builtins(seen.what)
        digest = exam.origin.inputs[0] if len(exam.origin.inputs) == 1 else ""
        span, place = seen.span, None
        if alignment is not None and span is not None and digest:
            place = alignment.on_incident_clock(digest, span)
        rate = finding.error_rate
        found.append(Mark(
            finding.id, names.get(digest, "all clips"), digest, exam.origin.method,
            exam.origin.version, what["type"], _label(seen.what, what),
            None if span is None else float(span.start), None if span is None else float(span.end),
            None if place is None else place.start, None if place is None else place.end,
            None if place is None else place.uncertainty, seen.score,
            f"false positives {rate.false_positive}; misses {rate.miss}"
            if isinstance(rate, ErrorRate) else rate.reason,
            seen.note, what,
        ))  # fmt: skip
    return found


def _label(said: object, what: dict[str, Any]) -> str:
    match said:
        case Discontinuity(level=level, kind=kind, verdict=verdict):
            return f"{level}: {kind} ({verdict})"
        case Sighting(kind=kind, verdict=verdict):
            return f"{kind} ({verdict.replace('_', ' ')})"
        case VehicleSighting(vehicle_type=kind):
            return kind
        case _:
            parts = [what.get(key) for key in ("label", "kind", "reason", "region", "text")]
            return " ".join(str(part) for part in parts if part) or what["type"]


def _plates(what: dict[str, Any]) -> list[str]:
    plate = what.get("plate")
    texts = [plate["text"], *plate["alternatives"]] if plate else []
    if what.get("kind") == "plate":
        texts.append(what.get("text", ""))
    return [text for text in texts if len(text) > 2]


def _covered(mark: Mark, secrets: list[str]) -> Mark:
    def cover(value: Any) -> Any:
        if isinstance(value, str):
            for secret in secrets:
                value = value.replace(secret, "".join("▮" if c.isalnum() else c for c in secret))
            return value
        if isinstance(value, list | tuple):
            return [cover(item) for item in value]
        if isinstance(value, dict):
            return {key: cover(item) if key != "pixel_hash" else item
                    for key, item in value.items()}  # fmt: skip
        return value

    values = {name: getattr(mark, name) for name in mark.__struct_fields__}
    return Mark(**values | {k: cover(values[k]) for k in ("what", "note", "label")})
