"""Build the staged incident: four recordings of one invented minute, and the truth about them.

    python samples/make.py OUT [--quick] [--seed N]

Writes evidence, controls, a gallery of invented units, incident.toml and truth.json into OUT.
Progress goes to standard error. See samples/README.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


sys.path.insert(0, str(Path(__file__).resolve().parent))

from staged import emblems, jobs, media, record, views  # noqa: E402
from staged.jobs import FILES, PIXEL_STEP  # noqa: E402
from staged.plan import CUT_STORY_S, PHONES, Plan, make_plan  # noqa: E402

__all__ = ["build", "main"]

_NOTES = {
    "cctv": "Handed over on a memory stick as the full export of camera 4.",
    "phone_a": "From a bystander near the bench.",
    "phone_b": "From a bystander across the street, filmed upright.",
    "phone_c": "From a balcony, sent by messenger.",
    "copy": "Downloaded from a channel; uploader unknown.",
    "stranger": "Posted with the others; place and time unknown.",
}


def _wall(plan: Plan, story_s: float) -> str:
    at = datetime.fromisoformat(plan.wall_start) + timedelta(seconds=story_s)
    return at.astimezone().isoformat() if at.tzinfo is None else at.isoformat()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def build(out: Path, *, quick: bool = False, seed: int = 1) -> dict[str, Any]:
    """Write everything into out and return the truth."""
    began = time.perf_counter()
    plan = make_plan(seed, quick)
    for folder in ("evidence", "controls"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    emblems.write_gallery(out / "gallery")
    results: dict[str, dict[str, Any]] = {}
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(2, context) as pool:
        running: dict[Future, str] = {
            pool.submit(jobs.timed, jobs.make_sound, plan, scratch): "sound",
            pool.submit(jobs.timed, jobs.make_cctv, plan, out): "cctv",
        }
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for job in done:
                name = running.pop(job)
                results[name], spent_s = job.result()
                _say(f"[{time.perf_counter() - began:5.1f} s] {name}: {spent_s:.1f} s of processor")
                if name == "cctv":
                    running[pool.submit(jobs.timed, jobs.make_edited, plan, out)] = "edited"
                if name == "sound":
                    for phone in ("phone_a", "phone_b", "phone_c"):
                        running[
                            pool.submit(jobs.timed, jobs.make_phone, plan, out, phone, scratch)
                        ] = phone
                    running[pool.submit(jobs.timed, jobs.make_stranger, plan, out)] = "stranger"
    truth = _truth(plan, out, results)
    (out / "truth.json").write_text(
        json.dumps(truth, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    _say(f"[{time.perf_counter() - began:5.1f} s] wrote {out / 'truth.json'}")
    return truth


def _truth(plan: Plan, out: Path, results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    view = views.FixedView(plan)
    stage = view.stage
    regions = record.regions_of(plan, view)
    listed = [{"id": key, "path": FILES[key], "note": _NOTES[key]} for key in _NOTES]
    (out / "incident.toml").write_text(
        record.incident_toml(plan, view, listed, regions), encoding="utf-8"
    )
    reference = plan.reference_s
    cut = [round(v - plan.start_s, 6) for v in CUT_STORY_S]
    first, last = results["edited"]["cut_frames"]
    clips: dict[str, dict[str, Any]] = {}
    for key, name in FILES.items():
        path = out / name
        clips[key] = {
            "path": name,
            "sha256": media.digest_of(path),
            **media.probe(path),
            "role": "control" if name.startswith("controls") else "evidence",
        }
    offset = round(plan.start_s - reference, 6)
    whole = {"clip_start_s": 0.0, "clip_end_s": plan.length_s, "incident_start_s": offset}
    edited = [
        {"clip_start_s": 0.0, "clip_end_s": cut[0], "incident_start_s": offset},
        {
            "clip_start_s": cut[0],
            "clip_end_s": round(plan.length_s - (cut[1] - cut[0]), 6),
            "incident_start_s": round(offset + cut[1], 6),
        },
    ]
    for key in ("cctv", "cctv_original", "cctv_reencoded"):
        clips[key] |= {
            "offset_s": offset,
            "drift_ppm": 0.0,
            "position_m": [0.0, 6.5, 0.0],
            "edits": [],
            "segments": edited if key == "cctv" else [whole],
            "burned_in_clock": {
                "format": views.CLOCK_FORMAT,
                "box_px": list(view.clock_box),
                "wall_at_clip_zero": _wall(plan, plan.start_s),
            },
        }
    clips["cctv"]["edits"] = [
        {
            "kind": "removed",
            "removed_original_clip_s": cut,
            "removed_frames": [first, last],
            "length_s": round(cut[1] - cut[0], 6),
            "cut_clip_s": cut[0],
            "cut_frame": first,
            "then": "encoded again: libx264 veryfast, crf 22, B-frames, default key frames",
            "clock_jump_s": round(cut[1] - cut[0], 6),
        }
    ]
    clips["cctv"]["derived_from"] = "cctv_original"
    clips["cctv_reencoded"]["derived_from"] = "cctv_original"
    clips["cctv_original"]["rendered_blake2b"] = {
        "every_n_frames": PIXEL_STEP,
        "hashes": results["cctv"]["rendered_blake2b"],
    }
    clips["cctv_original"]["vehicles"] = results["cctv"]["vehicles"]
    for phone in PHONES:
        start_s, _, _ = plan.phone_window(phone)
        made = results[phone.name]
        clips[phone.name] |= {
            "offset_s": round(start_s - reference, 6),
            "drift_ppm": phone.drift_ppm,
            "position_m": list(phone.position),
            "edits": [],
            "variable_frame_rate": phone.vfr,
            "frame_times_s": made["frame_times_s"],
            "display_rotation_deg": -90 if phone.portrait else 0,
            "vehicles": made["vehicles"],
            "emblems": made["emblems"] if phone.name == "phone_a" else [],
            "emblem_summary": record.emblem_summary(made["emblems"]),
            "rendered_blake2b": {"every_n_frames": PIXEL_STEP, "hashes": made["rendered_blake2b"]},
        }
    clips["copy"] |= {
        "offset_s": 0.0,
        "drift_ppm": PHONES[0].drift_ppm,
        "edits": [],
        "derived_from": "phone_a",
    }
    clips["stranger"] |= {"offset_s": None, "drift_ppm": None, "edits": [], "unrelated": True}
    return {
        "schema": 1,
        "seed": plan.seed,
        "quick": plan.quick,
        "conventions": {
            "incident_s": "seconds on the incident clock; zero is PTS 0 of the reference clip",
            "offset_s": "incident time of the clip's PTS 0; positive: starts after the reference",
            "drift_ppm": "how much faster the clip's clock runs: clip_s = (incident_s - offset_s) "
            "* (1 + drift_ppm * 1e-6)",
            "place": "metres; x right, y up, z away from the fixed camera's wall",
            "sound_speed_m_s": 343.0,
            "boxes": "pixels of the upright picture: x, y, width, height",
            "removed_frames": "first removed, first kept again, in the original's frame numbers",
        },
        "reference": "phone_a",
        "wall_at_incident_zero": _wall(plan, reference),
        "clips": clips,
        "shots": record.shots_of(plan, stage),
        "regions": regions,
        "other_impulses": [
            {"what": "minibus door", "incident_s": round(plan.incident(s), 3)}
            for s in (18.55, 47.2)
            if plan.start_s <= s <= plan.start_s + plan.length_s
        ],
        "activity": record.activity_of(plan, stage),
        "copies": [
            {
                "copy": "copy",
                "of": "phone_a",
                "done": "3/4 size, libx264 veryfast crf 28, AAC 64 kb/s, metadata dropped",
            }
        ],
        "strangers": ["stranger"],
        "claims": [
            {"id": c["id"], "verdict": c["verdict"], "because": c["because"]}
            for c in record.claims()
        ],
        "gallery": [unit.key for unit in emblems.UNITS],
        "look_alikes": [["badger-detachment", "raccoon-detachment"]],
    }


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter, for tests")
    parser.add_argument("--seed", type=int, default=1)
    choice = parser.parse_args(argv)
    build(choice.out, quick=choice.quick, seed=choice.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
