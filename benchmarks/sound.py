"""Is this sound one recording: cuts under codecs, hum, copies, dating; by source recording.

    python benchmarks/sound.py [--part grid|hum|dating|copies|speed|real]

Everything is made by known operations on the recordings of the media folder
(``FORENSICS_MEDIA``). Thresholds were set on sources of the first half (see `HALVES`); only the
second half is reported. Negatives: the same sources uncut through the same coding, re-encoded,
with automatic gain after a bang, and with a microphone switched half-way.
Writes ``benchmarks/results/sound_PART.json`` and ``benchmarks/results/rates_sound.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import forensics
from forensics import calibration, continuity, enf
from forensics.continuity_control import encode_sound
from forensics.model import to_builtins
from forensics.scan_sound import read_sound

MEDIA = Path(os.environ.get("FORENSICS_MEDIA", ROOT.parent / "shared" / "media"))
RESULTS = ROOT / "benchmarks/results"
RATE = 44100
TODAY = datetime.now(UTC).date().isoformat()
#: Recordings never coded by AAC. Those of the first row shaped the code and its thresholds.
HALVES = {
    "tune": ["audio_events/max_freesound/crowd_cheering.wav", "audio_multi/bbc/timbl_1.mp3",
             "audio_events/max_freesound/car_engine.wav",
             "enf/pyenf/attack recordings/audio_recording (1).wav"],
    "test": ["audio_events/max_freesound/thunder.wav", "audio_multi/bbc/r4_excerpt2.ogg",
             "audio_events/pyannote_ami/tests/data/trn02.wav",
             "audio_events/pyannote_ami/tests/data/trn03.wav",
             "audio_multi/opensoundscape/metadata.wav",
             "esc:003 - Sea waves", "esc:007 - Helicopter", "esc:001 - Dog bark",
             "esc:008 - Chainsaw", "esc:004 - Baby cry", "esc:009 - Rooster",
             "pocketsphinx"],
}  # fmt: skip
#: Real AAC recordings with something to hear: is the trace found?
REAL_AAC = ["containers/gopro/hero7.mp4", "shots/mdn/friday.mp4", "shots/mdn/stream-of-water.mp4",
            "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
            "containers/torchcodec/nasa_13013.mp4", "containers/mp4ff/mp4/testdata/prog_8s.mp4",
            "containers/mp4ff/mp4/testdata/cbcs_audiodec.mp4",
            "containers/wpt/test-boxes-audio.mp4"]  # fmt: skip


def load(name: str, seconds: float) -> np.ndarray:
    """A source as mono at 44.1 kHz, joined from its files or repeated to `seconds`."""
    if name.startswith("esc:"):
        files = sorted((MEDIA / "audio_events/esc10" / name[4:]).glob("2-*.ogg"))
    elif name == "pocketsphinx":
        files = sorted((MEDIA / "audio_events/pocketsphinx").glob("*.wav"))
    else:
        files = [MEDIA / name]
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
SIZE = {"seconds": 30.0, "every": 1, "clips": 6}


def sources() -> list[str]:
    """The sources reported on."""
    return HALVES["test"][:: int(SIZE["every"])]


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


def shifts(exam) -> list:
    """The frame-grid shifts of an examination."""
    return [o for o in exam.observations if getattr(o.what, "kind", "") == "frame-grid-shift"]


CHAINS = {
    "WAV": ("pcm_s16le", 0, RATE), "then MP3 192k": ("libmp3lame", 192000, RATE),
    "then AAC 192k": ("aac", 192000, RATE), "then Opus 64k": ("libopus", 64000, RATE),
}  # fmt: skip


def grid(bench: Bench, rates: list) -> dict:
    """AAC (64 to 160 kbit/s), cut, then nothing or another coding: is the cut found, exactly?"""
    rng = np.random.default_rng(5)
    table: dict[str, dict] = {}
    hours = 0.0
    for number, name in enumerate(sources()):
        source = load(name, SIZE["seconds"])
        bits = (64000, 96000, 128000, 160000)[number % 4]
        coded = bench.coded(source, "aac", bits)
        at, gone = int(rng.uniform(0.3, 0.6) * len(coded)), int(rng.uniform(0.5, 3) * RATE)
        gone += gone % 1024 == 0
        cut = np.concatenate([coded[:at], coded[at + gone :]])
        for chain, (codec, bit_rate, rate) in CHAINS.items():
            cell = table.setdefault(
                chain, {"found": 0, "exact": 0, "n": 0, "trace": 0, "alarms": 0, "missed": []}
            )
            exam = continuity.find_splices(bench.clip(cut, rate, codec, bit_rate))
            whole = continuity.find_splices(bench.clip(coded, rate, codec, bit_rate))
            cell["n"] += 1
            cell["trace"] += whole.measures["traced"].value > 0.3
            cell["alarms"] += len(shifts(whole))
            near = [
                s for s in shifts(exam)
                if float(s.span.start) - 0.5 <= at / RATE <= float(s.span.end) + 0.5
            ]  # fmt: skip
            cell["found"] += bool(near)
            exact = any(s.what.removed.value == gone % 1024 for s in near)
            cell["exact"] += exact
            if not exact:
                cell["missed"].append(f"{name} at {bits // 1000}k")
            if chain != "then Opus 64k":
                hours += float(whole.coverage.span.length) / 3600
    # Sources that were never coded: a grid or a shift there is a false one.
    never = {"n": 0, "trace": 0, "alarms": 0}
    for name in sources():
        exam = continuity.find_splices(bench.clip(load(name, SIZE["seconds"])))
        never["n"] += 1
        never["trace"] += exam.measures["grids"].value > 0
        never["alarms"] += len(shifts(exam))
        hours += SIZE["seconds"] / 3600
    alarms = sum(c["alarms"] for c in table.values()) + never["alarms"]
    first = table["WAV"]
    rates.append(
        calibration.Row(
            "sound-continuity",
            "1",
            "AAC grid",
            first["exact"],
            first["n"] - first["exact"],
            alarms,
            round(hours, 4),
            True,
            f"media folder, {len(sources())} sources, AAC 64-160k as WAV",
            digest(sources()),
            first["n"],
            TODAY,
            "benchmarks/sound.py",
            "negatives: uncut through AAC and AAC+MP3 192k and AAC+AAC 192k, and never coded",
        )
    )
    for cell in table.values():
        for key in ("found", "exact", "trace"):
            cell[key] = share(cell[key], cell["n"])
    per_hour = calibration.hourly_rate(alarms, hours)
    return {
        "by_chain": table, "never_coded": never, "alarms": alarms, "hours": round(hours, 3),
        "alarms_per_hour_95": [round(per_hour.low, 3), round(per_hour.high, 2)],
    }  # fmt: skip


def real(bench: Bench) -> dict:
    """The trace in real AAC recordings, and a cut in their decoded sound saved as WAV."""
    rng = np.random.default_rng(8)
    answer = {"files": {}, "trace": 0, "cut_found": 0, "cut_of": 0, "n": 0}
    for name in REAL_AAC:
        clip = forensics.open_clip(MEDIA / name)
        sound = read_sound(clip)
        traces = continuity.measure_codec_generations(clip)
        row: dict = {"trace": [(t.offset, t.window, round(t.strength.value, 1)) for t in traces]}
        answer["n"] += 1
        answer["trace"] += bool(traces)
        if sound.duration_s >= 8:
            mono = sound.mono
            at = int(rng.uniform(0.4, 0.55) * len(mono))
            gone = int(rng.uniform(0.3, 0.9) * sound.rate_hz) | 1
            cut = np.concatenate([mono[:at], mono[at + gone :]])
            exam = continuity.find_splices(bench.clip(cut, sound.rate_hz))
            row["cut"] = any(s.what.removed.value == gone % 1024 for s in shifts(exam))
            answer["cut_of"] += 1
            answer["cut_found"] += row["cut"]
        answer["files"][name] = row
    return answer


# -- hum --------------------------------------------------------------------------------------


def mains(reference: Path, seconds: float, at: float, rate: int) -> np.ndarray:
    """Real mains from a 400 Hz reference, with its harmonics as a phone would hear them."""
    sound = read_sound(forensics.open_clip(reference)).mono
    piece = sound[round(at * 400) : round((at + seconds) * 400)]
    from scipy.signal import hilbert

    phase = np.unwrap(np.angle(hilbert(_band(piece, 400, 46, 54))))
    fine = np.interp(np.arange(round(seconds * rate)) / rate, np.arange(len(phase)) / 400, phase)
    return sum(np.sin(h * fine + h) * a for h, a in ((1, 0.1), (2, 1.0), (4, 0.6), (6, 0.3)))


def _band(x: np.ndarray, rate: float, low: float, high: float) -> np.ndarray:
    from scipy.signal import butter, sosfiltfilt

    return sosfiltfilt(butter(4, (low, high), "band", fs=rate, output="sos"), x)


def references() -> list[Path]:
    """Mains recordings: the first half set the thresholds, the second is reported."""
    return sorted((MEDIA / "enf/whu/ENF-WHU-Dataset/H1_ref").glob("*.wav"))


def speech(seconds: float, which: int, rate: int) -> np.ndarray:
    """Voices from recordings without hum; another start each time."""
    from scipy.signal import resample_poly

    ami = "audio_events/pyannote_ami/tests/data/"
    names = ["pocketsphinx", ami + "trn02.wav",
             ami + "trn03.wav", "audio_multi/bbc/timbl_2.mp3"]  # fmt: skip
    data = load(names[which % len(names)], seconds + 1)
    data = np.roll(data, which * 97_003)[: round(seconds * RATE)]
    return resample_poly(data, rate // 100, RATE // 100)


def hum(bench: Bench, rates: list, levels: tuple = (0, -10, -20, -30), clips: int = 0) -> dict:
    """Cuts in real mains under real speech, by the hum's level; and speech without hum."""
    rng = np.random.default_rng(3)
    rate = 8000
    clips = clips or int(SIZE["clips"])
    answer: dict[str, dict] = {}
    mains_files = references()[4:]
    hours = alarms = 0.0
    hits = {"at": 0, "n": 0}
    for level in levels:
        cell = {"n": 0, "found": 0, "refused_cut": 0, "invisible": 0, "alarms": 0, "refused": 0}
        for k in range(clips):
            voice = speech(90.0, k, rate)
            line = mains(mains_files[k % len(mains_files)], 95.0, 20 + 30 * k, rate)
            line *= voice.std() / line.std() * 10 ** (level / 20)
            at, gone = rng.uniform(30, 60), rng.uniform(0.4, 3.0)
            # Only the hum jumps in what is left of the talk: the words go on after the cut.
            cut = np.concatenate([line[: round(at * rate)], line[round((at + gone) * rate) :]])
            size = min(len(cut), len(voice))
            for which, hum_part in (("cut", cut[:size]), ("uncut", line[:size])):
                samples = (voice[:size] + hum_part) * 0.3 / max(voice.std() * 4, 1e-6)
                samples = samples + 1e-4 * rng.standard_normal(size)
                exam = enf.find_phase_breaks(
                    bench.clip(
                        np.clip(samples, -1, 1), rate, "libmp3lame" if k % 2 else "pcm_s16le"
                    )
                )
                if which == "cut":
                    cell["n"] += 1
                    turn = (gone * 100) % 1
                    cell["invisible"] += min(turn, 1 - turn) < 25 / 360
                    near = [
                        o for o in exam.observations
                        if abs(float(o.span.start + o.span.end) / 2 - at) <= 1
                    ]  # fmt: skip
                    cell["found"] += bool(near)
                    cell["refused_cut"] += exam.outcome == "not-applicable"
                    cell["alarms"] += len(exam.observations) - len(near)
                else:
                    cell["alarms"] += len(exam.observations)
                    cell["refused"] += exam.outcome == "not-applicable"
                    if level >= -20:
                        hours += size / rate / 3600
                        alarms += len(exam.observations)
        if level >= -10:
            hits["at"] += cell["found"]
            hits["n"] += cell["n"]
        cell["found"] = share(cell["found"], cell["n"])
        answer[f"{level} dB"] = cell
    without = {"n": 0, "said": 0}
    for k in range(2 * int(SIZE["clips"])):
        voice = speech(60.0, k + 3, rate) if k % 2 else load(HALVES["test"][k % 12], 60.0)
        clip = bench.clip(0.3 * voice / max(1e-6, np.abs(voice).max()), rate if k % 2 else RATE)
        without["n"] += 1
        without["said"] += enf.find_phase_breaks(clip).outcome == "not-applicable"
    answer["not measurable, said where there is no hum"] = share(without["said"], without["n"])
    per_hour = calibration.hourly_rate(int(alarms), hours)
    answer["alarms on uncut, hum at -20 dB or more"] = {
        "alarms": int(alarms), "hours": round(hours, 3),
        "per_hour_95": [per_hour.low, per_hour.high],
    }  # fmt: skip
    rates.append(
        calibration.Row(
            "hum-phase-breaks",
            "1",
            "hum at -15 dB or more",
            hits["at"],
            hits["n"] - hits["at"],
            int(alarms),
            round(hours, 4),
            True,
            "4 WHU mains references under 4 speech sources",
            digest([p.name for p in mains_files]),
            4,
            TODAY,
            "benchmarks/sound.py",
            "cuts of a whole number of periods are counted as misses",
        )
    )
    return answer


def dating(bench: Bench, levels: tuple = (0, -20)) -> dict:
    """7 minutes of hum and speech against the right reference and against a wrong one."""
    rate = 2000
    files = references()
    answer: dict[str, dict] = {}
    clips = {p: forensics.open_clip(p) for p in files}
    for level in levels:
        cell = {"right": 0, "refused": 0, "wrong": 0, "n": 0, "false_match": 0, "against_wrong": 0}
        for k, file in enumerate(files[4 : 4 + max(2, int(SIZE["clips"]) - 2)]):
            length = clips[file].duration or 0
            start = min(60.0 + 20 * k, float(length) - 425)
            voice = np.tile(speech(60.0, k, 2000), 7)
            line = mains(file, 420.0, start, rate)
            line *= voice.std() / line.std() * 10 ** (level / 20)
            clip = bench.clip(np.clip((voice + line) * 0.1 / voice.std(), -1, 1), rate)
            for other in (file, files[(k + 1) % 4], files[4 + (k + 1) % 4]):
                if float(clips[other].duration or 0) < 425:
                    continue
                exam = enf.match_reference(clip, reference=clips[other], surrogates=1000)
                if other == file:
                    cell["n"] += 1
                    near = [o for o in exam.observations if abs(o.what.offset.value - start) < 5]
                    cell["right"] += bool(near)
                    cell["refused"] += not exam.observations
                    cell["wrong"] += len(exam.observations) > len(near)
                else:
                    cell["against_wrong"] += 1
                    cell["false_match"] += bool(exam.observations)
        cell["right_or_refused"] = share(cell["right"] + cell["refused"], cell["n"])
        answer[f"{level} dB"] = cell
    return answer


# -- copies, room, speed ------------------------------------------------------------------------


def copies(bench: Bench, rates: list) -> dict:
    """The real attacked pairs, and copies made on the test sources with and without coding."""
    rng = np.random.default_rng(9)
    pairs = []
    folder = MEDIA / "enf/pyenf/attack recordings"
    for number in (1, 2):
        exam = continuity.find_splices(
            forensics.open_clip(folder / f"attacked_audio_recording ({number}).wav")
        )
        found = [o for o in exam.observations if o.what.kind == "copy-move"]
        genuine = continuity.find_splices(
            forensics.open_clip(folder / f"audio_recording ({number}).wav")
        )
        pairs.append(
            {
                "from_s": min((float(o.span.start) for o in found), default=None),
                "to_s": max((float(o.span.end) for o in found), default=None),
                "truth": [7.8948, 13.8855],
                "on_the_untouched_half": sum(
                    o.what.kind == "copy-move" for o in genuine.observations
                ),
            }
        )
    made: dict[str, dict] = {}
    alarms = hours = 0.0
    by_kind: dict[str, int] = {}
    for name in sources():
        # Joined from different files, so that nothing repeats by construction.
        source = load(name, 14.5)
        at, back = round(rng.uniform(9, 11) * RATE), round(rng.uniform(3, 5) * RATE)
        length = round(rng.uniform(0.6, 1.8) * RATE)
        changed = source.copy()
        changed[at : at + length] = source[at - back : at - back + length]
        for chain, (codec, bit_rate) in {
            "WAV": ("pcm_s16le", 0), "MP3 128k": ("libmp3lame", 128000), "AAC 64k": ("aac", 64000),
        }.items():  # fmt: skip
            cell = made.setdefault(chain, {"n": 0, "found": 0, "missed": []})
            exam = continuity.find_splices(bench.clip(changed, RATE, codec, bit_rate))
            hit = any(
                o.what.kind == "copy-move" and abs(float(o.span.start) - at / RATE) < 0.05
                and abs(float(o.span.end) - (at + length) / RATE) < 0.05
                for o in exam.observations
            )  # fmt: skip
            cell["n"] += 1
            cell["found"] += hit
            if not hit:
                cell["missed"].append(name)
        for variant in negatives(source, rng):
            exam = continuity.find_splices(bench.clip(variant, RATE, "aac", 96000))
            hours += len(variant) / RATE / 3600
            for o in exam.observations:
                by_kind[o.what.kind] = by_kind.get(o.what.kind, 0) + 1
            alarms += sum(o.what.kind == "copy-move" for o in exam.observations)
    first = made["WAV"]
    rates.append(
        calibration.Row(
            "sound-continuity",
            "1",
            "copy-move",
            first["found"],
            first["n"] - first["found"],
            int(alarms),
            round(hours, 4),
            True,
            f"media folder, {len(sources())} sources, copies of 0.6-1.8 s",
            digest(sources()),
            first["n"],
            TODAY,
            "benchmarks/sound.py",
            "negatives: re-encoded, gain after a bang, microphone switched",
        )
    )
    for cell in made.values():
        cell["found"] = share(cell["found"], cell["n"])
    return {
        "real_pairs": pairs, "made": made, "hours": round(hours, 3),
        "alarms_by_kind_on_untouched_gain_ridden_and_microphone_switched": by_kind,
    }  # fmt: skip


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


def speed(bench: Bench) -> dict:
    """Seconds of processor time for 5 minutes of sound, and the memory at its highest."""
    import resource

    parts = [load(n, 60.0) for n in HALVES["test"][:5]]
    data = np.concatenate(parts)
    clip = bench.clip(data, RATE, "aac", 96000)
    plain = bench.clip(data[: 150 * RATE])
    answer = {}
    from forensics import events

    for name, call in (
        ("sound-continuity, AAC", lambda: continuity.find_splices(clip)),
        ("sound-continuity, no trace", lambda: continuity.find_splices(plain)),
        ("hum-phase-breaks", lambda: enf.find_phase_breaks(clip)),
        ("sound-events", lambda: events.find_events(clip, flashes=False)),
    ):
        begin = time.process_time()
        exam = call()
        spent = time.process_time() - begin
        length = float(exam.coverage.span.length)
        answer[name] = {"x_real_time": round(length / spent, 1), "seconds_of_sound": round(length)}
    answer["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return answer


def digest(names: list[str]) -> str:
    """A short name for the set of sources."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("grid", "real", "hum", "dating", "copies", "speed"))
    parser.add_argument("--quick", action="store_true", help="half of the sources, 20 s of each")
    args = parser.parse_args()
    if args.quick:
        SIZE.update(seconds=20.0, every=2, clips=4)
    rates: list[calibration.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        parts = {
            "grid": lambda: grid(bench, rates),
            "real": lambda: real(bench),
            "hum": lambda: hum(bench, rates),
            "dating": lambda: dating(bench),
            "copies": lambda: copies(bench, rates),
            "speed": lambda: speed(bench),
        }
        for name, run in parts.items():
            if args.part in (None, name):
                text = json.dumps(run(), indent=1)
                print(name, text, flush=True)
                (RESULTS / f"sound_{name}.json").write_text(text + "\n")
                write_rates(rates)


def write_rates(rows: list[calibration.Row]) -> None:
    """Merge rows into ``rates_sound.json`` by method, version and stratum."""
    path = RESULTS / "rates_sound.json"
    known = {
        (r["method"], r["version"], r["stratum"]): r
        for r in (json.loads(path.read_text()) if path.exists() else [])
    }
    for row in rows:
        known[(row.method, row.version, row.stratum)] = to_builtins(row)
    path.write_text(json.dumps(list(known.values()), indent=1) + "\n")


if __name__ == "__main__":
    main()
