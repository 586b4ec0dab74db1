"""One thread for small matrices and small pictures: several spin longer than they work."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["one_thread"]

#: What the builds of OpenBLAS call it; NumPy's own wheels have the first.
_NAMES = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
)

_lock = threading.Lock()
_inside = 0
_before: list[tuple[Callable[[int], object], int]] = []


@functools.cache
def _matrix_threads() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """How many threads NumPy's OpenBLAS uses, and how to say so; None for another library."""
    import importlib

    core: Any = importlib.import_module("numpy._core._multiarray_umath")
    # The loader looks a name up in what the module was linked with, too.
    library = ctypes.CDLL(core.__file__)
    for get, put in _NAMES:
        if hasattr(library, get) and hasattr(library, put):
            return getattr(library, get), getattr(library, put)
    return None


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """NumPy's matrices and OpenCV's pictures on one thread, for as long as the context lasts.

    Ours are so small that a second thread only waits, at the full cost of a core; and the last bits
    of a sum no longer depend on how many cores a machine has. Another process, or this one
    afterwards, is left as it was. Where NumPy comes with another library than OpenBLAS, that one is
    left alone.
    """
    import cv2

    global _inside  # noqa: PLW0603
    with _lock:
        if not _inside:
            _before.append((cv2.setNumThreads, cv2.getNumThreads()))
            cv2.setNumThreads(1)
            if (threads := _matrix_threads()) is not None:
                get, put = threads
                _before.append((put, get()))
                put(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            while not _inside and _before:
                put, count = _before.pop()
                put(count)
