"""TLS: both ends show a certificate; what is wrong with one ends before an association (PS3.15 Annex B)."""

import contextlib
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scp.config import TLS, Config, Limits, Peer
from scp.errors import ConfigurationError, PeerFailed
from scp.net import tls as net_tls
from scp.net.deadlines import Deadline
from scp.net.requestor import Requestor
from scp.net.tls import acceptor_context
from tests.net.nodes import RunningNode, association_request, caller, read_pdu, wait_until

pytestmark = [pytest.mark.wire, pytest.mark.foreign]

StartNode = Callable[..., RunningNode]

CLIENT_HELLO_BEGUN = bytes((0x16, 3, 1, 2, 0, 1, 0, 1))
"""The head of a ClientHello of 512 bytes."""


class Authority:
    """Signs certificates with the ``openssl`` program."""

    def __init__(self, openssl: str, folder: Path, name: str) -> None:
        self.openssl, self.folder, self.name = openssl, folder, name
        folder.mkdir()
        self.run("req", "-x509", *self.new("ca"), "-subj", f"/CN={name}", "-days", "2")

    def run(self, *arguments: object) -> str:
        command = [self.openssl, *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def new(self, name: str) -> list[object]:
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        return [*kind, "-keyout", key, "-out", certificate]

    def tls(
        self, name: str, *, host: str = "127.0.0.1", days: int = 2, trust: "Authority | None" = None
    ) -> TLS:
        """Return a ``[tls]`` section whose certificate this authority signed for *host*."""
        request = self.folder / f"{name}.csr"
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        key = self.folder / f"{name}.key"
        self.run("req", *kind, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=IP:{host}\n")
        certificate = self.folder / f"{name}.pem"
        authority = ["-CA", self.folder / "ca.pem", "-CAkey", self.folder / "ca.key", "-CAcreateserial"]
        self.run(
            "x509",
            "-req",
            "-in",
            request,
            *authority,
            "-days",
            days,
            "-extfile",
            extensions,
            "-out",
            certificate,
        )
        return TLS(port=0, certificate=certificate, key=key, ca=(trust or self).folder / "ca.pem")

    def fingerprint(self, name: str) -> str:
        printed = self.run("x509", "-in", self.folder / f"{name}.pem", "-noout", "-fingerprint", "-sha256")
        return printed.split("=")[1].strip().replace(":", "")


@pytest.fixture(scope="module")
def ours(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(program("openssl"), tmp_path_factory.mktemp("tls") / "ours", "ours")


@pytest.fixture(scope="module")
def theirs(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(program("openssl"), tmp_path_factory.mktemp("tls") / "theirs", "theirs")


def secured(start_node: StartNode, tls: TLS, **settings: object) -> tuple[RunningNode, Peer]:
    node = start_node(sections={"tls": tls}, **settings)
    port = node.acceptor.tls_address[1]
    return node, Peer(name="node", ae_title="MPRSCP", host="127.0.0.1", port=port, tls=True)


def test_both_ends_with_certificates_associate(start_node: StartNode, ours: Authority) -> None:
    _, peer = secured(start_node, ours.tls("node"))
    Requestor(Config(tls=ours.tls("client"))).echo(peer)


def test_the_plain_listener_stays_unless_it_is_switched_off(start_node: StartNode, ours: Authority) -> None:
    tls = ours.tls("node")
    node, _ = secured(start_node, tls)
    Requestor(Config()).echo(node.peer)
    only = start_node(ae_title="ONLY", sections={"tls": tls.model_copy(update={"only": True})})
    assert only.acceptor.address == only.acceptor.tls_address


def test_a_certificate_of_another_authority_gets_nowhere(
    start_node: StartNode, ours: Authority, theirs: Authority
) -> None:
    _, peer = secured(start_node, ours.tls("node"))
    with pytest.raises(PeerFailed, match="node: "):
        Requestor(Config(tls=theirs.tls("client", trust=ours))).echo(peer)


def test_a_node_of_another_authority_is_not_talked_to(
    start_node: StartNode, ours: Authority, theirs: Authority
) -> None:
    _, peer = secured(start_node, theirs.tls("node", trust=ours))
    with pytest.raises(PeerFailed, match=r"TLS with .* failed"):
        Requestor(Config(tls=ours.tls("client"))).echo(peer)


def test_a_certificate_for_another_host_is_not_believed_unless_it_is_the_one(
    start_node: StartNode, ours: Authority
) -> None:
    _, peer = secured(start_node, ours.tls("node", host="10.9.9.9"))
    requestor = Requestor(Config(tls=ours.tls("client")))
    with pytest.raises(PeerFailed, match="IP address mismatch"):
        requestor.echo(peer)
    requestor.echo(peer.model_copy(update={"certificate_sha256": ours.fingerprint("node")}))
    with pytest.raises(PeerFailed, match="not the one of certificate_sha256"):
        requestor.echo(peer.model_copy(update={"certificate_sha256": ours.fingerprint("client")}))


def test_a_peer_with_a_pinned_certificate_must_show_it(start_node: StartNode, ours: Authority) -> None:
    right, wrong = ours.tls("right"), ours.tls("wrong")
    pinned = caller("CLIENT", "echo", certificate_sha256=ours.fingerprint("right"))
    node, peer = secured(start_node, ours.tls("node"), peers={"C": pinned})
    Requestor(Config(tls=right), "CLIENT").echo(peer)
    for requestor, called in (
        (Requestor(Config(tls=wrong), "CLIENT"), peer),
        (Requestor(Config(), "CLIENT"), node.peer),
    ):
        with pytest.raises(PeerFailed, match="our AE title is not known there"):
            requestor.echo(called)


def test_plain_text_and_half_a_handshake_are_turned_away(start_node: StartNode, ours: Authority) -> None:
    _, peer = secured(start_node, ours.tls("node"), limits=Limits(negotiation_deadline=0.5))
    address = ("127.0.0.1", peer.port)
    with socket.create_connection(address, timeout=10) as plain:
        plain.sendall(association_request())
        assert read_pdu(plain)[:1] != b"\2"
    with socket.create_connection(address, timeout=10) as half:
        half.sendall(b"\x16\x03\x01")
        Requestor(Config(tls=ours.tls("client"))).echo(peer)
        assert half.recv(100) == b""


def test_an_instance_goes_through_tls_byte_for_byte(
    start_node: StartNode, ours: Authority, tmp_path: Path
) -> None:
    import numpy as np

    from tests.builders import image, write
    from tests.services.test_store import ref

    node, peer = secured(start_node, ours.tls("node"))
    pixels = np.random.default_rng(1).integers(0, 4000, (700, 900)).astype("int16")
    sent = ref(write(image(pixels=pixels), tmp_path / "a.dcm"))
    (answer,) = Requestor(Config(tls=ours.tls("client"))).store(peer, [sent])
    assert answer.status == 0
    assert node.archive.data_sets[sent.sop_instance_uid] == sent.path.read_bytes()[sent.offset :]


def test_unusable_files_are_named_before_anything_listens(ours: Authority, tmp_path: Path) -> None:
    tls = ours.tls("node")
    with pytest.raises(ConfigurationError, match=r"tls.certificate .*nothing\.pem"):
        acceptor_context(tls.model_copy(update={"certificate": tmp_path / "nothing.pem"}))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ConfigurationError, match=r"tls.ca .*empty\.pem"):
        acceptor_context(tls.model_copy(update={"ca": tmp_path / "empty.pem"}))


def test_a_peer_by_tls_without_our_certificate_cannot_be_called(
    start_node: StartNode, ours: Authority
) -> None:
    _, peer = secured(start_node, ours.tls("node"))
    with pytest.raises(PeerFailed, match=r"no \[tls\] section"):
        Requestor(Config()).echo(peer)


@pytest.mark.parametrize("whose", ["node", "client"])
def test_a_certificate_that_has_expired_gets_nowhere(
    start_node: StartNode, ours: Authority, whose: str
) -> None:
    days = {"node": 2, "client": 2} | {whose: -1}
    _, peer = secured(start_node, ours.tls(f"node-{whose}", days=days["node"]))
    with pytest.raises(PeerFailed, match="node: "):
        Requestor(Config(tls=ours.tls(f"client-{whose}", days=days["client"]))).echo(peer)


def test_plain_dicom_at_the_tls_port_gets_nothing_and_the_next_is_served(
    start_node: StartNode, ours: Authority
) -> None:
    node, peer = secured(start_node, ours.tls("node"))
    with pytest.raises(PeerFailed):
        Requestor(Config()).echo(peer.model_copy(update={"tls": False}), deadline=Deadline(5))
    Requestor(Config(tls=ours.tls("client"))).echo(peer)
    wait_until(lambda: not node.acceptor.associations)


def test_half_a_handshake_ends_at_the_negotiation_deadline(start_node: StartNode, ours: Authority) -> None:
    node, peer = secured(start_node, ours.tls("node"), limits=Limits(negotiation_deadline=0.3))
    with socket.create_connection(("127.0.0.1", peer.port), timeout=10) as half:
        half.sendall(CLIENT_HELLO_BEGUN)
        with contextlib.suppress(ConnectionResetError):
            while half.recv(100):
                pass
    assert node.acceptor.associations == ()


@pytest.mark.parametrize("first_bytes", [b"", CLIENT_HELLO_BEGUN], ids=["silent", "half a handshake"])
def test_the_gate_of_tls_is_bounded_in_number_too(
    start_node: StartNode, ours: Authority, first_bytes: bytes
) -> None:
    _, peer = secured(start_node, ours.tls("node"), limits=Limits(associations=2, negotiation_deadline=600))
    with contextlib.ExitStack() as crowd:
        first, *_ = [crowd.enter_context(_silent(peer, first_bytes)) for _ in range(6)]
        assert read_pdu(first) == b""  # four may wait
        Requestor(Config(tls=ours.tls("client"))).echo(peer)


def _silent(peer: Peer, first_bytes: bytes) -> socket.socket:
    connection = socket.create_connection((peer.host, peer.port), timeout=10)
    connection.sendall(first_bytes)
    return connection


def _believing(context: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    def believe(*arguments: object) -> ssl.SSLContext:
        made = context(*arguments)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made

    return believe


@pytest.mark.parametrize(
    ("side", "noticed"),
    [
        ("acceptor", test_a_certificate_of_another_authority_gets_nowhere),
        ("outgoing", test_a_node_of_another_authority_is_not_talked_to),
    ],
)
def test_control_an_end_that_believes_every_certificate_is_noticed(
    start_node: StartNode,
    ours: Authority,
    theirs: Authority,
    monkeypatch: pytest.MonkeyPatch,
    side: str,
    noticed: Callable[..., None],
) -> None:
    name = {"acceptor": "acceptor_context", "outgoing": "requestor_context"}[side]
    monkeypatch.setattr(f"scp.net.{side}.{name}", _believing(getattr(net_tls, name)))
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        noticed(start_node, ours, theirs)


def test_control_an_expired_certificate_that_is_believed_is_noticed(
    start_node: StartNode, ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.net.acceptor.acceptor_context", _believing(acceptor_context))
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        test_a_certificate_that_has_expired_gets_nowhere(start_node, ours, "client")
