"""Which identifiers ask for planes, and the events that answer them; the archive is real, no socket is.

The series has 12 axial slices of 8 x 10 pixels of 1 mm, 2 mm apart: 8 coronal planes.
"""

from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from scp.config import Peer
from scp.errors import BadRequest, Cancelled, Code, Refused
from scp.model import Failed, Planned, Produced
from tests.builders import SERIES_UID, STUDY_UID, image, series, uid, write
from tests.services.wards import Ward, identifier, objects, requesting


def kinds(events) -> list[type]:
    """Return the kinds of events in their order, each once."""
    found = list(dict.fromkeys(type(event) for event in events))
    events.close()
    return found


def test_a_plain_identifier_at_the_nodes_own_title_is_an_ordinary_one(ward):
    assert ward.events(identifier(), called="MPRSCP") is None
    assert ward.service.answers_of(identifier(), requesting("MPRSCP")) is None
    assert ward.service.answers_of(identifier(), requesting("MPR_COR")) is None


def test_a_plain_identifier_at_a_preset_asks_for_its_planes(ward):
    events = ward.events(identifier())
    assert kinds(events) == [Planned, Produced]
    found = objects(ward.events(identifier()))
    assert [ds.InstanceNumber for ds in found] == list(range(1, 9))


@pytest.mark.parametrize("level", ["PATIENT", "STUDY"])
def test_a_preset_makes_nothing_of_whole_studies(ward, level):
    with pytest.raises(BadRequest) as caught:
        ward.events(identifier(level))
    assert caught.value.keyword == "QueryRetrieveLevel"


@pytest.mark.parametrize(("level", "keyword"), [("SERIES", "SeriesInstanceUID"), ("IMAGE", "SOPInstanceUID")])
def test_a_preset_needs_to_know_of_what(ward, level, keyword):
    with pytest.raises(BadRequest) as caught:
        ward.events(identifier(level, **{keyword: ""}))
    assert caught.value.keyword == keyword


@pytest.mark.parametrize("keys", [{}, {"ReformattingOperationType": "MPR"}])
def test_who_lacks_the_right_gets_nothing(ward, keys):
    with pytest.raises(Refused) as caught:
        ward.events(identifier(**keys), may_mpr=False)
    assert caught.value.code == "not-authorized"
    with pytest.raises(Refused):
        ward.service.answers_of(
            identifier(ReformattingOperationType="MPR"), requesting("MPRSCP", may_mpr=False)
        )


def test_planned_is_how_many_will_come(ward):
    events = ward.events(identifier(ReformattingOperationType="MPR", ReformattingInterval=3.0))
    came = list(events)
    events.close()
    (planned,) = (len(event.uids) for event in came if isinstance(event, Planned))
    assert planned == sum(isinstance(event, Produced) for event in came) == 3


def test_objects_lie_in_files_until_the_events_are_closed(ward):
    events = ward.events(identifier())
    first = next(event for event in events if isinstance(event, Produced))
    assert first.ref.path.is_relative_to(ward.spool)
    events.close()
    assert not list(ward.spool.glob("spool-*"))


def test_closing_early_ends_the_work(ward):
    events = ward.events(identifier())
    next(events)
    events.close()
    assert list(events) == []
    assert not list(ward.spool.glob("spool-*"))


def test_a_cancel_is_raised_by_the_events(ward):
    events = ward.events(identifier(), cancelled=lambda: True)
    with pytest.raises(Cancelled):
        list(events)
    events.close()


def test_keys_replace_what_the_preset_says(ward):
    asked = identifier(
        ReformattingOperationType="MPR", ReformattingOperationInitialViewDirection="TRANSVERSE"
    )
    assert len(objects(ward.events(asked))) == 23


def test_images_of_one_series_ask_for_one_reconstruction(ward):
    asked = identifier("IMAGE", SOPInstanceUID=[uid("instance", k) for k in (2, 5, 9)])
    assert len(objects(ward.events(asked))) == 8


@pytest.mark.parametrize(
    ("level", "keyword"),
    [
        ("SERIES", "PatientID"),
        ("IMAGE", "PatientID"),
        ("IMAGE", "StudyInstanceUID"),
        ("IMAGE", "SeriesInstanceUID"),
    ],
)
def test_unique_keys_at_a_preset_must_agree_with_the_stored_image(ward, level, keyword):
    asked = identifier(level, SOPInstanceUID=uid("instance", 5), **{keyword: "1.2.3.4"})
    with pytest.raises(Refused) as caught:
        list(ward.events(asked))
    assert caught.value.error_comment == f"header-disagrees: {keyword}"


def test_the_destination_decides_the_class_of_the_objects_before_the_requestor(ward):
    viewer = Peer(ae_title="VIEWER", networks=("127.0.0.1",), sop_class="source")
    plain = Peer(ae_title="PLAIN", networks=("127.0.0.1",))
    (of_viewer,) = {ds.SOPClassUID for ds in objects(ward.events(identifier(), peer=viewer))}
    to_plain = ward.events(identifier(), peer=viewer, destination=plain)
    assert of_viewer == CTImageStorage
    assert {ds.SOPClassUID for ds in objects(to_plain)} == {SecondaryCaptureImageStorage}


def test_the_policy_of_the_preset_fills_what_its_neighbours_refuse(ward):
    whole = [image(k, SeriesInstanceUID="1.2.7", SOPInstanceUID=uid("hole", k)) for k in range(12)]
    ward.holds("hole", whole[:5] + whole[6:])
    asked = identifier(SeriesInstanceUID="1.2.7")
    with pytest.raises(Refused) as caught:
        list(ward.events(asked))
    assert caught.value.error_comment == "missing-instances: 1 of 12 (6)"
    padded = objects(ward.events(asked, called="PADDED"))
    assert len(padded) == 8
    assert all(ds.SeriesDescription.startswith("INCOMPLETE") for ds in padded)


def test_of_several_series_one_that_is_refused_fails_alone(ward):
    few = [image(k, SeriesInstanceUID="1.2.9", SOPInstanceUID=uid("few", k)) for k in range(5)]
    ward.holds("few", few)
    events = ward.events(identifier(SeriesInstanceUID=["1.2.9", SERIES_UID]))
    came = list(events)
    events.close()
    (failed,) = (event for event in came if isinstance(event, Failed))
    assert (failed.uid, failed.error.error_comment) == ("1.2.9", "too-few-images: 5 of 10")
    assert sum(isinstance(event, Produced) for event in came) == 8
    assert [len(event.uids) for event in came if isinstance(event, Planned)] == [9]


def test_pixels_that_do_not_decode_make_a_slice_missing(ward):
    slices = [image(k, SeriesInstanceUID="1.2.8", SOPInstanceUID=uid("broken", k)) for k in range(12)]
    ward.holds("broken", slices)
    spoiled = image(5, SeriesInstanceUID="1.2.8", SOPInstanceUID=uid("broken", 5))
    spoiled.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xee no image"])
    spoiled["PixelData"].VR, spoiled["PixelData"].is_undefined_length = "OB", True
    path = ward.root / "BATCH" / "broken" / "0006.dcm"
    write(spoiled, path, transfer_syntax_uid="1.2.840.10008.1.2.4.90")
    with pytest.raises(Refused) as caught:
        list(ward.events(identifier(SeriesInstanceUID="1.2.8")))
    assert caught.value.error_comment == "missing-instances: 1 of 12 (6)"


def test_a_dry_run_answers_the_keys_that_were_asked_for_and_the_verdict(ward):
    asked = identifier(ReformattingOperationType="MPR", Rows=None, PatientID=None, StationName=None)
    (answer,) = ward.service.answers_of(asked, requesting("MPRSCP"))
    assert (answer.Rows, answer.PatientID) == (23, "P-1")
    assert not answer.StationName
    assert answer.ImageComments == "ok; used 12 of 12"
    assert "Columns" not in answer
    (made,) = {ds.SeriesInstanceUID for ds in objects(ward.events(asked, called="MPRSCP"))}
    assert answer.SeriesInstanceUID == made


def test_a_dry_run_of_what_would_be_refused_is_an_answer(ward):
    few = [image(k, SeriesInstanceUID="1.2.9", SOPInstanceUID=uid("few", k)) for k in range(5)]
    ward.holds("few", few)
    asked = identifier(
        SeriesInstanceUID="1.2.9", ReformattingOperationType="MPR", NumberOfSeriesRelatedInstances=None
    )
    (answer,) = ward.service.answers_of(asked, requesting("MPRSCP"))
    assert answer.ImageComments == "too-few-images: 5 of 10; used 5 of 5"
    assert answer.NumberOfSeriesRelatedInstances == 0
    assert answer.SeriesInstanceUID == "1.2.9"


def test_a_dry_run_names_an_image_of_each_stack_that_could_be_meant(ward):
    axial = [image(k, SeriesInstanceUID="1.2.6", SOPInstanceUID=uid("axial", k)) for k in range(12)]
    coronal = [
        image(
            k,
            SeriesInstanceUID="1.2.6",
            SOPInstanceUID=uid("coronal", k),
            orientation=(1, 0, 0, 0, 0, -1),
            InstanceNumber=50 + k,
        )
        for k in range(12)
    ]
    ward.holds("two", axial + coronal)
    asked = identifier(SeriesInstanceUID="1.2.6", ReformattingOperationType="MPR", SeriesDescription=None)
    (answer,) = ward.service.answers_of(asked, requesting("MPRSCP"))
    assert answer.SeriesDescription == "refused: which-stack"
    assert answer.ImageComments.startswith("which-stack: 2 stacks, name an image; ")
    assert uid("axial", 6) in answer.ImageComments
    assert uid("coronal", 6) in answer.ImageComments


def test_a_dry_run_of_what_is_not_here_is_an_answer(ward):
    asked = identifier(SeriesInstanceUID="1.2.5", ReformattingOperationType="MPR")
    (answer,) = ward.service.answers_of(asked, requesting("MPRSCP"))
    assert answer.ImageComments.startswith("unknown-image: series; ")
    assert answer.SeriesInstanceUID == "1.2.5"


def listed_series(ward: Ward, **who: Any) -> list[str]:
    query = identifier(SeriesInstanceUID="")
    return [str(ds.SeriesInstanceUID) for ds in ward.service.answers_of(query, requesting("LISTED", **who))]


def test_who_may_only_have_results_sees_and_gets_no_stored_series(ward: Ward) -> None:
    stored, result = listed_series(ward)
    assert stored == SERIES_UID
    assert listed_series(ward, may_stored=False) == [result]
    both = identifier(SeriesInstanceUID=[stored, result])
    with pytest.raises(Refused) as caught:
        ward.service.events_of(both, requesting("LISTED", may_stored=False), lambda: False)
    assert caught.value.code == Code.NOT_AUTHORIZED


def test_of_results_the_answers_are_capped_and_not_the_series_that_are_looked_at(tmp_path: Path) -> None:
    ward = Ward(tmp_path / "archive", {"query": {"maximum_answers": 1}})
    for name in ("a", "b", "c", "d"):
        changes = {"StudyInstanceUID": STUDY_UID, "SeriesInstanceUID": uid(name), "SeriesDescription": name}
        ward.holds(name, [image(k, SOPInstanceUID=uid(name, k), **changes) for k in range(12)])
    asked = requesting("LISTED", may_stored=False)
    everything = list(ward.service.answers_of(identifier(SeriesInstanceUID=""), asked))
    assert len(everything) == 4
    last = str(everything[-1].SeriesInstanceUID)
    (found,) = ward.service.answers_of(identifier(SeriesInstanceUID=last), asked)
    assert found.SeriesInstanceUID == last
    ward.archive.close()


ANOTHER = {"PatientName": "Doe^Another", "PatientID": "ANOTHER"}


def found_by(ward: Ward, asked: Dataset, **who: Any) -> list[Dataset]:
    return list(ward.service.answers_of(asked, requesting("LISTED", may_stored=False, **who)))


def refusal_of(ward: Ward, asked: Dataset) -> str:
    with pytest.raises(Refused) as caught:
        list(ward.events(asked, called="LISTED", root_model="PATIENT"))
    return caught.value.error_comment


@pytest.fixture
def stray(ward: Ward) -> Ward:
    """Return the ward with one image of another patient that bears the UIDs of its series."""
    ward.holds("stray", [image(4, SOPInstanceUID=uid("stray"), **ANOTHER)])
    return ward


def test_a_result_is_listed_once_and_for_the_patient_whose_images_it_is_made_of(stray: Ward) -> None:
    (listed,) = found_by(stray, identifier(SeriesInstanceUID="", PatientName="", PatientID=""))
    assert (listed.PatientName, listed.PatientID) == ("Roe^Jane", "P-1")


def test_a_patient_with_one_stray_image_has_no_result(stray: Ward) -> None:
    asked = identifier(SeriesInstanceUID="", PatientID="ANOTHER")
    assert found_by(stray, asked, root_model="PATIENT") == []
    listed = found_by(stray, identifier(SeriesInstanceUID="", PatientID="P-1"), root_model="PATIENT")
    assert len(listed) == 1
    planes = identifier("IMAGE", SeriesInstanceUID=listed[0].SeriesInstanceUID, SOPInstanceUID="")
    planes.PatientID = "ANOTHER"
    assert found_by(stray, planes, root_model="PATIENT") == []


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientID", "ANOTHER"), ("PatientName", "Doe^Another"), ("StudyInstanceUID", "1.2.3.4")],
)
def test_what_a_retrieve_of_a_result_says_of_the_patient_and_study_must_be_true(
    stray: Ward, keyword: str, value: str
) -> None:
    (result,) = found_by(stray, identifier(SeriesInstanceUID=""))
    asked = identifier(**{"SeriesInstanceUID": result.SeriesInstanceUID, keyword: value})
    assert refusal_of(stray, asked) == f"header-disagrees: {keyword}"
    asked = identifier(PatientID="P-1", PatientName="ROE^JANE", SeriesInstanceUID=result.SeriesInstanceUID)
    made = objects(stray.events(asked, called="LISTED"))
    assert {(ds.PatientID, ds.SeriesInstanceUID) for ds in made} == {("P-1", result.SeriesInstanceUID)}


def test_a_result_that_none_of_several_patients_yields_any_more_is_stale(stray: Ward) -> None:
    (result,) = found_by(stray, identifier(SeriesInstanceUID=""))
    stray.holds("one", series(13))
    asked = identifier(SeriesInstanceUID=result.SeriesInstanceUID)
    assert refusal_of(stray, asked) == "result-stale: images changed, query again"


def test_two_patients_in_one_series_have_a_result_each_of_their_own_images(ward: Ward) -> None:
    theirs = [image(k, SOPInstanceUID=uid("theirs", k), **ANOTHER) for k in range(11)]
    ward.holds("one", series(12) + theirs)
    listed = found_by(ward, identifier(SeriesInstanceUID="", PatientID=""))
    assert {ds.PatientID for ds in listed} == {"P-1", "ANOTHER"}
    for result in listed:
        asked = identifier(SeriesInstanceUID=result.SeriesInstanceUID, PatientID=result.PatientID)
        made = objects(ward.events(asked, called="LISTED"))
        assert {(ds.PatientID, ds.SeriesInstanceUID) for ds in made} == {
            (result.PatientID, result.SeriesInstanceUID)
        }
