"""A preset may list what it would yield as series of the study: any viewer can then ask for planes."""

import pytest

from scp.config import Preset
from scp.model import Direction
from tests.builders import SERIES_UID, STUDY_UID, image, series, uid, write_series

pytestmark = [pytest.mark.foreign, pytest.mark.wire]

PRESETS = {"CORVIEW": Preset(direction=Direction.CORONAL, interval=2.0, virtual_series=True)}
STUDY = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY_UID}")
RETURNED = ("SeriesInstanceUID", "SeriesDescription", "NumberOfSeriesRelatedInstances", "Modality")


@pytest.fixture
def asking(start_node, requestor, tmp_path):
    """Return a requestor of a node with a whole series and one of four images, which yields nothing."""
    asking = requestor(start_node(presets=PRESETS))
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
    assert (answer.status, answer.comment.partition(":")[0]) == (0xC021, "result-stale")
    assert listed(asking).SeriesInstanceUID != virtual
