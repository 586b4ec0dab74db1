"""The incident in one figure: every clip on one clock, what happened, and how the claims fared."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.errors import RecordInvalid
from forensics.incident import Reconstruction
from forensics.incident_claims import Occurrence
from forensics.incident_timeline import build_timeline
from forensics.model import Alignment, Clip, Discontinuity, Keyframe, Placement, Span
from forensics.provenance import artefact_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_reconstruction"]

_BASIS = {"reference": "#1f4e79", "sound": "#2f75b5", "clock": "#b8860b", "flash": "#c26a1b",
          "motion": "#7b5ea7", "examiner": "#5a6b5a"}  # fmt: skip
_EVENT = {"impulse": "#b3261e", "flash": "#e0a100", "enters": "#3a6b35", "falls": "#6a1b9a",
          "runs": "#00796b", "leaves": "#7aa874"}  # fmt: skip
_OUTCOME = {"supported": "#3a6b35", "contradicted": "#b3261e", "undecided": "#7a6a2f"}


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
    height = 2.2 + 1.15 * max(1, len(main)) + 0.42 * claims
    figure = Figure(figsize=(15, height), layout="constrained")
    rows = (1.15 * max(1, len(main)) + 1.2, 0.42 * claims + 0.2)
    above, below = figure.subplots(2, 1, height_ratios=rows)
    above.set_title(title or "Every placed clip on the incident clock", loc="left", weight="bold")
    for row, place in enumerate(main):
        _draw_clip(above, row, place, clips[place.clip], names, result, folder)
    line = build_timeline(
        result.examinations, result.alignment, {names[c.digest]: c for c in result.clips}
    )
    _draw_events(above, line.occurrences, len(main))
    above.set_ylim(len(main) - 0.4, -1.15)
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
    axes.barh(row, length, left=start, height=0.86, color="#e8edf3", edgecolor=_BASIS[place.basis])
    if place.offset.low is not None and place.offset.high is not None:
        axes.plot([place.offset.low, place.offset.high], [row - 0.47] * 2, color="black", lw=2)
    shots = [
        (what, o.artefacts[0])
        for exam in result.of(clip, "video-keyframes")
        for o in exam.observations
        if isinstance(what := o.what, Keyframe) and o.artefacts
    ]
    _draw_thumbnails(axes, row, start, length, shots, folder)
    alarms = [
        o
        for exam in result.of(clip, "edits")
        for o in exam.observations
        if isinstance(o.what, Discontinuity) and o.what.verdict == "inconsistent" and o.span
    ]
    for alarm in alarms:
        span = alarm.span or Span.of(0, 0)
        at = start + float(span.start)
        axes.plot([at, at], [row - 0.47, row + 0.47], color="#b3261e", lw=3, solid_capstyle="butt")
        kind = getattr(alarm.what, "kind", "")
        axes.annotate(
            kind, (at, row + 0.36), xytext=(5, 0), textcoords="offset points", color="white",
            fontsize=8, weight="bold", bbox={"fc": "#b3261e", "ec": "none", "pad": 1.5}, zorder=6,
        )  # fmt: skip
    told = f"{place.basis}, {place.offset}"
    axes.text(
        start + 0.1, row - 0.44, told, fontsize=7, va="bottom", zorder=7,
        bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.8},
    )  # fmt: skip


def _draw_thumbnails(
    axes: Axes, row: int, start: float, length: float, shots: Sequence[tuple[Keyframe, Any]],
    folder: Path | None,
) -> None:  # fmt: skip
    import numpy as np
    from PIL import Image

    if not shots or length <= 0:
        return
    most = max(1, min(len(shots), int(length / 3.2)))
    chosen = [shots[round(k)] for k in np.linspace(0, len(shots) - 1, most)]
    free = start
    for key, artefact in sorted(chosen, key=lambda pair: pair[0].pts):
        try:
            data = artefact_bytes(artefact, folder=folder)
        except RecordInvalid:
            continue
        with Image.open(io.BytesIO(data)) as picture:
            small = picture.convert("RGB")
            small.thumbnail((320, 180))
            pixels = np.asarray(small)
        # The time axis stretches pixels; the width in seconds keeps their shape as drawn.
        width = 0.72 * 4.4 * pixels.shape[1] / pixels.shape[0] / (16 / 9)
        left = max(free, min(start + float(key.pts), start + length - width))
        if left + width > start + length + 1e-6:
            continue
        free = left + width + 0.05
        axes.imshow(
            pixels, extent=(left, left + width, row + 0.4, row - 0.3), aspect="auto", zorder=3
        )


def _draw_events(axes: Axes, seen: Sequence[Occurrence], rows: int) -> None:
    labelled: dict[str, bool] = {}
    shown = [o for o in seen if o.label.split(":")[0] in _EVENT]
    levels = [-1e9, -1e9, -1e9]
    for event in shown:
        kind = event.label.split(":")[0]
        colour = _EVENT[kind]
        at = event.interval.start
        spread = event.interval.uncertainty
        style = "-" if event.certain else ":"
        axes.axvline(at, color=colour, lw=1.2, ls=style, alpha=0.8, zorder=5)
        axes.axvspan(at - spread, at + spread, color=colour, alpha=0.06, lw=0)
        if labelled.get(event.label) and kind not in ("impulse", "falls"):
            continue
        labelled[event.label] = True
        level = next((k for k, end in enumerate(levels) if at > end), None)
        if level is None:
            continue
        levels[level] = at + 0.16 * len(event.label) + 0.5
        told = f"{event.label.removeprefix('impulse:')} {at:.2f} s"
        axes.text(at + 0.05, -1.1 + 0.2 * level, told, color=colour, fontsize=7.5, va="top")


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
            bbox={"fc": _OUTCOME[verdict.outcome], "ec": "none", "pad": 3},
        )  # fmt: skip
        told = textwrap.shorten(f"“{verdict.claim.text}”  {verdict.reason}", 175)
        axes.text(0.085, row + 0.5, told, fontsize=9, va="center")
