"""Who wrote this file: traces of encoders, muxers, editors and platforms, and dates that disagree.

A trace is a string the writer left behind. Strings can be put there by anyone: they open a line of
inquiry and never decide one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import BinaryIO

from forensics.boxes import BoxNode, find_all, payload
from forensics.container_headers import SliceTable
from forensics.model import Clip

__all__ = ["Provenance", "find_contradictions", "read_dates", "read_provenance"]

#: (pattern, class, what it stands for); the first match of the strongest class names the file.
_MARKS: tuple[tuple[str, str, str], ...] = (
    (r"adobe|premiere|after effects|media encoder", "editor", "Adobe"),
    (r"davinci|blackmagic", "editor", "DaVinci Resolve"),
    (r"final cut|imovie|quicktime player", "editor", "Apple editor"),
    (r"capcut|bytedance|lv_|vicut", "editor", "CapCut"),
    ((r"inshot|kinemaster|filmora|wondershare|vegas|shotcut|kdenlive|openshot|avidemux|losslesscut|"
     r"movavi|pinnacle|powerdirector|cyberlink|camtasia|olive editor|virtualdub"), "editor",
     "editing program"),
    (r"handbrake", "transcoder", "HandBrake"),
    (r"produced by google|google inc|youtube", "platform", "YouTube"),
    (r"bento4|shaka|elemental|isml|cmaf-?ingest", "platform", "streaming packager"),
    (r"telegram|whatsapp|facebook|instagram|twitter|tiktok|vimeo|vkvideo|ok\.ru", "platform",
     "social platform"),
    (r"mainconcept", "transcoder", "MainConcept encoder"),
    (r"l-smash", "transcoder", "L-SMASH muxer"),
    (r"gpac|mp4box", "transcoder", "GPAC MP4Box"),
    (r"mkvmerge|mkvtoolnix|libebml", "transcoder", "mkvmerge"),
    (r"lavf|lavc|ffmpeg|libav", "transcoder", "FFmpeg"),
    (r"x264 - core|x265 \(build", "transcoder", "x264 or x265"),
    (r"gopro|ambarella", "device", "GoPro"),
    (r"com\.android|android", "device", "Android device"),
    (r"core media|com\.apple\.quicktime|iphone|apple", "device", "Apple device"),
    (r"hikvision|dahua|axis|hisi|novatek|samsung|huawei|xiaomi|canon|nikon|sony|panasonic|dji",
     "device", "named device"),
)  # fmt: skip
_RANK = {"editor": 0, "platform": 1, "transcoder": 2, "device": 3}
_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Provenance:
    """The class a file's traces put it in, and the traces with where they stand."""

    kind: str
    name: str
    muxer: str
    encoder: str
    traces: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """One line."""
        return f"{self.kind}: {self.name}" if self.name else self.kind


def _clean(text: str) -> str:
    return "".join(c for c in text if c.isprintable()).strip()[:200]


def _handlers(file: BinaryIO, roots: list[BoxNode]) -> list[tuple[str, str]]:
    found = []
    for node in (n for root in roots for n in root.walk()):
        if node.kind == "hdlr" and node.path.startswith("moov/trak/mdia"):
            data = payload(file, node, 256)[24:]
            # QuickTime counts the name's bytes, ISO ends it with a zero.
            name = data[1 : 1 + data[0]] if data and data[0] == len(data) - 1 else data
            found.append(("handler name", _clean(name.split(b"\0")[0].decode("utf-8", "replace"))))
        elif node.kind == "ftyp":
            data = payload(file, node, 256)
            brands = [data[i : i + 4].decode("latin-1") for i in (0, *range(8, len(data) - 3, 4))]
            found.append(("brands", _clean(" ".join(brands))))
        elif node.kind in ("avc1", "hvc1", "hev1", "mp4v") and node.size >= 82:
            entry = payload(file, node, 78)
            name = entry[43 : 43 + min(entry[42], 31)] if len(entry) > 43 else b""
            if name.strip(b"\0 "):
                found.append(("compressor name", _clean(name.decode("latin-1"))))
    return found


def read_provenance(
    clip: Clip, table: SliceTable | None, file: BinaryIO | None = None,
    roots: list[BoxNode] | None = None,
) -> Provenance:  # fmt: skip
    """Every trace of a writer in the tags, boxes and bitstream, and the class they suggest."""
    traces: list[tuple[str, str]] = []
    keys = re.compile(
        r"encoder|software|make|model|major_brand|handler|writing|muxing|compressor|"
        r"vendor|comment|com\.|creationtool|application|originator", re.IGNORECASE,
    )  # fmt: skip
    for owner, tags in (("container", clip.container.tags), ("metadata", clip.metadata),
                        *((f"stream {s.index}", s.tags) for s in clip.streams)):  # fmt: skip
        # Sorted: the order must not depend on whether a record was read back.
        listed = ((k, v) for k, v in sorted(tags.items()) if keys.search(k) and v)
        traces.extend((f"{owner} {key}", _clean(value)) for key, value in listed)
    if file is not None and roots:
        traces.extend(_handlers(file, roots))
    encoder = ""
    if table is not None:
        for row in sorted(table.said)[:3]:
            traces.extend((f"bitstream at packet {row}", _clean(t)) for t in table.said[row])
            encoder = encoder or table.said[row][0]
    muxer = next((v for k, v in traces if k == "container encoder"), "")
    best, kind, name = 9, "unknown", ""
    for _, value in traces:
        for pattern, group, label in _MARKS:
            if re.search(pattern, value, re.IGNORECASE):
                if _RANK[group] < best:
                    best, kind, name = _RANK[group], group, label
                break
    unique = tuple(dict.fromkeys(t for t in traces if t[1]))
    return Provenance(kind, name, muxer, encoder[:120], unique[:200])


def _time(data: bytes, at: int, width: int) -> datetime | None:
    value = int.from_bytes(data[at : at + width], "big")
    if not value:
        return None
    # Some devices count from 1970 in a field that counts from 1904.
    try:
        return _EPOCH + timedelta(seconds=value)
    except OverflowError:
        return None


def read_dates(file: BinaryIO, roots: list[BoxNode]) -> dict[str, datetime]:
    """Creation and modification times in the movie, track and media headers (UTC by the rules)."""
    found: dict[str, datetime] = {}
    for path in ("moov/mvhd", "moov/trak/tkhd", "moov/trak/mdia/mdhd"):
        for number, node in enumerate(find_all(roots, path)[:64]):
            data = payload(file, node, 64)
            width = 8 if data[:1] == b"\x01" else 4
            where = node.kind + (f" {number}" if path != "moov/mvhd" else "")
            for word, at in (("created", 4), ("modified", 4 + width)):
                when = _time(data, at, width)
                if when is not None:
                    found[f"{where} {word}"] = when
    return found


def find_contradictions(clip: Clip, dates: dict[str, datetime]) -> list[str]:
    """Statements about dates that cannot all be true, as sentences."""
    said = []
    created = {k: v for k, v in dates.items() if k.endswith("created")}
    modified = {k: v for k, v in dates.items() if k.endswith("modified")}
    for name, when in created.items():
        later = modified.get(name.replace("created", "modified"))
        if later is not None and later < when - timedelta(seconds=2):
            said.append(f"{name} {when:%Y-%m-%d %H:%M:%S} but modified earlier, "
                        f"{later:%Y-%m-%d %H:%M:%S}")  # fmt: skip
    if len(created) > 1:
        first, last = min(created.values()), max(created.values())
        length = float(clip.duration or 0)
        if last - first > timedelta(seconds=max(60.0, 2 * length)):
            said.append(f"headers name different creation times: {first:%Y-%m-%d %H:%M:%S} and "
                        f"{last:%Y-%m-%d %H:%M:%S}")  # fmt: skip
    dated = re.compile(r"CreationDate$|DateTimeOriginal$")
    texts = [v for k, v in sorted(clip.metadata.items()) if dated.search(k)]
    for text in texts:
        match = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)", text)
        if match and created:
            year, month, day = (int(x) for x in match.groups())
            near = min(abs((v.date() - _date(year, month, day)).days) for v in created.values())
            if near > 1:
                said.append(f"a metadata date says {text[:19]}, the nearest header is {near} days "
                            "away")  # fmt: skip
    return said


def _date(year: int, month: int, day: int) -> date:
    try:
        return datetime(year, month, day, tzinfo=UTC).date()
    except ValueError:
        return _EPOCH.date()
