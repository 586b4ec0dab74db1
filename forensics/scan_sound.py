"""Decode sound to samples on the clip's presentation clock, in chunks.

Encoder priming and edit lists are honoured (the decoder drops what is not presented), and gaps
between presentation stamps become counted silence, so sample ``n`` is heard at
``start + n / rate_hz``, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics.clip import check_unchanged, open_container
from forensics.errors import ClipRefused, ClipUnreadable, StreamMissing
from forensics.model import AudioStream, Clip, Progress, Span
from forensics.provenance import LISTENING_MARK, check_not_listening_copy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LISTENING_MARK", "Sound", "audio_stream", "check_not_listening_copy", "iter_sound",
           "read_sound"]  # fmt: skip

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
    """Puts decoded frames on the presentation clock; counts gaps and overlaps."""

    def __init__(self, stream: AudioStream, origin: Fraction) -> None:
        self.stream = stream
        self.origin = origin
        self.start: Fraction | None = None
        self.count = 0
        self.gaps: list[Span] = []
        self.overlaps: list[Span] = []

    def place(self, frame: Any) -> Iterator[NDArray[np.float32]]:
        import numpy as np

        data = np.ascontiguousarray(frame.to_ndarray().T)
        rate = frame.sample_rate
        if frame.pts is not None and frame.time_base:
            time = frame.pts * Fraction(frame.time_base) - self.origin
            if self.start is None:
                self.start = time
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
        elif self.start is None:
            self.start = Fraction(0)
        self.count += len(data)
        if len(data):
            yield data


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
                for samples in line.place(_packed(piece)):
                    changed = change.push(samples)
                    if len(changed):
                        parts.append(changed)
                        held += len(changed)
            if held >= chunk_s * target:
                if progress is not None and length:
                    progress(min(1.0, emitted / target / length), "decoding sound")
                yield chunk()
        rest = change.finish()
        if len(rest):
            parts.append(rest)
        if parts:
            yield chunk()
        elif not emitted:
            raise ClipUnreadable(
                f"no sound of {clip.name} could be decoded", path=clip.path,
                hint=failed[0] if failed else "the stream is empty",
            )  # fmt: skip
    check_unchanged(clip)


class _ToFloat:
    """Turns frames of any sample format into float at one rate and layout, even if they change."""

    def __init__(self, rate: int, layout: str | None) -> None:
        self.rate, self.layout = rate, layout
        self._key: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def convert(self, frame: Any) -> list[Any]:
        import av

        key = (frame.format.name, frame.layout.name, frame.sample_rate)
        rest: list[Any] = []
        if key != self._key:
            # A damaged or spliced stream changes its format in the middle; what the old
            # converter still holds comes first.
            if self._resampler is not None:
                rest = self._resampler.resample(None)
            self.layout = self.layout or frame.layout.name
            self._resampler = av.AudioResampler(
                format="flt", layout=self.layout, rate=self.rate or None
            )
            self._key = key
        converted: list[Any] = self._resampler.resample(frame)
        return [piece for piece in (*rest, *converted) if piece.samples]


class _Packed:
    """A resampled frame as (channels, n) float32, whatever its layout."""

    def __init__(self, frame: Any) -> None:
        self.pts, self.time_base, self.sample_rate = frame.pts, frame.time_base, frame.sample_rate
        channels = len(frame.layout.channels)
        self._data: NDArray[np.float32] = frame.to_ndarray().reshape(-1, channels).T

    def to_ndarray(self) -> NDArray[np.float32]:
        return self._data


def _packed(frame: Any) -> _Packed:
    return _Packed(frame)


class _Rate:
    """Streaming sample-rate change with zero delay: output sample n is at n / target seconds."""

    def __init__(self, own: int, target: int) -> None:
        self.own, self.target = own, target
        self._resampler: Any = None

    def _frame(self, samples: NDArray[np.float32]) -> Any:
        import av
        import numpy as np

        channels = samples.shape[1]
        layout = _LAYOUTS.get(channels, f"{channels}c")
        flat = np.ascontiguousarray(samples).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(flat, format="flt", layout=layout)
        frame.sample_rate = self.own
        return frame

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.own == self.target:
            return samples
        import av

        if self._resampler is None:
            self._resampler = av.AudioResampler(format="flt", rate=self.target)
        return self._join(self._resampler.resample(self._frame(samples)), samples.shape[1])

    def finish(self) -> NDArray[np.float32]:
        import numpy as np

        if self._resampler is None:
            return np.zeros((0, 1), np.float32)
        frames = self._resampler.resample(None)
        channels = len(frames[0].layout.channels) if frames else 1
        return self._join(frames, channels)

    @staticmethod
    def _join(frames: list[Any], channels: int) -> NDArray[np.float32]:
        import numpy as np

        pieces = [f.to_ndarray().reshape(-1, channels) for f in frames if f.samples]
        return np.concatenate(pieces) if pieces else np.zeros((0, channels), np.float32)


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
