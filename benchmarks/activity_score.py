"""Answers about a fixed view held against labels: found, stated as not testable, missed, false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.model import Region

__all__ = ["Crossing", "against", "doubtful", "matched", "pairs_of", "unsaid"]


@dataclass(frozen=True)
class Crossing:
    """A foot crosses a region's outline: kind, region, clip time (s), behind a declared tree.

    `edge`: it goes along the outline or only just across, closer than a foot can be placed; then
    neither answer is wrong.
    """

    kind: str
    region: str
    time: float
    hidden: bool
    edge: bool


def pairs_of(truth: list[float], found: list[float], tolerance_s: float) -> list[tuple[int, int]]:
    """As many pairs within the tolerance as there can be: numbers in both lists."""
    from scipy.optimize import linear_sum_assignment

    if not truth or not found:
        return []
    gap = np.abs(np.array(truth)[:, None] - np.array(found)[None, :])
    rows, columns = linear_sum_assignment(np.where(gap <= tolerance_s, gap, 1e6))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True)
            if gap[i, j] <= tolerance_s]  # fmt: skip


def matched(truth: list[float], found: list[float], tolerance_s: float) -> int:
    """Largest number of pairs within the tolerance."""
    return len(pairs_of(truth, found, tolerance_s))


def unsaid(exam: Any, region: str, kind: str, times: tuple[float, ...]) -> int:
    """Labels without an answer that lie in a stretch stated not to be testable there."""
    found = [float(o.what.time) for o in exam.observations
             if o.what.region == region and o.what.kind == kind]  # fmt: skip
    return sum(
        doubtful(exam, region, t) for t in times if not any(abs(t - f) <= 1.0 for f in found)
    )


def doubtful(exam: Any, region: str, time_s: float) -> bool:
    """Whether a stretch (not the whole clip) within 0.5 s of a time is stated not testable."""
    whole = exam.coverage.span
    return any(
        part.reason.startswith((f"region {region!r}: ", "the light"))
        and part.span != whole
        and float(part.span.start) - 0.5 <= time_s <= float(part.span.end) + 0.5
        for part in exam.coverage.not_testable
    )


def against(exam: Any, truth: Sequence[Crossing], regions: Sequence[Region]) -> dict[str, int]:
    """Crossings of a made view: sure ones found, stated or missed; answers beside none of them."""
    row = dict.fromkeys(("n", "found", "not testable", "behind the tree", "missed", "false",
                         "beside someone on the edge"), 0)  # fmt: skip
    for region in (r.name for r in regions):
        for kind in ("enters", "leaves"):
            mine = [c for c in truth if c.region == region and c.kind == kind]
            sure = [c for c in mine if not c.edge]
            found = [float(o.what.time) for o in exam.observations
                     if o.what.kind == kind and o.what.region == region]  # fmt: skip
            hits = matched([c.time for c in sure], found, 1.0)
            taken = pairs_of([c.time for c in sure], found, 1.0)
            row["n"] += len(sure)
            row["found"] += hits
            for k, crossing in enumerate(sure):
                if k not in {a for a, _ in taken}:
                    why = ("behind the tree" if crossing.hidden else "not testable"
                           if doubtful(exam, region, crossing.time) else "missed")  # fmt: skip
                    row[why] += 1
            for k, time_s in enumerate(found):
                if k not in {b for _, b in taken}:
                    edge = any(c.edge and abs(c.time - time_s) <= 1.0 for c in mine)
                    row["beside someone on the edge" if edge else "false"] += 1
    return row
