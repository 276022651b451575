"""R1 and R23: processes that are killed. What was acknowledged stays; a dead child harms one request."""

import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from scp.archive import Archive
from scp.errors import PeerFailed
from scp.model import FileRef
from scp.part10 import file_ref
from tests.archive.conftest import sent
from tests.builders import image, series, uid, write
from tests.net.nodes import wait_until
from tests.reliability.nodes import Client, Mortal, Served, copied_in, in_threads, planes_of, unguarded
from tests.reliability.test_crash_states import settings_of

pytestmark = [pytest.mark.kill, pytest.mark.wire]

CLIENTS = 4


class Sender:
    """One client that stores images of its own without end, and keeps a list of what was acknowledged."""

    def __init__(self, folder: Path, number: int) -> None:
        self.acknowledged: dict[str, bytes] = {}
        self._name = uid("sender", number)[:50]
        ds = image(SOPInstanceUID=self._named(0), SeriesInstanceUID=uid("of", number))
        self._path = write(ds, folder / f"{number}.dcm")
        self._made = 0

    def send_until_it_dies(self, client: Client, acknowledged: Callable[[], object]) -> None:
        """Store over one association until the node is gone; *acknowledged* is called after each."""
        with suppress(PeerFailed, OSError), client.sender() as sender:
            while True:
                ref = self._next()
                if sender.send(ref).status == 0x0000:
                    self.acknowledged[ref.sop_instance_uid] = ref.path.read_bytes()[ref.offset :]
                    acknowledged()

    def _next(self) -> FileRef:
        """Return an image that differs from the one before in nothing but its UID: hundreds are needed."""
        content = self._path.read_bytes()
        before, self._made = self._named(self._made), self._made + 1
        self._path.write_bytes(content.replace(before.encode(), self._named(self._made).encode()))
        return file_ref(self._path)

    def _named(self, number: int) -> str:
        return f"{self._name}.{1_000_000 + number}"


def losses(root: Path, senders: list[Sender]) -> list[str]:
    """Return the acknowledged instances that the archive does not give back byte for byte."""
    lost = []
    with Archive.open(settings_of(root)) as archive:
        archive.reindex()
        for sender in senders:
            for name, data_set in sender.acknowledged.items():
                found = archive.instance_files(name)
                if not any(facts.path.read_bytes().endswith(data_set) for facts in found):
                    lost.append(name)
        assert list(archive.verify()) == []
    return lost


class Countdown:
    """Set after so many acknowledgements, whoever got them."""

    def __init__(self, count: int) -> None:
        self._left, self._lock, self._reached = count, threading.Lock(), threading.Event()

    def one(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                self._reached.set()

    def wait(self) -> None:
        assert self._reached.wait(60), "too few were acknowledged"


def kill_again_and_again(served: Served, senders: list[Sender], kills: int) -> None:
    chance = random.Random(7)
    for life in range(kills):
        if life or served.port == 0:
            served.start()
        _kill_once(served, senders, Countdown(chance.randint(20, 120)), chance.random() * 0.01)


def _kill_once(served: Served, senders: list[Sender], countdown: Countdown, delay_s: float) -> None:
    """Kill the node somewhere within a store, while all send."""

    def kill() -> None:
        countdown.wait()
        time.sleep(delay_s)
        served.kill()

    client = served.client
    in_threads(kill, *(partial(sender.send_until_it_dies, client, countdown.one) for sender in senders))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [10, pytest.param(300, marks=pytest.mark.long)])
def test_what_was_acknowledged_survives_kills_of_the_node(tmp_path: Path, kills: int) -> None:
    senders = [Sender(tmp_path / "out", number) for number in range(CLIENTS)]
    with Mortal(tmp_path) as mortal:
        kill_again_and_again(mortal, senders, kills)
    count = sum(len(sender.acknowledged) for sender in senders)
    assert count > 20 * kills
    assert losses(tmp_path / "archive", senders) == []
    print(f"{kills} kills, {count} acknowledged, lost 0")


def test_control_a_node_that_acknowledges_too_early_loses_some(tmp_path: Path) -> None:
    senders = [Sender(tmp_path / "out", number) for number in range(CLIENTS)]
    early = Served(tmp_path, program=unguarded("early"))
    kill_again_and_again(early, senders, 1)
    assert losses(tmp_path / "archive", senders)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A node whose archive holds a series that takes a while to render."""
    copied_in(series(60, rows=256, columns=256), tmp_path / "archive" / "theirs")
    with Served(tmp_path) as running:
        yield running


def wait_for_a_worker(served: Served, known: set[int], seconds: float = 60) -> set[int]:
    ends = time.monotonic() + seconds
    while not (new := served.workers() - known):
        assert time.monotonic() < ends, "nobody renders"
        time.sleep(0.002)
    return new


@contextmanager
def storing(served: Served, folder: Path) -> Iterator[list[Sender]]:
    """Let clients store while entered; the node is killed at the end."""
    senders = [Sender(folder, number) for number in range(CLIENTS)]
    begun = Countdown(CLIENTS)
    work = [partial(sender.send_until_it_dies, served.client, begun.one) for sender in senders]
    together = threading.Thread(target=in_threads, args=work)
    together.start()
    try:
        begun.wait()
        yield senders
    finally:
        served.kill()
        together.join()


def counts(senders: list[Sender]) -> list[int]:
    return [len(sender.acknowledged) for sender in senders]


def test_killed_children_are_answered_and_the_next_request_works_and_stores_go_on(
    served: Served, tmp_path: Path
) -> None:
    client, keys = served.client, planes_of(image().SeriesInstanceUID)
    process_id, answers = served.pid, []
    with storing(served, tmp_path / "out") as senders:
        for _ in range(3):
            known = served.workers()
            asking = threading.Thread(target=lambda: answers.append(served.client.get_status(**keys)))
            asking.start()
            for worker in wait_for_a_worker(served, known):
                os.kill(worker, signal.SIGKILL)
            asking.join(60)
        killed = counts(senders)
        assert client.get_status(**keys)[0] == 0x0000
        wait_until(lambda: all(now > then for now, then in zip(counts(senders), killed, strict=True)), 60)
        assert served.pid == process_id and served.process is not None and served.process.poll() is None
    assert len(answers) == 3
    for status, comment in answers:
        assert (status, comment[:8]) in ((0xC0FF, "internal"), (0xB000, ""), (0xA702, "")), answers
    assert losses(tmp_path / "archive", senders) == []


def test_a_stopped_child_is_refused_by_the_deadline(tmp_path: Path) -> None:
    copied_in(series(60, rows=256, columns=256), tmp_path / "archive" / "theirs")
    settings = '[node]\nport = 0\n[archive]\nroot = "archive"\n[reconstruction]\ndeadline = "2 s"\n'
    with Served(tmp_path, settings) as running:
        keys, answers = planes_of(image().SeriesInstanceUID), []
        asking = threading.Thread(target=lambda: answers.append(running.client.get_status(**keys)))
        asking.start()
        for worker in wait_for_a_worker(running, set()):
            os.kill(worker, signal.SIGSTOP)
        asking.join(60)
        ((status, comment),) = answers
        assert (status, comment[:8]) in ((0xC022, "deadline"), (0xA702, "")), answers
        assert running.workers() == set()
        running.client.echo()


def test_a_child_out_of_memory_is_answered_and_the_next_request_works(served: Served) -> None:
    keys, answers = planes_of(image().SeriesInstanceUID), []
    asking = threading.Thread(target=lambda: answers.append(served.client.get_status(**keys)))
    process_id, known = served.pid, served.workers()
    asking.start()
    for worker in wait_for_a_worker(served, known):
        with suppress(ProcessLookupError):
            resource.prlimit(worker, resource.RLIMIT_AS, (1 << 20, 1 << 20))
    asking.join(60)
    ((status, comment),) = answers
    assert (status, comment[:8]) in ((0xC0FF, "internal"), (0xB000, "1 of 1"), (0xA702, "")), answers
    assert served.client.get_status(**keys)[0] == 0x0000
    assert served.pid == process_id and served.process is not None and served.process.poll() is None


def test_control_a_node_that_renders_itself_dies_with_what_it_renders(tmp_path: Path) -> None:
    copied_in(series(60, rows=256, columns=256), tmp_path / "archive" / "theirs")
    with Served(tmp_path, program=unguarded("inline")) as running:
        with pytest.raises((PeerFailed, AssertionError)):
            running.client.get_status(**planes_of(image().SeriesInstanceUID))
        assert running.process is not None and running.process.wait(60) == -signal.SIGKILL


def test_the_fork_server_is_made_anew_when_it_dies(served: Served) -> None:
    keys = planes_of(image().SeriesInstanceUID)
    assert served.client.get_status(**keys)[0] == 0x0000
    for child in _fork_servers(served.pid):
        os.kill(child, signal.SIGKILL)
    other = planes_of(image().SeriesInstanceUID, "SAGITTAL")
    assert served.client.get_status(**other)[0] == 0x0000


def _fork_servers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_a_data_set_as_sent_is_what_the_lists_hold(tmp_path: Path) -> None:
    ds: Dataset = image(3)
    ref = file_ref(write(ds, tmp_path / "a.dcm"))
    assert ref.path.read_bytes()[ref.offset :] == sent(ds)[1]
