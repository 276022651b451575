"""A place on the disk for the spool, far from folders in which many files are deleted.

ext4 puts the inode of a new file near that of its folder. Where ext4 has no journal, it first skips every
inode around there that was deleted in the last minutes, one by one: beside a folder that has just been
emptied of thousands of files, creating one file takes longer than everything else that is done for an
instance. Folders made inside one that is flagged as the top of a hierarchy (``chattr +T``) are spread over
the disk instead, by a hash of their names. Other file systems refuse the flag, which does no harm.
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
    """Make *folder* if it does not exist; its parent must.

    It is made under a random name and then renamed: the name that it is made under decides its place.
    """
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
