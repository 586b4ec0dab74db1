"""Content credentials (C2PA) as the reference library returns them, with the network off.

The state is passed on, not interpreted. A valid signature says who signed and that the bytes are
those that were signed; it does not say that what they show took place. No credentials mean nothing:
almost every platform removes them.
"""

from __future__ import annotations

import json

from forensics.boxes import read_boxes
from forensics.clip import check_unchanged
from forensics.errors import ExtraMissing, printable
from forensics.model import Clip, Value

__all__ = ["Credentials", "read_credentials"]

#: The `uuid` box that holds a manifest store in ISO media files.
_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
#: Every door to the network that the library has, closed.
_SETTINGS = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}


class Credentials(Value, frozen=True):
    """`state` in one line; `report` is the library's own JSON, or empty where it did not run."""

    state: str
    present: bool | None
    report: str = ""


def _has_store(clip: Clip) -> bool | None:
    if "mov" not in clip.container.format.split(","):
        return None
    with open(clip.path, "rb") as file:
        roots, _ = read_boxes(file, clip.size)
        for node in (n for root in roots for n in root.walk()):
            if node.kind == "uuid":
                file.seek(node.offset + node.header)
                if file.read(16) == _UUID:
                    return True
    return False


def _read(clip: Clip) -> tuple[str, str]:
    """The library's report, or an empty one and the state in its place."""
    try:
        import c2pa
    except ImportError:
        raise ExtraMissing(
            "not read: the package c2pa-python is missing", extra="c2pa"
        ) from None
    types = {"mov": "video/mp4", "avi": "video/avi", "wav": "audio/wav", "mp3": "audio/mpeg"}
    names = clip.container.format.split(",")
    kind = next((types[name] for name in names if name in types), "")
    if not kind:
        return "", "no reader for this container"
    try:
        context = c2pa.Context.from_dict(_SETTINGS)
        with open(clip.path, "rb") as file, c2pa.Reader(kind, file, context=context) as reader:
            return str(reader.json()), ""
    except c2pa.C2paError as error:
        text = printable(str(error))[:200]
        missing = "ManifestNotFound" in type(error).__name__ or "no JUMBF" in text
        return "", "none" if missing else f"unreadable: {text}"


def read_credentials(clip: Clip) -> Credentials:
    """The content credentials of a clip, as returned, without asking the network anything.

    Parameters
    ----------
    clip
        An opened clip.

    Returns
    -------
    Credentials
        Without the extra ``c2pa``: whether a manifest store is there, and that it was not read.

    References
    ----------
    C2PA Technical Specification 2.x.

    When it errs
    ------------
    A store in another container than MP4/MOV is not seen without the extra (ASTM E3016:
    incompleteness). Revocation is not checked, since that would ask the network.
    """
    check_unchanged(clip)
    present = _has_store(clip)
    if present is False:
        return Credentials("none", False)
    try:
        report, state = _read(clip)
    except ExtraMissing as error:
        seen = "present" if present else "unknown"
        return Credentials(f"{seen}, {error.message}", present)
    if state:
        return Credentials(state, False if state == "none" else present)
    try:
        said = json.loads(report)
    except json.JSONDecodeError:
        return Credentials("unreadable: the report is not JSON", present)
    given = said.get("validation_state") if isinstance(said, dict) else None
    return Credentials(f"as returned: {given or 'no state given'}", True, report[:1_000_000])
