"""Is a change of room at a splice seen? Dry speech in two simulated rooms, joined; and innocents.

    python benchmarks/sound_rooms.py FOLDER [--tune]

FOLDER holds the unpacked Debian packages ``asterisk-core-sounds-{en,es,fr,it,ru}-wav`` (studio
prompts at 8 kHz; en and es are one speaker). Threshold and sides were set on en and es and rooms of
other seeds (``--tune``); fr, it and ru and fresh rooms are reported. A room is a shoebox by images
up to 90 ms with a diffuse tail, reverberation times 0.2 to 1.2 s, the highs dying away faster.
Innocents: nothing; the speaker moves in the same room; the noise changes at once; automatic gain
after a bang; MP3 and AAC; and two voices in turn at two places of one room. Real speech of the
media folder, untouched, is counted apart.
Writes ``benchmarks/results/sound_rooms.json`` and a row of ``rates_sound.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, fftconvolve, lfilter
from sound import RESULTS, write_rates
from sound_material import MEDIA, TODAY, Bench, digest, share

import forensics
from forensics import calibration, continuity

RATE = 8000
SECONDS = 60.0
VOICES = {"tune": ("en", "es"), "test": ("fr", "it", "ru")}
_NO_SPEECH = ("silence", "/tt-", "beep", "tone", "music", "phonetic", "digits", "letters", "wind")
REAL = ["audio_multi/bbc/timbl_1.mp3", "audio_multi/bbc/timbl_2.mp3",
        "audio_events/pyannote_ami/tests/data/trn02.wav",
        "audio_events/pyannote_ami/tests/data/trn03.wav"]  # fmt: skip


def prompts(folder: Path, language: str) -> list[np.ndarray]:
    """Sentences of one speaker, alike in level."""
    found = []
    for path in sorted(folder.glob(f"**/sounds/{language}_*/**/*.wav")):
        words = any(word in str(path) for word in _NO_SPEECH)
        if words or path.stat().st_size < 1.5 * RATE * 2:
            continue
        samples, _ = soundfile.read(path, dtype="float32")
        found.append(samples / np.sqrt((samples**2).mean() + 1e-9))
    return found


def talk(sentences: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A minute of sentences in random order, with short pauses."""
    parts, length = [], 0
    while length < SECONDS * RATE:
        sentence = sentences[int(rng.integers(len(sentences)))]
        pause = np.zeros(round(rng.uniform(0.15, 0.6) * RATE), np.float32)
        parts += [sentence, pause]
        length += len(sentence) + len(pause)
    return np.concatenate(parts)[: round(SECONDS * RATE)]


def room(rng: np.random.Generator) -> dict:
    """A shoebox: its size, reverberation time, and how much sooner the highs are gone."""
    return {
        "size": rng.uniform((3, 2.5, 2.4), (9, 7, 3.5)), "rt": rng.uniform(0.2, 1.2),
        "highs": rng.uniform(0.5, 0.9),
    }  # fmt: skip


def response(place: dict, rng: np.random.Generator) -> np.ndarray:
    """From a random place of the speaker to a random place of the microphone."""
    size, rt = place["size"], place["rt"]
    surface = 2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
    absorbed = 1 - np.exp(-0.161 * size.prod() / (surface * rt))
    beta = np.sqrt(max(0.02, 1 - absorbed))
    microphone, distance = size * rng.uniform(0.2, 0.8, 3), rng.uniform(0.4, 2.5)
    for _ in range(50):
        way = rng.standard_normal(3) * (1, 1, 0.3)
        speaker = microphone + distance * way / np.linalg.norm(way)
        if ((speaker > 0.2) & (speaker < size - 0.2)).all():
            break
    speaker = np.clip(speaker, 0.2, size - 0.2)
    length = round(min(1.6, 1.1 * rt) * RATE)
    heard = np.zeros(length + 64)
    counts = np.ceil(343 * 0.1 / size / 2).astype(int) + 1
    grid = np.meshgrid(*(np.arange(-k, k + 1) for k in counts), indexing="ij")
    for flips in np.ndindex(2, 2, 2):
        far = [(1 - 2 * f) * s + 2 * g * r - m for f, s, g, r, m in
               zip(flips, speaker, grid, size, microphone, strict=True)]  # fmt: skip
        bounces = sum(np.abs(g - f) + np.abs(g) for g, f in zip(grid, flips, strict=True))
        metres = np.sqrt(sum(d**2 for d in far))
        at = (metres / 343 * RATE).astype(int)
        near = at < length
        np.add.at(heard, at[near], (beta**bounces / np.maximum(metres, 0.1))[near])
    time = np.arange(len(heard)) / RATE
    level = np.sqrt((heard[round(0.05 * RATE) : round(0.09 * RATE)] ** 2).mean())
    tail = rng.standard_normal(len(heard)) * level * np.exp(-6.91 * (time - 0.07) / rt)
    late = np.clip((time - 0.05) / 0.04, 0, 1)
    heard = heard * np.sqrt(1 - late**2) + tail * late
    lows = lfilter(*butter(1, 1500, fs=RATE), heard)
    sooner = np.exp(-6.91 * time * (1 / place["highs"] - 1) / rt)
    return lows + (heard - lows) * sooner


def make(kind: str, voices: list[list[np.ndarray]], who: int, rng: np.random.Generator) -> dict:
    """One recording: samples, where it changes, the two reverberation times."""
    dry, place = talk(voices[who], rng), room(rng)
    at = round(rng.uniform(0.35, 0.65) * len(dry))
    one = fftconvolve(dry, response(place, rng))[: len(dry)]
    times = (place["rt"], place["rt"])
    if kind == "splice":
        other = room(rng)
        two = fftconvolve(dry, response(other, rng))[: len(dry)]
        two *= one[:at].std() / two[at:].std()
        one, times = np.concatenate([one[:at], two[at:]]), (place["rt"], other["rt"])
    elif kind == "moves":
        two = fftconvolve(dry, response(place, rng))[: len(dry)]
        share_ = np.clip((np.arange(len(dry)) - at) / RATE / 1.5 + 0.5, 0, 1)
        one = one * (1 - share_) + two * one.std() / two.std() * share_
    elif kind == "two voices":
        # Each speaks for 4 to 10 s, from a place of their own.
        second = talk(voices[(who + 1) % len(voices)], rng)
        two = fftconvolve(second, response(place, rng))[: len(dry)]
        edges = np.cumsum(rng.uniform(4, 10, 30)) * RATE
        turn = np.searchsorted(edges, np.arange(len(dry))) % 2
        one = np.where(turn == 0, one / one.std(), two / two.std())
    one /= one.std()
    hiss = lfilter([1], [1, -rng.uniform(0.5, 0.95)], rng.standard_normal(len(dry)))
    level = np.full(len(dry), 10 ** (-rng.uniform(20, 40) / 20))
    if kind == "noise changes":
        level[at:] *= 10 ** (rng.choice((-8, 8)) / 20)
    samples = one + hiss / hiss.std() * level
    if kind == "gain after a bang":
        samples[at : at + 800] += 8 * rng.standard_normal(800)
        after = np.arange(len(dry) - at) / RATE
        samples = np.clip(samples, -12, 12)
        samples[at:] *= 1 - 0.85 * np.exp(-after / 2.5)
    return {"samples": (0.05 * samples).astype(np.float32), "at": at / RATE, "times": times}


def changes(exam) -> list:
    """The reverberation changes of an examination."""
    return [o for o in exam.observations if o.what.kind == "reverberation-change"]


def examine(bench: Bench, folder: Path, half: str, splices: int, others: int) -> dict:
    """All recordings of one half."""
    rng = np.random.default_rng({"tune": 21, "test": 22}[half])
    voices = [prompts(folder, language) for language in VOICES[half]]
    found: dict = {
        "n": 0, "within_3_s": 0, "within_1_s": 0, "place_in_span": 0, "elsewhere": 0,
        "not_testable": 0, "by_ratio": {},
    }  # fmt: skip
    for who in range(len(voices)):
        for number in range(splices):
            made = make("splice", voices, who, rng)
            codec, bits = (("pcm_s16le", 0), ("libmp3lame", 32000), ("aac", 24000))[number % 3]
            exam = continuity.find_splices(bench.clip(made["samples"], RATE, codec, bits))
            best = [o.measures["best"] for o in changes(exam)]
            near = [b for b in best if abs(b.value - made["at"]) <= 3]
            ratio = abs(np.log2(made["times"][0] / made["times"][1]))
            name = "under 1.4" if ratio < 0.5 else "1.4 to 2" if ratio < 1 else "over 2"
            cell = found["by_ratio"].setdefault(f"RT {name}", {"n": 0, "found": 0})
            cell["n"] += 1
            cell["found"] += bool(near)
            found["n"] += 1
            found["within_3_s"] += bool(near)
            found["within_1_s"] += any(abs(b.value - made["at"]) <= 1 for b in near)
            found["place_in_span"] += any(b.low <= made["at"] <= b.high for b in near)
            found["elsewhere"] += len(best) - len(near)
            found["not_testable"] += any(
                n.reason.startswith("room") and n.span.start <= made["at"] <= n.span.end
                for n in exam.coverage.not_testable
            )
    innocent: dict = {}
    for kind in ("nothing", "moves", "noise changes", "gain after a bang", "two voices"):
        cell = innocent[kind] = {"n": 0, "hours": 0.0, "alarms": 0}
        for who in range(len(voices)):
            for number in range(others):
                made = make(kind, voices, who, rng)
                codec, bits = (("pcm_s16le", 0), ("libmp3lame", 32000), ("aac", 24000))[number % 3]
                exam = continuity.find_splices(bench.clip(made["samples"], RATE, codec, bits))
                cell["n"] += 1
                cell["hours"] = round(cell["hours"] + SECONDS / 3600, 4)
                cell["alarms"] += len(changes(exam))
    return {"splices": found, "innocent": innocent}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tune", action="store_true", help="the speakers that set the threshold")
    args = parser.parse_args()
    half = "tune" if args.tune else "test"
    with tempfile.TemporaryDirectory() as folder:
        answer = examine(Bench(Path(folder)), args.folder, half, 16, 9)
    real = {"hours": 0.0, "alarms": 0, "files": len(REAL)}
    for name in REAL:
        exam = continuity.find_splices(forensics.open_clip(MEDIA / name))
        real["hours"] += float(exam.coverage.span.length) / 3600
        real["alarms"] += len(changes(exam))
    answer["real speech, untouched"] = {**real, "hours": round(real["hours"], 4)}
    said, innocent = answer["splices"], answer["innocent"].values()
    hours = sum(c["hours"] for c in innocent) + real["hours"]
    alarms = sum(c["alarms"] for c in innocent) + real["alarms"]
    per_hour = calibration.hourly_rate(alarms, hours)
    hits, n = said["within_3_s"], said["n"]
    for key in ("within_3_s", "within_1_s", "place_in_span"):
        said[key] = share(said[key], n)
    answer["alarms on innocents"] = {
        "alarms": alarms, "hours": round(hours, 3),
        "per_hour_95": [round(per_hour.low, 3), round(per_hour.high, 2)],
    }  # fmt: skip
    text = json.dumps(answer, indent=1)
    print(text)
    if not args.tune:
        (RESULTS / "sound_rooms.json").write_text(text + "\n")
        row = calibration.Row(
            "sound-continuity", "4", "reverberation", hits, n - hits, alarms, round(hours, 4),
            True, "3 speakers of Debian's asterisk prompts in simulated rooms, RT 0.2 to 1.2 s",
            digest(list(VOICES["test"])), 3, TODAY, "benchmarks/sound_rooms.py",
            "found within 3 s; negatives: one room, somebody moves, noise, gain, two voices, real",
        )  # fmt: skip
        write_rates([row])


if __name__ == "__main__":
    main()
