"""Calls of the operating system and of the index that fail on purpose: the n-th, once or from then on.

Only calls that concern one folder count, by their path or by a descriptor opened there; whatever thread they
are made in. What the database does for itself is not seen: its statements and commits are calls of their own.
"""

import contextlib
import errno
import io
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine.default import DefaultDialect

BY_PATH = ("open", "link", "unlink", "rename", "replace", "mkdir", "scandir", "statvfs", "stat", "lstat")
BY_DESCRIPTOR = ("write", "writev", "pread", "fsync", "fdatasync", "fstat")

ERRORS = (errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EACCES)


@dataclass
class Faults:
    """Lets the call number *fails_at* fail with *number*, and all after it where *for_ever*; 0 none."""

    top: Path
    number: int = errno.EIO
    fails_at: int = 0
    for_ever: bool = False
    calls: list[str] = field(default_factory=list)
    _armed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def armed(self) -> Iterator["Faults"]:
        """Count and fail while entered; the patches are there only then."""
        with pytest.MonkeyPatch.context() as patched:
            for name in BY_PATH:
                patched.setattr(os, name, self._by_path(name, getattr(os, name)))
            for name in BY_DESCRIPTOR:
                patched.setattr(os, name, self._by_descriptor(name, getattr(os, name)))
            patched.setattr(io, "open", self._by_path("io.open", io.open))
            for name in ("do_execute", "do_commit"):
                patched.setattr(DefaultDialect, name, self._statement(name, getattr(DefaultDialect, name)))
            yield self

    def _count(self, name: str) -> bool:
        """Note one call and tell whether it has to fail."""
        with self._lock:
            self.calls.append(name)
            count = len(self.calls)
        return bool(self.fails_at) and (count == self.fails_at or (self.for_ever and count > self.fails_at))

    def _concerns(self, path: Any) -> bool:
        return not isinstance(path, int) and str(path).startswith(str(self.top))

    def _by_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            if self._concerns(path) and self._count(name):
                raise OSError(self.number, os.strerror(self.number), str(path))
            return real(path, *arguments, **options)

        return call

    def _by_descriptor(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *arguments: Any, **options: Any) -> Any:
            with contextlib.suppress(OSError):
                opened = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 Path would be counted
                if self._concerns(opened) and self._count(name):
                    raise _Fault(self.number, os.strerror(self.number))
            return real(descriptor, *arguments, **options)

        return _raising_plainly(call)

    def _statement(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self._count(f"index {name}"):
                full = self.number == errno.ENOSPC
                raise sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
            return real(*arguments, **options)

        return call


class _Fault(Exception):
    pass


def _raising_plainly(call: Callable[..., Any]) -> Callable[..., Any]:
    def plain(*arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except _Fault as fault:
            raise OSError(*fault.args) from None

    return plain
