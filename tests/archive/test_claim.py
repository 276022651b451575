"""Who may serve an archive: one node on SQLite, as many as like on a database server."""

import errno
import fcntl
from pathlib import Path

import pytest

from scp import config
from scp.archive import Claim
from scp.errors import ConfigurationError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".scp").mkdir()
    return tmp_path


def test_the_second_claim_waits_for_the_first_to_be_released(root):
    settings = config.Archive(root=root)
    first, second = Claim(settings), Claim(settings)
    first.take()
    for _ in range(2):  # to be refused changes nothing
        with pytest.raises(ConfigurationError, match=r"another node \(process \d+ on .*\) serves"):
            second.take()
    first.release()
    second.take()
    second.release()


def test_nodes_that_share_a_database_server_serve_side_by_side(root):
    for claim in [Claim(config.Archive(root=root, database="postgresql://host/name")) for _ in range(2)]:
        claim.take()


def test_a_file_system_without_locks_does_not_keep_a_node_from_serving(root, monkeypatch, caplog):
    def no_lock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_lock)
    claim = Claim(config.Archive(root=root))
    claim.take()
    claim.release()
    assert "cannot be told: No locks available" in caplog.text
