"""The application entities that are measured: this node and others, each a process of its own.

Every one listens on a free port of the loopback interface and keeps what it gets in a folder of its own on
the disk under test. DCMTK's programs run with TCP_NODELAY=1: without it a run compares delayed
acknowledgements. A program that is not installed is told as ``NotMeasured``.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from scp.cli.bench.measuring import NotMeasured
from scp.errors import PeerFailed

HOST = "127.0.0.1"
MAXIMUM_PDU = 131072
"""What every receiver is told to take, bytes: the most that DCMTK can."""

START_S = 60.0
STOP_S = 10.0
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}

Settings = Mapping[str, Mapping[str, object]]
"""Sections of a configuration of ours, by name."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running application entity; *does* says how it stores, since that is what is compared."""

    name: str
    does: str
    ae_title: str
    port: int
    folder: Path
    pid: int


Start = Callable[[Path], AbstractContextManager[Server]]
"""Starts a server that keeps what it gets in the folder that it is given."""


def installed(program: str) -> str:
    """Return the path of a program. Raises ``NotMeasured``."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise NotMeasured(f"{program} is not installed")
    return path


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def node(folder: Path, settings: Settings | None = None) -> Iterator[Server]:
    """Run this node as it is installed, with *settings* over its defaults."""
    port = free_port()
    sections: dict[str, Mapping[str, object]] = {
        "node": {"port": port, "open": True, "shutdown_deadline": "2 s", "log_level": "error"},
        **(settings or {}),
    }
    archive = {"root": str(folder / "archive"), **sections.get("archive", {})}
    configuration = folder / "node.toml"
    folder.mkdir(parents=True, exist_ok=True)
    configuration.write_text(_toml({**sections, "archive": archive}))
    words = [sys.executable, "-m", "scp", "serve", "--config", str(configuration)]
    synced = "synced" if archive.get("durable", True) else "not synced"
    with _serving(words, port, folder) as pid:
        yield Server("mpr-scp", f"{synced}, indexed", "MPRSCP", port, folder / "archive", pid)


def unsynced(folder: Path) -> AbstractContextManager[Server]:
    """Run this node without syncing what it is sent: fast to fill."""
    return node(folder, {"archive": {"durable": False}})


@contextlib.contextmanager
def receiver(folder: Path) -> Iterator[Server]:
    """Run the network of this node over a plain folder: nothing synced, nothing indexed."""
    port = free_port()
    words = [sys.executable, "-m", "scp.cli.bench.receiver", str(port), str(folder)]
    with _serving(words, port, folder) as pid:
        yield Server("mpr-scp receiver", "not synced, not indexed", "MPRSCP", port, folder, pid)


@contextlib.contextmanager
def storescp(folder: Path) -> Iterator[Server]:
    port = free_port()
    words = [installed("storescp"), "-q", "-aet", "STORESCP", "-pdu", MAXIMUM_PDU, "+B", "-od", folder, port]
    with _serving(words, port, folder) as pid:
        yield Server("storescp", "not synced, not indexed", "STORESCP", port, folder, pid)


@contextlib.contextmanager
def ignoring_storescp(folder: Path) -> Iterator[Server]:
    """Run a storescp that answers and forgets, a process for each association."""
    port = free_port()
    words = [installed("storescp"), "-q", "-aet", "IGNORING", "-pdu", MAXIMUM_PDU, "--ignore", "--fork", port]
    with _serving(words, port, folder) as pid:
        yield Server("storescp --ignore", "nothing stored", "IGNORING", port, folder, pid)


@contextlib.contextmanager
def dcmqrscp(folder: Path, movers: Mapping[str, int] | None = None) -> Iterator[Server]:
    """Run DCMTK's archive; it may send to the AE titles *movers* on their ports."""
    storage, port = folder / "storage", free_port()
    storage.mkdir(parents=True, exist_ok=True)
    hosts = "\n".join(f"{title} = ({title}, {HOST}, {port})" for title, port in (movers or {}).items())
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = {MAXIMUM_PDU}\nMaxAssociations = 200\n"
        f"HostTable BEGIN\n{hosts}\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMQRSCP {storage} RW (100, 4096mb) ANY\nAETable END\n"
    )
    words = [installed("dcmqrscp"), "-q", "-c", configuration, "-pdu", MAXIMUM_PDU]
    with _serving(words, port, folder) as pid:
        yield Server("dcmqrscp", "not synced, indexed", "DCMQRSCP", port, storage, pid)


@contextlib.contextmanager
def orthanc(
    folder: Path, movers: Mapping[str, int] | None = None, *, synced: bool = True
) -> Iterator[Server]:
    """Run Orthanc; *synced* is its ``SyncStorageArea``."""
    folder.mkdir(parents=True, exist_ok=True)
    port, http_port = free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "SyncStorageArea": synced,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "HttpPort": http_port,
        "MaximumPduLength": MAXIMUM_PDU,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {title: [title, HOST, mover] for title, mover in (movers or {}).items()},
        "Plugins": [],
    }
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(settings))
    with _serving([installed("Orthanc"), configuration], port, folder) as pid:
        does = "synced, indexed" if synced else "not synced, indexed"
        yield Server("Orthanc", does, "ORTHANC", port, folder / "storage", pid)


@contextlib.contextmanager
def pynetdicom_storescp(folder: Path) -> Iterator[Server]:
    """Run pynetdicom's own storescp, as it comes."""
    port = free_port()
    options = ["-q", "-aet", "PYNETDICOM", "-pdu", MAXIMUM_PDU, "-od", folder, port]
    with _serving([sys.executable, "-m", "pynetdicom", "storescp", *options], port, folder) as pid:
        yield Server("pynetdicom", "not synced, not indexed", "PYNETDICOM", port, folder, pid)


@contextlib.contextmanager
def _serving(words: list[object] | list[str], port: int, folder: Path) -> Iterator[int]:
    """Run a program that listens on *port* until the block ends; yield its process id."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in words],
            env=ENVIRONMENT,
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_until_it_listens(process, port, log)
            yield process.pid
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            with contextlib.suppress(ProcessLookupError):  # what it forked may still write
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.01)
    said = log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing was printed"]
    name = Path(str(process.args[0])).name  # type: ignore[index]
    within = f" within {START_S:g} s" if process.poll() is None else ""
    raise PeerFailed(f"{name} does not listen{within}: {said[0]}")


def _toml(sections: Settings) -> str:
    """Return *sections* as TOML; its strings, numbers, booleans and lists are those of JSON."""
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"
