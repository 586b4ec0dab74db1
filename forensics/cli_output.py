"""How the command line says things: text or JSON Lines on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from forensics.clip import open_clip
from forensics.errors import ClipNotFound, ExtraMissing, ForensicsError, ToolError, printable
from forensics.model import (
    Clip,
    Discontinuity,
    ErrorRate,
    Examination,
    Uncalibrated,
    canonical_json,
    to_builtins,
)
from forensics.model import Progress as Tell

__all__ = [
    "FIGURES",
    "MARKERS",
    "collect",
    "diagnose",
    "each_clip",
    "examine_each",
    "examine_together",
    "fail",
    "own_file",
    "show",
    "show_table",
    "show_triage",
    "with_progress",
    "write_labels",
    "write_markers",
]

Together = TypeVar("Together")


def fail(error: ForensicsError) -> int:
    """Tell what went wrong and what to do; returns the exit code."""
    typer.echo(f"forensics: {error.message}", err=True)
    if error.hint:
        typer.echo(f"  hint: {error.hint}", err=True)
    return 1


@contextlib.contextmanager
def with_progress() -> Iterator[Tell | None]:
    """A progress bar on stderr, if that is a terminal; otherwise nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text)


def collect(paths: Sequence[Path]) -> list[Path]:
    """The files named, folders opened up one level deep and below, in a stable order.

    Raises
    ------
    ClipNotFound
        A folder without a file: nothing examined must not look like nothing found.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] != ".")
            if not inside:
                raise ClipNotFound(
                    f"there is no file in {printable(path)}", path=path,
                    hint="nothing was examined; hidden files are left out",
                )  # fmt: skip
            found.extend(inside)
        else:
            found.append(path)
    return found


def _say_error(path: Path, error: ForensicsError, json: bool) -> None:
    if json:
        row = {
            "clip": printable(path), "outcome": "failed", "error": type(error).__name__,
            "reason": error.message, "hint": error.hint,
        }  # fmt: skip
        typer.echo(canonical_json(row).decode())
    else:
        hint = f" ({error.hint})" if error.hint else ""
        typer.echo(f"{printable(path)}: failed: {error.message}{hint}")


def _collect_or_say(paths: Sequence[Path], json: bool) -> list[Path]:
    try:
        return collect(paths)
    except ForensicsError as error:
        if json:
            _say_error(paths[0], error, json)
        raise


def each_clip(paths: Sequence[Path], *, json: bool) -> tuple[list[Clip], int]:
    """Open every file; those that cannot be opened are reported and counted."""
    opened, failed = [], 0
    for path in _collect_or_say(paths, json):
        try:
            opened.append(open_clip(path))
        except ForensicsError as error:
            failed += 1
            _say_error(path, error, json)
    if not opened:
        raise ForensicsError("no clip could be opened", hint="see the lines above")
    return opened, failed


def examine_together(
    paths: Sequence[Path], examine: Callable[[list[Clip], Tell | None], Together], *, json: bool,
    tell: Callable[[Together, list[Clip]], None],
) -> None:  # fmt: skip
    """Run one method on all files at once; those that cannot be opened are left out and said."""
    opened, failed = each_clip(paths, json=json)
    with with_progress() as progress:
        found = examine(opened, progress)
    tell(found, opened)
    if failed:
        raise typer.Exit(3)


def examine_each(
    paths: Sequence[Path], examine: Callable[[Clip, Tell | None], Examination], *, json: bool,
    out: Path | None = None, after: Callable[[Clip, Examination], None] | None = None,
) -> None:  # fmt: skip
    """Run one method on every file; a file that fails, fails alone."""
    files = _collect_or_say(paths, json)
    failed = 0
    for path in files:
        try:
            clip = open_clip(path)
            with with_progress() as progress:
                exam = examine(clip, progress)
        except ForensicsError as error:
            if json or len(files) > 1:
                _say_error(path, error, json)
            if len(files) == 1:
                raise
            failed += 1
            continue
        failed += exam.outcome == "failed"
        show(clip, exam, json=json, out=out)
        if after is not None and exam.outcome != "failed":
            after(clip, exam)
    if failed:
        raise typer.Exit(1 if len(files) == 1 else 3)


#: What a figure is written as.
FIGURES = (".png", ".svg", ".pdf")
#: What other programs read as markers: WebVTT, and Audacity's label track.
MARKERS = (".vtt", ".txt")


def write_markers(exam: Examination, out: Path) -> None:
    """What was found, as markers on the clip's own time."""
    from forensics import events

    text = events.webvtt_markers if out.suffix.lower() == ".vtt" else events.audacity_labels
    out.write_text(text(exam.observations), encoding="utf-8")


def write_labels(clip: Clip, places: Sequence[Path]) -> None:
    """Everything the recording's sound shows: as markers, and drawn on one time axis.

    The listening copy runs on the clock of the sound, which in a film can start late: markers
    count from the copy's own beginning, the figure from the clip's.
    """
    from forensics import continuity, enf, events, plots
    from forensics.scan_sound import iter_sound

    with with_progress() as progress:
        exams = [
            continuity.find_splices(clip, progress=progress),
            enf.find_phase_breaks(clip, progress=progress),
            events.find_events(clip, flashes=False, progress=progress),
        ]
    first = next(iter_sound(clip), None)
    seen = [observation for exam in exams for observation in exam.observations]
    for place in places:
        if place.suffix == ".png":
            plots.save(plots.draw_sound(clip, exams), place)
            continue
        text = events.webvtt_markers if place.suffix == ".vtt" else events.audacity_labels
        start = first.start if first is not None else Fraction(0)
        place.write_text(text(seen, start=start), encoding="utf-8")


def own_file(out: Path, clip: Clip, written: set[Path]) -> Path:
    """`out`; for every further clip of one run, a name beside it with the clip's hash in it."""
    own = out if not written else out.with_stem(f"{out.stem}-{clip.digest[:12]}")
    written.add(own)
    return own


def show(clip: Clip | None, exam: Examination, *, json: bool, out: Path | None = None) -> None:
    """One examination as a line of JSON, or for people."""
    name = clip.name if clip is not None else ""
    if json or out is not None:
        row = to_builtins(exam) | {"clip": name}
        for number, finding in enumerate(exam):
            row["findings"][number]["id"] = finding.id
        line = canonical_json(row).decode()
        if out is not None:
            with open(out, "a", encoding="utf-8") as file:
                file.write(line + "\n")
        if json:
            typer.echo(line)
            return
    typer.echo(f"{name}: {exam}" if name else str(exam))
    verdicts: list[str] = [
        o.what.verdict for o in exam.observations if isinstance(o.what, Discontinuity)
    ]
    if verdicts:
        typer.echo("  " + "; ".join(
            f"{verdicts.count(verdict)} {words}" for verdict, words in (
                ("inconsistent", "inconsistent with an original"), ("inconclusive", "inconclusive"),
                ("consistent", "consistent with an original"),
            ) if verdict in verdicts or verdict == "inconsistent"
        ))  # fmt: skip
    # What holds for all of them is said once.
    rates = {str(finding.error_rate) for finding in exam}
    for finding in exam:
        seen = finding.observation
        where = f"{seen.span}  " if seen.span is not None else ""
        fields = to_builtins(seen.what)
        kind = " ".join(
            str(fields[key])
            for key in (
                "type",
                "level",
                "kind",
                "reason",
                "label",
                "region",
                "vehicle_type",
                "verdict",
                "text",
            )
            if isinstance(fields.get(key), str)
        )
        if isinstance(fields.get("ordinal"), int):
            kind += f", frame {fields['ordinal']}"
        typer.echo(
            f"  {where}{kind}  score {seen.score:.2f}" + (f"  {seen.note}" if seen.note else "")
        )
        for why in fields.get("explanations") or ():
            sort = "benign" if why["benign"] else "edit" if "verdict" in fields else "not benign"
            typer.echo(f"      {why['rank']}. [{sort}] {why['name']}: {why['text']}")
        if len(rates) > 1 or len(exam.findings) == 1:
            typer.echo(f"      {_rate(finding.error_rate)}")
    if len(rates) == 1 and len(exam.findings) > 1:
        typer.echo(f"  each of these: {_rate(exam.findings[0].error_rate)}")
    for name, value in exam.measures.items():
        typer.echo(f"  {name}: {value}")
    for hole in exam.coverage.not_testable:
        typer.echo(f"  not testable {hole.span}: {hole.reason}")


def _rate(known: ErrorRate | Uncalibrated) -> str:
    return f"error rate: {known}" if isinstance(known, ErrorRate) else str(known)


def show_triage(rows: list[dict[str, Any]], *, json: bool, out: Path | None) -> None:
    """One clip as a list of everything known; several as a row each that fits on a screen."""
    if json:
        show_table(rows, json=True, out=out)
        return
    if out is not None:
        out.write_text("".join(canonical_json(row).decode() + "\n" for row in rows), "utf-8")
    if len(rows) == 1:
        only = {"path", "digest", "error"} if rows[0]["error"] else set(rows[0])
        for name, value in rows[0].items():
            if value not in (None, "") and name in only:
                typer.echo(f"{name.replace('_', ' '):14} {_cell(value)}")
        return
    short = []
    for row in rows:
        made = "" if row["generations"] is None else f"{row['generations']}+"
        if row["first_gop"] is not None:
            made += f", older GOP {row['first_gop']}"
        what = f"{row['codec']} {row['width']}x{row['height']}" if row["codec"] else row["sound"]
        if row["codec"] and row["frame_rate"]:
            what += f" {row['frame_rate']:.4g}/s"
        short.append({
            "clip": Path(row["path"]).name, "streams": what, "length s": row["duration_s"],
            "written by": row["provenance"], "encodings": made, "GOP": row["gop"],
            "hidden": row["hidden_frames"], "alarms": row["alarms"], "remarks": row["remarks"],
            "strongest, or error": row["error"] or row["strongest"],
        })  # fmt: skip
    show_table(short, json=False, out=None)
    alarmed = sum(bool(row["alarms"]) for row in rows)
    failed = sum(bool(row["error"]) for row in rows)
    typer.echo(f"{len(rows)} files, {alarmed} with alarms, {failed} not readable; digests, "
               "signatures, and where a deletion could not have shown: --json or -o TABLE.csv")


def show_table(rows: list[dict[str, Any]], *, json: bool, out: Path | None) -> None:
    """Rows as JSON Lines, as CSV (with an OUT that ends in .csv), or as a table."""
    plain = [{k: to_builtins(v) for k, v in row.items()} for row in rows]
    if out is not None:
        columns = list(dict.fromkeys(key for row in plain for key in row))
        with open(out, "w", encoding="utf-8", newline="") as file:
            if out.suffix.lower() == ".csv":
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(plain)
            else:
                file.writelines(canonical_json(row).decode() + "\n" for row in plain)
    if json:
        for row in plain:
            typer.echo(canonical_json(row).decode())
        return
    if not plain:
        typer.echo("nothing to show")
        return
    columns = list(dict.fromkeys(key for row in plain for key in row))
    width = None if sys.stdout.isatty() else 200
    table = Table(*columns, box=None, pad_edge=False)
    for row in plain:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console(width=width, markup=False, highlight=False).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "; ".join(_cell(item) for item in value)
    return str(value)


def diagnose() -> list[dict[str, Any]]:
    """What is installed, and what is not run without it."""
    from importlib import metadata

    from forensics.tools import find_tool

    rows: list[dict[str, Any]] = []
    for package in ("numpy", "scipy", "av", "opencv-python-headless", "onnxruntime", "rapidocr",
                    "matplotlib", "anywidget", "typst", "python-docx", "distributed"):  # fmt: skip
        try:
            rows.append({"what": package, "state": metadata.version(package), "advice": ""})
        except metadata.PackageNotFoundError:
            # What rapidocr asks for would overwrite OpenCV: its extra says how it is put in.
            advice = ExtraMissing("", extra="ocr").hint if package == "rapidocr" else (
                f"install it with: pip install {package}"
            )
            rows.append({"what": package, "state": "missing", "advice": advice})
    for tool in ("exiftool", "ffmpeg", "tesseract", "ssh-keygen", "openssl"):
        try:
            found = find_tool(tool)
            rows.append({"what": tool, "state": found.version, "advice": ""})
        except ToolError as error:
            rows.append({"what": tool, "state": error.message, "advice": error.hint})
    return rows
