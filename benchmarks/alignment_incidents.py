"""Whole incidents for `benchmarks/alignment.py`."""

from __future__ import annotations

import json
import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from alignment_scenes import RATE, Phone, Pool, judge, make_event, make_phone, write
from alignment_score import save, share
from scipy.io import wavfile

import forensics
from forensics import audio
from forensics.audio_pairs import forget
from forensics.model import Alignment, Clip

#: Seed 909 was answered by version 2, 910 by versions 3 and 4 (who cannot say which clip was cut in
#: ten of twenty: why was looked at there); nobody had seen these when version 5 answered.
SEED = 911
#: Version of `audio.find_offset_breaks` that answered.
BREAKS = "2"


def opened(path: Path) -> Clip:
    """A clip without asking for metadata."""
    return forensics.open_clip(path, metadata=False)


def incidents(half: str, work: Path, number: int = 20) -> None:
    """Whole incidents: 8 to 17 clips of one event, two strangers, one silent clip."""
    pool = Pool.load(half)
    rows = []
    for case in range(number):
        place = work / f"incidents-{SEED}" / str(case)
        kept = place / "said.json"
        if not kept.exists():
            row = incident(pool, case, place)
            kept.write_text(json.dumps(row))
            if half == "report":
                for file in place.glob("*.wav"):
                    file.unlink()
        rows.append(json.loads(kept.read_text()))
        print({k: v for k, v in rows[-1].items() if k not in ("errors", "inside")}, flush=True)
    errors = [e for r in rows for e in r.pop("errors")]
    inside = [i for r in rows for i in r.pop("inside")]
    found = {
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
        "clips": sum(r["clips"] for r in rows),
        "uncut_clips_said_to_jump": sum(r["clips_said_to_jump_uncut"] for r in rows),
        "uncut_pairs_with_a_jump": sum(r["jumps_uncut"] for r in rows),
        "cut_found": share([r["cut_found"] for r in rows if "cut_s" in r]),
        "cut_said_of_the_right_clip": share([r["cut_decided"] for r in rows if "cut_s" in r]),
        "cut_said_of_another_clip": sum(r.get("clips_wrongly_said_to_jump", 0) for r in rows),
        "dataset_digest": pool.digest, "seed": SEED, "version": BREAKS, "rows": rows,
    }  # fmt: skip
    print(json.dumps({k: v for k, v in found.items() if k != "rows"}, indent=1))
    if half == "report":
        save("incidents", found)


def incident(pool: Pool, case: int, place: Path) -> dict[str, Any]:
    """One incident made, aligned and checked; its files and their truth stay in `place`."""
    rng = np.random.default_rng([SEED, case])
    truth = place / "truth.pickle"
    if not truth.exists():
        place.mkdir(parents=True, exist_ok=True)
        truth.write_bytes(pickle.dumps(_make(pool, rng, place)))
    phones: list[Phone] = pickle.loads(truth.read_bytes())
    clips = [opened(place / f"{n}.wav") for n in range(len(phones))]
    clips += [opened(place / f"alien{n}.wav") for n in range(2)]
    silent = opened(place / "silent.wav")
    forget()
    begun = time.process_time()
    align = audio.align_clips([*clips, silent])
    spent = time.process_time() - begun
    row = _check(align, clips, silent, phones) | {"case": case, "cpu_s": round(spent, 2)}
    row["jumps_uncut"] = len(align.jumps)
    row["jumps_uncut_decided"] = sum(j.clip != "" for j in align.jumps)
    row["clips_said_to_jump_uncut"] = len({j.clip for j in align.jumps} - {""})
    return row | _cut(rng, clips, phones, place)


def _cut(
    rng: np.random.Generator, clips: list[Clip], phones: list[Phone], place: Path
) -> dict[str, Any]:
    """The same incident with a stretch taken out of one clip: is it found, and in which clip?"""
    long = [n for n, phone in enumerate(phones) if phone.length_s >= 24]
    if not long:
        return {}
    number = int(rng.choice(long))
    rate, samples = wavfile.read(place / f"{number}.wav")
    gone = float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
    at = float(rng.uniform(8, len(samples) / rate - 8 - gone))
    kept = np.concatenate([samples[: int(at * rate)], samples[int((at + gone) * rate) :]])
    wavfile.write(place / "cut.wav", rate, kept)
    cut = opened(place / "cut.wav")
    align = audio.align_clips([*clips[:number], cut, *clips[number + 1 :]])
    near = [
        j for j in align.jumps
        if cut.digest in (j.first, j.second)
        and abs((j.first_s if j.first == cut.digest else j.second_s) - at) < 1.5
    ]  # fmt: skip
    sizes = [abs(j.jump.value) for j in near]
    return {
        "cut_s": round(gone, 3), "cut_found": bool(near),
        "cut_decided": any(j.clip == cut.digest for j in near),
        "cut_decided_for_another": any(j.clip not in ("", cut.digest) for j in near),
        "cut_error_s": round(float(np.median(sizes)) - gone, 3) if sizes else None,
        "clips_wrongly_said_to_jump": len({j.clip for j in align.jumps} - {"", cut.digest}),
    }


def _make(pool: Pool, rng: np.random.Generator, place: Path) -> list[Phone]:
    mine, theirs, more = pool.split(rng, 3)
    event = make_event(mine, rng, length_s=140)
    phones: list[Phone] = []
    # Each clip after the first shares at least 10 s with an earlier one.
    for n in range(int(rng.integers(8, 18))):
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
        write(phone, place / f"{n}.wav")
        phones.append(replace(phone, samples=np.zeros(len(phone.samples), np.int8)))
    for n, part in enumerate((theirs, more)):
        other = make_event(part, rng, length_s=90)
        alien = make_phone(other, rng, start_s=10.0, length_s=40.0, snr_db=10.0, hard=True,
                           noises=other.noises)  # fmt: skip
        write(alien, place / f"alien{n}.wav")
    wavfile.write(place / "silent.wav", RATE, np.zeros(20 * RATE, np.int16))
    return phones


def _check(
    align: Alignment, clips: list[Clip], silent: Clip, phones: list[Phone]
) -> dict[str, Any]:
    errors: list[float] = []
    inside: list[bool] = []
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
        "errors": errors, "inside": inside,
        "pairs_used": sum(p.accepted for p in align.pairs),
    }  # fmt: skip
