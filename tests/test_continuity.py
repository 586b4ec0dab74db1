"""Splices, copies and gaps made on purpose, and their untouched controls."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import forensics
from forensics import (
    continuity,
    continuity_copies,
    continuity_grid,
    continuity_mdct,
    continuity_room,
    enf,
    events,
)
from forensics.continuity_control import encode_sound
from forensics.errors import PolicyError
from forensics.model import Clip, Discontinuity, Examination, Observation, Span
from forensics.provenance import check_replay, replay
from forensics.scan_sound import read_sound
from forensics.tools import run_tool

MEDIA = Path(
    os.environ.get("FORENSICS_MEDIA", Path(__file__).resolve().parents[2] / "shared" / "media")
)
RATE = 24000


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Clip:
    import soundfile

    soundfile.write(path, samples, rate, subtype="PCM_16")
    return forensics.open_clip(path)


def voices(seconds: float, seed: int = 1, rate: int = RATE) -> np.ndarray:
    """Buzzes that change pitch and colour with pauses, over a room's noise."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    time = np.arange(count) / rate
    pitch = 120 + 40 * np.interp(time, np.arange(0, seconds + 1, 0.4)[: int(seconds / 0.4) + 2],
                                 rng.standard_normal(int(seconds / 0.4) + 2))  # fmt: skip
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.sin(k * phase + rng.random() * 6) / k**1.2 for k in range(1, 30))
    knots = np.arange(0, seconds + 1, 0.17)
    gate = np.clip(np.interp(time, knots, rng.standard_normal(len(knots))), 0, 1)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum /= np.maximum(1, np.fft.rfftfreq(count, 1 / rate) / 600)
    noise = np.fft.irfft(spectrum, count)
    return (0.12 * buzz * gate + 0.01 * noise / noise.std()).astype(np.float32)


def through(folder: Path, samples: np.ndarray, codec: str, bit_rate: int = 64000) -> np.ndarray:
    path = encode_sound(samples, RATE, folder / f"x.{codec}", codec=codec, bit_rate=bit_rate)
    decoded = read_sound(forensics.open_clip(path)).mono
    path.unlink()
    return decoded


def seen(exam: Examination, kind: str) -> list[Observation]:
    return [
        o for o in exam.observations if isinstance(o.what, Discontinuity) and o.what.kind == kind
    ]


# -- the frame grid -------------------------------------------------------------------------


def test_the_grid_of_decoded_aac_is_found_where_it_was_coded(tmp_path: Path) -> None:
    coded = through(tmp_path, voices(8), "aac")
    for moved in (0, 300):
        found = continuity_grid.search_grid(coded[moved : 5 * RATE].astype(np.float32))
        assert found, "the grid is there"
        offset, shape, z = found[0]
        assert (offset + moved) % 1024 == 0 and shape == "kbd" and z > 10
    assert continuity_grid.search_grid(voices(5)) == []


def test_a_cut_in_coded_sound_is_placed_with_the_exact_shift(tmp_path: Path) -> None:
    coded = through(tmp_path, voices(20), "aac")
    at, gone = 9 * RATE + 77, 2 * RATE + 311
    cut = np.concatenate([coded[:at], coded[at + gone :]])
    exam = continuity.find_splices(write_wav(tmp_path / "cut.wav", cut))
    (shift,) = seen(exam, "frame-grid-shift")
    assert isinstance(shift.what, Discontinuity) and shift.what.removed is not None
    assert shift.what.removed.value == gone % 1024
    assert shift.what.verdict == "inconsistent"
    assert shift.span is not None
    assert float(shift.span.start) - 0.1 <= at / RATE <= float(shift.span.end) + 0.1
    assert float(shift.span.length) < 1.0
    assert shift.what.explanations[0].rank == 1 and any(e.benign for e in shift.what.explanations)
    control = continuity.find_splices(write_wav(tmp_path / "whole.wav", coded))
    assert not seen(control, "frame-grid-shift")
    assert control.measures["traced"].value > 0.8
    check_replay(exam, replay(exam, [forensics.open_clip(tmp_path / "cut.wav")]))


def test_sound_that_was_never_coded_shows_no_trace_and_says_so(tmp_path: Path) -> None:
    clip = write_wav(tmp_path / "raw.wav", voices(14))
    exam = continuity.find_splices(clip)
    assert exam.measures["grids"].value == 0
    assert any("no trace" in n.reason for n in exam.coverage.not_testable)
    assert "no trace" in exam.reason
    assert continuity.measure_codec_generations(clip) == ()


def test_generations_are_listed_by_their_grids(tmp_path: Path) -> None:
    once = through(tmp_path, voices(14), "aac")
    twice = through(tmp_path, once[400:], "aac", bit_rate=160000)
    traces = continuity.measure_codec_generations(write_wav(tmp_path / "two.wav", twice))
    assert {t.offset for t in traces} == {0, 624}
    assert [t.role for t in traces].count("last") == 1


def test_the_grid_of_decoded_mp3_is_found_and_its_cut_measured_modulo_576(tmp_path: Path) -> None:
    coded = through(tmp_path, voices(20), "libmp3lame", bit_rate=40000)
    (trace,) = continuity.measure_codec_generations(write_wav(tmp_path / "m.wav", coded))
    assert trace.window == "mp3" and trace.share.value > 0.7
    at, gone = 9 * RATE + 77, RATE + 311
    cut = np.concatenate([coded[:at], coded[at + gone :]])
    exam = continuity.find_splices(write_wav(tmp_path / "cut.wav", cut))
    (shift,) = seen(exam, "frame-grid-shift")
    assert isinstance(shift.what, Discontinuity) and shift.what.removed is not None
    assert shift.what.removed.value == gone % 576 and shift.stratum == "MP3 grid"
    assert not seen(continuity.find_splices(write_wav(tmp_path / "w.wav", coded)),
                    "frame-grid-shift")  # fmt: skip


def test_the_filter_bank_is_linear_and_stands_still_only_at_its_own_place() -> None:
    # Twice as loud is log 2 higher at every offset; both transforms keep the energy of noise.
    noise = np.random.default_rng(3).standard_normal(9000).astype(np.float32)
    starts, offsets = np.array([1000, 2000]), np.arange(0, 576, 32)
    for kind in continuity_mdct.KINDS:
        one = continuity_mdct.measure_collapse(noise, starts, offsets, kind)
        two = continuity_mdct.measure_collapse(2 * noise, starts, offsets, kind)
        assert np.allclose(two - one, np.log(2), atol=1e-3)
        # The mean log magnitude of a unit Gaussian is -0.635.
        assert float(one.mean()) == pytest.approx(-0.635, abs=0.08)


def test_shifts_by_multiples_of_128_are_what_vorbis_does(tmp_path: Path) -> None:
    coded = through(tmp_path, voices(20), "aac")
    at, gone = 9 * RATE + 77, 2 * RATE - 2 * RATE % 128 + 256
    cut = np.concatenate([coded[:at], coded[at + gone :]])
    (shift,) = seen(
        continuity.find_splices(write_wav(tmp_path / "v.wav", cut)), "frame-grid-shift"
    )
    assert isinstance(shift.what, Discontinuity) and shift.what.verdict == "inconclusive"
    assert shift.what.explanations[0].benign and "Vorbis" in shift.what.explanations[0].text


@pytest.mark.skipif(not (MEDIA / "audio_multi/bbc").exists(), reason="the media folder is not here")
@pytest.mark.parametrize("name", ["r4_excerpt.ogg", "r4_excerpt2.ogg"])
def test_broadcast_excerpts_in_vorbis_are_not_condemned(name: str) -> None:
    exam = continuity.find_splices(forensics.open_clip(MEDIA / "audio_multi/bbc" / name))
    for shift in seen(exam, "frame-grid-shift"):
        assert isinstance(shift.what, Discontinuity) and shift.what.verdict == "inconclusive"


# -- copies ---------------------------------------------------------------------------------


def test_a_stretch_copied_over_another_is_found(tmp_path: Path) -> None:
    original = voices(20)
    changed = original.copy()
    changed[12 * RATE : 14 * RATE] = original[4 * RATE : 6 * RATE]
    exam = continuity.find_splices(write_wav(tmp_path / "c.wav", changed))
    (copy,) = seen(exam, "copy-move")
    assert copy.span is not None
    assert abs(float(copy.span.start) - 12) < 0.05 and abs(float(copy.span.end) - 14) < 0.05
    assert copy.measures["source"].value == pytest.approx(4.0, abs=0.05)
    assert not seen(continuity.find_splices(write_wav(tmp_path / "o.wav", original)), "copy-move")


def test_sound_that_is_a_loop_is_not_condemned(tmp_path: Path) -> None:
    looped = np.tile(voices(1.7), 8)
    copies = seen(continuity.find_splices(write_wav(tmp_path / "loop.wav", looped)), "copy-move")
    assert copies
    for copy in copies:
        assert isinstance(copy.what, Discontinuity) and copy.what.verdict == "inconclusive"
        assert copy.what.explanations[0].benign


def test_the_same_sound_said_twice_is_not_a_copy() -> None:
    # The same voice pattern over other noise: alike to the ear, not sample by sample.
    rate = continuity_copies.RATE_HZ
    one = voices(20, rate=rate)
    again = one.copy()
    again[12 * rate : 14 * rate] += 0.02 * np.random.default_rng(9).standard_normal(2 * rate)
    finder = continuity_copies.RepeatFinder()
    finder.push(again[: finder.size].astype(np.float32), 0)
    assert not [r for r in finder.repeats if r.likeness > 0.45]


@pytest.mark.skipif(not (MEDIA / "enf/pyenf").exists(), reason="the media folder is not here")
@pytest.mark.parametrize("number", [1, 2])
def test_the_real_attacked_pairs(number: int) -> None:
    folder = MEDIA / "enf/pyenf/attack recordings"
    exam = continuity.find_splices(
        forensics.open_clip(folder / f"attacked_audio_recording ({number}).wav")
    )
    copies = seen(exam, "copy-move")
    start = min(float(o.span.start) for o in copies if o.span)
    end = max(float(o.span.end) for o in copies if o.span)
    assert start == pytest.approx(7.8948, abs=0.05) and end == pytest.approx(13.8855, abs=0.05)
    genuine = continuity.find_splices(
        forensics.open_clip(folder / f"audio_recording ({number}).wav")
    )
    assert not seen(genuine, "copy-move")


# -- the room -------------------------------------------------------------------------------


def test_a_step_of_the_noise_floor_is_found_and_its_benign_reasons_come_first(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(2)
    samples = voices(18)
    samples[11 * RATE :] += 0.05 * rng.standard_normal(7 * RATE).astype(np.float32)
    exam = continuity.find_splices(write_wav(tmp_path / "n.wav", samples))
    (step,) = seen(exam, "noise-floor-step")
    assert isinstance(step.what, Discontinuity) and step.span is not None
    assert step.what.verdict == "inconclusive" and step.what.explanations[0].benign
    assert abs(float(step.span.start + step.span.end) / 2 - 11) < 0.4
    assert not seen(continuity.find_splices(write_wav(tmp_path / "w.wav", voices(18))),
                    "noise-floor-step")  # fmt: skip


def test_gain_that_recovers_slowly_is_not_a_step() -> None:
    samples = voices(24)
    gain = np.ones(len(samples))
    after = np.arange(len(samples) - 11 * RATE) / RATE
    gain[11 * RATE :] = 1 - 0.9 * np.exp(-after / 2.5)
    gain[10 * RATE : 11 * RATE] = np.linspace(1, 0.1, RATE)
    levels = continuity_room.measure_room((samples * gain).astype(np.float32), RATE)
    assert continuity_room.find_floor_steps(levels) == []


def test_a_change_of_bandwidth_is_found() -> None:
    from scipy.signal import butter, sosfiltfilt

    rng = np.random.default_rng(4)
    samples = voices(30) + 0.05 * rng.standard_normal(30 * RATE) * np.abs(voices(30, seed=7)) * 20
    narrow = sosfiltfilt(butter(12, 4000, fs=RATE, output="sos"), samples)
    joined = np.concatenate([samples[: 15 * RATE], narrow[15 * RATE :]]).astype(np.float32)
    joined += 1e-4 * rng.standard_normal(len(joined)).astype(np.float32)
    (change,) = continuity_room.find_band_changes(continuity_room.measure_room(joined, RATE))
    assert abs(change.row * continuity_room.HOP_S - 15) < 0.5
    assert change.after * RATE / 2 == pytest.approx(4000, abs=600)
    whole = continuity_room.measure_room(samples.astype(np.float32), RATE)
    assert continuity_room.find_band_changes(whole) == []


def test_digital_silence_inside_is_reported_and_at_the_ends_is_not(tmp_path: Path) -> None:
    samples = voices(10)
    samples[: RATE // 20] = 0
    samples[4 * RATE : 4 * RATE + RATE // 2] = 0
    exam = continuity.find_splices(write_wav(tmp_path / "z.wav", samples))
    (silence,) = seen(exam, "digital-silence")
    assert silence.span is not None
    assert float(silence.span.start) == pytest.approx(4.0, abs=0.001)
    assert float(silence.span.length) == pytest.approx(0.5, abs=0.002)


def test_silence_is_found_across_pieces() -> None:
    samples = np.random.default_rng(0).standard_normal((3000, 2)).astype(np.float32)
    samples[900:1700] = 0
    finder = continuity_room.SilenceFinder(least=200)
    for first in range(0, 3000, 500):
        finder.push(samples[first : first + 500], first)
    assert [(s.first, s.last) for s in finder.finish()] == [(900, 1700)]


def test_two_clipping_ceilings_are_two_gains() -> None:
    rng = np.random.default_rng(1)
    loud = np.clip(rng.standard_normal(20 * RATE) * 0.7, -0.9, 0.9).astype(np.float32)
    loud[10 * RATE :] *= 0.6
    ceilings = continuity_room.measure_ceilings(loud, RATE)
    changes = continuity_room.find_ceiling_changes(ceilings)
    assert changes and abs(changes[0].low - 10) <= 1
    assert changes[0].before == pytest.approx(0.9, abs=0.01)
    same = continuity_room.measure_ceilings(loud[: 9 * RATE], RATE)
    assert continuity_room.find_ceiling_changes(same) == []


# -- outcomes, control, listening copy ------------------------------------------------------


def test_too_short_is_not_applicable(tmp_path: Path) -> None:
    exam = continuity.find_splices(write_wav(tmp_path / "s.wav", voices(0.5)))
    assert exam.outcome == "not-applicable" and "are needed, there are" in exam.reason
    assert "SignalTooShort" not in exam.reason


def test_digital_silence_throughout_finds_nothing(tmp_path: Path) -> None:
    exam = continuity.find_splices(write_wav(tmp_path / "q.wav", np.zeros(8 * RATE)))
    assert exam.outcome == "nothing-found"
    assert any("too quiet" in n.reason for n in exam.coverage.not_testable)


def test_the_control_experiment_sees_cuts_in_coded_sound_only(tmp_path: Path) -> None:
    coded = through(tmp_path, voices(14), "aac")
    power = continuity.measure_power(write_wav(tmp_path / "a.wav", coded), trials=1)
    assert power["seen"].value == 1.0 and power["alarms"].value == 0.0
    power = continuity.measure_power(write_wav(tmp_path / "b.wav", voices(14)), trials=1)
    assert power["seen"].value == 0.0
    assert power["seen"].high is not None and power["seen"].high > 0.5


def test_a_listening_copy_is_marked_and_refused_as_material(tmp_path: Path) -> None:
    clip = write_wav(tmp_path / "l.wav", voices(6))
    before = clip.path.read_bytes()
    out = continuity.write_listening_copy(clip, out=tmp_path / "listen.wav")
    assert clip.path.read_bytes() == before
    record = json.loads((tmp_path / "listen.wav.json").read_text())
    assert record["made_from_sha256"] == clip.digest and "NOT EVIDENCE" in record["what"]
    copy = forensics.open_clip(out)
    sound = read_sound(copy)
    assert sound.duration_s == pytest.approx(6.0, abs=0.01)
    level = 20 * np.log10(float(np.sqrt((sound.mono**2).mean())))
    assert -30 < level < -14
    refused = continuity.find_splices(copy)
    assert refused.outcome == "failed" and "listening copy" in refused.reason
    for refusing in (enf.find_phase_breaks, events.find_events):
        other = refusing(copy)
        assert other.outcome == "failed" and "listening copy" in other.reason
    for suffix in ("flac", "mka", "m4a", "ogg"):
        again = tmp_path / f"again.{suffix}"
        run_tool("ffmpeg", ["-loglevel", "error", "-i", str(out), str(again)])
        other = continuity.find_splices(forensics.open_clip(again))
        assert other.outcome == "failed" and "listening copy" in other.reason, suffix
    with pytest.raises(PolicyError):
        continuity.write_listening_copy(clip, out=out)


def test_the_listening_copy_keeps_the_clock(tmp_path: Path) -> None:
    samples = 0.003 * np.random.default_rng(1).standard_normal(6 * RATE)
    samples[3 * RATE : 3 * RATE + 2400] += 0.3 * np.sin(np.arange(2400) * 0.2)
    clip = write_wav(tmp_path / "t.wav", samples)
    copy = continuity.write_listening_copy(clip, out=tmp_path / "o.wav")
    heard = read_sound(forensics.open_clip(copy)).mono
    assert int(np.argmax(np.abs(heard) > 0.5 * np.abs(heard).max())) / 16000 == pytest.approx(
        3.0, abs=0.02
    )


def test_a_likeness_is_not_said_to_be_a_copy_sample_by_sample() -> None:
    from fractions import Fraction
    from types import SimpleNamespace

    from forensics.continuity_copies import Repeat
    from forensics.continuity_said import repeat_observations

    def said(likeness: float) -> Observation:
        repeat = Repeat(first_s=2.0, second_s=20.0, length_s=1.4, likeness=likeness, z=9.0)
        found = SimpleNamespace(
            repeats=SimpleNamespace(repeats=[repeat]), span=Span.of(0, 60), start=Fraction(0)
        )
        [seen] = repeat_observations(found)  # type: ignore[arg-type]
        return seen

    exact, alike = said(0.95), said(0.55)
    assert "sample by sample;" in exact.note and exact.what.verdict == "inconsistent"  # type: ignore[union-attr]
    assert "alike to 0.55 of 1, not sample by sample" in alike.note
    # An instrument that plays its stored sounds is the first thing to be asked about there.
    first = alike.what.explanations[0]  # type: ignore[union-attr]
    assert first.benign and first.name == "stored-sound"
    assert any(e.name == "stored-sound" for e in exact.what.explanations)  # type: ignore[union-attr]
