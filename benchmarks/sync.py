"""Sound held against the pictures: how much of real footage can be tested, and what is found.

    python benchmarks/sync.py [--part made|real|strangers] [--more DIR] [--tune] [--quick]

``made``: real footage into which something that strikes is drawn, with real sounds (dogs: they
rise as impacts do) over a bed of real background sound. ``real``: every distinct real film with
sound of 20 s and more in ``FORENSICS_MEDIA`` and in ``--more`` (a folder of films), as it is, with
its sound moved from the middle on or from the start, and with sound cut out. ``strangers``: the
pictures of each with the sound of two others: where a lag is measured then, it is wrong.
Writes ``benchmarks/results/sync.json`` and its row of ``rates_sound.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import av
import hum_lamps
from hum import write_rates
from sound_material import MEDIA, SIZE, TODAY, digest, share

import forensics
from forensics import calibration, sync_lags
from forensics.scan_sound import read_sound
from forensics.sync_lags import RATE_HZ, Lag, Seen, Step
from forensics.video import measure_frames

RESULTS = ROOT / "benchmarks/results"
STEPS_S = (0.1, 0.2, 0.5, 1.0)
#: A step is found when it is said so near, and its span holds the place or ends so near to it.
STEP_WITHIN_S, PLACE_WITHIN_S = 0.1, 5.0
REAL = [
    "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
    "near_dup/videohash/rocket.webm",
]
#: Real films with sound, too short for two windows: their share of the hours is all that counts.
SHORT = [
    "containers/decord/flipping_a_pancake.mkv", "containers/gopro/hero7.mp4",
    "containers/torchcodec/nasa_13013.mp4", "shots/mdn/friday.mp4",
    "near_dup/threatexchange/tmk/sample-videos/doorknob-hd-no-bar.mp4",
]  # fmt: skip
BEDS = {
    "tune": ["audio_events/max_freesound/crowd_cheering.wav", "audio_events/jfk/jfk.flac",
             "esc10/002 - Rain", "audio_events/pyannote_ami/tests/data/trn01.wav"],
    "test": ["audio_events/max_freesound/car_engine.wav", "audio_events/max_freesound/thunder.wav",
             "audio_events/pyannote_ami/tests/data/trn02.wav", "esc10/003 - Sea waves",
             "audio_events/pocketsphinx/sense_and_sensibility_01_austen_64kb-0870.wav"],
}  # fmt: skip
SECONDS = 60.0


def sound(name: str, seconds: float) -> np.ndarray:
    """A recording at 8 kHz, again from the start where it is shorter."""
    path = MEDIA / name
    if name.startswith("esc10/"):
        path = min((MEDIA / "audio_events" / name).glob("*.ogg"))
    data = read_sound(forensics.open_clip(path), rate_hz=RATE_HZ, mono=True).mono
    return np.resize(data / max(1e-9, data.std()), round(seconds * RATE_HZ)).astype(np.float32)


def barks(which: str) -> list[np.ndarray]:
    """Real sounds that begin at once, cut to 0.4 s from where they rise most."""
    files = sorted((MEDIA / "audio_events/esc10/001 - Dog bark").glob("*.ogg"))
    found = []
    for path in files[::2] if which == "tune" else files[1::2]:
        data = read_sound(forensics.open_clip(path), rate_hz=RATE_HZ, mono=True).mono
        rise = sync_lags.measure_onsets(data)
        first = max(0, int(np.argmax(rise)) - 1) * RATE_HZ // 100
        part = data[first : first + round(0.4 * RATE_HZ)]
        found.append((part / max(1e-9, float(np.abs(part).max()))).astype(np.float32))
    return found


def drawn(path: Path, name: str, blows: np.ndarray, rate: float) -> Path:
    """Real footage to and fro in which a bar falls at each blow and is then lifted slowly."""
    shots = hum_lamps.pictures(name, 300)
    period = 2 * len(shots) - 2
    with av.open(str(path), "w", format="mp4") as file:
        stream: Any = file.add_stream("libx264", rate=round(rate), options={"crf": "26"})
        stream.width, stream.height, stream.pix_fmt = hum_lamps.WIDTH, hum_lamps.HEIGHT, "yuv420p"
        for number in range(round(SECONDS * rate)):
            at = number / rate
            turn = number % period
            scene = shots[turn if turn < len(shots) else period - turn].copy()
            passed = at - blows[blows <= at][-1] if (blows <= at).any() else 9.0
            height = int(60 * min(1.0, passed / 0.8))
            scene[110 - height : 130 - height, 140:180] = 25
            frame = av.VideoFrame.from_ndarray(scene, format="gray").reformat(format="yuv420p")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def moved(samples: np.ndarray, at_s: float, step_s: float) -> np.ndarray:
    """The sound from `at_s` on `step_s` later (what came before goes on in the gap) or earlier."""
    at, step = round(at_s * RATE_HZ), round(step_s * RATE_HZ)
    if step < 0:
        return np.concatenate([samples[:at], samples[at - step :]])
    return np.concatenate([samples[:at], samples[max(0, at - step) : at], samples[at:]])


def seen_in(path: Path) -> Seen:
    """What the library measures of the pictures."""
    measured = measure_frames(forensics.open_clip(path))
    return Seen(
        np.array(measured.planes["cells"]), np.array(measured.columns["level"]), measured.seconds
    )


def asked(seen: Seen, samples: np.ndarray, start_s: float) -> tuple[list[Lag], list[Step]]:
    """Lags and steps, as the library finds them."""
    onsets = sync_lags.measure_onsets(samples)
    lags = sync_lags.find_lags(seen, onsets, start_s)
    return lags, sync_lags.find_steps(seen, onsets, start_s, lags)


def right(step: Step, at_s: float, step_s: float) -> bool:
    """Whether this is the step that was made."""
    beside = max(step.low_s - at_s, at_s - step.high_s, 0.0)
    return abs(step.step_s - step_s) <= STEP_WITHIN_S and beside <= PLACE_WITHIN_S


def covered(lags: list[Lag], raster_s: float = 0.5) -> float:
    """Seconds in which a lag was measured."""
    inside: set[int] = set()
    for lag in lags:
        inside |= set(range(int(lag.start_s / raster_s), int(lag.end_s / raster_s)))
    return len(inside) * raster_s


def composed(half: str, folder: Path) -> tuple[dict, dict]:
    """Drawn blows in real footage, real sounds, the sound moved from the middle on."""
    rng = np.random.default_rng(21)
    names = hum_lamps.FOOTAGE[half][:: int(SIZE["every"])]
    cells: dict = {}
    totals = {"found": 0, "n": 0, "alarms": 0, "seconds": 0.0}
    for k, name in enumerate(names):
        blows = np.cumsum(rng.uniform(1.2, 4.0, 40))
        blows = blows[blows < SECONDS - 2]
        seen = seen_in(drawn(folder / f"{k}.mp4", name, blows, (25.0, 30.0)[k % 2]))
        (folder / f"{k}.mp4").unlink()
        calls = barks(half)
        for level_db in (15, 5):
            track = 10 ** (-level_db / 20) * 0.35 * sound(BEDS[half][k % len(BEDS[half])], 62.0)
            for number, blow in enumerate(blows):
                first = round((blow + 0.02) * RATE_HZ)
                call = calls[(number + k) % len(calls)]
                track[first : first + len(call)] += call[: len(track) - first]
            for step in (0.0, *STEPS_S, -0.5):
                lags, steps = asked(seen, moved(track, SECONDS / 2, step), 0.0)
                what = f"sounds {level_db} dB above the bed, " + (
                    f"moved by {step} s from the middle" if step else "untouched"
                )
                cell = cells.setdefault(
                    what, {"n": 0, "found": 0, "alarms": 0, "not testable here": 0, "missed": []}
                )
                hit = step != 0 and any(right(s, SECONDS / 2, step) for s in steps)
                cell["n"] += 1
                cell["not testable here"] += not lags
                cell["found"] += hit
                cell["alarms"] += len(steps) - hit
                if step and not hit:
                    cell["missed"].append(f"{name}: {len(lags)} windows with a lag")
                if abs(step) >= sync_lags.LEAST_STEP_S:
                    totals["n"] += 1
                    totals["found"] += hit
                elif not step:
                    totals["alarms"] += len(steps)
                    totals["seconds"] += SECONDS
    for cell in cells.values():
        cell["share"] = share(cell["found"], cell["n"])
    return {"films": len(names), "by_case": cells}, totals


def films(more: Path | None) -> dict[str, Path]:
    """Real films with sound that are long enough."""
    found = {name: MEDIA / name for name in REAL}
    if more:
        found |= {p.name: p for p in sorted(more.iterdir()) if p.suffix in (".avi", ".mp4")}
    return found


def real(named: dict[str, Path], held: dict[str, tuple[Seen, np.ndarray, float]]) -> dict:
    """Real films as they are, with their sound moved, and cut."""
    rows: dict = {}
    alarms, seconds, testable = 0, 0.0, 0.0
    for name in named:
        seen, heard, start = held[name]
        length = float(seen.times_s[-1] - seen.times_s[0])
        lags, steps = asked(seen, heard, start)
        seconds += length
        testable += covered(lags)
        alarms += len(steps)
        row = rows[name] = {
            "seconds": round(length, 1), "testable": round(covered(lags) / length, 3),
            "lags, s": [round(lag.lag_s, 2) for lag in lags], "untouched: alarms": len(steps),
        }  # fmt: skip
        if not lags:
            continue
        tried = row["moved"] = {"found": 0, "n": 0, "wrong": 0, "each": []}
        for step in (0.2, 0.3, 0.8, 1.0, -0.5):
            for part in (0.4, 0.5, 0.6):
                at = part * length
                _, steps = asked(seen, moved(heard, at, step), start)
                hit = any(right(s, at, step) for s in steps)
                tried["found"] += hit
                tried["wrong"] += len(steps) - hit
                tried["n"] += 1
                tried["each"].append(
                    f"{step:+.1f} s at {at:.0f} s: "
                    + (", ".join(f"{s.step_s:+.2f} s, {s.low_s:.0f} to {s.high_s:.0f} s"
                                 for s in steps) or "none")
                )  # fmt: skip
        for shift in STEPS_S[1:3]:
            lags, steps = asked(seen, heard, start + shift)
            row[f"all moved by {shift} s: lags"] = [round(lag.lag_s, 2) for lag in lags]
            alarms += len(steps)
            seconds += length
    short = 0.0
    for name in SHORT:
        with av.open(str(MEDIA / name)) as file:
            short += float(file.duration or 0) / 1e6
    rate = calibration.hourly_rate(alarms, seconds / 3600)
    return {
        "films": len(named), "seconds, those moved as a whole too": round(seconds, 1),
        "testable seconds of those as they are": round(testable, 1),
        f"{len(SHORT)} films too short, s": round(short, 1), "alarms": alarms,
        "per_hour_95": [round(rate.low, 3), round(rate.high, 1)], "each": rows,
    }  # fmt: skip


def strangers(held: dict[str, tuple[Seen, np.ndarray, float]]) -> dict:
    """The pictures of each film under the sound of two others."""
    windows = pairs = steps = 0
    seconds = 0.0
    wrong = []
    for name, (seen, _, _) in held.items():
        first, length = float(seen.times_s[0]), float(seen.times_s[-1] - seen.times_s[0])
        place = list(held).index(name)
        for other in (list(held)[(place + k) % len(held)] for k in (1, 3)):
            heard = held[other][1]
            lags, jumps = asked(seen, np.resize(heard, round((length + 1) * RATE_HZ)), first)
            pairs += 1
            windows += len(lags)
            steps += len(jumps)
            seconds += length
            wrong += [f"{name} under {other}: {lag.lag_s:+.2f} s, p {lag.chance:.4f}"
                      for lag in lags]  # fmt: skip
    rate = calibration.hourly_rate(steps, seconds / 3600)
    return {
        "pairs": pairs, "hours": round(seconds / 3600, 3), "windows with a (wrong) lag": windows,
        "each": wrong, "steps said": steps,
        "steps per_hour_95": [round(rate.low, 3), round(rate.high, 2)],
    }  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["made", "real", "strangers"], nargs="*")
    parser.add_argument("--more", type=Path, help="a folder with more real films")
    parser.add_argument("--tune", action="store_true", help="the other half of the footage")
    parser.add_argument("--quick", action="store_true", help="a third of the footage")
    args = parser.parse_args()
    wanted = set(args.part or ("made", "real", "strangers"))
    half = "tune" if args.tune else "test"
    SIZE["every"] = 3 if args.quick else 1
    path = RESULTS / "sync.json"
    answer = json.loads(path.read_text()) if path.exists() else {}
    totals = {}
    if "made" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            answer["half made"], totals = composed(half, Path(folder))
    named = films(args.more)
    held = {}
    if wanted & {"real", "strangers"}:
        for name, file in named.items():
            heard = read_sound(forensics.open_clip(file), rate_hz=RATE_HZ, mono=True)
            held[name] = (seen_in(file), heard.mono, float(heard.start))
    if "real" in wanted:
        answer["real"] = real(named, held)
    if "strangers" in wanted:
        answer["a stranger's sound"] = strangers(held)
    print(json.dumps(answer, indent=1), flush=True)
    if args.tune or args.quick:
        return
    path.write_text(json.dumps(answer, indent=1) + "\n")
    if totals:
        count = answer["half made"]["films"]
        row = calibration.Row(
            "sound-against-picture", "3", "sync break", totals["found"],
            totals["n"] - totals["found"], totals["alarms"], round(totals["seconds"] / 3600, 4),
            True, f"{count} real films into which blows are drawn, real sounds 5 and 15 dB above "
            "a real bed; steps of 0.2 to 1 s", digest(hum_lamps.FOOTAGE[half]), count, TODAY,
            "benchmarks/sync.py", "half made; refusals are misses; real films: see sync.json",
        )  # fmt: skip
        write_rates([row])


if __name__ == "__main__":
    main()
