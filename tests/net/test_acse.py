"""UIDs of a negotiation are checked once, and what a peer sends is not kept beyond what a UID may be."""

import pytest
from pynetdicom import pdu_items, pdu_primitives, presentation, utils

from scp.net import acse

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom says what is wrong with a UID

VALUES = ["1.2.840.10008.1.2", b"1.2.840.10008.1.2", b"1.2.840.10008.1.2\0", "1.02.3", "", None]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("how", [(), (True, False), (False, True, False)])
def test_a_uid_is_what_pynetdicom_makes_of_it(value: str | bytes | None, how: tuple[bool, ...]) -> None:
    def made(set_uid: object) -> object:
        try:
            found = set_uid(value, "Name", *how)  # type: ignore[operator]
        except (ValueError, TypeError) as error:
            return str(error)
        return type(found), found

    for _ in range(2):
        assert made(acse.remembering_set_uid) == made(utils.set_uid)


def test_what_is_too_long_for_a_uid_is_not_kept() -> None:
    before = acse._found_before.cache_info().currsize
    acse.remembering_set_uid("1." + "2" * 63, "Name", validate=False)
    assert acse._found_before.cache_info().currsize == before


def test_pynetdicom_checks_uids_where_we_remember_them() -> None:
    item = pdu_items.TransferSyntaxSubItem()
    item.transfer_syntax_name = "1.2.840.10008.1.2"
    role = pdu_primitives.SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid = "1.2.840.10008.1.2"
    context = presentation.PresentationContext()
    context.abstract_syntax = "1.2.840.10008.1.2"
    hits = acse._found_before.cache_info().hits
    item.transfer_syntax_name = "1.2.840.10008.1.2"
    role.sop_class_uid = "1.2.840.10008.1.2"
    context.abstract_syntax = "1.2.840.10008.1.2"
    assert acse._found_before.cache_info().hits == hits + 3
