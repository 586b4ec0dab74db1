"""The control experiment: cuts made on this very sound, through the same coding, looked for."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.calibration import item_rate
from forensics.continuity_gather import gather
from forensics.continuity_grid import find_shifts
from forensics.errors import SignalTooShort
from forensics.model import Clip, Progress, Quantity
from forensics.provenance import method
from forensics.scan_sound import Sound, iter_sound
from forensics.tools_temporary import temporary_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["encode_sound", "measure_power"]

#: Stream codec -> (encoder, container) for the last coding of the chain.
_ENCODERS = {"aac": ("aac", "mp4"), "mp3": ("libmp3lame", "mp3"), "mp3float": ("libmp3lame", "mp3"),
             "opus": ("libopus", "ogg")}  # fmt: skip


def encode_sound(
    samples: Floats, rate_hz: int, out: Path, *, codec: str, bit_rate: int = 128_000
) -> Path:
    """Write mono samples as AAC, MP3, Opus or 16-bit PCM.

    Parameters
    ----------
    samples
        Mono, -1…1.
    rate_hz
        Their rate (Opus is always coded at 48 kHz).
    out
        Where to write.
    codec
        An encoder name: "aac", "libmp3lame", "libopus", "pcm_s16le".
    bit_rate
        For the lossy ones.
    """
    import av
    import numpy as np

    target = 48000 if codec == "libopus" else rate_hz
    container = {"aac": "mp4", "libmp3lame": "mp3", "libopus": "ogg", "pcm_s16le": "wav"}[codec]
    with av.open(str(out), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=target, layout="mono")
        if codec != "pcm_s16le":
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None], np.float32), format="flt", layout="mono"
        )
        frame.sample_rate = rate_hz
        frame.pts = 0
        frame.time_base = Fraction(1, rate_hz)
        context = stream.codec_context
        context.open(strict=False)
        change = av.AudioResampler(
            format=context.format.name, layout="mono", rate=target,
            frame_size=context.frame_size or None,
        )  # fmt: skip
        for piece in [*change.resample(frame), *change.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return out


@method("sound-continuity-power", version="1")
def measure_power(
    clip: Clip, *, trials: int = 10, max_s: float = 60.0, bit_rate: int = 0, seed: int = 1,
    progress: Progress | None = None,
) -> dict[str, Quantity]:  # fmt: skip
    """Control experiment: what share of cuts made in this very sound would have been seen.

    From the first `max_s` seconds a random length (0.3 to 3 s) is removed at a random place, the
    rest is coded as the clip is, decoded, and the frame grid followed as `find_splices` does. An
    untouched copy through the same coding is the control.

    Parameters
    ----------
    clip
        An opened clip with sound.
    trials
        Cuts made, one at a time.
    max_s
        Seconds used.
    bit_rate
        Of the coding; 0 takes 128 kbit/s. PCM clips are saved as PCM.
    seed
        Of places and lengths.
    progress
        Called with (fraction, text).

    Returns
    -------
    dict
        "seen": share of cuts found within 0.5 s with the exact shift; "alarms": shifts reported
        elsewhere, per trial.

    Raises
    ------
    StreamMissing, SignalTooShort

    When it errs
    ------------
    The encoder is not the one of the recorder or platform; a hardware encoder may leave more or
    less trace (misinterpretation). Cuts made before the sound's first coding are not simulated.
    """
    import numpy as np

    from forensics.clip import open_clip

    parts: list[Floats] = []
    rate, length = 0, 0
    for sound in iter_sound(clip, chunk_s=20.0):
        rate = sound.rate_hz
        parts.append(sound.mono)
        length += len(sound.mono)
        if length >= max_s * rate:
            break
    samples = np.concatenate(parts)[: round(max_s * rate)]
    if len(samples) < 12 * rate:
        raise SignalTooShort(
            "too little sound for a control", need_s=12.0, have_s=len(samples) / max(rate, 1)
        )
    codec = _ENCODERS.get(clip.audio.codec if clip.audio else "", ("pcm_s16le", "wav"))[0]
    rng = np.random.default_rng(seed)
    seen = alarms = 0
    with temporary_folder("control") as folder:
        for number in range(trials):
            at = int(rng.uniform(5, len(samples) / rate - 6) * rate)
            gone = int(rng.uniform(0.3, min(3.0, len(samples) / rate - 11)) * rate)
            cut = np.concatenate([samples[:at], samples[at + gone :]])
            path = folder / f"{number}.bin"
            encode_sound(cut, rate, path, codec=codec, bit_rate=bit_rate or 128_000)
            for shift in _shifts(iter_sound(open_clip(path), chunk_s=20.0)):
                near = shift[0] / rate - 0.5 <= at / rate <= shift[1] / rate + 0.5
                if near and shift[2] == (-gone) % 1024:
                    seen += 1
                else:
                    alarms += 1
            if progress is not None:
                progress((number + 1) / trials, "control experiment")
    share = item_rate(min(seen, trials), trials)
    extra = item_rate(min(alarms, trials), trials)
    return {
        "seen": Quantity(min(seen, trials) / trials, "", share.low, share.high),
        "alarms": Quantity(
            alarms / trials, "per trial", extra.low, max(extra.high, alarms / trials)
        ),
    }


def _shifts(chunks: Iterable[Sound]) -> list[tuple[int, int, int]]:

    found = gather(chunks, reach_s=1.0)
    return [(s.low, s.high, s.samples) for s in find_shifts(found.tracker)]
