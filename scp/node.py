"""The node: the only place that wires the parts together, starts them, and stops them.

A node is one process: it accepts, stores, queries and sends; whatever decodes or renders pixels happens in
children (``scp.isolation``). The service manager restarts it; a start needs nothing but the files.
"""

import logging
import threading
from functools import reduce
from pathlib import Path
from types import TracebackType
from typing import Self

from pydicom import config as pydicom_config

from scp.archive import Archive, Claim, ResultCache
from scp.completion import PeerStates, PeerTransport, Surroundings
from scp.config import Config
from scp.errors import Cancelled, IndexChanged, IndexUnavailable
from scp.isolation import local
from scp.isolation.budget import MemoryBudget
from scp.model import FileFacts, Progress
from scp.net.acceptor import Acceptor
from scp.net.dialogue import Dialogue
from scp.net.messages import Request
from scp.net.requestor import Requestor
from scp.pipeline import Means
from scp.production import Workshop
from scp.services import dispatch
from scp.services.context import ServiceContext
from scp.services.mpr import MprService
from scp.transcoding import Transcoding

LOGGER = logging.getLogger(__name__)

# an odd value is for the selection to judge; a warning about it would quote it, and it is patient data
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE

SWEEP_END_S = 5.0
"""How long a stop waits for the sweep to see it; what it had not indexed is found by the next start."""

SWEEP_EVERY_S = 30.0
"""How often the archive is looked through for what people copied in."""

NEXT_SWEEP = f"the next one, in {SWEEP_EVERY_S:.0f} s, goes on"

NEEDS_RESTART = (
    "node.host",
    "node.port",
    "tls",
    "limits.memory",
    "archive.root",
    "archive.batch",
    "archive.database",
    "archive.durable",
    "archive.minimum_free",
    "selection.auxiliary",
    "reconstruction.cache",
)
"""What a node takes when it starts: its listeners, its archive, what the index holds, and its budgets."""


class Node:
    """One DICOM application entity with its archive; a context manager that serves while it is entered."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._archive = Archive.open(config.archive, config.selection.auxiliary)
        self._claim = Claim(config.archive)
        self._peer_states = PeerStates()
        self._budget = MemoryBudget(config.limits.memory)
        self._results = ResultCache(self._archive.results_folder, config.reconstruction.cache)
        self._context = self._wire(config)
        self._acceptor = Acceptor(config, self._archive, self._serve)
        self._started_with = config
        self._stopping = threading.Event()
        self._sweeper = threading.Thread(target=self._keep_sweeping, name="sweeper", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Where the node listens, host and port."""
        return self._acceptor.address

    @property
    def tls_address(self) -> tuple[str, int] | None:
        """Where it listens for TLS, if it does."""
        return self._acceptor.tls_address if self._started_with.tls else None

    def start(self) -> None:
        """Serve from now on. Raises ``ConfigurationError``, also where a port or the archive is another's."""
        self._claim.take()
        self._results.remove_abandoned()
        local.start(preload="scp.preload")
        self._acceptor.start()
        self._sweeper.start()

    def stop(self) -> None:
        """Finish what is in hand, within ``node.shutdown_deadline``, and close the archive."""
        self._stopping.set()
        self._acceptor.stop(self.config.node.shutdown_deadline)
        if self._sweeper.is_alive():
            self._sweeper.join(SWEEP_END_S)
        self._archive.close()
        self._claim.release()

    def reload(self, config: Config) -> tuple[str, ...]:
        """Serve what comes from now on by *config*; return which keys hold only after a restart.

        These are the keys of ``NEEDS_RESTART`` that are not what the node was started with.
        Raises ``ConfigurationError``; the old one stays then.
        """
        self._context = self._wire(config)
        self._acceptor.reload(config)
        self.config = config
        return tuple(key for key in NEEDS_RESTART if _value(config, key) != _value(self._started_with, key))

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self, association: Dialogue, request: Request) -> None:
        dispatch.serve(self._context, association, request)

    def _wire(self, config: Config) -> ServiceContext:
        """Return what the services use from now on."""
        workshop = Workshop(config, self._budget, self._results, self._archive)
        means = means_with_archive(config, self._archive, workshop, self._peer_states)
        mpr = MprService(means, self._archive, self._results)
        requestor = Requestor(config, encoder=Transcoding(config, self._budget))
        return ServiceContext(config, self._archive, requestor, mpr)

    def _keep_sweeping(self) -> None:
        """Look the archive through now and then; a sweep that fails is tried again at the next turn."""
        while not self._stopping.is_set():
            try:
                self._archive.sweep(self._until_stopping)
            except Cancelled:
                return
            except IndexChanged:
                LOGGER.info("the sweep of the archive met a change by another process; %s", NEXT_SWEEP)
            except (IndexUnavailable, OSError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                LOGGER.warning("the sweep of the archive stopped early: %s; %s", why, NEXT_SWEEP)
            except Exception as error:
                LOGGER.error("the sweep of the archive failed: %s; %s", type(error).__name__, NEXT_SWEEP)
            self._stopping.wait(SWEEP_EVERY_S)

    def _until_stopping(self, _progress: Progress) -> None:
        if self._stopping.is_set():
            raise Cancelled("the node is stopping")


def _value(config: Config, key: str) -> object:
    return reduce(getattr, key.split("."), config)


def means_with_archive(
    config: Config,
    archive: Archive,
    workshop: Workshop,
    peer_states: PeerStates,
    *,
    outside: Path | None = None,
) -> Means:
    """Return the means of requests that may use the archive and its peers.

    Searches in folders go up to the batch of the current image; for an image that lies elsewhere, up to
    *outside*.
    """
    transport = PeerTransport(Requestor(config), archive)

    def surroundings(current: FileFacts) -> Surroundings:
        inside = current.path.is_relative_to(archive.root)
        return Surroundings(
            read_folder=archive.read_folder,
            top=archive.batch_folder(current.path) if inside or outside is None else outside,
            searches=config.completion.searches,
            time_radii_s=config.completion.time_radius,
            archive=archive,
            arrivals=archive.arrivals,
            peers=tuple(peer for peer in config.peers.values() if peer.complete_from),
            peer_archives=transport,
            peer_states=peer_states,
        )

    return Means(config, archive.read_folder, archive, surroundings, workshop)
