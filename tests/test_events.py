"""Impulses put into made sound at known times; what is not an impulse stays unheard."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import forensics
from forensics import events, events_features, events_impulses, events_score
from forensics.model import (
    Alignment,
    Clip,
    Examination,
    Origin,
    Placement,
    Quantity,
    SoundEvent,
)
from forensics.provenance import check_replay, replay

RATE = 16000


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Clip:
    import soundfile

    soundfile.write(path, samples, rate, subtype="PCM_16")
    return forensics.open_clip(path)


#: Level of a bang that scores between "surely not" and "found" in `street`.
DOUBTFUL = 0.035


def bang(rng: np.random.Generator, decay_s: float = 0.03) -> np.ndarray:
    time = np.arange(RATE // 4) / RATE
    return rng.standard_normal(len(time)) * np.exp(-time / decay_s) * np.minimum(1, time / 0.001)


def street(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Noise that falls with frequency and swells slowly: traffic, wind."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum /= np.maximum(1, np.fft.rfftfreq(count, 1 / RATE) / 200)
    noise = np.fft.irfft(spectrum, count)
    swell = 1 + 0.5 * np.sin(2 * np.pi * np.arange(count) / RATE / 7.3)
    return 0.02 * swell * noise / noise.std()


def scene(
    times: tuple[float, ...], level: float = 0.3, seed: int = 3, seconds: float = 20
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = street(rng, seconds)
    for moment in times:
        first = round(moment * RATE)
        out[first : first + RATE // 4] += level * bang(rng)[: len(out) - first]
    return np.clip(out, -1, 1)


def heard(exam: Examination) -> list[float]:
    return [float(o.what.time) for o in exam.observations if isinstance(o.what, SoundEvent)]


def test_impulses_are_found_at_their_times_and_nothing_else(tmp_path: Path) -> None:
    truth = (3.0, 6.4, 6.65, 12.2)
    exam = events.find_events(write_wav(tmp_path / "a.wav", scene(truth)))
    assert exam.outcome == "found"
    found = heard(exam)
    assert len(found) == len(truth)
    assert np.abs(np.array(found) - truth).max() < 0.01
    for seen in exam.observations:
        assert seen.span is not None and seen.measures["above_floor"].value > 10
        assert isinstance(seen.what, SoundEvent)


def test_a_background_without_impulses_stays_empty(tmp_path: Path) -> None:
    exam = events.find_events(write_wav(tmp_path / "b.wav", scene(())))
    assert exam.outcome == "nothing-found"
    assert exam.coverage.units_seen == 20 * RATE
    assert "hearing_level" in exam.measures


def test_voices_are_not_impulses(tmp_path: Path) -> None:
    # A buzz with a slow syllable rhythm: rises at once in all bands, but over 40 ms and at a pitch.
    time = np.arange(20 * RATE) / RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 40))
    gate = np.clip(np.sin(2 * np.pi * 2.1 * time) * 3, 0, 1)
    noise = np.random.default_rng(0).standard_normal(len(time))
    exam = events.find_events(write_wav(tmp_path / "v.wav", 0.1 * buzz * gate + 0.002 * noise))
    assert exam.outcome == "nothing-found"


def test_chunks_do_not_change_the_answer(tmp_path: Path) -> None:
    clip = write_wav(tmp_path / "c.wav", scene((2.0, 29.9, 30.2, 58.0), seconds=70))
    whole = heard(events.find_events(clip, chunk_s=600.0))
    parts = heard(events.find_events(clip, chunk_s=10.0))
    assert whole == pytest.approx(parts, abs=1e-3)
    assert len(whole) == 4


def test_where_nothing_could_be_heard_is_said(tmp_path: Path) -> None:
    samples = scene((3.0,), seconds=30)
    samples[10 * RATE : 20 * RATE] = 0
    exam = events.find_events(write_wav(tmp_path / "d.wav", samples))
    reasons = {n.reason.split(":")[0] for n in exam.coverage.not_testable}
    assert "digital silence" in reasons
    assert exam.measures["heard_fraction"].value < 0.75


def test_of_a_muted_clip_no_count_is_given(tmp_path: Path) -> None:
    exam = events.find_events(write_wav(tmp_path / "muted.wav", np.zeros(20 * RATE)))
    assert exam.outcome == "not-applicable"
    assert "impulses" not in exam.measures
    assert exam.coverage.not_testable[0].span == exam.coverage.span


def test_no_sound_is_not_applicable(tmp_path: Path) -> None:
    import av

    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    exam = events.find_events(forensics.open_clip(path), flashes=False)
    assert exam.outcome == "not-applicable"
    short = events.find_events(write_wav(tmp_path / "s.wav", np.zeros(800)))
    assert short.outcome == "not-applicable"


def test_replay_gives_the_same(tmp_path: Path) -> None:
    clip = write_wav(tmp_path / "r.wav", scene((5.0,)))
    exam = events.find_events(clip)
    check_replay(exam, replay(exam, [clip]))


def test_classes_of_sound_follow_decay_and_bandwidth() -> None:
    from scipy.signal import butter, sosfilt

    rng = np.random.default_rng(5)
    quiet = 0.001 * rng.standard_normal(4 * RATE)
    low = butter(4, 700, fs=RATE, output="sos")
    made = {
        "gunshot-like": 0.4 * bang(rng, 0.02),
        "blow-like": 0.8 * sosfilt(low, bang(rng, 0.02)),
    }
    for label, sound in made.items():
        samples = quiet.copy()
        samples[2 * RATE : 2 * RATE + len(sound)] += sound
        found = events_impulses.find_impulses(samples.astype(np.float32))
        assert [events.classify_sound(f) for f in found] == [label]


def test_power_falls_with_level(tmp_path: Path) -> None:
    clip = write_wav(tmp_path / "p.wav", scene(()))
    power = events.measure_power(clip, level_db=(20.0, -15.0), trials=12)
    assert power["20"].value > 0.8 > 0.3 > power["-15"].value
    assert power["20"].low is not None and power["20"].low < power["20"].value


STUMP = {"column": [0], "cut": [5.0], "left": [-1], "right": [-2], "value": [-1.0, 2.0]}


def test_the_score_refuses_other_features() -> None:
    from forensics.errors import RecordInvalid

    unknown = {"base": 0.0, "columns": ["another"], "trees": [STUMP]}
    with pytest.raises(RecordInvalid):
        events_score.read_score({"first": unknown, "second": unknown})


def test_trees_are_followed_to_their_leaves() -> None:
    # rise_db above 5 goes right, to a node that asks again.
    tree = {"column": [0, 1], "cut": [5.0, 0.0], "left": [-1, -2], "right": [1, -3],
            "value": [-1.0, 2.0, 4.0]}  # fmt: skip
    first = {"base": 0.5, "columns": ["rise_db", "flatness_db"], "trees": [tree, STUMP]}
    second = {"base": 0.0, "columns": ["others"], "trees": [STUMP]}
    rows = np.zeros((3, len(events_features.FEATURES)), np.float32)
    rows[1:, events_features.FEATURES.index("rise_db")] = 9
    rows[2, events_features.FEATURES.index("flatness_db")] = 1
    trees = events_score.read_score({"first": first, "second": second}).first
    assert trees.logit(rows) == pytest.approx([0.5 - 1 - 1, 0.5 + 2 + 2, 0.5 + 4 + 2])


def test_a_candidate_knows_of_one_like_it() -> None:
    # Two alike 0.3 s apart and one unlike: only the alike speak for each other, and both ways.
    hops = np.array([1000, 1075, 1150])
    rows = np.zeros((3, len(events_features.FEATURES)), np.float32)
    rows[2, [k for k, n in enumerate(events_features.FEATURES) if n.startswith("level")]] = 20
    seen = events_score.company_features(hops, rows, np.array([3.0, -1.0, 2.0]))
    alike = seen[:, events_score.COMPANY.index("alike_0.07_0.5_s")]
    assert alike == pytest.approx([-1.0, 3.0, -9.0])
    later = events_score.company_features(hops + 5000, rows, np.array([3.0, -1.0, 2.0]))
    assert later == pytest.approx(seen)


def test_the_count_says_what_may_hide(tmp_path: Path) -> None:
    # Three bangs, and a fourth no louder than the noise in the roar of the last, which is a blast.
    rng = np.random.default_rng(21)
    out = street(rng, 30)
    sounds = [(6.0, 0.4 * bang(rng)), (13.0, 0.4 * bang(rng))]
    time = np.arange(RATE) / RATE
    blast = 0.5 * rng.standard_normal(RATE) * np.exp(-time / 0.25) * np.minimum(1, time / 0.002)
    sounds += [(21.0, blast), (21.3, 0.05 * bang(rng))]
    for moment, sound in sounds:
        out[round(moment * RATE) :][: len(sound)] += sound
    exam = events.find_events(write_wav(tmp_path / "roar.wav", np.clip(out, -1, 1)))
    count = exam.measures["impulses"]
    assert count.low is not None and count.high is not None
    assert count.low <= 3 < 4 <= count.high
    last = next(o for o in exam.observations if abs(float(o.what.time) - 21.0) < 0.05)
    first = exam.observations[0]
    assert last.measures["hidden"].value > 150 > 80 > first.measures["hidden"].value


def test_a_volley_that_is_undercounted_denies_no_number(tmp_path: Path) -> None:
    # Forty shots over a crowd of clicks, no louder than it: most go unheard, and it is said so.
    from forensics.incident_claims import judge
    from forensics.incident_timeline import build_timeline
    from forensics.model import Claim, Count

    rng = np.random.default_rng(6)
    out = street(rng, 30)
    for moment in rng.uniform(0.5, 29, 250):
        first = round(moment * RATE)
        out[first : first + 800] += 0.2 * rng.uniform(0.5, 1) * bang(rng, 0.01)[:800]
    truth = 8 + 0.35 * np.arange(40)
    shot = 0.2 * bang(rng, 0.03)
    for moment in truth:
        first = round(moment * RATE)
        out[first : first + len(shot)] += shot * rng.uniform(0.8, 1.2)
    clip = write_wav(tmp_path / "volley.wav", np.clip(out, -1, 1))
    exam = events.find_events(clip)
    near = [t for t in heard(exam) if np.abs(truth - t).min() < 0.03]
    assert 0 < len(near) < 36
    count = exam.measures["impulses"]
    assert count.low is not None and count.high is not None
    assert count.low <= 40 <= count.high
    line = build_timeline([exam], None, {"one": clip})
    for at_least, only in ((False, ""), (True, ""), (False, "one")):
        expects = Count("impulse", 40, at_least, clip=only)
        said = judge(Claim("c", "forty shots", "a witness", expects), line)
        assert said.outcome == "undecided", said.reason


def test_what_may_be_an_impulse_is_listed_and_excludes_nothing(tmp_path: Path) -> None:
    # One clear bang; before it one so soft that it is in doubt.
    from forensics.incident_claims import judge
    from forensics.incident_timeline import build_timeline
    from forensics.model import Before, Claim

    rng = np.random.default_rng(21)
    out = street(rng, 30)
    for moment, level in ((6.0, DOUBTFUL), (13.0, 0.4)):
        sound = level * bang(rng)
        out[round(moment * RATE) :][: len(sound)] += sound
    clip = write_wav(tmp_path / "soft.wav", np.clip(out, -1, 1))
    exam = events.find_events(clip)
    assert len(heard(exam)) == 1
    (doubt,) = exam.coverage.not_testable
    assert float(doubt.span.start) < 6.0 < float(doubt.span.end) < 6.5
    assert exam.measures["heard_fraction"].value == 1
    line = build_timeline([exam], None, {"one": clip})
    never = Before("impulse", "impulse:gunshot-like", never=True)
    said = judge(Claim("c", "no shot before", "a witness", never), line)
    assert said.outcome == "undecided" and "near 5.98 s" in said.reason


def test_a_burst_is_counted_singly_and_echoes_are_not_shots(tmp_path: Path) -> None:
    # Three bangs 0.15 s apart; each with an echo 12 dB softer 60 ms later, listed as an echo.
    rng = np.random.default_rng(8)
    out = street(rng, 20)
    truth = (6.0, 6.15, 6.30)
    for moment in truth:
        sound = bang(rng, 0.015)
        for delay, gain in ((0.0, 0.4), (0.06, 0.1)):
            first = round((moment + delay) * RATE)
            out[first : first + len(sound)] += gain * sound
    exam = events.find_events(write_wav(tmp_path / "e.wav", np.clip(out, -1, 1)))
    found = heard(exam)
    assert len(found) == 3
    assert np.abs(np.array(found) - truth).max() < 0.01
    last = exam.observations[-1]
    assert last.measures["first_echo"].value == pytest.approx(60, abs=4)


def test_steady_noise_hides_little(tmp_path: Path) -> None:
    # In steady noise a bang is found that rises 4 dB over it; the noise alone stays empty.
    rng = np.random.default_rng(12)
    noise = 0.05 * rng.standard_normal(30 * RATE)
    assert not heard(events.find_events(write_wav(tmp_path / "n.wav", noise)))
    truth = (6.0, 13.0, 21.0)
    for moment in truth:
        sound = bang(rng, 0.05)
        sound *= 0.05 * 10 ** (4 / 20) / np.sqrt((sound[:160] ** 2).mean())
        noise[round(moment * RATE) :][: len(sound)] += sound
    found = heard(events.find_events(write_wav(tmp_path / "b.wav", noise)))
    assert len(found) == 3 and np.abs(np.array(found) - truth).max() < 0.02


@pytest.mark.parametrize(
    ("gap_s", "count", "least"),
    [(0.12, 10, 9), (0.5, 12, 11), (1.0, 10, 9), (0.55, 40, 37), (0.12, 40, 37)],
)
def test_a_volley_is_not_taken_for_a_drum(gap_s: float, count: int, least: int) -> None:
    # The same sound again and again, evenly: whatever rejects drums by this loses volleys.
    rng = np.random.default_rng(4)
    out = street(rng, 30)
    shot = 0.4 * bang(rng, 0.015)
    truth = 4 + gap_s * np.arange(count)
    for moment in truth:
        first = round(moment * RATE)
        out[first : first + len(shot)] += shot * rng.uniform(0.9, 1.1)
    found = events_impulses.find_impulses(np.clip(out, -1, 1).astype(np.float32))
    times = np.array([f.time_s for f in found])
    assert sum(np.abs(times - t).min() < 0.02 for t in truth) >= least
    assert len(times) <= count


@pytest.mark.parametrize("seed", [1, 2, 4])
def test_the_beginning_of_a_file_is_no_impulse(seed: int) -> None:
    noise = scene((), seed=seed, seconds=12).astype(np.float32)
    assert not events_impulses.find_impulses(noise)
    assert len(events_impulses.find_impulses(noise[:4000])) == 0


# -- several clips --------------------------------------------------------------------------


def placed(clips: list[Clip], offsets: list[float], spread: float) -> Alignment:
    origin = Origin("test", "1", tuple(c.digest for c in clips), {}, {})
    none = Quantity(0.0, "ppm", 0.0, 0.0)
    return Alignment(
        origin, clips[0].digest,
        tuple(
            Placement(c.digest, Quantity(o, "s", o - spread, o + spread), none, "clock", ())
            for c, o in zip(clips, offsets, strict=True)
        ),
        (), (tuple(c.digest for c in clips),), (),
    )  # fmt: skip


def test_arrivals_are_joined_and_the_nearer_clip_named(tmp_path: Path) -> None:
    # Two shots; the second clip stands 68.6 m farther (0.2 s) and starts 1.5 s later.
    one = write_wav(tmp_path / "1.wav", scene((5.0, 9.0), seed=1))
    two = write_wav(tmp_path / "2.wav", scene((3.7, 7.7), seed=2))
    deaf = write_wav(tmp_path / "3.wav", np.zeros(20 * RATE))
    clips = [one, two, deaf]
    exams = {c.digest: events.find_events(c) for c in clips}
    joined = events.associate_events(exams, placed(clips, [0.0, 1.5, 0.0], 0.01))
    assert [len(e.arrivals) for e in joined] == [2, 2]
    for event, truth in zip(joined, (5.0, 9.0), strict=True):
        assert event.at.start == pytest.approx(truth, abs=0.02)
        assert event.nearer == one.digest
        assert event.later_by[two.digest].value == pytest.approx(0.2, abs=0.01)
        low, high = event.farther_by[two.digest].low, event.farther_by[two.digest].high
        assert low is not None and high is not None and low < 68.6 < high
        assert event.absent[0].clip == deaf.digest
        assert event.absent[0].reason == "could-not-hear"


def test_a_difference_within_the_uncertainty_names_nobody(tmp_path: Path) -> None:
    one = write_wav(tmp_path / "1.wav", scene((5.0,), seed=1))
    two = write_wav(tmp_path / "2.wav", scene((5.02,), seed=2))
    exams = {c.digest: events.find_events(c) for c in (one, two)}
    (event,) = events.associate_events(exams, placed([one, two], [0.0, 0.0], 0.1))
    assert len(event.arrivals) == 2 and event.nearer == ""


def test_distant_times_stay_apart(tmp_path: Path) -> None:
    one = write_wav(tmp_path / "1.wav", scene((5.0,), seed=1))
    two = write_wav(tmp_path / "2.wav", scene((8.0,), seed=2))
    exams = {c.digest: events.find_events(c) for c in (one, two)}
    joined = events.associate_events(exams, placed([one, two], [0.0, 0.0], 0.05))
    assert [len(e.arrivals) for e in joined] == [1, 1]


def test_markers_name_time_and_class(tmp_path: Path) -> None:
    exam = events.find_events(write_wav(tmp_path / "m.wav", scene((3.0, 61.5), seconds=65)))
    cues = events.webvtt_markers(exam.observations)
    assert cues.startswith("WEBVTT\n")
    assert "00:00:03.0" in cues and "00:01:01.5" in cues
    labels = events.audacity_labels(exam.observations).splitlines()
    assert len(labels) == 2
    start, end, text = labels[0].split("\t")
    assert float(start) == pytest.approx(3.0, abs=0.01) and float(end) > float(start)
    assert "class of sound" in text


def test_a_mark_says_what_the_finding_says_and_stays_on_its_line() -> None:
    from forensics.model import Discontinuity, Observation, Span

    seen = Observation(
        Discontinuity("audio", "copy-move", "inconsistent", ()), Span.of(7, 9), 0.98,
        note="2.00 s from 3.9 s\tare heard again\n1 --> <b>here",
    )  # fmt: skip
    (line,) = events.audacity_labels([seen]).splitlines()
    assert line.split("\t")[2].startswith("copy-move: inconsistent with an original, score 0.98; ")
    assert "2.00 s from 3.9 s are heard again" in line
    assert events.webvtt_markers([seen]).count("-->") == 1 and "<" not in line


def test_flash_to_bang_is_a_distance_interval() -> None:
    from forensics.model import Flash, Observation, Span
    from forensics.provenance import conclude, method

    @method("test-flash", version="1")
    def made(clips: list[Clip]) -> Examination:
        """A flash at 2.0 s, an impulse at 3.0 s."""
        rise = Quantity(30.0, "", 20.0, 40.0)
        level = Quantity(-10.0, "dBFS", note="made")
        flash = Flash(Fraction(2), None, rise)
        sound = SoundEvent("impulse", Fraction(3), level)
        return conclude(
            [Observation(flash, Span.of(2, 2.04), 0.9), Observation(sound, Span.of(3, 3.1), 0.9)],
            coverage=forensics.model.Coverage(Span.of(0, 9), 9),
        )

    (pair,) = events.match_flashes(made([]))
    assert pair.delay.value == pytest.approx(1.0)
    assert pair.distance.low is not None and pair.distance.high is not None
    assert pair.distance.low < 331 < 343 < pair.distance.high < 380
