"""Lamp flicker as a second source of the mains: the light of lines, turned into a tone at 1 kHz.

Each frame gives one phasor of the lamp's light (the pattern its rolling shutter draws down the
lines), taken at the frame's own stamp. From there on it is followed like the hum in sound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.enf_flicker import BANDS, LAMPS_HZ, SLOWEST_HZ, RowLight, steady_rest
from forensics.enf_hum import RATE_HZ, Family, find_family
from forensics.enf_sound import SHORTEST_S, HumSound
from forensics.errors import SignalTooShort
from forensics.model import Clip, Progress
from forensics.scan import scan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["draw_out_lamp", "find_decoys", "read_lamp"]

_WINDOW_S = 16
#: Beside the lamp (Hz), where the same search may find none of it.
_BESIDE_HZ = tuple(d / 4 for d in range(-46, 47, 5) if abs(d) >= 9)
#: Frequencies this close to each other (Hz) are one to a search that allows half of it for mains.
_APART_HZ = 1.1
_SCENE_HZ = 3.0
_LEAST_DECOYS = 4


def find_decoys(lamp_hz: int, rate_hz: float) -> tuple[float, ...]:
    """Where to look for no lamp, Hz beside it: not where the lamp is seen, nor the scene's moves.

    At 24 frames a second 100 Hz is seen at 4 Hz, its mirror at -4 Hz, that is at 92 Hz, and twice
    its frequency at 8 and -8 Hz. What moves in a scene lies below some 3 Hz: a lamp seen above that
    need not stand higher.
    """

    def seen(hertz: float) -> float:
        return (hertz + rate_hz / 2) % rate_hz - rate_hz / 2

    own = seen(lamp_hz)
    least = max(_APART_HZ, min(_SCENE_HZ, 0.75 * abs(own)))
    found = []
    for beside in _BESIDE_HZ:
        here = seen(lamp_hz + beside)
        away = min(abs(seen(here - k * own)) for k in (-2, -1, 1, 2))
        if away >= _APART_HZ and abs(here) >= least:
            found.append(beside)
    return tuple(found)


def _phasors(
    rest: Floats, times_s: NDArray[np.float64], rate_hz: float, lamp_hz: int
) -> tuple[NDArray[np.complex128], float]:
    """One phasor a frame around `lamp_hz`, by the pattern of lines that shows it best (bands)."""
    import numpy as np
    from scipy.fft import fft, fftfreq

    cycles = np.arange(-6, 6.5, 0.25)
    patterns = np.exp(-2j * np.pi * np.arange(BANDS)[:, None] / BANDS * cycles[None]) / BANDS
    light = (rest @ patterns) * np.exp(-2j * np.pi * ((lamp_hz * times_s) % 1.0))[:, None]
    size = round(_WINDOW_S * rate_hz)
    starts = range(0, max(1, len(light) - size + 1), size // 2)
    window = np.hanning(size)[:, None]
    bins = fftfreq(4 * size, 1 / rate_hz)
    near = np.abs(bins) <= 0.5
    total = np.zeros(len(cycles))
    for first in starts:
        part = light[first : first + size]
        power = np.abs(fft(part * window[: len(part)], 4 * size, axis=0)) ** 2
        total += np.log(power[near].max(axis=0) / (np.median(power, axis=0) + 1e-12) + 1)
    best = int(np.argmax(total))
    return light[:, best], float(cycles[best])


def draw_out_lamp(
    rows: Floats, times_s: NDArray[np.float64], lamp_hz: int
) -> tuple[Floats, float, Family] | None:
    """The lamp's light as a tone at 1 kHz, from the mean luma of lines.

    Parameters
    ----------
    rows
        (n, 48) mean luma of bands of lines.
    times_s
        (n,) presentation times.
    lamp_hz
        100 or 120.

    Returns
    -------
    tone, bands, family
        (m,) tone around `lamp_hz` from the first frame on, in shares of the light; bands a frame
        (positive: down the lines as read); the lamp followed like hum. None where the frame rate
        makes the lamp stand still, or its alias is not told from its own mirror.
    """
    import numpy as np

    rate = (len(times_s) - 1) / float(times_s[-1] - times_s[0])
    alias = abs(lamp_hz - round(lamp_hz / rate) * rate)
    if alias < SLOWEST_HZ or rate / 2 - alias < SLOWEST_HZ / 2:
        return None
    decoys = find_decoys(lamp_hz, rate)
    if len(decoys) < _LEAST_DECOYS:
        return None
    light, cycles = _phasors(steady_rest(rows, rate), times_s, rate, lamp_hz)
    at = times_s[0] + np.arange(int((times_s[-1] - times_s[0]) * RATE_HZ)) / RATE_HZ
    slow = np.interp(at, times_s, light.real) + 1j * np.interp(at, times_s, light.imag)
    tone = (slow * np.exp(2j * np.pi * ((lamp_hz * at) % 1.0))).real / max(float(rows.mean()), 1.0)
    tone = tone.astype(np.float32)
    family = find_family(tone, looked={lamp_hz // 2: [2]}, decoys_hz=decoys)
    return tone, cycles, family


def read_lamp(clip: Clip, *, progress: Progress | None = None) -> HumSound | None:
    """Read the lamp that stands out in a clip's pictures, as a tone at 1 kHz; None if none could.

    Raises
    ------
    StreamMissing, SignalTooShort
    """
    import numpy as np

    measured = scan(clip, [RowLight()], progress=progress)
    times = measured.seconds
    table = np.stack([measured.columns[name] for name in RowLight.columns], axis=1)
    keep = ~np.isnan(table).any(axis=1)
    rows, times = table[keep].astype(np.float32), times[keep]
    length = float(times[-1] - times[0]) if len(times) > 1 else 0.0
    if length < SHORTEST_S + 0.1:
        raise SignalTooShort(
            f"{clip.name} is too short for lamp flicker", need_s=SHORTEST_S, have_s=length
        )
    best: HumSound | None = None
    for lamp in LAMPS_HZ:
        drawn = draw_out_lamp(rows, times, lamp)
        if drawn is None:
            continue
        tone, cycles, family = drawn
        found = HumSound(
            tone, f"lamp at {lamp} Hz in the pictures, {cycles:+.2f} bands a frame",
            measured.time(int(np.flatnonzero(keep)[0])), float(np.mean(tone**2)), (), family,
        )  # fmt: skip
        if best is None or family.score / max(family.decoy, 1e-9) > (
            best.family.score / max(best.family.decoy, 1e-9)
        ):
            best = found
    return best
