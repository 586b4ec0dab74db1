"""Pictures of the appendix: contact-sheet prints of artefacts, and the timeline as SVG."""

from __future__ import annotations

import io
from collections.abc import Callable
from xml.sax.saxutils import escape

from forensics import provenance, redact
from forensics.errors import RecordInvalid
from forensics.model import (
    Activity,
    Alignment,
    Artefact,
    Box,
    Discontinuity,
    Flash,
    SoundEvent,
    VehicleSighting,
    Verdict,
    clock_text,
)
from forensics.report_document import Figure
from forensics.report_record import ExaminationRecord, ItemRecord, RunRecord
from forensics.report_words import Words

__all__ = ["Prints", "draw_timeline_svg"]

_INK = "#1c2733"
_COLOURS = {"sound": "#b3261e", "flash": "#c77700", "edit": "#6a1b9a", "activity": "#1b5e20"}


class Prints:
    """Artefacts reduced for printing; the bytes by name, for the format that needs them.

    Parameters
    ----------
    ledger
        Whose artefacts are printed.
    width_px
        The longer side of a print.
    unredacted
        Leave faces in view.
    plates
        Leave number plates in view.
    """

    def __init__(
        self, ledger: provenance.Ledger, *, width_px: int = 560, unredacted: bool = False,
        plates: bool = False,
    ) -> None:  # fmt: skip
        self._folder = ledger.artefacts
        self._width_px = width_px
        self.unredacted = unredacted
        self._plates = plates
        self.content: dict[str, bytes] = {}

    def figure(
        self, artefact: Artefact, caption: str, *, what: object = None
    ) -> Figure | None:
        """A print of a picture artefact; None for other kinds or when its bytes are gone.

        Faces are covered, and the plate of a vehicle, `what` being what the picture is of.
        """
        if not artefact.media_type.startswith("image/"):
            return None
        name = f"{artefact.digest[:32]}.jpg"
        if name not in self.content:
            try:
                raw = provenance.artefact_bytes(artefact, folder=self._folder)
            except RecordInvalid:
                return None
            plate = None if self._plates else _plate_in_crop(what)
            reduced = _reduce(raw, self._width_px, None if self.unredacted else [plate])
            if reduced is None:
                return None
            self.content[name] = reduced
        return Figure(name, artefact.digest, artefact.label, caption)


def _plate_in_crop(what: object) -> Box | None:
    """Where the plate is in the crop that `find_vehicles` keeps: 5 % wider than the box."""
    if not isinstance(what, VehicleSighting) or what.plate is None:
        return None
    margin = 0.05 * max(what.box.width, what.box.height)
    left, top = max(0, int(what.box.x - margin)), max(0, int(what.box.y - margin))
    plate, more = what.plate.box, 0.3 * what.plate.box.height
    return Box(plate.x - left - more, plate.y - top - more, plate.width + 2 * more,
               plate.height + 2 * more)  # fmt: skip


def _reduce(raw: bytes, width_px: int, hide: list[Box | None] | None) -> bytes | None:
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(raw)) as opened:
            picture = opened.convert("RGB")
    except (UnidentifiedImageError, OSError):
        return None
    if hide is not None:
        boxes = [box for box in hide if box is not None]
        picture = Image.fromarray(redact.redact_pictures([np.array(picture)], boxes=[boxes])[0])
    picture.thumbnail((width_px, width_px), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=84, optimize=True)
    return out.getvalue()


def _mark(kind: str, x: float, y: float) -> str:
    colour = _COLOURS[kind]
    shape = {
        "sound": f'<path d="M{x:.1f} {y - 9:.1f}l5 9h-10z" fill="{colour}"/>',
        "flash": f'<path d="M{x:.1f} {y - 9:.1f}l4 4.5l-4 4.5l-4 -4.5z" fill="{colour}"/>',
        "edit": f'<path d="M{x:.1f} {y:.1f}v18" stroke="{colour}" stroke-width="2.4"/>'
        f'<path d="M{x - 4:.1f} {y + 18:.1f}h8" stroke="{colour}" stroke-width="2.4"/>',
        "activity": f'<circle cx="{x:.1f}" cy="{y - 4.5:.1f}" r="4" fill="{colour}"/>',
    }
    return shape[kind]


def _kind(what: object) -> str:
    match what:
        case SoundEvent():
            return "sound"
        case Flash():
            return "flash"
        case Discontinuity(verdict=verdict) if verdict != "consistent":
            return "edit"
        case Activity():
            return "activity"
        case _:
            return ""


def _bounds(item: ItemRecord, alignment: Alignment | None) -> tuple[float, float, float] | None:
    if item.clip is None:
        return None
    length = float(item.clip.duration or 0)
    if alignment is None:
        return 0.0, length, 0.0
    place = alignment.placement(item.clip)
    if place is None:
        return None
    start, low, high = place.offset.value, place.offset.low, place.offset.high
    spread = 0.0 if low is None or high is None else max(high - start, start - low)
    return start, start + length * (1 + place.drift_ppm.value * 1e-6), spread


def draw_timeline_svg(record: RunRecord, words: Words) -> str:
    """All clips on one clock with what was found in them and the claims; an SVG element.

    Clips that could not be placed stand below, on no clock. Without an alignment every clip is
    drawn from its own start, and the caption says so.
    """
    alignment = record.alignments[-1] if record.alignments else None
    placed = [(i, b) for i in record.items if (b := _bounds(i, alignment)) is not None]
    left_out = [i for i in record.items if _bounds(i, alignment) is None]
    ends = [t for _, (start, end, _) in placed for t in (start, end)] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    span = max(high - low, 1e-3)
    left, right, row = 150.0, 930.0, 36.0
    scale = (right - left) / span

    def x(time: float) -> float:
        return left + (time - low) * scale

    body: list[str] = []
    y = 38.0
    ticks = _ticks(low, high)
    small = 25.0
    height = y + len(placed) * row + (len(left_out) + len(record.verdicts)) * small + 44
    body += [
        f'<path d="M{x(tick):.1f} 26V{height - 44:.1f}" stroke="#d5dbe1"/>'
        f'<text x="{x(tick):.1f}" y="18" text-anchor="middle" font-size="11">'
        f"{clock_text(tick)[:-4]}</text>"
        for tick in ticks
    ]
    times: dict[str, float] = {}
    for item, (start, end, spread) in placed:
        body.append(_label(item.name, y + 12))
        body.append(
            f'<rect x="{x(start):.1f}" y="{y:.1f}" width="{max(1.0, (end - start) * scale):.1f}"'
            f' height="18" rx="2" fill="#c9d8e8" stroke="#4a6785"/>'
        )
        if spread * scale > 1:
            body.append(
                f'<path d="M{x(start - spread):.1f} {y + 9:.1f}H{x(start + spread):.1f}"'
                f' stroke="#4a6785" stroke-width="2"/>'
            )
        for exam in record.examinations:
            body.extend(_events(item, exam, alignment, start, x, y, times))
        y += row
    for item in left_out:
        body.append(_label(item.name, y + 12))
        body.append(
            f'<text x="{left:.1f}" y="{y + 13:.1f}" font-size="11" font-style="italic">'
            f"{escape(words('figure.unplaced'))}</text>"
        )
        y += small
    for verdict in record.verdicts:
        body.extend(_claim(verdict, times, words, x, y, left))
        y += small
    body.append(_legend(words, left, height - 16))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {height:.0f}" '
        f'font-family="DejaVu Sans, sans-serif" fill="{_INK}">' + "".join(body) + "</svg>"
    )


def _label(name: str, y: float) -> str:
    text = name if len(name) <= 20 else name[:19] + "…"
    return f'<text x="6" y="{y:.1f}" font-size="13">{escape(text)}</text>'


def _events(
    item: ItemRecord, exam: ExaminationRecord, alignment: Alignment | None, start: float,
    x: Callable[[float], float], y: float, times: dict[str, float],
) -> list[str]:  # fmt: skip
    found: list[str] = []
    clip = item.clip
    if clip is None or exam.superseded or exam.examination.origin.inputs != (clip.digest,):
        return found
    for finding, identity in zip(exam.examination, exam.ids, strict=True):
        span = finding.observation.span
        if span is None:
            continue
        place = alignment.on_incident_clock(clip, span) if alignment is not None else None
        time = place.start if place is not None else start + float(span.start)
        times[identity] = time
        kind = _kind(finding.observation.what)
        if kind:
            found.append(_mark(kind, x(time), y))
    return found


def _claim(
    verdict: Verdict, times: dict[str, float], words: Words, x: Callable[[float], float], y: float,
    left: float,
) -> list[str]:
    colour = {"supported": "#1b5e20", "contradicted": "#b3261e"}.get(verdict.outcome, "#5f6b76")
    ids = verdict.for_ if verdict.outcome == "supported" else (*verdict.against, *verdict.for_)
    marks = sorted(times[i] for i in ids if i in times)
    outcome = words.of("claim", verdict.outcome)
    parts = [_label(verdict.claim.name, y + 12)]
    text_x = left
    if marks:
        low, high = x(marks[0]), x(marks[-1])
        parts.append(
            f'<path d="M{low:.1f} {y + 14:.1f}v-8H{high:.1f}v8" fill="none" '
            f'stroke="{colour}" stroke-width="2"/>'
        )
        # Beside the bracket, on the side that has room.
        room = 8 + 6.5 * len(outcome)
        text_x = high + 8 if high + room < 950 else max(left, low - room)
    parts.append(
        f'<text x="{text_x:.1f}" y="{y + 13:.1f}" font-size="11.5" fill="{colour}">'
        f"{escape(outcome)}</text>"
    )
    return parts


def _legend(words: Words, left: float, y: float) -> str:
    parts, at = [], left
    for kind in ("sound", "flash", "edit", "activity"):
        label = words(f"figure.{kind}")
        parts.append(_mark(kind, at, y - (14 if kind == "edit" else 0)))
        parts.append(f'<text x="{at + 10:.1f}" y="{y:.1f}" font-size="11">{escape(label)}</text>')
        at += 34 + 6.6 * len(label)
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    span = max(high - low, 1e-3)
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200)
    step = next((s for s in steps if span / s <= 9), 86400)
    first = int(low // step) * step
    count = int(span // step) + 3
    return [t for k in range(count) if low - 1e-9 <= (t := float(first + k * step)) <= high + 1e-9]
