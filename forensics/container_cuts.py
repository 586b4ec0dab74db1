"""Stream-copy cuts: places where pictures that were coded apart now stand side by side.

Encoders number what they write. Cutting without re-encoding keeps the numbers and breaks their
order: ``idr_pic_id`` from key frame to key frame, ``frame_num`` and the order count inside a coded
sequence, the GOP clock of MPEG-1/2/4. The detectors here are functions of the header table.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from forensics.container_headers import ABSENT, SliceTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Cut", "IdPattern", "find_codec_clock_breaks", "find_cuts", "find_order_breaks",
           "gop_starts", "is_regular", "read_id_pattern", "restart_rows"]  # fmt: skip

#: Pictures one by one: that one is stored whole is chance, and begins nothing.
_STILLS = frozenset({"apng", "gif", "png", "webp"})


@dataclass(frozen=True)
class IdPattern:
    """How ``idr_pic_id`` runs: constant, alternating, counting, or none that can be told."""

    pattern: Literal["none", "constant", "alternating", "counting", "irregular"]
    breaks: tuple[int, ...] = ()
    removed: tuple[int | None, ...] = ()


@dataclass
class Cut:
    """One place, the row of the first picture after it, and everything that points there."""

    row: int
    supports: dict[str, str] = field(default_factory=dict)
    gops_removed: int | None = None
    frames_removed: int | None = None
    modulo: int | None = None
    seconds_removed: Fraction | None = None


def gop_starts(table: SliceTable) -> NDArray[np.int64]:
    """Rows of the random-access pictures: where a stream can be cut and joined."""
    import numpy as np

    return np.flatnonzero(table.access > 0)


def read_id_pattern(ids: Sequence[int], *, least: int = 4) -> IdPattern:
    """The rule that successive ``idr_pic_id`` values follow, and where it is broken.

    Parameters
    ----------
    ids
        Values of successive IDR pictures, in file order.
    least
        Fewer pictures than this show no rule.

    Returns
    -------
    IdPattern
        `breaks` holds indices into `ids` of the first picture after each break; `removed` the
        number of IDR pictures missing there, where the ids count up.
    """
    if len(ids) < least or min(ids) < 0:
        return IdPattern("none")
    deltas = [b - a for a, b in itertools.pairwise(ids)]
    if not any(deltas):
        return IdPattern("constant")
    share = len(deltas)
    if set(ids) <= {0, 1}:
        same = [i + 1 for i, d in enumerate(deltas) if d == 0]
        if len(same) <= max(1, share // 4):
            return IdPattern("alternating", tuple(same), (None,) * len(same))
        return IdPattern("irregular")
    # A counter wraps somewhere (16, 256, 65536): a fall to 0 from the highest value is no break.
    top = max(ids)
    odd = [
        i + 1 for i, d in enumerate(deltas)
        if d != 1 and not (ids[i + 1] == 0 and ids[i] == top and top & (top + 1) == 0)
    ]  # fmt: skip
    if len(odd) <= max(1, share // 3):
        removed = tuple(deltas[i - 1] - 1 if deltas[i - 1] > 1 else None for i in odd)
        return IdPattern("counting", tuple(odd), removed)
    return IdPattern("irregular")


def find_order_breaks(table: SliceTable) -> list[tuple[int, str, int, int]]:
    """Breaks of the order count inside coded sequences: (row, text, frames missing, modulus).

    Between two IDR pictures the order count of successive shown pictures rises by a fixed step.
    A cut at a picture that is not an IDR (open GOP, H.265 CRA) or inside a GOP breaks the step.
    The number of missing frames is known only up to the modulus of the counter.
    """
    import numpy as np

    if table.poc_bits <= 0 or not table.frame_only:
        return []
    modulus = 1 << table.poc_bits
    known = (table.poc_lsb >= 0) & (table.packets.pts != ABSENT)
    found = []
    starts = np.flatnonzero((table.access == 1) | (table.access == 3))
    edges = [0, *(int(s) for s in starts if s > 0), len(table)]
    jumps: list[tuple[int, int, int]] = []
    steps: dict[int, int] = defaultdict(int)
    for first, last in itertools.pairwise(edges):
        rows = np.arange(first, last)[known[first:last]]
        if len(rows) < 3:
            continue
        rows = rows[np.argsort(table.packets.pts[rows], kind="stable")]
        jump = np.diff(table.poc_lsb[rows]) % modulus
        values, counts = np.unique(jump, return_counts=True)
        for value, count in zip(values, counts, strict=True):
            steps[int(value)] += int(count)
        jumps.extend((int(rows[i + 1]), int(rows[i]), int(v)) for i, v in enumerate(jump))
    if not jumps:
        return []
    step = max(steps, key=lambda value: steps[value])
    if step == 0 or steps[step] < 0.8 * len(jumps):
        return []
    odd = [jump for jump in jumps if jump[2] != step]
    if len(odd) > max(3, len(jumps) // 20):
        return []  # an encoder that leaves numbers out as a habit
    for after, before, jump_size in odd:
        missing = (jump_size - step) % modulus
        frames, rest = divmod(missing, step)
        row = max(after, before) if table.access[after] == 0 else after
        if rest == 0:
            found.append((row, "order-count", frames, modulus // step))
        else:
            found.append((row, "order-count", -1, modulus // step))
    return found


def find_frame_num_breaks(table: SliceTable) -> list[tuple[int, int]]:
    """Rows where H.264 ``frame_num`` skips reference pictures, and how many are missing."""
    import numpy as np

    if table.frame_num_bits <= 0 or not table.frame_only:
        return []
    modulus = 1 << table.frame_num_bits
    rows = np.flatnonzero(table.frame_num >= 0)
    if len(rows) < 2:
        return []
    numbers = table.frame_num[rows]
    reference = table.reference[rows] > 0
    # The expected value is that of the last reference picture plus one.
    position = np.maximum.accumulate(np.where(reference, np.arange(len(rows)), -1))
    last = np.where(position[:-1] >= 0, numbers[np.maximum(position[:-1], 0)], numbers[1:] - 1)
    ahead = (numbers[1:] - last) % modulus
    # A second field or a non-reference neighbour may repeat the number.
    wrong = (ahead > 1) & (table.access[rows[1:]] != 1)
    if wrong.sum() > max(3, len(rows) // 20):
        return []  # numbers that make no sense throughout: encrypted, or not what we think
    return [(int(rows[i + 1]), int(ahead[i] - 1)) for i in np.flatnonzero(wrong)]


def find_clock_breaks(table: SliceTable) -> list[tuple[int, Fraction]]:
    """Rows where the GOP time code jumps against the container's stamps, and by how much (s).

    The code counts whole seconds: where GOPs do not begin on them it jitters by up to one, and
    only a jump half a second beyond the usual jitter counts.
    """
    pairs = [(row, code, table.time(row)) for row, code in sorted(table.time_codes.items())]
    timed = [(row, code - time) for row, code, time in pairs if time is not None]
    if len(timed) < 4 or len({code for _, code, _ in pairs}) < 3:
        return []
    jumps = [(row, after - before) for (_, before), (row, after) in itertools.pairwise(timed)]
    sizes = sorted(abs(jump) for _, jump in jumps)
    limit = min(Fraction(3, 2), sizes[(len(sizes) * 3) // 4] + Fraction(1, 2))
    # One key frame out of turn, in the middle of a second, moves the code by less than a second.
    found = [
        (row, jump) for row, jump in jumps
        if abs(jump) > limit and abs(abs(jump) - 86400) > limit and abs(jump) > Fraction(99, 100)
    ]  # fmt: skip
    return found if len(found) <= max(2, len(timed) // 8) else []


def find_codec_clock_breaks(table: SliceTable) -> list[tuple[int, Fraction]]:
    """Rows where the pictures' own clock jumps against the container's stamps, and by how much (s).

    MPEG-4 part 2 writes the time of every picture into its header. Copying some packets and
    giving them new stamps leaves the old times inside. Whole seconds show only where a GOP header
    with a time code follows.
    """
    import numpy as np

    if table.clock_rate < 2:
        return []
    rows = np.flatnonzero((table.ticks >= 0) & (table.packets.pts != ABSENT) & table.shown)
    if len(rows) < 8:
        return []
    rows = rows[np.argsort(table.packets.pts[rows], kind="stable")]
    base = float(table.packets.time_base)
    stamped = np.diff(table.packets.pts[rows].astype(np.float64)) * base
    apart = np.diff(table.ticks[rows].astype(np.float64)) / table.clock_rate - stamped
    usual = float(np.median(stamped))
    odd = np.flatnonzero(np.abs(apart) > max(0.5 * usual, 2 * base, 2 / table.clock_rate))
    if not usual or len(odd) > max(2, len(rows) // 20):
        return []  # a clock that was never meant, or a container that spaces its stamps evenly
    found = []
    for at in odd:
        row = int(rows[at + 1])
        # The pictures shown first may be stored after the key frame that the cut was made at.
        keys = np.flatnonzero(table.access[max(0, row - 4) : row + 1])
        row = max(0, row - 4) + int(keys[-1]) if len(keys) else row
        found.append((row, Fraction(float(apart[at])).limit_denominator(10_000)))
    return found


def restart_rows(table: SliceTable) -> list[int]:
    """Rows after the first at which an encoder introduces itself again.

    Not where the order count runs on (a random-access picture that is no IDR), and not where the
    introduction stands with the parameter sets at every key frame: that is a habit of an encoder,
    or of a tool that repeats the header. In MPEG-4 part 2 the header is part of the key frame, so
    that an encoder without a global header introduces itself at every one; another name among
    them is another encoder.
    """
    rows = [row for row in table.said if row > 0 and table.access[row] not in (0, 2, 4)]
    starts = gop_starts(table)
    with_sets = sum(1 for row in rows if row in table.sets or table.codec == "mpeg4")
    if len(starts) >= 4 and with_sets >= 0.9 * (len(starts) - 1):
        names = sorted(table.said)
        return [row for last, row in itertools.pairwise(names)
                if table.said[row] != table.said[last] and row in rows]  # fmt: skip
    return sorted(rows)


def is_regular(rows: Sequence[int], total: int, *, least: int = 2) -> bool:
    """Whether marks are spaced like chunks: all the same distance, the last chunk shorter."""
    if len(rows) < least:
        return False
    edges = [0, *rows]
    sizes = {b - a for a, b in itertools.pairwise(edges)}
    return len(sizes) == 1 and total - rows[-1] <= next(iter(sizes))


def find_cuts(table: SliceTable) -> tuple[list[Cut], IdPattern, str]:
    """Places where the header table shows a join, the id pattern, and a benign reading of all.

    The third value is ``platform-chunks`` where an encoder restarts at equal distances: then
    breaks at those restarts are left out.
    """
    import numpy as np

    cuts: dict[int, Cut] = {}

    def mark(row: int) -> Cut:
        return cuts.setdefault(row, Cut(row))

    starts = gop_starts(table)
    idr = np.flatnonzero((table.access == 1) & (table.idr_pic_id >= 0))
    pattern = read_id_pattern([int(v) for v in table.idr_pic_id[idr]])
    for index, removed in zip(pattern.breaks, pattern.removed, strict=True):
        cut = mark(int(idr[index]))
        before, after = (int(table.idr_pic_id[idr[i]]) for i in (index - 1, index))
        cut.supports["idr-id"] = f"idr_pic_id {before} is followed by {after}"
        cut.gops_removed = removed
    for row, _, frames, modulus in find_order_breaks(table):
        cut = mark(row)
        count = f"{frames} frames missing modulo {modulus}" if frames >= 0 else "by part of a step"
        cut.supports["order-count"] = f"the picture order count jumps: {count}"
        if frames >= 0:
            cut.frames_removed, cut.modulo = frames, modulus
    for row, missing in find_frame_num_breaks(table):
        cut = mark(row)
        cut.supports["frame-num"] = f"frame_num skips {missing} reference pictures"
        if cut.frames_removed is None and not (table.reference == 0).any():
            cut.frames_removed, cut.modulo = missing, 1 << table.frame_num_bits
    for row, jump in find_clock_breaks(table):
        mark(row).supports["gop-clock"] = (
            f"the GOP header's clock jumps by {float(jump):+.1f} s against the stamps"
        )
    for row, jump in find_codec_clock_breaks(table):
        cut = mark(row)
        cut.supports["codec-clock"] = (
            f"the pictures' own clock jumps by {float(jump):+.3f} s against the stamps"
        )
        cut.seconds_removed = jump if jump > 0 else None
    for row, text in _short_gops(table, starts):
        mark(row).supports["short-gop"] = text
    restarts = restart_rows(table)
    benign = "platform-chunks" if is_regular(restarts, len(table)) else ""
    for row in restarts:
        if not benign:
            mark(row).supports["encoder-restart"] = "the encoder writes its name again here"
    for row, text in _set_changes(table, starts):
        mark(row).supports["parameter-sets"] = text
    if benign:
        for row in restarts:
            cuts.pop(row, None)
    return sorted(cuts.values(), key=lambda cut: cut.row), pattern, benign


def _short_gops(table: SliceTable, starts: NDArray[np.int64]) -> list[tuple[int, str]]:
    import numpy as np

    if len(starts) < 4 or table.codec in _STILLS:
        return []
    lengths = np.diff(starts)
    usual = int(np.median(lengths))
    found = []
    # The GOP before a join ends early; encoders that cut at scene changes do that by themselves.
    fixed = float((lengths == usual).mean())
    for index in np.flatnonzero(lengths < usual):
        length = int(lengths[index])
        row = int(starts[index + 1])
        if length == 1 and usual > 2:
            found.append((row, "a GOP of one picture stands in front"))
        elif fixed >= 0.8 and (lengths < usual).sum() <= max(1, len(lengths) // 10):
            found.append((row, f"a GOP of {length} in front where all others have {usual}"))
    if len(found) > max(1, len(lengths) // 10):
        return []
    return found


def _set_changes(table: SliceTable, starts: NDArray[np.int64]) -> list[tuple[int, str]]:
    if not table.sets:
        return []
    found = []
    known: dict[str, set[str]] = defaultdict(set)
    for name in table.outside:
        known[name.split(":")[0]].add(name)
    for row in sorted(table.sets):
        for name in table.sets[row]:
            kind = name.split(":")[0]
            if known[kind] and name not in known[kind]:
                found.append((row, "a parameter set is replaced by another in band"))
            known[kind].add(name)
    inside = [row for row in table.sets if row > 0 and table.access[row]]
    if not found and table.length_prefixed and 0 < len(inside) <= max(1, len(starts) // 4):
        found.extend((row, "parameter sets are repeated in band only here") for row in inside)
    return found


def joined_trace(table: SliceTable, muxer: str) -> Literal["", "in-band", "inserted"]:
    """Whether parameter sets stand in band the way a stream-copying join leaves them.

    The join tool of FFmpeg puts them in front of every key frame of an MP4 that also has them in
    its header. So do an MPEG-TS put into an MP4, but with access unit delimiters, and a bare
    stream put into an MP4, but with its clock of 1/1,200,000 s. ``inserted``: they stand behind a
    message that an encoder writes after them, so that something put them in later.
    """
    if table.packets.time_base == Fraction(1, 1_200_000):
        return ""
    if not table.length_prefixed or "lavf" not in muxer.lower() or table.codec != "h264":
        return ""
    starts = [row for row in range(len(table)) if table.access[row] == 1]
    inside = sum(1 for row in starts if row in table.sets)
    delimiters = sum(1 for row in starts if 9 in table.units.get(row, ()))
    if len(starts) < 2 or inside < 0.9 * len(starts) or delimiters:
        return ""
    units = [table.units.get(row, ()) for row in starts]
    late = any(6 in u and 7 in u and u.index(6) < u.index(7) for u in units)
    return "inserted" if late else "in-band"
