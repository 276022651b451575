"""The one door of the archive: an instance on its way from an association or an import to its place.

Its bytes go to a spool file in the archive's own file system and are digested as they pass; the header is
walked as soon as it is there. Committing checks that it is the instance it was announced as, brings the
spool file to the disk, and hands it to :class:`scp.archive.filing.Filing`, which links it into place. Until
then nothing of it can be seen; refused or abandoned, nothing of it stays.
"""

import errno
import hashlib
import itertools
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pydicom.uid import DeflatedExplicitVRLittleEndian

from scp.archive.digests import digests_of, pixel_extent
from scp.archive.durability import Syncing, write_out
from scp.archive.records import Digests, has_identity
from scp.errors import IdentityMismatch, NotDicom, OutOfSpace, StoreRefused, Unparseable
from scp.model import FileFacts, Header, Origin, Stored, is_legal_uid
from scp.part10 import (
    LARGEST_WINDOW_BYTES,
    DataSet,
    GrowingHeader,
    Walked,
    encoding_of,
    facts_of_data_set,
    file_head,
    wanted_keywords,
)

OUT_OF_SPACE_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Spooled:
    """A whole, checked instance in the spool, on the disk and ready to be filed."""

    path: Path
    descriptor: int
    origin: Origin
    facts: tuple[FileFacts, ...]
    data_set_offset: int
    size: int
    digests: Digests
    batch: Callable[[], str]
    """Names the first-level folder; called where the instance is the first of its series."""

    @property
    def header(self) -> Header:
        return self.facts[0].header


def out_of_space_or_refused(error: OSError) -> StoreRefused:
    """Return what an error of the file system means to the sender."""
    what = error.strerror or type(error).__name__
    if error.errno in OUT_OF_SPACE_ERRORS:
        return OutOfSpace(f"the archive's disk takes no more: {what}; free space or raise the quota")
    return StoreRefused(f"the archive cannot write: {what}")


class SpooledInstance:
    """One instance on its way in; implements ``scp.model.Incoming``."""

    def __init__(
        self,
        spool: Path,
        origin: Origin,
        file_it: Callable[[Spooled], Stored],
        *,
        batch: Callable[[], str],
        syncing: Syncing,
        extra: tuple[str, ...],
    ) -> None:
        self._origin, self._file_it, self._batch, self._syncing, self._extra = (
            origin,
            file_it,
            batch,
            syncing,
            extra,
        )
        self._head = file_head(
            origin.sop_class_uid, origin.sop_instance_uid, origin.transfer_syntax_uid, origin.calling_ae_title
        )
        self._size = 0
        self._growing: GrowingHeader | None = None
        if origin.transfer_syntax_uid != DeflatedExplicitVRLittleEndian:
            encoding = encoding_of(origin.transfer_syntax_uid)
            self._growing = GrowingHeader(self._head, encoding, wanted_keywords(extra))
        self._header_digest, self._pixel_digest = hashlib.sha256(), hashlib.sha256()
        self._walked: Walked | None = None
        self._has_left_the_spool = False
        self._path = spool / f"{process_name()}-{next(_serial)}"
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise out_of_space_or_refused(error) from error

    def write(self, fragment: bytes | memoryview) -> None:
        """Take the next bytes of the data set; raises ``StoreRefused``, and then nothing of it is left."""
        try:
            self._append((self._head, fragment) if self._size == 0 else (fragment,))
            self._digest(fragment)
        except OSError as error:
            self.abandon()
            raise out_of_space_or_refused(error) from error
        except NotDicom as error:
            self.abandon()
            raise Unparseable(f"the data set does not parse: {error}") from error

    def commit(self) -> Stored:
        """Make it durable and indexed; raises ``StoreRefused``, ``IndexUnavailable``, nothing left behind."""
        try:
            spooled = self._checked()
            if self._syncing is Syncing.TWICE:
                os.fdatasync(self._descriptor)
            elif self._syncing is Syncing.ONCE:
                write_out(self._descriptor)
            stored = self._file_it(spooled)
            self._has_left_the_spool = stored.outcome != "duplicate"
            return stored
        except OSError as error:
            raise out_of_space_or_refused(error) from error
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave nothing in the spool; once filed, the file lives on under its own name."""
        if self._descriptor >= 0:
            if not self._has_left_the_spool:
                with suppress(OSError):  # what cannot be removed now goes at the next start
                    self._path.unlink()
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, parts: Sequence[bytes | memoryview]) -> None:
        length = sum(map(len, parts))
        written = os.writev(self._descriptor, parts)
        rest = b"".join(parts)[written:] if written < length else b""
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._size += length

    def _digest(self, fragment: bytes | memoryview) -> None:
        """Digest the next bytes: as the header's until Pixel Data is reached, then as the pixels'."""
        if self._growing is None:
            (self._pixel_digest if self._walked else self._header_digest).update(fragment)
        elif self._growing.add(fragment):
            self._split(self._growing)
        elif len(self._growing.data) > LARGEST_WINDOW_BYTES:
            self._header_digest.update(memoryview(self._growing.data)[len(self._head) :])
            self._growing = None

    def _split(self, growing: GrowingHeader) -> None:
        self._walked = walked = growing.walked
        with memoryview(growing.data) as data:
            self._header_digest.update(data[len(self._head) : walked.pixel_offset])
            self._pixel_digest.update(data[walked.pixel_offset :])
        self._growing = None

    def _checked(self) -> Spooled:
        """Return the instance if it is the one announced; raises ``Unparseable``, ``IdentityMismatch``."""
        origin, descriptor = self._origin, self._descriptor
        data_set = DataSet(
            lambda offset, size: os.pread(descriptor, size, offset),
            self._size,
            len(self._head),
            origin.transfer_syntax_uid,
            encoding_of(origin.transfer_syntax_uid),
            walked=self._walked,
        )
        facts = facts_of_data_set(data_set, self._path, extra=self._extra)
        first = facts[0]
        if not first.header.attributes:
            raise Unparseable(f"the data set does not parse: {first.detail or 'it is empty'}")
        for keyword, announced in (
            ("SOPClassUID", origin.sop_class_uid),
            ("SOPInstanceUID", origin.sop_instance_uid),
        ):
            if first.header.text(keyword) != announced:
                raise IdentityMismatch(f"{keyword} of the data set is not that of the request")
        if not has_identity(first.header):
            raise Unparseable("Study or Series Instance UID is missing or illegal")
        digests = self._digests(data_set, first)
        return Spooled(
            self._path, descriptor, origin, facts, len(self._head), self._size, digests, self._batch
        )

    def _digests(self, data_set: DataSet, facts: FileFacts) -> Digests:
        """Return the digests; taken again where elements follow Pixel Data, as few data sets have."""
        offset, length = pixel_extent(facts, self._size)
        split_there = self._walked.pixel_offset == offset if self._walked else length == 0
        if self._growing is None and split_there and offset + length == self._size:
            return Digests(self._header_digest.hexdigest(), self._pixel_digest.hexdigest())
        return digests_of(data_set.read_at, self._size, data_set.offset, (offset, length))


def process_name() -> str:
    """Return the name of this process: its number, on a machine that may share the archive with others."""
    return f"{_machine()}-{os.getpid()}"


@cache
def _machine() -> str:
    return socket.gethostname()


def check_origin(origin: Origin) -> None:
    """Raise ``Unparseable`` where a request announces an instance that cannot be stored under its UIDs."""
    for name in ("sop_class_uid", "sop_instance_uid", "transfer_syntax_uid"):
        if not is_legal_uid(getattr(origin, name)):
            raise Unparseable(f"{name.replace('_', ' ')} of the request is no legal UID")
