"""Silent clips placed by flashes, and time across a removed stretch."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from making import moving_square, write_sound, write_video
from msgspec import structs
from test_audio import phone, street

from forensics import audio, audio_mute, continuity, incident_timeline
from forensics.clip import open_clip
from forensics.incident import Incident
from forensics.incident_breaks import breaks_of, on_clock
from forensics.incident_claims import judge
from forensics.incident_timeline import build_timeline
from forensics.model import (
    Alignment,
    Before,
    Claim,
    Clip,
    ClipBreak,
    Count,
    Coverage,
    Discontinuity,
    Examination,
    Finding,
    Flash,
    Interval,
    NotTestable,
    Observation,
    Origin,
    PairEvidence,
    Placement,
    Quantity,
    Span,
    Uncalibrated,
    Unplaced,
)
from forensics.provenance import question_of

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


Placer = Callable[..., Alignment]


@pytest.fixture
def place_by_flashes(
    clips: dict[str, Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Placer:
    """Aligns phone and camera by given flashes; an examiner ties the phone to a third clip."""
    frames = moving_square(50, width=64, height=48)
    other = open_clip(write_video(tmp_path / "other.mp4", frames), metadata=False)
    phone, camera = clips["phone"], clips["camera"]

    def place(*exams: Examination) -> Alignment:
        seen = {e.origin.inputs[0]: e for e in exams if e.origin.method == "sound-events"}
        seen[other.digest] = see_flashes(other, times=())
        monkeypatch.setattr(audio_mute, "find_flashes", lambda clip: seen[clip.digest])
        zero = Quantity(0.0, "s", -0.01, 0.01)
        tie = PairEvidence(phone.digest, other.digest, "examiner", zero, 1.0, True)
        return audio.align_clips(
            [phone, other, camera], ties=(tie,), silent_by=("flash",),
            breaks=breaks_of(exams, camera.digest),
        )  # fmt: skip

    return place


def _alignment(clips: dict[str, Clip]) -> Alignment:
    phone, camera = clips["phone"].digest, clips["camera"].digest
    zero = Quantity.exact(0, "s", "the reference")
    place = Placement(phone, zero, Quantity.exact(0, "ppm", "the reference"), "reference", ())
    return Alignment(
        Origin("audio-align", "1", (phone, camera), {}, {}), phone, (place,), (), ((phone,),),
        (Unplaced(camera, "not-applicable", "no sound"),),
    )  # fmt: skip


def test_shared_flashes_place_a_silent_camera(
    clips: dict[str, Clip], place_by_flashes: Placer
) -> None:
    seen = see_flashes(clips["phone"], times=FLASHES)
    camera = see_flashes(clips["camera"], times=tuple(t - 1.5 for t in FLASHES))
    placed = place_by_flashes(seen, camera)
    place = placed.placement(clips["camera"])
    assert place is not None and place.basis == "flash" and not placed.unplaced
    assert place.offset.low is not None and place.offset.high is not None
    assert place.offset.low <= 1.5 <= place.offset.high


def test_other_flashes_place_nothing(
    clips: dict[str, Clip], place_by_flashes: Placer
) -> None:
    seen = see_flashes(clips["phone"], times=FLASHES)
    camera = see_flashes(clips["camera"], times=(1.0, 3.3, 9.1, 9.9))
    placed = place_by_flashes(seen, camera)
    assert placed.placement(clips["camera"]) is None
    assert placed.unplaced[0].outcome == "not-applicable"


@pytest.mark.parametrize("known", [True, False])
def test_time_across_a_removed_stretch(
    clips: dict[str, Clip], known: bool, place_by_flashes: Placer
) -> None:
    removed = Quantity(2.0, "s", 1.96, 2.04) if known else None
    cut = say_cut(clips["camera"], at_s=2.0, removed=removed)
    seen = see_flashes(clips["phone"], times=FLASHES)
    # In the edited file everything after the cut comes 2 s early.
    camera = see_flashes(clips["camera"], times=tuple(t - 1.5 + 0.5 for t in FLASHES))
    exams = [seen, camera, cut]
    placed = place_by_flashes(*exams)
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


def test_a_clip_with_a_gap_is_placed_by_one_side_of_it(
    clips: dict[str, Clip], place_by_flashes: Placer
) -> None:
    """Two flashes before the gap and three after it fit at offsets 2 s apart."""
    story = (1.3, 2.9, 6.62, 7.55, 11.2)
    cut = say_cut(clips["camera"], at_s=3.0, removed=Quantity(2.0, "s", 1.96, 2.04))
    # The camera starts at 0.5; from 3.5 to 5.5 of the story is missing.
    camera = see_flashes(clips["camera"], times=(0.8, 2.4, 4.12, 5.05, 8.7))
    exams = [see_flashes(clips["phone"], times=story), camera, cut]
    placed = place_by_flashes(*exams)
    digest = clips["camera"].digest
    (tie,) = (p for p in placed.pairs if p.second == digest and p.accepted)
    assert tie.measures["anchor"].value == pytest.approx(5.05), "the side that shows more"
    gaps = breaks_of(exams, digest)
    for at, story_s in ((0.8, 1.3), (2.4, 2.9), (4.12, 6.62), (8.7, 11.2)):
        there = on_clock(placed, digest, Span.of(at, at), gaps)
        assert there is not None and there.start == pytest.approx(story_s, abs=0.05)


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


def test_one_bang_heard_by_two_sharp_clocks_is_one() -> None:
    # Cameras 50 m apart, tied to 10 ms by the examiner: the bang reaches the second 150 ms later.
    rows = [
        incident_timeline._Row(Interval(4.0, 4.0, 0.0), "a", "f1", 1.0),
        incident_timeline._Row(Interval(4.15, 4.15, 0.01), "b", "f2", 1.0),
    ]
    assert len(list(incident_timeline._merge("impulse", rows, []))) == 1
    assert len(list(incident_timeline._merge("flash", rows, []))) == 2, "light takes no time"


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
    gap = ClipBreak(digest, 3.5, Quantity(2.0, "s", 1.96, 2.04) if known else None)
    for span in (Span.of(1, 2), Span.of(5, 6)):
        plain = alignment.on_incident_clock(digest, span)
        there = on_clock(alignment, digest, span, (gap,))
        assert plain is not None
        if known:
            assert there is not None and there.uncertainty >= plain.uncertainty + 2.0
        else:
            assert there is None


def test_what_other_clips_show_is_merged_without_listening_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One second is missing from the sound of one clip, and only the others show it."""
    scene = street(60, 1)
    heard = {name: phone(scene, start, 40, 20 + start) for start, name in enumerate("abc", 2)}
    heard["b"] = np.concatenate([heard["b"][: 20 * 16000], heard["b"][21 * 16000 :]])
    plan = 'title = "A test"\n'
    for name, samples in heard.items():
        write_sound(tmp_path / f"{name}.wav", samples, rate=16000)
        plan += f'[[clips]]\nid = "{name}"\npath = "{name}.wav"\n'
    (tmp_path / "incident.toml").write_text(plan, "utf-8")
    listened = []
    gather = continuity.gather
    monkeypatch.setattr(
        continuity, "gather", lambda *a, **k: listened.append(1) or gather(*a, **k)
    )
    incident = Incident.open(tmp_path)
    result = incident.reconstruct()
    named = {name: digest for digest, name in incident.names(result.clips).items()}
    once = [e for e in incident.ledger.examinations() if e.origin.method == "edits"]
    assert len(once) == 4, "one clip is judged again"

    def said_of(exam: Examination) -> list[Discontinuity]:
        said = [o.what for o in exam.observations if isinstance(o.what, Discontinuity)]
        return [what for what in said if what.kind != "structure"]  # who wrote the file

    assert not any(said_of(exam) for exam in once[:3]), "by itself no clip shows anything"
    assert len(listened) == 3
    for name, digest in named.items():
        (exam,) = result.of(digest, "edits")
        if name != "b":
            assert not said_of(exam)
            continue
        (what,) = said_of(exam)
        (seen,) = (o for o in exam.observations if o.what == what)
        assert what.kind == "offset-jump" and what.verdict == "inconsistent"
        assert what.removed is not None and what.removed.value == pytest.approx(1.0, abs=0.06)
        assert seen.span is not None and seen.span.start <= 20 <= seen.span.end
        assert exam.measures["levels_run"] == once[1].measures["levels_run"]
        assert {a.digest for a in exam.artefacts} == {a.digest for a in once[1].artefacts}
    before = incident.ledger.check()
    again = incident.reconstruct()
    assert incident.ledger.check() == before and len(listened) == 3
    assert [e.origin for e in again.examinations] == [e.origin for e in result.examinations]
    # In the report and the exports the later judgement stands, the earlier is superseded.
    questions = {question_of(e.origin) for e in once}
    assert len(questions) == 3
    clips = dict(zip("abc", again.clips, strict=True))
    line = build_timeline(again.examinations, again.alignment, clips)
    assert len(line.select("discontinuity:offset-jump")) == 1


def test_a_doubt_about_running_does_not_blind_claims_about_entering(clips) -> None:
    camera = clips["camera"]
    whole = Span.of(0, 20)
    doubts = ("runs: region 'bench': too small to say how", "region 'bench': hidden in a group")
    blind = tuple(NotTestable(whole, reason) for reason in doubts)
    exam = structs.replace(
        _examined("video-activity", camera, []), coverage=Coverage(whole, 500, not_testable=blind)
    )
    line = build_timeline([exam], None, {"camera": camera})
    assert [text.partition(": ")[2] for text in line.blind["enters"]] == [doubts[1]]
    assert {text.partition(": ")[2] for text in line.blind["runs"]} == set(doubts)


@pytest.mark.parametrize(
    "reason",
    [
        "falls: region 'bench': something sank quickly: somebody may have fallen, sat down or bent",
        "region 'bench': of 12 figures drawn into it at 60% of its brightness 1 were found",
        "no control in region 'bench': too few figures could be drawn into it",
    ],
)
def test_what_could_not_be_seen_neither_supports_nor_contradicts(clips, reason: str) -> None:
    camera, whole = clips["camera"], Span.of(0, 20)
    flash = see_flashes(camera, times=(15.0,))
    never = Claim("scuffle", "Nobody fell before the flash.", "police",
                  Before("falls:bench", "flash", never=True))  # fmt: skip
    some = structs.replace(never, expects=Before("falls:bench", "flash"))
    for holes, outcomes in (
        ((), ("supported", "contradicted")),
        ((NotTestable(Span.of(3, 5), reason),), ("undecided", "undecided")),
    ):
        exam = structs.replace(
            _examined("video-activity", camera, []),
            coverage=Coverage(whole, 500, not_testable=holes),
        )
        line = build_timeline([exam, flash], None, {"camera": camera})
        assert tuple(judge(claim, line).outcome for claim in (never, some)) == outcomes
