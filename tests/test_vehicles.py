"""Vehicles: plates rendered and filmed, colours painted, real cars, and an empty street."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from insignia_designs import film, font, plate
from making import write_video
from PIL import Image, ImageDraw

from forensics import detector, provenance, vehicles
from forensics.clip import open_clip
from forensics.detector_text import LineRead
from forensics.errors import RecordInvalid
from forensics.model import Box, PlateReading, Quantity, VehicleSighting
from forensics.vehicles_plate import fit_pattern

pytest.importorskip("rapidocr", reason="the text models come with the extra `ocr`")


def road(rng: np.random.Generator) -> np.ndarray:
    frame = np.full((240, 360, 3), 88, np.uint8)
    frame[:90] = (126, 130, 134)
    return np.clip(frame + rng.normal(0, 3, frame.shape), 0, 255).astype(np.uint8)


def read(text: str, width: float, **how: float) -> list[PlateReading]:
    rng = np.random.default_rng(3)
    frame, _ = film(plate(text), road(rng), width, rng, yaw=8, roll=3, at=(180.0, 150.0), **how)
    return vehicles.read_plates(frame, countries=("by", "ru"))


def test_a_filmed_plate_is_read_with_its_layout() -> None:
    found = read("1234 AB-7", 150)
    assert [p.text for p in found] == ["1234AB7"]
    assert found[0].verdict == "readable"
    assert "by NNNNLLR" in found[0].patterns
    assert len(found[0].alternatives) == 7
    assert all(a[0] == c for a, c in zip(found[0].alternatives, found[0].text, strict=True))


@pytest.mark.parametrize("width", [100, 130, 170])
def test_the_height_of_a_plate_is_measured_within_its_interval(width: int) -> None:
    found = read("5678 KM-3", width)
    assert len(found) == 1
    true = width * 112 / 520
    assert found[0].height.low is not None and found[0].height.high is not None
    assert found[0].height.low <= true <= found[0].height.high


def test_below_twelve_pixels_a_plate_is_located_and_never_read() -> None:
    for size in (40, 48):
        for p in read("1234 AB-7", size):
            assert p.verdict == "insufficient" and p.text == "" and p.alternatives == ()


def test_the_ceiling_is_height_whatever_the_reader_says() -> None:
    assert vehicles.plate_verdict(11.9, 1.0) == "insufficient"
    assert vehicles.plate_verdict(19.9, 1.0) == "partial"
    assert vehicles.plate_verdict(20.0, 0.2) == "readable"
    assert vehicles.plate_verdict(40.0, 0.01) == "partial"


def test_a_layout_decides_only_where_the_picture_leaves_a_rival() -> None:
    by = vehicles.read_patterns(("by",))

    def line(*rivals: tuple[tuple[str, float], ...]) -> LineRead:
        return LineRead("".join(r[0][0] for r in rivals), tuple(rivals), 0.9)

    sure = [((c, 0.99),) for c in "123"]
    region = [((c, 0.99),) for c in "AB7"]
    # An O in a place for digits becomes 0: its twin.
    text, fits = fit_pattern(line(*sure, (("O", 0.9), ("0", 0.08)), *region), by)
    assert text == "1230AB7" and fits
    # A clear W fits no Belarusian layout and is not bent into one.
    text, fits = fit_pattern(line(*sure, (("4", 0.99),), (("W", 0.99),), *region[1:]), by)
    assert text == "1234WB7" and not fits


def test_unknown_countries_are_an_error() -> None:
    with pytest.raises(RecordInvalid, match="known"):
        vehicles.read_patterns(("xx",))


def test_other_lettering_is_not_a_plate() -> None:
    image = np.full((240, 480, 3), 60, np.uint8)
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text((60, 100), "BAKERY", fill=(240, 240, 240), font=font(50))
    assert vehicles.read_plates(np.array(picture)) == []


def reading(text: str, verdict: str = "readable", *alternatives: str) -> PlateReading:
    return PlateReading(
        verdict, text, alternatives or tuple(text), Box(0, 0, 50, 10),  # type: ignore[arg-type]
        Quantity(20, "px", 18, 22),
    )  # fmt: skip


def test_plates_agree_contradict_or_say_nothing() -> None:
    assert vehicles.plates_agree(reading("1234AB7"), reading("1234AB7")) is True
    assert vehicles.plates_agree(reading("1234AB7"), reading("1239AB7")) is False
    doubtful = reading("1284AB7", "partial", "1", "2", "83", "4", "A", "B8", "7")
    assert vehicles.plates_agree(reading("1234AB7"), doubtful) is True
    assert vehicles.plates_agree(reading("1234AB7"), reading("", "insufficient")) is None


# -- colour ---------------------------------------------------------------------------------


def painted(rgb: tuple[int, int, int]) -> np.ndarray:
    """A box with paint, windows, tyres and road, under a sky."""
    car = np.zeros((120, 200, 3), np.float32)
    car[:] = rgb
    car *= np.linspace(1.1, 0.85, 120)[:, None, None]
    car[14:44, 30:170] = (40, 46, 52)
    car[100:, :] = (70, 70, 72)
    cv2.circle(car, (45, 100), 18, (22, 22, 22), -1)
    cv2.circle(car, (155, 100), 18, (22, 22, 22), -1)
    noise = np.random.default_rng(1).normal(0, 4, car.shape)
    return np.clip(car + noise, 0, 255).astype(np.uint8)


SCENE = np.dstack([np.full((200, 300), v, np.uint8) for v in (128, 130, 126)])
SCENE[:60] = (150, 180, 220)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((230, 230, 228), "white"), ((135, 137, 140), "grey"), ((24, 24, 26), "black"),
        ((165, 26, 28), "red"), ((28, 52, 140), "blue"), ((30, 95, 45), "green"),
        ((225, 170, 30), "orange-yellow"), ((120, 88, 58), "brown-beige"),
    ],
)  # fmt: skip
def test_paint_is_among_the_two_candidates(rgb: tuple[int, int, int], name: str) -> None:
    colour = vehicles.name_colour(painted(rgb), frame=SCENE)
    assert name in [c.entry for c in colour.candidates]
    assert colour.palette and not colour.abstained


def test_no_colour_is_named_at_night_in_infrared_or_under_sodium_lamps() -> None:
    car = painted((165, 26, 28))
    dark = (SCENE * 0.1).astype(np.uint8)
    infrared = np.dstack([SCENE[..., 1]] * 3)
    sodium = np.clip(SCENE * np.array([1.15, 0.75, 0.25]), 0, 255).astype(np.uint8)
    for frame in (dark, infrared, sodium):
        colour = vehicles.name_colour(car, frame=frame)
        assert colour.abstained and colour.candidates == () and colour.palette


# -- sightings side by side -----------------------------------------------------------------


def sighted(colour: str, text: str = "") -> VehicleSighting:
    from forensics.model import Candidate

    return VehicleSighting(
        "bus", 1, Fraction(1), "0" * 64, Box(0, 0, 200, 120), "examiner:x",
        colours=(Candidate(colour, 0.8),), plate=reading(text) if text else None,
    )  # fmt: skip


def test_two_sightings_are_compatible_or_not_and_never_more() -> None:
    rng = np.random.default_rng(2)
    marks = cv2.GaussianBlur(rng.integers(0, 255, (30, 50, 3)).astype(np.uint8), (0, 0), 1)
    body = cv2.resize(marks, (200, 120), interpolation=cv2.INTER_CUBIC)
    again = np.clip(body * 0.85 + 6, 0, 255).astype(np.uint8)
    strange = rng.integers(0, 255, (30, 50, 3)).astype(np.uint8)
    other = cv2.resize(strange, (200, 120), interpolation=cv2.INTER_CUBIC)
    blue, white = sighted("blue"), sighted("white")
    assert vehicles.compare_vehicles((blue, body), (blue, again)).verdict == "compatible"
    assert vehicles.compare_vehicles((blue, body), (blue, other)).verdict == "insufficient"
    held = vehicles.compare_vehicles((blue, body), (white, again))
    assert held.verdict == "incompatible" and held.differences and held.similarities
    plates = vehicles.compare_vehicles(
        (sighted("blue", "1234AB7"), body), (sighted("blue", "9999AB7"), again)
    )
    assert plates.verdict == "incompatible"


# -- clips ----------------------------------------------------------------------------------


def test_an_empty_street_holds_no_vehicle(tmp_path: Path) -> None:
    frames = [road(np.random.default_rng(k)) for k in range(10)]
    clip = open_clip(write_video(tmp_path / "empty.mp4", frames), metadata=False)
    exam = vehicles.find_vehicles(clip, every_s=0.2)
    assert exam.outcome == "nothing-found" and exam.coverage.units_seen == 2


def test_a_boxed_vehicle_is_recorded_and_its_plate_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    frame = road(rng)
    frame[40:200, 60:300] = painted((28, 52, 140))[:120, :200].repeat(2, 0).repeat(2, 1)[:160, :240]
    frame, _ = film(plate("4321 MH-5"), frame, 120, rng, yaw=5, roll=2, at=(180.0, 170.0))
    clip = open_clip(write_video(tmp_path / "bus.mp4", [frame] * 6), metadata=False)
    box = vehicles.MarkedBox(
        ordinal=2, pts=Fraction(2, 25), box=Box(58, 38, 244, 164), kind="vehicle",
        examiner="A. Examiner", attributes={"type": "bus", "livery": "stripe"},
    )  # fmt: skip
    exam = vehicles.find_vehicles(clip, boxes=(box,), countries=("by",))
    said = exam.observations[0].what
    assert isinstance(said, VehicleSighting)
    assert said.vehicle_type == "bus" and said.attributes["livery"] == "stripe"
    assert said.plate is not None and said.plate.text == "4321MH5"
    assert said.plate.box.overlap(Box(120, 157, 120, 26)) > 0.4


def test_real_cars_are_found_and_followed(media: Path) -> None:
    clip = open_clip(media / "cctv_misc" / "dvrscan" / "traffic_camera.mp4", metadata=False)
    exam = vehicles.find_vehicles(clip, every_s=8.0, plates=False)
    assert exam.outcome == "found" and len(exam) >= 6
    said = [o.what for o in exam.observations]
    assert all(isinstance(s, VehicleSighting) and s.track for s in said)


def test_a_model_of_ones_own_stands_in_the_record_and_replays(
    media: Path, tmp_path: Path
) -> None:
    source = Path(detector.__file__).parent / "data" / "models"
    name = "ssd_mobilenetv2_oidv4_300_fp16w"
    (tmp_path / "mine.onnx").write_bytes((source / f"{name}.onnx").read_bytes())
    card = (source / f"{name}.toml").read_text("utf-8").replace(f"{name}.onnx", "mine.onnx")
    (tmp_path / "model.toml").write_text(card, "utf-8")
    own = detector.Model.open(tmp_path / "model.toml")
    clip = open_clip(media / "cctv_misc" / "dvrscan" / "traffic_camera.mp4", metadata=False)
    frames = ((60, Fraction(2)),)
    exam = vehicles.find_vehicles(clip, frames=frames, plates=False, model=own)
    assert exam.origin.parameters["model"]["sha256"] == own.digest
    assert any("mine" in o.what.source for o in exam.observations)
    replayed = provenance.replay(exam, [clip], resources={"model": own})
    provenance.check_replay(exam, replayed)
