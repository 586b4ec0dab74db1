"""What the measurements cost, as multiples of plain decoding in the same run.

    PEERS=/path/to/python python benchmarks/speed.py WORK [clips|hour|lags] [WORDS OF A CLIP'S NAME]

Clips: one real one as it is, and longer ones of several real clips shown one after another, scaled
to one size and encoded anew (1080p is an upscale); the cost of start-up is measured and shown
apart. Every command runs alone in a child process, in turns; figures are medians of user + system
CPU seconds and of wall seconds, divided by `ffmpeg -i X -an -f null -`.
Peak memory is that of an hour of 1080p and of two hours of 432p (packets copied). The search for
copies is timed on motion of several lengths, made at random with one copy in it, and all periodic.
PEERS names a Python with scenedetect; without it the peer is reported as not run.
On a loaded machine trust the CPU column; `load` is what the machine was doing besides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from forensics.video_repeats import find_repeats

ROOT = Path(__file__).resolve().parent.parent
MEDIA = Path(os.environ.get("FORENSICS_MEDIA", ROOT.parent / "shared" / "media"))
PEERS = os.environ.get("PEERS", "")
TURNS = int(os.environ.get("TURNS", "3"))

OURS = """
import sys, forensics
from forensics import video
clip = forensics.open_clip(sys.argv[1], metadata=False)
{what}
print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")])
"""
COMMANDS = {
    # What is loaded once, however long the clip: hundreds of milliseconds beside a clip of 20 s.
    "open and start-up": "import cv2, numpy, numpy.linalg",
    "one pass, measured only": "video.measure_frames(clip)",
    "one pass, all detectors": "video.find_discontinuities(clip); video.find_cuts(clip)",
    "quick keyframe sheet": "video.find_keyframes(clip, key_frames_only=True, width_px=320)",
}
PEER = """
import sys
from scenedetect import detect, AdaptiveDetector, ContentDetector
detect(sys.argv[1], {name}())
print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")])
"""


#: Real clips shown one after another: repeating one would hand the search for copies nothing else.
JOINED = ("cctv_misc/dvrscan/traffic_camera.mp4", "shots/pyscenedetect/testvideo.mp4",
          "cctv_misc/carnd/solidWhiteRight.mp4", "shots/mdn/flower.mp4")  # fmt: skip
VIEWS = ("cctv_misc/intel/one-by-one-person-detection.mp4", "cctv_misc/intel/car-detection.mp4",
         "debian_opencv_doc/vtest.avi", "cctv_misc/dvrscan/traffic_camera.mp4")  # fmt: skip


def join(names: tuple[str, ...], size: tuple[int, int], out: Path) -> Path:
    """One clip of several real ones, scaled to one size and rate, with a key frame every 250."""
    if out.exists():
        return out
    inputs = [part for name in names for part in ("-i", str(MEDIA / name))]
    width, height = size
    shape = f"fps=25,scale={width}:{height},setsar=1,format=yuv420p"
    graph = ";".join(f"[{i}:v]{shape}[v{i}]" for i in range(len(names)))
    graph += ";" + "".join(f"[v{i}]" for i in range(len(names))) + f"concat=n={len(names)}[o]"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *inputs,
               "-filter_complex", graph, "-map", "[o]", "-preset", "veryfast", "-g", "250",
               str(out)]  # fmt: skip
    subprocess.run(command, check=True)
    return out


def repeat(path: Path, times: int, out: Path) -> Path:
    """A joined clip so many times, packets copied."""
    if not out.exists():
        listed = out.with_suffix(".txt")
        listed.write_text(f"file '{path.resolve()}'\n" * times)
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-f", "concat",
                   "-safe", "0", "-i", str(listed), "-c", "copy", str(out)]  # fmt: skip
        subprocess.run(command, check=True)
    return out


def wander(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Thumbnails of three spots that wander at random, with noise; a copy of three seconds."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:22, :40].astype(np.float32)
    empty = rng.uniform(60, 180, (22, 40)).astype(np.float32)
    place, speed = rng.uniform(0, 1, (3, 2)), rng.normal(0, 0.01, (3, 2))
    frames = np.empty((count, 22, 40), np.uint8)
    for t in range(count):
        speed = (speed + rng.normal(0, 0.0015, (3, 2))) * 0.985
        place += speed
        speed[(place < 0) | (place > 1)] *= -1
        place = np.clip(place, 0, 1)
        picture = empty + rng.normal(0, 1, (22, 40))
        for (x, y), height in zip(place, (60, -50, 40), strict=True):
            away = (columns - x * 40) ** 2 / 8 + (rows - y * 22) ** 2 / 12
            picture += height * np.exp(-away)
        frames[t] = np.clip(picture, 0, 255)
    source, target = count // 7, count * 4 // 5
    frames[target : target + 75] = frames[source : source + 75]
    return frames


def turn(count: int) -> NDArray[np.uint8]:
    """Thumbnails of one spot that goes round every two seconds, exactly: all is a copy of all."""
    rows, columns = np.mgrid[:22, :40]
    angle = 2 * np.pi * np.arange(50)[:, None, None] / 50
    away = (columns - 20 - 10 * np.cos(angle)) ** 2 + (rows - 11 - 6 * np.sin(angle)) ** 2
    once = 60 + 2 * columns + 90 * np.exp(-away / 8)
    return once.astype(np.uint8)[np.arange(count) % 50]


def lag_search(
    lengths: tuple[int, ...] = (5000, 10000, 20000, 40000, 80000)
) -> list[dict[str, Any]]:
    """CPU seconds of the search for copies against the length, and what it ended with."""
    found = []
    for count in lengths:
        for motion, frames in (("at random, one copy", wander(count)), ("periodic", turn(count))):
            before = time.process_time()
            repeats = find_repeats(frames, 25.0)
            blind = sum(last - first for first, last in repeats.everywhere)
            row = {"motion": motion, "frames": count,
                   "cpu_s": round(time.process_time() - before, 2),
                   "found": any(abs(r.lag - (count * 4 // 5 - count // 7)) <= 1
                                for r in repeats.found),
                   "reported": len(repeats.found), "not testable": round(blind / count, 3),
                   "finished": repeats.finished}  # fmt: skip
            if motion == "periodic":
                del row["found"]
            found.append(row)
            print("search for copies", row, flush=True)
    return found


def run(command: list[str]) -> tuple[float, float, float]:
    """CPU seconds, wall seconds, peak resident megabytes of one child process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("OMP_NUM_THREADS", None)
    # As pip installs them, ours and the peers' modules are compiled once; the medians leave out
    # the turn in which that happens.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir()) / "speed-compiled")
    before = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as child:
        # The child says its own peak: what wait4 reports includes the parent's at the fork.
        said = child.stdout.read().split() if child.stdout else []
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command[:3]} ended with {child.returncode}")
    peak = int(said[-1]) / 1024 if said else 0.0
    return usage.ru_utime + usage.ru_stime, time.monotonic() - before, peak


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def compare(work: Path, only: str = "") -> list[dict[str, Any]]:
    """Every command on every clip whose name has `only` in it, in turns."""
    people = MEDIA / "cctv_misc" / "intel" / "one-by-one-person-detection.mp4"
    made = {
        "1280x720, GOP 250, 61 s joined": lambda: join(JOINED, (1280, 720), work / "720.mp4"),
        "1920x1080, GOP 250, 61 s joined": lambda: join(JOINED, (1920, 1080), work / "1080.mp4"),
        "768x432, GOP 250, 272 s joined": lambda: join(VIEWS, (768, 432), work / "432.mp4"),
        "768x432, GOP 10, 139 s as it is": lambda: people,
    }
    clips = {name: make() for name, make in made.items() if only in name}
    results = []
    for name, path in clips.items():
        commands = {"decode": [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-i", str(path), "-an",
                               "-f", "null", "-"]}  # fmt: skip
        for label, what in COMMANDS.items():
            commands[label] = [sys.executable, "-c", OURS.format(what=what), str(path)]
        if PEERS:
            for peer in ("ContentDetector", "AdaptiveDetector"):
                commands[f"PySceneDetect {peer}"] = [
                    PEERS, "-W", "ignore", "-c", PEER.format(name=peer), str(path)
                ]  # fmt: skip
        load = os.getloadavg()[0]
        figures: dict[str, list[tuple[float, float, float]]] = {label: [] for label in commands}
        for _ in range(TURNS):
            for label, command in commands.items():
                figures[label].append(run(command))
        base = [median([f[i] for f in figures["decode"]]) for i in (0, 1)]
        start = [median([f[i] for f in figures["open and start-up"]]) for i in (0, 1)]
        for label, rows in figures.items():
            cpu, wall, peak = (median([f[i] for f in rows]) for i in range(3))
            entry = {"clip": name, "what": label, "load": round(load, 1), "turns": TURNS,
                     "cpu": round(cpu / base[0], 3), "wall": round(wall / base[1], 3),
                     "cpu_s": round(cpu, 2), "peak_mb": round(peak)}  # fmt: skip
            if label in COMMANDS:
                entry["cpu_without_startup"] = round((cpu - start[0]) / base[0], 3)
                entry["wall_without_startup"] = round((wall - start[1]) / base[1], 3)
            results.append(entry)
            bare = [entry.get(f"{what}_without_startup", "") for what in ("cpu", "wall")]
            print(f"{name:20} {label:32} cpu {entry['cpu']:6.2f}x  wall {entry['wall']:6.2f}x  "
                  f"without start-up {bare[0]!s:6} {bare[1]!s:6}  {peak:5.0f} MB")  # fmt: skip
    return results


def go_long(work: Path, only: str = "") -> list[dict[str, Any]]:
    """What an hour of 1080p and two of 432p take and keep, after the one pass and all detectors."""
    long = {
        "1920x1080, one hour, a minute sixty times": lambda: repeat(
            join(JOINED, (1920, 1080), work / "1080.mp4"), 60, work / "hour.mp4"),
        "768x432, two hours, 272 s 27 times": lambda: repeat(
            join(VIEWS, (768, 432), work / "432.mp4"), 27, work / "two.mp4"),
    }  # fmt: skip
    first, then = COMMANDS["one pass, measured only"], COMMANDS["one pass, all detectors"]
    show = 'print(*[line.split()[1] for line in open("/proc/self/status") if "VmHWM" in line])'
    code = OURS.format(what=f"{first}\n{show}\n{then}")
    rows = []
    for name, make in long.items():
        if only not in name:
            continue
        command, before = [sys.executable, "-c", code, str(make())], time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            peaks = [round(int(word) / 1024) for word in (child.stdout or ())]
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        row = {"clip": name, "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
               "wall_s": round(time.monotonic() - before, 1), "peak_mb_one_pass": peaks[0],
               "peak_mb_all_detectors": peaks[1]}  # fmt: skip
        rows.append(row)
        print("long:", row, flush=True)
    return rows


def main() -> None:
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    target = Path(__file__).resolve().parent / "results" / "speed.json"
    # A part run alone keeps what the other one measured.
    out: dict[str, Any] = json.loads(target.read_text()) if part and target.exists() else {}
    out["measured"] = datetime.now(UTC).date().isoformat()
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    if part in ("", "clips"):
        rows = compare(work, only)
        again = {row["clip"] for row in rows}
        kept = [row for row in out.get("rows", []) if only and row["clip"] not in again]
        out |= {"peer": "run" if PEERS else "not run", "rows": kept + rows}
    if part in ("", "hour"):
        rows = go_long(work, only)
        again = {row["clip"] for row in rows}
        out["hour"] = [row for row in out.get("hour", []) if row["clip"] not in again] + rows
    if part in ("", "lags"):
        out["search for copies"] = lag_search()
    target.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
