"""Clients that store: DCMTK's storescu, and a sender on a bare socket.

Each takes the files of one turn, a part for each association, and returns the seconds that storing took.
"""

import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from pydicom.uid import CTImageStorage

from scp.cli.bench.material import Instance, instances
from scp.cli.bench.measuring import seconds_of
from scp.cli.bench.servers import ENVIRONMENT, HOST, MAXIMUM_PDU, Server, installed
from scp.cli.bench.wire import Association
from scp.errors import PeerFailed

Parts = Sequence[Sequence[Path]]
"""The files to send, a part for each association."""

Client = Callable[[Server, Parts], float]
"""Sends the files and returns the seconds that it took."""


def storescu(server: Server, parts: Parts) -> float:
    """Send with DCMTK's storescu, a process for each part. Raises ``PeerFailed``."""
    words = [installed("storescu"), "-q", "-aet", "BENCH", "-aec", server.ae_title]
    words += ["-pdu", str(MAXIMUM_PDU), HOST, str(server.port)]

    def send() -> list[int]:
        running = [subprocess.Popen([*words, *map(str, part)], env=ENVIRONMENT) for part in parts]
        return [process.wait() for process in running]

    codes: list[int] = []
    seconds = seconds_of(lambda: codes.extend(send()))
    if any(codes):
        raise PeerFailed(f"storescu to {server.name} ends with exit code {max(codes)}")
    return seconds


def raw(server: Server, parts: Parts) -> float:
    """Send with PDUs that are made beforehand, over associations that are there already."""
    return send_raw(server, [instances(part) for part in parts])


def send_raw(server: Server, parts: Sequence[Sequence[Instance]]) -> float:
    """Send instances from memory, a part over each association. Raises ``PeerFailed``."""
    associations = [Association(server.port, server.ae_title, CTImageStorage) for _ in parts]
    made = [
        [association.store_pdus(*one) for one in part]
        for association, part in zip(associations, parts, strict=True)
    ]
    failed: list[PeerFailed] = []

    def send(association: Association, requests: Sequence[bytes]) -> None:
        try:
            with association:
                for request in requests:
                    association.store(request)
        except PeerFailed as error:
            failed.append(error)

    threads = [threading.Thread(target=send, args=both) for both in zip(associations, made, strict=True)]
    seconds = seconds_of(lambda: _run_all(threads))
    if failed:
        raise PeerFailed(f"{server.name}: {failed[0]}")
    return seconds


def one_by_one(server: Server, parts: Parts) -> float:
    """Send every file over an association of its own; return the seconds for one, all in all."""
    (part,) = parts
    sent = instances(part)

    def send() -> None:
        for sop_instance_uid, data_set in sent:
            with Association(server.port, server.ae_title, CTImageStorage) as association:
                association.store(association.store_pdus(sop_instance_uid, data_set))

    return seconds_of(send) / len(sent)


def _run_all(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
