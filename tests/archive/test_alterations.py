"""Stored files that were altered: told each time, never taken for what was stored, settled by a person."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import update

from scp import config
from scp.archive import Archive
from scp.archive.index import file
from scp.errors import Code
from tests.archive.conftest import Store, sent, store_into
from tests.archive.test_scan import settled
from tests.builders import image, series, write

UID: Final = str(image().SOPInstanceUID)


def pixel(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def header(content: bytes) -> bytes:
    return content.replace(b"Roe^Jane", b"Doe^Jane")


def transfer_syntax(content: bytes) -> bytes:
    return content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0", 1)


ALTERATIONS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "pixel": pixel,
    "header": header,
    "transfer syntax": transfer_syntax,
    "truncated": lambda content: content[:-10],
    "cut in the header": lambda content: content[:300],
    "emptied": lambda _content: b"",
}


def alter(path: Path, change: Callable[[bytes], bytes] = pixel, *, settle: bool = True) -> bytes:
    """Overwrite a file in place, and return what it held."""
    content = path.read_bytes()
    assert change(content) != content
    path.write_bytes(change(content))
    if settle:
        settled(path)
    return content


def rot(archive: Archive, path: Path, change: Callable[[bytes], bytes] = pixel) -> bytes:
    """Alter a file behind the file system's back, as a disk does: its stamp stays what the index knows."""
    content = alter(path, change)
    status = path.stat()
    with archive._index.writing() as connection:
        stamp = {
            "size": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "ctime_ns": status.st_ctime_ns,
        }
        connection.execute(update(file).where(file.c.name == os.fsencode(path.name)).values(stamp))
    return content


def damaged(archive: Archive) -> list[Path]:
    return [each.path for each in archive.verify()]


LOOKS: Final[dict[str, Callable[[Archive, Path], object]]] = {
    "request": lambda archive, path: archive.read_folder(path.parent),
    "sweep": lambda archive, _path: archive.sweep(),
    "reindex": lambda archive, _path: archive.reindex(),
    "two reindexes": lambda archive, _path: (archive.reindex(), archive.reindex()),
    "verify": lambda archive, _path: damaged(archive),
}

ALTERED_AND_FOUND: Final = [
    *(pytest.param(LOOKS["request"], change, id=f"request-{name}") for name, change in ALTERATIONS.items()),
    *(pytest.param(look, pixel, id=f"{name}-pixel") for name, look in LOOKS.items() if name != "request"),
    pytest.param(LOOKS["verify"], ALTERATIONS["emptied"], id="verify-emptied"),
]


@pytest.mark.parametrize(("look", "change"), ALTERED_AND_FOUND)
def test_what_was_altered_is_told_by_each_verify_until_it_is_put_back(
    archive: Archive, store: Store, change: Callable[[bytes], bytes], look: Callable[[Archive, Path], object]
) -> None:
    path = [store(ds).path for ds in series(3)][1]
    content = alter(path, change)
    for _ in range(2):
        look(archive, path)
        assert damaged(archive) == [path]
    archive.reindex()
    assert damaged(archive) == [path]
    path.write_bytes(content)
    assert damaged(archive) == []
    look(archive, path)
    assert damaged(archive) == []


@pytest.mark.parametrize(("look", "change"), ALTERED_AND_FOUND)
def test_the_original_is_stored_beside_what_was_made_of_it(
    archive: Archive, store: Store, change: Callable[[bytes], bytes], look: Callable[[Archive, Path], object]
) -> None:
    path = store(image()).path
    content = alter(path, change)
    look(archive, path)
    stored = store(image())
    assert stored.outcome != "duplicate"
    assert stored.path.read_bytes() == content
    assert path.read_bytes() == change(content)


@pytest.mark.parametrize("change", [pixel, transfer_syntax])
@pytest.mark.parametrize("keep_mtime", [False, True])
def test_altered_bytes_nobody_looked_at_yet_are_not_taken_for_the_original(
    archive: Archive, store: Store, keep_mtime: bool, change: Callable[[bytes], bytes]
) -> None:
    path = store(image()).path
    status = path.stat()
    content = alter(path, change)
    if keep_mtime:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    stored = store(image())
    assert stored.outcome == "conflict"
    assert stored.path.read_bytes() == content


def test_what_a_disk_altered_by_itself_is_seen_by_verify_alone_and_called_that(
    archive: Archive, store: Store
) -> None:
    path = store(image()).path
    content = rot(archive, path)
    archive.read_folder(path.parent)
    (found,) = archive.verify()
    assert found.path == path
    assert "nothing says it was written to: Pixel Data" in found.detail
    assert store(image()).path.read_bytes() == content
    assert list(archive.verify()) == [found]


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_file_that_was_only_touched_keeps_its_checksums(
    archive: Archive,
    store: Store,
    look: Callable[[Archive, Path], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = store(image()).path
    (before,) = archive.instance_files(UID)
    assert before.pixel_data is not None and before.pixel_data.sha256
    path.write_bytes(path.read_bytes())
    settled(path)
    look(archive, path)
    archive.read_folder(path.parent)
    (after,) = archive.instance_files(UID)
    assert after.pixel_data == before.pixel_data
    assert (damaged(archive), caplog.records) == ([], [])


def test_checksums_outlive_an_index_made_anew_that_was_interrupted(archive: Archive, store: Store) -> None:
    paths = [store(ds).path for ds in series(3)]
    alter(paths[1])

    def stop(_progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.reindex(stop)
    assert damaged(archive) == [paths[1]]
    archive.reindex()
    assert damaged(archive) == [paths[1]]
    alter(paths[2])
    assert damaged(archive) == [paths[1], paths[2]]


def test_an_index_made_anew_forgets_what_is_gone(archive: Archive, store: Store) -> None:
    path = store(image()).path
    shutil.rmtree(path.parents[3])
    assert damaged(archive) == [path]
    archive.reindex()
    assert damaged(archive) == []


def test_an_index_made_anew_reads_the_pixels_of_nothing_that_stands_as_it_was(
    archive: Archive, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(image())
    before = archive.instance_files(UID)
    monkeypatch.setattr("scp.archive.alterations.digests_of", None)
    archive.reindex()
    assert archive.instance_files(UID) == before


def test_an_alteration_is_logged_once_by_the_file_s_uid(
    archive: Archive, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    path = store(image()).path
    alter(path)
    for _ in range(2):
        archive.read_folder(path.parent)
        settled(path)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert path.name in record.getMessage() and "Pixel Data is not what was stored" in record.getMessage()


def test_what_people_call_their_files_is_not_logged(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(image(), archive.root / "Roe^Jane" / "Roe^Jane.dcm")
    settled(path)
    archive.sweep()
    assert damaged(archive) == []  # its checksum is known from now on
    alter(path)
    archive.read_folder(path.parent)
    assert damaged(archive) == [path]
    assert len(caplog.records) == 1 and "Roe" not in caplog.text


def test_a_file_of_which_nobody_took_a_checksum_may_change(archive: Archive) -> None:
    path = write(image(), archive.root / "theirs" / "a.dcm")
    settled(path)
    archive.sweep()
    alter(path)
    archive.read_folder(path.parent)
    assert damaged(archive) == []


def test_keeping_an_altered_file_takes_it_for_right(archive: Archive, store: Store) -> None:
    path = store(image()).path
    alter(path)
    archive.read_folder(path.parent)
    store(image())
    archive.keep(UID, path)
    assert (damaged(archive), archive.conflicts()) == ([], {})
    alter(path, header)
    assert damaged(archive) == [path]


def test_keeping_the_original_sets_the_altered_file_aside(archive: Archive, store: Store) -> None:
    path = store(image()).path
    alter(path)
    archive.read_folder(path.parent)
    original = store(image()).path
    archive.keep(UID, original)
    assert (damaged(archive), path.exists()) == ([], False)


def test_what_is_accepted_is_right_from_then_on_and_nothing_beside_it(archive: Archive, store: Store) -> None:
    one, other, _ = (store(ds).path for ds in series(3))
    for path in (one, other):
        alter(path, ALTERATIONS["emptied"])
    assert damaged(archive) == [one, other]
    assert archive.accept([one]) == (one,)
    assert damaged(archive) == [other]
    assert archive.accept([archive.root]) == (other,)
    assert damaged(archive) == []


@pytest.mark.parametrize("change", [pixel, header])
def test_an_altered_file_that_is_removed_is_settled_and_one_deleted_by_hand_is_lost(
    archive: Archive, store: Store, change: Callable[[bytes], bytes]
) -> None:
    removed, deleted, _ = (store(ds).path for ds in series(3))
    for path in (removed, deleted):
        alter(path, change)
    assert damaged(archive) == [removed, deleted]
    archive.remove(UID)
    deleted.unlink()
    archive.read_folder(deleted.parent)
    assert [(each.path, each.detail) for each in archive.verify()] == [(deleted, "it is gone")]


def test_what_an_altered_file_says_is_found_and_what_is_told_of_it_is_only_what_the_scan_found(
    archive: Archive, store: Store
) -> None:
    path = store(image()).path
    alter(path, header)
    first = archive.read_folder(path.parent)
    assert [facts.header.text("PatientName") for facts in first] == ["Doe^Jane"]
    assert [facts.detail for facts in archive.instance_files(UID)] == [""]
    alter(path, ALTERATIONS["truncated"])
    archive.read_folder(path.parent)
    (facts,) = archive.instance_files(UID)
    assert facts.reason == Code.TRUNCATED and "stored" not in facts.detail


def test_alterations_are_known_to_whoever_opens_the_archive_next(settings: config.Archive) -> None:
    with Archive.open(settings) as archive:
        path = store_into(archive, image()).path
        alter(path)
        archive.read_folder(path.parent)
    with Archive.open(settings) as archive:
        assert damaged(archive) == [path]
        assert store_into(archive, image()).path.read_bytes().endswith(sent(image())[1])
