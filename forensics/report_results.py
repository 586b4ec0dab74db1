"""Sections A10 to A12: what was found and what was not, on which clock, and what is visible."""

from __future__ import annotations

from forensics.edits_merge import MERGED
from forensics.model import (
    Alignment,
    Finding,
    Keyframe,
    PairEvidence,
    Quantity,
    Sighting,
    Uncalibrated,
    VehicleSighting,
)
from forensics.report_document import (
    Block,
    Bullets,
    Cell,
    Drawing,
    Facts,
    Heading,
    Paragraph,
    Section,
    Sheet,
    Table,
    cell,
)
from forensics.report_figures import Prints, draw_timeline_svg
from forensics.report_findings import (
    alternatives,
    describe,
    quantity,
    short_rate,
    spoken_values,
    when,
)
from forensics.report_methods import method_anchor, rate_anchor
from forensics.report_received import given
from forensics.report_record import ExaminationRecord, RunRecord, stratum_of
from forensics.report_words import Words

__all__ = ["result_sections"]

_SHEET = 48


def result_sections(record: RunRecord, t: Words, prints: Prints) -> list[Section]:
    """A10 to A12."""
    return [_results(record, t, prints), _alignment(record, t), _visible(record, t, prints)]


def _items(record: RunRecord, known: ExaminationRecord, t: Words) -> str:
    inputs = known.examination.origin.inputs
    names = [record.names.get(d, d[:12]) for d in inputs]
    return names[0] if len(names) == 1 else t("a10.several", names=", ".join(names))


def _review(record: RunRecord, identity: str, t: Words) -> Cell:
    for review in record.engagement.reviews:
        if len(review.finding) >= 12 and identity.startswith(review.finding):
            said = f"{t.of('review', review.decision)}: {review.reason}"
            return Cell(said + (f" ({review.by})" if review.by else ""), "engagement")
    return Cell(t("not-supplied"), "missing")


def _rows(record: RunRecord, known: ExaminationRecord, t: Words) -> list[tuple[Cell, ...]]:
    exam = known.examination
    origin = exam.origin
    place = method_anchor(origin.method, origin.version)
    method = Cell(f"{origin.method} {origin.version}", link=place)
    item = Cell(_items(record, known, t), "quote")
    alignment = record.alignments[-1] if record.alignments else None
    coverage = exam.coverage
    seen = str(coverage.span) if coverage.span is not None else t("a10.no-coverage")
    looked = t("a10.coverage", span=seen, n=coverage.units_seen, unit=t.of("unit", coverage.unit),
               failures=coverage.decode_failures)  # fmt: skip
    # A level that could not look at all is named in the reason; here it would stand twice.
    named = [
        "{} level not examined ({})".format(*h.reason.split(": ", 1)) if ": " in h.reason else ""
        for h in coverage.not_testable
    ]
    holes = "; ".join(
        f"{h.span}: {h.reason}" for h, said in zip(coverage.not_testable, named, strict=True)
        if not said or said not in exam.reason
    )  # fmt: skip
    measured = "; ".join(f"{k.replace('_', ' ')}: {v}" for k, v in exam.measures.items())
    outcome = t.of("outcome", exam.outcome)
    if exam.findings:
        outcome += f" ({len(exam.findings)})"
    stratum = stratum_of(exam.error_rate)
    rows: list[tuple[Cell, ...]] = [(
        Cell(t("a10.line", n=known.seq), "code", anchor=f"examination-{known.seq}"), item, method,
        cell(looked), Cell(outcome, "strong"),
        Cell("; ".join(p for p in (exam.reason, measured, holes) if p) or "–", "quote"),
        Cell(short_rate(exam.error_rate, t),
             link=rate_anchor(origin.method, origin.version, stratum)), cell("–"),
    )]  # fmt: skip
    for number, (finding, identity) in enumerate(zip(exam, known.ids, strict=True)):
        observed = finding.observation
        note = f" {observed.note}" if observed.note else ""
        # Two findings alike in everything are one place; a name may stand only once.
        first = identity not in known.ids[:number]
        digest = origin.inputs[0] if len(origin.inputs) == 1 else ""
        condition = stratum_of(finding.error_rate, observed.stratum)
        rows.append((
            Cell(identity[:12], "code", anchor=f"finding-{identity}" if first else ""),
            item, method,
            cell(when(finding, digest, alignment, t)),
            Cell(describe(observed.what, t, record.names), "quote"),
            Cell(f"{spoken_values(observed, t)}.{note}\n{t('a10.alternatives')}: "
                 f"{alternatives(observed.what, t)}", "quote"),
            Cell(_rate(finding, t), link=rate_anchor(origin.method, origin.version, condition)),
            _review(record, identity, t),
        ))  # fmt: skip
    return rows


def _rate(finding: Finding, t: Words) -> str:
    """The finding's error rate; of what several levels show together, that of each of them."""
    known = finding.error_rate
    if isinstance(known, Uncalibrated) and finding.observation.stratum == MERGED:
        return known.reason
    return short_rate(known, t)


def _results(record: RunRecord, t: Words, prints: Prints) -> Section:
    blocks: list[Block] = [Paragraph(cell(t("a10.about")))]
    svg = draw_timeline_svg(record, t)
    aligned = bool(record.alignments)
    caption = t("figure.timeline" if aligned else "figure.own-clocks")
    blocks.append(Drawing(svg, t("figure.timeline-alt", n=len(record.items)), caption))
    if record.verdicts:
        blocks += [Heading(t("a10.claims")), Paragraph(cell(t("a10.claims-about")))]
        known = {identity for x in record.examinations for identity in x.ids}
        rows = tuple(
            (
                Cell(f"“{v.claim.text}” ({v.claim.source})", "quote"),
                Cell(t.of("claim", v.outcome), "strong"),
                cell(quantity(v.margin, t)), Cell(v.reason, "quote"),
                _finding_links(v.for_, known), _finding_links(v.against, known),
            )
            for v in record.verdicts
        )  # fmt: skip
        columns: tuple[str, ...]
        columns = (t("a10.claim"), t("a10.outcome"), t("a10.margin"), t("reason"), t("a10.for"),
                   t("a10.against"))  # fmt: skip
        blocks.append(Table("", columns, rows, (3, 1.2, 2, 3, 1.3, 1.3)))
    table: list[tuple[Cell, ...]] = []
    for item in record.items:
        if item.failure is not None:
            failure = item.failure
            table.append((
                cell("–"), Cell(item.name, "quote"), cell(t("a10.opening")), cell("–"),
                Cell(t("outcome.failed"), "strong"),
                Cell(f"{failure.error}: {failure.message}", "quote"), cell("–"), cell("–"),
            ))  # fmt: skip
    current = [x for x in record.examinations if not x.superseded]
    for known_exam in current:
        table += _rows(record, known_exam, t)
    columns = (t("a10.finding"), t("a3.item"), t("a8.method"), t("a10.when"), t("a10.seen"),
               t("a10.values"), t("a10.rate"), t("a10.review"))  # fmt: skip
    blocks += [Heading(t("a10.all")), Paragraph(cell(t("a10.absences")))]
    if table:
        blocks.append(
            Table(t("a10.caption"), columns, tuple(table), (1.25, 1.1, 1.3, 2, 2.6, 3.3, 1.9, 1.2))
        )
    else:
        blocks.append(Paragraph(cell(t("a10.nothing"))))
    blocks += [Heading(t("a10.pictures")), Paragraph(cell(t("a10.pictures-about")))]
    sheets = [s for x in current for s in _sheets(record, x, t, prints)]
    blocks += sheets or [Paragraph(cell(t("a10.no-pictures")))]
    return Section("A10", t("title.a10"), "O/E", tuple(blocks), wide=True)


def _finding_links(ids: tuple[str, ...], known: set[str]) -> Cell:
    if not ids:
        return cell("–")
    first = next((i for i in ids if i in known), "")
    more = f" +{len(ids) - 1}" if len(ids) > 1 else ""
    return Cell(ids[0][:12] + more, "code", link=f"finding-{first}" if first else "")


def _sheets(
    record: RunRecord, known: ExaminationRecord, t: Words, prints: Prints
) -> list[Block]:
    exam = known.examination
    figures = []
    for finding, identity in zip(exam, known.ids, strict=True):
        seen = finding.observation
        for artefact in seen.artefacts:
            time = when(finding, "", None, t)
            shown = prints.figure(artefact, f"{identity[:12]} · {time}", what=seen.what)
            if shown is not None:
                figures.append(shown)
    for artefact in exam.artefacts:
        shown = prints.figure(artefact, artefact.label)
        if shown is not None:
            figures.append(shown)
    if not figures:
        return []
    keyframes = any(isinstance(f.observation.what, Keyframe) for f in exam)
    key = "a10.contact" if keyframes else "a10.evidence"
    caption = t(key, item=_items(record, known, t), method=exam.origin.method)
    starts = range(0, len(figures), _SHEET)
    return [Sheet(caption, tuple(figures[start : start + _SHEET])) for start in starts]


def _alignment(record: RunRecord, t: Words) -> Section:
    blocks: list[Block] = [Paragraph(cell(t("a11.about")))]
    if not record.alignments:
        blocks.append(Paragraph(cell(t("a11.none"))))
        return Section("A11", t("title.a11"), "O", tuple(blocks))
    alignment, names = record.alignments[-1], record.names
    blocks.append(Facts((
        (t("a11.reference"), Cell(names.get(alignment.reference, alignment.reference), "quote")),
        (t("a8.method"), Cell(f"{alignment.origin.method} {alignment.origin.version}",
                              link=method_anchor(alignment.origin.method,
                                                 alignment.origin.version))),
        (t("a10.rate"), cell(short_rate(alignment.error_rate, t))),
        (t("a11.components"), Cell("; ".join(
            "{" + ", ".join(names.get(d, d[:12]) for d in c) + "}" for c in alignment.components
        ), "quote")),
        (t("a11.closure"), cell(_closure(alignment, t))),
        (t("a11.wall"), _anchors(record, t)),
    )))  # fmt: skip
    rows = tuple(
        (Cell(names.get(p.clip, p.clip[:12]), "quote"), cell(quantity(p.offset, t)),
         cell(quantity(p.drift_ppm, t)),
         cell(t.maybe("basis", p.basis)),
         Cell("; ".join(names.get(s, s) for s in p.support) or "–", "quote"),
         cell(p.component))
        for p in alignment.placements
    )  # fmt: skip
    columns: tuple[str, ...]
    columns = (t("a3.item"), t("a11.offset"), t("a11.drift"), t("a11.basis"), t("a11.support"),
               t("a11.component"))  # fmt: skip
    blocks.append(Table(t("a11.placements"), columns, rows, (1.5, 2.4, 2.2, 1, 2.5, 0.8)))
    if alignment.unplaced:
        left = tuple(
            (Cell(names.get(u.clip, u.clip[:12]), "quote"),
             Cell(t.of("outcome", u.outcome), "strong"), Cell(u.reason, "quote"))
            for u in alignment.unplaced
        )  # fmt: skip
        blocks.append(
            Table(t("a11.unplaced"), (t("a3.item"), t("a10.outcome"), t("reason")), left, (1, 1, 4))
        )
    pairs = tuple(_pair(p, names, t) for p in alignment.pairs)
    columns = (t("a11.pair"), t("a11.basis"), t("a11.offset"), t("a11.score"), t("a11.false-join"),
               t("a11.residual"), t("a11.rivals"), t("a11.accepted"), t("a11.note"))  # fmt: skip
    if pairs:
        blocks.append(Table(t("a11.pairs"), columns, pairs,
                            (1.5, 0.8, 1.9, 0.7, 1.4, 0.8, 1.3, 0.9, 4.2)))  # fmt: skip
    if alignment.warnings:
        blocks.append(Bullets(tuple(Cell(w, "quote") for w in alignment.warnings)))
    return Section("A11", t("title.a11"), "O", tuple(blocks), wide=True)


def _pair(pair: PairEvidence, names: dict[str, str], t: Words) -> tuple[Cell, ...]:
    both = f"{names.get(pair.first, pair.first[:12])} → {names.get(pair.second, pair.second[:12])}"
    residual = "–" if pair.residual_s is None else f"{pair.residual_s * 1000:.2f} ms"
    measured = "; ".join(f"{k.replace('_', ' ')}: {v}" for k, v in pair.measures.items())
    return (
        Cell(both, "quote"), cell(t.maybe("basis", pair.basis)), cell(quantity(pair.offset, t)),
        cell(f"{pair.score:.4g}"), cell(quantity(pair.false_join, t)), cell(residual),
        cell("; ".join(str(r) for r in pair.rivals[:3]) or "–"),
        cell(t("yes") if pair.accepted else t("no")),
        Cell("; ".join(p for p in (pair.note, measured) if p) or "–", "quote"),
    )  # fmt: skip


def _closure(alignment: Alignment, t: Words) -> str:
    residuals = [abs(p.residual_s) for p in alignment.pairs
                 if p.accepted and p.residual_s is not None]  # fmt: skip
    if not residuals:
        return t("a11.no-closure")
    return t("a11.closure-is", n=len(residuals), worst=f"{max(residuals) * 1000:.2f}")


def _anchors(record: RunRecord, t: Words) -> Cell:
    anchors = record.plan.get("anchors") or ()
    if not anchors:
        return cell(t("a11.no-anchor"))
    said = [
        f"{a['clip']}: {Quantity(a['offset_s'], 's', a['offset_s'] - a['uncertainty_s'], a['offset_s'] + a['uncertainty_s'])} ({a['source']})"  # noqa: E501
        for a in anchors
    ]
    return Cell("; ".join(said), "quote")


def _visible(record: RunRecord, t: Words, prints: Prints) -> Section:
    blocks: list[Block] = [Paragraph(cell(t("a12.about")))]
    blocks.append(
        Paragraph(cell(t("a12.masked", n=record.masked) if record.masked else t("a12.none-masked")))
    )
    blocks.append(Paragraph(cell(t("a12.open" if prints.unredacted else "a12.covered"))))
    rows: list[tuple[Cell, ...]] = []
    compared: list[tuple[Cell, ...]] = []
    sources = {r.reference: r for r in record.engagement.references}
    for known in record.examinations:
        if known.superseded:
            continue
        for finding, identity in zip(known.examination, known.ids, strict=True):
            what = finding.observation.what
            if not isinstance(what, Sighting | VehicleSighting):
                continue
            box = what.box
            extra = "; ".join(f"{k}: {v}" for k, v in what.attributes.items())
            link = Cell(identity[:12], "code", link=f"finding-{identity}")
            rows.append((
                link, Cell(_items(record, known, t), "quote"),
                Cell(describe(what, t, record.names), "quote"),
                cell(f"{box.width:.0f} × {box.height:.0f} px"),
                Cell(extra or finding.observation.note or t("none"), "quote"),
            ))  # fmt: skip
            candidates = what.candidates if isinstance(what, Sighting) else ()
            if isinstance(what, Sighting) and not candidates:
                none = t("a12.no-reference", kind=t.maybe("marking", what.kind))
                compared.append((link, cell(none), *(cell("–") for _ in range(4))))
            for rank, candidate in enumerate(candidates[:2], start=1):
                note = sources.get(candidate.entry)
                origin = (
                    Cell("; ".join(p for p in (note.source, note.date, note.licence) if p),
                         "engagement") if note else Cell(t("not-supplied"), "missing")
                )  # fmt: skip
                like = t("a12.look-alike") if candidate.look_alike else ""
                compared.append((
                    link, Cell(f"{rank}. {candidate.entry} {like}".strip(), "quote"),
                    cell(f"{candidate.score:.3g}"), origin,
                    Cell("; ".join(candidate.similarities) or "–", "quote"),
                    Cell("; ".join(candidate.differences) or "–", "quote"),
                ))  # fmt: skip
    columns: tuple[str, ...]
    columns = (t("a10.finding"), t("a3.item"), t("a12.seen"), t("a12.size"), t("a12.conditions"))
    if rows:
        blocks.append(Table(t("a12.visible"), columns, tuple(rows), (1.2, 1.2, 4, 1.3, 3)))
    else:
        blocks.append(Paragraph(cell(t("a12.none"))))
    if compared:
        columns = (t("a10.finding"), t("a12.reference"), t("a12.score"), t("a12.source"),
                   t("a12.similar"), t("a12.different"))  # fmt: skip
        blocks.append(
            Table(t("a12.compared"), columns, tuple(compared), (1.2, 2.4, 0.8, 2, 2.4, 2.4))
        )
    if not record.engagement.references:
        blocks.append(Paragraph(given("", t)))
    return Section("A12", t("title.a12"), "O/E", tuple(blocks), wide=True)
