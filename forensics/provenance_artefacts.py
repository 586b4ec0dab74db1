"""The bytes of pictures, sounds and tables that show what was found, kept by their SHA-256."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from forensics.errors import RecordInvalid
from forensics.model import Artefact
from forensics.tools_temporary import spool_folder

__all__ = ["artefact_bytes", "artefact_name", "artefact_path", "keep"]


@functools.cache
def _spool() -> Path:
    return spool_folder("artefacts")


def keep(content: bytes, *, media_type: str, label: str) -> Artefact:
    """Keep a picture, sound or table by its SHA-256 until a ledger takes it over."""
    digest = hashlib.sha256(content).hexdigest()
    path = _spool() / digest
    if not path.exists():
        path.write_bytes(content)
    return Artefact(digest, media_type, label)


def artefact_path(artefact: Artefact, *, folder: Path | None = None) -> Path:
    """Where an artefact's bytes are: in a ledger's folder, or in this process's spool.

    Raises
    ------
    RecordInvalid
        The bytes are in neither place.
    """
    places = [_spool() / artefact.digest]
    if folder is not None:
        places.insert(0, folder / artefact_name(artefact))
    for path in places:
        if path.exists():
            return path
    raise RecordInvalid(f"the bytes of artefact {artefact.label!r} are not at hand")


def artefact_bytes(artefact: Artefact, *, folder: Path | None = None) -> bytes:
    """The bytes of an artefact; see `artefact_path`."""
    return artefact_path(artefact, folder=folder).read_bytes()


def artefact_name(artefact: Artefact) -> str:
    """The file name of an artefact in a case folder."""
    suffix = {"image/png": "png", "image/jpeg": "jpg", "audio/wav": "wav", "text/csv": "csv",
              "application/json": "json", "video/mp4": "mp4", "text/html": "html"}  # fmt: skip
    return f"{artefact.digest}.{suffix.get(artefact.media_type, 'bin')}"
