"""Hum made with a wandering mains frequency, cut at known places; and recordings without hum."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import forensics
from forensics import enf, enf_breaks, enf_hum
from forensics.model import Clip, Discontinuity, Offset
from forensics.provenance import check_replay, replay

MEDIA = Path(
    os.environ.get("FORENSICS_MEDIA", Path(__file__).resolve().parents[2] / "shared" / "media")
)
RATE = 2000


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Clip:
    import soundfile

    soundfile.write(path, samples, rate, subtype="PCM_16")
    return forensics.open_clip(path)


def mains(seconds: float, seed: int = 1, nominal: float = 50.0) -> np.ndarray:
    """Phase of a wandering mains, in turns."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.standard_normal(int(seconds) + 2)) * 0.002
    walk -= np.linspace(walk[0], walk[-1], len(walk))
    frequency = nominal + np.interp(
        np.arange(round(seconds * RATE)) / RATE, np.arange(len(walk)), walk
    )
    return np.cumsum(frequency) / RATE


def hum(
    turns: np.ndarray, level: float = 0.02, harmonics: tuple[int, ...] = (2, 4, 6)
) -> np.ndarray:
    return level * sum(np.sin(2 * np.pi * h * turns + h) / h for h in harmonics)


def noise(seconds: float, seed: int = 5) -> np.ndarray:
    return 0.02 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def test_hum_is_measured_with_its_ratio_and_harmonics(tmp_path: Path) -> None:
    clip = write_wav(tmp_path / "h.wav", hum(mains(60)) + noise(60))
    found = enf.measure_hum(clip)
    assert found.measurable and found.nominal_hz == 50
    assert set(found.harmonics) <= {2, 4, 6} and 2 in found.harmonics
    # Power of three sines of 0.02/h against noise of 0.02.
    truth = 10 * np.log10(sum((0.02 / h) ** 2 / 2 for h in (2, 4, 6)) / 0.02**2)
    assert found.ratio.value == pytest.approx(truth, abs=1.5)
    assert found.frequency.value == pytest.approx(50.0, abs=0.05)


def test_without_hum_the_answer_is_not_measurable(tmp_path: Path) -> None:
    clip = write_wav(tmp_path / "n.wav", noise(40))
    assert not enf.measure_hum(clip).measurable
    exam = enf.find_phase_breaks(clip)
    assert exam.outcome == "not-applicable" and "not measurable" in exam.reason
    assert exam.reason.index("hum-to-rest") < exam.reason.index("harmonic")
    assert "hum_to_rest" in exam.measures


def test_a_machine_between_the_harmonics_is_not_mains(tmp_path: Path) -> None:
    time = np.arange(40 * RATE) / RATE
    clip = write_wav(tmp_path / "e.wav", 0.05 * np.sin(2 * np.pi * 83 * time) + noise(40))
    assert not enf.measure_hum(clip).measurable


@pytest.mark.parametrize("gone", [3.0037, 1.0072])
def test_a_cut_is_placed_with_its_length_modulo_the_period(tmp_path: Path, gone: float) -> None:
    turns = mains(70)
    whole = hum(turns) + noise(70)
    at, less = 31 * RATE, round(gone * RATE)
    gone = less / RATE
    cut = np.concatenate([whole[:at], whole[at + less :]])
    clip = write_wav(tmp_path / "c.wav", cut)
    exam = enf.find_phase_breaks(clip)
    assert exam.outcome == "found"
    (found,) = exam.observations
    assert isinstance(found.what, Discontinuity) and found.what.removed is not None
    assert found.span is not None and float(found.span.start) <= 31.2
    assert abs(float(found.span.start + found.span.end) / 2 - 31) < 1
    period = 0.01  # only even harmonics are heard
    error = (found.what.removed.value - gone + period / 2) % period - period / 2
    assert abs(error) < 0.0008
    removed, stated = found.what.removed, found.measures["period"]
    assert removed.low is not None and stated.low is not None and stated.high is not None
    count = round((gone - removed.value) / stated.value)
    wide = removed.value - removed.low + count * (stated.high - stated.low) / 2
    assert abs(gone - removed.value - count * stated.value) <= wide < 0.002
    assert enf.find_phase_breaks(write_wav(tmp_path / "w.wav", whole)).outcome == "nothing-found"
    check_replay(exam, replay(exam, [clip]))


def test_a_small_turn_is_found_where_the_hum_is_clear(tmp_path: Path) -> None:
    # 18 degrees at 100 Hz; the harmonics turn by 36 and 54.
    whole = hum(np.arange(50 * RATE) * 50.02 / RATE) + 0.3 * noise(50)
    cut = np.concatenate([whole[: 25 * RATE], whole[25 * RATE + 601 :]])
    (found,) = enf.find_phase_breaks(write_wav(tmp_path / "c.wav", cut)).observations
    assert found.span is not None and abs(float(found.span.start) - 24.5) < 1
    assert set(found.measures) == {"jump", "period", "strength", "harmonics"}
    assert found.measures["harmonics"].value >= 2


@pytest.mark.parametrize("cut", [False, True])
def test_another_microphone_is_no_cut(tmp_path: Path, cut: bool) -> None:
    # Its filter turns each harmonic by an angle of its own; a cut shifts all by one time.
    from scipy.signal import butter, sosfilt

    whole = hum(mains(64), harmonics=(1, 2, 4, 6)) + 0.1 * noise(64)
    other = sosfilt(butter(2, 90, "high", fs=RATE, output="sos"), whole)
    after = whole[round(33.0043 * RATE) :] if cut else other[31 * RATE :]
    clip = write_wav(tmp_path / "m.wav", np.concatenate([whole[: 31 * RATE], after]))
    exam = enf.find_phase_breaks(clip)
    unlike = [
        b for b in exam.coverage.not_testable
        if b.span.start < 31 < b.span.end and "microphone" in b.reason
    ]  # fmt: skip
    assert len(exam.observations) == cut and bool(unlike) != cut


def test_weak_hum_is_told_by_longer_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 54 degrees at 100 Hz under white noise of 34 times the power of the hum.
    whole = hum(np.arange(94 * RATE) * 50.01 / RATE) + 2.4 * noise(94)
    cut = np.concatenate([whole[: 45 * RATE], whole[45 * RATE + 2003 :]])
    clip = write_wav(tmp_path / "c.wav", cut)
    (found,) = enf.find_phase_breaks(clip).observations
    assert found.span is not None and float(found.span.start) < 45 < float(found.span.end)
    monkeypatch.setattr(enf_breaks, "SCALES", enf_breaks.SCALES[:2])
    assert not enf.find_phase_breaks(clip).observations


def test_a_cut_of_whole_periods_stays_unseen(tmp_path: Path) -> None:
    turns = np.arange(60 * RATE) * 50 / RATE
    whole = hum(turns) + noise(60)
    cut = np.concatenate([whole[: 30 * RATE], whole[32 * RATE :]])
    exam = enf.find_phase_breaks(write_wav(tmp_path / "p.wav", cut))
    assert exam.outcome == "nothing-found"


@pytest.mark.parametrize(
    ("left", "right", "channel"),
    [(1.0, -1.0, "left minus right"), (0.0, 1.0, "right"), (1.0, 1.0, "mean of all")],
)
def test_the_channel_with_the_hum_is_taken_and_named(
    tmp_path: Path, left: float, right: float, channel: str
) -> None:
    both = hum(mains(60)) + 0.2 * noise(60)
    talk = noise(60, 7)
    at, less = 31 * RATE, round(1.0037 * RATE)
    stereo = np.stack([left * both, right * both], axis=1)
    # The dead channel is not silent, and what is said reaches both microphones alike.
    stereo += (0.3 * talk)[:, None] + (0.02 * noise(60, 8))[:, None] * (left == 0)
    stereo = np.concatenate([stereo[:at], stereo[at + less :]])
    exam = enf.find_phase_breaks(write_wav(tmp_path / "s.wav", stereo))
    (found,) = exam.observations
    assert found.span is not None and float(found.span.start) < 31 < float(found.span.end)
    assert channel in exam.reason and channel in found.note


def test_a_speaking_voice_whose_pitch_crosses_the_hum_is_no_jump(tmp_path: Path) -> None:
    # Harmonics of 90 to 130 Hz that sweep over the line, three times as loud, in words of 0.6 s.
    rng = np.random.default_rng(2)
    time = np.arange(60 * RATE) / RATE
    pitch = 110 + 20 * np.sin(2 * np.pi * 0.37 * time)
    words = np.repeat(rng.random(100) < 0.6, round(0.6 * RATE))[: len(time)]
    talk = 0.06 * words * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    line = hum(mains(64)) + 0.1 * noise(64)
    whole = enf.find_phase_breaks(write_wav(tmp_path / "w.wav", line[: len(talk)] + talk))
    assert whole.outcome == "nothing-found"
    cut = np.concatenate([line[: 31 * RATE], line[round(33.0043 * RATE) :]])[: len(talk)]
    exam = enf.find_phase_breaks(write_wav(tmp_path / "c.wav", cut + talk))
    (found,) = exam.observations
    assert found.span is not None and float(found.span.start) < 31 < float(found.span.end)


def test_hum_beside_the_mains_is_not_mains(tmp_path: Path) -> None:
    # The same recording played 2.5 % faster: its hum is still there, but no longer at the mains.
    moved = hum(1.025 * mains(60)) + noise(60)
    assert not enf.measure_hum(write_wav(tmp_path / "m.wav", moved)).measurable


def test_a_clock_that_ticks_is_not_mains(tmp_path: Path) -> None:
    ticks = np.zeros(60 * RATE)
    ticks[:: round(RATE / 5.0)] = 0.5
    clip = write_wav(tmp_path / "t.wav", ticks + 0.3 * noise(60))
    assert not enf.measure_hum(clip).measurable


def test_too_short_is_not_applicable(tmp_path: Path) -> None:
    exam = enf.find_phase_breaks(write_wav(tmp_path / "s.wav", noise(5)))
    assert exam.outcome == "not-applicable" and "too short" in exam.reason


def test_a_clip_is_placed_on_its_reference_and_refused_on_another(tmp_path: Path) -> None:
    turns = mains(700, seed=3)
    reference = write_wav(tmp_path / "r.wav", hum(turns, 0.2, (1, 2))[::5], RATE // 5)
    part = slice(150 * RATE, 570 * RATE)
    clip = write_wav(tmp_path / "q.wav", hum(turns[part]) + 0.5 * noise(420))
    exam = enf.match_reference(clip, reference=reference, surrogates=400, largest_false_match=0.01)
    assert exam.outcome == "found"
    (found,) = exam.observations
    assert isinstance(found.what, Offset)
    assert found.what.offset.value == pytest.approx(150, abs=2)
    assert found.what.offset.low is not None and found.what.offset.high is not None
    assert found.what.offset.low <= 150 <= found.what.offset.high
    other = write_wav(tmp_path / "o.wav", hum(mains(700, seed=8), 0.2, (1, 2))[::5], RATE // 5)
    refused = enf.match_reference(clip, reference=other, surrogates=400, largest_false_match=0.01)
    assert refused.outcome == "nothing-found" and "refused" in refused.reason


def test_a_short_clip_is_not_dated(tmp_path: Path) -> None:
    turns = mains(100)
    reference = write_wav(tmp_path / "r.wav", hum(turns, 0.2, (1, 2))[::5], RATE // 5)
    clip = write_wav(tmp_path / "q.wav", hum(turns[: 60 * RATE]) + noise(60))
    exam = enf.match_reference(clip, reference=reference)
    assert exam.outcome == "not-applicable" and "too short" in exam.reason


def test_demodulation_does_not_depend_on_the_pieces() -> None:
    samples = np.sin(2 * np.pi * 100.02 / 1000 * np.arange(130_000)).astype(np.float32)
    phasors = enf_hum.demodulate(samples, 100.0)
    middle = phasors[40:-40]
    assert np.abs(np.abs(middle) - 1).max() < 0.01
    turned = np.unwrap(np.angle(middle))
    slope = np.polyfit(np.arange(len(middle)) / enf_hum.BASE_HZ, turned, 1)[0]
    assert slope / 2 / np.pi == pytest.approx(0.02, abs=1e-4)


@pytest.mark.skipif(not (MEDIA / "enf/enfify").exists(), reason="the media folder is not here")
@pytest.mark.parametrize(
    ("name", "truth"), [("synthetic_cut_0", 29.0), ("whu_cut_min_001_ref", 37.0)]
)
def test_the_real_cut_samples(name: str, truth: float) -> None:
    folder = MEDIA / "enf/enfify/samples"
    exam = enf.find_phase_breaks(forensics.open_clip(folder / f"{name}.wav"))
    (found,) = exam.observations
    assert found.span is not None
    assert abs(float(found.span.start + found.span.end) / 2 - truth) < 1
    uncut = enf.find_phase_breaks(
        forensics.open_clip(folder / f"{name.replace('cut', 'uncut')}.wav")
    )
    assert uncut.outcome == "nothing-found"
