"""Follow one clock through a clip: crops in, evidence for every frame out, memory bounded.

`Follower` is a `scan` detector. It keeps the first stretch of crops, learns the figures from it
(from what a text recogniser reads there, or else from the beat of the clock), and then turns each
further chunk into the evidence of six places for ten figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forensics.clock_cells import find_ticks, learn_digits, regularity, segment_means
from forensics.clock_course import (
    DAY_S,
    figures_of,
    follow_course,
    guess_offsets,
    place_changes,
    settle_readings,
    spread_readings,
)
from forensics.clock_find import Reader
from forensics.clock_sure import steady_rate
from forensics.clock_text import TimeText, is_clock_like, read_time_text
from forensics.clock_view import Crops, Learned, join_crops, learn_views
from forensics.clock_walk import find_layout, label_digits, turns_twelve, unwrap, walk
from forensics.model import Box
from forensics.scan import View

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]
    Bytes = NDArray[np.uint8]

__all__ = ["Follower", "Reading", "Track", "read_more", "read_track"]

_LEARN_S = 90.0
_CHUNK = 1500
_MOST_BYTES = 256 * 1024 * 1024
_SAMPLE_S = 0.499
#: Frames read to learn from.
_READS = 80
#: What one reading of a recogniser says against every other figure, nats, where it is all there is.
_READ_NATS = 1.5
_SPREAD, _MOST_ALONE = 16, 2000


@dataclass
class Track:
    """What was followed: frame times, the evidence of each frame, and what it rests on.

    `scores` is (n, 6, 10) or None where no figures could be learned. `samples` are crops of single
    frames, by frame number; `texts` what a recogniser read, by frame number. `units`: only the
    last figure could be told apart, and its ten looks are known but for where they begin.
    `learned` are the figures, and how the crops must be seen for them.
    """

    times: Floats
    scores: Floats | None
    learned: Learned | None
    samples: dict[int, Crops]
    texts: dict[int, TimeText] = field(default_factory=dict)
    window: tuple[int, int, int, int] | None = None
    units: bool = False

    @property
    def twelve(self) -> bool:
        """Whether most readings are those of a clock that shows hours 1 to 12."""
        return sum(said.twelve for said in self.texts.values()) > 0.5 * len(self.texts)


class Follower:
    """A `scan` detector (no columns) that follows what stands in `box` of the upright frame."""

    columns: tuple[str, ...] = ()

    def __init__(
        self, box: Box, *, reader: Reader | None = None, rotation: int = 0, time_base: float = 1.0
    ) -> None:
        self.box, self._turns, self._time_base = box, (rotation // 90) % 4, time_base
        self._reader = reader
        self._crops: list[Crops] = []
        self._first = 0
        self._times: list[float] = []
        self._scores: list[Floats] = []
        self._sampled = -1e9
        self._track = Track(_no_times(), None, None, {})
        self._size: tuple[int, int] | None = None
        self._grid: tuple[int, ...] | None = None

    def measure(self, view: View) -> Sequence[float]:
        """Take the crop of one frame."""
        import cv2
        import numpy as np

        upright = np.rot90(view.luma, -self._turns) if self._turns else view.luma
        height, width = upright.shape
        if self._size is None:
            self._size = (height, width)
        if (height, width) != self._size:
            size = self._size[::-1]
            upright = cv2.resize(np.ascontiguousarray(upright), size).astype(np.uint8)
        chroma = view.chroma
        if chroma is not None and self._turns:
            chroma = np.rot90(chroma, -self._turns, axes=(1, 2))
        crop = self._cut(upright, chroma)
        time = view.pts * self._time_base
        if time - self._sampled >= _SAMPLE_S * (1 if self._track.learned is None else 2):
            self._track.samples[len(self._times)] = crop
            self._sampled = time
        self._times.append(time)
        self._crops.append(crop)
        held = len(self._crops)
        if self._track.learned is None:
            long = time - self._times[self._first] >= _LEARN_S
            if long or held * crop.size >= _MOST_BYTES:
                self._learn()
        elif held >= _CHUNK:
            self._flush()
        return ()

    def _cut(self, luma: Bytes, chroma: Bytes | None) -> Crops:
        """What stands in the box, of upright planes."""
        import cv2
        import numpy as np

        height, width = luma.shape
        x0, y0 = max(0, round(self.box.x)), max(0, round(self.box.y))
        x1 = min(width, round(self.box.x + self.box.width))
        y1 = min(height, round(self.box.y + self.box.height))
        crop = luma[None, y0:y1, x0:x1].copy()
        if chroma is None or not crop.size:
            return Crops(crop)
        if self._grid is None:
            self._grid = chroma.shape[1:]
        rows, columns = self._grid
        if chroma.shape[1:] != self._grid:
            parts = [np.ascontiguousarray(plane) for plane in chroma]
            chroma = np.stack([cv2.resize(part, (columns, rows)) for part in parts])
        tall, wide = max(1, round(height / rows)), max(1, round(width / columns))
        part = chroma[None, :, y0 // tall : -(-y1 // tall), x0 // wide : -(-x1 // wide)].copy()
        return Crops(crop, part, (tall, wide), (y0 % tall, x0 % wide))

    def _learn(self) -> None:
        import numpy as np

        crops, times = join_crops(self._crops), np.array(self._times[self._first :])
        learned = _by_reading(crops, times, self._first, self._track, self._reader)
        if learned is None:
            learned = _by_beat(crops, times, self._first, self._track)
        if learned is None:
            # Nothing ticks here yet: forget the older half and look again later.
            half = len(self._crops) // 2
            self._scores.append(np.zeros((half, 6, 10), np.float16))
            self._crops = self._crops[half:]
            self._first += half
            return
        self._track.learned = _refined(crops, times, learned, self._track)
        self._flush()

    def _flush(self) -> None:
        import numpy as np

        learned = self._track.learned
        assert learned is not None
        times = np.array(self._times[self._first :])
        fps = 1 / max(1e-3, float(np.median(np.diff(times)))) if len(times) > 1 else 25.0
        plane = learned.see(join_crops(self._crops))
        self._scores.append(learned.figures.score(plane, fps).astype(np.float16))
        self._first += len(self._crops)
        self._crops = []

    def finish(self) -> Track:
        """The track once all frames have been measured."""
        import numpy as np

        if self._track.learned is None and len(self._crops) >= 8:
            self._learn()
        elif self._track.learned is not None and self._crops:
            self._flush()
        self._track.times = np.array(self._times)
        if self._track.learned is not None:
            self._track.scores = np.concatenate(self._scores)
        return self._track


def _no_times() -> Floats:
    import numpy as np

    return np.zeros(0)


def _read(track: Track, crops: Iterable[tuple[int, Crops]], reader: Reader) -> int:
    """Read single frames into `track.texts`; how many said a time."""
    count = 0
    for frame, crop in crops:
        if frame not in track.texts:
            picture = crop.picture()
            if track.window is not None:
                top, bottom, left, right = track.window
                picture = picture[top:bottom, left:right]
            said = read_time_text(reader.read_line(picture)[0])
            # Six figures in a row without a separator may as well be a year and a day.
            if said is not None and said.seconds is not None and said.colons:
                track.texts[frame] = said
        count += frame in track.texts
    return count


def _settled(track: Track, times: Floats, first: int) -> tuple[Integers, Integers]:
    """Frames (from `first` on) whose readings agree on one clock, and the seconds read there."""
    import numpy as np

    frames = np.array([f for f in sorted(track.texts) if f >= first], np.int64)
    walls = np.array([track.texts[int(f)].seconds for f in frames], np.int64)
    good = settle_readings(times[frames - first], walls)
    return frames[good], walls[good]


def _by_reading(
    crops: Crops, times: Floats, first: int, track: Track, reader: Reader | None
) -> Learned | None:
    """Figures, and the second of each frame known, from what a recogniser reads."""
    import numpy as np

    if reader is None or len(crops) < 8:
        return None
    even = np.linspace(times[0], times[-1], _READS)
    picks = np.unique(np.clip(np.searchsorted(times, even), 0, len(times) - 1))
    probe = picks[:: max(1, len(picks) // 6)]
    if _read(track, _single(crops, probe, first), reader) < 0.6 * len(probe):
        # More stands there than the clock's line, or the box is far too wide.
        track.window = _tight(crops, picks, reader) or track.window
    # Often enough that five seconds between two breaks hold a handful of readings.
    _read(track, _single(crops, picks, first), reader)
    frames, walls = _settled(track, times, first)
    if len(frames) < 10:
        return None
    shown = spread_readings(times, frames - first, walls)
    return learn_views(crops, shown, twelve=track.twelve)


def _single(crops: Crops, picks: Integers, first: int) -> Iterable[tuple[int, Crops]]:
    """Frames by number, and the crop of each."""
    return ((first + int(i), crops.part(int(i), int(i) + 1)) for i in picks)


def _by_beat(
    seen: Crops, times: Floats, first: int, track: Track
) -> Learned | None:
    """The same from the clip alone: the last figure beats once a second and runs in a circle."""
    import numpy as np

    best, found, crops = 0.35, None, seen.luma
    for tick in find_ticks(crops, times):
        cell = learn_digits(crops, times, tick)
        if cell is None or not cell.cyclic:
            continue
        segments = segment_means(crops, cell)
        even = regularity(segments, times, tick.period_s)
        if even > best:
            best, found = even, (tick, cell, segments)
        if best > 0.9:
            break
    if found is None:
        return None
    tick, cell, segments = found
    lengths = segments.last - segments.first + 1
    readings = {}
    for frame, said in track.texts.items():
        at = int(np.searchsorted(segments.first, frame - first, side="right")) - 1
        if frame >= first and said.seconds is not None and at >= 0:
            readings[at] = said.seconds
    label = label_digits(segments, cell, readings)
    walked = None
    if label is not None:
        layout = find_layout(segments, cell)
        walked = walk(segments, times, tick.period_s, cell, layout, label[0], readings,
                      twelve=track.twelve)  # fmt: skip
    track.units = walked is None or not walked.legible
    turn = label[0] if label is not None else 0
    wall = (segments.digit + turn) % 10 if walked is None or track.units else walked.wall
    shown = _unblended(np.repeat(wall, lengths))
    return learn_views(seen, shown, twelve=track.twelve, units=track.units, moves=False)


def _unblended(shown: Integers) -> Integers:
    """Without the frames beside a change of figures: they may hold both."""
    import numpy as np

    change = np.r_[False, np.diff(shown) != 0]
    return np.where(change | np.r_[change[1:], False], -1, shown)


def _even(course: Integers, times: Floats, told: Integers) -> Integers:
    """The course where it runs evenly for four seconds, and what was told; -1 elsewhere.

    Where the figures cannot be read the course stands or leaps: to learn from it would confirm it.
    """
    import numpy as np

    first = np.flatnonzero(np.r_[True, np.diff(course) != 0])
    lasted = np.diff(np.r_[times[first], times[-1]])
    step = np.diff(course[first])
    next_up = (step == 1) | (step == -9) | (step == 1 - DAY_S)
    fine = np.r_[next_up, True] & np.r_[True, next_up] & (np.abs(lasted - 1) < 0.25)
    bounds = np.flatnonzero(np.diff(np.r_[False, fine, False].astype(int)))
    for a, b in zip(bounds[::2], bounds[1::2], strict=True):
        # A second at either end of a run was cut short, or stands beside a leap: as sure.
        fine[max(0, a - 1) : b + 1] |= b - a >= 3
        fine[a:b] &= b - a >= 3
    kept = np.repeat(fine, np.diff(np.r_[first, len(course)]))
    return np.where(kept | (told == course), _unblended(course), -1)


def _refined(crops: Crops, times: Floats, learned: Learned, track: Track) -> Learned:
    """Figures learned again from all frames, now that the course tells what they show."""
    import numpy as np

    fps, shown = 1 / max(1e-3, float(np.median(np.diff(times)))), learned.shown
    known = _offsets(times, shown)
    for _ in range(2):
        scores = learned.figures.score(learned.see(crops), fps)
        offsets = guess_offsets(scores, times, track.twelve, known, units=track.units)
        if not len(offsets):
            break
        course = follow_course(scores, times, offsets, twelve=track.twelve, units=track.units)
        again = learn_views(crops, _even(course, times, shown), twelve=track.twelve,
                            units=track.units, moves=False, known=learned)  # fmt: skip
        if again is None or len(again.figures.places) < len(learned.figures.places):
            break
        learned = again
    return learned


def _offsets(times: Floats, shown: Integers) -> Counter[int]:
    import numpy as np

    known = shown >= 0
    return Counter(((shown - np.floor(times).astype(np.int64)) % DAY_S)[known].tolist())


def _tight(crops: Crops, picks: Integers, reader: Reader) -> tuple[int, int, int, int] | None:
    """Rows and columns of the clock's line inside the crops, as the reader sees it."""
    import cv2
    import numpy as np

    height, width = crops.luma.shape[1:]
    # Several seconds on one sheet: detectors blow small pictures up, and one call is enough.
    scale = max(1, min(3, 60 // max(1, height), 700 // max(1, width)))
    tall, gap = height * scale, 24
    count = max(1, min(4, 700 // (tall + gap)))
    side = max(736, width * scale + 2 * gap)
    sheet = np.full((max(736, count * (tall + gap) + gap), side, 3), 96, np.uint8)
    for slot, index in enumerate(picks[np.linspace(0, len(picks) - 1, count).astype(int)]):
        one = crops.picture(int(index))
        big = cv2.resize(one, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        y = gap + slot * (tall + gap)
        sheet[y : y + tall, gap : gap + big.shape[1]] = big if big.ndim == 3 else big[..., None]
    spans: list[tuple[float, float, float, float]] = []
    for line in reader.find_lines(sheet):
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


@dataclass(frozen=True)
class Reading:
    """The course of the clock: `edges` (clip s) at which each second begins, and which it is
    (`wall`, running on over midnight).

    It rests on the evidence `scores` (n, 6, 10) of frames at `times`. `alone`: nothing but a
    recogniser vouches for it. `read` is False where only the units are known, and those but for
    where they begin. `twelve`: it went from 12:59:59 to 01:00:00.
    """

    edges: Floats
    wall: Floats
    times: Floats
    scores: Floats
    read: bool
    alone: bool
    twelve: bool = False


def read_more(
    track: Track, reader: Reader, around_s: Sequence[float], *, each: int = 3, most: int = 30
) -> None:
    """Let the recogniser read the samples nearest to some times, on either side of them."""
    import numpy as np

    frames = np.array(sorted(track.samples), np.int64)
    picks: set[int] = set()
    for time in list(around_s)[:most]:
        k = int(np.searchsorted(track.times[frames], time))
        picks.update(frames[max(0, k - each) : k + each].tolist())
    _read(track, ((f, track.samples[f]) for f in sorted(picks)), reader)


def read_track(track: Track, reader: Reader | None) -> Reading | None:
    """The course of the clock over all frames, or None where nothing can be said.

    Parameters
    ----------
    track
        What `Follower.finish` returned; what is read here is added to its texts.
    reader
        A text reader, or None: then only what the clip itself teaches.
    """
    import numpy as np

    frames = sorted(track.samples)
    if reader is not None and frames:
        most = _MOST_ALONE
        if track.scores is not None:
            # The stretch learned from was read already.
            most, read = _SPREAD, max(track.texts, default=-1)
            frames = [frame for frame in frames if frame > read]
        pick = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), most)).astype(int))
        _read(track, ((frames[i], track.samples[frames[i]]) for i in pick if frames), reader)
    told = np.array(sorted(track.texts), np.int64)
    walls = np.array([track.texts[int(f)].seconds for f in told], np.int64)
    if track.scores is None:
        return _alone(track.times[told], walls, track.twelve) if len(told) >= 3 else None
    good = settle_readings(track.times[told], walls)
    known = np.full(len(track.times), -1, np.int64)
    known[told[good]] = walls[good]
    offsets = guess_offsets(track.scores, track.times, track.twelve, _offsets(track.times, known),
                            units=track.units)  # fmt: skip
    if not len(offsets):
        return None
    shown = follow_course(track.scores, track.times, offsets, twelve=track.twelve,
                          units=track.units)  # fmt: skip
    shown = place_changes(track.scores, track.times, shown, track.twelve)
    return _reading(shown, track.times, track.scores, not track.units, False)


def _alone(times: Floats, walls: Integers, twelve: bool) -> Reading | None:
    """The course as only the recogniser tells it."""
    import numpy as np

    scores = np.full((len(times), 6, 10), -_READ_NATS, np.float32)
    np.put_along_axis(scores, figures_of(walls, twelve)[..., None], 0.0, axis=2)
    lag = max(5, len(times) // 8)
    rate = steady_rate((walls[lag:] - walls[:-lag]) / (times[lag:] - times[:-lag]), 0.15)
    rate = rate if 0.02 < rate < 100 else 1.0
    base = np.floor(times * rate).astype(np.int64)
    offsets = guess_offsets(scores, times, twelve, Counter(((walls - base) % DAY_S).tolist()),
                            rate=rate)  # fmt: skip
    if not len(offsets):
        return None
    shown = follow_course(scores, times, offsets, twelve=twelve, rate=rate)
    return _reading(shown, times, scores, True, True)


def _reading(shown: Integers, times: Floats, scores: Floats, read: bool, alone: bool) -> Reading:
    import numpy as np

    first = np.flatnonzero(np.r_[True, np.diff(shown) != 0])
    wall = unwrap(shown[first]).astype(float)
    twelve = read and bool(turns_twelve(shown[first]).any())
    if not read:
        wall = shown[0] + np.r_[0, np.cumsum(np.diff(shown[first]) % 10)].astype(float)
    return Reading(times[first], wall, times, scores, read, alone, twelve)
