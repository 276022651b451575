"""A connected socket as a buffered byte stream with deadlines and a wake-up.

Under ``net.transport``, above the kernel; knows nothing of DICOM. One thread reads, any thread writes: the
socket never blocks, waiting is done by ``poll``, so a reader can be woken, a whole write is one unit, and
TLS, whose state reads and writes share, is touched by one thread at a time. Deadlines are totals: a message
has a number of seconds plus what has come of it at 64 KiB/s, so neither silence nor dripping holds a stream.
"""

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator

BUFFER_BYTES = 256 << 10
"""Larger than any A-ASSOCIATE-RQ that is read, and than the greatest usual PDU."""

MINIMUM_BYTES_PER_S = 64 << 10
"""A message that comes slower than this runs out of its deadline."""

KEEPALIVE_IDLE_S = 30
KERNEL_LATER_S = 5.0
LONGEST_USER_TIMEOUT_MS = 2**31 - 1

WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_NOTHING = contextlib.nullcontext()


class StreamLost(OSError):
    """The connection is closed, broken, or was interrupted from this side."""


class StreamTimeout(TimeoutError):
    """A deadline passed."""


class Stream:
    """See the module. *stall_s*: how long a write may make no progress."""

    def __init__(self, connection: socket.socket, *, stall_s: float = 30.0) -> None:
        self.connection = connection
        self.stall_s = stall_s
        self._tls = isinstance(connection, ssl.SSLSocket)
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = 0
        self._end = 0
        self._expires = float("inf")
        self._earned_s = 0.0
        self._closed = False
        self._interrupted = False
        self._writing = threading.Lock()
        self._waking = threading.Lock()
        self._touching = threading.Lock() if self._tls else _NOTHING
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)
        self._readable = select.poll()
        self._readable.register(self._woken, select.POLLIN)
        self._readable.register(connection, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(connection, select.POLLOUT)
        connection.setblocking(False)
        tune(connection, stall_s)

    @property
    def buffered(self) -> int:
        """Bytes that can be read without waiting."""
        return self._end - self._start

    def begin_message(self, seconds: float, *, dripping: bool = True) -> None:
        """Let reads from now on raise ``StreamTimeout`` after *seconds*.

        What comes of the message earns it more time, unless *dripping* is not allowed.
        """
        self._expires = time.monotonic() + seconds
        self._earned_s = 1 / MINIMUM_BYTES_PER_S if dripping else 0.0

    @property
    def message_left_s(self) -> float:
        """Seconds until the deadline of the message, infinite where none is under way."""
        return self._expires - time.monotonic()

    def end_message(self) -> None:
        self._expires = float("inf")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return ``True`` when bytes (or the end) can be read, ``False`` when woken or *timeout_s* passed.

        Raises ``StreamTimeout`` when the message's deadline passes first.
        """
        if self.buffered or (self._tls and self._pending()):
            return True
        left = self._expires - time.monotonic()
        if left <= 0:
            raise StreamTimeout("the deadline of the message passed")
        bounds = [bound for bound in (timeout_s, left) if bound is not None and bound != float("inf")]
        readable = self._poll_readable(min(bounds, default=None))
        # What TLS has to read may be none of ours: session tickets, key updates.
        return self._receive() if readable and self._tls else readable

    def wake(self) -> None:
        """End a wait; it may be one that has not begun."""
        with self._waking, contextlib.suppress(BlockingIOError):
            if not self._closed:  # the number of the descriptor may be somebody else's by now
                os.write(self._wake, b"\0")

    def interrupt(self) -> None:
        """Let reads that wait raise ``StreamLost``, now and from now on."""
        self._interrupted = True
        self.wake()

    def peek(self, size: int) -> memoryview:
        """Return the next *size* bytes (at most the buffer) without taking them; raises as ``read``."""
        while self.buffered < size:
            self._fill()
        return self._buffer[self._start : self._start + size]

    def read(self, size: int) -> bytearray:
        """Take *size* bytes. Raises ``StreamLost`` and ``StreamTimeout``."""
        taken = bytearray()
        for fragment in self.fragments(size):
            taken += fragment
        return taken

    def fragments(self, size: int) -> Iterator[memoryview]:
        """Take *size* bytes as they come; each fragment is valid until the next is asked for."""
        while size:
            if not self.buffered:
                self._fill()
            taken = min(size, self.buffered)
            fragment = self._buffer[self._start : self._start + taken]
            self._start += taken
            size -= taken
            yield fragment

    def discard_until_end(self, seconds: float) -> None:
        """Read and drop what comes until the other side closes, at most for *seconds*.

        A socket that is closed with unread bytes resets the connection, and what was sent last is lost.
        """
        self._interrupted = False
        ends = time.monotonic() + seconds
        self.begin_message(seconds, dripping=False)
        with contextlib.suppress(OSError):
            while time.monotonic() < ends:
                self._start = self._end
                self._fill()

    def write(self, *parts: bytes | bytearray | memoryview) -> None:
        """Send all *parts* as one unit. Raises ``StreamLost``, ``StreamTimeout`` when nothing moves."""
        data = memoryview(parts[0] if len(parts) == 1 else b"".join(parts))
        with self._writing:
            while data:
                data = data[self._send(data) :]

    def shut_down(self) -> None:
        """End both directions and wake the threads that wait. The descriptors stay open until ``close``."""
        shut_down(self.connection)
        self.interrupt()

    def close(self) -> None:
        """Give the descriptors back; only the reading thread may, when it is through."""
        self.shut_down()
        with self._writing, self._waking:
            if not self._closed:
                self._closed = True
                self.connection.close()
                os.close(self._woken)
                os.close(self._wake)

    def _fill(self) -> None:
        """Wait for bytes and append at least one to the buffer."""
        if self._start:
            left = self.buffered
            self._buffer[:left] = bytes(self._buffer[self._start : self._end]) if left else b""
            self._start, self._end = 0, left
        while not self._receive():
            self._await_bytes()

    def _receive(self) -> bool:
        """Append what is there to the buffer, and tell whether it was anything. Raises ``StreamLost``."""
        if self._interrupted or self._closed:
            raise StreamLost("the connection was closed on this side")
        try:
            with self._touching:
                received = self.connection.recv_into(self._buffer[self._end :])
        except ssl.SSLWantWriteError:
            self._writable.poll(1000)
            return False
        except WOULD_BLOCK:
            return False
        except OSError as error:
            raise StreamLost(f"the connection broke: {error}") from error
        if not received:
            raise StreamLost("the other side closed the connection")
        self._end += received
        self._expires += received * self._earned_s
        return True

    def _await_bytes(self) -> None:
        left = self._expires - time.monotonic()
        if left <= 0:
            raise StreamTimeout("the deadline of the message passed")
        self._poll_readable(None if left == float("inf") else left)

    def _poll_readable(self, timeout_s: float | None) -> bool:
        with contextlib.suppress(OSError):  # the kernel resets the option, so it is set before each wait
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        try:
            events = self._readable.poll(None if timeout_s is None else max(0, round(timeout_s * 1000 + 0.5)))
        except (OSError, ValueError) as error:
            raise StreamLost(f"the connection broke: {error}") from error
        ready = False
        for descriptor, _ in events:
            if descriptor == self._woken:
                with contextlib.suppress(OSError):
                    os.read(self._woken, 4096)
            else:
                ready = True
        return ready

    def _send(self, data: memoryview) -> int:
        stalled = time.monotonic() + self.stall_s
        while True:
            if self._closed:
                raise StreamLost("the connection was closed on this side")
            try:
                with self._touching:
                    return self.connection.send(data)
            except WOULD_BLOCK:
                left = stalled - time.monotonic()
                if left <= 0:
                    raise StreamTimeout(f"nothing could be sent for {self.stall_s:g} s") from None
                # TLS may want to read first; the reading thread does that, so look again soon.
                self._writable.poll(round(1000 * (min(left, 0.05) if self._tls else left)))
            except OSError as error:
                raise StreamLost(f"the connection broke: {error}") from error

    def _pending(self) -> int:
        assert isinstance(self.connection, ssl.SSLSocket)
        with self._touching:
            return self.connection.pending()


def shut_down(connection: socket.socket) -> None:
    """End both directions of *connection*, from any thread; reads and writes of other threads end, too.

    Under TLS only the TCP connection is shut down: ``SSLSocket.shutdown`` drops the TLS layer first, and what
    another thread writes at that moment would go out unencrypted.
    """
    with contextlib.suppress(OSError, ValueError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def tune(connection: socket.socket, stall_s: float) -> None:
    """Send small PDUs at once, and notice hosts that vanish.

    TCP_USER_TIMEOUT also counts how long a living peer takes nothing (tcp(7)), so it follows *stall_s*, by
    which a write gives up; a little later, because a write can say why.
    """
    user_timeout_ms = round(1000 * (stall_s + KERNEL_LATER_S))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_NODELAY, 1),
        (socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S),
        (socket.TCP_KEEPINTVL, 10),
        (socket.TCP_KEEPCNT, 3),
        (socket.TCP_USER_TIMEOUT, min(user_timeout_ms, LONGEST_USER_TIMEOUT_MS)),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
