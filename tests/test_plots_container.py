"""The figure of the bytes shows what the examination says, and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from making import moving_square, write_video
from test_container import GOP, _copy, _patch_elst

from forensics import container, open_clip, plots


@pytest.mark.parametrize("trimmed", [False, True])
def test_packets_ids_gaps_and_what_is_hidden(tmp_path: Path, trimmed: bool) -> None:
    whole = write_video(tmp_path / "a.mp4", moving_square(200, width=160, height=96), options=GOP)
    path = _copy(whole, tmp_path / "cut.mp4", drop=(80, 100))
    if trimmed:
        path = _patch_elst(path, tmp_path / "trim.mp4", 0.6)
    clip = open_clip(path, metadata=False)
    exam = container.find_discontinuities(clip)
    figure = plots.draw_packets(clip, exam)
    sizes, numbers, findings = figure.axes
    # Every stored packet is drawn once, those that are hidden before the clip's own zero.
    drawn = [segment for lines in sizes.collections
             if hasattr(lines, "get_segments") for segment in lines.get_segments()]  # fmt: skip
    assert len(drawn) == 180
    before = sum(segment[0][0] < -0.001 for segment in drawn)
    assert before == (15 if trimmed else 0)
    circles = numbers.lines[1].get_xdata()
    cut = next(o for o in exam.observations if "packet" in o.measures)
    assert cut.span is not None and np.allclose(circles, [float(cut.span.end)])
    texts = " ".join(t.get_text() for t in findings.texts)
    assert "stream-copy-cut" in texts and ("hidden-frames, 15 frames" in texts) is trimmed
    assert plots.save(figure, tmp_path / "a.png").stat().st_size > 10_000


def test_a_file_without_ids_or_findings_is_drawn_too(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", moving_square(40), codec="mpeg4")
    clip = open_clip(path, metadata=False)
    figure = plots.draw_packets(clip, container.find_discontinuities(clip))
    assert len(figure.axes) == 3 and "0 alarms" in figure.get_suptitle()
