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

A fixed camera's recording is handed over as "the full export". Something was done to it, and we know
what, because the incident is staged and its `truth.json` says so. We ask every level once, look at
what they say together, and then ask the question that matters in court: **would we have seen it?**"""),
    ("code", FIND.strip()),
    ("code", '''import json
from fractions import Fraction

import forensics
from forensics import edits, plots_edits, video

questioned = staged / "evidence" / "cctv_cam04.mp4"
if questioned.exists():
    truth = json.loads((staged / "truth.json").read_text())["clips"]["cctv"]["edits"][0]
    known = f"staged: {truth['length_s']:g} s removed, the cut lies at {truth['cut_clip_s']:g} s"
else:
    # No staged incident here: a real fixed view, with two seconds taken out of it by us.
    import tempfile

    from forensics.edits_make import plan_edits, write_clip
    from forensics.scan import read_stretch

    source = forensics.open_clip(media / "debian_opencv_doc" / "vtest.avi", metadata=False)
    frames, _ = read_stretch(source, 0, 380, width_px=480)
    plan = plan_edits("deletion", len(frames), 10.0, most=1)
    questioned = write_clip(
        Path(tempfile.mkdtemp()) / "questioned.mp4", frames, plan.order, Fraction(10)
    )
    known = f"made here: 2 s removed, the cut lies at {plan.edits[0].first / 10:g} s"
known'''),
    ("md", """## Every level once

Container and bitstream, pictures, burned-in clock, sound, mains hum. A level that could not look
says so; it is never counted as "nothing found"."""),
    ("code", '''clip = forensics.open_clip(questioned)
found = edits.find_edits(clip)
print(found)
found.to_frame()[["level", "kind", "verdict", "from_s", "to_s", "score"]]'''),
    ("code", '''plots_edits.draw_edits(clip, found)'''),
    ("md", """Hatched: places where an edit *could not have been seen*, and on which level. Below, the strongest
finding about the pictures: its supports, and every explanation that needs no editing at all."""),
    ("code", '''best = max(
    (f for f in found if f.observation.what.level == "frame"), key=lambda f: f.observation.score
)
said = best.observation.what
print(f"{said.kind} at {best.observation.span}: {said.verdict}")
for support in said.supports:
    print("  support:", support)
for why in said.explanations:
    print(f"  {why.rank}. {why.name}{' (harmless)' if why.benign else ''}: {why.text}")
print(best.error_rate)'''),
    ("md", """The two pictures on either side of the break, as they stand in the file:"""),
    ("code", '''import matplotlib.pyplot as plt
import numpy as np

measured = video.measure_frames(clip)
after = int(np.searchsorted(measured.seconds, float(best.observation.span.end) - 1e-6))
pair = forensics.scan.read_pictures(clip, [(n, int(measured.pts[n])) for n in (after - 1, after)])
figure, axes = plt.subplots(1, 3, figsize=(13, 3.2), layout="constrained")
for place, picture in zip(axes, pair, strict=False):
    place.imshow(picture.rgb)
    place.set_title(f"frame {picture.ordinal} at {float(picture.pts):.3f} s", fontsize=9)
difference = np.abs(pair[0].rgb.astype(int) - pair[1].rgb).max(axis=2)
axes[2].imshow(difference, cmap="magma", vmin=0, vmax=90)
axes[2].set_title("what changed in one frame", fontsize=9)
for place in axes:
    place.set_axis_off()'''),
    ("md", """## Would we have seen it?

The control experiment: the same kinds of edit, made on untouched stretches of *this* clip and encoded
again, examined by the same detectors. "Nothing found" means little where little would be found."""),
    ("code", '''power = edits.measure_power(clip, kinds=("deletion", "loop"), length_s=1.0, most=4)
print(power)
for name, quantity in power.measures.items():
    print(f"{name:16} {quantity}   {quantity.note}")'''),
    ("md", """What this notebook does *not* say: who did it, why, or that the rest is unaltered. Its three words
are *consistent with an original*, *inconsistent with an original*, *inconclusive*."""),
]


def main() -> None:
    """Write without outputs."""
    from writing import write

    write(HERE / "01_open_a_clip.ipynb", OPEN)
    write(HERE / "02_has_it_been_edited.ipynb", EDITED)


if __name__ == "__main__":
    main()
