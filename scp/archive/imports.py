"""Copies messy folders into the archive, each file by what its header says; what is no DICOM is only counted.

Sources are read and never changed. A folder is walked without following links to other folders.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scp.errors import Code, IdentityMismatch, NotDicom, StoreRefused, Unparseable
from scp.model import Incoming, Origin, Progress, Stored
from scp.part10 import FileRead, open_regular, read_file

CHUNK_BYTES: Final = 1 << 20

TAKEN_REASONS: Final = frozenset({"", Code.TRUNCATED, Code.NO_PIXEL_DATA, Code.NOT_AN_IMAGE})
"""What a scan may say of an instance that is worth keeping."""

Begin = Callable[[Origin], Incoming]


@dataclass(slots=True)
class ImportSummary:
    """How many files were stored, known, in conflict, or left, by reason.

    *left* names those left, *conflicts* those kept beside other content of the same instance.
    """

    counts: Counter[str] = field(default_factory=Counter)
    left: list[tuple[Path, str, str]] = field(default_factory=list)
    conflicts: list[Path] = field(default_factory=list)

    def leave(self, path: Path, reason: str, detail: str) -> None:
        self.counts[reason] += 1
        self.left.append((path, reason, detail))


def import_files(paths: Iterable[Path], begin: Begin, report: Callable[[Progress], None]) -> ImportSummary:
    """Copy every DICOM file under *paths* through *begin*; raises ``OutOfSpace``, ``IndexUnavailable``."""
    files = list(files_under(paths))
    summary = ImportSummary()
    for number, path in enumerate(files, 1):
        _import_one(path, begin, summary)
        report(Progress("import", number, len(files)))
    return summary


def files_under(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files of each path in the order of their names; a path that is a file is itself."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (Path(folder, name) for name in sorted(names))


def _import_one(path: Path, begin: Begin, summary: ImportSummary) -> None:
    read = read_file(path)
    facts = read.facts[0]
    if facts.reason not in TAKEN_REASONS or not read.transfer_syntax_uid or not facts.sop_instance_uid:
        summary.leave(path, facts.reason or Code.UNREADABLE, facts.detail or "it names no instance")
        return
    try:
        outcome = _copy(path, read, begin).outcome
        summary.counts[outcome] += 1
        if outcome == "conflict":
            summary.conflicts.append(path)
    except (Unparseable, IdentityMismatch, NotDicom) as error:
        summary.leave(path, Code.UNREADABLE, str(error))
    except OSError as error:
        summary.leave(path, Code.UNREADABLE, error.strerror or type(error).__name__)


def _copy(path: Path, read: FileRead, begin: Begin) -> Stored:
    """Store one file as if it had been sent; raises ``StoreRefused``, ``OSError``."""
    header = read.facts[0].header
    incoming = begin(
        Origin(header.text("SOPClassUID"), header.text("SOPInstanceUID"), read.transfer_syntax_uid)
    )
    try:
        with open_regular(path) as (read_at, stamp, stamp_now):
            for at in range(read.data_set_offset, stamp.size, CHUNK_BYTES):
                incoming.write(read_at(at, min(CHUNK_BYTES, stamp.size - at)))
            if stamp_now() != read.facts[0].stamp:
                raise Unparseable("it changed while it was read")
        return incoming.commit()
    except (OSError, StoreRefused):
        incoming.abandon()
        raise
