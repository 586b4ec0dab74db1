"""``forensics demo``: stage an incident, reconstruct it, and hold the result against the truth.

The reconstruction never sees ``truth.json``; only the comparison afterwards reads it.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from forensics.cli_output import show_table, with_progress
from forensics.errors import ClipNotFound
from forensics.incident import Incident, Reconstruction
from forensics.model import Clip, Copy, Discontinuity, Sighting, SoundEvent

__all__ = ["compare", "run_demo"]


def _stage(out: Path, quick: bool) -> None:
    script = Path(__file__).resolve().parent.parent / "samples" / "make.py"
    if not script.is_file():
        raise ClipNotFound(
            "the staged incident is built by samples/make.py, which is part of the source tree",
            path=script, hint="run ./run demo from a checkout",
        )  # fmt: skip
    kept = sys.argv
    sys.argv = [str(script), str(out), *(["--quick"] if quick else [])]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as stop:
        if stop.code:
            raise
    finally:
        sys.argv = kept


def run_demo(out: Path, *, quick: bool = False) -> int:
    """Build the incident in `out` unless it is there, reconstruct, compare, print the table."""
    from forensics import plots, report
    from forensics.report_record import load_methods

    if not (out / "truth.json").is_file():
        _stage(out, quick)
    load_methods()
    incident = Incident.open(out)
    with with_progress() as progress:
        result = incident.reconstruct(progress=progress)
    truth = json.loads((out / "truth.json").read_text("utf-8"))
    names = incident.names(result.clips)
    rows = list(compare(result, names, truth))
    appendix = report.write_appendix(incident, out / "appendix.html")
    figure = plots.save(
        plots.draw_reconstruction(
            result, names, title=incident.plan.title, folder=incident.ledger.artefacts
        ),
        out / "reconstruction.png",
    )
    show_table(rows, json=False, out=out / "comparison.csv")
    right = sum(row["agrees"] == "yes" for row in rows)
    typer.echo(f"\n{right} of {len(rows)} statements agree with what was staged.")
    typer.echo(f"appendix: {appendix}\nfigure: {figure}\nledger head: {incident.ledger.head}")
    return 0


def _row(what: str, staged: Any, found: Any, agrees: bool) -> dict[str, Any]:
    verdict = "yes" if agrees else "NO"
    return {"what": what, "staged": str(staged), "found": str(found), "agrees": verdict}


def compare(
    result: Reconstruction, names: dict[str, str], truth: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Row by row: what was staged, what was found, and whether they agree.

    Parameters
    ----------
    result
        What the reconstruction found.
    names
        The examiner's name for each digest.
    truth
        ``truth.json`` as read.
    """
    by_name = {names[clip.digest]: clip for clip in result.clips}
    yield from _placements(result, by_name, truth)
    yield from _edited(result, by_name, truth)
    yield from _copied(result, by_name, truth)
    yield from _shots(result, names, by_name, truth)
    yield from _emblems(result, by_name, truth)
    verdicts = {v.claim.name: v for v in result.verdicts}
    for claim in truth["claims"]:
        found = verdicts.get(claim["id"])
        said = f"{found.outcome}: {found.reason}" if found else "not tested"
        agrees = found is not None and found.outcome == claim["verdict"]
        yield _row(f"claim {claim['id']}", claim["verdict"], said, agrees)


def _placements(
    result: Reconstruction, by_name: dict[str, Clip], truth: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for name, clip in by_name.items():
        staged = truth["clips"][name]["offset_s"]
        place = result.alignment.placement(clip) if result.alignment else None
        if staged is None or name in truth["strangers"]:
            outside = place is None or place.component != 0
            yield _row(f"{name} belongs", "no", "no" if outside else f"{place}", outside)
            continue
        if place is None:
            yield _row(f"{name} starts at", f"{staged:.3f} s", "unplaced", False)
            continue
        low, high = place.offset.low, place.offset.high
        # A clip with a removed stretch has one offset on each side of the break.
        sides = [
            part["incident_start_s"] - part["clip_start_s"]
            for part in truth["clips"][name].get("segments", ())
        ] or [staged]
        inside = place.basis == "reference" and staged == 0
        if low is not None and high is not None:
            inside = any(low <= side <= high for side in sides)
        found = f"{place.offset} by {place.basis}"
        told = " or ".join(f"{s:.3f} s" for s in sides)
        yield _row(f"{name} starts at", told, found, inside)


def _edited(
    result: Reconstruction, by_name: dict[str, Clip], truth: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for name, clip in by_name.items():
        staged = truth["clips"][name]["edits"]
        exams = result.of(clip, "edits")
        alarms = [
            finding.observation
            for exam in exams
            for finding in exam
            if isinstance(what := finding.observation.what, Discontinuity)
            and what.verdict == "inconsistent"
        ]
        if not staged:
            yield _row(f"{name} edited", "no", f"{len(alarms)} alarms", not alarms)
        for edit in staged:
            cut = edit["cut_clip_s"]
            hits = [a for a in alarms if a.span and abs(float(a.span.start) - cut) < 0.5]
            told = "; ".join(f"{a.span} {getattr(a.what, 'kind', '')}" for a in alarms[:4])
            yield _row(f"{name} edited", f"cut at {cut:.2f} s", told or "nothing", bool(hits))


def _copied(
    result: Reconstruction, by_name: dict[str, Clip], truth: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    found = {
        frozenset((what.clip, what.other)): what
        for exam in result.examinations
        for finding in exam
        if isinstance(what := finding.observation.what, Copy)
    }
    for pair in truth["copies"]:
        copy, original = by_name[pair["copy"]], by_name[pair["of"]]
        seen = found.pop(frozenset((copy.digest, original.digest)), None)
        if seen is None:
            yield _row(f"{pair['copy']} is a copy", f"of {pair['of']}", "not found", False)
            continue
        nearest = {"this": seen.clip, "other": seen.other}.get(seen.nearer)
        told = f"{seen.relation}; nearer the original: {seen.nearer}"
        right = nearest in (original.digest, None)
        yield _row(f"{pair['copy']} is a copy", f"of {pair['of']}", told, right)
    yield _row("further copies", "none", len(found), not found)


def _shots(
    result: Reconstruction, names: dict[str, str], by_name: dict[str, Clip], truth: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for number, shot in enumerate(truth["shots"], start=1):
        for name, arrival in shot["arrival_clip_s"].items():
            heard = [
                float(what.time)
                for exam in result.of(by_name[name], "sound-events")
                for finding in exam
                if isinstance(what := finding.observation.what, SoundEvent)
            ]
            nearest = min(heard, key=lambda t: abs(t - arrival), default=None)
            agrees = nearest is not None and abs(nearest - arrival) <= 0.05
            told = "not heard" if nearest is None else f"{nearest:.3f} s"
            yield _row(f"shot {number} in {name}", f"{arrival:.3f} s", told, agrees)


def _emblems(
    result: Reconstruction, by_name: dict[str, Clip], truth: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    units = truth["clips"]["phone_a"]["emblem_summary"]["units"]
    seen = {
        what.candidates[0].entry: what.verdict
        for exam in result.of(by_name["phone_a"], "insignia-markings")
        for finding in exam
        if isinstance(what := finding.observation.what, Sighting) and what.candidates
        and what.verdict in ("match_design", "possible_design")
    }  # fmt: skip
    told = ", ".join(f"{unit} ({verdict})" for unit, verdict in seen.items()) or "none"
    yield _row("emblems in phone_a", ", ".join(units), told, set(units) <= set(seen))
