"""Mains hum and lamps: cuts, what has no hum, dating and its false matches; by source recording.

    python benchmarks/hum.py [--part hum|cuts|again|free|...] [--prompts DIR] [--tune]

Real mains (``FORENSICS_MEDIA``) under real speech, or as the lamp of real footage, cut at known
places. Thresholds were set on the first half of the mains, voices and footage; only the second
half is reported. What has no hum has none by construction: every recording is played 2.5 % faster
or 3.5 % slower, so that the hum which some of them do hold is no longer at a multiple of 50 or 60.
Writes ``benchmarks/results/sound_*.json`` and rows of ``benchmarks/results/rates_sound.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.signal import hilbert, resample_poly

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import hum_dating
import hum_lamps
from hum_cuts import WELL_DEG, WHOLE_DEG, Mains, cut_at, removed_holds, told
from hum_voices import (
    INNOCENT,
    SPEEDS,
    innocent,
    mixed,
    sound_of,
    use_prompts,
    voice,
    voices,
)
from sound_material import AEC, HALVES, MEDIA, SIZE, TODAY, Bench, digest, files_of, share

import forensics
from forensics import calibration, enf, enf_hum, enf_lamp
from forensics.enf_match import Steps, measure_steps
from forensics.model import to_builtins
from forensics.scan_sound import read_sound

RESULTS = ROOT / "benchmarks/results"
LEVELS = (0, -10, -20, -30)
#: Beside those of `HALVES`: reported only, never looked at while the method was made.
MORE_FREE = [
    "audio_multi/bbc/timbl_2.mp3", "audio_multi/bbc/timbl_3.mp3", "audio_multi/bbc/r4_excerpt.ogg",
    *(f"audio_multi/opensoundscape/aru_{k}.wav" for k in range(1, 6)),
    AEC + "DLhjtuwiEkS-68TsUVvW5g_nearend_singletalk_lpb.wav",
    AEC + "DMTgmZwtgUilp4omPK7-OQ_doubletalk_lpb.wav",
    "shots/mdn/friday.mp4", "containers/torchcodec/nasa_13013.mp4", "containers/gopro/hero7.mp4",
    "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
]  # fmt: skip


def half() -> str:
    """Which half of the sources is in use: "tune" or "test"."""
    return str(SIZE["half"])


def references() -> list[Path]:
    """Mains recordings: the first half set the thresholds, the second is reported."""
    files = sorted((MEDIA / "enf/whu/ENF-WHU-Dataset/H1_ref").glob("*.wav"))
    return files[:4] if half() == "tune" else files[4:]


def again(bench: Bench, rates: list) -> dict:
    """Other places, other lengths, other words: what the figure of `cuts` is worth."""
    del rates
    lines = [Mains(f) for f in references()]
    answer: dict = {"voices": voices()}
    for level in (0, -10):
        rng = np.random.default_rng(4_000 - level)
        numbers = range(100, 100 + len(voices()) * int(SIZE["clips"]))
        answer[f"{level} dB"] = told([cut_at(bench, lines, level, k, rng) for k in numbers])
    answer["small turns"] = (
        f"a cut at random turns 100 Hz by less than {WHOLE_DEG:g} degrees once in "
        f"{180 / WHOLE_DEG:g} times and by less than {WELL_DEG:g} once in {180 / WELL_DEG:g}: the "
        "mains wanders as far by itself, and in these sounds nothing else is cut"
    )
    return answer


def cuts(bench: Bench, rates: list) -> dict:
    """Cuts in real mains under real speech, by the hum's level; hours of the same uncut."""
    rng = np.random.default_rng(3)
    files, names = references(), voices()
    lines = [Mains(f) for f in files]
    answer: dict = {"voices": names}
    hits: dict[str, list[int]] = {}
    errors, widths, covered, shifted = [], [], 0, 0
    for level in LEVELS:
        made = [
            cut_at(bench, lines, level, k, rng)
            for k in range(len(names) * int(SIZE["clips"]) * 2 // 3)
        ]
        for one in made:
            if one["near"]:
                span = one["near"][0].span
                errors.append(abs(float(span.start + span.end) / 2 - one["at"]))
                widths.append(float(span.length))
                shifted += 1
                covered += removed_holds(one["near"][0], one["gone"])
        key = "at" if level >= -10 else "weak" if level >= -20 else "below"
        answer[f"{level} dB"] = told(made)
        held = hits.setdefault(key, [0, 0])
        held[0] += answer[f"{level} dB"]["found"]["hit"]
        held[1] += len(made)
    answer["place, s: median"] = round(float(np.median(errors)), 3)
    answer["place, s: largest"] = round(max(errors), 3)
    answer["stated place is this wide, s: median, largest"] = [
        round(float(np.median(widths)), 2), round(max(widths), 2)]  # fmt: skip
    answer["removed length modulo the period inside its interval"] = share(covered, shifted)
    hours = alarms = 0.0
    refused = 0
    by_voice: dict[str, int] = {}
    by_kind = dict.fromkeys(INNOCENT, 0)
    for number, line in enumerate(lines):
        for k, _ in enumerate(names):
            talk = voice(line.length_s - 31, k + number, 2000)
            hum = line.hum(line.length_s - 31, 15.0, 2000)
            samples = mixed(talk, hum, LEVELS[(k + number) % 3], rng)
            kind = (number + 3 * k) % 4
            samples = innocent(bench, samples, 2000, kind, rng)
            exam = enf.find_phase_breaks(bench.clip(samples, 2000))
            if exam.outcome == "not-applicable":
                refused += 1
                continue
            hours += len(samples) / 2000 / 3600
            alarms += len(exam.observations)
            by_kind[INNOCENT[kind]] += len(exam.observations)
            name = names[(k + number) % len(names)]
            by_voice[name] = by_voice.get(name, 0) + len(exam.observations)
    per_hour = calibration.hourly_rate(int(alarms), hours)
    answer["by_voice_alarms"] = by_voice
    answer["by_kind_alarms"] = by_kind
    answer["alarms on uncut, hum at -20 dB or more"] = {
        "alarms": int(alarms), "hours": round(hours, 3), "refused": refused,
        "per_hour_95": [round(per_hour.low, 3), round(per_hour.high, 2)],
        "note": f"{len(files)} mains recordings, each under {len(names)} voices at one of three "
        "levels and with one innocent change in four: the hours share their mains; recordings "
        "refused are not counted as hours",
    }  # fmt: skip
    for stratum, key in (("hum at -15 dB or more", "at"), ("hum from -25 to -15 dB", "weak"),
                         ("hum below -25 dB", "below")):  # fmt: skip
        found, of = hits[key]
        rates.append(
            calibration.Row(
                "hum-phase-breaks", "4", stratum, found, of - found, int(alarms), round(hours, 4),
                True, f"4 WHU mains references under {len(names)} speech sources",
                digest([p.name for p in files]), 4, TODAY, "benchmarks/hum.py",
                "cuts of a whole number of periods, and refusals, are counted as misses",
            )
        )  # fmt: skip
    return answer


def free_sources() -> list[tuple[str, list[Path]]]:
    """(name, files) of what is to have no hum; four effects recordings make 20 s."""
    classes = {"tune": ("002", "005", "010"),
               "test": ("001", "003", "004", "006", "007", "008", "009")}[half()]  # fmt: skip
    named = [(n, files_of(n)) for n in HALVES[half()] if not n.startswith("esc:")]
    if half() == "test":
        named += [(n, files_of(n)) for n in MORE_FREE]
    for kind in classes:
        for fold in "12":
            files = sorted((MEDIA / "audio_events/esc10").glob(f"{kind}*/{fold}-*.ogg"))
            named += [
                (f"esc:{kind}, {fold}, {k // 4}", files[k : k + 4])
                for k in range(0, len(files) - 3, 4)
            ]
    return named[:: int(SIZE["every"])]


def without(bench: Bench, rates: list) -> dict:
    """Recordings whose own hum, if any, was moved off the mains: is "not measurable" said?"""
    del rates
    said, n, measured, heard = 0, 0, [], []
    named = free_sources()
    for k, (name, files) in enumerate(named):
        sound = sound_of(files, max(22.0, min(60.0, 5.0 * len(files))), 16000)
        if np.abs(sound).max() < 1e-4:
            continue
        for which, (up, down) in zip(("alone", "under speech"), SPEEDS[:2], strict=True):
            moved = resample_poly(sound, up, down)
            if which == "under speech":
                talk = np.resize(voice(len(moved) / 16000 + 1, k, 16000), len(moved))
                moved = talk / max(1e-6, talk.std()) + 0.3 * moved / max(1e-6, moved.std())
            clip = bench.clip(0.3 * moved / max(1e-6, np.abs(moved).max()), 16000)
            refused = enf.find_phase_breaks(clip).outcome == "not-applicable"
            n += 1
            said += refused
            if not refused:
                measured.append(f"{name}, {which}")
        hum = enf.measure_hum(bench.clip(0.3 * sound / np.abs(sound).max(), 16000))
        if hum.measurable:
            heard.append(f"{name}: {hum.nominal_hz} Hz, harmonics {hum.harmonics}")
    return {
        "not measurable, said where there is no hum": share(said, n), "sources": len(named),
        "called measurable": measured,
        "at their own speed, hum is heard in (not counted)": heard,
    }  # fmt: skip


# -- dating -------------------------------------------------------------------------------------


def _steps_of(path: Path) -> Steps:
    sound = read_sound(forensics.open_clip(path), rate_hz=1000, mono=True).mono
    return measure_steps(sound, enf_hum.find_family(sound, highest_hz=180.0))


def dating(bench: Bench, rates: list) -> dict:
    """7 minutes of hum and speech on the right reference; pieces of mains on all wrong ones."""
    rng = np.random.default_rng(9)
    files = references()
    answer: dict[str, dict] = {}
    clips = {p: forensics.open_clip(p) for p in files}
    asked: list[tuple[Path, str, Steps]] = []
    totals = {"right": 0, "n": 0}
    starts = int(SIZE["clips"])
    cases = [(level, "") for level in LEVELS]
    cases += [(0, "phone moved: hum turned by 120 degrees"), (0, "8 s cut out in the middle")]
    for level, event in cases:
        cell: dict = {"right": 0, "refused": 0, "wrong": 0, "n": 0, "inside_the_interval": 0}
        for k in range(4 * starts // (2 if event else 1)):
            file = files[k % len(files)]
            line = Mains(file)
            start = float(rng.uniform(5.0, line.length_s - 435))
            hum = line.hum(428.0, start, 2000)
            if event.startswith("phone"):
                at = round(2000 * rng.uniform(60, 360))
                turned = hilbert(hum[at:]) * np.exp(2j * np.pi / 3)
                hum = np.concatenate([hum[:at], turned.real])
            elif event:
                hum = np.concatenate([hum[: 210 * 2000], hum[218 * 2000 :]])
            samples = mixed(voice(420.0, k, 2000), hum[: 420 * 2000], level, rng)
            clip = bench.clip(samples, 2000)
            exam = enf.match_reference(clip, reference=clips[file], surrogates=1000)
            offsets = [o.what.offset for o in exam.observations]
            # Where the middle is missing either part's place is right.
            places = (start, start + 8) if event.startswith("8 s") else (start,)
            near = [o for o in offsets if min(abs(o.value - p) for p in places) < 5]
            cell["n"] += 1
            cell["right"] += bool(near)
            cell["inside_the_interval"] += any(o.low <= p <= o.high for o in near for p in places)
            cell["refused"] += not offsets
            cell["wrong"] += len(offsets) > len(near)
            if not event and level in (0, -20):
                totals["right"] += bool(near)
                totals["n"] += 1
                sound = read_sound(clip, rate_hz=1000, mono=True).mono
                family = enf_hum.find_family(sound)
                if not family.why and k < 2 * len(files):
                    kind = f"420 s at {level} dB under speech"
                    asked.append((file, kind, measure_steps(sound, family)))
        cell["right_or_refused"] = share(cell["right"] + cell["refused"], cell["n"])
        answer[f"{level} dB{', ' if event else ''}{event}"] = cell
    everything = sorted(files[0].parent.glob("*.wav"))
    tracks = {p: _steps_of(p) for p in (files if half() == "tune" else everything)}
    for path in files:
        for size in (180, 300, 420):
            firsts = rng.integers(5, len(tracks[path].turns) - size - 5, 5 * starts // 3)
            asked += [
                (path, f"{size} s, clean", hum_dating.piece(tracks[path], f, size)) for f in firsts
            ]
    answer["false matches"] = hum_dating.false_matches(asked, tracks)
    found = answer["false matches"]
    rates.append(
        calibration.Row(
            "hum-reference", "3", "", totals["right"], totals["n"] - totals["right"], found["hit"],
            float(found["of"]), False, "4 WHU mains references, 7 minutes under speech at "
            "0 and -20 dB; negatives: 8 references", digest([p.name for p in tracks]), len(tracks),
            TODAY, "benchmarks/hum.py", "negatives: wrong and mirrored references; refusals are "
            "misses",
        )
    )  # fmt: skip
    return answer


# -- lamps --------------------------------------------------------------------------------------


def lamp(bench: Bench, rates: list) -> dict:
    """Footage lit by a lamp on real mains: cuts, innocent events, no lamp, and dating."""
    rng = np.random.default_rng(12)
    files = references()
    lines = [Mains(f) for f in files]
    table: dict[str, dict] = {}
    hours = alarms = 0.0
    hits = [0, 0]
    named = hum_lamps.footage()[:: int(SIZE["every"])]
    for k, name in enumerate(named):
        shots = hum_lamps.pictures(name, 300)
        line, start = lines[k % len(lines)], 40.0 + 37 * k
        rate = (30.0, 29.97, 24.0, 30.0, 25.0)[k % 5]
        for what, depth, event in (
            ("cut, 2 %", 0.02, "cut"), ("cut, 4 %", 0.04, "cut"),
            ("exposure changed, 4 %" if k % 2 else "headlights, 4 %", 0.04,
             "exposure" if k % 2 else "headlights"),
            ("no lamp, cut", 0.0, "cut"),
        ):  # fmt: skip
            at, gone = rng.uniform(12, 24), rng.uniform(0.4, 3.0)
            path = hum_lamps.film(
                bench.path(), shots, lambda s, a=line, b=start: a.at(s + b), rate=rate,
                seconds=36.0, depth=depth, cut=(at, gone) if event == "cut" else None,
                event=event, crf=(22, 26)[k % 2], seed=k,
            )  # fmt: skip
            exam = enf.find_phase_breaks(forensics.open_clip(path))
            path.unlink()
            stands = "a lamp that stands still (25 frames a second), " if rate == 25 else ""
            empty = {"n": 0, "found": 0, "elsewhere": 0, "not_measurable": 0, "missed": []}
            cell = table.setdefault(stands + what, empty)
            near = [
                o for o in exam.observations
                if event == "cut" and float(o.span.start) <= at <= float(o.span.end)
            ]  # fmt: skip
            refused = exam.outcome == "not-applicable"
            cell["n"] += 1
            cell["found"] += bool(near)
            cell["elsewhere"] += len(exam.observations) - len(near)
            cell["not_measurable"] += refused
            if event == "cut" and depth and not near:
                turned = f"lamp turned by {line.turned_deg(start + at, gone):.0f} degrees"
                cell["missed"].append(f"{name}: {'not measurable' if refused else turned}")
            if depth and rate != 25 and event == "cut":
                hits[0] += bool(near)
                hits[1] += 1
            if not refused:
                hours += 36 / 3600
                alarms += len(exam.observations) - len(near)
    answer: dict = {"sources": len(named), "by_case": table}
    per_hour = calibration.hourly_rate(int(alarms), hours)
    answer["alarms where a lamp is followed"] = {
        "alarms": int(alarms), "hours": round(hours, 3),
        "per_hour_95": [round(per_hour.low, 3), round(per_hour.high, 2)],
    }  # fmt: skip
    rates.append(
        calibration.Row(
            "hum-phase-breaks", "4", "lamp flicker", hits[0], hits[1] - hits[0], int(alarms),
            round(hours, 4), True, f"{len(named)} real films lit by 4 WHU mains references, drawn "
            "with a rolling shutter, H.264", digest(named), len(named), TODAY,
            "benchmarks/hum.py", "refusals are counted as misses; negatives: exposure, headlights",
        )
    )  # fmt: skip
    return answer


def lamp_dating(bench: Bench, rates: list) -> dict:
    """7 minutes of footage under a lamp on the right reference, and its mains on all wrong ones."""
    files = references()
    named = hum_lamps.footage()
    cell: dict = {"right": 0, "refused": 0, "wrong": 0, "n": 0, "inside_the_interval": 0}
    refusals: list[str] = []
    asked: list[tuple[Path, str, Steps]] = []
    for k, file in enumerate(files):
        line = Mains(file)
        start = 5.0 + (0.3, 0.7, 0.45, 0.6)[k] * (line.length_s - 435)
        rate, depth = (29.97, 24.0, 30.0, 29.97)[k], (0.03, 0.04, 0.02, 0.03)[k]
        path = hum_lamps.film(
            bench.path(), hum_lamps.pictures(named[k], 300),
            lambda s, a=line, b=start: a.at(s + b), rate=rate, seconds=420.0, depth=depth, seed=k,
        )  # fmt: skip
        clip = forensics.open_clip(path)
        exam = enf.match_reference(clip, reference=forensics.open_clip(file), surrogates=1000)
        offsets = [o.what.offset for o in exam.observations]
        near = [o for o in offsets if abs(o.value - start) < 5]
        cell["n"] += 1
        cell["right"] += bool(near)
        cell["refused"] += not offsets
        cell["wrong"] += len(offsets) > len(near)
        cell["inside_the_interval"] += any(o.low <= start <= o.high for o in near)
        if not offsets:
            refusals.append(f"{named[k]}, {rate} a second, {depth:.0%}: {exam.reason}")
        read = enf_lamp.read_lamp(clip)
        if read is not None and not read.family.why:
            kind = f"lamp, {rate} frames a second"
            asked.append((file, kind, measure_steps(read.samples, read.family)))
        path.unlink()
    cell["right_or_refused"] = share(cell["right"] + cell["refused"], cell["n"])
    tracks = {p: _steps_of(p) for p in sorted(files[0].parent.glob("*.wav"))}
    false = hum_dating.false_matches(asked, tracks)
    rates.append(
        calibration.Row(
            "hum-reference", "3", "lamp flicker", cell["right"], cell["n"] - cell["right"],
            false["hit"], float(false["of"]), False, "real films lit by 4 WHU mains references, 7 "
            "minutes, drawn with a rolling shutter, H.264", digest(named[:4]), len(files), TODAY,
            "benchmarks/hum.py", "negatives: wrong and mirrored references; refusals are misses",
        )
    )  # fmt: skip
    return {"7 minutes": cell | {"refusals": refusals}, "false matches": false}


PARTS = {
    "cuts": cuts, "again": again, "free": without, "dating": dating, "lamp": lamp,
    "lamp_dating": lamp_dating,
}  # fmt: skip
#: Where a part's answer goes, if not by its own name.
FILES = {"cuts": "hum", "again": "hum_again", "free": "hum_free"}


def write_rates(rows: list[calibration.Row]) -> None:
    """Put rows into ``rates_sound.json`` in place of any version of the same method and stratum."""
    path = RESULTS / "rates_sound.json"
    new = {(row.method, row.stratum): to_builtins(row) for row in rows}
    known = json.loads(path.read_text()) if path.exists() else []
    kept = [r for r in known if (r["method"], r["stratum"]) not in new]
    path.write_text(json.dumps(kept + list(new.values()), indent=1) + "\n")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=[*PARTS, "hum"], nargs="*",
                        help="hum: all but lamp_dating")  # fmt: skip
    parser.add_argument("--prompts", type=Path, help="folder of the unpacked prompt packages")
    parser.add_argument("--tune", action="store_true", help="the half that shaped the thresholds")
    parser.add_argument("--quick", action="store_true", help="a third of the sources")
    args = parser.parse_args()
    wanted = set(args.part or PARTS)
    if "hum" in wanted:
        wanted |= set(PARTS) - {"lamp_dating"}
    if args.prompts:
        use_prompts(args.prompts)
    if args.quick:
        SIZE.update(every=3, clips=1)
    if args.tune:
        SIZE["half"] = "tune"
    with tempfile.TemporaryDirectory() as folder:
        for name, run in PARTS.items():
            if name not in wanted:
                continue
            rates: list[calibration.Row] = []
            text = json.dumps(run(Bench(Path(folder)), rates), indent=1)
            print(name, text, flush=True)
            if args.tune and not args.quick and name == "dating":
                (RESULTS / "sound_dating_tune.json").write_text(text + "\n")
            if not args.tune and not args.quick:
                (RESULTS / f"sound_{FILES.get(name, name)}.json").write_text(text + "\n")
                write_rates(rates)


if __name__ == "__main__":
    main()
