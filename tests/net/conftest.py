"""A node on a free port with an archive twin, and what calls it."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scp.config import Config, Limits, Node, Peer
from scp.net.acceptor import Acceptor
from scp.net.requestor import Requestor
from scp.services.context import MprService, ServiceContext
from scp.services.dispatch import serve
from tests.net.archive_twin import ArchiveTwin

ALL = ("echo", "store", "find", "move", "get", "mpr")


@dataclass
class RunningNode:
    config: Config
    archive: ArchiveTwin
    acceptor: Acceptor
    context: ServiceContext
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.acceptor.address[1]

    @property
    def peer(self) -> Peer:
        """This node as somebody else's peer."""
        return Peer(name="node", ae_title=self.config.node.ae_title, host="127.0.0.1", port=self.port)


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., RunningNode]]:
    """Return a function that starts a node: *peers*, *limits* and *mpr* are optional."""
    running: list[RunningNode] = []

    def start(
        *,
        peers: dict[str, Peer] | None = None,
        limits: Limits | None = None,
        mpr: MprService | None = None,
        **node: Any,
    ) -> RunningNode:
        config = Config(
            node=Node(port=0, **node), peers=peers or {}, limits=limits or Limits(negotiation_deadline=5)
        )
        folder = tmp_path / f"archive{len(running)}"
        folder.mkdir()
        archive = ArchiveTwin(folder)
        context = ServiceContext(config, archive, lambda: Requestor(config), mpr)
        services = partial(serve, context)
        acceptor = Acceptor(config, archive, services)
        acceptor.start()
        running.append(RunningNode(config, archive, acceptor, context))
        return running[-1]

    yield start
    for node in running:
        node.acceptor.stop(0.0)


@pytest.fixture
def dcmtk(program: Callable[[str], str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs one of DCMTK's programs without Nagle's delays."""

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program(name), *map(str, arguments)],
            env={"TCP_NODELAY": "1", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run
