"""One finding in words: what was seen, its values, its alternatives, its error rate, its time."""

from __future__ import annotations

from fractions import Fraction

from forensics.model import (
    Activity,
    Alignment,
    Clip,
    ClockReading,
    Copy,
    Cut,
    Discontinuity,
    ErrorRate,
    Finding,
    Flash,
    Interval,
    Keyframe,
    Observation,
    Offset,
    Quantity,
    Rate,
    Redaction,
    Said,
    Sighting,
    SoundEvent,
    Uncalibrated,
    VehicleSighting,
    clock_text,
)
from forensics.report_words import Words

__all__ = [
    "alternatives", "describe", "incident_interval", "rate_text", "short_rate", "spoken_values",
    "when",
]  # fmt: skip


def describe(what: Said, words: Words, names: dict[str, str]) -> str:
    """One sentence for each kind of claim; nothing beyond what it holds."""
    t = words
    match what:
        case Keyframe(ordinal=n, reason=reason, sharpness=sharp):
            return t("said.keyframe", n=n, reason=t.maybe("reason", reason), sharpness=sharp)
        case Cut(kind=kind, ordinal=n):
            return t("said.cut", kind=t.maybe("cut", kind), n=n)
        case Discontinuity():
            text = t(
                "said.discontinuity", level=t.maybe("level", what.level),
                kind=t.maybe("kind", what.kind), verdict=t.of("verdict3", what.verdict),
            )  # fmt: skip
            if what.supports:
                text += " " + t("said.supports", what="; ".join(what.supports))
            if what.removed is not None:
                text += " " + t("said.removed", amount=what.removed)
            return text
        case SoundEvent(label=label, level=level):
            return t("said.sound", label=t.maybe("sound", label), level=level)
        case Flash(region=region, rise=rise):
            where = t("said.part") if region is not None else t("said.whole")
            return t("said.flash", where=where, rise=rise)
        case Activity(region=region, kind=kind):
            return t("said.activity", kind=t.maybe("activity", kind), region=region)
        case Offset(reference=reference, offset=offset, basis=basis):
            return t(
                "said.offset", reference=names.get(reference, reference[:12]), offset=offset,
                basis=t.maybe("basis", basis),
            )  # fmt: skip
        case Copy(other=other, relation=relation, nearer=nearer):
            return t(
                "said.copy", other=names.get(other, other[:12]),
                relation=t.maybe("relation", relation), nearer=t.maybe("nearer", nearer),
            )  # fmt: skip
        case ClockReading(text=text, wall=wall, rate=rate):
            said = t("said.clock", text=text, wall=wall)
            return said + (" " + t("said.rate", rate=rate) if rate is not None else "")
        case Sighting():
            return _sighting(what, t)
        case VehicleSighting():
            return _vehicle(what, t)
        case Redaction(kind=kind, style=style, frames=frames):
            return t("said.redaction", kind=kind, style=style, frames=frames)


def _sighting(what: Sighting, t: Words) -> str:
    text = t(
        "said.sighting", kind=t.maybe("marking", what.kind),
        verdict=t.maybe("sighting", what.verdict),
    )  # fmt: skip
    if what.text:
        text += " " + t("said.reads", text=what.text)
    if what.observed_absence is not None:
        text += " " + t("said.absence", what=t.maybe("absence", what.observed_absence))
    return text


def _vehicle(what: VehicleSighting, t: Words) -> str:
    text = t("said.vehicle", type=what.vehicle_type)
    if what.colours:
        listed = ", ".join(f"{c.entry} {c.score:.2f}" for c in what.colours[:3])
        text += " " + t("said.colours", colours=listed)
    if what.plate is not None:
        text += " " + t(
            "said.plate", verdict=t.maybe("plate", what.plate.verdict), text=what.plate.text or "-"
        )
    return text


def alternatives(what: Said, words: Words) -> str:
    """The innocent and other explanations that were weighed, likeliest first."""
    if isinstance(what, Discontinuity | Flash) and what.explanations:
        ranked = sorted(what.explanations, key=lambda e: e.rank)
        benign = words("said.benign")
        told = [f"{e.rank}. {e.text}" + (f" ({benign})" if e.benign else "") for e in ranked]
        return "; ".join(told)
    if isinstance(what, Sighting) and len(what.candidates) > 1:
        return words("said.second", entry=what.candidates[1].entry,
                     score=f"{what.candidates[1].score:.2f}")  # fmt: skip
    return words("said.no-alternative")


def spoken_values(seen: Observation, words: Words) -> str:
    """Score, measures with units and intervals, and the note."""
    parts = [words("said.score", score=f"{seen.score:.3g}")]
    parts += [f"{name.replace('_', ' ')}: {value}" for name, value in seen.measures.items()]
    return "; ".join(parts)


def _frame(what: Said) -> tuple[int | None, Fraction | None]:
    return getattr(what, "ordinal", None), getattr(what, "pts", None)


def incident_interval(
    alignment: Alignment | None, digest: str, finding: Finding
) -> Interval | None:
    """Where a finding lies on the incident clock, if its clip is placed."""
    span = finding.observation.span
    if alignment is None or span is None:
        return None
    return alignment.on_incident_clock(digest, span)


def when(
    finding: Finding, digest: str, alignment: Alignment | None, words: Words
) -> str:
    """Clip time, frame, PTS, and the incident clock with its uncertainty."""
    seen = finding.observation
    parts = []
    if seen.span is None:
        parts.append(words("time.none"))
    elif seen.span.length:
        parts.append(f"{clock_text(seen.span.start)} – {clock_text(seen.span.end)}")
    else:
        parts.append(clock_text(seen.span.start))
    ordinal, pts = _frame(seen.what)
    if ordinal is not None:
        parts.append(words("time.frame", n=ordinal))
    if pts is not None:
        parts.append(f"PTS {pts} s")
    place = incident_interval(alignment, digest, finding)
    if place is not None:
        parts.append(words("time.incident", time=clock_text(place.start),
                           uncertainty=f"{place.uncertainty:.3f}"))  # fmt: skip
    return "; ".join(parts)


def rate_text(rate: Rate, words: Words) -> str:
    """A rate with its counts and interval; where nothing happened, its upper bound."""
    if rate.unit == "per hour":
        return words("rate.hourly", events=rate.events, hours=f"{rate.trials:.3g}",
                     low=f"{rate.low:.3g}", high=f"{rate.high:.3g}")  # fmt: skip
    trials = int(rate.trials)
    if rate.events == 0:
        return words("rate.none", trials=trials, high=percent(rate.high))
    return words("rate.some", events=rate.events, trials=trials,
                 value=percent(rate.events / trials), low=percent(rate.low),
                 high=percent(rate.high))  # fmt: skip


def percent(share: float) -> str:
    """A share as a percentage with two significant digits; never a bare "0 %" for a bound."""
    value = 100 * share
    return f"{value:.2g} %" if value < 10 else f"{value:.0f} %"


def short_rate(known: ErrorRate | Uncalibrated, words: Words) -> str:
    """The error rate as one finding's row shows it."""
    if isinstance(known, Uncalibrated):
        return words("rate.unknown")
    return words("rate.short", false_positive=rate_text(known.false_positive, words),
                 miss=rate_text(known.miss, words))  # fmt: skip


def quantity(value: Quantity | None, words: Words) -> str:
    """A quantity as it prints itself, or that there is none."""
    return words("none") if value is None else str(value)


def clip_facts(clip: Clip) -> str:
    """Container and streams in one line."""
    parts = [clip.container.format]
    for stream in clip.streams:
        size = f" {stream.width}×{stream.height}" if hasattr(stream, "width") else ""  # type: ignore[union-attr]
        rate = ""
        if getattr(stream, "sample_rate", None):
            rate = f" {stream.sample_rate} Hz"  # type: ignore[union-attr]
        elif getattr(stream, "frame_rate", None):
            rate = f" {float(stream.frame_rate):.3f}/s"  # type: ignore[union-attr, arg-type]
        turn = f" ↻{stream.rotation}°" if getattr(stream, "rotation", 0) else ""  # type: ignore[union-attr]
        parts.append(f"#{stream.index} {stream.codec}{size}{rate}{turn}")
    return "; ".join(parts)
