"""Sound at 1 kHz for the hum methods, from the channel in which the hum stands out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from forensics.enf_hum import RATE_HZ, Family, find_family
from forensics.errors import SignalTooShort
from forensics.model import Clip, Progress, Span
from forensics.provenance import check_not_listening_copy
from forensics.scan_sound import audio_stream, iter_sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["HumSound", "SHORTEST_S", "read_hum_sound"]

SHORTEST_S = 20.0
_WIDE_HZ = 8000
#: The channels are compared on this much of the middle.
_COMPARED_S = 300
#: Another channel must stand out this much more than the mean of all to be taken instead.
_BETTER = 1.05
_MOST_CHANNELS = 6


@dataclass(frozen=True)
class HumSound:
    """One channel at 1 kHz, which it is, its mean power (4 Hz to 4 kHz) and the hum in it."""

    samples: Floats
    channel: str
    start: Fraction
    power: float
    gaps: tuple[Span, ...]
    family: Family

    @property
    def span(self) -> Span:
        """The stretch of the clip's clock it covers."""
        return Span(self.start, self.start + Fraction(len(self.samples), RATE_HZ))


def _mixes(channels: int) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Names, and the weights (channels, mixes) that make them."""
    import numpy as np

    mean = np.full((channels, 1), 1 / channels, np.float32)
    if channels == 1:
        return ("only channel",), mean
    own = np.eye(channels, dtype=np.float32)[:, :_MOST_CHANNELS]
    names = ["mean of all channels"]
    if channels == 2:
        # Opposed channels cancel in their mean, and double here.
        side = np.array([[0.5], [-0.5]], np.float32)
        names += ["left", "right", "half of left minus right"]
        return tuple(names), np.concatenate([mean, own, side], axis=1)
    names += [f"channel {k + 1}" for k in range(own.shape[1])]
    return tuple(names), np.concatenate([mean, own], axis=1)


def read_hum_sound(clip: Clip, *, progress: Progress | None = None) -> HumSound:
    """Read a clip's sound at 1 kHz and take the channel in which the hum stands out most.

    Raises
    ------
    StreamMissing, SignalTooShort
    """
    import numpy as np
    from scipy.signal import resample_poly

    # A reference to compare with is no method's first clip, so nothing refused it before.
    check_not_listening_copy(clip)
    own_rate = audio_stream(clip).sample_rate
    margin, down = 1600, _WIDE_HZ // RATE_HZ
    names: tuple[str, ...] = ()
    weights = held = np.zeros((0, 0), np.float32)
    energy = np.zeros(0)
    parts: list[Floats] = []
    gaps: list[Span] = []
    start: Fraction | None = None
    count = 0

    def take() -> None:
        nonlocal held
        whole = (len(held) - 2 * margin) // down * down
        if whole <= 0:
            return
        out = resample_poly(held[: whole + 2 * margin], 1, down, axis=0)
        parts.append(out[margin // down : margin // down + whole // down].astype(np.float32))
        held = held[whole:]

    for sound in iter_sound(clip, rate_hz=_WIDE_HZ, mono=False, chunk_s=60.0, progress=progress):
        if start is None:
            start = sound.start
            names, weights = _mixes(sound.samples.shape[1])
            held = np.zeros((margin, len(names)), np.float32)
            energy = np.zeros(len(names))
        gaps += sound.gaps
        mixed = sound.samples @ weights
        energy += (mixed.astype(np.float64) ** 2).sum(axis=0)
        count += len(mixed)
        held = np.concatenate([held, mixed])
        take()
    held = np.concatenate([held, np.zeros((margin + down, len(names)), np.float32)])
    take()
    samples = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
    if len(samples) < SHORTEST_S * RATE_HZ:
        raise SignalTooShort(
            f"{clip.name} is too short for hum", need_s=SHORTEST_S, have_s=len(samples) / RATE_HZ
        )
    highest = 0.45 * own_rate
    first = max(0, (len(samples) - _COMPARED_S * RATE_HZ) // 2)
    middle = samples[first : first + _COMPARED_S * RATE_HZ]
    best = 0
    if len(names) > 1:
        found = [find_family(middle[:, k], highest_hz=highest) for k in range(len(names))]
        standing = [f.score / max(f.decoy, 1e-9) for f in found]
        top = int(np.argmax(standing))
        best = top if standing[top] > _BETTER * standing[0] else 0
    taken = np.ascontiguousarray(samples[:, best])
    return HumSound(
        taken, names[best], start or Fraction(0), float(energy[best] / max(1, count)),
        tuple(gaps), find_family(taken, highest_hz=highest),
    )  # fmt: skip
