"""Finished results, kept on disk under a budget (``reconstruction.cache``).

A result's Series Instance UID is a digest of everything that decides its bytes, so what is kept under it is
right for ever: a request whose sources changed has another UID and never meets it. Each result is a folder
that appears whole, by a rename; the longest unused go first when the budget is full, never one that is
being sent.
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

from scp.errors import Code, Refused
from scp.model import is_legal_uid

SPOOL_PREFIX = "spool-"

ABANDONED_S = 3600.0
"""Folders of results in the making that are older were left by a process that died."""


class ResultCache:
    """Results by Series Instance UID, in *folder*, at most *budget_bytes* of them; 0 keeps none."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._in_use: Counter[str] = Counter()
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
        """Remove what requests left behind whose process died."""
        for place in self._folder.glob(f"{SPOOL_PREFIX}*"):
            with suppress(FileNotFoundError):  # another node on this archive was first
                if time.time() - place.stat().st_mtime > ABANDONED_S:
                    shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def lease(self, series_uid: str) -> Iterator[tuple[Path, ...]]:
        """Give the files of a kept result, in the order of their names, none where it is not kept.

        They stay while the block runs.
        """
        with self._lock:
            self._in_use[series_uid] += 1
        try:
            yield self._files(series_uid)
        finally:
            with self._lock:
                self._in_use[series_uid] -= 1
                self._in_use += Counter()  # forgets those that nobody uses

    def keep(self, series_uid: str, made_in: Path) -> None:
        """Take over the finished result in the folder *made_in*, which is gone then, if there is room.

        One that cannot be kept, for whatever the disk says, is made again when it is asked for again.
        """
        if not is_legal_uid(series_uid):
            return
        with self._lock, suppress(OSError):
            size, place = _size_of(made_in), self._folder / series_uid
            if size <= self._budget_bytes and not place.exists():
                self._make_room(size)
                made_in.rename(place)

    def _files(self, series_uid: str) -> tuple[Path, ...]:
        place = self._folder / series_uid
        if not is_legal_uid(series_uid) or not place.is_dir():
            return ()
        os.utime(place)
        return tuple(sorted(place.iterdir()))

    def _make_room(self, size: int) -> None:
        """Remove the longest unused results until *size* bytes more fit."""
        kept = sorted(
            (place for place in self._folder.iterdir() if is_legal_uid(place.name)),
            key=lambda place: place.stat().st_mtime_ns,
        )
        sizes = {place: _size_of(place) for place in kept}
        over = sum(sizes.values()) + size - self._budget_bytes
        for place in kept:
            if over <= 0:
                return
            if not self._in_use[place.name]:
                shutil.rmtree(place, ignore_errors=True)
                over -= sizes[place]


def _size_of(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder))
