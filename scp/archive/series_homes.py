"""Which series the index knows, and which folder of the node's own each one lives in.

A series has one home among the node's own folders: what arrives later goes where the earlier ones are,
and a new series of a known study into the study's folder. A folder that people filled is never a home.
"""

import os
from collections.abc import Callable
from pathlib import PurePath
from typing import Final

from sqlalchemy import Connection, select, update

from scp.archive.index import series
from scp.archive.layout import instance_path, patient_identity
from scp.archive.records import patient_key, series_values
from scp.model import Header

MOST_REMEMBERED: Final = 4096
"""Series whose row is remembered; a busy node receives a few dozen at a time."""

_Identity = tuple[tuple[str, str, str], str, str]


class SeriesHomes:
    """Keys and homes of series, remembered between transactions of the one writer."""

    def __init__(self) -> None:
        self._ids: dict[_Identity, int] = {}
        self._homes: dict[int, PurePath] = {}

    def forget(self) -> None:
        """Forget all: a transaction was rolled back, or rows were deleted."""
        self._ids.clear()
        self._homes.clear()

    def id_of(self, connection: Connection, header: Header) -> int:
        """Return the key of the header's series, which gets a row if it has none."""
        identity = _identity(header)
        known = self._ids.get(identity)
        if known is None:
            known = _find(connection, header)
            if known is None:
                result = connection.execute(series.insert(), dict(series_values(header)))
                known = int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0
            if len(self._ids) >= MOST_REMEMBERED:
                self.forget()
            self._ids[identity] = known
        return known

    def recognise(self, connection: Connection, header: Header, folder: PurePath) -> None:
        """Record *folder*, where a file of the series was found, as its home if it is one of ours."""
        key = self.id_of(connection, header)
        if key not in self._homes and is_own_home(header, folder):
            homeless = update(series).where(series.c.id == key, series.c.home.is_(None))
            connection.execute(homeless.values(home=os.fsencode(folder)))

    def home_of(self, connection: Connection, header: Header, batch: Callable[[], str]) -> PurePath:
        """Return the folder, relative to the root, where an instance of the header's series goes.

        A series without home gets one in the folder that *batch* names, or beside the others of its study.
        """
        key = self.id_of(connection, header)
        home = self._homes.get(key)
        if home is None:
            home = _recorded_home(connection, key) or _new_home(connection, header, batch())
            connection.execute(update(series).where(series.c.id == key).values(home=os.fsencode(home)))
            self._homes[key] = home
        return home


def _identity(header: Header) -> _Identity:
    return patient_identity(header), header.text("StudyInstanceUID"), header.text("SeriesInstanceUID")


def _find(connection: Connection, header: Header) -> int | None:
    values = series_values(header)
    key: int | None = connection.scalar(
        select(series.c.id).where(
            series.c.study_instance_uid == values["study_instance_uid"],
            series.c.series_instance_uid == values["series_instance_uid"],
            series.c.patient_key == values["patient_key"],
        )
    )
    return key


def _recorded_home(connection: Connection, key: int) -> PurePath | None:
    recorded = connection.scalar(select(series.c.home).where(series.c.id == key))
    return PurePath(os.fsdecode(recorded)) if recorded is not None else None


def _new_home(connection: Connection, header: Header, batch: str) -> PurePath:
    of_study = connection.scalar(
        select(series.c.home)
        .where(
            series.c.study_instance_uid == header.text("StudyInstanceUID"),
            series.c.patient_key == patient_key(header),
            series.c.home.is_not(None),
        )
        .limit(1)
    )
    path = instance_path(batch, header)
    if of_study is None:
        return path.parent
    return PurePath(os.fsdecode(of_study)).parent / path.parent.name


def is_own_home(header: Header, folder: PurePath) -> bool:
    """Tell whether *folder*, relative to the root, has the name that this node gives to the header's series.

    An index made anew knows the homes again by this. What is readable in the names may differ: a study's
    folder is named by the first of its series.
    """
    if len(folder.parts) != 4:
        return False
    made = instance_path(folder.parts[0], header).parent
    return [part.rpartition("_")[2] for part in made.parts[1:]] == [
        part.rpartition("_")[2] for part in folder.parts[1:]
    ]
