"""R7 and R8: whatever bytes come and however connections stall, the node goes on, and good peers too."""

import contextlib
import random
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import StateMachine

from scp.config import Limits
from scp.errors import PeerFailed
from scp.net import acceptor, stream
from scp.net.requestor import Requestor
from scp.net.transport import WakingDUL
from tests.builders import series, write_series
from tests.net.archive_twin import ArchiveTwin
from tests.net.nodes import (
    RunningNode,
    association_request,
    caller,
    connect,
    read_pdu,
    running_node,
    wait_until,
)
from tests.net.test_requestor import KEYS
from tests.services.test_store import ref

pytestmark = [
    pytest.mark.wire,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # pydicom's, of changed values; errors elsewhere here
]

DEADLINE_S = 1.0
SLACK_S = 9.0
LIMITS = Limits(
    negotiation_deadline=DEADLINE_S,
    message_deadline=DEADLINE_S,
    idle_deadline=DEADLINE_S,
    associations=64,
    associations_per_peer=64,
)


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


def pdus_of(data: bytes) -> Iterator[bytes]:
    while data:
        length = 6 + struct.unpack(">L", data[2:6])[0]
        yield data[:length]
        data = data[length:]


def mutated(pdus: list[bytes], chance: random.Random) -> list[bytes]:
    """Return the PDUs with one to three changes."""
    changed = list(pdus)
    for _ in range(chance.randint(1, 3)):
        chance.choice(CHANGES)(changed, chance)
    return changed


def flip(pdus: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(pdus))
    octets = bytearray(pdus[at])
    for _ in range(chance.randint(1, 8)):
        if octets:
            octets[chance.randrange(len(octets))] = chance.choice(
                (0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256))
            )
    pdus[at] = bytes(octets)


def cut(pdus: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(pdus))
    begin = chance.randrange(len(pdus[at]) + 1)
    pdus[at] = pdus[at][:begin] + pdus[at][begin + chance.choice((1, 2, 7, 1 << 20)) :]


def repeat(pdus: list[bytes], chance: random.Random) -> None:
    pdus.insert(chance.randrange(len(pdus) + 1), chance.choice(pdus))


def reorder(pdus: list[bytes], chance: random.Random) -> None:
    chance.shuffle(pdus)


def lie(pdus: list[bytes], chance: random.Random) -> None:
    """Write another length: of the PDU, of an item, of a fragment, of an element."""
    at = chance.randrange(len(pdus))
    octets = bytearray(pdus[at])
    place = chance.choice((2, 6, 76, chance.randrange(max(1, len(octets) - 4))))
    length = chance.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, chance.randrange(1 << 16)))
    if place + 4 <= len(octets):
        struct.pack_into(">L", octets, place, length)
    pdus[at] = bytes(octets)


def leave_out(pdus: list[bytes], chance: random.Random) -> None:
    if len(pdus) > 1:
        del pdus[chance.randrange(len(pdus))]


Change = Callable[[list[bytes], random.Random], None]
CHANGES: tuple[Change, ...] = (
    flip,
    flip,
    cut,
    repeat,
    reorder,
    lie,
    leave_out,
)


class Inside(socket.socket):
    """The node's end of a socket pair, with the addresses that a connection has."""

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 104

    getpeername = getsockname


def paired(node: RunningNode) -> socket.socket:
    """Return a connection to the node that takes no port: a thousand wait for none to be free again."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    inside = Inside(fileno=theirs.detach())
    node.acceptor._queue_at_gate(inside, "127.0.0.1")
    welcome = (inside, inside.getpeername(), None)
    threading.Thread(target=node.acceptor._welcome, args=welcome, daemon=True).start()
    return ours


Connect = Callable[[RunningNode], socket.socket]


def replayed(node: RunningNode, pdus: list[bytes], through: Connect) -> bool:
    """Send it, the rest after the first answer; tell whether the node ended the connection in time."""
    ends = time.monotonic() + DEADLINE_S * 2 + SLACK_S
    with through(node) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(pdus[0])
        select.select([connection], [], [], 0.02)
        connection.sendall(b"".join(pdus[1:]))
        connection.shutdown(socket.SHUT_WR)
        while time.monotonic() < ends:
            if not connection.recv(1 << 16):
                return True
        return False
    return True


class Trial:
    """Replays mutants from several threads, and collects what must not be."""

    def __init__(
        self, node: RunningNode, recordings: list[list[bytes]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.node, self.recordings = node, recordings
        self.faults: list[str] = []
        self.seen: Counter[tuple[str, str]] = Counter()
        original = StateMachine.do_action

        def do_action(machine: StateMachine, event: str) -> None:
            self.seen[event, machine.current_state] += 1
            original(machine, event)

        monkeypatch.setattr(StateMachine, "do_action", do_action)
        monkeypatch.setattr(threading, "excepthook", lambda what: self.faults.append(repr(what.exc_value)))

    def run(self, count: int, through: Connect, clients: int = 8) -> None:
        numbers = iter(range(count))
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                chance = random.Random(f"{through.__name__} {number}")
                pdus = mutated(chance.choice(self.recordings), chance)
                if not replayed(self.node, pdus, through):
                    self.faults.append(f"mutant {number} was not ended")

        workers = [threading.Thread(target=work) for _ in range(clients)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


@pytest.mark.parametrize(
    ("count", "through"),
    [
        pytest.param(1000, paired, id="1000"),
        pytest.param(50, connect, id="50 over TCP"),
        pytest.param(500_000, paired, id="500000", marks=[pytest.mark.long, pytest.mark.timeout(36_000)]),
    ],
)
def test_mutated_associations_end_and_harm_nobody(
    node: RunningNode,
    recordings: list[list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    count: int,
    through: Connect,
) -> None:
    before = threading.active_count()
    trial = Trial(node, recordings, monkeypatch)
    trial.run(count, through)
    assert trial.faults == []
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == []
    wait_until(
        lambda: not node.acceptor.associations and threading.active_count() <= before, DEADLINE_S + SLACK_S
    )
    Requestor(node.config).echo(node.peer)
    states = {state for _, state in trial.seen}
    print(f"{count} mutants met {len(trial.seen)} pairs of event and state: {sorted(trial.seen)}")
    assert {"Sta2", "Sta3", "Sta6", "Sta13"} <= states
    assert "Sta8" in states or count < 1000


def test_control_without_the_guard_of_the_state_machine_threads_die(
    node: RunningNode, recordings: list[list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unguarded(self: WakingDUL) -> None:
        try:
            DULServiceProvider.run_reactor(self)
        finally:
            self.ended()

    monkeypatch.setattr(WakingDUL, "run_reactor", unguarded)
    trial = Trial(node, recordings, monkeypatch)
    trial.run(150, paired)
    assert trial.faults


class Stalled:
    """Connections that hold on to the node in the five ways there are, *each* of each way."""

    def __init__(self, node: RunningNode, each: int) -> None:
        self.node = node
        self.over = threading.Event()
        self.connections: list[socket.socket] = []
        half = association_request()[:50]
        for number in range(each):
            for begin in (b"", half, b"\4\0\0\0\1\0half", None, b"\1"):
                connection = connect(node)
                self.connections.append(connection)
                if begin is None or begin[:1] == b"\4":
                    connection.sendall(association_request(calling=f"STALLED{number}"))
                    read_pdu(connection)
                with contextlib.suppress(OSError):
                    connection.sendall(begin or b"")
        self.dripping = threading.Thread(target=self.drip)
        self.dripping.start()

    def drip(self) -> None:
        """Send a byte a second, in scale: one each tenth."""
        request = association_request()
        for octet in range(1, len(request)):
            for connection in self.connections[4::5]:
                with contextlib.suppress(OSError):
                    connection.sendall(request[octet : octet + 1])
            if self.over.wait(0.1):
                return

    def __enter__(self) -> "Stalled":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.over.set()
        self.dripping.join()
        for connection in self.connections:
            connection.close()


STALLING = Limits(associations=16, associations_per_peer=4)


def served(node: RunningNode, paths: list[Path]) -> None:
    """Be the good peer: store and verify, each within its deadline."""
    requestor = Requestor(node.config, "GOOD")
    requestor.echo(node.peer, deadline_s=DEADLINE_S + SLACK_S)
    assert all(sent.status == 0 for sent in requestor.store(node.peer, map(ref, paths)))


@pytest.mark.parametrize("rounds", [2, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_a_good_peer_is_served_beside_a_hundred_that_stall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    monkeypatch.setattr("scp.net.places.SETTLED_S", 0.05)
    paths = write_series(series(5), tmp_path / "in")
    (tmp_path / "node").mkdir()
    peers = {"good": caller("GOOD")} | {f"s{n}": caller(f"STALLED{n}") for n in range(20)}
    with running_node(tmp_path / "node", limits=STALLING, peers=peers) as node, Stalled(node, 20):
        for _ in range(rounds):
            served(node, paths)
            if rounds > 2:
                time.sleep(10)


def test_control_where_nobody_makes_room_the_good_peer_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "who_makes_room", lambda *_, **__: None)
    (tmp_path / "node").mkdir()
    limits = Limits(associations=8, associations_per_peer=4)
    with (
        running_node(tmp_path / "node", limits=limits) as node,
        Stalled(node, 8),
        pytest.raises(PeerFailed, match="too many associations"),
    ):
        Requestor(node.config, "GOOD").echo(node.peer)
