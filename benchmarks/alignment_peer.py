"""Run one other aligner over pairs of files, in that aligner's own environment.

``PYTHON alignment_peer.py TOOL JOBS.json OUT.json``: jobs are [[a, b], ...] (16 kHz mono WAV); the
answer is [[offset_s, score, cpu_s], ...], offset: when b's first sample is heard in a. Each is
called with settings at least as generous as its own defaults: whole files instead of their first
20 or 40 s. Only what the tool itself offers as a score is used; syncstart has none, so the height
of its peak over the median of its correlation stands in.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

warnings.filterwarnings("ignore")
Answer = tuple[float, float]


def offset_finder() -> Callable[[str, str], Answer]:
    from audio_offset_finder.audio_offset_finder import find_offset_between_files

    def run(a: str, b: str) -> Answer:
        found = find_offset_between_files(a, b)
        return float(found["time_offset"]), float(found["standard_score"])

    return run


def syncstart() -> Callable[[str, str], Answer]:
    os.environ["MPLBACKEND"] = "Agg"
    import matplotlib

    matplotlib.use = lambda *_a, **_k: None
    import syncstart as tool
    from scipy.io import wavfile

    def run(a: str, b: str) -> Answer:
        (rate, one), (_, two) = wavfile.read(a), wavfile.read(b)
        one, two = one.astype(float), two.astype(float)
        _, _, size, top, curve = tool.corrabs(one, two)
        shift = -(size - top) / rate if top > size // 2 else top / rate
        return shift, float(np.max(curve) / np.median(curve))

    return run


def audio_video_sync() -> Callable[[str, str], Answer]:
    from audio_video_sync import sync as tool
    from loguru import logger

    logger.remove()

    def run(a: str, b: str) -> Answer:
        try:
            offset, score, _ = tool.find_offset(Path(a), Path(b), analyze_duration=300)
        except RuntimeError:  # it refuses offsets near the ends of the clips
            return float("nan"), 0.0
        return float(offset), float(score)

    return run


def audiolocate(keep: int = 0) -> Callable[[str, str], Answer]:
    from audiolocate import AudioFingerprint

    tool = AudioFingerprint()

    @functools.lru_cache(maxsize=keep)
    def prints(path: str) -> Any:
        return tool.fingerprint_audio(tool.load_audio(path))[0]

    def run(a: str, b: str) -> Answer:
        found = tool.match(prints(a), prints(b))
        score = found.match_count / max(found.noise_baseline, 1.0)
        return found.offset_frames * tool.hop_length / tool.sr, score

    return run


def audalign() -> Callable[[str, str], Answer]:
    import audalign as tool

    def run(a: str, b: str) -> Answer:
        recognizer = tool.CorrelationRecognizer()
        found = tool.recognize(a, b, recognizer=recognizer)
        if not found:
            return float("nan"), 0.0
        match = next(iter(found["match_info"].values()))
        return -float(match["offset_seconds"][0]), float(match["confidence"][0])

    return run


def chromaprint(keep: int = 0) -> Callable[[str, str], Answer]:
    """Its raw prints (32 bits every 1365 samples at 11,025 Hz), laid over each other.

    The tool itself gives no offset: the lag with the fewest differing bits for its overlap, at
    least 5 s or 60 % of the shorter clip, is taken, and its standard score.
    """
    step_s = 1365 / 11025

    @functools.lru_cache(maxsize=keep)
    def prints(path: str) -> np.ndarray:
        # Debian's build takes the end of a file for an error, after printing the whole print.
        said = subprocess.run(
            ["fpcalc", "-raw", "-json", "-length", "0", path], capture_output=True, check=False
        ).stdout
        words = np.array(json.loads(said)["fingerprint"], dtype=np.int64).astype(np.uint32)
        return np.unpackbits(words.view(np.uint8).reshape(-1, 4), axis=1).astype(np.float32)

    def run(a: str, b: str) -> Answer:
        one, two = prints(a) * 2 - 1, prints(b) * 2 - 1
        least = max(1, int(min(5 / step_s, 0.6 * min(len(one), len(two)))))
        lags = np.arange(least - len(two), len(one) - least + 1)
        agree = one @ two.T
        scores = []
        for lag in lags:
            line = np.diagonal(agree, -lag)
            scores.append(float(line.sum()) / np.sqrt(32 * len(line)))
        best = int(np.argmax(scores))
        return float(lags[best]) * step_s, scores[best]

    return run


TOOLS = {
    "audio-offset-finder": offset_finder, "syncstart": syncstart,
    "audio-video-sync": audio_video_sync, "audiolocate": audiolocate, "audalign": audalign,
    "chromaprint": chromaprint,
    # The same, with the description of each file kept for its next pair.
    "audiolocate-kept": functools.partial(audiolocate, 1000),
    "chromaprint-kept": functools.partial(chromaprint, 1000),
}  # fmt: skip


def main(tool: str, jobs: str, out: str) -> None:
    """Answer every job; a crash of the tool on one pair is an answer too."""
    real, sys.stdout = sys.stdout, sys.stderr
    run = TOOLS[tool]()
    answers = []
    asked = json.loads(Path(jobs).read_text())
    # Some compile themselves when first called: that is no cost of a pair.
    with contextlib.suppress(ValueError, IndexError, KeyError, ZeroDivisionError, RuntimeError):
        run(*asked[0])
    for a, b in asked:
        begun = time.process_time()
        before = os.times()
        try:
            offset, score = run(a, b)
        except (ValueError, IndexError, KeyError, ZeroDivisionError, RuntimeError) as error:
            print(f"{tool}: {type(error).__name__}: {error}", file=sys.stderr)
            offset, score = float("nan"), 0.0
        after = os.times()
        child = after.children_user + after.children_system
        child -= before.children_user + before.children_system
        answers.append([offset, score, time.process_time() - begun + child])
    Path(out).write_text(json.dumps(answers))
    sys.stdout = real


if __name__ == "__main__":
    main(*sys.argv[1:])
