"""The staged minute: places in metres, times in seconds of *story time*.

Everything is invented. Story time runs 0-66 s; ``record`` turns it into the incident clock, whose
zero is the first frame of the reference phone. The world: x right, y up, z away from the fixed
camera, which hangs at (0, 6.5, 0).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import PchipInterpolator

__all__ = [
    "ACTORS",
    "BENCH",
    "BENCH_AREA",
    "CAR_PASSES",
    "CUT_STORY_S",
    "DOOR_AREA",
    "LAMPS",
    "PATH_AREA",
    "PHONES",
    "SHOTS",
    "SOUND_SPEED",
    "TREE",
    "TREES",
    "Actor",
    "Phone",
    "Plan",
    "make_plan",
    "minibus_x",
]

SOUND_SPEED = 343.0
BENCH = (2.6, 13.0)  # x, z of its middle; it faces the fixed camera
BENCH_AREA = [(0.2, 14.6), (4.6, 14.6), (4.6, 11.6), (0.2, 11.6)]  # x, z on the ground
PATH_AREA = [(-9.5, 15.6), (-0.2, 15.0), (-0.2, 12.6), (-9.5, 13.2)]
DOOR_AREA = [(12.4, 32.9), (15.2, 32.9), (15.2, 31.0), (12.4, 31.0)]
TREE = (3.85, 8.6)  # in front of the bench's right half for the fixed camera
TREES = [TREE, (-11.5, 11.0), (11.5, 15.2), (-19.0, 8.0), (20.0, 28.6), (-6.0, 29.0)]
LAMPS = [  # x, y, z, strength, colour (linear RGB)
    (-4.2, 5.2, 16.6, 30.0, (1.0, 0.78, 0.48)),
    (6.9, 5.2, 15.8, 30.0, (1.0, 0.78, 0.48)),
    (-17.0, 5.2, 16.6, 26.0, (1.0, 0.78, 0.48)),
    (18.0, 5.2, 16.6, 26.0, (1.0, 0.78, 0.48)),
    (13.8, 3.6, 32.2, 7.0, (1.0, 0.93, 0.78)),
    (3.0, 6.5, 28.8, 26.0, (0.85, 0.92, 1.0)),
    (-20.0, 6.5, 28.8, 26.0, (0.85, 0.92, 1.0)),
]
SHOTS = [(31.00, "approacher-1"), (33.62, "approacher-1"), (34.55, "approacher-2")]
CUT_STORY_S = (24.0, 26.0)  # taken out of the fixed camera's file
CAR_PASSES = [  # starts at story s, speed m/s (sign: direction along x), lane z, colour BGR
    (4.0, 9.5, 21.2, (70, 60, 58)),
    (11.2, -10.5, 24.8, (40, 44, 92)),
    (48.0, -9.0, 24.8, (96, 92, 88)),
    (56.5, 11.0, 21.2, (52, 70, 48)),
]


@dataclass(frozen=True)
class Actor:
    """One figure: a role, never a person. Waypoints: (story s, x, z); actions: (story s, name)."""

    role: str
    look: str
    waypoints: tuple[tuple[float, float, float], ...]
    actions: tuple[tuple[float, str], ...] = ()
    facing_deg: tuple[tuple[float, float], ...] = ()  # (story s, heading), where it stands still
    height_m: float = 1.76


def _shield(n: int, dx: float, dz: float, late: float) -> Actor:
    return Actor(
        f"shield-{n}",
        f"shield-{n}",
        (
            (18.4 + late, -4.4, 21.9),
            (20.0 + late, -6.9, 21.5),
            (21.3 + late, -7.3, 19.6),
            (22.4 + late, -6.4 + dx * 0.3, 17.6),
            (23.9 + late, -5.0 + dx * 0.6, 16.0 + dz * 0.4),
            (29.6 + late, -0.4 + dx, 14.4 + dz),
            (34.0 + late, 0.4 + dx, 14.3 + dz),
            (37.4 + late, 1.7 + dx, 14.8 + dz * 1.1),
            (45.0, 1.7 + dx, 14.8 + dz * 1.1),
            (55.0, -3.0 + dx, 15.6 + dz),
        ),
        actions=((18.4 + late, "shield"),),
        facing_deg=((38.0, 55.0 + 6 * n), (44.5, 60.0)),
        height_m=1.80 + 0.02 * n,
    )


ACTORS: tuple[Actor, ...] = (
    Actor(
        "sitter",
        "civil-1",
        ((0.0, 2.1, 12.95), (66.0, 2.1, 12.95)),
        ((0.0, "sit"),),
        ((0.0, 180.0),),
        1.74,
    ),
    Actor(
        "stander",
        "civil-2",
        (
            (0.0, 3.7, 13.9),
            (6.0, 3.7, 13.9),
            (8.0, 4.0, 12.4),
            (16.0, 4.0, 12.4),
            (18.5, 1.1, 12.1),
            (31.5, 1.05, 12.15),
            (33.0, 1.6, 11.2),
            (35.5, 7.2, 10.6),
            (38.6, 16.0, 12.2),
            (41.0, 24.0, 14.6),
        ),
        ((31.5, "run"),),
        ((0.0, 200.0), (6.5, 280.0), (18.6, 300.0)),
        1.80,
    ),
    Actor(
        "approacher-1",
        "dark-1",
        (
            (13.0, -14.0, 14.9),
            (20.0, -6.2, 14.2),
            (25.6, -0.9, 13.9),
            (27.6, 0.75, 14.05),
            (35.8, 0.8, 14.0),
            (39.5, 1.6, 12.2),
            (60.0, 1.6, 12.2),
            (66.0, -3.4, 13.6),
        ),
        ((29.6, "aim"), (36.0, "walk")),
        ((28.0, 140.0), (39.6, 90.0)),
        1.82,
    ),
    Actor(
        "approacher-2",
        "dark-2",
        (
            (13.4, -14.6, 13.7),
            (20.4, -6.6, 13.3),
            (26.2, -1.2, 12.9),
            (28.4, 0.62, 12.6),
            (35.4, 0.7, 12.4),
            (40.0, 3.2, 11.8),
            (60.0, 3.3, 11.8),
            (66.0, -1.5, 12.4),
        ),
        ((34.1, "aim"), (36.2, "walk")),
        ((28.6, 95.0), (40.1, 300.0)),
        1.78,
    ),
    _shield(1, 0.9, 0.6, 0.0),
    _shield(2, 0.1, 1.0, 0.8),
    _shield(3, -0.8, 0.5, 1.7),
    _shield(4, -1.4, 1.3, 2.5),
    Actor(
        "passer-1",
        "civil-3",
        (
            (0.0, 13.8, 32.6),
            (1.5, 13.6, 31.6),
            (4.0, 10.5, 29.9),
            (22.0, -14.0, 29.6),
            (40.0, -38.0, 29.6),
        ),
        height_m=1.70,
    ),
    Actor(
        "passer-2",
        "civil-4",
        ((0.0, -16.0, 30.2), (23.0, 12.5, 30.0), (25.6, 13.7, 31.4), (26.6, 13.8, 32.7)),
        height_m=1.66,
    ),
    Actor(
        "passer-3",
        "civil-5",
        ((2.0, 13.0, 14.2), (11.5, 0.4, 15.1), (24.0, -17.0, 15.6), (40.0, -40.0, 16.0)),
        height_m=1.73,
    ),
    Actor(
        "passer-4",
        "civil-6",
        (
            (28.0, -24.0, 29.4),
            (35.0, -15.0, 29.5),
            (37.0, -13.4, 29.4),
            (48.0, -13.4, 29.4),
            (60.0, -34.0, 29.8),
        ),
        ((35.2, "stand"),),
        ((37.0, 120.0),),
        1.78,
    ),
    Actor("passer-5", "civil-3", ((40.0, 24.0, 30.4), (66.0, -6.0, 30.2)), height_m=1.80),
    Actor(
        "holder-a",
        "civil-7",
        ((0.0, 6.35, 16.9), (66.0, 6.35, 16.9)),
        ((0.0, "film"),),
        ((0.0, 238.0),),
        1.75,
    ),
    Actor(
        "holder-b",
        "civil-8",
        ((0.0, 8.2, 29.2), (66.0, 8.2, 29.2)),
        ((0.0, "film"),),
        ((0.0, 200.0),),
        1.72,
    ),
)
FALLS = {"sitter": 31.25}  # the seated figure slides off the bench after the first shot


@dataclass(frozen=True)
class Phone:
    """One hand-held recorder: where it stands, when it runs, how its clock drifts."""

    name: str
    holder: str
    position: tuple[float, float, float]
    start_s: float
    length_s: float
    quick_start_s: float
    quick_length_s: float
    drift_ppm: float
    look: tuple[tuple[float, float, float], ...]  # (story s, yaw deg, pitch deg)
    size: tuple[int, int]
    quick_size: tuple[int, int]
    focal_ratio: float  # focal length / long side
    shake_deg: float
    exposure: float
    noise: float
    tint_bgr: tuple[float, float, float]
    portrait: bool = False
    vfr: bool = False


PHONES: tuple[Phone, ...] = (
    Phone(
        "phone_a",
        "holder-a",
        (6.2, 1.60, 16.8),
        9.37,
        34.0,
        26.12,
        14.0,
        31.0,
        (
            (0, 238, 2),
            (16, 246, 1),
            (22, 258, 0),
            (27, 250, 1),
            (31, 238, 4),
            (36, 240, 3),
            (42, 243, 2),
            (46, 246, 1),
            (60, 250, 2),
        ),
        (960, 540),
        (960, 540),
        0.86,
        0.8,
        1.25,
        2.2,
        (1.0, 1.0, 1.03),
    ),
    Phone(
        "phone_b",
        "holder-b",
        (8.0, 1.58, 29.0),
        17.83,
        30.0,
        23.31,
        14.0,
        -20.0,
        ((0, 204, 2), (24, 206, 2), (31, 200, 3), (34, 198, 3), (40, 203, 2), (60, 206, 2)),
        (960, 540),
        (640, 360),
        1.05,
        0.55,
        1.5,
        3.2,
        (1.08, 1.0, 0.94),
        portrait=True,
    ),
    Phone(
        "phone_c",
        "balcony-c",
        (-25.5, 4.40, 14.2),
        5.21,
        36.0,
        20.46,
        17.0,
        12.0,
        ((0, 88, 8), (14, 84, 8), (20, 90, 8), (30, 94, 8), (38, 92, 8), (50, 90, 8)),
        (854, 480),
        (640, 360),
        1.25,
        0.35,
        1.35,
        4.2,
        (0.95, 1.02, 1.02),
        vfr=True,
    ),
)


_MINIBUS = PchipInterpolator(
    [0.0, 13.0, 17.2, 17.9, 48.0, 50.0, 54.0, 58.0],
    [60.0, 34.0, -2.0, -3.6, -3.6, -6.0, -22.0, -44.0],
)


def minibus_x(story_s: np.ndarray | float) -> np.ndarray:
    """Where the middle of the minibus is along the near lane (z = 20.3), metres."""
    return _MINIBUS(np.clip(story_s, 0.0, 66.0))


@dataclass(frozen=True)
class Plan:
    """What is built: the whole minute or, quick, the part of it around the shots."""

    seed: int
    quick: bool
    start_s: float
    length_s: float
    frame_rate: int
    phone_rate: int
    size: tuple[int, int]
    reference_s: float  # story time of the incident clock's zero
    wall_start: str = "2021-10-14T21:46:40+03:00"  # burned-in clock at story time 0
    phones: tuple[Phone, ...] = field(default=PHONES)

    def phone_window(self, phone: Phone) -> tuple[float, float, tuple[int, int]]:
        """Story start, length and frame size of a phone's clip in this build."""
        if self.quick:
            return phone.quick_start_s, phone.quick_length_s, phone.quick_size
        return phone.start_s, phone.length_s, phone.size

    def incident(self, story_s: float) -> float:
        """Story time to the incident clock."""
        return float(story_s - self.reference_s)


def make_plan(seed: int, quick: bool) -> Plan:
    """The plan of a full or a quick build."""
    reference = PHONES[0].quick_start_s if quick else PHONES[0].start_s
    if quick:
        return Plan(seed, True, 19.0, 20.0, 25, 15, (640, 360), reference)
    return Plan(seed, False, 0.0, 54.0, 25, 20, (960, 540), reference)
