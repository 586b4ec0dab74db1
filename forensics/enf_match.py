"""A recording's mains held against a reference's: the best lag, and how often chance does as well.

The *phase* of the mains is compared, not its frequency over time: two stretches of mains that rise
and fall alike correlate, but drift apart by whole turns within a minute. Chance is asked with real
mains: the reference itself, turned round and upside down, its pieces in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.enf_hum import BASE_HZ, Family, demodulate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Phasors = NDArray[np.complex128]

__all__ = ["RIVAL", "MatchResult", "Steps", "match_steps", "measure_steps"]

#: Clocks of recorders differ by up to this (Hz at the fundamental, 100 ppm of 50 Hz).
CLOCK_HZ = 0.005
#: The phase must keep step for this long; from one such stretch to the next it may jump: a phone
#: that is moved takes the hum from elsewhere.
_STRETCH_S = 105
#: Harmonics that are compared: the clearest.
_MOST_LINES = 2
#: Surrogates are joined of pieces of real mains this long (s), each begun where the last one's
#: frequency ended, to the nearest so many.
_PIECE_S, _NEAREST = 120, 30
#: What is as good within this of the best place (s) is the same place.
_APART_S = 15
_BLOCK_S = 16
#: A place is refused where another does this much as well, or where the frequencies differ by more
#: than this and so many times what the clip's own noise leaves.
RIVAL, _LEFT_HZ, _NOISES = 0.4, 0.001, 2.0
#: Once so many surrogates were as good, the share is known well enough to be refused.
_ENOUGH = 20


@dataclass(frozen=True)
class Steps:
    """Mains as one phasor a second, (lines, n) of the clearest harmonics, and which they are.

    `turns` (n,): phase of the fundamental as carried on from second to second, in turns less those
    of the nominal frequency; `seen` (n,) where it could be followed.
    """

    lines: Phasors
    harmonics: tuple[int, ...]
    turns: Doubles
    seen: NDArray[np.bool_]


@dataclass(frozen=True)
class MatchResult:
    """The best place of a clip on a reference, and what speaks against it.

    `lag_s` of the clip's start, and `spread_s` to each side; `coherence`: share of the line's power
    that keeps step with the reference; `clock_ppm`: how much faster the clip's clock would run;
    `rms_hz` what is left of the difference in frequency (at the fundamental, over 16 s, robust) and
    `noise_hz` what the clip's own noise leaves of it; `rival` the score of the next best place over
    that of the best; `false_match` share of `drawn` surrogates that do as well, with its interval.
    """

    lag_s: float
    spread_s: float
    score: float
    coherence: float
    clock_ppm: float
    rms_hz: float
    noise_hz: float
    rival: float
    rivals_s: tuple[float, ...]
    false_match: float
    false_match_high: float
    drawn: int

    @property
    def bound_hz(self) -> float:
        """More than this may not be left of the difference in frequency."""
        return _LEFT_HZ + _NOISES * self.noise_hz

    def against(self, largest_false_match: float) -> list[str]:
        """What speaks against this place; empty where nothing does."""
        left, allowed = 1000 * self.rms_hz, 1000 * self.bound_hz
        tests = (
            (self.false_match > largest_false_match,
             f"false-match probability {self.false_match:.2g}"),
            (self.rival > RIVAL, f"another place does {self.rival:.2f} times as well"),
            (left > allowed, f"frequencies {left:.2g} mHz apart, {allowed:.2g} are allowed"),
        )  # fmt: skip
        return [text for wrong, text in tests if wrong]


def measure_steps(samples: Floats, family: Family) -> Steps:
    """Phasors of the clearest harmonics, a second each, from sound at 1 kHz.

    Parameters
    ----------
    samples
        (n,) at 1 kHz.
    family
        The hum in it, from `enf_hum.find_family`.

    Returns
    -------
    Steps
    """
    import numpy as np
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import savgol_filter

    order = np.argsort([-lift for lift in family.lifts])[:_MOST_LINES]
    harmonics = tuple(family.harmonics[k] for k in order)
    followed = np.asarray(family.frequency - family.nominal, np.float64)
    lines, turns = [], np.zeros(0)
    for number, harmonic in enumerate(harmonics):
        phasors = demodulate(samples, float(family.nominal * harmonic))
        count = min(len(phasors) // BASE_HZ, len(followed))
        at = np.arange(len(phasors)) / BASE_HZ
        wound = np.cumsum(np.interp(at, np.arange(len(followed)), followed)) / BASE_HZ
        # A second is averaged with the followed frequency taken out, and gets its turns back.
        still = phasors * np.exp(-2j * np.pi * harmonic * wound)
        second = still[: count * BASE_HZ].reshape(count, BASE_HZ).mean(axis=1)
        middle = wound[: count * BASE_HZ].reshape(count, BASE_HZ).mean(axis=1)
        lines.append(second * np.exp(2j * np.pi * harmonic * middle))
        if number == 0:
            smooth = uniform_filter1d(second.real, 5) + 1j * uniform_filter1d(second.imag, 5)
            # The followed frequency jitters: its turns are put right by the line's own angle.
            rough = np.unwrap(np.angle(smooth))
            rough += np.angle(second * np.exp(-1j * rough))
            turns = savgol_filter(middle + rough / (2 * np.pi * harmonic), 11, 2)
    size = min(len(line) for line in lines)
    return Steps(
        np.stack([line[:size] for line in lines]), harmonics, turns[:size],
        np.asarray(family.present[:size], np.bool_),
    )  # fmt: skip


def _limited(steps: Steps) -> Phasors:
    """The lines with bursts held down and what could not be followed left out."""
    import numpy as np

    size = np.abs(steps.lines)
    usual = np.median(size[:, steps.seen] if steps.seen.any() else size, axis=1, keepdims=True)
    lines: Phasors = steps.lines * np.minimum(1.0, 2 * usual / np.maximum(size, 1e-20)) * steps.seen
    return lines


class _Comparison:
    """A clip's lines, made ready to be laid on any number of references of one length."""

    def __init__(self, lines: Phasors, harmonics: tuple[int, ...], total: int) -> None:
        import numpy as np
        from scipy.fft import fft

        self.count, self.harmonics = lines.shape[1], harmonics
        self.lags = total - self.count + 1
        # A lag runs round the transform only from beyond the last one asked for.
        self.size = 1 << (total - 1).bit_length()
        stretches = max(1, round(self.count / _STRETCH_S))
        self.edges = np.linspace(0, self.count, stretches + 1).astype(int)
        step = 0.5 * stretches / (self.count * max(harmonics))
        most = int(CLOCK_HZ / step)
        self.clocks = np.arange(-most, most + 1) * step
        at = np.arange(self.count)
        self.ready = []
        for line, harmonic in zip(lines, harmonics, strict=True):
            turned = line * np.exp(-2j * np.pi * harmonic * self.clocks[:, None] * at)
            turned /= np.sqrt((np.abs(line) ** 2).sum() + 1e-30)
            parts = []
            for first, last in zip(self.edges[:-1], self.edges[1:], strict=True):
                part = np.zeros(turned.shape, np.complex64)
                part[:, first:last] = turned[:, first:last] / np.sqrt(last - first)
                parts.append(np.conj(fft(part, self.size, axis=1)))
            self.ready.append(parts)

    def shares(self, turns: Doubles) -> Iterator[Floats]:
        """(clocks, lags) for each line: the share of its power in step with the reference."""
        import numpy as np
        from scipy.fft import fft, ifft

        for parts, harmonic in zip(self.ready, self.harmonics, strict=True):
            other = fft(np.exp(2j * np.pi * harmonic * turns).astype(np.complex64), self.size)
            share = np.zeros((len(self.clocks), self.lags), np.float32)
            for part in parts:
                share += np.abs(ifft(part * other, axis=1)[:, : self.lags]) ** 2
            yield share

    def score(self, turns: Doubles) -> Floats:
        """(clocks, lags): log likelihood (nats) of hum that keeps step over hum that does not."""
        import numpy as np

        total = np.zeros((len(self.clocks), self.lags), np.float32)
        for share in self.shares(turns):
            total -= np.float32(self.count) * np.log(1 - np.minimum(share, 0.9999))
        return total


def _surrogates(turns: Doubles, rng: np.random.Generator) -> Iterator[Doubles]:
    """Mains that never ran, of the reference's own pieces, backwards, upside down or both.

    Its pieces as they ran are left out: they would match where the clip truly lies.
    """
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    run = np.diff(turns)
    over = 2 * run.mean() - run
    tracks = [over, run[::-1], over[::-1]]
    size = max(2, min(_PIECE_S, len(run) // 2))
    usable = len(run) - size
    slow = [uniform_filter1d(track, 9, mode="nearest") for track in tracks]
    starts = np.concatenate([s[:usable] for s in slow])
    order = np.argsort(starts)
    height = starts[order]
    while True:
        made: list[Doubles] = []
        length, at = 0, int(rng.integers(len(starts)))
        while length < len(turns):
            track, place = divmod(at, usable)
            # The first piece is a part of one, so that the joints lie elsewhere each time.
            skip = 0 if made else int(rng.integers(size))
            made.append(tracks[track][place + skip : place + size])
            length += size - skip
            near = int(np.searchsorted(height, slow[track][place + size]))
            low = min(max(0, near - _NEAREST), max(0, len(order) - 2 * _NEAREST))
            at = int(order[rng.integers(low, min(len(order), low + 2 * _NEAREST))])
        yield np.cumsum(np.concatenate(made)[: len(turns)])


def _left_over(steps: Steps, turns: Doubles, lag: int, clock_hz: float) -> tuple[float, float]:
    """Robust r.m.s. of the difference in frequency over 16 s, and what the clip's noise makes."""
    import numpy as np

    line, harmonic = steps.lines[0], steps.harmonics[0]
    at = np.arange(len(line))
    count = len(line) // _BLOCK_S
    if count < 3:
        return float("inf"), 0.0

    def blocks(away: Doubles) -> tuple[Phasors, Doubles]:
        still = line * np.exp(-2j * np.pi * harmonic * away)
        table = still[: count * _BLOCK_S].reshape(count, _BLOCK_S)
        mean = table.mean(axis=1)
        noise = (np.abs(table - mean[:, None]) ** 2).sum(axis=1) / (_BLOCK_S - 1)
        # Spread of the angle of a mean of 16 (radians, squared).
        return mean, noise / (2 * _BLOCK_S * np.maximum(np.abs(mean) ** 2, 1e-30))

    mean, _ = blocks(turns[lag : lag + len(line)] + clock_hz * at)
    _, spread = blocks(steps.turns)
    scale = 2 * np.pi * harmonic * _BLOCK_S
    left = np.angle(mean[1:] * np.conj(mean[:-1])) / scale
    seen = steps.seen[: count * _BLOCK_S].reshape(count, _BLOCK_S).mean(axis=1) > 0.5
    pairs = seen[1:] & seen[:-1]
    if pairs.sum() < 2:
        return float("inf"), 0.0
    expected = np.sqrt(spread[1:] + spread[:-1]) / scale
    robust = 1.4826 * float(np.median(np.abs(left[pairs])))
    return robust, float(np.median(expected[pairs]))


def match_steps(
    steps: Steps, reference: Steps, *, surrogates: int = 2000, seed: int = 1
) -> MatchResult:
    """Slide a clip's mains along a longer reference, phase against phase.

    Parameters
    ----------
    steps, reference
        From `measure_steps`. Of a clip longer than the reference only the first part is laid on it.
    surrogates
        Made of the reference's own pieces, at most; fewer once 20 were as good.
    seed
        Of their order.

    Returns
    -------
    MatchResult
        `false_match` is (1 + surrogates at least as good) / (1 + surrogates drawn): never zero.
    """
    import numpy as np
    from scipy.stats import beta

    size = min(steps.lines.shape[1], len(reference.turns))
    mine = Steps(steps.lines[:, :size], steps.harmonics, steps.turns[:size], steps.seen[:size])
    comparison = _Comparison(_limited(mine), mine.harmonics, len(reference.turns))
    table = comparison.score(reference.turns)
    clock, best = (int(k) for k in np.unravel_index(int(np.argmax(table)), table.shape))
    top = float(table[clock, best])
    share = max(float(s[clock, best]) for s in comparison.shares(reference.turns))
    curve = table.max(axis=0)
    near = curve >= top - max(20.0, 0.02 * top)
    low = high = best
    while low > 0 and near[low - 1]:
        low -= 1
    while high < len(curve) - 1 and near[high + 1]:
        high += 1
    rest = curve.copy()
    rest[max(0, best - _APART_S) : best + _APART_S + 1] = 0
    rivals: list[float] = []
    for place in np.argsort(-rest)[:200]:
        if rest[place] > 0.5 * top and all(abs(place - r) > _APART_S for r in rivals):
            rivals.append(float(place))
    as_good = drawn = 0
    made = _surrogates(reference.turns, np.random.default_rng(seed))
    while drawn < surrogates and as_good < _ENOUGH:
        drawn += 1
        as_good += float(comparison.score(next(made)).max()) >= top
    above = float(beta.ppf(0.975, as_good + 1, drawn - as_good)) if drawn > as_good else 1.0
    clock_hz = float(comparison.clocks[clock])
    rms, noise = _left_over(mine, reference.turns, best, clock_hz)
    nominal = CLOCK_HZ / 1e-4
    return MatchResult(
        float(best), float(max(best - low, high - best)) + 1.0, top, share,
        -1e6 * clock_hz / nominal, rms, noise, float(rest.max()) / max(top, 1e-9),
        tuple(rivals[:5]), (1 + as_good) / (1 + drawn), above, drawn,
    )  # fmt: skip
