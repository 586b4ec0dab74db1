"""The same impulse heard by several clips, and the delay from flash to bang.

Works on finished examinations and an alignment: no sound is decoded here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from forensics.model import (
    Alignment,
    Examination,
    Finding,
    Flash,
    Interval,
    NotTestable,
    Quantity,
    SoundEvent,
    Span,
    Value,
)

__all__ = [
    "Absence",
    "Arrival",
    "FlashDelay",
    "IncidentEvent",
    "associate_events",
    "match_flashes",
    "sound_speed",
]


class Arrival(Value, frozen=True):
    """One clip's hearing of an incident event: its finding, and when on the incident clock."""

    clip: str
    finding: str
    label: str
    at: Interval
    level: Quantity


class Absence(Value, frozen=True):
    """A clip of the same component that did not report the event, and whether it could have."""

    clip: str
    reason: Literal["not-heard", "could-not-hear", "not-recording"]
    detail: str = ""


class IncidentEvent(Value, frozen=True):
    """An impulse as the clips of one component heard it.

    `later_by`: for every clip but the first to hear it, seconds after the first; `nearer` is that
    first clip where the difference exceeds the alignment's uncertainty, else empty.
    """

    number: int
    component: int
    at: Interval
    label: str
    arrivals: tuple[Arrival, ...]
    absent: tuple[Absence, ...]
    later_by: dict[str, Quantity]
    farther_by: dict[str, Quantity]
    nearer: str
    rivals: tuple[str, ...] = ()
    note: str = ""


class FlashDelay(Value, frozen=True):
    """A flash followed by an impulse in the same clip: the delay and the distance it would mean."""

    flash: str
    impulse: str
    delay: Quantity
    distance: Quantity
    rivals: int
    note: str = "only if both have one cause; a clip cannot show that they have"


def sound_speed(celsius: float) -> float:
    """Speed of sound in dry air, m/s."""
    return float(331.3 * (1 + celsius / 273.15) ** 0.5)


def associate_events(
    examinations: Mapping[str, Examination], alignment: Alignment, *, reach_m: float = 170.0,
    air_celsius: tuple[float, float] = (-15.0, 35.0),
) -> tuple[IncidentEvent, ...]:  # fmt: skip
    """Join the arrivals of one impulse in several clips; say which clip was nearer.

    Events of clips in one component are joined when their incident times differ by no more than
    sound needs for `reach_m` metres plus both clips' placement uncertainty. The assignment is made
    pair by pair, closest first, never two arrivals of one clip; an arrival that could also have
    gone elsewhere is listed under `rivals`.

    Parameters
    ----------
    examinations
        `find_events` examinations by clip digest.
    alignment
        Where the clips lie on the incident clock.
    reach_m
        Largest difference in distance to the source considered.
    air_celsius
        Range of air temperature; widens the distances.

    Returns
    -------
    tuple of IncidentEvent
        By time. An event heard by one clip alone is an event too.

    When it errs
    ------------
    Calls it wrongly when shots of a burst follow each other faster than sound crosses the scene
    (inaccuracy: association; see `rivals`), or when the alignment itself was made from these very
    impulses: its offsets then already hold the travel time, differences shrink towards zero and
    `nearer` stays empty or speaks only of the difference to the dominant source.
    Misses it when one clip's detector missed it. Says nothing about where the source was.
    """
    slow, fast = sound_speed(air_celsius[0]), sound_speed(air_celsius[1])
    arrivals: dict[int, list[Arrival]] = {}
    for digest, exam in examinations.items():
        place = alignment.placement(digest)
        if place is None:
            continue
        for finding in exam.findings:
            what = finding.observation.what
            if isinstance(what, SoundEvent):
                at = alignment.on_component_clock(digest, Span(what.time, what.time))
                if at is not None:
                    arrivals.setdefault(place.component, []).append(
                        Arrival(digest, finding.id, what.label, at, what.level)
                    )
    answer: list[IncidentEvent] = []
    for component, heard in sorted(arrivals.items()):
        groups, rivals = _join(heard, reach_m / slow)
        members = [p.clip for p in alignment.placements if p.component == component]
        for group in groups:
            missing = [c for c in members if c in examinations and c not in {a.clip for a in group}]
            answer.append(
                _event(component, group, missing, rivals, examinations, alignment, slow, fast)
            )
    answer.sort(key=lambda e: (e.component, e.at.start))
    return tuple(
        IncidentEvent(
            number, e.component, e.at, e.label, e.arrivals, e.absent, e.later_by, e.farther_by,
            e.nearer, e.rivals, e.note,
        )
        for number, e in enumerate(answer, 1)
    )  # fmt: skip


def _join(heard: list[Arrival], reach_s: float) -> tuple[list[list[Arrival]], set[str]]:
    """Greedy joining, closest pairs first, never two arrivals of one clip in a group."""
    order = sorted(range(len(heard)), key=lambda k: heard[k].at.start)
    pairs = []
    for rank, i in enumerate(order):
        for j in order[rank + 1 :]:
            one, two = heard[i], heard[j]
            apart = two.at.start - one.at.start
            if apart > reach_s + 10:
                break
            spread = (one.at.uncertainty**2 + two.at.uncertainty**2) ** 0.5
            if one.clip != two.clip and apart <= reach_s + spread:
                pairs.append((apart, i, j))
    group = list(range(len(heard)))
    clips = {k: {heard[k].clip} for k in range(len(heard))}
    rivals: set[str] = set()
    for _, i, j in sorted(pairs):
        a, b = group[i], group[j]
        if a == b:
            continue
        if clips[a] & clips[b]:
            rivals |= {heard[i].finding, heard[j].finding}
            continue
        clips[a] |= clips.pop(b)
        group = [a if g == b else g for g in group]
    joined: dict[int, list[Arrival]] = {}
    for k, g in enumerate(group):
        joined.setdefault(g, []).append(heard[k])
    return [sorted(g, key=lambda x: x.at.start) for g in joined.values()], rivals


def _event(
    component: int, group: list[Arrival], missing: Sequence[str], rivals: set[str],
    examinations: Mapping[str, Examination], alignment: Alignment, slow: float, fast: float,
) -> IncidentEvent:  # fmt: skip
    first = group[0]
    later: dict[str, Quantity] = {}
    farther: dict[str, Quantity] = {}
    clear = len(group) > 1
    for other in group[1:]:
        delay = other.at.start - first.at.start
        spread = (first.at.uncertainty**2 + other.at.uncertainty**2) ** 0.5
        later[other.clip] = Quantity(delay, "s", delay - spread, delay + spread)
        far = sorted(x * c for x in (delay - spread, delay + spread) for c in (slow, fast))
        farther[other.clip] = Quantity(delay * (slow + fast) / 2, "m", far[0], far[-1])
        clear = clear and delay > spread
    labels = [a.label for a in group]
    label = max(sorted(set(labels)), key=labels.count)
    absent = tuple(_absence(clip, examinations[clip], first.at, alignment) for clip in missing)
    last = group[-1].at
    return IncidentEvent(
        0, component, Interval(first.at.start, last.start, first.at.uncertainty), label,
        tuple(group), absent, later, farther, first.clip if clear else "",
        tuple(sorted({a.finding for a in group} & rivals)),
        "one clip only" if len(group) == 1 else "",
    )  # fmt: skip


def _absence(clip: str, exam: Examination, at: Interval, alignment: Alignment) -> Absence:
    place = alignment.placement(clip)
    assert place is not None
    rate = 1 + place.drift_ppm.value * 1e-6
    local = (at.start - place.offset.value) / rate
    span = exam.coverage.span
    if span is None or not float(span.start) <= local <= float(span.end):
        return Absence(clip, "not-recording", "the clip has no sound at that time")
    deaf: NotTestable | None = next(
        (n for n in exam.coverage.not_testable if local in n.span), None
    )
    if deaf is not None:
        return Absence(clip, "could-not-hear", deaf.reason)
    return Absence(clip, "not-heard", "nothing above this clip's hearing level")


def match_flashes(
    exam: Examination, *, longest_s: float = 3.0, air_celsius: tuple[float, float] = (-15.0, 35.0),
    frame_s: float = 0.04,
) -> tuple[FlashDelay, ...]:  # fmt: skip
    """Pair each flash with the first impulse after it, with the distance interval of the delay.

    Parameters
    ----------
    exam
        A `find_events` examination with flashes and impulses.
    longest_s
        Longest delay considered (3 s is about 1 km).
    air_celsius
        Range of air temperature.
    frame_s
        Time between pictures: a flash may have begun that much before the picture that shows it.

    Returns
    -------
    tuple of FlashDelay
        `rivals` counts the other impulses within `longest_s` of the flash.

    When it errs
    ------------
    Calls it wrongly when flash and bang have different causes, or the device plays sound and
    pictures with a constant shift (phones: up to 0.1 s, about 35 m) (inaccuracy: association).
    """
    slow, fast = sound_speed(air_celsius[0]), sound_speed(air_celsius[1])
    flashes = [f for f in exam.findings if isinstance(f.observation.what, Flash)]
    bangs = [f for f in exam.findings if isinstance(f.observation.what, SoundEvent)]
    answer = []
    for flash in flashes:
        seen = _time(flash)
        after = [b for b in bangs if -0.01 <= _time(b) - seen <= longest_s]
        if not after:
            continue
        bang = min(after, key=_time)
        delay = _time(bang) - seen
        low, high = max(0.0, delay - 0.005), delay + frame_s + 0.005
        answer.append(
            FlashDelay(
                flash.id, bang.id, Quantity(max(0.0, delay), "s", low, high),
                Quantity(max(0.0, delay) * (slow + fast) / 2, "m", low * slow, high * fast),
                len(after) - 1,
            )
        )  # fmt: skip
    return tuple(answer)


def _time(finding: Finding) -> float:
    what = finding.observation.what
    assert isinstance(what, Flash | SoundEvent)
    return float(what.time)
