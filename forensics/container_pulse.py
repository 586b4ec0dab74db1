"""The pulse train that an older GOP leaves in a re-encoded clip, and where its phase breaks.

Pictures that were key frames in the first encoding take a different number of bytes, or change
more pixels, in the second. A deletion between the two shifts everything after it, so that the
pulses continue out of step: this shows a deletion even where nothing moves.

Conventions: a *series* has one number a picture in presentation order; a *phase* is the index of a
pulse modulo the period. The number of removed frames is known only modulo the period: removing L
frames turns phase p into (p - L) modulo the period.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["PhaseBreak", "PulseTrain", "gop_phase_breaks", "measure_pulses", "pulse_shape",
           "standardise"]  # fmt: skip


@dataclass(frozen=True)
class PhaseBreak:
    """A place where the pulse train is out of step with what went before.

    The cut lies after picture `before` and not after picture `after` (indices into the series);
    `removed` frames are missing modulo `period`, or, just as well, `period - removed` were added.
    """

    before: int
    after: int
    period: int
    removed: int
    score: float
    pulses_before: int
    pulses_after: int


@dataclass(frozen=True)
class PulseTrain:
    """The strongest periodic pulse train of a series.

    `strength` compares it with what noise gives: the pulses' summed excess in standard
    deviations, less what the best of all phases and periods reaches by chance. `segments` holds
    (first, last, phase) of stretches that are in step.
    """

    period: int
    strength: float
    rival: float
    segments: tuple[tuple[int, int, int], ...] = ()
    breaks: tuple[PhaseBreak, ...] = ()

    @property
    def phase(self) -> int:
        """Phase of the longest stretch."""
        longest = max(self.segments, key=lambda s: s[1] - s[0], default=(0, 0, 0))
        return longest[2]

    def follows(self, own: NDArray[np.bool_], usual: int, fixed: float) -> bool:
        """Whether the train may be this encoding's own rhythm, a multiple of its GOP.

        Rate control comes back to the same place of every GOP, not only to its key frame. An older
        GOP of the same length, or a multiple, cannot be told from that.

        Parameters
        ----------
        own
            (n,) true at this encoding's key frames, and what was left out beside them.
        usual
            The usual GOP of this encoding, pictures.
        fixed
            The share of GOPs of that length.
        """
        import numpy as np

        several = int((np.diff(own.astype(np.int8)) > 0).sum()) >= 3
        return several and fixed >= 0.6 and usual >= 2 and self.period % usual == 0


def standardise(
    series: ArrayLike, *, kinds: ArrayLike | None = None, ignore: ArrayLike | None = None,
    logarithm: bool = True,
) -> NDArray[np.float64]:  # fmt: skip
    """A series as local standard scores, picture kinds apart; 0 where it says nothing.

    Parameters
    ----------
    series
        (n,) one non-negative number a picture, presentation order.
    kinds
        (n,) a small number per picture: only pictures of one kind are compared.
    ignore
        (n,) true where the value must not count (key frames of this encoding).
    logarithm
        Compare ratios instead of differences.
    """
    import numpy as np
    from scipy.ndimage import median_filter

    values = np.asarray(series, dtype=np.float64)
    kind = np.zeros(len(values), np.int64) if kinds is None else np.asarray(kinds)
    skip = np.zeros(len(values), bool) if ignore is None else np.asarray(ignore, bool)
    skip = skip | ~np.isfinite(values)
    if logarithm:
        positive = values[~skip & (values > 0)]
        floor = 0.05 * float(np.median(positive)) if len(positive) else 1.0
        values = np.log(np.maximum(values, 0.0) + max(floor, 1e-12))
    scores = np.zeros(len(values))
    for one in np.unique(kind[~skip]):
        rows = np.flatnonzero((kind == one) & ~skip)
        if len(rows) < 8:
            continue
        own = values[rows]
        rest = own - median_filter(own, size=min(15, len(rows) // 2 * 2 - 1), mode="nearest")
        spread = 1.4826 * median_filter(np.abs(rest), size=min(101, len(rows) // 2 * 2 - 1),
                                        mode="nearest")  # fmt: skip
        whole = 1.4826 * float(np.median(np.abs(rest)))
        # Quiet stretches must not blow up: the scale never falls far below that of the clip.
        scale = np.maximum(spread, max(0.5 * whole, 1e-6))
        scores[rows] = np.clip(rest / scale, -3.0, 6.0)
    return scores


def match_template(
    scores: NDArray[np.float64], template: Sequence[float], ignore: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Scores correlated with the shape of a pulse; its middle stands on the key picture.

    A picture in front of an old key picture is cheap and those after it are dear: the
    neighbours carry almost as much as the pulse itself.
    """
    import numpy as np

    shape = np.asarray(template, dtype=np.float64)
    matched = np.correlate(scores, shape, mode="same") / np.sqrt((shape**2).sum())
    valid = ~ignore
    spread = float(np.std(matched[valid])) if valid.any() else 1.0
    whole = float(np.std(scores[valid])) if valid.any() else 1.0
    limited: NDArray[np.float64] = np.clip(matched * whole / max(spread, 1e-9), -3.0, 6.0)
    return np.where(valid, limited, 0.0)


def _phase_sums(scores: NDArray[np.float64], valid: NDArray[np.bool_], period: int) -> tuple[
    NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    import numpy as np

    # Rows of one period: a sum down the columns is several times faster than counting by index.
    blocks = -(-len(scores) // period)
    padded = np.zeros((2, blocks * period))
    padded[0, : len(scores)] = scores
    padded[1, : len(scores)] = valid
    total, count = padded.reshape(2, blocks, period).sum(axis=1)
    return total, count


def _strengths(
    scores: NDArray[np.float64], valid: NDArray[np.bool_], periods: NDArray[np.int64], windows: int
) -> NDArray[np.float64]:
    """Per period: how far its best phase stands above chance, the clip taken in `windows` parts."""
    import numpy as np

    deviation = float(np.std(scores[valid])) if valid.any() else 1.0
    mean = float(np.mean(scores[valid])) if valid.any() else 0.0
    centred = np.where(valid, (scores - mean) / max(deviation, 1e-9), 0.0)
    edges = np.linspace(0, len(scores), windows + 1).astype(int)
    found = np.zeros(len(periods))
    for number, period in enumerate(periods):
        total = 0.0
        for begin, end in itertools.pairwise(edges):
            sums, counts = _phase_sums(centred[begin:end], valid[begin:end], int(period))
            usable = counts >= 3
            if usable.any():
                best = float((sums[usable] / np.sqrt(counts[usable])).max())
                total += best - np.sqrt(2 * np.log(max(2, int(usable.sum()))))
        found[number] = total / np.sqrt(windows)
    return found


def _amplitude(scores: NDArray[np.float64], valid: NDArray[np.bool_], period: int) -> float:
    """Mean height of the pulses, from the best phase of each third of the clip."""
    import numpy as np

    edges = np.linspace(0, len(scores), 4).astype(int)
    heights = []
    for begin, end in itertools.pairwise(edges):
        sums, counts = _phase_sums(scores[begin:end], valid[begin:end], period)
        usable = counts >= 2
        if usable.any():
            heights.append(float((sums[usable] / counts[usable]).max()))
    # The best of many phases is high by chance; the usual height is nearer the lower ones.
    return float(np.clip(min(heights, default=1.0), 0.7, 3.0))


def _follow(
    scores: NDArray[np.float64], valid: NDArray[np.bool_], period: int, amplitude: float,
    switch: float,
) -> list[tuple[int, int, int]]:  # fmt: skip
    """Stretches in step, by dynamic programming over blocks of one period: (first, last, phase)."""
    import numpy as np

    blocks = len(scores) // period
    gain = np.where(valid, amplitude * scores - amplitude**2 / 2, 0.0)[: blocks * period]
    table = gain.reshape(blocks, period)
    value = table[0].copy()
    came = np.zeros((blocks, period), np.int32)
    came[0] = np.arange(period)
    stay = np.arange(period)
    for block in range(1, blocks):
        best = int(value.argmax())
        jump = value[best] - switch
        moved = value < jump
        came[block] = np.where(moved, best, stay)
        value = np.where(moved, jump, value) + table[block]
    phase = int(value.argmax())
    phases = np.zeros(blocks, np.int64)
    for block in range(blocks - 1, -1, -1):
        phases[block] = phase
        phase = int(came[block, phase])
    edges = np.flatnonzero(np.diff(phases)) + 1
    firsts = [0, *edges.tolist()]
    lasts = [*edges.tolist(), blocks]
    return [
        (a * period, b * period - 1 if b < blocks else len(scores) - 1, int(phases[a]))
        for a, b in zip(firsts, lasts, strict=True)
    ]


def _evidence(
    scores: NDArray[np.float64], valid: NDArray[np.bool_], first: int, last: int, phase: int,
    period: int,
) -> tuple[float, int]:  # fmt: skip
    """Mean excess of the pulses of one phase in a stretch, in standard errors, and their number."""
    import numpy as np

    start = first + (phase - first) % period
    rows = np.arange(start, last + 1, period)
    rows = rows[valid[rows]]
    if not len(rows):
        return 0.0, 0
    return float(scores[rows].sum() / np.sqrt(len(rows))), len(rows)


def pulse_shape(
    scores: NDArray[np.float64], train: PulseTrain, *, ignore: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Mean standard score at each distance from a train's pulses; index 0 is the pulse itself."""
    import numpy as np

    rows, places = [], []
    for first, last, phase in train.segments:
        here = np.arange(first, last + 1)
        rows.append(here)
        places.append((here - phase) % train.period)
    at, place = np.concatenate(rows), np.concatenate(places)
    if ignore is not None:
        at, place = at[~ignore[at]], place[~ignore[at]]
    total = np.bincount(place, scores[at], train.period)
    count = np.bincount(place, minlength=train.period)
    shape: NDArray[np.float64] = total / np.maximum(count, 1)
    return shape


def _refine(
    scores: NDArray[np.float64], valid: NDArray[np.bool_], one: tuple[int, int, int],
    two: tuple[int, int, int], period: int,
) -> tuple[int, int]:  # fmt: skip
    """The last pulse of the old phase and the first of the new: the cut lies between them."""
    import numpy as np

    begin, end = max(0, two[0] - 2 * period), min(len(scores), two[0] + 2 * period)
    rows = np.arange(begin, end)
    old = np.where((rows % period == one[2]) & valid[rows], scores[rows] - 1.0, 0.0)
    new = np.where((rows % period == two[2]) & valid[rows], scores[rows] - 1.0, 0.0)
    # Cutting at row c counts old pulses before c and new ones from c on.
    worth = np.concatenate([[0], np.cumsum(old)]) + np.concatenate(
        [np.cumsum(new[::-1])[::-1], [0]]
    )
    # Every c between the last old and the first new pulse is worth the same; one weak pulse, or
    # the jump of the picture at the cut itself, must not decide.
    good = np.flatnonzero(worth >= worth.max() - 3.0)
    return int(begin + good[0]) - 1, int(begin + min(good[-1], len(rows) - 1))


def measure_pulses(
    scores: ArrayLike, *, ignore: ArrayLike | None = None, shortest: int = 6, longest: int = 300,
    switch: float = 9.0, least_pulses: int = 3,
) -> PulseTrain | None:  # fmt: skip
    """The strongest pulse train of standard scores, and its stretches in step.

    Parameters
    ----------
    scores
        (n,) from `standardise`.
    ignore
        (n,) true where a score says nothing.
    shortest, longest
        Periods to look for, pictures.
    switch
        What a change of phase costs, in units of log likelihood.
    least_pulses
        A stretch needs this many pulses to count.

    Returns
    -------
    PulseTrain or None
        None: too short for any period.
    """
    import numpy as np

    values = np.asarray(scores, dtype=np.float64)
    valid = np.ones(len(values), bool) if ignore is None else ~np.asarray(ignore, bool)
    longest = min(longest, len(values) // (2 * least_pulses))
    if longest < shortest or valid.sum() < 24:
        return None
    periods = np.arange(shortest, longest + 1)
    whole = _strengths(values, valid, periods, 1)
    parts = _strengths(values, valid, periods, 2)
    joint = np.maximum(whole, parts)
    order = np.argsort(-joint)
    candidates = [int(periods[i]) for i in order[:6]]
    best: tuple[float, int, list[tuple[int, int, int]]] | None = None
    for period in candidates:
        amplitude = _amplitude(values, valid, period)
        segments = _follow(values, valid, period, amplitude, switch)
        total = -switch * (len(segments) - 1)
        for first, last, phase in segments:
            start = first + (phase - first) % period
            rows = np.arange(start, last + 1, period)
            rows = rows[valid[rows]]
            total += float((amplitude * values[rows] - amplitude**2 / 2).sum())
        if best is None or total > best[0]:
            best = (total, period, segments)
    assert best is not None
    _, period, segments = best
    related = (periods % period == 0) | (period % periods == 0)
    rival = float(joint[~related].max()) if (~related).any() else 0.0
    in_step = float(joint[periods == period][0])
    strength = max(in_step, float(_joined(values, valid, period, segments)))
    return PulseTrain(period, strength, rival, tuple(segments))


def _joined(
    scores: NDArray[np.float64], valid: NDArray[np.bool_], period: int,
    segments: list[tuple[int, int, int]],
) -> float:  # fmt: skip
    """Strength of a train whose phase changes: all its pulses at once, less what the search gave.

    Each stretch may choose its phase and its borders; each choice is paid for.
    """
    import numpy as np

    mean, deviation = float(np.mean(scores[valid])), float(np.std(scores[valid]))
    total, count = 0.0, 0
    for first, last, phase in segments:
        rows = np.arange(first + (phase - first) % period, last + 1, period)
        rows = rows[valid[rows]]
        total += float((scores[rows] - mean).sum()) / max(deviation, 1e-9)
        count += len(rows)
    choices = len(segments) * np.log(period) + (len(segments) - 1) * np.log(len(scores) / period)
    return total / np.sqrt(max(count, 1)) - float(np.sqrt(2 * choices)) if count else 0.0


def gop_phase_breaks(
    series: ArrayLike, *, kinds: ArrayLike | None = None, ignore: ArrayLike | None = None,
    logarithm: bool = True, shortest: int = 6, longest: int = 300, least_strength: float = 3.0,
    least_score: float = 4.0, least_pulses: int = 3, template: Sequence[float] = (1.0,),
    least_shift: int = 1,
) -> PulseTrain | None:  # fmt: skip
    """The pulse train an older GOP left in a series, and every place where it is out of step.

    Works on packet sizes (no B-frames in the present encoding) and on the share of pixels that
    changed at all from frame to frame at full resolution (any encoding).

    Parameters
    ----------
    series
        (n,) one number a picture, presentation order.
    kinds
        (n,) picture kind; pictures are compared within their kind only.
    ignore
        (n,) true for pictures that say nothing: key frames of this encoding.
    logarithm
        Compare ratios (sizes) instead of differences.
    shortest, longest
        Periods to look for, pictures.
    least_strength
        A weaker train is no train.
    least_score
        A break counts when both sides keep to their own phase this much better than to the
        other's, in standard errors.
    least_pulses
        Pulses needed on either side; one less is enough where they are twice as clear.
    template
        Shape of a pulse, an odd number of weights; the middle stands on the old key picture.
    least_shift
        Smaller changes of phase, either way, do not count: B-frames smear a pulse.

    Returns
    -------
    PulseTrain or None
        None: too short to tell. A train below `least_strength` comes without breaks.

    References
    ----------
    Vazquez-Padin et al., WIFS 2012 (variation of prediction footprint).

    When it errs
    ------------
    Calls a break where a scene with a rhythm of its own changes its beat (ASTM E3016: inaccuracy,
    existence). Misses deletions of whole multiples of the period, clips whose first encoding had
    no fixed GOP, and everything after a rescale (incompleteness). Cannot tell a deletion of r
    frames from an insertion of period - r (inaccuracy: association).
    """
    import numpy as np

    scores = standardise(series, kinds=kinds, ignore=ignore, logarithm=logarithm)
    skip = np.zeros(len(scores), bool) if ignore is None else np.asarray(ignore, bool)
    if len(template) > 1 and len(scores) > len(template):
        scores = match_template(scores, template, skip)
    train = measure_pulses(scores, ignore=skip, shortest=shortest, longest=longest,
                           least_pulses=least_pulses)  # fmt: skip
    if train is None or train.strength < least_strength:
        return train
    valid = ~skip
    period = train.period
    segments = list(train.segments)
    found: list[PhaseBreak] = []
    kept = [segments[0]]
    for two in segments[1:]:
        one = kept[-1]
        if two[2] == one[2]:
            kept[-1] = (one[0], two[1], one[2])
            continue
        before, after = _refine(scores, valid, one, two, period)
        own_one, count_one = _evidence(scores, valid, one[0], max(before, one[0]), one[2], period)
        own_two, count_two = _evidence(scores, valid, after, two[1], two[2], period)
        other_one, _ = _evidence(scores, valid, one[0], max(before, one[0]), two[2], period)
        other_two, _ = _evidence(scores, valid, after, two[1], one[2], period)
        score = min(own_one - max(other_one, 0.0), own_two - max(other_two, 0.0))
        few = min(count_one, count_two)
        clear = score >= least_score and few >= least_pulses
        shift = (one[2] - two[2]) % period
        if min(shift, period - shift) < least_shift:
            score = 0.0
            clear = False
        if not clear and not (few == least_pulses - 1 and score >= 2 * least_score):
            if own_two > own_one and len(kept) == 1 and not found:
                kept[-1] = (one[0], two[1], two[2])
            else:
                kept[-1] = (one[0], two[1], one[2])
            continue
        found.append(PhaseBreak(before, after, period, (one[2] - two[2]) % period, score,
                                count_one, count_two))  # fmt: skip
        kept.append((after, two[1], two[2]))
    return PulseTrain(period, train.strength, train.rival, tuple(kept), tuple(found))
