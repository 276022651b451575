"""A preset may list what it would yield as series of the study: any viewer can then ask for planes."""

import pytest

from scp.config import Preset
from scp.model import Direction, Policy
from tests.builders import SERIES_UID, STUDY_UID, image, series, uid, write_series
from tests.e2e.conftest import peer

pytestmark = [pytest.mark.foreign, pytest.mark.wire]

PRESETS = {"CORVIEW": Preset(direction=Direction.CORONAL, interval=2.0, virtual_series=True)}
STUDY = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY_UID}")
RETURNED = ("SeriesInstanceUID", "SeriesDescription", "NumberOfSeriesRelatedInstances", "Modality")


@pytest.fixture
def asking(start_node, requestor, workstation, tmp_path):
    """Return a requestor of a node with a whole series and one of four images, which yields nothing."""
    destination = peer("WORKSTATION", workstation.port, destination=True)
    asking = requestor(start_node(destination, presets=PRESETS))
    few = [image(k, SeriesInstanceUID=uid("few"), SOPInstanceUID=uid("few", k)) for k in range(4)]
    asking.store(
        *write_series(series(12), tmp_path / "modality"), *write_series(few, tmp_path / "modality" / "few")
    )
    return asking


def listed(asking):
    """Return the one series at the preset's title that nobody stored."""
    (virtual,) = (
        answer
        for answer in asking.find(*STUDY, *RETURNED, called="CORVIEW")
        if answer.SeriesInstanceUID not in (SERIES_UID, uid("few"))
    )
    return virtual


def named(series_uid, level="SERIES", *more):
    return (
        f"QueryRetrieveLevel={level}",
        f"StudyInstanceUID={STUDY_UID}",
        f"SeriesInstanceUID={series_uid}",
        *more,
    )


def test_only_the_presets_title_lists_it_and_only_where_it_can_be_made(asking):
    own = {answer.SeriesInstanceUID for answer in asking.find(*STUDY, *RETURNED)}
    assert own == {SERIES_UID, uid("few")}
    virtual = listed(asking)
    assert virtual.NumberOfSeriesRelatedInstances == 4
    assert virtual.Modality == "CT"
    assert virtual.StudyInstanceUID == STUDY_UID


def test_retrieving_it_renders_it_and_the_originals_are_still_there(asking):
    virtual = listed(asking)
    planes = asking.get(*named(virtual.SeriesInstanceUID), called="CORVIEW")
    assert (planes.status, planes.counts.get("Completed")) == (0x0000, 4), planes.comment
    assert {ds.SeriesInstanceUID for ds in planes.objects} == {virtual.SeriesInstanceUID}
    originals = asking.get(*named(SERIES_UID), called="CORVIEW")
    assert {ds.SeriesInstanceUID for ds in originals.objects} == {SERIES_UID}
    assert len(originals.objects) == 12


def test_its_images_can_be_listed_and_retrieved_one_by_one(asking):
    virtual = listed(asking).SeriesInstanceUID
    answers = asking.find(*named(virtual, "IMAGE", "SOPInstanceUID", "InstanceNumber"), called="CORVIEW")
    assert sorted(answer.InstanceNumber for answer in answers) == [1, 2, 3, 4]
    second = next(answer.SOPInstanceUID for answer in answers if answer.InstanceNumber == 2)
    got = asking.get(*named(virtual, "IMAGE", f"SOPInstanceUID={second}"), called="CORVIEW")
    assert [ds.SOPInstanceUID for ds in got.objects] == [second]


def test_one_whose_sources_changed_since_is_refused_as_stale(asking, tmp_path):
    virtual = listed(asking).SeriesInstanceUID
    asking.store(*write_series([image(12)], tmp_path / "late"))
    answer = asking.get(*named(virtual), called="CORVIEW")
    assert (answer.status, answer.comment) == (0xC021, "result-stale: images changed, now 13, query again")
    assert listed(asking).SeriesInstanceUID != virtual


def test_one_listed_as_interpolated_is_stale_once_a_peer_gave_the_image_and_the_next_listing_is_good(
    start_node, requestor, peer_archive, tmp_path
):
    own = {"StudyInstanceUID": uid("late"), "SeriesInstanceUID": uid("late", "series")}
    paths = write_series(
        [image(k, SOPInstanceUID=uid("late", k), **own) for k in range(12)], tmp_path / "all"
    )
    peer_archive.store(paths[5])
    source = peer(peer_archive.ae_title, peer_archive.port, complete_from=True)
    preset = Preset(interval=2.0, policy=Policy.INTERPOLATE, virtual_series=True)
    node = requestor(start_node(source, presets={"CORVIEW": preset}))
    node.store(*paths[:5], *paths[6:])
    study, keys = f"StudyInstanceUID={uid('late')}", ("QueryRetrieveLevel=SERIES", "SeriesDescription")

    def virtual_series_uid(begins_with):
        answers = node.find(study, *keys, "SeriesInstanceUID", called="CORVIEW")
        (found,) = (ds for ds in answers if ds.SeriesInstanceUID != own["SeriesInstanceUID"])
        assert found.SeriesDescription.startswith(begins_with)
        return f"SeriesInstanceUID={found.SeriesInstanceUID}"

    guessed = virtual_series_uid("INTERPOLATED")
    for _ in range(2):
        stale = node.get(study, keys[0], guessed, called="CORVIEW")
        assert (stale.status, stale.comment) == (0xC021, "result-stale: images changed, now 12, query again")
    whole = node.get(study, keys[0], virtual_series_uid("COR"), called="CORVIEW")
    assert (whole.status, whole.counts.get("Completed")) == (0x0000, 4), whole.comment


@pytest.fixture
def mixed(asking, tmp_path):
    """Return the requestor, with one image of another patient that bears the UIDs of the whole series."""
    stray = image(4, SOPInstanceUID=uid("stray"), PatientName="Doe^Another", PatientID="ANOTHER")
    asking.store(*write_series([stray], tmp_path / "stray"))
    return asking


@pytest.mark.parametrize("named_patient", ["PatientName", "PatientName=Doe^Another"])
def test_it_is_listed_for_the_patient_whose_planes_they_are_and_for_no_other(mixed, named_patient):
    answers = mixed.find(*STUDY, "SeriesInstanceUID", named_patient, called="CORVIEW")
    virtual = [ds for ds in answers if ds.SeriesInstanceUID not in (SERIES_UID, uid("few"))]
    assert [str(ds.PatientName) for ds in virtual] == ([] if "=" in named_patient else ["Roe^Jane"])


def test_patient_root_finds_and_gets_it_by_its_own_patient_alone(mixed, workstation):
    virtual = listed(mixed).SeriesInstanceUID
    found = mixed.find("PatientID=ANOTHER", *STUDY, "SeriesInstanceUID", called="CORVIEW", model="-P")
    assert [ds.SeriesInstanceUID for ds in found] == [SERIES_UID]
    for answer in (
        mixed.get("PatientID=ANOTHER", *named(virtual), called="CORVIEW", model="-P"),
        mixed.move("PatientID=ANOTHER", *named(virtual), called="CORVIEW", model="-P", to=workstation),
    ):
        assert (answer.status, answer.comment) == (0xA900, "header-disagrees: PatientID")
        assert not answer.objects
    own = mixed.move("PatientID=P-1", *named(virtual), called="CORVIEW", model="-P", to=workstation)
    assert (own.status, own.counts.get("Completed")) == (0x0000, 4), own.comment
    assert {ds.PatientID for ds in own.objects} == {"P-1"}
