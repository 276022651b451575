"""Messy folders in through the one door, by header."""

import os
from pathlib import Path

import pydicom
import pytest

from scp.archive import Archive
from scp.errors import Code, OutOfSpace
from scp.model import Progress
from tests.archive.conftest import Store
from tests.builders import image, series, write


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """Return a folder of images of two series, a bare data set, a copy, and things that are none."""
    folder = tmp_path / "messy"
    for number, ds in enumerate(series(3)):
        write(ds, folder / f"{number}" / "IM")
    write(image(5, SeriesInstanceUID="1.2.3.4"), folder / "other.DCM")
    write(image(6), folder / "bare", preamble=False)
    write(image(0), folder / "copy of 0.dcm")
    write(image(7, SeriesInstanceUID=""), folder / "nobody's.dcm")
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" * 100)
    (folder / "empty.dcm").touch()
    os.mkfifo(folder / "fifo")
    return folder


def test_what_is_dicom_is_stored_and_the_rest_counted_and_left(archive: Archive, messy: Path) -> None:
    before = sorted(messy.rglob("*"))
    summary = archive.import_paths([messy], "My Batch")
    assert summary.counts == {
        "stored": 5,
        "duplicate": 1,
        Code.NOT_DICOM: 1,
        Code.UNREADABLE: 2,
        Code.NOT_A_FILE: 1,
    }
    assert {path.name for path, _, _ in summary.left} == {"nobody's.dcm", "Thumbs.db", "empty.dcm", "fifo"}
    assert sorted(messy.rglob("*")) == before
    assert {path.name for path in archive.root.iterdir()} == {".scp", "My_Batch"}


def test_a_second_import_adds_nothing(archive: Archive, messy: Path) -> None:
    archive.import_paths([messy], "first")
    assert archive.import_paths([messy], "second").counts["stored"] == 0
    assert not (archive.root / "second").exists()


def test_a_bare_data_set_becomes_a_dicom_file(archive: Archive, messy: Path) -> None:
    archive.import_paths([messy / "bare"], "b")
    (facts,) = archive.instance_files(image(6).SOPInstanceUID)
    assert pydicom.dcmread(facts.path).PixelData == image(6).PixelData


def test_a_full_disk_ends_an_import(archive: Archive, messy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_settings", archive._settings.model_copy(update={"minimum_free": 1 << 60}))
    with pytest.raises(OutOfSpace):
        archive.import_paths([messy], "b")


def test_progress_counts_every_file(archive: Archive, messy: Path, store: Store) -> None:
    told: list[Progress] = []
    archive.import_paths([messy], "b", told.append)
    assert told[-1] == Progress("import", 10, 10)
