"""How fast a row can get at all: its client against a partner that does nothing with what it gets.

A program that is measured through another one cannot be seen to be faster than that one. Where this keeps a
row from its floor, the note of the row says so; the figure stays what it is.
"""

from collections.abc import Callable
from pathlib import Path

from scp.cli.bench.measuring import Row
from scp.cli.bench.senders import Client, Parts
from scp.cli.bench.servers import ignoring_storescp

TURNS = 5


def of_client(client: Client, parts: Parts, folder: Path) -> float:
    """Return the seconds that *client* takes at best to send to a storescp that stores nothing."""
    with ignoring_storescp(folder) as server:
        return best(lambda: client(server, parts))


def best(measure: Callable[[], float]) -> float:
    """Return the least of :data:`TURNS` measurements, after one that does not count: this is a bound."""
    measure()
    return min(measure() for _ in range(TURNS))


def note(row: Row, what: str, objects: int, ceiling_s: float, theirs_s: float) -> str:
    """Return how fast *what* is alone, and whether that is too slow for the floor of *row*.

    *ceiling_s* is what it takes for *objects*, *theirs_s* what the other side of the row took for as many.
    """
    most = theirs_s / ceiling_s
    said = f"{what} alone reaches {objects / ceiling_s:.0f} objects/s, {most:.2g} x {row.against}"
    if row.floor is not None and most < row.floor:
        return f"{said}: the floor is out of its reach"
    return said
