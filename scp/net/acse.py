"""Association negotiation by admission and rights (PS3.8 7.1.1, PS3.7 D.3.3).

Seams: ``ACSE._negotiate_as_acceptor`` asks who calls and what it may instead of a list of contexts; and
``utils.set_uid``, by which every item of a PDU checks its UIDs, remembers what it found. The primitives and
the state machine stay pynetdicom's.
"""

import functools

from pydicom.uid import UID
from pynetdicom import evt, pdu_items, pdu_primitives, presentation
from pynetdicom.acse import ACSE
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.utils import set_uid

from scp.net.admission import Admitted, Rejection
from scp.net.dialogue import Dialogue
from scp.net.negotiation import Answer, Result, Role, answer, lacking

APPLICATION_CONTEXT_UID = "1.2.840.10008.3.1.1.1"

MAXIMUM_UID_LENGTH = 64

_found_before = functools.lru_cache(maxsize=4096)(set_uid)


def remembering_set_uid(value: str | bytes | None, name: str, *how: bool, **options: bool) -> UID | None:
    """Return what ``set_uid`` makes of *value*; the checks are half of what a C-GET's 120 contexts cost.

    What is longer than a UID may be is not kept: it comes from peers. Raises ``ValueError``, ``TypeError``.
    """
    short = value is None or len(value) <= MAXIMUM_UID_LENGTH
    found: UID | None = (_found_before if short else set_uid)(value, name, *how, **options)
    return found


for _module in (pdu_items, pdu_primitives, presentation):
    _module.set_uid = remembering_set_uid


class NodeACSE(ACSE):  # type: ignore[misc]
    """Negotiates by admission and rights (PS3.8 7.1.1, PS3.7 D.3.3)."""

    def _negotiate_as_acceptor(self) -> None:
        association: Dialogue = self.assoc
        request: A_ASSOCIATE = self.requestor.primitive
        if not isinstance(request, A_ASSOCIATE):  # what came is no request, or the peer is gone
            association.kill()
            return
        self.requestor.ae_title = request.calling_ae_title
        verdict = self._admission(association, request)
        if isinstance(verdict, Rejection):
            association.journal.reason = verdict.reason
            self.send_reject(verdict.result, verdict.source, verdict.diagnostic)
            evt.trigger(association, evt.EVT_REJECTED, {})
            association.kill()
            return
        association.admitted = verdict
        self._accept(association, request, verdict)

    def _admission(self, association: Dialogue, request: A_ASSOCIATE) -> Admitted | Rejection:
        if request.application_context_name != APPLICATION_CONTEXT_UID:
            return Rejection(
                1, 1, 2, f"the application context {request.application_context_name} is not DICOM"
            )
        return association.conduct.admit(association, request)

    def _accept(self, association: Dialogue, request: A_ASSOCIATE, admitted: Admitted) -> None:
        roles = {
            uid: Role(bool(item.scu_role), bool(item.scp_role))
            for uid, item in self.requestor.role_selection.items()
        }
        answers = [
            answer(
                proposed.context_id,
                proposed.abstract_syntax,
                proposed.transfer_syntax,
                roles.get(proposed.abstract_syntax),
                admitted.may,
            )
            for proposed in request.presentation_context_definition_list
        ]
        if rights := lacking(answers):
            association.journal.reason = f"lacks the right {rights}"
        contexts = [_context(one) for one in answers]
        association._accepted_cx = {c.context_id: c for c in contexts if c.result == Result.ACCEPTANCE}
        association._rejected_cx = [c for c in contexts if c.result != Result.ACCEPTANCE]
        for item in _role_items(answers, roles):
            self.acceptor.add_negotiation_item(item)
        self.send_accept()
        evt.trigger(association, evt.EVT_ACCEPTED, {})
        association.is_established = True
        evt.trigger(association, evt.EVT_ESTABLISHED, {})


def _context(answered: Answer) -> PresentationContext:
    context = PresentationContext()
    context.context_id = answered.context_id
    context.abstract_syntax = answered.abstract_syntax
    context.transfer_syntax = [answered.transfer_syntax]
    context.result = int(answered.result)
    context._as_scp = answered.role.scu
    context._as_scu = answered.role.scp
    return context


def _role_items(answers: list[Answer], proposed: dict[UID, Role]) -> list[SCP_SCU_RoleSelectionNegotiation]:
    """Return one role item for each class that was proposed with roles and accepted (PS3.7 D.3.3.4)."""
    items = {}
    for one in answers:
        if one.result is Result.ACCEPTANCE and one.abstract_syntax in proposed:
            item = SCP_SCU_RoleSelectionNegotiation()
            item.sop_class_uid = one.abstract_syntax
            item.scu_role = one.role.scu
            item.scp_role = one.role.scp
            items[one.abstract_syntax] = item
    return list(items.values())
