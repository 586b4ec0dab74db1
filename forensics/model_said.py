"""What the library can ever claim: one closed union. No field of it can hold a person.

Adding a claim means adding a class here, to `Said`, and to the documentation; there is no other
way for a method to say something.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, TypeAlias

from forensics.model_values import Box, Quantity, Span, Value

__all__ = [
    "Activity",
    "Anchor",
    "Candidate",
    "ClipBreak",
    "ClockReading",
    "Copy",
    "Cut",
    "Discontinuity",
    "DiscontinuityKind",
    "Explanation",
    "Flash",
    "Keyframe",
    "Level",
    "MarkedBox",
    "Offset",
    "PlateReading",
    "Redaction",
    "Region",
    "Said",
    "Sighting",
    "SightingKind",
    "SightingVerdict",
    "SoundEvent",
    "TrackPoint",
    "VehicleSighting",
    "Verdict3",
]

#: SWGDE 23-V-001's three outcomes, each "... with an original".
Verdict3: TypeAlias = Literal["consistent", "inconsistent", "inconclusive"]

Level: TypeAlias = Literal[
    "container", "timestamps", "bitstream", "compression", "frame", "audio", "hum", "clock",
    "comparison",
]  # fmt: skip

DiscontinuityKind: TypeAlias = Literal[
    # container and timestamps
    "hidden-frames", "structure", "metadata-contradiction", "pts-gap", "pts-overlap",
    "pts-reversed", "duration-mismatch", "truncated",
    # bitstream and compression
    "stream-copy-cut", "parameter-set-change", "gop-phase-break", "double-compression",
    # frames
    "deletion", "splice", "cover-up", "reorder", "loop", "freeze", "doubled-frames",
    "dropped-frames", "inserted-frames", "inserted-black", "abrupt-change",
    # sound
    "sound-splice", "frame-grid-shift", "noise-floor-step", "bandwidth-change",
    "copy-move", "digital-silence", "hum-phase-break", "dropped-sound", "av-mismatch",
    "reverberation-change", "channel-change", "sync-break",
    # burned-in clock
    "clock-jump", "clock-frozen", "clock-missing-seconds", "clock-rate",
    # one clip against others of the same event
    "offset-jump",
]  # fmt: skip

SightingKind: TypeAlias = Literal[
    "patch", "chevron", "lettering", "shield-number", "helmet-number", "helmet", "shield",
    "balaclava", "truncheon", "camouflage", "vehicle", "plate", "vehicle-marking", "group", "other",
]  # fmt: skip

SightingVerdict: TypeAlias = Literal[
    "match_design", "possible_design", "no_match_in_gallery", "insufficient", "not_examined"
]


class Said_(Value, frozen=True, tag_field="type"):
    """Base of the union's members."""


class Explanation(Value, frozen=True):
    """One way an alarm can come about; `rank` 1 is the likeliest, `benign` if no edit is needed."""

    rank: int
    name: str
    benign: bool
    text: str


class Candidate(Value, frozen=True):
    """A gallery entry that resembles what was seen: ranked, never a verdict about a unit."""

    entry: str
    score: float
    similarities: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    measures: dict[str, Quantity] = {}
    look_alike: bool = False


class Region(Value, frozen=True):
    """A named area the examiner drew: a polygon in pixels of the displayed frame."""

    name: str
    polygon: tuple[tuple[float, float], ...]

    @classmethod
    def of_box(cls, name: str, x: float, y: float, width: float, height: float) -> Region:
        """A rectangle as a region."""
        right, bottom = x + width, y + height
        return cls(name, ((x, y), (right, y), (right, bottom), (x, bottom)))


class TrackPoint(Value, frozen=True):
    """Where something was at one time; a trajectory carries no identity."""

    time: Fraction
    box: Box


class MarkedBox(Value, frozen=True):
    """A marking an examiner drew a box around, at a time on the clip's clock."""

    time_s: float
    box: Box
    kind: SightingKind


class Anchor(Value, frozen=True):
    """A clip's start on the reference's clock that an examiner vouches for; `clip` is a digest."""

    clip: str
    offset_s: float
    uncertainty_s: float
    source: str


class ClipBreak(Value, frozen=True):
    """A place in a clip where the recording does not go on; `removed` seconds, if known."""

    clip: str
    time_s: float
    removed: Quantity | None = None


class Keyframe(Said_, frozen=True, tag="keyframe"):
    """A frame worth looking at, identified so that another expert lands on the same one."""

    ordinal: int
    pts: Fraction
    pixel_hash: str
    reason: Literal["shot", "newcomer", "event", "interval", "sharpest"]
    sharpness: Quantity
    byte_position: int | None = None


class Cut(Said_, frozen=True, tag="cut"):
    """A shot boundary of a produced video; `ordinal` and `pts` of the new shot's first frame."""

    kind: Literal["cut", "fade", "dissolve"]
    ordinal: int
    pts: Fraction


class Discontinuity(Said_, frozen=True, tag="discontinuity"):
    """A place where the recording does not continue as one recording would."""

    level: Level
    kind: DiscontinuityKind
    verdict: Verdict3
    supports: tuple[str, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    removed: Quantity | None = None


class SoundEvent(Said_, frozen=True, tag="sound-event"):
    """An impulse heard. The label is a class of sound, never a cause."""

    label: Literal["impulse", "gunshot-like", "stun-grenade-like", "blow-like"]
    time: Fraction
    level: Quantity


class Flash(Said_, frozen=True, tag="flash"):
    """A short rise of brightness seen in part of the picture or all of it."""

    time: Fraction
    region: Box | None
    rise: Quantity
    explanations: tuple[Explanation, ...] = ()


class Activity(Said_, frozen=True, tag="activity"):
    """What something moving did in a region the examiner drew. No identity, only a trajectory."""

    region: str
    kind: Literal["enters", "leaves", "falls", "runs", "stands-still"]
    time: Fraction
    track: tuple[TrackPoint, ...] = ()


class Offset(Said_, frozen=True, tag="offset"):
    """When this clip starts relative to `reference`; positive: this clip starts later."""

    reference: str
    offset: Quantity
    basis: Literal["sound", "clock", "flash", "motion", "examiner"]


class Copy(Said_, frozen=True, tag="copy"):
    """`clip` shows the same footage as `other`; which of them ("this": `clip`) is nearer the
    original."""

    clip: str
    other: str
    relation: Literal["identical-file", "identical-streams", "re-encoded", "excerpt", "altered"]
    nearer: Literal["this", "other", "undecided"]
    shared: Span | None = None


class ClockReading(Said_, frozen=True, tag="clock-reading"):
    """The burned-in clock as read: text and wall time at `pts`, and its rate over the span."""

    ordinal: int
    pts: Fraction
    text: str
    wall: str
    box: Box
    rate: Quantity | None = None


class Sighting(Said_, frozen=True, tag="sighting"):
    """A marking or piece of equipment seen in one frame. Never a person."""

    kind: SightingKind
    ordinal: int
    pts: Fraction
    pixel_hash: str
    box: Box
    source: str
    verdict: SightingVerdict = "not_examined"
    candidates: tuple[Candidate, ...] = ()
    polygon: tuple[tuple[float, float], ...] = ()
    text: str = ""
    attributes: dict[str, str] = {}
    observed_absence: Literal["no-insignia", "no-plate", "covered", "not-visible"] | None = None
    track: str = ""


class PlateReading(Value, frozen=True):
    """A plate as far as it can be read: alternatives for each character, and the verdict."""

    verdict: Literal["readable", "partial", "insufficient"]
    text: str
    alternatives: tuple[str, ...]
    box: Box
    height: Quantity
    patterns: tuple[str, ...] = ()


class VehicleSighting(Said_, frozen=True, tag="vehicle-sighting"):
    """A vehicle seen in one frame: type, colour candidates or abstention, plate as far as read."""

    vehicle_type: str
    ordinal: int
    pts: Fraction
    pixel_hash: str
    box: Box
    source: str
    colours: tuple[Candidate, ...] = ()
    palette: tuple[str, ...] = ()
    plate: PlateReading | None = None
    attributes: dict[str, str] = {}
    track: str = ""


class Redaction(Said_, frozen=True, tag="redaction"):
    """A region that was made unrecognisable in a derivative."""

    kind: Literal["face", "plate", "region", "screen", "voice", "metadata"]
    style: Literal["solid", "mosaic", "muted", "masked", "removed"]
    frames: int
    box: Box | None = None


Said: TypeAlias = (
    Keyframe
    | Cut
    | Discontinuity
    | SoundEvent
    | Flash
    | Activity
    | Offset
    | Copy
    | ClockReading
    | Sighting
    | VehicleSighting
    | Redaction
)
