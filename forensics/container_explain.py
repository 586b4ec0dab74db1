"""How an alarm in the bytes can come about without an edit, and how with one.

Every alarm carries several of these, ranked; the innocent ones are listed even where an edit is
likelier, because that is the question the other side will ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from forensics.model import (
    Artefact,
    Discontinuity,
    DiscontinuityKind,
    Explanation,
    Level,
    Observation,
    Quantity,
    Span,
    Verdict3,
)

__all__ = ["EXPLANATIONS", "explain", "observe"]

#: name -> (benign, text)
EXPLANATIONS: dict[str, tuple[bool, str]] = {
    "stream-copy-cut": (False, "pictures were taken out or recordings joined without re-encoding"),
    "trim": (False, "the recording was trimmed without re-encoding; what was cut is still stored"),
    "deletion-re-encoded": (False, "frames were taken out and the result encoded again"),
    "joined-by-tool": (False, "two or more files were joined by a tool that copies streams"),
    "edited-tables": (False, "the index was rewritten so that stored data is no longer shown"),
    "re-encoded": (False, "the pictures were decoded and encoded again: an edit, export or upload"),
    "sound-edited": (False, "sound and picture were cut or replaced separately"),
    "remux": (True, "the same streams were put into another container"),
    "platform-chunks": (
        True, "a platform encoded the clip in chunks of equal length, side by side"),
    "motion-recorder": (True, "a recorder that writes only while something moves, or on request"),
    "packet-loss": (True, "a network camera or recorder lost packets"),
    "camera-drops": (True, "the camera dropped frames because it could not keep up"),
    "vfr-phone": (True, "a phone that records at a variable frame rate"),
    "scene-cut": (True, "the encoder put in a key frame because the picture changed"),
    "encoder-restart": (True, "the recorder restarted its encoder, or changed its settings"),
    "camera-in-band": (True, "a camera that repeats its parameter sets in front of key frames"),
    "encoder-delay": (True, "the usual allowance for reordered pictures or an audio codec's start"),
    "clock-rounding": (True, "the container's clock is too coarse for the frame rate"),
    "interrupted": (True, "the recording or the transfer broke off"),
    "platform-transcode": (True, "a messenger or platform encoded the clip again on upload"),
    "still-scene": (True, "an encoder whose bit rate pulses by itself at key frames"),
    "device-clock": (True, "the device's clock was wrong, unset or in another time zone"),
    "slow-start": (True, "a device that starts sound and picture at different moments"),
    "unusual-writer": (True, "a device or program that writes its files in an unusual way"),
}  # fmt: skip


def explain(*names: str) -> tuple[Explanation, ...]:
    """Explanations in the order given, likeliest first."""
    return tuple(
        Explanation(rank, name, *EXPLANATIONS[name]) for rank, name in enumerate(names, start=1)
    )


def observe(
    level: Level, kind: DiscontinuityKind, verdict: Verdict3, *, span: Span | None, score: float,
    supports: Iterable[str], explanations: Iterable[str], removed: Quantity | None = None,
    measures: dict[str, Quantity] | None = None, note: str = "", stratum: str = "",
    artefacts: tuple[Artefact, ...] = (),
) -> Observation:  # fmt: skip
    """An observation of a discontinuity with its ranked explanations."""
    said = Discontinuity(
        level, kind, verdict, tuple(supports), explain(*explanations), removed
    )
    return Observation(
        said, span, min(1.0, max(0.0, score)), artefacts=artefacts, measures=measures or {},
        note=note, stratum=stratum,
    )  # fmt: skip


def span_between(first: Fraction | None, second: Fraction | None) -> Span | None:
    """The span between two times in either order; None if neither is known."""
    known = [t for t in (first, second) if t is not None]
    return Span(min(known), max(known)) if known else None
