"""Lamps drawn line by line as a rolling shutter reads them, and scenes without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import forensics
from forensics import enf
from forensics.errors import SignalTooShort
from forensics.model import Clip, Discontinuity


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
