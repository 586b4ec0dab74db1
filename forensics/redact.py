"""Make bystanders unrecognisable in a copy. The only file of the library that detects faces.

Faces are found in order to be hidden, never to be compared: nothing about a face is recorded but
where it was covered and when. What is hidden cannot be brought back: regions are filled, or
reduced to a few flat tiles, and voices are muted or replaced by noise.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from forensics import scan
from forensics.clip import check_unchanged
from forensics.errors import PolicyError, RecordInvalid
from forensics.model import (
    Box,
    Clip,
    Coverage,
    Examination,
    Observation,
    Progress,
    Quantity,
    Redaction,
    Span,
)
from forensics.provenance import conclude, method
from forensics.redact_tracks import Track, cover, link
from forensics.redact_write import hide, mask_voice, write_copy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["find_faces_to_hide", "redact_pictures", "write_redacted"]

_MODEL = "centerface.onnx"
_DIGEST = "111b7654623d41c76d575a273706bcae5426f9509ce1890c9d28c53dadf3132d"
#: Low on purpose: a false alarm costs a grey patch, a miss costs somebody's safety.
SCORE = 0.2
SIDE_PX = 736
#: A plate is drawn closely: this much larger is covered.
PLATE_FACTOR = 1.5


@functools.cache
def _session() -> Any:
    import onnxruntime

    data = resources.files("forensics").joinpath(f"data/models/{_MODEL}").read_bytes()
    if hashlib.sha256(data).hexdigest() != _DIGEST:
        raise RecordInvalid(f"{_MODEL} is not the file that was shipped")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = min(2, os.cpu_count() or 1)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _detect(rgb: NDArray[np.uint8], score: float) -> list[Box]:
    """Faces in one upright picture, as boxes; greedy suppression at an overlap of 0.3."""
    import cv2
    import numpy as np

    height, width = rgb.shape[:2]
    scale = min(1.0, SIDE_PX / max(height, width))
    wide = max(32, int(np.ceil(width * scale / 32)) * 32)
    tall = max(32, int(np.ceil(height * scale / 32)) * 32)
    small = cv2.resize(rgb, (wide, tall), interpolation=cv2.INTER_AREA)
    feed = small.astype(np.float32).transpose(2, 0, 1)[None]
    session = _session()
    heat, size, shift, _ = session.run(None, {session.get_inputs()[0].name: feed})
    rows, columns = np.nonzero(heat[0, 0] > score)
    if not len(rows):
        return []
    scores = heat[0, 0, rows, columns]
    boxes_h = np.exp(size[0, 0, rows, columns]) * 4
    boxes_w = np.exp(size[0, 1, rows, columns]) * 4
    top = (rows + shift[0, 0, rows, columns] + 0.5) * 4 - boxes_h / 2
    left = (columns + shift[0, 1, rows, columns] + 0.5) * 4 - boxes_w / 2
    x, y = left * width / wide, top * height / tall
    w, h = boxes_w * width / wide, boxes_h * height / tall
    found = [
        Box(float(a), float(b), float(c), float(d)) for a, b, c, d in zip(x, y, w, h, strict=True)
    ]
    kept: list[Box] = []
    for index in np.argsort(-scores):
        if all(found[index].overlap(other) < 0.3 for other in kept):
            kept.append(found[index])
    return kept


def _sightings(
    clip: Clip, score: float | None, progress: Progress | None
) -> tuple[list[list[Box]], list[Any]]:
    """Faces of each frame (none looked for without a score), and the frames' times."""
    found: list[list[Box]] = []
    times = []
    for picture in scan.iter_pictures(clip, progress=progress):
        found.append(_detect(picture.rgb, score) if score is not None else [])
        times.append(picture.pts)
    return found, times


def _by_frame(
    sightings: Sequence[tuple[Fraction, Box]], times: Sequence[Fraction]
) -> list[list[Box]]:
    """Sightings sorted to the frames that were on show at their time."""
    found: list[list[Box]] = [[] for _ in times]
    for time, box in sightings:
        at = bisect.bisect_right(times, time) - 1
        found[max(0, at)].append(box)
    return found


def _listed(regions: Sequence[tuple[Span | None, Box]]) -> list[list[Any]]:
    return [
        [str(span) if span else "whole clip", [b.x, b.y, b.width, b.height]] for span, b in regions
    ]


@method(
    "redaction-faces", version="1",
    references=("CenterFace: Joint Face Detection and Alignment Using Face as Point (2019)",),
)  # fmt: skip
def find_faces_to_hide(
    clip: Clip, *, score: float = SCORE, hold_s: float = 0.6, bridge_s: float = 1.0,
    progress: Progress | None = None,
) -> Examination:  # fmt: skip
    """Where faces have to be covered, as tracks without gaps.

    Parameters
    ----------
    clip
        An opened clip.
    score
        Least detector score, 0 to 1. Lower hides more.
    hold_s
        Seconds a region stays covered before its first and after its last sighting.
    bridge_s
        Longest pause in seconds that is bridged inside one track.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        One `Redaction` a track. A track is a region that was covered, not somebody: nothing in
        the library can tell whether two tracks belong together.

    Raises
    ------
    StreamMissing
        No picture: recorded as *not applicable*.

    When it errs
    ------------
    Misses faces below about 10 px, turned away, under visors and balaclavas, and heads in the
    dark (ASTM E3016: incompleteness); covers things that only look like one (inaccuracy,
    existence). Measured on 65 faces of 12 px and more in view, carried and panned: none of 3,506
    sightings was left uncovered. A person must look at a redacted copy before it leaves the house.
    """
    found, times = _sightings(clip, score, progress)
    rate = _rate(times)
    tracks = link(found, max_gap=round(bridge_s * rate))
    seen = [
        Observation(
            Redaction("face", "solid", track.ordinals[-1] - track.ordinals[0] + 1,
                      _around(track.boxes)),
            Span(times[track.ordinals[0]], times[track.ordinals[-1]]), 1.0,
            measures={"sightings": Quantity.exact(len(track.ordinals), "frames")},
        )
        for track in tracks
    ]  # fmt: skip
    span = Span(times[0], times[-1])
    return conclude(seen, coverage=Coverage(span, len(times), "frames"))


def _rate(times: Sequence[Any]) -> float:
    length = float(times[-1] - times[0]) if len(times) > 1 else 0.0
    return (len(times) - 1) / length if length > 0 else 25.0


def _around(boxes: Sequence[Box]) -> Box:
    left, top = min(b.x for b in boxes), min(b.y for b in boxes)
    right = max(b.x + b.width for b in boxes)
    bottom = max(b.y + b.height for b in boxes)
    return Box(left, top, right - left, bottom - top)


def redact_pictures(
    pictures: Sequence[NDArray[np.uint8]], *, boxes: Sequence[Sequence[Box]] = (),
    style: Literal["solid", "mosaic"] = "solid", score: float = SCORE, factor: float = 1.6,
) -> list[NDArray[np.uint8]]:  # fmt: skip
    """Upright RGB pictures with faces (and `boxes`, per picture) covered, for contact sheets.

    Parameters
    ----------
    pictures
        (H, W, 3) uint8 each; they are not changed.
    boxes
        Further regions to cover in each picture, such as plates.
    style
        Filled, or a mosaic of at most six tiles a side.
    score, factor
        Least detector score; how much larger than the sighting the covered region is.

    When it errs
    ------------
    As `find_faces_to_hide`, and worse: a single picture has no neighbours to bridge a miss
    (ASTM E3016: incompleteness). Look at every picture before it leaves the house.
    """
    from forensics.redact_tracks import grown

    covered = []
    for number, rgb in enumerate(pictures):
        regions = [grown(box, factor) for box in _detect(rgb, score)]
        regions += list(boxes[number]) if number < len(boxes) else []
        covered.append(hide(rgb.copy(), regions, style))
    return covered


def write_redacted(
    clip: Clip, out: str | os.PathLike[str], *, faces: bool = True,
    plates: Sequence[tuple[Fraction, Box]] | None = None,
    regions: Sequence[tuple[Span | None, Box]] = (),
    screens: Sequence[tuple[Span | None, Box]] = (), style: Literal["solid", "mosaic"] = "solid",
    sound: Literal["drop", "mask", "keep"] = "drop", unredacted: bool = False,
    score: float = SCORE, factor: float = 1.6, hold_s: float = 0.6, bridge_s: float = 1.0,
    progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Write a copy of a clip with faces and what else is given hidden, and all metadata removed.

    Number plates are found by `forensics.vehicles`, which stands beside this module;
    `forensics.incident.write_shareable` brings the two together.

    Parameters
    ----------
    clip
        An opened clip; it is only read.
    out
        A file that does not exist yet, ``.mp4``, ``.mkv`` or ``.mov``. A record of what was
        hidden is written beside it as ``OUT.json``.
    faces
        Find and hide faces.
    plates
        Where plates were seen: presentation time and box of each sighting, in any order. They are
        joined to tracks, bridged and held as faces are. None: plates were not looked for.
    regions, screens
        Boxes drawn by hand in displayed pixels, each for a span or the whole clip; screens are
        counted apart in the record.
    style
        ``solid`` fill, or ``mosaic`` of at most six flat tiles a side.
    sound
        ``drop`` it; ``mask`` voices by noise of the same loudness; ``keep`` it.
    unredacted
        Must be set to write a copy in which nothing is hidden; the record then says so.
    score, factor, hold_s, bridge_s
        See `find_faces_to_hide`; `factor` enlarges each region.
    progress
        Called with (fraction, text).

    Returns
    -------
    Path
        The copy. Frame times are those of the clip; rotation is applied.

    Raises
    ------
    PolicyError
        Nothing would be hidden and `unredacted` was not set; or `out` is an existing file.
    StreamMissing
        The clip has no picture.

    When it errs
    ------------
    See `find_faces_to_hide`. ``mask`` hides what is said, not how many speak or how loudly.
    """
    place = Path(out)
    if place.exists():
        raise PolicyError(f"{place.name} exists; nothing is ever overwritten")
    drawn = [*regions, *screens]
    if not faces and plates is None and not drawn and not unredacted:
        raise PolicyError(
            "this would write an unredacted copy",
            hint="say unredacted=True (--unredacted) if that is intended",
        )
    check_unchanged(clip)
    half = (lambda f, t: progress(f / 2, t)) if progress is not None else None
    times: list[Any] = []
    tracks: list[Track] = []
    plate_tracks: list[Track] = []
    per_frame: list[list[Box]] = []
    if faces or plates:
        found, times = _sightings(clip, score if faces else None, half)
        rate = _rate(times)
        tracks = link(found, max_gap=round(bridge_s * rate)) if faces else []
        plate_tracks = link(_by_frame(plates or (), times), max_gap=round(bridge_s * rate))
        hold = round(hold_s * rate)
        per_frame = cover(tracks, len(times), hold=hold, factor=factor)
        for hidden, more in zip(
            per_frame, cover(plate_tracks, len(times), hold=hold, factor=PLATE_FACTOR), strict=True
        ):
            hidden += more
    later = (lambda f, t: progress(0.5 + f / 2, t)) if progress is not None else None

    def covered() -> Iterator[tuple[Any, NDArray[np.uint8]]]:
        for number, picture in enumerate(scan.iter_pictures(clip, progress=later)):
            hidden = list(per_frame[number]) if number < len(per_frame) else []
            hidden += [box for span, box in drawn if span is None or picture.pts in span]
            yield picture.pts, hide(picture.rgb, hidden, style)

    voice = None
    if sound != "drop" and clip.audio is not None:
        voice = scan.read_sound(clip)
        if sound == "mask":
            voice = mask_voice(voice)
    record = {
        "derivative_of": clip.digest,
        "warning": "A derivative for showing, not evidence. Never examine it in place of the clip.",
        "faces": {"hidden": faces, "tracks": len(tracks), "score": score, "factor": factor,
                  "hold_s": hold_s, "bridge_s": bridge_s, "model": _DIGEST if faces else ""},
        "plates": "not looked for" if plates is None
        else {"sightings": len(plates), "tracks": len(plate_tracks), "factor": PLATE_FACTOR},
        "regions": _listed(regions), "screens": _listed(screens),
        "style": style, "sound": sound if clip.audio is not None else "the clip has none",
        "metadata": "removed",
        "unredacted": unredacted and not faces and plates is None and not drawn,
        "missed": "faces below about 10 px, averted, masked or in the dark may remain, and plates "
        "that are oblique, dirty or on two lines: look",
    }  # fmt: skip
    return write_copy(place, covered(), voice, record)
