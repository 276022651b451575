"""What lies in one folder: read where it is new or changed, taken from the index where it is not.

A file counts as unchanged while its device, inode, size, mtime and ctime are what they were. One that changed
less than two seconds ago may still be being written: it is read for the caller, but not indexed. One that
changed although its checksums were known is digested again; if its content is another, that is logged and
recorded.

Nothing here writes into anybody's folder, follows a link out of the root, or enters the node's own.
``scp.archive.sweep`` goes through all folders.
"""

import logging
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from scp.archive import alterations, losses
from scp.archive.alterations import Alteration
from scp.archive.entries import delete_file, insert_file, rows_of_folder, rows_of_uid
from scp.archive.index import IndexDatabase, file, relative_bytes
from scp.archive.layout import is_instance_name
from scp.archive.listing import MOST_REMEMBERED, FoldersAsTheyWere, Listing
from scp.archive.records import Digests, facts_of_row
from scp.archive.series_homes import SeriesHomes
from scp.errors import Code, IndexUnavailable
from scp.model import WORK_FOLDER, FileFacts, FileStamp
from scp.part10 import FileRead, read_file

LOGGER = logging.getLogger(__name__)

SETTLED_NS: Final = 2_000_000_000
"""A file or folder that changed later than this ago may still be being written."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of one folder: how many files were *read*, and whether some must be looked at again."""

    read: int
    unsettled: bool


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A file as it was read for the index, with its checksums if somebody had taken them before."""

    read: FileRead
    digests: Digests = field(default_factory=Digests)
    altered: Alteration | None = None


@dataclass(slots=True)
class _Found:
    """One folder as it was read: facts by name, what the index lacks, and what it should forget."""

    facts: dict[bytes, tuple[FileFacts, ...]]
    fresh: dict[bytes, _Fresh]
    gone: set[bytes]
    unsettled: bool = False

    @property
    def flat(self) -> tuple[FileFacts, ...]:
        return tuple(fact for name in sorted(self.facts) for fact in self.facts[name])


class Scan:
    """Reads folders of one archive, and keeps the index agreeing with them."""

    def __init__(self, root: Path, index: IndexDatabase, homes: SeriesHomes, extra: tuple[str, ...]) -> None:
        self._root, self._index, self._homes, self._extra = root, index, homes, extra
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

    def refresh(self, path: Path, settled_ns: int) -> Refreshed:
        """Bring the index up to what lies in a folder below the root; raises ``IndexUnavailable``.

        Files younger than *settled_ns* are left.
        """
        try:
            found = self._read(path, Listing.of(path), self._indexed(path), settled_ns)
        except OSError:
            return Refreshed(0, unsettled=True)
        self._record(path, found)
        return Refreshed(len(found.fresh), found.unsettled)

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
        """Return the SOP Instance UIDs of which a further file turned up since the last call."""
        taken = frozenset(self._repeated)
        self._repeated -= taken  # what another thread adds now stays
        return taken

    def put_back(self, repeated: frozenset[str]) -> None:
        """Let the next :meth:`take_repeated` return these again: they could not be compared."""
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
            facts = self._remembered(row) if row is not None and row.seen_ns else ()
            if facts and facts[0].stamp == FileStamp.of(status):
                found.facts[name] = facts
                continue
            read = read_file(path / os.fsdecode(name), extra=self._extra, within=self._root)
            found.facts[name] = read.facts
            if not stat.S_ISREG(status.st_mode):
                continue
            # an mtime in the future says nothing of the file's age: some clock was wrong
            young = now_ns - settled_ns < status.st_mtime_ns <= now_ns + SETTLED_NS
            fresh = None if young else _compared(read, row)
            if fresh is None:
                found.unsettled = True
            else:
                found.fresh[name] = fresh
        return found

    def _record(self, path: Path, found: _Found) -> None:
        """Bring the rows of one folder up to what was found."""
        if not found.fresh and not found.gone:
            return
        place = relative_bytes(path, self._root)
        with self._index.writing() as connection:
            for name, fresh in found.fresh.items():
                self._insert(connection, place, name, fresh)
            # a file filed since the folder was listed has a row that is newer than the list
            gone = {name for name in found.gone if not os.path.lexists(path / os.fsdecode(name))}
            losses.note(connection, self._root, place, gone)
            for name in gone:
                delete_file(connection, place, name)

    def _insert(self, connection: Connection, place: bytes, name: bytes, fresh: _Fresh) -> None:
        read = fresh.read
        stamp = read.facts[0].stamp
        row = connection.execute(
            select(file.c.ctime_ns, file.c.mtime_ns, file.c.size).where(
                file.c.folder == place, file.c.name == name, file.c.seen_ns != 0
            )
        ).first()
        if stamp is None or (row is not None and tuple(row) == (stamp.ctime_ns, stamp.mtime_ns, stamp.size)):
            return  # intake has just written it, digests included
        altered = fresh.altered
        if altered and not altered.is_known:
            _warn(os.fsdecode(name), altered)
        uid = read.facts[0].sop_instance_uid
        if rows_of_uid(connection, uid):
            self._repeated.add(uid)
        insert_file(connection, place, name, read, fresh.digests, self._homes)
        if altered:
            alterations.note(connection, place, name, altered)
        header = read.facts[0].header
        if header.attributes:
            self._homes.recognise(connection, header, PurePath(os.fsdecode(place)))


def _compared(read: FileRead, row: Row[Any] | None) -> _Fresh | None:
    """Return a reading for the index, compared with what the file held; ``None`` if it is not settled."""
    stamp = read.facts[0].stamp
    should = None if row is None else alterations.expected(row)
    if stamp is None:
        return None
    if row is None or should is None:
        return _Fresh(read)
    if alterations.is_as_stored(row, stamp):
        return _Fresh(read, should.digests)
    try:
        now = alterations.content_of(read.facts[0].path, read)
    except OSError:
        return None
    return _Fresh(read, now.digests, alterations.alteration(row, now, touched=True))


def _warn(name: str, altered: Alteration) -> None:
    """Log an alteration; what people call their files and folders may be patient data."""
    which = name if is_instance_name(name) else "a file that people keep"
    LOGGER.warning("%s: %s; mpr-scp verify says where it is, and what can be done", which, altered.how)
