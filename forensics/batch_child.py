"""What one child process does for one clip: open it, run the steps, say the row.

A row holds no time of day, no duration and no machine: the same bytes, methods, versions and
parameters give the same row wherever and whenever they run.
"""

from __future__ import annotations

import importlib
import os
import typing
from pathlib import Path
from typing import Any

from forensics.clip import hash_file, open_clip
from forensics.errors import ForensicsError, RecordInvalid
from forensics.model import (
    Artefact,
    Clip,
    Examination,
    Value,
    canonical_json,
    content_hash,
    from_builtins,
    to_builtins,
)
from forensics.provenance import artefact_bytes, origin_of
from forensics.provenance_artefacts import artefact_name

__all__ = ["NOUNS", "Job", "examine", "failure_row", "find_step", "row_key"]

NOUNS = frozenset(
    """container video clock events continuity enf insignia vehicles redact edits audio
    copies""".split()
)


class Job(Value, frozen=True):
    """One clip, what to do with it, and what it may use.

    `steps` are functions by name, such as ``video.find_keyframes``, with their parameters as JSON.
    `artefacts` is the folder that keeps pictures; empty keeps none.
    """

    path: Path
    name: str
    steps: tuple[tuple[str, dict[str, Any]], ...]
    timeout_s: float = 600.0
    memory_bytes: int = 4 << 30
    file_bytes: int = 1 << 30
    artefacts: str = ""
    metadata: bool = False


def find_step(name: str) -> Any:
    """The registered function a step names.

    Raises
    ------
    RecordInvalid
        There is none of that name.
    """
    module, _, function = name.rpartition(".")
    where = f"forensics.{module}" if module in NOUNS else module
    try:
        return getattr(importlib.import_module(where), function)
    except (ImportError, AttributeError, ValueError):
        raise RecordInvalid(f"there is no step {name!r}", hint="such as video.find_keyframes") \
            from None  # fmt: skip


def _arguments(step: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters from JSON as the types the step asks for."""
    hints = typing.get_type_hints(step)
    return {name: from_builtins(value, hints.get(name, Any)) for name, value in parameters.items()}


def row_key(digest: str, job: Job) -> str:
    """What a row is the answer to: content, methods, versions, parameters (DESIGN: --resume)."""
    done = []
    for name, parameters in job.steps:
        step = find_step(name)
        origin = origin_of(step, _Stand(digest), **_arguments(step, parameters))
        done.append([origin.method, origin.version, origin.parameters])
    return content_hash([digest, done])


class _Stand:
    """Stands for a clip where only its digest counts."""

    def __init__(self, digest: str) -> None:
        self.digest = digest


def failure_row(job: Job, error: str, message: str, hint: str = "") -> bytes:
    """The row of a clip that could not be examined, and why."""
    try:
        digest, size = hash_file(job.path), job.path.stat().st_size
    except OSError:
        digest, size = "", 0
    return canonical_json({
        "clip": job.name, "digest": digest, "size": size, "outcome": "failed",
        "key": row_key(digest, job), "error": error, "reason": message, "hint": hint,
        "examinations": [],
    })  # fmt: skip


def examine(job: Job) -> bytes:
    """Run every step of a job on its clip; the row as canonical JSON."""
    try:
        clip = open_clip(job.path, metadata=job.metadata)
    except ForensicsError as error:
        return failure_row(job, type(error).__name__, error.message, error.hint)
    steps = [(find_step(name), parameters) for name, parameters in job.steps]
    exams = [step(clip, **_arguments(step, parameters)) for step, parameters in steps]
    if job.artefacts:
        for exam in exams:
            _keep(exam, Path(job.artefacts))
    outcomes = {exam.outcome for exam in exams}
    outcome = next(
        (o for o in ("failed", "found", "nothing-found") if o in outcomes), "not-applicable"
    )
    return canonical_json({
        "clip": job.name, "digest": clip.digest, "size": clip.size, "outcome": outcome,
        "key": row_key(clip.digest, job), "facts": _facts(clip),
        "examinations": [to_builtins(exam) for exam in exams],
    })  # fmt: skip


def _facts(clip: Clip) -> dict[str, Any]:
    video, audio = clip.video, clip.audio
    return {
        "container": clip.container.format,
        "duration_s": None if clip.duration is None else float(clip.duration),
        "video": None if video is None else f"{video.codec} {video.width}x{video.height}",
        "audio": None if audio is None else f"{audio.codec} {audio.sample_rate} Hz",
    }


def _keep(exam: Examination, folder: Path) -> None:
    artefacts: list[Artefact] = [*exam.artefacts]
    artefacts += [a for finding in exam for a in finding.observation.artefacts]
    for artefact in artefacts:
        target = folder / artefact_name(artefact)
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f"{target.name}.{os.getpid()}.part")
            partial.write_bytes(artefact_bytes(artefact))
            os.replace(partial, target)
