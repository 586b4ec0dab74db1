"""What coincides is one finding: several levels' observations brought together. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from msgspec import structs

from forensics.container import is_alarm
from forensics.model import (
    Artefact,
    Discontinuity,
    Explanation,
    Observation,
    Quantity,
    Span,
    Verdict3,
    clock_text,
)

__all__ = [
    "LEVELS", "MERGED", "coincide", "merge_levels", "rank_explanations",
    "repeats_pictures", "whole_span",
]  # fmt: skip

#: Levels that look at different traces: agreement between two of them is worth more than either.
LEVELS = (
    "container", "timestamps", "bitstream", "compression", "frame", "audio", "hum", "clock",
    "comparison",
)  # fmt: skip

#: The condition under which what several levels show together stands in the record.
MERGED = "merged"

#: Which kind names a merged finding: the one that says most about what was done.
_TELLING = (
    "cover-up", "loop", "copy-move", "reorder", "splice", "inserted-black", "inserted-frames",
    "freeze", "hidden-frames", "deletion", "dropped-frames", "clock-jump", "stream-copy-cut",
    "pts-gap", "gop-phase-break", "offset-jump", "sound-splice", "hum-phase-break", "clock-frozen",
    "clock-missing-seconds",
)  # fmt: skip

#: Kinds whose span says where to look, not where it happened: the break lies somewhere inside.
_SOMEWHERE = frozenset(
    {"gop-phase-break", "hum-phase-break", "clock-missing-seconds", "offset-jump",
     "reverberation-change", "sync-break"}
)

#: Facts about the file as a whole; they coincide with nothing at any one moment.
_WHOLE = frozenset(
    {"structure", "metadata-contradiction", "double-compression", "duration-mismatch",
     "truncated", "clock-rate", "av-mismatch", "doubled-frames"}
)  # fmt: skip


#: What lost packets leave behind, whoever lost them: over a damaged stream it decides nothing.
_LOSSY = frozenset(
    {"deletion", "stream-copy-cut", "pts-gap", "dropped-frames", "freeze", "doubled-frames"}
)


#: From this share of repeated pictures on, their beat is in the packet sizes, whatever else is.
_REPEATS = 0.25


def repeats_pictures(seen: Observation) -> bool:
    """Whether pictures repeat so often and evenly that the sizes of packets beat with them.

    What stands out at every third picture looks like an older GOP, and its phase jumps where a
    picture came a moment early: of an older GOP nothing can be said there.
    """
    said = seen.what
    if not isinstance(said, Discontinuity) or said.kind != "doubled-frames":
        return False
    frames, repeated = seen.measures.get("frames"), seen.measures.get("strength")
    if frames is None or repeated is None or "frame: regular" not in said.supports:
        return False
    return repeated.value >= _REPEATS * frames.value


@dataclass(frozen=True)
class _Member:
    seen: Observation
    said: Discontinuity


def coincide(one: Observation, other: Observation, tolerance_s: float) -> bool:
    """Whether two observations can be traces of one act: an edge of one lies at one of the other.

    Parameters
    ----------
    one, other
        Observations of discontinuities.
    tolerance_s
        How far apart two traces of one break may lie.
    """
    if one.span is None or other.span is None:
        return False
    for said in (one.what, other.what):
        if not isinstance(said, Discontinuity) or said.kind in _WHOLE:
            return False
    tolerance = Fraction(round(tolerance_s * 1000), 1000)
    for a, b in ((one, other), (other, one)):
        assert a.span is not None and b.span is not None
        if isinstance(a.what, Discontinuity) and a.what.kind in _SOMEWHERE:
            low, high = a.span.start - tolerance, a.span.end + tolerance
            if any(low <= edge <= high for edge in (b.span.start, b.span.end)):
                return True
    return any(
        abs(edge - far) <= tolerance
        for edge in (one.span.start, one.span.end)
        for far in (other.span.start, other.span.end)
    )


def merge_levels(
    observations: Sequence[Observation], *, tolerance_s: float = 0.3
) -> list[tuple[Observation, tuple[Observation, ...]]]:
    """Merge what coincides, between levels only; order by time, whole-file facts first.

    Two observations of one level stay two: a level has already said what it takes to be one.
    What merges makes one alarm (`container.is_alarm`) only if one of its traces is an alarm.

    Parameters
    ----------
    observations
        Of any levels; those that are no `Discontinuity` are left out.
    tolerance_s
        How far apart two traces of one break may lie, in seconds.

    Returns
    -------
    list of (Observation, tuple of Observation)
        Each finding, and the observations it was merged from (itself, if one level alone saw it).
    """
    members = [_Member(o, o.what) for o in observations if isinstance(o.what, Discontinuity)]
    members.sort(key=lambda m: -m.seen.score)
    groups: list[list[_Member]] = []
    for member in members:
        home = next(
            (
                group
                for group in groups
                if all(m.said.level != member.said.level for m in group)
                and any(coincide(m.seen, member.seen, tolerance_s) for m in group)
            ),
            None,
        )
        if home is None:
            groups.append([member])
        else:
            home.append(member)
    damaged = any(_says_damage(m) for m in members)
    merged = [(_merge(group), tuple(m.seen for m in group)) for group in groups]
    if damaged:
        merged = [(_doubt_lost_packets(o), group) for o, group in merged]
    start = Fraction(-1)
    return sorted(merged, key=lambda m: (m[0].span.start if m[0].span else start, -m[0].score))


def _says_damage(member: _Member) -> bool:
    """Whether data are known to be missing, whoever lost them."""
    said = member.said
    if said.kind == "truncated":
        return said.level == "bitstream" and member.seen.score >= 0.5
    first = said.explanations[0].name if said.explanations else ""
    return said.level == "container" and said.kind == "structure" and first == "packet-loss"


def _telling(member: _Member) -> tuple[int, float]:
    kind = member.said.kind
    place = _TELLING.index(kind) if kind in _TELLING else len(_TELLING)
    return (place, -member.seen.score)


def _merge(group: list[_Member]) -> Observation:
    lead = min(group, key=_telling)
    if len(group) == 1:
        return lead.seen
    # A span that says "somewhere in here" must not widen one that says where.
    exact = [m for m in group if m.said.kind not in _SOMEWHERE] or group
    span = lead.seen.span if lead in exact else exact[0].seen.span
    # Remarks support an alarm; among themselves they never add up to one.
    sure = [m for m in group if is_alarm(m.seen) and m.said.kind != "metadata-contradiction"]
    miss = 1.0
    for member in group if sure else [max(group, key=lambda m: m.seen.score)]:
        miss *= 1 - member.seen.score
    verdict: Verdict3 = "inconclusive"
    # A picture that changes makes an encoder begin a GOP out of turn: the step and the phase break
    # it leaves in every later copy are one trace, not two.
    stepped = any(m.said.level == "frame" for m in sure)
    apart = [m for m in sure if not (stepped and m.said.kind == "gop-phase-break")]
    # Sound that its stamps leave out is read off the same stamps twice.
    if any(m.said.kind == "pts-gap" for m in sure):
        apart = [m for m in apart if m.said.kind != "dropped-sound"]
    if any(m.said.verdict == "inconsistent" for m in group) or len(apart) >= 2:
        verdict = "inconsistent"
    supports: list[str] = []
    artefacts: list[Artefact] = []
    measures: dict[str, Quantity] = {}
    for member in sorted(group, key=lambda m: LEVELS.index(m.said.level)):
        supports += member.said.supports or (f"{member.said.level}: {member.said.kind}",)
        at = clock_text(member.seen.span.start) if member.seen.span else "the whole file"
        supports.append(
            f"{member.said.level}: {member.said.kind} at {at}, score {member.seen.score:.2f}"
        )
        artefacts += member.seen.artefacts
        for name, quantity in member.seen.measures.items():
            measures[f"{member.said.level} {name}"] = quantity
    removed = next((m.said.removed for m in group if m.said.removed is not None), None)
    said = Discontinuity(
        level=lead.said.level, kind=lead.said.kind, verdict=verdict, supports=tuple(supports),
        explanations=rank_explanations([m.said.explanations for m in group]), removed=removed,
    )  # fmt: skip
    notes = "; ".join(m.seen.note for m in group if m.seen.note)
    return Observation(
        said, span, min(0.999, 1 - miss), tuple(artefacts), measures, notes, MERGED
    )


def _doubt_lost_packets(seen: Observation) -> Observation:
    """In a damaged stream a step is first of all damage; two levels saw one and the same hole."""
    said = seen.what
    assert isinstance(said, Discontinuity)
    if said.kind not in _LOSSY or said.verdict != "inconsistent":
        return seen
    damage = Explanation(
        1, "damaged-data", True, "the stream is damaged; what cannot be decoded leaves such traces"
    )
    others = [structs.replace(e, rank=e.rank + 1) for e in said.explanations]
    return structs.replace(
        seen,
        what=structs.replace(said, verdict="inconclusive", explanations=(damage, *others)),
        note="; ".join(n for n in (seen.note, "the stream is damaged, see there") if n),
    )  # fmt: skip


def rank_explanations(offered: Sequence[Sequence[Explanation]]) -> tuple[Explanation, ...]:
    """One ranking out of several levels': what explains more of them comes first.

    A harmless cause that accounts for one trace only has to share the moment with another cause;
    one that accounts for all of them does not.
    """
    ranks: dict[str, list[int]] = {}
    by_name: dict[str, Explanation] = {}
    for level in offered:
        for explanation in level:
            ranks.setdefault(explanation.name, []).append(explanation.rank)
            by_name.setdefault(explanation.name, explanation)
    ordered = sorted(ranks, key=lambda n: (-len(ranks[n]), sum(ranks[n]) / len(ranks[n]), n))
    return tuple(
        Explanation(place, name, by_name[name].benign, by_name[name].text)
        for place, name in enumerate(ordered, start=1)
    )


def whole_span(spans: Sequence[Span | None]) -> Span | None:
    """The union of all spans, or None if there is none."""
    known = [span for span in spans if span is not None]
    if not known:
        return None
    return Span(min(s.start for s in known), max(s.end for s in known))
