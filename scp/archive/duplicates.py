"""Whether an instance that arrives is here already: the same data set, in the same transfer syntax.

Checksums tell, where the file is still the one that they were taken of; else its bytes are compared.
"""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, update

from scp.archive.digests import CHUNK_BYTES, digest_row
from scp.archive.index import absolute_path, instance
from scp.archive.intake import Spooled
from scp.archive.records import Digests, stamp_of_row
from scp.errors import NotDicom
from scp.model import FileStamp
from scp.part10 import open_data_set, open_regular


def is_identical(connection: Connection, root: Path, row: Row[Any], spooled: Spooled) -> bool:
    """Tell whether a known file holds the same; one that people copied in is digested now."""
    path = absolute_path(root, row.folder, row.name)
    if row.transfer_syntax_uid != spooled.origin.transfer_syntax_uid:
        return False
    if FileStamp.of(path.stat()) != stamp_of_row(row):
        return has_same_bytes(path, spooled)
    if row.size - row.data_set_offset != spooled.size - spooled.data_set_offset:
        return False
    digests = Digests(row.header_sha256, row.pixel_sha256)
    if not digests.header:
        digests = _first_digests(connection, root, row)
    return digests == spooled.digests


def contradicts(row: Row[Any], spooled: Spooled) -> bool:
    """Tell whether a known file of the same UID, not identical, is other content.

    In another transfer syntax it may be the same image, and is not told to differ.
    """
    return bool(row.transfer_syntax_uid == spooled.origin.transfer_syntax_uid)


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
