"""The index: what the archive's files say, kept where it can be asked quickly.

Files are the truth, this is a cache of them: it may be deleted at any time and is then rebuilt. SQLAlchemy
Core on SQLite (WAL, ``synchronous=NORMAL``: a commit survives the process; after a power cut the last
ones may be missing and are read again from the files), or on another database by its URL. One writer at
a time, readers beside it.

Paths are relative to the root and stored as bytes, since a file's name need not be text.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from scp.archive.prepared import Prepared
from scp.errors import IndexChanged, IndexUnavailable
from scp.model import HEADER_KEYWORDS

SCHEMA_VERSION: Final = 7
"""An index of another version is rebuilt."""

BUSY_TIMEOUT_S = 10.0
"""How long a writer waits for one in another process: an import beside the node, say."""

ENGINE_SETTINGS: Final[dict[str, Any]] = {
    "max_overflow": -1,  # associations are limited, and a slow reader must not keep a writer waiting
    "hide_parameters": True,  # they are patient data, and errors are logged
}

SQLITE_SETTINGS: Final = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "cache_size=-65536",
    "temp_store=MEMORY",
    "foreign_keys=ON",
)

TAKE_TURN: Final = {
    "sqlite": Prepared(text("BEGIN IMMEDIATE")),
    "postgresql": Prepared(
        text(
            f"SELECT set_config('lock_timeout', '{BUSY_TIMEOUT_S:g}s', true), pg_advisory_xact_lock(7381024)"
        )
    ),
}
"""What a writing transaction begins with, by kind of database: it waits until no other process writes.

So nothing that the transaction reads can be changed by another process before it commits.
"""

_Key = BigInteger().with_variant(Integer, "sqlite")

metadata: Final = MetaData()

version = Table(
    "version",
    metadata,
    Column("number", Integer, nullable=False),
    Column("keywords", Text, nullable=False),
)
"""Which schema this is, and which keywords beside the usual ones were decoded into it."""

folder = Table(
    "folder",
    metadata,
    Column("path", LargeBinary, primary_key=True),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
)
"""Folders that a sweep has read; ``mtime_ns`` 0 where the next sweep must look again."""

series = Table(
    "series",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("patient_key", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("patient_id", Text, nullable=False),
    Column("patient_name", Text, nullable=False),
    Column("study_date", Text, nullable=False),
    Column("accession_number", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("home", LargeBinary),
    Column("header", Text, nullable=False),
    UniqueConstraint("study_instance_uid", "series_instance_uid", "patient_key"),
    Index("series_uid", "series_instance_uid"),
    Index("series_patient", "patient_id"),
    Index("series_date", "study_date"),
    sqlite_autoincrement=True,  # a key that a process remembers never becomes another series'
)
"""One row for each series of one patient and study; ``home`` is its folder among the node's own."""

file = Table(
    "file",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("folder", LargeBinary, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("ctime_ns", BigInteger, nullable=False),
    Column("inode", LargeBinary, nullable=False),
    Column("device", LargeBinary, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("preamble", Boolean, nullable=False),
    Column("seen_ns", BigInteger, nullable=False),
    UniqueConstraint("folder", "name"),
)
"""Every file that was looked at, also those that are not DICOM. Inode and device are unsigned 64 bits.

``seen_ns`` is 0 where the file must be read again whatever its stamp says.
"""

instance = Table(
    "instance",
    metadata,
    Column("file_id", _Key, ForeignKey("file.id"), primary_key=True),
    Column("series_id", _Key, ForeignKey("series.id"), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("instance_number", BigInteger),
    Column("position_x", Float),
    Column("position_y", Float),
    Column("position_z", Float),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("data_set_offset", BigInteger, nullable=False),
    Column("pixel_offset", BigInteger),
    Column("pixel_length", BigInteger),
    Column("header_sha256", String(64), nullable=False),
    Column("pixel_sha256", String(64), nullable=False),
    Column("header", Text, nullable=False),
    Column("frames", Text, nullable=False),
    Index("instance_uid", "sop_instance_uid"),
    Index("instance_series", "series_id", "sop_instance_uid"),
)
"""What a file says that holds a DICOM instance; digests are empty until somebody computes them."""

stored = Table(
    "stored",
    metadata,
    Column("file_id", _Key, ForeignKey("file.id"), primary_key=True),
    Column("header_sha256", String(64), nullable=False),
    Column("pixel_sha256", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("altered", Text, nullable=False),
)
"""What a file held when it was stored, if it holds something else now, which ``altered`` tells a person.

``altered`` is empty while the index is made anew and the file is not read again yet.
"""

lost = Table(
    "lost",
    metadata,
    Column("folder", LargeBinary, primary_key=True),
    Column("name", LargeBinary, primary_key=True),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("noted_ns", BigInteger, nullable=False),
    Column("told", Boolean, nullable=False),
    Index("lost_uid", "sop_instance_uid"),
)
"""Files that the node wrote and that are gone, though nobody removed them; ``told`` once that was logged."""

conflict = Table(
    "conflict",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("noted_ns", BigInteger, nullable=False),
)
"""SOP Instance UIDs under which files of different content are kept, until a person decides."""

rejection = Table(
    "rejection",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("note_sop_instance_uid", String(64), primary_key=True),
    Column("noted_ns", BigInteger, nullable=False),
)
"""Instances that a stored rejection note refers to, whichever came first."""

verdict = Table(
    "verdict",
    metadata,
    Column("study_instance_uid", String(64), primary_key=True),
    Column("series_instance_uid", String(64), primary_key=True),
    Column("preset", String(16), primary_key=True),
    Column("rules_fingerprint", String(64), nullable=False),
    Column("folder_fingerprint", String(64), nullable=False),
    Column("report", Text, nullable=False),
)
"""What a preset would yield of a series, as long as folders and configuration stay what they were."""

virtual_series = Table(
    "virtual_series",
    metadata,
    Column("result_series_uid", String(64), primary_key=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("preset", String(16), nullable=False),
)
"""Which series and preset a listed result stands for: its UID is a digest and cannot be inverted."""


class IndexDatabase:
    """The database behind the archive; every error of it is ``IndexUnavailable``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._take_turn = TAKE_TURN.get(engine.dialect.name)
        self._writer = threading.RLock()
        self.when_rolled_back: Callable[[], None] = lambda: None
        self.made_anew = False

    @classmethod
    def open(cls, database: str, work_folder: Path, keywords: tuple[str, ...] = ()) -> "IndexDatabase":
        """Open the database, made anew where it is damaged, of another version, or lacks *keywords*.

        *database* is ``sqlite`` (a file in *work_folder*) or a SQLAlchemy URL.
        """
        if database != "sqlite":
            return cls(_server(database))._prepared(keywords)
        path = work_folder / "index.sqlite"
        try:
            return cls(_sqlite(path))._prepared(keywords)
        except IndexUnavailable as error:
            if not _is_damage(error):
                raise
            _set_aside(path)
            return cls(_sqlite(path))._prepared(keywords)

    def _prepared(self, keywords: tuple[str, ...]) -> "IndexDatabase":
        wanted = {keyword for keyword in keywords if keyword not in HEADER_KEYWORDS}
        with self.writing() as connection:
            if not _is_usable(connection, wanted):
                self.made_anew = True
                metadata.drop_all(connection)
                metadata.create_all(connection)
                row = {"number": SCHEMA_VERSION, "keywords": " ".join(sorted(wanted))}
                connection.execute(version.insert(), row)
        return self

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, alone among all processes; committed at the end, rolled back by an exception.

        ``when_rolled_back`` is called before another writer has its turn.
        """
        with self._writer, _translated():
            try:
                with self._engine.begin() as connection:
                    if self._take_turn is not None:
                        self._take_turn.run(connection, {})
                    yield connection
            except BaseException:
                self.when_rolled_back()
                raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with _translated(), self._engine.connect() as connection:
            yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise IndexChanged("another process changed the index meanwhile; try again") from error
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
        raise IndexUnavailable(f"the index does not answer: {cause}") from error


def _sqlite(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_S}, **ENGINE_SETTINGS)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # a transaction begins where ``writing`` says so, not earlier
        cursor = connection.cursor()
        for pragma in SQLITE_SETTINGS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def _server(url: str) -> Engine:
    """Return a database server that several nodes may share; a connection that it closed is made anew."""
    try:
        return create_engine(url, pool_pre_ping=True, **ENGINE_SETTINGS)
    except (SQLAlchemyError, ImportError) as error:
        raise IndexUnavailable(f"archive.database cannot be used: {error}") from error


def _is_usable(connection: Connection, keywords: set[str]) -> bool:
    """Tell whether the tables are there, of this version, and hold all *keywords*."""
    if not all(map(inspect(connection).has_table, metadata.tables)):
        return False
    columns = {column["name"] for column in inspect(connection).get_columns(version.name)}
    if not columns >= set(version.c.keys()):
        return False
    found = connection.execute(select(version)).all()
    return (
        len(found) == 1 and found[0].number == SCHEMA_VERSION and keywords <= set(found[0].keywords.split())
    )


def _is_damage(error: IndexUnavailable) -> bool:
    """Tell a file that is no sound database from one that is locked, full or out of reach: that one stays."""
    return _sqlite_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_full(error: IndexUnavailable) -> bool:
    """Tell whether the index could not grow; a database server's disk is its own affair."""
    return _sqlite_code(error) == sqlite3.SQLITE_FULL


def _sqlite_code(error: IndexUnavailable) -> int | None:
    code: int | None = getattr(getattr(error.__cause__, "orig", None), "sqlite_errorcode", None)
    return code


def _set_aside(path: Path) -> None:
    """Keep a damaged index beside its successor for whoever wants to know; its sidecars go."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        path.replace(path.with_name(path.name + ".damaged"))


def relative_bytes(path: Path, root: Path) -> bytes:
    """Return *path* below *root* as the index stores it; the root itself is ``b""``."""
    relative = os.fsencode(path.relative_to(root))
    return b"" if relative == b"." else relative


def absolute_path(root: Path, folder_bytes: bytes, name: bytes = b"") -> Path:
    return root / os.fsdecode(folder_bytes) / os.fsdecode(name)
