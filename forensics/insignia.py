"""Patches, shields, lettering seen in a clip, compared with a gallery the investigator keeps.

The examiner's own box is the primary input; detectors only say where else to look. A match is
between *designs*: insignia can be worn by others, copied, removed or added. Size comes first:
under 32 pixels nothing is compared, under 76 nothing is more than ``possible_design``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics import detector
from forensics.detector_frames import MarkedBox, crop_box, frames_to_examine, png_bytes
from forensics.errors import ExtraMissing
from forensics.gallery import Gallery
from forensics.gallery_match import prepare_query, rank
from forensics.insignia_cluster import Cluster, Edge, cluster_sightings
from forensics.insignia_lettering import (
    LetteringRead,
    LexiconWord,
    read_lettering,
    read_lexicon,
    tesseract_languages,
)
from forensics.insignia_match import LEAST_PX, Match, fitted_quad, insufficient, match_marking
from forensics.insignia_measure import measure_crop, size_bucket
from forensics.insignia_picker import BoxPicker, boxes_from_drawn, open_picker
from forensics.insignia_record import (
    Sealed,
    Step,
    blind_sheet,
    check_steps,
    record_absence,
    record_comparison,
    seal_decision,
)
from forensics.model import (
    Box,
    Clip,
    Coverage,
    Examination,
    NotTestable,
    Observation,
    Progress,
    Sighting,
    SightingKind,
    SightingVerdict,
    Span,
)
from forensics.provenance import conclude, keep, method
from forensics.scan import Picture

if TYPE_CHECKING:
    pass

__all__ = [
    "BoxPicker", "Cluster", "Edge", "LetteringRead", "LexiconWord", "MarkedBox",
    "Match", "Sealed", "Step", "blind_sheet", "boxes_from_drawn", "check_steps",
    "cluster_sightings", "find_markings", "match_marking", "open_picker", "read_lettering",
    "read_lexicon", "record_absence", "record_comparison", "seal_decision",
]  # fmt: skip

_SEARCHED_PX = 90.0
_LETTERED: frozenset[str] = frozenset(("lettering", "shield-number", "helmet-number", "plate"))
_DESIGNS: frozenset[str] = frozenset(
    ("patch", "chevron", "shield", "helmet", "vehicle-marking", "camouflage", "other")
)


# -- a clip ---------------------------------------------------------------------------------


def _observe(
    picture: Picture, box: Box, kind: SightingKind, source: str, match: Match | None, *,
    text: str = "", attributes: dict[str, str] | None = None, note: str = "",
    polygon: tuple[tuple[float, float], ...] = (), score: float | None = None,
) -> Observation:  # fmt: skip
    crop = crop_box(picture, box)
    shown = crop_box(picture, box, margin=0.15)
    measures = measure_crop(crop, origin_px=(int(box.x), int(box.y)))
    verdict: SightingVerdict = "not_examined" if match is None else match.verdict
    candidates = () if match is None else match.candidates
    if match is not None:
        note = "; ".join(part for part in (note, match.reason) if part)
    said = Sighting(
        kind=kind, ordinal=picture.ordinal, pts=picture.pts, pixel_hash=picture.pixel_hash,
        box=box, source=source, verdict=verdict, candidates=candidates, polygon=polygon,
        text=text, attributes=attributes or {},
    )  # fmt: skip
    if score is None:
        score = candidates[0].score if candidates else 1.0 if source.startswith("examiner") else 0.5
    stratum = f"{kind}, {size_bucket(max(box.width, box.height))}"
    if not source.startswith("examiner"):
        # What a search brings up was chosen for resembling: boxes drawn by hand were not.
        stratum += ", by search"
    return Observation(
        said, Span(picture.pts, picture.pts), float(score),
        artefacts=(keep(png_bytes(shown), media_type="image/png", label=f"{kind} as seen"),),
        measures=measures, note=note, stratum=stratum,
    )  # fmt: skip


def _examiner_observation(
    picture: Picture, marked: MarkedBox, gallery: Gallery | None,
    lexicon: tuple[LexiconWord, ...], ocr: bool,
) -> Observation:  # fmt: skip
    attributes = dict(marked.attributes)
    text, match = "", None
    longest = max(marked.box.width, marked.box.height)
    if marked.kind in _LETTERED and ocr:
        read = read_lettering(crop_box(picture, marked.box, margin=0.25), lexicon=lexicon)
        read = sorted(read, key=lambda r: (not (r.word or r.digits), -r.score))
        if read:
            text = read[0].word or read[0].digits or read[0].raw
            attributes |= _said_of(read[0])
    elif marked.kind in _DESIGNS and gallery is not None:
        match = match_marking(crop_box(picture, marked.box, margin=0.06), gallery)
        if longest < LEAST_PX:
            match = insufficient(f"{longest:.0f} pixels, {LEAST_PX:.0f} are needed", longest)
    return _observe(
        picture, marked.box, marked.kind, f"examiner:{marked.examiner}", match, text=text,
        attributes=attributes, note=marked.note, score=1.0,
    )  # fmt: skip


def _said_of(read: LetteringRead) -> dict[str, str]:
    return {
        "read_as": read.raw, "reader": read.reader, "meaning": read.meaning,
        "letter_height_px": f"{read.height_px:.1f}",
    }  # fmt: skip


def _letterings(
    picture: Picture, lexicon: tuple[LexiconWord, ...], longest_px: int
) -> list[Observation]:
    seen = []
    for read in read_lettering(picture.rgb, lexicon=lexicon, longest_px=longest_px):
        if not read.word:
            continue
        corners = read.corners
        seen.append(
            _observe(
                picture, read.box, "lettering", f"detector:{read.reader}", None, text=read.word,
                attributes=_said_of(read), polygon=corners, score=max(0.0, 1 - read.distance),
            )
        )  # fmt: skip
    return seen


def _regions(picture: Picture, floor: float) -> list[Box]:
    """Where a marking might be: around every person and vehicle, and the picture itself."""
    height, width = picture.rgb.shape[:2]
    wanted = frozenset({"person"}) | detector.VEHICLES
    hits = detector.detect(picture.rgb, floor=floor, labels=wanted)
    regions = [Box(0.0, 0.0, float(width), float(height))]
    return regions + [hit.box for hit in hits[:30] if hit.box.height >= 48]


def _proposals(picture: Picture, gallery: Gallery, floor: float) -> list[tuple[Box, Match]]:
    """Emblems found without an examiner: located at a coarse scale, then examined as a crop."""
    import cv2
    import numpy as np

    named = [(e.unit, ref) for e in gallery for ref in gallery.references(e.unit)]
    found: list[tuple[Box, Match]] = []
    height, width = picture.rgb.shape[:2]
    for region in _regions(picture, floor):
        part = crop_box(picture, region, margin=0.05)
        left = max(0, int(region.x - 0.05 * max(region.width, region.height)))
        top = max(0, int(region.y - 0.05 * max(region.width, region.height)))
        longest = max(part.shape[:2])
        factor = max(1.0, min(3.0, 1280 / longest))
        enlarged: Any = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        query = prepare_query(enlarged, size_px=_SEARCHED_PX)
        for unit, comparison in rank(query, named, keep=6):
            if comparison.inliers < 5:
                continue
            reference = gallery.references(unit)[0]
            corners = fitted_quad(comparison, reference)
            if not corners:
                # Details agree, but in no geometry that a flat emblem can have.
                continue
            quad = np.array(corners) / factor + [left, top]
            low, high = quad.min(axis=0), quad.max(axis=0)
            low, high = np.clip(low, 0, [width, height]), np.clip(high, 0, [width, height])
            if (high - low).min() < 8:
                continue
            box = Box(float(low[0]), float(low[1]), *(float(v) for v in high - low))
            if any(box.overlap(other) > 0.3 for other, _ in found):
                continue
            match = match_marking(crop_box(picture, box, margin=0.06), gallery)
            if match.verdict in ("match_design", "possible_design"):
                found.append((box, match))
    kept: list[tuple[Box, Match]] = []
    for box, match in sorted(found, key=lambda row: -row[1].candidates[0].score):
        centre = Box(box.x + box.width / 2, box.y + box.height / 2, 0.0, 0.0)
        if not any(_holds(other, centre) or box.overlap(other) > 0.2 for other, _ in kept):
            kept.append((box, match))
    return kept


@method(
    "insignia-markings", version="2",
    references=(
        ("Lowe 2004 (SIFT); Arandjelovic and Zisserman 2012 (RootSIFT); Barath et al. 2020 "
        "(MAGSAC++)"),
        "SWGDE 15-I-002, Best Practices for Photographic Comparison for All Disciplines",
    ),
)  # fmt: skip
def find_markings(
    clip: Clip, *, gallery: Gallery | None = None, boxes: tuple[MarkedBox, ...] = (),
    frames: tuple[tuple[int, Fraction], ...] = (), every_s: float = 2.0, assist: bool = True,
    lettering: bool = True, detector_floor: float = 0.3, longest_px: int = 1280,
    progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Examine the markings an examiner boxed and, assisting, look for others in keyframes.

    Parameters
    ----------
    clip
        An opened clip.
    gallery
        Reference designs; without one, boxed markings are recorded as ``not_examined``.
    boxes
        What the examiner drew: the primary input.
    frames
        Frames to look at as (ordinal, exact presentation seconds), such as `find_keyframes`
        gives; without frames and boxes, one picture every `every_s` seconds.
    every_s
        Seconds between pictures when no frame is named.
    assist
        Also search the frames for the gallery's designs around persons and vehicles. The boxes
        around persons only say where to look and are never recorded.
    lettering
        Also search the frames for words of the lexicon (needs the extra `ocr`).
    detector_floor
        Least detector score, 0-1.
    longest_px
        Longer side of the frame when lettering is looked for.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        One `Sighting` a marking, its crop as artefact, candidates ranked, verdict, pixels on
        target and sharpness as measures. A sighting from a search has ``match_design`` or
        ``possible_design``; boxed ones are recorded whatever the verdict.

    Raises
    ------
    StreamMissing, ClipUnreadable, RecordInvalid

    When it errs
    ------------
    Calls it wrongly when a design is shared by units the gallery does not hold (ASTM E3016:
    inaccuracy, association); misses markings under 32 pixels, folded, blurred or seen obliquely,
    and most persons in night CCTV, so that *nothing found* by the search alone means little
    (incompleteness); says nothing about identity, and never that a marking is absent: only an
    examiner records that, with `insignia_record.record_absence`.
    """
    reason = ""
    untested: list[str] = []
    words = read_lexicon()
    ocr = lettering
    if lettering:
        try:
            from forensics.detector_text import text_models

            text_models()
            if not tesseract_languages():
                untested.append("Cyrillic read through look-alike letters only: no tesseract")
        except ExtraMissing as error:
            ocr = False
            untested.append(f"lettering not looked for: {error.message}; {error.hint}")
    if gallery is None:
        untested.append("designs not compared: no gallery was given")
    seen: list[Observation] = []
    pictures = frames_to_examine(
        clip, frames=frames, boxes=boxes, every_s=every_s, progress=progress
    )
    first: Fraction | None = None
    last = Fraction(0)
    count = 0
    asked = {frame[0] for frame in frames}
    for picture in pictures:
        first = picture.pts if first is None else min(first, picture.pts)
        last, count = max(last, picture.pts), count + 1
        own = [b for b in boxes if b.ordinal == picture.ordinal]
        drawn = [_examiner_observation(picture, b, gallery, words, ocr) for b in own]
        seen += drawn
        if picture.ordinal in asked or not (frames or boxes):
            taken = [b.box for b in own]
            if ocr:
                seen += [o for o in _letterings(picture, words, longest_px)
                         if not _already(o, taken)]  # fmt: skip
            if assist and gallery is not None:
                models = "+".join(m.name for m in detector.shipped_models())
                for box, match in _proposals(picture, gallery, detector_floor):
                    kind = gallery[match.candidates[0].entry].kind
                    new = _observe(picture, box, kind, f"detector:SIFT around {models}", match,
                                   polygon=())  # fmt: skip
                    if not _already(new, taken):
                        seen.append(new)
    seen = _name_tracks(seen)
    span = Span(first, last) if first is not None else None
    gaps = tuple(NotTestable(span, text) for text in untested) if span else ()
    if not seen:
        reason = f"nothing found in {count} pictures"
    if untested:
        reason = "; ".join([*([reason] if reason else []), *untested])
    coverage = Coverage(span, count, "frames", not_testable=gaps)
    return conclude(seen, coverage=coverage, reason=reason)


def _holds(box: Box, point: Box) -> bool:
    return box.x <= point.x <= box.x + box.width and box.y <= point.y <= box.y + box.height


def _already(seen: Observation, taken: Sequence[Box]) -> bool:
    said = seen.what
    return isinstance(said, Sighting) and any(said.box.overlap(box) > 0.3 for box in taken)


def _name_tracks(seen: Sequence[Observation]) -> list[Observation]:
    """Name what stays at one place over successive frames: same kind, same best design or word."""
    from msgspec.structs import replace

    open_tracks: list[tuple[str, Sighting]] = []
    used: set[tuple[str, int]] = set()
    named = []
    for observation in seen:
        said = observation.what
        if not isinstance(said, Sighting):
            named.append(observation)
            continue
        track = ""
        for name, other in reversed(open_tracks):
            taken = (name, said.ordinal) in used
            if not taken and other.ordinal != said.ordinal and _continues(other, said):
                track = name
                break
        if not track:
            track = f"m{len({name for name, _ in open_tracks}) + 1}"
        said = replace(said, track=track)
        used.add((track, said.ordinal))
        open_tracks.append((track, said))
        named.append(replace(observation, what=said))
    return named


def _continues(before: Sighting, now: Sighting) -> bool:
    def key(said: Sighting) -> tuple[str, str]:
        best = said.candidates[0].entry if said.candidates else ""
        return said.text, best

    near = Box(
        before.box.x - before.box.width, before.box.y - before.box.height,
        3 * before.box.width, 3 * before.box.height,
    )  # fmt: skip
    return (
        before.kind == now.kind
        and key(before) == key(now)
        and abs(float(now.pts - before.pts)) <= 5.0
        and (near & now.box) is not None
    )
