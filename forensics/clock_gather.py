"""Gather everything about one burned-in clock in one clip: place, track, readings, breaks.

Both questions that `forensics.clock` answers rest on it, so the last few clips are kept.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from forensics.clip import check_unchanged
from forensics.clock_find import ReaderName, find_by_text, find_by_tick, open_reader
from forensics.clock_follow import Follower, Track, read_more, read_track
from forensics.clock_sure import Evidence, judge, steady_rate
from forensics.clock_text import TimeText, to_the_second
from forensics.clock_walk import Break, find_breaks, fit_rate
from forensics.errors import SignalTooShort
from forensics.model import Box, Clip, Coverage, NotTestable, Progress, Quantity, Span
from forensics.provenance import keep
from forensics.scan import Measurements, iter_pictures, read_pictures, scan, video_stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.floating[Any]]

__all__ = [
    "UNSURE", "Followed", "clock_coverage", "clock_stratum", "crop_proofs", "follow_clock",
    "frame_at", "rate_quantity", "shown_date", "text_at", "wall_text",
]  # fmt: skip

UNSURE = "the figures could not be read surely here"

_LEAST_S = 3.0
_KEPT = 3


@dataclass(frozen=True)
class Followed:
    """Everything known of one clock in one clip: frame `times`, and for each second followed where
    it begins (`edges`), which it is, what a recogniser read in it (`texts`), whether it was read
    surely and how clear it is (0 to 1).
    """

    box: Box
    given: bool
    found_by: str
    frames: Measurements
    times: Floats
    texts: dict[int, TimeText]
    twelve: bool
    reader: str
    edges: Floats
    wall: Floats
    read: bool
    alone: bool
    breaks: tuple[Break, ...]
    jitter_s: float
    rate: float
    frame_s: float
    sure: NDArray[np.bool_]
    clear: Floats
    doubt: tuple[tuple[float, float], ...]

    @property
    def sure_share(self) -> float:
        """Share of the seconds followed whose figures were read surely, 0 to 1."""
        return float(self.sure.mean()) if len(self.sure) else 0.0


_recent: OrderedDict[tuple[Any, ...], Followed | str] = OrderedDict()


def _pictures(clip: Clip, progress: Progress | None) -> list[Any]:
    length = float(clip.duration or 12)
    every = max(1.3, min(4.0, length / 4))
    span = Span.of(-3600, min(length, 3 * every + 0.2))
    return [p.rgb for p in iter_pictures(clip, every_s=every, span=span, progress=progress)]


def _luma_frames(clip: Clip, progress: Progress | None) -> tuple[Any, Any, float]:
    """About sixteen seconds of upright luma at six to eight frames a second, at most 960 wide."""
    import cv2
    import numpy as np

    frames: list[Any] = []
    times, factor = [], 1.0
    start = float(video_stream(clip).start or 0)
    span = Span.of(-3600, start + 24.0)
    for picture in iter_pictures(clip, every_s=0.12, span=span, progress=progress):
        grey = cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2GRAY)
        factor = min(1.0, 960 / grey.shape[1])
        if factor < 1.0:
            grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        if frames and grey.shape != frames[0].shape:
            # A clip that changes its picture size is read as far as it keeps the first one.
            continue
        frames.append(grey)
        times.append(float(picture.pts))
    if not frames:
        return np.zeros((0, 1, 1), np.uint8), np.zeros(0), 1.0
    return np.stack(frames), np.array(times), factor


def _grown(box: Box) -> Box:
    pad = max(3.0, 0.25 * box.height)
    return Box(max(0.0, box.x - pad), max(0.0, box.y - pad),
               box.width + 2 * pad, box.height + 2 * pad)  # fmt: skip


def _places(
    clip: Clip, reader_name: ReaderName, progress: Progress | None
) -> list[tuple[Box, str]]:
    reader = open_reader(reader_name)
    places: list[tuple[Box, str]] = []
    if reader is not None:
        lines = find_by_text(_pictures(clip, progress), reader)
        places += [(_grown(line.box), f"text ({reader.name})") for line in lines[:2]]
    if not places:
        frames, times, factor = _luma_frames(clip, progress)
        for box in find_by_tick(frames, times):
            full = Box(box.x / factor, box.y / factor, box.width / factor, box.height / factor)
            places.append((full, "a change once a second"))
    return places


def follow_clock(clip: Clip, box: Box | None, reader_name: ReaderName, progress: Progress | None
            ) -> Followed | str:  # fmt: skip
    """Everything about the clock, or the reason why there is none; kept for the next question."""
    key = (clip.digest, box, reader_name)
    if key in _recent:
        check_unchanged(clip)
        _recent.move_to_end(key)
        return _recent[key]
    stream = video_stream(clip)
    length = float(stream.duration or clip.duration or _LEAST_S)
    if length < _LEAST_S:
        raise SignalTooShort(
            f"{clip.name} lasts {length:.2f} s: too short to see a clock run",
            need_s=_LEAST_S, have_s=length,
        )  # fmt: skip
    places = [(box, "the examiner")] if box is not None else _places(clip, reader_name, progress)
    result: Followed | str = "no burned-in clock was found"
    for place, how in places:
        one = _follow_place(clip, place, box is not None, how, reader_name, progress)
        if isinstance(one, Followed):
            result = one
            if one.read:
                break
        elif not isinstance(result, Followed):
            result = one
    _recent[key] = result
    while len(_recent) > _KEPT:
        _recent.popitem(last=False)
    return result


def _follow_place(
    clip: Clip, box: Box, given: bool, how: str, reader_name: ReaderName,
    progress: Progress | None,
) -> Followed | str:  # fmt: skip
    import numpy as np

    stream, reader = video_stream(clip), open_reader(reader_name)
    follower = Follower(
        box, reader=reader, rotation=stream.rotation, time_base=float(stream.time_base)
    )
    frames = scan(clip, [follower], progress=progress)
    track = follower.finish()
    reading = read_track(track, reader)
    if reading is None:
        return (
            f"something at the place named by {how} ticks or reads like a clock, but it could "
            "not be read" if track.texts else f"no clock could be followed at {how}"
        )
    edges, wall = reading.edges, reading.wall
    frame_s = float(np.median(np.diff(reading.times)))
    rate = _rate(edges, wall, frame_s)
    end = float(reading.times[-1])
    breaks, jitter = find_breaks(edges, wall, end, frame_s=frame_s, rate=rate)
    if rate != 1.0:
        # Short slopes are coarse: the longest even stretch gives the rate more finely.
        fine = fit_rate(edges, wall, breaks, frame_s)[0] or rate
        rate = fine if abs(fine / rate - 1) < 0.05 else rate
        breaks, jitter = find_breaks(edges, wall, end, frame_s=frame_s, rate=rate)
    if reader is not None and breaks and not reading.alone:
        read_more(track, reader, [b.after_s for b in breaks])
    texts = _by_second(track, edges, wall)
    said = np.full(len(edges), -1, np.int64)
    twelve = track.twelve or reading.twelve
    for i, text in texts.items():
        said[i] = (text.seconds or 0) % 86_400
        if twelve and not text.twelve and (said[i] - int(wall[i])) % 43_200 == 0:
            said[i] = int(wall[i]) % 86_400  # without AM or PM, either half of the day
    judged = judge(
        edges, wall, breaks,
        Evidence(reading.times, reading.scores, said, reading.read, twelve, reading.alone),
        end_s=end, frame_s=frame_s, rate=rate, jitter_s=jitter,
    )  # fmt: skip
    return Followed(
        box, given, how, frames, track.times, texts, twelve,
        reader.name if reader else "none", edges, wall, reading.read, reading.alone,
        judged.breaks, jitter, rate, frame_s, judged.sure, judged.clear, judged.doubt,
    )  # fmt: skip


def _by_second(track: Track, edges: Floats, wall: Floats) -> dict[int, TimeText]:
    """What the recogniser read in each second: what agrees with the second, or else the first."""
    import numpy as np

    out: dict[int, TimeText] = {}
    for frame in sorted(track.texts):
        text = track.texts[frame]
        i = max(0, int(np.searchsorted(edges, track.times[frame] + 1e-6, side="right")) - 1)
        if i not in out or text.seconds == int(wall[i]) % 86_400:
            out[i] = text
    return out


def _rate(edges: Floats, wall: Floats, frame_s: float) -> float:
    """Clock seconds per clip second where it runs evenly; 1 unless clearly something else.

    Short slopes, because every slope that reaches over a break is spoiled by it.
    """
    inner_edges, inner_wall = edges[1:], wall[1:]
    if len(inner_edges) < 7:
        return 1.0
    lag = 5
    slopes = (inner_wall[lag:] - inner_wall[:-lag]) / (inner_edges[lag:] - inner_edges[:-lag])
    rate = steady_rate(slopes, 0.01 + frame_s / lag)
    return rate if abs(rate - 1.0) > 0.01 and 0.02 < rate < 100 else 1.0


def rate_quantity(one: Followed) -> Quantity | None:
    """The rate over the longest even and surely read stretch, with the interval of its jitter."""
    # A slope over a break that was not sure enough to report would be a rate of its own.
    ends = sorted({t for span in one.doubt for t in span}
                  | {t for b in one.breaks for t in (b.before_s, b.after_s)})
    parts = [Break("rate", t, t, 0.0, 0.0, one.jitter_s, 0) for t in ends]
    slope, error = fit_rate(one.edges, one.wall, parts, one.frame_s)
    if slope is None:
        return None
    return Quantity(slope, "clock s per clip s", slope - error, slope + error)


def shown_date(one: Followed) -> tuple[date | None, int | None, bool]:
    """The date most readings agree on, the segment it was read at, and whether it is ambiguous."""
    days: dict[date, list[int]] = {}
    for index, said in one.texts.items():
        if said.day is not None:
            days.setdefault(said.day, []).append(index)
    if not days:
        return None, None, False
    best = max(days, key=lambda d: (len(days[d]), -days[d][0]))
    where = days[best][0]
    if len(days[best]) < 2 and len(one.texts) >= 4:
        return None, None, False
    unsure = all(s.ambiguous_date for s in one.texts.values() if s.day is not None)
    return best, where, unsure


def wall_text(one: Followed, index: int) -> str:
    """ISO 8601 without a zone: the clock does not say in which one it runs."""
    value = int(one.wall[index])
    day, where, _ = shown_date(one)
    seconds = value % 86_400
    shown = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if day is None or where is None:
        return shown
    at = min(where, len(one.wall) - 1)
    moved = value // 86_400 - int(one.wall[at]) // 86_400
    said = one.texts.get(index)
    if said is not None and said.day is not None:
        return f"{said.day.isoformat()}T{shown}"
    return f"{(day + timedelta(days=moved)).isoformat()}T{shown}"


def frame_at(one: Followed, time_s: float) -> int:
    """The frame presented at a clip time."""
    import numpy as np

    return int(np.clip(np.searchsorted(one.times, time_s - 1e-6), 0, len(one.frames) - 1))


def text_at(one: Followed, index: int) -> str:
    """The clock's line at a second: as recognised in a frame of it, or else as the figures read."""
    said = one.texts.get(index)
    agrees = said is not None and said.seconds == int(one.wall[index]) % 86_400
    if said is not None and agrees:
        return to_the_second(said.text)
    return wall_text(one, index).replace("T", " ")


def crop_proofs(clip: Clip, one: Followed, ordinals: list[int], label: str) -> list[Any]:
    """Crops of exact frames as PNG, unsharpened and unscaled: what the file shows."""
    import cv2
    import numpy as np

    wanted = [(o, int(one.frames.pts[o])) for o in ordinals]
    kept = []
    for picture in read_pictures(clip, wanted):
        height, width = picture.rgb.shape[:2]
        x0, y0 = max(0, int(one.box.x)), max(0, int(one.box.y))
        x1 = min(width, math.ceil(one.box.x + one.box.width))
        y1 = min(height, math.ceil(one.box.y + one.box.height))
        crop = np.ascontiguousarray(picture.rgb[y0:y1, x0:x1, ::-1])
        done, png = cv2.imencode(".png", crop)
        if done:
            name = f"{label}, frame {picture.ordinal}, pixels {picture.pixel_hash[:12]}"
            kept.append(keep(png.tobytes(), media_type="image/png", label=name))
    return kept


def clock_coverage(one: Followed) -> Coverage:
    """What was seen, and where the clock could not be followed."""
    seen = one.frames.coverage()
    blind = []
    if seen.span is not None:
        for start, end in one.doubt:
            a, b = frame_at(one, start), frame_at(one, end)
            blind.append(NotTestable(one.frames.span(a, max(a, b)), UNSURE))
    return Coverage(seen.span, seen.units_seen, "frames", seen.decode_failures, tuple(blind))


def clock_stratum(one: Followed) -> str:
    """The conditions, as the error-rate table names them."""
    return "box given" if one.given else "box found"
