"""Measure once, ask often: measurements kept in memory, and on disk only where the caller says.

The key is the clip's SHA-256 and the version of the features, so a file that changed, or code that
measures something else, never meets an old answer. Nothing is ever written beside evidence.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import os
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from forensics.clip import check_unchanged
from forensics.errors import ClipRefused
from forensics.model import Clip, VideoStream, canonical_json, from_json
from forensics.scan_kept import Kept, weigh
from forensics.scan_measured import Measurements
from forensics.scan_packets import Packets

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["disk_cache", "forget", "measurements"]

#: Version of what `scan` itself records of each frame (2: stamps of AVI in order of showing;
#: 3: those of bare streams, what the decoder repaired; 4: damage as one thread conceals it).
RECORDED = "4"
#: Bytes of measurements kept in memory: about an hour of video at 25 frames a second.
MEMORY_BYTES = 128 << 20
#: Rows written and bytes read at a time.
ROWS, AT_ONCE = 1024, 1 << 20

_kept: OrderedDict[tuple[str, str], Measurements] = OrderedDict()
_folder: contextvars.ContextVar[Path | None] = contextvars.ContextVar("cache", default=None)


def _weight(measured: Measurements) -> int:
    arrays = [*measured.columns.values(), *measured.planes.values(), measured.pts, measured.packet]
    return sum(map(weigh, arrays)) + 48 * len(measured.packets)


def forget() -> None:
    """Drop everything kept in memory."""
    _kept.clear()


@contextlib.contextmanager
def disk_cache(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Keep measurements in `folder` too, while the context lasts.

    Examples
    --------
    >>> with disk_cache(case / "cache"):  # doctest: +SKIP
    ...     edits.find_edits(clip)
    """
    place = Path(folder).absolute()
    place.mkdir(parents=True, exist_ok=True)
    token = _folder.set(place)
    try:
        yield place
    finally:
        _folder.reset(token)


def measurements(
    clip: Clip, version: str, compute: Callable[[], Measurements]
) -> Measurements:
    """What `compute` measures of `clip`, from memory or the disk if it was measured before.

    Raises
    ------
    ClipChanged
        The file is no longer the one that was hashed: an old answer would not be about it.
    ClipRefused
        The cache folder is the one the evidence lies in.
    """
    check_unchanged(clip)
    key = (clip.digest, version)
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key]
    folder = _folder.get()
    path = None
    if folder is not None:
        if folder.resolve() == clip.path.parent.resolve():
            raise ClipRefused(
                "measurements are never written beside the evidence", path=clip.path,
                hint="name another folder for the cache",
            )  # fmt: skip
        name = hashlib.sha256(f"{clip.digest} {version} {RECORDED}".encode()).hexdigest()
        path = folder / f"{name}.measurements"
    found = _read(path, clip.digest) if path is not None else None
    if found is None:
        found = compute()
        if path is not None:
            _write(path, found)
    _kept[key] = found
    while len(_kept) > 1 and sum(map(_weight, _kept.values())) > MEMORY_BYTES:
        _kept.popitem(last=False)
    return found


class _Head(msgspec.Struct, frozen=True):
    clip: str
    stream: VideoStream
    decode_failures: int
    sizes: tuple[tuple[int, int, int], ...]
    failures: tuple[str, ...]
    packet_base: Fraction
    unstamped: int
    restarts: tuple[tuple[int, int], ...]
    checks: dict[str, str]


_PACKETS = ("pts", "dts", "duration", "size", "position", "key", "discard", "corrupt")
_ROWS = ("pts", "picture_type", "key", "packet", "repaired")


class _Hashed:
    """A stream of bytes, and the digest of what went through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.digest = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.digest.update(data)
        return data

    def write(self, data: Any) -> None:
        self.digest.update(data)
        self.stream.write(data)


def _store(stream: IO[bytes], array: NDArray[Any]) -> str:
    """Write an array as NumPy does, a part at a time; its digest."""
    import numpy as np
    from numpy.lib import format as npy

    out = _Hashed(stream)
    head = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    npy.write_array_header_1_0(out, head)
    for low in range(0, len(array), ROWS):
        out.write(np.ascontiguousarray(array[low : low + ROWS]).data.cast("B"))
    return out.digest.hexdigest()


def _load(stream: IO[bytes], check: str) -> NDArray[Any] | None:
    """Read such an array a part at a time; None where it is not what was written."""
    from numpy.lib import format as npy

    source, kept = _Hashed(stream), Kept()
    if npy.read_magic(source) != (1, 0):
        return None
    shape, by_columns, kind = npy.read_array_header_1_0(source)
    if by_columns or kind.hasobject or not shape:
        return None
    kept.fill(b"", kind.str, shape)
    while data := source.read(AT_ONCE):
        kept.fill(data, kind.str, shape)
    return kept.array() if source.digest.hexdigest() == check else None


def _write(path: Path, measured: Measurements) -> None:
    arrays: dict[str, NDArray[Any]] = {f"row {n}": getattr(measured, n) for n in _ROWS}
    arrays |= {f"packet {n}": getattr(measured.packets, n) for n in _PACKETS}
    arrays |= {f"column {n}": a for n, a in measured.columns.items()}
    arrays |= {f"plane {n}": a for n, a in measured.planes.items()}
    checks = {}
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for key, array in arrays.items():
            with archive.open(key, "w", force_zip64=True) as entry:
                checks[key] = _store(entry, array)
        head = _Head(
            measured.clip, measured.stream, measured.decode_failures, measured.sizes,
            measured.failures, measured.packets.time_base, measured.unstamped,
            measured.restarts, checks,
        )  # fmt: skip
        archive.writestr("head", canonical_json(head))
    os.replace(name, path)


def _read(path: Path, digest: str) -> Measurements | None:
    if not path.exists():
        return None
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            head = from_json(archive.read("head"), _Head)
            for key, check in head.checks.items():
                with archive.open(key) as entry:
                    array = _load(entry, check)
                if array is None:
                    return None
                arrays[key] = array
    except (zipfile.BadZipFile, KeyError, ValueError, OSError):
        # A cache that does not hold is measured again; the evidence is all that counts.
        return None
    if head.clip != digest:
        return None

    def named(kind: str) -> dict[str, Any]:
        return {k.split(" ", 1)[1]: a for k, a in arrays.items() if k.startswith(kind + " ")}

    return Measurements(
        clip=head.clip, stream=head.stream, **named("row"),
        packets=Packets(head.packet_base, **named("packet")), columns=named("column"),
        planes=named("plane"), decode_failures=head.decode_failures, sizes=head.sizes,
        failures=head.failures, unstamped=head.unstamped, restarts=head.restarts,
    )  # fmt: skip
