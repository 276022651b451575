"""R8: however connections stall, and all at once, a good peer is served."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from scp.config import Limits
from scp.errors import PeerFailed
from scp.net import acceptor
from scp.net.requestor import Requestor
from tests.builders import series, write_series
from tests.net.nodes import RunningNode, association_request, caller, connect, read_pdu, running_node
from tests.services.test_store import ref

pytestmark = pytest.mark.wire

PATIENCE_S = 10.0


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
    requestor.echo(node.peer, deadline_s=PATIENCE_S)
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
