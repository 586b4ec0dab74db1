"""Media made from nothing, with known content, for the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray


def write_video(
    path: Path, frames: Iterable[NDArray[np.uint8]], *, rate: int = 25, codec: str = "libx264",
    options: dict[str, str] | None = None, pts: Sequence[int] | None = None, rotation: int = 0,
    sound: NDArray[np.float32] | None = None, sound_rate: int = 48000, sound_codec: str = "aac",
) -> Path:  # fmt: skip
    """Encode RGB frames (and mono sound) to a file; `pts` in units of 1/rate for VFR."""
    with av.open(str(path), "w") as out:
        stream: Any = None
        for number, frame in enumerate(frames):
            if stream is None:
                stream = out.add_stream(codec, rate=rate, options=options or {"crf": "20"})
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.thread_type = "NONE"
                if rotation:
                    stream.set_display_rotation(rotation)
                voice: Any = None
                if sound is not None:
                    voice = out.add_stream(sound_codec, rate=sound_rate, layout="mono")
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = number if pts is None else pts[number]
            picture.time_base = Fraction(1, rate)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
        if voice is not None and sound is not None:
            _mux_sound(out, voice, sound, sound_rate)
    return path


def write_sound(
    path: Path, sound: NDArray[np.float32], *, rate: int = 48000, codec: str = "pcm_s16le"
) -> Path:
    """Encode mono float samples to a file."""
    with av.open(str(path), "w") as out:
        voice: Any = out.add_stream(codec, rate=rate, layout="mono")
        _mux_sound(out, voice, sound, rate)
    return path


def _mux_sound(out: Any, voice: Any, sound: NDArray[np.float32], rate: int) -> None:
    for start in range(0, len(sound), 1024):
        piece = np.ascontiguousarray(sound[start : start + 1024], np.float32)[None]
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        out.mux(voice.encode(frame))
    out.mux(voice.encode(None))


def moving_square(
    count: int = 100, *, width: int = 320, height: int = 180, seed: int = 0
) -> list[NDArray[np.uint8]]:
    """A textured view with sensor noise and one bright square crossing it steadily."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(40, 140, (height // 4, width // 4, 3))
    scene = np.kron(rough, np.ones((4, 4, 1))).astype(np.int16)
    frames = []
    for number in range(count):
        picture = scene + rng.integers(-3, 4, scene.shape, dtype=np.int16)
        left = (number * 3) % (width - 24)
        picture[height // 2 : height // 2 + 24, left : left + 24] = 230
        frames.append(np.clip(picture, 0, 255).astype(np.uint8))
    return frames


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a 440 Hz tone as WAV."""
    time = np.arange(2 * 48000) / 48000
    sound = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    return write_sound(tmp_path_factory.mktemp("tone") / "tone.wav", sound)


@pytest.fixture(scope="session")
def tone_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of another tone."""
    time = np.arange(2 * 48000) / 48000
    sound = (0.3 * np.sin(2 * np.pi * 330 * time)).astype(np.float32)
    return write_sound(tmp_path_factory.mktemp("tone") / "other.wav", sound)


@pytest.fixture(scope="session")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a moving square with noise as sound, H.264 and AAC in MP4."""
    rng = np.random.default_rng(1)
    sound = (0.1 * rng.standard_normal(4 * 48000)).astype(np.float32)
    return write_video(
        tmp_path_factory.mktemp("moving") / "moving.mp4", moving_square(), sound=sound
    )


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The quick staged incident, built once a run by the command line as a person would."""
    base = tmp_path_factory.getbasetemp()
    home = base if worker_id == "master" else base.parent
    out, done, lock = home / "staged", home / "staged.done", home / "staged.lock"
    try:
        os.mkdir(lock)
    except FileExistsError:
        # Another test process is building it.
        deadline = time.monotonic() + 900
        while not done.exists():
            if time.monotonic() > deadline:
                pytest.fail("the staged incident was not built by the other test process")
            time.sleep(0.5)
        assert done.read_text() == "", done.read_text()
        return out
    script = Path(__file__).resolve().parent.parent / "samples" / "make.py"
    built = subprocess.run(
        [sys.executable, str(script), str(out), "--quick", "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    wrong = built.stderr[-2000:] if built.returncode else built.stdout
    done.write_text(wrong)
    assert wrong == "", wrong
    return out
