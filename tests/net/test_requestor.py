"""What the node asks of others: one deadline, one sentence, and only what was asked for."""

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage, JPEGLSLossless
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as StudyRootGet
from pynetdicom.sop_class import Verification

from scp.config import Config, Peer
from scp.errors import PeerFailed
from scp.model import FileRef
from scp.net.association import NodeAssociation
from scp.net.deadlines import Deadline
from scp.net.outgoing import associate
from scp.net.requestor import Requestor
from scp.part10.head import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from tests.builders import SERIES_UID, STUDY_UID, image, series, write, write_series
from tests.net.archive_twin import ArchiveTwin
from tests.net.nodes import RunningNode, caller, p_data, read_pdu, wait_until
from tests.services.test_find import identifier
from tests.services.test_store import ref

pytestmark = pytest.mark.wire

StartNode = Callable[..., RunningNode]
KEYS = identifier("SERIES", StudyInstanceUID=STUDY_UID, SeriesInstanceUID=SERIES_UID)
del KEYS.SOPInstanceUID


@pytest.fixture
def requestor() -> Requestor:
    return Requestor(Config())


@pytest.fixture
def twin(tmp_path: Path) -> ArchiveTwin:
    (tmp_path / "twin").mkdir()
    return ArchiveTwin(tmp_path / "twin")


class Script:
    """A peer that does one thing with each connection."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.act = act
        self.peer = Peer(
            name="script", ae_title="SCRIPT", host="127.0.0.1", port=self.listener.getsockname()[1]
        )
        self.done = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                self.act(connection)

    def close(self) -> None:
        self.done.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    made: list[Script] = []

    def make(act: Callable[[socket.socket], None]) -> Script:
        made.append(Script(act))
        return made[-1]

    yield make
    for one in made:
        one.close()


def fill(node: RunningNode, tmp_path: Path, count: int) -> None:
    paths = write_series(series(count), tmp_path / "in")
    assert all(one.status == 0 for one in Requestor(Config()).store(node.peer, map(ref, paths)))


def test_echo_of_a_node_that_is_there(start_node: StartNode, requestor: Requestor) -> None:
    requestor.echo(start_node().peer)


def test_nobody_listens(requestor: Requestor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(PeerFailed, match=f"^P: no connection to 127.0.0.1:{port}: Connection refused$"):
        requestor.echo(Peer(name="P", ae_title="P", host="127.0.0.1", port=port))


def test_a_rejection_is_told_by_its_reason(start_node: StartNode, requestor: Requestor) -> None:
    node = start_node(peers={"A": caller("SOMEBODY")})
    with pytest.raises(PeerFailed, match="rejected: our AE title is not known there"):
        requestor.echo(node.peer)
    with pytest.raises(PeerFailed, match="rejected: the called AE title is not theirs"):
        requestor.echo(node.peer.model_copy(update={"ae_title": "ELSE"}))


def test_a_service_that_is_not_accepted_is_named(start_node: StartNode) -> None:
    node = start_node(peers={"A": caller("READER", "find")})
    with pytest.raises(PeerFailed, match="no presentation context was accepted"):
        Requestor(Config(), "READER").echo(node.peer)


def test_a_peer_without_a_port_cannot_be_called(requestor: Requestor) -> None:
    with pytest.raises(PeerFailed, match="no host and port"):
        requestor.echo(Peer(name="P", ae_title="P", host="127.0.0.1"))


@pytest.mark.parametrize(
    "act",
    [
        lambda connection: connection.recv(1),
        lambda connection: (read_pdu(connection), connection.sendall(b"\2\0")),
        lambda connection: (read_pdu(connection), connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        lambda connection: (read_pdu(connection), connection.sendall(p_data(3, b"x"))),
        lambda connection: (read_pdu(connection), connection.sendall(bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, 0)))),
    ],
    ids=["hangs up", "dies in its answer", "speaks HTTP", "sends data first", "aborts"],
)
def test_a_peer_that_does_not_associate_is_a_failure(
    requestor: Requestor, script: Callable[..., Script], act: Callable[[socket.socket], None]
) -> None:
    with pytest.raises(PeerFailed, match=r"^script: the association was not answered, or aborted$"):
        requestor.echo(script(act).peer, deadline=Deadline(5))


def test_a_black_hole_ends_at_the_deadline(requestor: Requestor, script: Callable[..., Script]) -> None:
    hole = script(lambda _: hole.done.wait(10))
    with pytest.raises(PeerFailed, match="not answered"):
        requestor.echo(hole.peer, deadline=Deadline(0.3))


def test_an_associated_peer_that_stays_silent_ends_at_the_deadline(requestor: Requestor) -> None:
    go_on = threading.Event()
    entity = AE("SILENT")
    entity.add_supported_context(Verification)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _: go_on.wait(10) and 0)]
    )
    peer = Peer(name="silent", ae_title="SILENT", host="127.0.0.1", port=server.server_address[1])
    with pytest.raises(PeerFailed, match=r"^silent: not done within 0\.3 s$"):
        requestor.echo(peer, deadline=Deadline(0.3))
    go_on.set()
    server.shutdown()


def test_what_failed_leaves_no_thread(requestor: Requestor, script: Callable[..., Script]) -> None:
    before = threading.active_count()
    hole = script(lambda _: hole.done.wait(10))
    for _ in range(2):
        with pytest.raises(PeerFailed):
            requestor.echo(hole.peer, deadline=Deadline(0.1))
    wait_until(lambda: threading.active_count() <= before + 1)


def test_get_takes_what_was_asked_for(
    start_node: StartNode, tmp_path: Path, requestor: Requestor, twin: ArchiveTwin
) -> None:
    node = start_node()
    fill(node, tmp_path, 6)
    wanted = sorted(node.archive.stored)[:4]
    done = requestor.get(node.peer, KEYS, twin, wanted=wanted, sop_classes=[CTImageStorage])
    assert sorted(twin.stored) == sorted(stored.sop_instance_uid for stored in done.stored) == wanted
    assert sorted(done.unasked) == sorted(set(node.archive.stored) - set(wanted))
    assert {uid: twin.data_sets[uid] == node.archive.data_sets[uid] for uid in wanted} == dict.fromkeys(
        wanted, True
    )
    assert (done.status, done.completed, done.failed) == (0xB000, 4, 2)


def test_get_without_a_choice_takes_all(
    start_node: StartNode, tmp_path: Path, requestor: Requestor, twin: ArchiveTwin
) -> None:
    node = start_node()
    fill(node, tmp_path, 3)
    done = requestor.get(node.peer, KEYS, twin)
    assert (done.status, done.completed, len(done.stored), done.unasked) == (0x0000, 3, 3, ())


def test_get_tells_whence_an_instance_came(
    start_node: StartNode, tmp_path: Path, requestor: Requestor, twin: ArchiveTwin
) -> None:
    node = start_node()
    fill(node, tmp_path, 1)
    requestor.get(node.peer, KEYS, twin)
    (origin,) = twin.origins.values()
    assert (origin.calling_ae_title, origin.address) == ("MPRSCP", "127.0.0.1")


def test_get_from_a_peer_that_does_not_offer_it(requestor: Requestor, twin: ArchiveTwin) -> None:
    entity = AE("PLAIN")
    entity.add_supported_context(CTImageStorage)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    peer = Peer(name="plain", ae_title="PLAIN", host="127.0.0.1", port=server.server_address[1])
    with pytest.raises(PeerFailed, match=f"^plain: does not accept {StudyRootGet.name}$"):
        requestor.get(peer, KEYS, twin)
    server.shutdown()


def test_move_lets_the_peer_send(start_node: StartNode, tmp_path: Path, requestor: Requestor) -> None:
    destination = start_node(ae_title="DEST")
    dest = Peer(ae_title="DEST", host="127.0.0.1", port=destination.port, destination=True)
    node = start_node(ae_title="NODE", peers={"D": dest, "M": caller("MPRSCP")})
    fill(node, tmp_path, 3)
    done = requestor.move(node.peer, KEYS, "DEST")
    assert (done.status, done.completed) == (0x0000, 3)
    with pytest.raises(PeerFailed, match="C-MOVE ended with status 0xA801"):
        requestor.move(node.peer, KEYS, "NOWHERE")


def test_an_instance_in_no_context_fails_alone(
    start_node: StartNode, tmp_path: Path, requestor: Requestor
) -> None:
    entity = AE("CTONLY")
    entity.add_supported_context(CTImageStorage)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0x0000)]
    )
    peer = Peer(ae_title="CTONLY", host="127.0.0.1", port=server.server_address[1])
    mr = write(image(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), tmp_path / "mr.dcm")
    packed = ref(write(image(2), tmp_path / "packed.dcm"))
    packed = type(packed)(
        packed.path, packed.sop_class_uid, "1.2.9", str(JPEGLSLossless), packed.offset, packed.length
    )
    sent = list(requestor.store(peer, [ref(mr), packed, ref(write(image(0), tmp_path / "ct.dcm"))]))
    server.shutdown()
    assert [one.status for one in sent] == [0x0122, 0x0122, 0x0000]
    assert sent[1].error_comment == "no context for JPEG-LS Lossless Image Compression"


def test_both_ends_announce_the_implementation_that_files_name(
    start_node: StartNode, requestor: Requestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the A-ASSOCIATE-RQ and the A-ASSOCIATE-AC (PS3.7 D.3.3.2)."""
    made = watched_associations(monkeypatch)
    requestor.echo(start_node().peer)
    (association,) = made
    for end in (association.requestor, association.acceptor):
        assert end.implementation_class_uid == IMPLEMENTATION_CLASS_UID
        assert end.implementation_version_name == IMPLEMENTATION_VERSION_NAME


def watched_associations(monkeypatch: pytest.MonkeyPatch) -> list[NodeAssociation]:
    """Return where each association that the requestor makes from now on is found."""
    made: list[NodeAssociation] = []

    def watched(*arguments: Any, **options: Any) -> NodeAssociation:
        made.append(associate(*arguments, **options))
        return made[-1]

    monkeypatch.setattr("scp.net.requestor.associate", watched)
    return made


def test_a_file_that_is_gone_fails_alone(start_node: StartNode, tmp_path: Path, requestor: Requestor) -> None:
    node = start_node()
    refs = [ref(path) for path in write_series(series(2), tmp_path / "in")]
    refs[0].path.unlink()
    assert [one.status for one in requestor.store(node.peer, refs)] == [0x0110, 0x0000]


def shortened(path: Path) -> FileRef:
    """Return a file that was longer when it was looked at."""
    cut = ref(write(image(), path))
    cut.path.write_bytes(cut.path.read_bytes()[:-50])
    return cut


def test_a_file_that_became_shorter_fails_alone(
    start_node: StartNode, tmp_path: Path, requestor: Requestor
) -> None:
    node = start_node()
    refs = [ref(write(image(1), tmp_path / "1.dcm")), shortened(tmp_path / "2.dcm")]
    refs += [ref(write(image(3), tmp_path / "3.dcm"))]
    assert [sent.status for sent in requestor.store(node.peer, refs)] == [0x0000, 0x0110, 0x0000]
    assert set(node.archive.stored) == {refs[0].sop_instance_uid, refs[2].sop_instance_uid}


def test_a_file_that_became_shorter_while_it_is_sent_ends_the_association(
    start_node: StartNode, tmp_path: Path, requestor: Requestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.net.sending.PIECE_BYTES", 1024)  # part of the file is out when its end is met
    node = start_node()
    with pytest.raises(PeerFailed, match="could not be read while it was sent"):
        list(requestor.store(node.peer, [shortened(tmp_path / "a.dcm")]))
    wait_until(lambda: not node.acceptor.associations)
    assert node.archive.stored == {}


def test_what_is_sent_in_another_order_than_expected_arrives_as_it_is(
    start_node: StartNode, tmp_path: Path, requestor: Requestor
) -> None:
    node = start_node()
    first, second, third = refs = [ref(path) for path in write_series(series(3), tmp_path)]
    with requestor.sender(node.peer) as sender:
        sender.expect(refs)
        for one in (first, third, second):
            assert sender.send(one).status == 0x0000
            assert node.archive.data_sets[one.sop_instance_uid] == one.path.read_bytes()[one.offset :]


def test_another_kind_of_object_begins_another_association(
    start_node: StartNode, tmp_path: Path, requestor: Requestor
) -> None:
    node = start_node()
    classes = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4")
    refs = [
        ref(write(image(number, SOPClassUID=uid), tmp_path / f"{number}.dcm"))
        for number, uid in enumerate(classes)
    ]
    with requestor.sender(node.peer) as sender:
        assert [sender.send(one).status for one in refs] == [0, 0]
    assert len(node.archive.stored) == 2
    wait_until(lambda: not node.acceptor.associations)


@pytest.mark.foreign
def test_echoscu_is_answered(
    start_node: StartNode, dcmtk: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    node = start_node()
    assert dcmtk("echoscu", "-aec", "MPRSCP", "127.0.0.1", node.port).returncode == 0
    assert dcmtk("echoscu", "-aec", "NOBODY", "127.0.0.1", node.port).returncode != 0
