"""How long a peer that this node has called may take, and that nobody may wait for it any more.

One of them bounds a whole operation, from the connection to the release; whoever waits for anything of the
peer asks it how long.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from scp.errors import Cancelled, PeerFailed
from scp.model import IsCancelled, never

LOOK_EVERY_S = 0.2
"""How soon it is seen that nobody waits for the peer any more."""


class Called(Protocol):
    """The association with a peer, as far as waiting for it goes."""

    @property
    def silent_s(self) -> float:
        """Seconds since anything came."""

    def next_message(self, timeout_s: float) -> tuple[int, Any]:
        """Return the next message with its context id. Raises ``TimeoutError``, ``PeerFailed``."""


@dataclass(slots=True)
class Deadline:
    """A total: *seconds* from its creation, or until *cancelled* tells that nobody waits any more."""

    seconds: float
    cancelled: IsCancelled = never
    _ends: float = field(init=False)

    def __post_init__(self) -> None:
        self._ends = time.monotonic() + self.seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._ends

    @property
    def left_s(self) -> float:
        """Seconds left. Raises ``PeerFailed`` when there are none, ``Cancelled``."""
        if self.cancelled():
            raise Cancelled("nobody waits for this peer any more")
        left = self._ends - time.monotonic()
        if left <= 0:
            raise PeerFailed(f"not done within {self.seconds:g} s")
        return left

    def next_message(self, association: Called) -> tuple[int, Any]:
        """Return the next message of *association*. Raises ``PeerFailed``, ``Cancelled``, as ``left_s``."""
        while True:
            self.renew(association)
            with suppress(TimeoutError):
                return association.next_message(min(LOOK_EVERY_S, self.left_s))

    def renew(self, association: Called) -> None:
        """Take notice of what came: to a total it means nothing."""


class Patience(Deadline):
    """The longest silence: *seconds* from what came last."""

    def renew(self, association: Called) -> None:
        self._ends = time.monotonic() - association.silent_s + self.seconds
