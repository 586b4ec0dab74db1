# ruff: noqa: E501 - sentences in cells
"""Write notebook 04 from the cells below, outputs stripped.

python notebooks/make_markings_notebook.py
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent

CELLS = [
    ("md", """# Markings and vehicles

Four figures with shields come down a path. Three phones film them. Which unit's emblem is on the
shields, what is written there, what did they arrive in? This notebook goes from the clip to a
catalogue that can be searched and a contact sheet that can be shown, and says at each step what the
answer rests on and what it does not say.

Two things hold throughout. **A match is between designs**: an emblem can be worn by others, copied,
taken off or put on. **No person is identified**: the detectors' boxes around people only say where
to look, and are never recorded.

It runs on the staged incident (`./run demo`, or `FORENSICS_STAGED`), where every unit is invented;
without one it stages a shield itself."""),
    ("code", '''%matplotlib inline
import os
import sys
import tempfile
from pathlib import Path

import forensics
from forensics import insignia, plots_markings, vehicles
from forensics.model import Box

places = (Path.cwd(), *Path.cwd().parents)
root = next((p for p in places if (p / "pyproject.toml").exists()), Path.cwd())
staged = Path(os.environ.get("FORENSICS_STAGED", root / "demo"))
work = Path(tempfile.mkdtemp(prefix="markings-"))


def stage_shields(folder):
    """Two invented shields before a plain street, one near and one far: the small stand-in."""
    import av
    import cv2
    import numpy as np

    sys.path.insert(0, str(root / "samples"))
    from staged.emblems import shield_face, write_gallery

    write_gallery(folder / "gallery")
    rng = np.random.default_rng(3)
    street = np.full((540, 960, 3), 96.0)
    street[:200] = (150, 152, 158)
    street[60:150, 80:900:120] = 60
    for role, x, y, high in (("shield-1", 260, 190, 300), ("shield-2", 640, 240, 130)):
        face = shield_face(1, role)
        size = (round(high * face.shape[1] / face.shape[0]), high)
        face = cv2.resize(face, size, interpolation=cv2.INTER_AREA)
        part = street[y : y + high, x : x + size[0]]
        part[:] = part * (1 - face[..., 3:]) + face[..., 2::-1] * face[..., 3:]
    out = folder / "shields.mp4"
    with av.open(str(out), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "26"})
        stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
        for step in range(30):
            frame = np.roll(street, step // 3, axis=1) + rng.normal(0, 3, street.shape)
            frame = np.clip(frame, 0, 255).astype(np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))
    return out


if (staged / "truth.json").exists():
    path, folder, step_s = staged / "evidence" / "phone_a.mov", staged / "gallery", 4.0
else:
    path, folder, step_s = stage_shields(work), work / "gallery", 0.8
clip = forensics.open_clip(path, metadata=False)
print(clip.name, clip.digest[:16], f"{float(clip.duration):.1f} s")'''),
    ("md", """## 1. The gallery, before any evidence

A gallery is a folder: one `reference.toml` and its pictures for each unit. An entry that does not
say where its picture comes from is refused. Which designs could be taken for one another is found
**before** looking at evidence; such a pair never gives more than `possible_design`."""),
    ("code", '''gallery = forensics.Gallery.open(folder)
for problem in gallery.lint():
    print("refused" if problem.refused else "to fill in", problem.unit, problem.text)
for pair in gallery.check_lookalikes():
    said = "declared" if pair.declared else "found by measuring"
    print(f"{pair.first} and {pair.second}: {pair.agreement:.0%} of the drawing agrees ({said})")

from matplotlib.figure import Figure

figure = Figure(figsize=(10, 2.4), layout="constrained")
for ax, entry in zip(figure.subplots(1, len(gallery)), gallery, strict=True):
    ax.imshow(gallery.image(entry.unit))
    ax.set_title(entry.name, fontsize=7)
    ax.set_axis_off()
figure'''),
    ("md", """## 2. Look for yourself first

Your own box is the primary input. In Jupyter the picker below steps through frames (arrow keys),
draws boxes, labels them and takes them back (`u`). What you draw is in `picker.boxes`."""),
    ("code", '''picker = insignia.open_picker(clip, examiner="A. Examiner", every_s=step_s)
picker'''),
    ("md", """## 3. Let the detectors assist

The search proposes emblems and lettering; each proposal is examined like a box of yours. *Nothing
found* by a search means little: small, folded or blurred markings are missed, and people in night
CCTV are mostly missed too."""),
    ("code", '''searched = insignia.find_markings(clip, gallery=gallery, every_s=step_s)
print(searched)
print("looked at", searched.coverage.units_seen, "pictures;", searched.reason or "nothing left out")
plots_markings.draw_contact_sheet(searched, limit=20)'''),
    ("md", """## 4. Box the best one, and compare

The largest proposal is boxed as an examiner would, and held against the gallery. The verdict comes
from the number of details in one geometry, from how much of the drawing agrees place by place, and
from size: under 76 pixels nothing is more than `possible_design`, under 32 nothing is compared."""),
    ("code", '''emblems = [o for o in searched.observations if o.what.candidates]
largest = max(emblems, key=lambda o: o.what.box.width)
seen = largest.what
mine = insignia.MarkedBox(
    ordinal=seen.ordinal, pts=seen.pts, box=seen.box, kind="patch", examiner="A. Examiner",
    note="front of the shield",
)
boxed = insignia.find_markings(
    clip, gallery=gallery, boxes=(mine, *picker.boxes), lettering=False
)
sighting = boxed.observations[0].what
print(sighting.verdict, "-", boxed.observations[0].note)
for candidate in sighting.candidates[:2]:
    print("\\n" + candidate.entry, f"resemblance {candidate.score:.2f}")
    print("  for:    ", "; ".join(candidate.similarities) or "nothing")
    print("  against:", "; ".join(candidate.differences) or "nothing")
    if "log10_lr" in candidate.measures:
        print("  log10 LR", candidate.measures["log10_lr"])'''),
    ("code", '''import io

import numpy as np
from PIL import Image

from forensics.provenance import artefact_bytes

crop = np.array(Image.open(io.BytesIO(artefact_bytes(boxed.observations[0].artefacts[0]))))
plots_markings.draw_comparison(crop, gallery, entry=sighting.candidates[0].entry)'''),
    ("md", """The runner-up, drawn the same way: what differs is the point."""),
    ("code", '''others = [e.unit for e in gallery if e.unit != sighting.candidates[0].entry]
alike = sorted(gallery.look_alikes(sighting.candidates[0].entry)) or others
plots_markings.draw_comparison(crop, gallery, entry=alike[0])'''),
    ("md", """## 5. Four steps, the last by somebody who did not know

Analysis, comparison, evaluation, verification. The evaluation is sealed first; whoever verifies
gets the candidates in an order that gives nothing away. Where two examiners differ, the weaker
verdict stands."""),
    ("code", '''print("sheet for the verifier:", insignia.blind_sheet(sighting, seed=7))
sealed = insignia.seal_decision("possible_design", examiner="A. Examiner")
print("seal, given away before:", sealed.seal[:24], "...")
when = "2026-01-02T10:00:00Z"
steps = (
    insignia.Step("analysis", "A. Examiner", when, "suitable", "sharp, seen from the front"),
    insignia.Step("comparison", "A. Examiner", when, sighting.candidates[0].entry,
                  "ring, charge and letters agree; a look-alike is in the gallery"),
    insignia.Step("evaluation", "A. Examiner", when, "possible_design",
                  "the look-alike cannot be excluded at this size",
                  seal=sealed.seal, nonce=sealed.nonce),
    insignia.Step("verification", "B. Examiner", when, "possible_design", "compared alone"),
)
compared = insignia.record_comparison(clip, sighting=sighting, steps=steps)
print(compared.observations[0].what.attributes["verification"])'''),
    ("md", """## 6. What is *not* there

"No insignia" can be the evidence itself. Only a person records it, with a reason; a detector's
silence never does."""),
    ("code", '''absence = insignia.record_absence(
    clip, ordinal=seen.ordinal, pts=seen.pts, kind="helmet-number", absence="not-visible",
    box=Box(max(0.0, seen.box.x), max(0.0, seen.box.y - 1.2 * seen.box.height), seen.box.width,
            seen.box.height),
    examiner="A. Examiner", reason="the helmet is not in view in this frame",
)
print(absence.observations[0].what.observed_absence, "-", absence.observations[0].note)'''),
    ("md", """## 7. Vehicles

Type, two colour candidates or none, and a number plate as far as its height in pixels allows: at
least 20 to be readable, 12 to give alternatives, nothing below. At night no colour is named. Vans
come out as car, truck or bus: the detectors know no vans."""),
    ("code", '''found = vehicles.find_vehicles(clip, every_s=max(step_s, 2.0), countries=("by", "ru"))
print(found)
for observation in found.observations[:6]:
    said = observation.what
    colour = " or ".join(c.entry for c in said.colours) or said.attributes.get("colour", "")
    print(said.vehicle_type, "|", colour, "| plate:", said.plate.verdict if said.plate else "none seen")
plots_markings.draw_contact_sheet(found, limit=10)'''),
    ("md", """## 8. What belongs together

Sightings are joined only by an edge one can look at. A cluster is of markings, not of those who
wear them."""),
    ("code", '''for cluster in insignia.cluster_sightings([searched, boxed, found]):
    print(cluster.name, len(cluster.members), "sightings")
    for edge in cluster.edges[:3]:
        print("   ", edge.basis, "-", edge.text)'''),
    ("md", """## 9. Into the ledger, and the catalogue

Every examination is a line in the ledger. The catalogue is rebuilt from it and can be searched."""),
    ("code", '''from forensics.catalogue import Catalogue
from forensics.provenance import Ledger

ledger = Ledger(work / "ledger.jsonl")
for said in (clip, searched, boxed, compared, absence, found):
    ledger.append(said)
catalogue = Catalogue.build(ledger, work / "catalogue.sqlite")
print(len(catalogue), "findings")
for hit in catalogue.search(kind="patch")[:4]:
    print(hit.verdict, hit.entries[:1], f"at {hit.start_s:.2f} s, line {hit.line}")'''),
    ("md", """Or by an example: a picture cut closely around a marking or a vehicle. What looks most like it
comes first, and the leading crops are compared detail by detail. It ranks, it does not decide.
`forensics catalogue search FOLDER --like PICTURE` does the same."""),
    ("code", '''example = np.array(Image.fromarray(crop).crop((8, 8, crop.shape[1] - 8, crop.shape[0] - 8)))
for item in catalogue.match_picture(example, limit=3, closely=10):
    print(f"{item.resemblance:.2f}", item.details, item.hit.kind, f"{item.hit.start_s:.2f} s")'''),
    ("md", """## 10. Something that can be shown

A contact sheet in which everything but the marking itself is coarse, and faces and plates are
covered; a table for a spreadsheet, CVAT or a browser; and a copy of the clip with faces and plates
hidden. Each covers bystanders unless it is told `unredacted=True`, and then says so."""),
    ("code", '''sheet = plots_markings.draw_contact_sheet([boxed, absence], columns=3)
sheet.savefig(work / "contact_sheet.png", dpi=110)
for name in ("sightings.csv", "sightings.json", "sightings.xml", "sightings.html"):
    catalogue.write_hits(catalogue.search(), work / name)
if clip.duration < 5:
    from forensics.incident import write_shareable

    write_shareable(clip, work / "shareable.mp4")
else:
    print("forensics redact", clip.name, "-o shareable.mp4    # a minute of clip takes some minutes")
print("written:", *sorted(path.name for path in work.iterdir() if path.is_file()))
sheet'''),
    ("md", """## What this does not say

That an emblem resembles a design says nothing about who wore it or by what right. A unit that is not
in the gallery cannot be found; one that shares the design cannot be told apart. The figures behind
the verdicts are measured on emblems *composed* onto real frames (48 pixels, H.264 crf 32: 216 of 240
found, none of 600 unknown designs taken for one of the gallery; blurred by motion: 18 of 120): on
real cloth, folded and worn, expect to need two to three times the pixels."""),
]  # fmt: skip


def main() -> None:
    """Write without outputs."""
    from writing import write

    write(HERE / "04_markings_and_vehicles.ipynb", CELLS, ids="markings")


if __name__ == "__main__":
    main()
