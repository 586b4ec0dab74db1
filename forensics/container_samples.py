"""The sample tables of an MP4/MOV file: which bytes are which picture, and which are nobody's.

Read with our own reader, since a demuxer only hands out what the tables point at. No count in the
file is trusted: an array is never longer than the bytes that describe it, or than the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

from forensics.boxes import BoxNode, Problem, find_all, payload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Gap", "SampleTable", "read_samples", "unreferenced"]

_MAX_SAMPLES = 4_000_000


@dataclass(frozen=True)
class SampleTable:
    """One track's samples in decoding order: file offsets, sizes, stamps in media ticks."""

    track: int
    handler: str
    timescale: int
    declared: int
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    dts: NDArray[np.int64]
    pts: NDArray[np.int64]
    sync: NDArray[np.int64]
    media_duration: int = 0
    track_duration: int = 0
    size_shown: tuple[int, int] = (0, 0)
    size_coded: tuple[int, int] = (0, 0)
    deltas: tuple[tuple[int, int], ...] = ()
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.size)

    @property
    def length_s(self) -> Fraction:
        """Sum of the sample durations, s."""
        ticks = sum(count * delta for count, delta in self.deltas)
        return Fraction(ticks, self.timescale) if self.timescale else Fraction(0)


@dataclass(frozen=True)
class Gap:
    """Bytes of an ``mdat`` that no sample covers; `pictures` NAL units were recognised there."""

    offset: int
    size: int
    pictures: int = 0
    kinds: tuple[int, ...] = field(default=())


def _array(data: bytes, at: int, count: int, width: int, columns: int = 1) -> NDArray[np.int64]:
    import numpy as np

    kind = {2: ">u2", 4: ">u4", 8: ">u8"}[width]
    available = max(0, (len(data) - at) // (width * columns))
    count = max(0, min(count, available))
    raw = np.frombuffer(data, kind, count * columns, at if count else 0)
    # Offsets beyond 2**63 are lies; they must not wrap to something plausible.
    found = (np.minimum(raw, 2**62) if width == 8 else raw).astype(np.int64)
    return found.reshape(count, columns) if columns > 1 else found


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _repeat(values: NDArray[np.int64], counts: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """`np.repeat` that never makes more than `limit` items, whatever the counts claim."""
    import numpy as np

    ends = np.minimum(np.cumsum(np.minimum(counts, limit)), limit)
    clipped = np.diff(ends, prepend=0)
    repeated: NDArray[np.int64] = np.repeat(values, clipped)
    return repeated


def _times(boxes: dict[str, bytes], total: int) -> tuple[NDArray[np.int64], NDArray[np.int64],
                                                         tuple[tuple[int, int], ...]]:  # fmt: skip
    import numpy as np

    stts = boxes.get("stts", b"")
    table = _array(stts, 8, _u32(stts, 4), 4, 2)
    deltas = _repeat(table[:, 1], table[:, 0], total) if len(table) else np.zeros(0, np.int64)
    deltas = np.concatenate([deltas, np.zeros(total - len(deltas), np.int64)])
    dts = np.concatenate([[0], np.cumsum(deltas)[:-1]]) if total else np.zeros(0, np.int64)
    pts = dts.copy()
    ctts = boxes.get("ctts", b"")
    shifts = _array(ctts, 8, _u32(ctts, 4), 4, 2)
    if len(shifts):
        signed = np.where(shifts[:, 1] >= 2**31, shifts[:, 1] - 2**32, shifts[:, 1])
        spread = _repeat(signed, shifts[:, 0], total)
        pts[: len(spread)] += spread
    runs = tuple((int(c), int(d)) for c, d in table[:10_000])
    return dts, pts, runs


def _offsets(boxes: dict[str, bytes], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    import numpy as np

    wide = "co64" in boxes
    data = boxes.get("co64", boxes.get("stco", b""))
    chunks = _array(data, 8, _u32(data, 4), 8 if wide else 4)
    stsc = boxes.get("stsc", b"")
    runs = _array(stsc, 8, _u32(stsc, 4), 4, 3)
    total = len(sizes)
    if not len(chunks) or not len(runs):
        return np.full(total, -1, np.int64)
    first = np.clip(runs[:, 0] - 1, 0, len(chunks))
    spans = np.maximum(np.diff(first, append=len(chunks)), 0)
    per_chunk = _repeat(runs[:, 1], spans, len(chunks))
    chunk_of = _repeat(np.arange(len(per_chunk)), per_chunk, total)
    known = len(chunk_of)
    offset = np.full(total, -1, np.int64)
    if known:
        ahead = np.concatenate([[0], np.cumsum(sizes[: known - 1])])
        # Bytes of earlier samples in the same chunk: the running sum less its value at the start.
        starts = np.flatnonzero(np.diff(chunk_of, prepend=-1))
        at_start = ahead[starts]
        offset[:known] = (
            chunks[chunk_of] + ahead - np.repeat(at_start, np.diff(starts, append=known))
        )
    return offset


def read_samples(file: BinaryIO, size: int, roots: list[BoxNode]) -> list[SampleTable]:
    """The sample table of every track of an MP4/MOV file that is not fragmented.

    Parameters
    ----------
    file
        The open file.
    size
        Its size, bytes.
    roots
        Its boxes, from `boxes.read_boxes`.
    """
    return [
        _read_track(file, size, number, track)
        for number, track in enumerate(find_all(roots, "moov/trak")[:256])
    ]


def _read_track(file: BinaryIO, size: int, number: int, track: BoxNode) -> SampleTable:
    import numpy as np

    wanted = tuple("stts ctts stsz stz2 stsc stco co64 stss mdhd hdlr tkhd".split())
    boxes: dict[str, bytes] = {}
    problems: list[Problem] = []
    where: dict[str, int] = {}
    for node in track.walk():
        if node.kind in wanted:
            if node.kind in boxes and node.kind not in ("hdlr", "tkhd"):
                problems.append(Problem(node.offset, f"a second {node.kind!r} in one track"))
            elif node.kind not in boxes:
                boxes[node.kind] = payload(file, node, 1 << 25)
                where[node.kind] = node.offset
    mdhd, tkhd = boxes.get("mdhd", b""), boxes.get("tkhd", b"")
    wide = mdhd[:1] == b"\x01"
    timescale = _u32(mdhd, 20 if wide else 12)
    media = int.from_bytes(mdhd[24:32] if wide else mdhd[16:20], "big")
    wide = tkhd[:1] == b"\x01"
    shown = int.from_bytes(tkhd[28:36] if wide else tkhd[20:24], "big")
    shape = tkhd[88:96] if wide else tkhd[76:84]
    handler = boxes.get("hdlr", b"")[8:12].decode("latin-1")
    stsz = boxes.get("stsz", b"")
    each, declared = _u32(stsz, 4), _u32(stsz, 8)
    limit = min(_MAX_SAMPLES, max(1, size))
    if each:
        if declared * each > size:
            problems.append(Problem(where["stsz"], f"{declared} samples of {each} bytes exceed "
                                                   "the file"))  # fmt: skip
        sizes = np.full(min(declared, limit, size // each), each, np.int64)
    else:
        sizes = _array(stsz, 12, min(declared, limit), 4)
        if len(sizes) < declared:
            problems.append(Problem(where.get("stsz", track.offset),
                                    f"{declared} samples are claimed, {len(sizes)} are described"))
    dts, pts, runs = _times(boxes, len(sizes))
    described = sum(count for count, _ in runs)
    if len(sizes) and described != declared and len(runs) < 10_000:
        problems.append(Problem(where.get("stts", track.offset),
                                f"'stts' times {described} samples, 'stsz' sizes {declared}"))
    stss = boxes.get("stss", b"")
    return SampleTable(
        number, "".join(c for c in handler if c.isprintable()), timescale, declared,
        _offsets(boxes, sizes), sizes, dts, pts, _array(stss, 8, _u32(stss, 4), 4),
        media_duration=media, track_duration=shown,
        size_shown=(_u32(shape, 0) >> 16, _u32(shape, 4) >> 16), size_coded=_coded(file, track),
        deltas=runs, problems=tuple(problems),
    )  # fmt: skip


def _coded(file: BinaryIO, track: BoxNode) -> tuple[int, int]:
    for node in track.walk():
        if node.path.startswith("moov/trak/mdia/minf/stbl/stsd/"):
            entry = payload(file, node, 64)
            return int.from_bytes(entry[24:26], "big"), int.from_bytes(entry[26:28], "big")
    return 0, 0


def unreferenced(
    file: BinaryIO, roots: list[BoxNode], tables: list[SampleTable], *, least: int = 64,
    nal_width: int = 0,
) -> list[Gap]:  # fmt: skip
    """Stretches of ``mdat`` that no sample of any track covers.

    Parameters
    ----------
    file, roots, tables
        The file, its boxes and sample tables.
    least
        Shorter stretches are padding.
    nal_width
        Bytes of a NAL length in the picture track; 0: do not look for pictures there.
    """
    import numpy as np

    if any(root.kind == "moof" for root in roots) or not any(len(t) for t in tables):
        return []
    offset = np.concatenate([t.offset for t in tables])
    length = np.concatenate([t.size for t in tables])
    known = offset >= 0
    order = np.argsort(offset[known], kind="stable")
    starts = offset[known][order]
    ends = np.maximum.accumulate(starts + length[known][order]) if len(starts) else starts
    gaps: list[Gap] = []
    for root in roots:
        if root.kind != "mdat":
            continue
        begin, end = root.offset + root.header, root.end
        inside = (starts < end) & (ends > begin)
        left = np.concatenate([[begin], np.clip(ends[inside], begin, end)])
        right = np.concatenate([np.clip(starts[inside], begin, end), [end]])
        wide = np.flatnonzero(right - left >= least)[:1000]
        gaps.extend(_look(file, int(left[at]), int(right[at]), nal_width) for at in wide)
    return gaps


def _look(file: BinaryIO, begin: int, end: int, width: int) -> Gap:
    kinds: list[int] = []
    at = begin
    while width and end - at > width and len(kinds) < 100_000:
        file.seek(at)
        head = file.read(width + 1)
        length = int.from_bytes(head[:width], "big")
        # A chain of NAL units that fits and carries plausible types is not chance.
        if len(head) <= width or not 2 <= length <= end - at - width or head[width] & 0x80:
            break
        kinds.append(head[width] & 31)
        at += width + length
    chained = at - begin > 0.5 * (end - begin)
    plausible = bool(kinds) and chained and all(1 <= kind <= 19 for kind in kinds)
    pictures = sum(1 for kind in kinds if kind in (1, 5)) if plausible else 0
    return Gap(begin, end - begin, pictures, tuple(kinds[:20]) if plausible else ())
