"""Sound held against visible impacts: shifts made on purpose, and what is innocent."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

import forensics
from forensics import sync, sync_lags
from forensics.model import Clip, Discontinuity
from forensics.sync_lags import Lag, Seen, Step

RATE = 8000


def staged(
    seed: int, *, seconds: float = 60.0, lag_s: float = 0.02, step_s: float = 0.0,
    at_s: float = 30.0, jitter_s: float = 0.0,
) -> tuple[np.ndarray, Seen]:  # fmt: skip
    """(sound, what is seen): a hammer in one cell, rustling in all, over a murmur."""
    rng = np.random.default_rng(seed)
    sound = rng.standard_normal(round(seconds * RATE)).astype(np.float32) * 0.01
    murmur = np.repeat(rng.uniform(0, 1, round(seconds * 4) + 1), RATE // 4)[: len(sound)]
    sound *= 1 + 2 * murmur.astype(np.float32)
    times = np.arange(round(seconds * 25)) / 25
    if jitter_s:
        times = np.sort(times + rng.uniform(-jitter_s, jitter_s, len(times)))
    cells = rng.gamma(2, 0.5, (len(times), 4, 6))
    blows = np.cumsum(rng.uniform(0.9, 2.6, 60))
    for blow in blows[blows < seconds - 2]:
        frame = int(np.searchsorted(times, blow))
        cells[frame : frame + 3, 2, 3] += (40, 20, 8)[: len(cells[frame : frame + 3])]
        heard = blow + lag_s + (step_s if blow >= at_s else 0)
        first = round(heard * RATE)
        blast = rng.standard_normal(400) * np.exp(-np.arange(400) / 80)
        sound[first : first + 400] += blast.astype(np.float32)
    return sound, Seen(cells.astype(np.float16), np.full(len(times), 90.0), times)


def asked(sound: np.ndarray, seen: Seen) -> tuple[list[Lag], list[Step]]:
    onsets = sync_lags.measure_onsets(sound)
    lags = sync_lags.find_lags(seen, onsets, 0.0)
    return lags, sync_lags.find_steps(seen, onsets, 0.0, lags)


@pytest.mark.parametrize("step_s", [0.25, -0.3, 1.0])
def test_sound_shifted_from_a_time_on_is_a_step(step_s: float) -> None:
    _, (step,) = asked(*staged(1, step_s=step_s))
    assert step.step_s == pytest.approx(step_s, abs=0.05)
    assert step.low_s - 3 < 30 < step.high_s + 3


def test_a_constant_lag_is_one_fact_and_no_step() -> None:
    for lag_s in (0.0, 0.29):
        lags, steps = asked(*staged(2, lag_s=lag_s))
        assert len(lags) > 5 and steps == []
        assert np.median([lag.lag_s for lag in lags]) == pytest.approx(lag_s, abs=0.2)


def test_frames_that_come_irregularly_are_no_step() -> None:
    lags, steps = asked(*staged(3, jitter_s=0.012))
    assert lags and steps == []


def test_twice_the_shift_is_twice_the_step() -> None:
    _, (one,) = asked(*staged(1, step_s=0.3))
    _, (two,) = asked(*staged(1, step_s=0.6))
    assert two.step_s == pytest.approx(2 * one.step_s, abs=0.06)


def test_a_lag_that_most_windows_on_its_side_deny_makes_no_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A beat makes some windows fit elsewhere: even where their weights agree, nothing is said."""
    monkeypatch.setattr(
        sync_lags, "_step", lambda seen, onsets, start, one, two: Step(one, two, 0.5, 20, 30)
    )
    said = ((0.0, 0.1), (2.0, 0.1), (10.0, 0.66), (30.0, 0.1))
    windows = [Lag(start, start + 20, lag, 0.4, 1e-3) for start, lag in said]
    sound, seen = staged(5)
    onsets = sync_lags.measure_onsets(sound)
    assert sync_lags.find_steps(seen, onsets, 0.0, windows) == []
    assert len(sync_lags.find_steps(seen, onsets, 0.0, [*windows[2:], windows[2]])) == 1


def test_blows_that_are_not_heard_are_not_testable() -> None:
    sound, seen = staged(4)
    hush = np.random.default_rng(5).standard_normal(len(sound)).astype(np.float32) * 0.01
    still = Seen(np.zeros_like(seen.cells), seen.level, seen.times_s)
    other, _ = staged(7)
    for one, two in ((hush, seen), (sound, still), (other, seen), (np.zeros_like(sound), seen)):
        assert asked(one, two) == ([], [])


def film(path: Path, made: tuple[np.ndarray, Seen]) -> Clip:
    """A box that jumps at each blow, and the sound."""
    sound, seen = made
    rng = np.random.default_rng(8)
    with av.open(str(path), "w", format="mp4") as file:
        picture = file.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 160, 96, "yuv420p"
        audio = file.add_stream("aac", rate=RATE, layout="mono")
        place = 10
        for value in seen.cells[:, 2, 3]:
            if value > 35:
                place = 10 if place > 60 else 90
            view = np.clip(rng.normal(90, 2, (96, 160, 3)), 0, 255).astype(np.uint8)
            view[30:60, place : place + 30] = 220
            file.mux(picture.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        file.mux(picture.encode(None))
        audio.codec_context.open(strict=False)
        for first in range(0, len(sound), 1024):
            piece = np.zeros((1, 1024), np.float32)
            part = sound[first : first + 1024]
            piece[0, : len(part)] = part
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, first
            file.mux(audio.encode(frame))
        file.mux(audio.encode(None))
    return forensics.open_clip(path)


def test_a_film_whose_sound_was_shifted_is_inconclusive_and_says_where(tmp_path: Path) -> None:
    exam = sync.find_sync_breaks(
        film(tmp_path / "late.mp4", staged(9, seconds=44.0, step_s=0.4, at_s=22.0))
    )
    (seen,) = exam.observations
    assert isinstance(seen.what, Discontinuity) and seen.what.verdict == "inconclusive"
    assert seen.measures["step"].value == pytest.approx(0.4, abs=0.06)
    assert seen.span is not None and abs(float(seen.span.start) - 22) < 5
    assert any(e.benign for e in seen.what.explanations)
    control = sync.find_sync_breaks(film(tmp_path / "untouched.mp4", staged(9, seconds=44.0)))
    assert control.observations == () and abs(control.measures["lag"].value - 0.02) < 0.2


def test_a_step_of_the_sound_s_own_beat_is_not_said() -> None:
    sound, seen = staged(1, step_s=0.4)
    onsets = sync_lags.measure_onsets(sound)
    lags = sync_lags.find_lags(seen, onsets, 0.0)
    assert len(sync_lags.find_steps(seen, onsets, 0.0, lags)) == 1
    echoed = onsets.copy()
    echoed[40:] += 0.8 * onsets[:-40]
    assert sync_lags.find_steps(seen, echoed, 0.0, lags) == []
