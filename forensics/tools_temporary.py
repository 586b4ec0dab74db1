"""Temporary folders that name their owner, so that what a killed process left is swept away later.

They hold copies of what evidence shows: links to it, pictures, sound. A process that is killed
cannot delete them. The next one that needs such a folder deletes those of the same user whose
owner is gone and that nothing was put into for a day; one who shares the folder from another
container looks gone, too, and is not robbed within that day.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["nameless_file", "spool_folder", "temporary_folder"]

_NAME = re.compile(r"forensics-[a-z]+-([1-9]\d{0,9})-[^/]+")
#: Younger folders are left alone, whoever their owner was.
LEFT_S = 24 * 3600.0


@contextlib.contextmanager
def temporary_folder(kind: str) -> Iterator[Path]:
    """A private folder that is deleted when the context ends."""
    folder = _make(kind)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def spool_folder(kind: str) -> Path:
    """A private folder that is deleted when the process ends."""
    folder = _make(kind)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def nameless_file() -> IO[bytes]:
    """A private file without a name: it is gone when it is closed, or its process is killed."""
    return tempfile.TemporaryFile(prefix="forensics-")


def _make(kind: str) -> Path:
    place = tempfile.gettempdir()
    _sweep(place)
    return Path(tempfile.mkdtemp(prefix=f"forensics-{kind}-{os.getpid()}-", dir=place))


@functools.cache
def _sweep(place: str) -> None:
    """Delete what was left in `place`, once a process."""
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None or not entry.is_dir(follow_symlinks=False):
                continue
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                old = time.time() - found.st_mtime > LEFT_S
                if found.st_uid == os.getuid() and old and not _runs(int(match[1])):
                    shutil.rmtree(entry.path, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
