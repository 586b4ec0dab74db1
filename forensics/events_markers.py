"""Events as markers that other programs read: WebVTT cues and Audacity labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

from forensics.model import Discontinuity, Flash, Observation, SoundEvent, Span

_ZERO = Fraction(0)
#: What would end a line or a cue, or be read as markup.
_UNFIT = re.compile(r"[\x00-\x1f\x7f<>&]+")

__all__ = ["audacity_labels", "marker_text", "webvtt_markers"]


def marker_text(seen: Observation) -> str:
    """One line for an observation; control characters and markup cannot get in."""
    what = seen.what
    if isinstance(what, SoundEvent):
        text = f"{what.label} (class of sound), {what.level.value:.0f} {what.level.unit}"
    elif isinstance(what, Flash):
        text = "flash"
    elif isinstance(what, Discontinuity):
        text = f"{what.kind}: {what.verdict} with an original"
        text = text.replace("inconclusive with an original", "inconclusive")
    else:
        text = type(what).__name__
    text = f"{text}, score {seen.score:.2f}"
    if isinstance(what, Discontinuity) and seen.note:
        # Where else a copy is heard, by how much sound lies off: without it the mark says little.
        text += f"; {seen.note}"
    return _UNFIT.sub(" ", text)


def _stamp(time: Fraction | float) -> str:
    total = max(0, round(float(time) * 1000))
    minutes, rest = divmod(total, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def webvtt_markers(
    observations: Iterable[Observation], *, least_s: float = 0.5, start: Fraction = _ZERO
) -> str:
    """A WebVTT file with one cue per observation, each shown for at least `least_s` seconds.

    Times count from `start` on the clip's clock; what lies wholly before it is left out.

    When it errs
    ------------
    Leaves out observations without a span (incompleteness). A cue is a caption: it carries neither
    the error rate nor the method, and must not leave the case without its findings.
    """
    lines = ["WEBVTT", ""]
    for number, (span, seen) in enumerate(_timed(observations, start), 1):
        end = max(float(span.end), float(span.start) + least_s)
        lines += [str(number), f"{_stamp(span.start)} --> {_stamp(end)}", marker_text(seen), ""]
    return "\n".join(lines) + "\n"


def audacity_labels(observations: Iterable[Observation], *, start: Fraction = _ZERO) -> str:
    """An Audacity label track: start, end and text, tab-separated, one line each.

    Times count from `start` on the clip's clock; what lies wholly before it is left out.

    When it errs
    ------------
    Leaves out observations without a span (incompleteness). Audacity counts from the first sample:
    where a clip's sound starts later than zero, labels lie that much late on the sound alone,
    unless `start` says when the sound starts.
    """
    return "".join(
        f"{float(span.start):.6f}\t{float(span.end):.6f}\t{marker_text(seen)}\n"
        for span, seen in _timed(observations, start)
    )


def _timed(
    observations: Iterable[Observation], start: Fraction
) -> list[tuple[Span, Observation]]:
    placed = [
        (Span(max(_ZERO, seen.span.start - start), seen.span.end - start), seen)
        for seen in observations if seen.span is not None and seen.span.end >= start
    ]  # fmt: skip
    return sorted(placed, key=lambda row: row[0])
