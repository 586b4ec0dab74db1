"""Mains hum in sound: is it there, on which harmonics, and its frequency over time.

Pure functions of arrays. All harmonics of 50 (or 60) Hz are followed as one frequency, and the
same search is made 2.5 to 8.5 Hz beside them, where there is no mains: what speech, music and
engines score there is what chance scores here. Only what stands above that is called hum.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    "Family",
    "demodulate",
    "find_family",
    "measure_phasors",
    "measure_power",
    "smooth_track",
]

#: Sound is worked on at this rate; harmonics up to 440 Hz fit.
RATE_HZ = 1000
#: Rate of the phasors.
BASE_HZ = 20
NOMINALS = (50, 60)
HIGHEST_HZ = 440.0
WINDOW_S = 16
#: Seconds from one look to the next.
STEP_S = 2
_SIZE = 32768
_BIN_HZ = RATE_HZ / _SIZE
#: Mains frequency stays within this of nominal (Hz, at the fundamental).
DEVIATION_HZ = 0.25
_GRID_HZ = 0.005
#: A line is held against the median of what is within this (Hz).
_BESIDE_HZ = 2.5
#: Where the same search finds no mains (Hz beside every harmonic); 4, 5 and 6 also meet the comb
#: of lines that something struck so often a second leaves everywhere.
DECOYS_HZ = (-8.5, -6.0, -5.0, -4.0, -2.5, 2.5, 4.0, 5.0, 6.0, 8.5)
#: The mains score must exceed every decoy's by this factor, and their mean by so many deviations.
LEAST_FACTOR, LEAST_DEVIATIONS = 1.35, 7.0
#: A harmonic is heard from this score on (nats); noise gives 0.7.
HEARD = 1.5
#: One harmonic at least must stand this high (nats over the median beside it), a lone one more:
#: a ticking clock stands a little out everywhere.
_LEAST_LIFT, _ALONE = 2.5, 4.0


@dataclass(frozen=True)
class Family:
    """The harmonics of one nominal frequency, followed together.

    `frequency` (n,) in Hz at the fundamental and `present` (n,), a value a second; `harmonics` that
    are heard; `score` mean of the joint score (nats over the median beside the lines, summed over
    all harmonics looked at); `decoy` the highest score of the same search beside the mains;
    `deviations` the score over the decoys' mean, in their standard deviations; `lifts` mean score
    of each harmonic heard.
    """

    nominal: int
    frequency: Floats
    present: NDArray[np.bool_]
    harmonics: tuple[int, ...]
    lifts: tuple[float, ...]
    score: float
    decoy: float
    deviations: float

    @property
    def why(self) -> str:
        """Why this is not called hum; empty where it is."""
        if self.score < LEAST_FACTOR * self.decoy or self.deviations < LEAST_DEVIATIONS:
            return "the harmonics of 50 and 60 Hz stand no higher than what lies beside them"
        alone = len(self.harmonics) == 1
        if max(self.lifts, default=0.0) < (_ALONE if alone else _LEAST_LIFT):
            return "no harmonic of 50 or 60 Hz is steady enough to follow"
        if self.present.mean() < 0.5:
            return "the hum can be followed in less than half of the recording"
        return ""


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


def _powers(samples: Floats) -> Iterator[Floats]:
    """Power of 16 s windows centred on every other second, in blocks of up to 64 windows."""
    import numpy as np
    from scipy.fft import rfft

    size, step = WINDOW_S * RATE_HZ, STEP_S * RATE_HZ
    padded = np.pad(np.asarray(samples, np.float32), (size // 2, size // 2))
    view = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(samples) : step]
    window = np.hanning(size).astype(np.float32)
    top = round((HIGHEST_HZ + 15) / _BIN_HZ)
    for first in range(0, len(view), 64):
        power: Floats = np.abs(rfft(view[first : first + 64] * window, _SIZE, axis=1)[:, :top]) ** 2
        yield power


def _offsets() -> NDArray[np.float64]:
    import numpy as np

    steps = round(DEVIATION_HZ / _GRID_HZ)
    return np.arange(-steps, steps + 1, dtype=np.float64) * np.float64(_GRID_HZ)


def _score(power: Floats, centre_hz: float, harmonic: int) -> Floats:
    """(rows, offsets): nats by which a line at each deviation stands over the median beside it."""
    import numpy as np

    centre, half = round(centre_hz / _BIN_HZ), round(_BESIDE_HZ / _BIN_HZ)
    beside = power[:, max(0, centre - half) : centre + half + 1]
    # The median of noise power is ln 2 of its mean.
    level = np.median(beside, axis=1, keepdims=True) / np.log(2) + 1e-20
    at = (centre_hz + harmonic * _offsets()) / _BIN_HZ
    low = at.astype(int)
    part = (at - low).astype(np.float32)
    value = power[:, low] * (1 - part) + power[:, low + 1] * part
    found: Floats = np.log1p(value / level).astype(np.float32)
    return found


def _follow(score: Floats) -> NDArray[np.int64]:
    """The path of best total score that moves at most 15 mHz a second."""
    import numpy as np
    from scipy.ndimage import maximum_filter1d

    reach = round(0.015 * STEP_S / _GRID_HZ)
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


def find_family(
    samples: Floats, *, highest_hz: float = HIGHEST_HZ, looked: dict[int, list[int]] | None = None,
    decoys_hz: tuple[float, ...] = DECOYS_HZ,
) -> Family:  # fmt: skip
    """Follow the harmonics of 50 and of 60 Hz, each as one frequency, and hold them to decoys.

    Parameters
    ----------
    samples
        (n,) sound at 1 kHz.
    highest_hz
        No harmonic above this is looked at.
    looked
        Harmonics to look at, by nominal frequency; without it, all up to the eighth of both.
    decoys_hz
        Where the same search finds no mains, beside every harmonic.

    Returns
    -------
    Family
        Of the nominal that stands out more; `why` is empty where it is hum.
    """
    import numpy as np

    top = min(highest_hz, HIGHEST_HZ)
    if looked is None:
        looked = {n: [h for h in range(1, 9) if n * h <= top] for n in NOMINALS}
    own: dict[int, list[Floats]] = {n: [] for n in looked}
    beside: dict[int, list[Floats]] = {n: [] for n in looked}
    for power in _powers(samples):
        for n, harmonics in looked.items():
            own[n].append(np.stack([_score(power, float(n * h), h) for h in harmonics]))
            beside[n].append(
                np.stack([sum(_score(power, n * h + d, h) for h in harmonics) for d in decoys_hz])
            )
    families = [
        _family(n, looked[n], np.concatenate(own[n], axis=1), np.concatenate(beside[n], axis=1),
                len(samples) // RATE_HZ)
        for n in looked
    ]  # fmt: skip
    return max(families, key=lambda f: (not f.why, f.score / max(f.decoy, 1e-9)))


def _family(
    nominal: int, harmonics: list[int], own: Floats, beside: Floats, seconds: int
) -> Family:
    """`own` (harmonics, rows, offsets); `beside` (decoys, rows, offsets), harmonics summed."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    joint = own.sum(axis=0)
    path = _follow(joint)
    rows = np.arange(len(path))
    decoys = np.array([table[rows, _follow(table)].mean() for table in beside])
    values = joint[rows, path]
    lifts = own[:, rows, path].mean(axis=1)
    heard = [k for k, lift in enumerate(lifts) if lift >= HEARD]
    # The frequency itself from the harmonics that are heard, finer than the grid.
    table = own[heard].sum(axis=0) if heard else joint
    last = table.shape[1] - 1
    left, mid, right = (table[rows, np.clip(path + d, 0, last)] for d in (-1, 0, 1))
    bend = left - 2 * mid + right
    fine = np.where(bend < -1e-6, 0.5 * (left - right) / np.where(bend < -1e-6, bend, -1), 0)
    frequency = nominal + _offsets()[path] + np.clip(fine, -1, 1) * _GRID_HZ
    # Followed where the score is nearer to its usual height than to what chance gives.
    middle = 0.5 * (decoys.mean() + values.mean())
    followed = uniform_filter1d(values, 3, mode="nearest") >= middle * 0.8
    at = np.arange(seconds) / STEP_S
    spread = max(float(decoys.std()), 0.02 * float(decoys.mean()), 1e-9)
    return Family(
        nominal, np.interp(at, rows, frequency).astype(np.float32),
        np.asarray(followed[np.minimum(at.round().astype(int), len(rows) - 1)], np.bool_),
        tuple(harmonics[k] for k in heard), tuple(float(lifts[k]) for k in heard),
        float(values.mean()), float(decoys.max()),
        float((values.mean() - decoys.mean()) / spread),
    )  # fmt: skip


def _smooth(track: Floats) -> Floats:
    """The slow part, carried on in a straight line at both ends: a flat one bends the phase."""
    import numpy as np
    from scipy.ndimage import median_filter, uniform_filter1d
    from scipy.stats import theilslopes

    edge, reach = 15, min(41, len(track))
    out = np.arange(1, edge + 1)
    # Robust, so that a jump of the phase near an end does not bend the line.
    first = theilslopes(track[:reach], np.arange(reach))
    last = theilslopes(track[-reach:], np.arange(reach))
    padded = np.concatenate(
        [first[1] - first[0] * out[::-1], track, last[1] + last[0] * (reach - 1 + out)]
    )
    smooth = uniform_filter1d(median_filter(padded, 21), 9)[edge:-edge]
    return np.asarray(smooth, np.float32)


def smooth_track(family: Family) -> Floats:
    """The slow part of a family's frequency, Hz at the fundamental, a value a second."""
    import numpy as np

    return np.asarray(_smooth(family.frequency - family.nominal) + family.nominal, np.float32)


def measure_phasors(samples: Floats, family: Family) -> Phasors:
    """Heard harmonics (h, n) at 20 Hz, the slow part of the mains' own wandering taken out.

    A fast track would swallow a jump of the phase; a slow one leaves it.
    """
    import numpy as np

    slow = _smooth(family.frequency - family.nominal)
    out = [np.zeros(0, np.complex64)] if not family.harmonics else []
    for harmonic in family.harmonics:
        phasors = demodulate(samples, float(family.nominal * harmonic))
        at = np.arange(len(phasors)) / BASE_HZ
        turn = np.cumsum(np.interp(at, np.arange(len(slow)), slow)) / BASE_HZ
        out.append(phasors * np.exp(-2j * np.pi * harmonic * turn))
    return np.stack(out).astype(np.complex64)


def measure_power(phasors: Phasors) -> float:
    """Mean power of the lines in phasors (h, n): what four seconds in a row agree on."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    if not phasors.size:
        return 0.0
    size = 4 * BASE_HZ
    steady = uniform_filter1d(phasors.real, size, axis=1) ** 2
    steady += uniform_filter1d(phasors.imag, size, axis=1) ** 2
    # The median second: a burst of speech on the line is none of it.
    return float(np.median(steady, axis=1).sum() / 2)
