"""How well the bytes alone show cuts, trims, deletions and re-encodings, and what it costs.

    python benchmarks/bytes.py [--work DIR] [--halves report] [--parts copy,phase,cost]

Makes its material from the real recordings in the media folder (see bytes_material.py), judges it
with `forensics.container`, and prints the figures; writes results/bytes.json and the calibration
rows results/rates_container.json. Thresholds were set on the *tune* half of the sources; what is
printed as a result comes from the *report* half. n counts sources, not files.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import re
import resource
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import bytes_material as material
from bytes_material import COPY, MOVING_SOURCES, SOURCES, Made

from forensics import container, edits, open_clip
from forensics.calibration import Row, hourly_rate, item_rate
from forensics.model import Discontinuity, Observation, to_builtins

RESULTS = Path(__file__).resolve().parent / "results"
DATASET = "bytes: encodings, cuts and re-encodings of real clips (shared media), reporting half"


#: Second encodings in which packet sizes fail: the decoded pictures are asked there.
PIXELS = ("x264 crf 23, B", "x265 crf 26", "rescaled 3/4, x264 crf 28, B")
#: Sources that a shorter run leaves out; the record lists those that took part.
left_out: set[str] = set()


def sources_of(half: str) -> list[str]:
    """The sources of one half that take part."""
    return [s for s in SOURCES if material.half(s) == half and s not in left_out]


def remembered(
    work: Path, name: str, measure: Callable[[], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Rows measured once: a broken-off run goes on. A new work folder measures afresh."""
    path = work / f"rows-{name}.json"
    if not path.exists() and "unmeasured" in left_out:
        return []
    if not path.exists():
        rows = measure()
        path.write_text(json.dumps(rows))
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def alarms(made: Made) -> list[Observation]:
    """The alarms `find_discontinuities` raises on a file."""
    exam = container.find_discontinuities(open_clip(made.path, metadata=False))
    if exam.outcome == "failed":
        raise RuntimeError(f"{made.path}: {exam.reason}")
    return [f.observation for f in exam if container.is_alarm(f)]


def kind_of(seen: Observation) -> str:
    """The kind of discontinuity."""
    return seen.what.kind if isinstance(seen.what, Discontinuity) else ""


def length_s(path: Path) -> float:
    """Declared seconds of a file."""
    return float(open_clip(path, metadata=False).duration or 0)


def rate_text(hits: int, total: int) -> str:
    """``hits of total`` with its Clopper-Pearson interval, per cent."""
    if not total:
        return "-"
    rate = item_rate(hits, total)
    share = f"{hits}/{total} = {100 * hits / total:.0f} %"
    return f"{share} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"


# -- stream-copy cuts and trims ---------------------------------------------------------------


def judge_copy(made: Made) -> dict[str, Any]:
    """What the alarms of one file say against what was done to it."""
    seen = alarms(made)
    row: dict[str, Any] = {"source": made.source, "recipe": made.recipe, "edit": made.edit,
                           "alarms": len(seen), "kinds": sorted(map(kind_of, seen)),
                           "seconds": length_s(made.path)}  # fmt: skip
    if made.cut_s is not None:
        reach = 1.05 + (made.removed or 0) / 25
        near = [o for o in seen if o.span is not None and float(o.span.length) <= reach
                and float(o.span.start) - 0.5 <= made.cut_s <= float(o.span.end) + 0.5]  # fmt: skip
        row["located"], row["flagged"] = bool(near), bool(seen)
        also: list[Observation] = []
        if made.second is not None:
            at = made.second[0] / 25
            also = [o for o in seen if o.span is not None and float(o.span.length) <= reach
                    and float(o.span.start) - 0.5 <= at <= float(o.span.end) + 0.5]  # fmt: skip
            row["second_located"] = bool(also)
        row["elsewhere"] = len([o for o in seen if o not in near and o not in also
                                and kind_of(o) != "parameter-set-change"])  # fmt: skip
        counted = [o.what.removed for o in near if isinstance(o.what, Discontinuity)]
        rate = {"frames": 1, "s": 25}
        sizes = [(round(q.value * rate[q.unit]), re.search(r"modulo (\d+) frames", q.note))
                 for q in counted if q is not None and q.unit in rate]  # fmt: skip
        gone = made.removed or 0
        row["frames_right"] = any(
            n == (gone % int(by.group(1)) if by else gone) for n, by in sizes) if sizes else None
    elif made.edit == "head trim":
        exam = container.find_hidden_frames(open_clip(made.path, metadata=False))
        shown = exam.measures.get("hidden_frames")
        tables = [o.artefacts for o in exam.observations]
        row["located"] = shown is not None and int(shown.value) == made.removed
        row["recovered"] = sum(a.media_type == "image/png" for t in tables for a in t)
        row["recovered_all"] = row["recovered"] == made.removed
        row["elsewhere"] = len([o for o in seen if kind_of(o) != "hidden-frames"])
    return row


def copy_part(work: Path, half: str) -> dict[str, Any]:
    """Stream-copy cuts, head trims, and the files that must not alarm."""
    rows: list[dict[str, Any]] = []
    hours = 0.0
    for source in sources_of(half):
        mine = remembered(
            work,
            f"copy-{source}",
            lambda s=source: [judge_copy(made) for made in material.copy_files(work, s)],
        )  # type: ignore[misc]
        rows += mine
        hours += sum(r["seconds"] for r in mine if r["edit"] == "untouched"
                     or r["edit"].startswith("remuxed")) / 3600  # fmt: skip
        print(f"  copy {source}: {len(rows)} files", flush=True)
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        key = f"{row['recipe']} | {row['edit']}"
        names = "n located flagged alarmed elsewhere frames_right frames_said".split()
        cell = table.setdefault(key, dict.fromkeys(names, 0))
        cell["n"] += 1
        cell["located"] += bool(row.get("located"))
        cell["flagged"] += bool(row.get("flagged"))
        cell["alarmed"] += bool(row["alarms"])
        cell["elsewhere"] += row.get("elsewhere", 0)
        if row.get("frames_right") is not None:
            cell["frames_said"] += 1
            cell["frames_right"] += row["frames_right"]
    return {"rows": rows, "table": table, "hours_untouched": hours, "demands": demands(rows)}


def demands(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Hits, files and sources for what is asked of stream-copy edits."""
    even = ("2 GOPs removed, restamped",)

    def said(recipe: str, *edits: str, key: str = "located") -> list[int]:
        return list(cell(rows, lambda r: recipe in r["recipe"] and r["edit"] in edits, key))

    all_cuts = {r["edit"] for r in rows if "GOPs removed" in r["edit"]}
    joined = {e for e in all_cuts if "2 GOPs" in e and "joined" in e}
    two = [r for r in rows if r["edit"].startswith("2 places")]
    return {
        "ids counting, any cut, located": said("ids count", *all_cuts),
        "ids alternating, even GOPs, bare restamp, located": said("ids alternate", *even),
        "ids alternating, even GOPs, joined by FFmpeg, flagged":
            said("ids alternate", *joined, key="flagged"),
        "ids alternating, even GOPs, gap left, located":
            said("ids alternate", "2 GOPs removed, gap"),
        "ids alternating, odd GOPs, located": said(
            "ids alternate", *(e for e in all_cuts if e[0] in "13")),
        "two places, first located": list(cell(two, lambda _: True, "located")),
        "two places, second located": list(cell(two, lambda _: True, "second_located")),
        "head trim, found with the right count": list(
            cell(rows, lambda r: r["edit"] == "head trim", "located")),
        "head trim, every frame recovered": list(
            cell(rows, lambda r: r["edit"] == "head trim", "recovered_all")),
        "pre-roll, files that alarm": list(
            cell(rows, lambda r: r["edit"] == "pre-roll", "alarms")),
    }  # fmt: skip


def cell(rows: Iterable[dict[str, Any]], what: Callable[[dict[str, Any]], bool], key: str) -> tuple[
    int, int, int]:  # fmt: skip
    """Hits, files and independent sources of the rows that `what` picks."""
    picked = [r for r in rows if what(r)]
    return sum(bool(r.get(key)) for r in picked), len(picked), len({r["source"] for r in picked})


def print_copy(found: dict[str, Any]) -> None:
    """The copy part as a table."""
    for key, row in sorted(found["table"].items()):
        edited = "removed" in key or "trim" in key or "places" in key
        hit, word = (row["located"], "located") if edited else (row["alarmed"], "false alarms")
        extra = f", flagged {row['flagged']}" if edited and "trim" not in key else ""
        frames = (f", frames right {row['frames_right']}/{row['frames_said']}"
                  if row["frames_said"] else "")  # fmt: skip
        print(f"  {key:75} {word} {rate_text(hit, row['n'])}{extra}{frames}")
    for key, (hits, files, sources) in found["demands"].items():
        print(f"  {key:60} {rate_text(hits, files)}, {sources} sources")


def sound_part(work: Path, half: str) -> dict[str, Any]:
    """The hardest stream-copy cut again, in files with sound."""
    rows: list[dict[str, Any]] = []
    for source in sources_of(half):
        rows += remembered(
            work, f"sound-{source}",
            lambda s=source: [judge_copy(made) for made in material.sound_files(work, s)],
        )  # type: ignore[misc]  # fmt: skip
    clean = [r for r in rows if r["edit"] == "untouched" or r["edit"].startswith("remuxed")]
    table = {}
    for edit in ("joined by FFmpeg", "restamped"):
        for key in ("located", "flagged"):
            table[f"2 GOPs removed, {edit}, {key}"] = list(
                cell(rows, lambda r, e=edit: e in r["edit"], key))  # type: ignore[misc]
    table["untouched and remuxed, files that alarm"] = list(cell(clean, lambda _: True, "alarms"))
    for name, (hits, files, sources) in table.items():
        print(f"  with sound: {name:45} {rate_text(hits, files)}, {sources} sources")
    return {"rows": rows, "table": table, "hours": sum(r["seconds"] for r in clean) / 3600}


# -- phase breaks and double compression ------------------------------------------------------


def near(breaks: list[Observation], cut: int, gop: int) -> list[Observation]:
    """The breaks within one GOP of a cut (frames of the file, 25 a second)."""
    return [o for o in breaks if o.span is not None
            and float(o.span.start) * 25 - gop <= cut <= float(o.span.end) * 25 + gop]  # fmt: skip


def length_right(breaks: list[Observation], removed: int, gop: int) -> bool:
    """Whether one of the breaks names the removed length modulo the GOP."""
    said = [o.what.removed for o in breaks if isinstance(o.what, Discontinuity)]
    return any(q is not None and int(q.value) == removed % gop for q in said)


def judge_phase(made: Made) -> dict[str, Any]:
    """Findings on one file, from its packets, and from its pictures where it has B-frames."""
    clip = open_clip(made.path, metadata=False)
    exam = container.find_discontinuities(clip)
    gop = container.measure_gop(clip)  # the same numbers the examination rests on
    seen = [f.observation for f in exam if container.is_alarm(f)]
    breaks = [o for o in seen if kind_of(o) == "gop-phase-break"]
    row: dict[str, Any] = {
        "source": made.source, "recipe": made.recipe, "edit": made.edit, "gop": made.gop,
        "double": gop.double, "first_gop": gop.first_gop, "breaks": len(breaks),
        "other": len(seen) - len(breaks), "not_testable": bool(exam.coverage.not_testable),
        "strength": gop.train.strength if gop.train else None, "seconds": float(clip.duration or 0),
    }  # fmt: skip
    pixels: list[Observation] = []
    if made.recipe in PIXELS:
        looked = edits.find_gop_phase_breaks(clip)
        pixels = [o for o in looked.observations if kind_of(o) == "gop-phase-break"]
        # What the sizes show already is left to them.
        older = [o for o in looked.observations if kind_of(o) == "double-compression"]
        row["pixel_double"] = bool(older) or (looked.outcome != "not-applicable" and gop.double)
        row["pixel_gop"] = int(older[0].measures["first_gop"].value) if older else gop.first_gop
        row["pixel_breaks"] = len(pixels)
        row["pixel_outcome"] = looked.outcome
    both = [*breaks, *pixels]
    row["both_breaks"] = len(both)
    if made.cut is not None and made.gop and made.removed:
        for name, some in (("", breaks), ("pixel_", pixels), ("both_", both)):
            close = near(some, made.cut, made.gop)
            row[name + "located"] = bool(close)
            row[name + "length_right"] = length_right(close, made.removed, made.gop)
            if made.second is not None:
                close = near(some, made.second[0], made.gop)
                row[name + "second_located"] = bool(close)
                row[name + "second_length_right"] = length_right(close, made.second[1], made.gop)
    return row


def phase_part(work: Path, half: str) -> dict[str, Any]:
    """Deletions before a re-encoding, and double compression."""
    rows = []
    for still in (True, False):
        for source in sources_of(half):
            if not still and source not in MOVING_SOURCES:
                continue
            rows += remembered(
                work,
                f"phase-{source}-{still}",
                lambda s=source, k=still: [
                    judge_phase(m) for m in material.phase_files(work, s, still=k)
                ],
            )  # type: ignore[misc]
            print(f"  phase {source} {'still' if still else 'moving'}: {len(rows)}", flush=True)
    return {"rows": rows}


def print_phase(found: dict[str, Any]) -> None:
    """The phase part as a table; `found` gets the table as well."""
    rows = found["rows"]
    table: dict[str, dict[str, Any]] = {}
    for scene in ("still", "moving"):
        for recipe in material.SECOND:
            mine = [r for r in rows if r["recipe"] == recipe and r["edit"].endswith(scene)]
            if not mine:
                continue
            by = {k: [r for r in mine if r["edit"].startswith(k)]
                  for k in ("cut", "two", "double", "single", "older")}  # fmt: skip
            line: dict[str, Any] = {}
            for name in ("", "both_") if recipe in PIXELS else ("",):
                cut, two = by["cut"], by["two"]
                line[name + "located"] = [sum(r[name + "located"] for r in cut), len(cut)]
                room = [r for r in cut if material.has_room(r["source"], still=scene == "still")]
                line[name + "located_with_3_older_gops_on_both_sides"] = [
                    sum(r[name + "located"] for r in room), len(room)]
                line[name + "length_right"] = sum(r[name + "length_right"] for r in cut)
                if two:
                    hits = [r[name + p + "located"] for r in two for p in ("", "second_")]
                    line[name + "two_cuts_located"] = [sum(hits), len(hits)]
            key = "pixel_double" if recipe in PIXELS else "double"
            gop = "pixel_gop" if recipe in PIXELS else "first_gop"
            doubled = [r for r in by["double"] if r[key]]
            line["double"] = [len(doubled), len(by["double"])]
            line["double_by_sizes"] = [sum(r["double"] for r in by["double"]), len(by["double"])]
            line["gop_right"] = [sum(r[gop] == r["gop"] for r in doubled), len(doubled)]
            line["single_called_double"] = [sum(r[key] for r in by["single"]), len(by["single"])]
            rest = by["single"] + by["double"]
            line["false_breaks"] = [sum(r["both_breaks"] for r in rest), len(rest)]
            line["older_gop_varied_breaks"] = [sum(bool(r["both_breaks"]) for r in by["older"]),
                                               len(by["older"])]  # fmt: skip
            line["not_testable"] = [sum(r["not_testable"] for r in mine), len(mine)]
            table[f"{scene} | {recipe}"] = line
            print(f"  {scene}, {recipe}")
            for name, value in line.items():
                text = rate_text(*value) if isinstance(value, list) else str(value)
                print(f"    {name.replace('_', ' '):46} {text}")
    found["table"] = table


# -- long untouched files ---------------------------------------------------------------------


def judge_long(made: Made) -> dict[str, Any]:
    """Alarms on one long untouched file."""
    seen = alarms(made)
    return {"source": made.source, "recipe": made.recipe, "edit": made.edit, "alarms": len(seen),
            "kinds": sorted(map(kind_of, seen)), "seconds": length_s(made.path)}  # fmt: skip


def long_part(work: Path, half: str, seconds: int) -> dict[str, Any]:
    """Long untouched files: hours in which nothing may alarm."""
    rows: list[dict[str, Any]] = []
    for source in sources_of(half):
        rows += remembered(
            work, f"long-{source}",
            lambda s=source: [judge_long(material.long_file(work, s, seconds=seconds))],
        )  # type: ignore[misc]  # fmt: skip
    hours = sum(r["seconds"] for r in rows) / 3600
    wrong = sum(r["alarms"] for r in rows)
    rate = hourly_rate(wrong, hours)
    print(f"  long untouched: {wrong} alarms in {hours:.2f} h of {len(rows)} sources, at most "
          f"{rate.high:.1f}/h (95 %)")  # fmt: skip
    return {"rows": rows, "hours": hours, "false_alarms_per_hour": [wrong, hours, rate.low,
                                                                   rate.high]}  # fmt: skip


# -- cost -------------------------------------------------------------------------------------


def _child_cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cost_part(work: Path) -> dict[str, Any]:
    """CPU of demux and headers, and of the whole examination, against a pure decode; same run."""
    found = {}
    for name, source, times in (
        ("720p H.264", "cctv_misc/dvrscan/traffic_camera.mp4", 6),
        ("432p H.264, GOP 10", "cctv_misc/intel/one-by-one-person-detection.mp4", 3),
    ):
        path = work / f"cost-{name.replace(' ', '_').replace(',', '')}.mp4"
        if not path.exists():
            material.run("-stream_loop", str(times - 1), "-i", material.MEDIA / source, "-an",
                         "-c", "copy", path)  # fmt: skip
        clip = open_clip(path, metadata=False)
        container.read_slice_headers(clip)
        decode, headers, whole = [], [], []
        for _ in range(3):
            decode.append(_child_cpu([material.FFMPEG, "-v", "error", "-i", str(path), "-an", "-f",
                                      "null", "-"]))  # fmt: skip
            start = time.process_time()
            table = container.read_slice_headers(clip)
            headers.append(time.process_time() - start)
            start = time.process_time()
            container.find_discontinuities(clip)
            whole.append(time.process_time() - start)
        count = len(table)
        found[name] = {
            "packets": count, "decode_cpu_s": min(decode), "headers_cpu_s": min(headers),
            "examination_cpu_s": min(whole), "headers_ratio": min(headers) / min(decode),
            "examination_ratio": min(whole) / min(decode),
            "packets_per_cpu_s": count / min(headers),
        }  # fmt: skip
    return found


def print_cost(found: dict[str, Any]) -> None:
    """The cost part as a table."""
    for name, row in found.items():
        print(f"  {name}: demux + headers {row['headers_ratio']:.3f} x decode, whole examination "
              f"{row['examination_ratio']:.3f} x; {row['packets_per_cpu_s']:.0f} packets a "
              f"CPU-second")  # fmt: skip


# -- calibration rows -------------------------------------------------------------------------


def _digest(rows: list[dict[str, Any]]) -> str:
    names = sorted({f"{r['source']} {r['recipe']} {r['edit']}" for r in rows})
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def rates(copy: dict[str, Any], phase: dict[str, Any], sound: dict[str, Any]) -> list[Row]:
    """Rows for the error-rate table: one file a source in each stratum, so that n is honest."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    crows, prows = copy["rows"], phase["rows"]
    clean = [r for r in crows if r["edit"] == "untouched" or r["edit"].startswith("remuxed")]

    def one_each(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            grouped[row["source"]].append(row)
        # Which file stands for its source is drawn by the source's name, not by how it came out.
        drawn = {s: int(hashlib.sha256(s.encode()).hexdigest(), 16) for s in grouped}
        return [group[drawn[source] % len(group)] for source, group in grouped.items()]

    def make(stratum: str, hits: list[bool], false: list[bool], digest: str, note: str,
             method: str = "container-discontinuities", version: str = "3") -> Row:  # fmt: skip
        return Row(
            method=method, version=version, stratum=stratum, true_positives=sum(hits),
            false_negatives=len(hits) - sum(hits), false_positives=sum(false),
            negatives=float(len(false)), per_hour=False, dataset=DATASET, dataset_digest=digest,
            independent=len(hits), measured=today, script="benchmarks/bytes.py", note=note,
        )  # fmt: skip

    sources = sorted({r["source"] for r in clean})  # as negatives: any file of a source alarms
    false = [any(r["alarms"] for r in clean if r["source"] == s) for s in sources]
    cut = [r for r in crows if "removed" in r["edit"]]
    made = []
    for stratum, pick, note in (
        ("stream-copy, ids counting", lambda r: "ids count" in r["recipe"],
         "1 to 3 GOPs removed; gap, rewritten stamps, or joined by FFmpeg"),
        ("stream-copy, ids", lambda r: "ids alternate" in r["recipe"],
         "alternating ids: an even number of GOPs with rewritten stamps leaves none"),
        ("stream-copy, other signs", lambda r: "ids" not in r["recipe"],
         "open GOP, variable GOP, H.265, MPEG-4"),
    ):  # fmt: skip
        rows = one_each([r for r in cut if pick(r)])
        if rows:
            hits = [bool(r["located"]) for r in rows]
            made.append(make(stratum, hits, false, _digest(cut), note))
    def alarmed(kind: str) -> list[bool]:
        return [any(kind in r["kinds"] for r in clean if r["source"] == s) for s in sources]

    gaps = one_each([r for r in cut if "gap" in r["edit"] and "ids alternate" in r["recipe"]
                     and r["edit"].startswith("2")])  # fmt: skip
    if gaps:
        made.append(make("stamps", [bool(r["located"]) for r in gaps], alarmed("pts-gap"),
                         _digest(cut), "2 GOPs removed, ids alternating, the gap in time left"))
    joins = one_each([r for r in cut if "joined" in r["edit"] and "ids alternate" in r["recipe"]])
    if joins:
        made.append(make(
            "in-band sets", ["parameter-set-change" in r["kinds"] for r in joins],
            alarmed("parameter-set-change"), _digest(cut),
            "joined by FFmpeg: the file is flagged, the place is not"))  # fmt: skip
    loud = [r for r in sound["rows"] if "joined" in r["edit"]]
    if loud:
        calm = [r for r in sound["rows"] if "removed" not in r["edit"]]
        made.append(make(
            "stamps, pictures and sound", [bool(r["located"]) for r in loud],
            [any(r["alarms"] for r in calm if r["source"] == s)
             for s in sorted({r["source"] for r in calm})], _digest(sound["rows"]),
            "2 GOPs removed, ids alternating, joined by FFmpeg, with sound"))  # fmt: skip
    trims = one_each([r for r in crows if r["edit"] == "head trim"])
    if trims:
        note = "found with the right count; every hidden frame was recovered"
        hits = [bool(r["located"] and r["recovered_all"]) for r in trims]
        begun = [r for r in crows if r["edit"] == "pre-roll"]
        wrong = [any(r["alarms"] for r in [*clean, *begun] if r["source"] == s) for s in sources]
        note += "; false: any alarm on an untouched file or an encoder's pre-roll of 1 to 4 frames"
        made += [make("edit-list", hits, wrong, _digest(trims), note, *method)
                 for method in (("container-discontinuities", "3"),
                                ("container-hidden-frames", "2"))]
    sizes = "container-discontinuities"
    for stratum, recipes, method, version, prefix in (
        ("no B-frames", ("x264 crf 23, no B", "x264 crf 28, no B", "mpeg4 q5", "openh264"), sizes,
         "3", ""),
        ("B-frames", ("x264 crf 23, B", "x265 crf 26"), sizes, "3", ""),
        ("changed pixels", ("x264 crf 23, B", "x265 crf 26"), "edits-gop-phase", "2", "both_"),
    ):  # fmt: skip
        rows = [r for r in prows if r["recipe"] in recipes]
        cuts = one_each([r for r in rows if r["edit"] == "cut, still"])
        rest = [r for r in rows if r["edit"].startswith(("single", "double", "older"))]
        names = sorted({r["source"] for r in rest})
        wrong = [any(r[prefix + "breaks"] for r in rest if r["source"] == s) for s in names]
        if not cuts:
            continue
        made.append(make(
            stratum, [bool(r[prefix + "located"]) for r in cuts], wrong, _digest(rows),
            "deletion in a still scene, older GOP fixed, no rescale; false: any break in any "
            "uncut file of a source, an older GOP that varied among them", method, version,
        ))  # fmt: skip
        key = "pixel_double" if prefix else "double"
        doubles = one_each([r for r in rows if r["edit"] == "double, still"])
        once = [r for r in rows if r["edit"] == "single, still"]
        single = [any(r[key] for r in once if r["source"] == s)
                  for s in sorted({r["source"] for r in once})]  # fmt: skip
        made.append(make(
            f"double, {stratum}", [bool(r[key]) for r in doubles], single, _digest(rows),
            "encoded twice, still scene, older GOP fixed, no rescale; false: any single encoding "
            "of a still scene (a moving one carries what its source went through)", method,
            version))  # fmt: skip
    return made


def record_text(record: dict[str, Any]) -> str:
    """The record as JSON; of the rows each is one line."""
    rows: list[str] = []

    def line(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: [mark(r) for r in v] if k == "rows" else line(v) for k, v in value.items()}
        return value

    def mark(row: dict[str, Any]) -> str:
        rows.append(json.dumps(row, sort_keys=True))
        return f"row {len(rows) - 1}"

    text = json.dumps(line(record), indent=1, sort_keys=True)
    return re.sub(r'"row (\d+)"', lambda found: rows[int(found.group(1))], text) + "\n"


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    usual = Path(tempfile.gettempdir()) / "forensics-bytes"
    parser.add_argument("--work", type=Path, default=usual)
    parser.add_argument("--sources", default=",".join(SOURCES), help="only these, of the half")
    parser.add_argument("--half", choices=("report", "tune"), default="report")
    told = "put together what the work folder holds, measure nothing"
    parser.add_argument("--measured", action="store_true", help=told)
    parser.add_argument("--parts", default="copy,sound,phase,long,cost")
    parser.add_argument("--long-s", type=int, default=600, help="length of a long file")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    chosen = set(asked.sources.split(","))
    for name in [n for n in SOURCES if n not in chosen]:
        left_out.add(name)
    if asked.measured:
        left_out.add("unmeasured")
    asked.work.mkdir(parents=True, exist_ok=True)
    parts = asked.parts.split(",")
    found: dict[str, Any] = {"half": asked.half, "recipes": list(COPY)}
    if "copy" in parts:
        found["copy"] = copy_part(asked.work, asked.half)
        print_copy(found["copy"])
        hours = found["copy"]["hours_untouched"]
        wrong = sum(r["alarms"] for r in found["copy"]["rows"] if r["edit"] == "untouched"
                    or r["edit"].startswith("remuxed"))  # fmt: skip
        rate = hourly_rate(wrong, hours)
        found["copy"]["sources"] = sources_of(asked.half)
        found["copy"]["false_alarms_per_hour"] = [rate.events, hours, rate.low, rate.high]
        print(f"  untouched and remuxed: {wrong} alarms in {hours:.2f} h, at most "
              f"{rate.high:.1f}/h (95 %)")  # fmt: skip
    if "sound" in parts:
        found["sound"] = sound_part(asked.work, asked.half)
    if "phase" in parts:
        found["phase"] = phase_part(asked.work, asked.half)
        print_phase(found["phase"])
        rest = [r for r in found["phase"]["rows"] if r["edit"].startswith(("single", "double"))]
        hours = sum(r["seconds"] for r in rest) / 3600
        found["phase"]["sources"] = sorted({r["source"] for r in rest})
        rate = hourly_rate(sum(r["both_breaks"] for r in rest), hours)
        found["phase"]["false_breaks_per_hour"] = [rate.events, hours, rate.low, rate.high]
        print(f"  false breaks: {rate.events} in {hours:.2f} h, at most {rate.high:.1f}/h (95 %)")
    if "long" in parts:
        found["long"] = long_part(asked.work, asked.half, asked.long_s)
    if "cost" in parts:
        found["cost"] = cost_part(asked.work)
        print_cost(found["cost"])
    if asked.half == "report":
        asked.results.mkdir(exist_ok=True)
        target = asked.results / "bytes.json"
        before = json.loads(target.read_text()) if target.exists() else {}
        merged = before | found
        target.write_text(record_text(merged))
        if "copy" in merged or "phase" in merged:
            none: dict[str, Any] = {"rows": []}
            made = rates(*(merged.get(part, none) for part in ("copy", "phase", "sound")))
            rows = [to_builtins(r) for r in made]
            (asked.results / "rates_container.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
