"""Clocks that luma alone does not show, where a break lies, and what is no clock."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import overlay

from forensics import clock
from forensics.clip import open_clip
from forensics.clock_course import figures_of
from forensics.clock_sure import Evidence, judge
from forensics.clock_view import Crops, learn_views
from forensics.clock_walk import find_breaks
from forensics.model import Box

START = datetime(2021, 10, 14, 21, 46, 41, 300000, tzinfo=UTC)


def made(path: Path, frames: list, line: overlay.Track, style: overlay.Style, **more: object):
    """A clip, the box of its clock, and the truth."""
    truth = overlay.compose(path, frames, 10.0, line, style, START, **more)
    x, y, w, h = truth["box"]
    return open_clip(path), Box(max(0.0, x - 3), max(0.0, y - 3), w + 6, h + 6), truth


def holds(exam, truth: dict, frame_s: float = 0.1) -> bool:
    """Whether each finding's span holds the break of the same number."""
    return len(exam.observations) == len(truth["breaks"]) and all(
        float(o.span.start) - frame_s < at < float(o.span.end) + frame_s
        for o, (at, _, _) in zip(exam.observations, truth["breaks"], strict=True)
    )


def equally_light() -> list[np.ndarray]:
    """A grey view exactly as light as the orange ink over it, with some grain."""
    rng = np.random.default_rng(5)
    level = 0.299 * 255 + 0.587 * 140
    return [
        np.repeat(np.clip(level + rng.normal(0, 3, (90, 240, 1)), 0, 255).astype(np.uint8), 3, 2)
        for _ in range(12)
    ]


def moving_bars() -> list[np.ndarray]:
    """Wide dark and light bars that wander behind the figures."""
    rng = np.random.default_rng(6)
    wide = np.where((np.arange(900) // 60) % 2, 210.0, 40.0)[None, :, None]
    return [
        np.clip(np.roll(wide, -6 * k, 1)[:, :240] + rng.normal(0, 3, (90, 240, 3)), 0, 255)
        .astype(np.uint8) for k in range(20)
    ]  # fmt: skip


def test_figures_legible_by_colour_alone_are_read(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra `ocr`")
    line = overlay.delete(overlay.track(26, 10), 12.0, 2.0)
    style = overlay.Style(pattern="%H:%M:%S", size=20, look="orange")
    clip, box, truth = made(tmp_path / "orange.mp4", equally_light(), line, style)
    exam = clock.find_clock_breaks(clip, box=box)
    assert holds(exam, truth), exam
    assert exam.measures["read_surely"].value > 0.9


def test_figures_that_turn_with_the_ground_are_read(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra `ocr`")
    line = overlay.delete(overlay.track(34, 10), 16.0, 2.0)
    style = overlay.Style(pattern="%H:%M:%S", size=22, look="turning")
    clip, box, truth = made(tmp_path / "turning.mp4", moving_bars(), line, style)
    exam = clock.find_clock_breaks(clip, box=box)
    assert holds(exam, truth), exam
    assert exam.measures["read_surely"].value > 0.8


def test_a_mix_makes_ink_of_one_lightness_with_its_ground_stand_out() -> None:
    rng = np.random.default_rng(3)
    shown = np.repeat(np.arange(70_000, 70_040), 6)
    luma = rng.normal(140, 4, (len(shown), 24, 110))
    chroma = np.full((len(shown), 2, 12, 55), 128.0) + rng.normal(0, 2, (len(shown), 2, 12, 55))
    for k, wall in enumerate(shown):
        chroma[k, 1] += 60 * ink("{}{}:{}{}:{}{}".format(*figures_of(np.array([wall]), False)[0]))
    grey = Crops(luma.astype(np.uint8), np.full_like(chroma, 128).astype(np.uint8), (2, 2))
    assert learn_views(grey, shown) is None
    colour = Crops(luma.astype(np.uint8), chroma.astype(np.uint8), (2, 2))
    learned = learn_views(colour, shown)
    assert learned is not None and learned.figures.places == [0, 1, 2, 3, 4, 5]
    scores = learned.figures.score(learned.see(colour), 6.0)
    assert (scores.argmax(axis=2) == figures_of(shown, False)).mean() > 0.95


def ink(text: str) -> np.ndarray:
    """A line as chroma holds it: at half of luma's resolution."""
    import cv2

    drawn = np.zeros((24, 110), np.uint8)
    for i, c in enumerate(text):
        cv2.putText(drawn, c, (4 + 12 * i, 19), cv2.FONT_HERSHEY_PLAIN, 1.2, 255, 2)
    small = cv2.resize(drawn, (55, 12), interpolation=cv2.INTER_AREA)
    return small.astype(float) / 255


# -- where a break lies ---------------------------------------------------------------------


def placed(seed: int, restless: float, step: int = 2):
    """A break at 30.32 s between frames of which a share shows chance figures, several at once."""
    rng = np.random.default_rng(seed)
    times = np.round(np.arange(0.32, 60, 0.04), 6)
    second = np.floor(times + 70_000.0 + 1e-6).astype(int)
    second[750:] += step
    assert times[750] == 30.32
    scores = np.full((len(times), 6, 10), -0.6)
    np.put_along_axis(scores, figures_of(second, False)[..., None], 0.0, axis=2)
    a = 0
    while a < len(times):
        size = int(rng.integers(4, 12))
        if rng.random() < restless:
            scores[a : a + size] = rng.uniform(-0.6, 0, (1, 6, 10))
        a += size
    first = np.flatnonzero(np.r_[True, np.diff(second) != 0])
    edges, wall = times[first], second[first].astype(float)
    found, jitter = find_breaks(edges, wall, float(times[-1]), frame_s=0.04)
    proof = Evidence(times, scores, np.full(len(wall), -1), True)
    return judge(edges, wall, found, proof, end_s=float(times[-1]), frame_s=0.04, rate=1.0,
                 jitter_s=jitter).breaks  # fmt: skip


def test_a_break_between_plain_frames_is_placed_to_the_frame() -> None:
    (item,) = placed(0, 0.0)
    assert item.before_s < 30.32 <= item.after_s and item.after_s - item.before_s < 0.13
    assert item.likeliest_s == pytest.approx(30.32, abs=0.041)


def test_a_break_on_restless_ground_lies_in_its_span() -> None:
    kept = [found[0] for seed in range(40) if len(found := placed(seed, 0.35)) == 1]
    assert len(kept) > 30
    inside = [b.before_s < 30.32 <= b.after_s for b in kept]
    assert np.mean(inside) > 0.95
    assert np.median([b.after_s - b.before_s for b in kept]) < 1.0
    # The likeliest frame alone would have been wrong in several.
    assert sum(abs((b.likeliest_s or 0) - 30.32) > 0.1 for b in kept) >= 2


def test_a_break_before_the_last_four_seconds_needs_no_more_than_plain_figures() -> None:
    times = np.round(np.arange(0.0, 38.3, 0.04), 6)
    second = np.floor(times + 70_000.2 + 1e-6).astype(int)
    second[(times >= 31.9) & (times < 34.9)] = second[798]
    scores = np.full((len(times), 6, 10), -0.6)
    np.put_along_axis(scores, figures_of(second, False)[..., None], 0.0, axis=2)
    first = np.flatnonzero(np.r_[True, np.diff(second) != 0])
    edges, wall = times[first], second[first].astype(float)
    found, jitter = find_breaks(edges, wall, float(times[-1]), frame_s=0.04)
    proof = Evidence(times, scores, wall.astype(int) % 86_400, True)
    said = judge(edges, wall, found, proof, end_s=float(times[-1]), frame_s=0.04, rate=1.0,
                 jitter_s=jitter)  # fmt: skip
    assert [b.kind for b in said.breaks] == ["frozen"]
