"""Demux one picture or sound stream, and decode its packets one by one: the floor of `scan`."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics.clip import check_unchanged, open_container
from forensics.errors import ClipUnreadable, StreamMissing
from forensics.model import Clip, Progress, VideoStream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Decoder", "PacketLog", "Packets", "read_packets", "video_stream"]

#: Threads that decode while the caller measures. One for each core and one more, as FFmpeg would
#: have it, only waits: it costs a tenth of the decoding. A number that is the same everywhere also
#: keeps what a decoder makes of damage from depending on the machine.
THREADS = 2
#: Stamps that fall back by so many seconds start again; by less, they are out of order.
RESTART_S = 1
#: Pictures for which one may wait until it is shown (H.264 and H.265 allow no more).
MOST_HELD = 16


@dataclass(frozen=True)
class Packets:
    """One row per packet of a stream in file order; stamps in stream ticks, -2**63 if absent."""

    time_base: Fraction
    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    duration: NDArray[np.int64]
    size: NDArray[np.int64]
    position: NDArray[np.int64]
    key: NDArray[np.bool_]
    discard: NDArray[np.bool_]
    corrupt: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.size)


def video_stream(clip: Clip) -> VideoStream:
    """The clip's picture stream.

    Raises
    ------
    StreamMissing
        It has none.
    """
    stream = clip.video
    if stream is None:
        raise StreamMissing(f"{clip.name} has no picture stream", path=clip.path)
    return stream


class PacketLog:
    """Collects the packet table while a stream is demuxed."""

    def __init__(self, time_base: Fraction) -> None:
        self.time_base = time_base
        self._numbers = array("q")
        self._flags = array("b")

    def __len__(self) -> int:
        return len(self._flags)

    def add(self, packet: Any) -> int:
        absent = -(2**63)
        self._numbers.extend(
            (
                absent if packet.pts is None else packet.pts,
                absent if packet.dts is None else packet.dts,
                packet.duration or 0,
                packet.size,
                -1 if packet.pos is None else packet.pos,
            )
        )
        flags = packet.is_keyframe + 2 * packet.is_discard + 4 * packet.is_corrupt
        self._flags.append(flags)
        return len(self._flags) - 1

    def table(self) -> Packets:
        import numpy as np

        rows = np.frombuffer(self._numbers, dtype=np.int64).reshape(-1, 5)
        flags = np.array(self._flags, dtype=np.int8)
        pts, dts, duration, size, position = np.ascontiguousarray(rows.T)
        return Packets(
            self.time_base, pts, dts, duration, size, position,
            (flags & 1) > 0, (flags & 2) > 0, (flags & 4) > 0,
        )  # fmt: skip


def read_packets(
    clip: Clip, *, stream: int | None = None, progress: Progress | None = None
) -> Packets:
    """The packet table of one stream (the picture stream by default), without decoding.

    Raises
    ------
    StreamMissing, ClipUnreadable, ClipChanged
    """
    import av

    check_unchanged(clip)
    index = video_stream(clip).index if stream is None else stream
    with open_container(clip.path) as container:
        if index >= len(container.streams):
            raise StreamMissing(f"{clip.name} has no stream {index}", path=clip.path)
        source = container.streams[index]
        log = PacketLog(Fraction(source.time_base or Fraction(1, av.time_base)))
        try:
            for packet in container.demux(source):
                if packet.size:
                    log.add(packet)
                    if progress is not None and packet.pos and len(log) % 500 == 0:
                        progress(min(1.0, packet.pos / max(1, clip.size)), "reading packets")
        except av.error.FFmpegError as error:
            if not len(log):
                raise ClipUnreadable(f"{clip.name}: {error.strerror}", path=clip.path) from None
    return log.table()


class Decoder:
    """Decodes one picture stream packet by packet, counting what it cannot decode."""

    def __init__(
        self, container: Any, stream: VideoStream, threads: bool = True, keys_only: bool = False
    ) -> None:
        from av.codec.context import Flags

        self.source = container.streams[stream.index]
        self.source.thread_type = "AUTO" if threads else "NONE"
        self.context = self.source.codec_context
        if threads:
            self.context.thread_count = THREADS
        # The decoder carries each packet's row through to the frame it becomes.
        self.context.flags |= Flags.copy_opaque
        self.log = PacketLog(stream.time_base)
        self.container = container
        self.keys_only = keys_only
        self.failures: list[str] = []
        self.failed = 0
        # AVI numbers packets, not presentations: of pictures coded out of order, the demuxer's
        # stamps are anything but when each is shown.
        self.reorders = container.format.name == "avi" and bool(self.context.has_b_frames)
        self._waiting: list[int] = []
        # A bare stream carries no times: its pictures follow each other as its headers say.
        self.step = max(1, round(1 / ((stream.frame_rate or Fraction(25)) * stream.time_base)))
        self.unstamped = 0
        # Stamps that fall back start again: what follows is counted on from where it broke off.
        self.fallback = max(1, round(RESTART_S / stream.time_base))
        self.restarts: list[tuple[int, int]] = []
        self._shift = 0
        self._given = 0
        self._last: int | None = None

    def _fail(self, error: Exception) -> None:
        self.failed += 1
        if len(self.failures) < 20:
            text = getattr(error, "strerror", None) or str(error)
            self.failures.append(f"packet {len(self.log) - 1}: {text}")

    def frames(self) -> Generator[Any, None, None]:
        """All frames, in order of showing; to be closed, or left to the collector, at any time."""
        try:
            for frame in self._frames():
                frame.pts = self._stamp(frame.pts, frame.opaque)
                self._last = frame.pts
                self._given += 1
                yield frame
        finally:
            # A decoder's thread that still works asks for the interpreter when it drops a packet's
            # row; who frees the decoder meanwhile holds the interpreter and waits for that thread.
            self.context.flush_buffers()

    def _frames(self) -> Iterator[Any]:
        import av

        packets = self.container.demux(self.source)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, ValueError) as error:
                # The demuxer cannot go on: whatever follows in the file stays unseen.
                self._fail(error)
                yield from self._decode(None)
                return
            if packet.size:
                packet.opaque = self.log.add(packet)
                if packet.is_keyframe or not self.keys_only:
                    yield from self._decode(packet)
            else:
                yield from self._decode(None)

    def _stamp(self, stamp: int | None, row: object) -> int:
        """When a picture is shown: never before the one before it, in one clock for all.

        A picture without a stamp comes a step after the one before it.
        """
        last = self._last
        if stamp is None:
            self.unstamped += 1
            if self.keys_only and isinstance(row, int):
                return row * self.step
            return 0 if last is None else last + self.step
        stamp += self._shift
        if last is None or stamp >= last:
            return stamp
        if last - stamp < self.fallback:
            return last
        self.restarts.append((self._given, last + self.step - stamp))
        self._shift += last + self.step - stamp
        return last + self.step

    def seek(self, key: int) -> bool:
        """Go to the key frame with this stamp; what was begun is forgotten."""
        import av

        if self.reorders:
            # Which stamp a picture is due depends on all before it.
            return False
        try:
            self.container.seek(key, stream=self.source, backward=True)
        except av.error.FFmpegError:
            return False
        self._last = None
        return True

    def key_frame(self, key: int) -> list[Any]:
        """The key frame with this stamp, right after a seek to it; none where it is not found."""
        import av

        try:
            for packet in self.container.demux(self.source):
                if packet.pts is not None and packet.pts > key:
                    break
                if packet.size and packet.pts == key:
                    packet.opaque = self.log.add(packet)
                    return [*self._decode(packet), *self._decode(None)]
        except (av.error.FFmpegError, ValueError) as error:
            self._fail(error)
        return []

    def _decode(self, packet: Any) -> list[Any]:
        import av

        if self.reorders and packet is not None and packet.pts is not None:
            heapq.heappush(self._waiting, packet.pts)
        try:
            decoded: list[Any] = self.context.decode(packet)
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, ValueError) as error:
            self._fail(error)
            return []
        for frame in decoded if self.reorders else ():
            frame.pts = self._next_stamp(frame.pts)
        return decoded

    def _next_stamp(self, stamp: int | None) -> int | None:
        """The earliest stamp that no picture has had: the decoder gives them in order of showing.

        A packet that became no picture leaves its stamp behind; no codec holds a picture back for
        longer than `MOST_HELD` others.
        """
        while len(self._waiting) > 1 and stamp is not None and self._waiting[0] < stamp - MOST_HELD:
            heapq.heappop(self._waiting)
        return heapq.heappop(self._waiting) if self._waiting else stamp
