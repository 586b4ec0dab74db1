"""What the time stamps say: gaps, overlaps, repeats, variable rate against dropped frames.

Conventions: stamps are ticks of the stream's time base; "in order" means presentation order for
pictures and file order for decoding stamps. All detectors here are functions of arrays.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from forensics.container_explain import observe, span_between
from forensics.model import Discontinuity, Observation, Quantity, Span
from forensics.scan import Packets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["StampBreak", "Timing", "find_stamp_breaks", "join_streams", "measure_timing",
           "observe_stamps"]  # fmt: skip

_ABSENT = -(2**63)
#: A clock that falls back by so many seconds starts again.
RESTART_S = 1.0


@dataclass(frozen=True)
class Timing:
    """The frame interval of a stream.

    `step` ticks is the usual interval, `tolerance` ticks what rounding explains, `regular` the
    share of intervals within it, `pattern` one of constant, variable, single.
    """

    step: float
    tolerance: float
    regular: float
    pattern: Literal["constant", "variable", "single"]
    time_base: Fraction

    @property
    def step_s(self) -> float:
        """The usual interval in seconds."""
        return self.step * float(self.time_base)


@dataclass(frozen=True)
class StampBreak:
    """An interval that does not fit: rows of the packets before and after it, in ticks."""

    kind: Literal["pts-gap", "pts-overlap", "pts-reversed"]
    before: int
    after: int
    ticks: int
    missing: float


def measure_timing(pts: NDArray[np.int64], time_base: Fraction) -> Timing:
    """The usual interval between presentation stamps, and how strictly it is kept."""
    import numpy as np

    stamps = np.unique(pts[pts != _ABSENT])
    if len(stamps) < 3:
        return Timing(0.0, 0.0, 0.0, "single", time_base)
    steps = np.diff(stamps).astype(np.float64)
    step = float(np.median(steps))
    near = steps[np.abs(steps - step) <= 0.6 * step]
    step = float(near.mean()) if len(near) else step
    # A container clock of 1 ms cannot say 33.3 ms: up to one tick is rounding, not jitter.
    coarse = 1.01 if step < 200 else 0.0
    tolerance = max(coarse, 0.02 * step)
    regular = float((np.abs(steps - step) <= tolerance).mean())
    return Timing(step, tolerance, regular, "constant" if regular >= 0.9 else "variable", time_base)


def find_stamp_breaks(
    pts: NDArray[np.int64], dts: NDArray[np.int64], time_base: Fraction, *,
    variable_factor: float = 4.0, variable_floor_s: float = 0.25,
) -> list[StampBreak]:  # fmt: skip
    """Intervals between presentation stamps that are too long, too short or turned round.

    Parameters
    ----------
    pts, dts
        (n,) stamps in file order, ticks; -2**63 where absent.
    time_base
        Seconds a tick.
    variable_factor, variable_floor_s
        In a stream of variable rate only an interval longer than both this many times the 98th
        percentile and this many seconds counts.

    Returns
    -------
    list of StampBreak
    """
    import numpy as np

    found: list[StampBreak] = []
    rows = np.flatnonzero(pts != _ABSENT)
    if len(rows) < 3:
        return found
    timing = measure_timing(pts, time_base)
    order = rows[np.argsort(pts[rows], kind="stable")]
    steps = np.diff(pts[order])
    if timing.pattern == "constant":
        odd = np.abs(steps - timing.step) > timing.tolerance
    else:
        usual = float(np.quantile(steps, 0.98))
        floor = variable_floor_s / float(time_base)
        odd = (steps > variable_factor * usual) & (steps > floor)
        odd |= steps == 0
    for at in np.flatnonzero(odd):
        step = int(steps[at])
        kind: Literal["pts-gap", "pts-overlap"] = "pts-gap" if step > timing.step else "pts-overlap"
        missing = step / timing.step - 1 if timing.step else 0.0
        found.append(StampBreak(kind, int(order[at]), int(order[at + 1]), step, missing))
    stamped = np.flatnonzero(dts != _ABSENT)
    back = np.diff(dts[stamped])
    for at in np.flatnonzero(back < 0):
        before, after = int(stamped[at]), int(stamped[at + 1])
        found.append(StampBreak("pts-reversed", before, after, int(back[at]), 0.0))
    return found


def observe_stamps(
    packets: Packets, *, what: str, shown: NDArray[np.bool_], most: int = 12
) -> list[Observation]:
    """The breaks of one stream as observations: single ones by name, frequent ones as a habit.

    Parameters
    ----------
    packets
        The packet table.
    what
        ``pictures`` or ``sound``: the word used in the texts.
    shown
        (n,) packets that are presented.
    most
        More breaks than this are one habit of the recorder, not so many events.
    """
    import numpy as np

    rows = np.flatnonzero(shown)
    if len(rows) < 8:
        return []
    pts, dts = packets.pts[rows], packets.dts[rows]
    if not (pts != _ABSENT).any():
        pts = dts
    stamped = np.flatnonzero(dts != _ABSENT)
    falls = stamped[1:][np.diff(dts[stamped]) < -RESTART_S / float(packets.time_base)]
    if 0 < len(falls) <= most:
        return _observe_restarts(packets, what, rows, falls, most)
    breaks = find_stamp_breaks(pts, dts, packets.time_base)
    if not breaks:
        return []
    base = packets.time_base
    timing = measure_timing(pts, base)

    def at(row: int) -> Fraction | None:
        return None if pts[row] == _ABSENT else int(pts[row]) * base

    lost = sum(max(0.0, b.missing) for b in breaks if b.kind == "pts-gap")
    stamped = pts[pts != _ABSENT]
    whole = Span(int(stamped.min()) * base, int(stamped.max()) * base)
    if len(breaks) > most:
        variable = timing.pattern == "variable"
        reasons = ("vfr-phone", "camera-drops") if variable else ("camera-drops", "packet-loss")
        return [
            observe(
                "timestamps", "dropped-frames", "inconclusive", span=whole, score=0.3,
                supports=(f"{len(breaks)} irregular intervals between {what}",),
                explanations=(*reasons, "motion-recorder", "stream-copy-cut"),
                measures={
                    "irregular_intervals": Quantity.exact(len(breaks), "intervals"),
                    "missing": Quantity(lost, "frames", note="gaps divided by the usual interval"),
                    "usual_interval": Quantity.exact(timing.step_s, "s"),
                },
                note=f"the stamps of the {what} are irregular throughout; no single place stands "
                     "out", stratum="stamps-irregular",
            )
        ]  # fmt: skip
    seen = []
    for item in breaks:
        first, second = at(item.before), at(item.after)
        size = Quantity.exact(float(abs(item.ticks) * base), "s", "difference of two stamps")
        words = {
            "pts-gap": "nothing is shown for longer than the usual interval",
            "pts-overlap": "two stamps are closer than the usual interval, or the same",
            "pts-reversed": "decoding stamps run backwards",
        }[item.kind]
        off = abs(item.missing) < 0.5 and item.kind != "pts-reversed"
        # Fragmented files often show one packet of sound alone before the rest begins.
        lead_in = what.startswith("sound") and first is not None and first <= whole.start
        # AVI stores no stamps, and a demuxer that makes them up runs out of pictures at the end.
        lead_out = item.kind == "pts-overlap" and second is not None and second >= whole.end
        off = off or lead_in or lead_out
        seen.append(
            observe(
                "timestamps", item.kind, "inconclusive", span=span_between(first, second),
                score=0.4 if off else min(0.8, 0.5 + 0.02 * max(0.0, item.missing)),
                supports=(f"{item.kind} in the {what}",),
                explanations=("stream-copy-cut", "packet-loss", "motion-recorder", "camera-drops",
                              "clock-rounding"),
                removed=Quantity(
                    float(item.missing) * timing.step_s, "s",
                    note="length of the gap; more may be missing",
                ) if item.missing >= 0.5 else None,
                measures={"interval": size, "usual_interval":
                          Quantity.exact(timing.step_s, "s", "mean of the regular intervals")},
                note=f"{what}: {words}", stratum="stamps",
            )
        )  # fmt: skip
    return seen


def _observe_restarts(
    packets: Packets, what: str, rows: NDArray[np.int64], falls: NDArray[np.int64], most: int
) -> list[Observation]:
    """A clock that starts again: each part by itself, and every restart by name."""
    import numpy as np

    seen: list[Observation] = []
    for low, high in itertools.pairwise([0, *falls.tolist(), len(rows)]):
        part = np.zeros(len(packets), dtype=bool)
        part[rows[low:high]] = True
        seen += observe_stamps(packets, what=what, shown=part, most=most)
    for fall in falls.tolist():
        row = int(rows[fall])
        back = float(int(packets.dts[rows[fall - 1]] - packets.dts[row]) * packets.time_base)
        seen.append(observe(
            "timestamps", "pts-reversed", "inconclusive", span=None,
            score=0.3 if what.startswith("sound") else 0.6,
            supports=(f"the stamps of the {what} fall back by {back:.3f} s at packet {row}",),
            explanations=("joined-by-tool", "encoder-restart", "motion-recorder", "interrupted"),
            measures={"packet": Quantity.exact(row, "", "row of the packet table"),
                      "byte": Quantity.exact(int(packets.position[row]), "bytes")},
            note="the clock starts again: one recording stands behind another, or the recorder "
                 "began anew; times in the file stand there twice", stratum="stamps, restarts",
        ))  # fmt: skip
    return seen


def join_streams(
    pictures: list[Observation], sound: list[Observation], *, reach_s: Fraction = Fraction(1, 10)
) -> list[Observation]:
    """Breaks of the pictures' stamps, those that coincide with one of the sound's made stronger.

    A tool that joins copied streams rounds each to its own packets, so that both are irregular at
    the joint by less than a packet. Either alone is rounding; together, in streams that are
    otherwise regular, they are one event. What is joined is taken out of `sound`.

    Parameters
    ----------
    pictures, sound
        Observations of `observe_stamps`.
    reach_s
        How far apart the two may lie.
    """
    joined = []
    for one in pictures:
        near = Span(one.span.start - reach_s, one.span.end + reach_s) if one.span else None
        with_it = [o for o in sound if near is not None and o.span is not None and near & o.span
                   and isinstance(o.what, Discontinuity) and o.what.kind != "dropped-frames"]
        said = one.what
        single = isinstance(said, Discontinuity) and said.kind != "dropped-frames"
        if not with_it or not single or not isinstance(said, Discontinuity):
            joined.append(one)
            continue
        for other in with_it:
            sound.remove(other)
        supports = [*said.supports, *(text for o in with_it if isinstance(o.what, Discontinuity)
                                      for text in o.what.supports)]  # fmt: skip
        joined.append(observe(
            "timestamps", said.kind, "inconclusive", span=one.span,
            score=max(0.7, one.score, *(o.score for o in with_it)), supports=supports,
            explanations=("joined-by-tool", "stream-copy-cut", "motion-recorder",
                          "encoder-restart", "interrupted"), removed=said.removed,
            measures=one.measures, note="the stamps of pictures and sound break at the same moment",
            stratum="stamps, pictures and sound",
        ))  # fmt: skip
    return joined
