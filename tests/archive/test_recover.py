"""Order after a crash, and what verify sees."""

import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from scp import config
from scp.archive import Archive
from scp.errors import IndexUnavailable, Unparseable
from scp.model import Progress
from tests.archive.conftest import Store, store_into
from tests.builders import image, series, write


def test_what_a_crash_left_in_the_spool_is_deleted(settings: config.Archive) -> None:
    with Archive.open(settings) as archive:
        spool = archive.root / ".scp" / "spool"
    (spool / "999999999-1").write_bytes(b"half")
    (spool / "something else").write_bytes(b"half")
    with Archive.open(settings):
        assert list(spool.iterdir()) == []


def test_the_spool_of_a_process_that_lives_is_left_alone(settings: config.Archive) -> None:
    with Archive.open(settings) as archive:
        other = archive.root / ".scp" / "spool" / f"{socket.gethostname()}-{os.getppid()}-1"
    other.write_bytes(b"on its way")
    with Archive.open(settings):
        assert other.exists()


@pytest.mark.parametrize("damage", ["deleted", "truncated", "garbled", "older"])
def test_an_index_that_cannot_be_used_is_made_anew(settings: config.Archive, damage: str) -> None:
    with Archive.open(settings) as archive:
        stored = store_into(archive, image())
        index = archive.root / ".scp" / "index.sqlite"
        if damage == "older":
            with archive._index.writing() as connection:
                connection.exec_driver_sql("UPDATE version SET number = 0")
    if damage == "deleted":
        index.unlink()
    elif damage == "truncated":
        os.truncate(index, index.stat().st_size // 2 + 100)
    elif damage == "garbled":
        index.write_bytes(b"this is no database " * 1000)
    with Archive.open(settings) as archive:
        archive.reindex()
        assert [facts.path for facts in archive.instance_files(stored.sop_instance_uid)] == [stored.path]


def test_an_index_that_is_only_locked_is_not_thrown_away(
    settings: config.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.archive.index.BUSY_TIMEOUT_S", 0.01)
    with Archive.open(settings) as archive:
        store_into(archive, image())
    index = Path(settings.root) / ".scp" / "index.sqlite"
    with closing(sqlite3.connect(index)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("UPDATE version SET number = number")
        with pytest.raises(IndexUnavailable):
            Archive.open(settings)
    with Archive.open(settings) as archive:
        assert archive.instance_count() == 1


def test_an_index_without_a_keyword_that_is_now_wanted_is_made_anew(settings: config.Archive) -> None:
    with Archive.open(settings) as archive:
        store_into(archive, image(OperatorsName="Doe^John"))
    with Archive.open(settings, ["SeriesNumber"]) as archive:
        assert archive.instance_count() == 1
    with Archive.open(settings, ["OperatorsName"]) as archive:
        archive.reindex()
        (facts,) = archive.instance_files(image().SOPInstanceUID)
        assert facts.header.text("OperatorsName") == "Doe^John"
    with Archive.open(settings) as archive:
        assert archive.instance_count() == 1


def test_the_first_sweep_of_a_new_index_finds_the_conflicts_again(settings: config.Archive) -> None:
    with Archive.open(settings) as archive:
        for description in ("one", "other"):
            path = store_into(archive, image(SeriesDescription=description)).path
            os.utime(path, ns=(0, 0))
        expected = archive.conflicts()
    (Path(settings.root) / ".scp" / "index.sqlite").unlink()
    with Archive.open(settings) as archive:
        archive.sweep()
        assert set(archive.conflicts()) == set(expected)


@pytest.mark.parametrize(("at", "where"), [(-1, "Pixel Data"), (700, "the header")])
def test_verify_names_the_file_whose_bytes_changed(
    archive: Archive, store: Store, at: int, where: str
) -> None:
    paths = [store(ds).path for ds in series(3)]
    data = bytearray(paths[1].read_bytes())
    data[at] ^= 1
    paths[1].write_bytes(data)
    (damaged,) = archive.verify()
    assert damaged.path == paths[1]
    assert where in damaged.detail


def test_verify_names_a_file_that_is_gone(archive: Archive, store: Store) -> None:
    path = store(image()).path
    path.unlink()
    assert [damaged.path for damaged in archive.verify()] == [path]


def test_verify_records_the_digests_of_people_s_files_and_holds_them_to_it(archive: Archive) -> None:
    path = write(image(), archive.root / "theirs" / "a.dcm")
    os.utime(path, ns=(0, 0))
    archive.sweep()
    assert list(archive.verify()) == []
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert [damaged.path for damaged in archive.verify()] == [path]


def test_progress_is_told_to_the_end(archive: Archive, store: Store) -> None:
    for ds in series(3):
        store(ds)
    told: list[Progress] = []
    list(archive.verify(told.append))
    assert told[-1] == Progress("verify", 3, 3)
    archive.reindex(told.append)
    assert told[-1].done == 3


def test_rejections_are_known_before_and_after_the_instances_arrive(archive: Archive, store: Store) -> None:
    archive.reject("1.2.3", [image().SOPInstanceUID])
    store(image())
    archive.reject("1.2.4", ["1.5"])
    archive.reindex()
    assert archive.rejected() == {image().SOPInstanceUID, "1.5"}


def test_rejections_outlive_the_index(settings: config.Archive) -> None:
    with Archive.open(settings) as archive:
        archive.reject("1.2.3", ["1.5", "1.6"])
        archive.reject("1.2.3", ["1.5", "not a uid\n1.7"])
    (Path(settings.root) / ".scp" / "index.sqlite").unlink()
    with Archive.open(settings) as archive:
        assert archive.rejected() == {"1.5"}


@pytest.mark.parametrize("note", ["", "../../x", "1.2\n"])
def test_a_note_of_no_legal_uid_writes_nothing(archive: Archive, note: str) -> None:
    with pytest.raises(Unparseable):
        archive.reject(note, ["1.5"])
    assert archive.rejected() == frozenset()
    assert list((archive.root / ".scp" / "rejections").iterdir()) == []


def test_a_moved_archive_is_the_same_archive(settings: config.Archive, tmp_path: Path) -> None:
    with Archive.open(settings) as archive:
        store_into(archive, image())
    moved = Path(settings.root).rename(tmp_path / "moved")
    with Archive.open(settings.model_copy(update={"root": moved})) as archive:
        (facts,) = archive.instance_files(image().SOPInstanceUID)
        assert facts.path.is_relative_to(moved)
