"""Stored files whose content was altered: told from those only touched, and recorded until that is settled.

The checksums of an instance's row are those of what its file holds now, whatever became of it: duplicates and
results rely on them, and must never take altered bytes for those that were stored. What an altered file held
when it was stored stands in the table ``stored``, until the file holds that again (somebody put a backup in
its place) or a person says that it is right as it is.

An index that is made anew from the files keeps what they held there, too, until each of them is read again.
"""

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, literal, select, update

from scp.archive.digests import digests_of, pixel_extent
from scp.archive.entries import key_of_file
from scp.archive.index import file, instance, stored
from scp.archive.records import Digests, stamp_of_row
from scp.model import FileStamp
from scp.part10 import FileRead, open_regular


@dataclass(frozen=True, slots=True)
class Content:
    """What makes two readings of one file the same: its data set, and how that is encoded."""

    digests: Digests
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Alteration:
    """That a file no longer holds what was *stored*; *how* says it to a person."""

    stored: Content
    how: str
    is_known: bool
    """Whether the index says it already."""


def content_of(path: Path, read: FileRead) -> Content:
    """Return the content of a file as *read* found it. Raises ``OSError``, also where it changed since."""
    first = read.facts[0]
    if first.stamp is None:
        raise OSError(errno.EIO, first.detail)
    with open_regular(path) as (read_at, stamp, _):
        extent = pixel_extent(first, stamp.size)
        digests = digests_of(read_at, stamp.size, read.data_set_offset, extent)
        if stamp != first.stamp:
            raise OSError(errno.EBUSY, "it changes while it is read")
    return Content(digests, read.transfer_syntax_uid)


def held(row: Row[Any]) -> Content | None:
    """Return what the row's file held when it was last digested, ``None`` where it never was."""
    if not row.header_sha256:
        return None
    return Content(Digests(row.header_sha256, row.pixel_sha256), row.transfer_syntax_uid)


def expected(row: Row[Any]) -> Content | None:
    """Return what the row's file should hold, ``None`` where nobody knows."""
    if row.stored_header_sha256 is None:
        return held(row)
    return Content(Digests(row.stored_header_sha256, row.stored_pixel_sha256), row.stored_transfer_syntax_uid)


def is_as_stored(row: Row[Any], stamp: FileStamp) -> bool:
    """Tell whether a file that is read again after :func:`doubt_all` need not be digested again."""
    return not row.stored_altered and stamp == stamp_of_row(row)


def alteration(row: Row[Any], now: Content, *, touched: bool) -> Alteration | None:
    """Return in what the row's file differs from what it should hold, ``None`` where it does not.

    *touched* tells whether the file system says that it was written to. What is known already is told as it
    was found first.
    """
    should = expected(row)
    if should is None or should == now:
        return None
    if row.stored_altered:
        return Alteration(should, row.stored_altered, is_known=True)
    same_header = (should.digests.header, should.transfer_syntax_uid) == (
        now.digests.header,
        now.transfer_syntax_uid,
    )
    what = "Pixel Data" if same_header else "the header"
    how = (
        "it was written to since" if touched else "its content changed, though nothing says it was written to"
    )
    return Alteration(should, f"{how}: {what} is not what was stored", is_known=False)


def note(connection: Connection, folder: bytes, name: bytes, altered: Alteration) -> None:
    """Record what an altered file held; it must have a row."""
    key = key_of_file(connection, folder, name)
    assert key is not None
    settle(connection, key)
    digests = altered.stored.digests
    connection.execute(
        stored.insert(),
        {
            "file_id": key,
            "header_sha256": digests.header,
            "pixel_sha256": digests.pixel,
            "transfer_syntax_uid": altered.stored.transfer_syntax_uid,
            "altered": altered.how,
        },
    )


def settle(connection: Connection, file_id: int) -> None:
    """Regard a file as right as it is."""
    connection.execute(delete(stored).where(stored.c.file_id == file_id))


def doubt_all(connection: Connection) -> None:
    """Have every file read again, as if nobody had; what each should hold is kept though instances go."""
    digested = select(
        instance.c.file_id,
        instance.c.header_sha256,
        instance.c.pixel_sha256,
        instance.c.transfer_syntax_uid,
        literal(""),
    ).where(instance.c.header_sha256 != "", instance.c.file_id.not_in(select(stored.c.file_id)))
    connection.execute(stored.insert().from_select(stored.c.keys(), digested))
    connection.execute(update(file).values(seen_ns=0))
