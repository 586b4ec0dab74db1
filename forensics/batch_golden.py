"""After any change of a dependency: do the methods still say what they said?

Golden inputs are made from integers alone, without an encoder, so that their bytes are the same on
every machine: a Y4M picture sequence with a cut, a frozen stretch and removed frames, and a WAV
with three impulses in noise. Their examinations are kept as JSON; `revalidate` runs them again
and names the method, the first value that differs, and the packages that have changed since.
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forensics import provenance
from forensics.batch_child import find_step
from forensics.clip import open_clip
from forensics.errors import RecordInvalid, ReplayDiffers
from forensics.model import Examination, Value, canonical_json, from_json
from forensics.tools_temporary import temporary_folder

__all__ = ["GOLDEN_STEPS", "Golden", "Revalidated", "read_golden", "revalidate", "write_golden"]

#: What is kept, for each input.
GOLDEN_STEPS: dict[str, tuple[str, ...]] = {
    "scene.y4m": ("container.find_discontinuities", "video.find_keyframes", "video.find_cuts",
                  "events.find_events"),
    "sound.wav": ("container.find_discontinuities", "events.find_events"),
}  # fmt: skip


class Golden(Value, frozen=True):
    """One examination that is expected again."""

    input: str
    step: str
    examination: Examination


class Revalidated(Value, frozen=True):
    """Whether it came again: *same*, *differs*, *new version*, *input differs*."""

    input: str
    step: str
    state: str
    reason: str
    changed: tuple[str, ...]


def _noise(count: int, seed: int) -> NDArray[np.int64]:
    """Integers 0 to 65535 by a hash: the same on every machine and NumPy version."""
    index = np.arange(count, dtype=np.uint64) + np.uint64((seed << 32) & 0xFFFFFFFFFFFFFFFF)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        index = (index ^ (index >> np.uint64(shift))) * np.uint64(factor)
    return ((index ^ (index >> np.uint64(31))) >> np.uint64(48)).astype(np.int64)


def _scene(path: Path) -> None:
    width, height = 160, 96
    backgrounds = [
        np.kron(40 + _noise(12 * 20, 3 + s).reshape(12, 20) % 120, np.ones((8, 8), np.int64))
        for s in range(2)
    ]
    with open(path, "wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(150):
            moment = number if number < 60 else number + 20  # 20 frames are missing
            moment = min(moment, 100) if 80 <= number < 95 else moment  # and some stand still
            grey = backgrounds[0 if number < 110 else 1] + _noise(width * height, moment).reshape(
                height, width
            ) % 5
            left = (3 * moment) % (width - 20)
            grey[40:60, left : left + 20] = 230
            file.write(b"FRAME\n" + grey.astype(np.uint8).tobytes())
            file.write(bytes([128]) * (width * height // 2))


def _sound(path: Path) -> None:
    rate = 16000
    samples = _noise(6 * rate, 1) % 601 - 300
    for at in (20000, 48000, 50400):
        ring = (_noise(1600, at) - 32768) * 3 // 4
        samples[at : at + 1600] += ring * (1600 - np.arange(1600)) ** 2 // 1600**2
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.clip(samples, -32768, 32767).astype("<i2").tobytes())


def _examine(folder: Path) -> list[Golden]:
    _scene(folder / "scene.y4m")
    _sound(folder / "sound.wav")
    found = []
    for name, steps in GOLDEN_STEPS.items():
        clip = open_clip(folder / name, metadata=False)
        found += [Golden(name, step, find_step(step)(clip)) for step in steps]
    return found


def write_golden(path: Path) -> Path:
    """Write what the methods say now; done when a method's version is raised, not before."""
    with temporary_folder("golden") as folder:
        lines = [canonical_json(golden).decode() for golden in _examine(folder)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def read_golden(path: Path) -> list[Golden]:
    """What is expected.

    Raises
    ------
    RecordInvalid
        The file is not one that `write_golden` wrote.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise RecordInvalid(f"no golden file: {error.strerror}") from None
    return [from_json(line, Golden) for line in lines]


def revalidate(path: Path, *, tolerance: float = 1e-6) -> list[Revalidated]:
    """Run the golden examinations again and say what changed.

    Parameters
    ----------
    path
        What `write_golden` wrote.
    tolerance
        Largest relative difference of a number.
    """
    expected = {(g.input, g.step): g.examination for g in read_golden(path)}
    rows = []
    with temporary_folder("golden") as folder:
        for golden in _examine(folder):
            old, new = expected.get((golden.input, golden.step)), golden.examination
            if old is None:
                rows.append(Revalidated(golden.input, golden.step, "new", "not kept yet", ()))
                continue
            rows.append(_compare(golden, old, new, tolerance))
    return rows


def _compare(golden: Golden, old: Examination, new: Examination, tolerance: float) -> Revalidated:
    changed = tuple(_changes(old.origin.software, new.origin.software))
    state, reason = "same", ""
    if old.origin.inputs != new.origin.inputs:
        state, reason = "input differs", "the golden input was not made as before"
    elif old.origin.version != new.origin.version:
        state = "new version"
        reason = f"{old.origin.method} {old.origin.version} is now {new.origin.version}"
    else:
        try:
            provenance.check_replay(old, new, tolerance=tolerance)
        except ReplayDiffers as error:
            state, reason = "differs", error.message
    return Revalidated(golden.input, golden.step, state, reason, changed)


def _changes(old: dict[str, str], new: dict[str, str]) -> Sequence[str]:
    names = sorted(old.keys() | new.keys())
    return [
        f"{name} {old.get(name, 'absent')} → {new.get(name, 'absent')}"
        for name in names
        if old.get(name) != new.get(name)
    ]

