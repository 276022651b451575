"""However a requestor leaves, at whatever stage: the work stops within a second, and nothing is left."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, C_GET, C_MOVE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as StudyRootGet
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as StudyRootMove

from scp.model import Event, Planned, Produced
from scp.services import find, retrieve
from tests.builders import image, write
from tests.net.nodes import RunningNode, association_request, connect, p_data, store_message, wait_until
from tests.services.test_find import MprTwin
from tests.services.test_retrieve import KEYS, Pair
from tests.services.test_store import ref

pytestmark = pytest.mark.wire

StartNode = Callable[..., RunningNode]
PROMISED_S, SLACK_S = 1.0, 2.0
MESSAGE_ID = 9


class Work:
    """What a request has the node do: waits at *stage* until nobody wants it, and tells when it stopped."""

    def __init__(self, stage: str, made: Any) -> None:
        self.stage, self.made = stage, made
        self.reached, self.stopped = threading.Event(), threading.Event()

    def events(self, cancelled: Callable[[], bool]) -> Iterator[Event]:
        try:
            if self.stage != "selecting":
                yield Planned(("1.2.9",) * 1000)
            while self.stage == "sending" and not cancelled():
                self.reached.set()
                yield Produced(self.made)
            self.reached.set()
            while not cancelled():
                time.sleep(0.02)
        finally:
            self.stopped.set()

    def answers(self) -> Iterator[Dataset]:
        try:
            while True:
                self.reached.set()
                if self.stage == "selecting":
                    time.sleep(0.05)
                    if self.left():
                        return
                    continue
                answer = Dataset()
                answer.QueryRetrieveLevel = "SERIES"
                yield answer
                time.sleep(0.01)
        finally:
            self.stopped.set()

    def left(self) -> bool:
        return False


class Twin(MprTwin):
    """Gives answers the ``cancelled`` of their request."""

    def __init__(self, work: Work) -> None:
        super().__init__(answers=work.answers, events=work.events)
        self.work = work

    def answers_of(self, identifier: Dataset, requesting: Any, cancelled: Any) -> Any:
        self.work.left = cancelled  # type: ignore[method-assign]
        return super().answers_of(identifier, requesting, cancelled)


REQUESTS: dict[str, tuple[UID, type]] = {
    "find": (StudyRootFind, C_FIND),
    "move": (StudyRootMove, C_MOVE),
    "get": (StudyRootGet, C_GET),
}


def asked(node: RunningNode, service: str) -> tuple[Association, int]:
    """Return an association on which the request was sent, and its context; nothing reads the answers."""
    sop_class, message = REQUESTS[service]
    entity = AE("CALLER")
    entity.add_requested_context(sop_class)
    entity.add_requested_context(CTImageStorage)
    roles = [build_role(CTImageStorage, scp_role=True)]
    association = entity.associate("127.0.0.1", node.port, ae_title="NODE", ext_neg=roles)
    assert association.is_established
    association._reactor_checkpoint.clear()
    wait_until(lambda: association._is_paused)
    request = message()
    request.MessageID, request.AffectedSOPClassUID, request.Priority = MESSAGE_ID, sop_class, 0
    if service == "move":
        request.MoveDestination = "DEST"
    (context,) = [c for c in association.accepted_contexts if c.abstract_syntax == sop_class]
    syntax = context.transfer_syntax[0]
    encoded = encode(KEYS, syntax.is_implicit_VR, syntax.is_little_endian)
    request.Identifier = BytesIO(encoded or b"")
    association.dimse.send_msg(request, context.context_id)
    return association, context.context_id


def cancel(association: Association, context_id: int) -> None:
    message = C_CANCEL()
    message.MessageIDBeingRespondedTo = MESSAGE_ID
    association.dimse.send_msg(message, context_id)


def release(association: Association, _context_id: int) -> None:
    association.acse.send_release(is_response=False)


def abort(association: Association, _context_id: int) -> None:
    association.acse.send_abort(0x00)


def vanish(association: Association, _context_id: int) -> None:
    """Let the operating system forget the connection: no A-ABORT, no FIN, only a reset."""
    connection = association.dul.socket.socket
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


WAYS = {way.__name__: way for way in (cancel, release, abort, vanish)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stage", ["selecting", "planned", "sending"])
@pytest.mark.parametrize("service", REQUESTS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_work_stops(start_node: StartNode, tmp_path: Path, service: str, stage: str, way: str) -> None:
    """The client is pynetdicom with its connection pulled away: what its thread raises is not ours."""
    work = Work(stage, ref(write(image(), tmp_path / "a.dcm")))
    pair = Pair(start_node, Twin(work))
    association, context_id = asked(pair.node, service)
    assert work.reached.wait(10)
    WAYS[way](association, context_id)
    assert work.stopped.wait(PROMISED_S + SLACK_S)
    if way in ("abort", "vanish"):
        wait_until(lambda: not pair.node.acceptor.associations)
    wait_until(lambda: not pair.destination.acceptor.associations)
    with contextlib.suppress(Exception):
        association.abort()


@pytest.mark.parametrize("service", REQUESTS)
def test_control_what_nobody_watches_goes_on(
    start_node: StartNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    monkeypatch.setattr("scp.net.association.NodeAssociation.is_left_alone", lambda *_: False)
    monkeypatch.setattr(find, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(retrieve, "LOOK_EVERY_S", 0.05)
    work = Work("selecting", ref(write(image(), tmp_path / "a.dcm")))
    pair = Pair(start_node, Twin(work))
    association, context_id = asked(pair.node, service)
    assert work.reached.wait(10)
    cancel(association, context_id)
    assert not work.stopped.wait(PROMISED_S)
    monkeypatch.undo()
    association.abort()
    assert work.stopped.wait(10)


@pytest.mark.parametrize("stage", ["a command", "half a data set"])
@pytest.mark.parametrize("end", ["release", "abort", "reset", "close"])
def test_an_instance_that_is_not_whole_leaves_nothing(start_node: StartNode, stage: str, end: str) -> None:
    node = start_node()
    message = store_message("1.2.3", bytes(5000))
    command_only = message[: -len(p_data(2, bytes(5000)))]
    with connect(node) as connection:
        connection.sendall(association_request())
        assert connection.recv(4096)[0] == 2
        connection.sendall(command_only + (b"" if stage == "a command" else p_data(0, bytes(999))))
        wait_until(lambda: any(a.dul.receiving for a in node.acceptor.associations))
        if end == "release":
            connection.sendall(bytes((5, 0, 0, 0, 0, 4, 0, 0, 0, 0)))
        elif end == "abort":
            connection.sendall(bytes((7, 0, 0, 0, 0, 4, 0, 0, 0, 0)))
        elif end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if end in ("reset", "close"):
            connection.close()
        wait_until(lambda: not node.acceptor.associations)
    assert node.archive.stored == {} and node.archive.abandoned == ["1.2.3"]


@pytest.mark.parametrize("service", REQUESTS)
def test_work_that_looks_up_late_still_hears_that_nobody_waits(start_node: StartNode, service: str) -> None:
    """The final response has gone out by then, and with it what is known of the cancel."""
    heard: list[bool] = []
    looked = threading.Event()
    answered = threading.Event()
    begun = threading.Event()

    def look(cancelled: Callable[[], bool]) -> None:
        begun.set()
        answered.wait(10)
        heard.append(cancelled())
        looked.set()

    class Late(MprTwin):
        def answers_of(self, identifier: Dataset, requesting: Any, cancelled: Any) -> Any:
            return (look(cancelled) for _ in range(1))

        def events_of(self, identifier: Dataset, requesting: Any, cancelled: Any) -> Any:
            return (look(cancelled) for _ in range(1))

    pair = Pair(start_node, Late())
    association, context_id = asked(pair.node, service)
    assert begun.wait(10)
    cancel(association, context_id)
    (served,) = pair.node.acceptor.associations
    wait_until(lambda: not served._at_work)
    answered.set()
    assert looked.wait(10)
    assert heard == [True]
    association.abort()
