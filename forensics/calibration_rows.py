"""Counts and the arithmetic of an honest interval: Clopper-Pearson per item, Garwood per hour."""

from __future__ import annotations

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


def item_rate(events: int, trials: int) -> Rate:
    """Clopper-Pearson 95 % interval of `events` in `trials` independent items.

    Raises
    ------
    RecordInvalid
        More events than trials, or no trial at all.
    """
    # The quantile of the beta distribution; scipy.stats takes half a second to import.
    from scipy.special import betaincinv

    if not 0 <= events <= trials or trials == 0:
        raise RecordInvalid(f"{events} events in {trials} trials is not a rate")
    low = float(betaincinv(events, trials - events + 1, 0.025)) if events else 0.0
    # With no event the whole 5 % belongs to the upper end: 0 of 59 means up to 4.9 % one-sided;
    # the two-sided bound that courts are shown (6.1 %) is the more cautious of the two.
    high = float(betaincinv(events + 1, trials - events, 0.975)) if events < trials else 1.0
    return Rate(events, float(trials), "per item", low, high)


def hourly_rate(events: int, hours: float) -> Rate:
    """Exact Poisson 95 % interval (Garwood) of `events` in `hours` of untouched material.

    Raises
    ------
    RecordInvalid
        A negative count, or no time at all.
    """
    # Half the quantile of chi square with twice the shape.
    from scipy.special import gammaincinv

    if events < 0 or hours <= 0:
        raise RecordInvalid(f"{events} events in {hours} hours is not a rate")
    low = float(gammaincinv(events, 0.025)) / hours if events else 0.0
    high = float(gammaincinv(events + 1, 0.975)) / hours
    return Rate(events, float(hours), "per hour", low, high)


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
