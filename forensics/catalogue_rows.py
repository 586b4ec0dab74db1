"""How the catalogue is laid out: tables a person can read, and one row for each finding."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forensics.model import (
    Alignment,
    Box,
    Clip,
    Examination,
    Finding,
    Interval,
    Sighting,
    Value,
    VehicleSighting,
    canonical_json,
    to_builtins,
)
from forensics.provenance import Entry, question_of

__all__ = ["SCHEMA", "Hit", "fill", "read_hit"]

_FINDINGS = """
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, line INTEGER NOT NULL,
    clip TEXT NOT NULL REFERENCES clips (digest), method TEXT NOT NULL, type TEXT NOT NULL,
    kind TEXT NOT NULL, verdict TEXT NOT NULL, text TEXT NOT NULL, folded TEXT NOT NULL,
    entries TEXT NOT NULL, colours TEXT NOT NULL, plate TEXT NOT NULL, absence TEXT NOT NULL,
    source TEXT NOT NULL, track TEXT NOT NULL, frame INTEGER, pixel_hash TEXT NOT NULL,
    start_s REAL, end_s REAL, x REAL, y REAL, width REAL, height REAL,
    plate_x REAL, plate_y REAL, plate_width REAL, plate_height REAL,
    score REAL NOT NULL, artefact TEXT NOT NULL, record INTEGER NOT NULL,
    incident_start_s REAL, incident_end_s REAL, incident_spread_s REAL
"""
_NAMES = [part.split()[0] for part in _FINDINGS.strip().split(",\n") for part in part.split(", ")]
#: What is known of a finding before the clips are placed; the last three follow from that.
_RAW = _NAMES[1:-3]

#: `findings` is numbered in the order of the incident, so that reading it in order needs no sort.
SCHEMA = f"""
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE clips (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL, width INTEGER, height INTEGER
) WITHOUT ROWID;
CREATE TABLE placements (
    clip TEXT PRIMARY KEY REFERENCES clips (digest), offset_s REAL NOT NULL, rate REAL NOT NULL,
    spread_s REAL NOT NULL, component INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE findings ({_FINDINGS});
CREATE TABLE records (record INTEGER PRIMARY KEY, finding TEXT NOT NULL);
CREATE TABLE looks (part INTEGER PRIMARY KEY, numbers BLOB NOT NULL, vectors BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'trigram');
CREATE VIEW sightings AS
    SELECT f.number, c.name AS clip_name, f.kind, f.verdict, f.entries, f.text, f.absence,
        f.start_s, f.incident_start_s, f.incident_spread_s, f.frame, f.x, f.y, f.width, f.height,
        f.score, f.source, f.track, f.line, f.id, f.artefact
    FROM findings f LEFT JOIN clips c ON c.digest = f.clip WHERE f.type = 'sighting';
CREATE VIEW vehicles AS
    SELECT f.number, c.name AS clip_name, f.kind, f.colours, f.plate, f.start_s,
        f.incident_start_s, f.incident_spread_s, f.frame, f.x, f.y, f.width, f.height, f.score,
        f.source, f.track, f.line, f.id, f.artefact
    FROM findings f LEFT JOIN clips c ON c.digest = f.clip WHERE f.type = 'vehicle-sighting';
"""

_INDEXES = """
CREATE INDEX by_id ON findings (id);
CREATE INDEX by_type ON findings (type, number);
CREATE INDEX by_kind ON findings (kind, number);
CREATE INDEX by_clip ON findings (clip, start_s);
CREATE INDEX by_time ON findings (incident_start_s);
CREATE INDEX by_folded ON findings (folded) WHERE folded <> '';
CREATE INDEX by_plate ON findings (plate) WHERE plate <> '';
"""


class Hit(Value, frozen=True):
    """One finding as the catalogue holds it; `line` is its line in the ledger."""

    number: int
    id: str
    line: int
    clip: str
    clip_name: str
    method: str
    type: str
    kind: str
    verdict: str
    text: str
    entries: tuple[str, ...]
    colours: tuple[str, ...]
    plate: str
    absence: str
    source: str
    track: str
    frame: int | None
    pixel_hash: str
    start_s: float | None
    end_s: float | None
    incident: Interval | None
    box: Box | None
    plate_box: Box | None
    score: float
    artefact: str


def fill(base: sqlite3.Connection, entries: Iterator[Entry]) -> None:
    """Write everything a ledger says into the tables of `SCHEMA`; memory does not grow with it.

    Where one method ran twice on the same clips with the same parameters, the later line stands.
    Only clips placed together with the reference of the last alignment are on the incident clock:
    every other component has a clock of its own.
    """
    base.execute(f"CREATE TEMP TABLE raw ({', '.join(_RAW)})")
    put = f"INSERT INTO raw VALUES ({', '.join('?' * len(_RAW))})"
    standing: dict[str, int] = {}
    alignment: Alignment | None = None
    record = 0
    for entry in entries:
        said = entry.said
        if isinstance(said, Clip):
            base.execute("INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?, ?)", _clip(said))
        elif isinstance(said, Alignment):
            alignment = said
        elif isinstance(said, Examination):
            standing[question_of(said.origin)] = entry.seq
            for finding in said:
                record += 1
                content = canonical_json(finding)
                base.execute("INSERT INTO records VALUES (?, ?)", (record, content.decode()))
                base.execute(put, _row(entry.seq, record, finding, content))
    _place(base, alignment)
    base.execute("CREATE TEMP TABLE standing (line INTEGER PRIMARY KEY)")
    base.executemany("INSERT INTO standing VALUES (?)", [(n,) for n in standing.values()])
    base.execute(
        f"""
        INSERT INTO findings ({", ".join(_NAMES[1:])})
        SELECT {", ".join(_RAW)}, offset_s + start_s * rate AS begins, offset_s + end_s * rate,
            CASE WHEN start_s IS NOT NULL THEN spread_s END
        FROM raw LEFT JOIN (
            SELECT clip AS placed, offset_s, rate, spread_s FROM placements WHERE component =
                (SELECT value FROM about WHERE key = 'component of the incident clock')
        ) ON placed = clip
        WHERE line IN (SELECT line FROM standing)
        ORDER BY begins IS NULL, begins, clip, start_s, record
        """
    )
    base.execute("DELETE FROM records WHERE record NOT IN (SELECT record FROM findings)")
    base.execute(
        "INSERT INTO words (rowid, text) SELECT number, "
        "text || ' ' || entries || ' ' || plate || ' ' || kind FROM findings"
    )
    base.executescript(_INDEXES)


def _clip(clip: Clip) -> tuple[Any, ...]:
    stream = clip.video
    size: tuple[int | None, int | None] = (None, None)
    if stream is not None:
        turned = stream.rotation % 180 == 90
        size = (stream.height, stream.width) if turned else (stream.width, stream.height)
    return clip.digest, clip.name, _text(clip.path), *size


def _text(path: Path) -> str:
    plain = to_builtins(path)
    return plain if isinstance(plain, str) else f"bytes {plain['raw']}"


def _place(base: sqlite3.Connection, alignment: Alignment | None) -> None:
    if alignment is None:
        return
    own = alignment.placement(alignment.reference)
    base.execute(
        "INSERT INTO about VALUES ('component of the incident clock', ?)",
        (own.component if own is not None else 0,),
    )
    for place in alignment.placements:
        value, low, high = place.offset.value, place.offset.low, place.offset.high
        spread = 0.0 if low is None or high is None else max(high - value, value - low)
        rate = 1 + place.drift_ppm.value * 1e-6
        base.execute(
            "INSERT OR REPLACE INTO placements VALUES (?, ?, ?, ?, ?)",
            (place.clip, value, rate, spread, place.component),
        )


def _row(line: int, record: int, finding: Finding, content: bytes) -> tuple[Any, ...]:
    seen = finding.observation
    what, span = seen.what, seen.span
    fields = to_builtins(what)
    inputs = finding.origin.inputs
    clip = str(fields.get("clip") or inputs[0]) if inputs else ""
    entries = colours = plate = ""
    plate_box: Box | None = None
    if isinstance(what, Sighting):
        entries = " ".join(c.entry for c in what.candidates)
        if what.kind == "plate":
            plate, plate_box = what.text.upper(), what.box
    if isinstance(what, VehicleSighting):
        colours = " ".join(c.entry for c in what.colours)
        if what.plate is not None:
            plate, plate_box = what.plate.text.upper(), what.plate.box
    box = getattr(what, "box", None) or getattr(what, "region", None)
    text = str(fields.get("text") or seen.note)
    return (
        hashlib.sha256(content).hexdigest(), line, clip, finding.origin.method, fields["type"],
        str(fields.get("kind") or fields.get("label") or fields.get("vehicle_type") or ""),
        str(fields.get("verdict") or ""), text, text.casefold(), entries, colours, plate,
        str(fields.get("observed_absence") or ""), str(fields.get("source") or ""),
        str(fields.get("track") or ""), fields.get("ordinal"), str(fields.get("pixel_hash") or ""),
        float(span.start) if span else None, float(span.end) if span else None,
        *_sides(box if isinstance(box, Box) else None), *_sides(plate_box),
        seen.score, seen.artefacts[0].digest if seen.artefacts else "", record,
    )  # fmt: skip


def _sides(box: Box | None) -> tuple[float | None, ...]:
    return (box.x, box.y, box.width, box.height) if box is not None else (None,) * 4


def read_hit(row: sqlite3.Row) -> Hit:
    """A row of `findings` (with its clip's name) as a value."""

    def box(prefix: str) -> Box | None:
        sides = [row[f"{prefix}{side}"] for side in ("x", "y", "width", "height")]
        return None if sides[0] is None else Box(*sides)

    begins = row["incident_start_s"]
    return Hit(
        number=row["number"], id=row["id"], line=row["line"], clip=row["clip"],
        clip_name=row["clip_name"] or "", method=row["method"], type=row["type"],
        kind=row["kind"], verdict=row["verdict"], text=row["text"],
        entries=tuple(row["entries"].split()), colours=tuple(row["colours"].split()),
        plate=row["plate"], absence=row["absence"], source=row["source"], track=row["track"],
        frame=row["frame"], pixel_hash=row["pixel_hash"], start_s=row["start_s"],
        end_s=row["end_s"],
        incident=None if begins is None
        else Interval(begins, row["incident_end_s"], row["incident_spread_s"]),
        box=box(""), plate_box=box("plate_"), score=row["score"], artefact=row["artefact"],
    )  # fmt: skip
