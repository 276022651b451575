"""Who makes room when all associations are taken.

Pure. The longest idle association of the address that holds most, never one at work, never a configured peer
for an unknown one: "first come, first thrown out" would let one careless client push out all good ones.
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
    """Return whose association may be ended for a newcomer's, ``None`` when nobody's."""
    everybody = list(holders)
    held = Counter(holder.address for holder in everybody)
    idle = [
        holder
        for holder in everybody
        if holder.idle_s >= SETTLED_S and (newcomer_configured or not holder.configured)
    ]
    return max(idle, key=lambda holder: (held[holder.address], holder.idle_s), default=None)
