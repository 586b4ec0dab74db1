"""N clips of one incident on one clock, by their sound: evidence per pair, one global solution.

Offsets are *presentation time to presentation time* in seconds; positive: this clip starts later
than the reference. `align_clips` decodes each clip once, compares all pairs, holds every pair
against a table of strangers, solves all that agree together, and says of each clip left out why.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from forensics.audio_breaks import OffsetBreak, local_offset_breaks
from forensics.audio_case import Case, arrivals_of, leave_out, pair_evidence, warn
from forensics.audio_features import hear
from forensics.audio_jumps import find_jumps, jump_observations
from forensics.audio_mute import By, tie_case
from forensics.audio_pairs import (
    Candidate_,
    Judged,
    judge,
    likeliest,
    log_odds,
    measure_pairs,
    refine_pairs,
)
from forensics.audio_place import placements_of
from forensics.audio_solve import Edge, Solution, components, solve
from forensics.calibration import error_rate
from forensics.errors import ForensicsError, RecordInvalid, SignalTooShort, StreamMissing
from forensics.model import (
    Alignment,
    Anchor,
    Clip,
    ClipBreak,
    Coverage,
    Examination,
    NotTestable,
    OffsetJump,
    PairEvidence,
    Placement,
    Progress,
    Quantity,
    Span,
    Unplaced,
)  # fmt: skip
from forensics.provenance import (
    check_not_listening_copy,
    conclude,
    current_origin,
    method,
)

__all__ = ["OffsetBreak", "align_clips", "find_offset_breaks", "local_offset_breaks"]


@method(
    "audio-align",
    version="5",
    references=(
        "Knapp and Carter 1976, The generalized correlation method for estimation of time delay",
        "SWGDE Best Practices for Digital Audio Authentication",
    ),
)
def align_clips(
    clips: Sequence[Clip],
    *,
    anchors: tuple[Anchor, ...] = (),
    ties: tuple[PairEvidence, ...] = (),
    silent_by: tuple[By, ...] = ("flash", "motion"),
    breaks: tuple[ClipBreak, ...] = (),
    max_false_join: float = 0.01,
    spacing_m: float = 60.0,
    progress: Progress | None = None,
) -> Alignment:
    """Put clips of one incident on one clock by what their sound shares.

    Parameters
    ----------
    clips
        Opened clips, in any order. The first one placed of each group is its reference.
    anchors
        Starts of clips on the clock of the first clip that the examiner vouches for. They enter
        the same solution, under the examiner's name.
    ties
        Pairs that another method ties together: `PairEvidence` with an offset, its basis kept.
    silent_by
        What ties clips without usable sound to placed ones, the first that does: "clock" (reads
        burned-in clocks, slow), "flash", "motion". Empty: they are left out.
    breaks
        Where clips were found cut (`edits`). Of a clip without usable sound the side of its
        breaks that shows more is compared: that side is where its placement holds, and the
        measure ``anchor`` of its pair is a time in it.
    max_false_join
        Greatest accepted probability that any of the compared pairs would be joined by chance.
    spacing_m
        The 95 % interval of what sound ties allows each source of it to be this many metres
        nearer to one camera than to another: 343 m/s makes 60 m 175 ms. A clip that anchors, or
        what was seen, tie to the reference is known as well as they are.
    progress
        Called with (fraction, text).

    Returns
    -------
    Alignment
        `placements` with offset (s) and drift (ppm) and their 95 % intervals, one component per
        group of clips that share sound; `pairs` with their evidence; `unplaced` with the reason.
        A pair's offset is that of the source both heard best; placements lie in the middle of
        the offsets that several sources show (the measure ``clocks`` of the pair);
        `jumps` where the offset of two clips changes from one moment to the next: one of them
        lost or gained sound (see `find_offset_breaks`).

    Raises
    ------
    RecordInvalid
        An anchor or a tie names a clip that is not among `clips`, or has no offset.
    ClipRefused
        An anchor or a tie names a copy made for listening (`continuity.write_listening_copy`).
        Without one, such a copy is left out with the reason.

    When it errs
    ------------
    * Calls it wrongly when two places hear the same broadcast, or the same music is played in
      both: by sound alone that is one event (ASTM E3016: inaccuracy, association). The same
      soundtrack laid over two clips, and re-uploads, are recognised by agreeing to the sample
      and kept apart from event evidence; two fixed recorders on one clock can look like that.
    * A chant or a loop of music fits at many offsets. They are listed in `rivals`, and such a
      pair is not joined by itself: of looped music hardly any pair is, of chants a third
      (misinterpretation). It is called wrongly when only one of the repetitions lies where both
      clips overlap for long enough to be compared.
    * One short sound made twice, a cock's crow or a recording played again, is known by the rest of
      what both recorded not being alike; where they share less than 6.5 s it is not looked for.
      Clips of one event that share nothing but one such sound are left out for it.
    * Where one soundtrack lies under a voice louder than itself, it is taken for one event, also
      where only a piece of it does; two telephones that stand still before one loudspeaker, on
      clocks that agree to 2 ppm, can be taken for one soundtrack and left out.
    * Misses it when clips share less than about 5 s, when noise is 5 dB above what both heard,
      and when there is no sound: those clips are listed in `unplaced`. With n clips all pairs
      are held to the same limit together: the more clips, the clearer each pair must be.
    * The interval is too narrow when a source is further from one camera than from the other by
      more than `spacing_m` (inaccuracy, alteration).
    * Clock drift is stated for 25 s and more of a direct path that keeps to one line within
      0.05 ms; else the note says why not. Of a walking camera a drift cannot be told from the
      walk (1 m/s is 2,900 ppm). A camera carried towards the sound evenly and slowly looks like
      a slow clock: 1 mm/s is 3 ppm.
    * Of more than 100 clips each is compared in detail with the four that sound most like it, and
      with others where nothing else ties two groups; the pairs left out are not on record.
    * Says nothing about when it happened on the wall clock. Where a clip jumps, its placement
      holds on the side that more of the evidence lies on.
    """
    case = Case(_unique(clips))
    given = (*_anchored(anchors, case), *ties)
    _check(given, case)
    _listen(case, progress)
    accepted = _compare(case, max_false_join, progress)
    solutions, edges, bases = _solve(case, accepted, given)
    group = {case.clips[c].digest: n for n, s in enumerate(solutions) for c in s.clips}
    mute, lines = tie_case(case, group, by=silent_by, breaks=breaks, progress=progress)
    if lines:
        solutions, edges, bases = _solve(case, accepted, (*given, *lines))
    solutions.sort(key=lambda s: (-len(s.clips), min(s.clips)))
    placements: list[Placement] = []
    residual: dict[tuple[str, str], tuple[float, bool]] = {}
    for number, solution in enumerate(solutions):
        placements += placements_of(case, solution, edges, bases, number, spacing_m)
        for edge, value in solution.residual_s.items():
            pair = (case.clips[edges[edge].i].digest, case.clips[edges[edge].j].digest)
            residual[pair] = (value, edge in solution.used)
    for place in placements:
        case.unplaced.pop(place.clip, None)  # mute, but tied by an anchor
    leave_out(case, {p.clip for p in placements}, accepted)
    warn(case, solutions, edges, accepted, residual)
    jumps = find_jumps(case, solutions, accepted.values())
    case.warnings += [
        f"the offset of {case.name(j.first)} and {case.name(j.second)} jumps by "
        f"{j.jump.value:+.2f} s: "
        + (f"{case.name(j.clip)} lost or gained sound" if j.clip else "one of them was cut")
        for j in jumps
    ]
    order = {clip.digest: n for n, clip in enumerate(case.clips)}
    placements.sort(key=lambda p: (p.component, order[p.clip]))
    origin = current_origin()
    return Alignment(
        origin=origin, error_rate=error_rate(origin.method, origin.version, ""),
        reference=case.clips[solutions[0].clips[0]].digest if solutions else "",
        placements=tuple(placements),
        pairs=(*pair_evidence(case, accepted, residual), *given, *mute),
        components=tuple(tuple(case.clips[c].digest for c in sorted(s.clips)) for s in solutions),
        unplaced=tuple(sorted(case.unplaced.values(), key=lambda u: order[u.clip])),
        warnings=tuple(case.warnings), jumps=jumps,
    )  # fmt: skip


@method(
    "audio-offset-breaks", version="2",
    references=("SWGDE Best Practices for Digital Audio Authentication",),
)  # fmt: skip
def find_offset_breaks(
    clip: Clip, *, jumps: tuple[OffsetJump, ...], progress: Progress | None = None
) -> Examination:
    """Has this clip lost or gained sound, held against other clips of the same event?

    Parameters
    ----------
    clip
        An opened clip.
    jumps
        `Alignment.jumps` of an alignment that it was part of.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Discontinuity` observations of level "comparison". Hand them to `edits.find_edits` as
        `also` to have them merged with what the clip shows by itself.

    When it errs
    ------------
    With two clips it cannot say which of them jumps: "inconclusive", for both (ASTM E3016:
    inaccuracy, association); a third that recorded the same moment decides nearly always. Jumps
    below 0.2 s and above 4 s are not looked for, nor those within about 3 s of the ends of what
    two clips share, nor where no other clip recorded (incompleteness). Its place is 0.9 s either
    way, and more where both heard little. It errs where sources far apart take turns and one is
    heard in each clip only, and where sound repeats. It says nothing about a clip whose sound was
    shared by none, and does not tell a cut from dropped sound (misinterpretation).
    """
    mine = [j for j in jumps if clip.digest in (j.first, j.second)]
    length = clip.duration
    span = None if not length else Span(Fraction(0), Fraction(length))
    if clip.audio is None:
        return conclude(
            (), coverage=Coverage(span, 0, "pairs"), outcome="not-applicable",
            reason=f"{clip.name} has no sound",
        )  # fmt: skip
    alone = () if span is None else (NotTestable(span, "where no other clip heard the same"),)
    return conclude(
        jump_observations(clip, mine), coverage=Coverage(span, len(mine), "pairs", 0, alone)
    )


def _unique(clips: Sequence[Clip]) -> list[Clip]:
    return list({clip.digest: clip for clip in clips}.values())


def _check(anchors: Sequence[PairEvidence], case: Case) -> None:
    known = {clip.digest for clip in case.clips}
    for anchor in anchors:
        if anchor.offset is None or not {anchor.first, anchor.second} <= known:
            raise RecordInvalid(
                "an anchor needs an offset and two of the clips",
                hint="PairEvidence(first=DIGEST, second=DIGEST, basis='examiner', offset=...)",
            )
        for clip in case.clips:
            if clip.digest in (anchor.first, anchor.second):
                check_not_listening_copy(clip)


def _anchored(anchors: Sequence[Anchor], case: Case) -> list[PairEvidence]:
    first = case.clips[0].digest if case.clips else ""
    return [
        PairEvidence(
            first, a.clip, "examiner",
            Quantity(a.offset_s, "s", a.offset_s - a.uncertainty_s, a.offset_s + a.uncertainty_s),
            1.0, True, note=a.source,
        )
        for a in anchors if a.clip != first
    ]  # fmt: skip


def _listen(case: Case, progress: Progress | None) -> None:
    for number, clip in enumerate(case.clips):
        if progress is not None:
            progress(0.2 * number / len(case.clips), f"listening to {clip.name}")
        try:
            case.heard[clip.digest] = hear(clip)
        except (StreamMissing, SignalTooShort) as error:
            case.unplaced[clip.digest] = Unplaced(clip.digest, "not-applicable", error.message)
        except ForensicsError as error:
            reason = f"{error.message} ({error.hint})" if error.hint else error.message
            case.unplaced[clip.digest] = Unplaced(clip.digest, "failed", reason)


def _compare(
    case: Case, max_false_join: float, progress: Progress | None
) -> dict[tuple[str, str], Judged]:
    """Judge every two clips; the pairs that are evidence of one event, or of one soundtrack.

    Of many clips not every pair of one event is compared in detail. What was left out is, where
    it could tie together two groups that nothing else ties.
    """
    heard = list(case.heard.values())
    count = len(heard) * (len(heard) - 1) // 2
    measured = measure_pairs(heard, progress=progress)
    todo = measured
    while todo:
        for key, item in todo.items():
            one, two = (case.heard[digest] for digest in key)
            case.judged[key] = judge(item, one, two, pairs=count, clips=len(heard))
        tied = [
            (case.number(v.first), case.number(v.second)) for v in case.judged.values()
            if v.false_join <= max_false_join
            and not (v.spare or v.ambiguous or v.same_soundtrack)
        ]  # fmt: skip
        group = {
            case.clips[n].digest: number
            for number, members in enumerate(components(len(case.clips), tied))
            for n in members
        }
        apart = {k: v.p for k, v in case.judged.items() if v.spare and group[k[0]] != group[k[1]]}
        todo = refine_pairs([measured[key] for key in likeliest(apart, group)], case.heard)
    return {
        k: v for k, v in case.judged.items() if v.false_join <= max_false_join and not v.spare
    }


def _edge(case: Case, item: Judged) -> Edge:
    """A pair as an edge between the clocks: in the middle of the arrivals of several sources."""
    best = item.candidates[0]
    centre = 0.0 if item.same_soundtrack else arrivals_of(case, item).centre_s
    return Edge(
        case.number(item.first), case.number(item.second), best.first_s + centre, best.second_s,
        best.sigma_s, log_odds(item.p), best.drift_ppm, best.drift_sigma_ppm,
        tuple((c.first_s, c.second_s) for c in item.candidates[1:]),
    )  # fmt: skip


def _solve(
    case: Case, accepted: dict[tuple[str, str], Judged], anchors: Sequence[PairEvidence]
) -> tuple[list[Solution], list[Edge], list[str]]:
    """Event evidence and anchors first; then, apart from them, clips that share a soundtrack."""
    edges, bases = [], []
    for item in accepted.values():
        if not item.same_soundtrack and not item.ambiguous:
            edges.append(_edge(case, item))
            bases.append("sound")
    for anchor in anchors:
        offset = anchor.offset
        if offset is None:
            continue
        wide = 1.0 if offset.low is None or offset.high is None else offset.high - offset.low
        edges.append(
            Edge(case.number(anchor.first), case.number(anchor.second), offset.value, 0.0,
                 max(wide / 3.92, 1e-4), 30.0, heard=False)
        )  # fmt: skip
        bases.append(anchor.basis)
    edges, bases = _with_ambiguous(case, accepted, edges, bases)
    count = len(case.clips)
    solutions = solve(count, edges)
    placed = {clip for solution in solutions for clip in solution.clips}
    extra = [
        _edge(case, item) for item in accepted.values()
        if item.same_soundtrack and item.piece_s is None and not item.ambiguous
        and not {case.number(item.first), case.number(item.second)} & placed
    ]  # fmt: skip
    first = len(edges)
    edges += extra
    bases += ["soundtrack"] * len(extra)
    for solution in solve(count, extra, sources_s=0.0005):
        solutions.append(_renumbered(solution, first))
    return solutions, edges, bases


def _renumbered(solution: Solution, first: int) -> Solution:
    return Solution(
        solution.clips, solution.offset_s, solution.drift_ppm, solution.sigma_s,
        solution.drift_sigma_ppm, tuple(n + first for n in solution.used),
        tuple(n + first for n in solution.rejected),
        {n + first: r for n, r in solution.residual_s.items()}, solution.covariance,
        {n + first: e for n, e in solution.switched.items()},
    )  # fmt: skip


def _with_ambiguous(
    case: Case, accepted: dict[tuple[str, str], Judged], edges: list[Edge], bases: list[str]
) -> tuple[list[Edge], list[str]]:
    """Add pairs with rival offsets where the rest of the incident decides between the rivals.

    A pair of placed clips whose rivals include the solution supports it; a clip tied only by
    such pairs is placed if two of them, to different placed clips, agree on one offset.
    """
    open_pairs = [v for v in accepted.values() if v.ambiguous and not v.same_soundtrack]
    for _ in range(len(case.clips)):
        placed: dict[int, tuple[int, float]] = {}
        for group, solution in enumerate(solve(len(case.clips), edges)):
            for row, clip in enumerate(solution.clips):
                placed[clip] = (group, float(solution.offset_s[row]))
        votes: dict[tuple[int, int], list[tuple[float, Judged, Candidate_]]] = {}
        for item in open_pairs:
            i, j = case.number(item.first), case.number(item.second)
            if (i in placed) == (j in placed):
                continue
            inside, outside, sign = (i, j, 1.0) if i in placed else (j, i, -1.0)
            group, base = placed[inside]
            for option in item.candidates:
                shift = base + sign * (option.first_s - option.second_s)
                votes.setdefault((outside, group), []).append((shift, item, option))
        agreed = _agreed(votes)
        if not agreed:
            break
        for item, option in agreed:
            edges.append(
                Edge(case.number(item.first), case.number(item.second), option.first_s,
                     option.second_s, option.sigma_s, log_odds(item.p))
            )  # fmt: skip
            bases.append("sound")
            open_pairs.remove(item)
    return edges, bases


def _agreed(
    votes: dict[tuple[int, int], list[tuple[float, Judged, Candidate_]]],
) -> list[tuple[Judged, Candidate_]]:
    best: list[tuple[Judged, Candidate_]] = []
    for options in votes.values():
        groups: list[tuple[float, list[tuple[Judged, Candidate_]]]] = []
        for shift, _, _ in options:
            near: dict[tuple[str, str], tuple[Judged, Candidate_]] = {}
            for other, item, option in options:
                if abs(other - shift) < 0.25:
                    near.setdefault((item.first, item.second), (item, option))
            groups.append((shift, list(near.values())))
        shift, most = max(groups, key=lambda g: len(g[1]))
        # The rivals of a loop lie on one lattice, where several offsets agree: none is chosen.
        tied = any(len(g) >= len(most) and abs(at - shift) > 0.5 for at, g in groups)
        if len(most) >= 2 and not tied and len(most) > len(best):
            best = most
    return best
