"""What others say about a file: archives, capture apps, timestamps, credentials. As claims.

Nothing read here is a finding. It is kept in its own wording, beside what was checked of it: that
a hash it names is the hash of the file at hand, for example.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any, Literal

from forensics.errors import ClipNotFound, RecordInvalid, ToolFailed, printable
from forensics.model import Clip, Value
from forensics.tools import run_tool

__all__ = [
    "OutsideClaim", "read_auto_archiver", "read_credentials", "read_proofmode", "read_timestamp",
]  # fmt: skip

_LIMIT = 64 << 20


class OutsideClaim(Value, frozen=True):
    """What somebody else says of a file.

    `subject` is the SHA-256 it is about, as far as it names one; `statements` are its own words;
    `checked` is what this library made sure of, and nothing more.
    """

    kind: Literal["auto-archiver", "proofmode", "rfc3161", "c2pa"]
    source: str
    subject: str
    statements: dict[str, str]
    checked: tuple[str, ...] = ()


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        rows: dict[str, str] = {}
        for key, item in value.items():
            rows |= _flat(item, f"{prefix}.{key}" if prefix else str(key))
        return rows
    if isinstance(value, list):
        rows = {}
        for number, item in enumerate(value):
            rows |= _flat(item, f"{prefix}[{number}]")
        return rows
    return {prefix: "" if value is None else str(value)}


def _json(raw: bytes, where: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RecordInvalid(f"{where} is not JSON: {error}") from None


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LIMIT:
            raise RecordInvalid(f"{printable(path.name)} is larger than {_LIMIT >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        why = error.strerror
        raise ClipNotFound(f"cannot read {printable(path)}: {why}", path=path) from None


def read_auto_archiver(path: Path) -> list[OutsideClaim]:
    """The collection record of an auto-archiver run: one claim for each file it kept.

    Parameters
    ----------
    path
        Its metadata as JSON: one record, a list of them, or one a line. A file named in it that
        lies beside the record is hashed and compared.

    Raises
    ------
    RecordInvalid
        Not such a record.
    """
    raw = _bytes(path)
    name = printable(path.name)
    try:
        whole = json.loads(raw)
        records = whole if isinstance(whole, list) else [whole]
    except (ValueError, RecursionError):
        records = [_json(line, name) for line in raw.splitlines() if line.strip()]
    claims = []
    for record in records:
        if not isinstance(record, dict) or not isinstance(record.get("media"), list):
            raise RecordInvalid(f"{name} is no auto-archiver record: it lists no media")
        said = _flat({k: v for k, v in record.items() if k != "media"})
        claims += [_archived(m, said, path) for m in record["media"] if isinstance(m, dict)]
    return claims


def _archived(media: dict[str, Any], said: dict[str, str], path: Path) -> OutsideClaim:
    words = _flat(media)
    stated = next((v for k, v in words.items() if "hash" in k.lower()), "")
    digest = re.search(r"\b[0-9a-fA-F]{64}\b", stated)
    subject = digest.group().lower() if digest else ""
    file = path.parent / Path(str(media.get("filename", ""))).name
    checked: tuple[str, ...] = ()
    if media.get("filename") and file.is_file():
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        checked = (_compared(found, subject),)
        subject = subject or found
    return OutsideClaim("auto-archiver", printable(path.name), subject, said | words, checked)


def _compared(found: str, stated: str) -> str:
    if not stated:
        return f"no SHA-256 is stated; the file has {found}"
    same = "is" if found == stated else "IS NOT"
    return f"the SHA-256 stated {same} that of the file beside the record"


def read_proofmode(path: Path) -> OutsideClaim:
    """A ProofMode bundle (ZIP): what the phone said, and whether the hash fits the media in it.

    Its signatures are OpenPGP; they are listed and not checked.

    Raises
    ------
    RecordInvalid
        Not a ZIP, without proof in it, or one that unpacks to more than it should.
    """
    name = printable(path.name)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise RecordInvalid(f"{name} is not a ProofMode bundle: {error}") from None
    with archive:
        if sum(i.file_size for i in archive.infolist()) > 4 << 30 or len(archive.infolist()) > 1000:
            raise RecordInvalid(f"{name} unpacks to more than a bundle should")
        members = {i.filename: i for i in archive.infolist() if not i.is_dir()}
        proof = next((m for m in members if m.endswith(".proof.json")), "")
        table = next((m for m in members if m.endswith(".proof.csv")), "")
        if not proof and not table:
            raise RecordInvalid(f"{name} holds no proof")
        if proof:
            if members[proof].file_size > _LIMIT:
                raise RecordInvalid(f"{name}: the proof is too large")
            said = _flat(_json(archive.read(proof), proof))
        else:
            said = _table(archive.read(table).decode("utf-8", "replace"))
        stated = next((v.lower() for k, v in said.items() if "sha256" in k.lower()), "")
        signatures = [m for m in members if m.endswith(".asc")]
        checked = [f"{len(signatures)} OpenPGP signatures, not checked"]
        others = [m for m in members if not m.endswith((".asc", ".csv", ".json", ".ots", ".gst"))]
        for member in others:
            digest = hashlib.sha256()
            with archive.open(member) as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
            same = "has" if digest.hexdigest() == stated else "DOES NOT have"
            checked.append(f"{printable(member)} {same} the SHA-256 stated")
    return OutsideClaim("proofmode", name, stated, said, tuple(checked))


def _table(text: str) -> dict[str, str]:
    import csv

    rows = list(csv.reader(text.splitlines()))
    return dict(zip(rows[0], rows[1], strict=False)) if len(rows) > 1 else {}


def read_timestamp(path: Path) -> OutsideClaim:
    """An RFC 3161 token (``.tsr``): when an authority says it saw which hash.

    The authority's signature is not checked here: that needs its certificates
    (``openssl ts -verify -CAfile …``).

    Raises
    ------
    RecordInvalid
        openssl cannot read it.
    ToolMissing
    """
    try:
        text = run_tool("openssl", ["ts", "-reply", "-in", path.absolute(), "-text"]).decode(
            "utf-8", "replace"
        )
    except ToolFailed as error:
        raise RecordInvalid(f"{printable(path.name)} is no timestamp: {error.message}") from None
    said = {}
    for line in text.splitlines():
        key, colon, value = line.partition(": ")
        if colon and not line.startswith(" "):
            said[key.strip()] = value.strip()
    dump = text.partition("Message data:")[2].partition("Serial number")[0]
    rows = [line.partition(" - ")[2][:48] for line in dump.splitlines()]
    imprint = "".join(c for row in rows for c in row if c in "0123456789abcdef")
    subject = imprint if said.get("Hash Algorithm", "").lower() == "sha256" else ""
    return OutsideClaim(
        "rfc3161", printable(path.name), subject, said | {"message imprint": imprint},
        ("read; the authority's signature is not checked",),
    )  # fmt: skip


def read_credentials(clip: Clip) -> OutsideClaim:
    """Content credentials (C2PA) of a clip, offline, in their own wording; see their `state`."""
    from forensics import container

    found = container.read_credentials(clip)
    said = {"state": found.state}
    if found.report:
        said |= _flat(_json(found.report.encode(), "the report"))
    return OutsideClaim("c2pa", clip.name, clip.digest, said, ("read offline; no host was asked",))
