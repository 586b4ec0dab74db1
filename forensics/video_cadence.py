"""Pictures repeated to reach another rate: found, left out, and the rest measured by themselves.

A view shot at 10 pictures a second and played at 30 holds each picture for three frames. Between
standstills every true step then looks like a jump, so that nothing about steps can be told before
the repeats are taken out again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.model import Clip, Progress
from forensics.scan import Measurements, View, measurements, one_thread, scan
from forensics.video_measure import FEATURES, FrameRows, frame_rate_hz, largest_around

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Cadence", "find_cadence", "measure_distinct"]

#: A repeated picture changes by less than this share of the steps around it…
REPEATS = 0.15
#: …where those are at least this many grey levels on either side: in a still view nothing is told.
MOVES = 0.3
#: Frames on either side in which the steps around are looked for.
REACH = 5
#: Least frames in motion, and the least share of them that repeat, that make a cadence (where fewer
#: do, as in 24 played at 30, steps are judged well enough among them, and copies better)…
LEAST_FRAMES, LEAST_SHARE = 48, 0.3
#: …when this share of the repeats come as evenly as a conversion of the rate spaces them.
EVEN = 0.8
#: Rates pictures are taken at, in Hz: one of them is continued through what stands still…
RATES = (5.0, 6.0, 7.5, 8.0, 10.0, 12.0, 12.5, 15.0, 20.0, 24.0, 25.0, 30.0, 50.0)
#: …over this many frames at a time, where it agrees with this share of what moves there.
STRETCH, AGREES = 512, 0.9


@dataclass(frozen=True)
class Cadence:
    """Which frames show a picture of their own: `shown` (n,); `share` of those in motion repeat."""

    shown: NDArray[np.bool_]
    share: float

    @property
    def repeated(self) -> int:
        """Frames that repeat the one before."""
        return int(len(self.shown) - self.shown.sum())

    def rate_hz(self, frames_hz: float) -> float:
        """Pictures a second in a file that shows `frames_hz` frames a second."""
        return frames_hz * float(self.shown.mean())


def find_cadence(diff: NDArray[np.float64], rate_hz: float) -> Cadence | None:
    """The even repetition of pictures that a conversion of the frame rate leaves, or none.

    Parameters
    ----------
    diff
        (n,) mean absolute grey difference of each frame to the one before.
    rate_hz
        Frames a second as played.
    """
    import numpy as np

    before, after = largest_around(diff, REACH)
    moving = np.minimum(before, after) >= MOVES
    repeats = moving & (diff < REPEATS * np.minimum(before, after))
    if moving.sum() < LEAST_FRAMES or repeats.sum() < 0.5 * LEAST_SHARE * LEAST_FRAMES:
        return None
    share = float(repeats[moving].mean())
    # Of repeats and pictures, the rarer kind is what a conversion spaces evenly.
    rare = np.flatnonzero(moving & (repeats if share < 0.5 else ~repeats))
    gaps = np.diff(rare)
    # Gaps across a standstill say nothing.
    gaps = gaps[gaps <= 2 * REACH + 2]
    if share < LEAST_SHARE or len(gaps) < 8:
        return None
    expected = 1 / min(share, 1 - share)
    even = np.abs(gaps - expected) < (1.0 if expected < 6 else 1.5)
    if even.mean() < EVEN:
        return None
    # Where motion begins or ends, the repeats beside it belong to the cadence too.
    beside = np.maximum(before, after)
    again = (beside >= MOVES) & (diff < REPEATS * beside)
    # In what stands still the cadence runs on; a frame that clearly moved is never left out.
    calm = np.where(beside >= MOVES, diff < 2 * REPEATS * beside, diff < MOVES)
    shown = ~(again | (calm & _run_on(moving, repeats, 1 - share, rate_hz)))
    shown[:1] = True
    return Cadence(shown, share)


def _run_on(
    moving: NDArray[np.bool_], repeats: NDArray[np.bool_], pictures: float, rate_hz: float
) -> NDArray[np.bool_]:
    """Which frames repeat when pictures of one of the usual rates are spread over the frames."""
    import numpy as np

    found = np.zeros(len(moving), dtype=bool)
    shares = [r / rate_hz for r in RATES if abs(r / rate_hz - pictures) < 0.1 and r < rate_hz]
    for low in range(0, len(moving), STRETCH):
        here = slice(low, low + STRETCH)
        told = moving[here]
        if told.sum() < LEAST_FRAMES or not shares:
            continue
        frames = np.arange(len(told))
        phases = np.linspace(0, 1, 32, endpoint=False)[:, None]
        tried = np.concatenate([
            np.diff(np.floor(share * frames + phases), axis=1, prepend=-1) == 0 for share in shares
        ])  # fmt: skip
        agree = (tried == repeats[here])[:, told].mean(axis=1)
        if agree.max() >= AGREES:
            found[here] = tried[int(agree.argmax())]
    return found


class _Distinct:
    """`FrameRows` over the frames that show a picture of their own; the others get no row."""

    def __init__(self, rows: FrameRows, shown: NDArray[np.bool_]) -> None:
        self._rows, self._shown = rows, shown
        self.columns = rows.columns
        self._none = (0.0,) * len(self.columns)

    def afresh(self) -> _Distinct:
        return _Distinct(self._rows.afresh(), self._shown)

    def measure(self, view: View) -> Sequence[float]:
        return self._rows.measure(view) if self._shown[view.ordinal] else self._none

    def finish(self) -> None:
        self._rows.finish()

    def late(self) -> dict[str, NDArray[np.float64]]:
        return self._rows.late()

    def planes(self) -> dict[str, NDArray[Any]]:
        return self._rows.planes()


def measure_distinct(
    clip: Clip, measured: Measurements, cadence: Cadence, *, progress: Progress | None = None
) -> Measurements:
    """Measure the pictures by themselves, each against the one shown before it: a second decode.

    Returns
    -------
    Measurements
        A row for each frame that `cadence` lists as shown, with its own time.
    """
    rate = cadence.rate_hz(frame_rate_hz(measured.seconds, measured.stream.frame_rate))

    def compute() -> Measurements:
        rows = FrameRows(min(240.0, max(1.0, rate)))
        with one_thread():
            whole = scan(clip, [_Distinct(rows, cadence.shown)], progress=progress)
        shown = cadence.shown
        columns = {
            name: values[shown] if len(values) == len(shown) else values
            for name, values in whole.columns.items()
        }
        return dataclasses.replace(
            whole, pts=whole.pts[shown], picture_type=whole.picture_type[shown],
            key=whole.key[shown], packet=whole.packet[shown], columns=columns,
            repaired=whole.repaired[shown],
        )  # fmt: skip

    return measurements(clip, f"{FEATURES} distinct", compute)
