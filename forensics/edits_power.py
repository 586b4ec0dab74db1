"""The control experiment: would we have seen it, had it been done to *this* clip?"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from forensics.calibration import item_rate
from forensics.clip import open_clip
from forensics.edits_make import EDITS, PROFILES, Edit, Made, Profile, plan_edits, write_clip
from forensics.errors import SignalTooShort
from forensics.model import Clip, Coverage, Discontinuity, Examination, Progress, Quantity
from forensics.provenance import conclude, method
from forensics.scan import Measurements, one_thread, read_stretch, scan
from forensics.tools_temporary import temporary_folder
from forensics.video import find_discontinuities
from forensics.video_cadence import find_cadence
from forensics.video_judge import Seen, is_remark, judge_frames
from forensics.video_measure import FrameRows, frame_rate_hz, measure_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["boundaries_found", "edit_found", "measure_power", "untouched_stretch"]

#: Bytes of decoded frames held at once.
FRAME_BYTES = 192 << 20
#: Rounds of edits at other places, for stretches too short to hold many.
ROUNDS = 3
#: An edit counts as found when something is reported within so many frames of a boundary of it.
TOLERANCE = 2


def boundaries_found(edit: Edit, seen: list[Seen], tolerance: int = TOLERANCE) -> int:
    """How many of an edit's boundaries lie within `tolerance` frames of something reported."""
    marks = [
        b for one in seen if not is_remark(one)
        for b in (*one.boundaries, one.first, one.last)
    ]  # fmt: skip
    return sum(any(abs(b - m) <= tolerance for m in marks) for b in edit.boundaries)


def edit_found(edit: Edit, seen: list[Seen], tolerance: int = TOLERANCE) -> bool:
    """Whether an edit was found: any boundary of it, or a report of its kind that overlaps it."""
    if boundaries_found(edit, seen, tolerance):
        return True
    return any(
        one.kind == edit.kind and min(one.last, edit.last) > max(one.first, edit.first)
        for one in seen if not is_remark(one)
    )


def untouched_stretch(
    measured: Measurements, findings: Examination, most: int
) -> tuple[int, int]:
    """The longest run of frames (first, last left out) in which nothing was found."""
    import numpy as np

    times = measured.seconds
    clean = np.ones(len(times), dtype=bool)
    for seen in findings.observations:
        said = seen.what
        if seen.span is None or (isinstance(said, Discontinuity) and said.kind == "doubled-frames"):
            continue
        clean &= (times < float(seen.span.start) - 1) | (times > float(seen.span.end) + 1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], clean.astype(np.int8), [0]])))
    runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    low, high = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
    return low, min(high, low + most)


@method("edits-power", version="1")
def measure_power(
    clip: Clip, *, kinds: tuple[Made, ...] = ("deletion", "cover-up", "loop", "freeze"),
    profile: Profile = "crf23", length_s: float = 2.0, most: int = 12,
    least_score: float | None = None,
    seed: int = 0, progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Would an edit of this clip have been found? Make some on its own frames, and look.

    On the longest stretch in which nothing was found, edits of each kind are made at random
    places; the result is encoded again and examined by the same detectors. What fraction is found
    again is the power of the frame level on *this* view, in this light, with this motion.

    Parameters
    ----------
    clip
        An opened clip. The made clips live in a temporary folder and are deleted.
    kinds
        Edits to make; see `forensics.edits_make.EDITS` (``splice`` needs a second recording).
    profile
        How the result is encoded: ``crf23``, ``platform`` (3/4 size, crf 28, B-frames), ``mpeg4``.
    length_s
        Seconds removed, copied, frozen or inserted.
    most
        At most so many edits of each kind.
    least_score
        As in `video.find_discontinuities`.
    seed
        Of the random places.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        No findings; `measures`: for each kind the fraction found within 2 frames, with its 95 %
        Clopper-Pearson interval, and ``alarms`` on the same stretch encoded again without edits.

    Raises
    ------
    ValueError
        An unknown kind.
    SignalTooShort
        Recorded as *not applicable*: no untouched stretch is long enough for one edit.

    When it errs
    ------------
    The edits made are clean cuts at random places; someone who chooses the place, or hides the cut
    by a dissolve, is found less often (ASTM E3016: inaccuracy, association). Places in one clip
    are not independent, so the interval is too narrow for other clips, and the clip is encoded
    once more than the questioned one was, which lowers the figure. If the clip was already edited
    in a way nobody saw, the stretch is not untouched (incompleteness). Says nothing about levels
    other than the pictures.
    """
    unknown = sorted(set(kinds) - set(EDITS)) + ([profile] if profile not in PROFILES else [])
    if unknown or "splice" in kinds:
        raise ValueError(f"cannot be made here: {', '.join(unknown) or 'splice'}")
    measured = measure_frames(clip, progress=progress)
    rate = frame_rate_hz(measured.seconds, measured.stream.frame_rate)
    findings = find_discontinuities(clip, least_score=least_score)
    stream = measured.stream
    width = min(stream.width, 640)
    each = max(1, width * round(stream.height * width / stream.width) * 3 // 2)
    first, last = untouched_stretch(measured, findings, FRAME_BYTES // each)
    need = 2 * length_s + 6.0
    if (last - first) / rate < need:
        raise SignalTooShort(
            "no untouched stretch is long enough to make an edit in", need_s=need,
            have_s=(last - first) / rate, hint="try a smaller length_s",
        )  # fmt: skip
    frames, _ = read_stretch(clip, first, last, width_px=width)
    cadence = find_cadence(measured.columns["diff"], rate)
    if cadence is not None:
        # The experiment is about the pictures, as the examination is.
        frames = frames[cadence.shown[first:last]]
        rate = cadence.rate_hz(rate)
    measures: dict[str, Quantity] = {}
    jobs: list[Made] = ["untouched", *kinds]
    for number, kind in enumerate(jobs):
        if progress is not None:
            progress(number / len(jobs), f"making and finding: {kind}")
        found = made = 0
        # A short stretch holds few edits at a time: other places are tried in further rounds.
        for turn in range(1 if kind == "untouched" else ROUNDS):
            plan = plan_edits(
                kind, len(frames), rate, length_s=length_s, most=most - made, seed=seed + turn,
                gap_s=max(3.0, length_s + 1.0),
            )  # fmt: skip
            if made >= most or (kind != "untouched" and not plan.edits):
                break
            seen = _examine(frames, plan.order, rate, profile, least_score)
            found += sum(edit_found(edit, seen) for edit in plan.edits)
            made += len(plan.edits)
        if kind == "untouched":
            alarms = [s for s in seen if not is_remark(s)]
            minutes = len(frames) / rate / 60
            measures["alarms"] = Quantity.exact(
                len(alarms), "alarms", note=f"in {minutes:.1f} minutes encoded without an edit"
            )
            continue
        if not made:
            continue
        interval = item_rate(found, made)
        measures[f"found {kind}"] = Quantity(
            found / made, "of those made", interval.low, interval.high,
            note=f"{found} of {made}, {length_s:g} s, {profile}",
        )  # fmt: skip
    told = "; ".join(f"{k}: {q.note}" for k, q in measures.items() if k != "alarms")
    return conclude(
        (), outcome="found", measures=measures,
        coverage=Coverage(measured.span(first, last - 1), last - first),
        reason=f"control experiment: {told}",
    )  # fmt: skip


def _examine(
    frames: NDArray[np.uint8], order: NDArray[np.int64], rate: float, profile: Profile,
    least_score: float | None,
) -> list[Seen]:  # fmt: skip
    exact = Fraction(rate).limit_denominator(1001)
    with temporary_folder("power") as folder:
        path = write_clip(folder / "made.mp4", frames, order, exact, profile=profile)
        made = open_clip(path, metadata=False)
        measured = scan(made, [FrameRows(rate)])
    with one_thread():
        return judge_frames(measured, rate, least_score=least_score)
