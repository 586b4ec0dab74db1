"""Headers of H.264 and H.265 pictures, read by us from the bytes: nothing is decoded.

Conventions: ITU-T H.264 (08/2021) clauses 7.3.2 to 7.3.4 and H.265 (08/2021) clauses 7.3.2 and
7.3.6, as far as the fields that number pictures. A field that a header does not have, or that
could not be read, is -1. No length or identifier in the stream is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Bits", "NalReader", "PictureHeader", "Sps", "split_annex_b", "split_lengths"]

_HEAD = 48  # a slice's numbering fields fit in far less, whatever the identifiers are
_MAX_SET = 8192  # the largest parameter set or SEI message that is read
_MAX_UNITS = 4096  # NAL units read of one packet
_HIGH = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
_START = re.compile(rb"\x00\x00\x01")


class Bits:
    """Reads bits from the front of some bytes; `EOFError` when they run out."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def u(self, count: int) -> int:
        """An unsigned number of `count` bits."""
        self._left -= count
        if self._left < 0:
            raise EOFError
        value = self._value >> self._left
        self._value -= value << self._left
        return value

    def ue(self) -> int:
        """An unsigned Exp-Golomb number (at most 32 leading zeros)."""
        zeros = self._left - self._value.bit_length()
        if zeros > 32:
            raise EOFError
        self._left -= 2 * zeros + 1
        if self._left < 0:
            raise EOFError
        value = self._value >> self._left
        self._value -= value << self._left
        return value - 1

    def se(self) -> int:
        """A signed Exp-Golomb number."""
        value = self.ue()
        return (value + 1) // 2 if value & 1 else -(value // 2)


def unescape(data: bytes) -> bytes:
    """The payload without emulation prevention bytes."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00") if b"\x00\x00\x03" in data else data


@dataclass(frozen=True)
class Sps:
    """What of a sequence parameter set the numbering of pictures depends on."""

    profile: int
    level: int
    frame_num_bits: int = 0
    poc_type: int = 0
    poc_bits: int = 0
    frame_only: bool = True
    separate_planes: bool = False
    width: int = 0
    height: int = 0
    ticks: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Pps:
    sps: int
    field_poc: bool = False
    output_flag: bool = False
    extra_bits: int = 0


@dataclass(frozen=True)
class PictureHeader:
    """One coded picture as its first slice describes it; -1 for what its header lacks.

    `kind` is I, P, B or ?; `random_access` tells an IDR from a CRA/BLA or recovery-point picture;
    `nal_types` in order; `parameter_sets` hashes of sets carried in band; `lies` counts NAL
    lengths that cannot be true.
    """

    kind: str = "?"
    random_access: str = ""
    nal_type: int = -1
    reference: int = -1
    frame_num: int = -1
    idr_pic_id: int = -1
    poc_lsb: int = -1
    slices: int = 0
    nal_types: tuple[int, ...] = ()
    sei: tuple[int, ...] = ()
    parameter_sets: tuple[str, ...] = ()
    user_data: tuple[str, ...] = ()
    lies: int = 0


_EMPTY = PictureHeader()


def split_lengths(data: memoryview, width: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each NAL unit of a length-prefixed packet; a lie ends it with (-1, at)."""
    at, size = 0, len(data)
    while at + width <= size:
        length = int.from_bytes(data[at : at + width], "big")
        at += width
        if length > size - at:
            yield -1, at
            return
        if length:
            yield at, at + length
        at += length
    if at < size and any(data[at:size]):
        yield -1, at


def split_annex_b(data: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of each NAL unit of a packet with start codes."""
    start = -1
    for match in _START.finditer(data):
        if start >= 0:
            yield start, match.start()
        start = match.end()
    if 0 <= start < len(data):
        yield start, len(data)


def _scaling_lists(bits: Bits, count: int) -> None:
    for number in range(count):
        if bits.u(1):
            last = following = 8
            for _ in range(16 if number < 6 else 64):
                if following:
                    following = (last + bits.se()) % 256
                last = following or last


def read_sps(body: bytes) -> tuple[int, Sps]:
    """An H.264 sequence parameter set (after its NAL header byte) and its identifier."""
    bits = Bits(unescape(body[:_MAX_SET]))
    profile, _, level = bits.u(8), bits.u(8), bits.u(8)
    identifier = bits.ue()
    separate = False
    chroma = 1
    if profile in _HIGH:
        chroma = bits.ue()
        if chroma == 3:
            separate = bool(bits.u(1))
        bits.ue()
        bits.ue()
        bits.u(1)
        if bits.u(1):
            _scaling_lists(bits, 12 if chroma == 3 else 8)
    frame_num_bits = bits.ue() + 4
    poc_type, poc_bits = bits.ue(), 0
    if poc_type == 0:
        poc_bits = bits.ue() + 4
    elif poc_type == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(min(bits.ue(), 256)):
            bits.se()
    bits.ue()
    bits.u(1)
    width, height = 16 * (bits.ue() + 1), 16 * (bits.ue() + 1)
    frame_only = bool(bits.u(1))
    if not frame_only:
        bits.u(1)
        height *= 2
    bits.u(1)
    if bits.u(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        unit = 1 if chroma in (0, 3) else 2
        width -= unit * (left + right)
        height -= (unit if chroma == 1 else 1) * (1 if frame_only else 2) * (top + bottom)
    if identifier > 31 or frame_num_bits > 16 or poc_bits > 16 or poc_type > 2:
        raise EOFError
    ticks = None
    try:
        ticks = _vui_ticks(bits) if bits.u(1) else None
    except EOFError:
        ticks = None
    return identifier, Sps(
        profile, level, frame_num_bits, poc_type, poc_bits, frame_only, separate, width, height,
        ticks,
    )  # fmt: skip


def _vui_ticks(bits: Bits) -> tuple[int, int] | None:
    if bits.u(1) and bits.u(8) == 255:
        bits.u(32)
    if bits.u(1):
        bits.u(1)
    if bits.u(1):
        bits.u(4)
        if bits.u(1):
            bits.u(24)
    if bits.u(1):
        bits.ue()
        bits.ue()
    return (bits.u(32), bits.u(32)) if bits.u(1) else None


def read_sps_h265(body: bytes) -> tuple[int, Sps]:
    """An H.265 sequence parameter set (after its two NAL header bytes) and its identifier."""
    bits = Bits(unescape(body[:_MAX_SET]))
    bits.u(4)
    layers = bits.u(3)
    bits.u(1)
    profile = bits.u(8) & 31
    bits.u(32)
    bits.u(48)
    level = bits.u(8)
    present = [(bits.u(1), bits.u(1)) for _ in range(layers)]
    if layers:
        bits.u(2 * (8 - layers))
    for has_profile, has_level in present:
        bits.u(88 * has_profile + 8 * has_level)
    identifier = bits.ue()
    chroma = bits.ue()
    separate = bool(bits.u(1)) if chroma == 3 else False
    width, height = bits.ue(), bits.ue()
    if bits.u(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= (1 if chroma in (0, 3) else 2) * (left + right)
        height -= (2 if chroma == 1 else 1) * (top + bottom)
    bits.ue()
    bits.ue()
    poc_bits = bits.ue() + 4
    if identifier > 15 or poc_bits > 16:
        raise EOFError
    return identifier, Sps(
        profile, level, poc_bits=poc_bits, separate_planes=separate, width=width, height=height
    )


def _sei_messages(body: bytes) -> Iterator[tuple[int, bytes]]:
    at, size = 0, len(body)
    for _ in range(64):
        if size - at < 2:
            return
        kind = length = 0
        while at < size and body[at] == 255:
            kind, at = kind + 255, at + 1
        if at >= size:
            return
        kind, at = kind + body[at], at + 1
        while at < size and body[at] == 255:
            length, at = length + 255, at + 1
        if at >= size:
            return
        length, at = length + body[at], at + 1
        yield kind, body[at : at + length]
        at += length


def _text(message: bytes) -> str:
    # After a 16-byte identifier the common encoders write their name and options as text.
    raw = message[16:].split(b"\x00", 1)[0][:2048]
    shown = "".join(chr(c) for c in raw if 32 <= c < 127)
    return shown.strip() if len(shown) >= 6 and len(shown) > 0.95 * len(raw) else ""


@dataclass
class NalReader:
    """Reads picture headers of one stream, remembering its parameter sets.

    Parameters
    ----------
    codec
        ``h264`` or ``hevc``.
    extradata
        The configuration record (avcC, hvcC), or parameter sets with start codes, or nothing.
    """

    codec: str
    extradata: bytes = b""
    length_width: int = 0
    sps: dict[int, Sps] = field(default_factory=dict)
    pps: dict[int, _Pps] = field(default_factory=dict)
    outside: set[str] = field(default_factory=set)
    unreadable: int = 0

    def __post_init__(self) -> None:
        record = self.extradata[: 1 << 20]
        wide = self.codec == "hevc"
        if record[:1] == b"\x01" and len(record) > (22 if wide else 6):
            self.length_width = (record[21 if wide else 4] & 3) + 1
            for unit in (_hvcc_units if wide else _avcc_units)(record):
                self.outside |= self._parameter_set(unit)
        elif record:
            for start, end in split_annex_b(record):
                self.outside |= self._parameter_set(record[start:end])

    def _kind(self, first: int) -> int:
        return first >> 1 & 63 if self.codec == "hevc" else first & 31

    def _parameter_set(self, unit: bytes) -> set[str]:
        """Remember a parameter set; its hash, or nothing if it is something else."""
        import hashlib

        if not unit:
            return set()
        kind = self._kind(unit[0])
        wide = self.codec == "hevc"
        if kind not in ((32, 33, 34) if wide else (7, 8, 13, 15)):
            return set()
        # Start codes are padded with zeros; a set that differs only in these is the same set.
        trimmed = unit[:_MAX_SET].rstrip(b"\x00")
        try:
            if kind == (33 if wide else 7):
                number, sps = (read_sps_h265(unit[2:]) if wide else read_sps(unit[1:]))
                self.sps[number] = sps
            elif kind == (34 if wide else 8):
                bits = Bits(unescape(unit[2 if wide else 1 : _MAX_SET]))
                number, owner = bits.ue(), bits.ue()
                if number > 255 or owner > 31:
                    raise EOFError
                if wide:
                    bits.u(1)
                    output, extra = bool(bits.u(1)), bits.u(3)
                    self.pps[number] = _Pps(owner, output_flag=output, extra_bits=extra)
                else:
                    bits.u(1)
                    self.pps[number] = _Pps(owner, field_poc=bool(bits.u(1)))
        except EOFError:
            self.unreadable += 1
        return {f"{kind}:{hashlib.sha256(trimmed).hexdigest()[:12]}"}

    def read(self, packet: memoryview) -> PictureHeader:
        """The header of the picture in one packet, as far as it can be read."""
        wide = self.codec == "hevc"
        if self.length_width:
            units: Iterator[tuple[int, int]] = split_lengths(packet, self.length_width)
        else:
            data = bytes(packet)
            packet = memoryview(data)
            units = split_annex_b(data)
        kinds: list[int] = []
        sei: list[int] = []
        sets: list[str] = []
        said: list[str] = []
        slices = lies = 0
        picture = _EMPTY
        recovery = False
        for start, end in units:
            if start < 0 or len(kinds) >= _MAX_UNITS:
                lies += 1
                break
            kind = packet[start] >> 1 & 63 if wide else packet[start] & 31
            kinds.append(kind)
            if kind < 32 if wide else 0 < kind < 6:
                slices += 1
                if slices == 1:
                    head = unescape(bytes(packet[start : min(end, start + _HEAD)]))
                    picture = self._slice_h265(head) if wide else self._slice(head)
            elif kind in ((39, 40) if wide else (6,)):
                body = unescape(bytes(packet[start + 1 + wide : min(end, start + _MAX_SET)]))
                for number, message in _sei_messages(body):
                    sei.append(number)
                    recovery = recovery or number == 6
                    if number == 5 and len(message) > 20:
                        text = _text(message)
                        if text:
                            said.append(text)
            elif kind in ((32, 33, 34) if wide else (7, 8, 13, 15)):
                sets.extend(sorted(self._parameter_set(bytes(packet[start:end]))))
        access = picture.random_access or ("recovery" if recovery and picture.kind == "I" else "")
        return PictureHeader(
            picture.kind, access, picture.nal_type, picture.reference, picture.frame_num,
            picture.idr_pic_id, picture.poc_lsb, slices, tuple(kinds), tuple(sei), tuple(sets),
            tuple(said), lies,
        )  # fmt: skip

    def _slice(self, head: bytes) -> PictureHeader:
        first = head[0]
        kind, reference = first & 31, first >> 5 & 3
        frame_num = idr_pic_id = poc = -1
        letter = "?"
        try:
            bits = Bits(head[1:])
            bits.ue()
            letter = "PBIPI"[bits.ue() % 5]
            pps = self.pps.get(bits.ue())
            sps = self.sps.get(pps.sps) if pps is not None else None
            if sps is not None:
                if sps.separate_planes:
                    bits.u(2)
                frame_num = bits.u(sps.frame_num_bits)
                if not sps.frame_only and bits.u(1):
                    bits.u(1)
                if kind == 5:
                    idr_pic_id = bits.ue()
                if sps.poc_type == 0:
                    poc = bits.u(sps.poc_bits)
        except EOFError:
            self.unreadable += 1
        return PictureHeader(
            letter, "IDR" if kind == 5 else "", kind, reference, frame_num, idr_pic_id, poc
        )

    def _slice_h265(self, head: bytes) -> PictureHeader:
        kind = head[0] >> 1 & 63
        access = {19: "IDR", 20: "IDR", 21: "CRA", 16: "BLA", 17: "BLA", 18: "BLA"}.get(kind, "")
        letter, poc = "?", -1
        try:
            bits = Bits(head[2:])
            first = bits.u(1)
            if 16 <= kind <= 23:
                bits.u(1)
            pps = self.pps.get(bits.ue())
            sps = self.sps.get(pps.sps) if pps is not None else None
            if pps is not None and sps is not None and first:
                bits.u(pps.extra_bits)
                letter = "BPI"[min(bits.ue(), 2)]
                if pps.output_flag:
                    bits.u(1)
                if sps.separate_planes:
                    bits.u(2)
                poc = 0 if access == "IDR" else bits.u(sps.poc_bits)
        except EOFError:
            self.unreadable += 1
        # Odd types below 16 are reference pictures (clause 7.4.2.2).
        reference = 1 if kind >= 16 or kind & 1 else 0
        return PictureHeader(letter, access, kind, reference, poc_lsb=poc)


def _avcc_units(record: bytes) -> Iterator[bytes]:
    at = 5
    for mask in (31, 255):
        if at >= len(record):
            return
        count = record[at] & mask
        at += 1
        for _ in range(count):
            length = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + length]
            at += 2 + length


def _hvcc_units(record: bytes) -> Iterator[bytes]:
    at = 23
    for _ in range(record[22] if len(record) > 22 else 0):
        count = int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(min(count, 64)):
            length = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + length]
            at += 2 + length
