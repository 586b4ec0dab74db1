"""Errors and shares for `benchmarks/alignment.py`: what a tool said against what is true."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from forensics.calibration import item_rate

RESULTS = Path(__file__).resolve().parent / "results"
OVERLAPS, SNRS = (5, 10, 20, 30, 60), (20, 10, 5, 0, -5)
Row = dict[str, Any]


def today() -> str:
    """The date of a measurement."""
    return datetime.now(UTC).date().isoformat()


def save(part: str, found: Row) -> None:
    """Replace one part of results/alignment.json."""
    path = RESULTS / "alignment.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    known[part] = found | {"measured": today()}
    path.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


def share(hits: Any) -> Row:
    """A share with its 95 % Clopper-Pearson interval and n."""
    hits = np.asarray(hits, bool)
    rate = item_rate(int(hits.sum()), len(hits)) if len(hits) else None
    return {
        "share": round(float(hits.mean()), 4) if len(hits) else None, "n": len(hits),
        "interval": [round(rate.low, 4), round(rate.high, 4)] if rate else None,
    }  # fmt: skip


def errors_of(job: Row, found: Row) -> dict[str, float]:
    """Errors at the middle of the overlap: of the clocks, and of the arrivals.

    `clock` is the placement against the clocks, `source` the pair's own offset against the best
    source: a tool that gives one offset answers both with it.
    """
    rate = found.get("placed_drift_ppm", found.get("drift_ppm")) or 0.0
    said = found["offset_s"] + job["middle_s"] * rate * 1e-6
    heard = said
    if "arrival_s" in found:
        heard = found["arrival_s"] + job["middle_s"] * (found["drift_ppm"] or 0.0) * 1e-6
    bend = job["middle_s"] * job["drift_ppm"] * 1e-6
    clock = abs(said - job["offset_s"] - bend)
    source, placed = (min(abs(x - s - bend) for s in job["by_source"]) for x in (heard, said))
    return {
        "clock": float(np.nan_to_num(clock, nan=1e9)),
        "source": float(np.nan_to_num(source, nan=1e9)),
        "placed_source": float(np.nan_to_num(placed, nan=1e9)),
    }


def above_some(right: Any, count: int, strangers: list[float], number: int) -> float | None:
    """The share right above the best of `number` strangers, averaged over 500 drawings of them."""
    if len(strangers) < number:
        return None
    rng = np.random.default_rng(1)
    tops = [rng.choice(strangers, number, replace=False).max() for _ in range(500)]
    return round(float(np.mean([np.sum(right > top) / count for top in tops])), 4)


def by_chance(jobs: list[Row], within_s: float = 0.015, spread_s: float = 0.06) -> float:
    """How often a wrong offset, normally spread about the truth, lies near some source's own.

    Six sources heard by two walking telephones have many offsets: near one of them is not hard.
    """
    rng = np.random.default_rng(2)
    hits = [
        min(abs(job["offset_s"] + miss - s) for s in job["by_source"]) <= within_s
        for job in jobs for miss in rng.normal(0, spread_s, 40)
    ]  # fmt: skip
    return round(float(np.mean(hits)), 3)


def summary(rows: list[tuple[Row, Row]], strangers: list[float]) -> Row:
    """One tool on some pairs (truth, answer), its scores held against those of strangers."""
    errors = [errors_of(*row) for row in rows]
    clock = np.array([e["clock"] for e in errors])
    source = np.array([e["source"] for e in errors])
    placed = np.array([e["placed_source"] for e in errors])
    score = np.array([a["score"] for _, a in rows])
    right = clock <= 0.25
    least = max(strangers, default=0.0)
    out: Row = {
        "within_10_ms": share(clock <= 0.01), "within_100_ms": share(clock <= 0.1),
        "within_250_ms": share(right), "within_10_ms_of_a_source": share(source <= 0.01),
        "within_15_ms_of_a_source": share(source <= 0.015),
        "placement_within_15_ms_of_a_source": share(placed <= 0.015),
        "within_15_ms_of_a_source_by_chance_at_60_ms": by_chance([j for j, _ in rows]),
        "within_100_ms_of_a_source": share(source <= 0.1),
        "right_above_all_strangers": share(right & (score > least)),
        "right_above_40_strangers": above_some(score[right], len(score), strangers, 40),
        "strangers": len(strangers), "greatest_stranger_score": least,
        "cpu_s_per_pair": round(float(np.mean([a["cpu_s"] for _, a in rows])), 3),
    }  # fmt: skip
    for key, values in (("snr_db", SNRS), ("overlap_s", OVERLAPS)):
        out[f"right_by_{key}"] = {
            str(v): share(right[[j[key] == v for j, _ in rows]]) for v in values
        }
    return out


def stated(job: Row, found: Row) -> bool:
    """Whether a drift was said of a pair that was joined where it belongs."""
    right = errors_of(job, found)["clock"] < 0.25
    return found["drift_ppm"] is not None and found["accepted"] and right


def still(job: Row) -> bool:
    """Whether neither telephone walked: every source keeps its offset throughout."""
    return float(np.ptp(np.reshape(job["by_source"], (-1, 9)), axis=1).max()) < 1e-6


def drifts(rows: list[tuple[Row, Row]]) -> Row:
    """Clock drifts of pairs that share 25 s and more, by whether a telephone walked."""
    out: Row = {}
    for name, walks in (("standing", False), ("walking", True)):
        mine = [(j, a) for j, a in rows if j["overlap_s"] >= 25 and still(j) is not walks]
        said = [(j, a) for j, a in mine if stated(j, a)]
        errors = [abs(a["drift_ppm"] - j["drift_ppm"]) for j, a in said]
        inside = [a["drift_interval"][0] <= j["drift_ppm"] <= a["drift_interval"][1]
                  for j, a in said]  # fmt: skip
        at60 = [(j, a) for j, a in mine if j["overlap_s"] >= 60]
        out[name] = {
            "pairs": len(mine), "stated": share([stated(*row) for row in mine]),
            "stated_at_60_s": share([stated(*row) for row in at60]),
            "within_10_ppm_at_60_s": share([
                abs(a["drift_ppm"] - j["drift_ppm"]) <= 10 for j, a in at60 if stated(j, a)
            ]),
            "truth_inside_interval": share(inside),
            "median_error_ppm": round(float(np.median(errors)), 2) if errors else None,
            "greatest_error_ppm": round(max(errors), 2) if errors else None,
        }  # fmt: skip
    return out


def extras(rows: list[tuple[Row, Row]]) -> Row:
    """What only this library states: decisions, intervals, drifts, rivals."""
    errors = np.array([errors_of(*row)["clock"] for row in rows])
    joined = np.array([a["accepted"] for _, a in rows])
    placed = [(j, a) for j, a in rows if a["accepted"]]
    inside = [a["interval"][0] <= j["offset_s"] <= a["interval"][1] for j, a in placed]
    half = [(a["interval"][1] - a["interval"][0]) / 2 for _, a in placed]
    listed = [
        any(abs(o - j["offset_s"]) < 0.25 for o in [a["offset_s"], *a["rivals_s"]])
        for j, a in rows
    ]  # fmt: skip
    return {
        "joined": share(joined), "joined_wrongly": share(joined & (errors > 0.25)),
        "joined_and_right": share(joined & (errors <= 0.25)),
        "truth_first_or_among_rivals": share(listed),
        "truth_inside_interval": share(inside),
        "interval_half_width_ms": round(1000 * float(np.median(half)), 1) if half else None,
        "called_soundtrack": share([a["soundtrack"] for _, a in rows]),
        "drift": drifts(rows),
        "clock_error_95_ms": round(1000 * float(np.quantile(errors[joined], 0.95)), 1)
        if joined.any() else None,
    }  # fmt: skip
