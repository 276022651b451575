"""The same request on the same images gives the same objects, byte for byte, whatever was lost meanwhile."""

import shutil

import pytest

from scp.config import Preset, Reconstruction
from tests.builders import SERIES_UID, STUDY_UID, image, series, write, write_series

pytestmark = [pytest.mark.foreign, pytest.mark.wire]

PRESETS = {"MPR_COR": Preset(interval=2.0)}
SERIES = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY_UID}", f"SeriesInstanceUID={SERIES_UID}")


def planes(answer):
    assert answer.status == 0x0000, answer.comment
    return {path.name: path.read_bytes() for path in answer.folder.iterdir()}


def test_asking_twice_gives_the_same_bytes(start_node, requestor, tmp_path):
    for archive, reconstruction in (("cached", Reconstruction()), ("plain", Reconstruction(cache=0))):
        asking = requestor(start_node(archive=archive, presets=PRESETS, reconstruction=reconstruction))
        asking.store(*write_series(series(12), tmp_path / "modality"))
        first = planes(asking.get(*SERIES, called="MPR_COR"))
        assert planes(asking.get(*SERIES, called="MPR_COR")) == first
        assert len(first) == 4


def test_a_restart_without_index_and_caches_gives_the_same_bytes(
    start_node, requestor, tmp_path, hand_copied
):
    node = start_node(presets=PRESETS)
    asking = requestor(node)
    asking.store(*write_series(series(12), tmp_path / "modality"))
    before = planes(asking.get(*SERIES, called="MPR_COR"))
    node.stop()
    shutil.rmtree(tmp_path / "archive" / ".scp")
    hand_copied(tmp_path / "archive")
    asking = requestor(start_node(presets=PRESETS))
    assert planes(asking.get(*SERIES, called="MPR_COR")) == before


def test_strangers_in_the_folder_change_no_byte(start_node, requestor, tmp_path, hand_copied):
    """What the pixels do not depend on is not in the objects."""
    for name in ("clean", "messy"):
        write_series(series(12), tmp_path / name / "BATCH" / "one")
    messy = tmp_path / "messy" / "BATCH" / "one"
    write(image(3, PatientName="Doe^John", SOPInstanceUID="1.2.3"), messy / "stranger.dcm")
    (messy / "notes.txt").write_text("nothing")
    found = []
    for name in ("clean", "messy"):
        hand_copied(tmp_path / name)
        asking = requestor(start_node(archive=name, presets=PRESETS))
        found.append(planes(asking.get(*SERIES, called="MPR_COR")))
    assert found[0] == found[1]


def test_a_corrected_name_gives_other_objects(start_node, requestor, tmp_path):
    found = []
    for name in ("Roe^Jane", "Roe^Janet"):
        asking = requestor(start_node(archive=name, presets=PRESETS))
        asking.store(*write_series(series(12, PatientName=name), tmp_path / name))
        found.append(planes(asking.get(*SERIES, called="MPR_COR")))
    assert not found[0].keys() & found[1].keys()
