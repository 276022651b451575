"""What is known of a file and of the image in it; how a stored data set is referred to."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Value = str | int | float | tuple[str | int | float, ...]
"""A decoded attribute value; several values are a tuple, a sequence is its DICOM JSON text (PS3.18 F)."""

Vector = tuple[float, float, float]

Orientation = tuple[float, float, float, float, float, float]

UNDECODABLE = "\uf8ff"
"""First character of a text whose bytes do not decode under its character set; their hex digits follow."""


@dataclass(frozen=True, slots=True)
class Header:
    """The attributes of one image by keyword; what the file does not hold, or holds empty, is absent.

    Numbers (DS, IS, US, FD, ...) are numbers, multiple values are tuples, text is decoded by Specific
    Character Set and keeps its case; a sequence is its DICOM JSON text.
    """

    attributes: Mapping[str, Value] = field(default_factory=dict)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.attributes

    def get(self, keyword: str) -> Value | None:
        return self.attributes.get(keyword)

    def text(self, keyword: str) -> str:
        """Return the value as text, several joined by a backslash, ``""`` where absent."""
        value = self.attributes.get(keyword, "")
        if isinstance(value, str):
            return value
        return "\\".join(map(str, value)) if isinstance(value, tuple) else str(value)

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return all values as text; none where absent."""
        value = self.attributes.get(keyword, ())
        return tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return all values as floats; none where absent or where one is no number."""
        value = self.attributes.get(keyword)
        if isinstance(value, tuple):
            return () if str in map(type, value) else tuple(map(float, value))
        return () if value is None or isinstance(value, str) else (float(value),)

    def number(self, keyword: str) -> float | None:
        """Return the first value as a float, ``None`` where absent or no number."""
        value = self.attributes.get(keyword)
        if isinstance(value, int | float):
            return float(value)
        numbers = self.numbers(keyword) if value is not None else ()
        return numbers[0] if numbers else None

    def integer(self, keyword: str) -> int | None:
        """Return the first value if it is a whole number, else ``None``."""
        value = self.attributes.get(keyword)
        if isinstance(value, int):
            return value
        number = self.number(keyword)
        return int(number) if number is not None and number.is_integer() else None


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells that a file is still the one that was read."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileStamp":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where Pixel Data (7FE0,0010) of a file lies.

    *offset* and *length* (bytes) bound the value in the file; encapsulated values run to the end of their
    sequence delimiter. *sha256* is of the value as stored, hex, ``""`` where nobody computed it yet.
    """

    transfer_syntax_uid: str
    offset: int
    length: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a scan knows of one file, or of one frame of a multi-frame file (*frame* >= 1).

    *reason* is empty for a DICOM image; else it says what the scan found (``not-dicom``, ``unreadable``,
    ``truncated`` ...) with *detail* in words.
    """

    path: Path
    stamp: FileStamp | None = None
    reason: str = ""
    detail: str = ""
    preamble: bool = True
    header: Header = field(default_factory=Header)
    pixel_data: PixelData | None = None
    frame: int = 0

    @property
    def sop_instance_uid(self) -> str:
        return self.header.text("SOPInstanceUID")

    @property
    def instance_number(self) -> int | None:
        return self.header.integer("InstanceNumber")


@dataclass(frozen=True, slots=True)
class FileRef:
    """A DICOM data set that lies in a file and can be sent as it lies there.

    *offset* is where the data set starts (after preamble and file meta information), *length* its bytes.
    *truncated* tells that the data set goes on beyond the end of the file.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int
    length: int
    truncated: bool = False
