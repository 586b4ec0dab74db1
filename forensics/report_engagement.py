"""``engagement.toml``: what only a person can fill in. Unknown keys are errors, nothing is guessed.

::

    [report]                # version, amends, amends_reason
    [instructions]          # requester, date, authority, questions, propositions, context, …
    [people]                # examiner, qualifications, conflicts, steps, reviewer, duty
    [[items]]               # clip, source, first_seen, collector, capture_time, …, not_examined
    [[custody]]             # utc, clock_source, actor, action, object
    [[derivatives]]         # what was made outside this library
    [[changes]]             # method, parameter, who, why
    [[reviews]]             # finding, decision, reason, by
    [[references]]          # reference, source, date, licence: of reference pictures
    [[interpretations]]     # question, text, h1, h2, scale, by
    [[deviations]]  [[amendments]]  [disposition]  [authorisation]
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Literal

from forensics.errors import RecordInvalid
from forensics.model import Value, from_builtins

__all__ = [
    "Authorisation", "Change", "CustodyStep", "Derivative", "Disposition", "Engagement",
    "Instructions", "Interpretation", "ItemNote", "People", "Proposition", "Review",
    "read_engagement",
]  # fmt: skip


class ReportNote(Value, frozen=True):
    """Which version of the report this is, and which it amends."""

    version: str = ""
    amends: str = ""
    amends_reason: str = ""


class Proposition(Value, frozen=True):
    """Two propositions to weigh the findings against."""

    h1: str
    h2: str


class Instructions(Value, frozen=True):
    """Who asked what, by which authority."""

    requester: str = ""
    date: str = ""
    authority: str = ""
    questions: tuple[str, ...] = ()
    propositions: tuple[Proposition, ...] = ()
    context: str = ""
    not_supplied: tuple[str, ...] = ()
    #: Plates are printed only where the authority allows it.
    plates_authorised: bool = False


class Step(Value, frozen=True):
    """Who carried out a step."""

    step: str
    who: str


class People(Value, frozen=True):
    """Who did the work, and who checked it."""

    examiner: str = ""
    qualifications: str = ""
    conflicts: str = ""
    steps: tuple[Step, ...] = ()
    reviewer: str = ""
    reviewer_blind: bool | None = None
    duty: str = ""


class ItemNote(Value, frozen=True):
    """What a person knows of one item; `clip` is its name in ``incident.toml``."""

    clip: str
    source: str = ""
    first_seen: str = ""
    collector: str = ""
    capture_time: str = ""
    clock: str = ""
    delivery: str = ""
    condition: str = ""
    generation: str = ""
    generation_basis: str = ""
    not_examined: str = ""


class CustodyStep(Value, frozen=True):
    """Something that happened to an item outside this library."""

    utc: str
    actor: str
    action: str
    object: str = ""
    clock_source: str = ""


class Derivative(Value, frozen=True):
    """A copy or derivative made outside this library."""

    output: str
    parent: str
    operation: str
    parameters: str = ""
    lossless: bool | None = None
    sha256: str = ""


class Change(Value, frozen=True):
    """Who set a parameter to something else than its default, and why."""

    method: str
    parameter: str
    who: str
    why: str


class Review(Value, frozen=True):
    """What the reviewer made of a finding; `finding` may be shortened to 12 characters."""

    finding: str
    decision: Literal["accept", "reject"]
    reason: str
    by: str = ""


class ReferenceNote(Value, frozen=True):
    """Where a reference picture comes from."""

    reference: str
    source: str = ""
    date: str = ""
    licence: str = ""


class Interpretation(Value, frozen=True):
    """The examiner's own interpretation. Never written by the library."""

    question: str
    text: str
    h1: str = ""
    h2: str = ""
    scale: str = ""
    by: str = ""


class Deviation(Value, frozen=True):
    """A departure from the plan or the method."""

    what: str
    why: str = ""


class Amendment(Value, frozen=True):
    """A change made after the report was issued."""

    date: str
    what: str
    why: str
    by: str = ""


class Disposition(Value, frozen=True):
    """What happened to the items afterwards."""

    text: str = ""
    retention: str = ""


class Authorisation(Value, frozen=True):
    """Who signs."""

    name: str = ""
    title: str = ""
    date: str = ""
    statement: str = ""


class Engagement(Value, frozen=True):
    """The whole of ``engagement.toml``; `sha256` is that of the file, empty without one."""

    report: ReportNote = ReportNote()
    instructions: Instructions = Instructions()
    people: People = People()
    items: tuple[ItemNote, ...] = ()
    custody: tuple[CustodyStep, ...] = ()
    derivatives: tuple[Derivative, ...] = ()
    changes: tuple[Change, ...] = ()
    reviews: tuple[Review, ...] = ()
    references: tuple[ReferenceNote, ...] = ()
    interpretations: tuple[Interpretation, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    limitations: tuple[str, ...] = ()
    disposition: Disposition = Disposition()
    authorisation: Authorisation = Authorisation()
    sha256: str = ""

    def item(self, name: str) -> ItemNote:
        """What is known of the clip of that name; all empty if nothing."""
        return next((i for i in self.items if i.clip == name), ItemNote(name))


def read_engagement(folder: Path) -> Engagement:
    """Read ``engagement.toml`` of an incident folder; without one, everything is "not supplied".

    Raises
    ------
    RecordInvalid
        It is not TOML, or holds a key or value that is not known.
    """
    path = folder / "engagement.toml"
    if not path.is_file():
        return Engagement()
    raw = path.read_bytes()
    try:
        table = tomllib.loads(raw.decode("utf-8"))
        if "sha256" in table:
            raise RecordInvalid("sha256 is computed, not written")
        # TOML has dates of its own; the report prints them as they were written.
        read = from_builtins(_dates_as_text(table), Engagement)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecordInvalid) as error:
        raise RecordInvalid(
            f"engagement.toml: {error}", hint="forensics/report_engagement.py lists every key"
        ) from None
    values = {name: getattr(read, name) for name in read.__struct_fields__}
    return Engagement(**values | {"sha256": hashlib.sha256(raw).hexdigest()})


def _dates_as_text(value: object) -> object:
    if isinstance(value, dict):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value
