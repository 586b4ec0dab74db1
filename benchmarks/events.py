"""Impulses heard: F1 at ±50 ms by level, class confusion, what each bed costs; by source.

    python benchmarks/events.py --sounds FOLDER [--fit]

FOLDER holds the unpacked sound archive of the Debian package ``ufoai-sound`` (recorded shots,
blasts, doors, blows; ``dpkg -x``, then unzip ``0snd.pk3``). The beds and one more real shot come
from the media folder (``FORENSICS_MEDIA``). Impulse sources and beds are split into two halves by
source recording: ``--fit`` fits the score's weights on the first half; without it
the second half is reported and written to ``benchmarks/results/events.json``.

Peer, where it is installed: librosa's onset detector, with its default settings, from the
environment ``librosa`` in the folder ``PEERS`` names.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import signal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from forensics import calibration, events_impulses

RATE = events_impulses.RATE_HZ
MEDIA = Path(os.environ.get("FORENSICS_MEDIA", ROOT.parent / "shared" / "media"))

#: Kind of each impulse source; the halves are by source recording (and by make of gun).
SHOTS = """bullet-rifle-1x bullet-sniper bullet-pistol bullet-shotgun bullet-smg-1x bullet-bolter
    bullet-pistol2 bullet-shotgunmini bullet-heavybolter grenade-launcher bullet-rifle""".split()
BLASTS = """explosion explosion-grenade explosion-rocket explosion-flashbang""".split()
BLOWS = """door1-close door2-close door3-close hitground2 hitground3 hitground4 bullet-impact
    knife-impact breakwood01 breakwood04 breakmetal01 breakmetal03""".split()
THUNDER = "thunder1 thunder2 thunder3".split()
BEDS = {
    "tune": ["001 - Dog bark", "002 - Rain", "003 - Sea waves", "004 - Baby cry",
             "007 - Helicopter", "008 - Chainsaw", "009 - Rooster", "010 - Fire crackling",
             "trn01", "crowd", "speech-a"],
    "test": ["001 - Dog bark", "002 - Rain", "003 - Sea waves", "008 - Chainsaw", "trn02", "trn03",
             "engine", "speech-b", "city", "jfk"],
}  # fmt: skip
#: Beds with real, unlabelled impulses of their own (crackles; knocks on a meeting's table): what
#: is found there counts against us although it may be right, so they are reported on their own.
OWN_IMPULSES = ("010 - Fire crackling", "trn01", "trn02", "trn03")


def load(path: Path) -> np.ndarray:
    """Mono samples at the detector's rate."""
    import av

    parts = []
    with av.open(str(path)) as container:
        change = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            parts += [f.to_ndarray()[0] for f in change.resample(frame)]
        parts += [f.to_ndarray()[0] for f in change.resample(None)]
    return np.concatenate(parts).astype(np.float32)


def onset_of(samples: np.ndarray) -> int:
    """Where the 1 ms envelope first comes within 10 dB of its peak."""
    count = len(samples) // 16
    power = (samples[: count * 16].reshape(count, 16) ** 2).mean(axis=1)
    return int(np.argmax(power >= power.max() / 10)) * 16


def impulses(sounds: Path) -> dict[str, list[tuple[str, str, np.ndarray, int]]]:
    """(name, kind, samples from just before the onset, onset index), by half."""
    halves: dict[str, list[tuple[str, str, np.ndarray, int]]] = {"tune": [], "test": []}
    files = {p.stem: p for p in sorted(sounds.rglob("*.ogg"))}
    number = 0
    for kind, names in (("shot", SHOTS), ("blast", BLASTS), ("blow", BLOWS), ("thunder", THUNDER)):
        for name in names:
            if name not in files:
                continue
            data = load(files[name])
            at = onset_of(data)
            begin = max(0, at - 160)
            data = data[begin : at + round(1.5 * RATE)].copy()
            fade = min(len(data), 1600)
            data[-fade:] *= np.linspace(1, 0, fade)
            halves["tune" if number % 2 == 0 else "test"].append((name, kind, data, at - begin))
            number += 1
    real = MEDIA / "audio_multi/tdoa_gunshot/microphone/Audio_20240514T194706.wav"
    if real.exists():
        data = load(real)
        at = onset_of(data)
        begin = max(0, at - 160)
        halves["test"].append(("field-shot", "shot", data[begin : at + RATE], at - begin))
    return halves


def beds(half: str, sounds: Path) -> dict[str, np.ndarray]:
    """Backgrounds of 40 s; ESC-10 folds keep the halves apart (fold 1 tunes, fold 2 reports)."""
    fold = "1-" if half == "tune" else "2-"
    found = {}
    for name in BEDS[half]:
        if name[:3].isdigit():
            files = sorted((MEDIA / "audio_events/esc10" / name).glob(fold + "*.ogg"))
        else:
            pool = MEDIA / "audio_events"
            files = {
                "trn01": [pool / "pyannote_ami/tests/data/trn01.wav"],
                "trn02": [pool / "pyannote_ami/tests/data/trn02.wav"],
                "trn03": [pool / "pyannote_ami/tests/data/trn03.wav"],
                "crowd": [pool / "max_freesound/crowd_cheering.wav"],
                "engine": [pool / "max_freesound/car_engine.wav"],
                "jfk": [pool / "jfk/jfk.flac"],
                "speech-a": sorted((pool / "pocketsphinx").glob("*.wav")),
                "speech-b": [MEDIA / "audio_multi/bbc/timbl_1.mp3"],
                "city": list(sounds.rglob("sand-city.ogg")),
            }[name]
        if not files:
            continue
        found[name] = joined([load(f) for f in files], 40 * RATE)
    return found


def joined(parts: list[np.ndarray], length: int) -> np.ndarray:
    """Recordings one after another without a joint to hear: padding off, one level, 0.3 s fades."""
    fade = round(0.3 * RATE)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    out = np.zeros(0, np.float32)
    number = 0
    while len(out) < length:
        part = parts[number % len(parts)]
        number += 1
        alive = np.flatnonzero(np.abs(part) > 1e-4)
        part = part[alive[0] : alive[-1] + 1] if len(alive) else part[:0]
        if len(part) < 3 * fade:
            if number > 3 * len(parts):
                break
            continue
        part = part * (0.05 / max(float(np.sqrt(np.median(part**2))), 0.005))
        if len(out):
            out[-fade:] = out[-fade:] * (1 - ramp) + part[:fade] * ramp
            part = part[fade:]
        out = np.concatenate([out, part])
    out = out[:length]
    return out * (0.5 / max(float(np.abs(out).max()), 1e-6))


def peak_db(samples: np.ndarray) -> float:
    """Level of the loudest 10 ms."""
    count = len(samples) // 160
    return float(10 * np.log10((samples[: count * 160].reshape(count, 160) ** 2).mean(1).max()))


def loud_db(bed: np.ndarray) -> float:
    """95th percentile of the 10 ms level."""
    count = len(bed) // 160
    power = (bed[: count * 160].reshape(count, 160) ** 2).mean(axis=1)
    return float(10 * np.log10(np.quantile(power, 0.95) + 1e-12))


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
    rng: np.random.Generator, bed: np.ndarray, pool: list, level_db: float
) -> tuple[np.ndarray, list[float], list[str]]:
    """A bed with 5 impulses, some in bursts, with echoes; half of them through Opus."""
    out = bed.copy()
    wanted = loud_db(bed) + level_db
    times: list[float] = []
    kinds: list[str] = []
    at = rng.uniform(2, 5)
    for _ in range(5):
        _, kind, sound, onset = pool[rng.integers(len(pool))]
        burst = int(rng.integers(2, 4)) if kind == "shot" and rng.random() < 0.4 else 1
        for _ in range(burst):
            if at + 2 > len(bed) / RATE:
                break
            gain = 10 ** ((wanted - peak_db(sound)) / 20)
            scaled = sound * gain
            first = round(at * RATE) - onset
            out[first : first + len(scaled)] += scaled
            for _ in range(int(rng.integers(0, 3))):
                delay = round(rng.uniform(0.02, 0.25) * RATE)
                echo = scaled * 10 ** (-rng.uniform(9, 20) / 20)
                stop = min(len(out), first + delay + len(echo))
                out[first + delay : stop] += echo[: stop - first - delay]
            times.append(at)
            kinds.append(kind)
            at += rng.uniform(0.12, 0.3)
        at += rng.uniform(3, 7)
    out = out / max(1.0, np.abs(out).max())
    if rng.random() < 0.5:
        out = through_opus(out)
    return out.astype(np.float32), times, kinds


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


def varied(
    rng: np.random.Generator, item: tuple[str, str, np.ndarray, int]
) -> tuple[str, str, np.ndarray, int]:
    """The same blow larger or smaller, and through another telephone: to tune on only."""
    name, kind, sound, onset = item
    speed = rng.uniform(0.75, 1.35)
    sound = np.interp(np.arange(0, len(sound) - 1, speed), np.arange(len(sound)), sound)
    if rng.random() < 0.5:
        edges = [rng.uniform(60, 300), rng.uniform(2500, 7500)]
        sound = signal.sosfilt(signal.butter(2, edges, "bandpass", fs=RATE, output="sos"), sound)
    return name, kind, sound.astype(np.float32), int(onset / speed)


def scenes(half: str, sounds: Path, rounds: int, seed: int, *, vary: bool = False):
    """All scenes of a half; `vary`: all but the first round of each bed with varied impulses."""
    rng = np.random.default_rng(seed)
    pool = impulses(sounds)[half]
    for name, bed in beds(half, sounds).items():
        for level in (20, 10, 0):
            for number in range(rounds):
                place, some = bed, pool
                if vary and number:
                    place = np.roll(bed, int(rng.integers(len(bed))))
                    some = [varied(rng, item) for item in pool]
                yield (name, level, *make_scene(rng, place, some, level))


def fit(sounds: Path, rounds: int) -> None:
    """Fit the score on the tuning half; write ``forensics/data/impulse_score.json``."""
    from scipy.optimize import minimize

    tables, labels, weights = [], [], []
    for name, level, samples, times, _ in scenes("tune", sounds, rounds, 7, vary=True):
        if name in OWN_IMPULSES:
            continue
        hops, features = events_impulses.candidate_features(
            samples, events_impulses.measure_levels(samples)
        )
        at = hops * events_impulses.HOP_S
        near = np.array([min([abs(t - x) for x in times], default=9) for t in at])
        tables.append(features)
        labels.append(near < 0.03)
        # an onset's echo, or the sound's own body, is neither an example nor a counter-example
        body = np.array([any(0.03 <= t - x < 0.5 for x in times) for t in at])
        weights.append(np.where(body & (near >= 0.03), 0.1, {20: 0.5, 10: 1.0, 0: 1.0}[level]))
    table, label, weight = map(np.concatenate, (tables, labels, weights))
    centre, spread = table.mean(0), table.std(0) + 1e-6
    z = events_impulses.expand_features(table, centre, spread)

    def loss(w):
        t = z @ w
        return (weight * (np.logaddexp(0, t) - label * t)).sum() + 5 * (w[:-1] ** 2).sum()

    def slope(w):
        t = z @ w
        g = z.T @ (weight * (1 / (1 + np.exp(-t)) - label))
        g[:-1] += 10 * w[:-1]
        return g

    best = minimize(
        loss, np.zeros(z.shape[1]), jac=slope, method="L-BFGS-B", options={"maxiter": 1000}
    )
    # 0.6 served best where whole beds were left out of the fit; it becomes 0.5, the default.
    best.x[-1] -= np.log(0.6 / 0.4)
    print("n", len(label), "positive", int(label.sum()))
    record = {
        "features": list(events_impulses.FEATURES),
        "centre": [float(f"{x:.5g}") for x in centre],
        "spread": [float(f"{x:.5g}") for x in spread],
        "weights": [float(f"{x:.5g}") for x in best.x],
        "fitted_by": "benchmarks/events.py --fit, tuning half",
        "candidates": len(label),
        "positives": int(label.sum()),
    }
    path = ROOT / "forensics/data/impulse_score.json"
    path.write_text(json.dumps(record) + "\n")
    score = 1 / (1 + np.exp(-(z @ best.x)))
    for cut in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        hit, said = (label & (score >= cut)).sum(), (score >= cut).sum()
        print(cut, "P", round(hit / max(1, said), 3), "R", round(hit / label.sum(), 3))


def librosa_onsets(samples: np.ndarray) -> list[float]:
    """The peer."""
    import librosa

    return list(librosa.onset.onset_detect(y=samples, sr=RATE, units="time"))


def report(half: str, sounds: Path, rounds: int, out: Path | None) -> None:
    """F1 by level and by bed, class confusion, speed."""
    # At the end of the path: the peer's own dependencies must not stand in for ours.
    home = Path(os.environ.get("PEERS", "/nowhere")) / "librosa"
    sys.path += [str(p) for p in home.glob("lib/python*/site-packages")]
    try:
        import librosa  # noqa: F401

        peers = {"librosa onsets": librosa_onsets}
    except ImportError:
        peers = {}
    counts: dict[str, dict] = {}
    by_bed: dict[str, list[int]] = {}
    confusion: dict[str, dict[str, int]] = {}
    seconds = spent = 0.0
    for name, level, samples, times, kinds in scenes(half, sounds, rounds, 11):
        begin = time.process_time()
        found = events_impulses.find_impulses(samples)
        spent += time.process_time() - begin
        seconds += len(samples) / RATE
        answers = {"forensics": [f.time_s for f in found]}
        answers |= {peer: call(samples) for peer, call in peers.items()}
        for who, heard in answers.items():
            pairs = match(heard, times)
            hit = sum(p >= 0 for p in pairs)
            place = f"{who}, beds with impulses of their own" if name in OWN_IMPULSES else who
            if who == "forensics" and place == who:
                # Thunder rolls: its onset is a matter of definition.
                sharp = [p for p, kind in zip(pairs, kinds, strict=True) if kind != "thunder"]
                part = counts.setdefault("forensics, thunder left out", {})
                cell = part.setdefault(level, [0, 0, 0])
                cell[0] += sum(p >= 0 for p in sharp)
                cell[1] += sum(p < 0 for p in sharp)
                cell[2] += len(heard) - hit
            cell = counts.setdefault(place, {}).setdefault(level, [0, 0, 0])
            cell[0] += hit
            cell[1] += len(times) - hit
            cell[2] += len(heard) - hit
            if who == "forensics":
                bed = by_bed.setdefault(f"{name} {level} dB", [0, 0, 0])
                bed[0] += hit
                bed[1] += len(times) - hit
                bed[2] += len(heard) - hit
                for kind, pair in zip(kinds, pairs, strict=True):
                    label = events_impulses.classify_sound(found[pair]) if pair >= 0 else "missed"
                    confusion.setdefault(kind, {}).setdefault(label, 0)
                    confusion[kind][label] += 1

    def f1(cell):
        return round(2 * cell[0] / max(1, 2 * cell[0] + cell[1] + cell[2]), 3)

    result = {
        "half": half, "tolerance_s": 0.05, "speed_x_real_time": round(seconds / spent),
        "sources": sorted(f"{n} ({k})" for n, k, _, _ in impulses(sounds)[half]),
        "by_level": {
            who: {
                str(level): {
                    "f1": f1(c), "tp": c[0], "fn": c[1], "fp": c[2],
                    "recall_95": [
                        round(x, 3) for x in (
                            calibration.item_rate(c[0], c[0] + c[1]).low,
                            calibration.item_rate(c[0], c[0] + c[1]).high,
                        )
                    ],
                }
                for level, c in table.items()
            }
            for who, table in counts.items()
        },
        "by_bed": {bed: {"f1": f1(c), "tp": c[0], "fn": c[1], "fp": c[2]}
                   for bed, c in sorted(by_bed.items())},
        "class_confusion": confusion,
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if out is not None:
        out.write_text(json.dumps(result, indent=1) + "\n")
        write_rates(result, seconds, sounds)


def write_rates(result: dict, seconds: float, sounds: Path) -> None:
    """Counts for `forensics calibrate`: all beds, false alarms by the hour of bed."""
    own = "forensics, beds with impulses of their own"
    rows = []
    for level in ("20", "10", "0"):
        cells = [result["by_level"][who][level] for who in ("forensics", own)]
        total = {key: sum(cell[key] for cell in cells) for key in ("tp", "fn", "fp")}
        rows.append({
            "method": "sound-events", "version": "2",
            "stratum": f"{level} dB over the background",
            "true_positives": total["tp"], "false_negatives": total["fn"],
            "false_positives": total["fp"], "negatives": round(seconds / 3 / 3600, 5),
            "per_hour": True,
            "dataset": "recorded shots, blasts, blows and thunder in ten real backgrounds, by "
            "source recording; half of the scenes through Opus",
            "dataset_digest": sources_digest("test", sounds),
            "independent": len(result["sources"]),
            "measured": datetime.now(UTC).date().isoformat(), "script": "benchmarks/events.py",
            "note": "a finding's stratum is by its own prominence, the counts' by the scene's "
            "level; three backgrounds hold impulses of their own, counted as false alarms",
        })  # fmt: skip
    path = ROOT / "benchmarks/results/rates_events.json"
    path.write_text(json.dumps(rows, indent=1) + "\n")


def sources_digest(half: str, sounds: Path) -> str:
    """SHA-256 over the impulses and beds of a half, as decoded."""
    digest = hashlib.sha256()
    for _, _, data, _ in impulses(sounds)[half]:
        digest.update(np.ascontiguousarray(data).tobytes())
    for _, bed in sorted(beds(half, sounds).items()):
        digest.update(np.ascontiguousarray(bed).tobytes())
    return digest.hexdigest()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sounds", type=Path, required=True)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--half", choices=("tune", "test"), default="test")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    args = parser.parse_args()
    if args.fit:
        fit(args.sounds, args.rounds)
        return
    to = None if args.dry or args.half == "tune" else ROOT / "benchmarks/results/events.json"
    report(args.half, args.sounds, args.rounds, to)


if __name__ == "__main__":
    main()
