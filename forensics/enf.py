"""Mains hum: is it there, does its phase run on, and when does it match a reference?

*Not measurable* is the default answer. The hum-to-rest ratio is measured and given first; nothing
is said of a recording whose hum cannot be followed.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from forensics.enf_flicker import Flicker, measure_flicker
from forensics.enf_hum import (
    PRESENT,
    RATE_HZ,
    Line,
    find_breaks,
    measure_lines,
)
from forensics.enf_match import MatchResult, match_tracks
from forensics.errors import SignalTooShort
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
from forensics.scan_sound import audio_stream, check_not_listening_copy, iter_sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "Flicker",
    "Hum",
    "find_phase_breaks",
    "match_reference",
    "measure_flicker",
    "measure_hum",
]

_WIDE_HZ = 8000
SHORTEST_S = 20.0
#: A single harmonic must be this steady to be called hum without a second one that agrees.
_ALONE = 0.8
_AGREE_HZ = 0.03

_EXPLANATIONS = (
    Explanation(1, "cut", False, "sound was removed or inserted: the hum goes on at another phase"),
    Explanation(2, "dropped-sound", True, "the recorder lost samples, or was paused"),
    Explanation(3, "hum-source-switched", True, "a lamp, fan or charger was switched on or off"),
    Explanation(4, "microphone-moved", True, "the phone moved between two sources of hum"),
)  # fmt: skip


class _Sound:
    """The sound at 1 kHz, and the power of everything between 60 and 3,900 Hz."""

    def __init__(self, samples: Floats, start: Fraction, total: float, gaps: tuple[Span, ...],
                 own_rate: int) -> None:  # fmt: skip
        self.samples, self.start, self.total = samples, start, total
        self.gaps, self.own_rate = gaps, own_rate

    @property
    def span(self) -> Span:
        return Span(self.start, self.start + Fraction(len(self.samples), RATE_HZ))


def _read(clip: Clip, progress: Progress | None) -> _Sound:
    import numpy as np
    from scipy.signal import resample_poly

    check_not_listening_copy(clip)
    own = audio_stream(clip).sample_rate
    margin, down = 1600, _WIDE_HZ // RATE_HZ
    held = np.zeros(margin, np.float32)
    parts: list[Floats] = []
    gaps: list[Span] = []
    start: Fraction | None = None
    energy, count = 0.0, 0

    def take(last: bool) -> None:
        nonlocal held
        whole = (len(held) - 2 * margin) // down * down
        if whole <= 0:
            return
        out = resample_poly(held[: whole + 2 * margin], 1, down)
        parts.append(out[margin // down : margin // down + whole // down].astype(np.float32))
        held = held[whole:]

    for sound in iter_sound(clip, rate_hz=_WIDE_HZ, mono=True, chunk_s=60.0, progress=progress):
        start = sound.start if start is None else start
        gaps += sound.gaps
        mono = sound.mono
        energy += float((mono.astype(np.float64) ** 2).sum())
        count += len(mono)
        held = np.concatenate([held, mono])
        take(False)
    held = np.concatenate([held, np.zeros(margin + down, np.float32)])
    take(True)
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if len(samples) < SHORTEST_S * RATE_HZ:
        raise SignalTooShort(
            f"{clip.name} is too short for hum", need_s=SHORTEST_S, have_s=len(samples) / RATE_HZ
        )
    return _Sound(samples, start or Fraction(0), energy / max(1, count), tuple(gaps), own)


class Hum(Value, frozen=True):
    """What hum there is. `measurable` is false unless it can be followed; `why` says why not.

    `ratio`: the power of all followed harmonics over everything else heard (4 Hz to 4 kHz), dB.
    """

    measurable: bool
    why: str
    ratio: Quantity
    nominal_hz: int
    harmonics: tuple[int, ...]
    steadiness: Quantity
    frequency: Quantity
    followed: Quantity
    span: Span


def _family(lines: list[Line]) -> list[Line]:
    """The steady harmonics of one nominal that run together, steadiest first."""
    import numpy as np

    best: list[Line] = []
    for nominal in (50, 60):
        own = [line for line in lines if line.nominal == nominal and line.steadiness >= PRESENT]
        if not own:
            continue
        lead = own[0]
        kept = [
            line for line in own
            if line is lead
            or float(np.median(np.abs(line.frequency - lead.frequency))) <= _AGREE_HZ
        ]  # fmt: skip
        if len(kept) == 1 and kept[0].steadiness < _ALONE:
            continue
        if sum(k.steadiness for k in kept) > sum(k.steadiness for k in best):
            best = kept
    return best[:5]


def _hum(sound: _Sound) -> tuple[Hum, list[Line]]:
    import numpy as np

    lines = measure_lines(sound.samples, highest_hz=min(440.0, 0.45 * sound.own_rate))
    family = _family(lines)
    lead = family[0] if family else lines[0]
    power = sum(line.power for line in (family or [lead]))
    # Beyond 60 dB the rest is the arithmetic's own rounding: there is nothing but hum.
    rest = max(sound.total - power, 1e-6 * power, 1e-15)
    ratio = 10 * np.log10(max(power, 1e-15) / rest)
    followed = float(lead.present.mean())
    why = ""
    if not family:
        why = "no harmonic of 50 or 60 Hz is steady enough to follow"
    elif followed < 0.5:
        why = "the hum can be followed in less than half of the recording"
    spread = float(np.quantile(lead.frequency, 0.975)), float(np.quantile(lead.frequency, 0.025))
    hum = Hum(
        not why, why,
        Quantity(
            float(ratio), "dB", note="hum over everything else heard; "
            + ("hum as followed" if family else "an upper bound: no hum could be told apart"),
        ),
        lead.nominal if family else 0, tuple(sorted(line.harmonic for line in family)),
        Quantity(
            lead.steadiness, "", float(np.quantile(lead.share, 0.025)),
            float(np.quantile(lead.share, 0.975)),
            "share of the power within ±1 Hz that the line holds; interval: 95 % of the seconds",
        ),
        Quantity(
            float(np.median(lead.frequency)), "Hz", min(spread), max(spread),
            "at the fundamental; interval: 95 % of the seconds"
            + ("" if family else "; not a hum: where the search settled"),
        ),
        Quantity(followed, "", note="share of the seconds in which the line can be followed"),
        sound.span,
    )  # fmt: skip
    return hum, family


@method("mains-hum", version="1", references=("Grigoras, Applications of ENF criterion, 2007",))
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
    of 50 or 60 Hz for the whole recording (inaccuracy: association); two harmonics that agree make
    this unlikely. Misses it when speech covers it: below about -20 dB (incompleteness).
    """
    return _hum(_read(clip, progress))[0]


@method(
    "hum-phase-breaks", version="2",
    references=(
        "Nicolalde, Apolinario, Biscainho: phase changes of the mains hum, IEEE TIFS 5(3), 2010",
        "SWGDE Best Practices for Digital Audio, 17-A-001, 2017",
    ),
)  # fmt: skip
def find_phase_breaks(
    clip: Clip, *, least_deg: float = 12.0, strength: float = 6.0, progress: Progress | None = None
) -> Examination:
    """Find places where the phase of the mains hum jumps: sound was removed, added or lost there.

    The steady harmonics of 50 or 60 Hz are followed; at each moment the phase of the 4 s before,
    carried on in a straight line, is compared with the 4 s after. All harmonics together give the
    removed length modulo one period (20 ms, or less if only even harmonics are heard).

    Parameters
    ----------
    clip
        An opened clip with at least 20 s of sound.
    least_deg
        Smallest jump reported, in degrees of the harmonic that shows it best.
    strength
        Smallest jump relative to the recording's own phase noise, all harmonics together.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Discontinuity` observations of level "hum". `measures` gives the hum-to-rest ratio first.
        Where hum cannot be followed the outcome is *not applicable* ("not measurable").

    Raises
    ------
    StreamMissing, SignalTooShort
        Recorded as *not applicable*.

    When it errs
    ------------
    Calls it wrongly when the source of the hum is switched or the phone moves from one source to
    another (misinterpretation); when a held note or an engine passes for hum (inaccuracy:
    association).
    Misses it when a whole number of mains periods was removed (about 1 cut in 15 moves the phase
    of 100 Hz by less than 12 degrees), or continuous speech covers the hum: at -10 dB to the speech
    about half of the cuts were found, at -20 dB one in six (incompleteness).
    Says nothing about what was removed; the length is known modulo one period only.
    """
    sound = _read(clip, progress)
    hum, family = _hum(sound)
    measures = {
        "hum_to_rest": hum.ratio, "steadiness": hum.steadiness, "frequency": hum.frequency,
        "followed": hum.followed,
    }  # fmt: skip
    if not hum.measurable:
        return conclude(
            (), coverage=Coverage(sound.span, len(sound.samples), "samples"),
            outcome="not-applicable", measures=measures,
            reason=f"not measurable: hum-to-rest ratio {hum.ratio.value:.1f} dB at most; {hum.why}",
        )  # fmt: skip
    breaks, testable = find_breaks(family, least_deg=least_deg, strength=strength)
    observations = []
    for found in breaks:
        at = sound.start + seconds(found.time_s)
        span = Span(max(sound.start, at - Fraction(1, 2)), min(sound.span.end, at + Fraction(1, 2)))
        gap = any(g & span for g in sound.gaps)
        strong = found.strength >= 2 * strength and len(found.harmonics) > 1 and not gap
        period = f"modulo {found.period_s * 1000:.2f} ms"
        spread = 0.06 * found.period_s
        observations.append(
            Observation(
                Discontinuity(
                    "hum", "hum-phase-break", "inconsistent" if strong else "inconclusive", (),
                    _EXPLANATIONS,
                    Quantity(
                        found.shift_s, "s", max(0.0, found.shift_s - spread),
                        min(found.period_s, found.shift_s + spread), f"removed, {period}",
                    ),
                ),
                span, round(1 - 2.0 ** (-found.strength / strength), 4),
                measures={
                    "jump": Quantity(
                        found.jump_deg, "degrees", note="at the harmonic that shows it best"
                    ),
                    "strength": Quantity(found.strength, "", note="jump over own phase noise"),
                    "harmonics": Quantity.exact(len(found.harmonics), "", "that show it"),
                },
                note="harmonics " + ", ".join(str(h * hum.nominal_hz) for h in found.harmonics)
                + " Hz" + ("; beside a gap in the stamps" if gap else ""),
                stratum=_stratum(hum),
            )
        )  # fmt: skip
    return conclude(
        observations,
        coverage=Coverage(
            sound.span, len(sound.samples), "samples", 0, tuple(_untestable(testable, sound.start))
        ),
        stratum=_stratum(hum), measures=measures,
        reason=f"hum-to-rest ratio {hum.ratio.value:.1f} dB, {hum.nominal_hz} Hz, harmonics "
        f"{', '.join(map(str, hum.harmonics))}",
    )  # fmt: skip


def _stratum(hum: Hum) -> str:
    value = hum.ratio.value
    if value >= -15:
        return "hum at -15 dB or more"
    return "hum from -25 to -15 dB" if value >= -25 else "hum below -25 dB"


def _untestable(testable: NDArray[np.bool_], start: Fraction) -> list[NotTestable]:
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~testable).astype(int), [0]])))
    return [
        NotTestable(Span(start + int(a), start + int(b)), "hum: covered by other sound, or an end")
        for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]


@method(
    "hum-reference", version="1",
    references=("Hua, Liao, Wang, Ye: On practical issues of ENF, IEEE TIFS 2020",),
)  # fmt: skip
def match_reference(
    clip: Clip, *, reference: Clip, largest_false_match: float = 1e-3, shortest_s: float = 180.0,
    surrogates: int = 2000, seed: int = 1, progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Place a recording on a reference of the mains frequency, or refuse.

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
        Made-up tracks with this clip's own spectrum that the score is held against.
    seed
        Of the surrogates.
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
    Calls it wrongly when the reference is from another grid or another time and the mains happened
    to run alike: the false-match probability is for this reference, not for all the past searched
    (misinterpretation). Misses it when hum is weaker than the speech or the clip shorter than about
    7 minutes (incompleteness).
    """
    sound = _read(clip, progress)
    hum, family = _hum(sound)
    measures = {"hum_to_rest": hum.ratio, "steadiness": hum.steadiness}
    coverage = Coverage(sound.span, len(sound.samples), "samples")
    if not hum.measurable:
        return conclude(
            (), coverage=coverage, outcome="not-applicable", measures=measures,
            reason=f"not measurable: hum-to-rest ratio {hum.ratio.value:.1f} dB at most; {hum.why}",
        )  # fmt: skip
    length = float(sound.span.length)
    if length < shortest_s:
        raise SignalTooShort(
            "too short to be dated by hum", need_s=shortest_s, have_s=length,
            hint="about 7 minutes are needed in practice",
        )  # fmt: skip
    other = _read(reference, None)
    other_hum, other_family = _hum(other)
    if not other_hum.measurable or other_hum.nominal_hz != hum.nominal_hz:
        return conclude(
            (), coverage=coverage, outcome="not-applicable", measures=measures,
            reason="the reference has no measurable hum of the same nominal frequency",
        )  # fmt: skip
    result = match_tracks(_track(family), _track(other_family), surrogates=surrogates, seed=seed)
    measures |= {
        "false_match": Quantity(
            result.false_match, "", 0.0, min(1.0, result.false_match_high),
            f"share of {surrogates} surrogates that match as well anywhere on this reference",
        ),
        "difference": Quantity(result.rms_hz * 1000, "mHz", note="r.m.s. after a constant offset"),
        "correlation": Quantity(result.correlation, "", note="of the two frequency tracks"),
    }  # fmt: skip
    table = "second,clip_hz\n" + "".join(f"{k},{v:.5f}\n" for k, v in enumerate(_track(family)[0]))
    artefact = keep(table.encode(), media_type="text/csv", label="hum frequency")
    if result.false_match > largest_false_match or result.correlation < 0.5:
        return conclude(
            (), coverage=coverage, measures=measures, artefacts=(artefact,),
            reason=f"refused: false-match probability {result.false_match:.2g}, correlation "
            f"{result.correlation:.2f}",
        )  # fmt: skip
    offset = result.lag_s + float(other.start) - float(sound.start)
    return conclude(
        [_offset(reference, result, offset, sound.span, measures)],
        coverage=coverage, measures=measures, artefacts=(artefact,),
    )  # fmt: skip


def _offset(
    reference: Clip, result: MatchResult, offset: float, span: Span, measures: dict[str, Quantity]
) -> Observation:
    value = Quantity(offset, "s", offset - result.spread_s, offset + result.spread_s)
    rivals = ", ".join(f"{lag:.0f} s" for lag in result.rivals_s) or "none"
    return Observation(
        Offset(reference.digest, value, "sound"), span,
        round(min(1.0, max(0.0, result.correlation)), 4), measures=measures,
        note=f"matched by mains frequency; rival places: {rivals}",
    )  # fmt: skip


def _track(family: list[Line]) -> tuple[Floats, NDArray[np.bool_]]:
    """Frequency at the fundamental (n,) a second, harmonics weighed by steadiness; and its mask."""
    import numpy as np

    tables = np.stack([line.frequency for line in family])
    # The error of a line shrinks with its harmonic number and grows with what covers it.
    weights = np.stack(
        [
            np.clip(line.share - 0.2, 0, 1) ** 2 * line.harmonic**2 + 1e-6
            for line in family
        ]
    )  # fmt: skip
    mean = (tables * weights).sum(axis=0) / weights.sum(axis=0)
    seen: NDArray[np.bool_] = np.asarray(
        np.stack([line.present for line in family]).any(axis=0), np.bool_
    )
    return mean.astype(np.float32), seen
