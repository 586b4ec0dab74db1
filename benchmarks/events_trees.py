"""Boosted trees for ``benchmarks/events_fit.py``: logistic loss, NumPy only, one thread, seeded.

Histograms of at most 63 bins a measurement; each tree grows its best leaf first, on a random share
of rows and columns (Friedman: Greedy function approximation, 2001; Ke et al.: LightGBM, 2017).
"""

from __future__ import annotations

from typing import Any

import numpy as np

BINS, RIDGE = 63, 5.0


def rounded(values: np.ndarray, digits: int) -> list[float]:
    """Numbers as they are shipped."""
    return [float(f"{v:.{digits}g}") for v in values]


class _Tree:
    """One tree while it grows: `rows` by leaf, and the best split of each leaf."""

    def __init__(self, codes: np.ndarray, slope: np.ndarray, bend: np.ndarray, least: float,
                 columns: np.ndarray, bag: np.ndarray) -> None:  # fmt: skip
        self.codes, self.slope, self.bend, self.least = codes, slope, bend, least
        self.columns, self.bag = columns, bag
        everything = np.arange(codes.shape[1])
        self.rows, self.splits = [everything], [self._best(everything)]
        self.parents: list[tuple[int, str] | None] = [None]
        self.nodes: list[dict[str, int]] = []

    def _best(self, rows: np.ndarray) -> tuple[float, int, int]:
        """Gain, column and bin of a leaf's best split."""
        rows = rows[self.bag[rows]]
        slope, bend = self.slope[rows], self.bend[rows]
        best = (0.0, -1, -1)
        whole = slope.sum() ** 2 / (bend.sum() + RIDGE)
        for column in self.columns:
            here = self.codes[column][rows]
            g = np.cumsum(np.bincount(here, slope, BINS + 1))
            h = np.cumsum(np.bincount(here, bend, BINS + 1))
            gain = g**2 / (h + RIDGE) + (g[-1] - g) ** 2 / (h[-1] - h + RIDGE) - whole
            gain[(h < self.least) | (h[-1] - h < self.least)] = 0
            at = int(np.argmax(gain))
            if gain[at] > best[0]:
                best = (float(gain[at]), int(column), at)
        return best

    def split(self) -> bool:
        """Split the leaf that gains most; whether there was one."""
        leaf = int(np.argmax([s[0] for s in self.splits]))
        gain, column, at = self.splits[leaf]
        if gain <= 0:
            return False
        rows = self.rows[leaf]
        low = self.codes[column][rows] <= at
        number, fresh = len(self.nodes), len(self.rows)
        parent = self.parents[leaf]
        if parent is not None:
            self.nodes[parent[0]][parent[1]] = number
        self.nodes.append({"column": column, "bin": at, "left": ~leaf, "right": ~fresh})
        self.rows[leaf], self.parents[leaf] = rows[low], (number, "left")
        self.rows.append(rows[~low])
        self.parents.append((number, "right"))
        self.splits[leaf] = self._best(self.rows[leaf])
        self.splits.append(self._best(self.rows[fresh]))
        return True


def boost(
    table: np.ndarray, true: np.ndarray, weight: np.ndarray, names: tuple[str, ...], *, trees: int,
    leaves: int, pace: float, columns: float, rows: float = 0.7, least: float = 2.0, seed: int = 1,
) -> tuple[dict[str, Any], np.ndarray]:  # fmt: skip
    """Trees as they are shipped, and how much each column of the table gained in them."""
    rng = np.random.default_rng(seed)
    count, width = table.shape
    edges = [np.unique(rounded(np.quantile(c, np.linspace(0, 1, BINS + 1)[1:-1]), 4))
             for c in table.T]  # fmt: skip
    codes = np.stack(
        [np.searchsorted(e, c, side="left").astype(np.uint8)
         for e, c in zip(edges, table.T, strict=True)]
    )  # fmt: skip
    mean = (weight * true).sum() / weight.sum()
    base = float(f"{np.log(mean / (1 - mean)):.4g}")
    logit = np.full(count, base)
    gained = np.zeros(width)
    grown = []
    for _ in range(trees):
        chance = 1 / (1 + np.exp(-logit))
        slope, bend = weight * (chance - true), weight * chance * (1 - chance)
        some = np.sort(rng.choice(width, max(1, round(columns * width)), replace=False))
        tree = _Tree(codes, slope, bend, least, some, rng.random(count) < rows)
        while len(tree.rows) < leaves:
            best = max(tree.splits)
            if not tree.split():
                break
            gained[best[1]] += best[0]
        if not tree.nodes:
            continue
        bags = [part[tree.bag[part]] for part in tree.rows]
        values = rounded(
            np.array([-pace * slope[b].sum() / (bend[b].sum() + RIDGE) for b in bags]), 4
        )
        for part, value in zip(tree.rows, values, strict=True):
            logit[part] += value
        grown.append({
            "column": [n["column"] for n in tree.nodes],
            "cut": [float(edges[n["column"]][n["bin"]]) for n in tree.nodes],
            "left": [n["left"] for n in tree.nodes], "right": [n["right"] for n in tree.nodes],
            "value": values,
        })  # fmt: skip
    used = sorted({c for tree in grown for c in tree["column"]})
    for tree in grown:
        tree["column"] = [used.index(c) for c in tree["column"]]
    return {"base": base, "columns": [names[c] for c in used], "trees": grown}, gained
