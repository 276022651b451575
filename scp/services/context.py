"""What the services know of the rest of the node: a few protocols, wired in ``scp.node``.

The modules of ordinary services import nothing of the archive or of the pipeline; they are handed a
``ServiceContext``, and tests hand them small twins. Only those behind ``Reconstructs`` know both.
"""

from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydicom.dataset import Dataset

from scp.config import Config, Peer
from scp.model import Event, FileRef, IsCancelled, Takes, takes_all
from scp.net.requestor import Requestor

_T_co = TypeVar("_T_co", covariant=True)


class Closable(Iterator[_T_co], Protocol[_T_co]):
    """An iterator whose items are found or made as they are taken; its consumer closes it when done."""

    def close(self) -> None: ...


class ArchiveService(Protocol):
    """The archive, as far as services use it: ways to look things up, and what rejection notes say."""

    def find(self, root_model: str, identifier: Dataset) -> Closable[Dataset]:
        """Yield the answers (PS3.4 C.4.1). Raises ``BadRequest``, ``IndexUnavailable``."""

    def refs(self, root_model: str, identifier: Dataset) -> Iterable[FileRef]:
        """Return what a retrieve of *identifier* sends. Raises ``BadRequest``, ``IndexUnavailable``."""

    def reject(self, note_sop_instance_uid: str, sop_instance_uids: Collection[str]) -> None:
        """Record what a rejection note refers to. Raises ``IndexUnavailable``."""


@dataclass(frozen=True, slots=True)
class Requesting:
    """Who asks, and as whom we were called.

    *may_mpr* tells whether the requestor has the right ``mpr``, *may_stored* whether it has the one that the
    same request for stored instances needs: ``find``, ``move`` or ``get``.
    *destination* is the peer that results are sent to; ``None`` for C-GET and C-FIND: the requestor itself.
    *peer* is ``None`` where nobody is configured.
    """

    calling_ae_title: str
    called_ae_title: str
    peer: Peer | None
    may_mpr: bool
    may_stored: bool
    root_model: str
    destination: Peer | None = None
    takes: Takes = takes_all
    """Tells which SOP classes the receiver of the objects takes; for a C-MOVE this calls the destination."""


class Reconstructs(Protocol):
    """Recognises requests for planes and makes their answers."""

    def events_of(
        self, identifier: Dataset, requesting: Requesting, cancelled: IsCancelled
    ) -> Closable[Event] | None:
        """Return the events of a reconstruction, ``None`` for an ordinary retrieve. Raises ``Refused``.

        The iterator may block for minutes and raise ``Refused``, ``Cancelled`` or any ``MprScpError``;
        closing it, or *cancelled* telling ``True``, ends the work.
        """

    def answers_of(
        self, identifier: Dataset, requesting: Requesting, cancelled: IsCancelled
    ) -> Generator[Dataset, None, None] | None:
        """Return the answers of a dry run or a query with virtual series, ``None`` for an ordinary one.

        As with ``events_of``, they may take minutes, and end soon after *cancelled* tells ``True``.
        """


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """All that the services need; *requestor* sends to move destinations."""

    config: Config
    archive: ArchiveService
    requestor: Requestor
    mpr: Reconstructs | None = None
