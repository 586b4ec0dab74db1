"""Claims against evidence: supported, contradicted, undecided, and never more than is known."""

from __future__ import annotations

import pytest
from msgspec import structs

from forensics.incident_claims import Occurrence, Tally, Timeline, judge
from forensics.model import AtOnce, Before, Claim, Count, Expectation, Interval, Visible, Within


def _seen(
    label: str, at: float, *, by: tuple[str, ...] = ("a", "b"), missed: tuple[str, ...] = (),
    spread: float = 0.05, score: float = 1.0,
) -> Occurrence:  # fmt: skip
    ids = tuple(f"{label}{at}{c}" for c in by)
    return Occurrence(label, Interval(at, at, spread), by, ids, missed, score)


def _line(
    *seen: Occurrence, blind: dict[str, tuple[str, ...]] | None = None, more: int = 0
) -> Timeline:
    """Sixty seconds that two clips heard; each may have missed `more`."""
    whole = Interval(0, 60, 0.0)
    kinds = ("impulse", "enters", "falls", "flash", "marking")
    heard = tuple(Tally(c, whole, more, (whole,)) for c in "ab")
    observed = dict.fromkeys(kinds, (whole,))
    return Timeline(seen, observed, blind or {}, tallies={"impulse": heard})


def _outcome(expects: Expectation, line: Timeline) -> str:
    verdict = judge(Claim("c", "text", "source", expects), line)
    assert verdict.reason
    return verdict.outcome


SHOTS = [_seen("impulse", t) for t in (10.0, 12.0, 15.0)]


@pytest.mark.parametrize(
    ("n", "at_least", "outcome"),
    [(3, False, "supported"), (2, False, "contradicted"), (2, True, "supported"),
     (4, False, "contradicted"), (4, True, "contradicted")],
)  # fmt: skip
def test_counting(n: int, at_least: bool, outcome: str) -> None:
    assert _outcome(Count("impulse", n, at_least), _line(*SHOTS)) == outcome


@pytest.mark.parametrize(
    ("n", "at_least", "outcome"),
    [(2, False, "contradicted"), (3, False, "undecided"), (4, False, "undecided"),
     (5, False, "contradicted"), (3, True, "supported"), (4, True, "undecided"),
     (5, True, "contradicted")],
)  # fmt: skip
def test_a_number_is_denied_only_outside_the_count(n: int, at_least: bool, outcome: str) -> None:
    # Three were heard, and there may have been a fourth: a volley that was undercounted.
    assert _outcome(Count("impulse", n, at_least), _line(*SHOTS, more=1)) == outcome
    said = judge(Claim("c", "text", "source", Count("impulse", n, at_least)), _line(*SHOTS, more=1))
    assert said.margin is not None and (said.margin.low, said.margin.high) == (3, 4)


def test_without_an_upper_end_no_number_is_too_great() -> None:
    line = structs.replace(_line(*SHOTS), tallies={})
    assert _outcome(Count("impulse", 9), line) == "undecided"
    assert _outcome(Count("impulse", 3), line) == "undecided"
    assert _outcome(Count("impulse", 3, at_least=True), line) == "supported"
    assert _outcome(Count("impulse", 2), line) == "contradicted"


def test_what_one_clip_may_have_missed_counts_where_only_it_was_recording() -> None:
    # "a" recorded the first half, "b" the second: what either missed adds up.
    first, second, whole = Interval(0, 13, 0), Interval(13, 60, 0), Interval(0, 60, 0)

    def heard(missed_a: int, missed_b: int, *others: Tally) -> Timeline:
        by = (Tally("a", first, missed_a, (first,)), Tally("b", second, missed_b, (second,)))
        return structs.replace(_line(*SHOTS), tallies={"impulse": (*by, *others)})

    assert _outcome(Count("impulse", 4), heard(0, 0)) == "contradicted"
    assert _outcome(Count("impulse", 4), heard(1, 0)) == "undecided"
    assert _outcome(Count("impulse", 5), heard(1, 1)) == "undecided"
    assert _outcome(Count("impulse", 6), heard(1, 1)) == "contradicted"
    # A third clip that missed none of the three throughout rules out more.
    assert _outcome(Count("impulse", 4), heard(9, 9, Tally("c", whole, 0))) == "contradicted"
    # One that missed a shot that is certain hears too little to rule out anything.
    far = [structs.replace(o, missed_by=("c",)) for o in SHOTS]
    line = structs.replace(heard(9, 9, Tally("c", whole, 0)), occurrences=tuple(far))
    assert _outcome(Count("impulse", 4), line) == "undecided"
    # What a clip may have missed lies where it shows something, not in the seconds only it has.
    early = Tally("c", Interval(-5, 60, 0), 6, (Interval(20, 21, 0),))
    assert _outcome(Count("impulse", 4), heard(0, 0, early)) == "contradicted"
    early = structs.replace(early, busy=(Interval(-1, -1, 0),))
    assert _outcome(Count("impulse", 4), heard(0, 0, early)) == "undecided"


def test_a_class_of_sound_denies_no_number() -> None:
    shots = [structs.replace(o, label="impulse:gunshot-like") for o in SHOTS]
    assert _outcome(Count("impulse:gunshot-like", 2), _line(*shots)) == "undecided"
    assert _outcome(Count("impulse", 2), _line(*shots)) == "contradicted"
    assert _outcome(Count("impulse:gunshot-like", 3), _line(*shots)) == "supported"
    # A certain one of another class may have been of this one.
    mixed = [*shots[:2], structs.replace(SHOTS[2], label="impulse:blow-like")]
    assert _outcome(Count("impulse:gunshot-like", 3), _line(*mixed)) == "undecided"
    assert _outcome(Count("impulse:gunshot-like", 4), _line(*mixed)) == "contradicted"


def test_one_clip_alone_needs_a_score_that_surely_counts() -> None:
    weak = _seen("impulse", 20.0, by=("a",), score=0.8)
    assert _outcome(Count("impulse", 0), _line(weak)) == "undecided"
    assert _outcome(Count("impulse", 0, clip="a"), _line(weak)) == "undecided"
    both = _seen("impulse", 20.0, score=0.8)
    assert _outcome(Count("impulse", 0), _line(both)) == "contradicted"


def test_what_may_be_a_shot_decides_no_order() -> None:
    early = _seen("enters:bench", 5.0, by=("cctv",))
    warned, never = Before("impulse", "falls"), Before("impulse", "falls", never=True)
    fall = _seen("falls:bench", 9.0, by=("cctv",))
    line = _line(fall, *SHOTS)
    assert (_outcome(never, line), _outcome(warned, line)) == ("supported", "contradicted")
    for at, said in ((4.0, "undecided"), (30.0, "supported")):
        doubt = structs.replace(line, doubts={"impulse": (Interval(at, at + 1, 0.0),)})
        assert _outcome(never, doubt) == said
    # The first certain shot need not be the first: one may have come before they entered.
    entered = Before("enters:bench", "impulse")
    assert _outcome(entered, _line(early, *SHOTS)) == "supported"
    maybe = structs.replace(_line(early, *SHOTS), doubts={"impulse": (Interval(3, 4, 0.0),)})
    assert _outcome(entered, maybe) == "undecided"
    lone = _seen("impulse", 3.0, by=("a",), missed=("b",))
    assert _outcome(entered, _line(early, lone, *SHOTS)) == "undecided"


def test_one_witness_among_several_is_only_possible() -> None:
    lone = _seen("impulse", 20.0, by=("a",), missed=("b",))
    assert _outcome(Count("impulse", 3), _line(*SHOTS, lone)) == "undecided"
    assert _outcome(Count("impulse", 4), _line(*SHOTS, lone)) == "undecided"
    assert _outcome(Count("impulse", 3, True), _line(*SHOTS, lone)) == "supported"


def test_too_few_is_undecided_where_one_could_not_hear() -> None:
    deaf = {"impulse": ("phone b: wind",)}
    assert _outcome(Count("impulse", 4), _line(*SHOTS, blind=deaf)) == "undecided"
    assert _outcome(Count("impulse", 4), Timeline(tuple(SHOTS))) == "undecided"


def test_a_window_is_judged_with_its_uncertainty() -> None:
    assert _outcome(Count("impulse", 3, window_s=5.2), _line(*SHOTS)) == "supported"
    assert _outcome(Count("impulse", 3, window_s=5.05), _line(*SHOTS)) == "undecided"
    assert _outcome(Count("impulse", 3, window_s=4.0), _line(*SHOTS)) == "contradicted"
    assert _outcome(Count("impulse", 4, window_s=10.0), _line(*SHOTS)) == "contradicted"


def test_order_and_its_absence() -> None:
    early = _seen("enters:bench", 5.0, by=("cctv",))
    late = _seen("enters:bench", 30.0, by=("cctv",))
    near = _seen("enters:bench", 9.98, by=("cctv",))
    before, never = Before("enters:bench", "impulse"), Before("enters:bench", "impulse", never=True)
    assert _outcome(before, _line(early, *SHOTS)) == "supported"
    assert _outcome(never, _line(early, *SHOTS)) == "contradicted"
    assert _outcome(before, _line(late, *SHOTS)) == "contradicted"
    assert _outcome(never, _line(late, *SHOTS)) == "supported"
    assert _outcome(never, _line(near, *SHOTS)) == "undecided"
    assert _outcome(never, _line(early)) == "undecided"


def test_hidden_by_a_tree_is_not_absent() -> None:
    hidden = {"enters": ("cctv: the tree hides part of the bench",)}
    never = Before("enters:bench", "impulse", never=True)
    assert _outcome(never, _line(*SHOTS, blind=hidden)) == "undecided"
    assert _outcome(never, _line(*SHOTS)) == "supported"


def test_nothing_recorded_before_decides_nothing() -> None:
    line = Timeline(tuple(SHOTS), {"enters": (Interval(11, 60, 0),)})
    assert _outcome(Before("enters:bench", "impulse"), line) == "undecided"


def test_one_thing_follows_another() -> None:
    fall = _seen("falls:bench", 10.4, by=("cctv",))
    assert _outcome(Within("impulse", "falls", 2.0), _line(fall, *SHOTS)) == "supported"
    assert _outcome(Within("impulse", "falls", 0.4), _line(fall, *SHOTS)) == "undecided"
    assert _outcome(Within("impulse", "falls", 0.2), _line(fall, *SHOTS)) == "contradicted"
    assert _outcome(Within("impulse", "falls", 2.0), _line(*SHOTS)) == "undecided"


def test_a_late_fall_does_not_exclude_one_behind_the_tree() -> None:
    late = _seen("falls:bench", 31.0, by=("cctv",))
    hidden = {"falls": ("cctv: the tree hides part of the bench",)}
    follows = Within("impulse", "falls:bench", 2.0)
    assert _outcome(follows, _line(late, *SHOTS)) == "contradicted"
    assert _outcome(follows, _line(late, *SHOTS, blind=hidden)) == "undecided"
    together = AtOnce(("impulse", "falls:bench"), 1.0)
    assert _outcome(together, _line(late, *SHOTS)) == "contradicted"
    assert _outcome(together, _line(late, *SHOTS, blind=hidden)) == "undecided"


def test_what_is_unsure_decides_nothing() -> None:
    shot = SHOTS[0]
    fall = _seen("falls:bench", 10.4, by=("cctv",), score=0.4)
    assert _outcome(Within("impulse", "falls", 2.0), _line(fall, shot)) == "undecided"
    assert _outcome(AtOnce(("impulse", "falls"), 2.0), _line(fall, shot)) == "undecided"
    clear = _seen("falls:bench", 11.5, by=("cctv",))
    assert _outcome(Within("impulse", "falls", 2.0), _line(fall, clear, shot)) == "supported"
    early = _seen("enters:bench", 5.0, by=("cctv",), score=0.4)
    never = Before("enters:bench", "impulse", never=True)
    assert _outcome(never, _line(early, shot)) == "undecided"


def test_an_exact_number_needs_every_ear() -> None:
    deaf = {"impulse": ("phone b: wind",)}
    assert _outcome(Count("impulse", 3), _line(*SHOTS, blind=deaf)) == "undecided"
    assert _outcome(Count("impulse", 3, True), _line(*SHOTS, blind=deaf)) == "supported"
    wide = Count("impulse", 3, True, window_s=4.0)
    assert _outcome(wide, _line(*SHOTS, blind=deaf)) == "undecided"


def test_two_before_are_more_than_one() -> None:
    arrives = _seen("enters:bench", 11.0, by=("cctv",))
    line = _line(arrives, *SHOTS)
    assert _outcome(Before("impulse", "enters:bench"), line) == "supported"
    assert _outcome(Before("impulse", "enters:bench", first_n=2), line) == "contradicted"


def test_one_recording_is_never_shown_by_silence() -> None:
    none = Count("discontinuity", 0, clip="cctv")
    still = {"discontinuity": ("cctv: nothing moves",)}
    whole = {"discontinuity": (Interval(0, 60, 0.0),)}
    assert _outcome(none, Timeline((), whole, still)) == "undecided"
    cut = _seen("discontinuity:deletion", 9.0, by=("cctv",))
    assert _outcome(none, Timeline((cut,), whole, still)) == "contradicted"


def test_at_once() -> None:
    flash = _seen("flash", 10.1)
    assert _outcome(AtOnce(("impulse", "flash"), 0.5), _line(flash, *SHOTS)) == "supported"
    assert _outcome(AtOnce(("impulse", "flash"), 0.15), _line(flash, *SHOTS)) == "undecided"
    far = _seen("flash", 30.0)
    assert _outcome(AtOnce(("impulse", "flash"), 0.5), _line(far, *SHOTS)) == "contradicted"
    assert _outcome(AtOnce(("impulse", "flash"), 0.5), _line(*SHOTS)) == "undecided"


def test_two_events_of_one_clock_have_a_reason_in_place_of_an_interval_of_no_width() -> None:
    one, other = (_seen(what, 10.0 + k, spread=0.0) for k, what in enumerate(("impulse", "flash")))
    for expects in (AtOnce(("impulse", "flash"), 2.0), Within("impulse", "flash", 2.0)):
        said = judge(Claim("c", "text", "source", expects), _line(one, other))
        assert said.outcome == "supported" and said.margin is not None
        assert said.margin.low is None and "one clock" in said.margin.note


def test_not_seen_is_never_not_there() -> None:
    assert _outcome(Visible("marking:x"), _line()) == "undecided"
    assert _outcome(Visible("marking:x", never=True), _line()) == "undecided"
    near = judge(
        Claim("c", "text", "source", Visible("marking:x")), _line(_seen("possible-marking:x", 3.0))
    )
    assert near.outcome == "undecided" and near.for_
    found = _seen("marking:x", 3.0)
    assert _outcome(Visible("marking:x"), _line(found)) == "supported"
    assert _outcome(Visible("marking:x", never=True), _line(found)) == "contradicted"
