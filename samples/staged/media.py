"""Files: encoding as a recorder does, cutting as an editor does, re-uploading as a platform."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

__all__ = ["Recorder", "cut_out", "digest_of", "probe", "re_encode", "write_clip"]


Picture = np.ndarray | av.VideoFrame


@dataclass(frozen=True)
class Recorder:
    """How a clip is written: codecs, options, container, what the device says of itself."""

    video: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    audio: str | None = None
    audio_rate: int = 48000
    audio_bits: int = 96_000
    metadata: dict[str, str] = field(default_factory=dict)
    rotation_deg: int = 0  # counter-clockwise, applied by players
    time_base: Fraction = Fraction(1, 90000)
    rate: int = 25
    strip_encoder: bool = True  # cameras do not sign their stream "x264 - core ..."
    container_options: dict[str, str] = field(default_factory=dict)


def write_clip(
    path: Path,
    frames: Iterable[tuple[Picture, float]],
    recorder: Recorder,
    sound: np.ndarray | None = None,
) -> None:
    """Write planar YUV frames (H * 3 / 2, W) with their times, and sound (n,) float32 at 48 kHz."""
    feed = iter(frames)
    first = next(feed)
    if isinstance(first[0], av.VideoFrame):
        height, width = first[0].height, first[0].width
    else:
        height, width = first[0].shape[0] * 2 // 3, first[0].shape[1]
    options = (
        {} if path.suffix == ".mkv" else {"movflags": "+faststart", **recorder.container_options}
    )
    with av.open(
        str(path), "w", options={}, container_options={**options, "fflags": "+bitexact"}
    ) as out:
        out.metadata.update(recorder.metadata)
        stream = out.add_stream(recorder.video, rate=recorder.rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = recorder.time_base
        stream.codec_context.time_base = recorder.time_base
        stream.thread_count = 1
        stream.options = {"flags": "+bitexact", **recorder.options}
        if recorder.video == "libx265":
            stream.codec_context.codec_tag = "hvc1"
        if recorder.rotation_deg:
            stream.set_display_rotation(recorder.rotation_deg)
        voice = None
        if recorder.audio and sound is not None:
            voice = out.add_stream(recorder.audio, rate=recorder.audio_rate)
            voice.codec_context.layout = "mono"
            voice.codec_context.bit_rate = recorder.audio_bits
            voice.options = {"flags": "+bitexact"}
        bare = None
        if recorder.strip_encoder and recorder.video == "libx264":
            bare = BitStreamFilterContext("filter_units=remove_types=6", stream)

        def put(packets: list) -> None:
            for packet in packets:
                if bare is None:
                    out.mux(packet)
                else:
                    for kept in bare.filter(packet):
                        out.mux(kept)

        heard = _sound_frames(sound, recorder.audio_rate) if voice is not None else iter(())
        pending = next(heard, None)
        for planes, time_s in _chain(first, feed):
            while pending is not None and pending[1] <= time_s:
                out.mux(voice.encode(pending[0]))
                pending = next(heard, None)
            frame = planes
            if not isinstance(frame, av.VideoFrame):
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pict_type = av.video.frame.PictureType.NONE
            frame.time_base = recorder.time_base
            frame.pts = round(time_s / recorder.time_base)
            put(stream.encode(frame))
        while pending is not None:
            out.mux(voice.encode(pending[0]))
            pending = next(heard, None)
        put(stream.encode(None))
        if bare is not None:
            for kept in bare.filter(None):
                out.mux(kept)
        if voice is not None:
            out.mux(voice.encode(None))


def _chain(first: tuple[Picture, float], rest: Iterator) -> Iterator[tuple[Picture, float]]:
    yield first
    yield from rest


def _sound_frames(sound: np.ndarray, rate: int) -> Iterator[tuple[av.AudioFrame, float]]:
    whole = np.clip(sound * 32767, -32768, 32767).astype(np.int16)
    for start in range(0, len(whole), 1024):
        frame = av.AudioFrame.from_ndarray(whole[None, start : start + 1024], "s16", "mono")
        frame.sample_rate = 48000
        frame.pts = start
        frame.time_base = Fraction(1, 48000)
        yield frame, start / 48000


def _decoded(path: Path) -> Iterator[tuple[Picture, float]]:
    with av.open(str(path)) as source:
        source.streams.video[0].thread_count = 1
        for frame in source.decode(video=0):
            yield frame, float(frame.time)


def _sound_of(path: Path) -> np.ndarray | None:
    """Sound on the clip's clock (what a container says to skip is skipped), 48 kHz mono."""
    with av.open(str(path)) as source:
        if not source.streams.audio:
            return None
        convert = av.AudioResampler("flt", "mono", 48000)
        parts = []
        for frame in source.decode(audio=0):
            if not parts and frame.time and frame.time > 0:
                parts.append(np.zeros(round(frame.time * 48000), np.float32))
            parts.extend(piece.to_ndarray()[0] for piece in convert.resample(frame))
        parts.extend(piece.to_ndarray()[0] for piece in convert.resample(None))
    return np.concatenate(parts)


def cut_out(source: Path, target: Path, first: int, last: int, recorder: Recorder) -> int:
    """Drop frames first..last-1 of source, close the gap, encode again; returns frames written."""
    kept = 0

    def frames() -> Iterator[tuple[Picture, float]]:
        nonlocal kept
        for index, (planes, _) in enumerate(_decoded(source)):
            if not first <= index < last:
                yield planes, kept / recorder.rate
                kept += 1

    write_clip(target, frames(), recorder)
    return kept


def re_encode(
    source: Path, target: Path, recorder: Recorder, scale: tuple[int, int] | None = None
) -> None:
    """Encode the whole clip again, as a platform or a converter does; nothing is taken out."""

    def frames() -> Iterator[tuple[Picture, float]]:
        with av.open(str(source)) as opened:
            opened.streams.video[0].thread_count = 1
            for frame in opened.decode(video=0):
                time_s = float(frame.time)
                if scale is not None:
                    frame = frame.reformat(
                        width=scale[0], height=scale[1], interpolation="BICUBIC", threads=1
                    )
                yield frame, time_s

    write_clip(target, frames(), recorder, _sound_of(source) if recorder.audio else None)


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def probe(path: Path) -> dict[str, object]:
    """What the container says, read back after writing."""
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        packets = [p.pts for p in source.demux(video) if p.pts is not None]
        span_s = float((max(packets) - min(packets)) * video.time_base)
        found: dict[str, object] = {
            "video_codec": video.codec_context.name,
            "width_px": video.width,
            "height_px": video.height,
            "frames": len(packets),
            "average_fps": round((len(packets) - 1) / span_s, 4),
            "first_to_last_frame_s": round(span_s, 6),
            "size_bytes": path.stat().st_size,
            "audio_codec": None,
            "audio_rate_hz": None,
        }
        if source.streams.audio:
            audio = source.streams.audio[0]
            found["audio_codec"] = audio.codec_context.name
            found["audio_rate_hz"] = audio.rate
    with av.open(str(path)) as source:
        found["rotation_deg"] = next(source.decode(video=0)).rotation
    return found
