"""Invented emblems drawn by code, and a way of filming them: the made truth of the tests.

No unit in the world wears these. A design is decided by its seed; seeds that share `family` share
shield shape, ring and colours and differ in charge and letters, as sister units do.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = 384
LETTERS = "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЭЮЯ"
COLOURS = [(30, 52, 44), (112, 30, 30), (26, 40, 92), (40, 40, 46), (208, 212, 206),
           (196, 160, 60), (60, 92, 52), (140, 90, 40), (90, 60, 110), (20, 110, 130)]  # fmt: skip


def font(size: int) -> ImageFont.FreeTypeFont:
    for name in ("DejaVuSans-Bold.ttf", "LiberationSans-Bold.ttf", "Arial Bold.ttf"):
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / "DejaVuSans-Bold.ttf"), size)


def _outline(kind: int) -> list[tuple[float, float]]:
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    if kind == 0:
        return [(0.5 + 0.48 * np.cos(t), 0.5 + 0.48 * np.sin(t)) for t in turn]
    if kind == 1:
        return [(0.08, 0.04), (0.92, 0.04), (0.92, 0.58), (0.5, 0.97), (0.08, 0.58)]
    if kind == 2:
        return [(0.5, 0.02), (0.97, 0.5), (0.5, 0.98), (0.03, 0.5)]
    if kind == 3:
        return [(0.5, 0.03), (0.96, 0.9), (0.04, 0.9)]
    if kind == 4:
        return [(0.1, 0.05), (0.9, 0.05), (0.96, 0.35), (0.82, 0.75), (0.5, 0.97), (0.18, 0.75),
                (0.04, 0.35)]  # fmt: skip
    return [(0.25, 0.03), (0.75, 0.03), (0.97, 0.5), (0.75, 0.97), (0.25, 0.97), (0.03, 0.5)]


def _charge(draw: ImageDraw.ImageDraw, rng: np.random.Generator, colour: tuple[int, ...]) -> None:
    """A heraldic charge, mirrored: a beast-like silhouette with holes, bars or stars."""
    ink = (*tuple(int(c) for c in colour), 255)
    count = int(rng.integers(5, 9))
    heights = np.linspace(0.27, 0.73, count)
    half = rng.uniform(0.03, 0.22, count)
    shape = [(0.5 - w, h) for w, h in zip(half, heights, strict=True)]
    shape += [(0.5 + w, h) for w, h in zip(half[::-1], heights[::-1], strict=True)]
    draw.polygon([(x * SIZE, y * SIZE) for x, y in shape], fill=ink)
    for _ in range(int(rng.integers(2, 6))):
        x, y, r = rng.uniform(0.3, 0.5), rng.uniform(0.3, 0.7), rng.uniform(0.015, 0.05)
        tone = (*tuple(int(v) for v in rng.choice(COLOURS)), 255)
        for side in (x, 1 - x):
            box = [(side - r) * SIZE, (y - r) * SIZE, (side + r) * SIZE, (y + r) * SIZE]
            (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=tone)
    for _ in range(int(rng.integers(0, 3))):
        y0, y1 = rng.uniform(0.25, 0.75, 2)
        for lean in (-1, 1):
            ends = [
                ((0.5 - lean * 0.24) * SIZE, y0 * SIZE),
                ((0.5 + lean * 0.24) * SIZE, y1 * SIZE),
            ]
            draw.line(ends, fill=ink, width=8)


def emblem(seed: int, *, family: int | None = None, icon: np.ndarray | None = None) -> np.ndarray:
    """An invented patch, (384, 384, 4) uint8 RGBA. `icon` (h, w) 0-255 replaces the charge."""
    shared = np.random.default_rng([1, seed if family is None else 100_000 + family])
    own = np.random.default_rng([2, seed])
    image = Image.new("RGBA", (SIZE, SIZE))
    draw = ImageDraw.Draw(image)
    ground, inner, edge = (tuple(int(v) for v in COLOURS[i]) for i in shared.permutation(10)[:3])
    kind = int(shared.integers(0, 6))
    points = [(x * SIZE, y * SIZE) for x, y in _outline(kind)]
    draw.polygon(points, fill=(*ground, 255), outline=(*edge, 255), width=11)
    small = [
        (SIZE / 2 + (x - SIZE / 2) * 0.66, SIZE / 2 + (y - SIZE / 2) * 0.66) for x, y in points
    ]
    draw.polygon(small, fill=(*inner, 255), outline=(*edge, 255), width=6)
    tone = (225, 225, 220) if sum(inner) < 330 else (25, 25, 28)
    if icon is None:
        _charge(draw, own, tone)
    else:
        box = Image.fromarray(icon).resize((200, 200), Image.Resampling.LANCZOS)
        image.paste(Image.new("RGBA", (200, 200), (*tone, 255)), (92, 92), box)
    text = "".join(own.choice(list(LETTERS), int(own.integers(4, 9))))
    light = (235, 232, 220, 255) if sum(ground) < 330 else (20, 20, 24, 255)
    face = font(34)
    if kind == 0:
        for k, letter in enumerate(text):
            angle = -70 + 140 * k / max(1, len(text) - 1)
            tile = Image.new("RGBA", (80, 80))
            ImageDraw.Draw(tile).text((40, 40), letter, fill=light, font=face, anchor="mm")
            tile = tile.rotate(-angle, Image.Resampling.BICUBIC)
            x = SIZE / 2 + 0.4 * SIZE * np.sin(np.radians(angle))
            y = SIZE / 2 - 0.4 * SIZE * np.cos(np.radians(angle))
            image.alpha_composite(tile, (int(x - 40), int(y - 40)))
    else:
        y = 0.12 if kind in (1, 4, 5) else 0.8 if kind == 3 else 0.5
        draw.text((SIZE / 2, y * SIZE + 6), text, fill=light, font=face, anchor="mm")
    for k in range(int(own.integers(0, 4))):
        x, y = 0.5 + (k - 1) * 0.1, 0.84
        draw.ellipse([x * SIZE - 9, y * SIZE - 9, x * SIZE + 9, y * SIZE + 9], fill=light)
    picture = np.array(image)
    cloth = 1 + 0.05 * np.sin(np.arange(SIZE) * 1.9)[None] * np.sin(np.arange(SIZE) * 1.9)[:, None]
    grain = own.normal(0, 3, (SIZE, SIZE, 1))
    picture[..., :3] = np.clip(picture[..., :3] * cloth[..., None] + grain, 0, 255).astype(np.uint8)
    return picture


def plate(text: str) -> np.ndarray:
    """A number plate of 520 x 112 mm with letters of 76 mm, two pixels a millimetre, RGBA."""
    letters = Image.new("L", (2400, 400), 0)
    face = font(209)
    ImageDraw.Draw(letters).text((40, 320), text, fill=255, font=face, anchor="ls")
    box = letters.getbbox()
    assert box is not None
    cut = letters.crop((box[0], 320 - 152, box[2], 322))
    wide = min(900, round(cut.width * 0.72))
    cut = cut.resize((wide, 154), Image.Resampling.LANCZOS)
    image = Image.new("RGBA", (1040, 224), (238, 238, 232, 255))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle([3, 3, 1036, 220], 18, outline=(20, 20, 20), width=7)
    draw.rectangle([12, 12, 84, 212], fill=(40, 60, 150))
    image.paste(Image.new("RGBA", cut.size, (16, 16, 20, 255)), (562 - wide // 2, 36), cut)
    return np.array(image)


def write_entry(folder: Path, unit: str, picture: np.ndarray, *, alike: tuple[str, ...] = (),
                source: str = "drawn by a test; this unit does not exist") -> None:  # fmt: skip
    """One gallery entry in the format the library documents."""
    home = folder / unit
    home.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(home / "image.png")
    digest = hashlib.sha256((home / "image.png").read_bytes()).hexdigest()
    listed = ", ".join(f'"{name}"' for name in alike)
    (home / "reference.toml").write_text(
        f'unit = "{unit}"\nimage = "image.png"\nsource = "{source}"\n'
        f'source_sha256 = "{digest}"\nlicence = "CC0-1.0"\nvalid_from = 2015-01-01\n'
        f'added_by = "test"\nlook_alikes = [{listed}]\n\n[names]\nen = "{unit} (invented)"\n',
        encoding="utf-8",
    )


def film(picture: np.ndarray, frame: np.ndarray, width_px: float, rng: np.random.Generator, *,
         yaw: float = 18.0, roll: float = 12.0, at: tuple[float, float] | None = None,
         blur_px: float = 0.0) -> tuple[np.ndarray, tuple[int, int, int, int]]:  # fmt: skip
    """Put an emblem into a frame as a camera would see it; (frame, x, y, width, height)."""
    turn, tilt = np.radians(rng.uniform(-roll, roll)), np.radians(rng.uniform(-yaw, yaw, 2))
    rx = np.array([[1, 0, 0], [0, np.cos(tilt[0]), -np.sin(tilt[0])],
                   [0, np.sin(tilt[0]), np.cos(tilt[0])]])  # fmt: skip
    ry = np.array([[np.cos(tilt[1]), 0, np.sin(tilt[1])], [0, 1, 0],
                   [-np.sin(tilt[1]), 0, np.cos(tilt[1])]])  # fmt: skip
    rz = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    height, width = picture.shape[:2]
    plane = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float) * 0.5
    plane[:, 1] *= height / width
    seen = plane @ (rz @ ry @ rx).T
    flat = seen[:, :2] / (1 + 0.35 * seen[:, 2:3])
    flat *= width_px / max(np.ptp(flat[:, 0]), np.ptp(flat[:, 1]))
    high, wide = frame.shape[:2]
    low, up = flat.min(axis=0), flat.max(axis=0)
    if at is None:
        at = (rng.uniform(4 - low[0], wide - up[0] - 4), rng.uniform(4 - low[1], high - up[1] - 4))
    quad = (flat + at).astype(np.float32)
    step = 4 if width_px < 200 else 2
    source = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    # Drawn large and reduced by area: a lens and sensor average, they do not pick points.
    lo, hi = np.floor(quad.min(axis=0)) - 2, np.ceil(quad.max(axis=0)) + 2
    size = ((hi - lo) * step).astype(int)
    turned = cv2.getPerspectiveTransform(source, ((quad - lo) * step).astype(np.float32))
    ground = picture.astype(np.float32)
    ground[..., :3] *= ground[..., 3:] / 255
    big = cv2.warpPerspective(ground, turned, tuple(int(v) for v in size), flags=cv2.INTER_AREA)
    patch = cv2.resize(big, tuple(int(v) for v in hi - lo), interpolation=cv2.INTER_AREA)
    if blur_px:
        patch = cv2.blur(patch, (max(1, round(blur_px)), 1))
    ramp = np.linspace(rng.uniform(0.75, 1.05), rng.uniform(0.75, 1.05), patch.shape[1])
    alpha = patch[..., 3:] / 255
    out = frame.astype(np.float32).copy()
    x0, y0 = int(lo[0]), int(lo[1])
    cut = out[max(0, y0) : y0 + patch.shape[0], max(0, x0) : x0 + patch.shape[1]]
    py, px = max(0, -y0), max(0, -x0)
    part = np.s_[py : py + cut.shape[0], px : px + cut.shape[1]]
    cut[:] = cut * (1 - alpha[part]) + (patch[..., :3] * ramp[None, :, None])[part]
    out += rng.normal(0, 2.0, out.shape)
    box = (round(float(quad[:, 0].min())), round(float(quad[:, 1].min())),
           round(float(np.ptp(quad[:, 0]))), round(float(np.ptp(quad[:, 1]))))  # fmt: skip
    return np.clip(out, 0, 255).astype(np.uint8), box
