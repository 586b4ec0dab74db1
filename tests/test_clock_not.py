"""What runs like a clock and is none, or not the usual one: no crash, nothing said unseen."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import overlay

from forensics import clock
from forensics.clip import open_clip
from forensics.clock_cells import Cell, segment_means
from forensics.clock_follow import Follower, Track, read_track
from forensics.clock_walk import turns_twelve, unwrap
from forensics.model import Box


def made(path: Path, line: overlay.Track, start: datetime, pattern: str):
    """A small clip and the box of its clock."""
    frames = overlay.noise_frames(280, 120, count=30)
    truth = overlay.compose(path, frames, 10.0, line, overlay.Style(pattern, size=16), start)
    x, y, w, h = truth["box"]
    return open_clip(path), Box(max(0.0, x - 3), max(0.0, y - 3), w + 6, h + 6)


def test_one_oclock_of_a_clock_of_twelve_hours_is_no_jump(tmp_path: Path) -> None:
    start = datetime(2021, 10, 14, 12, 59, 48, 300000, tzinfo=UTC)
    clip, box = made(tmp_path / "twelve.mp4", overlay.track(24, 10), start, "%I:%M:%S")
    broken = clock.find_clock_breaks(clip, box=box, reader="none")
    assert broken.outcome == "nothing-found", broken.observations
    read = clock.read_clock(clip, box=box, reader="none")
    assert "12-hour clock" in read.reason
    assert read.observations[-1].what.wall.endswith("13:00:12")


def test_only_the_step_to_one_oclock_is_the_twelve_hours() -> None:
    assert list(unwrap([46_798, 46_799, 3_600, 3_601])) == [46_798, 46_799, 46_800, 46_801]
    assert list(unwrap([46_798, 3_600])) == [46_798, 3_600]
    assert list(turns_twelve([46_799, 3_600, 46_799])) == [True, False]


def test_a_countdown_is_no_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = datetime(2021, 10, 14, tzinfo=UTC)

    def left(moment: datetime, pattern: str, fps: float) -> str:
        s = 7200 - int((moment - start).total_seconds() + 0.3)
        return f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}"

    monkeypatch.setattr(overlay, "clock_text", left)
    clip, box = made(tmp_path / "down.mp4", overlay.track(26, 10), start, "")
    exam = clock.find_clock_breaks(clip, box=box, reader="none")
    assert not any(o.what.verdict == "inconsistent" for o in exam.observations)
    pytest.importorskip("rapidocr", reason="needs the extra `ocr`")
    exam = clock.find_clock_breaks(clip, box=box, reader="rapidocr")
    assert exam.outcome == "not-applicable" and "counts down" in exam.reason


def test_a_clock_that_stands_for_the_whole_clip_is_said_to_stand(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra `ocr`")
    line = overlay.track(20, 10)
    line.wall_s[:] = 0.0
    start = datetime(2021, 10, 14, 21, 46, 41, tzinfo=UTC)
    clip, box = made(tmp_path / "still.mp4", line, start, "%d-%m-%Y %H:%M:%S")
    exam = clock.find_clock_breaks(clip, box=box)
    assert exam.outcome == "not-applicable" and "stands still" in exam.reason
    assert clock.read_clock(clip, box=box).observations == ()


def test_a_counter_beside_the_figure_ends_no_examination() -> None:
    rng = np.random.default_rng(1)
    crops = np.full((10, 20, 60), 90, np.uint8)
    crops[:, 4:16, 52:58] = 200
    line = rng.integers(105, 155, (12, 40)).astype(np.int16)
    crops[:, 4:16, 10:50] = line
    # Two frames near the end differ, each in other columns; the last one is like the first again.
    for frame, columns in ((7, slice(10, 50, 2)), (8, slice(11, 50, 2))):
        crops[frame, 4:16, columns] = rng.choice([5, 250], (12, 20))
    cell = Cell(50, 60, 4, 16, crops[:3, 4:16, 50:60].astype(np.float32), np.ones(3, bool))
    parts = segment_means(crops, cell)
    assert parts.first.max() < len(crops) and (parts.last >= parts.first).all()


def test_figures_that_tell_nothing_give_no_reading() -> None:
    times = np.arange(100) / 10
    assert read_track(Track(times, np.zeros((100, 6, 10), np.float16), None, {}), None) is None


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_colour_lies_over_luma_in_a_turned_picture(turn: int) -> None:
    luma = np.zeros((64, 96), np.uint8)
    chroma = np.full((2, 32, 48), 128, np.uint8)
    up = np.zeros((64, 96), np.uint8) if turn % 180 == 0 else np.zeros((96, 64), np.uint8)
    up[20:30, 8:24] = 200
    luma[:] = np.rot90(up, turn // 90)
    chroma[1] = np.rot90(np.where(up > 0, 220, 128)[::2, ::2], turn // 90)
    follower = Follower(Box(3.0, 15.0, 33.0, 19.0), rotation=turn)
    follower.measure(SimpleNamespace(luma=luma, chroma=chroma, pts=0))  # type: ignore[arg-type]
    planes = follower._crops[0].planes()[0]
    assert planes[0].max() == 200 and planes.shape[1:] == (19, 33)
    assert ((planes[0] == 200) == (planes[2] == 220)).all()
