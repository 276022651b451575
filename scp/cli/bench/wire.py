"""One association from the calling side, as bare as it can be: PDUs made beforehand, written to a socket.

From about 1,500 objects/s on DCMTK's storescu is the bottleneck of what it measures, and any library of
objects sooner; this sender costs next to nothing. It speaks PS3.8 9.3 as far as a measurement needs it:
one presentation context, no negotiation of anything else, every surprise is ``PeerFailed``.
"""

import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pydicom.uid import ExplicitVRLittleEndian

from scp.cli.bench.servers import HOST, MAXIMUM_PDU
from scp.errors import PeerFailed
from scp.net import command

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_CLASS_UID = "2.25.251840021466413190338287018735230213478"

ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA, RELEASE_RQ, RELEASE_RP = 0x01, 0x02, 0x04, 0x05, 0x06
"""PDU types."""

MAXIMUM_LENGTH_ITEM = 0x51
LAST, COMMAND = 0x02, 0x01
"""Bits of a message control header (PS3.8 Annex E.2)."""

CALLING = "BENCH"
CONTEXT_ID = 1
TIMEOUT_S = 60.0
C_FIND_RQ = 0x0020
PENDING = (0xFF00, 0xFF01)

Message = tuple[int, bytes]
"""Status and data set of a response."""


class Association:
    """An association as *calling* with the *called* AE title on a port; released when the block ends."""

    def __init__(self, port: int, called: str, sop_class_uid: str, timeout_s: float = TIMEOUT_S) -> None:
        self.sop_class_uid = sop_class_uid
        self._socket = socket.create_connection((HOST, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.maximum_pdu = self._associate(called)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._socket.sendall(pdu(RELEASE_RQ, bytes(4)))
            if self._read_pdu()[0] != RELEASE_RP:
                raise PeerFailed("the release was not confirmed")
        self._socket.close()

    def store_pdus(self, sop_instance_uid: str, data_set: bytes) -> bytes:
        """Return a whole C-STORE request, cut as the other end takes it."""
        request = command.store_request(self.sop_class_uid, sop_instance_uid, 1)
        return message_pdus(request, data_set, self.maximum_pdu)

    def store(self, pdus: bytes) -> None:
        """Send one request that ``store_pdus`` made, and have its success. Raises ``PeerFailed``."""
        self._socket.sendall(pdus)
        status, _ = self._read_message()
        if status != 0x0000:
            raise PeerFailed(f"C-STORE is answered by 0x{status:04X}")

    def find(self, identifier: bytes) -> Iterator[bytes]:
        """Yield the identifiers of the answers of a C-FIND. Raises ``PeerFailed``."""
        request = command.encode(
            {
                command.AFFECTED_SOP_CLASS_UID: self.sop_class_uid,
                command.COMMAND_FIELD: C_FIND_RQ,
                command.MESSAGE_ID: 1,
                command.PRIORITY: 0,
                command.COMMAND_DATA_SET_TYPE: command.DATA_SET,
            }
        )
        self._socket.sendall(message_pdus(request, identifier, self.maximum_pdu))
        status, found = self._read_message()
        while status in PENDING:
            yield found
            status, found = self._read_message()
        if status != 0x0000:
            raise PeerFailed(f"C-FIND ends with 0x{status:04X}")

    def _associate(self, called: str) -> int:
        """Return the Maximum Length Received of the other end."""
        self._socket.sendall(associate_request(called, CALLING, self.sop_class_uid))
        kind, body = self._read_pdu()
        if kind != ASSOCIATE_AC:
            raise PeerFailed(f"{called} answers the association request by a PDU of type {kind}")
        return _maximum_length(body)

    def _read_message(self) -> Message:
        read, data_set, status, awaited = bytearray(), bytearray(), -1, {COMMAND}
        while awaited:
            kind, body = self._read_pdu()
            if kind != P_DATA:
                raise PeerFailed(f"a PDU of type {kind} comes where a response is awaited")
            for control, fragment in _fragments(body):
                (read if control & COMMAND else data_set).extend(fragment)
                if control & LAST:
                    awaited.discard(control & COMMAND)
                if control == COMMAND | LAST:
                    values = command.decode(read)
                    status = command.number(values, command.STATUS) or 0
                    if command.number(values, command.COMMAND_DATA_SET_TYPE) != command.NO_DATA_SET:
                        awaited.add(0)
        return status, bytes(data_set)

    def _read_pdu(self) -> tuple[int, bytes]:
        head = self._read(6)
        return head[0], self._read(struct.unpack_from(">L", head, 2)[0])

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self._socket.recv(length - len(data))
            if not part:
                raise PeerFailed("the connection was closed")
            data += part
        return bytes(data)


def associate_request(called: str, calling: str, sop_class_uid: str) -> bytes:
    """Return an A-ASSOCIATE-RQ (PS3.8 9.3.2) that proposes one class in Explicit VR Little Endian."""
    syntaxes = _item(0x30, sop_class_uid.encode()) + _item(0x40, ExplicitVRLittleEndian.encode())
    maximum_length = _item(MAXIMUM_LENGTH_ITEM, struct.pack(">L", MAXIMUM_PDU))
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    body += _item(0x10, APPLICATION_CONTEXT.encode())
    body += _item(0x20, bytes([CONTEXT_ID, 0, 0, 0]) + syntaxes)
    body += _item(0x50, maximum_length + _item(0x52, IMPLEMENTATION_CLASS_UID.encode()))
    return pdu(ASSOCIATE_RQ, body)


def message_pdus(command_set: bytes, data_set: bytes, maximum_pdu: int) -> bytes:
    """Return a message as P-DATA-TF PDUs, the command in one of its own."""
    size = (maximum_pdu or MAXIMUM_PDU) - 6
    parts = [_p_data(COMMAND | LAST, command_set)]
    for at in range(0, len(data_set), size):
        last = LAST if at + size >= len(data_set) else 0
        parts.append(_p_data(last, data_set[at : at + size]))
    return b"".join(parts)


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxL", kind, len(body)) + body


def _p_data(control: int, fragment: bytes) -> bytes:
    return pdu(P_DATA, struct.pack(">LBB", len(fragment) + 2, CONTEXT_ID, control) + fragment)


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _fragments(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(body):
        (length,) = struct.unpack_from(">L", body, at)
        yield body[at + 5], body[at + 6 : at + 4 + length]
        at += 4 + length


def _items(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(body):
        kind, length = struct.unpack_from(">BxH", body, at)
        yield kind, body[at + 4 : at + 4 + length]
        at += 4 + length


def _maximum_length(accept: bytes) -> int:
    """Return the Maximum Length Received of an A-ASSOCIATE-AC (PS3.8 D.1). Raises ``PeerFailed``."""
    length = 0
    for kind, item in _items(accept[68:]):
        if kind == 0x21 and item[2] != 0:
            raise PeerFailed("the presentation context was not accepted")
        if kind == 0x50:
            found = dict(_items(item)).get(MAXIMUM_LENGTH_ITEM, bytes(4))
            (length,) = struct.unpack(">L", found)
    return length
