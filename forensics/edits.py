"""Has it been edited? Every level once, what coincides merged; and would we have seen it?"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics.calibration import error_rate
from forensics.clip import check_unchanged
from forensics.edits_merge import merge_levels, repeats_pictures, whole_span
from forensics.edits_phase import find_gop_phase_breaks
from forensics.edits_power import measure_power
from forensics.model import (
    Artefact,
    Clip,
    Coverage,
    Discontinuity,
    ErrorRate,
    Examination,
    NotTestable,
    Observation,
    Progress,
    Quantity,
    Uncalibrated,
    canonical_json,
    from_json,
)
from forensics.provenance import artefact_bytes, conclude, keep, method, origin_of

__all__ = ["LEVEL_METHODS", "find_edits", "find_gop_phase_breaks", "measure_power", "reusing"]


#: How the artefact is called that holds one level's examination.
_LABEL = "examination of the "
#: Why an older GOP is not looked for where `repeats_pictures`.
_REPEATED = (
    "not testable: pictures repeat to reach another frame rate, and their beat looks like an "
    "older GOP's"
)


@dataclass(frozen=True)
class _Level:
    name: str
    module: str
    function: str


#: What `find_edits` can ask, in this order: level, module, function.
LEVEL_METHODS: tuple[tuple[str, str, str], ...] = (
    ("container", "forensics.container", "find_discontinuities"),
    ("frame", "forensics.video", "find_discontinuities"),
    ("compression", "forensics.edits_phase", "find_gop_phase_breaks"),
    ("clock", "forensics.clock", "find_clock_breaks"),
    ("audio", "forensics.continuity", "find_splices"),
    ("hum", "forensics.enf", "find_phase_breaks"),
    ("sync", "forensics.sync", "find_sync_breaks"),
)


def _method_of(level: _Level) -> Callable[..., Examination] | None:
    if importlib.util.find_spec(level.module) is None:
        return None
    module = importlib.import_module(level.module)
    function: Callable[..., Examination] | None = getattr(module, level.function, None)
    return function


_on_record: contextvars.ContextVar[tuple[Examination, ...]] = contextvars.ContextVar(
    "levels on record", default=()
)


@contextlib.contextmanager
def reusing(examination: Examination, *, folder: Path | None = None) -> Iterator[None]:
    """Let `find_edits` take its levels from an earlier examination of the same clip.

    A level is taken only if the same method, version and parameters would be run on the same
    bytes; any other is run.

    Parameters
    ----------
    examination
        What `find_edits` returned before; its artefacts hold the levels' examinations.
    folder
        Where the ledger keeps artefacts, for an examination of an earlier process.

    Raises
    ------
    RecordInvalid
        The artefacts are not at hand, or do not read back.

    When it errs
    ------------
    As the levels did when they were run: nothing is looked at again (ASTM E3016: incompleteness).
    """
    levels = tuple(
        from_json(artefact_bytes(artefact, folder=folder), Examination)
        for artefact in examination.artefacts
        if artefact.label.startswith(_LABEL)
    )
    token = _on_record.set(levels)
    try:
        yield
    finally:
        _on_record.reset(token)


def _recorded(function: Callable[..., Examination], clip: Clip) -> Examination | None:
    on_record = _on_record.get()
    if not on_record:
        return None
    wanted = origin_of(function, clip)
    for known in on_record:
        mine = known.origin
        if (mine.method, mine.version, mine.inputs, mine.parameters) == (
            wanted.method, wanted.version, wanted.inputs, wanted.parameters
        ):  # fmt: skip
            check_unchanged(clip)
            return known
    return None


def _run(level: _Level, clip: Clip, progress: Progress | None) -> tuple[Examination | None, str]:
    """The level's examination, or None and why there is none."""
    function = _method_of(level)
    if function is None:
        return None, "this version of the library has no such method"
    examination = _recorded(function, clip)
    if examination is None:
        examination = function(clip, progress=progress)
    if examination.outcome in ("not-applicable", "failed"):
        reason = examination.reason.removeprefix("not testable: ")
        return examination, f"{examination.outcome.replace('-', ' ')}: {reason}"
    return examination, ""


@method(
    "edits", version="6",
    references=("SWGDE 23-V-001 (three outcomes)", "ENFSI-BPM-DI-03"),
)  # fmt: skip
def find_edits(
    clip: Clip, *,
    levels: tuple[str, ...] = ("container", "frame", "compression", "clock", "audio", "hum"),
    least_score: float = 0.0, tolerance_s: float = 0.3, also: tuple[Observation, ...] = (),
    progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Has it been edited? Ask every level once and merge what coincides into one finding.

    Container and bitstream, frames, traces of an older encoding, burned-in clock, sound and mains
    hum are examined; traces that lie within `tolerance_s` of each other become one finding with
    several supports, and harmless explanations are ranked by how many of the traces they account
    for.

    Parameters
    ----------
    clip
        An opened clip.
    levels
        Which levels to ask: any of ``container``, ``frame``, ``compression``, ``clock``, ``audio``,
        ``hum``; and ``sync``, sound against what moves, which is asked only if named: how often it
        errs was measured on half made films and on one real one.
    least_score
        Leave out merged findings below this score (0 to 1).
    tolerance_s
        How far apart two traces of one break may lie, in seconds.
    also
        Discontinuities of this clip that other clips show (`audio.find_offset_breaks`), merged
        with what its own levels show.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        `Discontinuity` observations with `supports`, `explanations`, a verdict in SWGDE's words,
        and the score of all levels together. ``coverage.not_testable`` holds each level's map;
        levels that did not run stand in `reason` and there. Each level's own examination is an
        artefact (JSON). `measures`: ``levels_run``.

    Raises
    ------
    ValueError
        An unknown level.
    ClipChanged
        Recorded as *failed*.

    When it errs
    ------------
    Everything its levels get wrong (see each); it joins what merely happens at the same moment: a
    key frame and a slammed door (ASTM E3016: inaccuracy, association). Adding up assumes that the
    levels err independently; damage to a file hits several at once, so high scores on damaged files
    are too high. Misses what no level shows: an edit in a still, silent, rescaled scene
    (incompleteness). Says nothing about edits inside a picture (a region covered by an earlier or a
    clean view, frozen or filled in; a clock painted anew together with the cut it hides), about a
    copy of the screen that shows the film, about intent, or about whether an uncut recording shows
    what is claimed (misinterpretation).
    """
    known = {name: _Level(name, module, function) for name, module, function in LEVEL_METHODS}
    unknown = sorted(set(levels) - set(known))
    if unknown:
        raise ValueError(f"no such level: {', '.join(unknown)}")
    asked = [known[name] for name in known if name in levels]
    observations: list[Observation] = []
    examinations: dict[str, Examination] = {}
    absent: dict[str, str] = {}
    for number, level in enumerate(asked):
        inner = _share(progress, number, len(asked), level.name)
        examination, why = _run(level, clip, inner)
        if examination is not None:
            examinations[level.name] = examination
            observations += [
                o for o in examination.observations if isinstance(o.what, Discontinuity)
            ]
        if why:
            absent[level.name] = why
    if any(repeats_pictures(seen) for seen in observations):
        observations = [seen for seen in observations if not _of_compression(seen)]
        absent["compression"] = _REPEATED
    observations += also
    merged = merge_levels(observations, tolerance_s=tolerance_s)
    rates_of = {
        id(seen): (examination.origin.method, examination.origin.version)
        for examination in examinations.values()
        for seen in examination.observations
    }
    parts = {id(seen): members for seen, members in merged}
    ran = [name for name in examinations if name not in absent]
    # How times are to be read concerns what every level says.
    clocks = [
        part for e in examinations.values() if e.origin.method == "video-discontinuities"
        for part in e.reason.split("; ") if part.startswith("the stamps start again")
    ]  # fmt: skip
    coverage = _coverage(clip, examinations, absent)
    reason = "; ".join(
        [*clocks, *(f"{name} level not examined ({why})" for name, why in absent.items())]
    )
    if not ran:
        failed = any(e.outcome == "failed" for e in examinations.values())
        return conclude(
            (), coverage=coverage, outcome="failed" if failed else "not-applicable",
            reason=reason or "no level was asked",
        )  # fmt: skip
    return conclude(
        [o for o, _ in merged if o.score >= least_score], coverage=coverage, reason=reason,
        artefacts=[_kept(name, e) for name, e in examinations.items()],
        measures={"levels_run": Quantity.exact(len(ran), f"of {len(asked)} levels")},
        measured_as=lambda seen: _rate_of(parts[id(seen)], rates_of),
    )  # fmt: skip


def _rate_of(
    parts: tuple[Observation, ...], rates_of: dict[int, tuple[str, str]]
) -> tuple[str, str] | Uncalibrated | None:
    """Whose error rate a finding carries: the one level's that saw it, or each level's in words."""
    if len(parts) == 1:
        # What one level alone saw is handed on unchanged, and so is that level's error rate.
        return rates_of.get(id(parts[0]))
    told = []
    for part in parts:
        said, whose = part.what, rates_of.get(id(part))
        assert isinstance(said, Discontinuity)
        known = error_rate(*whose, part.stratum) if whose is not None else None
        rate = str(known) if isinstance(known, ErrorRate) else "not known"
        told.append(f"{said.level} level, {said.kind}: {rate}")
    return Uncalibrated(
        "error rate not known for what several levels show together. A false one needs a false "
        "trace on each of them at one moment, so that it cannot be more frequent than the rarest "
        f"of these alone: {'; '.join(told)}"
    )


def _of_compression(seen: Observation) -> bool:
    return isinstance(seen.what, Discontinuity) and seen.what.level == "compression"


def _share(progress: Progress | None, number: int, count: int, name: str) -> Progress | None:
    if progress is None:
        return None

    def inner(fraction: float, text: str) -> None:
        progress((number + fraction) / count, f"{name}: {text}")

    return inner


def _kept(name: str, examination: Examination) -> Artefact:
    return keep(
        canonical_json(examination), media_type="application/json",
        label=f"{_LABEL}{name} level",
    )  # fmt: skip


def _coverage(
    clip: Clip, examinations: dict[str, Examination], absent: dict[str, str]
) -> Coverage:
    """What all levels saw together; each level's blind stretches are marked with its name."""
    span = whole_span([e.coverage.span for e in examinations.values()])
    frames = examinations.get("frame")
    main = frames.coverage if frames is not None and frames.coverage.units_seen else None
    if main is None:
        main = next((e.coverage for e in examinations.values() if e.coverage.units_seen), None)
    lost = [
        NotTestable(part.span, f"{name}: {part.reason}")
        for name, examination in examinations.items()
        for part in examination.coverage.not_testable
    ]
    if span is not None:
        lost += [NotTestable(span, f"{name}: {why}") for name, why in absent.items()]
    return Coverage(
        span, main.units_seen if main else 0, main.unit if main else "frames",
        main.decode_failures if main else 0, tuple(lost),
    )  # fmt: skip
