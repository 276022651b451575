"""Which service answers which DIMSE request: the one entry that associations call; and the log's line."""

import logging
import time
from collections.abc import Callable, Mapping

from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE

from scp.net.dialogue import Dialogue
from scp.net.journal import line
from scp.net.messages import Request, StoreRequest
from scp.net.statuses import CANCEL, SUCCESS
from scp.services import echo, find, retrieve, store
from scp.services.context import ServiceContext
from scp.services.status import Answered

LOGGER = logging.getLogger(__name__)

Service = Callable[[ServiceContext, Dialogue, Request], Answered]

SERVICES: Mapping[type, tuple[str, Service]] = {
    C_ECHO: ("C-ECHO", echo.serve),
    StoreRequest: ("C-STORE", store.serve),
    C_FIND: ("C-FIND", find.serve),
    C_MOVE: ("C-MOVE", retrieve.serve_move),
    C_GET: ("C-GET", retrieve.serve_get),
}


def serve(context: ServiceContext, association: Dialogue, request: Request) -> None:
    """Answer one request; a message that no service knows ends the association."""
    name, service = SERVICES.get(type(request.message), ("", None))
    if service is None:
        association.abort()
        return
    begun = time.monotonic()
    answered = service(context, association, request)
    _note(name, association, request, answered, time.monotonic() - begun)


def _note(name: str, association: Dialogue, request: Request, answered: Answered, duration_s: float) -> None:
    outcome = answered.outcome
    association.journal.tally[name] += 1
    if outcome.status not in (SUCCESS, CANCEL):
        association.journal.tally[f"{name}_failed"] += 1
    message = request.message
    level = logging.DEBUG if answered.routine else logging.INFO
    if not LOGGER.isEnabledFor(level):
        return
    fields: dict[str, object] = {
        "association": association.journal.number,
        "message": message.message_id if isinstance(message, StoreRequest) else message.MessageID,
        "peer": association.calling_ae_title,
        "address": association.remote_address,
        "called": association.called_ae_title,
    }
    ended = {"status": f"0x{outcome.status:04X}", "comment": outcome.error_comment, "s": duration_s}
    LOGGER.log(level, line(name, fields | {**answered.said} | ended))
