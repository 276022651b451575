"""An archive as it stands after years, made without the network: its files, and the rows of its index.

A node that opens it cannot tell it from what it stored itself: files lie where its own layout puts them, rows
are written by its own functions, digests included, and a sweep has recorded every folder. What is spared is
what would take hours: associations, a spool, and a transaction and a wait for the disk for each instance. One
study is made and read; each of the others is the same bytes with another number in them.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from scp.archive import Archive
from scp.archive.digests import pixel_extent
from scp.archive.durability import make_folders
from scp.archive.entries import insert_file
from scp.archive.index import IndexDatabase
from scp.archive.layout import batch_folder, instance_name, instance_path
from scp.archive.records import Digests
from scp.archive.scan import SETTLED_NS
from scp.archive.series_homes import SeriesHomes
from scp.cli.bench.material import PREFIX, ct_image, encoded, voxels
from scp.cli.bench.measuring import ResultsDiffer
from scp.cli.bench.wire import CALLING
from scp.config import Archive as Settings
from scp.model import WORK_FOLDER, FileFacts, FileStamp, Header, Origin
from scp.part10 import FileRead, facts_of_data_set, file_head, open_data_set

EACH = 100
"""Instances of a study, which has one series, and a patient to itself."""

SIDE = 16

UNNUMBERED = "7" * 20
"""Stands for its number in the study that is made; no other value contains it."""


@dataclass(frozen=True, slots=True)
class _Image:
    """A whole file, and what reading it says."""

    content: bytes
    facts: FileFacts
    data_set_offset: int

    def of_study(self, number: str) -> "_Image":
        """Return the same image of the study *number*."""
        header = {
            keyword: value.replace(UNNUMBERED, number) if isinstance(value, str) else value
            for keyword, value in self.facts.header.attributes.items()
        }
        content = self.content.replace(UNNUMBERED.encode(), number.encode())
        return replace(self, content=content, facts=replace(self.facts, header=Header(header)))

    @property
    def digests(self) -> Digests:
        at, length = pixel_extent(self.facts, len(self.content))
        header = hashlib.sha256(self.content[self.data_set_offset : at])
        header.update(self.content[at + length :])
        return Digests(header.hexdigest(), hashlib.sha256(self.content[at : at + length]).hexdigest())


def grow(root: Path, count: int) -> None:
    """Make the archive *root* of *count* small instances, in studies of :data:`EACH`.

    Raises ``ResultsDiffer`` where a sweep of it finds a file to read.
    """
    settings = Settings(root=root, durable=False, minimum_free=0)
    Archive.open(settings).close()
    _fill(settings, count // EACH)
    time.sleep(SETTLED_NS / 1e9)  # the mtime of a younger folder is not trusted
    with Archive.open(settings) as archive:
        read = archive.sweep()
    if read:
        raise ResultsDiffer(f"a sweep of the archive that was made reads {read} files anew")


def _fill(settings: Settings, studies: int) -> None:
    unnumbered = [_unnumbered(k) for k in range(EACH)]
    index, homes = IndexDatabase.open(settings.database, settings.root / WORK_FOLDER), SeriesHomes()
    batch = batch_folder(settings.batch, Origin("", "", ""), time.time())
    try:
        for study in range(studies):
            number = _number(study)
            _file(settings.root, index, homes, batch, [image.of_study(number) for image in unnumbered])
    finally:
        index.close()


def _file(root: Path, index: IndexDatabase, homes: SeriesHomes, batch: str, series: Sequence[_Image]) -> None:
    """Write files and rows of a whole series in one transaction."""
    with index.writing() as connection:
        home = instance_path(batch, series[0].facts.header).parent
        homes.recognise(connection, series[0].facts.header, home)
        folder = root / home
        make_folders(folder)
        for image in series:
            path = folder / instance_name(image.facts.sop_instance_uid)
            facts = replace(image.facts, path=path, stamp=_written(path, image.content))
            insert_file(
                connection,
                os.fsencode(home),
                os.fsencode(path.name),
                FileRead((facts,), ExplicitVRLittleEndian, image.data_set_offset),
                image.digests,
                homes,
            )


def _written(path: Path, content: bytes) -> FileStamp:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        os.write(descriptor, content)
        return FileStamp.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _unnumbered(k: int) -> _Image:
    """Return slice *k* of the study without a number."""
    ds = ct_image(k, voxels(EACH, SIDE)[k])
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{PREFIX}{UNNUMBERED}.1", f"{PREFIX}{UNNUMBERED}.2"
    ds.FrameOfReferenceUID, ds.SOPInstanceUID = f"{PREFIX}{UNNUMBERED}.3", f"{PREFIX}{UNNUMBERED}.4.{k + 1}"
    ds.PatientID, ds.PatientName = UNNUMBERED, f"Patient^{UNNUMBERED}"
    content = file_head(CTImageStorage, ds.SOPInstanceUID, ExplicitVRLittleEndian, CALLING) + encoded(ds)
    data_set = open_data_set(lambda at, size: content[at : at + size], len(content))
    (facts,) = facts_of_data_set(data_set, Path())
    return _Image(content, facts, data_set.offset)


def _number(study: int) -> str:
    """Return the digits of a study: UIDs of scanners lie all over an index, and so do these."""
    first = 10 ** (len(UNNUMBERED) - 1)
    digest = hashlib.sha256(str(study).encode()).digest()
    return str(first + int.from_bytes(digest) % (9 * first))
