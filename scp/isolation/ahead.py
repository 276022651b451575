"""Work that runs ahead of whoever consumes it.

Planes are rendered while earlier ones are on their way to a slow destination, and memory is given back when
the last is rendered, not when it is sent.
"""

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Ahead(Generic[Item]):
    """An iterator over what ``work(stopped)`` yields, taken in a thread of its own; a context manager.

    *work* is given a function that tells when nobody wants the rest any more, and ends soon after. What it
    raises is raised to the consumer, after the items that came before. Nothing bounds how far it runs
    ahead: items are meant to be small, such as paths.
    """

    def __init__(self, work: Callable[[Callable[[], bool]], Iterator[Item]]) -> None:
        self._stop = threading.Event()
        self._queue: SimpleQueue[tuple[Item] | BaseException | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(work,), name="ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while (taken := self._queue.get()) is not None:
            if isinstance(taken, BaseException):
                raise taken
            yield taken[0]

    def __enter__(self) -> "Ahead[Item]":
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop the work and wait for its end."""
        self._stop.set()
        self._thread.join()

    def _run(self, work: Callable[[Callable[[], bool]], Iterator[Item]]) -> None:
        try:
            for item in work(self._stop.is_set):
                self._queue.put((item,))
                if self._stop.is_set():
                    return
        except BaseException as exc:  # the consumer's thread is where it belongs
            self._queue.put(exc)
        else:
            self._queue.put(None)
