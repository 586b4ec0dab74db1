"""Jumps of the hum's phase: a likelihood ratio of a jump against hum that runs on.

Pure functions of arrays. Each harmonic is a slow phasor in noise whose size is taken from the
recording itself, moment by moment: where someone speaks on the line, it weighs next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from forensics.enf_hum import BASE_HZ, Family, smooth_track

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Phasors = NDArray[np.complex64]

__all__ = ["LEAST", "LEAST_ALIKE", "Break", "find_breaks"]

#: The filter before the phasors passes this, of the 20 Hz they are sampled at: samples overlap.
_PASSED_HZ = 6.0
#: Smallest log likelihood ratio that is called a jump (nats).
LEAST = 12.0
#: Harmonics that agree less than this with one shift in time were not cut there.
LEAST_ALIKE = 1e-4
#: A recording whose mains wanders more than this (degrees) is judged as if it wandered so.
MOST_WANDER_DEG = 60.0
#: (seconds on each side; r.m.s. turn of the fundamental that the mains itself makes in that time,
#: in degrees, twice what eight mains recordings made; slopes of frequency tried, in Hz a second).
#: Loud hum tells a small turn in a short time, hum under speech needs a long one.
SCALES = (
    (2.0, 0.7, (0.0,)),
    (3.0, 1.2, tuple(0.002 * k for k in range(-2, 3))),
    (5.0, 2.5, tuple(0.001 * k for k in range(-4, 5))),
    (8.0, 5.0, tuple(0.001 * k for k in range(-4, 5))),
)
#: Phasors are summed over this before windows slide: the frequencies tried turn little within it.
_BLOCK = BASE_HZ // 4
#: So much on each side of a jump is left out: the filter smears it.
_GAP_S = 0.375
#: Less than this says nothing of what is usual in a recording.
_LEAST_LOOKED_S = 10.0
_FARTHEST_HZ = 0.020
#: How far the frequency strays from the slow track, and its slope from none (r.m.s.).
_STRAY_HZ, _BEND_HZ_S = 0.014, 0.002
_TURNS = 360
#: Of longer windows every so many turns are tried: the mains' own is wider there.
_COARSE = 2
#: The 85 % quantile of half a chi-squared variable of one degree of freedom.
_NULL_85 = 1.036
#: Phase noise of a real line that no noise beside it shows, degrees.
_JITTER_DEG = 4.0
#: The alarm of a jump lies so many deviations of the mains' own turn away where nothing else is
#: heard: `LEAST` nats are so many.
_DEVIATIONS = 4.9
#: How far the frequency of what is gone may be from that around the cut (Hz, 95 %, up to 3 s).
_PACE_HZ = 0.005
#: A place is as likely as the best one down to so many nats.
_PLACE_NATS = 3.0


@dataclass(frozen=True)
class Break:
    """A jump of the hum's phase: when, how far (s, modulo one period), how sure.

    `strength` is the log likelihood ratio (nats) of a jump over mains that runs on; `jump_deg` at
    the lowest harmonic's common divisor; `low_s` and `high_s` hold the place (95 %); `spread_s` and
    `period_spread_s` are half intervals (95 %) of the shift and of the period. `alike`: the chance
    that harmonics which a cut shifted all by one time would agree no better than these; where it
    is below `LEAST_ALIKE`, something else changed.
    """

    time_s: float
    low_s: float
    high_s: float
    jump_deg: float
    shift_s: float
    spread_s: float
    period_s: float
    period_spread_s: float
    strength: float
    harmonics: tuple[int, ...]
    alike: float


def _weigh(phasors: Phasors) -> tuple[Floats, Phasors]:
    """(1 / noise power, the steady line itself), each (h, n): what is left when the line is out."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    weight = np.ones(phasors.shape, np.float32)
    line = phasors
    span = 4 * BASE_HZ + 1
    for _ in range(3):
        part = phasors * weight
        line = (
            uniform_filter1d(part.real, span, axis=1)
            + 1j * uniform_filter1d(part.imag, span, axis=1)
        ) / (uniform_filter1d(weight, span, axis=1) + 1e-20)
        noise = uniform_filter1d(np.abs(phasors - line) ** 2, 7, axis=1)
        floor = 0.05 * np.median(noise, axis=1, keepdims=True) + 1e-14
        own = np.radians(_JITTER_DEG) ** 2 * np.abs(line) ** 2
        weight = (1 / (noise + floor + own)).astype(np.float32)
    return weight, line.astype(np.complex64)


@dataclass(frozen=True)
class _Scan:
    """One scale's answer at `at_s`: likelihood ratio and best turn, what a middling jump would
    score there, and the turn's own deviation (radians)."""

    at_s: Floats
    ratio: Floats
    turn: Floats
    power: Floats
    deviation: Floats

    @property
    def hop_s(self) -> float:
        """Seconds from one look to the next."""
        import numpy as np

        return float(np.diff(self.at_s).min()) if len(self.at_s) > 1 else 0.0


def _windows(side: float) -> tuple[int, int]:
    """Blocks that a look needs on each side, and blocks from one look to the next."""
    return round(side * BASE_HZ / _BLOCK) + 1, max(1, 2 * round(side / 4))


def _slopes(side: float) -> tuple[float, ...]:
    """Frequencies beside the slow track (Hz), so close that 300 Hz turns little between them."""
    count = max(5, round(_FARTHEST_HZ * 4 * 6 * 2 * side))
    return tuple(_FARTHEST_HZ * k / count for k in range(-count, count + 1))


def _scan(
    phasors: Phasors, weight: Floats, line: Phasors, harmonics: NDArray[np.int64],
    side: float, own_deg: float, bends: tuple[float, ...],
) -> _Scan:  # fmt: skip
    """Slide two windows over the phasors (h, n): a jump between them, or none?"""
    import numpy as np
    from scipy.fft import fft, ifft, next_fast_len

    shared = np.gcd.reduce(harmonics)
    steps = (harmonics // shared)[:, None]
    reach, hop = _windows(side)
    blocks = phasors.shape[1] // _BLOCK
    centre = np.arange(reach, blocks - reach, hop)
    if not len(centre):
        empty = np.zeros(0, np.float32)
        return _Scan(empty, empty, empty, empty, empty)
    tau = np.arange(-reach, reach + 1) * (_BLOCK / BASE_HZ)
    sides = np.stack([tau < -_GAP_S, tau > _GAP_S])
    count, length = len(phasors), next_fast_len(blocks)
    parts = np.concatenate([phasors * weight, weight])[:, : blocks * _BLOCK]
    spectra = fft(parts.reshape(2 * count, blocks, _BLOCK).sum(axis=2), length, axis=1)

    def sums(of: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
        # The kernel is turned round by conjugating the spectrum of its conjugate.
        full = ifft(of * np.conj(fft(np.conj(kernel), length, axis=1)), axis=1)
        found: NDArray[Any] = full[:, : len(centre) * hop : hop]
        return found

    held = [np.maximum(sums(spectra[count:], s[None]).real, 1e-20) for s in sides]
    both = held[0] + held[1]
    tried = _TURNS if side < 3 else _TURNS // _COARSE
    turn = 2 * np.pi * np.arange(tried) / tried
    # Turns that may be the mains' own wandering, the larger the less likely.
    own = 0.5 * (((turn + np.pi) % (2 * np.pi) - np.pi) / (np.radians(own_deg) * shared)) ** 2
    own = own.astype(np.float32)
    units = _PASSED_HZ / BASE_HZ
    wheel = units * np.concatenate([np.cos(steps * turn), np.sin(steps * turn)]).astype(np.float32)
    jumped = np.full(len(centre), -np.inf)
    ran_on = jumped.copy()
    which = np.zeros(len(centre), np.int64)
    for slope in _slopes(side):
        for bend in bends:
            kernel = np.exp(-2j * np.pi * harmonics[:, None] * (slope * tau + bend * tau**2 / 2))
            before, after = (sums(spectra[:count], kernel * s) for s in sides)
            alone = ((np.abs(before) ** 2 + np.abs(after) ** 2) / both).sum(axis=0)
            cross = 2 * np.conj(before) * after / both
            table = np.concatenate([cross.real, cross.imag]).astype(np.float32).T @ wheel
            unlikely = 0.5 * ((slope / _STRAY_HZ) ** 2 + (bend / _BEND_HZ_S) ** 2)
            base = units * alone - unlikely
            best = table.argmax(axis=1)
            value = base + table[np.arange(len(best)), best]
            which = np.where(value > jumped, best, which)
            jumped = np.maximum(jumped, value)
            table -= own
            ran_on = np.maximum(ran_on, base + table.max(axis=1))
    # A quarter of what the windows hold is left once the frequency is fitted as well.
    middle = centre * _BLOCK + _BLOCK // 2
    told = 0.25 * 2 * units * np.abs(line[:, middle]) ** 2 * held[0] * held[1] / both
    return _Scan(
        (middle / BASE_HZ).astype(np.float32), (jumped - ran_on).astype(np.float32),
        turn[which].astype(np.float32), told.sum(axis=0).astype(np.float32),
        (1 / np.sqrt((told * steps**2).sum(axis=0) + 1e-9)).astype(np.float32),
    )  # fmt: skip


def _scan_pieces(
    phasors: Phasors, weight: Floats, line: Phasors, harmonics: NDArray[np.int64],
    side: float, own_deg: float, bends: tuple[float, ...],
) -> _Scan:  # fmt: skip
    """`_scan` in pieces of ten minutes, so that memory does not grow with the length."""
    import numpy as np

    reach, hop = (_BLOCK * n for n in _windows(side))
    size = 12000 // hop * hop
    parts: list[_Scan] = []
    for first in range(0, max(1, phasors.shape[1] - 2 * reach), size):
        part = slice(first, first + size + 2 * reach)
        one = _scan(phasors[:, part], weight[:, part], line[:, part], harmonics, side, own_deg,
                    bends)  # fmt: skip
        parts.append(
            _Scan(one.at_s + np.float32(first / BASE_HZ), one.ratio, one.turn, one.power,
                  one.deviation)
        )  # fmt: skip
    return _Scan(
        *(np.concatenate([getattr(p, name) for p in parts])
          for name in ("at_s", "ratio", "turn", "power", "deviation"))
    )  # fmt: skip


def _elsewhere(scan: _Scan, side: float) -> _Scan:
    """The scan without its highest moment and what that jump would lift: a short clip's own cut."""
    import numpy as np

    if not len(scan.ratio):
        return scan
    far = np.abs(scan.at_s - scan.at_s[int(np.argmax(scan.ratio))]) > 2 * (side + _GAP_S)
    if far.sum() * scan.hop_s < _LEAST_LOOKED_S:
        return scan
    return _Scan(*(getattr(scan, field.name)[far] for field in fields(_Scan)))


def _wander(scan: _Scan, harmonics: NDArray[np.int64], strength: float) -> float:
    """Largest turn of the fundamental, degrees, that this recording's mains makes of itself.

    A grid of few power stations wanders more than a large one. One cut fills few of the moments.
    """
    import numpy as np

    clear = scan.power >= strength
    if clear.sum() * scan.hop_s < _LEAST_LOOKED_S:
        return 0.0
    turn = np.abs((scan.turn[clear] + np.pi) % (2 * np.pi) - np.pi)
    own = np.maximum(turn - 1.5 * scan.deviation[clear], 0)
    return float(3.5 * np.degrees(np.quantile(own, 0.8)) / np.gcd.reduce(harmonics))


def _inflation(scan: _Scan) -> float:
    """How much higher the ratio runs here than noise that is alike at all times would make it.

    A voice holds its pitch for a while, and its moments are then fewer than they are counted. The
    quantile lies above what one cut fills.
    """
    import numpy as np

    if len(scan.ratio) * scan.hop_s < _LEAST_LOOKED_S:
        return 1.0
    return max(1.0, float(np.quantile(scan.ratio, 0.85)) / _NULL_85)


@dataclass(frozen=True)
class _Place:
    """Where and within what (s); turn and its deviation (radians); how far off the track (Hz);
    chance that one shift in time explains all harmonics."""

    at_s: float
    low_s: float
    high_s: float
    turn: float
    deviation: float
    slope_hz: float
    alike: float


def _place(
    phasors: Phasors, weight: Floats, harmonics: NDArray[np.int64], at_s: float, side: float,
    bends: tuple[float, ...],
) -> _Place:  # fmt: skip
    """The jump near `at_s`: the split of what lies `side` around it that fits best."""
    import numpy as np

    middle = round(at_s * BASE_HZ)
    half = round((side + 1.5) * BASE_HZ)
    first, last = max(0, middle - half), min(phasors.shape[1], middle + half)
    part = phasors[:, first:last] * weight[:, first:last]
    tau = (np.arange(first, last) - middle) / BASE_HZ
    steps = (harmonics // np.gcd.reduce(harmonics))[:, None]
    turn = 2 * np.pi * np.arange(_TURNS) / _TURNS
    wheel = np.exp(-1j * steps * turn[None])
    whole = weight[:, first:last].sum(axis=1)[:, None] + 1e-20
    reach = round(max(1.5, side / 2) * BASE_HZ)
    split = np.arange(
        max(0, middle - first - reach), min(last - first, middle - first + reach + 1)
    )
    units = _PASSED_HZ / BASE_HZ
    places = np.full(len(split), -np.inf)
    best, start = -np.inf, (0, 0.0, 0.0, 0.0)
    for slope in _slopes(side):
        for bend in bends:
            turned = np.exp(-2j * np.pi * harmonics[:, None] * (slope * tau + bend * tau**2 / 2))
            before = np.cumsum(part * turned, axis=1)
            after = (before[:, -1:] - before)[:, split]
            before = before[:, split]
            alone = units * ((np.abs(before) ** 2 + np.abs(after) ** 2) / whole).sum(axis=0)
            unlikely = 0.5 * ((slope / _STRAY_HZ) ** 2 + (bend / _BEND_HZ_S) ** 2)
            cross = units * 2 * np.conj(before) * after / whole
            if float((alone + np.abs(cross).sum(axis=0)).max()) - unlikely < best - 12:
                continue
            table = np.real(cross.T @ wheel) + (alone - unlikely)[:, None]
            places = np.maximum(places, table.max(axis=1))
            row, column = np.unravel_index(int(np.argmax(table)), table.shape)
            if table[row, column] > best:
                best = float(table[row, column])
                start = (int(split[row]), slope, bend, float(turn[column]))
    # The sum up to a sample holds it; the jump lies behind.
    times = (first + split + 0.5) / BASE_HZ
    likely = times[places >= best - _PLACE_NATS]
    return _Place(
        (first + start[0] + 0.5) / BASE_HZ, float(likely[0]), float(likely[-1]),
        *_fit(part, weight[:, first:last], harmonics, tau, start),
    )  # fmt: skip


def _fit(
    part: Phasors, weight: Floats, harmonics: NDArray[np.int64], tau: NDArray[np.float64],
    start: tuple[int, float, float, float],
) -> tuple[float, float, float, float]:  # fmt: skip
    """(turn, its deviation, slope, alike): what the grid found, finer, by weighted least squares.

    `start`: sample of the jump, slope, bend, turn. `alike`: the chance that harmonics all shifted
    by one time would agree no better than these. The steps of the grid are as wide as what loud
    hum tells, and a turn can be had only as well as the slope across it.
    """
    import numpy as np
    from scipy.special import chdtrc

    split, slope, bend, turn = start
    count = len(harmonics)
    steps = harmonics // np.gcd.reduce(harmonics)
    after = np.arange(len(tau)) > split
    #: How each harmonic's phase follows slope, bend and turn, (3, h, n).
    shape = (count, len(tau))
    way = np.stack([
        2 * np.pi * harmonics[:, None] * tau[None], np.pi * harmonics[:, None] * tau[None] ** 2,
        np.broadcast_to(steps[:, None] * after[None], shape),
    ])  # fmt: skip
    told = np.diag([_STRAY_HZ**-2, _BEND_HZ_S**-2, 0.0])
    values = np.array([slope, bend, turn])
    matrix = told
    for _ in range(5):
        left = part * np.exp(-1j * np.tensordot(values, way, 1))
        line = left.sum(axis=1, keepdims=True) / (weight.sum(axis=1, keepdims=True) + 1e-20)
        worth = 2 * _PASSED_HZ / BASE_HZ * weight * np.abs(line) ** 2
        # What each harmonic's own phase takes up says nothing of the turn.
        middle = (way * worth).sum(axis=2, keepdims=True) / (worth.sum(axis=1)[:, None] + 1e-20)
        free = way - middle
        error = 2 * _PASSED_HZ / BASE_HZ * np.imag(left * np.conj(line))
        matrix = np.einsum("ihn,jhn,hn->ij", free, free, worth) + told
        slack = np.einsum("ihn,hn->i", free, error) - told @ values
        values = values + np.linalg.solve(matrix + 1e-9 * np.eye(3), slack)
    deviation = np.sqrt(np.linalg.inv(matrix + 1e-9 * np.eye(3))[2, 2])
    # A cut shifts all harmonics by one time; another microphone's filter does not.
    left = part * np.exp(-1j * np.tensordot(values, way, 1))
    sides = [np.where(side, left, 0).sum(axis=1) for side in (~after, after)]
    line = np.abs(sum(sides)) / (weight.sum(axis=1) + 1e-20)
    spread = np.radians(_JITTER_DEG) ** 2 / 2 + 1e-20
    for side in (~after, after):
        held = np.where(side, weight, 0).sum(axis=1)
        spread = spread + 1 / (2 * _PASSED_HZ / BASE_HZ * held * line**2 + 1e-20)
    apart = np.angle(sides[1] * np.conj(sides[0]))
    # The turn was fitted with other weights: what they share is none of it.
    shared = (steps * apart / spread).sum() / (steps**2 / spread).sum()
    misfit = float(((apart - steps * shared) ** 2 / spread).sum())
    alike = float(chdtrc(count - 1, misfit)) if count > 1 else 1.0
    return float(values[2] % (2 * np.pi)), float(deviation), float(values[0]), alike


def find_breaks(
    phasors: Phasors, family: Family, *, strength: float = LEAST
) -> tuple[list[Break], NDArray[np.bool_], float]:
    """Phase jumps that all heard harmonics of one nominal frequency agree on.

    Parameters
    ----------
    phasors
        (h, n) at 20 Hz, as `enf_hum.measure_phasors` gives them.
    family
        Whose harmonics they are.
    strength
        Smallest log likelihood ratio (nats) reported.

    Returns
    -------
    breaks, testable, wander_deg
        `testable`: one value a second, whether a middling jump would have been reported there;
        `wander_deg`: the turn of the fundamental, within 3 s, that counted as the mains' own.
    """
    import numpy as np

    numbers = np.asarray(family.harmonics, np.int64)
    weight, line = _weigh(phasors)
    scans, owns = [], []
    for side, least, bends in SCALES:
        scan = _scan_pieces(phasors, weight, line, numbers, side, least, bends)
        wander = min(MOST_WANDER_DEG, _wander(scan, numbers, strength))
        own_deg = max(least, wander / _DEVIATIONS)
        if own_deg > least:
            scan = _scan_pieces(phasors, weight, line, numbers, side, own_deg, bends)
        less = np.float32(_inflation(_elsewhere(scan, side)))
        scans.append(replace(scan, ratio=scan.ratio / less, power=scan.power / less))
        owns.append(own_deg)
    seconds = phasors.shape[1] // BASE_HZ
    testable = np.zeros(seconds, np.bool_)
    rest = [scan.ratio.copy() for scan in scans]
    for scan in scans:
        seen = scan.at_s[scan.power >= strength]
        testable[np.minimum(seen.astype(int), seconds - 1)] = True
    shared = int(np.gcd.reduce(numbers)) if len(numbers) else 1
    track = smooth_track(family)
    found: list[Break] = []
    apart = 2 * (max(scale[0] for scale in SCALES) + _GAP_S)
    while len(found) < 200:
        tops = [float(r.max()) if len(r) else -1.0 for r in rest]
        lead = int(np.argmax(tops))
        if tops[lead] < strength:
            break
        top_s = near_s = float(scans[lead].at_s[int(np.argmax(rest[lead]))])
        strongest = tops[lead]
        # The shortest windows that tell it place it best, and wander least.
        for shorter in range(lead - 1, -1, -1):
            at = scans[shorter].at_s
            close = np.flatnonzero(np.abs(at - near_s) <= SCALES[lead][0])
            if len(close) and rest[shorter][close].max() >= strength:
                lead = shorter
                near_s = float(at[close[int(np.argmax(rest[shorter][close]))]])
        side, _, bends = SCALES[lead]
        place = _place(phasors, weight, numbers, near_s, side, bends)
        # A removed length is known modulo the mains' own period there.
        pace = float(track[min(int(place.at_s), len(track) - 1)]) + place.slope_hz
        period = 1 / (pace * shared)
        spread = 1.96 * float(np.hypot(place.deviation, np.radians(owns[lead]) * shared))
        found.append(
            Break(
                place.at_s, place.low_s, place.high_s,
                float(np.degrees((place.turn + np.pi) % (2 * np.pi) - np.pi)),
                place.turn / (2 * np.pi) * period, min(0.5, spread / (2 * np.pi)) * period, period,
                period * _PACE_HZ / pace, strongest, family.harmonics, place.alike,
            )
        )  # fmt: skip
        for one, left in zip(scans, rest, strict=True):
            gone = np.minimum(np.abs(one.at_s - top_s), np.abs(one.at_s - place.at_s)) < apart
            left[gone] = -1.0
    return sorted(found, key=lambda b: b.time_s), testable, _DEVIATIONS * owns[1]
