"""Which image a request starts from that names a series: of a real archive, whatever else bears its UID."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from scp import config
from scp.archive import Archive
from scp.current import current_image
from scp.errors import Refused
from scp.model import FileFacts, Header, MPRRequest, PlaneRequest, SelectionRules
from tests.builders import SERIES_UID, STUDY_UID, image, series, uid, write_series

HERS = {"PatientName": "Roe^Jane", "PatientID": "P-1"}
HIS = {"PatientName": "Doe^John", "PatientID": "P-2"}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(config.Archive(root=tmp_path / "archive", minimum_free=0)) as opened:
        yield opened


@pytest.fixture
def holds(archive: Archive, tmp_path: Path) -> Callable[[str, list[Dataset]], None]:
    """Return what puts images into a folder of the archive as people do."""

    def put(folder: str, images: list[Dataset]) -> None:
        write_series(images, tmp_path / "archive" / "BATCH" / folder)
        archive.reindex()

    return put


def his(count: int, **changes: Any) -> list[Dataset]:
    """Return images of another patient that bear the UIDs of her study and series."""
    return [image(k, **HIS | {"SOPInstanceUID": uid("his", k)} | changes) for k in range(count)]


def current(
    archive: Archive, study: str = STUDY_UID, *, series_uid: str = SERIES_UID, **stated: Any
) -> FileFacts:
    request = MPRRequest(
        PlaneRequest(), study_instance_uid=study, series_instance_uid=series_uid, stated=Header(stated)
    )
    return current_image(request, archive, archive.read_folder, SelectionRules())


def refusal(archive: Archive, study: str = STUDY_UID, **told: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        current(archive, study, **told)
    return caught.value


@pytest.fixture(params=["one folder", "a folder each"])
def shared(request: pytest.FixtureRequest, archive: Archive, holds) -> Archive:
    """Return the archive with 12 images of hers and 14 of his under one Series Instance UID."""
    if request.param == "one folder":
        holds("both", series(12) + his(14))
    else:
        holds("hers", series(12))
        holds("his", his(14))
    return archive


def test_a_series_of_two_patients_is_refused_with_an_image_of_each(shared):
    refused = refusal(shared)
    assert refused.error_comment == "which-stack: 2 stacks of 2 patients, name an image"
    assert uid("instance", 6) in refused.sentence
    assert uid("his", 7) in refused.sentence
    assert "ask with the patient's name or ID, or with" in refused.sentence


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName"])
@pytest.mark.parametrize("patient", [HERS, HIS])
def test_the_patient_whom_the_request_states_is_taken(shared, keyword, patient):
    assert current(shared, **{keyword: patient[keyword]}).header.get("PatientID") == patient["PatientID"]


def test_copies_of_one_series_under_two_patients_are_two_stacks_and_no_conflict(archive, holds):
    holds("hers", series(12))
    holds("his", [image(k, **HIS) for k in range(12)])
    assert refusal(archive).code == "which-stack"
    assert current(archive, PatientID="P-2").header.text("PatientID") == "P-2"


def test_a_patient_of_neither_name_is_refused_as_the_header_that_disagrees(archive, holds):
    holds("hers", series(12))
    holds("his", his(12))
    assert refusal(archive, PatientID="P-3").error_comment == "header-disagrees: PatientID"


def test_another_patient_without_an_image_or_with_a_stray_one_does_not_count(archive, holds):
    report = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.22", "Modality": "SR", "PixelData": None}
    holds("hers", series(12) + his(1))
    holds("his", his(1, SOPInstanceUID=uid("report"), **report))
    assert current(archive).header.text("PatientID") == "P-1"


def test_parts_of_two_patients_are_no_series_of_either(archive, holds):
    holds("hers", series(7))
    holds("his", his(3))
    assert refusal(archive).code == "which-stack"
    assert current(archive, PatientID="P-2").header.text("PatientID") == "P-2"


def test_a_stray_in_the_home_of_a_series_does_not_hide_the_other_patients_images(archive, holds, monkeypatch):
    holds("hers", series(12) + his(1))
    holds("his", his(12))
    home = next(facts.path.parent for facts in archive.instance_files(uid("instance", 3)))
    monkeypatch.setattr(archive, "home_of", lambda _: home)
    assert refusal(archive).code == "which-stack"


def test_one_series_uid_in_two_studies_is_one_series_once_the_study_is_named(archive, holds):
    holds("first", series(12))
    holds("second", series(12, StudyInstanceUID="1.2.3"))
    assert refusal(archive, "").code == "which-stack"
    assert current(archive, "1.2.3").header.text("StudyInstanceUID") == "1.2.3"


def test_a_known_series_under_another_study_is_told_to_be_here(archive, holds):
    holds("hers", series(12))
    refused = refusal(archive, "1.2.3.4")
    assert refused.error_comment == "unknown-image: series not in that study"
    assert "is in this archive, but not in the study 1.2.3.4" in refused.sentence
    assert "no series with the UID" in refusal(archive, series_uid="1.2.9").sentence


def test_an_image_is_its_whole_copy_where_another_is_truncated(
    archive: Archive, tmp_path: Path, holds
) -> None:
    holds("HERS", series(12))
    whole = tmp_path / "archive" / "BATCH" / "HERS" / "0005.dcm"
    whole.with_name("9999.dcm").write_bytes(whole.read_bytes()[:-10])
    archive.reindex()
    request = MPRRequest(PlaneRequest(), sop_instance_uid=series(12)[4].SOPInstanceUID)
    found = current_image(request, archive, archive.read_folder, SelectionRules())
    assert found.path == whole
