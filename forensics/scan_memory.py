"""Memory that was used and is free again, given back to the system."""

from __future__ import annotations

import contextlib
import ctypes

__all__ = ["give_back"]


def give_back() -> None:
    """Give back what lies free in the heap, where the C library can.

    A decoder's pictures come and go between small things that stay; glibc keeps the pages for the
    next picture, although none will come. Elsewhere this does nothing.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
