"""``scripts/faults``: what was acknowledged and is gone after a fault, at this node and at others.

Each server meets the same faults in turn: it is killed while four clients store, its disk fills up, it is
sent associations with changed bytes, and requests that claim more than any memory holds. What it had
acknowledged by 0x0000 is then asked back by C-GET (from a server that has none, read from its folder) and
compared pixel by pixel. Nothing is asserted. A disk that loses power is none of these: how often a server
syncs is what ``mpr-scp bench store`` counts.
"""

import contextlib
import hashlib
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydicom.uid import CTImageStorage

from scp.cli.bench.lockout import SERVERS as AS_THEY_COME
from scp.cli.bench.material import Instance, pixel_digests, study_instances, study_uid
from scp.cli.bench.measuring import NotMeasured
from scp.cli.bench.memory import Watch, tree
from scp.cli.bench.retrieve import ask
from scp.cli.bench.servers import HOST, MAXIMUM_PDU, Server, Start, node
from scp.cli.bench.side_by_side import show
from scp.cli.bench.wire import (
    ASSOCIATE_RQ,
    COMMAND,
    CONTEXT_ID,
    P_DATA,
    RELEASE_RQ,
    Association,
    associate_request,
    message_pdus,
    pdu,
)
from scp.cli.options import AsJSON
from scp.errors import PeerFailed
from scp.net import command

CLIENTS = 4
EACH = 100
"""Images of the study that each client has for one trial."""

SIDE = 128
PIXEL_BYTES = 2 * SIDE * SIDE
DISK_BYTES = 24 << 20
REFUSALS = 5
"""After so many a disk counts as full."""

PATIENCE_S = 3.0
SETTLING_S = 10.0
"""What a server starts behind its port is there by then, and not counted as what a claim cost."""

CLAIMED = 0xFFFFFFF0
BOMB_BYTES = 256 << 20
"""As much of a request as is sent to a server that goes on reading."""

SERVERS: Mapping[str, Start] = {
    **AS_THEY_COME,
    "mpr-scp": partial(node, settings={"archive": {"minimum_free": "1 MiB"}}),
}
"""This node as it comes would refuse a disk this small from the start."""

GETS_NOTHING_BACK = ("pynetdicom",)
"""Servers without C-GET."""


@dataclass
class Acknowledged:
    """Pixel digests of what a server acknowledged, by study and SOP Instance UID."""

    digests: dict[str, dict[str, str]] = field(default_factory=dict)
    count: int = 0

    def note(self, study: int, one: Instance) -> None:
        pixels = one[1][-PIXEL_BYTES:]
        self.digests.setdefault(study_uid(study), {})[one[0]] = hashlib.sha256(pixels).hexdigest()
        self.count += 1

    def lost(self, server: Server, folder: Path) -> int:
        """Count what *server* does not give back as it was stored; *folder* takes what it gives."""
        folder.mkdir()
        if server.name in GETS_NOTHING_BACK:
            came = pixel_digests(server.folder)
        else:
            for study in self.digests:
                with contextlib.suppress(PeerFailed):  # what does not come is lost
                    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
                    ask("getscu", server, "+B", "-od", folder, *keys)
            came = pixel_digests(folder)
        wanted = (digests.items() for digests in self.digests.values())
        return sum(came.get(one) != digest for digests in wanted for one, digest in digests)


@dataclass(frozen=True, slots=True)
class Line:
    """What one server made of one fault."""

    fault: str
    server: str
    trials: int
    acknowledged: int
    lost: int
    then: str

    def cells(self) -> tuple[str, ...]:
        counts = (self.trials, self.acknowledged, self.lost)
        return (self.fault, self.server, *map(str, counts), self.then)


HEADER = ("fault", "server", "trials", "acknowledged", "lost", "then")


def main(
    kills: Annotated[int, typer.Option(min=1, help="How often each server is killed.")] = 10,
    changed: Annotated[int, typer.Option(min=1, help="How many associations have changed bytes.")] = 300,
    only: Annotated[str, typer.Option(metavar="NAME", help="This server only.")] = "",
    as_json: AsJSON = False,
) -> None:
    """Show what this node and others lose of what they acknowledged, and whether they go on."""
    sizes = {"killed": kills, "changed bytes": changed}
    scenes = (
        partial(_line, meet, fault, name, start, trials=sizes.get(fault, 1))
        for fault, meet in FAULTS.items()
        for name, start in SERVERS.items()
        if only in ("", name)
    )
    show(HEADER, scenes, as_json=as_json)


def _line(meet: "Fault", fault: str, name: str, start: Start, folder: Path, *, trials: int) -> Line:
    return meet(Scene(fault, name, start, folder, trials))


@dataclass(frozen=True, slots=True)
class Scene:
    """One server, a folder for it, and how often it meets a fault."""

    fault: str
    name: str
    start: Start
    folder: Path
    trials: int

    def line(self, trials: int, acknowledged: Acknowledged, then: str, server: Server) -> Line:
        lost = acknowledged.lost(server, self.folder / "came")
        return Line(self.fault, self.name, trials, acknowledged.count, lost, then)


Fault = Callable[[Scene], Line]


def killed(scene: Scene) -> Line:
    """Kill it and its children by SIGKILL somewhere within a store, start it anew, and so on."""
    acknowledged, chance = Acknowledged(), random.Random(7)
    for trial in range(scene.trials):
        studies = {
            CLIENTS * trial + n: study_instances(CLIENTS * trial + n, EACH, SIDE) for n in range(CLIENTS)
        }
        with scene.start(scene.folder / "server") as server:
            _store_from_all(server, studies, chance.randint(20, 120), acknowledged)
            time.sleep(chance.random() * 0.01)  # in the middle of the next ones
            _kill(server.pid)
    with scene.start(scene.folder / "server") as server:
        then = "serves" if _answers(server) else "answers no more"
        return scene.line(scene.trials, acknowledged, then, server)


def disk_full(scene: Scene) -> Line:
    """Store on a file system of 24 MiB until it is full."""
    acknowledged = Acknowledged()
    disk = scene.folder / "disk"
    disk.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk))
    try:
        with scene.start(disk / "server") as server:
            refused = 0
            for one in study_instances(0, DISK_BYTES // PIXEL_BYTES, SIDE):
                if refused == REFUSALS:
                    break
                if _stored(server, one):
                    acknowledged.note(0, one)
                else:
                    refused += 1
            then = "refuses, and goes on" if _answers(server) else "answers no more"
            return scene.line(1, acknowledged, then, server)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def changed_bytes(scene: Scene) -> Line:
    """Send it associations with bytes changed, cut, repeated, and a good one after each ten."""
    acknowledged, chance, failed = Acknowledged(), random.Random(7), 0
    images = study_instances(0, scene.trials // 10 + 1, SIDE)
    with scene.start(scene.folder / "server") as server:
        whole = _store_pdus(server, images.pop())
        for trial in range(scene.trials):
            _send(server, changed(whole, chance), answers_s=0.05)
            if trial % 10 == 9:
                one = images.pop()
                if _stored(server, one):
                    acknowledged.note(0, one)
                else:
                    failed += 1
        then = "serves" if _answers(server) else "answers no more"
        then += f", good peers that failed: {failed}" if failed else ""
        return scene.line(scene.trials, acknowledged, then, server)


def bombs(scene: Scene) -> Line:
    """Send it PDUs and data sets that claim more than memory holds, as much of them as it takes."""
    acknowledged = Acknowledged()
    images = study_instances(0, 2, SIDE)
    with scene.start(scene.folder / "server") as server:
        if _stored(server, images[0]):
            acknowledged.note(0, images[0])
        time.sleep(SETTLING_S)
        claims = list(_claims(server, images[1]))
        with Watch(server.pid) as memory:
            for claim in claims:
                _send(server, claim, answers_s=PATIENCE_S)
        then = "goes on" if _answers(server) else "answers no more"
        grown = (memory.peak_bytes - memory.idle_bytes) >> 20
        return scene.line(len(claims), acknowledged, f"{then}, +{grown} MiB", server)


FAULTS: Mapping[str, Fault] = {
    "killed": killed,
    "disk full": disk_full,
    "changed bytes": changed_bytes,
    "claims of gigabytes": bombs,
}


def _store_from_all(
    server: Server, studies: Mapping[int, list[Instance]], enough: int, kept: Acknowledged
) -> None:
    """Begin to store each study over an association; return when *enough* images were acknowledged."""
    news, ends = threading.Condition(), kept.count + enough

    def client(study: int) -> None:
        with contextlib.suppress(OSError, PeerFailed):
            association = Association(server.port, server.ae_title, CTImageStorage)
            for one in studies[study]:
                association.store(association.store_pdus(*one))
                with news:
                    kept.note(study, one)
                    news.notify()

    for study in studies:
        threading.Thread(target=client, args=(study,), daemon=True).start()
    with news:
        if not news.wait_for(lambda: kept.count >= ends, 60):
            raise NotMeasured("it acknowledged too few")


def _stored(server: Server, one: Instance) -> bool:
    """Tell whether *server* takes one image over an association of its own."""
    try:
        with Association(server.port, server.ae_title, CTImageStorage, PATIENCE_S) as association:
            association.store(association.store_pdus(*one))
    except (OSError, PeerFailed):
        return False
    return True


def _answers(server: Server) -> bool:
    """Tell whether it accepts an association."""
    try:
        with Association(server.port, server.ae_title, CTImageStorage, PATIENCE_S):
            return True
    except (OSError, PeerFailed):
        return False


def _store_pdus(server: Server, one: Instance) -> list[bytes]:
    """Return what a peer sends that stores one image, PDU by PDU."""
    request = command.store_request(CTImageStorage, one[0], 1)
    command_pdu = message_pdus(request, b"", MAXIMUM_PDU)
    data_pdus = message_pdus(request, one[1], MAXIMUM_PDU)[len(command_pdu) :]
    asked = associate_request(server.ae_title, "CHANGED", CTImageStorage)
    return [asked, command_pdu, data_pdus, pdu(RELEASE_RQ, bytes(4))]


def changed(pdus: Sequence[bytes], chance: random.Random) -> list[bytes]:
    """Return *pdus* with one to three of them changed, cut, repeated, or of another length than they say."""
    made = [bytearray(one) for one in pdus]
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(made))
        one = made[at]
        match chance.randrange(4):
            case 0:
                for _ in range(8):
                    one[chance.randrange(len(one))] = chance.randrange(256)
            case 1:
                del one[max(6, chance.randrange(len(one))) :]
            case 2:
                made.insert(at, one)
            case _:
                struct.pack_into(">L", one, 2, chance.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)))
    return [bytes(one) for one in made]


def _claims(server: Server, one: Instance) -> Iterator[list[bytes]]:
    """Yield what each malicious peer sends: a request, a data set and a command set of 4 GiB."""
    filler = [bytes(1 << 20)] * (BOMB_BYTES >> 20)
    asked, command_pdu, _, _ = _store_pdus(server, one)
    head = struct.Struct(">BxL")
    fragment = struct.Struct(">BxLLBB")
    yield [head.pack(ASSOCIATE_RQ, CLAIMED), *filler]
    yield [asked, command_pdu, fragment.pack(P_DATA, CLAIMED, CLAIMED - 4, CONTEXT_ID, 0), *filler]
    yield [asked, fragment.pack(P_DATA, CLAIMED, CLAIMED - 4, CONTEXT_ID, COMMAND), *filler]


def _send(server: Server, parts: Iterable[bytes], answers_s: float) -> None:
    """Send *parts* as far as they are taken, and wait so long for what is said to them."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, server.port), PATIENCE_S) as peer:
        for part in parts:
            peer.sendall(part)
        peer.settimeout(answers_s)
        while peer.recv(1 << 16):
            pass


def _kill(pid: int) -> None:
    for one in reversed(list(tree(pid))):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _run(*words: str) -> None:
    try:
        subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or error
        raise NotMeasured(f"a full disk ({str(said).strip()})") from error


if __name__ == "__main__":
    typer.run(main)
