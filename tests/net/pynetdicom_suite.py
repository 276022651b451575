"""A pytest plugin: pynetdicom's own tests, with this node's associations at the accepting end.

Run by ``scripts/pynetdicom-suite``. What pynetdicom's server makes for a connection is replaced by ours:
stream, upper layer, state machine's surroundings and message assembly (``scp.net``). Negotiation and service
classes stay pynetdicom's, since its tests configure those; a C-STORE, which never becomes a pynetdicom
message here, is made one. Tests that cannot apply are named, with the reason, in ``docs/pynetdicom.md``.
"""

import re
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt, transport
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext

from scp.config import Limits
from scp.model import Origin, Stored
from scp.net import fastpath
from scp.net.acse import Rejection
from scp.net.association import NodeAssociation
from scp.net.dialogue import Conduct, Dialogue
from scp.net.messages import StoreRequest, StoreResponse
from scp.net.stream import Stream
from scp.net.transport import NotifyingQueue

LISTED = Path(__file__).parents[2] / "docs" / "pynetdicom.md"
_ROW = re.compile(r"^\| `(?P<test>[^`]+)` \|")


class _Kept:
    """A sink that keeps one data set in memory."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.data = bytearray()

    def write(self, fragment: bytes | memoryview) -> None:
        self.data += fragment

    def commit(self) -> Stored:
        return Stored(self.origin.sop_instance_uid, Path(), "stored")

    def abandon(self) -> None:
        pass


class _Sink:
    def begin(self, origin: Origin) -> _Kept:
        return _Kept(origin)


class _Messages(NotifyingQueue):
    """Gives C-STORE messages the form in which pynetdicom's services know them."""

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        context_id, message = item
        if isinstance(message, StoreRequest):
            message = _request(message)
        elif isinstance(message, StoreResponse):
            message = _response(message)
        super().put((context_id, message), block, timeout)


def _request(message: StoreRequest) -> C_STORE:
    primitive = C_STORE()
    primitive.MessageID = message.message_id
    primitive.AffectedSOPClassUID = message.sop_class_uid
    primitive.AffectedSOPInstanceUID = message.sop_instance_uid
    primitive.Priority = 0
    incoming = message.reception._incoming
    primitive.DataSet = BytesIO(bytes(incoming.data) if incoming else b"")  # type: ignore[attr-defined]
    return primitive


def _response(message: StoreResponse) -> C_STORE:
    primitive = C_STORE()
    primitive.MessageIDBeingRespondedTo = message.message_id
    primitive.Status = message.status
    if message.error_comment:
        primitive.ErrorComment = message.error_comment
    return primitive


class SuiteAssociation(NodeAssociation):
    """This node's association, serving by pynetdicom's service classes."""

    def __init__(self, ae: Any, connection: Any) -> None:
        conduct = Conduct(Limits(), _Sink(), lambda *_: None, lambda *_: Rejection(1, 1, 1, ""))
        super().__init__(ae, MODE_ACCEPTOR, conduct, Stream(connection))
        self.acse = ACSE(self)
        self.dimse.msg_queue = _Messages(self._news.set)

    _serve_request = Association._serve_request

    def take_store(self, request: StoreRequest, context_id: int) -> None:
        """Queue it: it is pynetdicom's service class that serves it, in pynetdicom's thread."""
        self.dimse.msg_queue.put((context_id, request))


def _create_association(self: transport.RequestHandler) -> SuiteAssociation:
    """Do what pynetdicom's ``RequestHandler`` does, with our association."""
    made = SuiteAssociation(self.ae, self.request)
    made._server = self.server
    made.name = "AcceptorThread of the suite"  # by its name pynetdicom finds it again
    made.acceptor.maximum_length = self.ae.maximum_pdu_size
    made.acceptor.ae_title = self.server.ae_title
    made.acceptor.address_info = self.local
    made.acceptor.implementation_class_uid = self.ae.implementation_class_uid
    made.acceptor.implementation_version_name = self.ae.implementation_version_name
    made.acceptor.supported_contexts = deepcopy(self.server.contexts)
    made.requestor.address_info = self.remote
    for event, handlers in self.server._handlers.items():
        if not handlers:
            continue
        for handler in [handlers] if isinstance(event, evt.InterventionEvent) else handlers:
            made.bind(event, handler[0], handler[1])
    return made


def pytest_configure() -> None:
    transport.RequestHandler._create_association = _create_association
    fastpath._refusal = _refuses_nothing


def _refuses_nothing(_association: Dialogue, _sop_class_uid: str, _context: PresentationContext) -> None:
    """Who may do what is not pynetdicom's to know."""


def not_applicable() -> set[str]:
    """Return the tests that the list names: ``test_file.py::TestClass::test_name``, or a whole class."""
    rows = map(_ROW.match, LISTED.read_text(encoding="utf-8").splitlines())
    return {row["test"] for row in rows if row}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    listed = not_applicable()
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        name = item.nodeid.rpartition("/")[2]
        parents = {name, name.split("[")[0], name.rpartition("::")[0]}
        (left_out if parents & listed else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
