"""The catalogue holds what the ledger holds, and finds it again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.catalogue import Catalogue
from forensics.clip import open_clip
from forensics.errors import LedgerBroken, RecordInvalid
from forensics.model import (
    Box,
    Candidate,
    Clip,
    Coverage,
    Examination,
    Observation,
    PlateReading,
    Quantity,
    Sighting,
    Span,
    VehicleSighting,
)
from forensics.provenance import Ledger, conclude, method

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
