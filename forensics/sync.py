"""Is the sound where the picture has it? Motion held against the rises of the sound.

"Not testable" is the usual answer: it takes something that moves and is heard, for long enough.
The pictures are measured once for all (`video.measure_frames`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from forensics.errors import SignalTooShort
from forensics.model import (
    Clip,
    Coverage,
    Discontinuity,
    Examination,
    Explanation,
    NotTestable,
    Observation,
    Progress,
    Quantity,
    Span,
)
from forensics.provenance import conclude, method
from forensics.scan import iter_sound
from forensics.sync_lags import (
    LEAST_STEP_S,
    RATE_HZ,
    REACH_S,
    Lag,
    Seen,
    Step,
    find_lags,
    find_steps,
    measure_onsets,
)
from forensics.video import measure_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["find_sync_breaks"]

_SPEED_M_S = 343.0
#: Half the width of a lag's interval, of a step's, and windows whose lags are one and the same.
_LAG_ERROR_S, _STEP_ERROR_S, _SAME_LAG_S = 0.2, 0.1, 0.2


@method("sound-against-picture", version="3")
def find_sync_breaks(clip: Clip, *, progress: Progress | None = None) -> Examination:
    """Find where sound stops going with what is seen to move, and by how much it then lies off.

    In windows of 20 and 40 s (shorter where the clip is) a regression learns how motion that sets
    in and stops goes with the rises of the sound, for every lag within 2 s, and is asked about
    what it has not seen. A lag is measured where it agrees as chance does once in 200 windows; the
    clip's own sound at wrong lags says what chance does. Two windows with different lags, each of
    which tells the other's by what it learned, are a break: sound or picture was changed alone.

    Parameters
    ----------
    clip
        An opened clip with sound and pictures.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Discontinuity` of kind "sync-break". `measures`: ``lag``, the one on which most windows
        agree, and the distance that sound would need for it at 343 m/s; ``testable``: the share of
        the clip over which a lag was measured. ``coverage.not_testable`` lists where none was.
        Usually that is everywhere: then the outcome is *not applicable*, "not testable here".

    Raises
    ------
    StreamMissing, SignalTooShort
        Recorded as *not applicable*.

    When it errs
    ------------
    Calls it wrongly when something rhythmic is seen and heard at changing times without being one
    and the same, when the beat of music makes another lag fit as well, or when the scene moves
    from near to far: 100 m are 0.29 s (misinterpretation; never more than inconclusive).
    On a real pianist's film the size of a step was right in 11 of 11, its place up to 18 s beside
    in 4: take the span for about where (inaccuracy).
    Misses it when less than 20 s on a side show what is heard, when the camera moves or the shot
    changes, when the shift is under 0.2 s or over 2 s or a beat of the sound's own, and when all of
    the sound is shifted alike:
    a constant lag is a measure, not a break (incompleteness). Where a stranger's sound was put in
    the place of the clip's own, nothing agrees: that is "not testable", never a finding. Says
    nothing about footage in which nothing that moves is heard: most real films.
    """
    measured = measure_frames(clip, progress=progress)
    onsets, begin = _onsets(clip)
    if len(measured) < 12 or not len(onsets):
        raise SignalTooShort("too few frames or too little sound", need_s=1.0, have_s=0.0)
    times = measured.seconds
    seen = Seen(measured.planes["cells"], measured.columns["level"], times)
    lags = find_lags(seen, onsets, begin)
    said = [_break(step) for step in find_steps(seen, onsets, begin, lags)]
    measures: dict[str, Quantity] = {}
    if lags:
        lag = _common(lags)
        measures["lag"] = Quantity(
            lag, "s", lag - _LAG_ERROR_S, lag + _LAG_ERROR_S,
            "positive: sound comes after the picture; where it has a beat, it may lie a beat off",
        )  # fmt: skip
        if lag > _LAG_ERROR_S:
            measures["distance"] = Quantity(
                lag * _SPEED_M_S, "m", (lag - _LAG_ERROR_S) * _SPEED_M_S,
                (lag + _LAG_ERROR_S) * _SPEED_M_S, "if the lag is the way of the sound, 343 m/s",
            )  # fmt: skip
    low, high = float(times[0]), float(times[-1])
    blind = _gaps([(w.start_s, w.end_s) for w in lags], low, high)
    share = 1 - sum(b - a for a, b in blind) / max(1e-9, high - low)
    measures["testable"] = Quantity.exact(
        round(min(1.0, max(0.0, share)), 3), "", "share of the clip over which a lag was measured"
    )
    coverage = Coverage(
        Span(_exact(low), _exact(high)), len(measured), "frames", measured.decode_failures,
        tuple(NotTestable(Span(_exact(a), _exact(b)), "nothing seen to move agrees with the sound")
              for a, b in blind),
    )  # fmt: skip
    if not lags:
        return conclude(
            (), coverage=coverage, outcome="not-applicable", measures=measures,
            reason="not testable here: nowhere does what is seen to move agree with the rises of "
            f"the sound at any lag within {REACH_S:g} s; it takes 20 s and more of something that "
            "is both seen and heard",
        )  # fmt: skip
    reason = (
        f"sound goes with the pictures in {len(lags)} windows, {share:.0%} of the clip; steps "
        f"under {LEAST_STEP_S:.2g} s are not looked for"
    )
    if measures["lag"].value < -_LAG_ERROR_S:
        reason += (
            "; sound comes before the picture, which no distance explains: a recorder or an edit "
            "set it off"
        )
    return conclude(said, coverage=coverage, reason=reason, measures=measures)


def _onsets(clip: Clip) -> tuple[NDArray[np.float64], float]:
    """Rises of the whole sound on one raster, and the time of the first."""
    import numpy as np

    hop = RATE_HZ // 100
    parts: list[NDArray[np.float64]] = []
    start = Fraction(0)
    held = np.zeros(0, np.float32)
    for number, sound in enumerate(iter_sound(clip, rate_hz=RATE_HZ, mono=True, chunk_s=60.0)):
        start = sound.start if number == 0 else start
        held = np.concatenate([held, sound.mono])
        # Whole steps only: each piece would else add one, and the raster would slip.
        steps = len(held) // hop
        parts.append(measure_onsets(held[: steps * hop])[:steps])
        held = held[steps * hop :]
    return np.concatenate([np.zeros(0), *parts]), float(start)


def _common(lags: list[Lag]) -> float:
    """The lag on which most windows agree: the median of the heaviest group."""
    import numpy as np

    values = np.array([w.lag_s for w in lags])
    weights = np.array([-np.log(max(w.chance, 1e-6)) for w in lags])
    near = np.abs(values[:, None] - values[None, :]) <= _SAME_LAG_S
    return float(np.median(values[near[int(np.argmax(near @ weights))]]))


def _exact(time_s: float) -> Fraction:
    return Fraction(round(float(time_s) * 1000), 1000)


def _break(step: Step) -> Observation:
    one, two = step.one, step.two
    why = (
        Explanation(1, "retimed", False, "sound or picture alone was cut, inserted or shifted"),
        Explanation(2, "moved", True, "what is heard came from farther off or nearer: 2.9 ms/m"),
        Explanation(3, "recorder", True, "the recorder lost frames or sound, or changed its rate"),
    )
    return Observation(
        Discontinuity("audio", "sync-break", "inconclusive", (), why),
        Span(_exact(step.low_s), _exact(max(step.low_s, step.high_s))),
        0.4,
        measures={
            "step": Quantity(
                step.step_s, "s", step.step_s - _STEP_ERROR_S, step.step_s + _STEP_ERROR_S,
                "positive: sound comes later",
            ),
            "lag_before": Quantity(
                one.lag_s, "s", one.lag_s - _LAG_ERROR_S, one.lag_s + _LAG_ERROR_S
            ),
            "lag_after": Quantity(
                two.lag_s, "s", two.lag_s - _LAG_ERROR_S, two.lag_s + _LAG_ERROR_S
            ),
            "chance": Quantity.exact(
                max(one.chance, two.chance), "", "that a wrong lag agrees as well, weaker window"
            ),
        },
        note=f"from here on sound lies {1000 * step.step_s:+.0f} ms off where it lay before",
        stratum="sync break",
    )  # fmt: skip


def _gaps(
    known: list[tuple[float, float]], start_s: float, end_s: float
) -> list[tuple[float, float]]:
    gaps, reached = [], start_s
    for low, high in sorted(known):
        if low - reached > 0.5:
            gaps.append((reached, low))
        reached = max(reached, high)
    return [*gaps, (reached, end_s)] if end_s - reached > 0.5 else gaps
