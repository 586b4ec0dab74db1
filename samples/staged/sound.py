"""One shared sound field, heard by each phone from where it stands.

Every source has a place. What a phone records is the sum of the sources, each delayed by distance /
343 m/s, weakened with distance, with reflections off the ground and the facades (image sources) and
a diffuse tail; then the phone's own noise, band limit, gain control, clipping and clock drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.signal import butter, lfilter, oaconvolve, sosfilt

from .optics import generator
from .plan import CAR_PASSES, SHOTS, SOUND_SPEED, Phone, Plan, minibus_x
from .stage import Stage

__all__ = ["RATE", "Source", "arrival_s", "hear", "hear_stranger", "shot_place", "sources_of"]

RATE = 48000
_FACADES = (("z", 33.0), ("z", -2.0), ("x", -44.0), ("x", 45.0))
# vowel formants, Hz: (F1, F2, F3)
_VOWELS = np.array(
    [
        (730, 1090, 2440),
        (530, 1840, 2480),
        (270, 2290, 3010),
        (570, 840, 2410),
        (300, 870, 2240),
        (490, 1350, 1690),
        (660, 1720, 2410),
    ],
    float,
)


@dataclass
class Source:
    """A sound and where it is: samples at 48 kHz from start_s (story); places over time."""

    samples: np.ndarray
    start_s: float
    times_s: np.ndarray  # story seconds at which places are given
    places: np.ndarray  # (n, 3) metres
    bounce: float = 1.0  # how much of it the facades return


def _fixed(
    samples: np.ndarray, start_s: float, place: tuple[float, float, float], bounce: float = 1.0
) -> Source:
    return Source(samples.astype(np.float32), start_s, np.array([0.0]), np.array([place]), bounce)


def _band(samples: np.ndarray, low: float, high: float, order: int = 2) -> np.ndarray:
    return sosfilt(butter(order, [low, high], "bandpass", fs=RATE, output="sos"), samples)


def _syllable(
    rng: np.random.Generator, pitch: float, length_s: float, vowel: np.ndarray, effort: float
) -> np.ndarray:
    """A consonant and a vowel: pulses through formants."""
    count = int(length_s * RATE)
    times = np.arange(count) / RATE
    glide = pitch * (
        1 + 0.10 * np.sin(np.pi * times / length_s + rng.uniform(0, 3)) - 0.12 * times / length_s
    )
    phase = np.cumsum(glide / RATE + 0.0006 * rng.standard_normal(count) / 8)
    pulse = np.diff((phase % 1.0) ** 3, prepend=0.0)  # a saw whose edge is the closing glottis
    breath = 0.02 * rng.standard_normal(count)
    out = np.zeros(count)
    for formant, gain in zip(
        vowel * rng.uniform(0.92, 1.1), (1.0, 0.55 + 0.4 * effort, 0.3 + 0.4 * effort), strict=True
    ):
        width = 60 + 0.06 * formant
        radius = np.exp(-np.pi * width / RATE)
        poles = [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2]
        out += gain * lfilter([1 - radius], poles, pulse + breath)
    shape = np.minimum(1, times / 0.03) * np.minimum(1, (length_s - times) / 0.05)
    out *= np.clip(shape, 0, 1)
    burst = int(rng.uniform(0.02, 0.07) * RATE)
    hiss = rng.standard_normal(burst) * np.hanning(burst)
    hiss = _band(hiss, *(1800, 7000) if rng.random() < 0.6 else (700, 3000))
    out[:burst] += 0.25 * hiss * np.abs(out).max() / (np.abs(hiss).max() + 1e-9)
    return out / (np.abs(out).max() + 1e-9)


def _babble(
    rng: np.random.Generator, pitch: float, length_s: float, talkative: float
) -> np.ndarray:
    """Somebody talking without words: phrases of syllables and pauses."""
    kit = [
        _syllable(
            rng,
            pitch * rng.uniform(0.85, 1.25),
            rng.uniform(0.11, 0.30),
            _VOWELS[rng.integers(len(_VOWELS))],
            0.2,
        )
        for _ in range(26)
    ]
    out = np.zeros(int(length_s * RATE) + RATE)
    at = rng.uniform(0, 2)
    while at < length_s - 1:
        for _ in range(int(rng.integers(3, 12))):
            piece = kit[rng.integers(len(kit))] * rng.uniform(0.35, 1.0)
            start = int(at * RATE)
            if start + len(piece) >= len(out):
                break
            out[start : start + len(piece)] += piece
            at += len(piece) / RATE * rng.uniform(0.8, 1.05)
        at += rng.exponential(1.2 / talkative) + 0.15
    return out[: int(length_s * RATE)]


def _shout(rng: np.random.Generator, pitch: float, beats: int) -> np.ndarray:
    parts = [
        _syllable(
            rng,
            pitch * rng.uniform(0.95, 1.35),
            rng.uniform(0.22, 0.6),
            _VOWELS[rng.integers(4)],
            1.0,
        )
        for _ in range(beats)
    ]
    return np.concatenate(parts)


def shot_blast(rng: np.random.Generator) -> np.ndarray:
    """A muzzle blast: sharp N-shaped pressure wave, then a short ragged tail of hot gas."""
    times = np.arange(int(0.12 * RATE)) / RATE
    width = 0.00045
    wave = np.where(times < 6 * width, (1 - times / width) * np.exp(-times / width), 0.0)
    crack = np.zeros_like(times)
    crack[:14] = np.linspace(1, -1, 14)  # N-wave of the jet, three tenths of a millisecond
    gas = rng.standard_normal(len(times)) * np.exp(-times / 0.012)
    gas = _band(gas, 150, 6000)
    return 1.0 * wave + 0.5 * crack + 0.5 * gas / np.abs(gas).max()


def shot_place(stage: Stage, shot_s: float, role: str) -> tuple[float, float, float]:
    """Where the shot is fired, metres."""
    state = stage.state(role, shot_s)
    angle = np.radians(state.heading_deg)
    return (state.x + 0.7 * np.sin(angle), 1.42, state.z + 0.7 * np.cos(angle))


@lru_cache(maxsize=1)
def sources_of(seed: int, begin_s: float, end_s: float) -> tuple[list[Source], list[Source]]:
    """The sound field from story begin_s to end_s: (everything but the shots, the shots)."""
    stage = Stage(seed)
    rng = generator(seed, "sound")
    span_s = end_s - begin_s
    whole = begin_s + np.arange(int(span_s * RATE)) / RATE
    found: list[Source] = []
    talkers = [
        ((12.5, 1.6, 29.8), 118, 0.7),
        ((-9.0, 1.6, 30.2), 205, 0.9),
        ((20.0, 5.5, 31.5), 180, 0.6),
        ((-15.0, 1.6, 10.0), 132, 0.8),
        ((3.7, 1.6, 13.6), 125, 0.5),
        ((8.5, 1.6, 5.0), 220, 0.8),
    ]
    for place, pitch, talkative in talkers:
        voice = _babble(rng, pitch, span_s, talkative)
        found.append(_fixed(0.055 * voice, begin_s, place))
    shouts = [
        (6.2, (11.0, 1.6, 28.6), 210, 2),
        (13.5, (-8.0, 1.7, 29.8), 260, 3),
        (19.6, (-6.8, 1.7, 19.5), 160, 2),
        (22.3, (-5.4, 1.7, 16.8), 170, 3),
        (24.6, (-2.2, 1.7, 13.6), 185, 2),
        (26.9, (0.6, 1.7, 13.8), 195, 3),
        (28.6, (0.9, 1.7, 12.2), 230, 2),
        (29.7, (0.7, 1.7, 13.9), 200, 2),
        (31.9, (1.3, 1.6, 12.0), 330, 2),
        (32.6, (12.0, 1.6, 29.0), 380, 3),
        (35.3, (-12.0, 5.0, 31.0), 300, 3),
        (36.4, (1.0, 1.7, 14.0), 180, 3),
        (38.2, (20.0, 5.5, 31.5), 290, 2),
        (40.7, (1.6, 1.7, 12.4), 175, 2),
        (44.1, (-9.0, 1.6, 30.2), 320, 4),
        (49.4, (2.0, 1.7, 14.6), 165, 3),
        (55.8, (14.0, 1.6, 28.8), 250, 2),
    ]
    for start, place, pitch, beats in shouts:
        if not begin_s - 3 < start < end_s:
            continue
        found.append(_fixed(0.34 * _shout(rng, pitch, beats), start, place))
    rumble = _band(rng.standard_normal(len(whole)), 45, 320)
    slow = 1 + 0.5 * np.interp(whole, np.arange(0, 70, 1.7), rng.uniform(-1, 1, 42))
    found.append(_fixed(0.30 * rumble / rumble.std() * slow, begin_s, (60.0, 2.0, 23.0), 0.3))
    for start, speed, lane, _ in CAR_PASSES:
        if not begin_s - 12 < start < end_s + 2:
            continue
        times = np.arange(start - 2, start + 12, 0.1)
        x = -np.sign(speed) * 42 + speed * (times - start)
        tyre = _band(rng.standard_normal(int(14 * RATE)), 250, 2600, 1)
        engine = _band(np.sign(np.sin(2 * np.pi * 47 * np.arange(14 * RATE) / RATE)), 40, 400)
        edge = np.minimum(1, np.minimum(np.arange(14 * RATE), np.arange(14 * RATE)[::-1]) / RATE)
        sound = (0.09 * tyre / tyre.std() + 0.05 * engine / engine.std()) * edge
        places = np.stack([x, np.full(len(x), 0.5), np.full(len(x), lane)], 1)
        found.append(Source(sound.astype(np.float32), start - 2, times, places, 0.6))
    since = max(11.0, begin_s)
    times = np.arange(since, end_s, 0.1)
    x = np.asarray(minibus_x(times))
    seconds = since - 11.0 + np.arange(int((end_s - since) * RATE)) / RATE
    turn = 2 * np.pi * np.cumsum(np.interp(seconds, [0, 5, 6.5, 55], [62, 55, 27, 27])) / RATE
    diesel = np.tanh(2.2 * np.sin(turn)) + 0.5 * np.sin(2 * turn + 0.4) + 0.35 * np.sin(0.5 * turn)
    diesel = diesel + 0.5 * _band(rng.standard_normal(len(seconds)), 80, 1500)
    diesel *= np.interp(seconds, [0, 1.5, 6, 7.5, 55], [0, 1, 0.9, 0.42, 0.42])
    places = np.stack([x, np.full(len(x), 0.6), np.full(len(x), 20.3)], 1)
    found.append(Source((0.05 * diesel).astype(np.float32), since, times, places, 0.5))
    slam = rng.standard_normal(int(0.25 * RATE)) * np.exp(
        -np.arange(int(0.25 * RATE)) / RATE / 0.03
    )
    slam = _band(slam, 90, 1400)
    slam = 0.35 * slam / np.abs(slam).max()  # the minibus door: an impulse that is no shot
    found.extend(_fixed(slam, start, (-4.2, 1.2, 21.3)) for start in (18.55, 47.2))
    found.extend(_footsteps(rng, stage, begin_s, end_s))
    barks = (2.3, 2.75, 3.3, 15.1, 15.5, 27.7, 37.0, 37.35, 37.8, 38.3, 52.2, 52.7)
    found.extend(_fixed(0.9 * _bark(rng), start, (-37.0, 0.5, -1.0), 0.8) for start in barks)
    wail = 2 * np.pi * np.cumsum(780 + 330 * np.sin(2 * np.pi * whole / 4.6)) / RATE
    siren = np.tanh(1.6 * np.sin(wail)) * np.interp(
        whole, [0, 36, 46, 60, 68], [0.1, 0.2, 0.8, 1, 0.5]
    )
    found.append(_fixed(0.55 * siren, begin_s, (120.0, 2.0, 60.0), 0.2))
    shots = [
        _fixed(14.0 * shot_blast(rng), shot_s, shot_place(stage, shot_s, role), 1.1)
        for shot_s, role in SHOTS
    ]
    return found, shots


def _footsteps(
    rng: np.random.Generator, stage: Stage, begin_s: float, end_s: float
) -> list[Source]:
    found = []
    for track in stage.tracks:
        strike = np.flatnonzero(np.diff(np.floor(track.phase * 2 % 2)) != 0)
        strike = strike[
            (track.speed[strike] > 0.3) & (strike > begin_s * 50) & (strike < (end_s - 0.2) * 50)
        ]
        if len(strike) == 0:
            continue
        if len(strike) == 0 or track.actor.look in ("civil-3", "civil-4", "civil-6"):
            continue  # the far pavement is out of earshot
        times = strike / 50.0 - begin_s
        sound = np.zeros(int((end_s - begin_s) * RATE), np.float32)
        size = int(0.06 * RATE)
        heavy = 1.6 if track.actor.look.startswith(("shield", "dark")) else 1.0
        decay = np.exp(-np.arange(size) / RATE / 0.012)
        for at in (times * RATE).astype(int):
            step = rng.standard_normal(size) * decay
            sound[at : at + size] += 0.05 * heavy * rng.uniform(0.5, 1.0) * step
        sound = _band(sound, 150, 3500, 1)
        grid = np.arange(0, 66, 0.25)
        index = np.minimum((grid * 50).astype(int), len(track.place) - 1)
        places = np.stack(
            [track.place[index, 0], np.full(len(grid), 0.05), track.place[index, 1]], 1
        )
        found.append(Source(sound.astype(np.float32), begin_s, grid, places, 0.0))
    return found


def _bark(rng: np.random.Generator) -> np.ndarray:
    count = int(0.19 * RATE)
    times = np.arange(count) / RATE
    pitch = 2 * np.pi * np.cumsum(430 + 260 * np.exp(-times / 0.05)) / RATE
    voice = np.tanh(3 * np.sin(pitch)) + 0.6 * rng.standard_normal(count)
    return _band(voice, 450, 2600) * np.exp(-(((times - 0.05) / 0.06) ** 2))


def arrival_s(
    place: tuple[float, float, float], phone: Phone, start_s: float, shot_s: float
) -> float:
    """When a sound made at story shot_s is in the phone's clip, in clip seconds."""
    distance = float(np.linalg.norm(np.array(place) - np.array(phone.position)))
    return (shot_s + distance / SOUND_SPEED - start_s) * (1 + phone.drift_ppm * 1e-6)


def _receive(
    sources: list[Source], mic: np.ndarray, start_s: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Direct and reflected sound at 48 kHz from story start_s, and what feeds the diffuse tail."""
    out = np.zeros(count, np.float32)
    room = np.zeros(count, np.float32)
    for source in sources:
        images = [(np.ones(3), np.zeros(3), 1.0), (np.array([1.0, -1, 1]), np.zeros(3), 0.55)]
        if source.bounce > 0 and len(source.times_s) == 1:
            for axis, place in _FACADES:
                flip, shift = np.ones(3), np.zeros(3)
                k = 0 if axis == "x" else 2
                flip[k], shift[k] = -1.0, 2 * place
                images.append((flip, shift, 0.42 * source.bounce))
        for order, (flip, shift, gain) in enumerate(images):
            away = np.linalg.norm(source.places * flip + shift - mic, axis=1)
            if len(source.times_s) == 1:
                first, heard = _delayed(source, float(away[0]), start_s, count)
                heard = heard * np.float32(gain / max(float(away[0]), 1.0))
                near = float(away[0])
            elif order == 0:
                first, heard, near = _passing(source, away, start_s, count)
            else:
                continue  # what moves is loud when near: its reflections matter little
            out[first : first + len(heard)] += heard
            if order == 0:
                room[first : first + len(heard)] += heard * np.float32(np.sqrt(max(near, 1) / 14))
    return out, room


def _delayed(source: Source, distance: float, start_s: float, count: int) -> tuple[int, np.ndarray]:
    """A source that stands still: whole samples moved, the rest by two-point interpolation."""
    begin = (source.start_s + distance / SOUND_SPEED - start_s) * RATE
    whole = int(np.floor(begin))
    part = np.float32(begin - whole)
    padded = np.concatenate([[np.float32(0)], source.samples, [np.float32(0)]])
    low, high = max(0, whole), min(count, whole + len(source.samples) + 1)
    if high <= low:
        return 0, np.zeros(0, np.float32)
    piece = padded[low - whole : high - whole + 1]
    return low, piece[1:] * (1 - part) + piece[:-1] * part


def _passing(
    source: Source, away: np.ndarray, start_s: float, count: int
) -> tuple[int, np.ndarray, float]:
    """A source that moves: the delay changes from sample to sample (and so does the pitch)."""
    low = max(0, int((source.start_s - start_s) * RATE))
    high = min(count, int((source.start_s + 0.3 - start_s) * RATE) + len(source.samples))
    if high <= low:
        return 0, np.zeros(0, np.float32), 14.0
    seconds = start_s + np.arange(low, high) / RATE
    coarse = np.arange(seconds[0], seconds[-1] + 0.05, 0.02)
    distance = np.interp(seconds, coarse, np.interp(coarse, source.times_s, away))
    where = (seconds - distance / SOUND_SPEED - source.start_s) * RATE
    where = np.clip(where, 0, len(source.samples) - 2)
    index = where.astype(np.int64)
    part = (where - index).astype(np.float32)
    heard = source.samples[index] * (1 - part) + source.samples[index + 1] * part
    heard /= np.maximum(distance, 1.0).astype(np.float32)
    return low, heard, float(np.median(away))


def _tail(rng: np.random.Generator, decay_s: float) -> np.ndarray:
    times = np.arange(int(1.4 * decay_s * RATE)) / RATE
    noise = rng.standard_normal(len(times)) * np.exp(-6.9 * times / decay_s)
    noise[: int(0.018 * RATE)] = 0.0
    noise = sosfilt(butter(1, 2600, fs=RATE, output="sos"), noise)
    return noise / np.sqrt((noise**2).sum())


# own noise rms, tail level, band (Hz), gain control, full-scale gain
_CHARACTER = {
    "phone_a": {"noise": 0.0011, "tail": 0.30, "band": (70, 15000), "agc": 0.0, "gain": 2.6},
    "phone_b": {"noise": 0.0016, "tail": 0.55, "band": (220, 4200), "agc": 0.75, "gain": 5.0},
    "phone_c": {"noise": 0.0019, "tail": 0.60, "band": (110, 9000), "agc": 0.30, "gain": 6.0},
    "stranger": {"noise": 0.0012, "tail": 0.40, "band": (90, 12000), "agc": 0.4, "gain": 3.5},
}


def _record(field: np.ndarray, rng: np.random.Generator, name: str) -> np.ndarray:
    """What the phone's own electronics make of the sound at its microphone."""
    trait = _CHARACTER[name]
    count = len(field)
    seconds = np.arange(count) / RATE
    hiss = rng.standard_normal(count) * trait["noise"]
    wind = _band(rng.standard_normal(count), 25, 170, 1)
    gusts = np.clip(
        np.interp(
            seconds,
            np.arange(0, seconds[-1] + 2, 0.8),
            rng.normal(0.1, 0.7, int(seconds[-1] / 0.8) + 4)[
                : len(np.arange(0, seconds[-1] + 2, 0.8))
            ],
        ),
        0,
        None,
    )
    sound = field + hiss + wind / wind.std() * gusts * trait["noise"] * 2.2
    for _ in range(int(seconds[-1] / 6) + 1):  # fingers on the case
        at = int(rng.uniform(0, count - RATE))
        size = int(rng.uniform(0.02, 0.08) * RATE)
        bump = _band(rng.standard_normal(size), 60, 900, 1) * np.hanning(size)
        sound[at : at + size] += bump * trait["noise"] * rng.uniform(4, 14)
    low, high = trait["band"]
    sound = sosfilt(butter(3, [low, high], "bandpass", fs=RATE, output="sos"), sound)
    sound *= trait["gain"]
    if trait["agc"] > 0:
        hop = RATE // 100
        blocks = np.sqrt((sound[: count // hop * hop].reshape(-1, hop) ** 2).mean(1) + 1e-9)
        level = np.empty_like(blocks)
        held = float(np.median(blocks))
        for k, now in enumerate(blocks):  # 100 steps a second: quick to duck, slow to recover
            held += (now - held) * (0.05 if now > held else 0.012)
            level[k] = held
        gain = (0.09 / level) ** trait["agc"]
        gain = np.clip(gain, 0.05, 12.0)
        sound *= np.interp(np.arange(count), (np.arange(len(gain)) + 0.5) * hop, gain)
    if name == "phone_a":
        return np.clip(sound, -0.98, 0.98)  # clips hard
    return np.tanh(sound * 1.05) * 0.95


def _span(plan: Plan) -> tuple[float, float]:
    windows = [plan.phone_window(phone) for phone in plan.phones]
    return min(w[0] for w in windows) - 1.0, max(w[0] + w[1] for w in windows) + 1.0


def hear(plan: Plan, phone: Phone) -> np.ndarray:
    """The phone's recording, (n,) float32 at 48 kHz of its own clock, -1..1."""
    start_s, length_s, _ = plan.phone_window(phone)
    rng = generator(plan.seed, phone.name, "microphone")
    count = int(length_s * RATE) + 200
    steady, shots = sources_of(plan.seed, *_span(plan))
    dry, room = _receive(steady + shots, np.array(phone.position), start_s, count)
    tail = _tail(rng, 0.75).astype(np.float32)
    field = dry + _CHARACTER[phone.name]["tail"] * oaconvolve(room, tail)[:count]
    where = np.arange(int(length_s * RATE)) / (1 + phone.drift_ppm * 1e-6)
    index = where.astype(np.int64)  # the phone's own clock: everything above ran on the true one
    part = where - index
    field = field[index] * (1 - part) + field[index + 1] * part
    return _record(field, rng, phone.name).astype(np.float32)


def hear_stranger(plan: Plan, length_s: float) -> np.ndarray:
    """The sound of the clip that does not belong: another street, other people, a slammed door."""
    rng = generator(plan.seed, "elsewhere")
    times = np.arange(int(length_s * RATE)) / RATE
    mic = np.array([9.0, 1.62, 12.5])
    sources = []
    for pitch, talkative in ((110, 0.9), (190, 0.8), (240, 0.5)):
        place = (float(rng.uniform(-12, 28)), 1.6, float(rng.uniform(-1, 26)))
        sources.append(_fixed(0.06 * _babble(rng, pitch, length_s, talkative), 0.0, place))
    rumble = _band(rng.standard_normal(len(times)), 50, 400)
    swell = 1 + 0.7 * np.sin(2 * np.pi * times / 11.3 + 1)
    sources.append(_fixed(0.35 * rumble / rumble.std() * swell, 0.0, (-50.0, 2.0, 5.0), 0.3))
    for at in np.cumsum(rng.uniform(0.7, 2.6, 30)):
        if at < length_s - 1:
            chirp = np.sin(2 * np.pi * np.cumsum(np.linspace(3100, 4600, 4000)) / RATE)
            sources.append(_fixed(0.12 * chirp * np.hanning(4000), float(at), (14.0, 5.0, 20.0)))
    slam = rng.standard_normal(int(0.2 * RATE)) * np.exp(-np.arange(int(0.2 * RATE)) / RATE / 0.025)
    sources.append(_fixed(0.5 * _band(slam, 100, 1800), length_s * 0.62, (20.0, 1.0, 8.0)))
    dry, room = _receive(sources, mic, 0.0, len(times))
    field = dry + 0.4 * oaconvolve(room, _tail(rng, 0.6).astype(np.float32))[: len(dry)]
    return _record(field, rng, "stranger").astype(np.float32)
