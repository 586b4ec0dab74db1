"""Figures: a skeleton with a gait, drawn as textured, shaded limbs into sprites that are reused.

Body frame: x to the figure's own right, y up, z forward, metres at a height of 1.75 m. Limbs are
cylinders with a texture around them, so that a figure turning shows its back; nobody has a face
that could be anybody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from .looks import COLUMNS, ROWS, look_textures
from .optics import composite, light_step, tone

__all__ = ["Pose", "Sprite", "draw_sprite", "joints_of", "sprite_of"]

STEP = 16  # gait phases kept
TURN = 18.0  # degrees between the views kept


@dataclass(frozen=True)
class Pose:
    """What a figure does, in the steps that sprites are kept for."""

    mode: str  # walk, run, stand, sit, lie, topple, crouch, bend
    phase: int = 0  # 0..STEP-1; topple: towards which side, in quarter turns
    amount: int = 12  # stride (walk), or how far fallen, crouched or bent, in twelfths
    arms: str = "free"  # free, shield, aim, film, fend


@lru_cache(maxsize=1024)
def joints_of(pose: Pose) -> dict[str, np.ndarray]:
    """Joint positions in the body frame."""
    phi = 2 * np.pi * pose.phase / STEP
    run = pose.mode == "run"
    still = pose.mode not in ("walk", "run")
    if pose.mode in ("topple", "crouch", "bend"):
        phi = 0.0
    amount = pose.amount / 12 if pose.mode == "walk" else 1.0
    swing = np.radians(40 if run else 25) * amount * (not still)
    bend = np.radians(75 if run else 46) * amount * (not still)
    lean = np.radians(16 if run else 3.5 * (not still))
    sway = 0.012 * np.sin(phi) if still else 0.0
    joint: dict[str, np.ndarray] = {}
    pelvis = np.array([sway, 0.92, 0.0])
    if pose.mode in ("sit", "lie"):
        pelvis = np.array([0.0, 0.50, -0.12])
    trunk = np.array([0.4 * sway, np.cos(lean), np.sin(lean)])
    if pose.mode == "sit":
        trunk = np.array([0.3 * sway, 0.97, 0.16 + 0.4 * sway])
    low = pose.amount / 12
    if pose.mode in ("crouch", "bend"):
        lean = np.radians(38 if pose.mode == "crouch" else 82) * low
        trunk = np.array([0.0, np.cos(lean), np.sin(lean)])
    neck = pelvis + 0.50 * trunk
    twist = np.radians(9) * np.sin(phi) * (not still)
    across = np.array([np.cos(twist), 0.0, np.sin(twist)])
    for side, name in ((1.0, "r"), (-1.0, "l")):
        own = phi + (0.0 if side > 0 else np.pi)
        thigh = swing * np.sin(own) + (np.radians(8) if run else 0.0)
        knee = np.radians(4) + bend * max(0.0, np.sin(own + 1.25)) ** 1.5
        if pose.mode == "sit":
            thigh, knee = np.radians(82), np.radians(84)
        elif pose.mode == "lie":
            thigh, knee = np.radians(62 - 25 * side), np.radians(70 - 18 * side)
        elif pose.mode == "crouch":
            thigh, knee = np.radians(98) * low, np.radians(140) * low
        elif pose.mode == "topple":  # the knees give way, then straighten on the ground
            thigh = np.radians(55 + 10 * side) * np.sin(np.pi * min(low, 0.85))
            knee = 1.5 * thigh
        hip = pelvis + np.array([side * 0.095, 0.0, 0.0])
        spread = side * (0.035 if still else 0.012)
        knee_at = hip + 0.43 * np.array([spread, -np.cos(thigh), np.sin(thigh)])
        ankle = knee_at + 0.42 * np.array([spread, -np.cos(thigh - knee), np.sin(thigh - knee)])
        tilt = (thigh - knee) * 0.7
        joint[f"hip_{name}"], joint[f"knee_{name}"] = hip, knee_at
        joint[f"ankle_{name}"] = ankle
        joint[f"toe_{name}"] = ankle + 0.20 * np.array(
            [side * 0.15, np.sin(tilt) - 0.22, np.cos(tilt)]
        )
        shoulder = neck + side * 0.172 * across + [0.0, -0.055, 0.0]
        upper = -0.85 * swing * np.sin(own) + np.radians(4)
        elbow = np.radians(80 if run else 16)
        out = 0.13
        if pose.arms == "shield" and side < 0:
            upper, elbow, out = np.radians(38), np.radians(62), 0.05
        elif pose.arms == "shield":
            upper, elbow = upper * 0.5, np.radians(28)
        elif pose.arms == "aim":
            upper, elbow, out = np.radians(80), np.radians(8), -0.30
        elif pose.arms == "film" and side > 0:
            upper, elbow, out = np.radians(62), np.radians(72), -0.15
        elif pose.mode == "sit":
            upper, elbow, out = np.radians(28), np.radians(48), 0.0
        elif pose.mode == "lie":
            upper, elbow, out = np.radians(60 + 40 * side), np.radians(30), 0.1
        elbow_at = shoulder + 0.28 * np.array([side * out, -np.cos(upper), np.sin(upper)])
        fore = upper + elbow
        hand = elbow_at + 0.27 * np.array([-side * out * 0.6, -np.cos(fore), np.sin(fore)])
        joint[f"shoulder_{name}"], joint[f"elbow_{name}"] = shoulder, elbow_at
        joint[f"hand_{name}"] = hand
    joint["pelvis"], joint["neck"] = pelvis, neck
    joint["head"] = neck + np.array([0.3 * sway, 0.165, 0.035 + 0.05 * np.sin(lean)])
    if pose.arms == "aim":
        muzzle = joint["hand_r"] + np.array([0.0, 0.05, 0.24])
        joint["muzzle"] = muzzle
    if pose.mode == "lie":
        _topple(joint, pose.amount / 12)
    elif pose.mode == "topple":
        _keel(joint, low, pose.phase)
    elif pose.mode != "sit":
        drop = 0.085 - min(joint["ankle_r"][1], joint["ankle_l"][1])
        for name, at in joint.items():
            joint[name] = at + np.array([0.0, drop, 0.0])
    return joint


def _topple(joint: dict[str, np.ndarray], fallen: float) -> None:
    """Slide forward off the bench and over to the right, in place."""
    eased = fallen * fallen * (3 - 2 * fallen)
    angle = np.radians(86) * eased
    cosine, sine = np.cos(angle), np.sin(angle)
    for name, at in joint.items():
        x, y, z = at
        joint[name] = np.array(
            [x * cosine + y * sine, -x * sine + y * cosine, z * (1 - 0.25 * eased) + 0.50 * eased]
        )
    lowest = min(at[1] for at in joint.values())
    lift = np.array([0.0, 0.09 - lowest if eased > 0.15 or lowest < 0.09 else 0.0, 0.0])
    for name, at in joint.items():
        joint[name] = at + lift


def _keel(joint: dict[str, np.ndarray], fallen: float, quarter: int) -> None:
    """From standing to lying, about the feet, faster and faster as weight falls."""
    angle, turn = np.radians(85) * fallen**2, np.radians(90.0 * quarter)
    drop = 0.085 - min(joint["ankle_r"][1], joint["ankle_l"][1])
    towards = np.array([np.sin(turn), 0.0, np.cos(turn)])
    for name, at in joint.items():
        high = at[1] + drop
        joint[name] = np.array([at[0], 0.0, at[2]]) + high * np.sin(angle) * towards
        joint[name][1] = max(0.09, high * np.cos(angle))


# limb: from, to, radius (m), profile of relative radius along it, texture, flattening seen sideways
_LIMBS = (
    ("shin_r", "knee_r", "ankle_r", 0.062, "limb", "leg", 1.0),
    ("shin_l", "knee_l", "ankle_l", 0.062, "limb", "leg", 1.0),
    ("thigh_r", "hip_r", "knee_r", 0.088, "limb", "leg", 1.0),
    ("thigh_l", "hip_l", "knee_l", 0.088, "limb", "leg", 1.0),
    ("foot_r", "ankle_r", "toe_r", 0.052, "even", "boot", 1.0),
    ("foot_l", "ankle_l", "toe_l", 0.052, "even", "boot", 1.0),
    ("trunk", "neck", "pelvis", 0.205, "trunk", "trunk", 0.66),
    ("throat", "head", "neck", 0.060, "even", "skin", 1.0),
    ("head", "head", "neck", 0.112, "head", "head", 1.08),
    ("upper_r", "shoulder_r", "elbow_r", 0.064, "limb", "arm", 1.0),
    ("upper_l", "shoulder_l", "elbow_l", 0.064, "limb", "arm", 1.0),
    ("fore_r", "elbow_r", "hand_r", 0.050, "limb", "arm", 1.0),
    ("fore_l", "elbow_l", "hand_l", 0.050, "limb", "arm", 1.0),
    ("palm_r", "hand_r", "hand_r", 0.046, "ball", "hand", 1.0),
    ("palm_l", "hand_l", "hand_l", 0.046, "ball", "hand", 1.0),
    ("gun", "hand_r", "muzzle", 0.022, "even", "gun", 1.0),
    ("gadget", "hand_r", "hand_r", 0.060, "ball", "gadget", 1.0),
)
# (along: 0 at the first joint, 1 at the second, radius relative to the limb's)
_PROFILES = {
    "limb": (
        (-0.17, 0.0),
        (-0.12, 0.66),
        (0.0, 1.0),
        (0.35, 0.98),
        (0.85, 0.74),
        (1.0, 0.70),
        (1.08, 0.5),
        (1.13, 0.0),
    ),
    "even": ((-0.35, 0.0), (-0.22, 0.8), (0.0, 1.0), (1.0, 0.85), (1.18, 0.6), (1.28, 0.0)),
    "trunk": (
        (-0.14, 0.25),
        (-0.06, 0.34),
        (0.02, 0.72),
        (0.09, 1.0),
        (0.3, 1.0),
        (0.62, 0.84),
        (0.8, 0.80),
        (1.0, 0.90),
        (1.16, 0.82),
        (1.26, 0.0),
    ),
    "head": (
        (-0.82, 0.0),
        (-0.72, 0.55),
        (-0.5, 0.86),
        (-0.15, 1.0),
        (0.2, 0.96),
        (0.5, 0.74),
        (0.68, 0.45),
        (0.75, 0.0),
    ),
    "ball": ((-1.0, 0.0), (-0.7, 0.7), (0.0, 1.0), (0.7, 0.7), (1.0, 0.0)),
}


@lru_cache(maxsize=256)
def _shape(profile: str, width: int, height: int) -> tuple[np.ndarray, ...]:
    """Cover, across coordinate -1..1 and depth of the normal of a limb's tile, and its rows."""
    table = np.array(_PROFILES[profile])
    along = np.linspace(table[0, 0], table[-1, 0], height)
    radius = np.maximum(np.interp(along, table[:, 0], table[:, 1]), 1e-3)[:, None]
    u = np.linspace(-1, 1, width)[None]
    cover = np.clip((radius - np.abs(u)) * width * 0.5 + 0.5, 0, 1).astype(np.float32)
    across = np.clip(u / radius, -0.995, 0.995).astype(np.float32)
    normal = np.sqrt(1 - across**2).astype(np.float32)
    rows = np.clip((along - table[0, 0]) / (table[-1, 0] - table[0, 0]) * ROWS, 0, ROWS - 1)
    return cover, across, normal, np.arcsin(across), rows.astype(np.intp)[:, None]


@dataclass
class Sprite:
    """A drawn figure: albedo times shading (linear BGR), cover, the ground point, its scale."""

    colour: np.ndarray
    alpha: np.ndarray
    anchor: tuple[float, float]
    scale: float  # pixels a metre it was drawn at
    kept: tuple[tuple, np.ndarray] | None = None

    def lit(self, light: np.ndarray, exposure: float) -> np.ndarray:
        """The picture (uint8 BGR and cover) in this light (linear RGB)."""
        step, light = light_step(light, 6.0 if self.scale < 90 else 12.0)
        key = (exposure, *step)
        if self.kept is None or self.kept[0] != key:
            picture = np.empty((*self.alpha.shape, 4), np.uint8)
            picture[..., :3] = tone(self.colour * np.float32(light[::-1] * 3.2), exposure)
            picture[..., 3] = self.alpha * 255
            self.kept = (key, picture)
        return self.kept[1]


class _Shelf(dict):
    """Sprites kept for reuse; when they grow past 300 MB together, the oldest go."""

    held_bytes = 0

    def keep(self, key: tuple, sprite: Sprite) -> None:
        self[key] = sprite
        self.held_bytes += sprite.alpha.size * 16
        while self.held_bytes > 300e6 and len(self) > 1:
            self.held_bytes -= self.pop(next(iter(self))).alpha.size * 16


_SPRITES = _Shelf()


def sprite_of(
    seed: int,
    look: str,
    pose: Pose,
    azimuth_deg: float,
    elevation_deg: float,
    scale: float,
    lamp: np.ndarray,
) -> Sprite:
    """The nearest kept view of this look and pose; drawn once, on first use.

    azimuth_deg: heading against the viewing direction (0: walks away, 180: towards the camera);
    scale: pixels a metre; lamp: direction to the light in the camera's right, up, towards-us.
    """
    if scale < 60 and pose.mode in ("walk", "run"):
        azimuth_deg = round(azimuth_deg / 36.0) * 36.0
    turn = round(azimuth_deg / TURN) % int(360 / TURN)
    tilt = round(elevation_deg / 12.0)
    level = int(np.ceil(np.log(max(scale, 4.0)) / np.log(1.5) - (0.15 if scale < 90 else 0.6)))
    sector = round(np.degrees(np.arctan2(lamp[0], lamp[2])) / 60.0) % 6
    key = (seed, look, pose, turn, tilt, level, sector)
    found = _SPRITES.get(key)
    if found is None:
        side = np.radians(sector * 60.0)
        direction = np.array([np.sin(side) * 0.8, 0.6, np.cos(side) * 0.8])
        found = _draw(seed, look, pose, turn * TURN, tilt * 12.0, 1.5**level, direction)
        _SPRITES.keep(key, found)
    return found


def _draw(
    seed: int,
    look: str,
    pose: Pose,
    azimuth_deg: float,
    elevation_deg: float,
    scale: float,
    lamp: np.ndarray,
) -> Sprite:
    joint = joints_of(pose)
    azimuth, tilt = np.radians([azimuth_deg, elevation_deg])
    textures = look_textures(seed, look)
    fine = 2 if scale < 60 else 1
    unit = scale * fine
    names = list(joint)
    body = np.array([joint[name] for name in names])
    right = body[:, 0] * np.cos(azimuth) + body[:, 2] * np.sin(azimuth)
    away = -body[:, 0] * np.sin(azimuth) + body[:, 2] * np.cos(azimuth)
    up = body[:, 1] * np.cos(tilt) + away * np.sin(tilt)
    depth = away * np.cos(tilt) - body[:, 1] * np.sin(tilt)
    margin = 0.30
    x0, y0 = right.min() - margin, up.max() + margin
    width = int(np.ceil((right.max() - right.min() + 2 * margin) * unit / fine)) * fine
    height = int(np.ceil((up.max() - up.min() + 2 * margin) * unit / fine)) * fine
    spot = {n: np.array([(right[i] - x0) * unit, (y0 - up[i]) * unit]) for i, n in enumerate(names)}
    deep = dict(zip(names, depth, strict=True))
    facing = np.arctan2(np.sin(azimuth), -np.cos(azimuth))
    sideways = abs(np.sin(azimuth))
    bulk = 1.0 if look.startswith("civil") else 1.08
    picture = np.zeros((height, width, 4), np.float32)
    limbs = []
    for name, first, second, radius, profile, texture, flat in _LIMBS:
        if first not in spot or second not in spot:
            continue
        if name == "gadget" and pose.arms != "film":
            continue
        if scale < 40 and name in ("throat", "palm_r", "palm_l"):
            continue  # less than two pixels
        nearness = 0.5 * (deep[first] + deep[second])
        if name.startswith(("fore", "palm", "gun", "gadget")):
            nearness -= 0.03
        if name == "head":
            nearness -= 0.02
        if name == "trunk" and pose.mode == "sit":
            nearness += 0.02
        limbs.append((nearness, name, first, second, radius, profile, texture, flat))
    for _, name, first, second, radius, profile, texture, flat in sorted(limbs, reverse=True):
        if name == "head" and textures.get("helmet") is not None:
            radius *= 1.28
        if name.startswith(("trunk", "upper", "fore", "thigh")):
            radius *= bulk
        wide = radius * (1 - (1 - flat) * sideways) * unit
        _limb(
            picture,
            spot[first],
            spot[second],
            wide,
            profile,
            textures[texture],
            facing,
            lamp,
            radius * unit,
        )
    if fine > 1:
        picture = cv2.resize(picture, (width // fine, height // fine), interpolation=cv2.INTER_AREA)
    alpha = np.clip(picture[..., 3], 0, 1)
    colour = picture[..., :3] / np.maximum(alpha, 1e-3)[..., None]
    return Sprite(
        colour.astype(np.float16), alpha.astype(np.float32), (-x0 * scale, y0 * scale), scale
    )


def _limb(
    picture: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    wide: float,
    profile: str,
    texture: np.ndarray,
    facing: float,
    lamp: np.ndarray,
    radius: float,
) -> None:
    table = _PROFILES[profile]
    vector = end - start
    length = float(np.hypot(*vector))
    along = vector / length if length > 1e-6 else np.array([0.0, 1.0])
    if profile in ("ball", "even", "head"):
        length = max(length, radius if profile != "head" else 1.35 * radius)
    elif length < 1.2 * radius:  # seen end on
        length = 1.2 * radius
    across = np.array([along[1], -along[0]])
    lead, trail = -table[0][0] * length, table[-1][0] * length
    if profile == "ball":
        lead = trail = radius
    span = lead + trail
    columns = 8 if wide < 5 else 16 if wide < 14 else 40
    rows = 12 if span < 16 else 24 if span < 60 else 72
    cover, u, normal, angle, row = _shape(profile, columns, rows)
    column = ((facing - angle) * (COLUMNS / (2 * np.pi)) + COLUMNS / 2).astype(np.intp)
    shade = u * np.float32(across[0] * lamp[0] - across[1] * lamp[1])
    shade += normal * np.float32(lamp[2])
    shade += np.float32(0.30 * lamp[1])
    np.maximum(shade, 0, out=shade)
    shade *= np.float32(0.95)
    shade += np.float32(0.30)
    shade *= cover
    tile = np.empty((rows, columns, 4), np.float32)
    np.multiply(texture[row, column & (COLUMNS - 1)], shade[..., None], out=tile[..., :3])
    tile[..., 3] = cover
    matrix = np.empty((2, 3))
    matrix[:, 0] = across * (2 * wide / columns)
    matrix[:, 1] = along * (span / rows)
    matrix[:, 2] = start - along * lead - across * wide
    corners = matrix @ np.array([[0, columns, columns, 0], [0, 0, rows, rows], [1, 1, 1, 1]])
    low = np.maximum(np.floor(corners.min(1)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(1)).astype(int) + 1, picture.shape[1::-1])
    width, height = (high - low).tolist()
    if width <= 0 or height <= 0:
        return
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5 - low
    patch = cv2.warpAffine(tile, matrix, (width, height), flags=cv2.INTER_LINEAR)
    view = picture[low[1] : high[1], low[0] : high[0]]
    view *= (1 - patch[..., 3])[..., None]
    view += patch


def draw_sprite(
    canvas: np.ndarray,
    sprite: Sprite,
    x: float,
    y: float,
    scale: float,
    light: np.ndarray,
    exposure: float,
) -> tuple[int, int, int, int] | None:
    """Place a sprite with its ground point at x, y; returns the box (x, y, w, h) it covers."""
    ratio = scale / sprite.scale
    height, width = sprite.alpha.shape
    left, top = x - sprite.anchor[0] * ratio, y - sprite.anchor[1] * ratio
    x0, y0 = int(np.floor(left)), int(np.floor(top))
    out = (int(width * ratio) + 2, int(height * ratio) + 2)
    if x0 > canvas.shape[1] or y0 > canvas.shape[0] or x0 + out[0] < 0 or y0 + out[1] < 0:
        return None
    skip = (max(0, -x0), max(0, -y0))  # only what is inside the picture
    x0, y0 = x0 + skip[0], y0 + skip[1]
    out = (min(out[0] - skip[0], canvas.shape[1] - x0), min(out[1] - skip[1], canvas.shape[0] - y0))
    if out[0] < 1 or out[1] < 1:
        return None
    matrix = np.array([[ratio, 0, left - x0], [0, ratio, top - y0]])
    patch = cv2.warpAffine(
        sprite.lit(light, exposure),
        matrix,
        out,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    alpha = cv2.extractChannel(patch, 3) * np.float32(1 / 255)
    composite(canvas, cv2.cvtColor(patch, cv2.COLOR_BGRA2BGR), alpha, x0, y0)
    return x0, y0, out[0], out[1]
