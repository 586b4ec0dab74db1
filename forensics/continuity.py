"""Is this sound one recording? What its codec's grid, its background and its waveform say.

One decode feeds every measurement. The absence of a trace is reported as "no trace", never as
"untouched"; where a trace could not be tested, the stretch is listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from forensics.continuity_channels import (
    DIFFERENT,
    iter_channel,
    to_examine,
)
from forensics.continuity_control import measure_power
from forensics.continuity_copies import RATE_HZ as COPY_RATE_HZ
from forensics.continuity_gather import Gathered, gather, locate_shifts
from forensics.continuity_generations import CodecTrace, measure_codec_generations
from forensics.continuity_grid import Grid, GridShift, find_shifts
from forensics.continuity_listen import write_listening_copy
from forensics.continuity_room import BANDS, measure_bands, measure_total
from forensics.continuity_said import (
    channel_observations,
    decay_observations,
    observe,
    repeat_observations,
    room_observations,
    silence_observations,
    stream_observations,
)
from forensics.model import (
    Clip,
    Coverage,
    Discontinuity,
    Examination,
    NotTestable,
    Observation,
    Progress,
    Quantity,
    Span,
    Verdict3,
)
from forensics.provenance import conclude, method
from forensics.scan_sound import Sound, iter_sound

__all__ = [
    "CodecTrace",
    "find_splices",
    "measure_codec_generations",
    "measure_power",
    "write_listening_copy",
]

_COINCIDE = Fraction(2, 5)
#: Samples a frame -> the coders that have such a grid.
_FAMILY = {1024: "AAC", 576: "MP3"}


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


def _shift_observations(chunks: Iterable[Sound], found: Gathered) -> list[Observation]:
    shifts = find_shifts(found.tracker)
    if not shifts:
        return []
    places = locate_shifts(chunks, shifts)
    said = []
    for shift, (place, low, high) in zip(shifts, places, strict=True):
        span = Span(found.time(min(low, place)), found.time(max(high, place)))
        near_gap = any(g & Span(max(Fraction(0), span.start - 1), span.end + 1) for g in found.gaps)
        table = _innocent(shift, found.tracker.grids)
        strong = shift.strength >= 7 and shift.gap_segments <= 1 and not near_gap
        verdict: Verdict3 = "inconsistent" if strong and not table else "inconclusive"
        why = "; beside a gap in the sound stamps" if near_gap else ""
        name, hop = _FAMILY[shift.before.hop], shift.before.hop
        owner = "Vorbis's or AAC's" if table else f"{name}'s"
        said.append(
            observe(
                "frame-grid-shift", verdict, span, 1 - 2.0 ** (-shift.strength / 5), table=table,
                note=f"{owner} grid of {hop:,} samples moves from offset {shift.before.offset} to "
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


def _everything(
    chunks: Iterable[Sound], found: Gathered
) -> tuple[list[Observation], list[NotTestable]]:
    """What one sound shows by itself; `chunks` is a second pass over it."""
    faded, blind = decay_observations(found)
    said = [
        *_shift_observations(chunks, found), *repeat_observations(found),
        *room_observations(found), *faded, *silence_observations(found),
    ]  # fmt: skip
    return said, [*_not_testable(found), *blind]


def _of_channel(seen: Observation, number: int) -> Observation:
    import msgspec

    note = f"channel {number + 1} alone: {seen.note}"
    return msgspec.structs.replace(seen, note=note, stratum=f"{seen.stratum}, one channel")


def _has(said: Sequence[Observation], new: Observation) -> bool:
    """Whether one of the same kind has been said of about the same place."""
    assert isinstance(new.what, Discontinuity) and new.span is not None
    wide = Span(max(Fraction(0), new.span.start - _COINCIDE), new.span.end + _COINCIDE)
    return any(
        isinstance(o.what, Discontinuity) and o.what.kind == new.what.kind and o.span is not None
        and o.span & wide
        for o in said
    )  # fmt: skip


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
        "channels_different": Quantity.exact(
            float((found.relations[:, 0] == DIFFERENT).sum()), "s",
            "seconds in which the channels hold different sound",
        ),
    }  # fmt: skip


@method(
    "sound-continuity",
    version="4",
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
    changes of the clipping ceiling; changes of how fast sound dies away in the pauses; channels
    that begin to stand otherwise to each other; sound the stamps leave out; ends that differ from
    the picture. Where channels hold different sound each is examined by itself, besides their mean.

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
    background, or somebody moves or another speaks, which changes how sound dies away
    (misinterpretation; such changes are never more than inconclusive). Vorbis moves its own grid
    by multiples of 128 samples: such shifts are never more than inconclusive, a real cut among
    them included.
    Misses it when the length removed is a multiple of the frame, the sound was resampled, went
    through Opus or a strong low-rate coder afterwards (a second AAC of the same rate hides about
    one cut in four), when the parts are shorter than about 3 s, or when the sound was never AAC or
    MP3 (incompleteness: there is no trace then, and its absence says nothing).
    Says nothing about what was removed, nor which of two like stretches is the copy.
    """
    found = gather(iter_sound(clip, chunk_s=chunk_s, progress=progress), reach_s=reach_s)
    said, untested = _everything(iter_sound(clip, chunk_s=chunk_s), found)
    said += [*stream_observations(clip, found), *channel_observations(found)]
    apart = to_examine(found.relations, found.channels)
    measures = _measures(found)
    # What has been said is all that is needed of one pass before the next.
    known = (found.span, found.count, found.failures, tuple(found.gaps), found.rate_hz)
    grids = len(found.tracker.grids)
    del found
    for number in apart:
        one = gather(iter_channel(iter_sound(clip, chunk_s=chunk_s), number), reach_s=reach_s)
        alone, _ = _everything(iter_channel(iter_sound(clip, chunk_s=chunk_s), number), one)
        said += [_of_channel(o, number) for o in alone if not _has(said, o)]
    span, count, failures, gaps, rate_hz = known
    observations = _support(sorted(said, key=lambda o: o.span or span))
    untested += [NotTestable(gap, "the file has no sound here") for gap in gaps]
    if rate_hz < COPY_RATE_HZ:
        untested.append(NotTestable(span, "repeats, room: not looked for below 8 kHz sampling"))
    trace = f"{grids} frame grid(s) seen" if grids else "frame grid: no trace"
    looked = f"; their mean and each of {len(apart)} channels examined" if apart else ""
    return conclude(
        observations,
        coverage=Coverage(span, count, "samples", failures, tuple(untested)),
        reason=f"{len(observations)} discontinuities; {trace}{looked}",
        measures={**measures, "channels_alone": Quantity.exact(
            len(apart), "", "channels examined one by one, besides their mean")},
    )  # fmt: skip
