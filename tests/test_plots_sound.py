"""The spectrogram shows a tone where it is, and every finding on the same axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import forensics

pytest.importorskip("matplotlib")


def test_a_tone_and_the_findings_share_one_axis(tmp_path: Path) -> None:
    import soundfile

    from forensics import continuity, plots_sound

    rate = 16000
    samples = 0.001 * np.random.default_rng(0).standard_normal(12 * rate)
    samples[4 * rate : 6 * rate] += 0.3 * np.sin(2 * np.pi * 3000 * np.arange(2 * rate) / rate)
    samples[8 * rate : 9 * rate] = 0
    soundfile.write(tmp_path / "t.wav", samples, rate)
    clip = forensics.open_clip(tmp_path / "t.wav")
    exam = continuity.find_splices(clip)
    figure = plots_sound.draw_sound(clip, [exam])
    top, row = figure.axes[:2]
    picture = top.images[0].get_array()
    left, right, _, high = top.images[0].get_extent()
    assert (left, right, high) == pytest.approx((0, 12, 8), abs=0.05)
    column = round(5 / 12 * picture.shape[1])
    assert int(np.argmax(picture[:, column])) / picture.shape[0] * 8 == pytest.approx(3, abs=0.05)
    assert row.get_xlim() == top.get_xlim()
    assert any(t.get_text() == "digital-silence" for t in row.texts)
    figure.savefig(tmp_path / "f.png")
    # In a notebook the explanations are lines to read, not records.
    shown = exam._repr_html_()
    assert "(innocent)" in shown
    assert "{" not in shown
    # Noise holds no frame grid: a lane below the findings says so, and the findings are not grey.
    reasons = {part.reason for part in exam.coverage.not_testable}
    assert any(plots_sound.one_trace(reason) == "frame grid" for reason in reasons)
    assert any(t.get_text().startswith("frame grid: ") for t in row.texts)
    assert row.get_ylim()[0] < 0
    assert all(p.get_y() < 0 for p in row.patches if p.get_width() > 11)
