"""The append-only, chained record of a case: one JSON line for each thing that was done.

Each line holds the SHA-256 of the line before it and is flushed to the disk before `append`
returns. A torn last line (power cut, full disk) is detected, reported and survivable: the next
append moves it aside byte for byte and says so in the chain.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import msgspec

from forensics.errors import LedgerBroken
from forensics.model import (
    Alignment,
    Artefact,
    Clip,
    Examination,
    Value,
    Verdict,
    canonical_json,
    from_json,
)
from forensics.provenance_artefacts import artefact_bytes, artefact_name

__all__ = ["Action", "Body", "Entry", "Failure", "Ledger", "artefacts_of"]

GENESIS = "0" * 64
_BLOCK = 1 << 16


class Action(Value, frozen=True, tag="action"):
    """Something done in the case that is not an examination: opened, exported, recovered, …"""

    actor: str
    what: str
    objects: tuple[str, ...] = ()
    note: str = ""


class Failure(Value, frozen=True, tag="failure"):
    """A file that could not be opened, and why: it stands in the record all the same."""

    path: Path
    error: str
    message: str
    hint: str = ""
    digest: str = ""


class _Number(msgspec.Struct):
    """A line's number; the rest of it is left undecoded."""

    seq: int


class _Item(Value, frozen=True, tag="item"):
    clip: Clip


class _Examined(Value, frozen=True, tag="examination"):
    examination: Examination


class _Aligned(Value, frozen=True, tag="alignment"):
    alignment: Alignment


class _Judged(Value, frozen=True, tag="verdict"):
    verdict: Verdict


Body: TypeAlias = Clip | Examination | Alignment | Verdict | Action | Failure
_Wrapped: TypeAlias = _Item | _Examined | _Aligned | _Judged | Action | Failure


class Entry(Value, frozen=True):
    """One line: sequence number from 1, UTC time, the previous line's hash, and what was said."""

    seq: int
    utc: str
    previous: str
    body: _Wrapped

    @property
    def said(self) -> Body:
        """The clip, examination, alignment, verdict, action or failure on this line."""
        match self.body:
            case _Item(clip):
                return clip
            case _Examined(examination):
                return examination
            case _Aligned(alignment):
                return alignment
            case _Judged(verdict):
                return verdict
            case Action() | Failure():
                return self.body


def _wrap(said: Body) -> _Wrapped:
    match said:
        case Clip():
            return _Item(said)
        case Examination():
            return _Examined(said)
        case Alignment():
            return _Aligned(said)
        case Verdict():
            return _Judged(said)
        case Action() | Failure():
            return said


class Ledger:
    """An append-only file of entries, each chained to the one before by its SHA-256.

    Parameters
    ----------
    path
        The JSON Lines file; made on the first append. Artefacts go to ``artefacts/`` beside it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def artefacts(self) -> Path:
        """The folder that holds the artefacts' bytes."""
        return self.path.parent / "artefacts"

    def _tail(self) -> tuple[bytes, bytes, int]:
        """The last whole line, the torn bytes after it, and where those begin."""
        try:
            file = open(self.path, "rb")  # noqa: SIM115 - closed by the with below
        except FileNotFoundError:
            return b"", b"", 0
        with file:
            # Backwards, a block at a time: appending must not cost more in a long ledger.
            end = file.seek(0, os.SEEK_END)
            place, data = end, b""
            while place > 0 and data.count(b"\n") < 2:
                step = min(_BLOCK, place)
                place -= step
                file.seek(place)
                data = file.read(step) + data
        whole, newline, torn = data.rpartition(b"\n")
        if not newline:
            return b"", data, 0
        return whole.rpartition(b"\n")[2], torn, end - len(torn)

    @property
    def torn(self) -> bytes:
        """Bytes after the last complete line: what a crash left behind (normally empty)."""
        return self._tail()[1]

    @property
    def head(self) -> str:
        """SHA-256 of the last complete line; belongs in the appendix and the seal."""
        last = self._tail()[0]
        return hashlib.sha256(last).hexdigest() if last else GENESIS

    def lines(self) -> Iterator[bytes]:
        """The complete lines as they stand, without their ends, one at a time."""
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]

    def __iter__(self) -> Iterator[Entry]:
        previous = GENESIS
        for number, line in enumerate(self.lines(), start=1):
            try:
                entry = from_json(line, Entry)
            except ValueError as error:
                raise LedgerBroken(
                    f"line {number} cannot be read: {error}", line=number,
                    hint="compare with a sealed copy; the lines before it are intact",
                ) from error  # fmt: skip
            if entry.previous != previous or entry.seq != number:
                raise LedgerBroken(
                    f"the chain breaks at line {number}: a line was changed, removed or inserted",
                    line=number, hint="compare with a sealed copy",
                )  # fmt: skip
            # Compared with itself, not with what this version would write: a field that the
            # vocabulary gained since is no sign of tampering.
            if canonical_json(msgspec.json.decode(line)) != line:
                raise LedgerBroken(f"line {number} was rewritten", line=number)
            previous = hashlib.sha256(line).hexdigest()
            yield entry

    def __len__(self) -> int:
        return sum(1 for _ in self.lines())

    def check(self) -> int:
        """Walk the whole chain; return the number of lines.

        Raises
        ------
        LedgerBroken
            A line was changed, removed or inserted; `line` says where.
        """
        return sum(1 for _ in self)

    def append(self, said: Body) -> Entry:
        """Add one entry and its artefacts' bytes, flushed to the disk before returning.

        Raises
        ------
        RecordInvalid
            A value cannot be recorded, or an artefact's bytes are not at hand.
        """
        for artefact in artefacts_of(said):
            target = self.artefacts / artefact_name(artefact)
            if not target.exists():
                self.artefacts.mkdir(parents=True, exist_ok=True)
                content = artefact_bytes(artefact)
                partial = target.with_suffix(".part")
                partial.write_bytes(content)
                os.replace(partial, target)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._set_torn_aside()
            entry = self._write(file.fileno(), said)
        return entry

    def _write(self, descriptor: int, said: Body) -> Entry:
        last, _, _ = self._tail()
        previous, number = GENESIS, 0
        if last:
            previous = hashlib.sha256(last).hexdigest()
            try:
                number = from_json(last, _Number).seq
            except ValueError as error:
                raise LedgerBroken(
                    f"the last line cannot be read, so nothing is added to it: {error}",
                    line=len(self), hint="compare with a sealed copy",
                ) from error  # fmt: skip
        utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        draft = Entry(number + 1, utc, previous, _wrap(said))
        entry = from_json(canonical_json(draft), Entry)
        line = canonical_json(entry)
        if canonical_json(from_json(line, Entry)) != line:
            raise LedgerBroken("an entry does not read back as written", line=entry.seq)
        view = memoryview(line + b"\n")
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
        return entry

    def _set_torn_aside(self) -> None:
        _, torn, length = self._tail()
        if not torn:
            return
        digest = hashlib.sha256(torn).hexdigest()
        aside = self.path.with_name(f"{self.path.name}.torn-{digest[:12]}")
        aside.write_bytes(torn)
        with open(self.path, "rb+") as file:
            file.truncate(length)
            note = f"{len(torn)} incomplete bytes after line {len(self)}; kept in {aside.name}"
            file.seek(0, os.SEEK_END)
            self._write(file.fileno(), Action("forensics", "torn line set aside", (digest,), note))

    def examinations(self) -> list[Examination]:
        """Every examination on record, in order."""
        return [e.said for e in self if isinstance(e.said, Examination)]

    def clips(self) -> list[Clip]:
        """Every clip on record, in order, each once."""
        found = {e.said.digest: e.said for e in self if isinstance(e.said, Clip)}
        return list(found.values())


def artefacts_of(said: Body) -> list[Artefact]:
    """The artefacts an entry names."""
    if not isinstance(said, Examination):
        return []
    inside = [a for finding in said for a in finding.observation.artefacts]
    return [*said.artefacts, *inside]
