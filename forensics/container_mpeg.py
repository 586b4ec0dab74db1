"""Picture headers and GOP time codes of MPEG-1, MPEG-2 and MPEG-4 part 2, read from the bytes.

Conventions: ISO/IEC 11172-2, 13818-2 and 14496-2. The GOP header of these codecs carries a clock
of its own (hours, minutes, seconds): where it runs against the container's stamps, something
happened to one of them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from forensics.container_nal import Bits, PictureHeader

__all__ = ["read_mpeg_header"]

_SEARCH = 4096


def _text(body: bytes) -> str:
    end = body.find(b"\x00\x00\x01")
    shown = body[: end if end >= 0 else 256][:256].decode("latin-1")
    text = "".join(c for c in shown if c.isprintable()).strip()
    return text if len(text) >= 4 else ""


def read_mpeg_header(codec: str, packet: Any) -> tuple[PictureHeader, Fraction | None]:
    """The header of one packet, and the time code (s) of the GOP header in front of it, if any."""
    data = bytes(memoryview(packet)[:_SEARCH])
    at = data.find(b"\x00\x00\x01")
    kind, order, code = "?", -1, None
    said: list[str] = []
    while 0 <= at < len(data) - 4:
        start, body = data[at + 3], data[at + 4 : at + 36]
        try:
            if codec in ("mpeg1video", "mpeg2video"):
                if start == 0x00:
                    bits = Bits(body)
                    order, kind = bits.u(10), "?IPB????"[bits.u(3)]
                    break
                if start == 0xB8:
                    code = _clock(Bits(body), frames=True)
                elif start == 0xB2:
                    said.append(_text(data[at + 4 :]))
            else:
                if start == 0xB6:
                    kind = "IPBP"[Bits(body).u(2)]
                    break
                if start == 0xB3:
                    code = _clock(Bits(body), frames=False)
                elif start == 0xB2:
                    said.append(_text(data[at + 4 :]))
        except EOFError:
            pass
        at = data.find(b"\x00\x00\x01", at + 4)
    header = PictureHeader(
        kind, poc_lsb=order, slices=int(kind != "?"), user_data=tuple(t for t in said if t)
    )
    return header, code


def _clock(bits: Bits, *, frames: bool) -> Fraction:
    if frames:
        bits.u(1)
    hours, minutes = bits.u(5), bits.u(6)
    bits.u(1)
    return Fraction(hours * 3600 + minutes * 60 + bits.u(6))
