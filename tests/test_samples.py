"""The staged incident is what its truth says: checked on the files, without the library."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from scipy.signal import butter, correlate, sosfilt

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
RATE = 16000


@pytest.fixture(scope="session")
def truth(staged: Path) -> dict[str, Any]:
    return json.loads((staged / "truth.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=24)
def pictures(path: Path, every: int = 1, width: int | None = None) -> tuple[list, list]:
    """Grey pictures as stored, and their presentation times."""
    greys, times = [], []
    with av.open(str(path)) as source:
        for k, frame in enumerate(source.decode(video=0)):
            if k % every == 0:
                grey = frame.to_ndarray(format="gray")
                if width:
                    size = (width, round(grey.shape[0] * width / grey.shape[1]))
                    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
                greys.append(grey)
                times.append(float(frame.time))
    return greys, times


def heard(path: Path, rate: int = RATE) -> np.ndarray:
    """Mono sound on the clip's own clock."""
    parts, begin = [], None
    with av.open(str(path)) as source:
        convert = av.AudioResampler("flt", "mono", rate)
        for frame in source.decode(audio=0):
            begin = float(frame.time) if begin is None else begin
            parts += [piece.to_ndarray()[0] for piece in convert.resample(frame)]
        parts += [piece.to_ndarray()[0] for piece in convert.resample(None)]
    sound = np.concatenate(parts)
    shift = round((begin or 0.0) * rate)
    return np.concatenate([np.zeros(max(0, shift), np.float32), sound[max(0, -shift) :]])


@pytest.fixture(scope="session")
def sounds(staged: Path, truth: dict[str, Any]) -> dict[str, np.ndarray]:
    return {
        key: heard(staged / clip["path"])
        for key, clip in truth["clips"].items()
        if clip["audio_codec"]
    }


def test_files_are_the_ones_described(staged: Path, truth: dict[str, Any]) -> None:
    assert set(truth["clips"]) == {
        "cctv",
        "phone_a",
        "phone_b",
        "phone_c",
        "copy",
        "stranger",
        "cctv_original",
        "cctv_reencoded",
    }
    for key, clip in truth["clips"].items():
        data = (staged / clip["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == clip["sha256"], key
        with av.open(str(staged / clip["path"])) as source:
            frames = sum(1 for _ in source.decode(video=0))
            assert source.streams.video[0].codec_context.name == clip["video_codec"]
        assert frames == clip["frames"], key
    codecs = {truth["clips"][k]["video_codec"] for k in ("phone_a", "phone_b", "phone_c")}
    voices = {truth["clips"][k]["audio_codec"] for k in ("phone_a", "phone_c", "stranger")}
    assert codecs == {"h264", "hevc"} and voices == {"aac", "opus", "mp3float"}
    assert truth["clips"]["cctv"]["audio_codec"] is None


def test_only_the_edited_and_passed_on_files_name_an_encoder(
    staged: Path, truth: dict[str, Any]
) -> None:
    """A camera does not sign its stream as x264; who encodes again does."""
    signed = {
        key
        for key, clip in truth["clips"].items()
        if b"x264 - core" in (staged / clip["path"]).read_bytes()
    }
    assert signed == {"cctv", "cctv_reencoded", "copy", "stranger"}


def test_edit_removes_exactly_what_truth_says(staged: Path, truth: dict[str, Any]) -> None:
    clips = truth["clips"]
    edit = clips["cctv"]["edits"][0]
    first, last = edit["removed_frames"]
    assert (last - first) / 25 == edit["length_s"] == 2.0
    assert clips["cctv_original"]["frames"] - clips["cctv"]["frames"] == last - first
    whole, _ = pictures(staged / clips["cctv_original"]["path"], width=160)
    cut, times = pictures(staged / clips["cctv"]["path"], width=160)
    assert np.allclose(np.diff(times), 1 / 25, atol=1e-6), "the gap must be closed"
    own = {k: whole[k].astype(np.int16) for k in range(first - 40, last + 40)}
    for k in (first - 20, first - 1, first, first + 20):
        distance = {j: float(np.abs(cut[k] - own[j]).mean()) for j in own}
        nearest = min(distance, key=distance.__getitem__)
        assert nearest == (k if k < first else k + last - first), f"frame {k} shows {nearest}"
    # something moves across the cut, so that the gap is visible at all
    step = [float((np.abs(b.astype(int) - a) > 20).mean()) for a, b in itertools.pairwise(cut)]
    around = step[first - 15 : first - 1] + step[first : first + 14]
    assert step[first - 1] > 2 * np.median(around)


def test_burned_in_clock_jumps_only_in_the_edited_file(staged: Path, truth: dict[str, Any]) -> None:
    """Second digits change every 25 frames; at the cut the reading skips two of them."""
    clips = truth["clips"]
    x, y, w, h = clips["cctv"]["burned_in_clock"]["box_px"]
    first, last = clips["cctv"]["edits"][0]["removed_frames"]

    def crops(key: str) -> list[np.ndarray]:
        greys, _ = pictures(staged / clips[key]["path"])
        return [g[y : y + h, x : x + w].astype(np.float32) for g in greys]

    original, edited, again = crops("cctv_original"), crops("cctv"), crops("cctv_reencoded")
    assert original[0].max() > 180 and original[0].min() < 60, "the clock must be legible"

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(((a > 150) != (b > 150)).mean())  # ink against no ink

    second = 25
    for k in (first + 3, first + 40, first + 100):
        there = alike(edited[k], original[k + last - first])
        assert there < 0.5 * alike(edited[k], original[k]), "reads two seconds later"
        assert alike(again[k], original[k]) < 0.5 * alike(again[k], original[k + 2 * second])
    for k in range(5, first - second, second):
        assert alike(edited[k], original[k]) < 0.5 * alike(edited[k], original[k + second])


def test_variable_frame_rate_is_true(staged: Path, truth: dict[str, Any]) -> None:
    clip = truth["clips"]["phone_c"]
    assert clip["variable_frame_rate"] and not truth["clips"]["phone_a"]["variable_frame_rate"]
    _, times = pictures(staged / clip["path"])
    assert np.allclose(times, clip["frame_times_s"], atol=0.0011), "to Matroska's millisecond"
    steps = np.diff(times)
    assert steps.min() > 0.01 and steps.std() / steps.mean() > 0.15
    assert len(np.unique(steps.round(3))) > 15
    _, even = pictures(staged / truth["clips"]["phone_a"]["path"])
    assert np.diff(even).std() < 1e-4


def test_rotation_is_metadata_and_stands_the_picture_up(
    staged: Path, truth: dict[str, Any]
) -> None:
    clip = truth["clips"]["phone_b"]
    with av.open(str(staged / clip["path"])) as source:
        frame = next(source.decode(video=0))
    assert frame.width > frame.height
    assert frame.rotation == clip["display_rotation_deg"] == -90
    upright = np.rot90(frame.to_ndarray(format="gray"), k=-1).astype(float)
    # upright: the bright street lies below the dim facade; sideways there is no such order
    middle = upright.shape[0] // 2
    lines = np.abs(np.diff(upright, axis=0)).mean() / np.abs(np.diff(upright, axis=1)).mean()
    assert upright[middle:].mean() > upright[: middle // 2].mean()
    assert lines > 1.0, "roads and ledges run level"
    for other in ("phone_a", "phone_c", "cctv"):
        assert truth["clips"][other]["rotation_deg"] == 0


def test_shots_are_heard_where_truth_puts_them(
    sounds: dict[str, np.ndarray], truth: dict[str, Any]
) -> None:
    """Onset of each shot within 6 ms of the stated arrival, by the steepest rise of energy."""
    sos = butter(4, 900, "highpass", fs=RATE, output="sos")
    for key in ("phone_a", "phone_b", "phone_c"):
        energy = sosfilt(sos, sounds[key].astype(np.float64)) ** 2
        hop = RATE // 500
        level = np.sqrt(energy[: len(energy) // hop * hop].reshape(-1, hop).mean(1))
        floor = np.median(level)
        assert len(truth["shots"]) == 3
        for shot in truth["shots"]:
            at = shot["arrival_clip_s"][key]
            low = int((at - 0.25) * 500)
            window = level[low : low + 250]
            rise = window[3:] - window[:-3]
            onset = (low + int(np.argmax(rise)) + 2) / 500
            assert abs(onset - at) < 0.006, (key, at, onset)
            assert window.max() > 6 * floor, "a shot stands out"


def test_arrivals_differ_by_distance(truth: dict[str, Any]) -> None:
    for shot in truth["shots"]:
        for key, at in shot["arrival_clip_s"].items():
            clip = truth["clips"][key]
            heard_at = at / (1 + clip["drift_ppm"] * 1e-6) + clip["offset_s"]
            away = np.linalg.norm(np.subtract(shot["place_m"], clip["position_m"]))
            assert heard_at - shot["incident_s"] == pytest.approx(away / 343.0, abs=2e-6)
    delays = [
        s["arrival_clip_s"]["phone_c"] + truth["clips"]["phone_c"]["offset_s"] - s["incident_s"]
        for s in truth["shots"]
    ]
    assert max(delays) > 0.07, "one phone is far enough to matter"


def _envelopes(sound: np.ndarray) -> np.ndarray:
    """Level changes in eight bands, 100 a second, each about zero."""
    rows = []
    for low in np.geomspace(250, 3000, 8):
        band = sosfilt(butter(2, [low, low * 1.35], "bandpass", fs=RATE, output="sos"), sound)
        power = (band[: len(band) // 160 * 160].reshape(-1, 160) ** 2).mean(1)
        rows.append(np.log(power + np.median(power) + 1e-12))
    matrix = np.array(rows)
    matrix -= matrix.mean(0)
    smooth = np.array([np.convolve(row, np.ones(80) / 80, "same") for row in matrix])
    matrix = matrix - smooth
    return np.clip(matrix / (matrix.std(1, keepdims=True) + 1e-9), -3, 3)


def _lag(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Start of b minus start of a, s, and how far the peak stands above the rest (robust z)."""
    x, y = _envelopes(a), _envelopes(b)
    total = sum(correlate(p, q, "full") for p, q in zip(x, y, strict=True))
    lags = np.arange(-y.shape[1] + 1, x.shape[1])
    overlap = np.minimum(x.shape[1], lags + y.shape[1]) - np.maximum(0, lags)
    score = np.where(overlap > 500, total / np.sqrt(np.maximum(overlap, 1)), 0.0)
    spread = 1.4826 * np.median(np.abs(score[overlap > 500])) + 1e-9
    best = int(np.argmax(score))
    return lags[best] / 100.0, float(score[best] / spread)


def test_phones_share_a_sound_field_and_the_stranger_does_not(
    sounds: dict[str, np.ndarray], truth: dict[str, Any]
) -> None:
    clips = truth["clips"]
    strength = {}
    for a, b in (("phone_a", "phone_b"), ("phone_a", "phone_c"), ("phone_b", "phone_c")):
        lag, strength[a, b] = _lag(sounds[a], sounds[b])
        assert lag == pytest.approx(clips[b]["offset_s"] - clips[a]["offset_s"], abs=0.13), (a, b)
    alien = [_lag(sounds[k], sounds["stranger"])[1] for k in ("phone_a", "phone_b", "phone_c")]
    assert min(strength.values()) > 1.3 * max(alien), (strength, alien)


def test_phones_do_not_share_their_noise(sounds: dict[str, np.ndarray]) -> None:
    digests = {key: hashlib.sha256(s[:RATE].tobytes()).hexdigest() for key, s in sounds.items()}
    assert len(set(digests.values())) == len(digests)


def test_copy_is_of_phone_a_and_nothing_else(staged: Path, truth: dict[str, Any]) -> None:
    clips = truth["clips"]
    copy, original = clips["copy"], clips["phone_a"]
    assert copy["width_px"] * 4 == original["width_px"] * 3
    assert copy["frames"] == original["frames"]
    small, _ = pictures(staged / copy["path"], every=10, width=96)
    for key, expect in (("phone_a", True), ("phone_c", False), ("stranger", False)):
        other, _ = pictures(staged / clips[key]["path"], every=10, width=96)
        pairs = list(zip(small, other, strict=False))
        alike = np.median(
            [np.corrcoef(cv2.resize(b, a.shape[::-1]).ravel(), a.ravel())[0, 1] for a, b in pairs]
        )
        assert bool(alike > 0.98) is expect, (key, alike)
    with av.open(str(staged / copy["path"])) as source:
        assert "creation_time" not in source.metadata
    with av.open(str(staged / original["path"])) as source:
        assert "creation_time" in source.metadata


def test_flash_is_seen_when_the_first_shot_is_fired(staged: Path, truth: dict[str, Any]) -> None:
    greys, times = pictures(staged / truth["clips"]["cctv"]["path"])
    for shot in truth["shots"]:
        at = shot["flash_edited_cctv_clip_s"]
        frame = int(np.floor(at * 25 + 1e-6))
        bright = [float((g > 200).sum()) for g in greys[frame - 6 : frame + 8]]
        peak = int(np.argmax(bright))
        assert abs(times[frame - 6 + peak] - at) <= 0.04 + 1e-6, (at, bright)
        assert bright[peak] > np.median(bright) + 15


def test_emblem_is_large_enough_and_where_truth_says(staged: Path, truth: dict[str, Any]) -> None:
    """The stated quadrilateral, straightened, correlates with the gallery picture of that unit."""
    clip = truth["clips"]["phone_a"]
    assert clip["emblem_summary"]["largest_px"] >= 75
    assert clip["emblem_summary"]["frames_at_75_px"] >= 3
    largest = max(
        (e for e in clip["emblems"] if e["unit"] == "badger-detachment"),
        key=lambda e: e["width_px"],
    )
    greys, _ = pictures(staged / clip["path"])
    corners = np.float32([[0, 0], [128, 0], [128, 128], [0, 128]])
    matrix = cv2.getPerspectiveTransform(np.float32(largest["quad_px"]), corners)
    seen = cv2.warpPerspective(greys[largest["frame"]], matrix, (128, 128)).astype(float)
    disc = np.hypot(*(np.mgrid[:128, :128] - 63.5)) < 60
    scores = {}
    for unit in truth["gallery"]:
        picture = cv2.imread(str(staged / "gallery" / unit / "image.png"), cv2.IMREAD_GRAYSCALE)
        picture = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA).astype(float)
        scores[unit] = float(np.corrcoef(picture[disc], seen[disc])[0, 1])
    assert max(scores, key=scores.__getitem__) == "badger-detachment", scores
    assert scores["badger-detachment"] > 0.6, scores


def test_gallery_entries_have_a_source(staged: Path, truth: dict[str, Any]) -> None:
    assert 4 <= len(truth["gallery"]) <= 6
    for unit in truth["gallery"]:
        folder = staged / "gallery" / unit
        entry = tomllib.loads((folder / "reference.toml").read_text(encoding="utf-8"))
        digest = hashlib.sha256((folder / entry["image"]).read_bytes()).hexdigest()
        assert entry["source_sha256"] == digest and entry["source"] and entry["licence"]
        assert set(entry["names"]) == {"be", "ru", "en"} and "invented" in entry["names"]["en"]
        assert all(other in truth["gallery"] for other in entry["look_alikes"])


def test_incident_file_names_clips_regions_and_claims(staged: Path, truth: dict[str, Any]) -> None:
    incident = tomllib.loads((staged / "incident.toml").read_text(encoding="utf-8"))
    assert incident["schema"] == 1 and incident["reference"] == "phone_a"
    identifiers = [clip["id"] for clip in incident["clips"]]
    assert set(identifiers) == {"cctv", "phone_a", "phone_b", "phone_c", "copy", "stranger"}
    assert all((staged / clip["path"]).is_file() for clip in incident["clips"])
    width, height = truth["clips"]["cctv"]["width_px"], truth["clips"]["cctv"]["height_px"]
    kinds = {}
    for region in incident["regions"]:
        points = np.array(region["polygon_px"])
        assert region["clip"] in identifiers and len(points) >= 3
        assert (points >= -0.01).all() and (points <= [width, height]).all()
        kinds[region["name"]] = region["kind"]
    assert kinds == {"bench": "watch", "path": "watch", "doorway": "watch", "tree": "occluder"}
    expected = {claim["id"]: claim["verdict"] for claim in truth["claims"]}
    assert {c["id"] for c in incident["claims"]} == set(expected)
    assert set(expected.values()) == {"supported", "contradicted", "undecided"}
    for claim in incident["claims"]:
        assert claim["expects"]["kind"] in {"before", "within", "at-once", "count", "visible"}


def test_activity_bears_out_the_verdicts(truth: dict[str, Any]) -> None:
    shots = [shot["incident_s"] for shot in truth["shots"]]
    assert len(shots) == 3 and shots[-1] - shots[0] < 10
    enters = [e for e in truth["activity"] if (e["kind"], e["region"]) == ("enters", "bench")]
    assert {"approacher-1", "approacher-2"} <= {
        e["role"] for e in enters if e["incident_s"] < shots[0]
    }
    falls = [e for e in truth["activity"] if e["kind"] == "falls"]
    assert len(falls) == 1 and 0 < falls[0]["incident_s"] - shots[0] < 2
    runs = [e for e in truth["activity"] if e["kind"] == "runs"]
    assert runs and all(e["incident_s"] > shots[0] for e in runs)


def test_same_seed_gives_same_pixels(truth: dict[str, Any]) -> None:
    """Frames drawn again, here and now, are those whose hashes the build wrote down."""
    code = (
        "import sys, hashlib, json; sys.path.insert(0, sys.argv[1])\n"
        "import cv2; cv2.setNumThreads(1)\n"
        "from staged import views; from staged.plan import PHONES, make_plan\n"
        "other = views.PhoneView(make_plan(1, True), PHONES[2])\n"  # leaves its own caches behind
        "for frame in other.frames(set(range(100, 130))): pass\n"
        "found = []\n"
        "for k, frame in enumerate(views.FixedView(make_plan(1, True)).frames()):\n"
        "    if k % 25 == 0: found.append(hashlib.blake2b(frame.planes.tobytes(), digest_size=16)"
        ".hexdigest())\n"
        "    if k == 50: break\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(SAMPLES)],
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    known = truth["clips"]["cctv_original"]["rendered_blake2b"]["hashes"]
    assert json.loads(done.stdout) == known[:3]


def test_samples_do_not_lean_on_the_library() -> None:
    for source in SAMPLES.rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        assert "import forensics" not in text and "from forensics" not in text, source
        assert len(text.splitlines()) <= 500, source
