"""Three series of one study in one folder, with files that are no images: the volume is still the one meant.

Once the files are as they came, once somebody gave every one the Series Instance UID of the volume.
"""

import json

import pydicom
import pytest

from scp.cli import main
from tests.e2e.stations import data_sets

pytestmark = [pytest.mark.foreign, pytest.mark.wire, pytest.mark.data]

FOREIGN = {"sheet.png": b"\x89PNG\r\n\x1a\n" + bytes(200), "notes.txt": b"left knee, second try\n"}
EXCLUDED = {"as they came": "other-series", "one Series Instance UID": "other-series-number"}


@pytest.fixture(params=EXCLUDED)
def mixed(request, case, tmp_path):
    """Return how the files were treated, and the batch that holds them in one folder."""
    study = case("ct_study_philips_headphantom") / "S21570"
    folder = tmp_path / "archive" / "UPLOAD" / "everything"
    folder.mkdir(parents=True)
    volume_uid = pydicom.dcmread(min((study / "S2010").glob("I*"))).SeriesInstanceUID
    for path in sorted(study.glob("S*/I*")):
        ds = pydicom.dcmread(path)
        if request.param == "one Series Instance UID":
            ds.SeriesInstanceUID = volume_uid
        ds.save_as(folder / f"{path.parent.name}-{path.name}")
    for name, content in FOREIGN.items():
        (folder / name).write_bytes(content)
    return request.param, folder


def expected_reasons(how, folder):
    def reason(name):
        if name in FOREIGN:
            return "not-dicom"
        return "used" if name.startswith("S2010") else EXCLUDED[how]

    return {path.name: reason(path.name) for path in folder.iterdir()}


def test_explain_gives_every_file_its_reason(mixed, capsys):
    how, folder = mixed
    with pytest.raises(SystemExit) as ended:
        main(["explain", str(min(folder.glob("S2010*"))), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert not ended.value.code
    assert (report["verdict"], report["used"]) == ("ok", 28)
    assert {row["path"]: row["reason"] for row in report["files"]} == expected_reasons(how, folder)
    assert report["counts"] == {"used": 28, EXCLUDED[how]: 7, "not-dicom": 2}
    details = {row["path"]: row["detail"] for row in report["files"]}
    assert all(details[name] for name, reason in expected_reasons(how, folder).items() if reason != "used")


def test_a_node_finds_the_same_volume_in_a_batch_that_was_copied_in(
    mixed, start_node, requestor, hand_copied, case
):
    how, folder = mixed
    hand_copied(folder.parent)
    volume = sorted((case("ct_study_philips_headphantom") / "S21570" / "S2010").glob("I*"))
    uid = pydicom.dcmread(volume[0]).SOPInstanceUID
    keys = (
        "QueryRetrieveLevel=IMAGE",
        f"SOPInstanceUID={uid}",
        "ReformattingOperationType=MPR",
        "ReformattingInterval=40",
    )
    asking = requestor(start_node())
    (dry,) = asking.find(*keys, "ImageComments")
    assert dry.ImageComments == f"ok; used 28 of 28; excluded {EXCLUDED[how]} 7, not-dicom 2"
    planes = asking.get(*keys)
    assert planes.status == 0x0000
    tidy = requestor(start_node(archive="tidy"))
    tidy.store(*volume)
    assert data_sets(planes.folder.iterdir()) == data_sets(tidy.get(*keys).folder.iterdir())
