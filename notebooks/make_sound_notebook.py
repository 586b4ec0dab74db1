"""Write notebook 07 from the cells below, outputs stripped.

python notebooks/make_sound_notebook.py
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent

CELLS = [
    (
        "md",
        """# Is this one recording?

A recording is leaked. A ministry says it was doctored; the newspaper that published it says it
was not. Nobody has the phone. This notebook asks what the sound itself can and cannot say, in that
order: what is there to be measured, what was found, what could not have been found, and which words
may be written down.

It runs on a real pair where the media folder is present (a recording, and the same recording with a
stretch overwritten by an earlier one), and otherwise makes such a pair itself.""",
    ),
    (
        "code",
        '''%matplotlib inline
import os
import tempfile
from pathlib import Path

import numpy as np

places = (Path.cwd(), *Path.cwd().parents)
root = next((p for p in places if (p / "pyproject.toml").exists()), Path.cwd())
media = Path(os.environ.get("FORENSICS_MEDIA", root.parent / "shared" / "media"))
work = Path(tempfile.mkdtemp(prefix="one-recording-"))


def make_pair(folder):
    """A made talk in a noisy room, and a copy of it with 2 s overwritten by earlier sound."""
    import soundfile

    rate, rng = 24000, np.random.default_rng(4)
    time = np.arange(18 * rate) / rate
    tone = 130 + 30 * np.interp(time, np.arange(0, 19, 0.4), rng.standard_normal(48))
    pitch = 2 * np.pi * np.cumsum(tone) / rate
    gate = np.clip(np.interp(time, np.arange(0, 19, 0.17), rng.standard_normal(112)), 0, 1)
    talk = sum(np.sin(k * pitch + k) / k for k in range(1, 25)) * gate
    first = 0.1 * talk + 0.01 * rng.standard_normal(len(time))
    second = first.copy()
    second[11 * rate : 13 * rate] = first[4 * rate : 6 * rate]
    names = folder / "as_received.wav", folder / "before.wav"
    for name, samples in zip(names, (second, first), strict=True):
        soundfile.write(name, samples, rate, subtype="PCM_16")
    return names


pair = media / "enf" / "pyenf" / "attack recordings"
if pair.exists():
    leaked, before = pair / "attacked_audio_recording (1).wav", pair / "audio_recording (1).wav"
else:
    leaked, before = make_pair(work)''',
    ),
    ("md", "The file is opened, never changed. From here on it is its digest."),
    (
        "code",
        """import forensics
from forensics import continuity, enf, events, plots_sound

clip = forensics.open_clip(leaked)
print(clip.name)
print("SHA-256", clip.digest)
print(clip.audio.codec, clip.audio.sample_rate, "Hz,", clip.audio.channels, "channel(s)")""",
    ),
    (
        "md",
        """## First: what is there to measure?

Mains hum is the famous method, so its answer comes first, and *not measurable* is the usual one.
The hum-to-rest ratio is printed before anything is concluded from hum.""",
    ),
    (
        "code",
        """hum = enf.find_phase_breaks(clip)
print(hum.outcome, "-", hum.reason)""",
    ),
    (
        "md",
        """Then the codec. Decoded AAC keeps its 1,024-sample frame grid; a cut moves it. An empty
answer means **no trace**. It does not mean that nothing was cut.""",
    ),
    (
        "code",
        """traces = continuity.measure_codec_generations(clip)
for trace in traces:
    print(trace.role, "grid at", trace.offset, "window", trace.window, "in", trace.share)
if not traces:
    print("no trace of a 1,024-sample frame grid")""",
    ),
    ("md", "## What was found"),
    (
        "code",
        """exam = continuity.find_splices(clip)
print(exam)
import pandas as pd

pd.set_option("display.max_colwidth", 120)
exam.to_frame()[["kind", "verdict", "from_s", "to_s", "score", "note"]] if len(exam) else None""",
    ),
    (
        "code",
        """heard = events.find_events(clip, flashes=False)
figure = plots_sound.draw_sound(clip, [exam, hum, heard])
figure""",
    ),
    (
        "md",
        """Each finding lists how it can come about, the likeliest first, edits and innocent causes
together. The examiner, not the program, decides between them.""",
    ),
    (
        "code",
        """for finding in exam:
    seen = finding.observation
    print(seen.span, "|", seen.what.kind, "|", seen.what.verdict)
    for why in seen.what.explanations:
        print("    ", why.rank, "innocent" if why.benign else "edit", "-", why.text)
    print("     error rate:", finding.error_rate)""",
    ),
    ("md", "## What could not have been found"),
    (
        "code",
        """for part in exam.coverage.not_testable:
    print(part.span, "-", part.reason)""",
    ),
    (
        "md",
        """The control experiment: the same kind of cut made on *this* sound, saved as this file was
saved, looked for in the same way. A share near zero means that this recording keeps no trace of
such cuts, and that silence about them is worth nothing.""",
    ),
    (
        "code",
        """power = continuity.measure_power(clip, trials=2)
print("cuts that would have been seen by the frame grid:", power["seen"])""",
    ),
    (
        "md",
        """## The comparison nobody has in a real case

Here, for once, the recording from before the change is at hand. The same methods on it:""",
    ),
    (
        "code",
        """control = continuity.find_splices(forensics.open_clip(before))
copies = [o for o in control.observations if o.what.kind == "copy-move"]
print(control)
print("copied stretches in the untouched recording:", len(copies))""",
    ),
    (
        "md",
        """## A copy to listen to

Levelled and noise-reduced for a person's ears. It carries its mark in the file and beside it, and
is refused as material by every method here.""",
    ),
    (
        "code",
        """copy = continuity.write_listening_copy(clip, out=work / "listen.wav")
print((work / "listen.wav.json").read_text())
print(continuity.find_splices(forensics.open_clip(copy)))""",
    ),
    (
        "md",
        """Markers for the editor and the player:""",
    ),
    (
        "code",
        """print(events.audacity_labels([*exam.observations, *heard.observations]))""",
    ),
    (
        "md",
        """## What may be written

One of three sentences, with its reasons and its error rates:

* *consistent with an original recording*: only if the methods that could have shown a change were
  testable and showed none. "Nothing found" where nothing could be found is not this.
* *inconsistent with an original recording*: a stretch occurs twice sample by sample, or the frame
  grid moves in the middle of what is said to be one take, and the innocent causes are excluded.
* *inconclusive*: everything else, and most of what one meets.

Metadata alone never suffices, and neither does the absence of a trace.""",
    ),
]


def main() -> None:
    """Write without outputs."""
    from writing import write

    write(HERE / "07_is_this_one_recording.ipynb", CELLS, ids="one-recording")


if __name__ == "__main__":
    main()
