"""Calling others: a deadline or a silence ends it, a cancel at once, and nothing is left open."""

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as StudyRootMove

from scp.config import Config, Peer
from scp.errors import Cancelled, PeerFailed
from scp.net import outgoing
from scp.net.deadlines import Deadline, Patience
from scp.net.requestor import Requestor
from tests.completion.scripted import black_hole
from tests.net.archive_twin import ArchiveTwin
from tests.net.nodes import read_pdu, wait_until
from tests.net.test_requestor import KEYS, Script, requestor, script
from tests.net.test_tls import Authority, ours

__all__ = ["ours", "requestor", "script"]  # fixtures

pytestmark = pytest.mark.wire

WITHIN_A_SECOND = 1.0


class CancelledSoon:
    """Tells that nobody waits from the moment on that ``reached`` is set."""

    def __init__(self) -> None:
        self.reached = threading.Event()

    def __call__(self) -> bool:
        return self.reached.is_set()


@pytest.fixture
def silent(script: Callable[..., Script]) -> Callable[[CancelledSoon], Peer]:
    """Return a function that makes a peer which reads the request and says nothing."""

    def make(cancelled: CancelledSoon) -> Peer:
        def read_and_wait(connection: socket.socket) -> None:
            read_pdu(connection)
            cancelled.reached.set()
            hole.done.wait(10)

        hole = script(read_and_wait)
        return hole.peer

    return make


OPERATIONS: dict[str, Callable[[Requestor, Peer, Deadline, Path], object]] = {
    "find": lambda ours, peer, until, _: list(ours.find(peer, KEYS, deadline=until)),
    "move": lambda ours, peer, until, _: ours.move(peer, KEYS, "DEST", deadline=until),
    "get": lambda ours, peer, until, to: ours.get(peer, KEYS, ArchiveTwin(to), deadline=until),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_cancel_ends_the_wait_for_an_association(
    requestor: Requestor, silent: Callable[..., Peer], tmp_path: Path, operation: str
) -> None:
    cancelled = CancelledSoon()
    peer = silent(cancelled)
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        OPERATIONS[operation](requestor, peer, Deadline(20.0, cancelled), tmp_path)
    assert time.monotonic() - begun < WITHIN_A_SECOND + 2.0


def test_a_cancel_ends_the_wait_for_a_connection(requestor: Requestor) -> None:
    cancelled = CancelledSoon()
    threading.Timer(0.05, cancelled.reached.set).start()
    with black_hole() as port, pytest.raises(Cancelled):
        list(
            requestor.find(
                Peer(ae_title="P", host="127.0.0.1", port=port), KEYS, deadline=Deadline(20.0, cancelled)
            )
        )


def test_a_black_hole_ends_at_the_deadline_of_the_connection(requestor: Requestor) -> None:
    with black_hole() as port, pytest.raises(PeerFailed, match=r"not done within 0\.2 s"):
        requestor.echo(Peer(ae_title="P", host="127.0.0.1", port=port), deadline=Deadline(0.2))


def test_a_deadline_of_nothing_is_over(requestor: Requestor) -> None:
    """It is not the peer's own, which is what holds where none is given."""
    with black_hole() as port, pytest.raises(PeerFailed, match="not done within 0 s"):
        list(requestor.find(Peer(ae_title="P", host="127.0.0.1", port=port), KEYS, deadline=Deadline(0.0)))


def test_a_cancel_ends_half_a_tls_handshake(script: Callable[..., Script], ours: Authority) -> None:
    cancelled = CancelledSoon()

    def say_nothing(connection: socket.socket) -> None:
        connection.recv(1)
        cancelled.reached.set()
        hole.done.wait(10)

    hole = script(say_nothing)
    peer = hole.peer.model_copy(update={"tls": True, "deadline": 60.0})
    with pytest.raises(Cancelled):
        list(Requestor(Config(tls=ours.tls("client"))).find(peer, KEYS, deadline=Deadline(20.0, cancelled)))


def test_a_peer_that_hangs_up_in_the_tls_handshake_is_a_failure(
    script: Callable[..., Script], ours: Authority
) -> None:
    peer = script(lambda connection: connection.recv(1)).peer.model_copy(update={"tls": True})
    with pytest.raises(PeerFailed, match=r"TLS with .* failed"):
        Requestor(Config(tls=ours.tls("client"))).echo(peer)


@pytest.fixture
def mover() -> Iterator[Callable[..., Peer]]:
    """Return a function that starts a pynetdicom SCP whose C-MOVE runs *handler*."""
    servers: list[Any] = []

    def start(handler: Callable[[Any], Iterator[Any]]) -> Peer:
        entity = AE("MOVER")
        entity.add_supported_context(StudyRootMove)
        servers.append(
            entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_MOVE, handler)])
        )
        return Peer(ae_title="MOVER", host="127.0.0.1", port=servers[-1].server_address[1])

    yield start
    for server in servers:
        server.shutdown()


def pending(event: Any, remaining: int) -> None:
    """Send one pending C-MOVE response."""
    response = type(event.request)()
    response.MessageIDBeingRespondedTo = event.message_id
    response.AffectedSOPClassUID = StudyRootMove
    response.Status = 0xFF00
    response.NumberOfRemainingSuboperations = remaining
    event.assoc.dimse.send_msg(response, event.context.context_id)


def test_a_peer_that_goes_on_telling_that_it_lives_may_take_its_time(
    requestor: Requestor, mover: Callable[..., Peer]
) -> None:
    def slow(event: Any) -> Iterator[Any]:
        for remaining in range(12, 0, -1):
            pending(event, remaining)
            time.sleep(0.1)
        yield None, None

    peer = mover(slow)
    with pytest.raises(PeerFailed, match="C-MOVE ended with status 0xA801"):
        requestor.move(peer, KEYS, "DEST", deadline=Patience(0.8))
    with pytest.raises(PeerFailed, match=r"not done within 0\.2 s"):
        requestor.move(peer, KEYS, "DEST", deadline=Deadline(0.2))


def test_silence_is_counted_from_the_first_thing_that_came(
    requestor: Requestor, mover: Callable[..., Peer]
) -> None:
    def halting(event: Any) -> Iterator[Any]:
        for pause_s in (0.6, 0.4):
            time.sleep(pause_s)
            pending(event, 1)
        yield None, None

    with pytest.raises(PeerFailed, match="C-MOVE ended with status 0xA801"):
        requestor.move(mover(halting), KEYS, "DEST", deadline=Patience(0.8))


def test_a_peer_that_falls_silent_is_given_up(requestor: Requestor, mover: Callable[..., Peer]) -> None:
    over = threading.Event()

    def silent(event: Any) -> Iterator[Any]:
        pending(event, 1)
        over.wait(10)
        yield None, None

    with pytest.raises(PeerFailed, match=r"not done within 0\.3 s"):
        requestor.move(mover(silent), KEYS, "DEST", deadline=Patience(0.3))
    over.set()


def test_a_deadline_that_passes_at_any_moment_leaves_no_connection_open(
    monkeypatch: pytest.MonkeyPatch, script: Callable[..., Script], requestor: Requestor
) -> None:
    """The clock runs out at the first, second, ... look at it; -W error tells of a socket that is lost."""
    ends = iter(range(1, 6))

    class RunsOut(outgoing.Deadline):
        def __post_init__(self) -> None:
            super().__post_init__()
            self.looks = next(ends)

        @property
        def left_s(self) -> float:
            self.looks -= 1
            if self.looks <= 0:
                raise PeerFailed("not done within")
            return 0.1

    monkeypatch.setattr("scp.net.requestor.Deadline", RunsOut)
    peer = script(lambda connection: read_pdu(connection)).peer
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(PeerFailed):
            requestor.echo(peer)
    gc.collect()
    wait_until(lambda: threading.active_count() <= before)
