"""Who may associate: AE title together with address, and the rights that follow."""

import pytest

from scp.config import Config, Node, Peer
from scp.net.admission import ALL_RIGHTS, Admitted, HostAddresses, NotAdmitted, admit, plain_address

PACS = Peer(name="PACS", ae_title="PACS", host="10.0.0.5", rights=("store", "find"))
WARD = Peer(name="WARD", ae_title="WS", networks=("10.1.0.0/16", "fd00::/8"), rights=("echo",))
SECOND = Peer(name="SECOND", ae_title="WS", host="10.9.9.9", rights=("get",))


def ask(title: str, address: str, *, certificate: str = "", **config: object) -> Admitted | NotAdmitted:
    peers = {"PACS": PACS, "WARD": WARD, "SECOND": SECOND}
    built = Config(**{"peers": peers, **config})
    return admit(built, title, address, certificate_sha256=certificate, resolve=lambda host: [host])


@pytest.mark.parametrize(
    ("title", "address", "peer"),
    [
        ("PACS", "10.0.0.5", "PACS"),
        (" PACS ", "::ffff:10.0.0.5", "PACS"),
        ("WS", "10.1.200.3", "WARD"),
        ("WS", "fd00::17%eth0", "WARD"),
        ("WS", "10.9.9.9", "SECOND"),
    ],
)
def test_title_and_address_together_name_the_peer(title: str, address: str, peer: str) -> None:
    verdict = ask(title, address)
    assert isinstance(verdict, Admitted) and verdict.peer is not None and verdict.peer.name == peer


@pytest.mark.parametrize(
    ("title", "address"),
    [("PACS", "10.0.0.6"), ("pacs", "10.0.0.5"), ("OTHER", "10.0.0.5"), ("WS", "10.2.0.1"), ("", "10.0.0.5")],
)
def test_anything_else_is_not_admitted_and_told_why(title: str, address: str) -> None:
    verdict = ask(title, address)
    assert isinstance(verdict, NotAdmitted) and repr(title) in verdict.reason


def test_rights_are_the_peers_own() -> None:
    verdict = ask("PACS", "10.0.0.5")
    assert isinstance(verdict, Admitted)
    assert verdict.may("find") and verdict.may("move", "store") and not verdict.may("move", "mpr")


def test_without_peers_anybody_on_loopback_may_do_anything() -> None:
    verdict = ask("WHOEVER", "127.0.0.1", peers={})
    assert isinstance(verdict, Admitted) and verdict.rights == ALL_RIGHTS and not verdict.configured


def test_an_open_node_admits_everybody_and_still_knows_its_peers() -> None:
    node = Node(open=True)
    known, unknown = ask("PACS", "10.0.0.5", node=node), ask("PACS", "10.0.0.99", node=node)
    assert isinstance(known, Admitted) and known.configured and known.may("mpr")
    assert isinstance(unknown, Admitted) and not unknown.configured


def test_a_peer_with_a_certificate_is_not_admitted_without_it() -> None:
    pinned = {"PACS": PACS.model_copy(update={"certificate_sha256": "AB" * 32})}
    assert isinstance(ask("PACS", "10.0.0.5", certificate="ab" * 32, peers=pinned), Admitted)
    assert isinstance(ask("PACS", "10.0.0.5", certificate="cd" * 32, peers=pinned), NotAdmitted)
    assert isinstance(ask("PACS", "10.0.0.5", peers=pinned), NotAdmitted)


def test_host_names_are_looked_up_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    clock = [0.0]
    monkeypatch.setattr("scp.net.admission._look_up", lambda host: asked.append(host) or ("10.0.0.7",))
    addresses = HostAddresses(now=lambda: clock[0])
    assert [addresses("pacs.example"), addresses("pacs.example")] == [("10.0.0.7",)] * 2
    clock[0] = 60.0
    addresses("pacs.example")
    assert asked == ["pacs.example"] * 2


def test_a_name_that_resolves_to_nothing_admits_nobody() -> None:
    config = Config(peers={"P": Peer(ae_title="P", host="no.such.host.invalid", rights=("store",))})
    assert isinstance(admit(config, "P", "10.0.0.1", resolve=HostAddresses()), NotAdmitted)


def test_addresses_compare_without_their_clothes() -> None:
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("fe80::1%eth0") == "fe80::1"


ADDRESSES = {"its own": "10.0.0.5", "another": "10.0.0.6"}
CERTIFICATES = {"its own": "ab" * 32, "another": "cd" * 32, "none": ""}


@pytest.mark.parametrize("configured", ["address", "address and certificate"])
@pytest.mark.parametrize("certificate", CERTIFICATES)
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("title", ["KNOWN", "UNKNOWN"])
def test_the_matrix_of_title_address_and_certificate(
    title: str, address: str, certificate: str, configured: str
) -> None:
    pinned = CERTIFICATES["its own"] if configured == "address and certificate" else ""
    peer = Peer(ae_title="KNOWN", networks=("10.0.0.5",), rights=("find",), certificate_sha256=pinned)
    verdict = admit(
        Config(peers={"A": peer}),
        title,
        ADDRESSES[address],
        certificate_sha256=CERTIFICATES[certificate],
        resolve=lambda _host: (),
    )
    may_enter = title == "KNOWN" and address == "its own" and (not pinned or certificate == "its own")
    assert isinstance(verdict, Admitted) is may_enter
    assert not may_enter or verdict.rights == {"find"}


@pytest.mark.parametrize("guard", ["_calls_from", "_shows"])
def test_control_the_matrix_needs_address_and_certificate(
    monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    monkeypatch.setattr(f"scp.net.admission.{guard}", lambda *_: True)
    address, certificate = ("another", "its own") if guard == "_calls_from" else ("its own", "another")
    with pytest.raises(AssertionError):
        test_the_matrix_of_title_address_and_certificate(
            "KNOWN", address, certificate, "address and certificate"
        )
