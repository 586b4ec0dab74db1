"""One figure taken for another: a clock that seems to leap away and back again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.clock_walk import Break

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = ["without_returns"]


def without_returns(
    kept: list[Break], tol: float, doubt: list[tuple[float, float]], sure: NDArray[np.bool_],
    edges: Floats, *, alone: bool,
) -> list[Break]:  # fmt: skip
    """Breaks without pairs that go away and come back as one figure taken for another does.

    A recogniser that takes one figure for another does so for as long as the figure stands, and
    what is learned from it alone does the same: there by whole tens of seconds, with a beat that
    runs on, and back, but for a fiftieth that an edit there may add. What lies between is not sure
    (`sure` is changed); if it comes and goes, nothing is: either figure may be the right one.

    Parameters
    ----------
    kept
        Breaks in order of time.
    tol
        Seconds by which steps may differ.
    doubt
        Stretches left open; those between the breaks left out are added.
    sure, edges
        Of each second: whether it is read surely, and the clip time at which it begins.
    alone
        Only a recogniser vouches for the seconds.

    When it errs
    ------------
    It leaves out a clock that was set by ten minutes and more, to the second, and set back within
    a minute, and a stretch of another time put in that happens to run on in units and beat, one in
    some hundred (incompleteness); it keeps one figure taken for another that stays so
    (misinterpretation).
    """
    out: list[Break] = []
    swaps: list[float] = []
    for item in kept:
        last = out[-1] if out else None
        steps = last is not None and "frozen" not in (last.kind, item.kind)
        if last is not None and steps and item.after_s - last.after_s <= 61.5 and (
            _taken_back(last.step_s, item.step_s, tol, alone)
        ):  # fmt: skip
            swaps.append(abs(last.step_s))
            doubt.append((out.pop().before_s, item.after_s))
            sure[(edges >= doubt[-1][0] - 1e-6) & (edges < item.after_s - 1e-6)] = False
        else:
            out.append(item)
    for by in [] if alone else swaps:
        if sum(abs(other - by) <= 2 * tol for other in swaps) >= 2:
            sure[:] = False
            out = [item for item in out if abs(abs(item.step_s) - by) > 2 * tol]
    return out


def _taken_back(there_s: float, back_s: float, tol: float, alone: bool) -> bool:
    if alone:
        return abs(there_s + back_s) <= 2 * tol
    # Only figures before the last one differ, and the beat runs on.
    tens = abs(there_s) >= 599 and abs(there_s - 10 * round(there_s / 10)) <= tol
    return tens and there_s * back_s < 0 and abs(there_s + back_s) <= 0.02 * abs(there_s)
