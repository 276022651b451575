"""A series that lies in three archives, and an archive that dies in the middle of an answer."""

import hashlib
from collections import Counter

import pydicom
import pytest

from scp.archive import Archive
from scp.config import Preset
from tests.builders import series, uid, write_series
from tests.cases.talkative import dcmqrscp, kill, orthanc
from tests.e2e.conftest import NODES, peer, requestor, start_node
from tests.e2e.stations import Requestor

__all__ = ["requestor", "start_node"]

pytestmark = [pytest.mark.foreign, pytest.mark.wire, pytest.mark.xdist_group("split")]

TITLE = "MPRSCP2"
PLANES = {"MPR_COR": Preset(interval=20.0)}
HERE, AT_ORTHANC, AT_DCMQRSCP = range(40), range(30, 80), range(60, 100)
"""Which of the 100 slices lie where: each two neighbours overlap, and the node lacks 60."""


@pytest.fixture
def intake(monkeypatch):
    """Return a list that grows by SOP Instance UID and calling AE title with all that any node receives."""
    begun = []
    begin = Archive.begin

    def seen(archive, origin):
        begun.append((origin.sop_instance_uid, origin.calling_ae_title))
        return begin(archive, origin)

    monkeypatch.setattr(Archive, "begin", seen)
    return begun


def keys_of(ds):
    return (
        "QueryRetrieveLevel=SERIES",
        f"StudyInstanceUID={ds.StudyInstanceUID}",
        f"SeriesInstanceUID={ds.SeriesInstanceUID}",
    )


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.data
def test_a_series_split_over_three_archives_gives_the_planes_of_the_whole_and_each_image_travels_once(
    case, program, start_node, requestor, tmp_path, intake
):
    headers = {
        path: pydicom.dcmread(path, stop_before_pixels=True)
        for path in case("ct_chest_cmb_crc_01068").iterdir()
    }
    paths = sorted(headers, key=lambda path: int(headers[path].InstanceNumber))
    uids = [str(headers[path].SOPInstanceUID) for path in paths]
    keys = keys_of(headers[paths[0]])
    mover = {TITLE: NODES[TITLE]}
    with (
        dcmqrscp(program, tmp_path / "dcmqrscp") as (by_get, get_log, _),
        orthanc(program, tmp_path / "orthanc", mover) as (by_move, move_log),
    ):
        by_get.store(*(paths[k] for k in AT_DCMQRSCP))
        Requestor(program, tmp_path / "modality", by_move.port).store(
            *(paths[k] for k in AT_ORTHANC), called=by_move.ae_title
        )
        sources = [
            peer(by_get.ae_title, by_get.port, complete_from=True, retrieve="get", deadline=60.0),
            peer(by_move.ae_title, by_move.port, complete_from=True, retrieve="move", deadline=60.0),
        ]
        node = start_node(*sources, title=TITLE, port=NODES[TITLE], presets=PLANES)
        split = requestor(node)
        split.store(*(paths[k] for k in HERE), called=TITLE)
        del intake[:]
        answer = split.get(*keys, called="MPR_COR")

        assert answer.status == 0x0000, answer.comment
        received = Counter(sender for _, sender in intake)
        assert sorted(one for one, _ in intake) == sorted(uids[len(HERE) :])
        assert received[by_get.ae_title] == get_log.sent() >= 20
        assert received[by_move.ae_title] == move_log.sent() >= 20

    whole = requestor(start_node(archive="unsplit", presets=PLANES))
    whole.store(*paths)
    planes = whole.get(*keys, called="MPR_COR").folder
    assert digests(answer.folder) == digests(planes) and len(digests(planes)) == 23


COUNT, HELD, KILLED_AT = 70, range(20, 60), 20


def test_of_a_peer_that_dies_at_its_20th_of_40_instances_the_answer_names_the_rest(
    program, start_node, requestor, tmp_path, intake, monkeypatch
):
    slices = series(COUNT)
    for k, ds in enumerate(slices):
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("killed"), uid("killed", "series")
        ds.SOPInstanceUID = uid("killed", k)
    paths = write_series(slices, tmp_path / "modality")
    with dcmqrscp(program, tmp_path / "dcmqrscp") as (dying, _, process):
        dying.store(*(paths[k] for k in HELD))
        source = peer(dying.ae_title, dying.port, complete_from=True, retrieve="get")
        asking = requestor(start_node(source, presets=PLANES))
        asking.store(*(path for k, path in enumerate(paths) if k not in HELD))
        del intake[:]
        begin = Archive.begin

        def killing(archive, origin):
            if len(intake) == KILLED_AT - 1:
                kill(process)
            return begin(archive, origin)

        monkeypatch.setattr(Archive, "begin", killing)
        answer = asking.get(*keys_of(slices[0]), called="MPR_COR")
        (dry,) = asking.find(
            *keys_of(slices[0]), "ReformattingOperationType=MPR", "ImageComments", called="MPR_COR"
        )

    assert len(intake) == KILLED_AT, (answer.comment, dry.ImageComments)
    arrived = {one for one, _ in intake[: KILLED_AT - 1]}
    rest = [ds for k, ds in enumerate(slices) if k in HELD and ds.SOPInstanceUID not in arrived]
    in_time = [ds for ds in rest if ds.SOPInstanceUID == intake[-1][0]]
    stored = asking.find(
        *("QueryRetrieveLevel=IMAGE", *keys_of(slices[0])[1:], "SOPInstanceUID"), called="MPRSCP"
    )
    if {ds.SOPInstanceUID for ds in in_time} & {one.SOPInstanceUID for one in stored}:
        rest.remove(in_time[0])  # the 20th was on its way already
    numbers = [int(ds.InstanceNumber) for ds in rest]
    assert len(numbers) in (KILLED_AT, KILLED_AT + 1)
    assert answer.status == 0xC011
    assert answer.comment.startswith(f"missing-instances: {len(numbers)} of {COUNT} ({numbers[0]}, ")
    assert f"missing {', '.join(map(str, numbers))}" in dry.ImageComments
