"""The search around the current image's folder: near before far, never above the batch folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scp.completion import Surroundings
from scp.errors import Code
from scp.model import SelectionReport
from tests.builders import series, write, write_series
from tests.completion.world import RULES, Reader, completed, lines, numbers

WHOLE = list(range(1, 13))


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """Return a batch folder; the series of patient/study/one lacks its image 7."""
    slices = series(12)
    write_series([ds for ds in slices if ds.InstanceNumber != 7], tmp_path / "batch/patient/study/one")
    return tmp_path / "batch"


@pytest.fixture
def run(batch: Path) -> Callable[..., SelectionReport]:
    def searched(**settings: object) -> SelectionReport:
        surroundings = Surroundings(read_folder=Reader(), top=batch, searches=("ancestors",))
        return completed(batch / "patient/study/one/0001.dcm", replace(surroundings, **settings))

    return searched


def lost(folder: Path, **attributes: object) -> Path:
    """Write image 7 of the series, or something like it."""
    slice_7 = series(12, **attributes)[6]
    return write(slice_7, folder / "lost.dcm")


@pytest.mark.parametrize(
    ("place", "asked"),
    [
        ("patient/study", "batch/patient/study"),
        ("patient/study/other", "batch/patient/study"),
        ("patient/study/one/deeper", "batch/patient/study"),
        ("patient/other/and/deeper", "batch/patient"),
        ("", "batch"),
        ("somebody/else", "batch"),
    ],
)
def test_a_lost_image_anywhere_in_the_batch_is_found_from_the_nearest_ancestor(
    batch: Path, run: Callable[..., SelectionReport], place: str, asked: str
) -> None:
    path = lost(batch / place)

    report = run()

    assert report.ok
    assert numbers(report) == WHOLE
    assert report.stack[6].path == path
    assert lines(report)[-1] == ("ancestors", asked, 1, 1)


def test_what_is_found_stays_where_it_is_untouched(batch: Path, run: Callable[..., SelectionReport]) -> None:
    path = lost(batch / "elsewhere")
    before = (path.read_bytes(), path.stat().st_mtime_ns, sorted(batch.rglob("*")))

    assert run().ok
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(batch.rglob("*"))) == before


def test_no_wider_ancestor_is_read_once_nothing_lacks(
    batch: Path, run: Callable[..., SelectionReport]
) -> None:
    lost(batch / "patient/study/two")
    write_series(series(3), batch / "patient/other")
    reader = Reader()

    run(read_folder=reader)

    assert reader.folders == [batch / "patient/study", batch / "patient/study/two"]


def test_nothing_is_read_for_a_series_that_lacks_nothing(
    batch: Path, run: Callable[..., SelectionReport]
) -> None:
    lost(batch / "patient/study/one")
    reader = Reader()

    assert run(read_folder=reader).searches == ()
    assert reader.folders == []


def test_the_search_ends_at_the_batch_folder(
    tmp_path: Path, batch: Path, run: Callable[..., SelectionReport]
) -> None:
    lost(tmp_path)
    lost(tmp_path / "another batch")

    report = run()

    assert report.verdict == Code.MISSING_INSTANCES
    assert [line.asked for line in report.searches] == ["batch/patient/study", "batch/patient", "batch"]


def test_the_folder_of_within_may_be_the_images_own(batch: Path, run: Callable[..., SelectionReport]) -> None:
    lost(batch / "patient/study/one/below")
    lost(batch / "patient/study")

    report = run(top=batch / "patient/study/one")

    assert numbers(report) == WHOLE
    assert report.stack[6].path == batch / "patient/study/one/below/lost.dcm"


def test_a_folder_outside_the_top_is_searched_for_nothing(
    tmp_path: Path, run: Callable[..., SelectionReport]
) -> None:
    reader = Reader()
    run(top=tmp_path / "elsewhere", read_folder=reader)
    assert reader.folders == []


def test_the_nodes_own_folder_is_no_source(batch: Path, run: Callable[..., SelectionReport]) -> None:
    lost(batch / ".scp/conflicts")
    lost(batch / "patient/.scp")
    reader = Reader()

    assert not run(read_folder=reader).ok
    assert not [folder for folder in reader.folders if ".scp" in folder.parts]


def test_a_link_to_a_folder_is_not_followed(
    tmp_path: Path, batch: Path, run: Callable[..., SelectionReport]
) -> None:
    lost(tmp_path / "outside")
    (batch / "patient/link").symlink_to(tmp_path / "outside", target_is_directory=True)
    (batch / "patient/loop").symlink_to(batch, target_is_directory=True)
    reader = Reader()

    assert run(read_folder=reader).verdict == Code.MISSING_INSTANCES
    assert reader.folders == [batch / "patient/study", batch / "patient", batch]


def test_a_link_to_a_file_outside_the_top_is_not_used(
    tmp_path: Path, batch: Path, run: Callable[..., SelectionReport]
) -> None:
    path = lost(tmp_path / "outside")
    (batch / "patient/link.dcm").symlink_to(path)

    report = run()

    assert report.verdict == Code.MISSING_INSTANCES
    assert path not in [row.path.resolve() for row in report.rows]


def test_files_of_other_series_are_counted_and_never_candidates(
    batch: Path, run: Callable[..., SelectionReport]
) -> None:
    write_series(series(5, SeriesInstanceUID="1.2.3"), batch / "patient/study/two")
    (batch / "patient/study/two/notes.txt").write_text("no image")

    report = run()

    assert not [row for row in report.rows if row.path.parent.name == "two"]
    assert report.searches[0].detail == "folders 2, files 6"


def test_copies_of_what_is_used_are_counted_and_never_candidates(
    batch: Path, run: Callable[..., SelectionReport]
) -> None:
    write_series(series(12), batch / "patient/study/copy")

    report = run()

    assert numbers(report) == WHOLE
    assert [row.path.name for row in report.rows if row.path.parent.name == "copy"] == ["0007.dcm"]
    assert report.searches[0].detail == "folders 2, files 12, copies of what is used 11, candidates 1"


def test_a_candidate_that_fails_the_checks_is_in_the_report_and_not_found(
    batch: Path, run: Callable[..., SelectionReport]
) -> None:
    path = lost(batch / "patient/study", PatientName="Doe^John")

    report = run()

    assert report.verdict == Code.MISSING_INSTANCES
    assert [row.reason for row in report.rows if row.path == path] == [Code.OTHER_PATIENT]
    assert lines(report)[0] == ("ancestors", "batch/patient/study", 1, 0)


def test_an_image_at_another_position_does_not_fill_the_hole(
    batch: Path, run: Callable[..., SelectionReport]
) -> None:
    path = lost(batch / "patient/study", ImagePositionPatient=[0.0, 0.0, 500.0])

    report = run()

    assert not report.ok
    assert path not in [facts.path for facts in report.stack]
    assert sum(found for *_, found in lines(report)) == 0


def test_a_damaged_copy_does_not_keep_a_whole_one_from_being_found(
    batch: Path, run: Callable[..., SelectionReport]
) -> None:
    damaged = lost(batch / "patient/study/one")
    damaged.write_bytes(damaged.read_bytes()[:-40])
    lost(batch / "patient")

    assert numbers(run()) == WHOLE


def test_a_wrong_copy_nearby_does_not_keep_the_right_one_further_away_from_being_found(
    batch: Path, run: Callable[..., SelectionReport]
) -> None:
    lost(batch / "patient/study", PatientName="Doe^John")
    lost(batch / "patient")

    assert numbers(run()) == WHOLE


def test_an_unlabelled_image_is_a_candidate_only_where_adoption_is_configured(
    batch: Path, run: Callable[..., SelectionReport]
) -> None:
    lost(batch / "patient/study", SeriesInstanceUID="")
    current = batch / "patient/study/one/0001.dcm"
    surroundings = Surroundings(read_folder=Reader(), top=batch, searches=("ancestors",))

    left = run()
    adopted = completed(
        current, replace(surroundings, read_folder=Reader()), replace(RULES, adopt_unlabelled=True)
    )

    assert left.verdict == Code.MISSING_INSTANCES
    assert "without Series Instance UID 1" in left.searches[0].detail
    assert numbers(adopted) == WHOLE


def test_a_folder_that_cannot_be_read_is_counted_and_the_others_are_read(
    batch: Path, run: Callable[..., SelectionReport]
) -> None:
    closed = batch / "patient/study/closed"
    closed.mkdir()
    lost(batch / "patient/study/open")
    reader = Reader()

    def read(folder: Path) -> object:
        if folder == closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return reader(folder)

    report = run(read_folder=read)

    assert numbers(report) == WHOLE
    assert "folders unreadable 1" in report.searches[0].detail


def test_a_numbering_gap_is_searched_for_and_reconstructed_whatever_comes(tmp_path: Path) -> None:
    slices = series(12)
    for ds in slices[6:]:
        ds.InstanceNumber += 3
    write_series(slices, tmp_path / "batch/one")
    (tmp_path / "batch/two").mkdir()

    report = completed(
        tmp_path / "batch/one/0001.dcm",
        Surroundings(read_folder=Reader(), top=tmp_path / "batch", searches=("ancestors",)),
    )

    assert report.ok
    assert lines(report) == [("ancestors", "batch", 3, 0)]


def test_a_single_image_is_completed_whole(tmp_path: Path) -> None:
    slices = series(12)
    write_series(slices[:1], tmp_path / "batch/one")
    write_series(slices, tmp_path / "batch/two")

    report = completed(
        tmp_path / "batch/one/0001.dcm",
        Surroundings(read_folder=Reader(), top=tmp_path / "batch", searches=("ancestors",)),
    )

    assert report.ok
    assert numbers(report) == WHOLE
    assert report.stack[0].path == tmp_path / "batch/one/0001.dcm"
    assert lines(report) == [("ancestors", "batch", 9, 11)]


def test_a_few_images_are_completed_by_those_that_turn_up_beyond_them(tmp_path: Path) -> None:
    slices = series(12)
    write_series(slices[4:7], tmp_path / "batch/one")
    write_series(slices, tmp_path / "batch/two")
    write(series(13, PatientName="Doe^John")[12], tmp_path / "batch/two/stranger.dcm")

    report = completed(
        tmp_path / "batch/one/0001.dcm",
        Surroundings(read_folder=Reader(), top=tmp_path / "batch", searches=("ancestors",)),
    )

    assert report.ok
    assert numbers(report) == WHOLE
    assert Code.ENDS_MISSING not in [note.code for note in report.notes]
