"""Tells requests that wait for an instance when it has been stored.

Completion asks a peer for images and waits here while they come in through the door like any others.
"""

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from scp.model import Stored


class Waiting:
    """The instances that one request waits for; filled by :class:`Arrivals`."""

    def __init__(self, expected: frozenset[str], changed: threading.Condition) -> None:
        self._expected, self._changed = expected, changed
        self._arrived: dict[str, Stored] = {}

    @property
    def arrived(self) -> dict[str, Stored]:
        """What has come so far, by SOP Instance UID."""
        with self._changed:
            return dict(self._arrived)

    def wait(self, timeout_s: float) -> bool:
        """Wait until all have come, at most *timeout_s*, and tell whether they have."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while len(self._arrived) < len(self._expected):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    return len(self._arrived) == len(self._expected)
            return True

    def take(self, stored: Stored) -> None:
        if stored.sop_instance_uid in self._expected:
            self._arrived[stored.sop_instance_uid] = stored


class Arrivals:
    """Where requests wait for SOP Instance UIDs."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._all: set[Waiting] = set()

    @contextmanager
    def waiting(self, sop_instance_uids: Collection[str]) -> Iterator[Waiting]:
        """Listen from now on, so that nothing that comes while a peer is being asked is missed."""
        waiting = Waiting(frozenset(sop_instance_uids), self._changed)
        with self._changed:
            self._all.add(waiting)
        try:
            yield waiting
        finally:
            with self._changed:
                self._all.discard(waiting)

    def announce(self, stored: Stored) -> None:
        """Tell everybody who waits for it; a duplicate has arrived, too."""
        if not self._all:
            return
        with self._changed:
            for waiting in self._all:
                waiting.take(stored)
            self._changed.notify_all()
