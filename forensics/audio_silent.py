"""Place clips without usable sound: by burned-in clocks, by flashes, by large movements.

Pure functions that return `PairEvidence` whose basis is never "sound". `offset` is positive when
the second clip starts later than the first. Each states what it cannot know: clocks may be set
apart, light patterns may repeat, movement may be shared by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from forensics.model import ClockReading, Examination, PairEvidence, Quantity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = ["pair_by_clock", "pair_by_flash", "pair_by_motion"]

DAY_S = 86_400


def _nothing(
    first: str, second: str, basis: Literal["clock", "flash", "motion"], note: str
) -> PairEvidence:
    return PairEvidence(first, second, basis, None, 0.0, False, note=note)


def pair_by_clock(
    a_reading: Examination, b_reading: Examination, *, first: str = "", second: str = "",
    settings_apart_s: float = 30.0,
) -> PairEvidence:  # fmt: skip
    """When the second clip starts after the first, by the clocks burned into both.

    Parameters
    ----------
    a_reading, b_reading
        What `clock.read_clock` returned for each clip.
    first, second
        The clips' digests; taken from the examinations if empty.
    settings_apart_s
        How far the two clocks may be set apart, as a 95 % bound that the *examiner* answers for:
        0 for two clips of one recorder; no clip can tell it.

    When it errs
    ------------
    It calls it wrongly when the clocks were set further apart than stated; it says nothing where
    one of the clips shows no legible clock, or a break lies before the first reading.
    """
    first = first or (a_reading.origin.inputs[0] if a_reading.origin.inputs else "")
    second = second or (b_reading.origin.inputs[0] if b_reading.origin.inputs else "")
    starts, spreads, days = [], [], []
    for name, examination in (("first", a_reading), ("second", b_reading)):
        offset = examination.measures.get("offset")
        readings = [o.what for o in examination.observations if isinstance(o.what, ClockReading)]
        if offset is None or offset.high is None or not readings:
            return _nothing(first, second, "clock", f"the {name} clip shows no legible clock")
        starts.append(offset.value)
        spreads.append(float(offset.high - offset.value))
        days.append(readings[0].wall.split("T")[0] if "T" in readings[0].wall else None)
    apart = starts[1] - starts[0]
    note = "reading only" if settings_apart_s == 0 else (
        f"interval includes clocks set apart by up to {settings_apart_s:g} s, a bound the "
        "examiner answers for"
    )  # fmt: skip
    if days[0] is not None and days[1] is not None:
        from datetime import date

        apart += DAY_S * (date.fromisoformat(days[1]) - date.fromisoformat(days[0])).days
    else:
        apart = (apart + DAY_S / 2) % DAY_S - DAY_S / 2
        note += "; a date is missing: taken to be within half a day of each other"
    half = (spreads[0] ** 2 + spreads[1] ** 2 + settings_apart_s**2) ** 0.5
    return PairEvidence(
        first, second, "clock", Quantity(apart, "s", apart - half, apart + half), 0.9, True,
        note=note,
    )  # fmt: skip


def pair_by_flash(
    times_a: Sequence[float] | Floats, times_b: Sequence[float] | Floats, *, first: str = "",
    second: str = "", frame_s: float = 0.04, span_a: tuple[float, float] | None = None,
    span_b: tuple[float, float] | None = None, false_join_limit: float = 0.01,
) -> PairEvidence:  # fmt: skip
    """When the second clip starts after the first, by flashes or lamp changes seen in both.

    Parameters
    ----------
    times_a, times_b
        Clip times (s) of the flashes or light changes.
    frame_s
        The longer of the two frame intervals: a flash is seen to a frame at best.
    span_a, span_b
        Clip time covered by each clip; from first to last flash if not given.
    first, second
        Digests of the two clips, for the record.
    false_join_limit
        Largest probability that chance alone gives such an agreement.

    Returns
    -------
    PairEvidence
        `false_join` from how many offsets would agree as well if the flashes fell at random;
        rivals are other offsets that agree nearly as well.

    When it errs
    ------------
    It calls it wrongly when a lamp blinks evenly, which the rivals show; a single shared flash is
    never enough. It says nothing about which of two light sources was seen.
    """
    import numpy as np
    from scipy.stats import binom

    a, b = np.sort(np.asarray(times_a, float)), np.sort(np.asarray(times_b, float))
    if len(a) < 2 or len(b) < 2:
        return _nothing(
            first, second, "flash",
            f"{len(a)} and {len(b)} flashes: at least two in each clip are needed",
        )  # fmt: skip
    tolerance = 1.2 * frame_s
    lags = (a[:, None] - b[None, :]).ravel()
    support = np.array([_matched(a, b, lag, tolerance) for lag in lags])
    best = int(support.max())
    if best < 2:
        return _nothing(first, second, "flash", "no two flashes lie the same time apart")
    chosen = lags[support == best]
    lag = float(np.median(chosen[np.abs(chosen - chosen[0]) <= 2 * tolerance]))
    pairs = _pairs(a, b, lag, tolerance)
    lag = float(np.mean(a[pairs[:, 0]] - b[pairs[:, 1]]))
    others = np.unique(np.round(lags[(support >= best) & (np.abs(lags - lag) > 3 * tolerance)], 2))
    # Chance: at each offset tried, each flash in the shared stretch may lie beside another's.
    low_a, high_a = span_a or (float(a[0]), float(a[-1]))
    low_b, high_b = span_b or (float(b[0]), float(b[-1]))
    shared = max(frame_s, min(high_a, high_b + lag) - max(low_a, low_b + lag))
    rate = max(1, int(((b + lag >= low_a) & (b + lag <= high_a)).sum()))
    near = min(1.0, 2 * tolerance * len(a) / max(high_a - low_a, shared, frame_s))
    # The first match is what made the offset a candidate; only the others can agree by chance.
    tail = float(binom.sf(best - 2, rate - 1, near))
    # Each coincidence of k flashes is among the offsets k times, once for each of them.
    false_join = float(1 - (1 - tail) ** (len(lags) / best)) if tail < 1 else 1.0
    half = 1.96 * frame_s / 6**0.5 / max(1, best) ** 0.5 + frame_s / 2
    accepted = false_join <= false_join_limit and not len(others)
    return PairEvidence(
        first, second, "flash", Quantity(lag, "s", lag - half, lag + half),
        round(float(best / min(len(a), len(b))), 4), bool(accepted),
        false_join=Quantity(
            false_join, "probability", note="chance of flashes at random times, not measured"
        ),
        rivals=tuple(
            Quantity(float(o), "s", float(o) - half, float(o) + half) for o in others[:5]
        ),
        note=f"{best} flashes coincide" + ("; other offsets agree as well" if len(others) else ""),
        # Beyond a removed stretch the offset no longer holds: where it was taken must be known.
        measures={"anchor": Quantity.exact(
            float(np.median(b[pairs[:, 1]])), "s", "second clip's time of the flashes used"
        )},
    )  # fmt: skip


def _matched(a: Floats, b: Floats, lag: float, tolerance: float) -> int:
    import numpy as np

    near = np.abs(a[:, None] - b[None, :] - lag) <= tolerance
    return int(min(near.any(axis=0).sum(), near.any(axis=1).sum()))


def _pairs(a: Floats, b: Floats, lag: float, tolerance: float) -> NDArray[np.int64]:
    import numpy as np

    gap = np.abs(a[:, None] - b[None, :] - lag)
    rows = np.arange(len(a))
    nearest = gap.argmin(axis=1)
    good = gap[rows, nearest] <= tolerance
    out: NDArray[np.int64] = np.stack([rows[good], nearest[good]], axis=1)
    return out


def pair_by_motion(
    energy_a: Sequence[float] | Floats, energy_b: Sequence[float] | Floats, rate_hz: float, *,
    first: str = "", second: str = "", start_a_s: float = 0.0, start_b_s: float = 0.0,
    least_overlap_s: float = 8.0, false_join_limit: float = 0.01,
) -> PairEvidence:  # fmt: skip
    """When the second clip starts after the first, by when much moves in both views.

    Parameters
    ----------
    energy_a, energy_b
        How much changes from frame to frame, sampled evenly (any unit).
    rate_hz
        Samples per second of both.
    start_a_s, start_b_s
        Clip time of the first samples.
    least_overlap_s
        Shorter overlaps are not tried.
    first, second
        Digests of the two clips, for the record.
    false_join_limit
        Largest probability that chance alone gives such an agreement.

    Returns
    -------
    PairEvidence
        Score: correlation of the onsets of movement at the best offset. `false_join` comes from
        the same search on the same curves reversed in time, which share nothing but their nature.

    When it errs
    ------------
    It calls it wrongly when two views share a rhythm (traffic lights, a march) but not a moment;
    it misses views that show different parts of what happens. Views of one event from opposite
    sides may lead or lag by as long as a movement takes to cross over.
    """
    import numpy as np

    a, b = (_onsets(np.asarray(e, float), rate_hz) for e in (energy_a, energy_b))
    need = round(least_overlap_s * rate_hz)
    if min(len(a), len(b)) < need:
        have = min(len(a), len(b)) / rate_hz
        return _nothing(
            first, second, "motion", f"{have:.1f} s of movement: {least_overlap_s:g} s are needed"
        )
    lags, score = _correlate(a, b, need)
    _, null_1 = _correlate(a, b[::-1], need)
    _, null_2 = _correlate(a[::-1], b, need)
    best = int(score.argmax())
    top = float(score[best])
    far = np.abs(lags - lags[best]) > 1.5 * rate_hz
    # One maximum per null search is one draw; the two reversals and far lags shape its tail.
    null = np.concatenate([null_1, null_2, score[far] if far.any() else null_1])
    spread = float(null.std()) + 1e-9
    z = (top - float(null.mean())) / spread
    effective = max(1.0, len(score) / max(1.0, 0.5 * rate_hz))
    from scipy.stats import norm

    tail = float(norm.sf(z / 1.25))  # correlations have heavier tails than the normal curve
    false_join = float(min(1.0, effective * tail))
    rival = float(score[far].max()) if far.any() else 0.0
    lag = _peak(score, best, float(lags[best])) / rate_hz + start_a_s - start_b_s
    half = max(0.5, 2.0 / rate_hz)
    accepted = false_join <= false_join_limit and rival < 0.75 * top
    ends = (start_b_s, start_b_s + len(b) / rate_hz)
    shared = (max(ends[0], start_a_s - lag), min(ends[1], start_a_s - lag + len(a) / rate_hz))
    return PairEvidence(
        first, second, "motion", Quantity(lag, "s", lag - half, lag + half),
        round(max(0.0, min(1.0, top)), 4), bool(accepted),
        false_join=Quantity(
            false_join, "probability", note="normal tail of reversed curves, not measured"
        ),
        measures={
            "rival_ratio": Quantity(rival / max(top, 1e-9), "ratio", note="a plain ratio"),
            "anchor": Quantity.exact(
                sum(shared) / 2, "s", "second clip's time in the middle of what both show"
            ),
        },
        note="large movements coincide" if accepted else "movements do not agree clearly",
    )  # fmt: skip


def _onsets(energy: Floats, rate_hz: float) -> Floats:
    """Level-free onsets: the smoothed logarithm's rise over half a second, robustly scaled."""
    import numpy as np
    from scipy.ndimage import gaussian_filter1d

    if len(energy) < 4:
        return energy
    level = np.log1p(np.maximum(energy, 0) / (np.median(energy) + 1e-9))
    smooth = gaussian_filter1d(level, max(0.8, 0.15 * rate_hz))
    slow = gaussian_filter1d(level, 2.0 * rate_hz)
    course = smooth - slow
    spread = 1.4826 * float(np.median(np.abs(course - np.median(course)))) + 1e-9
    out: Floats = np.clip((course - np.median(course)) / spread, -3, 6)
    return out


def _correlate(a: Floats, b: Floats, need: int) -> tuple[Floats, Floats]:
    """Normalised correlation at every lag with enough overlap; lag: b starts that later."""
    import numpy as np
    from scipy.signal import fftconvolve

    def over(x: Floats, y: Floats) -> Floats:
        out: Floats = fftconvolve(x, y[::-1])
        return out

    ones_a, ones_b = np.ones_like(a), np.ones_like(b)
    count = np.maximum(np.round(over(ones_a, ones_b)), 1)
    sum_a, sum_b = over(a, ones_b), over(ones_a, b)
    product = over(a, b) - sum_a * sum_b / count
    power_a = np.maximum(over(a * a, ones_b) - sum_a**2 / count, 1e-9)
    power_b = np.maximum(over(ones_a, b * b) - sum_b**2 / count, 1e-9)
    score = product / np.sqrt(power_a * power_b)
    lags = np.arange(len(score), dtype=np.float64) - (len(b) - 1)
    keep = count >= need
    # Short overlaps correlate by chance: weigh by the square root of how much is shared.
    weight = np.sqrt(count / count.max())
    return lags[keep], (score * weight)[keep]


def _peak(score: Floats, at: int, lag: float) -> float:
    """The lag of a peak between samples, by a parabola."""
    if not 0 < at < len(score) - 1:
        return lag
    left, middle, right = (float(v) for v in score[at - 1 : at + 2])
    bend = left - 2 * middle + right
    return lag + (0.5 * (left - right) / bend if bend < 0 else 0.0)
