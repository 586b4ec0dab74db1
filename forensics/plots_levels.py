"""What every level found in one clip, on one time axis, and in words: a part of the figure.

Bars carry numbers only, so that findings which lie close together stay readable; the list below
says what each number stands for, and the column on the right what became of each level.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from forensics.edits_merge import LEVELS
from forensics.model import Clip, Discontinuity, Examination, Observation, clock_text
from forensics.plots_ink import (
    NOT_TESTABLE,
    OUTCOME_INK,
    OUTCOME_LINE,
    OUTCOME_WORDS,
    outcome_keys,
    plain,
)
from forensics.plots_sound import one_trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LISTED", "draw_legend", "draw_levels", "draw_list", "levels_of"]

#: Heights in a row at which the numbers of findings that lie close together stand in turn.
_HEIGHTS = (0.0, 0.3, -0.3)
#: So many findings are listed; the rest stand in the text.
LISTED = 14

#: What each level looks at, for somebody who has not met these words.
_LEVEL_WORDS = {
    "container": "container (the file)", "timestamps": "time stamps", "bitstream": "bitstream",
    "compression": "compression (older coding)", "frame": "frame (the pictures)",
    "audio": "audio (the sound)", "hum": "hum (of the mains)", "clock": "clock (burned in)",
    "comparison": "comparison (other clips)",
}  # fmt: skip

#: What could not be looked for where one trace is missing.
_TRACE_WORDS = {
    "frame grid": "shifts of coded sound", "room": "changes of room",
    "repeats, room": "repeats and changes of room", "impulse": "impulses",
    "deletion before a re-encoding": "a deletion before a re-encoding",
    "inside a picture": "edits inside a picture",
}  # fmt: skip
#: Characters of a line beside a level.
_WIDE = 40

#: Columns of the list, as shares of its width, and how many characters fit.
_COLUMNS = ((0.028, 29), (0.215, 29), (0.375, 26), (0.525, 29), (0.705, 52))


def levels_of(seen: Sequence[Observation], examination: Examination) -> list[str]:
    """The levels that were asked or have something to show, in the order of the floors."""
    named: set[str] = {o.what.level for o in seen if isinstance(o.what, Discontinuity)}
    # Each level's own examination is kept beside the merged one, whatever it found.
    kept = re.compile(r"examination of the (\w+) level")
    named |= {m[1] for a in examination.artefacts if (m := kept.fullmatch(a.label or ""))}
    named |= {s for o in seen for s in _levels(o)}
    named |= {n.reason.split(":")[0] for n in examination.coverage.not_testable}
    return [level for level in LEVELS if level in named] or ["frame"]


def _levels(seen: Observation) -> list[str]:
    """The levels that support one finding, in the order of the floors."""
    said = seen.what
    assert isinstance(said, Discontinuity)
    named = {said.level} | {s.split(":")[0] for s in said.supports}
    return [level for level in LEVELS if level in named]


def _is_whole(seen: Observation, examination: Examination) -> bool:
    whole = examination.coverage.span
    if seen.span is None or whole is None:
        return seen.span is None
    return float(seen.span.length) > 0.98 * float(whole.length)


def draw_levels(
    axes: Axes, clip: Clip, seen: Sequence[Observation], levels: Sequence[str],
    examination: Examination,
) -> None:  # fmt: skip
    """One row a level: numbered findings, what could not be tested, and in words what came of it.

    Parameters
    ----------
    axes
        Where to draw; its x axis is seconds of the clip.
    clip
        The clip examined.
    seen
        What was found, in the order of its numbers.
    levels
        The rows, from the top.
    examination
        From `edits.find_edits`, or one level's own.
    """
    rows = {level: len(levels) - 1 - n for n, level in enumerate(levels)}
    whole = examination.coverage.span
    absent: dict[str, str] = {}
    traces: dict[str, list[str]] = {}
    blind: dict[str, list[tuple[float, float]]] = {}
    for part in examination.coverage.not_testable:
        level, _, reason = part.reason.partition(": ")
        if level not in rows:
            level, reason = "frame", part.reason
        if level not in rows:
            continue
        low, wide = float(part.span.start), float(part.span.length)
        # Where one trace is missing the level was looked at all the same: a narrow strip.
        trace = one_trace(reason)
        if trace:
            known = traces.setdefault(level, [])
            known += [trace] if trace not in known else []
        elif whole is not None and wide > 0.98 * float(whole.length):
            absent[level] = reason
        else:
            blind.setdefault(level, []).append((low, low + wide))
        place = (rows[level] - 0.45, 0.18) if trace else (rows[level] - 0.45, 0.9)
        axes.broken_barh([(low, wide)], place, zorder=1, **NOT_TESTABLE)
    taken: dict[tuple[int, float], float] = {}
    for number, observation in enumerate(seen, start=1):
        whole_file = _is_whole(observation, examination)
        _draw_finding(axes, number, observation, rows, whole_file, taken)
    length = float(whole.length) if whole is not None else 0.0
    for level in levels:
        found = [n for n, o in enumerate(seen, start=1) if level in _levels(o)]
        told = _came_of(level, found, absent, blind, length, clip, examination)
        if level in traces:
            lacking = " and ".join(_TRACE_WORDS.get(name, name) for name in traces[level])
            told += "\n" + textwrap.fill(f"narrow strip: no test for {lacking}", _WIDE)
        axes.annotate(
            plain(told), (1, rows[level]), xycoords=axes.get_yaxis_transform(), xytext=(6, 0),
            textcoords="offset points", va="center", fontsize=7.5, color="#333333",
            annotation_clip=False, linespacing=1.15,
        )  # fmt: skip
    axes.set_yticks([rows[n] for n in levels], [_LEVEL_WORDS.get(n, n) for n in levels])
    axes.set_ylim(-0.6, len(levels) - 0.4)


def _came_of(
    level: str, found: Sequence[int], absent: dict[str, str],
    blind: dict[str, list[tuple[float, float]]], length: float, clip: Clip,
    examination: Examination,
) -> str:  # fmt: skip
    """A level's outcome in a few words."""
    if level in absent and not found:
        return textwrap.fill(_short(absent[level], clip), _WIDE, max_lines=2, placeholder=" …")
    if not found and examination.outcome not in ("found", "nothing-found"):
        return examination.outcome.replace("-", " ")
    lost = sum(high - low for low, high in _joined(blind.get(level, [])))
    told = f"found: {', '.join(map(str, found))}" if found else "nothing found"
    if len(found) > 8:
        told = f"found: {len(found)}"
    share = 100 * lost / length if length else 0.0
    return told + (f"; {max(1, round(share))} % not testable" if lost else "")


def _short(reason: str, clip: Clip) -> str:
    """The first thing a reason says, without what every reader of the row knows."""
    head, _, rest = reason.partition(": ")
    said = rest if head in ("not applicable", "failed") else reason
    said = said.removeprefix("not testable: ").replace(clip.name, "the file")
    said = re.split(r"[;:(]", said, maxsplit=1)[0].strip()
    if said == "not measurable":
        return said
    return f"{'failed' if head == 'failed' else 'not testable'}: {said}"


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        else:
            joined.append((low, high))
    return joined


def _draw_finding(
    axes: Axes, number: int, seen: Observation, rows: dict[str, int], whole: bool,
    taken: dict[tuple[int, float], float],
) -> None:  # fmt: skip
    said = seen.what
    assert isinstance(said, Discontinuity)
    ink, line = OUTCOME_INK[said.verdict], OUTCOME_LINE[said.verdict]
    edges = axes.get_xlim()
    if seen.span is not None:
        edges = float(seen.span.start), float(seen.span.end)
    for row in (rows[level] for level in _levels(seen) if level in rows):
        if whole:
            # A fact about the whole file is a line, not a wall.
            axes.plot(edges, [row, row], color=ink, linewidth=2, zorder=2, linestyle=line)
        else:
            axes.broken_barh([(edges[0], edges[1] - edges[0])], (row - 0.3, 0.6), facecolor=ink,
                             alpha=0.45, linewidth=0, zorder=2)  # fmt: skip
            axes.plot([edges[0]] * 2, [row - 0.32, row + 0.32], color=ink, linewidth=2, zorder=3)
        _badge(axes, number, edges[0], row + _free_height(axes, edges[0], row, taken), said.verdict)


def _free_height(
    axes: Axes, at: float, row: int, taken: dict[tuple[int, float], float]
) -> float:
    """The first height in a row whose last number is far enough off; else the one farthest off."""
    low, high = axes.get_xlim()
    apart = {h: at - taken.get((row, h), low - (high - low)) for h in _HEIGHTS}
    clear = (h for h in _HEIGHTS if apart[h] > 0.022 * (high - low))
    height = next(clear, max(_HEIGHTS, key=lambda h: apart[h]))
    taken[row, height] = at
    return height


def _badge(
    axes: Axes, number: int, at: float, height: float, verdict: str
) -> None:
    """A finding's number: white on dark, dark on white, by its outcome."""
    ink, sure = OUTCOME_INK[verdict], verdict == "inconsistent"
    axes.annotate(
        str(number), (at, height), ha="center", va="center", fontsize=7, zorder=5,
        fontweight="bold", color="white" if sure else "#222222", annotation_clip=False,
        bbox={"boxstyle": "round,pad=0.22", "facecolor": ink if sure else "white",
              "edgecolor": ink, "linewidth": 1.2, "linestyle": OUTCOME_LINE[verdict]},
    )  # fmt: skip


def draw_list(axes: Axes, seen: Sequence[Observation], examination: Examination) -> None:
    """What each number stands for: when, what, seen where, the outcome, the first explanation."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    lines = min(len(seen), LISTED) + (len(seen) > LISTED)
    axes.set_ylim(lines + 0.5, -0.6)
    heads = ("when", "what", "seen in", "outcome", "first of its explanations")
    for (x, _), head in zip(_COLUMNS, heads, strict=True):
        axes.text(x, -0.1, head, fontsize=7.5, color="#555555", va="center")
    for row, observation in enumerate(seen[:LISTED], start=1):
        said = observation.what
        assert isinstance(said, Discontinuity)
        when = "the whole file" if _is_whole(observation, examination) else _when(observation)
        why = next((e for e in sorted(said.explanations, key=lambda e: e.rank)), None)
        cells = (
            when, said.kind.replace("-", " "), ", ".join(_levels(observation)),
            OUTCOME_WORDS[said.verdict],
            "" if why is None else
            f"{why.name.replace('-', ' ')} ({'innocent' if why.benign else 'an edit'})",
        )  # fmt: skip
        _badge(axes, row, 0.01, row, said.verdict)
        for (x, wide), cell in zip(_COLUMNS, cells, strict=True):
            axes.text(x, row, plain(textwrap.shorten(cell, wide, placeholder=" …")), fontsize=8,
                      va="center")  # fmt: skip
    if len(seen) > LISTED:
        axes.text(_COLUMNS[0][0], lines, f"and {len(seen) - LISTED} more, which the text names",
                  fontsize=8, va="center")  # fmt: skip


def _when(seen: Observation) -> str:
    assert seen.span is not None
    first, last = clock_text(seen.span.start), clock_text(seen.span.end)
    return first if first == last else f"{first} to {last}"


def draw_legend(axes: Axes, seen: Sequence[Observation]) -> None:
    """The three outcomes and the hatching, below the figure."""
    from matplotlib.patches import Patch

    found = {o.what.verdict for o in seen if isinstance(o.what, Discontinuity)}
    handles = outcome_keys(found | {"inconsistent", "inconclusive"})
    blind = Patch(label="hatched: not testable, an edit here would not have been seen",
                  **NOT_TESTABLE)  # fmt: skip
    figure: Any = axes.figure
    figure.legend(
        handles=[*handles, blind], loc="outside lower center", ncols=4, frameon=False, fontsize=8
    )
