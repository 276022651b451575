"""The archive as the rest of the node sees it: one object over the door, the folders and the index."""

import os
import threading
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import Row, func, select

from scp import config
from scp.archive import decisions, layout, query, recover
from scp.archive.answers import Answers, Values
from scp.archive.apart import make_apart
from scp.archive.arrivals import Arrivals
from scp.archive.durability import make_folders, sync, syncing_of
from scp.archive.entries import ALL_COLUMNS, rows_of_uid
from scp.archive.filing import Filing
from scp.archive.imports import ImportSummary, import_files
from scp.archive.index import IndexDatabase, absolute_path, conflict, file, instance, series
from scp.archive.intake import Spooled, SpooledInstance, check_origin, out_of_space_or_refused
from scp.archive.promises import Promises
from scp.archive.question import Asked, asked
from scp.archive.rejections import REJECTIONS_FOLDER, Rejections
from scp.archive.scan import SETTLED_NS, Scan
from scp.archive.series_homes import SeriesHomes
from scp.archive.sweep import SeenFolder, Sweep
from scp.errors import Code, ConfigurationError, IndexUnavailable, OutOfSpace
from scp.model import WORK_FOLDER, FileFacts, FileRef, Header, Origin, Progress, Stored, is_legal_uid


def _make_work_folders(work: Path, *, durable: bool) -> None:
    """Make what lacks of the node's own folders; they and the root are synced whoever made them, and when."""
    changed = {work.parent.parent, work.parent, work}
    for name in (decisions.CONFLICTS_FOLDER, "results", REJECTIONS_FOLDER):
        changed |= make_folders(work / name)
    make_apart(work / "spool")
    for folder in changed if durable else ():
        with suppress(PermissionError):  # above the root we may have no business
            sync(folder)


GIB = 1 << 30


def _silent(_progress: Progress) -> None:
    """Report to nobody."""


class Archive:
    """A folder tree of DICOM files with an index; implements ``scp.model.Sink``.

    All methods may be called from any thread.
    """

    def __init__(
        self, settings: config.Archive, root: Path, index: IndexDatabase, extra_keywords: tuple[str, ...]
    ) -> None:
        self._settings, self._root, self._index, self._extra = settings, root, index, extra_keywords
        self._spool = root / WORK_FOLDER / "spool"
        homes = SeriesHomes()
        index.when_rolled_back = homes.forget
        self._scan = Scan(root, index, homes, extra_keywords)
        self._sweep = Sweep(root, index, homes, self._scan)
        self._looking: threading.Thread | None = None
        self._looking_lock = threading.Lock()
        self._syncing = syncing_of(root, durable=settings.durable)
        self._filing = Filing(root, index, homes, self._syncing)
        self._rejections = Rejections(index, root / WORK_FOLDER / REJECTIONS_FOLDER)
        self._rejections.restore()
        self.arrivals = Arrivals()
        self.promises = Promises(index)

    @classmethod
    def open(cls, settings: config.Archive, extra_keywords: Sequence[str] = ()) -> "Archive":
        """Open the archive, made where there is none; what a crash left in the spool is deleted.

        *extra_keywords* are decoded beside ``model.HEADER_KEYWORDS``. Raises ``IndexUnavailable``, and
        ``ConfigurationError`` where the root cannot be used.
        """
        root = Path(settings.root).absolute()
        work = root / WORK_FOLDER
        try:
            _make_work_folders(work, durable=settings.durable)
            recover.empty_spool(work / "spool")
        except OSError as error:
            raise ConfigurationError(
                f"archive.root: {root} cannot be used: {error.strerror}; name a folder in which this user "
                "may make and write files"
            ) from error
        keywords = tuple(extra_keywords)
        return cls(settings, root, IndexDatabase.open(settings.database, work, keywords), keywords)

    def close(self) -> None:
        self._index.close()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def root(self) -> Path:
        return self._root

    @property
    def results_folder(self) -> Path:
        """Where results wait to be sent; not part of what the archive holds."""
        return self._root / WORK_FOLDER / "results"

    # the door

    def begin(self, origin: Origin, *, batch: str = "") -> SpooledInstance:
        """Let one instance in; *batch* names its first-level folder if it is the first of its series.

        Raises ``Unparseable`` for illegal UIDs, ``OutOfSpace``, ``StoreRefused``.
        """
        check_origin(origin)
        self._check_space()

        def batch_folder() -> str:
            if batch:
                return layout.folder_name(batch)
            return layout.batch_folder(self._settings.batch, origin, time.time())

        return SpooledInstance(
            self._spool,
            origin,
            self._file,
            batch=batch_folder,
            syncing=self._syncing,
            extra=self._extra,
        )

    def import_paths(
        self, paths: Sequence[Path], batch: str = "", progress: recover.Report = _silent
    ) -> ImportSummary:
        """Copy the DICOM files under *paths* in; raises ``OutOfSpace``, ``IndexUnavailable``."""
        return import_files(paths, lambda origin: self.begin(origin, batch=batch), progress)

    def _file(self, spooled: Spooled) -> Stored:
        stored = self._filing.file(spooled)
        self.arrivals.announce(stored)
        return stored

    def _check_space(self) -> None:
        try:
            status = os.statvfs(self._root)
        except OSError as error:
            raise out_of_space_or_refused(error) from error
        free = status.f_bavail * status.f_frsize
        if free < self._settings.minimum_free:
            raise OutOfSpace(
                f"{free / GIB:.1f} GiB are free at {self._root}, archive.minimum_free asks for "
                f"{self._settings.minimum_free / GIB:.1f} GiB; free space, or lower it"
            )

    # the folders

    def read_folder(self, folder: Path) -> tuple[FileFacts, ...]:
        """Return the facts of every entry of *folder* but its sub-folders."""
        return self._scan.read_folder(folder)

    def sweep(self, progress: recover.Report = _silent) -> int:
        """Index what people copied in, changed or took away; return how many files were read.

        *progress* is told after each folder; what it raises ends the sweep.
        Instances that turn up beside known ones of the same UID are compared with them; the first sweep of an
        index made anew finds all conflicts again.
        """
        count = self._sweep.run(progress)
        repeated = self._scan.take_repeated()
        if self._index.made_anew:
            recover.note_conflicts(self._index, self._root)
            self._index.made_anew = False
        elif repeated:
            try:
                recover.note_conflicts_of(self._index, self._root, repeated)
            except IndexUnavailable:
                self._scan.put_back(repeated)
                raise
        return count

    def look_again(self, within_s: float) -> None:
        """Sweep once more, or wait for the sweep that runs, for at most *within_s* seconds.

        Files too young to be trusted are given the time to settle, and looked at again. However many ask at
        once, one thread looks for all of them.
        """
        with self._looking_lock:
            if self._looking is None or not self._looking.is_alive():
                self._looking = threading.Thread(target=self._look, name="sweep on demand", daemon=True)
                self._looking.start()
            looking = self._looking
        looking.join(within_s)

    def _look(self) -> None:
        with suppress(IndexUnavailable, OSError):
            self.sweep()
            if self._sweep.unsettled:
                time.sleep(SETTLED_NS / 1e9)
                self.sweep()

    def folders(self) -> tuple[SeenFolder, ...]:
        """Return every folder a sweep has seen, with its time of creation."""
        return self._sweep.folders()

    def batch_folder(self, path: Path) -> Path:
        """Return the first-level folder that *path* lies in; the root for what lies directly in it.

        Raises ``ValueError`` for a path outside the archive.
        """
        parts = path.relative_to(self._root).parts
        below = self._root / parts[0] if parts else self._root
        return below if len(parts) > 1 or below.is_dir() else self._root

    # what the index knows

    def instance_files(self, sop_instance_uid: str) -> tuple[FileFacts, ...]:
        """Return the facts of every file (or frame) that holds the instance, the newest file first."""
        if not is_legal_uid(sop_instance_uid):
            return ()
        with self._index.reading() as connection:
            return self._current(rows_of_uid(connection, sop_instance_uid))

    def series_files(self, study_instance_uid: str, series_instance_uid: str) -> tuple[FileFacts, ...]:
        """Return the facts of every file (or frame) of a series, whichever folder it is in.

        An empty *study_instance_uid* means whichever study.
        """
        chosen = ALL_COLUMNS.where(series.c.series_instance_uid == series_instance_uid)
        if study_instance_uid:
            chosen = chosen.where(series.c.study_instance_uid == study_instance_uid)
        with self._index.reading() as connection:
            return self._current(connection.execute(chosen.order_by(file.c.folder, file.c.name)).all())

    def home_of(self, series_instance_uid: str) -> Path | None:
        """Return the node's own folder of a series, ``None`` where it has none."""
        chosen = select(series.c.home).where(
            series.c.series_instance_uid == series_instance_uid, series.c.home.is_not(None)
        )
        with self._index.reading() as connection:
            home = connection.scalar(chosen.limit(1))
        return None if home is None else self._root / os.fsdecode(home)

    def find(self, root_model: str, identifier: Dataset) -> Answers:
        """Return the answers to a C-FIND identifier (*root_model* ``PATIENT`` or ``STUDY``).

        Raises ``BadRequest``; the answers raise ``IndexUnavailable``.
        """
        question = asked(root_model, identifier)
        return Answers(question.level, question.vrs, self._found(question))

    def _found(self, question: Asked) -> Generator[list[Values], None, None]:
        with self._index.reading() as connection:
            yield from query.find(connection, question)

    def find_series(self, root_model: str, identifier: Dataset) -> Iterator[tuple[Header, Dataset]]:
        """Yield all answers to a C-FIND identifier at SERIES level, each with the header of one image of it.

        A series in which images of several patients lie is one for each patient. Raises as ``find``.
        """
        question = asked(root_model, identifier)
        with self._index.reading() as connection:
            yield from query.grouped(connection, question)

    def refs(self, root_model: str, identifier: Dataset) -> list[FileRef]:
        """Return the newest whole file of each instance that a retrieve names; raises ``BadRequest``."""
        question = asked(root_model, identifier)
        with self._index.reading() as connection:
            rows = query.retrieve_rows(connection, question)
        return [
            FileRef(
                absolute_path(self._root, row.folder, row.name),
                row.sop_class_uid,
                row.sop_instance_uid,
                row.transfer_syntax_uid,
                row.data_set_offset,
                row.size - row.data_set_offset,
                truncated=row.reason == Code.TRUNCATED,
            )
            for row in rows
        ]

    def _current(self, rows: Sequence[Row[Any]]) -> tuple[FileFacts, ...]:
        return tuple(facts for row in rows for facts in self._scan.current(row))

    # what a person or a rejection note decides

    def conflicts(self) -> dict[str, tuple[Path, ...]]:
        """Return the SOP Instance UIDs kept with different content, and the files of each, newest first.

        One of which a single file is left is settled, whoever took the others away.
        """
        with self._index.reading() as connection:
            uids = connection.scalars(
                select(conflict.c.sop_instance_uid).order_by(conflict.c.sop_instance_uid)
            ).all()
            rows = {uid: rows_of_uid(connection, uid) for uid in uids}
        return {
            uid: tuple(absolute_path(self._root, row.folder, row.name) for row in found)
            for uid, found in rows.items()
            if len(found) > 1
        }

    def what_differs(self, sop_instance_uid: str) -> str:
        """Return in what the files of a conflict differ: ``header``, ``Pixel Data``, or both.

        Empty where one of them was not digested yet.
        """
        with self._index.reading() as connection:
            rows = rows_of_uid(connection, sop_instance_uid)
        if not all(row.header_sha256 for row in rows):
            return ""
        headers, pixels = {row.header_sha256 for row in rows}, {row.pixel_sha256 for row in rows}
        parts = (("header", headers), ("Pixel Data", pixels))
        return " and ".join(name for name, digests in parts if len(digests) > 1)

    def keep(self, sop_instance_uid: str, path: Path) -> tuple[Path, ...]:
        """Settle a conflict for *path*, set the other contents aside and return where; raises ``Refused``."""
        return decisions.keep(self._index, self._root, sop_instance_uid, path)

    def accept(self, paths: Collection[Path]) -> tuple[Path, ...]:
        """Take the altered files at or below *paths* for right as they are; return which they were."""
        return decisions.accept(self._index, self._root, paths)

    def remove(self, sop_instance_uid: str) -> tuple[Path, ...]:
        """Delete every file of an instance and return which they were; raises ``Refused``."""
        return decisions.remove(self._index, self._root, sop_instance_uid)

    def reject(self, note_sop_instance_uid: str, sop_instance_uids: Collection[str]) -> None:
        """Record that a rejection note refers to these instances, be they here yet or not.

        Raises ``Unparseable``, ``StoreRefused``, ``IndexUnavailable``.
        """
        try:
            self._rejections.add(note_sop_instance_uid, sop_instance_uids)
        except OSError as error:
            raise out_of_space_or_refused(error) from error

    def rejected(self) -> frozenset[str]:
        """Return the SOP Instance UIDs that rejection notes refer to."""
        return self._rejections.all()

    # order

    def reindex(self, progress: recover.Report = _silent) -> int:
        """Make the index anew from the files; return how many were read. Raises ``IndexUnavailable``."""
        recover.forget_everything(self._index)
        count = self._sweep.run(progress, settled_ns=0)
        recover.forget_gone(self._index, self._root)
        recover.note_conflicts(self._index, self._root)
        return count

    def verify(self, progress: recover.Report = _silent) -> Iterator[recover.Damaged]:
        """Read every instance again and yield those whose bytes are not what was stored.

        One is yielded each time until it holds again what was stored, is accepted, kept or removed.
        """
        return recover.verify(self._index, self._root, progress)

    def instance_count(self) -> int:
        """Return how many files hold an instance."""
        with self._index.reading() as connection:
            return connection.scalar(select(func.count()).select_from(instance)) or 0
