"""Long fixed views composited from real frames: a named stratum of untouched negatives.

    python benchmarks/pictures_scenes.py WORK [SCENE...]

There are minutes of real footage from fixed cameras, not hours. So that alarms an hour can be
counted at all, figures cut out of real recordings move through the empty view of a real recording,
under light that drifts, with sensor noise, for as long as asked. No stretch of motion ever comes
twice. What is known to look like an edit happens at known times (`nuisances`): light switched,
exposure that jumps, gain that pops, a knocked camera, wind in its mast, an insect before the lens,
headlights, a flickering lamp, mains beat, rain; and some recorders code so coarsely that the view
pops at every key frame. Pictures are small (288 pixels wide). Every scene is encoded as a recorder
would and then as a platform would, every second one in two more ways; clips and measurements stay
in WORK.

The figures neither walk nor turn as people do: alarms here say how the detectors bear light, noise,
coding and traffic, not how they bear everything that people do. Reported apart from real footage.
"""

from __future__ import annotations

import functools
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from pictures_make import MEDIA, STATIC, WIDTH, measure

from forensics import open_clip, scan
from forensics.video_measure import FEATURES

LENGTH_S = 360.0
#: Another number makes other scenes of the same kinds; the figures are those of scenes that nothing
#: was tuned on.
TAKE = 500
#: scene -> (view, seconds between arrivals, noise in grey levels, frames a second, nuisances)
SCENES: dict[str, tuple[str, float, float, int, tuple[str, ...]]] = {
    "yard, busy": ("vtest", 2.0, 1.5, 15, ()),
    "yard, empty": ("vtest", 40.0, 1.5, 12, ("light switched",)),
    "hall, quiet": ("one-by-one", 15.0, 1.0, 15, ("light switched", "exposure")),
    "hall, noisy": ("one-by-one", 8.0, 4.0, 12, ()),
    "gate": ("car", 6.0, 2.0, 15, ("camera knocked",)),
    "gate, night": ("car", 12.0, 5.0, 12, ("headlights", "flicker")),
    "desk": ("bottle", 20.0, 1.0, 15, ("light switched",)),
    "crossing": ("traffic", 1.5, 2.0, 15, ("exposure",)),
    "crossing, rain": ("traffic", 4.0, 2.5, 12, ("rain",)),
    "road": ("highway", 1.0, 2.0, 15, ()),
    "road, night": ("highway", 5.0, 4.5, 12, ("headlights",)),
    "room": ("friday", 10.0, 1.5, 15, ("flicker", "camera knocked")),
    "yard, rain": ("vtest", 6.0, 2.0, 12, ("rain", "exposure")),
    "kitchen": ("pancake", 12.0, 1.5, 15, ("gain", "camera knocked")),
    "kitchen, mains beat": ("pancake", 8.0, 2.0, 12, ("mains beat",)),
    "hall, coarse": ("one-by-one", 6.0, 2.0, 15, ("light switched",)),
    "gate, wind": ("car", 10.0, 2.0, 15, ("wind",)),
    "desk, insects": ("bottle", 15.0, 3.0, 12, ("insect",)),
    "road, rain": ("highway", 2.0, 2.5, 15, ("rain", "headlights")),
    "room, coarse": ("friday", 6.0, 3.0, 12, ("exposure",)),
    "crossing, night": ("traffic", 3.0, 4.5, 15, ("headlights", "insect")),
    "yard, mains beat": ("vtest", 5.0, 2.0, 15, ("mains beat", "gain")),
}
#: Recordings that figures are cut out of.
FIGURES = ("vtest", "one-by-one", "car", "traffic", "highway")
NIGHT = 0.35
#: A recorder short of room: coarse pictures between key frames, a second apart, that are not.
COARSE = {"crf": "32", "x264-params": "ipratio=2.2"}


@dataclass(frozen=True)
class Nuisance:
    """Something harmless that looks like an edit: what, and from which frame to which."""

    what: str
    first: int
    last: int


@dataclass(frozen=True)
class SceneSample:
    """One encoding of one scene, measured."""

    scene: str
    view: str
    profile: str
    rate_hz: float
    nuisances: tuple[Nuisance, ...]
    measured: scan.Measurements


@dataclass
class Figure:
    """A cut-out: planes Y, U, V at half the colour, and its soft edge."""

    planes: tuple[NDArray[np.float32], ...]
    mask: NDArray[np.float32]


def view_of(name: str, count: int = 60) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The empty view (median over time), and the frames it came from, as stacked planes."""
    raw, _ = scan.read_stretch(
        open_clip(MEDIA / STATIC[name], metadata=False), 0, 900, width_px=WIDTH
    )
    some = raw[:: max(1, len(raw) // count)]
    return np.median(some, axis=0).astype(np.uint8), some


def split(raw: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Luma and the two colour planes of one 4:2:0 picture."""
    width = raw.shape[1]
    height = raw.shape[0] * 2 // 3
    colour = raw[height:].reshape(2, height // 2, width // 2)
    return raw[:height], colour[0], colour[1]


@functools.cache
def figures_of(name: str) -> list[Figure]:
    """Everything that stands out from the empty view, is whole, and is neither dot nor crowd."""
    empty, frames = view_of(name)
    plain = split(empty)
    found = []
    for raw in frames:
        planes = split(raw)
        change = cv2.absdiff(planes[0], plain[0])
        mask = (cv2.GaussianBlur(change, (5, 5), 0) > 16).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 5), np.uint8))
        number, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
        for k in range(1, number):
            x, y, w, h, area = stats[k]
            inside = x > 2 and y > 2 and x + w < mask.shape[1] - 2 and y + h < mask.shape[0] - 2
            if not inside or not 0.002 < area / mask.size < 0.08:
                continue
            x, y, w, h = x // 2 * 2, y // 2 * 2, (w + 3) // 2 * 2, (h + 3) // 2 * 2
            window = (slice(y, y + h), slice(x, x + w))
            half = (slice(y // 2, (y + h) // 2), slice(x // 2, (x + w) // 2))
            soft = cv2.GaussianBlur((labels[window] == k).astype(np.float32), (3, 3), 0)
            cut = (planes[0][window], planes[1][half], planes[2][half])
            found.append(Figure(tuple(c.astype(np.float32) for c in cut), soft))
    return found


@dataclass
class _Walk:
    """One figure on its way: where it is, and how it stands, at each second."""

    figure: Figure
    start_s: float
    speed: float
    way: tuple[float, float, float, float]
    size: float
    gait_hz: float
    halt: tuple[float, float]

    def at(self, time_s: float) -> tuple[float, float, float] | None:
        """x, y and shear, or nothing once it is through."""
        t = time_s - self.start_s
        begin, length = self.halt
        moved = t - _eased(t - begin) + _eased(t - begin - length)
        swing = np.sin(2 * np.pi * self.gait_hz * moved)
        share = (moved * self.speed + 0.02 * np.sin(0.9 * moved)) / 1.0
        if share > 1:
            return None
        x0, y0, x1, y1 = self.way
        bow = 0.05 * np.sin(np.pi * share)
        x, y = x0 + (x1 - x0) * share, y0 + (y1 - y0) * share + bow
        return x, y + 0.004 * abs(swing), 0.08 * swing


def _eased(time_s: float, over_s: float = 0.6) -> float:
    """Seconds stood still so far: nobody stops, or starts, from one frame to the next."""
    if time_s <= 0:
        return 0.0
    return time_s**2 / (2 * over_s) if time_s < over_s else time_s - over_s / 2


def walks(rng: np.random.Generator, every_s: float, figures: list[Figure]) -> list[_Walk]:
    """Arrivals at random times, each on a way, a size and a gait of its own."""
    found, at = [], -10.0
    while at < LENGTH_S:
        at += float(rng.exponential(every_s))
        figure = figures[int(rng.integers(len(figures)))]
        if rng.random() < 0.5:
            flipped = tuple(np.ascontiguousarray(p[:, ::-1]) for p in figure.planes)
            figure = Figure(flipped, np.ascontiguousarray(figure.mask[:, ::-1]))
        low, high = rng.uniform(0.25, 0.95, 2)
        there = rng.random() < 0.5
        halt = (float(rng.uniform(1, 8)), float(rng.uniform(2, 15)) if rng.random() < 0.3 else 0.0)
        pace, size, gait = rng.uniform(4, 18), rng.uniform(0.7, 1.3), rng.uniform(0.7, 2.0)
        # Wholly outside at both ends: what pops up at the edge would be an edit of ours.
        tall, wide = figure.mask.shape
        out = 0.02 + float(size) * (wide + 0.2 * tall) / (2 * WIDTH)
        ends = (1 + out, -out) if there else (-out, 1 + out)
        way = (ends[0], float(low), ends[1], float(high))
        found.append(_Walk(figure, at, 1 / float(pace), way, float(size), float(gait), halt))
    return found


def plan_nuisances(
    rng: np.random.Generator, kinds: tuple[str, ...], rate: int
) -> list[Nuisance]:
    """Each kind three times, in places of its own."""
    slots = rng.permutation(np.linspace(20, LENGTH_S - 20, max(1, 3 * len(kinds))))
    length = {"light switched": 2, "exposure": 8, "camera knocked": 8, "headlights": 4 * rate,
              "flicker": 6 * rate, "rain": 40 * rate, "gain": rate, "wind": 40 * rate,
              "insect": 5, "mains beat": 30 * rate}  # fmt: skip
    found = []
    for number, at in enumerate(slots[: 3 * len(kinds)]):
        what = kinds[number % len(kinds)]
        first = int((at + rng.uniform(-4, 4)) * rate)
        found.append(Nuisance(what, first, first + length[what]))
    return sorted(found, key=lambda n: n.first)


def paste(canvas: list[NDArray[np.float32]], walk: _Walk, time_s: float) -> None:
    """Draw one figure with its soft edge, to a fraction of a pixel."""
    placed = walk.at(time_s)
    if placed is None:
        return
    height, width = canvas[0].shape
    x, y, shear = placed
    h, w = walk.figure.mask.shape
    size = walk.size * min(1.0, 0.5 * height / h)
    for number, plane in enumerate(walk.figure.planes):
        scale = 1.0 if number == 0 else 0.5
        target = canvas[number]
        own = (int(np.ceil(w * size * scale)) + 6, int(np.ceil(h * size * scale)) + 6)
        left, top = x * width * scale - own[0] / 2, y * height * scale - own[1]
        column, row = int(np.floor(left)), int(np.floor(top))
        low, high = max(0, row), min(target.shape[0], row + own[1])
        start, end = max(0, column), min(target.shape[1], column + own[0])
        if low >= high or start >= end:
            continue
        move = np.array([[size, -shear * size, left - column + 3 + shear * h * size * scale],
                         [0, size, top - row + 3]], np.float32)  # fmt: skip
        mask = walk.figure.mask if number == 0 else cv2.resize(
            walk.figure.mask, plane.shape[::-1], interpolation=cv2.INTER_AREA
        )  # fmt: skip
        shown = cv2.warpAffine(plane, move, own, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(mask, move, own)
        window = (slice(low - row, high - row), slice(start - column, end - column))
        there = target[low:high, start:end]
        there += alpha[window] * (shown[window] - there)


def pictures(name: str, seed: int) -> Iterator[tuple[NDArray[np.uint8], tuple[Nuisance, ...]]]:
    """The frames of a scene, one after the other, and its nuisances with each."""
    view, every_s, noise, rate, kinds = SCENES[name]
    rng = np.random.default_rng(seed)
    empty = [p.astype(np.float32) for p in split(view_of(view)[0])]
    people = [f for source in FIGURES for f in figures_of(source)]
    moving = walks(rng, every_s, people)
    trouble = plan_nuisances(rng, kinds, rate)
    height, width = empty[0].shape
    grain = rng.normal(0, noise, (height + 64, width + 64)).astype(np.float32)
    colour_grain = grain * 0.5
    night = NIGHT if "night" in name else 1.0
    phase, slow = rng.uniform(0, 6.28, 4), rng.uniform(0.005, 0.05, 4)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    lamp_on, exposure = 1.0, 1.0
    # Where each pair of headlights comes from, how high, how wide and how bent its way is.
    beams = {one: rng.uniform((-1, 0.4, 0.06, 0.6), (1, 0.8, 0.14, 1.8)) for one in trouble}
    for n in range(int(LENGTH_S * rate)):
        t = n / rate
        canvas = [p.copy() for p in empty]
        for walk in moving:
            if walk.start_s <= t <= walk.start_s + 60:
                paste(canvas, walk, t)
        luma = canvas[0]
        light = 1 + 0.06 * float(np.sin(6.28 * slow * t + phase).sum())
        jolt = (0.0, 0.0)
        for one in trouble:
            if not one.first <= n < one.last:
                continue
            share = (n - one.first) / max(1, one.last - one.first)
            if one.what == "light switched" and n == one.first:
                lamp_on = 0.55 if lamp_on == 1.0 else 1.0
            elif one.what == "exposure":
                exposure += 0.03 if one.first % 2 else -0.03
            elif one.what == "camera knocked":
                # No two knocks are alike.
                side, high, _, bend = beams[one]
                swing = (3 + 2 * side) * np.exp(-4 * share) * np.cos((8 + 2 * bend) * share)
                jolt = (swing, (high - 0.2) * swing)
            elif one.what == "wind":
                gust = 1.2 * np.sin(np.pi * share)
                jolt = (gust * np.sin(4.4 * t), 0.5 * gust * np.sin(5.7 * t + 1))
            elif one.what == "gain":
                light *= 1.15
            elif one.what == "flicker" and rng.random() < 0.3:
                light *= float(rng.uniform(0.8, 1.0))
            elif one.what == "mains beat":
                light = light * (1 + 0.1 * np.sin(9.4 * rows / height + 8.0 * t * beams[one][3]))
            elif one.what == "insect":
                side, high, wide, bend = beams[one]
                x, y = width * (0.5 + side * (0.4 - share)), height * (high - 0.4 + share * bend)
                away = (columns - x) ** 2 + (rows - y) ** 2
                luma += 90 * np.exp(-away / (wide * width) ** 2)
            elif one.what == "headlights":
                side, high, wide, bend = beams[one]
                along = share**bend if side > 0 else 1 - share**bend
                x, y = width * (1.4 * along - 0.2), height * (high + 0.1 * side * along)
                away = (columns - x) ** 2 + (rows - y) ** 2
                luma += 160 * np.exp(-away / (wide * width) ** 2)
            elif one.what == "rain":
                streaks = rng.integers(0, [[width], [height]], (2, 60))
                for x, y in streaks.T:
                    luma[y : y + 9, x] += 25
        exposure = float(np.clip(exposure, 0.7, 1.3))
        lit = np.where(columns < 0.6 * width, 1.0, lamp_on) if lamp_on < 1 else 1.0
        luma = 16 + (luma - 16) * light * exposure * night * lit
        if any(jolt):
            move = np.array([[1, 0, jolt[0]], [0, 1, jolt[1]]], np.float32)
            luma = cv2.warpAffine(luma, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
        dx, dy = rng.integers(0, 64, 2)
        luma = luma + grain[dy : dy + height, dx : dx + width]
        out = np.empty((height * 3 // 2, width), np.uint8)
        np.clip(luma, 16, 235, out=luma)
        out[:height] = luma
        colour = np.stack(canvas[1:])
        colour = 128 + (colour - 128) * night + colour_grain[
            dx : dx + height // 2, dy : dy + width // 2
        ]  # fmt: skip
        out[height:] = np.clip(colour, 16, 240).reshape(height // 2, width)
        yield out, tuple(trouble)


def record(name: str, path: Path, seed: int) -> tuple[Nuisance, ...]:
    """Write a scene as a recorder does: x264, a key frame every 2 s, no B-frames."""
    rate = SCENES[name][3]
    trouble: tuple[Nuisance, ...] = ()
    options = {"preset": "veryfast", "crf": "23", "g": str(2 * rate), "bf": "0", "threads": "1",
               "sc_threshold": "0"}  # fmt: skip
    if "coarse" in name:
        options |= COARSE | {"g": str(rate)}
    with av.open(str(path), "w") as out:
        stream: Any = None
        for number, (picture, planned) in enumerate(pictures(name, seed)):
            trouble = planned
            if stream is None:
                stream = out.add_stream("libx264", rate=rate, options=options)
                stream.width, stream.height = picture.shape[1], picture.shape[0] * 2 // 3
                stream.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return trouble


#: The same three exports as `edits_make.write_clip`, by the ffmpeg program.
AGAIN = {
    "crf23": ["-c:v", "libx264", "-preset", "medium", "-crf", "23"],
    "platform": ["-vf", "scale=trunc(iw*0.375)*2:trunc(ih*0.375)*2", "-c:v", "libx264", "-preset",
                 "veryfast", "-crf", "28", "-bf", "3"],
    "mpeg4": ["-c:v", "mpeg4", "-q:v", "5"],
}  # fmt: skip


def encodes(name: str) -> tuple[str, ...]:
    """The encodings of a scene: all for every second one, the hardest for the others."""
    every = list(SCENES).index(name) % 2 == 0
    return ("recorder", *AGAIN) if every else ("recorder", "platform")


def make_scene(name: str, work: Path) -> None:
    """Record a scene and encode it again."""
    target = work / f"scene {name}.recipe"
    if target.exists():
        return
    folder = work / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    first = folder / f"scene {name} recorder.mp4"
    trouble = record(name, first, TAKE + list(SCENES).index(name))
    for profile in encodes(name)[1:]:
        options = AGAIN[profile]
        path = folder / f"scene {name} {profile}.mp4"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-i", str(first)]
        subprocess.run([*command, *options, "-threads", "1", str(path)], check=True)
    target.write_bytes(pickle.dumps(trouble))


def measure_scene(name: str, work: Path) -> list[SceneSample]:
    """The measurements of one scene's four encodings, taken once for each `FEATURES`."""
    target = work / f"scene {name}.{FEATURES}"
    if not target.exists():
        trouble = pickle.loads((work / f"scene {name}.recipe").read_bytes())
        samples = []
        for profile in encodes(name):
            measured, rate = measure(work / "clips" / f"scene {name} {profile}.mp4")
            view = SCENES[name][0]
            samples.append(SceneSample(name, view, profile, rate, trouble, measured))
        target.write_bytes(pickle.dumps(samples))
    samples = pickle.loads(target.read_bytes())
    return samples


def main() -> None:
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    only = set(sys.argv[2:])
    for name in SCENES:
        if not only or name in only:
            make_scene(name, work)
            print("made", name, flush=True)


if __name__ == "__main__":
    import pictures_scenes

    # Under its own name, so that what is pickled can be read by the scripts that import it.
    pictures_scenes.main()
