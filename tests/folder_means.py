"""What a request may use where only folders are known: for tests of the stages above the selection."""

from pathlib import Path
from typing import Any

from scp.archive import Archive, ResultCache
from scp.completion import Surroundings
from scp.config import Config
from scp.current import NoHoldings
from scp.isolation.budget import MemoryBudget
from scp.model import Direction, FileFacts, MPRRequest, PlaneRequest
from scp.part10 import read_facts
from scp.pipeline import Means
from scp.production import Workshop

TRANSVERSE = PlaneRequest(Direction.TRANSVERSE, interval_mm=1.0)


def means_of(
    top: Path,
    *,
    kept: ResultCache | None = None,
    memory: int = 0,
    archive: Archive | None = None,
    **sections: Any,
) -> Means:
    """Return means that search *top* and below; *sections* are those of the configuration.

    *kept* holds finished results; *memory* (bytes) is what all children share, in place of limits.memory;
    *archive* is where ``results.keep`` files results.
    """
    config = Config(archive={"root": top / "archive"}, **sections)

    def read_folder(folder: Path) -> tuple[FileFacts, ...]:
        entries = sorted(path for path in folder.iterdir() if path.is_file())
        return tuple(facts for path in entries for facts in read_facts(path))

    surroundings = Surroundings(read_folder, top=top, searches=("ancestors",))
    workshop = Workshop(config, MemoryBudget(memory or config.limits.memory), kept, archive)
    return Means(config, read_folder, NoHoldings(), lambda _: surroundings, workshop)


def asked(path: Path, planes: PlaneRequest = TRANSVERSE, **fields: Any) -> MPRRequest:
    """Return a request for *planes* (default: one each mm along the z axis) of the series at *path*."""
    return MPRRequest(planes, path=path, **fields)
