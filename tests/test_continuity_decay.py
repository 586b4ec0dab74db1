"""How fast sound dies away, and how channels stand to each other: changes made on purpose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import forensics
from forensics import continuity, continuity_channels, continuity_decay
from forensics.continuity_gather import locate_shifts
from forensics.continuity_grid import Grid, GridShift, locate_shift
from forensics.model import Clip, Discontinuity, Examination
from forensics.scan_sound import Sound

RATE = 8000


def talk(seconds: float, seed: int) -> np.ndarray:
    """Bursts of coloured noise of many lengths, with pauses: what a room can ring after."""
    rng = np.random.default_rng(seed)
    out = np.zeros(round(seconds * RATE), np.float32)
    at = 0
    while at < len(out):
        size = round(rng.uniform(0.05, 0.25) * RATE)
        burst = rng.standard_normal(size) * np.hanning(size) ** 0.3 * rng.uniform(0.5, 1.5)
        out[at : at + size] += burst[: len(out) - at].astype(np.float32)
        at += size + round(rng.uniform(0.15, 0.5) * RATE)
    return out


def heard(dry: np.ndarray, decay_s: float, seed: int, noise: float = 1e-3) -> np.ndarray:
    """In a room that takes `decay_s` for 60 dB."""
    from scipy.signal import fftconvolve

    rng = np.random.default_rng(seed)
    time = np.arange(round(decay_s * RATE)) / RATE
    response = rng.standard_normal(len(time)) * np.exp(-6.9 * time / decay_s)
    response[0] = 3.0
    wet = fftconvolve(dry, response)[: len(dry)]
    found: np.ndarray = 0.1 * wet / wet.std() + noise * rng.standard_normal(len(dry))
    return found.astype(np.float32)


def changes(samples: np.ndarray) -> list[continuity_decay.RoomChange]:
    finder = continuity_decay.DecayFinder()
    for first in range(0, len(samples), finder.step):
        last = first + finder.size >= len(samples)
        finder.push(samples[first : first + finder.size], first, last)
        if last:
            break
    return continuity_decay.find_room_changes(finder.finish(), len(samples) / RATE)[0]


def test_two_rooms_are_told_apart_and_one_is_one_room() -> None:
    dry = talk(50, 1)
    cut = 24 * RATE
    near, far = heard(dry, 0.25, 2), heard(dry, 0.9, 3)
    (change,) = changes(np.concatenate([near[:cut], far[cut:]]))
    assert abs(change.at_s - 24) < 1 and change.low_s <= 24 <= change.high_s
    assert change.after < change.before and change.ratio_high < 1
    # The other way round the sign turns and the place stays.
    (back,) = changes(np.concatenate([far[:cut], near[cut:]]))
    assert back.z * change.z < 0 and abs(back.at_s - 24) < 1
    assert changes(near) == [] and changes(far) == []


def test_noise_that_rises_is_not_another_room() -> None:
    one = heard(talk(50, 4), 0.5, 5)
    hiss = np.random.default_rng(6).standard_normal(len(one)).astype(np.float32)
    hiss[: 25 * RATE] *= 0.002
    hiss[25 * RATE :] *= 0.01
    assert changes(one + hiss) == []


def test_where_nothing_dies_away_freely_it_says_not_testable() -> None:
    steady = np.random.default_rng(7).standard_normal(30 * RATE).astype(np.float32) * 0.1
    falls = continuity_decay.measure_decays(steady)
    found, blind = continuity_decay.find_room_changes(falls, 30.0)
    assert found == [] and blind == [(0.0, 30.0)]


def test_blocks_give_what_one_piece_gives() -> None:
    samples = heard(talk(60, 8), 0.5, 9)
    whole = continuity_decay.measure_decays(samples)
    finder = continuity_decay.DecayFinder()
    for first in range(0, len(samples), finder.step):
        last = first + finder.size >= len(samples)
        finder.push(samples[first : first + finder.size], first, last)
        if last:
            break
    pieces = finder.finish()
    assert abs(len(pieces) - len(whole)) <= 0.01 * len(whole)


# -- channels -------------------------------------------------------------------------------


def relations(samples: np.ndarray, rate: int = RATE) -> np.ndarray:
    meter = continuity_channels.RelationMeter(rate)
    for first in range(0, len(samples), 5000):
        meter.push(samples[first : first + 5000])
    return meter.finish()


@pytest.mark.parametrize(
    ("right", "kind"), [(1.0, 1), (0.3, 1), (-1.0, 2), (0.0, 3), (None, 4)],
)  # fmt: skip
def test_channels_are_alike_opposed_silent_or_different(right: float | None, kind: int) -> None:
    left = talk(6, 10) * 0.1
    other = talk(6, 11) * 0.1 if right is None else right * left
    found = relations(np.stack([left, other], axis=1))
    assert set(found[:, 0]) == {kind}
    assert continuity_channels.to_examine(found, 2) == ([] if kind == 1 else [0, 1])


def test_a_change_of_relation_is_placed() -> None:
    left, other = talk(20, 12) * 0.1, talk(20, 13) * 0.1
    right = np.where(np.arange(len(left)) < 9.5 * RATE, left, other)
    (change,) = continuity_channels.find_relation_changes(
        relations(np.stack([left, right], axis=1)), RATE
    )
    assert change.before == "alike" and change.after == "different"
    assert change.low <= 9.5 * RATE <= change.high
    assert not continuity_channels.find_relation_changes(
        relations(np.stack([left, -left], axis=1)), RATE
    )


def write(path: Path, samples: np.ndarray, rate: int) -> Clip:
    import soundfile

    soundfile.write(path, samples, rate, subtype="PCM_16")
    return forensics.open_clip(path)


def seen(exam: Examination, kind: str) -> list[str]:
    return [
        o.note for o in exam.observations
        if isinstance(o.what, Discontinuity) and o.what.kind == kind
    ]  # fmt: skip


def test_opposed_channels_whose_mean_is_nothing_are_examined_one_by_one(tmp_path: Path) -> None:
    left = heard(talk(16, 14), 0.3, 14)
    left[9 * RATE : round(9.8 * RATE)] = left[3 * RATE : round(3.8 * RATE)]
    exam = continuity.find_splices(
        write(tmp_path / "opposed.wav", np.stack([left, -left], axis=1), RATE)
    )
    assert exam.measures["channels_alone"].value == 2
    assert any("channel 1 alone" in note for note in seen(exam, "copy-move"))
    assert "each of 2 channels" in exam.reason
    alike = continuity.find_splices(
        write(tmp_path / "alike.wav", np.stack([left, left], axis=1), RATE)
    )
    assert alike.measures["channels_alone"].value == 0
    assert seen(alike, "copy-move") and "channel" not in seen(alike, "copy-move")[0]


# -- memory ---------------------------------------------------------------------------------


def test_shifts_are_located_alike_from_pieces_and_from_the_whole() -> None:
    from fractions import Fraction

    samples = talk(12, 15)
    one, two = Grid(100, "kbd", 9.0), Grid(700, "kbd", 9.0)
    shifts = [
        GridShift(low, low + 30_000, one, two, 600, 9.0, 0) for low in (1_000, 20_000, 60_000)
    ]
    pieces = [
        Sound(samples[k : k + 7_000, None], RATE, Fraction(k, RATE))
        for k in range(0, len(samples), 7_000)
    ]
    whole = [locate_shift(samples[s.low : s.high], s.low, s) for s in shifts]
    assert locate_shifts(pieces, shifts) == whole
