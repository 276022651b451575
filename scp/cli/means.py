"""What a reconstruction may use where no node runs it: folders, and by a configuration archive and peers."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from scp.completion import PeerStates, Surroundings
from scp.config import Config, load
from scp.current import NoHoldings
from scp.isolation.budget import MemoryBudget
from scp.model import FileFacts
from scp.part10 import read_facts
from scp.pipeline import Means
from scp.production import Workshop


@contextmanager
def means(config_file: Path | None, within: Path) -> Iterator[Means]:
    """Yield the means of one request; without a configuration it looks into *within* and below only.

    So it does where the configured archive has nothing yet, and no peer could fill it: it is not made then.
    """
    config = load(config_file)
    fetches = any(peer.complete_from for peer in config.peers.values())
    if config_file is None or not (fetches or config.archive.root.is_dir()):
        yield _of_folders(config, within)
        return
    from scp.archive import Archive
    from scp.node import means_with_archive

    with Archive.open(config.archive, config.selection.auxiliary) as archive:
        workshop = Workshop(config, MemoryBudget(config.limits.memory), archive=archive)
        yield means_with_archive(config, archive, workshop, PeerStates(), outside=within)


def _of_folders(config: Config, within: Path) -> Means:
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
