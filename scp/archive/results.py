"""Finished results, kept on disk under a budget (``reconstruction.cache``).

A result's Series Instance UID is a digest of everything that decides its bytes, so what is kept under it is
right for ever: a request whose sources changed has another UID and never meets it. Each result is a folder
that appears whole, by a rename; the longest unused go first when the budget is full, never one that is
being sent.

Results are not synced, since they can be made again. So a result is whole while the machine that wrote it
keeps running, and may be torn after a power cut: its name ends in the boot it was made in, and a result of
another boot is not served.
"""

import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from scp.errors import Code, Refused
from scp.model import is_legal_uid

SPOOL_PREFIX = "spool-"

ABANDONED_S = 3600.0
"""Folders that nobody touched for longer are nobody's: of a process that died, or of a boot that is over."""

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Where Linux tells one start of a machine from every other, of any machine."""


class ResultCache:
    """Results by Series Instance UID, in *folder*, at most *budget_bytes* of them; 0 keeps none."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._in_use: Counter[Path] = Counter()
        self._boot = _boot()
        self._lock = threading.Lock()

    def new_spool(self) -> Path:
        """Return a new folder for one request's objects; whoever asks removes it.

        Raises ``Refused`` (``out-of-resources``) where the disk has no room.
        """
        try:
            return Path(tempfile.mkdtemp(dir=self._folder, prefix=SPOOL_PREFIX))
        except OSError as error:
            sentence = f"there is no room for results in {self._folder}: {error.strerror}"
            raise Refused(Code.OUT_OF_RESOURCES, sentence, "disk") from error

    def remove_abandoned(self) -> None:
        """Remove what requests left behind whose process died, and results of other boots."""
        for place in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another node on this archive was first
                abandoned = time.time() - place.stat().st_mtime > ABANDONED_S
                if abandoned and not place.name.endswith(self._boot):
                    shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def lease(self, series_uid: str) -> Iterator[tuple[Path, ...]]:
        """Give the files of a kept result, in the order of their names, none where it is not kept.

        They stay while the block runs.
        """
        place = self._place(series_uid)
        with self._lock:
            self._in_use[place] += 1
        try:
            yield _files_in(place) if is_legal_uid(series_uid) else ()
        finally:
            with self._lock:
                self._in_use[place] -= 1
                self._in_use += Counter()  # forgets those that nobody uses

    def keep(self, series_uid: str, made_in: Path) -> None:
        """Take over the finished result in the folder *made_in*, which is gone then, if there is room.

        One that cannot be kept, for whatever the disk says, is made again when it is asked for again.
        """
        if not is_legal_uid(series_uid):
            return
        with self._lock, suppress(OSError):
            size, place = _size_of(made_in), self._place(series_uid)
            if size <= self._budget_bytes and not place.exists():
                self._make_room(size)
                made_in.rename(place)

    def _place(self, series_uid: str) -> Path:
        return self._folder / f"{series_uid}_{self._boot}"

    def _make_room(self, size: int) -> None:
        """Remove the longest unused results until *size* bytes more fit."""
        kept = sorted(
            (place for place in self._folder.iterdir() if is_legal_uid(place.name.partition("_")[0])),
            key=lambda place: place.stat().st_mtime_ns,
        )
        sizes = {place: _size_of(place) for place in kept}
        over = sum(sizes.values()) + size - self._budget_bytes
        for place in kept:
            if over <= 0:
                return
            if not self._in_use[place]:
                shutil.rmtree(place, ignore_errors=True)
                over -= sizes[place]


def _files_in(place: Path) -> tuple[Path, ...]:
    if not place.is_dir():
        return ()
    os.utime(place)
    return tuple(sorted(place.iterdir()))


def _boot() -> str:
    """Return a name of this boot; one of this process where the system does not tell."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid4())


def _size_of(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder))
