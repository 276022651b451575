"""Who may associate, and what for: a calling AE title and an address in, a peer and its rights out.

Asked by ``net.acceptor`` once for each association, before anything is negotiated (PS3.8 7.1.1.2 to 7.1.1.4).
An AE title alone proves nothing, so it counts only together with the address it calls from, or with
the certificate it showed. Pure but for the names of hosts, which are looked up and remembered for a minute.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from scp.config import Config, Peer

ALL_RIGHTS = frozenset({"echo", "store", "find", "move", "get", "mpr"})
REMEMBERED_S = 60.0

Resolve = Callable[[str], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Admitted:
    """An association that may be: *peer* is ``None`` where nobody is configured and anybody may call."""

    calling_ae_title: str
    address: str
    peer: Peer | None
    rights: frozenset[str]

    @property
    def configured(self) -> bool:
        return self.peer is not None

    def may(self, *rights: str) -> bool:
        """Tell whether any of *rights* is held."""
        return not self.rights.isdisjoint(rights)


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """An association that may not be; *reason* is for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 Table 9-21), and why, for the log."""

    result: int
    source: int
    diagnostic: int
    reason: str


class HostAddresses:
    """Looks host names up, and remembers what it found (or did not find) for a minute."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._found: dict[str, tuple[float, tuple[str, ...]]] = {}

    def __call__(self, host: str) -> tuple[str, ...]:
        asked, addresses = self._found.get(host, (-REMEMBERED_S, ()))
        if self._now() - asked >= REMEMBERED_S:
            addresses = _look_up(host)
            self._found[host] = (self._now(), addresses)
        return addresses


def admit(
    config: Config,
    calling_ae_title: str,
    address: str,
    *,
    certificate_sha256: str = "",
    resolve: Resolve,
) -> Admitted | NotAdmitted:
    """Return what the caller may do here, or why it may not associate.

    *address* is numeric, *certificate_sha256* plain hex of the certificate that the caller showed, ``""``
    without TLS. Several peers may share one AE title; the first whose address and certificate agree counts.
    """
    title = calling_ae_title.strip()
    caller = plain_address(address)
    named = [peer for peer in config.peers.values() if peer.ae_title == title]
    for peer in named:
        if _calls_from(peer, caller, resolve) and _shows(peer, certificate_sha256):
            rights = ALL_RIGHTS | set(peer.rights) if config.node.open else frozenset(peer.rights)
            return Admitted(title, caller, peer, rights)
    if config.node.open or not config.peers:
        return Admitted(title, caller, None, ALL_RIGHTS)
    if not named:
        return NotAdmitted(f"the AE title {title!r} is in no [peers] table")
    return NotAdmitted(f"the AE title {title!r} may not call from {caller}, or not with this certificate")


@lru_cache(maxsize=256)
def plain_address(address: str) -> str:
    """Return *address* without its zone; an IPv4-mapped IPv6 address (``::ffff:10.0.0.5``) as IPv4."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _calls_from(peer: Peer, caller: str, resolve: Resolve) -> bool:
    if peer.networks:
        address = ipaddress.ip_address(caller)
        return any(address in ipaddress.ip_network(network) for network in peer.networks)
    return caller in {plain_address(address) for address in resolve(peer.host)}


def _shows(peer: Peer, certificate_sha256: str) -> bool:
    """Tell whether the certificate is the one required; where one is, a caller without TLS is turned away."""
    needed = peer.certificate_sha256.lower()
    return not needed or needed == certificate_sha256.lower()


def _look_up(host: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
