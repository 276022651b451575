"""A node on a free port with an archive twin, and what calls it."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.transport import AddressInformation

from scp.config import Config, Limits, Node, Peer
from scp.net import command
from scp.net.acceptor import Acceptor
from scp.net.requestor import Requestor
from scp.services.context import Reconstructs, ServiceContext
from scp.services.dispatch import serve
from tests.net.archive_twin import ArchiveTwin

ALL = ("echo", "store", "find", "move", "get", "mpr")


def caller(ae_title: str, *rights: str, **peer: Any) -> Peer:
    """Return a peer that calls from this machine."""
    return Peer(ae_title=ae_title, networks=("127.0.0.1",), rights=rights or ALL, **peer)


@dataclass
class RunningNode:
    config: Config
    archive: ArchiveTwin
    acceptor: Acceptor

    @property
    def port(self) -> int:
        return self.acceptor.address[1]

    @property
    def peer(self) -> Peer:
        """This node as somebody else's peer."""
        return Peer(name="node", ae_title=self.config.node.ae_title, host="127.0.0.1", port=self.port)


@contextlib.contextmanager
def running_node(
    folder: Path,
    *,
    peers: dict[str, Peer] | None = None,
    limits: Limits | None = None,
    mpr: Reconstructs | None = None,
    sections: dict[str, Any] | None = None,
    **node: Any,
) -> Iterator[RunningNode]:
    """Run a node with an archive twin in *folder*; *node* are keys of ``[node]``."""
    config = Config(
        node=Node(port=0, **node), peers=peers or {}, limits=limits or Limits(), **(sections or {})
    )
    archive = ArchiveTwin(folder)
    context = ServiceContext(config, archive, Requestor(config), mpr)
    acceptor = Acceptor(config, archive, partial(serve, context))
    acceptor.start()
    try:
        yield RunningNode(config, archive, acceptor)
    finally:
        acceptor.stop(0.0)


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., RunningNode]]:
    """Return a function that starts a node: see ``running_node``."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> RunningNode:
            folder = tmp_path / f"archive of {settings.get('ae_title', 'MPRSCP')}"
            folder.mkdir(exist_ok=True)
            return stack.enter_context(running_node(folder, **settings))

        yield start


def association_request(
    called: str = "MPRSCP", calling: str = "RAW", sop_class: str = CTImageStorage
) -> bytes:
    """Return an A-ASSOCIATE-RQ PDU with one context, number 1."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    primitive.calling_presentation_address = primitive.called_presentation_address = AddressInformation(
        "127.0.0.1", 104
    )
    context = build_context(sop_class, ExplicitVRLittleEndian)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    implementation.implementation_class_uid = UID("1.2.826.0.1.3680043.8.498.9")
    primitive.user_information = [length, implementation]
    return bytes(A_ASSOCIATE_RQ(primitive).encode())


def connect(node: RunningNode) -> socket.socket:
    """Return a connection to the node that waits at most 10 s for anything."""
    return socket.create_connection(("127.0.0.1", node.port), timeout=10)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


def read_pdu(connection: socket.socket) -> bytes:
    """Return the next PDU, empty when the other side closed or reset the connection."""
    head = _exactly(connection, 6)
    return head + _exactly(connection, int.from_bytes(head[2:6], "big")) if len(head) == 6 else b""


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while len(data) < size and (more := connection.recv(size - len(data))):
            data += more
    return data


def store_message(uid: str, data_set: bytes = b"", message_id: int = 1) -> bytes:
    """Return the PDUs of a C-STORE of *data_set* on context 1."""
    encoded = command.store_request(CTImageStorage, uid, message_id)
    return p_data(3, encoded) + p_data(2, data_set)


def p_data(control: int, value: bytes, context_id: int = 1) -> bytes:
    """Return one P-DATA-TF with one fragment."""
    length = len(value) + 2
    fragment = length.to_bytes(4, "big") + bytes((context_id, control)) + value
    return b"\4\0" + len(fragment).to_bytes(4, "big") + fragment


def wait_until(holds: Callable[[], object], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it never came to be"
        time.sleep(0.01)


@pytest.fixture
def dcmtk(program: Callable[[str], str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs one of DCMTK's programs without Nagle's delays."""

    def run(name: str, *arguments: object, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program(name), *map(str, arguments)],
            env={"TCP_NODELAY": "1", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    return run
