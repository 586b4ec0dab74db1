"""The reference gallery: a folder of units an investigator can edit, read and put under git.

``<unit>/reference.toml`` and its images. An entry without a source is refused: whoever reads a
match must be able to ask where the reference came from. The library ships no real unit's emblem.

::

    unit = "badger-detachment"          # the folder's name
    image = "image.png"                 # or images = ["sleeve.png", "shield.png"]
    kind = "patch"                      # what it is worn as; optional
    source = "where the picture was taken from"
    source_sha256 = "…"                 # of the archived source (or of the image itself)
    licence = "CC0-1.0"
    valid_from = 2015-01-01             # optional, as is valid_to
    added_by = "name or initials"
    look_alikes = ["raccoon-detachment"]

    [names]
    be = "…"
    ru = "…"
    en = "…"
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from forensics.errors import ForensicsError, RecordInvalid, printable
from forensics.gallery_match import (
    Comparison,
    Reference,
    limit_band,
    prepare_query,
    prepare_reference,
    rank,
)
from forensics.model import Progress, SightingKind, Value, content_hash, from_builtins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Gallery", "GalleryEntry", "GalleryImage", "LookAlike", "Problem"]

_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PIXELS = 50_000_000


class GalleryImage(Value, frozen=True):
    """One reference picture, identified by the SHA-256 of its file."""

    file: str
    sha256: str
    kind: Literal["photo", "drawing", "unknown"] = "unknown"


class GalleryEntry(Value, frozen=True):
    """One unit's marking: names, where the reference came from, when it was in use."""

    unit: str
    names: dict[str, str]
    images: tuple[GalleryImage, ...]
    source: str
    source_sha256: str
    licence: str
    added_by: str
    kind: SightingKind = "patch"
    valid_from: date | None = None
    valid_to: date | None = None
    look_alikes: tuple[str, ...] = ()
    note: str = ""

    @property
    def name(self) -> str:
        """The English name if there is one, else any, else the folder's."""
        return self.names.get("en") or next(iter(self.names.values()), self.unit)


class Problem(Value, frozen=True):
    """Something `Gallery.lint` found: in which entry, whether it bars the entry, and what."""

    unit: str
    refused: bool
    text: str


class LookAlike(Value, frozen=True):
    """Two entries that the matcher cannot tell apart reliably; measured, and whether declared."""

    first: str
    second: str
    inliers: int
    correlation: float
    agreement: float
    declared: bool


class Gallery:
    """A folder of reference markings, read once; identified by the digest of all it holds.

    Iterates over `GalleryEntry`. Entries that `lint` refuses are left out and listed in
    `refused`; a match can never name them.
    """

    def __init__(
        self, folder: Path, entries: tuple[GalleryEntry, ...], problems: tuple[Problem, ...]
    ) -> None:
        self.folder = folder
        self.entries = entries
        self._problems = problems
        self.digest = content_hash(list(entries))
        self._references: dict[str, tuple[Reference, ...]] = {}
        self._alike: dict[str, set[str]] = {}
        for entry in entries:
            for other in entry.look_alikes:
                self._alike.setdefault(entry.unit, set()).add(other)
                self._alike.setdefault(other, set()).add(entry.unit)

    @classmethod
    def open(cls, folder: str | Path) -> Gallery:
        """Read a gallery folder.

        Raises
        ------
        RecordInvalid
            The folder is not there, or holds not one usable entry.
        """
        place = Path(folder)
        if not place.is_dir():
            raise RecordInvalid(f"no gallery folder at {printable(place)}")
        entries: list[GalleryEntry] = []
        problems: list[Problem] = []
        for home in sorted(p for p in place.iterdir() if p.is_dir() and p.name[0] != "."):
            entry, found = _read_entry(home)
            problems += found
            if entry is not None and not any(p.refused for p in found):
                entries.append(entry)
        known = {entry.unit for entry in entries}
        for entry in entries:
            for other in entry.look_alikes:
                if other not in known:
                    problems.append(
                        Problem(
                            entry.unit, False, f"names look-alike {other!r}, not in this gallery"
                        )
                    )
        if not entries:
            said = "; ".join(p.text for p in problems[:3]) or "it holds no <unit>/reference.toml"
            raise RecordInvalid(f"no usable entry in gallery {printable(place)}: {said}")
        return cls(place, tuple(entries), tuple(problems))

    def __iter__(self) -> Iterator[GalleryEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, unit: str) -> GalleryEntry:
        for entry in self.entries:
            if entry.unit == unit:
                return entry
        raise KeyError(unit)

    @property
    def refused(self) -> tuple[str, ...]:
        """Units left out, with the reason in `lint`."""
        return tuple(sorted({p.unit for p in self._problems if p.refused}))

    def parameter_record(self) -> dict[str, Any]:
        """How the gallery stands in an examination's parameters."""
        return {"gallery": self.digest, "entries": [entry.unit for entry in self.entries]}

    def lint(self) -> tuple[Problem, ...]:
        """Everything wrong with the folder: refused entries first, then what is left open."""
        return tuple(sorted(self._problems, key=lambda p: (not p.refused, p.unit)))

    def look_alikes(self, unit: str) -> frozenset[str]:
        """Entries declared, or found by `check_lookalikes`, to resemble this one."""
        return frozenset(self._alike.get(unit, ()))

    def image(self, unit: str, number: int = 0) -> NDArray[np.uint8]:
        """A reference picture as stored, (H, W, 4) uint8 RGBA.

        Raises
        ------
        RecordInvalid
            Its bytes are not those the gallery was opened with.
        """
        entry = self[unit]
        picture = entry.images[number]
        content = (self.folder / unit / picture.file).read_bytes()
        if hashlib.sha256(content).hexdigest() != picture.sha256:
            raise RecordInvalid(f"{unit}/{picture.file} changed since the gallery was opened")
        return _decode(content, f"{unit}/{picture.file}")

    def references(self, unit: str) -> tuple[Reference, ...]:
        """The prepared pictures of an entry: computed on first use."""
        if unit not in self._references:
            self._references[unit] = tuple(
                prepare_reference(self.image(unit, number))
                for number in range(len(self[unit].images))
            )
        return self._references[unit]

    def check_lookalikes(self, *, progress: Progress | None = None) -> tuple[LookAlike, ...]:
        """Find entries that would be taken for one another, before any evidence is examined.

        Every reference is matched against every other, at full size and as it would look 64
        pixels wide. Pairs found here, and pairs the entries declare, never give more than
        ``possible_design`` from then on.

        When it errs
        ------------
        Two designs that differ only in a few letters are listed; two that a person would confuse
        for another reason (same colours, same animal drawn differently) are not.
        """
        named = [(e.unit, ref) for e in self.entries for ref in self.references(e.unit)]
        close: dict[tuple[str, str], Comparison] = {}
        for number, (unit, probe) in enumerate(named):
            if progress is not None:
                progress(number / len(named), "comparing references")
            others = [row for row in named if row[0] != unit]
            for size_px in (192, 64):
                query = prepare_query(limit_band(probe.picture, size_px), size_px=float(size_px))
                for other, comparison in rank(query, others, keep=8, finish=5):
                    pair = (min(unit, other), max(unit, other))
                    if (
                        comparison.confusable
                        and comparison.inliers > close.get(pair, Comparison()).inliers
                    ):
                        close[pair] = comparison
        for first, second in close:
            self._alike.setdefault(first, set()).add(second)
            self._alike.setdefault(second, set()).add(first)
        declared = {
            (min(e.unit, other), max(e.unit, other))
            for e in self.entries
            for other in e.look_alikes
        }
        found = []
        for pair in sorted(close.keys() | declared):
            seen = close.get(pair, Comparison())
            found.append(
                LookAlike(*pair, seen.inliers, seen.correlation, seen.agreement, pair in declared)
            )
        return tuple(found)


def _decode(content: bytes, name: str) -> NDArray[np.uint8]:
    import io

    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > _PIXELS:
                raise RecordInvalid(f"{name} has {picture.width}x{picture.height} pixels")
            return np.array(picture.convert("RGBA"))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise RecordInvalid(f"{name} is not a readable picture: {error}") from error


def _read_entry(home: Path) -> tuple[GalleryEntry | None, list[Problem]]:
    unit = home.name
    problems: list[Problem] = []

    def refuse(text: str) -> None:
        problems.append(Problem(unit, True, text))

    card = home / "reference.toml"
    if not card.is_file():
        refuse("no reference.toml")
        return None, problems
    try:
        written: dict[str, Any] = tomllib.loads(card.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        refuse(f"reference.toml cannot be read: {error}")
        return None, problems
    if not _NAME.fullmatch(unit):
        refuse("a unit's folder is named in small letters, digits, dots and hyphens")
    if written.setdefault("unit", unit) != unit:
        refuse(f"says it is {written['unit']!r}, the folder says {unit!r}")
    names = [str(n) for n in (*written.pop("images", ()), *_listed(written.pop("image", None)))]
    kinds = written.pop("image_kind", "unknown")
    pictures = []
    for name in names or sorted(p.name for p in home.iterdir() if p.suffix.lower() in _IMAGES):
        path = home / name
        if Path(name).name != name or not path.is_file():
            refuse(f"image {name!r} is not in the folder")
            continue
        content = path.read_bytes()
        try:
            shape = _decode(content, name).shape
        except RecordInvalid as error:
            refuse(error.message)
            continue
        if max(shape[:2]) < 96:
            problems.append(
                Problem(unit, False, f"{name} is under 96 pixels: few details to match")
            )
        pictures.append(
            {"file": name, "sha256": hashlib.sha256(content).hexdigest(), "kind": kinds}
        )
    if not pictures:
        refuse("no usable image")
    for key in ("source", "source_sha256", "licence", "added_by"):
        if not str(written.setdefault(key, "")).strip():
            refuse(f"no {key}")
    if written["source_sha256"] and not re.fullmatch(
        r"[0-9a-f]{64}", str(written["source_sha256"])
    ):
        refuse("source_sha256 is not a SHA-256 in hexadecimal")
    written.setdefault("names", {})
    if not written["names"]:
        problems.append(Problem(unit, False, "no [names]"))
    if "valid_from" not in written:
        problems.append(Problem(unit, False, "no valid_from: the period of use is unknown"))
    for key in ("valid_from", "valid_to"):
        if isinstance(written.get(key), date):
            written[key] = written[key].isoformat()[:10]
    try:
        entry = from_builtins({**written, "images": pictures}, GalleryEntry)
    except ForensicsError as error:
        refuse(error.message)
        return None, problems
    if entry.valid_from and entry.valid_to and entry.valid_to < entry.valid_from:
        refuse("valid_to is before valid_from")
    return entry, problems


def _listed(value: object) -> list[object]:
    return [] if value is None else [value]
