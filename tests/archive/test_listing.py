"""A folder that is as it was costs one listing; whatever changes in it is noticed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scp.archive import Archive
from tests.builders import image, series, write, write_series


def settled(*paths: Path) -> None:
    """Make files as old as those that nobody writes any more."""
    for path in paths:
        os.utime(path, ns=(10**18, 10**18))


@pytest.fixture
def folder(archive: Archive) -> Path:
    """Return a folder of three slices that was looked at before."""
    folder = archive.root / "upload" / "series"
    settled(*write_series(series(3), folder))
    archive.read_folder(folder)
    return folder


def forbid_all_but_listing(patched: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("more than a listing was needed")

    patched.setattr("scp.archive.scan.read_file", refuse)
    patched.setattr("scp.archive.scan.rows_of_folder", refuse)


def test_a_folder_that_is_as_it_was_is_only_listed(
    archive: Archive, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = archive.read_folder(folder)
    forbid_all_but_listing(monkeypatch)
    assert archive.read_folder(folder) == expected
    assert len(expected) == 3


def _replace_in_place(folder: Path) -> None:
    """Write another image over one of the same length, and give it the old one's times."""
    path = folder / "0002.dcm"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"Roe^Jane", b"Roe^John"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def _add(folder: Path) -> None:
    settled(write(image(3), folder / "0004.dcm"))


def _remove(folder: Path) -> None:
    (folder / "0003.dcm").unlink()


def _rename(folder: Path) -> None:
    (folder / "0003.dcm").rename(folder / "0009.dcm")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_replace_in_place, {"0001.dcm": "Roe^Jane", "0002.dcm": "Roe^John", "0003.dcm": "Roe^Jane"}),
        (_add, dict.fromkeys(("0001.dcm", "0002.dcm", "0003.dcm", "0004.dcm"), "Roe^Jane")),
        (_remove, dict.fromkeys(("0001.dcm", "0002.dcm"), "Roe^Jane")),
        (_rename, dict.fromkeys(("0001.dcm", "0002.dcm", "0009.dcm"), "Roe^Jane")),
    ],
)
def test_what_changes_in_a_folder_is_noticed(
    archive: Archive, folder: Path, change: Callable[[Path], None], expected: dict[str, str]
) -> None:
    change(folder)
    read = archive.read_folder(folder)
    assert {one.path.name: one.header.text("PatientName") for one in read} == expected


def test_a_folder_with_a_link_is_looked_at_each_time(archive: Archive, folder: Path) -> None:
    target = write(image(5), archive.root / "elsewhere" / "a.dcm")
    (folder / "link.dcm").symlink_to(target)
    settled(target)
    archive.read_folder(folder)
    settled(write(image(6), target))
    numbers = [one.instance_number for one in archive.read_folder(folder)]
    assert numbers[-1] == 7


def test_only_so_many_files_are_remembered(
    archive: Archive, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.archive.listing.MOST_REMEMBERED", 5)
    other = archive.root / "upload" / "other"
    settled(*write_series(series(3), other))
    archive.read_folder(folder)
    archive.read_folder(other)
    archive.read_folder(other)
    forbid_all_but_listing(monkeypatch)
    assert len(archive.read_folder(other)) == 3
    with pytest.raises(AssertionError, match="more than a listing"):
        archive.read_folder(folder)
