"""What a node costs by being there: idle associations, and an index that has grown.

Rows of ``bench store``. The growth rows compare the node with itself: with :data:`MANY` instances indexed,
and with :data:`FEW`.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from pydicom.uid import CTImageStorage

from scp.cli.bench.ground import Ground
from scp.cli.bench.grown import grow
from scp.cli.bench.measuring import (
    SHARE,
    TIME,
    Finding,
    Row,
    Trial,
    alone,
    in_turn,
    medians,
    seconds_of,
)
from scp.cli.bench.senders import raw
from scp.cli.bench.servers import Server, node
from scp.cli.bench.store import Load
from scp.cli.bench.wire import Association

IDLE = 100
WATCHED_S = 3.0

FEW, MANY, MILLION = 1_000, 100_000, 1_000_000
"""Instances indexed; to make :data:`MANY` takes a minute, a million ten, and 8 GB."""

SENT = 100
"""Instances that are stored in one turn."""

ROOM = {"limits": {"associations": IDLE, "associations_per_peer": IDLE}}


def trials(ground: Ground) -> list[Trial]:
    """Return all rows; those of a million instances are for who names them."""
    grown = cache(partial(_grown, ground))
    return [
        Trial(Row("idle", f"CPU of {IDLE} idle associations", "-", SHARE, 2, 1), partial(_idle, ground)),
        *_growth("", MANY, ground, grown),
        *(replace(trial, on_request=True) for trial in _growth("-million", MILLION, ground, grown)),
    ]


def _growth(suffix: str, count: int, ground: Ground, grown: Callable[[int], Path]) -> list[Trial]:
    rows = (
        ("growth-store", "one store", partial(_stores, ground, grown, count)),
        ("growth-start", "to listening", partial(_starts, grown, count)),
    )
    return [
        Trial(
            Row(f"{name}{suffix}", f"{what}, {count:,} instances indexed", f"{FEW:,}", TIME, 1.2, 1.0), work
        )
        for name, what, work in rows
    ]


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _idle(ground: Ground, pairs: int) -> Finding:
    with node(ground.on_disk("idle"), ROOM) as server, contextlib.ExitStack() as held:
        for _ in range(IDLE):
            held.enter_context(Association(server.port, server.ae_title, CTImageStorage))
        return Finding(alone(lambda: _share_of_a_core(server), pairs))


def _share_of_a_core(server: Server) -> float:
    used, began = cpu_seconds(server.pid), time.perf_counter()
    time.sleep(WATCHED_S)
    return (cpu_seconds(server.pid) - used) / (time.perf_counter() - began)


def _stores(ground: Ground, grown: Callable[[int], Path], count: int, pairs: int) -> Finding:
    """Return what one store takes; the note also tells how much of that the node computes."""
    load = Load(ground.in_memory("load"), SENT, 64)
    with node(grown(count)) as many, node(grown(FEW)) as few:
        used = [-cpu_seconds(server.pid) for server in (many, few)]
        measured = in_turn(
            lambda: raw(many, load.parts) / SENT, lambda: raw(few, load.parts) / SENT, pairs, load.renew
        )
        used = [before + cpu_seconds(server.pid) for before, server in zip(used, (many, few), strict=True)]
    computed = [1000 * seconds / (SENT * (pairs + 1)) for seconds in used]
    said = zip((count, FEW), medians(measured), computed, strict=True)
    return Finding(measured, "; ".join(f"with {n:,} {1000 * s:.2f} ms, CPU {ms:.2f} ms" for n, s, ms in said))


def _starts(grown: Callable[[int], Path], count: int, pairs: int) -> Finding:
    measured = in_turn(partial(_start_s, grown(count)), partial(_start_s, grown(FEW)), pairs)
    said = zip((count, FEW), medians(measured), strict=True)
    return Finding(measured, "; ".join(f"with {n:,} {s:.2f} s" for n, s in said))


def _start_s(folder: Path) -> float:
    with contextlib.ExitStack() as stack:
        return seconds_of(lambda: stack.enter_context(node(folder)))


def _grown(ground: Ground, count: int) -> Path:
    """Return a folder for ``servers.node`` whose archive holds *count* small instances."""
    folder = ground.on_disk(f"grown-{count}")
    grow(folder / "archive", count)
    return folder
