"""The minibus and the passing cars: side profiles drawn once and extruded across the lane."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .optics import Camera, add_quad, draw_glow, light_step, tone, warp_quad
from .plan import CAR_PASSES, minibus_x
from .scenery import light_at

__all__ = ["MINIBUS_LANE_Z", "MINIBUS_SIZE", "Vehicle", "vehicles_at"]

MINIBUS_LANE_Z = 20.3
MINIBUS_SIZE = (5.4, 2.45, 2.0)  # length, height, width in metres
# points: (x along from the tail, y up), clockwise from the tail's foot; glass: which edges
_MINIBUS = {
    "points": (
        (0.0, 0.35),
        (0.0, 2.2),
        (0.12, 2.42),
        (4.0, 2.45),
        (4.35, 2.36),
        (4.95, 1.35),
        (5.36, 1.15),
        (5.4, 0.35),
    ),
    "glass": (4,),
    "wheels": (0.95, 4.35),
    "length": 5.4,
    "width": 2.0,
    "panes": (
        (0.25, 1.35, 1.35, 2.12),
        (1.5, 1.35, 2.6, 2.12),
        (2.75, 1.35, 3.75, 2.12),
        (3.9, 1.35, 4.6, 2.05),
    ),
}
_CAR = {
    "points": (
        (0.0, 0.35),
        (0.0, 0.92),
        (0.55, 0.98),
        (1.05, 1.42),
        (2.55, 1.45),
        (3.15, 0.98),
        (4.25, 0.86),
        (4.3, 0.35),
    ),
    "glass": (2, 4),
    "wheels": (0.8, 3.45),
    "length": 4.3,
    "width": 1.75,
    "panes": ((0.98, 0.98, 1.75, 1.36), (1.85, 0.98, 2.75, 1.36)),
}


@lru_cache(maxsize=16)
def _side(kind: str, colour_bgr: tuple[float, float, float]) -> np.ndarray:
    """Side view, 100 px a metre: BGR linear albedo x 255 and alpha; the front is at the right."""
    shape = _MINIBUS if kind == "minibus" else _CAR
    ppm, high = 100, 2.6
    width, height = int(shape["length"] * ppm), int(high * ppm)
    picture = np.zeros((height, width, 4), np.float32)

    def place(points: tuple) -> np.ndarray:
        return np.array([[x * ppm, (high - y) * ppm] for x, y in points]).round().astype(np.int32)

    cv2.fillPoly(picture, [place(shape["points"])], (*colour_bgr, 1.0), cv2.LINE_AA)
    rows = np.linspace(1.35, 0.65, height, dtype=np.float32)[:, None, None]
    picture[..., :3] *= rows
    for x0, y0, x1, y1 in shape["panes"]:
        slope = 0.28 if (x1 > shape["length"] * 0.6) else 0.0
        cv2.fillPoly(
            picture,
            [place(((x0, y0), (x0, y1), (x1 - slope, y1), (x1, y0)))],
            (16, 13, 11, 1.0),
            cv2.LINE_AA,
        )
        cv2.line(
            picture,
            place(((x0 + 0.1, y1 - 0.1),))[0].tolist(),
            place(((x1 - 0.35, y1 - 0.1),))[0].tolist(),
            (46, 40, 36, 1.0),
            3,
            cv2.LINE_AA,
        )
    seam = tuple(0.45 * c for c in colour_bgr)
    for x in (1.42, 2.68, 3.82) if kind == "minibus" else (1.8, 2.85):
        cv2.line(
            picture,
            place(((x, 0.5),))[0].tolist(),
            place(((x, 2.2 if kind == "minibus" else 1.0),))[0].tolist(),
            (*seam, 1.0),
            2,
        )
    belt = 1.05 if kind == "minibus" else 0.72
    cv2.line(
        picture,
        place(((0.1, belt),))[0].tolist(),
        place(((shape["length"] - 0.15, belt),))[0].tolist(),
        (*seam, 1.0),
        3,
    )
    for x in shape["wheels"]:
        centre = place(((x, 0.36),))[0].tolist()
        cv2.circle(picture, centre, 44, (6, 6, 6, 1.0), -1, cv2.LINE_AA)
        cv2.circle(picture, centre, 36, (11, 11, 11, 1.0), -1, cv2.LINE_AA)
        cv2.circle(picture, centre, 20, (70, 70, 72, 1.0), -1, cv2.LINE_AA)
        cv2.circle(picture, centre, 8, (22, 22, 22, 1.0), -1, cv2.LINE_AA)
    lamp = place(((shape["length"] - 0.18, 0.85 if kind == "minibus" else 0.72),))[0].tolist()
    cv2.ellipse(picture, lamp, (20, 13), 0, 0, 360, (150, 160, 165, 1.0), -1, cv2.LINE_AA)
    tail = place(((0.08, 1.1 if kind == "minibus" else 0.78),))[0].tolist()
    cv2.ellipse(picture, tail, (9, 24), 0, 0, 360, (14, 12, 110, 1.0), -1, cv2.LINE_AA)
    return picture


@lru_cache(maxsize=1)
def _pool() -> np.ndarray:
    """Headlight pool on the road: the near edge at the left of the tile."""
    x = np.linspace(0, 1, 64)[None]
    y = np.linspace(-1, 1, 48)[:, None]
    spread = 0.25 + 0.75 * x
    return (
        np.exp(-((y / spread) ** 2) * 2.2)
        * np.exp(-3.0 * x)
        * np.clip(x * 9, 0, 1)
        * np.clip(1 - y**6, 0, 1)
    ).astype(np.float32)


_LIT: dict[tuple, np.ndarray] = {}


class Vehicle:
    """One vehicle at one moment: x of its middle, lane, direction, colour, lamps."""

    def __init__(
        self,
        kind: str,
        x: float,
        z: float,
        towards: int,
        colour_bgr: tuple[float, float, float],
        lamps: float,
    ) -> None:
        self.kind, self.x, self.z, self.towards = kind, x, z, towards
        self.colour, self.lamps = colour_bgr, lamps
        self.shape = _MINIBUS if kind == "minibus" else _CAR

    def _world(self, along: float, up: float, across: float) -> tuple[float, float, float]:
        return (self.x + self.towards * (along - self.shape["length"] / 2), up, self.z + across)

    def depth(self, camera: Camera) -> float:
        """Distance along the camera's axis, for drawing order."""
        return float(camera.project(np.array([self.x, 1.0, self.z]))[1])

    def box(self, camera: Camera) -> tuple[float, float, float, float] | None:
        """Bounding box in pixels (x, y, w, h), clipped to the picture; None: out of sight."""
        half = self.shape["width"] / 2
        corners = np.array(
            [
                self._world(a, u, c)
                for a, u in (*self.shape["points"], (0, 0), (self.shape["length"], 0))
                for c in (-half, half)
            ]
        )
        pixels, depth = camera.project(corners)
        if depth.min() < 0.5:
            return None
        low = np.clip(pixels.min(0), 0, [camera.width, camera.height])
        high = np.clip(pixels.max(0), 0, [camera.width, camera.height])
        if (high - low).min() < 4:
            return None
        return (*low.round(1).tolist(), *(high - low).round(1).tolist())

    def draw(self, canvas: np.ndarray, camera: Camera, exposure: float) -> None:
        """Shadow, faces away from the camera first, the near side last, then its lamps."""
        half = self.shape["width"] / 2
        length = self.shape["length"]
        ground = np.array(
            [
                self._world(a, 0.02, c)
                for a, c in (
                    (-0.1, -half - 0.15),
                    (length + 0.1, -half - 0.15),
                    (length + 0.1, half + 0.15),
                    (-0.1, half + 0.15),
                )
            ]
        )
        quad, depth = camera.project(ground)
        shadow = np.zeros((8, 8, 4), np.float32)
        shadow[..., 3] = 0.75
        if depth.min() > 0.5:
            warp_quad(canvas, shadow, quad)
        light, _ = light_at(np.array([self.x, 1.3, self.z - np.sign(self.z - camera.position[2])]))
        points = np.array(self.shape["points"])
        eye = np.array(camera.position)
        along = self.x + self.towards * (points[:, 0] - length / 2)
        edge = np.stack([along, points[:, 1], np.full(len(points), self.z - half)], 1)
        lift = np.array([0.0, 0.0, 2 * half])
        after = np.roll(edge, -1, axis=0)
        corners = np.stack([edge, after, after + lift, edge + lift], 1)
        run = after - edge
        normals = np.stack([run[:, 1], -run[:, 0], np.zeros(len(run))], 1) * -self.towards
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        middles = corners.mean(1)
        shown = ((eye - middles) * normals).sum(1) > 0
        shown[-1] = False  # the underside
        pixels, depth = camera.project(corners)
        far = np.linalg.norm(middles - eye, axis=1)
        spots = np.clip(pixels * 16, -2e6, 2e6).round().astype(np.int32)
        for k in np.argsort(-far):
            if shown[k] and depth[k].min() > 0.5:
                albedo = np.array((15.0, 13.0, 12.0) if k in self.shape["glass"] else self.colour)
                shade = (0.45 + 0.55 * max(0.0, float(normals[k, 1]))) / 255
                colour = tone(albedo * shade * light[::-1] * 3.2, exposure)
                cv2.fillConvexPoly(canvas, spots[k], colour.tolist(), cv2.LINE_AA, 4)
        near = -half if eye[2] < self.z else half
        corners = np.array(
            [
                self._world(0, 2.6, near),
                self._world(length, 2.6, near),
                self._world(length, 0.0, near),
                self._world(0, 0.0, near),
            ]
        )
        pixels, depth = camera.project(corners)
        if depth.min() > 0.5 and abs(eye[2] - self.z) > half:
            step, light = light_step(light)
            key = (self.kind, self.colour, exposure, *step)
            texture = _LIT.get(key)
            if texture is None:
                texture = _side(self.kind, self.colour).copy()
                lit = tone(
                    texture[..., :3]
                    / np.maximum(texture[..., 3:], 1e-3)
                    / 255
                    * np.float32(light[::-1] * 3.0),
                    exposure,
                )
                texture[..., :3] = lit * texture[..., 3:]
                if len(_LIT) > 64:
                    _LIT.clear()
                _LIT[key] = texture
            warp_quad(canvas, texture, pixels)
        self._draw_lamps(canvas, camera, exposure)

    def _draw_lamps(self, canvas: np.ndarray, camera: Camera, exposure: float) -> None:
        if self.lamps <= 0:
            return
        length, half = self.shape["length"], self.shape["width"] / 2
        up = 0.85 if self.kind == "minibus" else 0.72
        pool = np.array(
            [
                self._world(a, 0.0, c)
                for a, c in ((length, -2.2), (length + 11, -2.2), (length + 11, 2.2), (length, 2.2))
            ]
        )
        quad, depth = camera.project(pool)
        if depth.min() > 0.5:
            add_quad(canvas, _pool(), quad, tuple(self.lamps * exposure * v for v in (70, 84, 90)))
        eye = np.array(camera.position)
        for along, colour, wide in ((length, (190, 225, 240), 0.55), (0.0, (20, 20, 150), 0.30)):
            for across in (-half + 0.25, half - 0.25):
                at = np.array(self._world(along, up, across))
                pixel, depth = camera.project(at)
                if depth < 0.8:
                    continue
                view = (eye - at) / np.linalg.norm(eye - at)
                facing = float(view[0] * self.towards * (1 if along > 0 else -1))
                if facing > -0.1:
                    strength = self.lamps * (0.25 + max(0.0, facing)) * min(1.0, 10 / depth + 0.35)
                    draw_glow(
                        canvas,
                        *pixel.tolist(),
                        camera.focal_px * wide / float(depth),
                        tuple(min(255.0, c * strength) for c in colour),
                    )


def vehicles_at(story_s: float) -> list[Vehicle]:
    """Every vehicle on the street at this moment."""
    found = []
    x = float(minibus_x(story_s))
    if -40 < x < 42:
        braking = 1.0 if story_s < 21.0 or story_s > 46.5 else 0.35
        found.append(Vehicle("minibus", x, MINIBUS_LANE_Z, -1, (34.0, 32.0, 30.0), braking))
    for start, speed, lane, colour in CAR_PASSES:
        x = -np.sign(speed) * 42 + speed * (story_s - start)
        if -42 <= x <= 42:
            found.append(
                Vehicle(
                    "car", float(x), lane, int(np.sign(speed)), tuple(float(c) for c in colour), 1.0
                )
            )
    return found
