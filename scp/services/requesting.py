"""Who asks: what an association and a request say of the requestor, in the services' terms."""

from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE

from scp.config import Peer
from scp.model import Takes, takes_all
from scp.net.dialogue import Dialogue
from scp.net.messages import Request
from scp.net.query_classes import QUERY_CLASSES
from scp.services.context import Requesting

RIGHTS = {C_FIND: "find", C_MOVE: "move", C_GET: "get"}
"""By the message, not by the SOP class of its context: a peer may send one in the context of another."""


def requesting_of(
    association: Dialogue,
    request: Request,
    destination: Peer | None = None,
    takes: Takes = takes_all,
) -> Requesting:
    """Return who asks, by which information model, where the results go and what that receiver takes."""
    query_class = QUERY_CLASSES.get(request.abstract_syntax)
    return Requesting(
        calling_ae_title=association.calling_ae_title,
        called_ae_title=association.called_ae_title,
        peer=association.admitted.peer if association.admitted else None,
        may_mpr=association.may("mpr"),
        may_stored=association.may(RIGHTS[type(request.message)]),
        root_model=query_class.root_model if query_class else "STUDY",
        destination=destination,
        takes=takes,
    )
