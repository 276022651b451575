"""Paths from what senders write: readable, unique, and never anywhere but below the root."""

import time
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scp.archive.layout import (
    batch_folder,
    folder_name,
    instance_name,
    instance_path,
    patient_folder,
)
from scp.model import WORK_FOLDER, Header, Origin, folded_name, is_legal_uid
from scp.selection.identity import same_name

HOSTILE = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        (
            "..", "../../etc/passwd", "a/b", "a\\b", "\0", "a\nb", "CON", "nul.txt", "COM1", ".scp", ".",
            "-rf", "~", "x" * 1000, "'; DROP TABLE file; --", "<script>", "%2e%2e%2f", "*", "\u202eabc",
            "\ud800", " ",
        )
    ),
)  # fmt: skip
UID = st.from_regex(r"\A[0-9]{1,5}(\.[0-9]{1,5}){1,6}\Z")


def header(**attributes: str) -> Header:
    return Header(
        {"SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.1", **attributes}
    )


@given(
    batch=HOSTILE, patient_id=HOSTILE, name=HOSTILE, study=HOSTILE, series=HOSTILE, number=HOSTILE, uid=UID
)
def test_no_text_leads_out_of_its_folder(
    batch: str, patient_id: str, name: str, study: str, series: str, number: str, uid: str
) -> None:
    attributes = header(
        PatientID=patient_id,
        PatientName=name,
        StudyDescription=study,
        SeriesDescription=series,
        SeriesNumber=number,
        SOPInstanceUID=uid,
    )
    path = instance_path(folder_name(batch), attributes)
    assert not path.is_absolute()
    assert len(path.parts) == 5
    for part in path.parts:
        assert part == part.strip()
        assert part.isascii()
        assert part.isprintable()
        assert part[0] not in ".-~"
        assert part[-1] != "."
        assert not set(part) & set('/\\:*?"<>|\0\n')
        assert len(part) <= 160
        assert part.upper().split(".")[0] not in {"CON", "NUL", "AUX", "PRN", "COM1"}
    assert WORK_FOLDER not in path.parts


@given(one=st.tuples(HOSTILE, HOSTILE, UID, UID), other=st.tuples(HOSTILE, HOSTILE, UID, UID))
def test_two_identities_never_share_a_folder(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    def folder(identity: tuple[str, ...]) -> PurePath:
        names = ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID")
        return instance_path("batch", header(**dict(zip(names, identity, strict=True)))).parent

    same = (one[0], folded_name(one[1]), *one[2:]) == (other[0], folded_name(other[1]), *other[2:])
    assert (folder(one) == folder(other)) == (same and one[0] == other[0])


def test_what_two_attributes_hold_is_not_confused_by_where_one_ends() -> None:
    one = instance_path("b", header(PatientID="A", IssuerOfPatientID="BC"))
    assert one.parent != instance_path("b", header(PatientID="AB", IssuerOfPatientID="C")).parent


def test_one_patient_spelled_in_two_ways_has_one_folder() -> None:
    one = instance_path("b", header(PatientID="7", PatientName="Roe^Jane"))
    assert one == instance_path("b", header(PatientID="7", PatientName="ROE^JANE^^ "))


SPELLINGS = st.text("Rrｒ^＾ ", max_size=3)


@given(one=SPELLINGS, other=SPELLINGS)
def test_names_have_one_folder_where_a_selection_takes_them_for_one_patient(one: str, other: str) -> None:
    folders = {
        patient_folder(header(PatientID="7", PatientName=name)).rpartition("_")[2] for name in (one, other)
    }
    assert (len(folders) == 1) == same_name(one, other)


def test_a_person_can_read_the_folders() -> None:
    path = instance_path(
        "2026-01-02",
        header(
            PatientID="P-1",
            StudyDate="20260102",
            StudyDescription="Thorax Übersicht",
            SeriesNumber="3",
            Modality="CT",
            SeriesDescription="Lunge 1,0 mm",
        ),
    )
    assert path.parts[1].startswith("P-1_")
    assert path.parts[2].startswith("20260102_Thorax_Ubersicht_")
    assert path.parts[3].startswith("3_CT_Lunge_1_0_mm_")
    assert path.name == "1.2.3.dcm"


@pytest.mark.parametrize(
    "uid", ["", "1..2", ".1", "1.", "1.2a", "1" * 65, "1.2\n", "1.2\0", "../1", "\u0661.2"]
)
def test_an_illegal_uid_is_told_and_never_becomes_a_name(uid: str) -> None:
    assert not is_legal_uid(uid)
    with pytest.raises(ValueError):
        instance_name(uid)


def test_the_template_of_a_batch_is_filled_with_local_date_and_sender() -> None:
    now_s = time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1))
    origin = Origin("1.2", "1.3", "1.4", "../CT 1")
    assert batch_folder("{date}", origin, now_s) == "2026-01-02"
    assert batch_folder("{hour}h from {calling_ae}", origin, now_s) == "03h_from_.._CT_1"
    assert batch_folder("{calling_ae}", Origin("1", "1", "1", ".."), now_s) == "batch"
