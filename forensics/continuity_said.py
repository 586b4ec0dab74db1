"""What `find_splices` says of what was measured: each observation with its kind, place and note."""

from __future__ import annotations

from fractions import Fraction

from forensics.continuity_channels import find_relation_changes
from forensics.continuity_copies import Repeat
from forensics.continuity_decay import find_room_changes
from forensics.continuity_explain import explanations
from forensics.continuity_gather import Gathered
from forensics.continuity_room import (
    BANDS,
    HOP_S,
    find_band_changes,
    find_ceiling_changes,
    find_floor_steps,
)
from forensics.model import (
    Clip,
    Discontinuity,
    DiscontinuityKind,
    NotTestable,
    Observation,
    Quantity,
    Span,
    Verdict3,
)

__all__ = [
    "channel_observations",
    "decay_observations",
    "observe",
    "repeat_observations",
    "room_observations",
    "silence_observations",
    "stream_observations",
]

#: Sound of which this share is heard twice or more is a loop; so is a stretch that runs into its
#: own copy at a beat faster than this.
_LOOP_SHARE, _BEAT_S = 0.6, 1.0
#: A repeat counts at this likeness times the square root of its length in quarter seconds.
_REPEAT_WEIGHT, _REPEAT_LIKENESS = 0.95, 0.5


def observe(
    kind: DiscontinuityKind, verdict: Verdict3, span: Span, score: float, *,
    note: str, table: str | None = None, removed: Quantity | None = None,
    measures: dict[str, Quantity] | None = None, supports: tuple[str, ...] = (), stratum: str = "",
) -> Observation:  # fmt: skip
    """One discontinuity of the sound, with the explanations its kind (or `table`) has."""
    what = Discontinuity("audio", kind, verdict, supports, explanations(table or kind), removed)
    return Observation(
        what, span, round(min(1.0, max(0.0, score)), 4), measures=measures or {}, note=note,
        stratum=stratum,
    )  # fmt: skip


def _counts(repeat: Repeat) -> bool:
    weight = repeat.likeness * (repeat.length_s / 0.25) ** 0.5
    return repeat.likeness >= _REPEAT_LIKENESS and weight >= _REPEAT_WEIGHT


def _looped(repeats: list[Repeat], length_s: float) -> bool:
    """Whether the sound repeats by nature: nearly all of it, or so often, or on a short beat."""
    ends = [(r.first_s, r.first_s + r.length_s) for r in repeats]
    ends += [(r.second_s, r.second_s + r.length_s) for r in repeats]
    covered, reached = 0.0, 0.0
    for start, end in sorted(ends):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return len(repeats) > 12 or covered > _LOOP_SHARE * length_s


def repeat_observations(found: Gathered) -> list[Observation]:
    """Stretches heard twice; sound that repeats by nature is told from a copy."""
    repeats = [r for r in found.repeats.repeats if _counts(r)]
    looped = _looped(repeats, float(found.span.length))
    said = []
    for repeat in sorted(repeats, key=lambda r: r.second_s):
        lag_s = repeat.second_s - repeat.first_s
        many = looped or (lag_s < _BEAT_S and lag_s < repeat.length_s)
        exact = repeat.likeness >= 0.8
        clear = exact and repeat.length_s >= 0.4 and not many
        note = f"{repeat.length_s:.2f} s from {repeat.first_s:.3f} s are heard again here, " + (
            "sample by sample; which of the two is the copy this cannot tell" if exact else
            f"alike to {repeat.likeness:.2f} of 1, not sample by sample"
        )  # fmt: skip
        if many:
            note += "; sound that repeats so much is a loop, a machine or made by a computer"
        said.append(
            observe(
                "copy-move", "inconsistent" if clear else "inconclusive",
                Span(
                    found.start + Fraction(round(repeat.second_s * 1000), 1000),
                    found.start + Fraction(round((repeat.second_s + repeat.length_s) * 1000), 1000),
                ),
                min(1.0, repeat.likeness), note=note,
                table="loop" if many else None if exact else "resemblance",
                measures={
                    "source": Quantity(
                        float(found.start) + repeat.first_s, "s",
                        float(found.start) + repeat.first_s - 0.03,
                        float(found.start) + repeat.first_s + 0.03, "start of the like stretch",
                    ),
                    "likeness": Quantity(repeat.likeness, "", note="mean whitened correlation"),
                    "strength": Quantity(repeat.z, "", note="robust z among all lags"),
                },
                stratum="copy-move",
            )
        )  # fmt: skip
    return said


def room_observations(found: Gathered) -> list[Observation]:
    """Steps of the noise floor, of the bandwidth and of the clipping ceiling."""
    said = []
    half = Fraction(1, 4)

    def around(row: int) -> Span:
        at = found.start + Fraction(round(row * HOP_S * 1000), 1000)
        return Span(max(found.start, at - half), min(found.span.end, at + half))

    for step in find_floor_steps(found.levels):
        pumped = step.loud_before_db > 20
        table = "gain-after-bang" if pumped else "noise-floor-step"
        said.append(
            observe(
                "noise-floor-step", "inconclusive", around(step.row),
                min(0.9, 1 - 2.0 ** (-step.strength / 6)), table=table,
                note=f"the quiet changes by {step.step_db:+.1f} dB at once"
                + ("; a loud sound precedes it" if pumped else ""),
                measures={
                    "step": Quantity(step.step_db, "dB", note="mean over the bands in use"),
                    "strength": Quantity(step.strength, "", note="against the rest of the clip"),
                    "bands": Quantity(step.bands, "", note="share of bands that change alike"),
                },
                stratum="noise floor",
            )
        )  # fmt: skip
    nyquist = found.rate_hz / 2
    step_note = f"±{nyquist / BANDS:.0f} Hz, one band"
    said += [
        observe(
            "bandwidth-change", "inconclusive", around(change.row),
            min(0.9, change.drop_db / 50),
            note=f"the top of the spectrum goes from {change.before * nyquist / 1000:.1f} to "
            f"{change.after * nyquist / 1000:.1f} kHz",
            measures={
                "before": Quantity(change.before * nyquist, "Hz", note=step_note),
                "after": Quantity(change.after * nyquist, "Hz", note=step_note),
            },
            stratum="bandwidth",
        )
        for change in find_band_changes(found.levels)
    ]  # fmt: skip
    said += [
        observe(
            "sound-splice", "inconclusive",
            Span(found.start + top.low, min(found.span.end, found.start + top.high)), 0.6,
            note=f"the clipping ceiling changes from {top.before:.3f} to {top.after:.3f}",
            supports=("clipping-ceiling",), stratum="clipping ceiling",
        )
        for top in find_ceiling_changes(found.ceilings)
    ]  # fmt: skip
    return said


def silence_observations(found: Gathered) -> list[Observation]:
    """Digital silence inside the recording."""
    # The first and last tenth of a second are the encoder's and the editor's; all-digital-silence
    # recordings have no silence to find.
    edge = found.rate_hz // 10
    total = sum(s.last - s.first for s in found.silences)
    if total > 0.98 * found.count:
        return []
    said = []
    for run in found.silences:
        if run.first < edge or run.last > found.count - edge:
            continue
        span = Span(found.time(run.first), found.time(run.last))
        if any(gap & span for gap in found.gaps):
            continue
        said.append(
            observe(
                "digital-silence", "inconclusive", span,
                min(0.9, 0.3 + float(span.length)), note="exactly constant samples: nothing, not "
                "even noise, was recorded", stratum="digital silence",
                measures={"value": Quantity.exact(run.value, "of full scale")},
            )
        )  # fmt: skip
    return said


def stream_observations(clip: Clip, found: Gathered) -> list[Observation]:
    """What the stamps leave out, and ends that differ from the picture's."""
    said = [
        observe(
            "dropped-sound", "inconclusive", gap, min(0.9, 0.4 + float(gap.length)),
            note=f"the sound stamps leave out {float(gap.length):.3f} s", stratum="dropped sound",
            removed=Quantity.exact(float(gap.length), "s", "by the stamps"),
        )
        for gap in found.gaps
    ]  # fmt: skip
    video = clip.video
    if video is None or video.start is None or not video.duration:
        return said
    pairs: tuple[tuple[str, Fraction, Fraction, float], ...] = (
        ("start", video.start, found.span.start, 0.25),
        ("end", video.start + video.duration, found.span.end, 0.5),
    )
    for name, picture, sound, least in pairs:
        if abs(float(picture - sound)) >= least:
            said.append(
                observe(
                    "av-mismatch", "inconclusive", Span(min(picture, sound), max(picture, sound)),
                    0.4, note=f"sound and picture {name} {abs(float(picture - sound)):.3f} s apart",
                    stratum="av mismatch",
                )
            )  # fmt: skip
    return said


def decay_observations(found: Gathered) -> tuple[list[Observation], list[NotTestable]]:
    """Changes of how fast sound dies away, and where too few pauses are free to tell."""

    def time(at_s: float) -> Fraction:
        return min(found.span.end, max(found.start, found.start + Fraction(round(at_s, 3))))

    changes, blind = find_room_changes(found.falls, float(found.span.length))
    said = []
    for change in changes:
        slower = "more slowly" if change.after < change.before else "faster"
        span = Span(time(change.low_s), time(change.high_s))
        said.append(
            observe(
                "reverberation-change", "inconclusive", span,
                min(0.45, 1 - 2.0 ** (-abs(change.z) / 6)),
                note=f"sound dies away {slower} from here on: {change.before:.0f} dB/s before, "
                f"{change.after:.0f} dB/s after",
                measures={
                    "best": Quantity(float(time(change.at_s)), "s", float(time(change.low_s)),
                                     float(time(change.high_s))),
                    "before": Quantity(change.before, "dB/s", note="mean of free falls, all bands"),
                    "after": Quantity(change.after, "dB/s", note="mean of free falls, all bands"),
                    "ratio": Quantity(change.after / change.before, "", change.ratio_low,
                                      change.ratio_high),
                    "strength": Quantity(change.z, "", note="z of the ranks, sides of up to 20 s"),
                    "falls": Quantity.exact(change.events, "", "free falls compared"),
                },
                stratum="reverberation",
            )
        )  # fmt: skip
    untested = [
        NotTestable(Span(time(a), time(b)), "room: too few free decays near by") for a, b in blind
    ]
    return said, untested


def channel_observations(found: Gathered) -> list[Observation]:
    """Where the relation of the channels to each other changes for good."""
    return [
        observe(
            "channel-change", "inconclusive",
            Span(found.time(change.low), found.time(change.high)), 0.4,
            note=f"the channels are {change.before} before and {change.after} after",
            measures={
                "before": Quantity(change.before_db, "dB", note="difference against sum, median"),
                "after": Quantity(change.after_db, "dB", note="difference against sum, median"),
            },
            stratum="channels",
        )
        for change in find_relation_changes(found.relations, found.rate_hz)
    ]  # fmt: skip
