"""Scenes for ``benchmarks/events.py``: a bed with impulses at known times."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import signal

sys.path.insert(0, str(Path(__file__).resolve().parent))

from events_sounds import (
    RATE,
    Bed,
    Item,
    beds,
    fresh_beds,
    fresh_impulses,
    impulses,
    later_onsets,
    latest_beds,
    latest_impulses,
    loud_db,
    newest_beds,
    newest_impulses,
    peak_db,
    sudden_onsets,
)

#: Kinds of bed that hold impulses of their own, or what cannot be told from them.
OF_IMPULSES = ("crackle, ticks, drums", "meeting with knocks")


@dataclass(frozen=True)
class Scene:
    """A bed with impulses at `times`; `neither` are moments that count neither for nor against.

    `later`: later onsets of the impulses' own recordings (a pump action after the shot, a second
    blow of the door). `own`: sudden onsets of the bed itself. Both by `sudden_onsets`, on the
    clean recordings. `bands`: in how many of twelve bands each impulse stands out (`stands_out`).
    """

    bed: str
    kind: str
    level_db: float
    samples: np.ndarray
    times: list[float]
    kinds: list[str]
    names: list[str]
    later: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    bands: list[int] = field(default_factory=list)


def through_opus(samples: np.ndarray) -> np.ndarray:
    """Opus at 24 kbit/s and back, same length and place."""
    import io

    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as out:
        stream = out.add_stream("libopus", rate=48000, layout="mono")
        stream.bit_rate = 24000
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "flt", "mono")
        frame.sample_rate = RATE
        change = av.AudioResampler(format="flt", layout="mono", rate=48000, frame_size=960)
        for piece in [*change.resample(frame), *change.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    buffer.seek(0)
    parts = []
    with av.open(buffer) as back:
        change = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in back.decode(audio=0):
            parts += [f.to_ndarray()[0] for f in change.resample(frame)]
        parts += [f.to_ndarray()[0] for f in change.resample(None)]
    data = np.concatenate(parts)
    return np.pad(data, (0, max(0, len(samples) - len(data))))[: len(samples)].astype(np.float32)


def make_scene(
    rng: np.random.Generator, bed: Bed, pool: list[Item], level_db: float, *, old: bool = False,
    bursts: float = 0.4,
) -> Scene:  # fmt: skip
    """A bed with 5 impulses, some in bursts, with echoes; half of the scenes through Opus.

    `bursts`: share of the shots that come two or three at a time. Unless `old`, only what has
    decayed by 10 dB after 0.12 s does: a second explosion within the roar of the first has no
    onset to find.
    """
    canvas = _Canvas(rng, bed, level_db)
    at = rng.uniform(2, 5)
    for _ in range(5):
        item = pool[rng.integers(len(pool))]
        burst = int(rng.integers(2, 4)) if item[1] == "shot" and rng.random() < bursts else 1
        if not old and not decayed(item, 0.12):
            burst = 1
        for _ in range(burst):
            if at + 2 > len(canvas.out) / RATE:
                break
            canvas.add(item, at, 0.0)
            at += rng.uniform(0.12, 0.3)
        at += rng.uniform(3, 7)
    return canvas.scene()


def make_series(rng: np.random.Generator, bed: Bed, pool: list[Item], level_db: float) -> Scene:
    """A bed with series of 3 to 40 like impulses, 0.1 to 1.2 s apart, evenly or not, ±1.5 dB.

    Shots come in volleys: a detector that takes whatever comes again for a drum would lose them.
    Only what has decayed by 10 dB within the gap is repeated.
    """
    canvas = _Canvas(rng, bed, level_db)
    at = rng.uniform(2, 5)
    while at < len(canvas.out) / RATE - 3:
        gap = float(np.exp(rng.uniform(np.log(0.1), np.log(1.2))))
        count = int(rng.choice([3, 5, 8, 12, 20, 40]))
        uneven = rng.choice([0.0, 0.1, 0.3])
        able = [item for item in pool if decayed(item, gap * (1 - uneven))]
        if not able:
            at += 1
            continue
        item = able[rng.integers(len(able))]
        for _ in range(count):
            if at + 2 > len(canvas.out) / RATE:
                break
            canvas.add(item, at, rng.uniform(-1.5, 1.5), echoes=rng.random() < 0.3)
            at += gap * (1 + rng.uniform(-uneven, uneven))
        at += rng.uniform(3, 7)
    return canvas.scene()


def make_brisk(rng: np.random.Generator, bed: Bed, pool: list[Item], level_db: float) -> Scene:
    """A bed with shots and blasts, half of them two or three at a time, 0.12 to 0.3 s apart.

    As in the research, a later one counts whether or not the roar of the first leaves it an onset.
    """
    canvas = _Canvas(rng, bed, level_db)
    at = rng.uniform(0.5, 2)
    while at < len(canvas.out) / RATE - 2:
        item = pool[rng.integers(len(pool))]
        for _ in range(int(rng.integers(2, 4)) if rng.random() < 0.29 else 1):
            canvas.add(item, at, 0.0)
            at += rng.uniform(0.12, 0.3)
        at += rng.uniform(1.0, 2.6)
    return canvas.scene()


def decayed(item: Item, seconds: float) -> bool:
    """Whether a recording is 10 dB below its peak after so long."""
    _, _, sound, onset = item
    return peak_db(sound[onset + round(seconds * RATE) :]) <= peak_db(sound) - 10


def stands_out(scene: np.ndarray, alone: np.ndarray, first: int, at: int) -> int:
    """In how many of twelve bands one impulse can be seen at all, by who knows the rest exactly.

    A band counts where the scene's 16 ms level, from 12 ms before the onset at sample `at` to 52 ms
    after, is 3 dB over the highest of the same scene without this impulse (`alone`, from sample
    `first`) within 0.1 s on either side.
    """
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    from forensics.events_levels import HOP, measure_levels

    begin, end = max(0, at - 4800), min(len(scene), at + 4800)
    here = scene[begin:end].astype(np.float32)
    rest = here.copy()
    low, high = max(begin, first), min(end, first + len(alone))
    rest[low - begin : high - begin] -= alone[low - first : high - first]
    both, without = (
        10 * np.log10(uniform_filter1d(10 ** (measure_levels(x).bands / 10), 4, axis=1) + 1e-12)
        for x in (here, rest)
    )
    top = maximum_filter1d(without, 51, axis=1)
    hop = round((at - begin) / HOP)
    part = slice(max(0, hop - 3), hop + 13)
    return int(((both - top)[:, part].max(axis=1) >= 3).sum())


class _Canvas:
    """A bed onto which impulses are laid; what is laid is kept as the truth."""

    def __init__(self, rng: np.random.Generator, bed: Bed, level_db: float) -> None:
        self.rng, self.bed, self.level_db = rng, bed, level_db
        self.out = bed.samples.copy()
        self.wanted = loud_db(self.out) + level_db
        self.own = [float(t) for t in sudden_onsets(self.out, loud_db(self.out) - 10)]
        self.times: list[float] = []
        self.kinds: list[str] = []
        self.names: list[str] = []
        self.later: list[float] = []
        self.alone: list[tuple[int, np.ndarray]] = []

    def add(self, item: Item, at: float, more_db: float, *, echoes: bool = True) -> None:
        """Lay one impulse at a time, with up to two echoes."""
        name, kind, sound, onset = item
        out, rng = self.out, self.rng
        scaled = sound * 10 ** ((self.wanted + more_db - peak_db(sound)) / 20)
        first = round(at * RATE) - onset
        stop = min(len(out), first + len(scaled))
        out[first:stop] += scaled[: stop - first]
        whole = np.zeros(len(scaled) + RATE // 4, np.float32)
        whole[: len(scaled)] = scaled
        for _ in range(int(rng.integers(0, 3)) if echoes else 0):
            delay = round(rng.uniform(0.02, 0.25) * RATE)
            echo = scaled * 10 ** (-rng.uniform(9, 20) / 20)
            stop = min(len(out), first + delay + len(echo))
            out[first + delay : stop] += echo[: stop - first - delay]
            whole[delay : delay + len(echo)] += echo
        self.alone.append((first, whole))
        self.times.append(at)
        self.kinds.append(kind)
        self.names.append(name)
        self.later += [at + x for x in later_onsets(sound, onset)]

    def scene(self) -> Scene:
        """The finished scene."""
        loudest = max(1.0, np.abs(self.out).max())
        out, alone = self.out / loudest, [(first, x / loudest) for first, x in self.alone]
        if self.bed.top_hz < 0.49 * RATE:
            # One microphone heard both: what the bed's recorder could not hold is in neither.
            low = signal.butter(8, self.bed.top_hz, fs=RATE, output="sos")
            out = signal.sosfiltfilt(low, out)
            alone = [(first, signal.sosfiltfilt(low, x)) for first, x in alone]
        bands = [
            stands_out(out, x, first, round(t * RATE))
            for (first, x), t in zip(alone, self.times, strict=True)
        ]
        if self.rng.random() < 0.5:
            out = through_opus(out)
        return Scene(
            self.bed.name, self.bed.kind, self.level_db, out.astype(np.float32), self.times,
            self.kinds, self.names, self.later, self.own, bands,
        )  # fmt: skip


def varied(rng: np.random.Generator, item: Item) -> Item:
    """The same blow larger or smaller, and through another telephone: to tune on only."""
    name, kind, sound, onset = item
    speed = rng.uniform(0.75, 1.35)
    sound = np.interp(np.arange(0, len(sound) - 1, speed), np.arange(len(sound)), sound)
    if rng.random() < 0.5:
        edges = [rng.uniform(60, 300), rng.uniform(2500, 7500)]
        sound = signal.sosfilt(signal.butter(2, edges, "bandpass", fs=RATE, output="sos"), sound)
    return name, kind, sound.astype(np.float32), int(onset / speed)


def made_impulse(rng: np.random.Generator) -> Item:
    """A burst of noise of any colour and decay: to tune on only, beside the recordings.

    Recordings are few, and what they have in common need not be what impulses have in common.
    """
    count = RATE
    time = np.arange(count) / RATE
    rise, fall = rng.uniform(0.0002, 0.003), np.exp(rng.uniform(np.log(0.006), np.log(0.15)))
    shape = np.minimum(1, time / rise) * np.exp(-time / fall)
    tail = rng.uniform(0, 0.15) * np.exp(-time / rng.uniform(0.1, 0.5))
    spectrum = np.fft.rfft(rng.standard_normal(count))
    heights = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 50) / 1000
    spectrum *= heights ** rng.uniform(-1.2, 0.3)
    noise = np.fft.irfft(spectrum, count)
    sound = (noise / noise.std() * (shape + tail)).astype(np.float32)
    sound *= 0.5 / np.abs(sound).max()
    return "made", "shot", np.pad(sound, (160, 0)), 160


def made_bed(number: int) -> Bed:
    """Steady noise that swells slowly, or a buzz that comes in syllables: to tune on only."""
    rng = np.random.default_rng([17, number])
    count = 40 * RATE
    time = np.arange(count) / RATE
    spectrum = np.fft.rfft(rng.standard_normal(count))
    slope = rng.uniform(-1.2, 0)
    spectrum *= (np.maximum(np.fft.rfftfreq(count, 1 / RATE), 60) / 1000) ** slope
    noise = np.fft.irfft(spectrum, count)
    noise *= (1 + 0.5 * np.sin(2 * np.pi * time / rng.uniform(3, 9))) / noise.std()
    if number % 2 == 0:
        return Bed("made/noise", "made", (0.05 * noise).astype(np.float32))
    pitch = rng.uniform(90, 250) * np.exp(0.1 * np.sin(2 * np.pi * time * rng.uniform(0.1, 0.6)))
    turn = 2 * np.pi * np.cumsum(pitch) / RATE
    buzz = sum(np.sin(k * turn) / k for k in range(1, 30))
    gate = np.clip(np.sin(2 * np.pi * time * rng.uniform(1.5, 5)) * rng.uniform(1.5, 6), 0, 1)
    return Bed("made/buzz", "made", (0.1 * buzz * gate + 0.002 * noise).astype(np.float32))


def old_scenes(half: str, sounds: Path, rounds: int, seed: int) -> Iterator[Scene]:
    """The old set's scenes, the same as ever."""
    rng = np.random.default_rng(seed)
    pool = impulses(sounds)[half]
    for bed in beds(half, sounds):
        for level in (20, 10, 0):
            for _ in range(rounds):
                yield make_scene(rng, bed, pool, level, old=True)


def fresh_scenes(half: str, more: Path, rounds: int, seed: int) -> Iterator[Scene]:
    """The fresh set's scenes: other beds, other impulses, made in the same way."""
    families = fresh_impulses(half, more)
    for number, bed in enumerate(fresh_beds(half, more)):
        rng = np.random.default_rng([seed, number])
        for level in (20, 10, 0):
            for _ in range(rounds):
                pool = [items[rng.integers(len(items))] for _, items in families]
                yield make_scene(rng, bed, pool, level)


def newest_scenes(half: str, more: Path, rounds: int, seed: int) -> Iterator[Scene]:
    """The newest set's scenes, made in the same way again."""
    families = newest_impulses(half, more)
    for number, bed in enumerate(newest_beds(half, more)):
        rng = np.random.default_rng([seed, number, 2])
        for level in (20, 10, 0):
            for _ in range(rounds):
                pool = [items[rng.integers(len(items))] for _, items in families]
                yield make_scene(rng, bed, pool, level)


def latest_scenes(more: Path, rounds: int, seed: int) -> Iterator[Scene]:
    """The latest set's scenes, made in the same way again."""
    families = latest_impulses(more)
    for number, bed in enumerate(latest_beds(more)):
        rng = np.random.default_rng([seed, number, 4])
        for level in (20, 10, 0):
            for _ in range(rounds):
                pool = [items[rng.integers(len(items))] for _, items in families]
                yield make_scene(rng, bed, pool, level)


def latest_series(more: Path, seed: int) -> Iterator[Scene]:
    """Series of like impulses in the latest beds, one scene for each bed and level."""
    families = latest_impulses(more)
    for number, bed in enumerate(latest_beds(more)):
        rng = np.random.default_rng([seed, number, 5])
        for level in (20, 10, 0):
            pool = [items[rng.integers(len(items))] for _, items in families]
            yield make_series(rng, bed, pool, level)


def series_scenes(half: str, more: Path, seed: int) -> Iterator[Scene]:
    """Series of like impulses in the newest beds, one scene for each bed and level."""
    families = newest_impulses(half, more)
    for number, bed in enumerate(newest_beds(half, more)):
        rng = np.random.default_rng([seed, number, 3])
        for level in (20, 10, 0):
            pool = [items[rng.integers(len(items))] for _, items in families]
            yield make_series(rng, bed, pool, level)


def brisk_scenes(half: str, more: Path, seed: int) -> Iterator[Scene]:
    """Shots and blasts, some 40 a minute, in the newest beds without impulses of their own."""
    families = newest_impulses(half, more)
    for number, bed in enumerate(newest_beds(half, more)):
        if bed.kind in OF_IMPULSES:
            continue
        rng = np.random.default_rng([seed, number])
        for level in (20, 10, 0):
            pool = [items[rng.integers(len(items))] for _, items in families]
            pool = [item for item in pool if item[1] in ("shot", "blast")]
            yield make_brisk(rng, bed, pool, level)


def match(found: list[float], truth: list[float], tolerance_s: float = 0.05) -> list[int]:
    """For each truth the index of the nearest unused detection within the tolerance, or -1."""
    used: set[int] = set()
    answer = []
    for moment in truth:
        near = [
            (abs(f - moment), k) for k, f in enumerate(found)
            if k not in used and abs(f - moment) <= tolerance_s
        ]  # fmt: skip
        best = min(near)[1] if near else -1
        if best >= 0:
            used.add(best)
        answer.append(best)
    return answer
