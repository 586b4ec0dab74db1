"""Streams that change in the middle: read as far as they keep their shape, never a traceback."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from walkers import street

from forensics import container, edits, scan, video
from forensics.clip import open_clip
from forensics.edits_make import write_clip


def _part(frames: list[NDArray[np.uint8]], path: Path) -> bytes:
    with av.open(str(path), "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "20"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes()


@pytest.fixture
def resized(tmp_path: Path) -> Path:
    """Two seconds at 320x240, then two at 160x120, as an elementary stream."""
    rng = np.random.default_rng(0)
    large = [rng.integers(0, 255, (240, 320, 3), dtype=np.uint8) for _ in range(50)]
    small = [rng.integers(0, 255, (120, 160, 3), dtype=np.uint8) for _ in range(50)]
    path = tmp_path / "resized.h264"
    path.write_bytes(_part(large, tmp_path / "a.h264") + _part(small, tmp_path / "b.h264"))
    return path


def test_a_picture_size_that_changes(resized: Path) -> None:
    clip = open_clip(resized, metadata=False)
    seen = scan.scan(clip, [])
    assert [size[1:] for size in seen.sizes] == [(320, 240), (160, 120)]
    assert edits.find_edits(clip).outcome != "failed"


def test_a_bare_stream_has_the_times_its_rate_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    base = rng.integers(60, 200, (120, 160, 3), dtype=np.uint8)
    frames = [np.roll(base, (number, 2 * number), axis=(0, 1)) for number in range(60)]
    path = tmp_path / "bare.h264"
    _part(frames, path)
    clip = open_clip(path, metadata=False)
    assert clip.video is not None and clip.video.frame_rate == 25
    seen = scan.scan(clip, [])
    assert len(seen) == 60 and seen.unstamped >= 59
    assert np.allclose(np.diff(seen.seconds), 0.04) and seen.seconds[0] == 0
    exam = video.find_discontinuities(clip)
    assert exam.coverage.span is not None and float(exam.coverage.span.end) == pytest.approx(2.36)
    assert exam.measures["frame_rate"].value == 25 and "assumed" in exam.measures["frame_rate"].note
    found = video.find_keyframes(clip, every_s=1.0)
    assert [float(o.what.pts) for o in found.observations] == pytest.approx([0, 1, 2])
    sheet = video.find_keyframes(clip, key_frames_only=True)
    assert sheet.outcome == "found" and sheet.observations[0].what.ordinal == 0


def test_a_sound_format_that_changes(tmp_path: Path) -> None:
    def adts(rate: int, layout: str, name: str) -> bytes:
        channels = 2 if layout == "stereo" else 1
        path = tmp_path / name
        with av.open(str(path), "w", format="adts") as out:
            voice = out.add_stream("aac", rate=rate, layout=layout)
            for start in range(0, rate, 1024):
                tone = np.sin(2 * np.pi * 440 * np.arange(start, start + 1024) / rate)
                piece = np.repeat(tone[None].astype(np.float32), channels, axis=0)
                frame = av.AudioFrame.from_ndarray(0.3 * piece, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
                out.mux(voice.encode(frame))
            out.mux(voice.encode(None))
        return path.read_bytes()

    path = tmp_path / "changed.aac"
    path.write_bytes(adts(44100, "stereo", "a.aac") + adts(44100, "mono", "b.aac"))
    sound = scan.read_sound(open_clip(path, metadata=False))
    assert sound.duration_s > 1.8
    assert np.abs(sound.mono[-20000:-5000]).max() > 0.1


def _transport(path: Path, seconds: int) -> Path:
    """Pictures alone, as a transport stream that begins at a second and a half."""
    with av.open(str(path), "w", format="mpegts") as out:
        stream = out.add_stream("mpeg2video", rate=25, options={"b": "2000000"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        noise = np.random.default_rng(0)
        for number in range(25 * seconds):
            rgb = noise.integers(0, 255, (240, 320, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_a_transport_stream_lasts_as_long_as_it_says(tmp_path: Path) -> None:
    exam = container.find_discontinuities(
        open_clip(_transport(tmp_path / "a.ts", 4), metadata=False)
    )
    assert not [o for o in exam.observations if o.what.kind == "duration-mismatch"]


def test_packets_lost_on_the_way_are_said_to_be_lost(tmp_path: Path) -> None:
    raw = _transport(tmp_path / "a.ts", 4).read_bytes()
    packets = [raw[at : at + 188] for at in range(0, len(raw), 188)]
    kept = [p for number, p in enumerate(packets) if number < 20 or number % 400]
    (tmp_path / "b.ts").write_bytes(b"".join(kept))
    exam = container.find_discontinuities(open_clip(tmp_path / "b.ts", metadata=False))
    [lost] = [o for o in exam.observations if "packets of the stream are missing" in o.note]
    assert lost.what.explanations[0].name == "packet-loss" and lost.score < container.ALARM
    # Two recordings one behind the other break the counters in one place: that is no loss.
    (tmp_path / "c.ts").write_bytes(raw + raw)
    joined = container.find_discontinuities(open_clip(tmp_path / "c.ts", metadata=False))
    assert not [o for o in joined.observations if "are missing" in o.note]
    assert [o for o in joined.observations if "cannot be true" in o.note]


def test_a_clock_that_starts_again_is_counted_on_and_said(tmp_path: Path) -> None:
    view = street(120)
    for name, rows in (("a.ts", view[:50]), ("b.ts", view[80:])):
        write_clip(tmp_path / name, rows, np.arange(len(rows)), Fraction(12))
    path = tmp_path / "joined.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    clip = open_clip(path, metadata=False)
    seen = scan.scan(clip, [])
    assert len(seen) == 90 and [ordinal for ordinal, _ in seen.restarts] == [50]
    assert np.allclose(np.diff(seen.seconds), 1 / 12, atol=1e-4)
    # Where a stamp stands twice, a picture is found by its place.
    hashes = {p.ordinal: p.pixel_hash for p in scan.iter_pictures(clip)}
    assert sorted(hashes) == list(range(90))
    picked = video.find_keyframes(clip, every_s=0.5).observations
    assert len(picked) == 15
    assert all(hashes[o.what.ordinal] == o.what.pixel_hash for o in picked)
    exam = edits.find_edits(clip, levels=("container", "frame"))
    assert "start again at frame 50" in exam.reason
    [clock] = [o for o in exam.observations if o.what.kind == "pts-reversed"]
    assert clock.score >= container.ALARM and clock.what.verdict == "inconclusive"
    joint = [o for o in exam.observations if o.what.level == "frame" and o.score >= 0.5]
    assert [round(float(o.span.start - seen.time(49)), 3) for o in joint] == [0.0]
