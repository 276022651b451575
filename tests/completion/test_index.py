"""The search in the index: the same study and series, whichever folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from scp.completion import Surroundings
from scp.errors import Code, IndexUnavailable
from tests.builders import series, write, write_series
from tests.completion.world import ArchiveTwin, Reader, completed, lines, numbers


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveTwin:
    return ArchiveTwin(tmp_path)


def around(archive: ArchiveTwin) -> Surroundings:
    return Surroundings(read_folder=Reader(), top=archive.root / "one", searches=("index",), archive=archive)


def test_an_instance_in_any_folder_is_found(archive: ArchiveTwin) -> None:
    slices = series(12)
    write_series([*slices[:6], *slices[7:]], archive.root / "one/s")
    path = write(slices[6], archive.root / "two/deep/lost.dcm")

    report = completed(archive.root / "one/s/0001.dcm", around(archive))

    assert report.stack[6].path == path
    assert lines(report) == [("index", "index", 1, 1)]


def test_a_series_that_goes_on_in_another_folder_is_joined_though_nothing_seemed_to_lack(
    archive: ArchiveTwin,
) -> None:
    slices = series(24)
    write_series(slices[:12], archive.root / "by hand/s")
    write_series(slices[12:], archive.root / "ours/s")

    report = completed(archive.root / "by hand/s/0001.dcm", around(archive))

    assert numbers(report) == list(range(1, 25))


def test_a_whole_series_that_is_all_in_one_folder_needs_no_line(archive: ArchiveTwin) -> None:
    write_series(series(12), archive.root / "one/s")
    assert completed(archive.root / "one/s/0001.dcm", around(archive)).searches == ()


def test_copies_of_what_is_used_are_no_candidates(archive: ArchiveTwin) -> None:
    slices = series(12)
    write_series([*slices[:6], *slices[7:]], archive.root / "one/s")
    write_series(slices, archive.root / "copy")

    report = completed(archive.root / "one/s/0001.dcm", around(archive))

    assert report.ok
    assert [row.path for row in report.rows if row.path.parent.name == "copy"] == [
        archive.root / "copy/0007.dcm"
    ]


def test_an_index_that_does_not_answer_is_a_line_and_the_next_search_runs(archive: ArchiveTwin) -> None:
    slices = series(12)
    write_series([*slices[:6], *slices[7:]], archive.root / "one/s")
    write(slices[6], archive.root / "one/lost.dcm")

    class Unavailable(ArchiveTwin):
        def series_files(self, *_: str) -> tuple[()]:
            raise IndexUnavailable("the index is locked by another process")

    surroundings = replace(
        around(archive), searches=("index", "ancestors"), archive=Unavailable(archive.root)
    )
    report = completed(archive.root / "one/s/0001.dcm", surroundings)

    assert report.ok
    assert report.searches[0].detail == "failed: the index is locked by another process"
    assert lines(report)[1] == ("ancestors", "one", 1, 1)


def test_without_an_index_there_is_nothing_to_ask(archive: ArchiveTwin) -> None:
    slices = series(12)
    write_series([*slices[:6], *slices[7:]], archive.root / "one/s")

    report = completed(archive.root / "one/s/0001.dcm", replace(around(archive), archive=None))

    assert report.verdict == Code.MISSING_INSTANCES
    assert report.searches == ()
