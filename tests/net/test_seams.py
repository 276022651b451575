"""What we rely on inside pynetdicom: when a test here fails after an upgrade, it says which seam changed.

The tables hold names and parameters, the other tests what a seam is for: those fail on pynetdicom alone.
"""

import contextlib
import inspect
import threading
import time
from collections.abc import Callable
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pynetdicom
import pytest
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_CANCEL_RQ, C_FIND_RQ
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND
from pynetdicom.dsutils import encode
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE, StateMachine
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind
from pynetdicom.timer import Timer
from pynetdicom.transport import AssociationSocket

from scp.config import Limits
from scp.net import command
from scp.net.acse import NodeACSE
from scp.net.association import NodeAssociation
from scp.net.deadlines import Deadline
from scp.net.fastpath import FastDUL
from scp.net.requestor import Requestor
from scp.net.transport import MonotonicTimer, NodeSocket, WakingDUL
from tests.net.nodes import (
    RunningNode,
    association_request,
    connect,
    p_data,
    read_pdu,
    store_message,
    wait_until,
)
from tests.net.test_stream import descriptors
from tests.services.test_find import MprTwin, identifier

StartNode = Callable[..., RunningNode]

OVERRIDDEN = [
    (ACSE, NodeACSE, "_negotiate_as_acceptor", []),
    (Association, NodeAssociation, "_run_reactor", []),
    (Association, NodeAssociation, "_serve_request", ["msg", "context_id"]),
    (Association, NodeAssociation, "run_reactor", []),
    (AssociationSocket, NodeSocket, "_shutdown_socket", []),
    (AssociationSocket, NodeSocket, "close", []),
    (AssociationSocket, NodeSocket, "connect", ["primitive"]),
    (AssociationSocket, NodeSocket, "recv", ["nr_bytes"]),
    (AssociationSocket, NodeSocket, "send", ["bytestream"]),
    (DULServiceProvider, FastDUL, "_read_pdu_data", []),
    (DULServiceProvider, FastDUL, "send_pdu", ["primitive"]),
    (DULServiceProvider, WakingDUL, "kill_dul", []),
    (DULServiceProvider, WakingDUL, "run_reactor", []),
    (DULServiceProvider, WakingDUL, "stop_dul", []),
    (Timer, MonotonicTimer, "start", []),
    (Timer, MonotonicTimer, "stop", []),
]
USED = [
    (Association, "abort", ["block"]),
    (ACSE, "is_aborted", ["abort_type"]),
    (ACSE, "send_ap_abort", ["reason"]),
    (ACSE, "send_reject", ["result", "source", "diagnostic"]),
    (DIMSEServiceProvider, "receive_primitive", ["primitive"]),
    (DIMSEServiceProvider, "send_msg", ["primitive", "context_id"]),
    (StateMachine, "do_action", ["event"]),
]


def parameters(cls: type, name: str) -> list[str]:
    return [p for p in inspect.signature(getattr(cls, name)).parameters if p != "self"]


def test_the_version_is_one_that_the_seams_were_read_in() -> None:
    assert pynetdicom.__version__.split(".")[:2] == ["3", "0"]


@pytest.mark.parametrize(("theirs", "ours", "name", "expected"), OVERRIDDEN)
def test_what_we_override_is_still_there(theirs: type, ours: type, name: str, expected: list[str]) -> None:
    assert parameters(theirs, name) == expected == parameters(ours, name)


@pytest.mark.parametrize(("theirs", "name", "expected"), USED)
def test_what_we_call_is_still_there(theirs: type, name: str, expected: list[str]) -> None:
    assert parameters(theirs, name) == expected


def test_a_pdu_or_deadline_gone_wrong_is_aborted_in_every_state_after_the_request() -> None:
    for state in ("Sta3", "Sta5", "Sta6", "Sta7", "Sta8"):
        assert TRANSITION_TABLE[("Evt19", state)] == "AA-8"
        assert TRANSITION_TABLE[("Evt17", state)] == "AA-4"


def established(node: RunningNode, sop_class: str = "1.2.840.10008.5.1.4.1.1.2") -> Any:
    connection = connect(node)
    connection.sendall(association_request(sop_class=sop_class))
    assert read_pdu(connection)[0] == 2
    return connection


@pytest.mark.wire
def test_an_idle_association_does_nothing(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    original = NodeSocket.ready.fget

    def counted(self: NodeSocket) -> bool:
        asked.append(time.monotonic())
        return original(self)

    monkeypatch.setattr(NodeSocket, "ready", property(counted))
    node = start_node()
    with established(node):
        wait_until(lambda: node.acceptor.associations and node.acceptor.associations[0].is_established)
        asked.clear()
        threading.Event().wait(0.3)
        assert len(asked) <= 2  # as it comes: 300


@pytest.mark.wire
def test_the_first_message_waits_for_the_state_that_lets_it_out(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A requestor is told of its association before the state machine is where P-DATA goes out."""
    real = StateMachine.transition

    def late(machine: StateMachine, state: str) -> None:
        time.sleep(0.1 if state == "Sta6" else 0)  # as where another thread has the interpreter just then
        real(machine, state)

    node = start_node()
    monkeypatch.setattr(StateMachine, "transition", late)
    Requestor(node.config).echo(node.peer, deadline=Deadline(5.0))


@pytest.mark.wire
def test_an_abort_ends_also_when_the_peer_never_closes(start_node: StartNode) -> None:
    node = start_node()
    with established(node) as connection:
        connection.sendall(b"\4\0\0\0\1\0half")
        wait_until(lambda: node.acceptor.associations[0].is_established)
        (association,) = node.acceptor.associations
        threading.Thread(target=association.abort).start()
        wait_until(lambda: not association.is_alive() and not association.dul.is_alive())


@pytest.mark.wire
def test_a_service_longer_than_the_idle_deadline_keeps_its_association(start_node: StartNode) -> None:
    node = start_node(limits=Limits(idle_deadline=0.3))
    node.archive.before_commit = lambda _: time.sleep(0.5)
    with established(node) as connection:
        for number in (1, 2):
            connection.sendall(store_message(f"1.2.{number}", b"data", number))
            response = command.decode(read_pdu(connection)[12:])
            assert command.number(response, command.STATUS) == 0x0000


@pytest.mark.wire
def test_stores_are_served_by_the_thread_that_reads_which_stays_where_it_reads(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it comes, each PDU goes through a loop that sleeps, and each message to another thread."""
    entered: list[float] = []
    read = FastDUL._read_pdu_data

    def counted(self: FastDUL) -> None:
        entered.append(time.monotonic())
        read(self)

    monkeypatch.setattr(FastDUL, "_read_pdu_data", counted)
    node = start_node()
    serving: list[threading.Thread] = []
    node.archive.before_commit = lambda _: serving.append(threading.current_thread())
    with established(node) as connection:
        wait_until(lambda: node.acceptor.associations and node.acceptor.associations[0].is_established)
        (association,) = node.acceptor.associations
        entered.clear()
        for number in range(5):
            connection.sendall(store_message(f"1.2.{number}", bytes(1000), number))
            assert read_pdu(connection)[0] == 4
    assert serving == [association.dul] * 5
    assert len(entered) <= 2


@pytest.mark.wire
def test_a_fault_in_the_thread_that_reads_ends_the_association(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``abort`` waits for that thread unless it is told not to."""

    def fails(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(NodeAssociation, "respond_to_store", fails)
    node = start_node()
    with established(node) as connection:
        connection.sendall(store_message("1.2.3", b"data"))
        assert read_pdu(connection)[0] == 7
    wait_until(lambda: not node.acceptor.associations)


@pytest.mark.wire
def test_a_clock_that_jumps_touches_no_deadline(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start_node()
    with established(node) as connection:
        for jump in (1e6, -2e6):
            now = time.time() + jump
            monkeypatch.setattr("pynetdicom.timer.time.time", lambda now=now: now)
            connection.sendall(store_message("1.2.3", b"data"))
            assert read_pdu(connection)[0] == 4


def ends_the_idle_though_the_clock_goes_back(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch, patience_s: float
) -> bool:
    node = start_node(limits=Limits(idle_deadline=0.3))
    with established(node) as connection:
        then = time.time() - 1e6
        monkeypatch.setattr("pynetdicom.timer.time.time", lambda: then)
        connection.settimeout(patience_s)
        with contextlib.suppress(TimeoutError):
            return read_pdu(connection)[0] == 7
        return False


@pytest.mark.wire
def test_a_clock_that_goes_back_keeps_no_idle_association(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ends_the_idle_though_the_clock_goes_back(start_node, monkeypatch, 10.0)


@pytest.mark.wire
def test_control_deadlines_by_the_clock_on_the_wall_keep_it(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.net.transport.time", SimpleNamespace(monotonic=lambda: time.time()))
    assert not ends_the_idle_though_the_clock_goes_back(start_node, monkeypatch, 1.0)


@pytest.mark.wire
def test_a_cancel_that_comes_together_with_its_request_is_seen(start_node: StartNode) -> None:
    """As it comes, what was cancelled before the service began runs to its end."""
    answers = [identifier() for _ in range(3)]
    node = start_node(mpr=MprTwin(answers=lambda: answers))
    query, cancel = C_FIND(), C_CANCEL()
    query.MessageID, query.AffectedSOPClassUID, query.Priority = 5, StudyRootFind, 0
    query.Identifier = BytesIO(encode(identifier(), False, True))
    cancel.MessageIDBeingRespondedTo = 5
    with established(node, StudyRootFind) as connection:
        connection.sendall(message(C_FIND_RQ, query) + message(C_CANCEL_RQ, cancel))
        statuses = []
        while not statuses or statuses[-1] == 0xFF00:
            pdu = read_pdu(connection)
            if pdu[11] & 1:
                statuses.append(command.number(command.decode(pdu[12:]), command.STATUS))
        assert statuses[-1] == 0xFE00


def message(kind: Any, primitive: Any) -> bytes:
    """Return the PDUs of a DIMSE message on context 1."""
    built = kind()
    built.primitive_to_message(primitive)
    encoded = encode(built.command_set, True, True)
    data_set = getattr(primitive, "Identifier", None)
    return p_data(3, encoded) + (p_data(2, data_set.getvalue()) if data_set else b"")


@pytest.mark.wire
def test_a_released_or_aborted_association_gives_its_descriptors_back(start_node: StartNode) -> None:
    node = start_node()
    before = len(descriptors())
    for _ in range(5):
        established(node).close()
    wait_until(lambda: not node.acceptor.associations and len(descriptors()) <= before)
