"""The seal, checked by other people's programs; one flipped byte anywhere is named."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from forensics import exchange, provenance_timestamp
from forensics.clip import open_clip
from forensics.errors import LedgerBroken, PolicyError, RecordInvalid, ToolFailed
from forensics.provenance import Ledger
from forensics.provenance_ledger import Action
from forensics.provenance_seal import (
    MANIFEST,
    add_timestamp,
    read_manifest,
    verify_seal,
    write_manifest,
    write_seal,
    write_timestamp_query,
)

needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")


@pytest.fixture
def folder(tmp_path: Path, tone: Path) -> Path:
    place = tmp_path / "case"
    (place / "artefacts").mkdir(parents=True)
    ledger = Ledger(place / "ledger.jsonl")
    ledger.append(open_clip(tone, metadata=False))
    ledger.append(Action("tester", "looked"))
    (place / "artefacts" / "a.png").write_bytes(b"a picture")
    (place / "artefacts" / "odd\nname \\ x.png").write_bytes(b"odd")
    (place / os.fsdecode(b"raw\xff.bin")).write_bytes(b"raw")
    return place


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A throw-away timestamp authority."""
    place = tmp_path / "tsa"
    place.mkdir()
    (place / "serial").write_text("01\n")
    (place / "tsa.cnf").write_text(
        "[tsa]\ndefault_tsa = t\n[t]\nserial = serial\ncrypto_device = builtin\n"
        "signer_cert = tsa.pem\nsigner_key = tsa.key\nsigner_digest = sha256\n"
        "default_policy = 1.2.3.4\ndigests = sha256\nordering = yes\ntsa_name = yes\n"
        "[ext]\nextendedKeyUsage = critical,timeStamping\n"
        "[req]\ndistinguished_name = dn\n[dn]\n"
    )
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out",
         "tsa.pem", "-days", "2", "-subj", "/CN=Test", "-config", "tsa.cnf", "-extensions", "ext"],
        cwd=place, check=True, capture_output=True,
    )  # fmt: skip
    return place


def _stamp(authority: Path, query: Path) -> Path:
    reply = query.with_suffix(".tsr")
    subprocess.run(
        ["openssl", "ts", "-reply", "-queryfile", query, "-config", "tsa.cnf", "-section", "t",
         "-out", reply], cwd=authority, check=True, capture_output=True,
    )  # fmt: skip
    return reply


def _bad(folder: Path, authority: Path | None = None) -> list[str]:
    rows = verify_seal(folder, authority=authority)
    return [r.what for r in rows if r.state in ("MISMATCH", "missing", "added")]


def test_the_manifest_is_read_by_sha256sum(folder: Path) -> None:
    write_manifest(folder)
    assert len(read_manifest(folder / MANIFEST)) == 4
    if shutil.which("sha256sum"):
        done = subprocess.run(["sha256sum", "-c", "--strict", MANIFEST], cwd=folder,
                              capture_output=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert not [r for r in verify_seal(folder) if r.state == "MISMATCH"]


@needs_ssh
@needs_openssl
def test_others_can_check_the_seal_with_none_of_our_code(
    folder: Path, key: Path, authority: Path, tmp_path: Path
) -> None:
    write_seal(folder, key=key, identity="examiner@example.org")
    query = write_timestamp_query(folder, tmp_path / "q.tsq")
    add_timestamp(folder, _stamp(authority, query))
    with open(folder / MANIFEST, "rb") as manifest:
        subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "examiner@example.org", "-n",
             "forensics-seal", "-s", f"{MANIFEST}.sig"], cwd=folder, stdin=manifest, check=True,
            capture_output=True,
        )  # fmt: skip
    subprocess.run(
        ["openssl", "ts", "-verify", "-in", f"{MANIFEST}.sig.tsr", "-data", f"{MANIFEST}.sig",
         "-CAfile", authority / "tsa.pem"], cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    states = {r.what: r.state for r in verify_seal(folder, authority=authority / "tsa.pem")}
    assert set(states.values()) == {"intact"}
    claim = exchange.read_timestamp(folder / f"{MANIFEST}.sig.tsr")
    signature = (folder / f"{MANIFEST}.sig").read_bytes()
    assert claim.kind == "rfc3161" and claim.subject == hashlib.sha256(signature).hexdigest()


@needs_ssh
@needs_openssl
def test_one_flipped_byte_anywhere_is_named(
    folder: Path, key: Path, authority: Path, tmp_path: Path
) -> None:
    write_seal(folder, key=key, identity="x@y")
    add_timestamp(folder, _stamp(authority, write_timestamp_query(folder, tmp_path / "q.tsq")))
    trusted = authority / "tsa.pem"
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for at in sorted({0, len(whole) // 2, len(whole) - 1}):
            changed = bytearray(whole)
            changed[at] ^= 0x11
            path.write_bytes(changed)
            assert _bad(folder, trusted), f"{path.name!r}: byte {at} flipped unnoticed"
        path.write_bytes(whole)
    assert not _bad(folder, trusted)
    (folder / "extra").write_bytes(b"")
    assert _bad(folder) == ["extra"]
    (folder / "extra").unlink()
    (folder / "artefacts" / "a.png").unlink()
    assert _bad(folder) == ["artefacts/a.png"]


@needs_ssh
@needs_openssl
def test_a_token_over_something_else_is_refused(
    folder: Path, key: Path, authority: Path, tmp_path: Path
) -> None:
    write_seal(folder, key=key, identity="x@y")
    reply = _stamp(authority, write_timestamp_query(folder, tmp_path / "q.tsq"))
    (folder / "new").write_bytes(b"x")
    write_seal(folder, key=key, identity="x@y")
    with pytest.raises(RecordInvalid, match="not over this"):
        add_timestamp(folder, reply)


@needs_ssh
@needs_openssl
def test_without_openssl_the_client_asks_reads_and_checks(
    folder: Path, key: Path, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rfc3161_client")
    write_seal(folder, key=key, identity="x@y")
    monkeypatch.setattr(provenance_timestamp, "_has_openssl", lambda: False)
    reply = _stamp(authority, write_timestamp_query(folder, tmp_path / "q.tsq"))
    add_timestamp(folder, reply)
    rows = verify_seal(folder, authority=authority / "tsa.pem")
    assert {r.state for r in rows} == {"intact"}, rows
    token = folder / f"{MANIFEST}.sig.tsr"
    whole = token.read_bytes()
    for at in range(0, len(whole), 101):
        changed = bytearray(whole)
        changed[at] ^= 0x11
        token.write_bytes(changed)
        assert _bad(folder) == [token.name], f"byte {at} flipped unnoticed"
    token.write_bytes(whole)
    with pytest.raises(ToolFailed):
        provenance_timestamp.check_token(token, folder / "signers", authority / "tsa.pem")


@needs_ssh
def test_a_key_is_never_handed_on(folder: Path, key: Path) -> None:
    inside = folder / "key"
    shutil.copy(key, inside)
    with pytest.raises(PolicyError):
        write_seal(folder, key=inside, identity="x@y")


def test_appending_does_not_read_the_whole_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for number in range(300):
        ledger.append(Action("x", str(number), (), "y" * 2000))
    assert ledger.check() == 300 == len(ledger)
    read = 0
    import builtins

    real = builtins.open

    class _Counting:
        def __init__(self, file: object) -> None:
            self.file = file

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def __enter__(self) -> _Counting:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()  # type: ignore[attr-defined]

        def read(self, *size: int) -> bytes:
            nonlocal read
            data: bytes = self.file.read(*size)  # type: ignore[attr-defined]
            read += len(data)
            return data

    monkeypatch.setattr(builtins, "open", lambda *a, **k: _Counting(real(*a, **k)))
    ledger.append(Action("x", "one more"))
    monkeypatch.undo()
    assert 0 < read < 1 << 18 < ledger.path.stat().st_size and ledger.check() == 301


def test_nothing_is_added_to_a_line_that_cannot_be_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(Action("x", "1"))
    with open(ledger.path, "ab") as file:
        file.write(b"not json\n")
    with pytest.raises(LedgerBroken):
        ledger.append(Action("x", "2"))
