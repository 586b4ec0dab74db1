"""One decode: exact times, key frames alone, late columns, and a cache that never lies."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from making import moving_square, write_video

from forensics import open_clip, scan, scan_packets, video_measure
from forensics.errors import ClipChanged, ClipRefused, StreamMissing
from forensics.scan_threads import _matrix_threads
from forensics.video_measure import FrameRows, measure_frames


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(
        tmp_path / "evidence" / "a.mp4" if (tmp_path / "evidence").mkdir() is None else tmp_path,
        moving_square(60), options={"crf": "20", "g": "20", "bf": "2", "sc_threshold": "0"},
    )  # fmt: skip


def test_ordinals_and_times_are_exact(clip: Path) -> None:
    measured = scan.scan(open_clip(clip, metadata=False), [])
    assert len(measured) == 60
    assert [measured.time(n) for n in (0, 1, 59)] == [Fraction(n, 25) for n in (0, 1, 59)]
    assert measured.key.nonzero()[0].tolist() == [0, 20, 40]


def test_key_frames_alone_keep_their_place_among_all(clip: Path) -> None:
    opened = open_clip(clip, metadata=False)
    keys = scan.scan(opened, [FrameRows()], keys_only=True)
    full = scan.scan(opened, [FrameRows()])
    assert keys.columns["ordinal"].tolist() == [0, 20, 40]
    assert keys.pts.tolist() == full.pts[[0, 20, 40]].tolist()
    assert (keys.planes["thumbs"] == full.planes["thumbs"][[0, 20, 40]]).all()
    assert keys.position(1) == full.position(20)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_pictures_of_an_avi_coded_out_of_order_keep_their_times(tmp_path: Path, codec: str) -> None:
    # AVI numbers its packets; the demuxer takes that for when each picture is shown.
    options = {"g": "20", "bf": "2", "sc_threshold": "0"}
    path = write_video(tmp_path / "a.avi", moving_square(60), codec=codec, options=options)
    opened = open_clip(path, metadata=False)
    measured = scan.scan(opened, [FrameRows()])
    assert np.diff(measured.pts).tolist() == [1] * (len(measured) - 1)
    assert len(measured) == 60
    keys = scan.scan(opened, [FrameRows()], keys_only=True)
    assert keys.pts.tolist() == measured.pts[measured.key].tolist()
    frames, _ = scan.read_stretch(opened, 0, len(measured))
    wanted = [(n, int(measured.pts[n])) for n in (0, 13, 14, 20, 33)]
    for (n, _), picture in zip(wanted, scan.read_pictures(opened, wanted), strict=True):
        grey = cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2YUV)[..., 0].astype(int)
        away = [np.abs(grey - 1.164 * (f[: len(grey)].astype(int) - 16)).mean() for f in frames]
        assert int(np.argmin(away)) == n


def test_the_grey_view_does_not_depend_on_the_tag_of_the_colours(tmp_path: Path) -> None:
    frames = [cv2.merge([f[..., 0], np.roll(f[..., 0], 40, 1), 255 - f[..., 0]]) for f in
              moving_square(20)]  # fmt: skip
    seen = []
    for tag in ("2", "1"):  # none; BT.709
        path = tmp_path / f"{tag}.mp4"
        write_video(path, frames, options={"crf": "20", "colorspace": tag})
        seen.append(scan.scan(open_clip(path, metadata=False), [FrameRows()]))
        with av.open(str(path)) as container:
            assert next(container.decode(video=0)).colorspace == int(tag)
    assert (seen[0].planes["thumbs"] == seen[1].planes["thumbs"]).all()
    assert (seen[0].columns["level"] == seen[1].columns["level"]).all()


def test_what_is_judged_by_the_dozen_is_judged_alike(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_clip(clip, metadata=False)
    whole = scan.scan(opened, [FrameRows()])
    monkeypatch.setattr(video_measure, "CHUNK", 1)
    single = scan.scan(opened, [FrameRows()])
    assert np.isfinite(whole.columns["flow_ahead"]).any()
    for name, values in whole.columns.items():
        assert np.array_equal(values, single.columns[name], equal_nan=True), name


def test_a_picture_read_alone_is_the_one_a_full_decode_gives(clip: Path) -> None:
    opened = open_clip(clip, metadata=False)
    measured = scan.scan(opened, [])
    everything = list(scan.iter_pictures(opened))
    alone = scan.read_pictures(opened, [(n, int(measured.pts[n])) for n in (33, 7)])
    assert [p.pixel_hash for p in alone] == [everything[n].pixel_hash for n in (33, 7)]
    assert [p.ordinal for p in alone] == [33, 7]


def test_a_stretch_is_the_frames_asked_for(clip: Path) -> None:
    opened = open_clip(clip, metadata=False)
    whole, _ = scan.read_stretch(opened, 0, 60)
    part, stamps = scan.read_stretch(opened, 10, 13)
    assert part.shape == (3, 270, 320) and (part == whole[10:13]).all()
    assert len(stamps) == 3 and (np.diff(stamps) > 0).all()
    assert scan.read_stretch(opened, 0, 2, width_px=160)[0].shape[2] == 160


def test_the_cache_answers_for_the_same_bytes_only(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_clip(clip, metadata=False)
    decodes = []

    def compute() -> scan.Measurements:
        decodes.append(1)
        return scan.scan(opened, [FrameRows()])

    scan.forget()
    with scan.disk_cache(tmp_path / "cache"):
        first = scan.measurements(opened, "v1", compute)
        again = scan.measurements(opened, "v1", compute)
        assert again is first and len(decodes) == 1
        scan.forget()
        stored = scan.measurements(opened, "v1", compute)
        assert len(decodes) == 1
        assert stored.time(7) == first.time(7) and stored.stream == first.stream
        for name, column in first.columns.items():
            np.testing.assert_array_equal(stored.columns[name], column)
        for name, plane in first.planes.items():
            np.testing.assert_array_equal(stored.planes[name], plane)
        scan.measurements(opened, "v2", compute)
        assert len(decodes) == 2
        # One flipped byte in the stored file: measured again, never half believed.
        scan.forget()
        [path] = [p for p in (tmp_path / "cache").iterdir() if len(decodes) == 2][:1]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        for stored_file in (tmp_path / "cache").iterdir():
            stored_file.write_bytes(data)
        scan.measurements(opened, "v1", compute)
        assert len(decodes) == 3
    with open(clip, "ab") as file:
        file.write(b"x")
    with pytest.raises(ClipChanged):
        scan.measurements(opened, "v1", compute)


def test_nothing_is_written_beside_the_evidence(clip: Path) -> None:
    opened = open_clip(clip, metadata=False)
    before = sorted(clip.parent.iterdir())
    scan.forget()
    with scan.disk_cache(clip.parent), pytest.raises(ClipRefused, match="beside"):
        measure_frames(opened)
    scan.forget()
    measure_frames(opened)
    assert sorted(clip.parent.iterdir()) == before


def test_the_memory_cache_is_bounded(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forensics import scan_cache

    monkeypatch.setattr(scan_cache, "MEMORY_BYTES", 1)
    scan.forget()
    opened = open_clip(clip, metadata=False)
    for version in ("a", "b", "c"):
        scan.measurements(opened, version, lambda: scan.scan(opened, []))
    assert len(scan_cache._kept) == 1


def test_sound_alone_has_no_pictures(tone: Path) -> None:
    with pytest.raises(StreamMissing):
        scan.scan(open_clip(tone, metadata=False), [])


def test_one_thread_holds_and_puts_back() -> None:
    """Inside, also twice inside, one thread; afterwards what the caller had."""
    matrix = _matrix_threads()
    assert matrix is not None
    get, put = matrix
    usual = cv2.getNumThreads(), get()
    cv2.setNumThreads(2)
    put(2)
    before = cv2.getNumThreads(), get()
    try:
        with pytest.raises(KeyError), scan.one_thread():
            with scan.one_thread():
                assert (cv2.getNumThreads(), get()) == (1, 1)
            assert (cv2.getNumThreads(), get()) == (1, 1)
            raise KeyError
        assert (cv2.getNumThreads(), get()) == before == (2, 2)
    finally:
        cv2.setNumThreads(usual[0])
        put(usual[1])


class Watched:
    """A codec context that notes when it is flushed."""

    def __init__(self, context: object) -> None:
        self.context, self.flushed = context, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.context, name)

    def flush_buffers(self) -> None:
        self.flushed += 1
        self.context.flush_buffers()  # type: ignore[attr-defined]


def test_a_decoder_left_in_the_middle_is_at_rest_before_it_is_freed(clip: Path) -> None:
    # Freed at work it may wait for ever: seen once in some thousand clips read in part.
    opened = open_clip(clip, metadata=False)
    with scan_packets.open_container(opened.path) as container:
        decoder = scan_packets.Decoder(container, scan.video_stream(opened))
        decoder.context = watched = Watched(decoder.context)
        frames = decoder.frames()
        assert next(frames).pts == 0
        assert not watched.flushed
        frames.close()
        assert watched.flushed == 1
