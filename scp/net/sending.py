"""C-STORE requests from files, as the bytes that lie there.

Used by C-MOVE, C-GET and ``Requestor.store``: the data set of a ``FileRef`` goes from the file into P-DATA
fragments; no decoding. Only where the other end does not take the transfer syntax that it is stored in, a
``Conversion`` makes another of it (PS3.5 Annex A). ``Reencoding`` does that for what is encoded anew without
touching pixels; whoever can isolate a decoder hands in a conversion that knows more.
"""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Protocol

from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import build_context
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext

from scp.errors import Cancelled, PeerFailed
from scp.model import FileRef, IsCancelled
from scp.net import command
from scp.net.association import NodeAssociation
from scp.net.fastpath import StoreResponse

LOOK_EVERY_S = 0.1
"""How soon it is seen that nobody waits for a response any more."""

SUCCESS = 0x0000
SOP_CLASS_NOT_SUPPORTED = 0x0122
PROCESSING_FAILURE = 0x0110

CONVERTIBLE = {
    ExplicitVRLittleEndian: (ImplicitVRLittleEndian,),
    ImplicitVRLittleEndian: (ExplicitVRLittleEndian,),
    DeflatedExplicitVRLittleEndian: (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
}
"""Into what a stored transfer syntax can be encoded anew without touching pixels."""


class Conversion(Protocol):
    """Encodes stored instances in another transfer syntax."""

    def targets(self, transfer_syntax_uid: str) -> tuple[UID, ...]:
        """Return into what this syntax can be encoded, best first; nothing where it cannot."""

    def data_set(self, ref: FileRef, target: UID, cancelled: IsCancelled) -> tuple[BinaryIO, int]:
        """Return a stream of the data set encoded as *target*, and its length in bytes.

        Raises any error of ``scp.errors`` and what pydicom raises for broken content.
        """


class Reencoding:
    """Encodes uncompressed little endian anew, in this process."""

    def targets(self, transfer_syntax_uid: str) -> tuple[UID, ...]:
        return CONVERTIBLE.get(UID(transfer_syntax_uid), ())

    def data_set(
        self,
        ref: FileRef,
        target: UID,
        cancelled: IsCancelled,  # noqa: ARG002 it takes no time
    ) -> tuple[BinaryIO, int]:
        encoded = encode(dcmread(ref.path), target.is_implicit_VR, target.is_little_endian)
        if encoded is None:
            raise ValueError("the data set cannot be encoded")
        return BytesIO(encoded), len(encoded)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a presentation context is proposed for."""

    sop_class_uid: str
    transfer_syntax_uid: str

    @classmethod
    def of(cls, ref: FileRef) -> "Kind":
        return cls(ref.sop_class_uid, ref.transfer_syntax_uid)


@dataclass(frozen=True, slots=True)
class Originator:
    """Move Originator Application Entity Title (0000,1030) and Message ID (0000,1031)."""

    ae_title: str
    message_id: int


def contexts_for(
    kinds: Iterable[Kind], most: int, conversion: Conversion
) -> tuple[list[Kind], list[PresentationContext]]:
    """Return the first of *kinds* that fit into *most* contexts, and the contexts to propose.

    Each stored transfer syntax has a context of its own: what is accepted says what may go as it is.
    """
    pairs: dict[tuple[str, str], None] = {}
    fitting: dict[Kind, None] = {}
    for kind in kinds:
        syntaxes = (kind.transfer_syntax_uid, *conversion.targets(kind.transfer_syntax_uid))
        needed = dict.fromkeys((kind.sop_class_uid, str(syntax)) for syntax in syntaxes)
        if len(pairs | needed) <= most:
            pairs |= needed
            fitting[kind] = None
    return list(fitting), [build_context(sop_class, syntax) for sop_class, syntax in pairs]


def send_file(
    association: NodeAssociation,
    ref: FileRef,
    message_id: int,
    deadline_s: float,
    originator: Originator | None = None,
    *,
    conversion: Conversion,
    cancelled: IsCancelled,
) -> StoreResponse:
    """Send one instance and return the response to it.

    Without a context for it, or when the file cannot be read, the response is ours (0x0122, 0x0110).
    *deadline_s* bounds the wait for the response. Raises ``PeerFailed`` when the association is lost,
    ``Cancelled`` while it is converted or its response awaited.
    """
    context = best_context(association, Kind.of(ref), conversion)
    if context is None:
        syntax = UID(ref.transfer_syntax_uid).name
        return StoreResponse(message_id, SOP_CLASS_NOT_SUPPORTED, f"no context for {syntax}"[:64])
    try:
        data_set, length = _opened(ref, context.transfer_syntax[0], conversion, cancelled)
    except Cancelled:
        raise
    except Exception as error:
        return StoreResponse(message_id, PROCESSING_FAILURE, f"not readable: {type(error).__name__}")
    with data_set:
        _send(association, context.context_id, ref, message_id, data_set, length, originator)
    response = _response(association, message_id, deadline_s, cancelled)
    association.journal.tally["sent" if response.status == SUCCESS else "not_taken"] += 1
    return response


def best_context(
    association: NodeAssociation, kind: Kind, conversion: Conversion
) -> PresentationContext | None:
    """Return the accepted context that takes *kind*, best as it is stored; ``None`` where none does."""
    accepted = association.sending_contexts.get(kind.sop_class_uid, {})
    syntaxes = (kind.transfer_syntax_uid, *conversion.targets(kind.transfer_syntax_uid))
    return next((accepted[syntax] for syntax in map(str, syntaxes) if syntax in accepted), None)


def takes(
    association: NodeAssociation,
    sop_class_uids: Collection[str],
    transfer_syntax_uid: str,
    conversion: Conversion,
) -> dict[str, str]:
    """Return which of the SOP classes, stored in this transfer syntax, the other end takes, and in which."""
    contexts = {
        uid: best_context(association, Kind(uid, transfer_syntax_uid), conversion) for uid in sop_class_uids
    }
    return {uid: str(context.transfer_syntax[0]) for uid, context in contexts.items() if context is not None}


def _send(
    association: NodeAssociation,
    context_id: int,
    ref: FileRef,
    message_id: int,
    data_set: BinaryIO,
    length: int,
    originator: Originator | None,
) -> None:
    encoded = command.store_request(
        ref.sop_class_uid,
        ref.sop_instance_uid,
        message_id,
        originator_ae_title=originator.ae_title if originator else "",
        originator_message_id=originator.message_id if originator else 0,
    )
    try:
        sent = association.stream_message(context_id, encoded, data_set, length)
    except OSError as error:
        association.abort()  # half a message cannot be taken back
        raise PeerFailed(f"{ref.sop_instance_uid} could not be read while it was sent: {error}") from error
    if not sent:
        raise PeerFailed("the connection was lost while sending")


def _response(
    association: NodeAssociation, message_id: int, deadline_s: float, cancelled: IsCancelled
) -> StoreResponse:
    ends = time.monotonic() + deadline_s
    while True:
        try:
            _, response = association.next_message(LOOK_EVERY_S)
            break
        except TimeoutError:
            if cancelled():
                raise Cancelled("nobody waits for the response any more") from None
            if time.monotonic() > ends:
                raise PeerFailed(f"did not answer a C-STORE within {deadline_s:g} s") from None
    if not isinstance(response, StoreResponse) or response.status is None:
        raise PeerFailed(f"C-STORE was answered by a {type(response).__name__} message")
    if response.message_id != message_id:
        raise PeerFailed(f"message {message_id} was answered by a response to {response.message_id}")
    return response


def _opened(
    ref: FileRef, wanted: UID, conversion: Conversion, cancelled: IsCancelled
) -> tuple[BinaryIO, int]:
    """Return a stream that begins with the data set, encoded as *wanted*, and its length in bytes."""
    if wanted == ref.transfer_syntax_uid:
        stored = ref.path.open("rb", buffering=0)
        stored.seek(ref.offset)
        return stored, ref.length
    return conversion.data_set(ref, wanted, cancelled)
