"""Listens for associations, and decides which of them may be.

One listener a port; each connection gets an association (``net.association``) whose requests go to ``serve``
and whose data sets go to the sink. Says to rejected callers what PS3.8 9.3.4 has for them, and on shutdown
lets those that are at work finish first.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable

from pynetdicom import AE
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AddressInformation

from scp.config import Config
from scp.model import Sink
from scp.net.admission import Admitted, HostAddresses, NotAdmitted, admit
from scp.net.association import Conduct, NodeAssociation, Rejection, Request
from scp.net.stream import Stream

LOGGER = logging.getLogger(__name__)

NOT_RECOGNISED_CALLING = (1, 1, 3)
NOT_RECOGNISED_CALLED = (1, 1, 7)
TEMPORARY_CONGESTION = (2, 3, 1)
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)

BACKLOG = 128


class Acceptor:
    """Accepts associations for the node's AE title and for one AE title a preset.

    ``start`` returns when the port is open; ``stop`` rejects new associations, waits for those at work and
    aborts what is left at the deadline.
    """

    def __init__(self, config: Config, sink: Sink, serve: Callable[[NodeAssociation, Request], None]) -> None:
        self.config = config
        self._sink = sink
        self._serve = serve
        self._draining = False
        self._resolve = HostAddresses()
        self._listener: socket.socket | None = None
        self._associations: set[NodeAssociation] = set()
        self._lock = threading.Lock()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, host and port; the port that was taken where 0 was configured."""
        assert self._listener is not None, "start() comes first"
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    @property
    def associations(self) -> tuple[NodeAssociation, ...]:
        """Those that live now."""
        with self._lock:
            self._associations = {a for a in self._associations if a.is_alive()}
            return tuple(self._associations)

    def start(self) -> None:
        """Open the port and accept from now on. Raises ``OSError`` where it cannot be had."""
        node = self.config.node
        family = socket.AF_INET6 if ":" in node.host else socket.AF_INET
        self._listener = socket.create_server((node.host, node.port), family=family, backlog=BACKLOG)
        threading.Thread(target=self._accept, name="acceptor", daemon=True).start()

    def reload(self, config: Config) -> None:
        """Take *config* for associations to come; those that live keep theirs."""
        self.config = config

    def stop(self, deadline_s: float) -> None:
        """Reject what comes, wait for the associations that live, abort those left after *deadline_s*."""
        self._draining = True
        ends = time.monotonic() + deadline_s
        for association in self.associations:
            association.join(max(0.0, ends - time.monotonic()))
        for association in self.associations:
            association.abort()
        if self._listener is not None:
            self._listener.close()

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                time.sleep(0.1)  # out of descriptors: those that end make room
                continue
            self._welcome(connection, address)

    def _welcome(self, connection: socket.socket, address: tuple[str, int]) -> None:
        stream = Stream(connection, stall_s=self.config.limits.message_deadline)
        association = NodeAssociation(self._application_entity(), MODE_ACCEPTOR, self._conduct(), stream)
        association.name = f"association from {address[0]}:{address[1]}"
        association.acceptor.maximum_length = self.config.limits.maximum_pdu
        association.acceptor.ae_title = self.config.node.ae_title
        association.acceptor.address_info = AddressInformation.from_tuple(connection.getsockname())
        association.requestor.address_info = AddressInformation.from_tuple(address)
        association.start()
        with self._lock:
            self._associations.add(association)

    def _application_entity(self) -> AE:
        limits = self.config.limits
        entity = AE(self.config.node.ae_title)
        entity.acse_timeout = limits.negotiation_deadline
        entity.dimse_timeout = limits.message_deadline
        entity.network_timeout = limits.idle_deadline
        return entity

    def _conduct(self) -> Conduct:
        return Conduct(self.config.limits, self._sink, self._serve, self._admit)

    def _admit(self, association: NodeAssociation, request: A_ASSOCIATE) -> Admitted | Rejection:
        config = self.config
        called = str(request.called_ae_title or "").strip()
        if self._draining:
            return Rejection(*TEMPORARY_CONGESTION, "the node is shutting down")
        if called != config.node.ae_title and called not in config.presets:
            return Rejection(*NOT_RECOGNISED_CALLED, f"{called!r} is neither the node nor a preset")
        address = str(association.requestor.address_info.address)
        verdict = admit(config, str(request.calling_ae_title or ""), address, resolve=self._resolve)
        if isinstance(verdict, NotAdmitted):
            return Rejection(*NOT_RECOGNISED_CALLING, verdict.reason)
        return self._within_limits(verdict)

    def _within_limits(self, admitted: Admitted) -> Admitted | Rejection:
        limits = self.config.limits
        others = [a.admitted for a in self.associations if a.admitted is not None]
        same = [a for a in others if _party(a) == _party(admitted)]
        if len(others) >= limits.associations:
            return Rejection(*LOCAL_LIMIT_EXCEEDED, f"{len(others)} associations, limits.associations")
        if len(same) >= limits.associations_per_peer:
            return Rejection(
                *LOCAL_LIMIT_EXCEEDED,
                f"{len(same)} associations of {admitted.calling_ae_title}, limits.associations_per_peer",
            )
        return admitted


def _party(admitted: Admitted) -> tuple[str, str]:
    return admitted.calling_ae_title, admitted.address
