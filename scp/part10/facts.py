"""One file's facts: what the header says, where Pixel Data lies, and whether the file can be used at all.

Files come from people's folders and from the archive; nothing in them makes :func:`read_facts` raise,
hang, or open what is no regular file. The judgement here is what one file alone tells (``not-dicom``,
``unreadable``, ``truncated``, ``no-pixel-data``, ``not-an-image``, ``not-a-file``); everything that needs
a second file, or a rule of the configuration, is for ``scp.selection``.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.uid import UID, MediaStorageDirectoryStorage

from scp.errors import Code, NotDicom
from scp.model import FileFacts, FileRef, FileStamp, Header, PixelData
from scp.part10.data_set import PREAMBLE_BYTES, DataSet, open_data_set
from scp.part10.header import PIXEL_DATA, ReadAt


@dataclass(frozen=True, slots=True)
class FileRead:
    """The facts of a file, and its data set's transfer syntax (``""`` where it has none) and offset."""

    facts: tuple[FileFacts, ...]
    transfer_syntax_uid: str = ""
    data_set_offset: int = 0


def read_facts(path: Path, *, extra: Sequence[str] = (), within: Path | None = None) -> tuple[FileFacts, ...]:
    """Return the facts of the file, or of each frame of an enhanced multi-frame file.

    *extra* names further keywords to decode. A symbolic link is followed only to a regular file under
    *within* (default: the folder of *path*). A file that changes while it is read is read once more.
    """
    return read_file(path, extra=extra, within=within).facts


def read_file(path: Path, *, extra: Sequence[str] = (), within: Path | None = None) -> FileRead:
    """Return what :func:`read_facts` returns, and what sending the data set needs."""
    for _ in range(2):
        try:
            read = _read_once(path, tuple(extra), within or path.parent)
        except OSError as error:
            return _failed(FileFacts(path), Code.UNREADABLE, error.strerror or type(error).__name__)
        if read is not None:
            return read
    return _failed(FileFacts(path), Code.UNREADABLE, "it changes while it is read")


def _failed(facts: FileFacts, reason: Code, detail: str, *, preamble: bool = False) -> FileRead:
    return FileRead((replace(facts, reason=reason, detail=detail, preamble=preamble),))


def file_ref(path: Path) -> FileRef:
    """Return the data set of a DICOM file as something that can be sent as it lies there.

    Raises ``NotDicom``, ``OSError``.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        data_set = open_data_set(_reader(file.fileno()), size)
        header = data_set.read().header
    return FileRef(
        path,
        header.text("SOPClassUID"),
        header.text("SOPInstanceUID"),
        data_set.transfer_syntax_uid,
        data_set.offset,
        size - data_set.offset,
    )


def _reader(descriptor: int) -> ReadAt:
    return lambda offset, size: os.pread(descriptor, size, offset)


def _read_once(path: Path, extra: tuple[str, ...], within: Path) -> FileRead | None:
    """Return the facts, or ``None`` where the file changed meanwhile."""
    refused = _not_a_file(path, within)
    if refused:
        return _failed(FileFacts(path), Code.NOT_A_FILE, refused)
    with open_regular(path) as (read_at, stamp, stamp_now):
        read = _read_open(read_at, FileFacts(path, stamp), stamp.size, extra)
        return read if stamp_now() == stamp else None


@contextmanager
def open_regular(path: Path) -> Iterator[tuple[ReadAt, FileStamp, Callable[[], FileStamp]]]:
    """Open a regular file for positioned reads; also its stamp, and how to ask for the stamp again.

    Whatever became of the name since it was looked at, opening never waits. Raises ``OSError``.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        yield _reader(descriptor), FileStamp.of(status), lambda: FileStamp.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _not_a_file(path: Path, within: Path) -> str:
    """Return why *path* must not be opened, ``""`` where it may be."""
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode):
        return ""
    if not stat.S_ISLNK(mode):
        return "it is no regular file"
    try:
        target = path.resolve(strict=True)
        if not target.is_relative_to(within.resolve()):
            return "the link leads elsewhere"
        return "" if stat.S_ISREG(target.stat().st_mode) else "the link leads to no regular file"
    except (OSError, RuntimeError):
        return "the link leads nowhere"


def _read_open(read_at: ReadAt, facts: FileFacts, size: int, extra: tuple[str, ...]) -> FileRead:
    if size == 0:
        return _failed(facts, Code.UNREADABLE, "the file is empty")
    try:
        data_set = open_data_set(read_at, size)
    except NotDicom as error:
        preamble = read_at(PREAMBLE_BYTES, 4) == b"DICM"
        reason = Code.UNREADABLE if preamble else Code.NOT_DICOM
        return _failed(facts, reason, str(error), preamble=preamble)
    read = facts_of_data_set(data_set, facts.path, facts.stamp, extra)
    return FileRead(read, data_set.transfer_syntax_uid, data_set.offset)


def facts_of_data_set(
    data_set: DataSet, path: Path, stamp: FileStamp | None = None, extra: tuple[str, ...] = ()
) -> tuple[FileFacts, ...]:
    """Return the facts of a file whose encoding is known."""
    preamble = data_set.preamble
    try:
        read = data_set.read(extra)
    except NotDicom as error:
        reason = Code.UNREADABLE if preamble else Code.NOT_DICOM
        return (FileFacts(path, stamp, reason, str(error), preamble),)
    facts = FileFacts(path, stamp, detail=read.detail, preamble=preamble, header=read.header)
    if MediaStorageDirectoryStorage in (
        data_set.media_storage_sop_class_uid,
        read.header.text("SOPClassUID"),
    ):
        return (replace(facts, reason=Code.NOT_AN_IMAGE, detail="it is a DICOMDIR"),)
    if read.pixel_tag != PIXEL_DATA:
        return (_without_pixel_data(facts, read.pixel_tag),)
    return _with_pixel_data(facts, data_set, read.frames)


def _without_pixel_data(facts: FileFacts, pixel_tag: int) -> FileFacts:
    if pixel_tag:
        return replace(facts, reason=Code.NOT_AN_IMAGE, detail="its pixels are floating-point values")
    name = UID(facts.header.text("SOPClassUID")).name
    if "Rows" in facts.header or name.endswith("Image Storage"):
        return replace(facts, reason=Code.NO_PIXEL_DATA, detail="Pixel Data is missing")
    return replace(facts, reason=Code.NOT_AN_IMAGE, detail=f"{name or 'it'} holds no Pixel Data")


def _with_pixel_data(
    facts: FileFacts, data_set: DataSet, frames: tuple[Header, ...]
) -> tuple[FileFacts, ...]:
    try:
        offset, length, lacks = data_set.pixel_data_extent(facts.header)
    except NotDicom as error:
        return (replace(facts, reason=Code.UNREADABLE, detail=str(error)),)
    facts = replace(facts, pixel_data=PixelData(data_set.transfer_syntax_uid, offset, length))
    if lacks:
        return (replace(facts, reason=Code.TRUNCATED, detail=lacks),)
    if frames:
        return tuple(replace(facts, header=header, frame=n) for n, header in enumerate(frames, 1))
    return (facts,)
