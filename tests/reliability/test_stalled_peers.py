"""R8: however connections stall, and all at once, a good peer is served."""

import contextlib
import select
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from scp.config import Limits
from scp.errors import PeerFailed
from scp.net import acceptor
from scp.net.deadlines import Deadline
from scp.net.requestor import Requestor
from tests.builders import series, write_series
from tests.net.nodes import RunningNode, association_request, caller, connect, read_pdu, running_node
from tests.services.test_store import ref

pytestmark = pytest.mark.wire

PATIENCE_S = 10.0
AGAIN_S = 0.05

HALF = association_request()[:50]

KINDS = {
    "silent": (False, b""),
    "half a request": (False, HALF),
    "half a message": (True, b"\4\0\0\0\1\0half"),
    "associated and idle": (True, b""),
    "a byte now and then": (False, HALF[:1]),
}
"""The ways to hold on to a node: whether it associates first, and what it sends then."""


@dataclass
class Stalling:
    """One peer that stalls in its way, and comes again when the node has had enough of it."""

    node: RunningNode
    kind: str
    calling: str
    turns: int = 0

    def begin(self) -> None:
        self.turns, self.dripped = self.turns + 1, 1
        self.connection = connect(self.node)
        associates, sent = KINDS[self.kind]
        with contextlib.suppress(OSError):
            if associates:
                self.connection.sendall(association_request(calling=self.calling))
                read_pdu(self.connection)
            self.connection.sendall(sent)

    def go_on(self) -> None:
        """Send a byte, if that is its way; begin anew where the node has answered or hung up."""
        if select.select([self.connection], [], [], 0)[0]:
            self.connection.close()
            self.begin()
        elif self.kind == "a byte now and then":
            with contextlib.suppress(OSError):
                self.connection.sendall(HALF[self.dripped : self.dripped + 1])
            self.dripped += 1


@contextlib.contextmanager
def stalling(node: RunningNode, each: int) -> Iterator[list[Stalling]]:
    """Keep *each* connections of each kind to a node while entered."""
    peers = [Stalling(node, kind, f"STALLED{number}") for number in range(each) for kind in KINDS]
    for peer in peers:
        peer.begin()
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(1.0):
            for peer in peers:
                peer.go_on()

    going_on = threading.Thread(target=go_on)
    going_on.start()
    try:
        yield peers
    finally:
        over.set()
        going_on.join()
        for peer in peers:
            peer.connection.close()


LIMITS = Limits(associations=16, associations_per_peer=4)


@dataclass(frozen=True)
class Service:
    """How the good peer was served: in how many seconds, and at which of its attempts."""

    seconds: float
    attempts: int


def served(node: RunningNode, paths: list[Path]) -> Service:
    """Be the good peer: verify and store, and come again where the node is full for the moment.

    Forty that stall hold every place for a moment where all come back at once, each as fresh as a good one;
    that rejection is transient (PS3.8 9.3.4), and over when the first of them has been idle for long enough.
    """
    begun, attempts = time.monotonic(), 0
    while True:
        attempts += 1
        try:
            verify_and_store(node, paths)
        except PeerFailed as failed:
            if "too many associations" not in str(failed) or time.monotonic() > begun + PATIENCE_S:
                raise
            time.sleep(AGAIN_S)
        else:
            return Service(time.monotonic() - begun, attempts)


def verify_and_store(node: RunningNode, paths: list[Path]) -> None:
    requestor = Requestor(node.config, "GOOD")
    requestor.echo(node.peer, deadline=Deadline(PATIENCE_S))
    assert all(sent.status == 0 for sent in requestor.store(node.peer, map(ref, paths)))


@pytest.mark.parametrize(
    "seconds", [20.0, pytest.param(600.0, marks=[pytest.mark.long, pytest.mark.timeout(1200)])]
)
def test_a_good_peer_is_served_beside_a_hundred_that_stall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr("scp.net.places.SETTLED_S", 0.05)
    paths = write_series(series(5), tmp_path / "in")
    (tmp_path / "node").mkdir()
    peers = {"good": caller("GOOD")} | {f"s{n}": caller(f"STALLED{n}") for n in range(20)}
    with running_node(tmp_path / "node", limits=LIMITS, peers=peers) as node:
        usual = [served(node, paths) for _ in range(5)]
        beside = []
        with stalling(node, 20) as stalled:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                beside.append(served(node, paths))
                time.sleep(0.5)
    turns = sum(peer.turns for peer in stalled)
    usually, then = ([one.seconds for one in services] for services in (usual, beside))
    at_once = sum(one.attempts == 1 for one in beside)
    print(f"{len(stalled)} stall for {seconds:g} s, {turns} connections; the good peer is served")
    print(f"{len(beside)} times, {at_once} at once, in {median(then):.3f} s ({max(then):.3f} s at most);")
    print(f"alone in {median(usually):.3f} s")
    assert at_once > len(beside) / 2


def test_control_where_nobody_makes_room_the_good_peer_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "who_makes_room", lambda *_, **__: None)
    (tmp_path / "node").mkdir()
    limits = Limits(associations=8, associations_per_peer=4)
    with (
        running_node(tmp_path / "node", limits=limits) as node,
        stalling(node, 8),
        pytest.raises(PeerFailed, match="too many associations"),
    ):
        Requestor(node.config, "GOOD").echo(node.peer)
