"""The street at dusk: textures on a ground and four facades, lamp light, trees, bench, posts."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .optics import Camera, font, generator, noise_field, tone
from .plan import BENCH, LAMPS, TREES

__all__ = ["ground_light", "light_at", "render_background"]

GROUND = (-46.0, 46.0, -6.0, 50.0)  # x0, x1, z0, z1 covered by the ground texture
GROUND_PPM = 23.0  # pixels a metre
WALL_PPM = 26.0
# axis, place, extent along the wall, height, seed word
WALLS = [
    ("z", 33.0, (-46.0, 46.0), 13.5, "north"),
    ("z", -2.0, (-46.0, 46.0), 15.0, "south"),
    ("x", -44.0, (-6.0, 50.0), 17.0, "west"),
    ("x", 45.0, (-6.0, 50.0), 12.0, "east"),
]
AMBIENT = np.array([0.020, 0.028, 0.050], np.float32)  # linear RGB of the dusk sky


_LAMP_PLACES = np.array([lamp[:3] for lamp in LAMPS])
_LAMP_POWER = np.array([lamp[3] for lamp in LAMPS]) / 12.0
_LAMP_COLOURS = np.array([lamp[4] for lamp in LAMPS])


def light_at(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear RGB light (..., 3) at world points, and the direction (..., 3) of most of it."""
    points = np.asarray(points, float)
    ray = _LAMP_PLACES - points[..., None, :]
    square = np.einsum("...k,...k", ray, ray) + 1.5
    amount = _LAMP_POWER / square
    total = amount @ _LAMP_COLOURS + AMBIENT * 2.2
    pull = np.einsum("...k,...kd->...d", amount / np.sqrt(square), ray)
    return total, pull / (np.sqrt((pull * pull).sum(-1, keepdims=True)) + 1e-9)


@lru_cache(maxsize=2)
def ground_light(seed: int) -> np.ndarray:
    """Lamp light on the ground with soft tree and bench shadows, 4 px a metre, linear RGB."""
    step = 4.0
    xs = np.arange(GROUND[0], GROUND[1], 1 / step, dtype=np.float32)
    zs = np.arange(GROUND[2], GROUND[3], 1 / step, dtype=np.float32)
    gx, gz = np.meshgrid(xs, zs)
    total = np.zeros((*gx.shape, 3), np.float32)
    blockers = [(x, 2.9, z, 1.35) for x, z in TREES]
    blockers += [(BENCH[0] + d, 0.5, BENCH[1], 0.42) for d in (-0.7, 0.0, 0.7)]
    blockers += [(x, h, z, 0.30) for x, z in TREES for h in (0.4, 0.9, 1.4)]
    for x, y, z, strength, colour in LAMPS:
        dx, dz = x - gx, z - gz
        square = dx * dx + dz * dz + y * y
        amount = strength * y / square**1.5 * 0.62
        for bx, by, bz, radius in blockers:
            # distance of the blocker's middle from the line ground point - lamp
            along = ((bx - gx) * dx + by * y + (bz - gz) * dz) / square
            miss = (bx - gx - along * dx) ** 2 + (by - along * y) ** 2 + (bz - gz - along * dz) ** 2
            covered = 0.5 - 0.5 * np.tanh((np.sqrt(miss) - radius) * 3.5)
            amount = amount * (1 - 0.72 * covered * ((along > 0) & (along < 1)))
        total += amount[..., None] * np.float32(colour)
    return total + AMBIENT * 1.6


def _ground_texture(seed: int) -> np.ndarray:
    """Albedo (rows z, columns x, RGB): asphalt with markings, slabs, kerbs, grass, a paved path."""
    rng = generator(seed, "ground")
    width = int((GROUND[1] - GROUND[0]) * GROUND_PPM)
    height = int((GROUND[3] - GROUND[2]) * GROUND_PPM)
    grain = noise_field(rng, height, width, (2, 5, 17, 60, 240), 0.8)
    wide = noise_field(rng, height, width, (90, 260), 0.7)
    x = GROUND[0] + np.arange(width, dtype=np.float32)[None] / GROUND_PPM
    z = GROUND[2] + np.arange(height, dtype=np.float32)[:, None] / GROUND_PPM
    albedo = np.empty((height, width, 3), np.float32)
    grass = np.float32([0.060, 0.078, 0.034])
    albedo[:] = grass * (1 + 0.30 * grain + 0.25 * wide)[..., None]
    edge = 0.16 * wide

    def paint(mask: np.ndarray, colour: tuple[float, float, float], rough: float) -> None:
        shade = 1 + rough * grain[mask] + 0.10 * wide[mask]
        albedo[mask] = np.float32(colour) * shade[:, None]

    def slabs(mask: np.ndarray, size: float, colour: tuple[float, float, float]) -> None:
        paint(mask, colour, 0.10)
        row = np.floor(z / size)
        column = np.floor((x + (row % 2) * size * 0.5) / size)
        joint = (np.abs(z / size - np.round(z / size)) < 0.035) | (
            np.abs(
                (x + (row % 2) * size * 0.5) / size - np.round((x + (row % 2) * size * 0.5) / size)
            )
            < 0.035
        )
        tint = 0.88 + 0.24 * np.modf(np.abs(np.sin(column * 12.99 + row * 78.2)) * 437.5)[0]
        albedo[mask] *= np.broadcast_to(tint, mask.shape)[mask][:, None]
        albedo[mask & joint] *= 0.55

    every = np.ones((height, width), bool)
    slabs(every & (z < 5.5), 0.5, (0.17, 0.165, 0.16))  # pavement under the fixed camera
    slabs(every & (np.abs(z - 15.2 - 0.04 * x + edge) < 1.15), 0.4, (0.20, 0.175, 0.15))  # path
    slabs(every & (np.abs(z - 12.9) < 1.9) & (x > 0.0) & (x < 5.2), 0.4, (0.20, 0.175, 0.15))
    slabs(every & (np.abs(x - 2.6 - 0.3 * (z - 9)) < 0.9) & (z < 11.5), 0.4, (0.19, 0.17, 0.15))
    road = every & (z > 18.2) & (z < 27.0)
    paint(road, (0.075, 0.075, 0.08), 0.16)
    cracks = np.abs(noise_field(rng, height, width, (50, 22, 9), 0.7)) < 0.012
    albedo[road & cracks] *= 0.6
    dashes = (np.abs(z - 22.6) < 0.07) & (np.modf((x + 100) / 4.0)[0] < 0.5)
    lines = (np.abs(z - 18.75) < 0.06) | (np.abs(z - 26.45) < 0.06)
    crossing = (
        (np.abs(x - 12.0) < 1.9) & (np.modf((z + 0.2) / 1.0)[0] < 0.5) & (z > 19) & (z < 26.4)
    )
    paint(road & (dashes | lines | crossing) & (grain > -1.1), (0.42, 0.42, 0.40), 0.12)
    slabs(every & (z >= 27.0), 0.6, (0.18, 0.175, 0.17))
    for kerb in (18.1, 27.05):
        stone = every & (np.abs(z - kerb) < 0.10)
        paint(stone, (0.30, 0.30, 0.29), 0.10)
        albedo[stone & (np.modf((x + 100) / 1.0)[0] < 0.03)] *= 0.5
    leaves = (noise_field(rng, height, width, (3,)) > 2.15) & ((z < 18) | (z > 27))
    albedo[leaves] = np.float32([0.26, 0.17, 0.05]) * (
        0.7 + 0.3 * rng.random(leaves.sum())[:, None]
    )
    puddles = road & (noise_field(rng, height, width, (70, 30)) > 1.75)
    albedo[puddles] *= 0.45
    return np.clip(albedo, 0.012, 0.7)


def _wall_texture(
    seed: int, name: str, extent: float, tall: float
) -> tuple[np.ndarray, np.ndarray]:
    """Albedo and own light (RGB, row 0 at the top) of a facade with windows, doors and a shop."""
    rng = generator(seed, "wall", name)
    width, height = int(extent * WALL_PPM), int(tall * WALL_PPM)
    grain = noise_field(rng, height, width, (2, 7, 30, 160), 0.8)
    tint = {
        "north": (0.24, 0.205, 0.16),
        "south": (0.20, 0.17, 0.155),
        "west": (0.16, 0.17, 0.18),
        "east": (0.22, 0.18, 0.15),
    }.get(name, (0.2, 0.2, 0.2))
    albedo = np.float32(tint) * (1 + 0.12 * grain)[..., None]
    glow = np.zeros_like(albedo)
    ppm = WALL_PPM
    rows = (np.arange(height) / ppm)[:, None]
    brick = (np.modf(rows / 0.3)[0] < 0.1) | (
        np.modf((np.arange(width)[None] / ppm + 0.3 * (np.floor(rows / 0.3) % 2)) / 0.6)[0] < 0.04
    )
    if name in ("south", "east"):
        albedo[brick] *= 0.78
    albedo[height - int(0.9 * ppm) :] *= 0.6  # plinth
    for ledge in np.arange(0.35, tall - 3.0, 3.1):
        albedo[int(ledge * ppm) : int((ledge + 0.16) * ppm)] *= 1.35
        albedo[int((ledge + 0.16) * ppm) : int((ledge + 0.3) * ppm)] *= 0.6
    floors = np.arange(1.0, tall - 4.2, 3.1)
    for floor in floors:
        for left in np.arange(1.2, extent - 2.0, 2.9):
            x0, x1 = int(left * ppm), int((left + 1.35) * ppm)
            y0, y1 = int((floor + 0.2) * ppm), int((floor + 1.85) * ppm)
            cv2.rectangle(albedo, (x0 - 3, y0 - 3), (x1 + 3, y1 + 4), (0.34, 0.32, 0.29), -1)
            albedo[y0:y1, x0:x1] = (0.03, 0.035, 0.045)
            if rng.random() < 0.30:
                warm = rng.uniform(0.5, 1.0)
                pane = np.linspace(1.15, 0.7, y1 - y0)[:, None, None]
                colour = np.float32([1.0, 0.72, 0.40] if rng.random() < 0.75 else [0.6, 0.75, 1.0])
                light = pane * colour * warm * 0.75 * np.ones((1, x1 - x0, 1))
                curtain = int((x1 - x0) * rng.uniform(0.1, 0.45))
                light[:, :curtain] *= 0.45
                light[:, x1 - x0 - curtain // 2 :] *= 0.5
                glow[y0:y1, x0:x1] = light
            for bar in ((x0 + x1) // 2,):
                glow[y0:y1, bar - 1 : bar + 2] *= 0.15
                albedo[y0:y1, bar - 1 : bar + 2] = 0.25
            bar = y0 + (y1 - y0) // 3
            glow[bar - 1 : bar + 1, x0:x1] *= 0.2
    base = height - int(3.4 * ppm)
    for left, span, lit, word in (
        (18.0, 7.0, 0.9, "ХЛЕБ"),
        (34.0, 8.5, 0.15, "КНИГИ"),
        (50.0, 5.0, 0.35, "АПТЕКА"),
        (68.0, 9.0, 0.1, "РЕМОНТ"),
    ):
        if left + span > extent:
            continue
        x0, x1 = int(left * ppm), int((left + span) * ppm)
        y0, y1 = base + int(0.85 * ppm), height - int(0.7 * ppm)
        albedo[y0:y1, x0:x1] = (0.05, 0.05, 0.055)
        glow[y0:y1, x0:x1] = np.float32([1.0, 0.88, 0.66]) * lit * 0.55
        for shelf in range(y0 + (y1 - y0) // 4, y1 - 4, max(6, (y1 - y0) // 4)):
            for item in range(x0 + 2, x1 - 6, 7):
                tall_px = int(rng.integers(4, 11))
                glow[max(y0, shelf + 12 - tall_px) : shelf + 12, item : item + 5] *= rng.uniform(
                    0.15, 0.9, 3
                )
            glow[shelf + 12 : shelf + 14, x0:x1] *= 0.3
        for bar in np.linspace(x0, x1, 4).astype(int):
            glow[y0:y1, max(0, bar - 2) : bar + 2] *= 0.1
        face = font(int(0.5 * ppm))
        mask = face.getmask(word)
        letters = np.array(mask, np.float32).reshape(mask.size[::-1]) / 255.0
        ty, tx = base + int(0.18 * ppm), (x0 + x1 - letters.shape[1]) // 2
        area = glow[ty : ty + letters.shape[0], tx : tx + letters.shape[1]]
        area[:] = np.maximum(area, letters[..., None] * np.float32([0.9, 0.35, 0.25]) * (lit + 0.1))
    x0, x1 = int((12.4 + extent / 2) * ppm), int((15.2 + extent / 2) * ppm)
    if x1 < width:  # the doorway
        y0 = height - int(2.7 * ppm)
        albedo[y0:, x0:x1] = (0.10, 0.075, 0.05)
        glow[y0:, x0:x1] = np.float32([1.0, 0.8, 0.5]) * 0.10
        inner = slice(x0 + int(0.6 * ppm), x1 - int(0.6 * ppm))
        glow[y0 + int(0.3 * ppm) :, inner] = np.float32([1.0, 0.82, 0.55]) * 0.42
    return np.clip(albedo, 0.01, 0.8), glow


def _sample(texture: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Look a texture up at pixel coordinates (n,), split in rows to suit cv2.remap."""
    count = len(u)
    if count == 0:
        return np.zeros((0, 1 if texture.ndim == 2 else texture.shape[2]), np.float32)
    columns = 8192
    rows = -(-count // columns)
    pad = rows * columns - count
    u = np.pad(u, (0, pad)).reshape(rows, columns).astype(np.float32)
    v = np.pad(v, (0, pad)).reshape(rows, columns).astype(np.float32)
    found = cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return found.reshape(rows * columns, -1)[:count]


def _wall_light(
    axis: str, place: float, extent: tuple[float, float], tall: float, points: np.ndarray
) -> np.ndarray:
    """Lamp light on a facade, worked out on a half-metre grid and read off it."""
    along = np.arange(extent[0], extent[1] + 0.5, 0.5)
    up = np.arange(0.0, tall + 0.5, 0.5)
    grid = np.empty((len(up), len(along), 3))
    k, j = (0, 2) if axis == "z" else (2, 0)
    grid[..., k], grid[..., j], grid[..., 1] = along, place, up[:, None]
    received, _ = light_at(grid)
    return _sample(received.astype(np.float32), (points[:, k] - extent[0]) * 2, points[:, 1] * 2)


def render_background(
    camera: Camera, seed: int, *, exposure: float, oversample: int = 2
) -> np.ndarray:
    """The empty street as this camera sees it, (H, W, 3) uint8 BGR."""
    rays = camera.rays(oversample).reshape(-1, 3)
    origin = np.float32(camera.position)
    with np.errstate(divide="ignore", invalid="ignore"):
        nearest = np.where(rays[:, 1] < -1e-4, -origin[1] / rays[:, 1], np.float32(1e6))
    which = np.where(nearest < 1e5, 0, -1)
    for index, (axis, place, (low, high), tall, _) in enumerate(WALLS, start=1):
        a, b = (2, 0) if axis == "z" else (0, 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = (place - origin[a]) / rays[:, a]
        reach = np.where(np.isfinite(reach) & (reach > 0.3), reach, np.float32(1e6))
        up = origin[1] + reach * rays[:, 1]
        along = origin[b] + reach * rays[:, b]
        hit = (reach < nearest) & (up < tall) & (up >= 0) & (along > low) & (along < high)
        nearest[hit] = reach[hit]
        which[hit] = index
    light = np.empty((len(rays), 3), np.float32)
    sky = which == -1
    up = rays[sky, 1] / np.linalg.norm(rays[sky], axis=1)
    clouds = noise_field(generator(seed, "sky"), 256, 1024, (120, 50, 20, 8), 0.6)
    angle = np.arctan2(rays[sky, 0], rays[sky, 2])
    puff = _sample(clouds, (angle / 6.2832 + 0.5) * 1023, (1 - np.clip(up, 0, 1)) * 255)[:, 0]
    light[sky] = np.exp(-up * 5.5)[:, None] * np.float32([0.25, 0.13, 0.085]) + np.float32(
        [0.020, 0.032, 0.075]
    ) * (1 + 0.35 * puff[:, None])
    ground = which == 0
    x = origin[0] + nearest[ground] * rays[ground, 0]
    z = origin[2] + nearest[ground] * rays[ground, 2]
    albedo = _sample(_ground(seed), (x - GROUND[0]) * GROUND_PPM, (z - GROUND[2]) * GROUND_PPM)
    detail = noise_field(generator(seed, "detail"), 512, 512, (2, 3, 9), 0.9)
    fine = _sample(detail, np.mod(x * 128, 511), np.mod(z * 128, 511))
    near = np.clip(1 - nearest[ground] / 14.0, 0, 1)[:, None]
    lamp = _sample(ground_light(seed), (x - GROUND[0]) * 4.0, (z - GROUND[2]) * 4.0)
    light[ground] = albedo * (1 + 0.28 * near * fine) * lamp * 4.0
    for index, (axis, place, (low, high), tall, name) in enumerate(WALLS, start=1):
        hit = which == index
        if not hit.any():
            continue
        points = origin + nearest[hit, None] * rays[hit]
        along = points[:, 0 if axis == "z" else 2] - low
        colour, glow = _wall(seed, name, high - low, tall)
        if name in ("south", "east"):  # seen from inside the square these run right to left
            along = (high - low) - along
        u, v = along * WALL_PPM, (tall - points[:, 1]) * WALL_PPM
        received = _wall_light(axis, place, (low, high), tall, points)
        light[hit] = _sample(colour, u, v) * received * 3.0 + _sample(glow, u, v) * 0.8
    picture = light.reshape(camera.height * oversample, camera.width * oversample, 3)
    picture = cv2.resize(picture, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    small = cv2.resize(picture, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    bloom = cv2.GaussianBlur(np.maximum(small - 0.18, 0), (0, 0), 3.5)
    picture = picture + 0.35 * cv2.resize(bloom, (camera.width, camera.height))
    picture = tone(picture[..., ::-1], exposure)
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float32)
    radius = np.hypot(rows / camera.height - 0.5, columns / camera.width - 0.5)
    picture *= (1 - 0.42 * radius**2)[..., None]
    return np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))


@lru_cache(maxsize=2)
def _ground(seed: int) -> np.ndarray:
    return _ground_texture(seed)


@lru_cache(maxsize=8)
def _wall(seed: int, name: str, extent: float, tall: float) -> tuple[np.ndarray, np.ndarray]:
    return _wall_texture(seed, name, extent, tall)
