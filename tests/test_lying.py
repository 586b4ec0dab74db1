"""Who lies where somebody stood, in made pictures; who sits, crouches or sets something down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from forensics.video_lying import BESIDE, Lying, doubt_lying, find_lying

RATE, HEIGHTS = 10, (60.0, 0.0)
#: x, y, w, h and brightness of what is drawn at a time.
Things = list[tuple[float, float, float, float, float]]
FLOOR = 150.0


def film(things: Callable[[float], Things], seconds: float = 14.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    ground = rng.uniform(110, 140, (200, 320)).astype(np.float32)
    frames = []
    for k in range(round(seconds * RATE)):
        picture = ground.copy()
        for x, y, w, h, level in things(k / RATE):
            picture[max(0, int(y)) : int(y + h), max(0, int(x)) : max(0, int(x + w))] = level
        frames.append(np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8))
    return np.stack(frames), np.arange(len(frames)) / RATE


def upright(x: float, tall: float = 60, wide: float = 20) -> tuple[float, ...]:
    return (x, FLOOR - tall, wide, tall, 50)


def walks_in(t: float, until: float = 150.0) -> float:
    return min(until, -30 + 36 * t)


def falls(t: float) -> Things:
    """Walks in, stands from 5 to 8 s, is down at 8.8 s."""
    if t < 8:
        return [upright(walks_in(t))]
    low = min(1.0, (t - 8) / 0.8) ** 2
    return [(150, FLOOR - 60 + 46 * low, 20 + 34 * low, 60 - 46 * low, 50)]


def said(things: Callable[[float], Things]) -> list[Lying]:
    frames, times = film(things)
    return find_lying(frames, times, heights=HEIGHTS)


def test_a_fall_is_found_when_and_where_it_happens() -> None:
    [one] = said(falls)
    assert 7.9 <= one.start <= 8.6 and one.start < one.end <= 9.2
    assert one.box[0] == pytest.approx(150, abs=4) and one.box[2] == pytest.approx(54, abs=6)
    assert one.stood[3] == pytest.approx(60, abs=16)


def test_who_lies_in_two_places_fell_once() -> None:
    def things(t: float) -> Things:
        if t < 8.6:
            return falls(t)
        return [(x, FLOOR - 17, 30, 17, 50) for x in (140, 180)]

    assert len(said(things)) == 1


def test_an_earlier_fall_is_found_earlier() -> None:
    frames, times = film(falls)
    [one], [other] = (find_lying(frames[k:], times[k:], heights=HEIGHTS) for k in (0, 13))
    assert one.start == pytest.approx(other.start, abs=0.2)


@pytest.mark.parametrize(
    ("high", "wide"), [(38, 26), (34, 24), (44, 22)], ids=["sits", "crouches", "bends"]
)
def test_who_goes_down_without_lying_does_not_fall(high: float, wide: float) -> None:
    def things(t: float) -> Things:
        return [upright(walks_in(t)) if t < 8 else (150, FLOOR - high, wide, high, 50)]

    assert said(things) == []


def test_the_hole_that_somebody_leaves_in_a_short_ground_is_no_fall() -> None:
    def things(t: float) -> Things:
        # There from the beginning, with a shadow, and goes on at once: three seconds of ground
        # are mostly that shadow.
        x = 150 + 20 * max(0.0, t - 1.4)
        return [(x, FLOOR - 14, 50.0, 14.0, 70.0), upright(x, wide=14)] if x < 330 else []

    frames, times = film(things)
    assert find_lying(frames, times, heights=HEIGHTS) == []


def test_who_stands_and_throws_a_shadow_is_not_said_to_fall() -> None:
    def things(t: float) -> Things:
        # Steps into the light of a lamp, and sways: the shadow and who throws it are one wide
        # place, and of the two the shadow is the stiller.
        shadow = [(150.0, FLOOR - 14, 50.0, 14.0, 70.0)] if t > 8 else []
        sways = 150 + 10 * np.sin(np.pi * (t - 8))
        return [*shadow, upright(walks_in(t) if t < 8 else sways, wide=14)]

    [one] = said(things)
    assert doubt_lying(one, [], np.zeros((0, 5))) == BESIDE
    [fall] = said(falls)
    assert doubt_lying(fall, [], np.zeros((0, 5))) == ""


def test_who_sets_down_a_sack_and_goes_on_does_not_fall() -> None:
    def things(t: float) -> Things:
        sack = [(172.0, FLOOR - 16, 34.0, 16.0, 60.0)] if t > 7.4 else []
        return [upright(walks_in(t) if t < 8 else 150 + 36 * (t - 8)), *sack]

    assert said(things) == []


def test_who_stands_beside_something_that_lay_there_and_leaves_does_not_fall() -> None:
    def things(t: float) -> Things:
        sack = (160.0, FLOOR - 16, 40.0, 16.0, 60.0)
        return [sack, upright(walks_in(t, 145) if t < 8 else 145 + 60 * (t - 8))]

    assert said(things) == []


def test_who_is_down_for_a_moment_is_not_said_to_lie() -> None:
    def things(t: float) -> Things:
        return falls(t) if t < 9.4 else [upright(150)]

    assert said(things) == []


def test_who_lies_down_slowly_does_not_fall() -> None:
    def things(t: float) -> Things:
        if t < 8:
            return [upright(walks_in(t))]
        if t < 10.5:
            return [(150, FLOOR - 33, 24, 33, 50)]
        return [(150, FLOOR - 14, 54, 14, 50)]

    assert said(things) == []


def test_what_hides_or_carries_makes_a_fall_doubtful() -> None:
    one = Lying(8.0, 8.8, (150, 136, 54, 14), (150, 90, 20, 60))
    none = np.zeros((0, 5))
    tree = [(190, 100), (260, 100), (260, 160), (190, 160)]
    assert doubt_lying(one, [], none) == ""
    assert doubt_lying(one, [tree], none) != ""
    van = np.array([(t, 140, 80, 120, 80) for t in np.arange(7.0, 10.0, 0.1)])
    assert doubt_lying(one, [], van) != ""
    assert one.scaled(0.5).box == (75, 68, 27, 7)
