"""C-STORE: what was received becomes durable, then 0x0000 (PS3.4 Annex B, PS3.7 9.1.1).

The data set is in the sink already, as the bytes that came (``net.reception``); here it is committed and the
outcome told. Nothing is decoded but the references of a rejection note (``services.rejection``). A duplicate
and a conflict are successes: both ends are served by knowing that the instance is safe, and what a conflict
means is for the selection to say.
"""

from scp.errors import StoreRefused
from scp.net.dialogue import Dialogue
from scp.net.messages import Request
from scp.net.statuses import SUCCESS
from scp.services import rejection
from scp.services.context import ServiceContext
from scp.services.status import Answered, Outcome, failed


def serve(context: ServiceContext, association: Dialogue, request: Request) -> Answered:
    """Commit one instance and answer."""
    message = request.message
    outcome, said = Outcome(SUCCESS), {"instance": message.sop_instance_uid}
    try:
        stored = message.reception.finish()
        association.journal.tally[stored.outcome] += 1
        said["outcome"] = stored.outcome
        if association.may("reject"):
            said["rejects"] = rejection.obey(stored, message.reception.origin, context.archive) or ""
    except Exception as error:
        outcome = failed(error)
        said["why"] = str(error) if isinstance(error, StoreRefused) else ""
    association.respond_to_store(message, request.context_id, outcome.status, outcome.error_comment)
    notable = outcome.status != SUCCESS or said.get("rejects")
    return Answered(outcome, said, routine=not notable)
