"""Associations that this node requests: from the connection to the release (PS3.8 7.1.1, PS3.7 D.3).

``net.requestor`` and ``net.lazy_sender`` talk over them. They have no thread that serves: whoever asked for
one sends and takes messages itself. Whatever goes wrong is a ``PeerFailed`` that says what, in a sentence.
"""

import os
import select
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from errno import EINPROGRESS
from typing import Any

from pynetdicom import AE
from pynetdicom._globals import MODE_REQUESTOR
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from scp.config import Config, Peer
from scp.errors import Cancelled, PeerFailed, StoreRefused
from scp.model import Incoming, Origin, Sink
from scp.net.admission import Rejection
from scp.net.association import NodeAssociation
from scp.net.deadlines import LOOK_EVERY_S, Deadline
from scp.net.dialogue import Conduct, Dialogue
from scp.net.messages import Request
from scp.net.negotiation import Result
from scp.net.stream import Stream
from scp.net.tls import check_certificate, failure_text, requestor_context
from scp.part10.head import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

REJECTED_BECAUSE = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "our AE title is not known there",
    (1, 7): "the called AE title is not theirs",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "too many associations",
}
"""By source and reason of the A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

NOTHING_BECAUSE: Mapping[int, str] = {
    Result.USER_REJECTION: "refuses this service to us, a right may lack there",
    Result.ABSTRACT_SYNTAX_NOT_SUPPORTED: "does not know this service",
    Result.TRANSFER_SYNTAXES_NOT_SUPPORTED: "takes none of our transfer syntaxes",
}
"""By the one result of all contexts that were proposed."""


class NothingAccepted(PeerFailed):
    """The peer associates, and accepts none of *contexts*."""

    def __init__(self, sentence: str, short: str = "", contexts: Sequence[PresentationContext] = ()) -> None:
        super().__init__(sentence, short)
        self.contexts = contexts


def associate(
    config: Config,
    local_ae_title: str,
    peer: Peer,
    contexts: list[PresentationContext],
    deadline: Deadline,
    *,
    sink: Sink | None = None,
    roles: Iterable[SCP_SCU_RoleSelectionNegotiation] = (),
) -> NodeAssociation:
    """Return an established association with *peer*. Raises ``PeerFailed``, ``Cancelled``.

    It has no reactor thread: whoever called sends and takes messages, and ends it (``release``, ``end``).
    """
    stream = _connect(config, peer, deadline)
    try:
        association = _prepared(config, local_ae_title, peer, stream, deadline, sink or _NoSink())
        _introduce(association, peer, contexts, roles)
    except OSError as error:
        stream.close()
        raise PeerFailed(f"the connection was closed at once: {error.strerror or error}") from error
    except (PeerFailed, Cancelled):
        stream.close()
        raise
    association.request()
    if not association.is_established:
        answer = association.acceptor.primitive
        end(association)
        if deadline.cancelled():
            raise Cancelled("nobody waits for this peer any more")
        if _is_acceptance(answer):
            raise _nothing_accepted(association.rejected_contexts)
        raise _not_associated(answer, deadline)
    return association


def release(association: NodeAssociation, within_s: float) -> None:
    """Release an association that ``associate`` made; when the peer does not answer, it is aborted."""
    association.acse_timeout = within_s
    association.release()


def end(association: NodeAssociation) -> None:
    """Make sure that nothing of an association is left: abort it unless it has ended."""
    if association.is_established:
        association.abort()
    association.kill()
    association.abandon_messages()
    association.note_end()


def _serve_nothing(_association: Dialogue, _request: Request) -> None:
    raise Cancelled("a requestor serves nothing")


def _admit_nobody(_association: Dialogue, _request: A_ASSOCIATE) -> Rejection:
    return Rejection(1, 1, 1, "a requestor admits nobody")


def _is_acceptance(answer: Any) -> bool:
    return isinstance(answer, A_ASSOCIATE) and answer.result == 0x00


def _not_associated(answer: Any, deadline: Deadline) -> PeerFailed:
    if answer is None or isinstance(answer, A_ABORT) or answer.result is None:
        if deadline.is_over:
            within = f"within {deadline.seconds:g} s"
            return PeerFailed(f"the association was not answered {within}", f"no answer {within}")
        return PeerFailed("the association was not answered, or aborted", "association aborted")
    reason = REJECTED_BECAUSE.get((answer.result_source, answer.diagnostic), "unknown reason")
    return PeerFailed(f"the association was rejected: {reason}", f"rejected: {reason}")


def _nothing_accepted(contexts: Sequence[PresentationContext]) -> NothingAccepted:
    results = {context.result for context in contexts}
    reason = NOTHING_BECAUSE[results.pop()] if len(results) == 1 and results <= NOTHING_BECAUSE.keys() else ""
    what = "no presentation context was accepted"
    return NothingAccepted(f"{reason}: {what}" if reason else what, reason, contexts)


def _connect(config: Config, peer: Peer, deadline: Deadline) -> Stream:
    if not peer.host or not peer.port:
        raise PeerFailed(
            "has no host and port in its [peers] table, so it cannot be called", "no host and port"
        )
    try:
        connection = _connected(peer.host, peer.port, deadline)
    except OSError as error:
        why = f"{error.strerror or error}"
        raise PeerFailed(f"no connection to {peer.host}:{peer.port}: {why}", why) from error
    try:
        if peer.tls:
            connection = _secured(config, connection, peer, deadline)
        return Stream(connection, stall_s=config.limits.message_deadline)
    except OSError as error:
        connection.close()
        why = failure_text(error)
        raise PeerFailed(f"TLS with {peer.host}:{peer.port} failed: {why}", f"TLS failed: {why}") from error
    except (PeerFailed, Cancelled):
        connection.close()
        raise


def _connected(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Return a connection to the first address of *host* that takes one. Raises ``OSError`` of the last."""
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            error = connection.connect_ex(address)
            if error == EINPROGRESS:
                _await(connection, select.POLLOUT, deadline)
                error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except BaseException:
            connection.close()
            raise
        if not error:
            return connection
        connection.close()
        failure = OSError(error, os.strerror(error))
    raise failure


def _secured(config: Config, connection: socket.socket, peer: Peer, deadline: Deadline) -> socket.socket:
    """Return *connection* wrapped in TLS. Raises ``PeerFailed``, ``OSError``, and has closed it then."""
    if config.tls is None:
        raise PeerFailed("is called by TLS, and there is no [tls] section with our certificate")
    context = requestor_context(config.tls, peer)
    secured = context.wrap_socket(connection, server_hostname=peer.host, do_handshake_on_connect=False)
    try:
        _shake_hands(secured, deadline)
        check_certificate(secured, peer)
    except BaseException:
        secured.close()
        raise
    return secured


def _shake_hands(connection: ssl.SSLSocket, deadline: Deadline) -> None:
    while True:
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            _await(connection, select.POLLIN, deadline)
        except ssl.SSLWantWriteError:
            _await(connection, select.POLLOUT, deadline)
        else:
            return


def _await(connection: socket.socket, event: int, deadline: Deadline) -> None:
    """Return when *event* is there. Raises ``PeerFailed`` and ``Cancelled`` as ``deadline.left_s``."""
    poll = select.poll()
    poll.register(connection, event)
    while not poll.poll(1000 * min(LOOK_EVERY_S, deadline.left_s)):
        pass


def _prepared(
    config: Config, local_ae_title: str, peer: Peer, stream: Stream, deadline: Deadline, sink: Sink
) -> NodeAssociation:
    entity = AE(local_ae_title)
    entity.acse_timeout = deadline.left_s
    conduct = Conduct(config.limits, sink, _serve_nothing, _admit_nobody)
    association = NodeAssociation(entity, MODE_REQUESTOR, conduct, stream)
    association.name = f"association with {peer.ae_title} at {peer.host}:{peer.port}"
    association.unwanted = deadline.cancelled
    association._is_paused = True
    return association


def _introduce(
    association: NodeAssociation,
    peer: Peer,
    contexts: list[PresentationContext],
    roles: Iterable[SCP_SCU_RoleSelectionNegotiation],
) -> None:
    """Fill in both ends of the A-ASSOCIATE-RQ (PS3.8 7.1.1, PS3.7 D.3.3)."""
    local, remote = association.requestor, association.acceptor
    connection = association.stream.connection
    remote.ae_title = peer.ae_title
    remote.address_info = AddressInformation.from_tuple(connection.getpeername())
    local.ae_title = association.ae.ae_title
    local.address_info = AddressInformation.from_tuple(connection.getsockname())
    local.maximum_length = association.conduct.limits.maximum_pdu
    local.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    local.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    for item in roles:
        local.add_negotiation_item(item)
    local.requested_contexts = contexts


class _NoSink:
    def begin(self, origin: Origin) -> Incoming:
        raise StoreRefused(f"nothing was asked for, {origin.sop_instance_uid} neither")
