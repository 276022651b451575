"""One file's facts: what the header says, where Pixel Data lies, and whether the file can be used at all.

Files come from people's folders and from the archive; nothing in them makes :func:`read_facts` raise,
hang, or open what is no regular file. The judgement here is what one file alone tells (``not-dicom``,
``unreadable``, ``truncated``, ``no-pixel-data``, ``not-an-image``, ``not-a-file``); everything that needs
a second file, or a rule of the configuration, is for ``scp.selection``.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydicom.uid import UID, MediaStorageDirectoryStorage

from scp.errors import Code, NotDicom
from scp.model import FileFacts, FileRef, FileStamp, Header, PixelData
from scp.part10.data_set import DataSet, open_data_set
from scp.part10.header import PIXEL_DATA, ReadAt


def read_facts(path: Path, *, extra: Sequence[str] = (), within: Path | None = None) -> tuple[FileFacts, ...]:
    """Return the facts of the file, or of each frame of an enhanced multi-frame file.

    *extra* names further keywords to decode. A symbolic link is followed only to a regular file under
    *within* (default: the folder of *path*). A file that changes while it is read is read once more.
    """
    for _ in range(2):
        try:
            facts = _read_once(path, tuple(extra), within or path.parent)
        except OSError as error:
            return (FileFacts(path, reason=Code.UNREADABLE, detail=error.strerror or type(error).__name__),)
        if facts is not None:
            return facts
    return (FileFacts(path, reason=Code.UNREADABLE, detail="it changes while it is read"),)


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


def _read_once(path: Path, extra: tuple[str, ...], within: Path) -> tuple[FileFacts, ...] | None:
    """Return the facts, or ``None`` where the file changed meanwhile."""
    refused = _not_a_file(path, within)
    if refused:
        return (FileFacts(path, reason=Code.NOT_A_FILE, detail=refused),)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return (FileFacts(path, reason=Code.NOT_A_FILE, detail="it is no regular file"),)
        stamp = FileStamp.of(before)
        facts = facts_of(_reader(descriptor), stamp.size, path, stamp, extra)
        return facts if FileStamp.of(os.fstat(descriptor)) == stamp else None
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


def facts_of(
    read_at: ReadAt, size: int, path: Path, stamp: FileStamp | None = None, extra: tuple[str, ...] = ()
) -> tuple[FileFacts, ...]:
    """Return the facts of a file of *size* bytes behind *read_at*."""
    facts = FileFacts(path, stamp)
    if size == 0:
        return (replace(facts, reason=Code.UNREADABLE, detail="the file is empty", preamble=False),)
    try:
        data_set = open_data_set(read_at, size)
    except NotDicom as error:
        preamble = read_at(128, 4) == b"DICM"
        reason = Code.UNREADABLE if preamble else Code.NOT_DICOM
        return (replace(facts, reason=reason, detail=str(error), preamble=preamble),)
    facts = replace(facts, preamble=data_set.preamble)
    try:
        read = data_set.read(extra)
    except NotDicom as error:
        reason = Code.UNREADABLE if data_set.preamble else Code.NOT_DICOM
        return (replace(facts, reason=reason, detail=str(error)),)
    facts = replace(facts, header=read.header, detail=read.detail)
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
