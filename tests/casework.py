"""A case made from nothing, with every kind of claim and absence in it, for tests of documents.

The methods registered here say what they are told to say: what is under test is how it is
recorded and printed, not whether it is right.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from forensics import provenance
from forensics.clip import open_clip
from forensics.errors import SignalTooShort, ToolMissing
from forensics.incident_plan import Plan, PlannedClip
from forensics.model import (
    Activity,
    Alignment,
    Artefact,
    Box,
    Candidate,
    Claim,
    Clip,
    ClockReading,
    Count,
    Coverage,
    Discontinuity,
    Examination,
    Explanation,
    Flash,
    Keyframe,
    NotTestable,
    Observation,
    PairEvidence,
    Placement,
    PlateReading,
    Progress,
    Quantity,
    Sighting,
    SoundEvent,
    Span,
    Unplaced,
    VehicleSighting,
    Verdict,
)
from forensics.provenance_ledger import Action, Failure

PLATE = "1234 AB-7"
LABEL = "<script>alert(1)</script> #panic() $x$ *b* _i_ @ref <lbl>"


def picture(seed: int) -> Artefact:
    """A small PNG with a gradient and a number of its own."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(30, 220, 320)[None, :, None] * np.ones((180, 1, 3))
    ramp[40:120, 40 + 20 * (seed % 8) : 90 + 20 * (seed % 8)] = rng.integers(0, 255, 3)
    out = io.BytesIO()
    Image.fromarray(ramp.astype(np.uint8)).save(out, "PNG")
    return provenance.keep(out.getvalue(), media_type="image/png", label=f"keyframe {seed}")


@provenance.method("case-keyframes", version="2", references=("Nobody, A made-up reference, 2020",))
def find_case_keyframes(
    clip: Clip, *, max_count: int = 4, floor_db: float = 6.0, progress: Progress | None = None
) -> Examination:
    """Frames that a test wants to see.

    Takes evenly spaced frames and says so.

    When it errs
    ------------
    Calls a frame sharp when it is noisy (ASTM E3016: inaccuracy, existence).

    Misses everything between the frames.
    """
    seen = [
        Observation(
            Keyframe(n * 10, Fraction(n * 10, 25), "ab" * 32, "interval",
                     Quantity(3.5 + n, "grey levels", 3.0 + n, 4.0 + n), 48 + n),
            Span.of(n * 0.4, n * 0.4), 0.5, (picture(n),),
        )
        for n in range(max_count)
    ]  # fmt: skip
    return provenance.conclude(seen, coverage=Coverage(Span.of(0, 4), 100, decode_failures=1))


@provenance.method("case-everything", version="1")
def find_everything(
    clip: Clip, *, seed: int = 7, progress: Progress | None = None
) -> Examination:
    """One of each kind of claim.

    When it errs
    ------------
    Always.
    """
    box = Box(10, 20, 60, 80)
    said = [
        Discontinuity("frame", "deletion", "inconsistent", ("frame", "audio"), (
            Explanation(2, "vfr", True, "variable frame rate"),
            Explanation(1, "cut", False, "frames were removed"),
        ), Quantity(2.0, "s", 1.9, 2.1)),
        SoundEvent("impulse", Fraction(3, 2), Quantity(31.0, "dB above the noise floor", 29, 33)),
        Flash(Fraction(2), None, Quantity(40, "grey levels", 38, 42)),
        Activity("bench", "falls", Fraction(5, 2)),
        ClockReading(3, Fraction(3, 25), LABEL, "2020-09-23 17:31:05", box),
        Sighting("patch", 4, Fraction(4, 25), "cd" * 32, box, "detector", "possible_design", (
            Candidate("entry-a", 0.81, ("sword",), ("border",)),
            Candidate("entry-b", 0.42, look_alike=True),
        )),
        VehicleSighting("bus", 5, Fraction(5, 25), "ef" * 32, box, "detector", plate=PlateReading(
            "readable", PLATE, ("1234 A8-7",), box, Quantity(22, "px", 21, 23))),
    ]  # fmt: skip
    seen = [
        Observation(what, Span.of(1 + n * 0.25, 1 + n * 0.25), 0.8, note=f"plate {PLATE}",
                    measures={"contrast": Quantity(0.4, "", 0.3, 0.5)})
        for n, what in enumerate(said)
    ]  # fmt: skip
    hole = NotTestable(Span.of(3, 4), "too dark")
    return provenance.conclude(seen, coverage=Coverage(Span.of(0, 4), 100, not_testable=(hole,)))


@provenance.method("case-absences", version="1")
def find_absences(
    clip: Clip, *, kind: str = "nothing", progress: Progress | None = None
) -> Examination:
    """Look and see nothing, be unable to look, or break off.

    When it errs
    ------------
    Never finds anything.
    """
    if kind == "short":
        raise SignalTooShort("0.2 s of sound, 1 s needed", need_s=1, have_s=0.2)
    if kind == "missing":
        raise ToolMissing("not run: a program is missing", tool="x", hint="install it")
    return provenance.conclude((), coverage=Coverage(Span.of(0, 4), 192000, "samples"))


@provenance.method("case-align", version="1")
def align_case(clips: list[Clip], *, progress: Progress | None = None) -> Alignment:
    """Place clips as told.

    When it errs
    ------------
    Always.
    """
    first, second, third = (clip.digest for clip in clips)
    exact = Quantity.exact(0, "s", "the reference")
    drift = Quantity(3.0, "ppm", -2, 8)
    offset = Quantity(1.25, "s", 1.24, 1.26)
    return Alignment(
        provenance.current_origin(), first,
        (Placement(first, exact, Quantity.exact(0, "ppm", "the reference"), "reference", ()),
         Placement(second, offset, drift, "sound", ("12 peaks",))),
        (PairEvidence(first, second, "sound", offset, 9.3, True,
                      Quantity(1e-6, "", 0, 1e-4), drift, 0.0004),
         PairEvidence(first, third, "sound", None, 1.1, False, note="below the null")),
        ((first, second), (third,)), (Unplaced(third, "nothing-found", "no shared sound"),),
    )  # fmt: skip


@dataclass
class Case:
    """Folder, plan and ledger: what a document needs of an incident."""

    folder: Path
    plan: Plan
    ledger: provenance.Ledger


def make_case(folder: Path, clips: list[Path], *, title: str = "A made-up incident") -> Case:
    """A case of three clips and one file that is no clip, examined with the methods above."""
    folder.mkdir(parents=True, exist_ok=True)
    bad = folder / "bad.mp4"
    bad.write_bytes(b"this is not a recording")
    names = ["cctv", "phone-a", "phone-b"]
    planned = tuple(PlannedClip(n, str(p)) for n, p in zip(names, clips, strict=True))
    plan = Plan(title, (*planned, PlannedClip("bad", "bad.mp4")), case="TEST-7")
    ledger = provenance.Ledger(folder / "ledger.jsonl")
    opened = [open_clip(path, metadata=False) for path in clips]
    for clip in opened:
        ledger.append(clip)
    ledger.append(Failure(bad.absolute(), "ClipUnreadable", "bad.mp4 cannot be opened as media"))
    ledger.append(find_case_keyframes(opened[0]))
    ledger.append(find_case_keyframes(opened[0]))
    ledger.append(find_everything(opened[0]))
    ledger.append(find_everything(opened[1]))
    for kind in ("nothing", "short", "missing"):
        ledger.append(find_absences(opened[2], kind=kind))
    ledger.append(align_case(opened))
    shots = [f.id for x in ledger.examinations() for f in x
             if isinstance(f.observation.what, SoundEvent)]  # fmt: skip
    said = "There were two genuine shots"  # lint: mention
    claim = Claim("two-shots", said, "a witness", Count("impulse", 2))
    ledger.append(Verdict(claim, "supported", tuple(shots), (), "2 certain",
                          Quantity(2, "events", 2, 2)))  # fmt: skip
    ledger.append(Action("forensics", "originals hashed again", tuple(c.digest for c in opened)))
    return Case(folder, plan, ledger)
