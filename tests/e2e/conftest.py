"""A node on a free port, and the programs that talk to it."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scp.config import Archive, Config, Node, Peer
from scp.node import Node as RunningNode
from tests.e2e.stations import (
    Orthanc,
    PeerArchive,
    Programs,
    Requestor,
    StoreSCP,
    dcmqrscp,
    free_port,
    orthanc,
    storescp,
)
from tests.results.conftest import complaints

__all__ = ["complaints"]

RIGHTS = ("echo", "store", "find", "move", "get", "mpr")
NODES = {f"MPRSCP{number}": free_port() for number in range(4)}
"""AE titles and ports of nodes that the peer archive may move to; it knows them from its start."""

StartNode = Callable[..., RunningNode]


def peer(ae_title: str, port: int | None = None, **settings: Any) -> Peer:
    """Return a peer of this machine that may do everything."""
    given = {"rights": RIGHTS, "networks": ("127.0.0.1",), "host": "127.0.0.1"} | settings
    return Peer(ae_title=ae_title, port=port, **given)


@contextlib.contextmanager
def running_node(
    root: Path, *peers: Peer, title: str = "MPRSCP", port: int = 0, **sections: Any
) -> Iterator[RunningNode]:
    """Run a node on the archive *root*; *sections* are those of the configuration, DCMTK may call it."""
    config = Config(
        node=Node(ae_title=title, port=port, shutdown_deadline=1.0),
        archive=Archive(root=root, minimum_free=1 << 20),
        peers={one.ae_title: one for one in (peer("DCMTK"), *peers)},
        **sections,
    )
    with RunningNode(config) as node:
        yield node


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[StartNode]:
    """Return a function that starts a node as ``running_node`` does, on a folder named *archive*."""
    with contextlib.ExitStack() as stack:

        def start(*peers: Peer, archive: str = "archive", **settings: Any) -> RunningNode:
            return stack.enter_context(running_node(tmp_path / archive, *peers, **settings))

        yield start


@pytest.fixture
def hand_copied() -> Callable[[Path], None]:
    """Return a function that makes a folder look as if it had been there for some time.

    A sweep leaves alone what may still be being written.
    """

    def age(folder: Path) -> None:
        then = time.time() - 60
        for path in (*folder.rglob("*"), folder):
            os.utime(path, (then, then))

    return age


@pytest.fixture
def requestor(program: Programs, tmp_path: Path) -> Callable[[RunningNode], Requestor]:
    """Return a function that gives DCMTK's programs as a requestor of a node."""
    return lambda node: Requestor(program, tmp_path / "answers", node.address[1])


@pytest.fixture(scope="session")
def workstation(program: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSCP]:
    """A move destination that takes everything."""
    with storescp(program, tmp_path_factory.mktemp("workstation")) as running:
        yield running


@pytest.fixture(scope="session")
def peer_archive(program: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerArchive]:
    """An archive of another make, which knows the nodes ``NODES``."""
    with dcmqrscp(program, tmp_path_factory.mktemp("dcmqrscp"), NODES) as running:
        yield running


@pytest.fixture(scope="session")
def an_orthanc(program: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(program, tmp_path_factory.mktemp("orthanc")) as running:
        yield running
