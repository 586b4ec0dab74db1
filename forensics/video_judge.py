"""From measurements to observations: what each step, copy and freeze is called, and how surely.

Pure functions. A step inside one view is a *deletion* until a copy, a freeze or a change of order
explains it better; a step to another view and back is a *splice*; steps to other views that never
come back are the cuts of a produced video and are left to `find_cuts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from forensics.model import Discontinuity, DiscontinuityKind, Observation, Quantity
from forensics.scan import give_back
from forensics.scan_order import middle
from forensics.video_causes import explain
from forensics.video_cuts import find_shots, same_place, same_structure, same_view
from forensics.video_freezes import Freeze, find_doubles, find_freezes
from forensics.video_fresh import find_fresh
from forensics.video_harmless import (
    came_back,
    came_in,
    find_left_out,
    no_larger,
    passed_by,
    was_held,
)  # fmt: skip
from forensics.video_measure import window_frames
from forensics.video_repaired import MOST_SCORE, explain_damage
from forensics.video_repeats import Repeat, find_repeats
from forensics.video_seams import find_seamed
from forensics.video_spikes import StepModel, measure_candidates, score_steps, shipped_model
from forensics.video_testable import SLOW_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.scan import Measurements

__all__ = [
    "Judged", "Seen", "is_remark", "judge_cadence", "judge_clip", "judge_frames",
    "observe",
]  # fmt: skip

#: What a copy's supports say when its motion stands in more than two places, with no seam.
PERIODIC = "the same motion in three places or more, without a seam"
#: What a bare step's supports say below `SLOW_HZ`.
TOO_FEW = "too few pictures a second to foretell what moves"
#: What doubled frames' supports say where they last a second and end though it moves on: so many
#: frames beside them are left out, and it moves for so many seconds.
IN_PART, LENGTHENED, LENGTHENED_MOVES_S = "in part of what moves", 12, 2.0
#: A step of this score counts only together with something else: a copy's end, another order.
WEAK = 0.15
#: A bare step below this score counts only where it is larger than those beside it.
SURE = 0.6
#: What is put in holds fewer changes of view than this; a longer way back is a produced video's.
MOST_INSERTED = 30


@dataclass(frozen=True)
class Seen:
    """A discontinuity in frames: `first` to `last`, the last left out (equal for a bare step)."""

    kind: DiscontinuityKind
    first: int
    last: int
    score: float
    supports: tuple[str, ...]
    boundaries: tuple[int, ...] = ()
    source: tuple[int, int] | None = None
    strength: float = 0.0


def is_remark(seen: Seen) -> bool:
    """Whether it is said for the record only: doubled frames, motion that comes again, a step
    between pictures that lie too far apart."""
    return seen.kind == "doubled-frames" or bool({PERIODIC, TOO_FEW} & set(seen.supports))


class Judged(NamedTuple):
    """What was seen, and (first, last) of stretches in which no copy, no freeze could be told."""

    seen: list[Seen]
    no_copies: list[tuple[int, int]]
    no_freezes: list[tuple[int, int]]


def judge_frames(
    measured: Measurements, rate_hz: float, *, least_score: float | None = None,
    model: StepModel | None = None,
) -> list[Seen]:  # fmt: skip
    """Every discontinuity the pictures show, each once; see `judge_clip`."""
    return judge_clip(measured, rate_hz, least_score=least_score, model=model).seen


def judge_clip(
    measured: Measurements, rate_hz: float, *, least_score: float | None = None,
    model: StepModel | None = None,
) -> Judged:  # fmt: skip
    """Every discontinuity the pictures show, each once, in order of time; and where none could.

    Parameters
    ----------
    measured
        From `video_measure.measure_frames`.
    rate_hz
        Frames a second.
    least_score
        Bare steps below this score are left out; the model's own threshold by default.
    model
        Another model of steps than the one shipped, for measuring.
    """
    import numpy as np

    thumbs, columns = measured.planes["thumbs"], measured.columns
    count = len(thumbs)
    model = model or shipped_model()
    least_score = model.least_score if least_score is None else least_score
    fresh = find_fresh(measured.key, columns["detail"], columns["peak"])
    steps = measure_candidates(measured, rate_hz)
    scores = score_steps(steps, model)
    doubled = find_doubles(columns["diff"])
    odds = {
        frame: score for frame, score in zip(steps.frames.tolist(), scores.tolist(), strict=True)
        if not was_held(columns["diff"], doubled, frame, rate_hz)
    }  # fmt: skip
    cuts = find_shots(thumbs, columns["level"], columns["chroma"], rate_hz)
    views = [b.first for b in cuts if b.kind == "cut"]
    found = _inserted(thumbs, views, columns["spread"])
    taken = {b for seen in found for b in seen.boundaries}
    # A still picture that somebody put in is already named, and is no freeze of this view.
    foreign = [(seen.first, seen.last) for seen in found]
    held, still = find_freezes(
        columns["diff"], rate_hz, fresh=fresh, peak=columns["peak"], cells=measured.planes["cells"]
    )
    freezes = [f for f in held if not any(a - 2 <= f.first and f.last <= b + 2 for a, b in foreign)]
    found += [_freeze(f, odds) for f in freezes]
    # A picture that stands still repeats itself at every lag.
    frozen = np.zeros(count, dtype=bool)
    for freeze in freezes:
        frozen[freeze.first : freeze.last] = True
    # Only what may be a step can be a seam: there are few, and the rest need no search.
    likely = sorted((-s, f) for f, s in odds.items() if s >= WEAK)
    seams = np.array([f for _, f in likely], dtype=np.int64)
    # Each search needs some megabytes an hour, but not both at once.
    give_back()
    seamed = find_seamed(thumbs, seams, rate_hz)
    give_back()
    moving = find_repeats(thumbs, rate_hz)
    for repeat in _each_once(seamed.found, moving.found):
        if frozen[repeat.first : repeat.last].mean() < 0.5:
            found.append(_copy(repeat, odds))
    found = _doubt_the_periodic(found)
    for seen in found:
        taken.update(seen.boundaries)
    # Of a step too weak to be said, nobody asks whether it came back.
    said = min(WEAK, least_score)
    for frame in [f for f, s in odds.items() if s >= said and came_back(thumbs, f, rate_hz)]:
        del odds[frame]
    # What stands out right beside a boundary already named is part of it.
    named = _around(taken, max(4, round(rate_hz / 6)), count)
    for b in cuts:
        if b.kind != "cut":
            named[max(0, b.start - 1) : b.end + 2] = True
    left = [(f, s) for f, s in odds.items() if s >= least_score and not named[f]]
    left = _strongest_of_each(left, max(2, round(rate_hz / 8)))
    left_out = find_left_out(columns["diff"], measured.key, rate_hz)
    left = [
        (f, s) for f, s in left
        if not left_out[f] and (s >= SURE or not no_larger(thumbs, f))
        and not came_in(measured.planes["cells"], f, window_frames(rate_hz))
        and not passed_by(thumbs, f, rate_hz)
    ]  # fmt: skip
    # Somebody who fills a fixed view at once makes a cut of the step, but not of the place.
    produced = [v for v in views if v not in taken and not same_place(thumbs, v, rate_hz)]
    known = _around(produced, 2, count)
    bare = [(f, s) for f, s in left if not known[f]]
    # A weak step counts when putting the stretches back makes it vanish together with others.
    known |= _around(taken, 2, count)
    weak = [(f, s) for f, s in odds.items() if s >= WEAK and not known[f]]
    found += _order(thumbs, _strongest_of_each(weak, max(2, round(rate_hz / 8))), least_score)
    taken = {b for seen in found for b in seen.boundaries}
    for frame, score in bare:
        if frame not in taken:
            found.append(Seen("deletion", frame, frame, score, ("step",), (frame,)))
    found += _doubles(doubled, frozen, columns["diff"], rate_hz)
    if rate_hz < SLOW_HZ:
        found = [
            replace(seen, score=min(seen.score, 0.4), supports=(*seen.supports, TOO_FEW))
            if seen.kind in ("deletion", "reorder") else seen for seen in found
        ]  # fmt: skip
    found.sort(key=lambda seen: (seen.first, seen.last))
    return Judged(found, moving.everywhere if seamed.finished else seamed.everywhere, still)


def _around(frames: Iterable[int], reach: int, count: int) -> NDArray[np.bool_]:
    """(count,) which frames lie within `reach` of one of these."""
    import numpy as np

    marks = np.zeros(count, dtype=bool)
    for frame in frames:
        marks[max(0, frame - reach) : max(0, frame + reach + 1)] = True
    return marks


def _strongest_of_each(steps: list[tuple[int, float]], near: int) -> list[tuple[int, float]]:
    import numpy as np

    kept: list[tuple[int, float]] = []
    taken = np.zeros(max((frame for frame, _ in steps), default=0) + 1, dtype=bool)
    for frame, score in sorted(steps, key=lambda item: -item[1]):
        if not taken[frame]:
            kept.append((frame, score))
            taken[max(0, frame - near) : frame + near + 1] = True
    return sorted(kept)


def _inserted(
    thumbs: NDArray[np.uint8], views: list[int], spread: NDArray[np.float64]
) -> list[Seen]:
    """Pairs of changes of view of which the second leads back to where the first left."""
    found: list[Seen] = []
    used: set[int] = set()
    for number, start in enumerate(views):
        if start in used or start < 1 or same_structure(thumbs[start - 1], thumbs[start]):
            # The same things stand there: a light was switched, no other view was put in.
            continue
        for others, end in enumerate(views[number + 1 : number + 1 + MOST_INSERTED]):
            if same_view(thumbs[start - 1], thumbs[min(len(thumbs) - 1, end)]):
                inside = spread[start:end]
                empty = float(inside.max(initial=0.0)) < 6.0
                kind: DiscontinuityKind = "inserted-black" if empty else "splice"
                # Of a produced video that alternates between views this may be an ordinary cut.
                score = 0.97 if others == 0 else 0.6
                found.append(
                    Seen(kind, start, end, score, ("change of view", "return"), (start, end))
                )  # fmt: skip
                used.update((start, end))
                break
    return found


def _freeze(freeze: Freeze, odds: dict[int, float]) -> Seen:
    import math

    jump = max((odds.get(freeze.last + d, 0.0) for d in (-1, 0, 1)), default=0.0)
    score = 1 - 1 / (1 + (freeze.contrast / 8) ** 2 * (1 + 2 * jump))
    supports = ("standstill", "step") if jump >= 0.5 else ("standstill",)
    return Seen("freeze", freeze.first, freeze.last, min(0.99, score), supports,
                (freeze.first, freeze.first + 1, freeze.last),
                strength=math.log(freeze.contrast))  # fmt: skip


def _each_once(seamed: list[Repeat], moving: list[Repeat]) -> list[Repeat]:
    """Copies told by their seams, and those told by motion alone that are not among them."""
    return seamed + [
        one for one in moving
        if not any(abs(one.lag - other.lag) <= 4
                   and min(one.last, other.last) > max(one.first, other.first) for other in seamed)
    ]  # fmt: skip


def _copy(repeat: Repeat, odds: dict[int, float]) -> Seen:
    """Which of the two is the copy: the one with steps at its ends."""
    early, late = repeat.first, repeat.first + repeat.lag
    length = repeat.last - repeat.first

    def edge(frame: int) -> tuple[int, float]:
        # A seam is known to the frame; motion looks back half a second and may be some frames off.
        for reach in (1, 4) if repeat.seamed else (4,):
            around = range(frame - reach, frame + reach + 1)
            best = max(around, key=lambda f: (odds.get(f, 0.0), -abs(f - frame)))
            if odds.get(best, 0.0) > 0.3:
                return best, odds[best]
        return frame, 0.0

    (a, at_a), (b, at_b) = edge(early), edge(repeat.last)
    (c, at_c), (d, at_d) = edge(late), edge(late + length)
    adjoining = abs(repeat.lag - length) <= 4
    supports = ["repeated pictures", "seam"] if repeat.seamed else ["repeated motion"]
    if adjoining:
        first, last, source, ends = c, d, (early, c), at_c
        kind: DiscontinuityKind = "loop"
    elif at_a + at_b > at_c + at_d:
        first, last, source, ends = a, b, (late, late + length), at_a + at_b
        kind = "cover-up"
    else:
        first, last, source, ends = c, d, (early, repeat.last), at_c + at_d
        kind = "cover-up"
    if ends > 0.5:
        supports.append("step")
    score = min(0.99, 0.55 + 0.25 * min(1.0, (repeat.sharpness - 2) / 2) + 0.2 * min(1.0, ends))
    return Seen(kind, first, max(last, first + 1), score, tuple(supports), (first, last),
                source, repeat.sharpness)  # fmt: skip


def _doubt_the_periodic(found: list[Seen]) -> list[Seen]:
    """A fan, a crane, a test pattern: motion that stands in three places belongs to the scene.

    A stretch that somebody played again and again stands in three places too, but the pictures
    jump where it starts over; where they do, the copy keeps its score.
    """
    copies = [seen for seen in found if seen.source is not None]

    def lag(seen: Seen) -> int:
        assert seen.source is not None
        return abs(seen.first - seen.source[0])

    def share(one: Seen, other: Seen) -> float:
        assert one.source is not None and other.source is not None
        mine = ((one.first, one.last), one.source)
        theirs = ((other.first, other.last), other.source)
        return max(
            (min(a[1], b[1]) - max(a[0], b[0])) / max(1, min(a[1] - a[0], b[1] - b[0]))
            for a in mine for b in theirs
        )  # fmt: skip

    kept: list[Seen] = []
    doubted: list[Seen] = []
    for seen in found:
        if seen.source is None or "step" in seen.supports:
            kept.append(seen)
        # A stretch longer than its lag overlaps what it was copied from.
        elif lag(seen) < seen.last - seen.first - 4 or any(
            abs(lag(other) - lag(seen)) > 4 and share(seen, other) >= 0.5 for other in copies
        ):
            doubted.append(seen)
        else:
            kept.append(seen)
    if doubted:
        # Once is enough to remark on it, and it hides no step that happens to lie at its ends.
        most = max(doubted, key=lambda seen: seen.strength)
        supports = (*most.supports, PERIODIC)
        kept.append(replace(most, supports=supports, score=min(most.score, 0.4), boundaries=()))
    return kept


def _order(
    thumbs: NDArray[np.uint8], steps: Sequence[tuple[int, float]], least_score: float
) -> list[Seen]:
    """Three steps that vanish when the two stretches between them change places."""
    import functools

    import numpy as np

    # Three steps and three others share most of these.
    @functools.cache
    def gap(one: int, other: int) -> float:
        change = thumbs[one].astype(np.float32) - thumbs[other]
        change -= change.mean()
        flat = np.sort(np.abs(change), axis=None)
        return float(flat[-max(4, flat.size // 20) :].mean())

    found: list[Seen] = []
    frames = [f for f, _ in steps]
    scores = dict(steps)
    used: set[int] = set()
    last = len(thumbs) - 1
    for i, a in enumerate(frames):
        for j in range(i + 1, min(len(frames), i + 6)):
            for k in range(j + 1, min(len(frames), j + 6)):
                b, c = frames[j], frames[k]
                if used & {a, b, c} or c > last or a < 1:
                    continue
                if max(scores[a], scores[b], scores[c]) < least_score:
                    continue
                now = [gap(a - 1, a), gap(b - 1, b), gap(c - 1, c)]
                if gap(a - 1, b) >= 0.6 * min(now):
                    continue
                put_back = [gap(a - 1, b), gap(c - 1, a), gap(b - 1, c)]
                if max(put_back) < 0.6 * min(now) and sum(put_back) < 0.4 * sum(now):
                    score = max(scores[a], scores[b], scores[c])
                    found.append(
                        Seen("reorder", a, c, score, ("step", "order"), (a, b, c),
                             strength=sum(now) / (sum(put_back) + 0.1))
                    )  # fmt: skip
                    used |= {a, b, c}
    return found


def _doubles(
    doubled: NDArray[np.int64], frozen: NDArray[np.bool_], diff: NDArray[np.float64], rate_hz: float
) -> list[Seen]:
    import numpy as np

    doubles = doubled[~frozen[doubled]]
    if not len(doubles):
        return []
    gaps = np.diff(doubles)
    regular = len(gaps) >= 4 and float(np.mean(np.abs(gaps - middle(gaps)) <= 1)) > 0.6
    supports: tuple[str, ...] = ("doubled frame", "regular" if regular else "irregular")
    first, last = int(doubles[0]), int(doubles[-1]) + 1
    score = 0.2 if regular else 0.3
    # A conversion doubles frames wherever it moves; a stretch that somebody slowed down ends.
    inside = diff[first:last]
    outside = np.concatenate([diff[1 : max(1, first - LENGTHENED)], diff[last + LENGTHENED :]])
    moving = int((outside >= 0.5 * middle(inside[inside > 0.03])).sum()) if regular else 0
    if moving >= LENGTHENED_MOVES_S * rate_hz and last - first >= rate_hz:
        score, supports = 0.45, (*supports, IN_PART)
    return [Seen("doubled-frames", first, last, score, supports, (), strength=float(len(doubles)))]


def judge_cadence(seen: Sequence[Seen], shown: NDArray[np.bool_]) -> list[Seen]:
    """What was judged on the distinct pictures alone, in frames of the file, and their cadence."""
    import numpy as np

    places = np.flatnonzero(shown)

    def frame(place: int) -> int:
        return int(places[place]) if place < len(places) else len(shown)

    found = [
        replace(
            one, first=frame(one.first), last=frame(one.last),
            boundaries=tuple(frame(b) for b in one.boundaries),
            source=(frame(one.source[0]), frame(one.source[1])) if one.source else None,
        )
        for one in seen
    ]  # fmt: skip
    repeats = np.flatnonzero(~shown)
    found.append(
        Seen("doubled-frames", int(repeats[0]), int(repeats[-1]) + 1, 0.2,
             ("doubled frame", "regular"), (), strength=float(len(repeats)))
    )  # fmt: skip
    return sorted(found, key=lambda one: (one.first, one.last))


def observe(seen: Seen, measured: Measurements) -> Observation:
    """One observation for the record, with exact times and what supports it."""
    last = len(measured) - 1
    # A step lies between two pictures: the span runs from the one to the other.
    start = max(0, seen.first - 1) if seen.first == seen.last else min(seen.first, last)
    span = measured.span(start, min(last, seen.last))
    # One support alone, such as motion that comes again, has too many harmless causes.
    told = seen.kind in ("splice", "cover-up", "loop", "reorder") and len(seen.supports) > 1
    strong = told and seen.score >= 0.75
    measures = {"first_frame": Quantity.exact(seen.first, "frame"),
                "frames": Quantity.exact(seen.last - seen.first, "frames")}  # fmt: skip
    if seen.strength:
        unit = {"doubled-frames": "frames"}.get(seen.kind, "")
        measures["strength"] = Quantity(
            round(seen.strength, 3), unit, note="a ratio measured once; see the error rate"
        )
    note = ""
    if seen.source is not None:
        shown = measured.span(min(last, seen.source[0]), min(last, seen.source[1]))
        note = f"the same motion stands at {shown}"
        measures["source_first_frame"] = Quantity.exact(seen.source[0], "frame")
    score, slow = seen.score, TOO_FEW in seen.supports
    strong &= not slow
    reasons = explain(
        seen.kind, regular=bool({"regular", PERIODIC} & set(seen.supports)),
        in_part=IN_PART in seen.supports,
    )  # fmt: skip
    damage = explain_damage(measured, start, seen.last, reasons)
    if damage is not None:
        score, strong, reasons = min(score, MOST_SCORE), False, damage
        note = "; ".join(n for n in (note, "the decoder repaired damaged pictures here") if n)
    said = Discontinuity(
        level="frame", kind=seen.kind, verdict="inconsistent" if strong else "inconclusive",
        supports=tuple(f"frame: {s}" for s in seen.supports), explanations=reasons,
    )
    return Observation(
        said, span, round(score, 4), measures=measures, note=note,
        stratum=f"{seen.kind}, under {SLOW_HZ:g}/s" if slow else seen.kind,
    )  # fmt: skip
