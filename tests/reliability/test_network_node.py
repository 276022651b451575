"""R15, R16, R19 and long work: how a node ends, reloads, lets in, keeps its size, and stays in touch."""

import contextlib
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as StudyRootMove

from scp.config import Config, Peer
from scp.errors import Cancelled, Code, PeerFailed, Refused
from scp.model import Event, FileRef, Planned, Produced
from scp.net.admission import Admitted
from scp.net.requestor import Requestor
from scp.services import retrieve
from tests.builders import SERIES_UID, STUDY_UID, image, series, uid, write, write_series
from tests.net.archive_twin import ArchiveTwin
from tests.net.nodes import (
    RunningNode,
    association_request,
    caller,
    dcmtk,
    p_data,
    read_pdu,
    start_node,
    wait_until,
)
from tests.net.test_requestor import KEYS
from tests.reliability.nodes import CONFIGURATION, Client, Served, planes_of, unguarded
from tests.services.test_find import MprTwin
from tests.services.test_retrieve import Pair, established
from tests.services.test_store import ref

__all__ = ["dcmtk", "start_node"]  # fixtures

pytestmark = pytest.mark.wire

StartNode = Callable[..., RunningNode]
SHUTDOWN_DEADLINE_S = 2.0
SLACK_S = 8.0


# how a node ends and reloads


@contextlib.contextmanager
def stuck(port: int) -> Iterator[None]:
    """Hold connections that are silent, half associated, associated and idle, and inside a message."""
    with contextlib.ExitStack() as stack:
        for begin in (b"", association_request()[:50], None, p_data(1, b"half"), b"\4\0\0\0\1\0"):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            if begin is None or begin[:1] == b"\4":
                connection.sendall(association_request(calling="CLIENT"))
                assert read_pdu(connection)[0] == 2
            connection.sendall(begin or b"")
        yield


@pytest.mark.kill
def test_sigterm_ends_the_node_with_stuck_peers_and_all(tmp_path: Path) -> None:
    with Served(tmp_path) as node, stuck(node.port):
        assert node.process is not None
        begun = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(SHUTDOWN_DEADLINE_S + SLACK_S) == 0
        assert time.monotonic() - begun < SHUTDOWN_DEADLINE_S + SLACK_S


@pytest.mark.kill
def test_control_a_node_that_waits_for_its_peers_does_not_end(tmp_path: Path) -> None:
    with Served(tmp_path, program=unguarded("patient")) as node, stuck(node.port):
        assert node.process is not None
        node.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            node.process.wait(SHUTDOWN_DEADLINE_S + 1.0)


NEWCOMER = """
[peers.NEW]
ae_title = "NEWCOMER"
networks = ["127.0.0.1"]
rights = ["echo"]
"""

BAD = {
    "an unknown section": CONFIGURATION + NEWCOMER + "[nonsense]\n",
    "a bad value": CONFIGURATION.replace('"2 s"', '"soon"') + NEWCOMER,
    "no TOML": CONFIGURATION + NEWCOMER + "[peers",
    "no text": "\0\udcff" + CONFIGURATION + NEWCOMER,
    "a file that is gone": None,
}


def what_sighup_does(node: Served) -> dict[str, str]:
    """Give a node one file after the other; return what it says of each, and whom it answers then."""
    done, file = {}, node.folder / "node.toml"
    last = {"a good one": CONFIGURATION + NEWCOMER, "a bad one now": "[nonsense]"}
    for name, text in (BAD | last).items():
        file.unlink() if text is None else file.write_bytes(text.encode(errors="surrogateescape"))
        said = hung_up(node)
        answered = [title for title in ("CLIENT", "NEWCOMER") if works(Client(node.port, title).echo)]
        done[name] = f"{said}; answers {', '.join(answered)}"
    return done


OLD_STAYS = "not reloaded, the old configuration stays"


@pytest.mark.kill
def test_sighup_refuses_a_bad_file_whole_and_takes_a_good_one(tmp_path: Path) -> None:
    with Served(tmp_path) as node:
        assert what_sighup_does(node) == dict.fromkeys(BAD, f"{OLD_STAYS}; answers CLIENT") | {
            "a good one": "reloaded; answers CLIENT, NEWCOMER",
            "a bad one now": f"{OLD_STAYS}; answers CLIENT, NEWCOMER",
        }


@pytest.mark.kill
def test_control_a_node_that_falls_back_to_defaults_is_noticed_to_let_others_in(tmp_path: Path) -> None:
    with Served(tmp_path, program=unguarded("forgetful")) as node:
        done = what_sighup_does(node)
    assert done == dict.fromkeys(done, "reloaded; answers CLIENT, NEWCOMER")


def hung_up(node: Served) -> str:
    """Send SIGHUP and return what the node then says, up to the reason."""
    assert node.process is not None
    before = len(node.log.read_text())
    node.process.send_signal(signal.SIGHUP)
    said = re.compile(r"^mpr-scp: (reloaded|not reloaded, [a-z ]+)", re.MULTILINE)
    wait_until(lambda: said.search(node.log.read_text(), before))
    found = said.search(node.log.read_text(), before)
    assert found
    return found[1]


# who may do what

RIGHTS = ("echo", "store", "find", "move", "get", "mpr")


@dataclass
class Everything:
    """One attempt of each service by one calling AE title."""

    node: RunningNode
    calling: str
    folder: Path

    @property
    def requestor(self) -> Requestor:
        return Requestor(Config(), self.calling)

    def echo(self) -> object:
        return self.requestor.echo(self.node.peer)

    def store(self) -> object:
        instance = uid("right", self.calling)
        made = ref(write(image(SOPInstanceUID=instance), self.folder / f"{self.calling}.dcm"))
        (sent,) = self.requestor.store(self.node.peer, [made])
        if sent.status:
            raise PeerFailed(f"0x{sent.status:04X}")
        return sent

    def find(self) -> object:
        return list(self.requestor.find(self.node.peer, KEYS))

    def move(self) -> object:
        return self.requestor.move(self.node.peer, KEYS, "DEST")

    def get(self) -> object:
        return self.requestor.get(
            self.node.peer, KEYS, ArchiveTwin(self.folder), sop_classes=[CTImageStorage]
        )

    def mpr(self) -> object:
        asked = Dataset()
        asked.update(KEYS)
        asked.ReformattingOperationType = "MPR"
        return self.requestor.move(self.node.peer, asked, "DEST")


class Triggered(MprTwin):
    """Makes nothing of whatever has the trigger key, for those with the right."""

    def events_of(self, identifier: Dataset, requesting: Any, cancelled: Any) -> Any:
        if "ReformattingOperationType" not in identifier:
            return None
        if not requesting.may_mpr:
            raise Refused(Code.NOT_AUTHORIZED, "no right")
        return (event for event in [Planned(())])


def test_each_right_opens_its_own_service_and_no_other(start_node: StartNode, tmp_path: Path) -> None:
    destination = start_node(ae_title="DEST")
    dest = Peer(ae_title="DEST", host="127.0.0.1", port=destination.port, destination=True)
    peers = {right: caller(right.upper(), right) for right in RIGHTS}
    node = start_node(mpr=Triggered(), peers={"D": dest, "N": caller("NOTHING", "reject"), **peers})
    allowed = {}
    for calling in [*map(str.upper, RIGHTS), "NOTHING", "UNKNOWN"]:
        attempts = Everything(node, calling, tmp_path)
        allowed[calling] = {right for right in RIGHTS if works(getattr(attempts, right))}
    assert allowed == {right.upper(): {right} for right in RIGHTS} | {"NOTHING": set(), "UNKNOWN": set()}


def test_control_a_node_that_asks_for_no_right_is_noticed(
    start_node: StartNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Admitted, "may", lambda *_: True)
    with pytest.raises(AssertionError):
        test_each_right_opens_its_own_service_and_no_other(start_node, tmp_path)


def works(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except PeerFailed:
        return False
    return True


# long work

LONG_S = 9.0
CANCELLED_S, CANCELLED_SLACK_S = 1.0, 4.0


class Lasting:
    """Planes that take *seconds* before the first comes; ``over`` is set when the work has stopped."""

    def __init__(self, seconds: float, made: FileRef) -> None:
        self.seconds, self.made = seconds, made
        self.begun, self.over = threading.Event(), threading.Event()

    def __call__(self, cancelled: Callable[[], bool]) -> Iterator[Event]:
        try:
            self.begun.set()
            ends = time.monotonic() + self.seconds
            while time.monotonic() < ends:
                if cancelled():
                    raise Cancelled("as a reconstruction does")
                time.sleep(0.02)
            yield Planned((self.made.sop_instance_uid,))
            yield Produced(self.made)
        finally:
            self.over.set()


def lasting(start_node: StartNode, tmp_path: Path, seconds: float) -> tuple[Pair, Lasting]:
    work = Lasting(seconds, ref(write(image(), tmp_path / "a.dcm")))
    return Pair(start_node, MprTwin(events=work)), work


def asked_by_pynetdicom(node: RunningNode, patience_s: float) -> list[int]:
    """Return every status that pynetdicom's client sees with *patience_s* for its 30 s."""
    entity = AE("CALLER")
    entity.dimse_timeout = patience_s
    entity.add_requested_context(StudyRootMove)
    association = entity.associate("127.0.0.1", node.port, ae_title="NODE")
    statuses = [
        status.get("Status", -1) for status, _ in association.send_c_move(KEYS, "DEST", StudyRootMove)
    ]
    association.release() if association.is_established else association.abort()
    return statuses


@pytest.mark.parametrize(
    ("seconds", "pending_s", "patience_s"),
    [
        (LONG_S, 0.5, 6),  # in scale, so that a busy machine has the slack that people have
        pytest.param(90.0, retrieve.PENDING_EVERY_S, 30, marks=[pytest.mark.long, pytest.mark.timeout(300)]),
    ],
)
def test_a_long_reconstruction_keeps_its_requestors(
    start_node: StartNode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dcmtk: Callable[..., subprocess.CompletedProcess[str]],
    seconds: float,
    pending_s: float,
    patience_s: int,
) -> None:
    """Both clients give up after *patience_s* without a response; pynetdicom's own default is 30 s."""
    monkeypatch.setattr(retrieve, "PENDING_EVERY_S", pending_s)
    pair, _ = lasting(start_node, tmp_path, seconds)
    statuses: list[int] = []
    other = threading.Thread(target=lambda: statuses.extend(asked_by_pynetdicom(pair.node, patience_s)))
    other.start()
    keys = ["-k", "0008,0052=SERIES", "-k", f"0020,000D={STUDY_UID}", "-k", f"0020,000E={SERIES_UID}"]
    titles = ["-aet", "MOVESCU", "-aec", "NODE", "-aem", "DEST"]
    called = ["127.0.0.1", pair.node.port]
    done = dcmtk("movescu", "-S", "-td", patience_s, *titles, *keys, *called, timeout_s=60 + seconds)
    other.join()
    assert done.returncode == 0, done.stderr
    assert statuses[-1] == 0x0000 and 0xFF00 in statuses
    print(f"{seconds:g} s of work: {statuses.count(0xFF00)} pending responses before the final one")


def test_requestors_hear_of_long_work_every_five_seconds_and_far_sooner_than_they_give_up() -> None:
    assert retrieve.PENDING_EVERY_S <= 5.0


def test_control_a_requestor_that_hears_nothing_gives_up(
    start_node: StartNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieve, "PENDING_EVERY_S", 1e9)
    pair, _ = lasting(start_node, tmp_path, 3.0)
    assert 0x0000 not in asked_by_pynetdicom(pair.node, 0.5)


@pytest.mark.parametrize("seconds", [LONG_S, pytest.param(90.0, marks=pytest.mark.long)])
def test_a_cancel_after_a_tenth_is_answered_at_once_and_nothing_goes_on(
    start_node: StartNode, tmp_path: Path, seconds: float
) -> None:
    pair, work = lasting(start_node, tmp_path, seconds)
    association = established(pair.node, StudyRootMove)
    responses = association.send_c_move(KEYS, "DEST", StudyRootMove, msg_id=9)
    assert work.begun.wait(10)
    assert not work.over.wait(seconds / 10)
    begun = time.monotonic()
    association.send_c_cancel(9, query_model=StudyRootMove)
    assert [status.Status for status, _ in responses][-1] == 0xFE00
    answered_s = time.monotonic() - begun
    assert answered_s < CANCELLED_S + CANCELLED_SLACK_S
    assert work.over.wait(CANCELLED_S + CANCELLED_SLACK_S)
    print(f"cancelled after {seconds / 10:g} s, answered 0xFE00 {answered_s:.3f} s later")
    assert pair.destination.archive.stored == {}
    association.release()


# soak


Size = tuple[int, int, int]


def size_of(pid: int) -> Size:
    """Return resident memory in KiB, threads and descriptors of a process."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(status["VmRSS"].split()[0]), int(status["Threads"]), descriptors


class Load:
    """A client that stores, queries, retrieves, reconstructs, stalls and aborts, again and again."""

    def __init__(self, node: Served, paths: list[Path]) -> None:
        self.node, self.paths = node, paths
        self.rounds = 0

    def once(self) -> None:
        client = self.node.client
        keys = {"StudyInstanceUID": STUDY_UID, "SeriesInstanceUID": SERIES_UID}
        assert not any(client.store(*self.paths))
        assert len(client.find(level="IMAGE", SOPInstanceUID="", **keys)) == len(self.paths)
        assert client.get(**keys).completed == len(self.paths)
        assert client.get(**planes_of(SERIES_UID)).completed == 8
        with stuck(self.node.port):
            client.echo()
        self.rounds += 1

    def least_size(self, seconds: float) -> Size:
        """Go on for so long, and return the least that the node was after a round: memory comes and goes."""
        ends = time.monotonic() + seconds
        sizes = []
        while time.monotonic() < ends or not sizes:
            self.once()
            sizes.append(size_of(self.node.pid))
        return least(sizes)


@pytest.mark.kill
@pytest.mark.parametrize(
    "seconds", [15.0, pytest.param(4 * 3600.0, marks=[pytest.mark.long, pytest.mark.timeout(5 * 3600)])]
)
def test_a_node_does_not_grow(tmp_path: Path, seconds: float) -> None:
    with Served(tmp_path) as node:
        load = Load(node, write_series(series(12), tmp_path / "in"))
        load.least_size(seconds / 4)  # what is loaded once, and kept
        before = load.least_size(seconds / 4)
        load.least_size(seconds / 4)
        after = load.least_size(seconds / 4)
        print(f"{load.rounds} rounds in {seconds:g} s: KiB, threads, descriptors {before}, then {after}")
    assert load.rounds > 2
    assert not has_grown(before, after)


@pytest.mark.kill
def test_control_a_node_that_keeps_descriptors_is_seen_to_grow(tmp_path: Path) -> None:
    with Served(tmp_path, program=unguarded("leaky")) as node:
        node.client.echo()
        before = least_size(node)
        for _ in range(5):
            node.client.echo()
        assert has_grown(before, least_size(node))


def has_grown(before: Size, after: Size) -> bool:
    """Tell whether one of the sizes is more than what chance explains."""
    memory = after[0] > before[0] * 1.2 + 16 * 1024
    return memory or after[1] > before[1] + 1 or after[2] > before[2] + 2


def least_size(node: Served) -> Size:
    """Return the size without connections that were left and are not noticed yet."""
    sizes = []
    for _ in range(20):
        sizes.append(size_of(node.pid))
        time.sleep(0.05)
    return least(sizes)


def least(sizes: list[Size]) -> Size:
    memory, threads, descriptors = zip(*sizes, strict=True)
    return min(memory), min(threads), min(descriptors)
