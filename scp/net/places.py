"""Which association is ended for a new one when all places are taken.

Pure. The longest idle one of the address that holds most, never one at work, and never that of a configured
peer for an unknown caller: ending the oldest would let one careless client push out all good ones.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

SETTLED_S = 1.0
"""Silence shorter than this is a pause between two messages, not idleness."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One established association; *idle_s* is 0 while it is at work."""

    key: int
    address: str
    configured: bool
    idle_s: float


def who_makes_room(holders: Iterable[Holder], *, newcomer_configured: bool) -> Holder | None:
    """Return the association to end so that a new one finds a place, ``None`` where none may be ended."""
    everybody = list(holders)
    held = Counter(holder.address for holder in everybody)
    idle = [
        holder
        for holder in everybody
        if holder.idle_s >= SETTLED_S and (newcomer_configured or not holder.configured)
    ]
    return max(idle, key=lambda holder: (held[holder.address], holder.idle_s), default=None)
