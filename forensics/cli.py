"""The command line: arguments, one library call, text or JSON Lines.

Exit codes: 0 done; 1 a `ForensicsError`; 2 usage; 3 some clips failed (their rows say why);
4 integrity mismatch. Results go to stdout, progress to stderr and only to a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

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
)
from forensics.cli_batch import add_batch_commands
from forensics.cli_case import add_case_commands
from forensics.cli_markings import add_markings_commands
from forensics.cli_output import (
    FIGURES,
    MARKERS,
    examine_each,
    examine_together,
    fail,
    own_file,
    show,
    show_table,
    show_triage,
    with_progress,
    write_labels,
    write_markers,
)
from forensics.errors import ClipNotFound, ForensicsError, PolicyError
from forensics.model import Box, Clip, Examination, to_builtins

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["app", "main"]

app = typer.Typer(
    name="forensics", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Media forensics for clips nobody vouches for. Offline; evidence is only read.",
)  # fmt: skip

Clips = Annotated[list[Path], typer.Argument(metavar="CLIP...", help="Files, or folders of files.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
Out = Annotated[Path | None, typer.Option(
    "-o", "--out", metavar="OUT", help="Where to write; the suffix decides, see above.")]


def _no_figure(out: Path | None) -> Path | None:
    """A record in a file that is called a picture opens nowhere."""
    if out is not None and out.suffix.lower() in FIGURES:
        raise typer.BadParameter(f"this command draws no {out.suffix}: it writes JSON Lines")
    return out


Record = Annotated[Path | None, typer.Option(
    "-o", "--out", metavar="OUT", callback=_no_figure,
    help="A file to add the record to, as JSON Lines; for others see above.")]  # fmt: skip


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"forensics {metadata.version('forensics')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Media forensics for clips nobody vouches for."""


@app.command("open")
def open_command(clips: Clips, json: Json = False, out: Out = None) -> None:
    """What a file is: identity, streams, metadata; for a folder, one row a clip (triage)."""
    from forensics import container

    with with_progress() as progress:
        rows = container.triage(clips, progress=progress)
    if not rows:
        raise ClipNotFound(
            "there is no film or recording among these files", path=clips[0],
            hint="nothing was opened; pictures are opened by name",
        )  # fmt: skip
    if out is not None and out.suffix.lower() == ".csv":
        out.write_text(container.write_csv(rows), encoding="utf-8", newline="")
        out = None
    show_triage([to_builtins(row) for row in rows], json=json, out=out)
    if any(row.error for row in rows):
        raise typer.Exit(1 if len(rows) == 1 else 3)


@app.command()
def keyframes(
    clips: Clips, json: Json = False, out: Out = None,
    max_count: Annotated[int | None, typer.Option("--max", min=1, help="At most so many.")] = None,
    every: Annotated[float | None, typer.Option(help="One every so many seconds.")] = None,
    archive: Annotated[bool, typer.Option("--zip", help="Pictures as a ZIP, not a sheet.")] = False,
    unredacted: Annotated[bool, typer.Option("--unredacted", help="Cover no one.")] = False,
) -> None:  # fmt: skip
    """Frames worth looking at; with -o SHEET.png, .html or .zip also as pictures."""
    from forensics import plots, video

    written: set[Path] = set()
    if out is not None and out.suffix.lower() == ".png" and not archive:
        plots.check_drawing()

    def write(clip: Any, exam: Any) -> None:
        if out is not None:
            own = own_file(out, clip, written)
            plots.write_keyframes(clip, exam, own, archive=archive, unredacted=unredacted)

    examine_each(
        clips, lambda clip, progress: video.find_keyframes(
            clip, max_count=max_count, every_s=every, progress=progress
        ), json=json, after=write,
    )  # fmt: skip


@app.command()
def cuts(clips: Clips, json: Json = False, out: Record = None) -> None:
    """Shot boundaries of a produced video: cuts, fades, dissolves."""
    from forensics import video

    examine_each(clips, lambda c, p: video.find_cuts(c, progress=p), json=json, out=out)


@app.command("edits")
def edits_command(
    clips: Clips, json: Json = False, out: Out = None,
    power: Annotated[bool, typer.Option(help="Also measure what would have been found.")] = False,
) -> None:  # fmt: skip
    """Has it been edited? Every level once; -o FIGURE.png draws it, .vtt or .txt marks it."""
    from forensics import edits, plots

    written: set[Path] = set()
    if out is not None and out.suffix.lower() not in MARKERS:
        plots.check_drawing()

    def write(clip: Any, exam: Any) -> None:
        if out is not None and out.suffix.lower() in MARKERS:
            write_markers(exam, own_file(out, clip, written))
        elif out is not None:
            plots.save(plots.draw_edits(clip, exam), own_file(out, clip, written))
        if power:
            show(clip, edits.measure_power(clip), json=json)

    examine_each(clips, lambda c, p: edits.find_edits(c, progress=p), json=json, after=write)


@app.command("events")
def events_command(clips: Clips, json: Json = False, out: Record = None) -> None:
    """Impulses heard (as classes of sound) and flashes; -o .vtt or .txt (Audacity) marks them."""
    from forensics import events

    marked = out is not None and out.suffix.lower() in MARKERS
    written: set[Path] = set()

    def write(clip: Any, exam: Any) -> None:
        if out is not None and marked:
            write_markers(exam, own_file(out, clip, written))

    examine_each(
        clips, lambda c, p: events.find_events(c, progress=p), json=json,
        out=None if marked else out, after=write,
    )  # fmt: skip


@app.command("clock")
def clock_command(
    clips: Clips, json: Json = False, out: Out = None,
    box: Annotated[str, typer.Option(help="x,y,width,height in displayed pixels.")] = "",
) -> None:  # fmt: skip
    """The burned-in clock: find it, read it, check that it runs evenly; -o FIGURE.png draws it."""
    from forensics import clock
    from forensics.plots_ink import check_drawing

    where = _box(box) if box else None
    drawn = out is not None and out.suffix.lower() in FIGURES
    if drawn:
        check_drawing()
    record = None if drawn else out
    readings: dict[str, Examination] = {}
    written: set[Path] = set()

    def keep(clip: Clip, exam: Examination) -> None:
        readings[clip.digest] = exam

    def draw(clip: Clip, exam: Examination) -> None:
        from forensics import plots

        if out is None or not drawn:
            return
        if not readings[clip.digest].findings:
            typer.echo(f"{clip.name}: no clock was read, so none is drawn", err=True)
            return
        axes = plots.draw_clock(readings[clip.digest], breaks=exam)
        axes.set_title(plots.plain(clip.name), loc="left", fontsize=9)
        plots.save(cast("Figure", axes.figure), own_file(out, clip, written))

    examine_each(
        clips, lambda c, p: clock.read_clock(c, box=where, progress=p), json=json, out=record,
        after=keep,
    )  # fmt: skip
    examine_each(
        clips, lambda c, p: clock.find_clock_breaks(c, box=where, progress=p), json=json,
        out=record, after=draw,
    )  # fmt: skip


def _box(text: str) -> Box:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
        return Box(x, y, width, height)
    except ValueError as error:
        raise typer.BadParameter(f"four numbers x,y,width,height, not {text!r}") from error


@app.command()
def align(
    clips: Clips, json: Json = False, out: PictureOut = None, at: At = None,
    span: Between = None, group: Group = 0, unredacted: Unredacted = False,
) -> None:  # fmt: skip
    """Several clips of one incident on one clock, by their sound; -o draws, plays or films it."""
    from forensics import audio

    picture = Picture(out, at, span, group, unredacted)
    check_picture(picture)
    examine_together(
        clips, lambda opened, progress: audio.align_clips(opened, progress=progress), json=json,
        tell=lambda found, opened: show_alignment(found, opened, json=json, picture=picture),
    )  # fmt: skip


@app.command("copies")
def copies_command(clips: Clips, json: Json = False, out: Record = None) -> None:
    """Re-uploads of the same footage, and which copy is nearest the original."""
    from forensics import copies

    examine_together(
        clips, lambda opened, progress: copies.find_copies(opened, progress=progress), json=json,
        tell=lambda found, _opened: show(None, found, json=json, out=out),
    )  # fmt: skip


@app.command()
def listen(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="A clip with sound.")],
    out: Annotated[Path, typer.Option(
        "-o", "--out", metavar="OUT.wav", help="The copy; OUT.wav.json beside it is its record.")],
    labels: Annotated[bool, typer.Option(
        "--labels", help="Also examine the recording: OUT.vtt and OUT.txt (Audacity) mark what "
        "was found, OUT.png draws it.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Write a levelled, noise-reduced copy of the sound for a person to hear; never examine it."""
    from forensics import continuity
    from forensics.clip import open_clip
    from forensics.plots_ink import check_drawing

    beside = [out.with_suffix(s) for s in (".vtt", ".txt", ".png")] if labels else []
    if labels:
        check_drawing()
    for place in beside:
        if place.exists():
            raise PolicyError(f"{place.name} exists already", hint="give another OUT.wav")
    opened = open_clip(clip)
    with with_progress() as progress:
        written = continuity.write_listening_copy(opened, out=out, progress=progress)
    row = {
        "written": str(written), "record": f"{written}.json",
        "mark": "a derivative for listening only: not evidence, refused by every method",
    }  # fmt: skip
    if labels:
        write_labels(opened, beside)
        row["labels"] = ", ".join(place.name for place in beside)
    show_table([row], json=json, out=None)


@app.command()
def methods(json: Json = False) -> None:
    """Every method: version, what it does, how many conditions it was measured in."""
    from forensics import calibration, provenance
    from forensics.report_record import load_methods

    load_methods()
    rows: list[dict[str, Any]] = [
        {
            "method": name, "version": spec.version, "summary": spec.summary,
        }
        for name, spec in provenance.methods().items()
    ]  # fmt: skip
    for row in rows:
        rates = {
            r.stratum or "all": str(calibration.measure_row(r)) for r in calibration.read_table()
            if (r.method, r.version) == (row["method"], row["version"])
        }  # fmt: skip
        row["error rates"] = rates if json else len(rates) or "not measured"
    show_table(rows, json=json, out=None)
    if not json:
        typer.echo("error rates: measured conditions; --json prints them with their intervals")


@app.command()
def doctor(json: Json = False) -> None:
    """What this machine has: packages, programs, and what is not run without them."""
    from forensics.cli_output import diagnose

    show_table(diagnose(), json=json, out=None)


add_case_commands(app)
add_markings_commands(app)
add_batch_commands(app)


def _guarded(run: Callable[[], Any]) -> int:
    try:
        run()
    except ForensicsError as error:
        return fail(error)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        sys.stderr.close()
        return 0
    except OSError as error:
        # The disk is full, the folder is not ours: the machine's state, not a bug of this program.
        where = f": {error.filename}" if error.filename else ""
        typer.echo(f"forensics: {error.strerror or error}{where}", err=True)
        typer.echo("  hint: give a place that can be written, with -o or as the folder", err=True)
        return 1
    return 0


def _as_given(argument: str) -> str:
    """A file whose name begins with a dash is a file: `forensics edits *` must not trip over it."""
    named = argument.startswith("-") and "." in argument and os.path.lexists(argument)
    return os.path.join(os.curdir, argument) if named else argument


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = [_as_given(each) for each in (sys.argv[1:] if arguments is None else arguments)]
    code = _guarded(lambda: app(args=given, prog_name="forensics", standalone_mode=True))
    if arguments is None:
        sys.exit(code)
    return code


if __name__ == "__main__":
    main()
