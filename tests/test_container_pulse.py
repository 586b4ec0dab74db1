"""The pulse train of an older GOP: made, broken, and found again."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from forensics.container import gop_phase_breaks


def _series(
    frames: int = 400, *, gop: int = 25, height: float = 0.8, cut: int | None = None,
    removed: int = 0, seed: int = 0,
) -> NDArray[np.float64]:  # fmt: skip
    """Packet sizes with a pulse at each picture that was a key frame before."""
    rng = np.random.default_rng(seed)
    old = np.arange(frames)
    if cut is not None:
        old = np.where(old >= cut, old + removed, old)
    drift = 0.3 * np.sin(np.arange(frames) / 40)
    return np.exp(6 + drift + 0.2 * rng.standard_normal(frames) + height * (old % gop == 0))


@pytest.mark.parametrize("gop", [10, 12, 25, 50])
@pytest.mark.parametrize("removed", [7, 63])
def test_a_deletion_is_found_where_it_is(gop: int, removed: int) -> None:
    train = gop_phase_breaks(_series(gop=gop, cut=210, removed=removed))
    assert train is not None and train.period == gop
    assert len(train.breaks) == 1
    item = train.breaks[0]
    assert item.removed == removed % gop
    assert item.before < 210 <= item.after and item.after - item.before <= 3 * gop


def test_two_deletions_are_two() -> None:
    old = np.arange(600)
    old = np.where(old >= 200, old + 9, old)
    old = np.where(np.arange(600) >= 410, old + 14, old)
    rng = np.random.default_rng(3)
    series = np.exp(6 + 0.2 * rng.standard_normal(600) + 0.9 * (old % 25 == 0))
    train = gop_phase_breaks(series)
    assert train is not None and [b.removed for b in train.breaks] == [9, 14]


def test_an_untouched_train_has_no_break() -> None:
    for seed in range(20):
        train = gop_phase_breaks(_series(seed=seed))
        assert train is not None and train.period == 25 and not train.breaks


def test_a_multiple_of_the_period_cannot_be_seen() -> None:
    train = gop_phase_breaks(_series(cut=200, removed=50))
    assert train is not None and not train.breaks


def test_noise_alone_is_no_train() -> None:
    strengths = []
    for seed in range(40):
        train = gop_phase_breaks(_series(height=0.0, seed=seed), least_strength=3.5)
        assert train is not None
        strengths.append(train.strength)
        assert not train.breaks
    assert max(strengths) < 3.5


def test_neither_scale_nor_direction_matters() -> None:
    series = _series(cut=210, removed=7)
    one, two = gop_phase_breaks(series), gop_phase_breaks(series * 37.5)
    assert one is not None and two is not None
    assert one.breaks[0].removed == two.breaks[0].removed
    turned = gop_phase_breaks(series[::-1])
    # Seen backwards, a deletion is a deletion of the same length.
    assert turned is not None and turned.breaks[0].removed == 7


def test_a_share_of_changed_pixels_is_a_series_too() -> None:
    rng = np.random.default_rng(5)
    old = np.where(np.arange(300) >= 140, np.arange(300) + 11, np.arange(300))
    share = np.clip(0.1 + 0.03 * rng.standard_normal(300) + 0.6 * (old % 30 == 0), 0, 1)
    train = gop_phase_breaks(share, logarithm=False)
    assert train is not None and train.period == 30 and train.breaks[0].removed == 11


def test_key_frames_of_this_encoding_do_not_count() -> None:
    series = _series(height=0.0)
    series[::40] *= 30
    ignore = np.zeros(400, bool)
    ignore[::40] = True
    train = gop_phase_breaks(series, ignore=ignore)
    assert train is not None and train.strength < 3.5
    loud = gop_phase_breaks(series)
    assert loud is not None and loud.period == 40 and loud.strength > 5


def test_too_short_says_so() -> None:
    assert gop_phase_breaks(np.ones(20)) is None
    flat = gop_phase_breaks(np.ones(200))
    assert flat is None or flat.strength < 3


def test_a_converted_frame_rate_is_no_older_gop() -> None:
    from forensics.container_pulse import pulse_shape, standardise

    rng = np.random.default_rng(4)
    count = np.arange(400)
    jerk = np.exp(6 + 0.2 * rng.standard_normal(400) + 0.8 * (count % 6 == 0))
    after = np.where(count % 25 == 0, 0.8, np.where(count % 25 == 1, 0.4, 0.0))
    older = np.exp(6 + 0.2 * rng.standard_normal(400) + after)
    shapes = []
    for series in (jerk, older):
        train = gop_phase_breaks(series)
        assert train is not None and train.strength > 3.5
        shapes.append(pulse_shape(standardise(series), train))
    assert [len(shape) for shape in shapes] == [6, 25]
    assert shapes[0][0] > 2 and shapes[0][1] < 0.05 * shapes[0][0]
    assert shapes[1][0] > 2 and shapes[1][1] > 0.2 * shapes[1][0]
