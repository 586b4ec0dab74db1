"""Which clip lost or gained sound: breaks of the local offset between clips of one event.

`find_jumps` looks into every joined pair on one clock; where a third clip heard the same moment,
it says which of the two jumps. `jump_observations` turns that into discontinuities of one clip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TypeAlias

from msgspec import structs

from forensics.audio_breaks import local_offset_breaks, weigh_jump
from forensics.audio_case import Case
from forensics.audio_pairs import Judged
from forensics.audio_solve import Solution
from forensics.model import (
    Clip,
    Discontinuity,
    Explanation,
    Observation,
    OffsetJump,
    Quantity,
    Span,
)

__all__ = ["find_jumps", "jump_observations"]

#: A pair must share this long for a break in it to show.
_LEAST_S = 10.0
#: Greatest jump looked for.
_REACH_S = 4.0
#: Jumps of one clip against several others closer than this are one, and those of one size, to
#: so many seconds, within the other.
_SAME_S, _ALIKE_S, _ALIKE_WITHIN_S = 1.5, 0.2, 3.0
#: What third clips tell for one clip and against the other, in standard deviations: so much
#: decides, and no third clip counts for more.
_TOLD, _MOST_TOLD = 6.0, 12.0

_EXPLANATIONS = (
    Explanation(1, "cut", False, "sound was removed from this clip, or put into it"),
    Explanation(2, "dropped-sound", True, "the recorder lost samples, or was paused"),
    Explanation(
        3, "other-source", True,
        "what both heard before and after came from sources far apart, or from a repetition",
    ),
)  # fmt: skip


#: By clip: its component, its offset there in seconds, and the rate of its clock.
_Places: TypeAlias = dict[str, tuple[int, float, float]]


def find_jumps(
    case: Case, solutions: Sequence[Solution], accepted: Iterable[Judged]
) -> tuple[OffsetJump, ...]:
    """Look for breaks of the local offset in every joined pair of clips on one clock.

    Pairs with rival offsets too: a clip that jumps fits its neighbours at two.
    """
    places = {
        case.clips[clip].digest: (number, float(solution.offset_s[row]),
                                  1 + float(solution.drift_ppm[row]) * 1e-6)
        for number, solution in enumerate(solutions)
        for row, clip in enumerate(solution.clips)
    }  # fmt: skip
    pairs = list(accepted)
    alike = {frozenset((v.first, v.second)) for v in pairs if v.same_soundtrack}
    out = [
        _decided(case, jump, places, alike)
        for item in pairs if not item.same_soundtrack for jump in _look(case, item, places)
    ]  # fmt: skip
    return tuple(sorted(out, key=lambda j: (j.first, j.second, j.first_s)))


def _look(case: Case, item: Judged, places: _Places) -> tuple[OffsetJump, ...]:
    """Breaks of the local offset in what one pair of placed clips shares."""
    here, there = places.get(item.first), places.get(item.second)
    if here is None or there is None or here[0] != there[0]:
        return ()
    one, two = case.heard[item.first], case.heard[item.second]
    # The lag in the middle of what both heard, as the whole solution has it.
    begin = max(here[1] + one.start_s * here[2], there[1] + two.start_s * there[2])
    end = min(
        here[1] + (one.start_s + one.length_s) * here[2],
        there[1] + (two.start_s + two.length_s) * there[2],
    )
    if end - begin < _LEAST_S:
        return ()
    middle = (begin + end) / 2
    lag = (middle - here[1]) / here[2] - one.start_s - (middle - there[1]) / there[2] + two.start_s
    best = item.candidates[0]
    if abs((best.first_s - one.start_s) - (best.second_s - two.start_s) - lag) > _REACH_S:
        return ()
    return tuple(
        OffsetJump(
            one.digest, two.digest, one.start_s + b.first_s, two.start_s + b.second_s,
            Quantity(b.jump_s, "s", b.jump_low_s, b.jump_high_s,
                     "positive: missing from the second clip, or put into the first"),
            b.time_error_s, b.gain,
        )
        for b in local_offset_breaks(one.features, two.features, lag_s=lag, reach_s=_REACH_S)
    )  # fmt: skip


def _decided(
    case: Case, jump: OffsetJump, places: _Places, alike: set[frozenset[str]]
) -> OffsetJump:
    """The jump with the clip it belongs to, if what third clips heard there tells.

    Against each third clip on the same clock both are weighed: the one that lost or gained sound
    jumps against all of them, by as much and in its own direction, the other against none. Copies
    of either clip are no third clips.
    """
    lost = 0.0
    for third in case.heard:
        pairs = [frozenset((one, third)) for one in (jump.first, jump.second)]
        if third in (jump.first, jump.second) or alike & set(pairs):
            continue
        second = _weigh(case, third, jump.second, jump.second_s, jump.jump.value, places)
        first = _weigh(case, third, jump.first, jump.first_s, -jump.jump.value, places)
        told = (second or 0.0) - (first or 0.0)
        lost += max(-_MOST_TOLD, min(_MOST_TOLD, told))
    if abs(lost) < _TOLD:
        return jump
    return structs.replace(jump, clip=jump.second if lost > 0 else jump.first)


def _weigh(
    case: Case, third: str, clip: str, at_s: float, jump_s: float, places: _Places
) -> float | None:
    """How much better a jump of `clip` fits what `third` heard than none; see `weigh_jump`."""
    here, there = places.get(third), places.get(clip)
    if here is None or there is None or here[0] != there[0]:
        return None
    one, two = case.heard[third], case.heard[clip]
    lag = (there[1] + at_s * there[2] - here[1]) / here[2] - at_s - one.start_s + two.start_s
    return weigh_jump(
        one.features, two.features, lag_s=lag, at_s=at_s - two.start_s, jump_s=jump_s
    )


def _groups(clip: Clip, jumps: Sequence[OffsetJump]) -> list[list[tuple[float, OffsetJump]]]:
    """Jumps that may be this clip's, brought together by time."""
    mine = [
        (j.first_s if j.first == clip.digest else j.second_s, j) for j in jumps
        if clip.digest in (j.first, j.second) and j.clip in ("", clip.digest)
    ]  # fmt: skip
    mine.sort(key=lambda item: item[0])
    groups: list[list[tuple[float, OffsetJump]]] = []
    for at, jump in mine:
        first_at, other = groups[-1][0] if groups else (-math.inf, jump)
        alike = abs(abs(other.jump.value) - abs(jump.jump.value)) <= _ALIKE_S
        if at - first_at <= (_ALIKE_WITHIN_S if alike else _SAME_S):
            groups[-1].append((at, jump))
        else:
            groups.append([(at, jump)])
    return groups


def jump_observations(clip: Clip, jumps: Sequence[OffsetJump]) -> list[Observation]:
    """What the jumps say of one clip, as discontinuities of level "comparison"."""
    out = []
    for group in _groups(clip, jumps):
        decided = any(j.clip == clip.digest for _, j in group)
        at, best = max(group, key=lambda g: (g[1].clip == clip.digest, g[1].gain))
        # Seen from this clip: positive is sound missing from it.
        sign = 1.0 if best.second == clip.digest else -1.0
        value, low, high = best.jump.value, best.jump.low, best.jump.high
        half = 0.0 if low is None or high is None else (high - low) / 2
        missing = sign * value
        amount = Quantity(abs(value), "s", max(0.0, abs(value) - half), abs(value) + half)
        supports = tuple(
            f"against {(j.second if j.first == clip.digest else j.first)[:12]}: the offset jumps "
            f"by {j.jump.value:+.2f} s, gain {j.gain:.0f}"
            for _, j in group
        )
        what = Discontinuity(
            "comparison", "offset-jump", "inconsistent" if decided else "inconclusive", supports,
            _EXPLANATIONS, amount if decided and missing > 0 else None,
        )  # fmt: skip
        note = (
            "this clip jumps against others, and those do not jump against each other: sound is "
            + ("missing here" if missing > 0 else "put in here")
            if decided
            else "this clip or the one it is held against lost or gained sound: no third clip "
            "decides which"
        )
        begin = max(0.0, at - best.uncertainty_s)
        span = Span(
            Fraction(round(begin * 1000), 1000),
            Fraction(round((at + best.uncertainty_s) * 1000), 1000),
        )
        score = best.gain / (best.gain + 10) if decided else 0.5
        out.append(
            Observation(what, span, round(score, 4), measures={"jump": amount}, note=note,
                        stratum="a third clip decides" if decided else "two clips")
        )  # fmt: skip
    return out
