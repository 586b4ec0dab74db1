"""Who falls, sits down, bends and crouches in the made night views, and what was found of it.

Whoever falls does so in the picture and not behind the declared tree, so that every fall counted
can be seen; who only goes down quickly (onto a seat, to tie a shoe, behind the bench) is the
control. Version 4 was measured with falls drawn anywhere: of six, five were behind the tree, and a
figure that stood was folded up from one frame to the next, which no body does. Nights 421 to 424
were looked at while version 5 was made (there two of eight fell behind the bench, since ruled out).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from activity_score import pairs_of
from staged.plan import FALLS, Actor
from staged.stage import Stage

from forensics.video_acts import inside

if TYPE_CHECKING:
    from activity_nights import Night

    from forensics.model import Region

__all__ = ["fall_rows", "fallers", "fell"]

_FALLERS = ("faller-1", "faller-2")
#: Who goes down without falling: what, how long after it is over they get up again (s).
_CONTROLS = {"sitter-down": "sit", "bender": "bend", "croucher": "crouch"}
#: Where the bench of the staged incident stands (x, z): behind it somebody crouches.
_BENCH = (2.1, 12.95)


def fallers(
    seed: int, start_s: float, looks: tuple[str, ...], camera: Any, tree: Region, length_s: float
) -> tuple[Actor, ...]:
    """Two who walk in, stop and fall in view, not behind tree or bench, and three who go down."""
    rng = np.random.default_rng([43, seed])
    actors = []
    roles = [*_FALLERS, *_CONTROLS]
    for k, role in enumerate(rng.permutation(np.array(roles)).tolist()):
        begins = start_s + float(rng.uniform(0.5, 3.0)) + 5.8 * k
        tall = float(rng.uniform(1.6, 1.9))
        for _ in range(200):
            side, lane = float(rng.choice([-1, 1])), float(rng.uniform(9.5, 16.5))
            stop = side * float(rng.uniform(0.5, 8.0))
            z = float(np.clip(lane + rng.uniform(-1, 1), 9.0, 17.0))
            if role == "croucher":
                stop, z = _BENCH[0] + float(rng.uniform(-0.6, 0.6)), _BENCH[1] + 0.9
            behind = abs(stop - _BENCH[0]) < 2.0 and 0.0 < z - _BENCH[1] < 2.5
            if _in_view(camera, tree, stop, z, tall) and (role == "croucher" or not behind):
                break
        far = stop + side * float(rng.uniform(3, 6))
        arrives = begins + abs(far - stop) / float(rng.uniform(1.1, 1.7))
        does = min(arrives + float(rng.uniform(-0.3, 2.0)), start_s + length_s - 4.0)
        FALLS.pop(role, None)
        actions = ()
        if role in _FALLERS:
            FALLS[role] = does
        else:
            actions = ((does, _CONTROLS[role]),)
        points = ((begins, far, lane), (arrives, stop, z), (66.0, stop, z))
        facing = ((0.0, float(rng.uniform(0, 360))),)
        look = looks[int(rng.integers(len(looks)))]
        actors.append(Actor(role, look, points, actions, facing, tall))
    return tuple(actors)


def _in_view(camera: Any, tree: Region, x: float, z: float, tall: float) -> bool:
    """Whether foot, middle and head are in the picture and none of them behind the tree."""
    spots, depth = camera.project(np.array([(x, high, z) for high in (0.0, tall / 2, tall)]))
    shown = (spots[:, 0] > 30) & (spots[:, 0] < camera.width - 30)
    shown &= (spots[:, 1] > 5) & (spots[:, 1] < camera.height - 8)
    around = np.concatenate([spots + np.array([dx, 0]) for dx in (-22, 0, 22)])
    hidden = inside(tree.polygon, around[:, 0], around[:, 1]).any()
    return bool(shown.all() and depth.min() > 0.9 and not hidden)


def fell(
    stage: Stage, camera: Any, start_s: float, length_s: float
) -> tuple[tuple[float, float, float], ...]:
    """When and where the fallers of a stage fall, if that is in the picture."""
    found = []
    for track in stage.tracks:
        at = FALLS.get(track.actor.role)
        state = track.at(at) if at is not None and track.actor.role in _FALLERS else None
        if state is not None and at is not None and 1.0 < at - start_s < length_s - 3.0:
            [(x, y)], _ = camera.project(np.array([[state.x, 0, state.z]]))
            if 10 < x < camera.width - 10 and 10 < y < camera.height - 5:
                found.append((at - start_s, float(x), float(y)))
    return tuple(sorted(found))


def fall_rows(exam: Any, night: Night) -> dict[str, int]:
    """Falls anywhere in the picture against those made: found, stated, hidden, missed, false."""
    row = dict.fromkeys(("falling", "falls found", "falls stated", "falls behind the tree",
                         "falls missed", "false falls"), 0)  # fmt: skip
    found = [float(o.span.start) for o in exam.observations
             if o.what.kind == "falls" and o.what.region == "picture"]  # fmt: skip
    times = [t for t, _, _ in night.falling]
    taken = {a for a, _ in pairs_of(times, found, 2.0)}
    row["falling"], row["falls found"] = len(times), len(taken)
    row["false falls"] = len(found) - len(taken)
    whole = exam.coverage.span
    for k, (time, x, y) in enumerate(night.falling):
        if k in taken:
            continue
        hidden = any(
            inside(screen.polygon, np.array([x]), np.array([y - up])).any()
            for screen in night.occluders for up in (0.0, 30.0)
        )  # fmt: skip
        stated = any(
            part.reason.startswith("falls: region 'picture'") and part.span != whole
            and float(part.span.start) - 0.5 <= time + 0.5 <= float(part.span.end) + 0.5
            for part in exam.coverage.not_testable
        )  # fmt: skip
        row["falls behind the tree" if hidden else "falls stated" if stated
            else "falls missed"] += 1  # fmt: skip
    return row
