"""The SOP classes of query and retrieve: root of the information model and service (PS3.4 C.6).

The one table of them: which right opens each (``net.negotiation``), which is asked of a peer
(``net.queries``), and by which root a request looks things up (``services.requesting``).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pydicom.uid import UID
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)


class QueryClass(NamedTuple):
    """Root of the information model, and service: the name of the right to it, too."""

    root_model: str
    service: str


QUERY_CLASSES: Final[Mapping[UID, QueryClass]] = {
    PatientRootQueryRetrieveInformationModelFind: QueryClass("PATIENT", "find"),
    PatientRootQueryRetrieveInformationModelMove: QueryClass("PATIENT", "move"),
    PatientRootQueryRetrieveInformationModelGet: QueryClass("PATIENT", "get"),
    StudyRootQueryRetrieveInformationModelFind: QueryClass("STUDY", "find"),
    StudyRootQueryRetrieveInformationModelMove: QueryClass("STUDY", "move"),
    StudyRootQueryRetrieveInformationModelGet: QueryClass("STUDY", "get"),
}

_UID_OF: Final = {kind: uid for uid, kind in QUERY_CLASSES.items()}


def query_class(root_model: str, service: str) -> UID:
    """Return the SOP class of *service* (``find``, ``move``, ``get``) by a root, ``PATIENT`` or ``STUDY``."""
    return _UID_OF[QueryClass(root_model, service)]
