"""Whether an instance that arrives is here already: the same data set, in the same transfer syntax.

Checksums tell, where the file is still the one that they were taken of; else its bytes are compared. Where
only the header's differ, its values tell: another toolkit may have written the same data set.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, update

from scp.archive.digests import CHUNK_BYTES, digest_row, pixel_extent
from scp.archive.index import absolute_path, instance
from scp.archive.intake import Spooled
from scp.archive.records import Digests, facts_of_row, stamp_of_row
from scp.errors import NotDicom
from scp.model import FileStamp
from scp.part10 import ReadAt, content_of, encoding_of, open_data_set, open_regular

LONGEST_HEADER_COMPARED_BYTES: Final = 4 * 1024 * 1024
"""What is longer is compared by its bytes alone: values take seconds, and others wait meanwhile."""


@dataclass(frozen=True, slots=True)
class Written:
    """A data set as it is written in an open file; *pixels* is offset and length of that value."""

    read_at: ReadAt
    size: int
    data_set_offset: int
    transfer_syntax_uid: str
    pixels: tuple[int, int]


def is_identical(connection: Connection, root: Path, row: Row[Any], spooled: Spooled) -> bool:
    """Tell whether a known file holds the same; one that people copied in is digested now."""
    path = absolute_path(root, row.folder, row.name)
    if row.transfer_syntax_uid != spooled.origin.transfer_syntax_uid:
        return False
    if FileStamp.of(path.stat()) != stamp_of_row(row):
        return has_same_bytes(path, spooled)
    pixels = pixel_extent(spooled.facts[0], spooled.size)
    if (row.pixel_length or 0) != pixels[1]:
        return False
    digests = Digests(row.header_sha256, row.pixel_sha256)
    if not digests.header:
        digests = _first_digests(connection, root, row)
    if digests.pixel != spooled.digests.pixel or digests.header == spooled.digests.header:
        return digests == spooled.digests
    arrived = Written(
        lambda offset, size: os.pread(spooled.descriptor, size, offset),
        spooled.size,
        spooled.data_set_offset,
        spooled.origin.transfer_syntax_uid,
        pixels,
    )
    try:
        with written(root, row) as known:
            return say_the_same(known, arrived)
    except OSError:
        return False


def contradicts(row: Row[Any], spooled: Spooled) -> bool:
    """Tell whether a known file of the same UID, not identical, is other content.

    In another transfer syntax it may be the same image, and is not told to differ.
    """
    return bool(row.transfer_syntax_uid == spooled.origin.transfer_syntax_uid)


def say_the_same(one: Written, other: Written) -> bool:
    """Tell whether data sets of one transfer syntax agree in every value but that of Pixel Data.

    File Meta Information does not count. What cannot be read is not the same. Raises ``OSError``.
    """
    try:
        return _content(one) == _content(other)
    except NotDicom:
        return False


@contextmanager
def written(root: Path, row: Row[Any]) -> Iterator[Written]:
    """Open an indexed instance's file to compare what it says. Raises ``OSError``."""
    facts = facts_of_row(row, root)[0]
    with open_regular(facts.path) as (read_at, stamp, _):
        extent = pixel_extent(facts, stamp.size)
        yield Written(read_at, stamp.size, row.data_set_offset, row.transfer_syntax_uid, extent)


def _content(data_set: Written) -> object:
    offset, length = data_set.pixels
    before, after = offset - data_set.data_set_offset, data_set.size - offset - length
    if before + after > LONGEST_HEADER_COMPARED_BYTES:
        raise NotDicom(f"the header is longer than {LONGEST_HEADER_COMPARED_BYTES} bytes")
    header = data_set.read_at(data_set.data_set_offset, before) + data_set.read_at(offset + length, after)
    return content_of(header, encoding_of(data_set.transfer_syntax_uid), before)


def has_same_bytes(path: Path, spooled: Spooled) -> bool:
    """Tell whether *path* holds the spooled data set, byte for byte and in the same transfer syntax."""
    length = spooled.size - spooled.data_set_offset
    try:
        with open_regular(path) as (read_at, stamp, _):
            start = stamp.size - length
            data_set = open_data_set(read_at, stamp.size)
            if (data_set.offset, data_set.transfer_syntax_uid) != (start, spooled.origin.transfer_syntax_uid):
                return False
            for at in range(0, length, CHUNK_BYTES):
                size = min(CHUNK_BYTES, length - at)
                if read_at(start + at, size) != os.pread(
                    spooled.descriptor, size, spooled.data_set_offset + at
                ):
                    return False
            return True
    except (OSError, NotDicom):
        return False


def _first_digests(connection: Connection, root: Path, row: Row[Any]) -> Digests:
    _, digests = digest_row(row, root)
    connection.execute(
        update(instance)
        .where(instance.c.file_id == row.id)
        .values(header_sha256=digests.header, pixel_sha256=digests.pixel)
    )
    return digests
