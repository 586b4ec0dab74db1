"""What is kept of every frame: in memory while it is little, beyond that in a file without a name.

Of a long recording small pictures and grids are a hundred megabytes an hour. The file lies where
temporary files lie, readable by its owner alone; it has no name from the beginning, so that nothing
of it can be found once the process ends, however it ends. Detectors read it as one array.
"""

from __future__ import annotations

import mmap
from typing import IO, TYPE_CHECKING, Any

from forensics.tools_temporary import nameless_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Kept", "weigh"]

#: Bytes kept in memory, and bytes written at a time beyond these.
IN_MEMORY, AT_ONCE = 8 << 20, 1 << 20


class Kept:
    """Arrays of one shape, added one by one and read back as one array of n rows."""

    def __init__(self) -> None:
        self._open = bytearray()
        self._file: IO[bytes] | None = None
        self._count = 0
        self._shape: tuple[int, ...] = (0,)
        self._kind = "u1"
        self._whole: NDArray[Any] | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, row: NDArray[Any]) -> None:
        """Keep one more."""
        if not self._count:
            self._shape, self._kind = row.shape, row.dtype.str
        self._open += row.tobytes()
        self._count += 1
        if len(self._open) > (AT_ONCE if self._file else IN_MEMORY):
            self._spill()

    def fill(self, data: bytes, kind: str, shape: tuple[int, ...]) -> None:
        """Keep the next part of an array of that kind and shape, not divided into rows."""
        self._count, self._shape, self._kind = shape[0], shape[1:], kind
        self._open += data
        if len(self._open) > (AT_ONCE if self._file else IN_MEMORY):
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = nameless_file()
        self._file.write(self._open)
        self._open.clear()

    def array(self) -> NDArray[Any]:
        """All of them, (n, …); nothing can be added any more."""
        import numpy as np

        if self._whole is None:
            data: Any = self._open
            if self._file is not None:
                self._spill()
                self._file.flush()
                # The mapping outlives the file, and the array the mapping.
                data = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
                self._file.close()
            shape = (self._count, *self._shape)
            self._whole = (
                np.frombuffer(data, self._kind).reshape(shape)
                if len(data)
                else np.empty(shape, self._kind)
            )
            if self._file is not None:
                from forensics.scan_mapped import Mapped

                self._whole = Mapped.of(self._whole, data)
        return self._whole


def weigh(array: NDArray[Any]) -> int:
    """Bytes of memory an array holds: what lies in a file holds none."""
    return 0 if hasattr(array, "pages") else array.nbytes
