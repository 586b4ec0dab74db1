"""The structural signature of a file, and what differs between two files, box by box.

Devices and programs write the same kinds of boxes, in the same order, with the same fields, every
time. Sizes, times and content are left out; what remains is compared with exemplars of the claimed
device. Two files of one device agree here; agreement alone does not name a device.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from forensics.boxes import BoxNode, Problem, payload, read_boxes
from forensics.clip import check_unchanged
from forensics.container_other import READERS, Element
from forensics.model import Clip, Progress, Quantity, Value

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "Difference", "Part", "Structure", "compare_structures", "read_elements",
           "read_structure"]  # fmt: skip


class Part(Value, frozen=True):
    """One box or element: path, the fields a writer chooses, place, and how often in a row."""

    path: str
    fields: str
    offset: int
    size: int
    repeated: int = 1

    @property
    def line(self) -> str:
        """What is compared: path and fields, not place, size or count."""
        return f"{self.path} {self.fields}".strip()


class Structure(Value, frozen=True):
    """A file's structure. `signature` is the SHA-256 of its lines, order included."""

    clip: str
    format: str
    signature: str
    parts: tuple[Part, ...]
    problems: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """What the signature is made of."""
        return [part.line for part in self.parts]

    def to_frame(self) -> pd.DataFrame:
        """One row a part (extra `notebook`)."""
        import pandas as pd

        return pd.DataFrame([{"path": p.path, "fields": p.fields, "byte": p.offset,
                              "size": p.size, "repeated": p.repeated} for p in self.parts])

    def __str__(self) -> str:
        rows = [f"{'  ' * p.path.count('/')}{p.path.rsplit('/', 1)[-1]}"
                f"{f' x{p.repeated}' if p.repeated > 1 else ''}  {p.fields}".rstrip()
                for p in self.parts[:2000]]  # fmt: skip
        return "\n".join([f"{self.format}  {self.signature[:16]}", *rows])


class Difference(Value, frozen=True):
    """One part that differs: only in the first file, only in the second, or other fields."""

    kind: str
    path: str
    first: str
    second: str


class Comparison(Value, frozen=True):
    """Two structures held against each other. `agreement` is the share of lines in common."""

    first: str
    second: str
    same_signature: bool
    agreement: Quantity
    differences: tuple[Difference, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row a difference (extra `notebook`)."""
        import pandas as pd

        return pd.DataFrame([{"what": d.kind, "path": d.path, "first": d.first,
                              "second": d.second} for d in self.differences])

    def __str__(self) -> str:
        head = "same structure" if self.same_signature else f"{len(self.differences)} differences"
        rows = [f"{d.kind:16} {d.path}  {d.first or '-'} | {d.second or '-'}"
                for d in self.differences[:500]]  # fmt: skip
        return "\n".join([f"{head}, agreement {self.agreement.value:.3f}", *rows])


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _plain(raw: bytes) -> str:
    text = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable())[:60]


def _describe(file: BinaryIO, node: BoxNode) -> str:
    """The fields of one box that its writer chooses; empty where only content would be left."""
    kind = node.kind
    data = payload(file, node, 256)
    wide = data[:1] == b"\x01"
    if kind in ("ftyp", "styp"):
        brands = [data[i : i + 4].decode("latin-1") for i in range(8, len(data) - 3, 4)]
        return f"{_plain(data[:4])} {_u32(data, 4)} {' '.join(_plain(b.encode()) for b in brands)}"
    if kind in ("mvhd", "mdhd"):
        scale = _u32(data, 20 if wide else 12)
        at = 32 if wide else 20
        tongue = f" language {data[at : at + 2].hex()}" if kind == "mdhd" else ""
        dated = " undated" if not any(data[4 : 12 if wide else 8]) else ""
        return f"version {data[0] if data else '?'} timescale {scale}{tongue}{dated}"
    if kind == "tkhd":
        return f"version {data[:1].hex()} flags {data[1:4].hex()}"
    if kind == "hdlr":
        return f"{_plain(data[4:8])} {_plain(data[8:12])} {_plain(data[12:16])} {_plain(data[24:])}"
    if kind == "elst":
        count = _u32(data, 4)
        return f"version {data[:1].hex()} entries {count if count < 4 else 'many'}"
    if kind == "stts":
        # The last sample is often of another length: two runs are still a steady rate.
        return "steady" if _u32(data, 4) <= 2 else "varying"
    if kind == "avcC" and len(data) > 6:
        return f"profile {data[1:4].hex()} lengths {(data[4] & 3) + 1} sets {data[5] & 31}"
    if kind == "hvcC" and len(data) > 22:
        return f"profile {data[1]:02x} level {data[12]} lengths {(data[21] & 3) + 1}"
    if kind in ("colr", "pasp", "vmhd", "smhd", "btrt", "fiel"):
        return data[:4].decode("latin-1") if kind == "colr" else ""
    if kind in ("avc1", "hvc1", "hev1", "mp4v", "av01", "vp09"):
        return f"compressor {_plain(data[43:74])!r} depth {int.from_bytes(data[74:76], 'big')}"
    if kind == "mp4a":
        return f"version {data[8:10].hex()}"
    if kind == "uuid":
        return data[:16].hex()
    if kind == "data" or kind.startswith(("©", "\\xa9")):
        inner = data[16:] if data[4:8] == b"data" else data[4:]
        return _plain(data[8:] if kind == "data" else inner)
    if kind in ("free", "skip", "wide"):
        return "zeros" if not any(data) else "content"
    return ""


def _box_elements(file: BinaryIO, size: int) -> tuple[list[Element], list[Problem]]:
    roots, problems = read_boxes(file, size)
    nodes = [node for root in roots for node in root.walk()][:20_000]
    return [Element(n.offset, n.size, n.path, _describe(file, n)) for n in nodes], problems


def read_elements(clip: Clip) -> tuple[list[Element], list[Problem]]:
    """The parts of a clip's container in file order; nothing for a format we have no reader for."""
    names = clip.container.format.split(",")
    with open(clip.path, "rb") as file:
        if "mov" in names:
            return _box_elements(file, clip.size)
        for name, reader in READERS:
            if name in names:
                return reader(file, clip.size)
    return [], []


def _collapse(elements: list[Element]) -> Iterator[Part]:
    """Parts with runs of the same group written once: fragments and clusters repeat."""
    lines = [f"{e.path}\0{e.text}" for e in elements]
    at = 0
    while at < len(elements):
        best = (1, 1)
        for width in (1, 2, 3, 8):
            count = 1
            while (at + (count + 1) * width <= len(lines)
                   and lines[at : at + width] == lines[at + count * width :
                                                       at + (count + 1) * width]):  # fmt: skip
                count += 1
            if count > 1 and count * width > best[0] * best[1]:
                best = (width, count)
        width, count = best
        for element in elements[at : at + width]:
            yield Part(element.path, element.text, element.offset, element.size, count)
        at += width * count


def read_structure(clip: Clip, *, progress: Progress | None = None) -> Structure:
    """The structure of a file: its boxes or elements in order, with the fields a writer chooses.

    Parameters
    ----------
    clip
        An opened clip.
    progress
        Called with (fraction, text).

    Returns
    -------
    Structure
        Its `signature` is equal for files whose writer made the same choices.

    Raises
    ------
    ClipNotFound, ClipChanged

    References
    ----------
    Iuliani et al., A Video Forensic Framework for the Unsupervised Analysis of MP4-Like File
    Container, TIFS 14 (2019).

    When it errs
    ------------
    Gives two signatures to one device that records with and without sound, or in another mode
    (ASTM E3016: inaccuracy, association). Gives the same signature to every file that one program
    wrote, whatever device recorded it; says nothing about the recording then.
    """
    check_unchanged(clip)
    elements, problems = read_elements(clip)
    parts = tuple(_collapse(elements))
    digest = hashlib.sha256("\n".join(p.line for p in parts).encode()).hexdigest()
    if progress is not None:
        progress(1.0, "structure")
    return Structure(
        clip.digest, clip.container.format, digest, parts,
        tuple(f"byte {p.offset}: {p.text}" for p in problems[:200]),
    )  # fmt: skip


def compare_structures(first: Structure | Clip, second: Structure | Clip) -> Comparison:
    """What differs between the structures of two files, box by box.

    Parameters
    ----------
    first, second
        Structures, or clips: a questioned file and an exemplar of the claimed device or program.

    Returns
    -------
    Comparison

    When it errs
    ------------
    Agreement is no identification: many devices share one writer (ASTM E3016: inaccuracy,
    association). A difference may come from another recording mode or firmware.
    """
    one = read_structure(first) if isinstance(first, Clip) else first
    two = read_structure(second) if isinstance(second, Clip) else second
    found: list[Difference] = []
    left, right = list(one.parts)[:5000], list(two.parts)[:5000]
    matcher = difflib.SequenceMatcher(
        None, [p.line for p in left], [p.line for p in right], autojunk=False)
    common = 0
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            common += b - a
            continue
        ours, theirs = left[a:b], right[c:d]
        for part in ours:
            twin = next((p for p in theirs if p.path == part.path), None)
            if twin is not None:
                theirs = [p for p in theirs if p is not twin]
                found.append(Difference("other fields", part.path, part.fields, twin.fields))
            else:
                found.append(Difference("only in first", part.path, part.fields, ""))
        found.extend(Difference("only in second", p.path, "", p.fields) for p in theirs)
    total = max(1, len(left) + len(right))
    agreement = Quantity.exact(2 * common / total, "", "share of lines in common, counted")
    return Comparison(one.clip, two.clip, one.signature == two.signature, agreement, tuple(found))
