"""C-FIND and retrieve identifiers against what is stored (PS3.4 C.2.2.2, C.4.1)."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import MRImageStorage
from pynetdicom.dsutils import encode

from scp.archive import Archive
from scp.archive.matching import matcher, wild_card_matches
from scp.archive.query import FIRST_ROWS
from scp.errors import BadRequest
from scp.model import HEADER_KEYWORDS
from tests.archive.conftest import store_into
from tests.builders import image, uid

Ask = Callable[..., list[Dataset]]


def identifier(level: str, **keys: Any) -> Dataset:
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(ds, keyword, value)
    return ds


@pytest.fixture
def filled(archive: Archive) -> Archive:
    """Return an archive with two patients, three studies, four series, ten instances."""
    roe = {"PatientName": "Roe^Jane", "PatientID": "P-1"}
    muller = {"PatientName": "Müller^Jörg", "PatientID": "P-2"}
    plan = [
        (roe, "1.1", "1.1.1", "CT", "20260101", "080000", 4),
        (roe, "1.1", "1.1.2", "MR", "20260101", "080000", 3),
        (roe, "1.2", "1.2.1", "CT", "20260215", "101112.5", 2),
        (muller, "1.3", "1.3.1", "MR", "20260301", "235959", 1),
    ]
    for patient, study, series_uid, modality, date, time, count in plan:
        for k in range(count):
            ds = image(
                k,
                **patient,
                SOPInstanceUID=uid(series_uid, k),
                StudyInstanceUID=study,
                SeriesInstanceUID=series_uid,
                Modality=modality,
                StudyDate=date,
                StudyTime=time,
                AccessionNumber=f"A{study}",
                SeriesNumber=int(series_uid[-1]),
            )
            if modality == "MR":
                ds.SOPClassUID = MRImageStorage
            store_into(archive, ds)
    return archive


@pytest.fixture
def ask(filled: Archive) -> Ask:
    """Return a function that asks at a level, Study Root unless a patient's level is meant."""

    def find(level: str, root_model: str = "STUDY", **keys: Any) -> list[Dataset]:
        return list(filled.find(root_model, identifier(level, **keys)))

    return find


def studies(answers: list[Dataset]) -> set[str]:
    return {str(answer.StudyInstanceUID) for answer in answers}


ALL_STUDIES = {"1.1", "1.2", "1.3"}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ALL_STUDIES),
        ({"PatientName": "*"}, ALL_STUDIES),
        ({"PatientName": "roe^jane"}, {"1.1", "1.2"}),
        ({"PatientName": "ROE*"}, {"1.1", "1.2"}),
        ({"PatientName": "*jane"}, {"1.1", "1.2"}),
        ({"PatientName": "R?e^J*"}, {"1.1", "1.2"}),
        ({"PatientName": "MÜLLER*"}, {"1.3"}),
        ({"PatientName": "Roe"}, set()),
        ({"PatientID": "P-1"}, {"1.1", "1.2"}),
        ({"PatientID": "p-1"}, set()),
        ({"PatientID": "P-?"}, ALL_STUDIES),
        ({"PatientID": "P_1"}, set()),
        ({"PatientID": "P%"}, set()),
        ({"StudyDate": "20260101"}, {"1.1"}),
        ({"StudyDate": "20260102-"}, {"1.2", "1.3"}),
        ({"StudyDate": "-20260215"}, {"1.1", "1.2"}),
        ({"StudyDate": "20260201-20260228"}, {"1.2"}),
        ({"StudyTime": "10"}, {"1.2"}),
        ({"StudyTime": "101112.5"}, {"1.2"}),
        ({"StudyTime": "0900-235958"}, {"1.2"}),
        ({"StudyTime": "235959-"}, {"1.3"}),
        ({"StudyInstanceUID": ["1.1", "1.3", "9.9"]}, {"1.1", "1.3"}),
        ({"StudyInstanceUID": "1.1"}, {"1.1"}),
        ({"AccessionNumber": "A1.2"}, {"1.2"}),
        ({"ModalitiesInStudy": "MR"}, {"1.1", "1.3"}),
        ({"ModalitiesInStudy": "US"}, set()),
        ({"PatientName": "Roe*", "StudyDate": "20260301"}, set()),
    ],
)
def test_a_study_query_matches_as_the_standard_says(
    ask: Ask, keys: dict[str, Any], expected: set[str]
) -> None:
    assert studies(ask("STUDY", **{"StudyInstanceUID": "", **keys})) == expected


def test_counts_are_of_what_is_below(ask: Ask) -> None:
    (study,) = ask(
        "STUDY",
        StudyInstanceUID="1.1",
        NumberOfStudyRelatedSeries="",
        NumberOfStudyRelatedInstances="",
        ModalitiesInStudy="",
        SOPClassesInStudy="",
    )
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (2, 7)
    assert list(study.ModalitiesInStudy) == ["CT", "MR"]
    assert len(study.SOPClassesInStudy) == 2
    counts = [f"NumberOfPatientRelated{what}" for what in ("Studies", "Series", "Instances")]
    (patient,) = ask("PATIENT", "PATIENT", PatientID="P-1", **dict.fromkeys(counts, ""))
    assert [patient[count].value for count in counts] == [2, 3, 9]
    answers = ask("SERIES", StudyInstanceUID="1.1", SeriesInstanceUID="", NumberOfSeriesRelatedInstances="")
    assert {a.SeriesInstanceUID: a.NumberOfSeriesRelatedInstances for a in answers} == {
        "1.1.1": 4,
        "1.1.2": 3,
    }


def test_a_second_file_of_an_instance_does_not_count(filled: Archive, ask: Ask) -> None:
    (path,) = {facts.path for facts in filled.instance_files(uid("1.3.1", 0))}
    copy = filled.root / "copied" / "again.dcm"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    filled.reindex()
    (study,) = ask("STUDY", StudyInstanceUID="1.3", NumberOfStudyRelatedInstances="")
    assert study.NumberOfStudyRelatedInstances == 1
    assert len(ask("IMAGE", StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1", SOPInstanceUID="")) == 1


def test_an_answer_has_the_keys_asked_for_and_no_other(ask: Ask) -> None:
    (answer,) = ask(
        "STUDY", StudyInstanceUID="1.3", PatientName="", StudyDescription="", RequestingService=""
    )
    assert set(answer.dir()) == {
        "QueryRetrieveLevel",
        "SpecificCharacterSet",
        "StudyInstanceUID",
        "PatientName",
        "StudyDescription",
        "RequestingService",
    }
    assert str(answer.PatientName) == "Müller^Jörg"
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert answer.RequestingService == ""


def test_an_image_tells_all_that_its_header_holds(ask: Ask) -> None:
    (answer,) = ask(
        "IMAGE",
        StudyInstanceUID="1.1",
        SeriesInstanceUID="1.1.1",
        InstanceNumber="2",
        SOPInstanceUID="",
        ImagePositionPatient="",
        Rows=None,
    )
    assert answer.SOPInstanceUID == uid("1.1.1", 1)
    assert list(answer.ImagePositionPatient) == [0, 0, 2]
    assert answer.Rows == 8


def test_values_that_no_vr_allows_are_answered_as_they_are(archive: Archive) -> None:
    ds = image(AccessionNumber=None, StudyID=None, SeriesNumber=None)
    long_text = "far too long for an SH " * 2
    for keyword, text in {"AccessionNumber": long_text, "StudyID": "Ä", "SeriesNumber": "2B"}.items():
        ds.add_new(tag_for_keyword(keyword), "LO", text)
    store_into(archive, ds)
    question = identifier(
        "SERIES", StudyInstanceUID=ds.StudyInstanceUID, AccessionNumber="", StudyID="", SeriesNumber=None
    )
    (answer,) = archive.find("STUDY", question)
    assert answer.AccessionNumber == long_text.strip()
    assert answer.StudyID == "Ä"
    assert answer["SeriesNumber"].value == "2B"
    assert encode(answer, False, True)


def test_what_a_text_quotes_is_no_key_of_its_header(archive: Archive) -> None:
    quoted = '","PatientID":"P-9","SeriesNumber":9,"'
    ds = image(StudyDescription=quoted, PatientID="P-1", SeriesNumber=1)
    store_into(archive, ds)
    question = identifier(
        "SERIES", StudyInstanceUID=ds.StudyInstanceUID, StudyDescription="", PatientID="", SeriesNumber=None
    )
    (answer,) = archive.find("STUDY", question)
    assert (answer.StudyDescription, answer.PatientID, answer.SeriesNumber) == (quoted, "P-1", 1)


def test_a_key_is_not_taken_for_one_whose_name_ends_alike(archive: Archive) -> None:
    ds = image(ImageLaterality="L")
    store_into(archive, ds)
    within = {"StudyInstanceUID": ds.StudyInstanceUID, "SeriesInstanceUID": ds.SeriesInstanceUID}
    (answer,) = archive.find("STUDY", identifier("IMAGE", **within, Laterality="", ImageLaterality=""))
    assert (answer.Laterality, answer.ImageLaterality) == ("", "L")


def test_an_answer_tells_the_same_of_a_key_whatever_else_is_asked(ask: Ask) -> None:
    few = {"SOPInstanceUID": "", "InstanceNumber": None, "ImagePositionPatient": None, "Rows": None}
    many = few | {
        keyword: None for keyword in HEADER_KEYWORDS if keyword not in (*few, "SpecificCharacterSet")
    }
    within = {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1"}
    answers = [ask("IMAGE", **{**keys, **within}) for keys in (few, many)]
    told = [[[answer[keyword].value for keyword in few] for answer in each] for each in answers]
    assert told[0] == told[1]
    assert len(told[0]) == 4


def test_every_study_is_answered_once_whatever_the_batch_it_is_read_in(archive: Archive) -> None:
    count = FIRST_ROWS + 2
    for number in range(count):
        for part in range(2):
            store_into(
                archive,
                image(
                    StudyInstanceUID=f"2.{number}",
                    SeriesInstanceUID=f"2.{number}.{part}",
                    SOPInstanceUID=uid(number, part),
                ),
            )
    question = identifier("STUDY", StudyInstanceUID="", NumberOfStudyRelatedInstances="")
    answers = list(archive.find("STUDY", question))
    assert sorted(answer.StudyInstanceUID for answer in answers) == sorted(f"2.{n}" for n in range(count))
    assert {answer.NumberOfStudyRelatedInstances for answer in answers} == {2}


def test_a_value_that_does_not_decode_is_refused_by_name(filled: Archive) -> None:
    question = identifier("STUDY", StudyInstanceUID="")
    question[0x00201206] = RawDataElement(BaseTag(0x00201206), "FD", 3, b"abc", 0, False, True)
    with pytest.raises(BadRequest) as caught:
        list(filled.find("STUDY", question))
    assert caught.value.keyword == "NumberOfStudyRelatedSeries"


def test_images_come_in_the_order_of_their_numbers(ask: Ask) -> None:
    answers = ask("IMAGE", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", InstanceNumber="")
    assert [answer.InstanceNumber for answer in answers] == [1, 2, 3, 4]


def test_a_sequence_key_matches_everything(ask: Ask) -> None:
    item = Dataset()
    item.CodeValue = "nothing has this"
    (answer,) = ask("STUDY", StudyInstanceUID="1.3", ProcedureCodeSequence=[item])
    assert list(answer.ProcedureCodeSequence) == []


@pytest.mark.parametrize(
    ("root_model", "level", "keys", "keyword"),
    [
        ("STUDY", "", {}, "QueryRetrieveLevel"),
        ("STUDY", "PATIENT", {}, "QueryRetrieveLevel"),
        ("STUDY", "NONSENSE", {}, "QueryRetrieveLevel"),
        ("STUDY", "SERIES", {}, "StudyInstanceUID"),
        ("STUDY", "IMAGE", {"StudyInstanceUID": "1.1"}, "SeriesInstanceUID"),
        ("PATIENT", "STUDY", {}, "PatientID"),
    ],
)
def test_an_identifier_that_does_not_fit_its_model_is_refused_by_name(
    filled: Archive, root_model: str, level: str, keys: dict[str, str], keyword: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        list(filled.find(root_model, identifier(level, **keys)))
    assert caught.value.keyword == keyword


@pytest.mark.parametrize(
    ("level", "keys", "count"),
    [
        ("PATIENT", {"PatientID": "P-1"}, 9),
        ("STUDY", {"PatientID": "P-1", "StudyInstanceUID": "1.1"}, 7),
        ("STUDY", {"PatientID": "P-2", "StudyInstanceUID": "1.1"}, 0),
        (
            "SERIES",
            {"PatientID": "P-1", "StudyInstanceUID": "1.1", "SeriesInstanceUID": ["1.1.1", "1.1.2"]},
            7,
        ),
        (
            "IMAGE",
            {
                "PatientID": "P-1",
                "StudyInstanceUID": "1.1",
                "SeriesInstanceUID": "1.1.1",
                "SOPInstanceUID": [uid("1.1.1", 0), uid("1.1.1", 3)],
            },
            2,
        ),
    ],
)
def test_a_retrieve_names_its_instances_by_unique_keys(
    filled: Archive, level: str, keys: dict[str, Any], count: int
) -> None:
    assert len(filled.refs("PATIENT", identifier(level, **keys))) == count


def test_a_retrieve_that_names_nothing_is_refused(filled: Archive) -> None:
    with pytest.raises(BadRequest):
        filled.refs("STUDY", identifier("STUDY", PatientName="*"))


def test_a_truncated_copy_that_came_later_does_not_stand_for_the_whole_image(
    filled: Archive, ask: Ask
) -> None:
    question = identifier("STUDY", StudyInstanceUID="1.3")
    (whole,) = filled.refs("STUDY", question)
    cut = filled.root / "copied" / "cut.dcm"
    cut.parent.mkdir()
    cut.write_bytes(whole.path.read_bytes()[:-10])
    filled.reindex()
    (ref,) = filled.refs("STUDY", question)
    assert (ref.path, ref.truncated) == (whole.path, False)
    whole.path.unlink()
    filled.reindex()
    (ref,) = filled.refs("STUDY", question)
    assert (ref.path, ref.truncated) == (cut, True)


def test_long_lists_of_uids_are_answered(filled: Archive) -> None:
    uids = [f"2.{number}" for number in range(12_000)]
    assert len(filled.refs("STUDY", identifier("STUDY", StudyInstanceUID=[*uids, "1.2"]))) == 2


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab", max_size=8))
def test_wild_cards_match_what_their_plain_reading_says(pattern: str, text: str) -> None:
    def plain(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return plain(p[1:], t) or bool(t and plain(p, t[1:]))
        return bool(t) and p[0] in ("?", t[0]) and plain(p[1:], t[1:])

    assert wild_card_matches(pattern, text) == plain(pattern, text)


def test_a_hostile_wild_card_ends_soon() -> None:
    assert not wild_card_matches("*a" * 500 + "b", "a" * 5000)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("*山田*", {"1.2.7"}),
        ("山田*", {"1.2.7"}),
        ("やまだ^*", {"1.2.7"}),
        ("=山田^*", {"1.2.7"}),
        ("Yamada*==やま*", {"1.2.7"}),
        ("Yamada*", {"1.2.7", "1.2.8"}),
        ("Yamada*=山田*", {"1.2.7"}),
        ("Yamada*==たろう", set()),
        ("太郎*", set()),
    ],
)
def test_a_name_is_found_by_whichever_group_of_it_is_typed(
    archive: Archive, key: str, found: set[str]
) -> None:
    names = {"1.2.7": "Yamada^Tarou=山田^太郎=やまだ^たろう", "1.2.8": "Yamada^Tarou"}
    for study, name in names.items():
        ds = image(0, PatientName=name, StudyInstanceUID=study, SOPInstanceUID=f"{study}.1")
        ds.SpecificCharacterSet = "ISO_IR 192"
        store_into(archive, ds)
    question = identifier("STUDY", StudyInstanceUID="", PatientName=key)
    assert {str(answer.StudyInstanceUID) for answer in archive.find("STUDY", question)} == found


@pytest.mark.parametrize(
    ("vr", "key", "value", "expected"),
    [
        ("DT", "20260101-20260102", "20260101120000.5+0100", True),
        ("DT", "20260101120000-0500", "20260101120000-0500", True),
        ("DT", "-20251231", "20260101", False),
        ("TM", "08:00-09:00", "083000", True),
        ("DA", "2026.01.02", "20260102", True),
        ("IS", "2", 2, True),
        ("IS", "2", 20, False),
        ("DS", "1.50", 1.5, True),
        ("PN", "yamada^tarou", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PN", "Yamada^Tarou=山*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PN", "Yamada^Tarou=川*", "Yamada^Tarou=山田^太郎=やまだ^たろう", False),
        ("PN", "*山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PN", "やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PN", "=山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PN", "==山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", False),
        ("PN", "^", "Yamada^Tarou", False),
        ("PN", "^", "", True),
        ("CS", "CT", ("MR", "CT"), True),
        ("LO", "", "anything", True),
        ("LO", "a", None, False),
    ],
)
def test_one_key_against_one_value(vr: str, key: str, value: Any, expected: bool) -> None:
    assert matcher(vr, (key,) if key else ())(value) is expected
