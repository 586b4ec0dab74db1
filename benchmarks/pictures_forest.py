"""Grow the forest that fuses the features of a step (`forensics.video_spikes.StepModel`).

Extremely randomised trees: at each node a few features are tried, each split at a random place,
and the best split by weighted Gini impurity is kept; no bootstrap; leaves hold the weighted share
of edits. A forest of a fixed seed is the same on every run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forensics.video_spikes import STEP_FEATURES, StepModel

__all__ = ["grow_forest"]

TREES = 80
LEAST_LEAF = 4
DEEPEST = 9
TRIED = 7


def grow_forest(
    rows: NDArray[np.float64], labels: NDArray[np.bool_], weight: NDArray[np.float64],
    note: str, *, trees: int = TREES, seed: int = 0,
) -> StepModel:  # fmt: skip
    """A forest of `trees` trees; see the module."""
    rng = np.random.default_rng(seed)
    # Splits are stored rounded: what is measured is what is shipped.
    rows = np.round(rows, 4)
    feature: list[int] = []
    split: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []
    positive = weight * labels

    def leaf(index: NDArray[np.int64]) -> int:
        total = float(weight[index].sum())
        feature.append(-1)
        split.append(0.0)
        left.append(0)
        right.append(0)
        value.append(round(float(positive[index].sum()) / max(total, 1e-9), 4))
        return len(feature) - 1

    def node(index: NDArray[np.int64], depth: int) -> int:
        here = labels[index]
        if depth >= DEEPEST or len(index) < 2 * LEAST_LEAF or here.all() or not here.any():
            return leaf(index)
        tried = rng.permutation(rows.shape[1])[:TRIED]
        table = rows[index][:, tried]
        low, high = table.min(axis=0), table.max(axis=0)
        places = np.round(low + (high - low) * rng.random(len(tried)), 4)
        goes = table <= places
        w, p = weight[index], positive[index]
        left_w, left_p = w @ goes, p @ goes
        right_w, right_p = w.sum() - left_w, p.sum() - left_p
        count = goes.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            impure = left_p * (1 - left_p / left_w) + right_p * (1 - right_p / right_w)
        impure[(count < LEAST_LEAF) | (len(index) - count < LEAST_LEAF)] = np.inf
        best = int(np.argmin(impure))
        if not np.isfinite(impure[best]):
            return leaf(index)
        own = len(feature)
        feature.append(int(tried[best]))
        split.append(float(places[best]))
        left.append(0)
        right.append(0)
        value.append(0.0)
        one = goes[:, best]
        left[own] = node(index[one], depth + 1)
        right[own] = node(index[~one], depth + 1)
        return own

    everything = np.arange(len(rows))
    roots = [node(everything, 0) for _ in range(trees)]
    return StepModel(
        STEP_FEATURES, tuple(feature), tuple(split), tuple(left), tuple(right), tuple(value),
        tuple(roots), 0.5, note,
    )  # fmt: skip
