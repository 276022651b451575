"""An archive in memory and a folder, as far as services see one: what is stored lies there byte for byte."""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info

from scp.errors import BadRequest, MprScpError, Unparseable
from scp.model import FileRef, Origin, Stored, is_legal_uid


class ArchiveTwin:
    """Implements ``scp.services.context.ArchiveService``; *fails* is raised by every commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stored: dict[str, FileRef] = {}
        self.data_sets: dict[str, bytes] = {}
        self.origins: dict[str, Origin] = {}
        self.abandoned: list[str] = []
        self.fails: MprScpError | None = None
        self.rejected: dict[str, frozenset[str]] = {}
        self.before_commit: Callable[[Origin], object] = lambda _origin: None

    def begin(self, origin: Origin) -> "IncomingTwin":
        if not is_legal_uid(origin.sop_class_uid) or not is_legal_uid(origin.sop_instance_uid):
            raise Unparseable("a UID of the request is no legal UID")
        return IncomingTwin(self, origin)

    def find(self, root_model: str, identifier: Dataset) -> Iterator[Dataset]:
        if "QueryRetrieveLevel" not in identifier:
            raise BadRequest("QueryRetrieveLevel", "the identifier has no Query/Retrieve Level")
        for found in self._matching(identifier):
            answer = Dataset()
            for element in identifier:
                if element.tag in found:
                    answer[element.tag] = found[element.tag]
            answer.QueryRetrieveLevel = identifier.QueryRetrieveLevel
            yield answer

    def refs(self, root_model: str, identifier: Dataset) -> Iterable[FileRef]:
        if "QueryRetrieveLevel" not in identifier:
            raise BadRequest("QueryRetrieveLevel", "the identifier has no Query/Retrieve Level")
        return [self.stored[str(found.SOPInstanceUID)] for found in self._matching(identifier)]

    def reject(self, note_sop_instance_uid: str, sop_instance_uids: Collection[str]) -> None:
        self.rejected[note_sop_instance_uid] = frozenset(sop_instance_uids)

    def _matching(self, identifier: Dataset) -> Iterator[Dataset]:
        keys = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        asked = {k: identifier.get(k) for k in keys if identifier.get(k)}
        for ref in list(self.stored.values()):
            try:
                found = dcmread(ref.path, stop_before_pixels=True)
                _ = [found[k].value for k in keys]
            except Exception:  # the archive itself does not take what does not parse
                continue
            if found.SOPInstanceUID != ref.sop_instance_uid:  # nor what is not what was announced
                continue
            wanted = {k: [v] if isinstance(v, str) else list(v) for k, v in asked.items()}
            if all(str(found[k].value) in map(str, values) for k, values in wanted.items()):
                yield found


class IncomingTwin:
    def __init__(self, archive: ArchiveTwin, origin: Origin) -> None:
        self.archive = archive
        self.origin = origin
        self.data = bytearray()

    def write(self, fragment: bytes | memoryview) -> None:
        self.data += fragment

    def commit(self) -> Stored:
        self.archive.before_commit(self.origin)
        if self.archive.fails:
            raise self.archive.fails
        uid = self.origin.sop_instance_uid
        path = self.archive.folder / f"{uid}.dcm"
        head = file_head(self.origin)
        written = path.with_suffix(f".{id(self)}")
        written.write_bytes(head + self.data)
        written.replace(path)
        self.archive.stored[uid] = FileRef(
            path,
            self.origin.sop_class_uid,
            uid,
            self.origin.transfer_syntax_uid,
            len(head),
            len(self.data),
        )
        self.archive.data_sets[uid] = bytes(self.data)
        self.archive.origins[uid] = self.origin
        return Stored(uid, path, "stored")

    def abandon(self) -> None:
        self.archive.abandoned.append(self.origin.sop_instance_uid)


def file_head(origin: Origin) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = origin.sop_class_uid
    meta.MediaStorageSOPInstanceUID = origin.sop_instance_uid
    meta.TransferSyntaxUID = origin.transfer_syntax_uid
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, False
    write_file_meta_info(encoded, meta, enforce_standard=True)
    return bytes(128) + b"DICM" + encoded.getvalue()
