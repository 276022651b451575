"""What callers are told before an association is theirs (PS3.8 9.3.4), and how the node ends."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from scp.config import Limits
from scp.net import command
from tests.net.nodes import (
    RunningNode,
    association_request,
    caller,
    connect,
    p_data,
    read_pdu,
    store_message,
    wait_until,
)
from tests.net.test_stream import descriptors

pytestmark = pytest.mark.wire

StartNode = Callable[..., RunningNode]
A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_RELEASE_RP, A_ABORT = 2, 3, 6, 7
LENGTH_OF_THE_FIXED_PART = 74
RELEASE = bytes((5, 0, 0, 0, 0, 4, 0, 0, 0, 0))
ECHO_REQUEST = {
    command.AFFECTED_SOP_CLASS_UID: Verification,
    command.COMMAND_FIELD: 0x0030,
    command.MESSAGE_ID: 1,
    command.COMMAND_DATA_SET_TYPE: command.NO_DATA_SET,
}


@pytest.fixture
def associate() -> Iterator[Callable[..., Association]]:
    """Return a function that associates by pynetdicom; what is left is aborted at the end."""
    made: list[Association] = []

    def make(node: RunningNode, calling: str = "CALLER", called: str = "", *classes: str) -> Association:
        entity = AE(calling)
        for sop_class in classes or (Verification,):
            entity.add_requested_context(sop_class)
        called = called or node.config.node.ae_title
        made.append(entity.associate("127.0.0.1", node.port, ae_title=called))
        return made[-1]

    yield make
    for association in made:
        association.abort()


def rejection(association: Association) -> tuple[int, int, int]:
    assert association.is_rejected
    answer = association.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def ask(node: RunningNode, request: bytes) -> bytes:
    with connect(node) as connection:
        connection.sendall(request)
        return read_pdu(connection)


def test_every_ae_title_of_ours_is_answered_and_no_other(
    start_node: StartNode, associate: Callable[..., Association]
) -> None:
    node = start_node(ae_title="NODE")
    assert all(associate(node, called=title).is_established for title in ("NODE", "MPR_COR", "MPR_SAG"))
    assert rejection(associate(node, called="ELSE")) == (1, 1, 7)


def test_an_unknown_calling_ae_title_is_rejected(
    start_node: StartNode, associate: Callable[..., Association]
) -> None:
    node = start_node(peers={"A": caller("KNOWN")})
    assert associate(node, "KNOWN").is_established
    assert rejection(associate(node, "UNKNOWN")) == (1, 1, 3)


def test_another_application_context_is_rejected(start_node: StartNode) -> None:
    request = association_request().replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")
    assert ask(start_node(), request)[:10] == bytes((A_ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, 1, 1, 2))


def test_another_protocol_version_is_rejected(start_node: StartNode) -> None:
    request = bytearray(association_request())
    request[6:8] = b"\0\2"
    assert ask(start_node(), bytes(request))[:10] == bytes((A_ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, 1, 2, 2))


def test_rights_decide_which_contexts_are_accepted(
    start_node: StartNode, associate: Callable[..., Association]
) -> None:
    node = start_node(peers={"A": caller("READER", "find")})
    association = associate(
        node, "READER", "", StudyRootQueryRetrieveInformationModelFind, CTImageStorage, Verification
    )
    accepted = [context.abstract_syntax for context in association.accepted_contexts]
    assert accepted == [StudyRootQueryRetrieveInformationModelFind]
    assert {context.result for context in association.rejected_contexts} == {1}


def test_nothing_acceptable_is_still_an_accepted_association(start_node: StartNode) -> None:
    node = start_node(peers={"A": caller("READER", "find")})
    assert ask(node, association_request(calling="READER"))[0] == A_ASSOCIATE_AC


def test_the_associations_of_one_peer_are_limited(
    start_node: StartNode, associate: Callable[..., Association]
) -> None:
    node = start_node(limits=Limits(associations_per_peer=2))
    first, second = associate(node, "A"), associate(node, "A")
    assert first.is_established and second.is_established
    assert rejection(associate(node, "A")) == (2, 3, 2)
    assert associate(node, "B").is_established
    first.release()
    wait_until(lambda: len(node.acceptor.associations) == 2)
    assert associate(node, "A").is_established


def test_when_all_are_busy_a_newcomer_is_told_to_come_again(
    start_node: StartNode, associate: Callable[..., Association], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.net.places.SETTLED_S", 1e9)
    node = start_node(limits=Limits(associations=2))
    assert associate(node, "A").is_established and associate(node, "B").is_established
    assert rejection(associate(node, "C")) == (2, 3, 2)


def test_the_longest_idle_makes_room(
    start_node: StartNode, associate: Callable[..., Association], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start_node(limits=Limits(associations=2))
    monkeypatch.setattr("scp.net.places.SETTLED_S", 1e-6)
    first, second = associate(node, "A"), associate(node, "B")
    assert associate(node, "C").is_established
    wait_until(lambda: first.is_aborted)
    assert second.is_established


def test_silence_is_closed_at_the_negotiation_deadline(start_node: StartNode) -> None:
    node = start_node(limits=Limits(negotiation_deadline=0.2))
    with connect(node) as silent, connect(node) as half:
        half.sendall(association_request()[:40])
        assert read_pdu(silent) == b"" and read_pdu(half) == b""
    assert node.acceptor.associations == ()


def test_a_dripping_request_earns_no_time(start_node: StartNode) -> None:
    node = start_node(limits=Limits(negotiation_deadline=0.3))
    with connect(node) as connection:
        ended = threading.Event()

        def drip() -> None:
            for octet in association_request():
                if ended.wait(0.02):
                    return
                try:
                    connection.send(bytes([octet]))
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        with contextlib.suppress(ConnectionResetError):  # closed with a byte of ours on its way
            assert connection.recv(10) == b""
        ended.set()
        dripping.join()


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", RELEASE, bytes((1, 0, 0x7F, 0, 0, 0))])
def test_another_first_pdu_is_aborted_by_the_user(start_node: StartNode, first: bytes) -> None:
    assert ask(start_node(), first) == bytes((A_ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0))


def test_an_idle_association_is_aborted_by_the_provider(start_node: StartNode) -> None:
    node = start_node(limits=Limits(idle_deadline=0.2))
    with connect(node) as connection:
        connection.sendall(association_request())
        assert read_pdu(connection)[0] == A_ASSOCIATE_AC
        assert read_pdu(connection) == bytes((A_ABORT, 0, 0, 0, 0, 4, 0, 0, 2, 0))
        assert read_pdu(connection) == b""


def test_stalled_connections_cost_a_good_peer_nothing(
    start_node: StartNode, associate: Callable[..., Association]
) -> None:
    node = start_node(limits=Limits(associations=4))
    stalled = [connect(node) for _ in range(6)]
    for connection in stalled[:3]:
        connection.sendall(association_request()[:30])
    assert associate(node, "GOOD").is_established
    for connection in stalled:
        connection.close()


def test_data_before_the_answer_to_the_request_is_aborted(start_node: StartNode) -> None:
    node = start_node()
    with connect(node) as connection:
        connection.sendall(association_request() + store_message("1.2.3", b"data"))
        pdus = [read_pdu(connection)[:1], read_pdu(connection)[:1]]
        assert bytes((A_ABORT,)) in pdus
    assert "1.2.3" not in node.archive.stored


def test_a_request_with_a_context_id_that_is_none_is_aborted(start_node: StartNode) -> None:
    request = bytearray(association_request())
    at = request.index(bytes((0x20, 0)), LENGTH_OF_THE_FIXED_PART) + 4
    assert request[at] == 1
    request[at] = 2
    assert ask(start_node(), bytes(request)) == bytes((A_ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0))


def test_a_requestor_that_names_no_maximum_length_is_answered(start_node: StartNode) -> None:
    """It then takes PDUs of any length (PS3.7 D.3.3.1)."""
    request = bytearray(association_request(sop_class=Verification))
    at = request.index(bytes((0x51, 0, 0, 4)))
    del request[at : at + 8]
    user_information = request.rindex(bytes((0x50, 0)), 0, at)
    for place, size in ((2, 4), (user_information + 2, 2)):
        length = int.from_bytes(request[place : place + size], "big") - 8
        request[place : place + size] = length.to_bytes(size, "big")
    with connect(start_node()) as connection:
        connection.sendall(bytes(request))
        assert read_pdu(connection)[0] == A_ASSOCIATE_AC
        connection.sendall(p_data(3, command.encode(ECHO_REQUEST)))
        assert command.number(command.decode(read_pdu(connection)[12:]), command.STATUS) == 0x0000


def test_a_released_association_leaves_nothing(start_node: StartNode) -> None:
    node = start_node()
    with connect(node) as connection:
        connection.sendall(association_request())
        assert read_pdu(connection)[0] == A_ASSOCIATE_AC
        connection.sendall(RELEASE)
        assert read_pdu(connection)[0] == A_RELEASE_RP
    wait_until(lambda: not node.acceptor.associations)


def test_while_it_drains_newcomers_are_told_so_and_work_is_finished(
    start_node: StartNode, associate: Callable[..., Association]
) -> None:
    node = start_node()
    working, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        working.set()
        go_on.wait(10)

    node.archive.before_commit = slow
    with connect(node) as connection:
        connection.sendall(association_request())
        assert read_pdu(connection)[0] == A_ASSOCIATE_AC
        connection.sendall(store_message("1.2.3"))
        assert working.wait(10)
        stopping = threading.Thread(target=node.acceptor.stop, args=(20.0,))
        stopping.start()
        wait_until(lambda: rejection_of(associate(node)) == (2, 3, 1))
        go_on.set()
        assert read_pdu(connection)[0] == 4  # the response to the C-STORE
    stopping.join(10)
    assert not stopping.is_alive()
    with pytest.raises(ConnectionRefusedError):
        connect(node)


def test_at_the_shutdown_deadline_what_is_left_is_aborted(start_node: StartNode) -> None:
    node = start_node()
    working, go_on = threading.Event(), threading.Event()
    node.archive.before_commit = lambda *_: (working.set(), go_on.wait(10))
    with connect(node) as connection:
        connection.sendall(association_request())
        assert read_pdu(connection)[0] == A_ASSOCIATE_AC
        connection.sendall(store_message("1.2.3"))
        assert working.wait(10)
        node.acceptor.stop(0.1)
        assert read_pdu(connection)[:1] in (bytes((A_ABORT,)), b"")
        go_on.set()


def rejection_of(association: Association) -> tuple[int, int, int] | None:
    return rejection(association) if association.is_rejected else None


def test_ipv6_is_served(start_node: StartNode) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this system has no IPv6")
    node = start_node(host="::1")
    with socket.create_connection(("::1", node.port), timeout=10) as connection:
        connection.sendall(association_request())
        assert read_pdu(connection)[0] == A_ASSOCIATE_AC


@pytest.mark.parametrize(
    "stall",
    [b"", association_request()[:50], None, p_data(3, b"")[:9], p_data(1, b"half")],
    ids=["silent", "half a request", "associated and idle", "half a PDU", "half a message"],
)
def test_however_peers_stall_a_good_one_is_served(
    start_node: StartNode,
    associate: Callable[..., Association],
    monkeypatch: pytest.MonkeyPatch,
    stall: bytes | None,
) -> None:
    monkeypatch.setattr("scp.net.places.SETTLED_S", 1e-6)
    node = start_node(limits=Limits(associations=5))
    with contextlib.ExitStack() as stalled:
        for number in range(15):
            connection = stalled.enter_context(connect(node))
            if stall is None or stall[:1] == b"\4":
                connection.sendall(association_request(calling=f"STALLED{number}"))
                assert read_pdu(connection)[0] == A_ASSOCIATE_AC
            connection.sendall(stall or b"")
        assert associate(node, "GOOD").is_established


def test_who_crowds_the_gate_makes_room_there(
    start_node: StartNode, associate: Callable[..., Association]
) -> None:
    node = start_node(limits=Limits(associations=2))
    with contextlib.ExitStack() as crowd:
        first, *_ = [crowd.enter_context(connect(node)) for _ in range(6)]
        assert read_pdu(first) == b""  # four may wait
        assert associate(node, "GOOD").is_established


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("scp.net.acceptor.NodeAssociation.start", RuntimeError("can't start new thread")),
        ("scp.net.association.FastDUL.start", RuntimeError("can't start new thread")),
        ("scp.net.acceptor.AddressInformation.from_tuple", OSError("not connected")),
    ],
    ids=["no thread to serve", "no thread to read", "the connection is no more"],
)
def test_what_becomes_no_association_leaves_no_descriptor_open(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch, what: str, error: Exception
) -> None:
    node = start_node()
    before = len(descriptors())

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(what, fail)
        assert ask(node, association_request()) == b""
    wait_until(lambda: len(descriptors()) <= before)
    assert ask(node, association_request())[0] == A_ASSOCIATE_AC


def test_an_ae_title_can_write_nothing_into_a_log(
    start_node: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    node = start_node()
    request = association_request(calling="EVIL12345").replace(b"EVIL12345", b"EVIL\nroot\x1b")
    with caplog.at_level("INFO"):
        ask(node, request)
    assert "\nroot" not in caplog.text and "\x1b" not in caplog.text
