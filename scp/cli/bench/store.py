"""``bench store``: how fast instances are taken, against servers that sync and index, or do not.

The client of the rows is DCMTK's storescu; the ``raw-`` rows have a sender that costs next to nothing, since
storescu itself is the bottleneck of the fastest receivers. Each turn sends instances that nobody has yet, the
same to both; at the end both must hold all of them, pixel by pixel.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from scp.cli.bench import ceiling
from scp.cli.bench.ground import Ground
from scp.cli.bench.material import pixel_digests, write_series
from scp.cli.bench.measuring import (
    ADDED_MS,
    SPEED,
    Finding,
    ResultsDiffer,
    Row,
    Trial,
    in_turn,
    medians,
)
from scp.cli.bench.senders import Client, Parts, one_by_one, raw, storescu
from scp.cli.bench.servers import (
    Server,
    Start,
    dcmqrscp,
    node,
    orthanc,
    pynetdicom_storescp,
    receiver,
    storescp,
    unsynced,
)
from scp.cli.bench.syncs import count_syncs


@dataclass(slots=True)
class Load:
    """A series that is sent over some associations at once, made anew for each turn."""

    folder: Path
    slices: int
    side: int
    associations: int = 1
    parts: Parts = ()
    sent: dict[str, str] = field(default_factory=dict)

    def renew(self, turn: int) -> None:
        paths = write_series(self.folder, self.slices, self.side, study=(self.folder.name, turn))
        self.parts = [paths[first :: self.associations] for first in range(self.associations)]
        self.sent |= pixel_digests(self.folder)


@dataclass(frozen=True, slots=True)
class Contest:
    """Two receivers and what is sent to them: *slices* images of *side* pixels squared."""

    ours: Start
    theirs: Start
    client: Client = storescu
    slices: int = 100
    side: int = 512
    associations: int = 1

    def measure(self, row: Row, ground: Ground, pairs: int) -> Finding:
        """Return what each turn of *row* cost both, how fast that was, and how often each synced."""
        load = Load(ground.in_memory("load"), self.slices, self.side, self.associations)
        with self._start(ground, self.ours) as us, self._start(ground, self.theirs) as them:
            measured = in_turn(
                lambda: self.client(us, load.parts),
                lambda: self.client(them, load.parts),
                pairs,
                load.renew,
            )
            load.renew(pairs + 1)
            syncs = [self._syncs(server, load) for server in (us, them)]
            for server in (us, them):
                check_stored(server, load.sent)
        costs = medians(measured)
        notes = [
            f"{server.name} ({server.does}) {_rate(self, seconds)}, {synced}"
            for server, seconds, synced in zip((us, them), costs, syncs, strict=True)
        ]
        if self.theirs is orthanc and self.client is storescu:
            alone_s = ceiling.of_client(self.client, load.parts, ground.on_disk("ceiling"))
            notes.append(ceiling.note(row, "storescu", self.slices, alone_s, costs[1]))
        return Finding(measured, "; ".join(notes))

    def _start(self, ground: Ground, start: Start) -> AbstractContextManager[Server]:
        return start(ground.on_disk("server"))

    def _syncs(self, server: Server, load: Load) -> str:
        counted = count_syncs(server.pid, lambda: self.client(server, load.parts))
        return "syncs not counted" if counted is None else f"{counted / self.slices:.2f} syncs an instance"


def check_stored(server: Server, sent: dict[str, str]) -> None:
    """Raise ``ResultsDiffer`` unless *server* holds every instance with the pixels that were sent."""
    stored = pixel_digests(server.folder)
    lacking = [uid for uid, digest in sent.items() if stored.get(uid) != digest]
    if lacking:
        raise ResultsDiffer(f"{server.name} lacks {len(lacking)} of {len(sent)} instances, or their pixels")


def _rate(contest: Contest, seconds: float) -> str:
    if contest.client is one_by_one:
        return f"{1000 * seconds:.1f} ms an image"
    return f"{contest.slices / seconds:.0f} objects/s"


CT = "C-STORE CT 0.5 MB, one association"
SMALL = "C-STORE CT 8 KB"

ROWS: tuple[tuple[Row, Contest], ...] = (
    (Row("ct-dcmqrscp", CT, "dcmqrscp", SPEED, 0.8, 1.2), Contest(node, dcmqrscp)),
    (Row("ct-orthanc", CT, "Orthanc", SPEED, 2.5, 4), Contest(node, orthanc)),
    (
        Row("ct-storescp", f"{CT}, not synced, not indexed", "storescp", SPEED, 0.8, 1.0),
        Contest(receiver, storescp),
    ),
    (
        Row("ct-unsynced", f"{CT}, not synced", "storescp", SPEED),
        Contest(unsynced, storescp),
    ),
    (Row("ct-pynetdicom", CT, "pynetdicom's storescp", SPEED), Contest(node, pynetdicom_storescp)),
    (
        Row("small-orthanc", f"{SMALL}, one association", "Orthanc", SPEED, 2, 3.5),
        Contest(node, orthanc, slices=400, side=64),
    ),
    (
        Row("small4-orthanc", f"{SMALL}, four associations", "Orthanc", SPEED, 2.5, 3.5),
        Contest(node, orthanc, slices=400, side=64, associations=4),
    ),
    (
        Row("each-storescp", "one association an 8 KB image", "storescp", ADDED_MS, 10, 5),
        Contest(node, storescp, client=one_by_one, slices=50, side=64),
    ),
)

RAW = ("ct-dcmqrscp", "ct-orthanc", "ct-storescp", "small-orthanc", "small4-orthanc")
"""Rows that are measured with the raw sender too."""


def trials(ground: Ground) -> list[Trial]:
    """Return all rows, those with the raw sender after those with storescu."""
    by_hand = [
        (replace(row, name=f"raw-{row.name}", what=f"{row.what}, raw sender"), replace(contest, client=raw))
        for row, contest in ROWS
        if row.name in RAW
    ]
    return [Trial(row, partial(contest.measure, row, ground)) for row, contest in (*ROWS, *by_hand)]
