"""Fit the score of impulses on the tuning half: ``forensics/data/impulse_score.json``.

    python benchmarks/events_fit.py --sounds FOLDER --more FOLDER [--rounds 4] [--dry]

The folders are those of ``benchmarks/events.py``. Beds and families of impulses are dealt to four
folds; a scene has bed and impulses of one fold, so that leaving a fold out leaves out both. The
cross-validated F1 is printed and goes into the file with the numbers; the numbers themselves are
then fitted on all four folds. NumPy only, one thread, fixed seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

import events_scenes
import events_sounds
from events_scenes import Scene

from forensics import events_features, events_impulses, events_levels

UNITS, MEMBERS, EPOCHS, BATCH = 24, 4, 15, 512
DECAY, DROPPED, RATE_OF_LEARNING = 3e-3, 0.1, 3e-3
#: What an example counts. The softest are few and the hardest; the bed's own sudden onsets may be
#: impulses in truth, so they are weaker counter-examples.
WEIGHT = {20: 0.7, 10: 1.0, 0: 1.3}
WEIGHT_OWN = 0.6
#: Turns whose scenes hold series, and how many impulses such a scene counts for, by level; those
#: no louder than the background count for nothing.
SERIES_TURNS, SERIES_COUNT = (3,), {20: 8.0, 10: 5.0, 0: 0.0}
FOLDS = 4


@dataclass(frozen=True)
class Case:
    """A scene's candidates."""

    scene: Scene
    fold: int
    turn: int
    at: np.ndarray
    features: np.ndarray


def nearest(at: np.ndarray, moments: list[float]) -> np.ndarray:
    """Seconds from each candidate to the nearest of the moments."""
    if not moments:
        return np.full(len(at), 99.0)
    return np.abs(at[:, None] - np.array(moments)[None]).min(axis=1)


def cases(sounds: Path, more: Path, rounds: int) -> list[Case]:
    """Scenes of the tuning half. Turn 0 holds recordings as they are; later turns also hold made
    impulses, varied ones (2 and up), two beds at once (2) and series (3)."""
    beds = events_sounds.beds("tune", sounds) + events_sounds.fresh_beds("tune", more)
    beds += [events_scenes.made_bed(number) for number in range(6)]
    families = [[item] for item in events_sounds.impulses(sounds)["tune"]]
    families += [items for _, items in events_sounds.fresh_impulses("tune", more)]
    deal = np.random.default_rng(5)
    bed_fold = deal.permutation(len(beds)) % FOLDS
    family_fold = deal.permutation(len(families)) % FOLDS
    found = []
    for number, bed in enumerate(beds):
        fold = int(bed_fold[number])
        mates = [b for k, b in enumerate(beds) if bed_fold[k] == fold and k != number]
        for level in (20, 10, 0):
            for turn in range(rounds):
                rng = np.random.default_rng([3, number, level, turn])
                pool = [
                    items[rng.integers(len(items))]
                    for k, items in enumerate(families) if family_fold[k] == fold
                ]  # fmt: skip
                if turn:
                    pool += [events_scenes.made_impulse(rng) for _ in range(3)]
                here = bed
                if turn >= 2:
                    pool = [events_scenes.varied(rng, item) for item in pool]
                if turn == 2:
                    here = mixed(rng, bed, mates[rng.integers(len(mates))])
                if turn:
                    shift = int(rng.integers(len(here.samples)))
                    here = replace(here, samples=np.roll(here.samples, shift))
                if turn in SERIES_TURNS:
                    scene = events_scenes.make_series(rng, here, pool, level)
                else:
                    bursts = 0.8 if turn % 2 else 0.4
                    scene = events_scenes.make_scene(rng, here, pool, level, bursts=bursts)
                levels = events_levels.measure_levels(scene.samples)
                hops, features = events_features.candidate_features(scene.samples, levels)
                scene = replace(scene, samples=scene.samples[:0])
                found.append(Case(scene, fold, turn, hops * events_levels.HOP_S, features))
    return found


def mixed(
    rng: np.random.Generator, bed: events_sounds.Bed, other: events_sounds.Bed
) -> events_sounds.Bed:
    """A bed with another behind it, 0 to 10 dB softer."""
    count = min(len(bed.samples), len(other.samples))
    gain = events_sounds.loud_db(bed.samples) - events_sounds.loud_db(other.samples)
    behind = np.roll(other.samples, int(rng.integers(count)))[:count]
    total = bed.samples[:count] + behind * 10 ** ((gain - rng.uniform(0, 10)) / 20)
    return replace(bed, samples=(total / max(1.0, np.abs(total).max())).astype(np.float32))


def labels(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Whether each candidate is an impulse, and what it counts."""
    scene = case.scene
    gap = nearest(case.at, scene.times)
    true = gap < 0.03
    weight = np.where(true, WEIGHT[int(scene.level_db)], 1.0)
    if case.turn in SERIES_TURNS:
        # What is common in the fit is what the score expects: a volley counts as much as the few
        # impulses of another scene, or every drum would be one.
        share = SERIES_COUNT[int(scene.level_db)] / max(1, len(scene.times))
        weight[true] *= min(1.0, share)
    weight[(gap >= 0.03) & (gap < 0.05)] = 0
    weight[~true & (nearest(case.at, scene.own) < 0.05)] = WEIGHT_OWN
    weight[~true & (nearest(case.at, scene.later) < 0.05)] = 0
    if case.turn in SERIES_TURNS and not SERIES_COUNT[int(scene.level_db)]:
        weight[:] = 0
    return true.astype(np.float32), weight.astype(np.float32)


def train(z: np.ndarray, true: np.ndarray, weight: np.ndarray, seed: int) -> list[np.ndarray]:
    """One network: a layer of rectified units, logistic loss, Adam with a cosine schedule."""
    rng = np.random.default_rng(seed)
    count, width = z.shape
    at = [
        (rng.normal(size=(width, UNITS)) / np.sqrt(width)).astype(np.float32),
        np.zeros(UNITS, np.float32),
        (rng.normal(size=UNITS) / np.sqrt(UNITS)).astype(np.float32),
        np.zeros(1, np.float32),
    ]
    first = [np.zeros_like(p) for p in at]
    second = [np.zeros_like(p) for p in at]
    step, steps = 0, EPOCHS * (count // BATCH)
    for _ in range(EPOCHS):
        order = rng.permutation(count)
        for begin in range(0, count - BATCH + 1, BATCH):
            pick = order[begin : begin + BATCH]
            x = z[pick] * (rng.random((BATCH, width), dtype=np.float32) > DROPPED)
            before = x @ at[0] + at[1]
            units = np.maximum(before, 0)
            answer = 1 / (1 + np.exp(-np.clip(units @ at[2] + at[3], -30, 30)))
            wrong = weight[pick] * (answer - true[pick]) / BATCH
            back = np.outer(wrong, at[2]) * (before > 0)
            slopes = [
                x.T @ back + DECAY * at[0], back.sum(axis=0),
                units.T @ wrong + DECAY * at[2], wrong.sum(keepdims=True),
            ]  # fmt: skip
            step += 1
            pace = RATE_OF_LEARNING * 0.5 * (1 + np.cos(np.pi * step / steps))
            for k, slope in enumerate(slopes):
                first[k] = 0.9 * first[k] + 0.1 * slope
                second[k] = 0.999 * second[k] + 0.001 * slope**2
                root = np.sqrt(second[k] / (1 - 0.999**step)) + 1e-8
                at[k] = at[k] - pace * (first[k] / (1 - 0.9**step)) / root
    return at


def fit(chosen: list[Case]) -> dict[str, Any]:
    """The networks of some cases, as they are shipped: four digits."""
    table = np.concatenate([case.features for case in chosen])
    parts = [labels(case) for case in chosen]
    true, weight = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    centre, spread = table.mean(axis=0), table.std(axis=0) + 1e-3
    z = np.clip((table - centre) / spread, -4, 4).astype(np.float32)
    members = []
    for seed in range(MEMBERS):
        rows = train(z, true, weight, seed)
        names = ("first", "first_bias", "second", "second_bias")
        members.append({n: rounded(r) for n, r in zip(names, rows, strict=True)})
    return {
        "features": list(events_features.FEATURES), "centre": rounded(centre),
        "spread": rounded(spread), "members": members, "candidates": len(true),
        "positives": int(true.sum()),
    }  # fmt: skip


def rounded(values: np.ndarray) -> Any:
    """Nested lists of numbers with four digits."""
    if values.ndim > 1:
        return [rounded(row) for row in values]
    return [float(f"{v:.4g}") for v in values]


def f1_by_level(
    held: list[tuple[Case, np.ndarray]], cut: float, turns: tuple[int, ...] = (0,)
) -> dict[str, list[float]]:
    """F1 by level over held-out cases: all counted, and own onsets not; then recall."""
    counts: dict[str, np.ndarray] = {}
    for case, scores in held:
        if case.turn not in turns:
            continue
        keep = events_impulses.select_candidates(
            np.round(case.at / events_levels.HOP_S).astype(int), scores, case.features, cut
        )
        found = list(case.at[keep])
        pairs = events_scenes.match(found, case.scene.times)
        extra = np.array([f for k, f in enumerate(found) if k not in pairs])
        aside = nearest(extra, case.scene.own) < 0.05
        aside |= nearest(extra, case.scene.later) < 0.05
        hit = sum(p >= 0 for p in pairs)
        cell = counts.setdefault(str(int(case.scene.level_db)), np.zeros(4))
        cell += [hit, len(pairs) - hit, len(extra), len(extra) - aside.sum()]
    return {
        level: [
            round(float(2 * c[0] / max(1, 2 * c[0] + c[1] + c[2])), 3),
            round(float(2 * c[0] / max(1, 2 * c[0] + c[1] + c[3])), 3),
            round(float(c[0] / max(1, c[0] + c[1])), 3),
        ]
        for level, c in counts.items()
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sounds", type=Path, required=True)
    parser.add_argument("--more", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    args = parser.parse_args()
    everything = cases(args.sounds, args.more, args.rounds)
    print(len(everything), "scenes", sum(len(c.at) for c in everything), "candidates", flush=True)
    held: list[tuple[Case, np.ndarray]] = []
    for fold in range(FOLDS):
        part = fit([c for c in everything if c.fold != fold])
        network = events_features.read_network(part)
        held += [
            (c, events_features.score_features(c.features, network))
            for c in everything if c.fold == fold
        ]  # fmt: skip
    for cut in (0.3, 0.4, 0.5, 0.6):
        print(cut, f1_by_level(held, cut), "series", f1_by_level(held, cut, (3,)), flush=True)
    record = fit(everything)
    record["fitted_by"] = (
        "benchmarks/events_fit.py, tuning half; cross-validated: F1 at 0.5 by level, all false "
        "alarms counted, and without those on sudden onsets of bed or recording; recall"
    )
    record["cross_validated"] = f1_by_level(held, 0.5)
    record["cross_validated_series"] = f1_by_level(held, 0.5, (3,))
    if not args.dry:
        path = ROOT / "forensics/data/impulse_score.json"
        path.write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
