"""In and out: times survive the trip, others' words stay theirs, plates stay covered."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import shutil
import subprocess
import sys
import zipfile
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from casework import PLATE, Case, make_case

from forensics import exchange
from forensics.clip import open_clip
from forensics.errors import RecordInvalid
from forensics.model import Clip, VideoStream

RATES = [Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(2997, 113)]


@pytest.fixture(scope="module")
def case(
    tmp_path_factory: pytest.TempPathFactory, moving: Path, tone: Path, tone_copy: Path
) -> Case:
    return make_case(tmp_path_factory.mktemp("case"), [moving, tone, tone_copy])


def _at(clip: Clip, rate: Fraction) -> Clip:
    streams = tuple(
        msgspec.structs.replace(s, frame_rate=rate) if isinstance(s, VideoStream) else s
        for s in clip.streams
    )
    return msgspec.structs.replace(clip, streams=streams)


@pytest.mark.parametrize("rate", RATES, ids=["25", "29.97", "50", "variable"])
@pytest.mark.parametrize("suffix", [".otio", ".xml"])
def test_starts_are_exact_within_half_a_frame(
    tmp_path: Path, moving: Path, rate: Fraction, suffix: str
) -> None:
    import opentimelineio as otio

    clip = _at(open_clip(moving, metadata=False), rate)
    rng = random.Random(int(rate * 1000))
    starts = [0.0, *(rng.uniform(0, 900) for _ in range(5))]
    strips = tuple(
        exchange.Strip(f"clip-{n}", clip, s, 0.01, 0.0) for n, s in enumerate(starts)
    )
    story = exchange.Story("t", "c", "h" * 64, strips, (), (), 0)
    write = exchange.write_otio if suffix == ".otio" else exchange.write_fcp7
    path = write(story, tmp_path / f"t{suffix}")
    name = "otio_json" if suffix == ".otio" else "fcp_xml"
    read = otio.adapters.read_from_file(str(path), adapter_name=name)
    if not isinstance(read, otio.schema.Timeline):
        read = next(iter(read.find_children(descended_from_type=otio.schema.Timeline)), read[0])
    half_s = 0.5 / float(rate)
    for track, start in zip(read.tracks, starts, strict=True):
        piece = next(c for c in track if isinstance(c, otio.schema.Clip))
        found = track.range_of_child(piece).start_time.to_seconds()
        assert abs(found - start) <= half_s + 1e-6, (track.name, found, start)


def test_elan_reads_back_with_offsets_and_marks(case: Case, tmp_path: Path) -> None:
    import pympi

    path = exchange.write_export(case, tmp_path / "a.eaf")
    eaf = pympi.Eaf(str(path))
    origins = [int(f.get("TIME_ORIGIN", 0)) for f in eaf.get_linked_files()]
    assert origins == [1250, 0]
    assert set(eaf.get_tier_names()) == {"cctv", "phone-a"}
    marks = eaf.get_annotation_data_for_tier("phone-a")
    assert len(marks) == 7 and marks[0][0] == 1000
    omitted = dict(eaf.get_properties())["forensics-omitted"]
    assert omitted == "1"
    assert len(eaf.get_annotation_data_for_tier("cctv")) == 6


def test_web_captions_and_tables_hold_every_timed_finding(case: Case, tmp_path: Path) -> None:
    captions = exchange.write_export(case, tmp_path / "a.vtt").read_text("utf-8")
    story = exchange.gather(case)
    timed = [m for m in story.marks if m.incident_start_s is not None]
    assert captions.startswith("WEBVTT\n") and captions.count(" --> ") == len(timed)
    assert "<script>" not in captions
    with open(exchange.write_export(case, tmp_path / "a.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {r["outcome"] for r in rows} == {"found", "nothing-found", "not-applicable", "failed"}
    assert sum(r["outcome"] == "found" for r in rows) == len(story.marks)


def test_a_spreadsheet_runs_nothing(
    tmp_path: Path, moving: Path, tone: Path, tone_copy: Path
) -> None:
    case = make_case(tmp_path, [moving, tone, tone_copy])
    strip = exchange.gather(case)
    mark = msgspec.structs.replace(strip.marks[0], label="=1+1", note="@SUM(1)")
    story = msgspec.structs.replace(strip, marks=(mark,))
    exchange.write_csv(story, tmp_path / "a.csv")
    with open(tmp_path / "a.csv", encoding="utf-8") as file:
        row = list(csv.DictReader(file))[-1]
    assert row["label"] == "'=1+1" and row["note"] == "'@SUM(1)"


def test_coco_boxes_lie_in_images_that_exist(case: Case, tmp_path: Path) -> None:
    coco = json.loads(exchange.write_export(case, tmp_path / "a.json").read_text("utf-8"))
    images = {i["id"]: i for i in coco["images"]}
    kinds = {c["id"]: c["name"] for c in coco["categories"]}
    boxed = {kinds[a["category_id"]] for a in coco["annotations"]}
    assert boxed >= {"sighting:patch", "vehicle-sighting:bus"}
    for box in coco["annotations"]:
        image = images[box["image_id"]]
        x, y, width, height = box["bbox"]
        if image["width"]:
            assert x + width <= image["width"] and y + height <= image["height"]
    assert not any("person" in name for name in kinds.values())


def test_case_uco_is_accepted_by_its_validator(case: Case, tmp_path: Path) -> None:
    pytest.importorskip("case_utils")
    path = exchange.write_export(case, tmp_path / "a.jsonld")
    done = subprocess.run(
        [sys.executable, "-c", "from case_utils.case_validate import main; main()", str(path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "Conforms: True" in done.stdout, done.stdout + done.stderr
    said = path.read_text("utf-8")
    assert all(s.clip.digest in said for s in exchange.gather(case).strips)


def test_a_crate_leaves_evidence_and_pictures_behind(case: Case, tmp_path: Path) -> None:
    path = exchange.write_export(case, tmp_path / "crate")
    crate = json.loads(path.read_text("utf-8"))
    nodes = {n["@id"]: n for n in crate["@graph"]}
    for part in nodes["./"]["hasPart"]:
        assert part["@id"] in nodes
        if not part["@id"].startswith("urn:"):
            assert (path.parent / part["@id"]).is_file()
    assert not list(path.parent.rglob("*.png")) and not list(path.parent.rglob("*.mp4"))
    assert not (path.parent / "ledger.jsonl").exists()
    full = exchange.write_export(case, tmp_path / "full", unredacted=True)
    assert list(full.parent.rglob("*.png")) and (full.parent / "ledger.jsonl").exists()


@pytest.mark.parametrize("name", ["a.otio", "a.xml", "a.eaf", "a.vtt", "a.csv", "a.json",
                                  "a.jsonld", "crate"])  # fmt: skip
def test_plates_leave_only_when_somebody_says_so(case: Case, tmp_path: Path, name: str) -> None:
    path = exchange.write_export(case, tmp_path / name)
    files = [p for p in path.parent.rglob("*") if p.is_file()]
    assert not [p for p in files if PLATE.encode() in p.read_bytes()]
    if name == "a.csv":
        shown = exchange.write_export(case, tmp_path / "b.csv", unredacted=True)
        assert PLATE in shown.read_text("utf-8")


def test_an_unknown_format_is_refused(case: Case, tmp_path: Path) -> None:
    with pytest.raises(RecordInvalid, match="no export as"):
        exchange.write_export(case, tmp_path / "a.doc")


def test_an_archive_record_stays_a_claim(tmp_path: Path, tone: Path) -> None:
    (tmp_path / "clip.wav").write_bytes(tone.read_bytes())
    digest = hashlib.sha256(tone.read_bytes()).hexdigest()
    record = {
        "status": "telegram: success",
        "metadata": {"url": "https://example.org/1", "timestamp": "2020-09-23T14:31:05Z",
                     "title": "absolutely genuine"},  # lint: mention
        "media": [{"filename": "x/clip.wav", "properties": {"hash": f"SHA-256:{digest}"}},
                  {"filename": "gone.mp4", "properties": {}}],
    }  # fmt: skip
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    first, second = exchange.read_auto_archiver(path)
    assert first.subject == digest and "is that of the file" in first.checked[0]
    assert first.statements["metadata.title"] == record["metadata"]["title"]
    assert second.subject == "" and not second.checked
    record["media"][0]["properties"]["hash"] = "SHA-256:" + "0" * 64
    path.write_text(json.dumps(record))
    assert "IS NOT" in exchange.read_auto_archiver(path)[0].checked[0]
    path.write_text('{"media": 1}')
    with pytest.raises(RecordInvalid):
        exchange.read_auto_archiver(path)


def test_a_phone_bundle_is_compared_with_its_media(tmp_path: Path, tone: Path) -> None:
    digest = hashlib.sha256(tone.read_bytes()).hexdigest()
    path = tmp_path / "bundle.zip"
    for content, fits in ((tone.read_bytes(), True), (tone.read_bytes() + b"x", False)):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("clip.wav", content)
            archive.writestr("clip.wav.asc", "signature")
            proof = {"File Hash SHA256": digest, "Location.Latitude": "52.09"}
            archive.writestr(f"{digest}.proof.json", json.dumps(proof))
        claim = exchange.read_proofmode(path)
        assert claim.subject == digest and claim.statements["Location.Latitude"] == "52.09"
        assert any(("clip.wav has" if fits else "DOES NOT") in c for c in claim.checked)
        assert any("not checked" in c for c in claim.checked)
    path.write_bytes(b"PK no")
    with pytest.raises(RecordInvalid):
        exchange.read_proofmode(path)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_something_else_is_no_timestamp(tmp_path: Path, tone: Path) -> None:
    with pytest.raises(RecordInvalid, match="no timestamp"):
        exchange.read_timestamp(tone)
