"""An association as services and requestors use it: who is at the other end, its rights, messages both ways.

``net.association`` adds the threads that read and serve. What those are made of (``net.acse``,
``net.fastpath``) knows an association by this class, too, so nothing imports in a circle.
"""

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE
from pynetdicom.presentation import PresentationContext

from scp.config import Limits
from scp.errors import PeerFailed
from scp.model import IsCancelled, Sink, never
from scp.net import command, framing
from scp.net.admission import Admitted, Rejection, plain_address
from scp.net.journal import Journal, printable
from scp.net.messages import Request, StoreRequest

MAXIMUM_SENT_PDU = 128 << 10
"""What we send at most at once, also to a peer that takes PDUs of any length."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """How an association behaves: who may enter, where data sets go, who answers."""

    limits: Limits
    sink: Sink
    serve: Callable[["Dialogue", Request], None]
    admit: Callable[["Dialogue", A_ASSOCIATE], Admitted | Rejection]


class Dialogue(Association):  # type: ignore[misc]
    """See the module. *conduct* is how it behaves; *admitted* what the requestor may, once that is known."""

    is_established: bool

    def __init__(self, ae: ApplicationEntity, mode: str, conduct: Conduct) -> None:
        super().__init__(ae, mode)
        self.conduct = conduct
        self.admitted: Admitted | None = None
        self.certificate_sha256 = ""
        self.unwanted: IsCancelled = never
        self.journal = Journal()
        self._one_message = threading.Lock()

    @property
    def calling_ae_title(self) -> str:
        return printable(self.requestor.ae_title)

    @property
    def called_ae_title(self) -> str:
        """Called AE Title of the request: the node's own, or a preset's; ``""`` before there is one."""
        return printable(getattr(self.requestor.primitive, "called_ae_title", ""))

    @property
    def remote_address(self) -> str:
        remote = self.requestor if self.is_acceptor else self.acceptor
        return plain_address(str(remote.address_info.address))

    @property
    def is_configured(self) -> bool:
        """Tell whether the requestor is a configured peer."""
        return self.admitted is not None and self.admitted.peer is not None

    @property
    def party(self) -> tuple[str, str]:
        """Calling AE title and address, by which associations are counted."""
        return self.calling_ae_title, self.remote_address

    @functools.cached_property
    def sending_contexts(self) -> dict[str, dict[str, PresentationContext]]:
        """The contexts on which we may be the SCU, by abstract and transfer syntax, once established."""
        found: dict[str, dict[str, PresentationContext]] = {}
        for context in self.accepted_contexts:
            if context.as_scu is not False:
                by_syntax = found.setdefault(str(context.abstract_syntax), {})
                by_syntax.setdefault(str(context.transfer_syntax[0]), context)
        return found

    @property
    def silent_s(self) -> float:
        """Seconds since anything came."""
        return float(self.dul.idle_s)

    @property
    def gone(self) -> bool:
        """Tell whether the peer has aborted or vanished, or the association ended in any other way."""
        return not self.is_established or self.acse.is_aborted() or not self.dul.is_alive()

    def is_cancelled(self, message_id: int) -> bool:
        """Tell whether a C-CANCEL for *message_id* came (PS3.7 9.3.2.3); asked again, it still says so."""
        return message_id in self.dimse.cancel_req

    def is_left_alone(self, message_id: int) -> bool:
        """Tell whether nobody waits for the answer: cancelled, gone, or about to release (PS3.8 7.2)."""
        leaving = isinstance(self.dul.peek_next_pdu(), A_RELEASE)
        return leaving or self.gone or self.is_cancelled(message_id)

    def may(self, *rights: str) -> bool:
        """Tell whether the requestor holds any of *rights*."""
        return self.admitted is not None and self.admitted.may(*rights)

    def respond(self, response: Any, context_id: int) -> None:
        """Send a DIMSE message now."""
        with self._one_message:
            self.dimse.send_msg(response, context_id)

    @property
    def most_fragment_bytes(self) -> int:
        """How much of a data set one P-DATA-TF to this peer may hold (PS3.8 D.1)."""
        return max(1, min(self.dimse.maximum_pdu_size or MAXIMUM_SENT_PDU, MAXIMUM_SENT_PDU) - 6)

    def send_message(self, context_id: int, encoded: bytes) -> bool:
        """Send an encoded command set that has no data set; tell whether it went out."""
        return self.send_pieces((framing.command_pdu(context_id, encoded),))

    def send_pieces(self, made: Iterable[bytes | memoryview]) -> bool:
        """Send one message, made by ``net.framing``; tell whether it went out.

        Raises ``OSError`` when the rest of it cannot be read: half a message may be out then.
        """
        with self._one_message:
            return all(map(self.dul.send_pdus, made))

    def send_messages(self, context_id: int, messages: Iterable[tuple[bytes, bytes]]) -> bool:
        """Send small messages, encoded command sets and data sets, together; tell whether they went out.

        A write wakes the receiver, and costs both sides more than such a message does.
        """
        most = self.most_fragment_bytes
        parts = [part for message in messages for part in framing.pdus(context_id, *message, most)]
        with self._one_message:
            return bool(self.dul.send_pdus(*parts))

    def next_message(self, timeout_s: float) -> tuple[int, Any]:
        """Return the next message with its context id.

        Raises ``TimeoutError`` when none comes, ``PeerFailed`` when the association has ended.
        """
        ends = time.monotonic() + timeout_s
        while not self.gone:
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError
            with contextlib.suppress(queue.Empty):
                context_id, message = self.dimse.msg_queue.get(timeout=min(1.0, left))
                if message is not None:
                    return context_id, message
        raise PeerFailed("the association was aborted, or the connection lost")

    def respond_to_store(
        self, request: StoreRequest, context_id: int, status: int, comment: str = ""
    ) -> None:
        """Send the C-STORE-RSP to *request*."""
        encoded = command.store_response(
            request.sop_class_uid, request.sop_instance_uid, request.message_id or 0, status, comment
        )
        self.send_message(context_id, encoded)

    def request_of(self, message: Any, context_id: int) -> Request:
        """Return *message* with what its context says of it."""
        context = self._accepted_cx[context_id]
        return Request(message, context_id, context.abstract_syntax, context.transfer_syntax[0])

    def take_store(self, request: StoreRequest, context_id: int) -> None:
        """Take a C-STORE whose data set has come: queue it."""
        self.dimse.msg_queue.put((context_id, request))
