"""A decoder that works ahead, and what is kept of every frame: the same answers, bounded memory."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import moving_square, write_video
from numpy.typing import NDArray

from forensics import open_clip, scan, scan_kept, scan_packets, video
from forensics.errors import ClipRefused
from forensics.scan_ahead import work_ahead
from forensics.scan_kept import Kept
from forensics.scan_mapped import TOUCHED
from forensics.video_measure import FrameRows, measure_frames


def _count(closed: list[str], fail_at: int = -1) -> Generator[int, None, None]:
    try:
        for number in itertools.count():
            if number == fail_at:
                raise KeyError(number)
            yield number
    finally:
        closed.append(threading.current_thread().name)


@pytest.mark.parametrize("most", [1, 2, 7])
def test_who_works_ahead_goes_no_further_than_told_and_stops_when_closed(most: int) -> None:
    closed: list[str] = []
    made = []

    def items() -> Generator[int, None, None]:
        for number in _count(closed):
            made.append(number)
            yield number

    ahead = work_ahead(items(), most)
    seen = list(itertools.islice(ahead, 50))
    assert seen == list(range(50))
    assert len(made) <= 50 + most
    threads = threading.active_count()
    ahead.close()
    assert threading.active_count() == threads - 1
    assert len(made) <= 50 + most


def test_an_error_comes_where_the_item_would_have_come() -> None:
    closed: list[str] = []
    seen = []
    with pytest.raises(KeyError):
        seen.extend(work_ahead(_count(closed, fail_at=5), 3))
    assert seen == [0, 1, 2, 3, 4]
    assert len(closed) == 1 and closed[0].startswith("ahead")
    assert list(work_ahead((n for n in range(3)), 9)) == [0, 1, 2]


def test_a_scan_that_is_refused_leaves_no_thread(tmp_path: Path) -> None:
    opened = open_clip(write_video(tmp_path / "a.mp4", moving_square(60)), metadata=False)
    before = threading.active_count()
    with pytest.raises(ClipRefused):
        scan.scan(opened, [], max_frames=20)
    assert threading.active_count() == before


def _rows(count: int, seed: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 22, 40), dtype=np.uint8)


def _kept(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    kept = Kept()
    for row in rows:
        kept.add(row)
    assert len(kept) == len(rows)
    return kept.array()


@pytest.mark.parametrize("count", [0, 3, 700, 2500])
def test_what_is_kept_comes_back_as_it_was(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_kept, "IN_MEMORY", 880 * 1000)
    rows = _rows(count)
    kept = _kept(rows)
    assert hasattr(kept, "pages") == (count > 1000)
    assert np.array_equal(kept.reshape(-1, 22, 40), rows)
    if not count:
        return
    rng = np.random.default_rng(0)
    some = rng.integers(0, count, 300)
    for key in (0, -1, slice(1, 90), slice(0, None, 7), some, [2, 0], slice(0, 0)):
        assert np.array_equal(kept[key], rows[key])
        assert type(kept[key]) is np.ndarray
    flat = kept.reshape(count, -1)
    assert np.array_equal(flat[1:3], rows.reshape(count, -1)[1:3])
    assert scan_kept.weigh(kept) == (0 if count > 1000 else rows.nbytes)


def _resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("RssFile"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells what is resident")
def test_reading_it_all_holds_little_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_kept, "IN_MEMORY", 1000)
    kept = _kept(np.tile(_rows(600), (120, 1, 1)))
    assert kept.nbytes > 3 * TOUCHED
    some = np.random.default_rng(1).integers(0, len(kept), 2000)
    before = most = _resident()
    for low in range(0, len(kept), 512):
        kept[low : low + 512].sum()
        most = max(most, _resident())
    for row in some.tolist():
        kept[row].sum()
        most = max(most, _resident())
    assert kept[some].shape == (2000, 22, 40)
    assert max(most, _resident()) - before < 1.5 * TOUCHED


KILLED = """
import os, signal, sys
import numpy as np
from forensics import scan_kept
scan_kept.IN_MEMORY = 1000
kept = scan_kept.Kept()
for _ in range(9000):
    kept.add(np.zeros((22, 40), np.uint8))
print(os.fstat(kept._file.fileno()).st_mode & 0o777, kept._file.tell() > 1 << 20, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_nothing_of_what_it_kept(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLED], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == -signal.SIGKILL
    assert run.stdout.split() == [str(0o600), "True"]
    assert not list(tmp_path.iterdir())


def test_in_a_file_or_in_memory_the_findings_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = moving_square(120)
    path = write_video(tmp_path / "a.mp4", [*frames[:60], *frames[80:], *frames[20:50]])
    opened = open_clip(path, metadata=False)
    found = []
    for in_memory in (8 << 20, 10_000):
        monkeypatch.setattr(scan_kept, "IN_MEMORY", in_memory)
        scan.forget()
        with scan.disk_cache(tmp_path / f"cache {in_memory}"):
            for _ in range(2):
                examined = video.find_discontinuities(opened), video.find_cuts(opened)
                found.append([[f.observation for f in e.findings] + [e.coverage] for e in examined])
                planes = measure_frames(opened).planes
                assert all(hasattr(p, "pages") == (in_memory < 1 << 20) for p in planes.values())
                # The second time from the disk.
                scan.forget()
    assert found[0] == found[1] == found[2] == found[3]
    assert found[0][0][:-1]


def test_a_quick_sheet_of_many_key_frames(tmp_path: Path) -> None:
    # An hour has hundreds; no second look is taken, and no background is kept for it.
    frames = moving_square(300)
    path = write_video(tmp_path / "a.mp4", frames, options={"g": "1"})
    opened = open_clip(path, metadata=False)
    measured = scan.scan(opened, [FrameRows(look=False)], keys_only=True)
    assert len(measured) == 300 and np.isnan(measured.columns["flow_ahead"]).all()
    assert video.find_keyframes(opened, key_frames_only=True).findings


def test_damage_is_concealed_in_the_same_way_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two threads that decode conceal it in another way each time.
    frames = np.random.default_rng(5).integers(0, 256, (24, 18, 32, 3), dtype=np.uint8)
    large = [np.kron(frame, np.ones((40, 40, 1), np.uint8)) for frame in frames]
    path = write_video(tmp_path / "a.mp4", large, options={"g": "12", "bf": "2", "crf": "30"})
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(len(data) // 8, len(data) // 2, 40).tolist():
        data[at] ^= 4
    path.write_bytes(data)
    opened = open_clip(path, metadata=False)
    assert opened.video is not None and opened.video.width * opened.video.height > scan.SMALL
    usual = scan_packets.Decoder
    seen: list[bool] = []

    def watched(*args: Any, threads: bool, **more: Any) -> scan_packets.Decoder:
        seen.append(threads)
        return usual(*args, threads=threads, **more)

    monkeypatch.setattr(scan, "Decoder", watched)
    found = [scan.scan(opened, [FrameRows()]).planes["thumbs"] for _ in range(2)]
    assert seen == [True, False] * 2
    assert all(np.array_equal(found[0], other) for other in found)
