"""A searchable index of everything found, rebuilt from the ledger at any time.

``catalogue.sqlite`` holds nothing that the ledger does not: it can be deleted and made again. It
is an ordinary SQLite file, so that other tools (Datasette, a spreadsheet's import) can open it.
Text is indexed by trigrams, which finds parts of words in Cyrillic as well as in Latin letters.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from forensics.errors import ClipNotFound, RecordInvalid
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
from forensics.provenance import Entry, Ledger

__all__ = ["Catalogue", "Hit"]

_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE clips (digest TEXT PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE findings (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, line INTEGER NOT NULL, clip TEXT NOT NULL,
    method TEXT NOT NULL, type TEXT NOT NULL, kind TEXT NOT NULL, verdict TEXT NOT NULL,
    text TEXT NOT NULL, entries TEXT NOT NULL, colours TEXT NOT NULL, plate TEXT NOT NULL,
    start_s REAL, end_s REAL, incident_start_s REAL, incident_end_s REAL, incident_spread_s REAL,
    x REAL, y REAL, width REAL, height REAL, score REAL NOT NULL, artefact TEXT NOT NULL,
    finding TEXT NOT NULL
);
CREATE INDEX by_kind ON findings (type, kind);
CREATE INDEX by_clip ON findings (clip, start_s);
CREATE INDEX by_time ON findings (incident_start_s);
CREATE INDEX by_plate ON findings (plate) WHERE plate <> '';
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'trigram');
"""
_COLUMNS = (
    "id line clip method type kind verdict text entries colours plate start_s end_s "
    "incident_start_s incident_end_s incident_spread_s x y width height score artefact finding"
).split()
_INSERT = f"INSERT INTO findings ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class Hit(Value, frozen=True):
    """One finding as the catalogue holds it; `line` is its line in the ledger."""

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
    start_s: float | None
    end_s: float | None
    incident: Interval | None
    box: Box | None
    score: float
    artefact: str


class Catalogue:
    """A catalogue file. Make it with `Catalogue.build`, open it with `Catalogue.open`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def build(cls, ledger: Ledger, path: str | os.PathLike[str]) -> Catalogue:
        """Write the catalogue of a ledger, replacing what stood there.

        Parameters
        ----------
        ledger
            The record; its chain is checked while it is read.
        path
            The SQLite file. It appears whole or not at all.

        Raises
        ------
        LedgerBroken
            The chain does not hold.
        """
        place = Path(path)
        draft = place.with_name(place.name + ".part")
        draft.unlink(missing_ok=True)
        with closing(sqlite3.connect(draft)) as base:
            base.execute("PRAGMA journal_mode = OFF")
            base.execute("PRAGMA synchronous = OFF")
            base.executescript(_SCHEMA)
            entries = list(ledger)
            alignment = _last_alignment(entries)
            base.executemany(_INSERT, _rows(entries, alignment))
            base.execute(
                "INSERT INTO words (rowid, text) SELECT number, "
                "text || ' ' || entries || ' ' || plate || ' ' || kind FROM findings"
            )
            clips = [e.said for e in entries if isinstance(e.said, Clip)]
            base.executemany(
                "INSERT OR REPLACE INTO clips VALUES (?, ?, ?)",
                [(c.digest, c.name, _text(c.path)) for c in clips],
            )
            base.execute("INSERT INTO about VALUES ('ledger head', ?)", (ledger.head,))
            base.commit()
            # A second reader (or writer of its own tables) is welcome from here on.
            base.execute("PRAGMA journal_mode = WAL")
        os.replace(draft, place)
        return cls(place)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, ledger: Ledger | None = None) -> Catalogue:
        """Open a catalogue; with `ledger`, make sure it was built from that ledger as it is now.

        Raises
        ------
        ClipNotFound
            No such file.
        RecordInvalid
            It is not a catalogue, or was built from another state of the ledger.
        """
        catalogue = cls(Path(path))
        if not catalogue.path.is_file():
            raise ClipNotFound(f"no catalogue at {catalogue.path.name}", path=catalogue.path)
        head = catalogue.head
        if ledger is not None and head != ledger.head:
            raise RecordInvalid("the catalogue is older than the ledger", hint="build it again")
        return catalogue

    @contextmanager
    def _base(self) -> Iterator[sqlite3.Connection]:
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as base:
            base.row_factory = sqlite3.Row
            base.create_function("fold", 1, _fold, deterministic=True)
            yield base

    @property
    def head(self) -> str:
        """The ledger's head hash when the catalogue was built."""
        try:
            with self._base() as base:
                row = base.execute("SELECT value FROM about WHERE key = 'ledger head'").fetchone()
        except sqlite3.DatabaseError as error:
            raise RecordInvalid(f"{self.path.name} is not a catalogue: {error}") from None
        return str(row[0]) if row else ""

    def __len__(self) -> int:
        with self._base() as base:
            return int(base.execute("SELECT count(*) FROM findings").fetchone()[0])

    def search(
        self, text: str = "", *, kind: str = "", colour: str = "", plate: str = "",
        clip: str = "", verdict: str = "", between: tuple[float, float] | None = None,
        limit: int = 200,
    ) -> list[Hit]:  # fmt: skip
        """Findings that fit every condition given.

        Parameters
        ----------
        text
            Part of lettering, of a plate, of a kind or of a gallery entry's name; of at least
            three letters (shorter text is compared with whole fields). Case does not matter.
        kind
            The type of finding ("sighting", "vehicle-sighting", "discontinuity", …) or its kind
            ("patch", "deletion", "bus", …).
        colour
            One of a vehicle's candidate colours.
        plate
            A plate pattern: ``?`` stands for one character, ``*`` for any number.
        clip
            A digest, or the beginning of one, or a file name.
        verdict
            Such as "match_design" or "inconsistent".
        between
            Seconds on the incident clock; what may lie inside, with its uncertainty, is a hit.
        limit
            Most hits to return, in the order of incident time, then clip time.
        """
        where: list[str] = []
        values: list[Any] = []
        words = text.replace("\0", "").strip()
        if len(words) >= 3:
            where.append("number IN (SELECT rowid FROM words WHERE words MATCH ?)")
            values.append('"' + words.replace('"', '""') + '"')
        elif words:
            where.append("(fold(text) = fold(?) OR fold(plate) = fold(?))")
            values += [words, words]
        if kind:
            where.append("(type = ? OR kind = ?)")
            values += [kind, kind]
        if colour:
            where.append("instr(' ' || colours || ' ', ' ' || ? || ' ') > 0")
            values.append(colour)
        if plate:
            where.append("plate <> '' AND plate GLOB ?")
            values.append(plate.upper().replace("[", "[[]"))
        if clip:
            where.append(
                "clip IN (SELECT digest FROM clips WHERE name = ? OR substr(digest, 1, ?) = ?)"
            )
            values += [clip, len(clip), clip]
        if verdict:
            where.append("verdict = ?")
            values.append(verdict)
        if between is not None:
            where.append("incident_start_s - incident_spread_s <= ?")
            where.append("incident_end_s + incident_spread_s >= ?")
            values += [between[1], between[0]]
        condition = " AND ".join(where) or "1"
        query = (
            "SELECT findings.*, clips.name AS clip_name FROM findings "
            f"LEFT JOIN clips ON clips.digest = findings.clip WHERE {condition} "
            "ORDER BY incident_start_s IS NULL, incident_start_s, clip, start_s LIMIT ?"
        )
        with self._base() as base:
            return [_hit(row) for row in base.execute(query, [*values, limit])]

    def finding(self, number_or_id: str) -> Finding:
        """The whole finding behind a hit, by its id or the beginning of it.

        Raises
        ------
        RecordInvalid
            No finding, or more than one, has that id.
        """
        from forensics.model import from_json

        with self._base() as base:
            found = base.execute(
                "SELECT finding FROM findings WHERE substr(id, 1, ?) = ? LIMIT 2",
                (len(number_or_id), number_or_id),
            ).fetchall()
        if len(found) != 1:
            raise RecordInvalid(f"{len(found) or 'no'} findings are called {number_or_id!r}")
        return from_json(found[0][0], Finding)


def _fold(text: str) -> str:
    return text.casefold()


def _text(path: Path) -> str:
    plain = to_builtins(path)
    return plain if isinstance(plain, str) else f"bytes {plain['raw']}"


def _last_alignment(entries: Iterable[Entry]) -> Alignment | None:
    found = [e.said for e in entries if isinstance(e.said, Alignment)]
    return found[-1] if found else None


def _rows(entries: Sequence[Entry], alignment: Alignment | None) -> Iterator[tuple[Any, ...]]:
    for entry in entries:
        if isinstance(entry.said, Examination):
            for finding in entry.said:
                yield _row(entry, finding, alignment)


def _row(entry: Entry, finding: Finding, alignment: Alignment | None) -> tuple[Any, ...]:
    seen = finding.observation
    what = seen.what
    fields = to_builtins(what)
    inputs = finding.origin.inputs
    clip = str(fields.get("clip") or inputs[0]) if inputs else ""
    entries: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    plate = ""
    kind = str(fields.get("kind") or fields.get("label") or fields.get("vehicle_type") or "")
    if isinstance(what, Sighting):
        entries = tuple(c.entry for c in what.candidates)
        plate = what.text.upper() if what.kind == "plate" else ""
    if isinstance(what, VehicleSighting):
        colours = tuple(c.entry for c in what.colours)
        plate = what.plate.text.upper() if what.plate else ""
    box = getattr(what, "box", None) or getattr(what, "region", None)
    box = box if isinstance(box, Box) else None
    span = seen.span
    placed = alignment.on_incident_clock(clip, span) if alignment and span else None
    return (
        finding.id, entry.seq, clip, finding.origin.method, fields["type"], kind,
        str(fields.get("verdict") or ""), str(fields.get("text") or seen.note),
        " ".join(entries), " ".join(colours), plate,
        float(span.start) if span else None, float(span.end) if span else None,
        placed.start if placed else None, placed.end if placed else None,
        placed.uncertainty if placed else None,
        *((box.x, box.y, box.width, box.height) if box else (None,) * 4),
        seen.score, seen.artefacts[0].digest if seen.artefacts else "",
        canonical_json(finding).decode(),
    )  # fmt: skip


def _hit(row: sqlite3.Row) -> Hit:
    placed = row["incident_start_s"] is not None
    return Hit(
        id=row["id"], line=row["line"], clip=row["clip"], clip_name=row["clip_name"] or "",
        method=row["method"], type=row["type"], kind=row["kind"], verdict=row["verdict"],
        text=row["text"], entries=tuple(row["entries"].split()),
        colours=tuple(row["colours"].split()), plate=row["plate"], start_s=row["start_s"],
        end_s=row["end_s"],
        incident=Interval(
            row["incident_start_s"], row["incident_end_s"], row["incident_spread_s"]
        ) if placed else None,
        box=Box(row["x"], row["y"], row["width"], row["height"]) if row["x"] is not None else None,
        score=row["score"], artefact=row["artefact"],
    )  # fmt: skip
