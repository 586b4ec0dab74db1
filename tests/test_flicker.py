"""Lamps drawn line by line as a rolling shutter reads them, and scenes without one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import forensics
from forensics import enf, enf_lamp, enf_match, enf_sound
from forensics.errors import SignalTooShort
from forensics.model import Clip, Discontinuity, Offset


def film(
    path: Path, *, rate: int = 30, lamp_hz: float = 100.0, depth: float = 0.05,
    seconds: float = 14.0, readout_s: float = 0.025, cut: tuple[float, float] = (1e9, 0.0),
    dimmed_at: float = 1e9,
) -> Clip:  # fmt: skip
    """A noisy still scene with something that walks through it, lit by a lamp; `cut`: (when, s)."""
    rng = np.random.default_rng(4)
    height, width = 144, 176
    scene = 90 + 60 * np.outer(np.linspace(0, 1, height), np.linspace(1, 0, width))
    lines = np.arange(height)[:, None] / height * readout_s
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=rate, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(seconds * rate)):
            picture = scene.copy()
            left = number % (width - 30)
            picture[40:110, left : left + 24] = 30
            at = number / rate
            taken = at + (cut[1] if at >= cut[0] else 0.0)
            light = 1 + depth * np.sin(2 * np.pi * lamp_hz * (taken + lines))
            light *= 0.7 if at >= dimmed_at else 1.0
            picture = picture * light + rng.normal(0, 3, scene.shape)
            grey = np.clip(picture, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return forensics.open_clip(path)


@pytest.mark.parametrize(("lamp_hz", "rate", "alias"), [(100.06, 30, 10.0), (119.9, 25, 5.0)])
def test_a_lamp_is_measured_through_its_alias(
    tmp_path: Path, lamp_hz: float, rate: int, alias: float
) -> None:
    found = enf.measure_flicker(film(tmp_path / "l.mp4", lamp_hz=lamp_hz, rate=rate))
    assert found.measurable and found.nominal_hz == round(lamp_hz / 20) * 20
    assert found.alias.value == pytest.approx(alias, abs=0.1)
    assert found.frequency.value == pytest.approx(lamp_hz, abs=0.04)
    # 25 ms of readout hold this many periods.
    assert found.bands.value == pytest.approx(lamp_hz * 0.025, abs=0.5)
    assert 0.02 < found.contrast.value < 0.08


def test_a_steady_light_and_a_lamp_that_stands_still_are_not_measurable(tmp_path: Path) -> None:
    found = enf.measure_flicker(film(tmp_path / "d.mp4", depth=0.0))
    assert not found.measurable and "120 Hz stands still" in found.why
    still = enf.measure_flicker(film(tmp_path / "s.mp4", rate=25))
    assert not still.measurable and "100 Hz stands still" in still.why


def test_a_short_film_is_too_short(tmp_path: Path) -> None:
    with pytest.raises(SignalTooShort):
        enf.measure_flicker(film(tmp_path / "s.mp4", seconds=3.0))


def test_a_cut_is_seen_in_the_lamp_where_there_is_no_sound(tmp_path: Path) -> None:
    clip = film(tmp_path / "c.mp4", lamp_hz=100.04, seconds=22.0, cut=(11.0, 1.2343))
    exam = enf.find_phase_breaks(clip)
    (found,) = exam.observations
    assert found.span is not None and float(found.span.start) < 11 < float(found.span.end)
    assert isinstance(found.what, Discontinuity) and found.what.removed is not None
    # Another exposure time would look the same: a lamp alone decides nothing.
    assert found.what.verdict == "inconclusive" and "lamp at 100 Hz" in found.note
    assert any(e.name == "exposure-changed" and e.benign for e in found.what.explanations)
    period = 1 / 100.04
    error = (found.what.removed.value - 1.2343 + period / 2) % period - period / 2
    assert abs(error) < 0.0008
    assert enf.find_phase_breaks(clip, lamp="never").outcome == "not-applicable"


def test_an_untouched_lamp_that_is_dimmed_does_not_jump(tmp_path: Path) -> None:
    clip = film(tmp_path / "u.mp4", lamp_hz=100.04, seconds=21.0, dimmed_at=11.0)
    exam = enf.find_phase_breaks(clip)
    assert exam.outcome == "nothing-found" and "lamp_frequency" in exam.measures


def test_daylight_is_not_measurable(tmp_path: Path) -> None:
    exam = enf.find_phase_breaks(film(tmp_path / "d.mp4", depth=0.0, seconds=21.0))
    assert exam.outcome == "not-applicable" and "not measurable" in exam.reason


def lit(times: np.ndarray, turns: np.ndarray, *, depth: float = 0.04) -> np.ndarray:
    """(n, 48) light of lines under a lamp with overtones, `turns` of the mains, and a moving shade.

    The lines of a frame are read over 22 ms, at 50 Hz.
    """
    rng = np.random.default_rng(6)
    late = np.arange(48) / 48 * 0.022 * 50
    phase = 4 * np.pi * (turns[:, None] + late)
    light = 1 + depth * (np.sin(phase) + 0.3 * np.sin(2 * phase))
    shade = 1 + 0.02 * np.sin(2 * np.pi * 1.9 * times)[:, None] * np.linspace(0, 1, 48)
    rows: np.ndarray = 100 * light * shade + 0.05 * rng.standard_normal(light.shape)
    return rows.astype(np.float32)


def strayed(seconds: float, seed: int) -> np.ndarray:
    """Phase of a straying mains, 100 values a second, in turns."""
    rng = np.random.default_rng(seed)
    walk = np.zeros(round(seconds))
    for k in range(1, len(walk)):
        walk[k] = 0.985 * walk[k - 1] + 0.003 * rng.standard_normal()
    at = np.arange(round(seconds * 100)) / 100
    turns: np.ndarray = np.cumsum(50 + np.interp(at, np.arange(len(walk)), walk)) / 100
    return turns


def test_at_24_frames_a_second_a_lamp_is_not_taken_for_its_own_mirror() -> None:
    times = np.arange(30 * 24) / 24
    drawn = enf_lamp.draw_out_lamp(lit(times, 50.01 * times), times, 100)
    assert drawn is not None and drawn[2].why == ""
    assert 50 + np.median(drawn[2].frequency - 50) == pytest.approx(50.01, abs=0.003)
    dark = enf_lamp.draw_out_lamp(lit(times, 50.01 * times, depth=0.0), times, 100)
    assert dark is not None and dark[2].why != ""
    for beside in enf_lamp.find_decoys(100, 24.0):
        seen = (4 + beside + 12) % 24 - 12
        assert min(abs(abs(seen) - own) for own in (4, 8)) > 1 and abs(seen) >= 3


def test_pictures_are_dated_by_their_lamp_and_refused_on_mains_of_another_time(
    tmp_path: Path,
) -> None:
    import soundfile

    references = []
    for seed in (1, 2):
        hum = np.interp(np.arange(400 * 420) / 400, np.arange(42000) / 100, strayed(420, seed))
        path = tmp_path / f"{seed}.wav"
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * hum), 400, subtype="PCM_16")
        references.append(forensics.open_clip(path))
    times = np.arange(round(185 * 29.97)) / 29.97
    turns = np.interp(times + 110, np.arange(42000) / 100, strayed(420, 1))
    with av.open(str(tmp_path / "lit.mp4"), "w") as file:
        stream: Any = file.add_stream("libx264", rate=Fraction(30000, 1001))
        stream.options = {"crf": "20", "preset": "ultrafast"}
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for rows in lit(times, turns, depth=0.06):
            picture = np.repeat(rows[:, None], 64, axis=1).round().astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    clip = forensics.open_clip(tmp_path / "lit.mp4")
    exam = enf.match_reference(clip, reference=references[0], surrogates=120,
                               largest_false_match=0.01)  # fmt: skip
    (found,) = exam.observations
    assert isinstance(found.what, Offset) and found.stratum == "lamp flicker"
    low, high = found.what.offset.low, found.what.offset.high
    assert low is not None and high is not None and low <= 110 <= high and high - low <= 6
    drawn = enf_lamp.draw_out_lamp(lit(times, turns, depth=0.06), times, 100)
    assert drawn is not None
    steps = [enf_match.measure_steps(drawn[0], drawn[2])]
    for reference in references:
        sound = enf_sound.read_hum_sound(reference)
        steps.append(enf_match.measure_steps(sound.samples, sound.family))
    right, wrong = (enf_match.match_steps(steps[0], other, surrogates=20) for other in steps[1:])
    assert abs(right.lag_s - 110) <= 1 and right.against(0.05) == []
    assert len(wrong.against(0.05)) >= 2
