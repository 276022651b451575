"""A ward: an archive that tests fill by hand, and the service for planes over it; no socket is.

Its series has 12 axial slices of 8 x 10 pixels of 1 mm, 2 mm apart: 8 coronal planes.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from scp.archive import Archive, ResultCache
from scp.completion import PeerStates, PeerTransport, Surroundings
from scp.config import Config, Preset
from scp.isolation.budget import MemoryBudget
from scp.model import FileFacts, Policy, Produced
from scp.net.requestor import Requestor
from scp.pipeline import Means
from scp.production import Workshop
from scp.services.context import Requesting
from scp.services.mpr import MprService
from tests.builders import SERIES_UID, STUDY_UID, write_series

PRESETS = {
    "MPR_COR": Preset(name="MPR_COR"),
    "PADDED": Preset(policy=Policy.PAD),
    "LISTED": Preset(name="LISTED", virtual_series=True),
}


@dataclass
class Ward:
    """An archive in a folder that tests fill by hand, and the service over it."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = Config(archive={"root": self.root, "minimum_free": 1}, presets=PRESETS, **self.settings)
        self.archive = Archive.open(config.archive)
        self.spool = self.archive.results_folder

        def surroundings(current: FileFacts) -> Surroundings:
            return Surroundings(
                read_folder=self.archive.read_folder,
                top=self.archive.batch_folder(current.path),
                searches=("ancestors",),
                time_radii_s=(),
                archive=self.archive,
                arrivals=self.archive.arrivals,
                peers=(),
                peer_archives=PeerTransport(Requestor(config), self.archive),
                peer_states=PeerStates(),
            )

        workshop = Workshop(config, MemoryBudget(config.limits.memory))
        means = Means(config, self.archive.read_folder, self.archive, surroundings, workshop)
        self.service = MprService(means, self.archive, ResultCache(self.spool, 0))

    def holds(self, name: str, datasets: list[Dataset]) -> None:
        write_series(datasets, self.root / "BATCH" / name)
        self.archive.reindex()

    def events(self, keys: Dataset, *, cancelled=lambda: False, **who: Any):
        return self.service.events_of(keys, requesting(**who), cancelled)


def requesting(called: str = "MPR_COR", *, may_mpr: bool = True, **who: Any) -> Requesting:
    given = {"peer": None, "root_model": "STUDY"} | who
    return Requesting(
        calling_ae_title="VIEWER", called_ae_title=called, may_mpr=may_mpr, **{"may_stored": True} | given
    )


def identifier(level: str = "SERIES", **keys: Any) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    named = {"StudyInstanceUID": STUDY_UID, "SeriesInstanceUID": SERIES_UID}
    for keyword, value in (named | keys).items():
        setattr(asked, keyword, value)
    return asked


def objects(events) -> list[Dataset]:
    """Return what was produced, read while it is there."""
    found = [pydicom.dcmread(event.ref.path) for event in events if isinstance(event, Produced)]
    events.close()
    return found
