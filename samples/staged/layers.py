"""Trees, bench and lamp posts: what figures can pass behind, as pictures with a depth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .optics import Camera, composite, generator, tone
from .plan import BENCH, LAMPS, TREES
from .scenery import light_at

__all__ = ["Layer", "bake", "layers_of"]


@dataclass
class Layer:
    """Something static that figures can pass behind: picture, cover and how far away it is."""

    patch: np.ndarray  # (h, w, 3) uint8 BGR
    alpha: np.ndarray  # (h, w) float32
    x: int
    y: int
    depth: float
    sways: bool = False


def layers_of(camera: Camera, seed: int, *, exposure: float) -> list[Layer]:
    """Trees, bench and lamp posts seen by this camera, as separate layers with a depth."""
    layers: list[Layer] = []
    for number, (x, z) in enumerate(TREES):
        for points, radii, colours, sways in _tree(seed, number, x, z):
            near = float(camera.project(np.array([x, 2.0, z]))[1]) < 16.0
            layer = _draw_blobs(camera, points, radii, colours, exposure, sways)
            if layer is not None:
                layer.sways = sways and near  # far trees stand still: nobody could tell
                layers.append(layer)
    for x, y, z, _, _ in LAMPS:
        if y > 4.5:
            heights = np.linspace(0.0, y + 0.15, 400)
            points = np.stack([np.full(400, x), heights, np.full(400, z)], 1)
            colours = np.tile([[0.09, 0.09, 0.10]], (400, 1))
            layer = _draw_blobs(camera, points, np.full(400, 0.055), colours, exposure, False, True)
            if layer is not None:
                layers.append(layer)
    layers.extend(_bench(camera, exposure))
    return layers


def bake(background: np.ndarray, layers: list[Layer]) -> np.ndarray:
    """The background with all still layers on it, far ones first."""
    for layer in sorted(layers, key=lambda one: -one.depth):
        if not layer.sways:
            composite(background, layer.patch, layer.alpha, layer.x, layer.y)
    return background


def _tree(seed: int, number: int, x: float, z: float) -> list[tuple]:
    """Trunk and two clouds of leaves (centres, radii in metres, linear RGB albedo)."""
    rng = generator(seed, "tree", number)
    heights = np.linspace(0, 2.3, 40)
    bend = 0.12 * np.sin(heights * 1.3 + number)
    trunk = np.stack([x + bend, heights, z + 0.05 * heights], 1)
    bark = np.tile([[0.085, 0.065, 0.05]], (40, 1)) * rng.uniform(0.7, 1.2, (40, 1))
    parts = [(trunk, np.linspace(0.15, 0.07, 40), bark, False)]
    for _ in range(1):
        count = 3600
        clusters = rng.normal(size=(22, 3)) * [0.62, 0.62, 0.58] + [x + 0.1, 2.95, z]
        chosen = rng.integers(0, 22, count)
        leaves = clusters[chosen] + rng.normal(size=(count, 3)) * 0.30
        leaves[:, 1] = np.maximum(leaves[:, 1], 1.35)
        inner = np.clip(np.linalg.norm(leaves - [x, 2.95, z], axis=1) / 1.5, 0.25, 1.1)
        colour = np.array([[0.12, 0.15, 0.045]]) * inner[:, None] ** 1.5
        colour = colour * rng.uniform(0.55, 1.35, (count, 1))
        autumn = rng.random(count) < 0.2
        colour[autumn] = colour[autumn] * [2.0, 1.1, 0.6]
        parts.append((leaves, rng.uniform(0.025, 0.052, count), colour, True))
    return parts


def _draw_blobs(
    camera: Camera,
    points: np.ndarray,
    radii: np.ndarray,
    colours: np.ndarray,
    exposure: float,
    sways: bool,
    solid: bool = False,
) -> Layer | None:
    pixels, depth = camera.project(points)
    if depth.mean() < 0.8 or depth.min() < 0.4:
        return None
    margin = 40 if sways else 6
    low = np.floor(pixels.min(0)).astype(int) - margin
    high = np.ceil(pixels.max(0)).astype(int) + margin
    low = np.maximum(low, [-margin, -margin])
    high = np.minimum(high, [camera.width + margin, camera.height + margin])
    width, height = (high - low).tolist()
    if width <= 2 * margin or height <= 2 * margin:
        return None
    light, towards = light_at(points)
    lit = colours * light * 3.2
    if sways:  # leaves on the lamp's side catch more of it
        outward = points - points.mean(0)
        outward /= np.linalg.norm(outward, axis=1, keepdims=True) + 1e-9
        lit *= (0.55 + 0.65 * np.clip((outward * towards).sum(1), -0.4, 1))[:, None]
    shades = tone(lit[:, ::-1], exposure)
    scale = 2
    picture = np.zeros((height * scale, width * scale, 4), np.uint8)
    picture[..., :3] = shades.mean(0)
    order = np.argsort(-depth)
    centres = np.round((pixels - low) * scale * 16).astype(int)
    sizes = radii * camera.focal_px / depth * scale
    for k in order:
        shade = (*shades[k].tolist(), 255)
        size = max(1.0, sizes[k])
        if solid or not sways:
            cv2.circle(picture, centres[k].tolist(), int(size * 16), shade, -1, cv2.LINE_8, 4)
        else:
            axes = (int(size * 16), int(size * 9))
            cv2.ellipse(
                picture,
                (int(centres[k][0]) // 16, int(centres[k][1]) // 16),
                (max(1, axes[0] // 16), max(1, axes[1] // 16)),
                float(k * 37 % 180),
                0,
                360,
                shade,
                -1,
            )
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    alpha = picture[..., 3].astype(np.float32) / 255
    return Layer(
        np.ascontiguousarray(picture[..., :3]),
        alpha,
        int(low[0]),
        int(low[1]),
        float(depth.mean()),
        sways,
    )


def _bench(camera: Camera, exposure: float) -> list[Layer]:
    """Seat and back of the bench as two layers, so that who sits is between them."""
    x, z = BENCH
    seat = [
        ((x - 0.95, 0.42 + 0.0, z - 0.45 + d), (x + 0.95, 0.46, z - 0.36 + d), 0.20)
        for d in (0.0, 0.13, 0.26)
    ]
    legs = [
        ((x + s - 0.04, 0.0, z - 0.4), (x + s + 0.04, 0.44, z - 0.02), 0.07) for s in (-0.75, 0.75)
    ]
    back = [
        ((x - 0.95, h, z + 0.06), (x + 0.95, h + 0.12, z + 0.10), 0.20) for h in (0.52, 0.68, 0.84)
    ]
    posts = [
        ((x + s - 0.03, 0.0, z + 0.05), (x + s + 0.03, 0.98, z + 0.12), 0.07) for s in (-0.75, 0.75)
    ]
    found = []
    for boxes, where in ((legs + seat, z - 0.25), (posts + back, z + 0.08)):
        corners = np.array([_corners(low, high) for low, high, _ in boxes])
        pixels, depth = camera.project(corners)
        if depth.min() < 0.4:
            continue
        low = np.floor(pixels.reshape(-1, 2).min(0)).astype(int) - 3
        high = np.ceil(pixels.reshape(-1, 2).max(0)).astype(int) + 3
        width, height = (high - low).tolist()
        if width > 3000 or height > 3000:
            continue
        scale = 3
        picture = np.zeros((height * scale, width * scale, 4), np.uint8)
        light, _ = light_at(np.array([x, 0.6, z]))
        order = np.argsort(-depth.mean(1))
        for k in order:
            albedo = np.array([1.0, 0.72, 0.45]) * boxes[k][2]
            if boxes[k][2] < 0.1:
                albedo = np.array([0.07, 0.07, 0.075])
            for face, shade in (
                (slice(0, 4), 1.15),
                ((0, 1, 5, 4), 0.55),
                ((3, 2, 6, 7), 0.75),
                (slice(4, 8), 0.4),
            ):
                colour = tone((albedo * light * 3.2 * shade)[::-1], exposure)
                points = (
                    (
                        (pixels[k][face if isinstance(face, slice) else list(face)] - low)
                        * scale
                        * 16
                    )
                    .round()
                    .astype(np.int32)
                )
                cv2.fillConvexPoly(picture, points, (*colour.tolist(), 255), cv2.LINE_8, 4)
            top = ((pixels[k][:4] - low) * scale * 16).round().astype(np.int32)
            colour = tone((albedo * light * 3.6)[::-1], exposure)
            cv2.fillConvexPoly(picture, top, (*colour.tolist(), 255), cv2.LINE_8, 4)
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        alpha = picture[..., 3].astype(np.float32) / 255
        colour = picture[..., :3] / np.maximum(alpha, 0.02)[..., None]
        _, away = camera.project(np.array([x, 0.5, where]))
        found.append(
            Layer(
                np.clip(colour, 0, 255).astype(np.uint8),
                alpha,
                int(low[0]),
                int(low[1]),
                float(away),
            )
        )
    return found


def _corners(low: tuple[float, ...], high: tuple[float, ...]) -> list[tuple[float, float, float]]:
    (x0, y0, z0), (x1, y1, z1) = low, high
    return [
        (x0, y1, z0),
        (x1, y1, z0),
        (x1, y1, z1),
        (x0, y1, z1),
        (x0, y0, z0),
        (x1, y0, z0),
        (x1, y0, z1),
        (x0, y0, z1),
    ]
