"""Cuts in real mains under real voices, and what the library says of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hum_voices import is_fresh, mixed, voice, voices
from scipy.signal import hilbert
from sound_material import Bench, share

import forensics
from forensics import enf
from forensics.scan_sound import read_sound

RATE = 8000


class Mains:
    """Real mains from a 400 Hz reference."""

    def __init__(self, path: Path) -> None:
        from scipy.signal import butter, sosfiltfilt

        sound = read_sound(forensics.open_clip(path)).mono
        band = sosfiltfilt(butter(4, (46, 54), "band", fs=400, output="sos"), sound)
        self.turns = np.unwrap(np.angle(hilbert(band))) / (2 * np.pi)
        self.length_s = len(sound) / 400

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """Phase in turns at these times."""
        return np.interp(seconds, np.arange(len(self.turns)) / 400, self.turns)

    def turned_deg(self, at: float, gone: float) -> float:
        """By how much 100 Hz turns when `gone` seconds from `at` on are taken out."""
        first, last = self.at(np.array([at, at + gone]))
        return float(360 * ((2 * (last - first) + 0.5) % 1 - 0.5))

    def hum(self, seconds: float, start: float, rate: int) -> np.ndarray:
        """Its harmonics as a phone would hear them, 100 Hz the strongest."""
        phase = 2 * np.pi * self.at(start + np.arange(round(seconds * rate)) / rate)
        return sum(np.sin(h * phase + h) * a for h, a in ((1, 0.1), (2, 1.0), (4, 0.6), (6, 0.3)))


#: Turns of 100 Hz smaller than this (degrees; 0.25 ms removed) are counted apart: the fundamental
#: then turns by less than the mains itself does within 5 s.
WHOLE_DEG = 9.0
#: From here on 100 Hz turns by twice what the mains' own wander (5 degrees of 50 Hz in 8 s) does.
WELL_DEG = 20.0


def removed_holds(observation, gone: float) -> bool:
    """Whether what was removed lies in the stated interval, modulo the period as stated."""
    removed, period = observation.what.removed, observation.measures["period"]
    count = max(0, round((gone - removed.value) / period.value))
    wide = max(removed.high - removed.value, removed.value - removed.low)
    off = abs(gone - removed.value - count * period.value)
    return off <= wide + count * (period.high - period.low) / 2 + 1e-5


def cut_at(bench: Bench, lines: list[Mains], level: int, k: int, rng) -> dict:
    """One cut in real mains under a real voice; what was said of it."""
    names = voices()
    line = lines[(k + k // len(names)) % len(lines)]
    start = 20 + (30 * k) % (line.length_s - 130)
    hum = line.hum(95.0, start, RATE)
    first = round(rng.uniform(30, 60) * RATE)
    at, gone = first / RATE, round(rng.uniform(0.4, 3.0) * RATE) / RATE
    # Only the hum jumps in what is left of the talk: the words go on after the cut.
    cut = np.concatenate([hum[:first], hum[first + round(gone * RATE) :]])
    samples = mixed(voice(90.0, k, RATE), cut, level, rng)
    exam = enf.find_phase_breaks(bench.clip(samples, RATE, "libmp3lame" if k % 2 else "pcm_s16le"))
    near = [o for o in exam.observations if float(o.span.start) <= at <= float(o.span.end)]
    return {
        "at": at, "gone": gone, "near": near, "refused": exam.outcome == "not-applicable",
        "beside": len(exam.observations) - len(near), "turned": line.turned_deg(start + at, gone),
        "voice": names[k % len(names)],
    }  # fmt: skip


def told(made: list[dict]) -> dict:
    """The cuts of one level, those of near-whole periods of 100 Hz also apart."""
    aside = [m for m in made if abs(m["turned"]) >= WHOLE_DEG]
    well = [m for m in made if abs(m["turned"]) >= WELL_DEG]
    new = [m for m in aside if is_fresh(m["voice"])]
    found, of_aside, of_new = (sum(bool(m["near"]) for m in some) for some in (made, aside, new))
    return {
        "n": len(made), "found": share(found, len(made)),
        "whole_periods": len(made) - len(aside),
        "refused_cut": sum(m["refused"] for m in made),
        "alarms_beside": sum(m["beside"] for m in made),
        "missed": [
            f"{m['voice'].split('/')[-1]}: 100 Hz turned by {m['turned']:.0f} degrees"
            + (", not measurable" if m["refused"] else "")
            for m in made if not m["near"]
        ],
        "found, whole periods aside": share(of_aside, len(aside)),
        f"found, 100 Hz turned by {WELL_DEG:g} degrees and more": share(
            sum(bool(m["near"]) for m in well), len(well)
        ),
        "whole periods aside, under voices never heard before": share(of_new, len(new)),
    }  # fmt: skip
