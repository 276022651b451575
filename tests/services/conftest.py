"""Fixtures of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scp.isolation import local
from tests.builders import series
from tests.net.nodes import dcmtk, start_node
from tests.services.wards import Ward

__all__ = ["dcmtk", "start_node"]


@pytest.fixture(scope="module")
def children() -> None:
    """Start what renders."""
    local.start("scp.rendering")


@pytest.fixture
def ward(tmp_path: Path, children: None) -> Iterator[Ward]:
    """Return an archive with one series, and the service over it."""
    found = Ward(tmp_path / "archive")
    found.holds("one", series(12))
    yield found
    found.archive.close()
