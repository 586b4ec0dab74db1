"""Decode chosen pictures: upright RGB, exact times, and the hash another decoder would give."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics.clip import check_unchanged, open_container
from forensics.errors import ClipUnreadable
from forensics.model import Clip, Progress, Span, VideoStream
from forensics.scan_packets import Decoder, PacketLog, Packets, read_packets, video_stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Picture", "iter_pictures", "read_pictures", "read_stretch"]


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


def _picture(frame: Any, ordinal: int, stream: VideoStream, log: PacketLog, start: int) -> Picture:
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
    only: Collection[int] | None = None, progress: Progress | None = None,
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
    only
        Only pictures with these stamps, in ticks; converting the others is what costs.
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
        decoder = Decoder(container, stream)
        for ordinal, frame in enumerate(decoder.frames()):
            pts = frame.pts
            time = pts * stream.time_base
            if span is not None and time > span.end:
                return
            if only is not None and pts not in only:
                continue
            if (span is None or time >= span.start) and (due is None or time >= due):
                due = time + Fraction(round(every_s * 1_000_000), 1_000_000)
                if progress is not None and length:
                    progress(min(1.0, max(0.0, float(time) / length)), "decoding")
                yield _picture(frame, ordinal, stream, decoder.log, pts)


def read_pictures(
    clip: Clip, frames: Sequence[tuple[int, int]], *, packets: Packets | None = None,
    progress: Progress | None = None,
) -> list[Picture]:  # fmt: skip
    """The exact frames named by (ordinal, pts in ticks), upright RGB, in the order asked for.

    Decoding starts at the last key frame that is presented no later than the frame wanted, so the
    picture is the one a decode from the start would give. `packets` of this clip, where they were
    read before, spare reading them again.

    Raises
    ------
    StreamMissing
        No picture stream.
    ClipUnreadable
        A frame asked for is not there.
    """
    check_unchanged(clip)
    stream = video_stream(clip)
    stamps = dict(frames)
    packets = packets or read_packets(clip)
    groups: dict[int | None, dict[int, int]] = {}
    keys = sorted(int(p) for p in packets.pts[packets.key] if p != -(2**63))
    for ordinal, pts in stamps.items() if _plain(packets) else ():
        at = bisect.bisect_right(keys, pts)
        groups.setdefault(keys[at - 1] if at else None, {})[pts] = ordinal
    found: dict[int, Picture] = {}
    # Threads that read ahead are of no use where nothing but key frames is wanted, and what several
    # conceal of a damaged clip differs from one time to the next.
    alone = all(set(targets) == {key} for key, targets in groups.items())
    for several in (False,) if alone else (True, False):
        whole = True
        found.clear()
        with open_container(clip.path) as container:
            decoder = Decoder(container, stream, threads=several)
            for key, targets in groups.items():
                if key is not None:
                    whole &= _collect(decoder, stream, key, targets, found)
                if several and (decoder.failed or not whole):
                    break
                if progress is not None:
                    progress(len(found) / max(1, len(stamps)), "reading pictures")
            else:
                break
    missing = set(stamps) - set(found)
    if missing:
        # Seeking is a service of the container, and some have none; a stamp may stand twice.
        with open_container(clip.path) as container:
            _count(Decoder(container, stream, threads=False), stream, missing, found)
    lost = sorted(missing - set(found))
    if lost:
        raise ClipUnreadable(f"frame {lost[0]} of {clip.name} cannot be decoded", path=clip.path)
    return [found[ordinal] for ordinal, _ in frames]


def _plain(packets: Packets) -> bool:
    """Whether a stamp names one picture: none stands twice, and the clock never starts again."""
    import numpy as np

    known = packets.pts[~packets.discard & (packets.pts != -(2**63))]
    order = packets.dts[packets.dts != -(2**63)]
    return len(np.unique(known)) == len(known) and not bool((np.diff(order) < 0).any())


def _count(
    decoder: Decoder, stream: VideoStream, wanted: Collection[int], found: dict[int, Picture]
) -> None:
    """Decode from the start and take the pictures with these ordinals."""
    last = max(wanted)
    for ordinal, frame in enumerate(decoder.frames()):
        if ordinal in wanted:
            found[ordinal] = _picture(frame, ordinal, stream, decoder.log, frame.pts)
        if ordinal >= last:
            return


def _collect(
    decoder: Decoder, stream: VideoStream, key: int, targets: dict[int, int],
    found: dict[int, Picture],
) -> bool:  # fmt: skip
    """Add the pictures wanted to those found; whether none on the way was damaged."""
    if not decoder.seek(key):
        return True
    pending = dict(targets)
    started, whole = False, True
    frames: Iterable[Any] = decoder.frames()
    if set(targets) == {key}:
        # A key frame needs no other, and need not wait for those that follow it; of fields, which
        # may come one by one, the second is among these.
        alone = decoder.key_frame(key)
        if alone and not any(frame.interlaced_frame for frame in alone):
            frames = alone
        else:
            decoder.seek(key)
    for frame in frames:
        # What a seek leaves in front of the key frame may refer to pictures never read.
        started = started or frame.pts == key
        whole &= not (started and frame.is_corrupt)
        if started and frame.pts in pending:
            ordinal = pending.pop(frame.pts)
            found[ordinal] = _picture(frame, ordinal, stream, decoder.log, frame.pts)
        if not pending:
            break
    return whole


def read_stretch(
    clip: Clip, first: int, last: int, *, width_px: int | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:  # fmt: skip
    """Frames `first` to `last` (the last left out) as one array, to make test material from.

    Parameters
    ----------
    clip
        An opened clip.
    first, last
        Ordinals in presentation order.
    width_px
        Scale down to this width (even, area average); the stream's own size by default.
    progress
        Called with (fraction, text).

    Returns
    -------
    tuple of ndarray
        (n, height * 3 / 2, width) uint8: planes Y, U, V of 4:2:0 one below the other; and the
        (n,) time stamps in stream ticks.

    Raises
    ------
    StreamMissing, ClipUnreadable, ClipChanged
    """
    import numpy as np
    from av.video.reformatter import Interpolation, VideoReformatter

    check_unchanged(clip)
    stream = video_stream(clip)
    width = min(width_px or stream.width, stream.width) // 2 * 2
    height = max(2, round(stream.height * width / stream.width / 2) * 2)
    rows, stamps = [], []
    scaler = VideoReformatter()
    with open_container(clip.path) as container:
        decoder = Decoder(container, stream)
        for ordinal, frame in enumerate(decoder.frames()):
            if ordinal >= last:
                break
            if ordinal >= first:
                small = scaler.reformat(
                    frame, width=width, height=height, format="yuv420p",
                    interpolation=Interpolation.AREA, threads=1,
                )  # fmt: skip
                rows.append(small.to_ndarray())
                stamps.append(frame.pts)
            if progress is not None and ordinal % 100 == 0:
                progress(min(1.0, ordinal / max(1, last)), "reading frames")
    if not rows:
        raise ClipUnreadable(f"{clip.name} has no frame {first}", path=clip.path)
    return np.stack(rows), np.array(stamps, dtype=np.int64)
