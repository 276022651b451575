"""The spool's place on the disk: apart where that can be had, and a plain folder wherever it cannot."""

import errno
import fcntl
import os
import secrets
import struct
from pathlib import Path

import pytest

from scp.archive import Archive
from scp.archive.apart import make_apart
from scp.config import Archive as Settings


def _flags(folder: Path) -> int:
    """Return the flags that lsattr shows. Raises ``OSError`` where the file system has none."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return int(struct.unpack("i4x", fcntl.ioctl(descriptor, 0x80086601, bytes(8)))[0])
    finally:
        os.close(descriptor)


def test_the_spool_of_a_new_archive_is_spread_over_the_disk_and_keeps_its_name(tmp_path):
    try:
        before = _flags(tmp_path)
    except OSError:
        pytest.skip("this file system keeps no flags")
    with Archive.open(Settings(root=str(tmp_path / "archive"))) as archive:
        work = archive.root / ".scp"
        names = {entry.name for entry in work.iterdir() if entry.is_dir()}
    assert _flags(work) & 0x00020000, "chattr +T"
    assert {name for name in names if "spool" in name} == {"spool"}
    assert _flags(tmp_path) == before, "what is not the node's own is left as it is"


def test_a_file_system_that_keeps_no_flags_has_the_folder_all_the_same(tmp_path, monkeypatch):
    def declines(*_: object) -> bytes:
        raise OSError(errno.ENOTTY, "no such flags")

    monkeypatch.setattr(fcntl, "ioctl", declines)
    make_apart(tmp_path / "spool")
    assert [entry.name for entry in tmp_path.iterdir()] == ["spool"]


def test_what_another_process_writes_into_the_folder_it_made_first_stays(tmp_path, monkeypatch):
    spool = tmp_path / "spool"

    def meanwhile(_bytes: int) -> str:
        spool.mkdir()
        (spool / "begun").touch()
        return "late"

    monkeypatch.setattr(secrets, "token_hex", meanwhile)
    make_apart(spool)
    assert [entry.name for entry in tmp_path.iterdir()] == ["spool"]
    assert [entry.name for entry in spool.iterdir()] == ["begun"]
