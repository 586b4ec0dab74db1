"""One pass over the packets of a clip: stamps, sizes, and the header of every picture.

Nothing is decoded. The result is a table with one row a packet in file order, readable by a
person (`SliceTable.rows`) and by the pure detectors of the other ``container_*`` modules.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from forensics.clip import check_unchanged, open_container
from forensics.container_mpeg import MpegReader
from forensics.container_nal import NalReader, PictureHeader
from forensics.errors import ClipRefused, ClipUnreadable, StreamMissing
from forensics.model import Clip, Progress
from forensics.scan import Packets

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["ABSENT", "SliceTable", "Tracks", "read_slice_headers", "read_tracks"]

#: A stamp that the container does not have.
ABSENT = -(2**63)
_MAX_PACKETS = 20_000_000
_KINDS = "?IPB"
_NAL_CODECS = ("h264", "hevc")
_MPEG_CODECS = ("mpeg4", "mpeg1video", "mpeg2video", "msmpeg4v2", "msmpeg4v3")


@dataclass(frozen=True)
class SliceTable:
    """One row per coded picture in file order; -1 for what a header does not have.

    `kind` is 0 unknown, 1 I, 2 P, 3 B. `access` is 0 for a picture that needs others, 1 IDR,
    2 CRA, 3 BLA, 4 recovery point, 5 key frame by the container's word only. `units` maps a row to
    its NAL unit types, `sei` to its SEI message types, `sets` to hashes of parameter sets carried
    in band, `said` to what the encoder wrote there, `time_codes` to the GOP header's clock (s).
    `ticks` is a picture's own time in units of 1/`clock_rate` s where the codec writes one
    (MPEG-4 part 2; `poc_lsb` then holds its ``vop_time_increment``).
    """

    codec: str
    packets: Packets
    kind: NDArray[np.int8]
    access: NDArray[np.int8]
    reference: NDArray[np.int8]
    frame_num: NDArray[np.int64]
    idr_pic_id: NDArray[np.int64]
    poc_lsb: NDArray[np.int64]
    slices: NDArray[np.int64]
    ticks: NDArray[np.int64]
    units: dict[int, tuple[int, ...]]
    sei: dict[int, tuple[int, ...]]
    sets: dict[int, tuple[str, ...]]
    said: dict[int, tuple[str, ...]]
    time_codes: dict[int, Fraction]
    outside: frozenset[str] = frozenset()
    poc_bits: int = 0
    frame_num_bits: int = 0
    clock_rate: int = 0
    frame_only: bool = True
    size: tuple[int, int] = (0, 0)
    lies: int = 0
    unreadable: int = 0
    length_prefixed: bool = False
    broken_off: str = ""

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Packets that are presented: not discarded by an edit list."""
        return ~self.packets.discard

    def time(self, row: int) -> Fraction | None:
        """Exact presentation time of a packet, s."""
        pts = int(self.packets.pts[row])
        return None if pts == ABSENT else pts * self.packets.time_base

    def rows(self, *, only_access: bool = False) -> list[dict[str, Any]]:
        """The table as dicts with readable values; optionally only random-access pictures."""
        names = ("", "IDR", "CRA", "BLA", "recovery", "key")
        table: list[dict[str, Any]] = []
        for row in range(len(self)):
            if only_access and not self.access[row] and row not in self.sets:
                continue
            time = self.time(row)
            line: dict[str, Any] = {
                "packet": row,
                "byte": int(self.packets.position[row]),
                "size": int(self.packets.size[row]),
                "pts_s": None if time is None else float(time),
                "shown": bool(self.shown[row]),
                "kind": _KINDS[self.kind[row]],
                "access": names[self.access[row]],
                "slices": int(self.slices[row]),
            }
            for name in ("frame_num", "idr_pic_id", "poc_lsb"):
                value = int(getattr(self, name)[row])
                line[name] = None if value < 0 else value
            line["nal_units"] = " ".join(map(str, self.units.get(row, ())))
            line["sei"] = " ".join(map(str, self.sei.get(row, ())))
            line["parameter_sets"] = " ".join(self.sets.get(row, ()))
            line["encoder"] = " | ".join(self.said.get(row, ()))
            code = self.time_codes.get(row)
            line["time_code_s"] = None if code is None else float(code)
            table.append(line)
        return table

    def to_frame(self, *, only_access: bool = False) -> pd.DataFrame:
        """The rows as a pandas table (extra `notebook`)."""
        import pandas as pd

        return pd.DataFrame(self.rows(only_access=only_access))

    def __str__(self) -> str:
        """The random-access pictures as a text table."""
        rows = self.rows(only_access=True)[:2000]
        columns = ("packet", "byte", "size", "pts_s", "kind", "access", "frame_num", "idr_pic_id",
                   "poc_lsb", "nal_units", "sei", "parameter_sets")  # fmt: skip
        cells = [columns, *(tuple(_cell(r[c]) for c in columns) for r in rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        return "\n".join(
            "  ".join(text.rjust(w) for text, w in zip(line, widths, strict=True)).rstrip()
            for line in cells
        )


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Tracks:
    """Everything one demux pass shows: the picture table and every sound stream's packets."""

    pictures: SliceTable | None
    sound: dict[int, Packets] = field(default_factory=dict)


class _Log:
    def __init__(self, base: Fraction) -> None:
        self.base, self.numbers = base, array("q")

    def add(self, packet: Any) -> None:
        pts, dts, pos = packet.pts, packet.dts, packet.pos
        self.numbers.extend((
            ABSENT if pts is None else pts, ABSENT if dts is None else dts, packet.duration or 0,
            packet.size, -1 if pos is None else pos,
            packet.is_keyframe + 2 * packet.is_discard + 4 * packet.is_corrupt,
        ))  # fmt: skip

    def __len__(self) -> int:
        return len(self.numbers) // 6

    def table(self) -> Packets:
        import numpy as np

        rows = np.array(self.numbers, dtype=np.int64).reshape(-1, 6)
        pts, dts, duration, size, position, flags = np.ascontiguousarray(rows.T)
        return Packets(
            self.base, pts, dts, duration, size, position,
            (flags & 1) > 0, (flags & 2) > 0, (flags & 4) > 0,
        )  # fmt: skip


class _Pictures:
    """Collects the picture table while a stream is demuxed."""

    def __init__(self, codec: str, extradata: bytes, base: Fraction) -> None:
        self.codec = codec
        self.log = _Log(base)
        self.reader = NalReader(codec, extradata) if codec in _NAL_CODECS else None
        self.mpeg = MpegReader(codec, extradata[:4096]) if codec in _MPEG_CODECS else None
        self.numbers = array("q")
        self.units: dict[int, tuple[int, ...]] = {}
        self.sei: dict[int, tuple[int, ...]] = {}
        self.sets: dict[int, tuple[str, ...]] = {}
        self.said: dict[int, tuple[str, ...]] = {}
        self.time_codes: dict[int, Fraction] = {}
        self.lies = 0
        self._seen: dict[tuple[int, ...], tuple[int, ...]] = {}

    def add(self, packet: Any) -> None:
        row = len(self.log)
        self.log.add(packet)
        access, ticks = {"IDR": 1, "CRA": 2, "BLA": 3, "recovery": 4}, -1
        if self.reader is not None:
            header = self.reader.read(memoryview(packet))
            # One tuple object for each distinct pattern keeps hour-long tables small.
            self.units[row] = self._seen.setdefault(header.nal_types, header.nal_types)
            if header.sei:
                self.sei[row] = self._seen.setdefault(header.sei, header.sei)
            if header.parameter_sets:
                self.sets[row] = header.parameter_sets
            if header.user_data:
                self.said[row] = header.user_data
            self.lies += header.lies
            number = access.get(header.random_access, 0)
        elif self.mpeg is not None:
            header, code, ticks = self.mpeg.read(packet)
            if code is not None:
                self.time_codes[row] = code
            if header.user_data:
                self.said[row] = header.user_data
            number = 0
        else:
            header, number = PictureHeader(), 0
        if not number and packet.is_keyframe:
            number = 5
        self.numbers.extend((
            max(0, _KINDS.find(header.kind)), number, header.reference, header.frame_num,
            header.idr_pic_id, header.poc_lsb, header.slices, ticks,
        ))  # fmt: skip

    def table(self, extradata: bytes, broken_off: str) -> SliceTable:
        import numpy as np

        rows = np.array(self.numbers, dtype=np.int64).reshape(-1, 8)
        kind, access, reference, frame_num, idr, poc, slices, ticks = np.ascontiguousarray(rows.T)
        if not kind.any():
            # Without readable headers a key frame is all that is known.
            kind = np.where(access > 0, 1, 0)
        reader = self.reader
        sps = next(iter(reader.sps.values()), None) if reader is not None else None
        said = dict(self.said)
        if self.mpeg is not None and self.mpeg.outside:
            said.setdefault(0, self.mpeg.outside)
        return SliceTable(
            self.codec, self.log.table(), kind.astype(np.int8), access.astype(np.int8),
            reference.astype(np.int8), frame_num, idr, poc, slices, ticks, self.units,
            self.sei, self.sets, said, self.time_codes,
            outside=frozenset(reader.outside) if reader is not None else frozenset(),
            poc_bits=sps.poc_bits if sps else 0,
            frame_num_bits=sps.frame_num_bits if sps else 0,
            clock_rate=self.mpeg.resolution if self.mpeg is not None else 0,
            frame_only=sps.frame_only if sps else True,
            size=(sps.width, sps.height) if sps else (0, 0),
            lies=self.lies, unreadable=reader.unreadable if reader is not None else 0,
            length_prefixed=bool(reader and reader.length_width), broken_off=broken_off,
        )  # fmt: skip


def read_tracks(
    clip: Clip, *, edit_lists: bool = True, progress: Progress | None = None
) -> Tracks:
    """Demux a clip once: picture headers of the picture stream, packets of every sound stream.

    Parameters
    ----------
    clip
        An opened clip.
    edit_lists
        False: as stored, with what an MP4 edit list hides.
    progress
        Called with (fraction, text).

    Raises
    ------
    ClipUnreadable
        Not one packet could be read.
    ClipRefused
        More packets than any recording has.
    ClipChanged
        The file is not the one that was hashed.
    """
    import av

    check_unchanged(clip)
    video = clip.video
    with open_container(clip.path, edit_lists=edit_lists) as container:
        pictures = None
        logs: dict[int, _Log] = {}
        extradata = b""
        wanted = []
        for source in container.streams:
            base = Fraction(source.time_base or Fraction(1, av.time_base))
            if video is not None and source.index == video.index:
                context: Any = source.codec_context
                extradata = bytes(context.extradata or b"")
                pictures = _Pictures(context.name, extradata, base)
                wanted.append(source)
            elif source.type == "audio":
                logs[source.index] = _Log(base)
                wanted.append(source)
        count, broken_off = 0, ""
        if wanted:
            try:
                for packet in container.demux(wanted):
                    if not packet.size:
                        continue
                    index = packet.stream_index
                    if pictures is not None and video is not None and index == video.index:
                        pictures.add(packet)
                    else:
                        logs[index].add(packet)
                    count += 1
                    if count > _MAX_PACKETS:
                        raise ClipRefused(f"{clip.name} has over {_MAX_PACKETS} packets",
                                          path=clip.path)  # fmt: skip
                    if progress is not None and count % 1000 == 0 and packet.pos:
                        progress(min(1.0, packet.pos / max(1, clip.size)), "reading packets")
            except (av.error.FFmpegError, ValueError) as error:
                broken_off = str(getattr(error, "strerror", None) or error)
        if not count:
            raise ClipUnreadable(
                f"not one packet of {clip.name} could be read", path=clip.path, hint=broken_off
            )
    check_unchanged(clip)
    table = None
    if pictures is not None and len(pictures.log):
        table = pictures.table(extradata, broken_off)
    return Tracks(table, {index: log.table() for index, log in logs.items()})


def read_slice_headers(
    clip: Clip, *, edit_lists: bool = True, progress: Progress | None = None
) -> SliceTable:
    """The header of every coded picture as one readable table, without decoding.

    H.264: type, ``frame_num``, ``idr_pic_id``, order count, NAL units, SEI, parameter sets in
    band. H.265: the same as far as it has them. MPEG-1, -2, -4: type and GOP time code, and the
    pictures' own clock in MPEG-4 part 2. Other
    codecs: stamps, sizes and the container's key-frame flag.

    Parameters
    ----------
    clip
        An opened clip.
    edit_lists
        False: as stored, with what an MP4 edit list hides.
    progress
        Called with (fraction, text).

    Returns
    -------
    SliceTable
        Print it for the random-access pictures; `rows()` and `to_frame()` give everything.

    Raises
    ------
    StreamMissing
        No picture stream, or an empty one.
    ClipUnreadable, ClipRefused, ClipChanged

    References
    ----------
    ITU-T H.264 (08/2021) 7.3; ITU-T H.265 (08/2021) 7.3; ISO/IEC 14496-2, 13818-2.

    When it errs
    ------------
    Reads only the first slice of a picture (ASTM E3016: incompleteness). Says nothing about what
    the picture shows. Encrypted packets give headers without meaning (inaccuracy: corruption).
    """
    table = read_tracks(clip, edit_lists=edit_lists, progress=progress).pictures
    if table is None:
        raise StreamMissing(f"{clip.name} has no picture packets", path=clip.path)
    return table
