"""Draw the burned-in clock against the clip: where it runs evenly, and the crops that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.errors import RecordInvalid
from forensics.model import ClockReading, Discontinuity, Examination
from forensics.plots_ink import OUTCOME_INK, OUTCOME_WORDS
from forensics.provenance import artefact_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_clock", "draw_clock_crops"]


def _seconds(wall: str) -> float:
    hours, minutes, rest = wall.rsplit("T", maxsplit=1)[-1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def draw_clock(
    reading: Examination, *, breaks: Examination | None = None, axes: Axes | None = None
) -> Axes:
    """Clock minus clip over clip time: level where both run together, a step where they do not.

    Parameters
    ----------
    reading
        What `clock.read_clock` returned.
    breaks
        What `clock.find_clock_breaks` returned for the same clip; its spans are shaded.
    axes
        Where to draw; a new figure by default.

    Raises
    ------
    RecordInvalid
        Nothing was read.
    """
    if axes is None:
        from matplotlib.figure import Figure as NewFigure

        axes = NewFigure(figsize=(9, 3), layout="constrained").subplots()
    said = [(o.what, o.span) for o in reading.observations if isinstance(o.what, ClockReading)]
    if not said:
        raise RecordInvalid("no clock was read, so there is nothing to draw")
    base = _seconds(said[0][0].wall) - float(said[0][0].pts)
    times = [float(what.pts) for what, _ in said]
    apart = [_seconds(what.wall) - float(what.pts) - base for what, _ in said]
    axes.plot(times, apart, "o", color="#1f4e79", markersize=5, label="readings of the clock")
    axes.margins(x=0.03, y=0.25)
    late = times[0] + 0.85 * (times[-1] - times[0])
    for (what, _), time, value in zip(said, times, apart, strict=True):
        right = time > late
        axes.annotate(
            what.wall.split("T")[-1], (time, value), textcoords="offset points",
            xytext=(-4 if right else 4, 6), ha="right" if right else "left", fontsize=7,
        )  # fmt: skip
    for number, seen in enumerate(breaks.observations if breaks is not None else ()):
        if isinstance(seen.what, Discontinuity) and seen.span is not None:
            low, high = float(seen.span.start), float(seen.span.end)
            middle, half = (low + high) / 2, max((high - low) / 2, 0.05)
            step = seen.measures.get("step")
            label = f"{number + 1}: {seen.what.kind.replace('-', ' ')}" + (
                f", {step.value:+.2f} s" if step is not None else ""
            )
            axes.axvspan(
                middle - half, middle + half, color=OUTCOME_INK[seen.what.verdict], alpha=0.5,
                label=f"{label}: {OUTCOME_WORDS[seen.what.verdict]}",
            )  # fmt: skip
            axes.annotate(
                str(number + 1), (middle, 1), xycoords=axes.get_xaxis_transform(), xytext=(0, 2),
                textcoords="offset points", ha="center", fontsize=7,
            )  # fmt: skip
    axes.set_xlabel("time in the clip (s)")
    axes.set_ylabel("burned-in clock\nless time in the clip (s),\nfirst reading = 0", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(0, -0.22), frameon=False, ncols=3)
    return axes


def draw_clock_crops(examination: Examination, *, most: int = 12) -> Figure:
    """The crops kept as proof, one above the other, each named by its frame and pixel hash.

    Raises
    ------
    RecordInvalid
        The examination carries no crops.
    """
    import io

    from matplotlib import image
    from matplotlib.figure import Figure as NewFigure

    kept = [a for o in examination.observations for a in o.artefacts][:most]
    if not kept:
        raise RecordInvalid("the examination carries no crops")
    figure = NewFigure(figsize=(6, 0.75 * len(kept) + 0.3), layout="constrained")
    for axes, artefact in zip(
        figure.subplots(len(kept), 1, squeeze=False)[:, 0], kept, strict=True
    ):
        axes.imshow(image.imread(io.BytesIO(artefact_bytes(artefact))), interpolation="nearest")
        axes.set_title(artefact.label, fontsize=7, loc="left")
        axes.set_axis_off()
    return figure
