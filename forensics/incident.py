"""One incident folder: clips, regions, claims; what was found; and whether the claims hold.

``incident.toml`` is what the examiner wrote; ``ledger.jsonl`` is what the library did. Evidence
stays where it is and is only read. `Incident.reconstruct` runs what is missing, so that a second
call costs nothing and an interrupted one goes on.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forensics import (
    audio,
    clock,
    container,
    copies,
    edits,
    events,
    insignia,
    vehicles,
    video,
)
from forensics.clip import hash_file, open_clip
from forensics.errors import (
    ClipChanged,
    ClipNotFound,
    ForensicsError,
    RecordInvalid,
    SignalTooShort,
)
from forensics.gallery import Gallery
from forensics.incident_breaks import breaks_of
from forensics.incident_claims import judge
from forensics.incident_plan import Plan, PlannedClip
from forensics.incident_share import write_shareable
from forensics.incident_timeline import build_timeline
from forensics.model import (
    Alignment,
    Clip,
    Examination,
    Origin,
    Progress,
    Value,
    Verdict,
    content_hash,
    from_builtins,
)
from forensics.provenance import Ledger, origin_of
from forensics.provenance_ledger import Action, Failure

__all__ = ["Incident", "Plan", "PlannedClip", "Reconstruction", "write_shareable"]


class Reconstruction(Value, frozen=True):
    """What `Incident.reconstruct` ends with; every part of it is also in the ledger."""

    clips: tuple[Clip, ...]
    failures: tuple[Failure, ...]
    examinations: tuple[Examination, ...]
    alignment: Alignment | None
    alignment_reason: str
    verdicts: tuple[Verdict, ...]

    def of(self, clip: Clip | str, method: str | None = None) -> list[Examination]:
        """The examinations of one clip, of one method if named."""
        digest = clip if isinstance(clip, str) else clip.digest
        return [
            e
            for e in self.examinations
            if digest in e.origin.inputs and method in (None, e.origin.method)
        ]


class Incident:
    """An incident folder. Open it with `Incident.open`.

    Attributes
    ----------
    folder
        The folder.
    plan
        What ``incident.toml`` says.
    ledger
        The folder's ``ledger.jsonl``.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        self.ledger = Ledger(folder / "ledger.jsonl")

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Incident:
        """Read ``incident.toml`` of a folder.

        Raises
        ------
        ClipNotFound
            There is no ``incident.toml``.
        RecordInvalid
            It is not TOML, or holds a key or value that is not known; nothing is ignored.
        """
        place = Path(folder)
        source = place / "incident.toml"
        try:
            text = source.read_text("utf-8")
        except OSError as error:
            raise ClipNotFound(
                f"no incident.toml in {place.name}: {error.strerror}", path=source,
                hint="samples/README.md shows one, key by key",
            ) from None  # fmt: skip
        try:
            plan = from_builtins(tomllib.loads(text), Plan)
        except (tomllib.TOMLDecodeError, RecordInvalid) as error:
            raise RecordInvalid(f"incident.toml: {error}") from None
        plan.check()
        return cls(place, plan)

    @property
    def galleries(self) -> tuple[Gallery, ...]:
        """The reference galleries the plan names."""
        return tuple(Gallery.open(self.folder / name) for name in self.plan.galleries)

    def open_clips(
        self, *, progress: Progress | None = None
    ) -> tuple[dict[str, Clip], list[Failure]]:
        """Open every clip of the plan by name; a file that cannot be opened fails alone."""
        opened: dict[str, Clip] = {}
        failures = []
        for number, item in enumerate(self.plan.clips):
            path = self.folder / item.path
            try:
                opened[item.id] = open_clip(path)
            except ForensicsError as error:
                digest = hash_file(path) if path.is_file() else ""
                kind = type(error).__name__
                failures.append(Failure(path, kind, error.message, error.hint, digest))
            if progress is not None:
                progress((number + 1) / len(self.plan.clips), f"opened {item.id}")
        return opened, failures

    def names(self, clips: Sequence[Clip]) -> dict[str, str]:
        """The plan's name for each digest, for people to read."""
        by_path = {(self.folder / item.path).absolute(): item.id for item in self.plan.clips}
        return {clip.digest: by_path.get(clip.path, clip.name) for clip in clips}

    def reconstruct(self, *, progress: Progress | None = None) -> Reconstruction:
        """Run what is missing, place the clips on one clock, and test the claims.

        Every step is recorded in the ledger before the next begins; a step that the ledger
        already holds, for the same bytes, method, version and parameters, is not run again.

        Parameters
        ----------
        progress
            Called with (fraction, text).

        Returns
        -------
        Reconstruction

        Raises
        ------
        LedgerBroken
            The folder's ledger was changed: nothing is built on it.
        ClipChanged
            A file changed while it was being examined.
        """
        self.ledger.check()
        tell = progress or _say_nothing
        opened, failures = self.open_clips(progress=lambda f, t: tell(0.05 * f, t))
        known = {clip.digest: clip for clip in self.ledger.clips()}
        failed = {f.path for e in self.ledger if isinstance(f := e.said, Failure)}
        for clip in opened.values():
            if clip.digest not in known:
                self.ledger.append(clip)
        for failure in failures:
            if failure.path not in failed:
                self.ledger.append(failure)
        done = {_key(e): e for e in self.ledger.examinations()}
        examinations: list[Examination] = []
        steps = [(name, *step) for name in opened for step in self._steps(name, opened[name])]
        for number, (name, function, target, keywords) in enumerate(steps):
            tell(0.05 + 0.8 * number / max(1, len(steps)), f"{name}: {function.__name__}")
            planned = origin_of(function, target, **keywords)
            exam = done.get(_origin_key(planned))
            if exam is None:
                exam = function(target, **keywords)
                self.ledger.append(exam)
            examinations.append(exam)
        clips = list(opened.values())
        tell(0.86, "looking for copies")
        if len(clips) > 1:
            examinations.extend(self._copies(clips, done))
        tell(0.9, "placing the clips")
        alignment, reason = self._align(opened, examinations)
        if alignment is not None:
            jumps = self._jumps(alignment, clips, done)
            examinations = self._with_jumps(examinations, jumps, clips, done)
        tell(0.97, "testing the claims")
        verdicts = self._judge(examinations, alignment, opened)
        self._check_originals(clips)
        tell(1.0, "done")
        return Reconstruction(
            tuple(clips), tuple(failures), tuple(examinations), alignment, reason, tuple(verdicts)
        )

    def _steps(
        self, name: str, clip: Clip
    ) -> list[tuple[Callable[..., Examination], Clip, dict[str, Any]]]:
        item = self.plan.clip(name)
        regions, occluders = self.plan.regions_of(name)
        steps: list[tuple[Callable[..., Examination], Clip, dict[str, Any]]] = [
            (container.find_discontinuities, clip, {}),
            (video.find_keyframes, clip, {}),
            (clock.read_clock, clip, {"box": item.clock.box} if item.clock else {}),
            (edits.find_edits, clip, {}),
            (events.find_events, clip, {}),
            (vehicles.find_vehicles, clip, {}),
        ]
        if regions:
            steps.append((video.find_activity, clip, {"regions": regions, "occluders": occluders}))
        boxes = self.plan.boxes_of(name)
        steps.extend(
            (insignia.find_markings, clip, {"gallery": gallery, "boxes": boxes})
            for gallery in self.galleries or ((None,) if boxes else ())
        )
        return steps

    def _copies(self, clips: list[Clip], done: dict[str, Examination]) -> list[Examination]:
        exam = done.get(_origin_key(origin_of(copies.find_copies, clips)))
        if exam is None:
            exam = copies.find_copies(clips)
            self.ledger.append(exam)
        return [exam]

    def _jumps(
        self, alignment: Alignment, clips: list[Clip], done: dict[str, Examination]
    ) -> list[Examination]:
        """What other clips show of each clip whose offset jumps against theirs."""
        found = []
        for clip in clips:
            mine = tuple(j for j in alignment.jumps if clip.digest in (j.first, j.second))
            if not mine:
                continue
            planned = origin_of(audio.find_offset_breaks, clip, jumps=mine)
            exam = done.get(_origin_key(planned))
            if exam is None:
                exam = audio.find_offset_breaks(clip, jumps=mine)
                self.ledger.append(exam)
            found.append(exam)
        return found

    def _with_jumps(
        self, examinations: list[Examination], jumps: list[Examination], clips: list[Clip],
        done: dict[str, Examination],
    ) -> list[Examination]:  # fmt: skip
        """Merge what other clips show of a clip with what it shows itself: `edits` once more.

        The new examination stands in the place of the old one. Its levels are those on record, so
        that nothing is decoded again.
        """
        out = list(examinations)
        by_digest = {clip.digest: clip for clip in clips}
        for jump in jumps:
            (digest,) = jump.origin.inputs
            places = [
                n for n, e in enumerate(out)
                if e.origin.method == "edits" and e.origin.inputs == (digest,)
            ]
            if not jump.observations or not places:
                continue
            clip, also = by_digest[digest], jump.observations
            planned = origin_of(edits.find_edits, clip, also=also)
            exam = done.get(_origin_key(planned))
            if exam is None:
                with edits.reusing(out[places[0]], folder=self.ledger.artefacts):
                    exam = edits.find_edits(clip, also=also)
                self.ledger.append(exam)
            out[places[0]] = exam
        return out + jumps

    def _align(
        self, opened: dict[str, Clip], examinations: list[Examination]
    ) -> tuple[Alignment | None, str]:
        first = self.plan.reference
        ordered = sorted(opened, key=lambda name: name != first)
        clips = [opened[name] for name in ordered]
        keywords: dict[str, Any] = {}
        anchors = self.plan.anchors_for(opened)
        if anchors:
            keywords["anchors"] = anchors
        breaks = tuple(b for clip in clips for b in breaks_of(examinations, clip.digest))
        if breaks:
            keywords["breaks"] = breaks
        try:
            planned = _origin_key(origin_of(audio.align_clips, clips, **keywords))
            for entry in self.ledger:
                if isinstance(entry.said, Alignment) and _origin_key(entry.said.origin) == planned:
                    return entry.said, ""
            alignment = audio.align_clips(clips, **keywords)
        except SignalTooShort as error:
            return None, error.message
        self.ledger.append(alignment)
        return alignment, ""

    def _judge(
        self, examinations: list[Examination], alignment: Alignment | None, opened: dict[str, Clip]
    ) -> list[Verdict]:
        if not self.plan.claims:
            return []
        line = build_timeline(examinations, alignment, opened)
        verdicts = [judge(item.claim, line) for item in self.plan.claims]
        recorded = {e.said for e in self.ledger if isinstance(e.said, Verdict)}
        for verdict in verdicts:
            if verdict not in recorded:
                self.ledger.append(verdict)
        return verdicts

    def _check_originals(self, clips: list[Clip]) -> None:
        # A5: originals are hashed again after the run; a change makes the run fail.
        for clip in clips:
            if hash_file(clip.path) != clip.digest:
                raise ClipChanged(f"{clip.name} changed during the run", path=clip.path)
        digests = tuple(clip.digest for clip in clips)
        note = "every original hashed again after the run: unchanged"
        same = any(
            isinstance(e.said, Action) and e.said.objects == digests and e.said.note == note
            for e in self.ledger
        )
        if not same:
            self.ledger.append(Action("forensics", "originals hashed again", digests, note))


def _say_nothing(_fraction: float, _text: str) -> None:
    return None


def _key(exam: Examination) -> str:
    return _origin_key(exam.origin)


def _origin_key(origin: Origin) -> str:
    return content_hash([origin.method, origin.version, origin.inputs, origin.parameters])
