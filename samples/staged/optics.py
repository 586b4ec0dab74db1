"""Pinhole cameras in a metric world (x right, y up, z away), textures, tone curve, fonts."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import ImageFont

__all__ = [
    "Camera",
    "add_quad",
    "composite",
    "draw_glow",
    "font",
    "generator",
    "light_step",
    "noise_field",
    "tone",
    "warp_quad",
]


def generator(seed: int, *keys: object) -> np.random.Generator:
    """A generator of its own for every purpose, so that one change does not shift the others."""
    words = [seed]
    for key in keys:
        words.extend(str(key).encode())
    return np.random.default_rng(np.random.SeedSequence(words))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: position in metres, angles in degrees, focal length in pixels."""

    position: tuple[float, float, float]
    yaw_deg: float
    pitch_deg: float  # positive: looks down
    width: int
    height: int
    focal_px: float
    roll_deg: float = 0.0
    centre: tuple[float, float] | None = None  # principal point, px; None: the middle

    @cached_property
    def middle(self) -> np.ndarray:
        """The principal point in pixels."""
        return np.array(self.centre or (self.width / 2, self.height / 2))

    def window(self, x: int, y: int, width: int, height: int) -> Camera:
        """The same camera, seeing only this part of its picture."""
        at = self.middle - [x, y]
        return replace(self, width=width, height=height, centre=(float(at[0]), float(at[1])))

    @cached_property
    def matrix(self) -> np.ndarray:
        """World directions to homogeneous pixels, 3 x 3."""
        cx, cy = self.middle
        focal = self.focal_px
        return np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]]) @ self.rotation

    @cached_property
    def rotation(self) -> np.ndarray:
        """Rows: the camera's right, down and forward axes in world coordinates."""
        yaw, pitch = np.radians([self.yaw_deg, self.pitch_deg])
        forward = np.array(
            [np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)]
        )
        right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
        down = np.cross(right, forward)
        cosine, sine = np.cos(np.radians(self.roll_deg)), np.sin(np.radians(self.roll_deg))
        return np.stack([right * cosine + down * sine, down * cosine - right * sine, forward])

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (..., 3) to pixels (..., 2) and depth (...) in metres."""
        local = (np.asarray(points, float) - self.position) @ self.rotation.T
        depth = local[..., 2]
        safe = np.maximum(depth, 0.05)[..., None]
        return local[..., :2] * (self.focal_px / safe) + self.middle, depth

    def rays(self, oversample: int = 1) -> np.ndarray:
        """World directions of all pixel centres, (H*oversample, W*oversample, 3) float32."""
        xs = (np.arange(self.width * oversample) + 0.5) / oversample - self.middle[0]
        ys = (np.arange(self.height * oversample) + 0.5) / oversample - self.middle[1]
        right, down, forward = (self.rotation / 1.0).astype(np.float32)
        x = (xs / self.focal_px).astype(np.float32)[None, :, None]
        y = (ys / self.focal_px).astype(np.float32)[:, None, None]
        return forward + x * right + y * down


def tone(light: np.ndarray, exposure: float = 1.0) -> np.ndarray:
    """Linear light to display values 0-255: soft shoulder, square-root gamma."""
    lit = np.maximum(light * exposure, 0.0)
    return np.sqrt(lit / (lit + 0.85)) * 255.0


def noise_field(
    rng: np.random.Generator, height: int, width: int, cells: tuple[int, ...], fall: float = 0.55
) -> np.ndarray:
    """Several octaves of smooth noise, about zero mean and unit spread, (height, width) float32."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for cell in cells:
        rows, cols = max(2, height // cell + 2), max(2, width // cell + 2)
        coarse = rng.standard_normal((rows, cols)).astype(np.float32)
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        weight *= fall
    return total / float(total.std() + 1e-9)


def composite(canvas: np.ndarray, patch: np.ndarray, alpha: np.ndarray, x: int, y: int) -> None:
    """Lay patch (h, w, 3) over canvas (uint8) at x, y with alpha (h, w) 0-1, clipped to it."""
    height, width = canvas.shape[:2]
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(patch.shape[0], height - y), min(patch.shape[1], width - x)
    if bottom <= top or right <= left:
        return
    weight = np.ascontiguousarray(alpha[top:bottom, left:right], np.float32)
    front = np.ascontiguousarray(patch[top:bottom, left:right])
    if front.dtype != np.uint8:
        front = np.clip(front, 0, 255).astype(np.uint8)
    view = canvas[y + top : y + bottom, x + left : x + right]
    view[:] = cv2.blendLinear(np.ascontiguousarray(view), front, 1 - weight, weight)


def draw_glow(
    canvas: np.ndarray, x: float, y: float, radius: float, colour_bgr: tuple[float, float, float]
) -> None:
    """Add a soft disc of light, as a lamp or a flash makes in a lens."""
    if radius < 1:
        return
    size = int(np.ceil(radius))
    x0, y0 = round(x) - size, round(y) - size
    left, top = max(0, x0), max(0, y0)
    right, bottom = min(canvas.shape[1], x0 + 2 * size), min(canvas.shape[0], y0 + 2 * size)
    if right <= left or bottom <= top:
        return
    glow = cv2.resize(_glow(), (2 * size, 2 * size), interpolation=cv2.INTER_LINEAR)
    glow = glow[top - y0 : bottom - y0, left - x0 : right - x0, None]
    view = canvas[top:bottom, left:right]
    view[:] = cv2.add(view, (glow * np.float32(colour_bgr)).astype(np.uint8))


_HALVES: dict[int, tuple[np.ndarray, np.ndarray]] = {}


def _half(texture: np.ndarray) -> np.ndarray:
    known = _HALVES.get(id(texture))
    if known is None or known[0] is not texture:
        if len(_HALVES) > 400:
            _HALVES.clear()
        size = (texture.shape[1] // 2, texture.shape[0] // 2)
        known = (texture, cv2.resize(texture, size, interpolation=cv2.INTER_AREA))
        _HALVES[id(texture)] = known
    return known[1]


def light_step(light: np.ndarray, percent: float = 6.0) -> tuple[tuple[int, ...], np.ndarray]:
    """Light in steps of so many percent: a key for what is kept, and the step's own light.

    Drawing with the step's light, not with what happened to come first, keeps pixels the same
    whatever was drawn before.
    """
    key = tuple(round(math.log(max(v, 1e-4)) * 100.0 / percent) for v in light.tolist())
    return key, np.exp(np.array(key) * (percent / 100.0))


@lru_cache(maxsize=1)
def _glow() -> np.ndarray:
    axis = (np.arange(129) - 64) / 64
    distance = np.hypot(axis[None], axis[:, None])
    core = np.exp(-((distance / 0.12) ** 2)) + 0.35 * np.exp(-((distance / 0.38) ** 2))
    return (np.clip(1 - distance, 0, 1) ** 0.7 * core / core.max()).astype(np.float32)


def warp_quad(
    canvas: np.ndarray, texture: np.ndarray, quad: np.ndarray, gain: np.ndarray | float = 1.0
) -> None:
    """Warp texture (h, w, 4: BGR 0-255 and alpha 0-1, float32) onto the quad (4, 2) px of canvas.

    Corners in order: top left, top right, bottom right, bottom left of the texture.
    """
    quad = np.asarray(quad, np.float32)
    low = np.floor(quad.min(0)).astype(int) - 1
    high = np.ceil(quad.max(0)).astype(int) + 2
    low = np.maximum(low, 0)
    high = np.minimum(high, [canvas.shape[1], canvas.shape[0]])
    width, height = (high - low).tolist()
    if width <= 1 or height <= 1 or width > 4000 or height > 4000:
        return
    rows, cols = texture.shape[:2]
    span = np.linalg.norm(quad - np.roll(quad, 1, axis=0), axis=1).max()
    while max(rows, cols) > 2.8 * span and min(rows, cols) > 8:
        # warping minifies without a filter: take the texture at half the size instead
        texture = _half(texture)
        rows, cols = texture.shape[:2]
    corners = np.float32([[0, 0], [cols, 0], [cols, rows], [0, rows]])
    matrix = cv2.getPerspectiveTransform(corners, quad - low.astype(np.float32))
    patch = cv2.warpPerspective(
        texture,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0, 0),
    )
    alpha = patch[..., 3]
    colour = patch[..., :3] / np.maximum(alpha, 1e-3)[..., None] * gain
    composite(canvas, colour, alpha, int(low[0]), int(low[1]))


@lru_cache(maxsize=32)
def font(size_px: int, mono: bool = False) -> ImageFont.FreeTypeFont:
    """A face that has Cyrillic, wherever the program runs: the one inside matplotlib."""
    spec = importlib.util.find_spec("matplotlib")  # found, not imported: the import is slow
    if spec is None or spec.origin is None:
        raise SystemExit("samples need matplotlib for its fonts: pip install matplotlib")
    name = "DejaVuSansMono-Bold.ttf" if mono else "DejaVuSans-Bold.ttf"
    path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size_px)


def add_quad(
    canvas: np.ndarray, tile: np.ndarray, quad: np.ndarray, colour_bgr: tuple[float, float, float]
) -> None:
    """Add light of the given colour, shaped by tile (h, w) 0-1, onto the quad (4, 2) px."""
    quad = np.asarray(quad, np.float32)
    low = np.maximum(np.floor(quad.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(quad.max(0)).astype(int) + 1, [canvas.shape[1], canvas.shape[0]])
    width, height = (high - low).tolist()
    if width <= 1 or height <= 1:
        return
    rows, cols = tile.shape
    corners = np.float32([[0, 0], [cols, 0], [cols, rows], [0, rows]])
    matrix = cv2.getPerspectiveTransform(corners, quad - low.astype(np.float32))
    patch = cv2.warpPerspective(tile.astype(np.float32), matrix, (width, height))
    view = canvas[low[1] : high[1], low[0] : high[0]]
    view[:] = cv2.add(view, (patch[..., None] * np.float32(colour_bgr)).astype(np.uint8))
