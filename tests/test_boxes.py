"""The box reader and the sample tables on files that mean harm."""

from __future__ import annotations

import io
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics import boxes
from forensics.container_other import (
    read_ebml,
    read_flv,
    read_program,
    read_riff,
    read_transport,
)
from forensics.container_samples import read_samples, unreferenced


def box(kind: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    """A box, telling the truth about its size unless told otherwise."""
    return struct.pack(">I4s", 8 + len(body) if size is None else size, kind) + body


def _read(data: bytes) -> tuple[list[boxes.BoxNode], list[boxes.Problem]]:
    return boxes.read_boxes(io.BytesIO(data), len(data))


def test_a_plain_tree_is_read_in_order() -> None:
    data = box(b"ftyp", b"isom") + box(b"moov", box(b"mvhd") + box(b"trak", box(b"tkhd")))
    roots, problems = _read(data)
    assert problems == [] and [n.path for r in roots for n in r.walk()] == [
        "ftyp", "moov", "moov/mvhd", "moov/trak", "moov/trak/tkhd"]  # fmt: skip


@pytest.mark.parametrize(("size", "said"), [
    (1, "64-bit box size"), (2, "claims 2 bytes"), (7, "claims 7 bytes"),
    (2**31, "too many"), (2**32 - 1, "too many"),
])  # fmt: skip
def test_sizes_that_lie_are_reported(size: int, said: str) -> None:
    _, problems = _read(box(b"free", b"", size))
    assert len(problems) == 1 and said in problems[0].text


def test_size_zero_reaches_to_the_end() -> None:
    roots, problems = _read(box(b"mdat", b"x" * 100, 0))
    assert problems == [] and roots[0].size == 108


@pytest.mark.parametrize("wide", [0, 8, 15, 2**63, 2**64 - 1])
def test_wide_sizes_that_lie(wide: int) -> None:
    data = struct.pack(">I4sQ", 1, b"mdat", wide) + b"y" * 20
    _, problems = _read(data)
    assert len(problems) == 1


def test_nesting_a_hundred_thousand_deep_ends() -> None:
    data = b"".join(struct.pack(">I4s", (100_000 - n) * 8, b"moov") for n in range(100_000))
    start = time.process_time()
    roots, problems = _read(data)
    assert time.process_time() - start < 2
    assert any("nested deeper" in p.text for p in problems) and len(roots) == 1


def test_a_million_boxes_end() -> None:
    data = box(b"free") * 200_000
    start = time.process_time()
    _, problems = _read(data)
    assert time.process_time() - start < 2
    assert "more than" in problems[-1].text


def _table_file(stsz: bytes, stts: bytes, stsc: bytes, stco: bytes) -> bytes:
    mdhd = box(b"mdhd", bytes(12) + struct.pack(">II", 1000, 5000) + bytes(4))
    stbl = box(b"stbl", box(b"stts", stts) + box(b"stsz", stsz) + box(b"stsc", stsc)
               + box(b"stco", stco))  # fmt: skip
    trak = box(b"trak", box(b"mdia", mdhd + box(b"minf", stbl)))
    return box(b"moov", trak) + box(b"mdat", bytes(1000))


def test_sample_tables_are_resolved() -> None:
    head = bytes(4)
    data = _table_file(
        head + struct.pack(">II", 0, 4) + struct.pack(">4I", 10, 20, 30, 40),
        head + struct.pack(">I", 1) + struct.pack(">II", 4, 40),
        head + struct.pack(">I", 2) + struct.pack(">6I", 1, 1, 1, 2, 3, 1),
        head + struct.pack(">I", 2) + struct.pack(">II", 600, 700),
    )
    file = io.BytesIO(data)
    roots, _ = boxes.read_boxes(file, len(data))
    table = read_samples(file, len(data), roots)[0]
    assert table.size.tolist() == [10, 20, 30, 40]
    # One sample in the first chunk, three in the second.
    assert table.offset.tolist() == [600, 700, 720, 750]
    assert table.dts.tolist() == [0, 40, 80, 120] and table.problems == ()


@pytest.mark.parametrize("each", [0, 1, 2**31])
def test_two_billion_samples_cost_nothing(each: int) -> None:
    head = bytes(4)
    many = 2**31
    data = _table_file(
        head + struct.pack(">II", each, many),
        head + struct.pack(">I", many) + struct.pack(">II", many, 1),
        head + struct.pack(">I", many) + struct.pack(">III", 1, many, 1),
        head + struct.pack(">I", many) + struct.pack(">I", 0),
    )
    file = io.BytesIO(data)
    roots, _ = boxes.read_boxes(file, len(data))
    start = time.process_time()
    tables = read_samples(file, len(data), roots)
    unreferenced(file, roots, tables, nal_width=4)
    assert time.process_time() - start < 1
    assert len(tables[0]) <= len(data) and tables[0].problems


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_tree_or_a_problem(data: bytes) -> None:
    file = io.BytesIO(data)
    roots, _ = boxes.read_boxes(file, len(data))
    for root in roots:
        for node in root.walk():
            assert 0 <= node.offset < node.end <= len(data)
    read_samples(file, len(data), roots)
    boxes.read_edits(file, roots)
    boxes.read_rotations(file, roots)
    for reader in (read_ebml, read_riff, read_flv, read_transport, read_program):
        for element in reader(file, len(data))[0]:
            assert 0 <= element.offset <= len(data)


_KINDS = st.sampled_from([b"moov", b"trak", b"mdia", b"mdhd", b"minf", b"stbl", b"stsz", b"stts",
                          b"stsc", b"stco", b"co64", b"ctts", b"elst", b"edts", b"tkhd", b"hdlr",
                          b"stsd", b"avc1", b"mp4a", b"meta", b"moof", b"mdat",
                          b"uuid"])  # fmt: skip
_TREES = st.recursive(
    st.builds(box, _KINDS, st.binary(max_size=60)),
    lambda inner: st.builds(
        lambda kind, parts, lie: box(kind, b"".join(parts), lie),
        _KINDS, st.lists(inner, max_size=4), st.none() | st.integers(0, 2**32 - 1),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(_TREES, max_size=4))
def test_any_tree_of_boxes_is_read(parts: list[bytes]) -> None:
    data = b"".join(parts)
    file = io.BytesIO(data)
    roots, _ = boxes.read_boxes(file, len(data))
    tables = read_samples(file, len(data), roots)
    boxes.read_edits(file, roots)
    for gap in unreferenced(file, roots, tables, nal_width=4):
        assert 0 <= gap.offset <= len(data)


def test_a_ten_megabyte_bomb_of_each_kind_ends() -> None:
    size = 10_000_000
    bombs = {
        read_ebml: b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\xff" + b"\xec\x80" * (size // 2),
        read_riff: b"RIFF\xff\xff\xff\x7fAVI " + b"JUNK\0\0\0\0" * (size // 8),
        read_flv: b"FLV\x01\x05\0\0\0\x09\0\0\0\0" + (b"\x09" + bytes(14)) * (size // 15),
        read_transport: b"".join(
            b"G" + bytes([n >> 8 & 31, n & 255, 0x10 | n & 15]) + bytes(184)
            for n in range(8192)) * 6,
        read_program: b"\0\0\1\xbe\0\0" * (size // 6),
    }  # fmt: skip
    cases = [*bombs.items(), (read_program, pack(1.0) * (size // 14)),
             (read_program, (b"\0\0\1\xb0" + bytes(60)) * (size // 64))]  # fmt: skip
    for reader, data in cases:
        start = time.process_time()
        reader(io.BytesIO(data), len(data))
        assert time.process_time() - start < 2, reader.__name__


def pack(clock_s: float, *, rate: int = 25_200) -> bytes:
    """A pack header of an MPEG-2 program stream."""
    ticks, extra = divmod(round(clock_s * 27_000_000), 300)
    bits = (f"01{ticks >> 30 & 7:03b}1{ticks >> 15 & 0x7FFF:015b}1{ticks & 0x7FFF:015b}1"
            f"{extra:09b}1{rate:022b}1111111000")  # fmt: skip
    return b"\0\0\1\xba" + int(bits, 2).to_bytes(10, "big")


def _program(clocks: list[float]) -> bytes:
    body = b"\0\0\1\xe0" + (500).to_bytes(2, "big") + b"\x80" * 500
    return b"".join(pack(c) + body for c in clocks) + b"\0\0\1\xb9"


def _examine(data: bytes) -> tuple[list[str], list[str]]:
    found, problems = read_program(io.BytesIO(data), len(data))
    return [e.path for e in found], [p.text for p in problems]


def test_a_program_stream_is_read_and_its_clock_followed() -> None:
    steady = [n * 0.1 for n in range(40)]
    paths, problems = _examine(_program(steady))
    assert problems == [] and paths == ["PS/pack", "PS/stream e0", "PS/end"]
    _, problems = _examine(_program(steady[:20] + steady[30:]))
    assert problems == ["the system clock jumps by +1.100 s"]
    _, problems = _examine(_program(steady[:20] + steady[5:]))
    assert problems == ["the system clock jumps by -1.400 s"]
    # The clock begins again after 2**33 ticks; that is no jump.
    top = 2**33 / 90_000
    assert _examine(_program([top - 0.2, top - 0.1, 0.05, 0.15]))[1] == []


def test_a_program_stream_that_lies_is_reported() -> None:
    good = _program([n * 0.1 for n in range(10)])
    assert any("too many" in text for text in _examine(good[:-300])[1])
    torn = good[:514] + b"\xff" * 100 + good[514:]
    paths, problems = _examine(torn)
    assert "no pack or packet starts here" in problems and "PS/end" in paths
