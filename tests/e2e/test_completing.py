"""What a series lacks comes from an archive of another make; Orthanc retrieves planes as it would images."""

import hashlib
import io

import pydicom
import pytest

from scp.config import Completion, Preset
from tests.builders import SERIES_UID, STUDY_UID, series, uid, write_series
from tests.e2e.conftest import NODES, peer, running_node
from tests.e2e.stations import Requestor, wait_for

pytestmark = [pytest.mark.foreign, pytest.mark.wire, pytest.mark.xdist_group("completing")]

WITHHELD = (4, 5)
PLANES = {"MPR_COR": Preset(interval=2.0)}
SERIES = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY_UID}", f"SeriesInstanceUID={SERIES_UID}")


def named(slices, name):
    """Return the slices as a study of their own, so that archives shared by tests do not mix them."""
    for k, ds in enumerate(slices):
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(name), uid(name, "series")
        ds.SOPInstanceUID = uid(name, k)
    return slices


def series_keys(ds):
    return (
        "QueryRetrieveLevel=SERIES",
        f"StudyInstanceUID={ds.StudyInstanceUID}",
        f"SeriesInstanceUID={ds.SeriesInstanceUID}",
    )


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_two_withheld_instances_come_from_the_peer_and_the_planes_are_the_same(
    start_node, requestor, peer_archive, tmp_path, retrieve
):
    slices = named(series(12), f"withheld {retrieve}")
    paths = write_series(slices, tmp_path / "modality")
    held_back = [paths[k] for k in WITHHELD]
    peer_archive.store(*held_back)
    title = {"get": "MPRSCP0", "move": "MPRSCP1"}[retrieve]
    source = peer(peer_archive.ae_title, peer_archive.port, complete_from=True, retrieve=retrieve)
    node = start_node(source, title=title, port=NODES[title], presets=PLANES)
    split = requestor(node)
    split.store(*(path for path in paths if path not in held_back), called=title)
    keys = series_keys(slices[0])

    (dry,) = split.find(*keys, "ReformattingOperationType=MPR", "ImageComments", called="MPR_COR")
    assert dry.ImageComments.startswith("missing-instances: 2 of 12 (5, 6)")
    (held,) = split.find(*keys, "NumberOfSeriesRelatedInstances", called=title)
    assert held.NumberOfSeriesRelatedInstances == 10, "a dry run retrieves nothing"
    answer = split.get(*keys, called="MPR_COR")
    assert (answer.status, answer.counts["Completed"]) == (0x0000, 4), answer.comment
    (stored,) = split.find(*keys, "NumberOfSeriesRelatedInstances", called=title)
    assert stored.NumberOfSeriesRelatedInstances == 12

    unsplit_node = start_node(archive="unsplit", presets=PLANES)
    unsplit = requestor(unsplit_node)
    unsplit.store(*paths)
    assert digests(answer.folder) == digests(unsplit.get(*keys, called="MPR_COR").folder)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_what_nobody_has_is_refused_with_its_numbers_and_soon(start_node, requestor, peer_archive, tmp_path):
    slices = named(series(12), "nowhere")
    paths = write_series(slices, tmp_path / "modality")
    source = peer(peer_archive.ae_title, peer_archive.port, complete_from=True)
    node = start_node(source, presets=PLANES, completion=Completion(deadline=10.0))
    asking = requestor(node)
    asking.store(*(paths[k] for k in range(12) if k != 6))
    answer = asking.get(*series_keys(slices[0]), called="MPR_COR")
    assert (answer.status, answer.comment) == (0xC011, "missing-instances: 1 of 12 (7)")
    assert not answer.counts


def test_a_series_of_which_one_image_is_here_is_fetched_whole(start_node, requestor, peer_archive, tmp_path):
    slices = named(series(12), "alone")
    paths = write_series(slices, tmp_path / "modality")
    peer_archive.store(*paths)
    source = peer(peer_archive.ae_title, peer_archive.port, complete_from=True)
    node = start_node(source, presets=PLANES)
    asking = requestor(node)
    asking.store(paths[7])
    answer = asking.get(*series_keys(slices[0]), called="MPR_COR")
    assert (answer.status, answer.counts.get("Completed")) == (0x0000, 4), answer.comment


@pytest.fixture(scope="module")
def ward(program, an_orthanc, tmp_path_factory):
    """Return a requestor of a node that holds the series and sends to Orthanc, which knows its preset."""
    folder = tmp_path_factory.mktemp("orthanc ward")
    destination = peer(an_orthanc.ae_title, an_orthanc.port, destination=True)
    with running_node(folder / "archive", destination, presets=PLANES) as node:
        asking = Requestor(program, folder / "answers", node.address[1])
        asking.store(*write_series(series(12), folder / "modality"))
        for name, title in (("NODE", "MPRSCP"), ("PRESET", "MPR_COR")):
            modality = {
                "AET": title,
                "Host": "127.0.0.1",
                "Port": node.address[1],
                "AllowNEventReport": False,
            }
            an_orthanc.rest("PUT", f"/modalities/{name}", modality)
        yield asking


def held_series(an_orthanc):
    """Return the instances of each series at Orthanc, by Series Instance UID."""
    held = (an_orthanc.rest("GET", f"/series/{one}") for one in an_orthanc.rest("GET", "/series"))
    return {one["MainDicomTags"]["SeriesInstanceUID"]: one["Instances"] for one in held}


def test_orthanc_retrieves_planes_by_nothing_but_uids_and_takes_them(ward, an_orthanc):
    query = an_orthanc.rest(
        "POST",
        "/modalities/PRESET/query",
        {"Level": "Series", "Query": {"StudyInstanceUID": STUDY_UID, "SeriesInstanceUID": SERIES_UID}},
    )["ID"]
    assert an_orthanc.rest("GET", f"/queries/{query}/answers") == ["0"]
    an_orthanc.rest("POST", f"/queries/{query}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
    wait_for(lambda: held_series(an_orthanc), "the planes at Orthanc")
    ((result_uid, instances),) = held_series(an_orthanc).items()
    (promised,) = ward.find(*SERIES, "ReformattingOperationType=MPR", called="MPR_COR")
    assert (result_uid, len(instances)) == (promised.SeriesInstanceUID, 4)
    direct = {ds.SOPInstanceUID: ds for ds in ward.get(*SERIES, called="MPR_COR").objects}
    for instance in instances:
        ds = pydicom.dcmread(io.BytesIO(an_orthanc.dicom(instance)))
        assert ds.PixelData == direct.pop(ds.SOPInstanceUID).PixelData
    assert not direct


def test_orthanc_sees_the_planes_as_one_ordered_volume(ward, an_orthanc):
    answer = ward.move(*SERIES, to="ORTHANC", called="MPR_COR")
    assert (answer.exit_code, answer.counts) == (0, {"Completed": 4, "Failed": 0, "Warning": 0})
    (held,) = an_orthanc.rest("GET", "/series")
    ordered = an_orthanc.rest("GET", f"/series/{held}/ordered-slices")
    assert ordered["Type"] == "Volume"
    places = [
        pydicom.dcmread(io.BytesIO(an_orthanc.dicom(path.split("/")[2]))).ImagePositionPatient[1]
        for path in ordered["Dicom"]
    ]
    assert len(places) == 4
    assert places in (sorted(places), sorted(places, reverse=True))
