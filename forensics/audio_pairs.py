"""Evidence that two clips heard the same moment, and how strong it is.

`measure_pairs` compares sound with sound and is cached by digests; `judge` holds one measured
pair against the strangers' table. Both read a pair in the order of its digests, so that the
answer for (b, a) is exactly the answer for (a, b) turned round.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from forensics.audio_breaks import local_offset_breaks
from forensics.audio_features import RATE_HZ, Heard, clear_cache
from forensics.audio_match import Match, find_likely, match_all, match_pair
from forensics.audio_null import combined, false_join
from forensics.audio_phase import PhaseFit, fit_phase
from forensics.audio_sources import forget_arrivals
from forensics.audio_spread import LEAST_LEFT, score_left
from forensics.model import Progress

__all__ = [
    "ENVELOPE_S", "Candidate_", "Judged", "Measured", "forget", "judge", "likeliest",
    "measure_pairs", "refine_pairs",
]  # fmt: skip

#: Lags refined by phase, and how strong they must be beside the best.
_REFINED, _WORTH = 4, 0.5
#: A rival whose envelope is this strong beside the best makes the pair ambiguous.
_RIVAL = 0.8
#: A clip that matches itself elsewhere this surely repeats, and then weaker rivals count too.
_REPEATS_P, _RIVAL_REPEATING = 1e-4, 0.5
#: Strangers reach this envelope score by chance about once in ten comparisons.
_STRANGERS = 4.5
#: A waveform that fits at one lag and less than this well at another decides between the two: a
#: chant is never sung twice the same. Where it fits at both, what is heard is a loop.
_DECIDES = 0.5
#: From so many clips on, pairs are compared at a low rate first.
_MANY = 100
#: Of so many, each clip's waveform is held against this many others that sound most alike; the
#: rest of its partners only where nothing else ties two groups of clips together.
_PARTNERS = 4
#: Rivals nearer than this may be one clip that jumps, not sound that repeats.
_NEAR_S = 4.0
#: What a lag and its slope may be off for reasons the scatter does not show, in seconds.
_SYSTEMATIC_S = 6e-6
#: Windows that agree on the waveform itself: two microphones in air do not reach this.
#: (two that stood still before one loudspeaker, on clocks that agreed: 0.37 at most); one sound
#: through two codecs with a voice as loud over it keeps 0.46.
SAME_COHERENCE, SAME_SCATTER_S, SAME_DRIFT_PPM = 0.40, 20e-6, 2.0
#: A slope of the lag is called clock drift where windows spread over this part of what both heard
#: lie on one line to within `_STEADY_S`. Tuning half: 39 of 41 pairs of standing telephones that
#: share as long do, 0 of 49 with a walking one.
_DRIFT_S, _STEADY_SHARE, _STEADY, _STEADY_S = 25.0, 0.4, 5, 5e-5
#: No two clocks differ by more than this.
_DRIFT_PPM = 240.0
#: Standard error of a lag that rests on envelopes alone.
ENVELOPE_S = 0.02


@dataclass(frozen=True)
class Measured:
    """What was measured of a pair, with `first` < `second` as digests.

    `spare`: the envelopes agree, the waveforms were not compared, as both clips have partners
    that sound more alike.
    """

    first: str
    second: str
    match: Match
    fits: tuple[PhaseFit | None, ...] | None
    spare: bool = False


@dataclass(frozen=True)
class Candidate_:
    """One way to lay two clips over each other: at `first_s` and `second_s` they heard the same.

    Times are presentation times on each clip's own clock; `drift_ppm` is how much faster the
    second clip's clock runs, None if it was not measurable, for the reason `no_drift`.
    """

    first_s: float
    second_s: float
    sigma_s: float
    strength: float
    drift_ppm: float | None = None
    drift_sigma_ppm: float | None = None
    no_drift: str = ""

    @property
    def offset_s(self) -> float:
        """Presentation time of the first clip at which the second clip's clock shows zero."""
        return self.first_s - self.second_s * (1 + (self.drift_ppm or 0.0) * 1e-6)


@dataclass(frozen=True)
class Judged:
    """A pair held against strangers. `candidates` best first; `false_join` for all pairs asked.

    `left` is the envelopes' score without the two seconds that fit best, where enough remains;
    `piece_s` when, on the second clip's samples, one soundtrack is on both and nothing else is.
    """

    first: str
    second: str
    candidates: tuple[Candidate_, ...]
    p: float
    p_envelope: float
    p_phase: float
    false_join: float
    envelope_score: float
    phase: PhaseFit | None
    overlap_s: float
    ambiguous: bool
    same_soundtrack: bool
    spare: bool = False
    left: float | None = None
    piece_s: tuple[float, float] | None = None


_measured: dict[tuple[str, str], Measured] = {}
_dismissed: set[tuple[str, str]] = set()
_repeating: dict[str, float] = {}


def forget() -> None:
    """Drop everything heard and compared so far in this process."""
    _measured.clear()
    _dismissed.clear()
    _repeating.clear()
    forget_arrivals()
    clear_cache()


def _gate(count: int) -> float:
    """Envelope probability above which a pair is not worth refining, for `count` clips."""
    return min(0.3, 4.0 / max(1, count))


def _refine(first: Heard, second: Heard, match: Match) -> tuple[PhaseFit | None, ...]:
    one, two = first.samples(), second.samples()
    fits = []
    for lag, score in list(zip(match.lags_s, match.scores, strict=True))[:_REFINED]:
        worth = score >= _WORTH * match.scores[0]
        fits.append(fit_phase(one, two, rate_hz=RATE_HZ, lag_s=lag) if worth else None)
    return tuple(fits)


def measure_pairs(
    heard: Sequence[Heard], *, progress: Progress | None = None
) -> dict[tuple[str, str], Measured]:
    """Compare every two clips; pairs already measured in this process are not measured again.

    Of more than `_MANY` clips only pairs that look alike at a low rate are compared in full, and
    returned: what is left out scores far below what joins a pair among so many. Of those the
    waveforms of `_PARTNERS` of each clip are compared, the others come back as `spare`.
    """
    ordered = sorted(heard, key=lambda h: h.digest)
    digests = [h.digest for h in ordered]
    count = len(ordered)
    total = count * (count - 1) // 2
    many = count > _MANY
    missing = [
        (i, j) for i in range(count) for j in range(i + 1, count)
        if (key := (digests[i], digests[j])) not in _measured
        and not (many and key in _dismissed)
    ]  # fmt: skip
    done = total - len(missing)
    rows = [h.features for h in ordered]
    if missing and many:
        likely = {(i, j) for i, j, _ in find_likely(rows, pairs=missing if done else None)}
        _dismissed.update((digests[i], digests[j]) for i, j in missing if (i, j) not in likely)
        missing, done = sorted(likely), total - len(likely)
    if missing:
        wanted = missing if done else None
        for i, j, match in match_all(rows, pairs=wanted):
            key = (digests[i], digests[j])
            _measured[key] = Measured(*key, match, None)
            done += 1
            if progress is not None and done % 64 == 0:
                progress(0.8 * done / total, "comparing pairs")
    gate = _gate(len(ordered))
    by_digest = {h.digest: h for h in ordered}
    found = {
        key: _measured[key]
        for i, one in enumerate(digests) for two in digests[i + 1 :]
        if (key := (one, two)) in _measured
    }  # fmt: skip
    alone = {
        key: p for key, item in found.items()
        if (p := combined(item.match.scores[0], item.match.trials, None, 1)[0]) <= gate
    }  # fmt: skip
    worth = likeliest(alone) if many else set(alone)
    found |= refine_pairs([found[key] for key in found if key in worth], by_digest)
    found |= {
        key: replace(found[key], spare=True)
        for key in alone if key not in worth and found[key].fits is None
    }  # fmt: skip
    return found


def likeliest(
    chances: Mapping[tuple[str, str], float], group: Mapping[str, int] | None = None
) -> set[tuple[str, str]]:
    """The pairs among the `_PARTNERS` likeliest of one of their clips; `chances` of strangers.

    With `group` by clip: among the likeliest between any two groups.
    """
    rows: dict[object, list[tuple[float, tuple[str, str]]]] = {}
    for key, p in chances.items():
        places = key if group is None else (tuple(sorted((group[key[0]], group[key[1]]))),)
        for place in places:
            rows.setdefault(place, []).append((p, key))
    return {key for some in rows.values() for _, key in sorted(some)[:_PARTNERS]}


def refine_pairs(
    items: Iterable[Measured], by_digest: Mapping[str, Heard]
) -> dict[tuple[str, str], Measured]:
    """Compare the waveforms of these pairs; of those that were compared before, nothing is done."""
    found = {}
    for item in items:
        key = (item.first, item.second)
        if item.fits is None:
            fits = _refine(by_digest[item.first], by_digest[item.second], item.match)
            item = _measured[key] = Measured(*key, item.match, fits)
        found[key] = item
    return found


def repeats(heard: Heard) -> float:
    """How well a clip matches itself at another lag, per root second of overlap; 0 if by chance.

    Music, chants and loops do. Between clips, a match no better than that may be one repetition
    laid over another.
    """
    known = _repeating.get(heard.digest)
    if known is None:
        match = match_pair(heard.features, heard.features, keep=2)
        # The first peak is the clip on itself; lags come in mirrored pairs.
        score = match.scores[1] if len(match.scores) > 1 else 0.0
        alone, _, _ = combined(score, match.trials / 2, None, 1)
        overlap = max(1.0, heard.length_s - abs(match.lags_s[-1]))
        known = score / math.sqrt(overlap) if alone < _REPEATS_P else 0.0
        _repeating[heard.digest] = known
    return known


def _no_drift(fit: PhaseFit, overlap_s: float) -> str:
    """Why the slope of the lag is not called a drift of the clocks; empty if it is."""
    if overlap_s < _DRIFT_S:
        return f"they share {overlap_s:.0f} s: {_DRIFT_S:g} s are needed"
    if fit.scatter_s > _STEADY_S or abs(fit.drift_ppm) > _DRIFT_PPM:
        return "a camera or the source of sound moved: 1 mm/s is 3 ppm, 1 m/s 2,900 ppm"
    if fit.steady < _STEADY or fit.steady_s < _STEADY_SHARE * overlap_s:
        return "the direct path shows for too little of what both heard"
    return ""


def _candidate(
    lag_s: float, score: float, fit: PhaseFit | None, first: Heard, second: Heard, overlap_s: float
) -> Candidate_:
    if fit is None or not fit.usable:
        # The middle of the overlap, where an unknown drift hurts least.
        low, high = max(0.0, -lag_s), min(second.length_s, first.length_s - lag_s)
        middle = (low + high) / 2
        return Candidate_(
            middle + lag_s + first.start_s, middle + second.start_s, ENVELOPE_S, score,
            no_drift="no steady direct path between them: walking, reflections or noise",
        )  # fmt: skip
    why = _no_drift(fit, overlap_s)
    # Half of what the windows stray may be one slow bend rather than noise.
    slope = 1e6 * max(_SYSTEMATIC_S, fit.scatter_s / 2) * math.sqrt(12) / max(2.0, fit.steady_s)
    return Candidate_(
        fit.at_s + fit.lag_s + first.start_s, fit.at_s + second.start_s,
        max(fit.lag_error_s, 5e-5), score + fit.score,
        # A lag that grows by d seconds per second means the second clock runs slow by d.
        None if why else fit.drift_ppm,
        None if why else math.hypot(fit.drift_error_ppm, slope), why,
    )  # fmt: skip


@dataclass(frozen=True)
class _Option:
    """A candidate with its envelope score, and with what is left without its best seconds."""

    place: Candidate_
    score: float
    fit: PhaseFit | None
    left: float | None = None

    @property
    def told(self) -> float:
        """The envelope score as evidence: of one short sound in a long time only what is left."""
        alone = self.left is not None and self.left < LEAST_LEFT
        return min(self.score, self.left) if alone and self.left is not None else self.score

    @property
    def strength(self) -> float:
        """By which options are ranked."""
        return self.place.strength - self.score + self.told


def _lag(option: _Option) -> float:
    return option.place.first_s - option.place.second_s


def _without_breaks(options: list[_Option], first: Heard, second: Heard) -> list[_Option]:
    """Leave out offsets that fit because one of the clips jumps: those are no repetition."""
    lag = _lag(options[0]) - first.start_s + second.start_s
    if not any(0 < abs(_lag(o) - _lag(options[0])) < _NEAR_S for o in options[1:]):
        return options
    jumps = [
        abs(b.jump_s)
        for b in local_offset_breaks(first.features, second.features, lag_s=lag, reach_s=_NEAR_S)
    ]
    return options[:1] + [
        o for o in options[1:]
        if not any(abs(abs(_lag(o) - _lag(options[0])) - jump) < 0.15 for jump in jumps)
    ]  # fmt: skip


def _ambiguous(
    options: Sequence[_Option], first: Heard, second: Heard, *, sure: bool
) -> bool:
    """Whether another lag fits nearly as well, best option first.

    Where sound repeats, the envelopes of one repetition fit at every other one: what is left is
    what does not repeat, and it must show, or the waveform must decide.
    """
    best, fit = options[0].told, options[0].fit
    fine = fit.score if fit is not None and fit.usable else 0.0
    others = [o.fit for o in options[1:] if o.fit is not None and o.fit.usable]
    looped = any(f.score >= _DECIDES * fine for f in others)
    weak = sure and (looped or max(repeats(first), repeats(second)) > 0)
    least = best * _RIVAL
    if weak:
        # A lag no better than strangers reach is no repetition.
        least = min(least, max(best * _RIVAL_REPEATING, _STRANGERS))
    return any(
        o.told >= least and not (fine and o.fit is not None and o.fit.score < _DECIDES * fine)
        for o in options[1:]
    )


def judge(
    item: Measured, first: Heard, second: Heard, *, pairs: int, clips: int
) -> Judged:
    """Hold a measured pair against the strangers' table, corrected for `pairs` comparisons."""
    match = item.match
    alone, _, _ = combined(match.scores[0], match.trials, None, 1)
    fits = item.fits if item.fits is not None and alone <= _gate(clips) else None
    tried = 0 if fits is None else sum(f is not None for f in fits)
    options = []
    for k, (lag, score) in enumerate(zip(match.lags_s, match.scores, strict=True)):
        fit = fits[k] if fits is not None and k < len(fits) else None
        left = None
        if fits is not None and score >= max(_STRANGERS, _WORTH * match.scores[0]):
            left = score_left(first.features, second.features, lag_s=lag, score=score)
        place = _candidate(lag, score, fit, first, second, match.overlap_s)
        options.append(_Option(place, score, fit, left))
    options.sort(key=lambda o: -o.place.strength)
    if any(o.told >= _STRANGERS for o in options):
        options.sort(key=lambda o: -o.strength)
    best = options[0]
    fit = best.fit
    p, p_envelope, p_phase = combined(best.told, match.trials, fit.score if fit else None, tried)
    sure = false_join(p, pairs) < 0.05
    rivals = _ambiguous(options, first, second, sure=sure)
    if rivals and sure:
        options = _without_breaks(options, first, second)
        rivals = _ambiguous(options, first, second, sure=sure)
    same = (
        fit is not None and fit.usable and fit.coherence >= SAME_COHERENCE
        and fit.scatter_s <= SAME_SCATTER_S
        and abs(fit.drift_ppm) <= max(SAME_DRIFT_PPM, 3 * fit.drift_error_ppm)
    )  # fmt: skip
    piece = None
    if not same and fit is not None and fit.usable and fit.piece_s is not None:
        rest = score_left(
            first.features, second.features, lag_s=fit.lag_s, score=best.score,
            without_s=fit.piece_s,
        )  # fmt: skip
        if rest is not None and rest < LEAST_LEFT:
            piece = fit.piece_s
    return Judged(
        item.first, item.second, tuple(o.place for o in options), p, p_envelope, p_phase,
        false_join(p, pairs), best.score, fit, match.overlap_s, rivals, bool(same or piece),
        item.spare, best.left, piece,
    )  # fmt: skip


def log_odds(p: float) -> float:
    """Evidence as -log10 of the probability under the strangers' table."""
    return -math.log10(max(p, 1e-300))
