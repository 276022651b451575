"""``scripts/lockout``: one good peer, and a hundred connections that do nothing, at this node and at others.

The good peer stores a small image over an association of its own, again and again: first alone, which is its
usual time, then while the others hold their connections. They call from another address of this machine
(127.0.0.2): against a flood from the good peer's own address only a firewall helps. Each phase ends after a
time that ``--seconds`` says, whatever a server does; what it did not do by then is told as such. The table is
printed side by side; nothing is asserted.
"""

import contextlib
import math
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydicom.uid import CTImageStorage

from scp.cli.bench.material import Instance, small_instances
from scp.cli.bench.servers import (
    HOST,
    Server,
    Start,
    dcmqrscp,
    node,
    orthanc,
    pynetdicom_storescp,
)
from scp.cli.bench.side_by_side import show
from scp.cli.bench.wire import P_DATA, Association, associate_request, pdu
from scp.cli.options import AsJSON
from scp.errors import PeerFailed

STALLED = 100
STALLED_HOST = "127.0.0.2"

SHARE_BEFORE = 0.25
"""How long the usual time is looked for, as a share of how long a trial takes."""

PATIENCE_S = 1.5
"""How long a stalling peer waits for what it needs: Linux asks again after 1 s where a backlog was full."""

USUALLY = 20
"""Stores that tell the usual time, if they are done by then."""

AGAIN_S = 0.05

Stall = Callable[[socket.socket, Server], None]
"""Brings a fresh connection to where it stalls."""


def silent(connection: socket.socket, server: Server) -> None:
    """Say nothing."""


def half_request(connection: socket.socket, server: Server) -> None:
    request = _request(server)
    connection.sendall(request[: len(request) // 2])


def half_data(connection: socket.socket, server: Server) -> None:
    idle(connection, server)
    half = pdu(P_DATA, bytes(200))
    connection.sendall(half[: len(half) // 2])


def idle(connection: socket.socket, server: Server) -> None:
    connection.sendall(_request(server))
    connection.recv(4096)


def one_byte_a_second(connection: socket.socket, server: Server) -> None:
    """Begin a request; ``_drip`` goes on with it."""
    connection.sendall(_request(server)[:1])


KINDS: Mapping[str, Stall] = {
    "silent": silent,
    "half an A-ASSOCIATE-RQ": half_request,
    "half a P-DATA": half_data,
    "associated and idle": idle,
    "one byte a second": one_byte_a_second,
}
ALL_AT_ONCE = "all kinds at once"

SERVERS: Mapping[str, Start] = {
    "mpr-scp": node,
    "dcmqrscp": dcmqrscp,
    "Orthanc": orthanc,
    "pynetdicom": pynetdicom_storescp,
}


@dataclass(frozen=True, slots=True)
class Served:
    """How a good peer fared *within_s*: seconds of each store that was answered, and the longest wait."""

    seconds: tuple[float, ...]
    longest_wait_s: float
    failed: int
    within_s: float

    @property
    def median_s(self) -> float:
        """The median of what was answered, NaN where nothing was."""
        return statistics.median(self.seconds) if self.seconds else math.nan


@dataclass(frozen=True, slots=True)
class Line:
    """One server under one kind of stalled connections; *usual* is how the peer fared alone."""

    server: str
    kind: str
    usual: Served
    stalled: Served

    def cells(self) -> tuple[str, ...]:
        served, usual = self.stalled, self.usual
        times = served.median_s / usual.median_s
        return (
            self.kind,
            self.server,
            _median(usual, f"not within {usual.within_s:g} s"),
            _median(served, "never"),
            "-" if math.isnan(times) else f"{times:.1f} x",
            f"{'' if served.seconds else '> '}{served.longest_wait_s:.2f} s",
            f"{len(served.seconds)}",
            f"{served.failed}",
        )


def _median(served: Served, without: str) -> str:
    return f"{1000 * served.median_s:.1f} ms" if served.seconds else without


HEADER = ("stalled", "server", "usual", "then", "times", "longest wait", "served", "failed")


def main(
    seconds: Annotated[float, typer.Option(min=1, help="How long each kind is tried at each server.")] = 5.0,
    as_json: AsJSON = False,
) -> None:
    """Show how one good peer is served while 100 connections stall, by this node and by others."""
    trials = (
        partial(_line, name, kind, start, seconds=seconds)
        for kind in (*KINDS, ALL_AT_ONCE)
        for name, start in SERVERS.items()
    )
    show(HEADER, trials, as_json=as_json)


def _line(name: str, kind: str, start: Start, folder: Path, *, seconds: float) -> Line:
    (image,) = small_instances(1, 1)
    with start(folder / "server") as server:
        usual = good_peer(server, image, SHARE_BEFORE * seconds, USUALLY)
        with stalled_connections(server, kind):
            then = good_peer(server, image, seconds)
    return Line(name, kind, usual, then)


def good_peer(server: Server, image: Instance, within_s: float, at_most: float = math.inf) -> Served:
    """Store *image* over associations of their own for *within_s* seconds, or *at_most* so often.

    A store that the end cuts off counts as a wait, and not as failed.
    """
    taken: list[float] = []
    longest, failed = 0.0, 0
    began = waits_since = time.monotonic()
    ends = began + within_s
    while len(taken) < at_most and began < ends:
        try:
            with Association(server.port, server.ae_title, CTImageStorage, ends - began) as association:
                association.store(association.store_pdus(*image))
        except (OSError, PeerFailed):
            failed += time.monotonic() < ends
            longest = max(longest, time.monotonic() - waits_since)
            time.sleep(AGAIN_S)
        else:
            ended = time.monotonic()
            taken.append(ended - began)
            longest, waits_since = max(longest, ended - waits_since), ended
        began = time.monotonic()
    return Served(tuple(taken), longest, failed, within_s)


@contextlib.contextmanager
def stalled_connections(server: Server, kind: str) -> Iterator[None]:
    """Hold :data:`STALLED` connections of *kind* while entered."""
    stalls = list(KINDS.values()) if kind == ALL_AT_ONCE else [KINDS[kind]]
    chosen = [stalls[number % len(stalls)] for number in range(STALLED)]
    with ThreadPoolExecutor(STALLED) as pool:
        held = list(pool.map(partial(_stall, server), chosen))
    ended = threading.Event()
    dripping = [one for one, stall in zip(held, chosen, strict=True) if stall is one_byte_a_second]
    drip = threading.Thread(target=_drip, args=(dripping, _request(server)[1:], ended))
    drip.start()
    try:
        yield
    finally:
        ended.set()
        drip.join()
        for connection in held:
            connection.close()


def _stall(server: Server, stall: Stall) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(PATIENCE_S)
    with contextlib.suppress(OSError):  # a server that turns it away is one that it does not lock out
        connection.bind((STALLED_HOST, 0))
        connection.connect((HOST, server.port))
        stall(connection, server)
    return connection


def _drip(connections: Sequence[socket.socket], rest: bytes, ended: threading.Event) -> None:
    """Send a byte of *rest* over each of *connections* every second, but wait for none that takes no byte."""
    for connection in connections:
        connection.setblocking(False)
    for byte in rest:
        if ended.wait(1.0):
            return
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(bytes([byte]))


def _request(server: Server) -> bytes:
    return associate_request(server.ae_title, "STALLED", CTImageStorage)


if __name__ == "__main__":
    typer.run(main)
