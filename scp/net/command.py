"""Command sets of C-STORE and of C-FIND answers, read and written by hand.

A command set is group 0000 in Implicit VR Little Endian (PS3.7 6.3.1). pynetdicom does every other message;
decoding and encoding one by pydicom takes half a millisecond, which is most of what an instance or an answer
costs.
"""

import struct
from collections.abc import Mapping

AFFECTED_SOP_CLASS_UID = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
PRIORITY = 0x0700
COMMAND_DATA_SET_TYPE = 0x0800
STATUS = 0x0900
OFFENDING_ELEMENT = 0x0901
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE_UID = 0x1000
MOVE_ORIGINATOR_AE_TITLE = 0x1030
MOVE_ORIGINATOR_MESSAGE_ID = 0x1031

C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
C_FIND_RSP = 0x8020

DATA_SET = 0x0001
NO_DATA_SET = 0x0101

_HEADER = struct.Struct("<HHL")
_US = struct.Struct("<H")


class MalformedCommand(ValueError):
    """The bytes are no command set."""


def decode(encoded: bytes | bytearray) -> dict[int, bytes]:
    """Return the values as they lie there, by element number in group 0000. Raises ``MalformedCommand``."""
    values: dict[int, bytes] = {}
    at = 0
    while at < len(encoded):
        if at + _HEADER.size > len(encoded):
            raise MalformedCommand("the command set ends inside an element")
        group, element, length = _HEADER.unpack_from(encoded, at)
        at += _HEADER.size
        if group != 0 or at + length > len(encoded):
            raise MalformedCommand(f"({group:04X},{element:04X}) of {length} bytes does not belong here")
        values[element] = bytes(encoded[at : at + length])
        at += length
    return values


def number(values: Mapping[int, bytes], element: int) -> int | None:
    """Return a US value, ``None`` where it is absent or no number."""
    value = values.get(element, b"")
    return int(_US.unpack(value)[0]) if len(value) == 2 else None


def text(values: Mapping[int, bytes], element: int) -> str:
    """Return a UI, AE or LO value without its padding, ``""`` where absent."""
    return values.get(element, b"").decode("ascii", "replace").strip(" \0")


def encode(values: Mapping[int, int | str | bytes]) -> bytes:
    """Return a command set, Command Group Length (0000,0000) first; empty values are left out."""
    body = b"".join(
        _element(element, value) for element, value in sorted(values.items()) if value not in ("", b"")
    )
    return _HEADER.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def _element(element: int, value: int | str | bytes) -> bytes:
    if isinstance(value, bytes):
        return _HEADER.pack(0, element, len(value)) + value
    if isinstance(value, int):
        return _HEADER.pack(0, element, 2) + _US.pack(value)
    padding = "\0" if element in (AFFECTED_SOP_CLASS_UID, AFFECTED_SOP_INSTANCE_UID) else " "
    encoded = (value + padding if len(value) % 2 else value).encode("ascii", "replace")
    return _HEADER.pack(0, element, len(encoded)) + encoded


def store_request(
    sop_class_uid: str,
    sop_instance_uid: str,
    message_id: int,
    *,
    originator_ae_title: str = "",
    originator_message_id: int = 0,
) -> bytes:
    """Return the command set of a C-STORE-RQ (PS3.7 9.3.1.1), priority medium."""
    values: dict[int, int | str | bytes] = {
        AFFECTED_SOP_CLASS_UID: sop_class_uid,
        COMMAND_FIELD: C_STORE_RQ,
        MESSAGE_ID: message_id,
        PRIORITY: 0,
        COMMAND_DATA_SET_TYPE: DATA_SET,
        AFFECTED_SOP_INSTANCE_UID: sop_instance_uid,
    }
    if originator_ae_title:
        values[MOVE_ORIGINATOR_AE_TITLE] = originator_ae_title
        values[MOVE_ORIGINATOR_MESSAGE_ID] = originator_message_id
    return encode(values)


def store_response(
    sop_class_uid: str, sop_instance_uid: str, message_id: int, status: int, error_comment: str = ""
) -> bytes:
    """Return the command set of a C-STORE-RSP (PS3.7 9.3.1.2)."""
    return encode(
        {
            AFFECTED_SOP_CLASS_UID: sop_class_uid,
            COMMAND_FIELD: C_STORE_RSP,
            MESSAGE_ID_BEING_RESPONDED_TO: message_id,
            COMMAND_DATA_SET_TYPE: NO_DATA_SET,
            STATUS: status,
            ERROR_COMMENT: error_comment,
            AFFECTED_SOP_INSTANCE_UID: sop_instance_uid,
        }
    )


def find_response(
    sop_class_uid: str,
    message_id: int,
    status: int,
    error_comment: str = "",
    offending_element: int = 0,
    *,
    has_identifier: bool,
) -> bytes:
    """Return the command set of a C-FIND-RSP (PS3.7 9.3.2.2)."""
    offending = struct.pack("<HH", offending_element >> 16, offending_element & 0xFFFF)
    return encode(
        {
            AFFECTED_SOP_CLASS_UID: sop_class_uid,
            COMMAND_FIELD: C_FIND_RSP,
            MESSAGE_ID_BEING_RESPONDED_TO: message_id,
            COMMAND_DATA_SET_TYPE: DATA_SET if has_identifier else NO_DATA_SET,
            STATUS: status,
            OFFENDING_ELEMENT: offending if offending_element else b"",
            ERROR_COMMENT: error_comment,
        }
    )
