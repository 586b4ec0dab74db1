"""Does the choice of keyframes cover what it should: newcomers in a fixed view, shots of a film?

    python benchmarks/keyframes.py WORK

Busy: the region-enterers of five real views that `benchmarks/activity.py` labels by eye; one is
covered when a keyframe lies within two seconds of the entry. Visits: six people who come into one
of these one by one, from entry to leaving. Quiet: three of them, empty for minutes (their empty
seconds played to and fro, with the camera's own noise), with two seconds of each entry put in at
random; one is covered when a keyframe lies in it. Shots: those of the real films and composed
clips of `benchmarks/cuts.py` (held-out footage), blends between them left out; one is covered when
a keyframe lies in it. Each beside as many frames spread evenly, as picked and with `max_count` at
the number of newcomers (and one for the view) or shots; and how many keyframes show a blend of two
shots. Prints what it writes to results/keyframes.json; a row for the error-rate table goes to
results/rates_keyframes.json.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from activity import CROSSINGS_OF, FRESH_ENTERS, HIGHWAY, MEDIA, MOTORWAY, ROAD, ROOM
from cuts import HELD_OUT, LABELLED, LENGTHS, compose
from numpy.typing import NDArray

from forensics import open_clip, scan, video
from forensics.calibration import Row, item_rate
from forensics.edits_make import write_clip
from forensics.model import Clip, Keyframe, to_builtins

WITHIN_S = 2.0
Spans = list[tuple[float, float]]
ENTRIES = {source: sorted(t for (_, kind), times in said.items() if kind == "enters" for t in times)
           for source, said in CROSSINGS_OF.items()} | {MOTORWAY: sorted(FRESH_ENTERS)}  # fmt: skip
#: Seconds in which these views are empty.
EMPTY = {ROOM: (0.0, 5.0), ROAD: (9.5, 13.0), HIGHWAY: (0.0, 1.4)}


def picked(clip: Clip, most: int | None = None) -> list[Keyframe]:
    """What the method picks."""
    found = video.find_keyframes(clip, max_count=most, width_px=64)
    return [o.what for o in found.observations if isinstance(o.what, Keyframe)]


def evenly(first: float, last: float, count: int) -> list[float]:
    """The middles of equal parts."""
    step = (last - first) / count
    return [first + (k + 0.5) * step for k in range(count)]


def covered(spans: Spans, at: list[float]) -> int:
    """Spans in which one of the times lies."""
    return sum(any(a <= t <= b for t in at) for a, b in spans)


def compare(
    clip: Clip, spans: Spans, last: float, *, frames: bool, films: bool = False
) -> dict[str, Any]:
    """Spans covered by the choice and by an even spacing; as picked, and one frame for each."""
    row: dict[str, Any] = {"n": len(spans)}
    # Of a view, one frame goes to the view itself.
    for name, most in (("as picked", None), ("one for each", len(spans) + (not films))):
        at = [float(k.ordinal if frames else k.pts) for k in picked(clip, most)]
        row[name] = {"frames": len(at), "covered": covered(spans, at),
                     "even spacing": covered(spans, evenly(0.0, last, len(at)))}  # fmt: skip
        if most is None:
            row["at"] = [round(t, 2) for t in at]
    return row


def busy() -> dict[str, Any]:
    """Entries into the regions of five real views."""
    out = {}
    for source, times in ENTRIES.items():
        clip = open_clip(MEDIA / source, metadata=False)
        spans = [(t - WITHIN_S, t + WITHIN_S) for t in times]
        out[source] = compare(clip, spans, float(clip.duration or 0), frames=False)
        print(source, out[source], flush=True)
    return out


def visits() -> dict[str, Any]:
    """Who stays for a while in a view that is empty otherwise, from entry to leaving."""
    said = CROSSINGS_OF[ROOM]
    spans = list(zip(said["table", "enters"], said["table", "leaves"], strict=True))
    clip = open_clip(MEDIA / ROOM, metadata=False)
    return {ROOM: compare(clip, spans, float(clip.duration or 0), frames=False)}


def quiet(work: Path) -> dict[str, Any]:
    """The same entries, each two seconds long, in minutes of an empty view."""
    out = {}
    for source, (low, high) in EMPTY.items():
        clip = open_clip(MEDIA / source, metadata=False)
        assert clip.video is not None
        rate = round(float(clip.video.frame_rate or 25))
        rng = np.random.default_rng(len(source))

        def read(first: float, last: float, clip: Clip = clip, rate: int = rate) -> NDArray[Any]:
            a = max(0, round(first * rate))
            return scan.read_stretch(clip, a, round(last * rate), width_px=320)[0]

        rest, frames = read(low, high), []
        spans = []
        for time in ENTRIES[source]:
            steps = np.abs(np.arange(round(rng.uniform(25, 75) * rate)) % (2 * len(rest) - 2)
                           - len(rest) + 1)  # fmt: skip
            frames += [rest[k] for k in steps]
            there = read(time - 0.3, time + WITHIN_S - 0.3)
            spans.append((float(len(frames)), float(len(frames) + len(there) - 1)))
            frames += list(there)
        frames += list(rest)
        path = write_clip(work / f"quiet_{len(out)}.mp4", np.stack(frames), range(len(frames)),
                          Fraction(rate))  # fmt: skip
        made = open_clip(path, metadata=False)
        out[source] = compare(made, spans, float(len(frames)), frames=True)
        print(source, len(frames) / rate, out[source], flush=True)
    return out


def shots(work: Path) -> dict[str, Any]:
    """Shots of real films and of composed clips."""
    material = {name: (MEDIA / name, truth) for name, truth in LABELLED.items()}
    for kind, (_, *others) in LENGTHS.items():
        for length in sorted(set(others)):
            path, truth = compose(kind, work, HELD_OUT, length, "held_out")
            material[f"held out: {kind}, {length} frames"] = path, truth
    out = {}
    for name, (path, truth) in material.items():
        clip = open_clip(path, metadata=False)
        bounds = [(0, 0), *truth, (video.find_cuts(clip).coverage.units_seen, 0)]
        spans = [(float(max(a, b)), float(c - 1)) for (a, b), (c, _) in
                 itertools.pairwise(bounds) if c - 1 > b]  # fmt: skip
        row = compare(clip, spans, float(bounds[-1][0]), frames=True, films=True)
        # A label of a dissolve's first and last frame is good to a frame or so.
        row["blends"] = sum(a + 1 < t < b - 1 for a, b in truth if b - a > 1 for t in row["at"])
        out[name] = row
        print(name, row, flush=True)
    return out


def total(rows: dict[str, Any], name: str) -> dict[str, Any]:
    """Both ways over all clips, with intervals."""
    n = sum(row["n"] for row in rows.values())
    return {
        "frames": sum(row[name]["frames"] for row in rows.values()),
        **{who: to_builtins(item_rate(sum(row[name][who] for row in rows.values()), n))
           for who in ("covered", "even spacing")},
    }  # fmt: skip


def main() -> None:
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    parts = {"busy": busy(), "visits": visits(), "quiet": quiet(work), "shots": shots(work)}
    out: dict[str, Any] = {"measured": datetime.now(UTC).date().isoformat(),
                           "within_s": WITHIN_S}  # fmt: skip
    for name, rows in parts.items():
        out[name] = {"rows": rows} | {
            much: total(rows, much) for much in ("as picked", "one for each")
        }
    frames = out["shots"]["as picked"]["frames"]
    blends = sum(row["blends"] for row in parts["shots"].values())
    out["shots"]["keyframes that show a blend"] = to_builtins(item_rate(blends, frames))
    for name in parts:
        print(name, {k: v for k, v in out[name].items() if k != "rows"})
    results = Path(__file__).resolve().parent / "results"
    (results / "keyframes.json").write_text(json.dumps(out, indent=1) + "\n")
    counted = [name for name in parts if name != "visits"]  # the same people as in "busy"
    hits = sum(out[name]["as picked"]["covered"]["events"] for name in counted)
    n = sum(row["n"] for name in counted for row in parts[name].values())
    made = Path(__file__).read_bytes()
    table = [Row(
        "video-keyframes", "3", "", hits, n - hits, blends, float(frames), False,
        "entries into regions of real views, busy and quiet, shots of real and composed films",
        hashlib.sha256(made).hexdigest(), len({*ENTRIES, *LABELLED, *HELD_OUT}),
        out["measured"], "benchmarks/keyframes.py",
        "a miss is a newcomer or shot without a keyframe; a false positive is a keyframe of a "
        "shot boundary's blend, among those of the films",
    )]  # fmt: skip
    (results / "rates_keyframes.json").write_text(json.dumps(to_builtins(table), indent=1) + "\n")


if __name__ == "__main__":
    main()
