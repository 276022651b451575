"""Work that runs ahead of whoever consumes it, in a thread of its own.

Planes are rendered while earlier ones are on their way to a slow destination, and memory is given back when
the last is rendered, not when it is sent. A service that waits for what may take minutes looks, in between,
whether the requestor still wants it. A generator can be closed only by whoever runs it: the thread does.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")
Work = Callable[[Callable[[], bool]], Generator[Item, None, None]]

LOOK_EVERY_S = 0.25  # how often a thread that is far enough ahead looks whether anybody takes any more


class Ahead(Generic[Item]):
    """An iterator over what ``work(stopped)`` yields; a context manager that waits for its end.

    *work* is given a function that tells when nobody wants the rest any more, and ends soon after. What it
    raises is raised to the consumer, after the items that came before. *most* items wait to be taken at a
    time; 0 bounds nothing and is meant for small ones, such as paths.
    """

    def __init__(self, work: Work[Item], most: int = 0) -> None:
        self._stop = threading.Event()
        self._queue: queue.Queue[tuple[Item] | BaseException] = queue.Queue(most)
        self._thread = threading.Thread(target=self._run, args=(work,), name="ahead", daemon=True)
        self._thread.start()

    def next(self, timeout_s: float | None = None) -> Item:
        """Return the next item. Raises ``TimeoutError``, ``StopIteration`` once, or what the work raised."""
        try:
            taken = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(taken, BaseException):
            raise taken
        return taken[0]

    def __iter__(self) -> Iterator[Item]:
        while True:
            try:
                item = self.next()
            except StopIteration:
                return
            yield item

    def __enter__(self) -> "Ahead[Item]":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
        self._thread.join()

    def close(self) -> None:
        """Stop the work; does not wait for its end."""
        self._stop.set()
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()

    def _run(self, work: Work[Item]) -> None:
        try:
            with closing(work(self._stop.is_set)) as items:
                for item in items:
                    if not self._give((item,)):
                        return
        except BaseException as error:  # the consumer's thread is where it belongs
            self._give(error)
        else:
            self._give(StopIteration())

    def _give(self, taken: tuple[Item] | BaseException) -> bool:
        """Hand one item over, unless nobody takes any more."""
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._queue.put(taken, timeout=LOOK_EVERY_S)
                return not self._stop.is_set()
        return False
