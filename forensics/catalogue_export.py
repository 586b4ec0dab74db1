"""What a search of the catalogue found, for other programs: CSV, COCO, CVAT, and a page to look at.

Plates are covered and faces in the crops hidden unless the caller says `unredacted`; the file says
which it is. A spreadsheet runs nothing, a page holds no script.
"""

from __future__ import annotations

import base64
import csv
import html
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from forensics import redact
from forensics.catalogue_rows import Hit
from forensics.errors import RecordInvalid
from forensics.model import Box, Value, clock_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Size", "write_hits"]

_MASK = "▮"
_COVERED = "Plates are covered, and faces where one was found in a crop. Look before it is shown."
_OPEN = "UNREDACTED: plates and faces are shown as they were seen. It stays with the case."
_COLUMNS = (
    "id clip_name clip frame start_s end_s incident_start_s incident_end_s uncertainty_s type kind "
    "verdict absence entries text colours plate x y width height score source track method line "
    "pixel_hash crop"
).split()
_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem;color:#222;background:#fafafa}
h1{font-size:1.25rem}.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}
figure{margin:0;background:#fff;border:1px solid #ddd;border-radius:4px;overflow:hidden}
img{width:100%;max-height:14rem;object-fit:contain;background:#eee;display:block}
figcaption{padding:.5rem .7rem}code{font-size:.72rem;color:#666;word-break:break-all}
small{color:#555}.open{color:#9a1b12;font-weight:bold}"""


class Size(Value, frozen=True):
    """A clip's name and its displayed size in pixels, 0 where it has no picture."""

    name: str
    width: int
    height: int


def write_hits(
    hits: Sequence[Hit], out: str | os.PathLike[str], *, clips: Mapping[str, Size],
    crops: Path, unredacted: bool = False,
) -> Path:  # fmt: skip
    """Write hits; the suffix decides: ``.csv``, ``.json`` (COCO), ``.xml`` (CVAT) or ``.html``.

    Parameters
    ----------
    hits
        As a search gave them.
    out
        The file to write; it appears whole or not at all.
    clips
        By digest: what the frames that hold the boxes are called, and their size.
    crops
        The ledger's folder of artefacts, for the page's pictures.
    unredacted
        Let plates and faces through; the file then says so.

    Raises
    ------
    RecordInvalid
        Another suffix.

    When it errs
    ------------
    Hides only what was found: a face that the detector misses in a crop stays visible (ASTM
    E3016: incompleteness).
    """
    place = Path(out)
    writers = {".csv": _csv, ".json": _coco, ".xml": _cvat, ".html": _page}
    write = writers.get(place.suffix.lower())
    if write is None:
        raise RecordInvalid(
            f"no list of sightings as {place.suffix or 'nothing'}",
            hint=f"one of {', '.join(writers)}",
        )
    shown = list(hits) if unredacted else _covered(hits)
    content = write(shown, clips, crops, unredacted)
    partial = place.with_name(f".part-{place.name}")
    partial.write_text(content, "utf-8", newline="")
    os.replace(partial, place)
    return place


def _covered(hits: Sequence[Hit]) -> list[Hit]:
    from msgspec.structs import replace

    secrets = sorted({h.plate for h in hits if len(h.plate) > 2}, key=len, reverse=True)

    def cover(text: str) -> str:
        for secret in secrets:
            for form in (secret, secret.lower()):
                text = text.replace(form, "".join(_MASK if c.isalnum() else c for c in form))
        return text

    return [replace(h, plate=cover(h.plate), text=cover(h.text)) for h in hits]


def _cell(value: object) -> object:
    # A spreadsheet runs a cell that begins like a formula.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return "" if value is None else value


def _csv(hits: Sequence[Hit], clips: Mapping[str, Size], crops: Path, unredacted: bool) -> str:
    import io

    text = io.StringIO()
    table = csv.DictWriter(text, [*_COLUMNS, "redaction"], restval="")
    table.writeheader()
    for hit in hits:
        row: dict[str, Any] = {
            name: getattr(hit, name) for name in _COLUMNS if hasattr(hit, name)
        }
        row |= {"entries": " ".join(hit.entries), "colours": " ".join(hit.colours),
                "crop": hit.artefact,
                "redaction": "none" if unredacted else "plates covered"}  # fmt: skip
        if hit.box is not None:
            row |= {side: getattr(hit.box, side) for side in ("x", "y", "width", "height")}
        if hit.incident is not None:
            row |= {"incident_start_s": hit.incident.start, "incident_end_s": hit.incident.end,
                    "uncertainty_s": hit.incident.uncertainty}  # fmt: skip
        table.writerow({k: _cell(v) for k, v in row.items()})
    return text.getvalue()


def _label(hit: Hit) -> str:
    return f"{hit.type}:{hit.kind}" if hit.kind else hit.type


def _frames(
    hits: Sequence[Hit], clips: Mapping[str, Size]
) -> dict[tuple[str, int], tuple[str, Size, list[Hit]]]:
    """Boxed hits by frame, each frame named clip#ordinal."""
    frames: dict[tuple[str, int], tuple[str, Size, list[Hit]]] = {}
    for hit in hits:
        if hit.box is None or hit.frame is None:
            continue
        size = clips.get(hit.clip, Size(hit.clip_name or hit.clip[:12], 0, 0))
        key = (hit.clip, hit.frame)
        frames.setdefault(key, (f"{size.name}#{hit.frame}", size, []))[2].append(hit)
    return frames


def _said(hit: Hit, unredacted: bool) -> dict[str, str]:
    """What goes with a box as attributes."""
    fields = {
        "verdict": hit.verdict, "entries": " ".join(hit.entries), "text": hit.text,
        "colours": " ".join(hit.colours), "plate": hit.plate, "observed_absence": hit.absence,
        "source": hit.source, "track": hit.track, "finding": hit.id, "ledger_line": str(hit.line),
        "redaction": "none" if unredacted else "plates covered",
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value}


def _coco(hits: Sequence[Hit], clips: Mapping[str, Size], crops: Path, unredacted: bool) -> str:
    categories: dict[str, int] = {}
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for (digest, ordinal), (name, size, seen) in _frames(hits, clips).items():
        images.append({
            "id": len(images) + 1, "file_name": name, "width": size.width, "height": size.height,
            "clip_sha256": digest, "frame": ordinal, "pixel_sha256": seen[0].pixel_hash,
            "time_s": seen[0].start_s,
        })  # fmt: skip
        for hit in seen:
            assert hit.box is not None
            category = categories.setdefault(_label(hit), len(categories) + 1)
            boxes.append({
                "id": len(boxes) + 1, "image_id": len(images), "category_id": category,
                "bbox": [hit.box.x, hit.box.y, hit.box.width, hit.box.height],
                "area": hit.box.width * hit.box.height, "iscrowd": 0, "score": hit.score,
                "attributes": _said(hit, unredacted),
            })  # fmt: skip
    document = {
        "info": {"description": _OPEN if unredacted else _COVERED}, "images": images,
        "annotations": boxes, "licenses": [],
        "categories": [{"id": n, "name": name, "supercategory": name.partition(":")[0]}
                       for name, n in categories.items()],
    }  # fmt: skip
    return json.dumps(document, ensure_ascii=False, indent=1)


def _cvat(hits: Sequence[Hit], clips: Mapping[str, Size], crops: Path, unredacted: bool) -> str:
    """CVAT for images 1.1."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    frames = _frames(hits, clips)
    told = {"name": "sightings", "size": str(len(frames)), "mode": "annotation",
            "source": _OPEN if unredacted else _COVERED}  # fmt: skip
    for name, text in told.items():
        ElementTree.SubElement(task, name).text = text
    labels = ElementTree.SubElement(task, "labels")
    for name in sorted({_label(h) for _, _, seen in frames.values() for h in seen}):
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        listed = ElementTree.SubElement(label, "attributes")
        for attribute in ("verdict", "entries", "text", "colours", "plate", "observed_absence",
                          "source", "track", "finding", "ledger_line", "redaction"):  # fmt: skip
            one = ElementTree.SubElement(listed, "attribute")
            for key, value in (("name", attribute), ("mutable", "False"), ("input_type", "text"),
                               ("default_value", ""), ("values", "")):  # fmt: skip
                ElementTree.SubElement(one, key).text = value
    for number, (name, size, seen) in enumerate(frames.values()):
        image = ElementTree.SubElement(
            root, "image", id=str(number), name=_plain(name), width=str(size.width),
            height=str(size.height),
        )  # fmt: skip
        for hit in seen:
            assert hit.box is not None
            edges = {"xtl": hit.box.x, "ytl": hit.box.y, "xbr": hit.box.x + hit.box.width,
                     "ybr": hit.box.y + hit.box.height}  # fmt: skip
            by = "manual" if hit.source.startswith("examiner") else "auto"
            drawn = ElementTree.SubElement(
                image, "box",
                {"label": _label(hit), "occluded": "0", "source": by, "z_order": "0",
                 **{edge: f"{value:.2f}" for edge, value in edges.items()}},
            )  # fmt: skip
            for key, value in _said(hit, unredacted).items():
                ElementTree.SubElement(drawn, "attribute", name=key).text = _plain(value)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _plain(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write."""
    return "".join(c if c in "\t\n\r" or " " <= c < "\ud800" or "\ue000" <= c < "\ufffe"
                   or c > "\uffff" else "\ufffd" for c in text)  # fmt: skip


def _page(hits: Sequence[Hit], clips: Mapping[str, Size], crops: Path, unredacted: bool) -> str:
    figures = []
    for hit in hits:
        picture = _crop(hit, crops, unredacted)
        shown = f'<img alt="{html.escape(_label(hit))}" src="{picture}">' if picture else ""
        name = clips[hit.clip].name if hit.clip in clips else hit.clip_name
        when = "" if hit.start_s is None else f" at {clock_text(hit.start_s)}"
        if hit.incident is not None:
            when += f", incident clock {hit.incident}"
        said = [hit.verdict.replace("_", " "), ", ".join(hit.entries[:3]),
                f"“{hit.text}”" if hit.text else "", " or ".join(hit.colours),
                f"plate {hit.plate}" if hit.plate else "",
                hit.absence.replace("-", " ")]  # fmt: skip
        told = html.escape(" · ".join(part for part in said if part))
        figures.append(
            f"<figure>{shown}<figcaption><b>{html.escape(hit.kind or hit.type)}</b> {told}<br>"
            f"<small>{html.escape(name)}{html.escape(when)}, ledger line {hit.line}</small><br>"
            f"<code>{hit.id}</code></figcaption></figure>"
        )
    note = f'<p class="open">{_OPEN}</p>' if unredacted else f"<p>{_COVERED}</p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sightings</title>'
        f"<style>{_STYLE}</style><h1>{len(hits)} sightings</h1>{note}"
        "<p><small>A match is between designs: insignia can be worn by others, copied, removed or "
        f'added.</small></p><div class="grid">{"".join(figures)}</div></html>\n'
    )


def _crop(hit: Hit, crops: Path, unredacted: bool) -> str:
    """The crop as a data address, covered unless told otherwise; nothing if it is not at hand."""
    import cv2
    import numpy as np

    path = crops / f"{hit.artefact}.png"
    if not hit.artefact or not path.is_file():
        return ""
    read = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if read is None:
        return ""
    rgb = np.ascontiguousarray(read[..., ::-1]).astype(np.uint8)
    if not unredacted:
        rgb = redact_crop(rgb, hit)
    longest = max(rgb.shape[:2])
    if longest > 480:
        size = (max(1, rgb.shape[1] * 480 // longest), max(1, rgb.shape[0] * 480 // longest))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, packed = cv2.imencode(".png", rgb[..., ::-1])
    return "data:image/png;base64," + base64.b64encode(packed.tobytes()).decode("ascii")


def redact_crop(rgb: NDArray[np.uint8], hit: Hit) -> NDArray[np.uint8]:
    """A crop without its rim, with plates and faces covered; what is a head is covered whole."""
    height, width = rgb.shape[:2]
    left = top = 0
    if hit.box is not None:
        margin = 0.15 if hit.type == "sighting" else 0.05
        grow = margin * max(hit.box.width, hit.box.height)
        left, top = max(0, int(hit.box.x - grow)), max(0, int(hit.box.y - grow))
    boxes = []
    if hit.kind in ("balaclava", "plate"):
        boxes.append(Box(0.0, 0.0, float(width), float(height)))
    elif hit.plate_box is not None:
        plate = hit.plate_box
        more = 0.3 * plate.height
        boxes.append(Box(plate.x - left - more, plate.y - top - more,
                         plate.width + 2 * more, plate.height + 2 * more))  # fmt: skip
    shown = redact.redact_pictures([rgb], boxes=[boxes])[0]
    if hit.type == "sighting" and hit.box is not None:
        x, y = max(0, int(hit.box.x) - left), max(0, int(hit.box.y) - top)
        inner = shown[y : y + int(hit.box.height) + 1, x : x + int(hit.box.width) + 1]
        shown = inner if inner.size else shown
    return shown
