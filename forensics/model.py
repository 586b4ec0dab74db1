"""The vocabulary: every value the library can hand back.

All types are frozen `msgspec.Struct`s that refuse unknown fields. What can be *claimed* is the
closed union `Said` (`forensics.model_said`); times, quantities and canonical JSON live in
`forensics.model_values`; both are re-exported here.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from forensics.errors import RecordInvalid, printable
from forensics.model_claim import (
    AtOnce,
    Before,
    Claim,
    Count,
    Expectation,
    Verdict,
    Visible,
    Within,
)
from forensics.model_said import (
    Activity,
    Anchor,
    Candidate,
    ClipBreak,
    ClockReading,
    Copy,
    Cut,
    Discontinuity,
    DiscontinuityKind,
    Explanation,
    Flash,
    Keyframe,
    Level,
    MarkedBox,
    Offset,
    PlateReading,
    Redaction,
    Region,
    Said,
    Sighting,
    SightingKind,
    SightingVerdict,
    SoundEvent,
    TrackPoint,
    VehicleSighting,
    Verdict3,
)
from forensics.model_values import (
    Box,
    Interval,
    Moment,
    Progress,
    Quantity,
    Span,
    Value,
    canonical_json,
    clock_text,
    content_hash,
    from_builtins,
    from_json,
    seconds,
    to_builtins,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Activity", "Alignment", "Anchor", "Artefact", "AtOnce", "AudioStream", "Before", "Box",
    "Candidate", "Claim", "Clip", "ClipBreak", "ClockReading", "Container", "Copy", "Count",
    "Coverage", "Cut", "Discontinuity", "DiscontinuityKind", "EditListEntry", "ErrorRate",
    "Examination", "Expectation", "Explanation", "Finding", "Flash", "Interval", "Keyframe",
    "Level", "MarkedBox", "Moment", "NotTestable", "Observation", "Offset", "OffsetJump", "Origin",
    "OtherStream", "Outcome", "PairEvidence", "Placement", "PlateReading", "Progress", "Quantity",
    "Rate", "Redaction", "Region", "Said", "Sighting", "SightingKind", "SightingVerdict",
    "SoundEvent", "Span", "Stream", "TrackPoint", "Uncalibrated", "Unplaced", "Value",
    "VehicleSighting", "Verdict", "Verdict3", "VideoStream", "Visible", "Within", "canonical_json",
    "clock_text", "content_hash", "from_builtins", "from_json", "seconds", "to_builtins",
]  # fmt: skip

Outcome: TypeAlias = Literal["found", "nothing-found", "not-applicable", "failed"]


# -- the material ---------------------------------------------------------------------------


class EditListEntry(Value, frozen=True):
    """One entry of an MP4/MOV edit list: what is shown, and from where in the media."""

    duration: Fraction
    media_time: Fraction | None
    rate: Fraction


class VideoStream(Value, frozen=True, tag="video"):
    """A picture stream. Width and height are as coded; `rotation` is clockwise, in degrees."""

    index: int
    codec: str
    time_base: Fraction
    start: Fraction | None
    duration: Fraction | None
    width: int
    height: int
    frame_rate: Fraction | None
    rotation: int = 0
    pixel_format: str = ""
    profile: str = ""
    frames_declared: int = 0
    edit_list: tuple[EditListEntry, ...] = ()
    tags: dict[str, str] = {}


class AudioStream(Value, frozen=True, tag="audio"):
    """A sound stream."""

    index: int
    codec: str
    time_base: Fraction
    start: Fraction | None
    duration: Fraction | None
    sample_rate: int
    channels: int
    profile: str = ""
    edit_list: tuple[EditListEntry, ...] = ()
    tags: dict[str, str] = {}


class OtherStream(Value, frozen=True, tag="other"):
    """Subtitles, telemetry, attachments: listed, not examined."""

    index: int
    kind: str
    codec: str
    tags: dict[str, str] = {}


Stream: TypeAlias = VideoStream | AudioStream | OtherStream


class Container(Value, frozen=True):
    """The wrapper as the demuxer names it."""

    format: str
    start: Fraction | None
    duration: Fraction | None
    tags: dict[str, str] = {}


class Clip(Value, frozen=True, eq=False):
    """One file as it was when it was opened. Its identity is its SHA-256 `digest`.

    `metadata` is what exiftool said, or empty with the reason in `metadata_status`.
    """

    path: Path
    digest: str
    size: int
    modified_ns: int
    container: Container
    streams: tuple[Stream, ...]
    metadata: dict[str, str]
    metadata_status: str
    probed_with: dict[str, str]
    warnings: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Clip) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def name(self) -> str:
        """The file's name as one harmless line."""
        return printable(self.path.name)

    @property
    def video(self) -> VideoStream | None:
        """The first picture stream that is not a cover image, if any."""
        moving = [s for s in self.streams if isinstance(s, VideoStream)]
        return next((s for s in moving if s.codec not in ("mjpeg", "png") or s.frame_rate), None)

    @property
    def audio(self) -> AudioStream | None:
        """The first sound stream, if any."""
        return next((s for s in self.streams if isinstance(s, AudioStream)), None)

    @property
    def duration(self) -> Fraction | None:
        """Declared seconds from the first to the last presentation time."""
        return self.container.duration


# -- findings -------------------------------------------------------------------------------


class Artefact(Value, frozen=True):
    """A picture, sound or table that shows what was found; kept by its SHA-256."""

    digest: str
    media_type: str
    label: str


class Observation(Value, frozen=True):
    """What a detector saw, where, and how strongly: no interpretation, no error rate."""

    what: Said
    span: Span | None
    score: float
    artefacts: tuple[Artefact, ...] = ()
    measures: dict[str, Quantity] = {}
    note: str = ""
    stratum: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise RecordInvalid(f"a score lies between 0 and 1, not {self.score}")


class Origin(Value, frozen=True):
    """Enough to run it again: method, version, inputs by hash, parameters, software, seed."""

    method: str
    version: str
    inputs: tuple[str, ...]
    parameters: dict[str, Any]
    software: dict[str, str]
    seed: int | None = None


class Rate(Value, frozen=True):
    """`events` in `trials` (items, or hours) with its 95 % interval."""

    events: int
    trials: float
    unit: Literal["per item", "per hour"]
    low: float
    high: float

    def __str__(self) -> str:
        if not self.trials:
            return "not measured"
        if self.unit == "per hour":
            return f"{self.events} in {self.trials:.3g} h [{self.low:.3g}, {self.high:.3g} an hour]"
        low, high = (round(100 * x, 0 if x > 0.1 else 2) for x in (self.low, self.high))
        return f"{self.events} of {self.trials:g} [{low:g}, {high:g} %]"


class ErrorRate(Value, frozen=True, tag="measured"):
    """Measured on labelled material the method was not tuned on."""

    false_positive: Rate
    miss: Rate
    dataset: str
    dataset_digest: str
    stratum: str
    independent: int
    measured: str

    def __str__(self) -> str:
        what = f" ({self.stratum})" if self.stratum else ""
        return (
            f"missed {self.miss}, false {self.false_positive}{what}, "
            f"{self.independent} independent sources, measured {self.measured}"
        )


class Uncalibrated(Value, frozen=True, tag="unknown"):
    """No error rate is known, and why."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Finding(Value, frozen=True):
    """One observation with its origin and error rate. `id` is the hash of all three."""

    observation: Observation
    origin: Origin
    error_rate: ErrorRate | Uncalibrated

    @property
    def id(self) -> str:
        """SHA-256 of the canonical JSON."""
        return content_hash(self)


class NotTestable(Value, frozen=True):
    """A stretch in which the method could not have seen what it looks for, and why."""

    span: Span
    reason: str


class Coverage(Value, frozen=True):
    """What was looked at: the span, how much of it, and where looking was in vain."""

    span: Span | None
    units_seen: int = 0
    unit: Literal["frames", "packets", "samples", "bytes", "clips", "pairs"] = "frames"
    decode_failures: int = 0
    not_testable: tuple[NotTestable, ...] = ()


class Examination(Value, frozen=True):
    """One run of one method: outcome, findings, coverage, reason. Iterates over its findings."""

    origin: Origin
    outcome: Outcome
    findings: tuple[Finding, ...]
    coverage: Coverage
    reason: str = ""
    error_rate: ErrorRate | Uncalibrated = Uncalibrated("not looked up")
    measures: dict[str, Quantity] = {}
    artefacts: tuple[Artefact, ...] = ()

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __bool__(self) -> bool:
        # An examination that found nothing is still an answer; truth by length would hide it.
        return True

    @property
    def observations(self) -> tuple[Observation, ...]:
        """The findings' observations."""
        return tuple(finding.observation for finding in self.findings)

    def __str__(self) -> str:
        head = f"{self.origin.method} {self.origin.version}: {self.outcome.replace('-', ' ')}"
        count = f" ({len(self.findings)})" if self.findings else ""
        return head + count + (f": {self.reason}" if self.reason else "")

    def rows(self) -> list[dict[str, Any]]:
        """One flat dict per finding, for tables."""
        table = []
        for finding in self.findings:
            seen = finding.observation
            row: dict[str, Any] = {"id": finding.id[:12]}
            row |= {k: v for k, v in to_builtins(seen.what).items() if not isinstance(v, list)}
            if seen.span is not None:
                row |= {"from_s": float(seen.span.start), "to_s": float(seen.span.end)}
            row |= {"score": seen.score, "note": seen.note}
            row |= {name: str(value) for name, value in seen.measures.items()}
            table.append(row)
        return table

    def to_frame(self) -> pd.DataFrame:
        """The findings as a pandas table (extra `notebook`)."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def _repr_html_(self) -> str:
        head = f"<p><b>{html.escape(str(self))}</b></p>"
        rows = self.rows()
        if not rows:
            return head
        columns = list(dict.fromkeys(key for row in rows for key in row))
        cells = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{_cell(row.get(c, ''))}</td>" for c in columns) + "</tr>"
            for row in rows
        )
        return f"{head}<table><tr>{cells}</tr>{body}</table>"


def _cell(value: Any) -> str:
    """A value for a person's eyes: explanations and quantities as lines, not as records."""
    if isinstance(value, list | tuple):
        return "<br>".join(_cell(item) for item in value)
    if isinstance(value, dict) and "rank" in value:
        sort = " (innocent)" if value.get("benign") else ""
        return html.escape(f"{value['rank']}. {value['text']}{sort}")
    if isinstance(value, dict) and "unit" in value:
        return html.escape(f"{value['value']:.6g} {value['unit']}")
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return html.escape("" if value is None else text)


# -- one clock ------------------------------------------------------------------------------


class PairEvidence(Value, frozen=True):
    """What two clips share. `offset` positive: `second` starts later than `first`."""

    first: str
    second: str
    basis: Literal["sound", "clock", "flash", "motion", "examiner"]
    offset: Quantity | None
    score: float
    accepted: bool
    false_join: Quantity | None = None
    drift_ppm: Quantity | None = None
    residual_s: float | None = None
    rivals: tuple[Quantity, ...] = ()
    note: str = ""
    measures: dict[str, Quantity] = {}


class Placement(Value, frozen=True):
    """Where one clip starts on the clock of its component.

    `offset` in seconds; positive: this clip starts later than the component's reference.
    """

    clip: str
    offset: Quantity
    drift_ppm: Quantity
    basis: Literal["reference", "sound", "clock", "flash", "motion", "examiner"]
    support: tuple[str, ...]
    component: int = 0


class Unplaced(Value, frozen=True):
    """A clip left out, and why."""

    clip: str
    outcome: Literal["not-applicable", "nothing-found", "failed"]
    reason: str


class OffsetJump(Value, frozen=True):
    """Where the offset of two clips of one event jumps: one of them lost or gained sound there.

    `first_s` and `second_s` are clip times; `jump` (s) positive: sound is missing from `second`,
    or was put into `first`. `clip` is the digest of the one that also jumps against a third clip
    while the other does not; empty where no third clip decides. `gain` in standard deviations.
    """

    first: str
    second: str
    first_s: float
    second_s: float
    jump: Quantity
    uncertainty_s: float
    gain: float
    clip: str = ""


class Alignment(Value, frozen=True):
    """Several clips on one clock; clips without shared evidence are in other components."""

    origin: Origin
    reference: str
    placements: tuple[Placement, ...]
    pairs: tuple[PairEvidence, ...]
    components: tuple[tuple[str, ...], ...]
    unplaced: tuple[Unplaced, ...]
    error_rate: ErrorRate | Uncalibrated = Uncalibrated("not looked up")
    warnings: tuple[str, ...] = ()
    jumps: tuple[OffsetJump, ...] = ()

    def placement(self, clip: Clip | str) -> Placement | None:
        """The placement of a clip (or digest), or None if it was left out."""
        digest = clip if isinstance(clip, str) else clip.digest
        return next((p for p in self.placements if p.clip == digest), None)

    def on_incident_clock(self, clip: Clip | str, span: Span) -> Interval | None:
        """A span of one clip's clock on the reference's clock.

        None if the clip was left out, or stands in another component: nothing ties that one's
        clock to the reference's.
        """
        place, own = self.placement(clip), self.placement(self.reference)
        if place is None or place.component != (own.component if own is not None else 0):
            return None
        return self.on_component_clock(clip, span)

    def on_component_clock(self, clip: Clip | str, span: Span) -> Interval | None:
        """A span of one clip's clock on the clock of its own component, or None if left out."""
        place = self.placement(clip)
        if place is None:
            return None
        rate = 1 + place.drift_ppm.value * 1e-6
        offset, low, high = place.offset.value, place.offset.low, place.offset.high
        spread = 0.0 if low is None or high is None else max(high - offset, offset - low)
        return Interval(
            offset + float(span.start) * rate, offset + float(span.end) * rate, spread
        )
