"""Open and probe one untrusted file: digest, streams, metadata, safety limits.

Nothing is decoded beyond the first picture's headers, nothing is written to or beside the file,
and no protocol but ``file`` is followed: playlists and references inside a file lead nowhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics import boxes
from forensics.errors import (
    ClipChanged,
    ClipNotFound,
    ClipRefused,
    ClipUnreadable,
    ToolError,
    printable,
)
from forensics.model import (
    AudioStream,
    Clip,
    Container,
    EditListEntry,
    OtherStream,
    Progress,
    Stream,
    Value,
    VideoStream,
)
from forensics.tools import find_tool, read_metadata

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["Limits", "check_unchanged", "hash_file", "open_clip", "open_container"]

#: Formats that describe other files or devices instead of holding media are not among these.
_FORMATS = ",".join(
    """mov mp4 m4a 3gp 3g2 mj2 matroska webm avi mpegts mpeg mpegvideo flv asf wav mp3 aac flac ogg
    amr aiff au caf h264 hevc m4v gif apng mxf dv ivf w64 rm nut wtv obu av1 ac3 eac3 loas vc1
    mjpeg dhav 4xm bink smk nsv yuv4mpegpipe image2 png_pipe jpeg_pipe""".split()
)


class Limits(Value, frozen=True):
    """What a file may ask for before it is refused. The defaults fit any phone or CCTV export."""

    pixels: int = 8192 * 8192
    duration_s: float = 48 * 3600.0
    streams: int = 64
    channels: int = 64
    size_bytes: int = 1 << 42


def hash_file(path: Path, *, progress: Progress | None = None) -> str:
    """SHA-256 (hex) of a file, read in chunks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        total = max(1, os.fstat(file.fileno()).st_size)
        while chunk := file.read(1 << 22):
            digest.update(chunk)
            if progress is not None:
                progress(min(1.0, file.tell() / total), "hashing")
    return digest.hexdigest()


@contextlib.contextmanager
def open_container(
    path: Path, *, edit_lists: bool = True, **options: Any
) -> Iterator[InputContainer]:
    """The demuxer on one local file, unable to open anything else.

    Without `edit_lists` an MP4 is read as it is stored, with what its edit list hides.

    Raises
    ------
    ClipUnreadable
        It is not media, or is too damaged to begin with.
    """
    import av

    av.logging.set_level(None)
    try:
        # Through a file object there is no name to misread and no protocol to follow.
        file = open(path, "rb")  # noqa: SIM115 - closed below, after the demuxer
    except OSError as error:
        raise ClipNotFound(f"cannot read {printable(path)}: {error.strerror}", path=path) from None
    try:
        container = av.open(
            file, mode="r", metadata_errors="replace", options={
                "protocol_whitelist": "file", "format_whitelist": _FORMATS,
                "enable_drefs": "0", "use_absolute_path": "0",
                **({} if edit_lists else {"ignore_editlist": "1"}),
            }, **options,
        )  # fmt: skip
    except (av.error.FFmpegError, ValueError, OSError) as error:
        file.close()
        why = getattr(error, "strerror", None) or error
        raise ClipUnreadable(
            f"{printable(path)} cannot be opened as media: {why}", path=path,
             hint="is it complete, and a recording? Playlists are refused on purpose",
        ) from None  # fmt: skip
    try:
        yield container
    finally:
        container.close()
        file.close()


def check_unchanged(clip: Clip) -> None:
    """Make sure the file still has the size and modification time it was hashed with.

    Raises
    ------
    ClipNotFound, ClipChanged
    """
    try:
        found = os.stat(clip.path)
    except OSError as error:
        raise ClipNotFound(f"{clip.name} is gone: {error.strerror}", path=clip.path) from None
    if (found.st_size, found.st_mtime_ns) != (clip.size, clip.modified_ns):
        raise ClipChanged(
            f"{clip.name} changed after it was hashed", path=clip.path,
            hint="work on a read-only copy and open it again",
        )  # fmt: skip


def _exact(value: int | None, base: Fraction | None) -> Fraction | None:
    return None if value is None or base is None else value * Fraction(base)


def _tracks(path: Path, size: int) -> list[tuple[tuple[EditListEntry, ...], int]]:
    with open(path, "rb") as file:
        roots, _ = boxes.read_boxes(file, size)
        edits = [
            tuple(EditListEntry(length, start, rate) for length, start, rate in track)
            for track in boxes.read_edits(file, roots)
        ]
        return list(zip(edits, boxes.read_rotations(file, roots), strict=True))


def _streams(
    container: InputContainer, tracks: list[tuple[tuple[EditListEntry, ...], int]],
    limits: Limits, path: Path,
) -> tuple[Stream, ...]:  # fmt: skip
    found: list[Stream] = []
    for stream in container.streams:
        base = Fraction(stream.time_base) if stream.time_base else None
        tags = {str(k): str(v) for k, v in stream.metadata.items()}
        edit_list, rotation = tracks[stream.index] if stream.index < len(tracks) else ((), 0)
        context: Any = stream.codec_context
        codec = context.name if context is not None else "unknown"
        start, duration = _exact(stream.start_time, base), _exact(stream.duration, base)
        if stream.type == "video" and context is not None and base is not None:
            if context.width * context.height > limits.pixels:
                raise ClipRefused(
                    f"{printable(path.name)} claims {context.width}x{context.height} pixels",
                    path=path, hint="raise Limits.pixels if this is expected",
                )  # fmt: skip
            # A bare stream has no times; what FFmpeg then calls the average is its own default.
            bare = stream.start_time is None and stream.duration is None
            rate = (stream.guessed_rate if bare else None) or stream.average_rate
            found.append(
                VideoStream(
                    index=stream.index, codec=codec, time_base=base, start=start,
                    duration=duration, width=context.width, height=context.height,
                    frame_rate=Fraction(rate) if rate else None, rotation=rotation,
                    pixel_format=context.pix_fmt or "", profile=context.profile or "",
                    frames_declared=stream.frames, edit_list=edit_list, tags=tags,
                )
            )  # fmt: skip
        elif stream.type == "audio" and context is not None and base is not None:
            if context.channels > limits.channels:
                raise ClipRefused(f"{context.channels} sound channels", path=path)
            found.append(
                AudioStream(
                    index=stream.index, codec=codec, time_base=base, start=start,
                    duration=duration, sample_rate=context.sample_rate or 0,
                    channels=context.channels, profile=context.profile or "",
                    edit_list=edit_list, tags=tags,
                )
            )  # fmt: skip
        else:
            found.append(OtherStream(stream.index, stream.type or "unknown", codec, tags))
    return tuple(found)


def _metadata(path: Path) -> tuple[dict[str, str], str, dict[str, str]]:
    try:
        tool = find_tool("exiftool")
        tags = read_metadata([path])[0]
    except ToolError as error:
        advice = f"; {error.hint}" if error.hint else ""
        return {}, f"{error.message}{advice}", {}
    return tags, f"read by exiftool {tool.version}", {"exiftool": f"{tool.version} {tool.digest}"}


def open_clip(
    path: str | os.PathLike[str], *, metadata: bool = True, limits: Limits | None = None,
    progress: Progress | None = None,
) -> Clip:  # fmt: skip
    """Open one file read-only: hash it, list its streams, read its metadata.

    Parameters
    ----------
    path
        A regular file, or a link to one. Its name is never shown to another program.
    metadata
        Ask exiftool, where it is installed; otherwise the reason stands in `metadata_status`.
    limits
        Safety limits on pixels, duration, streams; see `Limits`.
    progress
        Called with (fraction, text) while hashing.

    Returns
    -------
    Clip

    Raises
    ------
    ClipNotFound
        No such regular file.
    ClipUnreadable
        Not media, or damaged beyond its headers.
    ClipRefused
        Over a safety limit.
    ClipChanged
        The file changed while it was being read.

    When it errs
    ------------
    Durations and frame rates are what the file declares (ASTM E3016: inaccuracy, existence); only
    a scan counts frames. Metadata can be written by anybody and never supports a finding alone.
    """
    import av

    limits = limits or Limits()
    place = Path(path)
    try:
        before = os.stat(place)
    except OSError as error:
        raise ClipNotFound(
            f"no such file: {printable(place)} ({error.strerror})", path=place,
            hint="nothing was read: check the name, and the folder you are in",
        ) from None
    if not stat.S_ISREG(before.st_mode):
        raise ClipNotFound(f"{printable(place)} is not a regular file", path=place)
    if before.st_size == 0:
        raise ClipUnreadable(
            f"{printable(place)} is empty", path=place,
            hint="nothing was written into it: copy it again from where it came",
        )  # fmt: skip
    if before.st_size > limits.size_bytes:
        raise ClipRefused(f"{printable(place)} has {before.st_size} bytes", path=place)
    try:
        digest = hash_file(place, progress=progress)
    except OSError as error:
        why = error.strerror
        raise ClipNotFound(f"cannot read {printable(place)}: {why}", path=place) from None
    with open_container(place) as container:
        if len(container.streams) > limits.streams:
            raise ClipRefused(
                f"{printable(place.name)} has {len(container.streams)} streams", path=place,
                hint="raise Limits.streams if this is expected",
            )  # fmt: skip
        wrapper = container.format.name
        tracks = _tracks(place, before.st_size) if "mov" in wrapper.split(",") else []
        streams = _streams(container, tracks, limits, place)
        duration = _exact(container.duration, Fraction(1, av.time_base))
        if duration is not None and duration > limits.duration_s:
            raise ClipRefused(
                f"{printable(place.name)} claims {float(duration) / 3600:.0f} hours", path=place,
                hint="raise Limits.duration_s if this is expected",
            )  # fmt: skip
        described = Container(
            wrapper, _exact(container.start_time, Fraction(1, av.time_base)), duration,
            {str(k): str(v) for k, v in container.metadata.items()},
        )  # fmt: skip
    if not any(isinstance(s, VideoStream | AudioStream) for s in streams):
        raise ClipUnreadable(f"{printable(place)} holds no picture and no sound", path=place)
    tags: dict[str, str] = {}
    status = "not asked for"
    tools: dict[str, str] = {}
    if metadata:
        tags, status, tools = _metadata(place)
    clip = Clip(
        path=place.absolute(), digest=digest, size=before.st_size, modified_ns=before.st_mtime_ns,
        container=described, streams=streams, metadata=tags, metadata_status=status,
        probed_with={"av": av.__version__, **_libraries(), **tools},
    )  # fmt: skip
    check_unchanged(clip)
    return clip


def _libraries() -> dict[str, str]:
    import av

    return {
        name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())
    }
