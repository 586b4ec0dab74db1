"""Absences, ACE-V, clusters, the picker, and the drawings that show them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from insignia_designs import emblem, film, write_entry
from making import write_video

from forensics import insignia
from forensics.clip import open_clip
from forensics.errors import RecordInvalid
from forensics.gallery import Gallery
from forensics.model import Box, Clip, Examination, Sighting
from forensics.provenance import artefact_bytes, check_replay, replay

WHEN = "2026-01-02T03:04:05Z"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("gallery")
    for seed in range(4):
        write_entry(folder, f"unit-{seed}", emblem(seed))
    return Gallery.open(folder)


def clip_with(path: Path, seed: int, shift: int) -> tuple[Clip, Box]:
    rng = np.random.default_rng(shift)
    ground = np.clip(rng.normal(110, 5, (240, 320, 3)), 0, 255).astype(np.uint8)
    frame, box = film(emblem(seed), ground, 100, rng, at=(150.0 + shift, 120.0))
    clip = open_clip(write_video(path, [frame] * 6, options={"crf": "23"}), metadata=False)
    return clip, Box(*map(float, box))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Clip, Box]]:
    folder = tmp_path_factory.mktemp("clips")
    return [clip_with(folder / f"{n}.mp4", seed, n) for n, seed in enumerate((2, 2, 90, 90))]


def examine(clip: Clip, box: Box, gallery: Gallery | None) -> Examination:
    marked = insignia.MarkedBox(2, Fraction(2, 25), box, "patch", "A. Examiner")
    return insignia.find_markings(clip, gallery=gallery, boxes=(marked,), lettering=False)


def sighting(exam: Examination) -> Sighting:
    said = exam.observations[0].what
    assert isinstance(said, Sighting)
    return said


# -- absences -------------------------------------------------------------------------------


def absent(clip: Clip, **changes: Any) -> Examination:
    given = {"ordinal": 2, "pts": Fraction(2, 25), "box": Box(10, 10, 60, 60), "kind": "patch",
             "absence": "no-insignia", "examiner": "A. Examiner",
             "reason": "the sleeve is in view and bare"}  # fmt: skip
    return insignia.record_absence(clip, **{**given, **changes})


def test_an_absence_is_recorded_by_a_person_with_a_reason(clips: list[tuple[Clip, Box]]) -> None:
    exam = absent(clips[0][0])
    said = sighting(exam)
    assert said.observed_absence == "no-insignia" and said.verdict == "not_examined"
    assert said.source == "examiner:A. Examiner"
    assert exam.observations[0].measures["width"].value == 60
    check_replay(exam, replay(exam, [clips[0][0]]))


@pytest.mark.parametrize(
    "changes", [{"examiner": ""}, {"examiner": "detector:nanodet"}, {"reason": "  "}]
)
def test_no_machine_and_nobody_without_reason_records_an_absence(
    clips: list[tuple[Clip, Box]], changes: dict[str, str]
) -> None:
    exam = absent(clips[0][0], **changes)
    assert exam.outcome == "failed" and not exam.findings


def test_a_search_never_says_absent(clips: list[tuple[Clip, Box]], gallery: Gallery) -> None:
    exam = insignia.find_markings(clips[2][0], gallery=gallery, every_s=1.0, lettering=False)
    assert exam.outcome == "nothing-found"
    assert all(sighting(exam).observed_absence is None for _ in exam)


# -- ACE-V ----------------------------------------------------------------------------------


def steps(first: str = "match_design", last: str = "match_design", **how: Any) -> list[Any]:
    sealed = insignia.seal_decision(first, examiner="A")
    seal = {"seal": sealed.seal, "nonce": sealed.nonce} if how.pop("sealed", True) else {}
    return [
        insignia.Step("analysis", "A", WHEN, "suitable", "sharp, 100 px"),
        insignia.Step("comparison", "A", WHEN, "unit-2", "ring, charge and letters agree"),
        insignia.Step("evaluation", "A", WHEN, first, "no difference found", **seal),
        insignia.Step("verification", how.pop("by", "B"), WHEN, last, "looked alone", **how),
    ]


def test_a_blind_verification_that_agrees() -> None:
    assert insignia.check_steps(steps()) == ("match_design", "blind, agrees")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"saw_earlier": True}, "not blind, agrees"),
        ({"sealed": False}, "not blind, agrees"),
    ],
)
def test_who_saw_the_first_decision_is_not_blind(how: dict[str, Any], said: str) -> None:
    assert insignia.check_steps(steps(**how))[1] == said


def test_where_two_examiners_differ_the_weaker_verdict_stands() -> None:
    verdict, how = insignia.check_steps(steps(last="possible_design"))
    assert verdict == "possible_design" and "differs" in how
    assert insignia.check_steps(steps(first="no_match_in_gallery"))[0] == "no_match_in_gallery"


def test_without_verification_it_says_so() -> None:
    assert insignia.check_steps(steps()[:3])[1] == "not verified"


@pytest.mark.parametrize("broken", ["order", "self", "seal", "reason", "verdict", "suitable"])
def test_steps_that_cannot_stand_are_refused(broken: str) -> None:
    from msgspec.structs import replace

    row = steps()
    if broken == "order":
        row = [row[1], row[0], *row[2:]]
    elif broken == "self":
        row[3] = replace(row[3], examiner=" a ")
    elif broken == "seal":
        row[2] = replace(row[2], decision="possible_design")
    elif broken == "reason":
        row[1] = replace(row[1], reason="")
    elif broken == "verdict":
        row[3] = replace(row[3], decision="surely")
    else:
        row[0] = replace(row[0], decision="not-suitable")
    with pytest.raises(RecordInvalid):
        insignia.check_steps(row)


def test_a_comparison_keeps_its_steps(clips: list[tuple[Clip, Box]], gallery: Gallery) -> None:
    clip, box = clips[0]
    seen = sighting(examine(clip, box, gallery))
    exam = insignia.record_comparison(clip, sighting=seen, steps=tuple(steps()))
    said = sighting(exam)
    assert said.verdict == "match_design"
    assert said.attributes["verification"] == "blind, agrees"
    written = artefact_bytes(exam.observations[0].artefacts[1])
    assert b"evaluation" in written and b"no difference found" in written
    other = insignia.record_comparison(clips[2][0], sighting=seen, steps=tuple(steps()))
    assert other.outcome == "failed" and "frame" in other.reason


def test_the_blind_sheet_gives_no_rank_away(
    clips: list[tuple[Clip, Box]], gallery: Gallery
) -> None:
    from forensics.model import Candidate

    first = Sighting(
        "patch", 0, Fraction(0), "0" * 64, Box(0, 0, 9, 9), "x",
        candidates=tuple(Candidate(f"u{k}", 0.9 - k / 10) for k in range(6)),
    )  # fmt: skip
    orders = {insignia.blind_sheet(first, seed=seed) for seed in range(8)}
    assert len(orders) > 4 and {frozenset(o) for o in orders} == {
        frozenset(f"u{k}" for k in range(6))
    }


# -- clusters -------------------------------------------------------------------------------


def test_clusters_join_by_design_and_by_crop_and_say_why(
    clips: list[tuple[Clip, Box]], gallery: Gallery
) -> None:
    exams = [examine(clip, box, gallery) for clip, box in clips]
    groups = insignia.cluster_sightings(exams)
    ids = [exam.findings[0].id for exam in exams]
    assert sorted(tuple(sorted(g.members)) for g in groups) == sorted(
        [tuple(sorted(ids[:2])), tuple(sorted(ids[2:]))]
    )
    bases = {frozenset(g.members): {e.basis for e in g.edges} for g in groups}
    assert "design" in bases[frozenset(ids[:2])]
    # The second pair is in no gallery: only the crops themselves speak.
    assert bases[frozenset(ids[2:])] == {"crop"}
    assert all(edge.text for g in groups for edge in g.edges)


def test_an_absence_joins_nothing(clips: list[tuple[Clip, Box]]) -> None:
    assert insignia.cluster_sightings([absent(clips[0][0]), absent(clips[1][0])]) == ()


# -- the picker -----------------------------------------------------------------------------


DRAWN = {"at": 0, "ordinal": 2, "pts": "2/25", "x": 10.0, "y": 20.0, "width": 30.5, "height": 12,
         "kind": "patch", "note": "left sleeve"}  # fmt: skip


def test_what_was_drawn_comes_back_exactly() -> None:
    (box,) = insignia.boxes_from_drawn([DRAWN], examiner="A. Examiner")
    assert box == insignia.MarkedBox(
        2, Fraction(2, 25), Box(10.0, 20.0, 30.5, 12.0), "patch", "A. Examiner",
        note="left sleeve",
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"kind": "person"}, {"pts": "1/0"}, {"width": -4}, {"x": None}, {"ordinal": "two"}],
)
def test_what_a_browser_sends_is_checked(change: dict[str, Any]) -> None:
    with pytest.raises(RecordInvalid):
        insignia.boxes_from_drawn([{**DRAWN, **change}], examiner="A. Examiner")


def test_the_picker_steps_and_gives_boxes_back(clips: list[tuple[Clip, Box]]) -> None:
    pytest.importorskip("anywidget")
    clip = clips[0][0]
    frames = ((1, Fraction(1, 25)), (4, Fraction(4, 25)))
    picker = insignia.open_picker(clip, examiner="A. Examiner", frames=frames)
    assert picker.widget.ordinal == 1 and picker.widget.png.startswith(b"\x89PNG")
    before = picker.widget.png
    picker.widget.at = 1
    assert picker.widget.ordinal == 4 and picker.widget.pts == "4/25"
    assert picker.widget.png and picker.widget.size == [320, 240]
    assert before.startswith(b"\x89PNG")
    picker.widget.drawn = [DRAWN]
    assert picker.boxes[0].kind == "patch"
    assert "http" not in picker.widget._esm  # nothing comes from outside


# -- drawings -------------------------------------------------------------------------------


def test_drawings_can_be_written(
    clips: list[tuple[Clip, Box]], gallery: Gallery, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    from forensics import plots_markings

    clip, box = clips[0]
    exam = examine(clip, box, gallery)
    frame = emblem(2)[..., :3]
    shown = [
        plots_markings.draw_comparison(np.ascontiguousarray(frame), gallery, entry="unit-2"),
        plots_markings.draw_comparison(np.full((60, 60, 3), 99, np.uint8), gallery, entry="unit-1"),
        plots_markings.draw_contact_sheet([exam, absent(clip)]),
        plots_markings.draw_contact_sheet(
            insignia.find_markings(clips[2][0], gallery=gallery, every_s=1.0, lettering=False)
        ),
    ]
    for number, figure in enumerate(shown):
        figure.savefig(tmp_path / f"{number}.png", dpi=60)
        assert (tmp_path / f"{number}.png").stat().st_size > 800


def test_a_contact_sheet_covers_what_it_is_not_about(clips: list[tuple[Clip, Box]]) -> None:
    from forensics.plots_markings import _covered, _picture

    exam = examine(*clips[0], None)
    observation = exam.observations[0]
    plain = _picture(observation)
    covered = _covered(plain, observation)
    assert (covered != plain).any()
    middle = np.s_[plain.shape[0] // 2, plain.shape[1] // 2]
    assert (covered[middle] == plain[middle]).all()
