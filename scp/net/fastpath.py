"""P-DATA-TF, straight from the stream to whom it concerns.

As pynetdicom comes, every PDU is decoded into objects, collected, copied and queued through three threads.
Here fragments of a C-STORE data set go from the read buffer into the sink, P-DATA goes out in the thread that
has it, a whole C-STORE is served by the thread that read it, and other messages are queued. Everything but
P-DATA stays pynetdicom's. Seams: ``DULServiceProvider._read_pdu_data`` (P-DATA while established only, and
as many PDUs as come) and ``send_pdu`` (P-DATA only); the events ``EVT_PDU_RECV`` and ``EVT_DATA_RECV`` do not
fire for P-DATA.

What a peer may hold is bounded here: the length of a PDU by what was announced to it, a command set by
64 KiB, an identifier by ``limits.maximum_identifier``, an instance by ``limits.maximum_instance``, and the
messages it may send without waiting for answers. Sources: PS3.8 9.3.5 and Annex E, PS3.7 6.3.1.
"""

import logging
import struct
from typing import Any

from pynetdicom.pdu_primitives import A_ABORT, A_P_ABORT, P_DATA
from pynetdicom.presentation import PresentationContext

from scp.errors import Code, MprScpError, Refused, SOPClassNotSupported
from scp.model import Origin
from scp.net import command
from scp.net.dialogue import Dialogue
from scp.net.framing import IS_COMMAND, IS_LAST, P_DATA_TF, PDU_AND_PDV_HEADER
from scp.net.messages import StoreRequest, StoreResponse
from scp.net.negotiation import STORE_RIGHTS, is_storage
from scp.net.reception import Reception
from scp.net.stream import Stream
from scp.net.transport import WakingDUL

LOGGER = logging.getLogger(__name__)

ESTABLISHED = "Sta6"
MAXIMUM_OTHER_PDU = 128 << 10
MAXIMUM_COMMAND_SET = 64 << 10
MAXIMUM_QUEUED_MESSAGES = 64

_PDU_HEADER = struct.Struct(">BxL")
_PDV_HEADER = struct.Struct(">LBB")


class InvalidPDU(ValueError):
    """The peer broke the protocol; the association is aborted (PS3.8 Evt19)."""


class FastDUL(WakingDUL):
    """The upper layer with P-DATA taken out of the state machine's hands."""

    def __init__(self, association: Dialogue, news: Any) -> None:
        super().__init__(association, news)
        self._messages = Assembly(association)

    @property
    def receiving(self) -> bool:
        """Tell whether a message is under way."""
        return self._messages.under_way

    def send_pdu(self, primitive: Any) -> None:
        """Send P-DATA now, in this thread; leave the rest to the state machine.

        An abort does not wait for the rest of a PDU that is being read.
        """
        if not isinstance(primitive, P_DATA):
            super().send_pdu(primitive)
            if isinstance(primitive, A_ABORT | A_P_ABORT):
                self.interrupt()
            return
        for context_id, value in primitive.presentation_data_value_list:
            head = PDU_AND_PDV_HEADER.pack(P_DATA_TF, len(value) + 5, len(value) + 1, context_id, value[0])
            self.send_pdus(head, memoryview(value)[1:])

    def send_pdus(self, *parts: bytes | memoryview) -> bool:
        """Send whole P-DATA-TF PDUs, as one unit; tell whether they went out."""
        if self.socket is None or self.state_machine.current_state not in (ESTABLISHED, "Sta8"):
            return False
        return self.socket.write(*parts)

    def ended(self) -> None:
        self._messages.abandon()
        super().ended()

    def _read_pdu_data(self) -> None:
        """Read PDUs until there is something else to do.

        Between two PDUs the loop that calls this sleeps, which takes 60 us however short it is to be.
        """
        assert self.socket is not None
        self._read_pdu(self.socket.stream)
        while self.state_machine.current_state == ESTABLISHED and self.socket.ready:
            self._read_pdu(self.socket.stream)

    def _read_pdu(self, stream: Stream) -> None:
        try:
            if not self._messages.under_way:
                stream.begin_message(self.assoc.conduct.limits.message_deadline)
            kind, length = _PDU_HEADER.unpack(stream.peek(_PDU_HEADER.size))
            if kind == P_DATA_TF and self.state_machine.current_state == ESTABLISHED:
                self._read_p_data(stream, length)
            elif length > MAXIMUM_OTHER_PDU:
                raise InvalidPDU(f"a PDU of type {kind} and {length} bytes, more than {MAXIMUM_OTHER_PDU}")
            else:
                super()._read_pdu_data()
            if not self._messages.under_way:
                stream.end_message()
        except (InvalidPDU, TimeoutError) as error:
            LOGGER.warning("%s: %s", self.assoc.name, error)
            stream.end_message()
            self.event_queue.put("Evt19")
        except OSError:
            stream.end_message()
            if not self.has_work:
                self.event_queue.put("Evt17")
        self._idle_timer.restart()

    def _read_p_data(self, stream: Stream, length: int) -> None:
        announced = self.assoc.conduct.limits.maximum_pdu
        if length > announced:
            raise InvalidPDU(f"a P-DATA-TF of {length} bytes, {announced} were announced")
        stream.read(_PDU_HEADER.size)
        while length:
            if length < _PDV_HEADER.size:
                raise InvalidPDU("a P-DATA-TF ends inside a fragment's header")
            size, context_id, control = _PDV_HEADER.unpack(stream.read(_PDV_HEADER.size))
            if not 2 <= size <= length - 4:
                raise InvalidPDU(f"a fragment of {size} bytes in what is left of the P-DATA-TF, {length}")
            length -= size + 4
            self._messages.take(stream, context_id, control, size - 2)


class Assembly:
    """Puts fragments together to messages; at most one is under way (PS3.8 Annex E.1)."""

    def __init__(self, association: Dialogue) -> None:
        self._association = association
        self._limits = association.conduct.limits
        self._context_id: int
        self._forget()

    @property
    def under_way(self) -> bool:
        return bool(self._context_id)

    def take(self, stream: Stream, context_id: int, control: int, size: int) -> None:
        """Take one fragment of *size* bytes from *stream*. Raises ``InvalidPDU``."""
        if self._context_id and context_id != self._context_id:
            raise InvalidPDU(f"a fragment for context {context_id} inside a message for {self._context_id}")
        if context_id not in self._association._accepted_cx:
            raise InvalidPDU(f"a fragment for the context {context_id}, which was not accepted")
        self._context_id = context_id
        if control & IS_COMMAND:
            self._take_command(stream, size)
            if control & IS_LAST:
                self._begin_data_set()
        else:
            self._take_data(stream, size)
            if control & IS_LAST:
                self._complete()

    def abandon(self) -> None:
        """Leave no trace of what is under way."""
        if self._reception is not None:
            self._reception.abandon()
        self._forget()

    def _forget(self) -> None:
        self._context_id = 0
        self._command = bytearray()
        self._values: dict[int, bytes] = {}
        self._reception: Reception | None = None
        self._identifier = bytearray()
        self._received_bytes = 0

    def _take_command(self, stream: Stream, size: int) -> None:
        if self._values or len(self._command) + size > MAXIMUM_COMMAND_SET:
            raise InvalidPDU(f"a second command set, or one of more than {MAXIMUM_COMMAND_SET} bytes")
        self._command += stream.read(size)

    def _begin_data_set(self) -> None:
        try:
            self._values = command.decode(self._command)
        except command.MalformedCommand as error:
            raise InvalidPDU(str(error)) from error
        if command.number(self._values, command.COMMAND_DATA_SET_TYPE) in (command.NO_DATA_SET, None):
            self._complete()
        elif command.number(self._values, command.COMMAND_FIELD) == command.C_STORE_RQ:
            self._reception = _reception_of(
                self._association,
                command.text(self._values, command.AFFECTED_SOP_CLASS_UID),
                command.text(self._values, command.AFFECTED_SOP_INSTANCE_UID),
                self._context_id,
            )

    def _take_data(self, stream: Stream, size: int) -> None:
        if not self._values:
            raise InvalidPDU("a data set without a command set")
        self._received_bytes += size
        if self._received_bytes > self._limits.maximum_instance:
            raise InvalidPDU(f"a data set of more than {self._limits.maximum_instance} bytes")
        for fragment in stream.fragments(size):
            if self._reception is not None:
                self._reception.write(fragment)
            else:  # beyond the limit it is read and dropped: what is that long ends in Pixel Data
                room = self._limits.maximum_identifier - len(self._identifier)
                self._identifier += fragment[: max(0, room)]

    def _complete(self) -> None:
        values, context_id = self._values, self._context_id
        encoded, identifier, reception = self._command, self._identifier, self._reception
        self._forget()
        field = command.number(values, command.COMMAND_FIELD)
        dimse = self._association.dimse
        if dimse.msg_queue.qsize() >= MAXIMUM_QUEUED_MESSAGES:
            if reception is not None:
                reception.abandon()
            raise InvalidPDU(f"more than {MAXIMUM_QUEUED_MESSAGES} messages that wait for an answer")
        if reception is not None:
            self._association.take_store(StoreRequest.of(values, reception), context_id)
        elif field == command.C_STORE_RSP:
            dimse.msg_queue.put((context_id, StoreResponse.of(values)))
        else:
            self._give_to_dimse(_whole_message(context_id, values, encoded, identifier))

    def _give_to_dimse(self, message: P_DATA) -> None:
        try:
            self._association.dimse.receive_primitive(message)
        except Exception as error:  # what it says is left out: it may quote what the peer sent
            raise InvalidPDU(f"a DIMSE message that is not valid: {type(error).__name__}") from error


def _whole_message(
    context_id: int, values: dict[int, bytes], encoded: bytearray, data_set: bytearray
) -> P_DATA:
    """Return a message as the one P-DATA that pynetdicom's DIMSE takes apart."""
    primitive = P_DATA()
    fragments = [[context_id, bytes([IS_COMMAND | IS_LAST]) + encoded]]
    if command.number(values, command.COMMAND_DATA_SET_TYPE) not in (command.NO_DATA_SET, None):
        fragments.append([context_id, bytes([IS_LAST]) + data_set])
    primitive.presentation_data_value_list = fragments
    return primitive


def _reception_of(
    association: Dialogue, sop_class_uid: str, sop_instance_uid: str, context_id: int
) -> Reception:
    """Begin to receive the data set of a C-STORE request; of one that may not be, nothing is kept."""
    context = association._accepted_cx[context_id]
    refused = _refusal(association, sop_class_uid, context) if association.is_acceptor else None
    origin = Origin(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=str(context.transfer_syntax[0]),
        calling_ae_title=association.calling_ae_title
        if association.is_acceptor
        else str(association.acceptor.ae_title),
        address=association.remote_address,
    )
    return Reception(association.conduct.sink, origin, refused)


def _refusal(association: Dialogue, sop_class_uid: str, context: PresentationContext) -> MprScpError | None:
    """Return why *context* takes no instance of this class from the requestor (PS3.7 9.1.1.1.9).

    A sender that files one storage class under the context of another is taken at its data set's word.
    """
    if not association.may(*STORE_RIGHTS):
        return Refused(Code.NOT_AUTHORIZED, f"{association.calling_ae_title} lacks store", "it needs store")
    if context.as_scp and is_storage(context.abstract_syntax) and is_storage(sop_class_uid):
        return None
    return SOPClassNotSupported(f"the context for {context.abstract_syntax} takes nothing of this class")
