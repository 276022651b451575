"""Bringing order back: what a crash left in the spool, an index made anew, digests checked.

Files are the truth; whatever is done here ends with the index saying what they say.
"""

import os
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, delete, func, select, update

from scp.archive import alterations, losses
from scp.archive.alterations import Alteration, Content
from scp.archive.digests import digest_row
from scp.archive.duplicates import say_the_same, written
from scp.archive.entries import ALL_COLUMNS, delete_file, note_conflict
from scp.archive.index import IndexDatabase, absolute_path, conflict, file, folder, instance, series, stored
from scp.archive.records import Digests, stamp_of_row
from scp.model import Progress
from scp.part10 import read_file

ABANDONED_S: Final = 86400.0
"""Nothing that another machine receives takes longer."""

Report = Callable[[Progress], None]
"""Told how far the work is."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file that is gone, or whose bytes are no longer those that were stored."""

    path: Path
    detail: str


def empty_spool(spool: Path) -> int:
    """Delete what a crash left in the spool, of processes that live no more; return how many files.

    Nothing there was ever acknowledged. What another machine writes, where several share the archive, is
    left alone for a day.
    """
    left = 0
    for path in spool.iterdir():
        with suppress(FileNotFoundError):
            if not _is_in_use(path):
                path.unlink()
                left += 1
    return left


def _is_in_use(path: Path) -> bool:
    host, number, _ = ["", "", *path.name.rsplit("-", 2)][-3:]
    if not host or not number.isdigit():
        return False
    if host != socket.gethostname():
        return path.lstat().st_mtime > time.time() - ABANDONED_S
    return int(number) != os.getpid() and _is_running(int(number))


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def forget_everything(index: IndexDatabase) -> None:
    """Empty the index of what it took from files; checksums, rejections and verdicts stay."""
    with index.writing() as connection:
        alterations.doubt_all(connection)
        for table in (instance, series, conflict):
            connection.execute(delete(table))
        connection.execute(update(folder).values(mtime_ns=0))
        index.when_rolled_back()


def forget_gone(index: IndexDatabase, root: Path) -> None:
    """Take out what no sweep has read since :func:`forget_everything`, and is not there."""
    with index.writing() as connection:
        left = connection.execute(select(file.c.folder, file.c.name).where(file.c.seen_ns == 0)).all()
        for row in left:
            if not os.path.lexists(absolute_path(root, row.folder, row.name)):
                delete_file(connection, row.folder, row.name)


def verify(index: IndexDatabase, root: Path, report: Report) -> Iterator[Damaged]:
    """Read every indexed instance again and yield those that were altered or lost, until that is settled.

    Recorded are checksums not yet known, and what is altered, as by a scan: who stores the instance again
    must not be told that it is here. Raises ``IndexUnavailable``.
    """
    known = (
        select(file.c.id)
        .outerjoin(instance, instance.c.file_id == file.c.id)
        .outerjoin(stored, stored.c.file_id == file.c.id)
        .where(instance.c.file_id.is_not(None) | stored.c.file_id.is_not(None))
    )
    with index.reading() as connection:
        keys = connection.scalars(known.order_by(file.c.id)).all()
    for number, key in enumerate(keys, 1):
        with index.reading() as connection:
            row = connection.execute(ALL_COLUMNS.where(file.c.id == key)).first()
        if row is not None:
            damage = _check(index, row, root)
            if damage is not None:
                yield damage
        report(Progress("verify", number, len(keys)))
    with index.reading() as connection:
        gone = losses.all_of(connection)
    yield from (Damaged(absolute_path(root, row.folder, row.name), "it is gone") for row in gone)


def _check(index: IndexDatabase, row: Row[Any], root: Path) -> Damaged | None:
    """Return the damage of one file, if there is any."""
    path = absolute_path(root, row.folder, row.name)
    try:
        now, touched = _content(row, path, root)
    except OSError as error:
        return Damaged(path, f"it cannot be read: {error.strerror}")
    altered = alterations.alteration(row, now, touched=touched)
    if now != alterations.held(row) or bool(altered) != bool(row.stored_altered):
        _record(index, row, now, altered)
    return Damaged(path, altered.how) if altered else None


def _content(row: Row[Any], path: Path, root: Path) -> tuple[Content, bool]:
    """Return what a file holds now, and whether it was written to since. Raises ``OSError``."""
    if row.file_id is not None:
        stamp, digests = digest_row(row, root)
        if stamp == stamp_of_row(row):
            return Content(digests, row.transfer_syntax_uid), False
    return alterations.content_of(path, read_file(path, within=root)), True


def _record(index: IndexDatabase, row: Row[Any], now: Content, altered: Alteration | None) -> None:
    """Write what an indexed file holds now; of one that holds no instance any more, only what it held."""
    with index.writing() as connection:
        if connection.execute(ALL_COLUMNS.where(file.c.id == row.id)).first() != row:
            return  # whoever changed it meanwhile knows better
        if altered:
            alterations.note(connection, row.folder, row.name, altered)
        elif row.file_id is not None:
            alterations.settle(connection, row.id)
        digests = {"header_sha256": now.digests.header, "pixel_sha256": now.digests.pixel}
        connection.execute(
            update(instance)
            .where(instance.c.file_id == row.id)
            .values(digests | {"transfer_syntax_uid": now.transfer_syntax_uid})
        )


def note_conflicts(index: IndexDatabase, root: Path) -> int:
    """List the SOP Instance UIDs that files of one transfer syntax hold with different content.

    An index made anew finds its conflicts by this; returns how many there are.
    """
    several = (
        select(instance.c.sop_instance_uid)
        .where(instance.c.sop_instance_uid != "")
        .group_by(instance.c.sop_instance_uid, instance.c.transfer_syntax_uid)
        .having(func.count() > 1)
    )
    with index.reading() as connection:
        uids = set(connection.scalars(several))
    return note_conflicts_of(index, root, uids)


def note_conflicts_of(index: IndexDatabase, root: Path, sop_instance_uids: Collection[str]) -> int:
    """Compare the files of these instances and list those that differ; return how many."""
    return sum(_note_if_different(index, root, uid) for uid in sorted(sop_instance_uids))


def _note_if_different(index: IndexDatabase, root: Path, sop_instance_uid: str) -> bool:
    with index.reading() as connection:
        rows = connection.execute(ALL_COLUMNS.where(instance.c.sop_instance_uid == sop_instance_uid)).all()
    firsts: dict[str, tuple[Row[Any], Digests]] = {}
    for row in rows:
        with suppress(OSError):  # what is gone differs from nothing
            digests = digest_row(row, root)[1]
            first, first_digests = firsts.setdefault(row.transfer_syntax_uid, (row, digests))
            if digests != first_digests and not _is_re_encoded(root, (first, first_digests), (row, digests)):
                with index.writing() as connection:
                    note_conflict(connection, sop_instance_uid)
                return True
    return False


def _is_re_encoded(root: Path, one: tuple[Row[Any], Digests], other: tuple[Row[Any], Digests]) -> bool:
    """Tell whether files whose bytes differ say the same. Raises ``OSError``."""
    (row, digests), (other_row, other_digests) = one, other
    if digests.pixel != other_digests.pixel:
        return False
    with written(root, row) as first, written(root, other_row) as second:
        return say_the_same(first, second)
