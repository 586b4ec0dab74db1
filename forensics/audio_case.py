"""What one alignment knows while it is made, and its pairs as evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from forensics.audio_features import Heard
from forensics.audio_match import match_pair
from forensics.audio_pairs import ENVELOPE_S, Candidate_, Judged, log_odds
from forensics.audio_solve import Edge, Solution, components
from forensics.audio_sources import Arrivals, known_arrivals
from forensics.audio_spread import BEST_S, LEAST_LEFT
from forensics.model import Clip, PairEvidence, Quantity, Unplaced

__all__ = ["Case", "arrivals_of", "leave_out", "pair_evidence", "warn"]

#: With up to this many clips every pair goes on record; beyond it those with some evidence.
_ALL_PAIRS = 30
#: Offsets listed of a pair whose sound repeats.
_RIVALS = 24


@dataclass
class Case:
    """What one call of `align_clips` knows; `names` by digest for reasons in words."""

    clips: list[Clip]
    heard: dict[str, Heard] = field(default_factory=dict)
    unplaced: dict[str, Unplaced] = field(default_factory=dict)
    judged: dict[tuple[str, str], Judged] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def name(self, digest: str) -> str:
        return next((c.name for c in self.clips if c.digest == digest), digest[:12])

    def number(self, digest: str) -> int:
        return next(n for n, c in enumerate(self.clips) if c.digest == digest)


def arrivals_of(case: Case, item: Judged) -> Arrivals:
    """The local offsets of a joined pair about its offset."""
    one, two = case.heard[item.first], case.heard[item.second]
    best = item.candidates[0]
    lag = (best.first_s - one.start_s) - (best.second_s - two.start_s)
    return known_arrivals((item.first, item.second), one.features, two.features, lag)


def pair_evidence(
    case: Case, accepted: dict[tuple[str, str], Judged],
    residual: dict[tuple[str, str], tuple[float, bool]],
) -> Iterable[PairEvidence]:  # fmt: skip
    """Each compared pair as evidence in the order of the clips; `residual` by pair, in s, and
    whether the solution used it."""
    for key, item in case.judged.items():
        if len(case.heard) > _ALL_PAIRS and key not in accepted and item.p > 0.01:
            continue
        if item.spare:
            continue
        yield _pair(case, key, item, key in accepted, residual)


def _rivals(case: Case, item: Judged) -> list[Candidate_]:
    """Other offsets that fit nearly as well: of an ambiguous pair, all that can be told apart."""
    best = item.candidates[0]
    known = [o for o in item.candidates[1:] if o.strength >= 0.6 * best.strength]
    if not item.ambiguous:
        return known
    one, two = case.heard[item.first], case.heard[item.second]
    more = match_pair(one.features, two.features, keep=_RIVALS)
    for lag, score in zip(more.lags_s, more.scores, strict=True):
        if score < 0.5 * item.envelope_score:
            break
        at = max(0.0, -lag)
        option = Candidate_(at + lag + one.start_s, at + two.start_s, ENVELOPE_S, score)
        if all(abs(option.offset_s - o.offset_s) > 0.2 for o in [best, *known]):
            known.append(option)
    return known


def _pair(
    case: Case, key: tuple[str, str], item: Judged, joined: bool,
    residual: dict[tuple[str, str], tuple[float, bool]],
) -> PairEvidence:  # fmt: skip
    turned = case.number(item.first) > case.number(item.second)
    first, second = (item.second, item.first) if turned else (item.first, item.second)

    def offset(option: Candidate_) -> Quantity:
        value = -option.offset_s if turned else option.offset_s
        half = 1.96 * option.sigma_s + abs(option.second_s) * 78e-6 * (option.drift_ppm is None)
        note = "95 % of the timing alone: the travel of sound is in the placement"
        return Quantity(value, "s", value - half, value + half, note)

    best = item.candidates[0]
    # A pair that several offsets fit ties nothing, unless the others decided between them.
    value, used = residual.get(key, (None, not item.ambiguous))
    notes = []
    if item.piece_s is not None:
        length = item.piece_s[1] - item.piece_s[0]
        notes.append(
            f"a piece of about {length:.0f} s of the same soundtrack, to the sample; outside it "
            "they share nothing: a sound laid over both, not an event"
        )
    elif item.same_soundtrack:
        notes.append("same soundtrack to the sample: a copy or a sound laid over, not an event")
    if item.ambiguous:
        notes.append("other offsets fit nearly as well")
    if item.left is not None and item.left < LEAST_LEFT and item.envelope_score > item.left:
        notes.append(
            f"what is alike lies within {BEST_S:g} s of the time both recorded: one sound made "
            "twice looks the same"
        )
    if best.no_drift and item.false_join < 0.5:
        notes.append(f"no clock drift stated: {best.no_drift}")
    if joined and not used and key in residual:
        notes.append("rejected: does not close the loops of the other pairs")
    drift = None
    if best.drift_ppm is not None and best.drift_sigma_ppm is not None:
        ppm = -best.drift_ppm if turned else best.drift_ppm
        drift = Quantity(ppm, "ppm", ppm - 1.96 * best.drift_sigma_ppm,
                         ppm + 1.96 * best.drift_sigma_ppm)  # fmt: skip
    sd = "score in standard deviations, held against the table of strangers"
    measures = {
        "envelope": Quantity.exact(item.envelope_score, "sd", sd),
        "overlap": Quantity.exact(item.overlap_s, "s", "of the best lag"),
    }
    if item.left is not None:
        measures["left"] = Quantity.exact(
            item.left, "sd", f"score without the {BEST_S:g} s that fit best"
        )
    if item.phase is not None:
        measures["phase"] = Quantity.exact(item.phase.score, "sd", sd)
        measures["coherence"] = Quantity.exact(item.phase.coherence, "", "1: the same waveform")
        measures["arrivals"] = Quantity.exact(
            item.phase.spread_s, "s", "earliest to latest strong arrival: sources apart, or echoes"
        )
    if joined and used and not (item.same_soundtrack or item.ambiguous):
        around = arrivals_of(case, item)
        ends = sorted((-1.0 if turned else 1.0) * x for x in (around.low_s, around.high_s))
        measures["clocks"] = Quantity(
            -around.centre_s if turned else around.centre_s, "s", ends[0], ends[1],
            f"from this offset to the middle of the offsets of {around.windows} windows of 1 s, "
            "and where 80 % of them lie: sources apart, heard by turns",
        )
    return PairEvidence(
        first, second, "sound", offset(best), log_odds(item.p), joined and used,
        Quantity(item.false_join, "", note="upper bound from strangers, all pairs together"),
        drift, value if value is None or not turned else -value,
        tuple(offset(o) for o in _rivals(case, item)),
        "; ".join(notes), measures,
    )  # fmt: skip


def leave_out(
    case: Case, placed: set[str], accepted: dict[tuple[str, str], Judged]
) -> None:
    """Say of each clip that is neither placed nor left out yet why it is not."""
    for clip in case.clips:
        digest = clip.digest
        if digest in placed or digest in case.unplaced:
            continue
        mine = [v for k, v in case.judged.items() if digest in k]
        joined = [v for k, v in accepted.items() if digest in k]
        best = min(mine, key=lambda v: v.p, default=None)
        if best is None:
            reason = (
                "there is no other clip with sound to compare it with" if len(case.heard) < 2
                else f"no shared sound: none of {len(case.heard) - 1} other clips comes near"
            )  # fmt: skip
        elif any(v.same_soundtrack for v in joined):
            item = next(v for v in joined if v.same_soundtrack)
            other = item.second if item.first == digest else item.first
            part = "" if item.piece_s is None else "a piece of "
            reason = (
                f"it carries {part}the same soundtrack as {case.name(other)}, to the sample: a "
                "copy, or one sound laid over both; the offset stands in the pair, but it is no "
                "evidence of the same event (see copies.find_copies)"
            )
        elif joined:
            reason = (
                "what it shares with other clips repeats: several offsets fit nearly as well, and "
                "nothing else decides between them (see the pairs' rivals)"
            )
        else:
            other = best.second if best.first == digest else best.first
            reason = (
                f"no shared sound: the best of {len(mine)} comparisons, with {case.name(other)}, "
                f"would be reached by strangers with probability {best.false_join:.2g}"
            )
        case.unplaced[digest] = Unplaced(digest, "nothing-found", reason)


def warn(
    case: Case, solutions: Sequence[Solution], edges: Sequence[Edge],
    accepted: dict[tuple[str, str], Judged], residual: dict[tuple[str, str], tuple[float, bool]],
) -> None:  # fmt: skip
    """Warn of shared soundtracks, pairs that do not close loops, single threads and groups."""
    same = [v for v in accepted.values() if v.same_soundtrack]
    alike = [(case.number(v.first), case.number(v.second)) for v in same]
    for group in components(len(case.clips), alike):
        if len(group) > 1:
            names = ", ".join(case.clips[n].name for n in group)
            case.warnings.append(
                f"the same soundtrack, to the sample, is on {names}: copies, or one sound laid "
                "over; not independent evidence of one event"
            )
    for item in accepted.values():
        if not item.same_soundtrack and (rate := arrivals_of(case, item).rate):
            case.warnings.append(
                f"the offset of {case.name(item.first)} and {case.name(item.second)} grows by "
                f"{100 * abs(rate):.1f} s in 100 s: one has a wrong sample rate, or was played at "
                "another speed, or something drove past; they are placed for the middle of what "
                "they share, and elsewhere the placement is off by that much"
            )
    for (one, two), (_, used) in residual.items():
        if not used:
            case.warnings.append(
                f"the pair {case.name(one)} and {case.name(two)} was rejected: it does not close "
                "loops"
            )
    for solution in solutions:
        for clip in solution.clips:
            touching = [n for n in solution.used if clip in (edges[n].i, edges[n].j)]
            if len(touching) == 1 and len(solution.clips) > 2:
                case.warnings.append(
                    f"{case.clips[clip].name} hangs on a single pair: no loop checks it"
                )
    if len(solutions) > 1:
        case.warnings.append(
            f"{len(solutions)} groups of clips share no evidence with each other: each has its own "
            "clock, and nothing bridges them"
        )
