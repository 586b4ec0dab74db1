"""Lamp flicker in pictures: light at twice the mains frequency, seen by its alias and its bands.

A lamp on the mains brightens 100 or 120 times a second. Frames taken at 30 a second show 100 Hz as
10 Hz, and a rolling shutter, which reads line after line, shows it as bands that travel. Where the
frame rate divides the lamp's (100 Hz at 25 or 50, 120 Hz at 30 or 60), the bands stand still and
cannot be told from the scene: not measurable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.errors import SignalTooShort
from forensics.model import Clip, Progress, Quantity, Span, Value
from forensics.provenance import method
from forensics.scan import View, scan, video_stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["Flicker", "FlickerLine", "RowLight", "find_flicker", "measure_flicker",
           "steady_rest"]  # fmt: skip

BANDS = 48
SHORTEST_S = 10.0
#: An alias slower than this is not told from the scene's own changes.
SLOWEST_HZ = 1.2
_DEVIATION_HZ = 0.5
#: Peak over the median of the other frequencies, dB.
_FOUND_DB = 18.0
LAMPS_HZ = (100, 120)


class RowLight:
    """A `scan` detector: mean luma of 48 bands of lines, top to bottom as read off the sensor."""

    columns = tuple(f"rows {k:02d}" for k in range(BANDS))

    def afresh(self) -> RowLight:
        """Another one, as nothing is kept of a frame."""
        return RowLight()

    def measure(self, view: View) -> Sequence[float]:
        """Mean of each band of one frame, 0 to 255."""
        import numpy as np

        means = view.luma.mean(axis=1, dtype=np.float32)
        edges = np.linspace(0, len(means), BANDS + 1).astype(int)
        if len(means) < BANDS:
            return [float("nan")] * BANDS
        sums = np.add.reduceat(means, edges[:-1])
        found: list[float] = (sums / np.diff(edges)).tolist()
        return found


@dataclass(frozen=True)
class FlickerLine:
    """The strongest flicker near one lamp frequency, or why it could not be looked for."""

    nominal_hz: int
    alias_hz: float
    frequency_hz: float
    contrast: float
    cycles: float
    peak_db: float
    why: str = ""


def steady_rest(rows: Floats, rate_hz: float) -> Floats:
    """The light of lines (n, bands) without the scene's slow changes and without single events."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    slow = max(3, 2 * round(0.35 * rate_hz) + 1)
    rest = rows - uniform_filter1d(rows, slow, axis=0, mode="nearest")
    # What happens once (a cut, a flash, a passer-by) must not fill every frequency.
    limit = 4 * 1.4826 * np.median(np.abs(rest), axis=0) + 1e-3
    clipped: Floats = np.clip(rest, -limit, limit)
    return clipped


def find_flicker(rows: Floats, times_s: NDArray[np.float64], rate_hz: float) -> list[FlickerLine]:
    """Look for 100 and 120 Hz in the light of bands of lines.

    Parameters
    ----------
    rows
        (n, bands) mean luma.
    times_s
        (n,) presentation times.
    rate_hz
        Frames a second, on average.

    Returns
    -------
    list of FlickerLine
        One for each lamp frequency. `cycles`: how many bands the frame shows, sign: direction;
        `contrast`: amplitude over mean light.
    """
    import numpy as np

    light = rows.mean()
    rest = steady_rest(rows, rate_hz) * np.hanning(len(rows))[:, None]
    depth = np.exp(
        -2j * np.pi * np.arange(rows.shape[1])[:, None] / rows.shape[1]
        * np.arange(-6, 6.5, 0.25)[None]
    )  # fmt: skip
    spatial = (rest @ depth) / rows.shape[1]
    length = float(times_s[-1] - times_s[0])
    step = 0.5 / length

    def power(frequencies: NDArray[np.float64]) -> Floats:
        out = [
            np.abs(np.exp(-2j * np.pi * f * times_s) @ spatial) * 4 / len(times_s)
            for f in frequencies
        ]
        return np.array(out, np.float32)

    nyquist = rate_hz / 2
    others = np.linspace(SLOWEST_HZ, nyquist, 160)
    answer = []
    for lamp in LAMPS_HZ:
        alias = abs(lamp - round(lamp / rate_hz) * rate_hz)
        if alias < SLOWEST_HZ:
            why = f"{lamp} Hz stands still at {rate_hz:.3f} frames a second"
            answer.append(FlickerLine(lamp, alias, 0, 0, 0, 0, why))
            continue
        near = np.arange(lamp - _DEVIATION_HZ, lamp + _DEVIATION_HZ + step, step)
        table = power(near)
        at, column = np.unravel_index(int(np.argmax(table)), table.shape)
        apart = others[np.abs(others - alias) > 1.0]
        floor = float(np.median(power(apart).max(axis=1))) + 1e-6
        peak = 20 * np.log10(float(table[at, column]) / floor)
        answer.append(
            FlickerLine(
                lamp, alias, float(near[at]), float(table[at, column] / max(light, 1.0)),
                float(-6 + 0.25 * int(column)), float(peak),
            )
        )  # fmt: skip
    return answer


class Flicker(Value, frozen=True):
    """Lamp flicker in the pictures. `measurable` is false unless it stands out; `why` says why."""

    measurable: bool
    why: str
    nominal_hz: int
    alias: Quantity
    frequency: Quantity
    contrast: Quantity
    bands: Quantity
    strength: Quantity
    span: Span


@method(
    "lamp-flicker", version="1",
    references=("Garg, Varna, Hajj-Ahmad, Wu: ENF from video, IEEE TIFS 8(9), 2013",),
)  # fmt: skip
def measure_flicker(clip: Clip, *, progress: Progress | None = None) -> Flicker:
    """Say whether the pictures show a lamp on the mains: 100 or 120 Hz, by its alias and bands.

    Parameters
    ----------
    clip
        An opened clip with at least 10 s of pictures.
    progress
        Called with (fraction, text).

    Returns
    -------
    Flicker
        `frequency` is the lamp's, twice the mains; `alias` what the frame rate makes of it.

    Raises
    ------
    StreamMissing, SignalTooShort

    When it errs
    ------------
    Calls it wrongly when something else in the picture changes at the alias frequency: a screen, a
    dimmed LED, a machine (inaccuracy: association). Misses it in daylight, under lamps with a
    smoothed supply, at an exposure of whole flicker periods, and wherever the frame rate divides
    the lamp's frequency: then the bands stand still (incompleteness). A frame rate that is not
    what the stamps say moves the frequency with it (misinterpretation). It was measured on
    drawn pictures; of real recordings there are only some without flicker (none called measurable).
    """
    import numpy as np

    stream = video_stream(clip)
    measured = scan(clip, [RowLight()], progress=progress)
    times = measured.seconds
    if len(times) < 50 or float(times[-1] - times[0]) < SHORTEST_S:
        raise SignalTooShort(
            f"{clip.name} is too short for flicker", need_s=SHORTEST_S,
            have_s=float(times[-1] - times[0]) if len(times) else 0.0,
        )  # fmt: skip
    rows = np.stack([measured.columns[name] for name in RowLight.columns], axis=1)
    keep = ~np.isnan(rows).any(axis=1)
    span = Span(measured.time(0), measured.time(len(measured) - 1))
    rate = (len(times) - 1) / float(times[-1] - times[0])
    enough = int(keep.sum()) > 50
    lines = find_flicker(rows[keep].astype(np.float32), times[keep], rate) if enough else []
    best = max(lines, key=lambda line: line.peak_db, default=FlickerLine(0, 0, 0, 0, 0, 0))
    why = "; ".join(line.why for line in lines if line.why)
    if best.peak_db < _FOUND_DB:
        why = f"no flicker stands out{'; ' + why if why else ''}"
    turned = f"; the picture is turned by {stream.rotation} degrees" if stream.rotation else ""
    half = 0.5 / float(times[-1] - times[0])
    return Flicker(
        best.peak_db >= _FOUND_DB, "" if best.peak_db >= _FOUND_DB else why, best.nominal_hz,
        Quantity(best.alias_hz, "Hz", note=f"at {rate:.3f} frames a second"),
        Quantity(best.frequency_hz, "Hz", best.frequency_hz - half, best.frequency_hz + half,
                 "of the lamp, by the frame stamps; interval: the length's resolution"),
        Quantity(best.contrast, "", note="amplitude over mean light"),
        Quantity(best.cycles, "bands a frame", best.cycles - 0.25, best.cycles + 0.25,
                 "positive: down the lines as read" + turned),
        Quantity(best.peak_db, "dB", note="over the median of other frequencies"),
        span,
    )  # fmt: skip
