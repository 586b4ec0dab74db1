"""The appendix as a Word file: real headings, tables with header rows, alt texts, page x of y."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from forensics.errors import ExtraMissing
from forensics.model import canonical_json
from forensics.report_document import (
    Bullets,
    Cell,
    Code,
    Document,
    Drawing,
    Facts,
    Figure,
    Heading,
    Paragraph,
    Section,
    Sheet,
    Table,
)
from forensics.report_pdf import draw_png
from forensics.report_record import RunRecord

__all__ = ["render_docx"]


def render_docx(document: Document, record: RunRecord, pictures: dict[str, bytes]) -> bytes:
    """One .docx; the record is the custom part ``forensics/record.json`` inside it.

    Raises
    ------
    ExtraMissing
        python-docx or typst (for the drawing) is not installed.
    """
    try:
        import docx
    except ImportError:
        raise ExtraMissing("Word files need python-docx", extra="report") from None
    writer = _Writer(docx.Document(), document, pictures)
    writer.write()
    out = io.BytesIO()
    writer.word.save(out)
    return _pack(out.getvalue(), canonical_json(record))


def _pack(content: bytes, record: bytes) -> bytes:
    # The same record gives the same bytes: Word's zip otherwise holds the time of writing.
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "[Content_Types].xml":
                kind = b'<Default Extension="json" ContentType="application/json"/>'
                data = data.replace(b"<Default ", kind + b"<Default ", 1)
            _put(new, name, data)
        _put(new, "forensics/record.json", record)
    return out.getvalue()


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def _clean(text: str) -> str:
    # XML has no place for control characters; they are written out instead.
    return "".join(
        c if c in "\n\t" or (c.isprintable() and not 0xD800 <= ord(c) < 0xE000) or c == "\u00a0"
        else f"[U+{ord(c):04X}]"
        for c in text
    )  # fmt: skip


class _Writer:
    def __init__(self, word: Any, document: Document, pictures: dict[str, bytes]) -> None:
        self.word = word
        self.document = document
        self.pictures = pictures
        self.wide = False
        self.anchors = 0

    def write(self) -> None:
        from datetime import datetime

        from docx.shared import Mm, Pt, RGBColor

        properties = self.word.core_properties
        properties.title = _clean(f"{self.document.subtitle}: {self.document.title}")[:250]
        properties.author, properties.language = "forensics", self.document.language
        properties.identifier = self.document.report_id
        when = datetime.fromisoformat(self.document.utc) if self.document.utc else None
        if when is not None:
            properties.created = properties.modified = when.replace(tzinfo=None, microsecond=0)
        style = self.word.styles["Normal"]
        style.font.name, style.font.size = "Liberation Serif", Pt(9.5)
        for level in (1, 2):
            self.word.styles[f"Heading {level}"].font.color.rgb = RGBColor(0x1F, 0x3A, 0x5F)
            self.word.styles[f"Heading {level}"].font.name = "Liberation Sans"
        page = self.word.sections[0]
        page.page_width, page.page_height = Mm(210), Mm(297)
        page.left_margin = page.right_margin = Mm(17)
        self._frame(page)
        self.word.add_paragraph(_clean(self.document.subtitle.upper()))
        self.word.add_paragraph(_clean(self.document.title), style="Title")
        labels = self.document.labels
        for name, value in ((labels["case"], self.document.case),
                            (labels["report"], self.document.report_id),
                            ("UTC", self.document.utc)):  # fmt: skip
            self.word.add_paragraph(_clean(f"{name}: {value}"))
        self.word.add_paragraph(_clean(labels["attachment"]), style="Intense Quote")
        for section in self.document.sections:
            self._section(section)

    def _frame(self, page: Any) -> None:
        labels = self.document.labels
        head = page.header.paragraphs[0]
        case = _clean(self.document.case)
        head.text = f"{labels['case']}: {case}\t\t{labels['report']} {self.document.report_id[:16]}"
        foot = page.footer.paragraphs[0]
        foot.add_run(f"{self.document.subtitle}\t\t{labels['page']} ")
        self._field(foot, "PAGE")
        foot.add_run(f" {labels['of']} ")
        self._field(foot, "NUMPAGES")

    def _field(self, paragraph: Any, instruction: str) -> None:
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn

        field = OxmlElement("w:fldSimple")
        field.set(qn("w:instr"), instruction)
        run = OxmlElement("w:r")
        text = OxmlElement("w:t")
        text.text = "1"
        run.append(text)
        field.append(run)
        paragraph._p.append(field)

    def _section(self, section: Section) -> None:
        if section.wide != self.wide:
            from docx.enum.section import WD_ORIENT, WD_SECTION

            page = self.word.add_section(WD_SECTION.NEW_PAGE)
            page.page_width, page.page_height = page.page_height, page.page_width
            page.orientation = WD_ORIENT.LANDSCAPE if section.wide else WD_ORIENT.PORTRAIT
            self.wide = section.wide
        heading = self.word.add_heading(_clean(f"{section.code} {section.title}"), 1)
        self._bookmark(heading, section.code)
        note = self.word.add_paragraph()
        note.add_run(self.document.labels[section.filled]).italic = True
        for block in section.blocks:
            self._block(block)

    def _bookmark(self, paragraph: Any, name: str) -> None:
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn

        self.anchors += 1
        for tag in ("w:bookmarkStart", "w:bookmarkEnd"):
            mark = OxmlElement(tag)
            mark.set(qn("w:id"), str(self.anchors))
            if tag.endswith("Start"):
                mark.set(qn("w:name"), _bookmark_name(name))
            paragraph._p.append(mark)

    def _block(self, block: object) -> None:
        match block:
            case Paragraph(text):
                self._cell(self.word.add_paragraph(), text)
            case Heading(text=text, anchor=anchor):
                heading = self.word.add_heading(_clean(text), 2)
                if anchor:
                    self._bookmark(heading, anchor)
            case Facts(rows):
                table = self.word.add_table(0, 2, style="Table Grid")
                for name, value in rows:
                    cells = table.add_row().cells
                    cells[0].paragraphs[0].add_run(_clean(name)).bold = True
                    self._cell(cells[1].paragraphs[0], value)
                self._widths(table, (27, 73))
            case Table():
                self._table(block)
            case Bullets(items):
                for item in items:
                    self._cell(self.word.add_paragraph(style="List Bullet"), item)
            case Code(text):
                self._run(self.word.add_paragraph(), text, "code")
            case Sheet(caption=caption, figures=figures):
                self.word.add_heading(_clean(caption), 2)
                self._sheet(figures)
            case Drawing(svg=svg, alt=alt, caption=caption):
                png = draw_png(svg, width_px=1800)
                self._picture(self.word.add_paragraph(), png, alt, 250 if self.wide else 174)
                self.word.add_paragraph(_clean(caption), style="Caption")

    def _table(self, block: Table) -> None:
        from docx.oxml import OxmlElement

        if block.caption:
            self.word.add_paragraph(_clean(block.caption), style="Caption")
        table = self.word.add_table(1, len(block.columns), style="Table Grid")
        for cell, name in zip(table.rows[0].cells, block.columns, strict=True):
            cell.paragraphs[0].add_run(_clean(name)).bold = True
        table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
        for row in block.rows:
            for cell, piece in zip(table.add_row().cells, row, strict=True):
                self._cell(cell.paragraphs[0], piece)
        self._widths(table, block.widths or (1.0,) * len(block.columns))

    def _widths(self, table: Any, shares: tuple[float, ...]) -> None:
        from docx.shared import Mm

        table.autofit = False
        total = 263 if self.wide else 176
        for column, share in zip(table.columns, shares, strict=True):
            width = Mm(total * share / sum(shares))
            column.width = width
            for cell in column.cells:
                cell.width = width

    def _sheet(self, figures: tuple[Figure, ...]) -> None:
        per_row = 4 if self.wide else 3
        table = self.word.add_table(0, per_row, style="Table Grid")
        for start in range(0, len(figures), per_row):
            cells = table.add_row().cells
            for cell, figure in zip(cells, figures[start : start + per_row], strict=False):
                content = self.pictures[figure.name]
                self._picture(cell.paragraphs[0], content, figure.alt, 58 if self.wide else 54)
                self._run(cell.add_paragraph(), figure.caption, "small")
                self._run(cell.add_paragraph(), figure.digest, "small")
        self._widths(table, (1.0,) * per_row)

    def _picture(self, paragraph: Any, content: bytes, alt: str, width_mm: float) -> None:
        from docx.shared import Mm

        shape = paragraph.add_run().add_picture(io.BytesIO(content), width=Mm(width_mm))
        shape._inline.docPr.set("descr", _clean(alt))

    def _cell(self, paragraph: Any, piece: Cell) -> None:
        if piece.anchor:
            self._bookmark(paragraph, piece.anchor)
        run = self._run(paragraph, piece.text, piece.kind)
        if piece.link:
            from docx.oxml import OxmlElement
            from docx.oxml.ns import qn

            link = OxmlElement("w:hyperlink")
            link.set(qn("w:anchor"), _bookmark_name(piece.link))
            paragraph._p.append(link)
            link.append(run._r)

    def _run(self, paragraph: Any, text: str, kind: str) -> Any:
        from docx.shared import Pt, RGBColor

        run = paragraph.add_run(_clean(text))
        run.font.size = Pt(6.5 if kind == "small" else 8.5)
        if kind == "code":
            run.font.name, run.font.size = "DejaVu Sans Mono", Pt(7)
        elif kind == "strong":
            run.bold = True
        elif kind == "missing":
            run.italic = True
            run.font.color.rgb = RGBColor(0x8A, 0x5A, 0x00)
        return run


def _bookmark_name(name: str) -> str:
    """Word's names have at most 40 letters, digits and underscores."""
    import hashlib

    if len(name) <= 38 and name.replace("_", "").isalnum():
        return f"b_{name}"
    return "b_" + hashlib.sha256(name.encode()).hexdigest()[:30]
