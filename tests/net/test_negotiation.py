"""Which contexts are accepted: rights, storage classes known and unknown, and the ranking of syntaxes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    JPEG2000,
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
)
from pynetdicom.sop_class import (
    ModalityWorklistInformationFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from scp.net.admission import ALL_RIGHTS
from scp.net.negotiation import (
    RANKING,
    Answer,
    Result,
    Role,
    answer,
    best_transfer_syntax,
    is_storage,
    lacking,
)

PRIVATE_CLASS = "1.3.12.2.1107.5.9.1"
FUTURE_CLASS = "1.2.840.10008.5.1.4.1.1.9999"


def propose(
    sop_class: str,
    rights: set[str],
    *,
    syntaxes: tuple[UID, ...] = (ImplicitVRLittleEndian,),
    role: Role | None = None,
) -> Answer:
    return answer(1, UID(sop_class), syntaxes, role, lambda *any_of: not rights.isdisjoint(any_of))


@pytest.mark.parametrize(
    ("sop_class", "right"),
    [
        (Verification, "echo"),
        (CTImageStorage, "store"),
        (PRIVATE_CLASS, "store"),
        (FUTURE_CLASS, "store"),
        (StudyRootQueryRetrieveInformationModelFind, "find"),
        (StudyRootQueryRetrieveInformationModelMove, "move"),
        (StudyRootQueryRetrieveInformationModelGet, "get"),
        (StudyRootQueryRetrieveInformationModelGet, "mpr"),
        (StudyRootQueryRetrieveInformationModelFind, "mpr"),
    ],
)
def test_a_context_needs_its_right(sop_class: str, right: str) -> None:
    assert propose(sop_class, {right}).result is Result.ACCEPTANCE
    opens = {"echo", "store", "find", "move", "get", "mpr"} - {right}
    if right in ("echo", "store"):
        assert propose(sop_class, opens).result is Result.USER_REJECTION
    assert propose(sop_class, set()).result is Result.USER_REJECTION


@pytest.mark.parametrize(
    ("sop_class", "role", "right"),
    [
        (CTImageStorage, None, "store"),
        (CTImageStorage, Role(scu=False, scp=True), "get or mpr"),
        (CTImageStorage, Role(scu=True, scp=True), "store or get or mpr"),
        (StudyRootQueryRetrieveInformationModelFind, None, "find or mpr"),
        (StudyRootQueryRetrieveInformationModelFind, Role(scu=False, scp=True), ""),
    ],
)
def test_the_right_that_is_told_of_would_have_opened_the_context(
    sop_class: str, role: Role | None, right: str
) -> None:
    refused = propose(sop_class, {"echo"}, role=role)
    assert refused.result is Result.USER_REJECTION
    assert lacking([refused]) == right
    opened = {propose(sop_class, {one}, role=role).result for one in right.split(" or ") if one}
    assert opened <= {Result.ACCEPTANCE}


def test_several_rights_that_are_lacking_are_told_of_once() -> None:
    refused = [propose(sop_class, set()) for sop_class in (CTImageStorage, PRIVATE_CLASS, Verification)]
    assert lacking([*refused, propose(CTImageStorage, {"store"})]) == "echo; store"


def test_a_service_that_is_not_offered_is_an_unknown_abstract_syntax() -> None:
    refused = propose(ModalityWorklistInformationFind, set(ALL_RIGHTS))
    assert refused.result is Result.ABSTRACT_SYNTAX_NOT_SUPPORTED


def test_a_query_in_a_syntax_that_holds_no_identifier_is_refused() -> None:
    refused = propose(StudyRootQueryRetrieveInformationModelFind, {"find"}, syntaxes=(JPEGLSLossless,))
    assert refused.result is Result.TRANSFER_SYNTAXES_NOT_SUPPORTED


def test_any_syntax_of_an_image_is_taken() -> None:
    assert propose(CTImageStorage, {"store"}, syntaxes=("1.2.3.4",)).transfer_syntax == "1.2.3.4"


@pytest.mark.parametrize(
    ("proposed", "best"),
    [
        ((ImplicitVRLittleEndian, ExplicitVRLittleEndian), ExplicitVRLittleEndian),
        ((JPEGBaseline8Bit, JPEGLSLossless, ImplicitVRLittleEndian), ImplicitVRLittleEndian),
        ((JPEG2000, JPEGLSLossless), JPEGLSLossless),
        ((JPEGBaseline8Bit, ExplicitVRBigEndian), ExplicitVRBigEndian),
        ((JPEG2000, JPEGBaseline8Bit), JPEG2000),
    ],
)
def test_plain_before_lossless_before_lossy(proposed: tuple[UID, ...], best: UID) -> None:
    assert best_transfer_syntax(proposed) == best


@given(st.lists(st.sampled_from([*RANKING, UID("1.2.3"), UID("1.2.4")]), min_size=1))
def test_the_choice_is_one_of_the_proposed_and_no_ranked_one_is_better(proposed: list[UID]) -> None:
    best = best_transfer_syntax(proposed)
    better = RANKING[: RANKING.index(best)] if best in RANKING else RANKING
    assert best in proposed and not set(better) & set(proposed)


def test_a_requestor_of_get_becomes_the_provider_of_storage_without_the_right_to_store() -> None:
    granted = propose(CTImageStorage, {"get"}, role=Role(scu=True, scp=True))
    assert granted.result is Result.ACCEPTANCE and granted.role == Role(scu=False, scp=True)
    assert propose(CTImageStorage, {"store"}, role=Role(scu=False, scp=True)).result is Result.USER_REJECTION


@given(st.booleans(), st.booleans(), st.sets(st.sampled_from(sorted(ALL_RIGHTS))))
def test_no_role_is_granted_that_was_not_proposed(scu: bool, scp: bool, rights: set[str]) -> None:
    one = propose(CTImageStorage, rights, role=Role(scu, scp))
    if one.result is Result.ACCEPTANCE:
        assert scu or not one.role.scu
        assert scp or not one.role.scp
    else:
        assert not (scu and "store" in rights) and not (scp and rights & {"get", "mpr"})


def test_media_directories_and_services_are_no_storage() -> None:
    assert not is_storage("1.2.840.10008.1.3.10") and not is_storage(Verification)
