"""Vehicles seen in a clip: type, colour, number plate as far as it can be read, re-sightings.

Two detectors look at each frame and their boxes are merged; an examiner's boxes come first. The
detectors know no vans (they come out as car, truck or bus). Two sightings are never called the
same vehicle: they are *compatible*, or something contradicts it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from forensics import detector
from forensics.detector_frames import MarkedBox, crop_box, frames_to_examine, png_bytes
from forensics.errors import ExtraMissing
from forensics.gallery_match import compare, prepare_reference
from forensics.model import (
    Box,
    Clip,
    Coverage,
    Examination,
    NotTestable,
    Observation,
    PlateReading,
    Progress,
    Quantity,
    Span,
    Value,
    VehicleSighting,
)
from forensics.provenance import conclude, keep, method
from forensics.scan import Picture
from forensics.vehicles_colour import COLOURS, Colour, name_colour
from forensics.vehicles_hide import locate_plates, read_plate_boxes
from forensics.vehicles_plate import plate_verdict, read_patterns, read_plates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "COLOURS", "Colour", "MarkedBox", "Resighting", "compare_vehicles", "find_vehicles",
    "locate_plates", "name_colour", "plate_verdict", "plates_agree", "read_patterns",
    "read_plate_boxes", "read_plates",
]  # fmt: skip

_TYPES = {"train": "vehicle"}
#: Least score where only one of the detectors sees a vehicle.
LONE_FLOOR = 0.3


class Resighting(Value, frozen=True):
    """Two sightings held side by side: *compatible* is the strongest thing that is ever said."""

    verdict: Literal["compatible", "incompatible", "insufficient"]
    similarities: tuple[str, ...]
    differences: tuple[str, ...]
    marks: Quantity


def plates_agree(first: PlateReading, second: PlateReading) -> bool | None:
    """Whether two readings can be of one plate; None if one of them says too little.

    Characters agree if any of the alternatives at a place is shared.

    When it errs
    ------------
    Two plates that differ in a pair of twins (8 and B) can agree when one reading is partial;
    one plate read with a character too many contradicts itself (ASTM E3016: inaccuracy,
    association).
    """
    if "insufficient" in (first.verdict, second.verdict) or not first.text or not second.text:
        return None
    if len(first.alternatives) != len(second.alternatives):
        return None if "partial" in (first.verdict, second.verdict) else False
    pairs = zip(first.alternatives, second.alternatives, strict=True)
    return all(set(a) & set(b) for a, b in pairs)


def compare_vehicles(
    first: tuple[VehicleSighting, NDArray[np.uint8]],
    second: tuple[VehicleSighting, NDArray[np.uint8]],
) -> Resighting:
    """Hold two sightings against each other: type, colour, plate, and marks on the body.

    Parameters
    ----------
    first, second
        A sighting and its crop, (h, w, 3) uint8 RGB.

    Returns
    -------
    Resighting
        ``incompatible`` needs a contradiction (plates that cannot be one, or colours without a
        common candidate in daylight); ``compatible`` needs a common plate reading or at least 8
        marks in one geometry; otherwise ``insufficient``.

    When it errs
    ------------
    Calls two vehicles of one model and livery compatible (ASTM E3016: inaccuracy, association);
    misses one vehicle seen from two sides (incompleteness); says nothing about who drives it.
    """
    import numpy as np

    (one, crop_one), (two, crop_two) = first, second
    same: list[str] = []
    other: list[str] = []
    contradiction = False
    if one.vehicle_type == two.vehicle_type:
        same.append(f"both are taken for a {one.vehicle_type}")
    else:
        other.append(f"taken for a {one.vehicle_type} and a {two.vehicle_type}")
    colours = ({c.entry for c in one.colours}, {c.entry for c in two.colours})
    if all(colours):
        shared = sorted(colours[0] & colours[1])
        if shared:
            same.append("colour may be " + " or ".join(shared) + " in both")
        else:
            other.append(f"no common colour: {sorted(colours[0])} and {sorted(colours[1])}")
            contradiction = True
    agree = None
    if one.plate is not None and two.plate is not None:
        agree = plates_agree(one.plate, two.plate)
        if agree:
            same.append(f"the plates can be one: {one.plate.text} and {two.plate.text}")
        elif agree is False:
            other.append(f"the plates differ: {one.plate.text} and {two.plate.text}")
            contradiction = True
    alpha = np.full((*crop_one.shape[:2], 1), 255, np.uint8)
    reference = prepare_reference(np.concatenate([crop_one, alpha], axis=2))
    marks = compare(crop_two, reference)
    count = Quantity.exact(marks.inliers, "points", "marks in one geometry, counted")
    if marks.inliers >= 8:
        same.append(f"{marks.inliers} marks of the body lie in one geometry")
    else:
        other.append(f"only {marks.inliers} marks in a common geometry")
    verdict: Literal["compatible", "incompatible", "insufficient"] = "insufficient"
    if contradiction:
        verdict = "incompatible"
    elif agree or marks.inliers >= 8:
        verdict = "compatible"
    return Resighting(verdict, tuple(same), tuple(other), count)


def _stratum(frame: NDArray[np.uint8], source: str) -> str:
    if source.startswith("examiner"):
        return "examiner"
    return "vehicle, dark" if float(frame.mean()) < 60 else "vehicle, daylight"


def _sighting(
    picture: Picture, box: Box, vehicle_type: str, source: str, track: str, score: float,
    countries: tuple[str, ...], plates: bool, attributes: dict[str, str],
) -> Observation:  # fmt: skip
    crop = crop_box(picture, box)
    colour = name_colour(crop, frame=picture.rgb)
    if colour.abstained:
        attributes = {**attributes, "colour": f"not named: {colour.abstained}"}
    plate = None
    if plates and min(crop.shape[:2]) >= 24:
        grow = 0.04 * max(box.width, box.height)
        wider = crop_box(picture, box, margin=0.04)
        origin = (max(0.0, float(int(box.x - grow))), max(0.0, float(int(box.y - grow))))
        found = read_plates(wider, countries=countries, origin=origin)
        # The largest line that fits a layout: a plate outranks what is painted on the body.
        found.sort(key=lambda reading: -reading.box.width * reading.box.height)
        plate = found[0] if found else None
    artefact = keep(
        png_bytes(crop_box(picture, box, margin=0.05)), media_type="image/png",
        label=f"{vehicle_type} as seen",
    )  # fmt: skip
    said = VehicleSighting(
        vehicle_type=vehicle_type, ordinal=picture.ordinal, pts=picture.pts,
        pixel_hash=picture.pixel_hash, box=box, source=source, colours=colour.candidates,
        palette=colour.palette, plate=plate, attributes=attributes, track=track,
    )  # fmt: skip
    measures = {
        "width": Quantity.exact(round(box.width, 1), "px", "size of the box"),
        "height": Quantity.exact(round(box.height, 1), "px", "size of the box"),
    }
    return Observation(
        said, Span(picture.pts, picture.pts), score, artefacts=(artefact,), measures=measures,
        stratum=_stratum(picture.rgb, source),
    )  # fmt: skip


@method(
    "vehicles", version="2",
    references=(
        "NanoDet (COCO) and SSD-MobileNetV2 (Open Images v4), weights by hash in data/models",
        "SWGDE 15-I-002, Best Practices for Photographic Comparison for All Disciplines",
    ),
)  # fmt: skip
def find_vehicles(
    clip: Clip, *, boxes: tuple[MarkedBox, ...] = (),
    frames: tuple[tuple[int, Fraction], ...] = (), every_s: float = 1.0, assist: bool = True,
    plates: bool = True, countries: tuple[str, ...] = (), tiles: int = 1,
    detector_floor: float = 0.3, model: detector.Model | None = None,
    progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Find vehicles in keyframes and describe them: type, colour candidates, plate as far as read.

    Parameters
    ----------
    clip
        An opened clip.
    boxes
        Vehicles an examiner boxed (kind ``vehicle``; attribute ``type`` if known).
    frames
        Frames to look at as (ordinal, exact presentation seconds); one picture every `every_s`
        seconds by default.
    every_s
        Seconds between pictures when no frame is named.
    assist
        Run the detectors; False records the examiner's boxes alone.
    plates
        Look for number plates inside the boxes (needs the extra `ocr`).
    countries
        Codes of the plate layouts expected, such as ``("by", "ru")``; all known by default.
    tiles
        2 also looks at overlapping quarters, for small vehicles, at five times the cost.
    detector_floor
        Least detector score, 0-1; one of the detectors is enough.
    model
        A detector of your own beside the shipped ones, from `detector.Model.open`; of its labels
        those count that mean a road vehicle (`detector.VEHICLES`).
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        One `VehicleSighting` a vehicle and frame, joined to tracks, the crop as artefact.

    Raises
    ------
    StreamMissing, ClipUnreadable

    When it errs
    ------------
    Calls it wrongly when a stall, container or shop window looks like a vehicle, and takes vans
    for cars, trucks or buses (ASTM E3016: inaccuracy, existence and association); misses
    vehicles in the dark, cut by the picture's edge, or under about 30 pixels (incompleteness;
    measured in daylight from 30 pixels: 2 of 25 missed, none with ``tiles=2``);
    reads plates only on one line, and says nothing about the driver. A plate under 12 pixels of
    height is located, never read.
    """
    untested: list[str] = []
    if plates:
        try:
            from forensics.detector_text import text_models

            text_models()
        except ExtraMissing as error:
            plates = False
            untested.append(f"plates not looked for: {error.message}; {error.hint}")
    pictures = frames_to_examine(
        clip, frames=frames, boxes=boxes, every_s=every_s, progress=progress
    )
    used = (*detector.shipped_models(), *((model,) if model is not None else ()))
    models = {m.name: m.digest for m in used} if assist else {}
    asked = {frame[0] for frame in frames}
    kept: list[list[detector.Detection]] = []
    seen: list[Observation] = []
    first: Fraction | None = None
    last, count = Fraction(0), 0
    for picture in pictures:
        first = picture.pts if first is None else min(first, picture.pts)
        last, count = max(last, picture.pts), count + 1
        own = [b for b in boxes if b.ordinal == picture.ordinal]
        for marked in own:
            said = dict(marked.attributes)
            kind = said.pop("type", "vehicle")
            seen.append(
                _sighting(picture, marked.box, kind, f"examiner:{marked.examiner}", "", 1.0,
                          countries, plates, said)
            )  # fmt: skip
        if not assist or (picture.ordinal not in asked and (frames or boxes)):
            continue
        hits = [
            hit for hit in detector.detect(
                picture.rgb, models=used, floor=detector_floor, tiles=tiles,
                labels=detector.VEHICLES,
            )
            if (len(hit.sources) > 1 or hit.score >= LONE_FLOOR)
            and not any(hit.box.overlap(b.box) > 0.5 for b in own)
        ]  # fmt: skip
        kept.append(hits)
        tracks = detector.track_boxes(kept)
        names = {id(t.detection): t.track for t in tracks if t.frame == len(kept) - 1}
        for hit in hits:
            label = _TYPES.get(hit.label, hit.label)
            extra = {} if label == hit.label else {"detector_label": hit.label}
            source = "detector:" + "+".join(f"{n} {models[n][:12]}" for n in hit.sources)
            seen.append(
                _sighting(picture, hit.box, label, source, names[id(hit)], hit.score, countries,
                          plates, extra)
            )  # fmt: skip
    span = Span(first, last) if first is not None else None
    gaps = tuple(NotTestable(span, text) for text in untested) if span else ()
    said_why = [] if seen else [f"nothing found in {count} pictures"]
    return conclude(
        seen, coverage=Coverage(span, count, "frames", not_testable=gaps),
        reason="; ".join(said_why + untested),
    )  # fmt: skip
