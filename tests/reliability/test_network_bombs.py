"""R9 at the network's door: requests and data sets that are too large cost no memory and harm nobody."""

import contextlib
import select
import socket
import struct
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from scp.net import command, gate
from scp.net.association import NodeAssociation
from scp.net.fastpath import Assembly
from scp.net.transport import ABORT_BY_USER
from scp.node import Node
from tests.builders import uid
from tests.net.nodes import association_request, p_data, read_pdu
from tests.reliability.nodes import Client, whole_node
from tests.reliability.test_bombs import Peak, element, identity

pytestmark = pytest.mark.wire

MIB = 1 << 20
BOUND = 64 * MIB
"""Bytes of memory that one association may take, whatever it sends."""


def called(node: Node) -> socket.socket:
    return socket.create_connection(node.address, timeout=30)


def item(kind: int, content: bytes) -> bytes:
    """Return an item of an A-ASSOCIATE-RQ; its length has two bytes (PS3.8 9.3.2)."""
    return struct.pack(">BxH", kind, len(content)) + content


def with_more(items: bytes) -> bytes:
    """Return an A-ASSOCIATE-RQ that has *items* at its end."""
    request = association_request(calling="CLIENT")[6:] + items
    return struct.pack(">BxL", 1, len(request)) + request


def contexts(count: int) -> bytes:
    syntaxes = item(0x30, CTImageStorage.encode()) + item(0x40, ExplicitVRLittleEndian.encode())
    return b"".join(item(0x20, bytes((2 * n + 3 & 0xFF, 0, 0, 0)) + syntaxes) for n in range(count))


def user_identity(size: int) -> bytes:
    """Return user identities of *size* bytes together, each as long as an item can be (PS3.7 D.3.3.7)."""
    name = bytes(min(size, 65_000))
    content = item(0x58, struct.pack(">BBH", 1, 0, len(name)) + name + b"\0\0")
    return item(0x50, content) * (size // len(name))


def answer_to(node: Node, request: bytes) -> bytes:
    with called(node) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        return read_pdu(connection)


TOO_LARGE = {"10,000 contexts": contexts(10_000), "a user identity of 1 MB": user_identity(1_000_000)}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_request_that_is_too_large_is_aborted_unread(tmp_path: Path, name: str) -> None:
    with whole_node(tmp_path / "archive") as node, Peak() as peak:
        assert answer_to(node, with_more(TOO_LARGE[name])) == ABORT_BY_USER
        Client(node.address[1]).echo()
    assert peak.grown < BOUND


@pytest.mark.parametrize("name", TOO_LARGE)
def test_control_a_gate_that_lets_large_requests_in_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(gate, "MAXIMUM_REQUEST_BYTES", 1 << 30)
    with whole_node(tmp_path / "archive") as node:
        assert answer_to(node, with_more(TOO_LARGE[name])) != ABORT_BY_USER


@pytest.mark.parametrize(
    ("items", "kind"),
    [(contexts(2000), (2, 3, 7)), (user_identity(60_000), (2,))],
    ids=["2,000 contexts", "a user identity of 60 KB"],
)
def test_a_large_request_that_is_let_in_is_answered_and_harms_nobody(
    tmp_path: Path, items: bytes, kind: tuple[int, ...]
) -> None:
    with whole_node(tmp_path / "archive") as node, Peak() as peak:
        assert answer_to(node, with_more(items))[0] in kind
        Client(node.address[1]).echo()
    assert peak.grown < BOUND


def sent_of(node: Node, size: int) -> tuple[int, bytes]:
    """Store an image of *size* bytes; return how many could be sent, and what the node answered."""
    with called(node) as connection:
        connection.sendall(association_request(calling="CLIENT"))
        assert read_pdu(connection)[0] == 2
        connection.sendall(p_data(3, command.store_request(CTImageStorage, uid("bomb"), 1)))
        connection.sendall(p_data(0, identity() + element(0x7FE00010, b"OW", size)))
        zeros, sent = p_data(0, bytes(MIB // 16 - 6)), 0
        with contextlib.suppress(ConnectionError):
            while sent < size and not select.select([connection], [], [], 0)[0]:
                part = min(size - sent, len(zeros) - 12)
                connection.sendall(zeros if part == len(zeros) - 12 else p_data(0, bytes(part)))
                sent += part
            if sent == size:
                connection.sendall(p_data(2, b""))
        return sent, read_pdu(connection)


@pytest.mark.parametrize("mib", [128, pytest.param(2048, marks=pytest.mark.long)])
def test_a_large_data_set_is_stored_in_little_memory(disk: Path, mib: int) -> None:
    with whole_node(disk / "archive") as node, Peak() as peak:
        sent, answer = sent_of(node, mib * MIB)
        assert sent == mib * MIB
        assert command.number(command.decode(answer[12:]), command.STATUS) == 0x0000
        (facts,) = node._archive.instance_files(uid("bomb"))
        assert facts.path.stat().st_size > mib * MIB
    assert peak.grown < BOUND


def _goes_on_beyond_the_limit(disk: Path) -> bool:
    with whole_node(disk / "archive", limits={"maximum_instance": 8 * MIB}) as node:
        sent, _ = sent_of(node, 64 * MIB)
        Client(node.address[1]).echo()
        assert not list((disk / "archive" / ".scp" / "spool").iterdir())
    return sent == 64 * MIB


def test_a_data_set_beyond_the_limit_is_cut_off_and_leaves_nothing(disk: Path) -> None:
    assert not _goes_on_beyond_the_limit(disk)


def test_control_a_node_that_takes_data_sets_of_any_length_is_noticed(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Assembly.__init__

    def without_limit(assembly: Assembly, association: NodeAssociation) -> None:
        real(assembly, association)
        assembly._limits = assembly._limits.model_copy(update={"maximum_instance": 1 << 40})

    monkeypatch.setattr(Assembly, "__init__", without_limit)
    assert _goes_on_beyond_the_limit(disk)
