"""Headers of coded pictures: what we read agrees with a decoder, and lies end in nothing."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import moving_square, write_video

from forensics import container, open_clip
from forensics.container_mpeg import MpegReader
from forensics.container_nal import Bits, NalReader, split_annex_b, split_lengths


def _write_ue(value: int) -> str:
    body = f"{value + 1:b}"
    return "0" * (len(body) - 1) + body


def _bytes(bits: str) -> bytes:
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


@given(st.lists(st.integers(0, 2**31 - 2), min_size=1, max_size=20))
def test_numbers_written_are_numbers_read(values: list[int]) -> None:
    bits = Bits(_bytes("".join(map(_write_ue, values))))
    assert [bits.ue() for _ in values] == values


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=20))
def test_signed_numbers_too(values: list[int]) -> None:
    mapped = [2 * v - 1 if v > 0 else -2 * v for v in values]
    bits = Bits(_bytes("".join(map(_write_ue, mapped))))
    assert [bits.se() for _ in values] == values


@given(st.binary(max_size=40))
def test_bits_end_in_eof_and_nothing_else(data: bytes) -> None:
    bits = Bits(data)
    with pytest.raises(EOFError):
        for _ in range(1000):
            bits.ue()
            bits.u(3)


@given(st.binary(max_size=300), st.integers(1, 4))
def test_units_never_leave_their_packet(data: bytes, width: int) -> None:
    for start, end in split_lengths(memoryview(data), width):
        assert start == -1 or 0 <= start < end <= len(data)
    for start, end in split_annex_b(data):
        assert 0 <= start <= end <= len(data)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.binary(max_size=200), st.sampled_from(["h264", "hevc"]))
def test_any_bytes_give_a_header_or_none(extra: bytes, packet: bytes, codec: str) -> None:
    for head in (b"", b"\x01", b"\x00\x00\x01"):
        reader = NalReader(codec, head + extra)
        header = reader.read(memoryview(packet))
        assert header.kind in "?IPB"


@settings(max_examples=200)
@given(st.binary(max_size=80), st.binary(max_size=200),
       st.sampled_from(["mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v3"]))  # fmt: skip
def test_any_bytes_give_an_mpeg_header_or_none(extra: bytes, packet: bytes, codec: str) -> None:
    layer = b"\0\0\1\x20\0\xc8\x88\x80\x0f\x50"
    reader = MpegReader(codec, layer + extra)
    for body in (packet, b"\0\0\1\xb6" + packet, b"\0\0\1\xb3" + packet):
        header, code, ticks = reader.read(memoryview(body))
        assert header.kind in "?IPB" and ticks >= -1 and (code is None or code >= 0)


@settings(max_examples=100)
@given(st.data())
def test_a_damaged_stream_is_read_without_surprise(data: st.DataObject) -> None:
    record, packets = _real()
    packet = bytearray(data.draw(st.sampled_from(packets)))
    for _ in range(data.draw(st.integers(1, 8))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    header = NalReader("h264", record).read(memoryview(bytes(packet)))
    assert header.slices >= 0 and header.lies >= 0


def _real(cache: dict[str, tuple[bytes, list[bytes]]] = {}) -> tuple[bytes, list[bytes]]:  # noqa: B006
    if "h264" not in cache:
        import io

        out = io.BytesIO()
        with av.open(out, "w", format="mp4") as file:
            stream = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for picture in moving_square(6, width=64, height=48):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            file.mux(stream.encode(None))
        out.seek(0)
        with av.open(out) as file:
            stream = file.streams.video[0]
            record = bytes(stream.codec_context.extradata or b"")
            cache["h264"] = record, [bytes(p) for p in file.demux(stream) if p.size]
    return cache["h264"]


@pytest.mark.parametrize(("codec", "options"), [
    ("libx264", {"preset": "veryfast", "g": "20", "bf": "2"}),
    ("libx264", {"preset": "veryfast", "g": "20", "bf": "2", "x264-params": "open-gop=1"}),
    ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:keyint=20"}),
    ("mpeg4", {"g": "20"}),
])  # fmt: skip
def test_types_are_those_the_decoder_sees(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    path = write_video(tmp_path / "a.mp4", moving_square(60, width=160, height=96), codec=codec,
                       options=options)  # fmt: skip
    table = container.read_slice_headers(open_clip(path, metadata=False))
    with av.open(str(path)) as file:
        seen = {f.pts: int(f.pict_type) for f in file.decode(video=0)}
    read = dict(zip(table.packets.pts.tolist(), table.kind.tolist(), strict=True))
    assert read == seen
    assert table.access[0] and table.lies == 0 and table.unreadable == 0


def test_ids_alternate_and_counts_run_on(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_square(60, width=160, height=96),
                       options={"g": "10", "bf": "0", "sc_threshold": "0"})  # fmt: skip
    table = container.read_slice_headers(open_clip(path, metadata=False))
    rows = table.rows(only_access=True)
    assert [r["idr_pic_id"] for r in rows] == [0, 1, 0, 1, 0, 1]
    assert [r["frame_num"] for r in table.rows()[:12]] == [*range(10), 0, 1]
    assert "x264" in rows[0]["encoder"]
    text = str(table)
    assert text.splitlines()[0].split()[:3] == ["packet", "byte", "size"]
    assert len(text.splitlines()) == 7


def test_counting_ids_of_a_real_camera(media: Path) -> None:
    path = media / "cctv_misc" / "intel" / "one-by-one-person-detection.mp4"
    table = container.read_slice_headers(open_clip(path, metadata=False))
    ids = table.idr_pic_id[table.access == 1].tolist()
    assert ids == list(range(140)) and len(table) == 1394
