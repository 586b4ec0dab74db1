"""Clips with a burned-in clock and known edits, composed from any frames: truth before method.

`compose` draws a clock over a scene whose time line is given frame by frame, so that a deletion,
a repetition or a freeze changes picture and clock together, as a real edit would, while a clock
that was set or that stopped changes alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

RUSSIAN_DAYS = ("Пн", "Вт", "Ср", "Чт", "Пт", "Сб", "Вс")
RUSSIAN_MONTHS = tuple("янв фев мар апр май июн июл авг сен окт ноя дек".split())
RUSSIAN_LONG = ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье")


_INKS = {"yellow": (255, 230, 0), "green": (80, 255, 80), "orange": (255, 140, 0),
         "cyan": (0, 220, 255), "red": (255, 40, 40), "magenta": (255, 0, 255),
         "blue": (90, 120, 255), "amber": (255, 180, 60), "lime": (190, 255, 0)}  # fmt: skip


def clock_text(moment: datetime, pattern: str, fps: float = 25.0) -> str:
    """strftime without the C locale's say; %J is a short Russian day, %K a long one.

    In braces what else recorders write: {month} a short Russian one, {ms} milliseconds, {ff} the
    frame of the second, {colon} one that blinks, {speed} and {place} of a vehicle.
    """
    day = moment.weekday()
    pattern = pattern.replace("%J", RUSSIAN_DAYS[day]).replace("%K", RUSSIAN_LONG[day])
    if "{" in pattern:
        share = moment.microsecond / 1e6
        along = moment.minute * 60 + moment.second
        said = {
            "month": RUSSIAN_MONTHS[moment.month - 1], "ms": f"{int(share * 1000):03d}",
            "ff": f"{int(share * fps):02d}", "colon": ":" if share < 0.5 else " ",
            "speed": f"{45 + 20 * np.sin(along / 9):03.0f}",
            "place": f"N54.{7034 + along // 2:04d} E20.{5117 + along // 3:04d}",
        }  # fmt: skip
        for name, text in said.items():
            pattern = pattern.replace(f"{{{name}}}", text)
    return moment.strftime(pattern)


@dataclass
class Style:
    """How the clock looks and where it stands (fractions of the picture)."""

    pattern: str = "%d-%m-%Y %H:%M:%S"
    font: str = "DejaVuSansMono.ttf"  # matplotlib's, the system's, "hershey0".."5", "bitmap"
    size: int = 18
    look: str = "outline"  # plain, outline, shadow, black, box, glass, paper, turning, or of _INKS
    x: float = 0.02
    y: float = 0.02
    ahead_s: float = 0.0  # of the clip's clock: another zone, another device
    stands: bool = False  # the time at which the recording began, from first to last
    blown: bool = False  # the ground behind it blows out and comes back


@dataclass
class Track:
    """One output frame each: which scene second it shows and what the clock says then."""

    fps: Fraction
    scene_s: np.ndarray
    wall_s: np.ndarray
    breaks: list[tuple[float, float, str]] = field(default_factory=list)


def track(length_s: float, fps: Fraction | int = 25, rate: float = 1.0) -> Track:
    """An untouched time line."""
    n = round(length_s * fps)
    t = np.arange(n) / float(fps)
    return Track(Fraction(fps), t.copy(), t * rate)


def delete(line: Track, at_s: float, length_s: float) -> Track:
    """Take `length_s` seconds out at `at_s`: picture and clock jump together."""
    a, b = round(at_s * line.fps), round((at_s + length_s) * line.fps)
    keep = np.r_[0:a, b : len(line.scene_s)]
    moved = [(t if t < at_s else t - length_s, j, k) for t, j, k in line.breaks]
    jump = float(line.wall_s[min(b, len(line.wall_s) - 1)] - line.wall_s[a])
    return Track(line.fps, line.scene_s[keep], line.wall_s[keep],
                 [*moved, (a / float(line.fps), jump, "delete")])  # fmt: skip


def repeat(line: Track, at_s: float, length_s: float) -> Track:
    """Play the `length_s` seconds before `at_s` a second time."""
    a, b = round((at_s - length_s) * line.fps), round(at_s * line.fps)
    keep = np.r_[0:b, a : len(line.scene_s)]
    return Track(line.fps, line.scene_s[keep], line.wall_s[keep],
                 [*line.breaks, (b / float(line.fps), -length_s, "repeat")])  # fmt: skip


def set_clock(line: Track, at_s: float, by_s: float) -> Track:
    """The clock alone is set by `by_s` seconds; the picture goes on."""
    a = round(at_s * line.fps)
    wall = line.wall_s.copy()
    wall[a:] += by_s
    return Track(line.fps, line.scene_s, wall, [*line.breaks, (at_s, by_s, "set")])


def freeze(line: Track, at_s: float, length_s: float, catch_up: bool = True) -> Track:
    """Picture and clock stand still, then go on where the time would be, or where they stood."""
    a, b = round(at_s * line.fps), round((at_s + length_s) * line.fps)
    scene, wall = line.scene_s.copy(), line.wall_s.copy()
    if not catch_up:
        scene[b:] -= length_s
        wall[b:] -= length_s
    scene[a:b], wall[a:b] = scene[a], wall[a]
    return Track(line.fps, scene, wall, [*line.breaks, (at_s, -length_s, "freeze")])


def _font(name: str, size: int) -> Any:
    from PIL import ImageFont

    if name == "bitmap":
        return ImageFont.load_default_imagefont()
    import matplotlib

    own = Path(matplotlib.get_data_path()) / "fonts/ttf" / name
    return ImageFont.truetype(str(own) if own.exists() else name, size)


def draw_text(text: str, style: Style) -> tuple[np.ndarray, np.ndarray]:
    """(h, w, 3) ink and (h, w) opacity of one line."""
    look = style.look
    if style.font.startswith("hershey"):
        import cv2

        kind, scale = int(style.font[-1]), style.size / 30
        thick = max(1, round(style.size / 16))
        (w, h), base = cv2.getTextSize(text, kind, scale, thick)
        mask = np.zeros((h + base + 12, w + 12), np.uint8)
        halo = mask.copy()
        at = (6, h + 6)
        cv2.putText(mask, text, at, kind, scale, 255, thick, cv2.LINE_AA)
        cv2.putText(halo, text, at, kind, scale, 255, thick + 2, cv2.LINE_AA)
    else:
        from PIL import Image, ImageDraw

        face = _font(style.font, style.size)
        left, top, right, bottom = (int(v) for v in face.getbbox(text))
        size = (right - min(0, left) + 12, bottom - min(0, top) + 12)
        image, shade = Image.new("L", size, 0), Image.new("L", size, 0)
        at = (6 - min(0, left), 6 - min(0, top))
        ImageDraw.Draw(image).text(at, text, fill=255, font=face)
        stroke = {} if style.font == "bitmap" else {"stroke_width": max(1, style.size // 14)}
        ImageDraw.Draw(shade).text(at, text, fill=255, font=face, **stroke)
        mask, halo = np.asarray(image), np.asarray(shade)
        if style.font == "bitmap" and style.size >= 22:
            mask, halo = (np.kron(m, np.ones((2, 2), np.uint8)) for m in (mask, halo))
    ink = np.repeat(mask[..., None], 3, 2).astype(np.float32)
    alpha = mask.astype(np.float32) / 255
    if look == "black":
        ink[:] = 8
    elif look in _INKS:
        ink[:] = _INKS[look]
    elif look == "outline":
        alpha = np.maximum(alpha, halo.astype(np.float32) / 255)
    elif look == "box":
        alpha = np.ones_like(alpha)
    elif look == "glass":
        alpha = np.maximum(alpha, 0.45)
    elif look == "paper":
        ink = 235.0 - 0.9 * ink
        alpha = np.maximum(alpha, 0.6)
    elif look == "shadow":
        by = max(1, style.size // 12)
        alpha[by:, by:] = np.maximum(alpha[by:, by:], 0.9 * alpha[:-by, :-by])
    return ink, alpha


def places(text: str, style: Style) -> list[tuple[int, int]]:
    """Columns of each character in what `draw_text` draws."""
    if style.font.startswith("hershey"):
        import cv2

        kind, thick = int(style.font[-1]), max(1, round(style.size / 16))
        ends = [cv2.getTextSize(text[:k], kind, style.size / 30, thick)[0][0]
                for k in range(len(text) + 1)]  # fmt: skip
        first = 6
    else:
        face = _font(style.font, style.size)
        first = 6 - min(0, int(face.getbbox(text)[0]))
        ends = [round(face.getlength(text[:k])) for k in range(len(text) + 1)]
    return [(first + a, first + b) for a, b in itertools.pairwise(ends)]


def turned(text: str, style: Style, patch: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """The ink of a camera that draws each character black over light ground, white over dark."""
    out = ink.copy()
    for a, b in places(text, style):
        out[:, a:b] = 16.0 if patch[:, a:b].mean() > 120 else 235.0
    return out


def ping_pong(frames: Sequence[np.ndarray], fps: float, times: np.ndarray) -> Iterator[np.ndarray]:
    """The frame of each scene second, played forward and backward where the footage is short."""
    n = len(frames)
    for t in times:
        k = round(float(t) * fps) % max(1, 2 * n - 2)
        yield frames[k if k < n else 2 * n - 2 - k]


def load_frames(path: Path, width: int, max_frames: int = 600) -> tuple[list[np.ndarray], float]:
    """Frames as RGB at a given width, and their rate."""
    import av

    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        height = 2 * round(stream.height * width / stream.width / 2)
        for frame in container.decode(stream):
            small = frame.reformat(width=width, height=height, format="rgb24")
            frames.append(small.to_ndarray())
            if len(frames) >= max_frames:
                break
    return frames, rate


def noise_frames(width: int = 320, height: int = 180, count: int = 40, seed: int = 1) -> list[Any]:
    """A procedural view: a fixed texture, a moving blob, sensor noise; needs no media."""
    import cv2

    rng = np.random.default_rng(seed)
    base = cv2.resize(rng.uniform(60, 170, (12, 20)).astype(np.float32), (width, height))
    frames = []
    for k in range(count):
        view = base + rng.normal(0, 2.0, base.shape).astype(np.float32)
        cv2.circle(view, (int(width * k / count), height // 2), height // 8, 200.0, -1)
        frames.append(np.repeat(np.clip(view, 0, 255).astype(np.uint8)[..., None], 3, 2))
    return frames


def blow_out(patch: np.ndarray, scene_s: float) -> None:
    """Raise what stands behind the figures towards white and back, once in sixteen seconds."""
    share = max(0.0, np.sin(2 * np.pi * scene_s / 16)) ** 0.5
    patch[:] = patch + (244.0 - patch) * share


def compose(
    out: Path, frames: Sequence[np.ndarray], frames_fps: float, line: Track, style: Style,
    start: datetime, *, codec: str = "libx264", options: dict[str, str] | None = None,
    scale: float = 1.0, beside: Sequence[Style] = (),
) -> dict[str, Any]:  # fmt: skip
    """Write the clip; returns the truth: box (x, y, w, h) and per-frame wall times; `boxes` holds
    those of the lines `beside` as well.
    """
    import av
    import cv2

    height, width = frames[0].shape[:2]
    out_w, out_h = (2 * round(v * scale / 2) for v in (width, height))
    styles = [style, *beside]
    boxes: list[list[int]] = [[] for _ in styles]
    cache: list[tuple[str, Any]] = [("", None) for _ in styles]
    texts = []
    with av.open(str(out), "w") as container:
        stream = container.add_stream(codec, rate=line.fps)
        stream.width, stream.height, stream.pix_fmt = out_w, out_h, "yuv420p"
        stream.options = options or {"crf": "23", "preset": "veryfast", "threads": "1"}
        if codec == "mpeg4":
            stream.bit_rate = out_w * out_h * 4
            stream.options = {}
        for picture, scene, wall in zip(
            ping_pong(frames, frames_fps, line.scene_s), line.scene_s, line.wall_s, strict=True
        ):
            shown = picture.copy()
            for k, one in enumerate(styles):
                # a hair late: 3.9999999 s must not be drawn as second 3
                after = 0.0 if one.stands else float(wall) + 1e-6
                moment = start + timedelta(seconds=after + one.ahead_s)
                text = clock_text(moment, one.pattern, float(line.fps))
                if text != cache[k][0]:
                    cache[k] = (text, draw_text(text, one))
                ink, alpha = cache[k][1]
                h, w = alpha.shape
                x = min(max(0, round(one.x * width)), width - w)
                y = min(max(0, round(one.y * height)), height - h)
                box = boxes[k] or [x, y, x + w, y + h]
                boxes[k] = [min(box[0], x), min(box[1], y), max(box[2], x + w), max(box[3], y + h)]
                patch = shown[y : y + h, x : x + w]
                if one.blown:
                    blow_out(shown[max(0, y - h) : y + 2 * h], float(scene))
                if one.look == "turning":
                    ink = turned(text, one, patch, ink)
                patch[:] = patch * (1 - alpha[..., None]) + ink * alpha[..., None] + 0.5
                if k == 0:
                    texts.append(text)
            if scale != 1.0:
                kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
                shown = cv2.resize(shown, (out_w, out_h), interpolation=kind)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    scaled = [tuple(v * scale for v in box) for box in boxes]
    placed = [(a + 3, b + 3, c - a - 6, d - b - 6) for a, b, c, d in scaled]
    return {"box": placed[0], "boxes": placed, "texts": texts, "wall": line.wall_s,
            "breaks": line.breaks}  # fmt: skip
