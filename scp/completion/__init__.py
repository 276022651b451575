"""Finding what the series of the current image lacks: in folders, in the index, at peers."""

from scp.completion.complete import complete
from scp.completion.peer_states import PeerStates
from scp.completion.peer_transport import PeerTransport
from scp.completion.surroundings import Surroundings

__all__ = ["PeerStates", "PeerTransport", "Surroundings", "complete"]
