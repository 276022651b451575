"""What the log tells of those who come to the wrong port."""

import socket
import ssl

import pytest

from scp.net.gate import TurnedAway, pass_gate
from tests.net.nodes import tcp_pair

CLIENT_HELLO = bytes.fromhex("16030100c8010000c4")
PLAIN_REQUEST = bytes.fromhex("0100000000ce00010000")


def turned_away(first_bytes: bytes, tls: ssl.SSLContext | None = None) -> str:
    ours, theirs = tcp_pair()
    if tls is not None:
        ours = tls.wrap_socket(ours, server_side=True, do_handshake_on_connect=False)
    with ours, theirs:
        theirs.sendall(first_bytes)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(TurnedAway) as caught:
            pass_gate(ours, 10.0)
    return str(caught.value)


def test_who_speaks_tls_to_the_plain_port_is_told_apart_from_garbage() -> None:
    assert turned_away(CLIENT_HELLO) == "TLS instead of an A-ASSOCIATE-RQ"
    assert turned_away(b"GET / HTTP/1.1").startswith("a PDU of type 0x47 and ")


def test_who_speaks_no_tls_to_the_port_with_tls_is_told_in_words() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert turned_away(PLAIN_REQUEST, context) == "TLS handshake: the other end does not speak TLS"
