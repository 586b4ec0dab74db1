"""Rows of a batch on disk: appended as they come, put in order at the end, taken up again.

While a batch runs, rows go to ``RESULTS.jsonl.part``, one write a row. A kill can tear at most
the last line, which is cut off when the batch is resumed. The finished file lists the clips in
their own order, so that it has the same bytes however often the batch was interrupted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Journal"]

_FLUSH_S = 1.0


class _Head(msgspec.Struct):
    """What the journal needs to know of a row; the rest is left undecoded."""

    clip: str
    key: str
    outcome: str


class Journal:
    """The rows so far, by clip name; only their places are kept in memory.

    Parameters
    ----------
    out
        The finished file; the journal lies beside it.
    resume
        Take up rows of an earlier run; otherwise they are thrown away.
    """

    def __init__(self, out: Path, *, resume: bool) -> None:
        self.out = out
        self.path = out.with_name(out.name + ".part")
        self.places: dict[str, tuple[int, int]] = {}
        self.keys: dict[str, str] = {}
        self.outcomes: dict[str, str] = {}
        self._synced = 0.0
        out.parent.mkdir(parents=True, exist_ok=True)
        if resume and not self.path.exists() and out.exists():
            self.path.write_bytes(out.read_bytes())
        if not resume:
            self.path.unlink(missing_ok=True)
        self._file: Any = open(self.path, "ab+")  # noqa: SIM115 - closed by close()
        self._read()

    def _read(self) -> None:
        self._file.seek(0)
        place = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            try:
                head = msgspec.json.decode(line, type=_Head)
            except msgspec.MsgspecError:
                break
            self._note(head, place, len(line))
            place += len(line)
        self._file.truncate(place)
        self._file.seek(0, os.SEEK_END)

    def _note(self, head: _Head, place: int, length: int) -> None:
        self.places[head.clip] = (place, length)
        self.keys[head.clip], self.outcomes[head.clip] = head.key, head.outcome

    def add(self, row: bytes) -> None:
        """Append one row."""
        head = msgspec.json.decode(row, type=_Head)
        place = self._file.seek(0, os.SEEK_END)
        self._file.write(row + b"\n")
        self._file.flush()
        self._note(head, place, len(row) + 1)
        if time.monotonic() - self._synced > _FLUSH_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def rows(self, names: Iterable[str]) -> Iterator[bytes]:
        """The rows of these clips, in this order, each with its line end."""
        for name in names:
            place, length = self.places[name]
            self._file.seek(place)
            yield self._file.read(length)

    def finish(self, names: Iterable[str]) -> Path:
        """Write the finished file, whole or not at all, and remove the journal."""
        partial = self.out.with_name(self.out.name + ".whole")
        with open(partial, "wb") as file:
            file.writelines(self.rows(names))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.out)
        self.close()
        self.path.unlink(missing_ok=True)
        return self.out

    def close(self) -> None:
        """Close the file."""
        self._file.close()
