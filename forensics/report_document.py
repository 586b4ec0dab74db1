"""The appendix as a document that belongs to no format: sections, tables, pictures, words.

HTML, PDF and Word are drawn from the same `Document`, so that they cannot say different things.
Every piece of text knows where it comes from: written by the library, quoted from somebody
else, filled in by a person, or missing. Only the library's own words are held to its vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from forensics.errors import RecordInvalid
from forensics.model import Value

__all__ = [
    "Block", "Bullets", "Cell", "Code", "Document", "Drawing", "Facts", "Figure", "Heading",
    "Paragraph", "Section", "Sheet", "Table", "cell", "check_links", "check_words", "texts",
]  # fmt: skip

Kind: TypeAlias = Literal["", "quote", "engagement", "missing", "code", "strong"]

#: Words that would claim what no examination can show. lint: mention
FORBIDDEN = re.compile(
    # lint: mention
    r"\b(in)?authentic(ity|ally)?\b|\bfak(e|es|ed|ery|ing)\b|\bgenuine(ly|ness)?\b"
    r"|\bprove[sdn]\b|\bproving\b"  # lint: mention
    # lint: mention
    r"|\b(не)?подлинн\w*|\bфальшив\w*|\bфейк\w*|\bподдел(к|ьн)\w*|\bдоказан\w*"
    # lint: mention
    r"|\b(не)?сапраўдн\w*|\bпадроб\w*|\bфэйк\w*|\bдаказан\w*",
    re.IGNORECASE,
)


class Cell(Value, frozen=True):
    """A piece of text; `kind` says whose it is, `link` and `anchor` name places in the document."""

    text: str
    kind: Kind = ""
    link: str = ""
    anchor: str = ""


class Figure(Value, frozen=True):
    """A picture by the SHA-256 of its bytes; `name` finds the bytes to print."""

    name: str
    digest: str
    alt: str
    caption: str


class Paragraph(Value, frozen=True, tag="paragraph"):
    """One paragraph."""

    text: Cell


class Heading(Value, frozen=True, tag="heading"):
    """A heading inside a section."""

    text: str
    anchor: str = ""


class Facts(Value, frozen=True, tag="facts"):
    """Names and what they are: a two-column table."""

    rows: tuple[tuple[str, Cell], ...]


class Table(Value, frozen=True, tag="table"):
    """A table with a caption; `widths` are relative."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    widths: tuple[float, ...] = ()


class Bullets(Value, frozen=True, tag="bullets"):
    """A list."""

    items: tuple[Cell, ...]


class Code(Value, frozen=True, tag="code"):
    """Commands or other text to be copied as it stands."""

    text: str


class Sheet(Value, frozen=True, tag="sheet"):
    """A contact sheet."""

    caption: str
    figures: tuple[Figure, ...]


class Drawing(Value, frozen=True, tag="drawing"):
    """A drawing over the whole width, as SVG."""

    svg: str
    alt: str
    caption: str


Block: TypeAlias = Paragraph | Heading | Facts | Table | Bullets | Code | Sheet | Drawing


class Section(Value, frozen=True):
    """One of A0 to A22; `filled` is O (by the run), E (by a person) or both."""

    code: str
    title: str
    filled: str
    blocks: tuple[Block, ...]
    wide: bool = False


class Document(Value, frozen=True):
    """The whole appendix. `labels` are the few words that a format itself needs."""

    language: str
    title: str
    subtitle: str
    case: str
    report_id: str
    utc: str
    labels: dict[str, str]
    sections: tuple[Section, ...]


def cell(text: object, kind: Kind = "", *, link: str = "", anchor: str = "") -> Cell:
    """A `Cell` from anything that prints."""
    return Cell(str(text), kind, link, anchor)


def cells(block: Block) -> Iterator[Cell]:
    """Every cell of a block."""
    match block:
        case Paragraph(text):
            yield text
        case Facts(rows):
            for _, value in rows:
                yield value
        case Table(rows=rows):
            for row in rows:
                yield from row
        case Bullets(items):
            yield from items
        case _:
            return


def texts(block: Block) -> Iterator[str]:
    """Every text of a block that the library wrote itself."""
    for piece in cells(block):
        if piece.kind in ("", "strong", "missing"):
            yield piece.text
    match block:
        case Heading(text=text):
            yield text
        case Facts(rows):
            yield from (name for name, _ in rows)
        case Table(caption=caption, columns=columns):
            yield caption
            yield from columns
        case Sheet(caption=caption):
            yield caption
        case Drawing(alt=alt, caption=caption):
            yield from (alt, caption)
        case _:
            return


def check_words(document: Document) -> None:
    """Make sure that the library's own words claim nothing that no examination can show.

    Raises
    ------
    RecordInvalid
        A forbidden word stands outside a quotation.
    """
    own = [("title", document.subtitle)]
    for section in document.sections:
        own.append((section.code, section.title))
        own += [(section.code, text) for block in section.blocks for text in texts(block)]
    for where, text in own:
        found = FORBIDDEN.search(text)
        if found:
            raise RecordInvalid(
                f"section {where} says {found.group()!r} in the library's own words",
                hint="outcomes are: consistent, inconsistent with an original, inconclusive",
            )


def check_links(document: Document) -> None:
    """Make sure that every link leads to a place in the document.

    Raises
    ------
    RecordInvalid
        A link leads nowhere, or two places have one name.
    """
    places: list[str] = [section.code for section in document.sections]
    wanted: list[tuple[str, str]] = []
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Heading) and block.anchor:
                places.append(block.anchor)
            for piece in cells(block):
                if piece.anchor:
                    places.append(piece.anchor)
                if piece.link:
                    wanted.append((section.code, piece.link))
    doubled = sorted({p for p in places if places.count(p) > 1}) if places else []
    if doubled:
        raise RecordInvalid(f"two places in the appendix are called {doubled[0]!r}")
    known = set(places)
    for where, link in wanted:
        if link not in known:
            raise RecordInvalid(f"section {where} links to {link!r}, which is not there")
