"""Fill regions so that nothing can be brought back, mask voices, and encode the copy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.clip import hash_file
from forensics.errors import ClipUnreadable
from forensics.model import Box, canonical_json
from forensics.scan import Sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["hide", "mask_voice", "write_copy"]

_TILES = 6
_TICKS = 90_000


def hide(rgb: NDArray[np.uint8], regions: Sequence[Box], style: str) -> NDArray[np.uint8]:
    """Cover regions of a picture in place.

    A mosaic keeps at most six tiles a side, each rounded to eight levels a channel, whatever the
    size of the region: too little to recognise anything or to average over frames.
    """
    import cv2
    import numpy as np

    height, width = rgb.shape[:2]
    for box in regions:
        left, top = max(0, int(box.x)), max(0, int(box.y))
        right = min(width, int(np.ceil(box.x + box.width)))
        bottom = min(height, int(np.ceil(box.y + box.height)))
        if right <= left or bottom <= top:
            continue
        if style == "solid":
            rgb[top:bottom, left:right] = 40
            continue
        inside = rgb[top:bottom, left:right]
        across = min(_TILES, right - left)
        down = min(_TILES, bottom - top)
        tiles = cv2.resize(inside, (across, down), interpolation=cv2.INTER_AREA)
        tiles = (tiles // 32) * 32 + 16
        flat = cv2.resize(tiles, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
        rgb[top:bottom, left:right] = flat
    return rgb


def mask_voice(sound: Sound) -> Sound:
    """The same loudness over time (in steps of 0.4 s) as noise: speech cannot be made out."""
    import numpy as np

    step = max(1, int(0.4 * sound.rate_hz))
    mono = sound.mono
    count = -(-len(mono) // step)
    padded = np.zeros(count * step, np.float32)
    padded[: len(mono)] = mono
    loudness = np.sqrt(np.mean(padded.reshape(count, step) ** 2, axis=1))
    at = (np.arange(count) + 0.5) * step
    envelope = np.interp(np.arange(len(mono)), at, loudness)
    noise = np.random.default_rng(0).standard_normal(len(mono))
    masked = np.clip(noise * envelope, -1, 1).astype(np.float32)[:, None]
    return replace(sound, samples=masked)


def write_copy(
    out: Path, pictures: Iterator[tuple[Fraction, NDArray[np.uint8]]], sound: Sound | None,
    record: dict[str, Any],
) -> Path:  # fmt: skip
    """Encode pictures at their own times, with sound, then the record beside the copy.

    The file appears under its name only when it is complete.
    """
    import av

    draft = out.with_name(f"{out.stem}.part{out.suffix}")
    try:
        with av.open(str(draft), "w") as target:
            stream: Any = None
            voice: Any = None
            for time, rgb in pictures:
                if stream is None:
                    stream = target.add_stream("libx264", rate=Fraction(30), options={"crf": "20"})
                    stream.height, stream.width = rgb.shape[0] // 2 * 2, rgb.shape[1] // 2 * 2
                    stream.pix_fmt = "yuv420p"
                    stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS)
                    if sound is not None:
                        layout = "stereo" if sound.samples.shape[1] == 2 else "mono"
                        voice = target.add_stream("aac", rate=sound.rate_hz, layout=layout)
                even = rgb[: stream.height, : stream.width]
                frame = av.VideoFrame.from_ndarray(_contiguous(even), format="rgb24")
                frame.pts, frame.time_base = round(time * _TICKS), Fraction(1, _TICKS)
                target.mux(stream.encode(frame))
            if stream is None:
                raise ClipUnreadable("no frame could be decoded", path=out)
            target.mux(stream.encode(None))
            if voice is not None and sound is not None:
                _write_sound(target, voice, sound)
        record = record | {"derivative": hash_file(draft)}
        note = out.with_name(out.name + ".json")
        note.write_bytes(canonical_json(record) + b"\n")
        os.replace(draft, out)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    return out


def _contiguous(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import numpy as np

    return np.ascontiguousarray(rgb)


def _write_sound(target: Any, voice: Any, sound: Sound) -> None:
    import av
    import numpy as np

    channels = 2 if sound.samples.shape[1] == 2 else 1
    samples = sound.samples if channels == sound.samples.shape[1] else sound.mono[:, None]
    start = round(sound.start * sound.rate_hz)
    for at in range(0, len(samples), 1024):
        piece = np.ascontiguousarray(samples[at : at + 1024].T)
        frame = av.AudioFrame.from_ndarray(
            piece, format="fltp", layout="stereo" if channels == 2 else "mono"
        )
        frame.sample_rate, frame.time_base = sound.rate_hz, Fraction(1, sound.rate_hz)
        frame.pts = start + at
        target.mux(voice.encode(frame))
    target.mux(voice.encode(None))
