"""How far a count can be trusted, and what could be found at all: for ``benchmarks/events.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from events_scenes import Scene

from forensics import calibration, events_impulses

#: In so many of twelve bands an impulse must stand out by 3 dB to be seen at all in a spectrogram.
SEEN_BANDS = 3


def share(hit: int, count: int) -> dict[str, Any]:
    """Counts with the 95 % interval."""
    if not count:
        return {"found": 0, "of": 0}
    rate = calibration.item_rate(hit, count)
    return {"found": hit, "of": count, "interval_95": [round(rate.low, 3), round(rate.high, 3)]}


@dataclass
class Bounds:
    """How often the truth lies in the count's interval, scene by scene."""

    within: int = 0
    scenes: int = 0
    above: int = 0
    whole: int = 0
    widths: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=lambda: [0, 0, 0])
    first_lost: int = 0
    impulses: int = 0
    lost: int = 0

    def add(self, low: int, truth: int, high: int, whole: bool, lost: list[bool]) -> None:
        """One scene; `whole`: its upper end is what fits into the sound."""
        self.scenes += 1
        self.within += int(low <= truth <= high)
        self.above += int(truth > high)
        self.whole += int(whole)
        self.told[0] += int(low == truth == high)
        self.told[1] += int(2 * truth > high)
        self.told[2] += int(truth // 2 < low)
        self.widths += [] if whole else [high - low]
        self.first_lost += int(lost[0])
        self.impulses += len(lost)
        self.lost += sum(lost)

    def describe(self) -> dict[str, Any]:
        """Counts with intervals."""
        return share(self.within, self.scenes) | {
            "more_than_possible": share(self.above, self.scenes),
            "upper_end_is_what_fits_into_the_sound": self.whole,
            "mean_width_of_the_others": round(float(np.mean(self.widths or [0])), 1),
            "claim_of_the_true_number_denied": self.scenes - self.within,
            "claim_of_the_true_number_supported": self.told[0],
            "claim_of_twice_the_number_denied": self.told[1],
            "claim_of_half_the_number_denied": self.told[2],
            "first_impulse_neither_found_nor_in_doubt": share(self.first_lost, self.scenes),
            "impulses_neither_found_nor_in_doubt": share(self.lost, self.impulses),
        }


def silent(scene: Scene, found: list[events_impulses.Impulse], may: np.ndarray) -> list[bool]:
    """For each impulse, whether nothing at all speaks of it: not found, in doubt, or in a roar."""
    known = np.array([*(f.time_s for f in found), *may, -9.0])
    roars = [(f.time_s, f.time_s + f.hidden_ms / 1000) for f in found]
    return [
        bool(np.abs(known - t).min() >= 0.05 and not any(a <= t <= b for a, b in roars))
        for t in scene.times
    ]


@dataclass
class Ceiling:
    """How many impulses stand out at all, and how many of those were found."""

    cells: dict[bool, list[int]] = field(default_factory=lambda: {True: [0, 0], False: [0, 0]})

    def add(self, scene: Scene, pairs: list[int]) -> None:
        """One scene; `pairs` as of `events_scenes.match`."""
        for bands, pair in zip(scene.bands, pairs, strict=True):
            cell = self.cells[bands >= SEEN_BANDS]
            cell[0] += int(pair >= 0)
            cell[1] += 1

    def describe(self) -> dict[str, Any]:
        """F1 of somebody who finds all that stands out and nothing else; what was found of it."""
        (hit, seen), (guessed, unseen) = self.cells[True], self.cells[False]
        return {
            "f1_ceiling": round(2 * seen / max(1, 2 * seen + unseen), 3),
            "stand_out": share(seen, seen + unseen), "found_of_those": share(hit, seen),
            "found_of_the_others": share(guessed, unseen),
        }  # fmt: skip
