"""Draw what the bytes of one clip say: every packet, its number, and where the order breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics import container
from forensics.model import Clip, Discontinuity, Examination, Observation
from forensics.plots_ink import OUTCOME_INK, plain, time_axis

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_packets"]

_ABSENT = -(2**63)
_KINDS = ((1, "I", "#1f3b66"), (2, "P", "#4a6fa5"), (3, "B", "#a9bfdd"), (0, "?", "#777777"))
_LEVELS = ("container", "timestamps", "bitstream", "compression")
_MOST = 40_000  # packets drawn; of more, the largest of each few


def draw_packets(clip: Clip, examination: Examination) -> Figure:
    """One figure of the bytes: packet sizes by type, key frames, their ids, gaps, hidden pictures.

    Parameters
    ----------
    clip
        The clip examined.
    examination
        From `container.find_discontinuities`, or from `edits.find_edits`.

    Returns
    -------
    matplotlib.figure.Figure
        Three rows on one time axis: every packet's size (logarithmic) by picture type, with the
        key frames as faint lines, hidden pictures in grey behind hatching, and triangles where the
        key frames of an older encoding stood; the ``idr_pic_id`` of each key frame, or the length
        of each GOP where there are no ids; the findings by level, remarks pale.

    Raises
    ------
    StreamMissing, ClipUnreadable, ClipRefused, ClipChanged
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    seen = [o for o in examination.observations
            if isinstance(o.what, Discontinuity) and o.what.level in _LEVELS]  # fmt: skip
    table, times, hidden = _place(clip)
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(12, 6.4), layout="constrained")
        sizes, numbers, findings = figure.subplots(3, 1, sharex=True, height_ratios=[3, 1.1, 1.3])
        _draw_sizes(sizes, table, times, hidden)
        _draw_older(sizes, clip, seen)
        _draw_numbers(numbers, table, times, seen)
        _draw_findings(findings, seen)
        for axes in (sizes, numbers):
            _draw_marks(axes, seen)
        known = times[table.packets.pts != _ABSENT]
        if len(known):
            low, high = float(known.min()), float(known.max())
            pad = 0.01 * max(high - low, 0.1)
            time_axis(findings, low - pad, high + pad)
        hatched = "; hatched: stored, not shown" if hidden.any() else ""
        findings.set_xlabel(f"time in the clip (h:mm:ss){hatched}")
        alarms = sum(container.is_alarm(o) for o in seen)
        figure.suptitle(
            f"{plain(clip.name)}: {alarms} alarm{'s' if alarms != 1 else ''}, "
            f"{len(seen) - alarms} remark{'s' if len(seen) - alarms != 1 else ''}, "
            f"{len(table)} packets",
            x=0.01, ha="left", fontsize=11, fontweight="bold",
        )  # fmt: skip
    return figure


def _place(clip: Clip) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_]]:
    """The stored table, each packet's time on the clip's clock (s), and which are not shown."""
    import numpy as np

    shown = container.read_slice_headers(clip)
    base = float(shown.packets.time_base)
    if clip.video is None or not (clip.video.edit_list or shown.packets.discard.any()):
        return shown, shown.packets.pts.astype(np.float64) * base, ~shown.shown
    stored = container.read_slice_headers(clip, edit_lists=False)
    at = shown.shown & (shown.packets.pts != _ABSENT)
    positions = shown.packets.position[at]
    hidden = ~np.isin(stored.packets.position, positions)
    times = stored.packets.pts.astype(np.float64) * float(stored.packets.time_base)
    first = np.flatnonzero(~hidden)
    if len(first):
        row = int(first[np.argmin(times[first])])
        here = np.flatnonzero(positions == stored.packets.position[row])
        times = times + float(shown.packets.pts[at][here[0]]) * base - times[row]
    return stored, times, hidden


def _draw_sizes(
    axes: Axes, table: Any, times: NDArray[np.float64], hidden: NDArray[np.bool_]
) -> None:
    import numpy as np

    known = table.packets.pts != _ABSENT
    kilobytes = np.maximum(table.packets.size, 1) / 1000
    drawn = known.copy()
    if known.sum() > _MOST:
        # The largest packet of each few: pulses and key frames stay, the rest is a wall anyway.
        few = -(-len(table) // _MOST)
        rows = np.arange(len(table) // few * few).reshape(-1, few)
        drawn[:] = False
        drawn[rows[np.arange(len(rows)), kilobytes[rows].argmax(axis=1)]] = True
        drawn &= known
    floor = float(np.min(kilobytes[drawn])) * 0.7 if drawn.any() else 0.01
    for key in times[known & (table.access > 0)][:2000]:
        axes.axvline(float(key), color="#000000", alpha=0.07, linewidth=0.8, zorder=0)
    for number, letter, colour in _KINDS:
        rows = drawn & (table.kind == number)
        # A label that begins with an underscore stays out of the legend.
        for some, paint, label in ((rows & ~hidden, colour, letter),
                                   (rows & hidden, "#b5b5b5", "_hidden")):  # fmt: skip
            if some.any():
                axes.vlines(times[some], floor, kilobytes[some], color=paint, linewidth=1.1,
                            label=label, zorder=2)  # fmt: skip
    for low, high in _runs(times, hidden & known):
        axes.axvspan(low, high, facecolor="#f0f0f0", edgecolor="#bdbdbd", hatch="////",
                     linewidth=0, zorder=0.5)  # fmt: skip
        count = int(((times >= low) & (times <= high) & hidden).sum())
        if high - low > 0.05 * float(np.ptp(times[known])):
            axes.annotate(f" {count} stored, not shown", (low, 0.97), fontsize=8, va="top",
                          xycoords=("data", "axes fraction"), color="#555555")  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(bottom=floor)
    axes.yaxis.set_major_formatter(lambda size, _: f"{size:g}")
    axes.set_ylabel("size of a packet (kB)")
    axes.legend(loc="upper right", ncols=4, frameon=True, framealpha=0.9, edgecolor="none",
                fontsize=8, title=None)  # fmt: skip


def _runs(times: NDArray[np.float64], chosen: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Stretches of time that the chosen packets cover, packets in order of time."""
    import numpy as np

    order = np.argsort(times, kind="stable")
    flags = np.concatenate([[0], chosen[order].astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(flags))
    return [(float(times[order[a]]), float(times[order[min(b, len(order) - 1)]]))
            for a, b in zip(edges[::2], edges[1::2], strict=True)]  # fmt: skip


def _draw_older(axes: Axes, clip: Clip, seen: list[Observation]) -> None:
    """Where the key frames of an older encoding stood, stretch by stretch."""
    import numpy as np

    if not any(isinstance(o.what, Discontinuity) and o.what.kind == "double-compression"
               and any("packet sizes" in s for s in o.what.supports) for o in seen):  # fmt: skip
        return
    found = container.measure_gop(clip)
    if found.train is None:
        return
    period = found.train.period
    for number, (first, last, phase) in enumerate(found.train.segments):
        rows = np.arange(first + (phase - first) % period, last + 1, period)[:5000]
        at = [float(found.time(int(row))) for row in rows]
        label = f"key frames of an older GOP of {period}" if number == 0 else None
        axes.plot(at, [1.02] * len(at), "v", color="#7a3e9d", markersize=4, clip_on=False,
                  transform=axes.get_xaxis_transform(), label=label,
                  alpha=1.0 if number % 2 == 0 else 0.5)  # fmt: skip
    axes.legend(loc="upper right", ncols=5, frameon=True, framealpha=0.9, edgecolor="none",
                fontsize=8)  # fmt: skip


def _draw_numbers(
    axes: Axes, table: Any, times: NDArray[np.float64], seen: list[Observation]
) -> None:
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    keys = np.flatnonzero((table.access > 0) & (table.packets.pts != _ABSENT))
    ids = keys[table.idr_pic_id[keys] >= 0]
    if len(ids):
        axes.plot(times[ids], table.idr_pic_id[ids], ".-", color="#1f3b66", linewidth=0.8,
                  markersize=5)  # fmt: skip
        axes.set_ylabel("number of the\nkey frame\n(idr_pic_id)", fontsize=8)
        axes.set_ylim(-0.5, float(table.idr_pic_id[ids].max()) + 0.5)
        broken = [o.measures["packet"] for o in seen if "packet" in o.measures]
        rows = np.array([int(q.value) for q in broken if int(q.value) < len(table)], np.int64)
        rows = rows[np.isin(rows, ids)]
        axes.plot(times[rows], table.idr_pic_id[rows], "o", color="#b3261e", markersize=9,
                  fillstyle="none")  # fmt: skip
    elif len(keys) > 1:
        axes.plot(times[keys[:-1]], np.diff(keys), ".", color="#1f3b66", markersize=5)
        axes.set_ylabel("GOP\n(pictures)")
    else:
        axes.text(0.5, 0.5, "one key frame", transform=axes.transAxes, ha="center", va="center")
        axes.set_yticks([])
    if len(keys) > 1:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _draw_marks(axes: Axes, seen: list[Observation]) -> None:
    """Every alarm with a place, as a band through the rows above the findings."""
    for one in seen:
        if one.span is None or not container.is_alarm(one):
            continue
        said = one.what
        if not isinstance(said, Discontinuity) or said.kind == "hidden-frames":
            continue
        low, high = float(one.span.start), float(one.span.end)
        colour = OUTCOME_INK[said.verdict]
        axes.axvspan(low, high, color=colour, alpha=0.18, linewidth=0, zorder=1)
        axes.axvline(high, color=colour, linewidth=1.2, alpha=0.8, zorder=3)


def _draw_findings(axes: Axes, seen: list[Observation]) -> None:
    rows = {level: len(_LEVELS) - 1 - n for n, level in enumerate(_LEVELS)}
    whole: dict[str, list[str]] = {level: [] for level in _LEVELS}
    for one in seen:
        said = one.what
        assert isinstance(said, Discontinuity)
        row, alarm = rows[said.level], container.is_alarm(one)
        everywhere = said.kind in ("structure", "double-compression", "metadata-contradiction",
                                   "duration-mismatch", "av-mismatch")  # fmt: skip
        if one.span is None or everywhere:
            whole[said.level].append(said.kind + ("" if alarm else " (remark)"))
            continue
        low, high = float(one.span.start), float(one.span.end)
        colour = OUTCOME_INK[said.verdict]
        faint = 1.0 if alarm else 0.35
        axes.barh(row, high - low, left=low, height=0.5, color=colour, alpha=0.4 * faint,
                  linewidth=0)  # fmt: skip
        axes.plot([high, high], [row - 0.3, row + 0.3], color=colour, linewidth=2, alpha=faint)
        removed = "" if said.removed is None else f", {said.removed.value:g} {said.removed.unit}"
        axes.annotate(f" {said.kind}{removed}", (high, row + 0.12), fontsize=7.5, color=colour,
                      alpha=max(faint, 0.6), annotation_clip=True)  # fmt: skip
    for level, texts in whole.items():
        axes.annotate("whole file: " + ", ".join(dict.fromkeys(texts)) if texts else "",
                      (0.995, rows[level] - 0.4), xycoords=("axes fraction", "data"), fontsize=7.5,
                      ha="right", color="#666666")  # fmt: skip
    axes.set_yticks([rows[level] for level in _LEVELS], list(_LEVELS))
    axes.set_ylim(-0.6, len(_LEVELS) - 0.3)
