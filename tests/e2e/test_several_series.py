"""A preset asked for several series at once: one that is refused fails alone, counted and named."""

import pytest

from scp.config import Preset
from tests.builders import image, uid, write_series
from tests.e2e.conftest import peer

pytestmark = [pytest.mark.foreign, pytest.mark.wire]

PRESETS = {"MPR_COR": Preset(interval=2.0)}
STUDY = uid("study")
HELD = {"whole": range(12), "whole too": range(12), "hole": [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]}


@pytest.fixture
def asking(start_node, requestor, workstation, tmp_path):
    node = start_node(peer("WORKSTATION", workstation.port, destination=True), presets=PRESETS)
    asking = requestor(node)
    for name, numbers in HELD.items():
        slices = [
            image(k, StudyInstanceUID=STUDY, SeriesInstanceUID=uid(name), SOPInstanceUID=uid(name, k))
            for k in numbers
        ]
        asking.store(*write_series(slices, tmp_path / name))
    return asking


def series(*names):
    uids = "\\".join(map(uid, names))
    return ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY}", f"SeriesInstanceUID={uids}")


def images(*names):
    uids = "\\".join(uid(name, 5) for name in names)
    return ("QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={STUDY}", f"SOPInstanceUID={uids}")


@pytest.mark.parametrize("keys", [series, images])
def test_all_that_can_be_made_arrive(asking, workstation, keys):
    for answer in (
        asking.get(*keys("whole", "whole too"), called="MPR_COR"),
        asking.move(*keys("whole", "whole too"), to=workstation, called="MPR_COR"),
    ):
        assert (answer.status, answer.counts["Completed"]) == (0x0000, 8)
        assert len({ds.SeriesInstanceUID for ds in answer.objects}) == 2


@pytest.mark.parametrize(("keys", "failed"), [(series, uid("hole")), (images, uid("hole", 5))])
def test_one_that_is_refused_fails_alone_and_is_named(asking, workstation, keys, failed):
    answer = asking.move(*keys("whole", "hole", "whole too"), to=workstation, called="MPR_COR")
    assert answer.status == 0xB000
    assert answer.counts == {"Completed": 8, "Failed": 1, "Warning": 0}
    assert answer.comment == "1 of 9 failed: missing-instances: 1 of 12 (5)"
    assert f"[{failed}]" in answer.text.rpartition("FailedSOPInstanceUIDList")[0].splitlines()[-1]
    assert len({ds.SeriesInstanceUID for ds in answer.objects}) == 2


def test_when_all_are_refused_the_request_has_failed(asking, workstation):
    answer = asking.move(*series("hole", "nowhere"), to=workstation, called="MPR_COR")
    assert answer.status == 0xA702
    assert (answer.counts["Completed"], answer.counts["Failed"]) == (0, 2)
    assert uid("hole") in answer.text.rpartition("FailedSOPInstanceUIDList")[0].splitlines()[-1]
