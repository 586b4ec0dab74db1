"""Sightings over several clips that can be of one design or one vehicle, with a reason for each.

Two sightings are joined only by an edge that can be looked at: the same track, the same design
of the gallery, two crops that agree with each other, the same word or number, a plate both can
carry. A cluster says *compatible with one another*, inside one incident; it names nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from forensics.errors import RecordInvalid
from forensics.gallery_match import prepare_query, prepare_reference, rank
from forensics.model import Examination, Finding, PlateReading, Quantity, Sighting, Value
from forensics.model import VehicleSighting as Vehicle
from forensics.provenance import artefact_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Cluster", "Edge", "cluster_sightings"]


class Edge(Value, frozen=True):
    """Why two sightings (finding ids) were joined."""

    first: str
    second: str
    basis: Literal["track", "design", "crop", "lettering", "plate"]
    text: str
    strength: Quantity


class Cluster(Value, frozen=True):
    """Sightings compatible with one another: finding ids, the clips, and every edge between."""

    name: str
    members: tuple[str, ...]
    clips: tuple[str, ...]
    edges: tuple[Edge, ...]


def _crop(finding: Finding) -> NDArray[np.uint8] | None:
    import io

    import numpy as np
    from PIL import Image

    shown = [a for a in finding.observation.artefacts if a.media_type == "image/png"]
    if not shown:
        return None
    try:
        content = artefact_bytes(shown[0])
    except RecordInvalid:
        return None
    return np.array(Image.open(io.BytesIO(content)).convert("RGB"))


def _plates_meet(first: PlateReading | None, second: PlateReading | None) -> bool:
    if first is None or second is None or not first.text or not second.text:
        return False
    one, two = first.alternatives, second.alternatives
    return len(one) == len(two) and all(set(a) & set(b) for a, b in zip(one, two, strict=True))


def _edge(one: Finding, two: Finding, ids: tuple[str, str]) -> Edge | None:
    a, b = one.observation.what, two.observation.what
    counted = Quantity.exact(1, "", "agrees or not")
    # Tracks are named within one examination: in another, the same name is another track.
    track = getattr(a, "track", "") if type(a) is type(b) and one.origin == two.origin else ""
    if track and track == getattr(b, "track", ""):
        return Edge(*ids, "track", f"track {track} of one clip", counted)
    if isinstance(a, Vehicle) and isinstance(b, Vehicle) and _plates_meet(a.plate, b.plate):
        assert a.plate is not None and b.plate is not None
        said = f"plates read {a.plate.text} and {b.plate.text} can be one"
        return Edge(*ids, "plate", said, counted)
    if isinstance(a, Sighting) and isinstance(b, Sighting):
        if a.observed_absence or b.observed_absence:
            return None
        sure = ("match_design", "possible_design")
        if a.verdict in sure and b.verdict in sure and a.candidates and b.candidates:
            best = a.candidates[0].entry
            if best == b.candidates[0].entry:
                weaker = min(a.candidates[0].score, b.candidates[0].score)
                said = f"both resemble {best} ({a.verdict}, {b.verdict})"
                return Edge(*ids, "design", said, Quantity.exact(weaker, "", "resemblance"))
        if a.text and a.text == b.text and a.kind == b.kind and any(c.isdigit() for c in a.text):
            return Edge(*ids, "lettering", f"both read {a.text} ({a.kind})", counted)
    return None


def _crop_edges(findings: Sequence[tuple[str, Finding]], least: int) -> list[Edge]:
    """Crops of designs that are in no gallery, held against each other."""
    import numpy as np

    usable = []
    for key, finding in findings:
        what = finding.observation.what
        drawn = isinstance(what, Sighting) and what.kind not in ("lettering", "plate")
        if not drawn or getattr(what, "observed_absence", None):
            continue
        crop = _crop(finding)
        if crop is not None and max(crop.shape[:2]) >= 48:
            alpha = np.full((*crop.shape[:2], 1), 255, np.uint8)
            usable.append((key, crop, prepare_reference(np.concatenate([crop, alpha], axis=2))))
    edges = []
    for number, (key, crop, _) in enumerate(usable):
        later = [(other, reference) for other, _, reference in usable[number + 1 :]]
        ranked = rank(prepare_query(crop), later, keep=12, finish=12) if later else []
        for like, seen in ranked:
            if seen.inliers >= least and seen.agreement >= 0.6:
                told = f"{seen.inliers} details in one geometry, {seen.agreement:.0%} agree"
                strength = Quantity.exact(seen.inliers, "points", "counted")
                edges.append(Edge(key, like, "crop", told, strength))
    return edges


def cluster_sightings(
    examinations: Sequence[Examination], *, crops: bool = True, least_inliers: int = 12
) -> tuple[Cluster, ...]:
    """Join sightings of one or several clips that are compatible, keeping the edge for each join.

    Parameters
    ----------
    examinations
        Of `find_markings` and `find_vehicles`, of one incident.
    crops
        Also hold crops of markings against each other, for designs that are in no gallery.
    least_inliers
        Details in one geometry that two crops need.

    Returns
    -------
    tuple of Cluster
        Largest first; a sighting that joins nothing is in none.

    When it errs
    ------------
    Chains: A resembles B and B resembles C, though A and C differ (ASTM E3016: inaccuracy,
    association); the edges show where. A shared design joins different wearers
    (misinterpretation): a cluster is of markings, not of those who wear them.
    """
    findings = [(f.id, f) for exam in examinations for f in exam]
    parent = {key: key for key, _ in findings}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    edges = []
    for number, (key, finding) in enumerate(findings):
        for other, later in findings[number + 1 :]:
            edge = _edge(finding, later, (key, other))
            if edge is not None:
                edges.append(edge)
    if crops:
        edges += _crop_edges(findings, least_inliers)
    for edge in edges:
        parent[root(edge.first)] = root(edge.second)
    groups: dict[str, list[str]] = {}
    for key, _ in findings:
        groups.setdefault(root(key), []).append(key)
    inputs = {key: finding.origin.inputs for key, finding in findings}
    joined = sorted((g for g in groups.values() if len(g) > 1), key=lambda g: (-len(g), g))
    return tuple(
        Cluster(
            f"c{number}", tuple(members),
            tuple(sorted({digest for key in members for digest in inputs[key]})),
            tuple(e for e in edges if e.first in members and e.second in members),
        )
        for number, members in enumerate(joined, start=1)
    )  # fmt: skip
