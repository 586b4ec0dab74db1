# ruff: noqa: E501 - the lines of the notebook's texts are its own
"""Writes 06_methodology_appendix.ipynb: kept as a script so that a change of it can be read."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent

CELLS = [
    (
        "md",
        """# How do you know? The methodology appendix

Every finding of this library carries its origin, its error rate or the reason there is none, and
can be run again. The appendix says all of that in the order courts and standards ask for: sections
A0 to A22. Two kinds of field stand in it, and they are never mixed up:

* **O** is observed by the run. The machine fills it in.
* **E** is the engagement record, `engagement.toml`. A person fills it in. What nobody supplied
  prints as *not supplied*; an unknown key is an error.

Everything below happens in a temporary folder, from nothing, offline.""",
    ),
    (
        "code",
        """import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

import forensics
from forensics import container, events, report, video

folder = Path(tempfile.mkdtemp(prefix="appendix-"))


def film(path, seed, bangs):
    \"\"\"Three seconds of a moving square, and bangs in noise.\"\"\"
    rng = np.random.default_rng(seed)
    rate = 16000
    sound = 0.01 * rng.standard_normal(3 * rate)
    for bang in bangs:
        at = int(bang * rate)
        sound[at : at + 1600] += rng.standard_normal(1600) * np.linspace(0.9, 0, 1600) ** 2
    with av.open(str(path), "w") as out:
        picture = out.add_stream("libx264", rate=25, options={"crf": "23"})
        picture.width, picture.height, picture.pix_fmt = 320, 180, "yuv420p"
        voice = out.add_stream("aac", rate=rate, layout="mono")
        scene = np.kron(rng.integers(40, 180, (18, 32, 3)), np.ones((10, 10, 1), int))
        for n in range(75):
            view = scene.astype(np.uint8).copy()
            view[70:110, 3 * n : 3 * n + 40] = 235
            frame = av.VideoFrame.from_ndarray(view, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        for start in range(0, len(sound), 1024):
            piece = sound[None, start : start + 1024].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            out.mux(voice.encode(frame))
        out.mux(voice.encode(None))


film(folder / "square.mp4", 1, [0.8, 1.9])
film(folder / "corner.mp4", 2, [1.2])
(folder / "torn.mp4").write_bytes((folder / "square.mp4").read_bytes()[:200])""",
    ),
    (
        "md",
        """## The case folder

`incident.toml` is what the examiner wrote. The third file is damaged on purpose: an item that
could not be examined belongs in the report as well.""",
    ),
    (
        "code",
        """(folder / "incident.toml").write_text(\"\"\"
schema = 1
title = "A square crosses the view"
case = "EXAMPLE-1"
[[clips]]
id = "square"
path = "square.mp4"
[[clips]]
id = "corner"
path = "corner.mp4"
[[clips]]
id = "torn"
path = "torn.mp4"
\"\"\")
(folder / "engagement.toml").write_text(\"\"\"
[instructions]
requester = "A court that does not exist"
questions = ["Which impulses can be heard?"]
[people]
examiner = "An example"
[[items]]
clip = "torn"
not_examined = "Cut off after 200 bytes; nothing can be decoded."
\"\"\")
incident = forensics.Incident.open(folder)
[clip.id for clip in incident.plan.clips]""",
    ),
    (
        "md",
        """`incident.reconstruct()` runs everything that is missing. Here three methods are run by
hand, to keep it short; each examination becomes one line of the chained ledger.""",
    ),
    (
        "code",
        """\
opened, failures = incident.open_clips()
for clip in opened.values():
    incident.ledger.append(clip)
for failure in failures:
    incident.ledger.append(failure)
for clip in opened.values():
    for examine in (container.find_discontinuities, video.find_keyframes, events.find_events):
        examination = examine(clip)
        incident.ledger.append(examination)
        print(clip.name, "·", examination)
print("lines:", incident.ledger.check(), " head:", incident.ledger.head[:16], "…")""",
    ),
    (
        "md",
        """## The appendix

One record, three formats. HTML needs no script and asks nobody for anything; PDF is tagged
(PDF/UA-1), archival (PDF/A-3b) and has the record inside; Word is for the examiner to work on.""",
    ),
    (
        "code",
        """page = report.write_appendix(incident, folder / "appendix.html")
text = page.read_text("utf-8")
print(page.name, f"{len(text) / 1024:.0f} KiB,", text.count("<section"), "sections,",
      text.count("not supplied"), "fields that only a person can fill in")""",
    ),
    (
        "code",
        """from IPython.display import HTML, SVG, display

display(SVG(text[text.index("<svg") : text.index("</svg>") + 6]))""",
    ),
    (
        "code",
        """head = text[text.index("<style>") : text.index("</style>") + 8]
rates = text[text.index('<section id="A8"') :]
rates = rates[: rates.index("</section>") + 10]
style = "<style>.demo td,.demo th{text-align:left;padding:3px 8px;vertical-align:top}</style>"
display(HTML(style + f'<div class="demo">{rates}</div>'))""",
    ),
    (
        "md",
        """Where nothing was measured for the conditions at hand, the table says *error rate not known*
and why. It never prints "0 %": with no error in 59 clips the rate may still be up to 6.1 %.""",
    ),
    (
        "code",
        """from forensics import calibration

for n in (59, 300, 1000):
    rate = calibration.item_rate(0, n)
    print(f"0 of {n}: up to {100 * rate.high:.2g} %")""",
    ),
    (
        "code",
        """for suffix in ("pdf", "docx"):
    written = report.write_appendix(incident, folder / f"appendix.{suffix}")
    again = written.read_bytes()
    report.write_appendix(incident, folder / f"appendix.{suffix}")
    same = again == written.read_bytes()
    print(written.name, f"{len(again) / 1024:.0f} KiB, the same bytes twice: {same}")
russian = report.write_appendix(incident, folder / "appendix-ru.html", language="ru")
print(russian.name)""",
    ),
    (
        "md",
        """## What it refuses

A key that it does not know is an error, not a field that quietly disappears.""",
    ),
    (
        "code",
        """from forensics.errors import RecordInvalid

kept = (folder / "engagement.toml").read_text()
(folder / "engagement.toml").write_text(kept + '[authorisation]\\nsignature_image = "x.png"\\n')
try:
    report.write_appendix(incident, folder / "appendix.html")
except RecordInvalid as error:
    print(error)
(folder / "engagement.toml").write_text(kept);""",
    ),
    (
        "md",
        """## Can it be said again?

A replay runs a ledger line on the hashed input and compares every recorded number.""",
    ),
    (
        "code",
        """from forensics import provenance

record = incident.ledger.examinations()[1]
clip = next(c for c in opened.values() if c.digest in record.origin.inputs)
provenance.check_replay(record, provenance.replay(record, [clip]))
print(record.origin.method, "gave the same findings again")""",
    ),
    (
        "md",
        """## The seal

Manifest (`sha256sum -c`), signature (`ssh-keygen -Y verify`), and on request a timestamp over the
signature (`openssl ts -verify`): a recipient needs none of this software. One changed byte is
named.""",
    ),
    (
        "code",
        """from forensics.errors import ToolError
from forensics.provenance_seal import verify_seal, write_manifest, write_seal
from forensics.tools import run_tool

try:
    key = Path(tempfile.mkdtemp()) / "key"
    run_tool("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key])
    write_seal(folder, key=key, identity="examiner@example.org")
except ToolError as error:
    print("not signed:", error.message)
    write_manifest(folder)
for row in verify_seal(folder):
    print(f"{row.what}: {row.state}  {row.note}")""",
    ),
    (
        "code",
        """evidence = folder / "corner.mp4"
content = bytearray(evidence.read_bytes())
content[len(content) // 2] ^= 1
evidence.write_bytes(content)
print([f"{row.what}: {row.state}" for row in verify_seal(folder) if row.state == "MISMATCH"])
try:
    report.write_appendix(incident, folder / "late.html")
except forensics.errors.ClipChanged as error:
    print("the appendix is refused:", error)""",
    ),
]


def main() -> None:
    """Write without outputs."""
    from writing import write

    write(HERE / "06_methodology_appendix.ipynb", CELLS)


if __name__ == "__main__":
    main()
