"""How much memory a process and its children hold, while something else goes on.

Proportional set size (PSS): a page that several processes share counts once in all, so children that were
forked from a warm parent do not count its memory again.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

LOOK_EVERY_S = 0.005


class Watch:
    """Watches a tree of processes while entered: *idle_bytes* at the start, *peak_bytes* at most."""

    def __init__(self, pid: int) -> None:
        self.idle_bytes = self.peak_bytes = tree_bytes(pid)
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self._pid))


def tree_bytes(pid: int) -> int:
    """Return the proportional set size of a process and all that descend from it."""
    return sum(map(_pss_bytes, tree(pid)))


def tree(pid: int) -> Iterator[int]:
    """Yield *pid* and the processes that descend from it."""
    yield pid
    with contextlib.suppress(OSError):  # a process that ended meanwhile has none
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def _pss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
