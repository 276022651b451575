"""Peers that follow a script: real associations, and sockets that only look like a peer."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

PENDING, SUCCESS = 0xFF00, 0x0000
Handler = Callable[["Script", Any], Iterator[Any]]


def answer(ds: Dataset, identifier: Dataset) -> Dataset:
    """Return what of a data set an identifier asks for."""
    found = Dataset()
    found.QueryRetrieveLevel = identifier.QueryRetrieveLevel
    for element in identifier:
        if element.tag in ds:
            found[element.tag] = deepcopy(ds[element.tag])
    return found


def wanted(script: "Script", identifier: Dataset) -> list[Dataset]:
    """Return the data sets that a retrieve asks for."""
    uids = identifier.SOPInstanceUID
    asked = {str(uids)} if isinstance(uids, str) else {str(uid) for uid in uids}
    return [ds for ds in script.holds if str(ds.SOPInstanceUID) in asked]


def find(script: "Script", event: Any) -> Iterator[Any]:
    """Answer a C-FIND with the truth."""
    if event.identifier.QueryRetrieveLevel == "STUDY":
        yield PENDING, answer(script.holds[0], event.identifier)
        return
    for ds in script.holds:
        yield PENDING, answer(ds, event.identifier)


def get(script: "Script", event: Any) -> Iterator[Any]:
    """Send by C-GET what is asked for."""
    matches = wanted(script, event.identifier)
    yield len(matches)
    for ds in matches:
        yield PENDING, ds


def move(script: "Script", event: Any) -> Iterator[Any]:
    """Send by C-MOVE what is asked for, to *destination* of the script."""
    matches = wanted(script, event.identifier)
    yield script.destination
    yield len(matches)
    for ds in matches:
        yield PENDING, ds


def store(ds: Dataset, address: tuple[str, int]) -> int:
    """Send one data set by an association of its own; return the status of its C-STORE-RSP."""
    entity = AE("PACS")
    entity.add_requested_context(CTImageStorage, ds.file_meta.TransferSyntaxUID)
    association = entity.associate(*address, ae_title="MPRSCP")
    assert association.is_established
    status = association.send_c_store(ds).Status
    association.release()
    return int(status)


@dataclass
class Script:
    """What a peer holds and does; *over* is set when the test is, for handlers that wait."""

    holds: Sequence[Dataset]
    find: Handler = find
    get: Handler | None = get
    move: Handler | None = None
    gives_scp_role: bool = True
    transfer_syntaxes: Sequence[str] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    destination: tuple[str, int] = ("127.0.0.1", 0)
    over: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, name: str, handler: Handler, event: Any) -> Iterator[Any]:
        with self.lock:
            self.asked.append(name)
        yield from handler(self, event)


@contextmanager
def dicom_peer(script: Script, port: int = 0) -> Iterator[int]:
    """Run a scripted peer, and give its port."""
    entity = AE("PACS")
    entity.network_timeout = entity.dimse_timeout = 30
    syntaxes = [UID(uid) for uid in script.transfer_syntaxes]
    handlers: list[Any] = []

    def served(name: str, sop_class: str, event: Any, handler: Handler) -> None:
        entity.add_supported_context(sop_class, syntaxes)
        handlers.append((event, lambda e: script.handle(name, handler, e)))

    served("find", StudyRootQueryRetrieveInformationModelFind, evt.EVT_C_FIND, script.find)
    if script.get is not None:
        served("get", StudyRootQueryRetrieveInformationModelGet, evt.EVT_C_GET, script.get)
        entity.add_supported_context(
            CTImageStorage,
            syntaxes,
            scu_role=script.gives_scp_role or None,
            scp_role=script.gives_scp_role or None,
        )
    if script.move is not None:
        served("move", StudyRootQueryRetrieveInformationModelMove, evt.EVT_C_MOVE, script.move)
        entity.add_requested_context(CTImageStorage, syntaxes)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1]
    finally:
        script.over.set()
        entity.shutdown()


@contextmanager
def tcp_peer(behave: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """Run what *behave* does with each connection, and give the port."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            behave(connection, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        accepting.join(10)


@contextmanager
def black_hole() -> Iterator[int]:
    """Give a port whose connections are never completed: the queue of the listener is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
            waiting.append(connection)
        yield listener.getsockname()[1]
        for connection in waiting:
            connection.close()


def rejection(result: int, source: int, reason: int) -> Callable[[socket.socket, threading.Event], None]:
    """Answer every A-ASSOCIATE-RQ with an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    def reject(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(1 << 16)
        connection.sendall(struct.pack(">BxIxBBB", 3, 4, result, source, reason))
        over.wait(5)

    return reject


def silence(connection: socket.socket, over: threading.Event) -> None:
    """Take the connection and say nothing."""
    over.wait(30)


def hang_up(connection: socket.socket, over: threading.Event) -> None:
    """Read the request and close."""
    connection.recv(1 << 16)


def reset_inside_a_pdu(connection: socket.socket, over: threading.Event) -> None:
    """Send the head of an A-ASSOCIATE-AC and reset the connection."""
    connection.recv(1 << 16)
    connection.sendall(struct.pack(">BxI", 2, 4000) + bytes(20))
    abort(connection)


def drip(connection: socket.socket, over: threading.Event) -> None:
    """Send an A-ASSOCIATE-AC that never ends, byte by byte."""
    connection.sendall(struct.pack(">BxI", 2, 4000))
    while not over.wait(0.05):
        connection.sendall(b"\0")


def babble(connection: socket.socket, over: threading.Event) -> None:
    """Speak another protocol."""
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    over.wait(5)


def abort(connection: socket.socket) -> None:
    """Close with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
