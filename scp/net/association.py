"""One association: pynetdicom's, with our services in place of its handlers.

Seams (each held by a test): ``Association._serve_request`` gives a request to ``serve`` instead of a service
class, so that private storage classes work like any other and a retrieve runs our own loop;
``Association._run_reactor`` waits for news instead of looking every millisecond, and counts idle time from
the end of the last service. Negotiation is ``net.acse``'s; the state machine, ACSE and DIMSE messages (PS3.7,
PS3.8) stay pynetdicom's.
"""

import contextlib
import functools
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID
from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE
from pynetdicom.presentation import PresentationContext

from scp.config import Limits
from scp.errors import Code, MprScpError, PeerFailed, Refused, SOPClassNotSupported
from scp.model import IsCancelled, Origin, Sink, never
from scp.net import command, framing
from scp.net.acse import NodeACSE, Rejection
from scp.net.admission import Admitted, plain_address
from scp.net.fastpath import FastDUL, StoreRequest
from scp.net.journal import Journal, line, printable
from scp.net.negotiation import STORE_RIGHTS, is_storage
from scp.net.reception import Reception
from scp.net.stream import Stream
from scp.net.transport import NodeSocket, NotifyingQueue

LOGGER = logging.getLogger(__name__)

# pynetdicom logs identifiers, which are patient data, and bytes as a peer sent them; we log in our own words.
_config.LOG_HANDLER_LEVEL = "none"
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

MAXIMUM_SENT_PDU = 128 << 10
"""What we send at most at once, also to a peer that takes PDUs of any length."""


@dataclass(frozen=True, slots=True)
class Request:
    """One DIMSE request and its context: *message* is pynetdicom's primitive, or a ``StoreRequest``."""

    message: Any
    context_id: int
    abstract_syntax: UID
    transfer_syntax: UID


@dataclass(frozen=True, slots=True)
class Conduct:
    """How an association behaves: who may enter, where data sets go, who answers."""

    limits: Limits
    sink: Sink
    serve: Callable[["NodeAssociation", Request], None]
    admit: Callable[["NodeAssociation", A_ASSOCIATE], Admitted | Rejection]


class NodeDIMSE(DIMSEServiceProvider):  # type: ignore[misc]
    """Sends to a peer that named no maximum length, too: it takes PDUs of any (PS3.7 D.3.3.1)."""

    @property
    def maximum_pdu_size(self) -> int:
        return super().maximum_pdu_size or 0


class NodeAssociation(Association):  # type: ignore[misc]
    """An association of this node, in either mode; see the module."""

    is_established: bool

    def __init__(self, ae: ApplicationEntity, mode: str, conduct: Conduct, stream: Stream) -> None:
        super().__init__(ae, mode)
        self.conduct = conduct
        self.admitted: Admitted | None = None
        self.certificate_sha256 = ""
        self.unwanted: IsCancelled = never
        self.journal = Journal()
        self._at_work = False
        self._serving = threading.Lock()
        self._reader_serves = False
        self._news = threading.Event()
        self._one_message = threading.Lock()
        self.acse = NodeACSE(self)
        self.dul = FastDUL(self, self._news)
        self.dul.artim_timer.timeout = ae.acse_timeout
        self.dul._idle_timer.timeout = ae.network_timeout
        self.dimse = NodeDIMSE(self)
        self.dimse.msg_queue = NotifyingQueue(self._news.set)
        self.stream = stream
        self.set_socket(NodeSocket(self, stream))

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
    def holds_place(self) -> bool:
        """Tell whether it holds a place: established, or about to be."""
        return not (self.is_aborted or self.is_rejected or self.is_released)

    @property
    def is_configured(self) -> bool:
        """Tell whether the requestor is a configured peer."""
        return self.admitted is not None and self.admitted.peer is not None

    @property
    def party(self) -> tuple[str, str]:
        """Calling AE title and address, by which associations are counted."""
        return self.calling_ae_title, self.remote_address

    @property
    def idle_s(self) -> float:
        """Seconds without work: since anything came or was answered, 0 while a service runs.

        Inside a message it is what was waited for bytes: 0 at a decent rate, more for a peer that stalls
        or drips.
        """
        if self._at_work or not self.is_established:
            return 0.0
        if self.dul.receiving:
            return max(0.0, self.conduct.limits.message_deadline - self.stream.message_left_s)
        return float(self.dul.idle_s)

    @property
    def silent_s(self) -> float:
        """Seconds since anything came."""
        return self.dul.idle_s

    @property
    def gone(self) -> bool:
        """Tell whether the peer has aborted or vanished, or the association ended in any other way."""
        return not self.is_established or self.acse.is_aborted() or not self.dul.is_alive()

    def evict(self) -> None:
        """End it from outside, by an A-ABORT of the provider, without waiting for that.

        Where the thread that would send it is serving, the connection ends: to the peer both are an A-P-ABORT
        (PS3.8 AA-4).
        """
        self.acse.send_ap_abort(0x00)
        if self._reader_serves:
            self.stream.shut_down()
        self._news.set()

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
            return self.dul.send_pdus(*parts)

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

    def receive(self, sop_class_uid: str, sop_instance_uid: str, context_id: int) -> Reception:
        """Begin to receive the data set of a C-STORE request; of one that may not be, nothing is kept."""
        context = self._accepted_cx[context_id]
        refused = self._refusal(sop_class_uid, context) if self.is_acceptor else None
        origin = Origin(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=str(context.transfer_syntax[0]),
            calling_ae_title=self.calling_ae_title if self.is_acceptor else str(self.acceptor.ae_title),
            address=self.remote_address,
        )
        return Reception(self.conduct.sink, origin, refused)

    def take_store(self, request: StoreRequest, context_id: int) -> None:
        """Serve a C-STORE in the thread that read it; queue it where something else is under way.

        Handing it to the other thread costs more than serving it. Nothing that comes behind it needs reading
        meanwhile: a store is not cancelled, and a peer that does not wait for the answer is slowed down; one
        that never reads its answers is cut off after ``limits.message_deadline``.
        """
        if self.is_acceptor and self.is_established and self._serving.acquire(blocking=False):
            try:
                if self.dimse.msg_queue.empty():
                    self._reader_serves = True
                    self._serve_request(request, context_id)
                    return
            finally:
                self._reader_serves = False
                self._serving.release()
        self.dimse.msg_queue.put((context_id, request))

    def respond_to_store(
        self, request: StoreRequest, context_id: int, status: int, comment: str = ""
    ) -> None:
        """Send the C-STORE-RSP to *request*."""
        encoded = command.store_response(
            request.sop_class_uid, request.sop_instance_uid, request.message_id or 0, status, comment
        )
        self.send_message(context_id, encoded)

    def request_of(self, message: Any, context_id: int) -> "Request":
        """Return *message* with what its context says of it."""
        context = self._accepted_cx[context_id]
        return Request(message, context_id, context.abstract_syntax, context.transfer_syntax[0])

    def run_reactor(self) -> None:
        """Run pynetdicom's; whichever way it ends, messages nobody answers any more leave nothing."""
        try:
            super().run_reactor()
        except RuntimeError as error:
            if self._started_dul:
                raise
            LOGGER.warning("%s: no thread can be had for it: %s", self.name, error)
            self.stream.close()
        finally:
            self.abandon_messages()
            self.note_end()

    def note_end(self) -> None:
        """Write the one line that tells of this association."""
        if not self.journal.end():
            return
        ended = "released" if self.is_released else "rejected" if self.is_rejected else "aborted"
        remote = self.requestor if self.is_acceptor else self.acceptor
        who = {
            "association": self.journal.number,
            "direction": "in" if self.is_acceptor else "out",
            "peer": printable(remote.ae_title),
            "address": self.remote_address,
            "called": self.called_ae_title if self.is_acceptor else "",
            "contexts": f"{len(self._accepted_cx)}/{len(self._accepted_cx) + len(self._rejected_cx)}",
        }
        LOGGER.info(
            line(
                "association",
                who
                | self.journal.tally
                | {"end": ended, "reason": self.journal.reason, "s": self.journal.duration_s},
            )
        )

    def abandon_messages(self) -> None:
        """Leave no trace of data sets that were received and are not served."""
        with self.dimse.msg_queue.mutex:
            waiting = list(self.dimse.msg_queue.queue)
        for _, message in waiting:
            self._drop(message)

    def _run_reactor(self) -> None:
        """Serve until the association ends; the order of checks is pynetdicom's."""
        self._is_paused = False
        while not self._kill:
            self._is_paused = True
            self._reactor_checkpoint.wait()
            self._is_paused = False
            self._news.wait(max(0.0, self.dul._idle_timer.remaining))
            self._news.clear()
            with self._serving:
                while (queued := self.dimse.get_msg(block=False))[1] is not None:
                    self._serve_request(queued[1], queued[0])
            if self._has_ended():
                self.kill()
                return

    def _has_ended(self) -> bool:
        """Answer a release, notice an abort, a lost connection and too long a silence."""
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released = True
            self.is_established = False
        elif self.acse.is_aborted() or not self.dul.is_alive():
            self.is_aborted = True
            self.is_established = False
        elif self.dul.idle_timer_expired():
            LOGGER.info("%s: silent for limits.idle_deadline", self.name)
            self.acse.send_ap_abort(0x00)
        else:
            return False
        return True

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Give one request to ``serve``; what it raises is our own fault and ends the association."""
        if self._sent_release or self.gone:
            self._drop(msg)
            return
        if context_id not in self._accepted_cx or not msg.is_valid_request:
            LOGGER.warning("%s: a message that is no valid request", self.name)
            self._drop(msg)
            self._give_up()
            return
        self._is_paused = True
        self._at_work = True
        try:
            self.conduct.serve(self, self.request_of(msg, context_id))
        except Exception as error:  # what it says is left out: it may quote what the peer sent
            where = "".join(traceback.format_tb(error.__traceback__))
            LOGGER.error(
                "%s: %s in the service for %s\n%s", self.name, type(error).__name__, type(msg).__name__, where
            )
            self._give_up()
        finally:
            self._drop(msg)
            self._at_work = False
            self._is_paused = False
            self.dimse.cancel_req = {}
            self.dul._idle_timer.restart()

    def _give_up(self) -> None:
        """Abort; the upper layer's thread cannot wait for that, since it is the one that does it."""
        self.abort(block=threading.current_thread() is not self.dul)

    def _refusal(self, sop_class_uid: str, context: PresentationContext) -> MprScpError | None:
        """Return why *context* takes no instance of this class from the requestor (PS3.7 9.1.1.1.9).

        A sender that files one storage class under the context of another is taken at its data set's word.
        """
        if not self.may(*STORE_RIGHTS):
            return Refused(Code.NOT_AUTHORIZED, f"{self.calling_ae_title} lacks store", "it needs store")
        if context.as_scp and is_storage(context.abstract_syntax) and is_storage(sop_class_uid):
            return None
        return SOPClassNotSupported(f"the context for {context.abstract_syntax} takes nothing of this class")

    def _drop(self, message: Any) -> None:
        if isinstance(message, StoreRequest):
            message.reception.abandon()
