"""The words for what a burned-in clock shows: kinds of break, and what else can cause them."""

from __future__ import annotations

import math

from forensics.clock_walk import Break
from forensics.model import (
    Artefact,
    Discontinuity,
    DiscontinuityKind,
    Explanation,
    Observation,
    Quantity,
    Span,
    Verdict3,
)

__all__ = ["break_observation", "reading_note"]

_KIND: dict[str, DiscontinuityKind] = {
    "jump": "clock-jump", "missing": "clock-missing-seconds", "frozen": "clock-frozen",
    "rate": "clock-rate",
}  # fmt: skip
_CUT = ("stretch removed", False, "a stretch of the recording was cut out")
_PAUSE = ("recorder paused", True, "the recorder stopped while nothing moved, or lost power")
_SET = ("clock corrected", True, "the clock was set, or corrected itself from the network")
_REPEAT = ("stretch shown again", False, "an earlier stretch was inserted or played a second time")
_ORDER = ("order changed", False, "stretches were put into another order")
_STALL = ("camera stalled", True, "the camera or recorder delivered the same picture for a while")
_STILL = ("still inserted", False, "a still picture was laid over a stretch of the recording")
_STAMPS = ("frames lost, stamps kept", True, "frames were dropped and the rest stamped evenly")
_SPEED = ("speed changed", False, "the footage was sped up or slowed down")
_DECLARED = ("wrong frame rate", True, "the export declares another frame rate than was recorded")
_SUMMER = ("summer time", True, "the clock changed to or from summer time")


def _explanations(item: Break) -> tuple[Explanation, ...]:
    whole_hours = abs(abs(item.step_s) % 3600) < 1.5 and abs(item.step_s) > 3000
    small = abs(item.step_s) < 2.0
    if item.kind == "rate":
        listed = [_DECLARED, _SPEED]
    elif item.kind == "frozen":
        listed = [_STALL, _STILL]
    elif item.kind == "missing":
        listed = [_PAUSE, _CUT, _SET] if not small else [_STAMPS, _CUT, _SET]
    elif item.step_s > 0:
        listed = [_PAUSE, _CUT, _SET]
    else:
        listed = [_SET, _REPEAT, _ORDER]
    if whole_hours:
        listed.insert(0, _SUMMER)
    return tuple(
        Explanation(rank, name, benign, text)
        for rank, (name, benign, text) in enumerate(listed, start=1)
    )


def _verdict(item: Break, witnessed: bool) -> Verdict3:
    if not witnessed:
        # Something that changes about once a second need not be a clock at all.
        return "inconclusive"
    # A step of a second or more is not how a continuous recording runs; a stop that catches up,
    # another rate, or less than a second may be the recorder's own doing.
    return "inconsistent" if abs(item.step_s) >= 1.0 else "inconclusive"


def break_observation(
    item: Break, span: Span, frame_s: float, read: bool, crops: tuple[Artefact, ...], stratum: str,
    texts: tuple[str, str], rate: Quantity | None = None, *, witnessed: bool = False,
) -> Observation:  # fmt: skip
    """One break as an observation, with what may be behind it.

    Parameters
    ----------
    item
        The break.
    span
        Where in the clip it lies.
    frame_s
        Seconds between frames.
    read
        Whether the figures were read; if not, steps are known only but for tens of seconds.
    crops, stratum
        Proof, and the conditions.
    texts
        What the clock says before and after.
    rate
        For a rate: how fast it runs.
    witnessed
        Whether a text recogniser read the same clock in it: if not, the break is inconclusive.
    """
    error = max(frame_s, 2.8 * item.jitter_s)
    measures: dict[str, Quantity] = {}
    if item.kind == "rate" and rate is not None:
        measures["rate"] = rate
        excess = abs(rate.value - 1) / max(1e-6, (rate.high or rate.value) - rate.value)
    else:
        measures["step"] = Quantity(item.step_s, "s", item.step_s - error, item.step_s + error)
        excess = max(abs(item.step_s), item.stood_s - 1) / error
        if item.likeliest_s is not None:
            measures["place"] = Quantity(
                item.likeliest_s, "s", item.before_s, item.after_s,
                note="clip time of the first frame after the break; the ends are as much less "
                "likely as the figures of the seconds around were seen to mislead",
            )
        if item.stood_s:
            measures["stood"] = Quantity(
                item.stood_s, "s", max(0.0, item.stood_s - frame_s), item.stood_s + frame_s
            )
    removed = None
    if item.step_s > 0:
        removed = Quantity(item.step_s, "s", item.step_s - error, item.step_s + error)
    said = Discontinuity(
        level="clock", kind=_KIND[item.kind], verdict=_verdict(item, witnessed),
        supports=("burned-in clock",), explanations=_explanations(item), removed=removed,
    )  # fmt: skip
    note = f"the clock shows {texts[0]!r}, then {texts[1]!r}" if texts[0] else ""
    if texts[0] and not witnessed:
        note += "; no recogniser read them, so it may be a counter and no clock"
    if not read:
        note = "figures not read: the step is known but for multiples of ten seconds"
    score = 1.0 - 0.5 * math.exp(-max(0.0, excess - 1.0) / 3.0)
    return Observation(said, span, round(score, 4), crops, measures, note, stratum)


def reading_note(found_by: str, reader: str, ambiguous_day: bool, twelve: bool) -> str:
    """How the clock was found and read, and what stays open."""
    parts = [f"place: {found_by}", f"read with: figures learned from the clip, {reader}"]
    if ambiguous_day:
        parts.append("day and month could be exchanged")
    if twelve:
        parts.append("12-hour clock")
    return "; ".join(parts)
