"""The appendix as PDF: tagged (PDF/UA-1), archival (PDF/A-3b), with the record embedded.

typst checks both standards itself and refuses to write a file that breaks them. The document
goes in as JSON, so that nothing found in a clip can ever be read as typst code. Only the fonts
that typst carries are used, so that the bytes do not depend on the machine.
"""

from __future__ import annotations

from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from forensics.errors import ExtraMissing, RecordInvalid
from forensics.model import canonical_json, to_builtins
from forensics.report_document import Document
from forensics.report_record import RunRecord
from forensics.tools_temporary import temporary_folder

__all__ = ["draw_png", "render_pdf"]

_MARKS = frozenset("–—‘’“”„…•‰′″€№™←→↔≈≠≤≥−×÷±°·§¶©«»▮□■▲●◆")


def render_pdf(document: Document, record: RunRecord, pictures: dict[str, bytes]) -> bytes:
    """One PDF; the same record gives the same bytes.

    Raises
    ------
    ExtraMissing
        typst is not installed.
    RecordInvalid
        typst refuses the document: it would break PDF/UA-1 or PDF/A-3b.
    """
    try:
        import typst
    except ImportError:
        raise ExtraMissing("PDF needs typst", extra="report") from None
    with temporary_folder("appendix") as root:
        plain = _shown(to_builtins(document))
        _place_drawings(plain, document, root)
        (root / "document.json").write_bytes(canonical_json(plain))
        (root / "record.json").write_bytes(canonical_json(record))
        (root / "pictures").mkdir()
        for name, content in pictures.items():
            (root / "pictures" / name).write_bytes(content)
        template = resources.files("forensics").joinpath("data/templates/appendix.typ")
        (root / "appendix.typ").write_bytes(template.read_bytes())
        made = datetime.fromisoformat(record.utc) if record.utc else datetime.fromtimestamp(0)  # noqa: DTZ006
        try:
            content = typst.compile(
                str(root / "appendix.typ"), root=str(root), ignore_system_fonts=True,
                format="pdf", pdf_standards=["ua-1", "a-3b"], timestamp=int(made.timestamp()),
            )  # fmt: skip
        except RuntimeError as error:
            raise RecordInvalid(f"typst refuses the appendix: {error}") from error
    return bytes(content)


def _place_drawings(plain: dict[str, Any], document: Document, root: Path) -> None:
    number = 0
    for section in plain["sections"]:
        for block in section["blocks"]:
            if block["type"] == "drawing":
                number += 1
                block["file"] = f"drawing-{number}.svg"
                (root / block["file"]).write_text(block.pop("svg"), "utf-8")


def _shown(value: Any) -> Any:
    """The same value with every character that the embedded fonts lack written as U+XXXX."""
    if isinstance(value, str):
        return value if value.startswith("<svg") else "".join(map(_glyph, value))
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    return value


def _glyph(character: str) -> str:
    code = ord(character)
    known = (
        0x20 <= code < 0x7F or 0xA0 <= code <= 0x17F or 0x391 <= code <= 0x3C9
        or 0x400 <= code <= 0x45F or 0x490 <= code <= 0x491 or character in _MARKS
        or character == "\n"
    )  # fmt: skip
    return character if known and code != 0xAD and code != 0x3A2 else f"[U+{code:04X}]"


def draw_png(svg: str, *, width_px: int) -> bytes:
    """An SVG drawing as PNG, by typst, for formats that hold no SVG.

    Raises
    ------
    ExtraMissing
        typst is not installed.
    """
    try:
        import typst
    except ImportError:
        raise ExtraMissing("drawings in Word need typst", extra="report") from None
    with temporary_folder("drawing") as root:
        (root / "drawing.svg").write_text(svg, "utf-8")
        (root / "page.typ").write_text(
            "#set page(width: 720pt, height: auto, margin: 0pt)\n"
            '#image("drawing.svg", width: 100%)', "utf-8",
        )  # fmt: skip
        content = typst.compile(
            str(root / "page.typ"), root=str(root), format="png", ppi=72 * width_px / 720,
            ignore_system_fonts=True,
        )  # fmt: skip
    return bytes(content)
