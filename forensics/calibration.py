"""Measured error rates: the table, the look-up, and the arithmetic of an honest interval.

`data/error_rates.json` holds one row per method, version and stratum. It is written by
``forensics calibrate`` from what the scripts in ``benchmarks/`` printed, never by hand. A method
without a row gets `Uncalibrated` with the reason; no number is ever made up, and "0 %" is never
reported without its upper bound: 0 of 59 still means up to 6.1 %.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Literal, TypeAlias

from forensics.calibration_merge import merge_rows, write_table
from forensics.calibration_rows import Row, hourly_rate, item_rate, measure_row
from forensics.model import ErrorRate, Examination, Uncalibrated, from_json

__all__ = [
    "Row", "error_rate", "hourly_rate", "item_rate", "judge_applicability", "measure_row",
    "merge_rows", "read_table", "write_table",
]  # fmt: skip

#: So many of the measured conditions are named where one was not measured.
_NAMED = 6

#: Whether a method was measured under an item's conditions.
Range: TypeAlias = Literal["in range", "out of range", "unknown"]


def read_table(path: Path | None = None) -> tuple[Row, ...]:
    """The rows of an error-rate table; the one shipped with the library by default."""
    if path is None:
        data = resources.files("forensics").joinpath("data/error_rates.json").read_bytes()
    else:
        data = path.read_bytes()
    return from_json(data, tuple[Row, ...])


@functools.cache
def _shipped() -> dict[tuple[str, str, str], Row]:
    return {(row.method, row.version, row.stratum): row for row in read_table()}


def error_rate(method: str, version: str, stratum: str = "") -> ErrorRate | Uncalibrated:
    """The measured error rate of a method in a stratum, or why there is none.

    A row for another version of the method does not count: the code has changed since.
    """
    table = _shipped()
    row = table.get((method, version, stratum))
    if row is not None:
        return measure_row(row)
    known = sorted({key[2] for key in table if key[:2] == (method, version)})
    if known:
        listed = ", ".join(repr(name) for name in known[:_NAMED])
        listed += f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
        what = f" for {stratum!r}" if stratum else ""
        return Uncalibrated(
            f"error rate not known{what}: {method} was measured only for {listed}"
        )
    if any(key[0] == method for key in table):
        return Uncalibrated(f"error rate not known: version {version} was not measured")
    return Uncalibrated("error rate not known: this method has not been measured")


def judge_applicability(
    examination: Examination, rows: Sequence[Row] | None = None
) -> tuple[Range, str]:
    """Whether a method was measured under the conditions it met in one examination, and why.

    *In range*: every condition (stratum) it named was measured for this version. *Out of range*:
    it was measured, but not under all of them; what it says there is not covered by a rate.
    *Unknown*: this version was never measured.

    Parameters
    ----------
    examination
        What was run.
    rows
        The table to look in; the one shipped with the library by default.
    """
    origin = examination.origin
    table = read_table() if rows is None else rows
    measured = sorted(
        {r.stratum for r in table if (r.method, r.version) == (origin.method, origin.version)}
    )
    rates = [f.error_rate for f in examination.findings] or [examination.error_rate]
    missing = [rate.reason for rate in rates if isinstance(rate, Uncalibrated)]
    if not missing:
        known = sorted({rate.stratum for rate in rates if isinstance(rate, ErrorRate)})
        return "in range", f"measured for {', '.join(map(repr, known))}"
    if measured:
        return "out of range", missing[0]
    return "unknown", missing[0]
