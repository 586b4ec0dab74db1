"""Repeated stretches inside one recording: the same waveform twice, not the same word twice.

The sound is whitened in time and frequency, so that the noise between the words counts as much as
the words; a copied stretch then correlates with its source sample by sample, and nothing natural
does. Pure functions of arrays; memory is bounded by the reach, not by the length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["RATE_HZ", "Repeat", "RepeatFinder", "whiten"]

RATE_HZ = 8000
#: Samples a block (16.4 s) and between two; only the second half of a block is new.
_BLOCK, _STEP = 1 << 17, 1 << 16
#: Peaks looked at closely per block: sound that repeats everywhere must not cost without bound.
_MOST_CHECKS = 12
#: Blocks correlated at a time: the transforms of several rows share their work.
_AT_ONCE = 8
_LOWEST_Z = 7.5
_LEAST_LAG_S = 0.3
LEAST_S = 0.25
_WINDOW = 256


@dataclass(frozen=True)
class Repeat:
    """`length_s` seconds from `first_s` are heard again from `second_s`; seconds from the start."""

    first_s: float
    second_s: float
    length_s: float
    likeness: float
    z: float


def whiten(samples: Floats) -> Floats:
    """Equal weight to every moment and every frequency from 120 to 3,800 Hz; zeros stay zeros."""
    import numpy as np
    from scipy.fft import irfft, rfft
    from scipy.ndimage import uniform_filter

    size, hop = 512, 128
    count = max(1, (len(samples) - size) // hop + 1)
    padded = np.pad(samples, (0, max(0, size - len(samples))))
    view = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:count]
    window = np.sqrt(np.hanning(size + 1)[:-1]).astype(np.float32)
    spectrum = rfft(view * window, axis=1)
    magnitude = np.abs(spectrum)
    long_term = np.median(magnitude, axis=0) + 1e-7
    flat = magnitude / long_term
    near = uniform_filter(flat, (5, 9), mode="nearest")
    gain = np.where(magnitude > 1e-6, 1 / (long_term * np.maximum(near, 1e-3)), 0)
    frequencies = np.fft.rfftfreq(size, 1 / RATE_HZ)
    gain[:, (frequencies < 120) | (frequencies > 3800)] = 0
    rows = irfft(spectrum * gain, size, axis=1).astype(np.float32) * window
    out = np.zeros(len(padded), np.float32)
    for shift in range(size // hop):
        part = rows[shift :: size // hop]
        flat_part = part.reshape(-1)
        first = shift * hop
        out[first : first + len(flat_part)] += flat_part
    quiet = out.std() + 1e-12
    found: Floats = np.clip(out / quiet, -4, 4)[: len(samples)]
    return found


class RepeatFinder:
    """Takes blocks of sound in order; the new half of each is sought in all up to `reach_s` ago."""

    def __init__(self, *, reach_s: float = 600.0) -> None:
        self._held: deque[tuple[int, Floats, NDArray[np.complex64]]] = deque(
            maxlen=max(1, int(reach_s * RATE_HZ / _STEP))
        )
        self.repeats: list[Repeat] = []
        self._first = True

    @property
    def step(self) -> int:
        """Samples between the starts of two blocks."""
        return _STEP

    @property
    def size(self) -> int:
        """Samples in a block."""
        return _BLOCK

    def push(self, samples: Floats, first: int) -> None:
        """One block of at most `size` mono samples at `RATE_HZ`; `first` is its position."""
        import numpy as np

        y = whiten(np.asarray(samples, np.float32))
        if len(y) < _BLOCK:
            y = np.pad(y, (0, _BLOCK - len(y)))
        if self._first:
            # The first block is new from its start: its first half is sought before it is held.
            self._first = False
            before = np.concatenate([np.zeros(_STEP, np.float32), y[:_STEP]])
            self._compare(before, first - _STEP)
            self._held.clear()
        self._compare(y, first)

    def finish(self) -> None:
        """Let go of the blocks held; `repeats` stays."""
        self._held.clear()

    def _compare(self, y: Floats, first: int) -> None:
        """Correlate the second half of `y` with every block held, at every lag, each lag once."""
        import numpy as np
        from scipy.fft import rfft

        self._held.append((first, y, rfft(y).astype(np.complex64)))
        new = np.zeros(_BLOCK, np.float32)
        new[:_STEP] = y[_STEP:]
        if not new.any():
            return
        turned = np.conj(rfft(new)).astype(np.complex64)
        least = round(_LEAST_LAG_S * RATE_HZ)
        verified = 0
        for (earlier, x, _), curve in self._curves(turned):
            if earlier == first:
                curve[_STEP - least :] = 0
            np.abs(curve, out=curve)
            spread = 1.4826 * float(np.median(curve[::48])) + 1e-9
            # Looped or mechanical sound repeats everywhere: one peak a pair says so.
            for _ in range(3 if len(self.repeats) < 24 else 1):
                at = int(np.argmax(curve))
                z = float(curve[at]) / spread
                if z < _LOWEST_Z or verified >= _MOST_CHECKS:
                    break
                verified += 1
                lag = _STEP - at  # of y against x within their blocks
                self._verify(x, y, earlier, first, lag, -_peak(curve, at), z)
                curve[max(0, at - 400) : at + 400] = 0

    def _curves(
        self, turned: NDArray[np.complex64]
    ) -> Iterator[tuple[tuple[int, Floats, NDArray[np.complex64]], Floats]]:
        """Each block held, the latest first, with the correlation of the new half against it.

        Entry k: the new half, which begins a step after its block, is like the block from its
        sample k. No sum wraps round for k up to a step.
        """
        import numpy as np
        from scipy.fft import irfft

        held = list(reversed(self._held))
        for first in range(0, len(held), _AT_ONCE):
            group = held[first : first + _AT_ONCE]
            spectra = np.stack([spectrum for _, _, spectrum in group])
            spectra *= turned
            curves = irfft(spectra, axis=1, overwrite_x=True)[:, : _STEP + 1]
            yield from zip(group, curves, strict=True)

    def _verify(
        self, x: Floats, y: Floats, earlier: int, first: int, lag: int, part: float, z: float
    ) -> None:
        """Where x(t) and y(t + lag) agree; `part` refines the lag below one sample."""
        low, high = max(0, -lag), min(_BLOCK, _BLOCK - lag)
        if high - low < LEAST_S * RATE_HZ:
            return
        one = x[low:high]
        curve = _likeness(one, _shifted(y[low + lag : high + lag], part))
        for begin, end, level in _stretches(curve):
            start, length = (low + begin) / RATE_HZ, (end - begin) / RATE_HZ
            if length < LEAST_S:
                continue
            source = earlier / RATE_HZ + start
            copy = source + (first - earlier + lag) / RATE_HZ - part / RATE_HZ
            self._add(Repeat(source, copy, length, level, z))

    def _add(self, repeat: Repeat) -> None:
        for k, known in enumerate(self.repeats):
            same = (
                abs((known.second_s - known.first_s) - (repeat.second_s - repeat.first_s)) < 0.003
            )
            apart = max(known.first_s, repeat.first_s) - min(
                known.first_s + known.length_s, repeat.first_s + repeat.length_s
            )
            if same and apart < 0.5:
                first = min(known.first_s, repeat.first_s)
                last = max(known.first_s + known.length_s, repeat.first_s + repeat.length_s)
                self.repeats[k] = Repeat(
                    first, first + known.second_s - known.first_s, last - first,
                    max(known.likeness, repeat.likeness), max(known.z, repeat.z),
                )  # fmt: skip
                return
        if len(self.repeats) < 200:
            self.repeats.append(repeat)


def _peak(curve: Floats, at: int) -> float:
    """How far before sample `at` the true peak lies, from a parabola; within half a sample."""
    if not 0 < at < len(curve) - 1:
        return 0.0
    left, top, right = (float(abs(curve[at + d])) for d in (-1, 0, 1))
    bend = left - 2 * top + right
    return max(-0.5, min(0.5, -0.5 * (left - right) / bend)) if bend < 0 else 0.0


def _shifted(samples: Floats, part: float) -> Floats:
    if part == 0:
        return samples
    import numpy as np

    taps = np.arange(-8, 9)
    kernel = np.sinc(taps - part) * np.hanning(19)[1:-1]
    moved: Floats = np.convolve(samples, kernel.astype(np.float32), "same")
    return moved


def _likeness(one: Floats, other: Floats) -> Floats:
    """Normalised correlation in 64 ms windows, every 8 ms."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    width, hop = 2 * _WINDOW, _WINDOW // 4
    both = uniform_filter1d(one * other, width)[::hop]
    power = (
        uniform_filter1d(one * one, width)[::hop] * uniform_filter1d(other * other, width)[::hop]
    )
    found: Floats = (both / np.sqrt(power + 1e-4)).astype(np.float32)
    return found


def _stretches(curve: Floats) -> list[tuple[int, int, float]]:
    """(begin, end, mean likeness) of stretches that agree, in samples."""
    import numpy as np
    from scipy.ndimage import binary_closing

    hop = _WINDOW // 4
    level = max(0.3, 0.5 * float(np.quantile(curve, 0.995)))
    alike = binary_closing(np.pad(curve > level, 16), np.ones(13))[16:-16]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], alike.astype(int), [0]])))
    return [
        (int(a) * hop, int(b) * hop, float(curve[a:b].mean()))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]
