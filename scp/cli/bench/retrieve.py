"""``bench retrieve``: a series of 300 CT images by C-MOVE and by C-GET, from archives that hold it.

The clients are DCMTK's movescu and getscu; whatever arrives is written to memory, and both archives must have
delivered every image, pixel by pixel.
"""

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from scp.cli.bench import ceiling
from scp.cli.bench.ground import Ground
from scp.cli.bench.material import instances, pixel_digests, uid, write_series
from scp.cli.bench.measuring import SPEED, Finding, ResultsDiffer, Row, Trial, in_turn, medians, seconds_of
from scp.cli.bench.senders import send_raw
from scp.cli.bench.servers import (
    ENVIRONMENT,
    HOST,
    MAXIMUM_PDU,
    Server,
    dcmqrscp,
    installed,
    node,
    orthanc,
    storescp,
)
from scp.errors import PeerFailed

SLICES, SIDE = 300, 512
DESTINATION = "STORESCP"

StartArchive = Callable[[Path, Mapping[str, int]], AbstractContextManager[Server]]
"""Starts an archive that may send to the AE titles on their ports."""

Retrieve = Callable[[Server, Path], None]
"""Has the series of an archive delivered into a folder."""


def ours(folder: Path, movers: Mapping[str, int]) -> AbstractContextManager[Server]:
    """Start this node with destinations, and with nothing kept of what it made before."""
    peers = {
        f"peers.{title}": {"ae_title": title, "host": HOST, "port": port, "destination": True}
        for title, port in movers.items()
    }
    return node(folder, {**peers, "reconstruction": {"cache": 0}})


def trials(ground: Ground) -> list[Trial]:
    rows = [
        (
            Row(f"{short}-{name}", f"a series of {SLICES} slices by {long}", name, SPEED, floor, aim),
            client,
            start,
        )
        for short, long, client in (("move", "C-MOVE", by_move), ("get", "C-GET", by_get))
        for name, start, floor, aim in (("dcmqrscp", dcmqrscp, 0.8, 1.0), ("orthanc", orthanc, 1.5, 2))
    ]
    return [Trial(row, partial(measure, row, ground, client, start)) for row, client, start in rows]


def measure(row: Row, ground: Ground, client: Retrieve, theirs: StartArchive, pairs: int) -> Finding:
    """Return what one retrieve of the series costs from this node and from *theirs*."""
    paths = write_series(ground.in_memory("series"), SLICES, SIDE)
    with (
        destination(ground) as station,
        ours(ground.on_disk("ours"), {DESTINATION: station.port}) as us,
        theirs(ground.on_disk("theirs"), {DESTINATION: station.port}) as them,
    ):
        for server in (us, them):
            send_raw(server, [instances(paths)])
        wanted = pixel_digests(paths[0].parent)
        folder = station.folder
        measured = in_turn(
            lambda: retrieved(client, us, folder, wanted),
            lambda: retrieved(client, them, folder, wanted),
            pairs,
        )
        costs = medians(measured)
        said = zip((us, them), costs, strict=True)
        notes = [f"{one.name} {SLICES / seconds:.0f} objects/s" for one, seconds in said]
        if theirs is orthanc and client is by_move:
            alone_s = ceiling.best(lambda: taken_s(station, paths))
            notes.append(ceiling.note(row, "the destination", SLICES, alone_s, costs[1]))
    return Finding(measured, "; ".join(notes))


def taken_s(station: Server, paths: Sequence[Path]) -> float:
    """Return the seconds that *station* takes for all *paths* from a sender that costs nothing."""
    empty(station.folder)
    return send_raw(station, [instances(paths)])


def retrieved(client: Retrieve, server: Server, folder: Path, wanted: Mapping[str, str]) -> float:
    """Retrieve once; return the seconds. Raises ``ResultsDiffer`` where not all came as it was stored."""
    empty(folder)
    seconds = seconds_of(lambda: client(server, folder))
    came = pixel_digests(folder)
    if came != wanted:
        same = sum(came.get(one) == digest for one, digest in wanted.items())
        raise ResultsDiffer(f"{server.name} delivered {same} of {len(wanted)} images as they were stored")
    return seconds


def by_move(server: Server, _folder: Path) -> None:
    ask("movescu", server, "-aem", DESTINATION, *series_keys())


def by_get(server: Server, folder: Path) -> None:
    ask("getscu", server, "+B", "-pdu", MAXIMUM_PDU, "-od", folder, *series_keys())


def series_keys() -> list[str]:
    keys = (
        "QueryRetrieveLevel=SERIES",
        f"StudyInstanceUID={uid('study', 1)}",
        f"SeriesInstanceUID={uid('series', 1)}",
    )
    return [word for key in keys for word in ("-k", key)]


def ask(program: str, server: Server, *words: object, called: str = "") -> None:
    """Run a retrieve of DCMTK, Study Root, to its end. Raises ``PeerFailed``."""
    command = [installed(program), "-q", "-S", "-aet", "BENCH", "-aec", called or server.ae_title]
    command += [*map(str, words), HOST, str(server.port)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise PeerFailed(f"{program} at {server.name}: {said[0]}")


@contextlib.contextmanager
def destination(ground: Ground) -> Iterator[Server]:
    """Run a storescp that writes to memory."""
    with storescp(ground.in_memory("destination")) as station:
        yield station


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
