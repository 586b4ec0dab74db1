"""Impulses heard and flashes seen in one clip, and which clips heard the same one.

What is found is a *class of sound* ("gunshot-like"), never a cause. Every examination says where
an impulse could not have been heard, so that "no shot before" is only ever said of stretches in
which one would have stood out.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, cast

from forensics.errors import SignalTooShort, StreamMissing
from forensics.events_count import DOUBT, FASTEST_S, bound_count, find_possible, may_hide_more
from forensics.events_features import REACH_S
from forensics.events_impulses import (
    Impulse,
    classify_sound,
    find_impulses,
    hearing_level,
    weigh_candidates,
)
from forensics.events_incident import (
    Arrival,
    FlashDelay,
    IncidentEvent,
    associate_events,
    match_flashes,
)
from forensics.events_levels import HOP_S, RATE_HZ, measure_levels
from forensics.events_markers import audacity_labels, webvtt_markers
from forensics.model import (
    Clip,
    Coverage,
    Examination,
    Flash,
    NotTestable,
    Observation,
    Progress,
    Quantity,
    SoundEvent,
    Span,
    seconds,
)
from forensics.provenance import conclude, keep, method, methods
from forensics.scan_sound import Sound, iter_sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "Arrival",
    "FlashDelay",
    "Impulse",
    "IncidentEvent",
    "associate_events",
    "audacity_labels",
    "classify_sound",
    "find_events",
    "find_impulses",
    "match_flashes",
    "measure_power",
    "webvtt_markers",
]

Label = Literal["impulse", "gunshot-like", "stun-grenade-like", "blow-like"]

#: Sound on either side of a chunk, so that a chunk's edge is judged like its middle.
_MARGIN_S = REACH_S
#: Measured: at this level above the loud parts of the background most impulses are found.
_MARGIN_DB = 10.0
_WINDOW_S = 5.0
#: Where the background's loud parts are above this, full scale leaves an impulse no room.
_CEILING_DB = -6.0
_SHORTEST_S = 1.0
#: Sounds in doubt are listed from a little before to a little after, as one where closer than the
#: third, unless an impulse was found so near.
_SOONER_S, _LATER_S, _JOINED_S, _COUNTED_S = 0.02, 0.25, 5.0, 0.05


def _blocks(
    chunks: Iterator[Sound], margin: int
) -> Iterator[tuple[Floats, int, int, int, list[Sound]]]:
    """(samples, index of the first, core from, core to, sounds) with a margin on both sides."""
    import numpy as np

    held = np.zeros(0, np.float32)
    first, core = 0, 0
    pending: list[Sound] = []
    for sound in chunks:
        held = np.concatenate([held, sound.mono])
        pending.append(sound)
        end = first + len(held)
        if end - core > 2 * margin:
            stop = end - margin
            yield held, first, core, stop, pending
            pending = []
            keep_from = max(first, stop - margin)
            held, first, core = held[keep_from - first :], keep_from, stop
    if len(held) and first + len(held) > core:
        yield held, first, core, first + len(held), pending


def _observation(found: Impulse, start: Fraction, offset: int) -> Observation:
    time = start + Fraction(offset, RATE_HZ) + seconds(found.time_s)
    length = seconds(min(max(found.decay_ms, 5.0), 1000.0) / 1000)
    decay_note = "to 20 dB below the peak" if found.decay_reached else "to the background, or 1 s"
    measures = {
        "above_floor": Quantity(found.above_floor_db, "dB", note="peak over the 0.2 s before"),
        "rise": Quantity(found.rise_ms, "ms", note="from 20 to 6 dB below the peak, 0.5 ms steps"),
        "decay": Quantity(found.decay_ms, "ms", note=decay_note),
        "lowest": Quantity(found.low_hz, "Hz", note="lowest frequency 3 dB over the background"),
        "highest": Quantity(found.high_hz, "Hz", note="99 % of the energy below; 8 kHz at most"),
        "centroid": Quantity(found.centroid_hz, "Hz", note="of the first 32 ms"),
        "hidden": Quantity(
            found.hidden_ms,
            "ms",
            note="until 10 dB below the peak: within it another as loud may leave no onset",
        ),
        "echoes": Quantity.exact(len(found.echoes_ms), "", "later peaks within 0.5 s and 25 dB"),
    }
    if found.echoes_ms:
        measures["first_echo"] = Quantity(found.echoes_ms[0], "ms", note="after the onset, ±0.5 ms")
    level = Quantity(found.level_db, "dBFS", note="5 ms mean at the peak; gain unknown")
    note = "clipped: the true level was higher" if found.clipped else ""
    label = cast(Label, classify_sound(found))
    return Observation(
        what=SoundEvent(label, time, level), span=Span(time, time + length),
        score=round(found.score, 4), measures=measures, note=note, stratum=_stratum(found),
    )  # fmt: skip


def _count(heard: list[Impulse], possible: int, length_s: float) -> Quantity:
    """How many impulses there were: those found, between those surely heard and all possible."""
    low, high = bound_count(heard, possible, length_s)
    more = (
        f"as many as fit {FASTEST_S:g} s apart, as those found are hardly louder than what is "
        "around them, and others may be lost in it"
        if may_hide_more(heard)
        else "all that may be impulses, echoes too, those that volleys hide, and what could lie in "
        f"the roar of those found, {FASTEST_S:g} s apart"
    )
    note = f"as loud as those found or as the hearing level; from those surely heard to {more}"
    return Quantity(len(heard), "", low, high, note)


def _doubts(times: list[float], origin: Fraction, end: Fraction) -> list[NotTestable]:
    """Where sounds are that may be impulses and are not counted, joined."""
    joined: list[list[float]] = []
    for time in times:
        if joined and time - joined[-1][1] < _JOINED_S:
            joined[-1][1] = time
        else:
            joined.append([time, time])
    return [
        NotTestable(
            Span(max(origin, origin + seconds(a - _SOONER_S)),
                 min(end, origin + seconds(b + _LATER_S))), DOUBT,
        )
        for a, b in joined
    ]  # fmt: skip


def _stratum(found: Impulse) -> str:
    # The error-rate table knows three bands of level over the loud parts of the background.
    over = found.prominence_db
    if over >= 12:
        return "20 dB over the background"
    return "10 dB over the background" if over >= 3 else "0 dB over the background"


def _deaf(windows: list[tuple[Fraction, float]], end: Fraction) -> list[NotTestable]:
    """Stretches in which no impulse could have stood out, joined."""
    found: list[NotTestable] = []
    for index, (begin, level) in enumerate(windows):
        stop = windows[index + 1][0] if index + 1 < len(windows) else end
        if level - _MARGIN_DB > _CEILING_DB:
            why = "the background is so loud that an impulse could not stand out"
        elif level - _MARGIN_DB < -95:
            why = "digital silence: a muted or gated microphone hears nothing"
        else:
            continue
        if found and found[-1].reason == why and found[-1].span.end == begin:
            found[-1] = NotTestable(Span(found[-1].span.start, stop), why)
        else:
            found.append(NotTestable(Span(begin, stop), why))
    return found


def _flashes(clip: Clip, progress: Progress | None) -> tuple[tuple[Observation, ...], str]:
    # Flashes are found by another part; without it the record says that nobody looked.
    if clip.video is None:
        return (), "no pictures: flashes not looked for"
    if importlib.util.find_spec("forensics.events_flash") is None:
        return (), "flashes not looked for: that part is not installed"
    part: Any = importlib.import_module("forensics.events_flash")
    seen: Examination = part.find_flashes(clip, progress=progress)
    if seen.outcome in ("failed", "not-applicable"):
        return (), f"flashes: {seen.outcome} ({seen.reason})"
    return seen.observations, f"flashes looked for: {len(seen.findings)} found"


def _only_flashes(
    seen: tuple[Observation, ...], coverage: Coverage, why: str, flash_note: str
) -> Examination:
    """The answer where nothing could be heard: of the pictures alone, if they were looked at."""
    looked = flash_note.startswith("flashes looked for")
    return conclude(
        seen, coverage=coverage, outcome=None if looked else "not-applicable",
        reason=f"{why}, so impulses are not applicable; {flash_note}", measured_as=_measured_as,
    )  # fmt: skip


def _measured_as(seen: Observation) -> tuple[str, str] | None:
    """A flash is handed on from the method that sees flashes, and so is that one's error rate."""
    flash = isinstance(seen.what, Flash)
    return ("flashes-seen", methods()["flashes-seen"].version) if flash else None


@method(
    "sound-events",
    version="6",
    references=(
        "Maher: Principles of Forensic Audio Analysis, Springer 2018, ch. on gunshot acoustics",
        "SWGDE Best Practices for Forensic Audio (08-A-001)",
    ),
)
def find_events(
    clip: Clip, *, minimum_score: float = 0.5, flashes: bool = True, chunk_s: float = 60.0,
    progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Find impulses heard (as classes of sound) and flashes seen, and where none could be heard.

    Candidates are where twelve bands rise together within 16 ms, each rise divided by how much
    that band rises anyway around there. Small fitted trees weigh measurements of each (rise at 1
    to 96 ms, level over what is loud in the 40 s around, decay, flatness, pitch), then, in a second
    round that may only take away, what was said of its neighbours. What follows a stronger impulse
    within 0.4 s and is 4 dB softer is taken for its echo.

    Parameters
    ----------
    clip
        An opened clip with sound (or only pictures, for flashes).
    minimum_score
        Candidates below are dropped.
    flashes
        Also look for flashes in the pictures.
    chunk_s
        Seconds of sound worked on at a time; what bounds the memory.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `SoundEvent` and `Flash` observations by time. `measures`: ``hearing_level``, the level an
        impulse needs to be found, ``heard_fraction``, and ``impulses``, how many there were, with
        an interval from those surely heard to all that there may have been. The artefact "hearing
        level" is a table (time in s, dBFS), one row every 5 s. ``coverage.not_testable`` also lists
        where sounds are that may be impulses and were not called so.

    Raises
    ------
    StreamMissing, SignalTooShort
        Recorded as *not applicable*.

    References
    ----------
    Maher, Principles of Forensic Audio Analysis (2018).

    When it errs
    ------------
    Calls it wrongly when a dog barks, a plate drops, a consonant pops at the microphone, applause
    or crackling fire is near: these are impulses or sound like them (misinterpretation). A burst
    whose shots are quieter one after the other can be taken for echoes (incompleteness), and a
    strong late echo for a second impulse (inaccuracy: existence).
    Drums, ticks, hammering and knocks are sudden sounds and are reported as such; how many false
    alarms a minute each kind of background costs is in ``benchmarks/results/events.json``.
    Misses it when it is no louder than the loud parts of the background, when automatic gain or
    noise suppression flattens it, when a codec below about 16 kbit/s smears it, or when it comes
    within the roar of another, which leaves it no onset (incompleteness): each impulse's measure
    ``hidden`` says for how long its own does, and the count's interval allows for some.
    A long volley becomes the background that its own shots are held against; where those found are
    hardly louder than what is around them, the count's upper end is what fits into the sound.
    Says nothing about the cause: the label is a class of sound by rise, decay and bandwidth, which
    distance, walls and phones change (misinterpretation).
    """
    import numpy as np

    flash_seen, flash_note = _flashes(clip, progress) if flashes else ((), "flashes not asked for")
    if clip.audio is None:
        if clip.video is None or not flashes or "not looked" in flash_note:
            raise StreamMissing(f"{clip.name} has no sound", path=clip.path)
        span = Span(Fraction(0), clip.duration or Fraction(0))
        return _only_flashes(flash_seen, Coverage(span, 1, "frames"), "no sound", flash_note)
    observations: list[Observation] = []
    windows: list[tuple[Fraction, float]] = []
    missing: list[NotTestable] = []
    start: Fraction | None = None
    heard: list[Impulse] = []
    unsure: list[float] = []
    total = failures = possible = 0
    chunks = iter_sound(clip, rate_hz=RATE_HZ, mono=True, chunk_s=chunk_s, progress=progress)
    for samples, first, core, stop, sounds in _blocks(chunks, round(_MARGIN_S * RATE_HZ)):
        for sound in sounds:
            start = sound.start if start is None else start
            failures = max(failures, sound.decode_failures)
            missing += [NotTestable(gap, "the file has no sound here") for gap in sound.gaps]
        origin = start or Fraction(0)
        levels = measure_levels(samples)
        candidates = weigh_candidates(samples, levels)
        for found in find_impulses(
            samples, minimum_score=minimum_score, levels=levels, candidates=candidates
        ):
            if core <= first + round(found.time_s * RATE_HZ) < stop:
                observations.append(_observation(found, origin, first))
                heard.append(replace(found, time_s=found.time_s + first / RATE_HZ))
        for alike in (False, True):
            may = find_possible(candidates, alike=alike).astype(np.float64) + first / RATE_HZ
            may = may[(may >= core / RATE_HZ) & (may < stop / RATE_HZ)]
            if alike:
                possible += len(may)
            else:
                unsure += [float(t) for t in may]
        total = stop
        hops = slice(
            round((core - first) / RATE_HZ / HOP_S), round((stop - first) / RATE_HZ / HOP_S)
        )
        inner = type(levels)(levels.bands[:, hops], levels.flatness[hops], levels.empty[hops])
        for number, level in enumerate(
            hearing_level(inner, window_s=_WINDOW_S, margin_db=_MARGIN_DB)
        ):
            at = origin + Fraction(core, RATE_HZ) + seconds(number * _WINDOW_S)
            windows.append((at, float(level)))
    if total < _SHORTEST_S * RATE_HZ:
        raise SignalTooShort(
            f"{clip.name} has too little sound for impulses",
            need_s=_SHORTEST_S, have_s=total / RATE_HZ,
        )  # fmt: skip
    origin = start or Fraction(0)
    span = Span(origin, origin + Fraction(total, RATE_HZ))
    not_testable = sorted([*missing, *_deaf(windows, span.end)], key=lambda n: n.span)
    table = "time_s,needed_dbfs\n" + "".join(f"{float(t):.3f},{v:.1f}\n" for t, v in windows)
    needed = np.array([v for _, v in windows])
    deaf_s = sum(float(n.span.length) for n in not_testable)
    if not heard and deaf_s >= float(span.length):
        coverage = Coverage(span, total, "samples", failures, tuple(not_testable))
        why = "no part of the sound could show an impulse"
        return _only_flashes(flash_seen, coverage, why, flash_note)
    counted = np.array([f.time_s for f in heard] or [-9.0])
    unsure = [t for t in unsure if np.abs(counted - t).min() > _COUNTED_S]
    not_testable = sorted([*not_testable, *_doubts(unsure, origin, span.end)], key=lambda n: n.span)
    measures = {
        "hearing_level": Quantity(
            float(np.median(needed)), "dBFS", float(np.quantile(needed, 0.025)),
            float(np.quantile(needed, 0.975)),
            "10 ms level an impulse needs to be found; the interval holds 95 % of the windows",
        ),
        "heard_fraction": Quantity(
            max(0.0, 1 - deaf_s / float(span.length)), "",
            note="share of the sound in which an impulse could have stood out",
        ),
        "impulses": _count(heard, possible, total / RATE_HZ),
    }  # fmt: skip
    everything = sorted([*observations, *flash_seen], key=lambda o: o.span or span)
    return conclude(
        everything,
        coverage=Coverage(span, total, "samples", failures, tuple(not_testable)),
        reason=f"{len(observations)} impulses; {flash_note}", stratum="10 dB over the background",
        measures=measures,
        artefacts=(keep(table.encode(), media_type="text/csv", label="hearing level"),),
        measured_as=_measured_as,
    )  # fmt: skip


@method("sound-events-power", version="4")
def measure_power(
    clip: Clip, *, level_db: tuple[float, ...] = (20.0, 10.0, 0.0), trials: int = 60, seed: int = 1,
    minimum_score: float = 0.5, max_s: float = 600.0, progress: Progress | None = None,
) -> dict[str, Quantity]:  # fmt: skip
    """Control experiment: what share of impulses put into this very sound would have been found.

    A synthetic impulse (1 ms attack, exponential decay, broadband) is added at random places at
    each level over the background's 95th percentile, and looked for as `find_events` does.

    Parameters
    ----------
    clip
        An opened clip with sound.
    level_db
        Levels over the 95th percentile of the 10 ms level, dB.
    trials
        Impulses per level.
    seed
        Of the random places and shapes.
    minimum_score
        As for `find_events`.
    max_s
        Only the first so many seconds are used.
    progress
        Called with (fraction, text).

    Returns
    -------
    dict
        Level in dB as text -> `Quantity`, a share with its 95 % interval.

    Raises
    ------
    StreamMissing
        No sound.

    When it errs
    ------------
    The inserted impulse is made, not recorded: a real one that is longer or passed the recorder's
    gain control is harder to find, so the share is an upper bound (misinterpretation).
    """
    import numpy as np

    from forensics.calibration import item_rate

    parts, length = [], 0.0
    for sound in iter_sound(clip, rate_hz=RATE_HZ, mono=True, progress=progress):
        parts.append(sound.mono)
        length += sound.duration_s
        if length >= max_s:
            break
    samples = np.concatenate(parts)[: round(max_s * RATE_HZ)]
    rng = np.random.default_rng(seed)
    count = len(samples) // 160
    power = (samples[: count * 160].reshape(count, 160) ** 2).mean(axis=1)
    loud = float(np.sqrt(np.quantile(power, 0.95) + 1e-12))
    per_round = max(1, int(len(samples) / RATE_HZ / 4))
    answer: dict[str, Quantity] = {}
    for level in level_db:
        hit = tried = 0
        while tried < trials:
            mixed = samples.copy()
            slots = rng.permutation(per_round)[: trials - tried]
            places = []
            for slot in np.sort(slots):
                at = int((slot + rng.uniform(0.2, 0.8)) / per_round * (len(samples) - RATE_HZ // 2))
                sound_made = _template(rng)
                peak = float(np.sqrt((sound_made[:160] ** 2).mean()))
                gain = loud * 10 ** (level / 20) / peak
                piece = sound_made[: len(mixed) - at] * gain
                mixed[at : at + len(piece)] += piece.astype(np.float32)
                places.append(at / RATE_HZ)
            np.clip(mixed, -1, 1, out=mixed)
            times = np.array(
                [f.time_s for f in find_impulses(mixed, minimum_score=minimum_score)] or [-9.0]
            )
            hit += int(sum(np.abs(times - place).min() <= 0.05 for place in places))
            tried += len(places)
        rate = item_rate(hit, tried)
        answer[f"{level:g}"] = Quantity(hit / tried, "", rate.low, rate.high)
    return answer


def _template(rng: np.random.Generator) -> Floats:
    import numpy as np

    count = round(0.25 * RATE_HZ)
    time = np.arange(count) / RATE_HZ
    decay = np.exp(-time / rng.uniform(0.012, 0.05)) * np.minimum(1, time / 0.001)
    noise = rng.standard_normal(count)
    made: Floats = (decay * noise).astype(np.float32)
    return made
