"""Decode sound to samples on the clip's presentation clock, in chunks.

Encoder priming and edit lists are honoured (the decoder drops what is not presented), and gaps
between presentation stamps become counted silence, so sample ``n`` is heard at
``start + n / rate_hz``, exactly.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING, Any

from forensics.clip import check_unchanged, open_container
from forensics.errors import ClipRefused, ClipUnreadable, StreamMissing
from forensics.model import AudioStream, Clip, Progress, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Sound", "audio_stream", "iter_sound", "read_sound"]

#: Stamps may wobble by this much (containers round them) before a gap is real, in seconds.
GAP_S = 0.02


@dataclass(frozen=True)
class Sound:
    """Samples (n, channels) float32 in -1…1; the first is heard at `start` on the clip's clock.

    `gaps` are stretches the file has no sound for, filled with zeros here; `overlaps` are
    stretches it has twice, of which the second is dropped.
    """

    samples: NDArray[np.float32]
    rate_hz: int
    start: Fraction
    gaps: tuple[Span, ...] = ()
    overlaps: tuple[Span, ...] = ()
    decode_failures: int = 0
    resampled_from_hz: int | None = None

    @property
    def mono(self) -> NDArray[np.float32]:
        """The mean of all channels, (n,) float32."""
        if self.samples.shape[1] == 1:
            return self.samples[:, 0]
        mixed: NDArray[np.float32] = self.samples.mean(axis=1, dtype="float32")
        return mixed

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz

    @property
    def span(self) -> Span:
        """The stretch of the clip's clock it covers."""
        return Span(self.start, self.start + Fraction(len(self.samples), self.rate_hz))


def audio_stream(clip: Clip) -> AudioStream:
    """The clip's sound stream.

    Raises
    ------
    StreamMissing
        It has none.
    """
    stream = clip.audio
    if stream is None:
        raise StreamMissing(f"{clip.name} has no sound", path=clip.path)
    return stream


class _Timeline:
    """Puts decoded pieces on the presentation clock; counts gaps and overlaps."""

    def __init__(self, stream: AudioStream, origin: Fraction) -> None:
        self.stream = stream
        self.origin = origin
        self.start: Fraction | None = None
        self.count = 0
        self.gaps: list[Span] = []
        self.overlaps: list[Span] = []
        self._tick: Fraction | None = None
        self._tick_s = self._begun = 0.0

    def place(self, piece: _Piece) -> Iterator[NDArray[np.float32]]:
        data, rate = piece.data, piece.rate
        if piece.pts is not None and piece.tick:
            if self.start is None:
                self.start = piece.time - self.origin
                self._begun = float(self.start + self.origin)
            if piece.tick != self._tick:
                self._tick, self._tick_s = piece.tick, float(piece.tick)
            # Nearly every piece comes when it is due: fractions only for those that do not.
            late_s = piece.pts * self._tick_s - (self._begun + self.count / rate)
            if abs(late_s) > 0.9 * GAP_S:
                data = yield from self._displaced(piece)
        elif self.start is None:
            self.start = Fraction(0)
        self.count += len(data)
        if len(data):
            yield data

    def _displaced(self, piece: _Piece) -> Generator[NDArray[np.float32], None, Any]:
        """What is left of a piece that comes early; before one that comes late, silence."""
        import numpy as np

        assert self.start is not None and piece.pts is not None
        data, rate = piece.data, piece.rate
        time = piece.time - self.origin
        expected = self.start + Fraction(self.count, rate)
        off = float(time - expected)
        if off > GAP_S:
            missing = round(off * rate)
            self.gaps.append(Span(expected, time))
            if missing > 600 * rate:
                raise ClipRefused(f"a gap of {off:.0f} s in the sound stamps")
            self.count += missing
            yield np.zeros((missing, data.shape[1]), np.float32)
        elif off < -GAP_S:
            twice = min(len(data), round(-off * rate))
            self.overlaps.append(Span(time, expected))
            data = data[twice:]
        return data


def _decoded(container: Any, stream: AudioStream, failed: list[str]) -> Iterator[Any]:
    import av

    source = container.streams[stream.index]
    context = source.codec_context
    packets = container.demux(source)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.error.FFmpegError, ValueError) as error:
            failed.append(str(error))
            packet = None
        try:
            yield from context.decode(packet if packet is not None and packet.size else None)
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, ValueError) as error:
            failed.append(str(error))
        if packet is None:
            return


def iter_sound(
    clip: Clip, *, rate_hz: int | None = None, chunk_s: float = 30.0, mono: bool = False,
    progress: Progress | None = None,
) -> Iterator[Sound]:  # fmt: skip
    """Decode the sound in chunks of about `chunk_s` seconds, each a `Sound` of its own.

    Parameters
    ----------
    clip
        An opened clip.
    rate_hz
        Resample to this rate (swresample); the stream's own rate by default.
    chunk_s
        Seconds per chunk; what bounds the memory.
    mono
        Mix all channels to one while decoding.
    progress
        Called with (fraction, text).

    Raises
    ------
    StreamMissing
        No sound stream.
    ClipUnreadable
        Not one sample could be decoded.
    """
    import av
    import numpy as np

    check_unchanged(clip)
    stream = audio_stream(clip)
    layout = "mono" if mono else None
    own_rate = stream.sample_rate
    target = rate_hz or own_rate
    length = float(clip.duration or stream.duration or 0) or None
    failed: list[str] = []
    parts: list[NDArray[np.float32]] = []
    emitted, held, seen = 0, 0, (0, 0)
    with open_container(clip.path) as container:
        # A bare MP3 stamps its encoder's priming, which is not presented: its clock starts after.
        primed = clip.container.format == "mp3" and stream.start is not None
        line = _Timeline(stream, stream.start or Fraction(0) if primed else Fraction(0))
        prepare = _ToFloat(own_rate, layout)
        change = _Rate(own_rate, target)

        def chunk() -> Sound:
            nonlocal parts, emitted, held, seen
            data = np.concatenate(parts) if len(parts) > 1 else parts[0]
            start = (line.start or Fraction(0)) + Fraction(emitted, target)
            gaps, overlaps = tuple(line.gaps[seen[0] :]), tuple(line.overlaps[seen[1] :])
            seen = (len(line.gaps), len(line.overlaps))
            emitted += len(data)
            parts, held = [], 0
            return Sound(
                data, target, start, gaps, overlaps, len(failed),
                own_rate if target != own_rate else None,
            )  # fmt: skip

        for frame in _decoded(container, stream, failed):
            try:
                pieces = prepare.convert(frame)
            except (av.error.FFmpegError, ValueError) as error:
                # A format no converter knows: encrypted or damaged sound read as if it were not.
                failed.append(str(error))
                continue
            for piece in pieces:
                for samples in line.place(piece):
                    for changed in change.push(samples):
                        parts.append(changed)
                        held += len(changed)
            if held >= chunk_s * target:
                if progress is not None and length:
                    progress(min(1.0, emitted / target / length), "decoding sound")
                yield chunk()
        parts += change.finish()
        if parts:
            yield chunk()
        elif not emitted:
            raise ClipUnreadable(
                f"no sound of {clip.name} could be decoded", path=clip.path,
                hint=failed[0] if failed else "the stream is empty",
            )  # fmt: skip
    check_unchanged(clip)


@dataclass(frozen=True)
class _Piece:
    """Samples (n, channels) of one decoded frame, with its stamp and the length of a tick."""

    data: NDArray[np.float32]
    pts: int | None
    tick: Fraction | None
    rate: int

    @property
    def time(self) -> Fraction:
        """Its stamp, to the nearest sample: many containers only have milliseconds."""
        at = (self.pts or 0) * (self.tick or Fraction(1)) * self.rate
        nearest = floor(abs(at) + Fraction(1, 2))
        return Fraction(nearest if at >= 0 else -nearest, self.rate)


class _ToFloat:
    """Turns frames of any sample format into float at one rate and layout, even if they change.

    Formats that differ from float by a power of two are read straight from the frame: to the bit
    what a converter makes of them, at a tenth of the cost.
    """

    def __init__(self, rate: int, layout: str | None) -> None:
        self.rate, self.layout = rate, layout
        self._key: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def convert(self, frame: Any) -> list[_Piece]:
        import av

        name, layout = frame.format.name, frame.layout.name
        key = (name, layout, frame.sample_rate)
        rest: list[Any] = []
        if key != self._key:
            # A damaged or spliced stream changes its format in the middle; what the old
            # converter still holds comes first.
            if self._resampler is not None:
                rest = self._resampler.resample(None)
            self.layout = self.layout or layout
            plain = name in _SCALES and self.layout == layout
            plain = plain and self.rate in (0, frame.sample_rate)
            self._resampler = None if plain else av.AudioResampler(
                format="flt", layout=self.layout, rate=self.rate or None
            )  # fmt: skip
            self._key = key
        if self._resampler is None:
            found = [_unpacked(one) for one in rest if one.samples]
            if frame.samples:
                data = _floats(frame, name)
                found.append(_Piece(data, frame.pts, frame.time_base, frame.sample_rate))
            return found
        converted: list[Any] = self._resampler.resample(frame)
        return [_unpacked(one) for one in (*rest, *converted) if one.samples]


#: Sample formats (planar with "p") -> (NumPy type, what turns them into -1…1).
_SCALES = {"flt": ("f4", 1.0), "fltp": ("f4", 1.0), "s16": ("i2", 2.0**-15),
           "s16p": ("i2", 2.0**-15)}  # fmt: skip


def _floats(frame: Any, name: str) -> NDArray[np.float32]:
    """The samples of a frame in one of `_SCALES` as (n, channels)."""
    import numpy as np

    kind, scale = _SCALES[name]
    count = frame.samples
    if name.endswith("p"):
        planes = [np.frombuffer(plane, kind, count) for plane in frame.planes]
        raw = planes[0][:, None] if len(planes) == 1 else np.stack(planes, axis=1)
    else:
        channels = len(frame.layout.channels)
        raw = np.frombuffer(frame.planes[0], kind, count * channels).reshape(count, channels)
    if scale == 1.0:
        return raw
    scaled: NDArray[np.float32] = raw * np.float32(scale)
    return scaled


def _unpacked(frame: Any) -> _Piece:
    """A converted frame, whatever its layout."""
    channels = len(frame.layout.channels)
    data = frame.to_ndarray().reshape(-1, channels)
    return _Piece(data, frame.pts, frame.time_base, frame.sample_rate)


class _Rate:
    """Streaming sample-rate change with zero delay: output sample n is at n / target seconds."""

    def __init__(self, own: int, target: int) -> None:
        self.own, self.target = own, target
        self._resampler: Any = None
        self._waiting: list[NDArray[np.float32]] = []
        self._count = 0

    def _frame(self, samples: NDArray[np.float32]) -> Any:
        import av
        import numpy as np

        channels = samples.shape[1]
        layout = _LAYOUTS.get(channels, f"{channels}c")
        flat = np.ascontiguousarray(samples).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(flat, format="flt", layout=layout)
        frame.sample_rate = self.own
        return frame

    def push(self, samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        if self.own == self.target:
            return [samples]
        import av
        import numpy as np

        if self._resampler is None:
            self._resampler = av.AudioResampler(format="flt", rate=self.target)
        self._waiting.append(samples)
        self._count += len(samples)
        if self._count < _AT_ONCE:
            return []
        joined, self._waiting, self._count = np.concatenate(self._waiting), [], 0
        return self._join(self._resampler.resample(self._frame(joined)), samples.shape[1])

    def finish(self) -> list[NDArray[np.float32]]:
        import numpy as np

        if self._resampler is None:
            return []
        frames = []
        if self._waiting:
            frames = self._resampler.resample(self._frame(np.concatenate(self._waiting)))
        frames += self._resampler.resample(None)
        return self._join(frames, len(frames[0].layout.channels) if frames else 1)

    @staticmethod
    def _join(frames: list[Any], channels: int) -> list[NDArray[np.float32]]:
        return [f.to_ndarray().reshape(-1, channels) for f in frames if f.samples]


#: Samples handed to a rate change at a time: a frame each costs more than the change itself.
_AT_ONCE = 16384
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def read_sound(
    clip: Clip, *, rate_hz: int | None = None, mono: bool = False, max_s: float = 4 * 3600.0,
    progress: Progress | None = None,
) -> Sound:  # fmt: skip
    """The whole sound of a clip in one array; for long recordings use `iter_sound`.

    Raises
    ------
    StreamMissing
        No sound stream.
    ClipUnreadable
        Not one sample could be decoded.
    ClipRefused
        Longer than `max_s` seconds.
    """
    import numpy as np

    parts, length = [], 0.0
    for part in iter_sound(clip, rate_hz=rate_hz, mono=mono, progress=progress):
        parts.append(part)
        length += part.duration_s
        if length > max_s:
            raise ClipRefused(
                f"{clip.name} has more than {max_s:g} s of sound", path=clip.path,
                hint="read it in chunks with iter_sound, or raise max_s",
            )  # fmt: skip
    return Sound(
        np.concatenate([part.samples for part in parts]), parts[0].rate_hz, parts[0].start,
        tuple(gap for part in parts for gap in part.gaps),
        tuple(twice for part in parts for twice in part.overlaps),
        parts[-1].decode_failures, parts[0].resampled_from_hz,
    )  # fmt: skip
