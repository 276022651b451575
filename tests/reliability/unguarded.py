"""Nodes that lack a guard: what the tests of kills, growth and endings must be able to notice.

``python unguarded.py GUARD serve ...`` runs the node without the guard of that name.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scp import config
from scp.archive.filing import Filing
from scp.archive.intake import Spooled
from scp.cli import main
from scp.errors import ConfigurationError
from scp.isolation import local
from scp.model import Stored
from scp.net.association import NodeAssociation
from scp.net.stream import Stream

_file = Filing.file
_load = config.load
_kept: list[object] = []


def _file_later(filing: Filing, spooled: Spooled) -> Stored:
    """Acknowledge now; file half a second later, when the descriptor is gone and the node perhaps, too."""

    def later() -> None:
        time.sleep(0.5)
        _file(filing, spooled)

    spooled.path.rename(spooled.path.with_suffix(".later"))
    threading.Thread(target=later, daemon=True).start()
    return Stored(spooled.origin.sop_instance_uid, spooled.path, "stored")


def early() -> None:
    """Acknowledge before it is stored."""
    Filing.file = _file_later  # type: ignore[method-assign]


def inline() -> None:
    """Render in the node's own process, where a decoder kills whoever calls it."""

    def run(_function: Any, _job: Any, _limits: Any, _cancelled: Any) -> Iterator[bytes]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield b""

    local.run = run  # type: ignore[assignment]


def leaky() -> None:
    """Never give the descriptors of a connection back."""

    def close(stream: Stream) -> None:
        _kept.append(stream)
        stream.shut_down()

    Stream.close = close  # type: ignore[method-assign]


def patient() -> None:
    """Wait for peers for ever when the node has to end."""
    NodeAssociation.evict = lambda _: None  # type: ignore[method-assign]
    from scp.net.acceptor import Acceptor

    stop = Acceptor.stop
    Acceptor.stop = lambda acceptor, _deadline_s: stop(acceptor, 3600.0)  # type: ignore[method-assign]


def forgetful() -> None:
    """Take what holds without a file where the file is bad."""

    def load(path: Path | None) -> config.Config:
        try:
            return _load(path)
        except ConfigurationError:
            return config.Config()

    config.load = load


WITHOUT: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (early, forgetful, inline, leaky, patient)
}

if __name__ == "__main__":
    WITHOUT[sys.argv.pop(1)]()
    main()
