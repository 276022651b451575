"""C-ECHO: the node is there (PS3.4 Annex A, PS3.7 9.1.5)."""

from pynetdicom.dimse_primitives import C_ECHO

from scp.net.dialogue import Dialogue
from scp.net.messages import Request
from scp.net.statuses import SUCCESS
from scp.services.context import ServiceContext
from scp.services.status import Answered, Outcome


def serve(_context: ServiceContext, association: Dialogue, request: Request) -> Answered:
    """Answer."""
    response = C_ECHO()
    response.MessageIDBeingRespondedTo = request.message.MessageID
    response.AffectedSOPClassUID = request.message.AffectedSOPClassUID
    response.Status = SUCCESS
    association.respond(response, request.context_id)
    return Answered(Outcome(SUCCESS))
