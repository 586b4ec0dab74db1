"""Sections A0 to A6: which report, who asked whom, what was received, by which machine."""

from __future__ import annotations

import base64
import os

from forensics.errors import printable
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
from forensics.report_findings import clip_facts
from forensics.report_record import ItemRecord, RunRecord
from forensics.report_words import Words

__all__ = ["given", "received_sections"]


def given(text: str, t: Words) -> Cell:
    """What a person filled in, or "not supplied"."""
    return Cell(text, "engagement") if text else Cell(t("not-supplied"), "missing")


def received_sections(record: RunRecord, t: Words) -> list[Section]:
    """A0 to A6."""
    return [
        _identification(record, t), _instructions(record, t), _people(record, t),
        _items(record, t), _custody(record, t), _derivatives(record, t), _environment(record, t),
    ]  # fmt: skip


def _identification(record: RunRecord, t: Words) -> Section:
    note, env = record.engagement.report, record.environment
    commit = env.commit or t("a0.no-commit")
    if env.dirty is not None:
        commit += " " + (t("a0.dirty") if env.dirty else t("a0.clean"))
    rows = (
        (t("a0.id"), Cell(record.report_id, "code")),
        (t("a0.version"), given(note.version, t)),
        (t("a0.amends"), given(note.amends, t)),
        (t("a0.why"), given(note.amends_reason, t)),
        (t("a0.title"), Cell(record.title, "quote")),
        (t("a0.case"), Cell(record.case, "quote") if record.case else given("", t)),
        (t("a0.date"), cell(record.utc or t("none"))),
        (t("a0.library"), cell(f"forensics {env.packages.get('forensics', '?')}")),
        (t("a0.commit"), Cell(commit, "code")),
        (t("a0.ledger"), Cell(record.ledger_head, "code")),
        (t("a0.lines"), cell(record.ledger_lines)),
        (t("a0.plan"), Cell(record.plan_sha256 or t("none"), "code")),
        (t("a0.engagement"), Cell(record.engagement.sha256, "code")
         if record.engagement.sha256 else given("", t)),
        (t("a0.language"), cell(t("language"))),
    )  # fmt: skip
    blocks: list[Block] = [Paragraph(cell(t("a0.about"))), Facts(rows)]
    blocks.append(Paragraph(cell(t("a0.legend"))))
    return Section("A0", t("title.a0"), "O", tuple(blocks))


def _instructions(record: RunRecord, t: Words) -> Section:
    said = record.engagement.instructions
    plates = t("a1.plates-yes") if said.plates_authorised else t("a1.plates-no")
    blocks: list[Block] = [
        Facts((
            (t("a1.requester"), given(said.requester, t)), (t("a1.date"), given(said.date, t)),
            (t("a1.authority"), given(said.authority, t)),
            (t("a1.context"), given(said.context, t)),
            (t("a1.plates"), cell(plates)),
        )),
        Heading(t("a1.questions")), _listed(said.questions, t),
        Heading(t("a1.propositions")),
    ]  # fmt: skip
    pairs = tuple((Cell(p.h1, "engagement"), Cell(p.h2, "engagement")) for p in said.propositions)
    blocks.append(
        Table("", ("H1", "H2"), pairs) if pairs else Paragraph(given("", t))
    )
    blocks += [Heading(t("a1.not-supplied")), _listed(said.not_supplied, t)]
    return Section("A1", t("title.a1"), "E", tuple(blocks))


def _listed(items: tuple[str, ...], t: Words) -> Block:
    if not items:
        return Paragraph(given("", t))
    return Bullets(tuple(Cell(item, "engagement") for item in items))


def _people(record: RunRecord, t: Words) -> Section:
    people = record.engagement.people
    blind = given("", t)
    if people.reviewer_blind is not None:
        blind = Cell(t("yes") if people.reviewer_blind else t("no"), "engagement")
    blocks: list[Block] = [
        Facts((
            (t("a2.examiner"), given(people.examiner, t)),
            (t("a2.qualifications"), given(people.qualifications, t)),
            (t("a2.conflicts"), given(people.conflicts, t)),
            (t("a2.reviewer"), given(people.reviewer, t)), (t("a2.blind"), blind),
            (t("a2.duty"), given(people.duty, t)),
        )),
        Heading(t("a2.steps")),
    ]  # fmt: skip
    steps = tuple((Cell(s.step, "engagement"), Cell(s.who, "engagement")) for s in people.steps)
    columns: tuple[str, ...]
    columns = (t("a2.step"), t("a2.who"))
    blocks.append(Table("", columns, steps) if steps else Paragraph(given("", t)))
    return Section("A2", t("title.a2"), "E", tuple(blocks))


def _name_rows(item: ItemRecord, t: Words) -> list[tuple[str, Cell]]:
    raw = os.fsencode(item.path.name)
    rows = [(t("a3.name"), Cell(printable(item.path.name), "quote"))]
    if printable(item.path.name).encode() != raw:
        rows.append((t("a3.raw"), Cell(base64.b64encode(raw).decode(), "code")))
    return rows


def _items(record: RunRecord, t: Words) -> Section:
    overview = tuple(
        (
            Cell(item.name, "quote", link=f"item-{number}"),
            cell(f"{item.clip.size}" if item.clip else "–"),
            Cell(item.clip.digest if item.clip else "–", "code"),
            cell(t.of("state", item.state)),
            cell(t("a3.opened") if item.clip else t("a3.failed") if item.failure
                 else t("a3.untouched")),
        )
        for number, item in enumerate(record.items, start=1)
    )  # fmt: skip
    columns: tuple[str, ...]
    columns = (t("a3.item"), t("a3.bytes"), "SHA-256", t("a3.state"), t("a3.outcome"))
    blocks: list[Block] = [Table(t("a3.caption"), columns, overview, (2, 1, 4.5, 1.5, 1.5))]
    for number, item in enumerate(record.items, start=1):
        blocks.append(Heading(f"{number}. {item.name}", anchor=f"item-{number}"))
        blocks.append(Facts(tuple(_item_rows(record, item, t))))
    return Section("A3", t("title.a3"), "O/E", tuple(blocks))


def _item_rows(record: RunRecord, item: ItemRecord, t: Words) -> list[tuple[str, Cell]]:
    rows = _name_rows(item, t)
    if item.note:
        rows.append((t("a3.note"), Cell(item.note, "quote")))
    clip = item.clip
    if clip is not None:
        rows += [
            (t("a3.size"), cell(t("bytes", n=clip.size))),
            ("SHA-256", Cell(clip.digest, "code")),
            ("SHA-512", Cell(item.sha512 or t("a3.not-at-hand"), "code")),
            (t("a3.streams"), Cell(clip_facts(clip), "quote")),
        ]
        for index, digest in item.packet_hashes.items():
            rows.append((t("a3.packets", index=index), Cell(digest, "code")))
        encoder = clip.container.tags.get("encoder") or clip.metadata.get("QuickTime:Encoder", "")
        rows.append((t("a3.encoder"), Cell(encoder, "quote") if encoder else cell(t("none"))))
        failures = "–" if item.decode_failures is None else str(item.decode_failures)
        rows.append((t("a3.failures"), cell(failures)))
        rows.append((t("a3.metadata"), Cell(clip.metadata_status, "quote")))
        for warning in clip.warnings:
            rows.append((t("a3.warning"), Cell(warning, "quote")))
        related = _relations(record, clip.digest)
        none = cell(t("a3.no-copies"))
        rows.append((t("a3.copies"), Cell(related, "quote") if related else none))
        rows.append((t("a3.c2pa"), _c2pa(record, clip.digest, t)))
    elif item.failure is not None:
        rows += [
            (t("a3.failed"), Cell(f"{item.failure.error}: {item.failure.message}", "quote")),
            ("SHA-256", Cell(item.failure.digest or "–", "code")),
        ]
    note = record.engagement.item(item.name)
    rows += [
        (t(f"a3.{key.replace('_', '-')}"), given(getattr(note, key), t))
        for key in ("source", "first_seen", "collector", "capture_time", "clock", "delivery",
                    "condition", "generation", "generation_basis")
    ]  # fmt: skip
    examined = any(
        clip is not None and clip.digest in x.examination.origin.inputs for x in record.examinations
    )
    if not examined or note.not_examined:
        rows.append((t("a3.not-examined"), given(note.not_examined, t)))
    return rows


def _relations(record: RunRecord, digest: str) -> str:
    from forensics.model import Copy

    found = []
    for known in record.examinations:
        for finding in known.examination:
            what = finding.observation.what
            if isinstance(what, Copy) and digest in (*known.examination.origin.inputs, what.other):
                found.append(f"{what.relation} ({known.examination.origin.method})")
    return "; ".join(dict.fromkeys(found))


def _c2pa(record: RunRecord, digest: str, t: Words) -> Cell:
    for line in record.lines:
        if line.kind == "action" and digest in line.inputs and line.what.startswith("C2PA"):
            return Cell(line.what, "quote")
    return cell(t("a3.c2pa-none"))


def _custody(record: RunRecord, t: Words) -> Section:
    blocks: list[Block] = [Paragraph(cell(t("a4.before")))]
    steps = tuple(
        tuple(Cell(v or t("not-supplied"), "engagement" if v else "missing")
              for v in (s.utc, s.clock_source, s.actor, s.action, s.object))
        for s in record.engagement.custody
    )  # fmt: skip
    columns: tuple[str, ...]
    columns = (t("a4.utc"), t("a4.clock"), t("a4.actor"), t("a4.action"), t("a4.object"))
    if steps:
        blocks.append(Table(t("a4.person"), columns, steps))
    else:
        blocks.append(Paragraph(given("", t)))
    rows = tuple(
        (
            cell(line.seq), cell(line.utc), cell(line.actor),
            Cell(f"{t.maybe('line', line.kind)}: {line.what}", "quote"),
            Cell("; ".join(d[:16] for d in line.inputs) or "–", "code"),
            Cell(line.previous[:16], "code"), Cell(line.digest[:16], "code"),
        )
        for line in record.lines
    )  # fmt: skip
    chained = (t("a4.seq"), t("a4.utc"), t("a4.actor"), t("a4.action"), t("a4.object"),
               t("a4.previous"), t("a4.hash"))  # fmt: skip
    blocks.append(Table(t("a4.machine"), chained, rows, (0.6, 2.2, 1.2, 4, 2, 1.6, 1.6)))
    if record.torn_bytes:
        blocks.append(Paragraph(cell(t("a4.torn", n=record.torn_bytes))))
    blocks.append(Paragraph(cell(t("a4.signature-" + ("yes" if record.seal else "no")))))
    return Section("A4", t("title.a4"), "O/E", tuple(blocks), wide=True)


def _derivatives(record: RunRecord, t: Words) -> Section:
    rehashed = [i for i in record.items if i.state == "unchanged"]
    missing = [i for i in record.items if i.state == "not at hand"]
    blocks: list[Block] = [
        Paragraph(cell(t("a5.rehashed", n=len(rehashed), total=len(record.items))))
    ]
    if missing:
        names = ", ".join(i.name for i in missing)
        blocks.append(Paragraph(Cell(t("a5.missing", names=names), "quote")))
    seen: dict[str, tuple[Cell, ...]] = {}
    for known in record.examinations:
        exam = known.examination
        for artefact in (*exam.artefacts, *(a for f in exam for a in f.observation.artefacts)):
            seen.setdefault(artefact.digest, (
                Cell(artefact.digest, "code"), Cell(artefact.label, "quote"),
                Cell("; ".join(d[:12] for d in exam.origin.inputs), "code"),
                cell(exam.origin.method), cell(artefact.media_type),
                cell(t("a5.lossless") if artefact.media_type in
                     ("image/png", "text/csv", "application/json", "audio/wav")
                     else t("a5.lossy")),
            ))  # fmt: skip
    columns: tuple[str, ...]
    columns = (t("a5.output"), t("a5.label"), t("a5.parent"), t("a5.operation"), t("a5.kind"),
               t("a5.loss"))  # fmt: skip
    if seen:
        table = Table(t("a5.caption"), columns, tuple(seen.values()), (4, 3, 1.8, 1.8, 1.4, 1.2))
        blocks.append(table)
    else:
        blocks.append(Paragraph(cell(t("a5.none"))))
    others = tuple(
        (Cell(d.sha256 or "–", "code"), Cell(d.output, "engagement"), Cell(d.parent, "engagement"),
         Cell(f"{d.operation} {d.parameters}".strip(), "engagement"), cell("–"),
         given("" if d.lossless is None else t("a5.lossless" if d.lossless else "a5.lossy"), t))
        for d in record.engagement.derivatives
    )  # fmt: skip
    if others:
        blocks.append(Table(t("a5.outside"), columns, others))
    blocks.append(Paragraph(cell(t("a5.prints"))))
    return Section("A5", t("title.a5"), "O/E", tuple(blocks), wide=True)


def _environment(record: RunRecord, t: Words) -> Section:
    env = record.environment
    threads = "; ".join(f"{k}={v}" for k, v in env.threads.items()) or t("a6.threads-free")
    seeds = sorted(
        {f"{x.examination.origin.method}: {x.examination.origin.seed}" for x in record.examinations
         if x.examination.origin.seed is not None}
    )  # fmt: skip
    recorded = sorted(
        {f"{k} {v}" for x in record.examinations for k, v in x.examination.origin.software.items()}
    )
    facts = Facts((
        (t("a6.system"), cell(env.system)), (t("a6.kernel"), cell(env.kernel)),
        (t("a6.cpu"), cell(f"{env.processor}; {env.cpus}")), ("Python", cell(env.python)),
        (t("a6.locale"), cell(env.locale)), (t("a6.zone"), cell(env.time_zone)),
        (t("a6.threads"), cell(threads)),
        (t("a6.seeds"), cell("; ".join(seeds) or t("a6.seeds-none"))),
        (t("a6.network"), cell(t("a6.network-off"))),
        (t("a6.recorded"), cell("; ".join(recorded) or t("none"))),
    ))  # fmt: skip
    packages = tuple(
        (cell(name), cell(version))
        for name, version in (*env.packages.items(),
                              *((f"FFmpeg {k}", v) for k, v in env.ffmpeg_libraries.items()))
    )  # fmt: skip
    programs = tuple(
        (cell(p.name), cell(p.version or p.missing), Cell(p.sha256 or "–", "code"))
        for p in env.programs
    )
    models = tuple(
        (cell(m.name), Cell(m.licence or t("none"), "quote"), Cell(m.sha256, "code"))
        for m in env.models
    )
    blocks: list[Block] = [
        facts, Table(t("a6.packages"), (t("a6.package"), t("a6.version")), packages),
        Table(t("a6.programs"), (t("a6.program"), t("a6.version"), "SHA-256"), programs,
              (1.2, 3.5, 4)),
    ]  # fmt: skip
    if models:
        columns: tuple[str, ...]
        columns = (t("a6.model"), t("a6.licence"), "SHA-256")
        blocks.append(Table(t("a6.models"), columns, models, (2.4, 1.6, 4)))
    return Section("A6", t("title.a6"), "O", tuple(blocks))
