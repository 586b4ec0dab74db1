"""The catalogue holds what the ledger holds, and finds it again."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from insignia_designs import emblem
from numpy.typing import NDArray

from forensics.catalogue import Catalogue, Hit
from forensics.catalogue_export import redact_crop
from forensics.catalogue_looks import describe
from forensics.cli import main
from forensics.clip import open_clip
from forensics.detector_frames import png_bytes
from forensics.errors import LedgerBroken, RecordInvalid
from forensics.model import (
    Alignment,
    Box,
    Candidate,
    Clip,
    Coverage,
    Examination,
    Observation,
    Placement,
    PlateReading,
    Quantity,
    Sighting,
    Span,
    VehicleSighting,
)
from forensics.provenance import Ledger, conclude, keep, method

WORDS = ["ОМОН", "МІЛІЦЫЯ", "СПЕЦНАЗ", "ГАИ", "POLICE"]


def _marking(number: int, text: str) -> Observation:
    time_s = Fraction(number, 25)
    box = Box(number % 500, 20, 80, 90)
    what = Sighting(
        "lettering", number, time_s, f"{number:064x}", box, "examiner", "no_match_in_gallery",
        text=text, candidates=(Candidate("badger", 0.5),) if number % 2 else (),
    )  # fmt: skip
    return Observation(what, Span(time_s, time_s), 0.5)


def _vehicle(number: int, plate: str, colour: str) -> Observation:
    time_s = Fraction(number, 25)
    box = Box(0, 0, 100, 50)
    reading = PlateReading("readable", plate, (), box, Quantity.exact(24, "px"))
    what = VehicleSighting(
        "bus", number, time_s, f"{number:064x}", box, "detector",
        colours=(Candidate(colour, 0.6), Candidate("grey", 0.3)), plate=reading,
    )  # fmt: skip
    return Observation(what, Span(time_s, time_s), 0.5)


@method("test-catalogue", version="1")
def find_made_up(clip: Clip, *, count: int = 10) -> Examination:
    """Say what the tests want to search for."""
    seen = [_marking(n, WORDS[n % len(WORDS)]) for n in range(count)]
    seen += [_vehicle(n, f"{1000 + n} AB-{n % 8}", ["white", "blue"][n % 2]) for n in range(count)]
    return conclude(seen, coverage=Coverage(Span.of(0, count / 25), count))


@pytest.fixture
def ledger(tone: Path, tmp_path: Path) -> Ledger:
    clip = open_clip(tone, metadata=False)
    record = Ledger(tmp_path / "ledger.jsonl")
    record.append(clip)
    record.append(find_made_up(clip))
    return record


def test_everything_found_can_be_found_again(ledger: Ledger, tmp_path: Path) -> None:
    catalogue = Catalogue.build(ledger, tmp_path / "catalogue.sqlite")
    assert len(catalogue) == 20
    assert {h.text for h in catalogue.search("омон")} == {"ОМОН"}
    assert {h.text for h in catalogue.search("ілі")} == {"МІЛІЦЫЯ"}
    assert len(catalogue.search(kind="lettering")) == 10
    assert len(catalogue.search(kind="vehicle-sighting", colour="white")) == 5
    assert [h.plate for h in catalogue.search(plate="100? AB-3")] == ["1003 AB-3"]
    assert len(catalogue.search(plate="*AB-*")) == 10
    assert len(catalogue.search("badger")) == 5
    assert catalogue.search(clip="tone.wav", limit=3)[0].clip_name == "tone.wav"
    assert catalogue.search("no such word") == []
    hit = catalogue.search(plate="1003*")[0]
    assert catalogue.finding(hit.id).id == hit.id
    assert next(e for e in ledger if e.seq == hit.line).said.findings


def test_a_catalogue_of_another_state_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    Catalogue.build(ledger, path)
    Catalogue.open(path, ledger=ledger)
    ledger.append(ledger.clips()[0])
    with pytest.raises(RecordInvalid, match="older"):
        Catalogue.open(path, ledger=ledger)
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(RecordInvalid, match="not a catalogue"):
        Catalogue.open(path)


def test_a_broken_ledger_gives_no_catalogue(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(ledger.clips()[0])
    data = ledger.path.read_bytes()
    ledger.path.write_bytes(data.replace("ОМОН".encode(), "ОМОМ".encode(), 1))
    with pytest.raises(LedgerBroken):
        Catalogue.build(ledger, tmp_path / "catalogue.sqlite")
    assert not (tmp_path / "catalogue.sqlite").exists()


@settings(max_examples=30, deadline=None)
@given(text=st.text(max_size=12), plate=st.text(max_size=8), kind=st.text(max_size=5))
def test_no_search_text_is_code(
    text: str, plate: str, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("search")
    catalogue = Catalogue.build(Ledger(home / "ledger.jsonl"), home / "c.sqlite")
    assert catalogue.search(text, plate=plate, kind=kind) == []


# -- pictures, exports, commands --------------------------------------------------------------


def _filmed(picture: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """The upper left part of an emblem's canvas, seen a little from the side, with noise."""
    rng = np.random.default_rng(seed)
    quad = np.array([[0, 0], [90, 0], [90, 90], [0, 90]], np.float32)
    turn = cv2.getPerspectiveTransform(
        np.array([[0, 0], [384, 0], [384, 384], [0, 384]], np.float32),
        (quad + rng.uniform(0, 5, (4, 2))).astype(np.float32),
    )
    shown = cv2.warpPerspective(picture[..., :3], turn, (96, 96), flags=cv2.INTER_AREA)
    return np.clip(shown + rng.normal(0, 4, shown.shape), 0, 255).astype(np.uint8)


@method("test-catalogue-pictures", version="1")
def find_made_up_crops(clip: Clip, *, count: int = 12) -> Examination:
    """Crops of invented emblems, one of a balaclava, and a bus whose plate was read."""
    seen = []
    for number in range(count):
        crop = keep(png_bytes(_filmed(emblem(number), number)), media_type="image/png", label="x")
        kind = "balaclava" if number == count - 1 else "patch"
        what = Sighting(
            kind, number, Fraction(number), f"{number:064x}", Box(10, 10, 96, 96), "examiner:A",
            text="seen near 1234 AB-7" if number == 0 else "",
        )  # fmt: skip
        span = Span(Fraction(number), Fraction(number))
        seen.append(Observation(what, span, 0.5, artefacts=(crop,)))
    bus = _vehicle(3, "1234 AB-7", "white")
    picture = np.random.default_rng(0).integers(0, 255, (55, 110, 3)).astype(np.uint8)
    crop = keep(png_bytes(picture), media_type="image/png", label="bus as seen")
    seen.append(Observation(bus.what, bus.span, 0.5, artefacts=(crop,)))
    return conclude(seen, coverage=Coverage(Span.of(0, count), count))


@pytest.fixture
def pictures(tone: Path, tmp_path: Path) -> Ledger:
    clip = open_clip(tone, metadata=False)
    record = Ledger(tmp_path / "ledger.jsonl")
    record.append(clip)
    record.append(find_made_up_crops(clip))
    return record


def test_an_example_picture_finds_its_design_and_no_head(pictures: Ledger, tmp_path: Path) -> None:
    catalogue = Catalogue.build(pictures, tmp_path / "catalogue.sqlite")
    example = _filmed(emblem(4), 99)[2:88, 2:88]
    assert [item.hit.frame for item in catalogue.match_picture(example, limit=1, closely=5)] == [4]
    best = catalogue.match_picture(example, limit=1, closely=5)[0]
    assert best.details is not None and best.details.value >= 6
    everything = catalogue.match_picture(example, limit=100)
    assert len(everything) == 12 and all(i.hit.kind != "balaclava" for i in everything)
    assert [i.hit.kind for i in catalogue.match_picture(example, kind="bus")] == ["bus"]
    with pytest.raises(RecordInvalid, match="uint8"):
        catalogue.match_picture(example[..., 0])


def test_a_rebuild_takes_over_what_was_described(
    pictures: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalogue.sqlite"
    example = _filmed(emblem(4), 99)
    first = Catalogue.build(pictures, path).match_picture(example)

    def never(*_: object) -> None:
        raise AssertionError("described again")

    monkeypatch.setattr("forensics.catalogue_looks.describe", never)
    monkeypatch.setattr("forensics.catalogue.describe", describe)
    assert Catalogue.build(pictures, path).match_picture(example) == first


def test_a_method_run_again_counts_once_and_times_are_searched(
    ledger: Ledger, tmp_path: Path
) -> None:
    clip = ledger.clips()[0]
    exam = find_made_up(clip)
    ledger.append(exam)
    place = Placement(clip.digest, Quantity(100.0, "s", 99.5, 100.5), Quantity.exact(0, "ppm"),
                      "reference", ())  # fmt: skip
    ledger.append(Alignment(exam.origin, clip.digest, (place,), (), (), ()))
    catalogue = Catalogue.build(ledger, tmp_path / "catalogue.sqlite")
    assert len(catalogue) == 20
    hits = catalogue.search(between=(100.7, 101.0))
    assert hits and {h.frame for h in hits} == {5, 6, 7, 8, 9}
    assert hits[0].incident is not None and hits[0].incident.start == pytest.approx(100.2)
    assert catalogue.search(between=(90, 99)) == []


def test_other_programs_can_read_it(ledger: Ledger, tmp_path: Path) -> None:
    import sqlite3

    path = Catalogue.build(ledger, tmp_path / "catalogue.sqlite").path
    base = sqlite3.connect(path)
    assert base.execute("SELECT count(*) FROM sightings").fetchone() == (10,)
    assert base.execute("SELECT clip_name, colours FROM vehicles LIMIT 1").fetchone() == (
        "tone.wav", "white grey",
    )  # fmt: skip
    base.close()


def test_exports_cover_plates_unless_told(pictures: Ledger, tmp_path: Path) -> None:
    catalogue = Catalogue.build(pictures, tmp_path / "catalogue.sqlite")
    hits = catalogue.search()
    for suffix in (".csv", ".json", ".xml", ".html"):
        covered = catalogue.write_hits(hits, tmp_path / f"a{suffix}").read_text("utf-8")
        assert "1234" not in covered and "▮▮▮▮ ▮▮-▮" in covered and "covered" in covered, suffix
        plain = catalogue.write_hits(hits, tmp_path / f"b{suffix}", unredacted=True)
        assert "1234 AB-7" in plain.read_text("utf-8"), suffix
    assert "UNREDACTED" in (tmp_path / "b.html").read_text("utf-8")
    page = (tmp_path / "a.html").read_text("utf-8")
    assert page.count("<figure>") == 13 and "<script" not in page and "http" not in page
    coco = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert len(coco["annotations"]) == 13
    assert {a["image_id"] for a in coco["annotations"]} == {i["id"] for i in coco["images"]}
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    boxes = root.findall("image/box")
    assert len(boxes) == 13 and float(boxes[0].get("xbr", "0")) == 106.0
    assert {b.get("label") for b in boxes} == {
        node.findtext("name") for node in root.findall("meta/task/labels/label")
    }
    with pytest.raises(RecordInvalid, match="no list"):
        catalogue.write_hits(hits, tmp_path / "a.docx")


def test_a_crop_loses_its_rim_and_its_plate() -> None:
    rng = np.random.default_rng(1)
    crop = rng.integers(0, 255, (55, 110, 3)).astype(np.uint8)
    box = Box(100, 100, 100, 45)
    common = {
        "number": 1, "id": "0", "line": 1, "clip": "", "clip_name": "", "method": "m",
        "verdict": "", "text": "", "entries": (), "colours": (), "plate": "1", "absence": "",
        "source": "", "track": "", "frame": 0, "pixel_hash": "", "start_s": None, "end_s": None,
        "incident": None, "box": box, "score": 1.0, "artefact": "",
    }  # fmt: skip
    bus = Hit(type="vehicle-sighting", kind="bus", plate_box=Box(130, 125, 30, 8), **common)
    shown = redact_crop(crop, bus)
    assert shown[32:36, 38:60].std() == 0 and (shown[:20] == crop[:20]).all()
    patch = Hit(type="sighting", kind="patch", plate_box=None, **common)
    assert redact_crop(crop, patch).shape == (40, 95, 3)
    head = Hit(type="sighting", kind="balaclava", plate_box=None, **common)
    assert redact_crop(crop, head).std() == 0


def test_the_commands_add_search_and_write(moving: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    asked = ["catalogue", "add", str(moving), "--at", "1.0", "--box", "20,20,90,60", "--kind",
             "patch", "--examiner", "A.E.", "--into", str(case)]  # fmt: skip
    assert main(asked) == 0
    bare = [*asked, "--absence", "no-insignia"]
    assert main(bare) == 1, "an absence needs a reason"
    assert main([*bare, "--note", "sleeve in full view, bare"]) == 0
    assert main(["catalogue", "search", str(case), "--kind", "patch", "-o",
                 str(tmp_path / "hits.csv")]) == 0  # fmt: skip
    with open(tmp_path / "hits.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["absence"] for row in rows] == ["", "no-insignia"]
    assert {row["source"] for row in rows} == {"examiner:A.E."}
    assert main(["catalogue", "search", str(tmp_path / "nothing")]) == 1
