"""How often strangers look alike: from a score to the probability of a false join.

The table (`data/audio_null.json`) was measured on pairs of clips that share nothing, by
``benchmarks/alignment.py null``. Within what was measured the tail is the empirical one; beyond
it a generalised Pareto tail is continued with the upper confidence bound of its shape, because a
Gumbel fit was three times too optimistic.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Tail", "build_tail", "combined", "envelope_tail", "false_join", "phase_tail", "table"]


class Tail:
    """Exceedances per unit of trial above each score: empirical, then a Pareto continuation."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.scores: list[float] = record["scores"]
        self.rates: list[float] = record["rates"]
        self.threshold: float = record["threshold"]
        self.shape: float = record["shape"]
        self.scale: float = record["scale"]

    def rate(self, score: float) -> float:
        """Expected exceedances of `score` per unit of trial."""
        if score <= self.scores[0]:
            return self.rates[0]
        at_threshold = self._empirical(min(score, self.threshold))
        if score <= self.threshold:
            return at_threshold
        beyond = (score - self.threshold) / self.scale
        if abs(self.shape) < 1e-6:
            continued = math.exp(-min(beyond, 700.0))
        else:
            base = 1 + self.shape * beyond
            continued = base ** (-1 / self.shape) if base > 0 else 0.0
        return max(at_threshold * continued, 1e-300)

    def _empirical(self, score: float) -> float:
        import numpy as np

        return float(math.exp(np.interp(score, self.scores, np.log(self.rates))))


def build_tail(scores: Sequence[float] | NDArray[np.float64], units: float) -> dict[str, Any]:
    """Describe the upper tail of stranger scores gathered over `units` of trial.

    The shape of the continuation is the fitted one, at least zero (a bounded tail is not
    believed), plus 1.64 standard errors.
    """
    import numpy as np
    from scipy.stats import genpareto

    ordered = np.sort(np.asarray(scores, float))
    count = len(ordered)
    above = max(30, round(0.04 * count))
    threshold = float(ordered[-above - 1])
    excess = ordered[-above:] - threshold
    shape, _, scale = genpareto.fit(excess, floc=0)
    upper = max(0.0, float(shape)) + 1.64 * (1 + max(0.0, float(shape))) / math.sqrt(above)
    upper = min(upper, 0.5)
    # With the shape moved to its bound the scale follows from the mean excess.
    scale = max(float(scale), float(excess.mean()) * (1 - upper))
    grid = np.quantile(ordered[: count - above + 1], np.linspace(0, 1, 60))
    exceed = count - np.searchsorted(ordered, grid, side="left")
    grid = np.append(grid[grid < threshold], threshold)
    exceed = np.append(exceed[: len(grid) - 1], above + 1)
    return {
        "scores": [round(float(x), 4) for x in grid],
        "rates": [float(x) / units for x in exceed],
        "threshold": threshold, "shape": upper, "scale": scale, "fitted_shape": float(shape),
        "largest": float(ordered[-1]), "count": count, "units": units,
    }  # fmt: skip


@functools.cache
def table() -> dict[str, Any]:
    """The shipped table: tails, number of pairs, hash of the sources, date."""
    data = resources.files("forensics").joinpath("data/audio_null.json").read_bytes()
    found: dict[str, Any] = json.loads(data)
    return found


@functools.cache
def envelope_tail() -> Tail:
    """Peaks of the envelope correlation per second of lag searched."""
    return Tail(table()["envelope"])


@functools.cache
def phase_tail() -> Tail:
    """Phase scores per candidate lag examined."""
    return Tail(table()["phase"])


def combined(
    envelope: float, trials: float, phase: float | None, candidates: int
) -> tuple[float, float, float]:
    """Probability that one pair of strangers scores this high: (both, envelope, phase).

    `trials` seconds of lag were searched and `candidates` lags refined; with no phase score the
    envelope stands alone. Either may carry a pair by itself (the smaller of the two, twice for
    having two chances): where there is no direct path the phase says nothing, and multiplying
    would let that count against the envelope.
    """
    alone = -math.expm1(-trials * envelope_tail().rate(envelope))
    if phase is None:
        return alone, alone, 1.0
    fine = -math.expm1(-max(1, candidates) * phase_tail().rate(phase))
    return min(1.0, 2 * max(min(alone, fine), 1e-300)), alone, fine


def false_join(p: float, pairs: int) -> float:
    """Probability that any of `pairs` stranger pairs scores as high as `p` says."""
    return -math.expm1(pairs * math.log1p(-min(p, 1 - 1e-12)))
