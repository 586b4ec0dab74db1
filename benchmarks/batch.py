"""What a batch costs over the work itself, what it keeps in memory, and what a kill can break.

    python benchmarks/batch.py [kills] [overhead] [memory] [--clips 10000] [--kills 60] [--quick]

Prints and writes benchmarks/results/batch.json, one part after the other. On clips made here:

* overhead: the same steps over the same clips in one warm process and in a batch of one child at
  a time, in turns, and in a plain shell loop that starts the command line for each clip; in
  processor seconds as well as on the clock, since the machine may be busy with others;
* memory: the largest resident size of the batch, of the process that makes its children and of
  any child, over many small clips, with the parent's size on the way;
* kills: killed at random moments (of the clock, from the start-up to the last rename, and right
  after a row), sometimes alone and sometimes with its helpers, then resumed, until the batch ends;
  the result is compared byte for byte with an uninterrupted run, rows lost and doubled and
  processes left behind are counted.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from forensics import batch

CHEAP = (("container.find_discontinuities", {}), ("video.find_keyframes", {}))
SMALL = (("container.find_discontinuities", {}),)


def make_clip(path: Path, seed: int, seconds: float, size: tuple[int, int]) -> None:
    """A small H.264 clip of a moving patch in noise."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25, options={"crf": "28", "g": "25"})
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        stream.thread_type = "NONE"
        scene = rng.integers(30, 200, (size[1] // 8, size[0] // 8, 3))
        scene = np.kron(scene, np.ones((8, 8, 1), np.int64)).astype(np.uint8)
        for number in range(int(seconds * 25)):
            picture = scene.copy()
            left = (number * 3) % (size[0] - 24)
            picture[20:44, left : left + 24] = 240
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def make_folder(folder: Path, count: int, seconds: float, size: tuple[int, int]) -> Path:
    """`count` clips of different content: ten recordings, told apart by a free box at the end."""
    folder.mkdir(parents=True)
    masters = []
    for number in range(min(10, count)):
        master = folder.parent / f"{folder.name}-{number}.mp4"
        make_clip(master, number, seconds, size)
        masters.append(master.read_bytes())
        master.unlink()
    for number in range(count):
        tag = struct.pack(">I4sI", 12, b"free", number)
        (folder / f"clip-{number:05d}.mp4").write_bytes(masters[number % len(masters)] + tag)
    return folder


_TIMED = """
import json, os, resource, sys, time
from pathlib import Path
from forensics import batch
from forensics.batch_child import Job, examine
which, folder, warm, out, steps = {which!r}, Path({folder!r}), Path({warm!r}), {out!r}, {steps!r}
ticks = os.sysconf("SC_CLK_TCK")
def used():
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = own.ru_utime + own.ru_stime
    for nursery in batch._pool._idle:
        # Its own time and that of its ended children: utime, stime, cutime, cstime.
        with open(f"/proc/{{nursery._process.pid}}/stat") as file:
            total += sum(map(int, file.read().rpartition(")")[2].split()[11:15])) / ticks
    return total
def run(place, name):
    if which == "work":
        for path in sorted(place.iterdir()):
            examine(Job(path, path.name, steps))
    else:
        batch.run_batch(place, out + name, steps=steps, jobs=1, keep_artefacts=False)
run(warm, ".warm")
clock, cpu = time.perf_counter(), used()
run(folder, ".rows")
print(json.dumps({{"wall": time.perf_counter() - clock, "cpu": used() - cpu}}))
"""


def fresh(code: str) -> dict[str, Any]:
    """Run code in a new interpreter that prints one JSON line."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def overhead(place: Path, count: int, rounds: int) -> dict[str, Any]:
    """What a child for each clip costs over the same work in one process."""
    folder = make_folder(place / "overhead", count, 4.0, (320, 240))
    warm = make_folder(place / "warm", 3, 3.5, (320, 240))
    found: dict[str, Any] = {"clip": "4 s of 320x240 H.264, no sound", "rounds": rounds}
    for name, steps in (("default_steps", batch.DEFAULT_STEPS),
                        ("two_cheap_steps", CHEAP)):  # fmt: skip
        seconds: dict[str, list[dict[str, Any]]] = {"work": [], "batch": []}
        for turn in range(rounds):
            for which in ("work", "batch") if turn % 2 == 0 else ("batch", "work"):
                code = _TIMED.format(which=which, folder=str(folder), warm=str(warm), steps=steps,
                                     out=str(place / f"{name}-{turn}"))  # fmt: skip
                seconds[which].append(fresh(code))
        row: dict[str, Any] = {"clips": count, "steps": [step for step, _ in steps]}
        for kind, label in (("cpu", "cpu_ms_a_clip"), ("wall", "ms_a_clip")):
            per = {w: [1000 * s[kind] / count for s in seconds[w]] for w in seconds}
            middle = {w: float(np.median(v)) for w, v in per.items()}
            row |= {f"{w}_{label}": [min(v), middle[w], max(v)] for w, v in per.items()}
            row[f"overhead_{kind}_share"] = middle["batch"] / middle["work"] - 1
            row[f"overhead_{label}"] = middle["batch"] - middle["work"]
        found[name] = row
    few = sorted(folder.iterdir())[:4]
    clock = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for path in few:
        for command in ("keyframes", "edits", "events"):
            subprocess.run([sys.executable, "-m", "forensics.cli", command, str(path), "--json"],
                           capture_output=True, check=True, cwd=ROOT)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found["shell_loop"] = {
        "clips": len(few), "commands": "keyframes, edits, events (edits reads the container too)",
        "ms_a_clip": 1000 * (time.perf_counter() - clock) / len(few),
        "cpu_ms_a_clip": 1000 * cpu / len(few),
    }  # fmt: skip
    default = found["default_steps"]
    found["times_faster_than_the_shell_loop_cpu"] = (
        found["shell_loop"]["cpu_ms_a_clip"] / default["batch_cpu_ms_a_clip"][1]
    )
    found["note"] = (
        "lists are lowest, median, highest of the rounds; a share below zero: the children use "
        "large memory pages, which the one process that is compared does not ask for"
    )
    shutil.rmtree(folder)
    shutil.rmtree(warm)
    return found


_COUNTED = """
import json, resource, time
from forensics import batch
def held(pid):
    with open(f"/proc/{{pid}}/status") as file:
        return int(file.read().split("VmHWM:")[1].split()[0]) / 1024
sizes = []
def note(fraction, _text):
    done = round(fraction * {count})
    if done % max(1, {count} // 10) == 0:
        sizes.append([done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024])
t = time.perf_counter()
s = batch.run_batch({folder!r}, {out!r}, steps={steps!r}, jobs=2, keep_artefacts=False,
                    progress=note)
print(json.dumps({{"seconds": time.perf_counter() - t, "failed": s.failed, "network": s.network,
                  "nursery_mib": [held(n._process.pid) for n in batch._pool._idle],
                  "after_clips_parent_mib": sizes}}))
"""


def memory(place: Path, count: int) -> dict[str, Any]:
    """What many clips cost in memory."""
    folder = make_folder(place / "many", count, 0.4, (96, 64))
    out = place / "many.jsonl"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = fresh(_COUNTED.format(count=count, folder=str(folder), out=str(out), steps=SMALL))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    sizes = [size for _, size in found["after_clips_parent_mib"]]
    names = [json.loads(row)["clip"] for row in out.read_bytes().splitlines()]
    page = batch.write_page(out, place / "many.html")
    shutil.rmtree(folder)
    return found | {
        "clips": count, "steps": [step for step, _ in SMALL], "jobs": 2,
        "rows": len(names), "distinct": len(set(names)),
        "parent_mib_at_a_tenth": sizes[0], "parent_mib_at_the_end": sizes[-1],
        "parent_bytes_a_clip": (sizes[-1] - sizes[0]) * 2**20 / (count - count / 10),
        "ms_a_clip": 1000 * found["seconds"] / count,
        "cpu_ms_a_clip": 1000 * (after.ru_utime + after.ru_stime - before.ru_utime
                                 - before.ru_stime) / count,
        "result_mib": out.stat().st_size / 2**20, "page_mib": page.stat().st_size / 2**20,
    }  # fmt: skip


def descendants(pid: int) -> list[int]:
    """A process and everything under it."""
    parents: dict[int, list[int]] = {}
    for note in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = note.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(note.parent.name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left.extend(parents.get(found[-1], []))
    return found


def alive(pids: list[int]) -> int:
    """How many still run (a zombie does not)."""
    count = 0
    for pid in pids:
        try:
            count += Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            continue
    return count


def kills(place: Path, wanted: int, budget_s: float, seed: int = 11) -> dict[str, Any]:
    """Kill and resume, again and again, until so many kills were survived."""
    total = 40
    folder = make_folder(place / "kills", total, 0.4, (96, 64))
    whole = batch.run_batch(folder, place / "whole.jsonl", steps=SMALL, jobs=2,
                            keep_artefacts=False).out.read_bytes()  # fmt: skip
    rng = random.Random(seed)
    out = place / "k.jsonl"
    journal = out.with_name(out.name + ".part")
    code = (
        "from forensics import batch\n"
        f"batch.run_batch({str(folder)!r}, {str(out)!r}, steps={SMALL!r}, jobs=2, resume=True,"
        " keep_artefacts=False)\n"
    )
    clock = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    whole_s = time.perf_counter() - clock
    done = differing = lost = doubled = cycles = left_behind = survived_to_end = 0
    rows_at: list[int] = []
    until = time.monotonic() + budget_s
    while done < wanted and time.monotonic() < until:
        out.unlink(missing_ok=True)
        journal.unlink(missing_ok=True)
        while not out.exists():
            process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
            if rng.random() < 0.5:
                moment, target = rng.uniform(0.0, whole_s), total + 1
            else:
                have = journal.read_bytes().count(b"\n") if journal.exists() else 0
                moment, target = 60.0, rng.randint(min(have + 1, total), min(have + 12, total))
            began = time.monotonic()
            while process.poll() is None and time.monotonic() - began < moment:
                if journal.exists() and journal.read_bytes().count(b"\n") >= target:
                    time.sleep(rng.uniform(0, 0.02))
                    break
                time.sleep(0.002)
            if process.poll() is None and done < wanted:
                family = descendants(process.pid)
                for pid in family if rng.random() < 0.5 else family[:1]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()
                done += 1
                rows_at.append(journal.read_bytes().count(b"\n") if journal.exists() else 0)
                patience = time.monotonic() + 10
                while (left := alive(family)) and time.monotonic() < patience:
                    time.sleep(0.02)
                left_behind += left
            else:
                survived_to_end += process.wait() == 0
        cycles += 1
        found = out.read_bytes()
        names = [json.loads(row)["clip"] for row in found.splitlines()]
        lost += total - len(set(names))
        doubled += len(names) - len(set(names))
        differing += hashlib.sha256(found).digest() != hashlib.sha256(whole).digest()
    shutil.rmtree(folder)
    return {"kills": done, "kills_wanted": wanted, "clips": total, "batches_completed": cycles,
            "rows_on_disk_at_each_kill": rows_at, "rows_lost": lost, "rows_doubled": doubled,
            "results_that_differ": differing, "processes_left_behind_10_s_later": left_behind,
            "uninterrupted_s": whole_s, "seed": seed}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[[], "kills", "overhead", "memory"])
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--overhead", type=int, default=20)
    parser.add_argument("--budget", type=float, default=900.0, help="seconds for the kills")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    rounds = 3
    if chosen.quick:
        chosen.clips, chosen.kills, chosen.overhead, rounds = 200, 5, 5, 1
    target = ROOT / "benchmarks" / "results" / "batch.json"
    found: dict[str, Any] = {}
    if target.exists():
        found = json.loads(target.read_text("utf-8"))
    with tempfile.TemporaryDirectory(prefix="forensics-benchmark-") as folder:
        place = Path(folder)
        for name, run in (("kills", lambda: kills(place, chosen.kills, chosen.budget)),
                          ("overhead", lambda: overhead(place, chosen.overhead, rounds)),
                          ("memory", lambda: memory(place, chosen.clips))):  # fmt: skip
            if chosen.parts and name not in chosen.parts:
                continue
            machine = {"machine": platform.machine(), "cpus": os.cpu_count(),
                       "load_at_start": os.getloadavg()[0]}  # fmt: skip
            found[name] = run() | machine
            print(name, json.dumps(found[name], indent=1), flush=True)
            if not chosen.quick:
                target.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
