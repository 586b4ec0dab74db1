"""What a killed process leaves behind is swept away, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from forensics import tools_temporary
from forensics.tools_temporary import temporary_folder

KILLED = """
import os, signal, sys
from forensics.tools_temporary import spool_folder, temporary_folder
(spool_folder("sound") / "heard").write_text("evidence")
with temporary_folder("links") as folder:
    (folder / "000001").symlink_to(sys.argv[1])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    tools_temporary._sweep.cache_clear()
    return place


def _age(folder: Path, hours: float) -> None:
    then = time.time() - hours * 3600
    os.utime(folder, (then, then))


def test_what_a_killed_process_left_is_swept_after_a_day(place: Path, tmp_path: Path) -> None:
    kept = tmp_path / "original.mp4"
    kept.write_bytes(b"evidence")
    run = subprocess.run(
        [sys.executable, "-c", KILLED, kept], env={**os.environ, "TMPDIR": str(place)}, check=False
    )
    assert run.returncode == -signal.SIGKILL and len(list(place.iterdir())) == 2
    with temporary_folder("power") as folder:
        assert len(list(place.iterdir())) == 3, "it may belong to a neighbour: a day is waited"
    for left in place.iterdir():
        _age(left, 25)
    tools_temporary._sweep.cache_clear()
    with temporary_folder("power") as folder:
        assert list(place.iterdir()) == [folder]
    assert not list(place.iterdir())
    assert kept.read_bytes() == b"evidence", "a link was followed"


def test_what_is_another_process_or_another_program_stays(place: Path, tmp_path: Path) -> None:
    mine, other, outside = (
        place / f"forensics-sound-{os.getpid()}-abc", place / "forensics-notes", tmp_path / "case"
    )  # fmt: skip
    for folder in (mine, other, outside):
        folder.mkdir()
    link = place / "forensics-sound-999999999-abc"
    link.symlink_to(outside)
    file = place / "forensics-sound-999999999-file"
    file.write_text("kept")
    for path in (mine, other, outside, file):
        _age(path, 99)
    with temporary_folder("power"):
        pass
    assert sorted(place.iterdir()) == sorted([mine, other, link, file]) and outside.is_dir()


def test_there_is_one_door_to_temporary_folders() -> None:
    package = Path(tools_temporary.__file__).parent
    others = [
        path.name for path in package.glob("*.py")
        if path.name != "tools_temporary.py"
        and ("mkdtemp(" in (text := path.read_text("utf-8")) or "TemporaryDirectory(" in text)
    ]  # fmt: skip
    assert not others
