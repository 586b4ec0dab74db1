"""Read the box tree of an MP4/MOV file without trusting a single length in it.

Sits below `clip`, because edit lists and the display matrix belong to opening a file; what the
structure *means* is `forensics.container`'s business.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

__all__ = ["CONTAINERS", "BoxNode", "Problem", "find_all", "payload", "read_boxes", "read_edits",
           "read_rotations"]

#: Boxes that hold boxes, and how many bytes of their own come first.
CONTAINERS: dict[str, int] = {
    "moov": 0, "trak": 0, "mdia": 0, "minf": 0, "stbl": 0, "edts": 0, "dinf": 0, "mvex": 0,
    "moof": 0, "traf": 0, "mfra": 0, "udta": 0, "ilst": 0, "meta": 4, "stsd": 8, "dref": 8,
    "avc1": 78, "avc3": 78, "hvc1": 78, "hev1": 78, "mp4v": 78, "av01": 78, "vp09": 78,
    "mp4a": 28, "wave": 0, "tref": 0, "gmhd": 0, "schi": 0, "sinf": 0, "jumb": 0, "iprp": 0,
    "ipco": 0,
}  # fmt: skip
_MAX_DEPTH = 32
_MAX_BOXES = 50_000
_MAX_PAYLOAD = 64 * 1024 * 1024


@dataclass(frozen=True)
class Problem:
    """Something a box claims that cannot be true."""

    offset: int
    text: str


@dataclass
class BoxNode:
    """One box: type, where it starts, its header and total size in bytes, and its children."""

    kind: str
    offset: int
    header: int
    size: int
    path: str
    children: list[BoxNode] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Offset of the first byte after the box."""
        return self.offset + self.size

    def walk(self) -> Iterator[BoxNode]:
        """This box and everything inside it, in file order."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


def read_boxes(file: BinaryIO, size: int) -> tuple[list[BoxNode], list[Problem]]:
    """The box tree of a file of `size` bytes, and what is impossible in it.

    Iterative, with limits on depth and number of boxes: a hostile file costs bounded time and
    memory. A box that claims more than its parent holds is cut to what is there and reported.
    """
    roots: list[BoxNode] = []
    problems: list[Problem] = []
    pending: list[tuple[int, int, int, BoxNode | None]] = [(0, size, 0, None)]
    count = 0
    while pending:
        offset, end, depth, parent = pending.pop()
        siblings = roots if parent is None else parent.children
        prefix = "" if parent is None else parent.path + "/"
        while end - offset >= 8:
            count += 1
            if count > _MAX_BOXES:
                problems.append(Problem(offset, f"more than {_MAX_BOXES} boxes; the rest unread"))
                return roots, problems
            file.seek(offset)
            head = file.read(16)
            if len(head) < 8:
                problems.append(Problem(offset, "the file ends inside a box header"))
                break
            length, raw = struct.unpack(">I4s", head[:8])
            header = 8
            if length == 1:
                if len(head) < 16:
                    problems.append(Problem(offset, "the file ends inside a 64-bit box size"))
                    break
                length, header = struct.unpack(">Q", head[8:])[0], 16
            elif length == 0:
                length = end - offset
            kind = raw.decode("latin-1")
            if not kind.isprintable():
                kind = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in kind)
            if length < header:
                problems.append(Problem(offset, f"box {kind!r} claims {length} bytes"))
                break
            if offset + length > end:
                missing = offset + length - end
                problems.append(Problem(offset, f"box {kind!r} claims {missing} bytes too many"))
                length = end - offset
            node = BoxNode(kind, offset, header, length, prefix + kind)
            siblings.append(node)
            inner = CONTAINERS.get(kind)
            if kind == "meta" and inner and _plain_meta(file, node):
                inner = 0
            elif kind == "mp4a" and inner is not None:
                inner += _longer_sound_entry(file, node)
            if inner is not None and length >= header + inner:
                if depth + 1 >= _MAX_DEPTH:
                    problems.append(Problem(offset, f"boxes nested deeper than {_MAX_DEPTH}"))
                else:
                    pending.append((offset + header + inner, node.end, depth + 1, node))
            offset = node.end
    return roots, problems


def _plain_meta(file: BinaryIO, node: BoxNode) -> bool:
    # QuickTime writes 'meta' without the four version bytes that ISO files have.
    file.seek(node.offset + node.header + 4)
    return file.read(4) == b"hdlr"


def _longer_sound_entry(file: BinaryIO, node: BoxNode) -> int:
    # QuickTime's versions 1 and 2 of a sound description carry more before the first box.
    file.seek(node.offset + node.header + 8)
    return {b"\x00\x01": 16, b"\x00\x02": 36}.get(file.read(2), 0)


def find_all(roots: list[BoxNode], path: str) -> list[BoxNode]:
    """Every box at a path such as ``moov/trak/edts/elst``."""
    return [node for root in roots for node in root.walk() if node.path == path]


def payload(file: BinaryIO, node: BoxNode, limit: int = _MAX_PAYLOAD) -> bytes:
    """The bytes of a box after its header, at most `limit` of them."""
    file.seek(node.offset + node.header)
    return file.read(min(node.size - node.header, limit))


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _timescale(data: bytes) -> int:
    return _u32(data, 20 if data[:1] == b"\x01" else 12)


def read_edits(
    file: BinaryIO, roots: list[BoxNode]
) -> list[list[tuple[Fraction, Fraction | None, Fraction]]]:
    """Per track, in order: its edit list as (duration s, media time s or None, rate).

    A media time of None is an empty edit: nothing is shown for that long.
    """
    movie = find_all(roots, "moov/mvhd")
    movie_scale = _timescale(payload(file, movie[0], 64)) if movie else 0
    tracks = []
    for track in find_all(roots, "moov/trak"):
        entries: list[tuple[Fraction, Fraction | None, Fraction]] = []
        inside = {node.path.removeprefix("moov/trak/"): node for node in track.walk()}
        media = inside.get("mdia/mdhd")
        media_scale = _timescale(payload(file, media, 64)) if media else 0
        box = inside.get("edts/elst")
        if box is not None and movie_scale and media_scale:
            data = payload(file, box, 1 << 20)
            wide = data[:1] == b"\x01"
            row = struct.Struct(">QqhH" if wide else ">IihH")
            available = (len(data) - 8) // row.size
            for number in range(max(0, min(_u32(data, 4), available, 10_000))):
                length, start, whole, part = row.unpack_from(data, 8 + number * row.size)
                shown = None if start < 0 else Fraction(start, media_scale)
                rate = whole + Fraction(part, 65536)
                entries.append((Fraction(length, movie_scale), shown, rate))
        tracks.append(entries)
    return tracks


def read_rotations(file: BinaryIO, roots: list[BoxNode]) -> list[int]:
    """Per track, in order: the clockwise rotation its display matrix asks for, in degrees."""
    turns = []
    for track in find_all(roots, "moov/trak"):
        header = next((node for node in track.children if node.kind == "tkhd"), None)
        data = payload(file, header, 128) if header else b""
        at = 52 if data[:1] == b"\x01" else 40
        angle = 0
        if len(data) >= at + 36:
            first, second = struct.unpack_from(">ii", data, at)
            angle = round(math.degrees(math.atan2(second, first))) % 360
        turns.append(angle)
    return turns
