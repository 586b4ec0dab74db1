"""The phase of mains laid on a reference: where it lies, and how sure that is when it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forensics import enf_hum, enf_match


def wander(seconds: int, seed: int) -> np.ndarray:
    """Phase of a mains that strays some 20 mHz and comes back, a value a second, in turns."""
    rng = np.random.default_rng(seed)
    walk = np.zeros(seconds)
    for k in range(1, seconds):
        walk[k] = 0.985 * walk[k - 1] + 0.003 * rng.standard_normal()
    return np.cumsum(walk)


def steps(
    turns: np.ndarray, *, noise: float = 0.0, seed: int = 1, harmonics: tuple[int, ...] = (2, 4)
) -> enf_match.Steps:
    rng = np.random.default_rng(seed)
    lines = np.stack([np.exp(2j * np.pi * h * turns) for h in harmonics])
    lines = lines + noise * (
        rng.standard_normal(lines.shape) + 1j * rng.standard_normal(lines.shape)
    )
    return enf_match.Steps(lines, harmonics, turns, np.ones(len(turns), bool))


def test_it_lies_where_it_was_taken_from_and_the_interval_holds_it() -> None:
    turns = wander(700, 3)
    clip = steps(turns[130:430], noise=0.5)
    found = enf_match.match_steps(clip, steps(turns), surrogates=1100)
    assert abs(found.lag_s - 130) <= found.spread_s <= 3
    assert found.against(1e-3) == [] and found.drawn == 1100
    assert found.rms_hz < 0.001 and found.rival < 0.2


def test_twice_as_late_is_twice_the_lag_and_a_fast_clock_is_measured() -> None:
    turns = wander(700, 4)
    at = np.arange(300)
    for lag in (60, 120):
        fast = turns[lag : lag + 300] + 0.002 * at
        found = enf_match.match_steps(steps(fast), steps(turns), surrogates=10)
        assert found.lag_s == pytest.approx(lag, abs=1)
        # The hum looks faster by 2 mHz of 50 Hz: the clip's own clock runs 40 ppm slow.
        assert found.clock_ppm == pytest.approx(-40, abs=20)


def test_a_phone_that_moves_turns_the_hum_and_is_placed_all_the_same() -> None:
    turns = wander(700, 5)
    moved = turns[200:620] + np.where(np.arange(420) < 150, 0.0, 0.17)
    found = enf_match.match_steps(steps(moved, noise=0.3), steps(turns), surrogates=1100)
    assert abs(found.lag_s - 200) <= 1 and found.against(1e-3) == []


def test_thirty_seconds_taken_out_leave_two_places_and_no_answer() -> None:
    turns = wander(800, 6)
    cut = np.concatenate([turns[100:310], turns[340:550]])
    found = enf_match.match_steps(steps(cut), steps(turns), surrogates=10)
    assert found.rival > 0.7 and any("another place" in text for text in found.against(1.0))


@pytest.mark.parametrize("how", ["backwards", "upside down"])
def test_mirrored_mains_are_refused_though_their_frequencies_look_alike(how: str) -> None:
    turns = wander(700, 7)
    run = np.diff(turns)
    made = run[::-1] if how == "backwards" else 2 * run.mean() - run
    other = replace(steps(turns), turns=np.concatenate([[0.0], np.cumsum(made)]))
    found = enf_match.match_steps(steps(turns[130:430]), other, surrogates=200)
    assert len(found.against(1e-3)) >= 2 and found.rms_hz > 0.003


def test_the_stated_share_is_about_true_on_mains_of_other_times() -> None:
    stated = []
    for seed in range(40):
        clip = steps(wander(300, 100 + seed)[20:220])
        result = enf_match.match_steps(clip, steps(wander(420, 200 + seed)), surrogates=60)
        stated.append(result.false_match)
        assert result.against(0.02) != []
    assert 0.3 < np.mean(np.array(stated) < 0.5) < 0.75
    assert np.mean(np.array(stated) < 0.1) < 0.26


def test_seconds_are_the_phase_of_the_sound() -> None:
    at = np.arange(60_000) / 1000
    phase = 50.03 * at + 0.02 * np.sin(2 * np.pi * at / 30)
    sound = np.sin(4 * np.pi * phase) + 0.01 * np.random.default_rng(1).standard_normal(60_000)
    family = enf_hum.find_family(sound.astype(np.float32))
    found = enf_match.measure_steps(sound.astype(np.float32), family)
    assert found.harmonics[0] == 2 and found.lines.shape[1] == len(found.turns) == 60
    middle = np.interp(np.arange(60) + 0.475, at, phase - 50 * at)
    assert np.ptp((found.turns - middle)[3:-3]) < 0.01
    inside = found.lines[0] * np.exp(-4j * np.pi * middle)
    assert np.abs(np.angle(inside[3:-3] * np.conj(inside[30]))).max() < 0.1
