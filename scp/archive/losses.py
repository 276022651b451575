"""Stored files that are gone, though nobody asked the node to remove them: told until that is settled.

Only what the node itself wrote counts: a file of its own name, in its series' own folder, digested. Its row
goes with the file; what is remembered here goes once the instance is found anywhere in the archive (the file
is back, was moved, or was stored anew), is removed, or its loss is accepted. An archive in which nothing is
left at all is one whose disk is away, and has lost nothing.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from scp.archive.entries import rows_of_folder
from scp.archive.index import IndexDatabase, instance, lost
from scp.archive.layout import is_instance_name
from scp.model import WORK_FOLDER, counted

LOGGER = logging.getLogger(__name__)


def note(connection: Connection, root: Path, folder: bytes, names: Collection[bytes]) -> None:
    """Remember which of the files *names* are lost; to be asked before their rows go."""
    if not names or _is_away(root):
        return
    names = frozenset(names)
    gone = [row for row in rows_of_folder(connection, folder) if row.name in names and _is_own(row)]
    for row in gone:
        forget(connection, row)
    rows = [
        {
            "folder": folder,
            "name": row.name,
            "sop_instance_uid": row.sop_instance_uid,
            "noted_ns": time.time_ns(),
            "told": False,
        }
        for row in gone
    ]
    if rows:
        connection.execute(lost.insert(), rows)


def all_of(connection: Connection) -> Sequence[Row[Any]]:
    """Return the lost files whose instance was not found anywhere since."""
    found = select(instance.c.file_id).where(instance.c.sop_instance_uid == lost.c.sop_instance_uid)
    return connection.execute(select(lost).where(~found.exists()).order_by(lost.c.folder, lost.c.name)).all()


def forget_instance(connection: Connection, sop_instance_uid: str) -> None:
    connection.execute(delete(lost).where(lost.c.sop_instance_uid == sop_instance_uid))


def forget(connection: Connection, row: Row[Any]) -> None:
    connection.execute(delete(lost).where(lost.c.folder == row.folder, lost.c.name == row.name))


def tell(index: IndexDatabase) -> None:
    """Forget what was found again, and log once how many files each folder lost."""
    with index.reading() as connection:
        if connection.execute(select(lost.c.folder).limit(1)).first() is None:
            return
    with index.writing() as connection:
        connection.execute(
            delete(lost).where(lost.c.sop_instance_uid.in_(select(instance.c.sop_instance_uid)))
        )
        counts = Counter(row.folder for row in all_of(connection) if not row.told)
        connection.execute(update(lost).values(told=True))
    for count in counts.values():
        LOGGER.warning(
            "%s gone from a folder of the archive, not removed by this node; mpr-scp verify says which, "
            "and what can be done",
            counted(count, "stored file"),
        )


def _is_own(row: Row[Any]) -> bool:
    own = row.home == row.folder and is_instance_name(os.fsdecode(row.name))
    return bool(own and row.header_sha256)


def _is_away(root: Path) -> bool:
    """Tell whether nothing is left in the archive: its disk is not there."""
    try:
        with os.scandir(root) as entries:
            return all(entry.name == WORK_FOLDER for entry in entries)
    except OSError:
        return True
