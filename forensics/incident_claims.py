"""Hold what somebody said against what was found: supported, contradicted, or undecided.

A claim is decided only as far as the evidence carries: an event that one clip heard and another
could not have missed counts as certain; one that a single clip heard while others listened is only
possible. Where nothing could have been seen, the answer is *undecided*, never "it did not happen".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

from msgspec import structs

from forensics.events_count import SURE
from forensics.model import (
    AtOnce,
    Before,
    Claim,
    Count,
    Interval,
    Quantity,
    Value,
    Verdict,
    Visible,
    Within,
)

__all__ = ["Occurrence", "Tally", "Timeline", "judge"]

_UNITS = "s"
#: Why there is no interval between two events of one clock: an interval of no width would be false.
_ONE_CLOCK = "both on one clock; how exactly its events are timed was not measured"
#: Detectors give what they are unsure of a lower score; it takes part, but decides nothing.
CLEAR = 0.7
_Outcome: TypeAlias = Literal["supported", "contradicted", "undecided"]


class Occurrence(Value, frozen=True):
    """Something that happened once, on the incident clock.

    `label` is a selector ("impulse", "enters:bench", …); `clips` are those that show it,
    `missed_by` those that were recording and show nothing; `findings` are the finding ids.
    """

    label: str
    interval: Interval
    clips: tuple[str, ...]
    findings: tuple[str, ...]
    missed_by: tuple[str, ...] = ()
    score: float = 1.0

    @property
    def clear(self) -> bool:
        """Shown clearly; a sound that one clip alone heard, so that a count surely holds it."""
        alone = self.label.partition(":")[0] == "impulse" and len(self.clips) < 2
        return self.score >= (SURE if alone else CLEAR)

    @property
    def certain(self) -> bool:
        """Shown clearly, and by two clips or by the only one that was recording."""
        return self.clear and (len(self.clips) >= 2 or not self.missed_by)

    @property
    def early(self) -> float:
        """The earliest it can have started, in seconds on the incident clock."""
        return self.interval.start - self.interval.uncertainty

    @property
    def late(self) -> float:
        """The latest it can have started."""
        return self.interval.start + self.interval.uncertainty


class Tally(Value, frozen=True):
    """How many of a kind one clip may have missed of what happened in a stretch that it recorded.

    `busy`: where it shows one, or what may be one; elsewhere it missed none.
    """

    clip: str
    interval: Interval
    missed: int
    busy: tuple[Interval, ...] = ()

    def within(self, start: float, end: float) -> int:
        """How many it may have missed in a part of the stretch: all, wherever any may be."""
        return self.missed if any(i.start < end and i.end >= start for i in self.busy) else 0


class Timeline(Value, frozen=True):
    """Everything that happened, and for each kind of event the stretches that were observed.

    `observed` maps a selector to intervals in which it would have been noticed, `blind` to the
    reasons why it might have been missed, `doubts` to stretches with what may be one or not.
    `tallies`: for kinds that can be missed one by one, such as impulses, how many clips may have
    missed. `unplaced`: by name, the clips that have no place on the incident clock, each with what
    happened on its own.
    """

    occurrences: tuple[Occurrence, ...]
    observed: dict[str, tuple[Interval, ...]] = {}
    blind: dict[str, tuple[str, ...]] = {}
    unplaced: dict[str, Timeline] = {}
    doubts: dict[str, tuple[Interval, ...]] = {}
    tallies: dict[str, tuple[Tally, ...]] = {}

    def select(self, label: str, clip: str = "") -> list[Occurrence]:
        """Occurrences a label names, in order; of one clip, if named."""
        chosen = [
            o
            for o in self.occurrences
            if (o.label == label or o.label.startswith(label + ":"))
            and (not clip or clip in o.clips)
        ]
        return sorted(chosen, key=lambda o: o.interval.start)

    def spans(self, label: str) -> list[Interval]:
        """The stretches in which `label` would have been noticed."""
        return [i for key, row in self.observed.items() if _covers(key, label) for i in row]

    def most(self, label: str, clip: str, certain: Sequence[Occurrence]) -> float:
        """How many of `label` there may have been; infinite for impulses where nothing says so.

        To those found come those of another class of sound that are certain, as classes confuse,
        and what may have been missed by the clips that cover all that was recorded, those first
        that heard all that is certain, and of these the ones that may have missed least.
        """
        found = self.select(label, clip)
        rows = [t for key, row in self.tallies.items() if _covers(key, label) for t in row]
        rows = [t for t in rows if clip in ("", t.clip)]
        if not rows:
            return math.inf if _covers("impulse", label) else len(found)
        deaf = {name for o in certain for name in o.missed_by}
        kind = label.partition(":")[0]
        high = len(found) + sum(o.certain and o not in found for o in self.select(kind, clip))
        marks = sorted({x for t in rows for x in (t.interval.start, t.interval.end)})
        cells = list(itertools.pairwise(marks))
        for t in sorted(rows, key=lambda t: (t.clip in deaf, t.missed)):
            fresh = [c for c in cells if t.interval.start <= c[0] and c[1] <= t.interval.end]
            high += max((t.within(*c) for c in fresh), default=0)
            cells = [c for c in cells if c not in fresh]
        return high

    def doubted(self, label: str, end: float | None = None) -> str:
        """Where, before `end`, there is what may be `label` or not; empty if nowhere."""
        rows = [i for key, row in self.doubts.items() if _covers(key, label) for i in row]
        rows = [i for i in rows if end is None or i.start < end]
        if not rows:
            return ""
        told = f"near {min(i.start for i in rows):.2f} s is what may be {label} or not"
        return told + (f", and in {len(rows) - 1} more stretches" if len(rows) > 1 else "")

    def unsure(self, label: str, end: float | None = None) -> str:
        """As `watched`, and where there is what may be `label`."""
        return _and(self.watched(label, end), self.doubted(label, end))

    def watched(self, label: str, end: float | None = None) -> str:
        """Why not all that came before `end` was observed for `label`; empty if it was."""
        spans = self.spans(label)
        blind = [text for key, row in self.blind.items() if _covers(key, label) for text in row]
        if not spans:
            return f"no clip was examined for {label}"
        if blind:
            shown = list(dict.fromkeys(blind))
            more = f" (and {len(shown) - 2} more)" if len(shown) > 2 else ""
            return "; ".join(shown[:2]) + more
        if end is not None and end <= min(i.start for i in spans):
            return f"the recording begins only at {min(i.start for i in spans):.2f} s"
        if end is not None and end > max(i.end for i in spans) + 1e-6:
            return f"nothing was recorded after {max(i.end for i in spans):.2f} s"
        return ""


def _covers(key: str, label: str) -> bool:
    return key == label or label.startswith(key + ":") or key.startswith(label + ":")


def _ids(occurrences: Iterable[Occurrence]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(i for o in occurrences for i in o.findings))


def _seconds(value: float, low: float, high: float) -> Quantity:
    if low == high:
        # Both were seen by the clip whose clock is the incident's: placing it adds nothing.
        return Quantity(value, _UNITS, note=_ONE_CLOCK)
    return Quantity(value, _UNITS, min(low, value), max(high, value))


def _count(claim: Claim, expects: Count, line: Timeline) -> Verdict:
    found = line.select(expects.label, expects.clip)
    certain = [o for o in found if o.certain or (expects.clip and o.clear)]
    doubtful = [o for o in found if o not in certain]
    blind = line.watched(expects.label)
    n, low = expects.n, len(certain)
    high = line.most(expects.label, expects.clip, certain)
    told = f"{low} certain" + (f", {len(doubtful)} more are not" if doubtful else "")
    told += f"; {n} claimed"
    bounded = high < math.inf
    margin = Quantity(low, "events", low, high) if bounded else Quantity(
        low, "events", note="no examination says how many more there may have been"
    )  # fmt: skip
    more = f"there may have been {high:.0f}" if bounded else margin.note
    more = more if high > low else ""
    if low >= n and (expects.at_least or (low == high == n and not blind)):
        if expects.window_s is not None and n > 1:
            return _in_window(claim, expects.window_s, certain, n, told, _and(more, blind))
        return Verdict(claim, "supported", _ids(certain), _ids(doubtful), told, margin)
    # Classes of sound confuse: of a class no number is too many.
    if low > n and not expects.at_least and not expects.label.startswith("impulse:"):
        return Verdict(claim, "contradicted", (), _ids(certain), told, margin)
    if high < n and not blind:
        return Verdict(claim, "contradicted", (), _ids(found), _and(told, more), margin)
    why = _and(_and(told, more), blind)
    return Verdict(claim, "undecided", _ids(certain), _ids(doubtful), why, margin)


def _in_window(
    claim: Claim, window_s: float, certain: Sequence[Occurrence], n: int, told: str, more: str
) -> Verdict:
    """`more`: why there may have been others, that would lie closer together; empty if not."""
    runs = [(certain[k], certain[k + n - 1]) for k in range(len(certain) - n + 1)]
    first, last = min(runs, key=lambda r: r[1].interval.start - r[0].interval.start)
    begin, end = first.interval.start, last.interval.start
    margin = _seconds(end - begin, last.early - first.late, last.late - first.early)
    told = f"{told}; {n} of them within {margin}, {window_s:g} s claimed"
    ids = _ids(o for o in certain if begin <= o.interval.start <= end)
    if last.late - first.early <= window_s:
        return Verdict(claim, "supported", ids, (), told, margin)
    outcome = _if(last.early - first.late > window_s and not more, "contradicted")
    return Verdict(claim, outcome, (), ids, _and(told, more), margin)


def _within(claim: Claim, expects: Within, line: Timeline) -> Verdict:
    firsts = line.select(expects.first)
    thens = line.select(expects.then, expects.clip)
    gaps = [
        (b.interval.start - a.interval.start, a, b)
        for a in firsts
        for b in thens
        if b.late >= a.early
    ]
    if not gaps:
        missing = expects.first if not firsts else expects.then
        why = f"no {missing} was found" if not (firsts and thens) else "none follows the other"
        blind = _either_missed(line, expects.first, expects.then)
        decided = bool(firsts and thens) and not blind
        outcome = _if(decided, "contradicted")
        return Verdict(claim, outcome, (), _ids([*firsts, *thens]), _and(why, blind))
    inside = [row for row in gaps if _latest(row) <= expects.window_s and _soonest(row) >= 0]
    sure = [row for row in inside if row[1].certain and row[2].certain]
    _, a, b = row = min(sure or gaps, key=lambda row: abs(row[0]))
    margin = _seconds(row[0], _soonest(row), _latest(row))
    told = f"the closest {expects.then} follows {expects.first} by {margin}"
    if sure:
        return Verdict(claim, "supported", _ids([a, b]), (), told, margin)
    # One seen too late does not exclude another that could not be seen in time.
    blind = _either_missed(line, expects.first, expects.then)
    possible = any(_soonest(row) <= expects.window_s for row in gaps)
    outcome = _if(not possible and not blind, "contradicted")
    why = "" if not inside else "not all of it shown clearly, or by all that were recording"
    return Verdict(claim, outcome, (), _ids([a, b]), _and(_and(told, why), blind), margin)


def _soonest(row: tuple[float, Occurrence, Occurrence]) -> float:
    return row[2].early - row[1].late


def _latest(row: tuple[float, Occurrence, Occurrence]) -> float:
    return row[2].late - row[1].early


def _either_missed(line: Timeline, first: str, then: str) -> str:
    reasons = [line.unsure(label) for label in dict.fromkeys((first, then))]
    return "; ".join(dict.fromkeys(r for r in reasons if r))


def _and(why: str, blind: str) -> str:
    return "; ".join(text for text in (why, blind) if text)


def _if(condition: bool, outcome: _Outcome) -> _Outcome:
    return outcome if condition else "undecided"


def _before(claim: Claim, expects: Before, line: Timeline) -> Verdict:
    then = [o for o in line.select(expects.then, expects.clip) if o.certain]
    if not then:
        return Verdict(claim, "undecided", (), (), f"no certain {expects.then} to compare with")
    mark = then[0]
    firsts = line.select(expects.first, expects.clip)
    surely = [o for o in firsts if o.certain and o.late < mark.early]
    maybe = [o for o in firsts if o not in surely and o.early < mark.late]
    blind = line.unsure(expects.first, mark.interval.start)
    need = 1 if expects.never else expects.first_n
    if len(surely) >= need:
        nearest = surely[-1]
        gap = mark.interval.start - nearest.interval.start
        margin = _seconds(gap, mark.early - nearest.late, mark.late - nearest.early)
        told = f"{len(surely)} x {expects.first} before {expects.then}, the last by {margin}"
        sooner = _sooner(line, expects, surely[need - 1], mark)
        if sooner:
            told = _and(told, sooner)
            return Verdict(claim, "undecided", _ids([*surely, mark]), (), told, margin)
        if expects.never:
            return Verdict(claim, "contradicted", _ids([mark]), _ids(surely), told, margin)
        return Verdict(claim, "supported", _ids([*surely, mark]), (), told, margin)
    if len(surely) + len(maybe) >= need:
        told = f"{expects.first} and {expects.then} are closer than their uncertainty"
        if any(o.late < mark.early for o in maybe):
            told = f"{len(maybe)} x {expects.first}, not shown clearly or not by all recording"
        return Verdict(claim, "undecided", _ids([*surely, *maybe]), _ids([mark]), told)
    if blind:
        told = f"{len(surely)} x {expects.first} seen before {expects.then}, but: {blind}"
        return Verdict(claim, "undecided", _ids(surely), _ids([mark]), told)
    since = min(i.start for i in line.spans(expects.first))
    told = (
        f"{len(surely)} x {expects.first} in the {mark.interval.start - since:.1f} s recorded "
        f"before {expects.then}; before the recording began nothing is known"
    )
    outcome: _Outcome = "supported" if expects.never else "contradicted"
    ids = _ids([mark, *firsts[:1]])
    return Verdict(claim, outcome, ids if expects.never else (), () if expects.never else ids, told)


def _sooner(line: Timeline, expects: Before, first: Occurrence, mark: Occurrence) -> str:
    """Why the first `then` may have come before `first`, although `mark` is the first certain."""
    rivals = line.select(expects.then, expects.clip)
    if any(o is not first and o.early < min(first.late, mark.early) for o in rivals):
        return f"but there may have been {expects.then} sooner"
    return line.doubted(expects.then, first.early)


def _at_once(claim: Claim, expects: AtOnce, line: Timeline) -> Verdict:
    one, other = expects.labels
    ones, others = line.select(one), line.select(other, expects.clip)
    pairs = [(abs(a.interval.start - b.interval.start), a, b) for a in ones for b in others]
    both = [row for row in pairs if row[1].certain and row[2].certain]
    if not pairs:
        missing = one if not ones else other
        return Verdict(claim, "undecided", (), (), f"no {missing} was found")
    nearest = min(row[0] - _spread(row) for row in pairs)
    row = min(both or pairs, key=lambda row: row[0] + _spread(row))
    gap, a, b = row
    spread = _spread(row)
    margin = _seconds(gap, max(0.0, gap - spread), gap + spread)
    told = f"closest pair {margin} apart; {expects.window_s:g} s claimed"
    if both and gap + spread <= expects.window_s:
        return Verdict(claim, "supported", _ids([a, b]), (), told, margin)
    blind = _either_missed(line, one, other)
    outcome = _if(nearest > expects.window_s and not blind, "contradicted")
    return Verdict(claim, outcome, (), _ids([a, b]), _and(told, blind), margin)


def _spread(row: tuple[float, Occurrence, Occurrence]) -> float:
    return row[1].interval.uncertainty + row[2].interval.uncertainty


def _visible(claim: Claim, expects: Visible, line: Timeline) -> Verdict:
    found = line.select(expects.label, expects.clip)
    if found:
        outcome: _Outcome = "contradicted" if expects.never else "supported"
        ids = _ids(found)
        pro, con = ((), ids) if expects.never else (ids, ())
        return Verdict(claim, outcome, pro, con, f"{len(found)} sightings")
    near = line.select(f"possible-{expects.label}", expects.clip)
    if near:
        told = f"{len(near)} sightings of a design that may be it, or a look-alike of it"
        return Verdict(claim, "undecided", _ids(near), (), told)
    # Not seen is not the same as not there: a picture never rules a marking out.
    told = f"no {expects.label} was seen; that excludes nothing"
    return Verdict(claim, "undecided", (), (), told)


_JUDGES: dict[type, Callable[..., Verdict]] = {
    Count: _count,
    Within: _within,
    Before: _before,
    AtOnce: _at_once,
    Visible: _visible,
}


def judge(claim: Claim, line: Timeline) -> Verdict:
    """Hold one claim against everything found.

    Parameters
    ----------
    claim
        The sentence, its source, and what it expects.
    line
        What happened on the incident clock, and what was observed.

    Returns
    -------
    Verdict
        *supported*, *contradicted* or *undecided*, with the findings for and against and the
        margin in seconds where there is one.

    When it errs
    ------------
    It is as good as the events. A number of impulses is denied above what the clips may have
    missed, which speaks of those as loud as the ones found: in a volley no louder than the
    background it is too low in one scene of ten. Of single impulses 10 dB above the background,
    two in a hundred are neither found nor in doubt, and count as "none heard" (ASTM E3016:
    incompleteness). Both are measured in ``benchmarks/results/events.json``.
    """
    alone = line.unplaced.get(getattr(claim.expects, "clip", ""))
    verdict: Verdict = _JUDGES[type(claim.expects)](claim, claim.expects, alone or line)
    if alone is None:
        return verdict
    # What one clip shows needs no other clock; what it shares with others cannot be known.
    told = f"{verdict.reason}; on the clip's own clock: it has no place on the incident's"
    return structs.replace(verdict, reason=told)
