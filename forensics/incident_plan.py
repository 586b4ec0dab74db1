"""``incident.toml``: what the examiner wrote. An unknown key is an error, nothing is defaulted.

::

    schema = 1
    title = "…"                    # what the case is called
    case = "…"                     # case id, printed on every page (optional)
    summary = "…"                  # (optional)
    reference = "phone-a"          # the clip whose clock is the incident clock (optional)
    galleries = ["gallery"]        # folders of references (optional)
    language = "en"                # of the appendix (optional)

    [[clips]]
    id = "cctv"                    # a short name, used below
    path = "evidence/cctv.mp4"     # relative to the folder; or absolute
    note = "…"
    fixed_camera = true            # activity is only looked for in fixed views
    clock = {box_px = [8, 8, 300, 30], format = "%Y-%m-%d %H:%M:%S", utc_offset = "+03:00"}

    [[regions]]                    # what to watch; kind "occluder" is what hides things
    clip = "cctv"
    name = "bench"
    kind = "watch"
    polygon_px = [[100, 200], [300, 200], [300, 320], [100, 320]]  # displayed pixels

    [[boxes]]                      # markings the examiner drew a box around
    clip = "phone-a"
    time_s = 12.5
    kind = "patch"
    box_px = [10, 20, 80, 90]

    [[anchors]]                    # times the examiner vouches for
    clip = "cctv"
    offset_s = 3.0
    uncertainty_s = 2.0
    source = "…"

    [[claims]]
    id = "three-shots"
    text = "Three shots within ten seconds"
    source = "…"
    expects = {kind = "count", label = "impulse", n = 3, window_s = 10.0}
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

__all__ = ["Plan", "PlannedBox", "PlannedClaim", "PlannedClip", "PlannedClock", "PlannedRegion"]


class PlannedClock(Value, frozen=True):
    """Where the burned-in clock is, and how it writes, as far as the examiner says."""

    box_px: tuple[float, float, float, float]
    format: str = ""
    utc_offset: str = ""

    @property
    def box(self) -> Box:
        """As the library's type."""
        return Box(*self.box_px)


class PlannedClip(Value, frozen=True):
    """One clip of the incident, by the examiner's short name for it."""

    id: str
    path: str
    note: str = ""
    fixed_camera: bool = False
    clock: PlannedClock | None = None


class PlannedRegion(Value, frozen=True):
    """A region to watch, or an occluder, as a polygon in displayed pixels of one clip."""

    clip: str
    name: str
    polygon_px: tuple[tuple[float, float], ...]
    kind: Literal["watch", "occluder"] = "watch"


class PlannedBox(Value, frozen=True):
    """A marking the examiner drew a box around."""

    clip: str
    time_s: float
    kind: SightingKind
    box_px: tuple[float, float, float, float]


class PlannedAnchor(Value, frozen=True):
    """A clip's start on the incident clock that the examiner vouches for."""

    clip: str
    offset_s: float
    uncertainty_s: float
    source: str


class PlannedClaim(Value, frozen=True):
    """A sentence to be tested."""

    id: str
    text: str
    source: str
    expects: Expectation

    @property
    def claim(self) -> Claim:
        """As the library's type."""
        return Claim(self.id, self.text, self.source, self.expects)


class Plan(Value, frozen=True):
    """The whole of ``incident.toml``."""

    title: str
    clips: tuple[PlannedClip, ...]
    schema: int = 1
    case: str = ""
    summary: str = ""
    reference: str = ""
    galleries: tuple[str, ...] = ()
    language: str = "en"
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
        if self.schema != 1:
            raise RecordInvalid(f"incident.toml: schema {self.schema} is not known here")
        names = [clip.id for clip in self.clips]
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
        return next(clip for clip in self.clips if clip.id == name)

    def regions_of(self, name: str) -> tuple[tuple[Region, ...], tuple[Region, ...]]:
        """The regions to watch in one clip, and its occluders."""
        mine = [r for r in self.regions if r.clip == name]
        watched = tuple(Region(r.name, r.polygon_px) for r in mine if r.kind == "watch")
        hiding = tuple(Region(r.name, r.polygon_px) for r in mine if r.kind == "occluder")
        return watched, hiding

    def boxes_of(self, name: str) -> tuple[MarkedBox, ...]:
        """The boxes the examiner drew in one clip."""
        return tuple(
            MarkedBox(b.time_s, Box(*b.box_px), b.kind) for b in self.boxes if b.clip == name
        )

    def anchors_for(self, opened: Mapping[str, Clip]) -> tuple[Anchor, ...]:
        """The examiner's anchors of clips that could be opened."""
        return tuple(
            Anchor(opened[a.clip].digest, a.offset_s, a.uncertainty_s, a.source)
            for a in self.anchors
            if a.clip in opened
        )
