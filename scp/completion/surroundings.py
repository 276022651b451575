"""What the searches may use: folders, the index, the peers, and for how long.

The one record that whoever wires the stages (node, command line) fills in; the searches see the world
through it and nothing else. Tests put small twins in its places.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from scp.completion.peer_archives import PeerArchives
from scp.completion.peer_states import PeerStates
from scp.config import Peer
from scp.model import FileFacts, FolderReader


class SeenFolder(Protocol):
    """A folder of the archive; *created_ns*: birth time, else when the index first saw it, ns since 1970."""

    @property
    def path(self) -> Path: ...
    @property
    def created_ns(self) -> int: ...


class ArchiveIndex(Protocol):
    """What the searches ask of the node's own archive. All methods raise ``IndexUnavailable``."""

    def series_files(self, study_instance_uid: str, series_instance_uid: str, /) -> tuple[FileFacts, ...]:
        """Return every indexed file of a series, whichever folder it lies in."""

    def instance_files(self, sop_instance_uid: str, /) -> tuple[FileFacts, ...]:
        """Return every indexed file of an instance; none where the archive does not hold it."""

    def folders(self) -> Iterable[SeenFolder]:
        """Return every folder that holds files."""


class Waiting(Protocol):
    """What has come of the instances that one request waits for, by SOP Instance UID."""

    @property
    def arrived(self) -> Mapping[str, object]: ...


class Arrivals(Protocol):
    """Where intake tells what it has stored and indexed."""

    def waiting(self, sop_instance_uids: Collection[str], /) -> AbstractContextManager[Waiting]:
        """Listen for these instances from now on."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where one request may look.

    *top* is the batch folder (for the command line, the folder of ``--within``): the search ``ancestors``
    never leaves it. *searches* run in their order, ``time_radius`` through *time_radii_s*. Without *archive*
    only folders are searched; without *arrivals*, what a peer sends is seen when its retrieval ends.
    *retrieve* is false for a dry run: peers are asked, nothing is fetched. *rejected* are the SOP Instance
    UIDs that rejection notes name: nobody looks for those. *peer_states* lives as long as the node. *clock*
    gives seconds that never go back.
    """

    read_folder: FolderReader
    top: Path
    searches: tuple[str, ...] = ()
    time_radii_s: tuple[float, ...] = ()
    archive: ArchiveIndex | None = None
    arrivals: Arrivals | None = None
    peers: tuple[Peer, ...] = ()
    peer_archives: PeerArchives | None = None
    peer_states: PeerStates = field(default_factory=PeerStates)
    retrieve: bool = True
    rejected: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.monotonic
