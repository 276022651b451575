"""From the spool to its place: link, write the index row, sync, then say so.

Whoever comes first files for all who wait (group commit): the index commits once for every instance that
arrived meanwhile, and a lone association pays for no hand-over between threads. The order is what makes a
crash harmless: a file is whole on the disk before it has its name, and has name and row for good before it
is acknowledged. ``scp.archive.durability`` says how many waits for the disk that takes: where it is one,
each association has its own, side by side; else folders are synced once for the group, before the index
commits. A crash before the row leaves a whole file that the next sweep finds; a row without a file is none.

A sync that failed is never repeated: Linux reports only once that the disk did not take some content, and
regards that content as written from then on, so the success of a second sync would prove nothing. What failed
is written anew, or refused.
"""

import errno
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path, PurePath
from typing import Any, Final

from sqlalchemy import Connection, Row

from scp.archive.duplicates import contradicts, has_same_bytes, is_identical
from scp.archive.durability import Syncing, make_folders, sync
from scp.archive.entries import delete_file, insert_file, note_conflict, rows_of_uid
from scp.archive.index import (
    IndexDatabase,
    absolute_path,
    is_full,
    relative_bytes,
)
from scp.archive.intake import Spooled, out_of_space_or_refused
from scp.archive.layout import instance_name
from scp.archive.series_homes import SeriesHomes
from scp.errors import IndexChanged, IndexUnavailable, MprScpError, OutOfSpace, StoreRefused
from scp.model import FileStamp, Stored
from scp.part10 import FileRead

NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})

ADVICE: Final = (
    "check the disk, reboot, so that nothing is read from memory that the disk lacks, then run mpr-scp verify"
)

LOGGER = logging.getLogger(__name__)


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Job:
    """One instance that waits to be filed, and what became of it."""

    spooled: Spooled
    stored: Stored | None = None
    failure: Exception | None = None
    linked: Path | None = None
    made: list[Path] = field(default_factory=list)
    """Folders made for it, the deepest first."""
    syncing: threading.Lock = field(default_factory=threading.Lock)
    """Held while the file is synced: nobody may sync it again before a failure is recorded."""
    called: threading.Lock = field(default_factory=_held_lock)
    """Released once it is settled, or when it is its association's turn to file the next group."""
    relied_on: bool = False
    tried_again: bool = False

    @property
    def settled(self) -> bool:
        return self.stored is not None or self.failure is not None


class Filing:
    """Files what the spool holds, one group after the other."""

    def __init__(self, root: Path, index: IndexDatabase, homes: SeriesHomes, syncing: Syncing) -> None:
        self._root, self._index, self._homes, self._syncing = root, index, homes, syncing
        self._turn = threading.Lock()
        self._waiting: list[_Job] = []
        self._is_filing = False
        # folders whose entries changed; kept when a group fails, since the next one may rely on them
        self._unsynced: set[Path] = set()
        # names of files that their own associations are about to sync
        self._linked: dict[Path, _Job] = {}
        # files and folders that a sync failed for and that are still there: a later success proves nothing
        self._doubtful: set[Path] = set()
        self._waiting_lock = threading.Lock()

    def file(self, spooled: Spooled) -> Stored:
        """Return once the instance is in place and indexed; raises ``StoreRefused``, ``IndexUnavailable``."""
        job = _Job(spooled)
        with self._waiting_lock:
            self._waiting.append(job)
            leads, self._is_filing = not self._is_filing, True
        if not leads:
            job.called.acquire()
        if not job.settled:
            self._file_all_who_wait()
        if job.stored is None:
            assert job.failure is not None
            raise job.failure
        if job.linked is not None and self._syncing is Syncing.ONCE:
            self._sync_with_name(job, job.linked)
        return job.stored

    def _file_all_who_wait(self) -> None:
        """File all who wait, release them, and wake one of those who came meanwhile, to file the next group.

        With one lock for all, one whose instance is filed would often wait for the next group, too.
        """
        group: list[_Job] = []
        try:
            with self._turn:
                with self._waiting_lock:
                    group, self._waiting = self._waiting, []
                self._file_group(group)
        finally:
            with self._waiting_lock:
                for job in group:
                    if not job.settled:
                        job.failure = StoreRefused("the archive did not file the instance")
                called = [*group[1:], *self._waiting[:1]]
                self._is_filing = bool(self._waiting)
            for job in called:
                job.called.release()

    def _sync_with_name(self, job: _Job, path: Path) -> None:
        """Make a file and its new name durable; where that fails, remove both again.

        They stay where a duplicate was acknowledged meanwhile: its sync of the same file succeeded.
        """
        try:
            with job.syncing, self._noting_failure_of(path):
                os.fsync(job.spooled.descriptor)
        except OSError:
            with self._turn:
                if not job.relied_on:
                    with suppress(IndexUnavailable), self._index.writing() as connection:
                        delete_file(
                            connection, relative_bytes(path.parent, self._root), os.fsencode(path.name)
                        )
                    self._undo([job])
            raise
        finally:
            self._linked.pop(path, None)

    def _file_group(self, group: Sequence[_Job]) -> None:
        """File a group together; where that fails, each member alone, so that none fails for another."""
        try:
            self._file_together(group)
        except Exception as error:  # whatever it was: each job learns its own outcome below
            self._undo(group)
            if len(group) == 1 and (not isinstance(error, IndexChanged) or group[0].tried_again):
                group[0].failure = _as_ours(error)
                return
            for job in group:
                job.tried_again = len(group) == 1
                self._file_group([job])

    def _file_together(self, group: Sequence[_Job]) -> None:
        with self._index.writing() as connection:
            outcomes = [self._place(connection, job) for job in group]
            if self._syncing is not Syncing.NEVER:
                for folder in sorted(self._unsynced):
                    # one that is gone has no entries to keep
                    with self._noting_failure_of(folder), suppress(FileNotFoundError):
                        sync(folder)
            self._unsynced.clear()
        for job, stored in zip(group, outcomes, strict=True):
            job.stored = stored

    def _undo(self, group: Sequence[_Job]) -> None:
        """Remove names and folders; where the disk refuses, a whole instance stays, not acknowledged."""
        for job in group:
            if job.linked is not None:
                with suppress(OSError):
                    _move_out(job.linked, job.spooled.path)
                self._linked.pop(job.linked, None)
                if not os.path.lexists(job.linked):
                    self._doubtful.discard(job.linked)
                job.linked = None
        for job in reversed(group):
            for folder in job.made:
                with suppress(OSError):  # others file there, too
                    folder.rmdir()
            job.made = []

    def _place(self, connection: Connection, job: _Job) -> Stored:
        spooled = job.spooled
        uid = spooled.origin.sop_instance_uid
        known = [row for row in rows_of_uid(connection, uid) if self._is_still_there(row)]
        for row in known:
            if is_identical(connection, self._root, row, spooled):
                path = absolute_path(self._root, row.folder, row.name)
                self._make_durable(path)
                return Stored(uid, path, "duplicate")
        outcome = "conflict" if any(contradicts(row, spooled) for row in known) else "stored"
        home = self._homes.home_of(connection, spooled.header, spooled.batch)
        folder = self._root / home
        if not folder.is_dir():
            job.made = list(takewhile(lambda place: not place.is_dir(), (folder, *folder.parents)))
            self._unsynced |= make_folders(folder)
        path, fresh = self._link(job, folder, plain_name=not known)
        if not fresh:
            outcome = "duplicate"
            self._make_durable(path)
        self._insert(connection, spooled, home, path)
        if outcome == "conflict":
            note_conflict(connection, uid)
        return Stored(uid, path, outcome)

    def _make_durable(self, path: Path) -> None:
        """Sync a file that was here before: people copied it in, or a crash came between name and sync.

        Raises ``StoreRefused`` where the disk once failed to keep it or a folder that it lies in.
        """
        if self._syncing is Syncing.NEVER:
            return
        job = self._linked.get(path)  # whoever linked it may sync it now
        with job.syncing if job else nullcontext():
            if self._is_doubtful(path):
                raise StoreRefused(
                    f"the disk failed to keep the file that holds the instance already; {ADVICE}"
                )
            with self._noting_failure_of(path):
                sync(path)
        if job is not None:
            job.relied_on = True
        self._unsynced |= self._folders_of(path)

    def _folders_of(self, path: Path) -> set[Path]:
        return {self._root / folder for folder in path.relative_to(self._root).parents}

    def _is_doubtful(self, path: Path) -> bool:
        """Tell whether a sync failed for a file or a folder that it lies in."""
        return not self._doubtful.isdisjoint({path, *self._folders_of(path)})

    @contextmanager
    def _noting_failure_of(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.filename is None:  # what could not even be opened has lost nothing
                self._doubtful.add(path)
                LOGGER.error("the disk failed to keep a file or folder: %s; %s", error.strerror, ADVICE)
            raise

    def _is_still_there(self, row: Row[Any]) -> bool:
        return absolute_path(self._root, row.folder, row.name).is_file()

    def _link(self, job: _Job, folder: Path, *, plain_name: bool) -> tuple[Path, bool]:
        """Give the spool file its name; the second is false where a file of the same bytes had it already.

        A file that the index does not know may be in the way: then the name carries the digest.
        """
        spooled = job.spooled
        uid, content = spooled.origin.sop_instance_uid, spooled.digests.header[:8] + spooled.digests.pixel[:8]
        names = [instance_name(uid)] if plain_name else []
        for name in (*names, instance_name(uid, content)):
            path = folder / name
            try:
                _move_in(spooled.path, path)
            except FileExistsError:
                if not has_same_bytes(path, spooled):
                    continue
                if not self._is_doubtful(path):
                    return path, False
                spooled.path.replace(path)  # left by a disk that refused to give it back
                self._unsynced |= self._folders_of(path)
            job.linked = path
            if self._syncing is Syncing.ONCE:
                self._linked[path] = job
            else:
                self._unsynced.add(folder)
            return path, True
        raise StoreRefused("files of other content hold both names that the instance could have")

    def _insert(self, connection: Connection, spooled: Spooled, home: PurePath, path: Path) -> None:
        stamp = FileStamp.of(path.stat())
        facts = tuple(replace(fact, path=path, stamp=stamp) for fact in spooled.facts)
        insert_file(
            connection,
            os.fsencode(home),
            os.fsencode(path.name),
            FileRead(facts, spooled.origin.transfer_syntax_uid, spooled.data_set_offset),
            spooled.digests,
            self._homes,
        )


def _move_in(source: Path, target: Path) -> None:
    """Give a file its new name; raises ``FileExistsError`` rather than replace what has that name.

    A file system without hard links (exFAT, some network shares) has the name taken by an empty file first.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        target.touch(mode=0o640, exist_ok=False)
        source.replace(target)
    else:
        with suppress(OSError):  # it has its name; what stays in the spool goes at the next start
            source.unlink()


def _move_out(target: Path, source: Path) -> None:
    """Undo :func:`_move_in`: the spool has the file, its name in the archive is gone."""
    if source.exists():
        target.unlink()
    else:
        target.rename(source)


def _as_ours(error: Exception) -> Exception:
    if isinstance(error, IndexUnavailable) and is_full(error):
        return OutOfSpace("the disk of the index is full; free space or raise the quota")
    if isinstance(error, MprScpError):
        return error
    if isinstance(error, OSError):
        return out_of_space_or_refused(error)
    return StoreRefused(f"the archive could not file the instance: {type(error).__name__}")
