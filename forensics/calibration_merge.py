"""Collect what the benchmarks measured into the one table that ships with the library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from forensics.calibration_rows import Row, measure_row
from forensics.errors import RecordInvalid
from forensics.model import canonical_json, from_json

__all__ = ["merge_rows", "write_table"]


def merge_rows(results: Path) -> tuple[Row, ...]:
    """The rows of every ``rates_*.json`` in a folder, sorted, each condition once.

    Raises
    ------
    RecordInvalid
        A file that is no list of rows, counts that are no rate, or one condition measured twice.
    """
    found: dict[tuple[str, str, str], tuple[str, Row]] = {}
    for path in sorted(results.glob("rates_*.json")):
        try:
            rows = from_json(path.read_bytes(), tuple[Row, ...])
        except RecordInvalid as error:
            raise RecordInvalid(f"{path.name}: {error}") from None
        for row in rows:
            try:
                measure_row(row)
            except RecordInvalid as error:
                raise RecordInvalid(f"{path.name}: {row.method} {row.stratum}: {error}") from None
            key = (row.method, row.version, row.stratum)
            if key in found:
                raise RecordInvalid(
                    f"{path.name}: {row.method} {row.version} {row.stratum!r} was measured in "
                    f"{found[key][0]} too: one of them must go"
                )
            found[key] = (path.name, row)
    return tuple(row for _, (_, row) in sorted(found.items()))


def write_table(rows: Sequence[Row], path: Path) -> Path:
    """Write rows one a line, so that a change of the table can be read."""
    lines = ",\n".join(canonical_json(row).decode() for row in rows)
    path.write_text(f"[\n{lines}\n]\n" if rows else "[]\n", "utf-8")
    return path
