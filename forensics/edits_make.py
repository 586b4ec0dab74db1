"""Make known edits: what the control experiment, the benchmark and the tests look for again.

A plan is a sequence of frame numbers: frame ``order[i]`` of the source is shown as frame ``i`` of
the result, so what was done is known exactly. Encoding again imitates an export or a re-upload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EDITS", "PROFILES", "Edit", "Made", "Plan", "Profile", "plan_edits", "write_clip"]

Made: TypeAlias = Literal[
    "untouched", "deletion", "splice", "cover-up", "loop", "reorder", "freeze", "inserted-black"
]
Profile: TypeAlias = Literal["crf23", "platform", "mpeg4"]

EDITS: tuple[Made, ...] = (
    "deletion", "splice", "cover-up", "loop", "reorder", "freeze", "inserted-black"
)  # fmt: skip
PROFILES: tuple[Profile, ...] = ("crf23", "platform", "mpeg4")


@dataclass(frozen=True)
class Edit:
    """One edit as it stands in the result: frames `first` to `last` (left out) hold it.

    `boundaries` are the first frames after each break of the order; for a deletion `first` equals
    `last`: nothing of it is left but the break. `source` is where a copied stretch came from.
    """

    kind: Made
    first: int
    last: int
    boundaries: tuple[int, ...]
    source: int | None = None


@dataclass(frozen=True)
class Plan:
    """`order[i]` is the source frame shown as frame i; -1 is black, -2-k is foreign frame k."""

    order: NDArray[np.int64]
    edits: tuple[Edit, ...]


def plan_edits(
    kind: Made, count: int, rate_hz: float, *, length_s: float = 2.0, gap_s: float = 5.0,
    most: int = 1000, foreign: int = 0, seed: int = 0,
) -> Plan:  # fmt: skip
    """Place as many edits of one kind as fit into `count` frames, `gap_s` apart, at random.

    Parameters
    ----------
    kind
        What to do; ``untouched`` gives the frames as they are.
    count, rate_hz
        Frames of the source, and frames a second.
    length_s
        Length of what is removed, inserted, copied, frozen or exchanged.
    gap_s
        Untouched seconds between two edits, and before the first and after the last (half).
    most
        At most this many edits.
    foreign
        Number of frames of another recording to splice in.
    seed
        Of the random places.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    length = max(1, round(length_s * rate_hz))
    gap = max(4, round(gap_s * rate_hz))
    pieces: list[NDArray[np.int64]] = []
    edits: list[Edit] = []
    at = shown = 0

    def show(first: int, last: int) -> None:
        nonlocal shown
        pieces.append(np.arange(first, last, dtype=np.int64))
        shown += max(0, last - first)

    while kind != "untouched" and len(edits) < most:
        calm = gap // 2 if not edits else gap
        start = at + calm + int(rng.integers(0, max(1, gap // 2)))
        taken = {"reorder": 2 * length, "loop": length}.get(kind, length)
        if kind in ("splice", "inserted-black", "freeze"):
            taken = 1
        if start + taken + gap // 2 >= count:
            break
        if kind == "splice" and foreign < 2:
            break
        show(at, start)
        here = shown
        if kind == "deletion":
            at = start + length
            edits.append(Edit(kind, here, here, (here,)))
        elif kind == "loop":
            show(start, start + length)
            show(start, start + length)
            at = start + length
            middle = here + length
            edits.append(Edit(kind, middle, middle + length, (middle,), here))
        elif kind == "reorder":
            show(start + length, start + 2 * length)
            show(start, start + length)
            at = start + 2 * length
            end = here + 2 * length
            edits.append(Edit(kind, here, end, (here, here + length, end)))
        elif kind == "freeze":
            pieces.append(np.full(length, start, dtype=np.int64))
            shown += length
            at = start + length
            if at + gap // 2 >= count:
                pieces.pop()
                shown -= length
                at = start
                break
            edits.append(Edit(kind, here, shown, (here + 1, shown)))
        elif kind == "inserted-black":
            pieces.append(np.full(length, -1, dtype=np.int64))
            shown += length
            at = start
            edits.append(Edit(kind, here, shown, (here, shown)))
        elif kind == "splice":
            piece = min(length, foreign)
            low = int(rng.integers(0, foreign - piece + 1))
            pieces.append(-2 - np.arange(low, low + piece, dtype=np.int64))
            shown += piece
            at = start
            edits.append(Edit(kind, here, shown, (here, shown)))
        else:
            # A cover-up hides what happened behind a stretch from elsewhere in the recording.
            room = [(0, start - length), (start + length, count - length)]
            low, high = max(room, key=lambda r: r[1] - r[0])
            if high <= low:
                pieces.pop()
                shown -= start - at
                break
            source = int(rng.integers(low, high))
            show(source, source + length)
            at = start + length
            edits.append(Edit(kind, here, shown, (here, shown), source))
    show(at, count)
    return Plan(np.concatenate(pieces), tuple(edits))


def write_clip(
    path: Path, frames: NDArray[np.uint8], order: Sequence[int] | NDArray[np.int64],
    rate: Fraction, *, profile: Profile = "crf23", foreign: NDArray[np.uint8] | None = None,
) -> Path:  # fmt: skip
    """Encode frames in a given order, as an export or a platform would.

    Parameters
    ----------
    path
        The file to write (.mp4): never evidence.
    frames
        (n, h * 3 / 2, w) uint8 planes, as `scan.read_stretch` gives them.
    order
        As in `Plan`.
    rate
        Frames a second.
    profile
        ``crf23``: x264 medium crf 23; ``platform``: 3/4 of the size, x264 veryfast crf 28 with
        B-frames; ``mpeg4``: MPEG-4 part 2.
    foreign
        Frames of another recording, of the same shape.
    """
    import av
    import numpy as np
    from av.video.reformatter import Interpolation, VideoReformatter

    height, width = frames.shape[1] * 2 // 3, frames.shape[2]
    black = np.full_like(frames[0], 128)
    black[:height] = 16
    size = (width, height)
    options = {"threads": "1"}
    if profile == "platform":
        size = (max(2, round(width * 0.375) * 2), max(2, round(height * 0.375) * 2))
        options |= {"preset": "veryfast", "crf": "28", "bf": "3"}
    elif profile == "crf23":
        options |= {"preset": "medium", "crf": "23"}
    else:
        options |= {"q": "5"}
    scaler = VideoReformatter()
    with av.open(str(path), "w") as container:
        codec = "mpeg4" if profile == "mpeg4" else "libx264"
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if profile == "mpeg4":
            stream.codec_context.qmin = stream.codec_context.qmax = 5
        for number, place in enumerate(order):
            picture = frames[place] if place >= 0 else black
            if place <= -2:
                if foreign is None:
                    raise ValueError("the order names foreign frames, and none are given")
                picture = foreign[-2 - place]
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            if size != (width, height):
                frame = scaler.reformat(
                    frame, width=size[0], height=size[1], interpolation=Interpolation.BICUBIC,
                    threads=1,
                )  # fmt: skip
            frame.pts, frame.time_base = number, 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
