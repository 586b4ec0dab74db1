"""What only an examiner can record: an absence seen, and a comparison in four steps.

"Masked, no insignia, plate covered" can be the evidence itself. A detector's silence never says
so; a person who looked does, by name, with a reason. A comparison is recorded as ACE-V: analysis,
comparison, evaluation, and a verification by somebody else who did not know the first decision.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, TypeAlias

from forensics.detector_frames import crop_box, png_bytes
from forensics.errors import RecordInvalid
from forensics.insignia_measure import measure_crop
from forensics.model import (
    Box,
    Candidate,
    Clip,
    Coverage,
    Examination,
    Observation,
    Sighting,
    SightingKind,
    SightingVerdict,
    Span,
    Value,
    canonical_json,
)
from forensics.provenance import conclude, keep, method
from forensics.scan import read_pictures, video_stream

__all__ = [
    "Absence", "Sealed", "Step", "blind_sheet", "check_steps", "record_absence",
    "record_comparison", "seal_decision",
]  # fmt: skip

Absence: TypeAlias = Literal["no-insignia", "no-plate", "covered", "not-visible"]
_ORDER = ("analysis", "comparison", "evaluation", "verification")
_DECISIONS = ("match_design", "possible_design", "no_match_in_gallery", "insufficient")


class Step(Value, frozen=True):
    """One recorded step of a comparison.

    `decision` is a verdict for evaluation and verification, ``suitable`` or ``not-suitable`` for
    the analysis, and free for the comparison. `saw_earlier` says whether this examiner knew the
    decisions taken before; a verification that did is not blind. `seal` binds an evaluation that
    was fixed before the verification began: see `seal_decision`.
    """

    step: Literal["analysis", "comparison", "evaluation", "verification"]
    examiner: str
    utc: str
    decision: str
    reason: str
    saw_earlier: bool = False
    seal: str = ""
    nonce: str = ""


class Sealed(Value, frozen=True):
    """A decision fixed but not shown: `seal` may be given away, `nonce` opens it later."""

    seal: str
    nonce: str


def _digest(decision: str, examiner: str, nonce: str) -> str:
    return hashlib.sha256(canonical_json([decision, examiner, nonce])).hexdigest()


def seal_decision(decision: str, *, examiner: str) -> Sealed:
    """Fix an evaluation before it is verified, without showing it.

    The seal goes to whoever verifies (or into the ledger); decision and nonce are shown after
    the verification. `check_steps` finds out whether the decision is the one that was sealed.

    Raises
    ------
    RecordInvalid
        Not one of the verdicts.

    When it errs
    ------------
    It shows that the decision was fixed before, not that the two people did not speak (ASTM
    E3016: misinterpretation).
    """
    if decision not in _DECISIONS:
        raise RecordInvalid(f"{decision!r} is no verdict; one of {', '.join(_DECISIONS)}")
    nonce = secrets.token_hex(16)
    return Sealed(_digest(decision, examiner, nonce), nonce)


def blind_sheet(sighting: Sighting, *, seed: int) -> tuple[str, ...]:
    """The candidates in an order that gives nothing away, for whoever verifies.

    No verdict, no score, no rank: entries only, shuffled by `seed`.

    When it errs
    ------------
    A verifier who knows the gallery may guess the leading candidate (ASTM E3016:
    misinterpretation).
    """
    entries = [candidate.entry for candidate in sighting.candidates]
    return tuple(sorted(entries, key=lambda e: hashlib.sha256(f"{seed} {e}".encode()).digest()))


def check_steps(steps: Sequence[Step]) -> tuple[SightingVerdict, str]:
    """The outcome of recorded steps: verdict, and what became of the verification.

    Returns
    -------
    verdict, verification
        Where evaluation and verification differ, the weaker verdict stands and the text says so.
        Verification is ``blind, agrees``, ``not blind, agrees``, ``..., differs: ...`` or
        ``not verified``.

    Raises
    ------
    RecordInvalid
        Steps missing or out of order, an examiner without name or reason, a verification by the
        evaluator, a decision that is no verdict, or a seal that does not fit.

    When it errs
    ------------
    It checks the form of what was recorded, not whether anybody looked (ASTM E3016:
    misinterpretation).
    """
    names = [step.step for step in steps]
    if names not in (list(_ORDER), list(_ORDER[:3])):
        raise RecordInvalid(f"a comparison is {', '.join(_ORDER)} in this order, not {names}")
    for step in steps:
        if not step.examiner.strip() or not step.reason.strip() or not step.utc.strip():
            raise RecordInvalid(f"the {step.step} needs an examiner, a time and a reason")
    analysis, evaluation = steps[0], steps[2]
    if analysis.decision not in ("suitable", "not-suitable"):
        raise RecordInvalid("an analysis ends in suitable or not-suitable")
    for step in steps[2:]:
        if step.decision not in _DECISIONS:
            raise RecordInvalid(f"{step.decision!r} is no verdict")
    if analysis.decision == "not-suitable" and evaluation.decision != "insufficient":
        raise RecordInvalid("what was found not suitable can only be evaluated as insufficient")
    if evaluation.seal and evaluation.seal != _digest(
        evaluation.decision, evaluation.examiner, evaluation.nonce
    ):
        raise RecordInvalid("the evaluation is not the one that was sealed")
    first = evaluation.decision
    if len(steps) == 3:
        return _verdict(first), "not verified"
    check = steps[3]
    if check.examiner.strip().casefold() == evaluation.examiner.strip().casefold():
        raise RecordInvalid("a verification is made by somebody else")
    blind = not check.saw_earlier and bool(evaluation.seal)
    how = "blind" if blind else "not blind"
    if check.decision == first:
        return _verdict(first), f"{how}, agrees"
    weaker = max(first, check.decision, key=_DECISIONS.index)
    return _verdict(weaker), f"{how}, differs: {first} and {check.decision}"


def _verdict(decision: str) -> SightingVerdict:
    known: dict[str, SightingVerdict] = {
        "match_design": "match_design", "possible_design": "possible_design",
        "no_match_in_gallery": "no_match_in_gallery", "insufficient": "insufficient",
    }  # fmt: skip
    return known[decision]


def _human(examiner: str) -> str:
    name = examiner.strip()
    if not name or name.lower().startswith(("detector", "model", "forensics", "auto")):
        raise RecordInvalid("only an examiner records this, by name")
    return name


@method(
    "insignia-absence", version="1",
    references=("SWGDE 15-I-002, Best Practices for Photographic Comparison",),
)  # fmt: skip
def record_absence(
    clip: Clip, *, ordinal: int, pts: Fraction, box: Box, kind: SightingKind, absence: Absence,
    examiner: str, reason: str,
) -> Examination:  # fmt: skip
    """Record that an examiner looked and saw no insignia, no plate, or that it is covered.

    Parameters
    ----------
    clip
        An opened clip.
    ordinal, pts
        The frame, as a `Keyframe` names it.
    box
        Where it would be seen if it were there.
    kind
        What is absent: ``patch``, ``plate``, ``helmet-number``, ...
    absence
        ``no-insignia``, ``no-plate``: the place is in view and bare; ``covered``: something hides
        it; ``not-visible``: the view does not show it, which is no absence at all.
    examiner, reason
        Who looked, and what lets them say so.

    Raises
    ------
    RecordInvalid
        No examiner, or no reason.

    When it errs
    ------------
    It is an examiner's statement: wrong when light, resolution or compression hide what is there
    (ASTM E3016: inaccuracy, existence); the pixels on target stand beside it.
    """
    name = _human(examiner)
    if not reason.strip():
        raise RecordInvalid("an absence needs a reason: what lets you say it is not there?")
    stream = video_stream(clip)
    picture = read_pictures(clip, [(ordinal, round(pts / stream.time_base))])[0]
    crop = crop_box(picture, box)
    said = Sighting(
        kind=kind, ordinal=ordinal, pts=picture.pts, pixel_hash=picture.pixel_hash, box=box,
        source=f"examiner:{name}", observed_absence=absence, attributes={"reason": reason},
    )  # fmt: skip
    shown = png_bytes(crop_box(picture, box, margin=0.15))
    seen = Observation(
        said, Span(picture.pts, picture.pts), 1.0,
        artefacts=(keep(shown, media_type="image/png", label=f"{absence} as seen"),),
        measures=measure_crop(crop, origin_px=(int(box.x), int(box.y))), note=reason,
        stratum="examiner",
    )  # fmt: skip
    return conclude([seen], coverage=Coverage(Span(picture.pts, picture.pts), 1, "frames"))


@method(
    "insignia-comparison", version="1",
    references=("SWGDE 15-I-002; ACE-V as four recorded steps, the verification blind",),
)  # fmt: skip
def record_comparison(
    clip: Clip, *, sighting: Sighting, steps: tuple[Step, ...]
) -> Examination:  # fmt: skip
    """Record an examiner's comparison of one sighting: four steps, the last by somebody else.

    Parameters
    ----------
    clip
        The clip the sighting is from.
    sighting
        As `find_markings` found it, with its candidates.
    steps
        Analysis, comparison, evaluation and, unless it is still to come, verification.

    Returns
    -------
    Examination
        The sighting with the examiners' verdict, how it was verified in its attributes, and the
        steps as an artefact.

    Raises
    ------
    RecordInvalid
        See `check_steps`; or the frame is not the one the sighting names.

    When it errs
    ------------
    Two examiners can share an error, above all where the gallery lacks the right design (ASTM
    E3016: inaccuracy, association).
    """
    verdict, verification = check_steps(steps)
    stream = video_stream(clip)
    picture = read_pictures(clip, [(sighting.ordinal, round(sighting.pts / stream.time_base))])[0]
    if picture.pixel_hash != sighting.pixel_hash:
        raise RecordInvalid("the frame is not the one the sighting was made on")
    leading: tuple[Candidate, ...] = sighting.candidates
    if verdict in ("match_design", "possible_design") and not leading:
        raise RecordInvalid(f"{verdict} of what? The sighting has no candidate")
    said = Sighting(
        kind=sighting.kind, ordinal=sighting.ordinal, pts=sighting.pts,
        pixel_hash=sighting.pixel_hash, box=sighting.box,
        source=f"examiner:{steps[2].examiner}", verdict=verdict, candidates=leading,
        polygon=sighting.polygon, text=sighting.text,
        attributes={**sighting.attributes, "verification": verification,
                    "machine_verdict": sighting.verdict},
        track=sighting.track,
    )  # fmt: skip
    steps_file = keep(canonical_json(list(steps)), media_type="application/json",
                      label="the four steps")  # fmt: skip
    crop = keep(png_bytes(crop_box(picture, sighting.box, margin=0.15)), media_type="image/png",
                label=f"{sighting.kind} as seen")  # fmt: skip
    seen = Observation(
        said, Span(picture.pts, picture.pts), 1.0, artefacts=(crop, steps_file),
        note=steps[2].reason, stratum="examiner",
    )  # fmt: skip
    return conclude([seen], coverage=Coverage(Span(picture.pts, picture.pts), 1, "frames"))
