"""A solution as placements: where each clip starts, how well that is known, and through what.

Sound ties two clocks to within what it travelled to either camera. What was seen, and what an
examiner vouches for, does not travel: a clip tied so is known better than what is heard in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from forensics.audio_case import Case
from forensics.audio_solve import Edge, Solution, solve
from forensics.model import Placement, Quantity

__all__ = ["placements_of"]

SOUND_SPEED_M_S = 343.0


def _drift_note(case: Case, edges: Sequence[Edge], touching: Sequence[int]) -> str:
    """Where the drift of a clip comes from, or why no pair of it shows one."""
    why: list[str] = []
    for number in touching:
        edge = edges[number]
        if edge.drift_ppm is not None:
            return "95 %; prior ±78 ppm"
        pair = sorted((case.clips[edge.i].digest, case.clips[edge.j].digest))
        item = case.judged.get((pair[0], pair[1]))
        why += [item.candidates[0].no_drift] if item is not None else []
    reasons = "; ".join(dict.fromkeys(w for w in why if w)) or "they share no sound"
    return f"the 95 % prior of such clocks: no pair shows it ({reasons})"


def _unheard(
    case: Case, solution: Solution, edges: Sequence[Edge]
) -> dict[int, tuple[float, float]]:
    """Offset and 95 % half-width of clips that anchors and what was seen tie to the reference."""
    seen = [edges[n] for n in solution.used if not edges[n].heard]
    for part in solve(len(case.clips), seen):
        if part.clips[0] == solution.clips[0]:
            halves = (1.96 * part.sigma_s).tolist()
            return dict(
                zip(part.clips, zip(part.offset_s.tolist(), halves, strict=True), strict=True)
            )
    return {}


def _half_width(
    value: float, timing: float, travel: float, unheard: tuple[float, float] | None, hears: bool
) -> tuple[float, str]:
    """95 % half-width of a placement in seconds, and what it is made of.

    Where what does not travel leads to the reference, that is what is known of the clip's clock:
    what was vouched for or seen, and how far the sound moved the solution away from it.
    """
    heard = math.hypot(timing, travel)
    path = f"{travel * SOUND_SPEED_M_S:g} m of path at 343 m/s"
    if unheard is None or abs(value - unheard[0]) + unheard[1] >= heard:
        return heard, f"95 %, ±{travel * 1000:.0f} ms of it for {path}"
    apart = abs(value - unheard[0])
    moved = f" and {apart * 1000:.0f} ms by which sound moves it" if apart >= 0.0005 else ""
    return apart + unheard[1], (
        f"95 % of the clip's own clock: ±{unheard[1] * 1000:.0f} ms of the anchor or of what was "
        f"seen{moved}"
        + f". Heard in it is what was made up to {travel * 1000:.0f} ms sooner, for {path}" * hears
    )


def placements_of(
    case: Case, solution: Solution, edges: Sequence[Edge], bases: Sequence[str], number: int,
    spacing_m: float,
) -> Iterable[Placement]:  # fmt: skip
    """Each clip of a solution, the reference first; `bases` by edge, `number` of the component.

    `spacing_m` metres may each source of sound be nearer to one camera than to another.
    """
    travel = spacing_m / SOUND_SPEED_M_S
    unheard = _unheard(case, solution, edges)
    for row, clip in enumerate(solution.clips):
        digest = case.clips[clip].digest
        touching = [n for n in solution.used if clip in (edges[n].i, edges[n].j)]
        support = tuple(
            sorted({case.clips[e].digest for n in touching for e in (edges[n].i, edges[n].j)}
                   - {digest})
        )  # fmt: skip
        if row == 0:
            exact = "the reference: zero by definition"
            yield Placement(
                digest, Quantity.exact(0.0, "s", exact), Quantity.exact(0.0, "ppm", exact),
                "reference", support, number,
            )  # fmt: skip
            continue
        value = float(solution.offset_s[row])
        kinds = {bases[n] for n in touching}
        half, note = 1.96 * float(solution.sigma_s[row]), "the same soundtrack: no travel of sound"
        if kinds != {"soundtrack"}:
            half, note = _half_width(value, half, travel, unheard.get(clip), digest in case.heard)
        drift, error = float(solution.drift_ppm[row]), 1.96 * float(solution.drift_sigma_ppm[row])
        basis = "sound" if kinds & {"sound", "soundtrack"} else min(kinds)
        yield Placement(
            digest, Quantity(value, "s", value - half, value + half, note),
            Quantity(
                drift, "ppm", drift - error, drift + error, _drift_note(case, edges, touching)
            ),
            basis, support, number,  # type: ignore[arg-type]
        )  # fmt: skip
