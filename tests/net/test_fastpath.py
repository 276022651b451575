"""P-DATA: what arrives is what the sink gets, and what breaks the protocol ends the association."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scp.config import Limits
from scp.net import command
from scp.net.association import NodeAssociation, NodeDIMSE
from scp.net.fastpath import MAXIMUM_QUEUED_MESSAGES
from tests.net.nodes import (
    RunningNode,
    association_request,
    connect,
    p_data,
    read_pdu,
    running_node,
    store_message,
    wait_until,
)

pytestmark = pytest.mark.wire

StartNode = Callable[..., RunningNode]
P_DATA_TF, A_ABORT = 4, 7
CT = "1.2.840.10008.5.1.4.1.1.2"
ABORTED = bytes((A_ABORT, 0, 0, 0, 0, 4, 0, 0, 2, 0))


class Peer:
    """An established association whose bytes are all ours."""

    def __init__(self, node: RunningNode) -> None:
        self.connection = connect(node)
        self.connection.sendall(association_request())
        assert read_pdu(self.connection)[0] == 2

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def status(self) -> int | None:
        """Return the Status of the response that comes, ``None`` when it is no P-DATA."""
        pdu = read_pdu(self.connection)
        return command.number(command.decode(pdu[12:]), command.STATUS) if pdu[:1] == b"\4" else None


@pytest.fixture
def peer(start_node: StartNode) -> Iterator[Callable[..., tuple[RunningNode, Peer]]]:
    made: list[Peer] = []

    def establish(**limits: float) -> tuple[RunningNode, Peer]:
        node = start_node(limits=Limits(**limits))
        made.append(Peer(node))
        return node, made[-1]

    yield establish
    for one in made:
        one.connection.close()


def test_bytes_arrive_as_they_were_sent_however_they_are_cut(peer: Callable[..., tuple]) -> None:
    node, one = peer()
    data = os.urandom(300_001)
    encoded = command.store_request(CT, "1.2.3", 5)
    one.send(p_data(1, encoded[:10]) + p_data(1, b"") + p_data(3, encoded[10:]))
    for at in range(0, len(data), 65_537):
        one.send(p_data(0, data[at : at + 65_537]))
    one.send(p_data(2, b""))
    assert one.status() == 0x0000
    assert node.archive.data_sets["1.2.3"] == data


def test_several_fragments_may_share_a_pdu(peer: Callable[..., tuple]) -> None:
    node, one = peer()
    parts = [p_data(3, command.store_request(CT, "1.2.3", 5)), p_data(0, b"ab"), p_data(2, b"cd")]
    body = b"".join(part[6:] for part in parts)
    one.send(b"\4\0" + len(body).to_bytes(4, "big") + body)
    assert one.status() == 0x0000
    assert node.archive.data_sets["1.2.3"] == b"abcd"


def test_messages_sent_without_waiting_are_answered_in_order(peer: Callable[..., tuple]) -> None:
    node, one = peer()
    one.send(b"".join(store_message(f"1.2.{n}", b"x" * n, n) for n in range(1, 20)))
    for n in range(1, 20):
        pdu = read_pdu(one.connection)
        values = command.decode(pdu[12:])
        assert command.number(values, command.MESSAGE_ID_BEING_RESPONDED_TO) == n
    assert len(node.archive.stored) == 19


@pytest.mark.parametrize(
    ("what", "pdus"),
    [
        ("longer than announced", b"\4\0" + (200 << 10).to_bytes(4, "big")),
        ("a fragment longer than its PDU", b"\4\0\0\0\0\6" + (99).to_bytes(4, "big") + b"\1\3"),
        ("a fragment without a header", b"\4\0\0\0\0\3abc"),
        ("a context that was not accepted", p_data(3, b"", context_id=3)),
        ("a data set without a command", p_data(2, b"data")),
        ("a command that is none", p_data(3, b"\1\2\3\4\5")),
        ("a command of an unknown kind", p_data(3, command.encode({0x0100: 0x7777, 0x0800: 0x0101}))),
        ("another message inside a message", store_message("1.2.3")[:-12] + p_data(3, b"")),
        ("an unknown type", b"\x09\0\0\0\0\4abcd"),
        ("a second request", association_request()),
        ("a command set of 64 KiB and more", p_data(1, bytes(60_000)) + p_data(1, bytes(60_000))),
    ],
)
def test_a_broken_protocol_is_aborted_by_the_provider(
    peer: Callable[..., tuple], what: str, pdus: bytes
) -> None:
    node, one = peer()
    one.send(pdus)
    assert read_pdu(one.connection) == ABORTED, what
    one.connection.close()
    wait_until(lambda: not node.acceptor.associations)
    assert node.archive.stored == {}


def test_a_message_that_is_not_valid_is_not_quoted_in_the_log(
    peer: Callable[..., tuple], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def quoting(*_: object) -> None:
        raise ValueError("ROE^JANE is no value of this element")

    monkeypatch.setattr(NodeDIMSE, "receive_primitive", quoting)
    _, one = peer()
    one.send(p_data(3, command.encode({command.COMMAND_DATA_SET_TYPE: command.NO_DATA_SET})))
    assert read_pdu(one.connection) == ABORTED
    assert "not valid: ValueError" in caplog.text and "ROE" not in caplog.text


def test_a_message_that_stops_is_aborted_at_its_deadline_and_leaves_nothing(
    peer: Callable[..., tuple],
) -> None:
    node, one = peer(message_deadline=0.3)
    one.send(store_message("1.2.3", b"data")[:-3])
    assert read_pdu(one.connection) == ABORTED
    wait_until(lambda: node.archive.abandoned == ["1.2.3"])
    assert node.archive.stored == {}


def test_half_a_message_between_pdus_meets_the_same_deadline(peer: Callable[..., tuple]) -> None:
    node, one = peer(message_deadline=0.3)
    one.send(p_data(3, command.store_request(CT, "1.2.3", 5)) + p_data(0, b"half"))
    assert read_pdu(one.connection) == ABORTED
    wait_until(lambda: node.archive.abandoned == ["1.2.3"])


def test_a_vanished_peer_leaves_nothing(peer: Callable[..., tuple]) -> None:
    node, one = peer()
    one.send(p_data(3, command.store_request(CT, "1.2.3", 5)) + p_data(0, b"half"))
    one.connection.close()
    wait_until(lambda: node.archive.abandoned == ["1.2.3"] and not node.acceptor.associations)


def test_an_instance_beyond_the_limit_ends_the_association(peer: Callable[..., tuple]) -> None:
    node, one = peer(maximum_instance=1000)
    one.send(store_message("1.2.3", bytes(1001)))
    assert read_pdu(one.connection) == ABORTED
    wait_until(lambda: node.archive.abandoned == ["1.2.3"])


def test_a_sender_that_never_waits_for_its_stores_is_slowed_down(peer: Callable[..., tuple]) -> None:
    """While one is committed nothing is read: the node holds one data set, however many are sent."""
    node, one = peer()
    association_of(node)
    working, go_on = threading.Event(), threading.Event()
    begun: list[str] = []
    begin = node.archive.begin
    node.archive.begin = lambda origin: (begun.append(origin.sop_instance_uid), begin(origin))[1]
    node.archive.before_commit = lambda *_: (working.set(), go_on.wait(10))
    one.send(b"".join(store_message(f"1.2.{n}", b"x", n) for n in range(1, 200)))
    assert working.wait(10)
    assert begun == ["1.2.1"]
    go_on.set()
    assert [one.status() for _ in range(1, 200)] == [0x0000] * 199


def test_a_sender_that_never_waits_for_another_service_is_stopped(peer: Callable[..., tuple]) -> None:
    node, one = peer()
    association = association_of(node)
    with association._serving:
        with contextlib.suppress(OSError):  # cut off while sending
            one.send(b"".join(store_message(f"1.2.{n}", b"x", n) for n in range(1, 200)))
        wait_until(lambda: association.gone)
    wait_until(lambda: len(node.archive.abandoned) == MAXIMUM_QUEUED_MESSAGES + 1)
    assert node.archive.stored == {}


def test_a_store_behind_another_request_is_answered_after_it(peer: Callable[..., tuple]) -> None:
    node, one = peer()
    echo = {
        command.AFFECTED_SOP_CLASS_UID: "1.2.840.10008.1.1",
        command.COMMAND_FIELD: 0x0030,
        command.MESSAGE_ID: 1,
        command.COMMAND_DATA_SET_TYPE: command.NO_DATA_SET,
    }
    association = association_of(node)
    with association._serving:
        one.send(p_data(3, command.encode(echo)) + store_message("1.2.3", b"x", 2))
        wait_until(lambda: association.dimse.msg_queue.qsize() == 2)
    answered = [command.decode(read_pdu(one.connection)[12:]) for _ in range(2)]
    assert [command.number(values, command.MESSAGE_ID_BEING_RESPONDED_TO) for values in answered] == [1, 2]


def association_of(node: RunningNode) -> NodeAssociation:
    wait_until(lambda: node.acceptor.associations and node.acceptor.associations[0].is_established)
    (association,) = node.acceptor.associations
    return association


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    limits = Limits(message_deadline=0.5, associations=10_000, associations_per_peer=10_000)
    with running_node(tmp_path_factory.mktemp("fuzz"), limits=limits) as node:
        yield node


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6), st.integers(1, 2000))
def test_changed_and_cut_bytes_never_hurt_the_node(
    fuzzed: RunningNode, changes: list[tuple[int, int]], cut: int
) -> None:
    pdus = bytearray(association_request() + store_message("1.2.3", bytes(200)) + store_message("1.2.4"))
    for at, octet in changes:
        pdus[at % len(pdus)] = octet
    with connect(fuzzed) as connection:
        try:
            connection.sendall(pdus[: cut % len(pdus) + 1])
        except OSError:
            return
    with connect(fuzzed) as connection:
        connection.sendall(association_request())
        assert read_pdu(connection)[0] == 2
