"""The jobs of a build, each for a process of its own: sound, cameras, the edit, the stranger."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from . import media, sound, views
from .plan import CUT_STORY_S, PHONES, Plan

__all__ = [
    "FILES",
    "PIXEL_STEP",
    "make_cctv",
    "make_edited",
    "make_phone",
    "make_sound",
    "make_stranger",
    "timed",
]

FILES = {
    "cctv": "evidence/cctv_cam04.mp4",
    "phone_a": "evidence/phone_a.mov",
    "phone_b": "evidence/phone_b.mp4",
    "phone_c": "evidence/phone_c.mkv",
    "copy": "evidence/video_2021-10-15_09-12-44.mp4",
    "stranger": "evidence/from_channel_0087.mp4",
    "cctv_original": "controls/cctv_original.mp4",
    "cctv_reencoded": "controls/cctv_reencoded.mp4",
}
PIXEL_STEP = 25  # every 25th rendered frame is hashed into the truth


def _utc(plan: Plan, story_s: float) -> str:
    at = datetime.fromisoformat(plan.wall_start) + timedelta(seconds=story_s)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def _fixed_recorder(plan: Plan) -> media.Recorder:
    """A digital video recorder: no B-frames, a key frame every two seconds, steady quality."""
    return media.Recorder(
        options={
            "preset": "superfast",
            "crf": "23",
            "profile": "main",
            "g": "50",
            "bf": "0",
            "keyint_min": "50",
            "sc_threshold": "0",
        },
        metadata={"creation_time": _utc(plan, plan.start_s)},
        rate=plan.frame_rate,
    )


def make_cctv(plan: Plan, out: Path) -> dict[str, Any]:
    """The fixed camera's original, which only the controls keep."""
    view = views.FixedView(plan)
    hashes, vehicles = [], []

    def frames() -> Any:
        for k, frame in enumerate(view.frames()):
            if k % PIXEL_STEP == 0:
                hashes.append(_pixels(frame.planes))
                vehicles.extend(
                    {"original_clip_s": round(frame.time_s, 4), "kind": kind, "box_px": list(box)}
                    for kind, box in frame.seen.vehicles
                )
            yield frame.planes, frame.time_s

    original = out / FILES["cctv_original"]
    media.write_clip(original, frames(), _fixed_recorder(plan))
    return {"rendered_blake2b": hashes, "vehicles": vehicles}


def make_edited(plan: Plan, out: Path) -> dict[str, Any]:
    """The fixed camera's file with two seconds taken out, and an innocent re-encode."""
    original = out / FILES["cctv_original"]
    first = round((CUT_STORY_S[0] - plan.start_s) * plan.frame_rate)
    last = round((CUT_STORY_S[1] - plan.start_s) * plan.frame_rate)
    edited = media.Recorder(
        options={"preset": "veryfast", "crf": "22"},
        rate=plan.frame_rate,
        metadata={"creation_time": _utc(plan, 86400.0)},
        strip_encoder=False,
    )
    media.cut_out(original, out / FILES["cctv"], first, last, edited)
    innocent = media.Recorder(
        options={"preset": "superfast", "crf": "24"}, rate=plan.frame_rate, strip_encoder=False
    )
    media.re_encode(original, out / FILES["cctv_reencoded"], innocent)
    return {"cut_frames": [first, last]}


def make_sound(plan: Plan, folder: str) -> None:
    """All phones' recordings, into .npy files: the sound field is worked out once."""
    for phone in PHONES:
        np.save(Path(folder) / f"{phone.name}.npy", sound.hear(plan, phone))


def _phone_recorder(plan: Plan, name: str, start_s: float) -> media.Recorder:
    made = {"creation_time": _utc(plan, start_s)}
    if name == "phone_a":
        return media.Recorder(
            options={"preset": "superfast", "crf": "24", "bf": "0", "g": "30"},
            audio="aac",
            audio_bits=96_000,
            metadata=made,
            rate=plan.phone_rate,
        )
    if name == "phone_b":
        return media.Recorder(
            video="libx265",
            rotation_deg=-90,
            audio="aac",
            audio_rate=48000,
            audio_bits=64_000,
            metadata=made,
            rate=plan.phone_rate,
            options={
                "preset": "ultrafast",
                "crf": "27",
                "x265-params": "pools=none:frame-threads=1:wpp=0:log-level=none:info=0:keyint=60",
            },
        )
    return media.Recorder(
        options={"preset": "superfast", "crf": "27", "g": "90", "bf": "0"},
        audio="libopus",
        audio_bits=32_000,
        metadata=made,
        rate=plan.phone_rate,
    )


def make_phone(plan: Plan, out: Path, name: str, folder: str) -> dict[str, Any]:
    """One phone's clip (and, for the first, the copy of it that somebody uploaded again)."""
    phone = next(p for p in PHONES if p.name == name)
    view = views.PhoneView(plan, phone)
    hashes: list[str] = []
    boxes: list[dict[str, Any]] = []
    vehicles: list[dict[str, Any]] = []

    def frames() -> Any:
        for k, frame in enumerate(view.frames()):
            if k % PIXEL_STEP == 0:
                hashes.append(_pixels(frame.planes))
                vehicles.extend(
                    {"clip_s": round(frame.time_s, 4), "kind": kind, "box_px": list(box)}
                    for kind, box in frame.seen.vehicles
                )
            if k % 5 == 0:
                boxes.extend(
                    _emblem_entry(k, frame, view, key, quad)
                    for key, quad in frame.seen.emblems
                    if _in_picture(quad, view.width, view.height)
                )
            planes = _turned(frame.planes) if phone.portrait else frame.planes
            yield planes, frame.time_s

    path = out / FILES[name]
    voice = np.load(Path(folder) / f"{name}.npy")
    media.write_clip(path, frames(), _phone_recorder(plan, name, view.start_s), voice)
    if name == "phone_a":
        size = (view.width * 3 // 4 // 2 * 2, view.height * 3 // 4 // 2 * 2)
        again = media.Recorder(
            options={"preset": "veryfast", "crf": "28"},
            audio="aac",
            audio_bits=64_000,
            rate=plan.phone_rate,
            strip_encoder=False,
        )
        media.re_encode(path, out / FILES["copy"], again, size)
    return {
        "rendered_blake2b": hashes,
        "emblems": boxes,
        "vehicles": vehicles,
        "frame_times_s": [round(t, 6) for t in view.times.tolist()] if phone.vfr else None,
    }


def _emblem_entry(
    k: int, frame: views.Frame, view: views.PhoneView, key: str, quad: list[list[float]]
) -> dict[str, Any]:
    sides = np.linalg.norm(np.array(quad) - np.roll(quad, 1, axis=0), axis=1)
    return {
        "frame": k,
        "clip_s": round(frame.time_s, 6),
        "unit": key,
        "quad_px": quad,
        "width_px": round(float(sides[[1, 3]].mean()), 1),
        "height_px": round(float(sides[[0, 2]].mean()), 1),
    }


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
    recorder = media.Recorder(
        options={"preset": "superfast", "crf": "26"},
        audio="libmp3lame",
        audio_bits=96_000,
        rate=plan.phone_rate,
        strip_encoder=False,
    )
    feed = ((frame.planes, frame.time_s) for frame in view.frames())
    media.write_clip(
        out / FILES["stranger"], feed, recorder, sound.hear_stranger(plan, view.length_s)
    )
    return {}


def _pixels(planes: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(planes), digest_size=16).hexdigest()


def timed(job: Any, *given: Any) -> tuple[dict[str, Any], float]:
    """Run a job in a worker; returns its result and the processor seconds it took."""
    cv2.setNumThreads(1)
    began = time.process_time()
    return job(*given) or {}, time.process_time() - began
