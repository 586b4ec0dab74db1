"""Who is where, doing what, at any moment; and how a camera sees all of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from .emblems import EMBLEM_ON_SHIELD, shield_back, shield_face
from .layers import Layer
from .optics import Camera, composite, draw_glow, light_step, tone, warp_quad
from .people import STEP, Pose, draw_sprite, joints_of, sprite_of
from .plan import ACTORS, FALLS, LAMPS, SHOTS, Actor
from .scenery import light_at
from .traffic import vehicles_at

__all__ = ["Seen", "Stage", "State", "emblem_quad", "shield_quad"]

RATE = 50.0  # steps a second of the precomputed tracks


@dataclass(frozen=True)
class State:
    """One figure at one moment."""

    role: str
    look: str
    x: float
    z: float
    heading_deg: float
    height_m: float
    pose: Pose


@dataclass
class Seen:
    """What a drawn frame holds of interest: boxes in its own pixels."""

    emblems: list[tuple[str, list[list[float]]]]
    vehicles: list[tuple[str, tuple[float, float, float, float]]]


class _Track:
    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        times = np.array([w[0] for w in actor.waypoints])
        self.first, self.last = float(times[0]), float(times[-1])
        grid = np.arange(0.0, 66.0 + 1 / RATE, 1 / RATE)
        inside = np.clip(grid, self.first, self.last)
        path = np.array([(w[1], w[2]) for w in actor.waypoints])
        place = PchipInterpolator(times, path)(inside)
        place = gaussian_filter1d(place, 0.22 * RATE, axis=0, mode="nearest")
        step = np.gradient(place, 1 / RATE, axis=0)
        speed = np.hypot(step[:, 0], step[:, 1])
        moving = np.unwrap(np.arctan2(step[:, 0], step[:, 1]))
        stands = speed < 0.18
        heading = np.degrees(moving)
        for since, degrees in actor.facing_deg:
            heading[stands & (grid >= since)] = degrees
        vector = np.exp(1j * np.radians(heading))
        held = np.where(stands & (not actor.facing_deg), np.nan, 1.0)
        known = np.flatnonzero(~np.isnan(held))
        if len(known):  # somebody who stops keeps looking where they went
            vector = vector[
                known[np.clip(np.searchsorted(known, np.arange(len(grid))), 0, len(known) - 1)]
            ]
        heading = np.degrees(np.angle(gaussian_filter1d(vector, 0.25 * RATE, mode="nearest")))
        stride = np.where(speed > 2.4, 2.3, 1.35) * actor.height_m / 1.75
        self.own = hash_of(actor.role) % 7 / 7
        self.phase = np.cumsum(speed / RATE / stride) % 1.0
        self.place, self.speed, self.heading = place, speed, heading

    def at(self, story_s: float) -> State | None:
        actor = self.actor
        if not self.first <= story_s <= self.last:
            return None
        k = min(len(self.speed) - 1, round(story_s * RATE))
        speed = float(self.speed[k])
        action, begun = "", 0.0
        for since, name in actor.actions:
            if story_s >= since:
                action, begun = name, since
        phase = int(self.phase[k] * STEP) % STEP
        arms = {"shield": "shield", "aim": "aim", "film": "film"}.get(action, "free")
        sway = int((story_s * 0.23 + self.own) * STEP) % STEP
        fell, done = FALLS.get(actor.role), story_s - begun
        if fell is not None and story_s >= fell:
            seated = action == "sit"
            pose = Pose("lie" if seated else "topple", 0 if seated else hash_of(actor.role) % 4,
                        int(np.clip((story_s - fell) / 0.95, 0, 1) * 12))  # fmt: skip
        elif action == "crouch" or (action == "sit" and begun > self.first and done < 0.5):
            pose = Pose("crouch", 0, round(12 * min(1.0, done / 0.5)))
        elif action == "bend":
            pose = Pose("bend", 0, round(12 * np.sin(np.pi * min(1.0, done / 1.6))))
        elif action == "sit":
            pose = Pose("sit", sway)
        elif speed > 2.4 and action == "run":
            pose = Pose("run", phase)
        elif speed > 0.18:
            pose = Pose("walk", phase, 12 if speed > 0.75 else 7, arms)
        else:
            pose = Pose("stand", sway // 2 * 2, 12, arms)
        return State(
            actor.role,
            actor.look,
            float(self.place[k, 0]),
            float(self.place[k, 1]),
            float(self.heading[k]),
            actor.height_m,
            pose,
        )


def hash_of(text: str) -> int:
    """A small number from a name, the same in every run."""
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(text))


def _body_to_world(state: State, points: np.ndarray) -> np.ndarray:
    angle = np.radians(state.heading_deg)
    size = state.height_m / 1.75
    x = points[:, 0] * np.cos(angle) + points[:, 2] * np.sin(angle)
    z = -points[:, 0] * np.sin(angle) + points[:, 2] * np.cos(angle)
    return np.stack([state.x + size * x, size * points[:, 1], state.z + size * z], 1)


def shield_quad(state: State) -> np.ndarray:
    """World corners of the shield's face: top left, top right, bottom right, bottom left."""
    joint = joints_of(state.pose)
    grip = joint["hand_l"]
    wide, tall, top = 0.31, 1.05, 0.42
    centre = np.array([grip[0] + 0.10, grip[1], grip[2] + 0.07])
    corners = [
        (wide, top, 0.02),
        (-wide, top, 0.02),
        (-wide, top - tall, -0.06),
        (wide, top - tall, -0.06),
    ]
    return _body_to_world(state, centre + np.array(corners))


def emblem_quad(face: np.ndarray) -> np.ndarray:
    """The emblem's square within a shield face given by its corners (world or any plane)."""
    top_left, top_right, bottom_right, bottom_left = np.asarray(face, float)
    spots = []
    for u, v in ((54, 246), (306, 246), (306, 498), (54, 498)):
        across, down = u / 360.0, v / 620.0
        top = top_left + across * (top_right - top_left)
        low = bottom_left + across * (bottom_right - bottom_left)
        spots.append(top + down * (low - top))
    return np.array(spots)


class Stage:
    """The moving world, drawn through any camera."""

    def __init__(self, seed: int, actors: tuple[Actor, ...] = ACTORS, street: bool = True) -> None:
        self.seed, self.street = seed, street
        self.tracks = [_Track(actor) for actor in actors]
        self._shields: dict[tuple, np.ndarray] = {}

    def states(self, story_s: float) -> list[State]:
        """All figures present at this moment."""
        return [s for s in (track.at(story_s) for track in self.tracks) if s is not None]

    def state(self, role: str, story_s: float) -> State | None:
        """One figure by role."""
        return next((t.at(story_s) for t in self.tracks if t.actor.role == role), None)

    def draw(
        self,
        canvas: np.ndarray,
        camera: Camera,
        layers: list[Layer],
        story_s: float,
        *,
        exposure: float,
        without: str = "",
        shutter_s: float = 0.04,
        origin: tuple[int, int] = (0, 0),
    ) -> Seen:
        """Draw figures, vehicles and the layers among them onto canvas (uint8 BGR), far to near."""
        seen = Seen([], [])
        jobs: list[tuple[float, str, object]] = []
        moving: list[tuple[float, float, float, float, float]] = []  # depth, left, top, right, low
        for state in self.states(story_s):
            if state.role != without:
                spot, depth = camera.project(
                    np.array([[state.x, 0, state.z], [state.x, state.height_m, state.z]])
                )
                slack = camera.focal_px / max(float(depth[0]), 0.3)
                if (
                    depth.min() > 0.9
                    and -slack < spot[0, 0] < camera.width + slack
                    and spot[1, 1] < camera.height
                    and spot[0, 1] > -slack
                ):
                    jobs.append((float(depth[0]), "figure", state))
                    moving.append(
                        (
                            float(depth[0]),
                            spot[0, 0] - 0.9 * slack,
                            spot[1, 1] - 0.6 * slack,
                            spot[0, 0] + 0.9 * slack,
                            spot[0, 1] + 0.6 * slack,
                        )
                    )
        vehicles = vehicles_at(story_s) if self.street else []
        for vehicle in vehicles:
            box = vehicle.box(camera)
            if box is not None:
                jobs.append((vehicle.depth(camera), "vehicle", vehicle))
                moving.append((jobs[-1][0], box[0], box[1], box[0] + box[2], box[1] + box[3]))
                seen.vehicles.append((vehicle.kind, box))
        for layer in layers:
            x, y = layer.x - origin[0], layer.y - origin[1]
            high, wide = layer.alpha.shape
            if x >= canvas.shape[1] or y >= canvas.shape[0] or x + wide <= 0 or y + high <= 0:
                continue
            # a still layer is in the background already: again only where it hides what moves
            if layer.sways or any(
                far > layer.depth and left < x + wide and right > x and top < y + high and low > y
                for far, left, top, right, low in moving
            ):
                jobs.append((layer.depth, "layer", layer))
        for _, kind, thing in jobs:
            if kind == "figure":
                self._shadow(canvas, camera, thing)
        for _, kind, thing in sorted(jobs, key=lambda job: -job[0]):
            if kind == "layer":
                self._layer(canvas, thing, story_s, origin)
            elif kind == "vehicle":
                thing.draw(canvas, camera, exposure)
            else:
                self._figure(canvas, camera, thing, exposure, seen)
        for x, y, z, strength, colour in LAMPS:
            pixel, depth = camera.project(np.array([x, y, z]))
            if depth > 0.5:
                radius = camera.focal_px * (1.9 if strength > 10 else 0.9) / float(depth)
                draw_glow(canvas, *pixel.tolist(), radius, tuple(235 * c for c in colour[::-1]))
        if self.street:
            self._flash(canvas, camera, story_s, shutter_s)
        return seen

    def _layer(
        self, canvas: np.ndarray, layer: Layer, story_s: float, origin: tuple[int, int]
    ) -> None:
        patch, alpha = layer.patch, layer.alpha
        if layer.sways:  # wind: a gust that never repeats exactly, more at the top
            size = alpha.shape[0]
            own = layer.depth + layer.x * 0.013
            gust = (
                np.sin(story_s * 0.9 + own)
                + 0.6 * np.sin(story_s * 2.137 + 2 * own)
                + 0.35 * np.sin(story_s * 4.71 + 3 * own)
            )
            lift = 0.5 * np.sin(story_s * 1.7 + own)
            push = gust * 0.006
            matrix = np.float32(
                [
                    [1 + push * 0.3, -push * 1.4, push * size * 1.2],
                    [0, 1 + lift * 0.004, -lift * 0.004 * size],
                ]
            )
            flags = cv2.INTER_LINEAR
            patch = cv2.warpAffine(
                patch, matrix, (alpha.shape[1], size), flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
            alpha = cv2.warpAffine(alpha, matrix, (alpha.shape[1], size), flags=flags)
        composite(canvas, patch, alpha, layer.x - origin[0], layer.y - origin[1])

    def _shadow(self, canvas: np.ndarray, camera: Camera, state: State) -> None:
        foot = np.array([state.x, 0.0, state.z])
        tall = state.height_m * (0.5 if state.pose.mode in ("sit", "lie") else 0.95)
        nearby = sorted(
            (float(np.hypot(x - state.x, z - state.z)), x, y, z)
            for x, y, z, strength, _ in LAMPS
            if strength > 10
        )
        for distance, x, y, z in nearby[:1]:
            reach = np.array([x, 0, z]) - foot
            if distance > 11:
                continue
            away = -reach / max(distance, 0.3)
            length = min(5.0, distance * tall / (y - tall) + 0.15)
            side = np.array([away[2], 0, -away[0]]) * 0.20
            tip = foot + away * length
            quad, depth = camera.project(
                np.array([foot - side, tip - 1.3 * side, tip + 1.3 * side, foot + side])
            )
            if depth.min() < 0.7:
                continue
            weight = 0.50 * min(1.0, 36.0 / (distance**2 + y * y))
            low = np.floor(quad.min(0)).astype(int) - 6
            high = np.ceil(quad.max(0)).astype(int) + 6
            low = np.maximum(low, 0)
            high = np.minimum(high, [canvas.shape[1], canvas.shape[0]])
            if (high - low).min() < 2 or (high - low).max() > 1500:
                continue
            mask = np.zeros((high - low)[::-1], np.uint8)
            cv2.fillConvexPoly(
                mask, ((quad - low) * 16).round().astype(np.int32), int(255 * weight), cv2.LINE_8, 4
            )
            mask = cv2.blur(mask, (7, 7))
            view = canvas[low[1] : high[1], low[0] : high[0]]
            view[:] = cv2.multiply(
                view, cv2.cvtColor(255 - mask, cv2.COLOR_GRAY2BGR), scale=1 / 255
            )

    def _figure(
        self, canvas: np.ndarray, camera: Camera, state: State, exposure: float, seen: Seen
    ) -> None:
        eye = np.array(camera.position)
        at = np.array([state.x, 1.0 * state.height_m / 1.75, state.z])
        gaze = at - eye
        flat = float(np.hypot(gaze[0], gaze[2]))
        view_deg = float(np.degrees(np.arctan2(gaze[0], gaze[2])))
        elevation = float(np.degrees(np.arctan2(-gaze[1], flat)))
        middle, depth = camera.project(at)
        scale = camera.focal_px / float(depth) * state.height_m / 1.75
        light, lamp = light_at(at + np.array([0, 0.2, 0]))
        toward = -gaze / np.linalg.norm(gaze)
        right = np.array([np.cos(np.radians(view_deg)), 0, -np.sin(np.radians(view_deg))])
        local = np.array([lamp @ right, lamp[1], lamp @ toward])
        sprite = sprite_of(
            self.seed, state.look, state.pose, state.heading_deg - view_deg, elevation, scale, local
        )
        rise = scale * np.cos(np.radians(elevation)) * 1.0  # ground point from the body's middle
        box = None

        def body() -> None:
            nonlocal box
            box = draw_sprite(
                canvas, sprite, float(middle[0]), float(middle[1]) + rise, scale, light, exposure
            )

        if state.pose.arms != "shield":
            body()
            return
        corners = shield_quad(state)
        quad, near = camera.project(corners)
        face_on = _area(quad) > 0
        if near.mean() > depth:
            self._shield(canvas, state, quad, near, face_on, light, exposure)
            body()
        else:
            body()
            self._shield(canvas, state, quad, near, face_on, light, exposure)
            if face_on and state.role in EMBLEM_ON_SHIELD and near.min() > 0.5:
                patch, _ = camera.project(emblem_quad(corners))
                seen.emblems.append((EMBLEM_ON_SHIELD[state.role], patch.round(1).tolist()))

    def _shield(
        self,
        canvas: np.ndarray,
        state: State,
        quad: np.ndarray,
        near: np.ndarray,
        face_on: bool,
        light: np.ndarray,
        exposure: float,
    ) -> None:
        if near.min() < 0.5:
            return
        if not face_on:
            quad = quad[[1, 0, 3, 2]]
        step, light = light_step(light, 15.0)
        key = (state.role, face_on, exposure, *step)
        lit = self._shields.get(key)
        if lit is None:
            make = shield_face if face_on else shield_back
            texture = make(self.seed, state.role)
            lit = texture.copy()
            albedo = (texture[..., :3] / 255.0) ** 2
            lit[..., :3] = tone(albedo * np.float32(light[::-1] * 2.4), exposure) * texture[..., 3:]
            if len(self._shields) > 64:
                self._shields.clear()
            self._shields[key] = lit
        warp_quad(canvas, lit, quad)

    def _flash(self, canvas: np.ndarray, camera: Camera, story_s: float, shutter_s: float) -> None:
        for shot_s, role in SHOTS:
            age = story_s + shutter_s - shot_s  # how long ago, when the shutter closes
            strength = (
                1.0 if 0 <= age < shutter_s else 0.16 if shutter_s <= age < 2 * shutter_s else 0
            )
            state = self.state(role, story_s) if strength else None
            if state is None:
                continue
            joint = joints_of(Pose("stand", 0, 12, "aim"))
            muzzle = _body_to_world(state, joint["muzzle"][None] + [[0, 0.0, 0.15]])[0]
            pixel, depth = camera.project(muzzle)
            if depth < 0.5:
                continue
            unit = camera.focal_px / float(depth)
            draw_glow(
                canvas, *pixel.tolist(), unit * 1.1, tuple(strength * v for v in (200, 235, 255))
            )
            reach = int(unit * 7)
            x0, y0 = int(pixel[0]) - reach, int(pixel[1]) - reach
            left, top = max(0, x0), max(0, y0)
            right = min(canvas.shape[1], x0 + 2 * reach)
            bottom = min(canvas.shape[0], y0 + 2 * reach)
            if right <= left or bottom <= top:
                continue
            ys, xs = np.mgrid[top:bottom, left:right].astype(np.float32)
            square = ((xs - pixel[0]) ** 2 + ((ys - pixel[1]) * 1.6) ** 2) / unit**2
            gain = 1 + strength * 1.5 / (1 + square * 0.6) * np.clip(1 - square / 40, 0, 1)
            view = canvas[top:bottom, left:right]
            view[:] = cv2.multiply(view, np.repeat(gain[..., None], 3, 2), dtype=cv2.CV_8U)


def _area(quad: np.ndarray) -> float:
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = quad.tolist()
    return (cx - ax) * (dy - by) - (dx - bx) * (cy - ay)
