"""Digests of what is stored: the data set without the value of Pixel Data, and that value.

Two digests of one pass tell identical bytes, and they tell a changed header from changed pixels.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row

from scp.archive.records import Digests, facts_of_row
from scp.model import FileFacts, FileStamp
from scp.part10 import ReadAt, open_regular

CHUNK_BYTES: Final = 1 << 20


def digests_of(read_at: ReadAt, size: int, data_set_offset: int, pixels: tuple[int, int]) -> Digests:
    """Return the digests of a file; *pixels* is offset and length of the value, ``(size, 0)`` without."""
    offset, length = pixels
    header, pixel = hashlib.sha256(), hashlib.sha256()
    _feed(header, read_at, data_set_offset, offset)
    _feed(pixel, read_at, offset, offset + length)
    _feed(header, read_at, offset + length, size)
    return Digests(header.hexdigest(), pixel.hexdigest())


def pixel_extent(facts: FileFacts, size: int) -> tuple[int, int]:
    pixel_data = facts.pixel_data
    return (pixel_data.offset, pixel_data.length) if pixel_data else (size, 0)


def digest_row(row: Row[Any], root: Path) -> tuple[FileStamp, Digests]:
    """Return stamp and digests of an indexed instance's file as it is now; raises ``OSError``."""
    facts = facts_of_row(row, root)[0]
    with open_regular(facts.path) as (read_at, stamp, _):
        return stamp, digests_of(read_at, stamp.size, row.data_set_offset, pixel_extent(facts, stamp.size))


def _feed(digest: "hashlib._Hash", read_at: ReadAt, at: int, end: int) -> None:
    while at < end:
        part = read_at(at, min(CHUNK_BYTES, end - at))
        if not part:
            return
        digest.update(part)
        at += len(part)
