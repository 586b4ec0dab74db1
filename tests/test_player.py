"""The figures and the player: the right frame at the right time, offline, nothing unredacted."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
from making import write_sound, write_video
from numpy.typing import NDArray

import forensics
from forensics import player, plots_align
from forensics.errors import PolicyError, RecordInvalid
from forensics.model import (
    Alignment,
    Claim,
    Clip,
    Count,
    Coverage,
    Examination,
    Finding,
    Observation,
    Origin,
    PairEvidence,
    Placement,
    Quantity,
    SoundEvent,
    Span,
    Uncalibrated,
    Unplaced,
    Verdict,
)
from forensics.player_proxy import frames_at, make_proxy

RATE = 25


def frames(count: int, base: int) -> list[NDArray[np.uint8]]:
    """Frame n has n in grey steps of 4 on the left half and a moving texture on the right."""
    rng = np.random.default_rng(base)
    wall = rng.integers(0, 255, (96, 80, 3), np.uint8)
    out = []
    for n in range(count):
        picture = np.full((96, 160, 3), 20 + 4 * (n % 50), np.uint8)
        picture[:, 80:] = np.roll(wall, 2 * n, axis=1)
        out.append(picture)
    return out


def number_of(rgb: NDArray[np.uint8]) -> int:
    height, width = rgb.shape[:2]
    part = rgb[height // 4 : 3 * height // 4, width // 8 : 3 * width // 8]
    return round((float(part.mean()) - 20) / 4)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("player")
    tone = 0.2 * np.sin(np.arange(48000 * 2) * 0.05).astype(np.float32)
    paths = [
        write_video(folder / "a.mp4", frames(50, 1), rate=RATE, sound=tone),
        write_video(folder / "b <script>.mp4", frames(40, 2), rate=RATE),
        write_sound(folder / "only sound.wav", tone[:48000]),
    ]
    return [forensics.open_clip(p, metadata=False) for p in paths]


def origin(clip: Clip) -> Origin:
    return Origin("test", "1", (clip.digest,), {}, {})


@pytest.fixture(scope="module")
def alignment(clips: list[Clip]) -> Alignment:
    def place(clip: Clip, offset: float, half: float, basis: str, drift: float = 0.0) -> Placement:
        return Placement(
            clip.digest, Quantity(offset, "s", offset - half, offset + half),
            Quantity(drift, "ppm", drift - 1, drift + 1), basis, (clips[0].digest,),  # type: ignore[arg-type]
        )  # fmt: skip

    return Alignment(
        origin(clips[0]), clips[0].digest,
        (place(clips[0], 0, 0, "reference"), place(clips[1], 1.0, 0.1, "sound", 50.0),
         place(clips[2], 0.5, 0.2, "sound")),
        (PairEvidence(clips[0].digest, clips[1].digest, "sound", None, 1.0, True),),
        (tuple(c.digest for c in clips),),
        (Unplaced("0" * 64, "not-applicable", "digital silence only"),),
        warnings=("hangs on a single pair",),
    )  # fmt: skip


def heard(clip: Clip, time: float) -> Examination:
    what = SoundEvent("impulse", Span.of(time, time).start, Quantity.exact(20, "dB"))
    seen = Observation(what, Span.of(time, time), 0.9)
    unknown = Uncalibrated("test")
    return Examination(
        origin(clip), "found", (Finding(seen, origin(clip), unknown),), Coverage(Span.of(0, 2))
    )


def test_a_proxy_keeps_every_frame_and_its_time(clips: list[Clip]) -> None:
    proxy = make_proxy(clips[0])
    assert len(proxy.frames_s) == 50
    assert proxy.frames_s[:3] == pytest.approx((0, 0.04, 0.08), abs=1e-3)
    with av.open(io.BytesIO(proxy.data)) as box:
        got = [(float(f.time or 0), number_of(f.to_ndarray(format="rgb24")))
               for f in box.decode(video=0)]  # fmt: skip
        kinds = {s.type for s in box.streams}
    assert kinds == {"video", "audio"}
    # Two encodings blur a step of grey; a frame lost or doubled would shift all that follow.
    assert np.abs(np.array([n for _, n in got]) - np.arange(50)).max() <= 1
    assert abs(np.mean([n - k for k, (_, n) in enumerate(got)])) < 0.3
    assert [t for t, _ in got] == pytest.approx(list(proxy.frames_s), abs=1e-3)


def test_a_proxy_of_a_stretch_starts_there(clips: list[Clip]) -> None:
    proxy = make_proxy(clips[0], span=Span.of(0.8, 1.2))
    assert proxy.start_s == 0.8
    with av.open(io.BytesIO(proxy.data)) as box:
        first = next(box.decode(video=0))
        assert abs(number_of(first.to_ndarray(format="rgb24")) - 20) <= 1


def test_a_proxy_stays_under_two_megabytes_a_minute(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    worst = (rng.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(75))
    clip = forensics.open_clip(
        write_video(tmp_path / "noise.mp4", worst, rate=RATE), metadata=False
    )
    proxy = make_proxy(clip)
    # The encoder's buffer allows one second of headroom in a clip this short.
    assert len(proxy.data) <= 2_000_000 * (75 / RATE + 1) / 60


def test_frames_at_gives_the_picture_on_show(clips: list[Clip]) -> None:
    times = [-0.5, 0.0, 0.039, 0.041, 1.0, 1.99, 2.5]
    shown = [None if p is None else number_of(p.rgb) for p in frames_at(clips[0], times)]
    assert shown == [None, 0, 0, 1, 25, 49, None]
    assert list(frames_at(clips[2], [0.1])) == [None]


def test_the_page_is_whole_and_asks_nobody(
    alignment: Alignment, clips: list[Clip], tmp_path: Path
) -> None:
    out = player.write_player(
        alignment, clips, tmp_path / "p.html", unredacted=True, examinations=[heard(clips[1], 0.5)]
    )
    page = out.read_text("utf-8")
    assert not re.search(r"https?://|//cdn|@import|<link|src=", page)
    assert "default-src 'none'" in page
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data = json.loads(found[1])
    assert [c["name"] for c in data["clips"]] == [clips[0].name, clips[2].name, clips[1].name]
    assert "<script>.mp4" not in page
    (event,) = data["events"]
    assert event["time_s"] == pytest.approx(1.5, abs=1e-3)
    late = data["clips"][2]
    assert late["rate"] == pytest.approx(1 + 50e-6)
    assert len(late["frames"]) == 40
    assert data["to_s"] == pytest.approx(1 + 1.6 * late["rate"], abs=0.05)
    with pytest.raises(FileExistsError):
        player.write_player(alignment, clips, out, unredacted=True)


def test_nothing_unredacted_leaves_without_saying_so(
    alignment: Alignment, clips: list[Clip], tmp_path: Path
) -> None:
    with pytest.raises(PolicyError):
        player.write_player(alignment, clips, tmp_path / "p.html")
    with pytest.raises(PolicyError):
        player.write_mosaic(alignment, clips, tmp_path / "m.mp4")
    grey = (np.full((96, 160, 3), 7, np.uint8) for _ in range(50))
    hidden = forensics.open_clip(write_video(tmp_path / "r.mp4", grey, rate=RATE), metadata=False)
    redacted = {clips[0].digest: hidden, clips[1].digest: hidden}
    out = player.write_mosaic(alignment, clips, tmp_path / "m.mp4", redacted=redacted)
    with av.open(str(out)) as box:
        picture = next(box.decode(video=0)).to_ndarray(format="rgb24")
    assert float(picture[80:200, 100:300].mean()) < 20


def test_the_widget_gets_the_same(alignment: Alignment, clips: list[Clip]) -> None:
    pytest.importorskip("anywidget")
    widget = player.show_player(alignment, clips, from_s=0.5, to_s=1.5)
    assert len(widget.media) == len(widget.data["clips"]) == 3
    assert widget.data["from_s"] == pytest.approx(0.5, abs=1e-6)
    assert widget.data["to_s"] == pytest.approx(1.5, abs=1e-3)
    assert "export default" in widget._esm
    with pytest.raises(RecordInvalid):
        player.show_player(alignment, clips, from_s=50, to_s=60)
    with pytest.raises(RecordInvalid):
        player.show_player(alignment, clips, component=3)


def test_the_mosaic_shows_both_cameras_at_one_time(
    alignment: Alignment, clips: list[Clip], tmp_path: Path
) -> None:
    out = player.write_mosaic(
        alignment, clips, tmp_path / "m.mp4", from_s=0.8, to_s=1.6, width_px=160, unredacted=True
    )
    with av.open(str(out)) as box:
        pictures = [f.to_ndarray(format="rgb24") for f in box.decode(video=0)]
    assert len(pictures) == 21

    def field(picture: NDArray[np.uint8], left: int) -> int:
        block = picture[48 + 10 : 48 + 80, left + 20 : left + 60]
        return round((float(block.mean()) - 20) / 4)

    # At incident 0.8 s only the first camera runs; at 1.4 s the second, whose clock runs slow,
    # has not quite come to its frame 10.
    assert field(pictures[0], 0) == 20
    assert field(pictures[15], 0) == 35
    assert field(pictures[15], 160) == pytest.approx(9, abs=1)
    assert float(pictures[0][:24, :160].max()) > 150


def test_picture_at_is_the_frame_on_show(clips: list[Clip]) -> None:
    picture = plots_align.picture_at(clips[0], 0.999)
    assert picture is not None
    assert (picture.ordinal, number_of(picture.rgb)) == (24, 24)
    assert plots_align.picture_at(clips[0], 9.0) is None
    assert plots_align.picture_at(clips[2], 0.1) is None


def test_every_camera_at_one_time(alignment: Alignment, clips: list[Clip]) -> None:
    figure = plots_align.draw_cameras_at(alignment, clips, 0.6)
    titles = [axes.get_title() for axes in figure.axes]
    assert "frame 15" in titles[0]
    told = " ".join(t.get_text().replace("\n", " ") for axes in figure.axes for t in axes.texts)
    assert "not recording" in told
    assert "no picture" in told
    shown = figure.axes[0].images[0].get_array()
    assert shown is not None
    assert number_of(np.asarray(shown)) == 15


def test_the_timeline_draws_what_is_known(alignment: Alignment, clips: list[Clip]) -> None:
    claim = Claim("c", "one blow", "a witness", Count("impulse", 1))
    verdict = Verdict(claim, "supported", (), (), "heard once")
    figure = plots_align.draw_timeline(
        alignment, clips, examinations=[heard(clips[1], 0.5)], verdicts=[verdict]
    )
    bars = figure.axes[0].patches
    lefts = sorted(p.get_x() for p in bars if p.get_height() == pytest.approx(0.55))
    assert lefts == pytest.approx([0.0, 0.5, 1.0])
    texts = [t.get_text() for axes in figure.axes for t in axes.texts]
    assert any("±0.100" in t.replace("± ", "±") for t in texts)
    assert any("digital silence" in t for t in texts)
    assert any("one blow" in t for t in texts)
    assert "impulse" in texts
    assert any("hangs on" in t for t in texts)
    with pytest.raises(RecordInvalid):
        plots_align.draw_timeline(alignment, clips[:1])
