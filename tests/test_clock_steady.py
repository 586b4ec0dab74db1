"""Lines that move sideways, light that changes behind them, seconds that stand: synthetic truth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forensics.clock_course import figures_of
from forensics.clock_figures import learn_figures
from forensics.clock_steady import learn_line
from forensics.clock_sure import Evidence, judge
from forensics.clock_walk import find_breaks


def line(wall: int, rng: np.random.Generator, *, gap: str = ":", moves: float = 0.0) -> np.ndarray:
    """One frame of HHMMSS; the whole line stands `moves` pixels further left at every 7."""
    figures = f"{{}}{{}}{gap}{{}}{{}}{gap}{{}}{{}}".format(*figures_of(np.array([wall]), False)[0])
    ink = np.zeros((30, 14 * len(figures) + 12), np.uint8)
    for i, c in enumerate(figures):
        cv2.putText(ink, c, (6 + 14 * i, 23), cv2.FONT_HERSHEY_PLAIN, 1.3, 255, 2)
    if wall % 10 == 7 and moves:
        shift = np.array([[1, 0, -moves], [0, 1, 0]], np.float32)
        ink = cv2.warpAffine(ink, shift, ink.shape[::-1])
    view = 90 + 0.55 * ink + rng.normal(0, 3, ink.shape)
    return np.clip(view, 0, 255).astype(np.uint8)


def seconds(count: int, each: int = 5) -> np.ndarray:
    return np.repeat(np.arange(70_010, 70_010 + count), each)


def test_a_line_that_moves_is_put_in_its_place_and_can_be_learned() -> None:
    rng = np.random.default_rng(1)
    shown = seconds(40)
    crops = np.stack([line(int(w), rng, moves=1.0) for w in shown])
    found = learn_line(crops[2::5].astype(np.float32))
    assert found is not None
    off = found.place(crops)
    assert np.abs(off + (shown % 10 == 7)).max() <= 0.5
    settled = found.settle(crops)
    still = shown % 10 != 7
    assert (settled[still] == crops[still]).mean() > 0.99
    figures = learn_figures(settled, shown)
    assert figures is not None and figures.places == [0, 1, 2, 3, 4, 5]
    read = figures.score(settled, 25.0).argmax(axis=2)
    assert (read == figures_of(shown, False)).mean() > 0.98


def test_a_line_that_stands_still_is_left_alone() -> None:
    rng = np.random.default_rng(2)
    crops = np.stack([line(int(w), rng) for w in seconds(40)])
    assert learn_line(crops[2::5].astype(np.float32)) is None


def test_a_line_that_stands_in_either_of_two_places_is_found() -> None:
    rng = np.random.default_rng(3)
    crops = np.stack([line(int(w), rng) for w in seconds(40)])[2::5].astype(np.float32)
    crops[::2, :, :-1] = crops[::2, :, 1:]
    found = learn_line(crops)
    assert found is not None and np.ptp(found.place(crops)) == pytest.approx(1.0, abs=0.25)


def test_figures_far_apart_are_found() -> None:
    rng = np.random.default_rng(4)
    shown = seconds(40)
    figures = learn_figures(np.stack([line(int(w), rng, gap=" : ") for w in shown]), shown)
    assert figures is not None and figures.places == [0, 1, 2, 3, 4, 5]


def test_light_that_changes_behind_the_line_does_not_hide_the_figures() -> None:
    rng = np.random.default_rng(5)
    shown = seconds(40)
    light = np.repeat(rng.uniform(-60, 40, 40), 5)[:, None, None]
    crops = np.stack([line(int(w), rng) for w in shown]).astype(float) + light
    assert learn_figures(np.clip(crops, 0, 255).astype(np.uint8), shown) is not None


def test_a_second_that_stands_does_not_teach_what_lies_behind_it() -> None:
    rng = np.random.default_rng(6)
    shown = np.r_[seconds(24), np.full(150, 70_034), seconds(40)[125:]]
    crops = np.stack([line(int(w), rng) for w in shown])
    branch = np.abs(np.arange(crops.shape[2]) - 103) < 5  # behind the last figure, and light
    crops[120:270, 4:20, branch] = 215
    figures = learn_figures(crops, shown)
    assert figures is not None
    usual = np.flatnonzero((shown % 10 == 4) & (shown != 70_034))
    assert (figures.score(crops[usual], 25.0)[:, 5].argmax(axis=1) == 4).all()


def evidence(edges: np.ndarray, wall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    times = np.round(np.arange(edges[0], edges[-1] + 0.5, 0.04), 6)
    second = wall[np.searchsorted(edges, times + 1e-6, side="right") - 1].astype(int)
    scores = np.full((len(times), 6, 10), -0.6)
    np.put_along_axis(scores, figures_of(second % 86_400, False)[..., None], 0.0, axis=2)
    return times, scores


def decide(edges: np.ndarray, wall: np.ndarray, proof: tuple, said: np.ndarray):
    end = float(edges[-1]) + 0.5
    found, jitter = find_breaks(edges, wall, end, frame_s=0.04)
    return judge(edges, wall, found, Evidence(*proof, said, True), end_s=end, frame_s=0.04,
                 rate=1.0, jitter_s=jitter)  # fmt: skip


def clock(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(n) + 0.3, np.arange(70_000, 70_000 + n, dtype=float)


def test_a_break_beside_a_second_that_cannot_be_read_may_lie_in_it() -> None:
    edges, wall = clock()
    wall[30:] -= 3
    times, scores = evidence(edges, wall)
    scores[(times >= edges[30]) & (times < edges[31])] = 0.0
    said = decide(edges, wall, (times, scores), np.full(60, -1))
    assert len(said.breaks) == 1
    assert said.breaks[0].before_s <= edges[30] and said.breaks[0].after_s >= edges[31] - 1e-6


@pytest.mark.parametrize(
    ("first", "last", "sure"), [(43, 50, False), (40, 50, False), (40, 42, True)]
)
def test_a_reader_that_contradicts_thrice_on_end_casts_doubt_but_two_misread_seconds_do_not(
    first: int, last: int, sure: bool
) -> None:
    # A misread ten looks like this too; but so do figures that were learned wrong.
    edges, wall = clock()
    said = wall.astype(np.int64)
    said[first:last] += 10
    result = decide(edges, wall, evidence(edges, wall), said)
    assert bool(result.sure[first:last].all()) is sure and result.sure[:40].all()
    assert result.breaks == ()
