"""The process that makes one child for each clip: everything loaded once, then forked.

A clip that crashes its decoder, eats memory or never ends takes only its own child with it. The
nursery loads packages and models once (`batch_rehearsal`), cuts the network for itself and its
children, and then forks, so that a child costs milliseconds instead of seconds of loading.

Started as ``python -P -m forensics.batch_nursery``; jobs come in as JSON Lines, rows go out as
lines of ``length`` and bytes. When its input ends, because the batch was killed, it goes too.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from typing import Any

from forensics.batch_child import Job, examine, failure_row, find_step
from forensics.batch_rehearsal import rehearse
from forensics.errors import ForensicsError
from forensics.model import from_json
from forensics.tools_temporary import temporary_folder

__all__ = ["cut_network", "main", "run_forked"]

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


def cut_network() -> str:
    """Leave the network for good; says how it is enforced.

    A network namespace of its own holds back any code in the process. Where the system does not
    allow one, an audit hook refuses Python's sockets, which is all that this library could use.
    """
    def refuse(event: str, _arguments: tuple[object, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
                     "socket.bind"):  # fmt: skip
            raise PermissionError(f"{event}: a batch child reaches no network")

    sys.addaudithook(refuse)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET):
            if libc.unshare(flags) == 0:
                return "network namespace"
    return "Python sockets refused"


def _limit(job: Job) -> None:
    # RLIMIT_DATA counts what is allocated, but not every kernel keeps to it; RLIMIT_AS also counts
    # what is merely mapped, so it gets what is mapped already on top.
    for limit, value in ((resource.RLIMIT_DATA, job.memory_bytes),
                         (resource.RLIMIT_AS, job.memory_bytes + _mapped()),
                         (resource.RLIMIT_FSIZE, job.file_bytes),
                         (resource.RLIMIT_CORE, 0)):  # fmt: skip
        _soft, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _mapped() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 1 << 30


def _in_child(job: Job, out: int, folder: str) -> None:
    os.setsid()
    _limit(job)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    tempfile.tempdir = folder
    os.environ["TMPDIR"] = folder
    row = b""
    try:
        row = examine(job)
    except MemoryError as error:
        # What it hoarded hangs on the traceback.
        error.__traceback__ = None
    except ForensicsError as error:
        row = failure_row(job, type(error).__name__, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - the one place where a bug is caught
        # A bug costs one clip, and says where it is.
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(at.filename)}:{at.lineno}"
        row = failure_row(job, type(error).__name__, f"a bug at {place}: {error}")
    if not row:
        row = failure_row(job, "MemoryError", f"needs more than {job.memory_bytes >> 20} MiB")
    view = memoryview(row)
    while view:
        view = view[os.write(out, view) :]
    os._exit(0)


def run_forked(job: Job, *, stop: int | None = None) -> bytes | None:
    """Run one job in a child of its own; its row, or a row that says how the child ended.

    Parameters
    ----------
    job
        What to do.
    stop
        A descriptor whose end of file means: kill the child and give up (None is returned).
    """
    with temporary_folder("batch") as folder:
        inlet, outlet = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(inlet)
                _in_child(job, outlet, str(folder))
            finally:
                os._exit(70)
        os.close(outlet)
        try:
            row, why = _watch(job, child, inlet, stop)
        finally:
            os.close(inlet)
    if why == "stopped":
        return None
    return failure_row(job, *why) if isinstance(why, tuple) else row


def _watch(
    job: Job, child: int, inlet: int, stop: int | None
) -> tuple[bytes, str | tuple[str, str]]:
    chunks: list[bytes] = []
    deadline = time.monotonic() + job.timeout_s
    why: str | tuple[str, str] = ""
    watched = [inlet] if stop is None else [inlet, stop]
    while not why:
        left = deadline - time.monotonic()
        ready, _, _ = select.select(watched, [], [], max(0.0, left)) if left > 0 else ([], [], [])
        if not ready:
            why = ("Timeout", f"did not finish within {job.timeout_s:g} s")
        elif stop is not None and stop in ready:
            why = "stopped"
        else:
            piece = os.read(inlet, 1 << 20)
            if not piece:
                break
            chunks.append(piece)
    if why:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    # What it started itself goes with it: a tool must not outlive its clip.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    if not why and os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        why = ("Crashed", f"the child was ended by {name}")
    elif not why and os.WEXITSTATUS(status):
        why = ("Crashed", f"the child ended with code {os.WEXITSTATUS(status)}")
    return b"".join(chunks), why


def _warm(job: Job) -> None:
    for name, _ in job.steps:
        with contextlib.suppress(ForensicsError):
            find_step(name)
    rehearse(job.steps)
    gc.freeze()


def main() -> None:
    """Read jobs, write rows, until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    outlet = os.dup(1)
    os.dup2(2, 1)
    enforced = cut_network()
    _send(outlet, enforced.encode())
    warm = False
    source: Any = os.fdopen(os.dup(0), "rb", buffering=0)
    buffer = b""
    while True:
        while b"\n" not in buffer:
            piece = source.read(1 << 16)
            if not piece:
                return
            buffer += piece
        line, _, buffer = buffer.partition(b"\n")
        job = from_json(line, Job)
        if not warm:
            _warm(job)
            warm = True
        row = run_forked(job, stop=source.fileno())
        if row is None:
            return
        _send(outlet, row)


def _send(outlet: int, payload: bytes) -> None:
    view = memoryview(f"{len(payload)}\n".encode() + payload)
    while view:
        view = view[os.write(outlet, view) :]


if __name__ == "__main__":
    main()
