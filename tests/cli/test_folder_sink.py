"""What ``get`` writes: whole Part 10 files under the instance's UID, or nothing."""

import pydicom
import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from scp.cli.folder_sink import FolderSink
from scp.errors import StoreRefused
from scp.model import Origin

DATA_SET = b"\x10\x00\x20\x00\x04\x00\x00\x00P-1 "


def origin(uid: str = "1.2.3") -> Origin:
    return Origin(CTImageStorage, uid, ImplicitVRLittleEndian, "STORE")


def test_an_instance_becomes_a_file_named_by_its_uid(tmp_path):
    counted: list[int] = []
    incoming = FolderSink(tmp_path / "out", counted.append).begin(origin())
    incoming.write(DATA_SET[:7])
    incoming.write(memoryview(DATA_SET)[7:])
    stored = incoming.commit()
    ds = pydicom.dcmread(stored.path)
    assert (stored.path.name, ds.PatientID, counted) == ("1.2.3.dcm", "P-1", [1])
    assert (ds.file_meta.MediaStorageSOPInstanceUID, ds.file_meta.TransferSyntaxUID) == (
        "1.2.3",
        ImplicitVRLittleEndian,
    )


def test_what_is_abandoned_leaves_nothing(tmp_path):
    incoming = FolderSink(tmp_path, lambda _count: None).begin(origin())
    incoming.write(DATA_SET)
    incoming.abandon()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uid", ["../../etc/passwd", "", "1/2", "1.2\0", "a", "...", "1" * 65])
def test_what_is_no_uid_names_no_file(tmp_path, uid):
    with pytest.raises(StoreRefused):
        FolderSink(tmp_path, lambda _count: None).begin(origin(uid))
    assert list(tmp_path.iterdir()) == []
