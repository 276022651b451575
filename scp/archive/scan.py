"""What lies in the folders: read where it is new or changed, taken from the index where it is not.

A file is the one that was read while device, inode, size, mtime and ctime agree. A folder whose own mtime
stands as recorded has the same entries as then; one that changed less than two seconds before it was
recorded is not trusted, since it may change again within the clock's grain. The sweep goes by folders
and finds what people copy in, rename or delete; a change inside a file shows when its folder is read.

Nothing here writes into anybody's folder, follows a link out of the root, or enters the node's own.
"""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select

from scp.archive.birth_time import birth_time_ns
from scp.archive.filing import forget_empty_series
from scp.archive.index import IndexDatabase, absolute_path, file, folder, relative_bytes
from scp.archive.listing import MOST_REMEMBERED, FoldersAsTheyWere, Listing
from scp.archive.records import Digests, delete_file, facts_of_row, insert_file, rows_of_folder, rows_of_uid
from scp.archive.series_homes import SeriesHomes
from scp.errors import Code, IndexUnavailable
from scp.model import WORK_FOLDER, FileFacts, FileStamp, Progress
from scp.part10 import FileRead, read_file

SETTLED_NS: Final = 2_000_000_000
"""A file or folder younger than this may still be being written."""


@dataclass(frozen=True, slots=True)
class SeenFolder:
    """A folder that the archive knows, and when it was created, as well as can be told."""

    path: Path
    created_ns: int


@dataclass(slots=True)
class _Found:
    """One folder as it was read: facts by name, what the index lacks, and what it should forget."""

    facts: dict[bytes, tuple[FileFacts, ...]]
    fresh: dict[bytes, FileRead]
    gone: set[bytes]
    unsettled: bool = False

    @property
    def flat(self) -> tuple[FileFacts, ...]:
        return tuple(fact for name in sorted(self.facts) for fact in self.facts[name])


class Scan:
    """Reads folders of one archive, and keeps the index agreeing with them."""

    def __init__(self, root: Path, index: IndexDatabase, homes: SeriesHomes, extra: tuple[str, ...]) -> None:
        self._root, self._index, self._homes, self._extra = root, index, homes, extra
        self._sweeping = threading.Lock()
        self.unsettled = False
        """Whether the last sweep left files because they may still be being written."""
        self._repeated: set[str] = set()
        self._decoded: dict[tuple[object, ...], tuple[FileFacts, ...]] = {}
        self._folders = FoldersAsTheyWere()

    def read_folder(self, path: Path) -> tuple[FileFacts, ...]:
        """Return the facts of every entry of a folder but its sub-folders, by name.

        A folder outside the root is read and not indexed; one that is gone has no entries. With the
        index out of order the files are read all the same.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
        try:
            listing = Listing.of(path)
        except OSError as error:
            return (FileFacts(path, reason=Code.UNREADABLE, detail=error.strerror or ""),)
        if not self._is_ours_to_index(path):
            return self._read(path, listing, {}).flat
        remembered = self._folders.recall(path, listing)
        if remembered is not None:
            return remembered
        try:
            found = self._read(path, listing, self._indexed(path))
            self._record(path, found)
            if not found.unsettled:
                self._folders.keep(path, listing, found.flat)
        except IndexUnavailable:
            found = self._read(path, listing, {})
        return found.flat

    def sweep(
        self, progress: Callable[[Progress], None] = lambda _: None, settled_ns: int = SETTLED_NS
    ) -> int:
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

    def current(self, row: Row[Any]) -> tuple[FileFacts, ...]:
        """Return the facts of an indexed file as it is now: read again if it changed, none if it is gone."""
        facts = self._remembered(row)
        try:
            stamp = FileStamp.of(facts[0].path.lstat())
        except OSError:
            return ()
        if stamp == facts[0].stamp:
            return facts
        return read_file(facts[0].path, extra=self._extra, within=self._root).facts

    def take_repeated(self) -> frozenset[str]:
        """Return the SOP Instance UIDs that turned up though known, since this was last asked."""
        taken = frozenset(self._repeated)
        self._repeated -= taken  # what another thread adds now stays
        return taken

    def put_back(self, repeated: frozenset[str]) -> None:
        """Let the next :meth:`take_repeated` return these again: nobody could look at them."""
        self._repeated |= repeated

    def _is_ours_to_index(self, path: Path) -> bool:
        if not path.is_relative_to(self._root):
            return False
        return WORK_FOLDER not in path.relative_to(self._root).parts[:1]

    def _remembered(self, row: Row[Any]) -> tuple[FileFacts, ...]:
        """Return the facts of a row; decoding its JSON costs more than all else in a known folder."""
        stamp = (row.device, row.inode, row.size, row.mtime_ns, row.ctime_ns)
        key = (row.folder, row.name, *stamp, row.pixel_sha256)
        facts = self._decoded.get(key)
        if facts is None:
            facts = facts_of_row(row, self._root)
            if len(self._decoded) >= MOST_REMEMBERED:
                self._decoded.clear()
            self._decoded[key] = facts
        return facts

    def _indexed(self, path: Path) -> dict[bytes, Row[Any]]:
        with self._index.reading() as connection:
            rows = rows_of_folder(connection, relative_bytes(path, self._root))
        return {row.name: row for row in rows}

    def _read(
        self,
        path: Path,
        listing: Listing,
        indexed: Mapping[bytes, Row[Any]],
        settled_ns: int = SETTLED_NS,
    ) -> _Found:
        found = _Found({}, {}, indexed.keys() - listing.entries.keys(), unsettled=not listing.whole)
        now_ns = time.time_ns()
        for name, status in listing.entries.items():
            row = indexed.get(name)
            facts = self._remembered(row) if row is not None else ()
            if facts and facts[0].stamp == FileStamp.of(status):
                found.facts[name] = facts
                continue
            read = read_file(path / os.fsdecode(name), extra=self._extra, within=self._root)
            found.facts[name] = read.facts
            if not stat.S_ISREG(status.st_mode):
                continue
            # one from the future says nothing of its age: a clock was wrong, there or here
            young = now_ns - settled_ns < status.st_mtime_ns <= now_ns + SETTLED_NS
            if young or read.facts[0].stamp is None:
                found.unsettled = True
            else:
                found.fresh[name] = read
        return found

    def _record(self, path: Path, found: _Found) -> None:
        """Bring the rows of one folder up to what was found."""
        if not found.fresh and not found.gone:
            return
        place = relative_bytes(path, self._root)
        with self._index.writing() as connection:
            for name, read in found.fresh.items():
                self._insert(connection, place, name, read)
            for name in found.gone:
                # a file filed since the folder was listed has a row that is newer than the list
                if not os.path.lexists(path / os.fsdecode(name)):
                    delete_file(connection, place, name)

    def _insert(self, connection: Connection, place: bytes, name: bytes, read: FileRead) -> None:
        stamp = read.facts[0].stamp
        row = connection.execute(
            select(file.c.ctime_ns, file.c.mtime_ns, file.c.size).where(
                file.c.folder == place, file.c.name == name
            )
        ).first()
        if stamp is None or (row is not None and tuple(row) == (stamp.ctime_ns, stamp.mtime_ns, stamp.size)):
            return  # intake has just written it, digests included
        uid = read.facts[0].sop_instance_uid
        if rows_of_uid(connection, uid):
            self._repeated.add(uid)
        insert_file(
            connection,
            place,
            name,
            read.facts,
            data_set=(read.transfer_syntax_uid, read.data_set_offset),
            digests=Digests(),
            seen_ns=time.time_ns(),
            series_id=self._homes.id_of,
        )
        header = read.facts[0].header
        if header.attributes:
            self._homes.recognise(connection, header, PurePath(os.fsdecode(place)))

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
            try:
                found = self._read(path, Listing.of(path), self._indexed(path), settled_ns)
            except OSError:
                found = _Found({}, {}, set(), unsettled=True)
            self._record(path, found)
            read += len(found.fresh)
            progress(Progress("sweep", read))
            self.unsettled |= found.unsettled
            self._note_folder(place, status, row, trusted=not found.unsettled)
        self._forget_folders(set(known) - seen)
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
                for name in names:
                    delete_file(connection, place, name)
                connection.execute(delete(folder).where(folder.c.path == place))
            forget_empty_series(connection)
            self._homes.forget()


def _sub_folders(path: Path, root: Path) -> list[Path]:
    with os.scandir(path) as entries:
        found = [path / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [each for each in found if each != root / WORK_FOLDER]
