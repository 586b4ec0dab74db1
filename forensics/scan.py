"""The one decoder: pictures, packets (`scan_packets`), single pictures (`scan_pictures`), sound.

`scan` decodes a clip once and hands every frame to any number of detectors: a small grey view
from one reused swscale context, and the luma plane without a copy. Each detector adds a few
numbers a frame; no frame is kept, so memory does not grow with the pictures. Frames are counted
in presentation order, those that an edit list hides excluded; times are exact.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from forensics.clip import check_unchanged, open_container
from forensics.errors import ClipRefused, ClipUnreadable
from forensics.model import Clip, Progress, VideoStream
from forensics.scan_ahead import work_ahead
from forensics.scan_cache import disk_cache, forget, measurements
from forensics.scan_kept import Kept
from forensics.scan_measured import Measurements
from forensics.scan_memory import give_back
from forensics.scan_packets import Decoder, Packets, read_packets, video_stream
from forensics.scan_pictures import Picture, iter_pictures, read_pictures, read_stretch
from forensics.scan_sound import Sound, iter_sound, read_sound
from forensics.scan_threads import one_thread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Detector",
    "Kept",
    "Measurements",
    "Packets",
    "Picture",
    "Sound",
    "View",
    "disk_cache",
    "forget",
    "give_back",
    "iter_pictures",
    "iter_sound",
    "measurements",
    "one_thread",
    "read_packets",
    "read_pictures",
    "read_sound",
    "read_stretch",
    "scan",
    "video_stream",
]

GREY_WIDTH = 160
#: Pixels up to which one thread decodes, beside the one that measures: two that share small
#: pictures spend half as much again on waiting for each other.
SMALL = 500_000
#: Pixels decoded before they are measured, at most (and two to eight pictures).
AHEAD_PIXELS = 8_000_000


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
    chroma
        (2, rows, columns) uint8, Cb and Cr at the resolution they are stored in; None: no colour.
    frame
        The PyAV frame, for a second look.
    """

    __slots__ = (
        "_grey", "_luma", "_shrink", "frame", "key", "ordinal", "packet", "picture_type", "pts",
    )  # fmt: skip

    frame: Any
    key: bool
    ordinal: int
    packet: int
    picture_type: int
    pts: int
    _grey: NDArray[np.uint8] | None
    _luma: NDArray[np.uint8] | None
    _shrink: Callable[[Any], NDArray[np.uint8]]

    @property
    def grey(self) -> NDArray[np.uint8]:
        """The small view; see the class."""
        if self._grey is None:
            self._grey = self._shrink(self.frame)
        return self._grey

    @property
    def luma(self) -> NDArray[np.uint8]:
        """The luma plane; see the class."""
        if self._luma is None:
            self._luma = _luma_plane(self.frame)
        return self._luma

    @property
    def chroma(self) -> NDArray[np.uint8] | None:
        """The planes of colour; see the class."""
        return _chroma_planes(self.frame)


class Detector(Protocol):
    """Measures one row of numbers a frame; keeps whatever look-back it needs by itself.

    A detector may also have ``afresh()``, another one like it that has measured nothing (several
    threads may then decode for it), ``finish() -> None``, called after the last frame, ``late()``,
    columns known only afterwards (a second look needs what follows), and ``planes()``, small
    pictures or grids it kept of every frame as one array of n rows.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the numbers, unique in a scan."""
        ...

    def measure(self, view: View) -> Sequence[float]:
        """The numbers for one frame, in the order of `columns`."""
        ...


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


def _chroma_planes(frame: Any) -> NDArray[np.uint8] | None:
    import numpy as np

    if frame.format.name.startswith("gray"):
        return None
    bits = frame.format.components[0].bits
    if not frame.format.name.startswith(("yuv4", "yuvj4")) or not 8 <= bits <= 16:
        frame, bits = frame.reformat(format="yuv444p"), 8
    planes = []
    for plane in frame.planes[1:3]:
        kind = np.uint8 if bits == 8 else np.uint16
        stored = np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]
        planes.append((stored >> (bits - 8)).astype(np.uint8))
    return np.stack(planes)


def _reformatter(stream: VideoStream) -> Callable[[Any], NDArray[np.uint8]]:
    import numpy as np
    from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

    reformatter = VideoReformatter()
    width = min(GREY_WIDTH, stream.width)
    height = max(2, 2 * round(stream.height * width / max(1, stream.width) / 2))

    def grey(frame: Any) -> NDArray[np.uint8]:
        # Left to the frame's own tag, swscale takes BT.709 through RGB to another grey: a copy that
        # lost the tag would not look like its original, at five times the cost.
        table = None if frame.format.is_rgb else Colorspace.ITU601
        small: Any = reformatter.reformat(
            frame, width=width, height=height, format="gray", src_colorspace=table,
            dst_colorspace=table, interpolation=Interpolation.FAST_BILINEAR, threads=1,
        )  # fmt: skip
        plane = small.planes[0]
        return np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width]

    return grey


def scan(
    clip: Clip, detectors: Sequence[Detector], *, max_frames: int = 50_000_000,
    keys_only: bool = False, progress: Progress | None = None,
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
    keys_only
        Decode key frames alone. Rows are then key frames; `View.ordinal` still counts all frames
        by the packets' stamps, and the measurements have a column ``ordinal``.
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
    corruption): `decode_failures` counts what it refused, `repaired` marks what it says it filled
    in; pictures built on these are not marked. What several threads conceal differs from one time
    to the next: at the first damage the scan begins again with one.
    """
    check_unchanged(clip)
    stream = video_stream(clip)
    afresh = [make for d in detectors if (make := getattr(d, "afresh", None)) is not None]
    several = stream.width * stream.height > SMALL and not keys_only
    if several and len(afresh) == len(detectors):
        with contextlib.suppress(_Damaged):
            return _scan(clip, stream, detectors, max_frames, keys_only, progress, several=True)
        detectors = [make() for make in afresh]
    return _scan(clip, stream, detectors, max_frames, keys_only, progress, several=False)


class _Damaged(Exception):
    """Several threads decode, and the clip is damaged."""


def _scan(
    clip: Clip, stream: VideoStream, detectors: Sequence[Detector], max_frames: int,
    keys_only: bool, progress: Progress | None, *, several: bool,
) -> Measurements:  # fmt: skip
    import gc

    import numpy as np

    names = [name for detector in detectors for name in detector.columns]
    if len(set(names)) != len(names):
        raise ValueError(f"two detectors measure the same column: {sorted(names)}")
    rows, stamps = array("d"), array("q")
    sizes: list[tuple[int, int, int]] = []
    view = View()
    measures = [detector.measure for detector in detectors]
    length = float(clip.duration or stream.duration or 0) or None
    with open_container(clip.path) as container:
        decoder = Decoder(container, stream, threads=several, keys_only=keys_only)
        view._shrink = _reformatter(stream)
        last = (0, 0)
        most = min(8, max(2, AHEAD_PIXELS // max(1, stream.width * stream.height)))
        with contextlib.closing(work_ahead(decoder.frames(), most)) as frames:
            for ordinal, frame in enumerate(frames):
                if ordinal >= max_frames:
                    text = f"{clip.name} has more than {max_frames} frames"
                    raise ClipRefused(text, path=clip.path)
                if several and (frame.is_corrupt or decoder.failed):
                    raise _Damaged
                pts, row = frame.pts, frame.opaque
                view.frame, view.ordinal, view.pts = frame, ordinal, pts
                view._grey = view._luma = None
                view.key, view.picture_type = bool(frame.key_frame), int(frame.pict_type)
                view.packet = row if isinstance(row, int) else -1
                stamps.extend((pts, view.picture_type, view.key, view.packet, frame.is_corrupt))
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
        log, failed, failures = decoder.log, decoder.failed, decoder.failures
        unstamped, restarts = decoder.unstamped, tuple(decoder.restarts)
        if several and failed:
            raise _Damaged
    # The decoder's own pictures go before the tables are made: at 1080p they are half of all.
    frame = view.frame = view._grey = view._luma = None
    del decoder
    give_back()
    for detector in detectors:
        if (finish := getattr(detector, "finish", None)) is not None:
            finish()
    table = np.array(stamps, dtype=np.int64).reshape(-1, 5)
    if not len(table):
        raise ClipUnreadable(
            f"not one frame of {clip.name} could be decoded", path=clip.path,
            hint=failures[0] if failures else "the stream is empty",
        )  # fmt: skip
    del stamps
    values = np.frombuffer(rows, dtype=np.float64).reshape(len(table), len(names))
    columns = {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(names)}
    # Of a long recording each of these is tens of megabytes: one goes before the next comes.
    del values, rows
    packets = log.table()
    del log
    planes: dict[str, NDArray[Any]] = {}
    for detector in detectors:
        columns |= detector.late() if hasattr(detector, "late") else {}
        planes |= detector.planes() if hasattr(detector, "planes") else {}
    give_back()
    if keys_only:
        columns["ordinal"] = _ordinals(table[:, 0], packets, table[:, 3], bool(restarts))
    check_unchanged(clip)
    return Measurements(
        clip=clip.digest, stream=stream, pts=table[:, 0].copy(),
        picture_type=table[:, 1].astype(np.uint8), key=table[:, 2] > 0,
        packet=table[:, 3].copy(), packets=packets, columns=columns, planes=planes,
        decode_failures=failed, sizes=tuple(sizes), failures=tuple(failures),
        unstamped=unstamped, restarts=restarts, repaired=table[:, 4] > 0,
    )  # fmt: skip


def _ordinals(
    pts: NDArray[np.int64], packets: Packets, rows: NDArray[np.int64], restarts: bool
) -> NDArray[np.float64]:
    # Without decoding, a frame's place is its rank among the stamps that are presented; of a
    # stream that has none, or begins them anew, its packet's.
    import numpy as np

    if restarts or (packets.pts == -(2**63)).all():
        return rows.astype(np.float64)
    shown = np.sort(packets.pts[~packets.discard])
    return np.searchsorted(shown, pts).astype(np.float64)
