"""What one decode measured: one row per frame, exact times, the packets it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics.model import Coverage, Span, VideoStream
from forensics.scan_packets import Packets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Measurements"]


@dataclass(frozen=True)
class Measurements:
    """One row per frame in presentation order, from one decode.

    `columns` maps a detector's column to a float64 array of that length; `decode_failures` counts
    packets the decoder refused, `sizes` lists (ordinal, width, height) where the size changes,
    `planes` maps a name to an array whose first axis is the frame. Of `unstamped` frames the file
    does not say when they are shown: each follows the one before it at the rate of the stream.
    `restarts` lists (ordinal, ticks) where the stamps fall back and start again: from there on they
    are counted on, by so many ticks more than before.
    `repaired` marks frames in which the decoder filled in what it could not read.
    """

    clip: str
    stream: VideoStream
    pts: NDArray[np.int64]
    picture_type: NDArray[np.uint8]
    key: NDArray[np.bool_]
    packet: NDArray[np.int64]
    packets: Packets
    repaired: NDArray[np.bool_]
    columns: dict[str, NDArray[np.float64]]
    decode_failures: int
    sizes: tuple[tuple[int, int, int], ...]
    failures: tuple[str, ...] = field(default=())
    planes: dict[str, NDArray[Any]] = field(default_factory=dict)
    unstamped: int = 0
    restarts: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Presentation times in seconds, for arithmetic that needs no exactness."""
        return self.pts.astype("float64") * float(self.stream.time_base)

    def time(self, ordinal: int) -> Fraction:
        """Exact presentation time of a frame in seconds."""
        return int(self.pts[ordinal]) * self.stream.time_base

    def span(self, first: int, last: int) -> Span:
        """From the presentation of frame `first` to that of frame `last`."""
        return Span(self.time(first), self.time(last))

    def position(self, ordinal: int) -> int | None:
        """Byte offset in the file of the packet a frame came from, where known."""
        row = int(self.packet[ordinal])
        where = int(self.packets.position[row]) if row >= 0 else -1
        return where if where >= 0 else None

    def coverage(self) -> Coverage:
        """What was seen."""
        span = self.span(0, len(self) - 1) if len(self) else None
        return Coverage(span, len(self), "frames", self.decode_failures)
