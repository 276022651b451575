"""Peer archives that tell what they send: dcmqrscp and Orthanc with logs of their own."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import stations
from tests.e2e.stations import Orthanc, PeerArchive, Programs, Requestor, free_port, program


@dataclass(frozen=True)
class Log:
    """The log of a peer; *sends* is what the line says that it writes for each instance it sends."""

    path: Path
    sends: re.Pattern[str]

    def sent(self) -> int:
        return len(self.sends.findall(self.path.read_text(errors="replace")))


@contextlib.contextmanager
def dcmqrscp(programs: Programs, folder: Path) -> Iterator[tuple[PeerArchive, Log, subprocess.Popen[bytes]]]:
    """Run dcmqrscp; yield the archive, its log, and its process, which has a child for each association."""
    storage, port = folder / "storage", free_port()
    storage.mkdir(parents=True)
    configuration, logging, log = (folder / name for name in ("dcmqrscp.cfg", "logger.cfg", "dcmqrscp.log"))
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{PeerArchive.ae_title} {storage} RW (500, 1024mb) ANY\nAETable END\n"
    )
    logging.write_text(
        "log4cplus.rootLogger = INFO, file\n"
        "log4cplus.appender.file = log4cplus::FileAppender\n"
        f"log4cplus.appender.file.File = {log}\n"
        "log4cplus.appender.file.ImmediateFlush = true\n"
        "log4cplus.appender.file.layout = log4cplus::PatternLayout\n"
        "log4cplus.appender.file.layout.ConversionPattern = %m%n\n"
    )
    words = ["-lc", logging, "-c", configuration]
    with program(programs("dcmqrscp"), *words, port=port) as process:
        peer = PeerArchive(Requestor(programs, folder / "answers", port), port)
        yield peer, Log(log, re.compile("Store SCU RQ: MsgID")), process


@contextlib.contextmanager
def orthanc(programs: Programs, folder: Path, movers: dict[str, int]) -> Iterator[tuple[Orthanc, Log]]:
    """Run Orthanc, which may C-MOVE to the AE titles *movers* on their ports."""
    log = folder / "orthanc.log"
    with stations.orthanc(programs, folder, "--verbose", f"--logfile={log}", movers=movers) as peer:
        yield peer, Log(log, re.compile("Sending resource .* to modality"))


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and the children that serve its associations, at once."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)
