"""The alignment in figures: every clip as a bar on one clock, and every camera at one instant.

`draw_timeline` shows what was placed, with what uncertainty, and what was heard and claimed;
`draw_cameras_at` shows what each camera saw at one time of the incident.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics.errors import ForensicsError, RecordInvalid
from forensics.model import (
    Activity,
    Alignment,
    Clip,
    Examination,
    Flash,
    Placement,
    Progress,
    SoundEvent,
    Span,
    Verdict,
    clock_text,
)
from forensics.plots_cover import UNREDACTED, cover_bystanders, say_what_is_covered
from forensics.plots_ink import BASIS_INK, CLAIM_INK, plain, short_name
from forensics.scan import Picture, iter_pictures, read_packets, read_pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["clip_time_s", "draw_cameras_at", "draw_timeline", "picture_at"]

_EVENT = {"sound": "#b3261e", "flash": "#e0a100", "activity": "#3a6b35"}


def _rate(place: Placement) -> float:
    return 1 + place.drift_ppm.value * 1e-6


def clip_time_s(place: Placement, incident_s: float) -> float:
    """The clip's own presentation time at a time of its component's clock, in seconds."""
    return (incident_s - place.offset.value) / _rate(place)


def _half(place: Placement) -> float:
    low, high = place.offset.low, place.offset.high
    return 0.0 if low is None or high is None else (high - low) / 2


def _extent(clip: Clip) -> tuple[float, float]:
    start = float(clip.container.start or 0)
    return start, start + float(clip.duration or 0)


def draw_timeline(
    alignment: Alignment,
    clips: Sequence[Clip],
    *,
    examinations: Sequence[Examination] = (),
    verdicts: Sequence[Verdict] = (),
    title: str = "",
) -> Figure:
    """Draw clips as bars on their clocks, with events, claims and uncertainty.

    Parameters
    ----------
    alignment
        What `audio.align_clips` returned.
    clips
        The clips it was given; for names and lengths.
    examinations
        Of `events`, `video`…: impulses, flashes and activities become marks on their clip's bar
        and, pale, on the whole clock.
    verdicts
        Claims held against the evidence, listed below with their outcome.
    title
        Printed above.

    Returns
    -------
    matplotlib Figure
        Whiskers at a bar's start are the 95 % interval of its offset. Each component has axes of
        its own, for nothing says how their clocks relate. Clips left out are listed with the
        reason, never drawn at time zero.

    Raises
    ------
    RecordInvalid
        A placed clip is not among `clips`.
    """
    from matplotlib.figure import Figure

    known = {clip.digest: clip for clip in clips}
    missing = [p.clip[:12] for p in alignment.placements if p.clip not in known]
    if missing:
        raise RecordInvalid(f"the clips of the alignment are not all here: {', '.join(missing)}")
    groups: dict[int, list[Placement]] = {}
    for place in alignment.placements:
        groups.setdefault(place.component, []).append(place)
    told = _told(alignment, known, verdicts)
    count = max(1, len(groups))
    heights = [0.6 * len(g) + 0.9 for _, g in sorted(groups.items())] or [1.0]
    notes = 0.22 * len(told) + 0.3
    figure = Figure(figsize=(12, sum(heights) + notes + 0.5), layout="constrained")
    grid = figure.subplots(count + 1, 1, height_ratios=[*heights, notes], squeeze=False)[:, 0]
    for axes, (number, group) in zip(grid[:count], sorted(groups.items()), strict=False):
        _draw_group(axes, number, sorted(group, key=lambda p: p.offset.value), known)
        _draw_events(axes, alignment, group, known, examinations)
    if not groups:
        grid[0].set_axis_off()
        grid[0].text(0, 0.5, "No two clips could be placed on one clock.", va="center")
    grid[0].set_title(title or "Clips on the incident clock", loc="left", weight="bold")
    _draw_notes(grid[count], told)
    return figure


def _drift(place: Placement) -> str:
    """How fast the clip's clock runs against the reference's, as far as that is known."""
    value, low, high = place.drift_ppm.value, place.drift_ppm.low, place.drift_ppm.high
    if low is None or high is None:
        return f"clock {value + 0.0:+.0f} ppm"
    half = (high - low) / 2
    if low <= 0 <= high:
        most = max(-low, high)
        return f"no drift measured (within ± {most:.{1 if most < 10 else 0}f} ppm)"
    places = 1 if half < 10 else 0
    return f"clock {value:+.{places}f} ± {half:.{places}f} ppm"


def _draw_group(
    axes: Axes, number: int, group: Sequence[Placement], known: dict[str, Clip]
) -> None:
    for row, place in enumerate(group):
        clip = known[place.clip]
        first, last = _extent(clip)
        start = place.offset.value + first * _rate(place)
        width = (last - first) * _rate(place)
        colour = BASIS_INK[place.basis]
        axes.barh(row, width, left=start, height=0.55, color=colour, alpha=0.35, ec=colour)
        half = _half(place)
        if half:
            axes.errorbar(start, row, xerr=half, color="black", capsize=4, lw=1.4, zorder=4)
        said = "reference" if place.basis == "reference" else (
            f"{place.basis}: {place.offset.value:+.3f} ± {half:.3f} s, {_drift(place)}, "
            f"{len(place.support)} {'partner' if len(place.support) == 1 else 'partners'}"
        )
        axes.text(start + half, row, "  " + said, fontsize=7.5, va="center", zorder=5)
    axes.set_yticks(range(len(group)), [short_name(known[p.clip]) for p in group])
    axes.set_ylim(len(group) - 0.5, -0.6)
    name = "incident clock" if number == 0 else f"clock of group {number + 1}, tied to no other"
    axes.set_xlabel(f"seconds on the {name} (whiskers: 95 % interval of the offset)", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_events(
    axes: Axes, alignment: Alignment, group: Sequence[Placement], known: dict[str, Clip],
    examinations: Sequence[Examination],
) -> None:  # fmt: skip
    rows = {p.clip: n for n, p in enumerate(sorted(group, key=lambda p: p.offset.value))}
    kind, label = "", ""
    for exam in examinations:
        digest = exam.origin.inputs[0] if exam.origin.inputs else ""
        if digest not in rows:
            continue
        for seen in exam.observations:
            what = seen.what
            if isinstance(what, SoundEvent):
                kind, label = "sound", what.label
            elif isinstance(what, Flash):
                kind, label = "flash", "flash"
            elif isinstance(what, Activity):
                kind, label = "activity", f"{what.kind} {what.region}"
            else:
                continue
            at = alignment.on_component_clock(digest, Span(what.time, what.time))
            if at is None:
                continue
            row = rows[digest]
            colour = _EVENT[kind]
            axes.plot([at.start] * 2, [row - 0.27, row + 0.27], color=colour, lw=1.6, zorder=6)
            axes.axvspan(
                at.start - at.uncertainty, at.start + at.uncertainty, color=colour, alpha=0.05, lw=0
            )
            axes.text(at.start, row - 0.29, label, color=colour, fontsize=6, va="bottom",
                      rotation=25)  # fmt: skip


def _told(
    alignment: Alignment, known: dict[str, Clip], verdicts: Sequence[Verdict]
) -> list[tuple[str, str, str]]:
    """Colour, head and text of each line below the bars."""
    lines: list[tuple[str, str, str]] = [
        (CLAIM_INK[v.outcome], v.outcome, f"“{v.claim.text}” {v.reason}") for v in verdicts
    ]
    for left in alignment.unplaced:
        name = known[left.clip].name if left.clip in known else left.clip[:12]
        lines.append(("#555555", "not placed", f"{name}: {left.reason}"))
    lines += [("#7a6a2f", "note", warning) for warning in alignment.warnings]
    # What does not fit on a line goes on below it: a reason cut short is none.
    return [
        (colour, head if first else "", part)
        for colour, head, text in lines
        for first, part in zip([True] + 99 * [False], textwrap.wrap(text, 150), strict=False)
    ]


def _draw_notes(axes: Axes, told: Sequence[tuple[str, str, str]]) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(max(1, len(told)), 0)
    for row, (colour, head, text) in enumerate(told):
        axes.text(0, row + 0.5, head, color=colour, fontsize=8, weight="bold", va="center")
        axes.text(0.1, row + 0.5, plain(text), fontsize=8, va="center")


def picture_at(clip: Clip, time_s: float) -> Picture | None:
    """The picture on show at a presentation time of the clip (s), None if it is not recording.

    Raises
    ------
    StreamMissing, ClipUnreadable, ClipChanged
    """
    first, last = _extent(clip)
    stream = clip.video
    if stream is None or not first <= time_s <= last + 1e-6:
        return None
    packets = read_packets(clip)
    stamps = [int(p) for p in packets.pts[~packets.discard] if p > -(2**62)]
    wanted = int(Fraction(time_s).limit_denominator(1_000_000) / stream.time_base)
    before = [p for p in stamps if p <= wanted]
    if not before:
        return None
    pts = max(before)
    ordinal = sum(p < pts for p in stamps)
    try:
        return read_pictures(clip, [(ordinal, pts)])[0]
    except ForensicsError:
        # Stamps of packets are not always those of frames (field pairs, odd containers).
        low = max(first, time_s - 2)
        found = None
        for picture in iter_pictures(clip, span=Span.of(low, time_s)):
            found = picture
        return found


def draw_cameras_at(
    alignment: Alignment,
    clips: Sequence[Clip],
    time_s: float,
    *,
    component: int = 0,
    columns: int = 3,
    title: str = "",
    unredacted: bool = False,
    progress: Progress | None = None,
) -> Figure:
    """Draw what every camera saw at one time of the incident: a contact sheet.

    Parameters
    ----------
    alignment, clips
        What `audio.align_clips` returned, and the clips it was given.
    time_s
        Seconds on the clock of the component.
    component
        Which group of clips; each has its own clock.
    columns
        Pictures side by side.
    title
        Printed above; the incident time by default.
    unredacted
        Show faces and number plates; otherwise they are covered where they are found.
    progress
        Called with (fraction, text).

    Returns
    -------
    matplotlib Figure
        Each picture with its clip's own time, frame number and the 95 % interval in which the
        instant lies. A camera that was not recording, has no picture, or fails has a grey field
        that says which of the three it is.
    """
    from matplotlib.figure import Figure

    known = {clip.digest: clip for clip in clips}
    group = [p for p in alignment.placements if p.component == component and p.clip in known]
    columns = max(1, min(columns, len(group)))
    lines = max(1, -(-len(group) // columns))
    figure = Figure(figsize=(4.2 * columns, 3.0 * lines + 0.5), layout="constrained")
    # Another group's clock is not the incident's: nothing ties them.
    whose = "on the incident clock" if component == 0 else f"on the clock of group {component + 1}"
    figure.suptitle(title or f"Every camera at {clock_text(time_s)} {whose}")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for number, place in enumerate(group):
        if progress is not None:
            progress(number / len(group), f"reading {known[place.clip].name}")
        _draw_camera(grid[number], known[place.clip], place, time_s, unredacted)
    figure.supxlabel(UNREDACTED if unredacted else say_what_is_covered(), fontsize=7)
    return figure


def _draw_camera(
    axes: Axes, clip: Clip, place: Placement, time_s: float, unredacted: bool
) -> None:
    own = clip_time_s(place, time_s)
    half = _half(place)
    picture: Picture | None = None
    reason = "not recording at this time"
    if clip.video is None:
        reason = "has no picture"
    else:
        try:
            picture = picture_at(clip, own)
        except ForensicsError as error:
            reason = f"failed: {error.message}"
    name = short_name(clip, 34)
    if picture is None:
        axes.add_patch(_field())
        axes.set_xlim(0, 16)
        axes.set_ylim(9, 0)
        axes.text(8, 4.5, plain(textwrap.fill(reason, 34)), ha="center", va="center", fontsize=9)
        axes.set_title(name, fontsize=8)
        axes.set_aspect("equal")
        return
    axes.imshow(picture.rgb if unredacted else cover_bystanders(picture.rgb))
    axes.set_title(
        f"{name}\nclip time {clock_text(picture.pts)}, frame {picture.ordinal}, ±{half:.3f} s",
        fontsize=8,
    )


def _field() -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((0, 0), 16, 9, facecolor="#e4e4e4", edgecolor="#b0b0b0")
