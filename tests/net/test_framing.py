"""What a message is cut into is legal, whole, and reaches the other side as it was (PS3.8 9.3.5, Annex E)."""

import struct
from io import BytesIO

import pytest

from scp.net.framing import IS_COMMAND, IS_LAST, P_DATA_TF, pieces

COMMAND = b"command set"


def fragments(encoded: bytes) -> list[tuple[int, int, bytes]]:
    """Take P-DATA-TF PDUs of one fragment each apart: context id, control header, fragment."""
    found = []
    while encoded:
        kind, pdu_bytes, pdv_bytes, context_id, control = struct.unpack_from(">BxLLBB", encoded)
        assert (kind, pdu_bytes) == (P_DATA_TF, pdv_bytes + 4)
        found.append((context_id, control, encoded[12 : 6 + pdu_bytes]))
        encoded = encoded[6 + pdu_bytes :]
    return found


@pytest.mark.parametrize("room", [40, 100, 4096])
@pytest.mark.parametrize("most", [1, 10, 64, 1000])
@pytest.mark.parametrize("length", [0, 1, 10, 999, 1000])
def test_a_message_is_the_command_set_and_then_the_data_set(room: int, most: int, length: int) -> None:
    data_set = bytes(number % 251 for number in range(length))
    made = [
        bytes(piece)
        for piece in pieces(
            3, COMMAND, BytesIO(data_set + b"more"), length, most, memoryview(bytearray(room))
        )
    ]
    assert all(fragments(piece) for piece in made)  # each begins and ends with a PDU
    first, *rest = fragments(b"".join(made))
    assert first == (3, IS_COMMAND | IS_LAST, COMMAND)
    assert b"".join(fragment for _, _, fragment in rest) == data_set
    assert all(0 < len(fragment) <= most for _, _, fragment in rest)
    assert [control for _, control, _ in rest] == [0] * (len(rest) - 1) + [IS_LAST] * bool(rest)


def test_what_fits_goes_in_one_piece() -> None:
    made = list(pieces(1, COMMAND, BytesIO(bytes(1000)), 1000, 100, memoryview(bytearray(2000))))
    assert len(made) == 1


def test_a_data_set_that_is_shorter_than_it_was_is_no_message() -> None:
    with pytest.raises(OSError, match="shorter"):
        list(pieces(1, COMMAND, BytesIO(bytes(9)), 10, 100, memoryview(bytearray(2000))))
