"""How sure is a reading of the clock? Breaks are kept only where both sides are read surely.

Pure functions of arrays. A misread figure looks like a clock that jumps, so every break must stand
between two steady stretches whose figures the picture itself tells apart; whatever does not is
no break but a stretch in which nothing can be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from forensics.clock_walk import Break, figures_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = ["Evidence", "Judged", "judge", "steady_rate"]

#: Seconds that must run evenly on either side of a break.
_LEAST_RUN = 4
#: The same where only a recogniser vouches for the figures, and how long it must see a stop: two
#: seconds that it took for one are no stop.
_LEAST_ALONE, _STOOD_ALONE_S = 6, 2.6
#: Seconds beside a break that an edit may leave cut short or blended.
_SLACK = 2
#: How much better, in likeness, the figures read must fit than those of an uninterrupted clock.
_LEAST_APART = 0.12
#: The same as a share of what this clip's own seconds have.
_SHARE_APART = 0.4
_LEAST_FIT = 0.35
#: Seconds by which the beat may stray.
_MOST_STRAY_S = 0.45
#: Share of the time a recogniser that reads alone must have read something that fits.
_LEAST_HELD = 0.85


@dataclass(frozen=True)
class Evidence:
    """What each second's reading rests on.

    `fit` (n,) is how well the ticking figure fits its look. `scores` (n, places, 10) are the
    likenesses of every place to every figure: six places HHMMSS, or one (the units of the seconds)
    where the others could not be placed. `said` (n,) is the second of the day a recogniser
    read, -1 where it read none; `held` (n,) the share of the second in which it was seen.
    `alone`: nothing but the recogniser vouches for the seconds.
    """

    fit: Floats
    scores: Floats | None
    said: NDArray[np.int64]
    held: Floats
    read: bool
    twelve: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Judged:
    """Breaks that may be reported, which seconds are read surely, and stretches left open."""

    breaks: tuple[Break, ...]
    sure: NDArray[np.bool_]
    doubt: tuple[tuple[float, float], ...]


def steady_rate(slopes: Floats, slack: float) -> float:
    """The rate that short slopes agree on: 1 if a third of them allow it, else their median.

    A few breaks spoil half of the slopes of a short clip, but they do not make them agree.
    """
    import numpy as np

    if not len(slopes) or float(np.mean(np.abs(slopes - 1.0) <= slack)) >= 1 / 3:
        return 1.0
    return float(np.median(slopes))


def _shown(evidence: Evidence, wall: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, places) figures that `evidence.scores` would have to show for these seconds."""
    assert evidence.scores is not None
    if evidence.scores.shape[1] == 1:
        return (wall % 10)[:, None]
    return figures_of(wall % 86_400, evidence.twelve)


def _margins(evidence: Evidence, wall: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean and least margin (n,) of the figures read over the next best, over legible places."""
    import numpy as np

    assert evidence.scores is not None
    scores = evidence.scores
    used = scores.any(axis=(0, 2))
    shown = _shown(evidence, wall)[..., None]
    chosen = np.take_along_axis(scores, shown, axis=2)[..., 0]
    others = scores.copy()
    np.put_along_axis(others, shown, -1.0, axis=2)
    gap = (chosen - others.max(axis=2))[:, used]
    return gap.mean(axis=1), gap.min(axis=1)


def _clear(evidence: Evidence, wall: NDArray[np.int64]) -> tuple[NDArray[np.bool_], float]:
    """Which seconds are clearly what they were read as, and the margin a step must show."""
    import numpy as np

    n = len(wall)
    said = (evidence.said == wall % 86_400) & (evidence.said >= 0)
    other = (evidence.said != wall % 86_400) & (evidence.said >= 0)
    if evidence.scores is None or not evidence.scores.any():
        # A recogniser that misses one second in six is not to be believed on the others.
        lost = evidence.alone and float(np.mean(evidence.held)) < _LEAST_HELD
        return said & (not lost), 0.0
    mean, least = _margins(evidence, wall)
    usual = float(np.median(mean)) if n else 0.0
    clear = (mean >= max(0.05, _SHARE_APART * usual)) & (least > -0.1)
    clear &= evidence.fit >= max(_LEAST_FIT, 0.6 * float(np.median(evidence.fit)))
    # A recogniser that contradicts casts doubt; one that agrees removes it.
    return (clear & ~other) | said, max(_LEAST_APART, _SHARE_APART * usual)


def _apart(
    evidence: Evidence, wall: NDArray[np.int64], index: NDArray[np.int64], step: int, need: float
) -> bool:
    """Whether the picture tells the seconds read from the same clock moved by `step` seconds."""
    import numpy as np

    if step == 0:
        return True
    agreed = int((evidence.said[index] == wall[index] % 86_400).sum())
    if evidence.scores is None or not evidence.scores.any():
        return agreed >= min(3, len(index))
    used = evidence.scores.any(axis=(0, 2))
    ours, theirs = _shown(evidence, wall), _shown(evidence, wall - step)
    at = np.arange(evidence.scores.shape[1])
    better = []
    for i in index:
        differ = (ours[i] != theirs[i]) & used
        if differ.any():
            gain = evidence.scores[i][at, ours[i]] - evidence.scores[i][at, theirs[i]]
            # The worst place decides: one misread figure is enough to make a jump of its own.
            better.append(float(gain[differ].min()))
    if not better:
        return agreed >= min(3, len(index))
    usual = float(np.median(better))
    # Two witnesses: the looks lean that way and the recogniser says so.
    return usual >= need or (usual >= 0.5 * need and agreed >= 3)


def _run(
    offset: Floats, wall: NDArray[np.int64], good: NDArray[np.bool_], start: int, step: int,
    tol: float, stop: int, least: int,
) -> NDArray[np.int64]:  # fmt: skip
    """The nearest even run of clear seconds from `start` on, in direction `step`; may be empty.

    Every second must be seen: a run that leaves some out may be figures that were not told apart.
    """
    import numpy as np

    for skip in range(_SLACK + 1):
        index: list[int] = []
        i = start + skip * step
        while (i < stop if step > 0 else i > stop) and len(index) < 8:
            if index and (
                wall[i] - wall[i - step] != step
                or abs(offset[i] - np.median(offset[index])) > tol
            ):
                break
            index.append(i)
            i += step
        picked = np.array(sorted(index), np.int64)
        if len(picked) >= least and good[picked].sum() >= max(least - 1, 0.75 * len(picked)):
            return picked
    return np.zeros(0, np.int64)


def judge(
    edges: Floats, wall: Floats, breaks: Sequence[Break], evidence: Evidence, *, end_s: float,
    frame_s: float, rate: float, jitter_s: float,
) -> Judged:  # fmt: skip
    """Which breaks may be reported, and where the clock was not read surely.

    Parameters
    ----------
    edges, wall
        As for `find_breaks`.
    breaks
        What `find_breaks` returned.
    evidence
        What each second rests on.
    end_s, frame_s
        Time of the last frame and seconds between frames.
    rate, jitter_s
        Clock seconds per clip second, and the jitter of the beat in seconds.

    Returns
    -------
    Judged
        A break is kept where at least four seconds on either side run evenly, are clear and
        cannot as well be the clock of the other side run on.

    When it errs
    ------------
    It drops true breaks closer than four seconds to each other or to an end of the clip (six with
    a recogniser alone), and a clock that is set and set back within that time: both become *not
    testable* (incompleteness). It keeps a misreading that fits the picture clearly better than
    the truth over four seconds on end, and one that a recogniser repeats (misinterpretation).
    """
    import numpy as np

    n = len(wall)
    shown = np.asarray(wall, np.int64)
    clear, need = _clear(evidence, shown)
    offset = wall - edges * rate
    tol = max(2.2 * frame_s, 6.0 * jitter_s)
    # A beat that strays by more than this is no beat: steps and rates from it mean nothing.
    sane = tol <= max(2.2 * frame_s, _MOST_STRAY_S)
    least = _LEAST_ALONE if evidence.alone else _LEAST_RUN
    sure = _steady(offset, shown, clear, tol, least) & sane
    kept: list[Break] = []
    doubt: list[tuple[float, float]] = []
    for item in breaks:
        k = int(np.clip(np.searchsorted(edges, item.after_s - 1e-6), 0, n))
        stood = item.kind == "frozen"
        before = _run(offset, shown, clear, (item.segment if stood else k) - 1, -1, tol, 0, least)
        after = _run(offset, shown, clear, k, 1, tol, n, least)
        fine = sane and len(before) > 0 and (len(after) > 0 or (stood and k >= n))
        if fine and stood:
            fine = bool(clear[item.segment]) and float(evidence.held[item.segment]) >= 0.7
            fine = fine and (not evidence.alone or item.stood_s >= _STOOD_ALONE_S)
            fine = fine and evidence.fit[item.segment] >= 0.85 * float(np.median(evidence.fit))
        if fine and len(after):
            step = float(np.median(offset[after]) - np.median(offset[before]))
            whole = round(step)
            fine = stood or abs(step) > tol
            if abs(step) >= 0.75:
                fine = (
                    fine and _apart(evidence, shown, after, whole, need)
                    and _apart(evidence, shown, before, -whole, need)
                )  # fmt: skip
            if fine and stood:
                item = replace(item, step_s=step if abs(step) > tol else 0.0)
            elif fine:
                item = replace(item, step_s=step, kind="missing" if 0 < step < 600 else "jump")
        if fine:
            kept.append(item)
        else:
            doubt.append((item.before_s, item.after_s))
    kept = _without_returns(kept, evidence, tol, doubt)
    held = np.r_[edges[1:], end_s]
    doubt += [(float(edges[i]), float(held[i])) for i in np.flatnonzero(~sure)]
    return Judged(tuple(kept), sure, tuple(_joined(doubt)))


def _steady(
    offset: Floats, wall: NDArray[np.int64], clear: NDArray[np.bool_], tol: float, least: int
) -> NDArray[np.bool_]:
    """Clear seconds that stand within `least` or more that run evenly (the first has no edge)."""
    import numpy as np

    n = len(offset)
    even = np.zeros(n, bool)
    a = 1
    for b in range(2, n + 1):
        if b == n or wall[b] - wall[b - 1] != 1 or abs(offset[b] - np.median(offset[a:b])) > tol:
            even[a:b] = b - a >= least
            a = b
    # The first second began before the clip, and one cut short by an edit starts or ends oddly:
    # beside an even run, and clear, they are as sure as the run.
    near, next_up = even.copy(), np.diff(wall) == 1
    near[:-1] |= even[1:] & next_up
    near[1:] |= even[:-1] & next_up
    out: NDArray[np.bool_] = near & clear
    return out


def _without_returns(
    kept: list[Break], evidence: Evidence, tol: float, doubt: list[tuple[float, float]]
) -> list[Break]:
    """Without pairs that go away and come back where only a recogniser vouches for the figures.

    A recogniser that takes one figure for another does so for as long as the figure stands, so
    there and back by the same whole number of seconds is how its errors look.
    """
    if evidence.scores is not None and evidence.scores.any():
        return kept
    out: list[Break] = []
    for item in kept:
        last = out[-1] if out else None
        if last is not None and "frozen" not in (last.kind, item.kind) and (
            abs(last.step_s + item.step_s) <= 2 * tol and item.after_s - last.after_s <= 61.5
        ):
            out.pop()
            doubt.append((last.before_s, item.after_s))
        else:
            out.append(item)
    return out


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Touching spans as one, in order of time."""
    out: list[tuple[float, float]] = []
    for a, b in sorted(spans):
        if out and a <= out[-1][1] + 1e-6:
            out[-1] = (out[-1][0], max(out[-1][1], b))
        else:
            out.append((a, b))
    return out
