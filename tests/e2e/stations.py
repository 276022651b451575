"""The application entities around a node in these tests: DCMTK's programs, dcmqrscp and Orthanc.

None of them is ours, so what they accept and what they read is a second opinion. Every program listens on a
free port of the loopback interface and has its AE title from the test.
"""

import contextlib
import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from scp.part10 import file_ref

ENVIRONMENT = {"TCP_NODELAY": "1", "PATH": "/usr/bin:/bin"}
"""DCMTK waits for delayed acknowledgements without it."""

RESPONSE_STATUS = re.compile(r"DIMSE Status\s+: 0x([0-9a-f]{4})")
ERROR_COMMENT = re.compile(r"\(0000,0902\) LO \[(.*?) ?\] +#")
COUNTS = re.compile(r"(Remaining|Completed|Failed|Warning) Suboperations\s+: (\w+)")

Programs = Callable[[str], str]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Return when *holds* does; the programs tell nobody when they are ready."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, f"{what} did not come within {seconds:g} s"
        time.sleep(0.01)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def data_sets(paths: Iterable[Path]) -> dict[tuple[str, str], bytes]:
    """Return the data sets of DICOM files as they lie there, by SOP Instance UID and transfer syntax."""
    refs = map(file_ref, paths)
    return {
        (ref.sop_instance_uid, ref.transfer_syntax_uid): ref.path.read_bytes()[ref.offset :][: ref.length]
        for ref in refs
    }


def read(folder: Path) -> list[Dataset]:
    """Return the objects in a folder, ordered by Instance Number."""
    objects = [pydicom.dcmread(path) for path in folder.iterdir()]
    return sorted(objects, key=lambda ds: int(ds.InstanceNumber or 0))


@dataclass(frozen=True)
class Answer:
    """What a requestor saw: exit code of its program, final status, Error Comment, what came.

    *counts* are those of the final response that were present, by the first word of their names.
    """

    exit_code: int
    status: int
    comment: str
    counts: Mapping[str, int]
    folder: Path
    text: str = field(repr=False)

    @property
    def objects(self) -> list[Dataset]:
        return read(self.folder)


@dataclass(frozen=True)
class Requestor:
    """DCMTK's command line programs as one application entity that calls the node on *port*."""

    programs: Programs
    folder: Path
    port: int
    ae_title: str = "DCMTK"

    def run(self, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.programs(name), *map(str, arguments)],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=100,
        )

    def store(self, *paths: Path, options: Sequence[str] = (), called: str = "MPRSCP") -> None:
        """Send files as a modality does; fails unless every instance is accepted."""
        done = self.run(
            "storescu", "-aet", self.ae_title, "-aec", called, *options, "127.0.0.1", self.port, "+sd", *paths
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def find(
        self, *keys: str, called: str = "MPRSCP", model: str = "-S", header: Path | None = None
    ) -> list[Dataset]:
        """Return the answers to a C-FIND; *keys* as for ``-k``."""
        folder = self._new_folder("find")
        answer = self._ask("findscu", called, model, keys, ("-X", "-od", folder), header, folder)
        assert answer.status == 0x0000, answer.text[-2000:]
        return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]

    def get(
        self,
        *keys: str,
        called: str = "MPRSCP",
        model: str = "-S",
        options: Sequence[str] = (),
        header: Path | None = None,
    ) -> Answer:
        """Retrieve by C-GET; what comes is written as it arrives."""
        folder = self._new_folder("get")
        return self._ask("getscu", called, model, keys, ("+B", "-od", folder, *options), header, folder)

    def move(
        self,
        *keys: str,
        to: "StoreSCP | str",
        called: str = "MPRSCP",
        model: str = "-S",
        header: Path | None = None,
    ) -> Answer:
        """Retrieve by C-MOVE to a destination, whose folder is emptied before."""
        folder = Path() if isinstance(to, str) else to.folder
        if isinstance(to, StoreSCP):
            to.empty()
        title = to if isinstance(to, str) else to.ae_title
        return self._ask("movescu", called, model, keys, ("-aem", title), header, folder)

    def _ask(
        self,
        program: str,
        called: str,
        model: str,
        keys: Sequence[str],
        options: Sequence[object],
        header: Path | None,
        folder: Path,
    ) -> Answer:
        given = [word for key in keys for word in ("-k", key)]
        files = [header] if header else []
        done = self.run(
            program,
            *(model, "-d", "-aet", self.ae_title, "-aec", called),
            *(*options, *given, "127.0.0.1", self.port, *files),
        )
        text = done.stdout + done.stderr
        statuses, comments = RESPONSE_STATUS.findall(text), ERROR_COMMENT.findall(text)
        last = text.rpartition("INCOMING DIMSE MESSAGE")[2].partition("END DIMSE MESSAGE")[0]
        counts = {name: int(count) for name, count in COUNTS.findall(last) if count != "none"}
        status = int(statuses[-1], 16) if statuses else -1
        return Answer(done.returncode, status, comments[-1] if comments else "", counts, folder, text)

    def _new_folder(self, name: str) -> Path:
        self.folder.mkdir(exist_ok=True)
        folder = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        return folder


@dataclass
class StoreSCP:
    """DCMTK's storescp as a move destination that writes data sets as they arrive."""

    folder: Path
    port: int
    ae_title: str
    process: subprocess.Popen[bytes]

    def empty(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


@contextlib.contextmanager
def storescp(
    programs: Programs, folder: Path, ae_title: str = "WORKSTATION", options: Sequence[str] = ()
) -> Iterator[StoreSCP]:
    """Run storescp; it takes every transfer syntax and SOP class, private ones too."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    accepts = options or ("+xa", "-pm")
    words = ["-q", "-aet", ae_title, *accepts, "+B", "-od", folder, port]
    with program(programs("storescp"), *words, port=port) as process:
        yield StoreSCP(folder, port, ae_title, process)


@contextlib.contextmanager
def program(
    path: str, *words: object, port: int, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that listens on *port* until the block ends."""
    process = subprocess.Popen(
        [path, *map(str, words)],
        env=ENVIRONMENT,
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: listens(port), f"{Path(path).name} on its port")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class PeerArchive:
    """DCMTK's dcmqrscp: an archive that the node may ask for what it lacks."""

    requestor: Requestor
    port: int
    ae_title: str = "PEERARCHIVE"

    def store(self, *paths: Path) -> None:
        self.requestor.store(*paths, called=self.ae_title)


@contextlib.contextmanager
def dcmqrscp(programs: Programs, folder: Path, movers: Mapping[str, int]) -> Iterator[PeerArchive]:
    """Run dcmqrscp, which may C-MOVE to the AE titles *movers* on their ports."""
    storage, port = folder / "storage", free_port()
    storage.mkdir(parents=True)
    hosts = "\n".join(f"{title} = ({title}, 127.0.0.1, {port})" for title, port in movers.items())
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{hosts}\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{PeerArchive.ae_title} {storage} RW (500, 1024mb) ANY\nAETable END\n"
    )
    with program(programs("dcmqrscp"), "-q", "-c", configuration, port=port):
        yield PeerArchive(Requestor(programs, folder / "answers", port), port)


@dataclass(frozen=True)
class Orthanc:
    """A free archive whose own client sends nothing but UIDs in a C-MOVE."""

    port: int
    http_port: int
    ae_title: str = "ORTHANC"

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """Return what its REST interface answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            content = response.read()
        return json.loads(content) if content else None

    def dicom(self, instance_id: str) -> bytes:
        """Return one stored file."""
        url = f"http://127.0.0.1:{self.http_port}/instances/{instance_id}/file"
        with urllib.request.urlopen(url, timeout=60) as response:
            content: bytes = response.read()
        return content


@contextlib.contextmanager
def orthanc(
    programs: Programs, folder: Path, *options: str, movers: Mapping[str, int] | None = None
) -> Iterator[Orthanc]:
    """Run Orthanc with an empty storage; it may C-MOVE to the AE titles *movers* on their ports."""
    folder.mkdir(parents=True, exist_ok=True)
    port, http_port = free_port(), free_port()
    configuration = folder / "orthanc.json"
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": Orthanc.ae_title,
        "DicomPort": port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "DicomModalities": {title: [title, "127.0.0.1", mover] for title, mover in (movers or {}).items()},
        "Plugins": [],
    }
    configuration.write_text(json.dumps(settings))
    with program(programs("Orthanc"), *options, configuration, port=port, cwd=folder):
        wait_for(lambda: listens(http_port), "Orthanc's REST interface")
        yield Orthanc(port, http_port)
