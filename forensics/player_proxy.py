"""Small derivatives of clips for looking at: proxies and mosaics, encoded with what PyAV brings.

Every picture of a proxy keeps the presentation time it has in the clip (less the clip's start),
to the millisecond, so that a frame step in the player lands on a real frame. Evidence is only
read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics.model import Clip, Progress, Span
from forensics.scan import Picture, iter_pictures, iter_sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Proxy", "frames_at", "make_proxy"]

#: 2 MB a minute is 267 kbit/s for everything.
_PICTURE_BITS, _SOUND_BITS = 190_000, 40_000
_SOUND_HZ = 32_000
_TICKS = 1000


@dataclass(frozen=True)
class Proxy:
    """An MP4 in memory; `frames_s` are the presentation times of its pictures, from `start_s`."""

    data: bytes
    start_s: float
    frames_s: tuple[float, ...]
    width: int
    height: int
    audible: bool


def _scaled(rgb: NDArray[np.uint8], height_px: int) -> NDArray[np.uint8]:
    import cv2
    import numpy as np

    height, width = rgb.shape[:2]
    tall = min(height, height_px) // 2 * 2
    wide = max(2, round(width * tall / height) // 2 * 2)
    small = cv2.resize(rgb, (wide, tall), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def make_proxy(
    clip: Clip, *, height_px: int = 288, span: Span | None = None, rate_hz: float = 25.0,
    progress: Progress | None = None,
) -> Proxy:  # fmt: skip
    """Encode a clip, or part of it, as a proxy of at most about 2 MB a minute.

    Parameters
    ----------
    clip
        An opened clip, with pictures, sound or both.
    height_px
        Greatest height of the proxy.
    span
        Only this stretch of the clip's clock.
    rate_hz
        Pictures a second at most; those left out are the ones between.
    progress
        Called with (fraction, text).

    Raises
    ------
    ClipUnreadable, ClipChanged
        The file fails.
    """
    import av

    memory = io.BytesIO()
    stamps: list[float] = []
    start = span.start if span is not None else Fraction(clip.container.start or 0)
    size = (0, 0)
    with av.open(memory, "w", format="mp4") as out:
        voice: Any = None
        if clip.audio is not None:
            voice = out.add_stream("aac", rate=_SOUND_HZ, layout="mono")
            voice.bit_rate = _SOUND_BITS
        if clip.video is not None:
            size = _pictures(out, clip, start, span, height_px, rate_hz, stamps, progress)
        if voice is not None:
            _sound(out, voice, clip, start, span)
    return Proxy(
        memory.getvalue(), float(start), tuple(stamps), size[0], size[1], clip.audio is not None
    )


def _pictures(
    out: Any, clip: Clip, start: Fraction, span: Span | None, height_px: int, rate_hz: float,
    stamps: list[float], progress: Progress | None,
) -> tuple[int, int]:  # fmt: skip
    import av

    stream: Any = None
    # A little less than the frame interval, so that jitter in stamps drops no frame.
    every = 0.9 / rate_hz
    for picture in iter_pictures(clip, every_s=every, span=span, progress=progress):
        small = _scaled(picture.rgb, height_px)
        if stream is None:
            stream = out.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1001))
            stream.height, stream.width = small.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.time_base = Fraction(1, _TICKS)
            stream.codec_context.time_base = Fraction(1, _TICKS)
            # Short groups: a browser that seeks decodes at most half a second. No B frames:
            # order of decoding is order of showing.
            stream.options = {
                "preset": "veryfast", "crf": "28", "g": "12", "bf": "0",
                "maxrate": str(_PICTURE_BITS), "bufsize": str(_PICTURE_BITS),
            }  # fmt: skip
        frame = av.VideoFrame.from_ndarray(small, format="rgb24")
        ticks = max(0, round((picture.pts - start) * _TICKS))
        frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
        stamps.append(ticks / _TICKS)
        out.mux(stream.encode(frame))
    if stream is None:
        return 0, 0
    out.mux(stream.encode(None))
    return int(stream.width), int(stream.height)


def _sound(out: Any, voice: Any, clip: Clip, start: Fraction, span: Span | None) -> None:
    import av
    import numpy as np

    for part in iter_sound(clip, rate_hz=_SOUND_HZ, mono=True):
        at = part.start - start
        data = part.samples[:, 0]
        skip = max(0, round(-at * _SOUND_HZ))
        data = data[skip:]
        if span is not None:
            # What remains of the span after the first sample kept.
            room = round((span.length - max(at, Fraction(0))) * _SOUND_HZ)
            data = data[: max(0, room)]
        if not len(data):
            continue
        packed = np.ascontiguousarray(np.clip(data, -1, 1)[None], np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout="mono")
        frame.sample_rate = _SOUND_HZ
        frame.pts = max(0, round(at * _SOUND_HZ))
        frame.time_base = Fraction(1, _SOUND_HZ)
        out.mux(voice.encode(frame))
    out.mux(voice.encode(None))


def frames_at(
    clip: Clip, times_s: Sequence[float]
) -> Iterator[Picture | None]:
    """For each of rising clip times (s), the picture on show then; None before and after."""
    import itertools

    last = float(clip.container.start or 0) + float(clip.duration or 0)
    if clip.video is None or not times_s:
        yield from itertools.repeat(None, len(times_s))
        return
    low, high = min(times_s), max(times_s)
    source = iter_pictures(clip, span=Span.of(max(0.0, low - 1.0), max(0.0, high) + 0.001))
    shown: Picture | None = None
    coming = next(source, None)
    for time in times_s:
        while coming is not None and float(coming.pts) <= time + 1e-6:
            shown, coming = coming, next(source, None)
        yield shown if shown is not None and time <= last + 1e-6 else None
