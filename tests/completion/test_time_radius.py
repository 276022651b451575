"""The search by time: folders that came into being about when the current image's did."""

from dataclasses import replace
from pathlib import Path

import pytest

from scp.completion import Surroundings
from scp.errors import Code
from tests.builders import series, write, write_series
from tests.completion.world import ArchiveTwin, Reader, completed, lines, numbers

RADII_S = (600.0, 3600.0, 86400.0)


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveTwin:
    """Return an archive whose series 2026/one lacks its image 7; the folder came 1000 minutes in."""
    slices = series(12)
    write_series([ds for ds in slices if ds.InstanceNumber != 7], tmp_path / "2026/one")
    return ArchiveTwin(tmp_path, {tmp_path / "2026/one": 1000.0})


def around(archive: ArchiveTwin, reader: Reader) -> Surroundings:
    return Surroundings(
        read_folder=reader,
        top=archive.root / "2026",
        searches=("time_radius",),
        time_radii_s=RADII_S,
        archive=archive,
    )


def folder_with_slice_7(archive: ArchiveTwin, name: str, created_min: float) -> Path:
    write(series(12)[6], archive.root / name / "lost.dcm")
    archive.created_min[archive.root / name] = created_min
    return archive.root / name


@pytest.mark.parametrize(
    ("created_min", "radii"),
    [
        (1009.0, ["10 min"]),
        (991.0, ["10 min"]),
        (1010.0, ["10 min"]),
        (1011.0, ["10 min", "1 h"]),
        (1800.0, ["10 min", "1 h", "1 d"]),
    ],
)
def test_the_radius_grows_until_nothing_lacks(
    archive: ArchiveTwin, created_min: float, radii: list[str]
) -> None:
    folder_with_slice_7(archive, "another batch/two", created_min)

    report = completed(archive.root / "2026/one/0001.dcm", around(archive, Reader()))

    assert numbers(report) == list(range(1, 13))
    assert [line.asked for line in report.searches] == radii
    assert lines(report)[-1] == ("time_radius", radii[-1], 1, 1)


def test_folders_outside_the_widest_radius_are_not_read(archive: ArchiveTwin) -> None:
    folder_with_slice_7(archive, "older", 1000.0 - 1441.0)
    reader = Reader()

    report = completed(archive.root / "2026/one/0001.dcm", around(archive, reader))

    assert report.verdict == Code.MISSING_INSTANCES
    assert reader.folders == []


def test_a_folder_that_another_search_has_read_is_not_read_again(archive: ArchiveTwin) -> None:
    write_series(series(3, SeriesInstanceUID="1.2.3"), archive.root / "2026/two")
    archive.created_min[archive.root / "2026/two"] = 1001.0
    reader = Reader()
    surroundings = replace(around(archive, reader), searches=("ancestors", "time_radius"))

    completed(archive.root / "2026/one/0001.dcm", surroundings)

    assert reader.folders == [archive.root / "2026", archive.root / "2026/two"]


def test_the_nodes_own_folder_is_no_source(archive: ArchiveTwin) -> None:
    folder_with_slice_7(archive, ".scp/conflicts", 1000.0)
    reader = Reader()

    completed(archive.root / "2026/one/0001.dcm", around(archive, reader))

    assert reader.folders == []


def test_a_folder_that_the_index_has_not_seen_has_no_time_to_search_around(archive: ArchiveTwin) -> None:
    archive.created_min.clear()

    report = completed(archive.root / "2026/one/0001.dcm", around(archive, Reader()))

    assert [line.detail for line in report.searches] == ["the index has not seen the folder"]


def test_a_folder_that_vanished_is_counted(archive: ArchiveTwin) -> None:
    archive.created_min[archive.root / "gone"] = 1000.0

    report = completed(archive.root / "2026/one/0001.dcm", around(archive, Reader()))

    assert report.searches[0].detail == "folders unreadable 1"
