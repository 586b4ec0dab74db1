"""A copy for a person to hear: levelled, band-limited, noise-reduced; a derivative, and marked so.

The mark is in the file (a RIFF comment) and beside it (a JSON record); a marked file is refused by
every method of this module's family.
"""

from __future__ import annotations

import json
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.errors import PolicyError
from forensics.model import Clip, Progress
from forensics.provenance import LISTENING_MARK, method
from forensics.scan_sound import iter_sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["enhance", "write_listening_copy"]

RATE_HZ = 16000
_SIZE, _HOP = 512, 128


class _Enhancer:
    """Streaming: spectral floor subtraction, band limits, levelling. Output keeps input's clock."""

    def __init__(self, band_hz: tuple[float, float], reduction_db: float, level_db: float) -> None:
        import numpy as np

        frequencies = np.fft.rfftfreq(_SIZE, 1 / RATE_HZ)
        self.band = ((frequencies >= band_hz[0]) & (frequencies <= band_hz[1])).astype(np.float32)
        self.least = 10 ** (-reduction_db / 20)
        self.target = 10 ** (level_db / 20)
        self.floor: Floats | None = None
        self.level = 0.0
        self.held = np.zeros(_SIZE - _HOP, np.float32)
        self.tail = np.zeros(_SIZE, np.float32)
        self.window = np.sqrt(np.hanning(_SIZE + 1)[:-1]).astype(np.float32)

    def push(self, samples: Floats) -> Floats:
        import numpy as np
        from scipy.fft import irfft, rfft
        from scipy.ndimage import uniform_filter

        self.held = np.concatenate([self.held, samples])
        count = (len(self.held) - _SIZE) // _HOP + 1
        if count <= 0:
            return np.zeros(0, np.float32)
        view = np.lib.stride_tricks.sliding_window_view(self.held, _SIZE)[::_HOP][:count]
        spectrum = rfft(view * self.window, axis=1)
        power = uniform_filter(np.abs(spectrum) ** 2, (5, 3), mode="nearest")
        floor = np.quantile(power, 0.15, axis=0)
        self.floor = floor if self.floor is None else 0.7 * self.floor + 0.3 * floor
        gain = 1 - 1.8 * np.sqrt(self.floor / (power + 1e-14))
        gain = uniform_filter(np.clip(gain, self.least, 1), (3, 3), mode="nearest") * self.band
        rows = irfft(spectrum * gain, _SIZE, axis=1).astype(np.float32) * self.window
        out = np.zeros(count * _HOP + _SIZE, np.float32)
        for shift in range(_SIZE // _HOP):
            flat = rows[shift :: _SIZE // _HOP].reshape(-1)
            out[shift * _HOP : shift * _HOP + len(flat)] += flat
        out[:_SIZE] += self.tail
        self.held = self.held[count * _HOP :]
        self.tail = out[count * _HOP : count * _HOP + _SIZE].copy()
        return self._levelled((out[: count * _HOP] / 2).astype(np.float32))

    def _levelled(self, samples: Floats) -> Floats:
        import numpy as np

        block = RATE_HZ // 10
        out = np.empty_like(samples)
        for first in range(0, len(samples), block):
            piece = samples[first : first + block]
            now = float(np.sqrt((piece**2).mean()))
            rate = 0.5 if now > self.level else 0.05
            self.level += rate * (now - self.level) if self.level else now
            gain = min(30.0, self.target / max(self.level, 1e-4))
            out[first : first + block] = np.tanh(piece * gain)
        return out


def enhance(
    pieces: Iterator[Floats], *, band_hz: tuple[float, float], reduction_db: float,
    level_db: float,
) -> Iterator[Floats]:  # fmt: skip
    """Enhanced pieces of mono sound at `RATE_HZ`; in all as long as the input, on its clock."""
    import numpy as np

    worker = _Enhancer(band_hz, reduction_db, level_db)
    skip, given, made = _SIZE - _HOP, 0, 0
    for piece in pieces:
        given += len(piece)
        out = worker.push(piece)
        cut, skip = out[skip:], max(0, skip - len(out))
        made += len(cut)
        yield cut
    out = worker.push(np.zeros(2 * _SIZE, np.float32))[skip:][: given - made]
    yield out


@method("sound-listening-copy", version="1")
def write_listening_copy(
    clip: Clip, *, out: Path, band_hz: tuple[float, float] = (120.0, 7000.0),
    reduction_db: float = 15.0, level_db: float = -20.0, progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Write a levelled, noise-reduced WAV for a person to hear, marked as a derivative.

    Parameters
    ----------
    clip
        An opened clip with sound.
    out
        Where to write the WAV (mono, 16 kHz, 16 bit). Beside it goes ``OUT.json``, the record.
    band_hz
        Frequencies kept.
    reduction_db
        How far steady noise is turned down at most.
    level_db
        Level aimed at, dBFS.
    progress
        Called with (fraction, text).

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    StreamMissing
        No sound.
    PolicyError
        `out` exists already, or is the clip itself.

    When it errs
    ------------
    Noise reduction can remove quiet words and make noise sound like words (corruption): what is
    heard in the copy must be found again in the recording before it is written down.
    """
    import numpy as np

    out = Path(out)
    record = out.with_name(out.name + ".json")
    if out.exists() or record.exists():
        raise PolicyError(f"{out.name} exists already", hint="derivatives never overwrite anything")
    sounds = iter_sound(clip, rate_hz=RATE_HZ, mono=True, progress=progress)
    start: list[float] = []

    def pieces() -> Iterator[Floats]:
        for sound in sounds:
            if not start:
                start.append(float(sound.start))
            yield sound.mono

    try:
        with wave.open(str(out), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            for piece in enhance(
                pieces(), band_hz=band_hz, reduction_db=reduction_db, level_db=level_db
            ):
                file.writeframes((np.clip(piece, -1, 1) * 32767).astype("<i2").tobytes())
    except BaseException:
        # Half a copy without its mark could be taken for a recording.
        out.unlink(missing_ok=True)
        raise
    _mark(out)
    record.write_text(
        json.dumps(
            {
                "what": LISTENING_MARK, "made_from_sha256": clip.digest, "made_from": clip.name,
                "starts_at_clip_s": start[0] if start else 0.0, "band_hz": list(band_hz),
                "noise_reduction_db": reduction_db, "level_dbfs": level_db, "rate_hz": RATE_HZ,
                "method": "sound-listening-copy 1",
            },
            indent=1,
        )
        + "\n"
    )  # fmt: skip
    return out


def _mark(path: Path) -> None:
    """Append a RIFF INFO comment and correct the RIFF size."""
    text = LISTENING_MARK.encode() + b"\0"
    text += b"\0" * (len(text) % 2)
    info = b"INFO" + b"ICMT" + struct.pack("<I", len(text)) + text
    with open(path, "r+b") as file:
        file.seek(0, 2)
        if file.tell() % 2:
            file.write(b"\0")
        file.write(b"LIST" + struct.pack("<I", len(info)) + info)
        size = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", size - 8))
