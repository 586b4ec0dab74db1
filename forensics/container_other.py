"""Structure of Matroska, AVI/WAV, FLV, MPEG-TS and MPEG-PS files, read trusting no length.

Each reader gives the file's elements in order, as a path and the fields that a writer chooses
(brands, application names, codec tags, flags), plus what is impossible. Media data is not entered.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from forensics.boxes import Problem

__all__ = ["Element", "read_ebml", "read_flv", "read_program", "read_riff", "read_transport"]

_MAX = 20_000
_DEPTH = 16


@dataclass(frozen=True)
class Element:
    """One part of a file: where, how long, its path, and what of it names its writer."""

    offset: int
    size: int
    path: str
    text: str = ""


Read = tuple[list[Element], list[Problem]]


def _clean(raw: bytes, limit: int = 120) -> str:
    text = raw.split(b"\0", 1)[0][:limit].decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable())


# -- Matroska ---------------------------------------------------------------------------------

_EBML: dict[int, tuple[str, str]] = {
    0x1A45DFA3: ("EBML", "m"), 0x4286: ("EBMLVersion", "u"), 0x4282: ("DocType", "s"),
    0x4287: ("DocTypeVersion", "u"), 0x4285: ("DocTypeReadVersion", "u"),
    0x18538067: ("Segment", "m"), 0x114D9B74: ("SeekHead", ""), 0xEC: ("Void", ""),
    0x1549A966: ("Info", "m"), 0x2AD7B1: ("TimestampScale", "u"), 0x4D80: ("MuxingApp", "s"),
    0x5741: ("WritingApp", "s"), 0x4461: ("DateUTC", ""), 0x73A4: ("SegmentUID", ""),
    0x4489: ("Duration", ""), 0x1654AE6B: ("Tracks", "m"), 0xAE: ("TrackEntry", "m"),
    0xD7: ("TrackNumber", "u"), 0x83: ("TrackType", "u"), 0x86: ("CodecID", "s"),
    0x9C: ("FlagLacing", "u"), 0x88: ("FlagDefault", "u"), 0x22B59C: ("Language", "s"),
    0x63A2: ("CodecPrivate", ""), 0x23E383: ("DefaultDuration", "u"), 0xE0: ("Video", "m"),
    0xE1: ("Audio", "m"), 0x56AA: ("CodecDelay", "u"), 0x56BB: ("SeekPreRoll", "u"),
    0x536E: ("Name", "s"), 0x1F43B675: ("Cluster", ""), 0x1C53BB6B: ("Cues", ""),
    0x1254C367: ("Tags", "m"), 0x7373: ("Tag", "m"), 0x67C8: ("SimpleTag", "m"),
    0x45A3: ("TagName", "s"), 0x4487: ("TagString", "s"), 0x1941A469: ("Attachments", ""),
    0x1043A770: ("Chapters", ""), 0xBF: ("CRC-32", ""),
}  # fmt: skip


def _vint(data: bytes, at: int, keep: bool) -> tuple[int, int]:
    """A variable-length number and its width; width 0 if there is none."""
    if at >= len(data) or not data[at]:
        return 0, 0
    width = 9 - data[at].bit_length()
    if at + width > len(data):
        return 0, 0
    value = int.from_bytes(data[at : at + width], "big")
    return (value if keep else value & ((1 << 7 * width) - 1)), width


def read_ebml(file: BinaryIO, size: int) -> Read:
    """Elements of a Matroska or WebM file down to tracks and tags; clusters are counted only."""
    found: list[Element] = []
    problems: list[Problem] = []
    stack = [(0, size, 0, "")]
    while stack:
        at, end, depth, prefix = stack.pop()
        while at < end - 1:
            if len(found) >= _MAX:
                problems.append(Problem(at, f"more than {_MAX} elements; the rest unread"))
                return sorted(found, key=lambda e: e.offset), problems
            file.seek(at)
            head = file.read(12)
            number, width = _vint(head, 0, True)
            length, more = _vint(head, width, False)
            if not width or not more:
                problems.append(Problem(at, "no element starts here"))
                break
            header = width + more
            unknown = length == (1 << 7 * more) - 1
            if unknown:
                length = end - at - header
            if at + header + length > end:
                problems.append(Problem(
                    at, f"element {number:X} claims {at + header + length - end} bytes too many"))
                length = end - at - header
            name, form = _EBML.get(number, (f"{number:X}", ""))
            path = f"{prefix}/{name}" if prefix else name
            text = ""
            if form in ("u", "s") and length <= 512:
                raw = file.read(0) if length == 0 else _at(file, at + header, length)
                text = _clean(raw) if form == "s" else str(int.from_bytes(raw[:8], "big"))
            found.append(Element(at, header + length, path, text))
            if form == "m" and depth < _DEPTH:
                stack.append((at + header + length, end, depth, prefix))
                stack.append((at + header, at + header + length, depth + 1, path))
                break
            if number == 0x1F43B675 and unknown:
                # A live recording does not say how long its clusters are; inside is only media.
                break
            at += header + length
    return sorted(found, key=lambda e: e.offset), problems


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


# -- RIFF -------------------------------------------------------------------------------------


def read_riff(file: BinaryIO, size: int) -> Read:
    """Chunks of an AVI or WAV file; ``movi`` and ``data`` are not entered."""
    found: list[Element] = []
    problems: list[Problem] = []
    stack = [(0, size, 0, "")]
    while stack:
        at, end, depth, prefix = stack.pop()
        while end - at >= 8:
            if len(found) >= _MAX:
                problems.append(Problem(at, f"more than {_MAX} chunks; the rest unread"))
                return sorted(found, key=lambda e: e.offset), problems
            head = _at(file, at, 12)
            name = _clean(head[:4]) or head[:4].hex()
            length = int.from_bytes(head[4:8], "little")
            if at + 8 + length > end:
                extra = at + 8 + length - end
                problems.append(Problem(at, f"chunk {name!r} claims {extra} bytes too many"))
                length = end - at - 8
            inside = name in ("RIFF", "LIST") and length >= 4
            label = name + (":" + _clean(head[8:12]) if inside else "")
            path = f"{prefix}/{label}" if prefix else label
            text = ""
            if name == "strh" and length >= 8:
                text = _clean(_at(file, at + 8, 4)) + " " + _clean(_at(file, at + 12, 4))
            elif prefix.endswith("LIST:INFO") or name in ("ISFT", "strn", "IDIT"):
                text = _clean(_at(file, at + 8, min(length, 200)))
            found.append(Element(at, 8 + length, path, text))
            step = at + 8 + length + (length & 1)
            if inside and not label.endswith(":movi"):
                if depth < _DEPTH:
                    stack.append((step, end, depth, prefix))
                    stack.append((at + 12, at + 8 + length, depth + 1, path))
                    break
                problems.append(Problem(at, f"chunks nested deeper than {_DEPTH}"))
            at = step
    return sorted(found, key=lambda e: e.offset), problems


# -- FLV --------------------------------------------------------------------------------------


def read_flv(file: BinaryIO, size: int) -> Read:
    """Header, first tags and metadata keys of an FLV file, and back pointers that lie."""
    problems: list[Problem] = []
    head = _at(file, 0, 9)
    if len(head) < 9 or head[:3] != b"FLV":
        return [], [Problem(0, "no FLV header")]
    found = [Element(0, 9, "FLV", f"version {head[3]} flags {head[4]:02x}")]
    at = int.from_bytes(head[5:9], "big") + 4
    kinds = {8: "sound", 9: "picture", 18: "script"}
    for _ in range(_MAX):
        tag = _at(file, at, 11)
        if len(tag) < 11:
            break
        length = int.from_bytes(tag[1:4], "big")
        kind = kinds.get(tag[0] & 31)
        if kind is None or at + 11 + length > size:
            problems.append(Problem(at, "a tag of unknown kind or beyond the end of the file"))
            break
        text = ""
        if kind == "script":
            text = " ".join(_amf_keys(_at(file, at + 11, min(length, 4096))))
        elif len(found) < 8:
            text = _at(file, at + 11, 2).hex()
        if len(found) < 50 or kind == "script":
            found.append(Element(at, 11 + length, f"FLV/{kind}", text))
        back = int.from_bytes(_at(file, at + 11 + length, 4), "big")
        if back not in (11 + length, 0) and len(problems) < 50:
            problems.append(Problem(at, f"the tag's back pointer says {back}, not {11 + length}"))
        at += 15 + length
    return found, problems


def _amf_keys(data: bytes) -> list[str]:
    keys: list[str] = []
    at = data.find(b"\x08") + 5
    while 4 < at < len(data) - 3 and len(keys) < 100:
        length = struct.unpack_from(">H", data, at)[0]
        key = data[at + 2 : at + 2 + length]
        kind = data[at + 2 + length : at + 3 + length]
        skip: dict[bytes, int] = {b"\x00": 8, b"\x01": 1}
        at += 3 + length
        if kind == b"\x02" and at + 2 <= len(data):
            at += 2 + struct.unpack_from(">H", data, at)[0]
        elif kind in skip:
            at += skip[kind]
        else:
            break
        keys.append(_clean(key))
    return keys


# -- MPEG-TS ----------------------------------------------------------------------------------


def read_transport(file: BinaryIO, size: int, *, limit: int = 256 * 1024 * 1024) -> Read:
    """PIDs of a transport stream in order of appearance, and breaks of its continuity counters."""
    import numpy as np

    start = _at(file, 0, 188 * 8)
    offset = next((o for o in range(188) if all(
        start[o + 188 * k : o + 188 * k + 1] == b"G" for k in range(4))), None)  # fmt: skip
    if offset is None:
        return [], [Problem(0, "no packets of 188 bytes: an M2TS file, or not a transport stream")]
    found: list[Element] = []
    problems: list[Problem] = []
    last: dict[int, int] = {}
    at, end = offset, min(size, limit)
    while at + 188 <= end:
        block = _at(file, at, min(end - at, 188 * 20_000) // 188 * 188)
        packets = np.frombuffer(block, np.uint8).reshape(-1, 188)
        lost = np.flatnonzero(packets[:, 0] != 0x47)
        if len(lost) and len(problems) < 200:
            problems.append(Problem(at + 188 * int(lost[0]), "packet synchronisation lost"))
        pid = (packets[:, 1].astype(np.int64) & 31) << 8 | packets[:, 2]
        payload = (packets[:, 3] & 16) > 0
        counter = packets[:, 3] & 15
        adapted = (packets[:, 3] & 32) > 0
        flagged = adapted & (packets[:, 4] > 0) & ((packets[:, 5] & 0x80) > 0)
        values, counts = np.unique(pid[payload], return_counts=True)
        # Sixty-four streams are more than any multiplex of clips; a hostile file has thousands.
        for one in np.sort(values[np.argsort(-counts, kind="stable")[:64]]):
            rows = np.flatnonzero((pid == one) & payload)
            if int(one) not in last:
                found.append(Element(at + 188 * int(rows[0]), 188, f"TS/pid {int(one)}"))
                before = int(counter[rows[0]]) - 1
            else:
                before = last[int(one)]
            step = (counter[rows].astype(int) - np.concatenate([[before], counter[rows[:-1]]])) % 16
            # A packet may be sent twice; a break may be announced.
            odd = rows[(step > 1) & ~flagged[rows]]
            if one != 0x1FFF:
                problems.extend(
                    Problem(at + 188 * int(row), f"the continuity counter of pid {int(one)} breaks")
                    for row in odd[: max(0, 200 - len(problems))]
                )
            last[int(one)] = int(counter[rows[-1]])
        at += len(block)
    return sorted(found, key=lambda e: e.offset), problems


# -- MPEG-PS ----------------------------------------------------------------------------------


def _pack(head: bytes) -> tuple[float, int, int]:
    """System clock (s), multiplex rate (50 bytes/s) and length of a pack header; length 0: none."""
    if len(head) >= 14 and head[4] & 0xC4 == 0x44:
        value = int.from_bytes(head[4:10], "big")
        clock = (value >> 43 & 7) << 30 | (value >> 27 & 0x7FFF) << 15 | value >> 11 & 0x7FFF
        extra = value >> 1 & 0x1FF
        rate = int.from_bytes(head[10:13], "big") >> 2
        return clock / 90_000 + extra / 27_000_000, rate, 14 + (head[13] & 7)
    if len(head) >= 12 and head[4] & 0xF1 == 0x21:
        value = int.from_bytes(head[4:9], "big")
        clock = (value >> 33 & 7) << 30 | (value >> 17 & 0x7FFF) << 15 | value >> 1 & 0x7FFF
        return clock / 90_000, int.from_bytes(head[9:12], "big") >> 1 & 0x3FFFFF, 12
    return 0.0, 0, 0


def _next_start(file: BinaryIO, at: int, end: int) -> int:
    """Where the next pack begins, or -1: looked for in at most four megabytes."""
    for _ in range(64):
        block = _at(file, at, 65_536 + 3)
        found = block.find(b"\0\0\1\xba")
        if found >= 0:
            return at + found
        if len(block) < 65_536 + 3 or at >= end:
            break
        at += 65_536
    return -1


def read_program(file: BinaryIO, size: int, *, limit: int = 256 * 1024 * 1024) -> Read:
    """Packs and streams of an MPEG program stream in order, and jumps of its system clock.

    The clock may stand at most 0.7 s between packs; where it runs back or leaps, two recordings
    meet. Counts of units are bounded: a file of nothing but headers costs no more than a real one.
    """
    found: list[Element] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    at, end, before, lost = 0, min(size, limit), -1.0, 0

    def first(path: str, length: int, text: str = "") -> None:
        if path + text not in seen and len(seen) < 300:
            seen.add(path + text)
            found.append(Element(at, length, path, text))

    for _ in range(250_000):
        head = _at(file, at, 16)
        if len(head) < 4 or at >= end:
            break
        code, length = head[3], 6 + int.from_bytes(head[4:6], "big")
        if head[:3] != b"\0\0\1" or code < 0xB9:
            lost += 1
            where = _next_start(file, at, end) if lost < 50 else -1
            if len(problems) < 200:
                problems.append(Problem(at, "no pack or packet starts here"))
            if where < 0:
                break
            at = where
            continue
        if code == 0xBA:
            clock, rate, length = _pack(head)
            if not length:
                problems.append(Problem(at, "a pack header of no known kind"))
                break
            first("PS/pack", length, f"MPEG-{2 if length >= 14 else 1} rate {rate}")
            step = clock - before
            # The clock counts to 2**33 / 90,000 s and begins again.
            if before >= 0 and not -1e-9 <= step % 95443.7176 <= 1.0 and len(problems) < 200:
                problems.append(Problem(at, f"the system clock jumps by {step:+.3f} s"))
            before = clock
        elif code == 0xB9:
            first("PS/end", 4)
            length = 4
        else:
            name = {0xBB: "system header", 0xBC: "map", 0xBD: "private 1", 0xBE: "padding",
                    0xBF: "private 2"}.get(code, f"stream {code:02x}")  # fmt: skip
            first(f"PS/{name}", length)
            if at + length > size and len(problems) < 200:
                extra = at + length - size
                problems.append(Problem(at, f"packet {code:02x} claims {extra} bytes too many"))
        at += length
    return found, problems


READERS: tuple[tuple[str, Callable[[BinaryIO, int], Read]], ...] = (
    ("matroska", read_ebml), ("avi", read_riff), ("wav", read_riff), ("flv", read_flv),
    ("mpegts", read_transport), ("mpeg", read_program),
)  # fmt: skip
