"""What a node costs by being there: idle associations, and an index that has grown.

Rows of ``bench store``. The growth rows compare the node with itself: with :data:`MANY` instances indexed,
and with :data:`FEW`.
"""

import contextlib
import os
import time
from functools import partial
from pathlib import Path

from pydicom.uid import CTImageStorage

from scp.cli.bench.ground import Ground
from scp.cli.bench.material import small_instances
from scp.cli.bench.measuring import (
    SHARE,
    TIME,
    Finding,
    Row,
    Trial,
    alone,
    in_turn,
    seconds_of,
)
from scp.cli.bench.senders import raw, send_raw
from scp.cli.bench.servers import Server, node, unsynced
from scp.cli.bench.store import Load
from scp.cli.bench.wire import Association

IDLE = 100
WATCHED_S = 3.0

FEW, MANY = 1_000, 20_000
EACH = 100
"""Instances in the index, and those of one study."""

ROOM = {"limits": {"associations": IDLE, "associations_per_peer": IDLE}}


def trials(ground: Ground) -> list[Trial]:
    return [
        Trial(Row("idle", f"CPU of {IDLE} idle associations", "-", SHARE, 2, 1), partial(_idle, ground)),
        Trial(
            Row("growth-store", f"one store, {MANY:,} instances indexed", f"{FEW:,}", TIME, 1.2, 1.0),
            partial(_stores, ground),
        ),
        Trial(
            Row("growth-start", f"to listening, {MANY:,} instances indexed", f"{FEW:,}", TIME, 1.2, 1.0),
            partial(_starts, ground),
        ),
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


def _stores(ground: Ground, pairs: int) -> Finding:
    load = Load(ground.in_memory("load"), 50, 64)
    with node(_grown(ground, MANY)) as big, node(_grown(ground, FEW)) as few:
        return Finding(in_turn(lambda: raw(big, load.parts), lambda: raw(few, load.parts), pairs, load.renew))


def _starts(ground: Ground, pairs: int) -> Finding:
    grown, small = _grown(ground, MANY), _grown(ground, FEW)
    return Finding(in_turn(partial(_start_s, grown), partial(_start_s, small), pairs))


def _start_s(folder: Path) -> float:
    with contextlib.ExitStack() as stack:
        return seconds_of(lambda: stack.enter_context(node(folder)))


def _grown(ground: Ground, count: int) -> Path:
    """Return a folder for ``servers.node`` whose archive holds *count* small instances."""
    folder = ground.on_disk("grown")
    with unsynced(folder) as server:
        images = small_instances(count // EACH, EACH)
        send_raw(server, [images[first::4] for first in range(4)])
    return folder
