"""Steps run once on a clip made here, so that every child finds readers and tables loaded.

Loading the text reader alone takes longer than examining a short clip. What a rehearsal leaves
in memory is shared by all children that are forked afterwards; what it found is thrown away.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import signal
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from forensics.batch_child import Job, examine
from forensics.tools_temporary import temporary_folder

__all__ = ["rehearse"]

# This keeps threads once it has run, and a fork takes no threads along: it is only imported.
_THREADED = "redact."
_LIMIT_S = 60
_RATE = 25
_SECONDS = 5
_SAMPLE_RATE = 16000


def rehearse(steps: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Run each step once on a made clip; whatever goes wrong is left for the children to say."""
    import cv2

    from forensics import scan_cache

    # A fork takes no threads along: a pool that waits for them in a child would wait for ever.
    cv2.setNumThreads(1)

    def give_up(_signal: int, _frame: object) -> None:
        raise TimeoutError("the rehearsal takes too long")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_LIMIT_S)
    try:
        with temporary_folder("rehearsal") as folder:
            clip = folder / "rehearsal.mp4"
            _make_clip(clip)
            for step in steps:
                # A step that fails here fails in its child too, whose row says how.
                with contextlib.suppress(Exception):
                    if step[0].startswith(_THREADED):
                        importlib.import_module("onnxruntime")
                    else:
                        examine(Job(clip, clip.name, (step,)))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        scan_cache.forget()
        gc.collect()
        if sys.platform == "linux":
            with contextlib.suppress(AttributeError):
                # What the rehearsal no longer needs would be copied into every child's page tables.
                ctypes.CDLL(None).malloc_trim(0)


def _make_clip(path: Path) -> None:
    """Something that moves, something written, something heard."""
    import av
    import cv2
    import numpy as np

    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=_RATE, options={"g": "10"})
        video.width, video.height, video.pix_fmt = 192, 128, "yuv420p"
        video.thread_type = "NONE"
        audio: Any = out.add_stream("aac", rate=_SAMPLE_RATE)
        audio.layout = "mono"
        for number in range(_SECONDS * _RATE):
            picture = np.full((128, 192, 3), 90, np.uint8)
            picture[60:100, 3 * number : 3 * number + 30] = 220
            cv2.putText(picture, f"12:00:{number // _RATE:02d}", (8, 30), 0, 0.7, (255,) * 3, 2)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        noise = np.random.default_rng(0).normal(0, 0.01, (1, _SECONDS * _SAMPLE_RATE))
        noise[0, _SAMPLE_RATE : _SAMPLE_RATE + 200] += 0.5
        sound = av.AudioFrame.from_ndarray(noise.astype(np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = _SAMPLE_RATE, 0
        sound.time_base = Fraction(1, _SAMPLE_RATE)
        out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
