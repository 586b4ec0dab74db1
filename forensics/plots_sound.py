"""Draw the sound of one clip: a spectrogram with every finding under it on one time axis."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from forensics.model import (
    Clip,
    Discontinuity,
    Examination,
    Flash,
    NotTestable,
    Observation,
    SoundEvent,
)
from forensics.plots_ink import OUTCOME_INK, outcome_keys, plain
from forensics.scan_sound import iter_sound

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_sound", "draw_spectrogram", "one_trace"]

#: Traces that can be missing while the rest of their level was tested, as reasons begin.
_TRACES = (
    "frame grid", "room", "repeats, room", "deletion before a re-encoding", "impulse",
    "inside a picture",
)  # fmt: skip

#: What was heard, as a class of sound: no outcome.
_HEARD = "#1f5aa6"
_RATE_HZ = 16000
_COLUMNS = 1600
#: Height of the lane of one trace, where the findings of the row take 1.
_LANE = 0.36


def draw_spectrogram(clip: Clip, axes: Axes, *, floor_db: float = -100.0) -> None:
    """Draw the spectrogram of a clip's sound: seconds of the clip against kHz, level in dBFS.

    Parameters
    ----------
    clip
        An opened clip with sound.
    axes
        Where to draw.
    floor_db
        Levels below are drawn alike.

    When it errs
    ------------
    Short sounds in long clips are drawn at their loudest within a column, never averaged away;
    above 8 kHz nothing is drawn (incompleteness).
    """
    import numpy as np

    size, hop = 512, 256
    window = np.hanning(size).astype(np.float32)
    rows: list[Any] = []
    held = np.zeros(0, np.float32)
    start, count, fold = 0.0, 0, 1
    for sound in iter_sound(clip, rate_hz=_RATE_HZ, mono=True):
        start = float(sound.start) if not count else start
        count += len(sound.mono)
        held = np.concatenate([held, sound.mono])
        frames = max(0, (len(held) - size) // hop + 1) // fold * fold
        if frames:
            view = np.lib.stride_tricks.sliding_window_view(held, size)[::hop][:frames]
            power = np.abs(np.fft.rfft(view * window, axis=1)) ** 2 / (window**2).sum() / size
            levels = (10 * np.log10(power + 1e-13)).astype(np.float32)
            rows.append(np.maximum.reduceat(levels, np.arange(0, frames, fold), axis=0))
            held = held[frames * hop :]
        if sum(map(len, rows)) > 16 * _COLUMNS:
            rows, fold = [_folded(rows)], fold * 2
    picture = np.concatenate(rows) if rows else np.full((1, size // 2 + 1), floor_db, np.float32)
    step = max(1, len(picture) // _COLUMNS)
    edges = np.arange(0, len(picture), step)
    picture = np.maximum.reduceat(picture, edges, axis=0)
    axes.imshow(
        picture.T, origin="lower", aspect="auto", cmap="magma", vmin=floor_db, vmax=-20.0,
        extent=(start, start + count / _RATE_HZ, 0, _RATE_HZ / 2000), interpolation="nearest",
    )  # fmt: skip
    axes.set_ylabel("frequency (kHz)")


def _folded(rows: list[Any]) -> Any:
    """Neighbouring columns joined at their loudest, so that memory does not grow with length."""
    import numpy as np

    joined = np.concatenate(rows)
    return np.maximum.reduceat(joined, np.arange(0, len(joined), 2), axis=0)


def one_trace(reason: str) -> str:
    """The one trace that a `NotTestable` reason is about; empty: it is about the whole level."""
    name = reason.split(":", maxsplit=1)[0]
    return name if name in _TRACES else ""


def _lanes(exam: Examination) -> dict[str, list[NotTestable]]:
    """What could not be tested, by trace; under "" what could not be tested at all."""
    lanes: dict[str, list[NotTestable]] = {}
    for part in exam.coverage.not_testable:
        lanes.setdefault(one_trace(part.reason), []).append(part)
    return lanes


def draw_sound(clip: Clip, examinations: Sequence[Examination]) -> Figure:
    """Draw the spectrogram and, under it, every finding and every stretch that could not be tested.

    Parameters
    ----------
    clip
        An opened clip with sound.
    examinations
        What was found in it: `events.find_events`, `continuity.find_splices`,
        `enf.find_phase_breaks`, in any number.

    Returns
    -------
    Figure
        One row per examination; grey: not testable, or not applicable. Where only one trace could
        not be tested (the frame grid, the room) a narrow hatched lane below the row says which.

    When it errs
    ------------
    A mark is at least a 400th of the width, so it can look longer than the finding it stands for;
    the finding's own span is what counts (misinterpretation).
    """
    from matplotlib.figure import Figure as NewFigure
    from matplotlib.lines import Line2D

    tall = [0.55 * (1 + _LANE * len(set(_lanes(exam)) - {""})) for exam in examinations]
    figure = NewFigure(figsize=(12, 3.2 + sum(tall)), layout="constrained")
    ratios = [4.0, *tall]
    axes = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios, squeeze=False)[:, 0]
    draw_spectrogram(clip, axes[0])
    low, high = axes[0].get_xlim()
    axes[0].set_title(f"{plain(clip.name)}  ({clip.digest[:12]})", fontsize=9, loc="left")
    for row, exam in zip(axes[1:], examinations, strict=True):
        _draw_row(row, exam, low, high)
    axes[-1].set_xlabel(
        "seconds of the clip (grey: could not be tested; hatched: that one trace could not)"
    )
    axes[0].set_xlim(low, high)
    told = [o.what for exam in examinations for o in exam.observations]
    keys = outcome_keys({w.verdict for w in told if isinstance(w, Discontinuity)})
    if any(isinstance(w, SoundEvent) for w in told):
        keys.append(Line2D([], [], color=_HEARD, linewidth=4, label="a class of sound"))
    if keys:
        figure.legend(handles=keys, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def _draw_row(axes: Axes, exam: Examination, low: float, high: float) -> None:
    least = (high - low) / 400
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    label = f"{exam.origin.method}\n{exam.outcome.replace('-', ' ')}"
    axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=7)
    if exam.outcome in ("not-applicable", "failed"):
        axes.axvspan(low, high, color="0.85")
        told = textwrap.shorten(exam.reason, 150, placeholder=" …")
        axes.text((low + high) / 2, 0.5, plain(told), ha="center", va="center", fontsize=7)
        return
    lanes = _lanes(exam)
    for part in lanes.pop("", ()):
        axes.axvspan(float(part.span.start), float(part.span.end), color="0.88", lw=0)
    axes.set_ylim(-_LANE * len(lanes), 1)
    for number, (_, parts) in enumerate(sorted(lanes.items()), 1):
        _draw_lane(axes, parts, -_LANE * number, low)
    written: dict[str, float] = {}
    # Words that lie beside each other go on two lines, each as far as the one before it reaches.
    reached = {0.56: low - 1, 0.78: low - 1}
    for seen in exam.observations:
        if seen.span is None:
            continue
        start, length = float(seen.span.start), max(least, float(seen.span.length))
        axes.broken_barh(
            [(start, length)], (0.06, 0.44), color=_colour(seen), edgecolor="white", linewidth=0.5
        )
        text = _text(seen)
        # The same word twice in one place cannot be read; the bars themselves are all drawn.
        line = next((y for y, end in reached.items() if start > end), None)
        if line is not None and start - written.get(text, -high) > 0.05 * (high - low):
            axes.text(start, line, text, fontsize=6.5, rotation=0, clip_on=True)
            written[text] = start
            reached[line] = start + 0.0056 * len(text) * (high - low)


def _draw_lane(axes: Axes, parts: Sequence[NotTestable], bottom: float, low: float) -> None:
    """One trace: where it could not be tested, hatched, and the reason that holds longest."""
    spans = [(float(part.span.start), float(part.span.length)) for part in parts]
    axes.broken_barh(
        spans, (bottom, _LANE), facecolor="0.95", edgecolor="0.75", hatch="////", linewidth=0
    )
    axes.axhline(bottom + _LANE, color="0.7", linewidth=0.5)
    longest = max(parts, key=lambda part: part.span.length)
    axes.annotate(
        longest.reason, (low, bottom + _LANE / 2), xytext=(3, 0), textcoords="offset points",
        va="center", fontsize=5.5, color="0.25", annotation_clip=False,
        bbox={"facecolor": "white", "linewidth": 0, "pad": 0.8, "alpha": 0.85},
    )  # fmt: skip


def _colour(seen: Observation) -> str:
    if isinstance(seen.what, Discontinuity):
        return OUTCOME_INK[seen.what.verdict]
    return _HEARD if isinstance(seen.what, SoundEvent) else "#7a4fa3"


def _text(seen: Observation) -> str:
    if isinstance(seen.what, Discontinuity):
        return seen.what.kind
    if isinstance(seen.what, SoundEvent):
        return seen.what.label
    return "flash" if isinstance(seen.what, Flash) else ""
