"""``serve``: run the node until SIGTERM or SIGINT; SIGHUP reads the configuration again."""

import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import typer

from scp.cli.options import ConfigFile

if TYPE_CHECKING:
    from scp.node import Node


def add_to(app: typer.Typer) -> None:
    app.command()(serve)


def serve(config: ConfigFile = None) -> None:
    """Run the node; print "listening on HOST:PORT as AE" when it serves, and the port for TLS.

    Without a configuration it listens on loopback and keeps its archive in the current folder. SIGTERM lets
    what is in hand finish, SIGHUP reads the configuration again; a bad one leaves the old one in force,
    and what needs a restart is named.

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
        print(_where(node), flush=True)
        while _next(signals) == signal.SIGHUP:
            _reload(node, config)
    logging.getLogger(__name__).info("stopped")


def _next(signals: SimpleQueue[int]) -> int:
    """Return the next signal; one that comes just before the wait ends it a second later."""
    while True:
        with suppress(Empty):
            return signals.get(timeout=1.0)


def _where(node: "Node") -> str:
    """Return where *node* listens; with ``tls.only`` its one port is that for TLS."""
    host, port = node.address
    tls = node.tls_address
    only = " with TLS" if tls == node.address else ""
    beside = f", {host}:{tls[1]} with TLS" if tls and not only else ""
    return f"listening on {host}:{port}{only}{beside} as {node.config.node.ae_title}"


def _reload(node: "Node", path: Path | None) -> None:
    from scp.config import load
    from scp.errors import ConfigurationError

    try:
        settings = load(path)
        waiting = node.reload(settings)
    except ConfigurationError as error:
        print(f"mpr-scp: not reloaded, the old configuration stays: {error}", file=sys.stderr, flush=True)
    else:
        logging.getLogger().setLevel(settings.node.log_level.upper())
        wait = "wait" if len(waiting) > 1 else "waits"
        later = f"; {', '.join(waiting)} {wait} for a restart" if waiting else ""
        print(f"mpr-scp: reloaded{later}", file=sys.stderr, flush=True)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    for foreign in ("pydicom", "pynetdicom"):  # their lines hold what clients sent
        logging.getLogger(foreign).setLevel(logging.CRITICAL)
