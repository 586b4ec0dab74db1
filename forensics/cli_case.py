"""Commands about a whole case: reconstruct, appendix, verify, replay, demo, …"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forensics.cli_output import load_methods, show_alignment, show_table, with_progress
from forensics.errors import LedgerBroken, ReplayDiffers
from forensics.model import Examination

__all__ = ["add_case_commands"]

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="An incident folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]


def reconstruct(folder: Folder, json: Json = False) -> None:
    """Run what is missing in an incident folder, place its clips, test its claims."""
    from forensics.incident import Incident

    incident = Incident.open(folder)
    with with_progress() as progress:
        result = incident.reconstruct(progress=progress)
    names = incident.names(result.clips)
    rows = [
        {
            "clip": names.get(exam.origin.inputs[0], "several") if len(exam.origin.inputs) == 1
            else "all clips",
            "method": exam.origin.method, "outcome": exam.outcome, "findings": len(exam),
            "reason": exam.reason,
        }
        for exam in result.examinations
    ]  # fmt: skip
    show_table(rows, json=json, out=None)
    if result.alignment is not None:
        show_alignment(result.alignment, result.clips, json=json, out=None)
    elif not json:
        typer.echo(f"not aligned: {result.alignment_reason}")
    claims = [
        {"claim": v.claim.name, "outcome": v.outcome, "reason": v.reason} for v in result.verdicts
    ]
    if claims:
        show_table(claims, json=json, out=None)
    for failure in result.failures:
        typer.echo(f"failed: {failure.message}", err=True)
    if result.failures or any(e.outcome == "failed" for e in result.examinations):
        raise typer.Exit(3)


def appendix(
    folder: Folder,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help=".html .pdf .docx")],
) -> None:
    """Write the methodology appendix of an incident; the suffix decides the format."""
    from forensics import report
    from forensics.incident import Incident

    load_methods()
    typer.echo(str(report.write_appendix(Incident.open(folder), out)))


def replay(
    ledger: Annotated[Path, typer.Argument(metavar="LEDGER")],
    line: Annotated[int | None, typer.Option(help="Only this line, counted from 1.")] = None,
    gallery: Annotated[Path | None, typer.Option(help="The gallery the record names.")] = None,
    json: Json = False,
) -> None:
    """Run recorded examinations again on the hashed input and compare the findings."""
    from forensics import provenance
    from forensics.clip import open_clip
    from forensics.gallery import Gallery

    load_methods()
    record = provenance.Ledger(ledger)
    clips = {clip.digest: clip for clip in record.clips()}
    resources = {"gallery": Gallery.open(gallery)} if gallery else None
    rows, differs = [], 0
    for entry in record:
        if not isinstance(entry.said, Examination) or line not in (None, entry.seq):
            continue
        exam = entry.said
        row = {"line": entry.seq, "method": exam.origin.method, "outcome": "same", "reason": ""}
        try:
            inputs = [open_clip(clips[d].path, metadata=False) for d in exam.origin.inputs]
            again = provenance.replay(exam, inputs, resources=resources)
            provenance.check_replay(exam, again)
        except ReplayDiffers as error:
            differs += 1
            row |= {"outcome": "differs", "reason": error.message}
        rows.append(row)
    show_table(rows, json=json, out=None)
    if differs:
        raise typer.Exit(4)


def verify(folder: Folder, json: Json = False) -> None:
    """Hash every original and artefact again and walk the chain; exit 4 on any mismatch."""
    from forensics.clip import hash_file
    from forensics.provenance import Ledger

    record = Ledger(folder / "ledger.jsonl")
    rows: list[dict[str, object]] = []
    try:
        lines = record.check()
        rows.append({"what": record.path.name, "state": "intact", "note": f"{lines} lines"})
        rows.append({"what": "head", "state": record.head, "note": "compare with the appendix"})
        clips = record.clips()
    except LedgerBroken as error:
        rows.append({"what": record.path.name, "state": "MISMATCH", "note": error.message})
        clips = []
    if record.torn:
        rows.append({"what": record.path.name, "state": "torn", "note": "an incomplete last line"})
    for clip in clips:
        state = "missing"
        if clip.path.is_file():
            state = "intact" if hash_file(clip.path) == clip.digest else "MISMATCH"
        rows.append({"what": clip.name, "state": state, "note": clip.digest})
    if record.artefacts.is_dir():
        for path in sorted(record.artefacts.iterdir()):
            state = "intact" if hash_file(path) == path.stem else "MISMATCH"
            if state != "intact":
                rows.append({"what": f"artefacts/{path.name}", "state": state, "note": ""})
        count = len(list(record.artefacts.iterdir()))
        rows.append({"what": "artefacts", "state": "checked", "note": f"{count} files"})
    show_table(rows, json=json, out=None)
    if any(row["state"] == "MISMATCH" for row in rows):
        raise typer.Exit(4)


def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT")] = Path("demo"),
    quick: Annotated[bool, typer.Option(help="A smaller and shorter incident.")] = False,
) -> None:
    """Stage an incident, reconstruct it, and compare the result with what was staged."""
    from forensics.cli_demo import run_demo

    raise typer.Exit(run_demo(out, quick=quick))


def add_case_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (reconstruct, appendix, verify, replay, demo):
        app.command()(command)
