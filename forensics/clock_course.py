"""The likeliest course of a burned-in clock, frame by frame: it runs on, stands, or leaps.

A hidden semi-Markov model. What a frame shows is a second of the day; a second is shown for one
second and is followed by the next one. Showing it for less or for longer costs, and so does leaping
to any other second: a leap is taken only where the figures of the frames around it outweigh that.
Pure functions of arrays; costs are natural logarithms of likelihood ratios ("nats").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]

__all__ = [
    "DAY_S", "figures_of", "follow_course", "guess_offsets", "place_changes",
    "settle_readings", "spread_readings", "support_of",
]  # fmt: skip

DAY_S = 86_400
#: What a leap to any other second costs.
_LEAP = 16.0
#: What a second that stands costs, once.
_STAND = 6.0
#: What a second cut short or drawn out costs: per second of deviation, and at most; one of which
#: hardly anything is shown costs more, or a leap would be taken for a few of those.
_STRAY, _STRAY_MOST, _SHORT, _SHORT_S = 20.0, 6.0, 6.0, 0.4
#: Gaps between frames from which on the clock may go on by several seconds at once.
_GAP_S = 0.9
_CHUNK = 4000
#: Readings of a recogniser: what a wrong figure costs, what a leap costs, and how many must agree.
_WRONG, _LEAP_READ, _LEAST_AGREED = 1.5, 5.0, 3


def figures_of(wall: Integers, twelve: bool) -> Integers:
    """(n, 6) figures HHMMSS shown for seconds of the day."""
    import numpy as np

    hours, minutes, seconds = wall // 3600 % 24, wall // 60 % 60, wall % 60
    if twelve:
        hours = (hours + 11) % 12 + 1
    return np.stack(
        [hours // 10, hours % 10, minutes // 10, minutes % 10, seconds // 10, seconds % 10],
        axis=-1,
    )


def support_of(scores: Floats, shown: Integers, twelve: bool) -> Floats:
    """Evidence (n, ...) of frames for seconds: `scores` (n, 6, 10) summed over the six places."""
    import numpy as np

    figures = figures_of(shown % DAY_S, twelve)
    rows = np.arange(len(shown)).reshape(-1, *([1] * (figures.ndim - 1)))
    out: Floats = scores[rows, np.arange(6), figures].sum(axis=-1, dtype=np.float32)
    return out


def place_changes(
    scores: Floats, times: Floats, shown: Integers, twelve: bool, *, reach_s: float = 0.25,
    gain: float = 1.0,
) -> Integers:  # fmt: skip
    """The course `shown` (n,) with every change of seconds where the frames themselves place it.

    A course prefers even seconds, so beside a cut it moves a change by some frames.

    Parameters
    ----------
    scores, times, shown, twelve
        As for, and from, `follow_course`.
    reach_s, gain
        How far a change is moved at most, and by how many nats that must fit better.
    """
    import numpy as np

    out = shown.copy()
    change = np.flatnonzero(np.diff(shown) != 0) + 1
    bounds = np.r_[0, change, len(shown)]
    for i, at in enumerate(change.tolist(), start=1):
        first = max(int(bounds[i - 1]) + 1, int(np.searchsorted(times, times[at] - reach_s)))
        last = min(int(bounds[i + 1]) - 1, int(np.searchsorted(times, times[at] + reach_s)))
        if last <= first:
            continue
        part, size = scores[first:last], last - first
        before = support_of(part, np.full(size, shown[at - 1]), twelve)
        after = support_of(part, np.full(size, shown[at]), twelve)
        total = np.r_[0.0, np.cumsum(before - after, dtype=np.float64)]
        best = int(total.argmax())
        if total[best] - total[at - first] >= gain:
            out[first : first + best], out[first + best : last] = shown[at - 1], shown[at]
            bounds[i] = first + best
    return out


def settle_readings(times: Floats, walls: Integers) -> NDArray[np.bool_]:
    """Which readings of a recogniser agree on a clock that runs with the clip.

    Parameters
    ----------
    times, walls
        Clip times and the seconds of the day read there, in order of time.

    Returns
    -------
    NDArray
        True where a reading lies on the likeliest course; a figure taken for another does not.
    """
    import numpy as np

    if not len(times):
        return np.zeros(0, bool)
    offset = (walls - np.floor(times).astype(np.int64)) % DAY_S
    count = Counter(offset.tolist())
    near = {w: count[w] + count[(w + 1) % DAY_S] for w in count}
    picks = sorted((w for w in near if near[w] >= _LEAST_AGREED), key=lambda w: -near[w])[:60]
    if not picks:
        return np.zeros(len(times), bool)
    level = np.array(sorted(picks), np.int64)
    base = np.floor(times).astype(np.int64)
    ours = figures_of(walls % DAY_S, False)[:, None]
    apart = np.min(
        [(figures_of((base[:, None] + level + d) % DAY_S, False) != ours).sum(axis=2)
         for d in (0, 1)], axis=0,
    )  # fmt: skip
    cost = _WRONG * apart
    total, back = cost[0].astype(float), np.zeros(cost.shape, np.int64)
    for i in range(1, len(cost)):
        best = int(total.argmin())
        leap = total[best] + _LEAP_READ < total
        back[i] = np.where(leap, best, np.arange(len(level)))
        total = np.where(leap, total[best] + _LEAP_READ, total) + cost[i]
    at = int(total.argmin())
    good = np.zeros(len(times), bool)
    for i in range(len(cost) - 1, -1, -1):
        good[i] = apart[i, at] == 0
        at = int(back[i, at])
    return good


def spread_readings(
    times: Floats, frames: Integers, walls: Integers, *, reach_s: float = 6.0
) -> Integers:
    """The second (n,) each frame shows, as far as readings that agree leave no doubt; -1 elsewhere.

    Parameters
    ----------
    times
        (n,) clip times of all frames.
    frames, walls
        Frames that were read, in order, and the seconds read there.
    reach_s
        Readings further apart than this are not joined.
    """
    import numpy as np

    shown = np.full(len(times), -1, np.int64)
    at = times[frames]
    shown[frames] = walls
    first, low, high = 0, -np.inf, np.inf
    for i in range(len(frames) + 1):
        ended = i == len(frames)
        if not ended:
            # The clock is ahead of the clip by the second read, less what of it has passed.
            behind, ahead = walls[i] - at[i], walls[i] - at[i] + 1.0
            apart = i > first and at[i] - at[i - 1] > reach_s
            ended = apart or max(low, behind) >= min(high, ahead)
        if ended:
            inside = slice(int(frames[first]), int(frames[i - 1]) + 1) if i else slice(0)
            early = np.floor(times[inside] + low + 1e-6)
            late = np.floor(times[inside] + high - 1e-6)
            shown[inside] = np.where(early == late, early, shown[inside])
            if i == len(frames):
                break
            first, low, high = i, behind, ahead
        else:
            low, high = max(low, behind), min(high, ahead)
    return np.where(shown >= 0, shown % DAY_S, -1)


def guess_offsets(
    scores: Floats, times: Floats, twelve: bool, known: Mapping[int, int], *, units: bool = False,
    rate: float = 1.0, most: int = 60,
) -> Integers:  # fmt: skip
    """Offsets (second shown minus whole clip seconds times `rate`) that figures favour anywhere.

    Parameters
    ----------
    scores
        (n, 6, 10) evidence of each frame and place for each figure.
    times
        (n,) clip times.
    twelve
        The clock shows hours 1 to 12.
    known
        Offsets known otherwise, and how often each was seen; the half of the day is theirs.
    units
        Only the units of the seconds are told apart: the ten offsets there are.
    rate
        Clock seconds per clip second.
    most
        How many offsets to return at most.
    """
    import numpy as np

    if units:
        return np.arange(10, dtype=np.int64)
    base = np.floor(times * rate).astype(np.int64)
    count: Counter[int] = Counter(known)
    half = max(known, key=lambda w: known[w]) if known else 0
    # Halves of a second: one of the two is sure not to hold a change of figures.
    bounds = np.searchsorted(times, np.arange(times[0], times[-1] + 0.5, 0.5))
    for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if b <= a:
            continue
        total = scores[a:b].sum(axis=0, dtype=np.float32)
        for wall in _likeliest(total, twelve):
            offset = (wall - int(base[(a + b) // 2])) % DAY_S
            if twelve:
                offset = min(
                    (offset, (offset + DAY_S // 2) % DAY_S),
                    key=lambda w: abs((w - half + DAY_S // 2) % DAY_S - DAY_S // 2),
                )
            count[offset] += 1
    near = Counter({w: n + 0.5 * count[(w - 1) % DAY_S] + 0.5 * count[(w + 1) % DAY_S]
                    for w, n in count.items()})  # fmt: skip
    picks = {w for w, _ in near.most_common(most)}
    # A second changes anywhere between two whole clip seconds.
    picks |= {(w + d) % DAY_S for w, _ in near.most_common(most // 4) for d in (-1, 1)}
    return np.array(sorted(picks), np.int64)


def _likeliest(total: Floats, twelve: bool, clear: float = 3.0) -> list[int]:
    """The few seconds of the day that the evidence (6, 10) of half a second favours."""
    import itertools

    import numpy as np

    picks = []
    for place, limit in enumerate((3, 10, 6, 10, 6, 10)):
        order = np.argsort(-total[place, :limit], kind="stable")
        sure = total[place, order[0]] - total[place, order[1]] > clear
        if total[place].any():
            picks.append([int(v) for v in order[: 1 if sure else 2]])
        else:
            return []
    out = []
    for h1, h2, m1, m2, s1, s2 in itertools.product(*picks):
        hour = h1 * 10 + h2
        if hour <= (12 if twelve else 23):
            out.append((hour % 24) * 3600 + (m1 * 10 + m2) * 60 + s1 * 10 + s2)
    return out


def follow_course(
    scores: Floats, times: Floats, offsets: Integers, *, twelve: bool = False, rate: float = 1.0,
    units: bool = False,
) -> Integers:  # fmt: skip
    """The second of the day (n,) each frame shows on the likeliest course of the clock.

    Parameters
    ----------
    scores
        (n, 6, 10) evidence of each frame and place for each figure, at most 0; a place that is not
        told apart holds zeros.
    times
        (n,) clip times in seconds, rising.
    offsets
        (K,) candidates for the second shown minus whole clip seconds (times `rate`).
    twelve
        The clock shows hours 1 to 12.
    rate
        Clock seconds per clip second.
    units
        `offsets` are those of the units alone, and run in a circle of ten.

    When it errs
    ------------
    It follows only seconds that `offsets` hold; a leap that costs less than 16 nats to explain
    otherwise is passed over (incompleteness), and figures that look like others for several
    seconds on end are taken for them (misinterpretation).
    """
    import numpy as np

    # An even grid, in seconds of the clock: a time without a frame is a time without evidence.
    run = times * rate
    bin_s = float(np.clip(np.median(np.diff(run)), 1 / 30, 0.5)) if len(run) > 1 else 0.04
    cell = np.rint((run - run[0]) / bin_s).astype(np.int64)
    n, k = int(cell[-1]) + 1, len(offsets)
    base = np.floor(run[0] + np.arange(n) * bin_s + 1e-9).astype(np.int64)
    base[cell] = np.floor(run).astype(np.int64)  # the very seconds of the frames
    base = np.maximum.accumulate(base)
    circle = 10 if units else DAY_S
    index = {int(w): i for i, w in enumerate(offsets.tolist())}

    def reached(step: int) -> Integers:
        """From which candidate each is reached when its offset changed by `step`; k: none."""
        return np.array([index.get((w - step) % circle, k) for w in offsets.tolist()], np.int64)

    held = round(1.35 / bin_s) + 1  # shown for so many bins or longer: it stands
    lasted = np.arange(1, held + 2) * bin_s
    stray = np.clip(np.abs(lasted - 1) - 1.6 * bin_s, 0, None)
    # A hair for every bin off one second: without evidence the clock keeps its beat.
    late = np.minimum(_STRAY_MOST, _STRAY * stray) + 0.1 * (np.abs(lasted - 1) / bin_s) ** 2
    late = np.minimum(late, _STRAY_MOST)
    late += np.where(lasted < _SHORT_S, _SHORT, 0.0)
    late[-1] = 0.0  # paid for when it began to stand
    free = np.where(lasted <= 1 + 1.6 * bin_s, 0.0, late)
    cost = np.stack([late, free])[:, None, :].astype(np.float32)
    low = np.float32(-1e9)
    # [0]: bins since a change of figures; [1]: since a leap or the beginning, without a change.
    total = np.full((2, k, held + 1), low, np.float32)
    came = np.full((n, k), -1, np.int16)
    stood = np.zeros((n, 2, k), bool)
    leapt = np.full((n, 3), -1, np.int32)
    maps = {step: reached(step) for step in range(-3, 3)}
    support = np.zeros((0, k), np.float32)
    for i in range(n):
        if i % _CHUNK == 0:
            inside = (cell >= i) & (cell < i + _CHUNK)
            support = np.zeros((_CHUNK, k), np.float32)
            shown = base[cell[inside], None] + offsets[None, :]
            np.add.at(support, cell[inside] - i, support_of(scores[inside], shown, twelve))
        if i == 0:
            total[1, :, 0] = support[0]
            continue
        whole = min(3, int(base[i] - base[i - 1]))
        ways = (total - cost).transpose(1, 0, 2).reshape(k, -1)
        by = ways.argmax(axis=1)
        best = int(total.argmax())
        leapt[i] = np.unravel_index(best, total.shape)
        top = total.reshape(-1)[best]
        # The second shown stays: its offset falls by what the clip's own seconds went on.
        if whole:
            total = np.concatenate([total, np.full_like(total[:, :1], low)], axis=1)
            total = total[:, maps[-whole]]
        fresh = np.empty_like(total)
        fresh[:, :, 1:] = total[:, :, :-1]
        longer, enters = total[:, :, -1], fresh[:, :, -1] - _STAND
        stood[i] = longer > enters
        fresh[:, :, -1] = np.maximum(longer, enters)
        tick = maps[1 - whole]
        fresh[0, :, 0] = np.append(ways[np.arange(k), by], low)[tick]
        came[i] = np.append(by, -1)[tick]
        fresh[1, :, 0] = top - _LEAP
        fresh += support[i % _CHUNK][None, :, None]
        total = fresh
    z, j, e = (int(v) for v in np.unravel_index(int(total.argmax()), total.shape))
    wall = np.zeros(n, np.int64)
    for i in range(n - 1, -1, -1):
        wall[i] = base[i] + offsets[j]
        if i == 0:
            break
        whole = min(3, int(base[i] - base[i - 1]))
        if e == 0 and z == 1:
            z, j, e = (int(v) for v in leapt[i])
        elif e == 0:
            (z, e), j = divmod(int(came[i, j]), held + 1), int(maps[1 - whole][j])
        else:
            e -= int(e < held or not stood[i, z, j])
            j = int(maps[-whole][j]) if whole else j
    out: Integers = wall[cell] % (10 if units else DAY_S)
    return out
