"""Markings: made truth (emblems filmed into frames), relations, and what must not be claimed."""

from __future__ import annotations

import inspect
from fractions import Fraction
from pathlib import Path

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

WORN = 3


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("gallery")
    for seed in range(8):
        write_entry(folder, f"unit-{seed}", emblem(seed))
    return Gallery.open(folder)


def street(rng: np.random.Generator) -> np.ndarray:
    """A grey street with windows and noise: a frame without any marking."""
    frame = np.full((360, 640, 3), 105, np.uint8)
    frame[:150] = (140, 138, 130)
    for x in range(20, 620, 60):
        frame[30:110, x : x + 32] = (52, 58, 66)
    frame[300:] = (80, 80, 82)
    return np.clip(frame + rng.normal(0, 4, frame.shape), 0, 255).astype(np.uint8)


def crop(frame: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    x, y, w, h = box
    m = 4
    return np.ascontiguousarray(frame[max(0, y - m) : y + h + m, max(0, x - m) : x + w + m])


def seen(seed: int, size: float, *, noise: int = 1) -> np.ndarray:
    rng = np.random.default_rng(noise)
    return crop(*film(emblem(seed), street(rng), size, rng))


def test_a_filmed_emblem_matches_its_design(gallery: Gallery) -> None:
    match = insignia.match_marking(seen(WORN, 110), gallery)
    assert match.verdict == "match_design"
    assert match[0].entry == f"unit-{WORN}"
    assert match[0].similarities and 0 < match[0].score <= 1
    assert [c.entry for c in match] == [c.entry for c in match.candidates]


def test_size_comes_before_resemblance(gallery: Gallery) -> None:
    assert insignia.match_marking(seen(WORN, 60), gallery).verdict == "possible_design"
    assert insignia.match_marking(seen(WORN, 22), gallery).verdict == "insufficient"
    # Enlarging a crop adds no pixels on target.
    import cv2

    small = cv2.resize(seen(WORN, 22), None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
    match = insignia.match_marking(small, gallery, size_px=24.0)
    assert match.verdict == "insufficient"


@pytest.mark.parametrize("seed", [100, 101, 102, 103, 104, 105])
def test_an_unknown_emblem_is_not_a_match(gallery: Gallery, seed: int) -> None:
    assert insignia.match_marking(seen(seed, 110), gallery).verdict == "no_match_in_gallery"


def test_a_sister_units_emblem_is_never_a_match(gallery: Gallery) -> None:
    # The same shield, ring and colours as a design of the gallery; another charge and letters.
    rng = np.random.default_rng(4)
    for seed in range(200, 208):
        sister = film(emblem(seed, family=None if seed < 0 else seed), street(rng), 110, rng)
        assert insignia.match_marking(crop(*sister), gallery).verdict != "match_design"


def test_a_look_alike_in_the_gallery_caps_the_verdict(tmp_path: Path) -> None:
    for seed in range(4):
        alike = ("unit-1",) if seed == WORN else ()
        write_entry(tmp_path, f"unit-{seed}", emblem(seed), alike=alike)
    match = insignia.match_marking(seen(WORN, 110), Gallery.open(tmp_path))
    assert match[0].entry == f"unit-{WORN}" and match[0].look_alike
    assert match.verdict == "possible_design"
    assert "look-alike" in match.reason


def test_no_structure_no_claim(gallery: Gallery) -> None:
    flat = np.full((120, 120, 3), 90, np.uint8)
    assert insignia.match_marking(flat, gallery).verdict == "insufficient"
    noise = np.random.default_rng(0).integers(0, 255, (150, 150, 3)).astype(np.uint8)
    assert insignia.match_marking(noise, gallery).verdict == "no_match_in_gallery"


def test_a_mirrored_emblem_is_another_design(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    blobs = (rng.random((8, 8)) > 0.5).astype(np.uint8) * 255
    icon = np.kron(blobs, np.ones((25, 25), np.uint8))
    write_entry(tmp_path, "lopsided", emblem(50, icon=icon))
    held = Gallery.open(tmp_path)
    filmed = crop(*film(emblem(50, icon=icon), street(rng), 120, rng))
    assert insignia.match_marking(filmed, held).verdict == "match_design"
    mirrored = np.ascontiguousarray(filmed[:, ::-1])
    # The shield itself is symmetric, so a resemblance remains; never a match.
    assert insignia.match_marking(mirrored, held).verdict != "match_design"


@pytest.mark.parametrize(
    "bad", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3))]
)
def test_what_is_no_picture_is_an_error(gallery: Gallery, bad: np.ndarray) -> None:
    with pytest.raises(RecordInvalid):
        insignia.match_marking(bad, gallery)


# -- a clip ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clip, Box, Box]:
    """One second of a street: a known emblem of 110 px, and one of 24 px."""
    rng = np.random.default_rng(11)
    frame, large = film(emblem(WORN), street(rng), 110, rng, at=(200.0, 200.0))
    frame, small = film(emblem(5), frame, 24, rng, at=(480.0, 250.0))
    path = tmp_path_factory.mktemp("clip") / "street.mp4"
    clip = open_clip(write_video(path, [frame] * 12, options={"crf": "23"}), metadata=False)
    return clip, Box(*map(float, large)), Box(*map(float, small))


def marked(box: Box, **changes: object) -> insignia.MarkedBox:
    given = {
        "ordinal": 5,
        "pts": Fraction(5, 25),
        "box": box,
        "kind": "patch",
        "examiner": "A. Examiner",
    }
    return insignia.MarkedBox(**{**given, **changes})  # type: ignore[arg-type]


def sightings(exam: Examination) -> list[Sighting]:
    return [o.what for o in exam.observations if isinstance(o.what, Sighting)]


def test_the_examiners_box_is_recorded_with_everything_about_it(
    filmed: tuple[Clip, Box, Box], gallery: Gallery
) -> None:
    clip, large, small = filmed
    boxes = (marked(large), marked(small), marked(small, kind="helmet-number"))
    exam = insignia.find_markings(clip, gallery=gallery, boxes=boxes, lettering=False)
    assert exam.outcome == "found"
    first, second, third = sightings(exam)
    assert (first.verdict, first.candidates[0].entry) == ("match_design", f"unit-{WORN}")
    assert (first.ordinal, first.pts, first.box) == (5, Fraction(1, 5), large)
    assert len(first.pixel_hash) == 64 and first.source == "examiner:A. Examiner"
    assert second.verdict == "insufficient"
    assert third.verdict == "not_examined"
    measures = exam.observations[0].measures
    assert measures["width"].value == pytest.approx(large.width, abs=2)
    assert measures["sharpness"].value > 0.05
    assert artefact_bytes(exam.observations[0].artefacts[0]).startswith(b"\x89PNG")


def test_the_search_finds_the_emblem_by_itself(
    filmed: tuple[Clip, Box, Box], gallery: Gallery
) -> None:
    clip, large, _ = filmed
    exam = insignia.find_markings(
        clip, gallery=gallery, frames=((3, Fraction(3, 25)),), lettering=False
    )
    found = sightings(exam)
    assert [s.candidates[0].entry for s in found] == [f"unit-{WORN}"]
    assert found[0].box.overlap(large) > 0.7
    assert found[0].source.startswith("detector:")


def test_an_empty_street_gives_nothing_found_with_coverage(
    tmp_path: Path, gallery: Gallery
) -> None:
    frames = [street(np.random.default_rng(k)) for k in range(12)]
    clip = open_clip(write_video(tmp_path / "empty.mp4", frames), metadata=False)
    exam = insignia.find_markings(clip, gallery=gallery, every_s=0.2, lettering=False)
    assert exam.outcome == "nothing-found" and not exam.findings
    assert exam.coverage.units_seen == 3 and "nothing found" in exam.reason


def test_replay_gives_the_same_findings(filmed: tuple[Clip, Box, Box], gallery: Gallery) -> None:
    clip, large, _ = filmed
    exam = insignia.find_markings(clip, gallery=gallery, boxes=(marked(large),), lettering=False)
    check_replay(exam, replay(exam, [clip], resources={"gallery": gallery}))


def test_a_box_outside_the_frame_fails_with_its_reason(
    filmed: tuple[Clip, Box, Box], gallery: Gallery
) -> None:
    exam = insignia.find_markings(
        filmed[0], gallery=gallery, boxes=(marked(Box(2000, 10, 50, 50)),), lettering=False
    )
    assert exam.outcome == "failed" and "outside" in exam.reason


def test_a_box_names_who_drew_it() -> None:
    with pytest.raises(RecordInvalid, match="who drew"):
        marked(Box(0, 0, 5, 5), examiner=" ")


def test_without_gallery_nothing_is_compared_and_that_is_said(
    filmed: tuple[Clip, Box, Box],
) -> None:
    exam = insignia.find_markings(filmed[0], boxes=(marked(filmed[1]),), lettering=False)
    assert sightings(exam)[0].verdict == "not_examined"
    assert "no gallery" in exam.reason


def test_no_field_can_hold_a_person() -> None:
    from forensics import model_said

    forbidden = ("person", "name", "identity", "face", "gender", "age")
    for kind in (model_said.Sighting, model_said.VehicleSighting, insignia.MarkedBox):
        for field in inspect.signature(kind).parameters:
            assert field not in forbidden, field
