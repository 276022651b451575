"""When a file's content and its name are on the disk for good, and what that rests on.

POSIX promises content after ``fsync`` of the file and a name after ``fsync`` of its folder: two waits for the
disk for each instance, in that order, so that no name ever stands for less than the whole. That order is kept
wherever nothing more is known (``TWICE``). ext4 and XFS promise more (``ONCE``): ``fsync`` of a file that was
given a name takes the name along, as the same entry of their journal says both; a journal is written in
order, so content that was written out before (``sync_file_range``, which waits for the disk's answer and not
for its cache) can only be found together with or before the name. So one wait is enough, and each association
waits for its own.
"""

import ctypes
import errno
import os
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

MOUNTS: Final = Path("/proc/self/mountinfo")

JOURNALS: Final = Path("/proc/fs/jbd2")
"""Where Linux shows the journals of ext4, each as the device's name with an inode's number behind it."""

UNORDERED: Final = frozenset({"nobarrier", "barrier=0", "data=writeback"})
"""Mount options that give up the order of content and names."""

START_AND_WAIT: Final = 1 | 2 | 4
"""SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE and _WAIT_AFTER of sync_file_range(2)."""

NOT_OFFERED: Final = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.ESPIPE})
"""What sync_file_range(2) says where kernel, container or file system lack it."""


class Syncing(Enum):
    """How often an instance waits for the disk before it is acknowledged."""

    NEVER = 0
    ONCE = 1
    TWICE = 2


def syncing_of(folder: Path, *, durable: bool) -> Syncing:
    """Return what durability takes in *folder*, which must exist."""
    if not durable:
        return Syncing.NEVER
    if names_follow_files(folder) and _sync_file_range() is not None:
        return Syncing.ONCE
    return Syncing.TWICE


def names_follow_files(folder: Path) -> bool:
    """Tell whether ``fsync`` of a file in *folder* also keeps the names it was given before."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = [line.split() for line in MOUNTS.read_text().splitlines()]
    except OSError:
        return False
    ours = {tuple(mount[mount.index("-") + 1 :]) for mount in mounts if mount[2] == number}
    return bool(ours) and all(_is_ordered(kind, source, options) for kind, source, options in ours)


def _is_ordered(kind: str, source: str, options: str) -> bool:
    if not UNORDERED.isdisjoint(options.split(",")):
        return False
    return kind == "xfs" or (kind == "ext4" and any(JOURNALS.glob(f"{Path(source).resolve().name}-*")))


def write_out(descriptor: int) -> None:
    """Wait until the disk has taken a file's content, if only into its own cache; raises ``OSError``."""
    write = _sync_file_range()
    if write is not None and write(descriptor, 0, 0, START_AND_WAIT) == 0:
        return
    number = ctypes.get_errno() if write is not None else errno.ENOSYS
    if number not in NOT_OFFERED:  # what the disk did not take is told once: a sync would succeed now
        raise OSError(number, os.strerror(number))
    os.fdatasync(descriptor)


@cache
def _sync_file_range() -> Any:
    function = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


def make_folders(folder: Path) -> set[Path]:
    """Make what lacks of the path to *folder*, and return the folders whose entries that changed."""
    if folder.is_dir():
        return set()
    changed = make_folders(folder.parent)
    folder.mkdir(mode=0o750, exist_ok=True)
    return changed | {folder.parent}


def sync(path: Path) -> None:
    """Make a file's content durable, or a folder's entries."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
