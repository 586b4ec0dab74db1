"""Mains hum: is it there, does its phase run on, and when does it match a reference?

*Not measurable* is the default answer: the hum-to-rest ratio is measured and given first.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from forensics.enf_breaks import LEAST, LEAST_ALIKE, Break, find_breaks
from forensics.enf_flicker import Flicker, measure_flicker
from forensics.enf_hum import DECOYS_HZ, measure_phasors, measure_power
from forensics.enf_lamp import read_lamp
from forensics.enf_match import RIVAL, MatchResult, match_steps, measure_steps
from forensics.enf_sound import HumSound, read_hum_sound
from forensics.errors import SignalTooShort, StreamMissing
from forensics.model import (
    Clip,
    Coverage,
    Discontinuity,
    Examination,
    Explanation,
    NotTestable,
    Observation,
    Offset,
    Progress,
    Quantity,
    Span,
    Value,
    seconds,
)
from forensics.provenance import conclude, keep, method

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Phasors = NDArray[np.complex64]

__all__ = [
    "Flicker",
    "Hum",
    "find_phase_breaks",
    "match_reference",
    "measure_flicker",
    "measure_hum",
]

Lamp = Literal["auto", "always", "never"]

_EXPLANATIONS = (
    Explanation(1, "cut", False, "sound was removed or inserted: the hum goes on at another phase"),
    Explanation(2, "dropped-sound", True, "the recorder lost samples, or was paused"),
    Explanation(3, "hum-source-switched", True, "a lamp, fan or charger was switched on or off"),
    Explanation(4, "microphone-moved", True, "the phone moved between two sources of hum"),
)  # fmt: skip
_LAMP_EXPLANATIONS = (
    Explanation(1, "cut", False, "pictures were removed or inserted: the lamp goes on elsewhere"),
    Explanation(2, "dropped-frames", True, "the camera lost pictures, or was paused"),
    Explanation(3, "exposure-changed", True, "another exposure time shifts the bands of a lamp"),
    Explanation(4, "lamp-switched", True, "another lamp, on another phase of the mains, took over"),
)  # fmt: skip
_NOT_SEEN = {False: "hum: covered by other sound, or an end", True: "lamp: not clear, or an end"}

_UNLIKE = "hum: its harmonics changed, but by no one shift in time: another microphone or source"


class Hum(Value, frozen=True):
    """What hum there is. `measurable` is false unless it can be followed; `why` says why not.

    `ratio`: the power of all followed harmonics over everything else heard (4 Hz to 4 kHz), dB.
    `standing`: how far the harmonics stand above the same search 2.5 to 8.5 Hz beside them.
    """

    measurable: bool
    why: str
    channel: str
    ratio: Quantity
    nominal_hz: int
    harmonics: tuple[int, ...]
    standing: Quantity
    frequency: Quantity
    followed: Quantity
    span: Span


@dataclass(frozen=True)
class _Source:
    """One source of the mains: sound, or a lamp in the pictures; and what it shows."""

    sound: HumSound
    hum: Hum
    phasors: Phasors
    lamp: bool

    @property
    def measures(self) -> dict[str, Quantity]:
        hum, name = self.hum, "lamp_" if self.lamp else ""
        return {
            "flicker_to_rest" if self.lamp else "hum_to_rest": hum.ratio,
            f"{name}standing": hum.standing, f"{name}frequency": hum.frequency,
            f"{name}followed": hum.followed,
        }  # fmt: skip

    @property
    def stratum(self) -> str:
        if self.lamp:
            return "lamp flicker"
        if self.hum.ratio.value >= -15:
            return "hum at -15 dB or more"
        return "hum from -25 to -15 dB" if self.hum.ratio.value >= -25 else "hum below -25 dB"

    def __str__(self) -> str:
        hum = self.hum
        what, most = ("flicker", "") if self.lamp else ("hum", "" if hum.measurable else " at most")
        text = f"{what}-to-rest ratio {hum.ratio.value:.1f} dB{most}"
        if not hum.measurable:
            return f"{text}; {hum.why}" + (f"; {hum.channel}" if self.lamp else "")
        numbers = ", ".join(map(str, hum.harmonics))
        return f"{text}, {hum.nominal_hz} Hz, harmonics {numbers}; {hum.channel}"


def _sources(clip: Clip, lamp: Lamp, progress: Progress | None) -> list[_Source]:
    """Sound first, then the lamp where it is wanted; not all of them need be measurable."""
    found: list[_Source] = []
    errors: list[StreamMissing | SignalTooShort] = []
    try:
        sound = read_hum_sound(clip, progress=progress)
        found.append(_Source(sound, *_describe(sound), False))
    except (StreamMissing, SignalTooShort) as error:
        errors.append(error)
    heard = any(source.hum.measurable for source in found)
    if clip.video is not None and (lamp == "always" or (lamp == "auto" and not heard)):
        try:
            light = read_lamp(clip, progress=progress)
            if light is not None:
                found.append(_Source(light, *_describe(light), True))
        except (StreamMissing, SignalTooShort) as error:
            errors.append(error)
    if not found and errors:
        raise errors[0]
    return found


def _describe(sound: HumSound) -> tuple[Hum, Phasors]:
    """The hum of a sound, and the phasors of its heard harmonics."""
    import numpy as np

    family = sound.family
    phasors = measure_phasors(sound.samples, family)
    # Beyond ±60 dB the number is the arithmetic's own rounding.
    power = max(measure_power(phasors), 1e-6 * sound.power, 1e-15)
    rest = max(sound.power - power, 1e-6 * power, 1e-15)
    low, high = (float(np.quantile(family.frequency, q)) for q in (0.025, 0.975))
    why = family.why
    hum = Hum(
        not why, why, sound.channel,
        Quantity(
            10 * float(np.log10(power / rest)), "dB", note="hum over everything else heard; "
            + (f"hum as followed, {sound.channel}" if not why
               else "an upper bound: no hum could be told apart"),
        ),
        0 if why else family.nominal, () if why else family.harmonics,
        Quantity(
            family.score / max(family.decoy, 1e-9), "",
            note=f"score over the highest of {len(DECOYS_HZ)} searches where there is no mains; "
            f"{family.deviations:.1f} deviations over their mean",
        ),
        Quantity(
            float(np.median(family.frequency)), "Hz", low, high,
            "at the fundamental; interval: 95 % of the seconds"
            + ("; not a hum: where the search settled" if why else ""),
        ),
        Quantity(
            float(family.present.mean()), "",
            note="share of the seconds in which the line can be followed",
        ),
        sound.span,
    )  # fmt: skip
    return hum, phasors


@method("mains-hum", version="2", references=("Grigoras, Applications of ENF criterion, 2007",))
def measure_hum(clip: Clip, *, progress: Progress | None = None) -> Hum:
    """Say whether mains hum is measurable: hum-to-rest ratio first, then harmonics and frequency.

    Parameters
    ----------
    clip
        An opened clip with at least 20 s of sound.
    progress
        Called with (fraction, text).

    Returns
    -------
    Hum

    Raises
    ------
    StreamMissing, SignalTooShort

    When it errs
    ------------
    Calls it wrongly when an engine, a fan or a note holds a frequency within 0.25 Hz of a multiple
    of 50 or 60 Hz for the whole recording, or something is struck exactly ten times a second, which
    sounds at all of them (inaccuracy: association); two harmonics that agree make
    this unlikely. Misses it when speech covers it: below about -25 dB (incompleteness).
    """
    return _describe(read_hum_sound(clip, progress=progress))[0]


@method(
    "hum-phase-breaks", version="4",
    references=(
        "Nicolalde, Apolinario, Biscainho: phase changes of the mains hum, IEEE TIFS 5(3), 2010",
        "SWGDE Best Practices for Digital Audio, 17-A-001, 2017",
    ),
)  # fmt: skip
def find_phase_breaks(
    clip: Clip, *, strength: float = LEAST, lamp: Lamp = "auto", progress: Progress | None = None
) -> Examination:
    """Find places where the mains jumps in hum or lamp light: something was removed or lost there.

    The harmonics of 50 or 60 Hz are followed as one; at each moment the 2 to 8 s before, carried on
    at the mains' own pace, are compared with the 2 to 8 s after, all harmonics together, each
    moment weighed by the noise beside the lines (so that speech on a line weighs little). That
    gives the removed length modulo one period (20 ms, or 10 if only even harmonics are heard).
    Where the harmonics did not all shift by one time, the place is *not testable*: a microphone's
    filter or another source does that, a cut does not.

    Parameters
    ----------
    clip
        An opened clip with at least 20 s of sound. Of several channels the one in which the hum
        stands out is taken, and named.
    strength
        Smallest log likelihood ratio (nats) of a jump over hum that runs on. The mains' own turn
        in that time is taken as 0.7 (2 s) to 5 degrees (8 s) of the fundamental, r.m.s., or more
        where this recording's wanders more.
    lamp
        Look for a lamp's flicker in the pictures: where the sound has no measurable hum ("auto"),
        beside it ("always"), or "never".
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Discontinuity` observations of level "hum". `measures` gives the hum-to-rest ratio first.
        What a lamp alone shows is inconclusive: a changed exposure time looks the same.
        Where neither can be followed the outcome is *not applicable* ("not measurable").

    Raises
    ------
    StreamMissing, SignalTooShort
        Recorded as *not applicable*.

    When it errs
    ------------
    Calls it wrongly when the source of the hum is switched or the phone moves from one source to
    another (misinterpretation); when a held note or an engine passes for hum (inaccuracy:
    association).
    Misses it when a whole number of mains periods was removed: 1 cut in 20 moves the phase by less
    than the mains itself wanders, 1 in 10 where only even harmonics are heard. Misses it under
    continuous speech that lies on the lines: of 36 cuts each, 34 were found with hum at 0 dB to the
    speech, 33 at -10 dB (of those not near a whole number of half periods 33 of 33 and 31 of 31),
    29 at -20 dB (3 more not measurable) and 16 at -30 dB (16 not measurable); of 54 other cuts each
    51 at 0 dB and 49 at -10 dB: every one missed turned 100 Hz by 18 degrees (0.5 ms) or less, and
    of those that turned it by 20 and more 48 of 48 and 47 of 47 were found. Misses a cut at which
    the microphone changed as well: the place is then not testable (incompleteness).
    Says nothing about what was removed; the length is known modulo one period only.
    """
    sources = _sources(clip, lamp, progress)
    measures = {name: value for source in sources for name, value in source.measures.items()}
    usable = [source for source in sources if source.hum.measurable]
    if not usable:
        why = " / ".join(map(str, sources)) or "a lamp would stand still at this frame rate"
        span = sources[0].sound.span if sources else None
        seen = len(sources[0].sound.samples) if sources else 0
        return conclude(
            (), coverage=Coverage(span, seen, "samples"), outcome="not-applicable",
            measures=measures, reason=f"not measurable: {why}",
        )  # fmt: skip
    observations: list[Observation] = []
    blind: list[NotTestable] = []
    for source in usable:
        breaks, testable, wander = find_breaks(
            source.phasors, source.sound.family, strength=strength
        )
        measures["lamp_wander" if source.lamp else "wander"] = Quantity(
            wander, "degrees", note="turn of the fundamental in 3 s that counted as the mains' own"
        )
        observations += [_observe(b, source, strength) for b in breaks if b.alike >= LEAST_ALIKE]
        blind += _untestable(testable, source.sound.start, _NOT_SEEN[source.lamp])
        blind += [NotTestable(_span(b, source.sound), _UNLIKE)
                  for b in breaks if b.alike < LEAST_ALIKE]  # fmt: skip
    first = usable[0]
    return conclude(
        observations,
        coverage=Coverage(first.sound.span, len(first.sound.samples), "samples", 0, tuple(blind)),
        stratum=first.stratum, measures=measures, reason=" / ".join(map(str, usable)),
    )  # fmt: skip


def _span(found: Break, sound: HumSound) -> Span:
    """Where it lies: half a second to each side at least."""
    low = sound.start + seconds(min(found.low_s, found.time_s - 0.5))
    high = sound.start + seconds(max(found.high_s, found.time_s + 0.5))
    return Span(max(sound.start, low), min(sound.span.end, high))


def _observe(found: Break, source: _Source, strength: float) -> Observation:
    sound = source.sound
    span = _span(found, sound)
    gap = any(g & span for g in sound.gaps)
    strong = (
        found.strength >= 2 * strength and len(found.harmonics) > 1 and not gap and not source.lamp
    )
    period = f"modulo {found.period_s * 1000:.4f} ms"
    numbers = ", ".join(str(h * sound.family.nominal) for h in found.harmonics)
    return Observation(
        Discontinuity(
            "hum", "hum-phase-break", "inconsistent" if strong else "inconclusive", (),
            _LAMP_EXPLANATIONS if source.lamp else _EXPLANATIONS,
            Quantity(
                found.shift_s, "s", max(0.0, found.shift_s - found.spread_s),
                min(found.period_s, found.shift_s + found.spread_s),
                f"removed, {period}; each whole period more widens it by the period's own interval",
            ),
        ),
        span, round(1 - 2.0 ** (-found.strength / strength), 4),
        measures={
            "jump": Quantity(
                found.jump_deg, "degrees", note=f"of {1 / found.period_s:.1f} Hz, {period}"
            ),
            "period": Quantity(
                found.period_s, "s", found.period_s - found.period_spread_s,
                found.period_s + found.period_spread_s,
                "of the mains in what is gone, if that is no longer than about 3 s",
            ),
            "strength": Quantity(
                found.strength, "", note="log likelihood ratio of a jump over mains that runs on"
            ),
            "harmonics": Quantity.exact(len(found.harmonics), "", "heard or seen there"),
        },
        note=f"harmonics {numbers} Hz, {sound.channel}"
        + ("; beside a gap in the stamps" if gap else ""),
        stratum=source.stratum,
    )  # fmt: skip


def _untestable(testable: NDArray[np.bool_], start: Fraction, why: str) -> list[NotTestable]:
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~testable).astype(int), [0]])))
    return [
        NotTestable(Span(start + int(a), start + int(b)), why)
        for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]


@method(
    "hum-reference", version="3",
    references=(
        "Hua, Liao, Wang, Ye: On practical issues of ENF, IEEE TIFS 2020",
        "Besag, Clifford: Sequential Monte Carlo p-values, Biometrika 78(2), 1991",
    ),
)  # fmt: skip
def match_reference(
    clip: Clip, *, reference: Clip, largest_false_match: float = 1e-3, shortest_s: float = 180.0,
    surrogates: int = 2000, seed: int = 1, lamp: Lamp = "auto", progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Place a recording on a reference of the mains frequency, or refuse.

    The phase of the mains is laid on the reference's, second by second, at every place and for
    every clock within 100 ppm; it has to keep step for 105 s at a time. A place is given only where
    three things agree: surrogates of real mains hardly ever do as well, no other place does half as
    well, and what is left of the difference in frequency is what the clip's own noise leaves.

    Parameters
    ----------
    clip
        The questioned recording.
    reference
        A recording of the mains (hum alone), longer than the clip, whose times are known.
    largest_false_match
        Matches less sure than this are refused.
    shortest_s
        Less sound than this is refused; about 7 minutes are needed in practice.
    surrogates
        Made of the reference's own pieces (120 s, backwards, upside down, both), at most; fewer
        once 20 were as good. A reference of a day takes minutes.
    seed
        Of their order.
    lamp
        As in `find_phase_breaks`: the lamp dates the pictures where the sound cannot be dated.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        One `Offset` (positive: the clip starts later than the reference), or *nothing found*, or
        *not applicable* where hum is not measurable.

    Raises
    ------
    StreamMissing, SignalTooShort
        Recorded as *not applicable*.

    When it errs
    ------------
    Calls it wrongly when the reference is from another time at which the mains ran alike to a few
    degrees for minutes (misinterpretation): of 4,123 pieces on wrong mains none was accepted. The
    false-match probability is for this reference, not for all the past searched; on such pieces it
    was true to a factor of 1.7 down to 0.01, and 4 times too small at 0.001. Misses it when hum is
    much weaker than the speech, when the clip is shorter than about 7 minutes, was cut, or was
    taken by a clock more than 100 ppm off (incompleteness). Hum and reference were measured at one
    place; within a large grid the phase between two places wanders, which is allowed for by 1 mHz.
    """
    sources = _sources(clip, lamp, progress)
    measures = {name: value for source in sources for name, value in source.measures.items()}
    usable = [source for source in sources if source.hum.measurable]
    if not usable:
        why = " / ".join(map(str, sources)) or "a lamp would stand still at this frame rate"
        return conclude(
            (), coverage=Coverage(sources[0].sound.span if sources else None), measures=measures,
            outcome="not-applicable", reason=f"not measurable: {why}",
        )  # fmt: skip
    sound, hum = usable[0].sound, usable[0].hum
    coverage = Coverage(sound.span, len(sound.samples), "samples")
    length = float(sound.span.length)
    if length < shortest_s:
        raise SignalTooShort(
            "too short to be dated by hum", need_s=shortest_s, have_s=length,
            hint="about 7 minutes are needed in practice",
        )  # fmt: skip
    other = read_hum_sound(reference)
    if other.family.why or other.family.nominal != hum.nominal_hz:
        return conclude(
            (), coverage=coverage, outcome="not-applicable", measures=measures,
            reason="the reference has no measurable hum of the same nominal frequency",
        )  # fmt: skip
    result = match_steps(
        measure_steps(sound.samples, sound.family), measure_steps(other.samples, other.family),
        surrogates=surrogates, seed=seed,
    )  # fmt: skip
    measures |= {
        "false_match": Quantity(
            result.false_match, "", 0.0, min(1.0, result.false_match_high),
            f"share of {result.drawn} surrogates that match as well anywhere on this reference",
        ),
        "difference": Quantity(
            result.rms_hz * 1000, "mHz", note="robust r.m.s. over 16 s, after a constant offset; "
            f"refused above {result.bound_hz * 1000:.2f} mHz, by this clip's own noise",
        ),
        "coherence": Quantity(
            result.coherence, "", note="share of the hum's power in step with the reference"
        ),
        "rival": Quantity(
            result.rival, "", note="score of the next best place over that of the best; refused "
            f"above {RIVAL}",
        ),
        "clock": Quantity(
            result.clock_ppm, "ppm", result.clock_ppm - 20, result.clock_ppm + 20,
            "by how much the clip's clock runs faster than the reference's",
        ),
    }  # fmt: skip
    table = "second,clip_hz\n" + "".join(
        f"{k},{v:.5f}\n" for k, v in enumerate(sound.family.frequency)
    )
    artefact = keep(table.encode(), media_type="text/csv", label="hum frequency")
    against = result.against(largest_false_match)
    if against:
        return conclude(
            (), coverage=coverage, measures=measures, artefacts=(artefact,),
            reason=f"refused: {'; '.join(against)}",
        )  # fmt: skip
    stratum = "lamp flicker" if usable[0].lamp else ""
    offset = result.lag_s + float(other.start) - float(sound.start)
    return conclude(
        [_offset(reference, result, offset, sound.span, measures, stratum)],
        coverage=coverage, measures=measures, artefacts=(artefact,), stratum=stratum,
    )  # fmt: skip


def _offset(
    reference: Clip, result: MatchResult, offset: float, span: Span, measures: dict[str, Quantity],
    stratum: str,
) -> Observation:  # fmt: skip
    value = Quantity(offset, "s", offset - result.spread_s, offset + result.spread_s)
    rivals = ", ".join(f"{lag:.0f} s" for lag in result.rivals_s) or "none"
    return Observation(
        Offset(reference.digest, value, "sound"), span,
        round(min(1.0, max(0.0, result.coherence)), 4), measures=measures,
        note=f"matched by the phase of the mains; rival places: {rivals}", stratum=stratum,
    )  # fmt: skip
