"""Counts and the arithmetic of an honest interval: Clopper-Pearson per item, Garwood per hour."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from forensics.errors import RecordInvalid
from forensics.model import ErrorRate, Rate, Value

__all__ = ["Row", "hourly_rate", "item_rate", "measure_row"]


class Row(Value, frozen=True):
    """Counts for one method, version and stratum, from clips the method was not tuned on.

    `negatives` counts independent untouched items, or hours when `per_hour` is true.
    """

    method: str
    version: str
    stratum: str
    true_positives: int
    false_negatives: int
    false_positives: int
    negatives: float
    per_hour: bool
    dataset: str
    dataset_digest: str
    independent: int
    measured: str
    script: str
    note: str = ""


@functools.lru_cache(maxsize=4096)
def item_rate(events: int, trials: int) -> Rate:
    """Clopper-Pearson 95 % interval of `events` in `trials` independent items.

    Raises
    ------
    RecordInvalid
        More events than trials, or no trial at all.
    """
    if not 0 <= events <= trials or trials == 0:
        raise RecordInvalid(f"{events} events in {trials} trials is not a rate")
    low = _beta_quantile(0.025, events, trials - events + 1) if events else 0.0
    # With no event the whole 5 % belongs to the upper end: 0 of 59 means up to 4.9 % one-sided;
    # the two-sided bound that courts are shown (6.1 %) is the more cautious of the two.
    high = _beta_quantile(0.975, events + 1, trials - events) if events < trials else 1.0
    return Rate(events, float(trials), "per item", low, high)


@functools.lru_cache(maxsize=4096)
def hourly_rate(events: int, hours: float) -> Rate:
    """Exact Poisson 95 % interval (Garwood) of `events` in `hours` of untouched material.

    Raises
    ------
    RecordInvalid
        A negative count, or no time at all.
    """
    if events < 0 or hours <= 0:
        raise RecordInvalid(f"{events} events in {hours} hours is not a rate")
    low = _gamma_quantile(0.025, events) / hours if events else 0.0
    high = _gamma_quantile(0.975, events + 1) / hours
    return Rate(events, float(hours), "per hour", low, high)


# -- quantiles: SciPy has them, but takes longer to import than a minute of video to measure ------

_TINY = 1e-300


def _fraction(terms: Callable[[int], tuple[float, float]]) -> float:
    """A continued fraction a1/(b1 + a2/(b2 + ...)) by Lentz's method; `terms(i)` gives ai, bi."""
    value, upper, lower = _TINY, _TINY, 0.0
    for i in range(1, 20000):
        a, b = terms(i)
        lower = 1.0 / ((b + a * lower) or _TINY)
        upper = (b + a / upper) or _TINY
        value *= upper * lower
        if abs(upper * lower - 1.0) < 1e-15:
            break
    return value


def _beta_below(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function."""
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _beta_below(1.0 - x, b, a)

    def terms(i: int) -> tuple[float, float]:
        m, odd = divmod(i - 1, 2)
        if i == 1:
            return 1.0, 1.0
        if odd:
            return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), 1.0
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), 1.0

    return math.exp(a * math.log(x) + _beta_scale(a, b) + b * math.log1p(-x)) / a * _fraction(terms)


def _beta_scale(a: float, b: float) -> float:
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)


def _gamma_below(x: float, shape: float) -> float:
    """The regularised lower incomplete gamma function."""
    scale = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1.0 / shape
        n = shape
        while term > 1e-17 * total:
            n += 1
            term *= x / n
            total += term
        return scale * total

    def terms(i: int) -> tuple[float, float]:
        return (1.0 if i == 1 else -(i - 1) * (i - 1 - shape)), x + 2 * i - 1 - shape

    return 1.0 - scale * _fraction(terms)


def _solve(
    share: float, below: Callable[[float], float], density: Callable[[float], float],
    low: float, high: float, guess: float,
) -> float:  # fmt: skip
    """Where `below` reaches `share`: Newton's steps, halving the bracket where one leaves it."""
    x = min(max(guess, low + 1e-12 * (high - low)), high - 1e-12 * (high - low))
    for _ in range(200):
        rest = below(x) - share
        if rest > 0:
            high = x
        else:
            low = x
        slope = density(x)
        step = x - rest / slope if slope > 0 else low
        after = step if low < step < high else (low + high) / 2
        if abs(after - x) <= 4e-16 * abs(x):
            return after
        x = after
    return x


def _beta_quantile(share: float, a: int, b: int) -> float:
    def density(x: float) -> float:
        return math.exp(
            (a - 1) * math.log(x) + (b - 1) * math.log1p(-x) + _beta_scale(a, b)
        )

    return _solve(share, lambda x: _beta_below(x, a, b), density, 0.0, 1.0, a / (a + b))


def _gamma_quantile(share: float, shape: int) -> float:
    def density(x: float) -> float:
        return math.exp((shape - 1) * math.log(x) - x - math.lgamma(shape))

    most = shape + 12.0 * math.sqrt(shape) + 40.0
    return _solve(share, lambda x: _gamma_below(x, shape), density, 0.0, most, float(shape))


def measure_row(row: Row) -> ErrorRate:
    """The error rate that a row of counts supports."""
    positives = row.true_positives + row.false_negatives
    if row.per_hour:
        false_positive = hourly_rate(row.false_positives, row.negatives)
    else:
        false_positive = item_rate(row.false_positives, int(row.negatives))
    return ErrorRate(
        false_positive=false_positive,
        miss=item_rate(row.false_negatives, positives),
        dataset=row.dataset,
        dataset_digest=row.dataset_digest,
        stratum=row.stratum,
        independent=row.independent,
        measured=row.measured,
    )
