"""How well is a burned-in clock found, read, and its breaks found? Box given and found by us.

Clocks of many forms are drawn over real footage, edited by known operations and encoded in several
ways (`clock_make.FORMS`). The figures are those of clips nobody had looked at ("fresh"), and of
untouched ones; "first take" is what the version before said of another draw of the same forms, and
"again" those clips as the method answers them now that their misses have been looked at, "before"
a draw that version 7 answered before it was finished; "seen" are the fresh clips of versions 5 and
6. Faces: Debian's fonts-liberation, -dejavu, -hack, -inconsolata, -freefont-ttf, -roboto-unhinted,
-ocr-a, -open-sans, -noto-mono, -terminus and -unifont.

How far the figures stand out is measured of every clip as encoded: a clip whose figures differ from
their ground by under six levels of every primary in most frames is named, and counted, and the
figure without it is given beside. Of every clip that is read, the wall time it is anchored to is
held against the truth (`anchor`). Parts can be run one by one into one log, and assembled.
Prints what it writes to results/clock.json; rows for the error-rate table go to
results/rates_clock.json.

    python benchmarks/clock.py [--minutes 32] [--only fresh:0:8] [--log FILE] [--assemble]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clock_make
import numpy as np
import overlay
from clock_make import LENGTH_S, ROOT

from forensics import clip as clips
from forensics import clock, clock_gather
from forensics.calibration import Row, hourly_rate, item_rate
from forensics.model import Box, to_builtins

#: Levels of a primary by which figures must differ from their ground to be called legible.
_STANDS_OUT = 6.0


def score(exam: Any, truth: dict[str, Any], fps: float) -> tuple[list[bool], int]:
    """Which true breaks were found, and how many findings match none."""
    # No clock here runs at another rate than the clip: a rate found is a false alarm.
    rates = sum(o.what.kind == "clock-rate" for o in exam.observations)
    left = [o for o in exam.observations if o.what.kind != "clock-rate"]
    hits = []
    for at, _, kind in truth["breaks"]:
        end = at + (3.0 if kind.startswith("freeze") else 0.0)
        near = [
            o for o in left
            if float(o.span.start) - 2.5 / fps <= end and float(o.span.end) + 2.5 / fps >= at
        ]  # fmt: skip
        hits.append(bool(near))
        left = [o for o in left if o not in near]
    return hits, len(left) + rates


def followed_line(one: Any, truth: dict[str, Any], lines: list[overlay.Style]) -> overlay.Style:
    """Which of the lines drawn the method followed: the one whose middle is nearest."""
    x, y = one.box.x + one.box.width / 2, one.box.y + one.box.height / 2
    far = [abs(a + w / 2 - x) / 4 + abs(b + h / 2 - y) for a, b, w, h in truth["boxes"]]
    return lines[int(np.argmin(far))]


def read_right(
    one: Any, truth: dict[str, Any], start: datetime, line: overlay.Style
) -> tuple[int, int, int]:  # fmt: skip
    """Seconds read surely and right, read surely, and shown (a stretch of frames counts once)."""
    base = start.hour * 3600 + start.minute * 60 + start.second + start.microsecond / 1e6
    shown = np.floor(base + line.ahead_s + np.asarray(truth["wall"]) + 1e-6).astype(int)
    total = 1 + int((np.diff(shown) != 0).sum())
    if isinstance(one, str) or not one.read:
        return 0, 0, total
    index = np.clip(np.searchsorted(one.edges, one.times + 1e-9) - 1, 0, len(one.wall) - 1)
    said = one.wall[index].astype(int) % 86_400
    changes = np.flatnonzero(np.diff(shown)) + 1
    first, last = np.r_[0, changes], np.r_[changes, len(shown)] - 1
    middle = np.minimum((first + last) // 2, len(said) - 1)
    sure = one.sure[index[middle]]
    return int((sure & (said[middle] == shown[middle] % 86_400)).sum()), int(sure.sum()), total


def anchored(
    exam: Any, start: datetime, line: overlay.Style, truth: dict[str, Any], fps: float
) -> dict[str, Any] | None:  # fmt: skip
    """The wall time of clip time 0 held against the truth, the day given, and the day read.

    The truth is that of the clock as it runs where it is first read surely: an edit before that
    has moved it.
    """
    readings = [o for o in exam.observations if o.what.wall]
    if not readings:
        return None
    shown = float(truth["wall"][readings[0].what.ordinal]) - readings[0].what.ordinal / fps
    true = start + timedelta(seconds=line.ahead_s + shown)
    wall, day = readings[0].what.wall, true.date().isoformat()
    said = clock.anchor(exam, day=day)
    off = (said.utc.replace(tzinfo=None) - true).total_seconds()
    # A day is no matter of the interval.
    off = (off + 43_200) % 86_400 - 43_200
    return {"off_s": round(off, 4), "within_s": round(float(said.uncertainty_s), 4),
            "day": _day(wall, day, readings[0].note)}  # fmt: skip


def _day(wall: str, day: str, note: str) -> str:
    if "T" not in wall:
        return "none"
    if wall.startswith(day):
        return "right"
    return "exchangeable" if "could be exchanged" in note else "wrong"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=32.0, help="untouched clock time")
    parser.add_argument("--log", type=Path, help="one JSON line per clip; resumes where it exists")
    parser.add_argument("--only", default="", help="a part, as in seen:0:8, fresh:12, untouched")
    parser.add_argument("--assemble", action="store_true", help="report what the log holds")
    parser.add_argument("--note", default="", help="said in the results")
    given = parser.parse_args()
    began = time.time()
    log = given.log or Path(tempfile.mkdtemp()) / "clock.jsonl"
    done = {}
    if log.exists():
        done = {r["name"]: r for r in map(json.loads, log.read_text().splitlines())}
    part, *numbers = (given.only + "::").split(":")[:3]
    first, stop = (int(v) if v else None for v in numbers)
    planned = plans()
    each = given.minutes * 60 / len(planned["untouched"])
    with tempfile.TemporaryDirectory() as folder:
        for kind, jobs in planned.items():
            if given.assemble or part not in ("", kind):
                continue
            for number, job in list(enumerate(jobs))[first:stop]:
                name, path = f"{kind} {number}", Path(folder) / f"{kind}{number}.mp4"
                if name not in done:
                    quiet = kind.endswith("untouched")
                    line = (overlay.track(each, job["fps"]) if quiet
                            else clock_make.edited(job, LENGTH_S))
                    done[name] = {"name": name, **run(job, path, line, name)}
                    with log.open("a") as file:
                        file.write(json.dumps(done[name]) + "\n")
                last = done[name]
                print(f"{name:12s} {job['source'].rsplit('/')[-1][:18]:18s} "
                      f"{job['pattern'][:22]:22s} {job['font'][:15]:15s} {job['size']:2d} "
                      f"{job['look']:7s} {job['encode']:8s} given {last['given']}  "
                      f"found {last['found']}", flush=True)  # fmt: skip
    if not part:
        sets = {kind: [done[f"{kind} {i}"] for i in range(len(jobs)) if f"{kind} {i}" in done]
                for kind, jobs in planned.items()}  # fmt: skip
        complete = all(len(sets[k]) == len(planned[k]) for k in ("fresh", "untouched"))
        report(given, sets, began, complete)


def plans() -> dict[str, list[dict[str, Any]]]:
    """The clips of the sets: edited ones seen before, edited ones that are fresh, untouched ones.

    Footage shorter than the clip is played to and fro; the clock over it runs on, so every second
    shows figures of its own.
    """
    first = clock_make.plan("recorders", 2, seed=7101)
    return {
        "seen": clock_make.plan("fifth", 3, seed=5305) + clock_make.plan("sixth", 3, seed=6101),
        "first take": first, "again": first,
        "first untouched": clock_make.plan("recorders", 1, seed=7305, small=True)[:8],
        "before": clock_make.plan("recorders", 2, seed=7203),
        "before untouched": clock_make.plan("recorders", 1, seed=7409, small=True)[:8],
        "fresh": clock_make.plan("recorders", 2, seed=7513),
        "untouched": clock_make.plan("recorders", 1, seed=7611, small=True)[:8],
    }  # fmt: skip


def run(
    job: dict[str, Any], path: Path, line: overlay.Track, name_of: str
) -> dict[str, Any]:  # fmt: skip
    """Make one clip and ask both questions with the box given and without."""
    truth, scale = clock_make.make(job, path, line)
    start = datetime.fromisoformat(job["start"])
    clip = clips.open_clip(path)
    x, y, w, h = truth["box"]
    box = Box(max(0.0, x - 4), max(0.0, y - 4), w + 8, h + 8)
    lines = [clock_make.style_of(job), *clock_make.beside(job)]
    row: dict[str, Any] = {
        "job": job, "height_px": round(truth["box"][3], 1),
        "stands_out": round(clock_make.standing_out(path, job, truth, scale), 1),
    }  # fmt: skip
    if row["stands_out"] < _STANDS_OUT:
        clock_make.keep_proof(path, truth, name_of)
    for name, where in (("given", box), ("found", None)):
        clock_gather._recent.clear()
        t = time.process_time()
        one = clock_gather.follow_clock(clip, where, "auto", None)
        shows = lines[0] if isinstance(one, str) else followed_line(one, truth, lines)
        right, sure, total = read_right(one, truth, start, shows)
        exam = clock.find_clock_breaks(clip, box=where)
        moment = anchored(clock.read_clock(clip, box=where), start, shows, truth, job["fps"])
        hits, false = score(exam, truth, job["fps"])
        row[name] = {"right": right, "read": sure, "seconds": total,
                     "outcome": exam.outcome, "hits": sum(hits), "breaks": len(hits),
                     "false": false, "spans_s": [
                         round(float(o.span.end - o.span.start), 3) for o in exam.observations
                         if o.what.kind in ("clock-jump", "clock-missing-seconds")],
                     "missed": [k for (_, _, k), h in
                     zip(truth["breaks"], hits, strict=True) if not h],
                     "cpu_s": round(time.process_time() - t, 1),
                     "line": shows.pattern, "reason": exam.reason, "anchor": moment}  # fmt: skip
    path.unlink()
    return row


def figures(results: list[dict[str, Any]], name: str, hours: float) -> dict[str, Any]:
    """The figures of one set of clips, box given or found."""
    hits, breaks, right, read, seconds, false = (
        sum(r[name][key] for r in results)
        for key in ("hits", "breaks", "right", "read", "seconds", "false")
    )
    missed = [kind for r in results for kind in r[name]["missed"]]
    return {
        "breaks found": to_builtins(item_rate(hits, breaks)) if breaks else None,
        "false alarms per hour": to_builtins(hourly_rate(false, hours)),
        "seconds read surely": to_builtins(item_rate(read, seconds)),
        "right among those read": to_builtins(item_rate(right, read)) if read else None,
        "seconds shown": seconds,
        "wrong among those read surely": to_builtins(item_rate(read - right, read)),
        "anchor": _anchors(results, name),
        "clips read": to_builtins(item_rate(sum(r[name]["right"] > 0 for r in results),
                                            len(results))),
        "cpu_s per clip": float(np.mean([r[name]["cpu_s"] for r in results])),
        "by source": {
            source: {key: sum(r[name][key] for r in results if r["job"]["source"] == source)
                     for key in ("hits", "breaks", "false", "right", "read", "seconds")}
            for source in sorted({r["job"]["source"] for r in results})
        },
        "without clips that hardly stand out": _legible(results, name),
        "spans of steps found, s (median, nine in ten)": _quantiles(
            [v for r in results for v in r[name]["spans_s"]]
        ),
        "missed by kind": {kind: missed.count(kind) for kind in sorted(set(missed))},
    }  # fmt: skip


def _anchors(results: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """How often the stated interval of the wall time at clip time 0 holds the truth."""
    made = [r[name]["anchor"] for r in results if r[name].get("anchor")]
    held = sum(abs(one["off_s"]) <= one["within_s"] for one in made)
    days = [one["day"] for one in made]
    return {
        "clips anchored": to_builtins(item_rate(len(made), len(results))),
        "truth inside the interval": to_builtins(item_rate(held, len(made))) if made else None,
        "interval +- s (median, nine in ten)": _quantiles([one["within_s"] for one in made]),
        "off by s (median, nine in ten)": _quantiles([abs(one["off_s"]) for one in made]),
        "worst off by s": max((abs(one["off_s"]) for one in made), default=None),
        "day": {kind: days.count(kind) for kind in sorted(set(days))},
    }  # fmt: skip


def _quantiles(values: list[float]) -> list[float] | None:
    return [round(float(v), 3) for v in np.percentile(values, (50, 90))] if values else None


def _legible(results: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """Breaks found in clips whose figures stand out by six levels, and the other clips."""
    hidden = [r for r in results if r["stands_out"] < _STANDS_OUT]
    kept = [r for r in results if r not in hidden and r[name]["breaks"]]
    if not kept:
        return None
    hits, breaks = (sum(r[name][key] for r in kept) for key in ("hits", "breaks"))
    return {"breaks found": to_builtins(item_rate(hits, breaks)),
            "left out": {r["name"]: r["stands_out"] for r in hidden}}  # fmt: skip


def report(
    given: Any, sets: dict[str, list[dict[str, Any]]], began: float, complete: bool
) -> None:  # fmt: skip
    """Print the figures and write them."""
    used = sorted({r["job"]["source"] for rows in sets.values() for r in rows})
    # Untouched clips show one second a second.
    hours = {kind: sum(r["given"]["seconds"] if kind.endswith("untouched") else LENGTH_S
             for r in rows) / 3600 for kind, rows in sets.items()}  # fmt: skip
    out: dict[str, Any] = {
        "sources": used, "complete": complete,
        "clips": {kind: len(rows) for kind, rows in sets.items()},
        "hours": {kind: round(value, 4) for kind, value in hours.items()},
        "sets": {
            "seen": "the fresh clips of versions 5 and 6, whose misses were looked at: a check",
            "first take": "forms no version knew, answered once by version 6",
            "first untouched": "the same without edits; what version 6 said led to version 7",
            "again": "the clips of the first take as they are answered now: seen, a check",
            "before": "the same forms, answered once by version 7 before its last two rules: a "
            "break neither side of which is borne out, and seconds that are read vouch for one",
            "before untouched": "the same without edits",
            "fresh": "the same forms, another seed for everything; run once",
            "untouched": "no edit; footage played to and fro under a clock that runs on",
        },
        "note": given.note, "minutes": round((time.time() - began) / 60, 1),
    }  # fmt: skip
    rows = []
    for name in ("given", "found"):
        out[name] = {kind: figures(results, name, hours[kind])
                     for kind, results in sets.items() if results}  # fmt: skip
        for kind, said in out[name].items():
            print(f"box {name}, {kind}: {said['breaks found']}; {said['false alarms per hour']}; "
                  f"read {said['seconds read surely']}; right {said['right among those read']}; "
                  f"missed {said['missed by kind']}; anchor {said['anchor']}")  # fmt: skip
        fresh, both = sets["fresh"], sets["fresh"] + sets["untouched"]
        hits = sum(r[name]["hits"] for r in fresh)
        breaks = sum(r[name]["breaks"] for r in fresh)
        right, read, seconds, false = (
            sum(r[name][key] for r in both) for key in ("right", "read", "seconds", "false")
        )
        today = datetime.now(UTC).date().isoformat()
        rows.append(Row(
            "clock-breaks", "7", f"box {name}", hits, breaks - hits, false,
            round(hours["fresh"] + hours["untouched"], 4), True,
            "clocks drawn on real footage (benchmarks/clock.py)", _digest(), len(used),
            today, "benchmarks/clock.py",
            "independent: footage sources; clocks and edits are synthetic",
        ))  # fmt: skip
        rows.append(Row(
            "clock-read", "7", f"box {name}", right, seconds - right,
            read - right, float(max(1, read)), False,
            "clocks drawn on real footage (benchmarks/clock.py)", _digest(), len(used),
            today, "benchmarks/clock.py",
            "per second shown; a false positive is a second read wrongly among those read surely",
        ))  # fmt: skip
    out["results"] = sets
    folder = ROOT / "benchmarks/results"
    folder.mkdir(exist_ok=True)
    (folder / "clock.json").write_text(json.dumps(out, indent=1) + "\n")
    if complete:
        # A part of the clips gives figures, never a row of the error-rate table; the clips
        # that were seen before never enter it.
        table = json.dumps(to_builtins(rows), indent=1) + "\n"
        (folder / "rates_clock.json").write_text(table)
    print(f"{len(used)} sources, {out['minutes']} minutes")


def _digest() -> str:
    made = Path(clock_make.__file__).read_bytes()
    return hashlib.sha256(made + Path(__file__).read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
