"""Silent clips on the incident clock, and time across a removed stretch."""

from __future__ import annotations

from fractions import Fraction

import pytest
from making import moving_square, write_video
from msgspec import structs

from forensics.clip import open_clip
from forensics.incident_claims import judge
from forensics.incident_silent import Break, breaks_of, on_clock, place_silent
from forensics.incident_timeline import build_timeline
from forensics.model import (
    Alignment,
    Claim,
    Clip,
    Count,
    Coverage,
    Discontinuity,
    Examination,
    Finding,
    Flash,
    Observation,
    Origin,
    Placement,
    Quantity,
    Span,
    Uncalibrated,
    Unplaced,
)

FLASHES = (4.0, 6.62, 7.55, 11.2)


def _examined(name: str, clip: Clip, seen: list[Observation]) -> Examination:
    """An examination as the ledger would hold it, without running the method of that name."""
    origin = Origin(name, "1", (clip.digest,), {}, {})
    unknown = Uncalibrated("made for a test")
    findings = tuple(Finding(o, origin, unknown) for o in seen)
    return Examination(origin, "found", findings, Coverage(Span.of(0, 20), 500))


def see_flashes(clip: Clip, *, times: tuple[float, ...]) -> Examination:
    """Flashes at these clip times."""
    rise = Quantity.exact(90, "levels")
    exact = [Fraction(round(t * 1000), 1000) for t in times]
    seen = [Observation(Flash(t, None, rise), Span(t, t), 1.0) for t in exact]
    return _examined("sound-events", clip, seen)


def say_cut(clip: Clip, *, at_s: float, removed: Quantity | None) -> Examination:
    """A deletion at this clip time."""
    what = Discontinuity("frame", "deletion", "inconsistent", removed=removed)
    return _examined("edits", clip, [Observation(what, Span.of(at_s - 0.04, at_s), 1.0)])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clip]:
    home = tmp_path_factory.mktemp("silent")
    frames = moving_square(500, width=64, height=48)
    return {
        name: open_clip(write_video(home / f"{name}.mp4", frames[k:]), metadata=False)
        for k, name in enumerate(("phone", "camera"))
    }


def _alignment(clips: dict[str, Clip]) -> Alignment:
    phone, camera = clips["phone"].digest, clips["camera"].digest
    zero = Quantity.exact(0, "s", "the reference")
    place = Placement(phone, zero, Quantity.exact(0, "ppm", "the reference"), "reference", ())
    return Alignment(
        Origin("audio-align", "1", (phone, camera), {}, {}), phone, (place,), (), ((phone,),),
        (Unplaced(camera, "not-applicable", "no sound"),),
    )  # fmt: skip


def test_shared_flashes_place_a_silent_camera(clips: dict[str, Clip]) -> None:
    seen = see_flashes(clips["phone"], times=FLASHES)
    camera = see_flashes(clips["camera"], times=tuple(t - 1.5 for t in FLASHES))
    placed = place_silent(_alignment(clips), clips, [seen, camera])
    place = placed.placement(clips["camera"])
    assert place is not None and place.basis == "flash" and not placed.unplaced
    assert place.offset.low is not None and place.offset.high is not None
    assert place.offset.low <= 1.5 <= place.offset.high


def test_other_flashes_place_nothing(clips: dict[str, Clip]) -> None:
    seen = see_flashes(clips["phone"], times=FLASHES)
    camera = see_flashes(clips["camera"], times=(1.0, 3.3, 9.1, 9.9))
    placed = place_silent(_alignment(clips), clips, [seen, camera])
    assert placed.placement(clips["camera"]) is None
    assert placed.unplaced[0].outcome == "not-applicable"


@pytest.mark.parametrize("known", [True, False])
def test_time_across_a_removed_stretch(clips: dict[str, Clip], known: bool) -> None:
    removed = Quantity(2.0, "s", 1.96, 2.04) if known else None
    cut = say_cut(clips["camera"], at_s=2.0, removed=removed)
    seen = see_flashes(clips["phone"], times=FLASHES)
    # In the edited file everything after the cut comes 2 s early.
    camera = see_flashes(clips["camera"], times=tuple(t - 1.5 + 0.5 for t in FLASHES))
    exams = [seen, camera, cut]
    placed = place_silent(_alignment(clips), clips, exams)
    digest = clips["camera"].digest
    gaps = breaks_of(exams, digest)
    assert [g.time_s for g in gaps] == [2.0]
    after = on_clock(placed, digest, Span.of(10, 10), gaps)
    assert after is not None and after.start == pytest.approx(11.0, abs=0.06)
    before = on_clock(placed, digest, Span.of(1, 1), gaps)
    if known:
        assert before is not None and before.start == pytest.approx(0.0, abs=0.06)
        assert before.uncertainty > after.uncertainty
    else:
        assert before is None, "beyond a break of unknown length there is no incident time"


def test_an_unbroken_clip_keeps_one_offset(clips: dict[str, Clip]) -> None:
    alignment = _alignment(clips)
    digest = clips["phone"].digest
    plain = alignment.on_incident_clock(digest, Span.of(3, 4))
    assert on_clock(alignment, digest, Span.of(3, 4), ()) == plain


def test_clips_of_two_events_share_no_clock(clips: dict[str, Clip]) -> None:
    alignment = _alignment(clips)
    zero = Quantity.exact(0, "s", "the reference")
    apart = Placement(clips["camera"].digest, zero, zero, "reference", (), component=1)
    both = structs.replace(alignment, placements=(*alignment.placements, apart), unplaced=())
    span = Span.of(3, 4)
    assert both.on_incident_clock(clips["phone"], span) is not None
    assert both.on_incident_clock(clips["camera"], span) is None
    assert both.on_component_clock(clips["camera"], span) is not None


@pytest.mark.parametrize("aligned", [True, False])
def test_an_unplaced_clip_answers_only_for_itself(clips: dict[str, Clip], aligned: bool) -> None:
    alignment = _alignment(clips) if aligned else None
    exams = [
        see_flashes(clips["phone"], times=FLASHES[:1]),
        see_flashes(clips["camera"], times=(1.0, 2.0, 4.0)),
        say_cut(clips["camera"], at_s=9.0, removed=None),
    ]
    line = build_timeline(exams, alignment, clips)
    assert set(line.unplaced) == ({"camera"} if aligned else {"camera", "phone"})
    assert len(line.select("flash")) == (1 if aligned else 0), "two clocks are never mixed"

    def outcome(expects: Count) -> str:
        return judge(Claim("c", "text", "source", expects), line).outcome

    assert outcome(Count("flash", 3, clip="camera")) == "supported"
    assert outcome(Count("discontinuity", 0, clip="camera")) == "contradicted"


@pytest.mark.parametrize("known", [True, False])
def test_a_cut_clip_placed_nobody_knows_where_is_not_placed_exactly(
    clips: dict[str, Clip], known: bool
) -> None:
    alignment = _alignment(clips)
    digest = clips["phone"].digest
    gap = Break(3.5, Quantity(2.0, "s", 1.96, 2.04) if known else None)
    for span in (Span.of(1, 2), Span.of(5, 6)):
        plain = alignment.on_incident_clock(digest, span)
        there = on_clock(alignment, digest, span, (gap,))
        assert plain is not None
        if known:
            assert there is not None and there.uncertainty >= plain.uncertainty + 2.0
        else:
            assert there is None
