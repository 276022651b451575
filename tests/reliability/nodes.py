"""A whole node as these tests need it: in this process, or in one that can be killed; and who calls it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from scp.config import Archive, Config, Node, Peer
from scp.errors import PeerFailed
from scp.model import FileRef, Origin, Stored
from scp.net.lazy_sender import LazySender
from scp.net.requestor import Requestor, Retrieved
from scp.net.sending import Sent
from scp.node import Node as WholeNode
from scp.part10 import file_ref
from tests.builders import write_series

RIGHTS = ("echo", "store", "find", "move", "get", "mpr")


def caller(ae_title: str, *rights: str, **settings: Any) -> Peer:
    """Return a peer that calls from this machine."""
    return Peer(ae_title=ae_title, networks=("127.0.0.1",), rights=rights or RIGHTS, **settings)


@contextlib.contextmanager
def whole_node(root: Path, *peers: Peer, **sections: Any) -> Iterator[WholeNode]:
    """Run a node with everything on the archive *root*; CLIENT may call it, and *peers*."""
    archive = {"root": root, "minimum_free": 0} | sections.pop("archive", {})
    config = Config(
        node=Node(port=0, shutdown_deadline=1.0),
        archive=Archive(**archive),
        peers={peer.ae_title: peer for peer in (caller("CLIENT"), *peers)},
        **sections,
    )
    with WholeNode(config) as node:
        yield node


class Kept:
    """A sink that keeps data sets in memory, by SOP Instance UID and transfer syntax."""

    def __init__(self) -> None:
        self.data_sets: dict[tuple[str, str], bytes] = {}

    def begin(self, origin: Origin) -> "_Keeping":
        return _Keeping(self, origin)


class _Keeping:
    def __init__(self, kept: Kept, origin: Origin) -> None:
        self._kept, self._origin, self._data = kept, origin, bytearray()

    def write(self, fragment: bytes | memoryview) -> None:
        self._data += fragment

    def commit(self) -> Stored:
        uid = self._origin.sop_instance_uid
        self._kept.data_sets[uid, self._origin.transfer_syntax_uid] = bytes(self._data)
        return Stored(uid, Path(), "stored")

    def abandon(self) -> None:
        pass


@dataclass
class Client:
    """An application entity that calls a node on *port*, by our own requestor."""

    port: int
    ae_title: str = "CLIENT"
    received: Kept = field(default_factory=Kept)

    @property
    def _node(self) -> Peer:
        return Peer(name="node", ae_title="MPRSCP", host="127.0.0.1", port=self.port, deadline=100.0)

    @property
    def requestor(self) -> Requestor:
        return Requestor(Config(), self.ae_title)

    def store(self, *paths: Path) -> list[int]:
        """Store files and return the status of each."""
        return [sent.status for sent in self.sent(map(file_ref, paths))]

    def sent(self, refs: Iterable[FileRef]) -> Iterator[Sent]:
        return self.requestor.store(self._node, refs, deadline_s=60.0)

    def sender(self) -> LazySender:
        """Return what stores one file after the other over one association."""
        return self.requestor.sender(self._node, deadline_s=60.0)

    def echo(self) -> None:
        self.requestor.echo(self._node)

    def find(self, **keys: Any) -> list[Dataset]:
        return list(self.requestor.find(self._node, identifier(**keys)))

    def get(self, sop_classes: Iterable[str] = (CTImageStorage,), **keys: Any) -> Retrieved:
        """Retrieve by C-GET what is of *sop_classes*; what comes is in ``received``."""
        return self.requestor.get(self._node, identifier(**keys), self.received, sop_classes=sop_classes)

    def get_status(self, **keys: Any) -> tuple[int, str]:
        """Retrieve by C-GET and return final status and Error Comment, failures too."""
        try:
            answer = self.get(**keys)
        except PeerFailed as failed:
            found = re.search(r"ended with status 0x([0-9A-F]{4})(?:, )?(.*)", str(failed))
            assert found, str(failed)
            return int(found[1], 16), found[2]
        return answer.status, answer.error_comment

    def move(self, destination: str, **keys: str) -> Retrieved:
        return self.requestor.move(self._node, identifier(**keys), destination)


def identifier(**keys: Any) -> Dataset:
    """Return an identifier of the Query/Retrieve Level *level* with these keys."""
    ds = Dataset()
    ds.QueryRetrieveLevel = keys.pop("level", "SERIES")
    for keyword, value in keys.items():
        setattr(ds, keyword, value)
    return ds


def planes_of(series_instance_uid: str, direction: str = "CORONAL") -> dict[str, str]:
    """Return the keys that ask for the planes of a series."""
    return {
        "SeriesInstanceUID": series_instance_uid,
        "ReformattingOperationType": "MPR",
        "ReformattingOperationInitialViewDirection": direction,
    }


def copied_in(datasets: Iterable[Dataset], folder: Path) -> list[Path]:
    """Write files as people copied them in some time ago; a sweep waits for those that are young."""
    paths = write_series(datasets, folder)
    for path in (*paths, folder):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return paths


CONFIGURATION = """
[node]
port = 0
log_level = "debug"
shutdown_deadline = "2 s"
[archive]
root = "archive"
minimum_free = "0 KiB"
[peers.CLIENT]
ae_title = "CLIENT"
networks = ["127.0.0.1"]
rights = ["echo", "store", "find", "move", "get", "mpr", "reject"]
"""


def unguarded(without: str) -> tuple[str, ...]:
    """Return what Python runs for a node that lacks one guard, by its name in ``unguarded.py``."""
    return str(Path(__file__).with_name("unguarded.py")), without


class Served:
    """A node in a process of its own, as a person starts it; its log is kept in ``log``.

    *program* is what Python runs, *settings* a configuration. A context manager that kills what still runs.
    """

    def __init__(
        self,
        folder: Path,
        settings: str = CONFIGURATION,
        program: tuple[str, ...] = ("-m", "scp"),
    ) -> None:
        self.folder = folder
        self.root = folder / "archive"
        self.log = folder / "log"
        self._program = program
        (folder / "node.toml").write_text(settings)
        self.process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self) -> "Served":
        words = [sys.executable, *self._program, "serve", "--config", str(self.folder / "node.toml")]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        self._read_port(self.process)
        return self

    def _read_port(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"listening on .*:(\d+) as", line)
        assert found, f"{line!r}, {self.log.read_text()[-2000:]}"
        self.port = int(found[1])

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def client(self) -> Client:
        return Client(self.port)

    def kill(self) -> None:
        """Kill the node and all its children as a power cut would, but that the disk stays."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None

    def workers(self) -> set[int]:
        """Return the processes that render now: the children of the fork server."""
        return {pid for child in _children(self.pid) for pid in _children(child)}

    def __enter__(self) -> "Served":
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.kill()


class Mortal(Served):
    """A node that is started and killed again and again: each life is forked by ``warm.py``."""

    _life = 0

    @property
    def pid(self) -> int:
        return self._life

    def start(self) -> "Mortal":
        if self.process is None:
            words = [sys.executable, str(Path(__file__).with_name("warm.py"))]
            with self.log.open("a") as log:
                self.process = subprocess.Popen(
                    words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
                )
        assert self.process.stdin is not None and self.process.stdout is not None
        print("serve", "--config", self.folder / "node.toml", sep="\t", file=self.process.stdin, flush=True)
        self._life = int(self.process.stdout.readline())
        self._read_port(self.process)
        return self

    def kill(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        os.killpg(self._life, signal.SIGKILL)
        assert self.process.stdout.readline() == "ended\n"
        self._life = 0

    def __exit__(self, *_exception: object) -> None:
        if self._life:
            self.kill()
        if self.process is not None:
            self.process.communicate()


def _children(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= {int(child) for child in task.read_text().split()}
    return found


def in_threads(*work: Any) -> None:
    """Run the functions at the same time and return when all are done."""
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
