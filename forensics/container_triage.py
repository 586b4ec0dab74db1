"""A folder of clips, one row each, at demux speed: what to look at first."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from forensics.boxes import read_boxes
from forensics.clip import Limits, open_clip
from forensics.container_c2pa import read_credentials
from forensics.container_gop import measure_gop_of
from forensics.container_headers import ABSENT, SliceTable
from forensics.container_signature import read_structure
from forensics.container_trace import read_provenance
from forensics.errors import ClipError, ForensicsError, printable
from forensics.model import Clip, Discontinuity, Examination, Value

__all__ = ["TriageRow", "list_media", "triage_clip", "triage_path", "write_csv"]

Examine: TypeAlias = Callable[[Clip], tuple[Examination, int, SliceTable | None]]
_SUFFIXES = frozenset(
    """mp4 m4v mov qt 3gp 3g2 mkv webm avi flv ts m2ts mts mpg mpeg vob wmv asf mxf dav h264 h265
    hevc 264 265 ogv insv lrv wav mp3 m4a aac ogg opus flac amr""".split()
)


class TriageRow(Value, frozen=True):
    """What is known of one file without decoding it.

    `frame_rate` counts the pictures shown against the time they cover, whatever the header says;
    `generations` is the least number of encodings that show ("at least 1" is 1), None where it
    cannot be told; `first_gop` frames; `hidden_frames` None where the container has no edit list;
    `alarms` and `remarks` count findings; `not_testable` says what could not have been seen.
    `error` holds the reason where the file could not be read: then nothing else is known.
    """

    path: str
    digest: str = ""
    size: int = 0
    container: str = ""
    signature: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    frame_rate: float | None = None
    duration_s: float | None = None
    sound: str = ""
    created: str = ""
    provenance: str = ""
    written_by: str = ""
    credentials: str = ""
    generations: int | None = None
    first_gop: int | None = None
    gop: str = ""
    hidden_frames: int | None = None
    alarms: int | None = None
    remarks: int | None = None
    strongest: str = ""
    not_testable: str = ""
    error: str = ""


def list_media(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Files as given, and in folders every file that looks like a recording, sorted."""
    found: list[Path] = []
    for given in paths:
        place = Path(given)
        if place.is_dir():
            for root, folders, names in os.walk(place, followlinks=False):
                folders.sort()
                found.extend(
                    Path(root) / name for name in sorted(names)
                    if name.rsplit(".", 1)[-1].lower() in _SUFFIXES
                )  # fmt: skip
        else:
            found.append(place)
    return found


def _strongest(exam: Examination) -> str:
    best = max(exam.observations, key=lambda o: o.score, default=None)
    if best is None or not isinstance(best.what, Discontinuity):
        return ""
    whole = exam.coverage.span
    # A fact about the whole file happens nowhere.
    local = best.span is not None and (whole is None or best.span.length < whole.length / 2)
    place = f" at {best.span}" if local else ""
    return f"{best.what.kind} ({best.what.verdict}){place}"


def _rate(table: SliceTable | None) -> float | None:
    """Pictures a second, counted. What a demuxer guesses for coarse clocks is often 1000."""
    if table is None:
        return None
    stamps = table.packets.pts[table.shown]
    stamps = stamps[stamps != ABSENT]
    ticks = int(stamps.max() - stamps.min()) if len(stamps) else 0
    return float((len(stamps) - 1) / (ticks * table.packets.time_base)) if ticks else None


def triage_clip(
    clip: Clip, exam: Examination, *, alarms: int, table: SliceTable | None
) -> TriageRow:
    """The row of one opened clip, from its header table and what was concluded from it."""
    video, audio = clip.video, clip.audio
    with open(clip.path, "rb") as file:
        mp4 = "mov" in clip.container.format.split(",")
        origin = read_provenance(clip, table, file, read_boxes(file, clip.size)[0] if mp4 else None)
    gop = measure_gop_of(table) if table is not None else None
    generations: int | None = None
    if gop is not None:
        generations = 2 if gop.double else None if gop.untestable and gop.train is None else 1
    hidden = exam.measures.get("hidden_frames")
    has_edits = "mov" in clip.container.format.split(",")
    blind = "; ".join(dict.fromkeys(n.reason for n in exam.coverage.not_testable))
    rate = _rate(table) or (video.frame_rate if video is not None else None)
    tags = {k.lower(): v for k, v in clip.container.tags.items()}
    return TriageRow(
        path=printable(clip.path), digest=clip.digest, size=clip.size,
        container=clip.container.format.split(",")[0],
        signature=read_structure(clip).signature[:16],
        codec=video.codec if video else "", width=video.width if video else 0,
        height=video.height if video else 0,
        frame_rate=float(rate) if rate else None,
        duration_s=float(clip.duration) if clip.duration is not None else None,
        sound=f"{audio.codec} {audio.sample_rate} Hz" if audio else "none",
        created=tags.get("creation_time", tags.get("date", "")),
        provenance=origin.text, written_by=origin.muxer or origin.encoder,
        credentials=read_credentials(clip).state,
        generations=generations, first_gop=gop.first_gop if gop else None,
        gop=f"{gop.usual} ({gop.fixed:.0%})" if gop and gop.usual else "",
        hidden_frames=int(hidden.value) if hidden is not None and has_edits else None,
        alarms=alarms, remarks=len(exam) - alarms, strongest=_strongest(exam),
        not_testable=blind, error=exam.reason if exam.outcome == "failed" else "",
    )  # fmt: skip


def triage_path(path: Path, *, limits: Limits | None, examine: Examine) -> TriageRow:
    """One row, whatever the file is: an error stands in its row and costs no other.

    `examine` gives the examination of a clip, its number of alarms and its header table.
    """
    try:
        clip = open_clip(path, metadata=False, limits=limits)
        exam, alarms, table = examine(clip)
        if exam.outcome == "failed":
            return TriageRow(printable(path), digest=clip.digest, size=clip.size,
                             error=exam.reason)  # fmt: skip
        return triage_clip(clip, exam, alarms=alarms, table=table)
    except ForensicsError as error:
        kind = type(error).__name__ if isinstance(error, ClipError) else "error"
        return TriageRow(printable(path), error=f"{kind}: {error.message}")


def write_csv(rows: Sequence[TriageRow]) -> str:
    """The rows as CSV, one column a field; an unknown value is an empty cell.

    When it errs
    ------------
    A value that a spreadsheet would run as a formula gets an apostrophe in front (ASTM E3016:
    inaccuracy, alteration).
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = TriageRow.__struct_fields__
    writer.writerow(names)
    for row in rows:
        values = (getattr(row, name) for name in names)
        # A spreadsheet would run a cell that begins like a formula; file names are not ours.
        writer.writerow(["" if v is None else _cell(v) for v in values])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return "'" + value
    return value
