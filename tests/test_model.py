"""The vocabulary: exact times, honest quantities, canonical JSON, refusal of the unknown."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics import model
from forensics.errors import RecordInvalid
from forensics.model import Box, Cut, Observation, Quantity, Span

times = st.fractions(min_value=0, max_value=100_000, max_denominator=90_000)


@given(times, times, times, times)
def test_spans_intersect_like_intervals(a: Fraction, b: Fraction, c: Fraction, d: Fraction) -> None:
    one, two = Span(min(a, b), max(a, b)), Span(min(c, d), max(c, d))
    shared = one & two
    assert shared == two & one
    if shared is None:
        assert one.end < two.start or two.end < one.start
    else:
        assert shared.start in one and shared.start in two and shared.length <= one.length
    assert (one | two) & one == one


def test_a_span_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(RecordInvalid, match="ends before"):
        Span.of(2, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0:00:00.000"), (Fraction(3661001, 1000), "1:01:01.001"), (-1.5, "-0:00:01.500")],
)
def test_clock_text(value: Fraction, text: str) -> None:
    assert model.clock_text(value) == text


def test_a_number_without_interval_must_say_why() -> None:
    with pytest.raises(RecordInvalid, match="why"):
        Quantity(1.0, "s")
    assert "one clip" in str(Quantity(1.0, "s", note="one clip only"))
    assert str(Quantity(1.0, "s", 0.5, 1.5)) == "1 s [0.5, 1.5]"
    assert str(Quantity(-8.8e-13, "ppm", -110.0, 110.0)) == "0 ppm [-110, 110]"
    assert str(Quantity(-0.0, "s", -0.0, -0.0)) == "0 s [0, 0]"
    # No digit beyond what is known, and none that says "nothing" where there is something.
    assert str(Quantity(0.75, "", 0.19412, 0.993691)) == "0.75 [0.19, 0.99]"
    assert str(Quantity(-12.5665, "dBFS", -14.8732, -10.6295)) == "-12.6 dBFS [-14.9, -10.6]"
    assert str(Quantity(0.5, "", 0.0004, 0.9)) == "0.5 [0.0004, 0.9]"
    assert str(Quantity(8.2e-10, "", 1e-10, 3e-9)) == "8.2e-10 [1e-10, 3e-09]"
    assert str(Quantity(1234567, "px", 1.1e6, 1.4e6)) == "1234567 px [1100000, 1400000]"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(RecordInvalid):
        Quantity(bad, "s", note="x")
    with pytest.raises(RecordInvalid):
        model.canonical_json({"a": [bad]})


def test_one_value_one_byte_sequence() -> None:
    seen = Observation(
        Cut("cut", 3, Fraction(1, 25)),
        Span.of(0, 0.12),
        0.5,
        measures={"b": Quantity.exact(1, "px"), "a": Quantity(1, "s", 0, 2)},
    )
    written = model.canonical_json(seen)
    assert model.from_json(written, Observation) == seen
    assert written.index(b'"a"') < written.index(b'"b"')
    assert model.content_hash(seen) == model.content_hash(model.from_json(written, Observation))


def test_unknown_fields_and_wrong_types_are_refused() -> None:
    with pytest.raises(RecordInvalid):
        model.from_json(b'{"start":"0/1","end":"1/1","person":"x"}', Span)
    with pytest.raises(RecordInvalid):
        model.from_json(b'{"start":0.1,"end":"1/1"}', Span)


def test_a_score_outside_its_range_is_refused() -> None:
    with pytest.raises(RecordInvalid):
        Observation(Cut("cut", 0, Fraction(0)), None, 1.5)


@given(st.binary(min_size=1, max_size=40).filter(lambda b: b"\0" not in b))
def test_any_file_name_survives_the_record(raw: bytes) -> None:
    path = Path(os.fsdecode(raw))
    again = model.from_json(model.canonical_json(path), Path)
    assert os.fsencode(again) == os.fsencode(path)


def test_box_overlap_is_symmetric_and_bounded() -> None:
    one, two = Box(0, 0, 10, 10), Box(5, 5, 10, 10)
    assert one.overlap(two) == two.overlap(one) == pytest.approx(25 / 175)
    assert one.overlap(one) == 1
    assert one.overlap(Box(20, 20, 1, 1)) == 0


def test_no_field_can_hold_a_person() -> None:
    words = {"person", "face", "identity", "suspect", "age", "gender", "embedding", "owner"}
    for name in dir(model):
        fields = getattr(getattr(model, name), "__struct_fields__", ())
        assert not words & set(fields), f"{name} has a field that could hold a person"
