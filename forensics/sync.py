"""Is the sound where the picture has it? Visible impacts and flashes held against sound onsets.

"Not testable" is the usual answer: it takes impacts that are both seen and heard, several of them.
The pictures are measured once for all (`video.measure_frames`).
"""

from __future__ import annotations

import itertools
from fractions import Fraction

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
    RATE_HZ,
    LagRun,
    find_lags,
    measure_onsets,
    pick_impacts,
    place_change,
)
from forensics.video import measure_frames

__all__ = ["find_sync_breaks"]

_SPEED_M_S = 343.0


@method("sound-against-picture", version="2")
def find_sync_breaks(clip: Clip, *, progress: Progress | None = None) -> Examination:
    """Find where sound stops following the visible impacts, and by how much it then lies off.

    Frames with which motion or light sets in at once are held against the rises of the sound, in
    windows of 20 s. Where five and more agree on one lag, that lag is measured; two stretches with
    different lags are a break: sound or picture was changed alone.

    Parameters
    ----------
    clip
        An opened clip with sound and pictures.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Discontinuity` of kind "sync-break". `measures`: ``lag`` of the longest stretch, and the
        distance that sound would need for it at 343 m/s; ``testable``: the share of the clip over
        which a lag was measured. ``coverage.not_testable`` lists where none was. Usually that is
        everywhere: then the outcome is *not applicable*, "not testable here".

    Raises
    ------
    StreamMissing, SignalTooShort
        Recorded as *not applicable*.

    When it errs
    ------------
    Calls it wrongly when something rhythmic is seen and heard at changing times without being one
    and the same, or when the scene moves from near to far: 100 m are 0.29 s (misinterpretation;
    never more than inconclusive).
    Misses it when fewer than five impacts are both seen and heard on each side, when the shift is
    under 70 ms or one and a half frames, and when all of the sound is shifted alike: a constant
    lag is a fact, not a break (incompleteness). Says nothing about footage without things that
    strike and are heard: in 12 real films of 199 s no stretch could be tested.
    """
    import numpy as np

    measured = measure_frames(clip, progress=progress)
    parts, start = [], Fraction(0)
    for number, sound in enumerate(iter_sound(clip, rate_hz=RATE_HZ, mono=True, chunk_s=60.0)):
        start = sound.start if number == 0 else start
        parts.append(measure_onsets(sound.mono))
    onsets, begin = np.concatenate(parts), float(start)
    del parts
    if len(measured) < 12 or not len(onsets):
        raise SignalTooShort("too few frames or too little sound", need_s=1.0, have_s=0.0)
    times = measured.seconds
    frame_s = float(np.median(np.diff(times)))
    impacts = pick_impacts(measured.columns["peak"], measured.columns["level"], times)
    runs = find_lags(onsets, begin, impacts, frame_s=frame_s)
    whole = Span(_exact(times[0]), _exact(times[-1]))
    said = []
    for one, two in itertools.pairwise(runs):
        low, high = place_change(onsets, begin, impacts, one, two)
        said.append(_break(one, two, Span(_exact(low), _exact(max(low, high))), frame_s))
    measures: dict[str, Quantity] = {
        "visible_impacts": Quantity.exact(len(impacts), "", "frames with which something sets in")
    }
    if runs:
        longest = max(runs, key=lambda r: r.end_s - r.start_s)
        error = max(frame_s, longest.spread_s)
        measures["lag"] = Quantity(
            longest.lag_s,
            "s",
            longest.lag_s - error,
            longest.lag_s + error,
            "positive: sound comes after the picture; the interval is a frame on each side",
        )
        if longest.lag_s > error:
            measures["distance"] = Quantity(
                longest.lag_s * _SPEED_M_S, "m", (longest.lag_s - error) * _SPEED_M_S,
                (longest.lag_s + error) * _SPEED_M_S, "if the lag is the way of the sound, 343 m/s",
            )  # fmt: skip
    blind = _gaps([(r.start_s, r.end_s) for r in runs], float(times[0]), float(times[-1]))
    share = sum(r.end_s - r.start_s for r in runs) / max(1e-9, float(times[-1] - times[0]))
    measures["testable"] = Quantity.exact(
        round(min(1.0, share), 3), "", "share of the clip over which a lag was measured"
    )
    reason = f"{len(runs)} stretches with a measurable lag, {len(impacts)} visible impacts"
    coverage = Coverage(
        whole, len(measured), "frames", measured.decode_failures,
        tuple(NotTestable(Span(_exact(a), _exact(b)), "too few impacts both seen and heard")
              for a, b in blind),
    )  # fmt: skip
    if not runs:
        return conclude(
            (), coverage=coverage, outcome="not-applicable", measures=measures,
            reason=f"not testable here: {len(impacts)} visible impacts, and nowhere do five of "
            "them within 20 s agree with the rises of sound on one lag",
        )  # fmt: skip
    return conclude(said, coverage=coverage, reason=reason, measures=measures)


def _exact(time_s: float) -> Fraction:
    return Fraction(round(float(time_s) * 1000), 1000)


def _break(one: LagRun, two: LagRun, span: Span, frame_s: float) -> Observation:
    step = two.lag_s - one.lag_s
    error = 2 * frame_s
    why = (
        Explanation(1, "retimed", False, "sound or picture alone was cut, inserted or shifted"),
        Explanation(2, "moved", True, "the impacts came from farther off or nearer: 2.9 ms/m"),
        Explanation(3, "recorder", True, "the recorder lost frames or sound, or changed its rate"),
    )
    return Observation(
        Discontinuity("audio", "sync-break", "inconclusive", (), why), span,
        round(min(0.45, 1 - 2.0 ** (-min(one.z, two.z) / 12)), 4),
        measures={
            "step": Quantity(step, "s", step - error, step + error, "positive: sound comes later"),
            "lag_before": Quantity(one.lag_s, "s", one.lag_s - frame_s, one.lag_s + frame_s),
            "lag_after": Quantity(two.lag_s, "s", two.lag_s - frame_s, two.lag_s + frame_s),
            "impacts": Quantity.exact(one.impacts + two.impacts, "", "on both sides"),
        },
        note=f"from here on sound lies {1000 * step:+.0f} ms off where it lay before",
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
