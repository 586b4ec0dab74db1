"""Peers of ``benchmarks/events.py``: librosa's onsets, and the five-band rule of our own research.

The figures that the project set itself came from the research's own scenes, which are lost. librosa
and the research's rule stood beside each other there, so they stand here too: what they score on
these scenes says what the same demand would be here. Thresholds were chosen on the tuning half, at
20 impulses a minute: the mean F1 of the three levels was best.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

RATE = 16000
#: librosa's `delta`; the research's least rise (in three of five bands) and prominence, dB.
DELTA, RISE_DB, PROMINENCE_DB = 0.2, 6.0, 0.0

Peer = Callable[[np.ndarray], list[float]]


def librosa_onsets(samples: np.ndarray) -> list[float]:
    """Its default settings."""
    import librosa

    return list(librosa.onset.onset_detect(y=samples, sr=RATE, units="time"))


def librosa_tuned(samples: np.ndarray) -> list[float]:
    """Its threshold chosen on the tuning half."""
    import librosa

    return list(librosa.onset.onset_detect(y=samples, sr=RATE, units="time", delta=DELTA))


def five_bands(samples: np.ndarray) -> list[float]:
    """Local rise in three of five bands, and prominence over the whole clip's 95th percentile."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    count = len(samples) // 80
    padded = np.pad(samples, (80, 80))
    rows = np.lib.stride_tricks.sliding_window_view(padded, 160)[::80][:count] * np.hanning(160)
    power = np.abs(np.fft.rfft(rows, axis=1)) ** 2
    level = 10 * np.log10(np.add.reduceat(power[:, 1:80], (0, 3, 7, 15, 31), axis=1).T + 1e-9)
    past = uniform_filter1d(level, 20, axis=1)
    past = np.pad(past, ((0, 0), (12, 0)), mode="edge")[:, :count]
    rise = np.sort(level - past, axis=0)[2]
    over = np.median(level - np.quantile(level, 0.95, axis=1, keepdims=True), axis=0)
    strength = np.where((rise > RISE_DB) & (over > PROMINENCE_DB), rise + over, -99.0)
    tops = (strength == maximum_filter1d(strength, 21)) & (strength > -99)
    return list(np.flatnonzero(tops) * 0.005)


def find_peers() -> dict[str, Peer]:
    """Peers that are installed: librosa in the environment ``librosa`` of the folder ``PEERS``."""
    peers: dict[str, Peer] = {"five bands": five_bands}
    # At the end of the path: the peer's own dependencies must not stand in for ours.
    home = Path(os.environ.get("PEERS", "/nowhere")) / "librosa"
    sys.path += [str(p) for p in home.glob("lib/python*/site-packages")]
    try:
        import librosa  # noqa: F401
    except ImportError:
        return peers
    return peers | {"librosa onsets": librosa_onsets, "librosa onsets, tuned": librosa_tuned}
