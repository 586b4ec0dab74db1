"""The methodology appendix: one record, drawn as HTML, PDF or Word.

Everything comes from the incident's folder, plan and ledger, and from ``engagement.toml``, which
a person fills in. The library writes no interpretation, and refuses to print the appendix if one
of its own sentences claims more than an examination can show.
"""

from __future__ import annotations

import os
from pathlib import Path

from forensics.errors import RecordInvalid
from forensics.model import Progress
from forensics.report_closing import closing_sections
from forensics.report_document import Document, check_links, check_words
from forensics.report_engagement import Engagement, read_engagement
from forensics.report_figures import Prints
from forensics.report_html import render_html
from forensics.report_methods import method_sections
from forensics.report_received import received_sections
from forensics.report_record import IncidentLike, RunRecord, gather
from forensics.report_results import result_sections
from forensics.report_words import LANGUAGES, read_words

__all__ = [
    "LANGUAGES", "Engagement", "RunRecord", "build_document", "gather", "read_engagement",
    "write_appendix",
]  # fmt: skip


def build_document(record: RunRecord, prints: Prints, *, language: str = "en") -> Document:
    """The sections A0 to A22 of a record in one language, checked before anybody prints them.

    Parameters
    ----------
    record
        What `gather` read.
    prints
        Where pictures come from; afterwards it holds those that the document shows.
    language
        "en", "ru" or "be".

    Raises
    ------
    RecordInvalid
        No such language; a forbidden word; a link that leads nowhere.
    """
    words = read_words(language)
    sections = (
        *received_sections(record, words), *method_sections(record, words),
        *result_sections(record, words, prints), *closing_sections(record, words),
    )  # fmt: skip
    labels = {
        name: words(f"label.{name}")
        for name in ("page", "of", "case", "report", "contents", "attachment", "sha")
    }
    labels |= {"O": words("label.observed"), "E": words("label.person")}
    labels |= {"O/E": words("label.both"), "E/O": words("label.both")}
    document = Document(
        language=language, title=record.title, subtitle=words("label.subtitle"),
        case=record.case or words("label.no-case"), report_id=record.report_id, utc=record.utc,
        labels=labels, sections=sections,
    )  # fmt: skip
    check_words(document)
    check_links(document)
    return document


def write_appendix(
    incident: IncidentLike, out: str | os.PathLike[str], *, language: str | None = None,
    unredacted: bool = False, progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Write the methodology appendix of an incident; the suffix decides the format.

    Parameters
    ----------
    incident
        An incident, or anything with its ``folder``, ``plan`` and ``ledger``.
    out
        ``.html``, ``.pdf`` (PDF/UA-1 and PDF/A-3b, the record embedded) or ``.docx``.
    language
        "en", "ru" or "be": the language of everything the library says itself. By default the
        plan's.
    unredacted
        Print faces as they were seen; otherwise they are covered where one is found, and the
        appendix says which. Plates follow the authority in ``engagement.toml``.
    progress
        Called with (fraction, text).

    Returns
    -------
    Path
        The file written, whole or not at all.

    Raises
    ------
    LedgerBroken
        The ledger's chain does not hold.
    ClipChanged
        An original is no longer what was examined.
    RecordInvalid
        An unknown suffix, language or key of ``engagement.toml``; a forbidden word.
    ExtraMissing
        PDF needs typst, Word needs python-docx.

    When it errs
    ------------
    The appendix repeats what the ledger holds: an error of a method is an error of the appendix.
    What nobody supplied is "not supplied"; it cannot tell a lie in ``engagement.toml`` from the
    truth (ASTM E3016: inaccuracy, existence).
    """
    target = Path(out)
    suffix = target.suffix.lower()
    if suffix not in (".html", ".htm", ".pdf", ".docx"):
        raise RecordInvalid(
            f"an appendix is .html, .pdf or .docx, not {suffix or 'without a suffix'!r}"
        )
    tell = progress or (lambda _fraction, _text: None)
    record = gather(incident, progress=lambda f, text: tell(0.6 * f, text))
    authorised = record.engagement.instructions.plates_authorised
    prints = Prints(incident.ledger, unredacted=unredacted, plates=bool(authorised))
    tell(0.6, "writing the sections")
    spoken = language or getattr(incident.plan, "language", "") or "en"
    document = build_document(record, prints, language=spoken)
    tell(0.8, f"printing {suffix}")
    content = _render(suffix, document, record, prints)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    partial.write_bytes(content)
    os.replace(partial, target)
    tell(1.0, "done")
    return target


def _render(suffix: str, document: Document, record: RunRecord, prints: Prints) -> bytes:
    if suffix == ".pdf":
        from forensics.report_pdf import render_pdf

        return render_pdf(document, record, prints.content)
    if suffix == ".docx":
        from forensics.report_docx import render_docx

        return render_docx(document, record, prints.content)
    return render_html(document, prints.content).encode("utf-8")
