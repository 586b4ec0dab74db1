"""Simulated phones at real sounds: scenes with known offsets for `benchmarks/alignment.py`.

Real recordings (speech, crowds, engines, animals, weather, thunder) are laid out on timelines at
one or six source positions; phones stand or walk in the field, each with its own room response,
gain control, clipping, bandwidth, noise, clock drift and codec. What is simulated is the field;
what is real is the sound. Sources are split by recording into a half to tune on and a half to
report on, and strangers never share a recording.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy import signal
from scipy.io import wavfile

RATE = 16000
SOUND_SPEED = 343.0
MEDIA = Path(
    os.environ.get("FORENSICS_MEDIA", Path(__file__).resolve().parents[2] / "shared" / "media")
)
#: Long recordings by half: none is in both.
LONG = {
    "tune": (
        "audio_events/pyannote_ami/tests/data/trn01.wav",
        "audio_multi/bbc/timbl_1.mp3",
        "audio_events/max_freesound/thunder.wav",
        "audio_events/pocketsphinx/sense_and_sensibility_01_austen_64kb-0870.wav",
        "audio_events/pocketsphinx/sense_and_sensibility_01_austen_64kb-0920.wav",
    ),
    "report": (
        "audio_events/pyannote_ami/tests/data/trn02.wav",
        "audio_events/pyannote_ami/tests/data/trn03.wav",
        "audio_events/jfk/jfk.flac",
        "audio_events/librosa_data/198-209-0000.hq.ogg",
        "audio_multi/bbc/r4_excerpt2.ogg",
        "audio_events/max_freesound/crowd_cheering.wav",
        "audio_events/max_freesound/car_engine.wav",
    ),
}
#: Uploaded twice: 2-28314-A and 2-30322-A correlate by 0.97 at the same second, the B cuts by 0.48
#: 0.15 s apart. No other two uploads of either half share a stretch of sound.
TWICE = {"2-30322": "2-28314"}
NOISE_CLASSES = ("002 - Rain", "003 - Sea waves", "007 - Helicopter", "010 - Fire crackling")


def decode(path: Path | io.BytesIO, rate: int = RATE) -> np.ndarray:
    """Mono float32 at `rate`."""
    parts = []
    with av.open(path if isinstance(path, io.BytesIO) else str(path)) as box:
        change = av.AudioResampler(format="flt", layout="mono", rate=rate)
        for frame in box.decode(audio=0):
            parts += [f.to_ndarray().ravel() for f in change.resample(frame)]
        parts += [f.to_ndarray().ravel() for f in change.resample(None)]
    return np.concatenate(parts).astype(np.float32)


@dataclass
class Recording:
    """One real recording; `group` names the original upload, which is never shared."""

    name: str
    group: str
    kind: str
    samples: np.ndarray


@dataclass
class Pool:
    """The recordings of one half, and the hash of what was used."""

    half: str
    items: list[Recording] = field(default_factory=list)
    digest: str = ""

    @classmethod
    def load(cls, half: str) -> Pool:
        """Read a half of the sources from the media folder."""
        pool, hashed = cls(half), hashlib.sha256()
        fold = "1-" if half == "tune" else "2-"
        paths = [MEDIA / name for name in LONG[half]]
        paths += sorted((MEDIA / "audio_events" / "esc10").glob(f"*/{fold}*.ogg"))
        for path in paths:
            hashed.update(path.read_bytes())
            esc = "esc10" in path.parts
            kind = path.parent.name if esc else "long"
            group = "-".join(path.name.split("-")[:2]) if esc else path.name
            group = TWICE.get(group, group)
            data = decode(path)
            loud = float(np.sqrt(np.mean(data**2)))
            if loud > 1e-4:
                pool.items.append(Recording(path.name, group, kind, data / loud * 0.1))
        pool.digest = hashed.hexdigest()
        return pool

    def split(self, rng: np.random.Generator, parts: int) -> list[list[Recording]]:
        """Disjoint lists of recordings, no upload shared between two of them."""
        groups: dict[str, list[Recording]] = {}
        for item in self.items:
            groups.setdefault(item.group, []).append(item)
        bins: list[list[Recording]] = [[] for _ in range(parts)]
        kinds = sorted(groups.values(), key=lambda g: (g[0].kind, rng.random()))
        start = int(rng.integers(parts))
        for number, group in enumerate(kinds):
            bins[(number + start) % parts] += group
        return bins


def sooner_and_later(recordings: list[Recording]) -> tuple[list[Recording], list[Recording]]:
    """The same speakers, crowds and engines twice, with no second of sound in both lists.

    A long recording gives its first and its second half; of several clips of one upload every
    other goes to the second list, and a lone clip to the first.
    """
    sooner: list[Recording] = []
    later: list[Recording] = []
    seen: dict[str, int] = {}
    for item in recordings:
        if item.kind == "long":
            half = len(item.samples) // 2
            sooner.append(replace(item, samples=item.samples[:half]))
            later.append(replace(item, samples=item.samples[half:]))
            continue
        seen[item.group] = seen.get(item.group, 0) + 1
        (later if seen[item.group] % 2 == 0 else sooner).append(item)
    return sooner, later


@dataclass
class Event:
    """Sources with their sound over `length_s` seconds, and where they stand (metres)."""

    kind: str
    tracks: np.ndarray
    places: np.ndarray
    noises: list[Recording]
    length_s: float


def _vary(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    speed = rng.uniform(0.9, 1.12)
    at = np.arange(0, len(data) - 1, speed)
    return np.interp(at, np.arange(len(data)), data).astype(np.float32)


def _place(track: np.ndarray, piece: np.ndarray, start: int) -> None:
    piece = piece[: max(0, len(track) - start)]
    fade = min(160, len(piece) // 4)
    if fade:
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        piece = piece.copy()
        piece[:fade] *= ramp
        piece[-fade:] *= ramp[::-1]
    track[start : start + len(piece)] += piece


def make_event(
    recordings: list[Recording], rng: np.random.Generator, *, kind: str = "mixed",
    length_s: float = 150.0, sources: int = 6,
) -> Event:  # fmt: skip
    """Lay real recordings on a timeline at `sources` places.

    `kind` "mixed" draws from everything; "chant" repeats one phrase on a beat with small
    changes; "music" loops bars of a synthetic melody; both repeat on purpose.
    """
    total = int(length_s * RATE)
    tracks = np.zeros((sources, total), np.float32)
    beds = [r for r in recordings if r.kind in NOISE_CLASSES]
    rng.shuffle(beds)  # type: ignore[arg-type]
    noises, beds = beds[: len(beds) // 2], beds[len(beds) // 2 :]
    used = [r for r in recordings if r.kind not in NOISE_CLASSES] + beds
    places = rng.uniform(-30, 30, (sources, 2))
    if kind in ("chant", "music"):
        phrase = _phrase(used, rng) if kind == "chant" else _bars(rng)
        beat, now = len(phrase) + int(rng.uniform(0.05, 0.5) * RATE), 0
        while now < total - len(phrase):
            jitter = int(rng.normal(0, 0.015 if kind == "chant" else 0.0) * RATE)
            gain = rng.uniform(0.7, 1.3) if kind == "chant" else 1.0
            _place(tracks[0], phrase * np.float32(gain), max(0, now + jitter))
            now += beat
        rest, scale = range(1, sources), 0.35
    else:
        rest, scale = range(sources), 1.0
    queue = list(used)
    for number in rest:
        now = int(rng.uniform(0, 4) * RATE)
        while now < total - RATE:
            if not queue:
                queue = list(used)
            item = queue.pop(int(rng.integers(len(queue))))
            data = item.samples
            if item.kind == "long":
                span = int(rng.uniform(4, 10) * RATE)
                first = int(rng.integers(max(1, len(data) - span)))
                data = data[first : first + span]
            _place(tracks[number], _vary(data, rng) * np.float32(scale), now)
            now += len(data) + int(rng.exponential(1.0 if sources == 1 else 6.0) * RATE)
    return Event(kind, tracks, places, noises, length_s)


def _phrase(recordings: list[Recording], rng: np.random.Generator) -> np.ndarray:
    voices = [r for r in recordings if r.kind == "long"] or recordings
    data = voices[int(rng.integers(len(voices)))].samples
    span = int(rng.uniform(1.2, 2.4) * RATE)
    first = int(rng.integers(max(1, len(data) - span)))
    return _vary(data[first : first + span], rng) * 2


def _bars(rng: np.random.Generator) -> np.ndarray:
    beat = int(rng.uniform(0.3, 0.55) * RATE)
    out = np.zeros(beat * 8, np.float32)
    for step in range(8):
        root = 110 * 2 ** (rng.integers(0, 24) / 12)
        t = np.arange(beat) / RATE
        tone = sum(np.sin(2 * np.pi * root * h * t) / h for h in range(1, 7))
        hit = rng.normal(size=beat) * np.exp(-t * 40) * 2
        out[step * beat : (step + 1) * beat] = np.exp(-t * 3) * tone + hit
    return out * np.float32(0.1)


@dataclass
class Phone:
    """A clip with its truth: event time = `start_s` + (1 + `drift`) * clip time."""

    samples: np.ndarray
    start_s: float
    drift: float
    delays: np.ndarray
    snr_db: float
    codec: str

    @property
    def length_s(self) -> float:
        """Seconds of clip."""
        return len(self.samples) / RATE

    def delay(self, source: int, event_s: float) -> float:
        """Seconds from a source to this phone at a time of the event."""
        at = np.linspace(0, 1, self.delays.shape[1])
        where = (event_s - self.start_s) / max(self.length_s, 1e-9)
        return float(np.interp(where, at, self.delays[source]))


def _room(rng: np.random.Generator, direct: bool) -> np.ndarray:
    rt = rng.uniform(0.15, 1.2)
    n = int(rt * 0.7 * RATE)
    tail = rng.normal(size=n).astype(np.float32) * np.exp(-6.9 * np.arange(n) / (rt * RATE))
    tail[: int(0.004 * RATE)] = 0
    tail *= rng.uniform(0.25, 0.9) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0 if direct else 0.0
    return tail.astype(np.float32)


def _noise(items: list[Recording], count: int, rng: np.random.Generator) -> np.ndarray:
    out = np.zeros(count, np.float32)
    now = 0
    while now < count:
        item = items[int(rng.integers(len(items)))] if items else None
        data = _vary(item.samples, rng) if item else rng.normal(size=RATE).astype(np.float32) * 0.1
        _place(out, np.roll(data, int(rng.integers(len(data)))), max(0, now - 160))
        now += len(data) - 160
    hiss = signal.lfilter([1], [1, -0.9], rng.normal(size=count)).astype(np.float32)
    return out + hiss / np.std(hiss) * np.float32(0.03)


def encode(samples: np.ndarray, codec: str, rate: int = RATE) -> np.ndarray:
    """Through a lossy codec and back, on the presentation clock (priming removed)."""
    if codec == "wav":
        return samples
    name, form, bits, kind = {
        "aac": ("aac", "mp4", 64000, "fltp"), "mp3": ("libmp3lame", "mp3", 64000, "fltp"),
        "opus": ("libopus", "ogg", 24000, "flt"),
    }[codec]  # fmt: skip
    memory = io.BytesIO()
    with av.open(memory, "w", format=form) as box:
        stream = box.add_stream(name, rate=rate)
        stream.layout = "mono"
        stream.bit_rate = bits
        change = av.AudioResampler(format=kind, layout="mono", rate=rate, frame_size=1024)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None], np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = rate
        frame.pts = 0
        for piece in [*change.resample(frame), *change.resample(None)]:
            box.mux(stream.encode(piece))
        box.mux(stream.encode(None))
    memory.seek(0)
    return decode(memory)[: len(samples)]


def make_phone(
    event: Event, rng: np.random.Generator, *, start_s: float, length_s: float,
    snr_db: float, hard: bool, noises: list[Recording], codec: str | None = None,
    drift_ppm: float | None = None,
) -> Phone:  # fmt: skip
    """One phone's clip of an event, with everything a phone does to sound."""
    ppm = float(rng.choice([0, 20, 50, 100]) * rng.choice([-1, 1])) + rng.normal(0, 2)
    drift = (ppm if drift_ppm is None else drift_ppm) * 1e-6
    count = int(length_s * RATE)
    t = start_s + (1 + drift) * np.arange(count) / RATE
    where = rng.uniform(-40, 40, 2)
    heading = rng.uniform(0, 2 * np.pi)
    speed = rng.uniform(0.5, 1.5) if hard and rng.random() < 0.5 else 0.0
    knots = np.linspace(0, length_s, 33)
    path = where + speed * knots[:, None] * np.array([np.cos(heading), np.sin(heading)])
    path = 40 - np.abs((path + 40) % 160 - 80)  # turns back at the edge of the field
    mixed = np.zeros(count, np.float32)
    delays = np.zeros((len(event.places), len(knots)))
    first = max(0, int((start_s - 2) * RATE))
    last = min(event.tracks.shape[1], int((start_s + length_s + 1) * RATE))
    for number, place in enumerate(event.places):
        distance = np.hypot(*(path - place).T)
        if not hard:
            distance = np.full(len(knots), rng.uniform(3, 20))
        delays[number] = distance / SOUND_SPEED
        direct = not hard or rng.random() > 0.25
        dry = event.tracks[number, first:last]
        wet = signal.fftconvolve(dry, _room(rng, direct))[: len(dry)]
        dense = signal.resample_poly(wet, 3, 1).astype(np.float32)
        delay = np.interp(np.arange(count) / RATE, knots, delays[number])
        gain = np.interp(np.arange(count) / RATE, knots, 5 / np.maximum(distance, 2))
        at = ((t - delay) * RATE - first) * 3
        mixed += (np.interp(at, np.arange(len(dense)), dense, 0, 0) * gain).astype(np.float32)
    noise = _noise(noises, count, rng)
    ratio = np.std(mixed) / max(1e-9, np.std(noise)) * 10 ** (-snr_db / 20)
    mixed = mixed + noise * np.float32(ratio)
    if rng.random() < 0.5:  # automatic gain control
        level = signal.lfilter([0.0005], [1, -0.9995], np.abs(mixed)) + 1e-4
        mixed = mixed / level**0.7
    mixed = mixed / max(1e-9, float(np.abs(mixed).max()))
    if rng.random() < 0.3:
        mixed = np.clip(mixed * rng.uniform(2, 8), -1, 1)
    edge = float(rng.choice([3400, 5000, 7500]))
    mixed = signal.sosfilt(
        signal.butter(6, [120, edge], "bandpass", fs=RATE, output="sos"), mixed
    ).astype(np.float32)
    mixed *= 0.7 / max(1e-9, float(np.abs(mixed).max()))
    codec = codec or str(rng.choice(["wav", "aac", "mp3", "opus"]))
    return Phone(encode(mixed, codec), start_s, drift, delays, snr_db, codec)


def write(phone: Phone, path: Path) -> Path:
    """A phone's clip as a 16-bit WAV."""
    wavfile.write(path, RATE, (np.clip(phone.samples, -1, 1) * 32767).astype(np.int16))
    return path


def make_pair(
    event: Event, rng: np.random.Generator, *, overlap_s: float, snr_db: float, hard: bool
) -> tuple[Phone, Phone]:
    """Two phones whose clips overlap by `overlap_s` seconds; the second starts later."""
    before, after = rng.uniform(2, 30, 2)
    free = event.length_s - before - overlap_s - after - 2
    start = rng.uniform(1, max(1.5, free))
    half = max(1, len(event.noises) // 2)
    common: dict[str, Any] = {"snr_db": snr_db, "hard": hard}
    one = make_phone(event, rng, start_s=start, length_s=before + overlap_s,
                     noises=event.noises[:half], **common)  # fmt: skip
    two = make_phone(event, rng, start_s=start + before, length_s=overlap_s + after,
                     noises=event.noises[half:], **common)  # fmt: skip
    return one, two


@dataclass
class Judged:
    """The truth about a pair at the middle of the overlap."""

    offset_s: float
    drift_ppm: float
    by_source: list[float]
    middle_s: float


def judge(one: Phone, two: Phone) -> Judged:
    """True offset: when `two`'s clock shows 0, on `one`'s clock; per source with travel time."""
    rate = (1 + two.drift) / (1 + one.drift)
    start = (two.start_s - one.start_s) / (1 + one.drift)
    low = max(one.start_s, two.start_s)
    high = min(one.start_s + one.length_s, two.start_s + two.length_s)
    sources = []
    for number in range(len(one.delays)):
        sources += [
            start - two.delay(number, at) + one.delay(number, at)
            for at in np.linspace(low, high, 9)
        ]
    return Judged(start, (rate - 1) * 1e6, sources, ((low + high) / 2 - two.start_s))
