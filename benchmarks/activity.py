"""What happens in regions of a fixed view, flashes, and silent clips placed without sound.

Region crossings of four real views, labelled by hand; the staged incident; falls where nobody
falls; flashes composed onto real footage; clips of one silent scene placed by movement.

How the labels were made: the time at which the lowest foot (or the lowest edge of a vehicle)
crosses the region's edge, read by eye off frame sheets (vtest: one frame a second, then finer
around each crossing; the others 0.2 to 0.5 s apart); a crossing counts as found within a second.
vtest was looked at while building: its first 40 s are for tuning, the rest is reported, but what
was missed and extra there was seen while the tracker changed, so that it is not held out. The other
three views were labelled before the detector first saw them. What version 1 made of them is in
`VERSION_1`; its false entries of who stands on an edge, and its falls of whoever walks or drives
down the picture, led to two rules of version 2, so these views are no longer unseen. Two
crossings that the labeller of vtest had passed over came to light among the detector's extra
answers; they stand in `PASSED_OVER` and do not count in the rates, nor do the answers beside them.

    python benchmarks/activity.py [--staged FOLDER] [--fetched FOLDER] [--only PART]
        [--parts FOLDER]

The folder of --staged is what ``python samples/make.py FOLDER`` wrote, that of --fetched holds the
views of `pictures_make` in unseen and unseen2. Prints what it writes to
results/activity.json; rows go to results/rates_activity.json. In the folder of parts each part is
kept when it is done, and read back instead of being run again.
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
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from activity_flashes import FLASH, flashes
from activity_nights import FALLERS, RAIN, SEEN, UNSEEN, nights, staged
from activity_score import doubtful, matched, unsaid

from forensics import clip as clips
from forensics.audio_silent import pair_by_flash, pair_by_motion
from forensics.calibration import Row, hourly_rate, item_rate
from forensics.model import Region, to_builtins
from forensics.provenance import methods
from forensics.scan import View, scan
from forensics.video_activity import find_activity
from forensics.video_unseen import measure_testable

MEDIA = Path(os.environ.get("FORENSICS_MEDIA", ROOT.parent / "shared/media"))
REGIONS = (
    Region("east", ((560, 230), (768, 230), (768, 470), (560, 470))),
    Region("lawn", ((0, 345), (130, 350), (400, 440), (640, 576), (0, 576))),
)
#: Seconds at which a foot crosses into or out of a region, by eye, one frame a second; +-1 s.
CROSSINGS = {
    ("east", "enters"): (1.2, 1.7, 4.0, 11.6, 12.5, 13.1, 17.7, 18.8, 21.9, 22.8, 30.5, 30.6, 36.2,
                         37.6, 42.0, 46.1, 47.2, 49.6, 50.5, 65.4, 69.1, 73.5, 77.8),
    ("east", "leaves"): (1.1, 4.6, 5.2, 9.6, 13.3, 14.8, 15.7, 20.8, 22.6, 25.0, 25.9, 36.7, 37.2,
                         39.6, 40.9, 45.4, 50.6, 52.3, 63.3, 67.2, 67.3, 74.4),
    ("lawn", "enters"): (51.6, 51.9),
    ("lawn", "leaves"): (59.3, 71.6),
}  # fmt: skip
#: Somebody stands on the region's edge here; neither answer would be wrong.
UNDECIDED = {"east": (54.5, 62.0)}
#: Seen only when the extra answers were looked at: not in any figure.
PASSED_OVER = {("east", "leaves"): (72.25,), ("east", "enters"): (72.9,)}
TUNED_UNTIL_S = 40.0
VTEST = "debian_opencv_doc/vtest.avi"
#: Views on which nothing was tuned: regions, crossings, stretches of standing still.
ROOM = "cctv_misc/intel/one-by-one-person-detection.mp4"
ROAD = "cctv_misc/intel/car-detection.mp4"
HIGHWAY = "cctv_misc/bgslibrary/dataset/video.avi"
REGIONS_OF = {
    VTEST: REGIONS,
    ROOM: (Region("table", ((300, 300), (540, 300), (540, 405), (300, 405))),),
    ROAD: (Region("lower half", ((0, 216), (768, 216), (768, 432), (0, 432))),),
    HIGHWAY: (Region("right half", ((320, 0), (640, 0), (640, 360), (320, 360))),),
}
CROSSINGS_OF = {
    VTEST: CROSSINGS,
    ROOM: {("table", "enters"): (7.6, 23.8, 51.6, 75.9, 93.7, 125.0),
           ("table", "leaves"): (18.8, 43.8, 68.8, 85.7, 118.8, 135.0)},
    ROAD: {("lower half", "enters"): (4.5, 14.9, 15.75, 26.1),
           ("lower half", "leaves"): (7.0, 17.55, 18.3, 27.8)},
    HIGHWAY: {("right half", "enters"): (2.47, 3.98, 4.45, 6.97, 10.2),
              ("right half", "leaves"): (4.3, 5.7, 6.1, 8.7)},
}  # fmt: skip
#: Labelled for version 3, run with it, twice with 4 and with 5: the oncoming carriageway. When the
#: lower edges of vehicles cross the line, read off sheets 0.24 s apart; who leaves goes through the
#: picture's border and was not labelled. One a second passes, so half a second is the tolerance.
MOTORWAY = "cctv_misc/dvrscan/traffic_camera.mp4"
FRESH = Region("near carriageway", ((700, 430), (1010, 430), (1279, 570), (1279, 719), (750, 719)))
FRESH_ENTERS = (1.55, 1.75, 2.43, 3.05, 3.87, 5.16, 6.28, 9.73, 11.09, 13.44, 13.71, 14.03, 15.25,
                15.43, 16.65, 18.02, 18.03, 18.85, 19.03, 20.28, 20.64, 21.17, 22.38)  # fmt: skip
FRESH_TOLERANCE_S, FRESH_FROM_S = 0.5, 0.6
#: A car is at the picture's edge as the clip ends.
UNDECIDED |= {"right half": (11.4, 13.0)}
#: What version 1 made of the same labels, for comparison: n, found, extra; falls where none.
VERSION_1 = {"enters": (26, 23, 8), "leaves": (24, 24, 6), "tuned part": (28, 23, 3), "falls": 10}
VERSION_2 = {"enters": (26, 24, 5), "leaves": (24, 24, 4), "tuned part": (28, 25, 1), "falls": 4,
             "staged, by the ground": {"n": 38, "found": 24, "false crossings": 120,
                                       "false runs": 81}}  # fmt: skip
#: What version 3 made of the real views, of ten made nights (seeds 101 to 110) and the motorway.
VERSION_3 = {"enters": (26, 19, 0), "leaves": (24, 20, 0), "falls": 2, "flashes": (48, 34, 0),
             "nights": {"n": 66, "found": 25, "not testable": 19, "false": 1, "running": 5,
                        "runs found": 0, "false falls": 2},
             "motorway": {"n": 23, "found": 12, "false": 3, "false falls": 5}}  # fmt: skip
#: What version 4 made of the motorway, of ten other made nights (111 to 120), three in rain (301 to
#: 303) and the staged night.
VERSION_4 = {"enters": (26, 19, 0), "leaves": (24, 21, 0),
             "nights": {"n": 75, "found": 47, "not testable": 12, "behind the tree": 14,
                        "missed": 2, "false": 1, "beside someone on the edge": 14},
             "rain": {"n": 22, "found": 7, "not testable": 10, "behind the tree": 4, "missed": 1,
                      "false": 2, "beside someone on the edge": 4},
             "motorway": {"n": 23, "found": 14, "false": 5},
             "staged by the ground": {"n": 38, "found": 2, "not testable": 27, "false": 21},
             "staged by the picture": {"n": 8, "found": 2, "not testable": 6, "false": 2,
                                       "beside someone on the edge": 19}}  # fmt: skip
#: Versions 4 and 6 on the same ten made nights, 131 to 140, which neither had seen; 6 had besides 4
#: false falls of two shadows there and one more in rain 313, before the rules that these led to.
SIDE_BY_SIDE = {
    "version 4": {"n": 77, "found": 34, "not testable": 16, "behind the tree": 21, "missed": 6,
                  "false": 2, "beside someone on the edge": 18, "running": 8, "runs found": 6},
    "version 6": {"n": 77, "found": 32, "not testable": 13, "behind the tree": 27, "missed": 5,
                  "false": 3, "beside someone on the edge": 10, "running": 8, "runs found": 8},
}  # fmt: skip
STANDS = {ROOM: ((9, 18), (25, 43), (53, 67), (77.5, 84), (95, 117), (126.5, 134))}
ALSO_FALL_FREE = "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam01.mp4"
CAMERAS = "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam0{}.mp4"


def crossings() -> dict[str, Any]:
    """Region crossings, standing still and falls of the real views against the labels."""
    out: dict[str, Any] = {"tolerance_s": 1.0, "labels": {}, "views": {}}
    for source, regions in REGIONS_OF.items():
        clip = clips.open_clip(MEDIA / source)
        stream = clip.video
        assert stream is not None
        # Falls and standing still are asked of the whole picture as well.
        whole = Region.of_box("picture", 0, 0, stream.width, stream.height)
        exam = find_activity(clip, (*regions, whole))
        length = float(clip.duration or 0)
        labels = CROSSINGS_OF[source]
        out["labels"][source] = {f"{r} {k}": list(times) for (r, k), times in labels.items()}
        parts = {"tuned": (-1.0, TUNED_UNTIL_S), "reported": (TUNED_UNTIL_S, 1e9)}
        if source != VTEST:
            parts = {"reported": (-1.0, 1e9)}
        view: dict[str, Any] = {"seconds": round(length, 1)}
        for part, (low, high) in parts.items():
            view[part] = {
                f"{region} {kind}": score(exam, region, kind, times, low, high)
                for (region, kind), times in labels.items()
            }
        assert exam.coverage is not None
        view["testable"] = measure_testable(regions, exam.coverage).value
        view["missed and said not to be testable"] = sum(
            unsaid(exam, region, kind, times) for (region, kind), times in labels.items()
        )
        view["runs where nobody runs"] = sum(
            o.what.kind == "runs" and o.what.region == "picture" for o in exam.observations
        )
        view["falls"] = sum(
            o.what.kind == "falls" and o.what.region == "picture" for o in exam.observations
        )
        if source in STANDS:
            seen = [(float(o.span.start), float(o.span.end)) for o in exam.observations
                    if o.what.kind == "stands-still"
                    and o.what.region == regions[0].name]  # fmt: skip
            met = [any(min(b, d) - max(a, c) > 0.5 * (b - a) for c, d in seen)
                   for a, b in STANDS[source]]  # fmt: skip
            beside = [not any(min(b, d) > max(a, c) for a, b in STANDS[source]) for c, d in seen]
            view["stands-still"] = {"n": len(met), "hits": sum(met), "extra": sum(beside),
                                    "stretches": len(seen)}  # fmt: skip
        out["views"][source] = view
        print(source, json.dumps(view), flush=True)
    clip = clips.open_clip(MEDIA / ALSO_FALL_FREE)
    exam = find_activity(clip, ())
    falls = sum(o.what.kind == "falls" for o in exam.observations)
    out["views"][ALSO_FALL_FREE] = {"seconds": round(float(clip.duration or 0), 1), "falls": falls}
    seconds = sum(view["seconds"] for view in out["views"].values())
    out["falls where nobody falls"] = {
        "hours": round(seconds / 3600, 4),
        "falls": sum(view["falls"] for view in out["views"].values()),
    }
    for kind in ("enters", "leaves"):
        rows = [v for view in out["views"].values() for k, v in view.get("reported", {}).items()
                if k.endswith(kind)]  # fmt: skip
        out[kind] = {key: sum(row[key] for row in rows) for key in ("n", "hits", "extra")}
        low = {key: sum(v[key] for k, v in out["views"][VTEST]["tuned"].items()
                        if k.endswith(kind)) for key in ("n", "hits", "extra")}  # fmt: skip
        out[f"{kind}, tuned part"] = low
    # Reported: the second half of vtest and all of the others.
    used = sum(out["views"][source]["seconds"] for source in REGIONS_OF)
    out["version 1 (n, found, extra)"] = VERSION_1
    out["version 2 (n, found, extra)"] = VERSION_2
    out["runs where nobody runs"] = sum(
        out["views"][source]["runs where nobody runs"] for source in REGIONS_OF
    )
    out["hours reported"] = round((used - TUNED_UNTIL_S) / 3600, 4)
    for kind in ("enters", "leaves"):
        row = out[kind]
        row["found"] = str(item_rate(row["hits"], row["n"]))
        row["extra an hour"] = str(hourly_rate(row["extra"], out["hours reported"]))
    return out


def score(
    exam: Any, region: str, kind: str, times: tuple[float, ...], low: float, high: float
) -> dict[str, int]:
    """Labels of one region and kind between two times, how many were found, and what is extra."""
    a, b = UNDECIDED.get(region, (-9.0, -9.0))
    found = [float(o.what.time) for o in exam.observations
             if o.what.region == region and o.what.kind == kind
             and low <= float(o.what.time) < high and not a <= float(o.what.time) <= b]  # fmt: skip
    truth = [t for t in times if low <= t < high]
    hits = matched(truth, found, 1.0)
    passed = [t for t in PASSED_OVER.get((region, kind), ()) if low <= t < high]
    beside = matched([*truth, *passed], found, 1.0) - hits
    return {"n": len(truth), "hits": hits, "extra": len(found) - hits - beside,
            "passed over by the labeller": beside}  # fmt: skip


def fresh() -> dict[str, Any]:
    """A real view labelled before it was first run: vehicles that enter a carriageway."""
    clip = clips.open_clip(MEDIA / MOTORWAY)
    exam = find_activity(clip, (FRESH,))
    found = [float(o.what.time) for o in exam.observations
             if o.what.kind == "enters" and float(o.what.time) >= FRESH_FROM_S]  # fmt: skip
    hits = matched(list(FRESH_ENTERS), found, FRESH_TOLERANCE_S)
    left = [t for t in FRESH_ENTERS if not any(abs(t - f) <= FRESH_TOLERANCE_S for f in found)]
    n, hours = len(FRESH_ENTERS), float(clip.duration or 0) / 3600
    other = {kind: sum(o.what.kind == kind for o in exam.observations)
             for kind in ("falls", "runs", "stands-still")}  # fmt: skip
    return {"source": MOTORWAY, "enters": {"n": n, "hits": hits, "extra": len(found) - hits},
            "missed and said not to be testable": sum(doubtful(exam, FRESH.name, t) for t in left),
            "testable": exam.measures["crossings testable"].value,
            "where there were none": other, "hours": round(hours, 4),
            "found": str(item_rate(hits, n)),
            "extra an hour": str(hourly_rate(len(found) - hits, hours))}  # fmt: skip


class _Energy:
    """How much changes from frame to frame, as a `scan` detector."""

    columns = ("energy",)

    def __init__(self) -> None:
        self._last: Any = None

    def measure(self, view: View) -> list[float]:
        """Mean absolute difference of the grey view."""
        now = view.grey.astype(np.int16)
        value = 0.0 if self._last is None else float(np.abs(now - self._last).mean())
        self._last = now
        return [value]


def silent() -> dict[str, Any]:
    """Four cameras of one silent scene, each trimmed by a known amount, and strangers."""
    curves = {}
    for k in (1, 2, 3, 4):
        clip = clips.open_clip(MEDIA / CAMERAS.format(k))
        rows = scan(clip, [_Energy()])
        curves[k] = (rows.columns["energy"], 1 / float(np.median(np.diff(rows.seconds))))
    rng = np.random.default_rng(5)
    errors, accepted, tried = [], 0, 0
    for i, (a, rate) in curves.items():
        for j, (b, _) in curves.items():
            if i >= j:
                continue
            # How much is there to trim without falling under the least overlap?
            room = max(0, min(len(a), len(b)) - int(9 * rate))
            cut = int(rng.integers(0, room + 1)) if room else 0
            pair = pair_by_motion(a, b[cut:], rate)
            tried += 1
            if pair.offset is not None:
                errors.append(abs(pair.offset.value - cut / rate))
                accepted += pair.accepted
    false, strangers = 0, 0
    others = [scan(clips.open_clip(MEDIA / name), [_Energy()]) for name in
              ("debian_opencv_doc/vtest.avi", "cctv_misc/intel/one-by-one-person-detection.mp4",
               "cctv_misc/dvrscan/traffic_camera.mp4")]  # fmt: skip
    for rows in others:
        own = 1 / float(np.median(np.diff(rows.seconds)))
        for curve, rate in curves.values():
            n = int(len(rows) / own * rate)
            again = np.interp(np.arange(n) / rate, np.arange(len(rows)) / own,
                              rows.columns["energy"])  # fmt: skip
            pair = pair_by_motion(curve, again, rate)
            strangers += 1
            false += pair.accepted
    made = {"right": 0, "wrong": 0, "refused": 0, "stranger joined": 0}
    for _ in range(200):
        shots = np.sort(rng.uniform(0, 90, int(rng.integers(2, 9))))
        offset = float(rng.uniform(-30, 30))
        kept = shots[rng.random(len(shots)) < 0.8]
        b = kept - offset + rng.uniform(-0.03, 0.03, len(kept))
        b = np.sort(np.r_[b, rng.uniform(-offset, 90 - offset, int(rng.integers(0, 3)))])
        pair = pair_by_flash(shots, b, frame_s=0.04)
        if not pair.accepted or pair.offset is None:
            made["refused"] += 1
        elif abs(pair.offset.value - offset) <= 0.1:
            made["right"] += 1
        else:
            made["wrong"] += 1
        other = np.sort(rng.uniform(0, 90, int(rng.integers(2, 9))))
        made["stranger joined"] += pair_by_flash(shots, other, frame_s=0.04).accepted
    return {"pairs": tried, "accepted": accepted, "errors_s": [round(e, 3) for e in errors],
            "strangers": strangers, "strangers accepted": false,
            "simulated flashes": made}  # fmt: skip


def find_activity_version() -> str:
    """The registered version of what is measured."""
    return methods()["video-activity"].version


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--staged", type=Path, default=None)
    parser.add_argument("--fetched", type=Path, default=None)
    parser.add_argument("--only", default="")
    parser.add_argument("--parts", type=Path, default=None)
    given = parser.parse_args()
    began = time.time()
    parts: dict[str, Any] = {
        "nights": lambda: nights(UNSEEN), "fallers": lambda: nights(FALLERS, falls=True),
        "fresh": fresh, "flashes": lambda: flashes(given.fetched), "crossings": crossings,
    }  # fmt: skip
    if given.staged is not None:
        parts["staged"] = lambda: staged(given.staged)
    parts |= {"rain": lambda: nights(RAIN, rain=True), "silent": silent,
              "nights seen": lambda: nights(SEEN)}  # fmt: skip
    out: dict[str, Any] = {}
    for name, work in parts.items():
        if given.only in ("", name):
            kept = given.parts and given.parts / f"{name}.json"
            if kept and kept.is_file():
                out[name] = json.loads(kept.read_text())
            else:
                out[name] = work()
                if kept:
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    kept.write_text(json.dumps(out[name]))
            print(name, json.dumps(out[name]), flush=True)
    if given.only:
        return
    c, f = out["crossings"], out["flashes"]
    for kind in ("enters", "leaves"):
        print(kind, json.dumps(c[kind]))
    print(f"flashes n = {f['n']}: {item_rate(f['hits'], f['n'])}; false "
          f"{hourly_rate(f['false'], f['hours'])}")  # fmt: skip
    today = datetime.now(UTC).date().isoformat()
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    version = find_activity_version()
    rows = [
        Row("video-activity", version, kind, c[kind]["hits"], c[kind]["n"] - c[kind]["hits"],
            c[kind]["extra"], c["hours reported"], True,
            "four real fixed views, region crossings labelled by hand", digest, len(REGIONS_OF),
            today, "benchmarks/activity.py",
            "pedestrians and vehicles; half of vtest.avi left out as tuned on; found within 1 s")
        for kind in ("enters", "leaves")
    ]  # fmt: skip
    still = c["views"][ROOM]["stands-still"]
    rows.append(
        Row("video-activity", version, "stands-still", still["hits"], still["n"] - still["hits"],
            still["extra"], c["views"][ROOM]["seconds"] / 3600, True,
            "six people one after another in one room", digest, 1, today,
            "benchmarks/activity.py", "one view")
    )  # fmt: skip
    if "staged" in out:
        seen = [out["staged"][name] for name in ("untouched", "cut")]
        made = [out[name]["all"] for name in ("nights", "fallers", "rain")]
        views = sum(len(out[name]["views"]) for name in ("nights", "fallers", "rain"))
        made_h = sum(out[name]["hours"] for name in ("nights", "fallers", "rain"))
        fell = [row[key] for row in seen for key in row if key.startswith("falls ")]
        ran = [row["runs picture"] for row in seen]
        nobody = c["falls where nobody falls"]
        staged_h = sum(r["hours"] for r in seen)
        hours = nobody["hours"] + made_h
        where = {
            "falls": "made night and rain views and one staged figure; false ones in them and in "
                     "real views in which nobody falls",
            "runs": "made night and rain views and the staged one; false ones there and in real "
                    "views in which nobody runs",
        }  # fmt: skip
        for kind, found, n, false, span in (
            ("falls", sum(r["found"] for r in fell) + sum(r["falls found"] for r in made),
             sum(r["n"] for r in fell) + sum(r["falling"] for r in made),
             nobody["falls"] + sum(r["false falls"] for r in made), hours),
            ("runs", sum(r["found"] for r in ran) + sum(r["runs found"] for r in made),
             sum(r["n"] for r in ran) + sum(r["running"] for r in made),
             sum(r["false"] for r in ran) + sum(r["false runs"] for r in made)
             + c["runs where nobody runs"], hours + staged_h),
        ):
            rows.append(
                Row("video-activity", version, kind, found, n - found, false, span, True,
                    where[kind],
                    digest, views + 1, today, "benchmarks/activity.py",
                    "what a declared tree hides counts as missed here")
            )  # fmt: skip
    rows.append(
        Row("flashes-seen", methods()["flashes-seen"].version, "part of the picture", f["hits"],
            f["n"] - f["hits"], f["false"], f["hours"], True,
            "flashes composed onto real footage; false ones in whole untouched views", digest,
            len(FLASH), today, "benchmarks/activity.py", "synthetic flashes of one to three frames")
    )  # fmt: skip
    out["version 3 (n, found, extra)"] = VERSION_3
    out["version 4 (n, found, extra)"] = VERSION_4
    out["versions 4 and 6 on nights 131 to 140"] = SIDE_BY_SIDE
    out["minutes"] = round((time.time() - began) / 60, 1)
    folder = ROOT / "benchmarks/results"
    folder.mkdir(exist_ok=True)
    (folder / "activity.json").write_text(json.dumps(out, indent=1) + "\n")
    (folder / "rates_activity.json").write_text(json.dumps(to_builtins(rows), indent=1) + "\n")


if __name__ == "__main__":
    main()
