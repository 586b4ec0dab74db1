"""Commands about a whole case: reconstruct, appendix, verify, replay, demo, …"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from forensics.cli_align import (
    At,
    Between,
    Group,
    Picture,
    PictureOut,
    Unredacted,
    check_picture,
    show_alignment,
    write_picture,
)
from forensics.cli_output import show_table, with_progress
from forensics.errors import (
    ClipNotFound,
    ForensicsError,
    LedgerBroken,
    RecordInvalid,
    ReplayDiffers,
)
from forensics.model import Alignment, Clip, Examination

__all__ = ["add_case_commands", "verify_folder"]

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="An incident folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]


def reconstruct(
    folder: Folder, json: Json = False, out: PictureOut = None, at: At = None,
    span: Between = None, group: Group = 0, unredacted: Unredacted = False,
) -> None:  # fmt: skip
    """Run what is missing in an incident folder, place its clips, test its claims; -o shows it."""
    from forensics.incident import Incident

    picture = Picture(out, at, span, group, unredacted)
    check_picture(picture)
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
        show_alignment(result.alignment, result.clips, json=json)
    elif not json:
        typer.echo(f"not aligned: {result.alignment_reason}")
    claims = [
        {"claim": v.claim.name, "outcome": v.outcome, "reason": v.reason} for v in result.verdicts
    ]
    if claims:
        show_table(claims, json=json, out=None)
    if out is not None and result.alignment is None:
        raise RecordInvalid(f"nothing to show: not aligned: {result.alignment_reason}")
    if result.alignment is not None:
        from forensics import plots

        write_picture(
            picture, result.alignment, result.clips, examinations=result.examinations,
            # Thumbnails show whoever was there.
            drawn=lambda: plots.draw_reconstruction(
                result, names, title=incident.plan.title,
                folder=incident.ledger.artefacts if unredacted else None,
            ),
        )  # fmt: skip
    for failure in result.failures:
        typer.echo(f"failed: {failure.message}", err=True)
    if result.failures or any(e.outcome == "failed" for e in result.examinations):
        raise typer.Exit(3)


def appendix(
    folder: Folder,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help=".html .pdf .docx")],
    language: Annotated[str | None, typer.Option(help="en, ru or be; else the plan's.")] = None,
    unredacted: Annotated[bool, typer.Option("--unredacted", help="Print faces.")] = False,
) -> None:
    """Write the methodology appendix of an incident; the suffix decides the format."""
    from forensics import report
    from forensics.incident import Incident
    from forensics.report_record import load_methods

    load_methods()
    with with_progress() as progress:
        written = report.write_appendix(
            Incident.open(folder), out, language=language, unredacted=unredacted,
            progress=progress,
        )
    typer.echo(str(written))


def _as_recorded(clip: Clip) -> Clip:
    # The bytes are hashed again; what exiftool said of them is an input and stays as recorded, so
    # that a replay does not depend on whether the program is here.
    from forensics.clip import open_clip

    found = open_clip(clip.path, metadata=False)
    return msgspec.structs.replace(found, metadata=clip.metadata)


def _there(ledger: Path) -> Path:
    # A ledger that does not exist reads as an empty one: "intact, 0 lines".
    if not ledger.is_file():
        raise ClipNotFound(
            f"there is no {ledger.name} in {ledger.parent}", path=ledger,
            hint="forensics reconstruct FOLDER writes it",
        )  # fmt: skip
    return ledger


def replay(
    ledger: Annotated[Path, typer.Argument(metavar="LEDGER")],
    line: Annotated[int | None, typer.Option(help="Only this line, counted from 1.")] = None,
    gallery: Annotated[Path | None, typer.Option(help="The gallery the record names.")] = None,
    model: Annotated[Path | None, typer.Option(help="The detector's card it names.")] = None,
    json: Json = False,
) -> None:
    """Run recorded examinations again on the hashed input and compare the findings."""
    from forensics import detector, provenance
    from forensics.gallery import Gallery
    from forensics.report_record import load_methods

    load_methods()
    record = provenance.Ledger(_there(ledger))
    clips = {clip.digest: clip for clip in record.clips()}
    resources: dict[str, object] = {}
    if gallery:
        resources["gallery"] = Gallery.open(gallery)
    if model:
        resources["model"] = detector.Model.open(model)
    rows: list[dict[str, object]] = []
    differs = failed = 0
    for entry in record:
        said = entry.said
        if not isinstance(said, Examination | Alignment) or line not in (None, entry.seq):
            continue
        row = {"line": entry.seq, "method": said.origin.method, "outcome": "same", "reason": ""}
        try:
            inputs = [_as_recorded(clips[d]) for d in said.origin.inputs]
            provenance.check_replay(said, provenance.replay(said, inputs, resources=resources))
        except ReplayDiffers as error:
            differs += 1
            row |= {"outcome": "differs", "reason": error.message}
        except KeyError as error:
            failed += 1
            row |= {"outcome": "failed", "reason": f"no clip {error} on record"}
        except ForensicsError as error:
            failed += 1
            row |= {"outcome": "failed", "reason": error.message}
        rows.append(row)
    if line is not None and not rows:
        raise ForensicsError(f"line {line} is no examination", hint="forensics appendix lists them")
    show_table(rows, json=json, out=None)
    if differs:
        raise typer.Exit(4)
    if failed:
        raise typer.Exit(3)


def verify(
    folder: Folder,
    authority: Annotated[
        Path | None, typer.Option(help="Certificates (PEM) of the timestamp authority.")
    ] = None,
    json: Json = False,
) -> None:
    """Hash originals and artefacts again, walk the chain, check the seal; 4 on any mismatch."""
    rows = verify_folder(folder, authority=authority)
    show_table(rows, json=json, out=None)
    if any(row["state"] in ("MISMATCH", "added", "gone") for row in rows):
        raise typer.Exit(4)


def verify_folder(folder: Path, *, authority: Path | None = None) -> list[dict[str, object]]:
    """What `verify` prints: one row for each thing that was checked or is not as it was."""
    from forensics.clip import hash_file
    from forensics.provenance import Ledger
    from forensics.provenance_artefacts import artefact_name
    from forensics.provenance_ledger import artefacts_of
    from forensics.provenance_seal import verify_seal

    record = Ledger(_there(folder / "ledger.jsonl"))
    rows: list[dict[str, object]] = []
    clips: dict[str, Clip] = {}
    named: dict[str, str] = {}
    lines = 0
    try:
        for entry in record:
            lines += 1
            if isinstance(entry.said, Clip):
                clips[entry.said.digest] = entry.said
            named |= {artefact_name(a): a.digest for a in artefacts_of(entry.said)}
        rows.append({"what": record.path.name, "state": "intact", "note": f"{lines} lines"})
        rows.append({"what": "head", "state": record.head, "note": "compare with the appendix"})
    except LedgerBroken as error:
        rows.append({"what": record.path.name, "state": "MISMATCH", "note": error.message})
    if record.torn:
        rows.append({"what": record.path.name, "state": "torn", "note": "an incomplete last line"})
    for clip in clips.values():
        state = "missing"
        if clip.path.is_file():
            state = "intact" if hash_file(clip.path) == clip.digest else "MISMATCH"
        rows.append({"what": clip.name, "state": state, "note": clip.digest})
    present = sorted(record.artefacts.iterdir()) if record.artefacts.is_dir() else []
    rows += [
        {"what": f"artefacts/{path.name}", "state": "MISMATCH", "note": ""}
        for path in present
        if hash_file(path) != path.stem
    ]
    rows += [
        {"what": f"artefacts/{name}", "state": "gone", "note": "on record"}
        for name in sorted(set(named) - {path.name for path in present})
    ]
    rows.append({"what": "artefacts", "state": "checked", "note": f"{len(present)} files"})
    for check in verify_seal(folder, authority=authority):
        state = "gone" if check.state == "missing" else check.state
        rows.append({"what": check.what, "state": state, "note": check.note})
    return rows


def seal(
    folder: Folder,
    key: Annotated[Path | None, typer.Option(help="An SSH private key to sign with.")] = None,
    identity: Annotated[str, typer.Option(help="Who signs, such as an e-mail address.")] = "",
    query: Annotated[Path | None, typer.Option(help="Write a timestamp query (.tsq).")] = None,
    token: Annotated[Path | None, typer.Option(help="Take in the authority's answer.")] = None,
) -> None:
    """Seal a folder: manifest, SSH signature, and a timestamp over the signature."""
    from forensics import provenance_seal

    if key is not None:
        typer.echo(str(provenance_seal.write_seal(folder, key=key, identity=identity)))
    if query is not None:
        typer.echo(str(provenance_seal.write_timestamp_query(folder, query)))
    if token is not None:
        typer.echo(str(provenance_seal.add_timestamp(folder, token)))
    if key is None and query is None and token is None:
        typer.echo(str(provenance_seal.write_manifest(folder)))


def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT")] = Path("demo"),
    quick: Annotated[bool, typer.Option(help="A smaller and shorter incident.")] = False,
) -> None:
    """Stage an incident, reconstruct it, and compare the result with what was staged."""
    from forensics.cli_demo import run_demo

    raise typer.Exit(run_demo(out, quick=quick))


def add_case_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (reconstruct, appendix, verify, seal, replay, demo):
        app.command()(command)
