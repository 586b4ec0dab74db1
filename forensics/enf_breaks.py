"""Jumps of the hum's phase: a likelihood ratio of a jump against hum that runs on.

Pure functions of arrays. Each harmonic is a slow phasor in noise whose size is taken from the
recording itself, moment by moment: where someone speaks on the line, it weighs next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from forensics.enf_hum import BASE_HZ, Family

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Phasors = NDArray[np.complex64]

__all__ = ["LEAST", "Break", "find_breaks"]

#: The filter before the phasors passes this, of the 20 Hz they are sampled at: samples overlap.
_PASSED_HZ = 6.0
#: Smallest log likelihood ratio that is called a jump (nats).
LEAST = 12.0
#: A recording whose mains wanders more than this (degrees) is judged as if it wandered so.
MOST_WANDER_DEG = 60.0
#: (seconds on each side, turn of the fundamental that the mains itself may make in that time,
#: in degrees, slopes of frequency tried, in Hz a second).
SCALES = ((2.0, 4.0, (0.0,)), (3.0, 5.0, (-0.004, -0.002, 0.0, 0.002, 0.004)))
_GAP_S = 0.25
_HOP_S = 0.25
_SLOPES_HZ = tuple(0.004 * k for k in range(-5, 6))
#: How far the frequency strays from the slow track, and its slope from none (r.m.s.).
_STRAY_HZ, _BEND_HZ_S = 0.014, 0.002
_TURNS = 180
#: The 85 % quantile of half a chi-squared variable of one degree of freedom.
_NULL_85 = 1.036
#: Phase noise of a real line that no noise beside it shows, degrees.
_JITTER_DEG = 4.0


@dataclass(frozen=True)
class Break:
    """A jump of the hum's phase: when, how far (s, modulo one period), how sure.

    `strength` is the log likelihood ratio (nats) of a jump over mains that runs on; `jump_deg` at
    the lowest harmonic's common divisor.
    """

    time_s: float
    jump_deg: float
    shift_s: float
    spread_s: float
    period_s: float
    strength: float
    harmonics: tuple[int, ...]


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
        noise = uniform_filter1d(np.abs(phasors - line) ** 2, 11, axis=1)
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


def _scan(
    phasors: Phasors, weight: Floats, line: Phasors, harmonics: NDArray[np.int64],
    side: float, own_deg: float, bends: tuple[float, ...],
) -> _Scan:  # fmt: skip
    """Slide two windows over the phasors (h, n): a jump between them, or none?"""
    import numpy as np
    from scipy.signal import fftconvolve

    shared = np.gcd.reduce(harmonics)
    steps = (harmonics // shared)[:, None]
    reach = round((side + _GAP_S) * BASE_HZ)
    hop = round(_HOP_S * BASE_HZ)
    centre = np.arange(reach, phasors.shape[1] - reach, hop)
    if not len(centre):
        empty = np.zeros(0, np.float32)
        return _Scan(empty, empty, empty, empty, empty)
    tau = np.arange(-reach, reach + 1) / BASE_HZ
    sides = np.stack([tau <= -_GAP_S, tau >= _GAP_S])

    def sums(values: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
        full = fftconvolve(values, kernel[:, ::-1], mode="valid", axes=1)
        found: NDArray[Any] = full[:, : len(centre) * hop : hop]
        return found

    whole = np.ones((len(phasors), 1))
    held = [np.maximum(sums(weight, whole * s), 1e-20) for s in sides]
    both = held[0] + held[1]
    turn = 2 * np.pi * np.arange(_TURNS) / _TURNS
    # Turns that are none: the mains' own wandering.
    near = np.abs((turn + np.pi) % (2 * np.pi) - np.pi) <= np.radians(own_deg) * shared + 1e-6
    wheel = np.exp(-1j * steps * turn[None])
    units = _PASSED_HZ / BASE_HZ
    jumped = np.full(len(centre), -np.inf)
    ran_on = jumped.copy()
    which = np.zeros(len(centre), np.int64)
    part = phasors * weight
    for slope in _SLOPES_HZ:
        for bend in bends:
            kernel = np.exp(-2j * np.pi * harmonics[:, None] * (slope * tau + bend * tau**2 / 2))
            before, after = (sums(part, kernel * s) for s in sides)
            alone = ((np.abs(before) ** 2 + np.abs(after) ** 2) / both).sum(axis=0)
            cross = 2 * np.conj(before) * after / both
            table = np.real(cross.T @ wheel)
            unlikely = 0.5 * ((slope / _STRAY_HZ) ** 2 + (bend / _BEND_HZ_S) ** 2)
            base = units * alone - unlikely
            best = table.argmax(axis=1)
            value = base + units * table[np.arange(len(best)), best]
            which = np.where(value > jumped, best, which)
            jumped = np.maximum(jumped, value)
            ran_on = np.maximum(ran_on, base + units * table[:, near].max(axis=1))
    # A quarter of what the windows hold is left once the frequency is fitted as well.
    told = 0.25 * 2 * units * np.abs(line[:, centre]) ** 2 * held[0] * held[1] / both
    return _Scan(
        (centre / BASE_HZ).astype(np.float32), (jumped - ran_on).astype(np.float32),
        turn[which].astype(np.float32), told.sum(axis=0).astype(np.float32),
        (1 / np.sqrt((told * steps**2).sum(axis=0) + 1e-9)).astype(np.float32),
    )  # fmt: skip


def _scan_pieces(
    phasors: Phasors, weight: Floats, line: Phasors, harmonics: NDArray[np.int64],
    side: float, own_deg: float, bends: tuple[float, ...],
) -> _Scan:  # fmt: skip
    """`_scan` in pieces of ten minutes, so that memory does not grow with the length."""
    import numpy as np

    hop = round(_HOP_S * BASE_HZ)
    size, reach = 12000 // hop * hop, round((side + _GAP_S) * BASE_HZ)
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


def _wander(scan: _Scan, harmonics: NDArray[np.int64], strength: float) -> float:
    """Turn of the fundamental, degrees, that this recording's mains makes of itself.

    A grid of few power stations wanders more than a large one. One cut fills few of the moments.
    """
    import numpy as np

    clear = scan.power >= strength
    if clear.sum() < 40:
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

    if len(scan.ratio) < 40:
        return 1.0
    return max(1.0, float(np.quantile(scan.ratio, 0.85)) / _NULL_85)


def _place(
    phasors: Phasors, weight: Floats, harmonics: NDArray[np.int64], at_s: float
) -> tuple[float, float]:
    """(time, turn) of the jump near `at_s`: the split of the 8 s around it that fits best."""
    import numpy as np

    middle = round(at_s * BASE_HZ)
    half = 4 * BASE_HZ
    first, last = max(0, middle - half), min(phasors.shape[1], middle + half)
    part = phasors[:, first:last] * weight[:, first:last]
    tau = (np.arange(first, last) - middle) / BASE_HZ
    steps = (harmonics // np.gcd.reduce(harmonics))[:, None]
    turn = 2 * np.pi * np.arange(_TURNS) / _TURNS
    wheel = np.exp(-1j * steps * turn[None])
    whole = weight[:, first:last].sum(axis=1)[:, None] + 1e-20
    split = np.arange(max(0, middle - first - 30), min(last - first, middle - first + 31))
    best, answer = -np.inf, (at_s, 0.0)
    for slope in _SLOPES_HZ:
        for bend in SCALES[-1][2]:
            turned = np.exp(-2j * np.pi * harmonics[:, None] * (slope * tau + bend * tau**2 / 2))
            before = np.cumsum(part * turned, axis=1)
            after = (before[:, -1:] - before)[:, split]
            before = before[:, split]
            alone = ((np.abs(before) ** 2 + np.abs(after) ** 2) / whole).sum(axis=0)
            table = np.real((2 * np.conj(before) * after / whole).T @ wheel) + alone[:, None]
            unlikely = 0.5 * ((slope / _STRAY_HZ) ** 2 + (bend / _BEND_HZ_S) ** 2)
            row, column = np.unravel_index(int(np.argmax(table)), table.shape)
            value = _PASSED_HZ / BASE_HZ * float(table[row, column]) - unlikely
            if value > best:
                # The sum up to a sample holds it; the jump lies behind.
                time_s = (first + int(split[row]) + 0.5) / BASE_HZ
                best, answer = value, (time_s, float(turn[column]))
    return answer


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
        `wander_deg`: the turn of the fundamental that counted as the mains' own.
    """
    import numpy as np

    numbers = np.asarray(family.harmonics, np.int64)
    weight, line = _weigh(phasors)
    scans, owns = [], []
    for side, least, bends in SCALES:
        scan = _scan_pieces(phasors, weight, line, numbers, side, least, bends)
        own_deg = min(MOST_WANDER_DEG, _wander(scan, numbers, strength))
        if own_deg > least:
            scan = _scan_pieces(phasors, weight, line, numbers, side, own_deg, bends)
        less = np.float32(_inflation(scan))
        scan = replace(scan, ratio=scan.ratio / less, power=scan.power / less)
        scans.append(scan)
        owns.append(max(least, own_deg))
    seconds = phasors.shape[1] // BASE_HZ
    testable = np.zeros(seconds, np.bool_)
    rest = [scan.ratio.copy() for scan in scans]
    for scan in scans:
        seen = scan.at_s[scan.power >= strength]
        testable[np.minimum(seen.astype(int), seconds - 1)] = True
    found: list[Break] = []
    apart = 2 * (max(scale[0] for scale in SCALES) + _GAP_S)
    while len(found) < 200:
        tops = [float(r.max()) if len(r) else -1.0 for r in rest]
        lead = int(np.argmax(tops))
        if tops[lead] < strength:
            break
        scan = scans[lead]
        top = int(np.argmax(rest[lead]))
        # The period as it is there: a removed length is known modulo the mains' own.
        second = int(scan.at_s[top])
        here = family.frequency[max(0, second - 20) : second + 20]
        period = 1 / (float(np.median(here)) * int(np.gcd.reduce(numbers)))
        at_s, turn = _place(phasors, weight, numbers, float(scan.at_s[top]))
        own = np.radians(owns[lead]) * float(np.gcd.reduce(numbers))
        spread = 1.96 * float(scan.deviation[top]) + own
        found.append(
            Break(
                at_s, float(np.degrees((turn + np.pi) % (2 * np.pi) - np.pi)),
                turn / (2 * np.pi) * period, min(0.5, spread / (2 * np.pi)) * period, period,
                tops[lead], family.harmonics,
            )
        )  # fmt: skip
        for one, left in zip(scans, rest, strict=True):
            left[np.abs(one.at_s - scan.at_s[top]) < apart] = -1.0
    return sorted(found, key=lambda b: b.time_s), testable, max(owns)
