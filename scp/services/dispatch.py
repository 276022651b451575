"""Which service answers which DIMSE request: the one entry that associations call."""

from collections.abc import Callable, Mapping

from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE

from scp.net.association import NodeAssociation, Request
from scp.net.fastpath import StoreRequest
from scp.services import echo, find, retrieve, store
from scp.services.context import ServiceContext

Service = Callable[[ServiceContext, NodeAssociation, Request], None]

SERVICES: Mapping[type, Service] = {
    C_ECHO: echo.serve,
    StoreRequest: store.serve,
    C_FIND: find.serve,
    C_MOVE: retrieve.serve_move,
    C_GET: retrieve.serve_get,
}


def serve(context: ServiceContext, association: NodeAssociation, request: Request) -> None:
    """Answer one request; a message that no service knows ends the association."""
    service = SERVICES.get(type(request.message))
    if service is None:
        association.abort()
    else:
        service(context, association, request)
