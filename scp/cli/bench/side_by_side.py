"""Trials of several servers, one after the other, and one table of what each made of them.

A trial that cannot be had, because a program is not installed or does not come up, is told below the table;
the others go on. Nothing is asserted.
"""

import signal
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from scp.cli.bench.measuring import NotMeasured
from scp.cli.output import print_json, table
from scp.errors import PeerFailed


class Line(Protocol):
    """What one server made of one trial."""

    def cells(self) -> tuple[str, ...]: ...


Trial = Callable[[Path], Line]
"""Tries one server, which may use the folder that it is given. Raises ``NotMeasured``, ``PeerFailed``."""


def show(header: tuple[str, ...], trials: Iterable[Trial], *, as_json: bool) -> None:
    """Run *trials* in the current folder's file system, and print their lines under *header*."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    lines, lacking = [], dict[str, None]()
    for trial in trials:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            try:
                lines.append(trial(Path(folder).absolute()).cells())
            except (NotMeasured, PeerFailed) as reason:
                lacking[str(reason)] = None
    if as_json:
        print_json([dict(zip(header, cells, strict=True)) for cells in lines])
        return
    print(table(lines, header))
    for why in lacking:
        print(f"not measured: {why}")


def _end(number: int, _frame: object) -> None:
    """Leave as by an exception: the servers that run are ended on the way out."""
    raise SystemExit(128 + number)
