"""Who asks: what an association and a request say of the requestor, in the services' terms."""

from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
)

from scp.config import Peer
from scp.net.association import NodeAssociation, Request
from scp.net.negotiation import is_storage
from scp.services.context import Requesting

PATIENT_ROOT = frozenset(
    {
        PatientRootQueryRetrieveInformationModelFind,
        PatientRootQueryRetrieveInformationModelMove,
        PatientRootQueryRetrieveInformationModelGet,
    }
)


def requesting_of(
    association: NodeAssociation,
    request: Request,
    destination: Peer | None = None,
) -> Requesting:
    """Return who asks, by which information model, and whom the results go to."""
    taken = {
        str(context.abstract_syntax)
        for context in association.accepted_contexts
        if context.as_scu and is_storage(context.abstract_syntax)
    }
    return Requesting(
        calling_ae_title=association.calling_ae_title,
        called_ae_title=association.called_ae_title,
        peer=association.admitted.peer if association.admitted else None,
        may_mpr=association.may("mpr"),
        root_model="PATIENT" if request.abstract_syntax in PATIENT_ROOT else "STUDY",
        destination=destination,
        sop_classes=frozenset(taken),
    )
