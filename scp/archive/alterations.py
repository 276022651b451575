"""Stored content that was altered: told from what was only touched, and kept in mind until it is settled.

The checksums of a row are those of what its file holds now, whatever became of it: duplicates and results
rely on them, and must never take altered bytes for those that were stored. So that an alteration is not
forgotten with the old checksums, they stand in the file's ``detail``, behind what a scan says of the file,
until the file holds that content again (somebody put a backup in its place) or a person says that it is
right as it is.

``detail`` is then ``OWN DETAIL\\nWHAT IS ALTERED\\nHEADER_SHA256 PIXEL_SHA256 TRANSFER_SYNTAX_UID``.
"""

import errno
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, exists, select, update

from scp.archive.digests import digests_of, pixel_extent
from scp.archive.index import file, instance
from scp.archive.records import Digests, stamp_of_row
from scp.model import FileStamp
from scp.part10 import FileRead, open_regular

IS_REMEMBERED: Final[ColumnElement[bool]] = file.c.detail.contains("\n")
"""Whether a file's row says what it held, beside or in place of what it holds."""


@dataclass(frozen=True, slots=True)
class Content:
    """What makes two readings of one file the same: its data set, and how that is encoded."""

    digests: Digests
    transfer_syntax_uid: str


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
    _, _, recorded = _parts(row.detail)
    if not recorded:
        return held(row)
    header, pixel, transfer_syntax_uid = recorded.split(" ")
    return Content(Digests(header, pixel), transfer_syntax_uid)


def is_as_digested(row: Row[Any], stamp: FileStamp) -> bool:
    """Tell whether a file that is read again since :func:`doubt_all` is still the one that was digested."""
    return replace(stamp_of_row(row), ctime_ns=-row.ctime_ns) == stamp


def alteration(row: Row[Any], now: Content, *, touched: bool) -> str:
    """Return in what the row's file differs from what it should hold, ``""`` where it does not.

    *touched* tells whether the file system says that it was written to. What is known already is told as it
    was found first.
    """
    should = expected(row)
    if should is None or should == now:
        return ""
    _, known, _ = _parts(row.detail)
    if known:
        return known
    same_header = (should.digests.header, should.transfer_syntax_uid) == (
        now.digests.header,
        now.transfer_syntax_uid,
    )
    how = (
        "it was written to since" if touched else "its content changed, though nothing says it was written to"
    )
    return f"{how}: {'Pixel Data' if same_header else 'the header'} is not what was stored"


def is_known(row: Row[Any]) -> bool:
    """Tell whether the row says already that its file was altered."""
    return bool(_parts(row.detail)[1])


def memory(row: Row[Any], altered: str) -> str:
    """Return what goes behind the detail of the row's file, ``""`` where it is not *altered*."""
    should = expected(row)
    if not altered or should is None:
        return ""
    digests = should.digests
    return f"\n{altered}\n{digests.header} {digests.pixel} {should.transfer_syntax_uid}"


def settle(connection: Connection, file_id: int) -> None:
    """Take a file for right as it is."""
    detail = connection.scalar(select(file.c.detail).where(file.c.id == file_id)) or ""
    connection.execute(update(file).where(file.c.id == file_id).values(detail=_parts(detail)[0]))


def doubt_all(connection: Connection) -> None:
    """Have every file read again, as one that changed; what each should hold is kept though instances go.

    The time of change is negative where what was digested is what should be there, to know the file again.
    """
    digested = instance.c.header_sha256 + " " + instance.c.pixel_sha256 + " " + instance.c.transfer_syntax_uid
    of_file = (instance.c.file_id == file.c.id) & (instance.c.header_sha256 != "")
    connection.execute(
        update(file)
        .where(file.c.ctime_ns > 0, ~IS_REMEMBERED, exists().where(of_file))
        .values(
            ctime_ns=-file.c.ctime_ns,
            detail="\n\n" + select(digested).where(of_file).scalar_subquery(),
        )
    )
    connection.execute(update(file).where(file.c.ctime_ns > 0).values(ctime_ns=0))


def _parts(detail: str) -> tuple[str, str, str]:
    own, _, behind = detail.partition("\n")
    altered, _, recorded = behind.partition("\n")
    return own, altered, recorded
