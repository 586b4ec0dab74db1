"""Clips that were cut, trimmed, remuxed or left alone, told apart by their bytes."""

from __future__ import annotations

import csv
import io
import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from making import moving_square, write_video

from forensics import container, open_clip, provenance, scan
from forensics.model import Discontinuity, Examination, Observation

GOP = {"g": "20", "bf": "0", "sc_threshold": "0", "preset": "ultrafast"}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds, a key frame every 20 pictures, sound."""
    rng = np.random.default_rng(1)
    sound = (0.1 * rng.standard_normal(8 * 48000)).astype(np.float32)
    return write_video(tmp_path_factory.mktemp("clips") / "untouched.mp4",
                       moving_square(200, width=160, height=96), options=GOP,
                       sound=sound)  # fmt: skip


def _examine(path: Path) -> tuple[Examination, list[Observation]]:
    exam = container.find_discontinuities(open_clip(path, metadata=False))
    return exam, [f.observation for f in exam if container.is_alarm(f)]


def _copy(source: Path, target: Path, *, drop: tuple[int, int] = (0, 0), restamp: bool = True,
          format: str | None = None) -> Path:  # fmt: skip
    """Copy the picture packets, leaving out rows drop[0] up to drop[1]."""
    with av.open(str(source)) as one, av.open(str(target), "w", format=format) as two:
        stream = one.streams.video[0]
        out = two.add_stream_from_template(stream)
        packets = [p for p in one.demux(stream) if p.size]
        lost = packets[drop[1]].dts - packets[drop[0]].dts
        for row, packet in enumerate(packets):
            if drop[0] <= row < drop[1]:
                continue
            if row >= drop[1] and restamp:
                packet.pts, packet.dts = packet.pts - lost, packet.dts - lost
            packet.stream = out
            two.mux(packet)
    return target


def _patch_elst(source: Path, target: Path, media_time_s: float) -> Path:
    """Make an MP4 show its pictures only from a media time on, as a trimming program does."""
    data = bytearray(source.read_bytes())
    at = data.find(b"elst")
    scale_at = data.find(b"mdhd") + 4 + 12
    scale = int.from_bytes(data[scale_at : scale_at + 4], "big")
    start = at + 4 + 8
    length = int.from_bytes(data[start : start + 4], "big")
    data[start : start + 4] = (length - round(media_time_s * 1000)).to_bytes(4, "big")
    data[start + 4 : start + 8] = round(media_time_s * scale).to_bytes(4, "big")
    target.write_bytes(data)
    return target


def test_an_untouched_clip_raises_no_alarm(untouched: Path) -> None:
    exam, alarms = _examine(untouched)
    assert alarms == [] and exam.outcome in ("found", "nothing-found")
    assert exam.coverage.units_seen > 500 and exam.coverage.span is not None
    assert {"pictures_I", "pictures_P"} <= set(exam.measures)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mov"])
def test_a_remux_raises_no_alarm(untouched: Path, tmp_path: Path, suffix: str) -> None:
    path = _copy(untouched, tmp_path / f"remux.{suffix}")
    _, alarms = _examine(path)
    assert alarms == []
    back = _copy(path, tmp_path / "back.mp4")
    assert _examine(back)[1] == []


def test_one_gop_taken_out_is_found_where_it_was(untouched: Path, tmp_path: Path) -> None:
    path = _copy(untouched, tmp_path / "cut.mp4", drop=(80, 100))
    _, alarms = _examine(path)
    assert len(alarms) == 1
    said = alarms[0].what
    assert isinstance(said, Discontinuity) and said.kind == "stream-copy-cut"
    # The clock was rewritten and runs on, the encoder's ids do not: no recorder does that.
    assert said.level == "bitstream" and said.verdict == "inconsistent"
    assert alarms[0].span is not None and Fraction(80, 25) in alarms[0].span
    assert alarms[0].span.length == Fraction(1, 25)
    assert [e.rank for e in said.explanations] == list(range(1, len(said.explanations) + 1))
    assert any(e.benign for e in said.explanations)


def test_a_gap_in_time_is_not_held_against_the_clip(untouched: Path, tmp_path: Path) -> None:
    path = _copy(untouched, tmp_path / "gap.mp4", drop=(80, 120), restamp=False)
    _, alarms = _examine(path)
    assert len(alarms) == 1
    said = alarms[0].what
    # A recorder that pauses leaves the same traces: an alarm, but no verdict.
    assert isinstance(said, Discontinuity) and said.verdict == "inconclusive"
    assert {"motion-recorder", "packet-loss"} <= {e.name for e in said.explanations} or (
        said.kind == "pts-gap")
    assert alarms[0].span is not None and float(alarms[0].span.end) == pytest.approx(4.8, abs=0.05)


def test_frames_taken_out_of_a_gop_are_found(untouched: Path, tmp_path: Path) -> None:
    path = _copy(untouched, tmp_path / "holes.mp4", drop=(90, 95))
    _, alarms = _examine(path)
    assert len(alarms) == 1
    said = alarms[0].what
    assert isinstance(said, Discontinuity)
    assert any("frame_num" in s for s in said.supports)
    assert said.removed is not None and said.removed.value == 5 and "modulo" in said.removed.note


def test_a_trim_is_called_a_trim_and_shows_what_is_behind_it(
    untouched: Path, tmp_path: Path
) -> None:
    path = _patch_elst(_copy(untouched, tmp_path / "plain.mp4"), tmp_path / "trim.mp4", 1.0)
    clip = open_clip(path, metadata=False)
    exam = container.find_hidden_frames(clip)
    assert exam.outcome == "found" and exam.measures["hidden_frames"].value == 25
    seen = exam.observations[0]
    assert isinstance(seen.what, Discontinuity) and seen.what.kind == "hidden-frames"
    assert seen.note.startswith("trim") and seen.what.explanations[0].name == "trim"
    assert seen.what.verdict == "inconsistent"  # shown from the middle of a GOP on
    table, *pictures = seen.artefacts
    rows = list(csv.DictReader(io.StringIO(provenance.artefact_bytes(table).decode())))
    # The hidden frames are, pixel for pixel, those of the untrimmed clip.
    original = list(scan.iter_pictures(open_clip(untouched, metadata=False)))
    assert [r["pixel_sha256"] for r in rows] == [p.pixel_hash for p in original[:25]]
    assert len(pictures) == 25 and {p.media_type for p in pictures} == {"image/png"}
    image = cv2.imdecode(
        np.frombuffer(provenance.artefact_bytes(pictures[7]), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert np.array_equal(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), original[7].rgb)
    _, alarms = _examine(path)
    assert [a.what.kind for a in alarms if isinstance(a.what, Discontinuity)] == ["hidden-frames"]


def test_an_encoders_preroll_is_not_called_a_trim(untouched: Path, tmp_path: Path) -> None:
    """Three hidden pictures at an encoder's first one: as any writer may leave them."""
    plain = _copy(untouched, tmp_path / "plain.mp4")
    path = _patch_elst(plain, tmp_path / "preroll.mp4", 3 / 25)
    exam, alarms = _examine(path)
    assert alarms == [] and exam.measures["hidden_frames"].value == 3
    seen = next(o for o in exam.observations
                if isinstance(o.what, Discontinuity) and o.what.kind == "hidden-frames")
    assert isinstance(seen.what, Discontinuity) and seen.what.verdict == "inconclusive"
    assert seen.what.explanations[0].name == "encoder-delay" and seen.note.startswith("pre-roll")
    assert any(e.name == "trim" for e in seen.what.explanations)
    # The same three pictures of a stream whose numbers do not begin at 0: its head was cut off.
    later = _patch_elst(_copy(untouched, tmp_path / "later.mp4", drop=(0, 20)),
                        tmp_path / "trimmed.mp4", 3 / 25)  # fmt: skip
    _, alarms = _examine(later)
    kinds = [a.what.kind for a in alarms if isinstance(a.what, Discontinuity)]
    assert kinds == ["hidden-frames"]
    # Ten pictures are more than any delay.
    longer = _patch_elst(plain, tmp_path / "longer.mp4", 10 / 25)
    assert len(_examine(longer)[1]) == 1


def test_reordering_and_priming_explain_as_much_as_they_last() -> None:
    from forensics.container_hidden import HiddenRun, observe_hidden

    def said(frames: int, explained: Fraction, where: str = "head") -> Discontinuity:
        run = HiddenRun(where, np.arange(frames), Fraction(0), Fraction(frames - 1, 25), None,
                        Fraction(0), True, Fraction(frames, 25), True,
                        Fraction(frames + (0 if where == "head" else 50), 25))  # fmt: skip
        what = observe_hidden([run], explained_s=explained)[0].what
        assert isinstance(what, Discontinuity)
        return what

    assert said(2, Fraction(2, 25)).verdict == "consistent"
    assert said(1, Fraction(1024, 44100)).verdict == "consistent"
    assert said(4, Fraction(2, 25)).verdict == "inconclusive"
    assert said(9, Fraction(1, 2)).verdict == "inconsistent"
    assert said(1, Fraction(1), where="interior").verdict == "inconsistent"


def test_a_telephone_that_settles_is_not_called_cut(media: Path) -> None:
    """Two pictures shown, three hidden, then the rest: an Apple device's own file."""
    path = media / "containers" / "c2pa_rs" / "c.mov"
    exam = container.find_discontinuities(open_clip(path, metadata=False))
    hidden = [o.what for o in exam.observations
              if isinstance(o.what, Discontinuity) and o.what.kind == "hidden-frames"]
    assert [h.verdict for h in hidden] == ["inconclusive"]
    assert hidden[0].explanations[0].benign


def test_sets_that_an_encoder_repeats_are_not_called_a_join(
    media: Path, untouched: Path, tmp_path: Path
) -> None:
    own = media / "containers" / "wpt" / "test-v-128k-320x240-24fps-8kfr.mp4"
    assert _examine(own)[1] == []
    # What FFmpeg's join does to every packet: the encoder's message comes to stand first.
    with av.open(str(untouched)) as one, av.open(str(tmp_path / "joined.mp4"), "w") as two:
        stream = one.streams.video[0]
        join = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        out = two.add_stream_from_template(stream)
        for packet in one.demux(stream):
            if packet.size:
                for changed in join.filter(packet):
                    changed.stream = out
                    two.mux(changed)
    _, alarms = _examine(tmp_path / "joined.mp4")
    said = [a.what for a in alarms]
    assert [w.kind for w in said if isinstance(w, Discontinuity)] == ["parameter-set-change"]
    assert isinstance(said[0], Discontinuity) and said[0].verdict == "inconclusive"


def test_nothing_hidden_and_no_edit_list_are_two_answers(untouched: Path, tmp_path: Path) -> None:
    one = container.find_hidden_frames(open_clip(untouched, metadata=False))
    assert one.outcome == "nothing-found"
    remuxed = _copy(untouched, tmp_path / "a.mkv")
    two = container.find_hidden_frames(open_clip(remuxed, metadata=False))
    assert two.outcome == "not-applicable" and "no edit list" in two.reason


def test_a_joint_shows_where_pictures_and_sound_are_rounded_apart(
    untouched: Path, tmp_path: Path
) -> None:
    """40 pictures (two GOPs) and 75 packets of sound are both 1.6 s, but for 0.6 of a picture."""

    def join(target: Path, *, late: Fraction, sound_late: Fraction) -> Path:
        with av.open(str(untouched)) as one, av.open(str(target), "w") as two:
            outs = {s.index: two.add_stream_from_template(s) for s in one.streams}
            for packet in one.demux():
                if not packet.size:
                    continue
                time = packet.pts * packet.time_base
                gone = Fraction(8, 5) + (late if packet.stream.type == "video" else sound_late)
                if Fraction(16, 5) <= time < Fraction(24, 5):
                    continue
                if time >= Fraction(24, 5):
                    ticks = round(gone / packet.time_base)
                    packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
                packet.stream = outs[packet.stream.index]
                two.mux(packet)
        return target

    rounded = join(tmp_path / "rounded.mp4", late=Fraction(-1, 80), sound_late=Fraction(1, 400))
    _, alarms = _examine(rounded)
    assert [a.what.kind for a in alarms if isinstance(a.what, Discontinuity)] == ["pts-gap"]
    said = alarms[0].what
    assert isinstance(said, Discontinuity) and said.verdict == "inconclusive"
    assert alarms[0].span is not None and Fraction(16, 5) in alarms[0].span
    assert any("sound" in text for text in said.supports)
    # The pictures alone: rounding, and a remark.
    alone = join(tmp_path / "one.mp4", late=Fraction(-1, 80), sound_late=Fraction(0))
    assert _examine(alone)[1] == []


def test_data_that_no_index_points_at_is_found(untouched: Path, tmp_path: Path) -> None:
    plain = _copy(untouched, tmp_path / "plain.mp4")
    data = bytearray(plain.read_bytes())
    mdat = data.find(b"mdat")
    size = int.from_bytes(data[mdat - 4 : mdat], "big")
    with av.open(str(plain)) as file:
        packets = [bytes(p) for p in file.demux(file.streams.video[0]) if p.size]
    # FFmpeg writes moov last: what is added at the end of mdat moves no sample.
    extra = b"".join(packets[40:60])
    data[mdat + size - 4 : mdat + size - 4] = extra
    data[mdat - 4 : mdat] = (size + len(extra)).to_bytes(4, "big")
    path = tmp_path / "leftover.mp4"
    path.write_bytes(data)
    _, alarms = _examine(path)
    assert len(alarms) == 1 and alarms[0].measures["coded_pictures"].value == 20
    assert alarms[0].measures["unreferenced"].value == len(extra)


def test_a_file_that_breaks_off_says_so(untouched: Path, tmp_path: Path) -> None:
    whole = _copy(untouched, tmp_path / "whole.mkv").read_bytes()
    path = tmp_path / "half.mkv"
    path.write_bytes(whole[: len(whole) // 2])
    _, alarms = _examine(path)
    assert [a.what.kind for a in alarms if isinstance(a.what, Discontinuity)] == ["truncated"]
    assert all(isinstance(a.what, Discontinuity) and a.what.verdict == "inconclusive"
               for a in alarms)  # fmt: skip


def test_metadata_alone_never_decides(untouched: Path, tmp_path: Path) -> None:
    data = bytearray(_copy(untouched, tmp_path / "plain.mp4").read_bytes())
    for name, when in ((b"mvhd", 3_700_000_000), (b"mdhd", 3_600_000_000)):
        at = data.find(name) + 8
        data[at : at + 4] = when.to_bytes(4, "big")
        data[at + 4 : at + 8] = (when - 5_000_000).to_bytes(4, "big")
    path = tmp_path / "dates.mp4"
    path.write_bytes(data)
    exam, alarms = _examine(path)
    assert alarms == []
    kinds = {o.what.kind for o in exam.observations if isinstance(o.what, Discontinuity)}
    assert "metadata-contradiction" in kinds
    for seen in exam.observations:
        assert isinstance(seen.what, Discontinuity)
        assert seen.what.verdict != "inconsistent"


def test_a_platforms_chunks_are_explained_not_alarmed(media: Path) -> None:
    path = media / "cctv_misc" / "dvrscan" / "traffic_camera.mp4"
    exam, alarms = _examine(path)
    assert alarms == []
    chunks = next(o for o in exam.observations if "chunk" in o.measures)
    said = chunks.what
    assert isinstance(said, Discontinuity) and said.verdict == "consistent"
    assert said.explanations[0].name == "platform-chunks"
    assert chunks.measures["chunk"].value == 128 and chunks.measures["chunks"].value == 5


def test_real_recordings_raise_no_alarm(media: Path) -> None:
    folders = ("cctv_misc/intel", "cctv_misc/carnd", "cctv_misc/bgslibrary", "shots/mdn")
    paths = container.triage([media / f for f in folders])
    assert len(paths) >= 7 and not any(row.error for row in paths)
    assert [row.path for row in paths if row.alarms] == []


def test_a_real_telephone_trim_is_found(media: Path) -> None:
    path = media / "containers" / "androidx" / "media" / "mp4" / "sample_edit_list.mp4"
    exam = container.find_hidden_frames(open_clip(path, metadata=False))
    assert exam.measures["hidden_frames"].value == 9
    assert {o.note.split(":")[0] for o in exam.observations} == {"trim"}


def test_a_ledger_line_replays(untouched: Path, tmp_path: Path) -> None:
    path = _copy(untouched, tmp_path / "cut.mp4", drop=(80, 100))
    clip = open_clip(path, metadata=False)
    for method in (container.find_discontinuities, container.find_hidden_frames):
        recorded = method(clip)
        provenance.check_replay(recorded, provenance.replay(recorded, [clip]))


def test_sound_only_is_examined_too(tone: Path) -> None:
    exam, alarms = _examine(tone)
    assert exam.outcome in ("found", "nothing-found") and alarms == []
    hidden = container.find_hidden_frames(open_clip(tone, metadata=False))
    assert hidden.outcome == "not-applicable"


def test_where_a_deletion_could_not_show_is_said(untouched: Path) -> None:
    exam, _ = _examine(untouched)
    assert len(exam.coverage.not_testable) == 1
    assert "deletion before a re-encoding" in exam.coverage.not_testable[0].reason


def test_structures_agree_within_one_writer_and_differ_between_two(
    untouched: Path, tmp_path: Path
) -> None:
    other = write_video(tmp_path / "other.mp4", moving_square(50, width=160, height=96, seed=4),
                        options=GOP, sound=np.zeros(96000, np.float32))  # fmt: skip
    one, two = (container.read_structure(open_clip(p, metadata=False)) for p in (untouched, other))
    same = container.compare_structures(one, two)
    assert same.same_signature and same.agreement.value == 1 and same.differences == ()
    remux = container.read_structure(open_clip(_copy(untouched, tmp_path / "a.mov"),
                                               metadata=False))  # fmt: skip
    unlike = container.compare_structures(one, remux)
    assert not unlike.same_signature and 0 < unlike.agreement.value < 1
    paths = {d.path for d in unlike.differences}
    assert "ftyp" in paths
    back = container.compare_structures(remux, one)
    assert back.agreement.value == unlike.agreement.value
    assert str(unlike).startswith(f"{len(unlike.differences)} differences")


@pytest.mark.parametrize("suffix", ["mkv", "avi", "flv", "ts", "mp4"])
def test_every_reader_sees_its_container(untouched: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "avi":
        write_video(path, moving_square(20), codec="mpeg4")
    else:
        _copy(untouched, path)
    found = container.read_structure(open_clip(path, metadata=False))
    assert found.problems == () and len(found.parts) >= (2 if suffix == "ts" else 5)


def test_triage_gives_a_row_a_file_whatever_it_is(untouched: Path, tmp_path: Path) -> None:
    shutil.copy(untouched, tmp_path / "good.mp4")
    _copy(untouched, tmp_path / "cut.mp4", drop=(80, 100))
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    (tmp_path / "=1+1.mkv").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no recording")
    told: list[tuple[float, str]] = []
    rows = container.triage([tmp_path], progress=lambda done, name: told.append((done, name)))
    by_name = {Path(r.path).name: r for r in rows}
    assert set(by_name) == {"good.mp4", "cut.mp4", "broken.mp4", "=1+1.mkv"}
    assert by_name["good.mp4"].alarms == 0 and by_name["cut.mp4"].alarms == 1
    assert by_name["broken.mp4"].alarms is None and "ClipUnreadable" in by_name["broken.mp4"].error
    assert by_name["good.mp4"].provenance.startswith("transcoder")
    assert by_name["good.mp4"].frame_rate == pytest.approx(25)
    assert " at 0:00:03" in by_name["cut.mp4"].strongest
    assert " at " not in by_name["good.mp4"].strongest
    assert told[0][0] == 0 and told[-1][0] == 1
    table = list(csv.DictReader(io.StringIO(container.write_csv(rows))))
    assert [r["path"] for r in table] == [r.path for r in rows]
    assert next(r for r in table if "broken" in r["path"])["alarms"] == ""


def _restless(count: int) -> list[np.ndarray]:
    """A textured view with noise and a patch that wanders without any rhythm."""
    rng = np.random.default_rng(2)
    scene = np.kron(rng.integers(40, 140, (24, 40, 3)), np.ones((4, 4, 1)))
    pictures = []
    for _ in range(count):
        picture = scene + rng.normal(0, 3, scene.shape)
        top, left = rng.integers(0, 72), rng.integers(0, 136)
        picture[top : top + 8, left : left + 8] += 40
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return pictures


def test_triage_shows_the_older_gop(tmp_path: Path) -> None:
    coarse = {"g": "15", "bf": "0", "sc_threshold": "0", "crf": "21"}
    first = write_video(tmp_path / "first.mkv", _restless(240), options=coarse)
    pictures = [p.rgb for p in scan.iter_pictures(open_clip(first, metadata=False))]
    options = {"bf": "0", "crf": "24"}
    write_video(tmp_path / "second.mp4", pictures, options=options)
    write_video(tmp_path / "cut.mp4", pictures[:98] + pictures[120:], options=options)
    rows = {Path(r.path).name: r for r in container.triage([tmp_path])}
    assert rows["second.mp4"].first_gop == 15 and rows["second.mp4"].generations == 2
    assert rows["first.mkv"].first_gop is None
    exam, alarms = _examine(tmp_path / "cut.mp4")
    assert len(alarms) == 1
    said = alarms[0].what
    assert isinstance(said, Discontinuity) and said.kind == "gop-phase-break"
    assert said.removed is not None and said.removed.value == 22 % 15
    assert alarms[0].span is not None and Fraction(98, 25) in alarms[0].span
    assert _examine(tmp_path / "second.mp4")[1] == []
    assert exam.coverage.not_testable == ()


def test_credentials_are_passed_on_or_said_to_be_unread(media: Path) -> None:
    folder = media / "containers" / "c2pa_rs"
    signed = container.read_credentials(open_clip(folder / "video1.mp4", metadata=False))
    assert signed.present and ("as returned" in signed.state or "missing" in signed.state)
    bare = container.read_credentials(open_clip(folder / "video1_no_manifest.mp4", metadata=False))
    assert bare.state == "none" and bare.present is False


@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_the_clock_inside_mpeg4_pictures_shows_a_cut(tmp_path: Path, b_frames: str) -> None:
    options = {"g": "12", "bf": b_frames}
    whole = write_video(tmp_path / "whole.mp4", moving_square(200, width=160, height=96),
                        codec="mpeg4", options=options)  # fmt: skip
    table = container.read_slice_headers(open_clip(whole, metadata=False))
    stamps = table.packets.pts * float(table.packets.time_base)
    # 25 ticks a second, and B-pictures timed against the reference before the last one.
    assert table.clock_rate == 25
    assert np.allclose(table.ticks / 25 - table.ticks[0] / 25, stamps - stamps[0])
    assert _examine(whole)[1] == [] and _examine(_copy(whole, tmp_path / "remux.mkv"))[1] == []
    _, alarms = _examine(_copy(whole, tmp_path / "cut.mp4", drop=(48, 72)))
    assert len(alarms) == 1
    said = alarms[0].what
    assert isinstance(said, Discontinuity) and said.kind == "stream-copy-cut"
    assert any("own clock" in s for s in said.supports)
    assert said.removed is not None and said.removed.value == pytest.approx(24 / 25, abs=0.05)
    # Both clocks are one clock: a recorder that drops pictures evenly could leave the same.
    assert said.verdict == "inconclusive"
