"""Speech for the hum benchmark, no two repeats alike, none with hum at the mains; and innocents."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from scipy.signal import butter, resample_poly, sosfilt
from sound_material import AEC, HALVES, SIZE, Bench, files_of

import forensics
from forensics.scan_sound import read_sound

AMI = "audio_events/pyannote_ami/tests/data/"
VOICES = {
    "tune": [AMI + "trn01.wav", "audio_events/jfk/jfk.flac", HALVES["tune"][6],
             "audio_multi/bbc/timbl_1.mp3", "audio_multi/bbc/timbl_3.mp3"],
    "test": ["pocketsphinx", AMI + "trn02.wav", AMI + "trn03.wav", "audio_multi/bbc/r4_excerpt.ogg",
             AEC + "DLhjtuwiEkS-68TsUVvW5g_nearend_singletalk_mic.wav",
             "audio_events/librosa_data/198-209-0000.hq.ogg"],
}  # fmt: skip
#: Debian's asterisk-core-sounds-{en,it,...}-wav: prompts, one speaker a language.
PROMPTS = {"tune": ["prompts en", "prompts es"], "test": ["prompts fr", "prompts it", "prompts ru"]}
_NO_SPEECH = ("silence", "/tt-", "beep", "tone", "music", "phonetic", "digits", "letters", "wind")
#: (up, down): played so, no multiple of 50 or 60 Hz lies within 1 Hz of another (up to 440 Hz).
SPEEDS = ((40, 41), (200, 193), (47, 48), (29, 28), (44, 45), (30, 29), (42, 43), (61, 59),
          (46, 47), (31, 30), (43, 44), (63, 61), (45, 46), (41, 42))  # fmt: skip
INNOCENT = ("untouched", "bang and automatic gain", "MP3", "another microphone half-way")
_PROMPT_FOLDER: list[Path] = []


def use_prompts(folder: Path) -> None:
    """Take the prompts in this folder (unpacked packages) as voices too."""
    _PROMPT_FOLDER[:] = [folder]


def voices() -> list[str]:
    """The voices of the half in use; those of the prompts last."""
    half = str(SIZE["half"])
    return VOICES[half] + (PROMPTS[half] if _PROMPT_FOLDER else [])


def is_fresh(name: str) -> bool:
    """Whether nobody looked at this voice while the method was made (of the reported half)."""
    return name.startswith("prompts")


def sound_of(files: list[Path], seconds: float, rate: int) -> np.ndarray:
    """Files one after another, again from the start where they are shorter than `seconds`."""
    parts = [read_sound(forensics.open_clip(f), rate_hz=rate, mono=True).mono for f in files]
    data = np.concatenate(parts)
    return np.resize(data, max(round(seconds * rate), 1)).astype(np.float32)


def _spoken(sound: np.ndarray, rate: int) -> np.ndarray:
    """A prompt without the quiet before and after the words."""
    size = rate // 50
    level = np.sqrt((sound[: len(sound) // size * size].reshape(-1, size) ** 2).mean(axis=1))
    loud = np.flatnonzero(level > 0.05 * level.max())
    return sound[loud[0] * size : (loud[-1] + 1) * size]


def _recorded(name: str, rate: int) -> np.ndarray:
    """What was recorded of a voice, at most 150 s."""
    if not is_fresh(name):
        sounds = [read_sound(forensics.open_clip(f), rate_hz=rate, mono=True).mono
                  for f in files_of(name)]  # fmt: skip
        return np.concatenate(sounds)[: 150 * rate]
    language = name.split()[1]
    files = sorted(_PROMPT_FOLDER[0].glob(f"**/sounds/{language}_*/**/*.wav"))
    files = [f for f in files if not any(word in str(f) for word in _NO_SPEECH)]
    files = [f for f in files if f.stat().st_size > 2 * 16_000]
    parts, length = [], 0
    for number in np.random.default_rng(11).permutation(len(files)):
        part = read_sound(forensics.open_clip(files[number]), rate_hz=rate, mono=True).mono
        parts.append(_spoken(part, rate))
        length += len(parts[-1])
        if length >= 150 * rate:
            break
    return np.concatenate(parts)


@functools.lru_cache(maxsize=64)
def _talk(name: str, rate: int) -> np.ndarray:
    """300 s of a voice, each repeat at another speed.

    Repeats that are alike make a comb of lines as steady as hum, which no talk holds: one voice is
    4.4 s long. Played off its speed, a hum of the recording's own is off the mains as well.
    """
    sound = _recorded(name, rate)
    parts, length, number = [], 0, 0
    while length < 300 * rate:
        up, down = SPEEDS[number % len(SPEEDS)]
        parts.append(resample_poly(sound, up, down))
        length += len(parts[-1])
        number += 1
    return np.concatenate(parts)[: 300 * rate].astype(np.float32)


def voice(seconds: float, which: int, rate: int) -> np.ndarray:
    """Speech without a pause of ours; another start each time."""
    names = voices()
    data = _talk(names[which % len(names)], rate)
    return np.resize(np.roll(data, which * 17_003), round(seconds * rate))


def mixed(talk: np.ndarray, hum: np.ndarray, level_db: float, rng) -> np.ndarray:
    """Speech and hum, the hum `level_db` above the speech, scaled to a recording's level."""
    size = min(len(talk), len(hum))
    both = talk[:size] + hum[:size] * talk.std() / hum.std() * 10 ** (level_db / 20)
    both = both * 0.12 / max(both.std(), 1e-9)
    return np.clip(both + 1e-4 * rng.standard_normal(size), -1, 1)


def ridden(samples: np.ndarray, rate: int) -> np.ndarray:
    """The same with a bang and the automatic gain that answers it."""
    out, at = samples.copy(), len(samples) // 2
    after = np.arange(len(out) - at) / rate
    out[at:] *= 1 - 0.85 * np.exp(-np.maximum(after - 0.02, 0) / 2)
    out[at : at + rate // 20] += 0.5 * np.exp(-np.arange(rate // 20) / rate / 0.01)
    return np.clip(out, -1, 1)


def innocent(bench: Bench, samples: np.ndarray, rate: int, kind: int, rng) -> np.ndarray:
    """One of `INNOCENT`."""
    if kind == 1:
        return ridden(samples, rate)
    if kind == 2:
        return bench.coded(resample_poly(samples, 8, 1), "libmp3lame", 48000, 8 * rate)[::8]
    if kind == 3:
        # The other one has less bass, which turns the phases, and another level.
        order, corner = int(rng.integers(1, 3)), float(rng.uniform(60, 180))
        low = sosfilt(butter(order, corner, "high", fs=rate, output="sos"), samples)
        fade = np.clip((np.arange(len(samples)) / rate - len(samples) / rate / 2) / 0.02, 0, 1)
        return samples * (1 - fade) + float(rng.uniform(0.5, 1.5)) * low * fade
    return samples
