"""GOP pattern, traces of an earlier encoding, and the phase break that shows a deletion.

Measured on packet sizes and picture types alone. The older GOP shows as a pulse train in the sizes
of the present encoding (`forensics.container_pulse`); B-frames blur it, a rescale wipes it out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from forensics.container_explain import observe
from forensics.container_headers import ABSENT, SliceTable, read_slice_headers
from forensics.container_pulse import (
    PhaseBreak,
    PulseTrain,
    gop_phase_breaks,
    pulse_shape,
    standardise,
)
from forensics.model import Clip, NotTestable, Observation, Progress, Quantity, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GopMeasurement", "measure_gop", "measure_gop_of", "observe_gop", "observe_train",
           "size_series"]  # fmt: skip

#: Tuned on the tuning half of the sources in benchmarks/bytes.py, as is the shape of a pulse:
#: the picture in front of an old key picture is cheap, those after it are dear.
LEAST_STRENGTH = 3.2
LEAST_STRENGTH_B = 3.6
LEAST_SCORE = 4.5
LEAST_SCORE_B = 8.0
PULSE = (-0.3, -0.4, 1.0, 0.5, 0.3)
#: Of a pulse's height, what the picture after it must have at least.
LEAST_TAIL = 0.05
#: OpenH264 controls its rate in groups of so many pictures; seen in single encodings of it.
RATE_GROUP = 8
LEAST_FRAMES = 96


@dataclass(frozen=True)
class GopMeasurement:
    """What sizes and types say about this encoding and one before it.

    `pattern` writes the commonest GOP as letters; `lengths` counts GOP lengths; `fixed` is the
    share of GOPs of the usual length. `train` is the pulse train of an older encoding, if it was
    looked for; `untestable` says why it was not, or why its absence means nothing.
    """

    frames: int
    pattern: str
    usual: int
    fixed: float
    lengths: tuple[tuple[int, int], ...]
    has_b: bool
    train: PulseTrain | None
    double: bool
    untestable: str
    pts: NDArray[np.int64]
    time_base: Fraction

    @property
    def first_gop(self) -> int | None:
        """Estimated GOP of the earlier encoding, frames; None if no earlier encoding shows."""
        return self.train.period if self.double and self.train is not None else None

    def time(self, index: int) -> Fraction:
        """Presentation time (s) of a picture in presentation order."""
        return int(self.pts[min(max(index, 0), len(self.pts) - 1)]) * self.time_base

    def span(self, item: PhaseBreak) -> Span:
        """Where a break lies: between the last old and the first new pulse."""
        return Span(self.time(item.before), self.time(item.after))


def size_series(table: SliceTable) -> tuple[
    NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:  # fmt: skip
    """Packet sizes in presentation order, their kinds, what to leave out, and the stamps.

    Key pictures of this encoding and the one coded after each are left out: their sizes follow
    this encoder's own rhythm.
    """
    import numpy as np

    stamps = table.packets.pts
    rows = np.flatnonzero(table.shown)
    stamped = stamps[rows] != ABSENT
    order = rows[np.argsort(stamps[rows], kind="stable")] if stamped.all() else rows
    kind = table.kind.astype(np.int64)
    intra = (kind == 1) | (table.access > 0)
    after = np.zeros(len(intra), bool)
    after[1:] = intra[:-1]
    kinds = kind * 8 + np.clip(table.reference.astype(np.int64), 0, 3)
    times = stamps[order] if stamped.all() else np.arange(len(order), dtype=np.int64)
    return table.packets.size[order].astype(np.float64), kinds[order], (intra | after)[order], times


def _pattern(table: SliceTable) -> tuple[str, int, float, Counter[int]]:
    import numpy as np

    starts = np.flatnonzero((table.access > 0) | ((table.kind == 1) & table.shown))
    if not len(starts):
        return "", 0, 0.0, Counter()
    edges = [*starts.tolist(), len(table)]
    whole = Counter(np.diff(starts).tolist())
    if not whole:
        whole = Counter({edges[1] - edges[0]: 1})
    usual = max(whole, key=lambda n: (whole[n], n))
    letters: Counter[str] = Counter()
    for begin in starts.tolist()[:500]:
        picked = table.kind[begin : begin + min(usual, 48)]
        letters["".join("?IPB"[k] for k in picked)] += 1
    share = whole[usual] / sum(whole.values())
    return letters.most_common(1)[0][0], usual, share, whole


def measure_gop_of(table: SliceTable) -> GopMeasurement:
    """`measure_gop` on a table that was read already."""
    import numpy as np

    pattern, usual, fixed, lengths = _pattern(table)
    sizes, kinds, ignore, stamps = size_series(table)
    predicted = ~ignore
    has_b = bool((table.kind == 3).mean() > 0.02) if len(table) else False
    why, train, double = "", None, False
    if len(sizes) < LEAST_FRAMES:
        why = f"only {len(sizes)} pictures; an older GOP needs {LEAST_FRAMES} or more to show"
    elif predicted.mean() < 0.5:
        why = "the container calls most pictures key frames: such sizes carry no older rhythm"
    elif not (table.kind == 2).any() and not (table.kind == 3).any():
        why = f"picture types of {table.codec} are not read; key frames alone cannot be left out"
    else:
        strength = LEAST_STRENGTH_B if has_b else LEAST_STRENGTH
        train = gop_phase_breaks(
            sizes, kinds=kinds, ignore=ignore, least_strength=strength,
            least_score=LEAST_SCORE_B if has_b else LEAST_SCORE, template=PULSE,
            least_shift=3 if has_b else 1,
        )  # fmt: skip
        if train is None:
            why = "too few predicted pictures"
        else:
            own = train.follows(ignore, usual, fixed)
            clear = train.strength >= strength and train.strength > 1.2 * train.rival
            jerks = clear and _is_jerk(sizes, kinds, ignore, train)
            eight = clear and train.period == RATE_GROUP
            double = clear and not own and not jerks and not eight
            if eight:
                why = (f"the strongest rhythm ({RATE_GROUP}) is that in which OpenH264 controls "
                       "its rate")  # fmt: skip
            elif jerks:
                why = (f"single pictures stand out every {train.period}: frames repeated or "
                       "dropped at a steady rate, not an older GOP")  # fmt: skip
            elif own:
                why = f"the strongest rhythm ({train.period}) is this encoder's own GOP"
            elif not double and has_b:
                why = ("B-frames hide an older GOP from packet sizes; the share of changed pixels, "
                       "which needs the decoded pictures, may still show it")  # fmt: skip
            elif not double:
                why = ("no rhythm of an older GOP: a single encoding, a rescale, an older GOP "
                       "that varied, or a much coarser last encoding")  # fmt: skip
    return GopMeasurement(
        len(sizes), pattern, usual, fixed, tuple(sorted(lengths.items())), has_b, train, double,
        why, np.asarray(stamps), table.packets.time_base,
    )  # fmt: skip


def _is_jerk(
    sizes: NDArray[np.float64], kinds: NDArray[np.int64], ignore: NDArray[np.bool_],
    train: PulseTrain,
) -> bool:  # fmt: skip
    """Whether the pulses are single pictures, or troughs: a converted frame rate leaves those.

    After an old key picture the sizes take a few pictures to come down again.
    """
    scores = standardise(sizes, kinds=kinds, ignore=ignore)
    shape = pulse_shape(scores, train, ignore=ignore)
    top = float(shape.max())
    return bool(shape[1] <= LEAST_TAIL * shape[0] or -float(shape.min()) > 1.5 * top)


def measure_gop(clip: Clip, *, progress: Progress | None = None) -> GopMeasurement:
    """GOP pattern, and the GOP of an encoding before this one, from sizes and types alone.

    Parameters
    ----------
    clip
        An opened clip.
    progress
        Called with (fraction, text).

    Returns
    -------
    GopMeasurement

    Raises
    ------
    StreamMissing, ClipUnreadable, ClipRefused, ClipChanged

    References
    ----------
    Vazquez-Padin et al., Detection of video double encoding with GOP size estimation, WIFS 2012.

    When it errs
    ------------
    Calls it double where a scene pulses by itself at a fixed rate (ASTM E3016: inaccuracy,
    existence; single pictures that stand out, as a converted frame rate leaves them, are told
    apart), or a multiple or divisor of the true GOP (inaccuracy: alteration). Misses an
    earlier encoding after a rescale, with a variable GOP, with one of 8 pictures, or much better
    than the last one (incompleteness). Says nothing about who encoded it, or why.
    """
    return measure_gop_of(read_slice_headers(clip, progress=progress))


def observe_train(
    train: PulseTrain, whole: Span | None, spans: Sequence[Span], *, carrier: str, stratum: str
) -> list[Observation]:
    """An older GOP and the breaks of its phase, as observations.

    Parameters
    ----------
    train
        The pulse train that was found.
    whole
        What was looked at.
    spans
        Where each of the train's breaks lies.
    carrier
        What pulses: ``packet sizes`` or ``changed pixels``.
    stratum
        The conditions, as the error-rate table names them.
    """
    return [
        _observe_older_gop(train, whole, carrier=carrier, stratum=stratum),
        *(_observe_phase_break(item, span, carrier=carrier, stratum=stratum)
          for item, span in zip(train.breaks, spans, strict=True)),
    ]  # fmt: skip


def _observe_older_gop(
    train: PulseTrain, whole: Span | None, *, carrier: str, stratum: str
) -> Observation:
    """An older GOP that shows in `carrier`, as an observation: encoded at least twice."""
    return observe(
        "compression", "double-compression", "inconclusive", span=whole, score=0.3,
        stratum=f"double, {stratum}",
        supports=[(f"{carrier} pulse every {train.period} frames, "
                  f"strength {train.strength:.1f}, next best {train.rival:.1f}")],
        explanations=("platform-transcode", "re-encoded", "still-scene"),
        measures={
            "first_gop": Quantity(float(train.period), "frames",
                                  note="estimate; a multiple or divisor cannot be excluded"),
            "strength": Quantity(train.strength, "", note="standard errors above chance"),
        },
        note="encoded at least twice: by itself no sign of an edit",
    )  # fmt: skip


def _observe_phase_break(
    item: PhaseBreak, span: Span, *, carrier: str, stratum: str
) -> Observation:
    """A break of an older GOP's phase, as an observation.

    Never more than inconclusive by itself: an encoder that puts in a key frame when the picture
    changes, or starts again after a pause, leaves the same in every later copy.
    """
    others = "" if item.removed else "; an exact multiple would not show"
    return observe(
        "compression", "gop-phase-break", "inconclusive", span=span,
        score=min(0.95, 0.5 + 0.03 * item.score), stratum=stratum,
        supports=[
            (f"the pulse train of the older GOP of {item.period} in the {carrier} is out of step "
             f"by {item.removed} frames; {item.pulses_before} pulses before, "
             f"{item.pulses_after} after, score {item.score:.1f}")
        ],
        explanations=("deletion-re-encoded", "scene-cut", "encoder-restart", "camera-drops",
                      "motion-recorder", "still-scene"),
        removed=Quantity(float(item.removed), "frames", note=(
            f"modulo {item.period}: this many plus any multiple of {item.period}, or that "
            f"much less than a multiple inserted{others}")),
        measures={"older_gop": Quantity(float(item.period), "frames", note="estimate"),
                  "break_score": Quantity(item.score, "", note="standard errors")},
        note="frames were taken out or put in before the last encoding, or the older encoder "
             "began a new GOP out of turn",
    )  # fmt: skip


def observe_gop(found: GopMeasurement, whole: Span | None) -> tuple[
    list[Observation], tuple[NotTestable, ...]]:  # fmt: skip
    """Findings of the compression level, and where a re-encoded deletion could not have shown."""
    seen: list[Observation] = []
    stratum = "B-frames" if found.has_b else "no B-frames"
    train = found.train
    if found.double and train is not None:
        seen = observe_train(
            train, whole, [found.span(item) for item in train.breaks], carrier="packet sizes",
            stratum=stratum,
        )  # fmt: skip
    blind: tuple[NotTestable, ...] = ()
    if found.untestable and whole is not None:
        blind = (NotTestable(whole, f"deletion before a re-encoding: {found.untestable}"),)
    return seen, blind
