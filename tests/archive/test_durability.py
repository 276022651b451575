"""One wait for the disk is enough where a file takes its name along, and nothing is promised before it."""

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scp.archive import Archive, durability
from scp.archive.durability import Syncing, syncing_of, write_out
from scp.archive.filing import Filing
from scp.errors import OutOfSpace, StoreRefused
from tests.archive.conftest import Store, store_into
from tests.builders import image, write

once = pytest.mark.parametrize("syncing", [Syncing.ONCE], indirect=True)


@pytest.mark.parametrize(
    ("mounted", "journals", "syncing_found"),
    [
        ("ext4 /dev/x1 rw,errors=remount-ro", ["x1-8"], Syncing.ONCE),
        ("ext4 /dev/x1 rw", ["x2-8"], Syncing.TWICE),
        ("ext4 /dev/x1 rw,nobarrier", ["x1-8"], Syncing.TWICE),
        ("ext4 /dev/x1 rw,data=writeback", ["x1-8"], Syncing.TWICE),
        ("xfs /dev/x1 rw", [], Syncing.ONCE),
        ("btrfs /dev/x1 rw", [], Syncing.TWICE),
        ("nfs4 server:/export rw", [], Syncing.TWICE),
    ],
)
def test_only_file_systems_with_an_ordered_journal_are_synced_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mounted: str,
    journals: list[str],
    syncing_found: Syncing,
) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"27 1 {os.major(device)}:{os.minor(device)} / / rw,relatime - {mounted}\n")
    for journal in journals:
        (tmp_path / "jbd2" / journal).mkdir(parents=True)
    monkeypatch.setattr(durability, "MOUNTS", mounts)
    monkeypatch.setattr(durability, "JOURNALS", tmp_path / "jbd2")
    assert syncing_of(tmp_path, durable=True) is syncing_found
    assert syncing_of(tmp_path, durable=False) is Syncing.NEVER


def test_a_file_system_that_cannot_be_told_is_synced_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "MOUNTS", tmp_path / "absent")
    assert syncing_of(tmp_path, durable=True) is Syncing.TWICE


def test_what_the_kernel_does_not_write_out_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    _write_out_fails(monkeypatch, errno.ENOSYS)
    monkeypatch.setattr("scp.archive.durability.os.fdatasync", synced.append)
    with (tmp_path / "file").open("wb") as file:
        write_out(file.fileno())
        assert synced == [file.fileno()]


def test_content_that_the_disk_did_not_take_is_not_synced_in_hope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_out_fails(monkeypatch, errno.EIO)
    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_out(file.fileno())


def _write_out_fails(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def write(*_arguments: int) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr("scp.archive.durability._sync_file_range", lambda: write)


@once
def test_content_is_written_out_before_it_has_a_name_and_synced_before_it_is_acknowledged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(image(0))
    steps: list[str] = []
    for target in ("intake.write_out", "filing.os.link", "filing.os.fsync"):
        real = write_out if target == "intake.write_out" else getattr(os, target.rpartition(".")[2])

        def step(*arguments: object, real: object = real, target: str = target) -> None:
            steps.append(target)
            real(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(f"scp.archive.{target}", step)
    store(image(1))
    assert steps == ["intake.write_out", "filing.os.link", "filing.os.fsync"]


def _refuse(_descriptor: int) -> None:
    raise OSError(errno.EIO, "the disk does not take it")


@once
def test_what_the_disk_does_not_take_is_taken_back(archive: Archive, store: Store, spool: Path) -> None:
    kept = store(image(0))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("scp.archive.filing.os.fsync", _refuse)
        with pytest.raises(StoreRefused):
            store_into(archive, image(1))
    assert list(kept.path.parent.iterdir()) == [kept.path]
    assert list(spool.iterdir()) == []
    assert archive.instance_count() == 1
    assert store(image(1)).outcome == "stored"


@once
def test_a_file_that_a_duplicate_relies_on_stays(archive: Archive, store: Store) -> None:
    store(image(0))
    original, told = threading.current_thread(), threading.Event()
    real = Filing._sync_with_name

    def late(filing: Filing, *arguments: Any) -> None:
        if threading.current_thread() is original:
            other.start()
            assert told.wait(10)
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr("scp.archive.filing.os.fsync", _refuse)
                real(filing, *arguments)

    def duplicate() -> None:
        outcomes.append(store_into(archive, image(1)).outcome)
        told.set()

    outcomes: list[str] = []
    other = threading.Thread(target=duplicate)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Filing, "_sync_with_name", late)
        with pytest.raises(StoreRefused):
            store_into(archive, image(1))
    other.join()
    assert outcomes == ["duplicate"]
    assert [facts.path.is_file() for facts in archive.instance_files(image(1).SOPInstanceUID)] == [True]


def _failing_once() -> Callable[[int], None]:
    """Return an ``fsync`` as Linux has it: it tells of what the disk did not take once for each file."""
    failed: set[int] = set()

    def fsync(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        if inode not in failed:
            failed.add(inode)
            _refuse(descriptor)

    return fsync


@once
def test_a_duplicate_of_a_file_that_the_disk_did_not_take_is_refused(archive: Archive, store: Store) -> None:
    store(image(0))
    original, about_to_rely = threading.current_thread(), threading.Event()
    make_durable, fsync = Filing._make_durable, _failing_once()

    def rely(filing: Filing, path: Path) -> None:
        about_to_rely.set()
        make_durable(filing, path)

    def fsync_with_a_duplicate_behind(descriptor: int) -> None:
        if threading.current_thread() is original:
            other.start()
            assert about_to_rely.wait(10)
        fsync(descriptor)

    def duplicate() -> None:
        with pytest.raises(StoreRefused):
            store_into(archive, image(1))
        refused.append(image(1).SOPInstanceUID)

    refused: list[str] = []
    other = threading.Thread(target=duplicate)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Filing, "_make_durable", rely)
        patched.setattr("scp.archive.filing.os.fsync", fsync_with_a_duplicate_behind)
        with pytest.raises(StoreRefused):
            store_into(archive, image(1))
        other.join()
    assert refused == [image(1).SOPInstanceUID]
    assert archive.instance_files(image(1).SOPInstanceUID) == ()
    assert store(image(1)).outcome == "stored"


@pytest.mark.parametrize("lost", ["file", "folder"])
def test_a_file_that_was_copied_in_and_lost_is_not_relied_on_when_it_is_sent_again(
    archive: Archive, lost: str
) -> None:
    path = write(image(0), archive.root / "theirs" / "a.dcm")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    archive.sweep()
    fsync, inode = _failing_once(), (path if lost == "file" else archive.root).stat().st_ino

    def failing(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == inode:
            fsync(descriptor)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("scp.archive.filing.os.fsync", failing)
        for _ in range(2):
            with pytest.raises(StoreRefused):
                store_into(archive, image(0))
        assert store_into(archive, image(1)).outcome == "stored"


def test_folders_that_the_disk_did_not_keep_are_made_anew(archive: Archive) -> None:
    """Another sync of the same folders would succeed, whatever became of them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("scp.archive.filing.os.fsync", _failing_once())
        with pytest.raises(StoreRefused):
            store_into(archive, image(0))
    assert [path.name for path in archive.root.iterdir()] == [".scp"]
    assert store_into(archive, image(0)).outcome == "stored"


def test_folders_made_before_one_that_could_not_be_made_are_taken_back(archive: Archive) -> None:
    """Whoever finds them takes them for folders that are synced."""
    real = Path.mkdir

    def mkdir(folder: Path, mode: int = 0o777, *, exist_ok: bool = False) -> None:
        if len(folder.relative_to(archive.root).parts) == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(folder, mode, exist_ok=exist_ok)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "mkdir", mkdir)
        with pytest.raises(OutOfSpace):
            store_into(archive, image(0))
    assert [path.name for path in archive.root.iterdir()] == [".scp"]


def test_what_could_not_be_opened_is_relied_on_when_it_can(archive: Archive) -> None:
    store_into(archive, image(0))
    real = os.open

    def full(path: str | Path, *arguments: int) -> int:
        if Path(path).suffix == ".dcm":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return real(path, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("scp.archive.filing.os.open", full)
        with pytest.raises(StoreRefused):
            store_into(archive, image(0))
    assert store_into(archive, image(0)).outcome == "duplicate"
