"""How the channels of a recording stand to each other: alike, opposed, one silent, or different.

Pure functions of arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from forensics.scan_sound import Sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "DIFFERENT",
    "RelationChange",
    "RelationMeter",
    "find_relation_changes",
    "iter_channel",
    "to_examine",
]

#: Relations of two channels, by second.
QUIET, ALIKE, OPPOSED, ONE_SILENT, DIFFERENT = 0, 1, 2, 3, 4
_NAMES = ("quiet", "alike", "opposed", "silent but for one", "different")
#: Difference against sum (or sum against difference) below which two channels hold one sound, dB:
#: what joint-stereo coding and rounding leave lies below.
_ONE_SOUND_DB = -30.0
#: A channel this far below the other is silent; sound below this level is not judged.
_SILENT_DB, _QUIET_DB = -50.0, -65.0
#: Seconds a relation must last on both sides of a change.
_LASTS_S = 3
#: Seconds in which the channels are not one sound, from which on each is examined by itself.
_LEAST_S = 1


class RelationMeter:
    """Takes sound in order; per second: the relation, and the difference against the sum in dB.

    The worst pair counts: channels of more than two are each held against the first.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._rows: list[tuple[int, float]] = []
        self._held: Floats | None = None

    def push(self, samples: Floats, last: bool = False) -> None:
        """Samples (n, channels)."""
        import numpy as np

        if samples.shape[1] < 2:
            return
        held = samples if self._held is None else np.concatenate([self._held, samples])
        whole = len(held) // self.rate_hz
        if whole:
            seconds = held[: whole * self.rate_hz].reshape(whole, self.rate_hz, -1)
            own = np.einsum("srk,srk->sk", seconds, seconds, dtype=np.float64)
            both = np.einsum("sr,srk->sk", seconds[:, :, 0], seconds[:, :, 1:], dtype=np.float64)
            self._rows += [_worst(o / self.rate_hz, b / self.rate_hz) for o, b in
                           zip(own, both, strict=True)]  # fmt: skip
        self._held = held[whole * self.rate_hz :].copy()

    def finish(self) -> Floats:
        """(seconds, 2): relation and dB."""
        import numpy as np

        found: Floats = np.array(self._rows, np.float32).reshape(-1, 2)
        return found


def _worst(own: Floats, both: Floats) -> tuple[int, float]:
    pairs = [_relation(own[0], other, shared) for other, shared in zip(own[1:], both, strict=True)]
    return max(pairs)


def _relation(one: float, other: float, both: float) -> tuple[int, float]:
    """Relation of two channels from their mean squares and mean product."""
    from math import log10

    def level(power: float) -> float:
        return 10 * log10(max(power, 1e-13))

    against = level(one + other - 2 * both) - level(one + other + 2 * both)
    if max(level(one), level(other)) < _QUIET_DB:
        return QUIET, against
    if min(level(one), level(other)) - max(level(one), level(other)) < _SILENT_DB:
        return ONE_SILENT, against
    # One sound at two gains is one sound: what is left when the gain is taken out.
    left = level(other - both * both / max(one, 1e-13)) - level(other)
    if left < _ONE_SOUND_DB:
        return (ALIKE if both > 0 else OPPOSED), against
    return DIFFERENT, against


def to_examine(relations: Floats, channels: int) -> list[int]:
    """Channels to be examined by themselves: all, unless they hold one sound throughout.

    Parameters
    ----------
    relations
        From `RelationMeter.finish`.
    channels
        How many there are.
    """
    apart = (relations[:, 0] >= OPPOSED).sum() if len(relations) else 0
    return list(range(channels)) if channels > 1 and apart >= _LEAST_S else []


def iter_channel(sounds: Iterable[Sound], number: int) -> Iterator[Sound]:
    """One channel of each piece of sound."""
    for sound in sounds:
        yield replace(sound, samples=sound.samples[:, number : number + 1].copy())


@dataclass(frozen=True)
class RelationChange:
    """Between samples `low` and `high` the channels begin to stand otherwise to each other."""

    low: int
    high: int
    before: str
    after: str
    before_db: float
    after_db: float


def find_relation_changes(relations: Floats, rate_hz: int) -> list[RelationChange]:
    """Where one relation gives way to another and both last for 3 s; quiet seconds are passed over.

    Parameters
    ----------
    relations
        From `RelationMeter.finish`.
    rate_hz
        Of the sound.
    """
    import numpy as np

    heard = [k for k in range(len(relations)) if relations[k, 0] != QUIET]
    found: list[RelationChange] = []
    for place in range(_LASTS_S, len(heard) - _LASTS_S + 1):
        # The second of the change itself belongs to neither side.
        for skipped in (0, 1):
            before = heard[place - _LASTS_S : place]
            after = heard[place + skipped : place + skipped + _LASTS_S]
            if len(after) < _LASTS_S:
                continue
            kinds = {int(relations[k, 0]) for k in before}, {int(relations[k, 0]) for k in after}
            if any(len(k) > 1 for k in kinds) or kinds[0] == kinds[1]:
                continue
            (one,), (other,) = kinds
            low, high = before[-1] * rate_hz, (after[0] + 1) * rate_hz
            if found and low < found[-1].high + rate_hz:
                continue
            found.append(
                RelationChange(
                    low, high, _NAMES[one], _NAMES[other],
                    float(np.median(relations[before, 1])), float(np.median(relations[after, 1])),
                )
            )  # fmt: skip
    return found
