"""Mains hum in sound: which harmonic is really there, its frequency and phase over time.

Pure functions of arrays. All lines are brought to zero frequency at 20 Hz, where a harmonic of
the mains is a slow phasor and speech is a passing disturbance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Phasors = NDArray[np.complex64]

__all__ = [
    "BASE_HZ",
    "RATE_HZ",
    "Break",
    "Line",
    "demodulate",
    "find_breaks",
    "follow_line",
    "measure_lines",
]

#: Sound is worked on at this rate; harmonics up to 450 Hz fit.
RATE_HZ = 1000
#: Rate of the phasors.
BASE_HZ = 20
NOMINALS = (50, 60)
WINDOW_S = 16
_SIZE = 4096
#: Mains frequency stays within this of nominal (Hz, at the fundamental).
DEVIATION_HZ = 0.25
#: A line counts as hum when this share of the power within ±1 Hz lies within ±0.06 Hz of it.
PRESENT = 0.5
_PROMISING = 0.35


@dataclass(frozen=True)
class Line:
    """One harmonic followed over time, a value a second.

    `frequency` (n,) in Hz at the fundamental; `share` (n,) of the power within ±1 Hz that the line
    holds; `phasors` at 20 Hz around ``nominal * harmonic``; `power` mean square of the line.
    """

    nominal: int
    harmonic: int
    frequency: Floats
    share: Floats
    phasors: Phasors
    power: float

    @property
    def steadiness(self) -> float:
        """Median share: near 1 a clean hum, below 0.4 noise or speech."""
        import numpy as np

        return float(np.median(self.share))

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether the line can be followed, a value a second."""
        import numpy as np

        found: NDArray[np.bool_] = np.asarray(self.share >= PRESENT)
        return found


def demodulate(samples: Floats, centre_hz: float) -> Phasors:
    """Sound (n,) at 1 kHz as phasors at 20 Hz around `centre_hz`; a sine of 1 has magnitude 1."""
    import numpy as np
    from scipy.signal import firwin, upfirdn

    step = RATE_HZ // BASE_HZ
    taps = 2 * firwin(12 * step + 1, 3.0, fs=RATE_HZ)
    out = []
    piece, edge = 60000, 6 * step
    padded = np.pad(np.asarray(samples, np.float32), (edge, edge))
    for first in range(0, len(samples), piece):
        part = padded[first : first + piece + 2 * edge]
        index = np.arange(first - edge, first - edge + len(part))
        turned = part * np.exp(-2j * np.pi * ((centre_hz / RATE_HZ * index) % 1.0))
        filtered = upfirdn(taps, turned, 1, step)
        count = -(-min(piece, len(samples) - first) // step)
        out.append(filtered[12 : 12 + count])
    return np.concatenate(out).astype(np.complex64) if out else np.zeros(0, np.complex64)


def _spectrogram(phasors: Phasors, step_s: int) -> Floats:
    """Power (n, 4096) of 16 s windows centred on every `step_s` seconds."""
    import numpy as np
    from scipy.fft import fft, fftshift

    size = WINDOW_S * BASE_HZ
    padded = np.pad(phasors, (size // 2, size // 2))
    view = np.lib.stride_tricks.sliding_window_view(padded, size)[:: step_s * BASE_HZ]
    window = np.hanning(size).astype(np.float32)
    rows = [
        np.abs(fftshift(fft(view[k : k + 256] * window, _SIZE, axis=1), axes=1)) ** 2
        for k in range(0, len(view), 256)
    ]
    return np.concatenate(rows).astype(np.float32)


def _viterbi(score: Floats, reach: int) -> NDArray[np.int64]:
    """The path of best total score that moves at most `reach` columns a row."""
    import numpy as np
    from scipy.ndimage import maximum_filter1d

    count, width = score.shape
    total = np.empty_like(score)
    total[0] = score[0]
    for row in range(1, count):
        total[row] = score[row] + maximum_filter1d(total[row - 1], 2 * reach + 1, mode="nearest")
    path = np.empty(count, np.int64)
    path[-1] = int(np.argmax(total[-1]))
    for row in range(count - 2, -1, -1):
        low = max(0, path[row + 1] - reach)
        high = min(width, path[row + 1] + reach + 1)
        path[row] = low + int(np.argmax(total[row, low:high]))
    return path


def follow_line(phasors: Phasors, nominal: int, harmonic: int, *, step_s: int = 1) -> Line:
    """Follow one harmonic through its phasors (n,) at 20 Hz, a value every `step_s` seconds."""
    import numpy as np

    power = _spectrogram(phasors, step_s)
    bins = (np.arange(_SIZE) - _SIZE // 2) * BASE_HZ / _SIZE
    # Higher harmonics wander proportionally more; lines within ±1.2 Hz at most are told apart.
    wide = min(DEVIATION_HZ * harmonic, 1.2)
    inside = np.flatnonzero(np.abs(bins) <= wide)
    local = power[:, inside]
    reference = np.median(power[:, np.abs(bins) <= 2.0], axis=1, keepdims=True) + 1e-20
    score = np.log(local / reference + 1)
    reach = max(2, round(0.012 * harmonic * step_s**0.5 * _SIZE / BASE_HZ))
    path = _viterbi(score, reach)
    rows = np.arange(len(path))
    left, mid, right = (
        np.log(local[rows, np.clip(path + d, 0, len(inside) - 1)] + 1e-20) for d in (-1, 0, 1)
    )
    bend = left - 2 * mid + right
    fine = np.where(np.abs(bend) > 1e-6, 0.5 * (left - right) / np.where(bend == 0, 1, bend), 0)
    offset = bins[inside[path]] + np.clip(fine, -0.5, 0.5) * BASE_HZ / _SIZE
    sums = np.cumsum(np.pad(power, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    centre = inside[path]
    narrow, broad = round(0.1 * _SIZE / BASE_HZ), round(1.0 * _SIZE / BASE_HZ)

    def within(half: int) -> NDArray[np.float64]:
        low, high = np.maximum(centre - half, 0), np.minimum(centre + half + 1, _SIZE)
        found: NDArray[np.float64] = sums[rows, high] - sums[rows, low]
        return found

    share = within(narrow) / (within(broad) + 1e-20)
    amplitude = local[rows, path] / (np.hanning(WINDOW_S * BASE_HZ).sum() ** 2)
    return Line(
        nominal, harmonic, ((offset / harmonic) + nominal).astype(np.float32),
        share.astype(np.float32), phasors, float(np.median(amplitude) / 2),
    )  # fmt: skip


def measure_lines(samples: Floats, *, highest_hz: float) -> list[Line]:
    """Every harmonic of 50 and 60 Hz up to `highest_hz`, the steadiest first.

    Shared multiples (300 Hz is both) are counted for 50 Hz only if its own family is steadier.
    """
    lines = []
    for nominal in NOMINALS:
        for harmonic in range(1, 10):
            if nominal * harmonic > min(highest_hz, 440.0):
                continue
            phasors = demodulate(samples, float(nominal * harmonic))
            # A look every 4 s tells what is worth following second by second.
            line = follow_line(phasors, nominal, harmonic, step_s=4)
            if line.steadiness >= _PROMISING:
                line = follow_line(phasors, nominal, harmonic)
            lines.append(line)
    lines.sort(key=lambda line: -line.steadiness)
    return lines


@dataclass(frozen=True)
class Break:
    """A jump of the hum's phase: when, how far (s, modulo one period), how sure."""

    time_s: float
    jump_deg: float
    shift_s: float
    period_s: float
    strength: float
    harmonics: tuple[int, ...]


_QUARTER_S = 2.0
_GAP_S = 0.3


def _jump(line: Line) -> tuple[Floats, Floats]:
    """(phase jump in radians, weight) at 20 Hz, the line's own drift taken out."""
    import numpy as np
    from scipy.ndimage import median_filter, uniform_filter1d

    # A slow track takes out the mains' own wandering; a fast one would swallow the jump itself.
    slow = median_filter(line.frequency - line.nominal, 41, mode="nearest")
    slow = uniform_filter1d(slow, 15, mode="nearest") * line.harmonic
    count = len(line.phasors)
    at = np.arange(count) / BASE_HZ
    phase = 2 * np.pi * np.cumsum(np.interp(at, np.arange(len(slow)), slow)) / BASE_HZ
    still = line.phasors * np.exp(-1j * phase)
    size, gap = round(_QUARTER_S * BASE_HZ), round(_GAP_S * BASE_HZ)
    sums = np.concatenate([[0], np.cumsum(still)])
    reach = 2 * size + gap
    centre = np.arange(reach, count - reach)
    jump, weight = np.zeros(count, np.float32), np.zeros(count, np.float32)
    if not len(centre):
        return jump, weight

    def mean(first: int) -> Phasors:
        found: Phasors = (sums[centre + first + size] - sums[centre + first]) / size
        return found

    q1, q2, q3, q4 = mean(-reach), mean(-size - gap), mean(gap), mean(gap + size)
    slope = np.angle(q2 * np.conj(q1) + q4 * np.conj(q3))
    turn = q3 * np.conj(q2) * np.exp(-1j * slope * (size + 2 * gap) / size)
    jump[centre] = np.angle(turn)
    sizes = np.abs(np.stack([q1, q2, q3, q4]))
    energy = uniform_filter1d(np.abs(still) ** 2, 2 * reach)[centre]
    # How much of what passes the filter is the steady line: near 1 for hum alone.
    pure = np.clip(sizes.min(axis=0) ** 2 / (energy + 1e-20), 0, 1)
    even = sizes.min(axis=0) / (sizes.max(axis=0) + 1e-12)
    weight[centre] = pure * np.clip((even - 0.3) / 0.4, 0, 1)
    return jump, weight


def find_breaks(
    lines: list[Line], *, least_deg: float = 12.0, strength: float = 6.0
) -> tuple[list[Break], NDArray[np.bool_]]:
    """Phase jumps that all steady harmonics of one nominal agree on.

    Parameters
    ----------
    lines
        Steady harmonics of one nominal frequency.
    least_deg
        Smallest jump reported, at the harmonic that shows it best.
    strength
        Smallest jump relative to the clip's own phase noise, all harmonics together.

    Returns
    -------
    breaks, testable
        `testable`: one value a second, whether a jump could have been seen there.
    """
    import numpy as np

    tables = [_jump(line) for line in lines]
    weights = np.stack([w for _, w in tables])
    jumps = np.stack([j for j, _ in tables])
    noise = np.array(
        [
            1.4826 * np.median(np.abs(j[w > 0.25])) if (w > 0.25).sum() > 40 else np.pi
            for j, w in tables
        ]
    )
    noise = np.maximum(noise, 0.02)
    relative = np.where(weights > 0.25, np.abs(jumps) / noise[:, None], 0)
    # Harmonics that agree count together; as many of them as could be heard share the chance.
    heard_many = np.maximum(np.sqrt((weights > 0.25).sum(axis=0)), 1)
    rank = np.sqrt((weights * relative**2).sum(axis=0) / heard_many)
    usable = np.asarray((weights > 0.25).any(axis=0))
    seconds = len(rank) // BASE_HZ
    testable = usable[: seconds * BASE_HZ].reshape(seconds, BASE_HZ).mean(axis=1) > 0.5
    found: list[Break] = []
    near = round(2 * (_QUARTER_S + _GAP_S) * BASE_HZ)
    rest = rank.copy()
    while True:
        at = int(np.argmax(rest))
        if rest[at] < strength or len(found) >= 200:
            break
        rest[max(0, at - near) : at + near] = 0
        heard = np.flatnonzero(weights[:, at] > 0.25)
        # The harmonic that shows it best: a low one turns less, a high one is noisier.
        lead = int(heard[np.argmax(weights[heard, at] * relative[heard, at])])
        degrees = float(np.degrees(jumps[lead, at]))
        if abs(degrees) < least_deg:
            continue
        shift, period = _shift([lines[k] for k in heard], jumps[heard, at], weights[heard, at])
        found.append(
            Break(
                at / BASE_HZ, degrees, shift, period, float(rank[at]),
                tuple(lines[k].harmonic for k in heard),
            )
        )  # fmt: skip
    return sorted(found, key=lambda b: b.time_s), testable


def _shift(lines: list[Line], jumps: Floats, weights: Floats) -> tuple[float, float]:
    """The time by which the hum runs ahead after the jump, modulo its period, from all lines."""
    import math

    import numpy as np

    nominal = lines[0].nominal
    shared = math.gcd(*(line.harmonic for line in lines))
    period = 1 / (nominal * shared)
    trial = np.linspace(0, period, 720, endpoint=False)
    score = sum(
        w * np.cos(j - 2 * np.pi * nominal * line.harmonic * trial)
        for line, j, w in zip(lines, jumps, weights, strict=True)
    )
    return float(trial[int(np.argmax(score))]), period
