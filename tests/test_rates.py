"""Each error rate that ships can be counted again from what the benchmarks left behind.

The table is filled by `forensics calibrate` from rows the benchmarks wrote. Here the counts of
every row are made anew from the results beside them, by other code; a row that nothing here can
derive fails, so that a new one brings its derivation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from forensics import calibration, provenance
from forensics.report_record import load_methods

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
ROWS = calibration.read_table()

#: Hits, things to find, false ones, and among how many (items, or hours).
Counts = tuple[int, int, int, float]


@cache
def result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def pictures(stratum: str) -> Counts:
    # The place is worth more if no rule was made on it; of some kinds there are none such.
    found = result("pictures")
    kind = {"deletion": "delete"}.get(stratum, stratum)
    mine = [r for r in found["recall"] if r["edit"].split()[0] == kind
            and r["displacement"] != "nothing moved"]  # fmt: skip
    new = [r for r in mine if r["places"] == "new"]
    mine = new or [r for r in mine if r["places"] == "seen before"]
    views = [r for r in found["alarms"] if r["views"].endswith(", all encodings")
             and not r["views"].startswith("moving camera")]  # fmt: skip
    named = [r for r in views if r["kind"] in (stratum, "cover-up or loop")]
    alarms = sum(r["alarms"] for r in views if r["kind"] == stratum)
    if stratum in ("cover-up", "loop"):
        # The table of alarms has the two together; the list says which.
        alarms = sum(stratum in map(str, row) for row in found["listed_alarms"]
                     if not str(row[0]).startswith("lanes"))  # fmt: skip
        assert alarms <= sum(r["alarms"] for r in named)
    hours = sum(r["hours"] for r in views if r["kind"] == "deletion")
    return sum(r["found"] for r in mine), sum(r["made"] for r in mine), alarms, hours


def clock(stratum: str, read: bool) -> Counts:
    sets, way = result("clock")["results"], stratum.removeprefix("box ")
    fresh, both = sets["fresh"], sets["fresh"] + sets["untouched"]

    def total(rows: Iterable[Any], key: str) -> int:
        return sum(row[way][key] for row in rows)

    if read:
        right, said = total(both, "right"), total(both, "read")
        return right, total(both, "seconds"), said - right, said
    hours = result("clock")["hours"]
    return (total(fresh, "hits"), total(fresh, "breaks"), total(both, "false"),
            hours["fresh"] + hours["untouched"])  # fmt: skip


def one_a_source(rows: Iterable[Any]) -> list[Any]:
    grouped: dict[str, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row["source"], []).append(row)
    drawn = {name: int(hashlib.sha256(name.encode()).hexdigest(), 16) for name in grouped}
    return [group[drawn[name] % len(group)] for name, group in grouped.items()]


def of_sources(rows: Iterable[Any], wrong: Callable[[Any], Any]) -> tuple[int, int]:
    bad: dict[str, bool] = {}
    for row in rows:
        bad[row["source"]] = bad.get(row["source"], False) or bool(wrong(row))
    return sum(bad.values()), len(bad)


def bytes_say(stratum: str) -> Counts:
    found = result("bytes")
    rows, sound = found["copy"]["rows"], found["sound"]["rows"]
    clean = [r for r in rows if r["edit"].startswith(("untouched", "remuxed"))]
    cut = [r for r in rows if "removed" in r["edit"]]
    alternate = [r for r in cut if "ids alternate" in r["recipe"]]
    asked: dict[str, tuple[list[Any], Callable[[Any], Any], list[Any], Callable[[Any], Any]]] = {
        "stream-copy, ids counting": (
            [r for r in cut if "ids count" in r["recipe"]], lambda r: r["located"],
            clean, lambda r: r["alarms"]),
        "stream-copy, ids": (alternate, lambda r: r["located"], clean, lambda r: r["alarms"]),
        "stream-copy, other signs": (
            [r for r in cut if "ids" not in r["recipe"]], lambda r: r["located"],
            clean, lambda r: r["alarms"]),
        "stamps": (
            [r for r in alternate if "gap" in r["edit"] and r["edit"][0] == "2"],
            lambda r: r["located"], clean, lambda r: "pts-gap" in r["kinds"]),
        "in-band sets": (
            [r for r in alternate if "joined" in r["edit"]],
            lambda r: "parameter-set-change" in r["kinds"],
            clean, lambda r: "parameter-set-change" in r["kinds"]),
        "stamps, pictures and sound": (
            [r for r in sound if "joined" in r["edit"]], lambda r: r["located"],
            [r for r in sound if "removed" not in r["edit"]], lambda r: r["alarms"]),
        "edit-list": (
            [r for r in rows if r["edit"] == "head trim"],
            lambda r: r["located"] and r["recovered_all"],
            [*clean, *(r for r in rows if r["edit"] == "pre-roll")], lambda r: r["alarms"]),
    }  # fmt: skip
    made, hit, calm, wrong = asked[stratum]
    picked = one_a_source(made)
    return sum(bool(hit(r)) for r in picked), len(picked), *of_sources(calm, wrong)


def phase(stratum: str) -> Counts:
    double, plain = stratum.startswith("double, "), stratum.removeprefix("double, ")
    pixels = "both_" if plain == "changed pixels" else ""
    recipes = {
        "no B-frames": ("x264 crf 23, no B", "x264 crf 28, no B", "mpeg4 q5", "openh264"),
        "B-frames": ("x264 crf 23, B", "x265 crf 26"),
        "changed pixels": ("x264 crf 23, B", "x265 crf 26"),
    }[plain]
    rows = [r for r in result("bytes")["phase"]["rows"] if r["recipe"] in recipes]
    if double:
        key = "pixel_double" if pixels else "double"
        picked = one_a_source(r for r in rows if r["edit"] == "double, still")
        calm = [r for r in rows if r["edit"] == "single, still"]
        return sum(bool(r[key]) for r in picked), len(picked), *of_sources(calm, lambda r: r[key])
    picked = one_a_source(r for r in rows if r["edit"] == "cut, still")
    calm = [r for r in rows if r["edit"].startswith(("single", "double", "older"))]
    hits = sum(bool(r[pixels + "located"]) for r in picked)
    return hits, len(picked), *of_sources(calm, lambda r: r[pixels + "breaks"])


def aligned(stratum: str) -> Counts:
    parts = [result("alignment")[n] for n in ([stratum] if stratum else ["simple", "hard"])]
    rows = [r for part in parts for r in part["rows"]]
    far = [part["strangers_joined"] for part in parts]
    return (sum(bool(r["joined"]) and r["clock"] <= 0.25 for r in rows), len(rows),
            sum(round(f["share"] * f["n"]) for f in far), sum(f["n"] for f in far))  # fmt: skip


def offset_breaks(stratum: str) -> Counts:
    found = result("alignment")["incidents"]
    cut = [r for r in found["rows"] if "cut_s" in r]
    if stratum == "two clips":
        false = sum(r["jumps_uncut"] > 0 for r in found["rows"])
        return sum(r["cut_found"] for r in cut), len(cut), false, len(found["rows"])
    return (sum(r["cut_decided"] for r in cut), len(cut), found["uncut_clips_said_to_jump"],
            found["clips"])  # fmt: skip


def acted(stratum: str) -> Counts:
    found = result("activity")
    crossed = found["crossings"]
    if stratum in ("enters", "leaves"):
        one = crossed[stratum]
        return one["hits"], one["n"], one["extra"], crossed["hours reported"]
    if stratum == "stands-still":
        [one] = [v for v in crossed["views"].values() if "stands-still" in v]
        still = one["stands-still"]
        return still["hits"], still["n"], still["extra"], one["seconds"] / 3600
    made = [found[name] for name in ("nights", "fallers", "rain")]
    staged = [found["staged"][name] for name in ("untouched", "cut")]
    nobody = crossed["falls where nobody falls"]
    hours = nobody["hours"] + sum(part["hours"] for part in made)
    whole = [part["all"] for part in made]
    if stratum == "falls":
        own = [row[key] for row in staged for key in row if key.startswith("falls ")]
        return (sum(r["found"] for r in own) + sum(r["falls found"] for r in whole),
                sum(r["n"] for r in own) + sum(r["falling"] for r in whole),
                nobody["falls"] + sum(r["false falls"] for r in whole), hours)  # fmt: skip
    own = [row["runs picture"] for row in staged]
    return (sum(r["found"] for r in own) + sum(r["runs found"] for r in whole),
            sum(r["n"] for r in own) + sum(r["running"] for r in whole),
            sum(r["false"] for r in own) + sum(r["false runs"] for r in whole)
            + crossed["runs where nobody runs"],
            hours + sum(r["hours"] for r in staged))  # fmt: skip


def flashes(_: str) -> Counts:
    found = result("activity")["flashes"]
    return found["hits"], found["n"], found["false"], found["hours"]


def heard(stratum: str) -> Counts:
    level = stratum.split(" dB", maxsplit=1)[0]
    # Of all sets of scenes the latest, which nobody had seen, gives the rates.
    found = result("events")["latest set (unseen)"]
    sums = found["by_level"]["forensics, all counted"][level]
    return sums["tp"], sums["tp"] + sums["fn"], sums["fp"], found["minutes"] / 180


def sounded(stratum: str) -> Counts:
    if stratum == "AAC grid":
        found, first = result("sound_grid"), result("sound_grid")["by_chain"]["WAV"]
    elif stratum == "AAC grid, one channel":
        found = first = result("sound_stereo")
    elif stratum == "copy-move":
        found, first = result("sound_copies"), result("sound_copies")["made"]["WAV"]
        false = found["alarms_by_kind_on_untouched_gain_ridden_and_microphone_switched"]
        return first["found"]["hit"], first["n"], false.get("copy-move", 0), found["hours"]
    elif stratum == "reverberation":
        found, said = result("sound_rooms")["alarms on innocents"], result("sound_rooms")["splices"]
        return said["within_3_s"]["hit"], said["n"], found["alarms"], found["hours"]
    else:
        found = result("sound_mp3")
        cells = [c["exact"] for name, c in found["by_chain"].items() if name.endswith("WAV")]
        return (sum(c["hit"] for c in cells), sum(c["of"] for c in cells), found["alarms"],
                found["hours_untouched"])  # fmt: skip
    return first["exact"]["hit"], first["n"], found["alarms"], found["hours_untouched"]


def hummed(stratum: str) -> Counts:
    if stratum == "lamp flicker":
        found, calm = result("sound_lamp")["by_case"], "alarms where a lamp is followed"
        cells = [found[f"cut, {depth} %"] for depth in (2, 4)]
        false = result("sound_lamp")[calm]
        return (sum(c["found"] for c in cells), sum(c["n"] for c in cells), false["alarms"],
                false["hours"])  # fmt: skip
    found = result("sound_hum")
    levels = {"hum at -15 dB or more": ("0 dB", "-10 dB"), "hum below -25 dB": ("-30 dB",),
              "hum from -25 to -15 dB": ("-20 dB",)}[stratum]  # fmt: skip
    cells = [found[level]["found"] for level in levels]
    false = found["alarms on uncut, hum at -20 dB or more"]
    return (sum(c["hit"] for c in cells), sum(c["of"] for c in cells), false["alarms"],
            false["hours"])  # fmt: skip


def dated(stratum: str) -> Counts:
    if stratum:
        found = result("sound_lamp_dating")
        cells = [found["7 minutes"]]
    else:
        found = result("sound_dating")
        cells = [found["0 dB"], found["-20 dB"]]
    false = found["false matches"]
    return (sum(c["right"] for c in cells), sum(c["n"] for c in cells), false["hit"],
            false["of"])  # fmt: skip


def in_step(_: str) -> Counts:
    cases = result("sync")["half made"]["by_case"]
    moved = [c for name, c in cases.items() if "moved by" in name and "by 0.1 s" not in name]
    alarms = sum(c["alarms"] for c in cases.values())
    return sum(c["found"] for c in moved), sum(c["n"] for c in moved), alarms, float("nan")


def picked(_: str) -> Counts:
    found = result("keyframes")
    cells = [found[name]["as picked"]["covered"] for name in ("busy", "quiet", "shots")]
    blends = found["shots"]["keyframes that show a blend"]
    return (sum(c["events"] for c in cells), round(sum(c["trials"] for c in cells)),
            blends["events"], blends["trials"])  # fmt: skip


def marked(stratum: str) -> Counts:
    found = result("markings")
    if stratum == "vehicle, daylight":
        seen, none = found["vehicles"]["report"]["find_vehicles"], found["vehicles"]
        none = none["frames_without_vehicle"]
        return seen["events"], seen["trials"], none["false_boxes"], none["frames"]
    low, high = {"32-47": (32, 48), "48-75": (48, 76), "76-127": (76, 128)}.get(
        re.sub(r"patch, | px.*", "", stratum), (128, 10_000)
    )
    cells = [c for name, part in found.items() if name.startswith("emblems-")
             and name != "emblems-tune" for c in part["cells"]
             if c["how"] == "crf32" and low <= c["size_px"] < high]  # fmt: skip
    strange = [c[f"{kind}_possible"] for c in cells for kind in ("stranger", "sister")]
    return (sum(c["hit"]["events"] for c in cells), sum(c["hit"]["trials"] for c in cells),
            sum(s["events"] for s in strange), sum(s["trials"] for s in strange))  # fmt: skip


DERIVED: dict[str, Callable[[str], Counts]] = {
    "audio-align": aligned, "audio-offset-breaks": offset_breaks,
    "clock-breaks": lambda s: clock(s, False), "clock-read": lambda s: clock(s, True),
    "container-discontinuities": lambda s: phase(s) if "B-frames" in s else bytes_say(s),
    "container-hidden-frames": bytes_say, "edits": pictures, "edits-gop-phase": phase,
    "flashes-seen": flashes, "hum-phase-breaks": hummed, "hum-reference": dated,
    "insignia-markings": marked, "sound-against-picture": in_step, "sound-continuity": sounded,
    "sound-events": heard, "vehicles": marked, "video-activity": acted,
    "video-discontinuities": pictures, "video-keyframes": picked,
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.method} {r.stratum}".strip())
def test_each_rate_is_counted_again_from_the_results(row: calibration.Row) -> None:
    hits, made, false, among = DERIVED[row.method](row.stratum)
    assert (row.true_positives, row.true_positives + row.false_negatives) == (hits, made)
    assert row.false_positives == false
    # Hours are printed to the second or so in some results; what is not said there is not held.
    assert among != among or row.negatives == pytest.approx(among, abs=2e-3)


def test_a_rate_of_another_version_than_ships_is_never_handed_out() -> None:
    load_methods()
    shipped = {name: spec.version for name, spec in provenance.methods().items()}
    measured = {(row.method, row.version) for row in ROWS}
    for row in ROWS:
        # A method that is gone has no rate either.
        version = shipped[row.method]
        said = calibration.error_rate(row.method, version, row.stratum)
        if (row.method, version) in measured:
            continue
        assert isinstance(said, calibration.Uncalibrated)
        assert said.reason == f"error rate not known: version {version} was not measured"


def test_the_table_is_what_the_benchmarks_wrote() -> None:
    assert calibration.merge_rows(RESULTS) == ROWS
