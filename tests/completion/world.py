"""Small twins of what the searches see: an archive over a folder tree, and peers that hold data sets."""

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from scp.completion import PeerStates, Surroundings, complete
from scp.completion.peer_archives import HeldInstance
from scp.config import Peer
from scp.errors import Cancelled, PeerFailed
from scp.model import FileFacts, Header, IsCancelled, Search, SelectionReport, SelectionRules
from scp.part10 import read_facts
from scp.selection import select
from tests.builders import write

RULES = SelectionRules()
MINUTE_NS = 60 * 10**9


def read_folder(folder: Path) -> tuple[FileFacts, ...]:
    """Return the facts of the files of one folder, read afresh."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_symlink() or not entry.is_dir())
    return tuple(facts for entry in entries for facts in read_facts(entry, within=folder.parents[-1]))


class ReadingTwice(Exception):
    """A folder was read a second time in one request."""


@dataclass
class Reader:
    """Reads folders, each once, and keeps their names in order."""

    folders: list[Path] = field(default_factory=list)

    def __call__(self, folder: Path) -> tuple[FileFacts, ...]:
        if folder in self.folders:
            raise ReadingTwice(folder)
        self.folders.append(folder)
        return read_folder(folder)


@dataclass(frozen=True)
class Seen:
    path: Path
    created_ns: int


@dataclass
class Arrived:
    """What was stored, of what is waited for, since the wait began."""

    stored: list[str]
    expected: frozenset[str]
    begun: int

    @property
    def arrived(self) -> dict[str, object]:
        return {uid: None for uid in self.stored[self.begun :] if uid in self.expected}


@dataclass
class ArchiveTwin:
    """What an index would say of the files under *root*; *created_min* are the ages of folders in minutes."""

    root: Path
    created_min: dict[Path, float] = field(default_factory=dict)
    stored: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def _files(self) -> Iterator[FileFacts]:
        for folder in sorted({path.parent for path in self.root.rglob("*") if path.is_file()}):
            yield from read_folder(folder)

    def series_files(self, study_instance_uid: str, series_instance_uid: str) -> tuple[FileFacts, ...]:
        uids = (study_instance_uid, series_instance_uid)
        return tuple(
            facts
            for facts in self._files()
            if (facts.header.text("StudyInstanceUID"), facts.header.text("SeriesInstanceUID")) == uids
        )

    def instance_files(self, sop_instance_uid: str) -> tuple[FileFacts, ...]:
        return tuple(facts for facts in self._files() if facts.sop_instance_uid == sop_instance_uid)

    def folders(self) -> Iterable[Seen]:
        return [Seen(path, int(minutes * MINUTE_NS)) for path, minutes in self.created_min.items()]

    def store(self, ds: Dataset) -> None:
        """Take an instance as intake does: the file, and then whoever waits for it."""
        with self.lock:
            write(ds, self.root / "arrived" / f"{len(self.stored):04d}.dcm")
            self.stored.append(str(ds.SOPInstanceUID))

    @contextmanager
    def waiting(self, sop_instance_uids: Collection[str]) -> Iterator[Arrived]:
        yield Arrived(self.stored, frozenset(sop_instance_uids), len(self.stored))


@dataclass
class PeerTwin:
    """An archive that holds data sets and does what it is asked; tests override what shall go wrong."""

    archive: ArchiveTwin
    holds: Sequence[Dataset] = ()
    asked: int = 0
    fetched: list[tuple[str, ...]] = field(default_factory=list)

    def find(self, cancelled: IsCancelled, within_s: float) -> Iterable[HeldInstance]:
        self.asked += 1
        return [held(ds) for ds in self.holds]

    def fetch(self, uids: tuple[str, ...], cancelled: IsCancelled, within_s: float) -> None:
        self.fetched.append(uids)
        for ds in self.holds:
            if ds.SOPInstanceUID in uids:
                self.archive.store(ds)


def held(ds: Dataset, **stated: str) -> HeldInstance:
    """Return how a truthful peer lists a data set; *stated* replaces what it says of it."""
    identity = {
        "StudyInstanceUID": str(ds.StudyInstanceUID),
        "SeriesInstanceUID": str(ds.SeriesInstanceUID),
        "PatientName": str(ds.PatientName),
        "PatientID": str(ds.PatientID),
    }
    number = None if ds.get("InstanceNumber") is None else int(ds.InstanceNumber)
    return HeldInstance(str(ds.SOPInstanceUID), number, Header(identity | stated))


def wait_for(cancelled: IsCancelled, within_s: float, tick_s: float = 0.01) -> None:
    """Do nothing, as a silent peer, until time is up or nobody waits."""
    never = threading.Event()
    for _ in range(int(within_s / tick_s) + 1):
        if cancelled():
            raise Cancelled("nobody waits any more")
        never.wait(tick_s)
    raise PeerFailed("silent")


@dataclass
class PeersTwin:
    """All peers, by name: a ``PeerArchives``."""

    twins: dict[str, PeerTwin]

    def find_instances(
        self, peer: Peer, study: str, series: str, *, within_s: float, cancelled: IsCancelled
    ) -> Iterable[HeldInstance]:
        return self.twins[peer.name].find(cancelled, within_s)

    def fetch(
        self,
        peer: Peer,
        study: str,
        series: str,
        uids: tuple[str, ...],
        *,
        within_s: float,
        cancelled: IsCancelled,
    ) -> None:
        self.twins[peer.name].fetch(uids, cancelled, within_s)


def peer(name: str, **settings: object) -> Peer:
    """Return the settings of a peer that series are completed from."""
    keys = {"host": "127.0.0.1", "port": 104, "rights": ("store",), "complete_from": True, "deadline": 5.0}
    return Peer.model_validate({"name": name, "ae_title": name, **keys, **settings})


def surroundings_with(archive: ArchiveTwin, twins: dict[str, PeerTwin], **settings: object) -> Surroundings:
    """Return surroundings in which only peers are searched, one for each twin."""
    base = Surroundings(
        read_folder=read_folder,
        top=archive.root,
        searches=("peers",),
        archive=archive,
        arrivals=archive,
        peers=tuple(peer(name) for name in twins),
        peer_archives=PeersTwin(twins),
        peer_states=PeerStates(),
    )
    return replace(base, **settings)


def pixels_agree(one: FileFacts, other: FileFacts) -> bool:
    """Compare the pixels of two files as they are stored."""
    return bool(dcmread(one.path).PixelData == dcmread(other.path).PixelData)


def completed(
    current: Path,
    surroundings: Surroundings,
    rules: SelectionRules = RULES,
    *,
    deadline_s: float = 5.0,
    cancelled: IsCancelled = lambda: False,
) -> SelectionReport:
    """Return the report of a request for *current*, as the pipeline makes it."""
    folder = read_folder(current.parent)
    image = next(facts for facts in folder if facts.path == current)

    def select_again(
        found: Sequence[FileFacts], known: Sequence[object], searches: Sequence[Search]
    ) -> SelectionReport:
        return select(
            image,
            folder,
            rules,
            found=found,
            known=known,
            pixels_agree=pixels_agree,
            searches=searches,
        )

    return complete(
        select_again((), (), ()), select_again, surroundings, cancelled, surroundings.clock() + deadline_s
    )


def numbers(report: SelectionReport) -> list[int | None]:
    """Return the Instance Numbers of the volume, in its order."""
    return [facts.instance_number for facts in report.stack]


def lines(report: SelectionReport) -> list[tuple[str, str, int, int]]:
    """Return the ledger: search, whom it asked, wanted, found."""
    return [(line.name, line.asked, line.wanted, line.found) for line in report.searches]
