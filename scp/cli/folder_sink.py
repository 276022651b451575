"""Where ``get`` puts what it retrieves: one Part 10 file for each instance, named by its UID.

Not the archive: nothing is indexed here, and an instance that is there already is written anew.
"""

from collections.abc import Callable
from pathlib import Path

from scp.errors import StoreRefused, Unparseable
from scp.model import Incoming, Origin, Stored, is_legal_uid
from scp.part10 import file_head


class FolderSink:
    """Files instances into *folder*; *told* is called with how many there are after each."""

    def __init__(self, folder: Path, told: Callable[[int], None]) -> None:
        self.folder = folder
        self._told = told
        self._count = 0

    def begin(self, origin: Origin) -> Incoming:
        if not is_legal_uid(origin.sop_instance_uid):
            raise Unparseable("the SOP Instance UID is no UID, so it cannot name a file")
        self.folder.mkdir(parents=True, exist_ok=True)
        return _IncomingFile(origin, self)

    def one_more(self) -> None:
        self._count += 1
        self._told(self._count)


class _IncomingFile:
    def __init__(self, origin: Origin, sink: FolderSink) -> None:
        self._origin, self._sink = origin, sink
        self._path = sink.folder / f"{origin.sop_instance_uid}.dcm"
        self._part = self._path.with_suffix(".part")
        self._file = self._part.open("wb")
        self.write(
            file_head(
                origin.sop_class_uid,
                origin.sop_instance_uid,
                origin.transfer_syntax_uid,
                origin.calling_ae_title,
            )
        )

    def write(self, fragment: bytes | memoryview) -> None:
        try:
            self._file.write(fragment)
        except OSError as error:
            raise StoreRefused(f"{self._part}: {error.strerror}") from error

    def commit(self) -> Stored:
        self._file.close()
        self._part.replace(self._path)
        self._sink.one_more()
        return Stored(self._origin.sop_instance_uid, self._path, "stored")

    def abandon(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)
