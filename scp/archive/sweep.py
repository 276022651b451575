"""The way through all folders of an archive: those that changed are read, what is gone is forgotten.

A folder whose own mtime stands as recorded has the same entries as then, and is not listed; one that changed
less than two seconds before it was recorded is not trusted, since it may change again within the clock's
grain. So the sweep finds what people copy in, rename or delete; a change inside a file shows when
``scp.archive.scan`` reads its folder.
"""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row, delete, select

from scp.archive import losses
from scp.archive.birth_time import birth_time_ns
from scp.archive.entries import delete_file, forget_empty_series
from scp.archive.index import IndexDatabase, absolute_path, file, folder, relative_bytes
from scp.archive.scan import SETTLED_NS, Scan
from scp.archive.series_homes import SeriesHomes
from scp.model import WORK_FOLDER, Progress


@dataclass(frozen=True, slots=True)
class SeenFolder:
    """A folder that the archive knows, and when it was created, as well as can be told."""

    path: Path
    created_ns: int


class Sweep:
    """Goes through the folders of one archive, and keeps the index agreeing with them."""

    def __init__(self, root: Path, index: IndexDatabase, homes: SeriesHomes, scan: Scan) -> None:
        self._root, self._index, self._homes, self._scan = root, index, homes, scan
        self._sweeping = threading.Lock()
        self.unsettled = False
        """Whether the last sweep left files because they may still be being written."""

    def run(self, progress: Callable[[Progress], None] = lambda _: None, settled_ns: int = SETTLED_NS) -> int:
        """Go through the tree, index what changed, and return how many files were read.

        *progress* is told after each folder; what it raises ends the sweep. Files younger than *settled_ns*
        are left for the next one.

        A second sweep at the same time waits for the first and then returns 0: what it would look for
        has just been looked for. Raises ``IndexUnavailable``.
        """
        if not self._sweeping.acquire(blocking=False):
            with self._sweeping:
                return 0
        try:
            return self._sweep(progress, settled_ns)
        finally:
            self._sweeping.release()

    def folders(self) -> tuple[SeenFolder, ...]:
        """Return the folders that a sweep has seen, the root left out."""
        with self._index.reading() as connection:
            rows = connection.execute(
                select(folder.c.path, folder.c.created_ns).order_by(folder.c.path)
            ).all()
        return tuple(
            SeenFolder(absolute_path(self._root, row.path), row.created_ns) for row in rows if row.path
        )

    def _sweep(self, progress: Callable[[Progress], None], settled_ns: int) -> int:
        known, children = self._known_folders()
        seen: set[bytes] = set()
        read = 0
        self.unsettled = False
        for path, status in self._walk(known, children):
            place = relative_bytes(path, self._root)
            seen.add(place)
            row = known.get(place)
            if row is not None and row.mtime_ns == status.st_mtime_ns:
                continue
            refreshed = self._scan.refresh(path, settled_ns)
            read += refreshed.read
            progress(Progress("sweep", read))
            self.unsettled |= refreshed.unsettled
            self._note_folder(place, status, row, trusted=not refreshed.unsettled)
        self._forget_folders(set(known) - seen)
        if not self.unsettled:  # what was moved may not be indexed yet where it is now
            losses.tell(self._index)
        return read

    def _known_folders(self) -> tuple[dict[bytes, Row[Any]], dict[bytes, list[bytes]]]:
        """Return the recorded folders, and the sub-folders of each."""
        with self._index.reading() as connection:
            known = {row.path: row for row in connection.execute(select(folder))}
        children: dict[bytes, list[bytes]] = {}
        for place in known:
            if place:
                children.setdefault(os.path.dirname(place), []).append(place)  # noqa: PTH120 - bytes
        return known, children

    def _walk(
        self, known: dict[bytes, Row[Any]], children: dict[bytes, list[bytes]]
    ) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield every folder with its status; the entries of a folder that did not change are not listed."""
        left = [self._root]
        while left:
            path = left.pop()
            try:
                status = path.lstat()
                if not stat.S_ISDIR(status.st_mode):
                    continue
                yield path, status
                place = relative_bytes(path, self._root)
                row = known.get(place)
                if row is not None and row.mtime_ns == status.st_mtime_ns:
                    left.extend(absolute_path(self._root, child) for child in children.get(place, ()))
                else:
                    left.extend(_sub_folders(path, self._root))
            except OSError:
                continue  # it went away, or may not be read: read_folder tells who asks for it

    def _note_folder(
        self, place: bytes, status: os.stat_result, row: Row[Any] | None, *, trusted: bool
    ) -> None:
        now_ns = time.time_ns()
        mtime_ns = status.st_mtime_ns if trusted and status.st_mtime_ns < now_ns - SETTLED_NS else 0
        with self._index.writing() as connection:
            if row is None:
                created_ns = birth_time_ns(absolute_path(self._root, place))
                connection.execute(
                    folder.insert(), {"path": place, "mtime_ns": mtime_ns, "created_ns": created_ns or now_ns}
                )
            elif row.mtime_ns != mtime_ns:
                connection.execute(folder.update().where(folder.c.path == place).values(mtime_ns=mtime_ns))

    def _forget_folders(self, gone: set[bytes]) -> None:
        gone = {place for place in gone if not os.path.lexists(absolute_path(self._root, place))}
        if not gone:
            return
        with self._index.writing() as connection:
            for place in gone:
                names = connection.scalars(select(file.c.name).where(file.c.folder == place)).all()
                losses.note(connection, self._root, place, names)
                for name in names:
                    delete_file(connection, place, name)
                connection.execute(delete(folder).where(folder.c.path == place))
            forget_empty_series(connection)
            self._homes.forget()


def _sub_folders(path: Path, root: Path) -> list[Path]:
    with os.scandir(path) as entries:
        found = [path / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [each for each in found if each != root / WORK_FOLDER]
