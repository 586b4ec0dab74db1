"""A made street view for the tests of edits: noise, several walkers, nothing else moves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forensics.edits_make import Made, Plan, Profile, plan_edits, write_clip

RATE = 12


def street(
    count: int = 260, *, width: int = 320, height: int = 180, seed: int = 0, walkers: int = 5,
    noise: float = 1.5,
) -> NDArray[np.uint8]:  # fmt: skip
    """(n, h * 3 / 2, w) planes of a still view that walkers cross at their own speeds."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(60, 160, (height // 6, width // 6))
    view = np.kron(rough, np.ones((6, 6)))
    view = np.pad(view, ((0, height - view.shape[0]), (0, width - view.shape[1])), mode="edge")
    frames = np.full((count, height * 3 // 2, width), 128, dtype=np.uint8)
    starts = rng.uniform(0, width, walkers)
    speeds = rng.uniform(2.0, 5.0, walkers) * rng.choice([-1, 1], walkers)
    rows = rng.integers(height // 3, height - 50, walkers)
    shades = rng.integers(10, 50, walkers) + 190 * rng.integers(0, 2, walkers)
    sway = rng.uniform(0.2, 0.6, walkers)
    for t in range(count):
        picture = view + rng.normal(0, noise, view.shape)
        for k in range(walkers):
            left = (starts[k] + speeds[k] * t + 4 * np.sin(sway[k] * t)) % (width + 30) - 25
            low, high = max(0, int(left)), max(0, min(width, int(left) + 16))
            body = np.linspace(0, 25, 40)[:, None] + shades[k]
            picture[rows[k] : rows[k] + 40, low:high] = body
        frames[t, :height] = np.clip(picture, 0, 255)
    return frames


def make(
    path: Path, kind: Made, *, frames: NDArray[np.uint8] | None = None, seed: int = 0,
    profile: Profile = "crf23", length_s: float = 2.0, most: int = 2,
    foreign: NDArray[np.uint8] | None = None,
) -> Plan:  # fmt: skip
    """Write a clip with known edits of one kind; the plan says where."""
    shown = street() if frames is None else frames
    plan = plan_edits(
        kind, len(shown), RATE, length_s=length_s, gap_s=5.0, most=most, seed=seed,
        foreign=0 if foreign is None else len(foreign),
    )  # fmt: skip
    write_clip(path, shown, plan.order, Fraction(RATE), profile=profile, foreign=foreign)
    return plan
