"""What many clips cost, and one pair of two-minute clips, for `benchmarks/alignment.py`.

Two hundred clips of two minutes are simulated phones at eight events, compared and placed from the
files to the clock; other tools answer some pairs of the same files, and what all pairs would cost
them is extrapolated from that. A thousand clips of up to ten minutes are drawn at random, as
costly as real ones: what is asked there is time and memory of the comparison.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from alignment_scenes import Phone, Pool, judge, make_event, make_phone, write
from alignment_score import Row, errors_of, save

import forensics
from forensics import audio
from forensics.audio_features import FRAME_S, hear
from forensics.audio_match import find_likely, match_all
from forensics.audio_pairs import forget, measure_pairs

EVENTS, PHONES, LENGTH_S, SEED = 8, 25, 120.0, 4200
#: True pairs that share a minute and more, and strangers, that every tool answers by itself.
TRUE, FAR = 16, 4
#: Tools whose description of a clip can be kept and compared with many others.
KEPT = ("audiolocate", "chromaprint")
RunPeer = Callable[[str, list[tuple[str, str]]], list[Row] | str]


def peak_mib() -> int:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def scale(half: str, work: Path, peers: Sequence[str], run_peer: RunPeer) -> None:
    """Real sound, 200 clips, with the peers."""
    folder = work / f"scale-{SEED}"
    phones = _phones(half, folder)
    found = {"two_hundred": _two_hundred(folder, len(phones))}
    print(json.dumps(found["two_hundred"], indent=1), flush=True)
    jobs, truth = _some_pairs(folder, phones)
    found |= _side_by_side(jobs, truth, len(phones), peers, run_peer, found["two_hundred"], folder)
    if half == "report":
        save("scale", found)


def _phones(half: str, folder: Path) -> list[tuple[int, Phone]]:
    """The clips on disk and their truth, made once."""
    truth = folder / "truth.pickle"
    if truth.exists():
        known: list[tuple[int, Phone]] = pickle.loads(truth.read_bytes())
        return known
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    out: list[tuple[int, Phone]] = []
    for part, recordings in enumerate(Pool.load(half).split(rng, EVENTS)):
        event = make_event(recordings, rng, length_s=300, sources=3)
        for _ in range(PHONES):
            phone = make_phone(
                event, rng, start_s=rng.uniform(2, 298 - LENGTH_S), length_s=LENGTH_S, snr_db=10.0,
                hard=False, noises=event.noises,
            )  # fmt: skip
            write(phone, folder / f"{len(out):03d}.wav")
            phone.samples = np.zeros(len(phone.samples), np.int8)
            out.append((part, phone))
    truth.write_bytes(pickle.dumps(out))
    return out


def _two_hundred(folder: Path, count: int) -> Row:
    clips = [forensics.open_clip(folder / f"{n:03d}.wav", metadata=False) for n in range(count)]
    pairs = count * (count - 1) // 2
    forget()
    marks = [time.process_time()]
    heard = [hear(clip) for clip in clips]
    marks.append(time.process_time())
    measured = measure_pairs(heard)
    marks.append(time.process_time())
    align = audio.align_clips(clips)
    marks.append(time.process_time())
    part = {clip.digest: n // PHONES for n, clip in enumerate(clips)}
    mixed = sum(len({part[c] for c in group}) > 1 for group in align.components)
    opening, comparing, solving = np.diff(marks)
    return {
        "clips": count, "seconds": LENGTH_S, "pairs": pairs, "events": EVENTS,
        "decoding_and_describing_cpu_s": round(opening, 1),
        "comparing_all_pairs_cpu_s": round(comparing, 1),
        "compared_in_full": len(measured),
        "refined": sum(item.fits is not None for item in measured.values()),
        "judging_and_placing_cpu_s": round(solving, 1),
        "comparing_cpu_ms_per_pair": round(1000 * comparing / pairs, 3),
        "all_cpu_ms_per_pair": round(1000 * (marks[-1] - marks[0]) / pairs, 3),
        "all_cpu_s": round(marks[-1] - marks[0], 1), "peak_memory_mib": peak_mib(),
        "placed": len(align.placements), "components": len(align.components),
        "components_that_mix_events": mixed,
    }  # fmt: skip


def _some_pairs(
    folder: Path, phones: list[tuple[int, Phone]]
) -> tuple[list[tuple[str, str]], list[Row]]:
    rng = np.random.default_rng(SEED + 1)
    jobs: list[tuple[str, str]] = []
    truth: list[Row] = []
    while len(truth) < TRUE:
        i, j = (int(n) for n in rng.choice(len(phones), 2, replace=False))
        one, two = phones[i][1], phones[j][1]
        if phones[i][0] != phones[j][0] or abs(one.start_s - two.start_s) > LENGTH_S - 60:
            continue
        known = judge(one, two)
        jobs.append((str(folder / f"{i:03d}.wav"), str(folder / f"{j:03d}.wav")))
        truth.append({"offset_s": known.offset_s, "drift_ppm": known.drift_ppm,
                      "by_source": known.by_source, "middle_s": known.middle_s})  # fmt: skip
    while len(jobs) < TRUE + FAR:
        i, j = (int(n) for n in rng.choice(len(phones), 2, replace=False))
        if phones[i][0] != phones[j][0]:
            jobs.append((str(folder / f"{i:03d}.wav"), str(folder / f"{j:03d}.wav")))
    return jobs, truth


def _alone(job: tuple[str, str]) -> Row:
    """This library on one pair, from the files on, nothing kept from before."""
    forget()
    begun = time.process_time()
    one, two = (forensics.open_clip(path, metadata=False) for path in job)
    (pair,) = audio.align_clips([one, two]).pairs
    spent = time.process_time() - begun
    offset = pair.offset
    drift = pair.drift_ppm.value if pair.drift_ppm else None
    return {"offset_s": offset.value if offset else float("nan"), "drift_ppm": drift,
            "cpu_s": spent}  # fmt: skip


def _one_pair(answers: list[Row], truth: list[Row]) -> Row:
    errors = [errors_of(job, said)["source"] for job, said in zip(truth, answers, strict=False)]
    return {
        "cpu_s_per_pair": round(float(np.mean([a["cpu_s"] for a in answers])), 3),
        "median_error_ms": round(1000 * float(np.median(errors)), 3),
        "greatest_error_ms": round(1000 * float(np.max(errors)), 1), "n": len(errors),
    }  # fmt: skip


def _side_by_side(
    jobs: list[tuple[str, str]], truth: list[Row], count: int, peers: Sequence[str],
    run_peer: RunPeer, ours: Row, folder: Path,
) -> Row:  # fmt: skip
    """One pair of two-minute clips, and all pairs of two hundred, for every tool."""
    pairs = count * (count - 1) // 2
    _alone(jobs[0])
    table: Row = {"forensics": _one_pair([_alone(job) for job in jobs], truth)}
    table["forensics"]["all_pairs_cpu_s"] = ours["all_cpu_s"]
    print(json.dumps(table), flush=True)
    for tool in peers:
        kept = folder / f"{tool}.json"
        said = json.loads(kept.read_text()) if kept.exists() else run_peer(tool, jobs)
        kept.write_text(json.dumps(said))
        if isinstance(said, str):
            table[tool] = said
            continue
        row = _one_pair(said, truth)
        row["all_pairs_cpu_s"] = round(pairs * row["cpu_s_per_pair"])
        if tool in KEPT:
            # Asked twice, the second time the description of both clips is there already.
            again = run_peer(f"{tool}-kept", [*jobs[:8], *jobs[:8]])
            assert not isinstance(again, str)
            first, second = (
                float(np.mean([a["cpu_s"] for a in part])) for part in (said[:8], again[8:])
            )
            row["comparing_alone_cpu_s_per_pair"] = round(second, 4)
            row["all_pairs_cpu_s"] = round(count * max(0.0, first - second) / 2 + pairs * second)
        table[tool] = row
        print(tool, json.dumps(row), flush=True)
    costs = [r["all_pairs_cpu_s"] for t, r in table.items() if t != "forensics" and "n" in r]
    mine = table["forensics"]
    near = [
        r["cpu_s_per_pair"] for t, r in table.items()
        if "n" in r and t != "forensics" and r["median_error_ms"] <= 2 * mine["median_error_ms"]
    ]  # fmt: skip
    return {
        "one_pair_of_two_minutes": table,
        "fastest_peer_within_twice_our_error_cpu_s": min(near, default=None),
        "all_pairs_fastest_peer_over_ours": round(min(costs) / ours["all_cpu_s"], 1)
        if costs else None,
    }  # fmt: skip


def thousand() -> None:
    """A thousand clips of up to ten minutes: time and memory of the comparison."""
    rng, count = np.random.default_rng(4), 1000
    lengths = rng.uniform(10.0, 600.0, count)
    features = [
        (rng.standard_normal((int(s / FRAME_S), 40), np.float32) * 0.15).astype(np.float16)
        for s in lengths
    ]
    pairs = count * (count - 1) // 2
    begun, wall = time.process_time(), time.monotonic()
    found = sum(1 for _ in find_likely(features))
    # Real strangers pass the first look now and then: one pair in a hundred goes on.
    some = {tuple(sorted(rng.choice(count, 2, replace=False))) for _ in range(pairs // 100)}
    found += sum(1 for _ in match_all(features, pairs=sorted(some)))
    spent = time.process_time() - begun
    found_here = {
        "clips": count, "seconds": [10.0, 600.0], "pairs": pairs, "compared_in_full": found,
        "cpu_s": round(spent, 1), "cpu_ms_per_pair": round(1000 * spent / pairs, 3),
        "wall_s": round(time.monotonic() - wall, 1), "load": round(os.getloadavg()[0], 1),
        "features_mib": sum(f.nbytes for f in features) // 2**20, "peak_memory_mib": peak_mib(),
        "what": "features drawn at random; decoding, refining and placing not included",
    }  # fmt: skip
    print(json.dumps(found_here), flush=True)
    save("scale_thousand", found_here)
