"""Patches, shields, lettering seen in a clip, compared with a gallery the investigator keeps.

The examiner's own box is the primary input; detectors only say where else to look. A match is
between *designs*: insignia can be worn by others, copied, removed or added. Size comes first:
under 32 pixels nothing is compared, under 76 nothing is more than ``possible_design``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics import detector
from forensics.detector_frames import MarkedBox, crop_box, frames_to_examine, png_bytes
from forensics.errors import ExtraMissing, RecordInvalid
from forensics.gallery import Gallery
from forensics.gallery_match import Comparison, prepare_query, rank
from forensics.insignia_lettering import (
    LetteringRead,
    LexiconWord,
    read_lettering,
    read_lexicon,
    tesseract_languages,
)
from forensics.insignia_measure import measure_crop, size_bucket, strength
from forensics.model import (
    Box,
    Candidate,
    Clip,
    Coverage,
    Examination,
    NotTestable,
    Observation,
    Progress,
    Quantity,
    Sighting,
    SightingKind,
    SightingVerdict,
    Span,
    Value,
)
from forensics.provenance import conclude, keep, method
from forensics.scan import Picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "LetteringRead", "LexiconWord", "MarkedBox", "Match", "find_markings", "match_marking",
    "read_lettering", "read_lexicon",
]  # fmt: skip

LEAST_PX = 32.0
FULL_PX = 76.0
_KEYPOINTS = 15
_SURE_INLIERS = 24
_LEAST_INLIERS = 6
_LIKELY_INLIERS = 12
_COVERS = 0.4
_AGREES = 0.8
_PARTLY = 0.6
_SEARCHED_PX = 90.0
_LETTERED: frozenset[str] = frozenset(("lettering", "shield-number", "helmet-number", "plate"))
_DESIGNS: frozenset[str] = frozenset(
    ("patch", "chevron", "shield", "helmet", "vehicle-marking", "camouflage", "other")
)


class Match(Value, frozen=True):
    """What the gallery says about one crop: candidates ranked, and one verdict. Iterable."""

    candidates: tuple[Candidate, ...]
    verdict: SightingVerdict
    reason: str
    size: Quantity
    quad: tuple[tuple[float, float], ...] = ()

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def __len__(self) -> int:
        return len(self.candidates)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, number: int) -> Candidate:
        return self.candidates[number]

    def __str__(self) -> str:
        best = f": {self.candidates[0].entry}" if self.candidates else ""
        return f"{self.verdict}{best} ({self.reason})"


def _quad(comparison: Comparison, reference: Any) -> tuple[tuple[float, float], ...]:
    import numpy as np

    if not comparison.homography:
        return ()
    height, width = reference.mask.shape
    h = np.array(comparison.homography).reshape(3, 3)
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]]) @ h.T
    return tuple((float(x / w), float(y / w)) for x, y, w in corners)


def _candidate(unit: str, comparison: Comparison, gallery: Gallery, size_px: float) -> Candidate:
    same, other = [], []
    if comparison.inliers >= _LEAST_INLIERS:
        same.append(f"{comparison.inliers} details lie where one flat emblem would have them")
    else:
        other.append(f"only {comparison.inliers} details in a common geometry")
    if comparison.homography:
        said = f"{comparison.agreement:.0%} of the drawing agrees place by place after alignment"
        (same if comparison.agreement >= _PARTLY else other).append(said)
        if comparison.correlation <= -0.5:
            other.append("light and dark are exchanged: an inverted colourway of the design")
        reach = f"the details span {comparison.coverage:.0%} of the emblem"
        (same if comparison.coverage >= 0.3 else other).append(reach)
    alike = gallery.look_alikes(unit)
    if alike:
        other.append("cannot be told apart reliably from " + ", ".join(sorted(alike)))
    measures = {
        "inliers": Quantity.exact(comparison.inliers, "points", "counted"),
        "coverage": Quantity.exact(comparison.coverage, "", "computed from the counted points"),
        "correlation": Quantity.exact(comparison.correlation, "", "computed, not estimated"),
        "agreement": Quantity.exact(comparison.agreement, "", "share of the drawing"),
    }
    ratio = strength(comparison, size_px)
    if ratio is not None:
        measures["log10_lr"] = ratio
    return Candidate(
        entry=unit, score=_score(comparison), similarities=tuple(same), differences=tuple(other),
        measures=measures, look_alike=bool(alike),
    )  # fmt: skip


def _score(comparison: Comparison) -> float:
    # Resemblance for ranking only; 16 points in full agreement reach 0.9.
    points = 1 - 2.0 ** (-comparison.inliers / 6)
    return float(min(1.0, points * (0.5 + 0.5 * comparison.agreement)))


def match_marking(
    image: NDArray[np.uint8], gallery: Gallery, *, count: int = 5, size_px: float | None = None
) -> Match:
    """Compare one marking with every design of a gallery: ranked candidates and a verdict.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB, upright; a crop drawn closely around one marking.
    gallery
        An opened gallery.
    count
        How many candidates to give back.
    size_px
        Longer side of the marking in pixels of the frame; that of `image` by default. Give it
        when `image` has been enlarged: pixels that were invented do not count.

    Returns
    -------
    Match
        Iterates over `Candidate`; `.verdict` is ``match_design`` (at least 6 details in one
        geometry and 80 % of the drawing in agreement, or 24 details that span the emblem; not
        under 76 pixels; no look-alike; clear of the runner-up), ``possible_design``, ``no_match_in_gallery`` or ``insufficient``.

    References
    ----------
    RootSIFT with a MAGSAC homography, then zero-mean normalised correlation of the aligned crop.
    SWGDE 15-I-002 on photographic comparison; ENFSI 2015 on evaluative reporting.

    When it errs
    ------------
    Calls it wrongly when another unit shares the design and is not in the gallery, so that no
    look-alike could be registered (ASTM E3016: inaccuracy, association); misses it when the
    emblem is folded, seen obliquely, blurred, or under about 75 pixels on real cloth
    (incompleteness); says nothing about who wears it, or whether it was theirs to wear
    (misinterpretation).
    """
    import numpy as np

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise RecordInvalid("a marking is given as (H, W, 3) uint8 RGB")
    longest = float(max(image.shape[:2])) if size_px is None else float(size_px)
    if longest < LEAST_PX:
        return _insufficient(f"{longest:.0f} pixels, {LEAST_PX:.0f} are needed", longest)
    query = prepare_query(image, size_px=longest)
    if len(query.points) < _KEYPOINTS:
        return _insufficient(f"{len(query.points)} details, {_KEYPOINTS} are needed", longest)
    named = [(entry.unit, ref) for entry in gallery for ref in gallery.references(entry.unit)]
    best: dict[str, tuple[Comparison, Any]] = {}
    references = {id(ref): ref for _, ref in named}
    order = [(f"{unit}\n{id(ref)}", ref) for unit, ref in named]
    for key, comparison in rank(query, order):
        unit, _, identity = key.partition("\n")
        if unit not in best:
            best[unit] = (comparison, references[int(identity)])
    ranked = list(best.items())
    unit, (top, reference) = ranked[0]
    quad = _quad(top, reference)
    fitted_px = longest
    if quad:
        corners = np.array(quad)
        extent = corners.max(axis=0) - corners.min(axis=0)
        scale = longest / max(image.shape[:2])
        fitted_px = float(min(longest, extent.max() * scale))
    candidates = tuple(
        _candidate(name, comparison, gallery, fitted_px)
        for name, (comparison, _) in ranked[:count]
        if comparison.inliers
    )
    size = Quantity.exact(round(fitted_px, 1), "px", "longer side, from the box or the fitted quad")
    rivals = [c for name, (c, _) in ranked[1:] if name not in gallery.look_alikes(unit)]
    verdict, reason = _judge(top, fitted_px, bool(gallery.look_alikes(unit)), rivals)
    return Match(candidates, verdict, reason, size, quad)


def _insufficient(reason: str, longest: float) -> Match:
    size = Quantity.exact(round(longest, 1), "px", "longer side of the box")
    return Match((), "insufficient", reason, size)


def _judge(
    top: Comparison, size_px: float, look_alike: bool, rivals: Sequence[Comparison]
) -> tuple[SightingVerdict, str]:
    if size_px < LEAST_PX:
        return "insufficient", f"the fitted emblem is {size_px:.0f} pixels long"
    said = (
        f"{top.inliers} details in one geometry, {top.agreement:.0%} of the drawing agrees, "
        f"grey correlation {top.correlation:+.2f}"
    )
    many = top.inliers >= _SURE_INLIERS and top.coverage >= _COVERS
    likely = top.inliers >= _LIKELY_INLIERS and top.agreement >= 0.5 * _PARTLY
    if top.inliers < _LEAST_INLIERS or not (top.agreement >= _PARTLY or likely or many):
        return "no_match_in_gallery", said if top.inliers else "no common geometry"
    rival = max((c.inliers for c in rivals), default=0)
    doubts = []
    if not (many or top.agreement >= _AGREES):
        doubts.append("parts of the drawing do not agree")
    if size_px < FULL_PX:
        doubts.append(f"{size_px:.0f} pixels, under {FULL_PX:.0f}")
    if look_alike:
        doubts.append("the gallery holds a look-alike")
    if rival > top.inliers / 2 and rival >= _LEAST_INLIERS:
        doubts.append(f"another design reaches {rival} details")
    if doubts:
        return "possible_design", f"{said}; " + "; ".join(doubts)
    return "match_design", said


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
    size_px = max(box.width, box.height)
    return Observation(
        said, Span(picture.pts, picture.pts), float(score),
        artefacts=(keep(png_bytes(shown), media_type="image/png", label=f"{kind} as seen"),),
        measures=measures, note=note, stratum=f"{kind}, {size_bucket(size_px)}",
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
            match = _insufficient(f"{longest:.0f} pixels, {LEAST_PX:.0f} are needed", longest)
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
    for hit in hits[:30]:
        if hit.box.height >= 48:
            regions.append(hit.box)
    return regions


def _proposals(
    picture: Picture, gallery: Gallery, floor: float
) -> list[tuple[Box, Match]]:
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
        enlarged = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        query = prepare_query(enlarged, size_px=_SEARCHED_PX)
        for unit, comparison in rank(query, named, keep=6):
            if comparison.inliers < 5:
                continue
            reference = gallery.references(unit)[0]
            quad = np.array(_quad(comparison, reference)) / factor + [left, top]
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
    return found


@method(
    "insignia-markings", version="1",
    references=(
        "Lowe 2004 (SIFT); Arandjelovic and Zisserman 2012 (RootSIFT); Barath et al. 2020 "
        "(MAGSAC++)",
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


def _already(seen: Observation, taken: Sequence[Box]) -> bool:
    said = seen.what
    return isinstance(said, Sighting) and any(said.box.overlap(box) > 0.3 for box in taken)


def _name_tracks(seen: Sequence[Observation]) -> list[Observation]:
    """Name what stays at one place over successive frames: same kind, same best design or word."""
    from msgspec.structs import replace

    open_tracks: list[tuple[str, Sighting]] = []
    named = []
    for observation in seen:
        said = observation.what
        if not isinstance(said, Sighting):
            named.append(observation)
            continue
        track = ""
        for name, other in reversed(open_tracks):
            if other.ordinal != said.ordinal and _continues(other, said):
                track = name
                break
        if not track:
            track = f"m{len({name for name, _ in open_tracks}) + 1}"
        said = replace(said, track=track)
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
