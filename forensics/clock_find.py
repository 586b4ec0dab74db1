"""Find the burned-in clock in the picture, and read lines of text off it.

Two ways to find it: text whose form is a time (a recogniser on single pictures), and, where there
is no recogniser or it sees nothing, the place where something of a figure's size changes exactly
once a second. Reading is by RapidOCR (extra `ocr`, models in its wheel, no network) or Tesseract.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from forensics.clock_cells import find_ticks, learn_digits, regularity, segment_means
from forensics.clock_text import is_clock_like, read_time_text
from forensics.errors import ExtraMissing, ToolFailed, ToolMissing
from forensics.model import Box
from forensics.tools import find_tool, run_tool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]

__all__ = ["Line", "Reader", "ReaderName", "find_by_text", "find_by_tick", "open_reader"]

ReaderName: TypeAlias = Literal["auto", "rapidocr", "tesseract", "none"]


@dataclass(frozen=True)
class Line:
    """One line of text: where it stands in the picture, what it says, how sure the reader is."""

    box: Box
    text: str
    score: float


class Reader(Protocol):
    """Finds and reads lines of text."""

    name: str

    def find_lines(self, rgb: Bytes) -> list[Line]:
        """The lines in a picture (H, W, 3)."""
        ...

    def read_line(self, crop: Bytes) -> tuple[str, float]:
        """The text of a picture, (h, w) grey or (h, w, 3) red, green, blue, that holds one line,
        and a score 0 to 1.
        """
        ...


class _Rapid:
    name = "rapidocr"

    def __init__(self) -> None:
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise ExtraMissing(f"text cannot be read: {error}", extra="ocr") from None
        # Its stubs do not tell the four kinds of answer apart.
        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "error",
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def find_lines(self, rgb: Bytes) -> list[Line]:
        import numpy as np

        # The models were trained on what OpenCV reads: blue first.
        # The switches stay set from call to call, so each call sets them all.
        picture = np.ascontiguousarray(rgb[..., ::-1])
        said = self._engine(picture, use_det=True, use_cls=False, use_rec=True)
        if getattr(said, "boxes", None) is None or said.txts is None:
            return []
        lines = []
        for corners, text, score in zip(said.boxes, said.txts, said.scores, strict=True):
            x0, y0 = np.min(corners, axis=0)
            x1, y1 = np.max(corners, axis=0)
            box = Box(float(x0), float(y0), float(x1 - x0), float(y1 - y0))
            lines.append(Line(box, str(text), float(score)))
        return lines

    def read_line(self, crop: Bytes) -> tuple[str, float]:
        import numpy as np

        grey = crop[..., None] if crop.ndim == 2 else crop
        picture = np.ascontiguousarray(np.broadcast_to(grey, (*grey.shape[:2], 3))[..., ::-1])
        said = self._engine(picture, use_det=False, use_cls=False, use_rec=True)
        if not said.txts:
            return "", 0.0
        return str(said.txts[0]), float(said.scores[0])


class _Tesseract:
    name = "tesseract"

    def __init__(self) -> None:
        find_tool("tesseract")

    def _run(self, grey: Bytes, mode: str) -> str:
        import cv2

        done, png = cv2.imencode(".png", grey)
        if not done:
            raise ToolFailed("a crop could not be written as PNG", tool="tesseract")
        said = run_tool(
            "tesseract", ["stdin", "stdout", "--psm", mode, "-l", "eng"], stdin=png.tobytes(),
            timeout_s=30.0,
        )  # fmt: skip
        return said.decode("utf-8", "replace")

    def find_lines(self, rgb: Bytes) -> list[Line]:
        # Tesseract misses overlays on busy pictures: the tick finds the place instead.
        return []

    def read_line(self, crop: Bytes) -> tuple[str, float]:
        import cv2
        import numpy as np

        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.ndim == 3 else crop
        scale = max(1.0, 48 / max(1, grey.shape[0]))
        big = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        framed = cv2.copyMakeBorder(big, 12, 12, 12, 12, cv2.BORDER_REPLICATE)
        text = ""
        for picture in (framed.astype(np.uint8), (255 - framed).astype(np.uint8)):
            text = " ".join(self._run(picture, "7").split())
            if is_clock_like(text):
                return text, 0.5
        return text, 0.2


@functools.cache
def _open(name: str) -> Reader:
    return _Rapid() if name == "rapidocr" else _Tesseract()


def open_reader(name: ReaderName = "auto") -> Reader | None:
    """A text reader: the one named, with "auto" the best one installed, with "none" none.

    Raises
    ------
    ExtraMissing, ToolMissing
        The one named is not installed.
    """
    if name == "none":
        return None
    if name != "auto":
        return _open(name)
    for choice in ("rapidocr", "tesseract"):
        try:
            return _open(choice)
        except (ExtraMissing, ToolMissing):
            continue
    return None


def find_by_text(pictures: Sequence[Bytes], reader: Reader) -> list[Line]:
    """Lines whose form is a running clock, best first, one for each place.

    Parameters
    ----------
    pictures
        (H, W, 3) uint8, in order of time; a clock must not say the same in all of them.
    reader
        A text reader.
    """
    seen: list[list[Line]] = []
    for rgb in pictures:
        for line in reader.find_lines(rgb):
            if not is_clock_like(line.text):
                continue
            for place in seen:
                if place[0].box.overlap(line.box) > 0.3:
                    place.append(line)
                    break
            else:
                seen.append([line])
    ranked: list[tuple[float, Line]] = []
    for place in seen:
        walls = [said.seconds for line in place if (said := read_time_text(line.text)) is not None]
        moving = len(set(walls)) > 1
        left = min(line.box.x for line in place)
        top = min(line.box.y for line in place)
        right = max(line.box.x + line.box.width for line in place)
        bottom = max(line.box.y + line.box.height for line in place)
        score = sum(line.score for line in place) * (2.0 if moving else 1.0)
        box = Box(left, top, right - left, bottom - top)
        ranked.append((score, Line(box, place[0].text, place[0].score)))
    ranked.sort(key=lambda item: -item[0])
    return [line for _, line in ranked]


def find_by_tick(frames: Bytes, times: Floats, *, most: int = 4) -> list[Box]:
    """Places in which a figure-sized spot changes once a second, likeliest clock first.

    Parameters
    ----------
    frames
        (n, H, W) uint8 luma, upright, at least six frames a second and twelve seconds long.
    times
        (n,) seconds.
    most
        At most so many places, the likeliest first.

    Returns
    -------
    list of Box
        Each wide enough to hold the line to the left of the seconds.

    When it errs
    ------------
    It calls it wrongly when a lamp or a sign blinks once a second and happens to repeat ten looks;
    it misses clocks on a busy background, and clocks with hundredths of a second behind.
    """
    import cv2
    import numpy as np

    n, height, width = frames.shape
    step = 4
    rows, columns = height // step, width // step
    if n < 40 or rows < 4 or columns < 4:
        return []
    small = np.zeros((n, rows, columns), np.float32)
    for i in range(1, n):
        change = cv2.absdiff(frames[i], frames[i - 1])
        small[i] = cv2.resize(change[: rows * step, : columns * step], (columns, rows),
                              interpolation=cv2.INTER_AREA)  # fmt: skip
    frame_s = float(np.median(np.diff(times)))
    bins = max(4, min(12, round(1 / frame_s)))
    phase = np.rint(times * bins).astype(int) % bins
    folded = np.stack([np.median(small[phase == b], axis=0) for b in range(bins)])
    beat = folded.max(axis=0)
    rest = np.median(folded, axis=0)
    lively = np.where(beat > 3 * rest + 2.0, beat - rest, 0).astype(np.float32)
    mask = cv2.dilate((lively > 0).astype(np.uint8), np.ones((2, 2), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    spots = []
    for label in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[label])
        if not (2 <= h <= 24 and 1 <= w <= 40 and area >= 2):
            continue
        strength = float(lively[y : y + h, x : x + w].sum())
        spots.append((strength, x * step, y * step, w * step, h * step))
    spots.sort(reverse=True)
    found: list[tuple[float, Box]] = []
    for _, x, y, w, h in spots[:12]:
        left, right = max(0, x - 6), min(width, x + w + 6)
        top, bottom = max(0, y - 6), min(height, y + h + 6)
        crops = np.ascontiguousarray(frames[:, top:bottom, left:right])
        best = 0.0
        for tick in find_ticks(crops, times, most=2):
            cell = learn_digits(crops, times, tick)
            if cell is None:
                continue
            segments = segment_means(crops, cell)
            even = regularity(segments, times, tick.period_s, kinds=len(cell.looks))
            if even > best:
                best = even
                tall = tick.bottom - tick.top
                x0 = max(0.0, left + tick.left - 15.0 * tall)
                x1 = min(float(width), left + tick.right + 3.5 * tall)
                box = Box(x0, max(0.0, top + tick.top - 0.4 * tall), x1 - x0, 1.8 * tall)
        if best >= 0.5 and all(b.overlap(box) < 0.5 for _, b in found):
            found.append((best, box))
    found.sort(key=lambda item: -item[0])
    return [box for _, box in found[:most]]
