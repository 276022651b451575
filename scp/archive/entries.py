"""What the index says of files: written, replaced, taken out and found again."""

import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, select

from scp.archive.index import conflict, file, instance, series, stored
from scp.archive.prepared import Prepared
from scp.archive.records import Digests, file_values, instance_values
from scp.archive.series_homes import SeriesHomes
from scp.part10 import FileRead

_AS_STORED: Final = [column.label(f"stored_{column.name}") for column in stored.c if column.name != "file_id"]

ALL_COLUMNS: Final = (
    select(file, instance, series.c.home, *_AS_STORED)
    .outerjoin(instance, instance.c.file_id == file.c.id)
    .outerjoin(series, series.c.id == instance.c.series_id)
    .outerjoin(stored, stored.c.file_id == file.c.id)
)
"""A file, the instance that it holds, if it holds one, and what it held when stored (``stored_...``), if that
is something else.
"""

# built once: composing a statement costs more than SQLite takes to answer it
_KEY_OF_FILE: Final = select(file.c.id).where(
    file.c.folder == bindparam("folder"), file.c.name == bindparam("name")
)
_FIND_FILE: Final = Prepared(_KEY_OF_FILE)
_FIND_UID: Final = Prepared(select(instance.c.file_id).where(instance.c.sop_instance_uid == bindparam("uid")))
_ROWS_OF_FOLDER: Final = ALL_COLUMNS.where(file.c.folder == bindparam("folder"))
_ROWS_OF_UID: Final = ALL_COLUMNS.where(instance.c.sop_instance_uid == bindparam("uid")).order_by(
    file.c.seen_ns.desc(), file.c.id.desc()
)
_INSERT_FILE: Final = Prepared(
    file.insert().values({column.name: bindparam(column.name) for column in file.c if column.name != "id"})
)
_INSERT_INSTANCE: Final = Prepared(
    instance.insert().values(
        {column.name: bindparam(column.name) for column in instance.c}
        | {"file_id": _KEY_OF_FILE.scalar_subquery()}
    )
)
_DELETIONS: Final = tuple(
    Prepared(delete(column.table).where(column == bindparam("key")))
    for column in (instance.c.file_id, stored.c.file_id, file.c.id)
)


def insert_file(
    connection: Connection, folder: bytes, name: bytes, read: FileRead, digests: Digests, homes: SeriesHomes
) -> None:
    """Write the rows of a file that was just read, in place of those it had."""
    first = read.facts[0]
    if first.stamp is None:
        return
    delete_file(connection, folder, name)
    place = {"folder": folder, "name": name}
    _INSERT_FILE.run(connection, {**place, **file_values(first, first.stamp), "seen_ns": time.time_ns()})
    if first.header.attributes:
        values = instance_values(read, digests)
        values["series_id"] = homes.id_of(connection, first.header)
        _INSERT_INSTANCE.run(connection, place | values)


def key_of_file(connection: Connection, folder: bytes, name: bytes) -> int | None:
    """Return the key of a file's row, ``None`` where it has none."""
    key: int | None = _FIND_FILE.run(connection, {"folder": folder, "name": name})
    return key


def delete_file(connection: Connection, folder: bytes, name: bytes) -> None:
    """Take one file's rows out, if it has any."""
    key = key_of_file(connection, folder, name)
    if key is not None:
        for deletion in _DELETIONS:
            deletion.run(connection, {"key": key})


def rows_of_folder(connection: Connection, folder: bytes) -> Sequence[Row[Any]]:
    """Return the files of one folder."""
    return connection.execute(_ROWS_OF_FOLDER, {"folder": folder}).all()


def rows_of_uid(connection: Connection, sop_instance_uid: str) -> Sequence[Row[Any]]:
    """Return the files that hold an instance, the newest first."""
    if _FIND_UID.run(connection, {"uid": sop_instance_uid}) is None:
        return ()  # as for nearly everything that arrives: the join is spared
    return connection.execute(_ROWS_OF_UID, {"uid": sop_instance_uid}).all()


def note_conflict(connection: Connection, sop_instance_uid: str) -> None:
    """List a SOP Instance UID under which files of different content are kept."""
    known = connection.scalar(
        select(conflict.c.noted_ns).where(conflict.c.sop_instance_uid == sop_instance_uid)
    )
    if known is None:
        connection.execute(
            conflict.insert(), {"sop_instance_uid": sop_instance_uid, "noted_ns": time.time_ns()}
        )


def forget_empty_series(connection: Connection) -> None:
    """Take out series that no instance belongs to any more."""
    connection.execute(delete(series).where(series.c.id.not_in(select(instance.c.series_id))))
