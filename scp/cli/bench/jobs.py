"""Whole jobs, rows of ``bench mpr``: from images to the objects of all coronal planes.

On files in warm processes, and from their start; over DICOM from the archive to a destination, against the
script that a user would write today (:mod:`by_hand`). 300 images of 512 x 512 in, 512 Secondary Captures out,
both compared pixel by pixel. Then how long the first plane takes, and what memory a reconstruction needs.
"""

import contextlib
import io
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from scp.cli.bench.ground import Ground
from scp.cli.bench.material import instances, write_series
from scp.cli.bench.measuring import (
    SECONDS,
    SPEED,
    VOLUMES,
    Finding,
    Pair,
    ResultsDiffer,
    Row,
    Trial,
    alone,
    in_turn,
    medians,
    seconds_of,
)
from scp.cli.bench.memory import Watch
from scp.cli.bench.programs import simpleitk
from scp.cli.bench.retrieve import DESTINATION, ask, destination, empty, ours, series_keys
from scp.cli.bench.senders import send_raw
from scp.cli.bench.servers import ENVIRONMENT, HOST, Server, installed
from scp.errors import PeerFailed

SLICES, SIDE = 300, 512
PLANES = SIDE
PRESET = "MPR_COR"
MANY_SLICES = 1000
ALLOWANCE_BYTES = 64 << 20
"""What a reconstruction may use beside its volume."""

ODD_SHARE = 0.001
LOOK_EVERY_S = 0.001


def trials(ground: Ground) -> list[Trial]:
    what = f"{SLICES} images to {PLANES} coronal planes"
    return [
        Trial(
            Row("files", f"{what}, on files, warm", "SimpleITK", SPEED, 6, 9),
            partial(_on_files, ground, _mpr_s, _by_hand_s),
        ),
        Trial(
            Row("files-cold", f"{what}, on files, from the start of a process", "SimpleITK", SPEED),
            partial(_on_files, ground, _new_mpr_s, _new_by_hand_s),
        ),
        Trial(
            Row("dicom", f"{what}, archive to destination", "a script", SPEED, 4, 8),
            partial(_over_dicom, ground),
        ),
        Trial(
            Row("first-plane", "first plane at the destination", "-", SECONDS, 1, 0.4),
            partial(_first_plane, ground),
        ),
        Trial(
            Row("memory", "memory of a reconstruction, less 64 MiB", "its volume", VOLUMES, 1.6, 1.3),
            partial(_memory, ground, SLICES),
        ),
        Trial(
            Row("memory-1000", f"the same of {MANY_SLICES} images", "its volume", VOLUMES, 1.6, 1.3),
            partial(_memory, ground, MANY_SLICES),
            on_request=True,
        ),
    ]


Job = Callable[[Path, Path], float]
"""Makes the planes of the series in the first folder in the second; returns the seconds."""


def _on_files(ground: Ground, ours: Job, theirs: Job, pairs: int) -> Finding:
    simpleitk()
    source, out = ground.in_memory("series"), ground.in_memory("planes")
    write_series(source, SLICES, SIDE)
    mine, others = out / "ours", out / "theirs"
    measured = in_turn(lambda: _anew(ours, source, mine), lambda: _anew(theirs, source, others), pairs)
    return Finding(measured, f"{_said(measured)}; {compare(mine, others)}")


def _anew(job: Job, source: Path, results: Path) -> float:
    shutil.rmtree(results, ignore_errors=True)
    return job(source, results)


def _mpr_s(source: Path, results: Path) -> float:
    """Run the command ``mpr``, contact sheet and all, in this process and its warm children."""
    from scp.cli import app, reconstruct

    reconstruct.load_ahead()
    words = ["mpr", str(source), "--out", str(results), "--direction", "coronal"]
    with contextlib.redirect_stdout(io.StringIO()):
        return seconds_of(lambda: app(words, standalone_mode=False))


def _by_hand_s(source: Path, results: Path) -> float:
    from scp.cli.bench import by_hand

    return seconds_of(lambda: by_hand.main("simpleitk", str(source), str(results)))


def _new_mpr_s(source: Path, results: Path) -> float:
    words = ("-m", "scp", "mpr", source, "--out", results, "--direction", "coronal")
    return seconds_of(lambda: _python(*words))


def _new_by_hand_s(source: Path, results: Path) -> float:
    return seconds_of(lambda: _python("-m", "scp.cli.bench.by_hand", "simpleitk", source, results))


def _over_dicom(ground: Ground, pairs: int) -> Finding:
    simpleitk()
    theirs = ground.in_memory("script")
    mine = ground.in_memory("ours")
    with loaded_node(ground) as (server, station):
        measured = in_turn(
            partial(_job_s, station, partial(_by_preset, server), mine),
            partial(_job_s, station, partial(_by_script, ground, server, station), theirs),
            pairs,
        )
    return Finding(measured, f"{_said(measured)}; {compare(mine, theirs)}")


def _first_plane(ground: Ground, pairs: int) -> Finding:
    with loaded_node(ground) as (server, station):

        def first_s() -> float:
            empty(station.folder)
            arrived: list[float] = []
            watching = threading.Thread(target=_await_file, args=(station.folder, arrived))
            began = time.perf_counter()
            watching.start()
            _by_preset(server)
            watching.join()
            return arrived[0] - began

        return Finding(alone(first_s, pairs))


def _memory(ground: Ground, slices: int, pairs: int) -> Finding:
    volume_bytes = slices * SIDE * SIDE * 2
    with loaded_node(ground, slices) as (server, station):
        above: list[int] = []

        def watched() -> float:
            empty(station.folder)
            with Watch(server.pid) as watch:
                _by_preset(server)
            above.append(watch.peak_bytes - watch.idle_bytes)
            return float(above[-1] - ALLOWANCE_BYTES)

        measured = tuple(Pair(pair.ours, volume_bytes) for pair in alone(watched, pairs))
    mebibytes = max(above) / (1 << 20)
    return Finding(measured, f"{mebibytes:.0f} MiB above idle, volume {volume_bytes >> 20} MiB (PSS of all)")


@contextlib.contextmanager
def loaded_node(ground: Ground, slices: int = SLICES) -> Iterator[tuple[Server, Server]]:
    """Yield this node with a series of *slices* in its archive, and the destination of its planes."""
    paths = write_series(ground.in_memory("series"), slices, SIDE)
    with (
        destination(ground) as station,
        ours(ground.on_disk("node"), {DESTINATION: station.port}) as server,
    ):
        send_raw(server, [instances(paths)])
        yield server, station


def _by_preset(server: Server) -> None:
    ask("movescu", server, "-aem", DESTINATION, *series_keys(), called=PRESET)


def _by_script(ground: Ground, server: Server, station: Server) -> None:
    """Fetch with pynetdicom, reformat with SimpleITK, write with pydicom, send with storescu."""
    fetched, made = ground.in_memory("fetched"), ground.in_memory("made")
    keys = [server.ae_title, "-S", *series_keys(), "-od", fetched, HOST, server.port]
    _python("-m", "pynetdicom", "getscu", "-q", "-aet", "BENCH", "-aec", *keys)
    _python("-m", "scp.cli.bench.by_hand", "pydicom", fetched, made)
    store = [installed("storescu"), "-q", "-aec", station.ae_title, HOST, str(station.port), "+sd", str(made)]
    if subprocess.run(store, env=ENVIRONMENT).returncode:
        raise PeerFailed("storescu could not send what the script made")
    shutil.rmtree(fetched)
    shutil.rmtree(made)


def _job_s(station: Server, job: Callable[[], None], kept: Path) -> float:
    """Do *job*, whose planes arrive at *station*; keep them, and return the seconds."""
    empty(station.folder)
    seconds = seconds_of(job)
    shutil.rmtree(kept)
    shutil.copytree(station.folder, kept)
    return seconds


def _python(*words: object) -> None:
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise PeerFailed(f"{' '.join(command[1:4])}: {said[0]}")


def _await_file(folder: Path, arrived: list[float]) -> None:
    while not any(folder.iterdir()):
        time.sleep(LOOK_EVERY_S)
    arrived.append(time.perf_counter())


def compare(ours: Path, theirs: Path) -> str:
    """Return how far the planes in two folders are apart. Raises ``ResultsDiffer``."""
    mine, others = _planes(ours), _planes(theirs)
    if mine.keys() != others.keys() or len(mine) != PLANES:
        raise ResultsDiffer(
            f"{len(mine)} planes of ours, {len(others)} of the script, needed {PLANES} of both"
        )
    apart = [np.abs(mine[number].astype(np.int32) - others[number]) for number in mine]
    odd = sum(int(np.count_nonzero(plane > 1)) for plane in apart)
    pixels = sum(plane.size for plane in apart)
    if odd > ODD_SHARE * pixels:
        raise ResultsDiffer(f"{odd} of {pixels} pixels differ by more than 1")
    return "equal within 1" if odd == 0 else f"{odd / pixels:.1e} of the pixels differ by more than 1"


def _planes(folder: Path) -> dict[int, NDArray[np.int16]]:
    """Return the pixels of all objects in a folder by Instance Number."""
    found = {}
    for path in folder.iterdir():
        if path.suffix != ".png":
            ds = pydicom.dcmread(path)
            found[int(ds.InstanceNumber)] = ds.pixel_array
    return found


def _said(pairs: tuple[Pair, ...]) -> str:
    mine, theirs = medians(pairs)
    return f"{mine:.2f} s, {theirs:.2f} s"
