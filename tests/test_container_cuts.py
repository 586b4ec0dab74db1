"""Rules that ids, stamps and chunks follow, and where they are broken."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.container_cuts import (
    _short_gops,
    find_clock_breaks,
    is_regular,
    read_id_pattern,
    restart_rows,
)
from forensics.container_timestamps import find_stamp_breaks, measure_timing

TICK = Fraction(1, 12800)


@given(st.integers(0, 200), st.integers(8, 60))
def test_untouched_ids_have_no_break(first: int, count: int) -> None:
    assert read_id_pattern(list(range(first, first + count))).breaks == ()
    assert read_id_pattern([(first + i) % 2 for i in range(count)]).breaks == ()
    assert read_id_pattern([first] * count).pattern == "constant"
    wrapped = [(first + i) % 16 for i in range(max(count, 20))]
    assert read_id_pattern(wrapped).breaks == ()


@given(st.integers(12, 60), st.integers(4, 8), st.integers(1, 30))
def test_removed_gops_are_counted(count: int, at: int, removed: int) -> None:
    ids = [i if i < at else i + removed for i in range(count)]
    found = read_id_pattern(ids)
    assert found.pattern == "counting" and found.breaks == (at,) and found.removed == (removed,)


@pytest.mark.parametrize("removed", range(1, 7))
def test_alternating_ids_show_odd_removals_only(removed: int) -> None:
    ids = [(i if i < 9 else i + removed) % 2 for i in range(30)]
    assert read_id_pattern(ids).breaks == ((9,) if removed % 2 else ())


def test_few_or_absent_ids_show_no_rule() -> None:
    assert read_id_pattern([0, 1, 0]).pattern == "none"
    assert read_id_pattern([-1] * 20).pattern == "none"
    rng = np.random.default_rng(0)
    assert read_id_pattern(rng.integers(0, 60000, 40).tolist()).breaks == ()


def test_chunks_are_regular_or_not() -> None:
    assert is_regular([128, 256, 384, 512], 576)
    assert not is_regular([128, 256, 384, 500], 576)
    assert not is_regular([128], 576)
    assert not is_regular([100, 200], 500)


def _stamps(steps: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)


@given(st.integers(1, 5000), st.integers(10, 300))
def test_an_even_clock_has_no_breaks(step: int, count: int) -> None:
    pts = _stamps([step] * count)
    assert find_stamp_breaks(pts, pts, TICK) == []
    assert measure_timing(pts, TICK).pattern == "constant"


@given(st.integers(2, 97), st.integers(2, 400))
def test_a_gap_is_found_with_its_length(at: int, missing: int) -> None:
    steps = [512] * 100
    steps[at] = 512 * (missing + 1)
    pts = _stamps(steps)
    found = find_stamp_breaks(pts, pts, TICK)
    assert [(b.kind, b.before, b.after) for b in found] == [("pts-gap", at, at + 1)]
    assert found[0].missing == pytest.approx(missing, abs=0.01)


def test_millisecond_rounding_is_no_gap() -> None:
    pts = np.round(np.arange(500) * 1000 / 30).astype(np.int64)
    assert find_stamp_breaks(pts, pts, Fraction(1, 1000)) == []


def test_overlaps_and_reversals_are_named() -> None:
    pts = _stamps([512] * 60)
    pts[30:] -= 300
    assert [b.kind for b in find_stamp_breaks(pts, pts, TICK)] == ["pts-overlap"]
    dts = _stamps([512] * 60)
    dts[20] = dts[18]
    kinds = {b.kind for b in find_stamp_breaks(_stamps([512] * 60), dts, TICK)}
    assert kinds == {"pts-reversed"}


def test_reordered_pictures_are_in_order_when_shown() -> None:
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]
    pts = np.array(order * 1, np.int64) * 512
    assert find_stamp_breaks(pts, np.arange(13, dtype=np.int64) * 512, TICK) == []


def test_a_variable_rate_has_one_great_gap_at_most() -> None:
    rng = np.random.default_rng(1)
    steps = rng.integers(300, 900, 400).tolist()
    pts = _stamps(steps)
    assert measure_timing(pts, TICK).pattern == "variable"
    assert find_stamp_breaks(pts, pts, TICK) == []
    steps[200] = 12800 * 4
    pts = _stamps(steps)
    assert [(b.before, b.kind) for b in find_stamp_breaks(pts, pts, TICK)] == [(200, "pts-gap")]


def test_unstamped_packets_are_no_breaks() -> None:
    pts = _stamps([512] * 60)
    pts[10] = -(2**63)
    found = find_stamp_breaks(pts, pts, TICK)
    assert [b.kind for b in found] == ["pts-gap"]


def test_a_key_frame_out_of_turn_moves_a_whole_second_code_by_less_than_one() -> None:
    def table(times: list[float]) -> SimpleNamespace:
        exact = [Fraction(round(t * 25), 25) for t in times]
        return SimpleNamespace(
            time_codes={row: Fraction(int(t)) for row, t in enumerate(exact)},
            time=lambda row: exact[row])  # fmt: skip

    steady = [float(n) for n in range(12)]
    assert find_clock_breaks(table(steady)) == []
    assert find_clock_breaks(table([*steady[:6], 5.6, *steady[6:]])) == []
    cut = table(steady)
    cut.time_codes = {row: code + (row >= 5) for row, code in cut.time_codes.items()}
    assert find_clock_breaks(cut) == [(5, Fraction(1))]


def test_a_name_at_every_key_frame_is_a_habit_and_a_name_at_one_a_restart() -> None:
    access = np.zeros(100, np.int8)
    access[::20] = 1
    access[31] = 2
    once = SimpleNamespace(access=access, said={0: ("x",), 40: ("x",)}, sets={}, codec="h264")
    assert restart_rows(once) == [40]
    once.said[31] = ("x",)  # the order count runs on there
    assert restart_rows(once) == [40]
    keys = dict.fromkeys(range(0, 100, 20), ("x",))
    everywhere = SimpleNamespace(
        access=np.where(access == 2, 0, access), said=keys, sets=keys, codec="h264"
    )
    assert restart_rows(everywhere) == []
    everywhere.sets = {}
    assert restart_rows(everywhere) == [20, 40, 60, 80]
    # MPEG-4 part 2 has its header, and so its encoder's name, in every key frame…
    everywhere.codec = "mpeg4"
    assert restart_rows(everywhere) == []
    # …but two encoders did not write one stream.
    everywhere.said = {row: ("x" if row < 60 else "y",) for row in keys}
    assert restart_rows(everywhere) == [60]


def test_a_picture_stored_whole_begins_nothing_in_an_animation() -> None:
    starts = np.array([0, 1, 5, 11, 13])
    film = SimpleNamespace(codec="h264")
    assert _short_gops(film, starts) == [(1, "a GOP of one picture stands in front")]  # type: ignore[arg-type]
    assert _short_gops(SimpleNamespace(codec="apng"), starts) == []  # type: ignore[arg-type]
