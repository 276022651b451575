"""Finding what the series of the current image lacks: in folders, in the index, at peers."""

from scp.completion.complete import SEARCHES, SelectAgain, complete
from scp.completion.peer_archives import HeldInstance, PeerArchives
from scp.completion.peer_states import PeerStates
from scp.completion.peer_transport import PeerTransport
from scp.completion.surroundings import ArchiveIndex, Arrivals, SeenFolder, Surroundings

__all__ = [
    "SEARCHES",
    "ArchiveIndex",
    "Arrivals",
    "HeldInstance",
    "PeerArchives",
    "PeerStates",
    "PeerTransport",
    "SeenFolder",
    "SelectAgain",
    "Surroundings",
    "complete",
]
