"""Where a benchmark writes: servers on the disk under test, what clients read and write in memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one."""

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Ground:
    """Two folders that cease to exist with the benchmark."""

    disk: Path
    memory: Path

    def on_disk(self, name: str) -> Path:
        """Return the path of a folder that is not there yet."""
        return self.disk / f"{next(_numbers)}-{name}"

    def in_memory(self, name: str) -> Path:
        folder = self.memory / f"{next(_numbers)}-{name}"
        folder.mkdir()
        return folder


@contextmanager
def ground(disk: Path) -> Iterator[Ground]:
    """Yield a ground whose disk is that of the folder *disk*."""
    memory = MEMORY if MEMORY.is_dir() else disk
    with (
        tempfile.TemporaryDirectory(prefix="mpr-scp-bench-", dir=disk) as slow,
        tempfile.TemporaryDirectory(prefix="mpr-scp-bench-", dir=memory) as fast,
    ):
        yield Ground(Path(slow).absolute(), Path(fast).absolute())
