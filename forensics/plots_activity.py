"""Draw what happened in regions of a fixed view: a time line for each, and the trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from forensics.model import Activity, Examination, Region
from forensics.plots_ink import NOT_TESTABLE, plain

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["draw_activity", "draw_trajectories"]

_MARK = {"enters": (">", "#1f4e79"), "leaves": ("<", "#5b8db8"), "falls": ("v", "#b3261e"),
         "runs": ("D", "#dd9a10"), "stands-still": ("s", "#444444")}  # fmt: skip


def draw_activity(examination: Examination, *, axes: Axes | None = None) -> Axes:
    """One line a region: what entered, left, fell, ran or stood; grey where nobody could look.

    Parameters
    ----------
    examination
        What `video.find_activity` returned.
    axes
        Where to draw; a new figure by default.
    """
    if axes is None:
        from matplotlib.figure import Figure as NewFigure

        axes = NewFigure(figsize=(9, 2.6), layout="constrained").subplots()
    said = [(o.what, o.span) for o in examination.observations if isinstance(o.what, Activity)]
    parameters = examination.origin.parameters.get("regions") or []
    names = [r["name"] for r in parameters] or sorted({what.region for what, _ in said}) or [
        "picture"
    ]  # fmt: skip
    row = {name: len(names) - 1 - i for i, name in enumerate(names)}
    for blind in examination.coverage.not_testable:
        low, high = float(blind.span.start), float(blind.span.end)
        concerned = [n for n in names if f"{n!r}" in blind.reason] or names
        for name in concerned:
            axes.broken_barh([(low, high - low)], (row[name] - 0.4, 0.8), zorder=0, **NOT_TESTABLE)
    shown: set[str] = set()
    for what, span in said:
        mark, colour = _MARK[what.kind]
        label = what.kind.replace("-", " ") if what.kind not in shown else None
        shown.add(what.kind)
        y = row.get(what.region, 0)
        axes.plot(float(what.time), y, mark, color=colour, markersize=7, label=label)
        if span is not None and span.length > 0.5:
            axes.plot([float(span.start), float(span.end)], [y, y], color=colour, linewidth=2)
    axes.set_yticks(list(row.values()), list(row))
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("time in the clip (s); hatched: partly or wholly not testable")
    if said:
        axes.legend(fontsize=7, ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.25))
    return axes


def draw_trajectories(
    examination: Examination, *, picture: NDArray[np.uint8] | None = None,
    regions: Sequence[Region] = (), axes: Axes | None = None,
) -> Axes:  # fmt: skip
    """Where the feet of what was followed went, over a picture, with the regions outlined.

    Parameters
    ----------
    examination
        What `video.find_activity` returned.
    picture
        (H, W, 3) uint8 to draw on.
    regions
        The regions and occluders to outline.
    axes
        Where to draw; a new figure by default.
    """
    if axes is None:
        from matplotlib.figure import Figure as NewFigure

        axes = NewFigure(figsize=(8, 5), layout="constrained").subplots()
    if picture is not None:
        axes.imshow(picture)
    else:
        axes.invert_yaxis()
    for region in regions:
        outline: list[Any] = [*region.polygon, region.polygon[0]]
        axes.plot([p[0] for p in outline], [p[1] for p in outline], color="#ffd54f", linewidth=1.5)
        axes.annotate(
            plain(region.name), region.polygon[0], xytext=(2, 4), textcoords="offset points",
            color="white", fontsize=8, bbox={"facecolor": "black", "alpha": 0.55, "pad": 1.2,
                                             "linewidth": 0},
        )  # fmt: skip
    for seen in examination.observations:
        if isinstance(seen.what, Activity) and seen.what.track:
            _, colour = _MARK[seen.what.kind]
            xs = [p.box.x + p.box.width / 2 for p in seen.what.track]
            ys = [p.box.y + p.box.height for p in seen.what.track]
            axes.plot(xs, ys, color=colour, linewidth=1, alpha=0.8)
    axes.set_xlabel("from the left of the picture (px)")
    axes.set_ylabel("from its top (px)")
    return axes
