"""C-STORE requests from files, as the bytes that lie there.

Used by C-MOVE, C-GET and ``Requestor.store``: the data set of a ``FileRef`` goes from the file into P-DATA
fragments; no decoding. Only where the other end does not take the transfer syntax that it is stored in, a
``Encoder`` makes another of it (``net.encoders``).
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import BinaryIO

from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext

from scp.errors import Cancelled, PeerFailed
from scp.model import FileRef, IsCancelled
from scp.net import command, framing
from scp.net.deadlines import Deadline
from scp.net.dialogue import Dialogue
from scp.net.encoders import Encoder
from scp.net.framing import PIECE_BYTES
from scp.net.messages import StoreRequest, StoreResponse
from scp.net.statuses import PROCESSING_FAILURE, SOP_CLASS_NOT_SUPPORTED, STORE_WARNINGS, SUCCESS


@dataclass(frozen=True, slots=True)
class Kind:
    """What a presentation context is proposed for."""

    sop_class_uid: str
    transfer_syntax_uid: str

    @classmethod
    def of(cls, ref: FileRef) -> "Kind":
        return cls(ref.sop_class_uid, ref.transfer_syntax_uid)


@dataclass(frozen=True, slots=True)
class Sent:
    """What is said of one instance: Status and Error Comment of its C-STORE-RSP."""

    ref: FileRef
    status: int
    error_comment: str = ""

    @property
    def taken(self) -> bool:
        """Tell whether the other end has it, be it with a warning."""
        return self.status == SUCCESS or self.status in STORE_WARNINGS


@dataclass(frozen=True, slots=True)
class Originator:
    """Move Originator Application Entity Title (0000,1030) and Message ID (0000,1031)."""

    ae_title: str
    message_id: int


def contexts_for(
    kinds: Iterable[Kind], most: int, encoder: Encoder
) -> tuple[list[Kind], list[PresentationContext]]:
    """Return the first of *kinds* that fit into *most* contexts, and the contexts to propose.

    Each stored transfer syntax has a context of its own: what is accepted says what may go as it is.
    """
    pairs: dict[tuple[str, str], None] = {}
    fitting: dict[Kind, None] = {}
    for kind in kinds:
        syntaxes = (kind.transfer_syntax_uid, *encoder.targets(kind.transfer_syntax_uid))
        needed = dict.fromkeys((kind.sop_class_uid, str(syntax)) for syntax in syntaxes)
        if len(pairs | needed) <= most:
            pairs |= needed
            fitting[kind] = None
    return list(fitting), [build_context(sop_class, syntax) for sop_class, syntax in pairs]


class StoreUser:
    """The SCU of C-STORE over one association (PS3.4 Annex B).

    While an instance is answered the next is read, where ``expect`` said which that is. *deadline_s* bounds
    the wait for each response.
    """

    def __init__(
        self,
        association: Dialogue,
        deadline_s: float,
        encoder: Encoder,
        cancelled: IsCancelled,
        originator: Originator | None = None,
    ) -> None:
        self._association = association
        self._deadline_s = deadline_s
        self._encoder = encoder
        self._cancelled = cancelled
        self._originator = originator
        self._message_id = 0
        self._room = memoryview(bytearray(PIECE_BYTES))
        self._contexts: dict[Kind, PresentationContext | None] = {}
        self._after: dict[FileRef, FileRef] = {}
        self._ahead: _Message | None = None

    def expect(self, refs: Iterable[FileRef]) -> None:
        """Say what will be sent, in this order."""
        self._after |= dict(pairwise(refs))

    def send(self, ref: FileRef) -> Sent:
        """Send one instance and return what is said of it.

        Without a context for it, or when the file is not whole or cannot be read, that is our word (0x0122,
        0x0110).
        Raises ``PeerFailed`` when the association is lost, ``Cancelled`` while it is converted or its
        response awaited.
        """
        if ref.truncated:  # the receiver would abort, and get nothing of what comes behind it
            return Sent(ref, PROCESSING_FAILURE, "truncated: the stored file ends within its data set")
        context = self._context_for(ref)
        if context is None:
            syntax = UID(ref.transfer_syntax_uid).name
            return Sent(ref, SOP_CLASS_NOT_SUPPORTED, f"no context for {syntax}"[:64])
        message, self._ahead = self._ahead, None
        try:
            if message is None or message.ref != ref:
                message = self._begun(ref, context)
        except Cancelled:
            raise
        except Exception as error:
            return Sent(ref, PROCESSING_FAILURE, f"not readable: {type(error).__name__}")
        self._write(message)
        self._read_ahead(self._after.get(ref))
        response = _response(self._association, message.message_id, self._deadline_s, self._cancelled)
        sent = Sent(ref, response.status or SUCCESS, response.error_comment)
        self._association.journal.tally["sent" if sent.taken else "not_taken"] += 1
        return sent

    def _context_for(self, ref: FileRef) -> PresentationContext | None:
        kind = Kind.of(ref)
        if kind not in self._contexts:
            self._contexts[kind] = best_context(self._association, kind, self._encoder)
        return self._contexts[kind]

    def _begun(self, ref: FileRef, context: PresentationContext) -> "_Message":
        """Return the request, read until the first piece of it is full."""
        self._message_id = self._message_id % 0xFFFF + 1
        pieces = self._pieces(ref, context)
        return _Message(ref, self._message_id, next(pieces), pieces)

    def _pieces(self, ref: FileRef, context: PresentationContext) -> Iterator[memoryview]:
        originator = self._originator
        command_set = command.store_request(
            ref.sop_class_uid,
            ref.sop_instance_uid,
            self._message_id,
            originator_ae_title=originator.ae_title if originator else "",
            originator_message_id=originator.message_id if originator else 0,
        )
        data_set, length = _opened(ref, context.transfer_syntax[0], self._encoder, self._cancelled)
        most = self._association.most_fragment_bytes
        with data_set:
            yield from framing.pieces(context.context_id, command_set, data_set, length, most, self._room)

    def _write(self, message: "_Message") -> None:
        try:
            sent = self._association.send_pieces(chain((message.first,), message.rest))
        except OSError as error:
            self._association.abort()  # half a message cannot be taken back
            uid = message.ref.sop_instance_uid
            raise PeerFailed(f"{uid} could not be read while it was sent: {error}") from error
        if not sent:
            raise PeerFailed("the connection was lost while sending")

    def _read_ahead(self, ref: FileRef | None) -> None:
        """Begin the next request, if that is mere reading; what is wrong with it shows when it is due."""
        context = self._context_for(ref) if ref is not None else None
        if ref is not None and context is not None and context.transfer_syntax[0] == ref.transfer_syntax_uid:
            with suppress(OSError):
                self._ahead = self._begun(ref, context)


@dataclass(frozen=True, slots=True)
class _Message:
    """A C-STORE-RQ on its way: its first piece, and the others, which take its place."""

    ref: FileRef
    message_id: int
    first: memoryview
    rest: Iterator[memoryview]


def best_context(association: Dialogue, kind: Kind, encoder: Encoder) -> PresentationContext | None:
    """Return the accepted context that takes *kind*, best as it is stored; ``None`` where none does."""
    accepted = association.sending_contexts.get(kind.sop_class_uid, {})
    syntaxes = (kind.transfer_syntax_uid, *encoder.targets(kind.transfer_syntax_uid))
    return next((accepted[syntax] for syntax in map(str, syntaxes) if syntax in accepted), None)


def takes(
    association: Dialogue,
    sop_class_uids: Collection[str],
    transfer_syntax_uid: str,
    encoder: Encoder,
) -> dict[str, str]:
    """Return which of the SOP classes, stored in this transfer syntax, the other end takes, and in which."""
    contexts = {
        uid: best_context(association, Kind(uid, transfer_syntax_uid), encoder) for uid in sop_class_uids
    }
    return {uid: str(context.transfer_syntax[0]) for uid, context in contexts.items() if context is not None}


def _response(
    association: Dialogue, message_id: int, deadline_s: float, cancelled: IsCancelled
) -> StoreResponse:
    deadline = Deadline(deadline_s, cancelled)
    try:
        _, response = deadline.next_message(association)
    except PeerFailed as error:
        if deadline.is_over:
            raise PeerFailed(f"did not answer a C-STORE within {deadline_s:g} s") from error
        raise
    if isinstance(response, StoreRequest):  # it was queued behind the service that sends
        response.reception.abandon()
    if not isinstance(response, StoreResponse) or response.status is None:
        raise PeerFailed(f"C-STORE was answered by a {type(response).__name__} message")
    if response.message_id != message_id:
        raise PeerFailed(f"message {message_id} was answered by a response to {response.message_id}")
    return response


def _opened(ref: FileRef, wanted: UID, encoder: Encoder, cancelled: IsCancelled) -> tuple[BinaryIO, int]:
    """Return a stream that begins with the data set, encoded as *wanted*, and its length in bytes."""
    if wanted == ref.transfer_syntax_uid:
        stored = ref.path.open("rb", buffering=0)
        stored.seek(ref.offset)
        return stored, ref.length
    return encoder.data_set(ref, wanted, cancelled)
