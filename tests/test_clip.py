"""Opening untrusted files: identity, exact streams, hostile names, limits, nothing written."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from making import write_video

from forensics import scan
from forensics.clip import Limits, check_unchanged, open_clip
from forensics.errors import (
    ClipChanged,
    ClipNotFound,
    ClipRefused,
    ClipUnreadable,
    ForensicsError,
    StreamMissing,
    ToolError,
    printable,
)
from forensics.tools import find_tool, read_metadata

HOSTILE = [
    "-rf.mp4", "@list.mp4", "concat:a|b.mp4", "http:--example.mp4", "a\nb.mp4",
    "a\n-execute\nb.mp4",
    "x\n-overwrite_original\n-Title=owned\nvictim.mp4", "%d.mp4", "[0-9].mp4", "pipe:0.mp4",
    "'; rm -rf x;.mp4", "ОМОН.mp4", " .mp4", "a\\b.mp4", "$(id).mp4", "file:x.mp4", "\x1b[31m.mp4",
]  # fmt: skip


def test_identity_and_exact_streams(moving: Path) -> None:
    clip = open_clip(moving)
    assert clip.digest == hashlib.sha256(moving.read_bytes()).hexdigest()
    assert clip.video is not None and clip.audio is not None
    assert (clip.video.width, clip.video.height) == (320, 180)
    assert clip.video.frame_rate == Fraction(25)
    assert clip.audio.sample_rate == 48000
    assert clip == open_clip(moving, metadata=False)
    assert clip.metadata or "install with" in clip.metadata_status


def test_the_evidence_is_left_as_it_was(moving: Path) -> None:
    before = (moving.read_bytes(), os.stat(moving).st_mtime_ns, sorted(moving.parent.iterdir()))
    clip = open_clip(moving)
    scan.read_sound(clip)
    list(scan.iter_pictures(clip, every_s=1))
    after = (moving.read_bytes(), os.stat(moving).st_mtime_ns, sorted(moving.parent.iterdir()))
    assert before == after


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_a_name(moving: Path, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim.mp4"
    victim.write_bytes(moving.read_bytes())
    kept = victim.read_bytes()
    path = tmp_path / name.replace("/", "-")
    path.write_bytes(moving.read_bytes())
    clip = open_clip(path)
    assert clip.digest == hashlib.sha256(kept).hexdigest()
    assert victim.read_bytes() == kept == path.read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted([victim, path])
    assert clip.name.isprintable()


def test_metadata_is_about_the_file_asked_for(moving: Path, tone: Path) -> None:
    try:
        find_tool("exiftool")
    except ToolError as missing:
        pytest.skip(f"{missing}: {missing.hint}")
    video, sound = read_metadata([moving, tone])
    assert any("Width" in key for key in video)
    assert not any("ImageWidth" in key for key in sound)


def test_two_names_never_look_the_same() -> None:
    names = ["a\nb", "a\\nb", "a\\\nb", "\udcff", "\\udcff", "a b", "a\u00a0b", "\r", "\\r"]
    shown = {printable(name) for name in names}
    assert len(shown) == len(names) and all(name.isprintable() for name in shown)
    assert printable("ОМОН 1.mp4") == "ОМОН 1.mp4"


def test_a_metadata_reader_ends_with_the_process_that_asked(moving: Path, tmp_path: Path) -> None:
    """exiftool -stay_open outlives its input; a killed batch child must not leave one behind."""
    folder = tmp_path / "bin"
    folder.mkdir()
    fake = folder / "exiftool"
    note = tmp_path / "pid"
    fake.write_text(f"#!/bin/sh\n[ \"$1\" = -ver ] && echo 1 && exit\necho $$ >{note}.new\n"
                    f"mv {note}.new {note}\nwhile :; do sleep 0.1; done\n")  # fmt: skip
    fake.chmod(0o755)
    code = "import pathlib, forensics.tools as t; t.read_metadata([pathlib.Path({!r})])"
    asking = subprocess.Popen(
        [sys.executable, "-c", code.format(str(moving))],
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
    )  # fmt: skip
    until = time.monotonic() + 20
    while not note.exists() and time.monotonic() < until:
        time.sleep(0.02)
    pid = int(note.read_text())
    os.kill(pid, 0)
    asking.kill()
    asking.wait()
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the reader is still there")


def test_what_is_not_a_clip(tmp_path: Path) -> None:
    with pytest.raises(ClipNotFound):
        open_clip(tmp_path / "nothing.mp4")
    with pytest.raises(ClipNotFound, match="regular"):
        open_clip(tmp_path)
    for content in (b"", b"hello\n" * 100, b"\0" * 5000, b"#EXTM3U\nhttp://example.org/a.ts\n"):
        path = tmp_path / "odd.mp4"
        path.write_bytes(content)
        with pytest.raises(ClipUnreadable) as caught:
            open_clip(path)
        assert isinstance(caught.value, ValueError)


def test_a_playlist_leads_nowhere(moving: Path, tmp_path: Path) -> None:
    text = f"ffconcat version 1.0\nfile '{moving}'\n"
    playlist = tmp_path / "list.txt"
    playlist.write_text(text)
    with pytest.raises(ClipUnreadable):
        open_clip(playlist)


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(ClipNotFound, match="regular"):
        open_clip(tmp_path / "pipe.mp4")


def test_limits(moving: Path) -> None:
    for limits in (Limits(pixels=100), Limits(duration_s=0.5), Limits(streams=1)):
        with pytest.raises(ClipRefused):
            open_clip(moving, metadata=False, limits=limits)


def test_a_changed_file_is_noticed(moving: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.mp4"
    path.write_bytes(moving.read_bytes())
    clip = open_clip(path, metadata=False)
    path.write_bytes(moving.read_bytes() + b"x")
    with pytest.raises(ClipChanged):
        check_unchanged(clip)
    with pytest.raises(ClipChanged):
        scan.scan(clip, [])


def test_no_sound_is_not_silence(tmp_path: Path) -> None:
    path = write_video(tmp_path / "silent.mp4", [np.zeros((64, 64, 3), np.uint8)] * 10)
    with pytest.raises(StreamMissing):
        scan.read_sound(open_clip(path, metadata=False))


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.7, 0.98])
def test_a_truncated_file_fails_alone_or_is_counted(
    moving: Path, tmp_path: Path, fraction: float
) -> None:
    data = moving.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(len(data) * fraction)])
    try:
        clip = open_clip(path, metadata=False)
        seen = scan.scan(clip, [])
    except ForensicsError:
        return
    assert 0 < len(seen) <= 100


def test_rotation_comes_out_upright(tmp_path: Path) -> None:
    frame = np.zeros((48, 96, 3), np.uint8)
    frame[:, :24] = 255
    path = write_video(tmp_path / "turned.mp4", [frame] * 5, rotation=90)
    clip = open_clip(path, metadata=False)
    picture = next(scan.iter_pictures(clip))
    assert clip.video is not None and clip.video.rotation in (90, 270)
    assert picture.rgb.shape == (96, 48, 3)
    bright_end = picture.rgb[:24] if clip.video.rotation == 90 else picture.rgb[-24:]
    assert bright_end.mean() > 200


def test_every_real_container_opens_or_is_refused_in_words(media: Path) -> None:
    opened = 0
    for path in sorted((media / "containers").rglob("*")):
        if path.is_file():
            try:
                open_clip(path, metadata=False)
            except ForensicsError as error:
                assert error.message
            else:
                opened += 1
    assert opened > 100


def test_demuxed_packets_have_positions(moving: Path) -> None:
    clip = open_clip(moving, metadata=False)
    packets = scan.read_packets(clip)
    with av.open(str(moving)) as container:
        sizes = [p.size for p in container.demux(video=0) if p.size]
    assert packets.size.tolist() == sizes
    assert (packets.position >= 0).all() and packets.key[0]
