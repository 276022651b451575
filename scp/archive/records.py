"""Facts of files as rows of the index, and back.

Headers are JSON: a list is a tuple of values, a number keeps its type. The frames of a multi-frame file
share its row; each keeps only what differs from the file's header.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, select

from scp.archive.index import absolute_path, file, instance, series, stored
from scp.archive.layout import folded_name, patient_identity
from scp.archive.prepared import Prepared
from scp.model import FileFacts, FileStamp, Header, PixelData, is_legal_uid

INTEGER_BYTES: Final = 8

_json: Final = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 of a data set without the value of Pixel Data, and of that value; hex, ``""`` unknown."""

    header: str = ""
    pixel: str = ""


ALL_COLUMNS: Final = (
    select(file, instance, series.c.home, *(column.label(f"stored_{column.name}") for column in stored.c))
    .outerjoin(instance, instance.c.file_id == file.c.id)
    .outerjoin(series, series.c.id == instance.c.series_id)
    .outerjoin(stored, stored.c.file_id == file.c.id)
)
"""A file with what it holds, where it holds an instance, and with what it held, where that is known."""

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


def header_json(header: Header) -> str:
    return _json(dict(header.attributes))


def header_of(text: str) -> Header:
    return Header({keyword: _value(value) for keyword, value in json.loads(text).items()})


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain(text: str) -> str:
    """Return *text* as every database takes it."""
    return text.replace("\0", "")


def has_identity(header: Header) -> bool:
    """Tell whether a header names its instance, study and series legally."""
    names = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    return all(is_legal_uid(header.text(name)) for name in names)


def insert_file(
    connection: Connection,
    folder: bytes,
    name: bytes,
    facts: Sequence[FileFacts],
    *,
    data_set: tuple[str, int],
    digests: Digests,
    seen_ns: int,
    series_id: Callable[[Connection, Header], int],
) -> None:
    """Write the rows of one file, in place of those it had; *data_set* is its transfer syntax and offset."""
    first = facts[0]
    if first.stamp is None:
        return
    delete_file(connection, folder, name)
    stamp = first.stamp
    place = {"folder": folder, "name": name}
    _INSERT_FILE.run(
        connection,
        {
            **place,
            "size": stamp.size,
            "mtime_ns": stamp.mtime_ns,
            "ctime_ns": stamp.ctime_ns,
            "inode": stamp.inode.to_bytes(INTEGER_BYTES, "big"),
            "device": stamp.device.to_bytes(INTEGER_BYTES, "big"),
            "reason": str(first.reason),
            "detail": _plain(first.detail),
            "preamble": first.preamble,
            "seen_ns": seen_ns,
        },
    )
    if first.header.attributes:
        values = _instance_values(facts, data_set, digests)
        values["series_id"] = series_id(connection, first.header)
        _INSERT_INSTANCE.run(connection, place | values)


def _instance_values(
    facts: Sequence[FileFacts], data_set: tuple[str, int], digests: Digests
) -> dict[str, Any]:
    header, pixel_data = facts[0].header, facts[0].pixel_data
    position = header.numbers("ImagePositionPatient")
    x, y, z = position if len(position) == 3 else (None, None, None)
    number = header.integer("InstanceNumber")
    return {
        "sop_class_uid": _uid_column(header.text("SOPClassUID")),
        "sop_instance_uid": _uid_column(header.text("SOPInstanceUID")),
        "instance_number": number if number is not None and abs(number) < 1 << 62 else None,
        "position_x": x,
        "position_y": y,
        "position_z": z,
        "transfer_syntax_uid": _uid_column(data_set[0]),
        "data_set_offset": data_set[1],
        "pixel_offset": pixel_data.offset if pixel_data else None,
        "pixel_length": pixel_data.length if pixel_data else None,
        "header_sha256": digests.header,
        "pixel_sha256": digests.pixel,
        "header": header_json(header),
        "frames": _frames_json(facts),
    }


def _uid_column(uid: str) -> str:
    """Return *uid*, ``""`` where it is none: an illegal one is never asked for."""
    return uid if is_legal_uid(uid) else ""


def _frames_json(facts: Sequence[FileFacts]) -> str:
    if facts[0].frame == 0:
        return ""
    shared = facts[0].header.attributes
    return _json(
        [
            {
                "set": {k: v for k, v in fact.header.attributes.items() if k not in shared or shared[k] != v},
                "drop": [k for k in shared if k not in fact.header.attributes],
            }
            for fact in facts
        ]
    )


def stamp_of_row(row: Row[Any]) -> FileStamp:
    device, inode = int.from_bytes(row.device, "big"), int.from_bytes(row.inode, "big")
    return FileStamp(device, inode, row.size, row.mtime_ns, row.ctime_ns)


def facts_of_row(row: Row[Any], root: Path) -> tuple[FileFacts, ...]:
    """Return the facts that :func:`insert_file` was given."""
    path = absolute_path(root, row.folder, row.name)
    facts = FileFacts(path, stamp_of_row(row), row.reason, row.detail, bool(row.preamble))
    if row.header is None:
        return (facts,)
    pixel_data = None
    if row.pixel_offset is not None:
        pixel_data = PixelData(row.transfer_syntax_uid, row.pixel_offset, row.pixel_length, row.pixel_sha256)
    facts = replace(facts, header=header_of(row.header), pixel_data=pixel_data)
    return _frames_of(facts, row.frames) if row.frames else (facts,)


def _frames_of(facts: FileFacts, text: str) -> tuple[FileFacts, ...]:
    shared = facts.header.attributes
    frames = []
    for number, changed in enumerate(json.loads(text), 1):
        kept = {k: v for k, v in shared.items() if k not in changed["drop"]}
        own = {k: _value(v) for k, v in changed["set"].items()}
        frames.append(replace(facts, header=Header({**kept, **own}), frame=number))
    return tuple(frames)


def key_of_file(connection: Connection, folder: bytes, name: bytes) -> int | None:
    """Return the key of a file's row, ``None`` where it has none."""
    key: int | None = _FIND_FILE.run(connection, {"folder": folder, "name": name})
    return key


def delete_file(connection: Connection, folder: bytes, name: bytes) -> None:
    """Take one file's rows out, if it has any."""
    key = key_of_file(connection, folder, name)
    if key is not None:
        for table in (instance, stored):
            connection.execute(delete(table).where(table.c.file_id == key))
        connection.execute(delete(file).where(file.c.id == key))


def patient_key(header: Header) -> str:
    return hashlib.sha256(json.dumps(patient_identity(header)).encode("ascii")).hexdigest()


def series_values(header: Header) -> Mapping[str, Any]:
    """Return the row of a header's series: what queries narrow by, and the whole header."""
    return {
        "patient_key": patient_key(header),
        "study_instance_uid": _uid_column(header.text("StudyInstanceUID")),
        "series_instance_uid": _uid_column(header.text("SeriesInstanceUID")),
        "patient_id": _plain(header.text("PatientID")),
        "patient_name": _plain(folded_name(header.text("PatientName"))),
        "study_date": "".join(filter(str.isdigit, header.text("StudyDate"))),
        "accession_number": _plain(header.text("AccessionNumber")),
        "modality": _plain(header.text("Modality")),
        "header": header_json(header),
    }


def rows_of_folder(connection: Connection, folder: bytes) -> Sequence[Row[Any]]:
    """Return the files of one folder."""
    return connection.execute(_ROWS_OF_FOLDER, {"folder": folder}).all()


def rows_of_uid(connection: Connection, sop_instance_uid: str) -> Sequence[Row[Any]]:
    """Return the files that hold an instance, the newest first."""
    if _FIND_UID.run(connection, {"uid": sop_instance_uid}) is None:
        return ()  # as for nearly everything that arrives: the join is spared
    return connection.execute(_ROWS_OF_UID, {"uid": sop_instance_uid}).all()
