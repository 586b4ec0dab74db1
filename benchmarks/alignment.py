"""How well clips are put on one clock: simulated phones at real sounds, peers side by side.

    python benchmarks/alignment.py null        strangers' table for the library (tuning half)
    python benchmarks/alignment.py simple hard   pairs and strangers (report half)
    python benchmarks/alignment.py incidents   whole incidents with strangers and a silent clip
    python benchmarks/alignment.py scale       cost of all pairs, memory
    python benchmarks/alignment.py rates       error-rate rows from the results

``PEERS`` names a folder with one virtual environment per peer (and ``bin/ffmpeg``); peers that
are not there are left out and named. Results go to results/alignment.json.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from alignment_scenes import RATE, Phone, Pool, judge, make_event, make_pair, make_phone
from scipy.io import wavfile

import forensics
from forensics import audio
from forensics.audio_features import FRAME_S, measure_features
from forensics.audio_match import match_all
from forensics.audio_null import build_tail
from forensics.audio_pairs import forget
from forensics.audio_phase import fit_phase
from forensics.calibration import item_rate
from forensics.model import Alignment, Clip

RESULTS = Path(__file__).resolve().parent / "results"
TABLE = Path(__file__).resolve().parents[1] / "forensics" / "data" / "audio_null.json"
OVERLAPS, SNRS = (5, 10, 20, 30, 60), (20, 10, 5, 0, -5)
PEERS = ("audio-offset-finder", "syncstart", "audio-video-sync", "audiolocate", "audalign")


def today() -> str:
    """The date of a measurement."""
    return datetime.now(UTC).date().isoformat()


def write(phone: Phone, path: Path) -> Path:
    """A phone's clip as a 16-bit WAV."""
    wavfile.write(path, RATE, (np.clip(phone.samples, -1, 1) * 32767).astype(np.int16))
    return path


def opened(path: Path) -> Clip:
    """A clip without asking for metadata."""
    return forensics.open_clip(path, metadata=False)


def save(part: str, found: dict[str, Any]) -> None:
    """Replace one part of results/alignment.json."""
    path = RESULTS / "alignment.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    known[part] = found | {"measured": today()}
    path.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


def share(hits: Any) -> dict[str, Any]:
    """A share with its 95 % Clopper-Pearson interval and n."""
    hits = np.asarray(hits, bool)
    rate = item_rate(int(hits.sum()), len(hits)) if len(hits) else None
    return {
        "share": round(float(hits.mean()), 4) if len(hits) else None, "n": len(hits),
        "interval": [round(rate.low, 4), round(rate.high, 4)] if rate else None,
    }  # fmt: skip


# -- the strangers' table ---------------------------------------------------------------------


def null(draws: int = 8) -> None:
    """Measure strangers on the tuning half and write the table the library ships."""
    pool, rng = Pool.load("tune"), np.random.default_rng(77)
    peaks: list[float] = []
    phases: list[float] = []
    units, pairs = 0.0, 0
    for draw in range(draws):
        phones: list[tuple[int, Phone]] = []
        for part, recordings in enumerate(pool.split(rng, 5)):
            kind = ("mixed", "mixed", "mixed", "chant", "music")[part]
            event = make_event(recordings, rng, kind=kind, sources=3, length_s=100)
            for _ in range(6):
                length = float(rng.choice([5, 8, 15, 30, 60]))
                phone = make_phone(
                    event, rng, start_s=rng.uniform(1, 99 - length), length_s=length,
                    snr_db=float(rng.choice([20, 10, 5, 0])), hard=True, noises=event.noises,
                )  # fmt: skip
                phones.append((part, phone))
        rows = [measure_features(phone.samples) for _, phone in phones]
        for i, j, match in match_all(rows):
            if phones[i][0] == phones[j][0]:
                continue
            peaks += match.scores[:3]
            units += match.trials
            pairs += 1
            fit = fit_phase(
                phones[i][1].samples, phones[j][1].samples, rate_hz=RATE, lag_s=match.lags_s[0]
            )
            if fit is not None:
                phases.append(fit.score)
        print(f"draw {draw + 1} of {draws}: {pairs} pairs", flush=True)
    table = {
        "method": "audio-align", "version": "1", "pairs": pairs,
        "envelope": build_tail(peaks, units), "phase": build_tail(phases, len(phases)),
        "dataset": "simulated phones at real sounds, tuning half, disjoint recordings",
        "dataset_digest": pool.digest, "measured": today(),
        "script": "benchmarks/alignment.py null",
    }  # fmt: skip
    TABLE.write_text(json.dumps(table, indent=1) + "\n", "utf-8")


# -- pairs ------------------------------------------------------------------------------------


def make_set(
    pool: Pool, rng: np.random.Generator, folder: Path, *, hard: bool, draws: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """True pairs and strangers; strangers come from disjoint recordings of the same draw."""
    true, strangers = [], []
    for draw in range(draws):
        members: list[tuple[int, Path]] = []
        for part, recordings in enumerate(pool.split(rng, 3)):
            kind = ("mixed", "mixed", "chant" if draw % 2 else "music")[part]
            event = make_event(recordings, rng, kind=kind, sources=6 if hard else 1)
            for number in range(2):
                at = len(true)
                one, two = make_pair(
                    event, rng, overlap_s=float(OVERLAPS[at % 5]), snr_db=float(SNRS[at // 5 % 5]),
                    hard=hard,
                )  # fmt: skip
                stem = f"{'hard' if hard else 'simple'}-{draw}-{part}-{number}"
                paths = [write(one, folder / f"{stem}a.wav"), write(two, folder / f"{stem}b.wav")]
                known = judge(one, two)
                true.append({
                    "a": str(paths[0]), "b": str(paths[1]), "kind": kind, "draw": draw,
                    "overlap_s": float(OVERLAPS[at % 5]), "snr_db": one.snr_db,
                    "offset_s": known.offset_s, "drift_ppm": known.drift_ppm,
                    "by_source": known.by_source, "middle_s": known.middle_s,
                })  # fmt: skip
                members += [(part, p) for p in paths]
        strangers += [
            {"a": str(a), "b": str(b), "draw": draw}
            for n, (i, a) in enumerate(members) for j, b in members[n + 1 :] if i != j
        ]  # fmt: skip
    return true, strangers


def ours(job: dict[str, Any]) -> dict[str, Any]:
    """What the library says of one pair of files, by itself."""
    begun = time.process_time()
    one, two = opened(Path(job["a"])), opened(Path(job["b"]))
    forget()
    align = audio.align_clips([one, two])
    spent = time.process_time() - begun
    (pair,) = align.pairs
    place = align.placement(two)
    found: dict[str, Any] = {
        "score": pair.score, "accepted": place is not None, "cpu_s": spent,
        "false_join": pair.false_join.value if pair.false_join else 1.0, "note": pair.note,
        "soundtrack": "soundtrack" in pair.note,
    }  # fmt: skip
    drift = pair.drift_ppm
    found["drift_ppm"] = drift.value if drift else None
    found["drift_interval"] = [drift.low, drift.high] if drift else None
    found["offset_s"] = pair.offset.value if pair.offset else float("nan")
    if place is not None:
        found["offset_s"] = place.offset.value
        found["placed_drift_ppm"] = place.drift_ppm.value
        found["interval"] = [place.offset.low, place.offset.high]
    return found


def measure(job: dict[str, Any], found: dict[str, Any]) -> dict[str, float]:
    """Errors at the middle of the overlap: against the clocks, and against the best source."""
    rate = found.get("placed_drift_ppm", found.get("drift_ppm")) or 0.0
    said = found["offset_s"] + job["middle_s"] * rate * 1e-6
    bend = job["middle_s"] * job["drift_ppm"] * 1e-6
    by_source = [abs(said - s - bend) for s in job["by_source"]]
    return {"clock": abs(said - job["offset_s"] - bend), "source": min(by_source)}


def summary(
    jobs: list[dict[str, Any]], answers: list[dict[str, Any]], strangers: list[float]
) -> dict[str, Any]:
    """The table of one tool on one set."""
    errors = [measure(j, a) for j, a in zip(jobs, answers, strict=True)]
    clock = np.nan_to_num([e["clock"] for e in errors], nan=1e9)
    source = np.nan_to_num([e["source"] for e in errors], nan=1e9)
    score = np.array([a["score"] for a in answers])
    right = clock <= 0.25
    least = max(strangers, default=0.0)
    out: dict[str, Any] = {
        "within_10_ms": share(clock <= 0.01), "within_100_ms": share(clock <= 0.1),
        "within_250_ms": share(right), "within_10_ms_of_a_source": share(source <= 0.01),
        "within_15_ms_of_a_source": share(source <= 0.015),
        "right_above_all_strangers": share(right & (score > least)),
        "strangers": len(strangers), "greatest_stranger_score": least,
        "cpu_s_per_pair": round(float(np.mean([a["cpu_s"] for a in answers])), 3),
    }  # fmt: skip
    for key, values in (("snr_db", SNRS), ("overlap_s", OVERLAPS)):
        out[f"right_by_{key}"] = {
            str(v): share(right[[j[key] == v for j in jobs]]) for v in values
        }
    return out


def of_kind(
    jobs: list[dict[str, Any]], answers: list[dict[str, Any]], kinds: tuple[str, ...]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The pairs of one stratum: sound that repeats stands apart."""
    kept = [(j, a) for j, a in zip(jobs, answers, strict=True) if j["kind"] in kinds]
    return [j for j, _ in kept], [a for _, a in kept]


def extras(jobs: list[dict[str, Any]], answers: list[dict[str, Any]]) -> dict[str, Any]:
    """What only this library states: decisions, intervals, drifts."""
    errors = np.array([measure(j, a)["clock"] for j, a in zip(jobs, answers, strict=True)])
    joined = np.array([a["accepted"] for a in answers])
    inside = [
        a["interval"][0] <= j["offset_s"] <= a["interval"][1]
        for j, a, ok in zip(jobs, answers, joined, strict=True) if ok
    ]  # fmt: skip
    drifts = [
        (j, a["drift_ppm"] - j["drift_ppm"], a["drift_interval"])
        for j, a, e in zip(jobs, answers, errors, strict=True)
        if a["drift_ppm"] is not None and a["accepted"] and e < 0.25
    ]  # fmt: skip
    long = [abs(d) for j, d, _ in drifts if j["overlap_s"] >= 60]
    count = sum(j["overlap_s"] >= 60 for j in jobs)
    return {
        "joined": share(joined), "joined_wrongly": share(joined & (errors > 0.25)),
        "joined_and_right": share(joined & (errors <= 0.25)),
        "truth_inside_interval": share(inside),
        "interval_half_width_ms": round(1000 * float(np.median(
            [(a["interval"][1] - a["interval"][0]) / 2 for a in answers if a["accepted"]]
        )), 1),
        "called_soundtrack": share([a["soundtrack"] for a in answers]),
        "drift_stated": len(drifts),
        "drift_truth_inside_interval": share(
            [i[0] <= j["drift_ppm"] <= i[1] for j, _, i in drifts]
        ),
        "drift_60_s_pairs": count, "drift_60_s_stated": len(long),
        "drift_60_s_within_10_ppm": share([x <= 10 for x in long]),
        "drift_60_s_median_ppm": round(float(np.median(long)), 2) if long else None,
        "clock_error_95_ms": round(1000 * float(np.quantile(errors[joined], 0.95)), 1),
    }  # fmt: skip


def run_peer(tool: str, jobs: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]] | None:
    """A peer's answers, or None where it is not installed."""
    home = Path(os.environ.get("PEERS", "/nowhere"))
    python = home / tool / "bin" / "python"
    if not python.exists():
        return None
    asked, said = folder / "jobs.json", folder / "said.json"
    asked.write_text(json.dumps([[j["a"], j["b"]] for j in jobs]))
    script = Path(__file__).with_name("alignment_peer.py")
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PATH": path}
    done = subprocess.run(
        [str(python), str(script), tool, str(asked), str(said)], env=env, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        print(tool, done.stderr[-500:])
        return None
    rows = json.loads(said.read_text())
    return [
        {"offset_s": o if o is not None else float("nan"), "score": s, "cpu_s": c}
        for o, s, c in rows
    ]


def simple() -> None:
    """One source position, direct path, telephones that stand still."""
    _pairs("simple", 4, 2)


def hard() -> None:
    """Six source positions, walking telephones, a quarter of the paths without direct sound."""
    _pairs("hard", 5, 2)


def _pairs(name: str, draws: int, peer_draws: int) -> None:
    """True pairs and strangers, this library and its peers."""
    pool = Pool.load("report")
    rng = np.random.default_rng(2026 + (name == "hard"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        jobs, foreign = make_set(pool, rng, place, hard=name == "hard", draws=draws)
        print(f"{name}: {len(jobs)} pairs, {len(foreign)} strangers made", flush=True)
        answers = [ours(job) for job in jobs]
        apart = strangers(foreign)
        far = [s["score"] for s in apart]
        entry: dict[str, Any] = {
            stratum: summary(*some, far) | extras(*some)
            for stratum, kinds in (("mixed", ("mixed",)), ("repeating", ("chant", "music")))
            if (some := of_kind(jobs, answers, kinds))
        }
        entry |= {
            "strangers_joined": share([s["joined"] for s in apart]),
        }
        print(name, json.dumps(entry, indent=1), flush=True)
        entry["rows"] = [
            {k: j[k] for k in ("kind", "overlap_s", "snr_db")}
            | {k: round(v, 5) for k, v in measure(j, a).items()}
            | {"joined": a["accepted"], "false_join": a["false_join"], "cpu_s": a["cpu_s"]}
            for j, a in zip(jobs, answers, strict=True)
        ]
        about = {"dataset_digest": pool.digest, "draws": draws}
        save(name, entry | about)
        few = [j for j in jobs if j["draw"] < peer_draws and j["kind"] == "mixed"]
        rest = [j for j in foreign if j["draw"] < peer_draws][::7]
        mine = [a for j, a in zip(jobs, answers, strict=True) if j in few]
        scores = {(s["a"], s["b"]): s["score"] for s in apart}
        entry["side_by_side"] = {
            "forensics": summary(few, mine, [scores[j["a"], j["b"]] for j in rest])
        }
        for tool in PEERS:
            said = run_peer(tool, few + rest, place)
            if said is None:
                entry["side_by_side"][tool] = "not run: not installed here, or it failed"
                continue
            far = [s["score"] for s in said[len(few) :]]
            entry["side_by_side"][tool] = summary(few, said[: len(few)], far)
            print(name, tool, json.dumps(entry["side_by_side"][tool]), flush=True)
            save(name, entry | about)


def strangers(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Scores of stranger pairs; joined: at a false-join limit of 0.01 for a pair by itself."""
    clips = {n: opened(Path(n)) for j in jobs for n in (j["a"], j["b"])}
    out = []
    for draw in sorted({j["draw"] for j in jobs}):
        mine = [j for j in jobs if j["draw"] == draw]
        names = sorted({n for j in mine for n in (j["a"], j["b"])})
        align = audio.align_clips([clips[n] for n in names])
        known = {frozenset((p.first, p.second)): p.score for p in align.pairs}
        for job in mine:
            score = known[frozenset((clips[job["a"]].digest, clips[job["b"]].digest))]
            out.append({**job, "score": score, "joined": score >= 2.0})
    return out


# -- incidents --------------------------------------------------------------------------------


def incidents(number: int = 6) -> None:
    """Whole incidents: 8 to 20 clips of one event, two strangers, one silent clip."""
    pool, rng, rows = Pool.load("report"), np.random.default_rng(909), []
    errors: list[float] = []
    inside: list[bool] = []
    for case in range(number):
        mine, theirs, more = pool.split(rng, 3)
        count = int(rng.integers(8, 18))
        event = make_event(mine, rng, length_s=140)
        others = [make_event(part, rng, length_s=90) for part in (theirs, more)]
        with tempfile.TemporaryDirectory() as folder:
            place, clips, phones = Path(folder), [], []
            # Each clip after the first shares at least 10 s with an earlier one.
            for n in range(count):
                length = float(rng.uniform(15, 60))
                start = float(rng.uniform(2, 138 - length))
                if phones:
                    near = phones[int(rng.integers(len(phones)))]
                    low = max(1.0, near.start_s - length + 10)
                    high = min(138 - length, near.start_s + near.length_s - 10)
                    start = float(rng.uniform(low, max(low, high)))
                phone = make_phone(
                    event, rng, start_s=start, length_s=length, hard=True,
                    snr_db=float(rng.choice([20, 10, 5, 0])),
                    noises=event.noises[n % max(1, len(event.noises)) :][:1],
                )  # fmt: skip
                phones.append(phone)
                clips.append(opened(write(phone, place / f"{n}.wav")))
            for n, other in enumerate(others):
                alien = make_phone(other, rng, start_s=10.0, length_s=40.0, snr_db=10.0,
                                   hard=True, noises=other.noises)  # fmt: skip
                clips.append(opened(write(alien, place / f"alien{n}.wav")))
            wavfile.write(place / "silent.wav", RATE, np.zeros(20 * RATE, np.int16))
            silent = opened(place / "silent.wav")
            align = audio.align_clips([*clips, silent])
            row = _check_incident(align, clips, silent, phones, errors, inside)
            row["case"] = case
            rows.append(row)
            print(row, flush=True)
    save("incidents", {
        "all_placed_right": share([r["all_right"] for r in rows]),
        "clips_placed_right": share(
            [x for r in rows for x in [True] * r["right"] + [False] * (r["clips"] - r["right"])]
        ),
        "clips_placed_wrong": sum(r["wrong"] for r in rows),
        "strangers_placed": share(
            [x for r in rows for x in [True] * r["aliens"] + [False] * (2 - r["aliens"])]
        ),
        "silent_not_applicable": share([r["silent"] for r in rows]),
        "truth_inside_interval": share(inside),
        "median_error_ms": round(1000 * float(np.median(errors)), 1),
        "error_95_ms": round(1000 * float(np.quantile(errors, 0.95)), 1),
        "dataset_digest": pool.digest, "rows": rows,
    })  # fmt: skip


def _check_incident(
    align: Alignment, clips: list[Clip], silent: Clip, phones: list[Phone], errors: list[float],
    inside: list[bool],
) -> dict[str, Any]:  # fmt: skip
    first = phones[[c.digest for c in clips].index(align.reference)] if align.placements else None
    right = wrong = 0
    for clip, phone in zip(clips, phones, strict=False):
        place = align.placement(clip)
        if place is None or place.component != 0 or first is None:
            continue
        known = judge(first, phone)
        middle = phone.length_s / 2
        bend = (place.drift_ppm.value - known.drift_ppm) * 1e-6 * middle
        error = abs(place.offset.value - known.offset_s + bend)
        right, wrong = right + (error <= 0.25), wrong + (error > 0.25)
        if clip.digest != align.reference:
            errors.append(error)
            low, high = place.offset.low, place.offset.high
            if low is not None and high is not None:
                inside.append(low <= known.offset_s <= high)
    aliens = sum(
        (p := align.placement(c)) is not None and p.component == 0 for c in clips[len(phones) :]
    )
    mute = any(u.clip == silent.digest and u.outcome == "not-applicable" for u in align.unplaced)
    return {
        "clips": len(phones), "right": right, "wrong": wrong, "aliens": aliens, "silent": mute,
        "all_right": right == len(phones) and aliens == 0 and mute,
        "rejected": sum("rejected" in p.note for p in align.pairs),
        "pairs_used": sum(p.accepted for p in align.pairs),
    }  # fmt: skip


# -- scale ------------------------------------------------------------------------------------


def scale() -> None:
    """CPU per pair and memory for all pairs; features drawn at random, as costly as real ones."""
    rng, rows = np.random.default_rng(4), []
    for count, seconds in ((50, 120.0), (200, 120.0)):
        size = int(seconds / FRAME_S)
        features = [
            (rng.normal(size=(size, 40)) * 0.15).astype(np.float16) for _ in range(count)
        ]
        begun, wall = time.process_time(), time.monotonic()
        number = sum(1 for _ in match_all(features))
        spent = time.process_time() - begun
        rows.append({
            "clips": count, "seconds": seconds, "pairs": number,
            "cpu_ms_per_pair": round(1000 * spent / number, 3),
            "wall_s": round(time.monotonic() - wall, 1), "load": os.getloadavg()[0],
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        })  # fmt: skip
        print(rows[-1], flush=True)
    save("scale", {"rows": rows})


def rates() -> None:
    """Counts for `forensics calibrate`, from the results on file."""
    known = json.loads((RESULTS / "alignment.json").read_text("utf-8"))
    rows = []
    for stratum, names in (("", ("simple", "hard")), ("simple", ("simple",)), ("hard", ("hard",))):
        parts = [known[n] for n in names]
        right = [r["joined"] and r["clock"] <= 0.25 for p in parts for r in p["rows"]]
        far = [p["strangers_joined"] for p in parts]
        rows.append({
            "method": "audio-align", "version": "1", "stratum": stratum,
            "true_positives": sum(right), "false_negatives": len(right) - sum(right),
            "false_positives": sum(round(f["share"] * f["n"]) for f in far),
            "negatives": sum(f["n"] for f in far), "per_hour": False,
            "dataset": "simulated phones at real sounds, report half: pairs alone, 5 to 60 s of "
            "overlap, 20 to -5 dB; strangers from disjoint recordings",
            "dataset_digest": parts[0]["dataset_digest"],
            "independent": 3 * sum(p["draws"] for p in parts), "measured": parts[0]["measured"],
            "script": "benchmarks/alignment.py",
            "note": "independent counts simulated events; a wrong join counts as a miss",
        })  # fmt: skip
    (RESULTS / "rates_audio.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    steps: dict[str, Callable[[], None]] = {
        "null": null, "simple": simple, "hard": hard, "incidents": incidents, "scale": scale,
        "rates": rates,
    }  # fmt: skip
    for wanted in sys.argv[1:] or ["simple", "hard", "incidents", "scale", "rates"]:
        steps[wanted]()
