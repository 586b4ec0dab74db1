"""What a batch costs over the work itself, what it keeps in memory, and what a kill can break.

    python benchmarks/batch.py [--clips 10000] [--kills 50] [--quick]

Prints and writes benchmarks/results/batch.json. Four questions, each on clips made here:

* overhead: the same steps over the same clips in one warm process, in a batch of one child at a
  time, and in a plain shell loop that starts the command line for each clip;
* memory: the largest resident size of the parent over many small clips;
* kills: the whole process group killed at random moments, resumed, and the result compared byte
  for byte with an uninterrupted run; rows lost and doubled are counted;
* both in processor seconds as well as on the clock, since the machine may be busy with others.
"""

from __future__ import annotations

import argparse
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
from forensics.batch_child import Job, examine

STEPS = (("container.find_discontinuities", {}), ("video.find_keyframes", {}))
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


def cost(run: Any) -> tuple[float, float, Any]:
    """Seconds on the clock and of the processor, of this process and its ended children."""
    def processor() -> float:
        own, theirs = (resource.getrusage(w) for w in (resource.RUSAGE_SELF,
                                                       resource.RUSAGE_CHILDREN))  # fmt: skip
        return own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime

    began, used = time.perf_counter(), processor()
    result = run()
    return time.perf_counter() - began, processor() - used, result


def fresh(code: str) -> dict[str, Any]:
    """Run code in a new interpreter that prints one JSON line."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def overhead(place: Path, count: int) -> dict[str, Any]:
    folder = make_folder(place / "overhead", count, 4.0, (320, 240))
    paths = sorted(folder.iterdir())
    jobs = [Job(p, p.name, STEPS) for p in paths]
    for job in jobs[:3]:
        examine(job)  # imports are not the work
    wall, cpu, _ = cost(lambda: [examine(job) for job in jobs])
    code = (
        "import json, sys, time, resource\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from forensics import batch\n"
        f"folder, steps = Path({str(folder)!r}), {STEPS!r}\n"
        "first = sorted(folder.iterdir())[:3]\n"
        f"batch.run_batch(first, {str(place / 'warm.jsonl')!r}, steps=steps, jobs=1,"
        " keep_artefacts=False)\n"
        "pid = batch._pool._idle[0]._process.pid\n"
        "def used():\n"
        "    theirs = open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[11:15]\n"
        "    own = resource.getrusage(resource.RUSAGE_SELF)\n"
        "    import os\n"
        "    ticks = os.sysconf('SC_CLK_TCK')\n"
        "    return sum(map(int, theirs)) / ticks + own.ru_utime + own.ru_stime\n"
        "t, c = time.perf_counter(), used()\n"
        f"batch.run_batch(folder, {str(place / 'o.jsonl')!r}, steps=steps, jobs=1,"
        " keep_artefacts=False)\n"
        "print(json.dumps({'wall': time.perf_counter() - t, 'cpu': used() - c}))\n"
    )
    ran = fresh(code)
    batch_wall, batch_cpu = ran["wall"], ran["cpu"]
    few = paths[: max(3, count // 20)]
    shell_wall, shell_cpu, _ = cost(lambda: [
        subprocess.run([sys.executable, "-m", "forensics.cli", "keyframes", str(p), "--json"],
                       capture_output=True, check=True, cwd=ROOT) for p in few
    ])  # fmt: skip
    shutil.rmtree(folder)
    return {
        "clips": count, "work_ms_a_clip": 1000 * wall / count,
        "work_cpu_ms_a_clip": 1000 * cpu / count,
        "batch_ms_a_clip": 1000 * batch_wall / count,
        "overhead_ms_a_clip": 1000 * (batch_wall - wall) / count,
        "overhead_share": batch_wall / wall - 1,
        "batch_cpu_ms_a_clip": 1000 * batch_cpu / count,
        "overhead_cpu_share": batch_cpu / cpu - 1,
        "shell_clips": len(few), "shell_ms_a_clip": 1000 * shell_wall / len(few),
        "shell_cpu_ms_a_clip": 1000 * shell_cpu / len(few),
        "shell_note": "the shell loop runs keyframes only, the batch two steps",
    }  # fmt: skip


def memory(place: Path, count: int) -> dict[str, Any]:
    folder = make_folder(place / "many", count, 0.4, (96, 64))
    code = (
        "import json, sys, time, resource\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from forensics import batch\n"
        "t = time.perf_counter()\n"
        f"s = batch.run_batch({str(folder)!r}, {str(place / 'many.jsonl')!r}, steps={SMALL!r},"
        " jobs=2, keep_artefacts=False)\n"
        "own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(json.dumps({'parent_mib': own / 1024, 'seconds': time.perf_counter() - t,"
        " 'failed': s.failed, 'network': s.network}))\n"
    )
    found = fresh(code)
    rows = (place / "many.jsonl").read_bytes().splitlines()
    page = batch.write_page(place / "many.jsonl", place / "many.html")
    names = {json.loads(row)["clip"] for row in rows}
    shutil.rmtree(folder)
    return found | {"clips": count, "rows": len(rows), "distinct": len(names),
                    "result_mib": sum(map(len, rows)) / 2**20,
                    "page_mib": page.stat().st_size / 2**20}  # fmt: skip


def kills(place: Path, wanted: int, budget_s: float, seed: int = 11) -> dict[str, Any]:
    folder = make_folder(place / "kills", 60, 0.4, (96, 64))
    whole = batch.run_batch(folder, place / "whole.jsonl", steps=SMALL, jobs=2,
                            keep_artefacts=False).out.read_bytes()  # fmt: skip
    rng = random.Random(seed)
    out = place / "k.jsonl"
    code = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom forensics import batch\n"
        f"batch.run_batch({str(folder)!r}, {str(out)!r}, steps={SMALL!r}, jobs=1, resume=True,"
        " keep_artefacts=False)\n"
    )
    done = differing = lost = doubled = finished = 0
    until = time.monotonic() + budget_s
    while done < wanted and time.monotonic() < until:
        out.unlink(missing_ok=True)
        out.with_name(out.name + ".part").unlink(missing_ok=True)
        while done < wanted and time.monotonic() < until:
            process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
            journal = out.with_name(out.name + ".part")
            # From the first row on any moment may be the last.
            target = rng.randrange(0, 60)
            while process.poll() is None:
                rows = journal.read_bytes().count(b"\n") if journal.exists() else 0
                if rows >= target:
                    time.sleep(rng.uniform(0, 0.02))
                    os.kill(process.pid, signal.SIGKILL)
                    break
                time.sleep(0.002)
            process.wait()
            if out.exists():
                finished += 1
                break
            done += 1
            print("kill", done, "after", rows, "rows", flush=True)
        batch.run_batch(folder, out, steps=SMALL, jobs=2, resume=True, keep_artefacts=False)
        found = out.read_bytes()
        names = [json.loads(row)["clip"] for row in found.splitlines()]
        lost += 60 - len(set(names))
        doubled += len(names) - len(set(names))
        differing += hashlib.sha256(found).digest() != hashlib.sha256(whole).digest()
    shutil.rmtree(folder)
    return {"kills": done, "batches_completed_after_kills": finished + 1, "rows_lost": lost,
            "rows_doubled": doubled, "results_that_differ": differing, "seed": seed,
            "kills_wanted": wanted}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--overhead", type=int, default=120)
    parser.add_argument("--budget", type=float, default=3600.0, help="seconds for the kills")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.clips, chosen.kills, chosen.overhead = 200, 5, 20
    with tempfile.TemporaryDirectory(prefix="forensics-benchmark-") as folder:
        place = Path(folder)
        found: dict[str, Any] = {"machine": platform.machine(), "cpus": os.cpu_count(),
                                 "load_at_start": os.getloadavg()[0]}  # fmt: skip
        for name, run in (("kills", lambda: kills(place, chosen.kills, chosen.budget)),
                          ("overhead", lambda: overhead(place, chosen.overhead)),
                          ("memory", lambda: memory(place, chosen.clips))):  # fmt: skip
            found[name] = run()
            print(name, json.dumps(found[name], indent=1), flush=True)
            if not chosen.quick:
                target = ROOT / "benchmarks" / "results" / "batch.json"
                target.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
