"""A message as P-DATA-TF PDUs, as many of them in one piece as fit (PS3.8 9.3.5, Annex E).

Each write costs a system call here and wakes the receiver there, so a CT image goes out in one. A piece is
made where it is sent from: the file is read to its place between the headers. Nothing is decoded here.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

P_DATA_TF = 0x04
IS_COMMAND = 0x01
IS_LAST = 0x02

PIECE_BYTES = 1 << 20

PDU_AND_PDV_HEADER = struct.Struct(">BxLLBB")


def pdus(context_id: int, command_set: bytes, data_set: bytes, most: int) -> Iterator[bytes]:
    """Yield, to be joined, the PDUs of a message that lies in memory; *most* as for ``pieces``."""

    def header(control: int, size: int) -> bytes:
        return PDU_AND_PDV_HEADER.pack(P_DATA_TF, size + 6, size + 2, context_id, control)

    yield header(IS_COMMAND | IS_LAST, len(command_set))
    yield command_set
    for at in range(0, len(data_set), most):
        fragment = data_set[at : at + most]
        yield header(IS_LAST if at + most >= len(data_set) else 0, len(fragment))
        yield fragment


def pieces(
    context_id: int, command_set: bytes, data_set: BinaryIO, length: int, most: int, room: memoryview
) -> Iterator[memoryview]:
    """Yield the PDUs of a command set and of the *length* bytes (may be 0) that are read from *data_set*.

    No fragment of the data set is longer than *most* bytes. A piece lies in *room*, which has space for the
    command set and two headers at least, until the next is asked for. Raises ``OSError``, also where
    *data_set* is shorter than *length*.
    """
    filled = _put_header(room, context_id, IS_COMMAND | IS_LAST, len(command_set))
    room[filled : filled + len(command_set)] = command_set
    filled += len(command_set)
    while length:
        size = min(most, length, len(room) - PDU_AND_PDV_HEADER.size)
        if filled + PDU_AND_PDV_HEADER.size + size > len(room):
            yield room[:filled]
            filled = 0
        length -= size
        filled += _put_header(room[filled:], context_id, 0 if length else IS_LAST, size)
        _read(data_set, room[filled : filled + size])
        filled += size
    yield room[:filled]


def command_pdu(context_id: int, command_set: bytes) -> bytes:
    """Return the one PDU of a message that has no data set."""
    size = len(command_set)
    return (
        PDU_AND_PDV_HEADER.pack(P_DATA_TF, size + 6, size + 2, context_id, IS_COMMAND | IS_LAST) + command_set
    )


def _put_header(room: memoryview, context_id: int, control: int, size: int) -> int:
    PDU_AND_PDV_HEADER.pack_into(room, 0, P_DATA_TF, size + 6, size + 2, context_id, control)
    return PDU_AND_PDV_HEADER.size


def _read(data_set: BinaryIO, room: memoryview) -> None:
    while room:
        taken = data_set.readinto(room)  # type: ignore[attr-defined]  # files and BytesIO have it
        if not taken:
            raise OSError("the file is shorter than it was")
        room = room[taken:]
