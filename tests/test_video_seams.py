"""Copies told by their seams, and steps that everyday causes leave: made pictures, both ways."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from forensics.model import Discontinuity, NotTestable, Span
from forensics.scan_order import middle, percentile
from forensics.video_cuts import same_place
from forensics.video_freezes import find_doubles, find_freezes
from forensics.video_fresh import codes_only, find_fresh, quiet_keys
from forensics.video_harmless import (
    at_the_edge,
    came_back,
    came_in,
    find_left_out,
    no_larger,
    only_light,
    passed_by,
    was_held,
    was_knocked,
)
from forensics.video_judge import Seen, observe
from forensics.video_keyframes import Pick, _limit
from forensics.video_light import strongest, without_light
from forensics.video_look import _lengths
from forensics.video_repeats import find_repeats
from forensics.video_seams import find_seamed
from forensics.video_testable import BUSY, FAINT, STILL, map_not_testable, map_standstills

RATE = 10.0


def room(seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.kron(rng.uniform(60, 180, (6, 10)), np.ones((4, 4)))[:22]


def walk(count: int, seed: int = 0, *, size: float = 6.0) -> NDArray[np.uint8]:
    """A dark figure that wanders through a room, never the same way twice, in noise."""
    rng = np.random.default_rng(seed)
    speed = np.array([1.6, 0.9]) + rng.normal(0, 0.5, (count, 2))
    place = np.cumsum(speed, axis=0)
    place = np.abs((place + np.array([20, 11])) % (80, 44) - (40, 22))
    rows, columns = np.mgrid[:22, :40]
    away = ((columns - place[:, :1, None]) ** 2 + (rows - place[:, 1:, None]) ** 2) / size
    pictures = room() - 50 * np.exp(-away)
    return np.clip(pictures + rng.normal(0, 0.8, pictures.shape), 0, 255).astype(np.uint8)


def noisy(pictures: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return np.clip(pictures + rng.normal(0, 0.8, pictures.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_loop_of_one_second_at_ten_frames_is_told_to_the_frame(seed: int) -> None:
    source = walk(200, seed)
    shown = noisy(np.concatenate([source[:90], source[80:]]), seed)
    found = find_seamed(shown, np.array([30, 90, 150]), RATE).found
    assert [(r.first, r.last, r.lag, r.seamed) for r in found] == [(80, 90, 10, True)]
    assert find_seamed(noisy(source, seed), np.array([30, 90, 150]), RATE).found == []


def test_a_stretch_from_elsewhere_is_told_at_both_its_ends() -> None:
    source = walk(300, 5)
    shown = source.copy()
    shown[200:215] = source[60:75]
    shown = noisy(shown, 1)
    for seams in ([200], [215], [200, 215]):
        found = find_seamed(shown, np.array(seams), RATE).found
        assert [(r.first, r.last, r.lag) for r in found] == [(60, 75, 140)]


def test_a_machine_that_repeats_itself_has_no_seam() -> None:
    one = walk(40, 7)
    turns = noisy(np.concatenate([one, one[::-1]] * 4), 2)
    assert find_seamed(turns, np.arange(20, 300, 17), RATE).found == []


def beat(pictures: NDArray[np.uint8], depth: float = 0.1) -> NDArray[np.uint8]:
    """The bands of a lamp's beat against a rolling shutter."""
    rows = np.arange(pictures.shape[1])[None, :, None]
    time = np.arange(len(pictures))[:, None, None]
    bands = 1 + depth * np.sin(9.4 * rows / 22 + 0.9 * time)
    return np.clip(pictures * bands, 0, 255).astype(np.uint8)


def test_light_on_every_row_is_taken_out_and_a_figure_stays() -> None:
    source = walk(60, 3)
    lit = beat(source)
    left = strongest(without_light(lit[:-8], lit[8:]))
    moved = strongest(without_light(source[:-8], source[8:]))
    assert np.abs(left - moved).mean() < 3
    still = noisy(np.repeat(source[:1], 60, axis=0), 1)
    lit = beat(still)
    assert strongest(without_light(lit[:-8], lit[8:])).mean() < 6
    assert strongest(lit[8:].astype(np.float32) - lit[:-8]).mean() > 12


def test_the_beat_of_a_lamp_is_no_copied_motion() -> None:
    still = noisy(np.repeat(room()[None].astype(np.uint8), 400, axis=0), 4)
    assert find_repeats(beat(still), RATE).found == []
    copied = walk(400, 9)
    copied[300:320] = copied[100:120]
    assert any(abs(r.lag - 200) <= 1 for r in find_repeats(beat(noisy(copied, 1), 0.0), RATE).found)


def test_a_gain_that_jumps_is_light_and_a_figure_that_jumps_is_not() -> None:
    shown = noisy(np.repeat(walk(1, 2), 40, axis=0), 1).astype(float)
    shown[20:] *= 1.15
    assert only_light(np.clip(shown, 0, 255).astype(np.uint8), np.array([20])).all()
    cut = walk(200, 2)
    apart = [t for t in range(30, 150) if strongest(without_light(cut[t - 1 : t],
             cut[t + 20 : t + 21]))[0] > 20]  # fmt: skip
    joined = np.concatenate([cut[: apart[0]], cut[apart[0] + 20 :]])
    assert not only_light(joined, np.array(apart[:1])).any()


def test_a_lamp_that_lights_part_of_the_view_is_light_and_one_who_walks_in_upright_is_not() -> None:
    shown = noisy(np.repeat(room()[None].astype(np.uint8), 40, axis=0), 1).astype(float)
    lamp, figure = shown.copy(), shown.copy()
    lamp[20:, :, 25:] *= 0.6
    assert only_light(lamp.astype(np.uint8), np.array([20])).all()
    figure[20:, 4:, 25:31] = np.random.default_rng(3).uniform(20, 230, figure[0, 4:, 25:31].shape)
    assert not only_light(figure.astype(np.uint8), np.array([20])).any()


def test_a_gain_that_pops_while_one_walks_is_no_larger_than_its_steps_and_a_cut_is() -> None:
    shown = walk(80, 4).astype(float)
    shown[40:] *= 1.15
    popped = np.clip(shown, 0, 255).astype(np.uint8)
    assert no_larger(popped, 40)
    steps = [t for t in range(20, 60) if no_larger(walk(80, 4), t)]
    assert len(steps) > 20
    cut = np.concatenate([walk(80, 4)[:40], walk(80, 4)[60:]])
    assert not no_larger(cut, 40)
    assert not no_larger(cut[:41], 40)


def test_one_who_comes_in_with_a_shadow_is_no_step_and_one_within_the_view_is() -> None:
    cells = np.random.default_rng(2).uniform(0.1, 1.0, (60, 9, 16)).astype(np.float16)
    entry, inside, large = cells.copy(), cells.copy(), cells.copy()
    entry[30, 4, 15], entry[30, 5, 14:] = 6, 2.5
    assert came_in(entry, 30, 10) and not came_in(entry, 31, 10)
    inside[30, 4, 8], inside[30, 5, 7:9] = 6, 2.5
    assert not came_in(inside, 30, 10)
    large[30, 2:8, 14:] = 8
    assert not came_in(large, 30, 10)
    # What is in those cells all the time is nothing new.
    often = entry.copy()
    often[20:40] = entry[30]
    assert not came_in(often, 30, 10)
    assert not came_in(cells[30:31], 0, 10)


@pytest.mark.parametrize(("rate_hz", "taken"), [(24.0, 25), (25.0, 6), (50.0, 6)])
def test_a_conversion_leaves_pictures_out_evenly_and_a_cut_on_its_beat_shows(
    rate_hz: float, taken: int
) -> None:
    rng = np.random.default_rng(taken)
    pace = rng.uniform(0.6, 1.4, 900)
    kept = np.flatnonzero(np.arange(900) % taken != 7 % taken)
    # What moves between two pictures that were kept.
    moved = np.add.reduceat(pace, kept)
    change = moved * rng.uniform(0.85, 1.15, len(moved))
    key = np.zeros(len(change), bool)
    key[::50] = True
    late = np.flatnonzero(np.diff(kept) > 1)
    explained = find_left_out(change, key, rate_hz)
    assert set(np.flatnonzero(explained)) <= set(late.tolist())
    assert explained.sum() > 0.8 * len(late)
    change[late[5]] = 9.0
    assert not find_left_out(change, key, rate_hz)[late[5]]
    # At another rate nothing is left out so; nor do key frames that change more count.
    assert not find_left_out(change, key, 30.0).any()
    pulse = rng.uniform(0.8, 1.2, 900)
    key = np.arange(900) % (taken - 1) == 0
    pulse[key] *= 2
    assert not find_left_out(pulse, key, rate_hz).any()


def test_who_passes_before_the_lens_is_gone_again_and_who_was_cut_out_is_not() -> None:
    shown = walk(80, 4)
    moth = shown.copy()
    moth[40:45, 4:14, 10:24] = 220
    assert came_back(moth, 40, RATE) and came_back(moth, 45, RATE)
    stays = shown.copy()
    stays[40:, 4:14, 10:24] = 220
    assert not came_back(stays, 40, RATE)


class Timed:
    """Only what an observation, or the map of what could not be seen, needs of measurements."""

    def __init__(self, thumbs: NDArray[np.uint8] | None = None) -> None:
        self.planes = {} if thumbs is None else {"thumbs": thumbs}
        self.columns = {"spread": np.full(len(self), 40.0)}
        self.repaired = self.key = np.zeros(len(self), bool)

    def __len__(self) -> int:
        return len(self.planes["thumbs"]) if self.planes else 500

    def span(self, first: int, last: int) -> Span:
        return Span.of(first / RATE, last / RATE)


def test_one_support_alone_never_says_inconsistent() -> None:
    def verdict(*supports: str) -> str:
        seen = Seen("cover-up", 100, 150, 0.9, supports, (100, 150), (20, 70))
        said = observe(seen, Timed()).what  # type: ignore[arg-type]
        assert isinstance(said, Discontinuity)
        return said.verdict

    # Motion that comes again may be a machine's; the seams of a copy are another trace.
    assert verdict("repeated motion") == "inconclusive"
    assert verdict("repeated motion", "step") == "inconsistent"


def test_the_map_names_faint_motion_and_standstills_of_which_nothing_can_be_told() -> None:
    def mapped(contrast: int) -> Timed:
        rows, columns = np.mgrid[:22, :40]
        x = 20 + 14 * np.sin(np.arange(400) / 25)
        blob = np.exp(-((columns - x[:, None, None]) ** 2 + (rows - 11) ** 2) / 12)
        return Timed((90 + contrast * blob).astype(np.uint8))

    plain, faint = mapped(90), mapped(9)
    assert {n.reason for n in map_not_testable(plain, RATE)} <= {BUSY}  # type: ignore[arg-type]
    lost = map_not_testable(faint, RATE)  # type: ignore[arg-type]
    assert FAINT in {n.reason for n in lost}
    # Two standstills half a second apart are one; what lies where nothing moves is said already.
    still = [(50, 60), (60 + round(RATE / 3), 80), (200, 230)]
    told = map_standstills(plain, still, ())  # type: ignore[arg-type]
    assert [round(float(n.span.start) * RATE) for n in told] == [49, 199]
    dead = NotTestable(Span.of(0, 400 / RATE), STILL)
    assert map_standstills(plain, still, (dead,)) == ()  # type: ignore[arg-type]


def test_what_crosses_the_lens_within_a_few_frames_has_passed_by() -> None:
    shown = walk(120, 4)
    moth = shown.copy()
    for k in range(5):
        moth[60 + k, 2 + 3 * k : 8 + 3 * k, 4 + 6 * k : 12 + 6 * k] = 220
    # Neither picture of the step in the middle comes back; those before and after the moth agree.
    assert not came_back(moth, 62, RATE) and passed_by(moth, 62, RATE)
    cut = np.delete(shown, np.arange(60, 80), axis=0)
    assert not passed_by(cut, 60, RATE)


def smooth_room() -> NDArray[np.float64]:
    import cv2

    return cv2.GaussianBlur(room(8), (0, 0), 1.2)


def test_a_knocked_camera_swings_back_and_a_turned_one_does_not() -> None:
    import cv2

    view = smooth_room()
    swing = np.zeros(60)
    swing[30:36] = [0.8, 0.5, -0.4, 0.3, -0.2, 0.1]

    def film(moves: NDArray[np.float64]) -> NDArray[np.uint8]:
        pictures = [
            cv2.warpAffine(view, np.array([[1, 0, m], [0, 1, 0.4 * m]]), (40, 22),
                           borderMode=cv2.BORDER_REPLICATE) for m in moves
        ]  # fmt: skip
        return noisy(np.clip(pictures, 0, 255).astype(np.uint8), 6)

    assert was_knocked(film(swing), 30, RATE)
    assert not was_knocked(film(np.where(np.arange(60) < 30, 0.0, 0.8)), 30, RATE)
    assert not was_knocked(walk(60, 5), 30, RATE)


def test_a_late_recorder_holds_and_catches_up_and_a_cut_behind_a_hold_shows() -> None:
    late = np.random.default_rng(4).uniform(0.8, 1.4, 400)
    late[10::12], late[11::12] = 0.02, 2.2
    late[200:202], late[202] = 0.02, 3.2
    doubled = find_doubles(late)
    assert len(doubled) > 25
    assert was_held(late, doubled, 202, RATE) and was_held(late, doubled, 131, RATE)
    # The same hold in a recording without others; more is missing than was held; nothing held.
    assert not was_held(late, doubled[:0], 202, RATE)
    late[202] = 12.0
    assert not was_held(late, doubled, 202, RATE)
    late[200:203] = 1.0, 1.0, 2.6
    assert not was_held(late, doubled, 202, RATE)


def test_key_pictures_of_an_older_encoding_are_known_by_their_beat() -> None:
    rng = np.random.default_rng(1)
    detail = rng.gamma(8, 0.05, 1200)
    key = np.zeros(1200, bool)
    key[::250] = True
    peak = 3 * detail
    assert np.flatnonzero(find_fresh(key, detail, peak)).tolist() == [0, 250, 500, 750, 1000]
    detail[7::24] *= 3
    fresh = find_fresh(key, detail, 3 * detail)
    assert set(range(7, 1200, 24)) <= set(np.flatnonzero(fresh))
    # One that changes no more than its like is coding; one at which a figure jumps is not.
    peak = 12 + 3 * detail
    peak[7 + 24 * 20] = 80
    frames = np.array([7 + 24 * 10, 7 + 24 * 20, 300])
    assert codes_only(fresh, key, detail, peak, frames).tolist() == [True, False, False]


def test_a_key_picture_that_gets_no_second_look_is_coding_whatever_surrounds_it() -> None:
    rng = np.random.default_rng(2)
    key, peak = rng.random(400) < 0.3, rng.gamma(2, 10, 400)
    detail = peak * rng.random(400)
    quiet = np.flatnonzero(quiet_keys(key, peak))
    assert len(quiet) and codes_only(find_fresh(key, detail, peak), key, detail, peak, quiet).all()


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_the_quick_median_and_percentile_are_numpys_own_to_the_last_bit(kind: type) -> None:
    rng = np.random.default_rng(3)
    for count in (1, 2, 5, 6, 880, 881):
        rows = rng.uniform(0, 255, (7, count)).astype(kind)
        found, wanted = middle(rows), np.median(rows, axis=-1)
        assert found.dtype == wanted.dtype and np.array_equal(found, wanted)
        row = rows[0].astype(np.float64)
        for percent in (0, 20, 33.3, 75, 100):
            assert percentile(row, percent) == np.percentile(row, percent)


def test_change_at_the_edge_alone_is_somebody_going_out() -> None:
    assert at_the_edge(np.array([0.9, 0.5])).tolist() == [True, False]


def test_somebody_who_fills_the_view_changes_no_place() -> None:
    rng = np.random.default_rng(3)
    here, there = room(1), room(2)
    shown = np.repeat(here[None], 200, axis=0)
    shown[100:110, :, 8:] = rng.uniform(0, 255, (10, 22, 32))
    assert same_place(noisy(shown.astype(np.uint8), 1), 100, RATE)
    shown[100:] = there
    assert not same_place(noisy(shown.astype(np.uint8), 1), 100, RATE)


def test_noise_that_a_sparing_encoder_leaves_out_is_no_freeze() -> None:
    diff = np.full(100, 0.25)
    diff[50], diff[51:58] = 2.0, 0.0
    key = np.arange(100) == 50
    assert len(find_freezes(diff, 15.0)[0]) == 1
    assert find_freezes(diff, 15.0, fresh=key)[0] == []
    assert find_freezes(diff, 15.0, peak=np.full(100, 1.5))[0] == []
    diff[58] = 3.0
    assert len(find_freezes(diff, 15.0, fresh=key, peak=np.full(100, 9.0))[0]) == 1


def test_one_who_fades_out_of_the_view_before_it_stands_still_is_no_freeze() -> None:
    diff = np.full(100, 1.0)
    diff[50:60] = 0.02
    same = np.zeros((100, 4, 6), np.float16)
    same[:, 2, 2] = 9
    assert len(find_freezes(diff, 15.0, cells=same)[0]) == 1
    diff[47:50] = 0.7, 0.3, 0.1
    assert find_freezes(diff, 15.0, cells=same)[0] == []
    # What leaps three frames later is another who comes in, though a key picture lies between.
    diff[47:50] = 1.0
    diff[60:63], diff[63] = 0.11, 1.8
    fresh = np.isin(np.arange(100), (61, 62))
    elsewhere = same.copy()
    elsewhere[60:] = np.roll(same[60:], (2, 3), (1, 2))
    assert find_freezes(diff, 15.0, fresh=fresh, cells=elsewhere)[0] == []


def test_what_moves_most_stops_or_resumes_at_once_in_a_freeze() -> None:
    diff, peak = np.full(100, 1.0), np.full(100, 24.0)
    diff[50:60], peak[50:60] = 0.02, 0.5
    same = np.zeros((100, 4, 6), np.float16)
    same[:, 2, 2] = 9
    assert len(find_freezes(diff, 15.0, peak=peak, cells=same)[0]) == 1
    # The last few pixels of one who leaves; the first few of one who comes.
    peak[46:50], peak[60:64] = (18, 11, 5, 2), (2, 5, 9, 15)
    assert find_freezes(diff, 15.0, peak=peak, cells=same)[0] == []
    peak[60:64] = 24.0
    assert len(find_freezes(diff, 15.0, peak=peak, cells=same)[0]) == 1


def test_one_who_goes_out_and_another_who_comes_in_are_no_freeze() -> None:
    diff = np.full(100, 1.0)
    diff[50:60] = 0.0
    same = np.zeros((100, 4, 6), np.float16)
    same[:, 2, 2] = 9
    assert len(find_freezes(diff, 15.0, cells=same)[0]) == 1
    other = same.copy()
    other[60:] = 0
    other[60:, 0, 5] = 9
    assert find_freezes(diff, 15.0, cells=other)[0] == []


def test_few_keyframes_are_spread_over_the_clip() -> None:
    picks = [Pick(0, "shot", 1.0), Pick(500, "newcomer", 0.9), Pick(510, "newcomer", 0.88),
             Pick(520, "newcomer", 0.86), Pick(200, "newcomer", 0.5)]  # fmt: skip
    assert [p.row for p in _limit(picks, 3, 600)] == [0, 200, 500]
    shots = [Pick(row, "shot", 1.0) for row in range(0, 1000, 10)]
    kept = [p.row for p in _limit(shots, 5, 1000)]
    assert max(np.diff([*kept, 1000])) < 400

# -- long recordings ---------------------------------------------------------------------------


def turning(count: int, period: int = 50) -> NDArray[np.uint8]:
    """A spot that goes round and round, exactly: a test pattern, a machine."""
    rng = np.random.default_rng(11)
    rows, columns = np.mgrid[:22, :40]
    turn = 2 * np.pi * np.arange(period)[:, None, None] / period
    away = (columns - 20 - 10 * np.cos(turn)) ** 2 + (rows - 11 - 6 * np.sin(turn)) ** 2
    once = rng.uniform(60, 150, (22, 40)) + 90 * np.exp(-away / 8)
    return once.astype(np.uint8)[np.arange(count) % period]


def twice(count: int) -> NDArray[np.uint8]:
    """The second half of a recording is its first half."""
    half = noisy(walk(count // 2, 6), 6)
    return np.concatenate([half, half])


@pytest.mark.parametrize("make", [turning, twice])
def test_the_search_for_copies_costs_and_keeps_in_step_with_the_length(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[int], NDArray[np.uint8]]
) -> None:
    def compared(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
        work.append(len(before))
        return without_light(before, after)

    monkeypatch.setattr("forensics.video_repeats.without_light", compared)
    monkeypatch.setattr("forensics.video_seams.without_light", compared)
    monkeypatch.setattr("forensics.video_repeats.ALL_WITH_ALL", 500)
    frames, kept = [], []
    for count in (1000, 4000):
        work: list[int] = []
        pictures = make(count)
        seams = np.arange(30, count, 100)
        tracemalloc.start()
        repeats = find_repeats(pictures, 25.0)
        find_seamed(pictures, np.append(seams, count // 2), 25.0)
        kept.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert repeats.finished and repeats.found
        frames.append(sum(work))
    assert frames[1] < 5 * frames[0], "four times the length, four times the work"
    # Descriptions and marks, no pictures: those would be 3,500 bytes a frame.
    assert kept[1] - kept[0] < 600 * 3000


def test_where_motion_repeats_everywhere_a_copy_is_not_testable() -> None:
    repeats = find_repeats(turning(1200), 25.0)
    [(first, last)] = repeats.everywhere
    assert first <= 12 and last >= 1200 - 3 * 50
    pictures = np.concatenate([turning(1200), noisy(walk(400, 6), 6)])
    assert find_repeats(pictures, 25.0).everywhere[-1][1] <= 1250
    assert find_repeats(twice(1200), 25.0).everywhere == []


def test_a_search_that_would_never_end_is_given_up_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = twice(1200)
    monkeypatch.setattr("forensics.video_repeats.EFFORT", 0)
    monkeypatch.setattr("forensics.video_repeats.EFFORT_ANY", 100)
    for search in (find_repeats(pictures, 25.0), find_seamed(pictures, np.array([600]), 25.0)):
        assert not search.finished and search.everywhere == [(0, 1200)]
    monkeypatch.undo()
    monkeypatch.setattr("forensics.video_seams.MOST_LOOKED", 0)
    pictures = walk(1200, 6)
    pictures[800:900] = pictures[100:200]
    many = np.arange(15, 1170, 10)
    # The surest come first, and are looked for all the same.
    search = find_seamed(pictures, np.append(800, many), 25.0)
    assert not search.finished and [r.lag for r in search.found] == [700]


def test_how_far_a_pixel_moved_does_not_depend_on_where_in_memory_it_is() -> None:
    rng = np.random.default_rng(4)
    move = rng.uniform(0, 1, (90, 160, 2)).astype(np.float32)
    held: list[NDArray[np.float32]] = []
    seen = set()
    for number in range(60):
        # What else is in memory shifts what is asked for next.
        held.append(np.empty(int(rng.integers(10, 30000)), np.float32))
        if number % 3 == 2:
            held.pop(0)
        seen.add(_lengths(move.copy()).tobytes())
    assert len(seen) == 1
    assert np.allclose(_lengths(move), np.hypot(move[..., 0], move[..., 1]), rtol=1e-6)
