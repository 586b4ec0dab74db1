"""Where there is lettering in a picture, and what it says in Latin letters and digits.

The networks are PP-OCRv6-small (Apache-2.0) from the wheel of `rapidocr`, run here directly: only
its model files are used, no code of it, so nothing can be downloaded. They know no Cyrillic;
`forensics.insignia_lettering` and `forensics.vehicles_plate` decide what a reading means.

References: differentiable binarisation (Liao et al. 2020); CTC (Graves et al. 2006).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.errors import ExtraMissing
from forensics.model import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LineRead", "TextPlace", "cut_line", "find_text", "read_line", "text_models"]

_FILES = {"where": "PP-OCRv6_det_small.onnx", "what": "PP-OCRv6_rec_small.onnx"}
_LINE_HEIGHT = 48
_GROW = 1.7  # the network draws text shrunken; this undoes it


@dataclass(frozen=True)
class TextPlace:
    """A line of lettering: corners clockwise from its top left (4, 2), upright box, score 0-1."""

    corners: NDArray[np.float32]
    box: Box
    score: float

    @property
    def height_px(self) -> float:
        """Height of the line in pixels, along its own up direction."""
        import numpy as np

        c = self.corners
        return float((np.hypot(*(c[3] - c[0])) + np.hypot(*(c[2] - c[1]))) / 2)

    @property
    def width_px(self) -> float:
        """Length of the line in pixels."""
        import numpy as np

        c = self.corners
        return float((np.hypot(*(c[1] - c[0])) + np.hypot(*(c[2] - c[3]))) / 2)


@dataclass(frozen=True)
class LineRead:
    """A line as read: text, and for each character its rivals with their share, best first.

    `confidence` is the mean share of the winners; it stays high on wrong readings of small text
    and is never used as a verdict.
    """

    text: str
    rivals: tuple[tuple[tuple[str, float], ...], ...]
    confidence: float


@functools.cache
def _folder() -> Path:
    found = importlib.util.find_spec("rapidocr")
    if found is None or not found.submodule_search_locations:
        raise ExtraMissing("lettering is located and read by the models of rapidocr", extra="ocr")
    return Path(next(iter(found.submodule_search_locations))) / "models"


@functools.cache
def _session(part: str) -> tuple[Any, str]:
    import onnxruntime

    path = _folder() / _FILES[part]
    if not path.is_file():
        raise ExtraMissing(f"this rapidocr carries no {path.name}; 3.10 does", extra="ocr")
    content = path.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session, hashlib.sha256(content).hexdigest()


@functools.cache
def text_models() -> dict[str, str]:
    """The network files and their SHA-256.

    Raises
    ------
    ExtraMissing
        `rapidocr` is not installed.
    """
    return {_FILES[part]: _session(part)[1] for part in _FILES}


@functools.cache
def _alphabet() -> tuple[str, ...]:
    listed = _session("what")[0].get_modelmeta().custom_metadata_map["character"]
    # Class 0 is the CTC blank; a space follows the listed characters.
    return ("", *listed.split("\n"), " ")


def find_text(
    rgb: NDArray[np.uint8], *, longest_px: int = 1280, floor: float = 0.5
) -> list[TextPlace]:
    """Lines of lettering in one picture, (H, W, 3) uint8 RGB; any script.

    Parameters
    ----------
    rgb
        Upright picture.
    longest_px
        Longer side the picture is brought to before looking, if it is larger; a picture whose
        shorter side is under 736 is enlarged to that, as the network was trained.
    floor
        Least mean probability inside the line.

    Raises
    ------
    ExtraMissing
        `rapidocr` is not installed.
    """
    import cv2
    import numpy as np

    session, _ = _session("where")
    height, width = rgb.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    if min(height, width) * scale < 736:
        scale = min(736 / min(height, width), max(longest_px, 736) / max(height, width))
    size = [max(32, 32 * round(n * scale / 32)) for n in (width, height)]
    fed = cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)[..., ::-1].astype(np.float32)
    fed = fed / np.float32(127.5) - np.float32(1)
    raw = session.run(None, {"x": np.ascontiguousarray(fed.transpose(2, 0, 1)[None])})
    probability = np.asarray(raw[0])[0, 0]
    outlines, _ = cv2.findContours(
        (probability > 0.3).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE
    )
    ratio = np.array([width / probability.shape[1], height / probability.shape[0]])
    found = []
    for outline in outlines[:1000]:
        (x, y), (wide, high), angle = cv2.minAreaRect(outline)
        if min(wide, high) < 3:
            continue
        mask = np.zeros(probability.shape, np.uint8)
        left, top, w, h = cv2.boundingRect(outline)
        window = np.s_[top : top + h, left : left + w]
        cv2.drawContours(mask, [outline], -1, 1, -1)
        score = float(probability[window][mask[window] > 0].mean())
        if score < floor:
            continue
        grow = wide * high * _GROW / (wide + high)
        drawn: Any = cv2.boxPoints(((x, y), (wide + grow, high + grow), angle)) * ratio
        corners = _reading_order(drawn.astype(np.float32))
        low, up = corners.min(axis=0), corners.max(axis=0)
        low, up = np.clip(low, 0, [width, height]), np.clip(up, 0, [width, height])
        if (up - low).min() < 3:
            continue
        box = Box(float(low[0]), float(low[1]), float(up[0] - low[0]), float(up[1] - low[1]))
        found.append(TextPlace(corners, box, score))
    return sorted(found, key=lambda place: -place.score)


def _reading_order(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Corners clockwise from the top left of a line that runs along its longer side."""
    import numpy as np

    start = int(np.argmin(corners.sum(axis=1)))
    turned = np.roll(corners, -start, axis=0)
    first, second = turned[1] - turned[0], turned[2] - turned[1]
    if float(first[0] * second[1] - first[1] * second[0]) < 0:
        turned = turned[[0, 3, 2, 1]]
    across, down = np.hypot(*(turned[1] - turned[0])), np.hypot(*(turned[3] - turned[0]))
    if down > 1.5 * across:
        turned = np.roll(turned, -3, axis=0)
    return np.ascontiguousarray(turned, dtype=np.float32)


def cut_line(
    rgb: NDArray[np.uint8], corners: NDArray[np.float32], *, height_px: int = _LINE_HEIGHT,
    margin: float = 0.0,
) -> NDArray[np.uint8]:  # fmt: skip
    """Straighten a line of lettering: (height_px, n, 3) uint8; `margin` in line heights."""
    import cv2
    import numpy as np

    c: Any = corners.astype(np.float64)
    across = (np.hypot(*(c[1] - c[0])) + np.hypot(*(c[2] - c[3]))) / 2
    down = max(1.0, (np.hypot(*(c[3] - c[0])) + np.hypot(*(c[2] - c[1]))) / 2)
    if margin:
        centre = c.mean(axis=0)
        right, below = (c[1] + c[2] - c[0] - c[3]) / 2, (c[2] + c[3] - c[0] - c[1]) / 2
        a, b = 0.5 + margin * down / max(across, 1.0), 0.5 + margin
        c = np.array([centre + i * a * right + j * b * below
                      for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))])  # fmt: skip
        across, down = across + 2 * margin * down, down * (1 + 2 * margin)
    wide = int(np.clip(round(across * height_px / down), 8, 3200))
    flat = np.array([[0, 0], [wide, 0], [wide, height_px], [0, height_px]], np.float32)
    turn = cv2.getPerspectiveTransform(c.astype(np.float32), flat)
    shrinks = down > 1.5 * height_px
    source: Any = cv2.GaussianBlur(rgb, (0, 0), 0.4 * down / height_px) if shrinks else rgb
    cut: Any = cv2.warpPerspective(
        source, turn, (wide, height_px), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, dtype=np.uint8)


def read_line(line: NDArray[np.uint8], *, allowed: str = "") -> LineRead:
    """Read one straight line of lettering, (h, w, 3) uint8 RGB, left to right.

    Parameters
    ----------
    line
        As `cut_line` gives it.
    allowed
        Characters that may be read; the others' share is left out. Empty: all the network knows.

    Raises
    ------
    ExtraMissing
        `rapidocr` is not installed.
    """
    import cv2
    import numpy as np

    session, _ = _session("what")
    height, width = line.shape[:2]
    wide = int(np.clip(round(width * _LINE_HEIGHT / height), 16, 3200))
    fed = cv2.resize(line, (wide, _LINE_HEIGHT), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    padded = np.zeros((1, 3, _LINE_HEIGHT, max(320, wide)), np.float32)
    padded[0, :, :, :wide] = fed.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    steps = np.asarray(session.run(None, {"x": padded})[0])[0]
    letters = _alphabet()
    if allowed:
        columns = [0, *(i for i, letter in enumerate(letters) if letter and letter in allowed)]
    else:
        columns = list(range(min(len(letters), steps.shape[1])))
    shares = steps[:, columns].astype(np.float64)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-9) if allowed else 1.0
    winners = shares.argmax(axis=1)
    text, rivals, sure = "", [], []
    start = 0
    for at in range(1, len(winners) + 1):
        if at < len(winners) and winners[at] == winners[start]:
            continue
        if winners[start] != 0:
            peak = shares[start:at].max(axis=0)
            order = np.argsort(-peak, kind="stable")[:6]
            best = tuple(
                (letters[columns[i]], float(peak[i])) for i in order if i != 0 and peak[i] >= 0.005
            )
            text += best[0][0]
            rivals.append(best)
            sure.append(best[0][1])
        start = at
    return LineRead(text, tuple(rivals), float(np.mean(sure)) if sure else 0.0)
