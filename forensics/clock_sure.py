"""How sure is a reading of the clock? Breaks are kept only where both sides are read surely.

Pure functions of arrays. A misread figure looks like a clock that jumps, so every break must stand
between two steady stretches, and the frames of either must speak clearly against the clock of the
other one run on; whatever does not is no break but a stretch in which nothing can be said.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from forensics.clock_course import DAY_S, figures_of, support_of
from forensics.clock_swaps import without_returns
from forensics.clock_walk import Break

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
#: Fewer are enough, at an end of the clip above all, where every figure is plain to see and a
#: recogniser reads the same in each.
_LEAST_PLAIN = 2
#: Readings of a recogniser that must agree where the last figure shows nothing of a step, and on
#: every even stretch.
_WITNESSES = 2
#: Seconds beside a break that an edit may leave cut short or blended.
_SLACK = 2
#: By how many nats the frames of a run must speak against the other side's clock run on, and those
#: of a second that stood against the clock going on.
_APART, _APART_STOOD = 16.0, 8.0
#: How far a place may speak against the figure read in it, within one second, and how far the last
#: place must speak for it.
_AGAINST, _FOR = -3.0, 1.0
#: Clearly enough to overrule a recogniser that says otherwise.
_CERTAIN = 6.0
#: How much less likely, in nats, a place for a break may be than the likeliest one: at least so
#: much, and as much as the frames of so many seconds on either side were seen to mislead.
_SUPPORT, _AROUND = 1.0, 30
#: Readings of a recogniser in a row that say one and the same other clock.
_RUN_SAID = 3
#: Seconds by which the beat may stray.
_MOST_STRAY_S = 0.45
#: Share of the readings of a recogniser that must fit where there is nothing else.
_LEAST_HELD = 0.85


@dataclass(frozen=True)
class Evidence:
    """What the seconds read rest on.

    `times` (n,) of frames and their evidence `scores` (n, 6, 10) in nats for every figure at every
    place HHMMSS, zeros where a place is not told apart. `said` (m,) is the second of the day a
    recogniser read in each second followed, -1 where it read none. `read`: more than the units is
    known. `alone`: nothing but the recogniser vouches for the seconds.
    """

    times: Floats
    scores: Floats
    said: NDArray[np.int64]
    read: bool
    twelve: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Judged:
    """Breaks that may be reported, which seconds are read surely, how clear each is (0 to 1), and
    stretches left open.
    """

    breaks: tuple[Break, ...]
    sure: NDArray[np.bool_]
    clear: Floats
    doubt: tuple[tuple[float, float], ...]


def steady_rate(slopes: Floats, slack: float) -> float:
    """The rate that short slopes agree on: 1 if a third of them allow it, else their median.

    A few breaks spoil half of the slopes of a short clip, but they do not make them agree.
    """
    import numpy as np

    if not len(slopes) or float(np.mean(np.abs(slopes - 1.0) <= slack)) >= 1 / 3:
        return 1.0
    return float(np.median(slopes))


def _margins(
    edges: Floats, wall: NDArray[np.int64], evidence: Evidence
) -> tuple[Floats, NDArray[np.int64]]:
    """Margin (m, places) in nats of the figure read over the next best, and which places count."""
    import numpy as np

    bounds = np.searchsorted(evidence.times, edges - 1e-6)
    sums = np.add.reduceat(evidence.scores.astype(np.float32), bounds, axis=0)
    used = np.flatnonzero(evidence.scores.any(axis=(0, 2)))
    shown = figures_of(wall % DAY_S, evidence.twelve)[..., None]
    chosen = np.take_along_axis(sums, shown, axis=2)[..., 0]
    np.put_along_axis(sums, shown, -1e9, axis=2)
    out: Floats = (chosen - sums.max(axis=2))[:, used]
    return out, used


def _clear(
    edges: Floats, wall: NDArray[np.int64], evidence: Evidence
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Floats]:
    """Which seconds are clearly what they were read as, which of those beyond doubt, and how clear
    each is, 0 to 1.
    """
    import numpy as np

    margins, used = _margins(edges, wall, evidence)
    if not len(used):
        return np.zeros(len(wall), bool), np.zeros(len(wall), bool), np.zeros(len(wall))
    likely = (1 / (1 + np.exp(-np.clip(margins, -30, 30)))).mean(axis=1)
    if evidence.alone:
        agreed = evidence.said == wall % DAY_S
        told = evidence.said >= 0
        # A recogniser that misses one second in six is not to be believed on the others.
        held = float(np.mean(agreed[told])) if told.any() else 0.0
        return agreed & (held >= _LEAST_HELD), np.zeros(len(wall), bool), likely
    least = margins.min(axis=1)
    clear = (least > _AGAINST) & (margins[:, -1] > _FOR)
    # A recogniser that contradicts casts doubt, unless every figure is plain to see.
    other = (evidence.said >= 0) & (evidence.said != wall % DAY_S) & evidence.read
    plain = (least > _CERTAIN) & (evidence.said == wall % DAY_S) & (len(used) == 6)
    clear &= ~other | (least > _CERTAIN)
    if evidence.read:
        clear &= ~_never_told(wall, evidence.said)
    return clear, plain, likely


def _never_told(wall: NDArray[np.int64], said: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Seconds in which a recogniser reads something else each time, three times and more on end.

    It may take one figure for another, for as long as that stands; or another clock runs there, or
    the figures were learned wrong from this very clip, and fit it.
    """
    import numpy as np

    out = np.zeros(len(wall), bool)
    told = np.flatnonzero(said >= 0)
    agrees = np.flatnonzero(np.r_[True, said[told] == wall[told] % DAY_S, True])
    for a, b in itertools.pairwise(agrees.tolist()):
        if b - a - 1 >= _RUN_SAID:
            out[told[a] : told[b - 2] + 1] = True
    return out


@dataclass(frozen=True)
class _Clock:
    """Seconds read, their offset to the clip, and the evidence: what tests of a break need."""

    edges: Floats
    wall: NDArray[np.int64]
    offset: Floats
    clear: NDArray[np.bool_]
    plain: NDArray[np.bool_]
    end_s: float
    rate: float
    evidence: Evidence

    def run(self, start: int, step: int, tol: float, least: int) -> NDArray[np.int64]:
        """The nearest even run of clear seconds from `start` on, in direction `step`; or none.

        Every second must be seen: a run that leaves some out may be figures not told apart.
        """
        import numpy as np

        stop = len(self.wall) if step > 0 else 0
        for skip in range(_SLACK + 1):
            index: list[int] = []
            i = start + skip * step
            while (i < stop if step > 0 else i > stop) and len(index) < 8:
                if index and (
                    self.wall[i] - self.wall[i - step] != step
                    or abs(self.offset[i] - np.median(self.offset[index])) > tol
                ):
                    break
                index.append(i)
                i += step
            picked = np.array(sorted(index), np.int64)
            good = int(self.clear[picked].sum())
            if len(picked) >= least and good >= max(least - 1, 0.75 * len(picked)):
                return picked
            if len(picked) >= _LEAST_PLAIN and self.plain[picked].all():
                return picked
        return np.zeros(0, np.int64)

    def begun(self, start: int) -> NDArray[np.int64]:
        """Seconds from `start`, or from the one cut short before it, to the clip's end, if all are
        plain; the last one, which the end cuts short, need only be clear.
        """
        import numpy as np

        for first in (max(0, start - 1), start):
            index = np.arange(first, len(self.wall))
            follows = len(index) >= _LEAST_PLAIN and bool((np.diff(self.wall[index]) == 1).all())
            if follows and self.plain[index[:-1]].all() and self.clear[index[-1]]:
                return index
        return index[:0]

    def ahead(self, index: NDArray[np.int64], offset: float) -> float:
        """Nats by which the frames of seconds speak for what was read over a clock of `offset`."""

        last = int(index[-1]) + 1
        until = float(self.edges[last]) if last < len(self.edges) else self.end_s + 1.0
        return self.over(float(self.edges[index[0]]), until, offset)

    def over(self, start_s: float, until_s: float, offset: float) -> float:
        """The same for a span of clip time."""
        import numpy as np

        proof = self.evidence
        inside = (proof.times >= start_s - 1e-6) & (proof.times < until_s - 1e-6)
        times = proof.times[inside]
        ours = self.wall[np.searchsorted(self.edges, times + 1e-6, side="right") - 1]
        theirs = np.floor(times * self.rate + offset + 1e-3).astype(np.int64)
        scores = proof.scores[inside]
        gain = support_of(scores, ours, proof.twelve) - support_of(scores, theirs, proof.twelve)
        return float(gain.sum())

    def cut(self, before: NDArray[np.int64], after: NDArray[np.int64], level: float, other: float
            ) -> tuple[float, float, float]:  # fmt: skip
        """The last frame sure to be before the break, the first one sure to be after it, and the
        likeliest first one (clip times): every frame between two even runs may be the first.
        """
        import numpy as np

        proof, last = self.evidence, int(after[0]) + 1
        until = float(self.edges[last]) if last < len(self.edges) else self.end_s + 1e-3
        first = int(np.searchsorted(proof.times, self.edges[before[-1]] - 1e-6))
        stop = int(np.searchsorted(proof.times, until - 1e-6))
        times, scores = proof.times[first:stop], proof.scores[first:stop]
        # A beat may come a frame early or late: beside it, both seconds will do.
        slack = 0.6 * float(np.median(np.diff(proof.times))) * self.rate
        fits = []
        for offset in (level, other):
            shown = [np.floor(times * self.rate + offset + by).astype(np.int64)
                     for by in (-slack, slack)]  # fmt: skip
            fits.append(np.max([support_of(scores, s, proof.twelve) for s in shown], axis=0))
        # If the break comes before frame i, frames up to there are of the old clock.
        total = np.r_[0.0, np.cumsum(fits[0] - fits[1], dtype=np.float64)]
        step = round(other - level) or 1
        allowed = max(self.misled(before, step), self.misled(after, -step), _SUPPORT)
        likely = np.flatnonzero(total >= total.max() - allowed)
        stamps = np.r_[proof.times[first - 1] if first else times[0], times, self.end_s]
        a, b, best = int(likely[0]), int(likely[-1]), int(total.argmax())
        return float(stamps[a]), float(stamps[b + 1]), float(stamps[best + 1])

    def misled(self, run: NDArray[np.int64], step: int) -> float:
        """By how many nats frames in a row speak at most for a clock ahead by `step`, falsely.

        Looked for in the seconds of the same stretch around a run, clear or not.
        """
        import numpy as np

        joined = np.diff(self.wall) == 1
        first, last = int(run[0]), int(run[-1])
        while first > 0 and joined[first - 1] and run[0] - first < _AROUND:
            first -= 1
        while last < len(joined) and joined[last] and last - run[-1] < _AROUND:
            last += 1
        proof = self.evidence
        until = float(self.edges[last + 1]) if last + 1 < len(self.edges) else self.end_s + 1.0
        inside = (proof.times >= self.edges[first] - 1e-6) & (proof.times < until - 1e-6)
        own = self.wall[np.searchsorted(self.edges, proof.times[inside] + 1e-6, side="right") - 1]
        scores = proof.scores[inside]
        for_other = support_of(scores, own + step, proof.twelve)
        for_other -= support_of(scores, own, proof.twelve)
        run_on = np.r_[0.0, np.cumsum(for_other, dtype=np.float64)]
        return float((run_on - np.minimum.accumulate(run_on)).max())

    def witnessed(self, index: NDArray[np.int64]) -> bool:
        """Whether a recogniser, if there is one, reads the same in two of these seconds."""
        said = self.evidence.said
        agreed = int((said[index] == self.wall[index] % DAY_S).sum())
        return agreed >= _WITNESSES or not (said >= 0).any()

    def gainsaid(self, index: NDArray[np.int64], offset: float) -> bool:
        """Whether a recogniser reads the other clock in these seconds rather than this one."""
        import numpy as np

        said = self.evidence.said[index]
        theirs = np.floor(self.edges[index] * self.rate + offset + 0.5).astype(np.int64)
        ours = int((said == self.wall[index] % DAY_S).sum())
        return int((said == theirs % DAY_S).sum()) > ours


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
        What the seconds rest on.
    end_s, frame_s
        Time of the last frame and seconds between frames.
    rate, jitter_s
        Clock seconds per clip second, and the jitter of the beat in seconds.

    Returns
    -------
    Judged
        A break is kept where at least four seconds on either side run evenly (two where all are
        plain and a recogniser reads the same), are clear, and speak by 16 nats or more against
        the clock of the other side run on.

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
    clear, plain, likely = _clear(edges, shown, evidence)
    offset = wall - edges * rate
    clock = _Clock(edges, shown, offset, clear, plain, end_s, rate, evidence)
    tol = max(2.2 * frame_s, 6.0 * jitter_s)
    # A beat that strays by more than this is no beat: steps and rates from it mean nothing.
    sane = tol <= max(2.2 * frame_s, _MOST_STRAY_S)
    least = _LEAST_ALONE if evidence.alone else _LEAST_RUN
    sure = _steady(offset, shown, clear, tol, least) & sane
    sure &= _told(edges, shown, breaks, evidence)
    # The last seconds of a clip are too few to be sure of, but may be read.
    borne = sure | (evidence.said == shown % DAY_S) if evidence.read else sure
    kept: list[Break] = []
    weak: list[Break] = []
    doubt: list[tuple[float, float]] = []
    for item in breaks:
        k = int(np.clip(np.searchsorted(edges, item.after_s - 1e-6), 0, n))
        stood = item.kind == "frozen"
        before = clock.run((item.segment if stood else k) - 1, -1, tol, least)
        after = clock.run(k, 1, tol, least)
        if not len(after) and n - k <= _LEAST_RUN:
            after = clock.begun(k)
        fine = sane and len(before) > 0 and (len(after) > 0 or (stood and k >= n))
        vouched = borne[before].any() and (not len(after) or borne[after].any())
        level = float(np.median(offset[before])) if len(before) else 0.0
        if fine and stood:
            # The second that stood, from when it should have gone on.
            late = float(edges[item.segment]) + 1 / rate
            fine = clock.over(late, item.after_s, level) >= _APART_STOOD
            fine = fine and (not evidence.alone or item.stood_s >= _STOOD_ALONE_S)
        if fine and len(after):
            # The first of them may have been cut short: its beginning is that of the cut.
            other = float(np.median(offset[after[after >= k]]))
            step = other - level
            moved = abs(step) > tol
            fine = stood or moved
            if moved:
                fine = (
                    fine and clock.ahead(after, level) >= _APART
                    and clock.ahead(before, other) >= _APART
                    and not clock.gainsaid(after, level) and not clock.gainsaid(before, other)
                )  # fmt: skip
            if fine and moved and abs(step - 10 * round(step / 10)) <= tol:
                # The figure that beats, and its beat, show nothing of such a step.
                fine = clock.witnessed(after) and clock.witnessed(before)
            if fine and stood:
                item = replace(item, step_s=step if moved else 0.0)
            elif fine:
                item = replace(item, step_s=step, kind="missing" if 0 < step < 600 else "jump")
        if fine:
            if not stood:
                last, first, best = clock.cut(before, after, level, other)
                item = replace(item, before_s=last, after_s=first, likeliest_s=best)
            kept.append(item)
            if not vouched:
                weak.append(item)
        else:
            doubt.append((item.before_s, item.after_s))
    held = np.r_[edges[1:], end_s]
    for item in (b for b in kept if b.kind != "frozen"):
        # Whether a second shown only inside a break was shown at all is as open as its place.
        sure &= (edges <= item.before_s + 1e-6) | (held >= item.after_s - 1e-6)
    kept = without_returns(kept, tol, doubt, sure, edges, alone=evidence.alone)
    # What a recogniser never bears out may be another clock by whole tens, and so the step.
    doubt += [(item.before_s, item.after_s) for item in kept if item in weak]
    kept = [item for item in kept if item not in weak]
    doubt += [(float(edges[i]), float(held[i])) for i in np.flatnonzero(~sure)]
    return Judged(tuple(kept), sure, likely, tuple(_joined(doubt)))


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


def _told(
    edges: Floats, wall: NDArray[np.int64], breaks: Sequence[Break], evidence: Evidence
) -> NDArray[np.bool_]:
    """Seconds on stretches between breaks on which a recogniser, if there is one, agrees."""
    import numpy as np

    if not evidence.read or not (evidence.said >= 0).any():
        return np.ones(len(wall), bool)
    out = np.zeros(len(wall), bool)
    bounds = [0, *(int(np.searchsorted(edges, b.after_s - 1e-6)) for b in breaks), len(wall)]
    for a, b in itertools.pairwise(bounds):
        agreed = int((evidence.said[a:b] == wall[a:b] % DAY_S).sum())
        out[a:b] = agreed >= min(_WITNESSES, 1 + (b - a) // 8)
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
