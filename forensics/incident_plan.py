"""``incident.toml``: what the examiner wrote. An unknown key is an error, nothing is defaulted.

::

    title = "…"                    # what the case is called
    case = "…"                     # case id, printed on every page
    reference = "phone-a"          # the clip whose clock is the incident clock (optional)
    gallery = "gallery"            # folder of references (optional)

    [[clips]]
    name = "cctv"                  # a short name, used below
    path = "cctv.mp4"              # relative to the folder; or absolute
    note = "…"
    clock_box = {x = 8, y = 8, width = 300, height = 30}       # optional

    [[regions]]                    # what to watch; kind "occluder" is what hides things
    clip = "cctv"
    name = "bench"
    kind = "region"
    polygon = [[100, 200], [300, 200], [300, 320], [100, 320]]  # displayed pixels

    [[boxes]]                      # markings the examiner drew
    clip = "phone-a"
    time_s = 12.5
    kind = "patch"
    box = {x = 10, y = 20, width = 80, height = 90}

    [[anchors]]                    # times the examiner vouches for
    clip = "cctv"
    offset_s = 3.0
    uncertainty_s = 2.0
    source = "…"

    [[claims]]
    name = "three-shots"
    text = "Three shots within ten seconds"
    source = "…"
    expects = {type = "within", what = "impulse", n = 3, window_s = 10.0}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from forensics.errors import RecordInvalid
from forensics.model import (
    Anchor,
    Box,
    Claim,
    Clip,
    Expectation,
    MarkedBox,
    Region,
    SightingKind,
    Value,
)

__all__ = ["Plan", "PlannedBox", "PlannedClaim", "PlannedClip", "PlannedRegion"]


class PlannedClip(Value, frozen=True):
    """One clip of the incident, by the examiner's short name for it."""

    name: str
    path: str
    note: str = ""
    clock_box: Box | None = None


class PlannedRegion(Value, frozen=True):
    """A region to watch, or an occluder, as a polygon in displayed pixels of one clip."""

    clip: str
    name: str
    polygon: tuple[tuple[float, float], ...]
    kind: Literal["region", "occluder"] = "region"


class PlannedBox(Value, frozen=True):
    """A marking the examiner drew a box around."""

    clip: str
    time_s: float
    kind: SightingKind
    box: Box


class PlannedAnchor(Value, frozen=True):
    """A clip's start on the incident clock that the examiner vouches for."""

    clip: str
    offset_s: float
    uncertainty_s: float
    source: str


class PlannedClaim(Value, frozen=True):
    """A sentence to be tested."""

    name: str
    text: str
    source: str
    expects: Expectation

    @property
    def claim(self) -> Claim:
        """As the library's type."""
        return Claim(self.name, self.text, self.source, self.expects)


class Plan(Value, frozen=True):
    """The whole of ``incident.toml``."""

    title: str
    clips: tuple[PlannedClip, ...]
    case: str = ""
    reference: str = ""
    gallery: str = ""
    regions: tuple[PlannedRegion, ...] = ()
    boxes: tuple[PlannedBox, ...] = ()
    anchors: tuple[PlannedAnchor, ...] = ()
    claims: tuple[PlannedClaim, ...] = ()

    def check(self) -> None:
        """Make sure that every name used is a clip's, and no name is used twice.

        Raises
        ------
        RecordInvalid
        """
        names = [clip.name for clip in self.clips]
        if len(set(names)) != len(names):
            raise RecordInvalid("incident.toml: two clips have the same name")
        if not names:
            raise RecordInvalid("incident.toml: no clips")
        used = {r.clip for r in self.regions} | {b.clip for b in self.boxes}
        used |= {a.clip for a in self.anchors} | ({self.reference} if self.reference else set())
        unknown = sorted(used - set(names))
        if unknown:
            raise RecordInvalid(f"incident.toml: no clip is called {unknown[0]!r}")

    def clip(self, name: str) -> PlannedClip:
        """The clip of that name."""
        return next(clip for clip in self.clips if clip.name == name)

    def regions_of(self, name: str) -> tuple[tuple[Region, ...], tuple[Region, ...]]:
        """The regions to watch in one clip, and its occluders."""
        mine = [r for r in self.regions if r.clip == name]
        watched = tuple(Region(r.name, r.polygon) for r in mine if r.kind == "region")
        hiding = tuple(Region(r.name, r.polygon) for r in mine if r.kind == "occluder")
        return watched, hiding

    def boxes_of(self, name: str) -> tuple[MarkedBox, ...]:
        """The boxes the examiner drew in one clip."""
        return tuple(MarkedBox(b.time_s, b.box, b.kind) for b in self.boxes if b.clip == name)

    def anchors_for(self, opened: Mapping[str, Clip]) -> tuple[Anchor, ...]:
        """The examiner's anchors of clips that could be opened."""
        return tuple(
            Anchor(opened[a.clip].digest, a.offset_s, a.uncertainty_s, a.source)
            for a in self.anchors
            if a.clip in opened
        )
