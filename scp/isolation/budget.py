"""The memory that all running children share (``limits.memory``).

A child reserves before it starts; what does not fit waits for its turn, what never can is refused.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scp.errors import Cancelled, Code, Refused
from scp.model import IsCancelled

WORKING_BYTES = 256 << 20
"""What a child takes whatever its job: decoders, code that is compiled, stacks, the object being encoded."""

POLL_S = 0.2  # how often a waiting request looks whether anybody still wants it


class MemoryBudget:
    """So many bytes, given out first come, first served."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._free_bytes = total_bytes
        self._queue: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def reserve(
        self, wanted_bytes: int, cancelled: IsCancelled, what: str = "the work", advice: str = "raise it"
    ) -> Iterator[None]:
        """Hold *wanted_bytes* while the block runs; wait for them first.

        Raises ``Refused(out-of-resources)`` where they exceed the whole budget, in a sentence that names
        *what* needs them and ends in *advice*, ``Cancelled`` where nobody waits any more.
        """
        if wanted_bytes > self.total_bytes:
            raise Refused(
                Code.OUT_OF_RESOURCES,
                f"{what} needs {wanted_bytes >> 20} MiB of memory and limits.memory allows "
                f"{self.total_bytes >> 20} MiB in all; {advice}",
                comment=f"{wanted_bytes >> 20} of {self.total_bytes >> 20} MiB",
            )
        self._wait_for(wanted_bytes, cancelled)
        try:
            yield
        finally:
            with self._changed:
                self._free_bytes += wanted_bytes
                self._changed.notify_all()

    def _wait_for(self, wanted_bytes: int, cancelled: IsCancelled) -> None:
        turn = object()
        with self._changed:
            self._queue.append(turn)
            try:
                while self._queue[0] is not turn or wanted_bytes > self._free_bytes:
                    if cancelled():
                        raise Cancelled("cancelled while waiting for memory")
                    self._changed.wait(POLL_S)
                self._free_bytes -= wanted_bytes
            finally:
                self._queue.remove(turn)
                self._changed.notify_all()
