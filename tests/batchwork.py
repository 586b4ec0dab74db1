"""Steps for batch tests, found by name in the children: well-behaved, and each kind of bad."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import time
from pathlib import Path

from forensics import provenance
from forensics.errors import ToolFailed
from forensics.model import Clip, Coverage, Examination, Progress, Span


@provenance.method("work-misbehave", version="1")
def misbehave(
    clip: Clip, *, how: str = "", progress: Progress | None = None
) -> Examination:
    """Do what the first bytes of the sound say, or nothing at all.

    When it errs
    ------------
    Always.
    """
    kind = how or clip.path.stem.partition("-")[0]
    if kind == "hang":
        subprocess.Popen(["sleep", "612"])
        time.sleep(600)
    if kind == "crash":
        ctypes.string_at(0)
    if kind == "eat":
        hoard = []
        while True:
            hoard.append(bytearray(64 << 20))
    if kind == "bug":
        raise KeyError("a bug")
    if kind == "fill":
        with open(Path(os.environ["TMPDIR"]) / "big", "wb") as file:
            file.writelines(bytes(1 << 20) for _ in range(4096))
    if kind == "call":
        try:
            socket.create_connection(("192.0.2.1", 80), timeout=2)
        except OSError as error:
            raise ToolFailed(f"no network: {type(error).__name__}", tool="x") from error
    if kind == "slow":
        time.sleep(0.05)
    picture = provenance.keep(b"x" + clip.digest.encode(), media_type="text/csv", label="kept")
    return provenance.conclude(
        (), coverage=Coverage(Span.of(0, 1), 10), artefacts=(picture,) if kind == "keep" else ()
    )
