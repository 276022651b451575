"""Facts of files as rows of the index, and back.

Headers are JSON: a list is a tuple of values, a number keeps its type. The frames of a multi-frame file
share its row; each keeps only what differs from the file's header.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row

from scp.archive.index import absolute_path
from scp.archive.layout import patient_identity
from scp.model import FileFacts, FileStamp, Header, PixelData, folded_name, is_legal_uid
from scp.part10 import FileRead

INTEGER_BYTES: Final = 8

_json: Final = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 of a data set without the value of Pixel Data, and of that value; hex, ``""`` unknown."""

    header: str = ""
    pixel: str = ""


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


def file_values(facts: FileFacts, stamp: FileStamp) -> dict[str, Any]:
    """Return what the row of a file says but its place, and when it was read."""
    return {
        "size": stamp.size,
        "mtime_ns": stamp.mtime_ns,
        "ctime_ns": stamp.ctime_ns,
        "inode": stamp.inode.to_bytes(INTEGER_BYTES, "big"),
        "device": stamp.device.to_bytes(INTEGER_BYTES, "big"),
        "reason": str(facts.reason),
        "detail": _plain(facts.detail),
        "preamble": facts.preamble,
    }


def instance_values(read: FileRead, digests: Digests) -> dict[str, Any]:
    """Return what the row of a file's instance says but the keys of file and series."""
    header, pixel_data = read.facts[0].header, read.facts[0].pixel_data
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
        "transfer_syntax_uid": _uid_column(read.transfer_syntax_uid),
        "data_set_offset": read.data_set_offset,
        "pixel_offset": pixel_data.offset if pixel_data else None,
        "pixel_length": pixel_data.length if pixel_data else None,
        "header_sha256": digests.header,
        "pixel_sha256": digests.pixel,
        "header": header_json(header),
        "frames": _frames_json(read.facts),
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
    """Return the facts that the rows were made of."""
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
