"""Silent clips placed by what they share: right where it is shared, refused where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.audio_silent import pair_by_clock, pair_by_flash, pair_by_motion
from forensics.model import (
    Box,
    ClockReading,
    Coverage,
    ErrorRate,
    Examination,
    Finding,
    Observation,
    Origin,
    Quantity,
    Span,
    Uncalibrated,
)


def reading(start_s: float, wall: str, name: str) -> Examination:
    origin = Origin("clock-read", "1", (name,), {}, {})
    said = ClockReading(0, Span.of(0, 1).start, wall, wall, Box(0.0, 0.0, 9.0, 9.0))
    known: ErrorRate | Uncalibrated = Uncalibrated("a test")
    seen = Observation(said, Span.of(0, 1), 0.9)
    return Examination(
        origin, "found", (Finding(seen, origin, known),), Coverage(Span.of(0, 9), 9),
        measures={"offset": Quantity(start_s, "s", start_s - 0.05, start_s + 0.05)},
    )  # fmt: skip


def test_clocks_place_and_their_settings_widen_the_interval() -> None:
    a = reading(78400.3, "2021-10-14T21:46:40", "a" * 64)
    b = reading(78412.8, "2021-10-14T21:46:52", "b" * 64)
    same = pair_by_clock(a, b, settings_apart_s=0)
    assert same.offset is not None and same.offset.value == pytest.approx(12.5)
    assert same.offset.high - same.offset.low < 0.2 and same.basis == "clock"
    loose = pair_by_clock(a, b, settings_apart_s=20)
    assert loose.offset is not None and loose.offset.high - loose.offset.low > 39
    assert "examiner" in loose.note


def test_clocks_know_about_days() -> None:
    a = reading(86399.0, "2021-10-14T23:59:59", "a" * 64)
    b = reading(1.0, "2021-10-15T00:00:01", "b" * 64)
    pair = pair_by_clock(a, b, settings_apart_s=0)
    assert pair.offset is not None and pair.offset.value == pytest.approx(2.0)
    undated = pair_by_clock(reading(86399.0, "23:59:59", "a"), reading(1.0, "00:00:01", "b"))
    assert undated.offset is not None and undated.offset.value == pytest.approx(2.0)
    assert "date is missing" in undated.note


def test_without_a_reading_there_is_no_offset() -> None:
    a = reading(78400.3, "2021-10-14T21:46:40", "a" * 64)
    empty = Examination(a.origin, "nothing-found", (), Coverage(Span.of(0, 9), 9))
    pair = pair_by_clock(a, empty)
    assert pair.offset is None and not pair.accepted and "no legible clock" in pair.note


@pytest.mark.parametrize("offset", [-17.2, 0.0, 33.4])
def test_flashes_place_to_a_frame(offset: float) -> None:
    rng = np.random.default_rng(4)
    a = np.sort(rng.uniform(0, 90, 7))
    b = a[1:] - offset + rng.uniform(-0.02, 0.02, 6)
    pair = pair_by_flash(a, b)
    assert pair.accepted and pair.offset is not None
    assert pair.offset.low <= offset <= pair.offset.high
    assert pair.offset.high - pair.offset.low < 0.2


def test_an_even_blink_has_rivals_and_is_not_accepted() -> None:
    blink = np.arange(0, 40, 2.0)
    pair = pair_by_flash(blink, blink[3:] - 1.0)
    assert not pair.accepted and pair.rivals


def test_one_flash_is_not_enough_and_strangers_do_not_join() -> None:
    assert pair_by_flash([3.0], [5.0]).offset is None
    rng = np.random.default_rng(9)
    joined = sum(
        pair_by_flash(np.sort(rng.uniform(0, 90, 6)), np.sort(rng.uniform(0, 90, 6))).accepted
        for _ in range(300)
    )
    assert joined <= 9


def energy(seed: int, seconds: float = 90, rate: int = 10) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    course = np.full(n, 1.0)
    for at in rng.uniform(0, n, 14):
        length = int(rng.uniform(0.5, 4) * rate)
        course[int(at) : int(at) + length] += rng.uniform(2, 8)
    return course


def test_movement_places_two_views_of_one_scene() -> None:
    rng = np.random.default_rng(1)
    shared = energy(2)
    a = shared * rng.uniform(0.8, 1.2, len(shared))
    b = (0.5 * shared * rng.uniform(0.7, 1.3, len(shared)) + 0.2)[125:]
    pair = pair_by_motion(a, b, 10.0)
    assert pair.accepted and pair.offset is not None and pair.basis == "motion"
    assert pair.offset.low <= 12.5 <= pair.offset.high


def test_movement_of_strangers_is_not_joined() -> None:
    joined = sum(
        pair_by_motion(energy(10 + k), energy(500 + k), 10.0).accepted for k in range(60)
    )
    assert joined <= 3


def test_too_little_movement_is_said_to_be_so() -> None:
    pair = pair_by_motion(np.ones(30), np.ones(30), 10.0)
    assert pair.offset is None and "needed" in pair.note
