"""Every level once: what coincides is one finding, what did not run is said, power is measured."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from making import moving_square, write_video
from msgspec import structs
from walkers import RATE, make, street

from forensics import container, edits, edits_merge, open_clip, plots_edits, scan, video
from forensics.edits_make import EDITS, plan_edits, write_clip
from forensics.edits_merge import coincide, rank_explanations
from forensics.edits_phase import LEAST_STRENGTH, changed_series, judge_changes
from forensics.edits_power import edit_found
from forensics.errors import RecordInvalid
from forensics.model import (
    Discontinuity,
    Examination,
    Explanation,
    Level,
    Observation,
    Span,
    Uncalibrated,
    from_json,
)
from forensics.provenance import artefact_bytes
from forensics.video_judge import Seen


def seen(
    level: Level, kind: str, start: float, end: float | None = None, score: float = 0.6
) -> Observation:
    said = Discontinuity(
        level=level, kind=kind, verdict="inconclusive",  # type: ignore[arg-type]
        explanations=(Explanation(1, f"{level} fault", True, ""), Explanation(2, "cut", False, "")),
    )  # fmt: skip
    return Observation(said, Span.of(start, start if end is None else end), score)


def merge_levels(observations: list[Observation]) -> list[Observation]:
    return [found for found, _ in edits_merge.merge_levels(observations)]


def what(observation: Observation) -> Discontinuity:
    assert isinstance(observation.what, Discontinuity)
    return observation.what


# -- plans and encodings ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", EDITS)
def test_a_plan_says_exactly_what_it_does(kind: str) -> None:
    plan = plan_edits(kind, 600, 20.0, foreign=60, seed=4)  # type: ignore[arg-type]
    assert plan.edits
    # Foreign frames are counted downwards from -2.
    order = np.where(plan.order <= -2, 10_000 - plan.order, plan.order)
    breaks = np.flatnonzero(np.diff(order) != 1) + 1
    told = sorted({b for e in plan.edits for b in e.boundaries})
    if kind == "freeze":
        for edit in plan.edits:
            assert len(set(plan.order[edit.first : edit.last])) == 1
    elif kind == "inserted-black":
        assert (plan.order == -1).sum() == sum(e.last - e.first for e in plan.edits)
    else:
        assert breaks.tolist() == told
    if kind in ("cover-up", "freeze"):
        assert len(plan.order) == 600
    for edit in plan.edits:
        if edit.source is not None:
            length = edit.last - edit.first
            copied = plan.order[edit.first : edit.last]
            assert (copied == np.arange(copied[0], copied[0] + length)).all()


def test_a_plan_is_the_same_for_the_same_seed() -> None:
    one, other = (plan_edits("deletion", 600, 20.0, seed=3) for _ in range(2))
    assert (one.order == other.order).all() and one.edits == other.edits
    assert plan_edits("deletion", 600, 20.0, seed=5).edits != one.edits


def test_each_profile_shows_every_frame(tmp_path: Path) -> None:
    frames = street(30)
    for profile, width in (("crf23", 320), ("platform", 240), ("mpeg4", 320)):
        path = write_clip(
            tmp_path / f"{profile}.mp4", frames, range(30), Fraction(RATE),
            profile=profile,  # type: ignore[arg-type]
        )  # fmt: skip
        clip = open_clip(path, metadata=False)
        assert clip.video is not None and clip.video.width == width
        assert video.measure_frames(clip).pts.shape == (30,)


# -- merging ----------------------------------------------------------------------------------


def test_what_coincides_is_one_finding_and_counts_for_more() -> None:
    merged = merge_levels([seen("frame", "deletion", 5.0, 5.04), seen("audio", "sound-splice", 5.1),
                           seen("clock", "clock-jump", 20.0)])  # fmt: skip
    assert len(merged) == 2
    assert what(merged[0]).kind == "deletion" and what(merged[0]).verdict == "inconsistent"
    assert merged[0].score == pytest.approx(1 - 0.4 * 0.4)
    assert any("audio: sound-splice" in s for s in what(merged[0]).supports)
    assert what(merged[1]).verdict == "inconclusive" and merged[1].score == 0.6


def test_the_order_of_levels_and_a_common_shift_change_nothing() -> None:
    one = [seen("frame", "deletion", 5.0), seen("audio", "sound-splice", 5.1, score=0.8),
           seen("bitstream", "stream-copy-cut", 4.9)]  # fmt: skip
    assert merge_levels(one) == merge_levels(one[::-1])
    later = [seen("frame", "deletion", 105.0), seen("audio", "sound-splice", 105.1, score=0.8),
             seen("bitstream", "stream-copy-cut", 104.9)]  # fmt: skip
    [here], [there] = merge_levels(one), merge_levels(later)
    assert here.score == there.score and here.span and there.span
    assert there.span.start - here.span.start == 100


def test_two_findings_of_one_level_stay_two() -> None:
    assert len(merge_levels([seen("frame", "deletion", 5.0), seen("frame", "freeze", 5.1)])) == 2


def test_a_phase_break_somewhere_inside_supports_the_step_that_says_where() -> None:
    broken = seen("compression", "gop-phase-break", 4.0, 8.0)
    step = seen("frame", "deletion", 6.0, 6.04)
    assert coincide(broken, step, 0.3)
    [one] = merge_levels([broken, step])
    assert what(one).kind == "deletion" and one.span == step.span


def test_over_a_damaged_stream_lost_packets_decide_nothing() -> None:
    hole = [seen("frame", "deletion", 5.0, score=0.9), seen("bitstream", "stream-copy-cut", 5.1)]
    foreign = seen("frame", "splice", 9.0, score=0.9)
    heard = seen("audio", "sound-splice", 9.1, score=0.9)
    damage = seen("bitstream", "truncated", 0.0, 30.0, score=0.5)
    assert [what(o).verdict for o in merge_levels(hole)] == ["inconsistent"]
    _, step, splice = merge_levels([*hole, foreign, heard, damage])
    assert what(step).verdict == "inconclusive" and what(step).explanations[0].benign
    assert what(splice).kind == "splice" and what(splice).verdict == "inconsistent"


def test_lost_packets_of_a_transport_stream_are_damage_too() -> None:
    hole = [seen("frame", "deletion", 5.0, score=0.9), seen("bitstream", "stream-copy-cut", 5.1)]
    lost = Discontinuity(
        level="container", kind="structure", verdict="inconclusive",
        explanations=(Explanation(1, "packet-loss", True, ""),),
    )  # fmt: skip
    *_, step = merge_levels([*hole, Observation(lost, None, 0.45)])
    assert what(step).verdict == "inconclusive"
    assert what(step).explanations[0].name == "damaged-data"


def test_sound_left_out_by_its_stamps_is_one_trace_read_twice() -> None:
    gap = seen("timestamps", "pts-gap", 7.2, 7.4, score=0.66)
    left_out = seen("audio", "dropped-sound", 7.2, 7.4, score=0.57)
    [merged] = merge_levels([gap, left_out])
    assert what(merged).verdict == "inconclusive"
    [apart] = merge_levels([gap, left_out, seen("frame", "deletion", 7.2, score=0.9)])
    assert what(apart).verdict == "inconsistent"


def test_facts_about_the_whole_file_join_nothing() -> None:
    whole = seen("container", "structure", 0.0, 30.0)
    assert len(merge_levels([whole, seen("frame", "deletion", 30.0)])) == 2


def test_what_accounts_for_more_traces_ranks_higher() -> None:
    ranked = rank_explanations([
        (Explanation(1, "stall", True, ""), Explanation(2, "cut", False, "")),
        (Explanation(1, "door slam", True, ""), Explanation(2, "cut", False, "")),
    ])  # fmt: skip
    assert ranked[0].name == "cut" and [e.rank for e in ranked] == [1, 2, 3]


# -- the whole --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    path = tmp_path_factory.mktemp("edited") / "edited.mp4"
    plan = make(path, "deletion", most=1)
    return path, plan.edits[0].first


@pytest.fixture(scope="module")
def examined(edited: tuple[Path, int]) -> Examination:
    return edits.find_edits(open_clip(edited[0], metadata=False), levels=("frame",))


def test_a_made_deletion_is_found_with_its_explanations(
    edited: tuple[Path, int], examined: Examination
) -> None:
    steps = [o for o in examined.observations if what(o).kind == "deletion"]
    assert len(steps) == 1
    assert steps[0].span is not None and Fraction(edited[1], RATE) in steps[0].span
    benign = [e for e in what(steps[0]).explanations if e.benign]
    assert benign and what(steps[0]).explanations[0].rank == 1
    assert what(steps[0]).verdict == "inconclusive"


def test_each_levels_own_examination_is_kept(examined: Examination) -> None:
    [artefact] = examined.artefacts
    inner = from_json(artefact_bytes(artefact), Examination)
    assert inner.origin.method == "video-discontinuities"
    assert inner.origin.inputs == examined.origin.inputs


def test_a_level_that_did_not_run_is_said(
    edited: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("frame", "forensics.video", "find_discontinuities"),
            ("hum", "forensics.nowhere", "find_phase_breaks")]  # fmt: skip
    monkeypatch.setattr(edits, "LEVEL_METHODS", tuple(rows))
    clip = open_clip(edited[0], metadata=False)
    examination = edits.find_edits(clip, levels=("frame", "hum"))
    assert "hum level not examined" in examination.reason
    assert any(n.reason.startswith("hum:") for n in examination.coverage.not_testable)
    assert examination.measures["levels_run"].value == 1
    alone = edits.find_edits(clip, levels=("hum",))
    assert alone.outcome == "not-applicable" and "hum" in alone.reason
    with pytest.raises(ValueError, match="no such level"):
        edits.find_edits(clip, levels=("smell",))


def test_every_level_runs_or_says_why_not(edited: tuple[Path, int]) -> None:
    examination = edits.find_edits(open_clip(edited[0], metadata=False))
    assert examination.outcome == "found"
    run = int(examination.measures["levels_run"].value)
    # "sync" is asked only if named.
    assert run + examination.reason.count("level not examined") == len(edits.LEVEL_METHODS) - 1


def test_the_power_on_a_lively_and_on_a_still_view(tmp_path: Path) -> None:
    make(tmp_path / "lively.mp4", "untouched", frames=street(220))
    lively = edits.measure_power(
        open_clip(tmp_path / "lively.mp4", metadata=False), kinds=("deletion",), most=3
    )
    power = lively.measures["found deletion"]
    assert power.value >= 0.66 and power.low is not None and power.high is not None
    assert power.low < power.value <= power.high
    make(tmp_path / "still.mp4", "untouched", frames=street(220, walkers=0))
    still = edits.measure_power(
        open_clip(tmp_path / "still.mp4", metadata=False), kinds=("deletion",), most=3
    )
    assert still.measures["found deletion"].value == 0
    assert still.measures["alarms"].value == 0


def test_power_needs_room_and_known_kinds(tmp_path: Path) -> None:
    clip = open_clip(write_video(tmp_path / "a.mp4", moving_square(50)), metadata=False)
    assert edits.measure_power(clip).outcome == "not-applicable"
    with pytest.raises(ValueError, match="cannot be made"):
        edits.measure_power(clip, kinds=("splice",))


def test_an_edit_counts_as_found_within_two_frames() -> None:
    [edit] = plan_edits("deletion", 300, 20.0, most=1).edits
    for away, expected in ((2, True), (3, False)):
        at = edit.first + away
        report = Seen("deletion", at, at, 0.9, ("step",), (at,))
        assert edit_found(edit, [report]) is expected


# -- drawing ----------------------------------------------------------------------------------


def test_the_figure_shows_every_level_and_what_was_not_testable(
    edited: tuple[Path, int], examined: Examination
) -> None:
    clip = open_clip(edited[0], metadata=False)
    figure = plots_edits.draw_edits(clip, examined)
    upper, lower = figure.subfigs
    strip, motion, table = upper.axes
    assert [text.get_text() for text in table.get_yticklabels()] == ["frame (the pictures)"]
    # Every axis says its unit, and the numbers on the bars are explained below them.
    assert "grey levels" in motion.get_ylabel() and "h:mm:ss" in table.get_xlabel()
    numbers = {t.get_text() for t in table.texts if t.get_text().isdigit()}
    (listed,) = lower.axes
    told = [t.get_text() for t in listed.texts]
    assert numbers <= set(told) and numbers
    assert "deletion" in told and "frame" in told
    # What no level looks for is a strip under its lane, and leaves what was looked for to be read.
    beside = " ".join(" ".join(t.get_text().split()) for t in table.texts)
    assert "no test for edits inside a picture" in beside
    # Pictures keep their shape, and stand under their times.
    assert len([t for t in strip.texts if t.get_text().count(":") == 2]) >= 7
    low, high = table.get_xlim()
    assert low == 0 and high == pytest.approx(float(examined.coverage.span.end))  # type: ignore[union-attr]


def test_what_one_level_saw_keeps_that_levels_error_rate(edited: tuple[Path, int]) -> None:
    clip = open_clip(edited[0], metadata=False)
    alone = video.find_discontinuities(clip)
    merged = edits.find_edits(clip, levels=("frame",))
    assert alone.findings
    rates = [f.error_rate for f in alone]
    assert [f.error_rate for f in merged] == rates
    assert not any(isinstance(rate, Uncalibrated) for rate in rates)
    whole = container.find_discontinuities(clip)
    assert [f.error_rate for f in edits.find_edits(clip, levels=("container",))] == [
        f.error_rate for f in whole
    ]


def test_what_two_levels_saw_names_the_error_rate_of_each(edited: tuple[Path, int]) -> None:
    clip = open_clip(edited[0], metadata=False)
    [alone] = [f for f in edits.find_edits(clip, levels=("frame",))
               if what(f.observation).kind == "deletion"]  # fmt: skip
    place = alone.observation.span
    assert place is not None
    other = seen("comparison", "offset-jump", float(place.start), float(place.end))
    both = edits.find_edits(clip, levels=("frame",), also=(other,))
    [found] = [f for f in both if len(what(f.observation).supports) > 2]
    assert isinstance(found.error_rate, Uncalibrated)
    assert f"frame level, deletion: {alone.error_rate}" in found.error_rate.reason
    assert "comparison level, offset-jump: not known" in found.error_rate.reason
    # The answer itself is what it was: only what is known about its rate is said better.
    assert [o.score for o in both.observations] == [
        o.score for o in merge_levels([*edits.find_edits(clip, levels=("frame",)).observations,
                                       other])
    ]  # fmt: skip


def test_a_level_that_was_asked_in_vain_stands_in_the_figure(moving: Path) -> None:
    clip = open_clip(moving, metadata=False)
    figure = plots_edits.draw_edits(clip, edits.find_edits(clip, levels=("container", "frame")))
    table = figure.axes[2]
    labels = [text.get_text() for text in table.get_yticklabels()]
    assert "frame (the pictures)" in labels
    assert any(t.get_text().startswith("nothing found") for t in table.texts)


def test_words_of_the_figure_neither_overlap_nor_leave_it(
    tmp_path: Path, edited: tuple[Path, int], examined: Examination
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    # A file's name is no formula, and no name is too long.
    odd = tmp_path / ("a$x_{$b%" + 60 * "n" + ".mp4")
    odd.write_bytes(edited[0].read_bytes())
    found = examined.findings[0]
    many = [
        structs.replace(
            found,
            observation=structs.replace(
                found.observation, span=Span.of(0.1 * n, 0.1 * n + 0.05), artefacts=()
            ),
        )
        for n in range(20)
    ]
    crowded = structs.replace(examined, findings=(*examined.findings, *many))
    figure = plots_edits.draw_edits(open_clip(odd, metadata=False), crowded)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    wide, high = canvas.get_width_height()
    renderer = canvas.get_renderer()
    # Ticks beyond the ends have labels too, which are not drawn.
    ticks = {t for axes in figure.axes for t in axes.get_xticklabels() + axes.get_yticklabels()}
    for text in set(figure.findobj(Text)) - ticks:
        if text.get_text().strip():
            box = text.get_window_extent(renderer)
            inside = box.x0 > -1 and box.y0 > -1 and box.x1 < wide + 1 and box.y1 < high + 1
            assert inside, text.get_text()
    (listed,) = figure.subfigs[1].axes
    lines = [t for t in listed.texts if not t.get_text().isdigit()]
    extents = [t.get_window_extent(renderer).shrunk(0.98, 0.8) for t in lines]
    assert not any(a.overlaps(b) for n, a in enumerate(extents) for b in extents[n + 1 :])
    assert any("more, which the text names" in t.get_text() for t in lines)


@pytest.mark.parametrize("deficiency", ["none", "deutan", "protan", "grey"])
def test_the_three_outcomes_stay_apart_for_every_eye_and_on_paper(deficiency: str) -> None:
    from matplotlib.colors import to_rgb

    from forensics.plots_ink import OUTCOME_INK, OUTCOME_LINE

    # Machado, Oliveira and Fernandes 2009, severity 1, on linear light; grey by luminance.
    seen_as = {
        "none": np.eye(3),
        "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        "grey": 3 * [[0.2126, 0.7152, 0.0722]],
    }[deficiency]
    linear = [np.array(to_rgb(ink)) ** 2.2 for ink in OUTCOME_INK.values()]
    shown = [np.clip(np.asarray(seen_as) @ ink, 0, 1) ** (1 / 2.2) for ink in linear]
    apart = [float(np.abs(a - b).max()) for n, a in enumerate(shown) for b in shown[n + 1 :]]
    assert min(apart) > (0.1 if deficiency == "grey" else 0.3)
    assert len(set(OUTCOME_LINE.values())) == 3


def test_keyframes_as_sheet_page_and_archive(tmp_path: Path, moving: Path) -> None:
    import zipfile

    clip = open_clip(moving, metadata=False)
    found = video.find_keyframes(clip, every_s=1.0)
    png = plots_edits.write_keyframes(clip, found, tmp_path / "a.png")
    assert png.read_bytes()[:4] == b"\x89PNG"
    page = plots_edits.write_keyframes(clip, found, tmp_path / "a.html").read_text("utf-8")
    assert page.count("<figure>") == 4 and "http" not in page
    packed = plots_edits.write_keyframes(clip, found, tmp_path / "a.zip", archive=True)
    with zipfile.ZipFile(packed) as archive:
        assert len(archive.namelist()) == 6
        assert b"covered" in archive.read("redaction.txt")
        table = archive.read("keyframes.csv").decode().splitlines()
    assert len(table) == 5 and table[0].startswith("file,ordinal,pts_s,byte_position,pixel_sha256")
    with pytest.raises(ValueError, match="png"):
        plots_edits.write_keyframes(clip, found, tmp_path / "a.gif")
    with pytest.raises(RecordInvalid):
        plots_edits.draw_keyframes(clip, video.find_cuts(clip))


# -- the older GOP in the pictures ------------------------------------------------------------


def _series(
    frames: int = 400, *, gop: int = 25, cut: int | None = None, removed: int = 0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root of the share of changed pixels of an encoding with B-frames over an older GOP."""
    rng = np.random.default_rng(seed)
    kind = np.resize([2, 3, 3, 3], frames)
    old = np.arange(frames)
    if cut is not None:
        old = np.where(old >= cut, old + removed, old)
    usual = np.where(kind == 2, 0.8, np.where(np.roll(kind, 1) == 2, 0.6, 0.4))
    series = usual + 0.03 * rng.standard_normal(frames) + 0.2 * (old % gop == 0)
    skip = np.zeros(frames, bool)
    skip[[0, 1, 250, 251]] = True
    return series, kind * 8 + np.concatenate([[0], kind[:-1]]), skip


@pytest.mark.parametrize(("gop", "removed"), [(12, 7), (25, 63), (50, 31)])
def test_changed_pixels_show_a_deletion_among_b_frames(gop: int, removed: int) -> None:
    train = judge_changes(*_series(gop=gop, cut=210, removed=removed))
    assert train is not None and train.period == gop and len(train.breaks) == 1
    item = train.breaks[0]
    assert item.removed == removed % gop and item.before < 210 <= item.after + gop
    # Twice the height of the pulses is no other place, and no other length.
    series, kinds, skip = _series(gop=gop, cut=210, removed=removed)
    again = judge_changes(2 * series, kinds, skip)
    assert again is not None and again.breaks[0].removed == item.removed


def test_changed_pixels_without_a_deletion_stay_in_step() -> None:
    for seed in range(10):
        train = judge_changes(*_series(seed=seed))
        assert train is not None and train.period == 25 and not train.breaks
        # Without an older GOP the B-frames' own rhythm is no rhythm.
        series, kinds, skip = _series(seed=seed)
        rng = np.random.default_rng(seed)
        flat = judge_changes(series * 0 + 0.5 + 0.03 * rng.standard_normal(400), kinds, skip)
        assert flat is None or flat.strength < LEAST_STRENGTH


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_pulses_that_b_frames_carry_on_for_a_while_are_not_out_of_step(seed: int) -> None:
    series, kinds, skip = _series(seed=seed)
    late, then = np.array([200, 225, 275]), np.array([300, 325, 350, 375])
    series[late + 3] += 0.2
    series[late] -= 0.2
    # After a while most of each pulse is where it was.
    series[then] -= 0.05
    series[then + 3] += 0.075
    train = judge_changes(series, kinds, skip)
    assert train is not None and train.period == 25 and not train.breaks


def test_a_re_encoded_deletion_shows_through_b_frames(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    scene = np.kron(rng.integers(40, 140, (12, 20, 3)), np.ones((8, 8, 1)))
    scene = cv2.GaussianBlur(scene, (0, 0), 3)
    still = [np.clip(scene + rng.normal(0, 1.5, scene.shape), 0, 255).astype(np.uint8)
             for _ in range(300)]  # fmt: skip
    first = write_video(
        tmp_path / "first.mkv", still,
        options={"g": "15", "bf": "0", "sc_threshold": "0", "crf": "21", "preset": "veryfast"},
    )  # fmt: skip
    pictures = [p.rgb for p in scan.iter_pictures(open_clip(first, metadata=False))]
    options = {"crf": "22", "preset": "medium"}
    cut = write_video(tmp_path / "cut.mp4", pictures[:130] + pictures[137:], options=options)
    found = edits.find_gop_phase_breaks(open_clip(cut, metadata=False))
    kinds = [what(o).kind for o in found.observations]
    assert kinds.count("gop-phase-break") == 1
    seen = found.observations[kinds.index("gop-phase-break")]
    removed = what(seen).removed
    assert removed is not None and removed.value == 7 and "modulo 15" in removed.note
    assert seen.span is not None and Fraction(130, 25) in seen.span
    assert what(seen).verdict == "inconclusive"
    # A picture is compared with those of its type that follow the same type.
    series, pairs, skip = changed_series(video.measure_frames(open_clip(cut, metadata=False)))
    assert len(np.unique(pairs[~skip])) >= 3 and skip[0] and series.max() <= 1
    assert {int(k) // 8 for k in pairs} == {1, 2, 3}
    whole = write_video(tmp_path / "whole.mp4", pictures, options=options)
    untouched = edits.find_gop_phase_breaks(open_clip(whole, metadata=False))
    assert "gop-phase-break" not in [what(o).kind for o in untouched.observations]
    assert "in step throughout" in untouched.reason
    once = write_video(tmp_path / "once.mp4", still, options=options)
    single = edits.find_gop_phase_breaks(open_clip(once, metadata=False))
    assert single.outcome == "not-applicable" and "not testable" in single.reason


def test_remarks_do_not_add_up_to_an_alarm() -> None:
    remarks = [seen("bitstream", "stream-copy-cut", 5.0, score=0.45),
               seen("timestamps", "pts-gap", 5.0, score=0.4)]  # fmt: skip
    [merged] = merge_levels(remarks)
    assert merged.score == pytest.approx(0.45) and what(merged).verdict == "inconclusive"
    alarm = [*remarks, seen("frame", "deletion", 5.0, score=0.6)]
    [merged] = merge_levels(alarm)
    assert merged.score > 0.6 and len(what(merged).supports) == 6


def test_a_picture_step_and_the_gop_it_began_are_one_trace() -> None:
    step = seen("frame", "deletion", 5.0, score=0.7)
    phase = seen("compression", "gop-phase-break", 4.0, 6.0, score=0.8)
    [merged] = merge_levels([step, phase])
    assert what(merged).verdict == "inconclusive"
    [stronger] = merge_levels([step, phase, seen("audio", "sound-splice", 5.0, score=0.7)])
    assert what(stronger).verdict == "inconsistent"
