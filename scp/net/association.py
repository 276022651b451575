"""The threads of one association: pynetdicom's, with our services in place of its handlers.

Seams (each held by a test): ``Association._serve_request`` gives a request to ``serve`` instead of a service
class, so that private storage classes work like any other and a retrieve runs our own loop;
``Association._run_reactor`` waits for news instead of looking every millisecond, and counts idle time from
the end of the last service. Negotiation is ``net.acse``'s; the state machine, ACSE and DIMSE messages (PS3.7,
PS3.8) stay pynetdicom's.
"""

import logging
import threading
import traceback
from typing import Any

from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse import DIMSEServiceProvider

from scp.net.acse import NodeACSE
from scp.net.dialogue import Conduct, Dialogue
from scp.net.fastpath import FastDUL
from scp.net.journal import line, printable
from scp.net.messages import StoreRequest
from scp.net.stream import Stream
from scp.net.transport import NodeSocket, NotifyingQueue

LOGGER = logging.getLogger(__name__)

# pynetdicom logs identifiers, which are patient data, and bytes as a peer sent them; we log in our own words.
_config.LOG_HANDLER_LEVEL = "none"
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


class NodeDIMSE(DIMSEServiceProvider):  # type: ignore[misc]
    """Sends to a peer that named no maximum length, too: it takes PDUs of any (PS3.7 D.3.3.1)."""

    @property
    def maximum_pdu_size(self) -> int:
        return super().maximum_pdu_size or 0


class NodeAssociation(Dialogue):
    """An association of this node, in either mode; see the module."""

    def __init__(self, ae: ApplicationEntity, mode: str, conduct: Conduct, stream: Stream) -> None:
        super().__init__(ae, mode, conduct)
        self._at_work = False
        self._serving = threading.Lock()
        self._reader_serves = False
        self._news = threading.Event()
        self.acse = NodeACSE(self)
        self.dul = FastDUL(self, self._news)
        self.dul.artim_timer.timeout = ae.acse_timeout
        self.dul._idle_timer.timeout = ae.network_timeout
        self.dimse = NodeDIMSE(self)
        self.dimse.msg_queue = NotifyingQueue(self._news.set)
        self.stream = stream
        self.set_socket(NodeSocket(self, stream))

    @property
    def holds_place(self) -> bool:
        """Tell whether it holds a place: established, or about to be."""
        return not (self.is_aborted or self.is_rejected or self.is_released)

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

    def evict(self) -> None:
        """End it from outside, by an A-ABORT of the provider, without waiting for that.

        Where the thread that would send it is serving, the connection ends: to the peer both are an A-P-ABORT
        (PS3.8 AA-4).
        """
        self.acse.send_ap_abort(0x00)
        if self._reader_serves:
            self.stream.shut_down()
        self._news.set()

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
        super().take_store(request, context_id)

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

    def _drop(self, message: Any) -> None:
        if isinstance(message, StoreRequest):
            message.reception.abandon()
