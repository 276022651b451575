"""Group A: what lies in a folder beside DICOM files that can be read."""

import os
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage

from scp.errors import Code
from tests.builders import uid, write
from tests.cases.registry import case
from tests.cases.scenes import Scene, Whose, among, lay, scan, slice_at

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@case("A1", "png, jpg, pdf, txt, Thumbs.db, .DS_Store", left_out={Code.NOT_DICOM: 6})
def _(folder: Path) -> Scene:
    for name, content in {
        "a.png": PNG,
        "b.jpg": b"\xff\xd8\xff\xe0" + bytes(60),
        "c.pdf": b"%PDF-1.4\n",
        "d.txt": b"notes",
        "Thumbs.db": b"\xd0\xcf\x11\xe0" + bytes(60),
        ".DS_Store": b"\x00\x00\x00\x01Bud1" + bytes(60),
    }.items():
        (folder / name).write_bytes(content)
    return among(folder, [])


@case("A2", "text named .dcm, an empty file, ._x.dcm, a header cut off", left_out={Code.UNREADABLE: 4})
def _(folder: Path) -> Scene:
    scene = among(folder, [])
    (folder / "report.dcm").write_text("not DICOM at all")
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "._x.dcm").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(100))
    (folder / "cut.dcm").write_bytes(scene.current.read_bytes()[:500])
    return scene


@case("A3", "DICOM files without suffix")
def _(folder: Path) -> Scene:
    return Scene(lay(folder, scan(), "IM{:04d}")[5])


@case("A4", "data sets without preamble and DICM", notes={Code.NO_PREAMBLE})
def _(folder: Path) -> Scene:
    paths = [
        write(ds, folder / f"{k:04d}.dcm", transfer_syntax_uid=ImplicitVRLittleEndian, preamble=False)
        for k, ds in enumerate(scan())
    ]
    return Scene(paths[5])


@case(
    "A5",
    "a slice more, its Pixel Data cut in the middle; another without Pixel Data",
    left_out={Code.TRUNCATED: 1, Code.NO_PIXEL_DATA: 1},
)
def _(folder: Path) -> Scene:
    scene = among(folder, [])
    (cut,) = lay(folder, [slice_at(12, Whose.ANOTHER_IMAGE)], "cut.dcm")
    cut.write_bytes(cut.read_bytes()[:-80])
    bare = slice_at(13, Whose.ANOTHER_IMAGE)
    del bare.PixelData
    lay(folder, [bare], "bare.dcm")
    return scene


@case("A6", "a DICOMDIR", left_out={Code.NOT_AN_IMAGE: 1})
def _(folder: Path) -> Scene:
    write(_directory(), folder / "DICOMDIR")
    return among(folder, [])


def _directory() -> Dataset:
    """Return a Basic Directory IOD (PS3.3 F.3) without records."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    ds.file_meta.MediaStorageSOPInstanceUID = uid("directory")
    ds.FileSetID = "MEDIUM"
    ds.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    ds.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    ds.FileSetConsistencyFlag = 0
    ds.DirectoryRecordSequence = []
    return ds


@case("A7 link", "a link to another patient's image outside the archive", left_out={Code.NOT_A_FILE: 1})
def _(folder: Path) -> Scene:
    (outside,) = lay(folder.parent.parent / "outside", [slice_at(12, Whose.ANOTHER_PATIENT, "outside")])
    (folder / "link.dcm").symlink_to(outside)
    return among(folder, [])


STOPS = {"SimpleITK/GDCM": "varies: it lists what the directory holds before it, and no more"}


@case("A7 loop", "links that go in a circle", left_out={Code.NOT_A_FILE: 2}, varies=STOPS)
def _(folder: Path) -> Scene:
    (folder / "one.dcm").symlink_to(folder / "two.dcm")
    (folder / "two.dcm").symlink_to(folder / "one.dcm")
    return among(folder, [])


@case("A7 pipe", "a named pipe", left_out={Code.NOT_A_FILE: 1}, varies=STOPS)
def _(folder: Path) -> Scene:
    os.mkfifo(folder / "pipe.dcm")
    return among(folder, [])
