"""Redaction: no gap, nothing to bring back, nothing written silently."""

from __future__ import annotations

import io
import json
import zipfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from making import moving_square, write_video
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from forensics import plots_align, plots_edits, plots_markings, redact, scan, video
from forensics.clip import open_clip
from forensics.errors import ExtraMissing, PolicyError
from forensics.incident import write_shareable
from forensics.model import (
    Alignment,
    Box,
    Clip,
    Coverage,
    Examination,
    Observation,
    Placement,
    Quantity,
    Redaction,
    Sighting,
    Span,
)
from forensics.provenance import Ledger, conclude, keep, method
from forensics.redact_tracks import cover, link
from forensics.redact_write import hide, mask_voice
from forensics.report_figures import Prints


def _faces(media: Path) -> NDArray[np.uint8]:
    path = media / "photos" / "skimage" / "astronaut.png"
    return np.asarray(Image.open(path).convert("RGB"))


def _walk(face: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """A picture of a face carried across a textured view."""
    frames = []
    for number, scene in enumerate(moving_square(count, width=640, height=360)):
        left = 20 + 8 * number
        scene[40:300, left : left + 200] = face[:260, 110:310]
        frames.append(scene)
    return frames


@pytest.fixture(scope="module")
def walk(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = _walk(_faces(media), 30)
    return write_video(tmp_path_factory.mktemp("walk") / "walk.mp4", frames, options={"crf": "23"})


def test_a_track_has_no_gap() -> None:
    boxes = [[Box(10 + 5 * n, 20, 30, 30)] if n not in (4, 5, 6) else [] for n in range(12)]
    covered = cover(link(boxes, max_gap=10), 20, hold=3, factor=1.5)
    assert all(covered[n] for n in range(15))
    assert not covered[16]
    for n in (4, 5, 6):
        true = Box(10 + 5 * n, 20, 30, 30)
        shared = true & covered[n][0]
        assert shared is not None and shared.width * shared.height == pytest.approx(900)


def test_two_regions_stay_two() -> None:
    boxes = [[Box(0, 0, 20, 20), Box(300, 0, 20, 20)] for _ in range(5)]
    assert [len(t.ordinals) for t in link(boxes, max_gap=3)] == [5, 5]


@pytest.mark.parametrize("style", ["solid", "mosaic"])
def test_what_is_hidden_is_gone(style: str) -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 256, (90, 90, 3), dtype=np.uint8) for _ in range(2))
    box = Box(5, 5, 80, 80)
    a, b = hide(one.copy(), [box], style), hide(other.copy(), [box], style)
    inside = a[5:85, 5:85].reshape(-1, 3)
    assert len(np.unique(inside, axis=0)) <= 36
    if style == "solid":
        assert (a[5:85, 5:85] == b[5:85, 5:85]).all()
    assert (a[:5] == one[:5]).all()


def test_no_frame_shows_the_face(
    walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The detector as it is in life: blind now and then, and late.
    calls = iter(range(1000))
    detect = redact._detect
    blind = (0, 1, 2, 12, 13, 14, 15, 27, 28, 29)
    monkeypatch.setattr(
        redact, "_detect", lambda rgb, s: [] if next(calls) in blind else detect(rgb, s)
    )
    clip = open_clip(walk, metadata=False)
    kept = walk.read_bytes()
    out = redact.write_redacted(clip, tmp_path / "out.mp4")
    assert walk.read_bytes() == kept
    copy = open_clip(out)
    assert not any("encoder" in k.lower() for k in copy.container.tags if k != "encoder")
    before = list(scan.iter_pictures(clip))
    after = list(scan.iter_pictures(copy))
    assert [p.pts for p in before] == [p.pts for p in after]
    for number, picture in enumerate(after):
        left = 20 + 8 * number
        # the face proper, where the photograph has it
        patch = picture.rgb[100:190, left + 75 : left + 155]
        assert patch.std() < 6, f"frame {number} shows it"
        assert before[number].rgb[100:190, left + 75 : left + 155].std() > 30
    record = json.loads((tmp_path / "out.mp4.json").read_text("utf-8"))
    assert record["derivative_of"] == clip.digest and record["faces"]["tracks"] >= 1


def test_a_track_says_where_and_never_who(walk: Path) -> None:
    exam = redact.find_faces_to_hide(open_clip(walk, metadata=False))
    assert exam.outcome == "found"
    assert all(isinstance(f.observation.what, Redaction) for f in exam)
    assert set(Redaction.__struct_fields__) == {"kind", "style", "frames", "box"}


def test_an_empty_view_has_nothing_to_hide(moving: Path) -> None:
    exam = redact.find_faces_to_hide(open_clip(moving, metadata=False))
    assert exam.outcome == "nothing-found" and exam.coverage.units_seen == 100


def test_sound_is_dropped_masked_or_kept(moving: Path, tmp_path: Path) -> None:
    clip = open_clip(moving, metadata=False)
    region = [(Span.of(0, 1), Box(10, 10, 50, 50))]
    dropped = redact.write_redacted(clip, tmp_path / "a.mp4", faces=False, regions=region)
    assert open_clip(dropped, metadata=False).audio is None
    kept = redact.write_redacted(
        clip, tmp_path / "b.mp4", faces=False, regions=region, sound="keep"
    )
    sound, again = scan.read_sound(clip), scan.read_sound(open_clip(kept, metadata=False))
    assert abs(again.duration_s - sound.duration_s) < 0.05
    pictures = list(scan.iter_pictures(open_clip(dropped, metadata=False)))
    assert pictures[10].rgb[20:50, 20:50].std() < 4
    assert pictures[60].rgb[20:50, 20:50].std() > 4


def test_a_masked_voice_has_no_words() -> None:
    time = np.arange(48000 * 2) / 48000
    spoken = (np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 4 * time) > 0)).astype(
        np.float32
    )
    sound = scan.Sound(spoken[:, None] * 0.4, 48000, Fraction(0))
    masked = mask_voice(sound).mono
    spectrum = np.abs(np.fft.rfft(masked))
    assert spectrum[430:450].max() < 3 * np.median(spectrum) * 3
    # the four bursts a second, which carry the syllables, are gone as well
    step = masked[: 48000 * 2 // 600 * 600].reshape(-1, 600)
    beat = np.abs(np.fft.rfft(step.std(axis=1) - step.std()))
    assert beat[8] < 2 * np.median(beat[2:40]) * 3


def test_nothing_unredacted_by_accident(moving: Path, tmp_path: Path) -> None:
    clip = open_clip(moving, metadata=False)
    with pytest.raises(PolicyError, match="unredacted"):
        redact.write_redacted(clip, tmp_path / "x.mp4", faces=False)
    with pytest.raises(PolicyError, match="overwritten"):
        redact.write_redacted(clip, moving)
    assert not (tmp_path / "x.mp4").exists()
    out = redact.write_redacted(clip, tmp_path / "x.mp4", faces=False, unredacted=True)
    assert json.loads(Path(f"{out}.json").read_text("utf-8"))["unredacted"] is True


def test_a_plate_seen_now_and_then_is_hidden_throughout(moving: Path, tmp_path: Path) -> None:
    clip = open_clip(moving, metadata=False)
    # Seen five times a second, on its way to the right.
    seen = [(Fraction(n, 5), Box(40 + 6 * n, 60, 30, 8)) for n in range(1, 12)]
    out = redact.write_redacted(clip, tmp_path / "a.mp4", faces=False, plates=seen)
    pictures = list(scan.iter_pictures(open_clip(out, metadata=False)))
    for number in range(5, 56):
        left = int(40 + 6 * number / 5)
        assert pictures[number].rgb[62:66, left + 4 : left + 26].std() < 6, number
    record = json.loads(Path(f"{out}.json").read_text("utf-8"))
    assert record["plates"] == {"sightings": 11, "tracks": 1, "factor": redact.PLATE_FACTOR}
    assert record["unredacted"] is False


def _plate_clip(folder: Path) -> tuple[Path, list[tuple[int, int]]]:
    """A close view of a number plate that moves."""
    from insignia_designs import plate

    drawn = cv2.resize(plate("1234 AB-7"), (156, 34), interpolation=cv2.INTER_AREA)[..., :3]
    frames, places = [], []
    for number, scene in enumerate(moving_square(20, width=480, height=320)):
        left, top = 60 + 5 * number, 150
        scene[top : top + 34, left : left + 156] = drawn
        frames.append(scene)
        places.append((left, top))
    return write_video(folder / "plate.mp4", frames, options={"crf": "20"}), places


def test_a_shareable_copy_hides_plates_by_default(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="plates are found by its models")
    path, places = _plate_clip(tmp_path)
    clip = open_clip(path, metadata=False)
    out = write_shareable(clip, tmp_path / "out.mp4", faces=False)
    for picture, (left, top) in zip(
        scan.iter_pictures(open_clip(out, metadata=False)), places, strict=True
    ):
        assert picture.rgb[top + 8 : top + 26, left + 20 : left + 136].std() < 8, picture.ordinal
    with pytest.raises(PolicyError, match="overwritten"):
        write_shareable(clip, out)
    with pytest.raises(PolicyError, match="unredacted"):
        write_shareable(clip, tmp_path / "b.mp4", faces=False, plates=False)
    bare = write_shareable(clip, tmp_path / "c.mp4", unredacted=True)
    assert json.loads(Path(f"{bare}.json").read_text("utf-8"))["unredacted"] is True


def test_without_a_reader_of_plates_nothing_is_written(
    moving: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> dict[str, str]:
        raise ExtraMissing("no models", extra="ocr")

    monkeypatch.setattr("forensics.vehicles_hide.text_models", missing)
    clip = open_clip(moving, metadata=False)
    with pytest.raises(ExtraMissing, match="nothing was written"):
        write_shareable(clip, tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


# -- every door covers bystanders unless it is told not to --------------------------------------


def _shows(rgb: NDArray[np.uint8]) -> bool:
    return bool(redact._detect(np.ascontiguousarray(rgb), 0.5))


@method("test-redact-doors", version="1")
def find_patch(clip: Clip, *, crop: bytes) -> Examination:
    """A patch whose crop shows whoever stands behind."""
    shown = keep(crop, media_type="image/png", label="patch as seen")
    what = Sighting("patch", 0, Fraction(0), "0" * 64, Box(30, 30, 200, 260), "examiner:A")
    seen = Observation(what, Span.of(0, 0), 1.0, artefacts=(shown,))
    return conclude([seen], coverage=Coverage(Span.of(0, 1), 1))


def test_no_door_shows_a_face_by_default(walk: Path, media: Path, tmp_path: Path) -> None:
    clip = open_clip(walk, metadata=False)
    found = video.find_keyframes(clip, every_s=0.4)
    for unredacted in (False, True):
        packed = plots_edits.write_keyframes(
            clip, found, tmp_path / f"{unredacted}.zip", unredacted=unredacted
        )
        with zipfile.ZipFile(packed) as archive:
            names = [n for n in archive.namelist() if n.endswith(".jpg")]
            shown = [_shows(np.array(Image.open(io.BytesIO(archive.read(n))))) for n in names]
        assert all(shown) if unredacted else not any(shown)

    exam = found
    place = Placement(clip.digest, Quantity.exact(0.0, "s"), Quantity.exact(0.0, "ppm"),
                      "reference", ())  # fmt: skip
    alignment = Alignment(exam.origin, clip.digest, (place,), (), (), ())
    face = Image.fromarray(_faces(media)[:260, 110:310])
    content = io.BytesIO()
    face.save(content, "PNG")

    patch = find_patch(clip, crop=content.getvalue())
    for unredacted in (False, True):
        figures = [
            plots_align.draw_cameras_at(alignment, [clip], 0.4, unredacted=unredacted),
            plots_markings.draw_contact_sheet(patch, columns=1, cover=not unredacted),
            plots_edits.draw_keyframes(clip, found, columns=1, unredacted=unredacted),
        ]
        strip = Figure(figsize=(9, 2))
        plots_edits.draw_strip(clip, strip.subplots(), count=3, unredacted=unredacted)
        canvas = FigureCanvasAgg(strip)
        canvas.draw()
        assert _shows(np.asarray(canvas.buffer_rgba())[..., :3]) == unredacted
        for number, figure in enumerate(figures):
            figure.set_dpi(140)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            drawn = np.asarray(canvas.buffer_rgba())[..., :3]
            assert _shows(drawn) == unredacted, (number, unredacted)
            said = " ".join(text.get_text() for text in figure.findobj(Text))
            assert ("UNREDACTED" in said) == unredacted, number
        prints = Prints(Ledger(tmp_path / "ledger.jsonl"), unredacted=unredacted)
        prints.figure(patch.findings[0].observation.artefacts[0], "")
        (printed,) = prints.content.values()
        assert _shows(np.array(Image.open(io.BytesIO(printed)).convert("RGB"))) == unredacted
