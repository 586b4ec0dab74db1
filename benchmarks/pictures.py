"""How often are edits in a continuous view found, and how often is an untouched view accused?

    python benchmarks/pictures_make.py WORK      (the material, once)
    python benchmarks/pictures_scenes.py WORK    (untouched composited scenes, once)
    python benchmarks/pictures.py WORK [--ship]

Leave one source out: the forest that judges steps and its threshold come from all other sources,
the figures are those of the source left out. ``--ship`` grows the shipped forest on all sources;
the figures stay those of the held-out runs. An edit counts as found within 2 frames of a boundary.
Edits at *new places* were made after all else was settled; nothing was tuned or grown on them.
*Held* pictures go on where they stopped, so that nothing leaps; *held again* and *held elsewhere*
were made after the rule for blended ends, at other places and in views it was not made on.
*Unseen*, *fetched* and *latest* views came when the forest had long been shipped, and are judged by
the one that is shipped; the rules of version 5 were made looking at the unseen ones and at an older
take of the composed scenes. What version 5 said of the latest is kept as their *first look*.
Scenes of benchmarks/pictures_scenes.py, where WORK has them, are a stratum of their own: no forest
is grown on any of them, and each is judged without the recording that its view comes from. Every
alarm in them counts, at a known nuisance or not.

The scenes of take 500 were unseen for version 5 (results/pictures_take_500.json); two of the rules
of version 6 were made looking at their alarms. A missed edit is the worse where the clip's own map
says that a deletion could have been seen there: what was found is counted apart where all of an
edit's boundaries lie in stretches *not testable*. For freezes these hold the standstills that are
not called one, so that a freeze is found or said to be possible, or is lost where the picture did
not even stand still.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pictures_forest import TREES, grow_forest
from pictures_make import FETCHED, LATEST, NEGATIVES, STATIC, UNSEEN, Sample, measure_source
from pictures_scenes import SCENES, SceneSample, measure_scene

from forensics.calibration import hourly_rate, item_rate
from forensics.edits_power import edit_found
from forensics.model import Discontinuity
from forensics.scan import Measurements
from forensics.video_judge import Seen, is_remark, judge_clip, judge_frames, observe
from forensics.video_spikes import StepModel, Steps, measure_candidates, shipped_model
from forensics.video_testable import map_not_testable, map_standstills

RESULTS = Path(__file__).resolve().parent / "results"
VISIBLE = 5.0
CLEAR = 12.0
#: Seen by eye: the published file itself skips here (a walker vanishes a stride from the edge).
NATIVE_BREAKS = {"vtest": (404,)}
#: Alarms an hour that the tuning sources are allowed: the demand is 5.
ALARMS_PER_HOUR = 1.0
VERSIONS = {"video-discontinuities": "6", "edits": "6"}
#: Strata of real views, as published.
REAL = ("fixed", "unseen", "fetched", "latest")
#: Kinds whose alarms are counted together.
KINDS = {
    "splice": ("splice", "inserted-black"), "cover-up or loop": ("cover-up", "loop"),
    "freeze": ("freeze",), "reorder": ("reorder",), "deletion": ("deletion",),
}  # fmt: skip
#: No threshold below this: with no alarm allowed, the highest of a quiet hour is luck.
LEAST_SCORE = 0.4
#: Parts into which the sources are divided to find a threshold.
FOLDS = 4


def load(work: Path) -> list[Sample]:
    samples: list[Sample] = []
    for name in (*STATIC, *NEGATIVES):
        if (work / f"{name.split()[0]}.recipes").exists():
            samples += measure_source(name.split()[0], work)
        else:
            print("no material for", name)
    return samples


def load_more(work: Path, which: str) -> list[Sample]:
    """The edits at new places (fresh) or the held pictures, judged but never learned from."""
    made = [name for name in STATIC if (work / f"{name} {which}.recipes").exists()]
    return [sample for name in made for sample in measure_source(f"{name} {which}", work)]


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
        model, least_score=round(float(np.clip(threshold, LEAST_SCORE, 0.95)), 4)
    )


def judge(
    sample: Sample, model: StepModel
) -> tuple[list[Seen], list[tuple[int, int]]]:  # fmt: skip
    """What is seen in a clip, and its standstills of which nothing can be told."""
    said = judge_clip(sample.measured, sample.rate_hz, least_score=model.least_score, model=model)
    native = NATIVE_BREAKS.get(sample.source, ())
    if sample.plan is not None:
        shown = {int(s): n for n, s in enumerate(sample.plan.order)}
        native = tuple(shown[b] for b in native if b in shown)
    seen = [
        s for s in said.seen
        if not is_remark(s)
        and not any(abs(b - m) <= 3 for b in native for m in (s.first, s.last))
    ]  # fmt: skip
    return seen, said.no_freezes


def judge_scene(sample: SceneSample, model: StepModel, tally: Tally) -> None:
    """Alarms in an untouched composited scene, each with the nuisance it lies at, if any."""
    least = model.least_score
    said = judge_frames(sample.measured, sample.rate_hz, least_score=least, model=model)
    seen = [one for one in said if not is_remark(one)]
    near = int(sample.rate_hz)
    causes = [
        next((n.what for n in sample.nuisances
              if n.first - near <= one.last and one.first <= n.last + near), "")
        for one in seen
    ]  # fmt: skip
    tally.untouched("composited", sample.scene, sample.profile, sample.rate_hz,
                    sample.measured, seen, causes)  # fmt: skip


def verdict_of(seen: Seen, measured: Measurements) -> str:
    """The word that the library says of it."""
    said = observe(seen, measured).what
    assert isinstance(said, Discontinuity)
    return said.verdict


def bucket(strength: float) -> str:
    return "clear" if strength >= CLEAR else "faint" if strength >= VISIBLE else "nothing moved"


@dataclass
class Tally:
    """What was found of what was made, and what was said of untouched views."""

    #: (places, edit, encode, displacement) -> found, made
    found: dict[tuple[str, str, str, str], list[int]]
    #: (places, edit, encode) -> named right, found
    named: dict[tuple[str, str, str], list[int]]
    #: (places, kind) -> found, made; where the step shows
    kinds: dict[tuple[str, str], list[int]]
    #: (edit, encode, whether the map calls the place testable) -> found, made
    mapped: dict[tuple[str, str, bool], list[int]]
    #: kind -> said to be inconsistent with an original, found; edits that show
    words: dict[str, list[int]]
    #: (stratum, encode) -> alarms by kind
    alarms: dict[tuple[str, str], Counter[str]]
    hours: dict[tuple[str, str], float]
    listed: list[list[Any]]

    @classmethod
    def empty(cls) -> Tally:
        pairs = (defaultdict(lambda: [0, 0]) for _ in range(5))
        return cls(*pairs, defaultdict(Counter), defaultdict(float), [])  # type: ignore[arg-type]

    def edited(
        self, places: str, sample: Sample, seen: list[Seen], still: list[tuple[int, int]]
    ) -> None:  # fmt: skip
        assert sample.plan is not None
        lost = map_not_testable(sample.measured, sample.rate_hz)
        stands = map_standstills(sample.measured, still, lost)
        for edit, strengths in zip(sample.plan.edits, sample.visible, strict=True):
            freeze = edit.kind == "freeze"
            at = ((edit.first + edit.last) // 2,) if freeze else edit.boundaries
            times = [float(sample.measured.seconds[b]) for b in at if b < len(sample.measured)]
            told = (*lost, *stands) if freeze else lost
            testable = not all(
                any(part.span.start <= t <= part.span.end for part in told) for t in times
            )
            row = self.mapped[sample.edit, sample.profile, testable]
            row[0] += edit_found(edit, seen)
            row[1] += 1
            if edit.kind == "reorder":
                for boundary, strength in zip(edit.boundaries, strengths, strict=False):
                    hit = any(abs(boundary - m) <= 2 for s in seen
                              for m in (*s.boundaries, s.first, s.last))  # fmt: skip
                    self._one(places, sample, "reorder", strength, hit)
                continue
            if edit.kind == "freeze":
                strength = 99.0 if moving_around(sample, edit.first, edit.last) else 0.0
            else:
                strength = max(strengths, default=0.0)
            hit = edit_found(edit, seen)
            self._one(places, sample, edit.kind, strength, hit)
            if hit and strength >= VISIBLE:
                right = any(s.kind == edit.kind and s.first <= edit.last + 2
                            and s.last >= edit.first - 2 for s in seen)  # fmt: skip
                row = self.named[places, sample.edit, sample.profile]
                row[0] += right
                row[1] += 1
                row = self.words[edit.kind]
                row[0] += any(verdict_of(one, sample.measured) == "inconsistent"
                              for one in seen if edit_found(edit, [one]))  # fmt: skip
                row[1] += 1

    def _one(self, places: str, sample: Sample, kind: str, strength: float, hit: bool) -> None:
        rows = [self.found[places, sample.edit, sample.profile, bucket(strength)]]
        if strength >= VISIBLE:
            rows.append(self.kinds[places, kind])
        for row in rows:
            row[0] += hit
            row[1] += 1

    def untouched(self, stratum: str, name: str, encode: str, rate: float, measured: Measurements,
                  seen: list[Seen], causes: list[str]) -> None:  # fmt: skip
        self.hours[stratum, encode] += len(measured) / rate / 3600
        for one, cause in zip(seen, causes, strict=True):
            self.alarms[stratum, encode][one.kind] += 1
            self.listed.append(
                [stratum, name, encode, one.kind, one.first, round(one.score, 3), cause,
                 verdict_of(one, measured)]
            )  # fmt: skip


def main() -> None:
    work = Path(sys.argv[1])
    samples, fresh, held = load(work), load_more(work, "fresh"), load_more(work, "held")
    again = load_more(work, "held again")
    tables = {id(s): measure_candidates(s.measured, s.rate_hz) for s in samples}
    tally, thresholds = Tally.empty(), {}
    for source in dict.fromkeys(s.source for s in samples):
        others = [s for s in samples if s.source != source]
        model = train(others, tables, f"without {source}")
        thresholds[source] = model.least_score
        for scene in (n for n, row in SCENES.items() if row[0] == source):
            if (work / f"scene {scene}.recipe").exists():
                for one in measure_scene(scene, work):
                    judge_scene(one, model, tally)
        for sample in (s for s in samples if s.source == source):
            seen, still = judge(sample, model)
            if sample.edit != "untouched":
                tally.edited("seen before", sample, seen, still)
                continue
            stratum = "moving camera" if "(moving)" in sample.source else "fixed"
            tally.untouched(stratum, source, sample.profile, sample.rate_hz,
                            sample.measured, seen, [""] * len(seen))  # fmt: skip
        for sample in (s for s in fresh if s.source == source):
            tally.edited("new", sample, *judge(sample, model))
        for sample in (s for s in held if s.source == source):
            tally.edited("held", sample, *judge(sample, model))
        for sample in (s for s in again if s.source == source):
            tally.edited("held again", sample, *judge(sample, model))
    judge_unseen(work, tally)
    report(samples, tally, thresholds)
    if "--ship" in sys.argv:
        ship(samples, tables, list(thresholds.values()))


def judge_unseen(work: Path, tally: Tally) -> None:
    """Views that nothing was tuned or grown on, by the forest that is shipped."""
    views = [
        (stratum, name) for stratum, names in
        (("unseen", UNSEEN), ("fetched", FETCHED), ("latest", LATEST)) for name in names
    ]  # fmt: skip
    for stratum, name in views:
        if (work / f"{name} held again.recipes").exists():
            for sample in measure_source(f"{name} held again", work):
                tally.edited("held elsewhere", sample, *judge(sample, shipped_model()))
        if not (work / f"{name}.recipes").exists():
            continue
        for sample in measure_source(name, work):
            seen, still = judge(sample, shipped_model())
            if sample.edit != "untouched":
                tally.edited(stratum, sample, seen, still)
            else:
                tally.untouched(stratum, name, sample.profile, sample.rate_hz,
                                sample.measured, seen, [""] * len(seen))  # fmt: skip


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


def rates_of(tally: Tally) -> list[dict[str, Any]]:
    """Alarms an hour by kind: each stratum as recorded (distinct), and in all encodings."""
    groups = {
        "real, as published": [("fixed", "native")],
        "unseen, as published": [("unseen", "native")],
        "fetched, as published": [("fetched", "native")],
        "latest, as published": [("latest", "native")],
        "composited, as recorded": [("composited", "recorder")],
        "distinct, all": [
            *((real, "native") for real in REAL),
            ("composited", "recorder"),
        ],
    }
    for stratum in (*REAL, "composited", "moving camera"):
        keys = [k for k in tally.hours if k[0] == stratum]
        groups |= {f"{stratum}, {encode}": [(stratum, encode)] for _, encode in keys}
        groups[f"{stratum}, all encodings"] = keys
    rows = []
    for name, keys in groups.items():
        time = sum(tally.hours[key] for key in keys)
        if not time:
            continue
        print(f"\n{name}: {time:.3f} h")
        for group, kinds in KINDS.items():
            count = sum(tally.alarms[key][kind] for key in keys for kind in kinds)
            rate = hourly_rate(count, time)
            rows.append({"views": name, "kind": group, "alarms": count, "hours": round(time, 4),
                         "per_h": round(count / time, 3), "low_per_h": round(rate.low, 3),
                         "high_per_h": round(rate.high, 3)})  # fmt: skip
            print(f"   {group:18} {count:3}   {count / time:6.2f}/h "
                  f"[{rate.low:.2f}, {rate.high:.2f}]")  # fmt: skip
    return rows


def testable_of(tally: Tally) -> dict[str, Any]:
    """What was found where the map says that looking was worth it, and where it says otherwise."""
    rows = []
    print("\nfound of made, all edits at all places, where the clip's own map says")
    print(f"{'edit':16} {'encode':9} could be seen [95 %]      not testable   of the missed said")
    pairs = sorted({(edit, encode) for edit, encode, _ in tally.mapped})
    total = {True: [0, 0], False: [0, 0]}
    for edit, encode in [*pairs, ("all", "all")]:
        parts = {}
        for testable in (True, False):
            row = tally.mapped[edit, encode, testable] if edit != "all" else total[testable]
            parts[testable] = row
            if edit != "all":
                total[testable] = [a + b for a, b in zip(total[testable], row, strict=True)]
        (hit, made), (also, blind) = parts[True], parts[False]
        rate = item_rate(hit, made)
        told = f"{rate.low:.0%}, {rate.high:.0%}"
        print(f"{edit:16} {encode:9} {hit:3} of {made:3} [{told:9}]  {also:3} of {blind:3}      "
              f"{blind - also:3} of {made - hit + blind - also}")  # fmt: skip
        rows.append({"edit": edit, "encode": encode, "testable_found": hit, "testable_made": made,
                     "low": round(rate.low, 4), "high": round(rate.high, 4),
                     "not_testable_found": also, "not_testable_made": blind})  # fmt: skip
    for kind, (said, hit) in sorted(tally.words.items()):
        print(f"said to be inconsistent: {kind:10} {said} of {hit} found that show")
    words = {k: {"inconsistent": a, "found": b} for k, (a, b) in sorted(tally.words.items())}
    return {"testable": rows, "words": words}


def report(samples: list[Sample], tally: Tally, thresholds: dict[str, float]) -> None:
    out: dict[str, Any] = {"recall": [], "named": []}
    print(f"{'places':12} {'edit':16} {'encode':9} {'displacement':14} found of made   [95 %]")
    for (places, edit, profile, seen), (hit, made) in sorted(tally.found.items()):
        rate = item_rate(hit, made)
        print(f"{places:12} {edit:16} {profile:9} {seen:14} {hit:3} of {made:3}   "
              f"{hit / made:5.0%} [{rate.low:.0%}, {rate.high:.0%}]")  # fmt: skip
        out["recall"].append({"places": places, "edit": edit, "encode": profile,
                              "displacement": seen, "found": hit, "made": made,
                              "low": round(rate.low, 4), "high": round(rate.high, 4)})  # fmt: skip
    for (places, edit, profile), (right, hit) in sorted(tally.named.items()):
        out["named"].append({"places": places, "edit": edit, "encode": profile, "named": right,
                             "found": hit})  # fmt: skip
        print(f"named {places:12} {edit:16} {profile:9} {right} of {hit}")
    out |= testable_of(tally)
    out["alarms"] = rates_of(tally)
    for row in tally.listed:
        print("  alarm:", *row)
    distinct = (sum(tally.hours[real, "native"] for real in REAL),
                tally.hours["composited", "recorder"])  # fmt: skip
    out |= {
        "hours_distinct": {"real": round(distinct[0], 4),
                           "composited": round(distinct[1], 4),
                           "together": round(sum(distinct), 4)},
        "sources": list(thresholds), "listed_alarms": tally.listed, "thresholds": thresholds,
        "native_breaks_left_out": {k: list(v) for k, v in NATIVE_BREAKS.items()},
        "method": "leave one source out; an event counts within 2 frames",
        "measured": datetime.now(UTC).date().isoformat(), "peers": peers(),
    }  # fmt: skip
    print(f"distinct untouched hours: {distinct[0]:.2f} real, {distinct[1]:.2f} composited")
    target = RESULTS / "pictures.json"
    before = json.loads(target.read_text()) if target.exists() else {}
    out["first_look"] = before.get("first_look")
    target.write_text(json.dumps(out, indent=1) + "\n")
    write_rates(samples, tally, out["measured"])


def write_rates(samples: list[Sample], tally: Tally, day: str) -> None:
    """One row a kind for the library: edits at new places where there are any, all alarms."""
    views = [k for k in tally.hours if k[0] != "moving camera"]
    time = sum(tally.hours[key] for key in views)
    real = sum(tally.hours[key] for key in views if key[0] != "composited")
    digest = dataset_digest(samples)
    rows = []
    # A finding of the pictures alone passes through `edits` unchanged, and so does its rate.
    for method in ("video-discontinuities", "edits"):
        for kind in sorted({k for _, k in tally.kinds}):
            places = "new" if ("new", kind) in tally.kinds else "seen before"
            hit, made = tally.kinds[places, kind]
            rows.append({
                "method": method, "version": VERSIONS[method], "stratum": kind,
                "true_positives": int(hit), "false_negatives": int(made - hit),
                "false_positives": sum(tally.alarms[key][kind] for key in views),
                "negatives": round(time, 4), "per_hour": True,
                "dataset": "edits made on real fixed views; untouched real and composited views",
                "dataset_digest": digest, "independent": len(STATIC), "measured": day,
                "script": "benchmarks/pictures.py",
                "note": f"held-out sources, edits at {places} places; misses count only where the "
                        f"step shows 5 grey levels or more; {real:.2f} h of real and "
                        f"{time - real:.2f} h of composited views, each footage in up to five "
                        "encodings",
            })  # fmt: skip
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
