"""Is this sound one recording: cuts under codecs, copies; by source recording.

    python benchmarks/sound.py [--part grid|mp3|real|copies|stereo|speed|memory] [--tune]

Everything is made by known operations on the recordings of the media folder
(``FORENSICS_MEDIA``). Thresholds were set on sources of the first half (see `HALVES`); only the
second half is reported. Negatives: the same sources uncut through the same coding, re-encoded,
with automatic gain after a bang, and with a microphone switched half-way.
Writes ``benchmarks/results/sound_PART.json`` and ``benchmarks/results/rates_sound.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sound_material import (
    HALVES,
    MEDIA,
    RATE,
    SIZE,
    TODAY,
    Bench,
    digest,
    load,
    negatives,
    own,
    share,
    sources,
    two_channels,
    write_long,
)  # fmt: skip

import forensics
from forensics import calibration, continuity, enf, events
from forensics.model import to_builtins
from forensics.scan_sound import read_sound

RESULTS = ROOT / "benchmarks/results"
#: Real AAC recordings with something to hear: is the trace found?
REAL_AAC = ["containers/gopro/hero7.mp4", "shots/mdn/friday.mp4", "shots/mdn/stream-of-water.mp4",
            "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
            "containers/torchcodec/nasa_13013.mp4", "containers/mp4ff/mp4/testdata/prog_8s.mp4",
            "containers/mp4ff/mp4/testdata/cbcs_audiodec.mp4",
            "containers/wpt/test-boxes-audio.mp4"]  # fmt: skip


def shifts(exam) -> list:
    """The frame-grid shifts of an examination."""
    return [o for o in exam.observations if getattr(o.what, "kind", "") == "frame-grid-shift"]


#: Last coding of a chain -> encoder, and its bit rate from 32 kHz upward and below.
CHAINS = {
    "WAV": ("pcm_s16le", 0, 0), "then MP3 192k": ("libmp3lame", 192000, 128000),
    "then AAC 192k": ("aac", 192000, 96000), "then Opus 64k": ("libopus", 64000, 64000),
}  # fmt: skip


def _cut(samples: np.ndarray, rate: int, hop: int, rng: np.random.Generator):
    """The samples with 0.3 to 2 s taken out of the middle third, where, and how much."""
    at = int(rng.uniform(0.35, 0.6) * len(samples))
    gone = int(rng.uniform(0.3, min(2.0, 0.1 * len(samples) / rate)) * rate)
    gone += gone % hop == 0
    return np.concatenate([samples[:at], samples[at + gone :]]), at, gone


def _judge(cell: dict, exam, rate: int, at: int, gone: int, hop: int, what: str) -> None:
    """Count a cut as found within 0.5 s, as exact, and every other shift as misplaced."""
    near = [
        o for o in shifts(exam)
        if float(o.span.start) - 0.5 <= at / rate <= float(o.span.end) + 0.5
    ]  # fmt: skip
    exact = any(o.what.removed.value == gone % hop for o in near)
    cell["n"] += 1
    cell["found"] += bool(near)
    cell["exact"] += exact
    # A cut placed wrongly is no alarm on untouched sound; it is a miss, and told apart.
    cell["misplaced"] += sum(o.stratum in MEASURED for o in shifts(exam) if o not in near)
    if not exact:
        cell["missed"].append(what)


#: Shifts by multiples of 128 are said to be Vorbis's own and counted apart.
MEASURED = ("AAC grid", "MP3 grid", "AAC grid, one channel", "MP3 grid, one channel")


def grid(bench: Bench, rates: list) -> dict:
    """AAC (1.5 to 3.6 bits a sample), cut, then nothing or another coding: found, exactly?"""
    rng = np.random.default_rng(5)
    table: dict[str, dict] = {}
    hours = 0.0
    never = {"n": 0, "trace": 0, "alarms": 0, "vorbis_like": 0, "with_trace": []}
    for number, name in enumerate(sources()):
        source, rate = own(name, SIZE["seconds"])
        # Sources that were never coded: a grid or a shift there is a false one.
        exam = continuity.find_splices(bench.clip(source, rate))
        never["n"] += 1
        if exam.measures["grids"].value:
            never["trace"] += 1
            never["with_trace"].append(name)
        never["alarms"] += sum(o.stratum in MEASURED for o in shifts(exam))
        never["vorbis_like"] += sum(o.stratum not in MEASURED for o in shifts(exam))
        hours += len(source) / rate / 3600
        for again in range(2):
            bits = round((64, 96, 128, 160)[(number + 2 * again) % 4] * rate / 44100)
            coded = bench.coded(source, "aac", 1000 * bits, rate)
            skipped = int(rng.integers(1, 1024))
            coded = coded[skipped:]
            cut, at, gone = _cut(coded, rate, 1024, rng)
            for chain, (codec, high, low) in CHAINS.items():
                cell = table.setdefault(
                    chain,
                    {"found": 0, "exact": 0, "n": 0, "trace": 0, "untouched": 0, "alarms": 0,
                     "misplaced": 0, "missed": []},
                )  # fmt: skip
                bit_rate = high if rate >= 32000 else low
                exam = continuity.find_splices(bench.clip(cut, rate, codec, bit_rate))
                _judge(cell, exam, rate, at, gone, 1024, f"{name} at {bits}k")
                if chain == "then Opus 64k":
                    # Opus works at 48 kHz whatever the source: below, no grid can be left.
                    cell["trace"] += exam.measures["grids"].value == 0
                    continue
                if again:
                    continue
                whole = bench.clip(coded, rate, codec, bit_rate)
                exam = continuity.find_splices(whole)
                cell["untouched"] += 1
                # The first coding's grid, not the last one's.
                cell["trace"] += any(
                    t.offset == -skipped % 1024 and t.window != "mp3"
                    for t in continuity.measure_codec_generations(whole)
                )
                cell["alarms"] += sum(o.stratum in MEASURED for o in shifts(exam))
                hours += float(exam.coverage.span.length) / 3600
    opus = table.pop("then Opus 64k")
    alarms = sum(c["alarms"] for c in table.values()) + never["alarms"]
    first = table["WAV"]
    rates.append(
        calibration.Row(
            "sound-continuity", "4", "AAC grid", first["exact"], first["n"] - first["exact"],
            alarms, round(hours, 4), True,
            f"media folder, {len(sources())} sources, AAC at 1.5 to 3.6 bits a sample, as WAV",
            digest(sources()), len(sources()), TODAY, "benchmarks/sound.py",
            "negatives: uncut through AAC, AAC+MP3 192k and AAC+AAC 192k, and never coded",
        )
    )  # fmt: skip
    for cell in table.values():
        for key in ("found", "exact"):
            cell[key] = share(cell[key], cell["n"])
        cell["trace"] = share(cell["trace"], cell["untouched"])
    per_hour = calibration.hourly_rate(alarms, hours)
    return {
        "sources": len(sources()), "by_chain": table,
        "Opus 64k: no trace, said": share(opus["trace"], opus["n"]),
        "Opus 64k: cut found": opus["found"], "Opus 64k: misplaced": opus["misplaced"],
        "never_coded": never, "alarms": alarms, "hours_untouched": round(hours, 3),
        "alarms_per_hour_95": [round(per_hour.low, 3), round(per_hour.high, 2)],
    }  # fmt: skip


def mp3(bench: Bench, rates: list) -> dict:
    """MP3 (1.5 and 2.9 bits a sample), cut, then nothing or another coding."""
    rng = np.random.default_rng(6)
    table: dict[str, dict] = {}
    alarms = hours = 0.0
    for name in sources():
        source, rate = own(name, SIZE["seconds"])
        for base in (64, 128):
            bits = next(b for b in (24, 48, 64, 128) if b >= base * rate / 44100)
            coded = bench.coded(source, "libmp3lame", 1000 * bits, rate)
            cut, at, gone = _cut(coded, rate, 576, rng)
            for chain in ("WAV", "then AAC 192k"):
                codec, high, low = CHAINS[chain]
                bit_rate = high if rate >= 32000 else low
                cell = table.setdefault(
                    f"{base}k, {chain}",
                    {"found": 0, "exact": 0, "n": 0, "trace": 0, "misplaced": 0, "missed": []},
                )
                exam = continuity.find_splices(bench.clip(cut, rate, codec, bit_rate))
                _judge(cell, exam, rate, at, gone, 576, f"{name} at {bits}k")
                whole = bench.clip(coded, rate, codec, bit_rate)
                traces = continuity.measure_codec_generations(whole)
                cell["trace"] += any(t.window == "mp3" for t in traces)
            exam = continuity.find_splices(bench.clip(coded, rate))
            alarms += sum(o.stratum in MEASURED for o in shifts(exam))
            hours += len(coded) / rate / 3600
    first = [c for k, c in table.items() if k.endswith("WAV")]
    exact, n = sum(c["exact"] for c in first), sum(c["n"] for c in first)
    rates.append(
        calibration.Row(
            "sound-continuity", "4", "MP3 grid", exact, n - exact, int(alarms), round(hours, 4),
            True, f"media folder, {len(sources())} sources, MP3 as WAV", digest(sources()),
            len(sources()), TODAY, "benchmarks/sound.py", "negatives: uncut through MP3",
        )
    )  # fmt: skip
    for cell in table.values():
        for key in ("found", "exact", "trace"):
            cell[key] = share(cell[key], cell["n"])
    per_hour = calibration.hourly_rate(int(alarms), hours)
    return {
        "by_chain": table, "alarms": int(alarms), "hours_untouched": round(hours, 3),
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
        # Nothing in it twice by construction.
        source, own_rate = own(name, 14.5)
        source = resample_poly(source, RATE // 100, own_rate // 100).astype(np.float32)
        at, back = round(rng.uniform(0.62, 0.75) * len(source)), round(0.28 * len(source))
        length = round(rng.uniform(0.6, min(1.8, 0.2 * len(source) / RATE)) * RATE)
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
            "sound-continuity", "4", "copy-move", first["found"], first["n"] - first["found"],
            int(alarms), round(hours, 4), True,
            f"media folder, {len(sources())} sources, copies of 0.6-1.8 s", digest(sources()),
            first["n"], TODAY, "benchmarks/sound.py",
            "negatives: re-encoded, gain after a bang, microphone switched",
        )
    )  # fmt: skip
    for cell in made.values():
        cell["found"] = share(cell["found"], cell["n"])
    return {
        "real_pairs": pairs, "made": made, "hours": round(hours, 3),
        "alarms_by_kind_on_untouched_gain_ridden_and_microphone_switched": by_kind,
    }  # fmt: skip


def stereo(bench: Bench, rates: list) -> dict:
    """A cut in one of two channels that hold different recordings, saved as WAV; and uncut."""
    import soundfile

    rng = np.random.default_rng(12)
    cell: dict = {"n": 0, "found": 0, "exact": 0, "misplaced": 0, "missed": []}
    by_mean = alarms = 0
    hours = 0.0
    names = sources()
    for one, other in zip(names[::2], names[1::2], strict=True):
        for first, second in ((one, other), (other, one)):
            both = two_channels(bench, load(first, 20.0), load(second, 20.0), 128_000)
            cut, at, gone = _cut(both[:, 1], RATE, 1024, rng)
            for changed, left in ((True, both[: len(cut), 0]), (False, both[:, 0])):
                path = bench.path()
                right = cut if changed else both[:, 1]
                soundfile.write(path, np.stack([left, right], axis=1), RATE, format="WAV")
                exam = continuity.find_splices(forensics.open_clip(path))
                if changed:
                    _judge(cell, exam, RATE, at, gone, 1024, f"{second} beside {first}")
                    by_mean += any("alone" not in o.note for o in shifts(exam))
                else:
                    alarms += len(shifts(exam))
                    hours += len(left) / RATE / 3600
    rates.append(
        calibration.Row(
            "sound-continuity", "4", "AAC grid, one channel", cell["exact"],
            cell["n"] - cell["exact"], alarms, round(hours, 4), True,
            f"media folder, {len(names)} sources in pairs, AAC 128k stereo, as WAV",
            digest(names), len(names), TODAY, "benchmarks/sound.py", "negatives: uncut",
        )
    )  # fmt: skip
    return {
        **cell, "found": share(cell["found"], cell["n"]), "exact": share(cell["exact"], cell["n"]),
        "seen in the mean of the channels": by_mean, "alarms": alarms,
        "hours_untouched": round(hours, 3),
    }  # fmt: skip


_MEMORY = """
import resource, sys, forensics
exam = forensics.continuity.find_splices(forensics.open_clip(sys.argv[1]))
used = resource.getrusage(resource.RUSAGE_SELF)
shifts = sum(o.what.kind == "frame-grid-shift" for o in exam.observations)
print(used.ru_maxrss // 1024, shifts, used.ru_utime + used.ru_stime)
"""


def speed(bench: Bench) -> dict:
    """Processor time for 5 minutes of sound."""
    data = np.concatenate([load(n, 60.0) for n in HALVES["test"][:5]])
    clip = bench.clip(data, RATE, "aac", 96000)
    plain = bench.clip(data[: 150 * RATE])
    looped = bench.clip(np.tile(data[: 3 * RATE], 40), RATE, "aac", 96000)
    answer: dict = {}
    per_second = 0.0
    for name, call in (
        ("warm up", lambda: continuity.find_splices(looped)),
        ("sound-continuity, AAC", lambda: continuity.find_splices(clip)),
        ("hum-phase-breaks", lambda: enf.find_phase_breaks(clip)),
        ("sound-events", lambda: events.find_events(clip, flashes=False)),
        ("sound-continuity, no trace", lambda: continuity.find_splices(plain)),
        ("sound-continuity, looped", lambda: continuity.find_splices(looped)),
    ):
        begin = time.process_time()
        exam = call()
        spent = time.process_time() - begin
        length = float(exam.coverage.span.length)
        if name == "warm up":
            continue
        if len(answer) < 3:
            per_second += spent / length
        answer[name] = {"x_real_time": round(length / spent, 1), "seconds_of_sound": round(length)}
    answer["all three, AAC, x_real_time"] = round(1 / per_second, 1)
    return answer


def memory(bench: Bench) -> dict:
    """Largest resident set of `find_splices`, each length in a process of its own."""
    answer: dict = {}
    for name, seconds in (("20 minutes", 1200), ("1 hour", 3600), ("3 hours", 10800)):
        long = write_long(bench, seconds)
        begin = time.perf_counter()
        said = subprocess.run(
            [sys.executable, "-c", _MEMORY, str(long)], capture_output=True, check=True
        )  # fmt: skip
        spent = time.perf_counter() - begin
        peak, shifts_found, cpu = said.stdout.split()
        answer[name] = {
            "peak_mib": int(peak), "grid_shifts": int(shifts_found), "cpu_s": round(float(cpu), 1),
            "wall_s": round(spent, 1), "rate_hz": RATE // 2,
        }  # fmt: skip
        long.unlink()
    return answer


PARTS = ("grid", "mp3", "real", "copies", "stereo", "speed", "memory")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS)
    parser.add_argument("--tune", action="store_true", help="the half that shaped the thresholds")
    parser.add_argument("--quick", action="store_true", help="half of the sources, 20 s of each")
    args = parser.parse_args()
    if args.quick:
        SIZE.update(seconds=20.0, every=2, clips=4)
    if args.tune:
        SIZE["half"] = "tune"
    rates: list[calibration.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        parts = {
            "grid": lambda: grid(bench, rates),
            "mp3": lambda: mp3(bench, rates),
            "real": lambda: real(bench),
            "copies": lambda: copies(bench, rates),
            "stereo": lambda: stereo(bench, rates),
            "speed": lambda: speed(bench),
            "memory": lambda: memory(bench),
        }
        for name, run in parts.items():
            if args.part in (None, name):
                text = json.dumps(run(), indent=1)
                print(name, text, flush=True)
                if not args.tune and not args.quick:
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
