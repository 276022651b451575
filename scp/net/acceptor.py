"""Listens for associations, and decides which of them may be.

A connection passes the gate (``net.gate``), is admitted by AE titles, address and certificate
(``net.admission``) within the limits (``net.places``), and becomes an association whose requests go to
``serve`` and whose data sets go to the sink. Says to rejected callers what PS3.8 9.3.4 has for them; on
shutdown lets those that are at work finish first.
"""

import contextlib
import errno
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable

from pynetdicom import AE
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AddressInformation

from scp.config import Config
from scp.errors import ConfigurationError
from scp.model import Sink, counted
from scp.net.admission import Admitted, HostAddresses, NotAdmitted, Rejection, admit
from scp.net.association import NodeAssociation
from scp.net.dialogue import Conduct, Dialogue
from scp.net.gate import Arrived, TurnedAway, pass_gate
from scp.net.messages import Request
from scp.net.places import SETTLED_S, Holder, who_makes_room
from scp.net.stream import shut_down
from scp.net.tls import acceptor_context
from scp.part10.head import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

LOGGER = logging.getLogger(__name__)

CALLING_NOT_RECOGNISED = (1, 1, 3)
CALLED_NOT_RECOGNISED = (1, 1, 7)
TEMPORARY_CONGESTION = (2, 3, 1)
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)
"""Result, source and reason (PS3.8 Table 9-21)."""

BACKLOG = 128
AT_THE_GATE_FOR_EACH_ASSOCIATION = 2
"""How many connections may be at the gate, for each association that may be."""

DRAIN_LOOK_EVERY_S = 0.05
LAST_MOMENT_S = 1.0
"""How long an association that is aborted at the shutdown deadline may take to end."""


class Acceptor:
    """Accepts associations for the node's AE title and for one AE title a preset.

    ``start`` returns when the ports are open; ``stop`` rejects new associations, waits for those at work and
    aborts what is left at the deadline.
    """

    def __init__(self, config: Config, sink: Sink, serve: Callable[[Dialogue, Request], None]) -> None:
        self.config = config
        self._sink = sink
        self._serve = serve
        self._draining = False
        self._resolve = HostAddresses()
        self._listeners: list[socket.socket] = []
        self._addresses: list[tuple[str, int]] = []
        self._associations: set[NodeAssociation] = set()
        self._at_gate: dict[socket.socket, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._admitting = threading.Lock()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens first, host and port; the port that was taken where 0 was configured."""
        return self._addresses[0]

    @property
    def tls_address(self) -> tuple[str, int]:
        """Where it listens for TLS."""
        return self._addresses[-1]

    @property
    def associations(self) -> tuple[NodeAssociation, ...]:
        """Those that live now."""
        with self._lock:
            self._associations = {a for a in self._associations if a.is_alive()}
            return tuple(self._associations)

    def start(self) -> None:
        """Open the ports and accept from now on. Raises ``ConfigurationError`` where one cannot be had."""
        node, tls = self.config.node, self.config.tls
        if tls is None or not tls.only:
            self._listen("node.port", node.port, None)
        if tls is not None:
            self._listen("tls.port", tls.port, acceptor_context(tls))

    def reload(self, config: Config) -> None:
        """Take *config* for associations to come; those that live keep theirs, ports stay as they are."""
        self.config = config

    def stop(self, deadline_s: float) -> None:
        """Reject what comes, wait for associations at work, abort those left after *deadline_s*."""
        self._draining = True
        ends = time.monotonic() + deadline_s
        while (living := self.associations) and time.monotonic() < ends:
            for association in living:
                if association.idle_s > 0:
                    association.evict()
            living[0].join(DRAIN_LOOK_EVERY_S)
        left = self.associations
        for association in left:
            association.evict()
        for association in left:
            association.join(LAST_MOMENT_S)
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # close() alone does not end an accept that waits
            listener.close()

    def _listen(self, key: str, port: int, tls: ssl.SSLContext | None) -> None:
        host = self.config.node.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise ConfigurationError(_cannot_listen(key, host, port, error)) from error
        self._listeners.append(listener)
        self._addresses.append(listener.getsockname()[:2])
        threading.Thread(target=self._accept, args=(listener, tls), name="acceptor", daemon=True).start()

    def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                if self._draining:
                    return
                time.sleep(0.1)  # out of descriptors: those that end make room
                continue
            self._receive(connection, address, tls)

    def _receive(
        self, connection: socket.socket, address: tuple[str, int], tls: ssl.SSLContext | None
    ) -> None:
        """Queue a connection at the gate and start the thread that serves it there."""
        try:
            if tls is not None:  # before it queues: wrapping replaces the socket object
                connection = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            self._queue_at_gate(connection, address[0])
            threading.Thread(
                target=self._welcome, args=(connection, address), name="gate", daemon=True
            ).start()
        except (OSError, RuntimeError) as error:  # it is gone, or there are no more threads
            LOGGER.warning("turned away %s: %s", address[0], error)
            with self._lock:
                self._at_gate.pop(connection, None)
            connection.close()

    def _queue_at_gate(self, connection: socket.socket, address: str) -> None:
        """Let one more connection wait at the gate.

        When the gate is full, the connection that has waited longest of the address that has most there is
        closed.
        """
        now = time.monotonic()
        with self._lock:
            if len(self._at_gate) >= AT_THE_GATE_FOR_EACH_ASSOCIATION * self.config.limits.associations:
                waiting = dict(enumerate(self._at_gate.items()))
                crowd = [
                    Holder(key, where, configured=False, idle_s=now - since + SETTLED_S)
                    for key, (_, (where, since)) in waiting.items()
                ]
                victim = who_makes_room(crowd, newcomer_configured=False)
                if victim is not None:
                    shut_down(waiting[victim.key][0])
            self._at_gate[connection] = (address, now)

    def _welcome(self, connection: socket.socket, address: tuple[str, int]) -> None:
        limits = self.config.limits
        try:
            arrived = pass_gate(connection, limits.negotiation_deadline, stall_s=limits.message_deadline)
        except TurnedAway as error:
            LOGGER.info("turned away %s: %s", address[0], error)
            return
        finally:
            with self._lock:
                del self._at_gate[connection]
        try:
            self._begin(arrived, address)
        except (OSError, RuntimeError) as error:  # the connection is no more, or no thread can be had
            LOGGER.warning("turned away %s: %s", address[0], error)
            arrived.stream.close()

    def _begin(self, arrived: Arrived, address: tuple[str, int]) -> None:
        """Make an association of what passed the gate. Raises ``OSError``, ``RuntimeError``."""
        entity = self._application_entity()
        association = NodeAssociation(entity, MODE_ACCEPTOR, self._conduct(), arrived.stream)
        association.certificate_sha256 = arrived.certificate_sha256
        association.name = f"association from {address[0]}:{address[1]}"
        association.acceptor.maximum_length = self.config.limits.maximum_pdu
        association.acceptor.ae_title = self.config.node.ae_title
        association.acceptor.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        association.acceptor.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        association.acceptor.address_info = AddressInformation.from_tuple(
            arrived.stream.connection.getsockname()
        )
        association.requestor.address_info = AddressInformation.from_tuple(address)
        with self._lock:  # it is counted from its first moment
            association.start()
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

    def _admit(self, association: Dialogue, request: A_ASSOCIATE) -> Admitted | Rejection:
        config = self.config
        called = str(request.called_ae_title or "").strip()
        if self._draining:
            return Rejection(*TEMPORARY_CONGESTION, "the node is shutting down")
        if called != config.node.ae_title and called not in config.presets:
            return Rejection(*CALLED_NOT_RECOGNISED, f"{called!r} is neither the node nor a preset")
        verdict = admit(
            config,
            str(request.calling_ae_title or ""),
            association.remote_address,
            certificate_sha256=association.certificate_sha256,
            resolve=self._resolve,
        )
        if isinstance(verdict, NotAdmitted):
            return Rejection(*CALLING_NOT_RECOGNISED, verdict.reason)
        with self._admitting:
            return self._within_limits(association, verdict)

    def _within_limits(self, association: Dialogue, admitted: Admitted) -> Admitted | Rejection:
        """Return *admitted* when there is a place, also one that another association makes."""
        limits = self.config.limits
        others = {id(a): a for a in self.associations if a.admitted is not None and a.holds_place}
        party = (admitted.calling_ae_title, admitted.address)
        same = [a for a in others.values() if a.party == party]
        if len(same) >= limits.associations_per_peer:
            reason = f"{counted(len(same), 'association')} of {party[0]}, limits.associations_per_peer"
            return Rejection(*LOCAL_LIMIT_EXCEEDED, reason)
        if len(others) >= limits.associations:
            holders = [Holder(k, a.party[1], a.is_configured, a.idle_s) for k, a in others.items()]
            victim = who_makes_room(holders, newcomer_configured=admitted.configured)
            if victim is None:
                reason = f"{counted(len(others), 'association')}, limits.associations"
                return Rejection(*LOCAL_LIMIT_EXCEEDED, reason)
            LOGGER.info("%s makes room", others[victim.key].name)
            others[victim.key].evict()
        association.admitted = admitted
        return admitted


def _cannot_listen(key: str, host: str, port: int, error: OSError) -> str:
    """Return what is wrong with a listener, and what helps."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"{key}: port {port} of {host} is taken by another program; stop that one, or choose another port"
        )
    if error.errno == errno.EACCES:
        return (
            f"{key}: port {port} needs a privilege (CAP_NET_BIND_SERVICE); grant it, or choose one above 1023"
        )
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"node.host: {host} is no address of this machine; give one of its own, or 0.0.0.0 for all"
    return f"{key}: cannot listen on {host}:{port}: {error.strerror or error}"
