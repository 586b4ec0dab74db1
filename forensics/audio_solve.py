"""One global solution: offsets and clock rates of many clips from what pairs of them share.

Every edge says: clip i at t_i heard what clip j heard at t_j. Edges that do not close loops with
the others are rejected, not averaged in; what is left is solved by least squares with the clock
rates as unknowns, and each clip gets its covariance. Clips not connected stay in components of
their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Edge", "Solution", "components", "solve"]

#: How much two honest edges may disagree because several sources stand at different places.
_GATE_S = 0.35
_SOURCES_S = 0.03
#: Clocks of telephones and cameras: one standard deviation of their rates.
PRIOR_PPM = 40.0


@dataclass(frozen=True)
class Edge:
    """Clip `i` at `i_s` heard what clip `j` heard at `j_s`; `others` are rival (i_s, j_s).

    Not `heard`: it ties the clocks themselves, and where sources of sound stand is no matter.
    """

    i: int
    j: int
    i_s: float
    j_s: float
    sigma_s: float
    weight: float
    drift_ppm: float | None = None
    drift_sigma_ppm: float | None = None
    others: tuple[tuple[float, float], ...] = ()
    heard: bool = True

    @property
    def shift_s(self) -> float:
        """Offset of j minus offset of i, clock rates aside."""
        return self.i_s - self.j_s


@dataclass(frozen=True)
class Solution:
    """One component. Rows of `offset_s`, `drift_ppm`, and their sigmas follow `clips`.

    `used` are edge numbers that agree; `rejected` those that do not close; `residual_s` per edge.
    """

    clips: tuple[int, ...]
    offset_s: NDArray[np.float64]
    drift_ppm: NDArray[np.float64]
    sigma_s: NDArray[np.float64]
    drift_sigma_ppm: NDArray[np.float64]
    used: tuple[int, ...]
    rejected: tuple[int, ...]
    residual_s: dict[int, float]
    covariance: NDArray[np.float64]
    switched: dict[int, Edge]


def components(count: int, edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Connected groups of 0…count-1, each sorted, largest first."""
    parent = list(range(count))

    def root(x: int) -> int:
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for i, j in edges:
        parent[root(i)] = root(j)
    groups: dict[int, list[int]] = {}
    for x in range(count):
        groups.setdefault(root(x), []).append(x)
    return sorted(groups.values(), key=lambda g: (-len(g), g[0]))


def _support(edges: Sequence[Edge]) -> list[float]:
    """Weight of each edge, raised by every triangle it closes and lowered by those it breaks."""
    near: dict[int, dict[int, tuple[float, float]]] = {}
    for e in edges:
        near.setdefault(e.i, {})[e.j] = (e.shift_s, e.weight)
        near.setdefault(e.j, {})[e.i] = (-e.shift_s, e.weight)
    out = []
    for e in edges:
        good = bad = 0.0
        for k, (ik, weight) in near[e.i].items():
            if k in near[e.j]:
                kj, other = near[e.j][k]
                # offset_k - offset_i, then offset_j - offset_k.
                closes = abs(ik - kj - e.shift_s) < _GATE_S
                if closes:
                    good += min(weight, other)
                else:
                    bad += min(weight, other)
        out.append((e.weight + 2 * good) / (1 + bad / max(e.weight + good, 1e-9)))
    return out


def _tree(count: int, edges: Sequence[Edge], weight: Sequence[float]) -> NDArray[np.float64]:
    """Offsets along the spanning tree of greatest support, NaN where it does not reach."""
    import numpy as np

    order = sorted(range(len(edges)), key=lambda n: -weight[n])
    group = list(range(count))
    chosen: dict[int, list[tuple[int, float]]] = {x: [] for x in range(count)}
    for number in order:
        e = edges[number]
        one, two = group[e.i], group[e.j]
        if one != two:
            group = [one if g == two else g for g in group]
            chosen[e.i].append((e.j, e.shift_s))
            chosen[e.j].append((e.i, -e.shift_s))
    offset = np.full(count, np.nan)
    for start in range(count):
        if np.isnan(offset[start]):
            offset[start] = 0.0
            stack = [start]
            while stack:
                x = stack.pop()
                for y, shift in chosen[x]:
                    if np.isnan(offset[y]):
                        offset[y] = offset[x] + shift
                        stack.append(y)
    return offset


def solve(
    count: int, edges: Sequence[Edge], *, sources_s: float = _SOURCES_S
) -> list[Solution]:
    """Solve every component with at least one edge.

    Parameters
    ----------
    count
        Number of clips.
    edges
        What pairs share; `i`, `j` in 0…count-1.
    sources_s
        How much two honest pairs that were heard may disagree because sources stand at different
        places, one standard deviation. The lowest number in a component is its reference.
    """
    if not edges:
        return []
    offset = _tree(count, edges, _support(edges))
    kept: dict[int, Edge] = {}
    switched: dict[int, Edge] = {}
    for number, e in enumerate(edges):
        gate = max(_GATE_S, 4 * e.sigma_s)
        wanted = offset[e.j] - offset[e.i]
        if abs(e.shift_s - wanted) < gate:
            kept[number] = e
            continue
        near = [o for o in e.others if abs(o[0] - o[1] - wanted) < gate]
        if near:
            i_s, j_s = min(near, key=lambda o: abs(o[0] - o[1] - wanted))
            kept[number] = switched[number] = replace(
                e, i_s=i_s, j_s=j_s, sigma_s=max(e.sigma_s, 0.02), drift_ppm=None,
                drift_sigma_ppm=None, weight=e.weight / 2,
            )  # fmt: skip
    found = []
    for group in components(count, [(e.i, e.j) for e in kept.values()]):
        if len(group) < 2:
            continue
        inside = {n: e for n, e in kept.items() if e.i in set(group)}
        rejected = tuple(
            n for n, e in enumerate(edges) if n not in kept and e.i in set(group) and e.j in group
        )
        found.append(_least_squares(group, inside, rejected, edges, switched, sources_s))
    return found


def _least_squares(
    members: list[int], inside: dict[int, Edge], rejected: tuple[int, ...],
    edges: Sequence[Edge], switched: dict[int, Edge], sources_s: float,
) -> Solution:  # fmt: skip
    import numpy as np

    size = len(members)
    place = {clip: row for row, clip in enumerate(members)}
    free = 2 * (size - 1)  # offsets, then rates in ppm; the reference has neither
    rows, values, sigmas, owner = [], [], [], []

    def column(row: NDArray[np.float64], clip: int, offset: float, rate: float) -> None:
        k = place[clip] - 1
        if k >= 0:
            row[k] += offset
            row[size - 1 + k] += rate

    for number, e in inside.items():
        row = np.zeros(free)
        column(row, e.j, 1.0, e.j_s * 1e-6)
        column(row, e.i, -1.0, -e.i_s * 1e-6)
        rows.append(row)
        values.append(e.shift_s)
        sigmas.append(float(np.hypot(e.sigma_s, sources_s if e.heard else 0.0)))
        owner.append(number)
        if e.drift_ppm is not None and e.drift_sigma_ppm is not None:
            row = np.zeros(free)
            column(row, e.j, 0.0, 1.0)
            column(row, e.i, 0.0, -1.0)
            rows.append(row)
            values.append(e.drift_ppm)
            sigmas.append(max(e.drift_sigma_ppm, 0.5))
            owner.append(-1)
    for k in range(size - 1):
        row = np.zeros(free)
        row[size - 1 + k] = 1.0
        rows.append(row)
        values.append(0.0)
        sigmas.append(PRIOR_PPM * 2**0.5)
        owner.append(-2)
    design, target = np.stack(rows), np.asarray(values)
    sigma, kind = np.asarray(sigmas), np.asarray(owner)
    robust = np.ones(len(target))
    answer, cov = np.zeros(free), np.eye(max(free, 1))
    for _ in range(10):
        weight = robust / sigma**2
        normal = design.T @ (design * weight[:, None])
        cov = np.linalg.pinv(normal, hermitian=True)
        answer = cov @ (design.T @ (weight * target))
        rest = np.abs(target - design @ answer) / sigma
        # Huber for offsets and drifts; the prior keeps its weight.
        robust = np.where(kind == -2, 1.0, np.minimum(1.0, 2.0 / np.maximum(rest, 1e-9)))
    rest = target - design @ answer
    loops = int(np.count_nonzero(kind >= 0)) - (size - 1)
    if loops > 0:
        # Loops that close badly widen every interval; loops that close well never narrow one.
        chi = float(np.sum((rest[kind >= 0] / sigma[kind >= 0]) ** 2)) / loops
        cov = cov * max(1.0, min(chi, 25.0))
    offset = np.concatenate([[0.0], answer[: size - 1]])
    drift = np.concatenate([[0.0], answer[size - 1 :]])
    deviation = np.sqrt(np.maximum(np.diag(cov), 0)) if free else np.zeros(0)
    residual = {int(n): float(r) for n, r in zip(kind, rest, strict=True) if n >= 0}
    by_clip = {clip: float(offset[row]) for clip, row in place.items()}
    for number in rejected:
        e = edges[number]
        residual[number] = e.shift_s - (by_clip[e.j] - by_clip[e.i])
    return Solution(
        tuple(members), offset, drift, np.concatenate([[0.0], deviation[: size - 1]]),
        np.concatenate([[0.0], deviation[size - 1 :]]), tuple(inside), rejected, residual, cov,
        {n: e for n, e in switched.items() if n in inside},
    )  # fmt: skip
