"""C-FIND, C-GET and C-MOVE requests as messages on an association (PS3.7 9.1.2 to 9.1.4).

``net.requestor`` sends one of them over an association of its own, and reads what comes back by the rules
here: which status means that more will come, and what a final response says of a retrieve (PS3.4 C.4.1 to 3).
"""

import contextlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_CANCEL, C_MOVE
from pynetdicom.dsutils import decode, encode
from pynetdicom.presentation import PresentationContext

from scp.errors import PeerFailed
from scp.model import Stored
from scp.net.deadlines import Deadline
from scp.net.dialogue import Dialogue
from scp.net.statuses import PENDING, PENDING_WARNING, SUCCESS

RETRIEVE_WARNINGS = range(0xB000, 0xC000)
"""PS3.7 C.1 calls all of these warnings, and PS3.4 C.4.2.1.5 knows 0xB000 alone: the counts tell more."""

STILL_PENDING = (PENDING, PENDING_WARNING)
MESSAGE_ID = 1


@dataclass(frozen=True, slots=True)
class Retrieved:
    """How a retrieve ended: counts of its sub-operations, and Failed SOP Instance UID List (0008,0058)."""

    status: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_sop_instance_uids: tuple[str, ...] = ()
    error_comment: str = ""
    stored: tuple[Stored, ...] = ()
    unasked: tuple[str, ...] = ()


class RetrieveFailed(PeerFailed):
    """Nothing of a retrieve worked, and *done* is how it ended."""

    def __init__(self, sentence: str, done: Retrieved) -> None:
        super().__init__(sentence)
        self.args = (sentence, done)
        self.done = done


def context_of(association: Dialogue, sop_class_uid: UID) -> PresentationContext:
    """Return the context that was accepted for a SOP class. Raises ``PeerFailed``."""
    for context in association.accepted_contexts:
        if context.abstract_syntax == sop_class_uid:
            return context
    raise PeerFailed(f"does not accept {UID(sop_class_uid).name}")


def send_query(
    association: Dialogue, request: Any, sop_class_uid: UID, identifier: Dataset
) -> PresentationContext:
    """Send *request* with *identifier* and return the context that answers come in. Raises ``PeerFailed``."""
    context = context_of(association, sop_class_uid)
    syntax = context.transfer_syntax[0]
    encoded = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    if encoded is None:
        raise PeerFailed("the identifier cannot be encoded")
    request.MessageID = MESSAGE_ID
    request.AffectedSOPClassUID = sop_class_uid
    request.Priority = 0
    request.Identifier = BytesIO(encoded)
    association.respond(request, context.context_id)
    return context


def cancel(association: Dialogue, context: PresentationContext) -> None:
    """Ask for no more answers (PS3.7 9.3.2.3)."""
    request = C_CANCEL()
    request.MessageIDBeingRespondedTo = MESSAGE_ID
    association.respond(request, context.context_id)


def final_response(association: Dialogue, deadline: Deadline) -> Any:
    """Return the last response of a C-MOVE. Raises ``PeerFailed``, ``Cancelled``."""
    while True:
        _, response = deadline.next_message(association)
        if not isinstance(response, C_MOVE) or response.Status is None:
            raise PeerFailed(f"C-MOVE was answered by a {type(response).__name__} message")
        if response.Status not in STILL_PENDING:
            return response


def decoded(identifier: BytesIO | None, context: PresentationContext) -> Dataset:
    """Return the identifier of an answer that came in *context*. Raises ``PeerFailed``."""
    if identifier is None:
        raise PeerFailed("a pending answer had no identifier")
    syntax = context.transfer_syntax[0]
    try:
        found: Dataset = decode(
            identifier, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated
        )
        list(found)  # pydicom decodes values lazily: broken ones must raise here
    except Exception as error:  # what it says is left out: it may quote the answer
        raise PeerFailed(f"an answer cannot be decoded: {type(error).__name__}") from error
    return found


def retrieved(
    response: Any,
    context: PresentationContext,
    stored: tuple[Stored, ...] = (),
    unasked: tuple[str, ...] = (),
) -> Retrieved:
    """Return how a retrieve in *context* ended. Raises ``RetrieveFailed`` unless something of it worked."""
    failed: tuple[str, ...] = ()
    if response.Identifier is not None:
        with contextlib.suppress(PeerFailed):
            listed = decoded(response.Identifier, context).get("FailedSOPInstanceUIDList") or ()
            failed = (str(listed),) if isinstance(listed, str) else tuple(map(str, listed))
    done = Retrieved(
        status=response.Status,
        completed=response.NumberOfCompletedSuboperations or 0,
        failed=response.NumberOfFailedSuboperations or 0,
        warning=response.NumberOfWarningSuboperations or 0,
        failed_sop_instance_uids=failed,
        error_comment=str(response.ErrorComment or ""),
        stored=stored,
        unasked=unasked,
    )
    if response.Status != SUCCESS and response.Status not in RETRIEVE_WARNINGS:
        service = type(response).__name__.replace("_", "-")
        raise RetrieveFailed(f"{service} ended with {status_text(response)}", done)
    return done


def status_text(response: Any) -> str:
    """Return Status and Error Comment in words."""
    status = getattr(response, "Status", None)
    comment = str(getattr(response, "ErrorComment", None) or "")
    code = f"status 0x{status:04X}" if status is not None else "no status"
    return f"{code}, {comment}" if comment else code
