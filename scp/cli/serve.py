"""``serve``: run the node until SIGTERM or SIGINT; SIGHUP reads the configuration again."""

import signal
import sys
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import typer

from scp.cli.options import ConfigFile

if TYPE_CHECKING:
    from scp.node import Node


def add_to(app: typer.Typer) -> None:
    app.command()(serve)


def serve(config: ConfigFile = None) -> None:
    """Run the node; print "listening on HOST:PORT as AE" when it serves.

    Without a configuration it listens on loopback and keeps its archive in the current folder. SIGTERM lets
    what is in hand finish, SIGHUP reads the configuration again; a bad one leaves the old one in force.

    \b
    Example:
      mpr-scp serve --config config/node.toml
    """
    from scp.config import load
    from scp.node import Node

    settings = load(config)
    _log_to_stderr(settings.node.log_level)
    signals: SimpleQueue[int] = SimpleQueue()  # the one queue that a signal handler may write to
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: signals.put(received))
    with Node(settings) as node:
        host, port = node.address
        print(f"listening on {host}:{port} as {settings.node.ae_title}", flush=True)
        while signals.get() == signal.SIGHUP:
            _reload(node, config)


def _reload(node: "Node", path: Path | None) -> None:
    from scp.config import load
    from scp.errors import ConfigurationError

    try:
        node.reload(load(path))
    except ConfigurationError as error:
        print(f"mpr-scp: not reloaded, the old configuration stays: {error}", file=sys.stderr, flush=True)
    else:
        print("mpr-scp: reloaded", file=sys.stderr, flush=True)


def _log_to_stderr(level: str) -> None:
    import logging

    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    for foreign in ("pydicom", "pynetdicom"):  # their lines hold what clients sent
        logging.getLogger(foreign).setLevel(logging.CRITICAL)
