"""Sections A7 to A9: how it was done, how often that is wrong, and where it is weak."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from forensics.calibration import Row, judge_applicability, measure_row
from forensics.edits_merge import MERGED
from forensics.model import ErrorRate, Uncalibrated, canonical_json
from forensics.report_document import (
    Block,
    Bullets,
    Cell,
    Facts,
    Heading,
    Paragraph,
    Section,
    Table,
    cell,
)
from forensics.report_findings import rate_text
from forensics.report_received import given
from forensics.report_record import MethodRecord, RunRecord, rate_key
from forensics.report_words import Words

__all__ = ["method_anchor", "method_sections", "rate_anchor"]

_CLASS = re.compile(r"\(ASTM E3016:?\s*([^)]*)\)")


def method_anchor(name: str, version: str) -> str:
    """Where A7 describes a method."""
    return f"method-{name}-{version}"


def rate_anchor(method: str, version: str, stratum: str) -> str:
    """Where A8 gives the error rate of a method in a stratum."""
    key = rate_key(method, version, stratum)
    # Two conditions may differ only in signs that a name cannot hold.
    return f"rate-{method}-{version}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def method_sections(record: RunRecord, t: Words) -> list[Section]:
    """A7 to A9."""
    return [_methods(record, t), _rates(record, t), _weaknesses(record, t)]


def _value(value: Any) -> str:
    text = canonical_json(value).decode()
    return text if len(text) <= 300 else text[:299] + "…"


def _parameters(record: RunRecord, method: MethodRecord, t: Words) -> Block:
    used: dict[str, list[str]] = {}
    origins = [x.examination.origin for x in record.examinations]
    origins += [a.origin for a in record.alignments]
    for origin in origins:
        if (origin.method, origin.version) == (method.name, method.version):
            for name, value in origin.parameters.items():
                row = used.setdefault(name, [])
                if _value(value) not in row:
                    row.append(_value(value))
    if not used:
        return Paragraph(cell(t("a7.no-parameters")))
    rows = []
    for name, values in used.items():
        default = _value(method.defaults[name]) if name in method.defaults else "–"
        changed = any(v != default for v in values)
        who = next(
            (c for c in record.engagement.changes
             if (c.method, c.parameter) == (method.name, name)), None,
        )  # fmt: skip
        if not changed:
            why = cell(t("a7.default"))
        elif who is not None:
            why = Cell(f"{who.who}: {who.why}", "engagement")
        else:
            why = Cell(t("a7.plan-or-caller"), "missing")
        rows.append(
            (Cell(name, "code"), Cell(" | ".join(values), "code"), Cell(default, "code"),
             cell(_unit(name) or "–"), why)
        )  # fmt: skip
    columns: tuple[str, ...]
    columns = (t("a7.parameter"), t("a7.value"), t("a7.default"), t("a7.unit"), t("a7.changed"))
    return Table("", columns, tuple(rows), (1.6, 3, 2, 0.8, 2))


def _unit(name: str) -> str:
    # The house rule: a float carries its unit at the end of its name.
    units = {"s": "s", "ms": "ms", "hz": "Hz", "db": "dB", "ppm": "ppm", "px": "px", "deg": "°",
             "fps": "1/s", "bytes": "B"}  # fmt: skip
    return units.get(name.rsplit("_", 1)[-1], "") if "_" in name else ""


def _methods(record: RunRecord, t: Words) -> Section:
    blocks: list[Block] = [Paragraph(cell(t("a7.about")))]
    for method in record.methods:
        anchor = method_anchor(method.name, method.version)
        blocks.append(Heading(f"{method.name}, {t('a7.version')} {method.version}", anchor))
        if not method.at_hand:
            blocks.append(Paragraph(cell(t("a7.not-at-hand"))))
        else:
            principle = method.principle or t("a7.see-code")
            blocks.append(Facts((
                (t("a7.purpose"), Cell(method.summary, "quote")),
                (t("a7.principle"), Cell(principle, "quote")),
                (t("a7.threshold"), cell(t("a7.threshold-how"))),
                (t("a7.references"), Cell("; ".join(method.references) or "–", "quote")),
            )))  # fmt: skip
        blocks.append(_parameters(record, method, t))
        blocks.append(_applicability(record, method, t))
    if not record.methods:
        blocks.append(Paragraph(cell(t("a7.none"))))
    return Section("A7", t("title.a7"), "O/E", tuple(blocks))


def _applicability(record: RunRecord, method: MethodRecord, t: Words) -> Block:
    names = record.names
    rows = []
    for known in record.examinations:
        exam = known.examination
        if (exam.origin.method, exam.origin.version) != (method.name, method.version):
            continue
        if known.superseded:
            continue
        verdict, why = judge_applicability(exam, record.rows)
        items = ", ".join(names.get(d, d[:12]) for d in exam.origin.inputs)
        rows.append((Cell(items, "quote"), cell(t.of("range", verdict)), Cell(why, "quote")))
    if not rows:
        return Paragraph(cell(t("a7.alignment-range")))
    columns: tuple[str, ...]
    columns = (t("a3.item"), t("a7.applicability"), t("reason"))
    return Table(t("a7.per-item"), columns, tuple(rows), (2, 1.4, 4))


def _rates(record: RunRecord, t: Words) -> Section:
    blocks: list[Block] = [Paragraph(cell(t("a8.about")))]
    rows: list[tuple[Cell, ...]] = []
    for key, known in sorted(record.rates.items()):
        method, version, stratum = _split(key)
        anchor = rate_anchor(method, version, stratum)
        name = Cell(f"{method} {version}", "strong", link=method_anchor(method, version),
                    anchor=anchor)  # fmt: skip
        if isinstance(known, ErrorRate):
            rows.append((
                name, Cell(stratum or "–", "quote"),
                cell(rate_text(known.false_positive, t)), cell(rate_text(known.miss, t)),
                Cell(_basis(record.rows, method, version, known, t), "quote"),
            ))  # fmt: skip
        else:
            rows.append((name, Cell(stratum or "–", "quote"), cell(t("rate.unknown")),
                         cell(t("rate.unknown")),
                         Cell(_why_unknown(known, stratum), "quote")))  # fmt: skip
    columns: tuple[str, ...]
    columns = (t("a8.method"), t("a8.stratum"), t("a8.false-positive"), t("a8.miss"), t("a8.basis"))
    if rows:
        blocks.append(Table(t("a8.caption"), columns, tuple(rows), (1.6, 1.6, 2.2, 2.2, 3.4)))
    unmet = [k for k, v in sorted(record.rates.items()) if not isinstance(v, ErrorRate)]
    blocks.append(Heading(t("a8.not-validated")))
    if unmet:
        blocks.append(Bullets(tuple(Cell(key.removesuffix(" []"), "quote") for key in unmet)))
    else:
        blocks.append(Paragraph(cell(t("a8.all-validated"))))
    shown = {key for key, known in record.rates.items() if isinstance(known, ErrorRate)}
    others = [r for r in record.rows if rate_key(r.method, r.version, r.stratum) not in shown]
    if others:
        more = tuple(
            (Cell(f"{r.method} {r.version}", "quote"), Cell(r.stratum or "–", "quote"),
             cell(f"TP {r.true_positives}, FN {r.false_negatives}, FP {r.false_positives}"),
             Cell("; ".join(filter(None, (r.dataset, r.measured, r.note))), "quote"))
            for r in others
        )  # fmt: skip
        columns = (t("a8.method"), t("a8.stratum"), t("a8.counts"), t("a8.basis"))
        blocks.append(Table(t("a8.others"), columns, more))
    return Section("A8", t("title.a8"), "O", tuple(blocks), wide=True)


def _why_unknown(known: Uncalibrated, stratum: str) -> str:
    """Why there is no rate; what each finding's several levels are known for stands beside it."""
    return known.reason.partition(": ")[0] if stratum == MERGED else known.reason


def _split(key: str) -> tuple[str, str, str]:
    head, _, stratum = key.partition(" [")
    method, version = head.rsplit(" ", 1)
    return method, version, stratum[:-1]


def _basis(
    rows: tuple[Row, ...], method: str, version: str, known: ErrorRate, t: Words
) -> str:
    """The counts behind a rate, whose they are, and what was remarked about them.

    A row counts only if it gives this very rate: what the table says today may be another one.
    """
    same = [row for row in rows if measure_row(row) == known]
    same.sort(key=lambda row: (row.method, row.version) != (method, version))
    told = [t("a8.row-gone")]
    if same:
        row = same[0]
        negatives = f"{row.negatives:g} h" if row.per_hour else f"{row.negatives:g}"
        told = [t("a8.row", tp=row.true_positives, fn=row.false_negatives,
                  fp=row.false_positives, negatives=negatives)]  # fmt: skip
        if (row.method, row.version) != (method, version):
            told.insert(0, t("a8.row-of", method=row.method, version=row.version))
    told += [known.dataset, f"n = {known.independent}", known.measured]
    told += [row.note for row in same[:1] if row.note]
    return "; ".join([*told, f"SHA-256 {known.dataset_digest[:16]}…"])


def _weaknesses(record: RunRecord, t: Words) -> Section:
    rows = []
    for method in record.methods:
        link = method_anchor(method.name, method.version)
        if not method.weaknesses:
            rows.append((Cell(method.name, link=link), Cell(t("a9.unknown"), "missing"),
                         cell("–"), cell("–")))  # fmt: skip
        for part in _sentences(method.weaknesses):
            classes = "; ".join(c.strip() for c in _CLASS.findall(part)) or t("a9.no-class")
            text = re.sub(r"\s+([.,;:])", r"\1", " ".join(_CLASS.sub("", part).split()))
            rows.append((Cell(method.name, link=link), Cell(text, "quote"), cell(classes),
                         cell(t("a9.residual"))))  # fmt: skip
    columns: tuple[str, ...]
    columns = (t("a8.method"), t("a9.weakness"), t("a9.class"), t("a9.mitigation"))
    blocks: list[Block] = [Paragraph(cell(t("a9.about")))]
    if rows:
        blocks.append(Table(t("a9.caption"), columns, tuple(rows), (1.4, 5, 1.6, 2)))
    blocks.append(Heading(t("a9.examiner")))
    said = record.engagement.limitations
    blocks.append(
        Bullets(tuple(Cell(s, "engagement") for s in said)) if said else Paragraph(given("", t))
    )
    return Section("A9", t("title.a9"), "O/E", tuple(blocks))


def _sentences(text: str) -> list[str]:
    """Paragraphs or list items of a docstring section, unwrapped."""
    parts = re.split(r"\n\s*\n|\n\s*[-*]\s+", "\n" + text)
    return [" ".join(part.split()).lstrip("*- ") for part in parts if part.strip()]
