"""Which clip lost or gained sound: breaks of the local offset between clips of one event.

`find_jumps` looks into every joined pair on one clock; where a third clip heard the same moment,
it says which of the two jumps. `jump_observations` turns that into discontinuities of one clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from forensics.audio_breaks import local_offset_breaks
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

#: A pair must share this long for a break in it to show, and so long around a break of others.
_LEAST_S, _AROUND_S = 10.0, 4.0
#: Greatest jump looked for.
_REACH_S = 4.0
#: Jumps of one clip against several others closer than this are one.
_SAME_S = 1.5

_EXPLANATIONS = (
    Explanation(1, "cut", False, "sound was removed from this clip, or put into it"),
    Explanation(2, "dropped-sound", True, "the recorder lost samples, or was paused"),
    Explanation(
        3, "other-source", True,
        "what both heard before and after came from sources far apart, or from a repetition",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class _Tested:
    """One pair that was looked into: shared stretch in each clip's time, and the jumps in it."""

    first: str
    second: str
    spans: dict[str, tuple[float, float]]
    jumps: tuple[OffsetJump, ...]

    def covers(self, digest: str, at_s: float) -> bool:
        low, high = self.spans[digest]
        return low + _AROUND_S <= at_s <= high - _AROUND_S

    def jumps_at(self, digest: str, at_s: float) -> bool:
        return any(
            abs((j.first_s if j.first == digest else j.second_s) - at_s) <= _SAME_S
            for j in self.jumps
        )


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
    tested = {
        frozenset((item.first, item.second)): pair
        for item in accepted
        if not item.same_soundtrack and (pair := _look(case, item, places)) is not None
    }
    out = [_decided(jump, tested) for pair in tested.values() for jump in pair.jumps]
    return tuple(sorted(out, key=lambda j: (j.first, j.second, j.first_s)))


def _look(case: Case, item: Judged, places: dict[str, tuple[int, float, float]]) -> _Tested | None:
    here, there = places.get(item.first), places.get(item.second)
    if here is None or there is None or here[0] != there[0]:
        return None
    one, two = case.heard[item.first], case.heard[item.second]
    # The lag in the middle of what both heard, as the whole solution has it.
    begin = max(here[1] + one.start_s * here[2], there[1] + two.start_s * there[2])
    end = min(
        here[1] + (one.start_s + one.length_s) * here[2],
        there[1] + (two.start_s + two.length_s) * there[2],
    )
    if end - begin < _LEAST_S:
        return None
    middle = (begin + end) / 2
    lag = (middle - here[1]) / here[2] - one.start_s - (middle - there[1]) / there[2] + two.start_s
    best = item.candidates[0]
    if abs((best.first_s - one.start_s) - (best.second_s - two.start_s) - lag) > _REACH_S:
        return None
    low, high = max(0.0, -lag), min(two.length_s, one.length_s - lag)
    jumps = tuple(
        OffsetJump(
            one.digest, two.digest, one.start_s + b.first_s, two.start_s + b.second_s,
            Quantity(b.jump_s, "s", b.jump_low_s, b.jump_high_s,
                     "positive: missing from the second clip, or put into the first"),
            b.time_error_s, b.gain,
        )
        for b in local_offset_breaks(one.features, two.features, lag_s=lag, reach_s=_REACH_S)
    )  # fmt: skip
    spans = {
        one.digest: (one.start_s + low + lag, one.start_s + high + lag),
        two.digest: (two.start_s + low, two.start_s + high),
    }
    return _Tested(one.digest, two.digest, spans, jumps)


def _decided(jump: OffsetJump, tested: dict[frozenset[str], _Tested]) -> OffsetJump:
    """The jump with the clip that third ones decide for, if those that decide agree."""
    votes = set()
    digests = {d for pair in tested for d in pair} - {jump.first, jump.second}
    for third in digests:
        one = tested.get(frozenset((jump.first, third)))
        two = tested.get(frozenset((jump.second, third)))
        if one is None or two is None:
            continue
        if not (one.covers(jump.first, jump.first_s) and two.covers(jump.second, jump.second_s)):
            continue
        jumped = (one.jumps_at(jump.first, jump.first_s), two.jumps_at(jump.second, jump.second_s))
        if jumped == (True, False):
            votes.add(jump.first)
        elif jumped == (False, True):
            votes.add(jump.second)
    if len(votes) != 1:
        return jump
    return OffsetJump(
        jump.first, jump.second, jump.first_s, jump.second_s, jump.jump, jump.uncertainty_s,
        jump.gain, votes.pop(),
    )  # fmt: skip


def _groups(clip: Clip, jumps: Sequence[OffsetJump]) -> list[list[tuple[float, OffsetJump]]]:
    """Jumps that may be this clip's, brought together by time."""
    mine = [
        (j.first_s if j.first == clip.digest else j.second_s, j) for j in jumps
        if clip.digest in (j.first, j.second) and j.clip in ("", clip.digest)
    ]  # fmt: skip
    mine.sort(key=lambda item: item[0])
    groups: list[list[tuple[float, OffsetJump]]] = []
    for at, jump in mine:
        if groups and at - groups[-1][0][0] <= _SAME_S:
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
