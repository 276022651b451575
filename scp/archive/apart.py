"""Where on the disk the spool lies: away from what is deleted elsewhere.

ext4 puts a file's inode near its folder's, and without a journal it passes over every inode there that was
deleted in the last minutes, one by one: beside a folder that was just emptied of thousands of files, creating
one takes longer than all else that is done for an instance. What stands in a folder that is marked as the top
of a hierarchy is spread over the disk by its name instead (``chattr +T``). Other file systems decline.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final

_GET_FLAGS: Final = 0x80086601
_SET_FLAGS: Final = 0x40086602
_TOP_OF_HIERARCHY: Final = 0x00020000
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL of the Linux user interface, of 64 bits."""

_FLAGS: Final = Struct("i4x")


def make_apart(folder: Path) -> None:
    """Make *folder*, if it lacks, in a part of the disk that depends on chance; its parent must exist."""
    if folder.is_dir():
        return
    _spread_what_is_in(folder.parent)
    made = folder.with_name(f"{folder.name}-{secrets.token_hex(8)}")
    made.mkdir(mode=0o750)
    try:
        made.rename(folder)
    except OSError:  # another process was first, and writes there already
        made.rmdir()


def _spread_what_is_in(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            (flags,) = _FLAGS.unpack(fcntl.ioctl(descriptor, _GET_FLAGS, bytes(_FLAGS.size)))
            fcntl.ioctl(descriptor, _SET_FLAGS, _FLAGS.pack(flags | _TOP_OF_HIERARCHY))
    finally:
        os.close(descriptor)
