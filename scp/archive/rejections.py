"""Instances that rejection notes refer to, whichever came first.

Whether a note counts depends on who sent it, which no DICOM file tells. So each note that counts gets a
small file of its own in the node's folder, one SOP Instance UID a line: the index is made anew from it.
"""

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from sqlalchemy import delete, func, select

from scp.archive.durability import sync
from scp.archive.index import IndexDatabase, rejection
from scp.errors import Unparseable
from scp.model import is_legal_uid

REJECTIONS_FOLDER: Final = "rejections"

_NOTED_NS: Final = select(rejection.c.note_sop_instance_uid, func.max(rejection.c.noted_ns)).group_by(
    rejection.c.note_sop_instance_uid
)


class Rejections:
    """The rejection notes of one archive, as files in *folder* and as rows of the index.

    All methods raise ``IndexUnavailable``.
    """

    def __init__(self, index: IndexDatabase, folder: Path) -> None:
        self._index, self._folder = index, folder

    def add(self, note_sop_instance_uid: str, sop_instance_uids: Collection[str]) -> None:
        """Record what a note refers to; sent again, it replaces what it said before.

        Raises ``Unparseable`` for an illegal UID of the note; illegal UIDs in it are left out.
        """
        if not is_legal_uid(note_sop_instance_uid):
            raise Unparseable("the SOP Instance UID of a rejection note is no legal UID")
        uids = sorted(filter(is_legal_uid, set(sop_instance_uids)))
        half_written = self._folder / f"{note_sop_instance_uid}.new"
        with half_written.open("w", encoding="ascii") as file:
            file.write("\n".join(uids))
            file.flush()
            os.fsync(file.fileno())
        half_written.replace(self._folder / f"{note_sop_instance_uid}.txt")
        sync(self._folder)
        self._insert(note_sop_instance_uid, uids)

    def all(self) -> frozenset[str]:
        """Return every SOP Instance UID that a note refers to."""
        with self._index.reading() as connection:
            return frozenset(connection.scalars(select(rejection.c.sop_instance_uid)))

    def restore(self) -> None:
        """Bring notes into the index that it lacks or has older: it was made anew, or lost its last rows."""
        with self._index.reading() as connection:
            known = {row[0]: row[1] for row in connection.execute(_NOTED_NS)}
        for path in sorted(self._folder.glob("*.txt")):
            if is_legal_uid(path.stem) and path.stat().st_mtime_ns > known.get(path.stem, 0):
                uids = path.read_text(encoding="ascii", errors="replace").split("\n")
                self._insert(path.stem, sorted(filter(is_legal_uid, set(uids))))

    def _insert(self, note_sop_instance_uid: str, sop_instance_uids: Collection[str]) -> None:
        row = {"note_sop_instance_uid": note_sop_instance_uid, "noted_ns": time.time_ns()}
        rows = [{**row, "sop_instance_uid": uid} for uid in sop_instance_uids]
        with self._index.writing() as connection:
            note = rejection.c.note_sop_instance_uid == note_sop_instance_uid
            connection.execute(delete(rejection).where(note))
            if rows:
                connection.execute(rejection.insert(), rows)
