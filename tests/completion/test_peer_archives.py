"""A peer's answers are held against the question."""

from pathlib import Path

import pytest

from scp.completion.peer_archives import MOST_ANSWERS, HeldInstance, bounded, check
from scp.errors import PeerFailed
from scp.model import FileFacts, Header
from tests.completion.world import peer

PACS = peer("PACS")
CURRENT = FileFacts(
    Path("/s/1.dcm"),
    header=Header(
        {"PatientName": "Roe^Jane", "PatientID": "P-1", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}
    ),
)


def test_answers_of_another_study_or_series_are_dropped_and_counted() -> None:
    answers = [
        HeldInstance("1.3.1", 1, Header({"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"})),
        HeldInstance("1.3.2", 2, Header({"SeriesInstanceUID": "1.4"})),
        HeldInstance("1.3.3", 3, Header({"StudyInstanceUID": "1.5"})),
    ]
    answer = check(answers, CURRENT, PACS)
    assert [(k.sop_instance_uid, k.instance_number, k.source) for k in answer.known] == [("1.3.1", 1, "PACS")]
    assert answer.unasked == 2


def test_an_answer_that_says_nothing_of_study_and_series_is_taken() -> None:
    assert len(check([HeldInstance("1.3.1")], CURRENT, PACS).known) == 1


@pytest.mark.parametrize("uid", ["", "*", "1.2\\1.3", "../../etc", "...", "1..2", "1." * 40, "1.2 "])
def test_an_answer_without_a_legal_uid_is_dropped(uid: str) -> None:
    assert check([HeldInstance(uid)], CURRENT, PACS).unasked == 1


def test_an_instance_that_is_answered_twice_counts_once() -> None:
    assert len(check([HeldInstance("1.3.1", 1)] * 3, CURRENT, PACS).known) == 1


@pytest.mark.parametrize(
    ("stated", "differs"),
    [
        ({"PatientName": "Doe^John"}, "PatientName"),
        ({"PatientName": "ROE^JANE^^"}, ""),
        ({"PatientName": "Roe^Jane", "PatientID": "P-2"}, "PatientID"),
        ({"PatientID": " P-1 "}, ""),
        ({"PatientName": "", "PatientID": ""}, ""),
        ({}, ""),
    ],
)
def test_a_peer_that_knows_the_patient_otherwise_differs(stated: dict[str, str], differs: str) -> None:
    assert check([HeldInstance("1.3.1", 1, Header(stated))], CURRENT, PACS).differs == differs


def test_a_peer_that_answers_without_end_fails() -> None:
    def endless() -> object:
        while True:
            yield HeldInstance("1.3.1")

    with pytest.raises(PeerFailed, match=f"PACS answered with more than {MOST_ANSWERS}"):
        list(bounded(endless(), PACS))
