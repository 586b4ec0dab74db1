"""Records for other tools: CSV, COCO, CASE/UCO JSON-LD, RO-Crate."""

from __future__ import annotations

import csv
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

from forensics.exchange_gather import Mark, Story
from forensics.model import canonical_json
from forensics.provenance import software

__all__ = ["write_case", "write_coco", "write_crate", "write_csv"]

_NAMES = uuid.UUID("6f1b7a0e-5a55-4f0e-9a3c-1f2f4ef6a001")
_COLUMNS = ("finding", "clip", "sha256", "method", "version", "outcome", "type", "label", "start_s",
            "end_s", "incident_start_s", "incident_end_s", "uncertainty_s", "score", "error_rate",
            "note", "what")  # fmt: skip


def _cell(value: object) -> object:
    # A spreadsheet runs a cell that begins like a formula.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return "" if value is None else value


def write_csv(story: Story, out: Path) -> Path:
    """One row a finding; examinations that found nothing, or could not look, have one too."""
    names = {s.clip.digest: s.name for s in story.strips}
    with open(out, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, _COLUMNS, restval="")
        table.writeheader()
        for _, _, exam in story.examinations:
            if exam.findings:
                continue
            digest = exam.origin.inputs[0] if len(exam.origin.inputs) == 1 else ""
            row = {"clip": names.get(digest, "all clips"), "sha256": digest,
                   "method": exam.origin.method, "version": exam.origin.version,
                   "outcome": exam.outcome, "note": exam.reason}  # fmt: skip
            table.writerow({k: _cell(v) for k, v in row.items()})
        for mark in story.marks:
            row = {name: getattr(mark, name) for name in _COLUMNS if hasattr(mark, name)}
            row |= {"finding": mark.id, "sha256": mark.digest, "outcome": "found",
                    "what": json.dumps(mark.what, ensure_ascii=False, sort_keys=True)}  # fmt: skip
            table.writerow({k: _cell(v) for k, v in row.items()})
    return out


def write_coco(story: Story, out: Path) -> Path:
    """COCO: frames in which something was boxed, and the boxes; nothing about persons."""
    categories: dict[str, int] = {}
    images: dict[tuple[str, int], dict[str, Any]] = {}
    boxes: list[dict[str, Any]] = []
    by_digest = {s.clip.digest: s for s in story.strips}
    for mark in story.marks:
        box, ordinal = mark.what.get("box"), mark.what.get("ordinal")
        if not isinstance(box, dict) or ordinal is None or mark.digest not in by_digest:
            continue
        strip = by_digest[mark.digest]
        stream = strip.clip.video
        image = images.setdefault((mark.digest, ordinal), {
            "id": len(images) + 1, "file_name": f"{strip.name}#{ordinal}",
            "width": _displayed(stream)[0], "height": _displayed(stream)[1],
            "clip_sha256": mark.digest, "frame": ordinal,
            "pixel_sha256": mark.what.get("pixel_hash", ""), "time_s": mark.start_s,
        })  # fmt: skip
        name = _category(mark)
        category = categories.setdefault(name, len(categories) + 1)
        boxes.append({
            "id": len(boxes) + 1, "image_id": image["id"], "category_id": category,
            "bbox": [box["x"], box["y"], box["width"], box["height"]],
            "area": box["width"] * box["height"], "iscrowd": 0, "score": mark.score,
            "finding": mark.id, "method": mark.method, "error_rate": mark.error_rate,
        })  # fmt: skip
    document = {
        "info": {"description": story.title, "ledger_head": story.head, "case": story.case},
        "images": list(images.values()), "annotations": boxes,
        "categories": [{"id": n, "name": name, "supercategory": name.partition(":")[0]}
                       for name, n in categories.items()],
        "licenses": [],
    }  # fmt: skip
    out.write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")
    return out


def _displayed(stream: Any) -> tuple[int, int]:
    if stream is None:
        return 0, 0
    turned = stream.rotation % 180 == 90
    return (stream.height, stream.width) if turned else (stream.width, stream.height)


def _category(mark: Mark) -> str:
    kind = mark.what.get("vehicle_type") or mark.what.get("kind") or mark.type
    return f"{mark.type}:{kind}"


def _id(*parts: object) -> str:
    return f"kb:{uuid.uuid5(_NAMES, repr(parts))}"


def _text(value: str, kind: str) -> dict[str, str]:
    return {"@type": kind, "@value": value}


def write_case(story: Story, out: Path) -> Path:
    """CASE/UCO 1 JSON-LD: files with their hashes, one investigative action an examination."""
    version = software().get("forensics", "not installed as a package")
    tool = _id("tool", version)
    graph: list[dict[str, Any]] = [{
        "@id": tool, "@type": "uco-tool:AnalyticTool", "uco-core:name": "forensics",
        "uco-tool:version": version,
    }]  # fmt: skip
    files: dict[str, str] = {}
    for strip in story.strips:
        clip = strip.clip
        identity = files[clip.digest] = _id("file", clip.digest)
        graph.append({
            "@id": identity, "@type": "uco-observable:File", "uco-core:name": strip.name,
            "uco-core:hasFacet": [
                {"@id": _id("filefacet", clip.digest), "@type": "uco-observable:FileFacet",
                 "uco-observable:fileName": clip.name,
                 "uco-observable:sizeInBytes": clip.size},
                {"@id": _id("content", clip.digest), "@type": "uco-observable:ContentDataFacet",
                 "uco-observable:hash": [{
                     "@id": _id("hash", clip.digest), "@type": "uco-types:Hash",
                     "uco-types:hashMethod": "SHA256",
                     "uco-types:hashValue": _text(clip.digest, "xsd:hexBinary")}]},
            ],
        })  # fmt: skip
    for seq, utc, exam in story.examinations:
        record = _id("record", seq, story.head)
        inputs = [{"@id": files[d]} for d in exam.origin.inputs if d in files]
        said = f"{exam.outcome}, {len(exam.findings)} findings. {exam.reason}".strip()
        marks = [m for m in story.marks if m.id in {f.id for f in exam}]
        told = "; ".join(f"{m.id[:12]} {m.type}: {m.label}" for m in marks[:200])
        graph.append({
            "@id": record, "@type": "case-investigation:ProvenanceRecord",
            "uco-core:description": f"{said} {told}".strip(),
            "case-investigation:exhibitNumber": f"ledger line {seq}",
            "uco-core:object": inputs,
        })  # fmt: skip
        when = utc.replace("+00:00", "Z")
        graph.append({
            "@id": _id("action", seq, story.head),
            "@type": "case-investigation:InvestigativeAction",
            "uco-core:name": f"{exam.origin.method} {exam.origin.version}",
            "uco-core:description": canonical_json(exam.origin.parameters).decode(),
            "uco-action:endTime": _text(when, "xsd:dateTime"),
            "uco-action:instrument": {"@id": tool}, "uco-action:object": inputs,
            "uco-action:result": [{"@id": record}],
        })  # fmt: skip
    graph.append({
        "@id": _id("investigation", story.head), "@type": "case-investigation:Investigation",
        "uco-core:name": story.title,
        "uco-core:description": f"case {story.case or 'not supplied'}; ledger head {story.head}",
        "uco-core:object": [{"@id": node["@id"]} for node in graph],
    })  # fmt: skip
    base = "https://ontology.unifiedcyberontology.org/uco/"
    context = {
        "kb": "http://example.org/kb/", "xsd": "http://www.w3.org/2001/XMLSchema#",
        "case-investigation": "https://ontology.caseontology.org/case/investigation/",
        **{f"uco-{name}": f"{base}{name}/"
           for name in ("action", "core", "observable", "tool", "types", "vocabulary")},
    }  # fmt: skip
    document = {"@context": context, "@graph": graph}
    out.write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")
    return out


def write_crate(story: Story, folder: Path, out: Path, *, pictures: bool) -> Path:
    """RO-Crate 1.1: the record and what explains it; evidence is named by hash, never copied."""
    out.mkdir(parents=True, exist_ok=True)
    graph: list[dict[str, Any]] = []
    parts: list[dict[str, str]] = []
    kinds = {".jsonl": "application/x-ndjson", ".toml": "application/toml", ".html": "text/html",
             ".pdf": "application/pdf", ".csv": "text/csv", ".png": "image/png",
             ".jpg": "image/jpeg"}  # fmt: skip
    names = ["incident.toml", "engagement.toml", "appendix.html", "appendix.pdf"]
    if pictures:
        # The ledger holds what was read off plates, and artefacts show faces.
        names += ["ledger.jsonl"]
        names += [f"artefacts/{p.name}" for p in sorted((folder / "artefacts").glob("*"))]
    for name in names:
        source = folder / name
        if not source.is_file():
            continue
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        parts.append({"@id": name})
        graph.append({
            "@id": name, "@type": "File", "name": name, "contentSize": str(source.stat().st_size),
            "encodingFormat": kinds.get(source.suffix, "application/octet-stream"),
        })  # fmt: skip
    findings = write_csv(story, out / "findings.csv")
    parts.append({"@id": findings.name})
    graph.append({"@id": findings.name, "@type": "File", "name": "findings",
                  "encodingFormat": "text/csv"})  # fmt: skip
    for strip in story.strips:
        identity = f"urn:sha256:{strip.clip.digest}"
        parts.append({"@id": identity})
        graph.append({"@id": identity, "@type": "CreativeWork", "name": strip.name,
                      "description": f"evidence, not copied: {strip.clip.size} bytes",
                      "identifier": strip.clip.digest})  # fmt: skip
    root: dict[str, Any] = {
        "@id": "./", "@type": "Dataset", "name": story.title, "hasPart": parts,
        "description": f"case {story.case or 'not supplied'}; ledger head {story.head}",
        "identifier": story.head, "license": "not supplied",
        "datePublished": story.examinations[-1][1] if story.examinations else "",
    }  # fmt: skip
    about = {
        "@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }  # fmt: skip
    nodes = [about, root, *graph]
    document = {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": nodes}
    path = out / "ro-crate-metadata.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")
    return path
