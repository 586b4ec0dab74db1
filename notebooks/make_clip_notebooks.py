# ruff: noqa: E501 - the lines of the notebooks' texts are theirs
"""Write notebooks 01 and 02 from the cells below, outputs stripped.

    python notebooks/make_clip_notebooks.py
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent

FIND = '''
%matplotlib inline
import os
from pathlib import Path

root = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "pyproject.toml").exists())
staged = Path(os.environ.get("FORENSICS_STAGED", root / "demo"))
media = Path(os.environ.get("FORENSICS_MEDIA", root.parent / "shared" / "media"))


def first_there(*places):
    """The first of these files that exists: the staged incident, or a real recording."""
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError("run ./run demo first, or set FORENSICS_STAGED or FORENSICS_MEDIA")
'''

OPEN = [
    ("md", """# Open a clip

A file arrived. Nobody vouches for it. This notebook opens it without changing it, looks at what it
declares, picks the frames worth looking at, and says exactly which frames these are, so that another
expert lands on the same pictures."""),
    ("code", FIND.strip()),
    ("code", '''import forensics

path = first_there(
    staged / "evidence" / "cctv_cam04.mp4",
    media / "debian_opencv_doc" / "vtest.avi",
)
clip = forensics.open_clip(path)
print(clip.name)
print("SHA-256 ", clip.digest)
print("size    ", clip.size, "bytes")
print("metadata", clip.metadata_status)'''),
    ("md", """The digest is the clip's identity from here on. Widths, rates and durations below are what the
file *declares*; only a scan counts frames."""),
    ("code", '''import pandas as pd

pd.DataFrame(
    [
        {
            "stream": s.index,
            "codec": s.codec,
            "declares": f"{s.width} x {s.height}" if hasattr(s, "width") else getattr(s, "channels", ""),
            "rate": str(getattr(s, "frame_rate", getattr(s, "sample_rate", ""))),
            "duration_s": float(s.duration) if getattr(s, "duration", None) else None,
        }
        for s in clip.streams
    ]
)'''),
    ("md", """## What the bytes say

Nothing is decoded for this: sizes and types of all packets, the encoder's own numbers, gaps, what
an edit list hides, and the findings by level. A whole folder is sorted the same way with
`forensics open DIR`."""),
    ("code", '''from forensics import container, plots

bytes_say = container.find_discontinuities(clip)
print(bytes_say)
plots.draw_packets(clip, bytes_say)'''),
    ("md", """## The frames worth looking at

One sharp frame of each shot, then whatever is unlike everything picked so far: newcomers in a fixed
view, sudden events. Each has its ordinal, its exact time, the byte in the file it was decoded from,
and the SHA-256 of its decoded pixels."""),
    ("code", '''from forensics import plots_edits, video

keyframes = video.find_keyframes(clip, max_count=12)
plots_edits.draw_keyframes(clip, keyframes)'''),
    ("code", '''keyframes.to_frame()[["ordinal", "pts", "reason", "byte_position", "pixel_hash"]]'''),
    ("md", """Without any of our software: `ffmpeg -noautorotate -i CLIP -f framehash -hash sha256 -` prints
the same pixel hashes."""),
    ("md", """## What one decode measured

Every later question is answered from these numbers; asking again costs nothing."""),
    ("code", '''import matplotlib.pyplot as plt

measured = video.measure_frames(clip)
figure, (change, light) = plt.subplots(2, 1, figsize=(11, 3.6), sharex=True, layout="constrained")
change.fill_between(measured.seconds, measured.columns["peak"], step="mid", color="#4a6fa5")
change.set_ylabel("change\\n(grey levels)")
light.plot(measured.seconds, measured.columns["level"], color="#8a6d1d")
light.set_ylabel("brightness\\n(grey levels)")
light.set_xlabel("time in the clip (s)")
for axes in (change, light):
    axes.spines[["top", "right"]].set_visible(False)
print(len(measured), "frames decoded;", measured.decode_failures, "packets refused by the decoder")'''),
    ("md", """The sheet can leave the notebook as a picture, a page that needs no network, or a ZIP with a
table: `plots_edits.write_keyframes(clip, keyframes, "sheet.html")`, or in the shell
`forensics keyframes CLIP -o sheet.html`."""),
]

EDITED = [
    ("md", """# Has it been edited?

A fixed camera's recording is handed over as "the full export". This notebook shows what the library can
say about such a claim, on a clip **to which we ourselves did something known**, in five steps:

1. what was done to the clip, so that every answer below can be held against it;
2. what is found when every level is asked once, in one figure;
3. how often such a finding is wrong, and what explains it without any editing;
4. what could *not* have been seen, and the control experiment: would we have seen it?
5. the words that may go into a report, and those that may not."""),
    ("code", FIND.strip()),
    ("md", """## 1. What was done to it

If the staged incident is here (`./run demo` makes it), its camera file is used: its `truth.json` says what
was cut. Otherwise two seconds are taken out of a real view, here and now."""),
    ("code", '''import json
from fractions import Fraction

import forensics
from forensics import edits, plots_edits, video

questioned = staged / "evidence" / "cctv_cam04.mp4"
if questioned.exists():
    truth = json.loads((staged / "truth.json").read_text())["clips"]["cctv"]["edits"][0]
    cut_s, removed_s = truth["cut_clip_s"], truth["length_s"]
    source_name = "the staged camera"
else:
    # No staged incident here: a real fixed view, with two seconds taken out of it by us.
    import tempfile

    from forensics.edits_make import plan_edits, write_clip
    from forensics.scan import read_stretch

    source = forensics.open_clip(media / "debian_opencv_doc" / "vtest.avi", metadata=False)
    frames, _ = read_stretch(source, 0, 380, width_px=480)
    plan = plan_edits("deletion", len(frames), 10.0, length_s=2.0, most=1)
    questioned = write_clip(
        Path(tempfile.mkdtemp()) / "questioned.mp4", frames, plan.order, Fraction(10)
    )
    cut_s, removed_s = plan.edits[0].first / 10, 2.0
    source_name = "a real camera (vtest.avi), encoded again as an export is"
print(f"{questioned.name}: {source_name}")
print(f"removed by us: {removed_s:g} s; in this file the cut lies at {cut_s:g} s")'''),
    ("md", """## 2. Every level once

File, time stamps and bitstream, traces of an older encoding, pictures, sound, mains hum, burned-in clock.
None of these methods is told what was done. A level that could not look says so; it is never counted as
"nothing found"."""),
    ("code", '''clip = forensics.open_clip(questioned)
found = edits.find_edits(clip)
print(f"{clip.name}: {len(found)} findings by {found.origin.method} {found.origin.version}")
found.to_frame()[["level", "kind", "verdict", "from_s", "to_s", "score"]]'''),
    ("code", '''plots_edits.draw_edits(clip, found)'''),
    ("md", """How to read it. On top, pictures under their times. The blue curve is how much each picture differs from
the one before: a cut in a still view is a single step. Each row is one way of looking. **Numbers are findings**,
named in the list below: white on dark where a finding is inconsistent with an original, dashed where it is
inconclusive. **Hatched is where an edit could not have been seen** by that row; "nothing found" says nothing
there."""),
    ("code", '''best = max(
    (f for f in found if f.observation.what.level == "frame"), key=lambda f: f.observation.score
)
said, span = best.observation.what, best.observation.span
outcome = "inconclusive" if said.verdict == "inconclusive" else f"{said.verdict} with an original"
print(f"found:   {said.kind}, {span}: {outcome}")
print(f"truth:   a cut at {cut_s:.3f} s, {abs(float(span.end) - cut_s):.3f} s from the end of that")'''),
    ("md", """The last picture before the break, the first one after it, and what differs between them. In an uncut
recording only what moves within one frame interval differs; here people stand elsewhere at once."""),
    ("code", '''import matplotlib.pyplot as plt
import numpy as np

measured = video.measure_frames(clip)
after = int(np.searchsorted(measured.seconds, float(span.end) - 1e-6))
pair = forensics.scan.read_pictures(clip, [(n, int(measured.pts[n])) for n in (after - 1, after)])
figure, axes = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained")
for place, picture, where in zip(axes, pair, ("before", "after"), strict=False):
    place.imshow(picture.rgb)
    place.set_title(f"{where}: frame {picture.ordinal} at {float(picture.pts):.3f} s", fontsize=9)
difference = np.abs(pair[0].rgb.astype(int) - pair[1].rgb).max(axis=2)
shown = axes[2].imshow(difference, cmap="gray_r", vmin=0, vmax=90)
axes[2].set_title("where the two differ", fontsize=9)
figure.colorbar(shown, ax=axes[2], label="difference (grey levels of 255)", shrink=0.85)
for place in axes:
    place.set_axis_off()'''),
    ("md", """## 3. How often is such a finding wrong, and what else explains it?

The error rate was measured on clips the method was not tuned on; it stands with its counts and 95 % interval.
Where several levels agree, no rate of their agreement was measured: each level's own is printed instead. The
explanations are ranked; the harmless ones are those that the other side's expert will name."""),
    ("code", '''for support in said.supports:
    print("rests on:", support)
print()
for why in said.explanations:
    print(f"{why.rank}. {'harmless' if why.benign else 'an edit '}  {why.name}: {why.text}")
print()
print(best.error_rate)'''),
    ("md", """## 4. What could not have been seen?

Each stretch in which a level was blind, and why."""),
    ("code", '''import pandas as pd

pd.set_option("display.max_colwidth", 120)
pd.DataFrame(
    [
        {"from_s": round(float(part.span.start), 2), "to_s": round(float(part.span.end), 2),
         "level": part.reason.partition(": ")[0], "why not": part.reason.partition(": ")[2]}
        for part in found.coverage.not_testable
    ]
)'''),
    ("md", """**The control experiment.** The same kinds of edit are made on untouched stretches of *this* clip, encoded
again, and looked for by the same detectors. The share found says what "nothing found" is worth here; alarms on
what was encoded without an edit say how often this view raises a false one."""),
    ("code", '''power = edits.measure_power(clip, kinds=("deletion", "loop"), length_s=1.0, most=4)
for name, share in power.measures.items():
    if share.low is not None and name.startswith("found"):
        low, high = (f"{100 * bound:.0f}" for bound in (share.low, share.high))
        print(f"{name}: {share.note}; 95 % interval {low} to {high} %")
    else:
        print(f"{name}: {share.value:.0f} {share.note}")'''),
    ("md", """Four edits are few, and the interval says how few. For a report make more of them (`most=40`), as long as
what is said to be missing."""),
    ("md", """## 5. What may be written

Three outcomes, in SWGDE's words: *consistent with an original*, *inconsistent with an original*, *inconclusive*.
The sentences below hold only what was measured. Whether a harmless cause can be excluded is for the examiner to
say, from what is known of the recorder; the program does not know it."""),
    ("code", '''rate = str(best.error_rate)
rate = rate if rate.startswith("error rate") else f"error rate: {rate}"
harmless = ", ".join(why.name for why in said.explanations if why.benign)
control = "; ".join(f"{n} {q.note}" for n, q in power.measures.items() if n.startswith("found"))
print(f"""\\
The file {clip.name} (SHA-256 {clip.digest}) was examined with the
method {found.origin.method}, version {found.origin.version}. From {span} of its running time
the recording does not continue as one recording would ({said.kind}).
In this respect the file is: {outcome}.
Causes without any editing: {harmless}.
[The examiner: which of these are excluded here, and by what.]
{rate[0].upper()}{rate[1:]}.
Control experiment on this file: {control}.
Stretches in which an edit could not have been seen: {len(found.coverage.not_testable)}, listed with reasons.""")'''),
    ("md", """What this does *not* say, and no sentence may: who did it, why, what the missing part showed, or that the
rest is unaltered. Where nothing was found, write *"no trace of an edit was found; these stretches could not be
tested: …"*, with the list and the control experiment, and nothing beyond that."""),
]


def main() -> None:
    """Write without outputs."""
    from writing import write

    write(HERE / "01_open_a_clip.ipynb", OPEN)
    write(HERE / "02_has_it_been_edited.ipynb", EDITED)


if __name__ == "__main__":
    main()
