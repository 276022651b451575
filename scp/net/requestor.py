"""This node as a requestor: C-ECHO, C-FIND, C-GET, C-MOVE and C-STORE towards configured peers.

Each operation is one association with one *deadline* for all of it, from the connection to the release, by
default the peer's; a ``Patience`` bounds each silence instead. Whatever goes wrong at the other end is one
``PeerFailed`` that says what, in a sentence. Once the deadline is cancelled the association is aborted, and
``Cancelled`` raised.
Answers are checked against what was asked; the messages themselves are ``net.queries``, and data sets go in
and out as the bytes that they are (``net.sending``, ``net.reception``).
"""

import contextlib
from collections.abc import Collection, Generator, Iterable, Iterator
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, StoragePresentationContexts
from pynetdicom.sop_class import Verification

from scp.config import Config, Peer
from scp.errors import MprScpError, PeerFailed, StoreRefused
from scp.model import FileRef, Incoming, Origin, Sink, Stored
from scp.net.association import NodeAssociation
from scp.net.deadlines import Deadline
from scp.net.encoders import Encoder, Reencoder
from scp.net.lazy_sender import MAXIMUM_CONTEXTS, LazySender
from scp.net.messages import StoreRequest
from scp.net.negotiation import PLAIN_SYNTAXES, RANKING
from scp.net.outgoing import associate, end, release
from scp.net.queries import (
    MESSAGE_ID,
    STILL_PENDING,
    Retrieved,
    cancel,
    context_of,
    decoded,
    final_response,
    retrieved,
    send_query,
    status_text,
)
from scp.net.query_classes import query_class
from scp.net.sending import Originator, Sent
from scp.net.statuses import OUT_OF_RESOURCES, SUCCESS

REENCODER = Reencoder()


class Requestor:
    """Calls peers, as ``node.ae_title`` unless told otherwise; *encoder* is for those that send."""

    def __init__(self, config: Config, local_ae_title: str = "", encoder: Encoder = REENCODER) -> None:
        self.config = config
        self.encoder = encoder
        self.local_ae_title = local_ae_title or config.node.ae_title

    def echo(self, peer: Peer, deadline: Deadline | None = None) -> None:
        """Verify that *peer* answers (PS3.4 Annex A). Raises ``PeerFailed``."""
        deadline = deadline or Deadline(peer.deadline)
        with self._associated(peer, [build_context(Verification)], deadline) as association:
            request = C_ECHO()
            request.MessageID = MESSAGE_ID
            request.AffectedSOPClassUID = Verification
            association.respond(request, context_of(association, Verification).context_id)
            _, response = deadline.next_message(association)
            if getattr(response, "Status", None) != SUCCESS:
                raise PeerFailed(f"C-ECHO was answered with {status_text(response)}")

    def find(
        self,
        peer: Peer,
        identifier: Dataset,
        *,
        root_model: str = "STUDY",
        deadline: Deadline | None = None,
    ) -> "Answers":
        """Query *peer* (PS3.4 C.4.1); the association begins with the first answer asked for.

        Answers that do not agree with *identifier* are dropped, and counted.
        """
        return Answers(self.ask(peer, identifier, root_model=root_model, deadline=deadline), identifier)

    def ask(
        self,
        peer: Peer,
        identifier: Dataset,
        *,
        root_model: str = "STUDY",
        deadline: Deadline | None = None,
    ) -> Generator[Dataset, None, None]:
        """Yield whatever *peer* answers, for a person to judge: a dry run answers with another series."""
        deadline = deadline or Deadline(peer.deadline)
        sop_class = query_class(root_model, "find")
        contexts = [build_context(sop_class, list(PLAIN_SYNTAXES))]
        with self._associated(peer, contexts, deadline) as association:
            context = send_query(association, C_FIND(), sop_class, identifier)
            while True:
                _, response = deadline.next_message(association)
                if not isinstance(response, C_FIND) or response.Status is None:
                    raise PeerFailed(f"C-FIND was answered by a {type(response).__name__} message")
                if response.Status not in STILL_PENDING:
                    break
                try:
                    yield decoded(response.Identifier, context)
                except GeneratorExit:
                    cancel(association, context)
                    raise
            if response.Status != SUCCESS:
                raise PeerFailed(f"C-FIND ended with {status_text(response)}")

    def get(
        self,
        peer: Peer,
        identifier: Dataset,
        sink: Sink,
        *,
        wanted: Collection[str] | None = None,
        sop_classes: Iterable[str] = (),
        transfer_syntaxes: Iterable[str] = RANKING,
        root_model: str = "STUDY",
        deadline: Deadline | None = None,
    ) -> Retrieved:
        """Retrieve into *sink* by C-GET (PS3.4 C.4.3).

        Only the SOP Instance UIDs in *wanted* are taken (``None`` takes all); what else comes is refused and
        named in ``unasked``. *sop_classes* are what we offer to receive, by default all usual ones.
        Raises ``PeerFailed``, ``Cancelled``; what was stored until then stays stored.
        """
        deadline = deadline or Deadline(peer.deadline)
        offered = list(sop_classes) or [str(c.abstract_syntax) for c in StoragePresentationContexts]
        sop_class = query_class(root_model, "get")
        contexts = [build_context(sop_class, list(PLAIN_SYNTAXES))]
        contexts += [build_context(uid, list(transfer_syntaxes)) for uid in offered[: MAXIMUM_CONTEXTS - 1]]
        picky = _PickySink(sink, wanted)
        roles = [_storage_scp(uid) for uid in offered[: MAXIMUM_CONTEXTS - 1]]
        with self._associated(peer, contexts, deadline, sink=picky, roles=roles) as association:
            context = send_query(association, C_GET(), sop_class, identifier)
            response = picky.receive_until_done(association, deadline)
        return retrieved(response, context, tuple(picky.stored), tuple(picky.unasked))

    def move(
        self,
        peer: Peer,
        identifier: Dataset,
        destination_ae_title: str,
        *,
        root_model: str = "STUDY",
        deadline: Deadline | None = None,
    ) -> Retrieved:
        """Let *peer* send to *destination_ae_title* (PS3.4 C.4.2). Raises ``PeerFailed``, ``Cancelled``."""
        deadline = deadline or Deadline(peer.deadline)
        sop_class = query_class(root_model, "move")
        contexts = [build_context(sop_class, list(PLAIN_SYNTAXES))]
        with self._associated(peer, contexts, deadline) as association:
            request = C_MOVE()
            request.MoveDestination = destination_ae_title
            context = send_query(association, request, sop_class, identifier)
            response = final_response(association, deadline)
        return retrieved(response, context)

    def store(
        self, peer: Peer, refs: Iterable[FileRef], *, deadline_s: float | None = None
    ) -> Iterator[Sent]:
        """Send files over one association, in order, as the bytes that they are; yield what came back."""
        with self.sender(peer, deadline_s=deadline_s) as sender:
            listed = list(refs)
            sender.expect(listed)
            for ref in listed:
                yield sender.send(ref)

    def sender(
        self, peer: Peer, originator: Originator | None = None, *, deadline_s: float | None = None
    ) -> LazySender:
        """Return what sends to *peer* and associates with it at the first object.

        Each answer may take *deadline_s*, by default ``limits.message_deadline``.
        """
        if deadline_s is None:
            deadline_s = self.config.limits.message_deadline
        return LazySender(self.config, self.local_ae_title, peer, originator, deadline_s, self.encoder)

    @contextlib.contextmanager
    def _associated(
        self,
        peer: Peer,
        contexts: list[PresentationContext],
        deadline: Deadline,
        *,
        sink: Sink | None = None,
        roles: Iterable[SCP_SCU_RoleSelectionNegotiation] = (),
    ) -> Iterator[NodeAssociation]:
        """Associate, and release at the end; abort when anything is raised. Errors name the peer."""
        association: NodeAssociation | None = None
        try:
            association = associate(
                self.config, self.local_ae_title, peer, contexts, deadline, sink=sink, roles=roles
            )
            yield association
            release(association, deadline.left_s)
        except PeerFailed as error:
            raise PeerFailed(f"{peer.name or peer.ae_title}: {error}") from error
        finally:
            if association is not None:
                end(association)


class Answers(Iterator[Dataset]):
    """The answers of a query that agree with its identifier; *dropped* counts those that do not."""

    def __init__(self, answers: Generator[Dataset, None, None], identifier: Dataset) -> None:
        self.dropped = 0
        self._answers = answers
        self._identifier = identifier

    def __next__(self) -> Dataset:
        for answer in self._answers:
            if _agrees(answer, self._identifier):
                return answer
            self.dropped += 1
        raise StopIteration

    def close(self) -> None:
        """Cancel what is left of the query."""
        self._answers.close()


class _PickySink:
    """Takes only wanted instances, and answers each C-STORE sub-operation of a C-GET."""

    def __init__(self, sink: Sink, wanted: Collection[str] | None) -> None:
        self.stored: list[Stored] = []
        self.unasked: list[str] = []
        self._sink = sink
        self._wanted = wanted

    def begin(self, origin: Origin) -> Incoming:
        if self._wanted is not None and origin.sop_instance_uid not in self._wanted:
            self.unasked.append(origin.sop_instance_uid)
            raise StoreRefused("this instance was not asked for")
        return self._sink.begin(origin)

    def receive_until_done(self, association: NodeAssociation, deadline: Deadline) -> Any:
        """Take instances until the C-GET has its final response, and return that. Raises ``PeerFailed``."""
        while True:
            context_id, message = deadline.next_message(association)
            if isinstance(message, StoreRequest):
                association.respond_to_store(message, context_id, self._finish(message))
            elif not isinstance(message, C_GET) or message.Status is None:
                raise PeerFailed(f"C-GET was answered by a {type(message).__name__} message")
            elif message.Status not in STILL_PENDING:
                return message

    def _finish(self, message: StoreRequest) -> int:
        try:
            self.stored.append(message.reception.finish())
        except MprScpError:
            return OUT_OF_RESOURCES
        return SUCCESS


def _storage_scp(sop_class_uid: str) -> SCP_SCU_RoleSelectionNegotiation:
    item = SCP_SCU_RoleSelectionNegotiation()
    item.sop_class_uid = UID(sop_class_uid)
    item.scu_role = False
    item.scp_role = True
    return item


def _agrees(answer: Dataset, identifier: Dataset) -> bool:
    """Tell whether the UIDs that *answer* has are among those that *identifier* asked for."""
    for element in identifier:
        if element.VR != "UI" or element.is_empty or element.tag not in answer:
            continue
        asked = {str(uid) for uid in (element.value if element.VM > 1 else [element.value])}
        if str(answer[element.tag].value) not in asked:
            return False
    return True
