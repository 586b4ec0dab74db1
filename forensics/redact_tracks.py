"""From detections in single frames to regions without a gap: what is seen once stays covered.

A detector misses a frame now and then, and one missed frame is enough to show what should be
hidden. Detections are linked into tracks, gaps are bridged, and every track is held for a while
before its first and after its last sighting, moving on as it was moving.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from forensics.model import Box

__all__ = ["Track", "cover", "grown", "link"]


@dataclass
class Track:
    """One region followed over frames: ordinals (increasing) and boxes."""

    ordinals: list[int] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)


def grown(box: Box, factor: float) -> Box:
    """The box enlarged about its centre."""
    width, height = box.width * factor, box.height * factor
    return Box(box.x - (width - box.width) / 2, box.y - (height - box.height) / 2, width, height)


def _near(one: Box, other: Box, gap: int) -> bool:
    # A fast head moves more than its own width between sightings a few frames apart.
    reach = (1.0 + 0.3 * gap) * max(one.width, one.height, other.width, other.height)
    across = abs(one.x + one.width / 2 - other.x - other.width / 2)
    down = abs(one.y + one.height / 2 - other.y - other.height / 2)
    ratio = (one.width * one.height + 1e-9) / (other.width * other.height + 1e-9)
    return max(across, down) <= reach and 0.2 <= ratio <= 5


def link(detections: Sequence[Sequence[Box]], *, max_gap: int) -> list[Track]:
    """Link boxes of consecutive frames into tracks; a track may pause for `max_gap` frames.

    Parameters
    ----------
    detections
        Per frame, the boxes found.
    max_gap
        Most frames without a sighting before a new track begins.
    """
    tracks: list[Track] = []
    open_tracks: list[Track] = []
    for ordinal, boxes in enumerate(detections):
        open_tracks = [t for t in open_tracks if ordinal - t.ordinals[-1] <= max_gap + 1]
        pairs = [
            (_distance(track.boxes[-1], box), k, n)
            for k, track in enumerate(open_tracks)
            for n, box in enumerate(boxes)
            if _near(track.boxes[-1], box, ordinal - track.ordinals[-1])
        ]
        used_tracks: set[int] = set()
        used_boxes: set[int] = set()
        for _, k, n in sorted(pairs):
            if k not in used_tracks and n not in used_boxes:
                used_tracks.add(k)
                used_boxes.add(n)
                open_tracks[k].ordinals.append(ordinal)
                open_tracks[k].boxes.append(boxes[n])
        for n, box in enumerate(boxes):
            if n not in used_boxes:
                track = Track([ordinal], [box])
                tracks.append(track)
                open_tracks.append(track)
    return tracks


def _distance(one: Box, other: Box) -> float:
    across = one.x + one.width / 2 - other.x - other.width / 2
    down = one.y + one.height / 2 - other.y - other.height / 2
    return across * across + down * down


def _blend(one: Box, other: Box, share: float) -> Box:
    mixed = (a + (b - a) * share for a, b in zip(_row(one), _row(other), strict=True))
    return Box(*mixed)


def _row(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.width, box.height


def cover(tracks: Sequence[Track], frames: int, *, hold: int, factor: float) -> list[list[Box]]:
    """Per frame, every region to hide: interpolated inside tracks, held before and after.

    Parameters
    ----------
    tracks
        What `link` returned.
    frames
        Number of frames of the clip.
    hold
        Frames a track is kept before its first and after its last sighting, growing a little
        each frame because nothing is known of it there.
    factor
        How much larger than the sighting the region is.
    """
    regions: list[list[Box]] = [[] for _ in range(frames)]
    for track in tracks:
        known = list(zip(track.ordinals, track.boxes, strict=True))
        for (start, one), (end, other) in itertools.pairwise(known):
            for ordinal in range(start, end):
                share = (ordinal - start) / (end - start)
                # Inside a gap the true path is unknown: cover both ends' reach.
                slack = 1.0 + 0.05 * min(ordinal - start, end - ordinal)
                regions[ordinal].append(grown(_blend(one, other, share), factor * slack))
        last_at, last = known[-1]
        regions[last_at].append(grown(last, factor))
        first_at, first = known[0]
        for step in range(1, hold + 1):
            slack = factor * (1.0 + 0.04 * step)
            if first_at - step >= 0:
                regions[first_at - step].append(grown(first, slack))
            if last_at + step < frames:
                regions[last_at + step].append(grown(last, slack))
    return regions
