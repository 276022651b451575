"""Folders as people leave them: read whole, indexed where they lie, never written to."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scp import config
from scp.archive import Archive
from scp.archive.birth_time import birth_time_ns
from scp.errors import Code
from scp.model import FileFacts
from scp.part10 import read_facts
from tests.archive.conftest import Store, store_into
from tests.builders import image, series, write, write_series


def settled(*paths: Path) -> None:
    """Make files and folders as old as those that nobody writes any more."""
    for path in paths:
        os.utime(path, ns=(10**18, 10**18))


@pytest.fixture
def theirs(archive: Archive) -> Path:
    """Return a folder where people keep three slices, a text, a link that leads away, and a sub-folder."""
    folder = archive.root / "upload" / "somewhere"
    paths = write_series(series(3), folder)
    (folder / "notes.txt").write_text("not an image" * 20)
    (folder / "away").symlink_to("/etc/hostname")
    (folder / "below").mkdir()
    write(image(7), folder / "below" / "x.dcm")
    settled(*paths, folder / "notes.txt", folder / "below" / "x.dcm")
    return folder


def reasons(facts: tuple[FileFacts, ...]) -> dict[str, str]:
    return {each.path.name: each.reason for each in facts}


def test_a_folder_is_all_its_entries_but_its_sub_folders(archive: Archive, theirs: Path) -> None:
    assert reasons(archive.read_folder(theirs)) == {
        "0001.dcm": "",
        "0002.dcm": "",
        "0003.dcm": "",
        "notes.txt": Code.NOT_DICOM,
        "away": Code.NOT_A_FILE,
    }


def test_what_the_index_says_is_what_the_files_say(archive: Archive, theirs: Path) -> None:
    first = archive.read_folder(theirs)
    again = archive.read_folder(theirs)
    read = tuple(
        read_facts(path, within=archive.root)[0] for path in sorted(theirs.iterdir()) if path.name != "below"
    )
    assert first == again == read


def test_a_file_that_did_not_change_is_not_opened_again(
    archive: Archive, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = reasons(archive.read_folder(theirs))
    (theirs / "away").unlink()
    expected.pop("away")

    def refuse(path: Path, **_options: object) -> None:
        raise AssertionError(f"{path} was opened again")

    monkeypatch.setattr("scp.archive.scan.read_file", refuse)
    assert reasons(archive.read_folder(theirs)) == expected


@pytest.mark.parametrize("keep_mtime", [False, True])
def test_a_file_that_changed_is_read_again(archive: Archive, theirs: Path, keep_mtime: bool) -> None:
    archive.read_folder(theirs)
    path = theirs / "0002.dcm"
    write(image(1, PatientName="Doe^John"), path)
    if keep_mtime:
        settled(path)
    names = [facts.header.text("PatientName") for facts in archive.read_folder(theirs)[:3]]
    assert names == ["Roe^Jane", "Doe^John", "Roe^Jane"]


def test_a_file_that_is_gone_is_forgotten(archive: Archive, theirs: Path) -> None:
    archive.read_folder(theirs)
    gone = image(1).SOPInstanceUID
    assert archive.instance_files(gone)
    (theirs / "0002.dcm").unlink()
    assert archive.instance_files(gone) == ()
    archive.read_folder(theirs)
    assert archive.instance_count() == 2


def test_a_file_stored_anew_while_its_folder_is_read_keeps_its_row(
    archive: Archive, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store(image()).path
    path.unlink()
    real = os.scandir

    def listing_then_storing(folder: Path) -> object:
        listed = list(real(folder))
        if Path(folder) == path.parent:
            store(image())
        return listed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("scp.archive.scan.os.scandir", listing_then_storing)
        archive.read_folder(path.parent)
    assert [facts.path for facts in archive.instance_files(image().SOPInstanceUID)] == [path]


def test_a_file_still_being_written_is_left_for_later(archive: Archive) -> None:
    path = write(image(), archive.root / "upload" / "a.dcm")
    assert archive.sweep() == 0
    assert reasons(archive.read_folder(path.parent)) == {"a.dcm": ""}
    assert archive.instance_count() == 0
    settled(path)
    assert archive.sweep() == 1
    assert archive.instance_count() == 1


def test_a_folder_outside_the_root_is_read_and_not_indexed(archive: Archive, tmp_path: Path) -> None:
    path = write(image(), tmp_path / "elsewhere" / "a.dcm")
    settled(path)
    assert reasons(archive.read_folder(path.parent)) == {"a.dcm": ""}
    assert archive.instance_count() == 0


def test_a_folder_that_is_gone_has_no_entries(archive: Archive) -> None:
    assert archive.read_folder(archive.root / "nothing") == ()


def test_without_an_index_folders_are_read_all_the_same(archive: Archive, theirs: Path) -> None:
    with archive._index.writing() as connection:
        connection.exec_driver_sql("DROP TABLE instance")
    assert reasons(archive.read_folder(theirs))["0001.dcm"] == ""


def test_a_sweep_finds_what_people_copied_in_renamed_and_took_away(archive: Archive, theirs: Path) -> None:
    settled(theirs / "below", theirs, theirs.parent, archive.root)
    archive.sweep()
    assert archive.instance_count() == 4
    write(image(9), theirs / "below" / "deeper" / "new.dcm")
    settled(theirs / "below" / "deeper" / "new.dcm")
    (theirs / "0001.dcm").rename(theirs / "renamed.dcm")
    (theirs / "0003.dcm").unlink()
    archive.sweep()
    assert archive.instance_count() == 4
    (facts,) = archive.instance_files(image(0).SOPInstanceUID)
    assert facts.path.name == "renamed.dcm"


def test_a_folder_taken_away_takes_its_instances_along(archive: Archive, theirs: Path) -> None:
    archive.sweep()
    theirs.rename(archive.root.parent / "moved out")
    archive.sweep()
    assert archive.instance_count() == 0
    assert archive.series_files(image().StudyInstanceUID, image().SeriesInstanceUID) == ()


def test_a_sweep_does_not_list_folders_that_stand_as_recorded(
    archive: Archive, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [theirs / "below", theirs, theirs.parent, archive.root]
    settled(*folders)
    archive.sweep()
    listed: list[Path] = []
    real = os.scandir
    monkeypatch.setattr("scp.archive.sweep.os.scandir", lambda path: listed.append(Path(path)) or real(path))
    archive.sweep()
    assert listed == []
    (theirs / "another.txt").write_text("new")
    archive.sweep()
    assert set(listed) == {theirs}


def test_no_scan_enters_the_nodes_own_folder(archive: Archive) -> None:
    path = write(image(), archive.root / ".scp" / "results" / "a.dcm")
    settled(path)
    assert archive.sweep() == 0
    assert archive.read_folder(path.parent) != ()
    assert archive.instance_count() == 0


def test_a_loop_of_folder_links_ends(archive: Archive, theirs: Path) -> None:
    (theirs / "loop").symlink_to(theirs)
    archive.sweep()
    assert archive.instance_count() == 4


def test_a_name_that_is_no_text_is_indexed_like_any_other(archive: Archive) -> None:
    folder = archive.root / "upload"
    path = write(image(), folder / "a.dcm")
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.dcm"))
    path.rename(odd)
    settled(odd)
    archive.sweep()
    assert [facts.path for facts in archive.instance_files(image().SOPInstanceUID)] == [odd]


def test_every_frame_of_a_multi_frame_file_comes_back_from_the_index(
    archive: Archive, case: Callable[[str], Path]
) -> None:
    source = next(case("enhanced_multiframe").rglob("eCT_Supplemental.dcm"))
    path = archive.root / "upload" / "a.dcm"
    path.parent.mkdir()
    path.write_bytes(source.read_bytes())
    settled(path)
    archive.sweep()
    assert archive.read_folder(path.parent) == read_facts(path)
    assert [facts.frame for facts in archive.read_folder(path.parent)] == [1, 2]


def test_a_series_is_found_whichever_folder_its_files_are_in(
    archive: Archive, theirs: Path, store: Store
) -> None:
    archive.sweep()
    stored = store(image(20))
    found = archive.series_files(image().StudyInstanceUID, image().SeriesInstanceUID)
    assert {facts.path for facts in found} == {
        *(theirs / f"000{number}.dcm" for number in (1, 2, 3)),
        theirs / "below" / "x.dcm",
        stored.path,
    }


def test_the_batch_folder_is_the_first_below_the_root(archive: Archive, theirs: Path) -> None:
    assert archive.batch_folder(theirs / "0001.dcm") == archive.root / "upload"
    assert archive.batch_folder(archive.root / "lies directly.dcm") == archive.root
    with pytest.raises(ValueError):
        archive.batch_folder(Path("/etc/hostname"))


def test_folders_are_told_with_the_time_they_came_to_be(archive: Archive, theirs: Path) -> None:
    archive.sweep()
    seen = {folder.path: folder.created_ns for folder in archive.folders()}
    assert set(seen) == {theirs.parent, theirs, theirs / "below"}
    assert all(0 < created_ns <= time.time_ns() for created_ns in seen.values())


def test_a_folder_s_creation_outlives_its_changes_and_the_index(archive: Archive, theirs: Path) -> None:
    if not birth_time_ns(theirs):
        pytest.skip("this file system does not tell when a folder was created")
    archive.sweep()
    before = archive.folders()
    (theirs / "another.txt").write_text("new")
    archive.reindex()
    assert archive.folders() == before


def test_an_index_made_anew_says_the_same(archive: Archive, theirs: Path, store: Store) -> None:
    archive.sweep()
    store(image(30))
    store(image(31))
    store(image(31, SeriesDescription="Other"))

    def answers() -> tuple[object, ...]:
        facts = archive.series_files(image().StudyInstanceUID, image().SeriesInstanceUID)
        return sorted(facts, key=lambda each: str(each.path)), set(archive.conflicts())

    before = answers()
    archive.reindex()
    assert answers() == before


def test_a_series_keeps_its_home_when_the_index_was_deleted(settings: config.Archive) -> None:
    with Archive.open(settings) as archive:
        first = store_into(archive, image(0))
    for path in (first.path.parents[4] / ".scp").glob("index.sqlite*"):
        path.unlink()
    with Archive.open(settings.model_copy(update={"batch": "another"})) as archive:
        archive.reindex()
        assert store_into(archive, image(1)).path.parent == first.path.parent


def _looking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sweep on demand"]


def test_however_many_look_again_during_a_long_sweep_one_thread_waits_for_it_and_then_looks(
    archive: Archive,
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def long(_progress: object) -> None:
        begun.set()
        may_end.wait(60)

    first = threading.Thread(target=archive.sweep, args=(long,))
    first.start()
    try:
        assert begun.wait(60)
        for _ in range(20):
            archive.look_again(within_s=0)
        (looking,) = _looking()
    finally:
        may_end.set()
        first.join(60)
    looking.join(60)
    path = write(image(), archive.root / "new" / "a.dcm")
    settled(path)
    archive.look_again(within_s=60)
    assert [facts.path for facts in archive.instance_files(str(image().SOPInstanceUID))] == [path]
