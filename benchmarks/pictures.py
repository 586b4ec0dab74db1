"""How often are edits in a continuous view found, and how often is an untouched view accused?

    python benchmarks/pictures_make.py WORK      (the material, once)
    python benchmarks/pictures.py WORK [--ship]

Leave one source out: the forest that judges steps and its threshold come from all other sources,
the figures are those of the source left out. ``--ship`` grows the shipped forest on all sources;
the figures stay those of the held-out runs. An edit counts as found within 2 frames of a boundary.
Scenes of benchmarks/pictures_scenes.py, where WORK has them, are a stratum of their own: no forest
is grown on any of them, and each is judged without the recording that its view comes from.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pictures_forest import TREES, grow_forest
from pictures_make import NEGATIVES, STATIC, Sample, measure_source
from pictures_scenes import SCENES, SceneSample, measure_scene

from forensics.calibration import hourly_rate, item_rate
from forensics.edits_power import edit_found
from forensics.video_judge import Seen, judge_frames
from forensics.video_spikes import StepModel, Steps, measure_candidates

RESULTS = Path(__file__).resolve().parent / "results"
VISIBLE = 5.0
CLEAR = 12.0
#: Seen by eye: the published file itself skips here (a walker vanishes a stride from the edge).
NATIVE_BREAKS = {"vtest": (404,)}
ALARMS_PER_HOUR = 5.0
VERSIONS = {"video-discontinuities": "2", "edits": "2"}
#: Parts into which the sources are divided to find a threshold.
FOLDS = 4


def load(work: Path) -> list[Sample]:
    samples: list[Sample] = []
    for name in (*STATIC, *NEGATIVES):
        if (work / f"{name.split()[0]}.recipes").exists():
            samples += measure_source(name, work)
        else:
            print("no material for", name)
    return samples


def hours(sample: Sample) -> float:
    return len(sample.measured) / sample.rate_hz / 3600


def labelled(sample: Sample, steps: Steps) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which candidates are edits, and which count (what cannot be seen is neither)."""
    positive = np.zeros(len(steps.frames), bool)
    counts = np.ones(len(steps.frames), bool)
    native = NATIVE_BREAKS.get(sample.source, ())
    if sample.plan is not None:
        shown = {int(s): n for n, s in enumerate(sample.plan.order)}
        native = tuple(shown[b] for b in native if b in shown)
        for edit, seen in zip(sample.plan.edits, sample.visible, strict=True):
            for boundary, strength in zip(edit.boundaries, seen, strict=False):
                away = np.abs(steps.frames - boundary)
                near = away <= 2
                counts &= ~near
                # The frame itself is the edit; those beside it are neither one nor the other.
                if strength >= VISIBLE and near.any():
                    exact = near & (away == away.min())
                    positive |= exact
                    counts |= exact
    for boundary in native:
        counts &= np.abs(steps.frames - boundary) > 2
    return positive & counts, counts


def train(
    samples: list[Sample], tables: dict[int, Steps], note: str, *, trees: int = TREES
) -> StepModel:
    """A forest on these samples, and the threshold that its own folds say allows few alarms."""
    rows, labels, weights, sources, negative = [], [], [], [], []
    count: dict[str, int] = defaultdict(int)
    for sample in samples:
        _, counts = labelled(sample, tables[id(sample)])
        count[sample.source] += int(counts.sum())
    usual = np.median([n for n in count.values() if n])
    names = sorted(count)
    time = 0.0
    for sample in samples:
        positive, counts = labelled(sample, tables[id(sample)])
        rows.append(tables[id(sample)].features[counts])
        labels.append(positive[counts])
        most = int(counts.sum())
        weights.append(np.full(most, min(3.0, usual / max(1, count[sample.source]))))
        sources.append(np.full(most, names.index(sample.source)))
        untouched = sample.edit == "untouched"
        negative.append(np.full(most, untouched))
        time += hours(sample) if untouched else 0.0
    table, truth = np.concatenate(rows), np.concatenate(labels)
    weight, group = np.concatenate(weights), np.concatenate(sources) % FOLDS
    # A forest knows the rows it grew on: the threshold comes from rows it did not.
    alarms: list[float] = []
    for fold in range(FOLDS):
        out = group == fold
        model = grow_forest(table[~out], truth[~out], weight[~out], note, trees=trees // 2)
        alarms += model.score(table[out & np.concatenate(negative)]).tolist()
    alarms.sort(reverse=True)
    allowed = int(ALARMS_PER_HOUR * time)
    threshold = alarms[allowed] + 1e-6 if len(alarms) > allowed else 0.05
    model = grow_forest(table, truth, weight, note, trees=trees)
    return msgspec.structs.replace(
        model, least_score=round(float(np.clip(threshold, 0.05, 0.95)), 4)
    )


def judge(sample: Sample, model: StepModel) -> list[Seen]:
    seen = judge_frames(sample.measured, sample.rate_hz, least_score=model.least_score, model=model)
    native = NATIVE_BREAKS.get(sample.source, ())
    if sample.plan is not None:
        shown = {int(s): n for n, s in enumerate(sample.plan.order)}
        native = tuple(shown[b] for b in native if b in shown)
    return [
        s for s in seen
        if s.kind != "doubled-frames"
        and not any(abs(b - m) <= 3 for b in native for m in (s.first, s.last))
    ]  # fmt: skip


def judge_scene(sample: SceneSample, model: StepModel) -> dict[str, Any]:
    """Alarms in an untouched composited scene, those at a known nuisance apart."""
    least = model.least_score
    seen = judge_frames(sample.measured, sample.rate_hz, least_score=least, model=model)
    near = int(sample.rate_hz)
    row: dict[str, Any] = {"scene": sample.scene, "encode": sample.profile, "alarms": [],
                           "hours": len(sample.measured) / sample.rate_hz / 3600,
                           "nuisances": len(sample.nuisances)}  # fmt: skip
    for one in (s for s in seen if s.kind != "doubled-frames"):
        beside = (n.what for n in sample.nuisances
                  if n.first - near <= one.last and one.first <= n.last + near)  # fmt: skip
        cause = next(beside, "")
        row["alarms"].append([one.kind, one.first, one.last, round(one.score, 3), cause])
    return row


def report_scenes(scenes: list[dict[str, Any]]) -> dict[str, Any]:
    """Alarms an hour away from nuisances, and how many nuisances raised one."""
    alone = sum(not a[4] for row in scenes for a in row["alarms"])
    time = sum(row["hours"] for row in scenes)
    distinct = sum(row["hours"] for row in scenes if row["encode"] == "recorder")
    rate = hourly_rate(alone, time) if scenes else None
    causes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in scenes:
        kinds = SCENES[row["scene"]][4]
        for what in kinds:
            causes[what][1] += row["nuisances"] // len(kinds)
        for alarm in row["alarms"]:
            if alarm[4]:
                causes[alarm[4]][0] += 1
    print(f"composited scenes: {alone} alarms in {time:.2f} h of files, {distinct:.2f} h distinct"
          + (f" [{rate.low:.1f}, {rate.high:.1f}]/h" if rate else ""))  # fmt: skip
    for what, (raised, made) in sorted(causes.items()):
        print(f"   {what}: {raised} alarms at {made} of them")
    return {
        "hours": round(time, 3), "hours_distinct": round(distinct, 3), "alarms": alone,
        "low_per_h": round(rate.low, 2) if rate else None,
        "high_per_h": round(rate.high, 2) if rate else None,
        "at nuisances": {k: {"alarms": a, "made": m} for k, (a, m) in sorted(causes.items())},
        "scenes": scenes,
    }  # fmt: skip


def bucket(strength: float) -> str:
    return "clear" if strength >= CLEAR else "faint" if strength >= VISIBLE else "nothing moved"


def main() -> None:
    work = Path(sys.argv[1])
    samples = load(work)
    tables = {id(s): measure_candidates(s.measured, s.rate_hz) for s in samples}
    sources = list(dict.fromkeys(s.source for s in samples))
    found: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    named: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    kinds: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    alarms: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0])
    alarm_kinds: dict[str, int] = defaultdict(int)
    listed: list[Any] = []
    thresholds = {}
    scenes: list[dict[str, Any]] = []
    for source in sources:
        others = [s for s in samples if s.source != source]
        model = train(others, tables, f"without {source}")
        thresholds[source] = model.least_score
        for scene in (n for n, row in SCENES.items() if row[0] == source):
            if (work / f"scene {scene}.recipe").exists():
                scenes += [judge_scene(s, model) for s in measure_scene(scene, work)]
        for sample in (s for s in samples if s.source == source):
            seen = judge(sample, model)
            if sample.edit == "untouched":
                stratum = "moving camera" if "(moving)" in sample.source else "fixed"
                alarms[sample.profile, stratum][0] += len(seen)
                alarms[sample.profile, stratum][1] += hours(sample)
                for one in seen:
                    if stratum == "fixed":
                        alarm_kinds[one.kind] += 1
                    listed.append([source, sample.profile, one.kind, one.first,
                                   round(one.score, 3)])  # fmt: skip
                continue
            assert sample.plan is not None
            for edit, strengths in zip(sample.plan.edits, sample.visible, strict=True):
                if sample.edit == "reorder 2 s":
                    for boundary, strength in zip(edit.boundaries, strengths, strict=False):
                        hit = any(abs(boundary - m) <= 2 for s in seen
                                  for m in (*s.boundaries, s.first, s.last))  # fmt: skip
                        row = found[sample.edit, sample.profile, bucket(strength)]
                        row[0] += hit
                        row[1] += 1
                        kinds["reorder"][0] += hit and strength >= VISIBLE
                        kinds["reorder"][1] += strength >= VISIBLE
                    continue
                if sample.edit == "freeze 0.6 s":
                    strength = 99.0 if moving_around(sample, edit.first, edit.last) else 0.0
                else:
                    strength = max(strengths, default=0.0)
                hit = edit_found(edit, seen)
                row = found[sample.edit, sample.profile, bucket(strength)]
                row[0] += hit
                row[1] += 1
                if strength >= VISIBLE:
                    kinds[edit.kind][0] += hit
                    kinds[edit.kind][1] += 1
                    if hit:
                        right = any(s.kind == edit.kind and s.first <= edit.last + 2
                                    and s.last >= edit.first - 2 for s in seen)  # fmt: skip
                        named[sample.edit, sample.profile][0] += right
                        named[sample.edit, sample.profile][1] += 1
    report(samples, sources, found, named, kinds, alarms, alarm_kinds, listed, thresholds,
           report_scenes(scenes))  # fmt: skip
    if "--ship" in sys.argv:
        ship(samples, tables, list(thresholds.values()))


def ship(samples: list[Sample], tables: dict[int, Steps], thresholds: list[float]) -> None:
    """Grow the forest on all sources and write it into the library."""
    sources = {s.source for s in samples}
    day = datetime.now(UTC).date().isoformat()
    model = train(samples, tables, f"{day}, {len(sources)} sources, benchmarks/pictures.py")
    target = RESULTS.parent.parent / "forensics" / "data" / "step_model.json"
    data = {f: getattr(model, f) for f in model.__struct_fields__}
    data["least_score"] = float(np.median(thresholds or [model.least_score]))
    lines = (f" {json.dumps(k)}: {json.dumps(v)}" for k, v in data.items())
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print("shipped", data["least_score"])


def moving_around(sample: Sample, first: int, last: int) -> bool:
    """Whether the view moves on both sides of a freeze, so that standstill says something."""
    diff = sample.measured.columns["diff"]
    reach = max(3, round(sample.rate_hz))
    before, after = diff[max(1, first - reach) : first], diff[last + 1 : last + 1 + reach]
    return bool(min(np.percentile(before, 20), np.percentile(after, 20)) > 0.15)


def report(
    samples: list[Sample], sources: list[str], found: Any, named: Any, kinds: Any, alarms: Any,
    alarm_kinds: Any, listed: Any, thresholds: Any, scenes: dict[str, Any],
) -> None:  # fmt: skip
    out: dict[str, Any] = {"recall": [], "alarms": [], "named": []}
    print(f"{'edit':16} {'encode':9} {'displacement':14} found of made   [95 %]")
    for (edit, profile, seen), (hit, made) in sorted(found.items()):
        rate = item_rate(hit, made)
        print(f"{edit:16} {profile:9} {seen:14} {hit:3} of {made:3}   {hit / made:5.0%} "
              f"[{rate.low:.0%}, {rate.high:.0%}]")  # fmt: skip
        out["recall"].append({"edit": edit, "encode": profile, "displacement": seen, "found": hit,
                              "made": made, "low": round(rate.low, 4),
                              "high": round(rate.high, 4)})  # fmt: skip
    for (edit, profile), (right, hit) in sorted(named.items()):
        out["named"].append({"edit": edit, "encode": profile, "named": right, "found": hit})
        print(f"named {edit:16} {profile:9} {right} of {hit}")
    print("\nuntouched views: alarms in hours (file time; the same footage in several encodings)")
    for (profile, stratum), (count, time) in sorted(alarms.items()):
        rate = hourly_rate(int(count), time)
        print(f"{stratum:14} {profile:9} {count:3.0f} in {time:.3f} h   "
              f"[{rate.low:.1f}, {rate.high:.1f}]/h")  # fmt: skip
        out["alarms"].append({"camera": stratum, "encode": profile, "alarms": int(count),
                              "hours": round(time, 4), "low_per_h": round(rate.low, 2),
                              "high_per_h": round(rate.high, 2)})  # fmt: skip
    for row in listed:
        print("  alarm:", *row)
    fixed = [s for s in samples if s.edit == "untouched"
             and "(moving)" not in s.source]  # fmt: skip
    time = sum(hours(s) for s in fixed)
    distinct = sum(hours(s) for s in fixed if s.profile == "native")
    out |= {
        "hours_of_fixed_negatives": round(time, 4), "hours_distinct": round(distinct, 4),
        "sources": sources, "listed_alarms": listed, "thresholds": thresholds,
        "native_breaks_left_out": {k: list(v) for k, v in NATIVE_BREAKS.items()},
        "method": "leave one source out; an event counts within 2 frames",
        "measured": datetime.now(UTC).date().isoformat(), "peers": peers(),
        "composited_scenes": scenes,
    }  # fmt: skip
    print(f"hours of untouched fixed views: {time:.2f} in all encodings, {distinct:.2f} distinct")
    (RESULTS / "pictures.json").write_text(json.dumps(out, indent=1) + "\n")
    digest = dataset_digest(samples)
    # A finding of the pictures alone passes through `edits` unchanged, and so does its rate.
    rows = [
        {"method": method, "version": VERSIONS[method], "stratum": kind,
         "true_positives": int(hit), "false_negatives": int(made - hit),
         "false_positives": int(alarm_kinds.get(kind, 0)), "negatives": round(time, 4),
         "per_hour": True, "dataset": "edits made on real fixed views, three encodings",
         "dataset_digest": digest, "independent": len(STATIC), "measured": out["measured"],
         "script": "benchmarks/pictures.py",
         "note": "held-out sources; misses count only where the step shows 5 grey levels or more; "
                 "hours are file time, the same footage in up to five encodings"}
        for method in ("video-discontinuities", "edits")
        for kind, (hit, made) in sorted(kinds.items()) if made
    ]  # fmt: skip
    (RESULTS / "rates_video.json").write_text(json.dumps(rows, indent=1) + "\n")


def peers() -> Any:
    path = RESULTS / "pictures_peers.json"
    return json.loads(path.read_text()) if path.exists() else "not run"


def dataset_digest(samples: list[Sample]) -> str:
    import hashlib

    text = json.dumps(sorted({s.measured.clip for s in samples if s.profile == "native"}))
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
