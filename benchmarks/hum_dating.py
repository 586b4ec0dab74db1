"""Pieces of real mains on every wrong reference: false matches, and is the stated share true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from sound_material import share

from forensics.enf_match import RIVAL, Steps, match_steps


def mirrored(steps: Steps) -> list[Steps]:
    """Mains, and it upside down, backwards, and both: mains that never ran, of the same make."""
    run = np.diff(steps.turns)
    over = 2 * run.mean() - run
    made = [np.concatenate([[0.0], np.cumsum(r)]) for r in (over, run[::-1], over[::-1])]
    return [steps] + [replace(steps, turns=turns) for turns in made]


def piece(steps: Steps, first: int, size: int) -> Steps:
    """Some seconds of it."""
    part = slice(first, first + size)
    return Steps(
        steps.lines[:, part], steps.harmonics, steps.turns[part], steps.seen[part]
    )  # fmt: skip


def false_matches(asked: list[tuple[Path, str, Steps]], tracks: dict[Path, Steps]) -> dict:
    """Every piece on every wrong reference: how many are taken, and is the stated share true?"""
    taken: dict[str, list[int]] = {}
    by_length: dict[str, list[int]] = {}
    stated: dict[str, list[float]] = {}
    gates = {"probability alone": 0, "rival alone": 0, "difference alone": 0}
    for own, length, piece in asked:
        for other, track in tracks.items():
            if len(track.turns) < piece.lines.shape[1] + 5:
                continue
            for number, made in enumerate(mirrored(track)):
                if other == own and number == 0:
                    continue
                kind = "another recording's mains" if not number else (
                    "its own mains, mirrored" if other == own else "another's mains, mirrored"
                )  # fmt: skip
                done = sum(map(len, stated.values()))
                result = match_steps(piece, made, surrogates=1000, seed=done)
                false = not result.against(1e-3)
                for table, key in ((taken, kind), (by_length, length)):
                    cell = table.setdefault(key, [0, 0])
                    cell[0] += false
                    cell[1] += 1
                stated.setdefault(kind, []).append(result.false_match)
                gates["probability alone"] += result.false_match <= 1e-3
                gates["rival alone"] += result.rival <= RIVAL
                gates["difference alone"] += result.rms_hz <= result.bound_hz
    together = [p for values in stated.values() for p in values]
    return share(sum(cell[0] for cell in taken.values()), len(together)) | {
        "pieces": len(asked), "recordings": len(tracks),
        "by_kind": {name: share(*cell) for name, cell in taken.items()},
        "by_length": {name: share(*cell) for name, cell in by_length.items()},
        "let_through_by": gates,
        "reliability: so often, of how many, interval": {
            kind: {
                f"stated <= {limit:g}": list(
                    share(int(sum(p <= limit for p in values)), len(values)).values()
                )
                for limit in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5)
            }
            for kind, values in (stated | {"all": together}).items()
        },
        "note": "pieces of mains, clean and as heard under speech, on every wrong reference as it "
        "is, backwards, upside down and both; the pieces overlap and come from few recordings, so "
        "the trials are not independent and the intervals are too narrow. Mirrored mains of the "
        "piece's own recording has surrogates that hold the piece itself: its shares are too small",
    }  # fmt: skip
