"""Small pictures kept of every frame, packed for as long as the decoder holds its large ones."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Packed"]

#: Pictures packed at a time, and what a short recording keeps as it is: it needs no packing.
CHUNK, SHORT = 512, 20


class Packed:
    """Pictures of one shape, each told by what changed since the one before.

    An hour of thumbnails is 80 MB as they are, and a third of that or less packed; it is unpacked
    once, when the decoder's own pictures are gone.
    """

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._plain: list[bytes] = []
        self._open = bytearray()
        self._size = 0
        self._whole: NDArray[np.uint8] | None = None

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Keep one more picture, of bytes."""
        self._open += picture.tobytes()
        self._size = picture.size
        if len(self._open) == CHUNK * self._size:
            self._close()

    def _close(self) -> None:
        self._plain.append(bytes(self._open))
        self._open.clear()
        if self._packed or len(self._plain) > SHORT:
            self._packed += map(self._pack, self._plain)
            self._plain.clear()

    def _pack(self, plain: bytes) -> bytes:
        import numpy as np

        pictures = np.frombuffer(plain, np.uint8).reshape(-1, self._size)
        return zlib.compress(np.diff(pictures, axis=0, prepend=np.uint8(0)).data, 1)

    def unpack(self) -> NDArray[np.uint8]:
        """All pictures, (n, pixels); what was packed goes as it is unpacked."""
        import numpy as np

        if self._whole is None:
            size = max(1, self._size)
            rest = np.frombuffer(b"".join([*self._plain, self._open]), np.uint8).reshape(-1, size)
            full = len(self._packed) * CHUNK
            whole = np.empty((full + len(rest), size), np.uint8)
            whole[full:] = rest
            self._packed.reverse()
            for low in range(0, full, CHUNK):
                change = np.frombuffer(zlib.decompress(self._packed.pop()), np.uint8)
                # Bytes wrap around, in the sum as in the differences.
                np.cumsum(
                    change.reshape(CHUNK, -1), axis=0, dtype=np.uint8, out=whole[low : low + CHUNK]
                )
            self._whole = whole
            self._plain.clear()
            self._open.clear()
        return self._whole
