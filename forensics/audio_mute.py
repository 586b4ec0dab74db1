"""Clips without usable sound: tie each to placed clips by flashes, movement or burned-in clocks.

The evidence is that of `audio_silent`, gathered here clip by clip; it is never called sound, and
a clip is tied to one group only, so that it cannot bridge two. A clip from which a stretch was
removed has two offsets, one on each side of the break: only the side that shows more is compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from forensics.audio_case import Case
from forensics.audio_silent import pair_by_clock, pair_by_flash, pair_by_motion
from forensics.clock import read_clock
from forensics.errors import ForensicsError
from forensics.events_flash import find_flashes
from forensics.model import Clip, ClipBreak, Flash, PairEvidence, Progress, Unplaced
from forensics.scan import View, scan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["By", "one_group", "tie_case", "tie_silent"]

By: TypeAlias = Literal["clock", "flash", "motion"]
#: Movement is compared at this many values a second.
_MOTION_HZ = 10.0
#: Flashes this sure are compared, and two of them closer than this, in seconds, are one.
_STRONG, _TOGETHER_S = 0.8, 0.06


class _Movement:
    """Mean absolute change of the small grey view from one frame to the next."""

    columns = ("moved",)

    def __init__(self) -> None:
        self._last: NDArray[np.int16] | None = None

    def afresh(self) -> _Movement:
        return _Movement()

    def measure(self, view: View) -> Sequence[float]:
        import numpy as np

        grey = view.grey.astype(np.int16)
        moved = 0.0 if self._last is None else float(np.abs(grey - self._last).mean())
        self._last = grey
        return (moved,)


class _Seen:
    """What one clip shows, looked at once and only when asked."""

    def __init__(self, clip: Clip, breaks: Sequence[ClipBreak] = ()) -> None:
        self.clip = clip
        length = float(clip.duration or 0)
        mine = sorted(b.time_s for b in breaks if b.clip == clip.digest and 0 < b.time_s < length)
        self._stretches = list(pairwise([0.0, *mine, length]))
        self._known: dict[str, Any] = {}

    def _once(self, name: str, look: Any) -> Any:
        if name not in self._known:
            self._known[name] = look()
        return self._known[name]

    def flashes(self) -> list[float]:
        def look() -> list[float]:
            kept: list[float] = []
            for seen in find_flashes(self.clip).observations:
                if isinstance(seen.what, Flash) and seen.score >= _STRONG:
                    time = float(seen.what.time)
                    if not kept or time - kept[-1] > _TOGETHER_S:
                        kept.append(time)
            return kept

        found: list[float] = self._once("flashes", look)
        return found

    def between_breaks(self) -> tuple[float, float]:
        """The longest stretch without a break, in clip time."""
        return max(self._stretches, key=lambda s: s[1] - s[0])

    def flashes_between_breaks(self) -> tuple[list[float], tuple[float, float]]:
        """The flashes of the stretch without a break that shows most of them, and the stretch."""
        times = self.flashes()
        low, high = max(self._stretches, key=lambda s: sum(s[0] <= t <= s[1] for t in times))
        return [t for t in times if low <= t <= high], (low, high)

    def movement(self) -> tuple[NDArray[np.float64], float]:
        """Movement at `_MOTION_HZ` and the clip time of its first value."""

        def look() -> tuple[NDArray[np.float64], float]:
            import numpy as np

            measured = scan(self.clip, [_Movement()])
            times, moved = measured.seconds, measured.columns["moved"]
            grid = np.arange(times[0], times[-1], 1 / _MOTION_HZ)
            edges = np.searchsorted(times, grid)
            sums = np.concatenate([[0.0], np.cumsum(moved)])
            right = np.append(edges[1:], len(times))
            return (sums[right] - sums[edges]) / np.maximum(right - edges, 1), float(times[0])

        found: tuple[NDArray[np.float64], float] = self._once("movement", look)
        return found

    def clock(self) -> Any:
        return self._once("clock", lambda: read_clock(self.clip))


def _pair(one: _Seen, two: _Seen, by: By) -> PairEvidence:
    first, second = one.clip.digest, two.clip.digest
    if by == "clock":
        return pair_by_clock(one.clock(), two.clock(), first=first, second=second)
    if by == "flash":
        streams = [s.clip.video for s in (one, two)]
        rates = [float(v.frame_rate) for v in streams if v is not None and v.frame_rate]
        times, stretch = two.flashes_between_breaks()
        return pair_by_flash(
            one.flashes(), times, first=first, second=second,
            frame_s=1 / min(rates) if rates else 0.04,
            span_a=(0.0, float(one.clip.duration or 0)), span_b=stretch,
        )  # fmt: skip
    (moved_a, start_a), (moved_b, start_b) = one.movement(), two.movement()
    low, high = two.between_breaks()
    first_row = max(0, math.ceil((low - start_b) * _MOTION_HZ))
    moved_b = moved_b[first_row : max(first_row, math.floor((high - start_b) * _MOTION_HZ) + 1)]
    start_b += first_row / _MOTION_HZ
    return pair_by_motion(
        moved_a, moved_b, _MOTION_HZ, first=first, second=second, start_a_s=start_a,
        start_b_s=start_b,
    )  # fmt: skip


def tie_silent(
    silent: Sequence[Clip], placed: Sequence[Clip], *, by: Sequence[By],
    breaks: Sequence[ClipBreak] = (), progress: Progress | None = None,
) -> tuple[list[PairEvidence], list[str]]:  # fmt: skip
    """Compare each silent clip with each placed one, kind of evidence by kind.

    For a silent clip the first kind in `by` that ties it to any placed clip is used, and the
    weaker kinds are not tried. Of a silent clip with `breaks` one stretch is compared; the measure
    ``anchor`` of a pair is the time in that clip at which its offset holds. Returns every
    comparison made, and warnings.
    """
    seen = {c.digest: _Seen(c, breaks) for c in [*silent, *placed] if c.video is not None}
    found: list[PairEvidence] = []
    warnings: list[str] = []
    for number, clip in enumerate(silent):
        if clip.digest not in seen:
            continue
        for kind in by:
            if progress is not None:
                progress(0.9 + 0.1 * number / len(silent), f"{clip.name}: comparing by {kind}")
            tried = []
            for other in placed:
                if other.digest not in seen or other.digest == clip.digest:
                    continue
                try:
                    tried.append(_pair(seen[other.digest], seen[clip.digest], kind))
                except ForensicsError as error:
                    warnings.append(f"{clip.name} against {other.name} by {kind}: {error.message}")
            found += tried
            if any(t.accepted for t in tried):
                break
    return found, warnings


def one_group(
    ties: Sequence[PairEvidence], group_of: dict[str, int]
) -> tuple[list[PairEvidence], list[PairEvidence]]:
    """Accepted ties of each silent clip to its best group, and those left out to bridge nothing."""
    kept: list[PairEvidence] = []
    left: list[PairEvidence] = []
    silent = list(dict.fromkeys(t.second for t in ties))
    for digest in silent:
        mine = [t for t in ties if t.second == digest and t.accepted and t.offset is not None]
        votes: dict[int, list[PairEvidence]] = {}
        for tie in mine:
            if tie.first in group_of:
                votes.setdefault(group_of[tie.first], []).append(tie)
        if not votes:
            continue
        best = max(votes, key=lambda g: (len(votes[g]), sum(t.score for t in votes[g]), -g))
        kept += votes[best]
        left += [t for group, some in votes.items() if group != best for t in some]
    return kept, left


def tie_case(
    case: Case, group: dict[str, int], *, by: tuple[By, ...], breaks: Sequence[ClipBreak],
    progress: Progress | None,
) -> tuple[list[PairEvidence], list[PairEvidence]]:  # fmt: skip
    """Every comparison of a case's mute clips with placed ones, and those that tie.

    `group` is the component of each placed clip; what is left out, and why, goes into the case.
    """
    mute = [c for c in case.clips if c.digest not in case.heard and c.digest not in group]
    mute = [c for c in mute if case.unplaced[c.digest].outcome == "not-applicable" and c.video]
    if not (by and mute and group):
        return [], []
    placed = [c for c in case.clips if c.digest in group]
    found, warnings = tie_silent(mute, placed, by=by, breaks=breaks, progress=progress)
    kept, left = one_group(found, group)
    case.warnings += warnings
    case.warnings += [
        f"{case.name(t.second)} also fits {case.name(t.first)} of another group by {t.basis}: "
        "not used, for it would bridge two groups"
        for t in left
    ]
    for clip in mute:
        tried = dict.fromkeys(f"by {t.basis}: {t.note}" for t in found if t.second == clip.digest)
        if tried:
            old = case.unplaced[clip.digest]
            reason = "; ".join([old.reason, "nothing seen tied it", *list(tried)[:4]])
            case.unplaced[clip.digest] = Unplaced(old.clip, old.outcome, reason)
    return found, kept
