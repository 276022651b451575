"""What presets would yield of each series, kept until a file that matters changes.

A C-FIND at the AE title of a preset with ``virtual_series`` lists a result for every series that can be
reconstructed. To select each series anew for every query would be slow, so the verdict is kept with a
fingerprint of all that the index knows of the folders that the series lies in; who asks compares it first.
The Series Instance UID of a result is a digest and cannot be inverted, so what it stands for is kept, too.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, exists, select

from scp.archive.index import IndexDatabase, file, instance, rejection, series, verdict, virtual_series
from scp.model import Value

Promise = Mapping[str, Value]
"""Attributes of a result series by keyword; none where the series yields no result."""


@dataclass(frozen=True, slots=True)
class VirtualSeries:
    """What a listed result stands for: the preset's planes of a series."""

    study_instance_uid: str
    series_instance_uid: str
    preset: str


class Promises:
    """The kept verdicts of one archive. All methods raise ``IndexUnavailable``."""

    def __init__(self, index: IndexDatabase) -> None:
        self._index = index

    def fingerprint(self, study_instance_uid: str, series_instance_uid: str) -> str:
        """Return a digest of every file that lies where files of the series lie, and which are rejected."""
        own_folders = (
            select(file.c.folder)
            .join(instance, instance.c.file_id == file.c.id)
            .join(series, series.c.id == instance.c.series_id)
            .where(
                series.c.study_instance_uid == study_instance_uid,
                series.c.series_instance_uid == series_instance_uid,
            )
        )
        is_rejected = exists().where(rejection.c.sop_instance_uid == instance.c.sop_instance_uid)
        columns = (
            file.c.folder,
            file.c.name,
            file.c.size,
            file.c.mtime_ns,
            file.c.ctime_ns,
            file.c.inode,
            file.c.reason,
            is_rejected,
        )
        listed = (
            select(*columns)
            .outerjoin(instance, instance.c.file_id == file.c.id)
            .where(file.c.folder.in_(own_folders))
            .order_by(file.c.folder, file.c.name)
        )
        with self._index.reading() as connection:
            files = connection.execute(listed).all()
        return hashlib.sha256(repr(files).encode()).hexdigest()

    def kept(self, source: VirtualSeries, fingerprint: str, rules: str) -> Promise | None:
        """Return the promise that was kept for *source*, ``None`` where something changed since.

        *rules* is a digest of all else that decides it: configuration, program, patient.
        """
        wanted = select(verdict.c.report).where(
            self._key(source),
            verdict.c.rules_fingerprint == rules,
            verdict.c.folder_fingerprint == fingerprint,
        )
        with self._index.reading() as connection:
            text = connection.scalar(wanted)
        return None if text is None else _promise(text)

    def keep(self, source: VirtualSeries, fingerprint: str, rules: str, promise: Promise) -> None:
        """Keep *promise* in place of the one before.

        Of a series in which images of two patients lie, that of one patient is kept: such series are few.
        """
        row = {
            "study_instance_uid": source.study_instance_uid,
            "series_instance_uid": source.series_instance_uid,
            "preset": source.preset,
            "rules_fingerprint": rules,
            "folder_fingerprint": fingerprint,
            "report": json.dumps(dict(promise)),
        }
        result_uid = str(promise.get("SeriesInstanceUID", ""))
        with self._index.writing() as connection:
            connection.execute(delete(verdict).where(self._key(source)))
            connection.execute(verdict.insert(), row)
            if result_uid:
                listed = virtual_series.c.result_series_uid == result_uid
                connection.execute(delete(virtual_series).where(listed))
                connection.execute(
                    virtual_series.insert(),
                    {
                        "result_series_uid": result_uid,
                        "study_instance_uid": source.study_instance_uid,
                        "series_instance_uid": source.series_instance_uid,
                        "preset": source.preset,
                    },
                )

    def stands_for(self, result_series_uid: str) -> VirtualSeries | None:
        """Return what a result was listed for; ``None`` for a UID that was never listed."""
        listed = select(
            virtual_series.c.study_instance_uid,
            virtual_series.c.series_instance_uid,
            virtual_series.c.preset,
        ).where(virtual_series.c.result_series_uid == result_series_uid)
        with self._index.reading() as connection:
            row = connection.execute(listed).first()
        return None if row is None else VirtualSeries(*row)

    @staticmethod
    def _key(source: VirtualSeries) -> ColumnElement[bool]:
        return and_(
            verdict.c.study_instance_uid == source.study_instance_uid,
            verdict.c.series_instance_uid == source.series_instance_uid,
            verdict.c.preset == source.preset,
        )


def _promise(text: str) -> Promise:
    values: dict[str, Value] = {
        keyword: tuple(value) if isinstance(value, list) else value
        for keyword, value in json.loads(text).items()
    }
    return values
