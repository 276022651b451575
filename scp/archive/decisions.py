"""What only a person can decide: which of two contents of one instance is right, and what must go.

Files in folders of the node's own are moved or deleted; those that people keep elsewhere are never
touched: then nothing is done, and the person is told which file to move away first.
"""

import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select

from scp.archive import alterations, losses
from scp.archive.durability import sync
from scp.archive.entries import delete_file, rows_of_uid
from scp.archive.index import IndexDatabase, absolute_path, conflict, file, stored
from scp.errors import Code, Refused
from scp.model import WORK_FOLDER

CONFLICTS_FOLDER: Final = "conflicts"


def keep(index: IndexDatabase, root: Path, sop_instance_uid: str, path: Path) -> tuple[Path, ...]:
    """Settle a conflict for the file *path*; return where the other contents went.

    They are set aside in the node's own folder, where no scan, query or retrieve finds them. Copies of the
    kept content in another transfer syntax go, too: nobody has compared their pixels. What is
    kept counts as right, even where it was altered after it was stored.
    Raises ``Refused`` (unknown-image) where *path* does not hold the instance, (duplicate-conflict) where
    another file is not the node's to move.
    """
    with index.writing() as connection:
        rows = rows_of_uid(connection, sop_instance_uid)
        others = [row for row in rows if _path(root, row) != path]
        if len(others) == len(rows):
            known = ", ".join(str(_path(root, row)) for row in rows) or "none"
            raise Refused(
                Code.UNKNOWN_IMAGE, f"{path} is no known file of {sop_instance_uid}; known are: {known}"
            )
        _only_own(root, others)
        aside = tuple(_set_aside(root, _path(root, row)) for row in others)
        _forget(connection, sop_instance_uid, others)
        for row in rows:
            if row not in others:
                alterations.settle(connection, row.id)
    return aside


def accept(index: IndexDatabase, root: Path, paths: Collection[Path]) -> tuple[Path, ...]:
    """Take altered files at or below *paths* for right as they are, and lost ones for gone; return which."""
    with index.writing() as connection:
        rows = connection.execute(select(file).join(stored).where(stored.c.altered != "")).all()
        accepted = [row for row in rows if _is_below(_path(root, row), paths)]
        for row in accepted:
            alterations.settle(connection, row.id)
        given_up = [row for row in losses.all_of(connection) if _is_below(_path(root, row), paths)]
        for row in given_up:
            losses.forget(connection, row)
    return tuple(_path(root, row) for row in (*accepted, *given_up))


def remove(index: IndexDatabase, root: Path, sop_instance_uid: str) -> tuple[Path, ...]:
    """Delete every file of an instance and return which they were, those included that were lost.

    Raises ``Refused`` (unknown-image) where there is none, (duplicate-conflict) where one is not the
    node's to delete.
    """
    with index.writing() as connection:
        rows = rows_of_uid(connection, sop_instance_uid)
        gone = [row for row in losses.all_of(connection) if row.sop_instance_uid == sop_instance_uid]
        if not rows and not gone:
            raise Refused(Code.UNKNOWN_IMAGE, f"no file holds {sop_instance_uid}")
        _only_own(root, rows)
        paths = tuple(_path(root, row) for row in rows)
        for path in paths:
            path.unlink(missing_ok=True)
            sync(path.parent)
        losses.forget_instance(connection, sop_instance_uid)
        _forget(connection, sop_instance_uid, rows)
    return (*paths, *(_path(root, row) for row in gone))


def _is_below(path: Path, places: Collection[Path]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def _path(root: Path, row: Row[Any]) -> Path:
    return absolute_path(root, row.folder, row.name)


def _only_own(root: Path, rows: Iterable[Row[Any]]) -> None:
    """Raise unless every file lies in the home of its series."""
    for row in rows:
        if row.home != row.folder:
            raise Refused(
                Code.DUPLICATE_CONFLICT,
                f"{_path(root, row)} lies in a folder that people keep: move it away, then ask again",
            )


def _set_aside(root: Path, path: Path) -> Path:
    target = root / WORK_FOLDER / CONFLICTS_FOLDER / f"{time.time_ns()}_{path.name}"
    path.rename(target)
    sync(target.parent)
    sync(path.parent)
    return target


def _forget(connection: Connection, sop_instance_uid: str, rows: Iterable[Row[Any]]) -> None:
    for row in rows:
        delete_file(connection, row.folder, row.name)
    connection.execute(delete(conflict).where(conflict.c.sop_instance_uid == sop_instance_uid))
