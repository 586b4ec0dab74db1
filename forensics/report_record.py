"""Everything the appendix says, gathered once: from the folder, the plan and the ledger alone.

The record's SHA-256 is the report's id. The same folder gives the same record on the same
machine: its date is that of the ledger's last line, not of the moment of printing.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from forensics import provenance
from forensics.calibration import Row, error_rate, measure_row, read_table
from forensics.clip import open_container
from forensics.errors import ClipChanged, ClipError
from forensics.model import (
    Alignment,
    Clip,
    ErrorRate,
    Examination,
    Finding,
    Progress,
    Sighting,
    Uncalibrated,
    Value,
    VehicleSighting,
    Verdict,
    content_hash,
    from_builtins,
    to_builtins,
)
from forensics.provenance_ledger import Action, Body, Entry, Failure
from forensics.report_engagement import Engagement, read_engagement
from forensics.report_environment import Environment, read_environment

__all__ = [
    "ExaminationRecord", "IncidentLike", "ItemRecord", "LedgerLine", "MethodRecord", "RunRecord",
    "gather", "load_methods",
]  # fmt: skip

_METHOD_MODULES = (
    "container", "video", "clock", "events", "continuity", "enf", "insignia", "vehicles",
    "redact", "sync", "edits", "audio", "copies",
)  # fmt: skip
MASK = "▮"
_DIGEST = re.compile("[0-9a-f]{64}")


class IncidentLike(Protocol):
    """What the appendix needs of an incident: its folder, its plan, its ledger."""

    folder: Path
    plan: Any
    ledger: provenance.Ledger


class ItemRecord(Value, frozen=True):
    """One item received: what it is, and whether it is still what it was."""

    name: str
    path: Path
    note: str
    clip: Clip | None
    failure: Failure | None
    state: str
    sha512: str
    packet_hashes: dict[str, str]
    decode_failures: int | None


class MethodRecord(Value, frozen=True):
    """What the library says of one method that was run."""

    name: str
    version: str
    summary: str
    principle: str
    weaknesses: str
    references: tuple[str, ...]
    defaults: dict[str, Any]
    at_hand: bool


class ExaminationRecord(Value, frozen=True):
    """One examination on record, the ids of its findings, and whether a later run replaced it."""

    seq: int
    line: str
    examination: Examination
    ids: tuple[str, ...]
    superseded: bool


class LedgerLine(Value, frozen=True):
    """One line of the ledger in short."""

    seq: int
    utc: str
    kind: str
    what: str
    actor: str
    outcome: str
    inputs: tuple[str, ...]
    parameters: dict[str, Any]
    previous: str
    digest: str


class RunRecord(Value, frozen=True):
    """The record behind one appendix. Its content hash is the report's id."""

    schema: str
    title: str
    case: str
    utc: str
    ledger_head: str
    ledger_lines: int
    torn_bytes: int
    plan_sha256: str
    engagement: Engagement
    environment: Environment
    items: tuple[ItemRecord, ...]
    methods: tuple[MethodRecord, ...]
    rates: dict[str, ErrorRate | Uncalibrated]
    rows: tuple[Row, ...]
    examinations: tuple[ExaminationRecord, ...]
    alignments: tuple[Alignment, ...]
    verdicts: tuple[Verdict, ...]
    lines: tuple[LedgerLine, ...]
    plan: dict[str, Any]
    seal: dict[str, str]
    masked: int

    @property
    def report_id(self) -> str:
        """SHA-256 of the canonical JSON of this record."""
        return content_hash(self)

    @property
    def names(self) -> dict[str, str]:
        """The examiner's name for each digest."""
        return {item.clip.digest: item.name for item in self.items if item.clip is not None}


def load_methods() -> None:
    """Import the method modules, so that their documentation is at hand."""
    for name in _METHOD_MODULES:
        if importlib.util.find_spec(f"forensics.{name}") is not None:
            importlib.import_module(f"forensics.{name}")


def gather(incident: IncidentLike, *, progress: Progress | None = None) -> RunRecord:
    """Read folder, plan and ledger into one record; hash the originals again.

    Raises
    ------
    LedgerBroken
        The ledger's chain does not hold.
    ClipChanged
        An original no longer has the digest that was recorded: the run fails.
    RecordInvalid
        ``engagement.toml`` holds something unknown.
    """
    load_methods()
    tell = progress or (lambda _fraction, _text: None)
    engagement = read_engagement(incident.folder)
    lines: list[LedgerLine] = []
    entries: list[Entry] = []
    for entry in incident.ledger:
        if lines:
            lines[-1] = msgspec.structs.replace(lines[-1], digest=entry.previous)
        lines.append(_line(entry))
        entries.append(entry)
    if lines:
        lines[-1] = msgspec.structs.replace(lines[-1], digest=incident.ledger.head)
    tell(0.1, "ledger read")
    masks = not engagement.instructions.plates_authorised
    examinations, masked = _examinations(entries, lines, masks)
    clips = {e.said.path.absolute(): e.said for e in entries if isinstance(e.said, Clip)}
    failures = {e.said.path.absolute(): e.said for e in entries if isinstance(e.said, Failure)}
    items = []
    planned = list(incident.plan.clips)
    left = dict(clips)
    for number, item in enumerate(planned):
        path = (incident.folder / item.path).absolute()
        clip = left.pop(path, None) or _moved(path, left)
        items.append(_item(item.id, path, getattr(item, "note", ""), clip, failures.get(path),
                           examinations))  # fmt: skip
        tell(0.1 + 0.7 * (number + 1) / len(planned), f"hashed {item.id} again")
    for path, clip in left.items():
        items.append(_item(clip.name, path, "", clip, None, examinations))
    plan_file = incident.folder / "incident.toml"
    alignments = [e.said for e in entries if isinstance(e.said, Alignment)]
    used = {(x.examination.origin.method, x.examination.origin.version) for x in examinations}
    used |= {(a.origin.method, a.origin.version) for a in alignments}
    verdicts = {e.said.claim.name: e.said for e in entries if isinstance(e.said, Verdict)}
    rates = _rates(examinations, alignments)
    tell(0.9, "describing the machine")
    return RunRecord(
        schema="forensics-run-record-1",
        title=incident.plan.title, case=incident.plan.case, utc=lines[-1].utc if lines else "",
        ledger_head=incident.ledger.head, ledger_lines=len(lines),
        torn_bytes=len(incident.ledger.torn),
        plan_sha256=_sha256(plan_file) if plan_file.is_file() else "",
        engagement=engagement, environment=read_environment(), items=tuple(items),
        methods=tuple(_methods(used)), rates=rates,
        rows=_rows({name for name, _ in used}, rates),
        examinations=tuple(examinations), alignments=tuple(alignments[-1:]),
        verdicts=tuple(verdicts.values()), lines=tuple(lines),
        plan=msgspec.to_builtins(incident.plan) if isinstance(incident.plan, msgspec.Struct)
        else {}, seal=_seal(incident.folder), masked=masked,
    )  # fmt: skip


def _moved(path: Path, left: dict[Path, Clip]) -> Clip | None:
    """The clip on record that lies at `path` now, since the case folder was moved."""
    if not path.is_file() or not left:
        return None
    digest = _digests(path)[0]
    found = next((old for old, clip in left.items() if clip.digest == digest), None)
    if found is None:
        # Not the recorded bytes, but the recorded name: to be refused as changed, not overlooked.
        found = next((old for old in left if old.name == path.name and not old.exists()), None)
    return left.pop(found) if found is not None else None


def _line(entry: Entry) -> LedgerLine:
    said: Body = entry.said
    what, outcome, actor = "", "", "forensics"
    inputs: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}
    match said:
        case Clip():
            kind, what, inputs = "item", said.name, (said.digest,)
        case Examination():
            kind, outcome, inputs = "examination", said.outcome, said.origin.inputs
            what, parameters = f"{said.origin.method} {said.origin.version}", said.origin.parameters
        case Alignment():
            kind, inputs, parameters = "alignment", said.origin.inputs, said.origin.parameters
            what = f"{said.origin.method} {said.origin.version}"
        case Verdict():
            kind, what, outcome = "verdict", said.claim.name, said.outcome
        case Action():
            kind, actor, inputs = "action", said.actor, said.objects
            what = f"{said.what}: {said.note}" if said.note else said.what
        case Failure():
            kind, outcome, what = "failure", "failed", f"{said.path.name}: {said.message}"
            inputs = (said.digest,) if said.digest else ()
    return LedgerLine(
        entry.seq, entry.utc, kind, what, actor, outcome, inputs, parameters, entry.previous, ""
    )


def _examinations(
    entries: list[Entry], lines: list[LedgerLine], masks: bool
) -> tuple[list[ExaminationRecord], int]:
    found: list[ExaminationRecord] = []
    last: dict[str, int] = {}
    masked = 0
    secrets = sorted(
        {s for e in entries if isinstance(e.said, Examination) for f in e.said for s in _plates(f)},
        key=len, reverse=True,
    )  # fmt: skip
    for entry in entries:
        exam = entry.said
        if not isinstance(exam, Examination):
            continue
        key = provenance.question_of(exam.origin)
        if key in last:
            old = last[key]
            found[old] = msgspec.structs.replace(found[old], superseded=True)
        last[key] = len(found)
        ids = tuple(finding.id for finding in exam)
        if masks and secrets:
            masked += sum(bool(_plates(finding)) for finding in exam)
            exam = from_builtins(_covered(to_builtins(exam), secrets), Examination)
        found.append(ExaminationRecord(entry.seq, lines[entry.seq - 1].digest, exam, ids, False))
    return found, masked


def _plates(finding: Finding) -> list[str]:
    """What a finding read off a plate, in full and as alternatives."""
    match finding.observation.what:
        case VehicleSighting(plate=plate) if plate is not None:
            return [text for text in (plate.text, *plate.alternatives) if len(text) > 2]
        case Sighting(kind="plate", text=text) if len(text) > 2:
            return [text]
        case _:
            return []


def _covered(value: Any, secrets: list[str]) -> Any:
    # A plate that was read may stand in notes, labels and reasons too: it is covered everywhere.
    if isinstance(value, str) and not _DIGEST.fullmatch(value):
        for secret in secrets:
            if secret in value:
                value = value.replace(secret, "".join(MASK if c.isalnum() else c for c in secret))
        return value
    if isinstance(value, list | tuple):
        return [_covered(item, secrets) for item in value]
    if isinstance(value, dict):
        return {key: _covered(item, secrets) for key, item in value.items()}
    return value


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _item(
    name: str, path: Path, note: str, clip: Clip | None, failure: Failure | None,
    examinations: list[ExaminationRecord],
) -> ItemRecord:  # fmt: skip
    state, sha512, packets = "not at hand", "", {}
    recorded = clip.digest if clip is not None else failure.digest if failure is not None else ""
    if path.is_file():
        sha256, sha512 = _digests(path)
        if recorded and sha256 != recorded:
            raise ClipChanged(
                f"{name} no longer has the digest that was recorded", path=path,
                hint="the appendix is not written; `forensics verify` lists every mismatch",
            )  # fmt: skip
        state = "unchanged" if recorded else "not examined"
        if clip is not None:
            packets = _packet_hashes(path)
    failures = [
        x.examination.coverage.decode_failures
        for x in examinations
        if clip is not None and x.examination.origin.inputs == (clip.digest,)
        and x.examination.coverage.unit == "frames" and x.examination.coverage.units_seen
    ]  # fmt: skip
    return ItemRecord(
        name, path, note, clip, None if clip is not None else failure, state, sha512, packets,
        max(failures) if failures else None,
    )  # fmt: skip


def _digests(path: Path) -> tuple[str, str]:
    short, long = hashlib.sha256(), hashlib.sha512()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            short.update(chunk)
            long.update(chunk)
    return short.hexdigest(), long.hexdigest()


def _packet_hashes(path: Path) -> dict[str, str]:
    # SWGDE 23-V-001: the hash of a stream's packets shows that a re-wrapped copy is unchanged.
    import av

    hashes: dict[int, Any] = {}
    try:
        with open_container(path) as container:
            for packet in container.demux():
                if packet.size:
                    hashes.setdefault(packet.stream_index, hashlib.sha256()).update(bytes(packet))
    except (ClipError, av.error.FFmpegError):
        return {}
    return {str(index): digest.hexdigest() for index, digest in sorted(hashes.items())}


def _methods(used: Iterable[tuple[str, str]]) -> Iterable[MethodRecord]:
    registered = provenance.methods()
    for name, version in sorted(used):
        spec = registered.get(name)
        if spec is None or spec.version != version:
            yield MethodRecord(name, version, "", "", "", (), {}, False)
            continue
        yield MethodRecord(
            name, version, spec.summary, _principle(spec), spec.weaknesses, spec.references,
            spec.defaults, True,
        )  # fmt: skip


def _principle(spec: provenance.Method) -> str:
    """What the docstring says between its first line and its first heading; else its module's."""
    import inspect

    text = inspect.getdoc(spec.function) or ""
    kept: list[str] = []
    for line in text.splitlines()[1:]:
        if line.strip() and set(line.strip()) == {"-"}:
            if kept:
                kept.pop()
            break
        kept.append(line)
    own = "\n".join(kept).strip()
    return own or (inspect.getdoc(inspect.getmodule(spec.function)) or "")


def stratum_of(known: ErrorRate | Uncalibrated, named: str = "") -> str:
    """The condition an error rate is for; the one the observation named where there is none."""
    return known.stratum if isinstance(known, ErrorRate) else named


def rate_key(method: str, version: str, stratum: str) -> str:
    """How the record names one row of error rates."""
    return f"{method} {version} [{stratum}]"


def _rates(
    examinations: Iterable[ExaminationRecord], alignments: Iterable[Alignment]
) -> dict[str, ErrorRate | Uncalibrated]:
    # What stood in the ledger when the finding was made; a rate measured since then is not it.
    found: dict[str, ErrorRate | Uncalibrated] = {}
    for record in examinations:
        exam = record.examination
        method, version = exam.origin.method, exam.origin.version
        for finding in exam:
            stratum = stratum_of(finding.error_rate, finding.observation.stratum)
            found.setdefault(rate_key(method, version, stratum), finding.error_rate)
        known = exam.error_rate
        found.setdefault(rate_key(method, version, stratum_of(known)), known)
    for alignment in alignments:
        method, version = alignment.origin.method, alignment.origin.version
        known = alignment.error_rate
        stratum = stratum_of(known)
        if known == Uncalibrated("not looked up"):
            known = error_rate(method, version)
        found.setdefault(rate_key(method, version, stratum), known)
    return found


def _rows(methods: set[str], rates: dict[str, ErrorRate | Uncalibrated]) -> tuple[Row, ...]:
    """Rows of the table for these methods, and those whose rate a method handed on."""
    handed_on = list(rates.values())
    return tuple(r for r in read_table() if r.method in methods or measure_row(r) in handed_on)


def _seal(folder: Path) -> dict[str, str]:
    names = ("MANIFEST.sha256", "MANIFEST.sha256.sig", "MANIFEST.sha256.sig.tsr", "signers")
    return {name: _sha256(folder / name) for name in names if (folder / name).is_file()}
