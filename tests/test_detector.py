"""Models: which may run at all, what their raw outputs mean, how boxes merge and follow on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics import detector
from forensics.detector_decode import DECODERS, greedy_suppression, ssd_anchors
from forensics.errors import PolicyError, RecordInvalid
from forensics.model import Box

CARD = {
    "file": "thing.onnx", "sha256": "0" * 64, "licence": "MIT", "origin": "a test",
    "decoder": "yolox",
    "width": 64, "height": 64, "labels": ("car", "bus"),
}  # fmt: skip


def card(**changes: Any) -> detector.ModelCard:
    return detector.ModelCard(**{**CARD, **changes})


def test_shipped_models_are_the_bytes_their_cards_name() -> None:
    for model in detector.shipped_models():
        assert model.digest == model.card.sha256
        assert model.card.licence and model.card.origin
    notice = Path(detector.__file__).parent / "data" / "models" / "NOTICE"
    for model in detector.shipped_models():
        assert model.card.file in notice.read_text("utf-8")


def test_a_model_without_licence_is_refused() -> None:
    with pytest.raises(PolicyError, match="licence"):
        detector.check_allowed(card(licence="  "), "0" * 64)


def test_agpl_is_allowed_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="AGPL"):
        detector.check_allowed(card(licence="AGPL-3.0"), "0" * 64)


def test_other_bytes_than_the_card_names_are_refused() -> None:
    with pytest.raises(RecordInvalid, match="SHA-256"):
        detector.check_allowed(card(), "1" * 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"file": "front_face_finder.onnx"},
        {"origin": "a gender classifier"},
        {"trained_on": "WIDER FACE"},
        {"labels": ("Human face", "car")},
        {"labels": ("Woman", "Man")},
        {"sha256": "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"},
    ],
)
def test_models_of_faces_age_or_gender_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match="refused"):
        detector.check_allowed(card(**changes), changes.get("sha256", "0" * 64))


def test_the_bytes_decide_even_under_a_harmless_name() -> None:
    face = "f6abbfff9575e3041db692c1e29d782e995191888477fd59ebc81202d99fc63b"
    with pytest.raises(PolicyError, match="face"):
        detector.check_allowed(card(), face)


def test_a_card_beside_other_files_cannot_reach_out(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text(
        'file = "../secret.onnx"\nsha256 = "00"\nlicence = "MIT"\norigin = "x"\n'
        'decoder = "ssd"\nwidth = 8\nheight = 8\nlabels = ["a"]\n'
    )
    with pytest.raises(RecordInvalid, match="beside itself"):
        detector.Model.open(path)
    path.write_text("file = 3")
    with pytest.raises(RecordInvalid):
        detector.Model.open(path)


def test_a_yaml_card_reads_as_the_toml_one(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    text = "\n".join(f"{k}: {list(v) if isinstance(v, tuple) else v!r}" for k, v in CARD.items())
    (tmp_path / "model.yaml").write_text(text)
    assert detector.read_card(tmp_path / "model.yaml") == card()


def test_a_users_own_model_runs(tmp_path: Path) -> None:
    # The shipped SSD under another name stands for a model a user brings.
    source = Path(detector.__file__).parent / "data" / "models"
    content = (source / "ssd_mobilenetv2_oidv4_300_fp16w.onnx").read_bytes()
    (tmp_path / "mine.onnx").write_bytes(content)
    text = (source / "ssd_mobilenetv2_oidv4_300_fp16w.toml").read_text("utf-8")
    (tmp_path / "model.toml").write_text(
        text.replace("ssd_mobilenetv2_oidv4_300_fp16w.onnx", "mine.onnx"), "utf-8"
    )
    model = detector.Model.open(tmp_path / "model.toml")
    assert model.digest == hashlib.sha256(content).hexdigest()
    assert model.detect(np.full((90, 120, 3), 128, np.uint8), floor=0.5) == []
    (tmp_path / "mine.onnx").write_bytes(content[:-1] + b"\0")
    with pytest.raises(RecordInvalid, match="SHA-256"):
        detector.Model.open(tmp_path / "model.toml")


# -- decoders, on outputs written by hand ---------------------------------------------------


def test_nanodet_boxes_are_the_expected_distance_from_their_cell() -> None:
    raw = []
    for stride in (8, 16, 32):
        cells = (64 // stride) ** 2
        raw += [np.zeros((1, cells, 2), np.float32), np.zeros((1, cells, 44), np.float32)]
    cell = 2 * 4 + 1  # row 2, column 1 of the stride-16 grid: centre (24, 40)
    raw[2][0, cell, 1] = 0.9
    bins = np.full((4, 11), -30.0, np.float32)
    bins[[0, 1, 2, 3], [1, 2, 3, 1]] = 30.0
    raw[3][0, cell] = bins.ravel()
    for order in (raw, raw[::-1]):
        boxes, labels, scores = DECODERS["nanodet"](order, (64, 64), 2, 0.3)
        assert labels.tolist() == [1] and scores[0] == pytest.approx(0.9)
        assert boxes[0].tolist() == pytest.approx([24 - 16, 40 - 32, 24 + 48, 40 + 16])


def test_ssd_anchors_count_and_a_box_at_rest_is_its_anchor() -> None:
    anchors = ssd_anchors()
    assert anchors.shape == (1917, 4)
    codes, scores = np.zeros((1, 1917, 4)), np.full((1, 1917, 3), -9.0)
    scores[0, 1200, 2] = 4.0
    boxes, labels, _ = DECODERS["ssd"]([codes, scores], (300, 300), 3, 0.5)
    y, x, high, wide = anchors[1200] * 300
    expected = [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]
    assert labels.tolist() == [2] and boxes[0].tolist() == pytest.approx(expected)


def test_yolox_and_detr_decode_one_box() -> None:
    table = np.zeros((1, 64 + 16 + 4, 7))
    table[0, 64 + 5] = [0.5, 0.5, np.log(2), np.log(1), 0.9, 0.1, 1.0]
    boxes, labels, scores = DECODERS["yolox"]([table], (64, 64), 2, 0.3)
    assert labels.tolist() == [1] and scores[0] == pytest.approx(0.9)
    assert boxes[0].tolist() == pytest.approx([24 - 16, 24 - 8, 24 + 16, 24 + 8])
    logits = np.full((1, 5, 2), -9.0)
    logits[0, 3, 0] = 3.0
    places = np.full((1, 5, 4), 0.25)
    boxes, labels, _ = DECODERS["detr"]([places, logits], (64, 64), 2, 0.5)
    assert labels.tolist() == [0] and boxes[0].tolist() == pytest.approx([8, 8, 24, 24])


def test_a_wrong_decoder_is_an_error_not_an_empty_list() -> None:
    for name in DECODERS:
        with pytest.raises(RecordInvalid, match="not a"):
            DECODERS[name]([np.zeros((1, 7, 3))], (64, 64), 2, 0.3)


# -- merging and tracks ---------------------------------------------------------------------


def hit(label: str, x: float, score: float, source: str = "m") -> detector.Detection:
    return detector.Detection(label, Box(x, 0.0, 10.0, 10.0), score, (source,))


def test_suppression_groups_what_overlaps() -> None:
    boxes = [(0, 0, 10, 10), (1, 0, 10, 10), (40, 0, 10, 10)]
    assert greedy_suppression(boxes, [0.5, 0.9, 0.3], 0.5) == [[1, 0], [2]]


def test_two_models_agreeing_give_one_box_that_names_both() -> None:
    merged = detector.merge_detections(
        [hit("vehicle", 0, 0.9, "ssd"), hit("bus", 1, 0.6, "nanodet"), hit("person", 0, 0.5)]
    )
    assert [(m.label, m.sources) for m in merged] == [("bus", ("nanodet", "ssd")),
                                                      ("person", ("m",))]  # fmt: skip


def test_tracks_follow_a_mover_and_survive_a_gap() -> None:
    frames = [[hit("car", 2.0 * k, 0.9)] if k != 4 else [] for k in range(8)]
    frames[5].append(hit("car", 300, 0.8))
    tracks = detector.track_boxes(frames)
    assert {t.track for t in tracks if t.detection.box.x < 100} == {"t1"}
    assert {t.track for t in tracks if t.detection.box.x > 100} == {"t2"}
    lost = detector.track_boxes([[hit("car", 0, 0.9)], [], [], [], [hit("car", 0, 0.9)]])
    assert [t.track for t in lost] == ["t1", "t2"]


def test_people_in_a_real_street_are_found(media: Path) -> None:
    # Sixteen seconds into the fixed camera's clip people walk in full view.
    from forensics.clip import open_clip
    from forensics.model import Span
    from forensics.scan import iter_pictures

    clip = open_clip(media / "debian_opencv_doc" / "vtest.avi", metadata=False)
    picture = next(iter_pictures(clip, span=Span.of(20, 21)))
    people = detector.detect(picture.rgb, labels=frozenset({"person"}))
    assert len(people) >= 6


def test_nothing_is_found_in_nothing() -> None:
    ramp = np.tile(np.linspace(60, 160, 320).astype(np.uint8), (240, 1))
    assert detector.detect(np.dstack([ramp] * 3)) == []
