"""Instances on their way in, the events of a retrieve on its way out, and functions that stages pass on."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from scp.errors import MprScpError
from scp.model.images import FileFacts, FileRef

WORK_FOLDER: Final = ".scp"
"""The node's own folder in an archive's root: index, spool, conflicts, results. Nothing in it is a source."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an instance comes from, as the C-STORE request and its association said."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What intake did with an instance: where it lies, and whether it was new."""

    sop_instance_uid: str
    path: Path
    outcome: str
    """``stored``, ``duplicate`` (identical bytes were there) or ``conflict`` (both are kept)."""


class Incoming(Protocol):
    """One instance on its way in."""

    def write(self, fragment: bytes | memoryview) -> None:
        """Take the next bytes of the data set. Raises ``StoreRefused``."""

    def commit(self) -> Stored:
        """Make it durable and indexed, then return. Raises ``StoreRefused``, ``IndexUnavailable``."""

    def abandon(self) -> None:
        """Leave no trace of it."""


class Sink(Protocol):
    """Where ``net`` puts what it receives: the archive's one door."""

    def begin(self, origin: Origin) -> Incoming:
        """Let one instance in. Raises ``Unparseable`` for illegal UIDs, ``StoreRefused``."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A request is alive: *stage* in a word, *done* of *total* where that is known."""

    stage: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """A request will produce the objects of these SOP Instance UIDs, those that fail included."""

    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Produced:
    """One object is ready to be sent."""

    ref: FileRef


@dataclass(frozen=True, slots=True)
class Failed:
    """One of several things asked for cannot be had; *uid* names it, *error* says why."""

    uid: str
    error: MprScpError


Event = Planned | Produced | Failed
"""What a retrieve yields, be it of stored instances or of a reconstruction."""

IsCancelled = Callable[[], bool]
"""Tells whether nobody wants the work any more; cheap, asked often."""

FolderReader = Callable[[Path], tuple[FileFacts, ...]]
"""Returns the facts of every directory entry of one folder but its sub-folders."""

PixelsAgree = Callable[[FileFacts, FileFacts], bool]
"""Tells whether two files of one SOP Instance UID hold the same decoded pixels."""

Takes = Callable[[Collection[str], str], Mapping[str, str]]
"""Returns which of some SOP classes, encoded in one transfer syntax, whoever gets the objects takes.

Each comes with the transfer syntax that it would be sent in: another one where that must be converted.
"""


def takes_all(sop_class_uids: Collection[str], transfer_syntax_uid: str) -> Mapping[str, str]:
    """Be the ``Takes`` of objects that go into files."""
    return dict.fromkeys(sop_class_uids, transfer_syntax_uid)


def never() -> bool:
    """Be the ``IsCancelled`` of work that somebody waits for in any case."""
    return False
