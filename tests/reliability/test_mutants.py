"""R7: whatever bytes come, and wherever they stop, the node ends the association and harms nobody.

Most mutants come through socket pairs, and the node's deadlines run by a clock that is ours: one that stalls
for a minute costs no time.
"""

import contextlib
import logging
import random
import select
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE, StateMachine

from scp.config import Limits
from scp.errors import PeerFailed
from scp.net import gate, stream
from scp.net.requestor import Requestor
from scp.net.stream import Stream
from scp.net.transport import WakingDUL
from tests.builders import series, write_series
from tests.net.archive_twin import ArchiveTwin
from tests.net.nodes import RunningNode, connect, read_pdu, running_node
from tests.net.test_requestor import KEYS
from tests.reliability.mutants import mutated, pdus_of
from tests.services.test_store import ref

pytestmark = [
    pytest.mark.wire,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # pydicom's, of changed values; errors elsewhere here
]

AT_ONCE = 50
LIMITS = Limits(associations=2 * AT_ONCE, associations_per_peer=2 * AT_ONCE)
"""Deadlines as they come: 10 s to negotiate, 30 s for a message, 60 s idle."""

LONGEST_S = LIMITS.negotiation_deadline + LIMITS.message_deadline + LIMITS.idle_deadline
STEP_S = 15.0
SLACK = 3
QUIET_S = 0.02
"""Nothing more is expected of a node that was quiet for so long; what it says later is taken as well."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    (tmp_path / "node").mkdir()
    with running_node(tmp_path / "node", limits=LIMITS) as found:
        yield found


@pytest.fixture
def recordings(node: RunningNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[bytes]]:
    """What our requestor sends in one association of each service, PDU by PDU."""
    sent: dict[int, bytearray] = {}
    port = node.port

    def record(self: stream.Stream, *parts: Any) -> None:
        with contextlib.suppress(OSError):
            if self.connection.getpeername()[1] == port:
                sent.setdefault(id(self), bytearray()).extend(b"".join(map(bytes, parts)))
        write(self, *parts)

    write = stream.Stream.write
    monkeypatch.setattr(stream.Stream, "write", record)
    requestor = Requestor(node.config)
    requestor.echo(node.peer)
    paths = write_series(series(2), tmp_path)
    assert all(one.status == 0 for one in requestor.store(node.peer, map(ref, paths)))
    assert len(list(requestor.find(node.peer, KEYS))) == 2
    (tmp_path / "got").mkdir()
    requestor.get(node.peer, KEYS, ArchiveTwin(tmp_path / "got"), sop_classes=[CTImageStorage])
    with contextlib.suppress(PeerFailed):
        requestor.move(node.peer, KEYS, "NOWHERE")
    monkeypatch.undo()
    return [list(pdus_of(bytes(data))) for data in sent.values()]


class OwnClock:
    """The monotonic clock of the node, which stands still until it is told to go on.

    What waits for a deadline looks at the clock again when it is woken.
    """

    def __init__(self, node: RunningNode) -> None:
        self.now_s = 1000.0
        self._node = node
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def ticking(self) -> Iterator["OwnClock"]:
        """Be the clock, and know every connection, while entered."""
        clock = self

        class Known(Stream):
            def __init__(self, connection: socket.socket, **how: float) -> None:
                super().__init__(connection, **how)
                with clock._lock:
                    clock._streams.add(self)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(time, "monotonic", lambda: self.now_s)
            patched.setattr(gate, "Stream", Known)
            yield self

    def go_on(self, seconds: float) -> None:
        self.now_s += seconds
        with self._lock:
            waiting = list(self._streams)
        for one in waiting:
            one.wake()
        for association in self._node.acceptor.associations:
            association.dimse.msg_queue.put((None, None))  # as the end of an association wakes who waits


class Inside(socket.socket):
    """The node's end of a socket pair, with the addresses that a connection has."""

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 104

    getpeername = getsockname

    def setsockopt(self, *_: object) -> None:
        """It has none of those of TCP."""


def paired(node: RunningNode) -> socket.socket:
    """Return a connection to the node that takes no port: a thousand wait for none to be free again."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    inside = Inside(fileno=theirs.detach())
    node.acceptor._queue_at_gate(inside, "127.0.0.1")
    welcome = (inside, inside.getpeername())
    threading.Thread(target=node.acceptor._welcome, args=welcome, daemon=True).start()
    return ours


@dataclass(eq=False)
class Mutant:
    """One changed association; it hangs up when all is sent, or stalls."""

    number: int
    connection: socket.socket
    pdus: list[bytes]
    is_answered: bool
    hangs_up: bool
    ended: bool = False

    def begin(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.connection.sendall(self.pdus[0])
            if self.is_answered:
                read_pdu(self.connection)

    def go_through(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.sendall(b"".join(self.pdus[1:]))
            if self.hangs_up:
                self.connection.shutdown(socket.SHUT_WR)

    def drain(self) -> None:
        """Take what came, and notice the end."""
        try:
            self.ended = not self.connection.recv(1 << 16)
        except ConnectionError:
            self.ended = True
        if self.ended:
            self.connection.close()


def drained(mutants: Iterable[Mutant], quiet_s: float) -> list[Mutant]:
    """Take what comes until nothing did for *quiet_s*; return those that the node has not ended."""
    living = {one.connection.fileno(): one for one in mutants if not one.ended}
    poll = select.poll()
    for descriptor in living:
        poll.register(descriptor, select.POLLIN)
    while living and (events := poll.poll(quiet_s * 1000)):
        for descriptor, _ in events:
            living[descriptor].drain()
            if living[descriptor].ended:
                poll.unregister(descriptor)
                del living[descriptor]
    return list(living.values())


Connect = Callable[[RunningNode], socket.socket]


class Trial:
    """Sends mutants, *AT_ONCE* at a time, and collects what must not be.

    *patience*: how often the clock goes on slowly for those who are late, since the machine may be busy.
    """

    def __init__(self, node: RunningNode, recordings: list[list[bytes]], patience: int = 100) -> None:
        self.node, self.recordings, self.patience = node, recordings, patience
        self.clock = OwnClock(node)
        self.faults: list[str] = []
        self.seen: Counter[tuple[str, str]] = Counter()
        self.stalled = 0

    @contextlib.contextmanager
    def watching(self) -> Iterator["Trial"]:
        """Note each step of a state machine, each thread that dies, each error that is logged."""
        act = StateMachine.do_action

        def do_action(machine: StateMachine, event: str) -> None:
            self.seen[event, machine.current_state] += 1
            act(machine, event)

        errors, log = logging.Handler(logging.ERROR), logging.getLogger("scp")
        errors.emit = lambda record: self.faults.append(record.getMessage())  # type: ignore[method-assign]
        with pytest.MonkeyPatch.context() as patched, self.clock.ticking():
            patched.setattr(StateMachine, "do_action", do_action)
            patched.setattr(threading, "excepthook", lambda what: self.faults.append(repr(what.exc_value)))
            patched.setattr(log, "handlers", [errors])
            patched.setattr(log, "propagate", False)  # pytest would keep every line, and all that it names
            yield self

    def run(self, count: int, through: Connect) -> None:
        threads = threading.active_count()
        for first in range(0, count, AT_ONCE):
            self._go_through(
                [self._mutant(number, through) for number in range(first, min(count, first + AT_ONCE))]
            )
        for _ in range(self.patience):
            if not self.node.acceptor.associations and threading.active_count() <= threads:
                return
            self.clock.go_on(STEP_S)
            time.sleep(0.05)
        self.faults.append(f"left: {self.node.acceptor.associations}, {threading.enumerate()}")

    def _mutant(self, number: int, through: Connect) -> Mutant:
        chance = random.Random(f"{through.__name__} {number}")
        recorded = chance.choice(self.recordings)
        pdus = mutated(recorded, chance)
        hangs_up = chance.random() < 0.5
        return Mutant(number, through(self.node), pdus, pdus[0] == recorded[0], hangs_up)

    def _go_through(self, mutants: list[Mutant]) -> None:
        """Send the requests, the rest after the answers, and let the deadlines of those who stall pass."""
        for one in mutants:
            one.begin()
        for one in drained(mutants, QUIET_S):
            one.go_through()
        living = drained(mutants, QUIET_S)
        self.stalled += len(living)
        for _ in range(round(LONGEST_S / STEP_S)):
            living = self._after(STEP_S, living, 0.01)
        for _ in range(self.patience):
            living = self._after((SLACK - 1) * LONGEST_S / self.patience, living, 0.1)
        self.faults += [f"mutant {one.number} was not ended" for one in living]
        for one in living:
            one.connection.close()

    def _after(self, seconds: float, living: list[Mutant], quiet_s: float) -> list[Mutant]:
        if not living:
            return []
        self.clock.go_on(seconds)
        return drained(living, quiet_s)

    def told(self) -> str:
        """Say which states and transitions of the upper layer (PS3.8 Table 9-10) were met."""
        pairs = {pair for pair in self.seen if pair in TRANSITION_TABLE}
        states = sorted({state for _, state in pairs}, key=lambda state: int(state[3:]))
        return (
            f"{self.stalled} stalled; {len(states)} of 13 states, {', '.join(states)}; "
            f"{len(pairs)} of {len(TRANSITION_TABLE)} transitions: {sorted(pairs)}"
        )


@pytest.mark.parametrize(
    ("count", "through"),
    [
        pytest.param(1000, paired, id="1000"),
        pytest.param(50, connect, id="50 over TCP"),
        pytest.param(500_000, paired, id="500000", marks=[pytest.mark.long, pytest.mark.timeout(36_000)]),
    ],
)
def test_mutated_associations_end_and_harm_nobody(
    node: RunningNode, recordings: list[list[bytes]], count: int, through: Connect
) -> None:
    with Trial(node, recordings).watching() as trial:
        trial.run(count, through)
    print(f"{count} mutants, {trial.told()}")
    assert trial.faults == []
    Requestor(node.config).echo(node.peer)
    states = {state for _, state in trial.seen}
    assert {"Sta2", "Sta3", "Sta6", "Sta13"} <= states
    assert "Sta8" in states or count < 1000
    assert trial.stalled > count / 10


def test_control_without_the_guard_of_the_state_machine_threads_die(
    node: RunningNode, recordings: list[list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unguarded(self: WakingDUL) -> None:
        try:
            DULServiceProvider.run_reactor(self)
        finally:
            self.ended()

    monkeypatch.setattr(WakingDUL, "run_reactor", unguarded)
    with Trial(node, [[of_no_context(pdus[0]), *pdus[1:]] for pdus in recordings]).watching() as trial:
        trial.run(AT_ONCE, paired)
    assert any("context_id" in fault for fault in trial.faults), trial.faults


def of_no_context(request: bytes) -> bytes:
    """Return an A-ASSOCIATE-RQ whose first presentation context has an even number, which none may have."""
    at = request.index(bytes((0x20, 0)), 74) + 4
    return request[:at] + b"\2" + request[at + 1 :]


@pytest.mark.parametrize("deadline", ["of messages", "of idle associations"])
def test_control_without_a_deadline_who_stalls_stays(
    node: RunningNode, recordings: list[list[bytes]], monkeypatch: pytest.MonkeyPatch, deadline: str
) -> None:
    unreleased = [pdus[:-1] for pdus in recordings]
    if deadline == "of messages":
        monkeypatch.setattr(Stream, "begin_message", lambda *_, **__: None)
    else:
        monkeypatch.setattr(WakingDUL, "idle_timer_expired", lambda _: False)
    with Trial(node, unreleased, patience=3).watching() as trial:
        trial.run(2 * AT_ONCE, paired)
    assert any("was not ended" in fault for fault in trial.faults)
