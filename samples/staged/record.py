"""What was done: truth.json for programs, incident.toml as an examiner would write it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from .emblems import EMBLEM_ON_SHIELD
from .plan import BENCH_AREA, CUT_STORY_S, DOOR_AREA, FALLS, PATH_AREA, PHONES, SHOTS, Plan
from .sound import arrival_s, shot_place
from .stage import Stage
from .views import CLOCK_FORMAT, FixedView, fixed_camera

__all__ = ["activity_of", "claims", "incident_toml", "regions_of", "shots_of"]


def _ground_polygon(
    plan: Plan, area: list[tuple[float, float]], tall_m: float
) -> list[list[float]]:
    """The pixels in which somebody standing on this ground is seen, as a convex polygon."""
    import cv2

    camera = fixed_camera(plan)
    points = np.array([(x, y, z) for x, z in area for y in (0.0, tall_m)])
    pixels, _ = camera.project(points)
    pixels = np.clip(pixels, 0, [camera.width - 1, camera.height - 1])
    hull = cv2.convexHull(pixels.astype(np.float32))[:, 0]
    return hull.round(1).tolist()


def regions_of(plan: Plan, view: FixedView) -> list[dict[str, Any]]:
    """Regions an examiner would draw on the fixed camera's picture, in its pixels."""
    crown = max((layer for layer in view.layers if layer.sways), key=lambda k: k.alpha.shape[0])
    rows, columns = np.nonzero(crown.alpha > 0.3)
    low = [float(np.percentile(columns, 2)) + crown.x, float(np.percentile(rows, 2)) + crown.y]
    high = [float(np.percentile(columns, 98)) + crown.x, float(np.percentile(rows, 98)) + crown.y]
    tree = [[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]]
    found = [
        ("bench", "watch", _ground_polygon(plan, BENCH_AREA, 0.0), BENCH_AREA),
        ("path", "watch", _ground_polygon(plan, PATH_AREA, 0.0), PATH_AREA),
        ("doorway", "watch", _ground_polygon(plan, DOOR_AREA, 0.0), DOOR_AREA),
        ("tree", "occluder", [[round(x, 1), round(y, 1)] for x, y in tree], None),
    ]
    return [
        {"clip": "cctv", "name": name, "kind": kind, "polygon_px": polygon, "ground_m": ground}
        for name, kind, polygon, ground in found
    ]


def _inside(area: list[tuple[float, float]], x: float, z: float) -> bool:
    xs, zs = [p[0] for p in area], [p[1] for p in area]
    if len({round(v, 3) for v in xs}) == 2:
        return min(xs) <= x <= max(xs) and min(zs) <= z <= max(zs)
    import cv2

    return cv2.pointPolygonTest(np.array(area, np.float32), (float(x), float(z)), False) >= 0


def activity_of(plan: Plan, stage: Stage) -> list[dict[str, Any]]:
    """Who (by role) enters or leaves which region, falls, runs: on the incident clock."""
    found: list[dict[str, Any]] = []
    times = np.arange(plan.start_s, plan.start_s + plan.length_s, 0.04)
    areas = {"bench": BENCH_AREA, "path": PATH_AREA, "doorway": DOOR_AREA}
    for track in stage.tracks:
        role = track.actor.role
        was: dict[str, bool] = {}
        running: float | None = None
        for story in times.tolist():
            state = track.at(story)
            for name, area in areas.items():
                now = state is not None and _inside(area, state.x, state.z)
                if name in was and now != was[name]:
                    found.append(_event(plan, story, "enters" if now else "leaves", name, role))
                was[name] = now
            runs = state is not None and state.pose.mode == "run"
            if runs and running is None:
                running = story
                found.append(_event(plan, story, "runs", "", role))
            if running is not None and not runs:
                found.append(_event(plan, story, "stops-running", "", role))
                running = None
        if role in FALLS:
            event = _event(plan, FALLS[role], "falls", "bench", role)
            found.append({**event, "until_s": round(plan.incident(FALLS[role] + 0.95), 3)})
    return sorted(found, key=lambda event: event["incident_s"])


def _event(plan: Plan, story_s: float, kind: str, region: str, role: str) -> dict[str, Any]:
    cut = CUT_STORY_S[0] <= story_s < CUT_STORY_S[1]
    return {
        "kind": kind,
        "region": region,
        "role": role,
        "incident_s": round(plan.incident(story_s), 3),
        "in_removed_span": cut,
    }


def shots_of(plan: Plan, stage: Stage) -> list[dict[str, Any]]:
    """The shots: when and where, and when each phone's clip has them."""
    found = []
    for story_s, role in SHOTS:
        place = shot_place(stage, story_s, role)
        arrivals = {}
        for phone in PHONES:
            start_s, length_s, _ = plan.phone_window(phone)
            at = arrival_s(place, phone, start_s, story_s)
            if 0 <= at <= length_s:
                arrivals[phone.name] = round(at, 6)
        flash = round(story_s - plan.start_s, 4)
        found.append(
            {
                "incident_s": round(plan.incident(story_s), 6),
                "role": role,
                "place_m": [round(float(v), 3) for v in place],
                "arrival_clip_s": arrivals,
                "flash_original_cctv_clip_s": flash,
                "flash_edited_cctv_clip_s": round(flash - (CUT_STORY_S[1] - CUT_STORY_S[0]), 4),
            }
        )
    return found


def claims() -> list[dict[str, Any]]:
    """Statements to be tested, what each expects, and what an honest test should say."""
    return [
        {
            "id": "three-shots",
            "text": "Three shots were fired within ten seconds.",
            "source": "two witnesses, interviewed separately (invented)",
            "expects": {"kind": "count", "label": "impulse:gunshot-like", "n": 3, "window_s": 10.0},
            "verdict": "supported",
            "because": "three impulses heard by every phone within 3.6 s",
        },
        {
            "id": "nobody-before",
            "text": "Nobody approached the bench before the first shot.",
            "source": "statement of the unit's press office (invented)",
            "expects": {
                "kind": "before",
                "first": "enters:bench",
                "then": "impulse:gunshot-like",
                "never": True,
            },
            "verdict": "contradicted",
            "because": "two figures enter the bench region before it",
        },
        {
            "id": "warning-shots",
            "text": "Warning shots were fired before the group reached the bench.",
            "source": "statement of the unit's press office (invented)",
            "expects": {
                "kind": "before",
                "first": "impulse:gunshot-like",
                "first_n": 2,
                "then": "enters:bench",
            },
            "verdict": "contradicted",
            "because": "the phones recorded before the first arrival and heard no shot until then",
        },
        {
            "id": "falls-after-shot",
            "text": "The seated person fell within two seconds of a shot.",
            "source": "witness (invented)",
            "expects": {
                "kind": "within",
                "first": "impulse:gunshot-like",
                "then": "falls:bench",
                "window_s": 2.0,
            },
            "verdict": "supported",
            "because": "the fall begins 0.25 s after the first shot",
        },
        {
            "id": "flash-and-bang",
            "text": "The flash at the bench is the first shot.",
            "source": "journalist's hypothesis (invented)",
            "expects": {
                "kind": "at-once",
                "labels": ["impulse:gunshot-like", "flash"],
                "window_s": 0.25,
            },
            "verdict": "supported",
            "because": "flash and first impulse coincide",
        },
        {
            "id": "one-recording",
            "text": "The CCTV file is one continuous recording.",
            "source": "cover letter of the file (invented)",
            "expects": {"kind": "count", "label": "discontinuity", "clip": "cctv", "n": 0},
            "verdict": "contradicted",
            "because": "two seconds are missing; the clock jumps",
        },
        {
            "id": "emblem-seen",
            "text": "A unit wearing the badger emblem took part.",
            "source": "channel post (invented)",
            "expects": {"kind": "visible", "label": "marking:badger-detachment", "clip": "phone_a"},
            "verdict": "undecided",
            "because": "it is there, but the gallery holds a look-alike of it",
        },
        {
            "id": "behind-tree",
            "text": "Somebody stood behind the tree before the first shot.",
            "source": "comment under a post (invented)",
            "expects": {"kind": "before", "first": "enters:tree", "then": "impulse:gunshot-like"},
            "verdict": "undecided",
            "because": "the tree hides that place from the fixed camera",
        },
    ]


def incident_toml(
    plan: Plan, view: FixedView, clips: list[dict[str, Any]], regions: list[dict[str, Any]]
) -> str:
    """The examiner's file: clips, regions, claims, gallery. Nothing in it comes from the truth."""
    start = datetime.fromisoformat(plan.wall_start) + timedelta(seconds=plan.start_s)
    lines = [
        "# A staged incident. Everything in it is invented and drawn by samples/make.py.",
        "schema = 1",
        'title = "Shots at a bench (staged)"',
        'summary = "Four recordings of one minute, a re-upload and a stray clip. All invented."',
        'reference = "phone_a"  # incident clock: zero is the first frame of this clip',
        'galleries = ["gallery"]',
        'language = "en"',
        "",
    ]
    for clip in clips:
        lines += [
            "[[clips]]",
            f'id = "{clip["id"]}"',
            f'path = "{clip["path"]}"',
            f'note = "{clip["note"]}"',
        ]
        if clip["id"] == "cctv":
            x, y, w, h = view.clock_box
            offset = start.strftime("%z")
            lines += [
                "fixed_camera = true",
                (
                    f'clock = {{ box_px = [{x}, {y}, {w}, {h}], format = "{CLOCK_FORMAT}", '
                    f'utc_offset = "{offset[:3]}:{offset[3:]}" }}'
                ),
            ]
        lines.append("")
    for region in regions:
        points = ", ".join(f"[{x}, {y}]" for x, y in region["polygon_px"])
        lines += [
            "[[regions]]",
            f'clip = "{region["clip"]}"',
            f'name = "{region["name"]}"',
            f'kind = "{region["kind"]}"',
            f"polygon_px = [{points}]",
            "",
        ]
    for claim in claims():
        lines += [
            "[[claims]]",
            f'id = "{claim["id"]}"',
            f'text = "{claim["text"]}"',
            f'source = "{claim["source"]}"',
            "[claims.expects]",
        ]
        for key, value in claim["expects"].items():
            if isinstance(value, list):
                shown = "[" + ", ".join(f'"{item}"' for item in value) + "]"
            else:
                shown = f'"{value}"' if isinstance(value, str) else repr(value).lower()
            lines.append(f"{key} = {shown}")
        lines.append("")
    return "\n".join(lines)


def emblem_summary(boxes: list[dict[str, Any]]) -> dict[str, Any]:
    """How large the emblem gets, over the frames looked at."""
    wide = [entry["width_px"] for entry in boxes]
    return {
        "units": sorted(set(EMBLEM_ON_SHIELD.values())),
        "largest_px": max(wide, default=0.0),
        "frames_at_75_px": sum(w >= 75 for w in wide),
        "frames_listed": len(boxes),
    }


def relative(path: Path, root: Path) -> str:
    """A path as it is written in the records."""
    return path.relative_to(root).as_posix()
