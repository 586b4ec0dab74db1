"""How many impulses there were: between those surely heard and all that there may have been.

Pure functions of candidates and impulses. A score says how sure one sound is; a count needs more:
what may be an impulse and was not called one, what the roar of a shot hides, and what a volley
hides by being the background itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from forensics.events_features import REACH_S
from forensics.events_impulses import Candidates, Impulse, best_apart
from forensics.events_levels import HOP_S
from forensics.events_score import SHAPE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "DOUBT",
    "FASTEST_S",
    "POSSIBLE",
    "SURE",
    "bound_count",
    "find_possible",
    "may_hide_more",
]

#: Why a stretch decides nothing about impulses although it was listened to.
DOUBT = "impulse: a sound here may be one, or not: neither counted nor excluded"
#: Scores between which an impulse is in doubt: chosen on sources held out of the fit, so that the
#: count lies between those surely and those possibly heard (see ``benchmarks/events.py``).
SURE, POSSIBLE = 0.93, 0.07
#: Shots of a volley are taken to be no closer than this.
FASTEST_S = 0.12
#: What differs by less from one that scores `_TAKES_WITH` may be another of its kind: dB, root of
#: mean square. Shots of a volley make each other's background and score lower for it.
_ALIKE_DB, _TAKES_WITH = 5.0, 0.2
#: With two others so near an impulse is one of a volley, which hides this share of its like more.
_VOLLEY_S, _UNHEARD = 1.3, 0.25
#: Where the median over what is usually loud is below, others as loud go unheard without number: a
#: volley's, any's.
_SOFT_VOLLEY_DB, _SOFT_DB = 8.0, 4.0


def find_possible(
    candidates: Candidates, *, alike: bool = False, separation_s: float = 0.05
) -> Floats:
    """Seconds of all that may be an impulse: what scores `POSSIBLE` or more, echoes with it.

    `alike`: also what is like one that scores more, within 20 s of it.
    """
    import numpy as np

    hops, scores = candidates.hops, candidates.scores
    if alike:
        scores = np.where(_like_others(candidates), np.maximum(scores, POSSIBLE), scores)
    keep = best_apart(hops, scores, POSSIBLE, separation_s)
    times: Floats = (np.sort(hops[keep]) * HOP_S).astype(np.float32)
    return times


def _like_others(candidates: Candidates) -> NDArray[np.bool_]:
    import numpy as np

    hops, shape = candidates.hops, candidates.features[:, SHAPE].astype(np.float64)
    by = np.flatnonzero(candidates.scores >= _TAKES_WITH)
    reach = round(REACH_S / HOP_S)
    found = np.zeros(len(hops), bool)
    for first in range(0, len(hops), 128):
        part = slice(first, min(first + 128, len(hops)))
        near = by[np.searchsorted(hops[by], hops[part][0] - reach) :]
        near = near[: np.searchsorted(hops[near], hops[part][-1] + reach, side="right")]
        unlike = np.sqrt(((shape[part][:, None] - shape[near][None]) ** 2).mean(axis=2))
        far = np.abs(hops[part][:, None] - hops[near][None])
        found[part] = ((unlike < _ALIKE_DB) & (far < reach)).any(axis=1)
    return found


def may_hide_more(found: list[Impulse]) -> bool:
    """Whether others as loud may have gone unheard in any number.

    So it is where those found are no louder than what is loud around them, and in volleys, which
    are what is loud around them, somewhat above that.
    """
    import numpy as np

    over = np.array([f.over_usual_db for f in found])
    volley = over[_in_volley(found)]
    return bool(
        (len(over) and np.median(over) < _SOFT_DB)
        or (len(volley) and np.median(volley) < _SOFT_VOLLEY_DB)
    )


def _in_volley(found: list[Impulse]) -> NDArray[np.bool_]:
    import numpy as np

    times = np.sort([f.time_s for f in found])
    near = [
        np.searchsorted(times, f.time_s + _VOLLEY_S) - np.searchsorted(times, f.time_s - _VOLLEY_S)
        for f in found
    ]
    return np.array(near, int) >= 3


def bound_count(found: list[Impulse], possible: int, length_s: float) -> tuple[int, int]:
    """Between how many impulses there were: those surely heard, and all that may have been.

    Parameters
    ----------
    found
        What was found in one recording, by time.
    possible
        How many `find_possible` finds there with `alike`.
    length_s
        Seconds of sound.

    Returns
    -------
    low, high
        To the possible ones come as many as would fit `FASTEST_S` apart into the roar of each one
        found (within 10 dB of its peak another as loud may leave no onset at all), and a quarter
        as many as are in volleys. Where `may_hide_more` speaks, as many as would fit into the
        whole sound.

    When it errs
    ------------
    It bounds impulses as loud as those found, or louder than what is loud in the background. What
    is softer may have happened in any number (incompleteness); how often the truth lies between
    is in ``benchmarks/results/events.json``, by level.
    """
    sure = sum(f.score >= SURE for f in found)
    if may_hide_more(found):
        return sure, max(possible, len(found), int(length_s / FASTEST_S))
    hiding = sum(int(f.hidden_ms / 1000 / FASTEST_S) for f in found)
    unheard = math.ceil(_UNHEARD * int(_in_volley(found).sum()))
    return sure, max(possible, len(found)) + hiding + unheard
