"""The score of candidates for impulses: two rounds of small fitted trees.

The first round weighs what was measured of each candidate by itself. The second sees what the first
said of its neighbours and may only take away: one of many alike is a drum, and what follows a shot
is its echo. Pure functions of arrays; the trees are in ``forensics/data/impulse_score.json``,
fitted by ``benchmarks/events_fit.py``.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from forensics.errors import RecordInvalid
from forensics.events_features import FEATURES, REACH_S
from forensics.events_levels import BANDS_HZ, HOP_S

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "COMPANY", "SHAPE", "Score", "Trees", "company_features", "read_score", "score_candidates",
]  # fmt: skip

#: Ranges, s, over which candidates that sound alike are looked for.
_RANGES_S = ((0.07, 0.5), (0.07, 1.5), (1.5, 6.0), (6.0, REACH_S))
#: Two candidates are alike when their levels by band, from onset on, differ less: dB, root of mean.
_ALIKE_DB = 6.0
#: The measurements that tell how the level runs by band, from the onset on.
SHAPE = [
    FEATURES.index(f"level{n}_{k}") for n in range(len(BANDS_HZ)) for k in (0, 2, 4)
]  # fmt: skip
_LEVEL = FEATURES.index("over_50_in_40_s")
#: What of a candidate itself the second round sees again.
_AGAIN = [
    *range(FEATURES.index("over_loudest_db") + 1),
    *range(FEATURES.index("over_50_in_40_s"), len(FEATURES)),
]
#: What the second round is made of, in order.
COMPANY = (
    "first_round",
    *(f"{what}_{low:g}_{high:g}_s" for low, high in _RANGES_S for what in ("alike", "many_alike")),
    "same_shape", "least_difference_db", "rival_before", "level_before_db", "others",
    *(FEATURES[k] for k in _AGAIN),
)  # fmt: skip


@dataclass(frozen=True)
class Trees:
    """Binary trees (t, nodes): at a node, `column` up to `cut` goes left. Below 0: leaf ~child."""

    base: float
    column: NDArray[np.int64]
    cut: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]

    def logit(self, table: Floats) -> NDArray[np.float64]:
        """Sum of the leaves that rows (n, m) of measurements fall into: (n,)."""
        import numpy as np

        total = np.full(len(table), self.base)
        each = np.arange(len(self.column))[None]
        for first in range(0, len(table), 1024):
            rows = np.asarray(table[first : first + 1024], np.float64)
            here = np.arange(len(rows))[:, None]
            node = np.zeros((len(rows), len(self.column)), np.int64)
            while (node >= 0).any():
                at = np.maximum(node, 0)
                goes_left = rows[here, self.column[each, at]] <= self.cut[each, at]
                below = np.where(goes_left, self.left[each, at], self.right[each, at])
                node = np.where(node >= 0, below, node)
            total[first : first + 1024] += self.value[each, ~node].sum(axis=1)
        return total


@dataclass(frozen=True)
class Score:
    """Both rounds."""

    first: Trees
    second: Trees


def _read_trees(table: dict[str, Any], names: tuple[str, ...]) -> Trees:
    import numpy as np

    columns: list[str] = table["columns"]
    if not set(columns) <= set(names):
        raise RecordInvalid("the impulse score was fitted for other features")
    places = [names.index(c) for c in columns]
    nodes = max(len(tree["column"]) for tree in table["trees"])
    count = len(table["trees"])
    column, left, right = (np.full((count, nodes), v, np.int64) for v in (0, -1, -1))
    cut, value = np.zeros((count, nodes)), np.zeros((count, nodes + 1))
    for k, tree in enumerate(table["trees"]):
        used = len(tree["column"])
        column[k, :used] = [places[c] for c in tree["column"]]
        cut[k, :used], left[k, :used], right[k, :used] = tree["cut"], tree["left"], tree["right"]
        value[k, : len(tree["value"])] = tree["value"]
    return Trees(float(table["base"]), column, cut, left, right, value)


def read_score(table: dict[str, Any]) -> Score:
    """The trees of a fitted table (see ``benchmarks/events_fit.py``), as arrays.

    Raises
    ------
    RecordInvalid
        The table was fitted for other features.
    """
    return Score(_read_trees(table["first"], FEATURES), _read_trees(table["second"], COMPANY))


@functools.cache
def _shipped() -> Score:
    # Fitted on the tuning half of the sources, and only there.
    data = resources.files("forensics").joinpath("data/impulse_score.json").read_bytes()
    return read_score(json.loads(data))


def company_features(
    hops: NDArray[np.int64], features: Floats, logits: NDArray[np.float64]
) -> Floats:
    """What the second round sees of candidates at `hops`: (n, len(COMPANY)).

    `features` (n, m) are theirs, `logits` (n,) what the first round said. "Alike" is the most the
    first round said of a candidate like this one so far away, "many alike" how many such it took
    for impulses.
    """
    import numpy as np

    count = len(hops)
    out = np.zeros((count, len(COMPANY)), np.float32)
    said = np.clip(logits, -9.2, 9.2)
    likely = 1 / (1 + np.exp(-said))
    times = hops * HOP_S
    shape = features[:, SHAPE].astype(np.float64)
    turned = shape - shape.mean(axis=1, keepdims=True)
    turned /= np.sqrt((turned**2).sum(axis=1, keepdims=True)) + 1e-6
    level = features[:, _LEVEL].astype(np.float64)
    for first in range(0, count, 128):
        part = slice(first, min(first + 128, count))
        low = int(np.searchsorted(times, times[part][0] - REACH_S))
        near = slice(low, int(np.searchsorted(times, times[part][-1] + REACH_S, side="right")))
        gap = times[near][None] - times[part][:, None]
        far = np.abs(gap)
        unlike = np.sqrt(((shape[part][:, None] - shape[near][None]) ** 2).mean(axis=2))
        alike, sure = unlike < _ALIKE_DB, likely[near][None] > 0.5
        about, here = said[near][None], [said[part]]
        for least, most in _RANGES_S:
            within = (far > least) & (far < most) & alike
            here.append(np.where(within, about, -9.0).max(axis=1))
            here.append(np.log1p((within & sure).sum(axis=1)))
        close = (far > _RANGES_S[1][0]) & (far < _RANGES_S[1][1])
        heard = likely[near][None] > 0.3
        here.append(np.where(close, turned[part] @ turned[near].T, -1.0).max(axis=1))
        here.append(np.where(close & heard, -unlike, -30.0).max(axis=1))
        past = (gap < -0.03) & (gap > -0.4)
        here.append(np.where(past, about, -9.0).max(axis=1))
        over = level[near][None] - level[part][:, None]
        here.append(np.where(past & heard, over, -30.0).max(axis=1))
        apart = (far > 0.5) & (far < REACH_S)
        here.append((apart * likely[near][None]).sum(axis=1))
        out[part, : len(here)] = np.stack(here, axis=1)
    out[:, -len(_AGAIN) :] = features[:, _AGAIN]
    return out


def score_candidates(
    hops: NDArray[np.int64], features: Floats, score: Score | None = None
) -> Floats:
    """The score (n,) of candidates, 0 to 1, from their hops and `FEATURES` (n, m).

    `score` stands in for the one that is shipped.
    """
    import numpy as np

    if not len(features):
        return np.zeros(0, np.float32)
    rounds = score or _shipped()
    first = rounds.first.logit(features)
    second = rounds.second.logit(company_features(hops, features, first))
    # Neighbours may speak against a candidate, not for it: beside one shot, a machine's beat or
    # the seam of a loop would become others.
    second = np.minimum(second, first)
    answer: Floats = (1 / (1 + np.exp(-second))).astype(np.float32)
    return answer
