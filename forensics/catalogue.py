"""A searchable index of everything found, rebuilt from the ledger at any time.

``catalogue.sqlite`` holds nothing that the ledger does not: it can be deleted and made again. It
is an ordinary SQLite file with readable tables and views, so that other tools (Datasette, a
spreadsheet's import) can open it. Text is indexed by trigrams, which finds parts of words in
Cyrillic as well as in Latin letters; crops are indexed by what they look like.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.catalogue_export import Size, write_hits
from forensics.catalogue_looks import describe, read_looks, write_looks
from forensics.catalogue_rows import SCHEMA, Hit, fill, read_hit
from forensics.errors import ClipNotFound, RecordInvalid
from forensics.model import Finding, Quantity, Value
from forensics.provenance import Ledger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Catalogue", "Hit", "Likeness"]


class Likeness(Value, frozen=True):
    """A finding whose crop resembles an example; compatible with it, never the same.

    `resemblance` runs from -1 to 1 and only ranks. `details` are points in one geometry, counted
    where crop and example were compared closely, else None.
    """

    hit: Hit
    resemblance: float
    details: Quantity | None = None


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
            The SQLite file. It appears whole or not at all. Crops that the catalogue standing
            there has described already are not described again.

        Raises
        ------
        LedgerBroken
            The chain does not hold.
        """
        place = Path(path)
        draft = place.with_name(place.name + ".part")
        draft.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(draft)) as base:
                base.execute("PRAGMA journal_mode = OFF")
                base.execute("PRAGMA synchronous = OFF")
                base.executescript(SCHEMA)
                fill(base, iter(ledger))
                write_looks(base, ledger, place)
                base.execute("INSERT INTO about VALUES ('ledger head', ?)", (ledger.head,))
                base.execute("ANALYZE")
                base.commit()
                # A second reader (or writer of its own tables) is welcome from here on.
                base.execute("PRAGMA journal_mode = WAL")
            # What WAL left beside the former file belongs to it, not to this one.
            for suffix in ("-wal", "-shm"):
                place.with_name(place.name + suffix).unlink(missing_ok=True)
            os.replace(draft, place)
        finally:
            draft.unlink(missing_ok=True)
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
            where.append(
                "number IN (SELECT number FROM findings WHERE folded = ? "
                "UNION SELECT number FROM findings WHERE plate = ?)"
            )
            values += [words.casefold(), words.upper()]
        if kind:
            where.append(
                "number IN (SELECT number FROM findings WHERE type = ? "
                "UNION SELECT number FROM findings WHERE kind = ?)"
            )
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
            "ORDER BY number LIMIT ?"
        )
        with self._base() as base:
            return [read_hit(row) for row in base.execute(query, [*values, limit])]

    def match_picture(
        self, picture: NDArray[np.uint8], *, kind: str = "", clip: str = "", limit: int = 20,
        closely: int = 0, crops: str | os.PathLike[str] | None = None,
    ) -> list[Likeness]:  # fmt: skip
        """Markings and vehicles whose crop resembles an example picture, best first.

        Parameters
        ----------
        picture
            (H, W, 3) uint8 RGB, cut closely around one marking or vehicle.
        kind, clip
            As in `search`.
        limit
            Most to return.
        closely
            Compare so many of the leading crops with the example detail by detail (about 20 ms
            each) and rank those again by how many details lie in one geometry.
        crops
            The ledger's folder of artefacts, for `closely`; ``artefacts`` beside the catalogue
            by default.

        Raises
        ------
        RecordInvalid
            The picture is not (H, W, 3) uint8 RGB.

        When it errs
        ------------
        Ranks other designs of the same outline and colours above a picture of the right one taken
        obliquely (ASTM E3016: inaccuracy, association): among 19,200 crops of 3,200 designs, four
        to a family, the example's own was among the first ten for 32 of 100, first for 43 with
        ``closely=24``; does not see crops that are gone, blank
        or of balaclavas (incompleteness). A resemblance is no match: `match_marking` compares.
        """
        import numpy as np

        if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise RecordInvalid("an example is given as (H, W, 3) uint8 RGB")
        query = describe([picture], [0.0])[0].astype(np.float32)
        with self._base() as base:
            parts = list(read_looks(base))
            if not parts:
                return []
            numbers = np.concatenate([n for n, _ in parts])
            near = np.concatenate([v.astype(np.float32) @ query for _, v in parts]) / 254.0**2
            if kind or clip:
                allowed = self._numbers(base, kind, clip)
                near = np.where(np.isin(numbers, allowed), near, -np.inf)
            order = np.argsort(-near, kind="stable")[: max(limit, closely)]
            order = order[np.isfinite(near[order])]
            chosen = [int(n) for n in numbers[order]]
            holes = ", ".join("?" * len(chosen))
            rows = base.execute(
                "SELECT findings.*, clips.name AS clip_name FROM findings "
                f"LEFT JOIN clips ON clips.digest = findings.clip WHERE number IN ({holes})",
                chosen,
            )
            hits = {row["number"]: read_hit(row) for row in rows}
        found = [
            Likeness(hits[n], round(float(near[k]), 4))
            for n, k in zip(chosen, order, strict=True)
        ]
        if closely:
            place = Path(crops) if crops is not None else self.path.parent / "artefacts"
            found = _compared(picture, found[:closely], place) + found[closely:]
        return found[:limit]

    def _numbers(self, base: sqlite3.Connection, kind: str, clip: str) -> Any:
        import numpy as np

        where, values = ["1"], list[Any]()
        if kind:
            where.append("(type = ? OR kind = ?)")
            values += [kind, kind]
        if clip:
            where.append(
                "clip IN (SELECT digest FROM clips WHERE name = ? OR substr(digest, 1, ?) = ?)"
            )
            values += [clip, len(clip), clip]
        found = base.execute(f"SELECT number FROM findings WHERE {' AND '.join(where)}", values)
        return np.array([row[0] for row in found], np.int64)

    def write_hits(
        self, hits: Sequence[Hit], out: str | os.PathLike[str], *,
        crops: str | os.PathLike[str] | None = None, unredacted: bool = False,
    ) -> Path:  # fmt: skip
        """Write hits as ``.csv``, ``.json`` (COCO), ``.xml`` (CVAT for images) or ``.html``.

        Parameters
        ----------
        hits
            What a search gave back.
        out
            The file; its suffix decides.
        crops
            The ledger's folder of artefacts; ``artefacts`` beside the catalogue by default.
        unredacted
            Let plates and faces through; the file then says so.

        Raises
        ------
        RecordInvalid
            Another suffix.
        """
        with self._base() as base:
            sizes = {
                row["digest"]: Size(row["name"], row["width"] or 0, row["height"] or 0)
                for row in base.execute("SELECT * FROM clips")
            }
        folder = Path(crops) if crops is not None else self.path.parent / "artefacts"
        return write_hits(hits, out, clips=sizes, crops=folder, unredacted=unredacted)

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
                "SELECT finding FROM records WHERE record IN (SELECT record FROM findings "
                "WHERE id >= ? AND id < ? LIMIT 2)",
                (number_or_id, number_or_id + "g"),
            ).fetchall()
        if len(found) != 1:
            raise RecordInvalid(f"{len(found) or 'no'} findings are called {number_or_id!r}")
        return from_json(found[0][0], Finding)


def _compared(
    picture: NDArray[np.uint8], found: Sequence[Likeness], crops: Path
) -> list[Likeness]:
    """The same likenesses with details counted, most first; those without a crop keep None."""
    import cv2
    import numpy as np

    from forensics.gallery_match import compare, prepare_reference

    opaque = np.full((*picture.shape[:2], 1), 255, np.uint8)
    reference = prepare_reference(np.concatenate([picture, opaque], axis=2))
    counted: list[Likeness] = []
    for item in found:
        path = crops / f"{item.hit.artefact}.png"
        shown = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
        if shown is None:
            counted.append(item)
            continue
        seen = compare(np.ascontiguousarray(shown[..., ::-1]).astype(np.uint8), reference)
        details = Quantity.exact(seen.inliers, "points", "details in one geometry, counted")
        counted.append(Likeness(item.hit, item.resemblance, details))
    return sorted(
        counted, key=lambda c: (-(c.details.value if c.details else -1.0), -c.resemblance)
    )
