"""How well clips are put on one clock: simulated phones at real sounds, peers side by side.

    python benchmarks/alignment.py null          strangers' table for the library (tuning half)
    python benchmarks/alignment.py simple hard   pairs and strangers (report half)
    python benchmarks/alignment.py peers         other tools on the first draws of both sets
    python benchmarks/alignment.py incidents     whole incidents with strangers and a silent clip
    python benchmarks/alignment.py scale         cost of one pair and of all pairs, beside peers
    python benchmarks/alignment.py thousand      cost and memory of comparing a thousand clips
    python benchmarks/alignment.py rates         error-rate rows from the results

Every draw is made and answered by itself and kept in the folder ``WORK`` names (by default in the
system's temporary folder): a run that was stopped goes on where it was; ``DRAWS`` makes fewer.
``HALF=tune`` draws from
the other recordings and writes no result: what is tuned is tuned there. ``PEERS`` names a folder
with one virtual environment per peer (and ``bin/ffmpeg``); peers that are not there are left out
and named; chromaprint is its own program ``fpcalc``. Results go to results/alignment.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from alignment_incidents import incidents
from alignment_scale import scale, thousand
from alignment_scenes import (
    RATE,
    Phone,
    Pool,
    judge,
    make_event,
    make_pair,
    make_phone,
    sooner_and_later,
    write,
)
from alignment_score import (
    OVERLAPS,
    RESULTS,
    SNRS,
    Row,
    errors_of,
    extras,
    save,
    share,
    summary,
    today,
)

import forensics
from forensics import audio
from forensics.audio_features import measure_features
from forensics.audio_match import match_all
from forensics.audio_null import build_tail
from forensics.audio_pairs import forget
from forensics.audio_phase import fit_phase
from forensics.model import Clip

TABLE = Path(__file__).resolve().parents[1] / "forensics" / "data" / "audio_null.json"
HALF = os.environ.get("HALF", "report")
WORK = Path(os.environ.get("WORK", tempfile.gettempdir())) / f"alignment-{HALF}"
PEERS = ("audio-offset-finder", "syncstart", "audio-video-sync", "audiolocate", "audalign",
         "chromaprint")  # fmt: skip
#: Seed, draws, and draws that peers answer too. Each draw: 6 pairs, 48 strangers or more. Seeds 41
#: and 42 were answered by versions 1 and 2, 142 and 242 by version 3, 341 and 342 by version 4;
#: before those one recording counted as two (`alignment_scenes.TWICE`), so that some pairs of
#: strangers had sound in common. Nobody had seen these when version 5 answered them; ``SEED`` asks
#: for another.
VERSION = "5"
SETS = {
    "simple": (int(os.environ.get("SEED", "441")), 15, 5),
    "hard": (int(os.environ.get("SEED", "442")), 20, 5),
}


def opened(path: Path | str) -> Clip:
    """A clip without asking for metadata."""
    return forensics.open_clip(path, metadata=False)


# -- the strangers' table ---------------------------------------------------------------------


def null(draws: int = 16) -> None:
    """Measure strangers on the tuning half and write the table the library ships."""
    pool, rng = Pool.load("tune"), np.random.default_rng(77)
    peaks: list[float] = []
    phases: list[float] = []
    units, pairs = 0.0, 0
    for draw in range(draws):
        phones: list[tuple[int, Phone]] = []
        for part, recordings in enumerate(pool.split(rng, 5)):
            # Every other draw two strangers play music: loops of different songs.
            kind = ("mixed", "mixed", "music" if draw % 2 else "mixed", "chant", "music")[part]
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
        "method": "audio-align", "version": "3", "pairs": pairs,
        "envelope": build_tail(peaks, units), "phase": build_tail(phases, len(phases)),
        "dataset": "simulated phones at real sounds, tuning half, disjoint recordings",
        "dataset_digest": pool.digest, "measured": today(),
        "script": "benchmarks/alignment.py null",
    }  # fmt: skip
    TABLE.write_text(json.dumps(table, indent=1) + "\n", "utf-8")


# -- pairs ------------------------------------------------------------------------------------


def draw(name: str, number: int, pool: Pool) -> Path:
    """One draw: three events that share no recording, two true pairs of each, on disk once.

    At the places of the first two events a fifth phone hears the same speakers, crowds and
    engines at another time: same place, same kind of sound, no second of it shared.
    """
    folder = WORK / name / str(number)
    if (folder / "truth.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    hard = name == "hard"
    rng = np.random.default_rng([SETS[name][0], number])
    true: list[Row] = []
    members: list[tuple[int, str]] = []
    apart: list[Row] = []
    for part, recordings in enumerate(pool.split(rng, 3)):
        kind = ("mixed", "mixed", "chant" if number % 2 else "music")[part]
        sources = 6 if hard else 1
        sooner, later = sooner_and_later(recordings)
        event = make_event(sooner, rng, kind=kind, sources=sources)
        for pair in range(2):
            at = 6 * number + len(true)
            overlap, snr = float(OVERLAPS[at % 5]), float(SNRS[at // 5 % 5])
            one, two = make_pair(event, rng, overlap_s=overlap, snr_db=snr, hard=hard)
            names = [f"{part}{pair}{side}.wav" for side in "ab"]
            known = judge(one, two)
            for phone, file in zip((one, two), names, strict=True):
                write(phone, folder / file)
            true.append({
                "a": names[0], "b": names[1], "kind": kind, "draw": number, "overlap_s": overlap,
                "snr_db": snr, "offset_s": known.offset_s, "drift_ppm": known.drift_ppm,
                "by_source": known.by_source, "middle_s": known.middle_s,
            })  # fmt: skip
            members += [(part, file) for file in names]
        if kind == "mixed":
            again = make_event(later, rng, sources=sources, length_s=40)
            again.places = event.places
            other = make_phone(
                again, rng, start_s=3.0, length_s=float(rng.choice([15, 30])), hard=hard,
                snr_db=float(rng.choice([20, 10])), noises=again.noises,
            )  # fmt: skip
            write(other, folder / f"{part}c.wav")
            apart += [
                {"a": file, "b": f"{part}c.wav", "draw": number, "place": "same"}
                for i, file in members if i == part
            ]  # fmt: skip
    foreign = apart + [
        {"a": a, "b": b, "draw": number, "place": "another"}
        for n, (i, a) in enumerate(members) for j, b in members[n + 1 :] if i != j
    ]  # fmt: skip
    (folder / "truth.json").write_text(json.dumps({"true": true, "foreign": foreign}))
    return folder


def ours(folder: Path, job: Row) -> Row:
    """What the library says of one pair of files, by itself."""
    begun = time.process_time()
    one, two = opened(folder / job["a"]), opened(folder / job["b"])
    forget()
    align = audio.align_clips([one, two])
    spent = time.process_time() - begun
    (pair,) = align.pairs
    place = align.placement(two)
    found: Row = {
        "score": pair.score, "accepted": place is not None, "cpu_s": spent,
        "false_join": pair.false_join.value if pair.false_join else 1.0, "note": pair.note,
        "soundtrack": "soundtrack" in pair.note, "rivals_s": [r.value for r in pair.rivals],
        "measures": {name: value.value for name, value in pair.measures.items()},
    }  # fmt: skip
    drift = pair.drift_ppm
    found["drift_ppm"] = drift.value if drift else None
    found["drift_interval"] = [drift.low, drift.high] if drift else None
    found["offset_s"] = pair.offset.value if pair.offset else float("nan")
    found["arrival_s"] = found["offset_s"]
    if place is not None:
        found["offset_s"] = place.offset.value
        found["placed_drift_ppm"] = place.drift_ppm.value
        found["interval"] = [place.offset.low, place.offset.high]
    return found


def strangers(folder: Path, jobs: list[Row], files: list[str]) -> list[Row]:
    """Scores of stranger pairs; joined: at a false-join limit of 0.01 for a pair by itself."""
    clips = {name: opened(folder / name) for name in files}
    align = audio.align_clips(list(clips.values()))
    known = {frozenset((p.first, p.second)): p for p in align.pairs}
    out = []
    for job in jobs:
        pair = known[frozenset((clips[job["a"]].digest, clips[job["b"]].digest))]
        values = {name: value.value for name, value in pair.measures.items()}
        out.append({**job, "score": pair.score, "joined": pair.score >= 2.0, "measures": values,
                    "joined_in_group": pair.accepted})  # fmt: skip
    return out


def answered(name: str, number: int, pool: Pool, *, keep: bool) -> Row:
    """Truth and answers of one draw, from disk if it was answered before."""
    folder = WORK / name / str(number)
    said = folder / "said.json"
    if not said.exists():
        draw(name, number, pool)
        truth = json.loads((folder / "truth.json").read_text())
        answers = [ours(folder, job) for job in truth["true"]]
        files = sorted(p.name for p in folder.glob("*.wav"))
        far = strangers(folder, truth["foreign"], files)
        said.write_text(json.dumps({"true": truth["true"], "said": answers, "far": far}))
    if not keep:
        for file in folder.glob("*.wav"):
            file.unlink()
    found: Row = json.loads(said.read_text())
    return found


def simple() -> None:
    """One source position, direct path, telephones that stand still."""
    _pairs("simple")


def hard() -> None:
    """Six source positions, walking telephones, a quarter of the paths without direct sound."""
    _pairs("hard")


def _pairs(name: str) -> None:
    """True pairs and strangers, by this library."""
    pool = Pool.load(HALF)
    _, draws, peer_draws = SETS[name]
    draws = int(os.environ.get("DRAWS", draws))
    rows: list[tuple[Row, Row]] = []
    far: list[Row] = []
    for number in range(draws):
        part = answered(name, number, pool, keep=number < peer_draws or HALF == "tune")
        rows += list(zip(part["true"], part["said"], strict=True))
        far += part["far"]
        print(f"{name}: draw {number + 1} of {draws}", flush=True)
    scores = [s["score"] for s in far]
    entry: Row = {
        stratum: summary(some, scores) | extras(some)
        for stratum, kinds in (("mixed", ("mixed",)), ("repeating", ("chant", "music")))
        if (some := [row for row in rows if row[0]["kind"] in kinds])
    }
    entry["strangers_joined"] = share([s["joined"] for s in far])
    for place in ("same", "another"):
        some_far = [s for s in far if s["place"] == place]
        entry[f"strangers_of_{place}_place"] = {
            "joined": share([s["joined"] for s in some_far]),
            "joined_in_group": share([s["joined_in_group"] for s in some_far]),
            "greatest_score": max(s["score"] for s in some_far),
        }
    print(name, json.dumps(entry, indent=1), flush=True)
    if HALF != "report":
        return
    entry["rows"] = [
        {k: j[k] for k in ("kind", "overlap_s", "snr_db")}
        | {k: round(v, 5) for k, v in errors_of(j, a).items()}
        | {"joined": a["accepted"], "false_join": a["false_join"], "cpu_s": round(a["cpu_s"], 3)}
        for j, a in rows
    ]
    save(name, entry | {"dataset_digest": pool.digest, "draws": draws, "seed": SETS[name][0],
                        "version": VERSION})  # fmt: skip


# -- peers ------------------------------------------------------------------------------------


def run_peer(tool: str, jobs: list[tuple[str, str]]) -> list[Row] | str:
    """A peer's answers, or in words why there are none."""
    home = Path(os.environ.get("PEERS", "/nowhere"))
    python = home / tool.removesuffix("-kept") / "bin" / "python"
    if not python.exists():
        return "not installed here"
    script = Path(__file__).with_name("alignment_peer.py")
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PATH": path}
    with tempfile.TemporaryDirectory() as folder:
        asked, said = Path(folder) / "jobs.json", Path(folder) / "said.json"
        asked.write_text(json.dumps(jobs))
        done = subprocess.run(
            [str(python), str(script), tool, str(asked), str(said)], env=env, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            return f"failed: {done.stderr.strip().splitlines()[-1]}"
        rows = json.loads(said.read_text())
    return [
        {"offset_s": o if o is not None else float("nan"), "score": s, "cpu_s": c}
        for o, s, c in rows
    ]


def peers() -> None:
    """Other tools on pairs and every eighth stranger of the first draws, the mixed stratum."""
    known = json.loads((RESULTS / "alignment.json").read_text("utf-8"))
    for name, (_, _, count) in SETS.items():
        parts = [(WORK / name / str(n), n) for n in range(count)]
        pool = Pool("")
        data = [(folder, answered(name, n, pool, keep=True)) for folder, n in parts]
        few = [
            (folder, j, a) for folder, d in data
            for j, a in zip(d["true"], d["said"], strict=True) if j["kind"] == "mixed"
        ]  # fmt: skip
        rest = [(folder, s) for folder, d in data for s in d["far"]][::8]
        jobs = [(str(f / j["a"]), str(f / j["b"])) for f, j, *_ in [*few, *rest]]
        table: Row = {
            "forensics": summary([(j, a) for _, j, a in few], [s["score"] for _, s in rest])
        }
        for tool in PEERS:
            kept = WORK / f"{name}-{tool}.json"
            said = json.loads(kept.read_text()) if kept.exists() else run_peer(tool, jobs)
            kept.write_text(json.dumps(said))
            if isinstance(said, str):
                table[tool] = said
                continue
            pairs = [(j, a) for (_, j, _), a in zip(few, said, strict=False)]
            table[tool] = summary(pairs, [s["score"] for s in said[len(few) :]])
            print(name, tool, json.dumps(table[tool]), flush=True)
        save(name, known[name] | {"side_by_side": table})


# -- rates ------------------------------------------------------------------------------------


def rates() -> None:
    """Counts for `forensics calibrate`, from what the present version answered."""
    known = json.loads((RESULTS / "alignment.json").read_text("utf-8"))
    rows = []
    for stratum, names in (("", ("simple", "hard")), ("simple", ("simple",)), ("hard", ("hard",))):
        parts = [known[n] for n in names if known[n].get("version") == VERSION]
        if not parts:
            continue
        right = [r["joined"] and r["clock"] <= 0.25 for p in parts for r in p["rows"]]
        far = [p["strangers_joined"] for p in parts]
        rows.append({
            "method": "audio-align", "version": VERSION, "stratum": stratum,
            "true_positives": sum(right), "false_negatives": len(right) - sum(right),
            "false_positives": sum(round(f["share"] * f["n"]) for f in far),
            "negatives": sum(f["n"] for f in far), "per_hour": False,
            "dataset": "simulated phones at real sounds, report half: pairs alone, 5 to 60 s of "
            "overlap, 20 to -5 dB, a third of them chants and loops of music; strangers from "
            "disjoint recordings",
            "dataset_digest": parts[0]["dataset_digest"],
            "independent": 3 * sum(p["draws"] for p in parts), "measured": parts[0]["measured"],
            "script": "benchmarks/alignment.py",
            "note": "independent counts simulated events; a wrong join counts as a miss",
        })  # fmt: skip
    found = known["incidents"]
    breaks = found.get("version", "1")
    cut = [r for r in found["rows"] if "cut_s" in r]
    wrong = found["uncut_clips_said_to_jump"], sum(r["jumps_uncut"] > 0 for r in found["rows"])
    for stratum, key, alarms, negatives in (
        ("a third clip decides", "cut_decided", wrong[0], found["clips"]),
        ("two clips", "cut_found", wrong[1], len(found["rows"])),
    ):
        rows.append({
            "method": "audio-offset-breaks", "version": breaks, "stratum": stratum,
            "true_positives": sum(r[key] for r in cut),
            "false_negatives": sum(not r[key] for r in cut),
            "false_positives": alarms, "negatives": negatives, "per_hour": False,
            "dataset": "simulated incidents of 8 to 17 phones at real sounds, report half; 0.3 to "
            "3 s taken out of one clip",
            "dataset_digest": found["dataset_digest"], "independent": len(found["rows"]),
            "measured": found["measured"], "script": "benchmarks/alignment.py",
            "note": "negatives: uncut clips" if negatives == found["clips"] else
            "negatives: incidents with no clip cut, all pairs of each together",
        })  # fmt: skip
    (RESULTS / "rates_audio.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    steps: dict[str, Callable[[], None]] = {
        "null": null, "simple": simple, "hard": hard, "peers": peers,
        "incidents": lambda: incidents(HALF, WORK), "rates": rates,
        "scale": lambda: scale(HALF, WORK, PEERS, run_peer), "thousand": thousand,
    }  # fmt: skip
    for wanted in sys.argv[1:] or ["simple", "hard", "incidents", "scale", "rates"]:
        steps[wanted]()
