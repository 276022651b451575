"""An iterator that may block for minutes, run in a thread of its own and asked with a timeout.

A service waits for events of a reconstruction while it tells the requestor that it is alive and watches for
cancel and abort. The thread closes the iterator itself, at the first chance after ``close``: a generator can
be closed only by whoever runs it.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

AHEAD = 16
"""How many items may wait to be taken."""


class Waiting(Generic[T]):
    """Runs what *open_iterator* returns; a context manager that closes it at the end."""

    def __init__(self, open_iterator: Callable[[], Iterator[T]]) -> None:
        self._open_iterator = open_iterator
        self._items: queue.Queue[tuple[T] | BaseException] = queue.Queue(AHEAD)
        self._closing = threading.Event()
        self.thread = threading.Thread(target=self._run, name="events of a request", daemon=True)
        self.thread.start()

    def __enter__(self) -> "Waiting[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self, timeout_s: float) -> T:
        """Return the next item. Raises ``TimeoutError``, ``StopIteration``, or what the iterator raised."""
        try:
            item = self._items.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(item, BaseException):
            raise item
        return item[0]

    def close(self) -> None:
        """Let the iterator be closed; does not wait for it."""
        self._closing.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._items.get_nowait()

    def _run(self) -> None:
        try:
            items = self._open_iterator()
            try:
                for item in items:
                    if not self._give((item,)):
                        return
            finally:
                close = getattr(items, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            self._give(error)
        else:
            self._give(StopIteration())

    def _give(self, item: tuple[T] | BaseException) -> bool:
        """Hand one item over, unless nobody takes any more."""
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self._items.put(item, timeout=0.25)
                return not self._closing.is_set()
        return False
