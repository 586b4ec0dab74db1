"""Is this sound one recording? What its codec's grid, its background and its waveform say.

One decode feeds every measurement. The absence of a trace is reported as "no trace", never as
"untouched"; where a trace could not be tested, the stretch is listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from forensics.continuity_control import measure_power
from forensics.continuity_copies import RATE_HZ as COPY_RATE_HZ
from forensics.continuity_copies import Repeat
from forensics.continuity_explain import explanations
from forensics.continuity_gather import Gathered, gather, locate_shifts
from forensics.continuity_generations import CodecTrace, measure_codec_generations
from forensics.continuity_grid import Grid, GridShift, find_shifts
from forensics.continuity_listen import write_listening_copy
from forensics.continuity_room import (
    BANDS,
    HOP_S,
    find_band_changes,
    find_ceiling_changes,
    find_floor_steps,
    measure_bands,
    measure_total,
)
from forensics.model import (
    Clip,
    Coverage,
    Discontinuity,
    DiscontinuityKind,
    Examination,
    NotTestable,
    Observation,
    Progress,
    Quantity,
    Span,
    Verdict3,
)
from forensics.provenance import conclude, method
from forensics.scan_sound import check_not_listening_copy, iter_sound

__all__ = [
    "CodecTrace",
    "find_splices",
    "measure_codec_generations",
    "measure_power",
    "write_listening_copy",
]

_COINCIDE = Fraction(2, 5)
#: Sound of which this share is heard twice or more is a loop; so is a stretch that runs into its
#: own copy at a beat faster than this.
_LOOP_SHARE, _BEAT_S = 0.6, 1.0
#: Samples a frame -> the coders that have such a grid.
_FAMILY = {1024: "AAC", 576: "MP3"}
#: A repeat counts at this likeness times the square root of its length in quarter seconds.
_REPEAT_WEIGHT, _REPEAT_LIKENESS = 0.95, 0.5


def _said(
    kind: DiscontinuityKind, verdict: Verdict3, span: Span, score: float, *,
    note: str, table: str | None = None, removed: Quantity | None = None,
    measures: dict[str, Quantity] | None = None, supports: tuple[str, ...] = (), stratum: str = "",
) -> Observation:  # fmt: skip
    what = Discontinuity("audio", kind, verdict, supports, explanations(table or kind), removed)
    return Observation(
        what, span, round(min(1.0, max(0.0, score)), 4), measures=measures or {}, note=note,
        stratum=stratum,
    )  # fmt: skip


def _innocent(shift: GridShift, grids: Sequence[Grid]) -> str | None:
    """The table of explanations for shifts that a coder makes by itself.

    Vorbis mixes blocks of 2,048 and 256 samples at will; each run of short ones moves its grid of
    1,024 by a multiple of 128, and it shows several such grids in turn. One cut in 128 looks the
    same.
    """
    if shift.before.hop != 1024:
        return None
    own = [g.offset % 128 for g in grids if g.hop == 1024]
    several = any(own.count(g.offset % 128) > 1 for g in (shift.before, shift.after))
    return "vorbis-blocks" if several or shift.samples % 128 == 0 else None


def _shift_observations(clip: Clip, found: Gathered) -> list[Observation]:
    shifts = find_shifts(found.tracker)
    if not shifts:
        return []
    places = locate_shifts(iter_sound(clip, chunk_s=20.0), shifts)
    said = []
    for shift, (place, low, high) in zip(shifts, places, strict=True):
        span = Span(found.time(min(low, place)), found.time(max(high, place)))
        near_gap = any(g & Span(max(Fraction(0), span.start - 1), span.end + 1) for g in found.gaps)
        table = _innocent(shift, found.tracker.grids)
        strong = shift.strength >= 7 and shift.gap_segments <= 1 and not near_gap
        verdict: Verdict3 = "inconsistent" if strong and not table else "inconclusive"
        why = "; beside a gap in the sound stamps" if near_gap else ""
        name, hop = _FAMILY[shift.before.hop], shift.before.hop
        said.append(
            _said(
                "frame-grid-shift", verdict, span, 1 - 2.0 ** (-shift.strength / 5), table=table,
                note=f"{name}'s grid of {hop:,} samples moves from offset {shift.before.offset} to "
                f"{shift.after.offset}{why}",
                removed=Quantity.exact(
                    (-shift.samples) % hop, "samples",
                    f"removed, modulo {hop:,} (or {hop:,} less this, inserted)",
                ),
                measures={
                    "strength": Quantity(shift.strength, "", note="robust z of the weaker side"),
                    "best": Quantity(
                        float(found.time(place)), "s", float(span.start), float(span.end)
                    ),
                },
                stratum="Vorbis-like grid" if table else f"{name} grid",
            )
        )  # fmt: skip
    return said


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


def _repeat_observations(found: Gathered) -> list[Observation]:
    repeats = [r for r in found.repeats.repeats if _counts(r)]
    looped = _looped(repeats, float(found.span.length))
    said = []
    for repeat in sorted(repeats, key=lambda r: r.second_s):
        lag_s = repeat.second_s - repeat.first_s
        many = looped or (lag_s < _BEAT_S and lag_s < repeat.length_s)
        clear = repeat.likeness >= 0.8 and repeat.length_s >= 0.4 and not many
        note = (
            f"{repeat.length_s:.2f} s from {repeat.first_s:.3f} s are heard again here, sample by "
            "sample; which of the two is the copy this cannot tell"
        )
        if many:
            note += "; sound that repeats so much is a loop, a machine or made by a computer"
        said.append(
            _said(
                "copy-move", "inconsistent" if clear else "inconclusive",
                Span(
                    found.start + Fraction(round(repeat.second_s * 1000), 1000),
                    found.start + Fraction(round((repeat.second_s + repeat.length_s) * 1000), 1000),
                ),
                min(1.0, repeat.likeness), note=note, table="loop" if many else None,
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


def _room_observations(found: Gathered) -> list[Observation]:
    said = []
    half = Fraction(1, 4)

    def around(row: int) -> Span:
        at = found.start + Fraction(round(row * HOP_S * 1000), 1000)
        return Span(max(found.start, at - half), min(found.span.end, at + half))

    for step in find_floor_steps(found.levels):
        pumped = step.loud_before_db > 20
        table = "gain-after-bang" if pumped else "noise-floor-step"
        said.append(
            _said(
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
        _said(
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
        _said(
            "sound-splice", "inconclusive",
            Span(found.start + top.low, min(found.span.end, found.start + top.high)), 0.6,
            note=f"the clipping ceiling changes from {top.before:.3f} to {top.after:.3f}",
            supports=("clipping-ceiling",), stratum="clipping ceiling",
        )
        for top in find_ceiling_changes(found.ceilings)
    ]  # fmt: skip
    return said


def _silence_observations(found: Gathered) -> list[Observation]:
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
            _said(
                "digital-silence", "inconclusive", span,
                min(0.9, 0.3 + float(span.length)), note="exactly constant samples: nothing, not "
                "even noise, was recorded", stratum="digital silence",
                measures={"value": Quantity.exact(run.value, "of full scale")},
            )
        )  # fmt: skip
    return said


def _stream_observations(clip: Clip, found: Gathered) -> list[Observation]:
    said = [
        _said(
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
                _said(
                    "av-mismatch", "inconclusive", Span(min(picture, sound), max(picture, sound)),
                    0.4, note=f"sound and picture {name} {abs(float(picture - sound)):.3f} s apart",
                    stratum="av mismatch",
                )
            )  # fmt: skip
    return said


def _support(observations: Sequence[Observation]) -> list[Observation]:
    """Each observation told which other kinds of change lie at the same place."""
    import msgspec

    answer = []
    for seen in observations:
        assert isinstance(seen.what, Discontinuity) and seen.span is not None
        wide = Span(seen.span.start - _COINCIDE, seen.span.end + _COINCIDE)
        ends = {
            other.what.kind
            for other in observations
            if other is not seen and other.span is not None
            and isinstance(other.what, Discontinuity) and other.what.kind != seen.what.kind
            and (other.span.start in wide or other.span.end in wide)
        }  # fmt: skip
        supports = (*seen.what.supports, *sorted(ends))
        what = msgspec.structs.replace(seen.what, supports=supports)
        answer.append(msgspec.structs.replace(seen, what=what))
    return answer


def _not_testable(found: Gathered) -> list[NotTestable]:
    """Where the grid could not be followed, joined, with the reason."""
    answer: list[NotTestable] = []
    any_grid = bool(found.tracker.grids)
    for segment in found.tracker.segments:
        if segment.present:
            continue
        if not segment.testable:
            why = "frame grid: too quiet to hold a trace"
        elif any_grid:
            why = "frame grid: the trace seen elsewhere is not visible here"
        else:
            why = "frame grid: no trace, so a cut would leave none"
        span = Span(found.time(segment.start), found.time(min(segment.stop, found.count)))
        if answer and answer[-1].reason == why and float(span.start - answer[-1].span.end) < 0.2:
            answer[-1] = NotTestable(Span(answer[-1].span.start, span.end), why)
        else:
            answer.append(NotTestable(span, why))
    return answer


def _measures(found: Gathered) -> dict[str, Quantity]:
    import numpy as np

    total = measure_total(found.levels)
    loud = measure_bands(found.levels, 0.95)
    heard = np.flatnonzero(loud > max(loud.max() - 75, -112))
    segments = found.tracker.segments
    traced = sum(bool(s.present) for s in segments)
    return {
        "grids": Quantity.exact(len(found.tracker.grids), "", "distinct frame grids, AAC and MP3"),
        "traced": Quantity(
            traced / max(1, len(segments)), "",
            note=f"share of {found.tracker.length / found.rate_hz:.1f} s segments with a grid",
        ),
        "noise_floor": Quantity(
            float(np.quantile(total, 0.1)), "dBFS", float(np.quantile(total, 0.025)),
            float(np.quantile(total, 0.2)), "quiet of 50 ms stretches; the interval is 2.5 to 20 %",
        ),
        "bandwidth": Quantity(
            float((heard[-1] + 1) / BANDS * found.rate_hz / 2) if len(heard) else 0.0, "Hz",
            note=f"highest of {BANDS} bands in use",
        ),
        "clipped_seconds": Quantity.exact(float((found.ceilings > 0).sum()), "s"),
    }  # fmt: skip


@method(
    "sound-continuity",
    version="2",
    references=(
        "Yang, Qu, Huang: Detecting digital audio forgeries by checking frame offsets, MM&Sec 2008",
        "SWGDE Best Practices for Digital Audio, 17-A-001, 2017",
        "ISO/IEC 14496-3 (AAC)",
    ),
)
def find_splices(
    clip: Clip, *, reach_s: float = 600.0, chunk_s: float = 20.0, progress: Progress | None = None
) -> Examination:
    """Find where the sound does not go on as one recording: codec grid, copies, silence, floor.

    Looked for in one decode: a shift of the frame grid that AAC or MP3 leaves in decoded sound
    (with the exact number of samples, modulo 1,024 or 576); stretches that occur twice sample by
    sample; digital silence; steps of the noise floor between the sounds; changes of bandwidth;
    changes of the clipping ceiling; sound the stamps leave out; ends that differ from the picture.

    Parameters
    ----------
    clip
        An opened clip with sound.
    reach_s
        Repeats farther apart than this are not looked for.
    chunk_s
        Seconds of sound worked on at a time; what bounds the memory.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Discontinuity` observations of level "audio". `coverage.not_testable` lists where the
        grid left no trace; `measures` says how much of the clip was traced.

    Raises
    ------
    StreamMissing, SignalTooShort
        Recorded as *not applicable*.
    ClipRefused
        The clip is a listening copy made by this library: a derivative is never analysed.

    References
    ----------
    Yang, Qu, Huang (2008); SWGDE (2017).

    When it errs
    ------------
    Calls it wrongly when a recorder was paused or an app joined takes without coding them again
    (misinterpretation: a shift of the grid is real, an edit of one take is not); when music, a
    ring tone or a machine repeats itself (inaccuracy: association; sound that is a loop as a whole
    is never more than inconclusive); when a door, an engine or automatic gain changes the
    background (misinterpretation). Vorbis moves its own grid by multiples of 128 samples: such
    shifts are never more than inconclusive, a real cut among them included.
    Misses it when the length removed is a multiple of the frame, the sound was resampled, went
    through Opus or a strong low-rate coder afterwards (a second AAC of the same rate hides about
    one cut in four), when the parts are shorter than about 3 s, or when the sound was never AAC or
    MP3 (incompleteness: there is no trace then, and its absence says nothing).
    Says nothing about what was removed, nor which of two like stretches is the copy.
    """
    check_not_listening_copy(clip)
    found = gather(iter_sound(clip, chunk_s=chunk_s, progress=progress), reach_s=reach_s)
    observations = [
        *_shift_observations(clip, found),
        *_repeat_observations(found),
        *_room_observations(found),
        *_silence_observations(found),
        *_stream_observations(clip, found),
    ]
    observations = _support(sorted(observations, key=lambda o: o.span or found.span))
    untested = _not_testable(found)
    untested += [NotTestable(gap, "the file has no sound here") for gap in found.gaps]
    if found.rate_hz < COPY_RATE_HZ:
        untested.append(NotTestable(found.span, "repeats: not looked for below 8 kHz sampling"))
    grids = len(found.tracker.grids)
    trace = f"{grids} frame grid(s) seen" if grids else "frame grid: no trace"
    return conclude(
        observations,
        coverage=Coverage(found.span, found.count, "samples", found.failures, tuple(untested)),
        reason=f"{len(observations)} discontinuities; {trace}", measures=_measures(found),
    )  # fmt: skip
