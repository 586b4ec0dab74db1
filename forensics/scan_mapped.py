"""An array that lies in a file and leaves no more than a few megabytes of it in memory."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mapped"]

#: Bytes that may have been touched before all are let go; what the system maps for one byte (seen
#: on Linux 6); and rows picked at a time.
TOUCHED, AROUND, ROWS = 16 << 20, 512 << 10, 32


class Mapped(np.ndarray[Any, Any]):
    """A whole array in a mapped file. What is taken out of it is an ordinary array.

    The system counts every page that was looked at to the process, until it is let go; what is
    needed again it reads again, mostly from its own cache.
    """

    pages: mmap.mmap | None = None
    touched: list[int]

    @classmethod
    def of(cls, array: NDArray[Any], pages: mmap.mmap) -> Mapped:
        """The array over these pages."""
        whole = array.view(cls)
        whole.pages, whole.touched = pages, [0]
        return whole

    def __array_finalize__(self, parent: Any) -> None:
        # Of another shape it still lies in the same pages.
        self.pages, self.touched = getattr(parent, "pages", None), getattr(parent, "touched", [0])

    def __getitem__(self, key: Any) -> Any:
        plain = self.view(np.ndarray)
        if isinstance(key, list):
            key = np.array(key, dtype=np.int64)
        if isinstance(key, np.ndarray) and key.dtype.kind in "iu" and key.ndim == 1:
            picked = np.empty((len(key), *self.shape[1:]), self.dtype)
            for low in range(0, len(key), ROWS):
                some = key[low : low + ROWS]
                picked[low : low + ROWS] = plain[some]
                span = (int(some.max()) - int(some.min())) * self.strides[0]
                self._count(min(len(some) * AROUND, span + AROUND))
            return picked
        found = plain[key]
        self._count(found.nbytes + AROUND)
        return found

    def _count(self, size: int) -> None:
        self.touched[0] += size
        if self.touched[0] > TOUCHED and self.pages is not None:
            self.touched[0] = 0
            if hasattr(mmap, "MADV_DONTNEED"):
                self.pages.madvise(mmap.MADV_DONTNEED)
