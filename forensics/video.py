"""What the pictures of one clip say: keyframes, cuts, and places where they do not continue.

One decode answers all three questions (`video_measure`); the judging is in pure functions:
`video_cuts` for produced video, `video_spikes`, `video_repeats` and `video_judge` for evidence,
`video_testable` for where looking was in vain, `video_keyframes` for what an investigator picks.
"""

from __future__ import annotations

import msgspec

from forensics.errors import SignalTooShort
from forensics.model import (
    Clip,
    Cut,
    Examination,
    NotTestable,
    Observation,
    Progress,
    Quantity,
)
from forensics.provenance import conclude, method
from forensics.scan import Measurements, one_thread
from forensics.video_activity import find_activity
from forensics.video_cadence import find_cadence, measure_distinct
from forensics.video_cuts import find_shots
from forensics.video_judge import judge_cadence, judge_clip, observe
from forensics.video_keyframes import find_keyframes
from forensics.video_measure import frame_rate_hz, measure_frames
from forensics.video_repaired import map_repaired
from forensics.video_spikes import shipped_model
from forensics.video_testable import INSIDE, map_not_testable, map_repeats, map_standstills

__all__ = [
    "find_activity",
    "find_cuts",
    "find_discontinuities",
    "find_keyframes",
    "measure_frames",
]


def _rate(measured: Measurements) -> float:
    return frame_rate_hz(measured.seconds, measured.stream.frame_rate)


def _restarts(measured: Measurements) -> str:
    frames = ", ".join(str(ordinal) for ordinal, _ in measured.restarts[:8])
    return f"the stamps start again at frame {frames}: from there on times are counted on"


def _rate_note(measured: Measurements) -> str:
    if 2 * measured.unstamped > len(measured):
        return "assumed: the file does not say when its pictures are shown, every time here follows"
    if measured.restarts:
        return "from the median step; " + _restarts(measured)
    return "from the median step of the stamps"


@method(
    "video-cuts", version="3",
    references=("PySceneDetect (idea of a ratio to the neighbouring steps)",),
)  # fmt: skip
def find_cuts(clip: Clip, *, progress: Progress | None = None) -> Examination:
    """Find the cuts, fades and dissolves of a produced video, to the frame.

    A hard cut is a step that stands out from everything within 0.4 s and leads to another view; a
    dissolve is a stretch in which every picture is a mixture of what is before and after; a fade
    is a dissolve to or from a flat picture.

    Parameters
    ----------
    clip
        An opened clip.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Cut` observations with the new shot's first frame (ordinal and exact time); the span of a
        fade or dissolve covers all of it. `measures`: ``frame_rate`` in Hz.

    Raises
    ------
    ClipUnreadable, ClipRefused, ClipChanged
        Recorded as *failed*. A clip without pictures is *not applicable*.

    When it errs
    ------------
    Calls it wrongly when a light is switched, a vehicle fills the view at once, or a title changes
    over a still background (ASTM E3016: inaccuracy, existence). Misses it when two shots look
    alike in a 40-pixel picture, when shots are shorter than 0.4 s, in wipes, and in dissolves
    between moving shots (incompleteness). Says nothing about edits inside one view: for these
    see `find_discontinuities`.
    """
    measured = measure_frames(clip, progress=progress)
    columns, rate = measured.columns, _rate(measured)
    seen = []
    with one_thread():
        shots = find_shots(measured.planes["thumbs"], columns["level"], columns["chroma"], rate)
    for found in shots:
        first = min(found.first, len(measured) - 1)
        said = Cut(kind=found.kind, ordinal=first, pts=measured.time(first))
        span = measured.span(max(0, found.start), min(found.end, len(measured) - 1))
        seen.append(Observation(said, span, round(found.score, 4), stratum=found.kind))
    return conclude(
        seen, coverage=measured.coverage(),
        measures={"frame_rate": Quantity(rate, "Hz", note=_rate_note(measured))},
    )  # fmt: skip


@method(
    "video-discontinuities", version="6",
    references=(
        "Koenig and Lacey 2012 (identical frames)", "Feng et al. 2014 (frame deletion)",
    ),
)  # fmt: skip
def find_discontinuities(
    clip: Clip, *, least_score: float | None = None, removed_s: float = 2.0,
    progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Find where the pictures of a continuous view do not continue: removed, copied, frozen.

    Steps are held against every other step within a second, in the picture, in its cells, against
    what motion predicts and against who stood in the view before and after; what light, a fresh key
    picture (of this or an older encoding), a knock, somebody at the edge or a conversion that
    leaves out a picture evenly explains is no step; nor, unless it is plain, is one beside which
    more moves within three frames. Copied stretches are found by the seam at which pictures begin
    to agree with others, and by their motion at a lag; freezes by a standstill that begins and ends
    at once inside a moving view, or within the four frames that B-frames blend. Where a conversion
    of the frame rate repeats pictures evenly, the distinct pictures are measured by themselves (a
    second decode) and the repeats are one finding. Stretches where a deletion could not have been
    seen, or a copy could not be told because the same motion comes in three places or more, and
    standstills of which it cannot be told whether the picture was held, are listed in
    ``coverage.not_testable``.

    Parameters
    ----------
    clip
        An opened clip.
    least_score
        Leave out bare steps below this score (0 to 1); by default the threshold that allowed
        less than one alarm an hour when the model was fitted, see ``measures``.
    removed_s
        Length of the deletion the not-testable map imagines, in seconds.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Discontinuity` observations of level ``frame``: deletion, splice, cover-up, loop, reorder,
        freeze, doubled-frames, inserted-black. A bare step spans the two pictures it lies between.
        `measures`: ``testable`` (fraction of the time in which a deletion could have been seen).

    Raises
    ------
    ClipUnreadable, ClipRefused, ClipChanged
        Recorded as *failed*. No pictures, or fewer than 12 frames: *not applicable*.

    When it errs
    ------------
    Calls it wrongly when a recorder drops frames or stalls, an insect crosses the lens, a coarse
    re-encoding leaps at its key pictures while something moves, something large comes in or crosses
    the view within one frame interval, or a caption appears, the focus jumps or a page of a
    recorded screen turns from one frame to the next: these are real steps of another cause (ASTM
    E3016: misinterpretation). Motion that stands in three places without a seam is a remark of its
    own (score 0.4 at most), as a machine's would be. Where the decoder filled in what it could not
    read, up to the next key picture, whatever is found is a remark: damage looks like any edit.
    Misses a deletion when nothing moves at that place (see the not-testable map), when few frames
    are removed, in the first and last six frames of a file, at a regular key picture, at the edge
    of the view alone, behind constant fast motion, within three frames of a larger natural step,
    below 5 pictures a second (there a bare step is a remark without an error rate), or where a
    conversion of the rate left pictures out; a freeze that ends as gently as a view fills again;
    whatever is over within 0.6 seconds, which it takes for a flash or an insect; a copy when less
    than 0.3 s of it moves (0.8 s where no step shows at its ends), or when it was mirrored or
    slowed down; a joint under a dissolve or under pictures made up from both sides, frames taken
    out evenly and a stretch re-timed by blending (incompleteness). Says nothing about edits inside
    a picture: a part of it that is replaced by an earlier or a clean view, frozen, blurred, painted
    over or filled in leaves every frame in its place, and most of a fixed view stands still to the
    last grey level anyway (in 29 published views noise lived in an eighth of the view, and in 2 to
    4 % once they were encoded again). Nor does it say who cut or why. The
    map of what is testable is an estimate too: of 162 deletions of 2 s made where it says that one
    could be seen 140 were found, of 164 of 0.5 s 119; 283 of 380 missed edits of all kinds lay
    where it does not say so.
    """
    measured = measure_frames(clip, progress=progress)
    rate = _rate(measured)
    if len(measured) < 12:
        raise SignalTooShort(
            f"{len(measured)} frames are too few to say what is usual", need_s=12 / rate,
            have_s=len(measured) / rate,
        )  # fmt: skip
    cadence = find_cadence(measured.columns["diff"], rate)
    distinct = measured
    if cadence is not None:
        distinct = measure_distinct(clip, measured, cadence, progress=progress)
        rate = cadence.rate_hz(rate)
    with one_thread():
        seen, no_copies, no_freezes = judge_clip(distinct, rate, least_score=least_score)
    if cadence is not None:
        seen = judge_cadence(seen, cadence.shown)
    lost = map_not_testable(distinct, rate, removed_s=removed_s)
    covered = measured.coverage()
    copies = map_repeats(distinct, no_copies)
    freezes = map_standstills(distinct, no_freezes, lost)
    inside = (NotTestable(covered.span, INSIDE),) if covered.span is not None else ()
    coverage = msgspec.structs.replace(
        covered, not_testable=(*lost, *copies, *freezes, *map_repaired(measured), *inside)
    )
    whole = float(covered.span.length) if covered.span else 0.0
    blind = sum(float(part.span.length) for part in lost)
    share = max(0.0, 1 - blind / whole) if whole else 0.0
    reasons = [_restarts(measured)] if measured.restarts else []
    if not seen and share < 0.995:
        reasons.append(
            f"a deletion of {removed_s:g} s could have been seen in {share:.0%} of the time"
        )
    return conclude(
        [observe(one, measured) for one in seen], coverage=coverage, reason="; ".join(reasons),
        measures={
            "testable": Quantity(round(share, 4), "of the time", note="imagined deletions on the "
                                 "clip's own pictures; measure_power makes real ones"),
            "frame_rate": Quantity(
                round(rate, 3), "Hz", note=_rate_note(measured)
                if cadence is None else f"of distinct pictures; {cadence.repeated} frames repeat "
                "the one before, evenly: converted from about this rate, and judged without them"
            ),
            "least_score": Quantity.exact(
                shipped_model().least_score if least_score is None else least_score, "",
                note=f"threshold of bare steps; model fitted {shipped_model().fitted}",
            ),
        },
    )  # fmt: skip
