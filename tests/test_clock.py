"""The burned-in clock: truth drawn by tests/overlay.py, then read back."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import overlay

from forensics import clock, clock_gather
from forensics.clip import open_clip
from forensics.clock_cells import follow_digit
from forensics.clock_course import (
    figures_of,
    follow_course,
    guess_offsets,
    place_changes,
    settle_readings,
)
from forensics.clock_figures import learn_figures
from forensics.clock_sure import Evidence, judge, steady_rate
from forensics.clock_text import is_clock_like, read_time_text, to_the_second
from forensics.clock_walk import find_breaks, fit_rate, unwrap
from forensics.errors import RecordInvalid
from forensics.model import Box

START = datetime(2021, 10, 14, 21, 46, 41, 300000, tzinfo=UTC)
FPS = 10


def make(path: Path, line: overlay.Track, style: overlay.Style | None = None, **more: object):
    """A small clip and the box of its clock."""
    frames = overlay.noise_frames(280, 120, count=30)
    look = style or overlay.Style(size=16)
    truth = overlay.compose(path, frames, 10.0, line, look, START, **more)
    x, y, w, h = truth["box"]
    return open_clip(path), Box(max(0.0, x - 3), max(0.0, y - 3), w + 6, h + 6), truth


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory):
    """26 s with 2 s taken out at 14 s."""
    line = overlay.delete(overlay.track(26, FPS), 14.0, 2.0)
    return make(tmp_path_factory.mktemp("clock") / "cut.mp4", line)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory):
    """The same, untouched: the innocent control."""
    return make(tmp_path_factory.mktemp("clock") / "whole.mp4", overlay.track(24, FPS))


# -- grammar --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "second", "day"),
    [
        ("14-10-2021 21:46:40", 78400, "2021-10-14"),
        ("2021-10-1421:46:40", 78400, "2021-10-14"),
        ("2021/10/14 09:46:40 PM", 78400, "2021-10-14"),
        ("10/14/2021 12:00:01 AM", 1, "2021-10-14"),
        ("14.10.2021 Чт 21:46:40", 78400, "2021-10-14"),
        ("14 окт 2021 21:46:40", 78400, "2021-10-14"),
        ("14-Oct-2021 21:46:40", 78400, "2021-10-14"),
        ("Oct 14, 2021 09:46:40 PM", 78400, "2021-10-14"),
        ("Thu Oct 14 21:46:40 2021", 78400, "2021-10-14"),
        ("ThuOct1421:46:402021", 78400, "2021-10-14"),
        ("RTC[2021:10:14-21:46:40]", 78400, "2021-10-14"),
        ("CAM 2012:13:14", 43994, None),
        ("CAM 02  21:46:40  14.10.2021", 78400, "2021-10-14"),
        ("CAM 02  12:13:14  14.10.2021", 43994, "2021-10-14"),
        ("CAM 0221:46:4014.10.2021", 78400, None),
        # The year ends one date and does not begin another, which left "23.03.20" for a time.
        ("23.03.2021 -4.40.24", 16824, "2021-03-23"),
        ("2l:46:4O", 78400, None),
        ("21.46.40", 78400, None),
    ],
)
def test_grammar_reads_what_recorders_write(text: str, second: int, day: str | None) -> None:
    said = read_time_text(text)
    assert said is not None and said.seconds == second
    assert (said.day.isoformat() if said.day else None) == day


@pytest.mark.parametrize(
    "text", ["", "CAM 04", "2021:07:18", "25:61:00", "1920x1080", "12345", "ab:cd:ef"]
)
def test_grammar_refuses_what_is_no_clock(text: str) -> None:
    assert not is_clock_like(text)


def test_a_fraction_is_not_quoted_for_another_frame() -> None:
    assert to_the_second("00:00:07:29") == "00:00:07"
    assert to_the_second("2021-10-14 21:46:40.123 Z") == "2021-10-14 21:46:40 Z"
    for whole in ("21.46.40 14.10.2021", "14.10.21 21:46:40", "14.10.2021 21:46:40"):
        assert to_the_second(whole) == whole


def test_exchangeable_day_and_month_are_said_to_be_so() -> None:
    said = read_time_text("05-10-2021 21:46:40")
    assert said is not None and said.ambiguous_date
    clear = read_time_text("15-10-2021 21:46:40")
    assert clear is not None and not clear.ambiguous_date


# -- arithmetic -----------------------------------------------------------------------------


def beats(n: int, jitter: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    edges = np.arange(n) + 0.3 + rng.normal(0, jitter, n)
    return np.round(edges / 0.04) * 0.04, 70000.0 + np.arange(n)


@pytest.mark.parametrize("jitter", [0.0, 0.02, 0.05])
def test_an_even_clock_has_no_breaks(jitter: float) -> None:
    for seed in range(10):
        edges, wall = beats(120, jitter, seed)
        assert find_breaks(edges, wall, 120.5, frame_s=0.04)[0] == []


@pytest.mark.parametrize("step", [-5.0, 2.0, 0.48, -0.6, 3600.0, 10.0])
def test_a_step_is_found_with_its_size(step: float) -> None:
    edges, wall = beats(60)
    wall = wall.copy()
    if abs(step) >= 1:
        wall[30:] += step
    else:  # less than a second was taken out or put in: the beat itself moves
        edges = edges.copy()
        edges[30:] -= step
    found, _ = find_breaks(edges, wall, float(edges[-1]) + 0.5, frame_s=0.04)
    assert len(found) == 1
    assert found[0].step_s == pytest.approx(step, abs=0.05)
    assert found[0].before_s <= 30.3 and found[0].after_s >= edges[30] - 0.05


def test_one_misread_second_is_no_break() -> None:
    edges, wall = beats(60)
    wall = wall.copy()
    wall[25] += 7
    assert find_breaks(edges, wall, 60.5, frame_s=0.04)[0] == []


def test_a_second_shown_for_four_is_frozen_not_stepped() -> None:
    edges, wall = beats(60)
    keep = np.r_[0:20, 23:60]
    found, _ = find_breaks(edges[keep], wall[keep], 60.5, frame_s=0.04)
    assert [b.kind for b in found] == ["frozen"]
    assert found[0].stood_s == pytest.approx(4.0, abs=0.05)


def test_rate_comes_with_an_interval_that_holds_the_truth() -> None:
    edges, wall = beats(100)
    slope, error = fit_rate(edges / 0.96, wall, [], 0.04)
    assert slope is not None and abs(slope - 0.96) <= error < 0.005


def test_midnight_is_no_jump() -> None:
    assert list(unwrap([86398, 86399, 0, 1])) == [86398, 86399, 86400, 86401]
    assert list(unwrap([100, 50])) == [100, 50]


def test_digits_follow_each_other_unless_the_picture_insists() -> None:
    alike = np.full((40, 10), 0.2)
    for i in range(40):
        alike[i, (i // 10) % 10] = 0.9
    alike[15] = 0.2  # one blank frame
    alike[25, 7] = 0.95  # one frame that looks like another digit, a little
    assert list(follow_digit(alike)) == [i // 10 for i in range(40)]


# -- the course of the clock -----------------------------------------------------------------


def shows(second: np.ndarray, against: float = 0.5, seed: int = 3) -> np.ndarray:
    """Evidence (n, 6, 10) of frames that show these seconds, one in six of them at random."""
    rng = np.random.default_rng(seed)
    scores = np.full((len(second), 6, 10), -against)
    np.put_along_axis(scores, figures_of(second % 86_400, False)[..., None], 0.0, axis=2)
    lost = rng.random((len(second), 6)) < 1 / 6
    scores[lost] = rng.uniform(-against, 0.0, (int(lost.sum()), 10))
    return scores


@pytest.mark.parametrize("step", [-3, 2, 10, 61, 3600])
def test_the_course_leaps_where_the_figures_do(step: int) -> None:
    times = np.arange(600) / 25
    second = np.floor(times + 50_000.37).astype(int)
    second[300:] += step
    scores = shows(second)
    course = follow_course(scores, times, guess_offsets(scores, times, False, {}))
    # A frame beside a change of figures may be one of those at random.
    assert (course == second).mean() > 0.99


def test_the_course_follows_a_second_that_stands_and_half_a_second_cut_out() -> None:
    times = np.arange(700) / 25
    second = np.floor(times + 50_000.37).astype(int)
    second[200:275] = second[200]
    second[500:] = np.floor(times[500:] + 50_000.87).astype(int)
    scores = shows(second)
    course = follow_course(scores, times, guess_offsets(scores, times, False, {}))
    assert (course == second).mean() > 0.995


def test_a_second_cut_short_changes_where_its_frames_do() -> None:
    times = np.arange(600) / 30 + 1e-4
    second = np.floor(times + 50_000.2).astype(int)
    second[285:] = np.floor(times[285:] + 50_000.7).astype(int)  # half a second is cut out
    scores = np.full((600, 6, 10), -0.53)
    np.put_along_axis(scores, figures_of(second, False)[..., None], 0.0, axis=2)
    course = follow_course(scores, times, guess_offsets(scores, times, False, {}))
    assert (course[280:290] != second[280:290]).sum() > 1
    assert (place_changes(scores, times, course, False)[280:290] == second[280:290]).all()


def test_the_course_runs_on_where_nothing_is_seen_and_where_one_figure_is_misread() -> None:
    times = np.arange(600) / 25
    second = np.floor(times + 50_000.37).astype(int)
    scores = shows(second)
    scores[200:260] = 0.0
    wrong = figures_of(second[400:425], False)
    scores[400:425, 4, :] = -0.5
    scores[np.arange(400, 425), 4, (wrong[:, 4] + 2) % 6] = 0.0  # one second, another ten
    course = follow_course(scores, times, guess_offsets(scores, times, False, {}))
    # A frame beside a change of figures may be one of those at random.
    assert (course == second).mean() > 0.99


def test_readings_that_misread_do_not_settle() -> None:
    times = np.arange(40) * 1.2
    walls = np.floor(times + 50_000.4).astype(int)
    wrong = np.zeros(40, bool)
    wrong[[3, 11, 12, 25, 33]] = True
    assert list(settle_readings(times, np.where(wrong, walls + 7200, walls))) == list(~wrong)


def test_figures_are_learned_at_every_place_and_tell_unseen_ones_apart() -> None:
    import cv2

    def line(wall: int, ground: float, rng: np.random.Generator) -> np.ndarray:
        lit = cv2.resize(rng.uniform(ground - 30, ground + 30, (3, 12)), (124, 30))
        figures = "{}{}:{}{}:{}{}".format(*figures_of(np.array([wall]), False)[0])
        ink = np.zeros((30, 124), np.uint8)
        for i, c in enumerate(figures):
            cv2.putText(ink, c, (6 + 14 * i, 23), cv2.FONT_HERSHEY_PLAIN, 1.3, 255, 2)
        view = np.where(ink > 100, 235.0, lit) + rng.normal(0, 3, (30, 124))
        return np.clip(view, 0, 255).astype(np.uint8)

    rng = np.random.default_rng(4)
    shown = np.repeat(np.arange(70_010, 70_050), 5)
    figures = learn_figures(np.stack([line(int(w), 90.0, rng) for w in shown]), shown)
    assert figures is not None and figures.places == [0, 1, 2, 3, 4, 5]
    # Another hour, another minute, over a lighter ground: figures no frame of those places had.
    later = np.repeat(np.arange(43_684, 43_694), 5)
    scores = figures.score(np.stack([line(int(w), 180.0, rng) for w in later]), 25.0)
    assert (scores.argmax(axis=2) == figures_of(later, False)).mean() > 0.95


# -- how sure is a reading? -----------------------------------------------------------------


def looks(
    edges: np.ndarray, wall: np.ndarray, against: float = 0.6, twins: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Frames and their evidence for figures; the looks of `twins` cannot be told apart."""
    times = np.round(np.arange(edges[0], edges[-1] + 0.5, 0.04), 6)
    second = wall[np.searchsorted(edges, times + 1e-6, side="right") - 1].astype(int)
    scores = np.full((len(times), 6, 10), -against)
    np.put_along_axis(scores, figures_of(second % 86_400, False)[..., None], 0.0, axis=2)
    if twins is not None:
        a, b = twins
        scores[..., a] = scores[..., b] = np.maximum(scores[..., a], scores[..., b])
    return times, scores


def judged(edges: np.ndarray, wall: np.ndarray, proof: tuple, said=None, **more):
    end = float(edges[-1]) + 0.5
    found, jitter = find_breaks(edges, wall, end, frame_s=0.04)
    none = np.full(len(wall), -1)
    evidence = Evidence(*proof, none if said is None else said, True, **more)
    return found, judge(edges, wall, found, evidence, end_s=end, frame_s=0.04, rate=1.0,
                        jitter_s=jitter)  # fmt: skip


def test_figures_learned_wrong_are_not_sure_however_well_they_fit() -> None:
    edges, wall = beats(60)
    true = wall + 10 * (np.arange(60) >= 40)  # the recogniser saw it jump; the course did not
    said = np.full(60, -1)
    said[::2] = true[::2]
    said[44], said[46] = said[46] + 7, 5
    found, told = judged(edges, wall, looks(edges, wall), said)
    assert not found and told.sure[:39].all() and not told.sure[40:59].any()


def test_a_figure_taken_for_another_while_it_stands_is_no_pair_of_jumps() -> None:
    edges, wall = beats(90)
    away = wall.copy()
    away[40:46] += 36_000  # a nought of the hours taken for a one
    away[46:] += 2  # where it ends, two seconds were cut out
    found, told = judged(edges, away, looks(edges, away), np.asarray(away, int) % 86_400)
    assert len(found) == 2 and not told.breaks
    assert not told.sure[40:46].any() and told.sure[:39].all() and told.sure[48:].all()
    # A stretch of another time, whose units do not run on, is another matter.
    away[40:46] += 3
    found, told = judged(edges, away, looks(edges, away), np.asarray(away, int) % 86_400)
    assert len(told.breaks) == 2


def test_a_figure_that_comes_and_goes_makes_no_second_sure() -> None:
    edges, wall = beats(120)
    away = wall.copy()
    for first in (30, 70):
        away[first : first + 9] += 21_600  # a three of the hours taken for a nine on light ground
    away[100:] += 21_600
    found, told = judged(edges, away, looks(edges, away), np.asarray(away, int) % 86_400)
    assert len(found) == 5 and not told.breaks and not told.sure.any()


@pytest.mark.parametrize("step", [2, -5, 10, 61, 3600])
def test_a_step_between_clear_seconds_stays(step: int) -> None:
    edges, wall = beats(60)
    wall[30:] += step
    found, said = judged(edges, wall, looks(edges, wall))
    assert len(found) == len(said.breaks) == 1 and said.sure.all() and not said.doubt
    assert said.breaks[0].step_s == pytest.approx(step, abs=0.05)


def test_figures_that_look_alike_make_no_step() -> None:
    edges, wall = beats(60)  # 19:26:40: minutes 6 read as 8 from 19:27 on is what a misread does
    read = wall.copy()
    read[30:] += 120
    found, said = judged(edges, read, looks(edges, wall, twins=(7, 9)))
    assert len(found) == 1 and said.breaks == ()
    assert any(a <= edges[30] <= b for a, b in said.doubt)


@pytest.mark.parametrize("stays", [2, 3])
def test_away_and_back_within_seconds_is_a_misread(stays: int) -> None:
    edges, wall = beats(60)
    wall[30 : 30 + stays] += 20
    _, said = judged(edges, wall, looks(edges, wall))
    assert said.breaks == () and not said.sure[30 : 30 + stays].any()
    assert said.sure[:29].all() and said.sure[36:].all()


def test_a_recogniser_alone_that_goes_away_and_comes_back_is_not_believed() -> None:
    edges, wall = beats(60)
    wall[20:30] += 30
    _, said = judged(edges, wall, looks(edges, wall), wall.astype(int) % 86_400, alone=True)
    assert said.breaks == () and said.doubt
    wall = beats(60)[1]
    wall[20:] += 30
    _, said = judged(edges, wall, looks(edges, wall), wall.astype(int) % 86_400, alone=True)
    assert len(said.breaks) == 1


def test_a_beat_that_strays_is_no_beat() -> None:
    edges, wall = beats(60, jitter=0.3)
    assert not judged(edges, wall, looks(edges, wall))[1].sure.any()


def test_three_breaks_in_a_short_clip_do_not_make_a_rate() -> None:
    slopes = np.r_[np.full(16, 1.0), np.full(18, 1.4)]
    assert steady_rate(slopes, 0.02) == 1.0
    assert steady_rate(np.full(30, 1.04), 0.02) == pytest.approx(1.04)


# -- clips ----------------------------------------------------------------------------------


def test_reads_a_clock_from_the_clip_alone(cut: tuple) -> None:
    clip, box, _ = cut
    exam = clock.read_clock(clip, box=box, reader="none")
    assert exam.outcome == "found", exam.reason
    first = exam.observations[0].what
    assert first.wall.split("T")[-1] == "21:46:41"
    assert exam.observations[-1].what.wall.split("T")[-1] == "21:47:07"
    assert exam.observations[0].artefacts[0].media_type == "image/png"
    offset = exam.measures["offset"]
    assert offset.low <= 78401.3 <= offset.high
    assert exam.measures["rate"].low < 1 < exam.measures["rate"].high


def test_finds_what_was_cut_out(cut: tuple) -> None:
    clip, box, truth = cut
    exam = clock.find_clock_breaks(clip, box=box, reader="none")
    assert [o.what.kind for o in exam.observations] == ["clock-missing-seconds"]
    seen = exam.observations[0]
    assert float(seen.span.start) - 0.11 <= truth["breaks"][0][0] <= float(seen.span.end) + 0.11
    assert seen.what.removed.low <= 2.0 <= seen.what.removed.high
    assert any(e.benign for e in seen.what.explanations)
    assert any(not e.benign for e in seen.what.explanations)


def test_untouched_clip_has_no_break(whole: tuple) -> None:
    clip, box, _ = whole
    exam = clock.find_clock_breaks(clip, box=box, reader="none")
    assert exam.outcome == "nothing-found", exam.observations
    assert exam.coverage.units_seen == 240


def drifting(contrast: float, seed: int) -> list[np.ndarray]:
    """A view that drifts behind the figures, as bright in places as they are."""
    import cv2

    rng = np.random.default_rng(seed)
    lit = rng.uniform(128 - contrast, 128 + contrast, (14, 60)).astype(np.float32)
    wide = cv2.resize(lit, (840, 120))
    frames = []
    for k in range(60):
        view = np.roll(wide, -3 * k, 1)[:, :280] + rng.normal(0, 4, (120, 280))
        frames.append(np.repeat(np.clip(view, 0, 255).astype(np.uint8)[..., None], 3, 2))
    return frames


@pytest.mark.parametrize(("size", "crf"), [(13, "38"), (14, "36")])
def test_figures_hard_to_read_over_an_even_clock_are_no_breaks(
    tmp_path: Path, size: int, crf: str
) -> None:
    path, style = tmp_path / "hard.mp4", overlay.Style(size=size, look="plain")
    truth = overlay.compose(path, drifting(45, 2), 10.0, overlay.track(34, FPS), style, START,
                            options={"crf": crf, "preset": "veryfast", "threads": "1"})  # fmt: skip
    x, y, w, h = truth["box"]
    box = Box(max(0.0, x - 3), max(0.0, y - 3), w + 6, h + 6)
    exam = clock.find_clock_breaks(open_clip(path), box=box, reader="none")
    assert exam.observations == ()
    assert exam.outcome == "not-applicable"
    assert "surely" in exam.reason or "could be followed" in exam.reason


def test_replayable_parameters_and_whole_number_boxes(whole: tuple) -> None:
    clip, box, _ = whole
    rough = Box(int(box.x), int(box.y), int(box.width) + 1, int(box.height) + 1)
    exam = clock.read_clock(clip, box=rough, reader="none")
    assert exam.outcome == "found", exam.reason


@pytest.mark.parametrize("at", [0, 1])
def test_finds_the_clock_by_its_tick(whole: tuple, at: int) -> None:
    clip, box, _ = whole
    method = (clock.read_clock, clock.find_clock_breaks)[at]
    exam = method(clip, reader="none")
    assert exam.outcome == ("found", "nothing-found")[at], exam.reason
    if at == 0:
        assert exam.observations[0].what.box.overlap(box) > 0.1


def test_a_mirror_of_steps_by_tens(tmp_path: Path) -> None:
    line = overlay.set_clock(overlay.track(24, FPS), 13.5, 3600.0)
    clip, box, _ = make(tmp_path / "set.mp4", line)
    exam = clock.find_clock_breaks(clip, box=box, reader="none")
    assert [o.what.kind for o in exam.observations] == ["clock-jump"]
    assert exam.observations[0].measures["step"].value == pytest.approx(3600, abs=0.2)
    assert exam.observations[0].what.explanations[0].name == "summer time"


def test_without_a_clock_nothing_is_read_and_nothing_judged(tmp_path: Path) -> None:
    frames = overlay.noise_frames(160, 96, count=30)
    import av

    path = tmp_path / "none.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for i in range(140):
            frame = av.VideoFrame.from_ndarray(frames[i % 30], format="rgb24")
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    clip = open_clip(path)
    read = clock.read_clock(clip, reader="none")
    assert read.outcome == "nothing-found" and "no burned-in clock" in read.reason
    broken = clock.find_clock_breaks(clip, reader="none")
    assert broken.outcome == "not-applicable"
    with pytest.raises(RecordInvalid):
        clock.anchor(read)


def test_too_short_is_not_applicable(tmp_path: Path) -> None:
    clip, box, _ = make(tmp_path / "short.mp4", overlay.track(2, FPS))
    assert clock.read_clock(clip, box=box, reader="none").outcome == "not-applicable"


def test_the_anchor_rests_on_seconds_read_surely_alone(whole: tuple) -> None:
    from dataclasses import replace

    clip, box, _ = whole
    one = clock_gather.follow_clock(clip, box, "none", None)
    assert not isinstance(one, str)
    wall, sure = one.wall.copy(), one.sure.copy()
    # The beginning was read a minute late, and not surely: the anchor must not know of it.
    wall[:12] += 60
    sure[:12], sure[12:] = False, True
    key = (clip.digest, box, "none")
    clock_gather._recent[key] = replace(one, wall=wall, sure=sure, read=True, breaks=())
    try:
        exam = clock.read_clock(clip, box=box, reader="none")
    finally:
        clock_gather._recent.clear()
    offset = exam.measures["offset"]
    assert offset.value == pytest.approx(float(wall[15] - one.edges[15]) + one.frame_s / 2, abs=0.1)
    said = clock.anchor(exam, day="2021-10-14")
    assert "where it is first read surely" in said.source


def test_anchor_needs_a_day_and_states_its_zone(whole: tuple) -> None:
    clip, box, _ = whole
    exam = clock.read_clock(clip, box=box, reader="none")
    with pytest.raises(RecordInvalid, match="no date"):
        clock.anchor(exam)
    moment = clock.anchor(exam, day="2021-10-14", utc_offset_h=3.0)
    truth = datetime(2021, 10, 14, 18, 46, 41, 300000, tzinfo=UTC)
    assert abs((moment.utc - truth).total_seconds()) <= moment.uncertainty_s
    assert "own error is not known" in moment.source


def test_with_a_recogniser_the_date_is_read_too(cut: tuple) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra `ocr`")
    clip, _, _ = cut
    clock_gather._recent.clear()
    exam = clock.read_clock(clip, reader="rapidocr")
    assert exam.outcome == "found", exam.reason
    assert exam.observations[0].what.wall == "2021-10-14T21:46:41"
    assert exam.observations[-1].what.wall == "2021-10-14T21:47:07"


def test_the_drawing_shows_readings_and_breaks(cut: tuple) -> None:
    from forensics.plots_clock import draw_clock, draw_clock_crops

    clip, box, _ = cut
    read = clock.read_clock(clip, box=box, reader="none")
    axes = draw_clock(read, breaks=clock.find_clock_breaks(clip, box=box, reader="none"))
    assert any("clock missing seconds" in t.get_text() for t in axes.get_legend().get_texts())
    line = axes.get_lines()[0].get_ydata()
    assert float(line[-1]) == pytest.approx(2.0, abs=1.1)
    assert len(draw_clock_crops(read).axes) == len(read)
