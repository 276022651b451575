"""What a reconstruction may use where there is no node: folders, read once each."""

from functools import cache
from pathlib import Path

from scp.completion import Surroundings
from scp.config import Config
from scp.isolation.budget import MemoryBudget
from scp.model import FileFacts
from scp.part10 import read_facts
from scp.pipeline import Means, NoHoldings
from scp.production import Workshop


def folder_means(config: Config, within: Path) -> Means:
    """Return the means of one request that may look into *within* and below, and nowhere else."""

    @cache
    def read_folder(folder: Path) -> tuple[FileFacts, ...]:
        entries = sorted(path for path in folder.iterdir() if path.is_symlink() or not path.is_dir())
        extra = config.selection.auxiliary
        return tuple(facts for path in entries for facts in read_facts(path, extra=extra, within=within))

    surroundings = Surroundings(read_folder, top=within, searches=config.completion.searches)
    return Means(
        config=config,
        read_folder=read_folder,
        holdings=NoHoldings(),
        surroundings=lambda _current: surroundings,
        workshop=Workshop(config, MemoryBudget(config.limits.memory)),
    )
