"""pynetdicom's transport and its threads, waiting instead of looking every millisecond.

As they come, each association asks its socket and its queues a thousand times a second, reads 4 KiB at a time
without a deadline, and ends a kill only when the peer lets it. Seams (pynetdicom 3.0, each held by a test):

====================================  =======================================================
``AssociationSocket``                 ``ready``, ``recv``, ``send``, ``close`` over ``net.stream``
``DULServiceProvider`` queues         a ``put`` wakes the thread that waits for it
``DULServiceProvider.kill_dul``,      wake the thread and wait for its end
``stop_dul``
``DULServiceProvider.run_reactor``    its descriptors are given back when it ends
``DULServiceProvider.receive_pdu``     ends when nobody wants the association any more
``StateMachine.do_action``             whoever takes what it issued sees the state that it led to
``Timer``                             the monotonic clock
====================================  =======================================================
"""

import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import StateMachine
from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.timer import Timer
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from scp.net.stream import Stream, StreamTimeout

LOGGER = logging.getLogger(__name__)

LINGER_S = 0.5
"""How long the peer may take to close after our last PDU (PS3.8 Sta13)."""

LOOK_EVERY_S = 0.2
"""How soon it is seen that nobody wants an association any more."""

AWAITING_REQUEST = "Sta2"
AWAITING_CLOSE = "Sta13"

ABORT_BY_USER = bytes((0x07, 0, 0, 0, 0, 4, 0, 0, 0, 0))
ABORT_BY_PROVIDER = bytes((0x07, 0, 0, 0, 0, 4, 0, 0, 2, 0))
"""A-ABORT PDUs, by their source (PS3.8 9.3.8)."""


class NotifyingQueue(queue.Queue[Any]):
    """A queue that calls *notify* after each ``put``."""

    def __init__(self, notify: Callable[[], None]) -> None:
        super().__init__()
        self._notify = notify

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._notify()


class NodeSocket(AssociationSocket):  # type: ignore[misc]
    """A connected stream as the state machine wants it: an acceptor's, or a requestor's that is through."""

    def __init__(self, association: Any, stream: Stream) -> None:
        self._assoc = association
        self.stream = stream
        self.socket: socket.socket | None = stream.connection
        self._is_connected = True
        self._ready = threading.Event()
        self._ready.set()
        self._tls_args = None
        if association.is_acceptor:
            self.event_queue.put("Evt5")

    def connect(self, primitive: T_CONNECT) -> None:
        """Confirm the connection that is already there (PS3.8 Evt2)."""
        local = self.stream.connection.getsockname()
        self._assoc.requestor.address_info = AddressInformation.from_tuple(local)
        primitive.result = "Evt2"
        self.provider_queue.put(primitive)

    @property
    def ready(self) -> bool:
        """Wait until bytes can be read, a queue has something or a timer is due; tell whether it is bytes."""
        if self.socket is None:
            return False
        dul = self._assoc.dul
        if dul.state_machine.current_state == AWAITING_CLOSE:
            self.stream.discard_until_end(LINGER_S)
            return False
        if dul.has_work:
            return False
        try:
            return self.stream.wait(dul.artim_remaining_s)
        except StreamTimeout as error:
            LOGGER.warning("%s: %s", self._assoc.name, error)
            self.event_queue.put("Evt19")
        except OSError:
            self.event_queue.put("Evt17")
        return False

    def recv(self, nr_bytes: int) -> bytearray:
        """Return all *nr_bytes*. Raises ``OSError``."""
        return self.stream.read(nr_bytes)

    def send(self, bytestream: bytes) -> None:
        """Send one PDU whole, or end the association."""
        self.write(bytestream)

    def write(self, *parts: bytes | bytearray | memoryview) -> bool:
        """Send *parts* as one unit and tell whether that worked; if not, the association ends (Evt17)."""
        try:
            self.stream.write(*parts)
        except OSError as error:
            LOGGER.info("%s: %s", self._assoc.name, error)
            self.stream.shut_down()
            self.event_queue.put("Evt17")
            return False
        return True

    def close(self) -> None:
        """End the connection (Evt17); ``WakingDUL`` gives the descriptors back."""
        if self.socket is None:
            return
        self._shutdown_socket()
        self.socket = None
        self._is_connected = False
        self.event_queue.put("Evt17")

    def _shutdown_socket(self) -> None:
        self.stream.shut_down()


class MonotonicTimer(Timer):  # type: ignore[misc]
    """A timer that a change of the clock does not touch."""

    _start_time: float | None
    _end_time: float | None

    def start(self) -> None:
        self._start_time = time.monotonic()
        self._end_time = None

    def stop(self) -> None:
        self._end_time = time.monotonic()

    @property
    def running_s(self) -> float:
        """Seconds since it was started, 0 where it never was."""
        return 0.0 if self._start_time is None else time.monotonic() - self._start_time

    @property
    def remaining(self) -> float:
        if self.timeout is None:
            return 1.0
        if self._start_time is None:
            return float(self.timeout)
        ends = time.monotonic() if self._end_time is None else self._end_time
        return float(self.timeout - (ends - self._start_time))


class SettlingMachine(StateMachine):  # type: ignore[misc]
    """A state machine that holds :attr:`acting` until an action has led to its state.

    An action issues its primitive before that: a requestor that is told of its association would send in a
    state in which nothing goes out.
    """

    def __init__(self, dul: DULServiceProvider) -> None:
        super().__init__(dul)
        self.acting = threading.Lock()

    def do_action(self, event: str) -> None:
        with self.acting:
            super().do_action(event)


class WakingDUL(DULServiceProvider):  # type: ignore[misc]
    """The upper layer's thread, asleep until something happens."""

    socket: NodeSocket | None
    _idle_timer: MonotonicTimer
    artim_timer: MonotonicTimer

    def __init__(self, association: Any, news: threading.Event) -> None:
        super().__init__(association)
        self.daemon = True
        self._run_loop_delay = 0
        self.state_machine = SettlingMachine(self)
        self._idle_timer = MonotonicTimer(self._idle_timer.timeout)
        self.artim_timer = MonotonicTimer(self.artim_timer.timeout)
        self.event_queue = NotifyingQueue(self.wake)
        self.to_provider_queue = NotifyingQueue(self.wake)
        self.to_user_queue = NotifyingQueue(news.set)

    @property
    def has_work(self) -> bool:
        """Tell whether the loop has something to do before it may wait."""
        return self._kill_thread or not (self.event_queue.empty() and self.to_provider_queue.empty())

    @property
    def idle_s(self) -> float:
        """Seconds since something came."""
        return float(self._idle_timer.running_s)

    @property
    def artim_remaining_s(self) -> float | None:
        """Return when the ARTIM timer is due, ``None`` where it does not run."""
        timer = self.artim_timer
        running = timer._start_time is not None and timer._end_time is None
        return max(0.0, timer.remaining) if running else None

    def wake(self) -> None:
        if self.socket is not None:
            self.socket.stream.wake()

    def interrupt(self) -> None:
        """End a read that waits for the rest of a PDU."""
        if self.socket is not None:
            self.socket.stream.interrupt()

    def kill_dul(self) -> None:
        super().kill_dul()
        self.wake()

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> Any:
        """Return the next primitive, ``None`` where none came in time or nobody wants it any more."""
        ends = time.monotonic() + (float("inf") if timeout is None else timeout)
        while wait and not self.assoc.unwanted() and (left := ends - time.monotonic()) > 0:
            primitive = super().receive_pdu(wait=True, timeout=min(LOOK_EVERY_S, left))
            if primitive is not None:
                with self.state_machine.acting:
                    return primitive
        return super().receive_pdu()

    def stop_dul(self) -> bool:
        """End the thread if nothing is under way, and wait for that."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        if threading.current_thread() is not self:
            self.join(LINGER_S)
        return True

    def run_reactor(self) -> None:
        """Run pynetdicom's loop; whichever way it ends, the descriptors are given back.

        An event that the state has no transition for, and values of a request that pynetdicom finds no
        place for, raise there: both are the peer's fault (PS3.8 AA-1, AA-8).
        """
        try:
            super().run_reactor()
        except Exception as error:
            LOGGER.info("%s: aborted, %s", self.assoc.name, type(error).__name__)
            if self.socket is not None:
                before = self.state_machine.current_state == AWAITING_REQUEST
                self.socket.write(ABORT_BY_USER if before else ABORT_BY_PROVIDER)
            self.assoc.is_aborted, self.assoc.is_established = True, False
        finally:
            self.ended()

    def ended(self) -> None:
        """Clean up as the thread ends, and wake the threads that still wait for a primitive or a message."""
        if self.socket is not None:
            self.socket.stream.close()
        abort = A_P_ABORT()
        abort.provider_reason = 0x00
        self.to_user_queue.put(abort)
        self.assoc.dimse.msg_queue.put((None, None))
