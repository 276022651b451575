"""Steps 3 to 6: patient, study, series, auxiliary identifiers (group B)."""

import pytest

from scp.errors import Code
from scp.model import UNDECODABLE, Header, SelectionRules
from scp.selection import refusal, select
from scp.selection.identity import same_name
from tests.selection.slices import (
    RULES,
    beside,
    changed,
    detail_of,
    foreign,
    notes_of,
    reason_of,
    series,
    slice_at,
)


@pytest.mark.parametrize(
    ("case", "changes", "reason"),
    [
        ("B1", {"PatientName": "Doe^John"}, "other-patient"),
        ("B1", {"PatientName": None}, "other-patient"),
        ("B3", {"PatientID": "P-2"}, "other-patient-id"),
        ("B4", {"StudyInstanceUID": "1.2.99"}, "other-study"),
        ("B5", {"SeriesInstanceUID": "1.2.3.99"}, "other-series"),
        ("B6", {"SeriesInstanceUID": None}, "series-uid-missing"),
        ("B7", {"SeriesNumber": 3}, "other-series-number"),
        ("B7", {"Modality": "MR"}, "other-modality"),
        ("B7", {"BodyPartExamined": "HEAD"}, "other-body-part-examined"),
        ("B10", {"PatientName": "Doe^John", "StudyInstanceUID": "1.2.99"}, "other-patient"),
    ],
)
def test_an_image_of_somebody_or_something_else_is_left_out(case, changes, reason):
    stranger = foreign("stranger.dcm", **changes)
    report = beside(stranger)
    assert report.ok and len(report.stack) == 12
    assert reason_of(report, stranger) == reason


@pytest.mark.parametrize(
    "written", ["ROE^JANE", "roe^jane^^^", "Roe ^Jane ", "Ｒｏｅ^Jane", "Roe^Jane==", "Roe^Jane=羅^ジェーン"]
)
def test_b2_the_same_name_written_otherwise_is_the_same_patient(written):
    slices = [*series(11), slice_at(11, PatientName=written)]
    assert len(select(slices[0], slices, RULES).stack) == 12


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("", "", True),
        ("", "^^^", True),
        ("", "Roe", False),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^次郎", False),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou==やまだ^たろう", True),
        ("=山田^太郎", "=山田^太郎", True),
        ("=山田^太郎", "", False),
        ("Straße", "STRASSE", True),
        (" Roe^ Jane", "Roe^Jane", True),
        ("Ｒｏｅ＾Jane", "Roe^Jane", True),
        ("Roe^Jane^A", "Roe^Jane", False),
        ("Roe^^Jane", "Roe^Jane", False),
        (f"{UNDECODABLE}c8e2", f"{UNDECODABLE}c8e2", True),
        (f"{UNDECODABLE}c8e2", f"{UNDECODABLE}cfe5", False),
        (f"{UNDECODABLE}c8e2", "Иванов", False),
    ],
)
def test_names_are_equal_by_component_groups_and_undecodable_ones_by_bytes(one, other, same):
    assert same_name(one, other) is same
    assert same_name(other, one) is same


@pytest.mark.parametrize("keyword", ["IssuerOfPatientID", "PatientBirthDate", "PatientSex"])
def test_b3_other_identifiers_part_patients_where_both_have_them(keyword):
    slices = series(12, **{keyword: "1"})
    silent, other = foreign("a.dcm"), foreign("b.dcm", **{keyword: "2"})
    report = select(slices[0], [*slices[:11], changed(slices[11], **{keyword: None}), other], RULES)
    assert len(report.stack) == 12 and silent.path not in {row.path for row in report.rows}
    assert reason_of(report, other) == "other-patient-id"
    assert detail_of(report, other) == f"{keyword} differs"


def test_details_hold_no_name_and_no_number_of_a_patient():
    strangers = [foreign("a.dcm", PatientName="Secret^Sam"), foreign("b.dcm", PatientID="S-77")]
    slices = series(12)
    report = select(slices[0], [*slices, *strangers], RULES)
    details = " ".join(row.detail for row in report.rows)
    assert "Secret" not in details and "S-77" not in details and "Roe" not in details


def test_an_auxiliary_identifier_that_one_side_lacks_is_mentioned():
    slices = [*series(11), slice_at(11, BodyPartExamined=None)]
    report = select(slices[0], slices, RULES)
    assert len(report.stack) == 12 and Code.AUXILIARY_MISSING in notes_of(report)


def test_an_auxiliary_identifier_that_one_side_lacks_excludes_where_configured():
    slices = [*series(11), slice_at(11, BodyPartExamined=None)]
    report = select(slices[0], slices, SelectionRules(auxiliary_missing="exclude"))
    assert reason_of(report, slices[11]) == Code.AUXILIARY_MISSING


def test_b7_the_configured_keyword_names_the_reason():
    slices = series(12, ProtocolName="A")
    stranger = foreign("x.dcm", ProtocolName="B")
    report = select(slices[0], [*slices, stranger], SelectionRules(auxiliary=("ProtocolName",)))
    assert reason_of(report, stranger) == "other-protocol-name"


def test_a_current_image_without_series_instance_uid_is_refused():
    slices = series(12, SeriesInstanceUID=None)
    assert select(slices[0], slices, RULES).verdict == Code.SERIES_UID_MISSING


@pytest.mark.parametrize(
    ("stated", "keyword"),
    [
        ({"PatientName": "Doe^John"}, "PatientName"),
        ({"PatientID": "P-2"}, "PatientID"),
        ({"StudyInstanceUID": "1"}, "StudyInstanceUID"),
        ({"SeriesInstanceUID": "1"}, "SeriesInstanceUID"),
        ({"SeriesNumber": 3}, "SeriesNumber"),
        ({"Modality": "MR"}, "Modality"),
        ({"BodyPartExamined": "HEAD"}, "BodyPartExamined"),
        ({"ImagePositionPatient": (0.0, 0.0, 0.0)}, "ImagePositionPatient"),
        ({"ImageOrientationPatient": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}, "ImageOrientationPatient"),
    ],
)
def test_b13_a_request_that_says_other_things_of_the_current_image_is_refused(stated, keyword):
    slices = series(12)
    report = select(slices[0], slices, RULES, stated=Header(stated))
    assert refusal(report).error_comment == f"header-disagrees: {keyword}"


def test_b13_what_further_parts_people_of_one_name_must_agree_where_both_say_it():
    slices = series(12, PatientSex="F")
    report = select(slices[0], slices, RULES, stated=Header({"PatientSex": "M"}))
    assert refusal(report).error_comment == "header-disagrees: PatientSex"
    assert select(slices[0], slices, RULES, stated=Header({"PatientBirthDate": "19700101"})).ok


def test_b13_what_is_empty_a_wild_card_or_the_same_name_otherwise_says_nothing_else():
    slices = series(12)
    stated = Header({"PatientName": "ROE^JANE^^", "PatientID": "*", "Modality": "", "SeriesNumber": 2})
    assert select(slices[0], slices, RULES, stated=stated).ok
