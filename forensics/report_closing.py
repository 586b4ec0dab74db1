"""Sections A13 to A22: interpretation (a person's), limits, reproduction, signature."""

from __future__ import annotations

from forensics.model import Redaction, Uncalibrated
from forensics.report_document import (
    Block,
    Bullets,
    Cell,
    Code,
    Facts,
    Heading,
    Paragraph,
    Section,
    Table,
    cell,
)
from forensics.report_methods import method_anchor
from forensics.report_received import given
from forensics.report_record import RunRecord
from forensics.report_words import Words

__all__ = ["closing_sections"]

_ABBREVIATIONS = ("ci", "fn", "fp", "gcc", "gop", "h1", "lr", "n", "o-e", "ppm", "pts", "sha",
                  "utc", "vfr")  # fmt: skip
_STANDARDS = (
    "Berkeley Protocol on Digital Open Source Investigations, OHCHR / UC Berkeley, HR/PUB/20/2",
    "ISO/IEC 27037, 27041, 27042", "SWGDE 18-Q-002", "SWGDE 23-V-001", "ENFSI-BPM-DI-03",
    "ENFSI Guideline for Evaluative Reporting in Forensic Science, 2015", "ASTM E3016",
    "Federal Rules of Evidence 702 (2023), 902(13), 902(14)", "CPR Practice Direction 35",
)  # fmt: skip
_SCALE = ("1", "2 – 10", "10 – 100", "100 – 1 000", "1 000 – 10 000", "10 000 – 1 000 000",
          "> 1 000 000")  # fmt: skip


def closing_sections(record: RunRecord, t: Words) -> list[Section]:
    """A13 to A22."""
    return [
        _interpretation(record, t), _limitations(record, t), _runs(record, t),
        _reproduction(record, t), _persons(record, t), _disposition(record, t),
        _amendments(record, t), _abbreviations(t), _references(record, t),
        _authorisation(record, t),
    ]  # fmt: skip


def _interpretation(record: RunRecord, t: Words) -> Section:
    blocks: list[Block] = [Paragraph(cell(t("a13.about")))]
    for one in record.engagement.interpretations:
        blocks += [
            Heading(t("a13.heading")),
            Facts((
                (t("a13.question"), Cell(one.question, "engagement")),
                ("H1", given(one.h1, t)), ("H2", given(one.h2, t)),
                (t("a13.text"), Cell(one.text, "engagement")),
                (t("a13.band"), given(one.scale, t)), (t("a13.by"), given(one.by, t)),
            )),
        ]  # fmt: skip
    if not record.engagement.interpretations:
        blocks.append(Paragraph(given("", t)))
    rows = tuple((cell(band), cell(t(f"scale.{n}"))) for n, band in enumerate(_SCALE))
    blocks += [
        Table(t("a13.scale"), (t("a13.lr"), t("a13.verbal")), rows, (1, 3)),
        Paragraph(cell(t("a13.transposing"))),
    ]
    return Section("A13", t("title.a13"), "E", tuple(blocks))


def _limitations(record: RunRecord, t: Words) -> Section:
    found: list[Cell] = []
    for item in record.items:
        if item.failure is not None:
            found.append(Cell(f"{item.name}: {item.failure.message}", "quote"))
        if item.state == "not at hand":
            found.append(Cell(t("a14.gone", name=item.name), "quote"))
    names = record.names
    for known in record.examinations:
        exam = known.examination
        if known.superseded:
            continue
        who = ", ".join(names.get(d, d[:12]) for d in exam.origin.inputs)
        if exam.outcome in ("failed", "not-applicable"):
            text = f"{who}: {exam.origin.method}: {t.of('outcome', exam.outcome)}: {exam.reason}"
            found.append(Cell(text, "quote", link=f"examination-{known.seq}"))
        found += [
            Cell(f"{who}: {exam.origin.method}: {hole.span}: {hole.reason}", "quote")
            for hole in exam.coverage.not_testable
        ]
        if exam.coverage.decode_failures:
            text = t("a14.decode", name=who, n=exam.coverage.decode_failures)
            found.append(Cell(f"{text} ({exam.origin.method})", "quote"))
    for alignment in record.alignments:
        found += [
            Cell(f"{names.get(u.clip, u.clip[:12])}: {u.reason}", "quote")
            for u in alignment.unplaced
        ]
    unknown = sum(isinstance(known, Uncalibrated) for known in record.rates.values())
    if unknown:
        found.append(cell(t("a14.uncalibrated", n=unknown), link="A8"))
    found += [cell(t("a14.general")), cell(t("a14.before"))]
    found += [cell(text) for p in record.environment.programs if (text := p.missing)]
    unique = tuple({(c.text, c.link): c for c in found}.values())
    blocks: list[Block] = [Paragraph(cell(t("a14.about"))), Bullets(unique)]
    return Section("A14", t("title.a14"), "O", tuple(blocks))


def _runs(record: RunRecord, t: Words) -> Section:
    blocks: list[Block] = [Heading(t("a15.deviations"))]
    deviations = record.engagement.deviations
    if deviations:
        blocks.append(Bullets(tuple(Cell(f"{d.what}: {d.why}", "engagement") for d in deviations)))
    else:
        blocks.append(Paragraph(given("", t)))
    superseded = {x.seq for x in record.examinations if x.superseded}
    from forensics.model import canonical_json

    rows = tuple(
        (
            cell(line.seq), cell(line.utc), Cell(line.what, "quote"),
            cell(t.of("outcome", line.outcome) if f"outcome.{line.outcome}" in t.phrases
                 else t.of("claim", line.outcome) if line.outcome else "–"),
            Cell(canonical_json(line.parameters).decode()[:400], "code"),
            cell(t("a15.superseded") if line.seq in superseded else t("a15.current")),
        )
        for line in record.lines
        if line.kind in ("examination", "alignment", "verdict", "failure")
    )  # fmt: skip
    columns = (t("a4.seq"), t("a4.utc"), t("a15.run"), t("a10.outcome"), t("a7.value"),
               t("a15.status"))  # fmt: skip
    blocks.append(Heading(t("a15.ledger")))
    if rows:
        blocks.append(Table(t("a15.caption"), columns, rows, (0.6, 2, 2.4, 1.4, 4, 1.2)))
    else:
        blocks.append(Paragraph(cell(t("a7.none"))))
    return Section("A15", t("title.a15"), "O/E", tuple(blocks), wide=True)


def _reproduction(record: RunRecord, t: Words) -> Section:
    sums = "\n".join(
        f"{item.clip.digest}  {_shell_name(item.path.name)}"
        for item in record.items if item.clip is not None
    )  # fmt: skip
    blocks: list[Block] = [
        Paragraph(cell(t("a16.about"))), Heading(t("a16.ours")),
        Code("forensics verify FOLDER\nforensics replay FOLDER/ledger.jsonl\n"
             "forensics appendix FOLDER -o appendix.pdf"),
        Paragraph(cell(t("a16.tolerance"))), Heading(t("a16.theirs")),
        Paragraph(cell(t("a16.sums"))), Code(sums or "-"),
        Paragraph(cell(t("a16.sealed" if record.seal else "a16.unsealed"))),
        Code(
            "sha256sum -c MANIFEST.sha256\n"
            "ssh-keygen -Y verify -f signers -I IDENTITY -n forensics-seal "
            "-s MANIFEST.sha256.sig < MANIFEST.sha256\n"
            "openssl ts -verify -in MANIFEST.sha256.sig.tsr -data MANIFEST.sha256.sig "
            "-CAfile TSA-CA.pem"
        ),
        Facts((
            (t("a0.ledger"), Cell(record.ledger_head, "code")),
            (t("a0.lines"), cell(record.ledger_lines)),
            (t("a16.lock"), cell(t("a16.lock-text"))),
        )),
    ]  # fmt: skip
    if record.seal:
        rows = tuple((cell(name), Cell(digest, "code")) for name, digest in record.seal.items())
        blocks.append(Table(t("a16.seal"), (t("a16.file"), "SHA-256"), rows, (1.5, 4)))
    return Section("A16", t("title.a16"), "O", tuple(blocks))


def _shell_name(name: str) -> str:
    from forensics.errors import printable

    return printable(name)


def _persons(record: RunRecord, t: Words) -> Section:
    redactions = [
        (finding, known) for known in record.examinations for finding in known.examination
        if isinstance(finding.observation.what, Redaction)
    ]  # fmt: skip
    rows = []
    for finding, known in redactions:
        what = finding.observation.what
        assert isinstance(what, Redaction)
        origin = known.examination.origin
        rows.append((
            Cell(record.names.get(origin.inputs[0], origin.inputs[0][:12]), "quote"),
            Cell(f"{what.kind}: {what.style}", "quote"), cell(what.frames),
            Cell(origin.method, link=method_anchor(origin.method, origin.version)),
        ))  # fmt: skip
    blocks: list[Block] = [Paragraph(cell(t("a17.about")))]
    if rows:
        columns = (t("a3.item"), t("a17.what"), t("a17.frames"), t("a8.method"))
        blocks.append(Table(t("a17.caption"), columns, tuple(rows)))
        blocks.append(Paragraph(cell(t("a17.missed"))))
    else:
        blocks.append(Paragraph(cell(t("a17.none"))))
    blocks.append(Paragraph(cell(t("a17.prints"))))
    return Section("A17", t("title.a17"), "O", tuple(blocks))


def _disposition(record: RunRecord, t: Words) -> Section:
    said = record.engagement.disposition
    kept = given(said.retention, t)
    facts = Facts(((t("a18.what"), given(said.text, t)), (t("a18.retention"), kept)))
    return Section("A18", t("title.a18"), "E", (facts,))


def _amendments(record: RunRecord, t: Words) -> Section:
    rows = tuple(
        tuple(given(v, t) for v in (a.date, a.what, a.why, a.by))
        for a in record.engagement.amendments
    )
    note = record.engagement.report
    blocks: list[Block] = [Paragraph(cell(t("a19.about")))]
    blocks.append(Facts(((t("a0.amends"), given(note.amends, t)),
                         (t("a0.why"), given(note.amends_reason, t)))))  # fmt: skip
    if rows:
        columns = (t("a19.date"), t("a19.what"), t("a19.why"), t("a13.by"))
        blocks.append(Table("", columns, rows))
    return Section("A19", t("title.a19"), "E", tuple(blocks))


def _abbreviations(t: Words) -> Section:
    rows = tuple((t(f"abbreviation.{k}.short"), cell(t(f"abbreviation.{k}.long")))
                 for k in _ABBREVIATIONS)  # fmt: skip
    return Section("A20", t("title.a20"), "O", (Facts(rows),))


def _references(record: RunRecord, t: Words) -> Section:
    cited = [Cell(s, "quote") for s in _STANDARDS]
    cited += [Cell(r, "quote") for m in record.methods for r in m.references]
    unique = tuple({c.text: c for c in cited}.values())
    return Section("A21", t("title.a21"), "O", (Paragraph(cell(t("a21.about"))), Bullets(unique)))


def _authorisation(record: RunRecord, t: Words) -> Section:
    said = record.engagement.authorisation
    blocks: list[Block] = [
        Paragraph(cell(t("a22.about"))),
        Facts((
            (t("a22.statement"), given(said.statement, t)), (t("a22.name"), given(said.name, t)),
            (t("a22.role"), given(said.title, t)), (t("a22.date"), given(said.date, t)),
            (t("a22.signature"), cell("\u00a0\n\u00a0")),
            (t("a0.id"), Cell(record.report_id, "code")),
            (t("a0.ledger"), Cell(record.ledger_head, "code")),
            (t("a22.seal"), cell(t("a22.sealed") if record.seal else t("a22.unsealed"))),
        )),
    ]  # fmt: skip
    return Section("A22", t("title.a22"), "E/O", tuple(blocks))
