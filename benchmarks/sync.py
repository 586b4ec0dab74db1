"""Sound held against visible impacts: how much of real footage can be tested, and what is found.

    python benchmarks/sync.py [--tune] [--quick]

First every distinct real film with sound in ``FORENSICS_MEDIA``, as it is and with its sound moved
from the middle on. None of them shows things that strike and are heard, so no figure of what would
be found comes of them: only how much could be tested, and alarms. Then real footage into which
something that strikes is drawn, with real sounds (dogs: they rise as impacts do) over a bed of real
background sound: half made. Writes ``benchmarks/results/sync.json`` and ``rates_sync.json``.
"""

from __future__ import annotations

import argparse
import itertools
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
from sound_material import MEDIA, SIZE, TODAY, digest, share

import forensics
from forensics import calibration, sync, sync_lags
from forensics.model import to_builtins
from forensics.scan_sound import read_sound
from forensics.video import measure_frames

RESULTS = ROOT / "benchmarks/results"
STEPS_S = (0.2, 0.5, 1.0)
REAL = [
    "cctv_misc/carnd/solidWhiteRight.mp4", "containers/decord/flipping_a_pancake.mkv",
    "containers/gopro/hero7.mp4", "cctv_misc/bgslibrary/dataset/video.avi",
    "containers/torchcodec/nasa_13013.mp4", "cctv_misc/dvrscan/traffic_camera.mp4",
    "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
    "near_dup/threatexchange/tmk/sample-videos/doorknob-hd-no-bar.mp4",
    "cctv_misc/intel/car-detection.mp4", "near_dup/videohash/rocket.webm", "shots/mdn/friday.mp4",
    "shots/mdn/flower.mp4",
]  # fmt: skip
BEDS = {
    "tune": ["audio_events/max_freesound/crowd_cheering.wav", "audio_events/jfk/jfk.flac",
             "esc10/002 - Rain", "audio_events/pyannote_ami/tests/data/trn01.wav"],
    "test": ["audio_events/max_freesound/car_engine.wav", "audio_events/max_freesound/thunder.wav",
             "audio_events/pyannote_ami/tests/data/trn02.wav", "esc10/003 - Sea waves",
             "audio_events/pocketsphinx/sense_and_sensibility_01_austen_64kb-0870.wav"],
}  # fmt: skip
RATE = sync_lags.RATE_HZ
SECONDS = 60.0


def sound(name: str, seconds: float) -> np.ndarray:
    """A recording at 8 kHz, again from the start where it is shorter."""
    path = MEDIA / name
    if name.startswith("esc10/"):
        path = min((MEDIA / "audio_events" / name).glob("*.ogg"))
    data = read_sound(forensics.open_clip(path), rate_hz=RATE, mono=True).mono
    return np.resize(data / max(1e-9, data.std()), round(seconds * RATE)).astype(np.float32)


def barks(which: str) -> list[np.ndarray]:
    """Real sounds that begin at once, cut to 0.4 s from where they rise most."""
    files = sorted((MEDIA / "audio_events/esc10/001 - Dog bark").glob("*.ogg"))
    found = []
    for path in files[::2] if which == "tune" else files[1::2]:
        data = read_sound(forensics.open_clip(path), rate_hz=RATE, mono=True).mono
        rise = sync_lags.measure_onsets(data)
        first = max(0, int(np.argmax(rise)) - 1) * RATE // 100
        part = data[first : first + round(0.4 * RATE)]
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
    """The sound from `at_s` on, `step_s` later; what comes before goes on in the gap."""
    at, step = round(at_s * RATE), round(step_s * RATE)
    return np.concatenate([samples[:at], samples[max(0, at - step) : at], samples[at:]])


def found_in(samples: np.ndarray, impacts: list[tuple[float, float]], start: float,
             frame_s: float) -> tuple[list[sync_lags.LagRun], list[float]]:  # fmt: skip
    """Stretches with a lag, and the steps between them."""
    runs = sync_lags.find_lags(sync_lags.measure_onsets(samples), start, impacts, frame_s=frame_s)
    return runs, [b.lag_s - a.lag_s for a, b in itertools.pairwise(runs)]


def real() -> dict:
    """Real films as they are and with their sound moved."""
    rows, seconds, testable, alarms = {}, 0.0, 0.0, 0
    said = {str(step): 0 for step in STEPS_S}
    for name in REAL:
        clip = forensics.open_clip(MEDIA / name)
        exam = sync.find_sync_breaks(clip)
        measured = measure_frames(clip)
        times = measured.seconds
        frame_s = float(np.median(np.diff(times)))
        impacts = sync_lags.pick_impacts(measured.columns["peak"], measured.columns["level"], times)
        heard = read_sound(clip, rate_hz=RATE, mono=True)
        onsets = sync_lags.measure_onsets(heard.mono)
        length = float(times[-1] - times[0])
        share_ = exam.measures["testable"].value if "testable" in exam.measures else 0.0
        rows[name] = {
            "seconds": round(length, 1), "outcome": exam.outcome, "testable": share_,
            "visible impacts": len(impacts), "rises of sound": int((onsets > 0.3).sum()),
        }  # fmt: skip
        seconds += length
        testable += share_ * length
        alarms += len(exam.observations)
        for step in STEPS_S:
            shifted = moved(heard.mono, length / 2, step)
            _, steps = found_in(shifted, impacts, float(heard.start), frame_s)
            said[str(step)] += any(abs(s - step) < 0.1 for s in steps)
    rate = calibration.hourly_rate(alarms, seconds / 3600)
    return {
        "films": len(REAL), "seconds": round(seconds, 1), "testable seconds": round(testable, 1),
        "untouched: alarms": alarms, "per_hour_95": [round(rate.low, 3), round(rate.high, 1)],
        "sound moved from the middle: found, by step in s": said, "each": rows,
    }  # fmt: skip


def composed(half: str, folder: Path) -> tuple[dict, dict]:
    """Drawn blows in real footage, real sounds, the sound moved from the middle on."""
    rng = np.random.default_rng(21)
    names = hum_lamps.FOOTAGE[half][:: int(SIZE["every"])]
    cells: dict = {}
    totals = {"found": 0, "n": 0, "alarms": 0, "seconds": 0.0}
    for k, name in enumerate(names):
        blows = np.cumsum(rng.uniform(1.2, 4.0, 40))
        blows = blows[blows < SECONDS - 2]
        rate = (25.0, 30.0)[k % 2]
        measured = measure_frames(
            forensics.open_clip(drawn(folder / f"{k}.mp4", name, blows, rate))
        )
        (folder / f"{k}.mp4").unlink()
        times = measured.seconds
        impacts = sync_lags.pick_impacts(measured.columns["peak"], measured.columns["level"], times)
        hits = sum(bool(np.abs(np.array([t for t, _ in impacts] or [-9.0]) - b).min() < 0.1)
                   for b in blows)  # fmt: skip
        calls = barks(half)
        for level_db in (15, 5):
            bed = sound(BEDS[half][k % len(BEDS[half])], SECONDS + 2)
            track = 10 ** (-level_db / 20) * 0.35 * bed
            for number, blow in enumerate(blows):
                first = round((blow + 0.02) * RATE)
                call = calls[(number + k) % len(calls)]
                track[first : first + len(call)] += call[: len(track) - first]
            for step in (0.0, *STEPS_S):
                runs, steps = found_in(moved(track, SECONDS / 2, step), impacts, 0.0, 1 / rate)
                what = f"sounds {level_db} dB above the bed, " + (
                    f"moved by {step} s" if step else "untouched"
                )
                cell = cells.setdefault(
                    what, {"n": 0, "found": 0, "alarms": 0, "not testable here": 0, "seconds": 0.0}
                )
                cell["n"] += 1
                cell["not testable here"] += not runs
                cell["seconds"] += round(sum(r.end_s - r.start_s for r in runs), 1)
                right = step > 0 and any(abs(s - step) < 0.1 for s in steps)
                cell["found"] += right
                cell["alarms"] += len(steps) - right
                cell.setdefault("each", []).append(
                    f"{hits} of {len(blows)} blows seen, "
                    f"{len(impacts)} impacts, {len(runs)} stretches"
                )
                if step:
                    totals["n"] += step < sync_lags.REACH_S
                    totals["found"] += right and step < sync_lags.REACH_S
                else:
                    totals["alarms"] += len(steps)
                    totals["seconds"] += SECONDS
    for cell in cells.values():
        cell["share"] = share(cell["found"], cell["n"])
    return {"films": len(names), "by_case": cells}, totals


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true", help="the other half of the footage")
    parser.add_argument("--quick", action="store_true", help="a third of the footage")
    args = parser.parse_args()
    half = "tune" if args.tune else "test"
    SIZE["every"] = 3 if args.quick else 1
    with tempfile.TemporaryDirectory() as folder:
        made, totals = composed(half, Path(folder))
    answer = {"half made": made} | ({} if args.tune or args.quick else {"real": real()})
    print(json.dumps(answer, indent=1), flush=True)
    if args.tune or args.quick:
        return
    (RESULTS / "sync.json").write_text(json.dumps(answer, indent=1) + "\n")
    row = calibration.Row(
        "sound-against-picture", "2", "sync break", totals["found"], totals["n"] - totals["found"],
        totals["alarms"], round(totals["seconds"] / 3600, 4), True, f"{made['films']} real films "
        "into which blows are drawn, real sounds; steps of 0.2 and 0.5 s", digest(
            hum_lamps.FOOTAGE[half]), made["films"], TODAY, "benchmarks/sync.py",
        "half made; real footage with audible impacts was not at hand; refusals are misses",
    )  # fmt: skip
    (RESULTS / "rates_sync.json").write_text(json.dumps([to_builtins(row)], indent=1) + "\n")


if __name__ == "__main__":
    main()
