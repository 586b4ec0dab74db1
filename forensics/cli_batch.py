"""Commands about many clips and about the methods: batch, calibrate, revalidate, export."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from forensics.cli_output import show_table, with_progress
from forensics.errors import ExtraMissing, ForensicsError, RecordInvalid

__all__ = ["add_batch_commands"]

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]


def batch(
    source: Annotated[list[Path], typer.Argument(metavar="DIR|CLIP...")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RESULTS.jsonl")],
    jobs: Annotated[int | None, typer.Option(min=1, help="Children at a time.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds one clip may take.")] = 600.0,
    memory: Annotated[int, typer.Option(min=256, help="MiB one clip may use.")] = 4096,
    resume: Annotated[bool, typer.Option(help="Keep rows that still hold.")] = False,
    dask: Annotated[str, typer.Option(metavar="ADDRESS", help="A Dask scheduler.")] = "",
    step: Annotated[list[str] | None, typer.Option(help="Such as video.find_cuts.")] = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Also a page.")] = None,
    json: Json = False,
) -> None:
    """Examine many clips, one child process each; a clip that crashes costs one row."""
    from forensics import batch as library

    steps = tuple((name, {}) for name in step) if step else library.DEFAULT_STEPS
    files: Path | list[Path] = source[0] if len(source) == 1 else source
    client: Any = None
    if dask:
        try:
            from distributed import Client
        except ImportError:
            raise ExtraMissing("--dask needs distributed", extra="dask") from None
        try:
            connect: Any = Client
            client = connect(dask, timeout=20)
        except (OSError, TimeoutError, ValueError) as error:
            raise ForensicsError(f"no Dask scheduler at {dask}: {error}") from None
    try:
        with with_progress() as progress:
            summary = library.run_batch(
                files, out, steps=steps, jobs=jobs, timeout_s=timeout, memory_bytes=memory << 20,
                resume=resume, progress=progress,
                executor=client.get_executor(pure=False) if client is not None else None,
            )  # fmt: skip
    finally:
        if client is not None:
            client.close()
    if page is not None:
        library.write_page(out, page)
    show_table(
        [{"clips": summary.clips, "examined": summary.done, "kept from before": summary.resumed,
          "failed": summary.failed, "seconds": round(summary.seconds, 3),
          "network": summary.network, "written": str(summary.out)}],
        json=json, out=None,
    )  # fmt: skip
    if summary.failed:
        raise typer.Exit(3)


def calibrate(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Folder of rates_*.json.")] =
    Path("benchmarks/results"),
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The table to write.")] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Merge what the benchmarks measured into the table of error rates that ships."""
    from forensics import calibration, provenance
    from forensics.report_record import load_methods

    rows = calibration.merge_rows(results)
    if not rows:
        raise RecordInvalid(f"no rates_*.json in {results}", hint="run the scripts in benchmarks/")
    load_methods()
    known = {name: spec.version for name, spec in provenance.methods().items()}
    shown: list[dict[str, Any]] = []
    for row in rows:
        state = "measured"
        if row.method not in known:
            state = "no such method here"
        elif known[row.method] != row.version:
            state = f"stale: the method is version {known[row.method]} now"
        rate = calibration.measure_row(row)
        shown.append({"method": row.method, "version": row.version, "condition": row.stratum,
                      "false positives": str(rate.false_positive), "misses": str(rate.miss),
                      "clips": row.independent, "state": state})  # fmt: skip
    target = out or Path(str(resources.files("forensics").joinpath("data/error_rates.json")))
    calibration.write_table(rows, target)
    show_table(shown, json=json, out=None)


def revalidate(
    golden: Annotated[Path, typer.Argument(metavar="GOLDEN")] = Path("tests/golden/methods.jsonl"),
    write: Annotated[bool, typer.Option("--write", help="Keep what they say now.")] = False,
    json: Json = False,
) -> None:
    """Run the golden examinations again after any change of a dependency; 4 if one differs."""
    from forensics import batch_golden

    if write:
        typer.echo(str(batch_golden.write_golden(golden)))
        return
    rows = batch_golden.revalidate(golden)
    show_table(
        [{"input": r.input, "step": r.step, "state": r.state, "reason": r.reason,
          "changed since": "; ".join(r.changed)} for r in rows],
        json=json, out=None,
    )  # fmt: skip
    if any(row.state in ("differs", "input differs") for row in rows):
        raise typer.Exit(4)


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An incident folder.")],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="FILE",
                     help=".otio .xml .eaf .vtt .csv .jsonld .json (COCO), or a folder"),
    ],
    unredacted: Annotated[
        bool, typer.Option(help="Say that plates may leave in the clear.")
    ] = False,
) -> None:  # fmt: skip
    """Hand an incident to other programs; the suffix decides the format."""
    from forensics import exchange
    from forensics.incident import Incident

    typer.echo(str(exchange.write_export(Incident.open(folder), out, unredacted=unredacted)))


def add_batch_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (batch, calibrate, revalidate, export):
        app.command()(command)
