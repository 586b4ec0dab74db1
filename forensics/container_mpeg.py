"""Picture headers and clocks of MPEG-1, MPEG-2 and MPEG-4 part 2, read from the bytes.

Conventions: ISO/IEC 11172-2, 13818-2 and 14496-2. The GOP header of these codecs carries a clock
of its own (hours, minutes, seconds), and every picture of MPEG-4 part 2 its time to a fraction of
a second: where they run against the container's stamps, something happened to one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from forensics.container_nal import Bits, PictureHeader

__all__ = ["MpegReader"]

_SEARCH = 4096
_MAX_SECONDS = 360_000_000  # a clock that counts further is no clock


def _text(body: bytes) -> str:
    end = body.find(b"\x00\x00\x01")
    shown = body[: end if end >= 0 else 256][:256].decode("latin-1")
    text = "".join(c for c in shown if c.isprintable()).strip()
    return text if len(text) >= 4 else ""


def read_resolution(body: bytes) -> int:
    """Ticks a second of an MPEG-4 part 2 stream, from its video object layer header."""
    bits = Bits(body)
    bits.u(9)
    version = 1
    if bits.u(1):
        version = bits.u(4)
        bits.u(3)
    if bits.u(4) == 15:
        bits.u(16)
    if bits.u(1):
        bits.u(3)
        if bits.u(1):
            bits.u(79)
    if bits.u(2) == 3 and version != 1:
        bits.u(4)
    bits.u(1)
    return bits.u(16)


@dataclass
class MpegReader:
    """Reads picture headers of one stream, remembering its clock.

    Parameters
    ----------
    codec
        ``mpeg1video``, ``mpeg2video`` or one of the ``mpeg4`` kind.
    extradata
        Headers that stand outside the packets, or nothing.
    """

    codec: str
    extradata: bytes = b""
    #: Ticks a second of the pictures' own clock; 0: the codec has none, or it is not known.
    resolution: int = 0
    _base: int = 0
    _earlier: int = 0

    def __post_init__(self) -> None:
        self.outside = self.read(self.extradata)[0].user_data if self.extradata else ()
        self._base = self._earlier = 0

    def read(self, packet: Any) -> tuple[PictureHeader, Fraction | None, int]:
        """The header of one packet, the time code (s) of a GOP header in front of it, if any, and
        the picture's own time in ticks of `resolution`, -1 if it has none.
        """
        data = bytes(memoryview(packet)[:_SEARCH])
        at = data.find(b"\x00\x00\x01")
        kind, order, code, ticks = "?", -1, None, -1
        said: list[str] = []
        while 0 <= at < len(data) - 4:
            start, body = data[at + 3], data[at + 4 : at + 36]
            try:
                if self.codec in ("mpeg1video", "mpeg2video"):
                    if start == 0x00:
                        bits = Bits(body)
                        order, kind = bits.u(10), "?IPB????"[bits.u(3)]
                        break
                    if start == 0xB8:
                        code = _clock(Bits(body), frames=True)
                    elif start == 0xB2:
                        said.append(_text(data[at + 4 :]))
                elif self.codec == "mpeg4":
                    if start == 0xB6:
                        bits = Bits(body)
                        kind = "IPBP"[bits.u(2)]
                        order, ticks = self._time(bits, kind)
                        break
                    if 0x20 <= start <= 0x2F:
                        self.resolution = read_resolution(body)
                    elif start == 0xB3:
                        code = _clock(Bits(body), frames=False)
                        self._base = int(code)
                    elif start == 0xB2:
                        said.append(_text(data[at + 4 :]))
            except EOFError:
                pass
            at = data.find(b"\x00\x00\x01", at + 4)
        header = PictureHeader(
            kind, poc_lsb=order, slices=int(kind != "?"), user_data=tuple(t for t in said if t)
        )
        return header, code, ticks

    def _time(self, bits: Bits, kind: str) -> tuple[int, int]:
        """``vop_time_increment`` and the picture's time, ticks.

        The header gives the seconds since the last reference picture (for a B picture, since the
        one before that), and the ticks within the second.
        """
        seconds = 0
        while bits.u(1):
            seconds += 1
        bits.u(1)
        if self.resolution < 1:
            return -1, -1
        increment = bits.u(max(1, (self.resolution - 1).bit_length()))
        if kind == "B":
            base = self._earlier + seconds
        else:
            self._earlier = self._base
            self._base = base = min(self._base + seconds, _MAX_SECONDS)
        return increment, base * self.resolution + increment


def _clock(bits: Bits, *, frames: bool) -> Fraction:
    if frames:
        bits.u(1)
    hours, minutes = bits.u(5), bits.u(6)
    bits.u(1)
    return Fraction(hours * 3600 + minutes * 60 + bits.u(6))
