"""Pictures that the decoder made up where the stream is damaged: no evidence of anything else.

A decoder conceals what it cannot read with what lies beside or before, and every picture up to the
next key picture may be built on that. Steps and standstills there are first of all damage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forensics.model import Explanation, NotTestable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.scan import Measurements

__all__ = ["DAMAGED", "MOST_SCORE", "explain_damage", "find_repaired", "map_repaired"]

#: What is found beside repaired pictures is a remark: its score is no higher than this.
MOST_SCORE = 0.4
DAMAGED = "damaged data: the decoder filled in what it could not read, up to the next key picture"


def find_repaired(
    repaired: NDArray[np.bool_], key: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Stretches, as (first, last) frames, from a repaired picture to the key picture after it.

    Parameters
    ----------
    repaired, key
        (n,) which frames the decoder said it had repaired, and which are key frames.
    """
    import numpy as np

    keys = np.flatnonzero(key)
    found: list[tuple[int, int]] = []
    for frame in np.flatnonzero(repaired).tolist():
        if found and frame <= found[-1][1]:
            continue
        later = keys[keys > frame]
        found.append((frame, int(later[0]) if len(later) else len(key) - 1))
    return found


def map_repaired(measured: Measurements) -> tuple[NotTestable, ...]:
    """Where a step, a copy or a freeze could not be told from damage."""
    return tuple(
        NotTestable(measured.span(first, last), DAMAGED)
        for first, last in find_repaired(measured.repaired, measured.key)
    )


def explain_damage(
    measured: Measurements, first: int, last: int, explanations: Sequence[Explanation]
) -> tuple[Explanation, ...] | None:
    """The explanations of what was found from `first` to `last`, damage before all others.

    None: no repaired picture lies within a frame of either end.
    """
    for low, high in find_repaired(measured.repaired, measured.key):
        if any(low - 1 <= edge <= high + 1 for edge in (first, last)):
            break
    else:
        return None
    text = "the stream is damaged here; what cannot be decoded leaves such traces"
    rest = [Explanation(e.rank + 1, e.name, e.benign, e.text) for e in explanations]
    return (Explanation(1, "damaged-data", True, text), *rest)
