"""One pass over a clip's sound feeds every measurement of continuity; memory stays bounded.

Three hours leave behind 41 MB of levels, one row of 48 bands every 50 ms, and some kilobytes of
bookkeeping; the rest is bounded by the chunk and by how far apart repeats are looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd
from typing import TYPE_CHECKING

from forensics.continuity_channels import RelationMeter
from forensics.continuity_copies import RATE_HZ as COPY_RATE_HZ
from forensics.continuity_copies import RepeatFinder
from forensics.continuity_decay import DecayFinder
from forensics.continuity_grid import GridShift, GridTracker, locate_shift
from forensics.continuity_room import BANDS, Silence, SilenceFinder, measure_ceilings, measure_room
from forensics.errors import SignalTooShort
from forensics.model import Span
from forensics.scan_sound import Sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]

__all__ = ["Gathered", "gather", "locate_shifts"]

_SILENCE_S = 0.02
_LONGEST = 1_500_000
SHORTEST_S = 1.0


@dataclass
class Gathered:
    """What one pass measured. Positions are samples from `start`, at `rate_hz`."""

    rate_hz: int
    channels: int
    start: Fraction
    tracker: GridTracker
    repeats: RepeatFinder
    levels: Floats
    ceilings: Floats
    falls: Doubles
    relations: Floats
    silences: list[Silence]
    count: int = 0
    gaps: list[Span] = field(default_factory=list)
    overlaps: list[Span] = field(default_factory=list)
    failures: int = 0

    def time(self, sample: float) -> Fraction:
        """The clip time of a sample position."""
        return self.start + Fraction(round(sample), self.rate_hz)

    @property
    def span(self) -> Span:
        """The stretch of the clip's clock that has sound."""
        return Span(self.start, self.time(self.count))


class _Queue:
    """Hands on pieces of fixed length from chunks of any length, with an overlap."""

    def __init__(self, size: int, step: int) -> None:
        import numpy as np

        self.size, self.step, self.first = size, step, 0
        self.held: Floats = np.zeros(0, np.float32)

    def push(self, samples: Floats) -> Iterable[tuple[Floats, int]]:
        import numpy as np

        self.held = np.concatenate([self.held, samples])
        while len(self.held) >= self.size:
            yield self.held[: self.size], self.first
            self.held = self.held[self.step :]
            self.first += self.step

    def finish(self, least: int) -> Iterable[tuple[Floats, int]]:
        if len(self.held) >= least:
            yield self.held, self.first


class _Down:
    """Streaming rate change to 8 kHz with zero delay: output n is at n / 8000 seconds."""

    def __init__(self, rate_hz: int) -> None:
        import numpy as np

        shared = gcd(rate_hz, COPY_RATE_HZ)
        self.up, self.down = COPY_RATE_HZ // shared, rate_hz // shared
        # Margins and pieces are whole numbers of `down` samples, so that positions stay exact.
        self.margin = self.down * max(1, 2048 // self.down)
        self.held: Floats = np.zeros(self.margin, np.float32)

    def push(self, samples: Floats, last: bool = False) -> Floats:
        import numpy as np
        from scipy.signal import resample_poly

        pad = np.zeros(self.margin if last else 0, np.float32)
        self.held = np.concatenate([self.held, samples, pad])
        whole = (len(self.held) - 2 * self.margin) // self.down * self.down
        if whole <= 0:
            return np.zeros(0, np.float32)
        piece = self.held[: whole + 2 * self.margin]
        out = resample_poly(piece, self.up, self.down)
        edge = self.margin // self.down * self.up
        self.held = self.held[whole:]
        kept: Floats = out[edge : edge + whole // self.down * self.up].astype(np.float32)
        return kept


def gather(chunks: Iterable[Sound], *, reach_s: float = 600.0) -> Gathered:
    """Run every measurement over the sound of one clip, chunk by chunk.

    Raises
    ------
    SignalTooShort
        Less than a second of sound.
    """
    import numpy as np

    state: Gathered | None = None
    down: _Down | None = None
    segments, blocks, seconds_, rows = _Queue(1, 1), _Queue(1, 1), _Queue(1, 1), _Queue(1, 1)
    decays, fading = DecayFinder(), _Queue(DecayFinder.size, DecayFinder.step)
    meter = RelationMeter(1)
    levels: list[Floats] = []
    ceilings: list[Floats] = []
    silence = SilenceFinder(least=1)
    for sound in chunks:
        if state is None:
            rate = sound.rate_hz
            tracker, repeats = GridTracker(rate), RepeatFinder(reach_s=reach_s)
            state = Gathered(
                rate, sound.samples.shape[1], sound.start, tracker, repeats,
                np.zeros((0, BANDS), np.float32), np.zeros(0, np.float32), np.zeros((0, 5)),
                np.zeros((0, 2), np.float32), [],
            )  # fmt: skip
            segments = _Queue(tracker.length + tracker.overlap, tracker.length)
            blocks = _Queue(repeats.size, repeats.step)
            second, hop = rate, round(0.05 * rate)
            seconds_, rows = _Queue(second * 8, second * 8), _Queue(hop * 160, hop * 160)
            silence = SilenceFinder(least=max(2, round(_SILENCE_S * rate)))
            down = _Down(rate) if rate >= COPY_RATE_HZ else None
            meter = RelationMeter(rate)
        silence.push(sound.samples, state.count)
        meter.push(sound.samples)
        mono = sound.mono
        state.count += len(mono)
        state.gaps += sound.gaps
        state.overlaps += sound.overlaps
        state.failures = max(state.failures, sound.decode_failures)
        for piece, first in segments.push(mono):
            state.tracker.push(piece, first)
        for piece, _ in rows.push(mono):
            levels.append(measure_room(piece, state.rate_hz))
        for piece, _ in seconds_.push(mono):
            ceilings.append(measure_ceilings(piece, state.rate_hz))
        if down is not None:
            slow = down.push(mono)
            for piece, first in blocks.push(slow):
                state.repeats.push(piece, first)
            for piece, first in fading.push(slow):
                decays.push(piece, first)
    if state is None or state.count < SHORTEST_S * state.rate_hz:
        have = state.count / state.rate_hz if state else 0.0
        raise SignalTooShort("too little sound", need_s=SHORTEST_S, have_s=have)
    for piece, first in segments.finish(10 * 1024):
        state.tracker.push(piece, first)
    for piece, _ in rows.finish(1):
        levels.append(measure_room(piece, state.rate_hz))
    for piece, _ in seconds_.finish(1):
        ceilings.append(measure_ceilings(piece, state.rate_hz))
    if down is not None:
        slow = down.push(np.zeros(0, np.float32), last=True)
        for piece, first in blocks.push(slow):
            state.repeats.push(piece, first)
        for piece, first in fading.push(slow):
            decays.push(piece, first)
        for piece, first in fading.finish(1):
            decays.push(piece, first, last=True)
        for piece, first in blocks.finish(COPY_RATE_HZ):
            state.repeats.push(piece, first)
    state.repeats.finish()
    state.levels, state.ceilings = np.concatenate(levels), np.concatenate(ceilings)
    state.silences = silence.finish()
    state.falls, state.relations = decays.finish(), meter.finish()
    return state


def locate_shifts(
    chunks: Iterable[Sound], shifts: Sequence[GridShift]
) -> list[tuple[int, int, int]]:
    """(best sample, earliest, latest) of each shift, from a second pass over the sound.

    Each is located as soon as its stretch has passed; only what open stretches need is kept. A
    change seen over more than `_LONGEST` samples has no place to be found in: its whole stretch is
    given.
    """
    import numpy as np

    places = {k: (s.low + s.high) // 2 for k, s in enumerate(shifts)}
    found = {k: (places[k], s.low, s.high) for k, s in enumerate(shifts)}
    waiting = [k for k, s in enumerate(shifts) if s.high - s.low <= _LONGEST]
    held: Floats = np.zeros(0, np.float32)
    first = 0
    for sound in chunks:
        if not waiting:
            break
        held = np.concatenate([held, sound.mono])
        end = first + len(held)
        for number in [k for k in waiting if shifts[k].high <= end]:
            shift = shifts[number]
            stretch = held[max(0, shift.low - first) : shift.high - first]
            found[number] = locate_shift(stretch, shift.low, shift)
            waiting.remove(number)
        needed = min((shifts[k].low for k in waiting), default=end)
        drop = min(max(0, needed - first), len(held))
        held, first = held[drop:].copy(), first + drop
    # The last segment may end where the sound does.
    for number in waiting:
        shift = shifts[number]
        if shift.low >= first:
            found[number] = locate_shift(held[shift.low - first :], shift.low, shift)
    return [found[k] for k in range(len(shifts))]
