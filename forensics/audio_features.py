"""What a clip sounds like, in numbers two different telephones agree on.

Each clip is decoded once to 16 kHz mono on its presentation clock (priming and edit lists
honoured by the decoder), spooled to a temporary file, and described every 16 ms by the shape of
its log spectrum. Dropping the zeroth cosine coefficient removes what a gain control does; the
moving mean removes the room and the microphone. Results are cached by digest, so that adding a
clip to an incident does not decode the others again.
"""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.errors import ClipRefused, SignalTooShort
from forensics.model import Clip, Progress
from forensics.provenance import check_not_listening_copy
from forensics.scan import iter_sound
from forensics.tools_temporary import spool_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "FRAME_S", "RATE_HZ", "Heard", "clear_cache", "hear", "measure_features",
]  # fmt: skip

RATE_HZ = 16_000
#: Seconds between two rows of features.
FRAME_S = 0.016
_WINDOW, _HOP = 1024, 128
_BANDS, _COEFFICIENTS = 64, 40
_BAND_HZ = (150.0, 7000.0)
_MEAN_S = 1.6
#: Below this peak (about one step of 16 bits) there is nothing to compare.
_SILENT = 1.5 / 32768
#: Decoded clips kept by digest; features take about 5 KB a second.
_CACHE_BYTES = 512 * 2**20
_MAX_S = 4 * 3600.0


@dataclass(frozen=True)
class Heard:
    """One clip's sound: its features, and where its samples are spooled.

    `start_s` is the presentation time of sample 0; `features` (frames, 40) float16, one row every
    `FRAME_S` seconds; `silence` is the share of samples that are digital silence.
    """

    digest: str
    start_s: float
    count: int
    features: NDArray[np.float16]
    samples_path: Path
    silence: float
    gaps: tuple[tuple[float, float], ...] = ()

    @property
    def length_s(self) -> float:
        """Seconds of sound."""
        return self.count / RATE_HZ

    def samples(self) -> NDArray[np.int16]:
        """The samples as int16, mapped from the spool, not loaded."""
        import numpy as np

        return np.memmap(self.samples_path, np.int16, "r", shape=(self.count,))


@functools.cache
def _spool() -> Path:
    return spool_folder("sound")


_cache: OrderedDict[str, Heard] = OrderedDict()


def clear_cache() -> None:
    """Forget every clip heard so far in this process."""
    for heard in _cache.values():
        heard.samples_path.unlink(missing_ok=True)
    _cache.clear()


def _remember(heard: Heard) -> None:
    _cache[heard.digest] = heard
    while sum(h.features.nbytes for h in _cache.values()) > _CACHE_BYTES and len(_cache) > 1:
        # Only the description is forgotten: a caller may still hold the spooled samples.
        _cache.popitem(last=False)


@functools.cache
def _bank() -> NDArray[np.float32]:
    """Triangular weights (bands, bins); no band is narrower than one bin."""
    import numpy as np

    edges = np.geomspace(*_BAND_HZ, _BANDS + 2)
    hz = np.arange(_WINDOW // 2 + 1) * RATE_HZ / _WINDOW
    bin_hz = RATE_HZ / _WINDOW
    low = np.minimum(edges[:-2], edges[1:-1] - bin_hz)[:, None]
    high = np.maximum(edges[2:], edges[1:-1] + bin_hz)[:, None]
    mid = edges[1:-1][:, None]
    weights = np.clip(np.minimum((hz - low) / (mid - low), (high - hz) / (high - mid)), 0, None)
    bank: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return bank


def _band_energy(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np
    from scipy import fft

    window = np.hanning(_WINDOW).astype(np.float32)
    padded = np.pad(samples, (_WINDOW // 2, _WINDOW // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    bank = _bank().T
    parts = []
    for first in range(0, len(frames), 2048):
        spectrum = fft.rfft(frames[first : first + 2048] * window, axis=1)
        parts.append((spectrum.real**2 + spectrum.imag**2) @ bank)
    return np.concatenate(parts)


def measure_features(samples: NDArray[np.float32]) -> NDArray[np.float16]:
    """Describe 16 kHz mono samples (n,) every 16 ms: (frames, 40) float16.

    Row k describes the 64 ms around sample ``256 * k + 64``. Level, slow changes and the colour
    of the microphone are removed; no single row weighs more than the median row.
    """
    import numpy as np
    from scipy import fft

    energy = _band_energy(samples)
    floor = np.median(energy, axis=0) + 1e-12
    shape = fft.dct(np.log(energy + floor), axis=1, norm="ortho")[:, 1 : _COEFFICIENTS + 1]
    shape = shape.astype(np.float32)
    width = min(int(_MEAN_S * RATE_HZ / _HOP) | 1, max(1, (len(shape) - 1) | 1))
    half = width // 2
    padded = np.pad(shape, ((half + 1, half), (0, 0)), mode="reflect")
    running = np.cumsum(padded, axis=0, dtype=np.float64)
    shape -= ((running[width:] - running[:-width]) / width).astype(np.float32)
    even = len(shape) // 2 * 2
    rows = shape[:even].reshape(-1, 2, shape.shape[1]).mean(axis=1)
    scale = np.median(np.abs(rows), axis=0) * 1.4826 + 1e-9
    rows = np.clip(rows / scale, -3, 3)
    norms = np.linalg.norm(rows, axis=1)
    median = float(np.median(norms)) or 1.0
    rows *= (np.minimum(1, median / np.maximum(norms, 1e-9)) / median)[:, None]
    return np.asarray(rows, np.float16)


def hear(clip: Clip, *, progress: Progress | None = None) -> Heard:
    """Decode and describe a clip's sound, once per digest and process.

    Raises
    ------
    StreamMissing
        The clip has no sound.
    SignalTooShort
        Digital silence throughout, or less than a second of sound.
    ClipRefused
        It is a copy made for listening, or has more than four hours of sound.
    ClipUnreadable, ClipChanged
        The file fails.
    """
    import numpy as np

    check_not_listening_copy(clip)
    known = _cache.get(clip.digest)
    if known is not None:
        _cache.move_to_end(clip.digest)
        return known
    path = _spool() / f"{clip.digest}.s16"
    count, zeros, peak, start = 0, 0, 0.0, None
    gaps: list[tuple[float, float]] = []
    with path.open("wb") as out:
        for part in iter_sound(clip, rate_hz=RATE_HZ, mono=True, progress=progress):
            if start is None:
                start = float(part.start)
            mono = np.nan_to_num(part.samples[:, 0])
            peak = max(peak, float(np.abs(mono).max(initial=0.0)))
            zeros += int(np.count_nonzero(np.abs(mono) < _SILENT))
            count += len(mono)
            gaps += [(float(g.start), float(g.end)) for g in part.gaps]
            out.write(np.clip(np.rint(mono * 32767), -32768, 32767).astype(np.int16).tobytes())
            if count > _MAX_S * RATE_HZ:
                raise ClipRefused(
                    f"{clip.name} has more than {_MAX_S:g} s of sound", path=clip.path
                )
    have = count / RATE_HZ
    if peak < _SILENT:
        raise SignalTooShort(
            f"{clip.name} has digital silence only: nothing was recorded", need_s=1.0, have_s=0.0,
            hint="a muted microphone, or a track that was put in empty",
        )  # fmt: skip
    if have < 1.0:
        raise SignalTooShort(f"{clip.name} has {have:.2f} s of sound", need_s=1.0, have_s=have)
    samples = np.memmap(path, np.int16, "r", shape=(count,))
    heard = Heard(
        clip.digest, start or 0.0, count, _features_in_parts(samples), path, zeros / count,
        tuple(gaps),
    )  # fmt: skip
    _remember(heard)
    return heard


def _features_in_parts(samples: NDArray[np.int16]) -> NDArray[np.float16]:
    # Ten minutes at a time bounds the memory; the seams fall on whole rows.
    import numpy as np

    step = 600 * RATE_HZ // 256 * 256
    pieces = max(1, math.ceil(len(samples) / step - 0.2))
    parts = []
    for number in range(pieces):
        last = len(samples) if number == pieces - 1 else (number + 1) * step
        part = np.asarray(samples[number * step : last], np.float32) / np.float32(32768)
        rows = measure_features(part)
        parts.append(rows if number == pieces - 1 else rows[: step // 256])
    return np.concatenate(parts)
