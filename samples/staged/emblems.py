"""Invented unit patches, drawn by code; shields that carry them; the demo gallery folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .optics import font, generator, noise_field

__all__ = [
    "EMBLEM_ON_SHIELD",
    "UNITS",
    "Unit",
    "emblem",
    "shield_back",
    "shield_face",
    "write_gallery",
]

SIZE = 512


@dataclass(frozen=True)
class Unit:
    """A unit that does not exist, with names in three languages."""

    key: str
    be: str
    ru: str
    en: str
    look_alikes: tuple[str, ...] = ()


UNITS = (
    Unit(
        "badger-detachment",
        "Атрад «Барсук»",
        "Отряд «Барсук»",
        "Badger Detachment (invented)",
        ("raccoon-detachment",),
    ),
    Unit(
        "raccoon-detachment",
        "Атрад «Янот»",
        "Отряд «Енот»",
        "Raccoon Detachment (invented)",
        ("badger-detachment",),
    ),
    Unit(
        "three-keys-company",
        "Рота «Тры ключы»",
        "Рота «Три ключа»",
        "Three Keys Company (invented)",
    ),
    Unit("heron-watch", "Варта «Чапля»", "Дозор «Цапля»", "Heron Watch (invented)"),
    Unit(
        "north-bolt-group",
        "Група «Паўночны бліскавіца»",
        "Группа «Северная молния»",
        "North Bolt Group (invented)",
    ),
)
EMBLEM_ON_SHIELD = {"shield-1": "badger-detachment", "shield-2": "badger-detachment"}


def _ring_text(
    image: Image.Image,
    text: str,
    radius: float,
    size: int,
    colour: tuple,
    start: float,
    sweep: float,
) -> None:
    face = font(size)
    for k, letter in enumerate(text):
        angle = start + sweep * (k / max(1, len(text) - 1) - 0.5)
        tile = Image.new("RGBA", (2 * size, 2 * size))
        ImageDraw.Draw(tile).text((size, size), letter, fill=colour, font=face, anchor="mm")
        tilt = -angle if sweep > 0 else -angle + 180
        tile = tile.rotate(tilt, Image.Resampling.BICUBIC)
        x = SIZE / 2 + radius * np.sin(np.radians(angle))
        y = SIZE / 2 - radius * np.cos(np.radians(angle))
        image.alpha_composite(tile, (max(0, int(x - size)), max(0, int(y - size))))


def _points(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
    return [(x * SIZE, y * SIZE) for x, y in pairs]


def _mirror(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return pairs + [(1 - x, y) for x, y in reversed(pairs)]


def _beast(draw: ImageDraw.ImageDraw, raccoon: bool) -> None:
    """A badger's head, or a raccoon's: the same outline idea, other markings."""
    fur = (205, 205, 198, 255) if not raccoon else (150, 138, 122, 255)
    black = (22, 22, 24, 255)
    ear = [(0.36, 0.36), (0.33, 0.27), (0.40, 0.27), (0.43, 0.34)]
    if raccoon:
        ear = [(0.34, 0.38), (0.32, 0.23), (0.42, 0.30), (0.44, 0.35)]
    for mirror in (False, True):
        draw.polygon(_points(*[(1 - x if mirror else x, y) for x, y in ear]), fill=black)
    outline = [(0.50, 0.32), (0.40, 0.33), (0.33, 0.42), (0.34, 0.52), (0.42, 0.64), (0.47, 0.72)]
    if raccoon:
        outline = [
            (0.50, 0.33),
            (0.41, 0.33),
            (0.31, 0.46),
            (0.29, 0.55),
            (0.41, 0.62),
            (0.47, 0.68),
        ]
    draw.polygon(_points(*_mirror(outline)), fill=fur)
    if raccoon:
        mask = [(0.48, 0.47), (0.40, 0.44), (0.31, 0.50), (0.33, 0.56), (0.44, 0.56)]
        for mirror in (False, True):
            draw.polygon(_points(*[(1 - x if mirror else x, y) for x, y in mask]), fill=black)
        draw.polygon(_points((0.48, 0.34), (0.52, 0.34), (0.51, 0.50), (0.49, 0.50)), fill=black)
    else:
        stripe = [
            (0.44, 0.33),
            (0.38, 0.37),
            (0.37, 0.48),
            (0.43, 0.60),
            (0.46, 0.61),
            (0.45, 0.48),
        ]
        for mirror in (False, True):
            draw.polygon(_points(*[(1 - x if mirror else x, y) for x, y in stripe]), fill=black)
    for x in (0.415, 0.585):
        y = 0.505 if raccoon else 0.47
        box = [(x - 0.018) * SIZE, (y - 0.018) * SIZE, (x + 0.018) * SIZE, (y + 0.018) * SIZE]
        draw.ellipse(box, fill=(235, 190, 60, 255))
        draw.ellipse([box[0] + 5, box[1] + 3, box[2] - 5, box[3] - 3], fill=black)
    nose = 0.66 if raccoon else 0.70
    draw.ellipse(
        [0.465 * SIZE, (nose - 0.03) * SIZE, 0.535 * SIZE, (nose + 0.03) * SIZE], fill=black
    )


@lru_cache(maxsize=8)
def emblem(key: str) -> np.ndarray:
    """A patch as worn: (512, 512, 4) uint8 RGBA, transparent around the cloth."""
    image = Image.new("RGBA", (SIZE, SIZE))
    draw = ImageDraw.Draw(image)
    whole = [8, 8, SIZE - 8, SIZE - 8]
    inner = [92, 92, SIZE - 92, SIZE - 92]
    gold = (214, 172, 62, 255)
    if key in ("badger-detachment", "raccoon-detachment"):
        raccoon = key.startswith("raccoon")
        draw.ellipse(whole, fill=(30, 52, 44, 255), outline=gold, width=14)
        draw.ellipse(inner, fill=(112, 30, 30, 255), outline=gold, width=8)
        for turn in range(0, 360, 30):
            a, b = np.radians(turn), np.radians(turn + 15)
            draw.polygon(
                [
                    (SIZE / 2, SIZE / 2),
                    (SIZE / 2 + 158 * np.sin(a), SIZE / 2 + 158 * np.cos(a)),
                    (SIZE / 2 + 158 * np.sin(b), SIZE / 2 + 158 * np.cos(b)),
                ],
                fill=(136, 42, 36, 255),
            )
        for lean in (-1, 1):
            draw.line(_points((0.5 - lean * 0.27, 0.75), (0.5 + lean * 0.25, 0.26)), gold, 12)
            draw.line(_points((0.5 - lean * 0.24, 0.63), (0.5 - lean * 0.15, 0.72)), gold, 10)
        _beast(draw, raccoon)
        _ring_text(
            image,
            "АТРАД ЯНОТ" if raccoon else "АТРАД БАРСУК",
            204,
            52,
            gold,
            0,
            150 if raccoon else 176,
        )
        _ring_text(image, "2017" if raccoon else "1994", 204, 46, gold, 180, -52)
    elif key == "three-keys-company":
        draw.polygon(
            _points((0.06, 0.04), (0.94, 0.04), (0.94, 0.58), (0.5, 0.98), (0.06, 0.58)),
            fill=(26, 40, 92, 255),
            outline=(225, 225, 225, 255),
            width=16,
        )
        draw.rectangle([60, 60, SIZE - 60, 138], fill=(188, 188, 196, 255))
        draw.text((SIZE / 2, 99), "ТРЫ КЛЮЧЫ", fill=(26, 40, 92, 255), font=font(54), anchor="mm")
        for k, x in enumerate((0.28, 0.5, 0.72)):
            top, low = 0.34, (0.70, 0.86, 0.70)[k]
            draw.ellipse(
                [x * SIZE - 42, top * SIZE - 30, x * SIZE + 42, top * SIZE + 54],
                outline=gold,
                width=17,
            )
            draw.line(_points((x, top + 0.10), (x, low)), gold, 17)
            for tooth in (0.02, 0.08):
                draw.line(_points((x, low - tooth), (x + 0.07, low - tooth)), gold, 14)
    elif key == "heron-watch":
        draw.polygon(
            _points((0.5, 0.02), (0.97, 0.5), (0.5, 0.98), (0.03, 0.5)),
            fill=(208, 212, 206, 255),
            outline=(32, 84, 120, 255),
            width=18,
        )
        ink = (28, 62, 92, 255)
        draw.polygon(
            _points(
                (0.40, 0.30),
                (0.56, 0.24),
                (0.47, 0.34),
                (0.52, 0.46),
                (0.62, 0.54),
                (0.60, 0.66),
                (0.48, 0.66),
                (0.40, 0.56),
                (0.44, 0.44),
            ),
            fill=ink,
        )
        draw.polygon(_points((0.42, 0.30), (0.26, 0.35), (0.43, 0.345)), fill=(220, 150, 40, 255))
        draw.line(_points((0.50, 0.66), (0.48, 0.84)), ink, 9)
        draw.line(_points((0.55, 0.66), (0.58, 0.76), (0.53, 0.84)), ink, 9)
        for y in (0.80, 0.85):
            wave = [(x, y + 0.012 * np.sin(x * 60)) for x in np.linspace(0.34, 0.66, 40)]
            draw.line(_points(*wave), (60, 130, 170, 255), 8)
        draw.text((0.66 * SIZE, 0.36 * SIZE), "IX", fill=ink, font=font(66), anchor="mm")
    else:
        draw.polygon(
            _points((0.5, 0.03), (0.97, 0.90), (0.03, 0.90)),
            fill=(44, 44, 50, 255),
            outline=(200, 70, 30, 255),
            width=18,
        )
        draw.polygon(
            _points(
                (0.55, 0.24),
                (0.37, 0.58),
                (0.49, 0.58),
                (0.42, 0.84),
                (0.64, 0.50),
                (0.52, 0.50),
                (0.60, 0.28),
            ),
            fill=(240, 200, 50, 255),
        )
        for x, y in ((0.30, 0.74), (0.72, 0.74), (0.22, 0.83), (0.80, 0.83)):
            star = [
                (x + r * np.sin(a), y - r * np.cos(a))
                for a, r in zip(np.radians(np.arange(0, 360, 36)), [0.045, 0.018] * 5, strict=True)
            ]
            draw.polygon(_points(*star), fill=(225, 225, 225, 255))
    picture = np.array(image)
    rng = generator(7, "cloth", key)
    weave = 1 + 0.05 * np.sin(np.arange(SIZE) * 1.6)[None] * np.sin(np.arange(SIZE) * 1.6)[:, None]
    weave = weave + 0.05 * noise_field(rng, SIZE, SIZE, (3, 40, 150), 0.8)
    picture[..., :3] = np.clip(picture[..., :3] * weave[..., None], 0, 255).astype(np.uint8)
    return picture


@lru_cache(maxsize=8)
def shield_face(seed: int, role: str) -> np.ndarray:
    """The front of a riot shield, (620, 360, 4) float32: BGR albedo as 0-255, alpha 0-1."""
    rng = generator(seed, "shield", role)
    height, width = 620, 360
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = np.float32([52, 48, 44])
    picture += np.linspace(26, -14, width)[None, :, None]
    picture += 3.5 * noise_field(rng, height, width, (2, 9, 60), 0.8)[..., None]
    image = Image.fromarray(np.clip(picture[..., ::-1], 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle(
        [40, 40, width - 40, 130], 18, fill=(118, 124, 128), outline=(20, 20, 22), width=5
    )
    draw.line([60, 110, 180, 58], fill=(170, 176, 180), width=7)
    draw.text((width / 2, 192), "МИЛИЦИЯ", fill=(226, 226, 222), font=font(53), anchor="mm")
    if role in EMBLEM_ON_SHIELD:
        patch = Image.fromarray(emblem(EMBLEM_ON_SHIELD[role])).resize((252, 252))
        image.paste(patch, (54, 246), patch)
    number = {"shield-1": "417", "shield-2": "406", "shield-3": "422", "shield-4": "431"}[role]
    draw.text(
        (width / 2, 555 if role in EMBLEM_ON_SHIELD else 420),
        number,
        fill=(205, 205, 200),
        font=font(58),
        anchor="mm",
    )
    for _ in range(46):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        dx, dy = rng.normal(0, 26, 2)
        tint = int(rng.uniform(60, 130))
        draw.line([x, y, x + dx, y + dy], fill=(tint, tint, tint), width=1)
    bgr = np.array(image)[..., ::-1].astype(np.float32)
    alpha = np.zeros((height, width), np.uint8)
    cv2.rectangle(alpha, (24, 0), (width - 25, height - 1), 255, -1)
    cv2.rectangle(alpha, (0, 24), (width - 1, height - 25), 255, -1)
    for corner in ((24, 24), (width - 25, 24), (24, height - 25), (width - 25, height - 25)):
        cv2.circle(alpha, corner, 24, 255, -1)
    edge = cv2.erode(alpha, np.ones((13, 13), np.uint8))
    bgr[edge == 0] *= 0.45
    return np.dstack([bgr, alpha.astype(np.float32) / 255])


@lru_cache(maxsize=8)
def shield_back(seed: int, role: str) -> np.ndarray:
    """The same shield from behind: bare, with its window and handle."""
    face = shield_face(seed, role).copy()
    face[..., :3] = np.float32([34, 32, 30])
    face[44:128, 44:316, :3] = np.float32([96, 92, 86])
    face[300:420, 150:210, :3] = np.float32([16, 16, 16])
    return face


def write_gallery(folder: Path) -> list[str]:
    """Write <unit>/image.png and <unit>/reference.toml for every invented unit."""
    for unit in UNITS:
        home = folder / unit.key
        home.mkdir(parents=True, exist_ok=True)
        picture = emblem(unit.key)
        alpha = picture[..., 3:].astype(np.float32) / 255
        flat = picture[..., :3] * alpha + np.float32([120, 120, 118]) * (1 - alpha)
        Image.fromarray(flat.astype(np.uint8)).save(home / "image.png", optimize=False)
        digest = hashlib.sha256((home / "image.png").read_bytes()).hexdigest()
        alike = ", ".join(f'"{key}"' for key in unit.look_alikes)
        (home / "reference.toml").write_text(
            f'unit = "{unit.key}"\n'
            f'image = "image.png"\n'
            f'source = "drawn by samples/make.py; this unit does not exist"\n'
            f'source_sha256 = "{digest}"\n'
            f'licence = "CC0-1.0"\n'
            f"valid_from = 2015-01-01\n"
            f"valid_to = 2030-12-31\n"
            f'added_by = "samples/make.py"\n'
            f"look_alikes = [{alike}]\n\n"
            f'[names]\nbe = "{unit.be}"\nru = "{unit.ru}"\nen = "{unit.en}"\n',
            encoding="utf-8",
        )
    return [unit.key for unit in UNITS]
