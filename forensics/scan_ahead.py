"""Work ahead on a thread of its own: one core decodes while another measures."""

from __future__ import annotations

from collections.abc import Generator
from queue import SimpleQueue
from typing import TypeVar

__all__ = ["work_ahead"]

T = TypeVar("T")


def work_ahead(items: Generator[T, None, None], most: int) -> Generator[T, None, None]:
    """The same items in the same order, made on another thread, at most so many ahead.

    An error comes where the item would have come. Close it where it is not read to its end: the
    other thread then closes `items`, and is no more when `close` comes back.
    """
    from concurrent.futures import ThreadPoolExecutor

    # One-tuples, so that the end is not taken for an item.
    made: SimpleQueue[tuple[T] | None] = SimpleQueue()
    # True: there is room for one more; False: no more are wanted.
    room: SimpleQueue[bool] = SimpleQueue()

    def work() -> None:
        try:
            while room.get():
                made.put((next(items),))
        except StopIteration:
            pass
        finally:
            try:
                items.close()
            finally:
                made.put(None)

    for _ in range(most):
        room.put(True)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        worker = pool.submit(work)
        try:
            while (item := made.get()) is not None:
                yield item[0]
                # A picture is not held while the next is waited for.
                del item
                room.put(True)
            worker.result()
        finally:
            room.put(False)
