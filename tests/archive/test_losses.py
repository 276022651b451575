"""A stored file that went without being removed: logged once, told by each verify, until that is settled."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from scp import config
from scp.archive import Archive
from scp.errors import Refused
from tests.archive.conftest import Store, store_into
from tests.archive.test_alterations import alter, damaged
from tests.archive.test_scan import settled
from tests.builders import image, series, write


@pytest.fixture
def three(archive: Archive, store: Store) -> list[Path]:
    """Store three images, long ago, and return their files."""
    paths = [store(ds).path for ds in series(3)]
    for path in paths:
        settled(path)
    archive.sweep()
    return paths


def told(archive: Archive) -> list[tuple[Path, str]]:
    return [(each.path, each.detail) for each in archive.verify()]


def put_back(archive: Archive, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    settled(path)
    archive.sweep()


def store_anew(archive: Archive, _path: Path, _content: bytes) -> None:
    assert store_into(archive, image(1)).outcome == "stored"


def remove(archive: Archive, path: Path, _content: bytes) -> None:
    assert archive.remove(str(image(1).SOPInstanceUID)) == (path,)


def accept(archive: Archive, path: Path, _content: bytes) -> None:
    assert archive.accept([path]) == (path,)


def accept_folder(archive: Archive, path: Path, _content: bytes) -> None:
    assert archive.accept([path.parents[1]]) == (path,)


ENDS: Final = [put_back, store_anew, remove, accept, accept_folder]


@pytest.mark.parametrize("end", ENDS)
def test_a_lost_file_is_told_by_each_verify_until_that_is_settled(
    archive: Archive, three: list[Path], end: Callable[[Archive, Path, bytes], None]
) -> None:
    path = three[1]
    content = path.read_bytes()
    path.unlink()
    for _ in range(2):
        archive.sweep()
        assert told(archive) == [(path, "it is gone")]
    end(archive, path, content)
    for _ in range(2):
        assert told(archive) == []
        archive.sweep()


def test_a_loss_is_known_to_whoever_opens_the_archive_next(settings: config.Archive) -> None:
    with Archive.open(settings) as archive:
        path, _ = [store_into(archive, ds).path for ds in series(2)]
        path.unlink()
        archive.sweep()
    with Archive.open(settings) as archive:
        assert damaged(archive) == [path]


def test_losses_are_logged_once_for_each_folder_without_its_name(
    archive: Archive, store: Store, three: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    for path in (*three[:2], store(image(7, SeriesInstanceUID="1.2.3")).path):
        path.unlink()
    for _ in range(2):
        archive.sweep()
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert sorted(record.getMessage().split(" gone")[0] for record in caplog.records) == [
        "1 stored file",
        "2 stored files",
    ]
    assert "P-1" not in caplog.text and three[0].name not in caplog.text


def test_a_folder_that_went_with_its_files_is_lost(
    archive: Archive, store: Store, three: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    store(image(7, SeriesInstanceUID="1.2.3"))
    shutil.rmtree(three[0].parent)
    archive.sweep()
    assert damaged(archive) == sorted(three)
    assert len(caplog.records) == 1


def test_a_folder_that_was_moved_inside_the_archive_has_lost_nothing(
    archive: Archive, three: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    moved = archive.root / "moved" / "by hand"
    moved.parent.mkdir()
    shutil.move(three[0].parent, moved)
    archive.sweep()
    assert (damaged(archive), archive.instance_count(), caplog.records) == ([], 3, [])


def test_an_archive_whose_disk_is_away_has_lost_nothing(
    archive: Archive, three: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    batch = three[0].parents[3]
    assert batch.parent == archive.root
    shutil.move(batch, tmp_path / "away")
    archive.sweep()
    assert (damaged(archive), caplog.records) == ([], [])
    shutil.move(tmp_path / "away", batch)
    archive.sweep()
    assert (damaged(archive), archive.instance_count(), caplog.records) == ([], 3, [])


def test_what_people_keep_and_take_away_is_no_loss(archive: Archive, store: Store) -> None:
    store(image(5))
    theirs = write(image(), archive.root / "theirs" / "a.dcm")
    settled(theirs)
    archive.sweep()
    assert damaged(archive) == []  # its checksum is known from now on
    theirs.unlink()
    archive.sweep()
    assert damaged(archive) == []


def test_what_is_removed_or_set_aside_is_no_loss(archive: Archive, store: Store) -> None:
    first, second = store(image()), store(image(SeriesDescription="Other"))
    store(image(5))
    archive.keep(first.sop_instance_uid, first.path)
    archive.sweep()
    assert (damaged(archive), second.path.exists()) == ([], False)
    archive.remove(first.sop_instance_uid)
    archive.sweep()
    assert damaged(archive) == []
    with pytest.raises(Refused):
        archive.remove(first.sop_instance_uid)


def test_what_came_back_and_was_removed_is_not_lost(
    archive: Archive, store: Store, three: list[Path]
) -> None:
    path = three[1]
    path.unlink()
    archive.sweep()
    stored = store(image(1))
    archive.remove(stored.sop_instance_uid)
    assert damaged(archive) == []


def test_an_altered_file_that_went_is_lost(archive: Archive, three: list[Path]) -> None:
    path = three[1]
    alter(path)
    archive.sweep()
    path.unlink()
    archive.sweep()
    assert told(archive) == [(path, "it is gone")]
