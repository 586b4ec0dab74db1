"""The one decoder: pictures, packets, and (in `scan_sound`) sound.

`scan` decodes a clip once and hands every frame to any number of detectors: a small grey view
from one reused swscale context, and the luma plane without a copy. Each detector adds a few
numbers a frame; no frame is kept, so memory does not grow with the pictures. Frames are counted
in presentation order, those that an edit list hides excluded; times are exact.
"""

from __future__ import annotations

import bisect
import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from forensics.clip import check_unchanged, open_container
from forensics.errors import ClipRefused, ClipUnreadable, StreamMissing
from forensics.model import Clip, Coverage, Progress, Span, VideoStream
from forensics.scan_sound import Sound, iter_sound, read_sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Detector",
    "Measurements",
    "Packets",
    "Picture",
    "Sound",
    "View",
    "iter_pictures",
    "iter_sound",
    "read_packets",
    "read_pictures",
    "read_sound",
    "scan",
    "video_stream",
]

GREY_WIDTH = 160


class View:
    """What a detector sees of one frame. Valid only during the call: buffers are reused.

    Attributes
    ----------
    ordinal, pts
        Position in presentation order from 0, and presentation time stamp in stream ticks.
    key, picture_type
        Key frame or not; 1 I, 2 P, 3 B.
    packet
        Row of `Packets` this frame was decoded from, or -1.
    grey
        (h, w) uint8, 160 pixels wide, as coded (not rotated).
    luma
        (height, width) uint8, the decoded plane itself: read it, never write it.
    frame
        The PyAV frame, for a second look.
    """

    __slots__ = ("_luma", "frame", "grey", "key", "ordinal", "packet", "picture_type", "pts")

    frame: Any
    grey: NDArray[np.uint8]
    key: bool
    ordinal: int
    packet: int
    picture_type: int
    pts: int
    _luma: NDArray[np.uint8] | None

    @property
    def luma(self) -> NDArray[np.uint8]:
        """The luma plane; see the class."""
        if self._luma is None:
            self._luma = _luma_plane(self.frame)
        return self._luma


class Detector(Protocol):
    """Measures one row of numbers a frame; keeps whatever look-back it needs by itself."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the numbers, unique in a scan."""
        ...

    def measure(self, view: View) -> Sequence[float]:
        """The numbers for one frame, in the order of `columns`."""
        ...


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


@dataclass(frozen=True)
class Measurements:
    """One row per frame in presentation order, from one decode.

    `columns` maps a detector's column to a float64 array of that length; `decode_failures` counts
    packets the decoder refused, `sizes` lists (ordinal, width, height) where the size changes.
    """

    clip: str
    stream: VideoStream
    pts: NDArray[np.int64]
    picture_type: NDArray[np.uint8]
    key: NDArray[np.bool_]
    packet: NDArray[np.int64]
    packets: Packets
    columns: dict[str, NDArray[np.float64]]
    decode_failures: int
    sizes: tuple[tuple[int, int, int], ...]
    failures: tuple[str, ...] = field(default=())

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


@dataclass(frozen=True)
class Picture:
    """One decoded frame. `rgb` is (H, W, 3) uint8, upright: rotation metadata is applied.

    `pixel_hash` is the SHA-256 of the decoded planes without padding, in the stream's own pixel
    format and orientation: the value ``ffmpeg -noautorotate -f framehash -hash sha256`` prints.
    """

    ordinal: int
    pts: Fraction
    rgb: NDArray[np.uint8]
    pixel_hash: str
    byte_position: int | None
    key: bool


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


def _luma_plane(frame: Any) -> NDArray[np.uint8]:
    import numpy as np

    bits = frame.format.components[0].bits
    if frame.format.name.startswith(("yuv", "nv", "gray")) and bits <= 16:
        plane = frame.planes[0]
        if bits == 8 and "yuyv" not in frame.format.name:
            return np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width]
        if bits > 8:
            deep = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width]
            shifted: NDArray[np.uint8] = (deep >> (bits - 8)).astype(np.uint8)
            return shifted
    grey: NDArray[np.uint8] = frame.reformat(format="gray").to_ndarray()
    return grey


class _PacketLog:
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

        rows = np.array(self._numbers, dtype=np.int64).reshape(-1, 5)
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
        log = _PacketLog(Fraction(source.time_base or Fraction(1, av.time_base)))
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


class _Decoder:
    """Decodes one picture stream packet by packet, counting what it cannot decode."""

    def __init__(self, container: Any, stream: VideoStream, threads: bool = True) -> None:
        from av.codec.context import Flags

        self.source = container.streams[stream.index]
        self.source.thread_type = "AUTO" if threads else "NONE"
        self.context = self.source.codec_context
        # The decoder carries each packet's row through to the frame it becomes.
        self.context.flags |= Flags.copy_opaque
        self.log = _PacketLog(stream.time_base)
        self.container = container
        self.failures: list[str] = []
        self.failed = 0

    def _fail(self, error: Exception) -> None:
        self.failed += 1
        if len(self.failures) < 20:
            text = getattr(error, "strerror", None) or str(error)
            self.failures.append(f"packet {len(self.log) - 1}: {text}")

    def frames(self) -> Iterator[Any]:
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
                yield from self._decode(packet)
            else:
                yield from self._decode(None)

    def _decode(self, packet: Any) -> list[Any]:
        import av

        try:
            decoded: list[Any] = self.context.decode(packet)
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, ValueError) as error:
            self._fail(error)
            return []
        return decoded


def _reformatter(stream: VideoStream) -> Callable[[Any], NDArray[np.uint8]]:
    import numpy as np
    from av.video.reformatter import Interpolation, VideoReformatter

    reformatter = VideoReformatter()
    width = min(GREY_WIDTH, stream.width)
    height = max(2, 2 * round(stream.height * width / max(1, stream.width) / 2))

    def grey(frame: Any) -> NDArray[np.uint8]:
        small: Any = reformatter.reformat(
            frame, width=width, height=height, format="gray",
            interpolation=Interpolation.FAST_BILINEAR, threads=1,
        )  # fmt: skip
        plane = small.planes[0]
        return np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width]

    return grey


def scan(
    clip: Clip, detectors: Sequence[Detector], *, max_frames: int = 50_000_000,
    progress: Progress | None = None,
) -> Measurements:  # fmt: skip
    """Decode the picture stream once and let every detector measure every frame.

    Parameters
    ----------
    clip
        An opened clip.
    detectors
        Any number of detectors; their column names must differ.
    max_frames
        Refuse to go on beyond this many frames.
    progress
        Called with (fraction, text).

    Returns
    -------
    Measurements

    Raises
    ------
    StreamMissing
        No picture stream.
    ClipUnreadable
        Not one frame could be decoded.
    ClipRefused
        More than `max_frames` frames.
    ClipChanged
        The file is not the one that was hashed.

    When it errs
    ------------
    A damaged stretch is concealed by the decoder as well as it can (ASTM E3016: inaccuracy,
    corruption): `decode_failures` counts what it refused, not what it repaired.
    """
    import gc

    import numpy as np

    check_unchanged(clip)
    stream = video_stream(clip)
    names = [name for detector in detectors for name in detector.columns]
    if len(set(names)) != len(names):
        raise ValueError(f"two detectors measure the same column: {sorted(names)}")
    rows, stamps = array("d"), array("q")
    sizes: list[tuple[int, int, int]] = []
    view = View()
    measures = [detector.measure for detector in detectors]
    length = float(clip.duration or stream.duration or 0) or None
    with open_container(clip.path) as container:
        decoder = _Decoder(container, stream)
        grey = _reformatter(stream)
        last = (0, 0)
        step = 1
        pts = 0
        for ordinal, frame in enumerate(decoder.frames()):
            if ordinal >= max_frames:
                raise ClipRefused(f"{clip.name} has more than {max_frames} frames", path=clip.path)
            # A frame without a stamp follows the one before it, as players assume.
            pts = frame.pts if frame.pts is not None else pts + step
            row = frame.opaque
            view.frame, view._luma, view.ordinal, view.pts = frame, None, ordinal, pts
            view.key, view.picture_type = bool(frame.key_frame), int(frame.pict_type)
            view.packet = row if isinstance(row, int) else -1
            view.grey = grey(frame)
            stamps.extend((pts, view.picture_type, view.key, view.packet))
            for measure in measures:
                rows.extend(measure(view))
            if (frame.width, frame.height) != last:
                last = (frame.width, frame.height)
                sizes.append((ordinal, *last))
            if ordinal % 50 == 49:
                # Side data forms reference cycles; left alone they cost hundreds of megabytes.
                gc.collect(0)
                if progress is not None and length:
                    done = float(pts * stream.time_base) / length
                    progress(min(1.0, max(0.0, done)), "decoding")
    table = np.array(stamps, dtype=np.int64).reshape(-1, 4)
    if not len(table):
        raise ClipUnreadable(
            f"not one frame of {clip.name} could be decoded", path=clip.path,
            hint=decoder.failures[0] if decoder.failures else "the stream is empty",
        )  # fmt: skip
    values = np.array(rows, dtype=np.float64).reshape(len(table), len(names))
    check_unchanged(clip)
    return Measurements(
        clip=clip.digest, stream=stream, pts=table[:, 0].copy(),
        picture_type=table[:, 1].astype(np.uint8), key=table[:, 2] > 0,
        packet=table[:, 3].copy(), packets=decoder.log.table(),
        columns={name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(names)},
        decode_failures=decoder.failed, sizes=tuple(sizes), failures=tuple(decoder.failures),
    )  # fmt: skip


def _pixel_hash(frame: Any) -> str:
    import numpy as np

    digest = hashlib.sha256()
    single = len(frame.planes) == 1
    sample = (max(part.bits for part in frame.format.components) + 7) // 8
    for number, plane in enumerate(frame.planes):
        if single:
            width = (plane.width * frame.format.padded_bits_per_pixel + 7) // 8
        else:
            paired = frame.format.name.startswith(("nv", "p0")) and number == 1
            width = plane.width * sample * (2 if paired else 1)
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
        digest.update(rows[:, :width].tobytes())
    return digest.hexdigest()


def _picture(frame: Any, ordinal: int, stream: VideoStream, log: _PacketLog, start: int) -> Picture:
    import numpy as np

    rgb = frame.to_ndarray(format="rgb24")
    row = frame.opaque
    where = log._numbers[row * 5 + 4] if isinstance(row, int) and row >= 0 else -1
    return Picture(
        ordinal=ordinal, pts=start * stream.time_base,
        rgb=np.ascontiguousarray(np.rot90(rgb, -stream.rotation // 90)),
        pixel_hash=_pixel_hash(frame), byte_position=where if where >= 0 else None,
        key=bool(frame.key_frame),
    )  # fmt: skip


def iter_pictures(
    clip: Clip, *, every_s: float = 0.0, span: Span | None = None, edit_lists: bool = True,
    progress: Progress | None = None,
) -> Iterator[Picture]:  # fmt: skip
    """Decode from the start and yield upright RGB pictures, one at a time.

    Parameters
    ----------
    clip
        An opened clip.
    every_s
        Least number of seconds between two pictures; 0 yields every frame.
    span
        Only pictures presented inside it.
    edit_lists
        False: all pictures that are stored, on the clock of the media; what an edit list hides is
        among them.
    progress
        Called with (fraction, text).

    Raises
    ------
    StreamMissing, ClipUnreadable, ClipChanged
    """
    check_unchanged(clip)
    stream = video_stream(clip)
    length = float(clip.duration or stream.duration or 0) or None
    due: Fraction | None = None
    with open_container(clip.path, edit_lists=edit_lists) as container:
        decoder = _Decoder(container, stream)
        pts = 0
        for ordinal, frame in enumerate(decoder.frames()):
            pts = frame.pts if frame.pts is not None else pts + 1
            time = pts * stream.time_base
            if span is not None and time > span.end:
                return
            if (span is None or time >= span.start) and (due is None or time >= due):
                due = time + Fraction(round(every_s * 1_000_000), 1_000_000)
                if progress is not None and length:
                    progress(min(1.0, max(0.0, float(time) / length)), "decoding")
                yield _picture(frame, ordinal, stream, decoder.log, pts)


def read_pictures(
    clip: Clip, frames: Sequence[tuple[int, int]], *, progress: Progress | None = None
) -> list[Picture]:
    """The exact frames named by (ordinal, pts in ticks), upright RGB, in the order asked for.

    Decoding starts at the last key frame that is presented no later than the frame wanted, so the
    picture is the one a decode from the start would give.

    Raises
    ------
    StreamMissing
        No picture stream.
    ClipUnreadable
        A frame asked for is not there.
    """
    check_unchanged(clip)
    stream = video_stream(clip)
    wanted = {pts: ordinal for ordinal, pts in frames}
    packets = read_packets(clip)
    keys = sorted(int(p) for p in packets.pts[packets.key] if p != -(2**63))
    groups: dict[int | None, list[int]] = {}
    for pts in sorted(wanted):
        at = bisect.bisect_right(keys, pts)
        groups.setdefault(keys[at - 1] if at else None, []).append(pts)
    found: dict[int, Picture] = {}
    for key, targets in groups.items():
        _collect(clip, stream, key, targets, wanted, found)
        if progress is not None:
            progress(len(found) / max(1, len(wanted)), "reading pictures")
    missing = sorted(set(wanted) - set(found))
    if missing:
        # Seeking is a service of the container, and some have none: one pass from the start.
        _collect(clip, stream, None, missing, wanted, found)
    lost = [wanted[pts] for pts in missing if pts not in found]
    if lost:
        raise ClipUnreadable(f"frame {lost[0]} of {clip.name} cannot be decoded", path=clip.path)
    return [found[pts] for _, pts in frames]


def _collect(
    clip: Clip, stream: VideoStream, key: int | None, targets: Sequence[int],
    ordinals: dict[int, int], found: dict[int, Picture],
) -> None:  # fmt: skip
    import av

    with open_container(clip.path) as container:
        decoder = _Decoder(container, stream)
        if key is not None:
            try:
                container.seek(key, stream=decoder.source, backward=True)
            except av.error.FFmpegError:
                return
        pending = set(targets)
        started = key is None
        for frame in decoder.frames():
            # What a seek leaves in front of the key frame may refer to pictures never read.
            started = started or frame.pts == key
            if started and frame.pts in pending:
                pending.discard(frame.pts)
                ordinal = ordinals[frame.pts]
                found[frame.pts] = _picture(frame, ordinal, stream, decoder.log, frame.pts)
            if not pending:
                return
