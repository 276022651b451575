"""C-STORE: what was received becomes durable, then 0x0000 (PS3.4 Annex B, PS3.7 9.1.1).

The data set is in the sink already, as the bytes that came (``net.reception``); here it is committed and the
outcome told. Nothing is decoded but the references of a rejection note (``services.rejection``). A duplicate
and a conflict are successes: both ends are served by knowing that the instance is safe, and what a conflict
means is for the selection to say.
"""

import logging

from scp.net.association import NodeAssociation, Request
from scp.services import rejection
from scp.services.context import ServiceContext
from scp.services.status import SUCCESS, is_our_fault, outcome_of, trace

LOGGER = logging.getLogger(__name__)


def serve(context: ServiceContext, association: NodeAssociation, request: Request) -> None:
    """Commit one instance and answer."""
    message = request.message
    status, comment = SUCCESS, ""
    try:
        stored = message.reception.finish()
        LOGGER.info("%s: %s %s", association.calling_ae_title, stored.outcome, message.sop_instance_uid)
        if association.may("reject"):
            rejected = rejection.obey(stored, message.reception.origin, context.archive)
            if rejected:
                LOGGER.info("%s: rejects %d instances", association.calling_ae_title, rejected)
    except Exception as error:
        outcome = outcome_of(error, trace_id=trace(error) if is_our_fault(error) else "")
        status, comment = outcome.status, outcome.error_comment
        LOGGER.warning("%s: 0x%04X, %s", association.calling_ae_title, status, error)
    association.respond_to_store(message, request.context_id, status, comment)
