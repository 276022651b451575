"""One wait for the disk is enough where a file takes its name along, and nothing is promised before it."""

import errno
import os
import threading
from pathlib import Path

import pytest

from scp.archive import Archive, durability
from scp.archive.durability import Syncing, syncing_of, write_out
from scp.errors import StoreRefused
from tests.archive.conftest import Store, store_into
from tests.builders import image

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
    monkeypatch.setattr("scp.archive.durability._sync_file_range", lambda: lambda *_arguments: -1)
    monkeypatch.setattr("scp.archive.durability.os.fdatasync", synced.append)
    with (tmp_path / "file").open("wb") as file:
        write_out(file.fileno())
        assert synced == [file.fileno()]


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
    original, syncing, told = threading.current_thread(), threading.Event(), threading.Event()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if threading.current_thread() is original:
            syncing.set()
            assert told.wait(10)
            _refuse(descriptor)
        real(descriptor)

    def duplicate() -> None:
        assert syncing.wait(10)
        outcomes.append(store_into(archive, image(1)).outcome)
        told.set()

    outcomes: list[str] = []
    other = threading.Thread(target=duplicate)
    other.start()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("scp.archive.filing.os.fsync", fsync)
        with pytest.raises(StoreRefused):
            store_into(archive, image(1))
    other.join()
    assert outcomes == ["duplicate"]
    assert [facts.path.is_file() for facts in archive.instance_files(image(1).SOPInstanceUID)] == [True]
