"""Clips on one clock: known offsets, relations between calls, and what must stay apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from making import write_sound, write_video
from numpy.typing import NDArray
from scipy import signal

import forensics
from forensics import audio, audio_pairs, container, continuity, copies, edits
from forensics.audio_breaks import local_offset_breaks
from forensics.audio_features import FRAME_S, measure_features
from forensics.audio_match import match_all, match_pair
from forensics.audio_null import build_tail, envelope_tail, false_join, phase_tail, table
from forensics.audio_pairs import forget
from forensics.audio_phase import fit_phase
from forensics.audio_solve import Edge, solve
from forensics.errors import ClipRefused, RecordInvalid
from forensics.model import Alignment, Anchor, Clip, Discontinuity, PairEvidence, Quantity, Span
from forensics.provenance import methods

RATE = 16000
Samples = NDArray[np.float32]


def street(seconds: float, seed: int) -> Samples:
    """Voices, blows and engines that never repeat: bursts of coloured noise and gliding tones."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE)
    out = 0.01 * rng.normal(size=count)
    now = 0.0
    while now < seconds - 1:
        length = int(rng.uniform(0.06, 0.5) * RATE)
        t = np.arange(length) / RATE
        low = rng.uniform(150, 3000)
        if rng.random() < 0.5:
            edges = [low, low * rng.uniform(1.3, 2.2)]
            noise = rng.normal(size=length)
            piece = signal.sosfilt(
                signal.butter(2, edges, "bandpass", fs=RATE, output="sos"), noise
            )
        else:
            tone = 2 * np.pi * np.cumsum(rng.uniform(90, 260) * (1 + 0.3 * t)) / RATE
            piece = sum(np.sin(k * tone) / k for k in range(1, 12))
        piece = piece / np.abs(piece).max() * np.hanning(length) * rng.uniform(0.2, 1)
        start = int(now * RATE)
        out[start : start + length] += piece[: count - start]
        now += rng.exponential(0.25)
    return (0.3 * out / np.abs(out).max()).astype(np.float32)


def phone(
    scene: Samples, start_s: float, length_s: float, seed: int, *, noise: float = 0.02,
    drift_ppm: float = 0.0,
) -> Samples:  # fmt: skip
    """One telephone's hearing of a scene: its own echoes, noise, gain and clock."""
    rng = np.random.default_rng(seed)
    at = (start_s + np.arange(int(length_s * RATE)) / RATE * (1 + drift_ppm * 1e-6)) * RATE
    heard = np.interp(at, np.arange(len(scene)), scene)
    room = rng.normal(size=4000) * np.exp(-np.arange(4000) / 900) * 0.08
    room[0] = 1.0
    heard = signal.fftconvolve(heard, room)[: len(at)]
    level = signal.lfilter([0.001], [1, -0.999], np.abs(heard)) + 0.01
    heard = heard / level**0.5
    heard = 0.3 * heard / np.abs(heard).max() + noise * rng.normal(size=len(at))
    return heard.astype(np.float32)


Opener = Callable[[str, Samples], Clip]


@pytest.fixture
def clip_of(tmp_path: Path) -> Opener:
    def write(name: str, samples: Samples) -> Clip:
        path = write_sound(tmp_path / f"{name}.wav", samples, rate=RATE)
        return forensics.open_clip(path, metadata=False)

    return write


@pytest.fixture(scope="module")
def scene() -> Samples:
    return street(60, 1)


def offset(align: Alignment, clip: Clip) -> float:
    place = align.placement(clip)
    assert place is not None, [u.reason for u in align.unplaced]
    return place.offset.value


# -- known offsets ----------------------------------------------------------------------------


def test_three_phones_land_where_they_were(scene: Samples, clip_of: Opener) -> None:
    clips = [
        clip_of("a", phone(scene, 5.0, 20, 10)), clip_of("b", phone(scene, 12.3456, 25, 11)),
        clip_of("c", phone(scene, 2.5, 18, 12)),
    ]  # fmt: skip
    align = audio.align_clips(clips)
    assert len(align.components) == 1
    assert align.reference == clips[0].digest
    assert offset(align, clips[1]) == pytest.approx(7.3456, abs=0.002)
    assert offset(align, clips[2]) == pytest.approx(-2.5, abs=0.002)
    for place in align.placements[1:]:
        assert place.basis == "sound"
        assert place.offset.low is not None
        assert place.offset.high is not None
        assert place.offset.low < place.offset.value < place.offset.high
    for pair in align.pairs:
        assert pair.accepted
        assert pair.false_join is not None
        assert pair.false_join.value < 1e-3
        assert pair.residual_s is not None
        assert abs(pair.residual_s) < 0.002


def test_the_stated_drift_is_the_real_one(scene: Samples, clip_of: Opener) -> None:
    clips = [
        clip_of("a", phone(scene, 1.0, 50, 20)),
        clip_of("b", phone(scene, 4.0, 50, 21, drift_ppm=80.0)),
    ]
    place = audio.align_clips(clips).placement(clips[1])
    assert place is not None
    assert place.drift_ppm.value == pytest.approx(80, abs=3)
    assert place.drift_ppm.low is not None
    assert place.drift_ppm.high is not None
    assert place.drift_ppm.low <= 80 <= place.drift_ppm.high


def test_of_a_walk_no_drift_is_stated_and_the_answer_says_why(
    scene: Samples, clip_of: Opener
) -> None:
    """A camera carried past one source of sound, 12 m away at the nearest, at 1 m/s."""
    a = phone(scene, 4, 40, 60)
    t = np.arange(len(a)) / RATE
    late = (np.hypot(12, t - 18) - 12) / 343
    walked = np.interp(t - late, t, phone(scene, 8, 40, 61)).astype(np.float32)
    one, stood, two = clip_of("a", a), clip_of("b", phone(scene, 8, 40, 61)), clip_of("c", walked)
    for clip, says in ((stood, ""), (two, "moved")):
        (pair,) = audio.align_clips([one, clip]).pairs
        assert pair.accepted
        if not says:
            assert pair.drift_ppm is not None
            assert pair.drift_ppm.low is not None and pair.drift_ppm.high is not None
            assert pair.drift_ppm.low <= 0 <= pair.drift_ppm.high < 5
            continue
        assert pair.drift_ppm is None
        assert "no clock drift stated" in pair.note
        place = audio.align_clips([one, clip]).placement(clip)
        assert place is not None and "no pair shows it" in place.drift_ppm.note
        assert not any("sample rate" in w for w in audio.align_clips([one, clip]).warnings)
    # A recorder whose clock is 2 % out is no walk.
    off = clip_of("e", phone(scene, 6, 30, 63, drift_ppm=20_000))
    warnings = audio.align_clips([one, off]).warnings
    assert any("wrong sample rate" in w and "2.0 s in 100 s" in w for w in warnings), warnings
    short = clip_of("d", phone(scene, 30, 20, 62))
    (pair,) = audio.align_clips([one, short]).pairs
    assert pair.drift_ppm is None and "25 s are needed" in pair.note


def test_the_clocks_lie_among_the_arrivals_of_several_sources(
    scene: Samples, clip_of: Opener
) -> None:
    """Two sources by turns: each is 0.08 s nearer to one camera than to the other."""
    turns = (np.arange(len(scene)) // (2 * RATE)) % 3 == 0  # the first is heard a third of the time
    first, second = scene * turns, street(60, 7) * ~turns

    def late(samples: Samples, by_s: float) -> Samples:
        return np.roll(samples, round(by_s * RATE))

    a = clip_of("a", phone(first + late(second, 0.08), 4, 40, 63))
    b = clip_of("b", phone(late(first, 0.08) + second, 8, 40, 64))
    align = audio.align_clips([a, b])
    (pair,) = align.pairs
    assert pair.offset is not None
    apart = abs(pair.offset.value - 4)
    assert apart == pytest.approx(0.08, abs=0.02), "the pair's own offset is one source's"
    clocks = pair.measures["clocks"]
    assert clocks.low is not None and clocks.high is not None
    assert clocks.high - clocks.low == pytest.approx(0.16, abs=0.02)
    assert offset(align, b) == pytest.approx(4, abs=0.03)
    beside = clip_of("c", phone(first + late(second, 0.08), 8, 40, 65))
    (pair,) = audio.align_clips([a, beside]).pairs
    assert pair.measures["clocks"].value == 0, "no spread is made of one place"


def test_two_loud_ends_do_not_make_a_match() -> None:
    """Strangers that end and begin loud score like strangers that are even throughout."""
    rng = np.random.default_rng(4)
    even, loud = [], []
    for _ in range(30):
        one, two = rng.normal(0, 0.05, (2, 900, 40))
        even.append(match_pair(np.float16(one), np.float16(two)).scores[0])
        one[-320:] *= 4
        two[:320] *= 4
        loud.append(match_pair(np.float16(one), np.float16(two)).scores[0])
    assert np.median(loud) < 2.5 * np.median(even)  # 4 times, were they not weighed


def test_incident_clock_follows_offset_and_drift(scene: Samples, clip_of: Opener) -> None:
    clips = [
        clip_of("a", phone(scene, 1.0, 50, 20)),
        clip_of("b", phone(scene, 4.0, 50, 21, drift_ppm=80.0)),
    ]
    align = audio.align_clips(clips)
    late = align.on_incident_clock(clips[1], Span.of(40, 41))
    assert late is not None
    assert late.start == pytest.approx(3 + 40 * (1 + 80e-6), abs=0.002)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("aac", "m4a"), ("libmp3lame", "mp3"), ("libopus", "mka")]
)
def test_codec_priming_is_not_an_offset(
    scene: Samples, tmp_path: Path, codec: str, suffix: str
) -> None:
    one = write_sound(tmp_path / "a.wav", phone(scene, 5, 25, 30), rate=RATE)
    sound = signal.resample_poly(phone(scene, 9, 25, 31), 3, 1).astype(np.float32)
    two = write_sound(tmp_path / f"b.{suffix}", sound, rate=48000, codec=codec)
    clips = [forensics.open_clip(p, metadata=False) for p in (one, two)]
    assert offset(audio.align_clips(clips), clips[1]) == pytest.approx(4.0, abs=0.003)


# -- relations between two calls --------------------------------------------------------------


def test_turning_the_pair_round_turns_the_sign(scene: Samples, clip_of: Opener) -> None:
    a, b = clip_of("a", phone(scene, 5, 20, 40)), clip_of("b", phone(scene, 11, 20, 41))
    forget()
    there = offset(audio.align_clips([a, b]), b)
    forget()
    back = offset(audio.align_clips([b, a]), a)
    assert there == pytest.approx(-back, abs=2e-4)
    assert there == pytest.approx(6.0, abs=0.002)


def test_cutting_the_head_off_moves_the_offset_by_as_much(scene: Samples, clip_of: Opener) -> None:
    a, whole = clip_of("a", phone(scene, 5, 25, 42)), phone(scene, 8, 30, 43)
    b, late = clip_of("b", whole), clip_of("c", whole[int(3.21 * RATE) :])
    first = offset(audio.align_clips([a, b]), b)
    second = offset(audio.align_clips([a, late]), late)
    assert second - first == pytest.approx(3.21, abs=0.001)


def test_order_changes_nothing(scene: Samples, clip_of: Opener) -> None:
    clips = [clip_of(str(k), phone(scene, 3.0 * k, 22, 50 + k)) for k in range(4)]
    one = audio.align_clips(clips)
    other = audio.align_clips([clips[0], *clips[:0:-1]])
    for clip in clips:
        assert offset(one, clip) == pytest.approx(offset(other, clip), abs=1e-6)


def test_adding_a_clip_compares_only_what_is_new(
    scene: Samples, clip_of: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forensics import audio_pairs

    clips = [clip_of(str(k), phone(scene, 3.0 * k, 22, 60 + k)) for k in range(4)]
    forget()
    audio.align_clips(clips[:3])
    asked: list[object] = []

    def spy(rows: object, *, pairs: object = None, keep: int = 4) -> object:
        asked.append(pairs)
        return match_all(rows, pairs=pairs, keep=keep)  # type: ignore[arg-type]

    monkeypatch.setattr(audio_pairs, "match_all", spy)
    later = audio.align_clips(clips)
    assert len(asked) == 1
    assert isinstance(asked[0], list)
    assert len(asked[0]) == 3
    forget()
    fresh = audio.align_clips(clips)
    assert [p.offset for p in later.placements] == [p.offset for p in fresh.placements]


# -- what must stay apart ---------------------------------------------------------------------


def test_strangers_are_left_out_with_the_reason(scene: Samples, clip_of: Opener) -> None:
    a, b = clip_of("a", phone(scene, 5, 25, 70)), clip_of("b", phone(scene, 9, 25, 71))
    stranger = clip_of("stranger", phone(street(30, 99), 1, 25, 72))
    align = audio.align_clips([a, stranger, b])
    assert {p.clip for p in align.placements} == {a.digest, b.digest}
    (out,) = align.unplaced
    assert out.clip == stranger.digest
    assert out.outcome == "nothing-found"
    assert "strangers" in out.reason


def test_two_events_stay_two_components(scene: Samples, clip_of: Opener) -> None:
    other = street(40, 98)
    clips = [
        clip_of("a", phone(scene, 5, 25, 73)), clip_of("x", phone(other, 3, 25, 74)),
        clip_of("b", phone(scene, 9, 25, 75)), clip_of("y", phone(other, 7, 25, 76)),
    ]  # fmt: skip
    align = audio.align_clips(clips)
    assert {frozenset(c) for c in align.components} == {
        frozenset({clips[0].digest, clips[2].digest}),
        frozenset({clips[1].digest, clips[3].digest}),
    }
    place = align.placement(clips[3])
    assert place is not None
    assert place.component == 1
    assert place.offset.value == pytest.approx(4.0, abs=0.002)
    assert any("nothing bridges" in w for w in align.warnings)


def test_no_sound_and_digital_silence_are_not_applicable(
    scene: Samples, clip_of: Opener, tmp_path: Path
) -> None:
    silent = clip_of("silent", np.zeros(10 * RATE, np.float32))
    frames = (np.full((48, 64, 3), 80, np.uint8) for _ in range(25))
    mute = forensics.open_clip(write_video(tmp_path / "mute.mp4", frames), metadata=False)
    short = clip_of("short", scene[: RATE // 2])
    align = audio.align_clips([clip_of("a", phone(scene, 5, 20, 80)), silent, mute, short])
    outcomes = {u.clip: u.outcome for u in align.unplaced}
    for clip in (silent, mute, short):
        assert outcomes[clip.digest] == "not-applicable"
    assert not align.placements


def test_a_file_that_fails_costs_only_itself(scene: Samples, clip_of: Opener) -> None:
    a, b = clip_of("a", phone(scene, 5, 20, 81)), clip_of("b", phone(scene, 8, 20, 82))
    broken = clip_of("broken", phone(scene, 8, 20, 83))
    broken.path.write_bytes(b"changed since it was hashed")
    align = audio.align_clips([broken, a, b])
    assert {u.clip: u.outcome for u in align.unplaced} == {broken.digest: "failed"}
    assert len(align.placements) == 2


def test_a_copy_made_for_listening_is_left_out(
    scene: Samples, clip_of: Opener, tmp_path: Path
) -> None:
    a, b = clip_of("a", phone(scene, 5, 20, 96)), clip_of("b", phone(scene, 8, 20, 97))
    path = continuity.write_listening_copy(b, out=tmp_path / "listen.wav")
    copy = forensics.open_clip(path, metadata=False)
    align = audio.align_clips([a, b, copy])
    assert align.placement(copy) is None
    assert {p.clip for p in align.placements} == {a.digest, b.digest}
    (left,) = align.unplaced
    assert left.outcome == "failed"
    assert "listening copy" in left.reason and "recording it was made from" in left.reason
    with pytest.raises(ClipRefused):
        audio.align_clips([a, b, copy], anchors=(Anchor(copy.digest, 3.0, 0.5, "a watch"),))
    # No method takes it: the door all of them share refuses.
    for examine in (edits.find_edits, audio.find_offset_breaks, container.find_discontinuities):
        keywords = {"jumps": ()} if examine is audio.find_offset_breaks else {}
        exam = examine(copy, **keywords)
        assert exam.outcome == "failed" and "listening copy" in exam.reason
    exam = copies.find_copies([a, copy])
    assert exam.outcome == "not-applicable"


def test_a_shared_soundtrack_is_no_evidence_of_the_event(scene: Samples, clip_of: Opener) -> None:
    rng = np.random.default_rng(5)
    a, b = clip_of("a", phone(scene, 5, 25, 84)), clip_of("b", phone(scene, 9, 25, 85))
    music = street(40, 97)
    x = clip_of("x", music[: 30 * RATE] + 0.001 * rng.normal(size=30 * RATE).astype(np.float32))
    y = clip_of("y", music[4 * RATE : 34 * RATE])
    align = audio.align_clips([a, b, x, y])
    assert {frozenset(c) for c in align.components} == {
        frozenset({a.digest, b.digest}), frozenset({x.digest, y.digest})
    }  # fmt: skip
    assert any("soundtrack" in w and "x.wav" in w for w in align.warnings)
    (pair,) = [p for p in align.pairs if {p.first, p.second} == {x.digest, y.digest}]
    assert "same soundtrack" in pair.note
    assert offset(align, y) == pytest.approx(4.0, abs=1e-4)


def test_a_piece_of_sound_laid_over_two_clips_is_no_event(clip_of: Opener) -> None:
    a, b = street(24.0, 71), street(24.0, 72)
    piece = street(6.0, 73)
    a[5 * RATE : 11 * RATE] += piece
    b[9 * RATE : 15 * RATE] += piece * 0.8
    align = audio.align_clips([clip_of("a", a), clip_of("b", b)])
    (pair,) = align.pairs
    assert "a piece of" in pair.note
    assert not align.placements
    assert "a piece of the same soundtrack" in align.unplaced[0].reason
    # The same piece from a loudspeaker that both telephones hear at one event stays evidence.
    event = street(40.0, 74)
    event[14 * RATE : 20 * RATE] += 2 * piece
    both = [clip_of(f"p{n}", phone(event, 8 + n, 22, 75 + n)) for n in range(2)]
    assert len(audio.align_clips(both).placements) == 2


def test_one_short_sound_made_twice_joins_nothing(clip_of: Opener) -> None:
    # A cock crows alike each time: the same 2 s in recordings of two mornings.
    clips = []
    for name, seed, at in (("a", 81, 6.31), ("b", 82, 9.74)):
        sound = 0.01 * np.random.default_rng(seed).normal(size=20 * RATE).astype(np.float32)
        sound[int(at * RATE) :][: 2 * RATE] += street(2.0, 83)
        clips.append(clip_of(name, sound))
    align = audio.align_clips(clips)
    (pair,) = align.pairs
    assert pair.measures["envelope"].value > 7, "alike as a whole"
    assert pair.measures["left"].value < 4, "but not without the crow"
    assert "made twice" in pair.note
    assert not align.placements


def test_two_telephones_are_not_called_one_soundtrack(scene: Samples, clip_of: Opener) -> None:
    a = clip_of("a", phone(scene, 5, 25, 86))
    b = clip_of("b", phone(scene, 9, 25, 87, drift_ppm=12))
    (pair,) = audio.align_clips([a, b]).pairs
    assert "soundtrack" not in pair.note


def test_a_loop_is_ambiguous_and_its_rivals_are_listed(clip_of: Opener) -> None:
    bar = street(3.0, 55)
    loop = np.tile(bar, 14)
    a, b = clip_of("a", phone(loop, 0.5, 30, 88)), clip_of("b", phone(loop, 4.0, 30, 89))
    align = audio.align_clips([a, b])
    assert not align.placements
    assert all("repeats" in u.reason for u in align.unplaced)
    (pair,) = align.pairs
    assert not pair.accepted
    assert "other offsets" in pair.note
    fitting = [pair.offset.value] + [r.value for r in pair.rivals] if pair.offset else []
    assert any(abs(x - 3.5) < 0.02 for x in fitting)


def test_a_loop_laid_over_two_clips_is_placed_at_none_of_its_repetitions(clip_of: Opener) -> None:
    loop = np.tile(street(3.0, 56), 14)
    a, b = clip_of("a", loop[: 24 * RATE]), clip_of("b", loop[5 * RATE : 29 * RATE] * 0.5)
    align = audio.align_clips([a, b])
    (pair,) = align.pairs
    assert "same soundtrack" in pair.note
    assert not align.placements


def test_an_anchor_is_no_wider_for_what_is_heard(scene: Samples, clip_of: Opener) -> None:
    a, b = clip_of("a", phone(scene, 5, 20, 90)), clip_of("b", phone(scene, 8, 20, 91))
    for said, wide in ((3.0, 0.012), (3.05, 0.07)):
        anchor = Anchor(b.digest, said, 0.01, "two clocks in one picture")
        place = audio.align_clips([a, b], anchors=(anchor,)).placement(b)
        assert place is not None
        assert place.offset.low is not None
        assert place.offset.high is not None
        assert place.offset.low <= said - 0.0099
        assert place.offset.high >= said + 0.0099
        assert (place.offset.high - place.offset.low) / 2 <= wide
        assert "175 ms sooner" in place.offset.note
    plain = audio.align_clips([a, b]).placement(b)
    assert plain is not None
    assert plain.offset.low == pytest.approx(plain.offset.value - 0.185, abs=0.01)


def test_an_examiners_anchor_places_a_silent_clip(scene: Samples, clip_of: Opener) -> None:
    a, b = clip_of("a", phone(scene, 5, 20, 90)), clip_of("b", phone(scene, 8, 20, 91))
    silent = clip_of("silent", np.zeros(10 * RATE, np.float32))
    anchor = Anchor(silent.digest, 2.0, 0.5, "the examiner's watch")
    align = audio.align_clips([a, b, silent], anchors=(anchor,))
    place = align.placement(silent)
    assert place is not None
    assert place.basis == "examiner"
    assert place.offset.value == pytest.approx(2.0, abs=0.01)
    assert place.offset.low == pytest.approx(1.5, abs=0.1)
    assert not align.unplaced
    with pytest.raises(RecordInvalid):
        audio.align_clips([a, b], anchors=(anchor,))
    sharp = Anchor(silent.digest, 2.0, 0.01, "two clocks in one picture")
    place = audio.align_clips([a, b, silent], anchors=(sharp,)).placement(silent)
    assert place is not None
    assert place.offset.low == pytest.approx(1.99, abs=1e-4), "as given: nothing travelled"
    assert place.offset.high == pytest.approx(2.01, abs=1e-4)
    assert "anchor" in place.offset.note
    # Through a clip that sound alone ties, its travel counts.
    seen = PairEvidence(
        b.digest, silent.digest, "flash", Quantity(-1.0, "s", -1.04, -0.96), 1.0, True
    )
    place = audio.align_clips([a, b, silent], ties=(seen,)).placement(silent)
    assert place is not None
    assert place.offset.high is not None
    assert place.offset.high - place.offset.value > 0.175
    tie = PairEvidence(b.digest, silent.digest, "clock", Quantity(-1.0, "s", -2, 0), 1.0, True)
    place = audio.align_clips([a, b, silent], ties=(tie,)).placement(silent)
    assert place is not None
    assert place.basis == "clock"
    assert place.offset.value == pytest.approx(2.0, abs=0.01)


def test_a_silent_clip_is_placed_by_flashes(
    scene: Samples, clip_of: Opener, tmp_path: Path
) -> None:
    def film(start: float, seconds: float, name: str, sound: Samples | None) -> Clip:
        """Flashes at story times; a little noise so that nothing else is alike."""
        rng = np.random.default_rng(len(name))
        wall = rng.integers(60, 120, (48, 64, 3))
        frames = []
        for n in range(int(seconds * 25)):
            story = start + n / 25
            bright = any(0 <= story - t < 0.08 for t in (7.0, 8.4, 12.2, 13.0))
            noise = rng.integers(-2, 3, wall.shape)
            frames.append(np.clip(wall + noise + 110 * bright, 0, 255).astype(np.uint8))
        path = write_video(tmp_path / name, frames, sound=sound, sound_rate=RATE)
        return forensics.open_clip(path, metadata=False)

    a = film(5, 12, "a.mp4", phone(scene, 5, 12, 94))
    mute = film(6.2, 10, "mute.mp4", None)
    b = clip_of("b", phone(scene, 8, 20, 95))
    align = audio.align_clips([a, b, mute])
    place = align.placement(mute)
    assert place is not None, align.unplaced
    assert place.basis == "flash"
    assert place.offset.value == pytest.approx(1.2, abs=0.05)
    assert place.offset.low is not None
    assert place.offset.high is not None
    assert place.offset.low <= 1.2 <= place.offset.high
    out = audio.align_clips([a, b, mute], silent_by=())
    assert [u.clip for u in out.unplaced] == [mute.digest]


# -- the parts --------------------------------------------------------------------------------


def test_one_wrong_pair_is_rejected_not_averaged_in() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 60, 6)
    edges = [
        Edge(i, j, 30.0, 30.0 + truth[i] - truth[j], 0.001, 8.0)
        for i in range(6) for j in range(i + 1, 6)
    ]  # fmt: skip
    edges[4] = Edge(0, 5, 30.0, 17.0, 0.001, 12.0)
    (found,) = solve(6, edges)
    assert found.rejected == (4,)
    assert np.abs(found.offset_s - (truth - truth[0])).max() < 1e-3


def test_a_rival_that_closes_the_loop_is_taken() -> None:
    edges = [
        Edge(0, 1, 10.0, 5.0, 0.001, 9.0), Edge(1, 2, 10.0, 7.0, 0.001, 9.0),
        Edge(0, 2, 10.0, 0.5, 0.001, 5.0, others=((10.0, 2.0),)),
    ]  # fmt: skip
    (found,) = solve(3, edges)
    assert list(found.switched) == [2]
    assert found.offset_s[2] == pytest.approx(8.0, abs=1e-3)


def test_a_batch_says_what_single_pairs_say() -> None:
    rows = [measure_features(street(s, 200 + k)) for k, s in enumerate((9, 14, 33, 70))]
    for i, j, match in match_all(rows):
        alone = match_pair(rows[i], rows[j])
        assert alone.lags_s == pytest.approx(match.lags_s, abs=1e-6)
        assert alone.scores == pytest.approx(match.scores, rel=1e-4)


def test_the_first_look_at_many_clips_loses_no_pair(
    scene: Samples, clip_of: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = [clip_of(f"h{k}", phone(scene, 3 + 4 * k, 20, 310 + k)) for k in range(3)]
    others = [clip_of(f"o{k}", street(20, 320 + k)) for k in range(3)]
    full = audio.align_clips([*heard, *others])
    assert len(full.pairs) == 15
    forget()
    monkeypatch.setattr(audio_pairs, "_MANY", 3)
    looked = audio.align_clips([*heard, *others])
    assert looked.placements == full.placements
    assert len(looked.pairs) < 8
    assert {u.clip for u in looked.unplaced} == {c.digest for c in others}
    # One more clip: what was dismissed stays dismissed, what was compared is not compared again.
    more = clip_of("more", phone(scene, 9, 20, 330))
    again = audio.align_clips([*heard, *others, more])
    assert again.placement(more) is not None
    assert offset(again, heard[1]) == pytest.approx(offset(full, heard[1]), abs=0.01)


def test_of_many_clips_each_is_compared_in_detail_with_its_likest(
    scene: Samples, clip_of: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = [clip_of(f"m{k}", phone(scene, 2 + 3 * k, 22, 340 + k)) for k in range(6)]
    stranger = clip_of("s", street(20, 350))
    full = audio.align_clips([*heard, stranger])
    assert len(full.components) == 1
    forget()
    compared: list[float] = []
    refine = audio_pairs._refine
    monkeypatch.setattr(
        audio_pairs, "_refine", lambda *a: (compared.append(a[2].lags_s[0]), refine(*a))[1]
    )
    monkeypatch.setattr(audio_pairs, "_MANY", 3)
    # With one partner each, groups are left that only the other pairs tie together.
    monkeypatch.setattr(audio_pairs, "_PARTNERS", 1)
    few = audio.align_clips([*heard, stranger])
    assert few.components == full.components
    assert few.placement(stranger) is None
    for clip in heard[1:]:
        assert offset(few, clip) == pytest.approx(offset(full, clip), abs=0.01)
    assert len(compared) < sum(p.accepted for p in full.pairs)


def test_gain_does_not_change_the_features() -> None:
    sound = street(12, 300)
    swing = 0.55 + 0.45 * np.sin(2 * np.pi * 1.7 * np.arange(len(sound)) / RATE)
    one, two = measure_features(sound), measure_features(sound * swing.astype(np.float32))
    alike = [
        float(np.corrcoef(one[:, k].astype(float), two[:, k].astype(float))[0, 1])
        for k in range(one.shape[1])
    ]
    # Were the level itself among the features, it would be the first, at 0.91.
    assert alike[0] > 0.95
    assert min(alike) > 0.88


def test_dropped_sound_is_a_break_of_the_local_offset(scene: Samples) -> None:
    one, two = phone(scene, 2, 50, 400), phone(scene, 5, 45, 401)
    cut = np.concatenate([two[: 20 * RATE], two[int(20.7 * RATE) :]])
    kept = measure_features(two)
    lost = measure_features(cut)
    first = measure_features(one)
    assert local_offset_breaks(first, kept, lag_s=3.0) == []
    (found,) = local_offset_breaks(first, lost, lag_s=match_pair(first, lost).lags_s[0])
    assert found.jump_s == pytest.approx(0.7, abs=0.05)
    assert found.second_s == pytest.approx(20.0, abs=0.5)
    assert found.jump_low_s < 0.7 < found.jump_high_s


def test_a_third_clip_says_which_one_lost_sound(scene: Samples, clip_of: Opener) -> None:
    two = phone(scene, 5, 45, 411)
    cut = np.concatenate([two[: 20 * RATE], two[int(20.7 * RATE) :]])
    one, lost = clip_of("one", phone(scene, 2, 50, 410)), clip_of("lost", cut)
    third = clip_of("third", phone(scene, 8, 40, 412))
    assert audio.align_clips([one, third]).jumps == ()
    alone = audio.align_clips([one, lost]).jumps
    assert [j.clip for j in alone] == [""]
    for clip in (one, lost):
        exam = audio.find_offset_breaks(clip, jumps=alone)
        assert exam.outcome == "found", exam.reason
        (seen,) = exam.observations
        assert isinstance(seen.what, Discontinuity)
        assert seen.what.verdict == "inconclusive"
        assert seen.what.removed is None
    align = audio.align_clips([one, lost, third])
    assert {j.clip for j in align.jumps} == {lost.digest}
    assert any("lost.wav lost or gained sound" in w for w in align.warnings)
    (seen,) = audio.find_offset_breaks(lost, jumps=align.jumps).observations
    assert isinstance(seen.what, Discontinuity)
    assert seen.what.verdict == "inconsistent"
    assert seen.what.removed is not None
    assert seen.what.removed.value == pytest.approx(0.7, abs=0.05)
    assert seen.span is not None
    assert seen.span.start <= 20 <= seen.span.end
    for clip in (one, third):
        assert audio.find_offset_breaks(clip, jumps=align.jumps).outcome == "nothing-found"
    # Merged with what the clip shows by itself: one finding that keeps the other's words.
    exam = edits.find_edits(lost, levels=("container",), also=(seen,))
    kinds = [o.what.kind for o in exam.observations if isinstance(o.what, Discontinuity)]
    assert "offset-jump" in kinds


def test_phase_sees_nothing_between_strangers() -> None:
    fit = fit_phase(street(20, 1), street(20, 2), rate_hz=RATE, lag_s=1.0)
    assert fit is not None
    assert not fit.usable
    assert fit_phase(street(2, 1), street(2, 2), rate_hz=RATE, lag_s=1.5) is None


def test_the_tail_is_not_more_sure_than_its_data() -> None:
    rng = np.random.default_rng(3)
    record = build_tail(rng.exponential(size=5000), 5000.0)
    from forensics.audio_null import Tail

    tail = Tail(record)
    for score in (1.0, 3.0, 6.0, 9.0, 12.0):
        assert tail.rate(score) >= 0.8 * np.exp(-score)
    assert envelope_tail().rate(30.0) > 0
    assert phase_tail().rate(30.0) > 0
    assert table()["pairs"] >= 400
    assert false_join(1e-4, 1000) == pytest.approx(1 - (1 - 1e-4) ** 1000, rel=1e-6)


def test_it_is_on_record(scene: Samples, clip_of: Opener) -> None:
    a, b = clip_of("a", phone(scene, 5, 20, 92)), clip_of("b", phone(scene, 8, 20, 93))
    align = audio.align_clips([a, b], spacing_m=80.0)
    assert align.origin.method == "audio-align"
    assert align.origin.inputs == (a.digest, b.digest)
    assert align.origin.parameters["spacing_m"] == 80.0
    assert "misinterpretation" in methods()["audio-align"].weaknesses
    assert FRAME_S == 0.016


# -- real recordings --------------------------------------------------------------------------


def test_real_recordings_at_their_known_offsets(media: Path) -> None:
    truth = json.loads((media / "truth_dev.json").read_text("utf-8"))["audio_offsets_s"]
    folder = media / "audio_multi"
    names = {n for pair in truth["pairs"] for n in pair[:2]}
    clips = {n: forensics.open_clip(folder / n, metadata=False) for n in sorted(names)}
    for group in ("bbc", "opensoundscape"):
        align = audio.align_clips([c for n, c in clips.items() if n.startswith(group)])
        for first, second, expected, *_ in truth["pairs"]:
            if first.startswith(group):
                between = offset(align, clips[second]) - offset(align, clips[first])
                assert between == pytest.approx(expected, abs=0.02), (first, second)


def test_the_real_control_is_no_match(media: Path) -> None:
    truth = json.loads((media / "truth_dev.json").read_text("utf-8"))
    folder = media / "audio_multi"
    ((one, two, _),) = truth["no_match_controls"]
    clips = [forensics.open_clip(folder / n, metadata=False) for n in (one, two)]
    align = audio.align_clips(clips)
    assert not align.placements
    assert {u.outcome for u in align.unplaced} == {"nothing-found"}
    for name, known in truth["loopback_vs_room_microphone_s"].items():
        clips = [
            forensics.open_clip(folder / n, metadata=False)
            for n in (name.replace("_mic", "_lpb"), name)
        ]
        align = audio.align_clips(clips)
        assert abs(abs(offset(align, clips[1])) - abs(known["phat"])) < 0.02, name
