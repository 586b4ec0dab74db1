"""The incident in one figure: every clip on one clock, what happened, and how the claims fared."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.errors import RecordInvalid
from forensics.incident import Reconstruction
from forensics.incident_breaks import breaks_of, on_clock
from forensics.incident_claims import Occurrence
from forensics.incident_timeline import build_timeline
from forensics.model import Alignment, Clip, Discontinuity, Keyframe, Placement, Span
from forensics.plots_cover import cover_bystanders
from forensics.plots_ink import BASIS_INK, CLAIM_INK
from forensics.provenance import artefact_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_reconstruction"]

_EVENT = {"impulse": "#b3261e", "flash": "#e0a100", "enters": "#3a6b35", "falls": "#6a1b9a",
          "runs": "#00796b", "leaves": "#7aa874"}  # fmt: skip
_ROW_INCHES = 1.35


def draw_reconstruction(
    result: Reconstruction, names: Mapping[str, str], *, title: str = "", folder: Path | None = None
) -> Figure:
    """Draw a reconstructed incident.

    Parameters
    ----------
    result
        What `Incident.reconstruct` returned.
    names
        The examiner's name for each clip's digest.
    title
        Printed above.
    folder
        The ledger's artefact folder, for thumbnails.

    Returns
    -------
    matplotlib Figure
        Bars are clips on the incident clock (seconds), the whiskers at their starts the stated
        95 % interval; vertical lines are events; red marks are discontinuities. Clips that could
        not be placed are listed below the bars with the reason, never drawn at time zero.
    """
    from matplotlib.figure import Figure

    clips = {clip.digest: clip for clip in result.clips}
    placed = list(result.alignment.placements) if result.alignment else []
    main = [p for p in placed if p.component == 0]
    main.sort(key=lambda p: p.offset.value)
    claims = len(result.verdicts)
    height = 2.2 + _ROW_INCHES * max(1, len(main)) + 0.42 * claims
    figure = Figure(figsize=(15, height), layout="constrained")
    rows = (_ROW_INCHES * max(1, len(main)) + 1.2, 0.42 * claims + 0.2)
    above, below = figure.subplots(2, 1, height_ratios=rows)
    above.set_title(title or "Every placed clip on the incident clock", loc="left", weight="bold")
    ends = [p.offset.value + float(clips[p.clip].duration or 0) for p in main] or [1.0]
    begins = [p.offset.value for p in main] or [0.0]
    above.set_xlim(min(begins) - 2.5, max(ends) + 0.5)
    for row, place in enumerate(main):
        _draw_clip(above, row, place, clips[place.clip], names, result, folder)
    line = build_timeline(
        result.examinations, result.alignment, {names[c.digest]: c for c in result.clips}
    )
    _draw_events(above, line.occurrences, {names[p.clip]: k for k, p in enumerate(main)})
    above.set_ylim(len(main) - 0.4, -1.15)
    above.set_xlim(min(begins) - 2.5, max(ends) + 0.5)
    above.set_yticks(range(len(main)), [names.get(p.clip, p.clip[:8]) for p in main])
    above.set_xlabel("seconds on the incident clock (whiskers: 95 % interval of the start)")
    above.spines[["top", "right"]].set_visible(False)
    _note_unplaced(above, result.alignment, names)
    _draw_claims(below, result)
    return figure


def _draw_clip(
    axes: Axes, row: int, place: Placement, clip: Clip, names: Mapping[str, str],
    result: Reconstruction, folder: Path | None,
) -> None:  # fmt: skip
    start = place.offset.value
    length = float(clip.duration or 0)
    moved = _stretches(result, clip, length)
    # The placement holds on one side of a gap; what is drawn first may lie on the other.
    ahead = moved[0][2] if moved else 0.0
    for low, high, shift in moved:
        axes.barh(
            row, high - low, left=start + low + shift, height=0.86, color="#e8edf3",
            edgecolor=BASIS_INK[place.basis],
        )  # fmt: skip
    if place.offset.low is not None and place.offset.high is not None:
        ends = [place.offset.low + ahead, place.offset.high + ahead]
        axes.plot(ends, [row - 0.47] * 2, color="black", lw=2)
    shots = [
        (what, o.artefacts[0])
        for exam in result.of(clip, "video-keyframes")
        for o in exam.observations
        if isinstance(what := o.what, Keyframe) and o.artefacts
    ]
    _draw_thumbnails(axes, row, start, moved, shots, folder)
    alarms = [
        o
        for exam in result.of(clip, "edits")
        for o in exam.observations
        if isinstance(o.what, Discontinuity) and o.what.verdict == "inconsistent" and o.span
    ]
    for alarm in alarms:
        span = alarm.span or Span.of(0, 0)
        at = start + float(span.end)
        axes.plot([at, at], [row - 0.47, row + 0.47], color="#b3261e", lw=3, solid_capstyle="butt")
        kind = getattr(alarm.what, "kind", "")
        axes.annotate(
            kind, (at, row + 0.36), xytext=(5, 0), textcoords="offset points", color="white",
            fontsize=8, weight="bold", bbox={"fc": "#b3261e", "ec": "none", "pad": 1.5}, zorder=6,
        )  # fmt: skip
    told = f"{place.basis}, {place.offset}"
    if ahead:
        told += f", and {ahead:+.2f} s before the gap"
    axes.text(
        start + ahead + 0.1, row - 0.44, told, fontsize=7, va="bottom", zorder=7,
        bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.8},
    )  # fmt: skip


def _stretches(
    result: Reconstruction, clip: Clip, length: float
) -> list[tuple[float, float, float]]:
    """(start s, end s, shift s): the parts of a clip between removed stretches, on its clock."""
    gaps = breaks_of(result.examinations, clip.digest)
    edges = [0.0, *(g.time_s for g in gaps), length]
    found = []
    for low, high in pairwise(edges):
        middle = Span.of((low + high) / 2, (low + high) / 2)
        plain = result.alignment.on_incident_clock(clip, middle) if result.alignment else None
        moved = on_clock(result.alignment, clip.digest, middle, gaps) if result.alignment else None
        if plain is not None and moved is not None:
            found.append((low, high, moved.start - plain.start))
    return found


def _draw_thumbnails(
    axes: Axes, row: int, start: float, moved: Sequence[tuple[float, float, float]],
    shots: Sequence[tuple[Keyframe, Any]], folder: Path | None,
) -> None:  # fmt: skip
    import numpy as np
    from PIL import Image

    for low, high, shift in moved:
        free = start + low + shift
        end = start + high + shift
        for key, artefact in sorted(shots, key=lambda pair: pair[0].pts):
            at = start + float(key.pts) + shift
            if not low <= float(key.pts) < high or at < free:
                continue
            try:
                data = artefact_bytes(artefact, folder=folder)
            except RecordInvalid:
                continue
            with Image.open(io.BytesIO(data)) as picture:
                whole = np.array(picture.convert("RGB"))
            # At this size no plate can be read; a face may still be known.
            small = Image.fromarray(cover_bystanders(whole, plates=False))
            small.thumbnail((320, 180))
            pixels = np.asarray(small)
            # Inches a second and inches a row keep the picture's shape on this axis.
            figure: Any = axes.figure
            across = axes.get_position().width * figure.get_figwidth() / np.ptp(axes.get_xlim())
            width = 0.62 * _ROW_INCHES * pixels.shape[1] / pixels.shape[0] / across
            if at + width > end:
                break
            free = at + width * 1.04
            axes.imshow(
                pixels, extent=(at, at + width, row + 0.4, row - 0.22), aspect="auto", zorder=3
            )


def _draw_events(axes: Axes, seen: Sequence[Occurrence], rows: Mapping[str, int]) -> None:
    import numpy as np

    levels = [-1e9, -1e9, -1e9]
    last: dict[str, float] = {}
    for event in seen:
        kind = event.label.split(":")[0]
        if kind not in _EVENT or (kind == "flash" and not event.certain):
            continue
        at, spread, colour = event.interval.start, event.interval.uncertainty, _EVENT[kind]
        style = "-" if event.certain else ":"
        if kind in ("impulse", "flash"):
            axes.axvline(at, color=colour, lw=1.3, ls=style, alpha=0.8, zorder=5)
            axes.axvspan(at - spread, at + spread, color=colour, alpha=0.07, lw=0)
        else:
            # What one camera saw belongs on that camera's row.
            for name in event.clips:
                if name in rows:
                    row = rows[name]
                    axes.plot([at, at], [row - 0.43, row - 0.24], color=colour, ls=style, lw=1.6)
        if kind in ("leaves", "flash") or at - last.get(event.label, -1e9) < 1.0:
            continue
        last[event.label] = at
        level = next((k for k, end in enumerate(levels) if at > end), None)
        if level is None:
            continue
        told = f"{event.label.removeprefix('impulse:')} {at:.2f} s"
        width = np.ptp(axes.get_xlim()) * len(told) * 0.0052
        levels[level] = at + width
        axes.text(at, -1.12 + 0.2 * level, told, color=colour, fontsize=7.5, va="top")


def _note_unplaced(axes: Axes, alignment: Alignment | None, names: Mapping[str, str]) -> None:
    if alignment is None:
        return
    told = [
        f"{names.get(left.clip, left.clip[:8])}: not on this clock ({left.outcome}: {left.reason})"
        for left in alignment.unplaced
    ]
    if told:
        axes.set_xlabel(
            axes.get_xlabel() + "\n" + "\n".join(textwrap.shorten(t, 170) for t in told)
        )


def _draw_claims(axes: Axes, result: Reconstruction) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(max(1, len(result.verdicts)), 0)
    for row, verdict in enumerate(result.verdicts):
        axes.text(
            0.0, row + 0.5, verdict.outcome, color="white", fontsize=9, weight="bold", va="center",
            bbox={"fc": CLAIM_INK[verdict.outcome], "ec": "none", "pad": 3},
        )  # fmt: skip
        told = textwrap.shorten(f"“{verdict.claim.text}”  {verdict.reason}", 175)
        axes.text(0.085, row + 0.5, told, fontsize=9, va="center")
