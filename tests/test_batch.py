"""Many clips: one child each, limits that hold, results that a kill does not change."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forensics import batch
from forensics.errors import RecordInvalid

TESTS = Path(__file__).resolve().parent
STEPS = (("batchwork.misbehave", {}),)


@pytest.fixture(autouse=True)
def _children_find_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in paths if p))


@pytest.fixture
def folder(tmp_path: Path, tone: Path) -> Path:
    place = tmp_path / "clips"
    place.mkdir()
    for number in range(12):
        content = bytearray(tone.read_bytes())
        content[-2 - number] ^= 1
        (place / f"ok-{number:02d}.wav").write_bytes(content)
    return place


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_each_way_to_go_wrong_costs_one_row(folder: Path, tone: Path, tmp_path: Path) -> None:
    for kind in ("hang", "crash", "eat", "bug", "fill", "keep"):
        (folder / f"{kind}-1.wav").write_bytes(tone.read_bytes())
    (folder / "not-media.mp4").write_bytes(b"nothing")
    before = {p: p.read_bytes() for p in folder.iterdir()}
    out = tmp_path / "rows.jsonl"
    summary = batch.run_batch(
        folder, out, steps=STEPS, jobs=2, timeout_s=8, memory_bytes=700 << 20, file_bytes=64 << 20
    )
    rows = {row["clip"]: row for row in _rows(out)}
    assert list(rows) == sorted(p.name for p in folder.iterdir())
    assert rows["hang-1.wav"]["error"] == "Timeout"
    assert rows["crash-1.wav"]["error"] == "Crashed"
    assert rows["eat-1.wav"]["error"] == "MemoryError"
    assert rows["bug-1.wav"]["error"] == "KeyError"
    assert "batchwork.py" in rows["bug-1.wav"]["reason"]
    assert rows["fill-1.wav"]["error"] == "OSError"
    assert rows["not-media.mp4"]["error"] == "ClipUnreadable"
    assert all(rows[f"ok-{n:02d}.wav"]["outcome"] == "nothing-found" for n in range(12))
    assert summary.failed == 6 and summary.clips == 19 and summary.done == 19
    kept = rows["keep-1.wav"]["examinations"][0]["artefacts"][0]["digest"]
    assert (tmp_path / "artefacts" / f"{kept}.csv").is_file()
    assert {p: p.read_bytes() for p in folder.iterdir()} == before
    for note in Path("/proc").glob("[0-9]*/cmdline") if Path("/proc/self").exists() else ():
        with contextlib.suppress(OSError):
            assert note.read_bytes() != b"sleep\x00612\x00", "a child's own child outlived it"
    assert not list(tmp_path.glob("*.part"))


def test_a_child_reaches_no_network(
    folder: Path, tone: Path, tmp_path: Path, network_attempts: Callable[[], list[str]]
) -> None:
    clip = folder / "call-1.wav"
    clip.write_bytes(tone.read_bytes())
    summary = batch.run_batch([clip], tmp_path / "rows.jsonl", steps=STEPS, jobs=1)
    exam = _rows(tmp_path / "rows.jsonl")[0]["examinations"][0]
    assert exam["outcome"] == "failed" and "no network" in exam["reason"]
    assert network_attempts()  # the guard saw it too; that it was refused is the point
    assert summary.network in ("network namespace", "Python sockets refused")


def test_the_order_of_finishing_leaves_no_trace(folder: Path, tmp_path: Path) -> None:
    one = batch.run_batch(folder, tmp_path / "one.jsonl", steps=STEPS, jobs=1)
    three = batch.run_batch(folder, tmp_path / "three.jsonl", steps=STEPS, jobs=3)
    assert one.out.read_bytes() == three.out.read_bytes()


def test_a_rehearsal_changes_no_row_and_hides_no_bug(
    folder: Path, moving: Path, tone: Path
) -> None:
    for step in ("video.find_keyframes", "events.find_events"):
        job = batch.Job(moving, moving.name, ((step, {}),))
        assert batch.examine_isolated(job) == batch.examine(job)
    job = batch.Job(tone, "x.wav", (("batchwork.misbehave", {"how": "bug"}),))
    assert json.loads(batch.examine_isolated(job))["error"] == "KeyError"


def test_resume_runs_only_what_changed(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    batch.run_batch(folder, out, steps=STEPS, jobs=2)
    whole = out.read_bytes()
    again = batch.run_batch(folder, out, steps=STEPS, jobs=2, resume=True)
    assert again.resumed == 12 and again.done == 0 and out.read_bytes() == whole
    changed = folder / "ok-03.wav"
    changed.write_bytes(changed.read_bytes()[:-7] + b"7654321")
    (folder / "new.wav").write_bytes(changed.read_bytes())
    third = batch.run_batch(folder, out, steps=STEPS, jobs=2, resume=True)
    assert third.resumed == 11 and third.done == 2
    other = (("batchwork.misbehave", {"how": "slow"}),)
    assert batch.run_batch(folder, out, steps=other, jobs=2, resume=True).resumed == 0


def test_a_torn_row_is_run_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    batch.run_batch(folder, out, steps=STEPS, jobs=1)
    whole = out.read_bytes()
    out.unlink()
    (tmp_path / "rows.jsonl.part").write_bytes(whole[: len(whole) // 2])
    summary = batch.run_batch(folder, out, steps=STEPS, jobs=1, resume=True)
    assert 0 < summary.resumed < 12 and out.read_bytes() == whole


def test_killed_at_any_moment_and_resumed_the_bytes_are_the_same(
    folder: Path, tmp_path: Path
) -> None:
    slow = (("batchwork.misbehave", {"how": "slow"}),)
    whole = batch.run_batch(folder, tmp_path / "whole.jsonl", steps=slow, jobs=2).out.read_bytes()
    out = tmp_path / "rows.jsonl"
    code = (
        "from forensics import batch\n"
        f"batch.run_batch({str(folder)!r}, {str(out)!r}, jobs=2, resume=True,\n"
        "                steps=(('batchwork.misbehave', {'how': 'slow'}),))\n"
    )
    journal = tmp_path / "rows.jsonl.part"
    kills = 0
    for rows in (1, 4, 8):
        process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        while process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") >= rows:
                kills += 1
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        process.wait()
    assert kills == 3
    batch.run_batch(folder, out, steps=slow, jobs=2, resume=True)
    assert out.read_bytes() == whole


def test_names_are_one_line_each_and_never_shared(tmp_path: Path) -> None:
    for name in (b"a\nb.wav", b"a\\nb.wav", b"\xff.wav", b".hidden"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    names = [name for name, _ in batch.find_clips(tmp_path)]
    assert len(names) == 3 and len(set(names)) == 3
    assert all("\n" not in name and name.encode() for name in names)


def test_an_unknown_step_or_an_empty_folder_is_an_error(tmp_path: Path, tone: Path) -> None:
    with pytest.raises(RecordInvalid, match="no step"):
        batch.run_batch([tone], tmp_path / "x.jsonl", steps=(("video.no_such_thing", {}),))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordInvalid, match="no file"):
        batch.run_batch(tmp_path / "empty", tmp_path / "x.jsonl", steps=STEPS)


def test_progress_tells_the_time_left(folder: Path, tmp_path: Path) -> None:
    said: list[tuple[float, str]] = []
    batch.run_batch(folder, tmp_path / "r.jsonl", steps=STEPS, jobs=2,
                    progress=lambda f, t: said.append((f, t)))  # fmt: skip
    assert len(said) == 12 and said[-1][0] == 1.0 and "left" in said[0][1]


def test_the_page_holds_every_row_and_fetches_nothing(
    folder: Path, moving: Path, tmp_path: Path
) -> None:
    (folder / '<img src=x onerror="alert(1)">.mp4').write_bytes(moving.read_bytes())
    steps = (("casework.find_case_keyframes", {"max_count": 2}), *STEPS)
    out = batch.run_batch(folder, tmp_path / "rows.jsonl", steps=steps, jobs=2).out
    page = batch.write_page(out, tmp_path / "page.html", title="A <b>batch</b>").read_text("utf-8")
    assert page.count("<tr data-outcome=") == 13
    assert "<b>batch" not in page and "<img src=x" not in page
    assert page.count("data:image/jpeg;base64,") == 13
    assert "http:" not in page and "https:" not in page


@pytest.mark.loopback
def test_dask_loses_nothing_and_doubles_nothing_when_workers_are_killed(
    folder: Path, tmp_path: Path
) -> None:
    """The command line, a real scheduler, and every worker it began with killed on the way."""
    pytest.importorskip("distributed")
    for path in sorted(folder.iterdir()):
        path.rename(folder / path.name.replace("ok-", "slow-"))
    whole = batch.run_batch(folder, tmp_path / "whole.jsonl", steps=STEPS, jobs=2).out.read_bytes()
    options: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    where, out = tmp_path / "scheduler.json", tmp_path / "dask.jsonl"
    journal = tmp_path / "dask.jsonl.part"
    processes = [subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port",
         "0", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(where)], **options,
    )]  # fmt: skip

    def add_worker() -> None:
        processes.append(subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(where),
             "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1",
             "--local-directory", str(tmp_path / "dask")], **options,
        ))  # fmt: skip

    try:
        deadline = time.monotonic() + 30
        while not where.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        add_worker()
        add_worker()
        processes.append(subprocess.Popen(
            [sys.executable, "-m", "forensics.cli", "batch", str(folder), "-o", str(out), "--jobs",
             "1", "--step", STEPS[0][0], "--dask", json.loads(where.read_text())["address"],
             "--json"], stdout=subprocess.PIPE, text=True,
        ))  # fmt: skip
        scheduler, first, second, command = processes
        killed = 0
        for rows, worker in ((2, first), (6, second)):
            while command.poll() is None and time.monotonic() < deadline + 60:
                if journal.exists() and journal.read_bytes().count(b"\n") >= rows:
                    worker.kill()
                    killed += 1
                    add_worker()
                    break
                time.sleep(0.002)
        said, _ = command.communicate(timeout=60)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert killed == 2 and command.returncode == 0 and scheduler.returncode
    assert json.loads(said)["examined"] == 12 and json.loads(said)["failed"] == 0
    assert out.read_bytes() == whole
