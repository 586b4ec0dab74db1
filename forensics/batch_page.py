"""The results of a batch as one page to hand on: sortable, filterable, with thumbnails, offline."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from forensics import redact
from forensics.errors import RecordInvalid
from forensics.model import Progress

__all__ = ["write_page"]

_THUMBNAIL_PX = 144


def write_page(
    results: str | os.PathLike[str], out: str | os.PathLike[str], *, title: str = "",
    unredacted: bool = False, progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Turn a batch's JSON Lines into one HTML file that works from file://.

    The table is readable without its script; the script only sorts and filters.

    Parameters
    ----------
    results
        What `run_batch` wrote; thumbnails come from ``artefacts/`` beside it.
    out
        The page to write.
    title
        Its heading.
    unredacted
        Leave the faces on thumbnails as they are.
    progress
        Called with (fraction, text).

    Raises
    ------
    RecordInvalid
        A line is not a row.
    """
    import jinja2

    source, target = Path(results), Path(out)
    folder = resources.files("forensics").joinpath("data/templates")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
    )  # fmt: skip
    counts: dict[str, int] = {}
    columns: list[str] = []
    for row in _rows(source):
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + 1
        columns += [m for m in _by_method(row) if m not in columns]
    stream = environment.get_template("batch.html.j2").stream(
        title=title or source.name, counts=counts, columns=columns,
        rows=(_shown(r, columns, source.parent / "artefacts", unredacted) for r in _rows(source)),
    )  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    with open(partial, "wb") as file:
        # Streamed: the page of ten thousand clips never stands in memory.
        stream.enable_buffering(64)
        stream.dump(file, encoding="utf-8")
    os.replace(partial, target)
    if progress is not None:
        progress(1.0, "page written")
    return target


def _rows(source: Path) -> Iterator[dict[str, Any]]:
    with open(source, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.MsgspecError as error:
                raise RecordInvalid(f"{source.name}, line {number}: {error}") from None
            yield row


def _by_method(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {exam["origin"]["method"]: exam for exam in row["examinations"]}


def _shown(
    row: dict[str, Any], columns: list[str], artefacts: Path, unredacted: bool
) -> dict[str, Any]:
    exams = _by_method(row)
    facts = row.get("facts") or {}
    cells = []
    for name in columns:
        exam = exams.get(name)
        if exam is None:
            cells.append({"text": "–", "sort": -2, "why": "", "outcome": "none"})
            continue
        count = len(exam["findings"])
        text = str(count) if exam["outcome"] == "found" else exam["outcome"].replace("-", " ")
        order = {"found": count, "nothing-found": 0}.get(exam["outcome"], -1)
        cells.append({"text": text, "sort": order, "why": exam["reason"],
                      "outcome": exam["outcome"]})  # fmt: skip
    reason = row.get("reason", "") or "; ".join(
        f"{name}: {exam['reason']}" for name, exam in exams.items() if exam["outcome"] == "failed"
    )
    return {
        "clip": row["clip"], "digest": row["digest"], "size": row["size"], "cells": cells,
        "outcome": row["outcome"], "error": row.get("error", ""), "reason": reason,
        "duration": facts.get("duration_s"), "video": facts.get("video") or "–",
        "audio": facts.get("audio") or "–", "thumbnail": _thumbnail(exams, artefacts, unredacted),
    }  # fmt: skip


def _thumbnail(exams: dict[str, dict[str, Any]], artefacts: Path, unredacted: bool) -> str:
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    for exam in exams.values():
        kept = [a for f in exam["findings"] for a in f["observation"]["artefacts"]]
        for artefact in [*kept, *exam["artefacts"]]:
            suffix = {"image/png": "png", "image/jpeg": "jpg"}.get(artefact["media_type"])
            path = artefacts / f"{artefact['digest']}.{suffix}"
            if suffix is None or not path.is_file():
                continue
            try:
                with Image.open(path) as opened:
                    opened.draft("RGB", (2 * _THUMBNAIL_PX, 2 * _THUMBNAIL_PX))
                    picture = opened.convert("RGB")
            except (UnidentifiedImageError, OSError):
                continue
            if not unredacted:
                # Pages travel; faces on them are covered (at this size no plate can be read).
                picture = Image.fromarray(redact.redact_pictures([np.array(picture)])[0])
            picture.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=68)
            return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
    return ""
