"""C-MOVE and C-GET: events in, C-STORE sub-operations and responses out (PS3.4 C.4.2, C.4.3).

Our own loop in place of pynetdicom's, because there a destination is called before a handler can refuse,
refusals carry an empty list of failed instances, and every instance is decoded and encoded again.

Two threads share a retrieve. ``SubOperations`` runs in one: it takes events and sends each object. The
association's thread watches: it tells the requestor that the work is alive, and sees a cancel, an abort or a
lost connection at once, however long an event or a destination takes. A refusal comes before the first
sub-operation, so it never touches the destination and carries a status and an Error Comment, no counts and no
identifier.
"""

import threading
import time
from collections.abc import Collection, Generator, Iterable
from io import BytesIO
from re import fullmatch

from pydicom.dataset import Dataset
from pydicom.uid import RE_VALID_UID
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.dsutils import encode

from scp.config import Config, Peer
from scp.errors import Code, PeerFailed, Refused
from scp.model import Event, FileRef, Planned, Produced
from scp.net.declined import Declined, declined_of_theirs
from scp.net.dialogue import Dialogue
from scp.net.encoders import Encoder
from scp.net.lazy_sender import LazySender
from scp.net.messages import Request
from scp.net.sending import Originator, Sent, StoreUser, takes
from scp.net.statuses import (
    CANCEL,
    MOVE_DESTINATION_UNKNOWN,
    PENDING,
    SUB_OPERATIONS_FAILED_SOME,
    SUCCESS,
    UNABLE_TO_PERFORM_SUB_OPERATIONS,
)
from scp.services import mpr_keys
from scp.services.context import Closable, ServiceContext
from scp.services.identifier import decoded
from scp.services.requesting import requesting_of
from scp.services.status import Answered, Outcome, failed, sentence_for_log
from scp.services.sub_operations import Counts, SubOperations

PENDING_EVERY_S = 4.0
"""Requestors give up after some time without a response; the longest pause between two."""

PENDING_NOT_BEFORE_S = 0.25
"""A response for each of a thousand instances a second would cost more than sending them."""

LOOK_EVERY_S = 0.1
"""How soon a cancel, an abort and a lost connection are seen."""

LENGTH_OF_UID = 64
LOWEST_FIRST = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")

CANCEL_GRACE_S = 0.7
"""How long the object that is under way may take to get through after a cancel."""


def serve_move(context: ServiceContext, association: Dialogue, request: Request) -> Answered:
    """Send what is asked for to the move destination."""
    title = str(request.message.MoveDestination or "").strip()
    destination = _destination(context.config, title)
    if destination is None:
        outcome = Outcome(MOVE_DESTINATION_UNKNOWN, f"{title} is no destination here"[:64])
        _respond(association, request, outcome)
        return Answered(outcome, {"destination": title, "why": _why_no_destination(context.config, title)})
    originator = Originator(association.calling_ae_title, request.message.MessageID)
    sender = context.requestor.sender(destination, originator)
    with sender:
        return _Retrieve(context, association, request, "move", sender, destination).run()


def serve_get(context: ServiceContext, association: Dialogue, request: Request) -> Answered:
    """Send what is asked for over the requestor's own association."""
    sender = _SameAssociation(association, context.config.limits.message_deadline, context.requestor.encoder)
    return _Retrieve(context, association, request, "get", sender, None).run()


class _SameAssociation:
    """Sends C-STORE sub-operations of a C-GET."""

    def __init__(self, association: Dialogue, deadline_s: float, encoder: Encoder) -> None:
        self._association = association
        self._encoder = encoder
        self._ended = False
        self.declined = Declined()
        self._user = StoreUser(
            association, deadline_s, encoder, lambda: self._ended or self._association.gone
        )

    def send(self, ref: FileRef) -> Sent:
        return self._user.send(ref)

    def takes(self, sop_class_uids: Collection[str], transfer_syntax_uid: str) -> dict[str, str]:
        self.declined = declined_of_theirs(self._association, sop_class_uids)
        return takes(self._association, sop_class_uids, transfer_syntax_uid, self._encoder)

    def expect(self, refs: Iterable[FileRef]) -> None:
        """Take note of the order; the presentation contexts are negotiated already."""
        self._user.expect(refs)

    def abort(self) -> None:
        """Stop converting; the association stays, because the requestor, who cancelled, still uses it."""
        self._ended = True


class _Retrieve:
    """One C-MOVE or C-GET, watched from the association's thread."""

    def __init__(
        self,
        context: ServiceContext,
        association: Dialogue,
        request: Request,
        right: str,
        sender: "LazySender | _SameAssociation",
        destination: Peer | None,
    ) -> None:
        self._context = context
        self._association = association
        self._request = request
        self._right = right
        self._sender = sender
        self._requesting = requesting_of(association, request, destination, sender.takes)
        self._told = time.monotonic()
        self._given_up = threading.Event()
        self._why = ""
        self._asked = ""
        self._without_effect = ""

    def run(self) -> Answered:
        """Do it, and send the final response unless nobody is there any more."""
        work = SubOperations(self._open, self._sender, self._pending)
        work.start()
        try:
            while not work.ended.wait(LOOK_EVERY_S):
                if self._is_cancelled():
                    self._given_up.set()
                    work.cancel(CANCEL_GRACE_S, hard=self._association.gone)
                    break
                self._tell(work.counts)
        except BaseException:
            self._given_up.set()
            work.cancel(0.0, hard=True)
            raise
        if self._association.gone:
            return Answered(Outcome(CANCEL), self._said(work) | {"requestor": "gone"})
        outcome = self._finish(work, self._is_cancelled() and not work.complete)
        return Answered(outcome, self._said(work))

    def _said(self, work: SubOperations) -> dict[str, object]:
        """Return what the log tells beside the status."""
        counts, destination = work.counts, self._requesting.destination
        return {
            "destination": destination.ae_title if destination else "",
            "made_here": "yes" if work.made_here else "",
            "asked": self._asked,
            "without_effect": self._without_effect,
            "completed": counts.completed,
            "failed": counts.failed,
            "warning": counts.warning,
            "why": self._why or counts.first_sentence,
        }

    def _is_cancelled(self) -> bool:
        """Tell whether nobody waits any more; work that outlives its request must go on hearing so."""
        given_up = self._given_up.is_set()
        return given_up or self._association.is_left_alone(self._request.message.MessageID)

    def _open(self) -> tuple[Closable[Event], bool]:
        """Return the events, and whether they are of a reconstruction. Raises ``Refused``."""
        identifier = decoded(self._request.message.Identifier, self._request.transfer_syntax)
        self._asked = _what_is_asked_for(identifier)
        self._without_effect = ",".join(mpr_keys.without_effect(identifier))
        if self._context.mpr is not None:
            events = self._context.mpr.events_of(identifier, self._requesting, self._is_cancelled)
            if events is not None:
                return events, True
        if not self._association.may(self._right):
            title = self._association.calling_ae_title
            what = f"the right {self._right}"
            raise Refused(Code.NOT_AUTHORIZED, f"{title} lacks {what}", f"it needs {what}")
        return self._stored(identifier), False

    def _stored(self, identifier: Dataset) -> Generator[Event, None, None]:
        refs = list(self._context.archive.refs(self._requesting.root_model, identifier))
        self._sender.expect(refs)
        yield Planned(tuple(ref.sop_instance_uid for ref in refs))
        yield from map(Produced, refs)

    def _tell(self, counts: Counts) -> None:
        """Send a pending response when one is due."""
        since = time.monotonic() - self._told
        due = since >= PENDING_EVERY_S or (counts.changed and since >= PENDING_NOT_BEFORE_S)
        if due:
            self._pending(counts)

    def _pending(self, counts: Counts) -> None:
        counts.changed = False
        self._told = time.monotonic()
        # 0 would mean that it is over: the last object is under way, or nobody knows yet how many there are
        remaining = max(1, counts.remaining)
        _respond(self._association, self._request, Outcome(PENDING), counts, remaining)

    def _finish(self, work: SubOperations, cancelled: bool) -> Outcome:
        """Send the final response."""
        counts = work.counts
        if cancelled:
            outcome, remaining = Outcome(CANCEL), counts.remaining
            _respond(self._association, self._request, outcome, counts, remaining, counts.failed_uids)
        elif work.error is not None and not counts.done:
            outcome = self._told_of(work.error)
            _respond(self._association, self._request, outcome)
        else:
            counts.fail_the_rest()
            own = work.error if not isinstance(work.error, PeerFailed) else None
            outcome = self._told_of(own) if own else _summary(counts)
            _respond(self._association, self._request, outcome, counts, None, counts.failed_uids)
        return outcome

    def _told_of(self, error: Exception) -> Outcome:
        """Return the outcome of a retrieve that *error* ended, and keep for the log what else it says."""
        if isinstance(error, Refused) and error.code == Code.NO_CONTEXT and self._sender.declined.sentence:
            declined = self._sender.declined
            error = Refused(error.code, f"{error.sentence} ({declined.sentence})", declined.short)
        self._why = sentence_for_log(error)
        return failed(error)


def _what_is_asked_for(identifier: Dataset) -> str:
    """Return the first UID of the lowest level, and how many more: what is no UID may be patient data."""
    uids = next(filter(None, (mpr_keys.texts(identifier, key) for key in LOWEST_FIRST)), ())
    if not uids or len(uids[0]) > LENGTH_OF_UID or not fullmatch(RE_VALID_UID, uids[0]):
        return ""
    return f"{uids[0]}+{len(uids) - 1}" if len(uids) > 1 else uids[0]


def _why_no_destination(config: Config, ae_title: str) -> str:
    if any(peer.ae_title == ae_title for peer in config.peers.values()):
        return "its [peers] table lacks destination = true"
    return "no [peers] table has this ae_title"


def _destination(config: Config, ae_title: str) -> Peer | None:
    peers = config.peers.values()
    return next((peer for peer in peers if peer.destination and peer.ae_title == ae_title), None)


def _summary(counts: Counts) -> Outcome:
    """Return the status of a retrieve that went through to its end (PS3.4 C.4.2.1.5)."""
    if not counts.failed and not counts.warning:
        return Outcome(SUCCESS)
    comment = f"{counts.failed} of {counts.total} failed: {counts.first_failure}"[:64]
    if counts.failed and not counts.completed and not counts.warning:
        return Outcome(UNABLE_TO_PERFORM_SUB_OPERATIONS, comment)
    return Outcome(SUB_OPERATIONS_FAILED_SOME, comment)


def _respond(
    association: Dialogue,
    request: Request,
    outcome: Outcome,
    counts: Counts | None = None,
    remaining: int | None = None,
    failed_uids: tuple[str, ...] = (),
) -> None:
    """Send one response, with *counts* the four numbers, with *failed_uids* the identifier that has them."""
    message = request.message
    response = C_MOVE() if isinstance(message, C_MOVE) else C_GET()
    response.MessageIDBeingRespondedTo = message.MessageID
    response.AffectedSOPClassUID = message.AffectedSOPClassUID
    response.Status = outcome.status
    response.ErrorComment = outcome.error_comment or None
    if outcome.offending_element:
        response.OffendingElement = outcome.offending_element
    if counts is not None:
        response.NumberOfRemainingSuboperations = None if remaining is None else min(remaining, 0xFFFF)
        response.NumberOfCompletedSuboperations = min(counts.completed, 0xFFFF)
        response.NumberOfFailedSuboperations = min(counts.failed, 0xFFFF)
        response.NumberOfWarningSuboperations = min(counts.warning, 0xFFFF)
    if failed_uids:
        response.Identifier = BytesIO(_failed_list(request, failed_uids))
    association.respond(response, request.context_id)


def _failed_list(request: Request, failed_uids: tuple[str, ...]) -> bytes:
    listed = Dataset()
    listed.FailedSOPInstanceUIDList = list(failed_uids)
    syntax = request.transfer_syntax
    return encode(listed, syntax.is_implicit_VR, syntax.is_little_endian) or b""
