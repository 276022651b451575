"""When a file or folder was created, where the file system keeps it.

``os.stat`` of this Python does not tell it on Linux; the C library's ``statx`` does.
"""

import ctypes
import os
from functools import cache
from pathlib import Path
from struct import Struct
from typing import Any, Final

_AT_FDCWD: Final = -100
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_BTIME: Final = 0x800
_BUFFER_BYTES: Final = 256
_MASK: Final = Struct("I")
_BIRTH: Final = Struct("qI")
_BIRTH_OFFSET: Final = 80
"""struct statx of the Linux user interface: stx_mask first, stx_btime as seconds and nanoseconds here."""


def birth_time_ns(path: Path) -> int:
    """Return when *path* was created, 0 where that cannot be told."""
    statx = _statx()
    if statx is None:
        return 0
    buffer = ctypes.create_string_buffer(_BUFFER_BYTES)
    if statx(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer) != 0:
        return 0
    if not _MASK.unpack_from(buffer, 0)[0] & _STATX_BTIME:
        return 0
    seconds, nanoseconds = _BIRTH.unpack_from(buffer, _BIRTH_OFFSET)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


@cache
def _statx() -> Any:
    """Return the C library's function, ``None`` where it has none."""
    return getattr(ctypes.CDLL(None), "statx", None)
