"""The same steps over many clips: one child process each, resumable, here or on Dask.

A clip that hangs, crashes or eats memory costs one row. The result is a JSON Lines file in the
order of the clips; killed at any moment and resumed, it has the same bytes as an uninterrupted
run. Rows hold whole examinations; `write_page` turns them into a page to hand on.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from forensics.batch_child import Job, examine, failure_row, row_key
from forensics.batch_journal import Journal
from forensics.batch_page import write_page
from forensics.clip import hash_file
from forensics.errors import RecordInvalid, ToolFailed, printable
from forensics.model import Progress, Value, canonical_json

__all__ = [
    "DEFAULT_STEPS", "BatchSummary", "Job", "examine", "examine_isolated", "find_clips",
    "run_batch", "write_page",
]  # fmt: skip

#: What is run unless told otherwise.
DEFAULT_STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("container.find_discontinuities", {}), ("video.find_keyframes", {}),
    ("edits.find_edits", {}), ("events.find_events", {}),
)  # fmt: skip
_PER_JOB = 4
_RETRIES = 8


class BatchSummary(Value, frozen=True):
    """What a batch came to; `network` says how the children were kept from it."""

    out: Path
    clips: int
    done: int
    resumed: int
    failed: int
    seconds: float
    network: str


class _Nursery:
    """One `batch_nursery` process, used by one thread at a time."""

    def __init__(self) -> None:
        self.search_path = _search_path()
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        # A forked child touches all its memory for the first time: in large pages that is cheap.
        environment.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
        self._process = subprocess.Popen(
            # -P: the folder the batch is started in may hold evidence called numpy.py.
            [sys.executable, "-P", "-m", "forensics.batch_nursery"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment, start_new_session=True,
        )  # fmt: skip
        self.network = self._receive().decode()

    def _receive(self) -> bytes:
        assert self._process.stdout is not None
        head = self._process.stdout.readline()
        if not head.endswith(b"\n"):
            raise ToolFailed("the process that makes the children ended", tool="batch")
        length = int(head)
        payload: bytes = self._process.stdout.read(length)
        if len(payload) != length:
            raise ToolFailed("the process that makes the children ended", tool="batch")
        return payload

    def run(self, job: Job) -> bytes:
        """The row of one job."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(canonical_json(job) + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise ToolFailed("the process that makes the children ended", tool="batch") from None
        return self._receive()

    def close(self) -> None:
        """End it and whatever it runs."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait()


def _search_path() -> str:
    return os.environ.get("PYTHONPATH", "")


class _Pool:
    """Idle nurseries of this process; a task takes one and puts it back."""

    def __init__(self) -> None:
        self._idle: list[_Nursery] = []
        self._lock = threading.Lock()
        self.network = ""
        atexit.register(self.close)

    def run(self, job: Job) -> bytes:
        for attempt in range(3):
            with self._lock:
                # One that was started with another search path would find other steps.
                fitting = [n for n in self._idle if n.search_path == _search_path()]
                nursery = fitting[-1] if fitting else None
                if nursery is not None:
                    self._idle.remove(nursery)
            try:
                nursery = nursery or _Nursery()
                self.network = nursery.network
                row = nursery.run(job)
            except ToolFailed:
                if nursery is not None:
                    nursery.close()
                if attempt == 2:
                    return failure_row(job, "Crashed", "the process that makes the children ended")
                continue
            except BaseException:
                if nursery is not None:
                    nursery.close()
                raise
            with self._lock:
                self._idle.append(nursery)
            return row
        raise AssertionError("unreachable")

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for nursery in idle:
            nursery.close()


_pool = _Pool()


def examine_isolated(job: Job) -> bytes:
    """Run one job in a child process of its own and return its row; any executor can call it."""
    return _pool.run(job)


def find_clips(source: Path | Sequence[Path]) -> list[tuple[str, Path]]:
    """The files of a folder (hidden ones left out) or of a list, by a name that is one line.

    A name that is not UTF-8 or holds control characters is escaped; should two then be the same,
    the second gets a number.
    """
    if isinstance(source, Path) and source.is_dir():
        paths = sorted(p for p in source.rglob("*") if p.is_file() and p.name[0] != ".")
        names = [printable(p.relative_to(source)) for p in paths]
    else:
        paths = [source] if isinstance(source, Path) else list(source)
        names = [printable(p) for p in paths]
    seen: dict[str, int] = {}
    found = []
    for name, path in zip(names, paths, strict=True):
        count = seen[name] = seen.get(name, 0) + 1
        found.append((name if count == 1 else f"{name} ({count})", path))
    return found


def run_batch(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str], *, steps: Sequence[tuple[str, dict[str, Any]]] = DEFAULT_STEPS,
    jobs: int | None = None, timeout_s: float = 600.0, memory_bytes: int = 4 << 30,
    file_bytes: int = 1 << 30, resume: bool = False, keep_artefacts: bool = True,
    executor: concurrent.futures.Executor | None = None, progress: Progress | None = None,
) -> BatchSummary:  # fmt: skip
    """Examine every clip of a folder or list; one row each, in their order.

    Parameters
    ----------
    source
        A folder, searched through, or files.
    out
        The JSON Lines file to write. Pictures go to ``artefacts/`` beside it.
    steps
        Functions by name with their parameters, such as ``("video.find_keyframes", {})``.
    jobs
        Children at a time; the number of processors by default.
    timeout_s, memory_bytes, file_bytes
        What one clip may use before its child is ended; it then gets a row that says so.
    resume
        Keep rows of an earlier run whose content hash, methods, versions and parameters match.
    keep_artefacts
        Keep the pictures that examinations made.
    executor
        Runs the tasks instead of this process, such as a Dask client's ``get_executor()``; its
        workers must see the same files and the folder of `out`.
    progress
        Called with (fraction, text); the text has the time left.

    Returns
    -------
    BatchSummary

    Raises
    ------
    RecordInvalid
        No file at all, or a step that does not exist.

    When it errs
    ------------
    A clip that needs more than the limits gets a *failed* row though it may be sound (ASTM E3016:
    incompleteness). A limit on memory is not enforced on macOS, which ignores it.
    """
    started = time.monotonic()
    target = Path(out).absolute()
    listed = find_clips(
        Path(source) if isinstance(source, str | os.PathLike) else [Path(p) for p in source]
    )
    listed = [(name, path) for name, path in listed if not _ours(path.absolute(), target)]
    if not listed:
        raise RecordInvalid("no file to examine")
    artefacts = str(target.parent / "artefacts") if keep_artefacts else ""
    plan = [
        Job(path.absolute(), name, tuple(steps), timeout_s, memory_bytes, file_bytes, artefacts)
        for name, path in listed
    ]
    row_key("", plan[0])  # an unknown step is an error now, not in every row
    journal = Journal(target, resume=resume)
    try:
        todo = [job for job in plan if not (resume and _is_done(job, journal))]
        resumed = len(plan) - len(todo)
        count = jobs or os.cpu_count() or 1
        if todo:
            _run_all(todo, journal, executor, count, resumed, len(plan), progress)
        failed = sum(journal.outcomes[job.name] == "failed" for job in plan)
        journal.finish(job.name for job in plan)
    finally:
        journal.close()
    return BatchSummary(
        target, len(plan), len(todo), resumed, failed, time.monotonic() - started,
        _pool.network if executor is None else "as the executor's machines enforce it",
    )  # fmt: skip


def _ours(path: Path, target: Path) -> bool:
    inside = path.parent == target.parent and path.name.startswith(target.name)
    return inside or target.parent / "artefacts" in path.parents


def _is_done(job: Job, journal: Journal) -> bool:
    recorded = journal.keys.get(job.name)
    if recorded is None:
        return False
    try:
        return row_key(hash_file(job.path), job) == recorded
    except OSError:
        return row_key("", job) == recorded


def _run_all(
    todo: list[Job], journal: Journal, executor: concurrent.futures.Executor | None, count: int,
    resumed: int, total: int, progress: Progress | None,
) -> None:  # fmt: skip
    own = concurrent.futures.ThreadPoolExecutor(count) if executor is None else None
    workers = executor or own
    assert workers is not None
    started, done, failed = time.monotonic(), 0, 0
    try:
        for job, row in _rows(workers, todo, count * _PER_JOB):
            journal.add(row)
            done += 1
            failed += journal.outcomes[job.name] == "failed"
            if progress is not None:
                left_s = (time.monotonic() - started) / done * (len(todo) - done)
                text = f"{resumed + done} of {total}, {failed} failed, {_clock(left_s)} left"
                progress((resumed + done) / total, text)
    finally:
        if own is not None:
            own.shutdown(wait=True, cancel_futures=True)


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}"


def _rows(
    workers: concurrent.futures.Executor, todo: list[Job], window: int
) -> Iterator[tuple[Job, bytes]]:
    # Only so many tasks are in flight: ten thousand clips must not mean ten thousand futures.
    waiting: dict[concurrent.futures.Future[bytes], tuple[Job, int]] = {}
    queue = iter(todo)
    exhausted = False
    while True:
        while not exhausted and len(waiting) < window:
            job = next(queue, None)
            if job is None:
                exhausted = True
            else:
                waiting[workers.submit(examine_isolated, job)] = (job, 0)
        if not waiting:
            return
        finished, _ = concurrent.futures.wait(
            waiting, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in finished:
            job, tries = waiting.pop(future)
            try:
                yield job, future.result()
            except Exception as error:  # noqa: BLE001 - a dead worker is any exception
                # The worker died, not the clip's child: another worker gets the clip.
                if tries >= _RETRIES:
                    yield job, failure_row(job, type(error).__name__, "its workers died")
                else:
                    waiting[workers.submit(examine_isolated, job)] = (job, tries + 1)
