"""A seal that others can check with none of our code: manifest, signature, timestamp.

``MANIFEST.sha256`` lists every file of the case (`sha256sum -c`); ``MANIFEST.sha256.sig`` is its
SSHSIG signature (`ssh-keygen -Y verify`); ``MANIFEST.sha256.sig.tsr`` an RFC 3161 token over the
signature (`openssl ts -verify`). The token is over the signature, not over the manifest: it says
that the *signed* state existed then. Asking a timestamp authority is left to the examiner, since
the library calls nobody: `write_timestamp_query` writes the question, `add_timestamp` takes the
answer.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from forensics.errors import PolicyError, RecordInvalid, ToolFailed, printable
from forensics.model import Value
from forensics.provenance_timestamp import check_token, read_token, write_query
from forensics.tools import run_tool
from forensics.tools_temporary import temporary_folder

__all__ = [
    "MANIFEST", "SealCheck", "add_timestamp", "check_manifest", "read_manifest", "verify_seal",
    "write_manifest", "write_seal", "write_timestamp_query",
]  # fmt: skip

MANIFEST = "MANIFEST.sha256"
SIGNATURE = f"{MANIFEST}.sig"
TOKEN = f"{SIGNATURE}.tsr"
SIGNERS = "signers"
_NAMESPACE = "forensics-seal"
# Parts of a token are not under its signature: its own sum tells of damage there.
TOKEN_SUM = f"{TOKEN}.sha256"
_OWN = (MANIFEST, SIGNATURE, TOKEN, TOKEN_SUM)


class SealCheck(Value, frozen=True):
    """One thing that was checked: *intact*, *MISMATCH*, *missing*, *not sealed*, *not checked*."""

    what: str
    state: str
    note: str = ""


def _escaped(name: str) -> tuple[str, str]:
    # GNU coreutils: a line whose name is escaped begins with a backslash.
    if any(c in name for c in "\\\n\r"):
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return "\\", escaped
    return "", name


def _unescaped(name: str) -> str:
    out, rest = [], iter(name)
    for character in rest:
        if character != "\\":
            out.append(character)
            continue
        out.append({"n": "\n", "r": "\r", "\\": "\\"}.get(next(rest, ""), "\\"))
    return "".join(out)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*"), key=lambda p: os.fsencode(p.relative_to(folder))):
        inside = path.relative_to(folder)
        if path.is_file() and str(inside) not in _OWN and not path.name.endswith(".part"):
            found.append(inside)
    return found


def write_manifest(folder: Path) -> Path:
    """List every file of a folder with its SHA-256, in the form ``sha256sum -c`` reads."""
    lines = []
    for inside in _files(folder):
        mark, name = _escaped(os.fspath(inside))
        line = f"{mark}{_digest(folder / inside)}  {name}\n"
        lines.append(line.encode("utf-8", "surrogateescape"))
    path = folder / MANIFEST
    partial = path.with_suffix(".part")
    partial.write_bytes(b"".join(lines))
    os.replace(partial, path)
    return path


def read_manifest(path: Path) -> dict[str, str]:
    """Names and SHA-256 of a manifest.

    Raises
    ------
    RecordInvalid
        A line is not one.
    """
    found = {}
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        escaped = line.startswith("\\")
        digest, gap, name = line.removeprefix("\\").partition("  ")
        if len(digest) != 64 or not gap or set(digest) - set("0123456789abcdef"):
            raise RecordInvalid(f"{path.name}, line {number}: not a digest and a name")
        found[_unescaped(name) if escaped else name] = digest
    return found


def check_manifest(folder: Path) -> list[SealCheck]:
    """Hash every file the manifest lists again, and name those that it does not list."""
    listed = read_manifest(folder / MANIFEST)
    rows = []
    for name, digest in listed.items():
        path = folder / name
        if not path.is_file():
            rows.append(SealCheck(printable(name), "missing", "listed in the manifest"))
        elif _digest(path) != digest:
            rows.append(SealCheck(printable(name), "MISMATCH", "not what the manifest lists"))
    added = [str(p) for p in _files(folder) if str(p) not in listed]
    rows += [SealCheck(printable(name), "added", "not in the manifest") for name in added]
    if not rows:
        rows.append(SealCheck(MANIFEST, "intact", f"{len(listed)} files"))
    return rows


def write_seal(folder: Path, *, key: Path, identity: str) -> Path:
    """Write the manifest, sign it, and name the signer; returns the signature.

    Parameters
    ----------
    folder
        The case folder. Seal it last: whatever changes afterwards breaks the seal.
    key
        An SSH private key (ed25519, ecdsa, rsa); its public half is ``KEY.pub``.
    identity
        Whom `ssh-keygen -Y verify` is asked about, such as an e-mail address.

    Raises
    ------
    PolicyError
        The key lies inside the folder: it would be handed on with it.
    ToolMissing, ToolFailed
        ssh-keygen is not there, or cannot read the key.
    """
    if folder.resolve() in key.resolve().parents:
        raise PolicyError("the private key lies inside the folder that is to be handed on")
    if not identity or any(c.isspace() or c in ',*?!"' for c in identity):
        raise RecordInvalid("an identity is one word, such as an e-mail address")
    public = key.with_name(key.name + ".pub").read_text("utf-8").split()[:2]
    # The signer's name is under the seal too: the file that names whom to ask about must not be
    # exchanged for another.
    signer = f'{identity} namespaces="{_NAMESPACE}" {" ".join(public)}\n'
    (folder / SIGNERS).write_text(signer, "utf-8")
    manifest = write_manifest(folder)
    for stale in (SIGNATURE, TOKEN, TOKEN_SUM):
        (folder / stale).unlink(missing_ok=True)
    with temporary_folder("seal") as place:
        copy = place / "manifest"
        shutil.copyfile(manifest, copy)
        run_tool("ssh-keygen", ["-Y", "sign", "-q", "-f", key.absolute(), "-n", _NAMESPACE, copy])
        shutil.move(f"{copy}.sig", folder / SIGNATURE)
    return folder / SIGNATURE


def write_timestamp_query(folder: Path, out: Path) -> Path:
    """Write the question (``.tsq``) to send to a timestamp authority, over the signature.

    Raises
    ------
    ToolMissing, ToolFailed
    """
    return write_query(folder / SIGNATURE, out)


def add_timestamp(folder: Path, token: Path) -> Path:
    """Take an authority's answer into the folder.

    Raises
    ------
    RecordInvalid
        The token is not one over this signature.
    """
    digest = _digest(folder / SIGNATURE)
    if digest != read_token(token)[0]:
        raise RecordInvalid(
            "the token is not over this folder's signature",
            hint="the question is written by `forensics seal --query`",
        )
    target = folder / TOKEN
    shutil.copyfile(token, target)
    (folder / TOKEN_SUM).write_text(f"{_digest(target)}  {TOKEN}\n", "utf-8")
    return target


def verify_seal(folder: Path, *, authority: Path | None = None) -> list[SealCheck]:
    """Check manifest, signature and timestamp; every problem is named.

    Parameters
    ----------
    folder
        The sealed folder.
    authority
        Certificates (PEM) of the timestamp authority; without them only what the token covers is
        checked, and the row says so.

    Raises
    ------
    ToolMissing
        ssh-keygen or openssl is needed and not there.
    """
    if not (folder / MANIFEST).is_file():
        return [SealCheck("seal", "not sealed", "no MANIFEST.sha256 in the folder")]
    try:
        rows = check_manifest(folder)
    except RecordInvalid as error:
        rows = [SealCheck(MANIFEST, "MISMATCH", error.message)]
    rows.append(_check_signature(folder))
    rows.append(_check_token(folder, authority))
    return rows


def _check_signature(folder: Path) -> SealCheck:
    signature, signers = folder / SIGNATURE, folder / SIGNERS
    if not signature.is_file() or not signers.is_file():
        return SealCheck(SIGNATURE, "not sealed", "the manifest is not signed")
    identity = signers.read_text("utf-8", "replace").partition(" ")[0]
    try:
        said = run_tool(
            "ssh-keygen", ["-Y", "verify", "-f", signers.absolute(), "-I", identity, "-n",
                           _NAMESPACE, "-s", signature.absolute()],
            stdin=(folder / MANIFEST).read_bytes(),
        )  # fmt: skip
    except ToolFailed as error:
        return SealCheck(SIGNATURE, "MISMATCH", error.tail.strip() or error.message)
    note = said.decode("utf-8", "replace").strip()
    return SealCheck(SIGNATURE, "intact", f"{note}; whose key that is, a person must know")


def _check_token(folder: Path, authority: Path | None) -> SealCheck:
    token = folder / TOKEN
    if not token.is_file():
        return SealCheck(TOKEN, "not sealed", "no timestamp over the signature")
    try:
        stated = read_manifest(folder / TOKEN_SUM).get(TOKEN)
    except (OSError, RecordInvalid, UnicodeDecodeError):
        stated = None
    if stated != _digest(token):
        return SealCheck(TOKEN, "MISMATCH", f"not what {TOKEN_SUM} lists")
    try:
        imprint, when = read_token(token)
        if _digest(folder / SIGNATURE) != imprint:
            return SealCheck(TOKEN, "MISMATCH", "the token is not over this signature")
        if authority is None:
            note = f"says {when}; not checked against its authority: name its certificates"
            return SealCheck(TOKEN, "not checked", note)
        check_token(token, folder / SIGNATURE, authority)
    except ToolFailed as error:
        return SealCheck(TOKEN, "MISMATCH", (error.tail.strip() or error.message)[-300:])
    return SealCheck(TOKEN, "intact", when)
