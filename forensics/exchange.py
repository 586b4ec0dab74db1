"""In and out: other people's claims about a file, and our record for other people's programs.

Out: OpenTimelineIO, Final Cut Pro 7 XML, ELAN, WebVTT, CSV, COCO, CASE/UCO, RO-Crate. Plates are
covered and pictures left behind unless the caller says `unredacted`. In: auto-archiver, ProofMode,
RFC 3161 tokens, C2PA; what they say stays a claim in their own wording.
"""

from __future__ import annotations

import os
from pathlib import Path

from forensics.errors import RecordInvalid
from forensics.exchange_claims import (
    OutsideClaim,
    read_auto_archiver,
    read_credentials,
    read_proofmode,
    read_timestamp,
)
from forensics.exchange_gather import IncidentLike, Mark, Story, Strip, gather
from forensics.exchange_record import write_case, write_coco, write_crate, write_csv
from forensics.exchange_timeline import write_eaf, write_fcp7, write_otio, write_vtt
from forensics.model import Progress

__all__ = [
    "Mark", "OutsideClaim", "Story", "Strip", "gather", "read_auto_archiver", "read_credentials",
    "read_proofmode", "read_timestamp", "write_case", "write_coco", "write_crate", "write_csv",
    "write_eaf", "write_export", "write_fcp7", "write_otio", "write_vtt",
]  # fmt: skip

_WRITERS = {
    ".otio": write_otio, ".xml": write_fcp7, ".eaf": write_eaf, ".vtt": write_vtt,
    ".csv": write_csv, ".jsonld": write_case, ".json": write_coco,
}  # fmt: skip


def write_export(
    incident: IncidentLike, out: str | os.PathLike[str], *, unredacted: bool = False,
    progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Write an incident for another program; the suffix decides, no suffix means an RO-Crate.

    Parameters
    ----------
    incident
        Folder, plan and ledger.
    out
        ``.otio``, ``.xml`` (Final Cut Pro 7), ``.eaf``, ``.vtt``, ``.csv``, ``.json`` (COCO),
        ``.jsonld`` (CASE/UCO), or a folder.
    unredacted
        Let plates through, and in a crate the ledger and the pictures.
    progress
        Called with (fraction, text).

    Raises
    ------
    RecordInvalid
        An unknown suffix; nothing on record.
    ExtraMissing
        opentimelineio or pympi-ling is not installed.

    When it errs
    ------------
    A format can only hold what it knows: FCP7 XML whole frames, ELAN nothing before the latest
    start (ASTM E3016: incompleteness). The record itself is the ledger.
    """
    target = Path(out)
    story = gather(incident, unredacted=unredacted)
    suffix = target.suffix.lower()
    if suffix not in ("", *_WRITERS):
        raise RecordInvalid(f"no export as {suffix!r}", hint=f"one of {', '.join(_WRITERS)}")
    if not suffix:
        written = write_crate(story, incident.folder, target, pictures=unredacted)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".part-{target.name}")
        _WRITERS[suffix](story, partial)
        os.replace(partial, target)
        written = target
    if progress is not None:
        progress(1.0, f"wrote {written.name}")
    return written
