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

from scp.archive.digests import digests_of, pixel_extent
from scp.archive.filing import note_conflict
from scp.archive.index import IndexDatabase, conflict, file, folder, instance, series
from scp.archive.records import ALL_COLUMNS, Digests, facts_of_row
from scp.model import FileStamp, Progress
from scp.part10 import open_regular

ABANDONED_S: Final = 86400.0
"""Nothing that another machine receives takes longer."""

Report = Callable[[Progress], None]
"""Told how far the work is."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file whose bytes are no longer those that were stored."""

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
    """Empty the index of what it took from files; rejections and verdicts stay."""
    with index.writing() as connection:
        for table in (instance, file, series, folder, conflict):
            connection.execute(delete(table))
        index.when_rolled_back()


def verify(index: IndexDatabase, root: Path, report: Report) -> Iterator[Damaged]:
    """Read every indexed instance again and yield those that changed; digests not yet known are recorded.

    Raises ``IndexUnavailable``.
    """
    with index.reading() as connection:
        keys = connection.scalars(select(instance.c.file_id).order_by(instance.c.file_id)).all()
    for number, key in enumerate(keys, 1):
        with index.reading() as connection:
            row = connection.execute(ALL_COLUMNS.where(file.c.id == key)).first()
        if row is not None:
            damage = _check(index, row, root)
            if damage is not None:
                yield damage
        report(Progress("verify", number, len(keys)))


def _check(index: IndexDatabase, row: Row[Any], root: Path) -> Damaged | None:
    """Return the damage of one file, if there is any."""
    facts = facts_of_row(row, root)[0]
    try:
        stamp, digests = digest_row(row, root)
    except OSError as error:
        return Damaged(facts.path, f"it cannot be read: {error.strerror}")
    recorded = Digests(row.header_sha256, row.pixel_sha256)
    if not recorded.header:
        record_digests(index, row, digests)
        return None
    if digests == recorded:
        return None
    touched = "its content changed" if stamp == facts.stamp else "it was written to since"
    where = "Pixel Data" if digests.header == recorded.header else "the header"
    return Damaged(facts.path, f"{touched}: {where} is not what was stored")


def digest_row(row: Row[Any], root: Path) -> tuple[FileStamp, Digests]:
    """Return stamp and digests of an indexed instance's file as it is now; raises ``OSError``."""
    facts = facts_of_row(row, root)[0]
    with open_regular(facts.path) as (read_at, stamp, _):
        return stamp, digests_of(read_at, stamp.size, row.data_set_offset, pixel_extent(facts, stamp.size))


def record_digests(index: IndexDatabase, row: Row[Any], digests: Digests) -> None:
    with index.writing() as connection:
        connection.execute(
            update(instance)
            .where(instance.c.file_id == row.file_id)
            .values(header_sha256=digests.header, pixel_sha256=digests.pixel)
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
    contents: dict[str, set[Digests]] = {}
    for row in rows:
        with suppress(OSError):
            contents.setdefault(row.transfer_syntax_uid, set()).add(digest_row(row, root)[1])
    if all(len(digests) == 1 for digests in contents.values()):
        return False
    with index.writing() as connection:
        note_conflict(connection, sop_instance_uid)
    return True
