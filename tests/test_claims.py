"""Claims against evidence: supported, contradicted, undecided, and never more than is known."""

from __future__ import annotations

import pytest
from msgspec import structs

from forensics.incident_claims import Occurrence, Timeline, judge
from forensics.model import AtOnce, Before, Claim, Count, Expectation, Interval, Visible, Within


def _seen(
    label: str, at: float, *, by: tuple[str, ...] = ("a", "b"), missed: tuple[str, ...] = (),
    spread: float = 0.05, score: float = 1.0,
) -> Occurrence:  # fmt: skip
    ids = tuple(f"{label}{at}{c}" for c in by)
    return Occurrence(label, Interval(at, at, spread), by, ids, missed, score)


def _line(*seen: Occurrence, blind: dict[str, tuple[str, ...]] | None = None) -> Timeline:
    whole = (Interval(0, 60, 0.0),)
    kinds = ("impulse", "enters", "falls", "flash", "marking")
    return Timeline(seen, dict.fromkeys(kinds, whole), blind or {})


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


def test_what_the_roar_of_a_shot_may_hide_is_not_denied() -> None:
    burst = [structs.replace(SHOTS[0], may_hide=1), *SHOTS[1:]]
    assert _outcome(Count("impulse", 3), _line(*burst)) == "undecided"
    assert _outcome(Count("impulse", 4), _line(*burst)) == "undecided"
    assert _outcome(Count("impulse", 3, at_least=True), _line(*burst)) == "supported"
    assert _outcome(Count("impulse", 2), _line(*burst)) == "contradicted"
    assert _outcome(Count("impulse", 5), _line(*burst)) == "contradicted"
    said = judge(Claim("c", "text", "source", Count("impulse", 4)), _line(*burst))
    assert said.margin is not None and said.margin.high == 4 and "roar" in said.reason


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
