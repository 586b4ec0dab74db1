"""Which coders a sound went through, by the frame grids it still shows."""

from __future__ import annotations

from typing import Literal

from forensics.continuity_gather import gather
from forensics.continuity_grid import layers
from forensics.model import Clip, Progress, Quantity, Span, Value
from forensics.provenance import method
from forensics.scan_sound import iter_sound

__all__ = ["CodecTrace", "measure_codec_generations"]

_WINDOWS: dict[str, Literal["kbd", "sine", "mp3"]] = {"kbd": "kbd", "sine": "sine", "mp3": "mp3"}


class CodecTrace(Value, frozen=True):
    """One frame grid in the decoded sound: of 1,024 samples (AAC) or of 576 (MP3).

    `window`: the transform it answers to; "kbd" and "sine" are AAC's two windows.

    `role`: "last" for the only or the strongest grid seen nearly everywhere, "earlier" for others.
    """

    offset: int
    window: Literal["kbd", "sine", "mp3"]
    strength: Quantity
    share: Quantity
    span: Span
    role: Literal["last", "earlier"]


@method("sound-codec-generations", version="2")
def measure_codec_generations(
    clip: Clip, *, chunk_s: float = 20.0, progress: Progress | None = None
) -> tuple[CodecTrace, ...]:
    """Which transform-codec generations the decoded sound still shows, by their frame grids.

    Parameters
    ----------
    clip
        An opened clip with sound.
    chunk_s
        Seconds of sound worked on at a time.
    progress
        Called with (fraction, text).

    Returns
    -------
    tuple of CodecTrace
        Strongest first; empty means *no trace*, which is not "never coded".

    Raises
    ------
    StreamMissing
        No sound.

    When it errs
    ------------
    Several grids that follow one another in time are one generation that was cut, not several;
    `span` and `share` tell them apart (misinterpretation). The window shape hints at the encoder
    family (Apple's coders use the sine window for steady sound, others mostly KBD) and is no more
    than a hint. A generation at another sample rate leaves no grid (incompleteness).
    """
    found = gather(iter_sound(clip, chunk_s=chunk_s, progress=progress))
    constant, _ = layers(found.tracker)
    segments = found.tracker.segments
    answer = []
    for number, grid in enumerate(found.tracker.grids):
        here = [s for s in segments if number in s.present]
        if not here:
            continue
        z = sorted(s.present[number] for s in here)
        answer.append(
            (
                number,
                CodecTrace(
                    grid.offset, _WINDOWS[grid.kind],
                    Quantity(z[len(z) // 2], "", z[0], z[-1], "robust z; interval: all segments"),
                    Quantity(len(here) / len(segments), "", note="of all segments"),
                    Span(found.time(here[0].start), found.time(min(here[-1].stop, found.count))),
                    "earlier",
                ),
            )
        )  # fmt: skip
    answer.sort(key=lambda item: (item[0] not in constant, -item[1].strength.value))
    import msgspec

    return tuple(
        msgspec.structs.replace(trace, role="last") if place == 0 else trace
        for place, (_, trace) in enumerate(answer)
    )
