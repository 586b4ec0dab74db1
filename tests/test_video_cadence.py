"""Clips converted to a higher frame rate: the repeats are one fact, and no edit hides in them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from walkers import RATE, street

from forensics import edits, open_clip, video
from forensics.edits_make import plan_edits, write_clip
from forensics.edits_merge import repeats_pictures
from forensics.model import Discontinuity, Examination, Observation, Quantity, Span
from forensics.video_cadence import find_cadence


@pytest.fixture(scope="module")
def view() -> NDArray[np.uint8]:
    return street()


def played_at(path: Path, frames: NDArray[np.uint8], rate_hz: int, order: NDArray[np.int64]) -> int:
    """Write the pictures in `order`, each held until the next is due; the number of repeats."""
    due = np.arange(len(order) * rate_hz // RATE)
    shown = order[due * RATE // rate_hz]
    write_clip(path, frames, shown, Fraction(rate_hz))
    return int((np.diff(due * RATE // rate_hz) == 0).sum())


def kinds(examination: Examination) -> list[str]:
    return [o.what.kind for o in examination.observations if isinstance(o.what, Discontinuity)]


@pytest.mark.parametrize("rate_hz", [30, 24, 20])
def test_a_conversion_of_the_rate_is_one_finding_and_no_edit(
    tmp_path: Path, view: NDArray[np.uint8], rate_hz: int
) -> None:
    repeats = played_at(tmp_path / "a.mp4", view, rate_hz, np.arange(len(view)))
    examination = video.find_discontinuities(open_clip(tmp_path / "a.mp4", metadata=False))
    assert kinds(examination) == ["doubled-frames"]
    [seen] = examination.observations
    assert isinstance(seen.what, Discontinuity) and seen.what.explanations[0].benign
    assert abs(seen.measures["strength"].value - repeats) <= 0.02 * repeats + 2
    assert abs(examination.measures["frame_rate"].value - RATE) < 0.3


def test_what_was_cut_out_before_the_conversion_is_found_in_frames_of_the_file(
    tmp_path: Path, view: NDArray[np.uint8]
) -> None:
    plan = plan_edits("deletion", len(view), RATE, length_s=2.0, gap_s=5.0, most=1, seed=0)
    played_at(tmp_path / "a.mp4", view, 30, plan.order)
    examination = video.find_discontinuities(open_clip(tmp_path / "a.mp4", metadata=False))
    [edit] = plan.edits
    at = [
        int(o.measures["first_frame"].value) for o in examination.observations
        if isinstance(o.what, Discontinuity) and o.what.kind == "deletion"
    ]  # fmt: skip
    assert [n for n in at if abs(n - edit.first * 30 / RATE) <= 3], (at, edit)
    power = edits.measure_power(
        open_clip(tmp_path / "a.mp4", metadata=False), kinds=("freeze",), length_s=1.0, most=2
    )
    assert power.measures["alarms"].value == 0


def test_frames_doubled_out_of_turn_are_no_cadence() -> None:
    rng = np.random.default_rng(1)
    diff = rng.uniform(1.0, 2.0, 600)
    assert find_cadence(diff, 25.0) is None
    late = diff.copy()
    late[rng.choice(np.arange(5, 595), 90, replace=False)] = 0.02
    assert find_cadence(late, 25.0) is None
    few = diff.copy()
    few[5::6] = 0.02
    assert find_cadence(few, 30.0) is None
    even = diff.copy()
    even[4::5] = even[2::5] = 0.02
    cadence = find_cadence(even, 25.0)
    assert cadence is not None and abs(cadence.share - 0.4) < 0.01
    assert not cadence.shown[4::5].any() and cadence.repeated == 240
    # A view that stands still for a while keeps its cadence; one that never moves has none.
    even[200:320] *= 0.02
    assert find_cadence(even, 25.0) is not None
    assert find_cadence(np.full(600, 0.02), 25.0) is None


def test_repeats_beat_in_packet_sizes_and_are_no_older_gop(
    tmp_path: Path, view: NDArray[np.uint8]
) -> None:
    played_at(tmp_path / "a.mp4", view, 30, np.arange(len(view)))
    clip = open_clip(tmp_path / "a.mp4", metadata=False)
    [repeats] = video.find_discontinuities(clip).observations
    assert repeats_pictures(repeats)
    beat = Observation(
        Discontinuity("compression", "gop-phase-break", "inconclusive"), Span.of(2, 3), 0.8
    )
    examination = edits.find_edits(clip, levels=("frame",), also=[])
    assert "compression" in examination.reason
    assert any("beat" in part.reason for part in examination.coverage.not_testable)
    assert not repeats_pictures(beat)
    # One frame in ten that is late is a busy recorder: an older GOP still shows beside it.
    few = msgspec.structs.replace(
        repeats, measures=repeats.measures | {"strength": Quantity.exact(30, "")}
    )
    assert not repeats_pictures(few)
