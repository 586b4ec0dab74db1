# ruff: noqa: E501 - the lines of the notebook's texts are its own
"""Write notebook 05 from the cells below, outputs stripped.

    python notebooks/make_incident_notebook.py
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent

CELLS = [
    ("md", """# Reconstruct the incident

Six files reached us about one minute at a bench: a silent surveillance camera, three telephones, a
re-upload, and a clip that may not belong. Officials say that nobody came near before the shots, and
that warning shots were fired. This notebook puts the files on one clock, asks each of them whether it
is one recording, and holds every sentence against what was found.

The incident is staged: everything in it was drawn and spoken by code. Run `./run demo` once to have
it, or set `FORENSICS_INCIDENT` to a folder of your own with an `incident.toml`."""),
    ("code", '''%matplotlib inline
import os
from pathlib import Path

import pandas as pd

import forensics
from forensics import plots, report
from forensics.catalogue import Catalogue

root = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "pyproject.toml").exists())
staged = os.environ.get("FORENSICS_STAGED", root / "demo")
folder = Path(os.environ.get("FORENSICS_INCIDENT", staged))
if not (folder / "incident.toml").exists():
    raise FileNotFoundError("run ./run demo first, or set FORENSICS_INCIDENT to a case folder")
incident = forensics.Incident.open(folder)
print(incident.plan.title)
pd.DataFrame([{"name": c.id, "file": c.path, "note": c.note} for c in incident.plan.clips])'''),
    ("md", """## Run what is missing

Every step goes into `ledger.jsonl` before the next begins. What the ledger already holds, for the same
bytes, method, version and parameters, is not run again; so a second call costs nothing, and a call that
was broken off goes on where it stopped. At the end every original is hashed once more."""),
    ("code", '''result = incident.reconstruct()
names = incident.names(result.clips)
print("ledger:", len(incident.ledger), "lines, head", incident.ledger.head[:16])
print("files that could not be opened:", len(result.failures))
pd.DataFrame(
    [
        {
            "clip": names[e.origin.inputs[0]] if len(e.origin.inputs) == 1 else "all",
            "method": e.origin.method,
            "outcome": e.outcome,
            "findings": len(e),
            "reason": e.reason[:90],
        }
        for e in result.examinations
    ]
)'''),
    ("md", """*Nothing found*, *not applicable* and *failed* stand in the same table and are three different
answers: the camera without a microphone was not silent, it could not hear.

## One clock"""),
    ("code", '''figure = plots.draw_reconstruction(
    result, names, title=incident.plan.title, folder=incident.ledger.artefacts
)
figure'''),
    ("md", """The whiskers are the stated 95 % intervals. Most of their width is not software but air: sound needs
2.9 ms for each metre, and nobody measured where the telephones stood. The gap in the camera's bar is a
stretch that is no longer in the file. What cannot be placed is not drawn at time zero; it is named."""),
    ("code", '''pd.DataFrame(
    [
        {
            "clip": names[p.clip],
            "starts at": str(p.offset),
            "drift": str(p.drift_ppm),
            "known by": p.basis,
            "leaning on": ", ".join(names.get(s, s[:8]) for s in p.support),
        }
        for p in result.alignment.placements
    ]
)'''),
    ("code", '''for left in result.alignment.unplaced:
    print(f"{names[left.clip]}: {left.outcome}: {left.reason}")
for warning in result.alignment.warnings:
    print("warning:", warning)'''),
    ("md", """## Is the camera's file one recording?"""),
    ("code", '''camera = next(c for c in result.clips if names[c.digest] == incident.plan.regions[0].clip) if incident.plan.regions else result.clips[0]
(exam,) = result.of(camera, "edits")
exam'''),
    ("code", '''plots.draw_edits(camera, exam)'''),
    ("md", """Beside each alarm stand the innocent explanations, ranked. "Inconsistent with an original" is as far
as the library goes; whether somebody meant to hide something is not for a program to say.

## Every camera at the first bang"""),
    ("code", '''from forensics.model import SoundEvent

heard = sorted(
    (result.alignment.on_incident_clock(f.origin.inputs[0], f.observation.span).start)
    for e in result.examinations
    for f in e
    if isinstance(f.observation.what, SoundEvent) and result.alignment.placement(f.origin.inputs[0])
)
plots.draw_cameras_at(result.alignment, result.clips, heard[0] if heard else 0.0)'''),
    ("md", """## What was said, and what was found"""),
    ("code", '''pd.set_option("display.max_colwidth", 120)
pd.DataFrame(
    [
        {
            "who says so": v.claim.source,
            "sentence": v.claim.text,
            "outcome": v.outcome,
            "why": v.reason,
        }
        for v in result.verdicts
    ]
)'''),
    ("md", """*Undecided* is an answer. Where a tree hides the place, or a look-alike emblem exists, or a recording
begins too late, nothing is concluded.

## Search, and write it down"""),
    ("code", '''catalogue = Catalogue.build(incident.ledger, folder / "catalogue.sqlite")
print(len(catalogue), "findings")
pd.DataFrame(
    [
        {"clip": h.clip_name, "what": h.type, "kind": h.kind, "text": h.text[:60], "incident time": str(h.incident)}
        for h in catalogue.search(kind="sound-event")
    ]
)'''),
    ("code", '''out = report.write_appendix(incident, folder / "appendix.html")
print(out.name, out.stat().st_size, "bytes; no script, no outside reference")'''),
]


def main() -> None:
    """Write without outputs."""
    from writing import write

    write(HERE / "05_reconstruct_the_incident.ipynb", CELLS)


if __name__ == "__main__":
    main()
