"""The gate: what a fresh connection must do before anything is built for it.

One cheap thread per connection does the TLS handshake and reads the whole A-ASSOCIATE-RQ, at most 128 KiB,
under one deadline; only then does an association come to be. Without it one silent client, half a PDU or a
port scanner would hold what good peers need. Silence is answered by closing (PS3.8 AA-2), another PDU than an
A-ASSOCIATE-RQ by an A-ABORT of source 0 (AA-1).
"""

import contextlib
import hashlib
import socket
import ssl
import struct
import time
from dataclasses import dataclass

from scp.net.stream import Stream
from scp.net.tls import failure_text
from scp.net.transport import ABORT_BY_USER

A_ASSOCIATE_RQ = 0x01
TLS_HANDSHAKE = 0x16
"""First byte from a client that speaks TLS to this port (RFC 8446 5.1)."""

MAXIMUM_REQUEST_BYTES = 128 << 10

_HEADER = struct.Struct(">BxL")


class TurnedAway(Exception):
    """A connection that did not get through the gate; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A stream whose next bytes are a whole A-ASSOCIATE-RQ; *certificate_sha256*: hex, empty without TLS."""

    stream: Stream
    certificate_sha256: str = ""


def pass_gate(connection: socket.socket, deadline_s: float, *, stall_s: float = 30.0) -> Arrived:
    """Return the connection when its request is there. Raises ``TurnedAway``, and has closed it then.

    The handshake of a connection that is wrapped in TLS is done here, too.
    """
    ends = time.monotonic() + deadline_s
    stream: Stream | None = None
    try:
        fingerprint = ""
        if isinstance(connection, ssl.SSLSocket):
            _shake_hands(connection, deadline_s)
            fingerprint = _fingerprint(connection)
        stream = Stream(connection, stall_s=stall_s)
        _await_request(stream, ends - time.monotonic())
    except (OSError, TurnedAway) as error:
        if stream is not None:
            stream.close()
        connection.close()
        raise TurnedAway(str(error)) from error
    return Arrived(stream, fingerprint)


def _shake_hands(connection: ssl.SSLSocket, deadline_s: float) -> None:
    connection.settimeout(deadline_s)  # of the whole handshake: ssl counts it as one operation
    try:
        connection.do_handshake()
    except (OSError, ValueError) as error:
        raise TurnedAway(f"TLS handshake: {failure_text(error)}") from error


def _fingerprint(connection: ssl.SSLSocket) -> str:
    return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()


def _await_request(stream: Stream, deadline_s: float) -> None:
    """Read until the whole A-ASSOCIATE-RQ is buffered."""
    ends = time.monotonic() + deadline_s
    stream.begin_message(deadline_s, dripping=False)
    kind, length = _HEADER.unpack(stream.peek(_HEADER.size))
    if kind != A_ASSOCIATE_RQ or length > MAXIMUM_REQUEST_BYTES:
        with contextlib.suppress(OSError):
            stream.write(ABORT_BY_USER)
            stream.discard_until_end(min(1.0, max(0.0, ends - time.monotonic())))
        came = "TLS" if kind == TLS_HANDSHAKE else f"a PDU of type 0x{kind:02X} and {length} bytes"
        raise TurnedAway(f"{came} instead of an A-ASSOCIATE-RQ")
    stream.peek(_HEADER.size + length)
    stream.end_message()
