"""Every error and every code has a status that the standard allows, and a comment that fits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scp import errors
from scp.errors import BadRequest, Code, MprScpError, PeerFailed, Refused
from scp.model import FileFacts, SelectionReport, SelectionRules
from scp.net.queries import Retrieved, RetrieveFailed
from scp.selection import MissingInstances, NoMiddleImage, TooFewImages
from scp.services.status import CODE_OF_ERROR, STATUS_OF_CODE, STATUS_OF_ERROR, outcome_of

OWN = {0xC000, 0xC001, *range(0xC010, 0xC01D), 0xC020, 0xC021, 0xC022, 0xC0FF}
STANDARD = {0x0122, 0x0124, 0xA700, 0xA702, 0xA900, 0xFE00}
LENGTH_OF_ERROR_COMMENT = 64
NO_REFUSALS = {Code.OK, Code.USED}


def subclasses(cls: type[MprScpError]) -> Iterator[type[MprScpError]]:
    """Yield *cls* and all below it but those of the command line, which no requestor is ever told."""
    if not cls.__module__.startswith("scp.cli"):
        yield cls
        for sub in cls.__subclasses__():
            yield from subclasses(sub)


@pytest.mark.parametrize("cls", sorted(set(subclasses(MprScpError)), key=lambda cls: cls.__name__))
def test_every_error_of_the_tree_has_a_status(cls: type[MprScpError]) -> None:
    own = {
        Refused: lambda: Refused(Code.DEADLINE, "x"),
        BadRequest: lambda: BadRequest("Rows", "x"),
        MissingInstances: lambda: MissingInstances("x", "1 of 12", ()),
        TooFewImages: lambda: TooFewImages("x", "9 of 10", 9),
        RetrieveFailed: lambda: RetrieveFailed("x", Retrieved(0xA702)),
        NoMiddleImage: lambda: NoMiddleImage(
            SelectionReport(FileFacts(Path("x")), SelectionRules(), verdict=Code.NO_EXTENT)
        ),
    }
    outcome = outcome_of(own.get(cls, lambda: cls("x"))())
    assert outcome.status in OWN | STANDARD
    assert 0 < len(outcome.error_comment) <= LENGTH_OF_ERROR_COMMENT
    covered = set(STATUS_OF_ERROR) - {MprScpError}
    assert issubclass(cls, Refused) or cls is MprScpError or any(issubclass(cls, c) for c in covered)


@pytest.mark.parametrize("code", [code for code in Code if code not in NO_REFUSALS])
def test_every_code_has_a_status_and_opens_its_error_comment(code: Code) -> None:
    outcome = outcome_of(Refused(code, "x", comment="n" * 100))
    assert outcome.status in OWN | STANDARD - {0x0122, 0xFE00, 0xA700}
    assert outcome.error_comment.startswith(f"{code}: ")
    assert len(outcome.error_comment) == LENGTH_OF_ERROR_COMMENT


def test_codes_of_the_selection_have_statuses_of_their_own() -> None:
    numbered = [status for status in STATUS_OF_CODE.values() if 0xC010 <= status <= 0xC022]
    assert len(numbered) == len(set(numbered)) == 15


def test_a_bad_request_names_the_offending_element() -> None:
    outcome = outcome_of(BadRequest("ReformattingInterval", "found 0, needed a length"))
    assert outcome.status == 0xA900
    assert outcome.offending_element == 0x00720514
    assert outcome.error_comment == "bad-request: ReformattingInterval"


def test_a_peer_that_failed_is_told_with_the_reason_as_far_as_it_fits() -> None:
    outcome = outcome_of(PeerFailed("down: no connection to 127.0.0.1:104: a\\b \u00e9 " + "n" * 64))
    assert outcome.status == 0xA702
    assert outcome.error_comment.startswith("peer-failed: down: no connection to 127.0.0.1:104: a/b ? n")
    assert len(outcome.error_comment) == LENGTH_OF_ERROR_COMMENT


def test_our_own_fault_tells_where_the_log_says_more_and_nothing_else() -> None:
    outcome = outcome_of(ZeroDivisionError("Roe^Jane"), trace_id="0badcafe")
    assert (outcome.status, outcome.error_comment) == (0xC0FF, "internal: see log 0badcafe")


def test_tables_name_only_errors_of_the_tree() -> None:
    tree = {value for value in vars(errors).values() if isinstance(value, type)}
    assert set(STATUS_OF_ERROR) <= tree and set(CODE_OF_ERROR) <= tree
