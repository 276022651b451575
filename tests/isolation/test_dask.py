"""A cluster does what the child on this machine does, byte for byte, whoever of it dies meanwhile."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scp import pipeline
from scp.errors import Cancelled, ConfigurationError, DecodingFailed, MprScpError, Refused, WorkerFailed
from scp.isolation import dask
from scp.isolation.dask import Cluster
from scp.isolation.local import Limits
from scp.model import Direction, PlaneRequest
from scp.production import Workshop, produce
from scp.reconstruction.engines import CHUNK
from tests.builders import series, write_series
from tests.folder_means import asked, means_of

pytestmark = pytest.mark.xdist_group("dask")  # one cluster for all of them

distributed = pytest.importorskip("distributed", reason="mpr-scp[dask] is not installed")
settings = pytest.importorskip("dask.config")

GENEROUS = Limits(memory_bytes=1 << 30, deadline_s=3600)
"""How long a test may take is said by the run, not here: machines are busy."""

PATIENT = {"distributed.comm.timeouts.connect": "1h", "distributed.comm.timeouts.tcp": "1h"}
"""Settings of a cluster that waits for whoever is slow."""

MANY_PLANES = PlaneRequest(Direction.TRANSVERSE, interval_mm=0.05)


@pytest.fixture(scope="module")
def cluster() -> Iterator["distributed.LocalCluster"]:
    """Return two workers of one thread each, in processes of their own."""
    with (
        settings.set(PATIENT),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", worker_dashboard_address=":0"
        ) as started,
    ):
        yield started


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients wait for the scheduler, a thread of this process, however busy the machine is."""
    monkeypatch.setattr(dask, "CONNECT_S", 3600.0)


@pytest.fixture
def address(cluster) -> str:
    return str(cluster.scheduler_address.removeprefix("tcp://"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_series(series(12), tmp_path / "tree" / "series")
    return tmp_path / "tree" / "series"


@dataclass(frozen=True)
class Numbers:
    """A job that yields its numbers, one part each, and then raises what it is given."""

    numbers: tuple[int, ...]
    error: MprScpError | None = None

    def parts(self) -> "list[Numbers]":
        return [Numbers((number,), self.error) for number in self.numbers]


def count(job: Numbers) -> Iterator[bytes]:
    yield from (str(number).encode() for number in job.numbers)
    if job.error:
        raise job.error


def break_down(_: Numbers) -> Iterator[bytes]:
    raise ZeroDivisionError("a bug of ours")
    yield b""


def die(_: Numbers) -> Iterator[bytes]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield b""


def take_long(_: Numbers) -> Iterator[bytes]:
    time.sleep(3)
    yield b""


def never() -> bool:
    return False


def test_what_the_parts_yield_comes_in_the_order_of_the_parts(address):
    numbers = tuple(range(40))
    assert [int(n) for n in Cluster(address).run(count, Numbers(numbers), GENEROUS, never)] == list(numbers)


@pytest.mark.parametrize(
    "error", [DecodingFailed("slice 7", Path("/a/b")), Refused("no-extent", "flat", "0 mm")]
)
def test_our_errors_come_back_as_they_are(address, error):
    with pytest.raises(type(error)) as caught:
        list(Cluster(address).run(count, Numbers((1,), error), GENEROUS, never))
    assert caught.value.args == error.args


def test_any_other_error_is_a_failure_of_the_worker(address):
    with pytest.raises(WorkerFailed, match="ZeroDivisionError"):
        list(Cluster(address).run(break_down, Numbers((1,)), GENEROUS, never))


def test_a_cancel_and_the_deadline_end_the_request_though_the_part_goes_on(address):
    with pytest.raises(Cancelled):
        list(Cluster(address).run(take_long, Numbers((1,)), GENEROUS, lambda: True))
    with pytest.raises(Refused) as caught:
        list(Cluster(address).run(take_long, Numbers((1,)), Limits(1 << 30, 0.1), never))
    assert caught.value.code == "deadline"


def test_a_cluster_that_nobody_can_reach_is_a_failure_of_the_worker(monkeypatch):
    monkeypatch.setattr(dask, "CONNECT_S", 0.2)
    with pytest.raises(WorkerFailed, match="no Dask scheduler answers"):
        list(Cluster("127.0.0.1:1").run(count, Numbers((1,)), GENEROUS, never))


def test_a_part_that_kills_every_worker_fails(cluster, address, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 1)  # it need not wait for workers to come back
    with pytest.raises(WorkerFailed):
        list(Cluster(address).run(die, Numbers((1,)), GENEROUS, never))


def objects(folder: Path, executor: str, kill: int = 0, sop_class: str = "secondary_capture") -> list[bytes]:
    """Return the files of all planes of a series; the process *kill* is killed once the first is there."""
    spool = Path(tempfile.mkdtemp(dir=folder.parent))
    means = means_of(folder.parent, reconstruction={"executor": executor})
    request = asked(folder, MANY_PLANES, sop_class=sop_class)
    prospect = pipeline.preview(request, means, never)
    assert len(prospect.plan.positions) > 6 * CHUNK
    made = []
    for ref in produce(prospect, means.workshop, spool, never):
        if kill and not made:
            os.kill(kill, signal.SIGKILL)
        made.append(ref.path.read_bytes())
    return made


@pytest.mark.parametrize("sop_class", ["secondary_capture", "multiframe"])
def test_two_workers_make_the_bytes_that_the_child_makes(address, folder, sop_class):
    here = objects(folder, "local", sop_class=sop_class)
    assert objects(folder, f"dask://{address}", sop_class=sop_class) == here
    assert (len(here) == 1) == (sop_class == "multiframe")


def test_a_worker_that_is_killed_in_the_middle_is_not_missed(cluster, address, folder):
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        doomed = next(iter(client.run(os.getpid).values()))
    assert objects(folder, f"dask://{address}", kill=doomed) == objects(folder, "local")


def test_files_that_do_not_decode_are_named_by_a_worker_too(address, folder, tmp_path):
    means = means_of(folder.parent, reconstruction={"executor": f"dask://{address}"})
    prospect = pipeline.preview(asked(folder), means, never)
    spoiled = folder / "0006.dcm"
    spoiled.write_bytes(b"")
    (tmp_path / "spool").mkdir()
    with pytest.raises(DecodingFailed) as caught:
        list(produce(prospect, means.workshop, tmp_path / "spool", never))
    assert caught.value.paths == (spoiled,)


def test_a_cluster_needs_no_memory_of_this_node(address, folder, tmp_path):
    means = means_of(folder.parent, memory=1, reconstruction={"executor": f"dask://{address}"})
    (tmp_path / "spool").mkdir()
    production = pipeline.begin(asked(folder), means, tmp_path / "spool", never)
    assert len(list(production.refs)) == 23


def test_without_the_package_the_configuration_is_refused_at_the_start(tmp_path, monkeypatch):
    means = means_of(tmp_path, reconstruction={"executor": "dask://127.0.0.1:8786"})
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigurationError, match=r"mpr-scp\[dask\]"):
        Workshop(means.config, means.workshop.budget)
    local = means_of(tmp_path)
    assert Workshop(local.config, local.workshop.budget).config is local.config
