"""Command sets by hand agree with pynetdicom's, and garbage is named."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dsutils import decode as decode_dataset

from scp.net import command

CT = "1.2.840.10008.5.1.4.1.1.2"


def test_a_store_request_reads_as_a_data_set_of_group_0000() -> None:
    encoded = command.store_request(CT, "1.2.3", 7, originator_ae_title="MOVER", originator_message_id=9)
    found = decode_dataset(BytesIO(encoded), True, True)
    assert found.CommandGroupLength == len(encoded) - 12
    assert (found.CommandField, found.MessageID, found.CommandDataSetType) == (0x0001, 7, 0x0001)
    assert (found.AffectedSOPClassUID, found.AffectedSOPInstanceUID) == (CT, "1.2.3")
    assert found.MoveOriginatorApplicationEntityTitle == "MOVER"
    assert found.MoveOriginatorMessageID == 9


def test_a_find_response_names_the_offending_element() -> None:
    encoded = command.find_response(CT, 3, 0xA900, "bad-request: X", 0x00080052, has_identifier=False)
    found = decode_dataset(BytesIO(encoded), True, True)
    assert (found.Status, found.ErrorComment, found.OffendingElement) == (
        0xA900,
        "bad-request: X",
        0x00080052,
    )
    assert found.CommandDataSetType == 0x0101


@given(
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.text("0123456789.", min_size=1, max_size=64),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=64),
)
def test_what_is_encoded_decodes_to_the_same(message_id: int, status: int, uid: str, comment: str) -> None:
    values = command.decode(command.store_response(CT, uid, message_id, status, comment))
    assert command.number(values, command.MESSAGE_ID_BEING_RESPONDED_TO) == message_id
    assert command.number(values, command.STATUS) == status
    assert command.text(values, command.AFFECTED_SOP_INSTANCE_UID) == uid
    assert command.text(values, command.ERROR_COMMENT) == comment


@given(st.binary(max_size=200))
def test_garbage_is_malformed_or_group_0000(encoded: bytes) -> None:
    try:
        values = command.decode(encoded)
    except command.MalformedCommand:
        return
    assert sum(8 + len(value) for value in values.values()) <= len(encoded)


@pytest.mark.parametrize("cut", [1, 7, 9])
def test_a_command_set_that_ends_early_is_malformed(cut: int) -> None:
    encoded = command.store_response(CT, "1.2.3", 1, 0)
    with pytest.raises(command.MalformedCommand):
        command.decode(encoded[:-cut])
