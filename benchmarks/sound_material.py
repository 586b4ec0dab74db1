"""Recordings, coders and innocent changes that the sound benchmark is made of."""

from __future__ import annotations

import hashlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import forensics
from forensics import calibration
from forensics.continuity_control import encode_sound
from forensics.scan_sound import read_sound

MEDIA = Path(os.environ.get("FORENSICS_MEDIA", ROOT.parent / "shared" / "media"))
RATE = 44100
TODAY = datetime.now(UTC).date().isoformat()
AEC = "audio_multi/dtln_aec/audio_samples/"
#: Those of the first row shaped the code and its thresholds; only the second is reported.
HALVES = {
    "tune": ["audio_events/max_freesound/crowd_cheering.wav", "audio_multi/bbc/timbl_1.mp3",
             "audio_events/max_freesound/car_engine.wav", "audio_events/jfk/jfk.flac",
             "enf/pyenf/attack recordings/audio_recording (1).wav",
             "audio_events/pyannote_ami/tests/data/trn01.wav",
             AEC + "9mkQhVtzTEy2hDk-6u2Sww_farend_singletalk_mic.wav",
             "esc:002 - Rain", "esc:005 - Clock tick", "esc:010 - Fire crackling"],
    "test": ["audio_events/max_freesound/thunder.wav", "audio_multi/bbc/r4_excerpt2.ogg",
             "audio_events/pyannote_ami/tests/data/trn02.wav",
             "audio_events/pyannote_ami/tests/data/trn03.wav",
             "audio_multi/opensoundscape/metadata.wav",
             "esc:003 - Sea waves", "esc:007 - Helicopter", "esc:001 - Dog bark",
             "esc:008 - Chainsaw", "esc:004 - Baby cry", "esc:009 - Rooster",
             "pocketsphinx", "enf/pyenf/attack recordings/audio_recording (2).wav",
             AEC + "DLhjtuwiEkS-68TsUVvW5g_nearend_singletalk_mic.wav",
             AEC + "DMTgmZwtgUilp4omPK7-OQ_doubletalk_mic.wav",
             "audio_events/librosa_data/198-209-0000.hq.ogg"],
}  # fmt: skip


def files_of(name: str) -> list[Path]:
    """The files a source is made of."""
    if name.startswith("esc:"):
        return sorted((MEDIA / "audio_events/esc10" / name[4:]).glob("2-*.ogg"))
    if name == "pocketsphinx":
        return sorted((MEDIA / "audio_events/pocketsphinx").glob("*.wav"))
    return [MEDIA / name]


def own(name: str, seconds: float = 30.0) -> tuple[np.ndarray, int]:
    """A source as mono at its own rate, up to `seconds`, nothing twice: (samples, rate).

    Several files are joined; each is first resampled by 0.7 %, for they come from different
    originals whose earlier codings would otherwise leave different grids: real joints.
    """
    from scipy.signal import resample_poly

    parts, length, rate = [], 0.0, 0
    files = files_of(name)
    for file in files:
        sound = read_sound(forensics.open_clip(file))
        rate = sound.rate_hz
        part = sound.mono if len(files) == 1 else resample_poly(sound.mono, 147, 148)
        parts.append(part)
        length += len(part) / rate
        if length >= seconds:
            break
    return np.concatenate(parts)[: round(seconds * rate)].astype(np.float32), rate


def load(name: str, seconds: float) -> np.ndarray:
    """A source as mono at 44.1 kHz, joined from its files or repeated to `seconds`."""
    files = files_of(name)
    parts, length = [], 0.0
    while length < seconds:
        for file in files:
            part = read_sound(forensics.open_clip(file), rate_hz=RATE, mono=True).mono
            parts.append(part)
            length += len(part) / RATE
            if length >= seconds:
                break
    return np.concatenate(parts)[: round(seconds * RATE)]


#: Seconds of each source, and every how many sources are used: see ``--quick``.
SIZE: dict = {"seconds": 30.0, "every": 1, "clips": 6, "half": "test"}


def sources() -> list[str]:
    """The sources reported on (or, when tuning, the others)."""
    return HALVES[str(SIZE["half"])][:: int(SIZE["every"])]


class Bench:
    """A temporary folder and the ways through it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0

    def path(self) -> Path:
        self.number += 1
        return self.folder / f"{self.number}.bin"

    def coded(self, samples: np.ndarray, codec: str, bit_rate: int, rate: int = RATE) -> np.ndarray:
        """Through a codec and back, as the decoder gives it."""
        path = encode_sound(samples, rate, self.path(), codec=codec, bit_rate=bit_rate)
        decoded = read_sound(forensics.open_clip(path)).mono
        path.unlink()
        return decoded

    def clip(self, samples: np.ndarray, rate: int = RATE, codec: str = "pcm_s16le",
             bit_rate: int = 0):  # fmt: skip
        """A clip of the samples, saved as PCM unless said otherwise."""
        path = encode_sound(samples, rate, self.path(), codec=codec, bit_rate=bit_rate or 128000)
        return forensics.open_clip(path)


def share(events: int, trials: int) -> dict:
    """A share with its interval."""
    rate = calibration.item_rate(events, trials)
    return {
        "hit": events,
        "of": trials,
        "low_95": round(rate.low, 3),
        "high_95": round(rate.high, 3),
    }


def negatives(source: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Innocent changes: none, automatic gain after a bang, another microphone half-way."""
    from scipy.signal import butter, sosfiltfilt

    bang = source.copy()
    at = 6 * RATE
    burst = rng.standard_normal(RATE // 5) * np.exp(-np.arange(RATE // 5) / RATE / 0.03)
    bang[at : at + len(burst)] += 0.8 * burst
    after = np.arange(len(bang) - at) / RATE
    bang[at:] *= 1 - 0.85 * np.exp(-np.maximum(after - 0.02, 0) / 2)
    other = sosfiltfilt(butter(2, (300, 5000), "band", fs=RATE, output="sos"), source)
    fade = np.clip((np.arange(len(source)) / RATE - 7) / 0.02, 0, 1)
    return [source, np.clip(bang, -1, 1), source * (1 - fade) + 0.6 * other * fade]


def two_channels(bench: Bench, left: np.ndarray, right: np.ndarray, bit_rate: int) -> np.ndarray:
    """Two sounds as the channels of one AAC file and back, (n, 2)."""
    import av

    path = bench.path()
    both = np.stack([left, right]).astype(np.float32)
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=RATE, layout="stereo")
        stream.bit_rate = bit_rate
        stream.codec_context.open(strict=False)
        for first in range(0, both.shape[1], 1024):
            piece = np.zeros((2, 1024), np.float32)
            part = both[:, first : first + 1024]
            piece[:, : part.shape[1]] = part
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = RATE, first
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return read_sound(forensics.open_clip(path)).samples


def write_long(bench: Bench, seconds: int) -> Path:
    """A WAV of 22 kHz: all sources, coded as AAC, each cut and joined to the next, over and over.

    A round takes longer than repeats are looked for, so that no stretch is a copy of another.
    """
    import wave

    from scipy.signal import resample_poly

    rate, rng = RATE // 2, np.random.default_rng(4)
    pieces = []
    for name in (n for half in HALVES.values() for n in half):
        half_rate = resample_poly(load(name, 40.0), 1, 2).astype(np.float32)
        coded = bench.coded(half_rate, "aac", 48000, rate)
        pieces.append((np.clip(coded, -1, 1) * 32767).astype("<i2"))
    path = bench.path()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        left, number = seconds * rate, 0
        while left:
            piece = pieces[number % len(pieces)][int(rng.integers(1, 20_000)) :][:left]
            file.writeframes(piece.tobytes())
            left, number = left - len(piece), number + 1
    return path


def digest(names: list[str]) -> str:
    """A short name for the set of sources."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
