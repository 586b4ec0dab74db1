"""The container held against itself: boxes, tables, durations, rates and sizes that disagree.

What is found here is metadata. It opens questions ("inconclusive") and never closes one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import BinaryIO

from forensics.boxes import BoxNode, Problem
from forensics.container_explain import observe
from forensics.container_headers import ABSENT, SliceTable, Tracks
from forensics.container_samples import Gap, SampleTable
from forensics.model import Clip, Observation, Quantity, Span
from forensics.scan import Packets

__all__ = ["observe_durations", "observe_gaps", "observe_problems", "observe_sizes",
           "observe_sound", "read_fragments"]  # fmt: skip

#: How a break of a transport stream's counter is worded.
COUNTER = "the continuity counter"
#: From so many places on, packets were lost on the way; breaks so many bytes apart are one place.
LOSSY_PLACES, NEAR_BYTES = 4, 4096


def observe_problems(problems: Sequence[Problem], *, size: int) -> list[Observation]:
    """Impossible statements of the container, one observation for all; a cut-off end by name."""
    if not problems:
        return []
    cut = [p for p in problems if "too many" in p.text or "ends inside" in p.text]
    seen = []
    if cut:
        seen.append(observe(
            "container", "truncated", "inconclusive", span=None, score=0.6,
            supports=tuple(f"byte {p.offset}: {p.text}" for p in cut[:8]),
            explanations=("interrupted", "unusual-writer", "edited-tables"),
            measures={"file_size": Quantity.exact(size, "bytes")},
            note="the container describes more than the file holds", stratum="structure",
        ))  # fmt: skip
    lost = [p for p in problems if p.text.startswith(COUNTER)]
    # Two recordings put one behind the other break every counter, in one place.
    places = {p.offset // NEAR_BYTES for p in lost}
    if len(places) >= LOSSY_PLACES:
        seen.append(observe(
            "container", "structure", "inconclusive", span=None, score=0.45,
            supports=tuple(f"byte {p.offset}: {p.text}" for p in lost[:12]),
            explanations=("packet-loss", "interrupted", "edited-tables"),
            measures={"places": Quantity.exact(len(lost), "breaks", "the first 200 are counted")},
            note=f"packets of the stream are missing at {len(lost)} places", stratum="structure",
        ))  # fmt: skip
    else:
        lost = []
    rest = [p for p in problems if p not in cut and p not in lost]
    if rest:
        seen.append(observe(
            "container", "structure", "inconclusive", span=None, score=0.5,
            supports=tuple(f"byte {p.offset}: {p.text}" for p in rest[:12]),
            explanations=("unusual-writer", "edited-tables", "interrupted"),
            note=f"{len(rest)} statements of the container cannot be true", stratum="structure",
        ))  # fmt: skip
    return seen


def observe_gaps(gaps: Sequence[Gap]) -> list[Observation]:
    """Media data that no index points at."""
    pictures = sum(g.pictures for g in gaps)
    size = sum(g.size for g in gaps)
    if not gaps or (not pictures and size < 4096):
        return []
    largest = sorted(gaps, key=lambda g: -g.size)[:8]
    return [observe(
        "container", "hidden-frames" if pictures else "structure", "inconclusive", span=None,
        score=0.9 if pictures else 0.2,
        supports=tuple(
            f"byte {g.offset}: {g.size} bytes"
            + (f", {g.pictures} coded pictures recognised" if g.pictures else "")
            for g in largest
        ),
        explanations=("edited-tables", "trim", "interrupted", "unusual-writer") if pictures
        else ("unusual-writer", "interrupted", "edited-tables"),
        measures={"unreferenced": Quantity.exact(size, "bytes"),
                  "coded_pictures": Quantity.exact(pictures, "slices", "NAL units recognised")},
        note="stored media data that no index points at", stratum="unreferenced",
    )]  # fmt: skip


def _extent(packets: Packets, shown: object = None) -> tuple[Fraction, Fraction] | None:
    known = (packets.pts != ABSENT) & ~packets.discard
    if not known.any():
        return None
    pts, base = packets.pts[known], packets.time_base
    end = (pts + packets.duration[known]).max()
    return int(pts.min()) * base, int(end) * base


def observe_durations(
    clip: Clip, tracks: Tracks, tables: Sequence[SampleTable], *, slack_s: float = 0.5
) -> list[Observation]:
    """Declared lengths against what the packets cover, and headers against each other."""
    supports: list[str] = []
    measures: dict[str, Quantity] = {}
    pictures = tracks.pictures
    extent = _extent(pictures.packets) if pictures is not None else None
    if extent is not None and clip.duration is not None and not tracks.sound:
        # Some containers count from their own beginning, some from where the clip's clock is 0.
        lengths = (extent[1] - extent[0], extent[1] - min(extent[0], Fraction(0)))
        said = clip.duration
        covered = min(lengths, key=lambda length: abs(said - length))
        off = float(said - covered)
        if abs(off) > max(slack_s, 0.02 * float(said)):
            supports.append(f"the container declares {float(said):.3f} s, the packets "
                            f"cover {float(covered):.3f} s")  # fmt: skip
            measures["declared_minus_covered"] = Quantity.exact(off, "s")
    for table in tables:
        if not table.timescale or not len(table):
            continue
        declared = Fraction(table.media_duration, table.timescale)
        off = float(declared - table.length_s)
        if table.media_duration not in (0, 2**32 - 1, 2**64 - 1) and abs(off) > slack_s:
            supports.append(f"track {table.track}: its header declares {float(declared):.3f} s, "
                            f"its samples last {float(table.length_s):.3f} s")  # fmt: skip
            measures[f"track_{table.track}_declared_minus_samples"] = Quantity.exact(off, "s")
    if not supports:
        return []
    return [observe(
        "container", "duration-mismatch", "inconclusive", span=None, score=0.45,
        supports=supports, explanations=("unusual-writer", "interrupted", "edited-tables"),
        measures=measures, note="declared and stored lengths differ", stratum="structure",
    )]  # fmt: skip


def observe_sizes(
    clip: Clip, table: SliceTable | None, tables: Sequence[SampleTable]
) -> list[Observation]:
    """Picture size and rate in the bitstream against those in the container."""
    video = clip.video
    if video is None or table is None:
        return []
    supports = []
    coded = next((t.size_coded for t in tables if t.handler == "vide"), (0, 0))
    if all(table.size) and all(coded) and table.size != coded:
        supports.append(f"the bitstream codes {table.size[0]}x{table.size[1]}, the container says "
                        f"{coded[0]}x{coded[1]}")  # fmt: skip
    if not supports:
        return []
    return [observe(
        "container", "metadata-contradiction", "inconclusive", span=None, score=0.5,
        supports=supports, explanations=("unusual-writer", "re-encoded", "edited-tables"),
        note="the container and the bitstream describe different pictures", stratum="structure",
    )]  # fmt: skip


def observe_sound(
    tracks: Tracks, *, start_slack_s: float = 0.5, end_slack_s: float = 1.0
) -> list[Observation]:
    """Start and end of the sound against those of the pictures, priming accounted for."""
    pictures = tracks.pictures
    extent = _extent(pictures.packets) if pictures is not None else None
    seen: list[Observation] = []
    if extent is None:
        return seen
    for index, packets in tracks.sound.items():
        heard = _extent(packets)
        if heard is None or len(packets) < 8:
            continue
        # An AAC stream starts with one or two frames of priming in front of time 0.
        start = float(max(heard[0], Fraction(0)) - max(extent[0], Fraction(0)))
        end = float(heard[1] - extent[1])
        odd = []
        if abs(start) > start_slack_s:
            odd.append(f"the sound starts {start:+.3f} s against the pictures")
        if abs(end) > end_slack_s:
            odd.append(f"the sound ends {end:+.3f} s against the pictures")
        if odd:
            low, high = min(heard[0], extent[0]), max(heard[1], extent[1])
            seen.append(observe(
                "timestamps", "av-mismatch", "inconclusive", span=Span(low, high), score=0.45,
                supports=odd, explanations=("slow-start", "interrupted", "trim", "sound-edited"),
                measures={"start_difference": Quantity.exact(start, "s"),
                          "end_difference": Quantity.exact(end, "s")},
                note=f"stream {index}: sound and pictures do not cover the same time",
                stratum="av-extent",
            ))  # fmt: skip
    return seen


def read_fragments(file: BinaryIO, roots: list[BoxNode]) -> list[str]:
    """What is odd in the numbering of movie fragments, as sentences."""
    from forensics.boxes import payload

    numbers = []
    for root in roots:
        if root.kind == "moof":
            header = next((n for n in root.children if n.kind == "mfhd"), None)
            data = payload(file, header, 8) if header is not None else b""
            if len(data) == 8:
                numbers.append((root.offset, int.from_bytes(data[4:], "big")))
    said = []
    for (_, before), (offset, after) in itertools.pairwise(numbers):
        if after != before + 1:
            said.append(f"byte {offset}: fragment {before} is followed by fragment {after}")
    if numbers and len(numbers) > 1 and numbers[0][1] > 1:
        said.insert(0, f"the first fragment has number {numbers[0][1]}")
    return said if len(said) <= max(3, len(numbers) // 2) else []
