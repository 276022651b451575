"""What the node remembers of its peers between requests: who fails, who is busy, what they lacked.

Lives as long as the node and is shared by all requests (threads). A peer that fails is left alone for a
growing time, and the log says so; what it answered is remembered for a minute, so that "not there" is asked
once; an instance is retrieved once, however many requests miss it.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from scp.completion.peer_archives import HeldInstance
from scp.config import Peer
from scp.net.journal import line

FIRST_REST_S = 5.0
LONGEST_REST_S = 300.0
"""How long a peer is left alone after a failure: twice as long after each further one."""

MEMORY_S = 60.0
"""How long an answer, or that an instance did not come, is remembered."""

MEMORY_SIZE = 100_000
"""Instances in all the answers that are remembered; the oldest answers go first."""

ERROR_COMMENT = re.compile(r"(?<=status 0x[0-9A-F]{4}),.*", re.DOTALL)
"""What a peer adds to its status in words of its own: it may be of a patient, and stays out of the log."""

LOGGER = logging.getLogger(__name__)

Clock = Callable[[], float]
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class PeerState:
    """How it goes with one peer. *rests_until* is on the clock of the states; 0 where it never failed."""

    name: str
    failures: int = 0
    rests_until: float = 0.0
    last_failure: str = ""
    running: int = 0


@dataclass(frozen=True, slots=True)
class Remembered(Generic[Value]):
    """One entry of a memory; *size* is its share of :data:`MEMORY_SIZE`."""

    value: Value
    size: int
    until: float


class Memory(Generic[Key, Value]):
    """A mapping whose entries are gone after a minute, or when newer ones need their room.

    *size_of* tells of how many instances a value speaks; one of none counts as one.
    """

    def __init__(self, clock: Clock, size_of: Callable[[Value], int]) -> None:
        self._clock = clock
        self._size_of = size_of
        self._entries: dict[Key, Remembered[Value]] = {}  # the oldest first, which is the first to expire
        self._size = 0
        self._lock = threading.Lock()

    def put(self, key: Key, value: Value) -> None:
        size = max(1, self._size_of(value))
        with self._lock:
            self._forget(key)
            self._entries[key] = Remembered(value, size, self._clock() + MEMORY_S)
            self._size += size
            self._make_room()

    def get(self, key: Key, default: Value) -> Value:
        with self._lock:
            found = self._entries.get(key)
            return found.value if found and self._clock() < found.until else default

    def _make_room(self) -> None:
        while self._entries:
            key, oldest = next(iter(self._entries.items()))
            if self._size <= MEMORY_SIZE and self._clock() < oldest.until:
                return
            self._forget(key)

    def _forget(self, key: Key) -> None:
        if gone := self._entries.pop(key, None):
            self._size -= gone.size


@dataclass(slots=True, eq=False)
class Flight:
    """One instance on its way here; *waiting* are told when that has ended."""

    waiting: set[Callable[[str], None]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who retrieves which of the instances that a request misses: *mine* the request, *others* somebody."""

    mine: Mapping[str, Flight] = field(default_factory=dict)
    others: tuple[str, ...] = ()


class Flights:
    """Which instances are being retrieved right now, and who else waits for them."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._lock = threading.Lock()

    def claim(self, sop_instance_uids: Iterable[str], at_most: int, landed: Callable[[str], None]) -> Claim:
        """Claim up to *at_most* that nobody retrieves yet: the caller's until it calls :meth:`land`.

        For those that somebody retrieves, *landed* is called with the UID when that ends, in the thread of
        the one who retrieves.
        """
        mine: dict[str, Flight] = {}
        others: list[str] = []
        with self._lock:
            for uid in dict.fromkeys(sop_instance_uids):
                if uid in self._flights:
                    self._flights[uid].waiting.add(landed)
                    others.append(uid)
                elif len(mine) < at_most:
                    mine[uid] = self._flights[uid] = Flight()
        return Claim(mine, tuple(others))

    def land(self, claim: Claim) -> None:
        """Say that the retrieval of a claim has ended, whether or not anything came; once is enough."""
        landed: list[tuple[str, Flight]] = []
        with self._lock:
            for uid, flight in claim.mine.items():
                if self._flights.get(uid) is flight:
                    landed.append((uid, self._flights.pop(uid)))
        for uid, flight in landed:
            for told in flight.waiting:
                told(uid)


class PeerStates:
    """The states of all peers, by name."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[str, PeerState] = {}
        self._changed = threading.Condition()
        self.answers: Memory[tuple[str, str, str], tuple[HeldInstance, ...] | None]
        self.answers = Memory(clock, lambda held: len(held or ()))
        self.withheld: Memory[tuple[str, str], bool] = Memory(clock, int)
        self.flights = Flights()

    def of(self, peer: Peer) -> PeerState:
        with self._changed:
            return self._states.get(peer.name, PeerState(peer.name))

    def rest_s(self, peer: Peer) -> float:
        """Return for how many seconds *peer* is still left alone; 0 where it may be asked."""
        return max(0.0, self.of(peer).rests_until - self._clock())

    def failed(self, peer: Peer, sentence: str) -> None:
        """Leave *peer* alone for a time that doubles with each failure in a row.

        Requests that fail while it rests already were under way: theirs is the same failure.
        """
        with self._changed:
            state = self._states.get(peer.name, PeerState(peer.name))
            if state.rests_until > self._clock():
                return
            rest_s = min(LONGEST_REST_S, FIRST_REST_S * 2 ** min(state.failures, 16))
            failures = state.failures + 1
            self._states[peer.name] = replace(
                state, failures=failures, rests_until=self._clock() + rest_s, last_failure=sentence
            )
        reason = ERROR_COMMENT.sub("", sentence)
        fields = {"peer": peer.name, "failures": failures, "rests_s": rest_s, "reason": reason}
        LOGGER.warning(line("peer-rests", fields))

    def succeeded(self, peer: Peer) -> None:
        """Forget the failures of *peer*."""
        with self._changed:
            state = self._states.get(peer.name, PeerState(peer.name))
            self._states[peer.name] = replace(state, failures=0, rests_until=0.0)

    @contextmanager
    def turn(self, peer: Peer, within_s: float) -> Iterator[bool]:
        """Hold one of the ``parallel`` requests that *peer* takes; false where none came free in time."""
        with self._changed:
            free = self._changed.wait_for(lambda: self._running(peer) < peer.parallel, within_s)
            if free:
                self._count(peer, 1)
            failures = self.of(peer).failures
        if free and failures:
            LOGGER.info(line("peer-asked-again", {"peer": peer.name, "failures": failures}))
        try:
            yield free
        finally:
            if free:
                with self._changed:
                    self._count(peer, -1)
                    self._changed.notify_all()

    def _running(self, peer: Peer) -> int:
        return self._states.get(peer.name, PeerState(peer.name)).running

    def _count(self, peer: Peer, change: int) -> None:
        state = self._states.get(peer.name, PeerState(peer.name))
        self._states[peer.name] = replace(state, running=state.running + change)
