"""What commands print: progress on a terminal, JSON where asked for, and the report as a table.

Progress goes to stderr, so that stdout holds nothing but the answer.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

WIDEST = 48
"""Of a column: one long path must not push the reasons of all files out of sight."""

Advance = Callable[[int, int], None]
"""Tells how many are done of how many; of 0 says that nobody knows yet."""


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


class NotAllDone(Exception):
    """A command did what it could, and that was not all; the sentence counts what is left.

    No error of the tree in ``scp.errors``: nobody but the command line ever hears of it.
    """


@contextmanager
def progress(what: str) -> Iterator[Advance]:
    """Show a bar with rate and time left while entered; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, rate="")

        def advance(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(
                task, completed=done, total=total or None, rate=f"{speed:.0f}/s" if speed is not None else ""
            )

        yield advance


def table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...]) -> str:
    """Return *rows* under *header* in columns that fit their widest cell, up to :data:`WIDEST`."""
    lines = [header, *rows]
    widths = [min(WIDEST, max(len(line[column]) for line in lines)) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
