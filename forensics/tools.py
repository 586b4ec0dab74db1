"""The one door to other programs: exiftool, ffmpeg, tesseract, ssh-keygen, openssl.

Every call has an argument list (never a shell), a time limit and an output limit, runs in a
process group of its own that is killed whole, and is told no file name that it could read as an
option. Nothing here writes to or beside evidence.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from forensics.errors import ToolFailed, ToolMissing, ToolTimeout
from forensics.model import Value
from forensics.tools_temporary import temporary_folder

__all__ = ["Tool", "find_tool", "neutral_links", "read_metadata", "run_tool", "tool_missing"]

_ADVICE = {
    "exiftool": "apt install libimage-exiftool-perl (Debian), brew install exiftool (macOS)",
    "tesseract": "apt install tesseract-ocr tesseract-ocr-rus tesseract-ocr-bel",
    "ffmpeg": "pip install imageio-ffmpeg, which carries one",
    "ssh-keygen": "apt install openssh-client",
    "openssl": "apt install openssl",
}
_VERSION_ARGUMENT = {"exiftool": "-ver", "ffmpeg": "-version", "openssl": "version"}
_OUTPUT_LIMIT = 256 * 1024 * 1024
# `exiftool -stay_open` does not end with its input: if this process is killed, it would wait for
# ever. So a shell waits at a pipe that nobody writes to, handed over as its stderr, and ends the
# program (which has taken the shell's own process number) when the other end goes away.
_LEASH = (
    "exec 3<&2 2>/dev/null; (read _ <&3; kill -9 $$) </dev/null >/dev/null & "
    'exec 3<&-; exec "$@"'
)


class Tool(Value, frozen=True):
    """A program that was found: where, which version, and the SHA-256 of its file."""

    name: str
    path: Path
    version: str
    digest: str


def tool_missing(name: str) -> ToolMissing:
    """The error that names a missing program and how to get it."""
    return ToolMissing(
        f"not run: {name} is missing", tool=name, hint=f"install with: {_ADVICE.get(name, name)}"
    )


@functools.cache
def find_tool(name: str) -> Tool:
    """Find a program and identify it.

    Raises
    ------
    ToolMissing
        It is not installed; the hint says how to get it.
    """
    path = shutil.which(name)
    if path is None and name == "ffmpeg":
        with contextlib.suppress(ImportError, RuntimeError):
            import imageio_ffmpeg

            path = imageio_ffmpeg.get_ffmpeg_exe()
    if path is None:
        raise tool_missing(name)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    version = "unknown: it has no option that prints one"
    if name != "ssh-keygen":
        said = _run([path, _VERSION_ARGUMENT.get(name, "--version")], name, None, 20.0)
        version = said.decode("utf-8", "replace").splitlines()[0].strip() if said else "unknown"
    return Tool(name, Path(path), version, digest)


def run_tool(
    name: str, arguments: Sequence[str | os.PathLike[str]], *, stdin: bytes | None = None,
    timeout_s: float = 60.0,
) -> bytes:  # fmt: skip
    """Run a program and return what it wrote to standard output.

    Parameters
    ----------
    name
        The program, as `find_tool` knows it.
    arguments
        Its arguments, one list item each; no shell sees them.
    stdin
        Bytes to feed it; nothing by default.
    timeout_s
        Seconds after which it and its children are killed.

    Raises
    ------
    ToolMissing, ToolFailed, ToolTimeout
    """
    tool = find_tool(name)
    listed = [os.fspath(argument) for argument in arguments]
    return _run([str(tool.path), *listed], name, stdin, timeout_s)


def _environment() -> dict[str, str]:
    # A fixed locale keeps output parseable; a private HOME keeps start-up files from running.
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "TESSDATA_PREFIX", "TMPDIR")}
    # One thread: two cores shared by several Tesseracts are slower than one each, by far.
    return kept | {"LC_ALL": "C.UTF-8", "HOME": os.devnull, "OMP_THREAD_LIMIT": "1"}


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _run(argv: Sequence[str], name: str, stdin: bytes | None, timeout_s: float) -> bytes:
    process = subprocess.Popen(
        list(argv), stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.communicate()
        raise ToolTimeout(f"{name} did not finish within {timeout_s:g} s", tool=name) from None
    except BaseException:
        _kill(process)
        raise
    if process.returncode != 0:
        tail = err.decode("utf-8", "replace")[-2000:]
        raise ToolFailed(
            f"{name} ended with code {process.returncode}: {tail.strip()[-300:]}",
            tool=name, tail=tail,
        )  # fmt: skip
    if len(out) > _OUTPUT_LIMIT:
        raise ToolFailed(f"{name} wrote more than {_OUTPUT_LIMIT} bytes", tool=name)
    return out


@contextlib.contextmanager
def neutral_links(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Symbolic links ``000001``, ``000002``, … to files whose names nobody vouches for.

    A name that holds newlines and options once made a reader rewrite *another* file; through
    these links no program ever sees the name. The links live in a private temporary folder.
    """
    with temporary_folder("links") as folder:
        links = []
        for number, path in enumerate(paths, start=1):
            link = folder / f"{number:06d}"
            link.symlink_to(path.absolute())
            links.append(link)
        yield links


class _Watchdog:
    """Ends an exiftool call that hangs, or whose process died: the wrapper would wait for ever."""

    def __init__(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        self._process, self._deadline = process, time.monotonic() + timeout_s
        self._done = threading.Event()
        self.timed_out = False
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.timed_out = time.monotonic() > self._deadline
            if self.timed_out or self._process.poll() is not None:
                # Give a reader that is just finishing its chance before the pipe goes away.
                if not self._done.wait(0.2) and self._process.stdout is not None:
                    _kill(self._process)
                    # Replacing the pipe by a closed one turns the wrapper's endless loop on
                    # empty reads into an OSError, without freeing the descriptor for reuse.
                    null = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(null, self._process.stdout.fileno())
                    os.close(null)
                return

    def __enter__(self) -> _Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@contextlib.contextmanager
def _leash() -> Iterator[int]:
    held, kept = os.pipe()
    try:
        yield held
    finally:
        os.close(held)
        os.close(kept)


def read_metadata(paths: Sequence[Path], *, timeout_s: float = 60.0) -> list[dict[str, str]]:
    """Every tag exiftool finds in each file, as ``{"Group:Tag": text}``, in order.

    The files are reached through neutral links and each answer is checked to be about the file
    asked for. No configuration file of the user's (which would be Perl) is read.

    Raises
    ------
    ToolMissing, ToolFailed, ToolTimeout
    """
    from exiftool_wrapper import ExifToolWrapper

    tool = find_tool("exiftool")
    with neutral_links(paths) as links, _leash() as leash:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _LEASH, "sh", str(tool.path), "-config", "", "-stay_open", "True",
             "-@", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=leash,
            env=_environment(), start_new_session=True,
        )  # fmt: skip
        wrapper = ExifToolWrapper()
        # Both published versions keep their process here; ours was started with -config ''.
        wrapper.__dict__["_pipe"] = process
        watchdog = _Watchdog(process, timeout_s)
        try:
            with watchdog:
                rows: list[dict[str, Any]] = wrapper.process_json_many(
                    "-G1", "-a", "-n", *(str(link) for link in links)
                )
        except (OSError, ValueError) as error:
            if watchdog.timed_out:
                raise ToolTimeout(
                    f"exiftool did not finish within {timeout_s:g} s", tool="exiftool"
                ) from error
            raise ToolFailed(f"exiftool broke off: {error}", tool="exiftool") from error
        finally:
            _kill(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
    answered = {str(row.get("SourceFile")): row for row in rows}
    if sorted(answered) != sorted(str(link) for link in links):
        raise ToolFailed("exiftool answered about other files than asked", tool="exiftool")
    hidden = ("SourceFile", "System:", "ExifTool:")
    return [
        {k: str(v) for k, v in answered[str(link)].items() if not k.startswith(hidden)}
        for link in links
    ]
