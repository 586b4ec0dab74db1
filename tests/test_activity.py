"""Figures drawn before a textured view, then followed: what they do is known beforehand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from forensics.clip import open_clip
from forensics.model import Region, Span
from forensics.video_activity import find_activity
from forensics.video_acts import find_events_of_trail, inside
from forensics.video_control import Control, find_failed, measure_controls, try_figures
from forensics.video_falls import find_descents
from forensics.video_tracks import (
    blobs,
    evened,
    is_ghost,
    learn_ground,
    learn_heights,
    moving_mask,
    park_ground,
    part_figures,
    repair_ground,
)
from forensics.video_trails import Tracker, Trail
from forensics.video_unseen import with_doubt

RATE = 10
SIZE = (240, 136)
REGION = Region.of_box("path", 100, 60, 60, 60)


def ground(seed: int = 3) -> np.ndarray:
    import cv2

    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(80, 170, (17, 30)).astype(np.float32), SIZE)
    return coarse + rng.normal(0, 6, coarse.shape).astype(np.float32)


def figure(view: np.ndarray, x: float, foot: float, tall: float, lie: bool = False) -> None:
    """A dark coat with a lighter head; lying it is as long as it was tall."""
    w, h = (tall, 0.3 * tall) if lie else (0.32 * tall, tall)
    x0, x1 = round(x - w / 2), round(x + w / 2)
    y0, y1 = round(foot - h), round(foot)
    view[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = 25
    if not lie:
        view[max(0, y0) : max(0, y0 + round(0.16 * tall)), max(0, x0) : max(0, x1)] = 215


def movie(course, seconds: float, *, flicker: float = 0.0, seed: int = 5) -> np.ndarray:
    """`course(t)` gives figures (x, foot, tall, lie); noise and flicker are added."""
    rng = np.random.default_rng(seed)
    base = ground()
    frames = []
    for i in range(round(seconds * RATE)):
        t = i / RATE
        view = base.copy()
        for x, foot, tall, lie in course(t):
            figure(view, x, foot, tall, lie)
        view = view * (1 + flicker * np.sin(2 * np.pi * 1.7 * t)) + rng.normal(0, 2, view.shape)
        frames.append(np.clip(view, 0, 255).astype(np.uint8))
    return np.stack(frames)


def follow(frames: np.ndarray) -> list[Trail]:
    level = repair_ground(frames, learn_ground(frames))
    tracker = Tracker()
    for i, frame in enumerate(frames):
        mask, _ = moving_mask(frame, level)
        found = blobs(mask, least_px=8)
        now = evened(frame, level)
        tracker.add(i / RATE, [b for b in found if not is_ghost(now, level.level, mask, b)])
    return [t for t in tracker.finish() if t.times[-1] - t.times[0] > 0.5]


def kinds(
    trails: list[Trail], end_s: float, region: Region = REGION,
    heights: tuple[float, float] | None = (40.0, 0.0),
) -> list[str]:  # fmt: skip
    """What is said; what is doubted is not."""
    out = []
    for trail in trails:
        events = find_events_of_trail(
            trail, [region], clip_start_s=0, clip_end_s=end_s, frame_size=SIZE, heights=heights
        )
        out += [e.kind for e in events if not e.doubt]
    return out


def write(path: Path, frames: np.ndarray) -> Path:
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = SIZE[0], SIZE[1], "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast"}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="gray")
            for packet in stream.encode(picture.reformat(format="yuv420p")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path


def walker(t: float) -> list[tuple[float, float, float, bool]]:
    return [(-20 + 22 * t, 100, 40, False)]


def test_a_walker_enters_once_and_leaves_once() -> None:
    trails = follow(movie(walker, 12))
    assert len(trails) == 1
    assert kinds(trails, 12) == ["enters", "leaves"]


def test_nobody_comes_nothing_is_found_even_if_the_light_flickers() -> None:
    assert follow(movie(lambda t: [], 10, flicker=0.08)) == []


def test_a_walker_is_followed_through_flicker() -> None:
    assert kinds(follow(movie(walker, 12, flicker=0.06)), 12) == ["enters", "leaves"]


def test_passing_outside_is_not_entering() -> None:
    trails = follow(movie(lambda t: [(-20 + 22 * t, 50, 40, False)], 12))
    assert len(trails) == 1 and kinds(trails, 12) == []


def test_running_is_told_from_walking() -> None:
    runs = follow(movie(lambda t: [(-30 + 75 * t, 100, 40, False)], 5))
    assert "runs" in kinds(runs, 5)
    # A quick walk lies within the error of this one's speed.
    hurries = follow(movie(lambda t: [(-30 + 68 * t, 100, 40, False)], 5))
    assert "runs" not in kinds(hurries, 5)
    assert "runs" not in kinds(follow(movie(walker, 12)), 12)


def test_standing_still_is_seen() -> None:
    def course(t: float) -> list[tuple[float, float, float, bool]]:
        return [(min(130.0, -20 + 40 * t) + max(0.0, 40 * (t - 8)), 100, 40, False)]

    found = kinds(follow(movie(course, 20)), 20)
    assert "stands-still" in found and found.count("enters") == 1


def test_falling_is_told_from_walking_and_standing() -> None:
    def course(t: float) -> list[tuple[float, float, float, bool]]:
        x = min(130.0, -20 + 30 * t)
        return [(x, 100, 40, t > 14)]

    assert "falls" in kinds(follow(movie(course, 22)), 22)
    assert "falls" not in kinds(follow(movie(walker, 12)), 12)


def test_a_sinking_patch_is_a_descent_and_a_walker_is_none() -> None:
    def descents(frames: np.ndarray, tall: float) -> list:
        level = learn_ground(frames)
        boxes = [blobs(moving_mask(frame, level)[0], least_px=8) for frame in frames]
        times = [i / RATE for i in range(len(frames))]
        return find_descents(frames, times, boxes, heights=(tall, 0.0))

    def course(t: float) -> list[tuple[float, float, float, bool]]:
        # It came before the background was learned from; it does not stand in it.
        x, sink = min(130.0, -20 + 60 * t), float(np.clip((t - 4) / 0.7, 0, 1))
        return [(x, 100, 44 - 30 * sink, False)] if t < 6 else []

    found = descents(movie(course, 16), 44)
    assert len(found) == 1 and 3.8 <= found[0].start <= 4.6
    assert descents(movie(walker, 8), 40) == []


def test_what_stood_there_all_along_leaves_no_ghost() -> None:
    def course(t: float) -> list[tuple[float, float, float, bool]]:
        return [(60, 100, 40, False)] if t < 8 else [(60 + 30 * (t - 8), 100, 40, False)]

    frames = movie(course, 14)
    level = repair_ground(frames, learn_ground(frames))
    mask, _ = moving_mask(frames[-1], level)
    left = [b for b in blobs(mask, least_px=8) if 40 < b[0] + b[2] / 2 < 80]
    now = evened(frames[-1], level)
    assert left == [] or all(is_ghost(now, level.level, mask, b) for b in left)


def test_two_side_by_side_are_parted_and_one_is_not() -> None:
    alone = [(20.0 * k, 100.0 - 40, 14.0, 40.0) for k in range(1, 20)] * 5
    heights = learn_heights(alone, (240, 480))
    assert heights is not None and heights[0] + 100 * heights[1] == pytest.approx(40, abs=1)
    mask = np.zeros((240, 480), np.uint8)
    mask[60:100, 100:114] = mask[62:100, 120:134] = 1
    mask[80:84, 114:120] = 1  # they hold hands
    one, other = part_figures(mask, (100, 60, 34, 40), heights)
    assert one[0] == 100 and one[2] <= 20 and other[0] + other[2] == 134 and other[2] <= 20
    mask[:] = 0
    mask[60:100, 100:122] = 1
    assert part_figures(mask, (100, 60, 22, 40), heights) == [(100, 60, 22, 40)]


def test_one_behind_and_above_the_other_are_parted() -> None:
    heights = (40.0, 0.0)
    mask = np.zeros((240, 480), np.uint8)
    mask[20:58, 104:116] = mask[58:100, 100:114] = 1
    parts = part_figures(mask, (100, 20, 16, 80), heights)
    assert [round(y + h) for _, y, _, h in parts] == [pytest.approx(60, abs=4), 100]
    assert learn_heights([(5.0, 5.0, 10.0, 25.0)] * 20, (240, 480)) is None


def test_two_that_pass_each_other_stay_two_trails() -> None:
    tracker = Tracker()
    for k in range(60):
        one, other = 20.0 + 3 * k, 200.0 - 3 * k
        if abs(one - other) < 16:  # one box for both
            boxes = [(min(one, other), 60.0, 14 + abs(one - other), 40.0)]
        else:
            boxes = [(one, 60.0, 14.0, 40.0), (other, 60.0, 14.0, 40.0)]
        tracker.add(k / 10, boxes)
    trails = tracker.finish()
    assert len(trails) == 2
    assert all(len(trail.times) >= 58 for trail in trails)


def test_a_trail_that_is_lost_does_not_push_another_off_its_box() -> None:
    tracker = Tracker()
    for k in range(20):
        boxes = [(100.0 + k, 60.0, 14.0, 40.0)]
        # The second goes, and at once a third comes far away.
        boxes.append((300.0, 60.0, 14.0, 40.0) if k < 10 else (20.0, 60.0, 14.0, 40.0))
        tracker.add(k / 10, boxes)
    assert max(len(trail.times) for trail in tracker.finish()) == 20


def test_who_stands_on_the_edge_does_not_enter_again_and_again() -> None:
    region = Region("bench", ((100, 100), (300, 100), (300, 200), (100, 200)))
    times = [k / 10 for k in range(200)]
    shake = [3.0 * (-1) ** (k // 7) for k in range(200)]
    stays = Trail(times, [(200.0, 60 + s, 14.0, 40.0) for s in shake])
    walks = Trail(times, [(60.0 + k, 110.0, 14.0, 40.0) for k in range(200)])
    known = {"clip_start_s": 0.0, "clip_end_s": 19.9, "frame_size": (640.0, 360.0)}
    crossed = [e for e in find_events_of_trail(stays, [region], **known)
               if e.kind in ("enters", "leaves")]  # fmt: skip
    assert crossed and all("edge" in e.doubt for e in crossed)  # stated, never said
    [enters] = [e for e in find_events_of_trail(walks, [region], **known) if e.kind == "enters"]
    assert enters.end == pytest.approx(3.3, abs=0.2)


def crossing(boxes: list[tuple[float, float, float, float]], **given) -> list:
    """What one trail of these boxes, ten a second, did at the path."""
    trail = Trail([i / RATE for i in range(len(boxes))], boxes, own=len(boxes), **given)
    return find_events_of_trail(
        trail, [REGION], clip_start_s=0, clip_end_s=20, frame_size=SIZE, heights=(40.0, 0.0)
    )


def test_an_outline_that_changes_is_not_said_to_cross_and_a_mover_is() -> None:
    walks = crossing([(60 + 2.0 * i, 60, 14, 40) for i in range(45)])
    assert [(e.kind, e.doubt) for e in walks if e.kind == "enters"] == [("enters", "")]
    # It stands; a shadow, or somebody else, joins its box on one side and stays.
    joined = crossing([(70, 60, 14, 40)] * 20 + [(70, 60, 80, 40)] * 20)
    assert [e.kind for e in joined if e.kind == "enters"] == ["enters"]
    assert all(e.doubt for e in joined if e.kind == "enters")


def test_what_was_assumed_in_a_group_is_not_said() -> None:
    boxes = [(60 + 2.0 * i, 60.0, 14.0, 40.0) for i in range(45)]
    [enters] = [e for e in crossing(boxes, assumed=set(range(10, 30))) if e.kind == "enters"]
    assert "hidden" in enters.doubt


def test_the_part_of_a_run_that_is_seen_clearly_is_said() -> None:
    clear = [(-40 + 8.0 * i, 60.0, 14.0, 40.0) for i in range(44)]
    # It merges with something on the way, for a second or all the time.
    merged = [(x - 30, y, w + 60, h) if 8 <= i < 18 else (x, y, w, h)
              for i, (x, y, w, h) in enumerate(clear)]  # fmt: skip
    throughout = [(x - 30, y, w + 60, h) if i % 6 < 3 else (x, y, w, h)
                  for i, (x, y, w, h) in enumerate(clear)]  # fmt: skip
    place = [Region("street", ((-100, 0), (500, 0), (500, 200), (-100, 200)))]
    said = []
    for boxes in (clear, merged, throughout):
        trail = Trail([i / RATE for i in range(len(boxes))], boxes, own=len(boxes))
        events = find_events_of_trail(
            trail, place, clip_start_s=0, clip_end_s=20, frame_size=(400, 180), heights=(40.0, 0.0)
        )
        said.append([e for e in events if e.kind == "runs" and not e.doubt])
    [whole], [part], none = said
    assert whole.start < 0.5 and part.start > 1.4 and part.end > 3.5 and none == []
    assert part.speed == pytest.approx(2.0, abs=0.2)


def test_a_part_of_a_figure_neither_enters_nor_runs() -> None:
    events = crossing([(40 + 6.0 * i, 90, 6, 10) for i in range(25)])
    assert events and all(e.doubt for e in events)


def test_nothing_is_said_to_run_where_figures_have_no_known_height() -> None:
    frames = movie(lambda t: [(-30 + 75 * t, 100, 40, False)], 5)
    assert "runs" in kinds(follow(frames), 5)
    assert "runs" not in kinds(follow(frames), 5, heights=None)


def test_what_is_of_many_heights_has_none() -> None:
    rng = np.random.default_rng(2)

    def upright(heights: np.ndarray) -> list[tuple[float, float, float, float]]:
        places = rng.uniform(20, 200, len(heights))
        return [(float(x), 100.0 - h, 0.4 * h, h) for x, h in zip(places, heights, strict=True)]

    assert learn_heights(upright(rng.normal(40, 2, 90)), SIZE[::-1]) is not None
    assert learn_heights(upright(rng.uniform(8, 60, 90)), SIZE[::-1]) is None


def test_what_parks_becomes_background_and_who_passes_before_it_does_not() -> None:
    import cv2

    rng = np.random.default_rng(4)
    frames = movie(lambda t: [(-20 + 22 * (t - 22), 112, 40, False)] if t > 22 else [], 34)
    for i, frame in enumerate(frames):
        # A van comes at 10 s and stays.
        if i >= 10 * RATE:
            van = rng.normal(190, 2, (36, 90)).clip(0, 255).astype(np.uint8)
            cv2.rectangle(van, (8, 6), (80, 16), 60, -1)
            frame[66:102, 110:200] = van
    # Whichever of the two the median holds, the other is a patch.
    times = np.arange(len(frames)) / RATE
    level = learn_ground(frames)
    grounds = park_ground(frames, times, level, tall=(40.0, 0.0))
    at = round(29.5 * RATE)
    boxes = blobs(moving_mask(frames[at], grounds[at])[0], least_px=8)
    assert len(boxes) == 1 and boxes[0][2] < 30, boxes
    early = blobs(moving_mask(frames[50], grounds[50])[0], least_px=8)
    assert early == [], early


def test_the_even_odd_rule() -> None:
    square = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0))
    x, y = np.array([5.0, 15.0, 9.9, -1.0]), np.array([5.0, 5.0, 9.9, 5.0])
    assert list(inside(square, x, y)) == [True, False, True, False]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("activity") / "walk.mp4"
    return open_clip(write(path, movie(walker, 12)))


def test_the_method_says_when_and_where(clip) -> None:
    exam = find_activity(clip, (REGION,))
    assert exam.outcome == "found", exam.reason
    said = [(o.what.kind, round(float(o.what.time))) for o in exam.observations]
    # The foot crosses x = 100 at 5.5 s and x = 160 at 8.2 s.
    assert [k for k, _ in said] == ["enters", "leaves"]
    assert abs(said[0][1] - 5.5) <= 1 and abs(said[1][1] - 8.2) <= 1
    track = exam.observations[0].what.track
    assert track and all(p.box.height > 20 for p in track)


def test_what_is_hidden_is_not_testable_and_says_so(clip) -> None:
    tree = Region.of_box("tree", 130, 40, 60, 90)
    exam = find_activity(clip, (REGION,), occluders=(tree,))
    shares = [
        int(found[1])
        for n in exam.coverage.not_testable
        if (found := re.search(r"'path': (\d+)% of it lies behind 'tree'", n.reason))
    ]
    assert len(shares) == 1 and 45 <= shares[0] <= 55
    clear = find_activity(clip, (REGION,))
    # Who falls in the first seconds is not told from who stood there before.
    assert all(n.reason.startswith("falls: ") for n in clear.coverage.not_testable)


def test_a_region_too_narrow_for_a_foot_is_not_testable_and_says_so(clip) -> None:
    strip = Region.of_box("strip", 100, 95, 60, 2)
    exam = find_activity(clip, (strip,))
    assert not any(o.what.kind in ("enters", "leaves") for o in exam.observations)
    assert any("narrower" in part.reason for part in exam.coverage.not_testable)
    assert 0 <= exam.measures["crossings testable"].value < 1


def test_a_region_outside_the_picture_is_not_testable(clip) -> None:
    exam = find_activity(clip, (Region.of_box("far", 5000, 5000, 10, 10),))
    assert exam.outcome == "nothing-found"
    assert any("outside the picture" in n.reason for n in exam.coverage.not_testable)


def test_the_drawing_has_a_line_for_each_region(clip) -> None:
    from forensics.plots_activity import draw_activity, draw_trajectories

    other = Region.of_box("bench", 0, 0, 50, 40)
    exam = find_activity(clip, (REGION, other))
    axes = draw_activity(exam)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["path", "bench"]
    assert len(draw_trajectories(exam, regions=(REGION, other)).get_lines()) >= 3


def test_figures_drawn_into_the_clip_are_found_in_light_and_not_in_the_dark() -> None:
    frames = movie(walker, 12)
    given = {"heights": (40.0, 0.0), "least_px": 8.0}
    found, tried = try_figures(frames, learn_ground(frames), REGION.polygon, [], **given)
    assert tried >= 12 and found > 0.9 * tried
    # The same at a tenth of the light, with the sensor's noise as it was.
    rng = np.random.default_rng(6)
    dark = np.clip(0.08 * frames + 10 + rng.normal(0, 5, frames.shape), 0, 255).astype(np.uint8)
    found, tried = try_figures(dark, learn_ground(dark), REGION.polygon, [], **given)
    assert tried >= 4 and found < 0.5 * tried
    # Behind what is declared nothing is drawn.
    whole = ((0.0, 0.0), (240.0, 0.0), (240.0, 136.0), (0.0, 136.0))
    assert try_figures(frames, learn_ground(frames), REGION.polygon, [whole], **given)[1] == 0


def test_a_region_in_which_drawn_figures_are_lost_is_not_testable() -> None:
    lost, kept = Control("bench", 0.0, 9.0, 1, 12), Control("path", 0.0, 9.0, 11, 12)
    door = Control("door", 0.0, 9.0, 0, 2)
    hole, none = find_failed([lost, kept, door], ["bench", "path", "door"], Span.of(0, 20))
    assert hole.reason.startswith("region 'bench': ") and float(hole.span.end) == 9.0
    assert none.reason.startswith("no control in region 'door'") and float(none.span.end) == 20.0
    assert 0.4 < measure_controls([lost, kept])["drawn figures found"].value < 0.6
    assert measure_controls([]) == {}


def test_noise_of_a_dark_sensor_does_not_hide_a_figure() -> None:
    rng = np.random.default_rng(8)
    clean = movie(walker, 12).astype(float) * 0.5
    frames = np.clip(clean + rng.normal(0, 6, clean.shape), 0, 255).astype(np.uint8)
    trails = follow(frames)
    assert kinds(trails, 12) == ["enters", "leaves"]
    still = np.clip(movie(lambda t: [], 10) * 0.5 + rng.normal(0, 6, (100, *SIZE[::-1])), 0, 255)
    assert follow(still.astype(np.uint8)) == []


def shadowed(x: float, *, soft: bool) -> np.ndarray:
    """A figure's picture with a patch below its feet that lets through 0.6 of the ground."""
    import cv2

    view = ground()
    share = np.ones(view.shape, np.float32)
    share[100:118, round(x) - 8 : round(x) + 24] = 0.6
    view = view * (cv2.GaussianBlur(share, (0, 0), 1.5) if soft else share)
    figure(view, x, 101, 40)
    return np.clip(view, 0, 255).astype(np.uint8)


def test_a_shadow_below_the_feet_does_not_move_the_foot() -> None:
    level = learn_ground(movie(lambda t: [], 3))
    for x in (60.0, 120.0, 180.0):
        mask, _ = moving_mask(shadowed(x, soft=True), level)
        [box] = blobs(mask, least_px=8)
        assert abs(box[1] + box[3] - 101) <= 3
        # With a sharp rim it may be a coat on the ground, and stays.
        mask, _ = moving_mask(shadowed(x, soft=False), level)
        assert max(y + h for _, y, _, h in blobs(mask, least_px=8)) >= 115


def test_a_foot_that_the_head_denies_is_doubted() -> None:
    # The outline loses its legs before dark ground: by its head it never left.
    stays = [(110 + 0.3 * i, 62.0, 14.0, 40.0) for i in range(25)]
    lost = [(117 + 0.3 * i, 62.0, 14.0, 40.0 - min(20.0, 2.0 * i)) for i in range(25)]
    region = Region.of_box("path", 60, 92, 160, 40)
    trail = Trail([i / RATE for i in range(50)], stays + lost, own=50)
    events = find_events_of_trail(
        trail, [region], clip_start_s=0, clip_end_s=5, frame_size=SIZE, heights=(40.0, 0.0)
    )
    assert [e.kind for e in events if e.kind == "leaves"] == ["leaves"]
    assert all(e.doubt for e in events if e.kind == "leaves")


def test_a_crossing_behind_what_hides_the_foot_or_where_trails_part_is_doubted() -> None:
    boxes = [(60 + 2.0 * i, 60.0, 14.0, 40.0) for i in range(45)]
    trail = Trail([i / RATE for i in range(45)], boxes, own=45)
    [enters] = [e for e in crossing(boxes) if e.kind == "enters"]
    none = np.zeros((0, 5))

    def doubt(others: list[Trail], screens: tuple[Region, ...] = ()) -> str:
        return with_doubt(enters, trail, [trail, *others], screens, none).doubt

    assert doubt([]) == ""
    x, y, w, h = boxes[round(enters.start * RATE)]
    assert "hides" in doubt([], (Region.of_box("wall", x - 20, y + 0.8 * h, 60, 20),))
    assert doubt([], (Region.of_box("awning", x - 20, y - 10, 60, 20),)) == ""
    met = Trail([enters.start - 1, enters.start], [(x - 30, y, w, h), (x, y, w, h)], own=2)
    passed = Trail(met.times, [(x - 30, y, w, h), (x + 60, y, w, h)], own=2)
    assert "merging" in doubt([met]) and doubt([passed]) == ""
