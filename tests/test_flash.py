"""Flashes made in pictures and in clips; what passes, sways, bumps or stays is the control."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import overlay

from forensics.clip import open_clip
from forensics.events_flash import find_flashes
from forensics.events_rises import Rise, find_candidates, join, look

FPS = 25


def scene(seconds: float = 6.0, noise: float = 1.0, seed: int = 0) -> np.ndarray:
    """A textured ground of 160 by 96, and the sensor's noise."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 150, (12, 20)).astype(np.float32)
    ground = cv2.resize(coarse, (160, 96), interpolation=cv2.INTER_CUBIC)
    ground += rng.normal(0, 12, ground.shape).astype(np.float32)
    return ground + rng.normal(0, noise, (round(seconds * FPS), 96, 160)).astype(np.float32)


def times_of(pictures: np.ndarray) -> np.ndarray:
    return np.arange(len(pictures)) / FPS


def blocks_of(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(-1, 12, 8, 20, 8).mean(axis=(2, 4))


def seen(pictures: np.ndarray) -> list[Rise]:
    pictures = np.clip(pictures, 0, 255).astype(np.uint8)
    light = blocks_of(pictures.astype(np.float32))
    found = find_candidates(light, times_of(pictures))
    return join([rise for one in found for rise in look(pictures, one)])


def glow(x: float, y: float, radius: float, rise: float) -> np.ndarray:
    yy, xx = np.mgrid[:96, :160]
    return rise * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * radius**2))


def put_ball(picture: np.ndarray, x: float, y: float, radius: float, level: float) -> None:
    yy, xx = np.mgrid[:96, :160]
    picture[(xx - x) ** 2 + (yy - y) ** 2 <= radius**2] = level


@pytest.mark.parametrize("frames", [1, 2, 6])
def test_a_flash_is_found_with_place_and_rise(frames: int) -> None:
    pictures = scene()
    pictures[80 : 80 + frames] += glow(100, 40, 8, 60)
    [rise] = seen(pictures)
    assert (rise.first, rise.last) == (80, 80 + frames - 1)
    x, y, w, h = rise.box
    assert x <= 96 and x + w >= 104 and y <= 36 and y + h >= 44 and w < 40 and h < 40
    assert rise.rise == pytest.approx(60, abs=6)


def test_twice_the_light_rises_twice_as_far() -> None:
    levels = []
    for strength in (25, 50):
        pictures = scene()
        pictures[80] += glow(60, 60, 10, strength)
        levels.append(seen(pictures)[0].rise)
    assert levels[1] / levels[0] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_is_no_flash(seed: int) -> None:
    assert seen(scene(8, noise=4.0, seed=seed)) == []


def test_a_lamp_that_stays_on_is_no_flash() -> None:
    pictures = scene(noise=0.3)
    pictures[70:] += glow(70, 50, 20, 40)
    assert seen(pictures) == []


@pytest.mark.parametrize("step", [2.7, 7.0, 14.0])
def test_a_pale_coat_that_passes_is_no_flash(step: float) -> None:
    pictures = scene()
    for k in range(100):
        x = -10 + step * k
        pictures[20 + k, 40:64, max(0, int(x)) : max(0, int(x + 10))] = 215
    assert seen(pictures) == []


@pytest.mark.parametrize("step", [5.0, 9.0, 16.0, 25.0])
def test_a_ball_that_flies_its_own_length_in_a_frame_is_no_flash(step: float) -> None:
    pictures = scene()
    for k in range(60):
        put_ball(pictures[50 + k], -5 + step * k, 20 + 0.3 * step * k, 4, 230)
    assert seen(pictures) == []


def test_headlights_that_go_along_a_road_are_no_flash() -> None:
    pictures = scene()
    for k in range(90):
        for lamp in (0, 9):
            pictures[30 + k] += glow(-20 + 3.1 * k + lamp, 70, 5, 110)
    assert seen(pictures) == []


def test_a_hand_that_waves_is_no_flash() -> None:
    pictures = scene()
    for k in range(100):
        put_ball(pictures[20 + k], 80 + 14 * np.sin(k / 3), 50 - 6 * np.cos(k / 3), 5, 220)
    assert seen(pictures) == []


@pytest.mark.parametrize("shift", [1, 3])
def test_a_bump_of_the_camera_is_no_flash(shift: int) -> None:
    pictures = scene()
    pictures[60:62] = np.roll(pictures[60:62], (shift, shift), axis=(1, 2))
    assert seen(pictures) == []


def test_an_exposure_that_pumps_concerns_the_whole_picture() -> None:
    pictures = scene()
    pictures[60:64] *= 1.3
    [rise] = seen(pictures)
    assert rise.share > 0.6


def test_light_that_overshoots_and_stays_is_no_flash() -> None:
    pictures = scene()
    pictures[60:] += glow(80, 48, 40, 40)
    pictures[60:63] += glow(80, 48, 40, 20)
    assert seen(pictures) == []


def test_a_flash_is_seen_beside_something_that_passes() -> None:
    pictures = scene()
    for k in range(100):
        x = max(0, int(2.7 * k - 10))
        pictures[20 + k, 60:84, x : max(0, int(2.7 * k))] = 215
    pictures[60:62] += glow(95, 30, 10, 70)
    [rise] = seen(pictures)
    assert (rise.first, rise.last) == (60, 61)


def test_two_flashes_at_once_in_two_places_are_two() -> None:
    pictures = scene()
    pictures[90] += glow(20, 20, 6, 60) + glow(130, 70, 8, 60)
    assert len(seen(pictures)) == 2


def write(path: Path, lit: dict[int, float], count: int = 60) -> Path:
    """A still picture with a square that is brighter by so much in some frames."""
    import av

    still = overlay.noise_frames(320, 180, count=10)[0]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for i in range(count):
            shown = still.copy()
            if i in lit:
                part = shown[60:120, 200:260]
                shown[60:120, 200:260] = np.minimum(255, part + lit[i])
            for packet in stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path


def test_a_clip_with_one_flash_and_its_control(tmp_path: Path) -> None:
    exam = find_flashes(open_clip(write(tmp_path / "flash.mp4", {30: 70.0, 31: 70.0})))
    assert exam.outcome == "found" and len(exam) == 1
    said = exam.observations[0].what
    assert 30 / FPS <= float(said.time) <= 31 / FPS
    box = said.region
    assert box is not None and abs(box.x - 200) <= 8 and abs(box.x + box.width - 260) <= 8
    assert {e.name for e in said.explanations if e.benign} >= {"lamp", "reflection", "recording"}
    assert find_flashes(open_clip(write(tmp_path / "still.mp4", {}))).outcome == "nothing-found"


def test_a_light_that_blinks_evenly_says_so(tmp_path: Path) -> None:
    even = dict.fromkeys(range(14, 120, 20), 70.0)
    exam = find_flashes(open_clip(write(tmp_path / "even.mp4", even, 130)))
    assert len(exam) == len(even)
    for one in exam.observations:
        assert one.what.explanations[0].name == "blinking"
        assert one.note == "blinks here every 0.80 s"
    uneven = dict.fromkeys((14, 21, 52, 97, 113), 70.0)
    exam = find_flashes(open_clip(write(tmp_path / "uneven.mp4", uneven, 130)))
    assert len(exam) == len(uneven)
    assert all(e.name != "blinking" for o in exam.observations for e in o.what.explanations)


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


def test_a_flash_handed_on_by_the_events_keeps_its_own_error_rate(tmp_path: Path) -> None:
    from forensics.events import find_events

    clip = open_clip(write(tmp_path / "handed_on.mp4", {30: 70.0, 31: 70.0}))
    own = [f.error_rate for f in find_flashes(clip)]
    assert own and [f.error_rate for f in find_events(clip)] == own
