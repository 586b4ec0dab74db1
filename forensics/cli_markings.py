"""Commands about what is visible: catalogue (examine, add, search), gallery, redact."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer
from typer.core import TyperGroup

from forensics.cli_output import examine_each, show, show_table, with_progress
from forensics.errors import RecordInvalid
from forensics.model import Box, SightingKind, Span, clock_text, to_builtins

__all__ = ["add_markings_commands"]

Clips = Annotated[list[Path], typer.Argument(metavar="CLIP...", help="Files, or folders of files.")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder with a ledger.jsonl.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
Out = Annotated[Path | None, typer.Option("-o", "--out", metavar="OUT", help="Where to write.")]
GalleryFolder = Annotated[Path | None, typer.Option(help="A folder of references.")]
Unredacted = Annotated[
    bool, typer.Option("--unredacted", help="Let faces and plates through; the output says so.")
]


class _ClipsByDefault(TyperGroup):
    """``forensics catalogue CLIP...`` examines: naming the command is not needed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["examine", *args]
        return super().parse_args(ctx, args)


catalogue = typer.Typer(
    cls=_ClipsByDefault, no_args_is_help=True,
    help="What is visible: examine CLIP..., add what you saw, search what is on record.",
)  # fmt: skip
gallery_app = typer.Typer(no_args_is_help=True, help="The folder of reference designs.")


@catalogue.command("examine")
def examine(
    clips: Clips, json: Json = False, out: Out = None, gallery: GalleryFolder = None,
    into: Annotated[Path | None, typer.Option(help="Record it in this folder's ledger.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="The card (.toml, .yaml) of a vehicle detector of yours.")
    ] = None,
) -> None:  # fmt: skip
    """What is visible in clips: markings against a gallery, and vehicles."""
    from forensics import detector, insignia, vehicles
    from forensics.gallery import Gallery

    known = Gallery.open(gallery) if gallery else None
    own = detector.Model.open(model) if model else None

    def record(clip: Any, exam: Any) -> None:
        if into is not None:
            _append(into, clip, exam)

    examine_each(
        clips, lambda c, p: insignia.find_markings(c, gallery=known, progress=p),
        json=json, out=out, after=record,
    )  # fmt: skip
    examine_each(
        clips, lambda c, p: vehicles.find_vehicles(c, model=own, progress=p), json=json, out=out,
        after=record,
    )  # fmt: skip


def _append(folder: Path, clip: Any, exam: Any) -> None:
    from forensics.provenance import Ledger

    ledger = Ledger(folder / "ledger.jsonl")
    if clip.digest not in {c.digest for c in ledger.clips()}:
        ledger.append(clip)
    ledger.append(exam)


def _box(text: str) -> Box:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
        return Box(x, y, width, height)
    except (ValueError, RecordInvalid) as error:
        raise typer.BadParameter(f"four numbers x,y,width,height, not {text!r}") from error


def _frame(clip: Any, at_s: float) -> tuple[int, Fraction]:
    """The frame on show at a presentation time in seconds."""
    from forensics.scan import iter_pictures

    found: tuple[int, Fraction] | None = None
    wanted = Fraction(str(at_s))
    for picture in iter_pictures(clip, span=Span(max(Fraction(0), wanted - 2), wanted)):
        found = picture.ordinal, picture.pts
    if found is None:
        raise RecordInvalid(f"no picture is on show at {at_s} s")
    return found


@catalogue.command("add")
def add(
    clip: Annotated[Path, typer.Argument(metavar="CLIP")],
    at: Annotated[float, typer.Option(help="Seconds on the clip's own clock.")],
    box: Annotated[str, typer.Option(help="x,y,width,height in displayed pixels, drawn close.")],
    kind: Annotated[str, typer.Option(help=", ".join(get_args(SightingKind)))],
    examiner: Annotated[str, typer.Option(help="Who looked: initials or a number will do.")],
    into: Annotated[Path, typer.Option(help="The folder whose ledger takes it.")],
    gallery: GalleryFolder = None,
    absence: Annotated[
        str, typer.Option(help="no-insignia, no-plate, covered or not-visible; needs --note.")
    ] = "",
    note: Annotated[str, typer.Option(help="What you saw, or what lets you say so.")] = "",
    json: Json = False,
) -> None:
    """Record what you saw in one frame: a marking, a vehicle, or that there is none."""
    from forensics import insignia, vehicles
    from forensics.clip import open_clip
    from forensics.gallery import Gallery
    from forensics.insignia_record import Absence

    if kind not in get_args(SightingKind):
        raise typer.BadParameter(f"one of {', '.join(get_args(SightingKind))}, not {kind!r}")
    if absence and absence not in get_args(Absence):
        raise typer.BadParameter(f"one of {', '.join(get_args(Absence))}, not {absence!r}")
    opened = open_clip(clip)
    ordinal, pts = _frame(opened, at)
    where: Any = {"ordinal": ordinal, "pts": pts, "box": _box(box), "kind": kind}
    if absence:
        stated: Any = absence
        exam = insignia.record_absence(
            opened, **where, absence=stated, examiner=examiner, reason=note
        )
    else:
        marked = insignia.MarkedBox(**where, examiner=examiner, note=note)
        if kind == "vehicle":
            exam = vehicles.find_vehicles(opened, boxes=(marked,), assist=False)
        else:
            known = Gallery.open(gallery) if gallery else None
            exam = insignia.find_markings(opened, gallery=known, boxes=(marked,), assist=False)
    if exam.outcome == "failed":
        raise RecordInvalid(exam.reason)
    _append(into, opened, exam)
    show(opened, exam, json=json)


@catalogue.command("search")
def search(
    folder: Folder,
    text: Annotated[str, typer.Argument(help="Part of lettering, plate or gallery entry.")] = "",
    kind: Annotated[str, typer.Option(help="patch, bus, vehicle-sighting, deletion, …")] = "",
    colour: Annotated[str, typer.Option(help="A candidate colour of a vehicle.")] = "",
    plate: Annotated[str, typer.Option(help="? is one character, * any number.")] = "",
    clip: Annotated[str, typer.Option(help="A file name, or the beginning of a SHA-256.")] = "",
    verdict: Annotated[str, typer.Option(help="Such as match_design.")] = "",
    between: Annotated[
        tuple[float, float] | None, typer.Option(help="Seconds on the incident clock.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="A picture cut closely around a marking or vehicle.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most to show or write.")] = 200,
    unredacted: Unredacted = False,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="OUT", help=".csv .json (COCO) .xml (CVAT) .html"),
    ] = None,
    json: Json = False,
) -> None:
    """Search what is on record, by words, plate, time or an example picture; -o writes it."""
    from forensics.catalogue import Catalogue, Hit
    from forensics.provenance import Ledger

    ledger = Ledger(folder / "ledger.jsonl")
    if not ledger.path.is_file():
        raise RecordInvalid(f"no ledger.jsonl in {folder}", hint="forensics catalogue add … --into")
    place = folder / "catalogue.sqlite"
    try:
        base = Catalogue.open(place, ledger=ledger)
    except (RecordInvalid, FileNotFoundError):
        base = Catalogue.build(ledger, place)
    rows: list[dict[str, Any]] = []
    hits: list[Hit] = []
    if like is not None:
        for item in base.match_picture(
            _picture(like), kind=kind, clip=clip, limit=limit, closely=24, crops=ledger.artefacts
        ):
            hits.append(item.hit)
            details = None if item.details is None else int(item.details.value)
            rows.append({**_told(item.hit), "resemblance": item.resemblance, "details": details})
    else:
        hits = base.search(
            text, kind=kind, colour=colour, plate=plate, clip=clip, verdict=verdict,
            between=between, limit=limit,
        )  # fmt: skip
        rows = [_told(hit) for hit in hits]
    if out is not None:
        written = base.write_hits(hits, out, crops=ledger.artefacts, unredacted=unredacted)
        said = "UNREDACTED" if unredacted else "plates and faces covered where found"
        rows = [{"written": str(written), "sightings": len(hits), "redaction": said}]
    elif json:
        rows = [to_builtins(hit) for hit in hits]
    show_table(rows, json=json, out=None)


def _picture(path: Path) -> Any:
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            return np.array(opened.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise RecordInvalid(f"{path.name} is not a readable picture: {error}") from None


def _told(hit: Any) -> dict[str, Any]:
    return {
        "incident": "" if hit.incident is None else str(hit.incident),
        "clip": hit.clip_name, "at": "" if hit.start_s is None else clock_text(hit.start_s),
        "kind": hit.kind or hit.type,
        "said": hit.absence or hit.verdict or " or ".join(hit.colours),
        "what": hit.plate or hit.text or ", ".join(hit.entries[:2]),
        "line": hit.line, "id": hit.id[:12],
    }  # fmt: skip


@gallery_app.command("lint")
def lint(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of references.")],
    look_alikes: Annotated[
        bool, typer.Option("--look-alikes", help="Also compare every design with every other.")
    ] = False,
    json: Json = False,
) -> None:
    """Everything wrong with a gallery; entries without a source are refused (exit code 1)."""
    from forensics.gallery import Gallery

    known = Gallery.open(folder)
    rows: list[dict[str, Any]] = [
        {"unit": p.unit, "state": "refused" if p.refused else "to fill in", "note": p.text}
        for p in known.lint()
    ]
    if look_alikes:
        with with_progress() as progress:
            rows += [
                {"unit": f"{p.first} / {p.second}",
                 "state": "declared look-alikes" if p.declared else "look-alikes, not declared",
                 "note": f"{p.inliers} details, {p.agreement:.0%} of the drawing agrees"}
                for p in known.check_lookalikes(progress=progress)
            ]  # fmt: skip
    rows.append({"unit": f"{len(known)} entries", "state": "usable", "note": known.digest[:16]})
    show_table(rows, json=json, out=None)
    if known.refused:
        raise typer.Exit(1)


def _region(text: str) -> tuple[Span | None, Box]:
    where, _, when = text.partition("@")
    if not when:
        return None, _box(where)
    try:
        start, end = when.split("-")
        return Span(Fraction(start), Fraction(end)), _box(where)
    except (ValueError, RecordInvalid) as error:
        raise typer.BadParameter(f"x,y,width,height@START-END in seconds, not {text!r}") from error


def redact(
    clip: Annotated[Path, typer.Argument(metavar="CLIP")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT")],
    faces: Annotated[bool, typer.Option(help="Hide faces.")] = True,
    plates: Annotated[bool, typer.Option(help="Hide number plates.")] = True,
    box: Annotated[
        list[str] | None, typer.Option(help="Hide x,y,width,height[@START-END]; repeatable.")
    ] = None,
    screen: Annotated[
        list[str] | None, typer.Option(help="The same, for screens and displays.")
    ] = None,
    mosaic: Annotated[bool, typer.Option("--mosaic", help="A few flat tiles, not a fill.")] = False,
    sound: Annotated[str, typer.Option(help="drop, mask (voices become noise) or keep.")] = "drop",
    unredacted: Unredacted = False,
    json: Json = False,
) -> None:
    """Write a copy with faces and plates made unrecognisable, and metadata removed."""
    from forensics.clip import open_clip
    from forensics.incident import write_shareable

    choices: dict[str, Literal["drop", "mask", "keep"]] = {
        "drop": "drop", "mask": "mask", "keep": "keep",
    }  # fmt: skip
    if sound not in choices:
        raise typer.BadParameter(f"drop, mask or keep, not {sound!r}")
    with with_progress() as progress:
        written = write_shareable(
            open_clip(clip), out, faces=faces, plates=plates,
            regions=[_region(text) for text in box or ()],
            screens=[_region(text) for text in screen or ()],
            style="mosaic" if mosaic else "solid", sound=choices[sound], unredacted=unredacted,
            progress=progress,
        )  # fmt: skip
    show_table([{"written": str(written), "record": f"{written}.json"}], json=json, out=None)


def add_markings_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.add_typer(catalogue, name="catalogue")
    app.add_typer(gallery_app, name="gallery")
    app.command("redact")(redact)
