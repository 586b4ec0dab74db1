"""Follow one clock through a clip: crops in, segments and wall times out, memory bounded.

`Follower` is a `scan` detector. It keeps the first stretch of crops, learns the figures from it,
and then turns each further chunk into one small mean picture a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from forensics.clock_cells import (
    Cell,
    Segments,
    Tick,
    find_ticks,
    learn_digits,
    regularity,
    segment_means,
)
from forensics.clock_find import Reader
from forensics.clock_text import TimeText, read_time_text
from forensics.clock_walk import Layout, Walk, find_layout, label_digits, walk
from forensics.model import Box
from forensics.scan import View

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]

__all__ = ["Follower", "Reading", "Track", "merge_halves", "read_every", "read_track", "take"]

_LEARN_S = 90.0
_CHUNK = 1500
_MOST_READS = 900
_MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Track:
    """What was followed: segments (frame numbers from 0), frame times, and what they rest on.

    `cell` is None where no ticking figure was learned; then each segment is one sampled frame.
    """

    segments: Segments
    times: Floats
    cell: Cell | None
    tick: Tick | None
    even: float


class Follower:
    """A `scan` detector (no columns) that follows what stands in `box` of the upright frame."""

    columns: tuple[str, ...] = ()

    def __init__(self, box: Box, *, rotation: int = 0, time_base: float = 1.0) -> None:
        self.box, self._turns, self._time_base = box, (rotation // 90) % 4, time_base
        self._crops: list[Bytes] = []
        self._first = 0
        self._times: list[float] = []
        self._parts: list[Segments] = []
        self._samples: list[tuple[int, Bytes]] = []
        self._size: tuple[int, int] | None = None
        self.cell: Cell | None = None
        self.tick: Tick | None = None
        self.even = 0.0

    def measure(self, view: View) -> Sequence[float]:
        """Take the crop of one frame."""
        import cv2
        import numpy as np

        upright = np.rot90(view.luma, -self._turns) if self._turns else view.luma
        height, width = upright.shape
        if self._size is None:
            self._size = (height, width)
        x0, y0 = max(0, round(self.box.x)), max(0, round(self.box.y))
        x1 = min(self._size[1], round(self.box.x + self.box.width))
        y1 = min(self._size[0], round(self.box.y + self.box.height))
        if (height, width) != self._size:
            size = self._size[::-1]
            upright = cv2.resize(np.ascontiguousarray(upright), size).astype(np.uint8)
        crop = upright[y0:y1, x0:x1].copy()
        time = view.pts * self._time_base
        self._times.append(time)
        self._crops.append(crop)
        if self.cell is None and (not self._samples or
                                  time - self._times[self._samples[-1][0]] >= 0.499):  # fmt: skip
            self._samples.append((len(self._times) - 1, crop))
        held = len(self._crops)
        if self.cell is None:
            long = time - self._times[self._first] >= _LEARN_S
            if long or held * crop.nbytes >= _MOST_BYTES:
                self._learn()
        elif held >= _CHUNK:
            self._flush()
        return ()

    def _stack(self) -> tuple[Bytes, Floats]:
        import numpy as np

        return np.stack(self._crops), np.array(self._times[self._first :])

    def _learn(self) -> None:
        crops, times = self._stack()
        best = 0.0
        for tick in find_ticks(crops, times):
            cell = learn_digits(crops, times, tick)
            if cell is None:
                continue
            segments = segment_means(crops, cell)
            even = regularity(segments, times, tick.period_s, kinds=len(cell.looks))
            if even * (0.5 if not cell.cyclic else 1.0) > best:
                best = even
                self.cell, self.tick, self.even = cell, tick, even
            if best > 0.9:
                break
        if best < 0.35:
            self.cell = self.tick = None
            # Nothing ticks here yet: forget the older half and look again later.
            half = len(self._crops) // 2
            self._crops = self._crops[half:]
            self._first += half
        else:
            self._samples = []
            self._flush()

    def _flush(self) -> None:
        import numpy as np

        assert self.cell is not None
        part = segment_means(np.stack(self._crops), self.cell)
        moved = Segments(part.first + self._first, part.last + self._first, part.digit, part.fit,
                         part.means)  # fmt: skip
        self._parts.append(moved)
        self._first += len(self._crops)
        self._crops = []

    def finish(self) -> Track:
        """The track once all frames have been measured."""
        import numpy as np

        if self.cell is None and len(self._crops) >= 8:
            self._learn()
        elif self.cell is not None and self._crops:
            self._flush()
        times = np.array(self._times)
        if self.cell is not None:
            return Track(_join(self._parts), times, self.cell, self.tick, self.even)
        index = np.array([i for i, _ in self._samples], np.int64)
        last = np.r_[index[1:] - 1, len(times) - 1].astype(np.int64) if len(index) else index
        means = (
            np.stack([crop for _, crop in self._samples])
            if self._samples
            else np.zeros((0, 1, 1), np.uint8)
        )
        blank = np.zeros(len(index), np.float32)
        return Track(Segments(index, last, index * 0, blank, means), times, None, None, 0.0)


def _join(parts: Sequence[Segments]) -> Segments:
    """Chunks as one; a digit shown across a border is one segment."""
    import numpy as np

    first = np.concatenate([p.first for p in parts])
    last = np.concatenate([p.last for p in parts])
    digit = np.concatenate([p.digit for p in parts])
    fit = np.concatenate([p.fit for p in parts])
    means = np.concatenate([p.means for p in parts])
    starts = np.cumsum([len(p.first) for p in parts])[:-1]
    same = np.zeros(len(first), bool)
    same[starts] = digit[starts] == digit[starts - 1]
    keep = np.flatnonzero(~same)
    ends = np.r_[keep[1:] - 1, len(first) - 1]
    # Of the pieces of one segment the longest gives the picture.
    length = last - first
    pick = np.array([a + int(length[a : b + 1].argmax()) for a, b in zip(keep, ends, strict=True)])
    return Segments(first[keep], last[ends], digit[keep], fit[pick], means[pick])


@dataclass(frozen=True)
class Reading:
    """What the recogniser and the learned figures together say of a track."""

    walk: Walk | None
    layout: Layout | None
    rotation: int | None
    texts: dict[int, TimeText]
    line: Box | None
    twelve: bool


def _tight(means: Bytes, reader: Reader) -> tuple[int, int, int, int] | None:
    """Rows and columns of the clock's line inside the crops, as the reader sees it."""
    import cv2
    import numpy as np

    from forensics.clock_text import is_clock_like

    height, width = means.shape[1:]
    # Several seconds on one sheet: detectors blow small pictures up, and one call is enough.
    scale = max(1, min(3, 60 // max(1, height), 700 // max(1, width)))
    tall, gap = height * scale, 24
    count = max(1, min(4, 700 // (tall + gap)))
    side = max(736, width * scale + 2 * gap)
    sheet = np.full((max(736, count * (tall + gap) + gap), side), 96, np.uint8)
    for slot, index in enumerate(np.linspace(0, len(means) - 1, count).astype(int)):
        big = cv2.resize(means[index], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        y = gap + slot * (tall + gap)
        sheet[y : y + tall, gap : gap + big.shape[1]] = big
    spans: list[tuple[float, float, float, float]] = []
    for line in reader.find_lines(np.repeat(sheet[..., None], 3, axis=2)):
        if is_clock_like(line.text):
            box = line.box
            # A box may begin above its slot: the slot is the one its middle lies in.
            slot = int((box.y + box.height / 2 - gap / 2) // (tall + gap))
            y = box.y - gap - slot * (tall + gap)
            spans.append((y, y + box.height, box.x - gap, box.x - gap + box.width))
    if not spans:
        return None
    table = np.array(spans) / scale
    top, left = int(table[:, 0].min()) - 2, int(table[:, 2].min()) - 3
    bottom, right = int(table[:, 1].max()) + 3, int(table[:, 3].max()) + 4
    top, left, bottom, right = max(0, top), max(0, left), min(height, bottom), min(width, right)
    return (top, bottom, left, right) if bottom - top >= 5 and right - left >= 10 else None


def _read_some(
    means: Bytes, index: Sequence[int], reader: Reader, texts: dict[int, TimeText]
) -> None:
    for i in index:
        if i in texts:
            continue
        said = read_time_text(reader.read_line(means[i])[0])
        if said is not None and said.seconds is not None:
            texts[i] = said


def read_track(track: Track, reader: Reader | None, *, most_reads: int = 16) -> Reading:
    """Wall times for every segment of a track.

    Parameters
    ----------
    track
        What `Follower.finish` returned.
    reader
        A text reader, or None: then only what the clip itself teaches.
    most_reads
        How many segments the reader reads, evenly spread, before it looks at doubtful places.
    """
    import numpy as np

    segments = track.segments
    texts: dict[int, TimeText] = {}
    line: Box | None = None
    means = segments.means
    n = len(segments)
    spread: list[int] = []
    if reader is not None and n:
        window = _tight(means, reader)
        if window is not None:
            top, bottom, left, right = window
            means = np.ascontiguousarray(means[:, top:bottom, left:right])
            line = Box(float(left), float(top), float(right - left), float(bottom - top))
        most = most_reads if track.cell is not None else max(most_reads, 2000)
        spread = sorted({int(i) for i in np.linspace(0, n - 1, min(n, most))})
        _read_some(means, spread, reader, texts)
    twelve = sum(said.twelve for said in texts.values()) > 0.5 * len(texts) if texts else False
    if track.cell is None:
        return Reading(None, None, None, texts, line, twelve)
    readings = {i: said.seconds for i, said in texts.items() if said.seconds is not None}
    label = label_digits(segments, track.cell, readings)
    rotation = label[0] if label is not None else None
    layout = find_layout(segments, track.cell) if track.cell.cyclic else None
    if rotation is None and not readings:
        return Reading(None, layout, None, texts, line, twelve)
    assert track.tick is not None
    period = track.tick.period_s

    cell = track.cell

    def run() -> Walk | None:
        known = {i: said.seconds for i, said in texts.items() if said.seconds is not None}
        return walk(segments, track.times, period, cell, layout, rotation, known,
                    twelve=twelve)  # fmt: skip

    walked = run()
    if walked is not None and reader is not None:
        if not walked.scores.any() and n <= _MOST_READS:
            # Nothing but the reader vouches for these seconds: it reads them all.
            _read_some(means, range(n), reader, texts)
            walked = run() or walked
        odd = np.flatnonzero(np.diff(walked.wall) % 86_400 != 1)
        doubtful = sorted({int(i + d) for i in odd for d in (-1, 0, 1, 2) if 0 <= i + d < n})
        before = len(texts)
        _read_some(means, doubtful[:120], reader, texts)
        if len(texts) > before:
            walked = run()
    return Reading(walked, layout, rotation, texts, line, twelve)


def read_every(
    track: Track, reader: Reader, *, most_reads: int = _MOST_READS
) -> dict[int, TimeText]:
    """Every segment as the reader alone reads it, for figures the clip itself does not teach.

    Parameters
    ----------
    track
        What `Follower.finish` returned.
    reader
        A text reader.
    most_reads
        Beyond so many segments nothing is read: it would take minutes.

    Returns
    -------
    dict
        Readings by segment, without those that fit neither what is read before nor after them.
    """
    means, texts = track.segments.means, dict[int, TimeText]()
    count = len(track.segments)
    window = _tight(means, reader) if 0 < count <= most_reads else None
    if window is None:
        return {}
    top, bottom, left, right = window
    _read_some(means[:, top:bottom, left:right].copy(), range(count), reader, texts)
    start = track.times[track.segments.first]

    def fits(one: int, other: int) -> bool:
        a, b = texts[one].seconds, texts[other].seconds
        step = ((b or 0) - (a or 0)) % 86_400
        return abs(step - float(start[other] - start[one])) <= 1.2

    index = sorted(texts)
    keep = [
        i for n, i in enumerate(index)
        if (n > 0 and fits(index[n - 1], i)) or (n + 1 < len(index) and fits(i, index[n + 1]))
    ]  # fmt: skip
    return {i: texts[i] for i in keep} if len(keep) >= 0.7 * count else {}


def take(segments: Segments, keep: NDArray[np.int64], frames: int) -> Segments:
    """The segments that begin at `keep`, each reaching to where the next begins."""
    import numpy as np

    first = segments.first[keep]
    last = np.r_[first[1:] - 1, frames - 1].astype(np.int64) if len(first) else first
    return Segments(first, last, segments.digit[keep], segments.fit[keep], segments.means[keep])


def merge_halves(reading: Reading) -> tuple[Reading, NDArray[np.int64]]:
    """The reading without segments that repeat the second before them, and which were kept."""
    import numpy as np

    walked = reading.walk
    assert walked is not None
    keep = np.flatnonzero(np.r_[True, np.diff(walked.wall) != 0])
    new = {int(old): i for i, old in enumerate(keep)}
    texts = {new[i]: said for i, said in reading.texts.items() if i in new}
    shorter = replace(walked, wall=walked.wall[keep], fit=walked.fit[keep], gap=walked.gap[keep],
                      scores=walked.scores[keep])  # fmt: skip
    return replace(reading, walk=shorter, texts=texts), keep
