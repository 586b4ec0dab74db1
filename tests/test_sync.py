"""Sound held against visible impacts: shifts made on purpose, and what is innocent."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

import forensics
from forensics import sync, sync_lags
from forensics.model import Clip, Discontinuity

RATE = 8000


def staged(
    seed: int, *, seconds: float = 50.0, lag_s: float = 0.02, step_s: float = 0.0,
    at_s: float = 25.0, jitter_s: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(sound, change, light, frame times): a hammer that is seen and heard, over a murmur."""
    rng = np.random.default_rng(seed)
    sound = rng.standard_normal(round(seconds * RATE)).astype(np.float32) * 0.01
    murmur = np.repeat(rng.uniform(0, 1, round(seconds * 4) + 1), RATE // 4)[: len(sound)]
    sound *= 1 + 2 * murmur.astype(np.float32)
    times = np.arange(round(seconds * 25)) / 25 + rng.uniform(-jitter_s, jitter_s, 1)[0]
    if jitter_s:
        times = np.sort(times + rng.uniform(-jitter_s, jitter_s, len(times)))
    change = 2 + rng.gamma(2, 0.2, len(times))
    blows = np.cumsum(rng.uniform(0.9, 2.6, 40))
    for blow in blows[blows < seconds - 2]:
        frame = int(np.searchsorted(times, blow))
        change[frame : frame + 3] += (60, 30, 10)
        heard = blow + lag_s + (step_s if blow >= at_s else 0)
        first = round(heard * RATE)
        blast = rng.standard_normal(400) * np.exp(-np.arange(400) / 80)
        sound[first : first + 400] += blast.astype(np.float32)
    return sound, change, np.full(len(times), 90.0), times


def lags(made: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> list[sync_lags.LagRun]:
    sound, change, light, times = made
    impacts = sync_lags.pick_impacts(change, light, times)
    return sync_lags.find_lags(sync_lags.measure_onsets(sound), 0.0, impacts)


@pytest.mark.parametrize("step_s", [0.12, -0.3, 0.5])
def test_sound_shifted_from_a_time_on_is_two_lags(step_s: float) -> None:
    found = lags(staged(1, step_s=step_s))
    assert len(found) == 2
    assert found[1].lag_s - found[0].lag_s == pytest.approx(step_s, abs=0.045)


def test_a_constant_lag_is_one_fact_and_no_break() -> None:
    for lag_s in (0.0, 0.29):
        (run,) = lags(staged(2, lag_s=lag_s))
        assert run.lag_s == pytest.approx(lag_s, abs=0.045)


def test_frames_that_come_irregularly_are_no_break() -> None:
    assert len(lags(staged(3, jitter_s=0.012))) == 1


def test_blows_that_are_not_heard_are_not_testable() -> None:
    sound, change, light, times = staged(4)
    hush = np.random.default_rng(5).standard_normal(len(sound)).astype(np.float32) * 0.01
    assert lags((hush, change, light, times)) == []
    still = 2 + np.random.default_rng(6).gamma(2, 0.2, len(times))
    assert lags((sound, still, light, times)) == []
    other, *_ = staged(7)
    assert lags((other, change, light, times)) == []


def film(path: Path, made: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> Clip:
    """A box that jumps at each blow, and the sound."""
    sound, change, _, _ = made
    rng = np.random.default_rng(8)
    with av.open(str(path), "w", format="mp4") as file:
        picture = file.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 160, 96, "yuv420p"
        audio = file.add_stream("aac", rate=RATE, layout="mono")
        place = 10
        for value in change:
            if value > 50:
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
    exam = sync.find_sync_breaks(film(tmp_path / "late.mp4", staged(9, step_s=0.3)))
    (seen,) = exam.observations
    assert isinstance(seen.what, Discontinuity) and seen.what.verdict == "inconclusive"
    assert seen.measures["step"].value == pytest.approx(0.3, abs=0.06)
    assert seen.span is not None and abs(float(seen.span.start) - 25) < 3
    assert any(e.benign for e in seen.what.explanations)
    control = sync.find_sync_breaks(film(tmp_path / "untouched.mp4", staged(9)))
    assert control.observations == () and abs(control.measures["lag"].value - 0.02) < 0.06
