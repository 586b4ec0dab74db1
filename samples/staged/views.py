"""Cameras at work: the fixed view with its clock, hand-held phones, the clip from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import cv2
import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter1d

from .layers import bake, layers_of
from .optics import Camera, font, generator
from .plan import Actor, Phone, Plan
from .scenery import render_background
from .stage import Seen, Stage

__all__ = ["CLOCK_FORMAT", "FixedView", "Frame", "PhoneView", "StrangerView", "fixed_camera"]

CLOCK_FORMAT = "%d-%m-%Y %H:%M:%S"


@dataclass
class Frame:
    """One finished picture: planar YUV 4:2:0 (H * 3 / 2, W) uint8, its time, what it shows."""

    planes: np.ndarray
    time_s: float  # presentation time in the clip
    seen: Seen


def fixed_camera(plan: Plan) -> Camera:
    """The camera on the wall."""
    width, height = plan.size
    return Camera((0.0, 6.5, 0.0), 8.0, 20.5, width, height, 0.78 * width)


class _Sensor:
    """Noise, flicker and colour of one camera, applied while going to YUV."""

    def __init__(
        self,
        rng: np.random.Generator,
        width: int,
        height: int,
        sigma: float,
        tint_bgr: tuple[float, float, float],
    ) -> None:
        self.rng, self.width, self.height = rng, width, height
        grain = rng.standard_normal((height + 192, width + 192)).astype(np.float32)
        grain = cv2.GaussianBlur(grain, (0, 0), 0.6)
        self.grain = (grain / grain.std() * sigma).round().astype(np.int16)
        coarse = cv2.GaussianBlur(
            rng.standard_normal((height // 2 + 96, width // 2 + 96)).astype(np.float32), (0, 0), 1.2
        )
        self.colour = (coarse / coarse.std() * sigma * 0.45).round().astype(np.int16)
        levels = np.arange(256, dtype=np.float32)
        self.tables = [np.clip(levels * t, 0, 255).astype(np.uint8) for t in tint_bgr]
        self.tinted = tuple(tint_bgr) != (1.0, 1.0, 1.0)

    def expose(self, picture: np.ndarray, gain: float) -> np.ndarray:
        """BGR uint8 to YUV 4:2:0 planes with this frame's own noise."""
        if self.tinted:
            picture = cv2.merge(
                [cv2.LUT(p, t) for p, t in zip(cv2.split(picture), self.tables, strict=True)]
            )
        planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        height, width = self.height, self.width
        top, left = self.rng.integers(0, 190, 2).tolist()
        luma = planes[:height]
        if abs(gain - 1) > 1e-3:
            table = np.clip((np.arange(256) - 16) * gain + 16.5, 16, 235).astype(np.uint8)
            luma[:] = cv2.LUT(luma, table)
        luma[:] = cv2.add(
            luma, self.grain[top : top + height, left : left + width], dtype=cv2.CV_8U
        )
        chroma = planes[height:].reshape(2, height // 2, width // 2)
        for plane in chroma:
            top, left = self.rng.integers(0, 94, 2).tolist()
            noise = self.colour[top : top + height // 2, left : left + width // 2]
            plane[:] = cv2.add(plane, noise, dtype=cv2.CV_8U)
        return planes


class FixedView:
    """The silent camera on the wall: 25 frames a second, a clock burned in, lamps that flicker."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.camera = plan, fixed_camera(plan)
        self.exposure = 1.05
        self.stage = Stage(plan.seed)
        self.rate = plan.frame_rate
        self.count = round(plan.length_s * self.rate)
        self.start = datetime.fromisoformat(plan.wall_start) + timedelta(seconds=plan.start_s)
        rng = generator(plan.seed, "fixed-flicker")
        slow = gaussian_filter1d(rng.standard_normal(self.count), 9)
        times = np.arange(self.count) / self.rate
        self.flicker = 1 + 0.006 * slow / slow.std() + 0.006 * np.sin(2 * np.pi * 0.93 * times)

    @cached_property
    def background(self) -> np.ndarray:
        picture = render_background(self.camera, self.plan.seed, exposure=self.exposure)
        return bake(picture, self.layers)

    @cached_property
    def layers(self) -> list:
        return layers_of(self.camera, self.plan.seed, exposure=self.exposure)

    @property
    def clock_box(self) -> tuple[int, int, int, int]:
        """x, y, w, h of the burned-in clock in pixels."""
        unit = self.camera.height / 720
        width, _ = _text_mask(self.start.strftime(CLOCK_FORMAT), self._size).shape[::-1]
        return (int(18 * unit), int(14 * unit), width, _text_mask("0", self._size).shape[0])

    @property
    def _size(self) -> int:
        return max(15, int(30 * self.camera.height / 720))

    def frames(self, only: set[int] | None = None) -> Iterator[Frame]:
        """All frames in order (or, for a check, only some of them; noise then differs)."""
        rng = generator(self.plan.seed, "fixed-noise")
        sensor = _Sensor(rng, self.camera.width, self.camera.height, 2.0, (1.02, 1.0, 0.99))
        x, y, _, _ = self.clock_box
        for k in range(self.count):
            if only is not None and k not in only:
                continue
            story = self.plan.start_s + k / self.rate
            canvas = self.background.copy()
            seen = self.stage.draw(
                canvas,
                self.camera,
                self.layers,
                story,
                exposure=self.exposure,
                shutter_s=1 / self.rate,
            )
            planes = sensor.expose(canvas, float(self.flicker[k]))
            now = self.start + timedelta(seconds=k / self.rate)
            _burn(planes, self.camera.height, now.strftime(CLOCK_FORMAT), self._size, x, y)
            mark = _text_mask("CAM 04", self._size).shape[1]
            _burn(
                planes,
                self.camera.height,
                "CAM 04",
                self._size,
                self.camera.width - mark - x,
                self.camera.height - y - self._size - 8,
            )
            yield Frame(planes, k / self.rate, seen)


_MASKS: dict[tuple[str, int], np.ndarray] = {}


def _text_mask(text: str, size: int) -> np.ndarray:
    """Text drawn once: 0 nothing, 1 outline, 2 ink, with a margin."""
    found = _MASKS.get((text, size))
    if found is None:
        face = font(size, mono=True)
        box = face.getbbox("0" * len(text))
        image = Image.new("L", (int(box[2]) + 8, int(size * 1.25) + 8))
        ImageDraw.Draw(image).text((4, 2), text, fill=255, font=face)
        ink = np.array(image)
        outline = cv2.dilate(ink, np.ones((3, 3), np.uint8))
        found = np.where(ink > 110, 2, np.where(outline > 110, 1, 0)).astype(np.uint8)
        if len(_MASKS) > 400:
            _MASKS.clear()
        _MASKS[text, size] = found
    return found


def _burn(planes: np.ndarray, height: int, text: str, size: int, x: int, y: int) -> None:
    mask = _text_mask(text, size)
    rows, columns = mask.shape
    luma = planes[y : y + rows, x : x + columns]
    luma[mask == 1] = 18
    luma[mask == 2] = 228
    chroma = planes[height:].reshape(2, height // 2, -1)
    spot = mask[::2, ::2] > 0
    for plane in chroma:
        plane[y // 2 : y // 2 + spot.shape[0], x // 2 : x // 2 + spot.shape[1]][spot] = 128


class PhoneView:
    """A phone in somebody's hand: pans, trembles, flinches at the shots."""

    def __init__(
        self,
        plan: Plan,
        phone: Phone,
        stage: Stage | None = None,
        *,
        scene_seed: int | None = None,
        jolts: bool = True,
    ) -> None:
        self.plan, self.phone = plan, phone
        self.seed = plan.seed if scene_seed is None else scene_seed
        self.stage = stage or Stage(plan.seed)
        self.start_s, self.length_s, stored = plan.phone_window(phone)
        self.width, self.height = stored[::-1] if phone.portrait else stored
        self.focal_px = phone.focal_ratio * max(stored)
        self.times = self._times()
        rng = generator(plan.seed, phone.name, "hand")
        story = self.story(self.times)
        keys = np.array(phone.look)
        self.yaw = np.interp(story, keys[:, 0], keys[:, 1])
        self.pitch = np.interp(story, keys[:, 0], keys[:, 2])
        grid = np.arange(0, self.length_s + 1, 0.01)
        wander = np.stack(
            [
                gaussian_filter1d(rng.standard_normal(len(grid)), 55) * 9
                + gaussian_filter1d(rng.standard_normal(len(grid)), 14) * 1.3
                + gaussian_filter1d(rng.standard_normal(len(grid)), 4) * 0.22
                for _ in range(3)
            ]
        )
        wander /= wander.std(axis=1, keepdims=True)
        if jolts:
            for shot_s in (31.0, 33.62, 34.55):
                age = grid + self.start_s - shot_s - 0.18
                kick = np.exp(-np.clip(age, 0, None) / 0.16) * np.sin(age * 26) * (age > 0)
                wander += kick * rng.normal(0, 1.6, 3)[:, None]
        smooth = gaussian_filter1d(wander, 3, axis=1)
        at = np.arange(len(grid)) * 0.01
        self.shake = np.stack([np.interp(self.times, at, row) for row in smooth]) * phone.shake_deg

    def _times(self) -> np.ndarray:
        """Presentation times, s; a phone that drops and delays frames has irregular ones."""
        if not self.phone.vfr:
            rate = self.plan.phone_rate
            return np.arange(int(self.length_s * rate)) / rate
        rng = generator(self.plan.seed, self.phone.name, "vfr")
        steps = (
            rng.choice([0.8, 0.8, 1.0, 1.2, 1.6], int(self.length_s * 40)) / self.plan.phone_rate
        )
        steps = steps + rng.uniform(-0.004, 0.004, len(steps))
        steps[rng.random(len(steps)) < 0.006] += rng.uniform(0.08, 0.25)
        times = np.concatenate([[0.0], np.cumsum(steps)])
        times = np.round(times[times < self.length_s] * 90000) / 90000
        return times

    def story(self, clip_s: np.ndarray | float) -> np.ndarray | float:
        """Clip time to story time, with this phone's drift."""
        return self.start_s + np.asarray(clip_s) / (1 + self.phone.drift_ppm * 1e-6)

    @cached_property
    def canvas_camera(self) -> Camera:
        """A wide still camera that holds everything the phone turns to."""
        middle = float(self.yaw.min() + self.yaw.max()) / 2
        tilt = float(self.pitch.min() + self.pitch.max()) / 2
        slack = self.phone.shake_deg * 4 + 2.0
        pan = np.radians((self.yaw.max() - self.yaw.min()) / 2 + slack)
        nod = np.radians((self.pitch.max() - self.pitch.min()) / 2 + slack)
        half = np.arctan(self.width / 2 / self.focal_px)
        up = np.arctan(self.height / 2 / self.focal_px)
        width = int(2 * self.focal_px * np.tan(min(half + pan, 1.2)) / np.cos(nod)) // 2 * 2
        height = int(2 * self.focal_px * np.tan(min(up + nod, 1.2)) / np.cos(half + pan)) // 2 * 2
        return Camera(self.phone.position, middle, tilt, width, height, self.focal_px)

    @cached_property
    def background(self) -> np.ndarray:
        wide = self.canvas_camera
        fine = 1 if wide.width * wide.height > 900_000 else 2  # it is resampled once more anyway
        picture = render_background(wide, self.seed, exposure=self.phone.exposure, oversample=fine)
        return bake(picture, self.layers)

    @cached_property
    def layers(self) -> list:
        return layers_of(self.canvas_camera, self.seed, exposure=self.phone.exposure)

    def camera_at(self, k: int) -> Camera:
        """Where frame k looks."""
        return Camera(
            self.phone.position,
            float(self.yaw[k] + self.shake[0, k]),
            float(self.pitch[k] + self.shake[1, k]),
            self.width,
            self.height,
            self.focal_px,
            roll_deg=float(self.shake[2, k] * 0.8),
        )

    def frames(self, only: set[int] | None = None) -> Iterator[Frame]:
        """All frames in order, upright; ``media`` turns the portrait ones on their side."""
        rng = generator(self.plan.seed, self.phone.name, "sensor")
        sensor = _Sensor(rng, self.width, self.height, self.phone.noise, self.phone.tint_bgr)
        wide = self.canvas_camera
        drift = 1 + 0.02 * np.sin(self.times * 0.31 + len(self.phone.name))
        for k, time_s in enumerate(self.times.tolist()):
            if only is not None and k not in only:
                continue
            camera = self.camera_at(k)
            back = wide.matrix @ np.linalg.inv(camera.matrix)  # frame pixels to canvas pixels
            w, h = self.width, self.height
            corners = back @ np.array([[0, w, w, 0], [0, 0, h, h], [1, 1, 1, 1.0]])
            corners = corners[:2] / corners[2]
            low = np.clip(
                np.floor(corners.min(1)).astype(int) - 2, 0, [wide.width - 9, wide.height - 9]
            )
            high = np.clip(
                np.ceil(corners.max(1)).astype(int) + 3, low + 8, [wide.width, wide.height]
            )
            x, y = low.tolist()
            canvas = self.background[y : high[1], x : high[0]].copy()
            part = wide.window(x, y, canvas.shape[1], canvas.shape[0])
            seen = self.stage.draw(
                canvas,
                part,
                self.layers,
                float(self.story(time_s)),
                exposure=self.phone.exposure,
                without=self.phone.holder,
                shutter_s=1 / self.plan.phone_rate,
                origin=(x, y),
            )
            shift = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
            picture = cv2.warpPerspective(
                canvas,
                shift @ back,
                (w, h),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            forward = np.linalg.inv(shift @ back)
            seen.emblems = [(key, _move(forward, quad)) for key, quad in seen.emblems]
            seen.vehicles = [(kind, _move_box(forward, box, w, h)) for kind, box in seen.vehicles]
            seen.vehicles = [v for v in seen.vehicles if v[1][2] > 4 and v[1][3] > 4]
            yield Frame(sensor.expose(picture, float(drift[k])), time_s, seen)


def _move(matrix: np.ndarray, quad: list[list[float]]) -> list[list[float]]:
    points = np.hstack([np.array(quad), np.ones((len(quad), 1))]) @ matrix.T
    return (points[:, :2] / points[:, 2:]).round(1).tolist()


def _move_box(
    matrix: np.ndarray, box: tuple[float, ...], width: int, height: int
) -> tuple[float, float, float, float]:
    x, y, w, h = box
    corners = np.array(_move(matrix, [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]))
    low = np.clip(corners.min(0), 0, [width, height])
    high = np.clip(corners.max(0), 0, [width, height])
    return (*low.round(1).tolist(), *(high - low).round(1).tolist())


_ELSEWHERE = (
    Actor("walker-1", "civil-5", ((0.0, 27.0, 9.0), (40.0, -10.0, 4.5))),
    Actor("walker-2", "civil-2", ((0.0, 2.0, 3.0), (40.0, 34.0, 6.0))),
    Actor("walker-3", "civil-6", ((5.0, 30.0, 2.2), (45.0, 2.0, 2.6))),
    Actor(
        "walker-4",
        "civil-8",
        ((0.0, 17.0, 5.0), (15.0, 16.0, 5.5), (40.0, 16.0, 5.5)),
        facing_deg=((15.0, 60.0),),
    ),
)


class StrangerView(PhoneView):
    """Another street on another evening: nothing in it belongs to the incident."""

    def __init__(self, plan: Plan) -> None:
        phone = Phone(
            "stranger",
            "nobody",
            (9.0, 1.62, 12.5),
            2.0,
            22.0,
            4.0,
            12.0,
            0.0,
            ((0, 132, 2), (15, 150, 3), (40, 140, 1)),
            (854, 480),
            (640, 360),
            0.9,
            0.6,
            1.9,
            2.6,
            (0.92, 1.0, 1.08),
        )
        super().__init__(
            plan,
            phone,
            Stage(plan.seed + 77, _ELSEWHERE, street=False),
            scene_seed=plan.seed + 77,
            jolts=False,
        )
