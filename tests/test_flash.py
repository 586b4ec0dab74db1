"""Flashes made in block means and in a clip; what passes or stays is the control."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import overlay

from forensics.clip import open_clip
from forensics.events_flash import find_flashes, find_light_changes, find_rises

FPS = 25


def scene(seconds: float = 6.0, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = round(seconds * FPS)
    base = rng.uniform(40, 160, (12, 20)).astype(np.float32)
    light = base + rng.normal(0, noise, (n, 12, 20)).astype(np.float32)
    return light, np.arange(n) / FPS


def test_a_flash_of_two_frames_is_found_with_place_and_rise() -> None:
    light, times = scene()
    light[80:82, 3:6, 10:14] += 40
    found = find_rises(light, times)
    assert len(found) == 1
    assert (found[0].first, found[0].last) == (80, 81)
    assert found[0].blocks == (10, 3, 4, 3)
    assert found[0].rise == pytest.approx(40, abs=2)


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_is_no_flash(seed: int) -> None:
    assert find_rises(*scene(12, noise=1.0, seed=seed)) == []


def test_a_lamp_that_stays_on_is_a_change_of_light_not_a_flash() -> None:
    light, times = scene()
    light[70:, 2:8, 5:12] += 30
    assert find_rises(light, times) == []
    changes = find_light_changes(light, times)
    assert len(changes) == 1 and abs(changes[0].frame - 70) <= 1
    assert changes[0].rise == pytest.approx(30, abs=2)


def test_a_pale_coat_that_passes_is_no_flash() -> None:
    light, times = scene()
    for k in range(20):  # from block to block in three frames each
        light[30 + 3 * k : 33 + 3 * k, 6:8, k] += 25
    assert find_rises(light, times) == []


def test_two_flashes_at_once_in_two_places_are_two() -> None:
    light, times = scene()
    light[90, 1:3, 1:3] += 50
    light[90, 8:10, 15:18] += 50
    assert len(find_rises(light, times)) == 2


def test_a_clip_with_one_flash_and_its_control(tmp_path: Path) -> None:
    import av

    frames = overlay.noise_frames(320, 180, count=10)
    still = [frames[0].copy() for _ in range(60)]

    def write(name: str, lit: bool) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
            for i, picture in enumerate(still):
                shown = picture.copy()
                if lit and i in (30, 31):
                    shown[60:120, 200:260] = np.minimum(255, shown[60:120, 200:260] + 70.0)
                for packet in stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")):
                    out.mux(packet)
            for packet in stream.encode():
                out.mux(packet)
        return path

    exam = find_flashes(open_clip(write("flash.mp4", True)))
    assert exam.outcome == "found" and len(exam) == 1
    said = exam.observations[0].what
    assert 30 / FPS <= float(said.time) <= 31 / FPS
    assert said.region is not None and said.region.x <= 210 <= said.region.x + said.region.width
    assert any(e.benign for e in said.explanations)
    assert find_flashes(open_clip(write("still.mp4", False))).outcome == "nothing-found"


def test_a_blink_of_a_clip_is_not_applicable(tmp_path: Path) -> None:
    import av

    path = tmp_path / "blink.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    assert find_flashes(open_clip(path)).outcome == "not-applicable"
