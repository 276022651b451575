"""The node's own thread: what its log says of sweeps that do not come to their end."""

import logging
from pathlib import Path

import pytest

from scp.archive import Archive
from scp.config import Config
from scp.errors import IndexChanged, IndexUnavailable
from scp.node import Node


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (
            IndexChanged("another process changed the index meanwhile; try again"),
            "a change by another process",
        ),
        (
            IndexUnavailable("the index does not answer: locked"),
            "stopped early: the index does not answer: locked",
        ),
        (OSError(28, "No space left on device"), "stopped early: No space left on device"),
        (ZeroDivisionError("a bug of ours"), "failed: ZeroDivisionError"),
    ],
    ids=lambda case: type(case).__name__,
)
def test_a_sweep_that_ends_early_asks_nothing_of_anybody_and_says_when_the_next_one_goes_on(
    tmp_path: Path, monkeypatch, caplog, ends: Exception, told: str
) -> None:
    node = Node(Config(node={"port": 0}, archive={"root": tmp_path, "minimum_free": 0}))

    def once(_archive: Archive, _progress: object) -> int:
        node._stopping.set()
        raise ends

    monkeypatch.setattr(Archive, "sweep", once)
    with caplog.at_level(logging.INFO):
        node._keep_sweeping()
    node.stop()
    (line,) = [record.getMessage() for record in caplog.records if "sweep" in record.getMessage()]
    assert told in line and line.endswith("; the next one, in 30 s, goes on")
    assert "try again" not in line
