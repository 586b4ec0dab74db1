"""Night views with other people, regions, light and noise than the staged incident, and the truth.

The street, the trees, the traffic and the camera are those of the staged incident; who walks where,
who runs or stops, which regions are drawn, how bright it is and how much the sensor adds are drawn
from a seed. The truth is where the foot of a figure, projected into the picture, crosses a region's
outline: not where it crosses the ground, for what leaves by the picture's edge is not seen to.

Seeds 1 to 4 (and the staged incident itself) were looked at while the method changed, 101 to 110
(reported for version 3), fallers 1 to 6 and rain 1 to 3 when version 4 was made, 101 to 120 and
rain 301 to 303 (reported for version 4) when version 5 was. Version 6 was held against version 4 on
131 to 140, which neither had seen; false falls in 133, 140 and rain 313 led to its last three rules
for falls. The seeds in `UNSEEN` were made and run once, after that; those in `RAIN` once before.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "samples")]

from activity_falls import fall_rows, fallers, fell
from activity_score import Crossing, against, doubtful, matched, pairs_of
from staged import media, plan, record, views
from staged.optics import generator
from staged.plan import Actor, Plan
from staged.stage import Stage

from forensics import clip as clips
from forensics.calibration import hourly_rate, item_rate
from forensics.events_flash import find_flashes
from forensics.model import Region
from forensics.video_activity import find_activity
from forensics.video_acts import edge_distance, inside
from forensics.video_unseen import measure_testable

__all__ = [
    "FALLERS", "RAIN", "SEEN", "UNSEEN", "Night", "make_night", "nights", "staged",
]  # fmt: skip

SEEN = (1, 2, 3, 4)
UNSEEN = tuple(range(141, 151))
#: With two who fall and three who go down otherwise; and in bright evening rain. Run once as well.
FALLERS, RAIN = tuple(range(411, 417)), tuple(range(311, 314))
#: Frames a second and seconds of a made view.
RATE, LENGTH_S = 12, 40.0
_LOOKS = ("civil-1", "civil-2", "civil-3", "civil-4", "civil-5", "civil-6", "dark-1", "dark-2")


@dataclass(frozen=True)
class Night:
    """A made view: where it is, what was drawn on it, what happens in it."""

    path: Path
    regions: tuple[Region, ...]
    occluders: tuple[Region, ...]
    truth: tuple[Crossing, ...]
    #: Stretches (s) in which somebody runs.
    running: tuple[tuple[float, float], ...]
    #: When (s) somebody falls, and where (x, y) the foot stood, in pixels.
    falling: tuple[tuple[float, float, float], ...]
    noise: float
    exposure: float


def crossings_of(
    stage: Stage, camera: Any, regions: Sequence[Region], occluders: Sequence[Region],
    start_s: float, length_s: float,
) -> list[Crossing]:  # fmt: skip
    """Every crossing of a projected foot; 0.15 figure heights is what a foot can be placed to.

    A crossing is sure if within 2 s the foot was that far outside and that far inside (or beyond
    the picture), for 0.4 s at the least.
    """
    times = np.arange(0.0, length_s, 0.04)
    found = []
    for track in stage.tracks:
        spots, tall = np.full((len(times), 2), np.nan), np.full(len(times), np.nan)
        for k, time in enumerate(times):
            state = track.at(start_s + time)
            if state is not None:
                ends = [[state.x, 0, state.z], [state.x, state.height_m, state.z]]
                pixel, depth = camera.project(np.array(ends))
                if depth.min() > 0.9:
                    spots[k], tall[k] = pixel[0], pixel[0, 1] - pixel[1, 1]
        shown = (spots[:, 0] >= 0) & (spots[:, 0] < camera.width)
        shown &= (spots[:, 1] >= 0) & (spots[:, 1] < camera.height + 0.5 * tall)
        x, y = np.nan_to_num(spots[:, 0], nan=-1e4), np.nan_to_num(spots[:, 1], nan=-1e4)
        y = np.where(shown, np.minimum(y, camera.height - 1), y)
        hidden = np.zeros(len(times), bool)
        for screen in occluders:
            hidden |= inside(screen.polygon, x, y - 0.1 * np.nan_to_num(tall))
        for region in regions:
            away = np.where(shown, edge_distance(region.polygon, x, y), -1e4)
            least = 0.15 * np.nan_to_num(tall, nan=1.0)
            inner, outer = away > least, away < -least
            for kind, before, after in (("enters", outer, inner), ("leaves", inner, outer)):
                for at in np.flatnonzero(np.diff((away > 0).astype(int))) + 1:
                    if (away[at] > 0) != (kind == "enters"):
                        continue
                    early, late = before[max(0, at - 50) : at], after[at : at + 50]
                    edge = early.sum() < 10 or late.sum() < 10
                    behind = bool(hidden[max(0, at - 8) : at + 8].any())
                    found.append(Crossing(kind, region.name, float(times[at]), behind, edge))
            # Along the outline for a while, on whichever side: an answer may come at any time.
            along = shown & (np.abs(away) <= least)
            for at in np.flatnonzero(along)[::12]:
                if along[max(0, at - 25) : at + 25].mean() > 0.7:
                    found += [Crossing(kind, region.name, float(times[at]), False, True)
                              for kind in ("enters", "leaves")]  # fmt: skip
    return sorted(found, key=lambda c: c.time)


def incident_truth(
    folder_truth: dict[str, Any], regions: Sequence[Region], occluders: Sequence[Region],
) -> list[Crossing]:  # fmt: skip
    """The same for the staged incident, from its own plan."""
    made = plan.make_plan(int(folder_truth["seed"]), bool(folder_truth["quick"]))
    stage = Stage(made.seed)
    return crossings_of(
        stage, views.fixed_camera(made), regions, occluders, made.start_s, made.length_s
    )


def _actors(rng: np.random.Generator, start_s: float) -> tuple[tuple[Actor, ...], list[Any]]:
    """Walkers and runners on the paths, some of whom stop, and somebody who stands about."""
    actors, running = [], []
    count = int(rng.integers(5, 9))
    for k in range(count):
        begins = start_s + float(rng.uniform(-12, LENGTH_S - 8))
        lane = float(rng.choice([rng.uniform(9.5, 16.5), rng.uniform(28.6, 31.5)], p=[0.75, 0.25]))
        side = float(rng.choice([-1, 1]))
        # Half of those on the near side set out within the view.
        far = float(rng.uniform(16, 20)) if lane > 20 or rng.random() < 0.7 else 11.0
        fast = bool(rng.random() < 0.2)
        speed = float(rng.uniform(3.2, 4.2)) if fast else float(rng.uniform(1.0, 1.6))
        points, time, x, z = [(begins, side * far, lane)], begins, side * far, lane
        stops = not fast and rng.random() < 0.35
        for part in range(3):
            nx = x - side * float(rng.uniform(7, 13))
            nz = float(np.clip(z + rng.uniform(-2.2, 2.2), 9.0, 32.0 if lane > 20 else 17.0))
            time += float(np.hypot(nx - x, nz - z)) / speed
            points.append((time, nx, nz))
            if stops and part == 0:
                time += float(rng.uniform(4, 9))
                points.append((time, nx, nz))
            x, z = nx, nz
        if time < 1.0:
            continue
        points = [(t, a, b) for t, a, b in points if t >= 0] if begins >= 0 else _since(points)
        look = _LOOKS[int(rng.integers(len(_LOOKS)))]
        actors.append(Actor(f"walker-{k}", look, tuple(points),
                            ((points[0][0], "run"),) if fast else (),
                            height_m=float(rng.uniform(1.6, 1.9))))  # fmt: skip
        if fast:
            running.append((points[0][0] - start_s, points[-1][0] - start_s))
    x, z = float(rng.uniform(-7, 1)), float(rng.uniform(11, 15))
    actors.append(Actor("stander", "civil-7", ((0.0, x, z), (66.0, x, z)), (),
                        ((0.0, float(rng.uniform(0, 360))),), 1.75))  # fmt: skip
    return tuple(actors), running


def _since(points: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """A course from story time 0 on."""
    t, x, z = (np.array([p[k] for p in points]) for k in range(3))
    first = (0.0, float(np.interp(0.0, t, x)), float(np.interp(0.0, t, z)))
    return [first, *(p for p in points if p[0] > 0.2)]


def make_night(seed: int, folder: Path, *, falls: bool = False, rain: bool = False) -> Night:
    """Write the view of a seed as H.264 and return it with its truth.

    `falls` adds those who fall, sit down, bend or crouch. `rain` makes it a bright evening in the
    rain instead.
    """
    rng = np.random.default_rng([41, seed])
    start_s = float(rng.uniform(0.0, 24.0))
    made = Plan(seed, False, start_s, LENGTH_S, RATE, 20, (640, 360), 0.0)
    view = views.FixedView(made)
    view.exposure = float(rng.uniform(0.35, 1.1))
    noise = float(rng.uniform(1.5, 6.0))
    actors, running = _actors(rng, start_s)
    if rain:
        view.exposure, noise = view.exposure + 1.3, 0.4 * noise
    camera = view.camera
    tree = next(r for r in record.regions_of(made, view) if r["kind"] == "occluder")
    occluders = (Region("tree", tuple(map(tuple, tree["polygon_px"]))),)
    if falls:
        # Few enough others that it can be seen.
        others = [actor for actor in actors if not actor.actions]
        down = fallers(seed, start_s, _LOOKS, camera, occluders[0], LENGTH_S)
        actors, running = (*down, *others[:3]), []
    view.stage = Stage(seed, actors)
    regions = []
    for name in ("near", "side"):
        x, z = float(rng.uniform(-6.5, 3.0)), float(rng.uniform(9.0, 12.5))
        wide, deep = float(rng.uniform(4, 8)), float(rng.uniform(3.5, 6.0))
        corners = np.array([(x, 0, z), (x + wide, 0, z), (x + wide, 0, z + deep), (x, 0, z + deep)])
        pixel, _ = camera.project(corners)
        pixel = np.clip(pixel, 0, [camera.width - 1, camera.height - 1])
        regions.append(Region(name, tuple((float(a), float(b)) for a, b in pixel.round(1))))
    path = folder / f"{'rain' if rain else 'falls' if falls else 'night'}_{seed}.mp4"
    recorder = media.Recorder(options={"preset": "superfast", "crf": "25", "g": "50", "bf": "0"},
                              rate=RATE)  # fmt: skip
    media.write_clip(path, _frames(view, noise, rain=rain), recorder)
    truth = crossings_of(view.stage, camera, regions, occluders, start_s, LENGTH_S)
    clipped = tuple((max(0.0, a), min(LENGTH_S, b)) for a, b in running if b > 0 and a < LENGTH_S)
    falling = fell(view.stage, camera, start_s, LENGTH_S) if falls else ()
    drawn = tuple(regions)
    return Night(path, drawn, occluders, tuple(truth), clipped, falling, noise, view.exposure)


def _rain(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Streaks of falling drops, lit by the lamps: other ones in every frame."""
    import cv2

    h, w = canvas.shape[:2]
    streaks = np.zeros((h, w), np.float32)
    count = int(rng.integers(150, 260))
    for x, y, size in zip(rng.uniform(0, w, count), rng.uniform(-20, h, count),
                          rng.uniform(5, 22, count), strict=True):  # fmt: skip
        end = (int(x + 0.12 * size), int(y + size))
        cv2.line(streaks, (int(x), int(y)), end, float(rng.uniform(12, 55)), 1, cv2.LINE_AA)
    lit: np.ndarray = cv2.GaussianBlur(streaks, (0, 0), 0.6)
    return np.clip(canvas + lit[..., None], 0, 255).astype(np.uint8)


def _frames(
    view: views.FixedView, noise: float, *, rain: bool
) -> Iterator[tuple[np.ndarray, float]]:
    """As the fixed view draws them, with the sensor's own noise."""
    plan_, camera = view.plan, view.camera
    rng = generator(plan_.seed, "night-noise")
    sensor = views._Sensor(rng, camera.width, camera.height, noise, (1.02, 1.0, 0.99))
    x, y, _, _ = view.clock_box
    start = datetime.fromisoformat(plan_.wall_start) + timedelta(seconds=plan_.start_s)
    for k in range(view.count):
        canvas = view.background.copy()
        view.stage.draw(canvas, camera, view.layers, plan_.start_s + k / view.rate,
                        exposure=view.exposure, shutter_s=1 / view.rate)  # fmt: skip
        if rain:
            canvas = _rain(canvas, rng)
        planes = sensor.expose(canvas, float(view.flicker[k]))
        text = (start + timedelta(seconds=k / view.rate)).strftime(views.CLOCK_FORMAT)
        views._burn(planes, camera.height, text, view._size, x, y)
        yield planes, k / view.rate


def nights(seeds: Sequence[int], *, falls: bool = False, rain: bool = False) -> dict[str, Any]:
    """Made night views: crossings, runs and falls, and how much of the time was testable."""
    out: dict[str, Any] = {"views": {}, "hours": 0.0}
    total: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            night = make_night(seed, Path(folder), falls=falls, rain=rain)
            clip = clips.open_clip(night.path)
            stream = clip.video
            assert stream is not None
            whole = Region.of_box("picture", 0, 0, stream.width, stream.height)
            exam = find_activity(clip, (*night.regions, whole), occluders=night.occluders)
            row: dict[str, Any] = against(exam, night.truth, night.regions)
            runs = [(float(o.span.start), float(o.span.end)) for o in exam.observations
                    if o.what.kind == "runs" and o.what.region == "picture"]  # fmt: skip
            true = [any(a < d and b > c for c, d in night.running) for a, b in runs]
            row["running"] = len(night.running)
            row["runs found"] = sum(any(a < d and b > c for a, b in runs) for c, d in night.running)
            row["runs stated"] = sum(
                not any(a < d and b > c for a, b in runs)
                and any(p.reason.startswith("runs: region 'picture'")
                        and float(p.span.start) < d and float(p.span.end) > c
                        for p in exam.coverage.not_testable)
                for c, d in night.running
            )  # fmt: skip
            row["false runs"] = len(true) - sum(true)
            row |= fall_rows(exam, night)
            for key, value in row.items():
                total[key] = total.get(key, 0) + value
            out["hours"] += float(clip.duration or 0) / 3600
            assert exam.coverage is not None
            drawn = exam.measures.get("drawn figures found")
            row |= {"drawn figures found": None if drawn is None else round(drawn.value, 3),
                    "testable": measure_testable(night.regions, exam.coverage).value,
                    "noise, grey levels": round(night.noise, 1),
                    "exposure": round(night.exposure, 2)}  # fmt: skip
            out["views"][str(seed)] = row
            print("night", seed, json.dumps(row), flush=True)
    out["all"] = total
    out["hours"] = round(out["hours"], 4)
    shares = [view["testable"] for view in out["views"].values()]
    out["testable, mean"] = round(float(np.mean(shares)), 3)
    out["found"] = str(item_rate(total["found"], total["n"]))
    out["false an hour and region"] = str(hourly_rate(total["false"], 2 * out["hours"]))
    return out


def staged(folder: Path) -> dict[str, Any]:
    """The staged fixed view, cut and uncut: each event found, not testable or missed; extras.

    "by the ground": the truth of versions 1 and 2, where a figure crosses an area of the ground,
    seen or not; "shown" counts those of them that are sure by the picture. "by the picture": where
    its foot crosses the outline in the picture. Most of this scene's people stop on an outline: of
    what is extra by the ground, "on the edge" is beside one whom the picture shows there.
    """
    truth = json.loads((folder / "truth.json").read_text())
    watch = tuple(Region(r["name"], tuple(map(tuple, r["polygon_px"])))
                  for r in truth["regions"] if r["kind"] == "watch")  # fmt: skip
    hide = tuple(Region(r["name"], tuple(map(tuple, r["polygon_px"])))
                 for r in truth["regions"] if r["kind"] != "watch")  # fmt: skip
    offset = truth["clips"]["cctv"]["offset_s"]
    removed = truth["clips"]["cctv"]["edits"][0]["removed_original_clip_s"]
    out: dict[str, Any] = {}
    for name, path, cut in (("untouched", "controls/cctv_original.mp4", False),
                            ("cut", "evidence/cctv_cam04.mp4", True)):  # fmt: skip
        clip = clips.open_clip(folder / path)
        stream = clip.video
        assert stream is not None
        whole = Region.of_box("picture", 0, 0, stream.width, stream.height)
        exam = find_activity(clip, (*watch, whole), occluders=hide)
        assert exam.coverage is not None
        blind = " ".join(part.reason for part in exam.coverage.not_testable)
        gone = removed[1] - removed[0]

        def on_clip(story_s: float, *, cut: bool = cut, gone: float = gone) -> float:
            t = story_s - offset
            return t - gone if cut and t >= removed[1] else t

        sure = [
            replace(c, time=c.time - gone if cut and c.time >= removed[1] else c.time)
            for c in incident_truth(truth, watch, hide)
            if not (cut and removed[0] <= c.time < removed[1])
        ]
        row: dict[str, Any] = {"said to be hidden": [r.name for r in hide if repr(r.name) in blind]}
        for kind in ("enters", "leaves", "falls"):
            for region in (r.name for r in watch):
                times = [on_clip(a["incident_s"]) for a in truth["activity"]
                         if a["kind"] == kind and a["region"] == region
                         and not (cut and a["in_removed_span"])]  # fmt: skip
                found = [float(o.what.time) for o in exam.observations
                         if o.what.kind == kind and o.what.region == region]  # fmt: skip
                hits = matched(times, found, 1.0)
                missed = len(times) - hits
                taken = {a for a, _ in pairs_of(times, found, 1.0)}
                stated = sum(doubtful(exam, region, t)
                             for k, t in enumerate(times) if k not in taken)  # fmt: skip
                mine = [c for c in sure if (c.kind, c.region) == (kind, region)]
                used = {b for _, b in pairs_of(times, found, 1.0)}
                beside = sum(any(c.edge and abs(c.time - t) <= 1.0 for c in mine)
                             for k, t in enumerate(found) if k not in used)  # fmt: skip
                row[f"{kind} {region}"] = {
                    "n": len(times), "found": hits, "not testable": stated,
                    "missed": missed - stated, "false": len(found) - hits, "on the edge": beside,
                    "shown": matched(times, [c.time for c in mine if not c.edge], 1.0),
                }  # fmt: skip
        row["by the picture"] = against(exam, sure, watch)
        row["testable"] = measure_testable(watch, exam.coverage).value
        [ran] = [a for a in truth["activity"] if a["kind"] == "runs"]
        [stood] = [a for a in truth["activity"] if a["kind"] == "stops-running"]
        low, high = on_clip(ran["incident_s"]), on_clip(stood["incident_s"])
        runs = [(float(o.span.start), float(o.span.end)) for o in exam.observations
                if o.what.kind == "runs" and o.what.region == "picture"]  # fmt: skip
        met = [a < high and b > low for a, b in runs]
        row["runs picture"] = {"n": 1, "found": int(any(met)), "false": len(met) - sum(met)}
        key = "flash_edited_cctv_clip_s" if cut else "flash_original_cctv_clip_s"
        times = [s[key] for s in truth["shots"]]
        seen = [float(o.what.time) for o in find_flashes(clip).observations]
        hits = matched(times, seen, 0.13)
        row["flashes"] = {"n": len(times), "found": hits, "false": len(seen) - hits}
        row["hours"] = round(float(clip.duration or 0) / 3600, 4)
        out[name] = row
    both = [out[name] for name in ("untouched", "cut")]
    ground = [row[key] for row in both for key in row if key.startswith(("enters ", "leaves "))]
    out["by the ground"] = {
        key: sum(r[key] for r in ground)
        for key in ("n", "shown", "found", "not testable", "missed", "false", "on the edge")
    }
    out["by the picture"] = {
        key: sum(row["by the picture"][key] for row in both) for key in both[0]["by the picture"]
    }
    out["false runs"] = sum(row["runs picture"]["false"] for row in both)
    return out
