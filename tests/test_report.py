"""The appendix: every section there, nothing invented, nothing executed, nothing fetched."""

from __future__ import annotations

import io
import json
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from casework import LABEL, PLATE, Case, make_case

from forensics import report
from forensics.errors import ClipChanged, LedgerBroken, RecordInvalid
from forensics.model import Quantity
from forensics.report_document import (
    FORBIDDEN,
    Cell,
    Document,
    Paragraph,
    Section,
    check_links,
    check_words,
)
from forensics.report_findings import quantity
from forensics.report_words import LANGUAGES, read_words

CODES = [f"A{n}" for n in range(23)]


@pytest.fixture(scope="module")
def case(
    tmp_path_factory: pytest.TempPathFactory, moving: Path, tone: Path, tone_copy: Path
) -> Case:
    return make_case(tmp_path_factory.mktemp("case"), [moving, tone, tone_copy])


@pytest.fixture(scope="module")
def page(case: Case) -> str:
    return report.write_appendix(case, case.folder / "appendix.html").read_text("utf-8")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    return reader


def test_all_sections_stand_in_order(page: str) -> None:
    found = re.findall(r'<section id="(A\d+)"', page)
    assert found == CODES


def test_the_page_asks_nobody_for_anything(page: str) -> None:
    tags = _read(page).tags
    assert not [t for t, _ in tags if t in ("script", "link", "iframe", "object", "form", "base")]
    for tag, attributes in tags:
        for name in ("src", "href", "action", "data", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/jpeg")), (tag, value)
        assert not [a for a in attributes if a.startswith("on")]
    assert not re.search(r"@import|url\(", page)


def test_text_of_a_clip_is_printed_and_not_run(page: str) -> None:
    assert "<script>" not in page
    assert LABEL in "".join(_read(page).words)


def test_every_absence_keeps_its_name(page: str) -> None:
    text = "".join(_read(page).words)
    for said in ("nothing found", "not applicable", "0.2 s of sound, 1 s needed", "failed",
                 "not run: a program is missing", "bad.mp4 cannot be opened as media"):  # fmt: skip
        assert said in text


def test_every_finding_leads_to_its_method_and_rate(case: Case, page: str) -> None:
    ids = {f.id for x in case.ledger.examinations() for f in x}
    for identity in ids:
        row = re.search(rf'<tr><td><a id="finding-{identity}">.*?</tr>', page, re.DOTALL)
        assert row, identity
        assert 'href="#method-case-' in row.group() and 'href="#rate-case-' in row.group()
        assert "error rate not known" in row.group()


def test_what_nobody_supplied_says_so(page: str) -> None:
    assert page.count("not supplied") > 20
    interpretation = page.partition('<section id="A13"')[2].partition("</section>")[0]
    assert "writes no interpretation" in interpretation and "not supplied" in interpretation


def test_plates_are_masked_everywhere_until_somebody_may_see_them(case: Case, page: str) -> None:
    assert PLATE not in page and "1234 A8-7" not in page
    note = case.folder / "engagement.toml"
    note.write_text('[instructions]\nauthority = "an order"\nplates_authorised = true\n', "utf-8")
    try:
        shown = report.write_appendix(case, case.folder / "plates.html").read_text("utf-8")
    finally:
        note.unlink()
    assert PLATE in shown


def test_the_same_record_gives_the_same_bytes(case: Case) -> None:
    for name in ("one.html", "one.docx", "one.pdf"):
        first = report.write_appendix(case, case.folder / name).read_bytes()
        assert first == report.write_appendix(case, case.folder / name).read_bytes(), name


def test_the_report_id_is_the_hash_of_the_embedded_record(case: Case) -> None:
    import hashlib

    import pypdf

    pdf = pypdf.PdfReader(report.write_appendix(case, case.folder / "a.pdf"))
    record = pdf.attachments["record.json"][0]
    identity = hashlib.sha256(record).hexdigest()
    text = "".join(page.extract_text() for page in pdf.pages)
    assert identity in text.replace("\n", "")
    assert pdf.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert pdf.trailer["/Root"]["/Lang"] == "en"
    meta = pdf.xmp_metadata
    assert meta is not None
    raw = meta.stream.get_data()
    assert b"pdfaid:part>3" in raw and b"pdfuaid:part>1" in raw
    assert PLATE not in record.decode() and json.loads(record)["schema"]
    pages = len(pdf.pages)
    for number, page in enumerate(pdf.pages, start=1):
        shown = page.extract_text()
        assert f"page {number} of {pages}" in shown and "Case: TEST-7" in shown


def test_word_has_headings_tables_pictures_and_alt_texts(case: Case) -> None:
    import docx

    path = report.write_appendix(case, case.folder / "a.docx", language="ru")
    word = docx.Document(str(path))
    heads = [p.text for p in word.paragraphs if p.style.name == "Heading 1"]
    assert [h.split()[0] for h in heads] == CODES
    assert len(word.tables) > 20 and word.inline_shapes
    body = zipfile.ZipFile(path).read("word/document.xml").decode()
    alts = re.findall(r'<wp:docPr [^>]*descr="([^"]+)"', body)
    assert len(alts) == body.count("<wp:docPr ")
    assert "w:tblHeader" in body
    foot = "".join(zipfile.ZipFile(path).read(n).decode() for n in zipfile.ZipFile(path).namelist()
                   if "footer" in n)  # fmt: skip
    assert "NUMPAGES" in foot and zipfile.ZipFile(path).read("forensics/record.json")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same_things(case: Case, language: str) -> None:
    keys = {name: set(read_words(name).phrases) for name in LANGUAGES}
    assert keys[language] == keys["en"]
    holes = re.compile(r"{\w+}")
    for key, phrase in read_words(language).phrases.items():
        assert sorted(holes.findall(phrase)) == sorted(
            holes.findall(read_words("en").phrases[key])
        ), key
        assert not FORBIDDEN.search(phrase), key
    text = report.write_appendix(case, case.folder / f"{language}.html", language=language)
    assert f'<html lang="{language}">' in text.read_text("utf-8")


def test_an_unknown_language_or_suffix_is_refused(case: Case) -> None:
    with pytest.raises(RecordInvalid, match="no appendix in"):
        report.write_appendix(case, case.folder / "x.html", language="de")
    with pytest.raises(RecordInvalid, match=r"\.html, \.pdf or \.docx"):
        report.write_appendix(case, case.folder / "x.txt")


@pytest.mark.parametrize(
    "text",
    ['colour = "red"', "[people]\nnickname = 'x'", '[[reviews]]\nfinding = "x"\ndecision = "maybe"',
     "sha256 = 'x'", "not toml ="],
)  # fmt: skip
def test_an_unknown_key_of_the_engagement_is_an_error(case: Case, text: str) -> None:
    path = case.folder / "engagement.toml"
    path.write_text(text, "utf-8")
    try:
        with pytest.raises(RecordInvalid, match=r"engagement\.toml"):
            report.write_appendix(case, case.folder / "x.html")
    finally:
        path.unlink()


def test_what_a_person_supplied_is_printed_as_theirs(case: Case) -> None:
    identity = next(f.id for x in case.ledger.examinations() for f in x)
    (case.folder / "engagement.toml").write_text(
        f"""
[report]
version = "2"
amends = "abc"
amends_reason = "a misspelt place"
[instructions]
requester = "A court"
questions = ["Was it edited?"]
propositions = [{{h1 = "one recording", h2 = "several"}}]
[people]
examiner = "An examiner"
reviewer_blind = true
[[items]]
clip = "cctv"
source = "an archive"
capture_time = 2020-09-23T17:31:05Z
[[reviews]]
finding = "{identity[:12]}"
decision = "reject"
reason = "out of focus"
[[interpretations]]
question = "Was it edited?"
text = "In my opinion it is authentic."
""",  # lint: mention
        "utf-8",
    )
    try:
        text = report.write_appendix(case, case.folder / "e.html").read_text("utf-8")
    finally:
        (case.folder / "engagement.toml").unlink()
    for said in ("A court", "Was it edited?", "several", "An examiner", "an archive",
                 "2020-09-23T17:31:05+00:00", "rejected: out of focus", "a misspelt place",
                 "In my opinion it is"):  # fmt: skip
        assert f'<span class="engagement">{said}' in text, said


def test_a_changed_original_stops_the_appendix(
    tmp_path: Path, moving: Path, tone: Path, tone_copy: Path
) -> None:
    mine = tmp_path / "mine.wav"
    mine.write_bytes(tone.read_bytes())
    case = make_case(tmp_path / "case", [moving, mine, tone_copy])
    content = bytearray(mine.read_bytes())
    content[-5] ^= 1
    mine.write_bytes(content)
    with pytest.raises(ClipChanged):
        report.write_appendix(case, tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()
    mine.unlink()
    text = report.write_appendix(case, tmp_path / "a.html").read_text("utf-8")
    assert "not at hand" in text


def test_a_broken_chain_stops_the_appendix(
    tmp_path: Path, moving: Path, tone: Path, tone_copy: Path
) -> None:
    case = make_case(tmp_path / "case", [moving, tone, tone_copy])
    lines = case.ledger.path.read_bytes().splitlines(keepends=True)
    case.ledger.path.write_bytes(b"".join([*lines[:4], *lines[5:]]))
    with pytest.raises(LedgerBroken):
        report.write_appendix(case, tmp_path / "a.html")


def _document(cell: Cell) -> Document:
    section = Section("A0", "x", "O", (Paragraph(cell),))
    return Document("en", "t", "s", "c", "i", "u", {}, (section,))


CLAIMS = ["authentic", "Fake", "genuine", "proves", "подлинная", "сапраўдны"]  # lint: mention


@pytest.mark.parametrize("word", CLAIMS)
def test_the_library_may_not_say_it_but_may_quote_it(word: str) -> None:
    with pytest.raises(RecordInvalid, match="own words"):
        check_words(_document(Cell(f"the clip is {word}")))
    check_words(_document(Cell(f"the clip is {word}", "quote")))
    check_words(_document(Cell(f"the clip is {word}", "engagement")))


def test_a_link_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(RecordInvalid, match="not there"):
        check_links(_document(Cell("x", link="nowhere")))


def test_hostile_text_survives_every_format(
    tmp_path: Path, moving: Path, tone: Path, tone_copy: Path
) -> None:
    title = '#panic("x") </style><script>alert(1)</script> \u202e\x1b[31m 中文 "\\'
    case = make_case(tmp_path, [moving, tone, tone_copy], title=title)
    for suffix in ("html", "pdf", "docx"):
        report.write_appendix(case, tmp_path / f"a.{suffix}")
    page = (tmp_path / "a.html").read_text("utf-8")
    assert "<script>" not in page and page.count("</style>") == 1
    import docx
    import pypdf

    word = docx.Document(io.BytesIO((tmp_path / "a.docx").read_bytes()))
    printed = "".join(p.extract_text() for p in pypdf.PdfReader(tmp_path / "a.pdf").pages)
    cells = [c.text for table in word.tables for row in table.rows for c in row.cells]
    for text in (printed, "".join([*(p.text for p in word.paragraphs), *cells])):
        assert '#panic("x")' in text and "<script>alert(1)</script>" in text
        assert not any(mark in text for mark in "\x1b\u202e")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Quantity(-3.54181e-08, "s", -9.80354e-05, 9.79646e-05), "0 s [-0.000098, 0.000098]"),
        (Quantity(-12.661234, "s", -12.7023, -12.6201), "-12.661 s [-12.702, -12.62]"),
        (Quantity(0.5, "", 0.5, 0.5), "0.5 [0.5, 0.5]"),
        (Quantity(4.8784e-6, "", note="an upper bound"), "4.9e-06 (an upper bound)"),
        (Quantity(1300, "frames", note="counted"), "1300 frames (counted)"),
        (Quantity(52000.0, "px", 40000.0, 60000.0), "52000 px [40000, 60000]"),
    ],
)
def test_a_quantity_is_printed_as_finely_as_it_is_known(value: Quantity, said: str) -> None:
    assert quantity(value, read_words("en")) == said


def test_a_rate_names_whose_it_is_its_counts_and_the_version_it_was_measured_with(
    case: Case,
) -> None:
    from msgspec import structs

    from forensics import calibration
    from forensics.report_methods import method_sections
    from forensics.report_record import gather, rate_key

    row = calibration.Row(
        "level", "4", "some condition", 18, 2, 1, 40, False, "a data set", "ab" * 32, 30,
        "2026-11-22", "x.py", "measured on version 3, whose answers differ elsewhere",
    )  # fmt: skip
    handed_on = {rate_key("edits", "9", row.stratum): calibration.measure_row(row)}

    def told(*rows: calibration.Row) -> str:
        record = structs.replace(gather(case), rates=handed_on, rows=rows)
        return str(method_sections(record, read_words("en")))

    said = told(row)
    assert "measured for level 4; TP 18, FN 2, FP 1, untouched 40; a data set; n = 30" in said
    assert "measured on version 3, whose answers differ elsewhere" in said
    # Today's counts are not those of a rate that stood when the finding was made.
    later = told(structs.replace(row, true_positives=19, false_negatives=1))
    assert "the table has changed since; a data set; n = 30" in later
    assert "TP 18" not in later and "measured for level" not in later


def test_no_methods_principle_is_its_source_code() -> None:
    from forensics import provenance
    from forensics.report_record import _methods, load_methods

    load_methods()
    used = {(name, spec.version) for name, spec in provenance.methods().items()
            if spec.function.__module__.startswith("forensics.")}  # fmt: skip
    bare = [m.name for m in _methods(used) if len(m.principle) < 60]
    assert len(used) > 25 and not bare
