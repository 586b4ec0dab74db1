"""From boxes to trajectories: what continues what, without identity.

Pure functions of boxes (x, y, w, h) in pixels and times in seconds. A box that a trail was not seen
in but is taken to stand in (hidden in a group) is marked as assumed: nothing is concluded from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = ["Trail", "Tracker", "smoothed"]


@dataclass
class Trail:
    """One thing that moved: times (s) and boxes (x, y, w, h), no identity."""

    times: list[float] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    #: How much of it was seen by itself; what follows is taken to be hidden in a group.
    own: int = 1
    #: The numbers of the boxes that were not seen but assumed.
    assumed: set[int] = field(default_factory=set)

    def seen(self) -> NDArray[np.bool_]:
        """Which boxes were seen, (n,) bool."""
        import numpy as np

        flags = np.ones(len(self.times), bool)
        flags[sorted(self.assumed)] = False
        return flags

    @property
    def last(self) -> tuple[float, float, float, float]:
        """The latest box."""
        return self.boxes[-1]

    def ahead(self, time: float) -> tuple[float, float]:
        """Where the foot should be at `time` if it goes on as it did."""
        x, y, w, h = self.last
        foot = (x + w / 2, y + h)
        if len(self.times) < 3:
            return foot
        back = max(0, len(self.times) - 6)
        lasted = self.times[-1] - self.times[back]
        if lasted <= 0:
            return foot
        x0, y0, w0, h0 = self.boxes[back]
        # Only part of the speed: figures turn and stop.
        factor = 0.7 * min(1.0, time - self.times[-1]) / lasted
        return (foot[0] + factor * (foot[0] - x0 - w0 / 2), foot[1] + factor * (foot[1] - y0 - h0))


class Tracker:
    """Strings boxes into trails, frame by frame; a trail ends when nothing continues it.

    Parameters
    ----------
    lost_s
        How long a trail may go unseen.
    group_s
        How long it may stay hidden in a group, where one box has swallowed two trails.
    """

    def __init__(self, *, lost_s: float = 1.0, group_s: float = 4.0) -> None:
        self.lost_s, self.group_s = lost_s, group_s
        self.live: list[Trail] = []
        self.done: list[Trail] = []

    def add(self, time: float, boxes: Sequence[tuple[float, float, float, float]]) -> None:
        """The boxes of one frame."""
        import numpy as np
        from scipy.optimize import linear_sum_assignment

        live = self.live
        taken: set[int] = set()
        matched: dict[int, Trail] = {}
        if live and boxes:
            cost = np.array([[self._cost(trail, time, box) for box in boxes] for trail in live])
            for i, j in _stayed(live, time, boxes):
                # What has not moved is still itself: nothing that was lost may take its place.
                cost[i, :] = cost[:, j] = 9.0
                cost[i, j] = 0.0
            # A trail that nothing continues must not push another off its own box.
            for i, j in zip(*linear_sum_assignment(np.minimum(cost, 1.0)), strict=True):
                if cost[i, j] < 1.0:
                    matched[int(j)] = live[int(i)]
                    taken.add(int(j))
        self._group(time, boxes, matched)
        for j, trail in matched.items():
            trail.times.append(time)
            trail.boxes.append(boxes[j])
            trail.own = len(trail.times)
        self.live = []
        for trail in live:
            (self.live if time - trail.times[-1] <= self.lost_s else self.done).append(trail)
        for number, box in enumerate(boxes):
            if number not in taken:
                self.live.append(Trail([time], [box]))

    def _group(
        self, time: float, boxes: Sequence[tuple[float, float, float, float]],
        matched: dict[int, Trail],
    ) -> None:  # fmt: skip
        """Keep alive what stands in a group: one box has swallowed a trail beside its own."""
        seen = {id(trail) for trail in matched.values()}
        for trail in self.live:
            if id(trail) in seen or time - trail.times[trail.own - 1] > self.group_s:
                continue
            x, y, w, h = trail.last
            for j, mate in matched.items():
                a, b, c, d = boxes[j]
                across = min(x + w, a + c) - max(x, a)
                down = min(y + h, b + d) - max(y, b)
                # The box must have grown to hold both, unless it holds them already.
                grown = c * d > 1.15 * mate.last[2] * mate.last[3]
                held = trail.own < len(trail.times)
                if across < 0.5 * w or down < 0.5 * h or not (grown or held):
                    continue
                right = x + w / 2 > mate.last[0] + mate.last[2] / 2
                left = a + c - w if right else a
                lift = max(0.0, min(mate.last[1] + mate.last[3] - y - h, d - h))
                trail.assumed.add(len(trail.times))
                trail.times.append(time)
                trail.boxes.append((left, b + d - h - lift, w, h))
                break

    def _cost(
        self, trail: Trail, time: float, box: tuple[float, float, float, float]
    ) -> float:
        x, y, w, h = trail.last
        a, b, c, d = box
        u, v = trail.ahead(time)
        size = max(h, d, 0.6 * max(w, c), 4.0)
        # A sinking figure keeps its foot; a crouching one its place: the nearer of foot and middle.
        foot = np_hypot(a + c / 2 - u, b + d - v)
        middle = np_hypot(a + c / 2 - x - w / 2, b + d / 2 - y - h / 2)
        reach = (0.45 + 2.5 * min(1.0, time - trail.times[-1])) * size
        away = min(foot, middle) / reach
        other = abs(float(h * w) - float(c * d)) / max(h * w, c * d)
        return away + 0.25 * other

    def finish(self) -> list[Trail]:
        """All trails, in order of their start."""
        trails = self.done + self.live
        for trail in trails:
            # Who never parted from the group again was last seen where it joined it.
            del trail.times[trail.own :], trail.boxes[trail.own :]
            trail.assumed = {k for k in trail.assumed if k < trail.own}
        return sorted(trails, key=lambda trail: trail.times[0])


def _stayed(
    live: Sequence[Trail], time: float, boxes: Sequence[tuple[float, float, float, float]]
) -> list[tuple[int, int]]:
    """Trails and boxes that lie on each other so well that nothing moved: (trail, box)."""
    pairs = []
    for i, trail in enumerate(live):
        if time - trail.times[-1] > 0.35 or len(trail.times) - 1 in trail.assumed:
            continue
        x, y, w, h = trail.last
        for j, (a, b, c, d) in enumerate(boxes):
            across = min(x + w, a + c) - max(x, a)
            down = min(y + h, b + d) - max(y, b)
            shared = max(0.0, across) * max(0.0, down)
            overlap = shared / max(1e-9, w * h + c * d - shared)
            if overlap > 0.6:
                pairs.append((overlap, i, j))
    chosen: list[tuple[int, int]] = []
    for _, i, j in sorted(pairs, reverse=True):
        if all(i != one and j != other for one, other in chosen):
            chosen.append((i, j))
    return chosen


def np_hypot(a: float, b: float) -> float:
    """The length of (a, b)."""
    return float((a * a + b * b) ** 0.5)


def smoothed(trail: Trail, *, window_s: float = 0.4) -> tuple[Floats, Floats]:
    """Times (n,) and boxes (n, 4) of a trail, running median over `window_s`."""
    import numpy as np
    from scipy.ndimage import median_filter

    times = np.array(trail.times)
    boxes = np.array(trail.boxes)
    if len(times) < 5:
        return times, boxes
    step = float(np.median(np.diff(times)))
    size = int(max(3, round(window_s / max(step, 1e-3)))) | 1
    return times, median_filter(boxes, size=(min(size, len(times)), 1), mode="nearest")
