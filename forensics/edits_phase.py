"""The older GOP's rhythm in the decoded pictures: a deletion where packet sizes do not show it.

B-frames in the last encoding hide an older GOP from the sizes of its packets. The share of pixels
that change at all from picture to picture keeps it: what was a key frame before was coded afresh,
so that more of it differs from its neighbour. The series is the ``changed`` column of the scan
that the frame level has made already.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from forensics import container
from forensics.container_gop import GopMeasurement, observe_train
from forensics.container_pulse import (
    PhaseBreak,
    PulseTrain,
    gop_phase_breaks,
    pulse_shape,
    standardise,
)
from forensics.errors import SignalTooShort
from forensics.model import Clip, Coverage, Examination, Observation, Progress, Quantity
from forensics.provenance import conclude, method
from forensics.scan import Measurements
from forensics.video import measure_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["changed_series", "find_gop_phase_breaks", "judge_changes"]

#: Set on the tuning half of the sources in benchmarks/bytes.py: single encodings stayed below 3.0,
#: cut double encodings that were found began at 3.7; their breaks scored 8.4 and more.
LEAST_STRENGTH = 3.4
LEAST_SCORE = 6.0
#: A deletion is not undone: all that follows a break keeps to its new place by so much more than
#: to the old one (standard errors). Where B-frames carry a pulse to the next P-frame now and then,
#: the pulses come back to where they were.
LEAST_KEPT = 3.0
#: Mean height of the pulses, standard scores: an older GOP's were above 5, those of a converted
#: frame rate, which a long clip makes just as sure, below 3.
LEAST_HEIGHT = 3.5
LEAST_FRAMES = 96


def changed_series(
    measured: Measurements,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """What the detector is fed: one number a picture, which to compare it with, what to leave out.

    A B-frame changes less than a P-frame, and the picture after it more: a picture is compared
    with those of its own type that follow the same type. The square root evens out the noise of a
    share. Key pictures of this encoding and the one after each follow its own rhythm.
    """
    import numpy as np

    series = np.sqrt(np.asarray(measured.columns["changed"], dtype=np.float64))
    kind = measured.picture_type.astype(np.int64)
    before = np.concatenate([[0], kind[:-1]])
    skip = np.asarray(measured.key, bool).copy()
    skip[1:] |= skip[:-1].copy()
    skip[:1] = True
    for ordinal, _, _ in measured.sizes[1:]:
        skip[ordinal] = True
    return series, kind * 8 + before, skip


def judge_changes(
    series: NDArray[np.float64], kinds: NDArray[np.int64], skip: NDArray[np.bool_]
) -> PulseTrain | None:
    """The pulse train of an older GOP in the share of changed pixels; None: nothing to compare."""
    import numpy as np

    train = gop_phase_breaks(
        series, kinds=kinds, ignore=skip, logarithm=False, least_strength=LEAST_STRENGTH,
        least_score=LEAST_SCORE,
    )  # fmt: skip
    if train is None:
        return None
    scores = standardise(series, kinds=kinds, ignore=skip, logarithm=False)
    if pulse_shape(scores, train, ignore=skip)[0] < LEAST_HEIGHT:
        return None
    # Key pictures and their successors are left out, so a train that runs with them is made of
    # what this encoder does a little after each.
    edges = np.flatnonzero(np.diff(skip.astype(np.int8), prepend=0) > 0)
    steps = np.diff(edges)
    usual = int(np.median(steps)) if len(steps) else 0
    fixed = float((steps == usual).mean()) if len(steps) else 0.0
    if train.follows(skip, usual, fixed):
        return None
    kept: list[PhaseBreak] = []
    stands: int | None = None
    for item in train.breaks:
        # The way back from a place that the pulses did not keep to is no break either.
        if item.after % item.period != stands and _lasts(scores, skip, train, item):
            kept.append(item)
            stands = None
        elif stands is None:
            stands = (item.after + item.removed) % item.period
    return dataclasses.replace(train, breaks=tuple(kept))


def _lasts(
    scores: NDArray[np.float64], skip: NDArray[np.bool_], train: PulseTrain, item: PhaseBreak
) -> bool:
    """Whether the pulses keep to their new place until the next break or the end."""
    import numpy as np

    later = [other.before for other in train.breaks if other.before > item.before]
    end = min(later, default=len(scores) - 1)
    new = item.after % item.period
    old = (new + item.removed) % item.period

    def evidence(phase: int) -> float:
        at = np.arange(item.after + (phase - item.after) % item.period, end + 1, item.period)
        at = at[~skip[at]]
        return float(scores[at].sum() / np.sqrt(len(at))) if len(at) else 0.0

    return evidence(new) - max(evidence(old), 0.0) >= LEAST_KEPT


@method("edits-gop-phase", version="2", references=(
    "Vazquez-Padin et al., WIFS 2012 (variation of prediction footprint)",
    "SWGDE 23-V-001 Best Practices for Digital Video Authentication",
))  # fmt: skip
def find_gop_phase_breaks(clip: Clip, *, progress: Progress | None = None) -> Examination:
    """Deletions before a re-encoding, by the older GOP's rhythm in the share of changed pixels.

    Parameters
    ----------
    clip
        An opened clip.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Discontinuity` observations of level ``compression``: ``double-compression`` (a remark)
        and one ``gop-phase-break`` each place where the rhythm falls out of step, between the last
        old and the first new pulse, with the removed frames modulo the older GOP. Without
        B-frames the question is left to the container level, which sees more. *Not applicable*
        where no older GOP shows: then a deletion could not have been seen.
        `measures`: ``strength`` of the strongest rhythm (standard errors above chance).

    Raises
    ------
    ClipUnreadable, ClipRefused, ClipChanged
        Recorded as *failed*. No pictures, or fewer than 96: *not applicable*.

    References
    ----------
    Vazquez-Padin et al., Detection of video double encoding with GOP size estimation, WIFS 2012.

    When it errs
    ------------
    Calls it a break when the older encoder began a GOP out of turn, at a scene change, after a
    pause or a loss, and someone encoded the recording again since (ASTM E3016: misinterpretation);
    and where the scene itself pulses and changes its beat (inaccuracy, existence). Misses whole
    multiples of the older GOP, an older encoding with varying GOPs, a last encoding much coarser
    than the first, and everything after a rescale (incompleteness). Cannot tell a deletion of r
    frames from an insertion of one GOP less r (inaccuracy, association). Rates were measured for
    the strata ``changed pixels`` and ``double, changed pixels``, on still scenes.
    """
    gop = container.measure_gop(clip)
    measured = measure_frames(clip, progress=progress)
    coverage = measured.coverage()
    if len(measured) < LEAST_FRAMES:
        have = float(coverage.span.length) if coverage.span is not None else 0.0
        raise SignalTooShort(
            f"{len(measured)} pictures are too few for an older GOP to show", have_s=have,
            need_s=have * LEAST_FRAMES / max(1, len(measured)),
        )  # fmt: skip
    if gop.train is not None and not gop.has_b:
        # Measured: without B-frames the sizes show more than the pixels do.
        if gop.double:
            return conclude((), coverage=coverage, reason=(
                "without B-frames the packet sizes show the older GOP: see the container level"))
        why = "not testable: no older GOP shows in the packet sizes, and there are no B-frames"
        return conclude((), coverage=coverage, outcome="not-applicable", reason=why)
    train = judge_changes(*changed_series(measured))
    if train is None or train.strength < LEAST_STRENGTH:
        why = ("not testable: no older GOP shows in the changed pixels: a single encoding, a "
               "rescale, an older GOP that varied, or a much coarser last encoding")  # fmt: skip
        return conclude((), coverage=coverage, outcome="not-applicable", reason=why,
                        measures=_measures(train))  # fmt: skip
    return conclude(
        _observe(train, measured, gop, coverage), coverage=coverage, measures=_measures(train),
        reason="" if train.breaks else f"an older GOP of {train.period} frames, in step throughout",
    )  # fmt: skip


def _measures(train: PulseTrain | None) -> dict[str, Quantity]:
    if train is None:
        return {}
    return {"strength": Quantity(train.strength, "", note="standard errors above chance; "
                                 f"{LEAST_STRENGTH:g} or more counts")}  # fmt: skip


def _observe(
    train: PulseTrain, measured: Measurements, gop: GopMeasurement,
    coverage: Coverage,
) -> list[Observation]:  # fmt: skip
    carrier = "changed pixels"
    last = len(measured) - 1
    spans = [measured.span(max(0, item.before), min(item.after, last)) for item in train.breaks]
    seen = observe_train(train, coverage.span, spans, carrier=carrier, stratum=carrier)
    if not gop.double or gop.train is None:
        return seen
    # The container level has said as much of these, from the sizes of the packets.
    told = [gop.span(item) for item in gop.train.breaks]
    return [one for one, span in zip(seen[1:], spans, strict=True)
            if not any(span & other for other in told)]  # fmt: skip
