"""Build the staged incident: four recordings of one invented minute, and the truth about them.

    python samples/make.py OUT [--quick] [--seed N]

Writes evidence, controls, a gallery of invented units, incident.toml and truth.json into OUT.
Progress goes to standard error. See samples/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
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

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from staged import emblems, media, record, sound, views
from staged.plan import CUT_STORY_S, PHONES, Plan, make_plan

__all__ = ["build", "main"]

_FILES = {"cctv": "evidence/cctv_cam04.mp4", "phone_a": "evidence/phone_a.mov",
          "phone_b": "evidence/phone_b.mp4", "phone_c": "evidence/phone_c.mkv",
          "copy": "evidence/video_2021-10-15_09-12-44.mp4",
          "stranger": "evidence/from_channel_0087.mp4",
          "cctv_original": "controls/cctv_original.mp4",
          "cctv_reencoded": "controls/cctv_reencoded.mp4"}
_NOTES = {"cctv": "Handed over on a memory stick as the full export of camera 4.",
          "phone_a": "From a bystander near the bench.",
          "phone_b": "From a bystander across the street, filmed upright.",
          "phone_c": "From a balcony, sent by messenger.",
          "copy": "Downloaded from a channel; uploader unknown.",
          "stranger": "Posted with the others; place and time unknown."}
_PIXEL_STEP = 25  # every 25th rendered frame is hashed into the truth


def _wall(plan: Plan, story_s: float) -> str:
    at = datetime.fromisoformat(plan.wall_start) + timedelta(seconds=story_s)
    return at.astimezone().isoformat() if at.tzinfo is None else at.isoformat()


def _utc(plan: Plan, story_s: float) -> str:
    from datetime import UTC

    at = datetime.fromisoformat(plan.wall_start) + timedelta(seconds=story_s)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def _fixed_recorder(plan: Plan) -> media.Recorder:
    """A digital video recorder: no B-frames, a key frame every two seconds, steady quality."""
    return media.Recorder(
        options={"preset": "superfast", "crf": "23", "profile": "main", "g": "50", "bf": "0",
                 "keyint_min": "50", "sc_threshold": "0"},
        metadata={"creation_time": _utc(plan, plan.start_s)}, rate=plan.frame_rate,
    )


def make_cctv(plan: Plan, out: Path) -> dict[str, Any]:
    """The fixed camera's original, which only the controls keep."""
    view = views.FixedView(plan)
    hashes, vehicles = [], []

    def frames() -> Any:
        for k, frame in enumerate(view.frames()):
            if k % _PIXEL_STEP == 0:
                hashes.append(_pixels(frame.planes))
                vehicles.extend({"original_clip_s": round(frame.time_s, 4), "kind": kind,
                                 "box_px": list(box)} for kind, box in frame.seen.vehicles)
            yield frame.planes, frame.time_s

    original = out / _FILES["cctv_original"]
    media.write_clip(original, frames(), _fixed_recorder(plan))
    return {"rendered_blake2b": hashes, "vehicles": vehicles}


def make_edited(plan: Plan, out: Path) -> dict[str, Any]:
    """The fixed camera's file with two seconds taken out, and an innocent re-encode."""
    original = out / _FILES["cctv_original"]
    first = round((CUT_STORY_S[0] - plan.start_s) * plan.frame_rate)
    last = round((CUT_STORY_S[1] - plan.start_s) * plan.frame_rate)
    edited = media.Recorder(options={"preset": "veryfast", "crf": "22"}, rate=plan.frame_rate,
                            metadata={"creation_time": _utc(plan, 86400.0)}, strip_encoder=False)
    media.cut_out(original, out / _FILES["cctv"], first, last, edited)
    innocent = media.Recorder(options={"preset": "superfast", "crf": "24"}, rate=plan.frame_rate,
                              strip_encoder=False)
    media.re_encode(original, out / _FILES["cctv_reencoded"], innocent)
    return {"cut_frames": [first, last]}


def make_sound(plan: Plan, folder: str) -> None:
    """All phones' recordings, into .npy files: the sound field is worked out once."""
    for phone in PHONES:
        np.save(Path(folder) / f"{phone.name}.npy", sound.hear(plan, phone))


def _phone_recorder(plan: Plan, name: str, start_s: float) -> media.Recorder:
    made = {"creation_time": _utc(plan, start_s)}
    if name == "phone_a":
        return media.Recorder(options={"preset": "superfast", "crf": "24", "bf": "0", "g": "30"},
                              audio="aac", audio_bits=96_000, metadata=made, rate=plan.phone_rate)
    if name == "phone_b":
        return media.Recorder(
            video="libx265", rotation_deg=-90, audio="aac", audio_rate=48000, audio_bits=64_000,
            metadata=made, rate=plan.phone_rate,
            options={"preset": "ultrafast", "crf": "27",
                     "x265-params": "pools=none:frame-threads=1:wpp=0:log-level=none:info=0:keyint=60"})
    return media.Recorder(options={"preset": "superfast", "crf": "27", "g": "90", "bf": "0"},
                          audio="libopus", audio_bits=32_000, metadata=made, rate=plan.phone_rate)


def make_phone(plan: Plan, out: Path, name: str, folder: str) -> dict[str, Any]:
    """One phone's clip (and, for the first, the copy of it that somebody uploaded again)."""
    phone = next(p for p in PHONES if p.name == name)
    view = views.PhoneView(plan, phone)
    hashes: list[str] = []
    boxes: list[dict[str, Any]] = []
    vehicles: list[dict[str, Any]] = []

    def frames() -> Any:
        for k, frame in enumerate(view.frames()):
            if k % _PIXEL_STEP == 0:
                hashes.append(_pixels(frame.planes))
                vehicles.extend({"clip_s": round(frame.time_s, 4), "kind": kind, "box_px": list(box)}
                                for kind, box in frame.seen.vehicles)
            if k % 5 == 0:
                boxes.extend(_emblem_entry(k, frame, view, key, quad)
                             for key, quad in frame.seen.emblems
                             if _in_picture(quad, view.width, view.height))
            planes = _turned(frame.planes) if phone.portrait else frame.planes
            yield planes, frame.time_s

    path = out / _FILES[name]
    voice = np.load(Path(folder) / f"{name}.npy")
    media.write_clip(path, frames(), _phone_recorder(plan, name, view.start_s), voice)
    if name == "phone_a":
        size = (view.width * 3 // 4 // 2 * 2, view.height * 3 // 4 // 2 * 2)
        again = media.Recorder(options={"preset": "veryfast", "crf": "28"}, audio="aac",
                               audio_bits=64_000, rate=plan.phone_rate, strip_encoder=False)
        media.re_encode(path, out / _FILES["copy"], again, size)
    return {"rendered_blake2b": hashes, "emblems": boxes, "vehicles": vehicles,
            "frame_times_s": [round(t, 6) for t in view.times.tolist()] if phone.vfr else None}


def _emblem_entry(k: int, frame: views.Frame, view: views.PhoneView, key: str,
                  quad: list[list[float]]) -> dict[str, Any]:
    sides = np.linalg.norm(np.array(quad) - np.roll(quad, 1, axis=0), axis=1)
    return {"frame": k, "clip_s": round(frame.time_s, 6), "unit": key, "quad_px": quad,
            "width_px": round(float(sides[[1, 3]].mean()), 1),
            "height_px": round(float(sides[[0, 2]].mean()), 1)}


def _in_picture(quad: list[list[float]], width: int, height: int) -> bool:
    points = np.array(quad)
    return bool((points >= 0).all() and (points < [width, height]).all())


def _turned(planes: np.ndarray) -> np.ndarray:
    """An upright picture laid on its left side, as an upright phone's sensor delivers it."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    parts = [np.rot90(planes[:height])]
    parts += [np.rot90(p).reshape(-1) for p in planes[height:].reshape(2, height // 2, width // 2)]
    chroma = np.concatenate(parts[1:]).reshape(-1, height)
    return np.ascontiguousarray(np.concatenate([parts[0], chroma]))


def make_stranger(plan: Plan, out: Path) -> dict[str, Any]:
    """The clip that does not belong."""
    view = views.StrangerView(plan)
    recorder = media.Recorder(options={"preset": "superfast", "crf": "26"}, audio="libmp3lame",
                              audio_bits=96_000, rate=plan.phone_rate, strip_encoder=False)
    feed = ((frame.planes, frame.time_s) for frame in view.frames())
    media.write_clip(out / _FILES["stranger"], feed, recorder,
                     sound.hear_stranger(plan, view.length_s))
    return {}


def _pixels(planes: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(planes), digest_size=16).hexdigest()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _timed(job: Any, *given: Any) -> tuple[dict[str, Any], float]:
    """Run a job in a worker; returns its result and the processor seconds it took."""
    cv2.setNumThreads(1)
    began = time.process_time()
    return job(*given) or {}, time.process_time() - began


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
        running: dict[Future, str] = {pool.submit(_timed, make_sound, plan, scratch): "sound",
                                      pool.submit(_timed, make_cctv, plan, out): "cctv"}
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for job in done:
                name = running.pop(job)
                results[name], spent_s = job.result()
                _say(f"[{time.perf_counter() - began:5.1f} s] {name}: {spent_s:.1f} s of processor")
                if name == "cctv":
                    running[pool.submit(_timed, make_edited, plan, out)] = "edited"
                if name == "sound":
                    for phone in ("phone_a", "phone_b", "phone_c"):
                        running[pool.submit(_timed, make_phone, plan, out, phone, scratch)] = phone
                    running[pool.submit(_timed, make_stranger, plan, out)] = "stranger"
    truth = _truth(plan, out, results)
    (out / "truth.json").write_text(json.dumps(truth, indent=1, ensure_ascii=False) + "\n",
                                    encoding="utf-8")
    _say(f"[{time.perf_counter() - began:5.1f} s] wrote {out / 'truth.json'}")
    return truth


def _truth(plan: Plan, out: Path, results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    view = views.FixedView(plan)
    stage = view.stage
    regions = record.regions_of(plan, view)
    listed = [{"id": key, "path": _FILES[key], "note": _NOTES[key]} for key in _NOTES]
    (out / "incident.toml").write_text(record.incident_toml(plan, view, listed, regions),
                                       encoding="utf-8")
    reference = plan.reference_s
    cut = [round(v - plan.start_s, 6) for v in CUT_STORY_S]
    first, last = results["edited"]["cut_frames"]
    clips: dict[str, dict[str, Any]] = {}
    for key, name in _FILES.items():
        path = out / name
        clips[key] = {"path": name, "sha256": media.digest_of(path), **media.probe(path),
                      "role": "control" if name.startswith("controls") else "evidence"}
    offset = round(plan.start_s - reference, 6)
    whole = {"clip_start_s": 0.0, "clip_end_s": plan.length_s, "incident_start_s": offset}
    edited = [{"clip_start_s": 0.0, "clip_end_s": cut[0], "incident_start_s": offset},
              {"clip_start_s": cut[0], "clip_end_s": round(plan.length_s - (cut[1] - cut[0]), 6),
               "incident_start_s": round(offset + cut[1], 6)}]
    for key in ("cctv", "cctv_original", "cctv_reencoded"):
        clips[key] |= {
            "offset_s": offset, "drift_ppm": 0.0, "position_m": [0.0, 6.5, 0.0], "edits": [],
            "segments": edited if key == "cctv" else [whole],
            "burned_in_clock": {"format": views.CLOCK_FORMAT, "box_px": list(view.clock_box),
                                "wall_at_clip_zero": _wall(plan, plan.start_s)},
        }
    clips["cctv"]["edits"] = [{
        "kind": "removed", "removed_original_clip_s": cut, "removed_frames": [first, last],
        "length_s": round(cut[1] - cut[0], 6), "cut_clip_s": cut[0], "cut_frame": first,
        "then": "decoded and encoded again: libx264 veryfast, crf 22, B-frames, default key frames",
        "clock_jump_s": round(cut[1] - cut[0], 6)}]
    clips["cctv"]["derived_from"] = "cctv_original"
    clips["cctv_reencoded"]["derived_from"] = "cctv_original"
    clips["cctv_original"]["rendered_blake2b"] = {
        "every_n_frames": _PIXEL_STEP, "hashes": results["cctv"]["rendered_blake2b"]}
    clips["cctv_original"]["vehicles"] = results["cctv"]["vehicles"]
    for phone in PHONES:
        start_s, _, _ = plan.phone_window(phone)
        made = results[phone.name]
        clips[phone.name] |= {
            "offset_s": round(start_s - reference, 6), "drift_ppm": phone.drift_ppm,
            "position_m": list(phone.position), "edits": [], "variable_frame_rate": phone.vfr,
            "frame_times_s": made["frame_times_s"],
            "display_rotation_deg": -90 if phone.portrait else 0, "vehicles": made["vehicles"],
            "emblems": made["emblems"] if phone.name == "phone_a" else [],
            "emblem_summary": record.emblem_summary(made["emblems"]),
            "rendered_blake2b": {"every_n_frames": _PIXEL_STEP, "hashes": made["rendered_blake2b"]},
        }
    clips["copy"] |= {"offset_s": 0.0, "drift_ppm": PHONES[0].drift_ppm, "edits": [],
                      "derived_from": "phone_a"}
    clips["stranger"] |= {"offset_s": None, "drift_ppm": None, "edits": [],
                          "unrelated": True}
    return {
        "schema": 1, "seed": plan.seed, "quick": plan.quick,
        "conventions": {
            "incident_s": "seconds on the incident clock; zero is PTS 0 of the reference clip",
            "offset_s": "incident time of the clip's PTS 0; positive: it starts after the reference",
            "drift_ppm": "how much faster the clip's clock runs: clip_s = (incident_s - offset_s) "
                         "* (1 + drift_ppm * 1e-6)",
            "place": "metres; x right, y up, z away from the fixed camera's wall",
            "sound_speed_m_s": 343.0, "boxes": "pixels of the upright picture: x, y, width, height",
            "removed_frames": "first removed, first kept again, in the original's frame numbers",
        },
        "reference": "phone_a", "wall_at_incident_zero": _wall(plan, reference),
        "clips": clips, "shots": record.shots_of(plan, stage), "regions": regions,
        "other_impulses": [{"what": "minibus door", "incident_s": round(plan.incident(s), 3)}
                           for s in (18.55, 55.2)
                           if plan.start_s <= s <= plan.start_s + plan.length_s],
        "activity": record.activity_of(plan, stage),
        "copies": [{"copy": "copy", "of": "phone_a",
                    "done": "3/4 size, libx264 veryfast crf 28, AAC 64 kb/s, metadata dropped"}],
        "strangers": ["stranger"],
        "claims": [{"id": c["id"], "verdict": c["verdict"], "because": c["because"]}
                   for c in record.claims()],
        "gallery": [unit.key for unit in emblems.UNITS],
        "look_alikes": [["badger-detachment", "raccoon-detachment"]],
    }


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter, for tests")
    parser.add_argument("--seed", type=int, default=1)
    choice = parser.parse_args(argv)
    build(choice.out, quick=choice.quick, seed=choice.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
