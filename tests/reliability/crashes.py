"""What a power cut may leave: the file operations of a piece of work recorded, every legal state rebuilt.

The rules are those that POSIX gives and journalling file systems keep: an entry of a folder is certain once
that folder was synced after it, content is certain once the file was synced; whatever was not may be there,
not there, and content also half there, each independently of the others. A file system with an ordered
journal promises two things more: a sync of a file keeps the names it was given before, and content that was
written out is there wherever a name is that came after it. The index may be at any commit up to the crash,
or gone (``synchronous=NORMAL`` promises no more). A process that is killed leaves the state in which
everything happened, which is one of these.
"""

import contextlib
import hashlib
import io
import itertools
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scp.archive import intake
from scp.archive.durability import write_out
from scp.archive.index import IndexDatabase

FOLDER = -1
"""Stands for an inode where a path is a folder."""


@dataclass(frozen=True)
class Entry:
    """An entry of a folder appeared; *gone* is the path that disappeared with it, of a rename."""

    path: Path
    inode: int
    gone: Path | None = None

    @property
    def folders(self) -> frozenset[Path]:
        return frozenset(path.parent for path in (self.path, self.gone) if path)


@dataclass(frozen=True)
class Removed:
    path: Path

    @property
    def folders(self) -> frozenset[Path]:
        return frozenset({self.path.parent})


@dataclass(frozen=True)
class Wrote:
    """A file's content became this."""

    inode: int
    content: bytes


@dataclass(frozen=True)
class WrittenOut:
    """A file's content was handed to the disk, which a journal keeps in the order of names."""

    inode: int


@dataclass(frozen=True)
class Synced:
    """A file (by inode) or a folder (by path) was synced."""

    inode: int
    folder: Path | None = None


@dataclass(frozen=True)
class Committed:
    """The index was committed; *database* is what it holds then."""

    database: bytes = field(repr=False)


@dataclass(frozen=True)
class Acknowledged:
    """Somebody was told that *what* is done."""

    what: str


Operation = Entry | Removed | Wrote | WrittenOut | Synced | Committed | Acknowledged


@dataclass(frozen=True)
class State:
    """What is there after a crash: content by path (``None`` is a folder), the index, who was told what."""

    tree: Mapping[Path, bytes | None]
    database: bytes
    acknowledged: frozenset[str]
    crash_after: int

    @property
    def key(self) -> tuple[Any, ...]:
        digests = ((p, c if c is None else hashlib.sha256(c).digest()) for p, c in self.tree.items())
        return tuple(sorted(digests)), hashlib.sha256(self.database).digest()

    def rebuild(self, top: Path, root: Path) -> None:
        """Make it below *top*; what the index of the archive *root* says of files holds for the new ones."""
        for path, content in sorted(self.tree.items()):
            if content is None:
                (top / path).mkdir(parents=True, exist_ok=True)
            else:
                (top / path).write_bytes(content)
                os.utime(top / path, (1_700_000_000, 1_700_000_000))
        if self.database and (root / ".scp").is_dir():
            index = root / ".scp" / "index.sqlite"
            index.write_bytes(self.database)
            _adopt(index, root)


def _adopt(index: Path, root: Path) -> None:
    """Let the rows of files that are there agree with them, as they would on the disk that crashed."""
    with contextlib.closing(sqlite3.connect(index)) as database, database:
        for key, folder, name, size in database.execute("SELECT id, folder, name, size FROM file").fetchall():
            path = root / os.fsdecode(folder) / os.fsdecode(name)
            if path.is_file() and path.stat().st_size == size:
                status = path.stat()
                database.execute(
                    "UPDATE file SET inode = ?, device = ?, mtime_ns = ?, ctime_ns = ? WHERE id = ?",
                    (
                        status.st_ino.to_bytes(8, "big"),
                        status.st_dev.to_bytes(8, "big"),
                        status.st_mtime_ns,
                        status.st_ctime_ns,
                        key,
                    ),
                )


class Recorder:
    """Writes down what happens below *top* while it is entered; *unsynced* are files nobody synced yet.

    *journal* tells whether the file system keeps the order of content and names.
    """

    def __init__(
        self, top: Path, index: Path, unsynced: tuple[Path, ...] = (), *, journal: bool = False
    ) -> None:
        self.top, self._index, self._journal = top, index, journal
        self.operations: list[Operation] = []
        self._contents: dict[int, bytes] = {}
        self.base: dict[Path, int] = {}
        for path in sorted(top.rglob("*")):
            if path not in unsynced and not path.name.startswith("index.sqlite"):
                self.base[path] = FOLDER if path.is_dir() else self._known(path)
        self.base_contents = dict(self._contents)
        self.base_database = snapshot(index) if index.exists() else b""
        for path in unsynced:
            self.operations.append(Entry(path, FOLDER if path.is_dir() else path.stat().st_ino))
            if path.is_file():
                self._note_content(path)

    def acknowledge(self, what: str) -> None:
        self.operations.append(Acknowledged(what))

    @contextlib.contextmanager
    def recording(self, blind: str = "") -> Iterator["Recorder"]:
        """Watch; calls of *blind* are made and not seen, as if they had no effect."""
        with pytest.MonkeyPatch.context() as patched:
            for name in ("open", "link", "unlink", "rename", "replace", "mkdir", "fsync", "fdatasync"):
                if name != blind:
                    patched.setattr(os, name, self._watching(name, getattr(os, name)))
            if blind != "write_out":
                patched.setattr(intake, "write_out", self._writing_out(write_out))
            patched.setattr(io, "open", self._opening(io.open))
            patched.setattr(IndexDatabase, "writing", self._committing(IndexDatabase.writing))
            yield self

    def states(self, first: int = 0) -> Iterator[State]:
        """Yield every state that a crash after *first* operations or later may leave, each once.

        Of those that differ only in what was acknowledged it is the latest, where that was most.
        """
        found: dict[Any, State] = {}
        for crash_after in range(first, len(self.operations) + 1):
            for state in self._states_after(crash_after):
                found[state.key] = state
        yield from found.values()

    def last_states(self) -> Iterator[State]:
        """Yield the states of a crash after everything was done and acknowledged."""
        return self.states(len(self.operations))

    def _states_after(self, count: int) -> Iterator[State]:
        done = self.operations[:count]
        moves = [(at, one) for at, one in enumerate(done) if isinstance(one, Entry | Removed)]
        uncertain = [at for at, one in moves if not self._is_certain(at, one, done)]
        databases = {self.base_database} | {o.database for o in done if isinstance(o, Committed)}
        if count == len(self.operations):
            databases.add(b"")
        told = frozenset(one.what for one in done if isinstance(one, Acknowledged))
        for lost in _subsets(uncertain):
            contents = self._possible_contents(done, lost)
            tree = self._tree([one for at, one in moves if at not in lost])
            inodes = sorted(set(tree.values()) - {FOLDER})
            for chosen in itertools.product(*(contents.get(inode, [b""]) for inode in inodes)):
                content: dict[int, bytes | None] = {FOLDER: None, **dict(zip(inodes, chosen, strict=True))}
                named = {path.relative_to(self.top): content[inode] for path, inode in tree.items()}
                for database in databases:
                    yield State(named, database, told, count)

    def _is_certain(self, at: int, move: Entry | Removed, done: list[Operation]) -> bool:
        later = [one for one in done[at:] if isinstance(one, Synced)]
        files = {one.inode for one in later if one.folder is None}
        if self._journal and isinstance(move, Entry) and move.inode in files:
            return True
        return move.folders <= {one.folder for one in later}

    def _tree(self, moves: list[Entry | Removed]) -> dict[Path, int]:
        tree = dict(self.base)
        for move in moves:
            if isinstance(move, Removed):
                tree.pop(move.path, None)
                continue
            inside = {}
            if move.gone is not None:
                tree.pop(move.gone, None)
                moved = [path for path in tree if move.gone in path.parents]
                inside = {move.path / path.relative_to(move.gone): tree.pop(path) for path in moved}
            if move.path.parent == self.top or tree.get(move.path.parent) == FOLDER:
                tree |= {move.path: move.inode, **inside}
        return tree

    def _possible_contents(self, done: list[Operation], lost: frozenset[int]) -> dict[int, list[bytes]]:
        """Return what each file may hold: what was synced, what was written since, and half of that.

        *lost* are the operations of *done* that left no trace.
        """
        certain = dict(self.base_contents)
        latest = dict(certain)
        for at, one in enumerate(done):
            if isinstance(one, Wrote):
                latest[one.inode] = one.content
            elif inode := self._kept_by(at, done, lost):
                certain[inode] = latest.get(inode, b"")
        found = {}
        for inode, content in latest.items():
            old = certain.get(inode, b"")
            found[inode] = [content] if old == content else [content, old, content[: len(content) // 2]]
        return found

    def _kept_by(self, at: int, done: list[Operation], lost: frozenset[int]) -> int:
        """Return the file whose content the operation *at* keeps, 0 for none.

        It is one that was synced, or that was written out and has a name since.
        """
        one = done[at]
        if isinstance(one, Synced) and one.folder is None:
            return one.inode
        if not self._journal or not isinstance(one, WrittenOut):
            return 0
        later = (name for n, name in enumerate(done) if n > at and n not in lost)
        return one.inode if any(isinstance(n, Entry) and n.inode == one.inode for n in later) else 0

    # watching

    def _known(self, path: Path) -> int:
        inode = path.stat().st_ino
        self._contents[inode] = path.read_bytes()
        return inode

    def _named(self, path: Path) -> int:
        """Return what stands for the file or folder that gets a name, whose content is noted."""
        for file in filter(Path.is_file, (path, *path.rglob("*"))):
            self._note_content(file)
        return FOLDER if path.is_dir() else path.stat().st_ino

    def _note_content(self, path: Path) -> None:
        status = path.stat()
        content = path.read_bytes()
        if stat.S_ISREG(status.st_mode) and self._contents.get(status.st_ino, b"") != content:
            self._contents[status.st_ino] = content
            self.operations.append(Wrote(status.st_ino, content))

    def _is_ours(self, path: Any) -> bool:
        text = os.fspath(path)
        return isinstance(text, str) and Path(text).is_relative_to(self.top) and "index.sqlite" not in text

    def _watching(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            first = arguments[0]
            if isinstance(first, int):
                self._before_sync(first)
                result = real(*arguments, **options)
                self._after_sync(first)
                return result
            if not self._is_ours(first) or options.get("dir_fd") is not None:
                return real(*arguments, **options)
            path, new = Path(first), name in ("open", "mkdir") and not os.path.lexists(first)
            inode = self._named(path) if name in ("link", "rename", "replace") else 0
            result = real(*arguments, **options)
            self._note(name, path, Path(arguments[1]) if inode else None, new, inode)
            return result

        return call

    def _note(self, name: str, path: Path, target: Path | None, new: bool, inode: int) -> None:
        if name == "mkdir":
            self.operations.append(Entry(path, FOLDER))
        elif name == "open" and new:
            self.operations.append(Entry(path, path.stat().st_ino))
        elif name == "unlink":
            self.operations.append(Removed(path))
        elif name == "link" and target:
            self.operations.append(Entry(target, inode))
        elif target:
            self.operations.append(Entry(target, inode, gone=path))

    def _before_sync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if self._is_ours(path) and path.is_file():
            self._note_content(path)

    def _after_sync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path == self.top or self._is_ours(path):
            folder = path if path.is_dir() else None
            self.operations.append(Synced(0 if folder else os.fstat(descriptor).st_ino, folder))

    def _writing_out(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def write_out(descriptor: int) -> None:
            self._before_sync(descriptor)
            real(descriptor)
            self.operations.append(WrittenOut(os.fstat(descriptor).st_ino))

        return write_out

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, *arguments: Any, **options: Any) -> Any:
            new = not isinstance(file, int) and self._is_ours(file) and not os.path.lexists(file)
            opened = real(file, *arguments, **options)
            if new:
                self.operations.append(Entry(Path(file), os.fstat(opened.fileno()).st_ino))
            return opened

        return call

    def _committing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @contextlib.contextmanager
        def writing(index: IndexDatabase) -> Iterator[Any]:
            with real(index) as connection:
                yield connection
            self.operations.append(Committed(snapshot(self._index)))

        return writing


def snapshot(index: Path) -> bytes:
    """Return what a SQLite file holds, write-ahead log included."""
    with contextlib.closing(sqlite3.connect(index)) as database:
        return bytes(database.serialize())


def _subsets(items: list[int]) -> Iterator[frozenset[int]]:
    for count in range(len(items) + 1):
        yield from map(frozenset, itertools.combinations(items, count))
